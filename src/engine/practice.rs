//! What a practice fleet offers to whoever shows it: nodes that may be broken, and an exercise to play.
//!
//! The fleet itself is made elsewhere and handed to a face as a [`Rehearsal`]; a face sees only what stands here. So the
//! console can break and mend nodes from its palette and show the exercise without knowing how a node is played.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::transport::Cancel;

/// What can be done to a practice node. Each has a way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its network is gone: sessions end, and nothing answers.
    CutLink,
    /// Its network stands still: sessions stay, and no byte moves.
    Stall,
    /// Its disk is full to the last byte.
    FillDisk,
    /// Its service is killed, as by a crash.
    KillService,
    /// Its service does not end when it is told to: it is killed once its unit's patience is over.
    HangStop,
    /// It shows another host key than the one that is known.
    ChangeHostKey,
    /// One byte of its newest snapshot in the vault is another one.
    CorruptArtefact,
    /// Another node runs with its identity.
    CloneIdentity,
    /// The machine is lost with everything on it.
    LoseNode,
}

impl Fault {
    /// Every fault, in the order they are offered.
    pub const ALL: [Self; 9] = [
        Self::CutLink,
        Self::Stall,
        Self::FillDisk,
        Self::KillService,
        Self::HangStop,
        Self::ChangeHostKey,
        Self::CorruptArtefact,
        Self::CloneIdentity,
        Self::LoseNode,
    ];

    /// Its word in commands: `cut-link`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CutLink => "cut-link",
            Self::Stall => "stall",
            Self::FillDisk => "fill-disk",
            Self::KillService => "kill-service",
            Self::HangStop => "hang-stop",
            Self::ChangeHostKey => "change-host-key",
            Self::CorruptArtefact => "corrupt-artefact",
            Self::CloneIdentity => "clone-identity",
            Self::LoseNode => "lose-node",
        }
    }

    /// What it does, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::CutLink => "its network is gone",
            Self::Stall => "its network stands still",
            Self::FillDisk => "its disk is full",
            Self::KillService => "its service is killed",
            Self::HangStop => "its service does not end when told to",
            Self::ChangeHostKey => "it shows another host key",
            Self::CorruptArtefact => "a byte of its newest snapshot is changed",
            Self::CloneIdentity => "another node runs with its identity",
            Self::LoseNode => "the machine is lost with everything on it",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for Fault {
    type Err = Failure;
    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|fault| fault.word() == word).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|fault| fault.word()).collect();
            Failure::new(Exit::Usage, format!("There is no fault '{}'.", word.escape_debug()))
                .hint(format!("Faults: {}.", words.join(", ")))
        })
    }
}

/// A practice node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PracticeNode {
    /// Its name in the inventory.
    pub host: HostId,
    /// What there is to see on it, as one sentence.
    pub story: String,
    /// The faults that make sense on it.
    pub offers: Vec<Fault>,
    /// Those in force now.
    pub in_force: Vec<Fault>,
}

/// A fleet that is safe to break.
pub trait Practice: Send + Sync {
    /// Every node, in the order of the inventory.
    fn nodes(&self) -> Vec<PracticeNode>;

    /// Puts a fault in force; the sentence says what was done.
    ///
    /// # Errors
    /// When the node is not of this fleet, or the fault is in force already or makes no sense there.
    fn break_it(&self, host: &HostId, fault: Fault) -> Result<String>;

    /// Takes a fault back; the sentence says what was done.
    ///
    /// # Errors
    /// When the fault is not in force there.
    fn mend(&self, host: &HostId, fault: Fault) -> Result<String>;

    /// The guided exercise.
    fn exercise(&self) -> &Exercise;

    /// The newest run of the vault, if there is one.
    fn newest_run(&self) -> Result<Option<String>>;

    /// Whether a step of the exercise is done, measured now in the fleet and the vault.
    fn is_done(&self, check: &Check) -> Result<bool>;
}

/// A guided exercise, as data: a face plays it as text or shows it beside its own pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exercise {
    /// Its name: "val-1 is gone".
    pub title: String,
    /// What has happened, and what is asked.
    pub scene: String,
    /// What is done, in order.
    pub steps: Vec<ExerciseStep>,
    /// What was shown, at the end.
    pub moral: String,
}

/// One step of an exercise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExerciseStep {
    /// What to do, as an imperative: "Look at the fleet".
    pub title: String,
    /// Why, in one or two sentences.
    pub why: String,
    /// What is pressed in the console; an action is named in braces, for its key is the operator's: `{verify} on val-1`.
    pub key: String,
    /// What does it.
    pub deed: Deed,
    /// What of the command's output is worth showing again.
    pub shows: Shows,
    /// How it is seen to be done.
    pub check: Check,
    /// What the exit code of the command must be, and what it means here.
    pub ends: (Exit, String),
}

/// What a step consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A command line without the program's name; the word `{run}` stands for the newest run of the vault.
    Command(Vec<String>),
    /// Something that happens to the fleet.
    Break(HostId, Fault),
}

/// What of a command's output is shown: a plan that was read need not be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shows {
    /// All of it.
    All,
    /// From the first line on that begins so, blanks aside.
    From(String),
    /// Up to the first line that begins so, blanks aside, and nothing after.
    Until(String),
}

/// How a step of an exercise is seen to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Its command ended as it should; there is nothing else to see.
    Ended,
    /// A fault is in force.
    InForce(HostId, Fault),
    /// The newest snapshot of an item has reached a rung: `copied`, `verified`, `proven`.
    Reached(String, crate::model::manifest::Rung),
    /// A unit runs on a node.
    Runs(HostId, String),
    /// A run that restored to a host has ended well and has its receipt.
    Receipt(HostId),
}

/// A fleet that was started.
pub struct Running {
    /// Its inventory.
    pub inventory: PathBuf,
    /// The console's configuration there: `$LIFEBOAT_CONFIG_DIR`.
    pub config_dir: PathBuf,
    /// The console's data there, host keys included: `$LIFEBOAT_DATA_DIR`.
    pub data_dir: PathBuf,
    /// Its vault.
    pub vault: PathBuf,
    /// The fleet; it ends with the last of its holders.
    pub practice: Arc<dyn Practice>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("inventory", &self.inventory).finish_non_exhaustive()
    }
}

/// What can start a practice fleet. The program hands one to its faces.
pub trait Rehearsal: Sync {
    /// Starts the fleet; `told` hears how far it is.
    ///
    /// # Errors
    /// When this machine does not let an ordinary user, or root, make namespaces: the message says what to do.
    fn start(&self, cancel: &Cancel, told: &dyn Fn(&str)) -> Result<Running>;
}
