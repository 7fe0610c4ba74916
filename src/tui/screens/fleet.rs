//! The fleet: every host and item at a glance, the first page.

use std::collections::BTreeSet;

use ratatui::layout::Rect;

use crate::engine::fleet::{ItemView, OwnerView};
use crate::model::ids::{HostId, ItemRef, OwnerId, SnapshotId};
use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Notice, Order, Tone};
use crate::tui::model::{Job, JobId, Model};
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::screens::jobs::{JobPage, id_of};
use crate::tui::screens::{host::HostPage, item::ItemPage};
use crate::tui::widgets::list::{Cursor, Selection};
use crate::tui::widgets::panes::Panes;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::wizard;

mod detail;
mod items;
mod order;
mod rows;
pub mod strip;

pub use detail::{identity_line, item_lines, openable_line, size_of};
use rows::{Row, Tree};

/// The numbers of the panes, in the order of Tab.
const FLEET: u8 = 1;
const ITEMS: u8 = 2;
const DETAIL: u8 = 3;
const JOBS: u8 = 4;

/// From this width on the fleet is as high as the page, and items and detail stand beside it.
const WIDE: u16 = 110;

/// From this width on all three stand side by side, and none of them breaks every sentence.
const WIDEST: u16 = 160;

/// Rows a page key moves.
const PAGE: usize = 10;

/// The page.
#[derive(Default)]
pub struct FleetPage {
    panes: Panes,
    tree: Tree,
    /// The selected item of the selected host.
    item: Option<ItemRef>,
    marks: BTreeSet<ItemRef>,
    detail: Scroll,
    job: Cursor<JobId>,
}

/// Where the panes stand.
struct Places {
    fleet: Rect,
    items: Rect,
    detail: Rect,
    jobs: Rect,
    notice: Rect,
}

impl FleetPage {
    /// The page over what is known already.
    pub fn over(model: &Model) -> Self {
        let mut page = Self::default();
        page.tree.select_first(model);
        page
    }

    fn pane_count(model: &Model) -> u8 {
        if model.live_jobs().next().is_some() { JOBS } else { DETAIL }
    }

    fn focus(&self, model: &Model) -> u8 {
        self.panes.focus(Self::pane_count(model))
    }

    fn owner<'m>(&self, model: &'m Model) -> Option<&'m OwnerView> {
        match self.tree.selected(model)? {
            Row::Owner(owner) => Some(owner),
            Row::Group { .. } => None,
        }
    }

    /// The selected item: the one chosen by hand while it is there, else the worst of the host.
    fn item<'m>(&self, model: &'m Model) -> Option<&'m ItemView> {
        let owner = self.owner(model)?;
        let chosen = self.item.as_ref().and_then(|place| owner.items().find(|item| item.place == *place));
        chosen.or_else(|| owner.items().max_by_key(|item| (item.state, std::cmp::Reverse(&item.place))))
    }

    /// What an action on items means here: what is marked, else what is selected.
    fn meant<'m>(&self, model: &'m Model) -> Vec<&'m ItemView> {
        if !self.marks.is_empty() {
            return self.marks.iter().filter_map(|place| model.fleet.item(place)).collect();
        }
        if self.focus(model) == FLEET {
            return self.under_cursor(model);
        }
        self.item(model).into_iter().collect()
    }

    /// Every item of the selected host or group.
    fn under_cursor<'m>(&self, model: &'m Model) -> Vec<&'m ItemView> {
        match self.tree.selected(model) {
            Some(Row::Owner(owner)) => owner.items().collect(),
            Some(Row::Group { owners, .. }) => owners.into_iter().flat_map(OwnerView::items).collect(),
            None => Vec::new(),
        }
    }

    fn offers_on_items(&self, model: &Model) -> [Offer; 3] {
        let meant = self.meant(model);
        let nothing = if self.owner(model).is_some_and(|owner| owner.services.is_empty()) {
            "the host has no services in the inventory"
        } else {
            "no item is known here yet"
        };
        let none = meant.is_empty().then_some(nothing);
        let no_way = meant.iter().all(|item| !is_savable(item)).then_some("it cannot be saved");
        let no_copy = meant.iter().all(|item| item.copies().is_empty()).then_some("there is no copy of it");
        let several = (meant.len() != 1).then_some("one item at a time is restored; go to its row");
        [
            Offer::unless(Action::BackUp, none.or(no_way)),
            Offer::unless(Action::Verify, none.or(no_copy)),
            Offer::unless(Action::Restore, none.or(no_copy).or(several)),
        ]
    }

    fn toggle(&mut self, places: Vec<ItemRef>) {
        // A partly marked host becomes wholly marked first.
        if !places.is_empty() && places.iter().all(|place| self.marks.contains(place)) {
            self.marks.retain(|marked| !places.contains(marked));
        } else {
            self.marks.extend(places);
        }
    }

    fn mark(&mut self, model: &Model) {
        if self.focus(model) == FLEET {
            let places = self.under_cursor(model).into_iter().map(|item| item.place.clone()).collect();
            self.toggle(places);
            self.tree.act(Action::Down, model, PAGE);
        } else if let Some(place) = self.item(model).map(|item| item.place.clone()) {
            self.toggle(vec![place]);
            self.move_item(Action::Down, model);
        }
    }

    fn mark_all(&mut self, model: &Model) {
        let places: Vec<ItemRef> = if self.focus(model) == FLEET {
            self.tree.shown_owners(model).iter().flat_map(|o| o.items()).map(|item| item.place.clone()).collect()
        } else {
            self.owner(model).into_iter().flat_map(OwnerView::items).map(|item| item.place.clone()).collect()
        };
        self.marks.extend(places);
    }

    fn move_item(&mut self, action: Action, model: &Model) -> bool {
        let Some(owner) = self.owner(model) else { return false };
        let items: Vec<&ItemView> = owner.items().collect();
        let at = self.item(model).and_then(|now| items.iter().position(|item| item.place == now.place));
        let mut selection = Selection::default();
        selection.select(at.unwrap_or(0));
        let moved = selection.move_by(action, items.len(), PAGE);
        if let Some(item) = selection.row(items.len()).and_then(|row| items.get(row)).filter(|_| moved) {
            self.choose_item(Some(item.place.clone()));
        }
        moved
    }

    /// Selects an item of the selected host; none means its worst.
    fn choose_item(&mut self, place: Option<ItemRef>) {
        self.item = place;
        self.detail.reset();
    }

    /// Moves within the focused pane; `false` when the action does not move.
    fn move_by(&mut self, action: Action, model: &Model) -> bool {
        match self.focus(model) {
            FLEET => {
                let moved = self.tree.act(action, model, PAGE);
                if moved {
                    self.choose_item(None);
                }
                moved
            }
            ITEMS => self.move_item(action, model),
            DETAIL => self.detail.move_by(action),
            _ => self.job.move_by(action, &live(model), PAGE, id_of),
        }
    }

    fn open(&mut self, model: &Model) -> Vec<Effect> {
        match self.focus(model) {
            FLEET => match self.tree.selected(model) {
                Some(Row::Owner(owner)) => HostPage::open(owner.id.clone(), model),
                Some(Row::Group { .. }) => {
                    self.tree.act(Action::Fold, model, PAGE);
                    Vec::new()
                }
                None => Vec::new(),
            },
            ITEMS | DETAIL => match self.item(model) {
                Some(item) => ItemPage::open(item.place.clone(), model),
                None => self.owner(model).map(|owner| HostPage::open(owner.id.clone(), model)).unwrap_or_default(),
            },
            _ => {
                let live = live(model);
                let chosen = self.job.row(&live, id_of).and_then(|row| live.get(row));
                chosen.map(|job| Effect::Open(Box::new(JobPage::of(job.id)))).into_iter().collect()
            }
        }
    }

    /// Folds and unfolds in the tree; elsewhere goes to the pane beside.
    fn sideways(&mut self, action: Action, model: &Model) {
        let focus = self.focus(model);
        if focus == FLEET && self.tree.act(action, model, PAGE) {
            return;
        }
        let step = if action == Action::Left { Action::PreviousPane } else { Action::NextPane };
        let is_edge = (action == Action::Left && focus == FLEET) || (action == Action::Right && focus >= DETAIL);
        if !is_edge {
            self.panes.act(step, Self::pane_count(model));
        }
    }

    fn refresh(&self, model: &Model) -> Vec<Effect> {
        let owners: Vec<OwnerId> = match self.tree.selected(model) {
            Some(Row::Owner(owner)) => vec![owner.id.clone()],
            Some(Row::Group { owners, .. }) => owners.iter().map(|owner| owner.id.clone()).collect(),
            None => return Vec::new(),
        };
        let said = match owners.as_slice() {
            [one] => format!("Looking at {one}."),
            several => format!("Looking at {} hosts.", several.len()),
        };
        let look = Effect::Order(Order::Look(owners));
        vec![look, Effect::Order(Order::ReadVault), Effect::Say(Tone::Plain, said)]
    }

    fn places(model: &Model, area: Rect) -> Places {
        let notice_height = u16::from(detail::notice(model).is_some());
        let whole = Rect { height: area.height.saturating_sub(notice_height), ..area };
        let notice = Rect { y: whole.bottom(), height: notice_height, ..area };
        let live = u16::try_from(model.live_jobs().count()).unwrap_or(u16::MAX);
        let jobs_height = if live == 0 { 0 } else { live.min(if area.width < WIDE { 2 } else { 4 }) + 2 };
        let rest = Rect { height: whole.height.saturating_sub(jobs_height), ..whole };
        let jobs = Rect { y: rest.bottom(), height: jobs_height, ..whole };
        if area.width >= WIDEST {
            let spare = area.width - WIDEST;
            let (left, right) = (32 + spare / 6, 50 + spare / 5);
            let fleet = Rect { width: left, ..rest };
            let items = Rect { x: rest.x + left, width: rest.width - left - right, ..rest };
            return Places { fleet, items, detail: Rect { x: items.right(), width: right, ..rest }, jobs, notice };
        }
        if area.width >= WIDE {
            let left = 28 + (area.width - WIDE) / 5;
            let top = rest.height * 11 / 20;
            let fleet = Rect { width: left, ..rest };
            let items = Rect { x: rest.x + left, width: rest.width - left, height: top, ..rest };
            let detail = Rect { y: rest.y + top, height: rest.height - top, ..items };
            return Places { fleet, items, detail, jobs, notice };
        }
        let left = 23 + area.width.saturating_sub(80) / 4;
        let top = rest.height * 3 / 5;
        let fleet = Rect { width: left, height: top, ..rest };
        let items = Rect { x: rest.x + left, width: rest.width.saturating_sub(left), height: top, ..rest };
        let detail = Rect { y: rest.y + top, height: rest.height - top, ..rest };
        Places { fleet, items, detail, jobs, notice }
    }
}

fn live(model: &Model) -> Vec<&Job> {
    model.live_jobs().collect()
}

/// Opens the wizard on those that can be saved, and says how many cannot.
pub fn back_up(items: &[&ItemView]) -> Vec<Effect> {
    let savable: Vec<ItemRef> = items.iter().filter(|item| is_savable(item)).map(|item| item.place.clone()).collect();
    let told = left_out(items.len() - savable.len(), items.len(), "cannot be saved");
    std::iter::once(Effect::Open(wizard::back_up(savable))).chain(told).collect()
}

/// What of a batch is not in it, and why.
fn left_out(count: usize, all: usize, why: &str) -> Option<Effect> {
    let told = format!("{count} of {all} items left out: {why}.");
    (count > 0).then(|| Effect::Say(Tone::Warn, told))
}

/// Whether an item can be backed up as far as anybody knows.
pub fn is_savable(item: &ItemView) -> bool {
    use crate::model::item::Standing;
    !matches!(
        item.item.as_ref().map(|item| &item.standing),
        Some(standing) if *standing != Standing::Ready
    )
}

impl Screen for FleetPage {
    fn crumbs(&self, model: &Model) -> Vec<String> {
        let group = self.tree.group_of_selected(model);
        let owner = self.owner(model).map(|owner| owner.id.to_string());
        group.into_iter().chain(owner).collect()
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let [back_up, verify, restore] = self.offers_on_items(model);
        let nothing = self.tree.selected(model).is_none().then_some("the inventory names no host");
        let no_marks = self.marks.is_empty().then_some("nothing is marked");
        let mut offers = vec![Offer::unless(Action::Open, nothing), back_up, verify, restore];
        let sorted = (!self.tree.is_out_of_order(model)).then_some("the worst stand first already");
        offers.push(Offer::unless(Action::Sort, sorted));
        offers.push(Offer::unless(Action::Refresh, nothing));
        offers.push(Offer::unless(Action::Mark, nothing));
        offers.push(Offer::on(Action::Filter));
        offers.push(Offer::unless(Action::Unmark, no_marks));
        offers.push(Offer::unless(Action::MarkAll, nothing));
        let moves = [Action::Up, Action::Down, Action::Left, Action::Right, Action::PageUp, Action::PageDown];
        offers.extend(moves.into_iter().chain([Action::First, Action::Last, Action::Fold]).map(Offer::on));
        offers.extend(Panes::offers(Self::pane_count(model)));
        if let Some(owner) = self.owner(model) {
            let cluster = owner.is_cluster().then_some("a cluster is no node; choose one of its members");
            offers.push(Offer::unless(Action::Shell, cluster));
            offers.push(Offer::on(Action::Copy));
        }
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        self.tree.touch(model);
        if self.panes.act(action, Self::pane_count(model)) || self.move_by(action, model) {
            return Vec::new();
        }
        match action {
            Action::Open => return self.open(model),
            Action::Left | Action::Right => self.sideways(action, model),
            Action::Fold => {
                self.tree.act(action, model, PAGE);
            }
            Action::Mark => self.mark(model),
            Action::MarkAll => self.mark_all(model),
            Action::Unmark => self.marks.clear(),
            Action::Sort => self.tree.sort(model),
            Action::Refresh => return self.refresh(model),
            Action::Filter => return vec![Effect::Ask(palette::filter(self.tree.filter_text()))],
            Action::BackUp => return back_up(&self.meant(model)),
            Action::Verify => {
                let meant = self.meant(model);
                let copies = newest_copies(&meant);
                let told = left_out(meant.len() - copies.len(), meant.len(), "never copied");
                return std::iter::once(Effect::Open(wizard::verify(copies))).chain(told).collect();
            }
            Action::Restore => {
                let item = self.meant(model).first().map(|item| item.place.clone());
                return vec![Effect::Open(wizard::restore(item, None))];
            }
            Action::Shell => {
                return self.host(model).map(Effect::Shell).into_iter().collect();
            }
            Action::Copy => {
                let item = self.item(model).filter(|_| self.focus(model) != FLEET).map(|item| item.place.to_string());
                let text = item.or_else(|| Some(self.owner(model)?.id.to_string()));
                return text.map(Effect::Copy).into_iter().collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn clicked(&mut self, click: Click, model: &Model) -> Vec<Effect> {
        self.tree.touch(model);
        click.pane.into_iter().for_each(|pane| self.panes.go(pane));
        let Some(row) = click.row else { return Vec::new() };
        match self.focus(model) {
            FLEET => {
                self.tree.go(row, model);
                self.choose_item(None);
            }
            ITEMS => {
                let item = self.owner(model).and_then(|owner| items::item_at(owner, row));
                self.choose_item(item.map(|item| item.place.clone()));
            }
            JOBS => self.job.select(row, &live(model), id_of),
            _ => {}
        }
        Vec::new()
    }

    fn noticed(&mut self, notice: &Notice, model: &Model) -> Vec<Effect> {
        self.tree.noticed(notice, model);
        match notice {
            Notice::Reloaded(Ok(_)) => self.marks.retain(|place| model.fleet.owner(&place.owner).is_some()),
            // What was marked is at work: a later key means what is selected then.
            Notice::Started(job) => {
                for place in model.job(*job).map(|job| job.wish.items()).unwrap_or_default() {
                    self.marks.remove(place);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn timed(&mut self, model: &Model) -> Vec<Effect> {
        self.tree.settle(model);
        Vec::new()
    }

    fn host(&self, model: &Model) -> Option<HostId> {
        self.owner(model).and_then(|owner| HostId::new(owner.id.as_str()).ok())
    }

    fn filter(&self) -> Option<&Filter> {
        self.tree.filter()
    }

    fn narrow(&mut self, filter: Filter) {
        if !filter.is_empty() {
            // Whoever narrows the hosts wants to go through them next.
            self.panes.go(FLEET);
        }
        self.tree.narrow(filter);
    }

    /// At 80 columns; from 110 on the fleet goes down to the jobs, from 160 on the detail stands on the right.
    ///
    /// ```text
    /// ┌ Fleet ────────────┐┌ val-1 ───────────────────────────────────┐
    /// │▾ prod          12 ││ ITEM             GOOD  SHOWN       STATE │
    /// │  ● val-1     5 ok ││ staking identity 2h    drilled 3d  ● ok  │
    /// └───────────────────┘└──────────────────────────────────────────┘
    /// ┌ staking identity ─────────────────────────────────────────────┐
    /// │ ● ok                                                          │
    /// └───────────────────────────────────────────────────────────────┘
    /// ┌ Jobs ─────────────────────────────────────────────────────────┐
    /// │ Back up nats-1/nats/ORDERS  ━━━━━━━━───  62 %  48 MiB/s moving│
    /// └───────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let mut places = Self::places(model, canvas.area);
        let focus = self.focus(model);
        if self.panes.is_zoomed() {
            let whole = Rect { height: canvas.area.height - places.notice.height, ..canvas.area };
            let none = Rect::default();
            let [fleet, items, detail, jobs] =
                [FLEET, ITEMS, DETAIL, JOBS].map(|pane| if pane == focus { whole } else { none });
            places = Places { fleet, items, detail, jobs, notice: places.notice };
        }
        self.tree.render(model, &self.marks, focus == FLEET, &mut canvas.within(places.fleet).as_pane(FLEET));
        self.render_items(model, focus == ITEMS, &mut canvas.within(places.items).as_pane(ITEMS));
        self.render_detail(model, focus == DETAIL, &mut canvas.within(places.detail).as_pane(DETAIL));
        let at = (focus == JOBS).then(|| self.job.row(&live(model), id_of)).flatten();
        strip::render_jobs(model, focus == JOBS, at, &mut canvas.within(places.jobs).as_pane(JOBS));
        detail::render_notice(model, &mut canvas.within(places.notice));
    }
}

/// The newest copy of each.
fn newest_copies(items: &[&ItemView]) -> Vec<(ItemRef, SnapshotId)> {
    let newest = items.iter().filter_map(|item| Some((item.place.clone(), item.copies().first()?.id.clone())));
    newest.collect()
}
