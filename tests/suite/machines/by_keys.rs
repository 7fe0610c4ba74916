//! The console itself over booted machines: the real program at a terminal, and nothing but keys.

use std::time::Duration;

use super::avalanchego::{self, avalanche_node_id, install_avalanchego, start_avalanchego};
use super::story::Stage;
use crate::support::operator::{answer_every_question, choose_target, go_to_host, go_to_item};
use crate::support::pty::Start;

#[test]
fn a_lost_validator_is_restored_through_the_wizard_by_keys_alone() {
    let services = |machine: &super::machine::Machine| format!("[hosts.{}.services.avalanchego]\n", machine.name());
    let Stage { console, old, spare } = Stage::set(&services);
    install_avalanchego(&old, &avalanchego::Options::default());
    let identity = start_avalanchego(&old);
    // Nothing answers any more, and the copy is the one that brings the validator back.
    old.exec("systemctl stop avalanchego").ok();
    let saved = console.run(&["backup", "val-1/avalanchego/staking-identity"]).expect(0);
    saved.says("not compared with the running node: its API did not answer");
    console.run(&["verify", "val-1/avalanchego"]).expect(0).says("verified");
    old.destroy();
    install_avalanchego(&spare, &avalanchego::Options::default());
    let fresh = start_avalanchego(&spare);
    assert_ne!(fresh, identity);

    let mut pty = Start::lifeboat(&console, &[]).size(120, 40).patience(Duration::from_mins(3)).go();
    pty.read("val-1");
    go_to_host(&mut pty, "val-1");
    go_to_item(&mut pty, "val-1/avalanchego/staking-identity");
    pty.send("r");
    choose_target(&mut pty, "spare-1");
    assert_eq!(avalanche_node_id(&spare), fresh, "a preview changes nothing");
    // The lost host cannot be asked, so its loss is declared; the address in the configuration is confirmed, and that
    // the identity the spare has made for itself goes.
    assert_eq!(answer_every_question(&mut pty), ["val-1", "127.0.0.1", "spare-1"]);
    let page = pty.read("Proven: what runs now is what was saved.");
    assert!(page.contains("signed by this console"), "{page}");
    let told = |label: &str| {
        let line = page.lines().find_map(|line| line.trim_start_matches(['│', ' ']).strip_prefix(label));
        line.and_then(|rest| rest.split([' ', ',']).find(|word| !word.is_empty()))
            .unwrap_or_else(|| panic!("{page}"))
            .to_owned()
    };
    let (run, receipt) = (told("run "), told("receipt "));
    assert_eq!(avalanche_node_id(&spare), identity, "the node itself says who it is");

    // A look at the machine itself: the real ssh, by the keys and the host key that Lifeboat connects with.
    pty.send("F");
    pty.read("┌ Fleet");
    go_to_host(&mut pty, "spare-1");
    pty.send("s");
    pty.wait_for("(lifeboat spare-1) ");
    pty.send("echo \"$(id -un) on $(hostname), terminal $(tput cols) by $(tput lines)\"\r");
    pty.wait_for("ops on spare-1, terminal 120 by 40");
    pty.send("exit\r");
    pty.wait_for("Back from spare-1");
    assert!(!pty.is_cooked());
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);

    // The command line knows the same run by the same receipt.
    console.run(&["runs", &run]).expect(0).says(&format!("done, receipt {receipt}"));
    let signed = std::fs::read_to_string(console.path(&format!("vault/runs/{run}/receipt.json"))).unwrap();
    assert!(signed.contains("fenced-val-1"), "what was declared is signed: {signed}");
    console.run(&["list"]).expect(0).says("proven");
}
