//! The transport contract, over the local machine and a real SSH server alike.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod config;
pub mod conform;
#[cfg(feature = "rehearsal")]
mod embedded;
mod ssh;
pub mod sshd;
