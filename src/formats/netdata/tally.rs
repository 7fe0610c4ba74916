//! The tiers of a cache directory: where they lie, sums over their pages, and which metrics those are of.

use super::error::NetdataError;
use super::names::{depth, parent, tier};
use crate::formats::dbengine::Page;
use std::collections::HashMap;

/// The most metrics told apart: 17 bytes each.
const MAX_METRICS: usize = 900_000;

/// The most directories of samples. An agent has five at most (`RRD_STORAGE_TIERS` in all versions that have tiers); what
/// more there is are copies that somebody laid beside them.
const MAX_TIERS: usize = 16;

/// A directory of samples.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) directory: Vec<u8>,
    pub(super) sum: TierSum,
}

impl Tier {
    /// The tier it holds.
    pub(super) fn level(&self) -> u8 {
        tier(&self.directory).unwrap_or(0)
    }
}

/// The directories of samples, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Tiers {
    seen: Vec<Tier>,
    /// The directory nearest the archive's root that has one of them, be it empty.
    top: Option<Vec<u8>>,
}

impl Tiers {
    /// Which one this is; it is noted.
    pub(super) fn find(&mut self, directory: &[u8]) -> Result<usize, NetdataError> {
        if let Some(at) = self.seen.iter().position(|tier| tier.directory == directory) {
            return Ok(at);
        }
        if self.seen.len() >= MAX_TIERS {
            return Err(NetdataError::TooManyTiers { limit: MAX_TIERS });
        }
        self.stands(directory);
        self.seen.push(Tier { directory: directory.to_vec(), sum: TierSum::default() });
        Ok(self.seen.len() - 1)
    }

    /// Notes where a directory of samples stands, with or without samples in it.
    pub(super) fn stands(&mut self, directory: &[u8]) {
        let place = parent(directory);
        if self.top.as_ref().is_none_or(|top| depth(place) < depth(top)) {
            self.top = Some(place.to_vec());
        }
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Tier> {
        self.seen.get_mut(at)
    }

    /// The name of a directory.
    pub(super) fn directory(&self, at: usize) -> &[u8] {
        self.seen.get(at).map(|tier| tier.directory.as_slice()).unwrap_or_default()
    }

    /// All of them by name.
    pub(super) fn by_name(&self) -> Vec<&Tier> {
        let mut all: Vec<&Tier> = self.seen.iter().collect();
        all.sort_unstable_by(|one, other| one.directory.cmp(&other.directory));
        all
    }

    /// The cache directory: that of these directories which lies nearest the archive's root. `None` when it has no
    /// samples. What lies below it is a copy somebody made; what lies elsewhere is another agent's.
    pub(super) fn cache(&self) -> Result<Option<&[u8]>, NetdataError> {
        let Some(top) = self.top.as_deref() else { return Ok(None) };
        let is_below = |place: &[u8]| {
            place.strip_prefix(top).is_some_and(|rest| rest.is_empty() || top.is_empty() || rest.starts_with(b"/"))
        };
        if !self.seen.iter().all(|tier| is_below(parent(&tier.directory))) {
            return Err(NetdataError::Twice { name: "dbengine" });
        }
        Ok(self.seen.iter().any(|tier| parent(&tier.directory) == top).then_some(top))
    }
}

/// What the data files of one tier hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TierSum {
    pub(super) pairs: u64,
    pub(super) bytes: u64,
    pub(super) extents: u64,
    pub(super) pages: u64,
    pub(super) points: u64,
    /// Pages that an agent passes over, as their times or lengths make no sense.
    pub(super) unusable: u64,
    /// First and last point, in microseconds since 1970.
    pub(super) range_us: Option<(u64, u64)>,
}

impl TierSum {
    pub(super) fn add(&mut self, page: &Page) {
        if !page.is_usable() {
            self.unusable += 1;
            return;
        }
        self.points = self.points.saturating_add(page.points);
        let (from, to) = self.range_us.unwrap_or((page.start_us, page.end_us));
        self.range_us = Some((from.min(page.start_us), to.max(page.end_us)));
    }
}

/// The metrics seen, each with the tiers that have samples of it.
///
/// A metric is known by half its UUID, folded: enough to tell random ids apart, and all that is counted.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    seen: HashMap<u64, u8>,
    full: bool,
}

impl Metrics {
    pub(super) fn add(&mut self, metric: &[u8; 16], tier: u8) {
        let key = fold(metric);
        if let Some(tiers) = self.seen.get_mut(&key) {
            *tiers |= 1 << tier;
        } else if self.seen.len() < MAX_METRICS {
            self.seen.insert(key, 1 << tier);
        } else {
            self.full = true;
        }
    }

    pub(super) fn has(&self, metric: &[u8; 16]) -> bool {
        self.seen.contains_key(&fold(metric))
    }

    /// How many there are; only a floor when [`Self::is_full`].
    pub(super) fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    /// How many there are in each tier, as far as they are told apart.
    pub(super) fn by_tier(&self) -> [u64; 8] {
        let mut counts = [0; 8];
        for tiers in self.seen.values() {
            for (tier, count) in counts.iter_mut().enumerate() {
                *count += u64::from(*tiers >> tier & 1);
            }
        }
        counts
    }

    /// Whether there were more than are told apart.
    pub(super) const fn is_full(&self) -> bool {
        self.full
    }
}

fn fold(metric: &[u8; 16]) -> u64 {
    let whole = u128::from_le_bytes(*metric);
    let half = |part: u128| u64::try_from(part & u128::from(u64::MAX)).unwrap_or_default();
    half(whole) ^ half(whole >> 64).rotate_left(32)
}
