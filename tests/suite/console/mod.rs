//! The console without a terminal: real pages, real keys, a drawn grid to look at.

mod cast;
mod fleet;
mod gallery;
mod host;
mod item;
mod jobs_runs;
mod keys;
mod life;
mod palette;
mod picture;
mod plain;
mod practice;
mod properties;
mod stage;
mod stored;
mod themes;
mod wizard_cast;
mod wizard_flow;
mod wizard_pages;
#[cfg(feature = "rehearsal")]
mod wizard_real;
