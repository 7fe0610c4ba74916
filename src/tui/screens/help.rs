//! Help: what works on the page it was called from, generated from the action table.

use crate::tui::action::{Action, Group, Offer};
use crate::tui::keymap::Keymap;
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// The page, with what the page before offered.
pub struct Help {
    lines: Vec<Line>,
    selection: Selection,
}

enum Line {
    Blank,
    Heading(&'static str),
    Action(String, &'static str, &'static str, bool),
    Reason(String),
}

impl Help {
    /// Help on these offers with the keys in force.
    pub fn of(offers: Vec<Offer>, keymap: &Keymap) -> Self {
        let mut lines = Vec::new();
        for group in Group::ALL {
            let of_group: Vec<&Offer> = offers.iter().filter(|offer| offer.action.group() == group).collect();
            if of_group.is_empty() {
                continue;
            }
            if !lines.is_empty() {
                lines.push(Line::Blank);
            }
            lines.push(Line::Heading(group.heading()));
            for offer in of_group {
                let info = offer.action.info();
                lines.push(Line::Action(keymap.labels(offer.action), info.name, info.about, offer.off.is_none()));
                if let Some(why) = &offer.off {
                    lines.push(Line::Reason(format!("not now: {why}")));
                }
            }
        }
        Self { lines, selection: Selection::default() }
    }
}

const PAGE: usize = 10;

impl Screen for Help {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["help".to_owned()]
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last].map(Offer::on).into()
    }

    fn act(&mut self, action: Action, _model: &Model) -> Vec<Effect> {
        self.selection.move_by(action, self.lines.len(), PAGE);
        Vec::new()
    }

    /// ```text
    /// ┌ What works here ──────────────────────────────────────────────┐
    /// │ Work                                                          │
    /// │   b            backup     Back up what is marked or selected. │
    /// │   u            rollback   Undo a run from what it kept aside. │
    /// │                           not now: nothing to undo            │
    /// └───────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel("What works here", true, canvas.area, canvas);
        let height = usize::from(inner.area.height);
        let top = self.selection.top(self.lines.len(), height);
        let selected = self.selection.row(self.lines.len());
        let is_long = self.lines.len() > height;
        for (y, (at, line)) in (0..inner.area.height).zip(self.lines.iter().enumerate().skip(top)) {
            match line {
                Line::Blank => {}
                Line::Heading(heading) => _ = inner.text(1, y, heading, Role::Heading),
                Line::Action(keys, name, about, is_on) => {
                    let (key, text) =
                        if *is_on { (Role::KeyHint, Role::Text) } else { (Role::Disabled, Role::Disabled) };
                    inner.text_within(3, y, 16, keys, key);
                    inner.text_within(20, y, 13, name, text);
                    inner.text(34, y, about, if *is_on { Role::Muted } else { Role::Disabled });
                }
                Line::Reason(why) => _ = inner.text(34, y, why, Role::StatusWarn),
            }
            if is_long && Some(at) == selected {
                inner.paint_row(y, Role::SelectionIdle);
            }
        }
    }
}
