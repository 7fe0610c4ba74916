//! An agent whose clock jumps while it is copied, or was wrong before. Machines share the clock of their host, so the agent's own is bent, by
//! what stands in a file (`libfaketime`, in the machine's image).

use std::time::Duration;

use serde_json::Value;

use super::host::wait_for;
use super::machine::Machine;
use super::netdata::{
    METRICS, are_told, ask, gather, guid, is_running, left_by_lifeboat, now, samples, samples_again, start_anew,
    try_backup,
};
use super::netdata_faults::{drop_in, one};
use crate::support::console::{Console, Ended};

/// Where the agent's clock stands beside the machine's.
const CLOCK: &str = "/srv/clock";

/// Runs the agent by the clock in the file, with no samples yet.
fn with_clock(machine: &Machine) {
    machine.exec(&format!("echo +0 >{CLOCK}; chmod 644 {CLOCK}")).ok();
    let library = machine.exec("ls /usr/lib/*/faketime/libfaketimeMT.so.1").ok();
    drop_in(
        machine,
        &format!(
            "Environment=LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={CLOCK} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1",
            library.trim()
        ),
    );
    start_anew(machine);
}

/// How many seconds the agent's clock is ahead of the machine's.
fn ahead(machine: &Machine) -> i64 {
    let told = ask(machine, "chart?chart=system.uptime");
    told["last_entry"].as_i64().unwrap() - i64::try_from(now(machine)).unwrap()
}

/// The unit does this to the clock at this moment of its life.
fn jump(machine: &Machine, when: &str, to: &str) {
    let set = format!("{when}=+/bin/sh -c \"echo {to} >{CLOCK}\"");
    machine
        .exec(&format!(
            "printf '[Service]\\n{set}\\n' >/etc/systemd/system/netdata.service.d/20-jump.conf; systemctl daemon-reload"
        ))
        .ok();
}

/// A backup during which the unit sets the clock at this moment of its life, with the clock and the samples of before. An
/// agent that fails in its own end loses what it held in memory, and by then its clock has jumped: it begins anew.
fn backup_with_a_jump(console: &Console, machine: &Machine, when: &str, to: &str) -> (Ended, u64, Vec<Vec<Value>>) {
    for _ in 0..6 {
        with_clock(machine);
        let at = gather(machine);
        let before = samples(machine, at);
        if !are_told(&before) {
            println!("{when} {to}: the agent tells no samples yet: {before:?}");
            continue;
        }
        jump(machine, when, to);
        let done = try_backup(console, &[]);
        machine.exec("rm /etc/systemd/system/netdata.service.d/20-jump.conf; systemctl daemon-reload").ok();
        if let Some(done) = done {
            return (done, at, before);
        }
    }
    panic!("the agent never ends well, or tells no samples");
}

#[test]
fn an_agent_whose_clock_jumps_while_it_is_copied_is_saved_rightly_or_does_not_count() {
    let (console, machine) = one("");
    let agent = guid(&machine);
    // In the stop, with the agent still at work; and right after its start, before it is asked.
    for when in ["ExecStop", "ExecStartPost"] {
        for to in ["+3600", "-3600"] {
            let (done, at, before) = backup_with_a_jump(&console, &machine, when, to);
            let id = done.out.split_whitespace().find(|word| word.starts_with(&format!("{METRICS}@")));
            let id = id.unwrap_or_else(|| panic!("{when} {to}: no snapshot in {}{}", done.out, done.err)).to_owned();
            assert_eq!((guid(&machine), is_running(&machine)), (agent.clone(), true));
            assert_eq!(left_by_lifeboat(&machine), "");
            let restore = ["restore", &id, "--to", "val-1", "--confirm", "overwrite=val-1"];
            if to == "+3600" {
                // A sample of now is there a moment after the agent is.
                let jumped = wait_for(Duration::from_secs(30), || Some(ahead(&machine)).filter(|ahead| *ahead > 3500));
                assert!(jumped.is_some(), "{when}: the clock did not jump, it is ahead by {}", ahead(&machine));
                done.expect(0).says("verified");
            } else {
                assert!(machine.exec(&format!("grep -qx -e {to} {CLOCK}")).success());
                // It answers with what it has now; that is not taken for what was asked.
                done.expect(4).says("does not count").says("a sample of another time: the agent's clock may be wrong");
            }
            // With its clock put right the agent tells what was copied.
            machine.exec(&format!("echo +0 >{CLOCK}")).ok();
            console.run(&restore).expect(0);
            assert_eq!(samples_again(&machine, at, &before), before, "{when} {to}");
        }
    }
}

/// Starts the agent anew with nothing of before and its clock here, and gives what it tells of half a minute.
fn begin_at(machine: &Machine, to: &str) -> (u64, Vec<Vec<Value>>) {
    machine.exec(&format!("systemctl stop netdata; echo {to} >{CLOCK}")).ok();
    start_anew(machine);
    let at = wait_for(Duration::from_secs(90), || {
        std::thread::sleep(Duration::from_millis(500));
        let told = ask(machine, "chart?chart=system.uptime");
        let (first, last) = (told["first_entry"].as_u64()?, told["last_entry"].as_u64()?);
        Some(last).filter(|last| first > 0 && *last > first + 34)
    });
    let at = at.expect("the agent's clock goes on");
    (at, samples(machine, at))
}

/// A backup of an agent that began by this clock, with its last second of before and the samples. One that fails in its
/// own end loses what it held in memory, so then it begins anew.
fn backup_since(console: &Console, machine: &Machine, to: &str) -> (Ended, u64, Vec<Vec<Value>>) {
    for _ in 0..6 {
        let (at, before) = begin_at(machine, to);
        if !are_told(&before) {
            continue;
        }
        if let Some(done) = try_backup(console, &[]) {
            return (done, at, before);
        }
    }
    panic!("the agent never ends well, or tells no samples");
}

#[test]
fn an_agent_whose_clock_was_wrong_before_is_copied_and_comes_back_where_no_sample_lies_ahead() {
    let (console, machine) = one("");
    with_clock(&machine);
    for to in ["+3600", "-3600"] {
        let (done, at, before) = backup_since(&console, &machine, to);
        let done = done.expect(0).says("verified");
        let id = done.out.split_whitespace().find(|word| word.starts_with(&format!("{METRICS}@")));
        let id = id.unwrap_or_else(|| panic!("{to}: no snapshot in {}", done.out)).to_owned();
        let restore = ["restore", &id, "--to", "val-1", "--confirm", "overwrite=val-1"];
        console.run(&restore).expect(0).says("restored and proven");
        assert_eq!(samples_again(&machine, at, &before), before, "{to}, restored by the clock of then");
        machine.exec(&format!("echo +0 >{CLOCK}")).ok();
        let by_the_right_one = console.run(&restore);
        if to == "+3600" {
            // What lies ahead of its clock an agent does not tell, so nothing is proven and everything is put back.
            by_the_right_one.expect(1).says("the agent's clock may be wrong").says("Everything is as it was.");
            assert!(is_running(&machine));
            assert_eq!(left_by_lifeboat(&machine), "");
        } else {
            by_the_right_one.expect(0).says("restored and proven");
            assert_eq!(samples_again(&machine, at, &before), before, "{to}, restored by a clock that is right");
        }
    }
}
