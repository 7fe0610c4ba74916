//! Which snapshot is taken when no id is given, and which never is.

use super::*;
use lifeboat::model::exit::Exit;
use lifeboat::vault::{Policy, Selected, SnapshotRef};

fn select(bench: &Bench, text: &str, policy: &Policy) -> Result<Selected, VaultError> {
    bench.vault.select(&text.parse::<SnapshotRef>()?, policy)
}

fn known(identity: &str) -> Policy {
    let identity = Identity { kind: "avalanche-node-id".into(), value: identity.into() };
    Policy { known: Some(vec![identity]), ..Policy::default() }
}

const ITEM: &str = "val-1/avalanchego/staking-identity";

#[test]
fn references_are_read_strictly() {
    for good in [
        "a/b/c",
        "a/b/c@latest",
        "a/b/c@2026",
        "a/b/c@20261120T184500Z-7f3a",
        "a/b/c@before:2026-11-20T02:50Z",
        "a/b/c@before:2026-11-20T02:50:00+01:00",
    ] {
        assert!(good.parse::<SnapshotRef>().is_ok(), "{good}");
    }
    for bad in [
        "a/b",
        "a/b/c/d",
        "a/b/c@",
        "a/b/c@x",
        "a/b/c@before:2026-11-20T02:50",
        "a/b/c@before:soon",
        "../b/c",
        "a/b/c@../../..",
    ] {
        assert_eq!(bad.parse::<SnapshotRef>().unwrap_err().exit(), Exit::Usage, "{bad}");
    }
}

#[test]
fn the_newest_verified_copy_is_taken_and_an_unverified_one_is_passed_over() {
    let bench = Bench::new();
    let copy = Copy::secret(&bench);
    let old = bench.put(&copy).unwrap();
    let good = bench.put(&copy).unwrap();
    let raw = bench.put(&Copy { verified: false, ..copy.clone() }).unwrap();
    let chosen = select(&bench, ITEM, &Policy::default()).unwrap();
    assert_eq!((chosen.snapshot.id(), chosen.passed_over.len()), (&good.id, 1));
    assert_eq!(chosen.passed_over[0].against, ["not verified"]);
    assert_eq!(*select(&bench, &format!("{ITEM}@latest"), &Policy::default()).unwrap().snapshot.id(), raw.id);
    let before = format!("{ITEM}@before:{}", bench.find(&old).manifest().created);
    assert_eq!(*select(&bench, &before, &Policy::default()).unwrap().snapshot.id(), old.id);
    assert_eq!(*select(&bench, &format!("{ITEM}@{}", raw.id), &Policy::default()).unwrap().snapshot.id(), raw.id);
    let several = select(&bench, &format!("{ITEM}@20261120"), &Policy::default()).unwrap_err();
    assert!(matches!(&several, VaultError::Undecided { candidates, .. } if candidates.len() == 3), "{several}");
    assert_eq!(select(&bench, "val-9/a/b", &Policy::default()).unwrap_err().exit(), Exit::Nothing);
}

#[test]
fn copies_of_one_second_stand_in_the_order_they_were_made_in() {
    let bench = Bench::new();
    let copy = Copy::secret(&bench);
    let made: Vec<_> = (0..8)
        .map(|_| {
            bench.clock.pass(Duration::from_millis(1));
            put(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap().id
        })
        .collect();
    let mut by_name = made.clone();
    by_name.sort();
    assert!(made.iter().all(|id| id.as_str()[..16] == made[0].as_str()[..16]), "{made:?}");
    assert_ne!(made, by_name, "by their names they stand in another order");
    let mut snapshots = bench.vault.catalogue().unwrap().snapshots;
    let ids = |snapshots: &[Snapshot]| snapshots.iter().map(|one| one.id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(&snapshots), made);
    snapshots.reverse();
    snapshots.sort_by(|a, b| a.order().cmp(&b.order()));
    assert_eq!(ids(&snapshots), made);
}

#[test]
fn a_copy_dated_ahead_of_the_clock_is_passed_over_and_is_not_the_latest() {
    let bench = Bench::new();
    let copy = Copy::secret(&bench);
    let good = bench.put(&copy).unwrap();
    let now = bench.clock.now();
    bench.clock.pass(Duration::from_hours(24 * 365));
    let ahead = bench.put(&copy).unwrap();
    let chosen = select(&bench, ITEM, &Policy::at(now)).unwrap();
    assert_eq!((chosen.snapshot.id(), chosen.passed_over.len()), (&good.id, 1));
    assert_eq!(chosen.passed_over[0].against, ["dated ahead of this console's clock"]);
    let latest = select(&bench, &format!("{ITEM}@latest"), &Policy::at(now)).unwrap_err().to_string();
    assert!(latest.contains("dated ahead of this console's clock") && latest.contains(ahead.id.as_str()), "{latest}");
    // By its id it is taken, and by whoever lives when it was made.
    assert_eq!(*select(&bench, &format!("{ITEM}@{}", ahead.id), &Policy::at(now)).unwrap().snapshot.id(), ahead.id);
    assert_eq!(*select(&bench, ITEM, &Policy::at(bench.clock.now())).unwrap().snapshot.id(), ahead.id);
}

#[test]
fn another_identity_is_never_taken_silently() {
    let bench = Bench::new();
    let copy = Copy::secret(&bench);
    let a = bench.put(&copy).unwrap();
    let b = bench.put(&Copy { identity: Some("NodeID-B"), ..copy.clone() }).unwrap();
    let undecided = select(&bench, ITEM, &Policy::default()).unwrap_err();
    let text = undecided.to_string();
    assert!(text.contains("another identity") && text.contains("NodeID-A") && text.contains("NodeID-B"), "{text}");
    assert_eq!(*select(&bench, ITEM, &known("NodeID-A")).unwrap().snapshot.id(), a.id);
    assert_eq!(*select(&bench, ITEM, &known("NodeID-B")).unwrap().snapshot.id(), b.id);
    assert!(matches!(select(&bench, ITEM, &known("NodeID-C")), Err(VaultError::Undecided { .. })));
    bench.clock.pass(Duration::from_secs(1));
    let accepts = Proof { detail: json!({ "accepts": ["identity"] }), ..proof(Rung::Verified, true, &bench.clock) };
    bench.find(&b).add_proof(accepts).unwrap();
    assert_eq!(*select(&bench, ITEM, &Policy::default()).unwrap().snapshot.id(), b.id, "an operator explained it");
}

#[test]
fn a_flood_of_small_or_incomplete_copies_does_not_displace_the_good_one() {
    let bench = Bench::new();
    let copy = Copy::secret(&bench);
    let good = bench.put(&copy).unwrap();
    for _ in 0..5 {
        bench.put(&Copy { files: vec![copy.files[0].clone(), ("C/Staker.key", vec![7; 10])], ..copy.clone() }).unwrap();
    }
    bench.put(&Copy { files: vec![("C/Staker.key", vec![7; 300_000])], ..copy.clone() }).unwrap();
    let chosen = select(&bench, ITEM, &Policy::default()).unwrap();
    assert_eq!((chosen.snapshot.id(), chosen.passed_over.len()), (&good.id, 6));
    assert!(chosen.passed_over[0].to_string().contains("'staker.crt' is not in it"), "{}", chosen.passed_over[0]);
    assert!(chosen.passed_over[1].to_string().contains("shrank from"), "{}", chosen.passed_over[1]);
}
