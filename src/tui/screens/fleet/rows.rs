//! The tree of groups and hosts: what stands in it and what is selected.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use unicode_width::UnicodeWidthStr;

use super::order::{Order, group_of, rank};
use crate::engine::fleet::OwnerView;
use crate::model::ids::{ItemRef, OwnerId};
use crate::tui::action::Action;
use crate::tui::filter::Filter;
use crate::tui::frame::{look_of, look_of_trouble};
use crate::tui::message::Notice;
use crate::tui::model::Model;
use crate::tui::screen::Canvas;
use crate::tui::theme::{Glyphs, Role};
use crate::tui::widgets::lines::render_sentences;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::{Hidden, render_panel};

/// A row of the tree.
pub enum Row<'m> {
    /// A group with its hosts and clusters, shown or folded away.
    Group {
        /// Its name.
        name: String,
        /// Whether its hosts are folded away.
        is_folded: bool,
        /// Its hosts and clusters.
        owners: Vec<&'m OwnerView>,
    },
    /// A host or cluster.
    Owner(&'m OwnerView),
}

/// What is selected, by name: rows may come and go under it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cursor {
    Group(String),
    Owner(OwnerId),
}

/// The tree's own state.
#[derive(Default)]
pub struct Tree {
    cursor: Option<Cursor>,
    folded: BTreeSet<String>,
    order: Order,
    /// When somebody last did something here.
    touched: Option<Timestamp>,
}

/// How long after the last move the order may change by itself.
const AT_REST: SignedDuration = SignedDuration::from_secs(20);

/// How a host stands as a whole: role, sign and word.
pub fn look_of_owner(owner: &OwnerView, glyphs: &Glyphs) -> (Role, &'static str, String) {
    if let Some(trouble) = owner.trouble() {
        let (role, sign) = look_of_trouble(trouble, glyphs);
        return (role, sign, trouble.word().to_owned());
    }
    if owner.services.is_empty() || owner.items().next().is_none() {
        let word = if owner.services.is_empty() { "empty" } else { "no items" };
        return (Role::StatusUnknown, glyphs.unknown, word.to_owned());
    }
    let worst = owner.worst();
    let count = owner.items().filter(|item| item.state == worst).count();
    let (role, sign) = look_of(worst, glyphs);
    (role, sign, format!("{count} {}", worst.word()))
}

impl Tree {
    /// Every row, top to bottom.
    pub fn rows<'m>(&self, model: &'m Model) -> Vec<Row<'m>> {
        let groups = self.order.groups(&model.fleet);
        // One group of hosts without a name is no group worth a row.
        let is_flat = groups.len() == 1 && groups.iter().all(|((kind, _), _)| *kind > 0);
        let mut rows = Vec::new();
        for ((_, name), owners) in groups {
            if is_flat {
                rows.extend(owners.into_iter().map(Row::Owner));
                continue;
            }
            // What a filter finds is not hidden again by a fold.
            let is_folded = self.folded.contains(name) && self.filter().is_none();
            rows.push(Row::Group { name: name.to_owned(), is_folded, owners: owners.clone() });
            if !is_folded {
                rows.extend(owners.into_iter().map(Row::Owner));
            }
        }
        rows
    }

    /// The hosts and clusters that are shown.
    pub fn shown_owners<'m>(&self, model: &'m Model) -> Vec<&'m OwnerView> {
        self.order.groups(&model.fleet).into_iter().flat_map(|(_, owners)| owners).collect()
    }

    fn place(&self, rows: &[Row]) -> Option<usize> {
        let is_selected = |row: &Row| match (row, &self.cursor) {
            (Row::Owner(owner), Some(Cursor::Owner(id))) => owner.id == *id,
            (Row::Group { name, .. }, Some(Cursor::Group(group))) => name == group,
            _ => false,
        };
        let chosen = rows.iter().position(is_selected);
        // Until somebody chooses, the first host is selected; a host whose group was folded gives it to the group.
        let first = rows.iter().position(|row| matches!(row, Row::Owner(_)));
        let parent = match &self.cursor {
            Some(Cursor::Owner(id)) => rows
                .iter()
                .position(|row| matches!(row, Row::Group { owners, .. } if owners.iter().any(|owner| owner.id == *id))),
            _ => None,
        };
        chosen.or(parent).or(first).or((!rows.is_empty()).then_some(0))
    }

    /// The selected row.
    pub fn selected<'m>(&self, model: &'m Model) -> Option<Row<'m>> {
        if let Some(Cursor::Owner(id)) = &self.cursor
            && let Some(owner) = model.fleet.owner(id)
        {
            let is_folded = self.filter().is_none() && self.folded.contains(group_of(owner).1);
            if !is_folded && self.order.lets_through(owner) {
                return Some(Row::Owner(owner));
            }
        }
        let mut rows = self.rows(model);
        let at = self.place(&rows)?;
        Some(rows.swap_remove(at))
    }

    /// The group the selected row stands in.
    pub fn group_of_selected(&self, model: &Model) -> Option<String> {
        match self.selected(model)? {
            Row::Group { name, .. } => Some(name),
            Row::Owner(owner) => owner.groups.first().cloned(),
        }
    }

    fn select(&mut self, row: Option<&Row>) {
        self.cursor = match row {
            Some(Row::Owner(owner)) => Some(Cursor::Owner(owner.id.clone())),
            Some(Row::Group { name, .. }) => Some(Cursor::Group(name.clone())),
            None => None,
        };
    }

    /// Moves, folds or unfolds; `false` when the action does none of these here.
    pub fn act(&mut self, action: Action, model: &Model, page: usize) -> bool {
        let rows = self.rows(model);
        let at = self.place(&rows);
        let mut selection = Selection::default();
        selection.select(at.unwrap_or(0));
        if selection.move_by(action, rows.len(), page) {
            self.select(selection.row(rows.len()).and_then(|row| rows.get(row)));
            self.order.hold(&model.fleet);
            return true;
        }
        let row = at.and_then(|at| rows.get(at));
        match (action, row) {
            (Action::Fold, Some(Row::Group { name, is_folded, .. })) => self.fold(name.clone(), !is_folded),
            (Action::Left, Some(Row::Group { name, is_folded: false, .. })) => self.fold(name.clone(), true),
            (Action::Right, Some(Row::Group { name, is_folded: true, .. })) => self.fold(name.clone(), false),
            // From a host to its group, and from there it folds.
            (Action::Left | Action::Fold, Some(Row::Owner(owner))) => {
                let name = group_of(owner).1.to_owned();
                if !rows.iter().any(|row| matches!(row, Row::Group { .. })) {
                    return false;
                }
                if action == Action::Fold {
                    self.folded.insert(name.clone());
                }
                self.cursor = Some(Cursor::Group(name));
            }
            _ => return false,
        }
        true
    }

    /// Selects the row in a place.
    pub fn go(&mut self, row: usize, model: &Model) {
        let rows = self.rows(model);
        if let Some(row) = rows.get(row) {
            self.select(Some(row));
            self.order.hold(&model.fleet);
        }
    }

    fn fold(&mut self, name: String, folded: bool) {
        if folded {
            self.folded.insert(name.clone());
        } else {
            self.folded.remove(&name);
        }
        self.cursor = Some(Cursor::Group(name));
    }

    /// Selects what stands for a choice until somebody chooses. A frame asks several times what is selected, and with a
    /// cursor that is told without drawing up the whole tree.
    pub fn select_first(&mut self, model: &Model) {
        self.cursor = None;
        let rows = self.rows(model);
        let at = self.place(&rows);
        self.select(at.and_then(|at| rows.get(at)));
    }

    /// Holds the order while nodes are being looked at, and lets it go when the last one was.
    pub fn noticed(&mut self, notice: &Notice, model: &Model) {
        if self.cursor.is_none() {
            self.select_first(model);
        }
        match notice {
            Notice::Looking(_) => self.order.hold(&model.fleet),
            Notice::Reloaded(Ok(_)) => _ = self.order.release(),
            _ => self.settle(model),
        }
    }

    /// Lets the order go once nobody is looked at and nobody goes through the list.
    pub fn settle(&mut self, model: &Model) {
        let is_at_rest = self.touched.is_none_or(|at| model.now.duration_since(at).abs() >= AT_REST);
        if is_at_rest && model.looking.is_empty() && self.order.release() && self.touched.is_none() {
            // Nobody has chosen anything yet: the worst stands first and is selected.
            self.select_first(model);
        }
    }

    /// Remembers that somebody is at work here.
    pub fn touch(&mut self, model: &Model) {
        self.touched = Some(model.now);
    }

    /// Puts the worst first again, whoever goes through the list.
    pub fn sort(&mut self, model: &Model) {
        self.order.release();
        if !model.looking.is_empty() {
            self.order.hold(&model.fleet);
        }
    }

    /// Whether a host that stands worse now stands below one that stands better.
    pub fn is_out_of_order(&self, model: &Model) -> bool {
        self.order.is_out_of_order(&model.fleet)
    }

    /// Narrows what is shown.
    pub fn narrow(&mut self, filter: Filter) {
        self.order.narrow(filter);
    }

    /// The filter.
    pub fn filter(&self) -> Option<&Filter> {
        self.order.filter()
    }

    /// The filter as it was typed.
    pub fn filter_text(&self) -> &str {
        self.filter().map_or("", Filter::text)
    }

    /// Draws the pane.
    pub fn render(&self, model: &Model, marks: &BTreeSet<ItemRef>, has_focus: bool, canvas: &mut Canvas) {
        let title = match self.filter() {
            Some(filter) => format!("Fleet /{}", filter.text()),
            None if self.is_out_of_order(model) => "Fleet, not sorted".to_owned(),
            None => "Fleet".to_owned(),
        };
        let rows = self.rows(model);
        let mut inner = render_panel(&title, has_focus, canvas.area, canvas);
        if rows.is_empty() {
            render_empty(self.filter().is_some(), model, &mut inner);
            return;
        }
        let at = self.place(&rows);
        let mut selection = Selection::default();
        selection.select(at.unwrap_or(0));
        let top = selection.top(rows.len(), usize::from(inner.area.height));
        let hidden = Hidden::of(top, rows.len(), usize::from(inner.area.height));
        for (y, (number, row)) in (0..inner.area.height).zip(rows.iter().enumerate().skip(top)) {
            match row {
                Row::Group { name, is_folded, owners } => render_group(name, *is_folded, owners, y, &mut inner),
                Row::Owner(owner) => render_owner(owner, model, marks, y, &mut inner),
            }
            inner.mark_row(y, number);
            inner.mark_matches(y, self.filter());
            if Some(number) == at {
                inner.paint_row(y, if has_focus { Role::Selection } else { Role::SelectionIdle });
            }
        }
        hidden.render(canvas);
    }
}

fn render_empty(is_filtered: bool, model: &Model, canvas: &mut Canvas) {
    let again = model.shows_all_again();
    let sentences = if is_filtered {
        [("No host matches.", Role::Text), (again.as_str(), Role::Muted)]
    } else {
        [("No hosts.", Role::Text), ("Add one to the inventory.", Role::Muted)]
    };
    render_sentences(&sentences, canvas);
}

/// ```text
/// ▾ prod                 12
/// ```
fn render_group(name: &str, is_folded: bool, owners: &[&OwnerView], y: u16, canvas: &mut Canvas) {
    let glyphs = canvas.theme.glyphs;
    let width = canvas.area.width.saturating_sub(1);
    canvas.text(0, y, if is_folded { glyphs.folded } else { glyphs.unfolded }, Role::Muted);
    let mut count = owners.len().to_string();
    let worst = owners.iter().max_by_key(|owner| rank(owner)).filter(|_| is_folded);
    let worst = worst.map(|owner| look_of_owner(owner, &glyphs));
    if let Some((_, sign, _)) = worst {
        let alike = owners.iter().filter(|owner| look_of_owner(owner, &glyphs).1 == sign).count();
        count = format!("{alike} of {count}");
    }
    let mut right = width.saturating_sub(u16::try_from(count.width()).unwrap_or(0));
    canvas.text(right, y, &count, Role::Muted);
    if let Some((role, sign, _)) = worst {
        // A fold must not hide trouble: the worst inside shows through.
        right = right.saturating_sub(2);
        canvas.text(right, y, sign, role);
    }
    canvas.text_within(2, y, right.saturating_sub(3), name, Role::Heading);
}

/// ```text
/// ▌● val-1             1 stale
/// ```
fn render_owner(owner: &OwnerView, model: &Model, marks: &BTreeSet<ItemRef>, y: u16, canvas: &mut Canvas) {
    let glyphs = canvas.theme.glyphs;
    let (role, sign, word) = look_of_owner(owner, &glyphs);
    let is_looking = model.looking.contains(&owner.id);
    let mut marked = owner.items().filter(|item| marks.contains(&item.place)).peekable();
    if !marks.is_empty() && marked.peek().is_some() {
        canvas.text(0, y, glyphs.flag, Role::Marked);
    }
    let (sign, sign_role) = if is_looking { (glyphs.running, Role::StatusRunning) } else { (sign, role) };
    canvas.text(1, y, sign, sign_role);
    let room = canvas.area.width.saturating_sub(4);
    let name = owner.id.as_str();
    // The word loses its number before the name loses a letter.
    let bare = word.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let word = if name.width() + 1 + word.width() <= usize::from(room) { word.as_str() } else { bare };
    let word_width = u16::try_from(word.width()).unwrap_or(0);
    canvas.text_within(3, y, room.saturating_sub(word_width + 1), name, Role::Text);
    canvas.right(3, y, room, word, role);
}
