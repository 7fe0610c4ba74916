//! A crash at every step of publishing, and an error at every step: a snapshot is there whole, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use lifeboat::vault::{Owner, PublishStep};

#[test]
fn a_crash_at_any_step_leaves_a_whole_snapshot_or_none() {
    let bench = Bench::new();
    for copy in [Copy::secret(&bench), Copy::clear()] {
        let images = TempDir::new().unwrap();
        let (staging, manifest, proofs, card) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
        let mut steps = Vec::new();
        staging
            .publish_watched(&manifest, &proofs, &card, &bench.clock, &bench.entropy, &mut |step| {
                image(bench.vault.root(), &images.path().join(format!("{step:?}")));
                steps.push(step);
                Ok(())
            })
            .unwrap();
        assert_eq!(steps.len(), 9);
        for step in steps {
            let root = images.path().join(format!("{step:?}"));
            fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
            let vault = Vault::open(&root, Some(bench.vault.id())).unwrap();
            let catalogue = vault.catalogue().unwrap();
            let mine: Vec<_> = catalogue.of(&copy.item).collect();
            assert!(catalogue.findings.is_empty(), "{step:?}: {:?}", catalogue.findings);
            assert_eq!(mine.len(), usize::from(step >= PublishStep::Renamed), "{step:?}");
            for snapshot in mine {
                assert!(intact(&vault, snapshot).is_empty());
                for (name, bytes) in &copy.files {
                    assert_eq!(read_back(&vault, snapshot, name, &bench.keys()).unwrap(), *bytes);
                }
            }
            let left = vault.leftovers().unwrap();
            for leftover in &left {
                assert_eq!(leftover.owner, Owner::Dead, "{step:?}");
                vault.remove_leftover(leftover, &bench.clock).unwrap();
            }
            assert!(vault.leftovers().unwrap().is_empty());
            // The lease of the dead ends by itself, and then the item can be published again.
            bench.clock.pass(lifeboat::vault::LEASE_LIFE + Duration::from_secs(1));
            put(&vault, &copy, &bench.clock, &bench.entropy).unwrap();
        }
    }
}

#[test]
fn an_error_at_any_step_before_the_commit_leaves_nothing_at_all() {
    use PublishStep::{Card, Hashes, Leased, Manifest, Parents, Proofs, Sums};
    for at in [Leased, Hashes, Card, Proofs, Sums, Manifest, Parents] {
        let bench = Bench::new();
        let before = tree(bench.vault.root());
        let copy = Copy::secret(&bench);
        let (staging, manifest, proofs, card) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
        let failed = staging.publish_watched(&manifest, &proofs, &card, &bench.clock, &bench.entropy, &mut |step| {
            if step == at { Err(VaultError::Cancelled { path: "test".into() }) } else { Ok(()) }
        });
        assert!(matches!(failed, Err(VaultError::Cancelled { .. })));
        assert_eq!(tree(bench.vault.root()), before, "{at:?}");
    }
}

#[test]
fn a_copy_that_broke_off_anywhere_never_passes_for_a_snapshot() {
    let bench = Bench::new();
    let published = bench.put(&Copy::secret(&bench)).unwrap();
    let files: Vec<_> = tree(&published.path).into_iter().filter(|(_, bytes)| bytes.is_some()).collect();
    for (path, bytes) in &files {
        let at = published.path.join(path);
        fs::remove_file(&at).unwrap();
        let catalogue = bench.vault.catalogue().unwrap();
        let told =
            catalogue.findings.len() + catalogue.snapshots.iter().map(|s| intact(&bench.vault, s).len()).sum::<usize>();
        let is_proof = path.starts_with("proofs");
        assert!(told > 0 || is_proof, "{} was not missed", path.display());
        fs::write(&at, bytes.as_ref().unwrap()).unwrap();
    }
}
