//! The journal of a run: appended, synced entry by entry, and believed only where it is whole.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::clock::Clock;

use super::disk;
use super::error::VaultError;
use super::run::{RunDir, journal_name, with_reserve};

const LARGEST: u64 = 1 << 30;

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Counts from 0 without holes.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The SHA-256 of the line before, without its line feed, also across chapters; empty in the first.
    pub prev: String,
    /// What it says.
    pub entry: Value,
}

/// A journal as read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replay {
    /// Its entries.
    pub entries: Vec<JournalEntry>,
    /// Bytes of a last line that a crash tore; that entry did not happen.
    pub torn: u64,
    whole: u64,
    last: String,
}

/// A journal open for appending, by one process at a time.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    dir: PathBuf,
    length: u64,
    next: u64,
    prev: String,
    broken: bool,
}

impl RunDir {
    /// Reads the journal, all its chapters. A torn last line is told, anything else that does not fit is an error. No
    /// journal is an empty one.
    pub fn read_journal(&self) -> Result<Replay, VaultError> {
        let mut found = Replay::default();
        for chapter in 1..=self.chapter() {
            let path = self.dir.join(journal_name(chapter));
            if found.torn > 0 {
                return Err(VaultError::damaged(&path, "the chapter before it breaks off in the middle of an entry"));
            }
            found.whole = 0;
            match disk::read(&path, LARGEST) {
                Ok(bytes) => found = replay(&path, &bytes, found)?,
                Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    /// Opens the journal for appending, and tells what it says so far. Another process that has it open is an error.
    /// Where the last chapter has its receipt, a new one begins.
    pub fn journal(&self) -> Result<(Journal, Replay), VaultError> {
        let chapter = self.chapter();
        let path = self.dir.join(journal_name(if self.has_receipt(chapter) { chapter + 1 } else { chapter }));
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(disk::flags(OFlags::NOFOLLOW))
            .open(&path)
            .map_err(|e| VaultError::io(&path, "open", e))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK) {
            let subject = path.display().to_string();
            return Err(VaultError::Held { subject, holder: "another process that is at this run".into() });
        }
        let replay = self.read_journal()?;
        if replay.torn > 0 {
            file.set_len(replay.whole).map_err(|e| VaultError::io(&path, "mend", e))?;
        }
        disk::sync_dir(&self.dir)?;
        let next = replay.entries.len() as u64;
        let (length, prev, dir) = (replay.whole, replay.last.clone(), self.dir.clone());
        Ok((Journal { file, path, dir, length, next, prev, broken: false }, replay))
    }
}

impl Journal {
    /// Appends an entry and syncs it; when this returns, the entry survives a power cut. Gives its number.
    pub fn append(&mut self, clock: &dyn Clock, entry: &Value) -> Result<u64, VaultError> {
        let path = self.path.clone();
        if self.broken {
            return Err(VaultError::damaged(&path, "an earlier entry could not be taken back after a failed write"));
        }
        let entry = JournalEntry { seq: self.next, at: clock.now(), prev: self.prev.clone(), entry: entry.clone() };
        let mut line = serde_json::to_vec(&entry)
            .map_err(|e| VaultError::Misuse { path: path.clone(), why: format!("an entry cannot be written ({e})") })?;
        let hash = disk::sha256(&line);
        line.push(b'\n');
        let dir = self.dir.clone();
        with_reserve(&dir, || {
            let written = self
                .file
                .seek(SeekFrom::Start(self.length))
                .and_then(|_| self.file.write_all(&line))
                .and_then(|()| self.file.sync_data());
            written.map_err(|error| {
                // Half a line must not stand before the next one.
                self.broken = self.file.set_len(self.length).is_err();
                VaultError::io(&path, "write", error)
            })
        })?;
        self.length += line.len() as u64;
        self.next += 1;
        self.prev = hash;
        Ok(entry.seq)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing alone is not enough: a child process just being started still shares the lock for a moment.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Reads one chapter's bytes after what was `found` before.
fn replay(path: &Path, bytes: &[u8], mut found: Replay) -> Result<Replay, VaultError> {
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let seq = found.entries.len() as u64;
        let Some(line) = line.strip_suffix(b"\n") else {
            found.torn = line.len() as u64;
            break;
        };
        let entry: JournalEntry = serde_json::from_slice(line)
            .map_err(|e| VaultError::damaged(path, format!("entry {seq} cannot be read ({e})")))?;
        if entry.seq != seq {
            return Err(VaultError::damaged(
                path,
                format!("entry {seq} is missing, {} stands in its place", entry.seq),
            ));
        }
        if entry.prev != found.last {
            return Err(VaultError::damaged(path, format!("entry {seq} does not follow from the one before")));
        }
        found.last = disk::sha256(line);
        found.whole += line.len() as u64 + 1;
        found.entries.push(entry);
    }
    Ok(found)
}
