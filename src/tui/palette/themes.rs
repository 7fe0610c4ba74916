//! The chooser of themes: each is worn while it is selected.

use crossterm::event::{KeyCode, KeyEvent};

use super::middle;
use crate::tui::action::Action;
use crate::tui::message::Effect;
use crate::tui::modal::{Answer, Modal, Takes, wants_out};
use crate::tui::model::Model;
use crate::tui::screen::Canvas;
use crate::tui::theme::Role;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// The chooser.
pub struct Themes {
    /// Names with a sentence each.
    rows: Vec<(String, String)>,
    worn: String,
    has_colours: bool,
    selection: Selection,
}

impl Themes {
    /// Over these themes, at the one that is worn.
    pub fn of(themes: Vec<(String, String)>, worn: &str, has_colours: bool) -> Self {
        let mut selection = Selection::default();
        selection.select(themes.iter().position(|(name, _)| name == worn).unwrap_or(0));
        Self { rows: themes, worn: worn.to_owned(), has_colours, selection }
    }

    fn selected(&self) -> Option<String> {
        self.selection.row(self.rows.len()).and_then(|row| self.rows.get(row)).map(|(name, _)| name.clone())
    }

    fn wear(&self) -> Answer {
        Answer::Stay(self.selected().map(Effect::Theme).into_iter().collect())
    }
}

impl Modal for Themes {
    fn key(&mut self, key: KeyEvent, _model: &Model) -> Answer {
        let action = match key.code {
            _ if wants_out(key) || key.code == KeyCode::Char('q') => {
                return Answer::Close(vec![Effect::Theme(self.worn.clone())]);
            }
            KeyCode::Enter => {
                let chosen = self.selected().map(Effect::Theme);
                return Answer::Close(chosen.into_iter().chain([Effect::Remember]).collect());
            }
            KeyCode::Up | KeyCode::Char('k') => Action::Up,
            KeyCode::Down | KeyCode::Char('j') => Action::Down,
            KeyCode::Home => Action::First,
            KeyCode::End => Action::Last,
            _ => return Answer::Stay(Vec::new()),
        };
        self.selection.move_by(action, self.rows.len(), 10);
        self.wear()
    }

    fn clicked(&mut self, row: usize) -> Answer {
        self.selection.select(row);
        self.wear()
    }

    fn takes(&self) -> Takes {
        Takes::Row(self.rows.iter().map(|(name, _)| name.clone()).collect())
    }

    /// ```text
    /// ┌ Theme ─────────────────────────────────────────────────────────┐
    /// │ default         The terminal's own sixteen colours and ground. │
    /// │ dark            Quiet colours on a dark ground.                │
    /// │                                                                │
    /// │ ● ok  ▲ due  ✗ never  ○ absent  ◐ running                      │
    /// └────────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let rows = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
        let area = middle(canvas.area, 76, rows.saturating_add(6).min(canvas.area.height));
        let mut inner = render_panel("Theme", true, area, canvas);
        let height = inner.area.height.saturating_sub(4);
        let selected = self.selection.row(self.rows.len());
        let top = self.selection.top(self.rows.len(), height.into());
        for (y, (at, (name, about))) in (0..height).zip(self.rows.iter().enumerate().skip(top)) {
            inner.mark_row(y, at);
            inner.text_within(1, y, 16, name, Role::Text);
            inner.text(18, y, about, Role::Muted);
            if Some(at) == selected {
                inner.paint_row(y, Role::Selection);
            }
        }
        let glyphs = inner.theme.glyphs;
        let mut x = 1;
        for (sign, word, role) in [
            (glyphs.ok, "ok", Role::StatusOk),
            (glyphs.warn, "due", Role::StatusWarn),
            (glyphs.bad, "never", Role::StatusBad),
            (glyphs.unknown, "absent", Role::StatusUnknown),
            (glyphs.running, "running", Role::StatusRunning),
        ] {
            x = inner.text(x, height + 1, &format!("{sign} {word}"), role) + 3;
        }
        let hint = if self.has_colours {
            "enter keeps it   esc goes back"
        } else {
            "This terminal shows no colours, or NO_COLOR is set: every theme looks like mono.   enter keeps it"
        };
        inner.text(1, height + 3, hint, Role::Muted);
    }
}
