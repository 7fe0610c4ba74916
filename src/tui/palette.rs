//! The modals every page shares: commands, filter, themes, a secret, and leaving while jobs run.

use std::sync::mpsc::SyncSender;

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent};
use ratatui::layout::Rect;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::action::{Action, Offer};
use super::filter::Filter;
use super::keymap::Keymap;
use super::message::{Effect, Tone};
use super::modal::{Answer, Modal};
use super::model::Model;
use super::screen::Canvas;
use super::theme::Role;
use super::widgets::panel::render_panel;
use crate::model::secret::SecretString;

/// The command palette over these offers.
pub fn commands(offers: Vec<Offer>, keymap: &Keymap, history: &[String]) -> Box<dyn Modal> {
    let rows = offers.into_iter().map(|offer| (keymap.label(offer.action).unwrap_or_default(), offer)).collect();
    Box::new(Commands { rows, typed: Input::default(), at: 0, history: history.to_vec() })
}

/// The chooser of themes.
pub fn themes(_current: &str) -> Box<dyn Modal> {
    Box::new(Themes)
}

/// Asks for a secret; nothing of it is shown.
pub fn secret(purpose: &str, reply: SyncSender<Option<SecretString>>) -> Box<dyn Modal> {
    Box::new(Secret { purpose: purpose.to_owned(), reply, typed: Input::default() })
}

/// Asks whether to leave while jobs run.
pub fn quit(live: Vec<String>) -> Box<dyn Modal> {
    Box::new(Leaving { live })
}

/// The filter line of a page.
pub fn filter(text: &str) -> Box<dyn Modal> {
    Box::new(FilterLine { typed: Input::new(text.to_owned()) })
}

struct Commands {
    rows: Vec<(String, Offer)>,
    typed: Input,
    at: usize,
    history: Vec<String>,
}

impl Commands {
    fn shown(&self) -> Vec<&(String, Offer)> {
        let filter = Filter::new(self.typed.value());
        let text =
            |info: &super::action::ActionInfo| format!("{} {} {}", info.name, info.aliases.join(" "), info.about);
        self.rows.iter().filter(|(_, offer)| filter.shows(&text(offer.action.info()))).collect()
    }
}

impl Modal for Commands {
    fn key(&mut self, key: KeyEvent, _model: &Model) -> Answer {
        match key.code {
            KeyCode::Esc => return Answer::Close(Vec::new()),
            KeyCode::Up => self.at = self.at.saturating_sub(1),
            KeyCode::Down => self.at = (self.at + 1).min(self.shown().len().saturating_sub(1)),
            KeyCode::Enter => {
                let exact = Action::named(self.typed.value().trim());
                let chosen = exact.or_else(|| self.shown().get(self.at).map(|(_, offer)| offer.action));
                return Answer::Close(match chosen {
                    Some(action) => vec![Effect::Act(action)],
                    None => vec![Effect::Say(Tone::Warn, format!("There is no command '{}'.", self.typed.value()))],
                });
            }
            _ => {
                self.typed.handle_event(&TermEvent::Key(key));
                self.at = 0;
            }
        }
        Answer::Stay(Vec::new())
    }

    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let shown = self.shown();
        let height = u16::try_from(shown.len()).unwrap_or(u16::MAX).saturating_add(4).min(canvas.area.height);
        let area = middle(canvas.area, 64, height);
        let mut inner = render_panel("Command", true, area, canvas);
        let end = inner.text(1, 0, ":", Role::KeyHint);
        inner.text(end, 0, self.typed.value(), Role::Input);
        for (row, (key, offer)) in (2..).zip(&shown) {
            let info = offer.action.info();
            let role = if offer.off.is_some() { Role::Disabled } else { Role::Text };
            inner.text_within(1, row, 14, info.name, role);
            inner.text_within(16, row, 9, key, Role::KeyHint);
            inner.text(26, row, offer.off.as_deref().unwrap_or(info.about), role);
            if usize::from(row) == self.at + 2 {
                inner.paint_row(row, Role::Selection);
            }
        }
        let _ = &self.history;
    }
}

struct FilterLine {
    typed: Input,
}

impl Modal for FilterLine {
    fn key(&mut self, key: KeyEvent, _model: &Model) -> Answer {
        match key.code {
            KeyCode::Esc => Answer::Narrow(String::new()),
            KeyCode::Enter => Answer::Narrow(self.typed.value().to_owned()),
            _ => {
                self.typed.handle_event(&TermEvent::Key(key));
                Answer::Narrowing(self.typed.value().to_owned())
            }
        }
    }

    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let area = Rect { y: canvas.area.bottom().saturating_sub(1), height: 1, ..canvas.area };
        let mut line = canvas.within(area);
        line.clear();
        let end = line.text(1, 0, "/", Role::KeyHint);
        let end = line.text(end, 0, self.typed.value(), Role::Input);
        if let Some(mistake) = Filter::new(self.typed.value()).mistake() {
            line.text(end + 2, 0, mistake, Role::StatusWarn);
        }
    }
}

struct Themes;

impl Modal for Themes {
    fn key(&mut self, _key: KeyEvent, _model: &Model) -> Answer {
        Answer::Close(Vec::new())
    }

    fn view(&self, _model: &Model, _canvas: &mut Canvas) {}
}

struct Secret {
    purpose: String,
    reply: SyncSender<Option<SecretString>>,
    typed: Input,
}

impl Modal for Secret {
    fn key(&mut self, key: KeyEvent, _model: &Model) -> Answer {
        let answer = match key.code {
            KeyCode::Esc => None,
            KeyCode::Enter => Some(SecretString::from(self.typed.value())),
            _ => {
                self.typed.handle_event(&TermEvent::Key(key));
                return Answer::Stay(Vec::new());
            }
        };
        // The worker may have given up meanwhile; then nobody needs the answer.
        let _ = self.reply.try_send(answer);
        Answer::Close(Vec::new())
    }

    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let area = middle(canvas.area, 64, 7);
        let mut inner = render_panel("Secret", true, area, canvas);
        inner.text(1, 1, &self.purpose, Role::Text);
        let typed = if self.typed.value().is_empty() { "nothing typed yet" } else { "typed; nothing is shown" };
        inner.text(1, 2, typed, Role::Secret);
        inner.text(1, 4, "enter gives it   esc declines", Role::Muted);
    }
}

struct Leaving {
    live: Vec<String>,
}

impl Modal for Leaving {
    fn key(&mut self, key: KeyEvent, _model: &Model) -> Answer {
        match key.code {
            KeyCode::Char('c') => Answer::Close(vec![Effect::Quit]),
            KeyCode::Esc | KeyCode::Enter => Answer::Close(Vec::new()),
            _ => Answer::Stay(Vec::new()),
        }
    }

    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let height = u16::try_from(self.live.len()).unwrap_or(u16::MAX).saturating_add(6).min(canvas.area.height);
        let area = middle(canvas.area, 64, height);
        let mut inner = render_panel("Still at work", true, area, canvas);
        for (row, title) in (0..).zip(&self.live) {
            inner.text(1, row, title, Role::StatusRunning);
        }
        let row = inner.area.height.saturating_sub(2);
        inner.text(1, row, "Leaving cancels them, and what they changed is undone.", Role::Text);
        inner.text(1, row + 1, "esc stay   c cancel them and leave", Role::KeyHint);
    }
}

/// A place of at most this size in the middle of an area.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}
