//! The console without a terminal: real pages, real keys, a drawn grid to look at.

mod fleet;
mod gallery;
mod picture;
mod stage;
mod themes;
mod wizard_cast;
mod wizard_flow;
mod wizard_pages;
