//! Wizards: one frame for everything that is done to a node or the vault.
//!
//! Choose, checks, preview, confirm, live, receipt. What is asked, shown and wished for is the [`errand::Errand`]'s;
//! the order of pages, and that nothing runs but the plan that was shown, is the frame's. Going back is possible until
//! the first change; from then on leaving the page leaves the job at work.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use ratatui::layout::Rect;

use self::choose::Choose;
use self::confirm::{Confirm, Given};
use self::errand::{Consent, Errand, Needs, answers_for};
use crate::engine::holdings::Holdings;
use crate::engine::planner::Planned;
use crate::engine::runs::Told;
use crate::model::exit::{Exit, Failure};
use crate::model::ids::{ItemRef, SnapshotId};
use crate::model::text::clause;
use crate::tui::action::{Action, Offer};
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Notice, Order, Tone, Wish};
use crate::tui::model::{Job, JobId, Model, Stage};
use crate::tui::quiet::Quiet;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::scroll::Scroll;

mod checks;
mod choose;
pub mod command;
pub mod confirm;
pub mod errand;
mod errands;
pub mod live;
mod pages;
mod planning;
mod preview;
pub mod proof;
mod purge;
mod take_up;
mod undoing;

pub use purge::{Purging, STANDS as PURGE_STANDS, purge};
pub use take_up::{resume, roll_back};

/// The wizard's pages for an errand.
pub fn page(errand: impl Errand + 'static) -> Box<dyn Screen> {
    Box::new(Wizard::new(Box::new(errand)))
}

/// Backs items up: one of them, or each as a job of its own.
pub fn back_up(items: Vec<ItemRef>) -> Box<dyn Screen> {
    page(errands::BackUp::of(items))
}

/// Verifies stored copies, offline.
pub fn verify(copies: Vec<(ItemRef, SnapshotId)>) -> Box<dyn Screen> {
    page(errands::Verify::of(copies))
}

/// Verifies everything the vault holds, offline, also of hosts in no inventory.
pub fn verify_vault(holdings: &Holdings) -> Box<dyn Screen> {
    page(errands::Verify::whole(holdings.ids()))
}

/// Restores a copy; what is not given is chosen on the first page.
pub fn restore(item: Option<ItemRef>, snapshot: Option<SnapshotId>) -> Box<dyn Screen> {
    page(errands::Restore::of(item, snapshot))
}

/// The wizard that does what was wished for once more; nothing for what is taken up from its run.
pub fn again(wish: &Wish) -> Option<Box<dyn Screen>> {
    Some(match wish.clone() {
        Wish::BackUp { item, reason, set } => page(errands::BackUp::again(vec![item], reason, set)),
        Wish::Restore { item, snapshot, to, set } => page(errands::Restore::again(item, snapshot, to, set)),
        Wish::Verify(copies) => page(errands::Verify::of(copies)),
        Wish::VerifyVault(copies) => page(errands::Verify::whole(copies)),
        Wish::Deed(deed) => return deed.again(),
        Wish::RollBack(_) | Wish::Resume(..) => return None,
    })
}

/// A page of a wizard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// What is wanted.
    Choose,
    /// What was found.
    Checks,
    /// What will happen.
    Preview,
    /// What must be typed.
    Confirm,
    /// It happens.
    Live,
    /// What came of it.
    Receipt,
}

impl Stop {
    fn word(self) -> &'static str {
        match self {
            Self::Choose => "choose",
            Self::Checks => "checks",
            Self::Preview => "preview",
            Self::Confirm => "confirm",
            Self::Live => "run",
            Self::Receipt => "receipt",
        }
    }
}

/// The frame.
pub struct Wizard {
    errand: Box<dyn Errand>,
    at: Stop,
    has_begun: bool,
    choose: Choose,
    confirm: Option<Confirm>,
    /// A job for each wish, in their order.
    jobs: Vec<JobId>,
    /// Whether something was chosen while a plan was being made.
    again: bool,
    /// The plans that became stale, until new ones were run.
    before: Vec<Arc<Planned>>,
    scroll: Scroll,
    /// The job in sight while several run.
    job: usize,
    quiet: Quiet,
    said: Option<(Tone, String)>,
}

impl Wizard {
    fn new(errand: Box<dyn Errand>) -> Self {
        Self {
            errand,
            at: Stop::Choose,
            has_begun: false,
            choose: Choose::default(),
            confirm: None,
            jobs: Vec::new(),
            again: false,
            before: Vec::new(),
            scroll: Scroll::default(),
            job: 0,
            quiet: Quiet::from(Timestamp::MIN),
            said: None,
        }
    }

    fn my_jobs<'m>(&self, model: &'m Model) -> Vec<&'m Job> {
        self.jobs.iter().filter_map(|id| model.job(*id)).collect()
    }

    fn planned<'m>(&self, model: &'m Model) -> Vec<&'m Planned> {
        let ready = self.my_jobs(model).into_iter().filter(|job| matches!(job.stage, Stage::Ready));
        ready.filter_map(|job| job.planned.as_deref()).collect()
    }

    /// What can be chosen: the choices of the last plan stay in place while the next one is made, or could not be.
    fn fields(&self, model: &Model) -> Vec<errand::Field> {
        let known: Vec<&Planned> = self.my_jobs(model).into_iter().filter_map(|job| job.planned.as_deref()).collect();
        self.errand.fields(model, &known)
    }

    /// The pages of this errand, in order.
    fn path(&self, model: &Model) -> Vec<Stop> {
        let mut path = Vec::new();
        path.extend((!self.fields(model).is_empty()).then_some(Stop::Choose));
        path.extend((self.errand.needs() != Needs::Nothing).then_some(Stop::Checks));
        path.push(Stop::Preview);
        // An identity that runs elsewhere is a restore, and a restore asks: the way stays as long as it is.
        let asks = self.confirm.is_some()
            || self.alive_elsewhere(model).is_some()
            || self.errand.consent(&self.my_jobs(model)) != Consent::None;
        path.extend(asks.then_some(Stop::Confirm));
        path.extend([Stop::Live, Stop::Receipt]);
        path
    }

    /// The page that is shown: a run whose jobs have all ended shows its receipt.
    fn shown(&self, model: &Model) -> Stop {
        let jobs = self.my_jobs(model);
        let has_ended =
            !jobs.is_empty() && jobs.iter().all(|job| matches!(job.stage, Stage::Done(_) | Stage::Failed(_)));
        if self.at == Stop::Live && has_ended { Stop::Receipt } else { self.at }
    }

    /// The identity that runs elsewhere: nothing goes past this.
    fn alive_elsewhere<'m>(&self, model: &'m Model) -> Option<&'m Failure> {
        let failures = self.my_jobs(model).into_iter().filter_map(|job| match &job.stage {
            Stage::Failed(failure) => Some(failure),
            _ => None,
        });
        let mut alive = failures.filter(|failure| failure.exit == Exit::AliveElsewhere);
        alive.next().filter(|_| self.at == Stop::Checks)
    }

    fn go(&mut self, to: Stop, now: Timestamp) {
        self.at = to;
        self.scroll.reset();
        self.quiet = Quiet::from(now);
    }

    /// Why the shown page cannot be left forwards.
    fn obstacle(&self, model: &Model) -> Option<String> {
        match self.shown(model) {
            Stop::Choose => self.errand.wishes(model).err().filter(|_| self.choose.is_on_go(&self.fields(model))),
            Stop::Preview if model.place.read_only && self.errand.changes() => {
                Some("the console is read-only".to_owned())
            }
            Stop::Preview if self.errand.needs() == Needs::Nothing => self.errand.wishes(model).err(),
            Stop::Checks | Stop::Preview if self.alive_elsewhere(model).is_some() => {
                Some("the identity runs elsewhere".to_owned())
            }
            Stop::Checks | Stop::Preview if !self.is_ready(model) => {
                let has_failed = self.my_jobs(model).iter().any(|job| matches!(job.stage, Stage::Failed(_)));
                Some(
                    if has_failed && !self.again { "it cannot be planned" } else { "the plan is still being made" }
                        .to_owned(),
                )
            }
            _ => None,
        }
        .map(|why| clause(&why))
    }

    fn change(&mut self, change: Option<choose::Change>, model: &Model) -> Vec<Effect> {
        let Some((key, value)) = change else { return Vec::new() };
        self.errand.set(&key, value, model);
        self.said = None;
        self.plan(model)
    }

    /// Enter.
    fn go_on(&mut self, model: &Model) -> Vec<Effect> {
        let now = model.now;
        match self.shown(model) {
            Stop::Choose => {
                let fields = self.fields(model);
                if !self.choose.is_on_go(&fields) {
                    let change = self.choose.open(&fields);
                    return self.change(change, model);
                }
                let is_bare = self.errand.needs() == Needs::Nothing;
                self.go(if is_bare { Stop::Preview } else { Stop::Checks }, now);
                if self.is_ready(model) || !self.jobs.is_empty() { Vec::new() } else { self.plan(model) }
            }
            Stop::Checks => {
                self.go(Stop::Preview, now);
                Vec::new()
            }
            // Keys that were typed ahead were not meant for a page nobody has seen.
            Stop::Preview if !self.quiet.is_over(now) => Vec::new(),
            Stop::Preview => match self.errand.consent(&self.my_jobs(model)) {
                Consent::None => self.start(model),
                consent => {
                    self.confirm = Some(Confirm::open(consent, now));
                    self.go(Stop::Confirm, now);
                    Vec::new()
                }
            },
            Stop::Confirm | Stop::Live | Stop::Receipt => Vec::new(),
        }
    }

    /// Runs exactly what was shown.
    fn start(&mut self, model: &Model) -> Vec<Effect> {
        let confirm = self.confirm.take();
        let words = confirm.as_ref().map(Confirm::words).unwrap_or_default();
        let mut effects = Vec::new();
        match self.errand.needs() {
            Needs::Plan => {
                for (at, job) in self.my_jobs(model).into_iter().enumerate() {
                    let Some(planned) = job.planned.as_deref().filter(|_| matches!(job.stage, Stage::Ready)) else {
                        continue;
                    };
                    let answered = answers_for(words, at);
                    let order = Order::Run(job.id, job.wish.clone(), Box::new(planned.clone()), answered);
                    effects.push(Effect::Order(order));
                }
            }
            Needs::Look => {
                let ready = self.my_jobs(model).into_iter().filter(|job| matches!(job.stage, Stage::Ready));
                let order = |(at, job): (usize, &Job)| Order::Do(job.id, job.wish.clone(), answers_for(words, at));
                effects.extend(ready.enumerate().map(order).map(Effect::Order));
            }
            Needs::Nothing => {
                let wishes = self.errand.wishes(model).unwrap_or_default();
                let first = model.next_job().0;
                self.jobs = (first..).take(wishes.len()).map(JobId).collect();
                let orders = self.jobs.iter().zip(wishes).map(|(job, wish)| Order::Do(*job, wish, BTreeMap::new()));
                effects.extend(orders.map(Effect::Order));
            }
        }
        self.before.clear();
        self.said = None;
        self.go(Stop::Live, model.now);
        effects
    }

    /// Escape: a page back until something runs, then away from the page.
    fn go_back(&mut self, model: &Model) -> Vec<Effect> {
        self.said = None;
        self.confirm = None;
        let path = self.path(model);
        let before = path.iter().rev().find(|stop| **stop < self.at && **stop < Stop::Live);
        match before {
            Some(stop) if self.at < Stop::Live => {
                self.go(*stop, model.now);
                Vec::new()
            }
            _ => vec![Effect::Back],
        }
    }

    /// Back to where a plan that must be made anew is waited for, or to where what it lacks is chosen.
    fn step_back(&mut self, why: &str, model: &Model) {
        let path = self.path(model);
        let missing = self.errand.wishes(model).err();
        let to = match &missing {
            Some(_) if path.contains(&Stop::Choose) => Stop::Choose,
            _ if path.contains(&Stop::Checks) => Stop::Checks,
            _ => Stop::Preview,
        };
        self.confirm = None;
        // What is missing says itself where it can be chosen.
        let why = missing.filter(|_| to != Stop::Choose).unwrap_or_else(|| why.to_owned());
        self.said = Some((Tone::Warn, why));
        self.go(to, model.now);
    }

    fn back_to_preview(&mut self, why: &str, now: Timestamp) {
        self.confirm = None;
        self.said = Some((Tone::Warn, why.to_owned()));
        self.go(Stop::Preview, now);
    }

    fn retry(&mut self, model: &Model) -> Vec<Effect> {
        let jobs = self.my_jobs(model);
        let failed: Vec<&Wish> =
            jobs.iter().filter(|job| matches!(job.stage, Stage::Failed(_))).map(|job| &job.wish).collect();
        errands::BackUp::all_again(&failed)
            .map(page)
            .or_else(|| failed.first().and_then(|wish| again(wish)))
            .map(Effect::Replace)
            .into_iter()
            .collect()
    }
}

impl Screen for Wizard {
    fn crumbs(&self, model: &Model) -> Vec<String> {
        vec![self.errand.name().to_owned(), self.shown(model).word().to_owned()]
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let obstacle = self.obstacle(model);
        let next = Offer::unless(Action::Next, obstacle.as_deref());
        let scroll = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        let mut offers = match self.shown(model) {
            Stop::Choose => {
                let fields = self.fields(model);
                // On a field the same key opens it.
                let enter = if self.choose.is_on_go(&fields) { next } else { Offer::on(Action::Open) };
                let mut offers = vec![enter, Offer::on(Action::Left), Offer::on(Action::Right)];
                if fields.iter().any(|field| matches!(field.kind, errand::Kind::Switch(_))) {
                    let fixed = !self.choose.is_on_switch(&fields);
                    offers.push(Offer::unless(Action::Mark, fixed.then_some("this row is not in or out")));
                }
                offers
            }
            Stop::Checks => vec![next, Offer::on(Action::Refresh)],
            Stop::Preview => vec![next, Offer::on(Action::Copy)],
            Stop::Confirm => Vec::new(),
            Stop::Live => vec![live::cancel_offer(self.in_sight(model)), Offer::on(Action::Background)],
            Stop::Receipt => {
                let jobs = self.my_jobs(model);
                let failed = jobs.iter().any(|job| matches!(job.stage, Stage::Failed(_)) && again(&job.wish).is_some());
                let undoable = jobs.iter().any(|job| undoable(job).is_some());
                let mut offers = Vec::new();
                offers.extend(undoable.then(|| Offer::on(Action::RollBack)));
                offers.extend(failed.then(|| Offer::on(Action::Retry)));
                offers
            }
        };
        offers.push(Offer::on(Action::Back));
        offers.extend(scroll.map(Offer::on));
        offers
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        let mut effects = self.follow(model);
        effects.extend(match (action, self.shown(model)) {
            (Action::Next, _) | (Action::Open, Stop::Choose) => self.go_on(model),
            (Action::Back, _) => self.go_back(model),
            (action, Stop::Choose) => {
                let fields = self.fields(model);
                let change = self.choose.act(action, &fields);
                self.change(change, model)
            }
            (Action::Refresh, Stop::Checks) => self.plan(model),
            (Action::Copy, Stop::Preview) => {
                let lines =
                    self.my_jobs(model).into_iter().map(|job| self.errand.command(&model.place, &job.wish, Some(job)));
                let lines = lines.collect::<Vec<_>>();
                let lines = if lines.is_empty() {
                    let wishes = self.errand.wishes(model).unwrap_or_default();
                    wishes.iter().map(|wish| self.errand.command(&model.place, wish, None)).collect()
                } else {
                    lines
                };
                vec![Effect::Copy(lines.join("\n"))]
            }
            (Action::Cancel, Stop::Live) => self.cancel(model),
            (Action::Background, Stop::Live) => vec![Effect::Back],
            (Action::Up | Action::Down, Stop::Live) => {
                let last = self.jobs.len().saturating_sub(1);
                self.job = if action == Action::Up { self.job.saturating_sub(1) } else { (self.job + 1).min(last) };
                Vec::new()
            }
            (Action::Retry, Stop::Receipt) => self.retry(model),
            (Action::RollBack, Stop::Receipt) => self.roll_back(model),
            (action, _) => {
                self.scroll.move_by(action);
                Vec::new()
            }
        });
        effects
    }

    fn typed(&mut self, key: KeyEvent, model: &Model) -> Option<Vec<Effect>> {
        if self.at == Stop::Choose && self.choose.is_editing() {
            let fields = self.fields(model);
            let change = self.choose.key(key, &fields);
            return Some(self.change(change, model));
        }
        if self.at != Stop::Confirm {
            return None;
        }
        let now = model.now;
        let Some(confirm) = &mut self.confirm else {
            self.go(Stop::Preview, now);
            return Some(Vec::new());
        };
        if confirm.is_idle(now) {
            self.back_to_preview(LEFT_ALONE, now);
            return Some(Vec::new());
        }
        match confirm.key(key, now) {
            Given::Not => {}
            Given::Back => {
                self.confirm = None;
                self.go(Stop::Preview, now);
            }
            Given::All if self.is_ready(model) => return Some(self.start(model)),
            Given::All => self.back_to_preview("The plan changed meanwhile, so nothing was done.", now),
        }
        Some(Vec::new())
    }

    fn clicked(&mut self, click: Click, model: &Model) -> Vec<Effect> {
        match (self.shown(model), click.row) {
            (Stop::Choose, Some(row)) => self.choose.clicked(row, &self.fields(model)),
            (Stop::Live, Some(row)) => self.job = row,
            // Nothing that needs a word or a thought is answered by a click.
            _ => {}
        }
        Vec::new()
    }

    fn keys_while_typing(&self) -> Option<&'static [(&'static str, &'static str)]> {
        match (&self.confirm, self.at) {
            (Some(confirm), Stop::Confirm) => Some(confirm.keys()),
            (_, Stop::Choose) => self.choose.keys(),
            _ => None,
        }
    }

    fn pasted(&mut self, text: &str, _model: &Model) {
        match &mut self.confirm {
            Some(confirm) if self.at == Stop::Confirm => confirm.pasted(),
            _ => self.choose.pasted(text),
        }
    }

    fn noticed(&mut self, notice: &Notice, model: &Model) -> Vec<Effect> {
        match notice {
            Notice::Planned(job, _) | Notice::Ended(job, _) if self.jobs.contains(job) => self.follow(model),
            // What can be chosen may only be known now, or be another copy than before.
            Notice::Vault(_)
                if self.errand.needs() != Needs::Nothing
                    && self.has_begun
                    && self.at < Stop::Confirm
                    && !self.is_as_wished(model) =>
            {
                if self.at > Stop::Choose {
                    // Nobody goes on from a plan that became another one while it was read.
                    self.step_back("The vault has changed: look at the new plan.", model);
                }
                self.plan(model)
            }
            Notice::Reloaded(Ok(_)) if self.has_begun && self.at < Stop::Live => {
                self.errand.reloaded();
                // What is being planned with the old inventory is told no more: the new plans are new jobs.
                self.jobs.clear();
                self.before.clear();
                self.again = false;
                if self.at > Stop::Choose {
                    self.step_back("The inventory was read again: look at the new plan.", model);
                }
                self.plan(model)
            }
            _ => Vec::new(),
        }
    }

    fn timed(&mut self, model: &Model) -> Vec<Effect> {
        if self.at == Stop::Confirm && self.confirm.as_ref().is_some_and(|confirm| confirm.is_idle(model.now)) {
            self.back_to_preview(LEFT_ALONE, model.now);
        }
        self.follow(model)
    }

    fn is_moving(&self, _model: &Model) -> bool {
        !self.has_begun || self.at == Stop::Confirm
    }

    fn shows_job(&self, job: JobId) -> bool {
        self.jobs.contains(&job)
    }

    /// ```text
    /// ┌ Restore val-1/avalanchego/staking-identity to spare-1 ─────────────────────┐
    /// │ ✓ choose   ✓ checks   ◐ preview   ○ confirm   ○ run   ○ receipt            │
    /// │                                                                            │
    /// │  the page                                                                  │
    /// └────────────────────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let hidden = {
            let mut inner = render_panel(&self.errand.title(model), true, canvas.area, canvas);
            self.render_stops(model, &mut inner);
            let mut from = 2;
            if let Some((_, said)) = &self.said {
                inner.text(1, 2, said, Role::StatusWarn);
                from = 4;
            }
            let area = inner.area;
            let body = Rect { y: area.y + from, height: area.height.saturating_sub(from), ..area };
            self.render_page(model, &mut inner.within(body))
        };
        hidden.render(canvas);
    }
}

/// Said when nobody answered.
const LEFT_ALONE: &str = "Nobody answered, so nothing was done.";

/// The run a job's receipt page can undo.
fn undoable(job: &Job) -> Option<crate::model::ids::RunId> {
    let Stage::Done(Some(report)) = &job.stage else { return None };
    let planned = job.planned.as_ref().filter(|planned| planned.plan.can_be_rolled_back())?;
    matches!(planned.plan.command, crate::model::plan::Command::Restore { .. }).then(|| report.run.clone())
}

impl Wizard {
    /// The job that is shown: what is done to a job is done to this one.
    fn in_sight<'m>(&self, model: &'m Model) -> Option<&'m Job> {
        self.my_jobs(model).get(self.job).copied()
    }

    fn cancel(&self, model: &Model) -> Vec<Effect> {
        let job = self.in_sight(model).filter(|job| job.is_live());
        job.map(|job| Effect::Order(Order::Cancel(job.id))).into_iter().collect()
    }

    fn roll_back(&self, model: &Model) -> Vec<Effect> {
        let undo = |job: &Job| {
            let Stage::Done(Some(report)) = &job.stage else { return None };
            let plan = job.planned.as_ref()?.plan.clone();
            let (events, receipt) = (job.events.clone(), Some(report.receipt));
            let ended = Some((Exit::Done, None));
            Some(Effect::Open(roll_back(Told { run: undoable(job)?, plan, events, ended, receipt, node: None })))
        };
        self.my_jobs(model).into_iter().find_map(undo).into_iter().collect()
    }
}
