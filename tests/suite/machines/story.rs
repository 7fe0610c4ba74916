//! The whole way on real machines: back up a host, lose it, rebuild it on a blank one, prove it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::avalanchego::{self, Identity, avalanche_node_id, install_avalanchego, start_avalanchego};
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
    for kept in ["posix_acl_access=0x", "981173106.1234567890 deep/1\n", "1015218367.0000000000 link\n"] {
        assert!(listing.contains(kept), "{kept}: {listing}");
    }
    let keys_lie = |machine: &Machine| machine.exec("stat -c '%a %U:%G %n' /home/avax/.avalanchego/staking/*").ok();
    let keys_lay = keys_lie(&old);

    console.run(&["doctor", "val-1", "spare-1"]).expect(0).says("host key");
    look_at_everything(&console, &identity, &old.address().to_string());
    // Something writes to a file of the tree the whole time, byte by byte.
    let write = "head -c 30000000 /dev/urandom >>/srv/tree/heartbeat
        dd if=/dev/zero bs=1 count=300000000 >>/srv/tree/heartbeat 2>/dev/null </dev/null & echo $! >/root/writer";
    old.exec(write).ok();
    console.run(&["backup", "val-1"]).expect(0);
    old.exec("kill $(cat /root/writer)").ok();
    console.run(&["list"]).expect(0).says("val-1/consul/snapshot").says("verified");
    assert!(console.path("vault/about/inventory.toml").is_file() && console.path("vault/about/known_hosts").is_file());
    show_what_is_kept(&console, &identity);

    // The host is gone; what is kept is sound without it.
    old.destroy();
    console.run(&["verify"]).expect(0).says("val-1/files/tree");
    for (item, service) in [("avalanchego/staking-identity", "AvalancheGo"), ("consul/snapshot", "Consul")] {
        let blank = console.run(&["restore", &format!("val-1/{item}"), "--to", "spare-1", "--no-input"]).expect(1);
        let (what, hints) = blank.err.split_once("next: ").unwrap_or_else(|| panic!("no hint: {}", blank.err));
        assert!(what.contains(service) && what.contains("spare-1"), "{}", blank.err);
        assert!(hints.to_lowercase().contains("install"), "how it is installed is said: {}", blank.err);
    }

    install_avalanchego(&spare, &avalanchego::Options::default());
    let fresh = start_avalanchego(&spare);
    assert_ne!(fresh.node_id, identity.node_id);
    let fresh_token = install_consul(&spare, &consul::Options::default()).expect("ACLs are on");
    consul_put(&spare, Some(&fresh_token), "fresh/only", "here");

    let restore = ["restore", "val-1/avalanchego/staking-identity", "--to", "spare-1"];
    let answers =
        ["--confirm", "fenced-val-1=val-1", "--confirm", "overwrite=spare-1", "--confirm", "public-ip=127.0.0.1"];
    let unproved = console.run(&[&restore[..], &["--no-input"]].concat()).expect(15);
    unproved.says("fenced-val-1").says("public-ip=127.0.0.1");
    let half =
        console.run(&[&restore[..], &answers[..4], &["--no-input"]].concat()).expect(15).says("public-ip=127.0.0.1");
    assert!(!half.err.contains("fenced-val-1=val-1"), "only what is unanswered is asked for: {}", half.err);
    assert_eq!(avalanche_node_id(&spare), fresh);
    console.run(&[&restore[..], &answers].concat()).expect(0);
    assert_eq!(avalanche_node_id(&spare), identity);
    assert_eq!(keys_lie(&spare), keys_lay);
    for name in ["staker.key", "staker.crt", "signer.key"] {
        let closed = format!("400 avax:avax /home/avax/.avalanchego/staking/{name}\n");
        assert!(keys_lay.contains(&closed), "{keys_lay}");
    }

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

    // What the target held before was copied off first, and comes back like any other copy.
    write_secret(&token_file, &management);
    write_secret(&after_file, &fresh_token);
    console.run(&["verify", "spare-1/consul/snapshot"]).expect(0);
    console.run(&["restore", "spare-1/consul/snapshot", "--to", "spare-1", "--confirm", "overwrite=dc1"]).expect(0);
    let before: Vec<(String, Vec<u8>)> = consul_all(&spare, Some(&fresh_token)).into_iter().collect();
    assert_eq!(before, [("fresh/only".to_owned(), b"here".to_vec())]);
}

/// Every fact a scan owes of what is saved, as a program reads it, and what no entry covers.
fn look_at_everything(console: &Console, identity: &Identity, address: &str) {
    let scan = console.run(&["--json", "scan", "val-1"]).expect(0).documents();
    let service = |name: &str| scan.iter().find(|one| one["service"] == format!("val-1/{name}")).unwrap();
    let item = |name: &str, id: &str| {
        let items = service(name)["items"].as_array().unwrap();
        items.iter().find(|item| item["id"] == id).unwrap_or_else(|| panic!("{name}/{id} in {items:#?}")).clone()
    };
    let told = |item: &Value| json!([item["copying"], item["sensitivity"], item["standing"]["is"]]);
    let staking = item("avalanchego", "staking-identity");
    assert_eq!(told(&staking), json!(["live", "secret", "ready"]));
    assert!(staking["size"].as_u64().is_some_and(|size| size > 500), "{staking}");
    assert_eq!(told(&item("avalanchego", "db"))[0], "stopped");
    assert_eq!(told(&item("consul", "snapshot")), json!(["protocol", "secret", "ready"]));
    assert_eq!(told(&item("files", "tree"))[2], "ready");

    let facts = &service("avalanchego")["facts"];
    let has = |kind: &str| {
        let all = facts["identities"].as_array().unwrap();
        all.iter().find(|one| one["kind"] == kind).map(|one| one["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(has("avalanche-node-id").as_ref(), Some(&identity.node_id), "{facts:#}");
    assert_eq!(has("avalanche-bls").as_ref(), Some(&identity.public_key), "{facts:#}");
    assert!(facts["version"].as_str().unwrap().contains(avalanchego::VERSION), "{facts:#}");
    // Where things are comes from the unit, the process and its configuration.
    assert_eq!(facts["variant"], "official installer", "{facts:#}");
    let paths = &facts["own"]["paths"];
    let config = json!({"path": format!("{}/configs/node.json", avalanchego::DATA), "from": "flag"});
    assert_eq!(paths["config_file"], config, "{facts:#}");
    assert_eq!(paths["staking_key"]["path"], json!(format!("{}/staking/staker.key", avalanchego::DATA)), "{facts:#}");
    let consul = &service("consul")["facts"];
    assert!(consul["version"].as_str().unwrap().contains(consul::VERSION), "{consul:#}");
    assert_eq!(consul["own"]["leader"], json!(format!("{address}:8300")), "{consul:#}");
    let real = ["datacenter", "data_dir", "config_dir", "acl"].map(|key| &consul["own"][key]);
    assert_eq!(json!(real), json!(["dc1", "/opt/consul", "/etc/consul.d", true]), "{consul:#}");
    assert_eq!(service("files")["facts"]["own"]["paths"]["/srv/tree"]["owner"], "treeapp");

    // Debian's agent lies on every machine of the tests, and nothing backs it up here.
    let uncovered: Vec<_> = scan.iter().filter(|one| one["kind"] == "uncovered").collect();
    let is_it = |one: &&&Value| one["driver"] == "netdata" && one["lines"][0] == "[hosts.val-1.services.netdata]";
    assert!(uncovered.iter().any(|one| is_it(&one) && one["host"] == "val-1"), "{uncovered:?}");
}

/// A copy shown: identities, the ladder, the names it is stored under, what changed meanwhile, the card.
fn show_what_is_kept(console: &Console, identity: &Identity) {
    let shown = console.run(&["show", "val-1/avalanchego/staking-identity"]).expect(0);
    let shown = shown.says(&identity.node_id).says(&identity.public_key).says("ladder").says("RESTORE.md");
    for stored in ["staker.key.age", "staker.crt", "signer.key.age"] {
        assert!(shown.out.contains(stored), "{stored}: {}", shown.out);
    }
    for rung in ["copied", "verified"] {
        assert!(
            shown.out.lines().any(|line| line.trim_start().starts_with(rung) && line.contains("passed")),
            "{rung}: {}",
            shown.out
        );
    }
    let card = shown.out.lines().find_map(|line| line.trim_start().strip_prefix("by hand")).unwrap().trim();
    let card = std::fs::read_to_string(card).unwrap();
    assert!(card.contains(&identity.node_id), "{card}");
    console.run(&["show", "val-1/files/tree"]).expect(0).says("changed while it was copied");
}

/// A file only its owner reads, as the inventory requires of secrets.
pub fn write_secret(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
