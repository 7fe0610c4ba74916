//! The inventory and what goes with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::path::{Path, PathBuf};

use lifeboat::config::{ConfigError, Loaded, parse_inventory};

mod files;
mod inventory;
mod meaning;
mod secrets;
mod selectors;

/// A file of `tests/fixtures/inventories`.
fn fixtures(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/inventories").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 1, "the fixtures of {kind} are missing");
    files
}

fn parse(text: &str) -> Result<Loaded, Vec<ConfigError>> {
    parse_inventory(text, Path::new("/etc/lifeboat/inventory.toml"), Path::new("/home/ops"))
}

/// The inventory with everything in it.
fn everything() -> Loaded {
    parse(include_str!("../../fixtures/inventories/valid/everything.toml")).unwrap()
}
