//! Lifeboat: a terminal disaster-recovery console.
pub mod formats;
