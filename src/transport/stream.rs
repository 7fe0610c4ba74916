//! A lane as its users see it: a running script, or bytes both ways.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lane::{Lane, Limits};
use super::script::Wrapped;
use super::{Cancel, Duplex, Finished, Running, Script, TransportError, script};

/// What must live as long as a stream does: its connection.
pub(super) type Keep = Arc<dyn std::any::Any + Send + Sync>;

/// A script under way on a lane.
pub(super) struct ScriptRun {
    lane: Arc<Lane>,
    limits: Limits,
    nonce: String,
    input: bool,
    _keep: Option<Keep>,
}

impl ScriptRun {
    /// Waits until the script began, and sends what comes before its own input.
    pub(super) fn begin(
        lane: Arc<Lane>,
        script: &Script,
        cancel: &Cancel,
        wrapped: Wrapped,
        keep: Option<Keep>,
    ) -> Result<Self, TransportError> {
        let limits = limits(script, cancel);
        let mut run = Self { lane, limits, nonce: wrapped.nonce, input: script.input, _keep: keep };
        run.lane.wait_open(&run.limits, "a command to begin")?;
        let sent = run.write_all(&wrapped.before_input);
        sent.map_err(|error| TransportError::from_io(run.lane.host(), &error))?;
        Ok(run)
    }
}

/// The limits of a script, counted from now.
fn limits(script: &Script, cancel: &Cancel) -> Limits {
    let until = Instant::now().checked_add(script.timeout).map(|until| (until, script.timeout));
    Limits { cancel: cancel.clone(), until, silence: script.silence }
}

impl Read for ScriptRun {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.lane.read(buf, &self.limits)
    }
}

impl Write for ScriptRun {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.lane.write(buf, &self.limits)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Running for ScriptRun {
    fn close_input(&mut self) -> std::io::Result<()> {
        // Without input the open channel is the sign that the console is still there.
        if self.input {
            self.lane.close_input();
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Finished, TransportError> {
        let _ = self.close_input();
        let mut sink = vec![0; 64 * 1024];
        loop {
            match self.read(&mut sink) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(TransportError::from_io(self.lane.host(), &error)),
            }
        }
        let (signal, stderr, bytes) = self.lane.wait_end(&self.limits)?;
        Ok(script::judge(&stderr, &self.nonce, signal.as_deref(), bytes))
    }
}

impl Drop for ScriptRun {
    fn drop(&mut self) {
        self.lane.abandon();
    }
}

/// A connection from the node on a lane.
pub(super) struct LaneStream {
    lane: Arc<Lane>,
    limits: Limits,
    _keep: Option<Keep>,
}

impl LaneStream {
    pub(super) fn new(lane: Arc<Lane>, cancel: &Cancel, keep: Option<Keep>) -> Self {
        let limits = Limits { cancel: cancel.clone(), until: None, silence: Duration::from_mins(1) };
        Self { lane, limits, _keep: keep }
    }
}

impl Read for LaneStream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.lane.read(buf, &self.limits)
    }
}

impl Write for LaneStream {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.lane.write(buf, &self.limits)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Duplex for LaneStream {
    fn close_write(&mut self) -> std::io::Result<()> {
        self.lane.close_input();
        Ok(())
    }
    fn set_timeout(&mut self, timeout: Duration) -> std::io::Result<()> {
        self.limits.silence = timeout;
        Ok(())
    }
}

impl Drop for LaneStream {
    fn drop(&mut self) {
        self.lane.abandon();
    }
}

/// Joins a lane with a local socket, both ways, until both have ended: how a session runs inside another.
pub(super) fn relay(far: LaneStream, near: UnixStream) -> std::io::Result<()> {
    let limits = Limits { cancel: Cancel::new(), until: None, silence: Duration::MAX };
    let (lane, other) = (Arc::clone(&far.lane), near.try_clone()?);
    let up_limits = limits.clone();
    std::thread::Builder::new().name("jump up".into()).spawn(move || {
        let mut buf = vec![0; 64 * 1024];
        'all: while let Ok(count @ 1..) = (&other).read(&mut buf) {
            let mut rest = &buf[..count];
            while !rest.is_empty() {
                match lane.write(rest, &up_limits) {
                    Ok(sent) => rest = &rest[sent..],
                    Err(_) => break 'all,
                }
            }
        }
        lane.close_input();
        let _ = other.shutdown(Shutdown::Both);
    })?;
    std::thread::Builder::new().name("jump down".into()).spawn(move || {
        let mut buf = vec![0; 256 * 1024];
        while let Ok(count @ 1..) = far.lane.read(&mut buf, &limits) {
            if (&near).write_all(&buf[..count]).is_err() {
                break;
            }
        }
        let _ = near.shutdown(Shutdown::Both);
        drop(far);
    })?;
    Ok(())
}
