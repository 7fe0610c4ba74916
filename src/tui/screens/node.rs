//! What lies on a node: runs that are not finished there, and what restores kept aside.

use std::cell::Cell;

use super::run::RunPage;
use super::runs::{failure_rows, run_look, run_title};
use crate::engine::node_run::Kept;
use crate::engine::runs::Told;
use crate::model::exit::Failure;
use crate::model::ids::{HostId, RunId};
use crate::tui::action::{Action, Offer};
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Notice, Order, Wish};
use crate::tui::model::{Job, Model};
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::list::{Cursor, Selection};
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::sheet::{Row, Sign, lines_of, render_sheet};
use crate::tui::wizard;

const PAGE: usize = 10;

const MOVES: [Action; 6] = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];

/// Which node is asked.
#[derive(Default)]
pub struct NodesPage {
    at: Selection,
}

fn hosts(model: &Model) -> Vec<HostId> {
    let owners = model.fleet.owners.iter().filter(|owner| !owner.is_cluster());
    owners.filter_map(|owner| HostId::new(owner.id.as_str()).ok()).collect()
}

impl Screen for NodesPage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["runs".to_owned(), "nodes".to_owned()]
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let open = Offer::unless(Action::Open, hosts(model).is_empty().then_some("the inventory names no host"));
        [open].into_iter().chain(MOVES.map(Offer::on)).collect()
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        let hosts = hosts(model);
        if self.at.move_by(action, hosts.len(), PAGE) || action != Action::Open {
            return Vec::new();
        }
        let host = self.at.row(hosts.len()).and_then(|row| hosts.get(row));
        host.map(|host| Effect::Open(Box::new(NodePage::of(host.clone())))).into_iter().collect()
    }

    fn clicked(&mut self, click: Click, _model: &Model) -> Vec<Effect> {
        click.row.into_iter().for_each(|row| self.at.select(row));
        Vec::new()
    }

    /// ```text
    /// ┌ Which node is asked? ─────────────────────────────────────────────────┐
    /// │ val-1                                                                 │
    /// └───────────────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let hosts = hosts(model);
        let mut inner = render_panel("Which node is asked?", true, canvas.area, canvas);
        if hosts.is_empty() {
            inner.text(1, 0, "The inventory names no host.", Role::Muted);
        }
        let top = self.at.top(hosts.len(), usize::from(inner.area.height));
        for (y, (number, host)) in (0..inner.area.height).zip(hosts.iter().enumerate().skip(top)) {
            inner.mark_row(y, number);
            inner.text(1, y, host.as_str(), Role::Text);
            if self.at.row(hosts.len()) == Some(number) {
                inner.paint_row(y, Role::Selection);
            }
        }
    }
}

fn run_of(told: &Told) -> &RunId {
    &told.run
}

/// What was read; nothing as long as it was not, or could not be.
fn read<T>(found: Option<&Result<Vec<T>, Failure>>) -> &[T] {
    found.and_then(|found| found.as_ref().ok()).map_or(&[], Vec::as_slice)
}

/// What lies on one node.
pub struct NodePage {
    host: HostId,
    at: Cursor<RunId>,
    scroll: Scroll,
    /// Whether the selected run is to be brought into sight.
    shows_selected: Cell<bool>,
    was_asked: bool,
    runs: Option<Result<Vec<Told>, Failure>>,
    kept: Option<Result<Vec<Kept>, Failure>>,
}

impl NodePage {
    /// Of a host; it is asked when the page opens.
    pub fn of(host: HostId) -> Self {
        Self {
            host,
            at: Cursor::default(),
            scroll: Scroll::default(),
            shows_selected: Cell::new(false),
            was_asked: false,
            runs: None,
            kept: None,
        }
    }

    fn ask(&self) -> Vec<Effect> {
        vec![Effect::Order(Order::ReadRunsOn(self.host.clone())), Effect::Order(Order::ReadKept(self.host.clone()))]
    }

    fn told(&self) -> &[Told] {
        read(self.runs.as_ref())
    }

    fn selected(&self) -> Option<usize> {
        self.at.row(self.told(), run_of)
    }

    /// Whether a job may have changed what lies on this node.
    fn may_have_changed(&self, job: &Job) -> bool {
        match &job.wish {
            Wish::Verify(_) | Wish::VerifyVault(_) => false,
            Wish::Deed(deed) if job.plan().is_none() => deed.hosts().contains(&self.host),
            Wish::BackUp { .. } | Wish::Restore { .. } | Wish::RollBack(_) | Wish::Resume(..) | Wish::Deed(_) => {
                job.plan().is_none_or(|plan| plan.steps.iter().any(|step| step.host == self.host))
            }
        }
    }

    fn kept(&self) -> &[Kept] {
        read(self.kept.as_ref())
    }
}

impl Screen for NodePage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["runs".to_owned(), self.host.to_string()]
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        let none = self.told().is_empty().then_some("no run lies there");
        let nothing = self.kept().is_empty().then_some("nothing is kept there");
        let mut offers = vec![Offer::unless(Action::Open, none), Offer::on(Action::Refresh)];
        offers.push(Offer::unless(Action::Purge, nothing));
        offers.extend(MOVES.map(Offer::on));
        offers
    }

    fn act(&mut self, action: Action, _model: &Model) -> Vec<Effect> {
        // Up and down go through the runs; pages go through all that is told.
        let is_row = matches!(action, Action::Up | Action::Down) && !self.told().is_empty();
        if is_row {
            let told = read(self.runs.as_ref());
            self.at.move_by(action, told, PAGE, run_of);
            self.shows_selected.set(true);
            return Vec::new();
        }
        if self.scroll.move_by(action) {
            return Vec::new();
        }
        match action {
            Action::Refresh => {
                (self.runs, self.kept) = (None, None);
                self.ask()
            }
            Action::Purge => vec![Effect::Open(wizard::purge(self.host.clone(), self.kept().to_vec()))],
            Action::Open => {
                let told = self.selected().and_then(|row| self.told().get(row)).cloned();
                told.map(|told| Effect::Open(Box::new(RunPage::of_node(self.host.clone(), told)))).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, _model: &Model) -> Vec<Effect> {
        let told = read(self.runs.as_ref());
        click.row.into_iter().for_each(|row| self.at.select(row, told, run_of));
        Vec::new()
    }

    fn noticed(&mut self, notice: &Notice, model: &Model) -> Vec<Effect> {
        match notice {
            Notice::RunsOn(host, runs) if *host == self.host => self.runs = Some(runs.clone()),
            Notice::Kept(host, kept) if *host == self.host => self.kept = Some(kept.clone()),
            // What was taken up or removed lies there no longer; what happens elsewhere is no reason to ask.
            Notice::Ended(job, _) if model.job(*job).is_some_and(|job| self.may_have_changed(job)) => {
                return self.ask();
            }
            // It may be another machine by now.
            Notice::Reloaded(Ok(_)) => {
                (self.runs, self.kept) = (None, None);
                return self.ask();
            }
            _ => {}
        }
        Vec::new()
    }

    fn timed(&mut self, _model: &Model) -> Vec<Effect> {
        if std::mem::replace(&mut self.was_asked, true) { Vec::new() } else { self.ask() }
    }

    /// ```text
    /// ┌ On val-1 ─────────────────────────────────────────────────────────────┐
    /// │ Runs that lie there                                                   │
    /// │ ▲ 20261120T024100Z-7f3a   interrupted                                 │
    /// │   Restore val-1/… to val-1                                            │
    /// │                                                                       │
    /// │ Kept aside                                                            │
    /// │   20261119T…  /var/lib/avalanchego/.staking.lifeboat-….kept           │
    /// └───────────────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let hidden = {
            let mut inner = render_panel(&format!("On {}", self.host), true, canvas.area, canvas);
            let mut rows = vec![Row::heading("Runs that lie there")];
            match &self.runs {
                None => rows.push(Row::signed(Sign::Now, "It is being asked.")),
                Some(Err(failure)) => rows.extend(failure_rows(failure)),
                Some(Ok(runs)) if runs.is_empty() => rows.push(Row::say(Role::Muted, "None.")),
                Some(Ok(runs)) => rows.extend(runs.iter().flat_map(|told| {
                    let brief = told.brief();
                    let (sign, ended) = run_look(&brief, model);
                    let run = Row::signed(sign, ended).cell(told.run.to_string(), 24, Role::Text);
                    [run, Row::say(Role::Muted, run_title(&brief)).set_in(2)]
                })),
            }
            // Under the heading, two rows a run: the line it begins at, and the one after its last.
            let line = |rows: &[Row], row: usize| lines_of(rows.get(..row).unwrap_or(rows), inner.area.width);
            let places: Vec<_> =
                (0..self.told().len()).map(|run| (line(&rows, 2 * run + 1), line(&rows, 2 * run + 3))).collect();
            let selected = self.selected().and_then(|row| places.get(row).copied());
            rows.push(Row::gap());
            rows.push(Row::heading("Kept aside"));
            match &self.kept {
                None => rows.push(Row::signed(Sign::Now, "It is being asked.")),
                Some(Err(failure)) => rows.extend(failure_rows(failure)),
                Some(Ok(kept)) if kept.is_empty() => rows.push(Row::say(Role::Muted, "Nothing.")),
                Some(Ok(kept)) => rows.extend(kept.iter().map(|kept| {
                    Row::say(Role::Text, kept.paths.join(", ")).set_in(2).cell(kept.run.to_string(), 24, Role::Muted)
                })),
            }
            let height = usize::from(inner.area.height);
            if let Some((line, _)) = selected.filter(|_| self.shows_selected.take()) {
                // With the first one its heading too.
                let from = if self.selected() == Some(0) { 0 } else { line };
                self.scroll.show(line, height);
                self.scroll.show(from, height);
            }
            let hidden = render_sheet(&rows, &self.scroll, &mut inner);
            let top = self.scroll.top(lines_of(&rows, inner.area.width), height);
            let in_sight =
                |(from, to): (usize, usize)| (from.max(top)..to).filter_map(move |line| u16::try_from(line - top).ok());
            for (row, place) in places.into_iter().enumerate() {
                in_sight(place).for_each(|y| inner.mark_row(y, row));
            }
            for y in selected.into_iter().flat_map(in_sight) {
                inner.paint_row(y, Role::Selection);
            }
            hidden
        };
        hidden.render(canvas);
    }
}
