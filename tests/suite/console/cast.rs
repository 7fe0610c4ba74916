//! A small fleet with histories, as data: what the crew would report of it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lifeboat::engine::doctor::{Aspect, Health};
use lifeboat::engine::holdings::{CopyView, Holdings, ProofView, Shelf};
use lifeboat::engine::scan::{Found, Wanted, wanted_of};
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::facts::{Facts, Identity, UnitFacts};
use lifeboat::model::ids::{HostId, ItemId, ItemRef, OwnerId, ServiceName, SnapshotId, UnitName};
use lifeboat::model::inventory::Inventory;
use lifeboat::model::item::{Copying, Item, Sensitivity, Standing};
use lifeboat::model::manifest::Rung;
use lifeboat::model::units::ByteSize;
use lifeboat::tui::message::Notice;

use super::stage::{NOW, Stage};

pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;

/// Seven hosts in two groups, one without, and a cluster.
pub const FLEET: &str = r#"
version = 1
[vault]
path = "/vault"
[policy]
max_age = "24h"
[hosts.val-1]
address = "10.0.0.11"
user = "ops"
groups = ["prod"]
[hosts.val-1.services.avalanchego]
[hosts.val-2]
address = "10.0.0.12"
groups = ["prod"]
[hosts.val-2.services.avalanchego]
[hosts.val-3]
groups = ["prod"]
[hosts.val-3.services.avalanchego]
[hosts.consul-1]
groups = ["prod"]
[hosts.consul-1.services.consul]
[hosts.nats-1]
groups = ["edge"]
[hosts.nats-1.services.files]
paths = ["/srv"]
[hosts.spare-1]
groups = ["edge"]
[hosts.bastion]
[clusters.dc1]
members = ["consul-1"]
[clusters.dc1.services.consul]
"#;

pub fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

pub fn inventory(text: &str) -> Inventory {
    let path = std::path::Path::new("/inventory.toml");
    lifeboat::config::parse_inventory(text, path, std::path::Path::new("/home/ops")).unwrap().inventory
}

pub fn place(text: &str) -> ItemRef {
    let parts: Vec<&str> = text.split('/').collect();
    ItemRef {
        owner: OwnerId::new(parts[0]).unwrap(),
        service: ServiceName::new(parts[1]).unwrap(),
        item: ItemId::new(parts[2]).unwrap(),
    }
}

/// A copy of an age, verified when `checked` says how long ago.
pub fn copy(age: i64, size: u64, checked: Option<i64>) -> CopyView {
    let proof = |rung, age, passed| ProofView { rung, at: ago(age), passed };
    let mut proofs = vec![proof(Rung::Copied, age, true)];
    if let Some(checked) = checked {
        proofs.push(proof(Rung::Openable, checked, true));
        proofs.push(proof(Rung::Verified, checked, true));
    }
    let created = ago(age);
    CopyView {
        id: SnapshotId::new(format!("{}-7f3a", created.strftime("%Y%m%dT%H%M%SZ"))).unwrap(),
        created,
        source: HostId::new("val-1").unwrap(),
        size: ByteSize(size),
        stored: ByteSize(size + 400),
        sealed: true,
        proofs: proofs.into(),
        against: if checked.is_some() { Vec::new() } else { vec!["not verified".to_owned()] },
        marks: Vec::new(),
    }
}

pub fn shelf(copies: Vec<CopyView>) -> Shelf {
    let best = copies.iter().position(|copy| copy.against.is_empty());
    Shelf { copies: copies.into(), identities: Arc::new([]), best: best.ok_or("something speaks against each") }
}

pub const NODE_ID: &str = "NodeID-7xgWjUSFbVFrdET1qh5LPyvQ5dQ9b1Xn2";

pub fn identity() -> Identity {
    Identity { kind: "avalanche-node-id".into(), value: NODE_ID.into() }
}

/// A history: a copy a day for a quarter of a year, some drilled, one whose check failed.
pub fn history() -> Vec<CopyView> {
    let mut copies: Vec<CopyView> = (0..40)
        .map(|n| {
            let age = 2 * HOUR + n * 2 * DAY;
            copy(age, 1_170 + u64::try_from(40 - n).unwrap() * 11, Some(age))
        })
        .collect();
    let drilled = ProofView { rung: Rung::Drilled, at: ago(9 * DAY), passed: true };
    copies[4].proofs = copies[4].proofs.iter().copied().chain([drilled]).collect();
    let failed = ProofView { rung: Rung::Verified, at: ago(30 * DAY), passed: false };
    copies[20].proofs = copies[20].proofs.iter().copied().chain([failed]).collect();
    copies[20].against = vec!["nothing was proven of it, or a check failed".into()];
    copies
}

pub fn holdings() -> Holdings {
    let fresh = |size| shelf(vec![copy(2 * HOUR, size, Some(2 * HOUR)), copy(26 * HOUR, size, Some(26 * HOUR))]);
    let mut items = std::collections::BTreeMap::new();
    let staking = Shelf { identities: [identity()].into(), ..shelf(history()) };
    items.insert(place("val-1/avalanchego/staking-identity"), staking);
    items.insert(place("val-1/avalanchego/node-config"), fresh(420));
    items.insert(place("val-1/avalanchego/chain-configs"), fresh(2_048));
    items.insert(place("val-2/avalanchego/staking-identity"), shelf(vec![copy(50 * HOUR, 1_170, Some(50 * HOUR))]));
    items.insert(place("val-2/avalanchego/node-config"), shelf(vec![copy(3 * HOUR, 410, None)]));
    let shrunk = CopyView { against: vec!["shrank from 9.00 KiB to 1.10 KiB".into()], ..copy(HOUR, 1_126, Some(HOUR)) };
    items.insert(
        place("nats-1/files/tree"),
        shelf(vec![shrunk, copy(25 * HOUR, 9_216, Some(25 * HOUR)), copy(49 * HOUR, 9_000, Some(49 * HOUR))]),
    );
    items.insert(place("dc1/consul/snapshot"), shelf(vec![copy(20 * HOUR, 5 << 20, Some(20 * HOUR))]));
    items.insert(place("old-7/avalanchego/staking-identity"), shelf(vec![copy(200 * DAY, 1_165, Some(100 * DAY))]));
    Holdings { items, ..Holdings::default() }
}

pub fn item(id: &str, title: &str, standing: Standing) -> Item {
    Item {
        id: ItemId::new(id).unwrap(),
        title: title.into(),
        size: Some(ByteSize(1_170)),
        sensitivity: if id.contains("identity") { Sensitivity::Secret } else { Sensitivity::Plain },
        copying: Copying::Live,
        standing,
        format: "tar/1".into(),
        facts: serde_json::json!({"path": "/var/lib/avalanchego", "network": "mainnet", "mode": "0400"}),
    }
}

pub fn wanted(owner: &str) -> Wanted {
    wanted_of(&inventory(FLEET)).into_iter().find(|wanted| wanted.owner.as_str() == owner).unwrap()
}

pub fn found(owner: &str, items: Vec<Item>) -> Found {
    let wanted = wanted(owner);
    let unit = UnitFacts {
        unit: UnitName::new(format!("{}.service", wanted.entry.kind)).unwrap(),
        load: "loaded".into(),
        active: "active".into(),
        enabled: "enabled".into(),
        invocation: "7f3a".into(),
        main_pid: 411,
        fenced: false,
    };
    Found {
        owner: wanted.owner.clone(),
        service: wanted.entry.name.clone(),
        kind: wanted.entry.kind.clone(),
        host: wanted.hosts[0].clone(),
        settings: serde_json::Value::Null,
        facts: Facts {
            present: true,
            version: match wanted.entry.kind.as_str() {
                "avalanchego" => Some("1.13.5".into()),
                "consul" => Some("1.20.1".into()),
                _ => None,
            },
            variant: Some("official installer".into()),
            identities: if owner == "val-1" { vec![identity()] } else { Vec::new() },
            heard: Vec::new(),
            units: vec![unit],
            own: serde_json::json!({
                "network": "mainnet", "user": "avalanche", "paths": {"data": "/var/lib/avalanchego", "db": "/data/db"},
                "api": {"answers": true, "bootstrapped": ["P", "X", "C"]},
                "from": {"network": "config file", "user": "its process", "identities.avalanche-node-id": "its API"},
            }),
            ..Facts::default()
        },
        items,
    }
}

pub fn healthy(host: &str) -> Health {
    let ok = |name, found| Aspect::ok(name, found);
    let aspects = vec![
        ok("reachable", "10.0.0.11:22, round trip 3 ms"),
        ok("host key", "SHA256:jFbWy8cCkq1p2mO8zjT0kU1b3x7LhQb5w2v7z9yYx4o, pinned in the inventory"),
        ok("login", "ops by key ~/.ssh/id_ed25519"),
        ok("root", "sudo, without a password"),
        ok("tools", "all needed; helpful: zstd gzip"),
        Aspect::warning("clock", "+12.0 s from here", "Set the clock there, or here."),
        ok("free space", "18.2 GiB in /var/lib"),
    ];
    Health { host: HostId::new(host).unwrap(), aspects, exit: Exit::Done }
}

pub fn silent(host: &str) -> Health {
    let found = "10.0.0.12:22 does not answer: no route to host.";
    let hint = "Is it on, and is the way there open?";
    let aspects = vec![Aspect::critical("reachable", found, hint)];
    Health { host: HostId::new(host).unwrap(), aspects, exit: Exit::Unreachable }
}

pub fn avalanche_items() -> Vec<Item> {
    vec![
        item("staking-identity", "staking identity", Standing::Ready),
        item("node-config", "node config", Standing::Ready),
        item("chain-configs", "chain configurations", Standing::Ready),
        item("plugins", "plugins", Standing::Absent("the node has none.".into())),
        item("db", "database", Standing::Ready),
    ]
}

/// Reports what one owner has.
pub fn report(stage: &mut Stage, owner: &str, health: Option<Health>, items: Vec<Item>) {
    let id = OwnerId::new(owner).unwrap();
    stage.notice(Notice::Looking(id.clone()));
    if let Some(health) = health {
        stage.notice(Notice::Health(health, now()));
    }
    if !items.is_empty() {
        stage.notice(Notice::Found(Box::new(wanted(owner)), Box::new(Ok(found(owner, items)))));
    }
    stage.notice(Notice::Looked(id, now()));
}

/// The whole fleet, looked at: one host down, one identity that runs nowhere else, one suspect copy.
pub fn seen() -> Stage {
    let mut stage = Stage::of_inventory(FLEET);
    stage.notice(Notice::Vault(Ok(Arc::new(holdings()))));
    report(&mut stage, "val-1", Some(healthy("val-1")), avalanche_items());
    report(&mut stage, "val-2", Some(silent("val-2")), Vec::new());
    report(&mut stage, "consul-1", Some(healthy("consul-1")), Vec::new());
    let gone = Failure::new(Exit::Failed, "consul-1: the agent answers 403 on /v1/snapshot.")
        .hint("Give a token with management rights: token = { command = \"…\" }");
    stage.notice(Notice::Found(Box::new(wanted("consul-1")), Box::new(Err(gone))));
    let tree = vec![item("tree", "tree", Standing::Ready)];
    report(&mut stage, "nats-1", Some(healthy("nats-1")), tree);
    report(&mut stage, "spare-1", Some(healthy("spare-1")), Vec::new());
    let snapshot = vec![item("snapshot", "datacenter snapshot", Standing::Ready)];
    report(&mut stage, "dc1", None, snapshot);
    stage
}
