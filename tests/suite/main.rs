//! The integration suite: one binary, so that it links once.

#[cfg(feature = "machines")]
mod machines;
mod meta;
mod sandbox;
mod support;
//! The integration suite.
mod config;
