//! The crew: threads that do what the console orders, so that the keyboard never waits.
//!
//! Each order becomes one task. Looking and reading have hands of their own; jobs share [`JOB_HANDS`], and wait for
//! one. Reports go into a bounded queue: a crew that talks too much waits, the console never does.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;

use super::message::{Notice, Order, Reread, Tone, Wish};
use super::model::{JobId, RunList};
use crate::engine::board::Board;
use crate::engine::desk::{Desk, LOOKS, Store};
use crate::engine::holdings::Holdings;
use crate::engine::planner::{Planned, check_fresh};
use crate::engine::runs::Report;
use crate::engine::scan::{in_parallel, wanted_of};
use crate::engine::verify::Check;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemRef, OwnerId, SnapshotId};
use crate::transport::Cancel;
use crate::vault::{Snapshot, SnapshotRef, Which};

mod reading;

/// How many jobs run at once; more wait.
pub const JOB_HANDS: usize = 4;

/// Hands for everything that is no job.
const OTHER_HANDS: usize = 3;

type Task = Box<dyn FnOnce(&Crew) + Send>;

/// The crew. Cheap to clone; the last [`Crew::dismiss`] joins every thread.
#[derive(Clone)]
pub struct Crew {
    shared: Arc<Shared>,
}

/// Opens the desk anew, from the inventory as it is now.
pub type Reopen = Box<dyn Fn() -> Result<Desk> + Send + Sync>;

struct Shared {
    /// The desk in use; work that has begun keeps the one it began with.
    desk: Mutex<Arc<Desk>>,
    reopen: Reopen,
    store: Mutex<Option<Arc<Store>>>,
    notices: Sender<Notice>,
    boards: Mutex<BTreeMap<JobId, (Arc<Board>, Cancel)>>,
    jobs: Queue,
    others: Queue,
    hands: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    tasks: Mutex<(VecDeque<Task>, bool)>,
    wake: Condvar,
}

impl Queue {
    fn put(&self, task: Task) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(task);
        self.wake.notify_one();
    }

    fn close(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.0.clear();
        tasks.1 = true;
        self.wake.notify_all();
    }

    /// The next task; `None` once the queue is closed.
    fn take(&self) -> Option<Task> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |(tasks, closed): &mut (VecDeque<Task>, bool)| tasks.is_empty() && !*closed;
        let mut tasks = self.wake.wait_while(tasks, idle).unwrap_or_else(PoisonError::into_inner);
        tasks.0.pop_front()
    }
}

impl Crew {
    /// A crew working at a desk, reporting into `notices`.
    ///
    /// # Errors
    /// [`Exit::Failed`] when the system gives no threads.
    pub fn new(desk: Desk, notices: Sender<Notice>, reopen: Reopen) -> Result<Self> {
        let crew = Self {
            shared: Arc::new(Shared {
                desk: Mutex::new(Arc::new(desk)),
                reopen,
                store: Mutex::new(None),
                notices,
                boards: Mutex::new(BTreeMap::new()),
                jobs: Queue::default(),
                others: Queue::default(),
                hands: Mutex::new(Vec::new()),
            }),
        };
        for number in 0..JOB_HANDS + OTHER_HANDS {
            let hand = crew.clone();
            let spawned = std::thread::Builder::new().name(format!("crew-{number}")).spawn(move || {
                let queue = if number < JOB_HANDS { &hand.shared.jobs } else { &hand.shared.others };
                while let Some(task) = queue.take() {
                    hand.attempt(task);
                }
            });
            let spawned =
                spawned.map_err(|error| Failure::new(Exit::Failed, format!("No thread could be started: {error}.")))?;
            crew.shared.hands.lock().unwrap_or_else(PoisonError::into_inner).push(spawned);
        }
        Ok(crew)
    }

    /// Takes an order with the board its job shows itself on.
    pub fn take(&self, order: Order, board: Option<Arc<Board>>) {
        match order {
            Order::ReadVault => self.later(|crew| crew.tell(Notice::Vault(crew.read_vault()))),
            Order::Look(owners) => self.later(move |crew| crew.look(&owners)),
            Order::ReadRuns => self.later(|crew| {
                crew.tell(Notice::Runs(crew.read_runs()));
                crew.read_receipts();
            }),
            Order::ReadRunsOn(host) => self.later(move |crew| crew.read_runs_on(&host)),
            Order::ReadKept(host) => self.later(move |crew| crew.read_kept(&host)),
            Order::Plan(job, wish) => {
                self.later(move |crew| crew.tell(Notice::Planned(job, Box::new(crew.plan(&wish)))));
            }
            Order::Run(job, wish, planned, answered) => {
                self.begin(job, board, move |crew, board, cancel| {
                    crew.run_planned(&wish, &planned, &answered, board, cancel).map(Some)
                });
            }
            Order::Do(job, wish) => {
                self.begin(job, board, move |crew, board, cancel| crew.run_wish(job, &wish, board, cancel));
            }
            Order::Cancel(job) => {
                let boards = self.shared.boards.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((_, cancel)) = boards.get(&job) {
                    cancel.cancel();
                }
            }
            Order::Remember(fleet) => self.later(move |crew| crew.remember(&fleet)),
            Order::Discover(host) => self.later(move |crew| crew.discover(host)),
            Order::ReadSnapshot(item, id) => self.later(move |crew| crew.read_snapshot(item, id)),
            Order::LookInside(item, id, file, from) => self.later(move |crew| crew.look_inside(item, id, file, from)),
            Order::Diff(old, new) => self.later(move |crew| crew.compare(old, new)),
            Order::ReadPractice => self.later(Self::read_practice),
            Order::Practise(host, fault, is_mended) => {
                self.later(move |crew| crew.practise(&host, fault, is_mended));
            }
            Order::Reload => self.later(|crew| crew.tell(Notice::Reloaded(crew.reload().map(Box::new)))),
        }
    }

    /// Cancels every job and waits until all of them have brought things back.
    pub fn dismiss(self) {
        for (_, cancel) in self.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).values() {
            cancel.cancel();
        }
        self.desk().cancel.cancel();
        self.shared.jobs.close();
        self.shared.others.close();
        let hands = std::mem::take(&mut *self.shared.hands.lock().unwrap_or_else(PoisonError::into_inner));
        for hand in hands {
            // A hand that panicked has been reported by `attempt` already.
            let _ = hand.join();
        }
    }

    /// Has a worker fail, to see that it takes nothing else down.
    ///
    /// # Panics
    /// Never here; the worker does.
    #[cfg(debug_assertions)]
    #[expect(clippy::panic, reason = "this is what is tried")]
    pub fn fail_inside(&self) {
        self.later(|_| panic!("a worker was told to fail"));
    }

    /// The desk in use.
    pub fn desk(&self) -> Arc<Desk> {
        self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Swaps the desk for one of the inventory as it is now; jobs that run keep theirs.
    fn reload(&self) -> Result<Reread> {
        let desk = Arc::new((self.shared.reopen)()?);
        let reread = Reread {
            fleet: crate::engine::fleet::Fleet::of_inventory(&desk.inventory),
            vault: desk.inventory.vault.path.clone(),
            warnings: desk.warnings.clone(),
        };
        *self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner) = desk;
        *self.shared.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(reread)
    }

    fn later(&self, task: impl FnOnce(&Self) + Send + 'static) {
        self.shared.others.put(Box::new(task));
    }

    /// Does a task; a panic in it becomes a line of the log and takes nothing else down.
    fn attempt(&self, task: Task) {
        if catch_unwind(AssertUnwindSafe(|| task(self))).is_err() {
            self.tell(Notice::Noted(Tone::Bad, "A worker failed inside; this is a mistake in Lifeboat.".to_owned()));
        }
    }

    /// Reports; waits while the queue is full. A console that is gone hears nothing.
    fn tell(&self, notice: Notice) {
        let _ = self.shared.notices.blocking_send(notice);
    }

    /// Queues a job, and reports its start, its moves and its end.
    fn begin(
        &self,
        job: JobId,
        board: Option<Arc<Board>>,
        work: impl FnOnce(&Self, Arc<Board>, Cancel) -> Result<Option<Report>> + Send + 'static,
    ) {
        let board = board.unwrap_or_default();
        let cancel = Cancel::new();
        let entry = (board.clone(), cancel.clone());
        self.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).insert(job, entry);
        self.shared.jobs.put(Box::new(move |crew| {
            crew.tell(Notice::Started(job));
            let result = catch_unwind(AssertUnwindSafe(|| {
                cancel.check().map_err(|error| crate::services::common::as_failure(&error))?;
                work(crew, board, cancel.clone())
            }));
            let result = result.unwrap_or_else(|_| {
                Err(Failure::new(Exit::Changed, "The job failed inside; this is a mistake in Lifeboat.")
                    .hint("Its node brings itself to a sound state; see what is true: lifeboat runs"))
            });
            crew.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
            crew.tell(Notice::Ended(job, result));
        }));
    }

    /// The vault, opened once.
    fn store(&self) -> Result<Arc<Store>> {
        let mut store = self.shared.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*store {
            return Ok(store.clone());
        }
        let opened = Arc::new(self.desk().store()?);
        for warning in &opened.warnings {
            self.tell(Notice::Noted(Tone::Warn, warning.clone()));
        }
        *store = Some(opened.clone());
        Ok(opened)
    }

    fn read_vault(&self) -> Result<Arc<Holdings>> {
        let store = self.store()?;
        Holdings::read(&store.vault).map(Arc::new).map_err(Failure::from)
    }

    fn look(&self, owners: &[OwnerId]) {
        let desk = self.desk();
        let links = desk.links();
        let prober = desk.prober(&links);
        let wanted = wanted_of(&desk.inventory);
        in_parallel(owners, LOOKS, |owner| {
            self.tell(Notice::Looking(owner.clone()));
            let host = HostId::new(owner.as_str()).ok().filter(|host| desk.inventory.hosts.contains_key(host));
            if let Some(host) = host {
                self.tell(Notice::Health(prober.check_health(&host), Timestamp::now()));
            }
            for wanted in wanted.iter().filter(|wanted| wanted.owner == *owner) {
                self.tell(Notice::Found(Box::new(wanted.clone()), Box::new(prober.probe(wanted))));
            }
            self.tell(Notice::Looked(owner.clone(), Timestamp::now()));
        });
    }

    fn read_runs(&self) -> Result<RunList> {
        let (store, desk) = (self.store()?, self.desk());
        let links = desk.links();
        desk.runs(&store, &links, Arc::default(), desk.cancel.clone()).list()
    }

    /// Checks every receipt; a vault that cannot be opened has said so with its runs.
    fn read_receipts(&self) {
        let Ok(store) = self.store() else { return };
        let checked = store.vault.verify_receipts().map(Arc::new).map_err(Failure::from);
        self.tell(Notice::Receipts(store.console.id().clone(), checked));
    }

    fn read_kept(&self, host: &HostId) {
        let desk = self.desk();
        let links = desk.links();
        self.tell(Notice::Kept(host.clone(), desk.prober(&links).on(host, crate::engine::node_run::list_kept)));
    }

    fn read_runs_on(&self, host: &HostId) {
        let desk = self.desk();
        let result = self.store().and_then(|store| {
            let links = desk.links();
            let names = desk.prober(&links).on(host, crate::engine::node_run::list_runs)?;
            let runs = desk.runs(&store, &links, Arc::default(), desk.cancel.clone());
            names.iter().map(|run| runs.read_from(host, &run.run)).collect()
        });
        self.tell(Notice::RunsOn(host.clone(), result));
    }

    fn plan(&self, wish: &Wish) -> Result<Planned> {
        let desk = self.desk();
        let links = desk.links();
        let prober = desk.prober(&links);
        match wish {
            Wish::BackUp { item, reason, set } => prober.plan_backup(item, reason.clone(), set),
            Wish::Restore { item, snapshot, to, set } => {
                let store = self.store()?;
                let snapshot = Self::snapshot(&store, item, snapshot)?;
                store.vault.openable(&snapshot, &store.keys).map_err(Failure::from)?;
                prober.plan_restore(snapshot.manifest(), to, set)
            }
            Wish::Verify(_) | Wish::RollBack(_) | Wish::Resume(..) | Wish::Purge(..) => {
                Err(Failure::new(Exit::Usage, "This has no plan of its own."))
            }
        }
    }

    fn run_planned(
        &self,
        wish: &Wish,
        planned: &Planned,
        answered: &BTreeMap<String, String>,
        board: Arc<Board>,
        cancel: Cancel,
    ) -> Result<Report> {
        let (store, desk) = (self.store()?, self.desk());
        let links = desk.links();
        let snapshot = match wish {
            Wish::Restore { item, snapshot, .. } => Some(Self::snapshot(&store, item, snapshot)?),
            _ => None,
        };
        // The plan that was shown runs, and only while what it rests on is as it was.
        board.begin("Look once more whether the plan still holds".into(), 0);
        check_fresh(&planned.plan, &self.plan(wish)?.plan)?;
        desk.runs(&store, &links, board, cancel).run(planned, snapshot, answered)
    }

    fn run_wish(&self, job: JobId, wish: &Wish, board: Arc<Board>, cancel: Cancel) -> Result<Option<Report>> {
        let (store, desk) = (self.store()?, self.desk());
        match wish {
            Wish::Verify(copies) => self.verify(job, &store, copies, &cancel).map(|()| None),
            Wish::RollBack(run) => {
                let links = desk.links();
                let runs = desk.runs(&store, &links, board, cancel);
                runs.rollback(&runs.read(run)?).map(Some)
            }
            Wish::Resume(run, how, on) => {
                let links = desk.links();
                let runs = desk.runs(&store, &links, board, cancel);
                let told = match on {
                    Some(host) => runs.read_from(host, run)?,
                    None => runs.read(run)?,
                };
                let snapshot = match &told.plan.command {
                    crate::model::plan::Command::Restore { item, snapshot, .. } => {
                        Some(Self::snapshot(&store, item, snapshot)?)
                    }
                    crate::model::plan::Command::Backup { .. } => None,
                };
                runs.resume(&told, *how, snapshot).map(Some)
            }
            Wish::Purge(host, kept) => {
                let links = desk.links();
                let purge = |cx: &crate::services::Cx| {
                    kept.iter().try_for_each(|entry| crate::engine::node_run::purge_kept(cx, entry))
                };
                desk.prober(&links).on(host, purge).map(|()| None)
            }
            Wish::BackUp { .. } | Wish::Restore { .. } => {
                Err(Failure::new(Exit::Usage, "This must be planned before it is run."))
            }
        }
    }

    fn verify(&self, job: JobId, store: &Store, copies: &[(ItemRef, SnapshotId)], cancel: &Cancel) -> Result<()> {
        let desk = self.desk();
        let mut worst = None;
        for (item, id) in copies {
            let mut snapshot = Self::snapshot(store, item, id)?;
            let check = Check {
                vault: &store.vault,
                keys: &store.keys,
                console: store.console.id(),
                clock: &*desk.clock,
                cancel,
                record: !desk.read_only,
            };
            let checked = check.run(&mut snapshot);
            if let Ok(crate::engine::verify::Checked::Broken { why }) = &checked {
                worst = Some(Failure::new(Exit::Integrity, format!("{item}@{id} is broken: {}.", why.join("; "))));
            }
            self.tell(Notice::Checked(job, item.clone(), id.clone(), checked));
        }
        worst.map_or(Ok(()), Err)
    }

    fn snapshot(store: &Store, item: &ItemRef, id: &SnapshotId) -> Result<Snapshot> {
        let wanted = SnapshotRef { item: item.clone(), which: Which::Id(id.as_str().to_owned()) };
        let trust = crate::vault::Policy::default();
        store.vault.select(&wanted, &trust).map(|selected| selected.snapshot).map_err(Failure::from)
    }
}
