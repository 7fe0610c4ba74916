//! `contrib/systemd/`: backups that nobody watches, on a booted machine.

use std::path::Path;
use std::time::Duration;

use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::netdata::{configure, is_running, left_by_lifeboat, start, table};
use super::story::host_table;

#[test]
fn the_timer_s_service_backs_an_agent_up() {
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
    console.exec(&format!("systemctl daemon-reload && systemctl enable --now {}", escape("timer"))).ok();
    let timers = console.exec("systemctl list-timers --all --no-legend").ok();
    assert!(timers.contains("lifeboat-backup@"), "{timers}");
    let started = console.exec(&format!(
        "systemctl start {}; journalctl --no-pager -u 'lifeboat-backup@*' | tail -n 60",
        escape("service")
    ));
    let listed = lifeboat("list").ok();
    for item in ["config", "identity", "metrics"] {
        assert!(listed.contains(&format!("mon-1/netdata/{item}")), "{listed}\n{started}");
    }
    let status = console.exec(&format!("systemctl show --property=ExecMainStatus --value {}", escape("service"))).ok();
    assert_eq!(status, "0\n", "{started}");
    assert!(wait_for(Duration::from_secs(5), || is_running(&node).then_some(())).is_some());
    assert_eq!(left_by_lifeboat(&node), "");
}
