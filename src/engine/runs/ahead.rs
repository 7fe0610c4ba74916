//! What is looked at before a run is undone or gone on with, so that a preview says what is true at that moment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Resume, Runs, Told, refuse_ended};
use crate::engine::executor::{StepState, fill_in_run, states_of};
use crate::engine::node_run::{self, Fired};
use crate::engine::phrases::undo_of;
use crate::engine::rollback;
use crate::model::event::{Event, EventKind};
use crate::model::exit::Result;
use crate::model::ids::{HostId, StepId};
use crate::model::plan::{Effect, Gate, OnLapse, Plan, Step};
use crate::model::text::CleanText;
use crate::model::units::ByteSize;
use crate::services::Cx;
use crate::services::common::{DELIVER, STOP_UNIT, SWAP, SwapArgs, args_of, read_node, text_of};
use crate::transport::Script;

/// What is known before a run is undone or gone on with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// What must be stated.
    pub gates: Vec<Gate>,
    /// The places that an undoing empties, as they are now.
    pub places: Vec<Place>,
    /// What lies beside the run's places on each node, and stays there when it is left.
    pub beside: BTreeMap<HostId, Vec<String>>,
    /// Where the run's guard has acted by itself, and what it did: no journal knows of that yet.
    pub acted: BTreeMap<HostId, Fired>,
}

impl Ahead {
    /// The run's events with what guards did since: each begun step that one undid is undone.
    pub fn events(&self, told: &Told) -> Vec<Event> {
        let mut events = told.events.clone();
        let states = states_of(&events);
        let is_begun = |step: &&Step| {
            matches!(states.get(&step.id), Some(StepState::Started(_) | StepState::Finished(..)))
                && step.guard.is_some()
                && self.acted.get(&step.host).is_some_and(|did| did.is_sound && did.on_lapse == OnLapse::Revert)
        };
        let undone: Vec<StepId> = told.plan.steps.iter().rev().filter(is_begun).map(|step| step.id.clone()).collect();
        let Some(last) = events.last().cloned() else { return events };
        events.extend(undone.into_iter().map(|step| Event { kind: EventKind::StepReverted { step }, ..last.clone() }));
        events
    }
}

/// A place that a run swapped something into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The node.
    pub host: HostId,
    /// What was replaced there.
    pub target: CleanText,
    /// What was written into it since; nothing when the node could not count it.
    pub since: Option<Written>,
}

impl Place {
    /// Whether something was written into it since, or nobody can say that nothing was.
    pub fn is_written(&self) -> bool {
        self.since.is_none_or(|since| since.files > 0)
    }
}

/// Regular files written since a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// How many.
    pub files: u64,
    /// Their bytes together.
    pub bytes: ByteSize,
    /// When the last of them was written, by the node's clock.
    pub newest: Option<Timestamp>,
}

/// A step of a run on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepBack {
    /// Its place in the plan, from 0.
    pub at: usize,
    /// What its undoing does, a sentence each, by what the step found when it was done.
    pub told: Vec<String>,
    /// Whether something that the run kept aside comes back by it.
    pub brings_back: bool,
}

impl Runs<'_> {
    /// Looks whether a finished run can be undone, and at what that would take away.
    ///
    /// # Errors
    /// What [`Runs::rollback`] refuses for, but for open gates.
    pub fn look_before_rollback(&self, told: &Told) -> Result<Ahead> {
        self.check_rollback(told)?;
        let gates = self.gates_of_rollback(told)?;
        Ok(Ahead { gates, places: self.places_of(told), ..Ahead::default() })
    }

    /// Looks whether an interrupted run can be taken up, and at what an undoing would take away.
    ///
    /// # Errors
    /// What [`Runs::resume`] refuses for, but for open gates.
    pub fn look_before_resume(&self, told: &Told, how: Resume) -> Result<Ahead> {
        refuse_ended(told)?;
        let gates = self.gates_of_resume(told, how)?;
        let acted = self.guards_that_acted(told)?;
        let is_undoing = how == Resume::RollBack || told.undoes().is_some();
        let places = if is_undoing && how != Resume::Leave { self.places_of(told) } else { Vec::new() };
        let beside = if how == Resume::Leave { self.beside(told)? } else { BTreeMap::new() };
        Ok(Ahead { gates, places, beside, acted })
    }

    /// Where a guard of the run has acted; one that acts right now is waited for.
    fn guards_that_acted(&self, told: &Told) -> Result<BTreeMap<HostId, Fired>> {
        let mut acted = BTreeMap::new();
        for guard in &told.plan.guards {
            let fired = self.prober().on(&guard.host, |cx| node_run::read_fired(cx, &told.run))?;
            acted.extend(fired.map(|fired| (guard.host.clone(), fired)));
        }
        Ok(acted)
    }

    fn places_of(&self, told: &Told) -> Vec<Place> {
        let plan = fill_in_run(told.plan.clone(), &told.run);
        let states = states_of(&told.events);
        let is_done = |step: &&Step| step.op == SWAP && matches!(states.get(&step.id), Some(StepState::Finished(..)));
        let mut places = Vec::new();
        for step in plan.steps.iter().filter(is_done) {
            let Ok(swap) = args_of::<SwapArgs>(&step.args) else { continue };
            let at = told.events.iter().rev().find(|event| is_end_of(event, &step.id)).map(|event| event.at);
            for entry in &swap.entries {
                // A node that cannot count keeps nobody from undoing; the preview says that it is not known.
                let since = self.written_since(&step.host, &entry.target, &entry.kept, at).ok();
                places.push(Place { host: step.host.clone(), target: CleanText::new(&entry.target), since });
            }
        }
        places
    }

    fn written_since(&self, host: &HostId, target: &str, kept: &str, at: Option<Timestamp>) -> Result<Written> {
        let node = self.links.get(host, &self.cancel)?;
        let cx =
            Cx { host, node: &*node, cancel: &self.cancel, clock: &*self.clock, secrets: &*self.secrets, run: None };
        let at = at.map_or(String::new(), |at| at.as_second().to_string());
        let script = Script::new(COUNT).arg(target).arg(kept).arg(at);
        let seen = read_node(&cx, script, "Counting what was written since")?.stdout;
        Ok(counted(&String::from_utf8_lossy(&seen)))
    }
}

/// How many files of `$1` were written after `$2` was put aside, their bytes, and when the last was. A rename is the last
/// that changes the inode of what is kept, so its change time is the moment of the swap, by the node's own clock; where
/// nothing was kept, `$3` is, in seconds; where that is not known either, nobody knows what was written since.
const COUNT: &str = r#"set -eu
[ -e "$1" ] || { echo 0 0 0; exit; }
if [ -e "$2" ]; then set -- "$1" -newermc "$2"; elif [ -n "$3" ]; then set -- "$1" -newermt "@$3"; else exit 1; fi
t=$1; shift
{ find "$t" -ignore_readdir_race -type f "$@" -printf '%s %T@\n' || echo failed; } |
  awk '/^failed/ { bad = 1; next } { n++; b += $1; if ($2 > m) m = $2 }
    END { if (bad) exit 1; printf "%.0f %.0f %.0f\n", n, b, m }'
"#;

fn counted(line: &str) -> Written {
    let mut figures = line.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
    let mut next = || figures.next().unwrap_or(0);
    let (files, bytes, newest) = (next(), ByteSize(next()), i64::try_from(next()).unwrap_or(0));
    Written { files, bytes, newest: Timestamp::from_second(newest).ok().filter(|_| newest > 0) }
}

fn is_end_of(event: &Event, step: &StepId) -> bool {
    matches!(&event.kind, EventKind::StepFinished { step: done, .. } if done == step)
}

/// The plan by which a run is undone, with its id filled in: finished, or as it was interrupted. Of a finished one the id
/// of the undoing itself stays `{run}`.
pub fn plan_back(told: &Told, is_finished: bool) -> Plan {
    let plan = if is_finished { rollback::plan_of(told) } else { rollback::plan_of_taken_up(told) };
    plan.unwrap_or_else(|_| fill_in_run(told.plan.clone(), &told.run))
}

/// What undoing a run does, step by step, newest first: only of steps that did something.
pub fn steps_back(plan: &Plan, events: &[Event]) -> Vec<StepBack> {
    let states = states_of(events);
    let steps = plan.steps.iter().enumerate().rev();
    let back = steps.filter_map(|(at, step)| {
        let told = told_back(step, &states)?;
        let brings_back = step.op == SWAP && was_there(step, &states).contains(&true);
        (!told.is_empty()).then_some(StepBack { at, told, brings_back })
    });
    back.collect()
}

/// Of each place of a swap that was done, whether something was there before.
fn was_there(step: &Step, states: &BTreeMap<StepId, StepState>) -> Vec<bool> {
    match states.get(&step.id) {
        Some(StepState::Finished(before, _)) => {
            before.get("was_there").and_then(|flags| args_of(flags).ok()).unwrap_or_else(|| vec![true])
        }
        _ => Vec::new(),
    }
}

fn told_back(step: &Step, states: &BTreeMap<StepId, StepState>) -> Option<Vec<String>> {
    let (before, is_done) = match states.get(&step.id)? {
        StepState::Finished(before, _) => (before, true),
        StepState::Started(before) => (before, false),
        StepState::Skipped(_) | StepState::Reverted => return None,
    };
    if step.effect == Effect::Read {
        return None;
    }
    let unit = text_of(&step.args, "unit");
    let is_swapped = || {
        states
            .values()
            .any(|state| matches!(state, StepState::Finished(before, _) if before.get("was_there").is_some()))
    };
    Some(match step.op.as_str() {
        DELIVER if is_swapped() => return None,
        DELIVER => vec!["Removes what was brought beside its place.".to_owned()],
        SWAP if is_done => swap_back(&args_of(&step.args).ok()?, before),
        STOP_UNIT if before.get("was_running") == Some(&Value::Bool(true)) => {
            vec![format!("Starts {unit} again: it ran before the run.")]
        }
        STOP_UNIT if before.get("was_running") == Some(&Value::Bool(false)) => {
            vec![format!("Lets {unit} be started again, and leaves it stopped: it did not run before the run.")]
        }
        _ => undo_of(step).into_iter().collect(),
    })
}

fn swap_back(swap: &SwapArgs, before: &Value) -> Vec<String> {
    let was_there: Vec<bool> = before.get("was_there").and_then(|flags| args_of(flags).ok()).unwrap_or_default();
    let mut told = Vec::new();
    for (at, entry) in swap.entries.iter().enumerate() {
        let (target, kept) = (CleanText::new(&entry.target), name_of(&entry.kept));
        let back = if was_there.get(at) == Some(&false) {
            format!("Nothing was at {target} before the run, and nothing comes back there.")
        } else {
            format!("{target} is again what it was before the run: {kept} beside it comes back.")
        };
        let now = match &entry.aside {
            Some(aside) => {
                format!("What stands there now is kept aside as {}.", name_of(aside).replace("{run}", "RUN"))
            }
            None => "What stands there now is removed.".to_owned(),
        };
        told.extend([back, now]);
    }
    told
}

fn name_of(path: &str) -> String {
    CleanText::new(path.rsplit('/').next().unwrap_or(path)).one_line().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_counts_is_read_and_nonsense_is_nothing() {
        let written = counted("3 12288 1763600000\n");
        assert_eq!((written.files, written.bytes), (3, ByteSize(12288)));
        assert_eq!(written.newest.map(Timestamp::as_second), Some(1_763_600_000));
        assert_eq!(counted(""), Written::default());
        assert_eq!(counted("x -1 99999999999999999999"), Written::default());
    }
}
