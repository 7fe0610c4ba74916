//! Validators as each other's witnesses: one that still hears an identity proves it alive.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::avalanchego::{self, avalanche_node_id, install_avalanchego, start_avalanchego};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::{head, host_table};
use crate::support::console::Console;

fn options(machine: &Machine, more: Value) -> avalanchego::Options {
    let mut config = Map::new();
    config.insert("public-ip".to_owned(), json!(machine.address()));
    let Value::Object(more) = more else { unreachable!() };
    config.extend(more);
    avalanchego::Options { config, ..avalanchego::Options::default() }
}

/// How many peers a node has.
fn peers(machine: &Machine) -> usize {
    let asked = r#"curl -sf -m 5 -H 'content-type: application/json' --data '{"jsonrpc":"2.0","id":1,"method":"info.peers"}' http://127.0.0.1:9650/ext/info"#;
    let answer: Value = serde_json::from_str(&machine.exec(asked).stdout).unwrap_or_default();
    answer["result"]["peers"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_validator_that_hears_a_twin_nobody_reaches_stops_its_restore() {
    let fleet = Fleet::shared();
    let machines = ["val-1", "spare-1", "val-2", "val-3"].map(|name| Machine::boot(fleet, name));
    let [lost, spare, witness, other] = &machines;
    let console = Console::new();
    let mut inventory = head(&console, &console.keygen());
    for machine in &machines {
        let service = format!("[hosts.{}.services.avalanchego]\n", machine.name());
        inventory += &host_table(fleet, machine, "ops", &service);
    }
    console.write_inventory(&inventory);
    console.run(&["init"]).expect(0);
    for machine in &machines {
        console.run(&["enroll", machine.name(), "--fingerprint", &machine.host_key_fingerprint()]).expect(0);
    }
    install_avalanchego(lost, &options(lost, json!({})));
    let identity = avalanche_node_id(lost);
    // The witness and another one know the lost one by its address, as every validator knows those of the network.
    let known = json!({"bootstrap-ips": format!("{}:9651", lost.address()), "bootstrap-ids": identity.node_id});
    install_avalanchego(witness, &options(witness, known));
    let both = json!({
        "bootstrap-ips": format!("{}:9651,{}:9651", lost.address(), witness.address()),
        "bootstrap-ids": format!("{},{}", identity.node_id, avalanche_node_id(witness).node_id),
    });
    install_avalanchego(other, &options(other, both));
    let met = wait_for(Duration::from_mins(1), || (peers(witness) == 2 && peers(lost) == 2).then_some(()));
    assert!(
        met.is_some(),
        "they never met\n{}",
        witness.exec("journalctl -u avalanchego --no-pager | tail -n 40").stdout
    );
    console.run(&["backup", "val-1/avalanchego/staking-identity"]).expect(0);
    install_avalanchego(spare, &options(spare, json!({})));
    let fresh = start_avalanchego(spare);

    // Nobody logs in to it any more, but it validates: a declaration does not count against being heard.
    lost.exec("systemctl stop ssh.socket ssh").ok();
    let address = format!("public-ip={}", spare.address());
    let restore = [
        "restore",
        "val-1/avalanchego/staking-identity",
        "--to",
        "spare-1",
        "--confirm",
        "fenced-val-1=val-1",
        "--confirm",
        "overwrite=spare-1",
        "--confirm",
        &address,
    ];
    let refused = console.run(&restore).expect(17);
    refused.says("hears the identity").says(&identity.node_id);
    assert_eq!(avalanche_node_id(spare), fresh, "nothing was started");

    // It is gone, and they hear it no more. That is shown, and the operator still declares.
    lost.exec("systemctl kill --signal=SIGKILL avalanchego; systemctl disable --now avalanchego").ok();
    let met = wait_for(Duration::from_mins(2), || (peers(witness) == 1 && peers(other) == 1).then_some(()));
    assert!(met.is_some(), "{} {}", peers(witness), peers(other));
    // A node looks at its own health twice a minute; until then it tells of no peers.
    let healthy =
        |node: &Machine| node.exec("curl -s http://127.0.0.1:9650/ext/health").stdout.contains("\"connectedPeers\":1,");
    let told = wait_for(Duration::from_mins(2), || (healthy(witness) && healthy(other)).then_some(()));
    assert!(told.is_some(), "{}", witness.exec("curl -s http://127.0.0.1:9650/ext/health").stdout);
    let told = "Asked as peers: val-2, val-3; none of them hears this identity now. That does not prove it gone.";
    console.run(&[&restore[..4], &["--plan"]].concat()).expect(0).says(told).says("fenced-val-1");
    console.run(&restore).expect(0);
    assert_eq!(avalanche_node_id(spare), identity);
}
