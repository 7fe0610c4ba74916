//! The catalogue: every snapshot, found by walking. There is no index that could be lost or disagree.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::ids::ItemRef;

use super::error::VaultError;
use super::finding::{Finding, Trouble};
use super::home::Vault;
use super::name::{self, ABOUT, MANIFEST, RUNS, VAULT};
use super::snapshot::{Snapshot, load};

/// Every snapshot of a vault, and everything in it that is out of order.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// The snapshots, by item, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// What is odd, unreadable, unfinished or damaged.
    pub findings: Vec<Finding>,
}

impl Catalogue {
    /// The snapshots of one item, newest first.
    pub fn of<'a>(&'a self, item: &'a ItemRef) -> impl Iterator<Item = &'a Snapshot> {
        self.snapshots.iter().rev().filter(move |s| s.item() == item)
    }
}

impl Vault {
    /// Walks the vault without any lock, reading every manifest and proof. Nothing odd is passed over in silence.
    pub fn catalogue(&self) -> Result<Catalogue, VaultError> {
        let mut found = Catalogue::default();
        found.findings = self.walk(&mut |shelf| found.snapshots.append(&mut shelf.snapshots))?;
        found.snapshots.sort_by(|a, b| a.order().cmp(&b.order()));
        Ok(found)
    }

    /// As [`Vault::catalogue`], one item after the other, so that no more than the copies of one are in memory.
    ///
    /// `visit` sees the snapshots of one item, oldest first, and may keep them. Gives what is out of order.
    pub fn walk(&self, visit: &mut dyn FnMut(&mut Catalogue)) -> Result<Vec<Finding>, VaultError> {
        let mut found = Catalogue::default();
        // An unreadable root is an error: it must not look like an empty vault.
        let owners = list(self.root())?;
        for owner in owners {
            let top = owner.file_name().unwrap_or_default();
            if top == RUNS || top == ABOUT {
                let sound = found.own(&owner, top == RUNS);
                if top == ABOUT {
                    found.findings.extend(self.look_at_companions(&sound));
                }
                continue;
            }
            if top == VAULT || top == "lost+found" {
                continue;
            }
            for service in found.directories(&owner) {
                for item in found.directories(&service) {
                    for snapshot in found.directories(&item) {
                        found.read(self, &snapshot);
                    }
                    found.snapshots.sort_by(|a, b| a.order().cmp(&b.order()));
                    if !found.snapshots.is_empty() {
                        visit(&mut found);
                        found.snapshots.clear();
                    }
                }
            }
        }
        Ok(found.findings)
    }
}

impl Catalogue {
    /// The directories in `path`; what is no directory becomes a finding. `path` itself may be one.
    fn directories(&mut self, path: &Path) -> Vec<PathBuf> {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                self.findings.push(Finding::new(path, Trouble::Unexpected, "is no directory of this vault"));
                return Vec::new();
            }
            // Gone between listing and looking: pruned by somebody else.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(e) => {
                self.findings.push(Finding::new(path, Trouble::Unreadable, format_args!("cannot be looked at ({e})")));
                return Vec::new();
            }
        }
        list(path).unwrap_or_else(|error| {
            self.findings.push(Finding::of(&error, path));
            Vec::new()
        })
    }

    /// Looks through the vault's own `runs` or `about`: what is no run's directory there, or no file, is a finding. Gives
    /// the rest.
    fn own(&mut self, path: &Path, is_runs: bool) -> Vec<PathBuf> {
        let mut sound = Vec::new();
        for entry in self.directories(path) {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            let fits = match fs::symlink_metadata(&entry) {
                Ok(meta) if is_runs => meta.is_dir() && name::is_stored(&name),
                Ok(meta) => meta.is_file() && name::is_stored(&name),
                Err(e) => e.kind() == io::ErrorKind::NotFound,
            };
            if fits {
                sound.push(entry);
            } else {
                let why = if is_runs { "is not a run's directory" } else { "is no file that Lifeboat keeps there" };
                self.findings.push(Finding::new(&entry, Trouble::Unexpected, why));
            }
        }
        sound
    }

    fn read(&mut self, vault: &Vault, dir: &Path) {
        let id = dir.file_name().unwrap_or_default().to_string_lossy();
        match fs::symlink_metadata(dir) {
            Ok(meta) if meta.is_dir() && name::is_stamp(&id) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            _ => {
                self.findings.push(Finding::new(dir, Trouble::Unexpected, "is not a snapshot's directory"));
                return;
            }
        }
        let manifest = dir.join(MANIFEST);
        if fs::symlink_metadata(&manifest).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            if fs::symlink_metadata(dir).is_ok() {
                let why = "has no manifest.json: a copy of a snapshot that broke off; it counts for nothing";
                self.findings.push(Finding::new(dir, Trouble::Unfinished, why));
            }
            return;
        }
        match load(dir, &mut self.findings) {
            Ok(snapshot) if name::item_dir(vault.root(), snapshot.item()).join(snapshot.id().as_str()) == *dir => {
                self.snapshots.push(snapshot);
            }
            Ok(snapshot) => {
                let why = format_args!("is a copy of '{}' and does not belong there", snapshot.item());
                self.findings.push(Finding::new(dir, Trouble::Misplaced, why));
            }
            Err(error) => {
                let path = match &error {
                    VaultError::Damaged { path, .. } | VaultError::Io { path, .. } => path.clone(),
                    _ => dir.to_owned(),
                };
                self.findings.push(Finding::of(&error, &path));
            }
        }
    }
}

/// Everything in a directory except names that start with a dot, sorted.
fn list(path: &Path) -> Result<Vec<PathBuf>, VaultError> {
    let fail = |e| VaultError::io(path, "list", e);
    let mut names: Vec<OsString> = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        names.push(entry.map_err(fail)?.file_name());
    }
    names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
    names.sort();
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}
