//! The vault: what it holds of every item, also of hosts in no inventory; how it grew, and which days it was proven.

use std::collections::BTreeSet;

use ratatui::layout::Rect;

use crate::engine::holdings::{Holdings, Shelf, last_proof};
use crate::engine::phrases::{count, rung_word};
use crate::model::ids::ItemRef;
use crate::model::manifest::Rung;
use crate::model::units::ByteSize;
use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::frame::look_of;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Notice, Order};
use crate::tui::model::Model;
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen, cut_middle};
use crate::tui::screens::item::ItemPage;
use crate::tui::theme::Role;
use crate::tui::when::{age, ago};
use crate::tui::widgets::calendar::{self, Day, Days, day_of, render_calendar};
use crate::tui::widgets::chart::{over_time, render_columns};
use crate::tui::widgets::lines::{Line, height_of, render_lines, render_sentences};
use crate::tui::widgets::list::Cursor;
use crate::tui::widgets::panel::{Hidden, render_panel};
use crate::tui::widgets::panes::Panes;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::wizard;

const KEPT: u8 = 1;
const GROWTH: u8 = 2;
const CALENDAR: u8 = 3;
const FINDINGS: u8 = 4;

/// Rows a page key moves.
const PAGE: usize = 8;

/// The page.
#[derive(Default)]
pub struct VaultPage {
    panes: Panes,
    kept: Cursor<ItemRef>,
    marks: BTreeSet<ItemRef>,
    findings: Scroll,
    filter: Option<Filter>,
    sum: Option<Sum>,
}

/// A row of what is kept.
type Kept<'m> = (&'m ItemRef, &'m Shelf);

fn place_of<'k>((place, _): &'k Kept<'_>) -> &'k ItemRef {
    place
}

/// What the charts draw, made once for each reading of the vault.
struct Sum {
    /// Stored bytes after each copy, by its second.
    growth: Vec<(i64, u64)>,
    days: Days,
    copies: usize,
    stored: u64,
}

impl Sum {
    fn of(holdings: &Holdings) -> Self {
        let copies = || holdings.items.values().flat_map(|shelf| &*shelf.copies);
        let mut growth: Vec<(i64, u64)> = copies().map(|copy| (copy.created.as_second(), copy.stored.0)).collect();
        growth.sort_unstable();
        let mut stored = 0_u64;
        for (_, bytes) in &mut growth {
            stored = stored.saturating_add(*bytes);
            *bytes = stored;
        }
        let mut days = Days::new();
        for proof in copies().flat_map(|copy| &*copy.proofs) {
            let day = if proof.passed { Day::Reached(proof.rung) } else { Day::Failed };
            let known = days.entry(day_of(proof.at)).or_insert(day);
            *known = (*known).max(day);
        }
        Self { copies: growth.len(), growth, days, stored }
    }
}

impl VaultPage {
    /// The page, with its charts when the vault was read already.
    pub fn new(model: &Model) -> Self {
        Self { sum: model.holdings.as_deref().map(Sum::of), ..Self::default() }
    }

    fn rows<'m>(&self, model: &'m Model) -> Vec<Kept<'m>> {
        let items = model.holdings.iter().flat_map(|holdings| &holdings.items);
        let is_shown = |place: &ItemRef| {
            let Some(filter) = &self.filter else { return true };
            let state = model.fleet.item(place).map_or("unlisted", |item| item.state.word());
            filter.shows(&format!("{place} {state}"))
        };
        items.filter(|(place, _)| is_shown(place)).collect()
    }

    fn selected<'m>(&self, model: &'m Model) -> Option<Kept<'m>> {
        let rows = self.rows(model);
        rows.get(self.kept.row(&rows, place_of)?).copied()
    }

    /// What an action on items means here: what is marked, else what is selected.
    fn meant<'m>(&self, model: &'m Model) -> Vec<Kept<'m>> {
        let Some(holdings) = model.holdings.as_deref().filter(|_| !self.marks.is_empty()) else {
            return self.selected(model).into_iter().collect();
        };
        self.marks.iter().filter_map(|place| holdings.items.get_key_value(place)).collect()
    }

    fn mark(&mut self, model: &Model) {
        let Some(place) = self.selected(model).map(|(place, _)| place.clone()) else { return };
        if !self.marks.remove(&place) {
            self.marks.insert(place);
        }
        self.kept.move_by(Action::Down, &self.rows(model), PAGE, place_of);
    }

    fn pane_count(model: &Model) -> u8 {
        if model.holdings.as_ref().is_some_and(|holdings| !holdings.findings.is_empty()) { FINDINGS } else { CALENDAR }
    }

    fn finding_lines(model: &Model) -> Vec<Line> {
        let findings = model.holdings.iter().flat_map(|holdings| &holdings.findings);
        let line = |finding: &crate::vault::Finding| {
            let role = if finding.is_damage() { Role::StatusBad } else { Role::StatusWarn };
            Line::Text(crate::model::text::CleanText::new(&finding.message).one_line().to_string(), role)
        };
        findings.map(line).collect()
    }

    /// ```text
    /// ┌ Vault, 12 items, 132 copies, 1.20 GiB ───────────────────────────────┐
    /// │ ITEM                          COPIES      SIZE  NEWEST  SHOWN  STATE │
    /// │ val-1/avalanchego/node-config      9  1.17 KiB  2h      …      ● ok  │
    /// └──────────────────────────────────────────────────────────────────────┘
    /// ```
    fn render_kept(&self, model: &Model, has_focus: bool, canvas: &mut Canvas) {
        let rows = self.rows(model);
        let filter = self.filter.as_ref().map(|filter| format!(" /{}", filter.text())).unwrap_or_default();
        let title = match &self.sum {
            Some(sum) => {
                let (items, copies) = (count(rows.len(), "item"), count(sum.copies, "copy"));
                format!("Vault{filter}, {items}, {copies}, {}", ByteSize(sum.stored))
            }
            None => format!("Vault{filter}"),
        };
        let mut inner = render_panel(&title, has_focus, canvas.area, canvas);
        if rows.is_empty() {
            render_empty(self.filter.is_some(), model, &mut inner);
            return;
        }
        let columns = Columns::of(inner.area.width);
        columns.render_heading(&mut inner);
        let at = self.kept.row(&rows, place_of);
        let height = inner.area.height.saturating_sub(1);
        let top = self.kept.top(&rows, usize::from(height), place_of);
        let hidden = Hidden::of(top, rows.len(), usize::from(height));
        for (y, (number, (place, shelf))) in (1..=height).zip(rows.into_iter().enumerate().skip(top)) {
            inner.mark_row(y, number);
            columns.render_row(place, shelf, model, y, &mut inner);
            if self.marks.contains(place) {
                inner.text(0, y, inner.theme.glyphs.flag, Role::Marked);
            }
            inner.mark_matches(y, self.filter.as_ref());
            if Some(number) == at {
                inner.paint_row(y, if has_focus { Role::Selection } else { Role::SelectionIdle });
            }
        }
        hidden.render(canvas);
    }

    /// ```text
    /// ┌ Growth ──────────────┐
    /// │           ▂▂▃▅▅▅▆▆▇█ │
    /// │ 90d ago          now │
    /// └──────────────────────┘
    /// ```
    fn render_growth(&self, model: &Model, has_focus: bool, canvas: &mut Canvas) {
        let mut inner = render_panel("Growth", has_focus, canvas.area, canvas);
        let Some(sum) = self.sum.as_ref().filter(|sum| !sum.growth.is_empty()) else {
            let is_empty = self.sum.is_some() && model.vault_failure.is_none();
            let told = if is_empty { "Nothing is kept yet." } else { unknown(model) };
            render_sentences(&[(told, Role::Muted)], &mut inner);
            return;
        };
        let area = inner.area;
        let chart =
            Rect { x: area.x + 1, width: area.width.saturating_sub(2), height: area.height.saturating_sub(1), ..area };
        let now = model.now.as_second();
        let first = sum.growth.first().map_or(now, |(at, _)| *at).min(now - 86_400);
        let values = over_time(&sum.growth, first, now, usize::from(chart.width));
        render_columns(&values, Role::Chart, &mut inner.within(chart));
        let axis = area.height.saturating_sub(1);
        if let Ok(first) = jiff::Timestamp::from_second(first) {
            inner.text(1, axis, &ago(first, model.now), Role::Muted);
        }
        inner.right(1, axis, area.width.saturating_sub(2), &format!("{} now", ByteSize(sum.stored)), Role::Muted);
    }

    fn render_calendar(&self, model: &Model, has_focus: bool, canvas: &mut Canvas) {
        let mut inner = render_panel("Proofs, day by day", has_focus, canvas.area, canvas);
        let Some(sum) = &self.sum else {
            render_sentences(&[(unknown(model), Role::Muted)], &mut inner);
            return;
        };
        let area = inner.area;
        let place = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        render_calendar(&sum.days, day_of(model.now), &mut inner.within(place));
    }
}

/// Why a chart of the vault cannot be drawn.
fn unknown(model: &Model) -> &'static str {
    if model.vault_failure.is_some() { "Not known." } else { "Not read yet." }
}

fn render_empty(is_filtered: bool, model: &Model, canvas: &mut Canvas) {
    let sentences = match (&model.vault_failure, &model.holdings) {
        _ if is_filtered => [("Nothing kept matches.".to_owned(), Role::Text), (model.shows_all_again(), Role::Muted)],
        (Some(failure), _) => {
            let hint = failure.hints.first().cloned().unwrap_or_default();
            [(failure.message.clone(), Role::StatusBad), (hint, Role::Muted)]
        }
        (None, None) => [("The vault is being read.".to_owned(), Role::Text), (String::new(), Role::Muted)],
        (None, Some(_)) => [
            ("The vault is empty.".to_owned(), Role::Text),
            (
                format!(
                    "Go to the fleet with {}, choose an item and press {}.",
                    model.key(Action::Fleet),
                    model.key(Action::BackUp)
                ),
                Role::Muted,
            ),
        ],
    };
    let sentences: Vec<(&str, Role)> = sentences.iter().map(|(text, role)| (text.as_str(), *role)).collect();
    render_sentences(&sentences, canvas);
}

/// Where each column of the list begins.
struct Columns {
    copies: u16,
    size: u16,
    newest: u16,
    shown: u16,
    state: u16,
}

impl Columns {
    fn of(width: u16) -> Self {
        // Wider than this, names and numbers would stand too far apart to be read as one row.
        let width = width.min(104);
        let state = width.saturating_sub(14);
        // A narrow list leaves the rung to the item's own page, so that names stay whole.
        let shown = if width >= 100 { state.saturating_sub(14) } else { state };
        let newest = shown.saturating_sub(8);
        let size = newest.saturating_sub(11);
        Self { copies: size.saturating_sub(5), size, newest, shown, state }
    }

    fn render_heading(&self, canvas: &mut Canvas) {
        canvas.text_within(1, 0, self.copies.saturating_sub(2), "ITEM", Role::Heading);
        canvas.right(self.copies.saturating_sub(2), 0, 6, "COPIES", Role::Heading);
        canvas.right(self.size, 0, 9, "SIZE", Role::Heading);
        canvas.text(self.newest, 0, "NEWEST", Role::Heading);
        if self.shown < self.state {
            canvas.text(self.shown, 0, "SHOWN", Role::Heading);
        }
        canvas.text(self.state, 0, "STATE", Role::Heading);
    }

    fn render_row(&self, place: &ItemRef, kept: &Shelf, model: &Model, y: u16, canvas: &mut Canvas) {
        let glyphs = canvas.theme.glyphs;
        // Names begin alike and end differently.
        let room = self.copies.saturating_sub(3);
        let name = cut_middle(&place.to_string(), usize::from(room), glyphs.cut);
        canvas.text_within(1, y, room, &name, Role::Text);
        canvas.right(self.copies, y, 4, &kept.copies.len().to_string(), Role::Text);
        let stored: ByteSize = kept.copies.iter().map(|copy| copy.stored).sum();
        canvas.right(self.size, y, 9, &stored.to_string(), Role::Text);
        if let Some(newest) = kept.copies.first() {
            canvas.text(self.newest, y, &age(newest.created, model.now), Role::Text);
        }
        let highest = last_proof(&kept.copies, model.now);
        let told = highest.map_or("-".to_owned(), |(rung, at)| {
            let word = if rung == Rung::Intact { "intact" } else { rung_word(Some(rung)) };
            format!("{word} {}", age(at, model.now))
        });
        if self.shown < self.state {
            canvas.text_within(self.shown, y, 13, &told, Role::Text);
        }
        let item = model.fleet.item(place);
        let (role, sign) = item.map_or((Role::StatusUnknown, glyphs.unknown), |item| look_of(item.state, &glyphs));
        let word = item.map_or("unlisted", |item| item.state.word());
        let end = canvas.text(self.state, y, sign, role) + 1;
        canvas.text(end, y, word, role);
    }
}

impl Screen for VaultPage {
    fn opened_by(&self) -> Option<Action> {
        Some(Action::Vault)
    }

    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["vault".to_owned()]
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let none = self.selected(model).is_none().then_some("nothing is kept here");
        let meant = self.meant(model).len();
        let several = (meant > 1).then_some("one item at a time is restored; forget the marks");
        let no_marks = self.marks.is_empty().then_some("nothing is marked");
        let is_empty = model.holdings.as_ref().is_none_or(|holdings| holdings.items.is_empty());
        let mut offers = vec![
            Offer::unless(Action::Open, none),
            Offer::unless(Action::Restore, none.or(several)),
            Offer::unless(Action::Verify, (meant == 0).then_some("nothing is kept here")),
            Offer::on(Action::Filter),
            Offer::unless(Action::VerifyAll, is_empty.then_some("nothing is kept")),
            Offer::unless(Action::Mark, none),
            Offer::unless(Action::Unmark, no_marks),
            Offer::unless(Action::MarkAll, none),
            Offer::on(Action::Refresh),
            Offer::unless(Action::Copy, none),
        ];
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        offers.extend(moves.map(Offer::on));
        offers.extend(Panes::offers(Self::pane_count(model)));
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        let panes = Self::pane_count(model);
        if self.panes.act(action, panes) {
            return Vec::new();
        }
        if self.panes.focus(panes) == FINDINGS {
            if self.findings.move_by(action) {
                return Vec::new();
            }
        } else if self.kept.move_by(action, &self.rows(model), PAGE, place_of) {
            return Vec::new();
        }
        match (action, self.selected(model).map(|(place, _)| place.clone())) {
            (Action::Open, Some(place)) => ItemPage::open(place, model),
            (Action::Restore, _) => {
                let place = self.meant(model).first().map(|(place, _)| (*place).clone());
                vec![Effect::Open(wizard::restore(place, None))]
            }
            (Action::Verify, _) => {
                let newest = |(place, shelf): &Kept| Some(((*place).clone(), shelf.copies.first()?.id.clone()));
                vec![Effect::Open(wizard::verify(self.meant(model).iter().filter_map(newest).collect()))]
            }
            (Action::VerifyAll, _) => {
                let whole = model.holdings.as_deref().map(wizard::verify_vault);
                whole.map(Effect::Open).into_iter().collect()
            }
            (Action::Mark, _) => {
                self.mark(model);
                Vec::new()
            }
            (Action::MarkAll, _) => {
                let shown: Vec<ItemRef> = self.rows(model).into_iter().map(|(place, _)| place.clone()).collect();
                self.marks.extend(shown);
                Vec::new()
            }
            (Action::Unmark, _) => {
                self.marks.clear();
                Vec::new()
            }
            (Action::Copy, Some(place)) => vec![Effect::Copy(place.to_string())],
            (Action::Filter, _) => {
                vec![Effect::Ask(palette::filter(self.filter.as_ref().map_or("", Filter::text)))]
            }
            (Action::Refresh, _) => vec![Effect::Order(Order::ReadVault)],
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, model: &Model) -> Vec<Effect> {
        click.pane.into_iter().for_each(|pane| self.panes.go(pane));
        let rows = self.rows(model);
        click.row.into_iter().for_each(|row| self.kept.select(row, &rows, place_of));
        Vec::new()
    }

    fn noticed(&mut self, notice: &Notice, model: &Model) -> Vec<Effect> {
        match notice {
            Notice::Vault(Ok(holdings)) => {
                self.sum = Some(Sum::of(holdings));
                self.marks.retain(|place| holdings.items.contains_key(place));
            }
            // What was marked is at work: a later key means what is selected then.
            Notice::Started(job) => {
                let items = model.job(*job).map(|job| job.wish.items()).unwrap_or_default();
                for place in items {
                    self.marks.remove(place);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
    }

    /// ```text
    /// ┌ Vault, 12 items, 132 copies, 1.20 GiB ──────────────────────┐
    /// │ …                                                           │
    /// └─────────────────────────────────────────────────────────────┘
    /// ┌ Growth ─────────────────────┐┌ Proofs, day by day ──────────┐
    /// │          ▂▂▃▅▅▆▇█           ││ Mon · ▪ · · ▪ · · · · ▪ ·    │
    /// └─────────────────────────────┘└──────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let area = canvas.area;
        let panes = Self::pane_count(model);
        let focus = self.panes.focus(panes);
        let left = area.width * 9 / 20;
        let calendar = self
            .sum
            .as_ref()
            .map_or(calendar::HEIGHT, |sum| calendar::height(&sum.days, area.width.saturating_sub(left + 4)));
        let bottom = (calendar + 2).min(area.height.div_ceil(2) + 1);
        let lines = Self::finding_lines(model);
        let findings = if lines.is_empty() {
            0
        } else {
            let wanted = height_of(&lines, area.width.saturating_sub(4));
            (2 + u16::try_from(wanted).unwrap_or(area.height)).min(area.height / 4)
        };
        let top = area.height - bottom - findings;
        let lower = Rect { y: area.y + top + findings, height: bottom, ..area };
        let mut places = [
            Rect { height: top, ..area },
            Rect { width: left, ..lower },
            Rect { x: area.x + left, width: area.width - left, ..lower },
            Rect { y: area.y + top, height: findings, ..area },
        ];
        if self.panes.is_zoomed() {
            places = [KEPT, GROWTH, CALENDAR, FINDINGS].map(|pane| if pane == focus { area } else { Rect::default() });
        }
        self.render_kept(model, focus == KEPT, &mut canvas.within(places[0]).as_pane(KEPT));
        self.render_growth(model, focus == GROWTH, &mut canvas.within(places[1]).as_pane(GROWTH));
        self.render_calendar(model, focus == CALENDAR, &mut canvas.within(places[2]).as_pane(CALENDAR));
        let title = format!("Out of order, {}", lines.len());
        let mut pane = canvas.within(places[3]).as_pane(FINDINGS);
        let mut inner = render_panel(&title, focus == FINDINGS, places[3], &mut pane);
        render_lines(&lines, &self.findings, &mut inner);
    }
}
