//! The journal of a run: appended, synced entry by entry, and believed only where it is whole.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::clock::Clock;

use super::disk;
use super::error::VaultError;
use super::run::{PLAN, RunDir, journal_name, with_reserve};

const LARGEST: u64 = 1 << 30;

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Counts from 0 without holes.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The SHA-256 of the line before, without its line feed, also across chapters; in the first that of `plan.json`, and
    /// nothing where there is none.
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
    /// Whether it begins with the plan's sum: then every entry has one of its own.
    is_summed: bool,
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
        let plan = self.dir.join(PLAN);
        let mut found = Replay { last: sum_of(&plan)?, ..Replay::default() };
        for chapter in 1..=self.chapter() {
            let path = self.dir.join(journal_name(chapter));
            if found.torn > 0 {
                return Err(VaultError::damaged(&path, "the chapter before it breaks off in the middle of an entry"));
            }
            found.whole = 0;
            match disk::read(&path, LARGEST) {
                Ok(bytes) => found = replay(&path, &plan, &bytes, found)?,
                Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    /// Opens the journal for appending, and tells what it says so far. Another process that has it open is an error.
    /// Where the last chapter has its receipt, a new one begins.
    pub fn journal(&self) -> Result<(Journal, Replay), VaultError> {
        self.journal_after(&mut || ())
    }

    /// The chapter whose journal has no receipt yet, which may still have to be begun.
    fn open_chapter(&self) -> u32 {
        let chapter = self.chapter();
        if self.has_receipt(chapter) { chapter.saturating_add(1) } else { chapter }
    }

    /// As [`RunDir::journal`]; `chosen` is called when the chapter was chosen and not yet locked.
    fn journal_after(&self, chosen: &mut dyn FnMut()) -> Result<(Journal, Replay), VaultError> {
        let (file, path) = loop {
            let chapter = self.open_chapter();
            chosen();
            let path = self.dir.join(journal_name(chapter));
            let file = lock_journal(&path)?;
            // Whoever had it open until now may have ended the chapter: its receipt names its last byte. Or taken away
            // one that was never begun.
            if self.open_chapter() == chapter && is_still(&file, &path) {
                break (file, path);
            }
        };
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

/// Whether the name still leads to the open file.
fn is_still(file: &File, path: &Path) -> bool {
    let named = std::fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()));
    let open = file.metadata().map(|meta| (meta.dev(), meta.ino()));
    matches!((named, open), (Ok(named), Ok(open)) if named == open)
}

/// Opens a chapter's journal, made if need be, and locks it until it is closed.
fn lock_journal(path: &Path) -> Result<File, VaultError> {
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(disk::flags(OFlags::NOFOLLOW))
        .open(path)
        .map_err(|e| VaultError::io(path, "open", e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            let subject = path.display().to_string();
            Err(VaultError::Held { subject, holder: "another process that is at this run".into() })
        }
        // A filesystem without locks keeps nobody out; the chain of the entries still tells of a second writer.
        Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS) => Ok(file),
        Err(error) => Err(VaultError::io(path, "lock", error.into())),
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
        let line = serde_json::to_vec(&entry)
            .map_err(|e| VaultError::Misuse { path: path.clone(), why: format!("an entry cannot be written ({e})") })?;
        let mut line = with_own_sum(line);
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
        // A chapter of which nothing was written never began: the one before is still the last.
        if self.length == 0
            && self.file.metadata().is_ok_and(|meta| meta.len() == 0)
            && is_still(&self.file, &self.path)
        {
            let _ = std::fs::remove_file(&self.path);
        }
        // Closing alone is not enough: a child process just being started still shares the lock for a moment.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The sum of the file that the first entry names; nothing where it is not there.
fn sum_of(plan: &Path) -> Result<String, VaultError> {
    match disk::hash_file(plan, &mut |_| std::ops::ControlFlow::Continue(())) {
        Ok((_, hash)) => Ok(hash),
        Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(other) => Err(other),
    }
}

/// What stands before the sum that ends an entry, and how long all of that is.
const OWN: &[u8] = b",\"own\":\"";
const OWN_LENGTH: usize = OWN.len() + 64 + 2;

/// An entry with its sum as its last member: the SHA-256 of the line as it is without it. So the last line, which no other
/// one names, is under a sum, too.
fn with_own_sum(line: Vec<u8>) -> Vec<u8> {
    let own = disk::sha256(&line);
    let mut line = line;
    line.pop();
    [&line, OWN, own.as_bytes(), b"\"}"].concat()
}

/// Whether a line is what its own sum names; none where it has no sum.
fn is_as_summed(line: &[u8]) -> Option<bool> {
    let (entry, own) = line.split_at_checked(line.len().checked_sub(OWN_LENGTH)?)?;
    let own = own.strip_prefix(OWN)?.strip_suffix(b"\"}")?;
    Some(disk::sha256(&[entry, b"}"].concat()).as_bytes() == own)
}

/// Reads one chapter's bytes after what was `found` before.
fn replay(path: &Path, plan: &Path, bytes: &[u8], mut found: Replay) -> Result<Replay, VaultError> {
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let seq = found.entries.len() as u64;
        let Some(line) = line.strip_suffix(b"\n") else {
            // What a crash tore off is less than a whole entry, or one without its line feed; more than that is neither.
            if line.split_last().and_then(|(_, entry)| is_as_summed(entry)) == Some(true) {
                return Err(VaultError::damaged(path, format!("entry {seq} does not end as it was written")));
            }
            found.torn = line.len() as u64;
            break;
        };
        match is_as_summed(line) {
            Some(false) => {
                return Err(VaultError::damaged(path, format!("entry {seq} is not what was written")));
            }
            None if found.is_summed => {
                return Err(VaultError::damaged(path, format!("entry {seq} has lost its sum")));
            }
            _ => {}
        }
        let entry: JournalEntry = serde_json::from_slice(line)
            .map_err(|e| VaultError::damaged(path, format!("entry {seq} cannot be read ({e})")))?;
        if entry.seq != seq {
            return Err(VaultError::damaged(
                path,
                format!("entry {seq} is missing, {} stands in its place", entry.seq),
            ));
        }
        if seq == 0 {
            found.begin(path, plan, line, &entry)?;
        } else if entry.prev != found.last {
            return Err(VaultError::damaged(path, format!("entry {seq} does not follow from the one before")));
        }
        found.last = disk::sha256(line);
        found.whole += line.len() as u64 + 1;
        found.entries.push(entry);
    }
    Ok(found)
}

impl Replay {
    /// Takes in what the first entry says of the plan. Journals of before it did so say nothing.
    fn begin(&mut self, path: &Path, plan: &Path, line: &[u8], entry: &JournalEntry) -> Result<(), VaultError> {
        self.is_summed = !entry.prev.is_empty();
        if !self.is_summed {
            return Ok(());
        }
        if is_as_summed(line).is_none() {
            return Err(VaultError::damaged(path, "entry 0 has lost its sum"));
        }
        if entry.prev != self.last {
            return Err(VaultError::damaged(plan, "it is not what the run's journal begins with"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Entropy;
    use crate::model::ids::RunId;
    use crate::vault::{ConsoleKey, Vault};

    struct Held;
    impl Clock for Held {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(1_800_000_000).unwrap()
        }
        fn elapsed(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
        fn sleep(&self, _: std::time::Duration) {}
    }
    impl Entropy for Held {
        fn fill(&self, bytes: &mut [u8]) {
            getrandom::fill(bytes).unwrap();
        }
    }

    #[test]
    fn a_chapter_that_ends_while_its_journal_is_opened_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(&folder.path().join("vault"), &[], &Held, &Held).unwrap();
        let key = ConsoleKey::load_or_create(&folder.path().join("state"), &Held).unwrap();
        let dir = vault.run_dir(&RunId::new("20261120T184500Z-7f3a9c").unwrap()).unwrap();
        dir.journal().unwrap().0.append(&Held, &Value::from("first")).unwrap();
        let mut ended = false;
        let (mut journal, replay) = dir
            .journal_after(&mut || {
                if !std::mem::replace(&mut ended, true) {
                    dir.write_receipt(&Value::Null, &key, &Held, &Held).unwrap();
                }
            })
            .unwrap();
        assert_eq!(replay.entries.len(), 1);
        journal.append(&Held, &Value::from("second")).unwrap();
        drop(journal);
        let findings = vault.verify_receipts().unwrap().findings;
        assert!(findings.is_empty(), "what the receipt names was changed: {findings:?}");
        assert_eq!(dir.read_journal().unwrap().entries.len(), 2);
    }

    #[test]
    fn a_chapter_of_which_nothing_was_written_never_began() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(&folder.path().join("vault"), &[], &Held, &Held).unwrap();
        let key = ConsoleKey::load_or_create(&folder.path().join("state"), &Held).unwrap();
        let dir = vault.run_dir(&RunId::new("20261120T184500Z-7f3a9c").unwrap()).unwrap();
        drop(dir.journal().unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a run that never began leaves no journal");
        dir.journal().unwrap().0.append(&Held, &Value::from("first")).unwrap();
        dir.write_receipt(&Value::Null, &key, &Held, &Held).unwrap();
        // Taken up, and given up before anything was done: it ends as it ended.
        drop(dir.journal().unwrap());
        assert!(dir.chapter() == 1 && dir.read_receipt().unwrap().is_some());
        // Who waits for the lock of one that is taken away meanwhile writes into no file that is gone.
        let mut first = Some(dir.journal().unwrap().0);
        let (mut second, _) = dir.journal_after(&mut || drop(first.take())).unwrap();
        second.append(&Held, &Value::from("second")).unwrap();
        drop(second);
        assert_eq!(dir.read_journal().unwrap().entries.len(), 2);
    }
}
