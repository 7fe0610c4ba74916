//! Two real validators with the same keys: a scan says so as long as both run, and not before or after.

use super::avalanchego::{DATA, Identity, avalanche_node_id, start_avalanchego};
use super::faults::{DECLARED, STAKING, avalanche, fresh_validator, restore_to_spare};
use super::machine::Machine;
use super::story::Stage;
use crate::support::console::Console;

/// Gives a machine the keys of another one, and starts it with them.
fn clone_keys(from: &Machine, to: &Machine) -> Identity {
    to.exec("systemctl stop avalanchego").ok();
    for name in ["staker.crt", "staker.key", "signer.key"] {
        let file = format!("{DATA}/staking/{name}");
        to.exec(&format!("rm -f {file}")).ok();
        to.copy_in(&from.path(&file), &file, 0o400);
        to.exec(&format!("chown avax:avax {file}")).ok();
    }
    start_avalanchego(to)
}

fn says_twin(console: &Console, identity: &Identity) {
    let told = format!("finding: {} runs on spare-1 and on val-1.", identity.node_id);
    let scan = console.run(&["scan"]).expect(5).says(&told).says("docs/services/avalanchego.md, Twins");
    assert_eq!(scan.out.matches("finding: ").count(), 1, "{}", scan.out);
    let documents = console.run(&["--json", "scan"]).expect(5).documents();
    let finding = documents.iter().find(|document| document["kind"] == "finding").unwrap();
    let values: Vec<_> = finding["identities"].as_array().unwrap().iter().map(|one| one["value"].clone()).collect();
    assert_eq!(values, [identity.node_id.as_str(), identity.public_key.as_str()]);
    let hosts: Vec<_> = finding["places"].as_array().unwrap().iter().map(|place| place["host"].clone()).collect();
    assert_eq!(hosts, ["spare-1", "val-1"]);
    assert_eq!((&finding["level"], &finding["same_start"]), (&"critical".into(), &false.into()));
}

fn says_none(console: &Console) {
    let scan = console.run(&["scan"]).expect(0);
    assert!(!scan.out.contains("finding"), "{}", scan.out);
}

#[test]
fn a_scan_names_both_hosts_of_an_identity_that_runs_twice() {
    let Stage { console, old, spare } = Stage::set(&avalanche);
    let identity = fresh_validator(&old);
    let own = fresh_validator(&spare);
    assert_ne!(own, identity);
    says_none(&console);
    console.run(&["backup", STAKING]).expect(0);

    assert_eq!(clone_keys(&old, &spare), identity);
    says_twin(&console, &identity);
    // One host by itself is no twin, and a copy of one is made; it is said where both were looked at.
    console.run(&["scan", "val-1"]).expect(0);
    let both = [STAKING, "spare-1/avalanchego/staking-identity"];
    let expects = "expect: The same identity also runs on spare-1 (looked at just now).";
    console.run(&["backup", both[0], both[1]]).expect(0).says(expects).says("spare-1/avalanchego/staking-identity@");

    // Stopped, or kept from starting, it is none; started again, it is.
    spare.exec("systemctl stop avalanchego").ok();
    says_none(&console);
    spare.exec("systemctl disable --quiet avalanchego; systemctl mask --runtime avalanchego").ok();
    says_none(&console);
    spare.exec("systemctl unmask --runtime avalanchego; systemctl daemon-reload").ok();
    start_avalanchego(&spare);
    says_twin(&console, &identity);
}

#[test]
fn a_host_that_was_declared_gone_and_comes_back_is_a_finding() {
    let Stage { console, old, spare } = Stage::set(&avalanche);
    let identity = fresh_validator(&old);
    fresh_validator(&spare);
    console.run(&["backup", STAKING]).expect(0);
    old.link_down();
    console.run(&restore_to_spare(&DECLARED)).expect(0);
    assert_eq!(avalanche_node_id(&spare), identity);
    console.run(&["scan", "spare-1"]).expect(0);
    // A host that does not answer is told as such, and is no twin.
    let scan = console.run(&["scan"]).expect(3);
    assert!(!scan.out.contains("finding"), "{}", scan.out);
    old.link_up();
    says_twin(&console, &identity);
}
