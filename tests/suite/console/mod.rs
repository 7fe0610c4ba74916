//! The console without a terminal: real pages, real keys, a drawn grid to look at.

mod fleet;
mod gallery;
mod keys;
mod life;
mod palette;
mod picture;
mod plain;
mod properties;
mod stage;
mod themes;
