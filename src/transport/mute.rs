//! A login over which nothing is answered, for tests of what logins are kept and given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Cancel, Dial, Duplex, Endpoint, Running, Script, Transport, TransportError};

/// A login that answers nothing; another one would take for ever.
#[derive(Debug, Default)]
pub struct Mute {
    endpoint: Endpoint,
    /// Whether it was given up; also for whoever must not hold the login itself.
    pub has_hung_up: Arc<AtomicBool>,
}

fn silent() -> TransportError {
    TransportError::Lost { host: "n1".into(), why: "nothing answers".into() }
}

impl Transport for Mute {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
    fn start(&self, _: &Script, _: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        Err(silent())
    }
    fn dial(&self, _: &Dial, _: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        Err(silent())
    }
    fn again(&self, cancel: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        cancel.wait(Duration::from_hours(1));
        Err(TransportError::Cancelled)
    }
    fn hang_up(&self) {
        self.has_hung_up.store(true, Ordering::SeqCst);
    }
}
