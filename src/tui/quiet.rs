//! Keys that were meant for what lay on the screen before.

use jiff::{SignedDuration, Timestamp};

/// Keys that come before it was quiet for this long were meant for what lay there before.
pub const QUIET: SignedDuration = SignedDuration::from_millis(300);

/// From the moment something appears until the keyboard was quiet for a while, keys do not count.
#[derive(Debug, Clone, Copy)]
pub struct Quiet {
    until: Timestamp,
}

impl Quiet {
    /// It appears at this moment.
    pub fn from(now: Timestamp) -> Self {
        Self { until: now.checked_add(QUIET).unwrap_or(now) }
    }

    /// Whether a key counts at this moment; one that does not begins the wait anew, also when the clock went back.
    pub fn is_over(&mut self, now: Timestamp) -> bool {
        let is_over = now >= self.until;
        if !is_over {
            *self = Self::from(now);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_count_once_the_keyboard_was_quiet_and_a_clock_that_goes_back_locks_nobody_out() {
        let begun: Timestamp = "2026-11-20T02:50:00Z".parse().unwrap();
        let at = |millis: i64| begun + SignedDuration::from_millis(millis);
        let mut quiet = Quiet::from(begun);
        assert_eq!([0, 200, 400, 701, 702].map(|millis| quiet.is_over(at(millis))), [false, false, false, true, true]);
        let mut quiet = Quiet::from(begun);
        assert!(!quiet.is_over(at(-10_000_000)));
        assert!(quiet.is_over(at(-10_000_000 + 300)));
    }
}
