//! Bringing back what a run changed: newest step first, each by its own undo, under the run's mark.
//!
//! From here on the nodes come first. A vault that cannot be written any more is told at the end and stops nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::node_run::Fired;
use super::states::StepState;
use super::{Executor, REVERT_LIMIT, node_run, sent_unknown};
use crate::model::event::{Event, EventKind};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::plan::{Effect, OnLapse, Step};
use crate::services::common::{CAPTURE, DELIVER};
use crate::services::{self, Now};
use crate::transport::Cancel;

/// How long a node is given to say who owns the run.
const OWNER_LIMIT: Duration = Duration::from_secs(30);

/// How long removing what was delivered may take: nothing runs on it, and a database of a million files takes its time.
const REMOVE_LIMIT: Duration = Duration::from_hours(6);

fn sentence(failure: &Failure) -> String {
    failure.message.trim_end_matches('.').to_owned()
}

impl Executor<'_> {
    /// Takes in what guards did by themselves: steps a guard undid are undone, and its note no longer blocks the run.
    pub(super) fn absorb_guards(&mut self) -> Result<()> {
        self.opened.clone().iter().try_for_each(|host| self.absorb_guard(host))
    }

    fn absorb_guard(&mut self, host: &HostId) -> Result<()> {
        let patience = if self.is_winding_up { Cancel::new() } else { self.means.cancel.clone() };
        let read = |this: &Self| this.with_cx(host, &patience, |cx| node_run::read_fired(cx, &this.run));
        let Some(mut fired) = read(self)? else { return Ok(()) };
        if !fired.is_through {
            // The node was restarted under it, or it was ended by force. What it could not do then is told below.
            let _ = self.with_cx(host, &Cancel::new(), node_run::finish_guard);
            fired = read(self)?.unwrap_or(fired);
        }
        let cancel = Cancel::new().within(REVERT_LIMIT);
        // The timer has run out; a new one counts from the next guarded step on.
        self.heartbeats.remove(host);
        if !fired.is_sound {
            let log = fired.log.one_line();
            return Err(Failure::new(
                Exit::Changed,
                format!("The guard on {host} acted, but not all of it worked: {log}."),
            )
            .hint(format!("Look at the service on {host}, then: lifeboat resume {} --leave", self.run)));
        }
        let events = self.note_fired(host, &fired)?;
        let lines = self.missing_on(host, &cancel)?;
        self.with_cx(host, &cancel, |cx| node_run::set_fired_aside(cx, &lines))?;
        self.spread.insert(host.clone(), self.events.len());
        for event in events {
            self.means.board.add(event);
        }
        Ok(())
    }

    /// The same while things are brought back: a guard that acts just then may have been set once more meanwhile. Then it
    /// counts on for what is still to be undone, and is taken off when that is nothing.
    fn absorb_late_guard(&mut self, host: &HostId) -> Result<()> {
        let was_watched = self.heartbeats.contains_key(host);
        self.absorb_guard(host)?;
        if !was_watched || self.heartbeats.contains_key(host) {
            return Ok(());
        }
        let mut ways = self.ways_back(&BTreeMap::new())?;
        ways.retain(|(guard, _)| guard.host == *host);
        if ways.is_empty() { self.disarm(host) } else { self.arm_the_way_back(&ways) }
    }

    /// Journals, in the vault, what the guard on a host did: it must stand there before the node's own note of it goes, or
    /// whoever goes on after a cut would pass over what was undone. To journal it twice does no harm.
    pub(super) fn note_fired(&mut self, host: &HostId, fired: &Fired) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for guard in self.plan.guards.clone().into_iter().filter(|guard| guard.host == *host) {
            events.extend(self.note_here(EventKind::GuardFired { guard: guard.id.clone() })?);
            if fired.on_lapse != OnLapse::Revert || !fired.is_sound {
                continue;
            }
            let guarded = self.plan.steps.iter().filter(|step| step.guard.as_ref() == Some(&guard.id));
            for id in guarded.map(|step| step.id.clone()).collect::<Vec<_>>() {
                if matches!(self.states.get(&id), Some(StepState::Started(_) | StepState::Finished(..))) {
                    self.states.insert(id.clone(), StepState::Reverted);
                    events.extend(self.note_here(EventKind::StepReverted { step: id })?);
                }
            }
        }
        Ok(events)
    }

    /// The console that took the run over, if one did: then nothing more may be touched here. A node that cannot say, also
    /// over a new login and after some seconds, joins `silent` with the reason: its own scripts refuse whoever does not
    /// own the run.
    fn taken_over_by(&self, silent: &mut BTreeMap<HostId, String>) -> Option<String> {
        for host in &self.opened {
            let ask = || {
                let cancel = Cancel::new().within(OWNER_LIMIT);
                self.with_cx(host, &cancel, |cx| node_run::owner_of(cx, &self.run))
            };
            let owner = ask().or_else(|_| self.reconnect(host, &Cancel::new()).and_then(|()| ask()));
            match owner {
                Ok(Some(owner)) if owner.as_str() != self.mark.owner => return Some(owner.to_string()),
                Ok(_) => {}
                Err(failure) => {
                    silent.insert(host.clone(), sentence(&failure));
                }
            }
        }
        None
    }

    /// Undoes every step that was done or begun, newest first, and closes the run on its nodes.
    pub fn undo(&mut self, failure: Failure) -> Failure {
        self.is_winding_up = true;
        // A call that was broken off may have wedged its session.
        if failure.cut || failure.exit == Exit::Cancelled {
            self.opened.iter().for_each(|host| self.means.links.forget(host));
        }
        let mut silent = BTreeMap::new();
        if let Some(other) = self.taken_over_by(&mut silent) {
            self.heartbeats.clear();
            let other =
                other.rsplit_once(' ').map_or(other.clone(), |(console, epoch)| format!("{console}, epoch {epoch}"));
            let state = format!("This run is another console's now ({other}); nothing more was done from here.");
            return Failure { exit: Exit::Changed, ..failure }.state(state);
        }
        for host in self.opened.clone() {
            if !silent.contains_key(&host)
                && let Err(error) = self.absorb_guard(&host)
            {
                silent.insert(host, sentence(&error));
            }
        }
        let mut left = Vec::new();
        let ways = self.ways_back(&silent).and_then(|ways| self.arm_the_way_back(&ways).map(|()| ways.clone()));
        let ways = ways.unwrap_or_else(|error| {
            left.push(format!("the guard could not be set for the way back: {}", sentence(&error)));
            Vec::new()
        });
        self.undo_steps(&failure, &silent, &mut left);
        if left.is_empty()
            && let Err(error) = self.close_nodes()
        {
            left.push(sentence(&error));
        } else if !left.is_empty() {
            self.settle_guards(&ways);
        }
        let failure = self.judge(failure, &left);
        self.heartbeats.clear();
        failure
    }

    fn undo_steps(&mut self, failure: &Failure, silent: &BTreeMap<HostId, String>, left: &mut Vec<String>) {
        let mut untold: BTreeMap<_, _> = silent.iter().collect();
        let steps: Vec<_> = self.plan.steps.iter().rev().cloned().collect();
        for step in &steps {
            let (before, is_unknown) = match self.states.get(&step.id) {
                Some(StepState::Started(before)) => (before.clone(), false),
                Some(StepState::Finished(before, out)) => (before.clone(), *out == sent_unknown()),
                Some(StepState::Skipped(_) | StepState::Reverted) | None => continue,
            };
            if let Some(why) = silent.get(&step.host).filter(|_| step.effect != Effect::Read) {
                untold.remove(&step.host);
                left.push(format!("'{}' was not undone: {why}", step.title));
                continue;
            }
            match self.revert_step(step, &before) {
                Ok(true) => {}
                // Who rolls a finished run back knows that a fence stays; a run that failed on its own must say so.
                Ok(false) if failure.exit == Exit::Done && step.effect == Effect::Fence => {
                    let text = format!("'{}' stays: nothing undoes a fence but a person.", step.title);
                    let _ = self.note(EventKind::Note { text: text.as_str().into() });
                }
                Ok(false) if is_unknown => {
                    left.push(format!("'{}' was not done twice, so whether it took place is not known", step.title));
                }
                Ok(false) => left.push(format!("'{}' stays as it is: nothing undoes it", step.title)),
                Err(error) => {
                    left.push(format!("'{}' was not undone: {}", step.title, sentence(&error)));
                    let _ = self.note(EventKind::RevertFailed { step: step.id.clone(), failure: error });
                }
            }
        }
        left.extend(untold.into_iter().map(|(host, why)| format!("the run was not ended on {host}: {why}")));
    }

    fn judge(&self, failure: Failure, left: &[String]) -> Failure {
        let failure = self.with_the_vault_s_word(failure);
        if left.is_empty() {
            return Failure { state: failure.state.or_else(|| Some("Everything is as it was.".to_owned())), ..failure };
        }
        // Only a guard that is known to count, and has not acted, is promised.
        let guarded: Vec<_> = self
            .plan
            .guards
            .iter()
            .filter(|guard| self.heartbeats.contains_key(&guard.host))
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
        // What the step itself knows of how things stand comes first.
        if let Some(known) = &failure.state {
            state = format!("{known} {state}");
        }
        Failure { exit: Exit::Changed, ..failure }
            .state(state)
            .hint(format!("See what is true now: lifeboat runs {}", self.run))
    }

    /// What could not be written while things were brought back is a hint: it must not hide what they came to.
    fn with_the_vault_s_word(&self, failure: Failure) -> Failure {
        match &self.unwritten {
            Some(why) => failure.hint(format!("Not all of it stands in the vault's journal: {}", why.message)),
            None => failure,
        }
    }

    /// Gives everything back on the nodes that were opened, before any step was touched. What cannot be given back is said.
    pub fn give_back(&mut self, failure: Failure) -> Failure {
        self.is_winding_up = true;
        self.heartbeats.clear();
        let mut left = Vec::new();
        for host in self.opened.clone() {
            let close = || {
                let cancel = Cancel::new().within(REVERT_LIMIT);
                self.with_cx(&host, &cancel, |cx| node_run::close_run(cx, "", None))
            };
            let closed = close().or_else(|_| {
                self.means.links.forget(&host);
                close()
            });
            match closed {
                Ok(()) => {
                    self.opened.remove(&host);
                }
                Err(error) => left.push(format!("the run was not ended on {host}: {}", sentence(&error))),
            }
        }
        self.judge(failure, &left)
    }

    /// Whether the step could be undone and was.
    fn revert_step(&mut self, step: &Step, before: &Value) -> Result<bool> {
        let limit = if step.op == DELIVER { REMOVE_LIMIT } else { REVERT_LIMIT };
        let cancel = Cancel::new().within(limit);
        let script = Self::undo_script(step, before)?;
        let Some(script) = script else {
            if step.effect == Effect::Fence && self.is_as_it_was(step, before)? {
                return self.reverted(step);
            }
            return Ok(step.effect == Effect::Read || step.op == "command.run/1");
        };
        let undo = |this: &Self| {
            this.with_cx(&step.host, &cancel, |cx| match step.op.as_str() {
                DELIVER | CAPTURE => {
                    let is_copy = step.op == CAPTURE;
                    let doing =
                        if is_copy { "Bringing back what the copy stopped" } else { "Removing what was delivered" };
                    services::common::run_change_with(cx, &script, &[], doing, limit).map(|_| ())
                }
                name => services::op(name)?.revert(cx, &step.args, before),
            })
        };
        if let Err(first) = undo(self) {
            // The login may be the thing that broke, or the guard has acted since: then it is waited for, and may have undone
            // this step too. Where it cannot be asked the second try says so.
            self.means.links.forget(&step.host);
            let is_absorbed = self.absorb_late_guard(&step.host).is_ok();
            if is_absorbed && matches!(self.states.get(&step.id), Some(StepState::Reverted)) {
                return Ok(true);
            }
            undo(self).map_err(|again| if again.exit == Exit::Unreachable { first } else { again })?;
        }
        self.reverted(step)
    }

    fn reverted(&mut self, step: &Step) -> Result<bool> {
        self.states.insert(step.id.clone(), StepState::Reverted);
        self.note(EventKind::StepReverted { step: step.id.clone() })?;
        Ok(true)
    }

    /// Whether a step that began, and that nothing undoes, came to nothing.
    fn is_as_it_was(&self, step: &Step, before: &Value) -> Result<bool> {
        if !matches!(self.states.get(&step.id), Some(StepState::Started(_))) {
            return Ok(false);
        }
        let cancel = Cancel::new().within(REVERT_LIMIT);
        let op = services::op(&step.op)?;
        let now = self.with_cx(&step.host, &cancel, |cx| op.observe(cx, &step.args, Some(before)))?;
        Ok(matches!(now, Now::Todo(now) if now == *before))
    }

    /// The node's own text that undoes a step, if anything does.
    pub(super) fn undo_script(step: &Step, before: &Value) -> Result<Option<String>> {
        match step.op.as_str() {
            CAPTURE | DELIVER => Ok(step.args.get("undo").and_then(Value::as_str).map(str::to_owned)),
            name => services::op(name)?.undo_script(&step.args, before),
        }
    }
}
