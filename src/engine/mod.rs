//! From a wish to a plan, and from a plan to what is true: nothing here draws or prompts.

pub mod board;
pub mod canonical;
pub mod capture;
pub mod card;
pub mod deliver;
pub mod desk;
pub mod dialer;
pub mod doctor;
pub mod executor;
pub mod first;
pub mod fleet;
mod heartbeat;
pub mod links;
pub mod node_run;
pub mod planner;
pub mod runs;
pub mod scan;
pub mod verify;
pub mod world;
