//! What the vault holds, boiled down: of every copy what is shown and judged, not its whole manifest.
//!
//! A vault of five thousand items with ten copies each has manifests of hundreds of megabytes. They are read item by
//! item and let go; whoever needs one whole asks for it by its id.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fleet::twins::Settled;
use crate::model::clock::is_ahead;
use crate::model::facts::Identity;
use crate::model::ids::{HostId, ItemRef, SnapshotId};
use crate::model::manifest::{Rung, held_since};
use crate::model::text::CleanText;
use crate::model::units::ByteSize;
use crate::vault::{Candidate, Catalogue, Finding, Policy, Snapshot, Vault, VaultError, choose_best};

/// Everything the vault holds, also of hosts in no inventory.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// What is kept of each item.
    pub items: BTreeMap<ItemRef, Shelf>,
    /// What is odd, unreadable, unfinished or damaged.
    pub findings: Vec<Finding>,
    /// When restores brought identities back and saw them run: what was seen of them before tells nothing any more.
    pub settled: Vec<Settled>,
}

/// The copies of one item. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelf {
    /// Newest first.
    pub copies: Arc<[CopyView]>,
    /// The identities in the newest copy nothing speaks against.
    pub identities: Arc<[Identity]>,
    /// Which copy is meant where nobody names one; else why that is not to be guessed.
    pub best: Best,
}

/// The place of an item's best copy among [`Shelf::copies`]; without one, the reason.
pub type Best = Result<usize, &'static str>;

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
    /// Its ladder, in the order the proofs came.
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
    /// When, as far as it can be told: see [`crate::model::manifest::Proof::dated`].
    pub at: Timestamp,
    /// Whether it held.
    pub passed: bool,
}

impl CopyView {
    /// When a rung was last reached, if it holds; see [`held_since`].
    pub fn holds(&self, rung: Rung) -> Option<Timestamp> {
        held_since(self.proofs.iter().map(|p| (p.rung, p.at, p.passed)), rung)
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

impl CopyView {
    fn of(candidate: &Candidate, now: Timestamp) -> Self {
        let manifest = candidate.snapshot.manifest();
        let proofs = candidate.snapshot.proofs().iter();
        Self {
            id: manifest.id.clone(),
            created: manifest.created,
            source: manifest.source.host.clone(),
            size: manifest.plain_size(),
            stored: manifest.files.iter().map(|file| file.stored_size).sum(),
            sealed: candidate.snapshot.is_sealed(),
            proofs: proofs.map(|p| ProofView { rung: p.rung, at: p.dated(now), passed: p.passed }).collect(),
            against: candidate.against.clone(),
            marks: manifest.marks.clone(),
        }
    }
}

/// What restores of a copy settled. A date ahead of the reader's clock would make looks worthless that are not.
fn settled_by(snapshot: &Snapshot, now: Timestamp) -> impl Iterator<Item = Settled> {
    let identities = &snapshot.manifest().identities;
    let proven = snapshot.proofs().iter().filter(|proof| proof.rung == Rung::Proven && proof.passed);
    let dates = proven.map(move |proof| proof.dated(now)).filter(move |at| *at <= now && !identities.is_empty());
    dates.map(|at| Settled { identities: identities.clone(), at })
}

/// Every rung, the weakest first.
pub const RUNGS: [Rung; 6] = [Rung::Intact, Rung::Copied, Rung::Openable, Rung::Verified, Rung::Drilled, Rung::Proven];

/// The newest of several dates. One that lies ahead of `now` tells nothing, so it outranks none that does not.
pub fn newest(dates: impl Iterator<Item = Timestamp>, now: Timestamp) -> Option<Timestamp> {
    dates.max_by_key(|at| (!is_ahead(*at, now), *at))
}

/// The highest rung that any of several copies holds, and when it was reached last; see [`newest`].
pub fn last_proof(copies: &[CopyView], now: Timestamp) -> Option<(Rung, Timestamp)> {
    let highest = copies.iter().filter_map(CopyView::highest);
    highest.max_by_key(|(rung, at)| (*rung, !is_ahead(*at, now), *at))
}

impl Default for Shelf {
    fn default() -> Self {
        Self { copies: Arc::default(), identities: Arc::default(), best: Err("the vault has not been read yet") }
    }
}

impl Shelf {
    /// The copies of one item, judged against each other, as a reader whose clock says `now` sees them.
    pub fn of(candidates: &[Candidate], policy: &Policy, now: Timestamp) -> Self {
        let best = candidates.iter().find(|candidate| candidate.against.is_empty());
        Self {
            copies: candidates.iter().map(|candidate| CopyView::of(candidate, now)).collect(),
            identities: best
                .map(|best| best.snapshot.manifest().identities.iter().cloned().collect())
                .unwrap_or_default(),
            best: choose_best(&candidates.iter().collect::<Vec<_>>(), policy),
        }
    }
}

/// What a vault knows against one of its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It was there and is not any more.
    Gone,
    /// Something speaks against it.
    Suspect(String),
    /// No check has shown what it is worth.
    Unverified,
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone => f.write_str("it is not in the vault any more"),
            Self::Suspect(why) => write!(f, "suspect: {why}"),
            Self::Unverified => f.write_str("not verified"),
        }
    }
}

impl Holdings {
    /// Reads the vault, one item after the other; `now` is what the reader's clock says.
    ///
    /// # Errors
    /// When the vault cannot be listed; a snapshot that cannot be read is a finding.
    pub fn read(vault: &Vault, now: Timestamp) -> Result<Self, VaultError> {
        let (mut items, mut settled) = (BTreeMap::new(), Vec::new());
        let findings = vault.walk(&mut |shelf: &mut Catalogue| {
            if let Some(place) = shelf.snapshots.first().map(|snapshot| snapshot.item().clone()) {
                let policy = Policy::at(now);
                let judged = shelf.judged(&place, &policy);
                items.insert(place, Shelf::of(&judged, &policy, now));
                settled.extend(shelf.snapshots.iter().flat_map(|snapshot| settled_by(snapshot, now)));
            }
        })?;
        Ok(Self { items, findings, settled })
    }

    /// Every copy by its item and id, those of an item newest first.
    pub fn ids(&self) -> Vec<(ItemRef, SnapshotId)> {
        let of = |(item, shelf): (&ItemRef, &Shelf)| {
            let item = item.clone();
            shelf.copies.iter().map(move |copy| (item.clone(), copy.id.clone())).collect::<Vec<_>>()
        };
        self.items.iter().flat_map(of).collect()
    }

    /// The copies of an item, newest first.
    pub fn copies(&self, place: &ItemRef) -> &[CopyView] {
        self.items.get(place).map_or(&[], |shelf| &shelf.copies)
    }

    /// What speaks against a copy by what is known now; nothing while all is well with it.
    pub fn doubt(&self, place: &ItemRef, id: &SnapshotId) -> Option<Doubt> {
        let Some(copy) = self.copies(place).iter().find(|copy| copy.id == *id) else { return Some(Doubt::Gone) };
        let worse = copy.against.iter().find(|why| *why != "not verified");
        worse.map(|why| Doubt::Suspect(why.clone())).or((!copy.against.is_empty()).then_some(Doubt::Unverified))
    }
}
