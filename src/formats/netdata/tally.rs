//! Sums over the pages of a tier, and which metrics they are of.

use crate::formats::dbengine::Page;
use std::collections::HashMap;

/// The most metrics told apart: 17 bytes each.
const MAX_METRICS: usize = 900_000;

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

    /// How many there are, in one tier or in all; only a floor when [`Self::is_full`].
    pub(super) fn count(&self, tier: Option<u8>) -> u64 {
        match tier {
            None => self.seen.len() as u64,
            Some(tier) => self.seen.values().filter(|tiers| **tiers & 1 << tier != 0).count() as u64,
        }
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
