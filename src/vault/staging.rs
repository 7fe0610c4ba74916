//! Staging: a snapshot is written aside, and appears whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::model::clock::{Clock, Entropy};
use crate::model::ids::{ItemRef, RunId, SnapshotId};
use crate::model::item::Sensitivity;
use crate::model::manifest::{MANIFEST_VERSION, Manifest, Proof};

use super::disk;
use super::error::VaultError;
use super::home::Vault;
use super::lease::Holder;
use super::name::{self, CARD, HASHES, MANIFEST, PROOFS, STAGING, SUMS};
use super::seal::Sealing;
use super::snapshot::proof_file;
use super::sums;
use super::writer::{FileMeta, FileWriter, Order, SharedCell, locked};

/// What is to be staged.
#[derive(Debug, Clone)]
pub struct StageRequest<'a> {
    /// The run it belongs to.
    pub run: &'a RunId,
    /// The item it is a copy of.
    pub item: &'a ItemRef,
    /// Whether its bytes are secret.
    pub sensitivity: Sensitivity,
    /// To whom it is sealed.
    pub sealing: &'a Sealing,
    /// Who writes it.
    pub holder: &'a Holder,
}

/// A snapshot being written. Dropped before it is published, it leaves nothing behind.
#[derive(Debug)]
pub struct Staging {
    vault: Vault,
    id: SnapshotId,
    run: RunId,
    item: ItemRef,
    sensitivity: Sensitivity,
    sealing: Sealing,
    holder: Holder,
    dir: PathBuf,
    sign: PathBuf,
    _locked: File,
    shared: SharedCell,
    published: bool,
}

/// What a published snapshot is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub id: SnapshotId,
    /// Its directory.
    pub path: PathBuf,
    /// The SHA-256 of its `SHA256SUMS`, for the receipt of the run.
    pub sums_sha256: String,
}

/// The steps of publishing, in order; each is told after it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PublishStep {
    /// The lease of the item is held.
    Leased,
    /// The hashes of secret files are sealed.
    Hashes,
    /// The card is written.
    Card,
    /// The proofs are written.
    Proofs,
    /// `SHA256SUMS` is written.
    Sums,
    /// The manifest is written, and its directory synced.
    Manifest,
    /// The place it goes to is made.
    Parents,
    /// It was renamed into place: the commit.
    Renamed,
    /// The rename survives a power cut.
    Synced,
}

/// Told after each step of publishing; an error stops it there.
pub type Watch<'a> = &'a mut dyn FnMut(PublishStep) -> Result<(), VaultError>;

impl Vault {
    /// Starts a snapshot. A secret that would lie in clear is refused before anything is written.
    pub fn stage(
        &self,
        request: &StageRequest<'_>,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Staging, VaultError> {
        let StageRequest { run, item, sensitivity, sealing, holder } = request.clone();
        if sensitivity == Sensitivity::Secret && !sealing.is_sealed() && !sealing.allows_plaintext() {
            return Err(VaultError::Plaintext { item: item.to_string() });
        }
        let stamp = format!("{}-{}", clock.now().strftime("%Y%m%dT%H%M%SZ"), entropy.hex(3));
        let id = SnapshotId::new(stamp)
            .map_err(|e| VaultError::Misuse { path: self.root().to_owned(), why: e.to_string() })?;
        let run_dir = self.root().join(STAGING).join(name::run_name(run));
        let sign = run_dir.join(format!("{id}.json"));
        disk::make_dir(&self.root().join(STAGING))?;
        let mut tries = 0;
        let lock = loop {
            // Another staging of this run that ends right now, or who clears away what dead runs left, takes the empty
            // directory with it; so nothing waits for the disk in between.
            match disk::make_passing_dir(&run_dir).and_then(|_| disk::create(&sign)) {
                Ok(file) => break file,
                Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound && tries < 1000 => {
                    tries += 1;
                    clock.sleep(std::time::Duration::from_millis(1));
                }
                Err(other) => return Err(other),
            }
        };
        let is_locked = lock_sign(&lock, clock).map_err(|held| {
            let _ = fs::remove_file(&sign);
            let _ = fs::remove_dir(&run_dir);
            VaultError::Held { subject: sign.display().to_string(), holder: held.to_owned() }
        })?;
        let told = json!({ "version": 1, "item": item, "holder": holder, "started": clock.now(), "locked": is_locked });
        let staging = Staging {
            vault: self.clone(),
            dir: run_dir.join(id.as_str()),
            id,
            run: run.clone(),
            item: item.clone(),
            sensitivity,
            sealing: sealing.clone(),
            holder: holder.clone(),
            sign,
            _locked: lock,
            shared: SharedCell::default(),
            published: false,
        };
        let bytes = disk::json(&staging.sign, &told)?;
        fs::write(&staging.sign, bytes).map_err(|e| VaultError::io(&staging.sign, "write", e))?;
        disk::make_dir(&staging.dir)?;
        Ok(staging)
    }
}

/// Locks the sign of a staging for as long as its file is open; false where the filesystem has no locks, which the sign
/// then says, so that nobody takes it for one whose process is gone.
fn lock_sign(sign: &File, clock: &dyn Clock) -> Result<bool, &'static str> {
    use rustix::fs::{FlockOperation, flock};
    for _ in 0..200 {
        match flock(sign, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            // Somebody looks at this very moment whether it is locked.
            Err(rustix::io::Errno::WOULDBLOCK) => clock.sleep(std::time::Duration::from_millis(5)),
            Err(_) => return Ok(false),
        }
    }
    Err("another process that does not let go of it")
}

impl Staging {
    /// The id it will have.
    pub fn id(&self) -> &SnapshotId {
        &self.id
    }

    /// Opens a file of the payload. Files stand in the manifest in the order in which they are opened.
    pub fn file(&self, name: &str, meta: FileMeta) -> Result<FileWriter, VaultError> {
        let clear_name = name::file_name(name)?;
        let mut path = self.dir.join(&clear_name);
        if self.sealing.is_sealed() {
            path.as_mut_os_string().push(".age");
        }
        {
            let mut shared = locked(&self.shared);
            if shared.files.iter().any(|(taken, _)| taken == name) {
                return Err(VaultError::Exists { path });
            }
            shared.files.push((name.to_owned(), None));
        }
        let hide = self.hides();
        let order = Order { name: name.into(), clear_name, path, meta, hide, shared: self.shared.clone() };
        FileWriter::start(order, &self.sealing).inspect_err(|_| {
            locked(&self.shared).files.retain(|(taken, slot)| taken != name || slot.is_some());
        })
    }

    fn hides(&self) -> bool {
        self.sensitivity == Sensitivity::Secret && self.sealing.is_sealed()
    }

    /// Fills in what staging alone knows: version, id, item, run, sensitivity, recipients and the finished files.
    pub fn describe(&self, manifest: &mut Manifest) {
        manifest.version = MANIFEST_VERSION;
        manifest.id = self.id.clone();
        manifest.item = self.item.clone();
        manifest.run = self.run.clone();
        manifest.sensitivity = self.sensitivity;
        manifest.recipients = self.sealing.recipients().to_vec();
        manifest.files = locked(&self.shared).files.iter().filter_map(|(_, file)| file.clone()).collect();
    }

    /// Publishes: the snapshot appears whole, or, on any error, not at all.
    ///
    /// `manifest` must have been through [`Staging::describe`]; `card` is its `RESTORE.md`. One exception: when only
    /// the last sync fails, the snapshot is there, and the error says that it could not be synced.
    pub fn publish(
        self,
        manifest: &Manifest,
        proofs: &[Proof],
        card: &str,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Published, VaultError> {
        self.publish_watched(manifest, proofs, card, clock, entropy, &mut |_| Ok(()))
    }

    /// The same, telling `watch` each step after it happened.
    pub fn publish_watched(
        mut self,
        manifest: &Manifest,
        proofs: &[Proof],
        card: &str,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
        watch: Watch<'_>,
    ) -> Result<Published, VaultError> {
        self.check(manifest)?;
        let mut lease = self.vault.lease(&self.item, &self.holder, clock, entropy)?;
        watch(PublishStep::Leased)?;
        let sums_sha256 = self.write_around(manifest, proofs, card, watch)?;

        let target = name::item_dir(self.vault.root(), &self.item);
        let parents: Vec<PathBuf> = target.ancestors().take(3).map(Path::to_owned).collect();
        let path = target.join(self.id.as_str());
        let commit = (|| {
            for parent in parents.iter().rev() {
                disk::make_dir(parent)?;
            }
            watch(PublishStep::Parents)?;
            lease.renew(clock)?;
            disk::rename_new(&self.dir, &path)
        })();
        if let Err(error) = commit {
            for parent in &parents {
                let _ = fs::remove_dir(parent); // Only those that are still empty go.
            }
            return Err(error);
        }
        self.published = true;
        watch(PublishStep::Renamed)?;
        disk::sync_dir(&target)?;
        if let Some(run_dir) = self.sign.parent() {
            disk::sync_dir(run_dir)?;
        }
        watch(PublishStep::Synced)?;
        Ok(Published { id: self.id.clone(), path, sums_sha256 })
    }

    /// Everything beside the payload, the manifest last.
    fn write_around(
        &self,
        manifest: &Manifest,
        proofs: &[Proof],
        card: &str,
        watch: Watch<'_>,
    ) -> Result<String, VaultError> {
        let mut sums: BTreeMap<String, String> =
            manifest.files.iter().map(|f| (f.stored_name.clone(), f.stored_sha256.clone())).collect();
        if self.hides() {
            let path = self.dir.join(HASHES);
            let files = locked(&self.shared).hidden.clone();
            let clear = disk::json(&path, &json!({ "version": 1, "snapshot": self.id, "files": files }))?;
            let sealed = self.seal(&clear).map_err(|e| VaultError::io(&path, "seal", e))?;
            disk::write_new(&path, &sealed)?;
            sums.insert(HASHES.into(), disk::sha256(&sealed));
        }
        watch(PublishStep::Hashes)?;
        disk::write_new(&self.dir.join(CARD), card.as_bytes())?;
        sums.insert(CARD.into(), disk::sha256(card.as_bytes()));
        watch(PublishStep::Card)?;
        let dir = self.dir.join(PROOFS);
        disk::make_dir(&dir)?;
        for proof in proofs {
            let (name, bytes) = proof_file(&dir, proof)?;
            disk::write_new(&dir.join(name), &bytes)?;
        }
        disk::sync_dir(&dir)?;
        watch(PublishStep::Proofs)?;
        let path = self.dir.join(MANIFEST);
        let bytes = disk::json(&path, manifest)?;
        sums.insert(MANIFEST.into(), disk::sha256(&bytes));
        let list = sums::render(self.id.as_str(), &sums);
        disk::write_new(&self.dir.join(SUMS), list.as_bytes())?;
        watch(PublishStep::Sums)?;
        disk::write_new(&path, &bytes)?;
        disk::sync_dir(&self.dir)?;
        watch(PublishStep::Manifest)?;
        Ok(disk::sha256(list.as_bytes()))
    }

    fn seal(&self, clear: &[u8]) -> std::io::Result<Vec<u8>> {
        use std::io::Write;
        let mut sealed = Vec::new();
        let mut writer = self.sealing.wrap(&mut sealed).map_err(std::io::Error::other)??;
        writer.write_all(clear)?;
        writer.finish()?;
        Ok(sealed)
    }

    fn check(&self, manifest: &Manifest) -> Result<(), VaultError> {
        let misuse = |why: String| Err(VaultError::Misuse { path: self.dir.clone(), why });
        let unfinished = locked(&self.shared).files.iter().find(|(_, f)| f.is_none()).map(|(name, _)| name.clone());
        if let Some(name) = unfinished {
            return misuse(format!("'{}' is still being written", name.escape_debug()));
        }
        let mut described = manifest.clone();
        self.describe(&mut described);
        if described.files.is_empty() {
            return misuse("it has no files".into());
        }
        if described == *manifest { Ok(()) } else { misuse("its manifest does not describe what was staged".into()) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_dir_all(&self.dir);
        }
        let _ = fs::remove_file(&self.sign);
        if let Some(run_dir) = self.sign.parent() {
            let _ = fs::remove_dir(run_dir); // Stays while another item of the run is being staged.
        }
    }
}
