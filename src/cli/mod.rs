//! The command line face: parses, asks, prints; everything else is the engine's.

pub mod args;
pub mod output;
