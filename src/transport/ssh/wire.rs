//! The way to a host's SSH port: TCP, through a jump host, or a proxy command. The key is judged here, before login.

use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use socket2::{SockRef, TcpKeepalive};
use ssh2::{MethodType, Session};

use super::super::known_hosts::{HostKey, KnownHosts, Verdict};
use super::super::{Cancel, Dial, TransportError};
use super::errors::{code_of, ssh_why};
use super::owner::Link;
use super::{Shared, SshSpec};
use crate::model::text::CleanText;
use crate::process;

/// A second hand on a session's socket, to end it from any thread.
#[derive(Debug, Default)]
pub(super) struct Cord(Mutex<(bool, Option<Plug>)>);

#[derive(Debug)]
enum Plug {
    Tcp(TcpStream),
    Unix(UnixStream, Option<Child>),
}

impl Plug {
    fn pull(&mut self) {
        match self {
            Self::Tcp(socket) => drop(socket.shutdown(Shutdown::Both)),
            Self::Unix(socket, child) => {
                let _ = socket.shutdown(Shutdown::Both);
                if let Some(mut child) = child.take() {
                    // What the command started belongs to its group and goes with it.
                    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        }
    }
}

impl Cord {
    fn hold(&self, mut plug: Plug) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 {
            plug.pull();
        }
        held.1 = Some(plug);
    }
    /// Ends the connection, and one still to be made.
    pub(super) fn pull(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 = true;
        if let Some(plug) = held.1.as_mut() {
            plug.pull();
        }
    }
    pub(super) fn pulled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A socket on its way to the host, and how long one round trip took.
pub(super) struct Wire {
    fd: OwnedFd,
    pub(super) round_trip: Option<Duration>,
}

fn unreachable(spec: &SshSpec, why: &dyn std::fmt::Display) -> TransportError {
    let why = CleanText::new(&why.to_string()).one_line().to_string();
    TransportError::Unreachable { host: spec.name.clone(), why: why.trim_end_matches('.').to_owned() }
}

/// Connects, through the jump host when there is one.
pub(super) fn reach(
    spec: &SshSpec,
    via: Option<&Arc<Shared>>,
    link: &Link,
    cancel: &Cancel,
) -> Result<Wire, TransportError> {
    let cord = &link.cord;
    let (address, port) = (spec.address.value.as_str(), spec.port.value);
    if address.is_empty() || address.starts_with('-') || spec.user.value.starts_with('-') {
        let why = "an address or a user name may not be empty or begin with '-'".to_owned();
        return Err(TransportError::Setting { host: spec.name.clone(), why });
    }
    if let Some(hop) = via {
        let began = Instant::now();
        let far = hop.dial_lane(&Dial::Tcp(address.to_owned(), port), cancel)?;
        let round_trip = began.elapsed() + hop.endpoint.round_trip;
        let (near, inner) = UnixStream::pair().map_err(|e| unreachable(spec, &e))?;
        let hand = inner.try_clone().map_err(|e| unreachable(spec, &e))?;
        super::super::stream::relay(far, near).map_err(|e| unreachable(spec, &e))?;
        cord.hold(Plug::Unix(hand, None));
        return Ok(Wire { fd: inner.into(), round_trip: Some(round_trip) });
    }
    if let Some(command) = &spec.proxy_command {
        let (near, inner) = UnixStream::pair().map_err(|e| unreachable(spec, &e))?;
        let out = near.try_clone().map_err(|e| unreachable(spec, &e))?;
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("exec {command}")).stderr(Stdio::null());
        shell.stdin(Stdio::from(OwnedFd::from(near))).stdout(Stdio::from(OwnedFd::from(out)));
        // An interrupt at the terminal is for Lifeboat, which may need the way to put things back.
        shell.process_group(0);
        for name in &spec.hidden {
            shell.env_remove(name);
        }
        let child = process::spawn(&mut shell).map_err(|e| unreachable(spec, &e))?;
        let hand = inner.try_clone().map_err(|e| unreachable(spec, &e))?;
        cord.hold(Plug::Unix(hand, Some(child)));
        return Ok(Wire { fd: inner.into(), round_trip: None });
    }
    let look_up = || (address, port).to_socket_addrs();
    let found = link.outside.during("its name was being looked up", spec.connect_timeout, look_up);
    let found = found.map_err(|e| unreachable(spec, &e))?;
    let mut last = "the name has no address".to_owned();
    for target in found {
        cancel.check()?;
        let began = Instant::now();
        match TcpStream::connect_timeout(&target, spec.connect_timeout) {
            Ok(socket) => {
                let round_trip = began.elapsed();
                steady(&socket).map_err(|e| unreachable(spec, &e))?;
                let hand = socket.try_clone().map_err(|e| unreachable(spec, &e))?;
                cord.hold(Plug::Tcp(hand));
                return Ok(Wire { fd: socket.into(), round_trip: Some(round_trip) });
            }
            Err(error) => last = format!("{target}: {error}"),
        }
    }
    Err(unreachable(spec, &last))
}

/// How long data may stay unanswered before the kernel gives a connection up.
const UNANSWERED: Duration = Duration::from_secs(20);

/// A dead peer is noticed by data it does not answer, a silent one by probes.
fn steady(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    let probe = TcpKeepalive::new().with_time(Duration::from_secs(8)).with_interval(Duration::from_secs(4));
    socket.set_tcp_keepalive(&probe)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNANSWERED))?;
    Ok(())
}

const KINDS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// The key types to ask for: known ones first, and never certificates, which nothing here could judge.
fn preference(known: &[String]) -> String {
    let mut wanted: Vec<&str> = Vec::new();
    for kind in known {
        match kind.as_str() {
            "ssh-rsa" => wanted.extend(["rsa-sha2-512", "rsa-sha2-256"]),
            kind => wanted.extend(KINDS.iter().find(|k| **k == kind)),
        }
    }
    for kind in KINDS {
        if !wanted.contains(&kind) {
            wanted.push(kind);
        }
    }
    wanted.join(",")
}

/// Exchanges keys and gives the session with the host's key, still unjudged.
pub(super) fn shake(
    spec: &SshSpec,
    wire: Wire,
    known: &KnownHosts,
) -> Result<(Session, OwnedFd, HostKey), TransportError> {
    let broken = |error: &ssh2::Error| match code_of(error) {
        -9 => TransportError::TimedOut {
            host: spec.name.clone(),
            what: "the SSH handshake".into(),
            limit: spec.connect_timeout,
        },
        _ => unreachable(spec, &ssh_why(error)),
    };
    let mut session = Session::new().map_err(|e| broken(&e))?;
    session.set_timeout(u32::try_from(spec.connect_timeout.as_millis()).unwrap_or(u32::MAX));
    let (host, port) = spec.key_name();
    session.method_pref(MethodType::HostKey, &preference(&known.types(host, port))).map_err(|e| broken(&e))?;
    let socket = wire.fd.try_clone().map_err(|e| unreachable(spec, &e))?;
    session.set_tcp_stream(wire.fd);
    session.handshake().map_err(|e| broken(&e))?;
    let key = session.host_key().and_then(|(blob, _)| HostKey::from_blob(blob));
    let key = key.ok_or_else(|| unreachable(spec, &"the host presented no readable key"))?;
    Ok((session, socket, key))
}

/// Judges the host's key: where it is known from, or a refusal that says what to do.
pub(super) fn judge(spec: &SshSpec, known: &KnownHosts, key: &HostKey) -> Result<String, TransportError> {
    let (host, port) = spec.key_name();
    let presented = key.fingerprint();
    let verdict = known.judge(host, port, key);
    let refuse =
        |why: String| Err(TransportError::HostKey { host: spec.name.clone(), why, presented: presented.clone() });
    if let Some(why) = known.no_revocations() {
        return refuse(format!(
            "no key of it can be accepted, because it cannot be told which ones are revoked ({why}). \
             Name a file there with one public key a line, or 'none'."
        ));
    }
    if let Verdict::Revoked(place) = &verdict {
        return refuse(format!("its key {presented} is marked as revoked in {place}; it must not be trusted."));
    }
    if !spec.host_keys.is_empty() {
        if spec.host_keys.contains(&presented) {
            return Ok("pinned in the inventory".to_owned());
        }
        let pinned = spec.host_keys.join(", ");
        return refuse(format!(
            "it presented the {} key {presented}, but the inventory pins {pinned}. \
             If the machine was installed anew, pin the new key; otherwise someone may stand in between.",
            key.kind
        ));
    }
    match verdict {
        Verdict::Known(place) => Ok(place.to_string()),
        Verdict::Changed(place) => refuse(format!(
            "its {} key has changed. Known is {} ({place}), presented was {presented}. \
             If the machine was installed anew, remove that line and enrol it again; otherwise someone may stand in between.",
            key.kind, place.fingerprint
        )),
        Verdict::NewType(types) => refuse(format!(
            "it presented a key of the type {}, {presented}, but only {} is known. \
             Compare it with what the machine itself prints, then: lifeboat enroll {}",
            key.kind,
            types.join(", "),
            spec.name
        )),
        Verdict::Authority(place) => refuse(format!(
            "it is known only through a certificate authority ({place}), and host certificates are not supported. \
             Compare the plain key {presented} ({}) and enrol it.",
            key.kind
        )),
        Verdict::New | Verdict::Revoked(_) => refuse(format!(
            "its {} key {presented} is not known. Compare it with what the machine itself prints, then: lifeboat enroll {}",
            key.kind, spec.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_come_first_and_certificates_never() {
        let wanted = preference(&["ssh-rsa".into(), "sk-odd".into()]);
        assert!(wanted.starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed25519,"));
        assert!(!wanted.contains("cert") && !wanted.contains("odd"));
    }
}
