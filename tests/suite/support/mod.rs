//! What several suites use.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    reason = "a fixture fails its test, and each suite uses what it needs of it"
)]

pub mod console;
pub mod fault_proxy;
mod fault_proxy_tests;
pub mod menus;
pub mod operator;
pub mod pty;
pub mod terminal;
