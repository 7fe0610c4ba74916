//! The files of a Consul agent: lost or lost with their machine, restored, and accepted by the agent itself.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::consul::{
    self, DATA, consul_all, consul_bootstrap, consul_cli, consul_put, gossip_key, install_consul, start_consul,
};
use super::host::wait_for;
use super::machine::Machine;
use super::story::{Stage, write_secret};
use crate::support::console::{Console, Ended, files_below};

fn stage(token_file: &Path) -> Stage {
    Stage::set(&|machine| {
        let token = token_file.display();
        format!("[hosts.{}.services.consul]\ntoken = {{ file = \"{token}\" }}\n", machine.name())
    })
}

/// What the agent itself says it is, and the datacenter it runs in.
fn agent(machine: &Machine, token: &str) -> Value {
    let script = "read -r t; printf 'header = \"X-Consul-Token: %s\"' \"$t\" | curl -sf -K - http://127.0.0.1:8500/v1/agent/self";
    // It resolves tokens once it has a leader.
    let told = wait_for(Duration::from_secs(30), || {
        let told = machine.exec_with(script, format!("{token}\n").as_bytes());
        told.success().then_some(told.stdout)
    });
    serde_json::from_str(&told.expect("the agent answers")).expect("JSON")
}

fn node_id(machine: &Machine) -> String {
    machine.exec(&format!("cat {DATA}/node-id")).ok().trim().to_owned()
}

fn restore(console: &Console, item: &str, to: &str, more: &[&str]) -> Ended {
    let item = format!("val-1/consul/{item}");
    console.run(&[&["restore", &item, "--to", to][..], more].concat())
}

/// Kind, mode, owner, size and content of everything below a directory.
fn listing(machine: &Machine, dir: &str) -> String {
    let script = format!("cd {dir} && find . -printf '%y %m %U:%G %s %P\\n' -type f -exec sha256sum {{}} + | sort");
    machine.exec(&script).ok()
}

/// Nothing of a run but what it kept on purpose.
pub(super) fn left_by_lifeboat(machine: &Machine) -> String {
    let places = format!("/etc {DATA} {DATA}/serf");
    let script = format!(
        "ls -A /var/lib/lifeboat/runs /var/lib/lifeboat/locks /var/lib/lifeboat/hold 2>/dev/null | grep -v -e '^/' -e '^$'
         ls -d /etc/systemd/system/*lifeboat* /etc/systemd/system/*.d/*hold* 2>/dev/null
         find {places} -maxdepth 1 -name '*.lifeboat-*' ! -name '*.kept' 2>/dev/null; :"
    );
    machine.exec(&script).ok()
}

#[test]
fn an_agent_s_configuration_and_gossip_keys_come_back() {
    let secrets = tempfile::tempdir().unwrap();
    let token_file = secrets.path().join("token");
    write_secret(&token_file, "not yet");
    let Stage { console, old, spare } = stage(&token_file);
    spare.destroy();
    let key = gossip_key();
    let options = consul::Options { gossip_key: Some(key.clone()), ..consul::Options::default() };
    let management = install_consul(&old, &options).expect("ACLs are on");
    write_secret(&token_file, &management);
    old.write_as("consul", "/etc/consul.d/limits.json", "{\"limits\": {\"http_max_conns_per_client\": 321}}\n", 0o600);
    old.exec("systemctl restart consul").ok();
    start_consul(&old);
    let in_use = |told: &Value| told["DebugConfig"]["HTTPMaxConnsPerClient"].as_u64();
    assert_eq!(in_use(&agent(&old, &management)), Some(321));
    let config = listing(&old, "/etc/consul.d");
    for item in ["agent-config", "keyrings"] {
        console.run(&["backup", &format!("val-1/consul/{item}")]).expect(0);
    }

    // The configuration is gone and the agent with it.
    old.exec("systemctl stop consul; rm -rf /etc/consul.d").ok();
    restore(&console, "agent-config", "val-1", &["--no-input"]).expect(15).says("overwrite=val-1");
    restore(&console, "agent-config", "val-1", &["--confirm", "overwrite=val-1"]).expect(0).says("restored and proven");
    assert_eq!(listing(&old, "/etc/consul.d"), config);
    assert_eq!(in_use(&agent(&old, &management)), Some(321));
    assert_eq!(left_by_lifeboat(&old), "");

    // The gossip keys are others: made anew, as an agent does that finds none.
    let other = gossip_key();
    old.exec_with(
        &format!("read -r k; systemctl stop consul; rm {DATA}/serf/*.keyring; sed -i \"s|^encrypt = .*|encrypt = \\\"$k\\\"|\" /etc/consul.d/consul.hcl"),
        format!("{other}\n").as_bytes(),
    )
    .ok();
    start_consul(&old);
    let ring = || consul_cli(&old, &management, "keyring -list").ok();
    assert!(ring().contains(&other) && !ring().contains(&key));
    restore(&console, "keyrings", "val-1", &["--confirm", "overwrite=val-1"]).expect(0).says("restored and proven");
    assert!(ring().contains(&key) && !ring().contains(&other));
    assert_eq!(left_by_lifeboat(&old), "");
    console.run(&["list"]).expect(0).says("proven");

    // A configuration with which no agent starts is never left in place.
    old.exec("echo 'no such key = 1' >>/etc/consul.d/consul.hcl").ok();
    console.run(&["backup", "val-1/consul/agent-config"]).expect(0);
    old.exec("sed -i '$d' /etc/consul.d/consul.hcl && consul validate /etc/consul.d").ok();
    let before = listing(&old, "/etc/consul.d");
    let latest = "val-1/consul/agent-config@latest";
    let refused = console.run(&["restore", latest, "--to", "val-1", "--confirm", "overwrite=val-1"]).expect(1);
    // It dies within a second of its start or a moment later, so its start notices or the look at the agent does.
    let noticed = [
        "consul.service is failed after its start",
        "consul.service is down again after its start",
        "The agent on val-1 was not accepted",
    ];
    assert!(noticed.iter().any(|why| refused.err.contains(why)), "{}", refused.err);
    refused.says("Everything is as it was.");
    assert_eq!(listing(&old, "/etc/consul.d"), before);
    assert_eq!(in_use(&agent(&old, &management)), Some(321));
    assert_eq!(left_by_lifeboat(&old), "");
}

#[test]
fn a_node_id_moves_to_a_new_machine_and_is_never_two() {
    let secrets = tempfile::tempdir().unwrap();
    let token_file = secrets.path().join("token");
    write_secret(&token_file, "not yet");
    let Stage { console, old, spare } = stage(&token_file);
    let management = install_consul(&old, &consul::Options::default()).expect("ACLs are on");
    write_secret(&token_file, &management);
    let identity = node_id(&old);
    assert_eq!(agent(&old, &management)["Config"]["NodeID"], identity.as_str());
    console.run(&["backup", "val-1/consul/node-identity"]).expect(0);

    // A blank agent: installed, never started, so it has neither a node-id nor a server's state.
    install_consul(&spare, &consul::Options { start: false, ..consul::Options::default() });
    let before = listing(&spare, DATA);
    for confirm in [&["--confirm", "overwrite=spare-1"][..], &["--confirm", "fenced-val-1=val-1"], &[]] {
        restore(&console, "node-identity", "spare-1", confirm).expect(17).says(&identity).says("val-1");
    }
    assert_eq!(listing(&spare, DATA), before);
    assert_eq!(left_by_lifeboat(&spare) + &left_by_lifeboat(&old), "");
    assert_eq!(agent(&old, &management)["Config"]["NodeID"], identity.as_str());
    old.destroy();

    restore(&console, "node-identity", "spare-1", &["--no-input"]).expect(15).says("fenced-val-1").says("overwrite");
    let confirm = ["--confirm", "fenced-val-1=val-1", "--confirm", "overwrite=spare-1"];
    restore(&console, "node-identity", "spare-1", &confirm).expect(0).says("restored and proven");
    assert_eq!(node_id(&spare), identity);
    let token = consul_bootstrap(&spare);
    assert_eq!(agent(&spare, &token)["Config"]["NodeID"], identity.as_str(), "the agent runs with it");
    assert_eq!(spare.exec(&format!("stat -c '%a %U' {DATA}/node-id")).ok(), "600 consul\n");
    assert_eq!(left_by_lifeboat(&spare), "");
    console.run(&["list"]).expect(0).says("proven");
}

#[test]
fn a_datacenter_is_saved_once_and_from_whichever_member_can() {
    let Stage { console, old, spare } = Stage::set(&|_| String::new());
    let inventory = std::fs::read_to_string(console.path("config/inventory.toml")).unwrap();
    let cluster = "[clusters.dc]\nmembers = [\"val-1\", \"spare-1\"]\n[clusters.dc.services.consul]\n";
    console.write_inventory(&(inventory + cluster));
    install_consul(&spare, &consul::Options { acls: false, ..consul::Options::default() });
    consul_put(&spare, None, "app/config", "blue");
    // The member that is asked first is no server: it hands the request on.
    install_consul(&old, &consul::Options { acls: false, start: false, ..consul::Options::default() });
    let client = format!(
        "sed -i -e 's/^server = true/server = false/' -e 's/^bootstrap_expect.*/retry_join = [\"{}\"]/' -e '/^autopilot/,/^}}/d' /etc/consul.d/consul.hcl",
        spare.address()
    );
    old.exec(&client).ok();
    start_consul(&old);

    let snapshot = "dc/consul/snapshot";
    let from = |what: &str, member: &str| {
        console.run(&["backup", "dc"]).expect(0).says(&format!("{snapshot}@"));
        let copies: Vec<_> = files_below(&console.path("vault").join(snapshot));
        let copies: Vec<_> = copies.into_iter().filter(|path| path.ends_with("manifest.json")).collect();
        let manifest: Value = serde_json::from_slice(&std::fs::read(copies.last().unwrap()).unwrap()).unwrap();
        assert_eq!(manifest["source"]["host"], member, "{what}");
        copies.len()
    };
    assert_eq!(from("both are well", "val-1"), 1);
    old.exec("systemctl stop consul").ok();
    assert_eq!(from("the first is down", "spare-1"), 2);
    old.destroy();
    assert_eq!(from("the first is gone", "spare-1"), 3);
    let now = consul_all(&spare, None);
    consul_put(&spare, None, "app/config", "green");
    console.run(&["restore", snapshot, "--to", "spare-1", "--confirm", "overwrite=dc1"]).expect(0);
    assert_eq!(consul_all(&spare, None), now);
    console.run(&["verify", "dc"]).expect(0);
    assert_eq!(left_by_lifeboat(&spare), "");
}
