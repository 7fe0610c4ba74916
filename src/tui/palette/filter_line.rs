//! The line a filter is typed in; the list follows every letter.

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent};
use ratatui::layout::Rect;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use crate::tui::filter::Filter;
use crate::tui::modal::{Answer, Modal, Takes, wants_out};
use crate::tui::model::Model;
use crate::tui::screen::Canvas;
use crate::tui::theme::Role;
use crate::tui::widgets::field::render_field;

/// The line.
pub struct FilterLine {
    typed: Input,
}

impl FilterLine {
    /// With the filter in force.
    pub fn of(text: &str) -> Self {
        Self { typed: Input::new(text.to_owned()) }
    }
}

impl Modal for FilterLine {
    fn key(&mut self, key: KeyEvent, _model: &Model) -> Answer {
        match key.code {
            _ if wants_out(key) => Answer::Narrow(String::new()),
            KeyCode::Enter => Answer::Narrow(self.typed.value().to_owned()),
            KeyCode::Backspace if self.typed.value().is_empty() => Answer::Narrow(String::new()),
            _ => {
                self.typed.handle_event(&TermEvent::Key(key));
                Answer::Narrowing(self.typed.value().to_owned())
            }
        }
    }

    fn pasted(&mut self, text: &str, _model: &Model) {
        let line: String =
            text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
        self.typed = Input::new(format!("{}{line}", self.typed.value()));
    }

    fn takes(&self) -> Takes {
        Takes::Text
    }

    /// ```text
    ///  /val !nats                         enter keeps it   esc clears it   !word without   /a pattern/
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let area = Rect { y: canvas.area.bottom().saturating_sub(1), height: 1, ..canvas.area };
        let mut line = canvas.within(area);
        line.clear();
        let end = line.text(1, 0, "/", Role::KeyHint);
        let width = line.area.width;
        let end = render_field(end, 0, width / 2, &self.typed, Role::Text, &mut line);
        let filter = Filter::new(self.typed.value());
        let (said, role) = match filter.mistake() {
            Some(mistake) => (format!("{mistake}; everything is shown"), Role::StatusWarn),
            None => ("words   !without   /pattern/   enter keeps it   esc clears it".to_owned(), Role::Muted),
        };
        let room = width.saturating_sub(end + 3);
        line.right(end + 2, 0, room, &said, role);
    }
}
