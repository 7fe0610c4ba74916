//! The pages, a file each.

use super::screen::Screen;

pub mod first;
pub mod fleet;
pub mod guide;
pub mod help;
pub mod notes;

/// What the vault holds.
pub fn vault() -> Box<dyn Screen> {
    Box::new(notes::Notes::new("vault"))
}

/// The runs of the vault and of nodes.
pub fn runs() -> Box<dyn Screen> {
    Box::new(notes::Notes::new("runs"))
}

/// The jobs of this sitting.
pub fn jobs() -> Box<dyn Screen> {
    Box::new(notes::Notes::new("jobs"))
}

/// What was noted.
pub fn log() -> Box<dyn Screen> {
    Box::new(notes::Notes::new("log"))
}
