//! An item: its copies over time, what was proven of each, and how the node differs from them now.

use std::collections::BTreeSet;

use ratatui::layout::Rect;

use crate::engine::fleet::ItemView;
use crate::engine::holdings::CopyView;
use crate::model::exit::Failure;
use crate::model::ids::{ItemRef, SnapshotId};
use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Notice, Order};
use crate::tui::model::Model;
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::screens::compare::ComparePage;
use crate::tui::screens::inside::InsidePage;
use crate::tui::theme::Glyphs;
use crate::tui::widgets::lines::{Line, render_lines};
use crate::tui::widgets::list::Cursor;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::panes::Panes;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::wizard;
use crate::vault::Snapshot;

mod copies;
mod detail;
mod ladder;

const COPIES: u8 = 1;
const LADDER: u8 = 2;
const DETAIL: u8 = 3;

/// From this width on the detail stands on the right.
const WIDE: u16 = 110;

/// Rows a page key moves.
const PAGE: usize = 8;

/// The page.
pub struct ItemPage {
    place: ItemRef,
    panes: Panes,
    copy: Cursor<SnapshotId>,
    marks: BTreeSet<SnapshotId>,
    filter: Option<Filter>,
    detail: Scroll,
    /// The snapshot read whole last.
    whole: Option<(SnapshotId, Result<Box<Snapshot>, Failure>)>,
}

fn id_of<'c>(copy: &'c &CopyView) -> &'c SnapshotId {
    &copy.id
}

impl ItemPage {
    /// Opens the page on the newest copy, and has that one read whole.
    pub fn open(place: ItemRef, model: &Model) -> Vec<Effect> {
        let mut page = Self {
            place,
            panes: Panes::default(),
            copy: Cursor::default(),
            marks: BTreeSet::new(),
            filter: None,
            detail: Scroll::default(),
            whole: None,
        };
        // A copy that is made meanwhile does not take the place of the one that is looked at.
        page.copy = page.copies(model).first().map(|copy| Cursor::on(copy.id.clone())).unwrap_or_default();
        let read = page.read_selected(model);
        std::iter::once(Effect::Open(Box::new(page))).chain(read).collect()
    }

    fn item<'m>(&self, model: &'m Model) -> Option<&'m ItemView> {
        model.fleet.item(&self.place)
    }

    /// Its copies: from the fleet, or of a host in no inventory from the vault alone.
    fn copies<'m>(&self, model: &'m Model) -> &'m [CopyView] {
        match (self.item(model), &model.holdings) {
            (Some(item), _) => item.copies(),
            (None, Some(holdings)) => holdings.copies(&self.place),
            (None, None) => &[],
        }
    }

    /// Those of them that the filter shows.
    fn shown<'m>(&self, model: &'m Model) -> Vec<&'m CopyView> {
        let is_shown = |copy: &&CopyView| self.filter.as_ref().is_none_or(|filter| filter.shows(&copies::told(copy)));
        self.copies(model).iter().filter(is_shown).collect()
    }

    fn selected<'m>(&self, model: &'m Model) -> Option<&'m CopyView> {
        let shown = self.shown(model);
        shown.get(self.copy.row(&shown, id_of)?).copied()
    }

    fn read_selected(&self, model: &Model) -> Option<Effect> {
        let copy = self.selected(model)?;
        Some(Effect::Order(Order::ReadSnapshot(self.place.clone(), copy.id.clone())))
    }

    /// The two snapshots a comparison means, the older first: two marked ones, or the selected and the one before it.
    fn pair(&self, model: &Model) -> Result<(SnapshotId, SnapshotId), &'static str> {
        let copies = self.copies(model);
        let marked: Vec<&CopyView> = copies.iter().filter(|copy| self.marks.contains(&copy.id)).collect();
        match marked.as_slice() {
            [newer, older] => return Ok((older.id.clone(), newer.id.clone())),
            [] => {}
            [_] => return Err("one copy is marked; mark another one"),
            _ => return Err("two copies are compared; more are marked"),
        }
        let selected = self.selected(model).ok_or("there is no copy of it")?;
        let at = copies.iter().position(|copy| copy.id == selected.id).ok_or("there is no copy of it")?;
        match (copies.get(at + 1), copies.get(at)) {
            (Some(older), Some(newer)) => Ok((older.id.clone(), newer.id.clone())),
            _ => Err("there is no older copy to compare with"),
        }
    }

    fn meant(&self, model: &Model) -> Vec<(ItemRef, SnapshotId)> {
        let copies = self.copies(model).iter();
        let marked: Vec<_> =
            copies.filter(|copy| self.marks.contains(&copy.id)).map(|c| (self.place.clone(), c.id.clone())).collect();
        if !marked.is_empty() {
            return marked;
        }
        self.selected(model).map(|copy| (self.place.clone(), copy.id.clone())).into_iter().collect()
    }

    fn detail_lines(&self, model: &Model, glyphs: &Glyphs) -> Vec<Line> {
        let whole = self.whole.as_ref().filter(|(id, _)| self.selected(model).is_some_and(|copy| copy.id == *id));
        detail::lines(self.item(model), self.selected(model), whole.map(|(_, read)| read), model, glyphs)
    }
}

impl Screen for ItemPage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec![self.place.owner.to_string(), self.place.service.to_string(), self.place.item.to_string()]
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let hidden = self.shown(model).is_empty().then_some("the filter shows no copy");
        let none = self.copies(model).is_empty().then_some("there is no copy of it").or(hidden);
        let unknown = self.item(model).is_none().then_some("it is in no inventory");
        let no_marks = self.marks.is_empty().then_some("nothing is marked");
        let mut offers = vec![
            Offer::unless(Action::Open, none),
            Offer::unless(Action::Restore, none),
            Offer::unless(Action::Verify, none),
            Offer::unless(Action::BackUp, unknown),
            Offer::unless(Action::Diff, self.pair(model).err()),
            Offer::unless(Action::Mark, none),
            Offer::unless(Action::Unmark, no_marks),
            Offer::unless(Action::MarkAll, none),
            Offer::unless(Action::Copy, none),
            Offer::unless(Action::Refresh, unknown),
            Offer::on(Action::Filter),
        ];
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        offers.extend(moves.map(Offer::on));
        offers.extend(Panes::offers(DETAIL));
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        if self.panes.act(action, DETAIL) {
            return Vec::new();
        }
        let shown = self.shown(model);
        if self.panes.focus(DETAIL) == DETAIL {
            if self.detail.move_by(action) {
                return Vec::new();
            }
        } else if self.copy.move_by(action, &shown, PAGE, id_of) {
            self.detail.reset();
            return self.read_selected(model).into_iter().collect();
        }
        match action {
            Action::Open => {
                let copy = self.selected(model);
                copy.map(|copy| InsidePage::open(self.place.clone(), copy.id.clone())).unwrap_or_default()
            }
            Action::Diff => match self.pair(model) {
                Ok((older, newer)) => ComparePage::open((self.place.clone(), older), (self.place.clone(), newer)),
                Err(_) => Vec::new(),
            },
            Action::Restore => {
                let copy = self.selected(model).map(|copy| copy.id.clone());
                vec![Effect::Open(wizard::restore(Some(self.place.clone()), copy))]
            }
            Action::Verify => vec![Effect::Open(wizard::verify(self.meant(model)))],
            Action::BackUp => vec![Effect::Open(wizard::back_up(vec![self.place.clone()]))],
            Action::Refresh => {
                vec![Effect::Order(Order::Look(vec![self.place.owner.clone()])), Effect::Order(Order::ReadVault)]
            }
            Action::Mark => {
                if let Some(id) = self.selected(model).map(|copy| copy.id.clone())
                    && !self.marks.remove(&id)
                {
                    self.marks.insert(id);
                }
                self.copy.move_by(Action::Down, &shown, PAGE, id_of);
                self.read_selected(model).into_iter().collect()
            }
            Action::MarkAll => {
                self.marks.extend(shown.iter().map(|copy| copy.id.clone()));
                Vec::new()
            }
            Action::Unmark => {
                self.marks.clear();
                Vec::new()
            }
            Action::Filter => vec![Effect::Ask(palette::filter(self.filter.as_ref().map_or("", Filter::text)))],
            Action::Copy => {
                let named = self.selected(model).map(|copy| format!("{}@{}", self.place, copy.id));
                named.map(Effect::Copy).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, model: &Model) -> Vec<Effect> {
        click.pane.into_iter().for_each(|pane| self.panes.go(pane));
        let Some(row) = click.row else { return Vec::new() };
        self.copy.select(row, &self.shown(model), id_of);
        self.detail.reset();
        self.read_selected(model).into_iter().collect()
    }

    fn noticed(&mut self, notice: &Notice, model: &Model) -> Vec<Effect> {
        match notice {
            Notice::Snapshot(item, id, read) if *item == self.place => {
                self.whole = Some((id.clone(), read.clone()));
                Vec::new()
            }
            Notice::Vault(Ok(_)) => self.read_selected(model).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
        self.detail.reset();
    }

    fn narrowed(&mut self, model: &Model) -> Vec<Effect> {
        self.read_selected(model).into_iter().collect()
    }

    /// ```text
    /// ┌ Copies, 3 ────────────────────────────────────────────────────┐
    /// │ ● 2026-11-20 00:50Z  2h   1.17 KiB sealed  verified 2h        │
    /// └───────────────────────────────────────────────────────────────┘
    /// ┌ Ladder ─────────────────────────┐┌ 20261120T005000Z-7f3a ─────┐
    /// │ verified      ●    ●     ●   2h ││ ● good      Nothing speaks │
    /// │ copied        ●    ●     ●   2h ││ source      val-1          │
    /// └─────────────────────────────────┘└────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let area = canvas.area;
        let focus = self.panes.focus(DETAIL);
        let is_wide = area.width >= WIDE;
        let left = if is_wide { area.width * 5 / 8 } else { area.width * 9 / 20 };
        // The ladder has five rungs, the trend three rows; what is over belongs to the copies.
        let bottom = if is_wide { 14.min(area.height / 2) } else { 12.min(area.height * 3 / 5) };
        let top = area.height - bottom;
        let mut places = [
            Rect { width: if is_wide { left } else { area.width }, height: top, ..area },
            Rect { y: area.y + top, width: left, height: bottom, ..area },
            if is_wide {
                Rect { x: area.x + left, width: area.width - left, ..area }
            } else {
                Rect { x: area.x + left, y: area.y + top, width: area.width - left, height: bottom }
            },
        ];
        if self.panes.is_zoomed() {
            places = [COPIES, LADDER, DETAIL].map(|pane| if pane == focus { area } else { Rect::default() });
        }
        self.render_copies(model, focus == COPIES, &mut canvas.within(places[0]).as_pane(COPIES));
        ladder::render_ladder(
            self.copies(model),
            self.selected(model),
            model.now,
            focus == LADDER,
            &mut canvas.within(places[1]).as_pane(LADDER),
        );
        let title = self.selected(model).map_or("Detail".to_owned(), |copy| copy.id.to_string());
        let lines = self.detail_lines(model, &canvas.theme.glyphs);
        let mut pane = canvas.within(places[2]).as_pane(DETAIL);
        let mut inner = render_panel(&title, focus == DETAIL, places[2], &mut pane);
        render_lines(&lines, &self.detail, &mut inner);
    }
}
