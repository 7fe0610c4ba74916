//! A run's directory: its plan, written once, and room held back for its journal.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

use crate::model::ids::RunId;

use super::disk;
use super::error::VaultError;
use super::home::Vault;
use super::name::{self, RUNS};

pub(super) const PLAN: &str = "plan.json";
const RESERVE: &str = ".reserve";
/// What is given back at a time when the journal does not fit.
const SLICE: u64 = 64 << 10;

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDir {
    pub(super) vault: Vault,
    pub(super) run: RunId,
    pub(super) dir: PathBuf,
}

/// Room held back for a run's journal and receipt. Given back when dropped.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Vault {
    /// Makes the directory of a run, or opens it again.
    pub fn run_dir(&self, run: &RunId) -> Result<RunDir, VaultError> {
        let runs = self.root().join(RUNS);
        disk::make_dir(&runs)?;
        let dir = runs.join(name::run_name(run));
        disk::make_dir(&dir)?;
        Ok(RunDir { vault: self.clone(), run: run.clone(), dir })
    }

    /// The directories of all runs, oldest first by name.
    pub fn runs(&self) -> Result<Vec<PathBuf>, VaultError> {
        let runs = self.root().join(RUNS);
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(VaultError::io(&runs, "list", e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| VaultError::io(&runs, "list", e))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// Holds room back for a run before its first change: a disk too full for the journal fails here.
    pub fn reserve(&self, run: &RunId, bytes: u64) -> Result<Reserve, VaultError> {
        let path = self.run_dir(run)?.dir.join(RESERVE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(VaultError::io(&path, "replace", error));
            }
            _ => {}
        }
        // Dropped half made, it gives back what it took.
        let reserve = Reserve { path };
        let mut file = disk::create(&reserve.path)?;
        let held = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            // No allocation in advance here, so the room is taken the plain way.
            Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS) => fill(&mut file, bytes),
            other => other.map_err(io::Error::from),
        };
        held.and_then(|()| file.sync_all()).map_err(|e| VaultError::io(&reserve.path, "hold room back in", e))?;
        Ok(reserve)
    }
}

fn fill(file: &mut fs::File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(SLICE).unwrap_or(1 << 16)];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left.min(SLICE)).unwrap_or(zeros.len());
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    Ok(())
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl RunDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }
    /// Which run it is of.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Removes the directory of a run that never began. One that holds anything stays, whoever wrote it.
    pub fn give_up(&self) {
        let _ = fs::remove_dir(&self.dir);
    }

    /// Writes the plan, once, whole, before the first step.
    pub fn write_plan(&self, plan: &[u8]) -> Result<(), VaultError> {
        self.write_once(PLAN, plan)
    }

    /// The plan's exact bytes.
    pub fn read_plan(&self) -> Result<Vec<u8>, VaultError> {
        disk::read(&self.dir.join(PLAN), disk::LARGEST_JSON)
    }

    /// The number of the chapter the run is in: 1, or one more for each time it was taken up again after it had ended.
    ///
    /// A chapter is a journal and the receipt that ends it. Neither is touched again, so a receipt goes on holding when
    /// the run goes on.
    pub(super) fn chapter(&self) -> u32 {
        last_chapter(&self.dir)
    }

    /// Writes a file that must not be there; it appears whole. A full disk takes from the reserve.
    pub(super) fn write_once(&self, name: &str, bytes: &[u8]) -> Result<(), VaultError> {
        let (path, aside) = (self.dir.join(name), self.dir.join(format!(".new-{name}")));
        if fs::symlink_metadata(&path).is_ok() {
            return Err(VaultError::Exists { path });
        }
        let _ = fs::remove_file(&aside); // What a crash left.
        with_reserve(&self.dir, || disk::write_new(&aside, bytes))?;
        disk::rename_new(&aside, &path).inspect_err(|_| {
            let _ = fs::remove_file(&aside);
        })?;
        disk::sync_dir(&self.dir)
    }
}

/// The last chapter of the run in `dir`.
pub(super) fn last_chapter(dir: &Path) -> u32 {
    let is_there = |number: &u32| fs::symlink_metadata(dir.join(journal_name(*number))).is_ok();
    (2..=u32::MAX).take_while(is_there).last().unwrap_or(1)
}

/// The journal of a chapter.
pub(super) fn journal_name(chapter: u32) -> String {
    numbered("journal", chapter, "jsonl")
}

/// A chapter's file: the first is called as if there were no other.
pub(super) fn numbered(stem: &str, chapter: u32, end: &str) -> String {
    if chapter == 1 { format!("{stem}.{end}") } else { format!("{stem}-{chapter}.{end}") }
}

/// Runs `write`; while the disk is full and room is held back, gives a slice of it back and tries again.
pub(super) fn with_reserve<T>(dir: &Path, mut write: impl FnMut() -> Result<T, VaultError>) -> Result<T, VaultError> {
    loop {
        match write() {
            Err(full @ VaultError::NoSpace { .. }) => {
                if !give_back(&dir.join(RESERVE)) {
                    return Err(full);
                }
            }
            other => return other,
        }
    }
}

/// Shortens the reserve by a slice; false when there is none left.
fn give_back(path: &Path) -> bool {
    let options = disk::flags(OFlags::NOFOLLOW);
    let Ok(file) = OpenOptions::new().write(true).custom_flags(options).open(path) else { return false };
    let Ok(meta) = file.metadata() else { return false };
    meta.len() > 0 && file.set_len(meta.len().saturating_sub(SLICE)).is_ok()
}
