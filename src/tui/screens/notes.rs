//! The log: what the console noted, newest last.

use crate::tui::action::{Action, Offer};
use crate::tui::message::{Effect, Tone};
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// The page.
pub struct Notes {
    crumb: &'static str,
    selection: Selection,
}

impl Notes {
    /// The page at its newest line.
    pub fn new(crumb: &'static str) -> Self {
        let mut selection = Selection::default();
        selection.select(usize::MAX);
        Self { crumb, selection }
    }
}

const PAGE: usize = 10;

impl Screen for Notes {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec![self.crumb.to_owned()]
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last].map(Offer::on).into()
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        self.selection.move_by(action, model.log.len(), PAGE);
        Vec::new()
    }

    /// ```text
    /// ┌ Log ──────────────────────────────────────┐
    /// │ 02:50:11  val-1: looked at                │
    /// └───────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel("Log", true, canvas.area, canvas);
        let height = usize::from(inner.area.height);
        let top = self.selection.top(model.log.len(), height);
        for (y, line) in (0..inner.area.height).zip(model.log.iter().skip(top)) {
            let role = match line.tone {
                Tone::Plain => Role::Text,
                Tone::Warn => Role::StatusWarn,
                Tone::Bad => Role::StatusBad,
            };
            let end = inner.text(1, y, &line.at.strftime("%H:%M:%SZ").to_string(), Role::Muted);
            inner.text(end + 2, y, &line.text, role);
        }
    }
}
