//! The console without a terminal: real pages, real keys, a drawn grid to look at.

mod cast;
mod fleet;
mod gallery;
mod host;
mod item;
mod keys;
mod life;
mod palette;
mod jobs_runs;
mod picture;
mod plain;
mod properties;
mod stage;
mod stored;
mod themes;
mod wizard_cast;
mod wizard_flow;
mod wizard_pages;
#[cfg(feature = "rehearsal")]
mod wizard_real;
