//! Runs as the vault keeps them: begun, followed, ended with a receipt, and read back.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::board::Board;
use super::capture::{Capture, captured, vault_failure};
use super::deliver::Delivery;
use super::executor::{Carrier, Executor, Means, Record, StepState, fill_in_run, states_of};
use super::links::Links;
use super::node_run;
use super::phrases::exit_phrase;
use super::planner::{Planned, check_fresh, open_gates};
use super::rollback;
use super::scan::Prober;
use crate::model::clock::{Clock, Entropy};
use crate::model::event::{Event, EventKind};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemRef, RunId, StepId};
use crate::model::inventory::Inventory;
use crate::model::manifest::{Proof, Rung};
use crate::model::plan::{Command, Effect, Gate, Plan, Step};
use crate::model::secret::Secrets;
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::transport::Cancel;
use crate::vault::{ConsoleKey, Journal, Keys, Reserve, RunDir, Sealing, Snapshot, Vault, VaultError};
use std::sync::Arc;

mod ahead;
mod consent;
mod looks;
mod sheet;
mod taken;
mod told;

pub use crate::model::event::Resume;
pub use ahead::{Ahead, Place, StepBack, Written, plan_back, steps_back};
pub use looks::{StepLook, StepStage, steps_of};
pub use sheet::{Line, Sheet, StepLine, written_phrase};
pub use taken::{PLAN_GATE, plan_answer};
pub use told::{Account, Brief, Confirmed, Copied, OnNode, Told};

/// Room held back in the vault for a run's journal and receipt.
const JOURNAL_ROOM: u64 = 1 << 20;

/// What runs are made with.
pub struct Runs<'e> {
    /// The hosts and services.
    pub inventory: &'e Inventory,
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
    /// What it left aside, as it is listed on each node.
    pub kept: BTreeMap<HostId, Vec<String>>,
}

impl Report {
    /// Whether the run showed that what it restored is what was saved.
    pub fn is_proven(&self, plan: &Plan) -> bool {
        plan.proves && why_unproved(&self.outs).is_none()
    }
    /// Why a step found nothing to prove it by, where it meant to.
    pub fn why_unproved(&self) -> Option<&str> {
        why_unproved(&self.outs)
    }
}

/// A step that was to prove a restore and could not says so in what it learned, under `unproved`.
fn why_unproved(outs: &BTreeMap<StepId, Value>) -> Option<&str> {
    outs.values().find_map(|out| out.get("unproved")?.as_str())
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

/// A run that stands in the vault, and of which no node has heard.
struct Begun {
    run: RunId,
    dir: RunDir,
    journal: Journal,
    /// Held until the run has ended.
    reserve: Reserve,
}

/// Moves the bytes of one plan.
struct PlanCarrier<'e> {
    runs: &'e Runs<'e>,
    run: RunId,
    command: Command,
    version: Option<CleanText>,
    /// What the preview told that is told again; a run that is taken up knows nothing of it.
    foretold: Value,
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
            foretold: self.foretold.clone(),
        };
        capture.run(cx, step, board, counts)
    }

    fn deliver(&self, cx: &Cx, step: &Step, board: &Board) -> Result<Value> {
        let snapshot =
            self.snapshot.as_ref().ok_or_else(|| Failure::new(Exit::Failed, "There is no snapshot to deliver."))?;
        Delivery { vault: self.runs.vault, snapshot, keys: self.runs.keys }.run(cx, step, board)
    }
}

/// The one run a prefix means; `none` says that there is no such run.
pub(super) fn only(prefix: &str, names: impl Iterator<Item = String>, none: impl FnOnce() -> Failure) -> Result<RunId> {
    let found: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    match found.as_slice() {
        [one] => RunId::new(one.clone()).map_err(|e| Failure::new(Exit::Vault, e.to_string())),
        [] => Err(none()),
        several => Err(Failure::new(Exit::Nothing, format!("'{prefix}' means {} runs.", several.len()))
            .hint(format!("They are {}.", several.join(", ")))),
    }
}

impl Runs<'_> {
    /// A new run's id: the time and some random digits.
    pub fn new_id(&self) -> Result<RunId> {
        let text = format!("{}-{}", self.clock.now().strftime("%Y%m%dT%H%M%SZ"), self.entropy.hex(3));
        RunId::new(text).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
    }

    /// Removes what killed backups left half in the staging area, before one is begun or taken up.
    fn clear_leftovers(&self, command: &Command) {
        if matches!(command, Command::Backup { .. }) {
            // No reason not to go on: what stays is told by `list`, `verify` and `doctor`.
            let _ = self.vault.clear_leftovers(&*self.clock);
        }
    }

    /// Runs a plan whose gates are answered: exactly that plan, step by step, with a receipt at the end.
    ///
    /// # Errors
    /// [`Exit::Confirmation`] when a gate is open, and [`Exit::Stale`] when what the plan rests on is no longer so: both
    /// are looked at right before, however long ago the plan was made.
    pub fn run(
        &self,
        planned: &Planned,
        snapshot: Option<Snapshot>,
        answered: &BTreeMap<String, String>,
    ) -> Result<Report> {
        let confirmed = stated(&planned.plan.gates, answered)?;
        self.look_again(planned, snapshot.as_ref()).map_err(Failure::unchanged)?;
        self.clear_leftovers(&planned.plan.command);
        let Begun { run, dir, journal, reserve } = self.begin(&planned.plan).map_err(Failure::unchanged)?;
        let version = planned.found.facts.version.clone();
        let (command, foretold) = (planned.plan.command.clone(), planned.foretold.clone());
        let carrier = PlanCarrier { runs: self, run: run.clone(), command, version, foretold, snapshot };
        let mut executor =
            Executor::new(self.means(&carrier), run.clone(), planned.plan.clone(), self.record(journal), 1);
        let begins = EventKind::RunStarted {
            plan_hash: planned.hash.clone(),
            console: self.console.id().clone(),
            epoch: 1,
            confirmed: confirmed.clone(),
        };
        executor.note(begins).map_err(Failure::unchanged)?;
        let outcome = executor.execute();
        let report = self.end(
            &dir,
            &mut executor,
            outcome,
            &planned.plan,
            &json!({"confirmed": confirmed}),
            carrier.snapshot.clone(),
        );
        drop(reserve);
        report
    }

    /// Makes a run's directory with its plan, and holds room back for its journal: a disk that is too full ends it here.
    /// Then nothing of it is left, for it never began.
    fn begin(&self, plan: &Plan) -> Result<Begun> {
        let run = self.new_id()?;
        let plan = serde_json::to_vec_pretty(plan).map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        let dir = self.vault.run_dir(&run).map_err(|e| vault_failure(&e))?;
        let begun = self.vault.reserve(&run, JOURNAL_ROOM).and_then(|reserve| {
            dir.write_plan(&plan)?;
            Ok((dir.journal()?.0, reserve))
        });
        match begun {
            Ok((journal, reserve)) => Ok(Begun { run, dir, journal, reserve }),
            Err(error) => {
                dir.give_up();
                Err(vault_failure(&error))
            }
        }
    }

    /// Looks at the nodes, to plan.
    fn prober(&self) -> Prober<'_> {
        Prober {
            inventory: self.inventory,
            links: self.links,
            clock: self.clock.clone(),
            secrets: self.secrets.clone(),
            cancel: self.cancel.clone(),
        }
    }

    /// Makes the plan once more and compares: between planning and running a person may have thought for an hour, or
    /// other runs have had their turn.
    fn look_again(&self, planned: &Planned, snapshot: Option<&Snapshot>) -> Result<()> {
        self.board.begin("Look once more whether the plan still holds".into(), 0);
        let (prober, set) = (self.prober(), planned.set());
        let now = match (&planned.plan.command, snapshot) {
            (Command::Backup { item, reason }, _) => {
                prober.plan_backup_again(item, &planned.found.host, reason.clone(), &set)?
            }
            (Command::Restore { to, .. }, Some(from)) => prober.plan_restore(self.vault, from.manifest(), to, &set)?,
            (Command::Restore { .. }, None) => {
                return Err(Failure::new(Exit::Failed, "There is no snapshot to restore."));
            }
        };
        check_fresh(&planned.plan, &now.plan)
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
        let outcome =
            outcome.map_err(|failure| rollback::with_the_ways_on(failure, plan, executor.states(), dir.run()));
        let (exit, failure) = match &outcome {
            Ok(_) => (Exit::Done, None),
            Err(failure) => (failure.exit, Some(failure.clone())),
        };
        let kept = executor.kept().clone();
        let noted = executor.note(EventKind::RunFinished { exit, failure: failure.clone(), kept: kept.clone() });
        let outs = outcome.as_ref().ok();
        let body = json!({
            "command": plan.command, "exit": exit, "failure": failure, "said": said,
            "snapshots": outs.map(captured), "outs": outs, "kept": kept,
        });
        let receipt = noted.and_then(|()| {
            dir.write_receipt(&body, self.console, &*self.clock, &*self.entropy).map_err(|e| vault_failure(&e))
        });
        let (outs, receipt) = match (outcome, receipt) {
            (Ok(outs), Ok(receipt)) => (outs, receipt),
            (Ok(_), Err(missing)) => {
                return Err(missing.state("Every step is done; only the vault's own record of the run is not whole."));
            }
            (Err(failure), Ok(_)) => return Err(failure),
            // What became of the nodes is what must be read first.
            (Err(failure), Err(missing)) => {
                return Err(failure.hint(format!("The vault holds no receipt of the run: {}", missing.message)));
            }
        };
        let proves = plan.proves && why_unproved(&outs).is_none();
        if let (Command::Restore { to, .. }, Some(mut snapshot), true) = (&plan.command, snapshot, proves) {
            let proof = Proof {
                version: 1,
                rung: Rung::Proven,
                at: self.clock.now(),
                console: self.console.id().clone(),
                run: Some(dir.run().clone()),
                passed: true,
                detail: json!({"restored_to": to, "receipt": receipt.number}),
            };
            snapshot.add_proof(proof).map_err(|e| {
                let state = "The restore is done and proven, and its receipt says so; only the proof could not be dated on the snapshot.";
                vault_failure(&e).state(state)
            })?;
        }
        Ok(Report { run: dir.run().clone(), outs, receipt: receipt.number, kept })
    }

    /// Every run of the vault, oldest first; what cannot be read is said.
    pub fn list(&self) -> Result<Vec<(String, Result<Brief>)>> {
        let dirs = self.vault.runs().map_err(|e| vault_failure(&e))?;
        let told = dirs.iter().map(|dir| {
            let name = dir.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
            let told = RunId::new(name.clone())
                .map_err(|e| Failure::new(Exit::Vault, e.to_string()))
                .and_then(|run| self.read(&run));
            (name, told.map(|told| told.brief()))
        });
        Ok(told.collect())
    }

    /// The one run a prefix means.
    pub fn find(&self, prefix: &str) -> Result<Told> {
        let dirs = self.vault.runs().map_err(|e| vault_failure(&e))?;
        let names = dirs.iter().filter_map(|dir| dir.file_name().map(|name| name.to_string_lossy().into_owned()));
        let none = || {
            Failure::new(Exit::Nothing, format!("There is no run '{prefix}' in this vault."))
                .hint("Ask a node for it: lifeboat runs --on HOST")
        };
        self.read(&only(prefix, names, none)?)
    }

    /// Reads a run's files.
    pub fn read(&self, run: &RunId) -> Result<Told> {
        let dir = self.vault.run_dir(run).map_err(|e| vault_failure(&e))?;
        let plan = dir.read_plan().map_err(|e| vault_failure(&e))?;
        let replay = dir.read_journal().map_err(|e| vault_failure(&e))?;
        let events = replay.entries.into_iter().map(|entry| parse(entry.entry)).collect::<Result<Vec<Event>>>()?;
        let receipt = dir.read_receipt().map_err(|e| vault_failure(&e))?.map(|receipt| receipt.number);
        let plan = parse(serde_json::from_slice(&plan).map_err(|e| unreadable(&e))?)?;
        Ok(Told::of(run.clone(), plan, events, receipt, None))
    }

    /// What lies beside a run's places on each node under its id, as the nodes tell it now: what stays when it is left.
    ///
    /// # Errors
    /// A node that the run changes cannot be asked.
    pub fn beside(&self, told: &Told) -> Result<BTreeMap<HostId, Vec<String>>> {
        let plan = fill_in_run(told.plan.clone(), &told.run);
        let changed = plan.steps.iter().filter(|step| step.effect != Effect::Read).map(|step| &step.host);
        let mut found = BTreeMap::new();
        for host in changed.collect::<BTreeSet<_>>() {
            let dirs = rollback::dirs_of(&plan, &told.run, host);
            let paths = self.prober().on(host, |cx| node_run::list_beside(cx, &told.run, &dirs))?;
            if !paths.is_empty() {
                found.insert(host.clone(), paths);
            }
        }
        Ok(found)
    }

    /// Takes an interrupted run up, or another console's over: goes on, rolls back or leaves it.
    ///
    /// # Errors
    /// As [`Runs::gates_of_resume`]; [`Exit::Confirmation`] when one of those gates is open.
    pub fn resume(
        &self,
        told: &Told,
        how: Resume,
        snapshot: Option<Snapshot>,
        answered: &BTreeMap<String, String>,
    ) -> Result<Report> {
        let gates = refuse_ended(told).and_then(|()| self.gates_of_resume(told, how));
        let confirmed = stated(&gates.map_err(Failure::unchanged)?, answered)?;
        let (dir, journal, reserve) = self.take_up(told)?;
        self.clear_leftovers(&told.plan.command);
        let record = Journaled { journal, clock: self.clock.clone() };
        let epoch = told.next_epoch();
        let carrier = PlanCarrier {
            runs: self,
            run: told.run.clone(),
            command: told.plan.command.clone(),
            version: None,
            foretold: Value::Null,
            snapshot,
        };
        let mut executor =
            Executor::new(self.means(&carrier), told.run.clone(), told.plan.clone(), Box::new(record), epoch)
                .resuming(&told.events);
        if rollback::was_in_use(told) {
            executor = executor.keeping_aside()?;
        }
        if how != Resume::Leave {
            executor.take_over().map_err(not_taken_up)?;
        }
        let console = self.console.id().clone();
        let adopts = EventKind::RunAdopted { console, epoch, how, confirmed: confirmed.clone() };
        executor.note(adopts).map_err(not_taken_up)?;
        let outcome = match how {
            Resume::GoOn if !executor.is_undoing() => executor.execute(),
            Resume::Leave => executor.leave().map_err(still_open).map(|()| BTreeMap::new()),
            // Going on with the undoing of an earlier run is to undo the rest of it.
            Resume::GoOn | Resume::RollBack => executor
                .guard_undoing()
                .map_err(still_open)
                .and_then(|()| rolled_back(executor.undo(Failure::new(Exit::Done, "Rolled back.")))),
        };
        let proven = carrier.snapshot.clone().filter(|_| how == Resume::GoOn && !executor.is_undoing());
        let said = json!({"resumed": format!("{how:?}"), "epoch": epoch, "confirmed": confirmed});
        let report = self.end(&dir, &mut executor, outcome, &told.plan, &said, proven);
        drop(reserve);
        report
    }

    /// Opens a run's journal to go on with it, and holds room back for what will be written: a vault that is too full ends
    /// it here, before any node hears of it. One that only a node knew of gets its plan and its events first.
    fn take_up(&self, told: &Told) -> Result<(RunDir, Journal, Reserve)> {
        let dir = self.vault.run_dir(&told.run).map_err(|e| no_room_to_take_up(told, &e))?;
        let taken = dir.journal().and_then(|(mut journal, replay)| {
            // Whoever has the journal open has the room to itself, too.
            let reserve = self.vault.reserve(&told.run, JOURNAL_ROOM)?;
            if replay.entries.is_empty() {
                let unwritable =
                    |why: serde_json::Error| VaultError::Misuse { path: dir.path().into(), why: why.to_string() };
                match dir.write_plan(&serde_json::to_vec_pretty(&told.plan).map_err(unwritable)?) {
                    // Whoever began this wrote its plan and no more.
                    Ok(()) | Err(VaultError::Exists { .. }) => {}
                    Err(error) => return Err(error),
                }
                for event in &told.events {
                    journal.append(&*self.clock, &serde_json::to_value(event).map_err(unwritable)?)?;
                }
            }
            Ok((journal, reserve))
        });
        match taken {
            Ok((journal, reserve)) => Ok((dir, journal, reserve)),
            Err(error) => {
                dir.give_up();
                Err(no_room_to_take_up(told, &error))
            }
        }
    }

    /// Undoes a finished run from what it kept aside, as a run of its own kind: journalled, guarded, with a receipt.
    ///
    /// # Errors
    /// As [`Runs::gates_of_rollback`]; [`Exit::Confirmation`] when one of those gates is open.
    pub fn rollback(&self, told: &Told, answered: &BTreeMap<String, String>) -> Result<Report> {
        let states = states_of(&told.events);
        let gates = self.check_rollback(told).and_then(|()| self.gates_of_rollback(told));
        let confirmed = stated(&gates.map_err(Failure::unchanged)?, answered)?;
        let plan = rollback::plan_of(told)?;
        let Begun { run, dir, journal, reserve } = self.begin(&plan).map_err(Failure::unchanged)?;
        let (command, foretold) = (plan.command.clone(), Value::Null);
        let carrier = PlanCarrier { runs: self, run: run.clone(), command, version: None, foretold, snapshot: None };
        let mut executor = Executor::new(self.means(&carrier), run.clone(), plan.clone(), self.record(journal), 1)
            .undoing(&told.run, states);
        let begins = EventKind::RunStarted {
            plan_hash: super::canonical::plan_hash(&plan)?,
            console: self.console.id().clone(),
            epoch: 1,
            confirmed: confirmed.clone(),
        };
        executor.note(begins).map_err(Failure::unchanged)?;
        let outcome = match executor.begin_undoing() {
            Ok(()) => rolled_back(executor.undo(Failure::new(Exit::Done, "Rolled back."))),
            Err(failure) => Err(executor.give_back(failure)),
        };
        let said = json!({"undoes": told.run, "confirmed": confirmed});
        let report = self.end(&dir, &mut executor, outcome, &plan, &said, None);
        drop(reserve);
        report
    }

    /// Refuses what cannot be rolled back: before anything is touched, and before anybody is asked.
    fn check_rollback(&self, told: &Told) -> Result<()> {
        if !matches!(told.ended, Some((Exit::Done, _))) {
            return Err(Failure::new(
                Exit::Usage,
                format!("Run {} did not finish, so it is not rolled back.", told.run),
            )
            .hint(format!("Undo what it did: lifeboat resume {} --roll-back", told.run)));
        }
        rollback::check_latest(self, told)?;
        self.check_undoable(told, &states_of(&told.events))
    }

    /// Looks, before anything is touched, that what the run put in place and kept is still where it left it.
    fn check_undoable(&self, told: &Told, states: &BTreeMap<StepId, StepState>) -> Result<()> {
        let plan = fill_in_run(told.plan.clone(), &told.run);
        for step in plan.steps.iter().filter(|step| step.effect == Effect::Destroy) {
            let Some(StepState::Finished(before, _)) = states.get(&step.id) else { continue };
            let Ok(op) = crate::services::op(&step.op) else {
                return Err(rollback::nothing_kept(step, states));
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

/// Refuses to take up a run that has ended and left nothing.
fn refuse_ended(told: &Told) -> Result<()> {
    match &told.ended {
        Some((exit, _)) if *exit != Exit::Changed => {
            let message = format!("Run {} has ended ({}); there is nothing to take up.", told.run, exit_phrase(*exit));
            Err(Failure::new(Exit::Usage, message))
        }
        _ => Ok(()),
    }
}

/// Why a run was not taken up, as its vault tells it: no node was asked for anything.
fn no_room_to_take_up(told: &Told, error: &VaultError) -> Failure {
    let failure = vault_failure(error).state("Nothing was begun: the run lies on its nodes as it did.");
    if failure.exit != Exit::NoSpace {
        return failure;
    }
    let hosts: BTreeSet<_> =
        told.plan.steps.iter().filter(|step| step.effect != Effect::Read).map(|step| &step.host).collect();
    hosts.into_iter().fold(failure, |failure, host| {
        failure.hint(format!(
            "Into a vault on another disk: lifeboat --vault PATH resume {} --adopt --on {host}",
            told.run
        ))
    })
}

/// How things stand when a run was to be taken up and its nodes did not let it go on.
const STILL_OPEN: &str = "Nothing more was done; the run still lies on its nodes and can be taken up again.";

/// The failure of a run that was taken up and of which nothing more was done: it can be taken up again.
fn still_open(failure: Failure) -> Failure {
    Failure { exit: Exit::Changed, ..failure }.state(STILL_OPEN)
}

/// As [`still_open`], with the end it has: no step was touched yet.
fn not_taken_up(failure: Failure) -> Failure {
    if failure.state.is_some() { failure } else { failure.state(STILL_OPEN) }
}

/// The answers to what is asked, and no others that were given: they are written down. Refuses to go on while one is
/// missing, naming all of those.
fn stated(gates: &[Gate], answered: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let open = open_gates(gates, answered);
    if open.is_empty() {
        return Ok(gates.iter().map(|gate| (gate.id.to_string(), gate.word.clone())).collect());
    }
    let failure = Failure::new(Exit::Confirmation, "Something must be confirmed first.").unchanged();
    let hint = |gate: &&Gate| format!("{} --confirm {}={}", gate.question, gate.id, gate.word);
    Err(open.iter().map(hint).fold(failure, Failure::hint))
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new(Exit::Vault, format!("A run's files cannot be read: {error}."))
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|e| unreadable(&e))
}
