//! Time and randomness, injected so that a test can hold both.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::text::hex;

/// The console's own clock.
///
/// Nothing outside an implementation of this trait asks the machine for the time, so that a journal can be
/// replayed and a guard's lapse tested without waiting.
pub trait Clock: Send + Sync {
    /// The wall-clock time, UTC.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary start, never going back.
    fn elapsed(&self) -> Duration;
    /// Lets `span` pass.
    fn sleep(&self, span: Duration);
}

/// A date this far ahead of the clock is no rounding: one of two clocks is wrong.
pub const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Whether a date lies so far ahead that it tells nothing of when something was.
pub fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at.duration_since(now) > AHEAD
}

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random values.
    fn fill(&self, bytes: &mut [u8]);

    /// `count` random bytes as lower-case hexadecimal.
    fn hex(&self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes);
        hex(&bytes)
    }
}
