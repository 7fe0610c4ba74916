//! Looking inside stored copies, comparing two, and reading the vault item by item.

use std::time::Duration;

use lifeboat::engine::compare::{Change, compare};
use lifeboat::engine::holdings::Holdings;
use lifeboat::engine::inside::{View, look_inside};
use lifeboat::formats::Part;
use lifeboat::model::clock::Clock;
use lifeboat::model::exit::Exit;
use lifeboat::model::manifest::Rung;
use lifeboat::transport::Cancel;
use lifeboat::vault::{Keys, Snapshot};

use super::{Bench, Copy, item, recipe, staged};

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o640);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Publishes files as one snapshot of a tree.
fn put(bench: &Bench, files: Vec<(&'static str, Vec<u8>)>) -> Snapshot {
    bench.clock.pass(Duration::from_mins(1));
    let copy = Copy { item: item("nats-1/files/tree"), files, identity: None, ..Copy::secret(bench) };
    let (staging, mut manifest, proofs, _) = staged(&bench.vault, &copy, &bench.clock, &bench.entropy).unwrap();
    manifest.format = "tar/1".into();
    let card = lifeboat::vault::render_card(&manifest, &recipe());
    let published = staging.publish(&manifest, &proofs, &card, &bench.clock, &bench.entropy).unwrap();
    bench.find(&published)
}

#[test]
fn a_sealed_archive_is_looked_into_page_by_page_with_a_key_and_not_without() {
    let bench = Bench::new();
    let files: Vec<(String, Vec<u8>)> = (0..25).map(|n| (format!("srv/{n:02}"), vec![0; n])).collect();
    let entries: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    let snapshot = put(&bench, vec![("tree.tar", archive(&entries))]);
    let cancel = Cancel::new();
    let look = |keys: &Keys, name: &str, from: u64| {
        let view = View { part: Part::From(from), rows: 10, only: None, cancel: &cancel };
        look_inside(&bench.vault, keys, &snapshot, name, &view)
    };
    let page = look(&bench.keys(), "tree.tar", 0).unwrap();
    assert_eq!((page.rows.len(), page.from, page.next), (10, 0, Some(10)));
    let last = look(&bench.keys(), "tree.tar", 20).unwrap();
    assert_eq!((last.rows.len(), last.next), (5, None));
    assert_eq!(last.rows[4][0], "srv/24");
    let none = look(&bench.keys(), "other", 0).unwrap_err();
    assert_eq!(none.exit, Exit::Nothing);
    let locked = look(&Keys::none(), "tree.tar", 0).unwrap_err();
    assert_eq!(locked.exit, Exit::Vault, "{}", locked.message);
    cancel.cancel();
    assert_eq!(look(&bench.keys(), "tree.tar", 0).unwrap_err().exit, Exit::Cancelled);
}

#[test]
fn two_snapshots_differ_by_what_was_added_removed_and_changed() {
    let bench = Bench::new();
    let cancel = Cancel::new();
    let before = archive(&[("etc/a", b"1"), ("etc/b", b"22"), ("etc/gone", b"3")]);
    let after = archive(&[("etc/a", b"1"), ("etc/b", b"4444"), ("etc/new", b"5")]);
    let old = put(&bench, vec![("tree.tar", before.clone()), ("kept.tar", archive(&[])), ("old.tar", archive(&[]))]);
    let new = put(&bench, vec![("tree.tar", after), ("kept.tar", archive(&[]))]);
    let found = compare(&bench.vault, &bench.keys(), &old, &new, &cancel).unwrap();
    let told = |change: &Change| match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed { .. } => "changed",
    };
    let differences: Vec<_> = found.differences.iter().map(|d| (&*d.file, &*d.entry, told(&d.change))).collect();
    assert_eq!(
        differences,
        [
            ("old.tar", "", "removed"),
            ("tree.tar", "etc/b", "changed"),
            ("tree.tar", "etc/gone", "removed"),
            ("tree.tar", "etc/new", "added"),
        ]
    );
    assert_eq!((found.counts, found.alike), ([1, 2, 1], 2));
    let same = compare(&bench.vault, &bench.keys(), &old, &old, &cancel).unwrap();
    assert!(same.is_alike());
    assert_eq!(same.notes, Vec::<String>::new());
    // The same names, sizes and times with other bytes are not alike.
    let other = put(&bench, vec![("tree.tar", archive(&[("etc/a", b"9"), ("etc/b", b"22"), ("etc/gone", b"3")]))]);
    let alone = put(&bench, vec![("tree.tar", before)]);
    let found = compare(&bench.vault, &bench.keys(), &alone, &other, &cancel).unwrap();
    assert_eq!(found.counts, [0, 0, 1]);
    assert_eq!(found.notes, ["'tree.tar' was compared as a whole."]);
    let locked = compare(&bench.vault, &Keys::none(), &alone, &other, &cancel).unwrap_err();
    assert_eq!(locked.exit, Exit::Vault);
    cancel.cancel();
    assert_eq!(compare(&bench.vault, &bench.keys(), &alone, &other, &cancel).unwrap_err().exit, Exit::Cancelled);
}

#[test]
fn holdings_say_of_each_copy_what_its_catalogue_says() {
    let bench = Bench::new();
    let mut copy = Copy::secret(&bench);
    for _ in 0..3 {
        bench.put(&copy).unwrap();
    }
    copy.verified = false;
    bench.put(&copy).unwrap();
    bench.put(&Copy { item: item("spare-1/files/tree"), ..Copy::secret(&bench) }).unwrap();
    let (holdings, catalogue) =
        (Holdings::read(&bench.vault, bench.clock.now()).unwrap(), bench.vault.catalogue().unwrap());
    assert_eq!(holdings.items.len(), 2);
    let place = item("val-1/avalanchego/staking-identity");
    let judged = catalogue.judged(&place, &lifeboat::vault::Policy::default());
    let copies = holdings.copies(&place);
    assert_eq!(copies.len(), 4);
    for (view, candidate) in copies.iter().zip(&judged) {
        assert_eq!(view.id, *candidate.snapshot.id());
        assert_eq!(view.against, candidate.against);
        assert_eq!(view.size.0, candidate.snapshot.plain_size());
        assert_eq!(view.verified_at(), candidate.snapshot.verified_at());
        for rung in [Rung::Copied, Rung::Verified, Rung::Proven] {
            assert_eq!(view.holds(rung), candidate.snapshot.holds(rung).map(|proof| proof.at));
        }
    }
    assert_eq!(copies[0].against, ["not verified"]);
}
