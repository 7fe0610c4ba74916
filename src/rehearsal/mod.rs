//! The practice fleet: twelve nodes that are safe to break, on this machine alone, with nothing installed.
//!
//! A node is a root of its own in namespaces; it is reached over real SSH on loopback, runs the engine's scripts in a real
//! `sh`, and plays its service by a stand-in. Its past is made by the real engine with a clock in the past. Everything
//! lies in one temporary directory and ends with the value [`PracticeFleet`] gives, however the process ends.

use std::path::Path;
use std::sync::Arc;

use crate::engine::practice::{Rehearsal, Running};
use crate::engine::world::SystemEntropy;
use crate::model::exit::Result;
use crate::transport::Cancel;

mod calls;
mod cast;
pub mod exercise;
mod faults;
mod fleet;
mod ground;
mod history;
pub mod http;
mod link;
pub mod node;
pub mod server;
pub mod stand_ins;

use fleet::Fleet;
use ground::{Ground, sweep};

/// Starts practice fleets.
#[derive(Debug, Default)]
pub struct PracticeFleet;

impl Rehearsal for PracticeFleet {
    fn start(&self, cancel: &Cancel, told: &dyn Fn(&str)) -> Result<Running> {
        start_in(&std::env::temp_dir(), cancel, told)
    }
}

fn start_in(place: &Path, cancel: &Cancel, told: &dyn Fn(&str)) -> Result<Running> {
    for left in sweep(place) {
        told(&format!("Removed {}, which an earlier fleet left behind.", left.display()));
    }
    told("Starting twelve practice nodes.");
    let fleet = Arc::new(Fleet::start(Ground::make(place, &SystemEntropy)?)?);
    told("Making their past: backups of the last three weeks.");
    history::make(&fleet, cancel)?;
    fleet.open_scene()?;
    let running = Running {
        inventory: fleet.paths().config_dir.join("inventory.toml"),
        config_dir: fleet.paths().config_dir.clone(),
        data_dir: fleet.paths().data_dir.clone(),
        vault: fleet.vault_path(),
        practice: fleet,
    };
    Ok(running)
}
