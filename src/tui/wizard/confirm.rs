//! What must be given before the first change: words typed exactly, or a choice whose default is Cancel.

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent};
use jiff::{SignedDuration, Timestamp};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;
use unicode_width::UnicodeWidthStr;

use super::errand::{Consent, Word};
use crate::tui::modal::wants_out;
use crate::tui::quiet::Quiet;
use crate::tui::screen::{Canvas, wrap};
use crate::tui::theme::Role;
use crate::tui::widgets::field::render_field;

/// Left alone for this long, the page goes back to the preview.
pub const IDLE: SignedDuration = SignedDuration::from_secs(90);

/// The columns of what is asked around a word.
const ASKED: usize = "Type  to go on:".len();

/// The page's state.
pub struct Confirm {
    consent: Consent,
    at: usize,
    typed: Input,
    start: bool,
    said: Option<&'static str>,
    quiet: Quiet,
    touched: Timestamp,
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Nothing yet.
    Not,
    /// Everything: the plan may run.
    All,
    /// The operator goes back.
    Back,
}

impl Confirm {
    /// Opens the page at a moment.
    pub fn open(consent: Consent, now: Timestamp) -> Self {
        let typed = Input::default();
        Self { consent, at: 0, typed, start: false, said: None, quiet: Quiet::from(now), touched: now }
    }

    /// The words, once all of them are given.
    pub fn words(&self) -> &[Word] {
        match &self.consent {
            Consent::Words(words) => words,
            Consent::None | Consent::Start(_) => &[],
        }
    }

    /// Whether nobody touched it for too long.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        now.duration_since(self.touched) >= IDLE || now < self.touched
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent, now: Timestamp) -> Given {
        if self.is_idle(now) {
            return Given::Back;
        }
        self.touched = now;
        if !self.quiet.is_over(now) {
            return Given::Not;
        }
        self.said = None;
        match (key.code, &self.consent) {
            _ if wants_out(key) => Given::Back,
            (KeyCode::Enter, Consent::Words(_)) => self.enter(now),
            (KeyCode::Enter, _) if self.start => Given::All,
            (KeyCode::Enter, _) => Given::Back,
            (KeyCode::Left | KeyCode::Right | KeyCode::Tab | KeyCode::BackTab, Consent::Start(_)) => {
                self.start = !self.start;
                Given::Not
            }
            (_, Consent::Words(_)) => {
                self.typed.handle_event(&TermEvent::Key(key));
                Given::Not
            }
            _ => Given::Not,
        }
    }

    fn enter(&mut self, now: Timestamp) -> Given {
        let typed = std::mem::take(&mut self.typed);
        if typed.value().is_empty() {
            return Given::Back;
        }
        let (is_right, is_last) = {
            let words = self.words();
            (words.get(self.at).is_some_and(|word| word.word == typed.value()), self.at + 1 >= words.len())
        };
        match (is_right, is_last) {
            (false, _) => {
                self.said = Some("That is not the word. Nothing was changed.");
                Given::Not
            }
            (true, true) => Given::All,
            (true, false) => {
                self.at += 1;
                self.quiet = Quiet::from(now);
                Given::Not
            }
        }
    }

    /// The keys that do more than write.
    pub fn keys(&self) -> &'static [(&'static str, &'static str)] {
        match self.consent {
            Consent::Words(_) => &[("enter", "give the word"), ("esc", "back to the preview")],
            Consent::Start(_) | Consent::None => {
                &[("tab", "choose"), ("enter", "do it"), ("esc", "back to the preview")]
            }
        }
    }

    /// Pasted text is no answer.
    pub fn pasted(&mut self) {
        self.said = Some("Pasted text is no answer here: type the word.");
    }

    /// ```text
    ///  Question 1 of 2                            plan 9f2c81aa1b2c
    ///
    ///  old-1 could not be reached, so nothing proves that this
    ///  identity is not running there.
    ///
    ///  Type  old-1  to go on
    ///  ›
    ///
    ///  Enter with nothing typed goes back; nothing was changed so far.
    /// ```
    ///
    /// `plans` says what the answer starts.
    pub fn view(&self, plans: &str, canvas: &mut Canvas) {
        let width = canvas.area.width.saturating_sub(2);
        canvas.right(1, 0, width, plans, Role::Muted);
        match &self.consent {
            Consent::Words(words) => self.view_word(words, canvas),
            Consent::Start(question) => self.view_start(question, canvas),
            Consent::None => {}
        }
    }

    fn view_word(&self, words: &[Word], canvas: &mut Canvas) {
        let Some(word) = words.get(self.at) else { return };
        canvas.text(1, 0, &format!("Question {} of {}", self.at + 1, words.len()), Role::Heading);
        let mut y = lines(&word.question, 2, Role::Text, canvas) + 1;
        if word.word.width() + ASKED <= usize::from(canvas.area.width.saturating_sub(2)) {
            let end = canvas.text(1, y, "Type ", Role::Text);
            let end = canvas.text(end, y, &word.word, Role::StatusWarn);
            canvas.text(end, y, " to go on:", Role::Text);
            y += 1;
        } else {
            canvas.text(1, y, "Type this to go on, in one piece:", Role::Text);
            y = lines(&word.word, y + 1, Role::StatusWarn, canvas);
        }
        y += 1;
        let end = canvas.text(1, y, "> ", Role::KeyHint);
        let width = canvas.area.width.saturating_sub(end + 1);
        render_field(end, y, width, &self.typed, Role::Input, canvas);
        y += 2;
        if let Some(said) = self.said {
            canvas.text(1, y, said, Role::StatusWarn);
            y += 1;
        }
        lines("Enter with nothing typed, or esc, goes back. Nothing was changed so far.", y, Role::Muted, canvas);
    }

    fn view_start(&self, question: &str, canvas: &mut Canvas) {
        canvas.text(1, 0, "Start?", Role::Heading);
        let y = lines(question, 2, Role::Text, canvas) + 1;
        let look = |is_on: bool| if is_on { Role::Selection } else { Role::Text };
        let end = canvas.text(1, y, " Cancel ", look(!self.start));
        canvas.text(end + 2, y, " Start ", look(self.start));
        let y = match self.said {
            Some(said) => {
                canvas.text(1, y + 2, said, Role::StatusWarn);
                y + 3
            }
            None => y + 2,
        };
        lines("Tab chooses, enter does it. Nothing was changed so far.", y, Role::Muted, canvas);
    }
}

/// Draws wrapped text from a row on; gives the row after it.
fn lines(text: &str, from: u16, role: Role, canvas: &mut Canvas) -> u16 {
    let lines = wrap(text, usize::from(canvas.area.width.saturating_sub(2)));
    let mut y = from;
    for line in lines {
        canvas.text(1, y, &line, role);
        y += 1;
    }
    y
}
