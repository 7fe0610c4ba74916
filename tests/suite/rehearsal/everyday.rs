//! What an operator does every day, and the exercise, on the practice fleet.

use std::collections::BTreeSet;
use std::time::Instant;

use lifeboat::engine::fleet::origin::Origins;
use lifeboat::model::ids::ItemId;
use serde_json::Value;

use super::demo::{Demo, lifeboat};

#[test]
fn doctor_scan_backup_verify_and_restore_work_on_it() {
    let demo = Demo::start();
    let nodes = demo.told["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 12);

    // One node is down, the others are in order.
    let health = demo.call(&["doctor"]).expect(3).says("cache-1 could not be reached");
    for node in nodes.iter().filter(|node| node["host"] != "cache-1") {
        assert!(health.out.contains(node["host"].as_str().unwrap()));
    }
    assert_eq!(health.out.matches("FAIL").count(), 1, "{}", health.out);

    let scan = demo.call(&["scan", "group:validators"]).expect(5);
    let node_id = |host: &str| {
        let row = scan.out.lines().find(|line| line.starts_with(&format!("{host}/avalanchego/staking-identity")));
        row.unwrap()
            .split_whitespace()
            .find(|word| word.starts_with("NodeID-"))
            .map(|id| id.trim_end_matches(',').to_owned())
    };
    assert!(node_id("val-1").is_some() && node_id("val-1") != node_id("val-2"));
    assert_eq!(node_id("val-3"), node_id("val-4"), "val-4 runs with the identity of val-3");
    assert_eq!(node_id("spare-1"), None);

    // It is a finding, also where a host that is down would make it partly done; and a backup says it and is made.
    let twin = node_id("val-3").unwrap();
    let told = format!("finding: {twin} runs on val-3 and on val-4.");
    assert_eq!(scan.out.matches("finding: ").count(), 1, "{}", scan.out);
    scan.says(&told).says("  next: Stop one of them for good: docs/services/avalanchego.md, Twins.");
    let whole = demo.call(&["--json", "scan"]).expect(5).documents();
    let finding = whole.iter().find(|document| document["kind"] == "finding").unwrap();
    assert_eq!((&finding["level"], &finding["identities"][0]["value"]), (&"critical".into(), &twin.as_str().into()));
    let hosts: Vec<_> = finding["places"].as_array().unwrap().iter().map(|place| place["host"].clone()).collect();
    assert_eq!(hosts, ["val-3", "val-4"]);
    demo.call(&["scan", "val-1", "val-2", "val-3"]).expect(0);
    let both = ["val-3/avalanchego/staking-identity", "val-4/avalanchego/staking-identity"];
    let expects = "expect: The same identity also runs on val-3 (looked at just now).";
    demo.call(&[&["backup"][..], &both].concat()).expect(0).says(expects).says("val-4/avalanchego/staking-identity@");

    // Nothing that is restored may run twice.
    demo.call(&["restore", "val-3/avalanchego/staking-identity", "--to", "spare-1"]).expect(17);

    demo.call(&["backup", "val-2", "web-3"]).expect(7);
    demo.call(&["backup", "web-1/files/tree", "--plan-hash", "0"]).expect(16).says("The plan is now");
    let backed_up = demo.call(&["backup", "val-2", "web-1", "dc1", "consul-3"]).expect(0);
    let own = ["consul-3/consul/agent-config@", "consul-3/consul/node-identity@"];
    for item in ["val-2/avalanchego/staking-identity@", "web-1/files/tree@", "dc1/consul/snapshot@"].iter().chain(&own)
    {
        assert!(backed_up.out.contains(item), "{item}\n{}", backed_up.out);
    }
    for (item, why) in [
        ("dc1/consul/agent-config", "Each member has its own, which is saved under the member."),
        ("consul-3/consul/snapshot", "It is saved once for all members, as dc1/consul/snapshot."),
    ] {
        assert!(!backed_up.out.contains(&format!("{item}@")), "{}", backed_up.out);
        assert!(backed_up.err.contains(&format!("{item}: not backed up: {why}")), "{}", backed_up.err);
    }
    let shown = |demo: &Demo| demo.call(&["list", "mon-1/netdata/config"]).expect(0).out;
    assert!(!shown(&demo).contains(" verified "), "{}", shown(&demo));
    demo.call(&["verify"]).expect(0).says("val-2/avalanchego/staking-identity");
    assert!(shown(&demo).contains(" verified "), "a check brings it back: {}", shown(&demo));

    // What the last copy holds is brought back, and the site serves it: the newest copy of web-2 is suspect.
    let restored = demo.call(&["restore", "web-2/files/tree", "--to", "web-2", "--confirm", "overwrite=web-2"]);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(restored.err.contains("passed over"), "{}", restored.err);
    assert!(restored.out.contains("restored and proven"), "{}", restored.out);

    // So says the run that made it; of one whose copy is well, nothing is said but its name.
    let runs = demo.call(&["runs"]).expect(0).out;
    let made = runs.lines().filter(|line| line.contains("backup web-2/files/tree"));
    let copies: Vec<String> = made
        .map(|line| demo.call(&["runs", line.split_whitespace().next().unwrap()]).expect(0).out)
        .flat_map(|told| told.lines().filter(|line| line.starts_with("  copy ")).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let (suspect, well): (Vec<_>, Vec<_>) = copies.iter().partition(|line| line.contains(": suspect: "));
    assert!(suspect.len() == 1 && !well.is_empty(), "{copies:#?}");
    assert!(well.iter().all(|line| line.starts_with("  copy web-2/files/tree@") && !line.contains(": ")), "{well:#?}");
}

#[test]
fn a_datacenter_is_put_back_whole() {
    let demo = Demo::start();
    let restore = ["restore", "dc1/consul/snapshot", "--to", "consul-1"];
    demo.call(&restore).expect(15).says("--confirm overwrite=dc1");
    demo.call(&[&restore[..], &["--confirm", "overwrite=dc1"]].concat()).expect(0).says("restored and proven");
    demo.call(&["list"]).expect(0).says("consul-1/consul/snapshot@");
}

#[test]
fn the_exercise_ends_with_a_receipt_on_eighty_columns() {
    let place = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let output = lifeboat(place.path()).args(["demo", "--exercise"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}\n{err}");
    println!("the exercise took {:.1} s", began.elapsed().as_secs_f64());
    for said in ["9/9  Read the receipt", "restored and proven", "proven    passed", "done, receipt "] {
        assert!(text.contains(said), "'{said}' is not in\n{text}");
    }
    let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "something is left");
}

/// The names of all values of a tree but those that stand beside a `from` of their own.
fn untold(prefix: &str, value: &Value, names: &mut Vec<String>) {
    match value.as_object() {
        Some(map) if map.get("from").is_some_and(Value::is_string) => {}
        Some(map) => map.iter().for_each(|(key, value)| untold(&format!("{prefix}.{key}"), value, names)),
        None => names.push(prefix.trim_start_matches('.').to_owned()),
    }
}

/// Each identity that runs lies in an item, by whose row a twin is told.
fn identities_lie_in_items(document: &Value) {
    let driver = lifeboat::services::driver(document["driver"].as_str().unwrap()).unwrap();
    let items = document["items"].as_array().unwrap().iter();
    let items: Vec<ItemId> = items.map(|item| ItemId::new(item["id"].as_str().unwrap()).unwrap()).collect();
    for kind in document["facts"]["identities"].as_array().unwrap().iter().map(|identity| &identity["kind"]) {
        let holds = |item: &ItemId| driver.identities_in(item).iter().any(|held| kind == held);
        assert!(items.iter().any(holds), "{}: no item holds its {kind}", document["service"]);
    }
}

/// A new driver tells where its facts come from: by its table of origins, by what its probe notes, or by a `from` beside
/// a value. Each is one place, not a list of those where it may have been.
#[test]
fn every_driver_tells_where_each_of_its_facts_comes_from() {
    let demo = Demo::start();
    let mut kinds = BTreeSet::new();
    for document in demo.call(&["--json", "scan"]).documents() {
        let (Some(kind), true) = (document["driver"].as_str(), document["facts"]["own"].is_object()) else {
            continue;
        };
        kinds.insert(kind.to_owned());
        identities_lie_in_items(&document);
        let mut own = document["facts"]["own"].clone();
        let origins = Origins::of(kind, &mut own);
        let mut facts = vec!["version".to_owned()];
        untold("", &own, &mut facts);
        for fact in facts.iter().filter(|fact| *fact != "version" || !document["facts"]["version"].is_null()) {
            let origin = origins.of_fact(fact);
            assert!(
                origin != "its probe" && !origin.contains(" else ") && !origin.contains(" or "),
                "{kind}: {fact}: {origin}"
            );
        }
    }
    let known: BTreeSet<_> = lifeboat::services::REGISTRY.iter().map(|driver| driver.kind().to_owned()).collect();
    assert_eq!(kinds, known);
}
