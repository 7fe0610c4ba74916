//! The crew: threads that do what the console orders, so that the keyboard never waits.
//!
//! Each order becomes one task. Looking and reading have hands of their own; jobs share [`JOB_HANDS`], and wait for
//! one, and for their host: two runs never compete for one node. Reports go into a bounded queue: a crew that talks too
//! much waits, the console never does.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;

use super::deed::{Bench, Deed};
use super::message::{Edition, Notice, Order, Reread, Tone, Wish};
use super::model::JobId;
use crate::engine::board::Board;
use crate::engine::desk::{Desk, LOOKS, Store};
use crate::engine::holdings::Holdings;
use crate::engine::links::Links;
use crate::engine::planner::Planned;
use crate::engine::runs::Report;
use crate::engine::scan::{Prober, in_parallel, wanted_of};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemRef, OwnerId, SnapshotId};
use crate::transport::Cancel;
use crate::vault::Snapshot;

mod checking;
mod failing;
mod queue;
mod reading;
mod taken_up;
mod unheard;

use self::failing::{FAILED_INSIDE, notices_of_failure};
use self::queue::{Queue, Waiting};
pub use self::unheard::Ended;
use self::unheard::Unheard;

/// A task whose panic becomes a line of the log and the notices of its failure, so that no page waits for ever, and
/// takes nothing else down.
fn careful(failed: Vec<Notice>, task: impl FnOnce(&Crew) + Send + 'static) -> Task {
    Box::new(move |crew: &Crew| {
        if catch_unwind(AssertUnwindSafe(|| task(crew))).is_err() {
            crew.tell(Notice::Noted(Tone::Bad, FAILED_INSIDE.to_owned()));
            for notice in failed {
                crew.tell(notice);
            }
        }
    })
}

/// How many jobs run at once; more wait.
pub const JOB_HANDS: usize = 8;

/// How much nicer than the keyboard the crew is (nice(2)): a third of its share of a processor both want.
#[cfg(target_os = "linux")]
const COURTESY: i32 = 5;

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

/// A desk and its vault, which is opened once.
struct Place {
    desk: Arc<Desk>,
    store: Mutex<Option<Arc<Store>>>,
    /// The reading of the inventory it was opened from.
    edition: Edition,
    /// Ends what is asked of nodes for pages, once the inventory was read again. Jobs have wishes of their own.
    asks: Cancel,
}

impl Place {
    fn of(desk: Desk, edition: Edition) -> Arc<Self> {
        Arc::new(Self { desk: Arc::new(desk), store: Mutex::default(), edition, asks: Cancel::new() })
    }

    /// A prober whose questions end with this place.
    fn prober<'a>(&'a self, links: &'a Links<'a>) -> Prober<'a> {
        Prober { cancel: self.asks.clone(), ..self.desk.prober(links) }
    }

    fn store(&self, crew: &Crew) -> Result<Arc<Store>> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*store {
            return Ok(store.clone());
        }
        let opened = Arc::new(self.desk.store()?);
        for warning in &opened.warnings {
            crew.tell(Notice::Noted(Tone::Warn, warning.clone()));
        }
        *store = Some(opened.clone());
        Ok(opened)
    }
}

struct Shared {
    /// What is worked at. A job keeps the place it was ordered at, also while it waits: its plan was shown for that one.
    place: Mutex<Arc<Place>>,
    reopen: Reopen,
    notices: Sender<Notice>,
    /// Held while something found at a place is reported, and while another place is taken: so nothing that was found
    /// with the old inventory is ever told after the new one.
    telling: Mutex<()>,
    /// Held while the inventory is read again.
    reloading: Mutex<()>,
    boards: Mutex<BTreeMap<JobId, (Arc<Board>, Cancel)>>,
    unheard: Unheard,
    jobs: Queue,
    others: Queue,
    /// Ends the look into a file that is being taken.
    peek: Mutex<Cancel>,
    /// What was asked for and not begun.
    asked: Mutex<BTreeSet<Read>>,
    hands: Mutex<Vec<JoinHandle<()>>>,
}

/// What is read whole and has no say in what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    Vault,
    Runs,
    Practice,
}

impl Read {
    fn of(order: &Order) -> Option<Self> {
        match order {
            Order::ReadVault => Some(Self::Vault),
            Order::ReadRuns => Some(Self::Runs),
            Order::ReadPractice => Some(Self::Practice),
            _ => None,
        }
    }
}

/// Whether an order means what it says only over the inventory it was given over.
fn rests_on_inventory(order: &Order) -> bool {
    match order {
        Order::Look(_)
        | Order::ReadRunsOn(_)
        | Order::ReadKept(_)
        | Order::Plan(..)
        | Order::Run(..)
        | Order::LookAhead(..)
        | Order::Do(..)
        | Order::Remember(_)
        | Order::Discover(_)
        | Order::Shell(_) => true,
        Order::ReadVault
        | Order::ReadRuns
        | Order::ReadRun(_)
        | Order::Cancel(_)
        | Order::ReadSnapshot(..)
        | Order::LookInside(..)
        | Order::Diff(..)
        | Order::Reload
        | Order::Practise(..)
        | Order::ReadPractice => false,
    }
}

/// Has this thread, and those it starts, give way to the one that takes keys and draws: eight transfers on two cores
/// would have it wait for its turn. Nothing else is slowed by it while the processors have time to spare.
fn give_way() {
    // Only Linux counts threads one by one (setpriority(2)); elsewhere this would be of the whole program. Where it is
    // refused, keys wait a little longer.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(COURTESY);
}

impl Crew {
    /// A crew working at a desk, reporting into `notices`.
    ///
    /// # Errors
    /// [`Exit::Failed`] when the system gives no threads.
    pub fn new(desk: Desk, notices: Sender<Notice>, reopen: Reopen) -> Result<Self> {
        let crew = Self {
            shared: Arc::new(Shared {
                place: Mutex::new(Place::of(desk, Edition::default())),
                reopen,
                notices,
                telling: Mutex::default(),
                reloading: Mutex::default(),
                boards: Mutex::new(BTreeMap::new()),
                unheard: Unheard::default(),
                jobs: Queue::default(),
                others: Queue::default(),
                peek: Mutex::default(),
                asked: Mutex::default(),
                hands: Mutex::new(Vec::new()),
            }),
        };
        for number in 0..JOB_HANDS + OTHER_HANDS {
            let hand = crew.clone();
            let spawned = std::thread::Builder::new().name(format!("crew-{number}")).spawn(move || {
                give_way();
                let queue = if number < JOB_HANDS { &hand.shared.jobs } else { &hand.shared.others };
                while let Some((host, task)) = queue.take() {
                    hand.attempt(task);
                    queue.free(host.as_ref());
                }
            });
            let spawned =
                spawned.map_err(|error| Failure::new(Exit::Failed, format!("No thread could be started: {error}.")))?;
            crew.shared.hands.lock().unwrap_or_else(PoisonError::into_inner).push(spawned);
        }
        Ok(crew)
    }

    /// Takes an order with the board its job shows itself on; `edition` is the reading of the inventory that whoever
    /// orders has before him.
    pub fn take(&self, order: Order, board: Option<Arc<Board>>, edition: Edition) {
        let place = self.place();
        if place.edition != edition && rests_on_inventory(&order) {
            self.refuse(&order);
            return;
        }
        if let Order::LookInside(peek) = &order {
            self.supersede_peek(&peek.cancel);
        }
        match order {
            Order::Run(job, wish, planned, answered) => {
                let (title, host) = (wish.title(), Some(planned.found.host.clone()));
                self.begin((job, title), host, board, place, move |crew, place, board, cancel| match &wish {
                    Wish::Deed(deed) => crew.carry_out(&**deed, place, Some(&planned), &answered, board, cancel),
                    wish => crew.run_planned(place, wish, &planned, &answered, board, cancel).map(Some),
                });
            }
            Order::Do(job, wish, answered) => {
                let title = wish.title();
                self.begin((job, title), None, board, place, move |crew, place, board, cancel| {
                    crew.run_wish(place, job, &wish, &answered, board, cancel)
                });
            }
            Order::Cancel(job) => self.cancel(job),
            // All others may be at nodes that only the new inventory knows better.
            Order::Reload => self.by_own_hand("reload", &order, Self::reload),
            // It is wanted just where all others wait for a node.
            Order::Shell(host) => {
                let order = Order::Shell(host.clone());
                self.by_own_hand("shell", &order, move |crew| crew.prepare_shell(host, &place));
            }
            order => {
                if self.is_asked_for(&order) {
                    return;
                }
                let failed = notices_of_failure(&order);
                self.later(failed, move |crew| crew.read(order, &place));
            }
        }
    }

    /// Does nothing of an order that was given over an older inventory. A job or a shell ends at once; whatever else was
    /// asked for is asked for anew by its page, as soon as that hears of the new inventory.
    fn refuse(&self, order: &Order) {
        let why = Failure::new(Exit::Stale, "The inventory was read again just before this began.")
            .unchanged()
            .hint("Look at it once more, then begin it again.");
        let notice = match order {
            Order::Run(job, ..) | Order::Do(job, ..) => Notice::Ended(*job, Err(why)),
            Order::Shell(host) => Notice::Shell(host.clone(), Box::new(Err(why))),
            _ => return,
        };
        self.later(Vec::new(), move |crew| crew.tell(notice));
    }

    /// Ends the look into a file that is being taken: one at a time is shown.
    fn supersede_peek(&self, next: &Cancel) {
        let mut peek = self.shared.peek.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *peek, next.clone()).cancel();
    }

    /// Stops a job; one that still waits for a hand has ended at once.
    fn cancel(&self, job: JobId) {
        if self.shared.jobs.take_out(job) {
            self.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
            let why = Failure::new(Exit::Cancelled, "Cancelled before it began.").unchanged();
            // Whoever orders must not wait for a full queue of reports.
            self.later(Vec::new(), move |crew| crew.tell(Notice::Ended(job, Err(why))));
            return;
        }
        if let Some((_, cancel)) = self.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).get(&job) {
            cancel.cancel();
        }
    }

    /// Does an order that is no job, at the place it was given at; what is read once for several who asked, at the one
    /// that is worked at by then.
    fn read(&self, order: Order, place: &Arc<Place>) {
        let now = self.place();
        let place = if let Some(read) = Read::of(&order) {
            self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&read);
            &now
        } else {
            place
        };
        match order {
            Order::ReadVault => self.read_vault(place),
            Order::Look(owners) => self.look(&owners, place),
            Order::ReadRuns => self.read_runs(place),
            Order::ReadRun(run) => {
                let told = place.store(self).and_then(|store| {
                    let links = place.desk.links();
                    place.desk.runs(&store, &links, Arc::default(), place.asks.clone()).find(run.as_str())
                });
                self.tell_from(place, Notice::Run(run, Box::new(told)));
            }
            Order::ReadRunsOn(host) => self.read_runs_on(&host, place),
            Order::ReadKept(host) => self.read_kept(&host, place),
            Order::Plan(job, wish) => {
                let planned = self.plan(&wish, place);
                self.tell_from(place, Notice::Planned(job, Box::new(planned)));
            }
            Order::LookAhead(job, wish, _) => {
                let ahead = self.look_ahead(&wish, place);
                self.tell_from(place, Notice::Ahead(job, Box::new(ahead)));
            }
            Order::Remember(fleet) => self.remember(&fleet, place),
            Order::Discover(host) => self.discover(host, place),
            Order::ReadSnapshot(item, id) => self.read_snapshot(item, id, place),
            Order::LookInside(peek) => self.look_inside(peek, place),
            Order::Diff(old, new) => self.compare(old, new, place),
            Order::ReadPractice => self.read_practice(place),
            Order::Practise(host, fault, is_mended) => self.practise(&host, fault, is_mended, place),
            // Jobs, the inventory and a shell have hands of their own.
            Order::Run(..) | Order::Do(..) | Order::Cancel(_) | Order::Reload | Order::Shell(_) => {}
        }
    }

    /// Whether the same is asked for already and was not begun: then one answer is enough, also for a hundred jobs
    /// that end together.
    fn is_asked_for(&self, order: &Order) -> bool {
        let Some(read) = Read::of(order) else { return false };
        !self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(read)
    }

    /// How many jobs are under way or wait for a hand.
    pub fn live(&self) -> usize {
        self.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing that was ordered is under way or waits: all there is to tell was told.
    pub fn is_idle(&self) -> bool {
        let hands = self.shared.hands.lock().unwrap_or_else(PoisonError::into_inner);
        // The others have an order of their own, and end with it.
        let standing = JOB_HANDS + OTHER_HANDS;
        let is_resting = hands.iter().skip(standing).all(JoinHandle::is_finished);
        is_resting && self.shared.jobs.is_idle() && self.shared.others.is_idle()
    }

    /// The console has taken in how a job ended.
    pub fn heard(&self, job: JobId) {
        self.shared.unheard.hear(job);
    }

    /// Cancels every job and waits until all of them have brought things back; gives what became of those whose end
    /// the console has not taken in.
    pub fn dismiss(self) -> Vec<Ended> {
        for (_, cancel) in self.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).values() {
            cancel.cancel();
        }
        self.supersede_peek(&Cancel::new());
        let place = self.place();
        place.asks.cancel();
        place.desk.cancel.cancel();
        self.shared.jobs.close();
        self.shared.others.close();
        let hands = std::mem::take(&mut *self.shared.hands.lock().unwrap_or_else(PoisonError::into_inner));
        for hand in hands {
            // A hand that panicked has been reported by `attempt` already.
            let _ = hand.join();
        }
        self.shared.unheard.take()
    }

    /// Has a worker fail over an order, to see that it takes nothing else down and that nobody waits for it.
    ///
    /// # Panics
    /// Never here; the worker does.
    #[cfg(debug_assertions)]
    #[expect(clippy::panic, reason = "this is what is tried")]
    pub fn fail_inside(&self, order: &Order) {
        self.later(notices_of_failure(order), |_| panic!("a worker was told to fail"));
    }

    /// The desk in use.
    pub fn desk(&self) -> Arc<Desk> {
        self.place().desk.clone()
    }

    fn place(&self) -> Arc<Place> {
        self.shared.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does an order with a hand of its own, however busy the others are.
    fn by_own_hand(&self, name: &str, order: &Order, work: impl FnOnce(&Self) + Clone + Send + 'static) {
        let hand = self.clone();
        let task = careful(notices_of_failure(order), work.clone());
        match std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            give_way();
            task(&hand);
        }) {
            Ok(spawned) => {
                let mut hands = self.shared.hands.lock().unwrap_or_else(PoisonError::into_inner);
                hands.retain(|hand| !hand.is_finished());
                hands.push(spawned);
            }
            // Without a thread it waits for its turn.
            Err(_) => self.later(notices_of_failure(order), work),
        }
    }

    /// Swaps the desk for one of the inventory as it is now. Jobs keep theirs; what is being asked for pages ends, and
    /// nobody hears of it any more.
    fn reload(&self) {
        // One after the other: what was read last is what is worked with.
        let _reloading = self.shared.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = match (self.shared.reopen)() {
            Ok(desk) => desk,
            Err(failure) => return self.tell(Notice::Reloaded(Err(failure))),
        };
        let _telling = self.shared.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.place();
        let edition = Edition(old.edition.0 + 1);
        let reread = Reread {
            edition,
            fleet: crate::engine::fleet::Fleet::of_inventory(&desk.inventory),
            vault: desk.inventory.vault.path.clone(),
            warnings: desk.warnings.clone(),
        };
        *self.shared.place.lock().unwrap_or_else(PoisonError::into_inner) = Place::of(desk, edition);
        old.asks.cancel();
        self.tell(Notice::Reloaded(Ok(Box::new(reread))));
    }

    /// Reports what was found at a place, unless another one is worked at by now.
    fn tell_from(&self, place: &Arc<Place>, notice: Notice) {
        let _telling = self.shared.telling.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&self.place(), place) {
            self.tell(notice);
        }
    }

    /// Queues work that is no job.
    fn later(&self, failed: Vec<Notice>, task: impl FnOnce(&Self) + Send + 'static) {
        self.shared.others.put(Waiting { job: None, host: None, task: careful(failed, task) });
    }

    /// Does a task; a panic that nothing in it caught becomes a line of the log.
    fn attempt(&self, task: Task) {
        if catch_unwind(AssertUnwindSafe(|| task(self))).is_err() {
            self.tell(Notice::Noted(Tone::Bad, FAILED_INSIDE.to_owned()));
        }
    }

    /// Reports; waits while the queue is full. A console that is gone hears nothing.
    fn tell(&self, notice: Notice) {
        let _ = self.shared.notices.blocking_send(notice);
    }

    /// Queues a job with the host it is about, where one is known, and reports its start, its moves and its end.
    fn begin(
        &self,
        (job, title): (JobId, String),
        host: Option<HostId>,
        board: Option<Arc<Board>>,
        place: Arc<Place>,
        work: impl FnOnce(&Self, &Place, Arc<Board>, Cancel) -> Result<Option<Report>> + Send + 'static,
    ) {
        let board = board.unwrap_or_default();
        let cancel = Cancel::new();
        let entry = (board.clone(), cancel.clone());
        self.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).insert(job, entry);
        let task: Task = Box::new(move |crew: &Self| {
            crew.tell(Notice::Started(job));
            let result = catch_unwind(AssertUnwindSafe(|| {
                cancel.check().map_err(|error| crate::services::common::as_failure(&error))?;
                work(crew, &place, board, cancel.clone())
            }));
            let result = result.unwrap_or_else(|_| {
                Err(Failure::new(Exit::Changed, "The job failed inside; this is a mistake in Lifeboat.")
                    .hint("Its node brings itself to a sound state; see what is true: lifeboat runs"))
            });
            crew.shared.unheard.note(job, Ended { title, failure: result.as_ref().err().cloned() });
            crew.shared.boards.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
            crew.tell(Notice::Ended(job, result));
        });
        self.shared.jobs.put(Waiting { job: Some(job), host, task });
    }

    fn read_vault(&self, place: &Arc<Place>) {
        let read = place.store(self).and_then(|store| {
            Holdings::read(&store.vault, place.desk.clock.now()).map(Arc::new).map_err(Failure::from)
        });
        self.tell_from(place, Notice::Vault(read));
    }

    fn look(&self, owners: &[OwnerId], place: &Arc<Place>) {
        let desk = &place.desk;
        let links = desk.links();
        let prober = place.prober(&links);
        let wanted = wanted_of(&desk.inventory);
        in_parallel(owners, LOOKS, |owner| {
            if place.asks.check().is_err() {
                // Nobody hears of it any more.
                return;
            }
            self.tell_from(place, Notice::Looking(owner.clone()));
            let host = HostId::new(owner.as_str()).ok().filter(|host| desk.inventory.hosts.contains_key(host));
            if let Some(host) = host {
                self.tell_from(place, Notice::Health(prober.check_health(&host), Timestamp::now()));
            }
            for wanted in wanted.iter().filter(|wanted| wanted.owner == *owner) {
                let found = prober.probe(wanted);
                self.tell_from(place, Notice::Found(Box::new(wanted.clone()), Box::new(found)));
            }
            self.tell_from(place, Notice::Looked(owner.clone(), Timestamp::now()));
        });
    }

    /// Reads the runs, and checks every receipt; a vault that cannot be opened has said so with its runs.
    fn read_runs(&self, place: &Arc<Place>) {
        let store = place.store(self);
        let runs = store.as_ref().map_err(Clone::clone).and_then(|store| {
            let links = place.desk.links();
            place.desk.runs(store, &links, Arc::default(), place.asks.clone()).list().map(Arc::new)
        });
        if let Ok(store) = &store {
            // First: whose a run is decides what may be done with it.
            self.tell_from(place, Notice::Console(store.console.id().clone()));
        }
        self.tell_from(place, Notice::Runs(runs));
        let Ok(store) = store else { return };
        let checked =
            store.vault.verify_receipts().map(|chain| Arc::new(chain.without_bodies())).map_err(Failure::from);
        self.tell_from(place, Notice::Receipts(checked));
    }

    fn read_kept(&self, host: &HostId, place: &Arc<Place>) {
        let links = place.desk.links();
        let kept = place.prober(&links).on(host, crate::engine::node_run::list_kept);
        self.tell_from(place, Notice::Kept(host.clone(), kept));
    }

    fn read_runs_on(&self, host: &HostId, place: &Arc<Place>) {
        let result = place.store(self).and_then(|store| {
            let links = place.desk.links();
            let names = place.prober(&links).on(host, crate::engine::node_run::list_runs)?;
            let runs = place.desk.runs(&store, &links, Arc::default(), place.asks.clone());
            names.iter().map(|run| runs.read_from(host, &run.run)).collect()
        });
        self.tell_from(place, Notice::RunsOn(host.clone(), result));
    }

    fn plan(&self, wish: &Wish, place: &Place) -> Result<Planned> {
        let links = place.desk.links();
        let prober = place.prober(&links);
        match wish {
            Wish::BackUp { item, reason, set } => {
                let mut planned = prober.plan_backup(item, reason.clone(), set)?;
                planned.expect_room(place.store(self).ok().and_then(|store| store.vault.free()));
                Ok(planned)
            }
            Wish::Restore { item, snapshot, to, set } => {
                let store = place.store(self)?;
                let snapshot = Self::snapshot(&store, item, snapshot)?;
                store.vault.openable(&snapshot, &store.keys).map_err(Failure::from)?;
                prober.plan_restore(&store.vault, snapshot.manifest(), to, set)
            }
            Wish::Deed(deed) => deed.plan(&Bench {
                desk: &place.desk,
                vault: &|| place.store(self),
                board: Arc::default(),
                cancel: place.asks.clone(),
            }),
            Wish::Verify(_) | Wish::VerifyVault(_) | Wish::RollBack(_) | Wish::Resume(..) => {
                Err(Failure::new(Exit::Usage, "This has no plan of its own."))
            }
        }
    }

    fn run_planned(
        &self,
        place: &Place,
        wish: &Wish,
        planned: &Planned,
        answered: &BTreeMap<String, String>,
        board: Arc<Board>,
        cancel: Cancel,
    ) -> Result<Report> {
        let (store, desk) = (place.store(self)?, &place.desk);
        let links = desk.links();
        let snapshot = match wish {
            Wish::Restore { item, snapshot, .. } => Some(Self::snapshot(&store, item, snapshot)?),
            _ => None,
        };
        // The plan that was shown runs, and only while what it rests on is as it was: the engine looks once more.
        let report = desk.runs(&store, &links, board, cancel).run(planned, snapshot, answered)?;
        if matches!(wish, Wish::BackUp { .. })
            && let Err(failure) = desk.keep_beside(&store)
        {
            self.tell(Notice::Noted(Tone::Warn, failure.to_string()));
        }
        Ok(report)
    }

    fn run_wish(
        &self,
        place: &Place,
        job: JobId,
        wish: &Wish,
        answered: &BTreeMap<String, String>,
        board: Arc<Board>,
        cancel: Cancel,
    ) -> Result<Option<Report>> {
        let (store, desk) = (place.store(self)?, &place.desk);
        match wish {
            Wish::Verify(_) | Wish::VerifyVault(_) => self.verify(job, place, wish, &board, &cancel).map(|()| None),
            Wish::RollBack(run) => {
                let links = desk.links();
                let runs = desk.runs(&store, &links, board, cancel);
                runs.rollback(&runs.read(run)?, answered).map(Some)
            }
            Wish::Resume(run, how, on) => {
                let links = desk.links();
                let runs = desk.runs(&store, &links, board, cancel);
                let told = taken_up::read_as_shown(&runs, run, on.as_ref())?;
                runs.resume(&told, *how, told.snapshot_in(&store.vault), answered).map(Some)
            }
            Wish::Deed(deed) => self.carry_out(&**deed, place, None, answered, board, cancel),
            Wish::BackUp { .. } | Wish::Restore { .. } => {
                Err(Failure::new(Exit::Usage, "This must be planned before it is run."))
            }
        }
    }

    /// Has a deed carried out, by its plan where it has one.
    fn carry_out(
        &self,
        deed: &dyn Deed,
        place: &Place,
        planned: Option<&Planned>,
        answered: &BTreeMap<String, String>,
        board: Arc<Board>,
        cancel: Cancel,
    ) -> Result<Option<Report>> {
        let bench = Bench { desk: &place.desk, vault: &|| place.store(self), board, cancel };
        deed.carry_out(&bench, planned, answered)
    }

    fn snapshot(store: &Store, item: &ItemRef, id: &SnapshotId) -> Result<Snapshot> {
        // What is odd about its proofs is told where the vault is read.
        store.vault.snapshot(item, id, &mut Vec::new()).map_err(Failure::from)
    }
}
