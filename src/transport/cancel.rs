//! A wish to stop, looked at between chunks.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::TransportError;

/// A flag several threads share: once set it stays set.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<(Mutex<bool>, Condvar)>);

impl Cancel {
    /// A flag nobody has set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets it and wakes whoever waits.
    pub fn cancel(&self) {
        let (set, wake) = &*self.0;
        *set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
    }

    /// Whether it is set.
    pub fn is_cancelled(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`TransportError::Cancelled`] once it is set.
    pub fn check(&self) -> Result<(), TransportError> {
        if self.is_cancelled() { Err(TransportError::Cancelled) } else { Ok(()) }
    }

    /// Waits for `span` or until it is set; says whether it is set.
    pub fn wait(&self, span: Duration) -> bool {
        let (set, wake) = &*self.0;
        let guard = set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = wake.wait_timeout_while(guard, span, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
