//! One flipped byte, anywhere: found, and the file it is in is named.

use std::fs;
use std::os::unix::fs::FileExt;

use super::*;

#[test]
fn a_flip_in_any_byte_of_any_stored_file_is_found_and_named() {
    let bench = Bench::new();
    let mut copy = Copy::secret(&bench);
    copy.files = vec![("staker.crt", b"a certificate".to_vec()), ("C/Staker.key", b"a key".to_vec())];
    for copy in [copy, Copy::clear()] {
        let published = bench.put(&copy).unwrap();
        let good = bench.find(&published);
        for (path, bytes) in tree(&published.path) {
            let Some(bytes) = bytes else { continue };
            let at = published.path.join(&path);
            // In place: rewriting a file whole makes some filesystems sync it.
            let file = fs::OpenOptions::new().write(true).open(&at).unwrap();
            for (byte, good_byte) in bytes.iter().enumerate() {
                file.write_all_at(&[good_byte ^ (1 << (byte % 8))], byte as u64).unwrap();
                // Both ways to look: a snapshot read before the damage, and one read after it.
                let before = intact(&bench.vault, &good);
                assert!(before.iter().any(|f| f.path == at), "{} byte {byte}: {before:?}", path.display());
                // The catalogue reads only these; for the payload a sample is enough.
                if byte % 16 > 0 && path.extension().is_some_and(|e| e != "json") {
                    file.write_all_at(&[*good_byte], byte as u64).unwrap();
                    continue;
                }
                let catalogue = bench.vault.catalogue().unwrap();
                let mut after = catalogue.findings;
                for snapshot in catalogue.snapshots.iter().filter(|s| *s.id() == published.id) {
                    after.extend(intact(&bench.vault, snapshot));
                }
                assert!(after.iter().any(|f| f.path == at), "{} byte {byte}: {after:?}", path.display());
                file.write_all_at(&[*good_byte], byte as u64).unwrap();
            }
        }
        assert!(intact(&bench.vault, &good).is_empty());
    }
}

/// Everything that is said of a vault that is looked at anew.
fn told(root: &Path) -> Vec<(PathBuf, String)> {
    match Vault::open(root, None) {
        Err(error) => vec![(root.join("vault.json"), error.to_string())],
        Ok(vault) => vault.catalogue().unwrap().findings.into_iter().map(|f| (f.path, f.message)).collect(),
    }
}

/// What is no snapshot's and no run's: the vault's own file and what lies beside the snapshots.
#[test]
fn a_flip_in_any_byte_beside_the_snapshots_is_found_and_named() {
    let bench = Bench::new();
    let root = bench.vault.root();
    for (name, text) in [("inventory.toml", "version = 1\n"), ("known_hosts", "h ssh-ed25519 AAAA\n")] {
        bench.vault.save_companion(name, text.as_bytes(), &bench.entropy).unwrap();
    }
    let files: Vec<_> = tree(root).into_iter().filter_map(|(path, bytes)| Some((root.join(path), bytes?))).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for (at, bytes) in &files {
        let file = fs::OpenOptions::new().write(true).open(at).unwrap();
        for (byte, good) in bytes.iter().enumerate() {
            for bit in 0..8 {
                file.write_all_at(&[good ^ (1 << bit)], byte as u64).unwrap();
                let told = told(root);
                let named = |(path, message): &(PathBuf, String)| path == at && message.contains(at.to_str().unwrap());
                assert!(told.iter().any(named), "{} byte {byte} bit {bit}: {told:?}", at.display());
            }
            file.write_all_at(&[*good], byte as u64).unwrap();
        }
        assert_eq!(told(root), []);
        fs::write(at, "x").unwrap();
        assert!(!told(root).is_empty(), "{} overwritten", at.display());
        fs::write(at, bytes).unwrap();
    }
    // A copy whose original is damaged brings it back.
    let copy = fs::read(root.join("about/vault-copy.json")).unwrap();
    let rest = copy.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    assert_eq!(copy[rest..], fs::read(root.join("vault.json")).unwrap());
}

#[test]
fn two_consoles_that_write_beside_the_snapshots_at_once_raise_no_alarm() {
    let bench = Bench::new();
    let (vault, entropy) = (&bench.vault, &bench.entropy);
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for console in 0..2 {
            let done = &done;
            scope.spawn(move || {
                for n in 0..60 {
                    let text = format!("version = 1 # console {console}, {}\n", "x".repeat(n * 97));
                    vault.save_companion("inventory.toml", text.as_bytes(), entropy).unwrap();
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        while done.load(Ordering::SeqCst) < 2 {
            assert_eq!(told(vault.root()), []);
        }
    });
}

#[test]
fn reading_damaged_bytes_ends_in_an_error_that_names_the_file() {
    let bench = Bench::new();
    for copy in [Copy::secret(&bench), Copy::clear()] {
        let published = bench.put(&copy).unwrap();
        let good = bench.find(&published);
        for file in good.manifest().files.clone() {
            let at = published.path.join(&file.stored_name);
            let bytes = fs::read(&at).unwrap();
            let step = (bytes.len() / 300).max(1);
            let mut damages: Vec<Vec<u8>> = (0..bytes.len())
                .step_by(step)
                .map(|i| {
                    let mut changed = bytes.clone();
                    changed[i] ^= 0x10;
                    changed
                })
                .collect();
            damages.extend((0..bytes.len()).step_by(step).map(|i| bytes[..i].to_vec()));
            damages.push([&bytes[..], b"x"].concat());
            for damage in damages {
                fs::write(&at, &damage).unwrap();
                let error = read_back(&bench.vault, &good, &file.name, &bench.keys()).unwrap_err();
                assert_eq!(error.exit(), lifeboat::model::exit::Exit::Integrity, "{error}");
                assert!(error.to_string().contains(&*file.stored_name), "{error}");
            }
            fs::write(&at, &bytes).unwrap();
        }
    }
}
