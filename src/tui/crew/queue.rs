//! What waits for one of the crew's hands.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Task;
use crate::model::ids::HostId;
use crate::tui::model::JobId;

/// A task that waits for a hand.
pub(super) struct Waiting {
    /// The job it is, when it is one.
    pub job: Option<JobId>,
    /// The host that must be free for it.
    pub host: Option<HostId>,
    /// What is done.
    pub task: Task,
}

/// What waits, in the order it came. A task whose host is being worked on lets others pass.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    busy: BTreeSet<HostId>,
    /// Tasks that were taken and not [freed](Queue::free).
    taken: usize,
    is_closed: bool,
}

impl State {
    fn next(&self) -> Option<usize> {
        self.waiting.iter().position(|one| one.host.as_ref().is_none_or(|host| !self.busy.contains(host)))
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, waiting: Waiting) {
        self.state().waiting.push_back(waiting);
        self.wake.notify_one();
    }

    /// Takes a job out that no hand has begun; `false` when it is not there.
    pub fn take_out(&self, job: JobId) -> bool {
        let mut state = self.state();
        let at = state.waiting.iter().position(|one| one.job == Some(job));
        at.and_then(|at| state.waiting.remove(at)).is_some()
    }

    /// Forgets what waits, and lets nobody wait for more.
    pub fn close(&self) {
        let mut state = self.state();
        state.waiting.clear();
        state.is_closed = true;
        self.wake.notify_all();
    }

    /// The next task whose host is free, with that host, which is busy until it is [freed](Queue::free); `None` once
    /// the queue is closed.
    pub fn take(&self) -> Option<(Option<HostId>, Task)> {
        let idle = |state: &mut State| state.next().is_none() && !state.is_closed;
        let mut state = self.wake.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let next = state.next().and_then(|at| state.waiting.remove(at))?;
        state.busy.extend(next.host.clone());
        state.taken += 1;
        Some((next.host, next.task))
    }

    /// Whether nothing waits and every task that was taken is done.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && state.taken == 0
    }

    /// A task that was taken is done, and the next one may have its host.
    pub fn free(&self, host: Option<&HostId>) {
        let mut state = self.state();
        state.taken = state.taken.saturating_sub(1);
        if let Some(host) = host {
            state.busy.remove(host);
            drop(state);
            // Whoever waits for this very host may be any of them.
            self.wake.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u32, host: Option<&str>) -> Waiting {
        let host = host.map(|host| HostId::new(host).unwrap());
        Waiting { job: Some(JobId(number)), host, task: Box::new(|_| {}) }
    }

    fn host_of(queue: &Queue) -> Option<String> {
        queue.take().unwrap().0.map(|host| host.to_string())
    }

    #[test]
    fn a_host_has_one_job_at_a_time_and_keeps_nobody_else_waiting() {
        let queue = Queue::default();
        for (number, host) in [(1, Some("a")), (2, Some("a")), (3, Some("b")), (4, None)] {
            queue.put(job(number, host));
        }
        assert_eq!(host_of(&queue).as_deref(), Some("a"));
        assert_eq!(host_of(&queue).as_deref(), Some("b"));
        assert_eq!(host_of(&queue), None);
        // The second of the first host is all that is left, and waits until that is free.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| host_of(&queue));
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!waiting.is_finished());
            queue.free(HostId::new("a").ok().as_ref());
            assert_eq!(waiting.join().unwrap().as_deref(), Some("a"));
        });
        assert!(!queue.take_out(JobId(2)), "it was begun");
        for host in ["a", "b"] {
            queue.free(HostId::new(host).ok().as_ref());
            assert!(!queue.is_idle(), "{host}");
        }
        queue.free(None);
        assert!(queue.is_idle());
        queue.put(job(5, Some("a")));
        assert!(queue.take_out(JobId(5)));
        queue.close();
        assert!(queue.take().is_none());
    }
}
