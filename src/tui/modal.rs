//! Modals: what is laid over a page and takes every key until it is answered or closed.

use crossterm::event::KeyEvent;

use super::message::Effect;
use super::model::Model;
use super::screen::Canvas;

/// Something laid over the page.
pub trait Modal: Send {
    /// Takes a key. What it asks for is done after it is closed, when it closes.
    fn key(&mut self, key: KeyEvent, model: &Model) -> Answer;
    /// Takes pasted text.
    fn pasted(&mut self, _text: &str) {}
    /// Whether what is typed must not be shown anywhere, also not by the terminal itself.
    fn hides_typing(&self) -> bool {
        false
    }
    /// Draws itself over the page's whole area, choosing its own place in it.
    fn view(&self, model: &Model, canvas: &mut Canvas);
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
