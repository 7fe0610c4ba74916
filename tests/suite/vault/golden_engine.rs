//! A golden vault that the engine made: a tree, a staking identity and a datacenter's snapshot off sandboxed nodes, and a
//! finished restore. `LIFEBOAT_BLESS=1` makes it anew, with keys that are thrown away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lifeboat::engine::scan::wanted_of;
use lifeboat::model::ids::HostId;

use crate::sandbox::bench::{Fleet, World};
use crate::sandbox::fixtures::{FIXTURES, Fixture};
use crate::sandbox::matrix::{answers, laid};
use crate::support::console::Console;

/// What is in it: fixture and item.
const HELD: [(&str, &str); 3] =
    [("files held by their unit", "tree"), ("avalanchego", "staking-identity"), ("consul", "snapshot")];
const KEY: &str = "test-only-key-never-use.txt";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vault/v1-engine")
}

fn known(name: &str) -> &'static dyn Fixture {
    *FIXTURES.iter().find(|known| known.name() == name).unwrap()
}

fn bless(root: &Path) {
    let _ = fs::remove_dir_all(root);
    fs::create_dir_all(root).unwrap();
    let world = World::new();
    for (name, item) in HELD {
        let node = laid(known(name), true);
        world.with(0, &Fleet::sound(known(name), &[("val-1", &node)]), |runs, prober| {
            let found = prober.probe(&wanted_of(prober.inventory)[0]).unwrap();
            let place = found.place(&item.parse().unwrap());
            let planned = prober.plan_backup(&place, None, &BTreeMap::default()).unwrap();
            runs.run(&planned, None, &answers(&planned.plan)).unwrap();
        });
    }
    let (tree, node) = (known(HELD[0].0), laid(known(HELD[0].0), false));
    let all = world.vault.catalogue().unwrap().snapshots;
    let copy = all.into_iter().find(|copy| copy.manifest().kind == tree.kind()).unwrap();
    world.with(0, &Fleet::sound(tree, &[("val-1", &node)]), |runs, prober| {
        let to = HostId::new("val-1").unwrap();
        let planned = prober.plan_restore(&world.vault, copy.manifest(), &to, &BTreeMap::default()).unwrap();
        runs.run(&planned, Some(copy.clone()), &answers(&planned.plan)).unwrap();
    });
    world.vault.save_companion("inventory.toml", b"version = 1\n", &lifeboat::engine::world::SystemEntropy).unwrap();
    super::image(world.vault.root(), &root.join("vault"));
    for hidden in [".staging", ".leases"] {
        let _ = fs::remove_dir_all(root.join("vault").join(hidden));
    }
    fs::copy(&world.key_file, root.join(KEY)).unwrap();
}

/// A console whose vault is a copy of it, with the modes that no version control system keeps.
fn console() -> Console {
    let console = Console::new();
    super::image(&fixture(), &console.path("golden"));
    for entry in walkdir::WalkDir::new(console.path("golden")) {
        let entry = entry.unwrap();
        let mode = if entry.file_type().is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)).unwrap();
    }
    let vault = fs::read_to_string(console.path("golden/vault/vault.json")).unwrap();
    let vault: serde_json::Value = serde_json::from_str(&vault).unwrap();
    console.write_inventory(&format!(
        "version = 1\n[vault]\npath = \"{}\"\nid = {}\nrecipients = [{}]\nidentities = [\"{}\"]\n",
        console.path("golden/vault").display(),
        vault["id"],
        vault["recipients"][0],
        console.path("golden").join(KEY).display(),
    ));
    console
}

#[test]
fn a_vault_that_the_engine_made_is_listed_shown_verified_and_told() {
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        bless(&fixture());
    }
    let console = console();
    let listed = console.run(&["list"]).expect(0);
    assert!(!listed.err.contains("finding"), "{}", listed.err);
    let held = ["avalanchego/staking-identity", "consul/snapshot", "files/tree"];
    for item in held {
        assert!(listed.out.contains(&format!("val-1/{item}@")), "{}", listed.out);
    }
    let shown = console.run(&["show", "val-1/avalanchego/staking-identity"]).expect(0);
    shown.says("NodeID-").says("staker.key.age").says("verified");
    console.run(&["show", "val-1/consul/snapshot"]).expect(0).says("dc1").says("state.snap");
    console.run(&["show", "val-1/files/tree"]).expect(0).says("proven").says("by stopping app.service");
    let verified = console.run(&["--read-only", "verify"]).expect(0);
    assert_eq!(verified.out.lines().filter(|line| line.starts_with("verified  ")).count(), held.len(), "{verified:?}");
    assert!(!verified.err.contains("note:") && !verified.err.contains("finding"), "{verified:?}");
    let told = console.run(&["--json", "runs"]).expect(0).documents();
    let runs: Vec<_> = told.iter().filter(|one| one["kind"] == "run").collect();
    assert_eq!(runs.len(), 4, "{told:#?}");
    assert!(runs.iter().all(|run| run["ended"] == "done" && run["receipt"].is_number()), "{runs:#?}");
    let restore = runs.iter().find(|run| run["command"].to_string().contains("estore")).unwrap();
    let told = console.run(&["runs", restore["run"].as_str().unwrap()]).expect(0);
    told.says("confirmed overwrite=val-1").says("done     swap").says("kept on val-1: ");
}
