//! What reaches the console, and what it asks for. `update` takes a [`Msg`] and gives [`Effect`]s; it does no I/O.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use ratatui::layout::{Position, Rect};

use super::action::Action;
use super::deed::Deed;
use super::modal::Modal;
use super::model::{JobId, PracticeView, RunList};
use super::screen::Screen;
use super::shell::NodeShell;
use crate::engine::compare::Comparison;
use crate::engine::doctor::Health;
use crate::engine::fleet::Fleet;
use crate::engine::holdings::Holdings;
use crate::engine::inside::Page;
use crate::engine::node_run::Kept;
use crate::engine::planner::Planned;
use crate::engine::practice::Fault;
use crate::engine::runs::{Ahead, Report, Resume, Told};
use crate::engine::scan::{Found, Wanted};
use crate::engine::verify::Checked;
use crate::formats::Part;
use crate::model::event::Event;
use crate::model::exit::Failure;
use crate::model::ids::{ConsoleId, HostId, ItemRef, OwnerId, RunId, SnapshotId};
use crate::model::plan::Plan;
use crate::model::secret::SecretString;
use crate::transport::Cancel;
use crate::vault::Chain;
use crate::vault::Snapshot;

/// What reaches the console.
pub enum Msg {
    /// A key went down.
    Key(KeyEvent),
    /// Text was pasted: text, never keys.
    Paste(String),
    /// The terminal has another size.
    Resize(u16, u16),
    /// The wheel of the mouse was turned, up or down.
    Wheel(bool),
    /// The mouse was clicked, at a point of a page drawn in an area.
    Click(Position, Rect),
    /// The terminal's window was turned to, or away from.
    Focus(bool),
    /// Something other than a key asks for an action: a signal, a menu number.
    Asked(Action),
    /// Time passed while something moves.
    Tick(Timestamp),
    /// A worker has something.
    Notice(Notice),
}

/// What the console asks its surroundings for.
pub enum Effect {
    /// Show a page on top of this one.
    Open(Box<dyn Screen>),
    /// Show a page instead of this one.
    Replace(Box<dyn Screen>),
    /// Close this page.
    Back,
    /// Lay a modal over the page.
    Ask(Box<dyn Modal>),
    /// Do an action as if its key had been pressed.
    Act(Action),
    /// Have the workers do something.
    Order(Order),
    /// Say something in the footer until the next key.
    Say(Tone, String),
    /// Put text on the clipboard of the terminal.
    Copy(String),
    /// Get a shell on a node ready, to be lent the terminal.
    Shell(HostId),
    /// Lend the terminal to a shell on a node.
    Lend(HostId, Box<NodeShell>),
    /// Take a theme by name.
    Theme(String),
    /// A command was typed in the palette: for its history.
    Typed(String),
    /// Keep theme and history for the next sitting.
    Remember,
    /// Make what a first sitting needs.
    Begin(Beginning),
    /// Ring the bell: a long job ended while nobody looked.
    Bell(String),
    /// Stop like ctrl-z.
    Suspend,
    /// Turn the mouse on or off.
    Mouse(bool),
    /// Leave.
    Quit,
}

/// How a first sitting begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// With an inventory made from the hosts of `~/.ssh/config`.
    SshConfig,
    /// With a copy of the example, to be edited.
    Example,
    /// With the practice fleet.
    Practice,
}

/// Which reading of the inventory something rests on: the first of a sitting is 0. What the console orders while it still
/// shows an older one is not done by a newer one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edition(pub u64);

/// The inventory, read again.
#[derive(Debug, Clone)]
pub struct Reread {
    /// Which reading this is.
    pub edition: Edition,
    /// Its hosts and items, nothing looked at yet.
    pub fleet: Fleet,
    /// Its vault.
    pub vault: PathBuf,
    /// What reading it warned of.
    pub warnings: Vec<String>,
}

/// How something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As an answer.
    Plain,
    /// As a warning.
    Warn,
    /// As a failure.
    Bad,
}

/// Work for the crew; each ends in one or more [`Notice`]s.
#[derive(Debug, Clone)]
pub enum Order {
    /// Read the vault's catalogue.
    ReadVault,
    /// Look at hosts and clusters: health, then services.
    Look(Vec<OwnerId>),
    /// Read the vault's runs.
    ReadRuns,
    /// Read one run of the vault.
    ReadRun(RunId),
    /// Ask a node for the runs that lie on it.
    ReadRunsOn(HostId),
    /// Ask a node what restores kept aside on it.
    ReadKept(HostId),
    /// Make a plan for a job.
    Plan(JobId, Wish),
    /// Run a job's plan, its gates answered.
    Run(JobId, Wish, Box<Planned>, BTreeMap<String, String>),
    /// Look how things stand with a run before a job takes it up: what must be stated, what an undoing takes away.
    LookAhead(JobId, Wish, Arc<TakenUp>),
    /// Do a job that has no plan of its own: verify, resume, roll back; what was stated for it, by gate.
    Do(JobId, Wish, BTreeMap<String, String>),
    /// Stop a job.
    Cancel(JobId),
    /// Remember the fleet for the next sitting's first frame.
    Remember(Box<Fleet>),
    /// Look on a host for services its inventory entry does not name.
    Discover(HostId),
    /// Read a snapshot whole: its manifest and its ladder.
    ReadSnapshot(ItemRef, SnapshotId),
    /// Look inside a file of a snapshot.
    LookInside(Box<Peek>),
    /// Compare two snapshots.
    Diff(Named, Named),
    /// Read the inventory again.
    Reload,
    /// Put a fault of the practice fleet in force, or take it back.
    Practise(HostId, Fault, bool),
    /// Ask the practice fleet how it stands and which steps of the exercise are done.
    ReadPractice,
    /// Get a shell on a node ready.
    Shell(HostId),
}

/// A run that is undone or gone on with: what it was to do, and what has become of it so far.
#[derive(Debug, Clone)]
pub struct TakenUp {
    /// Its plan.
    pub plan: Plan,
    /// Its journal up to here.
    pub events: Vec<Event>,
}

/// What an operator wants done, before it is a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// Back an item up.
    BackUp {
        /// What.
        item: ItemRef,
        /// Why, for the manifest.
        reason: Option<String>,
        /// Choices that differ from their defaults.
        set: BTreeMap<String, String>,
    },
    /// Bring a snapshot back.
    Restore {
        /// Whose.
        item: ItemRef,
        /// Which.
        snapshot: SnapshotId,
        /// Where to.
        to: HostId,
        /// Choices that differ from their defaults.
        set: BTreeMap<String, String>,
    },
    /// Check stored copies.
    Verify(Vec<Named>),
    /// Check everything the vault holds by then; these are what it held when that was asked for.
    VerifyVault(Vec<Named>),
    /// Undo a run.
    RollBack(RunId),
    /// Take a run up; of one that lies on a node, the one that was shown.
    Resume(RunId, Resume, Option<Shown>),
    /// Anything else the engine can do.
    Deed(Arc<dyn Deed>),
}

/// A run of a node as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The node.
    pub host: HostId,
    /// The hash of the plan that was shown.
    pub plan: String,
}

impl Wish {
    /// The items it names.
    pub fn items(&self) -> Vec<&ItemRef> {
        match self {
            Self::BackUp { item, .. } | Self::Restore { item, .. } => vec![item],
            Self::Verify(copies) => copies.iter().map(|(item, _)| item).collect(),
            Self::VerifyVault(_) | Self::RollBack(_) | Self::Resume(..) | Self::Deed(_) => Vec::new(),
        }
    }

    /// The copies it checks; nothing when it does anything else.
    pub fn checks(&self) -> Option<&[Named]> {
        match self {
            Self::Verify(copies) | Self::VerifyVault(copies) => Some(copies),
            _ => None,
        }
    }

    /// As a title: "Back up val-1/avalanchego/staking-identity".
    pub fn title(&self) -> String {
        match self {
            Self::BackUp { item, .. } => format!("Back up {item}"),
            Self::Restore { item, to, .. } => format!("Restore {item} to {to}"),
            Self::Verify(copies) => match copies.as_slice() {
                [(item, id)] => format!("Verify {item}@{id}"),
                copies => format!("Verify {} copies", copies.len()),
            },
            Self::VerifyVault(_) => "Verify the whole vault".to_owned(),
            Self::RollBack(run) => format!("Undo run {run}"),
            Self::Resume(run, Resume::Leave, _) => format!("Leave run {run}"),
            Self::Resume(run, ..) => format!("Take up run {run}"),
            Self::Deed(deed) => deed.title(),
        }
    }
}

/// Services of a host that no entry names, by kind, each as it was found or why its driver could not look.
pub type Discoveries = Vec<(String, Result<Found, Failure>)>;

/// Which rows of a file of a snapshot are looked at.
#[derive(Debug, Clone)]
pub struct Peek {
    /// Whose.
    pub item: ItemRef,
    /// Which snapshot.
    pub snapshot: SnapshotId,
    /// Which file.
    pub file: String,
    /// Which page.
    pub part: Part,
    /// The filter as it was typed; empty for all rows.
    pub pattern: String,
    /// Nobody waits for them any more.
    pub cancel: Cancel,
}

impl Peek {
    /// Whether the same rows are asked for.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.item, &self.snapshot, &self.file, self.part, &self.pattern)
            == (&other.item, &other.snapshot, &other.file, other.part, &other.pattern)
    }
}

/// A snapshot by its item and id.
pub type Named = (ItemRef, SnapshotId);

/// Two snapshots, compared.
pub struct Compared {
    /// The older one.
    pub old: Named,
    /// The newer one.
    pub new: Named,
    /// How they differ, or why nobody can say.
    pub found: Result<Comparison, Failure>,
}

/// What the crew reports.
pub enum Notice {
    /// The vault was read.
    Vault(Result<Arc<Holdings>, Failure>),
    /// A host or cluster is being looked at.
    Looking(OwnerId),
    /// A node's health.
    Health(Health, Timestamp),
    /// A service was looked at.
    Found(Box<Wanted>, Box<Result<Found, Failure>>),
    /// A look ended.
    Looked(OwnerId, Timestamp),
    /// The vault's runs.
    Runs(Result<Arc<RunList>, Failure>),
    /// One run of the vault.
    Run(RunId, Box<Result<Told, Failure>>),
    /// The runs on a node.
    RunsOn(HostId, Result<Vec<Told>, Failure>),
    /// What restores kept aside on a node.
    Kept(HostId, Result<Vec<Kept>, Failure>),
    /// Which console this is; told before the runs, for whose a run is decides what may be done with it.
    Console(ConsoleId),
    /// The vault's receipts, checked.
    Receipts(Result<Arc<Chain>, Failure>),
    /// A job's plan.
    Planned(JobId, Box<Result<Planned, Failure>>),
    /// How things stand with the run a job takes up.
    Ahead(JobId, Box<Result<Ahead, Failure>>),
    /// A job waits for a free hand no longer.
    Started(JobId),
    /// One snapshot of a verification was checked.
    Checked(JobId, ItemRef, SnapshotId, Result<Checked, Failure>),
    /// A job ended.
    Ended(JobId, Result<Option<Report>, Failure>),
    /// Services of a host that no entry names, by kind, or why nobody could look.
    Discovered(HostId, Result<Discoveries, Failure>),
    /// A snapshot, read whole.
    Snapshot(ItemRef, SnapshotId, Result<Box<Snapshot>, Failure>),
    /// Rows of a file of a snapshot.
    Inside(Box<Peek>, Result<Page, Failure>),
    /// How two snapshots differ.
    Compared(Box<Compared>),
    /// A secret is needed: a worker waits for the answer.
    Secret(String, SyncSender<Option<SecretString>>),
    /// The inventory was read again, or its mistakes.
    Reloaded(Result<Box<Reread>, Failure>),
    /// The inventory's file changed on disk.
    InventoryChanged,
    /// A shell on a node is ready, or why there is none.
    Shell(HostId, Box<Result<NodeShell, Failure>>),
    /// What was done to the practice fleet.
    Practised(Tone, String),
    /// How the practice fleet stands.
    Practice(Box<PracticeView>),
    /// Something for the log.
    Noted(Tone, String),
}
