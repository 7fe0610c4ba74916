//! Questions before something that has consequences; staying is the answer of enter and esc.

use crossterm::event::{KeyCode, KeyEvent};
use jiff::Timestamp;

use super::over;
use crate::tui::message::Effect;
use crate::tui::modal::{Answer, Modal, Takes};
use crate::tui::model::Model;
use crate::tui::quiet::Quiet;
use crate::tui::screen::{Canvas, wrap};
use crate::tui::theme::Role;
use crate::tui::widgets::panel::render_panel;

/// Titles that are listed; more are counted.
const MOST: usize = 6;

/// The question.
pub struct Warn {
    title: &'static str,
    jobs: Vec<String>,
    text: &'static str,
    /// The letter that goes on, and what it does.
    key: char,
    does: fn() -> Effect,
    hint: &'static str,
    quiet: Quiet,
}

impl Warn {
    /// Before leaving while jobs run.
    pub fn before_leaving(jobs: Vec<String>, now: Timestamp) -> Self {
        Self {
            title: "Still at work",
            jobs,
            text: "What runs in this console ends with it. Leaving cancels it; what was changed is undone first.",
            key: 'c',
            does: || Effect::Quit,
            hint: "esc stay   c cancel and leave",
            quiet: Quiet::from(now),
        }
    }

    /// Before stopping while guards are armed.
    pub fn before_stopping(jobs: Vec<String>, now: Timestamp) -> Self {
        Self {
            title: "A node counts on this console",
            jobs,
            text: "Guards are armed. A stopped console is not heard, so the nodes will bring themselves back to a sound \
                   state, and what runs will fail.",
            key: 's',
            does: || Effect::Suspend,
            hint: "esc stay   s stop all the same",
            quiet: Quiet::from(now),
        }
    }
}

impl Modal for Warn {
    fn key(&mut self, key: KeyEvent, model: &Model) -> Answer {
        if !self.quiet.is_over(model.now) {
            return Answer::Stay(Vec::new());
        }
        match key.code {
            // The letter alone: ctrl-c is what somebody presses who wants out of the question, not out of the jobs.
            KeyCode::Char(letter) if letter == self.key && key.modifiers.is_empty() => {
                Answer::Close(vec![(self.does)()])
            }
            KeyCode::Esc | KeyCode::Enter => Answer::Close(Vec::new()),
            _ => Answer::Stay(Vec::new()),
        }
    }

    fn asks_before_stopping(&self) -> bool {
        matches!((self.does)(), Effect::Suspend)
    }

    fn takes(&self) -> Takes {
        Takes::Key
    }

    /// ```text
    /// ┌ Still at work ──────────────────────────────────────────────┐
    /// │  ◐ Back up val-1/files/tree                                 │
    /// │                                                             │
    /// │  What runs in this console ends with it. …                  │
    /// │                                                             │
    /// │  esc stay   c cancel and leave                              │
    /// └─────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let lines = wrap(self.text, 60);
        let more = self.jobs.len().saturating_sub(MOST);
        let listed = self.jobs.len().min(MOST) + usize::from(more > 0);
        let height = u16::try_from(listed + lines.len() + 6).unwrap_or(u16::MAX);
        let area = over(canvas, 68, height);
        let mut inner = render_panel(self.title, true, area, canvas);
        let mut y = 1;
        let running = inner.theme.glyphs.running;
        for title in self.jobs.iter().take(MOST) {
            inner.text(2, y, running, Role::StatusRunning);
            inner.text_within(4, y, 60, title, Role::Text);
            y += 1;
        }
        if more > 0 {
            inner.text(4, y, &format!("and {more} more"), Role::Muted);
            y += 1;
        }
        for line in &lines {
            y += 1;
            inner.text(2, y, line, Role::Text);
        }
        inner.text(2, y + 2, self.hint, Role::KeyHint);
    }
}
