//! The gallery in `screenshots/`: real pages, drawn by the real views.

use super::picture::{DARK, LIGHT, Terminal, hold};
use super::stage::Stage;

/// Draws a page in a theme and holds it.
#[track_caller]
fn show(name: &str, stage: &mut Stage, theme: &str, terminal: &Terminal) {
    stage.wear(theme);
    hold(name, &stage.draw((100, 30)), terminal);
}

#[test]
fn the_fleet_in_three_themes() {
    let mut stage = Stage::of_inventory(super::fleet::TWO);
    show("fleet", &mut stage, "default", &DARK);
    show("fleet-light", &mut stage, "light", &LIGHT);
    show("fleet-mono", &mut stage, "mono", &DARK);
}
