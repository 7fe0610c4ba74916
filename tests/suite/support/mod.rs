//! What several suites use.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a fixture fails its test"
)]

pub mod console;
pub mod fault_proxy;
mod fault_proxy_tests;
