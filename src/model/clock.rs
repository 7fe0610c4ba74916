//! Time and randomness, injected so that a test can hold both.

use std::time::Duration;

use jiff::Timestamp;

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

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random values.
    fn fill(&self, bytes: &mut [u8]);

    /// `count` random bytes as lower-case hexadecimal.
    fn hex(&self, count: usize) -> String {
        use std::fmt::Write;
        let mut bytes = vec![0; count];
        self.fill(&mut bytes);
        bytes.iter().fold(String::with_capacity(2 * count), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
