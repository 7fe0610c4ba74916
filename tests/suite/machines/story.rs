//! The whole way on real machines: back up a host, lose it, rebuild it on a blank one, prove it.

use std::collections::BTreeMap;

use super::avalanchego::{self, Identity, install_avalanchego, start_avalanchego};
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
    format!(
        "[hosts.{name}.services.avalanchego]\n\
         [hosts.{name}.services.files]\npaths = [\"/srv/tree\"]\n\
         [hosts.{name}.services.consul]\ntoken = {{ file = \"{{TOKEN}}\" }}\ntoken_after = {{ file = \"{{AFTER}}\" }}\n"
    )
}

#[test]
fn a_lost_host_is_rebuilt_on_a_blank_machine_and_proven() {
    let token_dir = tempfile::tempdir().unwrap();
    let token_file = token_dir.path().join("token");
    let after_file = token_dir.path().join("after");
    for file in [&token_file, &after_file] {
        write_secret(file, "not yet");
    }
    let fill_in = |text: String| {
        text.replace("{TOKEN}", token_file.to_str().unwrap()).replace("{AFTER}", after_file.to_str().unwrap())
    };
    let stage = Stage::set(&|machine| fill_in(services(machine)));
    let Stage { console, old, spare } = stage;

    install_avalanchego(&old, &avalanchego::Options::default());
    let identity: Identity = start_avalanchego(&old);
    let management = install_consul(&old, &consul::Options::default()).expect("ACLs are on");
    for (key, value) in [("app/config", "blue"), ("app/empty", ""), ("secret/odd", "\u{1b}[31mred")] {
        consul_put(&old, Some(&management), key, value);
    }
    consul_fill(&old, Some(&management), "bulk", 500);
    let keys: BTreeMap<String, Vec<u8>> = consul_all(&old, Some(&management));
    assert!(keys.len() > 500);
    let backup_token = consul_backup_token(&old, &management);
    write_secret(&token_file, &backup_token);
    install_tree(&old, "/srv/tree");
    let listing = tree_listing(&old, "/srv/tree");

    console.run(&["doctor", "val-1", "spare-1"]).expect(0).says("host key");
    console.run(&["scan", "val-1"]).expect(0).says(&identity.node_id).says("val-1/avalanchego/staking-identity");
    console
        .run(&["backup", "val-1/avalanchego/staking-identity", "val-1/consul/snapshot", "val-1/files/tree"])
        .expect(0);
    console.run(&["list"]).expect(0).says("val-1/consul/snapshot").says("verified");
    assert!(console.path("vault/about/inventory.toml").is_file() && console.path("vault/about/known_hosts").is_file());
    console.run(&["verify"]).expect(0);
    console.run(&["show", "val-1/avalanchego/staking-identity"]).expect(0).says(&identity.node_id);

    old.destroy();
    install_avalanchego(&spare, &avalanchego::Options::default());
    let fresh = start_avalanchego(&spare);
    assert_ne!(fresh.node_id, identity.node_id);
    let fresh_token = install_consul(&spare, &consul::Options::default()).expect("ACLs are on");

    let unproved =
        console.run(&["restore", "val-1/avalanchego/staking-identity", "--to", "spare-1", "--no-input"]).expect(15);
    unproved.says("fenced-val-1");
    let confirm = ["--confirm", "fenced-val-1=val-1", "--confirm", "public-ip=127.0.0.1"];
    console
        .run(&[&["restore", "val-1/avalanchego/staking-identity", "--to", "spare-1"][..], &confirm].concat())
        .expect(0);
    assert_eq!(avalanchego::avalanche_node_id(&spare), identity);

    // The blank machine does not know the accounts; the console says which, before anything is touched.
    console.run(&["restore", "val-1/files/tree", "--to", "spare-1"]).expect(1).says("useradd --system treeapp");
    spare.exec("useradd --system --user-group treeapp").ok();
    console.run(&["restore", "val-1/files/tree", "--to", "spare-1"]).expect(0);
    assert_eq!(tree_listing(&spare, "/srv/tree"), listing);

    // The target's own token works until the restore, the saved cluster's after it.
    write_secret(&token_file, &fresh_token);
    write_secret(&after_file, &backup_token);
    console.run(&["restore", "val-1/consul/snapshot", "--to", "spare-1", "--confirm", "overwrite=dc1"]).expect(0);
    assert_eq!(consul_all(&spare, Some(&management)), keys);
    console.run(&["runs"]).expect(0).says("done");
    console.run(&["list"]).expect(0).says("proven");
}

/// A file only its owner reads, as the inventory requires of secrets.
pub fn write_secret(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
