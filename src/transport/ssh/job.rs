//! One channel from its opening to its end, stepped by the owner thread without ever blocking.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh2::{BlockDirections, Channel, Error, Session, Stream};

use super::super::Dial;
use super::super::budget::Share;
use super::super::lane::{Input, Lane};
use super::errors::{AGAIN, COMMAND, code_of, is_fatal, refused, ssh_why};
use super::owner::Turn;

/// What a channel is for.
#[derive(Debug)]
pub(super) enum Task {
    /// Runs a command.
    Exec(String),
    /// Connects from the node.
    Dial(Dial),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Starting,
    Pumping,
    Closing(Instant),
    Done,
}

/// A channel and the lane it serves.
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) lane: Arc<Lane>,
    task: Task,
    share: Share,
    stage: Stage,
    channel: Option<(Channel, Stream)>,
    asked: Option<Instant>,
    pending: Vec<u8>,
    sent: usize,
    eof_sent: bool,
    ended: bool,
    retried: bool,
    /// Since when it cannot leave for its half-sent packet.
    stuck: Option<Instant>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// Bytes a channel may move per turn, so that every channel gets its turn.
const FAIR: usize = 256 * 1024;
/// How long a channel may take to close before it is left to the session's end.
const CLOSING: Duration = Duration::from_secs(5);

/// One library call: done, to be tried again, or failed.
enum Tried<T> {
    Yes(T),
    Again,
    Failed(Error),
}

fn tried<T>(result: Result<T, Error>) -> Tried<T> {
    match result {
        Ok(value) => Tried::Yes(value),
        Err(error) if code_of(&error) == AGAIN => Tried::Again,
        Err(error) => Tried::Failed(error),
    }
}

impl Job {
    pub(super) fn new(lane: Arc<Lane>, task: Task, share: Share) -> Self {
        Self {
            id: 0,
            lane,
            task,
            share,
            stage: Stage::Opening,
            channel: None,
            asked: None,
            pending: Vec::new(),
            sent: 0,
            eof_sent: false,
            ended: false,
            retried: false,
            stuck: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Goes on as far as it can without waiting. An error is the end of the whole session.
    pub(super) fn step(&mut self, session: &Session, turn: &mut Turn) -> Result<bool, String> {
        let did = match self.stage {
            Stage::Opening => self.open(session, turn),
            Stage::Starting => self.start(session, turn),
            Stage::Pumping => self.pump(session, turn),
            Stage::Closing(since) => self.close(session, turn, since),
            Stage::Done => Ok(false),
        }?;
        if turn.opening == Some(self.id) && self.stage != Stage::Opening {
            turn.opening = None;
        }
        let is_leaving = self.lane.is_abandoned() || matches!(self.stage, Stage::Closing(_));
        let is_stuck = is_leaving && turn.writer == Some(self.id);
        self.stuck = is_stuck.then(|| self.stuck.unwrap_or_else(Instant::now));
        // Nothing else of this session could be sent either; the next call logs in anew.
        if self.stuck.is_some_and(|since| since.elapsed() >= CLOSING) {
            return Err("it took nothing more of what was being sent".to_owned());
        }
        Ok(did)
    }

    /// After a call that writes: keeps the write order when its packet is half sent.
    fn wrote(&self, session: &Session, turn: &mut Turn, again: bool) {
        let blocked = matches!(session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
        if again && blocked {
            // Only one packet can be half sent: a call that had to wait while another's is has sent nothing.
            turn.writer.get_or_insert(self.id);
        } else if turn.writer == Some(self.id) {
            turn.writer = None;
        }
    }

    fn what(&self) -> String {
        match &self.task {
            Task::Exec(_) => COMMAND.to_owned(),
            Task::Dial(Dial::Tcp(host, port)) => format!("a connection to {host}:{port}"),
            Task::Dial(Dial::Unix(path)) => format!("a connection to {path}"),
        }
    }

    fn open(&mut self, session: &Session, turn: &mut Turn) -> Result<bool, String> {
        let mine = turn.opening == Some(self.id);
        if !mine && (turn.opening.is_some() || !turn.may_write(self.id)) {
            return Ok(false);
        }
        if !mine && self.lane.is_abandoned() {
            self.stage = Stage::Done;
            return Ok(true);
        }
        turn.opening = Some(self.id);
        let asked = *self.asked.get_or_insert_with(Instant::now);
        let result = match &self.task {
            Task::Exec(_) => {
                let window = u32::try_from(self.share.bytes()).unwrap_or(u32::MAX);
                session.channel_open("session", window, 32_768, None)
            }
            Task::Dial(Dial::Tcp(host, port)) => session.channel_direct_tcpip(host, *port, None),
            Task::Dial(Dial::Unix(path)) => session.channel_direct_streamlocal(path, None),
        };
        match tried(result) {
            Tried::Again => {
                self.wrote(session, turn, true);
                Ok(false)
            }
            Tried::Yes(channel) => {
                self.wrote(session, turn, false);
                let errors = channel.stderr();
                self.channel = Some((channel, errors));
                self.stage = Stage::Starting;
                // What lies behind the node's end of a connection takes time of its own.
                turn.opened = matches!(self.task, Task::Exec(_)).then(|| asked.elapsed());
                if matches!(self.task, Task::Dial(_)) {
                    self.lane.opened();
                    self.stage = Stage::Pumping;
                }
                Ok(true)
            }
            Tried::Failed(error) if is_fatal(code_of(&error)) => Err(ssh_why(&error)),
            Tried::Failed(error) => {
                self.wrote(session, turn, false);
                self.lane.failed(refused(self.lane.host(), &self.what(), &error));
                self.stage = Stage::Done;
                Ok(true)
            }
        }
    }

    fn start(&mut self, session: &Session, turn: &mut Turn) -> Result<bool, String> {
        if !turn.may_write(self.id) {
            return Ok(false);
        }
        let (Some((channel, _)), Task::Exec(command)) = (self.channel.as_mut(), &self.task) else {
            self.stage = Stage::Done;
            return Ok(true);
        };
        match tried(channel.exec(command)) {
            Tried::Again => {
                self.wrote(session, turn, true);
                Ok(false)
            }
            Tried::Yes(()) => {
                self.wrote(session, turn, false);
                self.lane.opened();
                self.stage = Stage::Pumping;
                Ok(true)
            }
            // A known fault of the library: the channel is dead though nothing was sent. Once, another one.
            Tried::Failed(error) if code_of(&error) == -1 && !self.retried => {
                self.wrote(session, turn, false);
                (self.channel, self.asked, self.retried, self.stage) = (None, None, true, Stage::Opening);
                Ok(true)
            }
            Tried::Failed(error) if is_fatal(code_of(&error)) => Err(ssh_why(&error)),
            Tried::Failed(error) => {
                self.wrote(session, turn, false);
                self.lane.failed(refused(self.lane.host(), COMMAND, &error));
                self.stage = Stage::Closing(Instant::now());
                Ok(true)
            }
        }
    }

    fn pump(&mut self, session: &Session, turn: &mut Turn) -> Result<bool, String> {
        let abandoned = self.lane.is_abandoned();
        if abandoned && turn.writer != Some(self.id) {
            self.stage = Stage::Closing(Instant::now());
            return Ok(true);
        }
        // A half-sent packet goes out whole first, by the very call that began it, at this very place: the library knows
        // it by its address, and until it is gone puts off every other packet, the end of this stream included.
        let budget = if abandoned { 1 } else { FAIR };
        let wrote = if turn.may_write(self.id) { self.send(session, turn, budget)? } else { false };
        let read = self.receive(session, turn, !abandoned)?;
        let Some((channel, _)) = self.channel.as_ref() else { return Ok(wrote) };
        if !self.ended && channel.eof() {
            self.ended = true;
            self.lane.output_ended();
        }
        let left = self.ended && !self.eof_sent && turn.writer != Some(self.id) && self.is_closed_there()?;
        if left {
            (self.pending, self.sent, self.eof_sent) = (Vec::new(), 0, true);
            self.lane.input_broken();
        }
        let finished = self.ended && (self.eof_sent || matches!(self.task, Task::Exec(_)));
        if finished {
            self.stage = Stage::Closing(Instant::now());
        }
        Ok(wrote || read || finished)
    }

    /// Whether the node has closed a connection of which we have not ended our half, as it does when what listened there
    /// has died. It takes nothing more then, and the library, which waits for a window, never says so.
    fn is_closed_there(&mut self) -> Result<bool, String> {
        let (Some((channel, _)), Task::Dial(_)) = (self.channel.as_mut(), &self.task) else { return Ok(false) };
        match tried(channel.wait_close()) {
            Tried::Yes(()) => Ok(true),
            Tried::Failed(error) if is_fatal(code_of(&error)) => Err(ssh_why(&error)),
            Tried::Again | Tried::Failed(_) => Ok(false),
        }
    }

    /// Sends what there is of input, about `budget` bytes of it.
    fn send(&mut self, session: &Session, turn: &mut Turn, mut budget: usize) -> Result<bool, String> {
        let Some((channel, _)) = self.channel.as_mut() else { return Ok(false) };
        let mut moved = false;
        let mut again = false;
        while budget > 0 && !self.eof_sent {
            if self.sent == self.pending.len() {
                match self.lane.take_input() {
                    Input::Chunk(chunk) => (self.pending, self.sent) = (chunk, 0),
                    Input::Nothing => break,
                    Input::Closed => match tried(channel.send_eof()) {
                        Tried::Again => {
                            again = true;
                            break;
                        }
                        Tried::Failed(error) if is_fatal(code_of(&error)) => return Err(ssh_why(&error)),
                        Tried::Yes(()) | Tried::Failed(_) => {
                            self.eof_sent = true;
                            moved = true;
                            continue;
                        }
                    },
                }
            }
            match channel.write(&self.pending[self.sent..]) {
                Ok(0) => break,
                Ok(count) => {
                    self.sent += count;
                    budget = budget.saturating_sub(count);
                    moved = true;
                    self.lane.touched();
                }
                Err(error) if soft(session, &error)? => {
                    again = true;
                    break;
                }
                Err(_) => {
                    (self.pending, self.sent, self.eof_sent) = (Vec::new(), 0, true);
                    self.lane.input_broken();
                    moved = true;
                }
            }
        }
        self.wrote(session, turn, again);
        Ok(moved)
    }

    /// Reads both streams; while the lane has no room its output stays where it is, but errors are always drained.
    fn receive(&mut self, session: &Session, turn: &mut Turn, keep: bool) -> Result<bool, String> {
        let Some((channel, errors)) = self.channel.as_mut() else { return Ok(false) };
        let mut moved = 0;
        while moved < FAIR && (!keep || self.lane.has_room()) {
            match channel.read(&mut turn.scratch) {
                Ok(0) => break,
                Ok(count) => {
                    moved += count;
                    if keep {
                        self.lane.push_output(&turn.scratch[..count]);
                    }
                }
                Err(error) => {
                    soft(session, &error)?;
                    break;
                }
            }
        }
        let mut noise = 0;
        while noise < FAIR {
            match errors.read(&mut turn.scratch) {
                Ok(0) => break,
                Ok(count) => {
                    noise += count;
                    if keep {
                        self.lane.push_errors(&turn.scratch[..count]);
                    }
                }
                Err(error) => {
                    soft(session, &error)?;
                    break;
                }
            }
        }
        Ok(moved + noise > 0)
    }

    fn close(&mut self, session: &Session, turn: &mut Turn, since: Instant) -> Result<bool, String> {
        let read = self.receive(session, turn, false)?;
        if !turn.may_write(self.id) {
            return Ok(read);
        }
        let Some((channel, _)) = self.channel.as_mut() else {
            self.stage = Stage::Done;
            return Ok(true);
        };
        match tried(channel.close()) {
            Tried::Again => {
                self.wrote(session, turn, true);
                if since.elapsed() < CLOSING || turn.writer == Some(self.id) {
                    return Ok(read);
                }
            }
            Tried::Failed(error) if is_fatal(code_of(&error)) => return Err(ssh_why(&error)),
            _ => self.wrote(session, turn, false),
        }
        let signal = self.channel.as_ref().and_then(|(channel, _)| channel.exit_signal().ok()?.exit_signal);
        self.lane.ended(signal);
        self.stage = Stage::Done;
        Ok(true)
    }
}

/// Whether a failed read or write may simply be tried later; an error that ends the session is passed on.
fn soft(session: &Session, error: &std::io::Error) -> Result<bool, String> {
    if error.kind() == ErrorKind::WouldBlock {
        return Ok(true);
    }
    match Error::last_session_error(session) {
        Some(inner) if is_fatal(code_of(&inner)) => Err(ssh_why(&inner)),
        _ => Ok(false),
    }
}
