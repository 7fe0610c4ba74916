//! Which snapshot is meant, and whether it can be taken without asking.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::model::clock::is_ahead;
use crate::model::facts::Identity;
use crate::model::ids::{ItemId, ItemRef, OwnerId, ServiceName};
use crate::model::manifest::Rung;
use crate::model::units::ByteSize;

use super::catalogue::Catalogue;
use super::error::VaultError;
use super::home::Vault;
use super::snapshot::Snapshot;

/// A snapshot as an operator names it: `owner/service/item`, with `@ID`, `@latest` or `@before:TIME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRef {
    /// Of which item.
    pub item: ItemRef,
    /// Which one.
    pub which: Which,
}

/// Which of an item's snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest that can be trusted.
    Best,
    /// The one whose id starts like this, whatever was proven of it.
    Id(String),
    /// The newest, whatever was proven of it.
    Latest,
    /// The newest that can be trusted and is not younger than this.
    Before(Timestamp),
}

impl FromStr for SnapshotRef {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        let refuse = |why: String| VaultError::Reference { text: text.escape_debug().take(200).collect(), why };
        let (item, which) = text.split_once('@').map_or((text, None), |(item, which)| (item, Some(which)));
        let parts: Vec<&str> = item.split('/').collect();
        let [owner, service, id] = parts[..] else {
            return Err(refuse("it must start with owner/service/item".into()));
        };
        let item = ItemRef {
            owner: OwnerId::new(owner).map_err(|e| refuse(e.to_string().trim_end_matches('.').into()))?,
            service: ServiceName::new(service).map_err(|e| refuse(e.to_string().trim_end_matches('.').into()))?,
            item: ItemId::new(id).map_err(|e| refuse(e.to_string().trim_end_matches('.').into()))?,
        };
        let which = match which {
            None => Which::Best,
            Some("latest") => Which::Latest,
            Some(which) => match which.strip_prefix("before:") {
                Some(time) => Which::Before(
                    time.parse().map_err(|_| refuse(format!("'{}' is no time with a zone", time.escape_debug())))?,
                ),
                None if which.len() >= 4 && which.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
                    Which::Id(which.to_owned())
                }
                None => return Err(refuse("an id or its beginning has at least four letters, digits or '-'".into())),
            },
        };
        Ok(Self { item, which })
    }
}

impl fmt::Display for SnapshotRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Best => write!(f, "{}", self.item),
            Which::Id(id) => write!(f, "{}@{id}", self.item),
            Which::Latest => write!(f, "{}@latest", self.item),
            Which::Before(time) => write!(f, "{}@before:{time}", self.item),
        }
    }
}

/// What may be taken without an id.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The identities the item is known to have; `None` when nobody knows better than the vault itself.
    pub known: Option<Vec<Identity>>,
    /// A copy smaller than this share of the trusted one before it is suspect, in percent.
    pub least_percent: u64,
    /// The chooser's clock: of a copy dated ahead of it nobody can tell when it was made. Without it dates are believed.
    pub now: Option<Timestamp>,
}

impl Policy {
    /// The usual one, for a chooser whose clock says `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now: Some(now), ..Self::default() }
    }

    fn is_ahead(&self, snapshot: &Snapshot) -> bool {
        self.now.is_some_and(|now| is_ahead(snapshot.manifest().created, now))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { known: None, least_percent: 50, now: None }
    }
}

/// The fact that says what was found against a copy while it was made, whatever its format says of it.
pub const DOUBT: &str = "doubt";

/// A snapshot with what speaks against it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Why it is not taken by itself; empty when it can be.
    pub against: Vec<String>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.snapshot;
        let rung = s.highest_rung().map_or("nothing proven", rung_word);
        write!(f, "{}  {}  {}  {rung}", s.id(), s.manifest().created, ByteSize(s.plain_size()))?;
        for identity in &s.manifest().identities {
            write!(f, "  {}={}", identity.kind.escape_debug(), identity.value.escape_debug())?;
        }
        if self.against.is_empty() { Ok(()) } else { write!(f, "  ({})", self.against.join("; ")) }
    }
}

fn rung_word(rung: Rung) -> &'static str {
    match rung {
        Rung::Intact => "intact",
        Rung::Copied => "copied",
        Rung::Openable => "openable",
        Rung::Verified => "verified",
        Rung::Drilled => "drilled",
        Rung::Proven => "proven",
    }
}

/// What was chosen, and what was passed over for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// The choice.
    pub snapshot: Snapshot,
    /// Newer copies that were not taken, newest first, each with the reason.
    pub passed_over: Vec<Candidate>,
}

impl Catalogue {
    /// Every copy of an item, newest first, each with what speaks against it.
    ///
    /// A copy is compared with the trusted one before it: other identities or a sudden shrinking make it suspect,
    /// so that a node that offers garbage cannot push good copies out of sight.
    pub fn judged(&self, item: &ItemRef, policy: &Policy) -> Vec<Candidate> {
        let mut trusted: Option<Snapshot> = None;
        let mut judged: Vec<Candidate> = Vec::new();
        let mut oldest_first: Vec<&Snapshot> = self.of(item).collect();
        oldest_first.reverse();
        for snapshot in oldest_first {
            let mut against = Vec::new();
            if snapshot.verified_at().is_none() {
                against.push(match snapshot.highest_rung() {
                    Some(_) => "not verified".to_owned(),
                    None => "nothing was proven of it, or a check failed".to_owned(),
                });
            }
            if policy.is_ahead(snapshot) {
                against.push("dated ahead of this console's clock".to_owned());
            }
            let damaged = snapshot.manifest().facts.pointer("/verified/damaged").and_then(|found| found.as_array());
            if damaged.is_some_and(|found| !found.is_empty()) {
                against.push("damaged on the node when it was copied".into());
            }
            against.extend(snapshot.manifest().facts[DOUBT].as_str().map(str::to_owned));
            let known = policy.known.as_deref().or_else(|| trusted.as_ref().map(|t| &t.manifest().identities[..]));
            if let Some(known) = known
                && !same(known, &snapshot.manifest().identities)
                && (policy.known.is_some() || !snapshot.accepts("identity"))
            {
                against.push("another identity than the known one".into());
            }
            if let Some(before) = &trusted
                && !snapshot.accepts("shrink")
                && let Some(why) = shrunk(before, snapshot, policy.least_percent)
            {
                against.push(why);
            }
            if against.is_empty() {
                trusted = Some(snapshot.clone());
            }
            judged.push(Candidate { snapshot: snapshot.clone(), against });
        }
        judged.reverse();
        judged
    }

    /// Chooses a snapshot. Without an id only one that can be trusted is taken; otherwise the candidates are told.
    pub fn select(&self, vault: &Vault, wanted: &SnapshotRef, policy: &Policy) -> Result<Selected, VaultError> {
        let judged = self.judged(&wanted.item, policy);
        let nothing = || VaultError::Nothing { path: vault.root().to_owned(), wanted: wanted.to_string() };
        let undecided = |why: &str, of: &[&Candidate]| VaultError::Undecided {
            wanted: wanted.to_string(),
            why: why.into(),
            candidates: of.iter().map(ToString::to_string).collect(),
        };
        let fitting: Vec<&Candidate> = match &wanted.which {
            Which::Best | Which::Latest => judged.iter().collect(),
            Which::Id(start) => {
                judged.iter().filter(|c| c.snapshot.id().as_str().starts_with(start.as_str())).collect()
            }
            Which::Before(time) => judged.iter().filter(|c| c.snapshot.manifest().created <= *time).collect(),
        };
        let Some(newest) = fitting.first() else { return Err(nothing()) };
        match &wanted.which {
            Which::Id(_) if fitting.len() > 1 => return Err(undecided("several ids start like this", &fitting)),
            Which::Latest if policy.is_ahead(&newest.snapshot) => {
                return Err(undecided("the newest is dated ahead of this console's clock", &fitting));
            }
            Which::Id(_) | Which::Latest => {
                return Ok(Selected { snapshot: newest.snapshot.clone(), passed_over: Vec::new() });
            }
            Which::Best | Which::Before(_) => {}
        }
        let at = choose_best(&fitting, policy).map_err(|why| undecided(why, &fitting))?;
        let passed_over = fitting[..at].iter().map(|c| (*c).clone()).collect();
        Ok(Selected { snapshot: fitting[at].snapshot.clone(), passed_over })
    }
}

/// Which of an item's copies, judged and newest first, is meant where nobody names one; else why that is not to be
/// guessed.
pub fn choose_best(judged: &[&Candidate], policy: &Policy) -> Result<usize, &'static str> {
    let best = judged.iter().enumerate().find(|(_, candidate)| candidate.against.is_empty());
    let Some((at, best)) = best else { return Err("no copy is verified, of the known identity and of a likely size") };
    let is_another = |newer: &&Candidate| {
        newer.snapshot.verified_at().is_some()
            && !same(&newer.snapshot.manifest().identities, &best.snapshot.manifest().identities)
    };
    // Two verified copies of different identities, and nobody said which is the one: not ours to guess.
    if policy.known.is_none() && judged.iter().take(at).any(is_another) {
        return Err("newer verified copies have another identity");
    }
    Ok(at)
}

impl Vault {
    /// Reads the catalogue and chooses from it.
    pub fn select(&self, wanted: &SnapshotRef, policy: &Policy) -> Result<Selected, VaultError> {
        self.catalogue()?.select(self, wanted, policy)
    }
}

fn same(a: &[Identity], b: &[Identity]) -> bool {
    let sorted = |list: &[Identity]| {
        let mut list = list.to_vec();
        list.sort();
        list.dedup();
        list
    };
    sorted(a) == sorted(b)
}

fn shrunk(before: &Snapshot, now: &Snapshot, least_percent: u64) -> Option<String> {
    if !before.manifest().identities.is_empty() {
        let names: Vec<&str> = now.manifest().files.iter().map(|f| f.name.as_str()).collect();
        if let Some(gone) = before.manifest().files.iter().find(|f| !names.contains(&f.name.as_str())) {
            return Some(format!("'{}' is not in it, and was before", gone.name.escape_debug()));
        }
    }
    let (old, new) = (u128::from(before.plain_size()), u128::from(now.plain_size()));
    (new * 100 < old * u128::from(least_percent))
        .then(|| format!("shrank from {} to {}", ByteSize(before.plain_size()), ByteSize(now.plain_size())))
}
