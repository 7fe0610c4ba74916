//! Wizards: one frame for everything that is done to a node or the vault.
//!
//! Choose, checks, preview, confirm, live, receipt. What is asked, shown and wished for is the [`errand::Errand`]'s;
//! the order of pages, and that nothing runs but the plan that was shown, is the frame's. Going back is possible until
//! the first change; from then on leaving the page leaves the job at work.

use std::sync::Arc;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use ratatui::layout::Rect;

use self::choose::Choose;
use self::confirm::{Confirm, Given, QUIET};
use self::errand::{Consent, Errand, answers_for};
use crate::engine::planner::Planned;
use crate::model::exit::{Exit, Failure};
use crate::model::ids::{ItemRef, SnapshotId};
use crate::tui::action::{Action, Offer};
use crate::tui::message::{Effect, Notice, Order, Tone, Wish};
use crate::tui::model::{Job, JobId, Model, Stage};
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::sheet::{Row, Sign, render_more, render_sheet};

mod checks;
mod choose;
pub mod command;
pub mod confirm;
pub mod errand;
mod errands;
pub mod live;
mod preview;
pub mod proof;
mod take_up;

pub use take_up::{leave, purge, resume, roll_back};

/// Backs items up: one of them, or each as a job of its own.
pub fn back_up(items: Vec<ItemRef>) -> Box<dyn Screen> {
    Box::new(Wizard::new(Box::new(errands::BackUp::of(items))))
}

/// Verifies stored copies, offline.
pub fn verify(copies: Vec<(ItemRef, SnapshotId)>) -> Box<dyn Screen> {
    Box::new(Wizard::new(Box::new(errands::Verify::of(copies))))
}

/// Restores a copy; what is not given is chosen on the first page.
pub fn restore(item: Option<ItemRef>, snapshot: Option<SnapshotId>) -> Box<dyn Screen> {
    Box::new(Wizard::new(Box::new(errands::Restore::of(item, snapshot))))
}

/// The wizard that does what was wished for once more; nothing for what is taken up from its run.
pub fn again(wish: &Wish) -> Option<Box<dyn Screen>> {
    let errand: Box<dyn Errand> = match wish.clone() {
        Wish::BackUp { item, reason, set } => Box::new(errands::BackUp::again(item, reason, set)),
        Wish::Restore { item, snapshot, to, set } => Box::new(errands::Restore::again(item, snapshot, to, set)),
        Wish::Verify(copies) => Box::new(errands::Verify::of(copies)),
        Wish::RollBack(_) | Wish::Resume(..) | Wish::Purge(..) => return None,
    };
    Some(Box::new(Wizard::new(errand)))
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
    /// The first row in sight.
    top: usize,
    /// The job in sight while several run.
    job: usize,
    quiet_until: Timestamp,
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
            top: 0,
            job: 0,
            quiet_until: Timestamp::MIN,
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
        path.extend(self.errand.is_planned().then_some(Stop::Checks));
        path.push(Stop::Preview);
        let asks = self.confirm.is_some() || self.errand.consent(&self.my_jobs(model)) != Consent::None;
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
        self.top = 0;
        self.quiet_until = now + QUIET;
    }

    /// Orders the plans anew; while some are being made, remembers that they must be made again.
    fn plan(&mut self, model: &Model) -> Vec<Effect> {
        if !self.errand.is_planned() {
            return Vec::new();
        }
        let Ok(wishes) = self.errand.wishes(model) else {
            self.jobs.clear();
            return Vec::new();
        };
        let jobs = self.my_jobs(model);
        let is_same = jobs.len() == wishes.len() && self.jobs.len() == wishes.len();
        if is_same && jobs.iter().any(|job| matches!(job.stage, Stage::Planning)) {
            self.again = true;
            return Vec::new();
        }
        let is_free = |job: &&Job| job.started.is_none() && matches!(job.stage, Stage::Ready | Stage::Failed(_));
        if !is_same || !jobs.iter().all(is_free) {
            let first = model.next_job().0;
            self.jobs = (first..).take(wishes.len()).map(JobId).collect();
        }
        self.again = false;
        self.jobs.iter().zip(wishes).map(|(job, wish)| Effect::Order(Order::Plan(*job, wish))).collect()
    }

    /// Whether every plan is made and none must be made again.
    fn is_ready(&self, model: &Model) -> bool {
        let jobs = self.my_jobs(model);
        !self.errand.is_planned()
            || (!self.again && !jobs.is_empty() && jobs.iter().all(|job| matches!(job.stage, Stage::Ready)))
    }

    /// Why the shown page cannot be left forwards.
    fn obstacle(&self, model: &Model) -> Option<String> {
        match self.shown(model) {
            Stop::Choose => self.errand.wishes(model).err().filter(|_| self.choose.is_on_go(&self.fields(model))),
            Stop::Preview if model.place.read_only && self.errand.changes() => {
                Some("the console is read-only".to_owned())
            }
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
        .map(|why| why.trim_end_matches('.').to_owned())
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
                self.go(if self.errand.is_planned() { Stop::Checks } else { Stop::Preview }, now);
                if self.is_ready(model) || !self.jobs.is_empty() { Vec::new() } else { self.plan(model) }
            }
            Stop::Checks => {
                self.go(Stop::Preview, now);
                Vec::new()
            }
            Stop::Preview if now < self.quiet_until => {
                // Keys that were typed ahead were not meant for a page nobody has seen.
                self.quiet_until = now + QUIET;
                Vec::new()
            }
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
        if self.errand.is_planned() {
            for (at, job) in self.my_jobs(model).into_iter().enumerate() {
                let Some(planned) = job.planned.as_deref().filter(|_| matches!(job.stage, Stage::Ready)) else {
                    continue;
                };
                let answered = answers_for(words, at);
                let order = Order::Run(job.id, job.wish.clone(), Box::new(planned.clone()), answered);
                effects.push(Effect::Order(order));
            }
        } else if let Ok(wishes) = self.errand.wishes(model) {
            let first = model.next_job().0;
            self.jobs = (first..).take(wishes.len()).map(JobId).collect();
            effects.extend(self.jobs.iter().zip(wishes).map(|(job, wish)| Effect::Order(Order::Do(*job, wish))));
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

    fn back_to_preview(&mut self, why: &str, now: Timestamp) {
        self.confirm = None;
        self.said = Some((Tone::Warn, why.to_owned()));
        self.go(Stop::Preview, now);
    }

    /// What follows from the state of the jobs: plans to make again, stale ones to show anew.
    fn follow(&mut self, model: &Model) -> Vec<Effect> {
        if !self.has_begun {
            self.has_begun = true;
            let path = self.path(model);
            self.at = path.first().copied().unwrap_or(Stop::Preview);
            let fields = self.fields(model);
            let missing = fields.iter().position(|field| field.value.is_empty() && field.kind != errand::Kind::Text);
            self.choose.select(missing);
            self.quiet_until = model.now + QUIET;
            return self.plan(model);
        }
        if self.again && !self.my_jobs(model).iter().any(|job| matches!(job.stage, Stage::Planning)) {
            return self.plan(model);
        }
        let jobs = self.my_jobs(model);
        let is_stale = |job: &&Job| matches!(&job.stage, Stage::Failed(failure) if failure.exit == Exit::Stale);
        if self.at == Stop::Live && !jobs.is_empty() && jobs.iter().all(is_stale) {
            self.before = jobs.iter().filter_map(|job| job.planned.clone()).collect();
            // A job that was begun is told by its own number; the new plans are new jobs.
            self.back_to_preview("Nothing was changed: the plan was stale. Look at the new one.", model.now);
            return self.plan(model);
        }
        if self.at == Stop::Preview && !self.is_ready(model) && self.before.is_empty() && self.errand.is_planned() {
            // Something chosen elsewhere took the plan away.
            self.go(Stop::Checks, model.now);
        }
        Vec::new()
    }

    /// What the plan rests on now, where that is not what the stale one rested on.
    fn changes(&self, model: &Model) -> Vec<Row> {
        let now = self.planned(model);
        let mut rows = Vec::new();
        for (old, new) in self.before.iter().zip(&now) {
            let keys: std::collections::BTreeSet<&String> =
                old.plan.basis.keys().chain(new.plan.basis.keys()).collect();
            for key in keys {
                let (was, is) = (old.plan.basis.get(key), new.plan.basis.get(key));
                if was != is {
                    let show =
                        |value: Option<&serde_json::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
                    let text = format!("was {}, is {}", show(was), show(is));
                    rows.push(Row::signed(Sign::Warn, text).cell(key.clone(), 16, Role::Text));
                }
            }
            if rows.is_empty() && old.hash != new.hash {
                rows.push(Row::signed(Sign::Warn, "The plan itself is another one now."));
            }
        }
        if !rows.is_empty() {
            rows.insert(0, Row::heading("What changed since"));
            rows.push(Row::gap());
        }
        rows
    }

    fn retry(&mut self, model: &Model) -> Vec<Effect> {
        let jobs = self.my_jobs(model);
        let failed: Vec<&Wish> =
            jobs.iter().filter(|job| matches!(job.stage, Stage::Failed(_))).map(|job| &job.wish).collect();
        let items: Vec<ItemRef> = failed
            .iter()
            .filter_map(|wish| match wish {
                Wish::BackUp { item, .. } => Some(item.clone()),
                _ => None,
            })
            .collect();
        let page = if items.len() > 1 { Some(back_up(items)) } else { failed.first().and_then(|wish| again(wish)) };
        page.map(Effect::Replace).into_iter().collect()
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
            Stop::Choose => vec![next, Offer::on(Action::Left), Offer::on(Action::Right), Offer::on(Action::Mark)],
            Stop::Checks => vec![next, Offer::on(Action::Refresh)],
            Stop::Preview => vec![next, Offer::on(Action::Copy)],
            Stop::Confirm => Vec::new(),
            Stop::Live => {
                let is_live = self.my_jobs(model).iter().any(|job| job.is_live());
                let why = (!is_live).then_some("nothing runs");
                vec![Offer::unless(Action::Cancel, why), Offer::on(Action::Background)]
            }
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
            (Action::Next, _) => self.go_on(model),
            (Action::Back, _) => self.go_back(model),
            (action, Stop::Choose) => {
                let fields = self.fields(model);
                let change = self.choose.act(action, &fields);
                self.change(change, model)
            }
            (Action::Refresh, Stop::Checks) => self.plan(model),
            (Action::Copy, Stop::Preview) => {
                let lines = self
                    .my_jobs(model)
                    .into_iter()
                    .map(|job| self.errand.command(&model.place, &job.wish, job.planned.as_deref()));
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
                self.scroll(action);
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

    fn pasted(&mut self, text: &str, _model: &Model) {
        match &mut self.confirm {
            Some(confirm) if self.at == Stop::Confirm => confirm.pasted(),
            _ => self.choose.pasted(text),
        }
    }

    fn noticed(&mut self, notice: &Notice, model: &Model) -> Vec<Effect> {
        match notice {
            Notice::Planned(job, _) | Notice::Ended(job, _) if self.jobs.contains(job) => self.follow(model),
            // What can be chosen may only be known now.
            Notice::Vault(_) if self.has_begun && self.jobs.is_empty() && self.at == Stop::Choose => self.plan(model),
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
        let below = {
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
        render_more(below, canvas);
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
    fn cancel(&self, model: &Model) -> Vec<Effect> {
        let jobs = self.my_jobs(model);
        let live: Vec<JobId> = jobs.iter().filter(|job| job.is_live()).map(|job| job.id).collect();
        let one = jobs.get(self.job).filter(|job| job.is_live()).map(|job| job.id);
        let chosen = one.or_else(|| live.first().copied());
        chosen.map(|job| Effect::Order(Order::Cancel(job))).into_iter().collect()
    }

    fn roll_back(&self, model: &Model) -> Vec<Effect> {
        let job = self.my_jobs(model).into_iter().find(|job| undoable(job).is_some());
        let run = job.and_then(undoable);
        let plan = job.and_then(|job| job.planned.as_ref()).map(|planned| planned.plan.clone());
        run.zip(plan).map(|(run, plan)| Effect::Open(roll_back(run, plan))).into_iter().collect()
    }

    fn scroll(&mut self, action: Action) {
        self.top = match action {
            Action::Up => self.top.saturating_sub(1),
            Action::Down => self.top + 1,
            Action::PageUp => self.top.saturating_sub(10),
            Action::PageDown => self.top + 10,
            Action::First => 0,
            _ => self.top,
        };
    }

    fn render_stops(&self, model: &Model, canvas: &mut Canvas) {
        let shown = self.shown(model);
        let mut x = 1;
        for stop in self.path(model) {
            let (sign, role) = match stop.cmp(&shown) {
                std::cmp::Ordering::Less => (Sign::Done, Role::Muted),
                std::cmp::Ordering::Equal => (Sign::Now, Role::Title),
                std::cmp::Ordering::Greater => (Sign::Next, Role::Muted),
            };
            let (sign_role, glyph) = sign.look(&canvas.theme.glyphs);
            x = canvas.text(x, 0, glyph, sign_role) + 1;
            x = canvas.text(x, 0, stop.word(), role) + 3;
        }
    }

    /// Draws the page; says how many lines lie below.
    fn render_page(&self, model: &Model, canvas: &mut Canvas) -> usize {
        let jobs = self.my_jobs(model);
        match self.shown(model) {
            Stop::Choose => {
                let missing = self.errand.wishes(model).err();
                self.choose.view(&self.fields(model), missing.as_deref(), canvas);
                0
            }
            Stop::Checks => match self.alive_elsewhere(model) {
                Some(failure) => render_sheet(&full_stop(failure), self.top, canvas),
                None => render_sheet(&self.errand.checks(model, &jobs), self.top, canvas),
            },
            Stop::Preview => {
                let mut rows = self.changes(model);
                if self.is_ready(model) {
                    rows.extend(self.errand.preview(model, &jobs));
                } else {
                    rows.extend(self.errand.checks(model, &jobs));
                }
                render_sheet(&rows, self.top, canvas)
            }
            Stop::Confirm => {
                if let Some(confirm) = &self.confirm {
                    confirm.view(canvas);
                }
                0
            }
            Stop::Live => {
                self.render_live(model, &jobs, canvas);
                0
            }
            Stop::Receipt => render_sheet(&proof::rows(model, &jobs), self.top, canvas),
        }
    }

    fn render_live(&self, model: &Model, jobs: &[&Job], canvas: &mut Canvas) {
        if let [job] = jobs {
            live::render_job(model, job, canvas);
            return;
        }
        let height = u16::try_from(jobs.len()).unwrap_or(u16::MAX).min(canvas.area.height / 3).max(1);
        let list = Rect { height, ..canvas.area };
        live::render_jobs(model, jobs, self.job, &mut canvas.within(list));
        let area = canvas.area;
        let rest = Rect { y: area.y + height + 1, height: area.height.saturating_sub(height + 1), ..area };
        if let Some(job) = jobs.get(self.job) {
            live::render_job(model, job, &mut canvas.within(rest));
        }
    }
}

/// Nothing goes past this: the identity runs elsewhere.
fn full_stop(failure: &Failure) -> Vec<Row> {
    let mut rows = vec![
        Row::signed(Sign::Bad, "STOP: this identity runs elsewhere.").as_role(Role::StatusBad),
        Row::gap(),
        Row::say(Role::Text, failure.message.clone()).set_in(2),
        Row::gap(),
        Row::say(
            Role::Text,
            "Two nodes with one identity harm each other. No word typed here overrides it, and nothing was changed.",
        )
        .set_in(2),
        Row::gap(),
    ];
    for (number, hint) in failure.hints.iter().enumerate() {
        rows.push(Row::pair(if number == 0 { "next" } else { "" }, hint.clone()).set_in(2));
    }
    rows.push(Row::pair("", "When it is down there, look again.").set_in(2));
    rows
}
