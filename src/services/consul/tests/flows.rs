//! Conversations with a fake agent.

use std::fs;
use std::io::{Cursor, Read};
use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Agent, Asked, Reply, World, in_turn, say};
use super::{Consul, LOOK, SELF};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::item::Standing;
use crate::model::manifest::StoredFile;
use crate::services::Driver;

const LEADER: &str = "\"10.0.0.1:8300\"";
const HEALTHY: &str = r#"{"Healthy":true,"Servers":[{"Name":"a","Version":"1.20.1","Voter":true,"Healthy":true,"SerfStatus":"alive","LastIndex":21}]}"#;

/// A node on which the first script finds a running server and the second its directories.
fn world() -> World {
    let data = "== node-id\n319f3df7-60cd-ed2d-4a07-e9405cc8caec\n== keyrings\nlocal.keyring\n../x.keyring\n== config\nthere\n";
    World::new(vec![
        ("== unit", LOOK.to_owned()),
        ("== node-id", data.to_owned()),
        ("/var/lib/lifeboat/runs/", String::new()),
    ])
}

fn access(agent: &Agent) -> Value {
    json!({"http": agent.address, "token": {"env": "t0ken"}})
}

fn snapshot(agent: &Agent, stale: bool) -> Value {
    json!({"what": "snapshot", "access": access(agent), "stale": stale, "version": "1.20.1", "seen": "dc1"})
}

fn settings(agent: &Agent, more: &str) -> Value {
    let table = format!("http = '{}'\ntoken = {{ env = 't0ken' }}\n{more}", agent.address);
    Consul.settings(&table.parse().unwrap()).unwrap()
}

/// An agent that answers everything a healthy one does.
fn healthy(asked: &Asked) -> Reply {
    match asked.line.as_str() {
        "GET /v1/status/leader" => say(200, LEADER),
        "GET /v1/status/peers" => say(200, "[\"10.0.0.1:8300\"]"),
        "GET /v1/agent/self" => say(200, SELF),
        "GET /v1/operator/autopilot/health" => say(200, HEALTHY),
        "POST /v1/internal/acl/authorize" => say(200, r#"[{"Resource":"acl","Access":"write","Allow":true}]"#),
        line if line.starts_with("GET /v1/snapshot") => Reply::Chunks(
            "X-Consul-Index: 21\r\nX-Consul-Knownleader: true\r\nX-Consul-Lastcontact: 12\r\n",
            vec![7; 1000],
            true,
        ),
        _ => say(404, ""),
    }
}

fn copy(world: &World, args: &Value) -> Result<(Vec<u8>, Vec<String>, Value)> {
    let cx = world.cx();
    let mut source = Consul.source(&cx, args)?;
    let mut bytes = Vec::new();
    let mut file = source.next()?.unwrap();
    file.body.read_to_end(&mut bytes).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    drop(file);
    assert!(source.next()?.is_none());
    Ok((bytes, source.marks().iter().map(ToString::to_string).collect(), json!(source.learned())))
}

#[test]
fn a_probe_reads_the_agent_and_sends_the_token_only_where_it_is_needed() {
    let agent = Agent::start(healthy);
    let world = world();
    let facts = Consul.probe(&world.cx(), &settings(&agent, "")).unwrap();
    assert!(facts.present);
    assert_eq!(facts.version.as_ref().unwrap().as_str(), "1.20.1");
    assert_eq!(facts.identities[0].value, "319f3df7-60cd-ed2d-4a07-e9405cc8caec");
    assert_eq!(facts.own["keyrings"], json!(["local.keyring"]));
    assert!(Consul.items(&facts).iter().all(|item| item.standing == Standing::Ready));
    let asked = agent.asked.lock().unwrap();
    assert!(asked.iter().all(|asked| asked.token.is_some() != asked.line.contains("/v1/status/")));
    assert!(!format!("{facts:?}").contains("\"t0ken\"}\""));
    assert_eq!(world.node.ran.lock().unwrap().len(), 2, "scripts");
}

#[test]
fn a_token_that_cannot_copy_is_told_from_one_that_is_unknown() {
    for (status, said, words) in [
        (200, r#"[{"Allow":false}]"#, "lacks the right"),
        (403, "ACL not found", "does not know the token"),
        (403, "Permission denied: token lacks \x1b[2J permission", "lacks a right"),
    ] {
        let agent = Agent::start(move |asked| match asked.line.as_str() {
            "GET /v1/agent/self" if status == 403 => say(403, said),
            "POST /v1/internal/acl/authorize" => say(status, said),
            _ => healthy(asked),
        });
        let facts = Consul.probe(&world().cx(), &settings(&agent, "")).unwrap();
        let standing = Consul.items(&facts).remove(0).standing;
        let Standing::Impossible(why) = &standing else { panic!("{standing:?}") };
        assert!(why.as_str().contains(words) && !why.as_str().contains('\x1b'), "{why}");
    }
}

#[test]
fn an_agent_of_another_datacenter_or_none_at_all_is_said_so() {
    let agent = Agent::start(healthy);
    let facts = Consul.probe(&world().cx(), &settings(&agent, "datacenter = 'dc2'")).unwrap();
    assert!(
        matches!(Consul.items(&facts).remove(0).standing, Standing::Impossible(why) if why.as_str().contains("dc2"))
    );
    let silent = Agent { address: "127.0.0.1:1".to_owned(), ..Agent::start(healthy) };
    let facts = Consul.probe(&world().cx(), &settings(&silent, "")).unwrap();
    assert!(matches!(Consul.items(&facts).remove(0).standing, Standing::Impossible(_)));
}

#[test]
fn a_snapshot_is_read_from_a_steady_leader_and_described() {
    let agent = Agent::start(healthy);
    let (bytes, marks, learned) = copy(&world(), &snapshot(&agent, false)).unwrap();
    assert_eq!(bytes, vec![7; 1000]);
    assert!(marks.is_empty());
    assert_eq!(
        (&learned["index"], &learned["mode"], &learned["version"]),
        (&json!(21), &json!("consistent"), &json!("1.20.1"))
    );
    assert_eq!(agent.lines(), ["GET /v1/status/leader", "GET /v1/snapshot", "GET /v1/status/leader"]);
}

#[test]
fn a_stale_snapshot_is_marked_and_needs_no_leader() {
    let agent = Agent::start(healthy);
    let (_, marks, learned) = copy(&world(), &snapshot(&agent, true)).unwrap();
    assert_eq!(marks, ["stale read: last contact with the leader 12 ms ago, it knew a leader"]);
    assert_eq!(learned["mode"], "stale");
    assert_eq!(agent.lines(), ["GET /v1/snapshot?stale"]);
}

#[test]
fn a_cut_snapshot_is_an_error_and_never_a_short_file() {
    let agent = Agent::start(|asked| match asked.line.as_str() {
        "GET /v1/snapshot" => Reply::Chunks("", vec![7; 1000], false),
        _ => healthy(asked),
    });
    assert!(copy(&world(), &snapshot(&agent, false)).unwrap_err().message.contains("cut off"));
}

#[test]
fn refusals_become_sentences() {
    for (status, said, words) in [
        (403, "Permission denied: lacks permission 'acl:write'", "lacks a right"),
        (403, "ACL not found", "does not know the token"),
        (403, "Endpoint is blocked by agent configuration", "configuration forbids"),
        (429, "Your IP is issuing too many requests", "limits its requests"),
        (500, "No cluster leader", "no leader"),
        (500, "failed to create snapshot file: no space", "no space"),
        (500, "", "status 500"),
    ] {
        let agent = Agent::start(move |asked| match asked.line.as_str() {
            "GET /v1/snapshot" => say(status, said),
            _ => healthy(asked),
        });
        let failure = copy(&world(), &snapshot(&agent, false)).unwrap_err();
        assert!(failure.message.contains(words) && failure.message.ends_with('.'), "{}", failure.message);
    }
}

#[test]
fn a_datacenter_whose_servers_changed_is_asked_again_for_a_minute() {
    const SETTLING: &str = "Raft error when taking snapshot: cannot take snapshot now, wait until the configuration entry at 82 has been applied (have applied 81)";
    let mut refusals = 3;
    let agent = Agent::start(move |asked| match asked.line.as_str() {
        "GET /v1/snapshot" if refusals > 0 => {
            refusals -= 1;
            say(500, SETTLING)
        }
        _ => healthy(asked),
    });
    let calm = world();
    assert_eq!(copy(&calm, &snapshot(&agent, false)).unwrap().0, vec![7; 1000]);
    assert_eq!((agent.lines().len(), calm.cx().clock.elapsed()), (6, Duration::from_secs(3)));

    let agent = Agent::start(|asked| match asked.line.as_str() {
        "GET /v1/snapshot" => say(500, SETTLING),
        _ => healthy(asked),
    });
    let never = world();
    let failure = copy(&never, &snapshot(&agent, false)).unwrap_err();
    assert!(failure.message.contains("servers changed just now (Raft error"), "{}", failure.message);
    assert!(failure.hints.iter().any(|hint| hint.contains("list-peers")), "{failure:?}");
    assert_eq!(never.cx().clock.elapsed(), Duration::from_mins(1));
}

#[test]
fn a_leader_that_moves_or_is_missing_stops_a_consistent_copy() {
    // Before the copy, and while it was made.
    for (leaders, asked) in [(vec!["\"\""], 1), (vec![LEADER, "\"10.0.0.2:8300\""], 3), (vec![LEADER, "\"\""], 3)] {
        let mut turns = in_turn(leaders.into_iter().map(|leader| (200, leader)).collect());
        let agent = Agent::start(move |asked| match asked.line.as_str() {
            "GET /v1/status/leader" => turns(),
            _ => healthy(asked),
        });
        let failure = copy(&world(), &snapshot(&agent, false)).unwrap_err();
        assert!(failure.message.contains("leader"), "{}", failure.message);
        assert_eq!(agent.lines().len(), asked);
    }
}

#[test]
fn a_server_that_stands_still_is_given_up_after_the_silence_of_the_plan() {
    let agent = Agent::start(|asked| match asked.line.as_str() {
        "GET /v1/snapshot" => Reply::Stall(vec![7; 1000]),
        _ => healthy(asked),
    });
    let mut args = snapshot(&agent, false);
    args["silence"] = json!(1);
    let world = world();
    let cx = world.cx();
    let mut source = Consul.source(&cx, &args).unwrap();
    let began = std::time::Instant::now();
    let mut bytes = Vec::new();
    let error = source.next().unwrap().unwrap().body.read_to_end(&mut bytes).unwrap_err();
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "it waited for more than it was told to");
    let failure = crate::services::common::as_failure(&crate::transport::TransportError::from_io("n1", &error));
    assert_eq!((failure.exit, bytes.len()), (Exit::Unreachable, 1000), "{failure:?}");
}

#[test]
fn a_started_agent_is_accepted_with_the_leader_it_knew() {
    let accept = crate::services::op("consul.agent/1").unwrap();
    let run_as = |state: &str, leader: &'static str, led: bool| {
        let shown = format!(
            "LoadState=loaded\nActiveState={state}\nUnitFileState=enabled\nInvocationID=2\nMainPID=7\nFence=none\n"
        );
        let world = World::new(vec![("show_fence", shown)]);
        let agent = Agent::start(move |_| say(200, leader));
        let args = json!({"unit": "consul.service", "http": agent.address, "node_id": null, "led": led});
        let ended = accept.run(&world.cx(), &args, &Value::Null);
        (ended, world.cx().clock.elapsed().as_secs())
    };
    let run = |leader, led| run_as("active", leader, led);
    assert_eq!(run(LEADER, true).0.unwrap()["leader"], "10.0.0.1:8300");
    // One that systemd has given up is not waited for, and one that it starts once more is.
    let (ended, waited) = run_as("failed", LEADER, true);
    assert!(ended.unwrap_err().message.contains("was not accepted: consul.service is failed"));
    assert!(waited < 5, "{waited}");
    assert!(run_as("activating", LEADER, true).1 >= 180);
    let (ended, waited) = run("\"\"", true);
    let failure = ended.unwrap_err();
    assert!(failure.message.contains("knew a leader before and knows none now"), "{failure:?}");
    assert!(waited >= 180, "{waited}");
    let out = run("\"\"", false).0.unwrap();
    assert!(out["unproved"].as_str().unwrap().contains("no leader"), "{out}");
}

fn stored(size: u64) -> StoredFile {
    serde_json::from_value(json!({
        "name": "state.snap", "origin": "x", "mode": null, "owner": null, "group": null, "plain_size": size,
        "plain_sha256": null, "stored_name": "state.snap.age", "stored_size": 9, "stored_sha256": "",
    }))
    .unwrap()
}

/// A real snapshot, and what it was verified to hold.
const GOLDEN: &[u8] = include_bytes!("../../../../tests/fixtures/formats/consul-1.20.1.snap");

fn expected() -> Value {
    let mut verifier = crate::formats::verifier("consul-snap/1").unwrap();
    verifier.file("state.snap", &mut &*GOLDEN).unwrap();
    super::compare::comparable(&json!(verifier.finish().unwrap().facts)).unwrap()
}

fn put(agent: &Agent, said: u64) -> Result<Value> {
    let world = world();
    let compare = json!({"access": access(agent), "after": {"env": "n3w"}, "expected": expected()});
    let cx = world.cx();
    let mut sink = Consul.sink(&cx, &json!({"what": "snapshot", "compare": compare})).unwrap();
    sink.put(&stored(said), &mut Cursor::new(vec![9; 5000]))?;
    sink.finish()
}

#[test]
fn a_snapshot_is_sent_once_and_whole() {
    let agent = Agent::start(|_| say(200, ""));
    assert_eq!(put(&agent, 5000).unwrap()["status"], 200);
    let asked = agent.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].line.as_str(), asked[0].body.len()), ("PUT /v1/snapshot", 5000));
    assert_eq!(asked[0].token.as_deref(), Some("t0ken"));
}

#[test]
fn what_consul_never_took_whole_changed_nothing() {
    let agent = Agent::start(|_| say(200, ""));
    let failure = put(&agent, 6000).unwrap_err();
    assert!(failure.state.unwrap().contains("took nothing"));
    let agent = Agent::start(|_| say(403, "Permission denied"));
    let failure = put(&agent, 5000).unwrap_err();
    assert_eq!(failure.exit, Exit::Authentication);
    assert!(failure.state.unwrap().contains("before it changed anything"));
}

#[test]
fn an_answer_that_is_lost_is_never_asked_for_by_sending_again() {
    let agent = Agent::start(|asked| match asked.line.as_str() {
        "PUT /v1/snapshot" => Reply::HangUp,
        _ => say(403, "ACL not found"),
    });
    let failure = put(&agent, 5000).unwrap_err();
    assert_eq!(failure.exit, Exit::Changed);
    assert!(failure.state.unwrap().contains("unknown"));
    let tokens: Vec<_> = agent.asked.lock().unwrap().iter().map(|asked| asked.token.clone().unwrap()).collect();
    assert_eq!(tokens, ["t0ken", "n3w", "t0ken"], "the token of the snapshot is tried before the old one");
    assert_eq!(agent.lines().iter().filter(|line| line.starts_with("PUT")).count(), 1);
}

#[test]
fn a_datacenter_is_ready_only_when_every_voter_is_well_and_of_one_version() {
    let ready = crate::services::op("consul.ready/1").unwrap();
    let sick = HEALTHY.replace(r#""Healthy":true,"SerfStatus":"alive""#, r#""Healthy":false,"SerfStatus":"failed""#);
    let old = HEALTHY.replace("1.20.1", "1.19.0");
    for (status, body, words) in [
        (200, HEALTHY.to_owned(), ""),
        (429, sick, "a is not healthy (it is failed)"),
        (429, "slow down".to_owned(), "limits its requests"),
        (200, old, "a runs 1.19.0, not 1.20.1"),
        (403, "Permission denied".to_owned(), "lacks a right"),
    ] {
        let agent = Agent::start(move |asked| match asked.line.as_str() {
            "GET /v1/operator/autopilot/health" => say(status, &body),
            _ => healthy(asked),
        });
        let args = json!({"access": access(&agent), "version": "1.20.1+ent"});
        match ready.run(&world().cx(), &args, &Value::Null) {
            Ok(out) => assert_eq!((words, &out["last_index"]), ("", &json!(21))),
            Err(failure) => assert!(!words.is_empty() && failure.message.contains(words), "{}", failure.message),
        }
    }
}

#[test]
fn a_leader_that_moves_or_is_lost_while_it_is_looked_at_stops_a_restore() {
    let ready = crate::services::op("consul.ready/1").unwrap();
    for (second, words) in [("\"10.0.0.2:8300\"", "moved from 10.0.0.1:8300 to 10.0.0.2:8300"), ("\"\"", "no leader")] {
        let mut turns = in_turn(vec![(200, LEADER), (200, second)]);
        let agent = Agent::start(move |asked| match asked.line.as_str() {
            "GET /v1/status/leader" => turns(),
            _ => healthy(asked),
        });
        let args = json!({"access": access(&agent), "version": "1.20.1"});
        let failure = ready.run(&world().cx(), &args, &Value::Null).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.message.contains(words) && !failure.hints.is_empty(), "{failure:?}");
        assert!(agent.lines().iter().all(|line| line == "GET /v1/status/leader"), "{:?}", agent.lines());
    }
}

#[test]
fn the_look_at_the_configuration_leaves_its_secrets_on_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let line = r#"{"data_dir": "/opt/consul", "encrypt": "c2VjcmV0", "acl": {"tokens": {"agent": "11111111-2222"}}, "ports": {"http": 8501}, "server": true}"#;
    fs::write(folder.path().join("a.json"), line).unwrap();
    fs::write(
        folder.path().join("b.hcl"),
        "# data_dir = \"/wrong\"\nencrypt = \"c2VjcmV0\"\nretry_join = [\"a:b@c\"]\n",
    )
    .unwrap();
    let world = World::new(Vec::new());
    let text = [crate::services::common::SHOW_FENCE, super::super::probe::SETTINGS, super::super::probe::LOOK].concat();
    let script = crate::transport::Script::new(text).arg("none.service").arg(folder.path().to_str().unwrap());
    let printed = crate::services::common::read_node(&world.cx(), script, "Looking").unwrap().text();
    for secret in ["c2Vj", "1111", "a:b@c"] {
        assert!(!printed.as_str().contains(secret), "{printed}");
    }
    let seen = super::read_look(printed.as_str());
    assert_eq!((seen.data_dir.as_deref(), seen.port, seen.encrypt), (Some("/opt/consul"), Some(8501), true));
}

#[test]
fn a_lost_answer_is_settled_by_what_the_datacenter_holds() {
    let agent = Agent::start(|asked| match (asked.line.as_str(), asked.token.as_deref()) {
        ("PUT /v1/snapshot", _) => Reply::HangUp,
        (_, Some("n3w")) => Reply::Chunks("", GOLDEN.to_vec(), true),
        _ => say(403, "ACL not found"),
    });
    assert!(put(&agent, 5000).unwrap()["found"].as_str().unwrap().contains("holds the snapshot"));
}

#[test]
fn a_restored_datacenter_is_compared_with_its_snapshot() {
    let compare = crate::services::op("consul.compare/1").unwrap();
    let agent = Agent::start(|asked| match asked.token.as_deref() {
        Some("n3w") => Reply::Chunks("", GOLDEN.to_vec(), true),
        _ => say(403, "ACL not found"),
    });
    let mut args = json!({"access": access(&agent), "after": {"env": "n3w"}, "expected": expected()});
    assert_eq!(compare.run(&world().cx(), &args, &Value::Null).unwrap()["equal"], true);
    args["expected"]["types"]["KVS"]["count"] = json!(20);
    let failure = compare.run(&world().cx(), &args, &Value::Null).unwrap_err();
    assert!(failure.message.contains("KVS: 19 instead of 20"), "{}", failure.message);
    args["after"] = Value::Null;
    let failure = compare.run(&world().cx(), &args, &Value::Null).unwrap_err();
    assert!(failure.state.unwrap().contains("was not compared"));
}

#[test]
fn a_token_that_is_not_at_hand_keeps_nobody_from_the_other_and_is_asked_for_by_its_place() {
    let compare = crate::services::op("consul.compare/1").unwrap();
    let agent = Agent::start(|asked| match asked.token.as_deref() {
        Some("n3w") => Reply::Chunks("", GOLDEN.to_vec(), true),
        _ => say(403, "ACL not found"),
    });
    let missing = json!({"file": "/nowhere/after"});
    let of = |now: &str, after: &Value| {
        let access = json!({"http": agent.address, "token": {"env": now}});
        json!({"access": access, "after": after, "expected": expected()})
    };
    assert_eq!(compare.run(&world().cx(), &of("n3w", &missing), &Value::Null).unwrap()["equal"], true);
    // Which one is needed, where it is looked for, and how to go on.
    for (after, place) in [
        (&missing, "in the file /nowhere/after of the console"),
        (&json!({"command": "pass consul"}), "in what the inventory's command for it prints"),
        (&json!({"prompt": true}), "by asking for it"),
        (&Value::Null, "in the console's environment variable 0ld"),
    ] {
        let world = world();
        let failure = compare.run(&world.cx(), &of("0ld", after), &Value::Null).unwrap_err();
        assert_eq!((failure.exit, world.cx().clock.elapsed()), (Exit::Changed, Duration::ZERO), "{failure:?}");
        let hint = &failure.hints[0];
        assert!(hint.contains(place) && hint.ends_with(&format!("lifeboat resume {}", world.mark.run)), "{hint}");
    }
}

#[test]
fn nothing_is_replaced_while_the_token_for_afterwards_is_not_at_hand() {
    let ready = crate::services::op("consul.ready/1").unwrap();
    let agent = Agent::start(healthy);
    let mut args = json!({"access": access(&agent), "version": "1.20.1", "after": {"env": "n3w"}});
    ready.run(&world().cx(), &args, &Value::Null).unwrap();
    args["after"] = json!({"prompt": true});
    let failure = ready.run(&world().cx(), &args, &Value::Null).unwrap_err();
    assert_eq!(failure.exit, Exit::Authentication);
    assert!(failure.hints.iter().any(|hint| hint.contains("token_after")), "{failure:?}");
}
