//! The fixture shown to be what it says: each of these fails when the machines are not real.

use super::fleet::Fleet;
use super::host::{host, wait_for};
use super::machine::Machine;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    println!("{what}: {:.2} s", start.elapsed().as_secs_f64());
    done
}

#[test]
fn two_machines_boot_and_know_each_other_by_their_keys() {
    let fleet = timed("fleet", Fleet::shared);
    let one = timed("boot one", || Machine::boot(fleet, "val-1"));
    let two = timed("boot two", || Machine::boot(fleet, "val-2"));
    assert_eq!(timed("exec", || one.exec("hostname").ok()), "val-1\n");
    assert_eq!(timed("ssh", || two.ssh("ops", "hostname; sudo -n id -u").ok()), "val-2\n0\n");
    assert_eq!(one.exec("exit 7").status, 7);
    assert_eq!(one.exec_with("cat", b"through the pipe").ok(), "through the pipe");
    assert_eq!(one.exec("systemctl is-system-running").ok(), "running\n");
    assert_ne!(one.host_key_fingerprint(), two.host_key_fingerprint());
    assert_ne!(one.exec("cat /etc/machine-id").ok(), two.exec("cat /etc/machine-id").ok());

    assert!(fleet.key_path().with_extension("pub").exists(), "the operator's key lies where it is said to");

    // opspw's sudo asks for the password of this run; root may come in by key.
    assert_ne!(one.ssh("opspw", "sudo -n true").status, 0, "opspw needs a password");
    let password = fleet.password();
    let asked = one.ssh("opspw", &format!("echo {password} | sudo -S -p '' id -u"));
    assert_eq!(asked.ok(), "0\n");
    assert_eq!(two.ssh("root", "id -u").ok(), "0\n");
    let from = one.ssh("ops", "echo $SSH_CLIENT").ok();
    assert_eq!(from.split(' ').next(), Some(fleet.host_address().to_string().as_str()));

    // One machine reaches the other's sshd, and sees the key the fixture says it has.
    let seen = one.exec(&format!("ssh-keyscan -t ed25519 {}", two.address())).ok();
    assert_eq!(seen, two.known_hosts_line());

    // What one machine stops, the other does not feel.
    one.exec("systemctl stop ssh").ok();
    assert!(two.ssh("ops", "true").success(), "the other machine's sshd still answers");
}

#[test]
fn a_machine_keeps_its_disk_through_a_power_cut_and_loses_it_when_destroyed() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-3");
    machine.exec("echo kept >/root/note && cat /proc/sys/kernel/random/boot_id").ok();
    assert!(machine.is_on());
    timed("power off", || machine.poweroff());
    assert!(!machine.is_on());
    assert!(std::net::TcpStream::connect_timeout(&machine.ssh_address(), Duration::from_millis(300)).is_err());
    timed("power on", || machine.start());
    assert_eq!(machine.exec("cat /root/note").ok(), "kept\n");
    assert!(machine.ssh("ops", "true").success());

    machine.power_cycle();
    let before = machine.known_hosts_line();
    machine.replace_host_key();
    assert_ne!(machine.known_hosts_line(), before);
    let seen = machine.exec("ssh-keyscan -t ed25519 127.0.0.1").ok();
    assert_eq!(seen.split_whitespace().last(), machine.known_hosts_line().split_whitespace().last());

    let (disk, address) = (machine.root(), machine.ssh_address());
    timed("destroy", || machine.destroy());
    assert!(!disk.exists(), "the disk is gone");
    assert!(std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_err());
    let again = Machine::boot(fleet, "val-3");
    assert!(!again.exec("cat /root/note").success(), "the new machine is blank");
}

#[test]
fn a_link_goes_down_comes_up_and_slows() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-4");
    let reachable = || std::net::TcpStream::connect_timeout(&machine.ssh_address(), Duration::from_millis(500)).is_ok();
    machine.link_down();
    assert!(!reachable());
    assert_eq!(machine.exec("echo inside").ok(), "inside\n", "the machine itself runs on");
    timed("link up", || machine.link_up());
    assert!(reachable());

    let pull = || {
        let start = Instant::now();
        assert_eq!(machine.ssh("ops", "head -c 1000000 /dev/zero | tr '\\0' x").ok().len(), 1_000_000);
        start.elapsed()
    };
    machine.limit_rate(Some(2000));
    let limited = timed("pull 1 MB at 2 Mbit/s", pull);
    assert!(limited > Duration::from_millis(3200), "2 Mbit/s takes 1 MB four seconds, and it took {limited:?}");
    machine.limit_rate(None);
    let unlimited = timed("pull 1 MB", pull);
    assert!(unlimited < limited / 2, "the limit is lifted: {unlimited:?}, and {limited:?} with it");
}

/// A keeper by itself, as `Fleet::start` runs it, and the slot it took.
fn keeper(state: &std::path::Path) -> (Child, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/keeper");
    let mut child =
        Command::new(script).arg(state).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start the keeper");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("its answer");
    let slot = line.trim().strip_prefix("slot=").expect("a slot").to_owned();
    (child, slot)
}

#[test]
fn the_next_run_clears_what_a_killed_one_left() {
    let state = tempfile::tempdir().expect("a directory");
    let (mut killed, slot) = keeper(state.path());
    let disk = state.path().join(format!("slot-{slot}/lb-{slot}-0/root"));
    std::fs::create_dir_all(&disk).expect("make a disk");
    host("mount", &["-t", "tmpfs", "left", &disk.to_string_lossy()]);
    let mut process = Command::new("sh")
        .args(["-c", "sleep 300; :", "nspawn", &format!("--machine=lb-{slot}-0")])
        .spawn()
        .expect("start a process");
    let bridge = format!("/sys/class/net/lb-{slot}-br");
    assert!(std::path::Path::new(&bridge).exists());
    killed.kill().expect("kill the keeper");
    killed.wait().expect("its end");
    drop(killed);
    assert!(disk.exists() && process.try_wait().expect("a look").is_none(), "a killed keeper clears nothing");

    let (mut next, taken) = keeper(state.path());
    assert!(wait_for(Duration::from_secs(5), || process.try_wait().expect("a look")).is_some(), "the process is gone");
    assert!(!disk.exists(), "the disk is gone");
    drop(next.stdin.take());
    assert!(next.wait().expect("its end").success());
    assert!(
        !std::path::Path::new(&format!("/sys/class/net/lb-{taken}-br")).exists(),
        "a keeper that ends clears its own"
    );
    assert!(!state.path().join(format!("slot-{taken}")).exists());
}
