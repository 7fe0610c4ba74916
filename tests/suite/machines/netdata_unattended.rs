//! `contrib/systemd/`: backups that nobody watches, on a booted machine.

use std::path::Path;
use std::time::Duration;

use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::netdata::{configure, ended_badly, is_running, left_by_lifeboat, start, table};
use super::story::host_table;

#[test]
fn the_timer_elapses_and_backs_an_agent_up() {
    let fleet = Fleet::shared();
    let (node, console) = (Machine::boot(fleet, "mon-1"), Machine::boot(fleet, "console-1"));
    configure(&node);
    start(&node);

    let home = "/var/lib/lifeboat-console";
    console.exec(&format!("useradd --system --create-home --home-dir {home} --shell /bin/sh lifeboat")).ok();
    console.copy_in(Path::new(env!("CARGO_BIN_EXE_lifeboat")), "/usr/local/bin/lifeboat", 0o755);
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd");
    for name in ["lifeboat-backup@.service", "lifeboat-backup@.timer"] {
        console.copy_in(&contrib.join(name), &format!("/etc/systemd/system/{name}"), 0o644);
    }
    console
        .exec(&format!("install -d -m 0700 -o lifeboat -g lifeboat {home}/.config {home}/.config/lifeboat {home}/.ssh"))
        .ok();
    let key = std::fs::read_to_string(fleet.key_path()).unwrap();
    console.write_as("lifeboat", &format!("{home}/.ssh/id"), &key, 0o600);
    let lifeboat =
        |words: &str| console.exec(&format!("runuser -u lifeboat -- env HOME={home} lifeboat --no-input {words}"));
    let printed = lifeboat(&format!("keygen {home}/key.txt")).ok();
    let recipient = printed.split_whitespace().find(|word| word.starts_with("age1")).unwrap().to_owned();
    // Only the public key stays with the console that nobody watches.
    console.exec(&format!("rm {home}/key.txt")).ok();
    let host = host_table(fleet, &node, "ops", &table(&node))
        .replace(&fleet.key_path().display().to_string(), &format!("{home}/.ssh/id"));
    let inventory = format!("version = 1\n[vault]\npath = \"{home}/vault\"\nrecipients = [\"{recipient}\"]\n{host}");
    console.write_as("lifeboat", &format!("{home}/.config/lifeboat/inventory.toml"), &inventory, 0o600);
    lifeboat("init").ok();
    lifeboat(&format!("enroll mon-1 --fingerprint {}", node.host_key_fingerprint())).ok();

    let escape = |kind: &str| format!("\"$(systemd-escape --template=lifeboat-backup@.{kind} 'mon-1/netdata/*')\"");
    // As it comes, but for the hour: it elapses by itself, once each time it is started, and nobody starts the service.
    let soon = "[Timer]\nOnCalendar=\nOnActiveSec=2s\nRandomizedDelaySec=0\nAccuracySec=1s\n";
    console.exec("mkdir /etc/systemd/system/lifeboat-backup@.timer.d").ok();
    console.write_as("root", "/etc/systemd/system/lifeboat-backup@.timer.d/soon.conf", soon, 0o644);
    console.exec(&format!("systemctl daemon-reload && systemctl enable {}", escape("timer"))).ok();
    let told = |property: &str| {
        console.exec(&format!("systemctl show --property={property} --value {}", escape("service"))).ok()
    };
    // A copy under which the agent itself failed in its end is refused, and made again.
    let mut tries = (0..4).map(|_| {
        let before = told("InvocationID");
        console.exec(&format!("systemctl reset-failed; systemctl restart {}", escape("timer"))).ok();
        let timers = console.exec("systemctl list-timers --all --no-legend").ok();
        assert!(timers.contains("lifeboat-backup@"), "{timers}");
        let is_over = || ["inactive\n", "failed\n"].contains(&told("ActiveState").as_str());
        let over = wait_for(Duration::from_mins(5), || (told("InvocationID") != before && is_over()).then_some(()));
        let said = console.exec("journalctl --no-pager -u 'lifeboat-backup@*' | tail -n 60").ok();
        assert!(over.is_some(), "the timer never elapsed, or what it started never ended\n{said}");
        (told("ExecMainStatus"), said)
    });
    let (status, said) =
        tries.find(|(status, said)| status == "0\n" || !ended_badly(said)).expect("the agent never ends well");
    assert_eq!(status, "0\n", "{said}");
    let listed = lifeboat("list").ok();
    for item in ["config", "identity", "metrics"] {
        assert!(listed.contains(&format!("mon-1/netdata/{item}")), "{listed}\n{said}");
    }
    assert!(wait_for(Duration::from_secs(5), || is_running(&node).then_some(())).is_some());
    assert_eq!(left_by_lifeboat(&node), "");
}
