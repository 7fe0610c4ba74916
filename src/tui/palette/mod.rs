//! The modals every page shares: commands, filter, themes, a secret, leaving and stopping while jobs run.

mod commands;
mod filter_line;
mod practice;
mod secret;
mod themes;
mod warn;

use std::sync::mpsc::SyncSender;

use jiff::Timestamp;
use ratatui::layout::Rect;

use super::action::Offer;
use super::keymap::Keymap;
use super::modal::Modal;
use super::screen::Canvas;
use crate::engine::practice::PracticeNode;
use crate::model::ids::HostId;
use crate::model::secret::SecretString;

/// The command palette over these offers.
pub fn commands(offers: Vec<Offer>, keymap: &Keymap, history: &[String]) -> Box<dyn Modal> {
    Box::new(commands::Commands::over(offers, keymap, history))
}

/// The chooser of themes: names with a sentence each, and the one that is worn.
pub fn themes(themes: Vec<(String, String)>, worn: &str, has_colours: bool) -> Box<dyn Modal> {
    Box::new(themes::Themes::of(themes, worn, has_colours))
}

/// The faults of the practice fleet, at a node.
pub fn practice(nodes: Vec<PracticeNode>, at: Option<&HostId>) -> Box<dyn Modal> {
    Box::new(practice::Faults::of(nodes, at))
}

/// Asks for a secret, from this moment on; nothing of it is shown.
pub fn secret(purpose: &str, reply: SyncSender<Option<SecretString>>, now: Timestamp) -> Box<dyn Modal> {
    Box::new(secret::Secret::asking(purpose, reply, now))
}

/// Asks whether to leave while jobs run.
pub fn quit(live: Vec<String>, now: Timestamp) -> Box<dyn Modal> {
    Box::new(warn::Warn::before_leaving(live, now))
}

/// Asks whether to stop while guards are armed.
pub fn suspend(guarded: Vec<String>, now: Timestamp) -> Box<dyn Modal> {
    Box::new(warn::Warn::before_stopping(guarded, now))
}

/// The filter line of a page.
pub fn filter(text: &str) -> Box<dyn Modal> {
    Box::new(filter_line::FilterLine::of(text))
}

/// A place of at most this size in the middle of a canvas, and all but the header steps back behind it: what takes the
/// keys now is plain to see.
fn over(canvas: &mut Canvas, width: u16, height: u16) -> Rect {
    let area = canvas.area;
    canvas.within(Rect { y: area.y.saturating_add(1), height: area.height.saturating_sub(1), ..area }).step_back();
    middle(area, width, height)
}

/// A place of at most this size in the middle of an area.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}
