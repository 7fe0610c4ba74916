//! Runs a plan: look, make durable, arm, act; and on any failure undo, newest first.
//!
//! The journal is written before the act, here and on every node the run changes, so that whoever reads it after a
//! crash knows at least as much as the nodes do. What a step found before it acted (`before`) is all its revert needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

mod guards;
mod states;
mod undo;

pub use states::{StepState, fill_in_run, states_of};

use super::board::Board;
use super::heartbeat::Heartbeat;
use super::links::Links;
use super::{node_run, rollback};
use crate::model::clock::Clock;
use crate::model::event::{Event, EventKind};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{ConsoleId, HostId, RunId, StepId};
use crate::model::plan::{Effect, Plan, Step};
use crate::model::secret::Secrets;
use crate::services::common::{CAPTURE, DELIVER};
use crate::services::{self, Cx, Mark, Now};
use crate::transport::{Cancel, Transport};

/// Where events become durable before anything happens.
pub trait Record: Send {
    /// Writes one event and returns once it would survive a power cut.
    fn append(&mut self, event: &Event) -> Result<()>;
}

/// The two steps that move bytes between a node and the vault.
pub trait Carrier: Sync {
    /// Copies an item off; `check` says, once everything arrived, whether the copy counts.
    fn capture(&self, cx: &Cx, step: &Step, board: &Board, check: &dyn Fn() -> Result<()>) -> Result<Value>;
    /// Brings a snapshot's bytes onto the node.
    fn deliver(&self, cx: &Cx, step: &Step, board: &Board) -> Result<Value>;
}

/// Everything a run needs besides its plan.
pub struct Means<'e> {
    /// Logins.
    pub links: &'e Links<'e>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tokens and passwords.
    pub secrets: Arc<dyn Secrets>,
    /// This console.
    pub console: ConsoleId,
    /// The watchers' board.
    pub board: Arc<Board>,
    /// The operator's wish to stop.
    pub cancel: Cancel,
    /// Moves bytes.
    pub carrier: &'e dyn Carrier,
}

/// One run under way.
pub struct Executor<'e> {
    means: Means<'e>,
    run: RunId,
    plan: Plan,
    /// The plan as it lies on the nodes: how it is undone is decided by whoever undoes it.
    written: Plan,
    record: Box<dyn Record + 'e>,
    mark: Mark,
    next_seq: u64,
    /// Every event of the run, to give a node those that it does not have.
    events: Vec<Event>,
    /// How many lines each node's journal has; none for one that nobody knows since a write came to no certain end.
    spread: BTreeMap<HostId, usize>,
    states: BTreeMap<StepId, StepState>,
    opened: BTreeSet<HostId>,
    heartbeats: BTreeMap<HostId, Heartbeat>,
    /// What was listed as kept aside on each node when the run was closed there.
    kept: BTreeMap<HostId, Vec<String>>,
    undoes: Option<RunId>,
    /// From the first undoing on a vault that fails stops nothing any more.
    is_winding_up: bool,
    /// The first event that the vault did not take since then.
    unwritten: Option<Failure>,
}

/// How long a node that was lost and cannot be reached is waited for, each time: a link that breaks is often back within
/// seconds. All of them are well below a guard's usual lapse.
const REDIAL: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(6), Duration::from_secs(10)];

/// How long a revert may take before it is given up; the node's guard goes on.
const REVERT_LIMIT: Duration = Duration::from_mins(5);

impl<'e> Executor<'e> {
    /// A run that has not begun, or one read back from its journal.
    pub fn new(means: Means<'e>, run: RunId, plan: Plan, record: Box<dyn Record + 'e>, epoch: u64) -> Self {
        let mark = Mark { run: run.clone(), owner: format!("{} {epoch}", means.console) };
        let plan = fill_in_run(plan, &run);
        Self {
            means,
            run,
            written: plan.clone(),
            plan,
            record,
            mark,
            next_seq: 0,
            events: Vec::new(),
            spread: BTreeMap::new(),
            states: BTreeMap::new(),
            opened: BTreeSet::new(),
            heartbeats: BTreeMap::new(),
            kept: BTreeMap::new(),
            undoes: None,
            is_winding_up: false,
            unwritten: None,
        }
    }

    /// Takes up what an earlier console journalled.
    #[must_use]
    pub fn resuming(mut self, events: &[Event]) -> Self {
        self.next_seq = events.last().map_or(0, |event| event.seq + 1);
        self.states = states_of(events);
        self.events = events.to_vec();
        self.undoes = events.iter().find_map(|event| match &event.kind {
            EventKind::Undoes { undone, .. } => Some(undone.clone()),
            _ => None,
        });
        self
    }

    /// Takes what each step came to from `run`, an earlier one that is to be undone.
    #[must_use]
    pub fn undoing(mut self, run: &RunId, states: BTreeMap<StepId, StepState>) -> Self {
        self.undoes = Some(run.clone());
        self.states = states;
        self
    }

    /// Has an undoing keep aside what stands in place of what was replaced: it has been in use since.
    ///
    /// # Errors
    /// A step's arguments cannot be read.
    pub fn keeping_aside(mut self) -> Result<Self> {
        self.plan = rollback::plan_keeping_aside(self.plan, &self.run)?;
        Ok(self)
    }

    /// What was listed as kept aside on each node when the run was closed there.
    pub fn kept(&self) -> &BTreeMap<HostId, Vec<String>> {
        &self.kept
    }

    /// What each step has come to.
    pub fn states(&self) -> &BTreeMap<StepId, StepState> {
        &self.states
    }

    /// Journals an event that is not a step's.
    ///
    /// # Errors
    /// The vault's, as long as nothing is being brought back.
    pub fn note(&mut self, kind: EventKind) -> Result<()> {
        let Some(event) = self.note_here(kind)? else { return Ok(()) };
        self.spread(&event)?;
        self.means.board.add(event);
        Ok(())
    }

    /// Journals an event in the vault; nothing comes of it when that fails while things are brought back.
    fn note_here(&mut self, kind: EventKind) -> Result<Option<Event>> {
        match self.journal(kind) {
            Ok(event) => Ok(Some(event)),
            Err(failure) if self.is_winding_up => {
                self.unwritten.get_or_insert(failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    fn journal(&mut self, kind: EventKind) -> Result<Event> {
        let event = Event { schema: 1, run: self.run.clone(), seq: self.next_seq, at: self.means.clock.now(), kind };
        self.record.append(&event)?;
        self.next_seq += 1;
        self.events.push(event.clone());
        Ok(event)
    }

    /// Writes an event into the journals on the nodes, with every earlier one that did not get there. Before a step acts
    /// that must come to its end, so each node's journal is whole up to what happens next; after a step it may wait until
    /// then.
    fn spread(&mut self, event: &Event) -> Result<()> {
        for host in self.opened.clone() {
            let spread = self.spread_to(&host);
            if matches!(event.kind, EventKind::StepStarted { .. } | EventKind::Undoes { .. }) {
                spread?;
            }
        }
        Ok(())
    }

    fn spread_to(&mut self, host: &HostId) -> Result<()> {
        let lines = self.missing_on(host, &self.means.cancel.clone())?;
        self.with_cx(host, &self.means.cancel, |cx| node_run::append_journal(cx, &lines))?;
        self.spread.insert(host.clone(), self.events.len());
        Ok(())
    }

    /// The lines that a node's journal does not have. Until they are known to have arrived nobody knows how many it has.
    fn missing_on(&mut self, host: &HostId, cancel: &Cancel) -> Result<String> {
        let had = match self.spread.remove(host) {
            Some(had) => had,
            None => self.with_cx(host, cancel, |cx| node_run::count_journal(cx, &self.run))?,
        };
        // One that has more than it should gets the newest all the same; whoever reads it passes over what it has twice.
        let missing = self.events.iter().skip(had.min(self.events.len().saturating_sub(1)));
        Ok(missing.map(|event| serde_json::to_string(event).unwrap_or_default() + "\n").collect())
    }

    /// Runs every step that is not done; on failure undoes what was done.
    ///
    /// # Errors
    /// The failure with the exit it maps to: as the step's own when everything was brought back,
    /// [`Exit::Changed`] when something is not as it was.
    pub fn execute(&mut self) -> Result<BTreeMap<StepId, Value>> {
        let steps = self.plan.steps.clone();
        let done = self.open_nodes().and_then(|()| steps.iter().try_for_each(|step| self.run_step(step)));
        if let Err(failure) = done {
            return Err(self.undo(failure));
        }
        let outs = self.outs();
        self.finish().map(|()| outs)
    }

    /// Every step is done, so nothing is undone any more: what remains is taking guards and locks off, if need be over a new login.
    fn finish(&mut self) -> Result<()> {
        self.is_winding_up = true;
        let Err(first) = self.close_nodes() else { return Ok(()) };
        self.opened.iter().for_each(|host| self.means.links.forget(host));
        self.close_nodes().map_err(|_| {
            let state = "Every step is done and the service runs; only the run's own directory, lock or guard was not taken off.";
            Failure { exit: Exit::Changed, ..first }.state(state).hint(format!("Finish it: lifeboat resume {}", self.run))
        })
    }

    /// Takes the run over on its nodes: this console owns it from here on, and what a guard did meanwhile is taken in.
    ///
    /// # Errors
    /// A node cannot be reached, or its guard could not bring everything back: then a person must look.
    pub fn take_over(&mut self) -> Result<()> {
        self.open_nodes()?;
        self.absorb_guards()?;
        for guard in self.plan.guards.clone() {
            let counts = |cx: &Cx| node_run::is_guarded(cx, &self.run);
            if self.opened.contains(&guard.host) && self.with_cx(&guard.host, &self.means.cancel, counts)? {
                self.watch_over(&guard)?;
            }
        }
        Ok(())
    }

    /// Takes the nodes for the undoing of the earlier run given to [`Executor::undoing`]. What is to be undone is
    /// journalled before, here and on the nodes, so that whoever resumes this undoes the rest and does not restore anew.
    pub fn begin_undoing(&mut self) -> Result<()> {
        if let Some(undone) = self.undoes.clone() {
            let finished = |state: &StepState| match state {
                StepState::Finished(before, out) => Some((before.clone(), out.clone())),
                _ => None,
            };
            let steps = self.states.iter().filter_map(|(id, state)| Some((id.clone(), finished(state)?))).collect();
            let event = self.journal(EventKind::Undoes { undone, steps })?;
            self.means.board.add(event.clone());
            self.take_over()?;
            self.spread(&event)?;
        }
        self.guard_undoing()
    }

    /// Whether this run undoes an earlier one.
    pub fn is_undoing(&self) -> bool {
        self.undoes.is_some()
    }

    /// Gives the run's locks, holds and guards back and leaves everything else as it is now. What lies beside its places
    /// is listed, so that it can be found and removed.
    ///
    /// # Errors
    /// A node cannot be reached, or cannot tell what lies there.
    pub fn leave(&mut self) -> Result<()> {
        self.open_nodes()?;
        self.heartbeats.clear();
        // A node's note of what its guard did goes with the run there. So it is journalled before, and those nodes are the
        // last: whoever goes on after a leaving that broke off must know what was undone.
        let mut hosts: Vec<HostId> = self.opened.iter().cloned().collect();
        hosts.sort_by_key(|host| self.plan.guards.iter().any(|guard| guard.host == *host));
        for host in &hosts {
            if let Some(fired) = self.with_cx(host, &self.means.cancel, |cx| node_run::read_fired(cx, &self.run))? {
                for event in self.note_fired(host, &fired)? {
                    self.means.board.add(event);
                }
            }
        }
        for host in &hosts {
            let left = self.beside(host)?;
            let list = list_of(&left);
            self.with_cx(host, &Cancel::new(), |cx| node_run::leave_run(cx, &list))?;
            self.closed(host, left);
        }
        Ok(())
    }

    /// What lies on a node under the run's id.
    fn beside(&self, host: &HostId) -> Result<Vec<String>> {
        let dirs = rollback::dirs_of(&self.plan, &self.run, host);
        if dirs.is_empty() {
            return Ok(Vec::new());
        }
        self.with_cx(host, &Cancel::new(), |cx| node_run::list_beside(cx, &self.run, &dirs))
    }

    /// Closes the run on one node, where `kept` is listed from then on, and what `undone` had kept no longer.
    fn close_node(&mut self, host: &HostId, kept: Vec<String>, undone: Option<&RunId>) -> Result<()> {
        let list = list_of(&kept);
        self.with_cx(host, &Cancel::new(), |cx| node_run::close_run(cx, &list, undone))?;
        self.closed(host, kept);
        Ok(())
    }

    fn closed(&mut self, host: &HostId, kept: Vec<String>) {
        self.opened.remove(host);
        if !kept.is_empty() {
            self.kept.insert(host.clone(), kept);
        }
    }

    fn outs(&self) -> BTreeMap<StepId, Value> {
        let out = |state: &StepState| match state {
            StepState::Finished(_, out) | StepState::Skipped(out) => Some(out.clone()),
            StepState::Started(_) | StepState::Reverted => None,
        };
        self.states.iter().filter_map(|(id, state)| Some((id.clone(), out(state)?))).collect()
    }

    fn with_cx<T>(&self, host: &HostId, cancel: &Cancel, work: impl FnOnce(&Cx) -> Result<T>) -> Result<T> {
        let node = self.means.links.get(host, cancel)?;
        work(&self.cx(host, &*node, cancel))
    }

    fn cx<'c>(&'c self, host: &'c HostId, node: &'c dyn Transport, cancel: &'c Cancel) -> Cx<'c> {
        Cx { host, node, cancel, clock: &*self.means.clock, secrets: &*self.means.secrets, run: Some(&self.mark) }
    }

    fn open_nodes(&mut self) -> Result<()> {
        let plan = serde_json::to_vec_pretty(&self.written).map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        let changed = self.plan.steps.iter().filter(|step| step.effect != Effect::Read).map(|step| step.host.clone());
        for host in changed.collect::<BTreeSet<_>>() {
            if self.opened.contains(&host) {
                continue;
            }
            let open = |this: &Self| {
                let key = this.plan.service_on(&host).as_str();
                this.with_cx(&host, &this.means.cancel, |cx| node_run::open_run(cx, &this.mark, key, &plan))
            };
            let mut opened = open(self);
            if opened.as_ref().is_err_and(|failure| failure.cut) {
                self.means.links.forget(&host);
                // It may have been made all the same, so it is closed like one that was.
                self.opened.insert(host.clone());
                opened = open(self);
            }
            opened?;
            self.opened.insert(host);
        }
        Ok(())
    }

    /// Disarms every guard, gives the locks back and leaves the list of what was kept.
    fn close_nodes(&mut self) -> Result<()> {
        for host in self.opened.clone() {
            if self.heartbeats.contains_key(&host) {
                self.disarm(&host)?;
            }
            let mut kept = rollback::kept_on(&host, &self.plan, &self.states);
            if kept.iter().any(|path| rollback::is_aside(&self.plan, path)) {
                // Where nothing stood in place any more, nothing was put aside.
                let there = self.beside(&host)?;
                kept.retain(|path| there.contains(path) || !rollback::is_aside(&self.plan, path));
            }
            self.close_node(&host, kept, self.undoes.clone().as_ref())?;
        }
        Ok(())
    }

    fn run_step(&mut self, step: &Step) -> Result<()> {
        let known = match self.states.get(&step.id) {
            Some(StepState::Finished(..) | StepState::Skipped(_)) => return Ok(()),
            Some(StepState::Started(before)) => Some(before.clone()),
            Some(StepState::Reverted) | None => None,
        };
        let is_first = known.is_none();
        if self.means.cancel.is_cancelled() {
            return Err(Failure::new(Exit::Cancelled, format!("Cancelled before '{}'.", step.title)));
        }
        let cancel = self.means.cancel.within(step.timeout.into());
        let acted = self.look_and_act(step, known, &cancel);
        let acted = self.after_a_cut(step, acted, &cancel);
        match acted {
            Ok((before, out)) => {
                self.states.insert(step.id.clone(), StepState::Finished(before, out.clone()));
                self.note(EventKind::StepFinished { step: step.id.clone(), out })
            }
            Err(failure) => {
                let mut failure = self.name_the_limit(step, failure);
                // What an earlier try did, this one does not know.
                failure.untouched &= is_first;
                if failure.untouched {
                    self.states.remove(&step.id);
                }
                let _ = self.note(EventKind::StepFailed { step: step.id.clone(), failure: failure.clone() });
                Err(failure)
            }
        }
    }

    /// A lost connection under a change means its outcome is unknown: connect again and look; what is still to do may be tried once more.
    fn after_a_cut(&mut self, step: &Step, acted: Result<(Value, Value)>, cancel: &Cancel) -> Result<(Value, Value)> {
        let Err(failure) = acted else { return acted };
        let Some(StepState::Started(before)) = self.states.get(&step.id).cloned() else { return Err(failure) };
        if !failure.cut || cancel.is_cancelled() || step.op == CAPTURE || step.op == DELIVER {
            return Err(failure);
        }
        self.reconnect(&step.host, cancel).and_then(|()| self.look_and_act(step, Some(before), cancel))
    }

    /// Makes a new login to a node whose login was lost, and waits a little where that one cannot be reached.
    fn reconnect(&self, host: &HostId, cancel: &Cancel) -> Result<()> {
        let links = self.means.links;
        links.forget(host);
        let (began, enough) = (self.means.clock.elapsed(), REDIAL.iter().sum::<Duration>());
        let mut reached = links.get(host, cancel);
        for span in REDIAL {
            let is_away = reached.as_ref().is_err_and(|failure| failure.cut);
            // A login that is only ever waited for takes long by itself.
            if !is_away || self.means.clock.elapsed().saturating_sub(began) > enough {
                break;
            }
            self.means.board.begin(format!("Waiting for {host} to answer again").into(), 0);
            services::pause(&*self.means.clock, cancel, span)?;
            reached = links.get(host, cancel);
        }
        reached.map(drop)
    }

    fn name_the_limit(&self, step: &Step, failure: Failure) -> Failure {
        if failure.exit == Exit::Cancelled && !self.means.cancel.is_cancelled() {
            // Whether it acted is as unknown as after a cut.
            let message = format!("'{}' on {} took longer than {}.", step.title, step.host, step.timeout);
            return Failure { cut: true, ..Failure::new(Exit::Failed, message) };
        }
        failure
    }

    fn look_and_act(&mut self, step: &Step, known: Option<Value>, cancel: &Cancel) -> Result<(Value, Value)> {
        self.means.board.begin(step.title.clone(), 0);
        if let Some(before) = known.clone().filter(|_| step.op == DELIVER && step.effect == Effect::Destroy) {
            return self.leave_to_the_proof(step, before);
        }
        let carried = step.op == CAPTURE || step.op == DELIVER;
        let now = if carried {
            Now::Todo(known.clone().unwrap_or(Value::Null))
        } else {
            let op = services::op(&step.op)?;
            self.with_cx(&step.host, cancel, |cx| op.observe(cx, &step.args, known.as_ref()))?
        };
        let before = match now {
            Now::Todo(before) => known.unwrap_or(before),
            Now::Done(out) => {
                let before = known.unwrap_or(Value::Null);
                return Ok((before, out));
            }
            Now::Foreign(why) => {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("'{}' was not done on {}: {why}.", step.title, step.host),
                ));
            }
        };
        self.states.insert(step.id.clone(), StepState::Started(before.clone()));
        self.note(EventKind::StepStarted { step: step.id.clone(), before: before.clone() })?;
        self.arm(step)?;
        let out = self.act(step, &before, cancel)?;
        Ok((before, out))
    }

    /// What replaces a service's state in one request is never sent twice: whether it arrived, the steps that prove it tell.
    fn leave_to_the_proof(&mut self, step: &Step, before: Value) -> Result<(Value, Value)> {
        if !self.plan.proves {
            let message = format!("'{}' had begun when the run broke off, and it is never done twice.", step.title);
            return Err(Failure::new(Exit::Failed, message)
                .hint(format!("Look at the service, then leave the run: lifeboat resume {} --leave", self.run)));
        }
        let text =
            format!("'{}' had begun and is not done twice; whether it arrived, the next steps tell.", step.title);
        self.note(EventKind::Note { text: text.as_str().into() })?;
        Ok((before, sent_unknown()))
    }

    fn act(&self, step: &Step, before: &Value, cancel: &Cancel) -> Result<Value> {
        self.with_cx(&step.host, cancel, |cx| match step.op.as_str() {
            CAPTURE => {
                let counts = || if step.guard.is_some() { node_run::check_run(cx) } else { Ok(()) };
                self.means.carrier.capture(cx, step, &self.means.board, &counts)
            }
            DELIVER => self.means.carrier.deliver(cx, step, &self.means.board),
            name => services::op(name)?.run(cx, &step.args, before),
        })
    }
}

/// What is learned of a step that is done only once, and had begun when its run broke off.
fn sent_unknown() -> Value {
    serde_json::json!({"sent": "unknown"})
}

/// What was kept aside, as a node lists it.
fn list_of(kept: &[String]) -> String {
    if kept.is_empty() { String::new() } else { serde_json::to_string(&[kept]).unwrap_or_default() }
}
