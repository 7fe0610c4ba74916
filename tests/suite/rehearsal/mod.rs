//! The practice fleet, through the built program as an operator has it.

mod by_keys;
mod by_menus;
mod clean_up;
pub mod contracts;
pub mod demo;
mod everyday;
mod faults;
mod samples;
