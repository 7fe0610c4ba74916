//! A login that fails at a chosen call, in a chosen way.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lifeboat::transport::{Cancel, Dial, Duplex, Endpoint, Output, Running, Script, Transport, TransportError};

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// The link is cut before the script reaches the node; a new login works again.
    CutBefore,
    /// The script runs, but its end is never heard; a new login works again.
    CutAfter,
    /// The console dies before the script: every later call fails.
    CrashBefore,
    /// The console dies right after the script ran: every later call fails.
    CrashAfter,
    /// The operator cancels just before.
    Cancel,
}

/// Counts calls over all logins of a test and trips at one of them.
#[derive(Debug, Default)]
pub struct Wire {
    pub calls: AtomicUsize,
    pub dead: AtomicBool,
    pub at: Option<(usize, Trip)>,
    pub cancel: Mutex<Option<Cancel>>,
}

/// A login with the wire in it.
#[derive(Debug)]
pub struct Tripwire {
    pub inner: Arc<dyn Transport>,
    pub wire: Arc<Wire>,
    pub cut: AtomicBool,
    /// Renewals come from another thread at their own pace: they neither count nor trip, but die with the console.
    pub counts: bool,
}

impl Tripwire {
    fn lost(&self) -> TransportError {
        TransportError::Lost { host: self.inner.endpoint().name.clone(), why: "the test cut it".into() }
    }
}

/// What a call may do.
enum Pass<'a> {
    Through,
    ThenTrip(&'a AtomicBool),
}

impl Tripwire {
    fn pass(&self) -> Result<Pass<'_>, TransportError> {
        if self.wire.dead.load(Ordering::SeqCst) || self.cut.load(Ordering::SeqCst) {
            return Err(self.lost());
        }
        if !self.counts {
            return Ok(Pass::Through);
        }
        let call = self.wire.calls.fetch_add(1, Ordering::SeqCst);
        let Some((_, trip)) = self.wire.at.filter(|(at, _)| *at == call) else { return Ok(Pass::Through) };
        match trip {
            Trip::CutBefore => self.cut.store(true, Ordering::SeqCst),
            Trip::CrashBefore => self.wire.dead.store(true, Ordering::SeqCst),
            Trip::CutAfter => return Ok(Pass::ThenTrip(&self.cut)),
            Trip::CrashAfter => return Ok(Pass::ThenTrip(&self.wire.dead)),
            Trip::Cancel => {
                self.wire.cancel.lock().unwrap().as_ref().unwrap().cancel();
                return Err(TransportError::Cancelled);
            }
        }
        Err(self.lost())
    }
}

impl Transport for Tripwire {
    fn endpoint(&self) -> &Endpoint {
        self.inner.endpoint()
    }
    fn start(&self, script: &Script, cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        match self.pass()? {
            Pass::Through => self.inner.start(script, cancel),
            Pass::ThenTrip(flag) => {
                let mut running = self.inner.start(script, cancel)?;
                let _ = running.close_input();
                let _ = std::io::copy(&mut running, &mut std::io::sink());
                let _ = running.finish();
                flag.store(true, Ordering::SeqCst);
                Err(self.lost())
            }
        }
    }
    fn run(&self, script: &Script, input: &[u8], limit: usize, cancel: &Cancel) -> Result<Output, TransportError> {
        match self.pass()? {
            Pass::Through => self.inner.run(script, input, limit, cancel),
            Pass::ThenTrip(flag) => {
                let _ = self.inner.run(script, input, limit, cancel);
                flag.store(true, Ordering::SeqCst);
                Err(self.lost())
            }
        }
    }
    fn dial(&self, target: &Dial, cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        self.inner.dial(target, cancel)
    }
    fn again(&self) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(Arc::new(Self {
            inner: self.inner.clone(),
            wire: self.wire.clone(),
            cut: AtomicBool::new(false),
            counts: false,
        }))
    }
    fn hang_up(&self) {}
}
