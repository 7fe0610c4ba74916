//! What goes wrong with a real Consul: tokens without rights, a server that dies or stands still, a leader that is lost.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::consul::{
    self, consul_all, consul_backup_token, consul_put, consul_token, install_consul, join_consul, start_consul,
};
use super::consul_files::left_by_lifeboat;
use super::faults::nothing_staged;
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::write_secret;
use super::taken_over::one;
use crate::support::console::{Console, Ended, ahead_of_others, files_below};

pub(super) const SNAPSHOT: &str = "val-1/consul/snapshot";

/// The snapshots of an item by their references, the oldest first.
pub(super) fn copies(console: &Console, item: &str) -> Vec<String> {
    let listed = console.run(&["list", item]).out;
    let named = listed.lines().filter(|line| line.starts_with(item));
    named.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

fn runs(console: &Console) -> usize {
    std::fs::read_dir(console.path("vault/runs")).unwrap().count()
}

#[test]
fn a_token_without_rights_copies_nothing_and_replaces_nothing() {
    let secrets = tempfile::tempdir().unwrap();
    let token_file = secrets.path().join("token");
    let named = format!("token = {{ file = \"{}\" }}\n", token_file.display());
    let (console, machine) = one(&|machine| format!("[hosts.{}.services.consul]\n{named}", machine.name()));
    let management = install_consul(&machine, &consul::Options::default()).expect("ACLs are on");
    consul_put(&machine, Some(&management), "app/config", "blue");
    write_secret(&token_file, &management);
    console.run(&["backup", SNAPSHOT]).expect(0);
    consul_put(&machine, Some(&management), "app/config", "green");
    let now = consul_all(&machine, Some(&management));
    let [saved] = copies(&console, SNAPSHOT).try_into().unwrap();
    let restore = ["restore", &saved, "--to", "val-1", "--confirm", "overwrite=dc1"];
    let untouched = |what: &str, begun: usize| {
        assert_eq!(copies(&console, SNAPSHOT), [saved.as_str()], "{what}: something was saved");
        assert_eq!(consul_all(&machine, Some(&management)), now, "{what}");
        assert_eq!(left_by_lifeboat(&machine), "", "{what}");
        assert_eq!(runs(&console), begun, "{what}: runs that began");
        nothing_staged(&console.path("vault"));
    };

    let reads = "key_prefix \"\" { policy = \"read\" }\nagent_prefix \"\" { policy = \"read\" }\n";
    let weak = consul_token(&machine, &management, "weak", reads);
    let inventory = std::fs::read_to_string(console.path("config/inventory.toml")).unwrap();
    let unknown = "11111111-2222-3333-4444-555555555555";
    for (what, token, says) in [
        ("none is named", None, "the inventory names no token"),
        ("an empty one", Some(""), "has an empty first line"),
        ("one that may read", Some(weak.as_str()), "The token lacks the right acl = \"write\""),
        ("one nobody knows", Some(unknown), "Consul does not know the token"),
    ] {
        println!("{what}");
        match token {
            Some(token) => write_secret(&token_file, token),
            None => console.write_inventory(&inventory.replace(&named, "")),
        }
        let begun = runs(&console);
        console.run(&["backup", SNAPSHOT]).expect(7).says(SNAPSHOT).says(says);
        let refused = console.run(&restore).expect(11).says("val-1").says(says.trim_start_matches("The "));
        assert!(refused.err.contains("operator = \"read\""), "what to do is not said: {}", refused.err);
        untouched(what, begun);
        for secret in [&weak, &management] {
            assert!(!format!("{}{}", refused.out, refused.err).contains(secret.as_str()));
        }
        // What needs no token is saved with any and with none.
        console.run(&["backup", "val-1"]).expect(3).says("agent-config@").says("node-identity@").says(says);
        untouched(what, begun + 2);
        console.write_inventory(&inventory);
    }
    console.run(&["verify", "val-1"]).expect(0);

    // One that may copy everything and may not ask for the servers' health: it is told before anything is sent.
    write_secret(&token_file, &consul_backup_token(&machine, &management));
    let begun = runs(&console);
    let refused = console.run(&restore).expect(11).says("lacks a right").says("operator = \"read\"");
    refused.says("Everything is as it was.");
    untouched("without operator:read", begun + 1);
    console.run(&["backup", SNAPSHOT]).expect(0);

    // A file of the agent comes back without any token: who may read the datacenter is another matter.
    write_secret(&token_file, &weak);
    machine.exec("echo '# by hand' >>/etc/consul.d/consul.hcl").ok();
    let ended = console.run(&["restore", "val-1/consul/agent-config", "--to", "val-1", "--confirm", "overwrite=val-1"]);
    ended.expect(0).says("restored and proven");
    assert!(!machine.exec("grep 'by hand' /etc/consul.d/consul.hcl").success());
    assert_eq!(consul_all(&machine, Some(&management)), now);
}

/// A datacenter whose snapshot takes a while over a slow link: 24 keys that do not compress, 12 MB, which is more than is under way at once.
pub(super) fn heavy(machine: &Machine) {
    let put = "for i in $(seq 24); do head -c 500000 /dev/urandom |
        curl -sf -X PUT --data-binary @- http://127.0.0.1:8500/v1/kv/big/$i >/dev/null || exit 1; done";
    machine.exec(put).ok();
}

/// Some 3 MB a second.
pub(super) fn slow(machine: &Machine) {
    machine.limit_rate(Some(24_000));
}

fn staged(console: &Console) -> u64 {
    files_below(&console.path("vault/.staging"))
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

/// Starts a backup and waits until it is in the middle.
pub(super) fn saving(console: &Console) -> Child {
    let child = console.start(&["backup", SNAPSHOT]);
    let flows = wait_for(Duration::from_secs(30), || (staged(console) > 1 << 20).then_some(()));
    assert!(flows.is_some(), "nothing was copied");
    child
}

/// Starts a restore and waits until its request is in the middle: the copy of what is there now is done.
pub(super) fn replacing(console: &Console, saved: &str) -> Child {
    let dir = console.path("vault").join(SNAPSHOT);
    let count = || std::fs::read_dir(&dir).unwrap().count();
    let before = count();
    let child = console.start(&["restore", saved, "--to", "val-1", "--confirm", "overwrite=dc1"]);
    let begun = || (count() > before).then_some(());
    assert!(wait_for(Duration::from_mins(1), begun).is_some(), "what is there now was never copied");
    std::thread::sleep(Duration::from_millis(1200));
    child
}

fn ended(child: Child) -> Ended {
    ended_within(child, Duration::from_mins(4))
}

/// Waits for the end of a console's command, and tells how it was.
pub(super) fn ended_within(mut child: Child, limit: Duration) -> Ended {
    let code = wait_for(limit, || child.try_wait().unwrap());
    if code.is_none() {
        child.kill().unwrap();
    }
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(code.is_some(), "it never ended: {err}");
    println!("ended with {code:?}\n{err}");
    Ended { code: code.unwrap().code(), out, err }
}

/// Restores a snapshot and ends the server between the moment at which it has all of it and the one at which it says so. Gives
/// what the restore came to, and whether nothing is left of what the datacenter held.
fn lost_once_it_has_all(console: &Console, machine: &Machine, saved: &str, loses_all: bool) -> (Ended, bool) {
    let (vault, raft) = (console.path("vault").join(SNAPSHOT), machine.path("/opt/consul/raft"));
    // What a server has taken in whole lies here by its last name, before it becomes its state.
    let names = |dir: &Path| -> BTreeSet<OsString> {
        let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        all.filter(|name| !name.to_string_lossy().ends_with(".tmp")).collect()
    };
    let grown = |dir: &Path, before: &BTreeSet<OsString>| {
        let start = Instant::now();
        while names(dir).is_subset(before) {
            assert!(start.elapsed() < Duration::from_mins(2), "nothing new came to {}", dir.display());
            std::thread::sleep(Duration::from_micros(200));
        }
    };
    let (server, before) = (machine.main_process("consul"), names(&vault));
    let child = console.start(&["restore", saved, "--to", "val-1", "--confirm", "overwrite=dc1"]);
    ahead_of_others(|| {
        // The copy of what is there now makes the server take a snapshot, too.
        grown(&vault, &before);
        grown(&raft.join("snapshots"), &names(&raft.join("snapshots")));
        kill_process(server, Signal::STOP).unwrap();
        if loses_all {
            std::fs::remove_dir_all(&raft).unwrap();
        }
        kill_process(server, Signal::KILL).unwrap();
    });
    let is_lost = loses_all || lies_between(machine);
    (ended(child), is_lost)
}

/// Waits until a server that was ended is back, and gives whether it had to begin anew: one that lies between the
/// snapshot it took in and its own log does not lead by itself (1.20.1 with the log it makes by default). Then what
/// docs/services/consul.md says is done.
fn lies_between(machine: &Machine) -> bool {
    let leads = "curl -sf -m 5 http://127.0.0.1:8500/v1/kv/big/1?consistent >/dev/null";
    let between = "journalctl -u consul --no-pager --since=-20s | grep -q 'non-monotonic log entries'";
    let state = wait_for(Duration::from_mins(1), || {
        let says = |script: &str| machine.exec(script).success();
        says(between).then_some(true).or_else(|| says(leads).then_some(false))
    });
    let is_between = state.expect("the server comes back");
    println!("it lies between: {is_between}");
    if is_between {
        machine.exec("systemctl stop consul; mv /opt/consul/raft /root/raft-aside; systemctl start consul").ok();
    }
    is_between
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

pub(super) fn signal(machine: &Machine, signal: &str) {
    machine.exec(&format!("systemctl kill --kill-whom=main -s {signal} consul")).ok();
}

#[test]
fn a_server_that_dies_or_stands_still_in_the_middle_leaves_nothing_half() {
    let (console, machine) = one(&|machine| format!("[hosts.{}.services.consul]\n", machine.name()));
    let vault = console.path("vault");
    install_consul(&machine, &consul::Options { acls: false, ..consul::Options::default() });
    heavy(&machine);
    let saved_keys = consul_all(&machine, None);

    // While it is copied off.
    slow(&machine);
    let child = saving(&console);
    signal(&machine, "KILL");
    let failed = ended(child);
    // The link to the node lives: it is the service that failed.
    assert_eq!(failed.code, Some(1), "{failed:?}");
    failed.says("val-1/consul/snapshot was not copied").says("Everything is as it was.").says("next: ");
    start_consul(&machine);
    let child = saving(&console);
    signal(&machine, "STOP");
    std::thread::sleep(Duration::from_secs(3));
    interrupt(&child);
    ended(child).expect(130);
    signal(&machine, "CONT");
    console.run(&["list"]).expect(7);
    nothing_staged(&vault);
    machine.limit_rate(None);
    console.run(&["backup", SNAPSHOT]).expect(0);
    let [saved] = copies(&console, SNAPSHOT).try_into().unwrap();

    // While the request that replaces everything is on its way.
    consul_put(&machine, None, "later", "than the copy");
    let changed = consul_all(&machine, None);
    slow(&machine);
    let child = replacing(&console, &saved);
    signal(&machine, "KILL");
    let failed = ended(child).expect(1).says("Consul took nothing: it had not received the whole snapshot.");
    assert!(failed.err.contains("val-1"), "{}", failed.err);
    start_consul(&machine);
    assert_eq!(consul_all(&machine, None), changed);
    let child = replacing(&console, &saved);
    signal(&machine, "STOP");
    std::thread::sleep(Duration::from_secs(2));
    interrupt(&child);
    ended(child).expect(130);
    signal(&machine, "CONT");
    machine.limit_rate(None);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(consul_all(&machine, None), changed, "half a request is none");
    assert_eq!(left_by_lifeboat(&machine), "");
    nothing_staged(&vault);

    // When it had all of it, and before it said so: once it comes back with it, once it comes back with nothing at all.
    for loses_all in [false, true] {
        println!("all of it had arrived; the server loses all: {loses_all}");
        let (end, is_lost) = lost_once_it_has_all(&console, &machine, &saved, loses_all);
        start_consul(&machine);
        let (now, safety) = (consul_all(&machine, None), copies(&console, SNAPSHOT).pop().unwrap());
        assert_ne!(safety, saved);
        // What is said is what is, and the way on is named.
        if is_lost {
            assert_eq!((end.code, now.len()), (Some(6), 0), "{}", end.err);
            let end = end.says("KVS: 0 instead of 24").says(&format!("lifeboat restore {saved} --to val-1"));
            let end = end.says(&format!("lifeboat restore {safety} --to val-1"));
            let leave = end.err.split("lifeboat resume ").nth(1).expect("the run is let go of first");
            let leave: Vec<&str> = ["resume"].into_iter().chain(leave.split_whitespace().take(2)).collect();
            console.run(&leave).expect(0);
        } else {
            assert_eq!((end.code, now == saved_keys), (Some(0), true), "{}", end.err);
        }
        console.run(&["restore", &safety, "--to", "val-1", "--confirm", "overwrite=dc1"]).expect(0);
        assert_eq!(consul_all(&machine, None), changed);
        assert_eq!(left_by_lifeboat(&machine), "");
    }
    console.run(&["verify"]).expect(0);
}

/// Which of some servers leads, as the first of them sees it.
fn leading<'m>(servers: &[&'m Machine]) -> Option<&'m Machine> {
    let told = servers[0].exec("curl -s -m 5 http://127.0.0.1:8500/v1/status/leader").stdout;
    servers.iter().copied().find(|one| told.contains(&format!("\"{}:", one.address())))
}

/// Makes another server than the first the leader.
fn lead_elsewhere<'m>(servers: &[&'m Machine]) -> &'m Machine {
    let other = wait_for(Duration::from_mins(1), || match leading(servers) {
        Some(leader) if leader.name() != servers[0].name() => Some(leader),
        Some(_) => {
            servers[0].exec("consul operator raft transfer-leader");
            std::thread::sleep(Duration::from_millis(500));
            None
        }
        None => None,
    });
    other.expect("another server leads")
}

#[test]
fn a_leader_that_is_lost_in_the_middle_leaves_nothing_half() {
    let fleet = Fleet::shared();
    let (console, first) = one(&|machine| format!("[hosts.{}.services.consul]\n", machine.name()));
    let others = [Machine::boot(fleet, "val-2"), Machine::boot(fleet, "val-3")];
    install_consul(&first, &consul::Options { acls: false, ..consul::Options::default() });
    for other in &others {
        join_consul(other, &first);
        let stays_down = "mkdir -p /etc/systemd/system/consul.service.d && systemctl daemon-reload
            printf '[Service]\\nRestart=no\\n' >/etc/systemd/system/consul.service.d/test.conf; systemctl daemon-reload";
        other.exec(stays_down).ok();
    }
    let servers = [&first, &others[0], &others[1]];
    heavy(&first);
    let keys = consul_all(&first, None);
    // A server that was lost is taken off the list after a while, and has to earn its vote again.
    let healthy = || {
        let asked = first.exec(
            "curl -sf http://127.0.0.1:8500/v1/operator/autopilot/health >/dev/null &&
             test \"$(consul operator raft list-peers | grep -c ' true ')\" = 3",
        );
        (asked.success() && leading(&servers).is_some()).then_some(())
    };

    let led_by_another_than = |lost: &Machine| {
        let now = || leading(&servers).filter(|leader| leader.name() != lost.name());
        assert!(wait_for(Duration::from_mins(1), now).is_some(), "no other leads");
    };

    // While it is copied off through another server.
    let leader = lead_elsewhere(&servers);
    slow(&first);
    let child = saving(&console);
    signal(leader, "KILL");
    let failed = ended(child);
    // The server in between ends its reply as if that were all: what is missing shows.
    assert_eq!(failed.code, Some(14), "{failed:?}");
    failed.says("val-1/consul/snapshot was not copied").says("Everything is as it was.").says("next: ");
    console.run(&["list"]).expect(7);
    nothing_staged(&console.path("vault"));
    first.limit_rate(None);

    // Two of three are a datacenter still.
    led_by_another_than(leader);
    console.run(&["backup", SNAPSHOT]).expect(0);
    let [saved] = copies(&console, SNAPSHOT).try_into().unwrap();
    let restore = ["restore", &saved, "--to", "val-1", "--confirm", "overwrite=dc1"];
    start_consul(leader);
    assert!(wait_for(Duration::from_mins(1), healthy).is_some(), "the datacenter is well again");

    // While the request that replaces everything is on its way to the leader through another server.
    consul_put(&first, None, "later", "than the copy");
    let changed = consul_all(&first, None);
    let leader = lead_elsewhere(&servers);
    assert!(wait_for(Duration::from_mins(1), healthy).is_some(), "the datacenter is well again");
    slow(&first);
    let child = replacing(&console, &saved);
    signal(leader, "KILL");
    let failed = ended(child);
    first.limit_rate(None);
    assert_eq!(failed.code, Some(1), "{}", failed.err);
    let failed = failed.says("Restoring the datacenter on val-1 failed").says("next: ");
    assert!(failed.err.contains("  now:  "), "what state things are in: {}", failed.err);
    led_by_another_than(leader);
    assert_eq!(consul_all(&first, None), changed);
    assert_eq!(left_by_lifeboat(&first), "");
    console.run(&["verify", SNAPSHOT]).expect(0);
    start_consul(leader);
    assert!(wait_for(Duration::from_mins(1), healthy).is_some(), "the datacenter is well again");
    console.run(&restore).expect(0).says("restored and proven");
    assert_eq!(consul_all(&first, None), keys);

    // One of three is no datacenter: only what it knows itself can be had, when that is asked for.
    for other in &others {
        signal(other, "KILL");
    }
    let leaderless = || leading(&servers).is_none().then_some(());
    assert!(wait_for(Duration::from_mins(1), leaderless).is_some());
    let before = copies(&console, SNAPSHOT).len();
    console.run(&["backup", SNAPSHOT]).expect(1).says("no leader").says("--set mode=stale");
    console.run(&restore).expect(1).says("no leader").says("majority");
    assert_eq!(copies(&console, SNAPSHOT).len(), before);
    console.run(&["backup", SNAPSHOT, "--set", "mode=stale"]).expect(0).says("mark: stale read");
    assert_eq!(left_by_lifeboat(&first), "");
}
