//! Is every stored byte as written? Needs no key, and names every file that is not.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::disk::{self, Tick};
use super::error::VaultError;
use super::finding::{Finding, Trouble};
use super::home::Vault;
use super::name::{CARD, HASHES, MANIFEST, PROOFS, SUMS};
use super::snapshot::{Snapshot, load_proofs};
use super::sums;

impl Vault {
    /// Hashes every stored file of a snapshot again, and looks for what is missing or does not belong.
    ///
    /// No findings means *intact*: the bytes are as written. It says nothing of what they mean or whether a key opens them.
    pub fn check_intact(&self, snapshot: &Snapshot, tick: Tick<'_>) -> Result<Vec<Finding>, VaultError> {
        look_through(snapshot, &|_| true, tick)
    }

    /// The same without the payload: for one who has read every file of it to its end, which hashes what is stored too
    /// (see [`super::ClearReader`]). Hashing is most of a check, and once is enough.
    pub fn check_beside_payload(&self, snapshot: &Snapshot, tick: Tick<'_>) -> Result<Vec<Finding>, VaultError> {
        let read = |name: &str| snapshot.manifest.files.iter().any(|file| file.stored_name == name);
        look_through(snapshot, &|name| !read(name), tick)
    }
}

/// Looks at every file that `is_hashed` by its name, and for what is missing or does not belong.
fn look_through(
    snapshot: &Snapshot,
    is_hashed: &dyn Fn(&str) -> bool,
    tick: Tick<'_>,
) -> Result<Vec<Finding>, VaultError> {
    let dir = &snapshot.dir;
    let mut findings = Vec::new();
    let list_at = dir.join(SUMS);
    let listed = disk::read(&list_at, disk::LARGEST_JSON).and_then(|bytes| {
        sums::parse(snapshot.manifest.id.as_str(), &bytes).map_err(|why| VaultError::damaged(&list_at, why))
    });
    let mut expected: BTreeMap<String, String> = listed.unwrap_or_else(|error| {
        findings.push(Finding::of(&error, &list_at));
        // The manifest was checked when it was read, so the payload can still be judged.
        snapshot.manifest.files.iter().map(|f| (f.stored_name.clone(), f.stored_sha256.clone())).collect()
    });
    let whole = findings.is_empty();
    for file in &snapshot.manifest.files {
        expected.entry(file.stored_name.clone()).or_insert_with(|| file.stored_sha256.clone());
    }
    for file in &snapshot.manifest.files {
        if expected.get(&file.stored_name) != Some(&file.stored_sha256) {
            findings.push(Finding::new(&dir.join(&file.stored_name), Trouble::Damaged, "is listed with two hashes"));
        }
    }
    for (name, hash) in expected.iter().filter(|(name, _)| is_hashed(name)) {
        let path = dir.join(name);
        match disk::hash_file(&path, tick) {
            Ok((_, found)) if found == *hash => {}
            Ok(_) => findings.push(Finding::new(&path, Trouble::Damaged, "does not hash as written")),
            Err(VaultError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                findings.push(Finding::new(&path, Trouble::Missing, "is not there"));
            }
            Err(cancelled @ VaultError::Cancelled { .. }) => return Err(cancelled),
            Err(error) => findings.push(Finding::of(&error, &path)),
        }
    }
    for entry in fs::read_dir(dir).map_err(|e| VaultError::io(dir, "list", e))? {
        let entry = entry.map_err(|e| VaultError::io(dir, "list", e))?;
        let name = entry.file_name();
        let own = [SUMS, PROOFS, MANIFEST, CARD, HASHES];
        let known = name
            .to_str()
            .is_some_and(|n| expected.contains_key(n) || n == SUMS || n == PROOFS || (!whole && own.contains(&n)));
        if !known {
            findings.push(Finding::new(&entry.path(), Trouble::Unexpected, "does not belong to the snapshot"));
        }
    }
    load_proofs(&dir.join(PROOFS), &mut findings)?;
    Ok(findings)
}
