//! A value that tells whether it may have changed.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which state of a value this is. Two states that may differ never share one, whichever value they are of, so what was
/// worked out from a value still holds as long as its stamp is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A value with the stamp of its state. Whoever reaches for it to change it gives it a new one; a clone is in the same
/// state as long as neither is changed.
#[derive(Debug, Clone)]
pub struct Stamped<T> {
    value: T,
    stamp: Stamp,
}

impl<T> Stamped<T> {
    /// The stamp of its state now.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> From<T> for Stamped<T> {
    fn from(value: T) -> Self {
        Self { value, stamp: Stamp::new() }
    }
}

impl<T: Default> Default for Stamped<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T> Deref for Stamped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Stamped<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.stamp = Stamp::new();
        &mut self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_have_changed_gets_another_stamp() {
        let mut names = Stamped::from(vec!["val-1"]);
        let stamp = names.stamp();
        assert_eq!((names.len(), names.stamp()), (1, stamp));
        let copy = names.clone();
        names.push("val-2");
        assert_ne!(names.stamp(), stamp);
        assert_eq!(copy.stamp(), stamp);
        assert_ne!(Stamped::from(vec!["val-1"]).stamp(), stamp);
        // Reaching for it is enough: nobody compares what was there before.
        let stamp = names.stamp();
        names.iter_mut().for_each(|_| {});
        assert_ne!(names.stamp(), stamp);
    }
}
