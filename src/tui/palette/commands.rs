//! The command palette: an action by its name, with suggestions, what it would complete to, and what was typed before.

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::layout::Rect;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::over;
use crate::tui::action::{Action, ActionInfo, Offer};
use crate::tui::filter::Filter;
use crate::tui::keymap::Keymap;
use crate::tui::message::{Effect, Tone};
use crate::tui::modal::{Answer, Modal, Takes, wants_out};
use crate::tui::model::Model;
use crate::tui::screen::Canvas;
use crate::tui::theme::Role;
use crate::tui::widgets::field::render_field;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// Rows of suggestions.
const ROWS: u16 = 12;

/// The palette.
pub struct Commands {
    rows: Vec<(String, Offer)>,
    typed: Input,
    selection: Selection,
    /// What was typed before, newest first.
    history: Vec<String>,
    /// Which of those stands in the line.
    recalled: Option<usize>,
}

impl Commands {
    /// Over these offers.
    pub fn over(offers: Vec<Offer>, keymap: &Keymap, history: &[String]) -> Self {
        let rows = offers.into_iter().map(|offer| (keymap.label(offer.action).unwrap_or_default(), offer)).collect();
        let history = history.iter().rev().cloned().collect();
        Self { rows, typed: Input::default(), selection: Selection::default(), history, recalled: None }
    }

    /// The suggestions, the likeliest first.
    fn shown(&self) -> Vec<&(String, Offer)> {
        let typed = self.word();
        if typed.is_empty() {
            return self.rows.iter().filter(|(_, offer)| !offer.action.is_motion()).collect();
        }
        let pattern = Pattern::parse(&typed, CaseMatching::Ignore, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut letters = Vec::new();
        let mut scored: Vec<(u32, &(String, Offer))> = Vec::new();
        for row in &self.rows {
            let info = row.1.action.info();
            let best = names(info).filter_map(|name| {
                let score = pattern.score(Utf32Str::new(name, &mut letters), &mut matcher)?;
                Some(score + if name.starts_with(&typed) { 10_000 } else { 1_000 })
            });
            let is_told = info.about.to_lowercase().contains(&typed);
            if let Some(score) = best.max().or(is_told.then_some(1)) {
                scored.push((score, row));
            }
        }
        scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        scored.into_iter().map(|(_, row)| row).collect()
    }

    /// The name that is typed, without what follows it.
    fn word(&self) -> String {
        self.typed.value().split_whitespace().next().unwrap_or_default().to_lowercase()
    }

    /// What follows the name.
    fn argument(&self) -> Option<&str> {
        self.typed.value().trim().split_once(char::is_whitespace).map(|(_, rest)| rest.trim())
    }

    /// The rest of the likeliest name, when what is typed is its beginning.
    fn ghost(&self) -> Option<&'static str> {
        let typed = self.typed.value();
        if typed.is_empty() {
            return None;
        }
        let (_, first) = self.shown().first().copied()?;
        names(first.action.info()).find_map(|name| name.strip_prefix(typed)).filter(|rest| !rest.is_empty())
    }

    fn set(&mut self, text: String) {
        self.typed = Input::new(text);
        self.selection = Selection::default();
    }

    /// Steps through what was typed before.
    fn recall(&mut self, older: bool) {
        let next = match (self.recalled, older) {
            (None, true) => Some(0),
            (Some(at), true) => Some((at + 1).min(self.history.len().saturating_sub(1))),
            (Some(at), false) => at.checked_sub(1),
            (None, false) => None,
        };
        let text = next.and_then(|at| self.history.get(at).cloned());
        self.recalled = next.filter(|_| text.is_some());
        self.set(text.unwrap_or_default());
    }

    fn enter(&self) -> Answer {
        let typed = self.typed.value().trim().to_owned();
        if let (Some(Action::Theme), Some(name)) = (Action::named(&self.word()), self.argument()) {
            let name = name.to_owned();
            return Answer::Close(vec![Effect::Typed(typed), Effect::Theme(name), Effect::Remember]);
        }
        let len = self.shown().len();
        let selected = self.selection.row(len).and_then(|row| self.shown().get(row).map(|(_, offer)| offer.action));
        let is_first = self.selection.row(len) == Some(0);
        // A name typed whole is meant, unless another was moved to.
        let exact = Action::named(&self.word()).filter(|_| is_first || len == 0);
        Answer::Close(match exact.filter(|action| self.rows.iter().any(|(_, o)| o.action == *action)).or(selected) {
            Some(action) => vec![Effect::Typed(action.info().name.to_owned()), Effect::Act(action)],
            None => match exact {
                Some(action) => {
                    vec![Effect::Say(Tone::Warn, format!("'{}' does nothing on this page.", action.info().name))]
                }
                None if typed.is_empty() => Vec::new(),
                None => vec![Effect::Say(
                    Tone::Warn,
                    format!("There is no command '{typed}'. Press ? for what works here."),
                )],
            },
        })
    }
}

fn names(info: &'static ActionInfo) -> impl Iterator<Item = &'static str> {
    std::iter::once(info.name).chain(info.aliases.iter().copied())
}

impl Modal for Commands {
    fn key(&mut self, key: KeyEvent, _model: &Model) -> Answer {
        let is_empty = self.typed.value().is_empty();
        let is_recalling = self.recalled.is_some();
        match key.code {
            _ if wants_out(key) => return Answer::Close(Vec::new()),
            KeyCode::Enter => return self.enter(),
            KeyCode::Up | KeyCode::Char('[') if is_recalling || (is_empty && !self.history.is_empty()) => {
                self.recall(true);
            }
            KeyCode::Down | KeyCode::Char(']') if is_recalling => self.recall(false),
            KeyCode::Backspace if is_empty => return Answer::Close(Vec::new()),
            KeyCode::Up => _ = self.selection.move_by(Action::Up, self.shown().len(), 1),
            KeyCode::Down => _ = self.selection.move_by(Action::Down, self.shown().len(), 1),
            KeyCode::PageUp => _ = self.selection.move_by(Action::PageUp, self.shown().len(), ROWS.into()),
            KeyCode::PageDown => _ = self.selection.move_by(Action::PageDown, self.shown().len(), ROWS.into()),
            KeyCode::Tab | KeyCode::Right if self.ghost().is_some() => {
                let whole = format!("{}{}", self.typed.value(), self.ghost().unwrap_or_default());
                self.set(whole);
            }
            KeyCode::Tab => {}
            _ => {
                self.typed.handle_event(&TermEvent::Key(key));
                self.selection = Selection::default();
                self.recalled = None;
            }
        }
        Answer::Stay(Vec::new())
    }

    fn pasted(&mut self, text: &str, _model: &Model) {
        let line: String =
            text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
        self.set(format!("{}{line}", self.typed.value()));
    }

    fn clicked(&mut self, row: usize) -> Answer {
        self.selection.select(row);
        Answer::Stay(Vec::new())
    }

    fn takes(&self) -> Takes {
        Takes::Text
    }

    /// ```text
    /// ┌ Command ──────────────────────────────────────────────────────────┐
    /// │ :restore                                                          │
    /// │                                                                   │
    /// │ restore        r         Bring a copy back onto a host.           │
    /// │ resume         e         not now: nothing was interrupted         │
    /// └ tab completes   ↑ what was typed before   enter does it   esc ────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let shown = self.shown();
        let area = over(canvas, 76, ROWS + 5);
        let mut inner = render_panel("Command", true, area, canvas);
        let end = inner.text(1, 0, ":", Role::KeyHint);
        // What it would complete to stands after the cursor, while that is at the end.
        let is_at_end = self.typed.cursor() == self.typed.value().chars().count();
        if let Some(ghost) = self.ghost().filter(|_| is_at_end) {
            let end = inner.text(end, 0, self.typed.value(), Role::Text);
            inner.text(end, 0, ghost, Role::Disabled);
        } else {
            let width = inner.area.width.saturating_sub(end + 1);
            render_field(end, 0, width, &self.typed, Role::Text, &mut inner);
        }
        let height = inner.area.height.saturating_sub(3);
        let filter = Filter::new(&self.word());
        let selected = self.selection.row(shown.len());
        let top = self.selection.top(shown.len(), height.into());
        for (y, (at, (key, offer))) in (2..2 + height).zip(shown.iter().enumerate().skip(top)) {
            inner.mark_row(y, at);
            let info = offer.action.info();
            let role = if offer.off.is_some() { Role::Disabled } else { Role::Text };
            inner.text_within(1, y, 14, info.name, role);
            inner.text_within(16, y, 10, key, if offer.off.is_some() { Role::Disabled } else { Role::KeyHint });
            match &offer.off {
                Some(why) => inner.text(27, y, &format!("not now: {why}"), role),
                None => inner.text(27, y, info.about, role),
            };
            let names = Rect { x: inner.area.x + 1, width: 14, ..inner.area };
            inner.within(names).mark_matches(y, Some(&filter));
            if Some(at) == selected {
                inner.paint_row(y, Role::Selection);
            }
        }
        if shown.is_empty() {
            inner.text(1, 2, "No command is called that.", Role::Muted);
        }
        let hint = if self.history.is_empty() {
            "tab completes   enter does it   esc closes"
        } else {
            "tab completes   enter does it   up: typed before   esc closes"
        };
        inner.text(1, 2 + height, hint, Role::Muted);
    }
}
