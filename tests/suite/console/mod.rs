//! The console without a terminal: real pages, real keys, a drawn grid to look at.

mod fleet;
mod gallery;
mod picture;
mod stage;
mod themes;
