//! A wish to stop, looked at between chunks.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::TransportError;

/// A flag several threads share: once set it stays set.
///
/// A part of the work may have a narrower one, see [`Cancel::within`].
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    own: Arc<(Mutex<bool>, Condvar)>,
    wider: Option<Arc<Cancel>>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// A flag nobody has set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A narrower flag: set when this one is, when it is set itself, or once `limit` has passed.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self { own: Arc::default(), wider: Some(Arc::new(self.clone())), deadline: Instant::now().checked_add(limit) }
    }

    /// Sets it and wakes whoever waits.
    pub fn cancel(&self) {
        let (set, wake) = &*self.own;
        *set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
    }

    /// Whether it is set.
    pub fn is_cancelled(&self) -> bool {
        *self.own.0.lock().unwrap_or_else(PoisonError::into_inner) || self.is_cancelled_from_outside()
    }

    fn is_cancelled_from_outside(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
            || self.wider.as_ref().is_some_and(|wider| wider.is_cancelled())
    }

    /// [`TransportError::Cancelled`] once it is set.
    pub fn check(&self) -> Result<(), TransportError> {
        if self.is_cancelled() { Err(TransportError::Cancelled) } else { Ok(()) }
    }

    /// Waits for `span` or until it is set; says whether it is set.
    pub fn wait(&self, span: Duration) -> bool {
        let began = Instant::now();
        let (set, wake) = &*self.own;
        let mut guard = set.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = span.saturating_sub(began.elapsed());
            if *guard || self.is_cancelled_from_outside() || left.is_zero() {
                return *guard || self.is_cancelled_from_outside();
            }
            // A wider flag or a deadline cannot wake this condition, so they are looked at now and then.
            let turn = if self.wider.is_some() { left.min(Duration::from_millis(50)) } else { left };
            guard = wake.wait_timeout(guard, turn).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrower_flag_follows_the_wider_one_and_its_own_limit() {
        let run = Cancel::new();
        let step = run.within(Duration::from_hours(1));
        assert!(!step.is_cancelled());
        run.cancel();
        assert!(step.is_cancelled() && step.wait(Duration::from_hours(1)));
        let endless = Cancel::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| endless.wait(Duration::MAX));
            endless.cancel();
            assert!(waiting.join().unwrap(), "also one that no clock reaches the end of");
        });
        let late = Cancel::new().within(Duration::ZERO);
        assert!(late.is_cancelled());
    }
}
