//! What every page draws from: one owner, changed only by `update`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::action::Action;
use super::keymap::Keymap;
use super::message::{Edition, TakenUp, Tone, Wish};
use crate::engine::board::{Board, Progress};
use crate::engine::fleet::Fleet;
use crate::engine::holdings::Holdings;
use crate::engine::planner::Planned;
use crate::engine::practice::{Exercise, PracticeNode};
use crate::engine::progress::{Meter, Pace};
use crate::engine::runs::{Ahead, Brief, Report, Resume};
use crate::engine::verify::Checked;
use crate::model::event::{Event, EventKind};
use crate::model::exit::Failure;
use crate::model::ids::{ConsoleId, ItemRef, OwnerId, SnapshotId};
use crate::model::plan::Plan;
use crate::vault::Chain;

/// Lines of the log that are kept on screen.
const LOG_LINES: usize = 10_000;

/// A job of this sitting, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

/// The runs of a vault, oldest first, each by its name; what cannot be read says why.
pub type RunList = Vec<(String, Result<Brief, Failure>)>;

/// Everything known.
pub struct Model {
    /// Where things come from.
    pub place: Place,
    /// The operator's keys.
    pub keymap: Keymap,
    /// The reading of the inventory that is shown.
    pub edition: Edition,
    /// The time as of the last message.
    pub now: Timestamp,
    /// When every item was last judged by the clock.
    pub judged: Timestamp,
    /// When the clock alone changes what is shown next: how an item stands, or how old something is said to be.
    pub turns: Option<Timestamp>,
    /// Hosts and items.
    pub fleet: Fleet,
    /// The practice fleet, once asked; `None` over a real one.
    pub practice: Option<PracticeView>,
    /// What the vault holds, also of hosts in no inventory.
    pub holdings: Option<Arc<Holdings>>,
    /// Why the vault could not be read.
    pub vault_failure: Option<Failure>,
    /// The vault's runs, oldest first, once read.
    pub runs: Option<Result<Arc<RunList>, Failure>>,
    /// The vault's receipts as they were checked last.
    pub receipts: Option<Result<Arc<Chain>, Failure>>,
    /// Whether runs were read since, whose receipts are still being checked.
    pub are_receipts_older: bool,
    /// This console, once known.
    pub console: Option<ConsoleId>,
    /// The jobs of this sitting, oldest first, so in the order of their numbers.
    pub jobs: Vec<Job>,
    /// What was noted, oldest first.
    pub log: VecDeque<LogLine>,
    /// How many lines were ever noted.
    pub noted: u64,
    /// Hosts and clusters being looked at.
    pub looking: Vec<OwnerId>,
    /// Whether the inventory's file is newer than what is shown.
    pub inventory_changed: bool,
}

/// Where things come from, for the header and the equal command lines.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The inventory's file.
    pub inventory: PathBuf,
    /// The vault.
    pub vault: PathBuf,
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// Whether this is the practice fleet.
    pub is_practice: bool,
    /// Flags an equal command line needs: `--inventory …`, `--vault …`.
    pub flags: Vec<String>,
    /// What stands before an equal command line so that a shell of its own finds the same console: names of variables
    /// with their values. Empty where the shell's own environment says it.
    pub environment: Vec<(&'static str, String)>,
    /// The operator's home directory, which paths are told from; empty when there is none.
    pub home: PathBuf,
}

impl Place {
    /// A path as it is told: `~/lifeboat`.
    pub fn told(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) if self.home.parent().is_some() && !rest.as_os_str().is_empty() => format!("~/{}", rest.display()),
            _ => path.display().to_string(),
        }
    }
}

/// The practice fleet as it was asked last.
#[derive(Debug, Clone)]
pub struct PracticeView {
    /// Its nodes with the faults in force.
    pub nodes: Vec<PracticeNode>,
    /// The guided exercise.
    pub exercise: Exercise,
    /// Of each step, whether it was measured to be done.
    pub done: Vec<bool>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// How it is meant.
    pub tone: Tone,
    /// What.
    pub text: String,
}

/// One job.
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What was wished for.
    pub wish: Wish,
    /// How far it is.
    pub stage: Stage,
    /// Its plan, once made.
    pub planned: Option<Arc<Planned>>,
    /// The run it takes up, when it is one that was there before.
    pub taken_up: Option<Arc<TakenUp>>,
    /// How things stood with that run when the nodes were looked at.
    pub ahead: Option<Arc<Ahead>>,
    /// What the executor shows.
    pub board: Arc<Board>,
    /// The events pulled so far.
    pub events: Vec<Event>,
    /// The progress as of the last look.
    pub progress: Progress,
    /// Bytes over time, for pace and chart.
    pub meter: Meter,
    /// What a verification found, snapshot by snapshot.
    pub checked: Vec<(ItemRef, SnapshotId, Result<Checked, Failure>)>,
    /// When it began to run.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub enum Stage {
    /// Its plan is being made.
    Planning,
    /// Its plan waits for the operator.
    Ready,
    /// It waits for a free hand.
    Waiting,
    /// It runs.
    Running,
    /// It was asked to stop, and undoes what it did.
    Stopping,
    /// It ended well.
    Done(Option<Report>),
    /// It ended badly.
    Failed(Failure),
}

impl Job {
    /// A new job.
    pub fn new(id: JobId, wish: Wish) -> Self {
        Self {
            id,
            wish,
            stage: Stage::Planning,
            planned: None,
            taken_up: None,
            ahead: None,
            board: Arc::new(Board::default()),
            events: Vec::new(),
            progress: Progress::default(),
            meter: Meter::default(),
            checked: Vec::new(),
            started: None,
            ended: None,
        }
    }

    /// Whether it still works or waits to.
    pub fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Running | Stage::Stopping)
    }

    /// How fast what is under way goes. Nothing while it stops: what was given up tells nothing of the way back.
    pub fn pace(&self, now: Timestamp) -> Option<Pace> {
        let is_moving = matches!(self.stage, Stage::Running) && self.progress.bytes > 0;
        self.meter.pace(now).filter(|_| is_moving)
    }

    /// What it does step by step, when that is known.
    pub fn plan(&self) -> Option<&Plan> {
        let own = self.planned.as_ref().map(|planned| &planned.plan);
        own.or_else(|| self.taken_up.as_ref().map(|taken_up| &taken_up.plan))
    }

    /// Whether it undoes a run.
    pub fn undoes(&self) -> bool {
        matches!(self.wish, Wish::RollBack(_) | Wish::Resume(_, Resume::RollBack, _))
    }

    /// Whether a guard of its run is armed at this moment: the node acts by itself when this console is not heard.
    pub fn is_guarded(&self) -> bool {
        let mut armed = std::collections::BTreeSet::new();
        for event in &self.events {
            match &event.kind {
                EventKind::GuardArmed { guard } => _ = armed.insert(guard),
                EventKind::GuardFired { guard } | EventKind::GuardDisarmed { guard } => _ = armed.remove(guard),
                _ => {}
            }
        }
        !armed.is_empty()
    }

    /// Pulls what is new from the board.
    pub fn pull(&mut self, now: Timestamp) {
        let next = self.events.last().map_or(0, |event| event.seq + 1);
        self.events.extend(self.board.since(next));
        self.progress = self.board.progress();
        self.meter.take(now, &self.progress);
    }
}

impl Model {
    /// Nothing known but where things come from.
    pub fn new(place: Place, fleet: Fleet, now: Timestamp) -> Self {
        Self {
            place,
            keymap: Keymap::default(),
            edition: Edition::default(),
            now,
            judged: now,
            turns: None,
            fleet,
            practice: None,
            holdings: None,
            vault_failure: None,
            runs: None,
            receipts: None,
            are_receipts_older: false,
            console: None,
            jobs: Vec::new(),
            log: VecDeque::new(),
            noted: 0,
            looking: Vec::new(),
            inventory_changed: false,
        }
    }

    /// What an operator presses for an action, as sentences name it; one without a key is typed in the palette.
    pub fn key(&self, action: Action) -> String {
        self.keymap.label(action).unwrap_or_else(|| format!(":{}", action.info().name))
    }

    /// What undoes a filter that lets nothing through.
    pub fn shows_all_again(&self) -> String {
        format!("{} shows all again.", self.key(Action::Back))
    }

    /// A job by its number.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        let at = self.jobs.binary_search_by_key(&id, |job| job.id).ok()?;
        self.jobs.get(at)
    }

    /// A job by its number, to change.
    pub fn job_mut(&mut self, id: JobId) -> Option<&mut Job> {
        let at = self.jobs.binary_search_by_key(&id, |job| job.id).ok()?;
        self.jobs.get_mut(at)
    }

    /// The number of the next job.
    pub fn next_job(&self) -> JobId {
        JobId(self.jobs.last().map_or(1, |job| job.id.0 + 1))
    }

    /// Jobs that still work.
    pub fn live_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| job.is_live())
    }

    /// Notes a line.
    pub fn note(&mut self, tone: Tone, text: impl Into<String>) {
        self.log.push_back(LogLine { at: self.now, tone, text: text.into() });
        self.noted += 1;
        while self.log.len() > LOG_LINES {
            self.log.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_home_is_told_from_there() {
        let told = |home: &str, path: &str| Place { home: home.into(), ..Place::default() }.told(Path::new(path));
        assert_eq!(told("/home/ops", "/home/ops/lifeboat"), "~/lifeboat");
        assert_eq!(told("/home/ops", "/home/opsy/lifeboat"), "/home/opsy/lifeboat");
        assert_eq!(told("/home/ops", "/home/ops"), "/home/ops");
        // Without a home of one's own nothing is below it.
        assert_eq!(told("/", "/srv/lifeboat"), "/srv/lifeboat");
        assert_eq!(told("", "/srv/lifeboat"), "/srv/lifeboat");
    }
}
