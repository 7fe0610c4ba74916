//! How two snapshots differ, for any format that can be looked into: entries added, removed, changed.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::Serialize;

use super::capture::vault_failure;
use super::inside::{View, look_inside};
use crate::formats::Part;
use crate::model::exit::Result;
use crate::model::manifest::StoredFile;
use crate::services::common::as_failure;
use crate::transport::Cancel;
use crate::vault::{Keys, Snapshot, Vault};

/// Differences that are told one by one; more are counted.
const MOST: usize = 10_000;

/// Entries of one file that are compared; an archive with more is compared as bytes.
const ENTRIES: usize = 200_000;

/// Rows read at once.
const ROWS: usize = 4_096;

/// What differs between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Comparison {
    /// The differences, by file and entry, at most ten thousand.
    pub differences: Vec<Difference>,
    /// How many there are of each kind: added, removed, changed.
    pub counts: [usize; 3],
    /// Entries that are alike.
    pub alike: usize,
    /// What could not be compared entry by entry, and why.
    pub notes: Vec<String>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The file of the snapshot.
    pub file: String,
    /// The entry in it: a path, a key, a fact; empty for the file as a whole.
    pub entry: String,
    /// What changed.
    pub change: Change,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// Only the newer snapshot has it.
    Added,
    /// Only the older snapshot has it.
    Removed,
    /// Both have it, and it is not the same; each told as "size 12, mode 0600".
    Changed {
        /// In the older one.
        from: String,
        /// In the newer one.
        to: String,
    },
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_alike(&self) -> bool {
        self.counts == [0; 3]
    }

    fn add(&mut self, file: &str, entry: &str, change: Change) {
        let kind = match change {
            Change::Added => 0,
            Change::Removed => 1,
            Change::Changed { .. } => 2,
        };
        if let Some(count) = self.counts.get_mut(kind) {
            *count += 1;
        }
        if self.differences.len() < MOST {
            self.differences.push(Difference { file: file.to_owned(), entry: entry.to_owned(), change });
        }
    }
}

/// Compares two snapshots, file by file and entry by entry.
///
/// Files whose clear bytes hash alike are not opened. What has no view of its inside is compared as a whole.
///
/// # Errors
/// When a file of either cannot be opened or read; nothing is ever told alike that was not looked at.
pub fn compare(vault: &Vault, keys: &Keys, old: &Snapshot, new: &Snapshot, cancel: &Cancel) -> Result<Comparison> {
    let mut found = Comparison::default();
    let (before, after) = (files(old), files(new));
    for (name, file) in &before {
        match after.get(name) {
            None => found.add(name, "", Change::Removed),
            Some(other) => {
                let pair = Pair { vault, keys, old, new, name, cancel };
                pair.compare(file, other, &mut found)?;
            }
        }
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        found.add(name, "", Change::Added);
    }
    Ok(found)
}

fn files(snapshot: &Snapshot) -> BTreeMap<&str, &StoredFile> {
    snapshot.manifest().files.iter().map(|file| (file.name.as_str(), file)).collect()
}

/// One file that both snapshots have.
struct Pair<'c> {
    vault: &'c Vault,
    keys: &'c Keys,
    old: &'c Snapshot,
    new: &'c Snapshot,
    name: &'c str,
    cancel: &'c Cancel,
}

impl Pair<'_> {
    fn compare(&self, before: &StoredFile, after: &StoredFile, found: &mut Comparison) -> Result<()> {
        let is_same = before.plain_sha256.is_some() && before.plain_sha256 == after.plain_sha256;
        if is_same && before.plain_size == after.plain_size {
            found.alike += 1;
            return Ok(());
        }
        let is_one_format = self.old.manifest().format == self.new.manifest().format;
        let entries = if is_one_format { self.entries(self.old)?.zip(self.entries(self.new)?) } else { None };
        let Some((before_rows, after_rows)) = entries else {
            return self.compare_bytes(before, after, found);
        };
        let differed = found.counts;
        for (entry, told) in &before_rows {
            match after_rows.get(entry) {
                None => found.add(self.name, entry, Change::Removed),
                Some(other) if other != told => {
                    found.add(self.name, entry, Change::Changed { from: told.clone(), to: other.clone() });
                }
                Some(_) => found.alike += 1,
            }
        }
        for entry in after_rows.keys().filter(|entry| !before_rows.contains_key(*entry)) {
            found.add(self.name, entry, Change::Added);
        }
        if differed == found.counts && before.plain_size == after.plain_size {
            // What is listed is alike; the bytes behind it have the last word.
            return self.compare_bytes(before, after, found);
        }
        Ok(())
    }

    /// Every entry with what is told of it; `None` when the format has no view or has too many of them.
    fn entries(&self, snapshot: &Snapshot) -> Result<Option<BTreeMap<String, String>>> {
        let mut entries = BTreeMap::new();
        let mut from = 0;
        loop {
            self.cancel.check().map_err(|error| as_failure(&error))?;
            let view = View { part: Part::From(from), rows: ROWS, only: None, cancel: self.cancel };
            let page = match look_inside(self.vault, self.keys, snapshot, self.name, &view) {
                Ok(page) => page,
                Err(failure) if failure.exit == crate::model::exit::Exit::Failed => return Ok(None),
                Err(failure) => return Err(failure),
            };
            for row in page.rows {
                let mut cells = row.into_iter();
                let entry = cells.next().unwrap_or_default();
                let told = page.columns.iter().skip(1).zip(cells).filter(|(_, cell)| !cell.is_empty());
                let told: Vec<String> = told.map(|(column, cell)| format!("{column} {cell}")).collect();
                entries.insert(entry, told.join(", "));
            }
            if entries.len() > ENTRIES {
                return Ok(None);
            }
            match page.next {
                Some(next) => from = next,
                None => return Ok(Some(entries)),
            }
        }
    }

    fn compare_bytes(&self, before: &StoredFile, after: &StoredFile, found: &mut Comparison) -> Result<()> {
        if before.plain_size == after.plain_size && self.digest(self.old, before)? == self.digest(self.new, after)? {
            found.alike += 1;
            return Ok(());
        }
        let told = |file: &StoredFile| format!("{} bytes", file.plain_size);
        found.notes.push(format!("'{}' was compared as a whole.", self.name));
        found.add(self.name, "", Change::Changed { from: told(before), to: told(after) });
        Ok(())
    }

    fn digest(&self, snapshot: &Snapshot, file: &StoredFile) -> Result<Vec<u8>> {
        use sha2::Digest;
        let mut clear = self.vault.open_file(snapshot, file, self.keys).map_err(|e| vault_failure(&e))?;
        let mut hash = sha2::Sha256::new();
        let mut buffer = zeroize::Zeroizing::new(vec![0; 64 << 10]);
        loop {
            self.cancel.check().map_err(|error| as_failure(&error))?;
            let read = match clear.read(&mut buffer) {
                Ok(0) => return Ok(hash.finalize().to_vec()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let path = snapshot.dir().join(&file.stored_name);
                    return Err(vault_failure(&crate::vault::VaultError::from_io(&path, "read", error)));
                }
            };
            hash.update(buffer.get(..read).unwrap_or_default());
        }
    }
}
