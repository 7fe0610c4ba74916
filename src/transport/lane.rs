//! The bounded queues between the thread that owns a connection and the thread that uses one stream of it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use super::{Cancel, Rights, TransportError, script};

/// Unread output and unsent input are each held to about this much; the sender waits for room.
pub(super) const QUEUE: usize = 1 << 20;
/// One piece of input.
const PIECE: usize = 64 * 1024;
/// What is kept of standard error.
const TAIL: usize = 64 * 1024;
/// How often a waiting caller looks at its [`Cancel`].
const GLANCE: Duration = Duration::from_millis(50);

/// Wakes an owner thread out of its poll.
#[derive(Debug)]
pub(super) struct Waker {
    near: UnixStream,
    far: UnixStream,
}

impl Waker {
    pub(super) fn new() -> std::io::Result<Self> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Self { near, far })
    }
    /// Makes the end the owner polls readable; a full pipe is awake already.
    pub(super) fn wake(&self) {
        let _ = (&self.far).write(&[1]);
    }
    /// Swallows the wake-ups so far.
    pub(super) fn settle(&self) {
        let mut sink = [0; 256];
        while matches!((&self.near).read(&mut sink), Ok(1..)) {}
    }
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.near.as_fd()
    }
}

/// One stream pair of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    host: String,
    state: Mutex<State>,
    moved: Condvar,
    waker: Arc<Waker>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    output: VecDeque<Vec<u8>>,
    output_at: usize,
    output_len: usize,
    output_total: u64,
    output_ended: bool,
    errors: Vec<u8>,
    input: VecDeque<Vec<u8>>,
    input_len: usize,
    input_closed: bool,
    input_broken: bool,
    ended: Option<Option<String>>,
    failure: Option<TransportError>,
    abandoned: bool,
    moved_at: Option<Instant>,
    gate: Option<Gate>,
}

/// What must be seen before a script's streams are its own.
#[derive(Debug)]
struct Gate {
    mark: Vec<u8>,
    prompt: Vec<u8>,
    password: Option<SecretString>,
    rights: Rights,
    output: Option<Vec<u8>>,
    errors: Option<Vec<u8>>,
}

/// What the pump finds when it asks for input.
pub(super) enum Input {
    /// Send this.
    Chunk(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// No more will come.
    Closed,
}

/// How long a caller waits.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) cancel: Cancel,
    pub(super) until: Option<(Instant, Duration)>,
    pub(super) silence: Duration,
}

impl Lane {
    pub(super) fn new(host: &str, waker: Arc<Waker>) -> Self {
        Self { host: host.to_owned(), state: Mutex::default(), moved: Condvar::new(), waker }
    }

    /// A lane for a wrapped script: it opens when the wrapper's marks were seen on both streams.
    pub(super) fn gated(host: &str, waker: Arc<Waker>, wrapped: &script::Wrapped, rights: Rights) -> Self {
        let lane = Self::new(host, waker);
        lane.lock().gate = Some(Gate {
            mark: format!("{}+\n", wrapped.nonce).into_bytes(),
            prompt: format!("{}?", wrapped.nonce).into_bytes(),
            password: wrapped.password.clone(),
            rights,
            output: Some(Vec::new()),
            errors: Some(Vec::new()),
        });
        lane
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    // The pump's side.

    pub(super) fn opened(&self) {
        let mut state = self.lock();
        state.open = state.gate.is_none();
        self.note(&mut state);
    }

    pub(super) fn failed(&self, error: TransportError) {
        let mut state = self.lock();
        if state.ended.is_none() {
            state.failure.get_or_insert(error);
        }
        self.note(&mut state);
    }

    pub(super) fn has_room(&self) -> bool {
        self.lock().output_len < QUEUE
    }

    pub(super) fn push_output(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let bytes = match state.gate.as_mut() {
            Some(gate) => match pass(&mut gate.output, &gate.mark, bytes) {
                Some(rest) => rest,
                None => return,
            },
            None => bytes.to_vec(),
        };
        state.settle_gate();
        if !bytes.is_empty() {
            state.output_len += bytes.len();
            state.output_total += bytes.len() as u64;
            state.output.push_back(bytes);
        }
        self.note(&mut state);
    }

    pub(super) fn push_errors(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let state = &mut *state;
        let rest = match state.gate.as_mut() {
            Some(gate) if gate.errors.is_some() => {
                let rest = pass(&mut gate.errors, &gate.mark, bytes);
                if rest.is_none() && gate.asked() {
                    match gate.password.take() {
                        Some(password) => {
                            let mut line = password.expose_secret().as_bytes().to_vec();
                            line.push(b'\n');
                            state.input_len += line.len();
                            state.input.push_back(line);
                        }
                        None => {
                            let why = "the password was not accepted".to_owned();
                            state.failure = Some(TransportError::Root { host: self.host.clone(), why });
                            state.abandoned = true;
                        }
                    }
                }
                rest.unwrap_or_default()
            }
            _ => bytes.to_vec(),
        };
        state.settle_gate();
        state.errors.extend(rest);
        if state.errors.len() > 2 * TAIL {
            let cut = state.errors.len() - TAIL;
            state.errors.drain(..cut);
        }
        self.note(state);
    }

    pub(super) fn output_ended(&self) {
        let mut state = self.lock();
        if !state.output_ended {
            state.output_ended = true;
            self.note(&mut state);
        }
    }

    pub(super) fn take_input(&self) -> Input {
        let mut state = self.lock();
        match state.input.pop_front() {
            Some(chunk) => {
                state.input_len -= chunk.len();
                self.note(&mut state);
                Input::Chunk(chunk)
            }
            None if state.input_closed => Input::Closed,
            None => Input::Nothing,
        }
    }

    pub(super) fn input_broken(&self) {
        let mut state = self.lock();
        state.input_broken = true;
        state.input.clear();
        state.input_len = 0;
        self.note(&mut state);
    }

    pub(super) fn touched(&self) {
        self.note(&mut self.lock());
    }

    /// The stream ended on both sides; `signal` is what the server said killed it.
    pub(super) fn ended(&self, signal: Option<String>) {
        let mut state = self.lock();
        if state.failure.is_none() {
            if let Some(gate) = state.gate.take() {
                let said = gate.errors.or(gate.output).unwrap_or_default();
                state.failure = Some(script::never_began(&self.host, gate.rights, &said));
            }
        }
        state.output_ended = true;
        state.ended.get_or_insert(signal);
        self.note(&mut state);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    fn note(&self, state: &mut State) {
        state.moved_at = Some(Instant::now());
        self.moved.notify_all();
    }

    // The caller's side.

    /// Gives the stream up: the pump closes it.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        state.output.clear();
        state.output_len = 0;
        drop(state);
        self.waker.wake();
    }

    fn wait<T>(
        &self,
        limits: &Limits,
        what: &str,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, TransportError> {
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(value) = ready(&mut state) {
                return Ok(value);
            }
            if let Some(error) = &state.failure {
                return Err(error.clone());
            }
            let now = Instant::now();
            let quiet = now.duration_since(state.moved_at.map_or(began, |at| at.max(began)));
            let late = |what: String, limit| TransportError::TimedOut { host: self.host.clone(), what, limit };
            let error = match limits.until {
                _ if limits.cancel.is_cancelled() => TransportError::Cancelled,
                Some((until, limit)) if now >= until => late(what.to_owned(), limit),
                _ if quiet >= limits.silence => late(format!("{what}, and nothing moved"), limits.silence),
                _ => {
                    let waited = self.moved.wait_timeout(state, GLANCE);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
            };
            state.failure = Some(error.clone());
            drop(state);
            self.abandon();
            return Err(error);
        }
    }

    pub(super) fn wait_open(&self, limits: &Limits, what: &str) -> Result<(), TransportError> {
        self.wait(limits, what, |state| state.open.then_some(()))
    }

    pub(super) fn read(&self, buf: &mut [u8], limits: &Limits) -> std::io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let (count, was_full) = self
            .wait(limits, "more output", |state| {
                let full = state.output_len >= QUEUE;
                match state.take_output(buf) {
                    0 if state.output_ended && state.failure.is_none() => Some((0, false)),
                    0 => None,
                    count => Some((count, full)),
                }
            })
            .map_err(into_io)?;
        if was_full {
            self.waker.wake();
        }
        Ok(count)
    }

    pub(super) fn write(&self, bytes: &[u8], limits: &Limits) -> std::io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let piece = &bytes[..bytes.len().min(PIECE)];
        let sent = self
            .wait(limits, "room for more input", |state| {
                if state.input_broken || state.input_closed || state.ended.is_some() {
                    return Some(false);
                }
                if state.failure.is_some() || state.input_len >= QUEUE {
                    return None;
                }
                state.input_len += piece.len();
                state.input.push_back(piece.to_vec());
                Some(true)
            })
            .map_err(into_io)?;
        if !sent {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.waker.wake();
        Ok(piece.len())
    }

    pub(super) fn close_input(&self) {
        self.lock().input_closed = true;
        self.waker.wake();
    }

    /// Waits for the end: the signal the server named, the kept errors and how much output came in all.
    pub(super) fn wait_end(&self, limits: &Limits) -> Result<(Option<String>, Vec<u8>, u64), TransportError> {
        self.wait(limits, "the end of a command", |state| {
            if state.failure.is_some() {
                return None;
            }
            let signal = state.ended.clone()?;
            let from = state.errors.len().saturating_sub(TAIL);
            Some((signal, state.errors[from..].to_vec(), state.output_total))
        })
    }
}

impl State {
    fn settle_gate(&mut self) {
        if self.gate.as_ref().is_some_and(|gate| gate.output.is_none() && gate.errors.is_none()) {
            self.gate = None;
            self.open = true;
        }
    }

    fn take_output(&mut self, buf: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buf.len() {
            let Some(chunk) = self.output.front() else { break };
            let count = (chunk.len() - self.output_at).min(buf.len() - filled);
            buf[filled..filled + count].copy_from_slice(&chunk[self.output_at..self.output_at + count]);
            filled += count;
            self.output_at += count;
            if self.output_at == chunk.len() {
                self.output.pop_front();
                self.output_at = 0;
            }
        }
        self.output_len -= filled;
        filled
    }
}

impl Gate {
    /// Whether a password prompt came; it is taken out of what was seen.
    fn asked(&mut self) -> bool {
        let Some(seen) = self.errors.as_mut() else { return false };
        let Some(at) = seen.windows(self.prompt.len()).position(|w| w == self.prompt) else { return false };
        seen.drain(at..at + self.prompt.len());
        true
    }
}

/// Collects in `seen` until `mark` was found, then gives what follows it; start files may print 64 KiB before it.
fn pass(seen: &mut Option<Vec<u8>>, mark: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let Some(held) = seen.as_mut() else { return Some(bytes.to_vec()) };
    held.extend_from_slice(bytes);
    if let Some(at) = held.windows(mark.len()).position(|w| w == mark) {
        let rest = held.split_off(at + mark.len());
        *seen = None;
        return Some(rest);
    }
    if held.len() > TAIL {
        let cut = held.len() - TAIL / 2;
        held.drain(..cut);
    }
    None
}

/// Wraps a transport error so that [`TransportError::from_io`] finds it again.
pub(super) fn into_io(error: TransportError) -> std::io::Error {
    let kind = match error {
        TransportError::TimedOut { .. } => std::io::ErrorKind::TimedOut,
        TransportError::Lost { .. } => std::io::ErrorKind::ConnectionAborted,
        _ => std::io::ErrorKind::Other,
    };
    std::io::Error::new(kind, error)
}
