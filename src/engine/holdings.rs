//! What the vault holds, boiled down: of every copy what is shown and judged, not its whole manifest.
//!
//! A vault of five thousand items with ten copies each has manifests of hundreds of megabytes. They are read item by
//! item and let go; whoever needs one whole asks for it by its id.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::facts::Identity;
use crate::model::ids::{HostId, ItemRef, SnapshotId};
use crate::model::manifest::Rung;
use crate::model::text::CleanText;
use crate::model::units::ByteSize;
use crate::vault::{Candidate, Catalogue, Finding, Policy, Vault, VaultError};

/// Everything the vault holds, also of hosts in no inventory.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// What is kept of each item.
    pub items: BTreeMap<ItemRef, Shelf>,
    /// What is odd, unreadable, unfinished or damaged.
    pub findings: Vec<Finding>,
}

/// The copies of one item. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shelf {
    /// Newest first.
    pub copies: Arc<[CopyView]>,
    /// The identities in the newest copy nothing speaks against.
    pub identities: Arc<[Identity]>,
}

/// One copy as it is shown and judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopyView {
    /// Its id.
    pub id: SnapshotId,
    /// When it was complete, by the clock of the console that made it.
    pub created: Timestamp,
    /// The host it was read from; of a cluster, the member that served it.
    pub source: HostId,
    /// Bytes in clear.
    pub size: ByteSize,
    /// Bytes as stored.
    pub stored: ByteSize,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Its ladder, oldest first.
    pub proofs: Box<[ProofView]>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// Marks that must be seen wherever it is listed.
    pub marks: Vec<CleanText>,
}

/// A rung and when it was reached or missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofView {
    /// Which rung.
    pub rung: Rung,
    /// When.
    pub at: Timestamp,
    /// Whether it held.
    pub passed: bool,
}

impl CopyView {
    /// The newest proof of a rung, if the rung holds: it passed, and no later proof of the same or a weaker rung failed.
    pub fn holds(&self, rung: Rung) -> Option<Timestamp> {
        let newest = self.proofs.iter().rev().find(|p| p.rung == rung).filter(|p| p.passed)?;
        let spoilt = self.proofs.iter().any(|p| !p.passed && p.rung <= rung && p.at >= newest.at);
        (!spoilt).then_some(newest.at)
    }

    /// The strongest rung that holds, and since when.
    pub fn highest(&self) -> Option<(Rung, Timestamp)> {
        RUNGS.into_iter().rev().find_map(|rung| Some((rung, self.holds(rung)?)))
    }

    /// When its format was last checked in full; that still holds.
    pub fn verified_at(&self) -> Option<Timestamp> {
        [Rung::Verified, Rung::Drilled, Rung::Proven].into_iter().filter_map(|rung| self.holds(rung)).max()
    }

    /// When a private key was last shown to open it. What lies in clear needs none.
    pub fn openable_at(&self) -> Option<Timestamp> {
        self.holds(Rung::Openable)
    }
}

impl From<&Candidate> for CopyView {
    fn from(candidate: &Candidate) -> Self {
        let manifest = candidate.snapshot.manifest();
        let proofs = candidate.snapshot.proofs().iter();
        Self {
            id: manifest.id.clone(),
            created: manifest.created,
            source: manifest.source.host.clone(),
            size: ByteSize(candidate.snapshot.plain_size()),
            stored: ByteSize(manifest.files.iter().map(|file| file.stored_size).sum()),
            sealed: candidate.snapshot.is_sealed(),
            proofs: proofs.map(|p| ProofView { rung: p.rung, at: p.at, passed: p.passed }).collect(),
            against: candidate.against.clone(),
            marks: manifest.marks.clone(),
        }
    }
}

/// Every rung, the weakest first.
pub const RUNGS: [Rung; 6] = [Rung::Intact, Rung::Copied, Rung::Openable, Rung::Verified, Rung::Drilled, Rung::Proven];

impl Shelf {
    /// The copies of one item, judged against each other.
    pub fn of(candidates: &[Candidate]) -> Self {
        let best = candidates.iter().find(|candidate| candidate.against.is_empty());
        Self {
            copies: candidates.iter().map(CopyView::from).collect(),
            identities: best
                .map(|best| best.snapshot.manifest().identities.iter().cloned().collect())
                .unwrap_or_default(),
        }
    }
}

impl Holdings {
    /// Reads the vault, one item after the other.
    ///
    /// # Errors
    /// When the vault cannot be listed; a snapshot that cannot be read is a finding.
    pub fn read(vault: &Vault) -> Result<Self, VaultError> {
        let mut items = BTreeMap::new();
        let findings = vault.walk(&mut |shelf: &mut Catalogue| {
            if let Some(place) = shelf.snapshots.first().map(|snapshot| snapshot.item().clone()) {
                let judged = shelf.judged(&place, &Policy::default());
                items.insert(place, Shelf::of(&judged));
            }
        })?;
        Ok(Self { items, findings })
    }

    /// The copies of an item, newest first.
    pub fn copies(&self, place: &ItemRef) -> &[CopyView] {
        self.items.get(place).map_or(&[], |shelf| &shelf.copies)
    }
}
