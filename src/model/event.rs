//! Events: what happened. The same value feeds the console, `--json` and the journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exit::{Exit, Failure};
use super::ids::{ConsoleId, GuardId, HostId, RunId, StepId};
use super::text::CleanText;

/// One journalled happening of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Version of this shape; fields may be added, never changed.
    pub schema: u32,
    /// The run.
    pub run: RunId,
    /// Counts from 0 without a hole; a reader asks for everything since a number.
    pub seq: u64,
    /// When, by the console's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum EventKind {
    /// A run began; its plan lies beside the journal.
    RunStarted {
        /// The plan's hash.
        plan_hash: String,
        /// Who runs it.
        console: ConsoleId,
        /// Rises with every adoption; an older epoch is refused on the node.
        epoch: u64,
        /// The answers to its gates, by gate: the words as they were typed or given by flags.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        confirmed: BTreeMap<String, String>,
    },
    /// Another console took the run over, or the same one came back.
    RunAdopted {
        /// Who now runs it.
        console: ConsoleId,
        /// The new epoch.
        epoch: u64,
        /// What for.
        #[serde(default)]
        how: Resume,
        /// The answers to what was asked before.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        confirmed: BTreeMap<String, String>,
    },
    /// A guard was armed on its node.
    GuardArmed {
        /// Which.
        guard: GuardId,
    },
    /// A guard had acted by itself.
    GuardFired {
        /// Which.
        guard: GuardId,
    },
    /// A guard was taken off.
    GuardDisarmed {
        /// Which.
        guard: GuardId,
    },
    /// A step is about to act; `before` is what its revert needs.
    StepStarted {
        /// Which.
        step: StepId,
        /// The state it found.
        before: Value,
    },
    /// A step had nothing to do any more.
    StepSkipped {
        /// Which.
        step: StepId,
        /// What it found.
        out: Value,
    },
    /// A step was done.
    StepFinished {
        /// Which.
        step: StepId,
        /// What it learned.
        out: Value,
    },
    /// A step failed.
    StepFailed {
        /// Which.
        step: StepId,
        /// Why.
        failure: Failure,
    },
    /// A finished step was undone.
    StepReverted {
        /// Which.
        step: StepId,
    },
    /// A step could not be undone; the operator must look.
    RevertFailed {
        /// Which.
        step: StepId,
        /// Why.
        failure: Failure,
    },
    /// The run undoes an earlier one, from what that one's steps found before and learned.
    Undoes {
        /// The earlier run.
        undone: RunId,
        /// Its finished steps.
        steps: BTreeMap<StepId, (Value, Value)>,
    },
    /// Something worth saying.
    Note {
        /// What.
        text: CleanText,
    },
    /// The run ended.
    RunFinished {
        /// How.
        exit: Exit,
        /// The failure, when it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// What it left aside, as it listed it on each node.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        kept: BTreeMap<HostId, Vec<String>>,
    },
}

/// What an operator takes up an interrupted run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// Go on with what is left.
    #[default]
    GoOn,
    /// Undo what was done.
    RollBack,
    /// Leave everything as it is and give the locks back.
    Leave,
}
