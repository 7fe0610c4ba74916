//! The real clock and the real randomness.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::model::clock::{Clock, Entropy};

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, span: Duration) {
        std::thread::sleep(span);
    }
}

/// The kernel's random bytes.
#[derive(Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // The kernel's generator does not fail once the machine has booted; if it ever did, ids made of zeros would still
        // be refused where they collide, and no key is made here.
        let _ = getrandom::fill(bytes);
    }
}
