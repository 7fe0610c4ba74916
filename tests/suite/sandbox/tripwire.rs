//! A login that fails at a chosen call, in a chosen way.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat::engine::board::Board;
use lifeboat::model::event::EventKind;
use lifeboat::model::text::CleanText;
use lifeboat::transport::{
    Cancel, Dial, Duplex, End, Endpoint, Finished, Output, Running, Script, Transport, TransportError,
};

use super::untrue::Mouth;

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// The node itself refuses: a script does nothing and ends with status 1, a port is closed.
    Fail,
    /// The link is cut before the call reaches the node; a new login works again.
    CutBefore,
    /// The link is cut when the script has begun and none of its input has arrived: it reads an end, and goes on.
    CutInput,
    /// The same, and the console is gone with the link.
    CrashInput,
    /// The call acts, but its end is never heard; a new login works again.
    CutAfter,
    /// The console dies before the call: every later one fails.
    CrashBefore,
    /// The console dies right after the call acted: every later one fails.
    CrashAfter,
    /// The operator cancels just before.
    Cancel,
}

/// A call as it was seen: during which step, whether it is the step's own act rather than the engine's bookkeeping, and
/// whether it shows the run's mark, as everything does that changes a node.
#[derive(Debug, Clone)]
pub struct Call {
    pub step: Option<String>,
    pub is_act: bool,
    pub changes: bool,
    /// Whether it shows the run's mark outside any step: what undoes one, and what closes the run.
    pub tidies: bool,
}

/// Counts calls over all logins of a test and trips at one of them.
#[derive(Default)]
pub struct Wire {
    pub calls: AtomicUsize,
    pub dead: AtomicBool,
    pub at: Option<(usize, Trip)>,
    pub cancel: Mutex<Option<Cancel>>,
    /// The run's board, to tell which step a call belongs to.
    pub board: Option<Arc<Board>>,
    pub seen: Mutex<Vec<Call>>,
    /// Done at the moment the console dies.
    pub on_death: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// What nodes say in place of the truth, if they lie.
    pub mouth: Option<Arc<Mouth>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Wire {
    fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        // What a dead console would still do by itself, such as publishing, it does not.
        if let Some(cancel) = &*self.cancel.lock().unwrap() {
            cancel.cancel();
        }
        if let Some(last) = self.on_death.lock().unwrap().take() {
            last();
        }
    }

    fn note(&self, text: &str) {
        let Some(board) = &self.board else { return };
        let mut step = None;
        for event in board.since(0) {
            match event.kind {
                EventKind::StepStarted { step: begun, .. } => step = Some(begun.to_string()),
                EventKind::StepFinished { .. } | EventKind::StepSkipped { .. } | EventKind::StepReverted { .. } => {
                    step = None;
                }
                _ => {}
            }
        }
        let is_engine_s = text.contains("guard.new") || text.contains(">>\"$d/journal.jsonl\"");
        let is_act = step.is_some() && !is_engine_s;
        self.seen.lock().unwrap().push(Call {
            is_act,
            changes: is_act && text.contains("|| exit 96"),
            tidies: step.is_none() && !is_engine_s && text.contains("|| exit 96"),
            step,
        });
    }
}

/// A login with the wire in it.
#[derive(Debug)]
pub struct Tripwire {
    pub inner: Arc<dyn Transport>,
    pub wire: Arc<Wire>,
    pub cut: Arc<AtomicBool>,
    /// Renewals come from another thread at their own pace: they neither count nor trip, but die with the console.
    pub counts: bool,
}

/// What a call may do.
enum Pass {
    Through,
    /// The node refuses.
    Refused,
    /// It acts, and then the login or the console is gone.
    ThenGone(Gone),
    /// It acts on no input at all, and the login or the console is gone.
    Starved(Gone),
}

/// How a call ends that is never heard of again.
struct Gone {
    wire: Arc<Wire>,
    cut: Arc<AtomicBool>,
    crash: bool,
}

impl Gone {
    fn happen(&self) {
        if self.crash { self.wire.die() } else { self.cut.store(true, Ordering::SeqCst) }
    }
}

fn lost(host: &str) -> TransportError {
    TransportError::Lost { host: host.to_owned(), why: "the test cut it".into() }
}

impl Tripwire {
    fn lost(&self) -> TransportError {
        lost(&self.inner.endpoint().name)
    }

    fn pass(&self, text: &str) -> Result<Pass, TransportError> {
        if self.wire.dead.load(Ordering::SeqCst) || self.cut.load(Ordering::SeqCst) {
            return Err(self.lost());
        }
        if !self.counts {
            return Ok(Pass::Through);
        }
        self.wire.note(text);
        let call = self.wire.calls.fetch_add(1, Ordering::SeqCst);
        let Some((_, trip)) = self.wire.at.filter(|(at, _)| *at == call) else { return Ok(Pass::Through) };
        let gone = |crash| Gone { wire: self.wire.clone(), cut: self.cut.clone(), crash };
        match trip {
            Trip::Fail => Ok(Pass::Refused),
            Trip::CutBefore => {
                gone(false).happen();
                Err(self.lost())
            }
            Trip::CrashBefore => {
                gone(true).happen();
                Err(self.lost())
            }
            Trip::CutInput => Ok(Pass::Starved(gone(false))),
            Trip::CrashInput => Ok(Pass::Starved(gone(true))),
            Trip::CutAfter => Ok(Pass::ThenGone(gone(false))),
            Trip::CrashAfter => Ok(Pass::ThenGone(gone(true))),
            Trip::Cancel => {
                self.wire.cancel.lock().unwrap().as_ref().unwrap().cancel();
                Err(TransportError::Cancelled)
            }
        }
    }
}

impl Transport for Tripwire {
    fn endpoint(&self) -> &Endpoint {
        self.inner.endpoint()
    }
    fn start(&self, script: &Script, cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        match self.pass(&script.text)? {
            Pass::Through => self.inner.start(script, cancel),
            Pass::Refused => {
                Ok(Box::new(Over::with(Vec::new(), End::Exited(1), CleanText::new("the test refused it"))))
            }
            Pass::ThenGone(gone) => {
                let host = self.inner.endpoint().name.clone();
                Ok(Box::new(Torn { inner: self.inner.start(script, cancel)?, gone, host, is_starved: false }))
            }
            Pass::Starved(gone) => {
                let host = self.inner.endpoint().name.clone();
                let mut inner = self.inner.start(script, cancel)?;
                let _ = inner.close_input();
                Ok(Box::new(Torn { inner, gone, host, is_starved: true }))
            }
        }
    }
    fn run(&self, script: &Script, input: &[u8], limit: usize, cancel: &Cancel) -> Result<Output, TransportError> {
        match self.pass(&script.text)? {
            Pass::Through => self.inner.run(script, input, limit, cancel),
            Pass::Refused => {
                Ok(Output { stdout: Vec::new(), stderr: "the test refused it".into(), end: End::Exited(1) })
            }
            Pass::ThenGone(gone) => {
                let _ = self.inner.run(script, input, limit, cancel);
                gone.happen();
                Err(self.lost())
            }
            Pass::Starved(gone) => {
                let _ = self.inner.run(script, &[], limit, cancel);
                gone.happen();
                Err(self.lost())
            }
        }
    }
    fn dial(&self, target: &Dial, cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        let host = self.inner.endpoint().name.clone();
        match self.pass("dial")? {
            Pass::Through => self.inner.dial(target, cancel),
            Pass::Refused => {
                Err(TransportError::Refused { host, what: format!("{target:?}"), why: "the test closed it".into() })
            }
            Pass::ThenGone(gone) | Pass::Starved(gone) => {
                Ok(Box::new(Unheard { inner: self.inner.dial(target, cancel)?, gone, host }))
            }
        }
    }
    fn again(&self, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(Arc::new(Self { inner: self.inner.clone(), wire: self.wire.clone(), cut: Arc::default(), counts: false }))
    }
    fn hang_up(&self) {}
}

/// A script that is over, with all it says; what is written to it goes nowhere.
pub struct Over {
    said: io::Cursor<Vec<u8>>,
    end: End,
    stderr: CleanText,
}

impl Over {
    pub fn with(said: Vec<u8>, end: End, stderr: CleanText) -> Self {
        Self { said: io::Cursor::new(said), end, stderr }
    }
}

impl Read for Over {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.said.read(out)
    }
}
impl Write for Over {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Running for Over {
    fn close_input(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<Finished, TransportError> {
        Ok(Finished { end: self.end, stderr: self.stderr, stdout_bytes: self.said.get_ref().len() as u64 })
    }
}

/// A script that comes to its end unheard.
struct Torn {
    inner: Box<dyn Running>,
    gone: Gone,
    host: String,
    is_starved: bool,
}
impl Read for Torn {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.inner.read(out)
    }
}
impl Write for Torn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_starved { Ok(bytes.len()) } else { self.inner.write(bytes) }
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
impl Running for Torn {
    fn close_input(&mut self) -> io::Result<()> {
        self.inner.close_input()
    }
    fn finish(self: Box<Self>) -> Result<Finished, TransportError> {
        let _ = self.inner.finish();
        self.gone.happen();
        Err(lost(&self.host))
    }
}

/// A request that is answered unheard.
struct Unheard {
    inner: Box<dyn Duplex>,
    gone: Gone,
    host: String,
}
impl Read for Unheard {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        // The word to go on is still heard: it is the answer that is not.
        if out[..count].starts_with(b"HTTP/1.1 100 ") {
            return Ok(count);
        }
        self.gone.happen();
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, lost(&self.host)))
    }
}
impl Write for Unheard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
impl Duplex for Unheard {
    fn close_write(&mut self) -> io::Result<()> {
        self.inner.close_write()
    }
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.inner.set_timeout(timeout)
    }
}
