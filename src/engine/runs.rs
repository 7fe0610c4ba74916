//! Runs as the vault keeps them: begun, followed, ended with a receipt, and read back.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::board::Board;
use super::capture::{Capture, captured, vault_failure};
use super::deliver::Delivery;
use super::executor::{Carrier, Executor, Means, Record, StepState, states_of};
use super::links::Links;
use super::node_run;
use super::planner::Planned;
use crate::model::clock::{Clock, Entropy};
use crate::model::event::{Event, EventKind};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemRef, RunId, StepId};
use crate::model::manifest::{Proof, Rung};
use crate::model::plan::{Command, Effect, Plan, Step};
use crate::model::secret::Secrets;
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::transport::Cancel;
use crate::vault::{ConsoleKey, Journal, Keys, RunDir, Sealing, Snapshot, Vault};
use std::sync::Arc;

/// Room held back in the vault for a run's journal and receipt.
const JOURNAL_ROOM: u64 = 1 << 20;

/// What runs are made with.
pub struct Runs<'e> {
    /// The vault.
    pub vault: &'e Vault,
    /// To whom new snapshots are sealed.
    pub sealing: &'e Sealing,
    /// The private keys at hand.
    pub keys: &'e Keys,
    /// This console's key.
    pub console: &'e ConsoleKey,
    /// Logins.
    pub links: &'e Links<'e>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Tokens and passwords.
    pub secrets: Arc<dyn Secrets>,
    /// The watchers' board.
    pub board: Arc<Board>,
    /// The operator's wish to stop.
    pub cancel: Cancel,
}

/// How a run ended well.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// What each step learned.
    pub outs: BTreeMap<StepId, Value>,
    /// The number of the receipt.
    pub receipt: u64,
}

/// A run as its files tell it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: Plan,
    /// Its events.
    pub events: Vec<Event>,
    /// How it ended, if it did.
    pub ended: Option<(Exit, Option<Failure>)>,
    /// Whether its receipt is there and holds.
    pub receipt: Option<u64>,
}

/// What an operator does with an interrupted run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Go on with what is left.
    GoOn,
    /// Undo what was done.
    RollBack,
    /// Leave everything as it is and give the locks back.
    Leave,
}

/// The vault's journal as the executor writes it.
struct Journaled {
    journal: Journal,
    clock: Arc<dyn Clock>,
}

impl Record for Journaled {
    fn append(&mut self, event: &Event) -> Result<()> {
        let entry = serde_json::to_value(event).map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        self.journal.append(&*self.clock, &entry).map(|_| ()).map_err(|e| vault_failure(&e))
    }
}

/// Moves the bytes of one plan.
struct PlanCarrier<'e> {
    runs: &'e Runs<'e>,
    run: RunId,
    command: Command,
    version: Option<CleanText>,
    snapshot: Option<Snapshot>,
}

impl Carrier for PlanCarrier<'_> {
    fn capture(&self, cx: &Cx, step: &Step, board: &Board, counts: &dyn Fn() -> Result<()>) -> Result<Value> {
        let (place, reason) = match &self.command {
            Command::Backup { item, reason } => (item.clone(), reason.clone()),
            // What a restore copies first belongs to the target.
            Command::Restore { item, to, .. } => (ItemRef { owner: to.into(), ..item.clone() }, None),
        };
        let runs = self.runs;
        let capture = Capture {
            vault: runs.vault,
            sealing: runs.sealing,
            run: &self.run,
            console: runs.console.id(),
            clock: &*runs.clock,
            entropy: &*runs.entropy,
            place,
            reason,
            version: self.version.clone(),
        };
        capture.run(cx, step, board, counts)
    }

    fn deliver(&self, cx: &Cx, step: &Step, board: &Board) -> Result<Value> {
        let snapshot =
            self.snapshot.as_ref().ok_or_else(|| Failure::new(Exit::Failed, "There is no snapshot to deliver."))?;
        Delivery { vault: self.runs.vault, snapshot, keys: self.runs.keys }.run(cx, step, board)
    }
}

impl Runs<'_> {
    /// A new run's id: the time and some random digits.
    pub fn new_id(&self) -> Result<RunId> {
        let text = format!("{}-{}", self.clock.now().strftime("%Y%m%dT%H%M%SZ"), self.entropy.hex(3));
        RunId::new(text).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
    }

    /// Runs a plan whose gates are answered: exactly that plan, step by step, with a receipt at the end.
    pub fn run(
        &self,
        planned: &Planned,
        snapshot: Option<Snapshot>,
        answered: &BTreeMap<String, String>,
    ) -> Result<Report> {
        let run = self.new_id()?;
        let dir = self.vault.run_dir(&run).map_err(|e| vault_failure(&e))?;
        let reserve = self.vault.reserve(&run, JOURNAL_ROOM).map_err(|e| vault_failure(&e))?;
        let plan = serde_json::to_vec_pretty(&planned.plan).map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        dir.write_plan(&plan).map_err(|e| vault_failure(&e))?;
        let (journal, _) = dir.journal().map_err(|e| vault_failure(&e))?;
        let version = planned.found.facts.version.clone();
        let carrier =
            PlanCarrier { runs: self, run: run.clone(), command: planned.plan.command.clone(), version, snapshot };
        let mut executor =
            Executor::new(self.means(&carrier), run.clone(), planned.plan.clone(), self.record(journal), 1);
        executor.note(EventKind::RunStarted {
            plan_hash: planned.hash.clone(),
            console: self.console.id().clone(),
            epoch: 1,
        })?;
        let outcome = executor.execute();
        let report = self.end(
            &dir,
            &mut executor,
            outcome,
            &planned.plan,
            &json!({"confirmed": answered}),
            carrier.snapshot.clone(),
        );
        drop(reserve);
        report
    }

    fn means<'c>(&'c self, carrier: &'c dyn Carrier) -> Means<'c> {
        Means {
            links: self.links,
            clock: self.clock.clone(),
            secrets: self.secrets.clone(),
            console: self.console.id().clone(),
            board: self.board.clone(),
            cancel: self.cancel.clone(),
            carrier,
        }
    }

    fn record(&self, journal: Journal) -> Box<dyn Record> {
        Box::new(Journaled { journal, clock: self.clock.clone() })
    }

    /// Journals the end, dates the proof a finished restore is, and signs the receipt.
    fn end(
        &self,
        dir: &RunDir,
        executor: &mut Executor,
        outcome: Result<BTreeMap<StepId, Value>>,
        plan: &Plan,
        said: &Value,
        snapshot: Option<Snapshot>,
    ) -> Result<Report> {
        let (exit, failure) = match &outcome {
            Ok(_) => (Exit::Done, None),
            Err(failure) => (failure.exit, Some(failure.clone())),
        };
        executor.note(EventKind::RunFinished { exit, failure: failure.clone() })?;
        let outs = outcome.as_ref().ok();
        let body = json!({
            "command": plan.command, "exit": exit, "failure": failure, "said": said,
            "snapshots": outs.map(captured), "outs": outs,
        });
        let receipt =
            dir.write_receipt(&body, self.console, &*self.clock, &*self.entropy).map_err(|e| vault_failure(&e));
        let outs = outcome?;
        let receipt = receipt?;
        if let (Command::Restore { to, .. }, Some(mut snapshot), true) = (&plan.command, snapshot, plan.proves) {
            let proof = Proof {
                version: 1,
                rung: Rung::Proven,
                at: self.clock.now(),
                console: self.console.id().clone(),
                run: Some(dir.run().clone()),
                passed: true,
                detail: json!({"restored_to": to, "receipt": receipt.number}),
            };
            snapshot.add_proof(proof).map_err(|e| vault_failure(&e))?;
        }
        Ok(Report { run: dir.run().clone(), outs, receipt: receipt.number })
    }

    /// Every run of the vault, oldest first; what cannot be read is said.
    pub fn list(&self) -> Result<Vec<(String, Result<Told>)>> {
        let dirs = self.vault.runs().map_err(|e| vault_failure(&e))?;
        let told = dirs.iter().map(|dir| {
            let name = dir.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
            let told = RunId::new(name.clone())
                .map_err(|e| Failure::new(Exit::Vault, e.to_string()))
                .and_then(|run| self.read(&run));
            (name, told)
        });
        Ok(told.collect())
    }

    /// The one run a prefix means.
    pub fn find(&self, prefix: &str) -> Result<Told> {
        let dirs = self.vault.runs().map_err(|e| vault_failure(&e))?;
        let names = dirs.iter().filter_map(|dir| dir.file_name().map(|name| name.to_string_lossy().into_owned()));
        let found: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        match found.as_slice() {
            [one] => self.read(&RunId::new(one.clone()).map_err(|e| Failure::new(Exit::Vault, e.to_string()))?),
            [] => Err(Failure::new(Exit::Nothing, format!("There is no run '{prefix}' in this vault."))
                .hint("Ask a node for it: lifeboat runs --on HOST")),
            several => Err(Failure::new(Exit::Nothing, format!("'{prefix}' means {} runs.", several.len()))
                .hint(format!("They are {}.", several.join(", ")))),
        }
    }

    /// Reads a run's files.
    pub fn read(&self, run: &RunId) -> Result<Told> {
        let dir = self.vault.run_dir(run).map_err(|e| vault_failure(&e))?;
        let plan = dir.read_plan().map_err(|e| vault_failure(&e))?;
        let replay = dir.read_journal().map_err(|e| vault_failure(&e))?;
        let events = replay.entries.into_iter().map(|entry| parse(entry.entry)).collect::<Result<Vec<Event>>>()?;
        let receipt = dir.read_receipt().map_err(|e| vault_failure(&e))?.map(|receipt| receipt.number);
        Ok(told(run.clone(), parse(serde_json::from_slice(&plan).map_err(|e| unreadable(&e))?)?, events, receipt))
    }

    /// Reads a run from a node it lies on, for a console whose vault does not know it.
    pub fn read_from(&self, host: &HostId, run: &RunId) -> Result<Told> {
        let node = self.links.get(host, &self.cancel)?;
        let cx =
            Cx { host, node: &*node, cancel: &self.cancel, clock: &*self.clock, secrets: &*self.secrets, run: None };
        let plan = node_run::read_run_file(&cx, run, "plan.json")?;
        if plan.is_empty() {
            return Err(Failure::new(Exit::Nothing, format!("Run {run} does not lie on {host}.")));
        }
        let journal = node_run::read_run_file(&cx, run, "journal.jsonl")?;
        // A torn last line did not happen.
        let whole = journal.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let lines =
            journal.get(..whole).unwrap_or_default().split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let events = lines
            .map(|line| serde_json::from_slice(line).map_err(|e| unreadable(&e)))
            .collect::<Result<Vec<Event>>>()?;
        Ok(told(run.clone(), serde_json::from_slice(&plan).map_err(|e| unreadable(&e))?, events, None))
    }

    /// Takes an interrupted run up, or another console's over: goes on, rolls back or leaves it.
    pub fn resume(&self, told: &Told, how: Resume, snapshot: Option<Snapshot>) -> Result<Report> {
        if let Some((exit, _)) = &told.ended
            && !matches!(exit, Exit::Changed)
        {
            return Err(Failure::new(
                Exit::Usage,
                format!("Run {} has ended ({exit:?}); there is nothing to take up.", told.run),
            ));
        }
        let dir = self.vault.run_dir(&told.run).map_err(|e| vault_failure(&e))?;
        let (journal, replay) = dir.journal().map_err(|e| vault_failure(&e))?;
        let mut record = Journaled { journal, clock: self.clock.clone() };
        if replay.entries.is_empty() {
            let plan = serde_json::to_vec_pretty(&told.plan).map_err(|e| unreadable(&e))?;
            let _ = dir.write_plan(&plan);
            told.events.iter().try_for_each(|event| record.append(event))?;
        }
        let epoch = 1 + told
            .events
            .iter()
            .filter(|e| matches!(e.kind, EventKind::RunStarted { .. } | EventKind::RunAdopted { .. }))
            .count() as u64;
        let carrier = PlanCarrier {
            runs: self,
            run: told.run.clone(),
            command: told.plan.command.clone(),
            version: None,
            snapshot,
        };
        let mut executor =
            Executor::new(self.means(&carrier), told.run.clone(), told.plan.clone(), Box::new(record), epoch)
                .resuming(&told.events);
        if how != Resume::Leave {
            executor.take_over()?;
        }
        executor.note(EventKind::RunAdopted { console: self.console.id().clone(), epoch })?;
        let outcome = match how {
            Resume::GoOn if !executor.is_undoing() => executor.execute(),
            Resume::Leave => executor.leave().map(|()| BTreeMap::new()),
            // Going on with the undoing of an earlier run is to undo the rest of it.
            Resume::GoOn | Resume::RollBack => executor
                .guard_undoing()
                .and_then(|()| rolled_back(executor.undo(Failure::new(Exit::Done, "Rolled back.")))),
        };
        let proven = carrier.snapshot.clone().filter(|_| how == Resume::GoOn && !executor.is_undoing());
        self.end(
            &dir,
            &mut executor,
            outcome,
            &told.plan,
            &json!({"resumed": format!("{how:?}"), "epoch": epoch}),
            proven,
        )
    }

    /// Undoes a finished run from what it kept aside, as a run of its own kind: journalled, guarded, with a receipt.
    pub fn rollback(&self, told: &Told) -> Result<Report> {
        if !matches!(told.ended, Some((Exit::Done, _))) {
            return Err(Failure::new(
                Exit::Usage,
                format!("Run {} did not finish, so it is not rolled back.", told.run),
            )
            .hint(format!("Undo what it did: lifeboat resume {} --roll-back", told.run)));
        }
        let states = states_of(&told.events);
        self.check_undoable(told, &states)?;
        let run = self.new_id()?;
        let dir = self.vault.run_dir(&run).map_err(|e| vault_failure(&e))?;
        let plan = super::executor::fill_in_run(told.plan.clone(), &told.run);
        dir.write_plan(&serde_json::to_vec_pretty(&plan).map_err(|e| unreadable(&e))?)
            .map_err(|e| vault_failure(&e))?;
        let (journal, _) = dir.journal().map_err(|e| vault_failure(&e))?;
        let carrier =
            PlanCarrier { runs: self, run: run.clone(), command: plan.command.clone(), version: None, snapshot: None };
        let mut executor = Executor::new(self.means(&carrier), run.clone(), plan.clone(), self.record(journal), 1)
            .undoing(&told.run, states);
        executor.note(EventKind::RunStarted {
            plan_hash: super::canonical::plan_hash(&plan)?,
            console: self.console.id().clone(),
            epoch: 1,
        })?;
        executor.begin_undoing()?;
        let outcome = rolled_back(executor.undo(Failure::new(Exit::Done, "Rolled back.")));
        self.end(&dir, &mut executor, outcome, &plan, &json!({"undoes": told.run}), None)
    }

    /// Looks, before anything is touched, that what the run put in place and kept is still where it left it.
    fn check_undoable(&self, told: &Told, states: &BTreeMap<StepId, StepState>) -> Result<()> {
        let plan = super::executor::fill_in_run(told.plan.clone(), &told.run);
        for step in plan.steps.iter().filter(|step| step.effect == Effect::Destroy) {
            let Some(StepState::Finished(before, _)) = states.get(&step.id) else { continue };
            let Ok(op) = crate::services::op(&step.op) else {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("'{}' cannot be undone from what was kept.", step.title),
                ));
            };
            let node = self.links.get(&step.host, &self.cancel)?;
            let cx = Cx {
                host: &step.host,
                node: &*node,
                cancel: &self.cancel,
                clock: &*self.clock,
                secrets: &*self.secrets,
                run: None,
            };
            match op.observe(&cx, &step.args, Some(before))? {
                crate::services::Now::Done(_) => {}
                _ => {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!(
                            "'{}' cannot be undone: what it kept on {} is not where it left it.",
                            step.title, step.host
                        ),
                    )
                    .hint("See what is kept: lifeboat kept"));
                }
            }
        }
        Ok(())
    }
}

fn rolled_back(failure: Failure) -> Result<BTreeMap<StepId, Value>> {
    if failure.exit == Exit::Done { Ok(BTreeMap::new()) } else { Err(failure) }
}

fn told(run: RunId, plan: Plan, events: Vec<Event>, receipt: Option<u64>) -> Told {
    let ended = events.iter().rev().find_map(|event| match &event.kind {
        EventKind::RunFinished { exit, failure } => Some(Some((*exit, failure.clone()))),
        EventKind::RunAdopted { .. } => Some(None),
        _ => None,
    });
    Told { run, plan, events, ended: ended.flatten(), receipt }
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new(Exit::Vault, format!("A run's files cannot be read: {error}."))
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|e| unreadable(&e))
}
