//! Real machines: Debian booted with its own systemd, OpenSSH and sudo, on a network of its own.
//! How to prepare and enter them by hand: `tests/machines/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a fixture fails its test"
)]

pub mod avalanchego;
pub mod consul;
pub mod fleet;
pub mod host;
pub mod machine;
pub mod tree;

mod by_keys;
mod cards;
mod consul_adopted;
mod consul_faults;
mod consul_files;
mod consul_foreign;
mod consul_silent;
mod cut_off;
mod doctor;
mod faults;
mod fencing;
mod fixture_tests;
mod judges;
mod keys_elsewhere;
mod logins;
mod netdata;
mod netdata_clock;
mod netdata_faults;
mod netdata_odd;
mod netdata_restore;
mod netdata_unattended;
mod no_permission;
mod on_the_node;
#[cfg(feature = "rehearsal")]
mod practice;
mod service_tests;
mod story;
mod taken_over;
mod tls;
mod twins;
mod witnesses;
