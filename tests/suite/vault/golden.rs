//! The golden vault of format 1 stays readable, byte for byte. `LIFEBOAT_BLESS=1` makes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use lifeboat::vault::{ConsoleKey, Policy};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vault/v1")
}

const KEY: &str = "test-only-key-never-use.txt";

fn bless(root: &Path) {
    let _ = fs::remove_dir_all(root);
    fs::create_dir_all(root).unwrap();
    let mut bench = Bench::new();
    let (_, public) = new_key(root, KEY);
    bench.vault = Vault::create(&root.join("vault"), &[public], &bench.clock, &bench.entropy).unwrap();
    let mut secret = Copy::secret(&bench);
    secret.files = vec![("staker.crt", b"a certificate\n".to_vec()), ("C/Staker.key", vec![7; 70_000])];
    bench.put(&secret).unwrap();
    bench.put(&Copy::clear()).unwrap();
    bench.vault.save_companion("inventory.toml", b"version = 1\n", &bench.entropy).unwrap();
    let key = ConsoleKey::load_or_create(bench.dir.path(), &bench.entropy).unwrap();
    let run_dir = bench.vault.run_dir(&run()).unwrap();
    run_dir.write_plan(b"{}\n").unwrap();
    run_dir.journal().unwrap().0.append(&bench.clock, &json!({ "step": "copy" })).unwrap();
    run_dir.write_receipt(&json!({ "done": true }), &key, &bench.clock, &bench.entropy).unwrap();
}

#[test]
fn a_vault_of_format_1_opens_in_full() {
    let root = fixture();
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        bless(&root);
    }
    // What a version control system keeps of a vault: no modes and no empty directories.
    let vault = Vault::open(&root.join("vault"), Some("vault-2af894fe72f36e3c")).unwrap();
    let catalogue = vault.catalogue().unwrap();
    assert!(catalogue.findings.is_empty(), "{:?}", catalogue.findings);
    assert_eq!(catalogue.snapshots.len(), 2);
    let mut keys = Keys::none();
    keys.add_file(&root.join(KEY), &|_| None).unwrap();
    for snapshot in &catalogue.snapshots {
        assert_eq!(intact(&vault, snapshot), []);
        vault.openable(snapshot, &keys).unwrap();
        assert_eq!(snapshot.highest_rung(), Some(Rung::Verified));
    }
    let wanted = "val-1/avalanchego/staking-identity".parse().unwrap();
    let snapshot = vault.select(&wanted, &Policy::default()).unwrap().snapshot;
    assert_eq!(read_back(&vault, &snapshot, "staker.crt", &keys).unwrap(), b"a certificate\n");
    assert_eq!(read_back(&vault, &snapshot, "C/Staker.key", &keys).unwrap(), vec![7; 70_000]);
    assert_eq!(fs::read(vault.root().join("about/inventory.toml")).unwrap(), b"version = 1\n");
    let chain = vault.verify_receipts().unwrap();
    assert!(chain.findings.is_empty(), "{:?}", chain.findings);
    assert_eq!(chain.receipts.len(), 1);
    assert!(vault.leftovers().unwrap().is_empty());
}

/// The first vaults had no sums beside their snapshots. They are read as they are, and summed by the next backup.
#[test]
fn a_vault_from_before_there_were_sums_gets_them_at_the_next_write() {
    let bench = Bench::new();
    let root = bench.dir.path().join("old");
    image(&fixture().join("vault"), &root);
    let vault = Vault::open(&root, None).unwrap();
    assert!(!vault.has_sums() && vault.catalogue().unwrap().findings.is_empty());
    vault.save_companion("inventory.toml", b"version = 1\n", &bench.entropy).unwrap();
    assert!(vault.has_sums() && vault.catalogue().unwrap().findings.is_empty());
    assert!(fs::read_to_string(root.join("about/inventory.toml")).unwrap().starts_with("# lifeboat: "));
    fs::write(root.join("vault.json"), fs::read_to_string(root.join("vault.json")).unwrap() + " ").unwrap();
    assert_eq!(vault.catalogue().unwrap().findings.len(), 1);
}
