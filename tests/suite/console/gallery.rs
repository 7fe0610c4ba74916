//! The gallery in `screenshots/`: real pages, drawn by the real views.

use super::picture::{DARK, LIGHT, Terminal, hold};
use super::stage::Stage;
use lifeboat::tui::app::App;
use lifeboat::tui::screens::first::FirstPage;

/// Draws a page in a theme and holds it.
#[track_caller]
fn show(name: &str, stage: &mut Stage, theme: &str, terminal: &Terminal) {
    stage.wear(theme);
    hold(name, &stage.draw((100, 30)), terminal);
}

#[test]
fn the_fleet_in_three_themes() {
    let mut stage = super::cast::seen();
    stage.keys("down down down");
    show("fleet", &mut stage, "default", &DARK);
    show("fleet-light", &mut stage, "light", &LIGHT);
    show("fleet-mono", &mut stage, "mono", &DARK);
}

#[test]
fn what_is_kept_and_the_way_back() {
    let mut stage = super::cast::seen();
    stage.keys("V");
    show("vault", &mut stage, "default", &DARK);
    let mut stage = super::wizard_pages::previewing(true);
    show("restore-preview", &mut stage, "dark", &DARK);
    stage.keys("end enter");
    show("restore-gate", &mut stage, "light", &LIGHT);
}

#[test]
fn the_way_in_and_the_way_about() {
    let mut stage = Stage::of_inventory(super::fleet::TWO);
    stage.keys("?");
    show("help", &mut stage, "default", &DARK);
    stage.keys("esc :").text("re");
    show("palette", &mut stage, "dark", &DARK);
    stage.keys("esc T down down");
    hold("themes", &stage.draw((100, 30)), &LIGHT);
    let model = Stage::of_inventory("version = 1\n").app.model;
    stage.app = App::new(model, Box::new(FirstPage::new(true, true)));
    show("welcome", &mut stage, "default", &DARK);
}
