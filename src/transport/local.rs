//! The machine Lifeboat runs on, with the same promises as a node over SSH.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};

use super::lane::{Input, Lane};
use super::root::RootPath;
use super::script::{self, RootWay};
use super::stream::ScriptRun;
use super::waker::Waker;
use super::{Cancel, Dial, Duplex, Endpoint, Rights, Running, Script, Transport, TransportError, into_io};
use crate::model::inventory::Become;
use crate::model::secret::{SecretRef, Secrets};
use crate::process;

/// How to work on this machine.
#[derive(Debug, Clone, Default)]
pub struct LocalSpec {
    /// The host's name in the inventory.
    pub name: String,
    /// How root is reached.
    pub privilege: Become,
    /// Password that `sudo` asks for.
    pub become_password: Option<SecretRef>,
    /// Variables of our environment that hold secrets: no script gets them.
    pub hidden: Vec<String>,
    /// Words put before `/bin/sh`, e.g. `chroot DIR`: a sandboxed node for tests. Dialling is not affected by it.
    pub prefix: Vec<OsString>,
}

struct Local {
    spec: LocalSpec,
    secrets: Arc<dyn Secrets>,
    endpoint: Endpoint,
    root: RootPath,
    over: Arc<AtomicBool>,
}

impl Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Opens this machine and finds out how root is reached.
///
/// # Errors
/// When not even a shell can be started.
pub fn connect(spec: &LocalSpec, secrets: &Arc<dyn Secrets>) -> Result<Arc<dyn Transport>, TransportError> {
    let user = std::env::var("USER").unwrap_or_else(|_| format!("uid {}", geteuid().as_raw()));
    let endpoint = Endpoint {
        name: spec.name.clone(),
        address: "this machine".to_owned(),
        user,
        login: "this process".to_owned(),
        ..Endpoint::default()
    };
    let mut local = Local {
        spec: spec.clone(),
        secrets: Arc::clone(secrets),
        endpoint,
        root: RootPath::default(),
        over: Arc::default(),
    };
    local.root = RootPath::find(geteuid().is_root(), spec.privilege, spec.become_password.is_some(), |probe, way| {
        Box::new(local.run_script(probe, Some(way), &Cancel::new())?).finish()
    })?;
    local.endpoint.root.clone_from(&local.root.told);
    Ok(Arc::new(local))
}

impl Local {
    fn refused(&self, what: &str, why: &dyn std::fmt::Display) -> TransportError {
        TransportError::Refused { host: self.spec.name.clone(), what: what.to_owned(), why: why.to_string() }
    }

    fn run_script(
        &self,
        script: &Script,
        root: Option<&RootWay>,
        cancel: &Cancel,
    ) -> Result<ScriptRun, TransportError> {
        cancel.check()?;
        if self.over.load(Ordering::SeqCst) {
            return Err(hung_up(&self.spec.name));
        }
        let wrapped = script::wrap(script, root);
        let words = wrapped.argv.iter().map(|word| OsString::from_vec(word.clone()));
        let mut words = self.spec.prefix.iter().cloned().chain(words);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env("LC_ALL", "C").process_group(0);
        for name in &self.spec.hidden {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let refused = |error: std::io::Error| {
            let why = error.to_string();
            match script.rights {
                Rights::Root if root.is_some() => script::never_began(&self.spec.name, Rights::Root, why.as_bytes()),
                _ => self.refused("a command", &why),
            }
        };
        let child = process::spawn(&mut command).map_err(refused)?;
        let waker = Arc::new(Waker::new().map_err(refused)?);
        let lane = Arc::new(Lane::gated(&self.spec.name, Arc::clone(&waker), &wrapped, script.rights));
        let mut pump = Pump { child, lane: Arc::clone(&lane), waker, over: Arc::clone(&self.over) };
        std::thread::Builder::new().name("local script".into()).spawn(move || pump.run()).map_err(refused)?;
        ScriptRun::begin(lane, script, cancel, wrapped, None)
    }
}

fn hung_up(host: &str) -> TransportError {
    TransportError::Lost { host: host.to_owned(), why: "it was hung up here".to_owned() }
}

impl Transport for Local {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn start(&self, script: &Script, cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        let password = self.spec.become_password.as_ref();
        let root = match script.rights {
            Rights::Login => None,
            Rights::Root => {
                Some(self.root.way(&self.spec.name, &self.endpoint.user, password, self.secrets.as_ref())?)
            }
        };
        let run = self.run_script(script, root.as_ref(), cancel);
        let run = run.inspect_err(|error| self.root.refused(error, self.secrets.as_ref()))?;
        Ok(Box::new(run))
    }

    fn dial(&self, target: &Dial, cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        cancel.check()?;
        if self.over.load(Ordering::SeqCst) {
            return Err(hung_up(&self.spec.name));
        }
        let failed = |what: String, error: std::io::Error| match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => self.refused(&what, &"nothing listens there"),
            _ => self.refused(&what, &error),
        };
        let plug = match target {
            Dial::Tcp(host, port) => {
                let what = format!("a connection to {host}:{port}");
                let mut found = (host.as_str(), *port).to_socket_addrs().map_err(|e| failed(what.clone(), e))?;
                let address = found.next().ok_or_else(|| self.refused(&what, &"the name has no address"))?;
                let limit = Duration::from_secs(15);
                Plug::Tcp(TcpStream::connect_timeout(&address, limit).map_err(|e| failed(what, e))?)
            }
            Dial::Unix(path) => {
                let what = format!("a connection to {path}");
                Plug::Unix(UnixStream::connect(path).map_err(|e| failed(what, e))?)
            }
        };
        let host = self.spec.name.clone();
        let (over, cancel, timeout) = (Arc::clone(&self.over), cancel.clone(), Duration::from_mins(1));
        let stream = Direct { host, plug, over, cancel, timeout };
        stream.plug.nonblocking().map_err(|e| self.refused("a connection", &e))?;
        Ok(Box::new(stream))
    }

    fn again(&self, cancel: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        cancel.check()?;
        Ok(Arc::new(Self {
            spec: self.spec.clone(),
            secrets: Arc::clone(&self.secrets),
            endpoint: self.endpoint.clone(),
            root: self.root.clone(),
            over: Arc::default(),
        }))
    }

    fn hang_up(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Moves one child's bytes; the wrapper in the child ends the script when its input ends.
struct Pump {
    child: Child,
    lane: Arc<Lane>,
    waker: Arc<Waker>,
    over: Arc<AtomicBool>,
}

/// How long an abandoned child may take to see its end of input before it is signalled.
const GRACE: Duration = Duration::from_secs(5);

impl Pump {
    fn run(&mut self) {
        let result = self.pump();
        if let Err(error) = result {
            self.lane.failed(TransportError::Lost { host: self.lane.host().to_owned(), why: error.to_string() });
        }
        drop((self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take()));
        let mut signals = [Signal::TERM, Signal::KILL].into_iter();
        let mut since = Instant::now();
        let status = loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                break Some(status);
            }
            if since.elapsed() >= GRACE {
                let Some(signal) = signals.next() else { break None };
                let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
                let _ = group.map(|group| kill_process_group(group, signal));
                since = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.lane.ended(status.and_then(|status| status.signal()).map(script::signal_name));
    }

    fn pump(&mut self) -> std::io::Result<()> {
        let (Some(mut stdout), Some(mut stderr)) = (self.child.stdout.take(), self.child.stderr.take()) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let mut stdin = self.child.stdin.take();
        for fd in [stdout.as_fd(), stderr.as_fd()].into_iter().chain(stdin.as_ref().map(AsFd::as_fd)) {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        let (mut out_open, mut err_open) = (true, true);
        let (mut pending, mut sent) = (Vec::new(), 0);
        let mut scratch = vec![0; 128 * 1024];
        while out_open || err_open {
            if self.lane.is_abandoned() {
                return Ok(());
            }
            if self.over.load(Ordering::SeqCst) {
                self.lane.failed(hung_up(self.lane.host()));
                return Ok(());
            }
            let mut moved = false;
            if sent == pending.len() && stdin.is_some() {
                match self.lane.take_input() {
                    Input::Chunk(chunk) => (pending, sent) = (chunk, 0),
                    Input::Closed => stdin = None,
                    Input::Nothing => {}
                }
            }
            if let Some(pipe) = stdin.as_mut().filter(|_| sent < pending.len()) {
                match pipe.write(&pending[sent..]) {
                    Ok(count) => {
                        sent += count;
                        moved = true;
                        self.lane.touched();
                    }
                    Err(error) if is_soft(&error) => {}
                    Err(_) => {
                        (stdin, sent) = (None, pending.len());
                        self.lane.input_broken();
                    }
                }
            }
            if out_open && self.lane.has_room() {
                moved |= take(&mut stdout, &mut scratch, &mut out_open, |bytes| self.lane.push_output(bytes))?;
                if !out_open {
                    self.lane.output_ended();
                }
            }
            if err_open {
                moved |= take(&mut stderr, &mut scratch, &mut err_open, |bytes| self.lane.push_errors(bytes))?;
            }
            if !moved {
                let mut fds = vec![PollFd::from_borrowed_fd(self.waker.fd(), PollFlags::IN)];
                if out_open && self.lane.has_room() {
                    fds.push(PollFd::new(&stdout, PollFlags::IN));
                }
                if err_open {
                    fds.push(PollFd::new(&stderr, PollFlags::IN));
                }
                if let Some(pipe) = stdin.as_ref().filter(|_| sent < pending.len()) {
                    fds.push(PollFd::new(pipe, PollFlags::OUT));
                }
                let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 }));
                self.waker.settle();
            }
        }
        Ok(())
    }
}

fn is_soft(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Reads once; says whether bytes moved, and clears `open` at the end.
fn take(from: &mut impl Read, scratch: &mut [u8], open: &mut bool, give: impl Fn(&[u8])) -> std::io::Result<bool> {
    match from.read(scratch) {
        Ok(0) => *open = false,
        Ok(count) => {
            give(&scratch[..count]);
            return Ok(true);
        }
        Err(error) if is_soft(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(false)
}

enum Plug {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Plug {
    fn nonblocking(&self) -> std::io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(true),
            Self::Unix(socket) => socket.set_nonblocking(true),
        }
    }
}

/// A connection of this machine's own.
struct Direct {
    host: String,
    plug: Plug,
    over: Arc<AtomicBool>,
    cancel: Cancel,
    timeout: Duration,
}

impl Direct {
    fn wait(
        &mut self,
        flags: PollFlags,
        what: &str,
        mut act: impl FnMut(&mut Plug) -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        let began = Instant::now();
        loop {
            match act(&mut self.plug) {
                Err(error) if is_soft(&error) => {}
                result => return result,
            }
            if self.over.load(Ordering::SeqCst) {
                return Err(into_io(hung_up(&self.host)));
            }
            self.cancel.check().map_err(into_io)?;
            if began.elapsed() >= self.timeout {
                let (host, what, limit) = (self.host.clone(), what.to_owned(), self.timeout);
                return Err(into_io(TransportError::TimedOut { host, what, limit }));
            }
            let fd = match &self.plug {
                Plug::Tcp(socket) => socket.as_fd(),
                Plug::Unix(socket) => socket.as_fd(),
            };
            let _ =
                poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 }));
        }
    }
}

impl Read for Direct {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.wait(PollFlags::IN, "more bytes", |plug| match plug {
            Plug::Tcp(socket) => socket.read(buf),
            Plug::Unix(socket) => socket.read(buf),
        })
    }
}

impl Write for Direct {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.wait(PollFlags::OUT, "room for more bytes", |plug| match plug {
            Plug::Tcp(socket) => socket.write(buf),
            Plug::Unix(socket) => socket.write(buf),
        })
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Duplex for Direct {
    fn close_write(&mut self) -> std::io::Result<()> {
        match &self.plug {
            Plug::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Plug::Unix(socket) => socket.shutdown(Shutdown::Write),
        }
    }
    fn set_timeout(&mut self, timeout: Duration) -> std::io::Result<()> {
        self.timeout = timeout;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
