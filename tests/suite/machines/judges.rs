//! Consul's own command line as the judge: of what we copied, and of what we read in a file it made.

use std::path::{Path, PathBuf};
use std::process::Command;

use lifeboat::formats::consul_snap::{
    KvDetails, SnapOptions, SnapSummary, read_consul_snap, render_inspect, render_inspect_json,
};
use lifeboat::formats::verifier;
use serde_json::Value;

use super::cards::snapshot_dir;
use super::consul::{self, consul_all, consul_cli, consul_fill, consul_put, install_consul};
use super::machine::Machine;
use super::story::{Stage, write_secret};
use crate::support::console::Console;

/// Keys as operators have them: deep, empty, alone, in other scripts, and enough of them for several records' worth.
fn fill(machine: &Machine, token: &str) {
    for (key, value) in [
        ("alone", "one"),
        ("app/config", "blue"),
        ("app/empty", ""),
        ("app/deep/er/still", "x"),
        ("%E6%97%A5%E6%9C%AC/%F0%9F%9B%9F", "utf-8"),
        ("%3Chtml%3E&amp", "escaped by Go"),
    ] {
        consul_put(machine, Some(token), key, value);
    }
    consul_put(machine, Some(token), "app/large", &"v".repeat(100_000));
    consul_fill(machine, Some(token), "bulk", 3_000);
}

fn read(path: &Path, depth: usize, filter: &str) -> SnapSummary {
    let details = KvDetails { depth, filter: filter.as_bytes().to_vec() };
    let options = SnapOptions { kv_details: Some(details), ..SnapOptions::default() };
    read_consul_snap(std::fs::File::open(path).unwrap(), &options, &mut ()).unwrap()
}

/// Everything `inspect` can say of a file, byte for byte what we say of it.
fn both_say_the_same(machine: &Machine, inside: &str) -> SnapSummary {
    for (flags, depth, filter) in [("", 2, ""), ("-kvdepth=1", 1, ""), ("-kvdepth=4 -kvfilter=app/", 4, "app/")] {
        let ours = read(&machine.path(inside), depth, filter);
        let theirs = machine.exec(&format!("consul snapshot inspect -kvdetails {flags} {inside}")).ok();
        assert_eq!(render_inspect(&ours), theirs, "{flags}");
        let theirs = machine.exec(&format!("consul snapshot inspect -kvdetails {flags} -format=json {inside}")).ok();
        assert_eq!(render_inspect_json(&ours), theirs, "{flags}");
    }
    let ours = read_consul_snap(std::fs::File::open(machine.path(inside)).unwrap(), &SnapOptions::default(), &mut ());
    let ours = ours.unwrap();
    assert_eq!(render_inspect(&ours), machine.exec(&format!("consul snapshot inspect {inside}")).ok());
    ours
}

/// The file of a sealed snapshot, opened as its owner would without the program.
pub(super) fn opened(console: &Console, item: &str) -> PathBuf {
    let sealed = snapshot_dir(console, item).join("state.snap.age");
    let clear = console.path("state.snap");
    let mut age = Command::new("age");
    age.arg("-d").arg("-i").arg(console.path("key.txt")).arg("-o").arg(&clear).arg(sealed);
    assert!(age.status().unwrap().success(), "age opens it");
    clear
}

fn stage(token_file: &Path) -> Stage {
    Stage::set(&|machine| {
        let token = token_file.display();
        format!("[hosts.{}.services.consul]\ntoken = {{ file = \"{token}\" }}\n", machine.name())
    })
}

/// What our own verifier found when the item was backed up.
fn verified(console: &Console, item: &str) -> Value {
    let manifest = std::fs::read(snapshot_dir(console, item).join("manifest.json")).unwrap();
    serde_json::from_slice::<Value>(&manifest).unwrap()["facts"]["verified"].clone()
}

#[test]
fn consul_inspects_and_restores_what_we_copied() {
    let secrets = tempfile::tempdir().unwrap();
    let token_file = secrets.path().join("token");
    write_secret(&token_file, "not yet");
    let Stage { console, old, spare } = stage(&token_file);
    let management = install_consul(&old, &consul::Options::default()).expect("ACLs are on");
    fill(&old, &management);
    let keys = consul_all(&old, Some(&management));
    assert_eq!(keys.len(), 3_007);
    write_secret(&token_file, &management);
    console.run(&["backup", "val-1/consul/snapshot"]).expect(0);

    old.copy_in(&opened(&console, "val-1/consul/snapshot"), "/root/lifeboat.snap", 0o600);
    let summary = both_say_the_same(&old, "/root/lifeboat.snap");
    let facts = verified(&console, "val-1/consul/snapshot");
    assert_eq!(facts["kv_keys"], 3_007);
    for (kind, tally) in &summary.by_type {
        let told = &facts["types"][kind.to_string()];
        assert_eq!((told["count"].as_u64(), told["size"].as_u64()), (Some(tally.count), Some(tally.size)), "{kind}");
    }
    old.destroy();

    // A blank datacenter that has tokens of its own: after the restore the old one's are valid and its own are not.
    let fresh = install_consul(&spare, &consul::Options::default()).expect("ACLs are on");
    assert!(consul_all(&spare, Some(&fresh)).is_empty());
    spare.copy_in(&console.path("state.snap"), "/root/lifeboat.snap", 0o600);
    let said = consul_cli(&spare, &fresh, "snapshot restore /root/lifeboat.snap").ok();
    assert!(said.contains("Restored snapshot"), "{said}");
    assert_eq!(consul_all(&spare, Some(&management)), keys);
    assert!(!consul_cli(&spare, &fresh, "kv export").success(), "the blank datacenter's own token is gone");
}

#[test]
fn we_read_what_consul_saved_as_it_does_itself() {
    let secrets = tempfile::tempdir().unwrap();
    let token_file = secrets.path().join("token");
    write_secret(&token_file, "not yet");
    let Stage { console, old, spare } = stage(&token_file);
    spare.destroy();
    let management = install_consul(&old, &consul::Options::default()).expect("ACLs are on");
    fill(&old, &management);
    consul_cli(&old, &management, "snapshot save /root/consul.snap").ok();
    let summary = both_say_the_same(&old, "/root/consul.snap");

    let path = old.path("/root/consul.snap");
    let mut judge = verifier("consul-snap/1").unwrap();
    judge.file("state.snap", &mut std::fs::File::open(&path).unwrap()).unwrap();
    let verdict = judge.finish().unwrap();
    assert_eq!(verdict.warnings, [""; 0]);
    assert_eq!(verdict.entries, summary.records);
    assert_eq!(verdict.plain_bytes, std::fs::metadata(&path).unwrap().len());

    // The same datacenter copied by us holds the same: keys by content, the rest by name.
    write_secret(&token_file, &management);
    console.run(&["backup", "val-1/consul/snapshot"]).expect(0);
    let facts = verified(&console, "val-1/consul/snapshot");
    for fact in ["kv_keys", "kv_sha256", "acl_tokens", "acl_policies", "acl_roles", "config_entries"] {
        assert_eq!(verdict.facts[fact], facts[fact], "{fact}");
    }
    assert!(facts["kv_sha256"].is_string() && facts["acl_tokens"]["count"].as_u64() >= Some(2), "{facts}");

    // What Consul refuses we refuse: one altered byte at several places, and a cut.
    let sound = std::fs::read(&path).unwrap();
    let altered = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let (middle, end) = (sound.len() / 2, sound.len() - 6);
    for (what, bytes) in
        [("middle", altered(middle)), ("trailer", altered(end)), ("cut", sound[..middle].to_vec()), ("empty", vec![])]
    {
        let broken = old.path("/root/broken.snap");
        std::fs::write(&broken, &bytes).unwrap();
        assert!(!old.exec("consul snapshot inspect /root/broken.snap").success(), "{what}: Consul takes it");
        let ours = read_consul_snap(&bytes[..], &SnapOptions::default(), &mut ());
        assert!(ours.is_err(), "{what}: we take it: {ours:?}");
    }
}
