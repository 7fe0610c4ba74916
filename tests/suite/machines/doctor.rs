//! What `doctor` finds wrong on a machine, aspect by aspect, and that it says what to do.

use super::fleet::Fleet;
use super::machine::Machine;
use super::story::{head, host_table, write_secret};
use super::taken_over::one;
use crate::support::console::Console;
use crate::transport::sshd::make_key;

/// A level's exit code, and the line that must stand beside the name of the aspect.
fn finds(console: &Console, code: i32, aspect: &str, found: &str, hint: &str) {
    let ended = console.run(&["doctor", "val-1"]).expect(code).says(hint);
    let line = ended.out.lines().find(|line| line.contains(aspect)).unwrap_or_else(|| panic!("{}", ended.out));
    assert!(line.contains(found), "{line}");
}

#[test]
fn a_clock_a_disk_and_a_missing_tool_are_told_each_in_its_line() {
    let (console, machine) = one(&|_| String::new());
    for aspect in ["reachable", "host key", "login", "root", "tools", "clock", "free space"] {
        finds(&console, 0, aspect, "", "");
    }

    // The machines share one clock, so the program that tells it is another: a minute and a half slow.
    let slow = "printf '#!/bin/sh\\nexec /bin/date -d \"90 seconds ago\" \"$@\"\\n' >/usr/local/bin/date";
    machine.exec(&format!("{slow} && chmod 755 /usr/local/bin/date")).ok();
    finds(&console, 4, "clock", "-90.", "Set the clock there, or here.");
    machine.exec("rm /usr/local/bin/date").ok();

    machine.exec("mkdir -p /var/lib/lifeboat && mount -t tmpfs -o size=8m,mode=700 none /var/lib/lifeboat").ok();
    finds(&console, 4, "free space", "only 8.00 MiB", "A restore needs room there");
    machine.exec("umount /var/lib/lifeboat").ok();

    machine.exec("mv /usr/bin/flock /usr/bin/flock.away").ok();
    finds(&console, 5, "tools", "missing: flock", "Install what provides flock there.");
    machine.exec("mv /usr/bin/flock.away /usr/bin/flock").ok();
    console.run(&["doctor"]).expect(0);
}

#[test]
fn a_locked_key_opens_with_its_passphrase_and_with_no_other() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    let console = Console::new();
    let recipient = console.keygen();
    let (key, file) = (console.path("locked"), console.path("passphrase"));
    make_key(&key, "ed25519", "right");
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    machine.write_as("ops", "/home/ops/.ssh/authorized_keys", &public, 0o600);
    let table = host_table(
        fleet,
        &machine,
        "ops",
        &format!(
            "passphrase = {{ file = \"{}\" }}\n[hosts.val-1.services.files]\npaths = [\"/etc/ssh\"]",
            file.display()
        ),
    );
    let table = table.replace(&fleet.key_path().display().to_string(), &key.display().to_string());
    console.write_inventory(&(head(&console, &recipient) + &table));
    console.run(&["init"]).expect(0);
    console.run(&["enroll", "val-1", "--fingerprint", &machine.host_key_fingerprint()]).expect(0);

    write_secret(&file, "wrong");
    for args in [&["doctor", "val-1"][..], &["scan", "val-1"], &["backup", "val-1"]] {
        console.run(args).expect(11).says("ops@val-1").says("locked: the passphrase is wrong");
    }
    console.run(&["list"]).expect(7);
    write_secret(&file, "right");
    console.run(&["backup", "val-1/files/tree"]).expect(0);
}
