//! A Consul that takes a connection and says nothing any more, waited for to the end. Each of these takes as long as an
//! operator would wait, so they are run by hand:
//! `cargo test --features machines consul_silent -- --ignored`.

use std::time::{Duration, Instant};

use super::consul::{self, consul_all, consul_put, install_consul};
use super::consul_faults::{SNAPSHOT, copies, ended_within, heavy, replacing, saving, signal, slow};
use super::consul_files::left_by_lifeboat;
use super::faults::nothing_staged;
use super::machine::Machine;
use super::taken_over::one;
use crate::support::console::Console;

/// A datacenter of one server on a link that is slow enough to be stopped in the middle.
fn datacenter() -> (Console, Machine) {
    let (console, machine) = one(&|machine| format!("[hosts.{}.services.consul]\n", machine.name()));
    install_consul(&machine, &consul::Options { acls: false, ..consul::Options::default() });
    heavy(&machine);
    (console, machine)
}

#[test]
#[ignore = "it waits for ten minutes"]
fn a_save_of_a_server_that_stays_silent_is_given_up_after_ten_minutes() {
    let (console, machine) = datacenter();
    slow(&machine);
    let child = saving(&console);
    signal(&machine, "STOP");
    let since = Instant::now();
    let failed = ended_within(child, Duration::from_mins(15));
    let took = since.elapsed();
    println!("given up after {took:.0?}");
    assert!((Duration::from_mins(9)..Duration::from_mins(11)).contains(&took), "{took:?}");
    failed.expect(12).says("val-1/consul/snapshot was not copied").says("Everything is as it was.").says("next: ");
    console.run(&["list"]).expect(7);
    nothing_staged(&console.path("vault"));
    signal(&machine, "CONT");
    machine.limit_rate(None);
    assert_eq!(left_by_lifeboat(&machine), "");
    console.run(&["backup", SNAPSHOT]).expect(0);
}

#[test]
#[ignore = "it waits for half an hour"]
fn a_restore_into_a_server_that_stays_silent_is_given_up_after_half_an_hour() {
    let (console, machine) = datacenter();
    console.run(&["backup", SNAPSHOT]).expect(0);
    let [saved] = copies(&console, SNAPSHOT).try_into().unwrap();
    consul_put(&machine, None, "later", "than the copy");
    let changed = consul_all(&machine, None);
    slow(&machine);
    let child = replacing(&console, &saved);
    signal(&machine, "STOP");
    let since = Instant::now();
    let failed = ended_within(child, Duration::from_mins(45));
    println!("given up after {:.0?}", since.elapsed());
    failed.expect(12).says("  now:  Consul took nothing: it had not received the whole snapshot.").says("next: ");
    signal(&machine, "CONT");
    machine.limit_rate(None);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(consul_all(&machine, None), changed, "half a request is none");
    nothing_staged(&console.path("vault"));
}
