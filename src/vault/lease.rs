//! Leases: one publisher per item, with a name to it, and an end if it dies.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::model::clock::{Clock, Entropy};
use crate::model::ids::{ConsoleId, ItemRef};

use super::disk;
use super::error::VaultError;
use super::home::{Vault, parse};
use super::name::LEASES;

/// How long a lease lives without being renewed.
pub const LEASE_LIFE: Duration = Duration::from_mins(2);

/// Who holds something: a console, on a host, in a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The console.
    pub console: ConsoleId,
    /// The name of the machine it runs on.
    pub host: String,
    /// Its process.
    pub pid: u32,
}

impl Holder {
    /// This process, as `console`.
    pub fn this(console: ConsoleId) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { console, host, pid: std::process::id() }
    }
    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        rustix::system::uname().nodename().to_string_lossy() == self.host
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on '{}' (process {})", self.console, self.host.escape_debug(), self.pid)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct LeaseFile {
    version: u32,
    subject: String,
    #[serde(flatten)]
    holder: Holder,
    taken: Timestamp,
    renewed: Timestamp,
    expires: Timestamp,
    token: String,
    /// Where the holder's process lives, see [`whereabouts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<String>,
}

/// The boot and the pid namespace this process lives in: only in the same ones does a pid mean the same process. None
/// where the system does not tell.
fn whereabouts() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

impl LeaseFile {
    /// Whether its holder was a process here and is gone: nobody will give the lease back.
    fn is_orphaned(&self) -> bool {
        let pid = i32::try_from(self.holder.pid).ok().and_then(Pid::from_raw);
        self.process.is_some()
            && self.process == whereabouts()
            && pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
    }
    fn told(&self) -> String {
        format!("{} since {}, until {} unless renewed", self.holder, self.taken, self.expires)
    }
}

/// The right to publish an item. Given back when dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    file: LeaseFile,
}

impl Vault {
    /// Takes the lease of an item. One that is held and has not expired is an error naming its holder, unless that was a
    /// process of this machine that is gone.
    pub fn lease(
        &self,
        item: &ItemRef,
        holder: &Holder,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Lease, VaultError> {
        self.lease_on(&item.to_string(), holder, clock, entropy)
    }

    pub(super) fn lease_on(
        &self,
        subject: &str,
        holder: &Holder,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Lease, VaultError> {
        let dir = self.root().join(LEASES);
        disk::make_dir(&dir)?;
        let path = dir.join(format!("{}.json", &disk::sha256(subject.as_bytes())[..32]));
        let now = clock.now();
        let file = LeaseFile {
            version: 1,
            subject: subject.into(),
            holder: holder.clone(),
            taken: now,
            renewed: now,
            expires: now + LEASE_LIFE,
            token: entropy.hex(8),
            process: whereabouts(),
        };
        let bytes = disk::json(&path, &file)?;
        // A second round follows a lease that was given back or taken away in between.
        for _ in 0..3 {
            match disk::write_new(&path, &bytes) {
                Ok(()) => return Ok(Lease { path, file }),
                Err(VaultError::Exists { .. }) => {}
                Err(other) => return Err(other),
            }
            match read_lease(&path) {
                Ok(Some(held)) if held.expires >= now && !held.is_orphaned() => {
                    return Err(VaultError::Held { subject: subject.into(), holder: held.told() });
                }
                Ok(Some(stale)) => remove_stale(&path, Some(&stale.token), entropy)?,
                Ok(None) => {}
                Err(error) => {
                    // Torn by a crash or a full disk: nobody can be named, so only its age counts.
                    let changed = fs::metadata(&path).and_then(|m| m.modified()).ok();
                    let changed = changed.and_then(|t| Timestamp::try_from(t).ok());
                    if changed.and_then(|t| t.checked_add(LEASE_LIFE).ok()).is_none_or(|end| end >= now) {
                        let holder = format!("a lease that cannot be read ({error})");
                        return Err(VaultError::Held { subject: subject.into(), holder });
                    }
                    remove_stale(&path, None, entropy)?;
                }
            }
        }
        Err(VaultError::Held { subject: subject.into(), holder: "somebody who keeps taking it".into() })
    }
}

fn read_lease(path: &std::path::Path) -> Result<Option<LeaseFile>, VaultError> {
    match disk::read(path, 1 << 20) {
        Ok(bytes) => parse(path, &bytes).map(Some),
        Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// Moves a stale lease aside, looks whether it was the one meant, and only then removes it.
fn remove_stale(path: &std::path::Path, token: Option<&str>, entropy: &dyn Entropy) -> Result<(), VaultError> {
    let aside = path.with_extension(format!("stale-{}", entropy.hex(4)));
    if fs::rename(path, &aside).is_err() {
        return Ok(()); // Somebody else was quicker; the next round sees what they left.
    }
    let moved = read_lease(&aside).ok().flatten();
    if moved.as_ref().map(|f| f.token.as_str()) != token && moved.is_some() {
        // It was renewed or taken in this very moment: back with it, unless another stands there already.
        let _ = fs::hard_link(&aside, path);
    }
    fs::remove_file(&aside).map_err(|e| VaultError::io(&aside, "remove", e))
}

impl Lease {
    /// Renews it: the heartbeat. A lease that was taken by somebody else in the meantime is lost.
    pub fn renew(&mut self, clock: &dyn Clock) -> Result<(), VaultError> {
        let now = read_lease(&self.path)?;
        if now.as_ref().is_none_or(|f| f.token != self.file.token) {
            let holder = now.map_or_else(|| "nobody".into(), |f| f.told());
            return Err(VaultError::LeaseLost { subject: self.file.subject.clone(), holder });
        }
        self.file.renewed = clock.now();
        self.file.expires = self.file.renewed + LEASE_LIFE;
        disk::replace(&self.path, &disk::json(&self.path, &self.file)?, &self.file.token)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if read_lease(&self.path).ok().flatten().is_some_and(|f| f.token == self.file.token) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
