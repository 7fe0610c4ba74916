//! The books: how the model takes in what the crew reports, and what follows from it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::action::Action;
use super::message::{Effect, Notice, Order, Tone, Wish};
use super::model::{Job, JobId, Model, Stage};
use super::when::until_next;
use crate::engine::fleet::twins::Settled;
use crate::engine::fleet::{OwnerView, Reach};
use crate::engine::runs::Resume;
use crate::model::exit::{Exit, Failure};

/// The shortest time between two judgements of the whole fleet.
const JUDGED_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// The shortest time between two looks at the clock for nothing but ages.
const SHOWN_EVERY: SignedDuration = SignedDuration::from_secs(60);

impl Model {
    /// Enters an order before the crew gets it; entering one twice is entering it once.
    pub(super) fn enter(&mut self, order: &Order) {
        match order {
            Order::Plan(job, wish) => self.enter_job(*job, wish, Stage::Planning),
            Order::LookAhead(job, wish, taken_up) => {
                self.enter_job(*job, wish, Stage::Planning);
                if let Some(job) = self.job_mut(*job) {
                    job.taken_up = Some(taken_up.clone());
                }
            }
            Order::Do(job, wish, _) => self.enter_job(*job, wish, Stage::Waiting),
            Order::Run(job, ..) => self.set_stage(*job, Stage::Waiting),
            Order::Cancel(job) => self.set_stage(*job, Stage::Stopping),
            _ => {}
        }
    }

    /// A job with what it is wished to do now.
    fn enter_job(&mut self, id: JobId, wish: &Wish, stage: Stage) {
        match self.job_mut(id) {
            Some(job) => job.wish = wish.clone(),
            None => self.jobs.push(Job::new(id, wish.clone())),
        }
        self.set_stage(id, stage);
    }

    fn set_stage(&mut self, job: JobId, stage: Stage) {
        if let Some(job) = self.job_mut(job) {
            job.stage = stage;
        }
    }

    /// Takes a report of the crew in.
    pub(super) fn take(&mut self, notice: &Notice) -> Vec<Effect> {
        match notice {
            Notice::Vault(Ok(holdings)) => {
                self.fleet.take_holdings(holdings, self.now);
                self.judge();
                self.holdings = Some(holdings.clone());
                self.vault_failure = None;
                return self.remember();
            }
            Notice::Vault(Err(failure)) => {
                self.note_failure(failure);
                self.vault_failure = Some(failure.clone());
            }
            Notice::Looking(owner) => self.looking.push(owner.clone()),
            Notice::Health(health, at) => self.take_health(health, *at),
            Notice::Found(wanted, result) => {
                self.fleet.take_found(wanted, result, self.holdings.as_deref(), self.now);
                self.fleet.judge_owner(&wanted.owner, self.now);
            }
            Notice::Looked(owner, _) => {
                self.looking.retain(|known| known != owner);
                if self.looking.is_empty() {
                    self.judge();
                }
                return self.remember();
            }
            Notice::Console(console) => self.console = Some(console.clone()),
            Notice::Runs(runs) => {
                self.runs = Some(runs.clone());
                self.are_receipts_older = true;
            }
            Notice::Receipts(receipts) => {
                self.receipts = Some(receipts.clone());
                self.are_receipts_older = false;
            }
            Notice::Planned(job, result) => {
                let planned = result.as_ref().as_ref().map(|planned| {
                    let mut planned = planned.clone();
                    planned.expect_twins(&self.fleet, self.now);
                    Arc::new(planned)
                });
                if let Some(job) = self.job_mut(*job) {
                    match planned {
                        Ok(planned) => {
                            job.planned = Some(planned);
                            job.stage = Stage::Ready;
                        }
                        Err(failure) => job.stage = Stage::Failed(failure.clone()),
                    }
                }
            }
            Notice::Ahead(job, result) => {
                if let Some(job) = self.job_mut(*job) {
                    match &**result {
                        Ok(ahead) => {
                            job.ahead = Some(Arc::new(ahead.clone()));
                            job.stage = Stage::Ready;
                        }
                        Err(failure) => job.stage = Stage::Failed(failure.clone()),
                    }
                }
            }
            Notice::Started(job) => {
                let now = self.now;
                // One that is to stop before it began settles nothing until it ended.
                if let Some(begun) = self.job_mut(*job).filter(|job| !matches!(job.stage, Stage::Stopping)) {
                    begun.stage = Stage::Running;
                    begun.started = Some(now);
                    self.settle(*job, now);
                }
            }
            Notice::Checked(job, item, snapshot, result) => {
                if let Some(job) = self.job_mut(*job) {
                    job.checked.push((item.clone(), snapshot.clone(), result.clone()));
                }
            }
            Notice::Ended(job, result) => return self.take_end(*job, result),
            Notice::InventoryChanged => {
                self.inventory_changed = true;
                let text = format!(
                    "The inventory was edited; {} reads it again. Running jobs keep the one they began with.",
                    self.key(Action::Reload)
                );
                return vec![Effect::Say(Tone::Warn, text)];
            }
            Notice::Noted(tone, text) => self.note(*tone, text.clone()),
            Notice::Practised(tone, text) => return vec![Effect::Say(*tone, text.clone())],
            Notice::Practice(view) => self.practice = Some((**view).clone()),
            Notice::Reloaded(Err(failure)) => return self.take_refusal(failure),
            Notice::Reloaded(Ok(reread)) => return self.take_reread(reread),
            Notice::Run(..)
            | Notice::RunsOn(..)
            | Notice::Discovered(..)
            | Notice::Snapshot(..)
            | Notice::Inside(..)
            | Notice::Compared(..)
            | Notice::Kept(..)
            | Notice::Shell(..)
            | Notice::Secret(..) => {}
        }
        Vec::new()
    }

    fn take_health(&mut self, health: &crate::engine::doctor::Health, at: jiff::Timestamp) {
        let id = (&health.host).into();
        if let Some(owner) = self.fleet.owner_mut(&id) {
            owner.reach = match health.exit {
                Exit::Done | Exit::Warning | Exit::Critical => Reach::Answered(at),
                exit => {
                    let why = health.aspects.last().map_or("", |aspect| aspect.found.as_str());
                    Reach::Failed(at, Failure::new(exit, why))
                }
            };
            owner.health = Some(health.clone());
        }
        self.fleet.judge_owner(&id, self.now);
    }

    /// Judges every item by the clock, unless that was done a moment ago.
    pub(super) fn judge_by_clock(&mut self) {
        // Ages show in minutes; nothing is gained by judging five thousand items with every key.
        if self.now.duration_since(self.judged).abs() >= JUDGED_EVERY {
            self.judge();
        }
    }

    /// Judges every item by the clock.
    fn judge(&mut self) {
        self.judged = self.now;
        self.fleet.judge(self.now);
        self.turns = self.next_turn();
    }

    /// When the clock alone changes what is shown next. Ages are told to the minute, so nobody is woken more often
    /// than once a minute for them.
    fn next_turn(&self) -> Option<Timestamp> {
        let now = self.now;
        let state = self.fleet.next_turn(now).map(|at| at.duration_since(now).max(JUDGED_EVERY));
        let items = self.fleet.owners.iter().flat_map(OwnerView::items).filter_map(|item| item.copies().first());
        let copied = items.flat_map(|copy| std::iter::once(copy.created).chain(copy.highest().map(|(_, at)| at)));
        let asked = self.fleet.owners.iter().filter_map(|owner| match &owner.reach {
            Reach::Answered(at) | Reach::Failed(at, _) => Some(*at),
            Reach::Unknown => None,
        });
        let shown = copied.chain(asked).chain(self.fleet.remembered);
        let age = shown.map(|at| until_next(at, now)).min().map(|left| left.max(SHOWN_EVERY));
        state.into_iter().chain(age).min().and_then(|left| now.checked_add(left).ok())
    }

    /// Has the fleet remembered for the next sitting, once nobody looks any more and the vault was read.
    fn remember(&self) -> Vec<Effect> {
        if !self.looking.is_empty() || self.fleet.read_at.is_none() {
            return Vec::new();
        }
        vec![Effect::Order(Order::Remember(Box::new(self.fleet.clone())))]
    }

    /// The inventory was read again: hosts and items begin anew and are looked at. What was learned with the old one
    /// is told no more; another vault begins anew as well. Jobs stay as they are.
    fn take_reread(&mut self, reread: &super::message::Reread) -> Vec<Effect> {
        self.edition = reread.edition;
        self.inventory_changed = false;
        self.fleet = reread.fleet.clone();
        let mut effects =
            vec![Effect::Say(Tone::Plain, "The inventory was read again.".to_owned()), Effect::Order(Order::ReadVault)];
        if self.place.vault != reread.vault {
            (self.holdings, self.vault_failure) = (None, None);
            if self.runs.is_some() {
                (self.runs, self.receipts) = (None, None);
                effects.push(Effect::Order(Order::ReadRuns));
            }
            self.place.vault.clone_from(&reread.vault);
        }
        self.looking.clear();
        if let Some(holdings) = self.holdings.clone() {
            self.fleet.take_holdings(&holdings, self.now);
        }
        self.judge();
        for warning in &reread.warnings {
            self.note(Tone::Warn, warning.replace("\n    ", " "));
        }
        let owners = self.fleet.owners.iter().map(|owner| owner.id.clone()).collect();
        effects.push(Effect::Order(Order::Look(owners)));
        effects
    }

    /// The inventory cannot be used as it is now; the one in use stays.
    fn take_refusal(&mut self, failure: &Failure) -> Vec<Effect> {
        let log = self.key(Action::Log);
        let text = format!("{} The one in use stays; the log has the lines ({log}).", failure.message);
        for hint in &failure.hints {
            self.note(Tone::Bad, hint.replace("\n    ", " "));
        }
        vec![Effect::Say(Tone::Bad, text)]
    }

    fn take_end(&mut self, id: JobId, result: &Result<Option<crate::engine::runs::Report>, Failure>) -> Vec<Effect> {
        let now = self.now;
        let Some(job) = self.job_mut(id) else { return Vec::new() };
        job.pull(now);
        job.ended = Some(now);
        let title = job.wish.title();
        match result {
            Ok(report) => {
                job.stage = Stage::Done(report.clone());
                self.note(Tone::Plain, format!("{title}: done."));
            }
            Err(failure) => {
                job.stage = Stage::Failed(failure.clone());
                self.note(Tone::Bad, format!("{title}: {}", failure.message));
            }
        }
        match result {
            // It brought everything back, so what was seen before is as true as it was.
            Err(failure) if failure.exit != Exit::Changed => self.unsettle(id),
            _ => self.settle(id, now),
        }
        vec![Effect::Order(Order::ReadVault), Effect::Order(Order::ReadRuns)]
    }

    /// Takes in that what a job works on was settled at a moment: what was seen of its identities before tells nothing.
    fn settle(&mut self, id: JobId, at: Timestamp) {
        if let Some(settled) = self.job(id).and_then(|job| settled_by(job, at)) {
            self.fleet.settle(settled);
            self.judge();
        }
    }

    fn unsettle(&mut self, id: JobId) {
        let job = self.job(id).and_then(|job| settled_by(job, job.started?));
        if let Some(settled) = job {
            self.fleet.unsettle(&settled);
            self.judge();
        }
    }

    fn note_failure(&mut self, failure: &Failure) {
        self.note(Tone::Bad, failure.message.clone());
    }
}

/// What a job settles about identities, where it moves some.
fn settled_by(job: &Job, at: Timestamp) -> Option<Settled> {
    let is_left = matches!(job.wish, Wish::Resume(_, Resume::Leave, _));
    job.plan().filter(|_| !is_left).and_then(|plan| Settled::of(plan, at))
}
