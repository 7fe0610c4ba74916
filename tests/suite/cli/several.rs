//! Several things at once: nothing is changed before everything was asked, and what was done is told apart from what was
//! not.

use std::path::Path;

use super::room::call;
use crate::sandbox::Node;
use crate::support::console::Ended;

const PROGRAM: &str = "stub/lifeboat";
const TREES: [&str; 2] = ["here/first/tree", "here/second/tree"];

/// A node that is its own console, with two trees that were copied.
pub fn two_trees() -> Node {
    let node = Node::blank();
    node.bind_program(Path::new(env!("CARGO_BIN_EXE_lifeboat")), PROGRAM);
    std::fs::create_dir_all(node.path("srv/config")).unwrap();
    let mut inventory = "version = 1\n[vault]\npath = \"/srv/vault\"\nallow_plaintext = true\n\
                         [hosts.here]\ntransport = \"local\"\nbecome = \"none\"\n"
        .to_owned();
    for name in ["first", "second"] {
        std::fs::create_dir_all(node.path(&format!("srv/{name}"))).unwrap();
        std::fs::write(node.path(&format!("srv/{name}/file")), "saved").unwrap();
        inventory +=
            &format!("[hosts.here.services.{name}]\nkind = \"files\"\npaths = [\"/srv/{name}\"]\nsecret = false\n");
    }
    std::fs::write(node.path("srv/config/inventory.toml"), inventory).unwrap();
    call(&node, &["init"]).expect(0);
    call(&node, &["backup", "all"]).expect(0);
    node
}

fn inventory_gets(node: &Node, line: &str) {
    let path = node.path("srv/config/inventory.toml");
    let text = std::fs::read_to_string(&path).unwrap() + line;
    std::fs::write(path, text).unwrap();
}

fn restore(node: &Node, more: &[&str]) -> Ended {
    call(node, &[&["restore", TREES[0], TREES[1], "--to", "here"][..], more].concat())
}

fn first(node: &Node) -> Option<String> {
    std::fs::read_to_string(node.path("srv/first/file")).ok()
}

const OVERWRITE: [&str; 2] = ["--confirm", "overwrite=here"];

#[test]
fn a_question_about_the_last_is_asked_before_the_first_is_restored() {
    let node = two_trees();
    // Nothing is there of the first, so nothing is asked of it.
    node.run("rm -r /srv/first");
    let ended = restore(&node, &[]).expect(15);
    assert!(ended.err.contains("Nothing was changed") && ended.err.contains("overwrite=here"), "{}", ended.err);
    assert_eq!((first(&node), node.leftovers().as_str()), (None, ""), "it was restored before all was asked");
    let planned = restore(&node, &["--plan"]).expect(0);
    assert_eq!(planned.out.matches("  plan ").count(), 2, "{}", planned.out);
    restore(&node, &OVERWRITE).expect(0);
    assert_eq!(first(&node).as_deref(), Some("saved"));
    // What cannot be restored at all is known before, too.
    node.run("rm -r /srv/first");
    call(&node, &["restore", TREES[0], "here/third/tree", "--to", "here"]).expect(7);
    assert_eq!(first(&node), None);
}

#[test]
fn one_that_fails_after_another_was_restored_is_partly_done_and_says_so() {
    let node = two_trees();
    inventory_gets(&node, "accept = \"test ! -e /srv/second/file\"\n");
    std::fs::write(node.path("srv/first/file"), "changed since").unwrap();
    std::fs::write(node.path("srv/second/file"), "changed since").unwrap();
    let ended = restore(&node, &OVERWRITE).expect(3);
    assert_eq!(first(&node).as_deref(), Some("saved"));
    assert_eq!(std::fs::read_to_string(node.path("srv/second/file")).unwrap(), "changed since");
    for told in [TREES[1], "Everything is as it was.", &format!("Restored before it, and left so: {}.", TREES[0])] {
        assert!(ended.err.contains(told), "'{told}' is not in\n{}", ended.err);
    }
    // The first that fails ends the command: what comes after it is named.
    let turned = [&["restore", TREES[1], TREES[0], "--to", "here"][..], &OVERWRITE].concat();
    std::fs::write(node.path("srv/first/file"), "changed since").unwrap();
    let ended = call(&node, &turned).expect(1);
    assert!(ended.err.contains(&format!("Not begun: {}.", TREES[0])), "{}", ended.err);
    assert_eq!(first(&node).as_deref(), Some("changed since"));
}

/// What comes first may be what the next one needs: then that one is planned in its turn.
#[test]
fn what_only_the_first_makes_possible_is_planned_after_it() {
    let node = two_trees();
    // A mount point cannot be replaced by rename; the first's own command takes the mount away.
    node.run("mount -t tmpfs tmpfs /srv/second && echo mounted >/srv/second/file");
    let inventory = std::fs::read_to_string(node.path("srv/config/inventory.toml")).unwrap();
    let accepted = inventory.replacen(
        "paths = [\"/srv/first\"]\n",
        "paths = [\"/srv/first\"]\naccept = \"umount /srv/second\"\n",
        1,
    );
    std::fs::write(node.path("srv/config/inventory.toml"), accepted).unwrap();
    call(&node, &["restore", TREES[1], "--to", "here"]).expect(1).says("is a mount point");
    let ended = restore(&node, &OVERWRITE).expect(0);
    assert!(ended.out.contains(&format!("{} is planned when it is its turn: /srv/second is a mount point", TREES[1])));
    assert_eq!(node.run("cat /srv/second/file"), "saved");
}

#[test]
fn what_a_rebuild_needs_and_cannot_be_kept_leaves_the_copies_good() {
    let node = two_trees();
    node.run("rm -f /srv/data/known_hosts && mkdir /srv/data/known_hosts");
    let ended = call(&node, &["backup", "all"]).expect(3);
    assert!(
        ended.err.contains("known_hosts cannot be read") && ended.err.contains("The copies are in the vault"),
        "{ended:?}"
    );
    assert_eq!(call(&node, &["verify"]).expect(0).out.lines().filter(|line| line.starts_with("verified")).count(), 4);
}

#[test]
fn a_run_that_cannot_be_read_is_told_to_programs_too() {
    let node = two_trees();
    let runs = node.run("ls /srv/vault/runs");
    let (whole, broken) = runs.trim().split_once('\n').unwrap();
    let journal = node.path(&format!("srv/vault/runs/{broken}/journal.jsonl"));
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("\"seq\":0", "\"seq\":7", 1)).unwrap();
    let ended = call(&node, &["--json", "runs"]).expect(14);
    let documents = ended.documents();
    let of = |kind: &str| {
        documents.iter().filter(|one| one["kind"] == kind).map(|one| one["run"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((of("run"), of("failure")), (vec![whole.into()], vec![broken.into()]));
    call(&node, &["runs"]).expect(14).says(whole).says(broken);
}

#[test]
fn what_cannot_be_purged_on_one_host_keeps_no_other_from_it() {
    let node = two_trees();
    // Both hosts are this node, so each of them lists the same.
    let inventory = std::fs::read_to_string(node.path("srv/config/inventory.toml")).unwrap();
    let twin = "[hosts.too]\ntransport = \"local\"\nbecome = \"none\"\n";
    std::fs::write(node.path("srv/config/inventory.toml"), inventory + twin).unwrap();
    call(&node, &["restore", TREES[0], "--to", "here", "--confirm", "overwrite=here"]).expect(0);
    node.run("mount -t tmpfs tmpfs /srv/.first.lifeboat-*.kept");
    let purge = ["kept", "--purge", "--confirm", "purge-here=here", "--confirm", "purge-too=too"];
    let ended = call(&node, &purge).expect(1);
    for host in ["here", "too"] {
        assert!(ended.err.contains(&format!("See what is still kept there: lifeboat kept {host}")), "{}", ended.err);
    }
    node.run("umount /srv/.first.lifeboat-*.kept");
    call(&node, &purge).expect(0);
    assert_eq!(node.leftovers(), "");
}

#[test]
fn a_vault_that_is_not_there_is_told_by_doctor_and_fails_no_node() {
    let node = two_trees();
    node.run("mv /srv/vault /srv/elsewhere");
    let ended = call(&node, &["doctor"]);
    assert!(
        ended.err.contains("There is no vault at '/srv/vault'") && ended.err.contains("Mount the disk"),
        "{ended:?}"
    );
    node.run("mv /srv/elsewhere /srv/vault");
    assert_eq!(call(&node, &["doctor"]).code, ended.code, "it changes nothing of what is said of the nodes");
}
