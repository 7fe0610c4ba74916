//! The gallery in `screenshots/`: real pages, drawn by the real views.

use super::picture::{DARK, LIGHT, Terminal, hold};
use super::stage::Stage;
use lifeboat::tui::app::App;
use lifeboat::tui::message::Notice;
use lifeboat::tui::screens::first::FirstPage;

/// Draws a page in a theme and holds it.
#[track_caller]
fn show(name: &str, stage: &mut Stage, theme: &str, terminal: &Terminal) {
    stage.wear(theme);
    let place = &mut stage.app.model.place;
    (place.home, place.vault) = ("/home/ops".into(), "/home/ops/lifeboat".into());
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
fn a_restore_under_way_and_its_receipt() {
    let (mut stage, job) = super::wizard_pages::under_way();
    show("restore-live", &mut stage, "dark", &DARK);
    let report = super::wizard_cast::report(serde_json::json!({}));
    stage.notice(Notice::Ended(job, Ok(Some(report))));
    show("restore-receipt", &mut stage, "dark", &DARK);
}

#[test]
fn the_way_in_and_the_way_about() {
    let mut stage = super::cast::seen();
    stage.app.model.place.inventory = "/home/ops/.config/lifeboat/inventory.toml".into();
    stage.app.model.place.home = "/home/ops".into();
    stage.app.model.place.vault = "/home/ops/lifeboat".into();
    stage.keys("/").text("val-1").keys("enter esc tab g g down down ?");
    show("help", &mut stage, "default", &DARK);
    stage.keys("esc :").text("re");
    show("palette", &mut stage, "dark", &DARK);
    stage.keys("esc T down down");
    hold("themes", &stage.draw((100, 30)), &LIGHT);
    let model = Stage::of_inventory("version = 1\n").app.model;
    stage.app = App::new(model, Box::new(FirstPage::new(true, true)));
    show("welcome", &mut stage, "default", &DARK);
}
