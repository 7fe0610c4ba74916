//! One bound on the memory all sessions' windows and queues may take together.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The smallest share: below it a transfer would crawl.
const LEAST: u64 = 128 * 1024;

/// A number of bytes shared by every transfer under way: the more there are, the smaller each one's window.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    total: u64,
    used: Mutex<u64>,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self(Arc::new(Pool { total, used: Mutex::new(0) }))
    }

    /// The budget of this process: 32 MiB, half of what eight transfers together may keep in memory.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Budget> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(32 << 20)).clone()
    }

    /// Up to `wanted` bytes, at most half of what is left, and never less than a floor, so that nobody starves.
    pub fn take(&self, wanted: u64) -> Share {
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = wanted.min(self.0.total.saturating_sub(*used) / 2).max(LEAST);
        *used += granted;
        Share { pool: Arc::clone(&self.0), granted }
    }

    /// How much is granted now.
    pub fn used(&self) -> u64 {
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A granted part of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Share {
    pool: Arc<Pool>,
    granted: u64,
}

impl Share {
    /// How many bytes were granted.
    pub fn bytes(&self) -> u64 {
        self.granted
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.pool.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(self.granted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_shrink_when_many_transfers_run_and_grow_back() {
        let budget = Budget::new(64 << 20);
        let shares: Vec<_> = (0..6).map(|_| budget.take(16 << 20)).collect();
        let sizes: Vec<_> = shares.iter().map(Share::bytes).collect();
        assert_eq!(sizes[..2], [16 << 20, 16 << 20]);
        assert!(sizes.windows(2).all(|w| w[0] >= w[1]) && sizes[5] < 4 << 20, "{sizes:?}");
        assert!(budget.used() <= 64 << 20);
        drop(shares);
        assert_eq!(budget.used(), 0);
    }
}
