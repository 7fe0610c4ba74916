//! The pages, a file each.

use super::screen::Screen;

pub mod fleet;
pub mod help;
pub mod jobs;
pub mod node;
pub mod notes;
pub mod run;
pub mod runs;

/// What the vault holds.
pub fn vault() -> Box<dyn Screen> {
    Box::new(notes::Notes::new("vault"))
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
    Box::new(notes::Notes::new("log"))
}
