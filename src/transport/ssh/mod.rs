//! SSH: one owner thread per session, a verified host key, native jump hosts.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ssh2::{MethodType, Session};

use super::budget::Budget;
use super::known_hosts::{HostKey, KnownHosts};
use super::lane::{Lane, Limits};
use super::root::RootPath;
use super::script::RootWay;
use super::stream::{Keep, LaneStream, ScriptRun};
use super::{Cancel, Dial, Duplex, Endpoint, Rights, Running, Script, Transport, TransportError};
use crate::model::secret::Secrets;
use crate::model::text::CleanText;

mod auth;
mod errors;
mod job;
mod notes;
mod owner;
mod spec;
mod version;
mod wire;

pub use spec::{Sourced, SshSpec};
pub use version::linked_libssh2_version;

use job::{Job, Task};
use owner::Link;

/// The longest command line an SSH packet of the library carries; what is longer comes as input.
const LONGEST_COMMAND: usize = 32_000;

/// One logged-in session and the way to it.
struct Shared {
    spec: SshSpec,
    secrets: Arc<dyn Secrets>,
    link: Arc<Link>,
    endpoint: Endpoint,
    root: RootPath,
    via: Option<Arc<Shared>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ssh").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The inner session first; the hop it runs through is let go after this.
        self.link.close();
    }
}

/// A login over SSH.
#[derive(Debug, Clone)]
struct Ssh(Arc<Shared>);

/// Connects, verifies the host's key, logs in and finds out how root is reached.
///
/// # Errors
/// Each stage has its own: [`TransportError::Unreachable`], [`TransportError::HostKey`], [`TransportError::Login`].
pub fn connect(
    spec: &SshSpec,
    secrets: &Arc<dyn Secrets>,
    cancel: &Cancel,
) -> Result<Arc<dyn Transport>, TransportError> {
    let via = hops(spec, secrets, cancel)?;
    let shared = session(spec, secrets, via, true, cancel)?;
    Ok(Arc::new(Ssh(Arc::new(shared))))
}

/// Learns a host's key without logging in, for `enroll`. Jump hosts on the way are logged in to.
///
/// # Errors
/// As [`connect`], without the login.
pub fn scan_host_key(spec: &SshSpec, secrets: &Arc<dyn Secrets>, cancel: &Cancel) -> Result<HostKey, TransportError> {
    let via = hops(spec, secrets, cancel)?;
    let link = link(spec)?;
    let spec = spec.clone();
    let own = Arc::clone(&link);
    let stop = cancel.clone();
    off_thread(&link, cancel, move || {
        let wire = wire::reach(&spec, via.as_ref(), &own, &stop)?;
        wire::shake(&spec, wire, &KnownHosts::default()).map(|(_, _, key)| key)
    })
}

fn hops(spec: &SshSpec, secrets: &Arc<dyn Secrets>, cancel: &Cancel) -> Result<Option<Arc<Shared>>, TransportError> {
    let mut via: Option<Arc<Shared>> = None;
    for hop in &spec.jump {
        via = Some(Arc::new(session(hop, secrets, via, false, cancel)?));
    }
    Ok(via)
}

fn setting(spec: &SshSpec, why: &dyn std::fmt::Display) -> TransportError {
    TransportError::Setting { host: spec.name.clone(), why: why.to_string() }
}

fn link(spec: &SshSpec) -> Result<Arc<Link>, TransportError> {
    Link::new(&spec.name).map(Arc::new).map_err(|error| setting(spec, &error))
}

/// Threads that may be inside the SSH library right now.
static LIVE: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Counts one such thread for as long as it lives.
struct Live;

impl Live {
    fn begin() -> Self {
        *LIVE.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        *LIVE.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        LIVE.1.notify_all();
    }
}

/// Waits until every session that was closed has let go of the SSH library, at most for `limit`.
///
/// The program calls this before it ends, so that every node hears a goodbye and frees its side.
pub fn settle(limit: Duration) {
    let live = LIVE.0.lock().unwrap_or_else(PoisonError::into_inner);
    drop(LIVE.1.wait_timeout_while(live, limit, |live| *live > 0));
}

/// What the owner thread tells once it has logged in.
type Slot<T> = Arc<(Mutex<Option<Result<T, TransportError>>>, Condvar)>;

fn wait_slot<T>(slot: &Slot<T>, link: &Link, cancel: &Cancel) -> Result<T, TransportError> {
    let (value, wake) = &**slot;
    let mut held = value.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(result) = held.take() {
            return result;
        }
        if cancel.is_cancelled() {
            link.hang_up();
            return Err(TransportError::Cancelled);
        }
        // The thread that waits there cannot be ended; when it is let go it finds the connection hung up.
        if let Some((what, limit)) = link.outside.overdue() {
            link.hang_up();
            return Err(TransportError::TimedOut { host: link.host.clone(), what: what.to_owned(), limit });
        }
        held = wake.wait_timeout(held, Duration::from_millis(50)).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn fill<T>(slot: &Slot<T>, result: Result<T, TransportError>) {
    *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    slot.1.notify_all();
}

/// Runs a blocking job so that the caller can still be cancelled.
fn off_thread<T: Send + 'static>(
    link: &Arc<Link>,
    cancel: &Cancel,
    job: impl FnOnce() -> Result<T, TransportError> + Send + 'static,
) -> Result<T, TransportError> {
    let slot: Slot<T> = Arc::default();
    let theirs = Arc::clone(&slot);
    let thread = std::thread::Builder::new().name(format!("ssh {}", link.host));
    let live = Live::begin();
    let spawned = thread.spawn(move || {
        let _live = live;
        fill(&theirs, job());
    });
    spawned.map_err(|error| link.lost(error.to_string()))?;
    wait_slot(&slot, link, cancel)
}

fn session(
    spec: &SshSpec,
    secrets: &Arc<dyn Secrets>,
    via: Option<Arc<Shared>>,
    root: bool,
    cancel: &Cancel,
) -> Result<Shared, TransportError> {
    let link = link(spec)?;
    let slot: Slot<Endpoint> = Arc::default();
    let link_name = spec.name.clone();
    {
        let (spec, secrets, via) = (spec.clone(), Arc::clone(secrets), via.clone());
        let (link, slot, cancel) = (Arc::clone(&link), Arc::clone(&slot), cancel.clone());
        let thread = std::thread::Builder::new().name(format!("ssh {}", spec.name));
        let live = Live::begin();
        let spawned = thread.spawn(move || {
            let _live = live;
            // The hop is held by the handles, not by this thread, so that the chain closes inner first.
            let opened = open(&spec, &secrets, via.as_ref(), &link, &cancel);
            drop(via);
            match opened {
                Ok((session, socket, endpoint)) => {
                    fill(&slot, Ok(endpoint));
                    owner::serve(&link, &session, std::os::fd::AsFd::as_fd(&socket));
                }
                Err(error) => {
                    link.cord.pull();
                    fill(&slot, Err(error));
                }
            }
        });
        if let Err(error) = spawned {
            return Err(TransportError::Setting { host: link_name, why: error.to_string() });
        }
    }
    let endpoint = wait_slot(&slot, &link, cancel)?;
    let mut shared =
        Shared { spec: spec.clone(), secrets: Arc::clone(secrets), link, endpoint, root: RootPath::default(), via };
    if root {
        let is_root = spec.user.value == "root";
        shared.root = RootPath::find(is_root, spec.privilege, spec.become_password.is_some(), |probe, way| {
            Box::new(shared.run_script(probe, Some(way), None, cancel)?).finish()
        })?;
        shared.endpoint.root.clone_from(&shared.root.told);
    }
    Ok(shared)
}

fn open(
    spec: &SshSpec,
    secrets: &Arc<dyn Secrets>,
    via: Option<&Arc<Shared>>,
    link: &Link,
    cancel: &Cancel,
) -> Result<(Session, std::os::fd::OwnedFd, Endpoint), TransportError> {
    let mut known = KnownHosts::read(&spec.known_hosts);
    known.revoke(&spec.revoked_keys);
    let notes = notes::of(spec, &known, via);
    let telling = |error| notes::told_with(error, &notes);
    let wire = wire::reach(spec, via, link, cancel).map_err(telling)?;
    let measured = wire.round_trip;
    let (session, socket, key) = wire::shake(spec, wire, &known).map_err(telling)?;
    let source = wire::judge(spec, &known, &key).map_err(telling)?;
    let began = Instant::now();
    let login = auth::login(&session, spec, secrets.as_ref(), link).map_err(telling)?;
    let method = |kind| session.methods(kind).unwrap_or("?").to_owned();
    let algorithms = format!("{}, {}", method(MethodType::Kex), method(MethodType::CryptCs));
    let endpoint = Endpoint {
        name: spec.name.clone(),
        address: spec.address.value.clone(),
        port: spec.port.value,
        user: spec.user.value.clone(),
        host_key: Some(key.fingerprint()),
        host_key_source: Some(source),
        login,
        root: String::new(),
        algorithms: CleanText::new(&algorithms).one_line().to_string(),
        round_trip: measured.unwrap_or_else(|| began.elapsed().min(Duration::from_millis(30))),
        via: spec.jump.iter().map(|hop| hop.name.clone()).collect(),
        notes,
    };
    Ok((session, socket, endpoint))
}

/// Bytes that keep a link busy for a round trip: 1 MiB in 2 ms and 32 MiB in 100 ms are more than 300 MiB/s.
fn window_for(round_trip: Duration) -> u64 {
    match round_trip.as_millis() {
        0..2 => 1 << 20,
        2..5 => 2 << 20,
        5..=40 => 8 << 20,
        41..=100 => 16 << 20,
        _ => 32 << 20,
    }
}

impl Shared {
    /// How much of a channel's data may be under way, by the round trip through the session: how fast a connection
    /// was made says nothing where something in between takes it.
    fn window(&self) -> u64 {
        window_for(self.link.round_trip().unwrap_or(self.endpoint.round_trip))
    }

    fn dial_lane(self: &Arc<Self>, target: &Dial, cancel: &Cancel) -> Result<LaneStream, TransportError> {
        if let Dial::Tcp(host, _) | Dial::Unix(host) = target
            && (host.is_empty() || host.contains('\0'))
        {
            return Err(setting(&self.spec, &"a connection's target may not be empty or hold a NUL"));
        }
        let lane = Arc::new(Lane::new(&self.spec.name, Arc::clone(&self.link.waker)));
        let share = Budget::shared().take(2 << 20);
        self.link.submit(Job::new(Arc::clone(&lane), Task::Dial(target.clone()), share));
        let keep: Keep = Arc::<Self>::clone(self);
        let stream = LaneStream::new(Arc::clone(&lane), cancel, Some(keep));
        let limit = self.spec.connect_timeout;
        let until = Instant::now().checked_add(limit).map(|until| (until, limit));
        lane.wait_open(&Limits { cancel: cancel.clone(), until, silence: limit }, "a connection to open")?;
        Ok(stream)
    }

    fn run_script(
        &self,
        script: &Script,
        root: Option<&RootWay>,
        keep: Option<Keep>,
        cancel: &Cancel,
    ) -> Result<ScriptRun, TransportError> {
        cancel.check()?;
        if script.text.contains('\0') || script.args.iter().any(|word| word.contains(&0)) {
            return Err(setting(&self.spec, &"a script's argument holds a NUL"));
        }
        let mut wrapped = super::script::wrap(script, root);
        let mut command = wrapped.command_line();
        if command.len() > LONGEST_COMMAND {
            wrapped = super::script::wrap_long(script, root);
            command = wrapped.command_line();
        }
        let lane = Arc::new(Lane::gated(&self.spec.name, Arc::clone(&self.link.waker), &wrapped, script.rights));
        let share = Budget::shared().take(self.window());
        self.link.submit(Job::new(Arc::clone(&lane), Task::Exec(command), share));
        ScriptRun::begin(lane, script, cancel, wrapped, keep)
    }

    /// Whether a jump host on the way is no longer logged in to.
    fn is_cut_off(&self) -> bool {
        self.via.as_ref().is_some_and(|hop| hop.link.is_over() || hop.is_cut_off())
    }

    /// How root is reached, asking for the password the first time one is needed.
    fn root_way(&self) -> Result<RootWay, TransportError> {
        let who = format!("{}@{}", self.spec.user.value, self.spec.name);
        self.root.way(&self.spec.name, &who, self.spec.become_password.as_ref(), self.secrets.as_ref())
    }
}

impl Transport for Ssh {
    fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    fn start(&self, script: &Script, cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        let root = match script.rights {
            Rights::Login => None,
            Rights::Root => Some(self.0.root_way()?),
        };
        let keep: Keep = Arc::<Shared>::clone(&self.0);
        match self.0.run_script(script, root.as_ref(), Some(keep), cancel) {
            Ok(run) => Ok(Box::new(run)),
            Err(error) => {
                self.0.root.refused(&error, self.0.secrets.as_ref());
                Err(error)
            }
        }
    }

    fn dial(&self, target: &Dial, cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        Ok(Box::new(self.0.dial_lane(target, cancel)?))
    }

    fn again(&self, cancel: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        let old = &self.0;
        let through = |via| session(&old.spec, &old.secrets, via, false, cancel);
        let anew = || through(hops(&old.spec, &old.secrets, cancel)?);
        let mut new = if old.is_cut_off() {
            anew()?
        } else {
            match through(old.via.clone()) {
                // Sometimes only the attempt shows that a jump host is gone.
                Err(_) if old.is_cut_off() && !cancel.is_cancelled() => anew()?,
                result => result?,
            }
        };
        new.endpoint.root.clone_from(&old.endpoint.root);
        new.root = old.root.clone();
        Ok(Arc::new(Ssh(Arc::new(new))))
    }

    fn hang_up(&self) {
        self.0.link.hang_up();
    }
}

#[cfg(test)]
mod tests;
