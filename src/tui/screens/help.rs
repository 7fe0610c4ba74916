//! Help: what works on the page it was called from, generated from the action table.

use crate::tui::action::{Action, Offer};
use crate::tui::keymap::Keymap;
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// The page, with what the page before offered.
pub struct Help {
    rows: Vec<(String, Offer)>,
    selection: Selection,
}

impl Help {
    /// Help on these offers with the keys in force.
    pub fn of(offers: Vec<Offer>, keymap: &Keymap) -> Self {
        let keys = |action: Action| {
            let bindings = keymap.bindings().iter().filter(move |binding| binding.action == action);
            let keys = bindings.map(|b| b.on.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            keys.collect::<Vec<_>>().join(", ")
        };
        Self { rows: offers.into_iter().map(|o| (keys(o.action), o)).collect(), selection: Selection::default() }
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
        self.selection.move_by(action, self.rows.len(), PAGE);
        Vec::new()
    }

    /// ```text
    /// ┌ What works here ──────────────────────────┐
    /// │ b           Back up what is selected.     │
    /// │ u           not now: nothing to undo      │
    /// └───────────────────────────────────────────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel("What works here", true, canvas.area, canvas);
        let top = self.selection.top(self.rows.len(), usize::from(inner.area.height));
        for (y, (keys, offer)) in (0..inner.area.height).zip(self.rows.iter().skip(top)) {
            let info = offer.action.info();
            inner.text_within(1, y, 18, keys, Role::KeyHint);
            match &offer.off {
                None => inner.text(20, y, info.about, Role::Text),
                Some(why) => inner.text(20, y, &format!("{} Not now: {why}.", info.about), Role::Disabled),
            };
        }
    }
}
