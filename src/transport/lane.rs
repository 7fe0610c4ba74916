//! The bounded queues between the thread that owns a connection and the thread that uses one stream of it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;

use super::gate::Gate;
use super::waker::Waker;
use super::{Cancel, Rights, TransportError, into_io, script};

/// Unread output and unsent input are each held to about this much; the sender waits for room.
pub(super) const QUEUE: usize = 1 << 19;
/// One piece of input.
const PIECE: usize = 64 * 1024;
/// What is kept of standard error.
const TAIL: usize = 64 * 1024;
/// How often a waiting caller looks at its [`Cancel`].
const GLANCE: Duration = Duration::from_millis(50);

/// One stream pair of a connection.
pub(super) struct Lane {
    host: String,
    state: Mutex<State>,
    moved: Condvar,
    waker: Arc<Waker>,
}

/// No `Debug`: a password may be on its way in the input.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent end of a stream")]
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
    ended: Option<Ended>,
    failure: Option<TransportError>,
    abandoned: bool,
    moved_at: Option<Instant>,
    gate: Option<Gate>,
}

/// The end of a stream pair, with the signal the server named.
#[derive(Clone)]
struct Ended {
    signal: Option<String>,
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
        lane.lock().gate = Some(Gate::new(wrapped, rights));
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
            Some(gate) => match gate.output(bytes) {
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
                let rest = gate.errors(bytes);
                if rest.is_none() && gate.asked() {
                    if let Some(password) = gate.password.take() {
                        let mut line = password.expose_secret().as_bytes().to_vec();
                        line.push(b'\n');
                        state.input_len += line.len();
                        state.input.push_back(line);
                    } else {
                        let why = "the password was not accepted".to_owned();
                        state.failure = Some(TransportError::Root { host: self.host.clone(), why });
                        state.abandoned = true;
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
        if state.failure.is_none()
            && let Some(gate) = state.gate.take()
        {
            let said = [gate.output.unwrap_or_default(), gate.errors.unwrap_or_default()].concat();
            state.failure = Some(script::never_began(&self.host, gate.rights, &said));
        }
        state.output_ended = true;
        state.ended.get_or_insert(Ended { signal });
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
                _ if quiet >= limits.silence => {
                    late(format!("it was waited for {what}, and nothing moved"), limits.silence)
                }
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
            let Ended { signal } = state.ended.clone()?;
            let from = state.errors.len().saturating_sub(TAIL);
            Some((signal, state.errors[from..].to_vec(), state.output_total))
        })
    }
}

impl State {
    fn settle_gate(&mut self) {
        if self.gate.as_ref().is_some_and(Gate::is_open) {
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
