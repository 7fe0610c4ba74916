//! Help: what works on the page it was called from, generated from the action table.

use std::path::Path;

use crate::tui::action::{Action, Group, Offer};
use crate::tui::keymap::Keymap;
use crate::tui::message::Effect;
use crate::tui::model::{Model, Place};
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::sheet::{Row, render_sheet};

/// The columns of keys and of names.
const KEYS: u16 = 16;
const NAME: u16 = 13;

/// The page, with what the page before offered.
pub struct Help {
    rows: Vec<Row>,
    scroll: Scroll,
}

impl Help {
    /// Help on these offers with the keys in force.
    pub fn of(offers: Vec<Offer>, keymap: &Keymap, place: &Place) -> Self {
        let mut rows = paths_in_use(place);
        for group in Group::ALL {
            let of_group: Vec<&Offer> = offers.iter().filter(|offer| offer.action.group() == group).collect();
            if of_group.is_empty() {
                continue;
            }
            if !rows.is_empty() {
                rows.push(Row::gap());
            }
            rows.push(Row::heading(group.heading()));
            rows.extend(of_group.into_iter().flat_map(|offer| rows_of(offer, keymap)));
        }
        Self { rows, scroll: Scroll::default() }
    }
}

/// What all of it is about: a header has not the room at every width.
fn paths_in_use(place: &Place) -> Vec<Row> {
    let path = |name: &str, path: &Path| Row::say(Role::Text, place.told(path)).set_in(2).cell(name, KEYS, Role::Muted);
    let named = [("inventory", &place.inventory), ("vault", &place.vault)].into_iter();
    let rows: Vec<Row> = named.filter(|(_, at)| !at.as_os_str().is_empty()).map(|(name, at)| path(name, at)).collect();
    if rows.is_empty() { rows } else { std::iter::once(Row::heading("In use")).chain(rows).collect() }
}

/// An action, and why it is off.
fn rows_of(offer: &Offer, keymap: &Keymap) -> Vec<Row> {
    let info = offer.action.info();
    let [key, name, about] = match offer.off {
        None => [Role::KeyHint, Role::Text, Role::Muted],
        Some(_) => [Role::Disabled; 3],
    };
    let row = |text: &str, role, keys: String, named: &str| {
        Row::say(role, text).set_in(2).cell(keys, KEYS, key).cell(named, NAME, name)
    };
    let mut rows = vec![row(info.about, about, keymap.labels(offer.action), info.name)];
    rows.extend(offer.off.iter().map(|why| row(&format!("not now: {why}"), Role::StatusWarn, String::new(), "")));
    rows
}

impl Screen for Help {
    fn opened_by(&self) -> Option<Action> {
        Some(Action::Help)
    }

    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["help".to_owned()]
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last].map(Offer::on).into()
    }

    fn act(&mut self, action: Action, _model: &Model) -> Vec<Effect> {
        self.scroll.move_by(action);
        Vec::new()
    }

    /// ```text
    /// ┌ What works here ──────────────────────────────────────────────┐
    /// │ In use                                                        │
    /// │   vault        ~/lifeboat                                     │
    /// │                                                               │
    /// │ Work                                                          │
    /// │   b            backup     Back up what is marked or selected. │
    /// │   u            rollback   Undo a run from what it kept aside. │
    /// │                           not now: nothing to undo            │
    /// └───────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let hidden = {
            let mut inner = render_panel("What works here", true, canvas.area, canvas);
            render_sheet(&self.rows, &self.scroll, &mut inner)
        };
        hidden.render(canvas);
    }
}
