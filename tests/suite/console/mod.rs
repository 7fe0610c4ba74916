//! The console without a terminal: real pages, real keys, a drawn grid to look at.

mod aftermath;
mod cast;
#[cfg(debug_assertions)]
mod courtesy;
mod crew;
mod filled;
mod fleet;
mod gallery;
mod hanging;
mod host;
mod hostile;
mod insides;
mod item;
mod jobs_runs;
mod keys;
#[cfg(debug_assertions)]
mod later;
mod life;
mod long_names;
#[cfg(all(debug_assertions, feature = "rehearsal"))]
mod mid_job;
mod mouse;
mod palette;
mod picture;
mod pitfalls;
mod plain;
mod practice;
pub mod properties;
mod reload;
#[cfg(feature = "rehearsal")]
mod side_by_side;
mod stage;
mod stored;
mod surroundings;
mod take_up;
mod themes;
mod tmux;
mod twins;
mod wizard_cast;
mod wizard_flow;
mod wizard_pages;
#[cfg(feature = "rehearsal")]
mod wizard_real;
