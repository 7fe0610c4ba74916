//! The items of the selected host, or the sum of the selected group.

use std::collections::BTreeMap;

use super::FleetPage;
use super::rows::Row;
use crate::engine::fleet::{ItemState, ItemView, OwnerView, Reach, ServiceView};
use crate::engine::phrases::{count, rung_word};
use crate::tui::action::Action;
use crate::tui::frame::look_of;
use crate::tui::model::Model;
use crate::tui::screen::Canvas;
use crate::tui::theme::Role;
use crate::tui::when::{age, ago};
use crate::tui::widgets::lines::render_sentences;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// A row of the pane.
enum ItemRow<'m> {
    Service(&'m ServiceView),
    Item(&'m ItemView),
    Note(String, Role),
}

/// Widths of the columns after the item's name.
const STATE: u16 = 13;
const SHOWN: u16 = 12;
const GOOD: u16 = 9;
const GOOD_SHORT: u16 = 5;
const COPIES: u16 = 15;

/// The least room for the reason why; less would break off every one.
const WHY: u16 = 24;

/// From this width on the number and size of copies are shown too, and why things stand as they do.
const ROOMY: u16 = 76;

/// The widest a name's column grows; more would only part what belongs together.
const NAME: u16 = 34;

impl FleetPage {
    /// ```text
    /// ┌ val-1 ─────────────────────────────────────────────┐
    /// │ ITEM                  GOOD  SHOWN        STATE     │
    /// │ avalanchego                                        │
    /// │  staking identity     2h    drilled 3d   ● ok      │
    /// └────────────────────────────────────────────────────┘
    /// ```
    pub(super) fn render_items(&self, model: &Model, has_focus: bool, canvas: &mut Canvas) {
        let row = self.tree.selected(model);
        let marked = if self.marks.is_empty() { String::new() } else { format!(", {} marked", self.marks.len()) };
        let title = match &row {
            Some(Row::Owner(owner)) => format!("{}{marked}", owner.id),
            Some(Row::Group { name, owners, .. }) => format!("{name}, {}{marked}", count(owners.len(), "host")),
            None => format!("Items{marked}"),
        };
        let mut inner = render_panel(&title, has_focus, canvas.area, canvas);
        match row {
            Some(Row::Owner(owner)) => self.render_owner_items(owner, model, has_focus, &mut inner),
            Some(Row::Group { owners, .. }) => render_sum(&owners, model, &mut inner),
            None => render_sentences(&[("Nothing is selected.", Role::Muted)], &mut inner),
        }
    }

    fn render_owner_items(&self, owner: &OwnerView, model: &Model, has_focus: bool, canvas: &mut Canvas) {
        if owner.items().next().is_none() {
            render_nothing(owner, model, canvas);
            return;
        }
        render_heading(canvas);
        let rows = rows_of(owner);
        let chosen = self.item(model).map(|item| &item.place);
        let at = rows.iter().position(|row| matches!(row, ItemRow::Item(item) if Some(&item.place) == chosen));
        let mut selection = Selection::default();
        selection.select(at.unwrap_or(0));
        let height = canvas.area.height.saturating_sub(1);
        let top = selection.top(rows.len(), usize::from(height));
        for (y, (number, row)) in (1..=height).zip(rows.iter().enumerate().skip(top)) {
            match row {
                ItemRow::Service(service) => render_service(service, y, canvas),
                ItemRow::Note(text, role) => {
                    canvas.text(2, y, text, *role);
                }
                ItemRow::Item(item) => {
                    canvas.mark_row(y, number);
                    render_item(item, self.marks.contains(&item.place), model, y, canvas);
                    canvas.mark_matches(y, self.tree.filter());
                    if Some(number) == at {
                        canvas.paint_row(y, if has_focus { Role::Selection } else { Role::SelectionIdle });
                    }
                }
            }
        }
    }
}

fn rows_of(owner: &OwnerView) -> Vec<ItemRow<'_>> {
    let mut rows = Vec::new();
    for service in &owner.services {
        rows.push(ItemRow::Service(service));
        rows.extend(service.items.iter().map(ItemRow::Item));
        if service.items.is_empty() {
            let (note, role) = match &service.failure {
                Some(failure) => (failure.message.clone(), Role::StatusBad),
                None if service.found.as_ref().is_some_and(|found| !found.present) => {
                    ("not there".to_owned(), Role::StatusUnknown)
                }
                None => ("not seen yet".to_owned(), Role::Muted),
            };
            rows.push(ItemRow::Note(note, role));
        }
    }
    rows
}

/// The item in a row of the pane.
pub(super) fn item_at(owner: &OwnerView, row: usize) -> Option<&ItemView> {
    match rows_of(owner).get(row) {
        Some(ItemRow::Item(item)) => Some(*item),
        _ => None,
    }
}

/// Where the number of copies, the age of the newest good one, the most that was shown of any, state and reason begin; a
/// column that is not there begins where the next one does.
fn columns(width: u16) -> [u16; 5] {
    if width >= ROOMY {
        let copies = NAME.min(width.saturating_sub(COPIES + GOOD + SHOWN + STATE + 5));
        let good = copies + COPIES;
        let shown = good + GOOD + 2;
        let state = shown + SHOWN + 2;
        let why = state + STATE + 2;
        return [copies, good, shown, state, if width >= why + WHY { why } else { width }];
    }
    let state = width.saturating_sub(STATE);
    let shown = state.saturating_sub(SHOWN + 1);
    let good = shown.saturating_sub(GOOD_SHORT + 1);
    [good, good, shown, state, width]
}

fn render_heading(canvas: &mut Canvas) {
    let [copies, good, shown, state, why] = columns(canvas.area.width);
    canvas.text_within(1, 0, copies.saturating_sub(2), "ITEM", Role::Heading);
    canvas.text(why, 0, "WHY", Role::Heading);
    if copies < good {
        canvas.text(copies, 0, "COPIES", Role::Heading);
    }
    canvas.text(good, 0, "GOOD", Role::Heading);
    canvas.text(shown, 0, "SHOWN", Role::Heading);
    canvas.text(state, 0, "STATE", Role::Heading);
}

/// ```text
/// avalanchego 1.13.5                      not running
/// ```
fn render_service(service: &ServiceView, y: u16, canvas: &mut Canvas) {
    let found = service.found.as_ref();
    let version = found.and_then(|found| found.version.as_ref()).map(|version| {
        let version = version.one_line();
        // Some servers say their own name with it.
        let bare = version.as_str().strip_prefix(service.kind.as_str()).and_then(|rest| rest.strip_prefix('/'));
        format!(" {}", bare.unwrap_or(version.as_str()))
    });
    let (word, role) = match (service.failure_word(), found) {
        (Some(word), _) => (word, Role::StatusBad),
        (None, Some(found)) if found.units.is_empty() => ("", Role::Muted),
        (None, Some(found)) if found.units.iter().any(crate::model::facts::UnitFacts::is_running) => {
            ("running", Role::Muted)
        }
        (None, Some(_)) => ("stopped", Role::StatusWarn),
        (None, None) => ("", Role::Muted),
    };
    let state = columns(canvas.area.width)[3];
    let end = canvas.text_within(1, y, state.saturating_sub(1), service.name.as_str(), Role::Heading);
    canvas.text_within(end, y, state.saturating_sub(end + 1), &version.unwrap_or_default(), Role::Muted);
    canvas.text(state, y, word, role);
}

fn render_item(item: &ItemView, is_marked: bool, model: &Model, y: u16, canvas: &mut Canvas) {
    let glyphs = canvas.theme.glyphs;
    let [copies, good, shown, state, why] = columns(canvas.area.width);
    if is_marked {
        canvas.text(0, y, glyphs.flag, Role::Marked);
    }
    canvas.text_within(2, y, copies.saturating_sub(3), item.title(), Role::Text);
    if copies < good {
        let told = match item.copies() {
            [] => "none".to_owned(),
            [newest, ..] => format!("{}, {}", item.copies().len(), newest.size),
        };
        canvas.text_within(copies, y, COPIES - 1, &told, Role::Muted);
    }
    let wide = shown - good;
    match item.last_good() {
        Some(at) if wide > GOOD => canvas.text_within(good, y, GOOD, &ago(at, model.now), Role::Text),
        Some(at) => canvas.text_within(good, y, GOOD_SHORT, &age(at, model.now), Role::Text),
        None => canvas.text_within(good, y, GOOD, "-", Role::Muted),
    };
    match item.last_proof(model.now) {
        Some((rung, at)) => {
            let told = format!("{} {}", short_rung(rung), age(at, model.now));
            canvas.text_within(shown, y, SHOWN, &told, Role::Text)
        }
        None => canvas.text_within(shown, y, SHOWN, "-", Role::Muted),
    };
    let (role, sign) = look_of(item.state, &glyphs);
    let end = canvas.text(state, y, sign, role) + 1;
    canvas.text(end, y, item.state.word(), role);
    canvas.text(why, y, &item.why, Role::Muted);
}

fn short_rung(rung: crate::model::manifest::Rung) -> &'static str {
    match rung {
        crate::model::manifest::Rung::Intact => "intact",
        rung => rung_word(Some(rung)),
    }
}

/// Why there is no item, and what to do next.
fn render_nothing(owner: &OwnerView, model: &Model, canvas: &mut Canvas) {
    let looking = model.looking.contains(&owner.id);
    let failed = owner.services.iter().find_map(|service| service.failure.as_ref());
    let absent = owner.services.iter().all(|service| service.found.is_some());
    let text = |told: &str| told.to_owned();
    let (first, then, role) = match &owner.reach {
        _ if looking => {
            (text("It is being looked at."), text("What it has shows here as soon as it answers."), Role::Text)
        }
        _ if owner.services.is_empty() => {
            let table = if owner.is_cluster() { "clusters" } else { "hosts" };
            let then = format!("Name what is worth saving: [{table}.{}.services.…] in the inventory.", owner.id);
            (text("The inventory names no service of it."), then, Role::Text)
        }
        Reach::Failed(_, failure) => (failure.message.clone(), next_step(failure, model), Role::StatusBad),
        _ if failed.is_some() => {
            let failure = failed.map_or((String::new(), String::new()), |f| (f.message.clone(), next_step(f, model)));
            (failure.0, failure.1, Role::StatusBad)
        }
        Reach::Answered(_) if absent => (
            text("None of its services is there."),
            format!("{} shows what was found.", model.key(Action::Open)),
            Role::Text,
        ),
        _ => (
            text("Nobody has looked at it yet."),
            format!("{} looks at it now.", model.key(Action::Refresh)),
            Role::Text,
        ),
    };
    render_sentences(&[(&first, role), ("", Role::Text), (&then, Role::Muted)], canvas);
}

fn next_step(failure: &crate::model::exit::Failure, model: &Model) -> String {
    failure.hints.first().cloned().unwrap_or_else(|| format!("{} looks again.", model.key(Action::Refresh)))
}

/// How many items of a group stand in each state, the worst first.
fn render_sum(owners: &[&OwnerView], model: &Model, canvas: &mut Canvas) {
    let mut counts: BTreeMap<ItemState, (usize, &ItemView)> = BTreeMap::new();
    for item in owners.iter().flat_map(|owner| owner.items()) {
        counts.entry(item.state).or_insert((0, item)).0 += 1;
    }
    if counts.is_empty() {
        let then = format!("{} looks at all of them.", model.key(Action::Refresh));
        render_sentences(&[("Nothing is known of its items yet.", Role::Text), (&then, Role::Muted)], canvas);
        return;
    }
    let glyphs = canvas.theme.glyphs;
    let total: usize = counts.values().map(|(count, _)| count).sum();
    canvas.text(1, 0, &count(total, "item"), Role::Heading);
    for (y, (state, (number, first))) in (1..canvas.area.height).zip(counts.iter().rev()) {
        let (role, sign) = look_of(*state, &glyphs);
        canvas.text(1, y, sign, role);
        canvas.right(3, y, 4, &number.to_string(), role);
        canvas.text(8, y, state.word(), role);
        // The first one by name, so that a small number needs no search.
        if *state != ItemState::Ok {
            let more =
                if *number > 1 { format!("{} and {} more", first.place, number - 1) } else { first.place.to_string() };
            canvas.text(21, y, &more, Role::Muted);
        }
    }
}
