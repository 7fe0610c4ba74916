//! What the inventory says of a service and its vault, where it is not what it was when a copy was made.

use std::path::Path;

use super::room::call;
use crate::sandbox::Node;

const PROGRAM: &str = "stub/lifeboat";

/// A node that is its own console, with one tree; `vault` and `entry` are lines of its inventory.
fn node(vault: &str, name: &str, entry: &str) -> Node {
    let node = Node::blank();
    node.bind_program(Path::new(env!("CARGO_BIN_EXE_lifeboat")), PROGRAM);
    std::fs::create_dir_all(node.path("srv/config")).unwrap();
    std::fs::create_dir_all(node.path("srv/app")).unwrap();
    std::fs::write(node.path("srv/app/file"), "saved").unwrap();
    inventory(&node, vault, name, entry);
    node
}

fn inventory(node: &Node, vault: &str, name: &str, entry: &str) {
    let text = format!(
        "version = 1\n[vault]\npath = \"/srv/vault\"\n{vault}\n[hosts.here]\ntransport = \"local\"\nbecome = \"none\"\n\
         [hosts.here.services.{name}]\nkind = \"files\"\npaths = [\"/srv/app\"]\n{entry}\n"
    );
    std::fs::write(node.path("srv/config/inventory.toml"), text).unwrap();
}

#[test]
fn a_service_is_locked_by_the_name_it_has_where_it_is_restored() {
    let clear = "allow_plaintext = true";
    let node = node(clear, "app", "secret = false");
    call(&node, &["init"]).expect(0);
    call(&node, &["backup", "all"]).expect(0);
    inventory(&node, clear, "web", "secret = false\naccept = \"ls /var/lib/lifeboat/locks >/srv/locks\"");
    call(&node, &["restore", "here/app/tree", "--to", "here", "--confirm", "overwrite=here"]).expect(0);
    assert_eq!(std::fs::read_to_string(node.path("srv/locks")).unwrap(), "web\n");
    assert!(!node.path("var/lib/lifeboat/locks/web").exists(), "the lock is given back");
}

#[test]
fn a_vault_that_was_made_with_keys_is_sealed_to_them_whoever_forgets_to_name_them() {
    let node = node("", "app", "secret = false");
    let said = call(&node, &["keygen", "/srv/key.txt"]).expect(0).out;
    let public = said.split_whitespace().find(|word| word.starts_with("age1")).unwrap();
    inventory(&node, &format!("recipients = [\"{public}\"]"), "app", "secret = false");
    call(&node, &["init"]).expect(0);
    for (vault, entry) in [("", "secret = false"), ("allow_plaintext = true", "secret = true")] {
        node.run("rm -rf /srv/vault/here");
        inventory(&node, vault, "app", entry);
        call(&node, &["backup", "all"]).expect(0);
        let stored = node.run("cd /srv/vault/here/app/tree/* && ls && cat manifest.json && head -n 1 tree*");
        assert!(stored.contains(".age\n") && stored.contains(public), "{vault}: {stored}");
        assert!(stored.contains("age-encryption.org/v1"), "{vault}: it lies there in clear");
    }
}
