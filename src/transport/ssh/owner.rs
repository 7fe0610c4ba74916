//! The one thread that owns a session: nothing else ever touches the session or its channels.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, DisconnectCode, Session};

use super::super::TransportError;
use super::super::waker::Waker;
use super::job::Job;
use super::wire::Cord;

/// Seconds between questions that a living peer answers. With the time data may stay unanswered (`wire::UNANSWERED`)
/// they make the half minute within which a peer that falls silent is known for dead, even if nobody waits for it.
const KEEPALIVE: u32 = 8;

/// Bytes of a session's one buffer.
const SCRATCH: usize = 128 * 1024;

/// What the owner thread and the handles on it share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) host: String,
    pub(super) waker: Arc<Waker>,
    pub(super) cord: Cord,
    inbox: Mutex<VecDeque<Job>>,
    closed: AtomicBool,
    over: Mutex<Option<TransportError>>,
    /// What a login under way waits for outside the SSH library.
    pub(super) outside: Outside,
    /// The quickest a channel was ever opened, in microseconds; 0 while none was.
    quickest: AtomicU64,
}

/// A wait that has no limit of its own, as for a name server or an agent, and until when it is borne.
#[derive(Debug, Default)]
pub(super) struct Outside(Mutex<Option<(Instant, &'static str, Duration)>>);

impl Outside {
    /// Does `work`, which is overdue after `limit`; `what` says what is done.
    pub(super) fn during<T>(&self, what: &'static str, limit: Duration, work: impl FnOnce() -> T) -> T {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *lock() = Some((Instant::now(), what, limit));
        let done = work();
        *lock() = None;
        done
    }

    /// What takes longer than it may, and the limit.
    pub(super) fn overdue(&self) -> Option<(&'static str, Duration)> {
        let now = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.filter(|(began, _, limit)| began.elapsed() >= *limit).map(|(_, what, limit)| (what, limit))
    }
}

impl Link {
    pub(super) fn new(host: &str) -> std::io::Result<Self> {
        Ok(Self {
            host: host.to_owned(),
            waker: Arc::new(Waker::new()?),
            cord: Cord::default(),
            inbox: Mutex::default(),
            closed: AtomicBool::new(false),
            over: Mutex::default(),
            outside: Outside::default(),
            quickest: AtomicU64::new(0),
        })
    }

    /// Hands a job to the owner; on a session that is over the job fails at once.
    pub(super) fn submit(&self, job: Job) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        match &*over {
            Some(error) => job.lane.failed(error.clone()),
            None => self.inbox.lock().unwrap_or_else(PoisonError::into_inner).push_back(job),
        }
        drop(over);
        self.waker.wake();
    }

    /// No handle is left: the owner ends when its jobs have.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// How long a round trip through the session takes: opening a channel is one, and costs the server nothing.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        Some(self.quickest.load(Ordering::Relaxed)).filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    fn note_opening(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        if self.round_trip().is_none_or(|best| took < best) {
            self.quickest.store(micros, Ordering::Relaxed);
        }
    }

    /// Whether the session has ended, for whatever reason.
    pub(super) fn is_over(&self) -> bool {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) fn hang_up(&self) {
        self.cord.pull();
        self.waker.wake();
    }

    pub(super) fn lost(&self, why: impl Into<String>) -> TransportError {
        TransportError::Lost { host: self.host.clone(), why: why.into() }
    }
}

/// What the jobs of one turn must agree on.
pub(super) struct Turn {
    /// The job whose half-sent packet must be finished before anything else is written.
    pub(super) writer: Option<u64>,
    /// The job whose channel is being opened: the library can open only one at a time.
    pub(super) opening: Option<u64>,
    /// How long the channel opened last took.
    pub(super) opened: Option<Duration>,
    /// One buffer for all reads; empty while there is no job, for many logins rest at once.
    pub(super) scratch: Vec<u8>,
}

impl Turn {
    pub(super) fn may_write(&self, id: u64) -> bool {
        self.writer.is_none_or(|writer| writer == id)
    }
}

/// Runs a session until it breaks, is hung up, or nobody needs it.
pub(super) fn serve(link: &Link, session: &Session, socket: BorrowedFd<'_>) {
    session.set_blocking(false);
    session.set_keepalive(true, KEEPALIVE);
    let mut jobs: Vec<Job> = Vec::new();
    let mut turn = Turn { writer: None, opening: None, opened: None, scratch: Vec::new() };
    let mut next_id = 0;
    let mut keepalive_at = Instant::now() + Duration::from_secs(u64::from(KEEPALIVE));
    let error = loop {
        for mut job in link.inbox.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            next_id += 1;
            job.id = next_id;
            jobs.push(job);
        }
        if link.cord.pulled() {
            break link.lost("it was hung up here");
        }
        if jobs.is_empty() && link.closed.load(Ordering::SeqCst) {
            let _ = session.disconnect(Some(DisconnectCode::ByApplication), "done", None);
            break link.lost("it was closed here");
        }
        turn.scratch.resize(if jobs.is_empty() { 0 } else { SCRATCH }, 0);
        turn.scratch.shrink_to_fit();
        let mut moved = false;
        let mut broken = None;
        // The half-sent packet's job goes first.
        if let Some(at) = turn.writer.and_then(|w| jobs.iter().position(|job| job.id == w)) {
            jobs.swap(0, at);
        } else {
            turn.writer = None;
        }
        for job in &mut jobs {
            match job.step(session, &mut turn) {
                Ok(did) => {
                    moved |= did;
                    if let Some(took) = turn.opened.take() {
                        link.note_opening(took);
                    }
                }
                Err(why) => {
                    broken = Some(why);
                    break;
                }
            }
        }
        if let Some(why) = broken {
            break link.lost(why);
        }
        jobs.retain(|job| !job.is_done());
        if Instant::now() >= keepalive_at && turn.writer.is_none() {
            let _ = session.keepalive_send();
            keepalive_at = Instant::now() + Duration::from_secs(u64::from(KEEPALIVE));
        }
        if !moved && !rest(link, session, socket, jobs.is_empty(), &turn) {
            break link.lost("the other side closed it");
        }
    };
    let mut over = link.over.lock().unwrap_or_else(PoisonError::into_inner);
    *over = Some(error.clone());
    jobs.extend(link.inbox.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
    drop(over);
    link.cord.pull();
    for job in jobs {
        job.lane.failed(error.clone());
    }
}

/// Waits for the socket or a wake-up; false when an idle connection was closed by the peer.
fn rest(link: &Link, session: &Session, socket: BorrowedFd<'_>, idle: bool, turn: &Turn) -> bool {
    // Without a job nothing reads the session: bytes would wake us for ever, so only its end is waited for.
    let mut flags = if idle { end_of_stream() } else { PollFlags::IN };
    let outbound = matches!(session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
    if !idle && (turn.writer.is_some() || outbound) {
        flags |= PollFlags::OUT;
    }
    let mut fds = [PollFd::from_borrowed_fd(link.waker.fd(), PollFlags::IN), PollFd::from_borrowed_fd(socket, flags)];
    let nanos = if idle { 500_000_000 } else { 50_000_000 };
    let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: nanos }));
    let ended = idle && !fds[1].revents().is_empty();
    link.waker.settle();
    !ended
}

/// What tells that the peer closed a connection nobody reads.
fn end_of_stream() -> PollFlags {
    #[cfg(target_os = "linux")]
    return PollFlags::RDHUP;
    #[cfg(not(target_os = "linux"))]
    PollFlags::empty()
}
