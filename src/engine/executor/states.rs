//! What each step has come to, and a plan as one run carries it out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::event::{Event, EventKind};
use crate::model::ids::{RunId, StepId};
use crate::model::plan::Plan;

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
            EventKind::StepFailed { step, failure } if failure.untouched => {
                states.remove(step);
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
