//! The whole way on real machines: back up a host, lose it, rebuild it on a blank one, prove it.

use std::collections::BTreeMap;

use super::consul::{self, consul_all, consul_backup_token, consul_fill, consul_put, install_consul};
use super::fleet::Fleet;
use super::machine::Machine;
use super::tree::{install_tree, tree_listing};
use crate::support::console::Console;

/// A console that knows two machines and is enrolled with both.
pub struct Stage {
    pub console: Console,
    pub old: Machine,
    pub spare: Machine,
}

/// A host's table in the inventory, logging in as `user` with the fleet's key.
pub fn host_table(fleet: &Fleet, machine: &Machine, user: &str, more: &str) -> String {
    format!(
        "[hosts.{name}]\naddress = \"{address}\"\nuser = \"{user}\"\nidentity_file = \"{key}\"\n{more}\n",
        name = machine.name(),
        address = machine.address(),
        key = fleet.key_path().display(),
    )
}

/// What stands before the hosts: a sealed vault whose key lies in the console's directory.
pub fn head(console: &Console, recipient: &str) -> String {
    format!(
        "version = 1\n[vault]\npath = \"{}\"\nrecipients = [\"{recipient}\"]\nidentities = [\"{}\"]\n",
        console.path("vault").display(),
        console.path("key.txt").display(),
    )
}

impl Stage {
    /// Boots both machines and enrols them by the fingerprints the machines themselves tell.
    pub fn set(services: &dyn Fn(&Machine) -> String) -> Self {
        let fleet = Fleet::shared();
        let (old, spare) = (Machine::boot(fleet, "val-1"), Machine::boot(fleet, "spare-1"));
        let console = Console::new();
        let recipient = console.keygen();
        let inventory = head(&console, &recipient)
            + &host_table(fleet, &old, "ops", &services(&old))
            + &host_table(fleet, &spare, "ops", &services(&spare));
        console.write_inventory(&inventory);
        console.run(&["init"]).expect(0);
        for machine in [&old, &spare] {
            console.run(&["enroll", machine.name(), "--fingerprint", &machine.host_key_fingerprint()]).expect(0);
        }
        Self { console, old, spare }
    }
}

fn services(machine: &Machine) -> String {
    let name = machine.name();
    format!("[hosts.{name}.services.files]\npaths = [\"/srv/tree\"]\n[hosts.{name}.services.consul]\ntoken = {{ file = \"{{TOKEN}}\" }}\ntoken_after = {{ file = \"{{AFTER}}\" }}\n")
}

#[test]
fn a_lost_host() {
    let token_dir = tempfile::tempdir().unwrap();
    let token_file = token_dir.path().join("token");
    let after_file = token_dir.path().join("after");
    for file in [&token_file, &after_file] {
        write_secret(file, "not yet");
    }
    let stage = Stage::set(&|machine| services(machine).replace("{TOKEN}", token_file.to_str().unwrap()).replace("{AFTER}", after_file.to_str().unwrap()));
    let Stage { console, old, spare } = stage;
    let show = |e: crate::support::console::Ended| { println!("== {:?}\n{}\n-- err\n{}", e.code, e.out, e.err); e };
    let management = install_consul(&old, &consul::Options::default()).expect("ACLs are on");
    consul_put(&old, Some(&management), "app/config", "blue");
    consul_fill(&old, Some(&management), "bulk", 500);
    let keys: BTreeMap<String, Vec<u8>> = consul_all(&old, Some(&management));
    let backup_token = consul_backup_token(&old, &management);
    write_secret(&token_file, &backup_token);
    install_tree(&old, "/srv/tree");
    let listing = tree_listing(&old, "/srv/tree");
    show(console.run(&["doctor", "val-1", "spare-1"]));
    show(console.run(&["scan", "val-1"]));
    show(console.run(&["backup", "val-1/consul/snapshot", "val-1/files/tree"]));
    show(console.run(&["list"]));
    show(console.run(&["verify"]));
    show(console.run(&["show", "val-1/files/tree"]));
    old.destroy();
    let fresh_token = install_consul(&spare, &consul::Options::default()).expect("ACLs are on");
    show(console.run(&["restore", "val-1/files/tree", "--to", "spare-1"]));
    println!("TREE EQUAL {}", tree_listing(&spare, "/srv/tree") == listing);
    write_secret(&token_file, &fresh_token);
    write_secret(&after_file, &backup_token);
    show(console.run(&["restore", "val-1/consul/snapshot", "--to", "spare-1", "--confirm", "overwrite=dc1"]));
    println!("KV EQUAL {}", consul_all(&spare, Some(&management)) == keys);
    show(console.run(&["runs"]));
    show(console.run(&["list"]));
    show(console.run(&["kept"]));
    panic!("look");
}

/// A file only its owner reads, as the inventory requires of secrets.
pub fn write_secret(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}