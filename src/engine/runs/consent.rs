//! What must be stated before a run is taken up or rolled back: whose identity would start, and whose plan it is.

use super::{Resume, Runs, Told};
use crate::engine::executor::{StepState, fill_in_run, states_of};
use crate::engine::planner::{BROUGHT, REPLACED, check_plan};
use crate::engine::rollback;
use crate::engine::scan::{Prober, wanted_of};
use crate::engine::sightings::{Homes, Sought};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::{Identity, UnitFacts};
use crate::model::ids::HostId;
use crate::model::plan::{Command, Gate, Plan};
use crate::services::common::{DELIVER, FENCE_UNIT, START_UNIT, STOP_UNIT, args_of, declaration, text_of};
use crate::services::{Sighting, Whereabouts};

impl Runs<'_> {
    /// What must be stated before a run is taken up.
    ///
    /// # Errors
    /// [`Exit::AliveElsewhere`] when what would start runs somewhere; a plan that was read from a node and breaks a rule.
    pub fn gates_of_resume(&self, told: &Told, how: Resume) -> Result<Vec<Gate>> {
        if how == Resume::Leave {
            return Ok(Vec::new());
        }
        check_plan(&told.plan)?;
        let mut gates = Vec::new();
        if let Some(node) = &told.node {
            gates.push(self.gate_of_taken(told, node)?);
        }
        let list = if how == Resume::RollBack || told.undoes().is_some() { REPLACED } else { BROUGHT };
        gates.extend(self.gates_of_start(told, list)?);
        Ok(gates)
    }

    /// What must be stated before a finished run is undone: last of all that it is to be.
    ///
    /// # Errors
    /// [`Exit::AliveElsewhere`] when what was there before runs somewhere else now.
    pub fn gates_of_rollback(&self, told: &Told) -> Result<Vec<Gate>> {
        let mut gates = self.gates_of_start(told, REPLACED)?;
        gates.push(rollback::gate(&told.run)?);
        Ok(gates)
    }

    /// Searches the fleet for the identities that would start; `list` names them in the plan's basis.
    fn gates_of_start(&self, told: &Told, list: &str) -> Result<Vec<Gate>> {
        let plan = fill_in_run(told.plan.clone(), &told.run);
        let Command::Restore { to, .. } = &plan.command else { return Ok(Vec::new()) };
        let identities: Vec<Identity> = plan.basis.get(list).map_or_else(|| Ok(Vec::new()), args_of)?;
        let deliver = plan.steps.iter().find(|step| step.op == DELIVER);
        let kind = deliver.map_or("", |step| text_of(&step.args, "kind"));
        if identities.is_empty() || kind.is_empty() || !would_start(told, &plan, list) {
            return Ok(Vec::new());
        }
        let prober = self.prober();
        if runs_there(&prober, kind, to, &identities) {
            return Ok(Vec::new());
        }
        let homes = Homes::of(self.vault, &identities, self.clock.now())?;
        let seen = prober.sight(&Sought { kind, identities: &identities, to, source: None }, &homes).counted;
        refuse_alive(told, &plan, &seen)?;
        let mut gates = Vec::new();
        for sighting in &seen {
            if let Whereabouts::Unreachable(why) = &sighting.state {
                let gate = declaration(&sighting.host, why)?;
                // Stated once before the run began, it is stated.
                if !plan.gates.iter().any(|known| known.id == gate.id) {
                    gates.push(gate);
                }
            }
        }
        Ok(gates)
    }
}

/// Whether what is left of the run, or its undoing, starts a service.
fn would_start(told: &Told, plan: &Plan, list: &str) -> bool {
    let states = states_of(&told.events);
    let state = |op: &str| plan.steps.iter().filter(|step| step.op == op).map(|step| states.get(&step.id)).collect();
    if list == BROUGHT {
        let starts: Vec<Option<&StepState>> = state(START_UNIT);
        return starts.iter().any(|state| !matches!(state, Some(StepState::Finished(..) | StepState::Skipped(_))));
    }
    let stops: Vec<Option<&StepState>> = state(STOP_UNIT);
    stops.into_iter().flatten().any(|state| match state {
        StepState::Started(before) | StepState::Finished(before, _) => before["was_running"] == true,
        StepState::Skipped(_) | StepState::Reverted => false,
    })
}

/// Whether the host itself runs one of the identities now: then nothing starts that does not run already.
fn runs_there(prober: &Prober, kind: &str, to: &HostId, identities: &[Identity]) -> bool {
    let all = wanted_of(prober.inventory);
    let here = all.iter().find(|wanted| wanted.entry.kind == kind && wanted.hosts.contains(to));
    here.and_then(|wanted| prober.probe_on(to, wanted).ok()).is_some_and(|found| {
        let running = found.facts.outside || found.facts.units.iter().any(UnitFacts::is_running);
        running && found.facts.identities.iter().any(|identity| identities.contains(identity))
    })
}

/// What runs elsewhere is never overridden; a twin that the run itself is about to fence is no surprise.
fn refuse_alive(told: &Told, plan: &Plan, seen: &[Sighting]) -> Result<()> {
    let states = states_of(&told.events);
    let is_fenced_first = |host: &HostId| {
        let fence = plan.steps.iter().find(|step| step.host == *host && step.op == FENCE_UNIT);
        fence.is_some_and(|step| !matches!(states.get(&step.id), Some(StepState::Finished(..) | StepState::Skipped(_))))
    };
    let is_seen = |identity: &Identity| {
        seen.iter().any(|one| matches!(&one.state, Whereabouts::Alive(alive) if alive.contains(identity)))
    };
    for Sighting { host, state, .. } in seen {
        let (identities, how) = match state {
            Whereabouts::Alive(identities) if !is_fenced_first(host) => (identities, format!("runs on {host}")),
            // Peers hear a twin that was seen running too, and that one is judged by itself.
            Whereabouts::Heard(identities) if !identities.iter().all(is_seen) => {
                (identities, format!("is heard by {host}"))
            }
            _ => continue,
        };
        let values: Vec<_> = identities.iter().map(|identity| identity.value.as_str()).collect();
        let message = format!("The identity {} {how} now, so nothing was started.", values.join(" and "));
        let hint = format!("Stop it there first, or leave the run as it is: lifeboat resume {} --leave", told.run);
        return Err(Failure::new(Exit::AliveElsewhere, message).hint(hint));
    }
    Ok(())
}
