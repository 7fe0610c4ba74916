//! The pages, a file each.

use super::model::Model;
use super::screen::Screen;

pub mod compare;
pub mod exercise;
pub mod first;
pub mod fleet;
pub mod guide;
pub mod help;
pub mod host;
pub mod inside;
pub mod item;
pub mod jobs;
pub mod log;
pub mod node;
pub mod run;
pub mod runs;
pub mod vault;
pub mod waiting;

/// What the vault holds.
pub fn vault(model: &Model) -> Box<dyn Screen> {
    Box::new(vault::VaultPage::new(model))
}

/// The runs of the vault and of nodes.
pub fn runs() -> Box<dyn Screen> {
    Box::new(runs::RunsPage::default())
}

/// The jobs of this sitting.
pub fn jobs() -> Box<dyn Screen> {
    Box::new(jobs::JobsPage::default())
}

/// What was noted.
pub fn log() -> Box<dyn Screen> {
    Box::new(log::LogPage::new())
}
