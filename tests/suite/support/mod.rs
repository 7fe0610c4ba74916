//! What several suites use.

pub mod fault_proxy;
