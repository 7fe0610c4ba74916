//! Stand-ins of the services: one file a service, and one line in [`stand_ins`].
//!
//! A stand-in has two halves. Its *program* runs on the node as a unit's process: it reads its files when it starts and
//! keeps what it read in `/stub/memory/UNIT`, as a process keeps it in memory. Its *voice* is in this process: it answers on
//! the service's port from that memory, as long as the program lives. So what is changed on disk shows only after a restart.
//! What a shell cannot do, such as writing a database's format, the program calls its voice for: see `super::calls`.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::http::{Asked, Reply};
use super::node::Image;
use crate::model::exit::Result;

pub mod avalanchego;
pub mod consul;
pub mod files;
pub mod identity;
pub mod netdata;

/// A practice service.
pub trait StandIn: Send + Sync {
    /// The kind of service it stands in for: the name of its driver.
    fn kind(&self) -> &'static str;

    /// The unit its program runs as.
    fn unit(&self) -> &'static str;

    /// The port it answers on, if it has one.
    fn port(&self) -> Option<u16> {
        None
    }

    /// Lays its program, unit and first files onto a node.
    ///
    /// # Errors
    /// When a file cannot be written.
    fn lay(&self, image: &Image, part: &Part) -> Result<()>;

    /// Answers a request from what the program keeps in `memory`; `None` when nothing listens.
    fn answer(&self, _memory: &Path, _asked: &Asked) -> Option<Reply> {
        None
    }

    /// Does what the program on the node calls for, by a line of `WORD TIME`; `memory` is the program's.
    ///
    /// # Errors
    /// When it cannot be done: the program is told why.
    fn call(&self, _memory: &Path, _line: &str) -> std::result::Result<(), String> {
        Err("this service makes no calls".to_owned())
    }

    /// The files whose copy makes another node the same one; none when the service has no identity.
    fn identity_files(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A service's part on one node.
#[derive(Debug, Clone)]
pub struct Part {
    /// The node's name.
    pub host: String,
    /// The cluster it belongs to, where it does.
    pub cluster: Option<String>,
    /// Every member of that cluster.
    pub members: Vec<String>,
    /// Whether it starts with the node.
    pub runs: bool,
    /// How many hours ago the past ended that its files tell of; none when it was only just installed.
    pub past_ended: Option<u64>,
}

/// A stand-in of every service that can be practised.
pub fn stand_ins() -> Vec<Arc<dyn StandIn>> {
    vec![
        Arc::new(avalanchego::AvalancheGo),
        Arc::new(consul::Consul::default()),
        Arc::new(files::Files),
        Arc::new(netdata::Netdata::default()),
    ]
}

/// Whether the program that keeps this memory lives and has said that it serves: it holds a lock as long as it does.
pub fn serves(memory: &Path) -> bool {
    let Ok(file) = File::open(memory.join("alive")) else { return false };
    let is_free = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_ok();
    !is_free && memory.join("serves").exists()
}
