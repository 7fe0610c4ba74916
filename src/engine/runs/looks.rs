//! What has become of each step of a run, by its events: for pages and previews.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::event::{Event, EventKind};
use crate::model::ids::StepId;

/// What has become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStage {
    /// It was not begun.
    #[default]
    Next,
    /// It is being done.
    Now,
    /// It was done.
    Done,
    /// It had nothing to do.
    Already,
    /// It failed.
    Failed,
    /// It was undone.
    Undone,
    /// It could not be undone.
    NotUndone,
}

/// A step's stage with its moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepLook {
    /// What has become of it.
    pub stage: StepStage,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// What has become of each step, by the events.
pub fn steps_of(events: &[Event]) -> BTreeMap<StepId, StepLook> {
    let mut steps: BTreeMap<StepId, StepLook> = BTreeMap::new();
    for event in events {
        let (step, stage) = match &event.kind {
            EventKind::StepStarted { step, .. } => (step, StepStage::Now),
            EventKind::StepFinished { step, .. } => (step, StepStage::Done),
            EventKind::StepSkipped { step, .. } => (step, StepStage::Already),
            EventKind::StepFailed { step, .. } => (step, StepStage::Failed),
            EventKind::StepReverted { step } => (step, StepStage::Undone),
            EventKind::RevertFailed { step, .. } => (step, StepStage::NotUndone),
            _ => continue,
        };
        let look = steps.entry(step.clone()).or_default();
        if stage == StepStage::Now {
            look.began = Some(event.at);
        } else {
            look.ended = Some(event.at);
        }
        look.stage = stage;
    }
    steps
}
