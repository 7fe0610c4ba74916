//! Modals: what is laid over a page and takes every key until it is answered or closed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::message::Effect;
use super::model::Model;
use super::screen::Canvas;

/// Something laid over the page.
pub trait Modal: Send {
    /// Takes a key. What it asks for is done after it is closed, when it closes.
    fn key(&mut self, key: KeyEvent, model: &Model) -> Answer;
    /// Takes pasted text.
    fn pasted(&mut self, _text: &str, _model: &Model) {}
    /// Takes a click on a row of its list; elsewhere a click means nothing while it lies there.
    fn clicked(&mut self, _row: usize) -> Answer {
        Answer::Stay(Vec::new())
    }
    /// Whether it asks before the console stops: who wants that twice is asked once.
    fn asks_before_stopping(&self) -> bool {
        false
    }
    /// What it takes from a console without a screen.
    fn takes(&self) -> Takes;
    /// Draws itself over the page's whole area, choosing its own place in it.
    fn view(&self, model: &Model, canvas: &mut Canvas);
}

/// What a modal takes from a console without a screen, where a line is read at a time. What it does not take is refused:
/// the letters of a word must not be pressed one by one where each may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Takes {
    /// A line of text.
    Text,
    /// A secret, which must not be shown anywhere, also not by the terminal itself.
    Secret,
    /// One of its rows, by these names in their order, or a key.
    Row(Vec<String>),
    /// A key.
    Key,
}

/// Whether a key wants out of what is being typed or chosen: esc, and what a shell taught everybody.
pub fn wants_out(key: KeyEvent) -> bool {
    key.code == KeyCode::Esc || (key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL))
}

/// What a key did to a modal.
pub enum Answer {
    /// It stays, and asks for this meanwhile.
    Stay(Vec<Effect>),
    /// It closes, and asks for this.
    Close(Vec<Effect>),
    /// It closes; the filter of the page becomes this text.
    Narrow(String),
    /// It stays; the filter of the page becomes this text.
    Narrowing(String),
}
