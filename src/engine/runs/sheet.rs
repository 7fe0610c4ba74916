//! What becomes of a run that is undone, gone on with or left, line by line and before anything is done. Both faces show
//! these lines, so that neither tells less than the other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Ahead, Place, Resume, StepBack, StepLook, StepStage, Told, plan_back, steps_back, steps_of};
use crate::engine::executor::{StepState, states_of};
use crate::engine::phrases::{count, guard_phrase, sentence, utc, way_back_phrase};
use crate::model::event::Event;
use crate::model::ids::{HostId, StepId};
use crate::model::plan::{Effect, Guard, OnLapse, Plan, Step};
use crate::model::units::Seconds;
use crate::services::common::{START_UNIT, STOP_UNIT, SWAP, SwapArgs, args_of, text_of};

/// What is said before a run is taken up or undone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Sheet {
    /// What happens, where, what stops, what comes back.
    pub lines: Vec<Line>,
    /// The steps, in the order in which they are told.
    pub steps: Vec<StepLine>,
    /// Whether the steps are told as what they are and have come to, and not by what their undoing does.
    pub tells_stages: bool,
    /// What nodes do by themselves, and what remains.
    pub after: Vec<Line>,
}

/// A label and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it is about, in a word or two.
    pub label: &'static str,
    /// What is said.
    pub text: String,
    /// Whether it is worth a second look.
    pub is_warning: bool,
}

/// A step with what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepLine {
    /// Its number in the plan, from 1.
    pub number: usize,
    /// Its node.
    pub host: HostId,
    /// What it does to the node.
    pub effect: Effect,
    /// What has become of it so far.
    pub stage: StepStage,
    /// Of an undoing what it does, a sentence each; else the step's title.
    pub told: Vec<String>,
}

type Looks = BTreeMap<StepId, StepLook>;
type States = BTreeMap<StepId, StepState>;

impl Line {
    fn say(label: &'static str, text: impl Into<String>) -> Self {
        Self { label, text: text.into(), is_warning: false }
    }

    fn warn_if(mut self, is_warning: bool) -> Self {
        self.is_warning = is_warning;
        self
    }
}

impl Sheet {
    /// Of a finished run that is rolled back.
    pub fn of_rollback(told: &Told, ahead: Option<&Ahead>) -> Self {
        undoing(told, true, ahead)
    }

    /// Of an interrupted run, or one that ended with something left, that is taken up.
    pub fn of_resume(told: &Told, how: Resume, ahead: Option<&Ahead>) -> Self {
        match how {
            Resume::Leave => leaving(told, ahead),
            // Going on with an undoing is to undo the rest.
            Resume::GoOn if told.undoes().is_none() => going_on(told, ahead),
            Resume::GoOn | Resume::RollBack => undoing(told, false, ahead),
        }
    }
}

/// What was written into a place since the run.
pub fn written_phrase(place: &Place) -> String {
    let Place { host, target, since } = place;
    match since {
        None => format!("What was written into {target} since the run is not known: {host} could not count it."),
        Some(since) if since.files == 0 => format!("Nothing was written into {target} since the run."),
        Some(since) => {
            let last = since.newest.map_or(String::new(), |at| format!(", the last at {}", utc(at)));
            format!("{}, {}, written into {target} since the run{last}.", count(since.files, "file"), since.bytes)
        }
    }
}

fn stage(step: &Step, looks: &Looks) -> StepStage {
    looks.get(&step.id).map_or(StepStage::Next, |look| look.stage)
}

fn hosts<'p>(steps: impl Iterator<Item = &'p Step>) -> String {
    let mut hosts: Vec<&str> = Vec::new();
    for step in steps.filter(|step| step.effect != Effect::Read) {
        if !hosts.contains(&step.host.as_str()) {
            hosts.push(step.host.as_str());
        }
    }
    if hosts.is_empty() { "on no node".to_owned() } else { format!("on {}", hosts.join(" and ")) }
}

fn undoing(told: &Told, is_finished: bool, ahead: Option<&Ahead>) -> Sheet {
    let (plan, events) = (plan_back(told, is_finished), events_now(told, ahead));
    let (looks, states, back) = (steps_of(&events), states_of(&events), steps_back(&plan, &events));
    let what = match (is_finished, told.undoes(), back.is_empty()) {
        (_, None, true) if !states.values().any(|state| *state == StepState::Reverted) => {
            "Nothing was changed so far. What is held for the run is given back.".to_owned()
        }
        (_, _, true) => "Nothing is left to undo. What is held for the run is given back.".to_owned(),
        (false, Some(undone), _) => {
            format!("The undoing of run {undone} goes on: what it has not undone yet is undone, newest step first.")
        }
        (true, ..) => "What the run did is undone, newest step first.".to_owned(),
        (false, None, _) => "What the run did so far is undone, newest step first.".to_owned(),
    };
    let mut lines = vec![Line::say("what", what)];
    lines.extend(guards_that_acted(ahead));
    if back.is_empty() {
        return Sheet { lines, ..Sheet::default() };
    }
    let steps: Vec<(&StepBack, &Step)> = back.iter().filter_map(|one| Some((one, plan.steps.get(one.at)?))).collect();
    // A fence stays: nothing is done there.
    let touched = steps.iter().map(|(_, step)| *step).filter(|step| step.effect != Effect::Fence);
    lines.push(Line::say("where", hosts(touched)));
    lines.push(stops_back(&steps, &states, &looks));
    lines.extend(exchange(&steps, &states, &looks));
    lines.extend(
        ahead
            .into_iter()
            .flat_map(|ahead| &ahead.places)
            .map(|place| Line::say("written", written_phrase(place)).warn_if(place.is_written())),
    );
    lines.push(Line::say(
        "undo",
        if is_finished || told.undoes().is_some() {
            "none: an undo is not undone; the copy can be restored again"
        } else {
            "none: the run is over then; it can be made anew"
        },
    ));
    let line = |(back, step): &(&StepBack, &Step)| StepLine {
        number: back.at + 1,
        host: step.host.clone(),
        effect: step.effect,
        stage: stage(step, &looks),
        told: back.told.clone(),
    };
    let counting = plan.guards.iter().filter(|guard| is_begun(guard, &plan, &states));
    let after = counting.map(|Guard { host, lapse, .. }| {
        let text = format!("On {host}: if nothing is heard for {lapse}, the node goes the way back by itself.");
        Line::say("guard", text)
    });
    Sheet { lines, steps: steps.iter().map(line).collect(), tells_stages: false, after: after.collect() }
}

/// The run's events, with what guards are known to have done since.
fn events_now(told: &Told, ahead: Option<&Ahead>) -> Vec<Event> {
    ahead.map_or_else(|| told.events.clone(), |ahead| ahead.events(told))
}

/// What nodes did by themselves: it is taken in before anything else is done.
fn guards_that_acted(ahead: Option<&Ahead>) -> impl Iterator<Item = Line> {
    ahead.into_iter().flat_map(|ahead| &ahead.acted).map(|(host, fired)| {
        let did = match (fired.is_sound, fired.on_lapse) {
            (false, _) => format!("but not all of it worked: {}", fired.log.one_line()),
            (true, OnLapse::Revert) => "and put back what it guards".to_owned(),
            (true, OnLapse::Start) => "and started what the run put in place".to_owned(),
            (true, OnLapse::StayDown) => "and left everything down".to_owned(),
        };
        Line::say("guard", format!("The guard on {host} has acted by itself, {did}.")).warn_if(true)
    })
}

fn is_begun(guard: &Guard, plan: &Plan, states: &States) -> bool {
    let mut mine = plan.steps.iter().filter(|step| step.guard.as_ref() == Some(&guard.id));
    mine.any(|step| matches!(states.get(&step.id), Some(StepState::Started(_) | StepState::Finished(..))))
}

/// What stops on the way back: from where its start is undone to where its stop is. What was never started again stands
/// still already.
fn stops_back(steps: &[(&StepBack, &Step)], states: &States, looks: &Looks) -> Line {
    let (mut told, mut is_felt) = (Vec::new(), false);
    for (back, stop) in steps.iter().filter(|(_, step)| step.op == STOP_UNIT) {
        let unit = text_of(&stop.args, "unit");
        let of_same =
            |step: &Step| step.op == START_UNIT && step.host == stop.host && text_of(&step.args, "unit") == unit;
        let start = steps.iter().find(|(_, step)| of_same(step));
        let Some((from, start)) = start else {
            if ran_before(stop, states) {
                told.push(format!("nothing that runs: {unit} was stopped by the run and is started again"));
            }
            continue;
        };
        is_felt = true;
        if !ran_before(stop, states) {
            told.push(format!(
                "{unit}, from step {} on: it did not run before the run, and stays stopped",
                from.at + 1
            ));
            continue;
        }
        let ends = |step: &Step| looks.get(&step.id).and_then(|look| look.ended);
        let down =
            ends(stop).zip(ends(start)).and_then(|(from, to)| u64::try_from(to.duration_since(from).as_secs()).ok());
        let down = down.map_or(String::new(), |down| format!("; in the run it was down for {}", Seconds(down)));
        told.push(format!("{unit}, from step {} back to step {}{down}", from.at + 1, back.at + 1));
    }
    if told.is_empty() {
        return Line::say("stops", "nothing");
    }
    Line::say("stops", told.join("; ") + ".").warn_if(is_felt)
}

/// Whether a unit ran when its stop was begun.
fn ran_before(stop: &Step, states: &States) -> bool {
    match states.get(&stop.id) {
        Some(StepState::Started(before) | StepState::Finished(before, _)) => before["was_running"] != false,
        Some(StepState::Skipped(_) | StepState::Reverted) | None => true,
    }
}

/// What comes back, and where what stands there now goes.
fn exchange(steps: &[(&StepBack, &Step)], states: &States, looks: &Looks) -> Vec<Line> {
    let is_done = |step: &Step| matches!(states.get(&step.id), Some(StepState::Finished(..)));
    let swaps: Vec<(&Step, SwapArgs)> = steps
        .iter()
        .filter(|(_, step)| step.op == SWAP && is_done(step))
        .filter_map(|(_, step)| Some((*step, args_of(&step.args).ok()?)))
        .collect();
    let Some((first, _)) = swaps.first() else { return Vec::new() };
    let at = looks.get(&first.id).and_then(|look| look.ended);
    let when = at.map_or(String::new(), |at| format!(" at {}", utc(at)));
    let keeps = swaps.iter().all(|(_, swap)| !swap.aside().is_empty());
    let brings_back = steps.iter().any(|(back, _)| back.brings_back);
    let came =
        if brings_back { format!("what the run kept aside{when}") } else { "nothing: nothing was there".to_owned() };
    let is_named_later = || swaps.iter().any(|(_, swap)| swap.aside().iter().any(|aside| aside.contains("{run}")));
    let aside = if keeps {
        let id = if is_named_later() { "; RUN is the id that this undo gets" } else { "" };
        Line::say("goes aside", format!("what stands there now, beside its place{id}"))
    } else {
        Line::say("removed", "what stands there now: nothing keeps it").warn_if(true)
    };
    vec![Line::say("comes back", came), aside]
}

fn going_on(told: &Told, ahead: Option<&Ahead>) -> Sheet {
    let (plan, looks) = (&told.plan, steps_of(&events_now(told, ahead)));
    let is_left = |step: &&Step| !matches!(stage(step, &looks), StepStage::Done | StepStage::Already);
    let mut lines = vec![Line::say("what", "Each node is looked at again; what is done stays, what is left is done.")];
    lines.extend(guards_that_acted(ahead));
    lines.extend([
        Line::say("where", hosts(plan.steps.iter().filter(is_left))),
        stops_ahead(plan, &looks),
        Line::say("undo", way_back_phrase(plan)),
    ]);
    let guards = plan.guards.iter().map(|guard| Line::say("guard", sentence(&guard_phrase(plan, guard))));
    let leaves = plan.leaves.iter().map(|left| left.as_str().replace("{run}", told.run.as_str()));
    let after = guards.chain(leaves.map(|left| Line::say("afterwards", left)));
    Sheet { lines, steps: steps_as_they_are(plan, &looks), tells_stages: true, after: after.collect() }
}

fn stops_ahead(plan: &Plan, looks: &Looks) -> Line {
    let mut told = Vec::new();
    for (at, stop) in
        plan.steps.iter().enumerate().filter(|(_, step)| step.op == STOP_UNIT || step.effect == Effect::Fence)
    {
        let unit = text_of(&stop.args, "unit");
        let is_its_start = |step: &Step| step.op == START_UNIT && text_of(&step.args, "unit") == unit;
        let start = plan.steps.iter().enumerate().skip(at).find(|(_, step)| is_its_start(step));
        let is_started = start.is_some_and(|(_, step)| matches!(stage(step, looks), StepStage::Done));
        let until = start.map_or(String::new(), |(at, _)| format!(", and is started by step {}", at + 1));
        match stage(stop, looks) {
            _ if is_started => {}
            StepStage::Done if stop.effect == Effect::Fence => {}
            StepStage::Done => told.push(format!("{unit} is stopped already{until}")),
            // Nobody heard how it ended.
            StepStage::Now => told.push(format!("{unit} may be stopped already{until}")),
            _ if stop.effect == Effect::Fence => told.push(format!("{}, for good", stop.title)),
            _ => told.push(format!("{unit} is stopped by step {}{until}", at + 1)),
        }
    }
    if told.is_empty() {
        return Line::say("stops", "nothing");
    }
    Line::say("stops", told.join("; ") + ".").warn_if(true)
}

fn steps_as_they_are(plan: &Plan, looks: &Looks) -> Vec<StepLine> {
    let line = |(at, step): (usize, &Step)| StepLine {
        number: at + 1,
        host: step.host.clone(),
        effect: step.effect,
        stage: stage(step, looks),
        told: vec![step.title.to_string()],
    };
    plan.steps.iter().enumerate().map(line).collect()
}

/// What stays as it is when a run is left, and what lies beside it then.
fn leaving(told: &Told, ahead: Option<&Ahead>) -> Sheet {
    let (plan, looks) = (&told.plan, steps_of(&events_now(told, ahead)));
    let mut lines = vec![Line::say(
        "what",
        "Nothing is touched: locks, holds and guards are given back, and things stay as they are.",
    )];
    lines.extend(guards_that_acted(ahead));
    lines.extend([
        Line::say("where", hosts(plan.steps.iter().filter(|step| stage(step, &looks) != StepStage::Next))),
        Line::say("stops", "nothing; what the run stopped stays stopped until somebody starts it"),
        Line::say("undo", "none: the run is neither finished nor undone by Lifeboat then"),
    ]);
    let beside = ahead.into_iter().flat_map(|ahead| &ahead.beside);
    let stays: Vec<Line> = beside
        .flat_map(|(host, paths)| paths.iter().map(move |path| format!("on {host}: {path}")))
        .map(|text| Line::say("stays", text).warn_if(true))
        .collect();
    if stays.is_empty() {
        lines.push(Line::say("stays", "nothing of the run beside its places"));
    }
    lines.extend(stays);
    Sheet { lines, steps: steps_as_they_are(plan, &looks), tells_stages: true, after: Vec::new() }
}
