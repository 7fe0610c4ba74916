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
