//! A monitoring node of the practice fleet: lost with its samples, and brought back with them.

use serde_json::Value;

use super::demo::Demo;

fn facts(demo: &Demo) -> Value {
    let documents = demo.call(&["--json", "scan", "mon-1"]).documents();
    documents.iter().find(|document| document["facts"].is_object()).unwrap()["facts"].clone()
}

fn snapshot(demo: &Demo, item: &str) -> Value {
    let documents = demo.call(&["--json", "show", item]).documents();
    documents.into_iter().find(|document| document.to_string().contains("\"figures\"")).unwrap()
}

fn find<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|inner| find(inner, key))),
        Value::Array(all) => all.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

#[test]
fn a_lost_monitoring_node_comes_back_with_its_samples() {
    let mut demo = Demo::start();
    let before = facts(&demo);
    assert_eq!(before["variant"], "static install");
    assert_eq!((&before["version"], &before["own"]["db"]["mode"]), (&Value::from("v1.37.1"), &Value::from("dbengine")));
    assert_eq!(before["own"]["dirs"]["cache"]["from"], "running agent");
    demo.call(&["list", "mon-1/netdata/metrics"]).expect(0).says("verified");
    demo.call(&["backup", "mon-1/netdata/metrics", "--plan"]).expect(0).says("expect: Netdata will be down for about");
    demo.call(&["backup", "mon-1"]).expect(0).says("mon-1/netdata/metrics@").says("was down for");

    // What stands in the manifest: samples of every tier, and what was checked of the bytes.
    let saved = snapshot(&demo, "mon-1/netdata/metrics");
    let figures = find(&saved, "figures").unwrap()["samples"].as_array().unwrap().clone();
    for tier in 0..3 {
        let of_tier = figures.iter().filter(|sample| sample["tier"] == tier).count();
        assert_eq!(of_tier, 12, "tier {tier}: three charts at four times each");
    }
    let verified = find(&saved, "verified").unwrap();
    assert_eq!(
        (&verified["charts"], &verified["dimensions"], &verified["metrics"]),
        (&4.into(), &11.into(), &11.into())
    );
    assert!(verified["points"].as_u64().unwrap() > 100_000, "{verified}");

    demo.does("break mon-1 lose-node");
    demo.call(&["scan", "mon-1"]).expect(12);
    demo.does("mend mon-1 lose-node");
    let new = facts(&demo);
    assert_ne!(new["identities"][0], before["identities"][0], "a new machine has another identity");
    let restore = |item: &str| {
        let item = format!("mon-1/netdata/{item}");
        demo.call(&["restore", &item, "--to", "mon-1", "--no-input", "--confirm", "overwrite=mon-1"])
    };
    restore("metrics").expect(1).says("Restore the item 'identity' first");
    restore("identity").expect(0).says("restored and proven");
    restore("config").expect(0);
    restore("metrics").expect(0).says("36 samples of before").says("restored and proven");
    assert_eq!(facts(&demo)["identities"], before["identities"]);
    demo.call(&["list", "mon-1/netdata/metrics"]).expect(0).says("proven");
}

#[test]
fn a_killed_agent_leaves_a_copy_that_holds_nothing_since_its_start() {
    let mut demo = Demo::start();
    let saved = |demo: &Demo| {
        demo.call(&["backup", "mon-1/netdata/metrics"]).expect(0);
        let snapshot = snapshot(demo, "mon-1/netdata/metrics");
        find(&snapshot, "verified").unwrap()["points"].as_u64().unwrap()
    };
    // Two hours were in memory, since the last stop in the fleet's past.
    demo.does("break mon-1 kill-service");
    demo.does("mend mon-1 kill-service");
    let lost = saved(&demo);
    let day = 11 * (24 * 360 + 24 * 60 + 24);
    assert!((day..day + 1000).contains(&lost), "{lost}");
}

#[test]
fn an_agent_that_does_not_end_is_killed_started_again_and_not_saved() {
    let mut demo = Demo::start();
    let listed = |demo: &Demo| demo.call(&["list", "mon-1/netdata/metrics"]).expect(0).out;
    let (before, metrics) = (listed(&demo), ["backup", "mon-1/netdata/metrics"]);
    demo.does("break mon-1 hang-stop");
    demo.call(&metrics).expect(1).says("did not end by itself (timeout)").says("Everything is as it was");
    assert_eq!(listed(&demo), before);
    assert_eq!(facts(&demo)["units"][0]["active"], "active");
    demo.does("mend mon-1 hang-stop");
    demo.call(&metrics).expect(0).says("was down for");
}
