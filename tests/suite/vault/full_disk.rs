//! A full disk, for real: a filesystem of two mebibytes.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use lifeboat::model::exit::Exit;

/// A small filesystem, unmounted when dropped.
struct Small(TempDir);

impl Small {
    fn mount(size: &str) -> Self {
        let small = Self(TempDir::new().unwrap());
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(small.0.path()).status();
        assert!(mounted.unwrap().success(), "this test mounts a tmpfs and so needs root");
        small
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Writes until nothing more fits, then gives `spare` bytes back.
fn fill(dir: &Path, spare: u64) {
    let path = dir.join(".filler");
    let mut file = fs::File::create(&path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    while file.write_all(&[1; 1]).is_ok() {}
    let size = file.metadata().unwrap().len();
    file.set_len(size.saturating_sub(spare)).unwrap();
}

/// Waits until the disk counts `free` bytes again.
///
/// A process that another test of this program is just starting holds every
/// open file from its fork to its exec, a removed one with its blocks too.
fn wait_for_room(vault: &Vault, free: u64) {
    let until = Instant::now() + Duration::from_secs(30);
    while vault.free().unwrap() < free {
        assert!(Instant::now() < until, "{} of {free} bytes are free again", vault.free().unwrap());
        thread::sleep(Duration::from_millis(20));
    }
}

fn vault_on(small: &Small, bench: &Bench) -> Vault {
    Vault::create(small.path(), bench.vault.recipients(), &bench.clock, &bench.entropy).unwrap()
}

#[test]
fn a_disk_full_during_capture_leaves_nothing_half() {
    let bench = Bench::new();
    let small = Small::mount("2m");
    let vault = vault_on(&small, &bench);
    let free = vault.free().unwrap();
    assert!((1 << 20..=2 << 20).contains(&free), "{free} bytes of a disk of two mebibytes");
    let before = tree(vault.root());
    let copy = Copy { files: vec![("big", vec![9; 4 << 20])], ..Copy::secret(&bench) };
    let full = put(&vault, &copy, &bench.clock, &bench.entropy).unwrap_err();
    assert_eq!(full.exit(), Exit::NoSpace, "{full}");
    assert!(full.to_string().contains("big.age"), "{full}");
    assert_eq!(tree(vault.root()), before);
    wait_for_room(&vault, free);
    put(&vault, &Copy::secret(&bench), &bench.clock, &bench.entropy).unwrap();
}

#[test]
fn a_disk_that_fills_up_while_publishing_leaves_nothing_half() {
    let bench = Bench::new();
    let mut failed = 0;
    for pages in 0..14 {
        let small = Small::mount("1m");
        let vault = vault_on(&small, &bench);
        let copy = Copy { files: vec![("a", vec![1; 100])], ..Copy::secret(&bench) };
        let (staging, manifest, proofs, card) = staged(&vault, &copy, &bench.clock, &bench.entropy).unwrap();
        fill(small.path(), pages * 4096);
        let published = staging.publish(&manifest, &proofs, &card, &bench.clock, &bench.entropy);
        let catalogue = vault.catalogue().unwrap();
        assert!(catalogue.findings.is_empty(), "{:?}", catalogue.findings);
        match published {
            Ok(_) => assert!(intact(&vault, &catalogue.snapshots[0]).is_empty()),
            Err(full) => {
                assert_eq!(full.exit(), Exit::NoSpace, "{full}");
                assert!(catalogue.snapshots.is_empty() && vault.leftovers().unwrap().is_empty());
                failed += 1;
            }
        }
    }
    assert!((2..14).contains(&failed), "{failed} of 14 failed");
}

#[test]
fn room_held_back_carries_the_journal_and_the_receipt_over_a_full_disk() {
    let bench = Bench::new();
    let small = Small::mount("2m");
    let vault = vault_on(&small, &bench);
    let run_dir = vault.run_dir(&run()).unwrap();
    let too_much = vault.reserve(&run(), 64 << 20).unwrap_err();
    assert_eq!(too_much.exit(), Exit::NoSpace);
    let reserve = vault.reserve(&run(), 512 << 10).unwrap();
    run_dir.write_plan(b"{}\n").unwrap();
    let (mut journal, _) = run_dir.journal().unwrap();
    fill(small.path(), 0);
    for n in 0..300 {
        journal.append(&bench.clock, &json!({ "n": n, "text": "x".repeat(200) })).unwrap();
    }
    drop(journal);
    let console = lifeboat::vault::ConsoleKey::load_or_create(bench.dir.path(), &bench.entropy).unwrap();
    run_dir.write_receipt(&json!({}), &console, &bench.clock, &bench.entropy).unwrap();
    drop(reserve);
    let replay = run_dir.read_journal().unwrap();
    assert_eq!((replay.entries.len(), replay.torn), (300, 0));
    assert_eq!(vault.verify_receipts().unwrap().receipts.len(), 1);
}

#[test]
fn a_journal_without_room_fails_without_half_a_line() {
    let bench = Bench::new();
    let small = Small::mount("1m");
    let vault = vault_on(&small, &bench);
    let run_dir = vault.run_dir(&run()).unwrap();
    let (mut journal, _) = run_dir.journal().unwrap();
    journal.append(&bench.clock, &json!("fits")).unwrap();
    fill(small.path(), 4096);
    let mut written = 1;
    let full = loop {
        match journal.append(&bench.clock, &json!("y".repeat(900))) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full.exit(), Exit::NoSpace);
    fs::remove_file(small.path().join(".filler")).unwrap();
    journal.append(&bench.clock, &json!("fits again")).unwrap();
    let replay = run_dir.read_journal().unwrap();
    assert_eq!((replay.entries.len(), replay.torn), (written + 1, 0));
    let mut text = String::new();
    fs::File::open(run_dir.path().join("journal.jsonl")).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.ends_with('\n'));
}
