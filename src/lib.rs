//! Lifeboat: a terminal disaster-recovery console.
//!
//! It reads a host inventory, connects to each node over SSH, lists what is worth saving per service, and leads
//! an operator through copy-off, verification and restore. Evidence, not hope: a backup is worth what was proven of it.
//!
//! Layers, each seeing only those before it: [`model`], [`process`] ← [`formats`], `config`, [`transport`] ← `vault` ←
//! `services` ← `engine` ← { `cli`, `tui` }. A test scans every `crate::` path and holds the line.

pub mod cli;
pub mod config;
pub mod engine;
pub mod formats;
pub mod model;
pub mod process;
#[cfg(feature = "rehearsal")]
pub mod rehearsal;
pub mod services;
pub mod transport;
pub mod tui;
pub mod vault;
