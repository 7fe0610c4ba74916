//! With a real server, by hand: `LIFEBOAT_CONSUL=127.0.0.1:8500 LIFEBOAT_CONSUL_TOKEN=… cargo test --lib live -- --ignored`.
//!
//! It takes a snapshot, changes a key, restores, and compares. Never point it at a datacenter that matters.

use std::io::{Cursor, Read};

use serde_json::{Value, json};

use super::fake::World;
use super::{Consul, compare};
use crate::model::item::Standing;
use crate::services::Driver;
use crate::services::common::http::{Payload, Request};
use crate::services::consul::api::{Access, Api};

#[test]
#[ignore = "needs a Consul server of its own; see above"]
fn a_real_server_gives_takes_and_equals_its_snapshot() {
    let at = std::env::var("LIFEBOAT_CONSUL").unwrap();
    let token = std::env::var("LIFEBOAT_CONSUL_TOKEN").unwrap();
    let table = format!("http = '{at}'\ntoken = {{ env = '{token}' }}");
    let world = World::new(vec![("/var/lib/lifeboat/runs/", String::new())]);
    let cx = world.cx();
    let facts = Consul.probe(&cx, &Consul.settings(&table.parse().unwrap()).unwrap()).unwrap();
    eprintln!("facts: {facts:#?}");
    assert_eq!(Consul.items(&facts)[0].standing, Standing::Ready);
    let access: Access = serde_json::from_value(facts.own["access"].clone()).unwrap();
    let api = Api::of(&cx, &access).unwrap();
    let kv = |value: &[u8]| {
        let reply = api.ask(Request::send("PUT", "/v1/kv/lifeboat/canary", Payload::Bytes(value)), "Writing").unwrap();
        assert_eq!(reply.status, 200);
    };
    kv(b"before");

    let args = json!({"what": "snapshot", "access": access, "stale": false, "version": facts.version, "seen": "dc1"});
    let mut source = Consul.source(&cx, &args).unwrap();
    let mut bytes = Vec::new();
    source.next().unwrap().unwrap().body.read_to_end(&mut bytes).unwrap();
    eprintln!("{} bytes, learned {:?}, marks {:?}", bytes.len(), source.learned(), source.marks());
    let mut verifier = crate::formats::verifier("consul-snap/1").unwrap();
    verifier.file("state.snap", &mut bytes.as_slice()).unwrap();
    let verdict = verifier.finish().unwrap();
    eprintln!("verdict: {verdict:#?}");
    let compare = json!({"access": access, "expected": compare::comparable(&json!(verdict.facts)).unwrap()});

    kv(b"later!");
    let op = |name: &str, args: &Value| crate::services::op(name).unwrap().run(&cx, args, &Value::Null);
    eprintln!("changed: {:?}", op("consul.compare/1", &compare).unwrap_err());
    eprintln!("ready: {:?}", op("consul.ready/1", &json!({"access": access, "version": facts.version})).unwrap());
    let stored = serde_json::from_value(json!({
        "name": "state.snap", "origin": "x", "mode": null, "owner": null, "group": null, "plain_size": bytes.len(),
        "plain_sha256": null, "stored_name": "state.snap", "stored_size": 9, "stored_sha256": "",
    }));
    let mut sink = Consul.sink(&cx, &json!({"what": "snapshot", "compare": compare})).unwrap();
    sink.put(&stored.unwrap(), &mut Cursor::new(&bytes)).unwrap();
    eprintln!("restored: {:?}", sink.finish().unwrap());
    assert_eq!(op("consul.compare/1", &compare).unwrap()["equal"], true);

    let mut broken = bytes.clone();
    broken.truncate(bytes.len() / 2);
    let stored = serde_json::from_value(json!({
        "name": "state.snap", "origin": "x", "mode": null, "owner": null, "group": null, "plain_size": broken.len(),
        "plain_sha256": null, "stored_name": "state.snap", "stored_size": 9, "stored_sha256": "",
    }));
    let mut sink = Consul.sink(&cx, &json!({"what": "snapshot", "compare": compare})).unwrap();
    eprintln!("half of it: {:?}", sink.put(&stored.unwrap(), &mut Cursor::new(&broken)).unwrap_err());
    assert_eq!(op("consul.compare/1", &compare).unwrap()["equal"], true);

    let wrong = json!({"what": "snapshot", "access": {"http": at, "token": {"env": "wrong"}}, "stale": false});
    let mut source = Consul.source(&cx, &wrong).unwrap();
    eprintln!("wrong token: {:?}", source.next().err().unwrap());
}
