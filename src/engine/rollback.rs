//! What must be true before a finished run is rolled back, and the plan that does it.
//!
//! A finished restore has been in use since: what stands in its place by now is somebody's data. So a rollback deletes
//! nothing. What it takes out of the way is kept aside under its own id, listed and purged like what a restore replaced.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::capture::captured;
use super::executor::{StepState, fill_in_run, states_of};
use super::node_run::{Kept, list_kept};
use super::runs::{Runs, Told};
use crate::model::event::Resume;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GateId, HostId, ItemRef, RunId, StepId};
use crate::model::plan::{Command, Effect, Gate, OnLapse, Plan, Step};
use crate::services::Cx;
use crate::services::common::{DELIVER, SWAP, SwapArgs, args_of, kept_path, since_path};

/// The gate of a rollback; its word is the run's id.
pub const GATE: &str = "rollback";

/// What must be stated before any rollback.
///
/// # Errors
/// Never, as long as [`GATE`] is a gate's name.
pub fn gate(run: &RunId) -> Result<Gate> {
    let id = GateId::new(GATE).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
    let question = "What was kept takes its place again; what is in use now is kept aside.";
    Ok(Gate { id, question: question.into(), word: run.to_string() })
}

/// The run's plan as its rollback carries it out: what stands in place by then is kept aside, not deleted.
pub fn plan_of(told: &Told) -> Result<Plan> {
    keeping_aside(fill_in_run(told.plan.clone(), &told.run), kept_path)
}

/// A plan whose swaps keep aside, when they are undone, what stands in place by then; `place` says where for a target.
fn keeping_aside(mut plan: Plan, place: fn(&str) -> String) -> Result<Plan> {
    for step in plan.steps.iter_mut().filter(|step| step.op == SWAP) {
        step.args = json!(args_of::<SwapArgs>(&step.args)?.keeping_aside(place));
    }
    Ok(plan)
}

/// A run's own plan for undoing it where what it put in place may have been used since: that is kept aside under the
/// run's id, beside what the run had replaced.
pub fn plan_keeping_aside(plan: Plan, run: &RunId) -> Result<Plan> {
    Ok(fill_in_run(keeping_aside(plan, since_path)?, run))
}

/// The plan of a run that has not ended well, or not at all, as it is undone by whoever takes it up now.
pub fn plan_of_taken_up(told: &Told) -> Result<Plan> {
    let plan = fill_in_run(told.plan.clone(), &told.run);
    if was_in_use(told) { plan_keeping_aside(plan, &told.run) } else { Ok(plan) }
}

/// Whether what a run put in place may have been used since.
pub fn was_in_use(told: &Told) -> bool {
    // One that ended left something, and nobody knows what became of it: what it stopped may have been started again.
    told.ended.is_some() || is_in_use(&told.plan, &states_of(&told.events))
}

/// Whether something may use what a plan's swaps put in place: from the first step on from which a guard would go
/// forward, once what was stopped was brought back, and always where nothing is held meanwhile.
pub fn is_in_use(plan: &Plan, states: &BTreeMap<StepId, StepState>) -> bool {
    let Some(swap) = plan.steps.iter().rposition(|step| step.op == SWAP) else { return false };
    let mut before = plan.steps.iter().take(swap);
    let forward = plan.steps.iter().skip(swap).find(|step| step.on_lapse == Some(OnLapse::Start));
    let is_back =
        |step: &Step| step.effect == Effect::Quiesce && matches!(states.get(&step.id), Some(StepState::Reverted));
    forward.is_none_or(|step| states.contains_key(&step.id)) || before.any(is_back)
}

/// What a run keeps aside on a node, for the list there: what its swaps replaced and, where they were undone later, what
/// stood in place by then.
pub fn kept_on(host: &HostId, plan: &Plan, states: &BTreeMap<StepId, StepState>) -> Vec<String> {
    let paths = |out: &Value| out.get("kept").and_then(|kept| args_of::<Vec<String>>(kept).ok());
    let kept = |step: &Step| match states.get(&step.id)? {
        StepState::Finished(_, out) | StepState::Skipped(out) => paths(out),
        StepState::Reverted => asides(step),
        StepState::Started(_) => None,
    };
    plan.steps.iter().filter(|step| step.host == *host).filter_map(kept).flatten().collect()
}

/// What an undone swap put aside.
fn asides(step: &Step) -> Option<Vec<String>> {
    let swap: SwapArgs = args_of(&step.args).ok().filter(|_| step.op == SWAP)?;
    Some(swap.aside().into_iter().map(str::to_owned).collect())
}

/// Whether a path is one where an undone swap of the plan puts something aside.
pub fn is_aside(plan: &Plan, path: &str) -> bool {
    plan.steps.iter().filter_map(asides).flatten().any(|aside| aside == path)
}

/// The directories beside whose entries a run stages and keeps things on a host, by the paths of its own in its plan.
pub fn dirs_of(plan: &Plan, run: &RunId, host: &HostId) -> BTreeSet<String> {
    let mut dirs = BTreeSet::new();
    let own = format!(".lifeboat-{run}.");
    plan.steps.iter().filter(|step| step.host == *host).for_each(|step| dirs_in(&step.args, &own, &mut dirs));
    dirs
}

fn dirs_in(value: &Value, own: &str, dirs: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.starts_with('/') && text.contains(own) && !text.contains('\n') => {
            dirs.extend(text.rsplit_once('/').map(|(dir, _)| dir.to_owned()));
        }
        Value::Array(values) => values.iter().for_each(|value| dirs_in(value, own, dirs)),
        Value::Object(map) => map.values().for_each(|value| dirs_in(value, own, dirs)),
        _ => {}
    }
}

/// Every place a run swapped something into, by host.
fn places(plan: &Plan, is_done: impl Fn(&Step) -> bool) -> BTreeSet<(HostId, String)> {
    let swaps = plan.steps.iter().filter(|step| step.op == SWAP && is_done(step));
    swaps
        .filter_map(|step| Some((step, args_of::<SwapArgs>(&step.args).ok()?)))
        .flat_map(|(step, swap)| swap.entries.into_iter().map(|entry| (step.host.clone(), entry.target)))
        .collect()
}

fn refused(run: &RunId, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("Run {run} is not rolled back: {why}.")).unchanged()
}

/// Refuses a run that was rolled back before, or whose places another run has swapped since.
///
/// The vault knows the runs of its consoles; what those of others did is known by what they kept on the node.
pub fn check_latest(runs: &Runs, told: &Told) -> Result<()> {
    let kept = "See what is kept: lifeboat kept";
    if told.undoes().is_some() {
        return Err(refused(&told.run, "it is a rollback itself")
            .hint(kept)
            .hint("What it put aside is brought back by hand, or by restoring the snapshot again."));
    }
    let instead = match told.taken_up_to() {
        Some(Resume::Leave) => Some("it was left as it was"),
        Some(Resume::RollBack) => Some("it was undone before it had finished"),
        Some(Resume::GoOn) | None => None,
    };
    if let Some(why) = instead {
        return Err(refused(&told.run, why).hint(kept));
    }
    let mine = places(&told.plan, |_| true);
    if mine.is_empty() {
        return Ok(());
    }
    let others = later(runs, told)?;
    let ended_well = |other: &&Told| matches!(other.ended, Some((Exit::Done, _)));
    // One that ended otherwise gave everything back; one that has not ended, or left something, is in the middle of it.
    let counts = |other: &&Told| matches!(other.ended, None | Some((Exit::Done | Exit::Changed, _)));
    if let Some(other) = others.iter().filter(counts).find(|other| other.undoes() == Some(&told.run)) {
        return Err(if ended_well(&other) {
            refused(&told.run, &format!("run {} has undone it already", other.run)).hint(kept)
        } else {
            refused(&told.run, &format!("run {} has begun to", other.run))
                .hint(format!("Go on with it: lifeboat resume {}", other.run))
        });
    }
    let undone: BTreeSet<&RunId> = others.iter().filter(ended_well).filter_map(|other| other.undoes()).collect();
    for other in others.iter().filter(|other| other.undoes().is_none() && !undone.contains(&other.run)) {
        let states = states_of(&other.events);
        let done = |step: &Step| matches!(states.get(&step.id), Some(StepState::Finished(..)));
        if let Some((host, target)) = places(&other.plan, done).intersection(&mine).next() {
            return Err(refused(&told.run, &format!("run {} has replaced {target} on {host} since", other.run))
                .hint(format!("Undo that one first: lifeboat rollback {}", other.run)));
        }
    }
    let known = all_runs(runs)?;
    let hosts: BTreeSet<&HostId> = mine.iter().map(|(host, _)| host).collect();
    for host in hosts {
        let listed = on_node(runs, host)?;
        if !listed.iter().any(|entry| entry.run == told.run) {
            let why = format!("what it kept on {host} was brought back or removed already");
            return Err(refused(&told.run, &why).hint(kept));
        }
        let foreign = listed.iter().filter(|entry| {
            entry.run != told.run && entry.run.as_str() >= second_of(&told.run) && !known.contains(&entry.run)
        });
        for Kept { run, paths } in foreign {
            let kept_there = |target: &str| kept_path(target).replace("{run}", run.as_str());
            if let Some((_, target)) =
                mine.iter().find(|(own, target)| own == host && paths.contains(&kept_there(target)))
            {
                let why = format!("run {run}, of another vault, has replaced {target} on {host} since");
                return Err(refused(&told.run, &why).hint(kept));
            }
        }
    }
    Ok(())
}

/// The refusal of what replaces a service's state without keeping it aside on the node: a copy that was taken into the
/// vault before is the way back, and is named.
pub fn nothing_kept(step: &Step, states: &BTreeMap<StepId, StepState>) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("'{}' cannot be undone from what was kept.", step.title));
    match copied_before(states) {
        Some(copy) => failure
            .hint(format!("What was there before is the snapshot {copy}."))
            .hint(format!("Restore it: lifeboat restore {copy} --to {}", step.host)),
        None => failure.hint("Nothing was copied before it; restore an older snapshot instead: lifeboat list."),
    }
}

/// A restore that began to replace what nothing on the node brings back, and failed: names the ways on and back. The run
/// holds its node until it is left.
pub fn with_the_ways_on(failure: Failure, plan: &Plan, states: &BTreeMap<StepId, StepState>, run: &RunId) -> Failure {
    let is_begun = |step: &&Step| matches!(states.get(&step.id), Some(StepState::Started(_) | StepState::Finished(..)));
    let replaced = plan.steps.iter().filter(is_begun).find(|step| step.effect == Effect::Destroy && step.op == DELIVER);
    let (Some(step), Command::Restore { item, snapshot, .. }) = (replaced, &plan.command) else { return failure };
    if failure.exit != Exit::Changed {
        return failure;
    }
    let to = &step.host;
    let failure = failure
        .hint(format!("To go on or back, first let go of {to}: lifeboat resume {run} --leave"))
        .hint(format!("To go on, restore it once more: lifeboat restore {item}@{snapshot} --to {to}"));
    match copied_before(states) {
        Some(copy) => failure.hint(format!("To go back to what was there before: lifeboat restore {copy} --to {to}")),
        None => failure,
    }
}

/// The snapshot a run took of what it was to replace.
fn copied_before(states: &BTreeMap<StepId, StepState>) -> Option<String> {
    let outs = states.iter().filter_map(|(id, state)| match state {
        StepState::Finished(_, out) => Some((id.clone(), out.clone())),
        _ => None,
    });
    let taken = captured(&outs.collect());
    let copy = taken.first()?;
    Some(format!("{}@{}", place_of(&copy["item"]), copy["snapshot"].as_str().unwrap_or_default()))
}

/// An item's place as it is written on a command line.
fn place_of(place: &Value) -> String {
    args_of::<ItemRef>(place).map_or_else(|_| place.to_string(), |place| place.to_string())
}

/// The second an id begins with: what follows is random.
fn second_of(run: &RunId) -> &str {
    run.as_str().split('-').next().unwrap_or_default()
}

/// Every run of the vault.
fn all_runs(runs: &Runs) -> Result<BTreeSet<RunId>> {
    let dirs = runs.vault.runs().map_err(|error| super::capture::vault_failure(&error))?;
    Ok(dirs.iter().filter_map(|dir| RunId::new(dir.file_name()?.to_str()?).ok()).collect())
}

/// Every run of the vault that began after this one. One whose files cannot be read is left to what the node says.
fn later(runs: &Runs, told: &Told) -> Result<Vec<Told>> {
    let began = |told: &Told| told.events.first().map(|event| event.at);
    let (since, second) = (began(told), second_of(&told.run));
    let others = all_runs(runs)?.into_iter().filter(|run| run.as_str() >= second && *run != told.run);
    Ok(others.filter_map(|run| runs.read(&run).ok()).filter(|other| began(other) > since).collect())
}

fn on_node(runs: &Runs, host: &HostId) -> Result<Vec<Kept>> {
    let node = runs.links.get(host, &runs.cancel)?;
    let cx = Cx { host, node: &*node, cancel: &runs.cancel, clock: &*runs.clock, secrets: &*runs.secrets, run: None };
    list_kept(&cx)
}
