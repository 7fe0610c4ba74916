//! When time is told while something moves.

use std::time::Duration;

use tokio::time::Instant;

/// How often time is told while something moves.
const TICK: Duration = Duration::from_millis(250);

/// The next moment time is told. It is kept from one wake-up to the next, so that keys and reports that come more
/// often than time is told do not put it off for ever.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    next: Instant,
}

impl Beat {
    /// Due at once.
    pub fn from(now: Instant) -> Self {
        Self { next: now }
    }

    /// When it is due.
    pub fn next(self) -> Instant {
        self.next
    }

    /// Whether time is told now; then the next time is a whole [`TICK`] later.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = now + TICK;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_in_between_do_not_put_it_off() {
        let begun = Instant::now();
        let mut beat = Beat::from(begun);
        let wakes = (0..100_u32).map(|n| begun + n * Duration::from_millis(100));
        let told = wakes.filter(|now| beat.is_due(*now)).count();
        assert_eq!(told, 34);
        assert!(beat.next() > begun + Duration::from_secs(9));
    }
}
