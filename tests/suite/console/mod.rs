//! The console without a terminal: real pages, real keys, a drawn grid to look at.

mod cast;
mod fleet;
mod gallery;
mod host;
mod item;
mod picture;
mod stage;
mod stored;
mod themes;
mod wizard_cast;
mod wizard_flow;
mod wizard_pages;
