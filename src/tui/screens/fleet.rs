//! The fleet: every host and item at a glance, the first page.

use crate::engine::fleet::OwnerView;
use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::frame::look_of;
use crate::tui::message::{Effect, Order};
use crate::tui::model::Model;
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// The page.
#[derive(Default)]
pub struct FleetPage {
    hosts: Selection,
    filter: Option<Filter>,
}

const PAGE: usize = 10;

impl FleetPage {
    fn shown<'m>(&self, model: &'m Model) -> Vec<&'m OwnerView> {
        let is_shown = |owner: &&OwnerView| self.filter.as_ref().is_none_or(|f| f.shows(owner.id.as_str()));
        model.fleet.owners.iter().filter(is_shown).collect()
    }
}

impl Screen for FleetPage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        Vec::new()
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        [Action::Refresh, Action::Filter, Action::Shell, Action::Copy].into_iter().chain(moves).map(Offer::on).collect()
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        let shown = self.shown(model);
        if self.hosts.move_by(action, shown.len(), PAGE) {
            return Vec::new();
        }
        match action {
            Action::Filter => vec![Effect::Ask(palette::filter(self.filter.as_ref().map_or("", Filter::text)))],
            Action::Refresh => {
                let selected = self.hosts.row(shown.len()).and_then(|row| shown.get(row));
                selected.map(|owner| Effect::Order(Order::Look(vec![owner.id.clone()]))).into_iter().collect()
            }
            Action::Shell => {
                let selected = self.hosts.row(shown.len()).and_then(|row| shown.get(row));
                let host = selected.and_then(|owner| crate::model::ids::HostId::new(owner.id.as_str()).ok());
                host.map(Effect::Shell).into_iter().collect()
            }
            Action::Copy => {
                let selected = self.hosts.row(shown.len()).and_then(|row| shown.get(row));
                selected.map(|owner| Effect::Copy(owner.id.to_string())).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// ```text
    /// ┌ Fleet ──────────────┐
    /// │ ● val-1        5 ok │
    /// └─────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel("Fleet", true, canvas.area, canvas);
        let shown = self.shown(model);
        let selected = self.hosts.row(shown.len());
        let top = self.hosts.top(shown.len(), usize::from(inner.area.height));
        for (y, (row, owner)) in (0..inner.area.height).zip(shown.iter().enumerate().skip(top)) {
            let worst = owner.worst();
            let (role, sign) = look_of(worst, &inner.theme.glyphs);
            inner.text(1, y, sign, role);
            inner.text_within(3, y, 24, owner.id.as_str(), Role::Text);
            inner.text(28, y, worst.word(), role);
            if Some(row) == selected {
                inner.paint_row(y, Role::Selection);
            }
        }
    }
}
