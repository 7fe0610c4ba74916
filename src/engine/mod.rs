//! From a wish to a plan, and from a plan to what is true: nothing here draws or prompts.

pub mod board;
pub mod canonical;
pub mod capture;
pub mod card;
pub mod compare;
pub mod deliver;
pub mod desk;
pub mod dialer;
pub mod doctor;
pub mod executor;
pub mod first;
pub mod fleet;
mod heartbeat;
pub mod holdings;
pub mod inside;
pub mod jobs;
pub mod links;
pub mod node_run;
pub mod phrases;
pub mod planner;
pub mod practice;
pub mod progress;
pub mod rollback;
pub mod runs;
pub mod scan;
pub mod sightings;
pub mod uncovered;
pub mod verify;
pub mod world;

#[cfg(debug_assertions)]
pub use heartbeat::fail_inside as fail_a_heartbeat;
