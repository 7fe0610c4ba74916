//! What the tests' support and the benchmarks share.

#[path = "../../tests/suite/support/console.rs"]
pub mod console;
#[path = "../../tests/suite/support/fault_proxy.rs"]
pub mod fault_proxy;
