//! As many paths as an item may have, each of them long: what a node is told takes more room than one word of a command.

use std::path::Path;

use super::room::call;
use crate::sandbox::Node;

const PROGRAM: &str = "stub/lifeboat";
const UNIT: &str = "app.service";

/// Sixty-four paths of two hundred characters.
fn paths() -> Vec<String> {
    (10..74).map(|n| format!("/srv/{0}/{0}{n}", "it's long ".repeat(10).trim_end())).collect()
}

#[test]
fn sixty_four_long_paths_are_saved_restored_rolled_back_and_undone() {
    let node = Node::new(UNIT, true);
    node.bind_program(Path::new(env!("CARGO_BIN_EXE_lifeboat")), PROGRAM);
    let write = |word: &str| {
        for path in paths() {
            let path = node.path(&path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, word).unwrap();
        }
    };
    let all_are = |word: &str| {
        let found: Vec<String> = paths().iter().map(|path| std::fs::read_to_string(node.path(path)).unwrap()).collect();
        assert!(found.iter().all(|found| found == word), "{found:?}");
        assert!(node.is_running(UNIT));
    };
    let inventory = |more: &str| {
        std::fs::create_dir_all(node.path("srv/config")).unwrap();
        let text = format!(
            "version = 1\n[vault]\npath = \"/srv/vault\"\nallow_plaintext = true\n\
             [hosts.here]\ntransport = \"local\"\nbecome = \"none\"\n[hosts.here.services.app]\nkind = \"files\"\n\
             paths = {:?}\nsecret = false\nunit = \"{UNIT}\"\nquiesce = \"stop\"\n{more}\n",
            paths()
        );
        std::fs::write(node.path("srv/config/inventory.toml"), text).unwrap();
    };
    inventory("");
    write("saved");
    call(&node, &["init"]).expect(0);
    call(&node, &["backup", "all"]).expect(0);
    write("newer");
    let restore = ["restore", "here/app/tree", "--to", "here", "--confirm", "overwrite=here"];
    let ended = call(&node, &[&["--json"], &restore[..]].concat()).expect(0);
    all_are("saved");
    let of_run = |document: &serde_json::Value| document["run"].as_str().map(str::to_owned);
    let run = ended.documents().iter().find_map(of_run).expect("the run is named");
    call(&node, &["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
    all_are("newer");
    // What is not accepted is undone as a whole, after the service has started on it.
    inventory("accept = \"false\"");
    call(&node, &restore).expect(1).says("Everything is as it was.");
    all_are("newer");
}
