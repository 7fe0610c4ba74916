//! What is said before a backup: what may not fit on the vault's disk, with figures, and what is not copied at all.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::sandbox::fixtures::FIXTURES;
use crate::sandbox::{Node, PATH};
use crate::support::console::Ended;

const PROGRAM: &str = "stub/lifeboat";
const ITEM: &str = "here/big/tree";

/// A node that is its own console, with a vault on a disk of four mebibytes and a unit that is stopped for its copies.
fn crowded(compress: &str) -> Node {
    let node = Node::new("app.service", true);
    node.bind_program(Path::new(env!("CARGO_BIN_EXE_lifeboat")), PROGRAM);
    node.run(
        "mkdir -p /srv/config /srv/small /srv/big /srv/other && mount -t tmpfs -o size=4m,mode=0700 tmpfs /srv/small",
    );
    let mut inventory = "version = 1\n[vault]\npath = \"/srv/small/vault\"\nallow_plaintext = true\n\
                         [hosts.here]\ntransport = \"local\"\nbecome = \"none\"\n"
        .to_owned();
    for name in ["big", "other"] {
        inventory += &format!(
            "[hosts.here.services.{name}]\nkind = \"files\"\npaths = [\"/srv/{name}\"]\nsecret = false\n\
             unit = \"app.service\"\nquiesce = \"stop\"\ncompress = \"{compress}\"\n"
        );
    }
    std::fs::write(node.path("srv/config/inventory.toml"), inventory).unwrap();
    call(&node, &["init"]).expect(0);
    node
}

pub fn call(node: &Node, args: &[&str]) -> Ended {
    let prefix = node.prefix();
    let mut command = Command::new(&prefix[0]);
    command.args(&prefix[1..]).arg(format!("/{PROGRAM}")).args(args).env_clear().stdin(Stdio::null());
    command.env("HOME", "/srv").env("LIFEBOAT_CONFIG_DIR", "/srv/config").env("LIFEBOAT_DATA_DIR", "/srv/data");
    let output = command.env("PATH", PATH).output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

const WARNING: &str = "it may not fit";

#[test]
fn what_may_not_fit_is_told_with_figures_and_fails_whole() {
    let node = crowded("none");
    node.run("head -c 8388608 /dev/urandom >/srv/big/file; echo small >/srv/other/file");
    let planned = call(&node, &["backup", ITEM, "--plan"]).expect(0);
    assert!(
        planned.out.contains("about 8.00 MiB are copied and the vault's disk has ") && planned.out.contains(WARNING)
    );
    assert!(!call(&node, &["backup", "here/other/tree", "--plan"]).expect(0).out.contains(WARNING));
    call(&node, &["backup", ITEM]).expect(18).says(WARNING);
    assert!(node.is_running("app.service"));
    assert_eq!(node.run("find /srv/small/vault -name manifest.json; ls -A /srv/small/vault/.staging"), "");
    call(&node, &["backup", "here/other/tree"]).expect(0);
}

#[test]
fn what_fits_once_it_is_compressed_is_not_refused() {
    let node = crowded("gzip");
    node.run("head -c 8388608 /dev/zero >/srv/big/file");
    call(&node, &["backup", ITEM]).expect(0).says(WARNING).says("verified");
}

#[test]
fn copies_that_fit_one_by_one_and_not_together_are_told() {
    let node = crowded("none");
    node.run("for d in big other; do head -c 2621440 /dev/urandom >/srv/$d/file; done");
    let planned = call(&node, &["backup", "all", "--plan"]).expect(0);
    assert!(!planned.out.contains(WARNING), "{}", planned.out);
    assert!(planned.err.contains("warning: together about 5.00 MiB are copied"), "{}", planned.err);
}

/// What nobody asked for is told as such and fails nothing; named by itself it is why nothing was done.
#[test]
fn what_was_not_asked_for_is_told_as_skipped_and_fails_nothing() {
    let node = Node::blank();
    let fixture = FIXTURES.iter().find(|fixture| fixture.name() == "avalanchego").unwrap();
    fixture.lay(&node, true);
    node.bind_program(Path::new(env!("CARGO_BIN_EXE_lifeboat")), PROGRAM);
    node.run("mkdir -p /srv/config");
    let inventory = "version = 1\n[vault]\npath = \"/srv/vault\"\nallow_plaintext = true\n\
                     [hosts.here]\ntransport = \"local\"\nbecome = \"none\"\n[hosts.here.services.avalanchego]\n\
                     data_dir = \"/home/avax/.avalanchego\"\nconfig_file = \"/etc/avalanchego/node.json\"\n";
    std::fs::write(node.path("srv/config/inventory.toml"), inventory).unwrap();
    call(&node, &["init"]).expect(0);
    let skipped = |args: &[&str], code| {
        let ended = call(&node, args).expect(code);
        let documents = ended.documents().into_iter().filter(|document| document["kind"] == "skipped");
        let told = documents.map(|one| (one["item"]["item"].as_str().unwrap().to_owned(), one["failed"] == true));
        (told.collect::<Vec<_>>(), ended)
    };
    let (told, ended) = skipped(&["--json", "backup", "all"], 0);
    assert_eq!(told, [("plugins".to_owned(), false), ("db".to_owned(), false)], "{}", ended.out);
    assert!(ended.out.contains("not_asked") && ended.out.contains("Set plugins = true"), "{}", ended.out);
    let (told, _) = skipped(&["--json", "backup", "here/avalanchego/plugins"], 7);
    assert_eq!(told, [("plugins".to_owned(), true)]);
    call(&node, &["backup", "all"]).expect(0).says("here/avalanchego/db: not backed up: It was not asked for");
}

#[test]
fn a_disk_without_room_for_the_journal_ends_the_run_before_anything_is_stopped() {
    let node = crowded("none");
    node.run("echo small >/srv/other/file; head -c 16777216 /dev/zero >/srv/small/filler 2>/dev/null; true");
    call(&node, &["backup", "here/other/tree"]).expect(18);
    let stops = node.run("grep -c 'stop app.service' /stub/log || :");
    assert_eq!((stops.trim(), node.is_running("app.service"), node.leftovers().as_str()), ("0", true, ""));
    assert_eq!(node.run("ls -A /srv/small/vault/runs"), "", "a run that never began is not listed");
}
