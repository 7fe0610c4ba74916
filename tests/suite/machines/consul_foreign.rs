//! Snapshots that a server cannot take, before a real one: from a newer Consul, from Enterprise, with records of kinds
//! that it does not know. Each is a copy of the server's own, altered where it tells what it is. And one that a server can:
//! a file that its own tool saved.

use std::io::Read as _;
use std::path::Path;

use lifeboat::engine::world::{SystemClock, SystemEntropy};
use lifeboat::formats::verifier;
use lifeboat::model::clock::Clock as _;
use lifeboat::model::ids::{ConsoleId, RunId};
use lifeboat::model::manifest::{Manifest, Proof, Rung};
use lifeboat::vault::{CardRecipe, FileMeta, Holder, Sealing, StageRequest, Vault, render_card};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::consul::{self, consul_all, consul_cli, consul_fill, consul_put, install_consul};
use super::consul_files::left_by_lifeboat;
use super::judges::opened;
use super::machine::Machine;
use super::story::{Stage, write_secret};
use super::taken_over::one;
use crate::support::console::Console;

const SNAPSHOT: &str = "val-1/consul/snapshot";

/// The members of a snapshot's archive, in their order.
fn members(snap: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(snap));
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        let mut content: Box<dyn std::io::Read> = Box::new(&mut entry);
        content.read_to_end(&mut bytes).unwrap();
        drop(content);
        (name, bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

/// The snapshot with another state, its sums made anew.
fn with_state(snap: &[u8], alter: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut parts = members(snap);
    let hash =
        |bytes: &[u8]| Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    parts.iter_mut().filter(|(name, _)| name == "state.bin").for_each(|(_, bytes)| alter(bytes));
    let others = parts.iter().filter(|(name, _)| name != "SHA256SUMS");
    let sums = others.fold(String::new(), |text, (name, bytes)| text + &format!("{}  {name}\n", hash(bytes)));
    parts.iter_mut().filter(|(name, _)| name == "SHA256SUMS").for_each(|(_, bytes)| *bytes = sums.clone().into_bytes());
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (name, bytes) in &parts {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// Gives the first record of the state another type.
fn first_record(state: &mut [u8], kind: u8) {
    assert_eq!(&state[..11], b"\x81\xa9LastIndex", "the header");
    let number = match state[11] {
        0xcc => 2,
        0xcd => 3,
        0xce => 5,
        0xcf => 9,
        _ => 1,
    };
    state[11 + number] = kind;
}

/// Puts a copy into the vault as a backup would have, from bytes and with what the server that gave them said of itself.
fn keep(console: &Console, like: &Manifest, bytes: &[u8], version: &str) -> String {
    let (clock, entropy) = (SystemClock::default(), SystemEntropy);
    let vault = Vault::open(&console.path("vault"), None).unwrap();
    let sealing = Sealing::to(vault.recipients()).unwrap();
    let run = RunId::new("20261120T184400Z-abcdef").unwrap();
    let console_id = ConsoleId::new("console-00aa").unwrap();
    let holder = Holder::this(console_id.clone());
    let request =
        StageRequest { run: &run, item: &like.item, sensitivity: like.sensitivity, sealing: &sealing, holder: &holder };
    let staging = vault.stage(&request, &clock, &entropy).unwrap();
    let mut writer = staging.file("state.snap", FileMeta::default()).unwrap();
    writer.put(bytes).unwrap();
    writer.finish().unwrap();
    let mut judge = verifier("consul-snap/1").unwrap();
    judge.file("state.snap", &mut &bytes[..]).unwrap();
    let mut manifest = like.clone();
    manifest.facts["verified"] = json!(judge.finish().unwrap().facts);
    manifest.facts["version"] = json!(version);
    manifest.source.version = Some(version.into());
    staging.describe(&mut manifest);
    let proof = |rung| Proof {
        version: 1,
        rung,
        at: clock.now(),
        console: console_id.clone(),
        run: Some(run.clone()),
        passed: true,
        detail: json!({}),
    };
    let card = render_card(&manifest, &CardRecipe { title: "a snapshot".into(), steps: vec![], closing: vec![] });
    let proofs = [proof(Rung::Copied), proof(Rung::Verified)];
    let published = staging.publish(&manifest, &proofs, &card, &clock, &entropy).unwrap();
    format!("{SNAPSHOT}@{}", published.id)
}

/// What the newest copy says of itself.
fn manifest(console: &Console, item: &str) -> Manifest {
    let shown = console.run(&["--json", "show", item]).expect(0).documents();
    let snapshot = shown.iter().find(|one| one["kind"] == "snapshot").unwrap();
    serde_json::from_value(snapshot["manifest"].clone()).unwrap()
}

fn restores_seen(machine: &Machine) -> String {
    machine.exec("journalctl -u consul --no-pager | grep -c 'copied to local snapshot'; :").ok()
}

#[test]
fn a_snapshot_that_the_servers_cannot_take_is_refused_before_anything_is_sent() {
    let (console, machine) = one(&|machine| format!("[hosts.{}.services.consul]\n", machine.name()));
    install_consul(&machine, &consul::Options { acls: false, ..consul::Options::default() });
    consul_put(&machine, None, "app/config", "blue");
    console.run(&["backup", SNAPSHOT]).expect(0);
    let sound = std::fs::read(opened(&console, SNAPSHOT)).unwrap();
    let like = manifest(&console, SNAPSHOT);
    consul_put(&machine, None, "app/config", "green");
    let now = consul_all(&machine, None);
    let own = consul::VERSION;
    let (unknown, enterprise) =
        (with_state(&sound, |state| first_record(state, 63)), with_state(&sound, |state| first_record(state, 66)));
    let newer = ["is from Consul 1.21.0, which is newer than 1.20.1 on val-1", "1.21.0 first"];
    let of_enterprise = ["Consul Enterprise (1.20.1+ent)", "val-1 runs the community edition"];
    let cases = [
        (&sound, "1.21.0", 1, newer, ""),
        (&sound, "1.20.1+ent", 1, of_enterprise, ""),
        (&unknown, own, 14, ["records of an unknown kind", "RESTORE.md"], "crashes while restoring"),
        (&enterprise, own, 14, ["records of Consul Enterprise", "RESTORE.md"], "community edition cannot restore"),
    ];
    let all = [
        "--confirm",
        "overwrite=dc1",
        "--confirm",
        "version=1.20.1",
        "--set",
        "safety=skip",
        "--confirm",
        "no-safety=val-1",
    ];
    for (bytes, version, code, says, noted) in cases {
        let what = format!("from {version}: {}", says[0]);
        println!("{what}");
        let reference = keep(&console, &like, bytes, version);
        // It is whole, and what it is worth is said.
        console.run(&["verify", &reference]).expect(0).says("verified").says(noted);
        let begun = std::fs::read_dir(console.path("vault/runs")).unwrap().count();
        for more in [&all[..2], &all, &["--plan"]] {
            let refused = console.run(&[&["restore", &reference, "--to", "val-1"], more].concat()).expect(code);
            for words in says {
                assert!(refused.err.contains(words), "'{words}' is not in {}", refused.err);
            }
        }
        assert_eq!(std::fs::read_dir(console.path("vault/runs")).unwrap().count(), begun, "{what}: a run began");
        assert_eq!(consul_all(&machine, None), now, "{what}");
    }
    assert_eq!(restores_seen(&machine).trim(), "0", "the server was sent something");
    assert_eq!(left_by_lifeboat(&machine), "");

    // An older patch of the same version is asked about and taken.
    let older = keep(&console, &like, &sound, "1.20.0");
    let restore = ["restore", &older, "--to", "val-1", "--confirm", "overwrite=dc1"];
    console.run(&[&restore[..], &["--no-input"]].concat()).expect(15).says("version=1.20.1");
    console.run(&[&restore[..], &["--confirm", "version=1.20.1"]].concat()).expect(0).says("restored and proven");
    assert_eq!(consul_all(&machine, None)["app/config"], b"blue");

    // The judge of all this: the very server that was spared does not live through the record it does not know.
    let file = machine.path("/root/unknown.snap");
    std::fs::write(&file, &unknown).unwrap();
    let ended = consul_cli(&machine, "", "snapshot restore /root/unknown.snap");
    assert!(!ended.success(), "Consul takes it: {ended}");
    let told = machine.exec("journalctl -u consul --no-pager").stdout;
    assert!(told.contains("panic: failed to restore snapshot") && told.contains("Unrecognized msg type 63"), "{told}");
}

/// The other direction: what the official tool saved is restored from the vault, into servers that never saw it.
#[test]
fn a_file_that_consul_itself_saved_is_restored_by_us_onto_a_fresh_machine() {
    let secrets = tempfile::tempdir().unwrap();
    let [token, after] = ["token", "after"].map(|name| secrets.path().join(name));
    write_secret(&token, "not yet");
    write_secret(&after, "not yet");
    let Stage { console, old, spare } = Stage::set(&|machine| {
        let named = |key: &str, file: &Path| format!("{key} = {{ file = \"{}\" }}\n", file.display());
        format!(
            "[hosts.{}.services.consul]\n{}{}",
            machine.name(),
            named("token", &token),
            named("token_after", &after)
        )
    });
    let management = install_consul(&old, &consul::Options::default()).expect("ACLs are on");
    write_secret(&token, &management);
    // What a copy of this datacenter says of itself; its own bytes hold none of what is saved by hand.
    console.run(&["backup", SNAPSHOT]).expect(0);
    let like = manifest(&console, SNAPSHOT);
    consul_put(&old, Some(&management), "app/config", "blue");
    consul_fill(&old, Some(&management), "bulk", 500);
    consul_cli(&old, &management, "snapshot save /root/theirs.snap").ok();
    let theirs = std::fs::read(old.path("/root/theirs.snap")).unwrap();
    let keys = consul_all(&old, Some(&management));
    assert_eq!(keys.len(), 501);
    let kept = keep(&console, &like, &theirs, consul::VERSION);
    old.destroy();
    console.run(&["verify", &kept]).expect(0).says("verified");

    let fresh = install_consul(&spare, &consul::Options::default()).expect("ACLs are on");
    consul_put(&spare, Some(&fresh), "fresh/only", "here");
    write_secret(&token, &fresh);
    write_secret(&after, &management);
    let restore = ["restore", &kept, "--to", "spare-1", "--confirm", "overwrite=dc1"];
    console.run(&restore).expect(0).says("restored and proven");
    assert_eq!(consul_all(&spare, Some(&management)), keys);
    assert!(!consul_cli(&spare, &fresh, "kv export").success(), "the fresh datacenter's own token is valid still");
    assert_eq!(left_by_lifeboat(&spare), "");
}
