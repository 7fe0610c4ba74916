//! What watchers see of a run: events in order, and a sampled picture of the progress.
//!
//! The executor never waits for a watcher. It journals first, then adds the event here and wakes whoever waits;
//! watchers pull everything since the number they know.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::model::event::Event;
use crate::model::text::CleanText;

/// One run's events and progress, shared between its executor and any number of watchers.
#[derive(Debug, Default)]
pub struct Board {
    events: Mutex<Vec<Event>>,
    wake: Condvar,
    bytes: AtomicU64,
    expected: AtomicU64,
    files: AtomicU64,
    waits: [AtomicU64; 3],
    doing: Mutex<CleanText>,
    #[cfg(debug_assertions)]
    fails: std::sync::atomic::AtomicBool,
}

/// What a stretch of work has waited for so far, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits {
    /// For bytes of the node.
    pub link: u64,
    /// For the vault to take them.
    pub vault: u64,
    /// For the verifier to take them.
    pub check: u64,
}

/// A picture of the progress at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes moved so far in this step.
    pub bytes: u64,
    /// Bytes expected in this step; 0 when unknown.
    pub expected: u64,
    /// Files finished in this step.
    pub files: u64,
    /// What it waited for.
    pub waits: Waits,
    /// What is being done.
    pub doing: CleanText,
}

impl Board {
    /// Adds an event that is already durable.
    ///
    /// # Panics
    /// Only where it was told to, which only debug builds can be.
    pub fn add(&self, event: Event) {
        #[cfg(debug_assertions)]
        assert!(!self.fails.swap(false, Ordering::Relaxed), "a job was told to fail");
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.wake.notify_all();
    }

    /// Has the run fail inside, on its own thread, at its next event: tests see what becomes of its node.
    #[cfg(debug_assertions)]
    pub fn fail_inside(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    /// Every event from number `seq` on.
    pub fn since(&self, seq: u64) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event.seq >= seq).cloned().collect()
    }

    /// Waits until there is an event from number `seq` on, at most for `span`.
    pub fn wait_for(&self, seq: u64, span: Duration) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |events: &mut Vec<Event>| !events.iter().any(|event| event.seq >= seq);
        let waited = self.wake.wait_timeout_while(events, span, missing);
        let (events, _) = waited.unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event.seq >= seq).cloned().collect()
    }

    /// Wakes whoever waits, so that it can see that the run is over.
    pub fn wake(&self) {
        self.wake.notify_all();
    }

    /// Begins a new stretch of work.
    pub fn begin(&self, doing: CleanText, expected: u64) {
        self.bytes.store(0, Ordering::Relaxed);
        self.files.store(0, Ordering::Relaxed);
        self.expected.store(expected, Ordering::Relaxed);
        self.waits.iter().for_each(|wait| wait.store(0, Ordering::Relaxed));
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    /// Says how many bytes this stretch of work will move, once that is known.
    pub fn expect(&self, bytes: u64) {
        self.expected.store(bytes, Ordering::Relaxed);
    }

    /// Adds to what was waited for.
    pub fn waited(&self, waits: Waits) {
        for (sum, more) in self.waits.iter().zip([waits.link, waits.vault, waits.check]) {
            sum.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Counts bytes moved.
    pub fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a finished file.
    pub fn file_done(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    /// The progress now.
    pub fn progress(&self) -> Progress {
        let wait = |part: usize| self.waits.get(part).map_or(0, |wait| wait.load(Ordering::Relaxed));
        Progress {
            bytes: self.bytes.load(Ordering::Relaxed),
            expected: self.expected.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
            waits: Waits { link: wait(0), vault: wait(1), check: wait(2) },
            doing: self.doing.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
