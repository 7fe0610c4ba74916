//! Making, opening, staging, publishing, leases, leftovers.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use lifeboat::model::exit::Exit;
use lifeboat::vault::{LEASE_LIFE, Owner, Trouble};

#[test]
fn what_goes_in_sealed_comes_out_the_same() {
    let bench = Bench::new();
    let copy = Copy::secret(&bench);
    let published = bench.put(&copy).unwrap();
    let catalogue = bench.vault.catalogue().unwrap();
    assert!(catalogue.findings.is_empty(), "{:?}", catalogue.findings);
    let snapshot = &catalogue.snapshots[0];
    assert_eq!(snapshot.sums_sha256(), published.sums_sha256);
    for (name, bytes) in &copy.files {
        assert_eq!(read_back(&bench.vault, snapshot, name, &bench.keys()).unwrap(), *bytes);
    }
    assert!(snapshot.manifest().files.iter().all(|f| f.plain_sha256.is_none()), "a guess could be confirmed");
    assert_eq!(snapshot.highest_rung(), Some(Rung::Verified));
    assert!(intact(&bench.vault, snapshot).is_empty());
    bench.vault.openable(snapshot, &bench.keys()).unwrap();
    assert!(tree(&bench.vault.root().join(".staging")).len() == 1, "staging is empty again");
    assert!(tree(&bench.vault.root().join(".leases")).len() == 1, "no lease is left");
}

#[test]
fn what_goes_in_clear_lies_there_as_it_was() {
    let bench = Bench::new();
    let published = bench.put(&Copy::clear()).unwrap();
    assert_eq!(fs::read(published.path.join("tree.tar")).unwrap(), b"not really a tar");
    let snapshot = bench.find(&published);
    assert_eq!(read_back(&bench.vault, &snapshot, "empty", &Keys::none()).unwrap(), b"");
    assert!(intact(&bench.vault, &snapshot).is_empty());
}

#[test]
fn everything_is_for_the_operator_s_eyes_only() {
    let bench = Bench::new();
    bench.put(&Copy::secret(&bench)).unwrap();
    bench.vault.save_companion("inventory.toml", b"version = 1\n", &bench.entropy).unwrap();
    for entry in walkdir::WalkDir::new(bench.vault.root()) {
        let entry = entry.unwrap();
        let expected = if entry.file_type().is_dir() { 0o700 } else { 0o600 };
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}", entry.path().display());
    }
    assert!(bench.vault.warnings().is_empty());
    let kept = fs::read_to_string(bench.vault.root().join("about/inventory.toml")).unwrap();
    assert!(kept.starts_with("# lifeboat: the lines below hash to ") && kept.ends_with("\nversion = 1\n"), "{kept}");
}

#[test]
fn an_empty_place_another_vault_or_a_newer_one_is_refused_with_a_sentence() {
    let bench = Bench::new();
    let root = bench.vault.root().to_owned();
    let empty = TempDir::new().unwrap();
    let missing = Vault::open(empty.path(), None).unwrap_err();
    assert_eq!(missing.exit(), Exit::Vault);
    assert!(missing.to_string().contains("An unmounted disk is not an empty vault."), "{missing}");
    assert!(matches!(Vault::open(&empty.path().join("nowhere"), None), Err(VaultError::Missing { .. })));
    assert!(matches!(Vault::open(&root, Some("vault-else")), Err(VaultError::Another { .. })));
    assert!(Vault::open(&root, Some(bench.vault.id())).is_ok());
    let text = fs::read_to_string(root.join("vault.json")).unwrap();
    fs::write(root.join("vault.json"), text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(matches!(Vault::open(&root, None), Err(VaultError::Newer { found: 2, .. })));
    fs::write(root.join("vault.json"), text.replacen("age1", "age2", 1)).unwrap();
    assert_eq!(Vault::open(&root, None).unwrap_err().exit(), Exit::Integrity);
    fs::write(root.join("vault.json"), text).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Vault::open(&root, None), Err(VaultError::Unsafe { .. })));
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(Vault::open(&root, None).unwrap().warnings().len(), 1);
    let full = TempDir::new().unwrap();
    fs::write(full.path().join("thesis.tex"), "mine").unwrap();
    let refused = Vault::create(full.path(), &[], &bench.clock, &bench.entropy).unwrap_err();
    assert!(refused.to_string().contains("not empty"), "{refused}");
}

#[test]
fn a_secret_without_recipients_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let before = tree(bench.vault.root());
    let mut copy = Copy { sealing: Sealing::to(&[]).unwrap(), ..Copy::secret(&bench) };
    let refused = bench.put(&copy).unwrap_err();
    assert!(matches!(refused, VaultError::Plaintext { .. }));
    assert_eq!(refused.exit(), Exit::Usage);
    assert_eq!(tree(bench.vault.root()), before);
    copy.sealing = Sealing::plaintext_allowed();
    let snapshot = bench.find(&bench.put(&copy).unwrap());
    assert!(snapshot.manifest().files.iter().all(|f| f.plain_sha256.is_some()));
}

#[test]
fn a_dropped_writer_frees_its_name_and_a_dropped_staging_leaves_nothing() {
    let bench = Bench::new();
    let copy = Copy::secret(&bench);
    let before = tree(bench.vault.root());
    let (staging, ..) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
    let mut torn = staging.file("third", FileMeta::default()).unwrap();
    torn.write_all(b"half").unwrap();
    assert!(matches!(staging.file("third", FileMeta::default()), Err(VaultError::Exists { .. })));
    drop(torn);
    let again = staging.file("third", FileMeta::default()).unwrap();
    let mut manifest = manifest(&copy, &bench.clock);
    staging.describe(&mut manifest);
    assert_eq!(manifest.files.len(), 2);
    drop(again);
    drop(staging);
    assert_eq!(tree(bench.vault.root()), before);
}

#[test]
fn publishing_refuses_what_is_unfinished_or_described_wrongly() {
    let bench = Bench::new();
    let copy = Copy::secret(&bench);
    let (staging, manifest, proofs, card) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
    let open = staging.file("open", FileMeta::default()).unwrap();
    let refused = staging.publish(&manifest, &proofs, &card, &bench.clock, &bench.entropy).unwrap_err();
    assert!(refused.to_string().contains("'open' is still being written"), "{refused}");
    drop(open);
    let (staging, mut manifest, proofs, card) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
    manifest.files[0].stored_sha256 = "0".repeat(64);
    assert!(staging.publish(&manifest, &proofs, &card, &bench.clock, &bench.entropy).is_err());
    assert!(bench.vault.catalogue().unwrap().snapshots.is_empty());
}

#[test]
fn a_held_lease_names_its_holder_and_ends_by_itself() {
    let bench = Bench::new();
    let copy = Copy::clear();
    let other = Holder { console: ConsoleId::new("console-other").unwrap(), host: "laptop".into(), pid: 1 };
    let mut lease = bench.vault.lease(&copy.item, &other, &bench.clock, &bench.entropy).unwrap();
    let held = put(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap_err();
    assert_eq!(held.exit(), Exit::Vault);
    assert!(held.to_string().contains("console-other on 'laptop' (process 1)"), "{held}");
    bench.clock.pass(LEASE_LIFE);
    lease.renew(&bench.clock).unwrap();
    bench.clock.pass(LEASE_LIFE);
    assert!(put(&bench.vault, &copy, &bench.clock, &bench.entropy).is_err(), "a heartbeat keeps it");
    bench.clock.pass(Duration::from_secs(1));
    let mine = bench.vault.lease(&copy.item, &Holder::this(console()), &bench.clock, &bench.entropy).unwrap();
    assert!(matches!(lease.renew(&bench.clock), Err(VaultError::LeaseLost { .. })));
    drop(lease);
    assert!(put(&bench.vault, &copy, &bench.clock, &bench.entropy).is_err(), "the loser must not free the winner's");
    drop(mine);
    bench.put(&copy).unwrap();
}

#[test]
fn a_lease_lost_while_staging_stops_the_publishing() {
    let bench = Bench::new();
    let copy = Copy::clear();
    let (staging, manifest, proofs, card) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
    let mut thief = None;
    let lost = staging.publish_watched(&manifest, &proofs, &card, &bench.clock, &bench.entropy, &mut |step| {
        if step == lifeboat::vault::PublishStep::Sums {
            bench.clock.pass(LEASE_LIFE + Duration::from_secs(1));
            let other = Holder { host: "laptop".into(), ..Holder::this(console()) };
            thief = Some(bench.vault.lease(&copy.item, &other, &bench.clock, &bench.entropy)?);
        }
        Ok(())
    });
    assert!(matches!(lost, Err(VaultError::LeaseLost { .. })), "{lost:?}");
    assert!(bench.vault.catalogue().unwrap().snapshots.is_empty());
    assert!(thief.is_some());
}

#[test]
fn leftovers_of_the_dead_can_be_removed_and_those_of_the_living_cannot() {
    let bench = Bench::new();
    let (staging, ..) = staged(&bench.vault, &Copy::clear(), &bench.clock, &bench.entropy).unwrap();
    let live = &bench.vault.leftovers().unwrap()[0];
    assert_eq!(live.owner, Owner::Alive);
    assert_eq!(live.item.as_ref(), Some(&Copy::clear().item));
    assert!(matches!(bench.vault.remove_leftover(live, &bench.clock), Err(VaultError::Held { .. })));
    let dead = TempDir::new().unwrap();
    image(bench.vault.root(), dead.path());
    drop(staging);
    assert!(bench.vault.leftovers().unwrap().is_empty());
    fs::set_permissions(dead.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let after = Vault::open(dead.path(), None).unwrap();
    let left = after.leftovers().unwrap();
    assert_eq!((left.len(), left[0].owner), (1, Owner::Dead));
    assert!(left[0].bytes > 0);
    after.remove_leftover(&left[0], &bench.clock).unwrap();
    assert!(after.leftovers().unwrap().is_empty());
}

#[test]
fn odd_things_in_a_vault_are_findings_and_never_followed() {
    let bench = Bench::new();
    let published = bench.put(&Copy::clear()).unwrap();
    let root = bench.vault.root();
    let item = published.path.parent().unwrap();
    fs::write(root.join("notes.txt"), "x").unwrap();
    fs::create_dir(item.join("backup-old")).unwrap();
    fs::create_dir(item.join("20261120T184500Z-dead")).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("sly")).unwrap();
    fs::create_dir_all(root.join("val-2/files/tree")).unwrap();
    let name = published.path.file_name().unwrap();
    image(&published.path, &root.join("val-2/files/tree").join(name));
    fs::write(published.path.join("extra"), "x").unwrap();
    fs::create_dir(root.join("runs/20261120T184400Z-abcdef")).unwrap();
    fs::create_dir(root.join("runs/Old Runs")).unwrap();
    fs::write(root.join("runs/notes"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", root.join("runs/20261120T184401Z-abcdef")).unwrap();
    fs::write(root.join("about/inventory.toml"), "x").unwrap();
    fs::create_dir(root.join("about/runbooks")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("about/known_hosts")).unwrap();
    let catalogue = bench.vault.catalogue().unwrap();
    assert_eq!(catalogue.snapshots.len(), 1);
    let mut troubles: Vec<_> = catalogue.findings.iter().map(|f| f.trouble).collect();
    troubles.sort_by_key(|t| format!("{t:?}"));
    let mut expected = vec![Trouble::Damaged, Trouble::Misplaced];
    expected.extend([Trouble::Unexpected; 8]);
    expected.push(Trouble::Unfinished);
    assert_eq!(troubles, expected, "{:?}", catalogue.findings);
    for name in ["runs/Old Runs", "runs/notes", "20261120T184401Z-abcdef", "about/runbooks", "about/known_hosts"] {
        let told = catalogue.findings.iter().filter(|f| f.message.contains(&format!("{name}'"))).count();
        assert_eq!(told, 1, "{name}");
    }
    let found = intact(&bench.vault, &catalogue.snapshots[0]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].trouble, Trouble::Unexpected);
}

#[test]
fn names_that_differ_only_in_case_or_clash_with_the_vault_s_own_both_fit() {
    let bench = Bench::new();
    for name in ["runs/nats/stream.ORDERS", "runs/nats/stream.orders", "about/nats/x", "vault.json/nats/x"] {
        let copy = Copy { item: item(name), ..Copy::clear() };
        bench.put(&copy).unwrap();
    }
    let copy = Copy { files: vec![("manifest.json", b"1".to_vec()), ("RESTORE.md", b"2".to_vec())], ..Copy::clear() };
    let snapshot = bench.find(&bench.put(&copy).unwrap());
    assert_eq!(read_back(&bench.vault, &snapshot, "RESTORE.md", &Keys::none()).unwrap(), b"2");
    let catalogue = bench.vault.catalogue().unwrap();
    assert_eq!((catalogue.snapshots.len(), catalogue.findings.len()), (5, 0));
}

#[test]
fn a_proof_is_added_and_never_changed_and_a_failed_check_takes_rungs_away() {
    let bench = Bench::new();
    let published = bench.put(&Copy::clear()).unwrap();
    let mut snapshot = bench.find(&published);
    let add = |snapshot: &mut Snapshot, rung, passed| {
        bench.clock.pass(Duration::from_secs(1));
        snapshot.add_proof(proof(rung, passed, &bench.clock))
    };
    add(&mut snapshot, Rung::Drilled, true).unwrap();
    assert!(matches!(snapshot.add_proof(proof(Rung::Drilled, true, &bench.clock)), Err(VaultError::Exists { .. })));
    assert_eq!(bench.find(&published).highest_rung(), Some(Rung::Drilled));
    add(&mut snapshot, Rung::Drilled, false).unwrap();
    assert_eq!(bench.find(&published).highest_rung(), Some(Rung::Verified), "a failed drill leaves what was verified");
    add(&mut snapshot, Rung::Intact, false).unwrap();
    assert_eq!(bench.find(&published).highest_rung(), None, "damage takes everything");
    add(&mut snapshot, Rung::Verified, true).unwrap();
    let again = bench.find(&published);
    assert_eq!((again.highest_rung(), again.proofs().len()), (Some(Rung::Verified), 6));
    assert!(intact(&bench.vault, &again).is_empty());
}

#[test]
fn a_check_dated_by_a_slow_clock_still_spoils_and_still_mends() {
    let bench = Bench::new();
    let published = bench.put(&Copy::clear()).unwrap();
    let slow = HeldClock::at("2026-11-19T08:00:00Z");
    let mut snapshot = bench.find(&published);
    assert_eq!(snapshot.highest_rung(), Some(Rung::Verified));
    // Somebody else's check came in between, of which this one knows nothing.
    let mut other = bench.find(&published);
    bench.clock.pass(Duration::from_mins(10));
    other.add_proof(proof(Rung::Drilled, true, &bench.clock)).unwrap();
    snapshot.add_proof(proof(Rung::Intact, false, &slow)).unwrap();
    let spoilt = bench.find(&published);
    assert_eq!(spoilt.highest_rung(), None, "damage takes everything, whatever the clock says: {:?}", spoilt.proofs());
    let last = spoilt.proofs().last().unwrap();
    assert!(!last.passed && last.at > bench.clock.now());
    assert_eq!(last.detail["clock"], "2026-11-19T08:00:00Z", "what the clock said is kept");
    snapshot.add_proof(proof(Rung::Verified, true, &slow)).unwrap();
    assert_eq!(bench.find(&published).highest_rung(), Some(Rung::Verified), "a later check that passes counts again");
}

#[test]
fn a_check_after_one_that_a_fast_clock_dated_is_told_by_its_own_clock() {
    use lifeboat::engine::holdings::Holdings;
    let bench = Bench::new();
    let published = bench.put(&Copy::clear()).unwrap();
    let fast = HeldClock::at("2031-01-01T00:00:00Z");
    let mut snapshot = bench.find(&published);
    snapshot.add_proof(proof(Rung::Verified, true, &fast)).unwrap();
    let view = |bench: &Bench| {
        let holdings = Holdings::read(&bench.vault, bench.clock.now()).unwrap();
        holdings.copies(snapshot.item())[0].clone()
    };
    assert_eq!(view(&bench).verified_at(), Some(fast.now()), "nothing tells when it was");
    bench.clock.pass(Duration::from_hours(24));
    let mut again = bench.find(&published);
    again.add_proof(proof(Rung::Verified, true, &bench.clock)).unwrap();
    assert_eq!(view(&bench).verified_at(), Some(bench.clock.now()));
    // One that fails now spoils what the fast clock dated years after it; and nothing was taken away.
    bench.clock.pass(Duration::from_hours(1));
    again.add_proof(proof(Rung::Intact, false, &bench.clock)).unwrap();
    assert_eq!((view(&bench).verified_at(), view(&bench).highest()), (None, None));
    assert_eq!(view(&bench).proofs.iter().filter(|proof| proof.rung == Rung::Verified).count(), 3);
}

#[test]
fn a_check_that_fails_in_the_same_moment_spoils() {
    let bench = Bench::new();
    let published = bench.put(&Copy::clear()).unwrap();
    let mut snapshot = bench.find(&published);
    bench.clock.pass(Duration::from_mins(1));
    snapshot.add_proof(proof(Rung::Verified, true, &bench.clock)).unwrap();
    snapshot.add_proof(proof(Rung::Verified, false, &bench.clock)).unwrap();
    assert_eq!(bench.find(&published).verified_at(), None);
}

#[test]
fn a_proof_named_by_somebody_else_is_a_finding_and_no_end_of_the_program() {
    let bench = Bench::new();
    let published = bench.put(&Copy::clear()).unwrap();
    let proofs = published.path.join("proofs");
    let good = fs::read_dir(&proofs).unwrap().next().unwrap().unwrap().path();
    let hash = good.file_stem().unwrap().to_string_lossy().rsplit_once('-').unwrap().1.to_owned();
    // The letter of two bytes lies across the end of the time.
    fs::copy(&good, proofs.join(format!("20261120T184500Z\u{e9}copied-{hash}.json"))).unwrap();
    fs::copy(&good, proofs.join(format!("x-{hash}.json"))).unwrap();
    let catalogue = bench.vault.catalogue().unwrap();
    assert_eq!((catalogue.snapshots.len(), catalogue.findings.len()), (1, 2), "{:?}", catalogue.findings);
    assert!(catalogue.findings.iter().all(|f| f.trouble == Trouble::Damaged));
}

#[test]
fn a_name_that_would_drive_a_terminal_is_told_harmlessly() {
    let bench = Bench::new();
    let root = bench.vault.root();
    fs::write(root.join("\u{1b}[2Jgone\nfine"), "x").unwrap();
    let catalogue = bench.vault.catalogue().unwrap();
    let told = &catalogue.findings[0].message;
    assert!(told.contains("\\x1b[2Jgone\\nfine"), "{told}");
    let missing = Vault::open(&root.join("\u{1b}[2J"), None).unwrap_err();
    let failure = lifeboat::model::exit::Failure::from(missing);
    let all = failure.hints.concat() + &failure.message;
    assert!(all.contains("\\x1b[2J") && !all.contains('\u{1b}'), "{failure:?}");
}

#[test]
fn a_vault_its_group_may_change_is_not_called_only_readable() {
    let bench = Bench::new();
    for (mode, told) in [(0o750, "others may read it"), (0o770, "others in its group may change it")] {
        fs::set_permissions(bench.vault.root(), fs::Permissions::from_mode(mode)).unwrap();
        let vault = Vault::open(bench.vault.root(), None).unwrap();
        assert!(vault.warnings()[0].message.contains(told), "{:?}", vault.warnings());
    }
}

#[test]
fn the_lease_of_a_process_of_this_machine_that_is_gone_is_free_at_once() {
    let bench = Bench::new();
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let other = Holder { pid: child.id(), ..Holder::this(console()) };
    let lease = |holder: &Holder| bench.vault.lease(&Copy::clear().item, holder, &bench.clock, &bench.entropy);
    std::mem::forget(lease(&other).unwrap());
    let mine = Holder::this(console());
    assert!(matches!(lease(&mine), Err(VaultError::Held { .. })), "it lives");
    child.kill().unwrap();
    child.wait().unwrap();
    // The same pid elsewhere is another process.
    let file = fs::read_dir(bench.vault.root().join(".leases")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&file).unwrap();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap().display().to_string();
    fs::write(&file, text.replace(&namespace, "pid:[1]")).unwrap();
    assert!(matches!(lease(&mine), Err(VaultError::Held { .. })), "nothing is known of a process elsewhere");
    fs::write(&file, &text).unwrap();
    assert!(text.contains(&namespace) && lease(&mine).is_ok());
}

#[test]
fn what_dead_runs_left_is_told_and_cleared_and_what_lives_is_not() {
    let bench = Bench::new();
    let (dead, ..) = staged(&bench.vault, &Copy::clear(), &bench.clock, &bench.entropy).unwrap();
    let after = TempDir::new().unwrap();
    image(bench.vault.root(), after.path());
    fs::set_permissions(after.path(), fs::Permissions::from_mode(0o700)).unwrap();
    drop(dead);
    let vault = Vault::open(after.path(), None).unwrap();
    bench.clock.pass(Duration::from_mins(1));
    let (alive, ..) = staged(&vault, &Copy::secret(&bench), &bench.clock, &bench.entropy).unwrap();
    let left = vault.leftovers().unwrap();
    let findings: Vec<_> = left.iter().filter_map(lifeboat::vault::Leftover::finding).collect();
    assert_eq!((left.len(), findings.len()), (2, 1), "{left:?}");
    let told = &findings[0].message;
    assert!(told.contains("a copy of 'val-1/files/tree'") && told.contains("the next backup removes it"), "{told}");
    let gone = vault.clear_leftovers(&bench.clock).unwrap();
    assert_eq!(gone.iter().map(|l| l.owner).collect::<Vec<_>>(), [Owner::Dead]);
    assert_eq!(vault.leftovers().unwrap().iter().map(|l| l.owner).collect::<Vec<_>>(), [Owner::Alive]);
    drop(alive);
    assert!(vault.leftovers().unwrap().is_empty());
}

#[test]
fn looking_for_leftovers_never_takes_a_live_staging_for_a_dead_one() {
    struct Wall;
    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            Timestamp::now()
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
        fn sleep(&self, span: Duration) {
            std::thread::sleep(span);
        }
    }
    let bench = Bench::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    bench.vault.clear_leftovers(&Wall).unwrap();
                }
            });
        }
        let copy = Copy::clear();
        let outcome = (0..300).try_for_each(|_| put(&bench.vault, &copy, &Wall, &bench.entropy).map(|_| ()));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
    assert_eq!(bench.vault.catalogue().unwrap().snapshots.len(), 300);
}
