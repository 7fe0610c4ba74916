//! Asking for a secret: nothing of it is shown, and nothing of it stays in memory.

use std::sync::mpsc::SyncSender;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::over;
use crate::model::secret::SecretString;
use crate::model::text::CleanText;
use crate::tui::modal::{Answer, Modal, Takes, wants_out};
use crate::tui::model::Model;
use crate::tui::quiet::Quiet;
use crate::tui::screen::{Canvas, wrap};
use crate::tui::theme::Role;
use crate::tui::widgets::panel::render_panel;

/// No secret is longer; room for it is taken once, so that growing leaves no copy behind.
const LONGEST: usize = 4096;

/// The question.
pub struct Secret {
    purpose: String,
    reply: SyncSender<Option<SecretString>>,
    typed: Zeroizing<String>,
    /// What was typed for something else must not become part of a secret, nor be sent as one.
    quiet: Quiet,
}

impl Secret {
    /// Asks for `purpose` from this moment on; the worker that wants it waits for the reply.
    pub fn asking(purpose: &str, reply: SyncSender<Option<SecretString>>, now: Timestamp) -> Self {
        let purpose = CleanText::new(purpose).one_line().to_string();
        let typed = Zeroizing::new(String::with_capacity(LONGEST));
        Self { purpose, reply, typed, quiet: Quiet::from(now) }
    }

    fn add(&mut self, letters: impl Iterator<Item = char>) {
        for letter in letters {
            if self.typed.len() + letter.len_utf8() <= LONGEST {
                self.typed.push(letter);
            }
        }
    }
}

impl Modal for Secret {
    fn key(&mut self, key: KeyEvent, model: &Model) -> Answer {
        if !self.quiet.is_over(model.now) {
            return Answer::Stay(Vec::new());
        }
        let answer = match key.code {
            _ if wants_out(key) => None,
            KeyCode::Enter => Some(SecretString::from(self.typed.as_str())),
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.typed.clear();
                return Answer::Stay(Vec::new());
            }
            KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::CONTROL) => return Answer::Stay(Vec::new()),
            KeyCode::Char(letter) => {
                self.add(std::iter::once(letter));
                return Answer::Stay(Vec::new());
            }
            KeyCode::Backspace => {
                self.typed.pop();
                return Answer::Stay(Vec::new());
            }
            _ => return Answer::Stay(Vec::new()),
        };
        // The worker may have given up meanwhile; then nobody needs the answer.
        let _ = self.reply.try_send(answer);
        Answer::Close(Vec::new())
    }

    fn pasted(&mut self, text: &str, model: &Model) {
        if !self.quiet.is_over(model.now) {
            return;
        }
        self.add(text.trim_end_matches(['\r', '\n']).chars());
    }

    fn takes(&self) -> Takes {
        Takes::Secret
    }

    /// ```text
    /// ┌ Secret ────────────────────────────────────┐
    /// │ sudo password of ops@val-1                 │
    /// │  typed; nothing of it is shown             │
    /// │ enter gives it   ctrl-u clears   esc declines │
    /// └────────────────────────────────────────────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let lines = wrap(&self.purpose, 58);
        let rows = u16::try_from(lines.len().min(4)).unwrap_or(4);
        let area = over(canvas, 64, rows + 7);
        let mut inner = render_panel("Secret", true, area, canvas);
        for (y, line) in (1..=rows).zip(&lines) {
            inner.text(2, y, line, Role::Text);
        }
        let typed = if self.typed.is_empty() { " nothing typed yet " } else { " typed; nothing of it is shown " };
        inner.text(2, rows + 2, typed, Role::Secret);
        inner.text(2, rows + 4, "enter gives it   ctrl-u clears it   esc declines", Role::Muted);
    }
}
