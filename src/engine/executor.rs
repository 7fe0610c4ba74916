//! Runs a plan: look, make durable, arm, act; and on any failure undo, newest first.
//!
//! The journal is written before the act, here and on every node the run changes, so that whoever reads it after a
//! crash knows at least as much as the nodes do. What a step found before it acted (`before`) is all its revert needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::board::Board;
use super::heartbeat::Heartbeat;
use super::links::Links;
use super::node_run;
use crate::model::clock::Clock;
use crate::model::event::{Event, EventKind};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{ConsoleId, HostId, RunId, StepId};
use crate::model::plan::{Effect, Guard, OnLapse, Plan, Step};
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

/// What the journal knows of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// It began; whether it acted is unknown until somebody looks.
    Started(Value),
    /// It was done: what it found before, what it learned.
    Finished(Value, Value),
    /// It had nothing to do.
    Skipped(Value),
    /// It was undone.
    Reverted,
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
    record: Box<dyn Record + 'e>,
    mark: Mark,
    next_seq: u64,
    states: BTreeMap<StepId, StepState>,
    opened: BTreeSet<HostId>,
    heartbeats: BTreeMap<HostId, Heartbeat>,
    undoes: Option<RunId>,
}

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
            plan,
            record,
            mark,
            next_seq: 0,
            states: BTreeMap::new(),
            opened: BTreeSet::new(),
            heartbeats: BTreeMap::new(),
            undoes: None,
        }
    }

    /// Takes up what an earlier console journalled.
    #[must_use]
    pub fn resuming(mut self, events: &[Event]) -> Self {
        self.next_seq = events.last().map_or(0, |event| event.seq + 1);
        self.states = states_of(events);
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

    /// What each step has come to.
    pub fn states(&self) -> &BTreeMap<StepId, StepState> {
        &self.states
    }

    /// Journals an event that is not a step's.
    pub fn note(&mut self, kind: EventKind) -> Result<()> {
        let event = self.journal(kind)?;
        self.spread(&event)?;
        self.means.board.add(event);
        Ok(())
    }

    fn journal(&mut self, kind: EventKind) -> Result<Event> {
        let event = Event { schema: 1, run: self.run.clone(), seq: self.next_seq, at: self.means.clock.now(), kind };
        self.record.append(&event)?;
        self.next_seq += 1;
        Ok(event)
    }

    /// Writes an event into the journals on the nodes.
    fn spread(&self, event: &Event) -> Result<()> {
        let line = serde_json::to_string(event).unwrap_or_default() + "\n";
        for host in self.opened.clone() {
            let appended = self.with_cx(&host, &self.means.cancel, |cx| node_run::append_journal(cx, &line));
            // After the last change the node's copy is a courtesy; before a step it is a promise.
            if matches!(event.kind, EventKind::StepStarted { .. } | EventKind::Undoes { .. }) {
                appended?;
            }
        }
        Ok(())
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

    /// Lets the guards finish the undoing if nothing is heard any more.
    pub fn guard_undoing(&mut self) -> Result<()> {
        for guard in self.plan.guards.clone() {
            let begun = self.plan.steps.iter().any(|step| {
                step.guard.as_ref() == Some(&guard.id)
                    && matches!(self.states.get(&step.id), Some(StepState::Started(_) | StepState::Finished(..)))
            });
            if begun {
                self.put_in_force(&guard, OnLapse::Revert)?;
            }
        }
        Ok(())
    }

    /// Whether this run undoes an earlier one.
    pub fn is_undoing(&self) -> bool {
        self.undoes.is_some()
    }

    /// Gives the run's locks, holds and guards back and leaves everything else as it is now.
    pub fn leave(&mut self) -> Result<()> {
        self.open_nodes()?;
        self.heartbeats.clear();
        for host in self.opened.clone() {
            self.with_cx(&host, &Cancel::new(), |cx| {
                if !node_run::read_run_file(cx, &self.run, "fired")?.is_empty() {
                    node_run::set_fired_aside(cx, &self.mark)?;
                }
                node_run::close_run(cx, "", None)
            })?;
            self.opened.remove(&host);
        }
        Ok(())
    }

    /// Takes in what guards did by themselves: steps a guard undid are undone, and its note no longer blocks the run.
    fn absorb_guards(&mut self) -> Result<()> {
        let cancel = Cancel::new().within(REVERT_LIMIT);
        for host in self.opened.clone() {
            let Some(fired) = self.with_cx(&host, &cancel, |cx| node_run::read_fired(cx, &self.run))? else { continue };
            if !fired.is_sound {
                let log = fired.log.one_line();
                return Err(Failure::new(
                    Exit::Changed,
                    format!("The guard on {host} acted, but not all of it worked: {log}."),
                )
                .hint(format!("Look at the service on {host}, then: lifeboat resume {} --leave", self.run)));
            }
            self.with_cx(&host, &cancel, |cx| node_run::set_fired_aside(cx, &self.mark))?;
            // The timer has run out; a new one counts from the next guarded step on.
            self.heartbeats.remove(&host);
            for guard in self.plan.guards.clone().into_iter().filter(|guard| guard.host == host) {
                self.note(EventKind::GuardFired { guard: guard.id.clone() })?;
                let undone = self
                    .plan
                    .steps
                    .iter()
                    .filter(|step| step.guard.as_ref() == Some(&guard.id))
                    .map(|step| step.id.clone());
                for id in undone.collect::<Vec<_>>() {
                    let begun = matches!(self.states.get(&id), Some(StepState::Started(_) | StepState::Finished(..)));
                    if fired.on_lapse == OnLapse::Revert && begun {
                        self.states.insert(id.clone(), StepState::Reverted);
                        self.note(EventKind::StepReverted { step: id })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The console that took the run over, if one did: then nothing more may be touched here.
    fn taken_over_by(&self) -> Option<String> {
        let cancel = Cancel::new().within(Duration::from_secs(30));
        self.opened.iter().find_map(|host| {
            let owner = self.with_cx(host, &cancel, |cx| node_run::owner_of(cx, &self.run)).ok()??;
            (owner.as_str() != self.mark.owner).then(|| owner.to_string())
        })
    }

    /// Undoes every step that was done or begun, newest first, and closes the run on its nodes.
    pub fn undo(&mut self, failure: Failure) -> Failure {
        if failure.cut {
            self.opened.iter().for_each(|host| self.means.links.forget(host));
        }
        if let Some(other) = self.taken_over_by() {
            self.heartbeats.clear();
            let state = format!("Console {other} runs this now; nothing more was done from here.");
            return Failure { exit: Exit::Changed, ..failure }.state(state);
        }
        if let Err(error) = self.absorb_guards() {
            self.heartbeats.clear();
            return self.judge(failure, &[error.message.trim_end_matches('.').to_owned()]);
        }
        let mut left = Vec::new();
        if let Err(error) = self.arm_the_way_back() {
            left.push(format!("the guard could not be set for the way back: {}", error.message.trim_end_matches('.')));
        }
        let steps: Vec<_> = self.plan.steps.iter().rev().cloned().collect();
        for step in &steps {
            let before = match self.states.get(&step.id) {
                Some(StepState::Started(before) | StepState::Finished(before, _)) => before.clone(),
                Some(StepState::Skipped(_) | StepState::Reverted) | None => continue,
            };
            match self.revert_step(step, &before) {
                Ok(true) => {}
                // Who rolls a finished run back knows that a fence stays; a run that failed on its own must say so.
                Ok(false) if failure.exit == Exit::Done && step.effect == Effect::Fence => {
                    let text = format!("'{}' stays: nothing undoes a fence but a person.", step.title);
                    let _ = self.note(EventKind::Note { text: text.as_str().into() });
                }
                Ok(false) => left.push(format!("'{}' stays as it is: nothing undoes it", step.title)),
                Err(error) => {
                    left.push(format!("'{}' was not undone: {}", step.title, error.message.trim_end_matches('.')));
                    let _ = self.note(EventKind::RevertFailed { step: step.id.clone(), failure: error });
                }
            }
        }
        if left.is_empty()
            && let Err(error) = self.close_nodes()
        {
            left.push(error.message.trim_end_matches('.').to_owned());
        }
        self.heartbeats.clear();
        self.judge(failure, &left)
    }

    fn judge(&self, failure: Failure, left: &[String]) -> Failure {
        if left.is_empty() {
            return Failure { state: failure.state.or_else(|| Some("Everything is as it was.".to_owned())), ..failure };
        }
        let guarded: Vec<_> = self
            .plan
            .guards
            .iter()
            .map(|g| {
                format!(
                    "The guard on {} brings its services back by itself within {} of the last word it heard.",
                    g.host, g.lapse
                )
            })
            .collect();
        let mut state = left.join(". ") + ".";
        if !guarded.is_empty() {
            state = format!("{state} {}", guarded.join(" "));
        }
        Failure { exit: Exit::Changed, ..failure }
            .state(state)
            .hint(format!("See what is true now: lifeboat runs {}", self.run))
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
        let plan = serde_json::to_vec_pretty(&self.plan).map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        let key = self.plan.command.place().service.to_string();
        let changed = self.plan.steps.iter().filter(|step| step.effect != Effect::Read).map(|step| step.host.clone());
        for host in changed.collect::<BTreeSet<_>>() {
            if self.opened.contains(&host) {
                continue;
            }
            let open = |this: &Self| {
                this.with_cx(&host, &this.means.cancel, |cx| node_run::open_run(cx, &this.mark, &key, &plan))
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
        let kept: Vec<_> = self.outs().values().filter_map(|out| out.get("kept").cloned()).collect();
        for host in self.opened.clone() {
            if self.heartbeats.contains_key(&host) {
                self.with_cx(&host, &Cancel::new(), node_run::disarm_guard)?;
                self.heartbeats.remove(&host);
                for guard in self.plan.guards.clone().iter().filter(|guard| guard.host == host) {
                    self.note(EventKind::GuardDisarmed { guard: guard.id.clone() })?;
                }
            }
            let here = self.plan.steps.iter().any(|step| step.host == host && step.op.starts_with("files.swap"));
            let list =
                if here && !kept.is_empty() { serde_json::to_string(&kept).unwrap_or_default() } else { String::new() };
            self.with_cx(&host, &Cancel::new(), |cx| node_run::close_run(cx, &list, self.undoes.as_ref()))?;
            self.opened.remove(&host);
        }
        Ok(())
    }

    fn run_step(&mut self, step: &Step) -> Result<()> {
        let known = match self.states.get(&step.id) {
            Some(StepState::Finished(..) | StepState::Skipped(_)) => return Ok(()),
            Some(StepState::Started(before)) => Some(before.clone()),
            Some(StepState::Reverted) | None => None,
        };
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
                let failure = self.name_the_limit(step, failure);
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
        self.means.links.forget(&step.host);
        self.look_and_act(step, Some(before), cancel)
    }

    fn name_the_limit(&self, step: &Step, failure: Failure) -> Failure {
        if failure.exit == Exit::Cancelled && !self.means.cancel.is_cancelled() {
            return Failure::new(
                Exit::Failed,
                format!("'{}' on {} took longer than {}.", step.title, step.host, step.timeout),
            );
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
                .hint("Look at the service, then leave the run: lifeboat resume RUN --leave"));
        }
        let text =
            format!("'{}' had begun and is not done twice; whether it arrived, the next steps tell.", step.title);
        self.note(EventKind::Note { text: text.as_str().into() })?;
        Ok((before, serde_json::json!({"sent": "unknown"})))
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

    /// Whether the step could be undone and was.
    fn revert_step(&mut self, step: &Step, before: &Value) -> Result<bool> {
        let cancel = Cancel::new().within(REVERT_LIMIT);
        let script = Self::undo_script(step, before)?;
        let Some(script) = script else {
            return Ok(step.effect == Effect::Read || step.op == "command.run/1");
        };
        let undo = |this: &Self| {
            this.with_cx(&step.host, &cancel, |cx| match step.op.as_str() {
                DELIVER => services::common::run_change(cx, &script, "Removing what was delivered").map(|_| ()),
                CAPTURE => {
                    let (doing, limit) = ("Bringing back what the copy stopped", REVERT_LIMIT);
                    services::common::run_change_with(cx, &script, &[], doing, limit).map(|_| ())
                }
                name => services::op(name)?.revert(cx, &step.args, before),
            })
        };
        if let Err(first) = undo(self) {
            // The login may be the thing that broke.
            self.means.links.forget(&step.host);
            undo(self).map_err(|again| if again.exit == Exit::Unreachable { first } else { again })?;
        }
        self.states.insert(step.id.clone(), StepState::Reverted);
        self.note(EventKind::StepReverted { step: step.id.clone() })?;
        Ok(true)
    }

    fn undo_script(step: &Step, before: &Value) -> Result<Option<String>> {
        match step.op.as_str() {
            CAPTURE | DELIVER => Ok(step.args.get("undo").and_then(Value::as_str).map(str::to_owned)),
            name => services::op(name)?.undo_script(&step.args, before),
        }
    }

    /// Puts in force, before the step acts, what the node does by itself if nothing is heard from then on.
    fn arm(&mut self, step: &Step) -> Result<()> {
        let (Some(id), Some(on_lapse)) = (&step.guard, step.on_lapse) else { return Ok(()) };
        let Some(guard) = self.plan.guards.iter().find(|guard| guard.id == *id).cloned() else {
            return Err(Failure::new(Exit::Usage, format!("The plan has no guard '{id}'.")));
        };
        self.put_in_force(&guard, on_lapse)
    }

    fn put_in_force(&mut self, guard: &Guard, on_lapse: OnLapse) -> Result<()> {
        let parts = self.guard_parts(guard, on_lapse)?;
        let script = node_run::guard_script(&self.run, &guard.id, on_lapse, &parts);
        self.with_cx(&guard.host, &self.means.cancel, |cx| node_run::arm_guard(cx, &script, guard.lapse))?;
        self.watch_over(guard)
    }

    /// From the first undone step on, the node too goes back and not forward.
    fn arm_the_way_back(&mut self) -> Result<()> {
        let cancel = Cancel::new().within(REVERT_LIMIT);
        for guard in self.plan.guards.clone() {
            let parts = self.guard_parts(&guard, OnLapse::Revert)?;
            if parts.is_empty() || !self.opened.contains(&guard.host) {
                continue;
            }
            let script = node_run::guard_script(&self.run, &guard.id, OnLapse::Revert, &parts);
            self.with_cx(&guard.host, &cancel, |cx| node_run::arm_guard(cx, &script, guard.lapse))?;
            self.watch_over(&guard)?;
        }
        Ok(())
    }

    /// Renews a guard that counts, from now until the run lets it go.
    fn watch_over(&mut self, guard: &Guard) -> Result<()> {
        if !self.heartbeats.contains_key(&guard.host) {
            let link = self.means.links.get(&guard.host, &Cancel::new())?;
            let beat = Heartbeat::start(
                &link,
                guard.host.clone(),
                self.mark.clone(),
                guard.lapse,
                self.means.clock.clone(),
                self.means.secrets.clone(),
            );
            self.heartbeats.insert(guard.host.clone(), beat);
            self.note(EventKind::GuardArmed { guard: guard.id.clone() })?;
        }
        Ok(())
    }

    fn guard_parts(&self, guard: &Guard, on_lapse: OnLapse) -> Result<Vec<(String, String)>> {
        let guarded =
            self.plan.steps.iter().filter(|step| step.guard.as_ref() == Some(&guard.id) && step.host == guard.host);
        let mut parts = Vec::new();
        match on_lapse {
            OnLapse::StayDown => {}
            OnLapse::Start => {
                for step in guarded.filter(|step| step.op != CAPTURE && step.op != DELIVER) {
                    if let Some(script) = services::op(&step.op)?.forward_script(&step.args)? {
                        parts.push((step.id.to_string(), script));
                    }
                }
            }
            OnLapse::Revert => {
                for step in guarded.collect::<Vec<_>>().into_iter().rev() {
                    let Some(StepState::Started(begun) | StepState::Finished(begun, _)) = self.states.get(&step.id)
                    else {
                        continue;
                    };
                    if let Some(script) = Self::undo_script(step, begun)? {
                        parts.push((step.id.to_string(), script));
                    }
                }
            }
        }
        Ok(parts)
    }
}

/// What each step came to, by the journal.
pub fn states_of(events: &[Event]) -> BTreeMap<StepId, StepState> {
    let mut states = BTreeMap::new();
    for event in events {
        match &event.kind {
            EventKind::StepStarted { step, before } => {
                states.insert(step.clone(), StepState::Started(before.clone()));
            }
            EventKind::StepFinished { step, out } => {
                let before = match states.get(step) {
                    Some(StepState::Started(before)) => before.clone(),
                    _ => Value::Null,
                };
                states.insert(step.clone(), StepState::Finished(before, out.clone()));
            }
            EventKind::StepSkipped { step, out } => {
                states.insert(step.clone(), StepState::Skipped(out.clone()));
            }
            EventKind::StepReverted { step } => {
                states.insert(step.clone(), StepState::Reverted);
            }
            EventKind::Undoes { steps, .. } => {
                let finished = |(before, out): &(Value, Value)| StepState::Finished(before.clone(), out.clone());
                states.extend(steps.iter().map(|(step, found)| (step.clone(), finished(found))));
            }
            _ => {}
        }
    }
    states
}

/// Puts the run's id where the plan says `{run}`: plans are hashed before there is a run.
pub fn fill_in_run(mut plan: Plan, run: &RunId) -> Plan {
    for step in &mut plan.steps {
        fill_in(&mut step.args, run.as_str());
    }
    for line in &mut plan.leaves {
        *line = line.as_str().replace("{run}", run.as_str()).into();
    }
    plan
}

fn fill_in(value: &mut Value, run: &str) {
    match value {
        Value::String(text) if text.contains("{run}") => *text = text.replace("{run}", run),
        Value::Array(values) => values.iter_mut().for_each(|value| fill_in(value, run)),
        Value::Object(map) => map.values_mut().for_each(|value| fill_in(value, run)),
        _ => {}
    }
}
