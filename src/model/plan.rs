//! Plans: what will happen, as data that can be read, exported, compared and then run exactly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{GateId, GuardId, HostId, ItemRef, ServiceName, SnapshotId, StepId, UnitName};
use super::text::CleanText;
use super::units::Seconds;

/// What an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Command {
    /// Copy an item into the vault.
    Backup {
        /// What to copy.
        item: ItemRef,
        /// Why, in the operator's words; stands in the manifest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Bring a snapshot back onto a host.
    Restore {
        /// The item it is a snapshot of.
        item: ItemRef,
        /// Which snapshot.
        snapshot: SnapshotId,
        /// The host to bring it to.
        to: HostId,
    },
}

impl Plan {
    /// Whether a finished run of it can be undone from what it keeps aside.
    pub fn can_be_rolled_back(&self) -> bool {
        let mut replacing = self.steps.iter().filter(|step| step.effect == Effect::Destroy).peekable();
        replacing.peek().is_some() && replacing.all(|step| step.op == "files.swap/1")
    }
}

impl Command {
    /// The item it is about.
    pub fn place(&self) -> &ItemRef {
        match self {
            Self::Backup { item, .. } | Self::Restore { item, .. } => item,
        }
    }
}

/// Exactly what will happen. Its hash covers all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What was asked for.
    pub command: Command,
    /// The facts it rests on: when one of these changes the plan is stale. Sizes, times and counts never stand here.
    pub basis: BTreeMap<String, Value>,
    /// Every choice with the value in force.
    pub choices: Vec<Chosen>,
    /// What the operator must state before the first change.
    pub gates: Vec<Gate>,
    /// What the nodes do by themselves if the console vanishes.
    pub guards: Vec<Guard>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// What remains after a completed run that a reader of the preview should know, e.g. kept copies.
    pub leaves: Vec<CleanText>,
    /// Whether its last steps show that what was restored is what was saved.
    #[serde(default)]
    pub proves: bool,
    /// The target's own entry, where it goes by another name than the one the item was saved under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<ServiceName>,
}

impl Plan {
    /// The service that is worked on at a host, by the name it has there: what a run locks.
    pub fn service_on(&self, host: &HostId) -> &ServiceName {
        let is_target = matches!(&self.command, Command::Restore { to, .. } if to == host);
        self.entry.as_ref().filter(|_| is_target).unwrap_or(&self.command.place().service)
    }
}

/// A question with a default that shapes a plan: a wizard's field and `--set KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The key of `--set`.
    pub key: String,
    /// The question as a wizard asks it.
    pub question: String,
    /// The values it takes, with what each means; empty when any text does.
    pub values: Vec<(String, String)>,
    /// The value in force when nothing is said.
    pub default: String,
}

/// A choice with the value in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Whether nobody chose it.
    pub by_default: bool,
}

/// A consent or a fact the operator must state: `--confirm ID=WORD`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The name.
    pub id: GateId,
    /// What is asked, as a full sentence with its consequences.
    pub question: CleanText,
    /// The word that answers it, usually the name of the thing at risk.
    pub word: String,
}

/// What a node does by itself when the console stops renewing it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Its name in the plan.
    pub id: GuardId,
    /// The node it is armed on.
    pub host: HostId,
    /// The units whose state it answers for.
    pub units: Vec<UnitName>,
    /// How long without renewal before it acts.
    pub lapse: Seconds,
}

/// One thing that will happen on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in the plan.
    pub id: StepId,
    /// Where.
    pub host: HostId,
    /// An imperative sentence without full stop, for the preview and the live list.
    pub title: CleanText,
    /// When it is given up.
    pub timeout: Seconds,
    /// Which op, e.g. "systemd.stop/1"; looked up in the registry.
    pub op: String,
    /// The op's arguments; secrets only as references.
    pub args: Value,
    /// What it does to the node.
    pub effect: Effect,
    /// The guard that answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardId>,
    /// What the guard does if the console vanishes from the moment this step begins until the next begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_lapse: Option<OnLapse>,
}

/// What a step does to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    Read,
    /// Adds something that a revert removes.
    Write,
    /// Stops something that a guard undoes.
    Quiesce,
    /// Stops something that nothing undoes.
    Fence,
    /// Replaces or removes something; what was there is kept aside or the gate says it is lost.
    Destroy,
}

/// What a guard does when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLapse {
    /// Undo the guarded steps so far, newest first, each in the node's own script; what ran is started again.
    Revert,
    /// Go forward: keep what is in place and start it.
    Start,
    /// Touch nothing: the service stays down.
    StayDown,
}
