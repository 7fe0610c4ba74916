//! The integration suite: one binary, so that it links once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod cli;
mod config;
mod console;
#[cfg(feature = "machines")]
mod machines;
mod meta;
#[cfg(feature = "rehearsal")]
mod rehearsal;
mod sandbox;
mod support;
mod transport;
mod vault;
