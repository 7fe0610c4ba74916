//! Judging by policies and the clock, and the last look as a file anybody could have written.

use jiff::{SignedDuration, Timestamp};

use super::last_look::{self, About, Seen};
use super::*;
use crate::engine::holdings::{ProofView, last_proof, newest};
use crate::model::exit::Exit;

const INVENTORY: &str = r#"
version = 1
[vault]
path = "/vault"
[policy]
max_age = "10h"
verify_every = "7d"
[hosts.val-1]
address = "10.0.0.11"
[hosts.val-1.services.avalanchego]
[hosts.val-2.services.avalanchego.policy]
max_age = "60s"
"#;

const HOUR: i64 = 3600;

fn now() -> Timestamp {
    "2026-11-20T02:50:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn inventory() -> Inventory {
    let path = std::path::Path::new("/inventory.toml");
    crate::config::parse_inventory(INVENTORY, path, path).unwrap().inventory
}

fn copy(age: i64, checked: Option<i64>) -> CopyView {
    let proof = |rung, age| ProofView { rung, at: ago(age), passed: true };
    let proofs = std::iter::once(proof(Rung::Copied, age)).chain(checked.map(|age| proof(Rung::Verified, age)));
    CopyView {
        id: SnapshotId::new(format!("20261120T000000Z-{:04x}", age & 0xffff)).unwrap(),
        created: ago(age),
        source: HostId::new("val-1").unwrap(),
        size: ByteSize(1200),
        stored: ByteSize(1400),
        sealed: true,
        proofs: proofs.collect(),
        against: if checked.is_some() { Vec::new() } else { vec!["not verified".to_owned()] },
        marks: Vec::new(),
    }
}

fn place(owner: &str) -> ItemRef {
    ItemRef {
        owner: OwnerId::new(owner).unwrap(),
        service: ServiceName::new("avalanchego").unwrap(),
        item: crate::model::ids::ItemId::new("staking-identity").unwrap(),
    }
}

fn identity(value: &str) -> Identity {
    Identity { kind: "avalanche-node-id".to_owned(), value: value.to_owned() }
}

fn fleet_with(owner: &str, copies: Vec<CopyView>) -> Fleet {
    let mut fleet = Fleet::of_inventory(&inventory());
    let shelf = Shelf { copies: copies.into(), identities: [identity("NodeID-a")].into(), ..Shelf::default() };
    let holdings = Holdings { items: [(place(owner), shelf)].into(), ..Holdings::default() };
    fleet.take_holdings(&holdings, now());
    fleet.judge(now());
    fleet
}

fn state_with(copies: Vec<CopyView>) -> (ItemState, String) {
    let fleet = fleet_with("val-1", copies);
    let item = fleet.item(&place("val-1")).unwrap();
    (item.state, item.why.clone())
}

#[test]
fn age_is_judged_by_the_nearest_policy() {
    assert_eq!(state_with(vec![copy(HOUR, Some(HOUR))]).0, ItemState::Ok);
    assert_eq!(state_with(vec![copy(8 * HOUR + 1, Some(HOUR))]).0, ItemState::Due);
    assert_eq!(state_with(vec![copy(10 * HOUR + 1, Some(HOUR))]).0, ItemState::Stale);
    // A limit below a hundred seconds has a due time of its own too.
    for (age, state) in [(40, ItemState::Ok), (50, ItemState::Due), (61, ItemState::Stale)] {
        let fleet = fleet_with("val-2", vec![copy(age, Some(age))]);
        assert_eq!(fleet.item(&place("val-2")).unwrap().state, state, "{age} s");
    }
}

#[test]
fn a_check_that_is_long_ago_is_due_and_a_copy_without_one_is_unverified() {
    let (state, why) = state_with(vec![copy(HOUR, Some(8 * 24 * HOUR))]);
    assert_eq!((state, why.as_str()), (ItemState::Due, "Its last check is longer ago than 7d."));
    assert_eq!(state_with(vec![copy(HOUR, None)]).0, ItemState::Unverified);
    // An older good copy still counts while the newest waits for its check.
    assert_eq!(state_with(vec![copy(HOUR, None), copy(2 * HOUR, Some(HOUR))]).0, ItemState::Ok);
}

#[test]
fn a_copy_from_the_future_is_said_and_a_clock_that_lags_a_little_is_not() {
    let (state, why) = state_with(vec![copy(-3 * HOUR, Some(HOUR))]);
    assert_eq!(state, ItemState::Suspect);
    assert_eq!(why, "The newest copy is dated 3h ahead of this console's clock; check both clocks.");
    assert_eq!(state_with(vec![copy(-60, Some(-60))]).0, ItemState::Ok);
}

#[test]
fn a_check_dated_ahead_is_said_and_outranks_none_that_is_not() {
    let year = 365 * 24 * HOUR;
    let (state, why) = state_with(vec![copy(HOUR, Some(-4 * year))]);
    assert_eq!(state, ItemState::Due);
    assert!(why.contains("is dated 1460d ahead of this console's clock; verify it again"), "{why}");
    let copies = [copy(HOUR, Some(-4 * year)), copy(2 * HOUR, Some(HOUR)), copy(3 * HOUR, Some(2 * HOUR))];
    assert_eq!(last_proof(&copies, now()), Some((Rung::Verified, ago(HOUR))));
    assert_eq!(last_proof(&copies[..1], now()), Some((Rung::Verified, ago(-4 * year))), "the only one there is");
    let dates = || copies.iter().filter_map(|copy| copy.holds(Rung::Verified));
    assert_eq!(newest(dates(), now()), Some(ago(HOUR)));
}

#[test]
fn another_identity_on_the_node_is_a_change_and_a_silent_node_is_said() {
    let mut fleet = fleet_with("val-1", vec![copy(HOUR, Some(HOUR))]);
    let owner = OwnerId::new("val-1").unwrap();
    let found = FoundView {
        host: HostId::new("val-1").unwrap(),
        at: now(),
        present: true,
        version: None,
        variant: None,
        identities: vec![identity("NodeID-a")],
        units: Vec::new(),
        outside: false,
        notes: Vec::new(),
        own: Box::default(),
    };
    fleet.owner_mut(&owner).unwrap().services[0].found = Some(found.clone());
    fleet.judge_owner(&owner, now());
    assert_eq!(fleet.item(&place("val-1")).unwrap().state, ItemState::Ok);
    fleet.owner_mut(&owner).unwrap().services[0].found =
        Some(FoundView { identities: vec![identity("NodeID-b")], ..found });
    fleet.judge_owner(&owner, now());
    let item = fleet.item(&place("val-1")).unwrap();
    assert_eq!(item.state, ItemState::Changed);
    assert_eq!(item.why, "What runs there now has another avalanche node id than the copy.");
    let view = fleet.owner_mut(&owner).unwrap();
    view.services[0].found = None;
    view.reach = Reach::Failed(now(), Failure::new(Exit::Unreachable, "No answer."));
    fleet.judge_owner(&owner, now());
    assert_eq!(fleet.item(&place("val-1")).unwrap().state, ItemState::Unreachable);
}

#[test]
fn states_are_counted_each_as_itself() {
    assert!(ItemState::ALL.into_iter().enumerate().all(|(at, state)| state as usize == at), "they are told by number");
    let fleet = fleet_with("val-1", vec![copy(11 * HOUR, Some(HOUR))]);
    assert_eq!(fleet.counts(), BTreeMap::from([(ItemState::Stale, 1)]));
}

#[test]
fn what_speaks_against_the_newest_copy_makes_the_item_suspect() {
    let shrunk = CopyView { against: vec!["shrank from 9 KiB to 1 KiB".to_owned()], ..copy(HOUR, Some(HOUR)) };
    let (state, why) = state_with(vec![shrunk, copy(2 * HOUR, Some(HOUR))]);
    assert_eq!(state, ItemState::Suspect);
    assert_eq!(why, "The newest copy is suspect: shrank from 9 KiB to 1 KiB.");
}

fn about() -> About {
    About { inventory: inventory().path, digest: [7; 32], vault: None }
}

fn write(state_dir: &std::path::Path, fleet: &Fleet) {
    last_look::write(state_dir, &about(), &inventory().vault.path, fleet, now()).unwrap();
}

/// The fleet of [`inventory`] as it is remembered in a state directory.
fn remembered(state_dir: &std::path::Path, now: Timestamp) -> (Fleet, Option<String>) {
    let (seen, why) = last_look::begin(state_dir, &inventory().path, now).finish();
    (Seen::fleet_of(seen, &inventory(), now), why)
}

#[test]
fn the_last_look_comes_back_whole_and_is_judged_by_the_new_clock() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = fleet_with("val-1", (1..9).map(|n| copy(n * HOUR, Some(n * HOUR))).collect());
    write(dir.path(), &fleet);
    let later = now() + SignedDuration::from_secs(20 * HOUR);
    let (read, why) = remembered(dir.path(), later);
    assert_eq!(why, None);
    assert_eq!(read.remembered, Some(now()));
    let item = read.item(&place("val-1")).unwrap();
    assert_eq!(item.state, ItemState::Stale);
    assert!(item.copies().len() <= 3, "{} copies", item.copies().len());
    assert_eq!(item.last_good(), Some(ago(HOUR)));
    assert_eq!(item.shelf.identities[..], [identity("NodeID-a")]);
    // Read once from the vault, it is no memory any more.
    let mut read = read;
    read.take_holdings(&Holdings::default(), later);
    assert_eq!(read.remembered, None);
    assert!(read.item(&place("val-1")).unwrap().copies().is_empty());
}

/// The owners of a fleet, every word of them.
fn shown(fleet: &Fleet) -> String {
    format!("{:#?}", *fleet.owners)
}

#[test]
fn a_look_at_the_very_same_inventory_is_the_fleet_before_the_inventory_is_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &fleet_with("val-1", vec![copy(HOUR, Some(HOUR)), copy(2 * HOUR, None)]));
    let seen = || last_look::begin(dir.path(), &inventory().path, now()).finish().0.unwrap();
    let early = seen().fleet;
    assert_eq!(shown(&early), shown(&Seen::fleet_of(Some(seen()), &inventory(), now())));
    assert!(early.item(&place("val-1")).is_some());
    assert!(seen().is_about(&about()));
    for other in [
        About { digest: [8; 32], ..about() },
        About { vault: Some("/vault".into()), ..about() },
        About { inventory: "/other.toml".into(), ..about() },
    ] {
        assert!(!seen().is_about(&other), "{other:?}");
    }
}

#[test]
fn a_last_look_that_is_wrong_or_hostile_is_left_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = last_look::path(dir.path(), &inventory().path);
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let (fleet, why) = remembered(dir.path(), now());
        assert_eq!(fleet.remembered, None);
        assert_eq!(fleet.owners.len(), 2);
        why
    };
    for bytes in [&b""[..], b"{", b"\xff\xfe", b"[[[[[[[[", &"[".repeat(100_000).into_bytes()] {
        assert!(read(bytes).is_some_and(|why| why.starts_with("The last look is left aside: ")));
    }
    let good = |version: u32, vault: &str, owners: &str| {
        format!(
            "{{\"version\":{version},\"about\":{},\"vault\":\"{vault}\",\"at\":\"2026-11-20T02:50:00Z\",\"policies\":[],\"settled\":[],\"owners\":{}}}\n{owners}",
            serde_json::to_string(&about()).unwrap(),
            owners.lines().count()
        )
    };
    assert_eq!(
        read(good(1, "/vault", "").as_bytes()).as_deref(),
        Some("The last look is left aside: it has version 1, and this program writes 4.")
    );
    let owner = |items: &str| {
        format!(r#"["val-1",[],[],"","unknown",null,[["avalanchego","avalanchego",0,null,null,[{items}]]]]"#)
    };
    let item = r#"["x",null,[["20261120T005000Z-7f3a","val-1",9223372036854775807,1,1,true,[[9,0,true]],[],[]]],[]]"#;
    assert!(read(good(4, "/vault", &owner(item)).as_bytes()).is_some_and(|why| why.contains("in it is none")));
    assert_eq!(
        read(good(4, "/vault", &owner("")).as_bytes()).as_deref(),
        Some("The last look is left aside: it names a policy it has not.")
    );
    let cut = good(4, "/vault", "").replace("\"owners\":0", "\"owners\":3");
    assert_eq!(read(cut.as_bytes()).as_deref(), Some("The last look is left aside: it has 0 of 3 owners."));
    // Of another vault: not wrong, only not about what is shown.
    assert_eq!(read(good(4, "/else", "").as_bytes()), None);
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let (_, why) = remembered(dir.path(), now());
    assert_eq!(why.as_deref(), Some("The last look is left aside: it is no regular file."));
}

#[test]
fn what_a_last_look_says_cannot_drive_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let mut fleet = fleet_with("val-1", Vec::new());
    let owner = OwnerId::new("val-1").unwrap();
    let evil = Failure::new(Exit::Unreachable, "a\u{1b}[2Jb\u{202e}c").hint("d\u{7}");
    fleet.owner_mut(&owner).unwrap().reach = Reach::Failed(now(), evil);
    write(dir.path(), &fleet);
    let (read, why) = remembered(dir.path(), now());
    assert_eq!(why, None);
    let Reach::Failed(_, failure) = &read.owner(&owner).unwrap().reach else { panic!("not failed") };
    assert_eq!(failure.message, "a\\x1b[2Jb\\u{202e}c");
    assert_eq!(failure.hints, ["d\\x07"]);
}

/// What a probe finds of a validator that runs with an identity.
fn running_as(host: &str, value: &str, at: Timestamp) -> FoundView {
    let unit = UnitFacts {
        unit: crate::model::ids::UnitName::new("avalanchego.service").unwrap(),
        load: "loaded".into(),
        active: "active".into(),
        enabled: "enabled".into(),
        invocation: host.into(),
        main_pid: 7,
        fenced: false,
    };
    FoundView {
        host: HostId::new(host).unwrap(),
        at,
        present: true,
        version: None,
        variant: None,
        identities: vec![identity(value)],
        units: vec![unit],
        outside: false,
        notes: Vec::new(),
        own: Box::default(),
    }
}

fn look(fleet: &mut Fleet, host: &str, value: &str, at: Timestamp) {
    let owner = OwnerId::new(host).unwrap();
    let service = &mut fleet.owner_mut(&owner).unwrap().services[0];
    service.found = Some(running_as(host, value, at));
    if service.items.is_empty() {
        service.items.push(blank_item(place(host)));
    }
    fleet.judge_owner(&owner, now());
}

fn states(fleet: &Fleet) -> [ItemState; 2] {
    ["val-1", "val-2"].map(|host| fleet.item(&place(host)).unwrap().state)
}

#[test]
fn a_twin_shows_on_both_hosts_as_soon_as_the_second_is_seen_and_on_neither_once_one_is_another() {
    let mut fleet = fleet_with("val-1", vec![copy(HOUR, Some(HOUR))]);
    look(&mut fleet, "val-1", "NodeID-a", ago(180));
    assert_eq!(fleet.item(&place("val-1")).unwrap().state, ItemState::Ok);
    look(&mut fleet, "val-2", "NodeID-a", now());
    assert_eq!(states(&fleet), [ItemState::Twin; 2]);
    let why = |host: &str| fleet.item(&place(host)).unwrap().why.clone();
    let advice = "Stop one of them for good: docs/services/avalanchego.md, Twins.";
    assert_eq!(why("val-1"), format!("The same identity also runs on val-2 (looked at just now). {advice}"));
    assert_eq!(why("val-2"), format!("The same identity also runs on val-1 (looked at 3m ago). {advice}"));
    assert_eq!(fleet.owner(&OwnerId::new("val-2").unwrap()).unwrap().worst(), ItemState::Twin);
    fleet.judge(now());
    assert_eq!(states(&fleet), [ItemState::Twin; 2], "however it is judged");
    // The node configuration of the same service holds no identity.
    let config = ItemRef { item: crate::model::ids::ItemId::new("node-config").unwrap(), ..place("val-1") };
    let owner = fleet.owner_mut(&config.owner).unwrap();
    owner.services[0].items.push(blank_item(config.clone()));
    fleet.judge(now());
    assert_eq!(fleet.item(&config).unwrap().state, ItemState::Never);
    look(&mut fleet, "val-2", "NodeID-b", now());
    assert_eq!(states(&fleet), [ItemState::Ok, ItemState::Never]);
}

#[test]
fn the_look_of_before_a_restore_is_remembered_as_one_that_alarms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut fleet = fleet_with("val-1", vec![copy(HOUR, Some(HOUR))]);
    look(&mut fleet, "val-1", "NodeID-a", ago(180));
    let settled = Settled { identities: vec![identity("NodeID-a")], at: ago(60) };
    let useless = Settled { identities: vec![identity("NodeID-c")], at: ago(60) };
    let holdings = Holdings { settled: vec![settled.clone(), useless], ..Holdings::default() };
    fleet.take_holdings(&holdings, now());
    assert_eq!(fleet.settled, std::slice::from_ref(&settled), "what no look depends on is let go");
    look(&mut fleet, "val-2", "NodeID-a", now());
    assert!(fleet.twins().is_empty());
    write(dir.path(), &fleet);
    let early = last_look::begin(dir.path(), &inventory().path, now()).finish().0.unwrap().fleet;
    let (mut read, _) = remembered(dir.path(), now());
    assert!(early.twins().is_empty() && read.twins().is_empty());
    // Seen again, it is a twin; and that is remembered too.
    look(&mut read, "val-1", "NodeID-a", now());
    assert_eq!(read.twins().len(), 1);
    read.judge(now());
    assert!(read.settled.is_empty(), "nothing depends on it any more");
    write(dir.path(), &read);
    let early = last_look::begin(dir.path(), &inventory().path, now()).finish().0.unwrap().fleet;
    assert_eq!(states(&early), [ItemState::Twin; 2]);
    // A run that came to nothing settled nothing.
    let mut again = fleet_with("val-1", Vec::new());
    look(&mut again, "val-1", "NodeID-a", ago(180));
    look(&mut again, "val-2", "NodeID-a", now());
    again.settle(settled.clone());
    again.judge(now());
    assert!(again.twins().is_empty());
    again.unsettle(&settled);
    again.judge(now());
    assert_eq!(again.twins().len(), 1);
}
