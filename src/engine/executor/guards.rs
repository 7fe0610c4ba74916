//! The guards of a run under way: what each node would do by itself, kept in step with what has been done.

use std::collections::BTreeMap;

use super::states::StepState;
use super::{Executor, Heartbeat, REVERT_LIMIT, node_run, rollback};
use crate::model::event::EventKind;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::plan::{Guard, OnLapse, Plan, Step};
use crate::services;
use crate::services::common::{CAPTURE, DELIVER};
use crate::transport::Cancel;

/// Undo or forward scripts by their step's name, in the order in which they run.
pub(super) type Parts = Vec<(String, String)>;

impl Executor<'_> {
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

    /// Puts in force, before the step acts, what the node does by itself if nothing is heard from then on.
    pub(super) fn arm(&mut self, step: &Step) -> Result<()> {
        let (Some(id), Some(on_lapse)) = (&step.guard, step.on_lapse) else { return Ok(()) };
        let Some(guard) = self.plan.guards.iter().find(|guard| guard.id == *id).cloned() else {
            return Err(Failure::new(Exit::Usage, format!("The plan has no guard '{id}'.")));
        };
        self.put_in_force(&guard, on_lapse)
    }

    fn put_in_force(&mut self, guard: &Guard, on_lapse: OnLapse) -> Result<()> {
        let parts = self.guard_parts(&self.plan, guard, on_lapse)?;
        let script = node_run::guard_script(&self.run, &guard.id, on_lapse, &parts);
        self.with_cx(&guard.host, &self.means.cancel, |cx| node_run::arm_guard(cx, &script, guard.lapse))?;
        self.watch_over(guard)
    }

    /// What each guard would do to bring everything back, newest step first; nothing for one that has nothing to undo.
    ///
    /// A guard acts later, when a service that started may have written for a while: what it takes out of the way then is
    /// kept aside, and not left to be removed with what was delivered.
    pub(super) fn ways_back(&self, silent: &BTreeMap<HostId, String>) -> Result<Vec<(Guard, Parts)>> {
        let mut ways = Vec::new();
        let plan = if rollback::is_in_use(&self.plan, &self.states) {
            rollback::plan_keeping_aside(self.plan.clone(), &self.run)?
        } else {
            self.plan.clone()
        };
        for guard in &plan.guards {
            let parts = self.guard_parts(&plan, guard, OnLapse::Revert)?;
            if !parts.is_empty() && self.opened.contains(&guard.host) && !silent.contains_key(&guard.host) {
                ways.push((guard.clone(), parts));
            }
        }
        Ok(ways)
    }

    /// From the first undone step on, the node too goes back and not forward.
    pub(super) fn arm_the_way_back(&mut self, ways: &[(Guard, Parts)]) -> Result<()> {
        ways.iter().try_for_each(|(guard, parts)| self.arm_to_revert(guard, parts))
    }

    fn arm_to_revert(&mut self, guard: &Guard, parts: &[(String, String)]) -> Result<()> {
        let script = node_run::guard_script(&self.run, &guard.id, OnLapse::Revert, parts);
        let cancel = Cancel::new().within(REVERT_LIMIT);
        self.with_cx(&guard.host, &cancel, |cx| node_run::arm_guard(cx, &script, guard.lapse))?;
        self.watch_over(guard)
    }

    /// After an undoing that left something: a guard keeps what it can still bring back, and is taken off when that is
    /// nothing. One that could not be reached stays as it was.
    ///
    /// What was undone is undone again with it, before and after: the service may have been started meanwhile on what was
    /// not brought back, and nothing is taken from under a service that runs.
    pub(super) fn settle_guards(&mut self, ways: &[(Guard, Parts)]) {
        for (guard, parts) in
            ways.iter().filter(|(guard, _)| self.heartbeats.contains_key(&guard.host)).cloned().collect::<Vec<_>>()
        {
            let is_undone = |name: &str| {
                self.states.iter().any(|(step, state)| step.as_str() == name && *state == StepState::Reverted)
            };
            let is_done = parts.iter().all(|(name, _)| is_undone(name));
            let settled = if is_done { self.disarm(&guard.host) } else { self.arm_to_revert(&guard, &parts) };
            if let Err(failure) = settled {
                let text = format!("The guard on {} stays as it was set before: {}", guard.host, failure.message);
                let _ = self.note(EventKind::Note { text: text.as_str().into() });
            }
        }
    }

    /// Takes the guards of a host off.
    pub(super) fn disarm(&mut self, host: &HostId) -> Result<()> {
        self.with_cx(host, &Cancel::new().within(REVERT_LIMIT), node_run::disarm_guard)?;
        self.heartbeats.remove(host);
        for guard in self.plan.guards.clone().iter().filter(|guard| guard.host == *host) {
            self.note(EventKind::GuardDisarmed { guard: guard.id.clone() })?;
        }
        Ok(())
    }

    /// Renews a guard that counts, from now until the run lets it go.
    pub(super) fn watch_over(&mut self, guard: &Guard) -> Result<()> {
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

    fn guard_parts(&self, plan: &Plan, guard: &Guard, on_lapse: OnLapse) -> Result<Parts> {
        let guarded =
            plan.steps.iter().filter(|step| step.guard.as_ref() == Some(&guard.id) && step.host == guard.host);
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
