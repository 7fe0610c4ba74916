//! Several runs side by side: hosts at once, each host's own runs one after the other.
//!
//! Every run stays what it is alone: its own journal, guard, lock on its node and receipt. Bytes under way share the
//! transport's one budget, so memory does not grow with the number of jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::board::Board;
use super::planner::Planned;
use super::scan::in_parallel;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemRef};
use crate::transport::Cancel;

/// How many hosts are worked on at once when nobody says.
pub const JOBS: u8 = 4;

/// A plan that has its turn with others.
#[derive(Debug)]
pub struct Job {
    /// The item it is about.
    pub place: ItemRef,
    /// Its plan.
    pub planned: Planned,
    /// What its run tells.
    pub board: Arc<Board>,
    phase: Mutex<Phase>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Others are before it.
    Waiting,
    /// It is under way.
    Running,
    /// It is over, one way or the other.
    Over,
}

impl Job {
    /// A job that waits.
    pub fn new(place: ItemRef, planned: Planned) -> Self {
        Self { place, planned, board: Arc::default(), phase: Mutex::new(Phase::Waiting) }
    }

    /// Where it stands now.
    pub fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

/// Does `work` for every job, at most `at_once` hosts at a time and one job a host; results in the order of the jobs.
///
/// A wish to stop reaches the runs under way by their own flag; what has not begun by then is not begun.
pub fn run_all<T: Send>(
    jobs: &[Job],
    at_once: usize,
    cancel: &Cancel,
    work: impl Fn(&Job) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    let mut hosts: BTreeMap<&HostId, Vec<usize>> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        hosts.entry(&job.planned.found.host).or_default().push(index);
    }
    // The host whose first job was named first goes first.
    let mut queues: Vec<Vec<usize>> = hosts.into_values().collect();
    queues.sort_by_key(|queue| queue.first().copied());
    let one = |job: &Job| {
        if cancel.is_cancelled() {
            job.enter(Phase::Over);
            let message = format!("{} was cancelled before it began.", job.place);
            return Err(Failure::new(Exit::Cancelled, message).unchanged());
        }
        job.enter(Phase::Running);
        let result = work(job);
        job.enter(Phase::Over);
        job.board.wake();
        result
    };
    let queue = |queue: &Vec<usize>| -> Vec<(usize, Result<T>)> {
        queue.iter().filter_map(|&index| Some((index, one(jobs.get(index)?)))).collect()
    };
    let mut results: Vec<_> = in_parallel(&queues, at_once, queue).into_iter().flatten().collect();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::engine::scan::Found;
    use crate::model::facts::Facts;
    use crate::model::item::{Copying, Item, Sensitivity, Standing};
    use crate::model::plan::{Command, Plan};

    fn job(host: &str, item: &str) -> Job {
        let place: ItemRef =
            serde_json::from_value(serde_json::json!({"owner": host, "service": "files", "item": item})).unwrap();
        let item = Item {
            id: place.item.clone(),
            title: String::new(),
            size: None,
            sensitivity: Sensitivity::Plain,
            copying: Copying::Live,
            standing: Standing::Ready,
            format: String::new(),
            facts: serde_json::Value::Null,
        };
        let found = Found {
            owner: place.owner.clone(),
            service: place.service.clone(),
            kind: "files".into(),
            host: HostId::new(host).unwrap(),
            settings: serde_json::Value::Null,
            facts: Facts::default(),
            items: vec![],
        };
        let plan = Plan {
            command: Command::Backup { item: place.clone(), reason: None },
            basis: BTreeMap::new(),
            choices: vec![],
            gates: vec![],
            guards: vec![],
            steps: vec![],
            leaves: vec![],
            proves: false,
            entry: None,
        };
        let planned = Planned {
            plan,
            hash: String::new(),
            found,
            item,
            choices: vec![],
            expects: vec![],
            foretold: serde_json::Value::Null,
            sightings: vec![],
        };
        Job::new(place, planned)
    }

    #[test]
    fn hosts_go_side_by_side_and_a_host_s_own_jobs_in_turn() {
        let jobs: Vec<_> = ["a", "a", "b", "c", "b"].iter().zip(0..).map(|(h, n)| job(h, &format!("i{n}"))).collect();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let busy: Mutex<BTreeSet<HostId>> = Mutex::default();
        let order: Mutex<Vec<String>> = Mutex::default();
        let results = run_all(&jobs, 2, &Cancel::new(), |job| {
            let host = job.planned.found.host.clone();
            assert_eq!(job.phase(), Phase::Running);
            assert!(busy.lock().unwrap().insert(host.clone()), "{host} has two runs at once");
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            order.lock().unwrap().push(job.place.item.to_string());
            std::thread::sleep(Duration::from_millis(20));
            now.fetch_sub(1, Ordering::SeqCst);
            busy.lock().unwrap().remove(&host);
            Ok(job.place.to_string())
        });
        let told: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(told, ["a/files/i0", "a/files/i1", "b/files/i2", "c/files/i3", "b/files/i4"]);
        assert_eq!(most.into_inner(), 2);
        let order = order.into_inner().unwrap();
        let at = |item: &str| order.iter().position(|one| one == item).unwrap();
        assert!(at("i0") < at("i1") && at("i2") < at("i4"), "{order:?}");
        assert!(jobs.iter().all(|job| job.phase() == Phase::Over));
    }

    #[test]
    fn what_has_not_begun_when_the_operator_stops_is_not_begun() {
        let jobs = [job("a", "one"), job("a", "two"), job("b", "three")];
        let cancel = Cancel::new();
        let results = run_all(&jobs, 1, &cancel, |_| {
            cancel.cancel();
            Ok(())
        });
        let exits: Vec<_> = results.into_iter().map(|result| result.err().map(|failure| failure.exit)).collect();
        assert_eq!(exits, [None, Some(Exit::Cancelled), Some(Exit::Cancelled)]);
    }
}
