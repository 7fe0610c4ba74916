//! A validator whose keys are no files: nothing is copied that would not be its identity, and it is said why.

use std::time::Duration;

use serde_json::{Value, json};

use super::avalanchego::{DATA, Identity, try_identity};
use super::faults::{STAKING, avalanche, fresh_validator};
use super::host::wait_for;
use super::machine::Machine;
use super::taken_over::one;
use crate::support::console::Console;

/// Starts the node anew with more keys in its configuration, and gives who it is then; nobody where it does not start.
fn run_with(machine: &Machine, more: &Value, starts: bool) -> Option<Identity> {
    let place = format!("{DATA}/configs/node.json");
    let plain = format!("{place}.plain");
    machine.exec(&format!("systemctl stop avalanchego; [ -e {plain} ] || cp -p {place} {plain}")).ok();
    let mut config: Value = serde_json::from_slice(&std::fs::read(machine.path(&plain)).unwrap()).unwrap();
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    machine.write_as("avax", &place, &config.to_string(), 0o600);
    machine.exec("systemctl start avalanchego").ok();
    starts.then(|| wait_for(Duration::from_mins(1), || try_identity(machine)).expect("it answers"))
}

/// The identity is no item that can be saved, by `scan` and by `backup`, and everything else of the node still is.
fn nothing_to_copy(console: &Console, why: &str) -> String {
    let looked = console.run(&["scan", "val-1"]).expect(0).says(why);
    let refused = console.run(&["backup", STAKING]).expect(7).says(why);
    let rest = console.run(&["backup", "val-1"]).expect(3).says(why).says("val-1/avalanchego/node-config@");
    assert!(!console.path("vault").join(STAKING).exists(), "something was kept");
    [looked, refused, rest].map(|ended| ended.out + &ended.err).concat()
}

#[test]
fn keys_that_stand_inline_are_thrown_away_or_lie_with_a_signer_are_no_item() {
    let (console, machine) = one(&avalanche);
    let identity = fresh_validator(&machine);
    let content = |name: &str| {
        openssl::base64::encode_block(&std::fs::read(machine.path(&format!("{DATA}/staking/{name}"))).unwrap())
    };
    let inline = json!({
        "staking-tls-cert-file-content": content("staker.crt"),
        "staking-tls-key-file-content": content("staker.key"),
        "staking-signer-key-file-content": content("signer.key"),
    });
    machine.exec(&format!("mv {DATA}/staking /root/aside")).ok();
    assert_eq!(run_with(&machine, &inline, true), Some(identity.clone()), "the node takes them from its configuration");
    let said = nothing_to_copy(&console, "the identity stands inline and there is no file to copy");
    for key in inline.as_object().unwrap().values() {
        assert!(!said.contains(key.as_str().unwrap()), "a key was printed");
    }

    // Left-over files of another time are not the identity either.
    machine.exec(&format!("cp -rp /root/aside {DATA}/staking")).ok();
    let throw_away = run_with(&machine, &json!({"staking-ephemeral-cert-enabled": true}), true);
    assert_ne!(throw_away.map(|now| now.node_id), Some(identity.node_id.clone()));
    nothing_to_copy(&console, "the node makes a throw-away identity at every start");
    let throw_away = run_with(&machine, &json!({"staking-ephemeral-signer-enabled": true}), true).unwrap();
    assert_eq!(throw_away.node_id, identity.node_id);
    assert_ne!(throw_away.public_key, identity.public_key);
    nothing_to_copy(&console, "the node makes a throw-away BLS key at every start");
    run_with(&machine, &json!({"staking-rpc-signer-endpoint": "127.0.0.1:1"}), false);
    nothing_to_copy(&console, "the BLS key lies with a remote signer and is not on this host");

    // With its files it is one again.
    assert_eq!(run_with(&machine, &json!({}), true), Some(identity.clone()));
    console.run(&["backup", STAKING]).expect(0);
    console.run(&["show", STAKING]).expect(0).says(&identity.node_id);
}
