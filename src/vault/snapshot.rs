//! One snapshot of the vault, as read: its manifest and its ladder of proofs.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::model::ids::{ItemRef, SnapshotId};
use crate::model::manifest::{MANIFEST_VERSION, Manifest, Proof, Rung, held_since};

use super::disk;
use super::error::VaultError;
use super::finding::{Finding, Trouble};
use super::home::{Vault, parse, refuse_newer};
use super::name::{self, MANIFEST, PROOFS, SUMS};
use super::sums;

/// The version of proofs written by this program.
pub const PROOF_VERSION: u32 = 1;

/// A snapshot whose manifest was read and matches its place and its list of hashes.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub(super) dir: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) proofs: Vec<Proof>,
    pub(super) sums_sha256: String,
}

impl Snapshot {
    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    /// Where it stands among all: by item, the oldest first. Ids of one second follow each other by chance.
    pub fn order(&self) -> impl Ord + '_ {
        (self.item(), self.manifest().created, self.id())
    }
    /// Its id.
    pub fn id(&self) -> &SnapshotId {
        &self.manifest.id
    }
    /// What it is a copy of.
    pub fn item(&self) -> &ItemRef {
        &self.manifest.item
    }
    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    /// Its proofs, oldest first.
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }
    /// The SHA-256 of its list of hashes, to compare with the receipt of its run.
    pub fn sums_sha256(&self) -> &str {
        &self.sums_sha256
    }
    /// Whether its payload is sealed.
    pub fn is_sealed(&self) -> bool {
        !self.manifest.recipients.is_empty()
    }
    /// Bytes of the payload in clear.
    pub fn plain_size(&self) -> u64 {
        self.manifest.plain_size().0
    }

    /// The newest proof of a rung, if the rung holds; see [`held_since`].
    pub fn holds(&self, rung: Rung) -> Option<&Proof> {
        let since = held_since(self.proofs.iter().map(|p| (p.rung, p.at, p.passed)), rung)?;
        self.proofs.iter().rev().find(|p| p.rung == rung && p.at == since)
    }

    /// The strongest rung that holds.
    pub fn highest_rung(&self) -> Option<Rung> {
        [Rung::Proven, Rung::Drilled, Rung::Verified, Rung::Openable, Rung::Copied, Rung::Intact]
            .into_iter()
            .find(|rung| self.holds(*rung).is_some())
    }

    /// When it was last verified or better, by the order of its proofs; that rung still holds.
    pub fn verified_at(&self) -> Option<Timestamp> {
        [Rung::Verified, Rung::Drilled, Rung::Proven].into_iter().filter_map(|r| self.holds(r)).map(|p| p.at).max()
    }

    /// Whether an operator explained a change, `identity` or `shrink`.
    pub fn accepts(&self, change: &str) -> bool {
        self.proofs
            .iter()
            .filter_map(|p| p.detail.get("accepts")?.as_array())
            .any(|list| list.iter().any(|word| word == change))
    }

    /// Adds a proof as a new file that is never changed.
    ///
    /// What is added last is dated last: where this console's clock is behind the newest proof that lies there, the proof
    /// gets a time right after that one, and `detail.clock` what the clock said. Otherwise a check that failed would
    /// count as older than the one that passed, and spoil nothing.
    pub fn add_proof(&mut self, mut proof: Proof) -> Result<PathBuf, VaultError> {
        let dir = self.dir.join(PROOFS);
        disk::make_dir(&dir)?;
        // Another console may have added one since this was read. What does not hold there is told by whoever reads it.
        let there = load_proofs(&dir, &mut Vec::new())?;
        if let Some(newest) = there.iter().chain(&self.proofs).map(|p| p.at).max()
            && proof.at < newest
        {
            if let Some(detail) = proof.detail.as_object_mut() {
                detail.insert("clock".to_owned(), proof.at.to_string().into());
            }
            proof.at = newest.checked_add(SignedDuration::from_millis(1)).unwrap_or(newest);
        }
        let (name, bytes) = proof_file(&dir, &proof)?;
        let (path, aside) = (dir.join(&name), dir.join(format!(".{name}")));
        let _ = fs::remove_file(&aside); // What a crash left of the same proof.
        disk::write_new(&aside, &bytes)?;
        disk::rename_new(&aside, &path).inspect_err(|_| {
            let _ = fs::remove_file(&aside);
        })?;
        disk::sync_dir(&dir)?;
        self.proofs.push(proof);
        self.proofs.sort_by_key(|p| p.at);
        Ok(path)
    }
}

/// A proof's file name, which carries the hash of its bytes, and the bytes.
pub(super) fn proof_file(dir: &Path, proof: &Proof) -> Result<(String, Vec<u8>), VaultError> {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Word(Rung);
    let bytes = disk::json(dir, proof)?;
    let rung = serde_json::to_string(&Word(proof.rung)).unwrap_or_default();
    let at = proof.at.strftime("%Y%m%dT%H%M%SZ");
    Ok((format!("{at}-{}-{}.json", rung.trim_matches('"'), disk::sha256(&bytes)), bytes))
}

impl Vault {
    /// Reads one snapshot. What is out of order with its proofs goes to `findings`.
    pub fn snapshot(
        &self,
        item: &ItemRef,
        id: &SnapshotId,
        findings: &mut Vec<Finding>,
    ) -> Result<Snapshot, VaultError> {
        let dir = name::item_dir(self.root(), item).join(id.as_str());
        if !name::is_stamp(id.as_str()) || fs::symlink_metadata(&dir).is_err() {
            return Err(VaultError::Nothing { path: self.root().to_owned(), wanted: format!("{item}@{id}") });
        }
        let snapshot = load(&dir, findings)?;
        if snapshot.manifest.item != *item {
            return Err(VaultError::damaged(&dir, format!("it is a copy of '{}'", snapshot.manifest.item)));
        }
        Ok(snapshot)
    }
}

/// Reads the manifest of `dir`, checks it against the list of hashes, and reads the proofs.
pub(super) fn load(dir: &Path, findings: &mut Vec<Finding>) -> Result<Snapshot, VaultError> {
    let at = dir.join(MANIFEST);
    let bytes = disk::read(&at, disk::LARGEST_JSON)?;
    let list_at = dir.join(SUMS);
    let list = disk::read(&list_at, disk::LARGEST_JSON)?;
    let id = dir.file_name().unwrap_or_default().to_string_lossy();
    // The hash first: a damaged manifest must not pass for a newer one.
    let known = sums::parse(&id, &list).map_err(|why| VaultError::damaged(&list_at, why))?;
    if known.get(MANIFEST) != Some(&disk::sha256(&bytes)) {
        return Err(VaultError::damaged(&at, "it does not match its line in SHA256SUMS"));
    }
    refuse_newer(&at, &bytes, "version", MANIFEST_VERSION.into())?;
    let manifest: Manifest = parse(&at, &bytes)?;
    if manifest.id.as_str() != id {
        return Err(VaultError::damaged(&at, format!("it describes '{}'", manifest.id)));
    }
    let suffix = if manifest.recipients.is_empty() { "" } else { ".age" };
    for file in &manifest.files {
        // A name made by anybody else could lead out of the snapshot.
        if name::file_name(&file.name)? + suffix != file.stored_name
            || known.get(&file.stored_name) != Some(&file.stored_sha256)
        {
            let why = format!("'{}' in it does not match SHA256SUMS", file.name.escape_debug());
            return Err(VaultError::damaged(&at, why));
        }
    }
    let proofs = load_proofs(&dir.join(PROOFS), findings)?;
    Ok(Snapshot { dir: dir.to_owned(), manifest, proofs, sums_sha256: disk::sha256(&list) })
}

/// Reads the proofs; one that does not match the hash in its name counts for nothing and is a finding.
pub(super) fn load_proofs(dir: &Path, findings: &mut Vec<Finding>) -> Result<Vec<Proof>, VaultError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            findings.push(Finding::new(dir, Trouble::Missing, "is not there"));
            return Ok(Vec::new());
        }
        Err(e) => return Err(VaultError::io(dir, "list", e)),
    };
    let mut proofs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| VaultError::io(dir, "list", e))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue; // Never renamed into place, so never a proof.
        }
        match load_proof(&entry.path()) {
            Ok(proof) => proofs.push(proof),
            Err(error) => findings.push(Finding::of(&error, &entry.path())),
        }
    }
    proofs.sort_by_key(|p| p.at);
    Ok(proofs)
}

fn load_proof(path: &Path) -> Result<Proof, VaultError> {
    let bytes = disk::read(path, disk::LARGEST_JSON)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(hash) = name.strip_suffix(".json").and_then(|n| n.rsplit_once('-')).map(|(_, hash)| hash) else {
        return Err(VaultError::damaged(path, "its name is not that of a proof"));
    };
    if disk::sha256(&bytes) != hash {
        return Err(VaultError::damaged(path, "it does not match the hash in its name"));
    }
    refuse_newer(path, &bytes, "version", PROOF_VERSION.into())?;
    let proof: Proof = parse(path, &bytes)?;
    let dir = path.parent().unwrap_or(path);
    // Bytes, because a name from outside may have a letter of several across the cut.
    if proof_file(dir, &proof)?.0.as_bytes().get(..17) != name.as_bytes().get(..17) {
        return Err(VaultError::damaged(path, "its name tells another time"));
    }
    Ok(proof)
}
