//! What is inside a copy and how two differ, where names are long; and what the real readers find in real artefacts.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lifeboat::engine::compare::compare;
use lifeboat::engine::inside::{ROWS, View, look_inside};
use lifeboat::model::clock::Clock;
use lifeboat::model::item::Sensitivity;
use lifeboat::model::manifest::Rung;
use lifeboat::transport::Cancel;
use lifeboat::tui::message::{Compared, Effect, Notice, Order};
use lifeboat::vault::{Keys, Sealing, Snapshot, Vault, render_card};
use tempfile::TempDir;

use super::cast::{self, DAY, HOUR, copy, place, seen, shelf};
use super::stage::Stage;
use super::wizard_cast::long_item;
use crate::assert_page;
use crate::vault::{Copy, Counted, HeldClock, item, proof, recipe, staged};

/// The certificate of a node, as its own software made it.
const CERTIFICATE: &[u8] = include_bytes!("../../fixtures/services/avalanchego/staker.crt");

/// What `consul snapshot save` wrote.
const CONSUL: &[u8] = include_bytes!("../../fixtures/formats/consul-1.20.1.snap");

/// A name that has room in no column, and an archive that is named like it.
const LONG: &str =
    "srv/a-directory-deep-down/below-another-one/of-the-far-corner-of-rack-27/日本語の名前/and-its-last-page.json";
const LONG_FILE: &str = "everything-that-lies-below-the-directory-of-the-far-corner-of-rack-27-and-of-rack-28.tar";

/// A vault with copies of one item.
struct Stored {
    vault: Vault,
    place: String,
    /// Oldest first.
    snapshots: Vec<Snapshot>,
    clock: HeldClock,
    entropy: Counted,
    _dir: TempDir,
}

impl Stored {
    fn of(place: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let (clock, entropy) = (HeldClock::at("2026-11-19T00:50:00Z"), Counted(AtomicU64::new(1)));
        let vault = Vault::create(&dir.path().join("vault"), &[], &clock, &entropy).unwrap();
        Self { vault, place: place.to_owned(), snapshots: Vec::new(), clock, entropy, _dir: dir }
    }

    fn put(mut self, format: &str, files: Vec<(&'static str, Vec<u8>)>) -> Self {
        let (sealing, item) = (Sealing::plaintext_allowed(), item(&self.place));
        let copy = Copy { item, sealing, sensitivity: Sensitivity::Plain, files, identity: None, verified: true };
        let (staging, mut manifest, mut proofs, _) = staged(&self.vault, &copy, &self.clock, &self.entropy).unwrap();
        manifest.format = format.into();
        manifest.created = self.clock.now();
        proofs.push(proof(Rung::Openable, true, &self.clock));
        let card = render_card(&manifest, &recipe());
        staging.publish(&manifest, &proofs, &card, &self.clock, &self.entropy).unwrap();
        let known: Vec<_> = self.snapshots.iter().map(|snapshot| snapshot.id().clone()).collect();
        let all = self.vault.catalogue().unwrap().snapshots;
        self.snapshots.extend(all.into_iter().filter(|snapshot| !known.contains(snapshot.id())));
        self.clock.pass(std::time::Duration::from_hours(24));
        self
    }

    /// The page of the item, its newest copy selected.
    fn page(&self) -> Stage {
        let mut holdings = cast::holdings();
        let copies = self.snapshots.iter().rev().zip([2 * HOUR, DAY + 2 * HOUR]);
        let views = copies.map(|(snapshot, age)| {
            let mut view = copy(age, snapshot.manifest().files[0].plain_size, Some(age));
            view.id = snapshot.id().clone();
            view
        });
        holdings.items.clear();
        holdings.items.insert(place(&self.place), shelf(views.collect()));
        let mut stage = seen();
        stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
        stage.keys("V enter");
        stage
    }

    /// The files of the newest copy.
    fn files(&self) -> Stage {
        let mut stage = self.page();
        let newest = self.snapshots.last().unwrap();
        stage.keys("enter");
        stage.notice(Notice::Snapshot(place(&self.place), newest.id().clone(), Ok(Box::new(newest.clone()))));
        self.answer(&mut stage);
        stage
    }

    /// What was asked of the inside of a copy, as the crew would tell it.
    fn answer(&self, stage: &mut Stage) {
        for effect in std::mem::take(&mut stage.asked) {
            if let Effect::Order(Order::LookInside(peek)) = effect {
                let view = View { part: peek.part, rows: ROWS.into(), only: None, cancel: &peek.cancel };
                let snapshot = self.snapshots.iter().find(|one| *one.id() == peek.snapshot).unwrap();
                let found = look_inside(&self.vault, &Keys::none(), snapshot, &peek.file, &view);
                stage.notice(Notice::Inside(peek, found));
            }
        }
    }

    /// The files of the newest copy, and the rows of the one so far down.
    fn rows(&self, down: usize) -> Stage {
        let mut stage = self.files();
        stage.keys(&"down ".repeat(down)).keys("enter");
        self.answer(&mut stage);
        stage
    }
}

/// An archive of these files, as `tar` writes it.
fn archive(files: &[(&str, usize)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, size) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(*size).unwrap());
        header.set_mode(0o640);
        header.set_mtime(1_795_000_000);
        header.set_username("the-owner-of-everything").unwrap();
        header.set_groupname("everybody-else-there").unwrap();
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, name, vec![7; *size].as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn the_inside_of_a_real_identity_names_the_node_and_shows_no_key() {
    let key = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let key = openssl::ec::EcKey::generate(&key).unwrap();
    let key = openssl::pkey::PKey::from_ec_key(key).unwrap().private_key_to_pem_pkcs8().unwrap();
    let secret = String::from_utf8(key.clone()).unwrap().lines().nth(1).unwrap().to_owned();
    let files = vec![("staker.crt", CERTIFICATE.to_vec()), ("staker.key", key), ("signer.key", vec![3; 32])];
    let stored = Stored::of("val-1/avalanchego/staking-identity").put("staking/1", files);
    let mut all = stored.files();
    assert_page!("inside_identity_files", all);
    let mut certificate = stored.rows(0);
    assert!(certificate.grid((120, 40)).contains("NodeID-"), "{}", certificate.grid((120, 40)));
    assert_page!("inside_certificate", certificate);
    let mut staker = stored.rows(1);
    assert!(!staker.grid((120, 40)).contains(&secret[..20]), "{}", staker.grid((120, 40)));
    assert_page!("inside_staker_key", staker);
    let mut signer = stored.rows(2);
    assert_page!("inside_signer_key", signer);
}

#[test]
fn the_inside_of_a_real_consul_snapshot_shows_its_keys_and_no_value() {
    let stored = Stored::of("dc1/consul/snapshot").put("consul-snap/1", vec![("state.snap", CONSUL.to_vec())]);
    let mut stage = stored.files();
    assert_page!("inside_consul_snapshot", stage);
    stage.keys("end y");
    assert!(matches!(stage.asked.last(), Some(Effect::Copy(_))), "a row is selected");
}

#[test]
fn what_is_cut_off_is_said_of_its_inside() {
    let cut = CONSUL[..CONSUL.len() / 2].to_vec();
    let stored = Stored::of("dc1/consul/snapshot").put("consul-snap/1", vec![("state.snap", cut)]);
    let mut stage = stored.files();
    assert_page!("inside_broken", stage);
}

#[test]
fn long_names_stay_inside_what_is_inside_a_copy() {
    let names =
        [(LONG, 412), ("srv/short.json", 9), ("srv/a-name-of-one-piece-that-is-longer-than-anybody-types.json", 70)];
    let files = vec![(LONG_FILE, archive(&names)), ("short.tar", archive(&names[1..]))];
    let stored = Stored::of(&long_item()).put("tar/1", files);
    let mut all = stored.files();
    assert_page!("inside_files_long_names", all);
    let mut rows = stored.rows(0);
    let page = rows.grid((80, 24));
    assert!(page.contains("and-its-last-page.json"), "both ends of a name tell:\n{page}");
    assert_page!("inside_rows_long_names", rows);
}

#[test]
fn long_names_stay_inside_two_copies_compared() {
    let older = archive(&[(LONG, 412), ("srv/gone-since-the-far-corner-of-rack-27-was-cleared-by-somebody.json", 3)]);
    let newer = archive(&[(LONG, 4_120), ("srv/new.json", 9)]);
    let stored = Stored::of(&long_item()).put("tar/1", vec![(LONG_FILE, older)]).put("tar/1", vec![(LONG_FILE, newer)]);
    let mut stage = stored.page();
    stage.keys("d");
    let Some(Effect::Order(Order::Diff(old, new))) = stage.asked.pop() else { panic!("no comparison was ordered") };
    let [before, after] = &stored.snapshots[..] else { panic!("{} copies", stored.snapshots.len()) };
    assert_eq!((&old.1, &new.1), (before.id(), after.id()));
    let found = compare(&stored.vault, &Keys::none(), before, after, &Cancel::new());
    stage.notice(Notice::Compared(Box::new(Compared { old, new, found })));
    stage.keys("down");
    let page = stage.grid((80, 24));
    assert!(page.contains("1 added, 1 removed, 1 changed"), "{page}");
    assert_page!("compare_long_names", stage);
}
