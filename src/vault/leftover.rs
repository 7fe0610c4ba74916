//! What dead runs left in the staging area.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::Deserialize;

use crate::model::clock::Clock;
use crate::model::ids::ItemRef;
use crate::model::units::ByteSize;

use super::disk;
use super::error::VaultError;
use super::finding::{Finding, Trouble};
use super::home::{Vault, parse};
use super::lease::Holder;
use super::name::STAGING;

/// Unfinished work that somebody left, or is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its directory, or the sign beside it.
    pub path: PathBuf,
    /// What it was to be a copy of, when that can be told.
    pub item: Option<ItemRef>,
    /// Who made it, when that can be told.
    pub holder: Option<Holder>,
    /// When it was begun, when that can be told.
    pub started: Option<Timestamp>,
    /// Bytes it takes.
    pub bytes: u64,
    /// Whether its maker still lives.
    pub owner: Owner,
}

/// Whether the maker of unfinished work still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It is being written right now.
    Alive,
    /// Its process is gone; it can be removed.
    Dead,
    /// It was made on another machine, or nothing is known of it; it can be removed a day after its last change.
    Elsewhere,
}

#[derive(Deserialize)]
struct Sign {
    item: ItemRef,
    holder: Holder,
    started: Timestamp,
    /// Whether its maker could lock it; signs of before do not say, and were locked.
    #[serde(default = "yes")]
    locked: bool,
}

fn yes() -> bool {
    true
}

impl Leftover {
    /// What is to be said of it: nothing of what is being written right now.
    pub fn finding(&self) -> Option<Finding> {
        let what = self.item.as_ref().map_or_else(|| "something".to_owned(), |item| format!("a copy of '{item}'"));
        let who = self.holder.as_ref().map_or_else(String::new, |holder| format!(" by {holder}"));
        let since = self.started.map_or_else(String::new, |started| format!(", begun at {started}{who}"));
        let fate = match self.owner {
            Owner::Alive => return None,
            Owner::Dead => "its process is gone, and the next backup removes it",
            Owner::Elsewhere => {
                "whether its process still lives cannot be told from here; once it has not changed for a day it can be removed"
            }
        };
        let why = format!("is {what} that was never finished{since}, {}; {fate}", ByteSize(self.bytes));
        Some(Finding::new(&self.path, Trouble::Unfinished, why))
    }
}

impl Vault {
    /// Lists unfinished work, that of live runs included.
    pub fn leftovers(&self) -> Result<Vec<Leftover>, VaultError> {
        let mut found = Vec::new();
        for run in children(&self.root().join(STAGING))? {
            let inside = children(&run)?;
            if inside.is_empty() {
                found.push(Leftover { owner: Owner::Dead, ..look(&run, None) });
            }
            for path in &inside {
                let is_sign = path.extension().is_some_and(|e| e == "json");
                let sign = path.with_extension("json");
                if is_sign && inside.contains(&path.with_extension("")) {
                    continue; // Told with its directory.
                }
                found.push(look(path, Some(&sign)));
            }
        }
        Ok(found)
    }

    /// Removes everything whose process is gone, and gives what it removed. What cannot be removed stays a leftover.
    pub fn clear_leftovers(&self, clock: &dyn Clock) -> Result<Vec<Leftover>, VaultError> {
        let mut found = self.leftovers()?;
        found.retain(|leftover| leftover.owner == Owner::Dead && self.remove_leftover(leftover, clock).is_ok());
        Ok(found)
    }

    /// Removes what a dead run left. What is being written, or may be by another machine, is refused.
    pub fn remove_leftover(&self, leftover: &Leftover, clock: &dyn Clock) -> Result<(), VaultError> {
        let path = &leftover.path;
        if !path.starts_with(self.root().join(STAGING)) {
            return Err(VaultError::Unsafe { path: path.clone(), why: "it is not in the staging area".into() });
        }
        let sign = path.with_extension("json");
        let now = look(path, Some(&sign));
        let changed = newest_change(path).unwrap_or(clock.now());
        let quiet = clock.now().duration_since(changed) > jiff::SignedDuration::from_hours(24);
        if now.owner == Owner::Alive || (now.owner == Owner::Elsewhere && !quiet && leftover.owner != Owner::Dead) {
            let who = now.holder.map_or_else(|| "an unknown console".into(), |h| h.to_string());
            let until = changed.checked_add(24.hours()).map_or_else(|_| "then".into(), |t| t.to_string());
            let holder = format!(
                "{who}, last changed at {changed}; it can be removed when its maker is gone, at the latest after {until}"
            );
            return Err(VaultError::Held { subject: path.display().to_string(), holder });
        }
        let is_dir = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
        let is_run = path.parent() == Some(&self.root().join(STAGING));
        // A run's own directory is a leftover only when empty; somebody may have begun in it since.
        let gone = match (is_dir, is_run) {
            (true, true) => fs::remove_dir(path),
            (true, false) => fs::remove_dir_all(path),
            (false, _) => fs::remove_file(path),
        };
        gone.map_err(|e| VaultError::io(path, "remove", e))?;
        let _ = fs::remove_file(&sign);
        if let Some(run) = path.parent().filter(|p| *p != self.root().join(STAGING)) {
            let _ = fs::remove_dir(run); // Stays while something else is in it.
        }
        Ok(())
    }
}

fn children(dir: &Path) -> Result<Vec<PathBuf>, VaultError> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
            paths.sort();
            Ok(paths)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound || e.kind() == std::io::ErrorKind::NotADirectory => {
            Ok(Vec::new())
        }
        Err(e) => Err(VaultError::io(dir, "list", e)),
    }
}

fn look(path: &Path, sign: Option<&Path>) -> Leftover {
    let told: Option<Sign> = sign.and_then(|s| disk::read(s, 1 << 20).and_then(|bytes| parse(s, &bytes)).ok());
    let owner = match (sign.and_then(is_locked), &told) {
        (Some(true), _) => Owner::Alive,
        (Some(false), Some(sign)) if sign.locked && sign.holder.is_here() => Owner::Dead,
        _ => Owner::Elsewhere,
    };
    let bytes = walkdir::WalkDir::new(path).into_iter().flatten().filter_map(|e| e.metadata().ok());
    let ByteSize(bytes) = bytes.filter(std::fs::Metadata::is_file).map(|m| m.len()).sum();
    Leftover {
        path: path.to_owned(),
        bytes,
        started: told.as_ref().map(|s| s.started),
        item: told.as_ref().map(|s| s.item.clone()),
        holder: told.map(|s| s.holder),
        owner,
    }
}

/// Whether a live process holds the sign's lock; `None` when there is none to ask. The lock is shared for a moment, so
/// that no two who look are taken for the one who writes; that one tries again.
fn is_locked(sign: &Path) -> Option<bool> {
    let options = disk::flags(OFlags::NOFOLLOW | OFlags::NONBLOCK);
    let file = OpenOptions::new().read(true).custom_flags(options).open(sign).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Some(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Some(true),
        Err(_) => None,
    }
}

fn newest_change(path: &Path) -> Option<Timestamp> {
    let times = walkdir::WalkDir::new(path).into_iter().flatten().filter_map(|e| e.metadata().ok()?.modified().ok());
    times.max().and_then(|t| Timestamp::try_from(t).ok())
}
