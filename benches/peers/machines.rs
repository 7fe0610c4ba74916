//! The machines of the tests, booted for measuring.

#[path = "../../tests/suite/machines/avalanchego.rs"]
pub mod avalanchego;
#[path = "../../tests/suite/machines/consul.rs"]
pub mod consul;
#[path = "../../tests/suite/machines/fleet.rs"]
pub mod fleet;
#[path = "../../tests/suite/machines/host.rs"]
pub mod host;
#[path = "../../tests/suite/machines/machine.rs"]
pub mod machine;

/// The Consul program itself, on the host the benchmarks run on.
pub fn consul_program(machine: &machine::Machine) -> std::path::PathBuf {
    machine.built(&format!("consul-{}", consul::VERSION))
}
