//! What the engine refuses, and what it asks for, before anything is changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lifeboat::engine::board::Board;
use lifeboat::engine::planner::Planned;
use lifeboat::engine::runs::{OnNode, Resume};
use lifeboat::engine::scan::Prober;
use lifeboat::model::exit::Exit;
use lifeboat::model::ids::{HostId, ItemRef, RunId};
use lifeboat::services::Whereabouts;
use lifeboat::vault::Snapshot;
use serde_json::{Value, json};

use super::Node;
use super::bench::{Fleet, World, digest};
use super::fixtures::{FIXTURES, Fixture};
use super::matrix::{answers, consent, laid, take_up};
use super::tripwire::{Trip, Wire};

fn fixture(name: &str) -> &'static dyn Fixture {
    *FIXTURES.iter().find(|fixture| fixture.name() == name).unwrap()
}

fn files() -> &'static dyn Fixture {
    fixture("files held by their unit")
}

fn validators() -> &'static dyn Fixture {
    fixture("avalanchego")
}

fn place(fixture: &dyn Fixture, host: &str, item: &str) -> ItemRef {
    let (owner, service) = (host.parse().unwrap(), fixture.kind().parse().unwrap());
    ItemRef { owner, service, item: item.parse().unwrap() }
}

fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

/// Backs an item up and gives its snapshot.
fn back_up(world: &World, fleet: &Fleet, place: &ItemRef) -> Snapshot {
    world.with(0, fleet, |runs, prober| {
        let planned = prober.plan_backup(place, None, &BTreeMap::new()).unwrap();
        runs.run(&planned, None, &answers(&planned.plan)).unwrap();
    });
    let mut all = world.vault.catalogue().unwrap().snapshots;
    all.retain(|snapshot| snapshot.item() == place);
    all.pop().unwrap()
}

fn restore(world: &World, prober: &Prober, from: &Snapshot, to: &str) -> Planned {
    prober.plan_restore(&world.vault, from.manifest(), &host(to), &BTreeMap::new()).unwrap()
}

fn gates(planned: &Planned) -> Vec<String> {
    planned.plan.gates.iter().map(|gate| format!("{}={}", gate.id, gate.word)).collect()
}

#[test]
fn a_plan_whose_facts_changed_is_not_run_and_one_whose_sizes_did_is() {
    let (world, node) = (World::new(), laid(files(), true));
    let fleet = Fleet::sound(files(), &[("old", &node)]);
    world.with(0, &fleet, |runs, prober| {
        let planned = prober.plan_backup(&place(files(), "old", "tree"), None, &BTreeMap::new()).unwrap();
        std::fs::write(node.path("srv/app/data"), "x".repeat(70_000)).unwrap();
        runs.run(&planned, None, &BTreeMap::new()).unwrap();
        node.run("systemctl stop app.service");
        let stale = runs.run(&planned, None, &BTreeMap::new()).unwrap_err();
        assert_eq!(stale.exit, Exit::Stale);
        assert!(stale.message.contains("unit app.service"), "{stale:?}");
    });
    assert_eq!(world.runs().len(), 1, "what is stale leaves no run");
}

#[test]
fn an_open_gate_is_refused_by_the_engine_itself() {
    let (world, old, new) = (World::new(), laid(files(), true), laid(files(), false));
    let fleet = Fleet::sound(files(), &[("old", &old), ("new", &new)]);
    let saved = back_up(&world, &fleet, &place(files(), "old", "tree"));
    let before = digest(files(), &new);
    world.with(0, &fleet, |runs, prober| {
        let planned = restore(&world, prober, &saved, "new");
        let wrong = BTreeMap::from([("overwrite".to_owned(), "old".to_owned())]);
        for said in [BTreeMap::new(), wrong] {
            let refused = runs.run(&planned, Some(saved.clone()), &said).unwrap_err();
            assert_eq!(refused.exit, Exit::Confirmation);
            assert!(refused.hints[0].ends_with("--confirm overwrite=new"), "{refused:?}");
        }
    });
    assert_eq!(digest(files(), &new), before);
    assert_eq!(new.leftovers(), "");
}

#[test]
fn another_validator_is_not_replaced_without_its_name() {
    let (world, old, new) = (World::new(), laid(validators(), true), laid(validators(), false));
    let fleet = Fleet::sound(validators(), &[("old", &old), ("new", &new)]);
    let saved = back_up(&world, &fleet, &place(validators(), "old", "staking-identity"));
    old.run("systemctl stop avalanchego.service");
    world.with(0, &fleet, |_, prober| {
        let planned = restore(&world, prober, &saved, "new");
        assert_eq!(gates(&planned), ["overwrite=new"]);
        assert_eq!(gates(&restore(&world, prober, &saved, "old")), [""; 0], "it goes back to where it was");
    });
    new.run("rm -r /home/avax/.avalanchego/staking");
    new.run("systemctl stop avalanchego.service");
    world.with(0, &fleet, |_, prober| {
        assert_eq!(gates(&restore(&world, prober, &saved, "new")), [""; 0], "nothing is there");
    });
}

#[test]
fn a_silent_host_is_a_question_only_where_the_vault_knows_the_identity_was_there() {
    let world = World::new();
    let [old, new, third] = [true, false, true].map(|saved| laid(validators(), saved));
    new.run("systemctl stop avalanchego.service; rm -r /home/avax/.avalanchego/staking");
    let nodes = [("old", &old), ("new", &new), ("third", &third)];
    let mut fleet = Fleet::sound(validators(), &nodes);
    let saved = back_up(&world, &fleet, &place(validators(), "old", "staking-identity"));
    old.run("systemctl stop avalanchego.service");
    fleet.silent = vec!["third"];
    world.with(0, &fleet, |_, prober| {
        let planned = restore(&world, prober, &saved, "new");
        assert_eq!(gates(&planned), [""; 0]);
        let third = planned.sightings.iter().find(|seen| seen.host.as_str() == "third").unwrap();
        assert!(matches!(&third.state, Whereabouts::Unreachable(why) if why.as_str().contains("took it away")));
    });
    // A copy of the same identity came from there: now its silence is a question.
    fleet.silent.clear();
    back_up(&world, &fleet, &place(validators(), "third", "staking-identity"));
    fleet.silent = vec!["third"];
    world.with(0, &fleet, |_, prober| {
        let planned = restore(&world, prober, &saved, "new");
        assert_eq!(gates(&planned), ["fenced-third=third"]);
        let question = planned.plan.gates[0].question.as_str();
        assert_eq!(question.matches("could not be reached").count(), 1, "{question}");
    });
}

#[test]
fn a_rollback_searches_the_fleet_for_what_it_would_start() {
    let (world, old, new) = (World::new(), laid(validators(), true), laid(validators(), false));
    let fleet = Fleet::sound(validators(), &[("old", &old), ("new", &new)]);
    let saved = back_up(&world, &fleet, &place(validators(), "old", "staking-identity"));
    let before = digest(validators(), &new);
    old.run("systemctl stop avalanchego.service");
    let report = world.with(0, &fleet, |runs, prober| {
        let planned = restore(&world, prober, &saved, "new");
        runs.run(&planned, Some(saved.clone()), &answers(&planned.plan)).unwrap()
    });
    // Meanwhile somebody runs what was replaced there.
    let third = laid(validators(), false);
    let mut fleet = Fleet::sound(validators(), &[("old", &old), ("new", &new), ("third", &third)]);
    let back = |fleet: &Fleet| {
        world.with(0, fleet, |runs, _| runs.rollback(&runs.read(&report.run).unwrap(), &consent(&report.run)))
    };
    let refused = back(&fleet).unwrap_err();
    assert_eq!(refused.exit, Exit::AliveElsewhere, "{refused:?}");
    assert!(refused.message.contains("runs on third"), "{refused:?}");
    fleet.silent = vec!["third"];
    let done = back(&fleet);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(digest(validators(), &new), before);
}

/// A restore whose console died after it stopped the service, with the run on `new` and nothing of it in `world`.
pub fn broken_off(old: &Node, new: &Node) -> (World, RunId, Snapshot) {
    let world = World::new();
    let sound = Fleet::sound(validators(), &[("old", old), ("new", new)]);
    let saved = back_up(&world, &sound, &place(validators(), "old", "staking-identity"));
    old.run("systemctl stop avalanchego.service");
    let elsewhere = World::new_from(&world);
    // Where its steps fall is learned on other nodes: it fences the one the copy came from.
    let (twin, spare) = (laid(validators(), true), laid(validators(), false));
    twin.run("systemctl stop avalanchego.service");
    let stop = {
        let wire = Arc::new(Wire { board: Some(Arc::<Board>::default()), ..Wire::default() });
        let fleet = Fleet {
            fixture: validators(),
            nodes: vec![("old", &twin), ("new", &spare)],
            silent: vec![],
            wire: wire.clone(),
        };
        World::new_from(&world).with(0, &fleet, |runs, prober| {
            let planned = restore(&world, prober, &saved, "new");
            wire.calls.store(0, Ordering::SeqCst);
            wire.seen.lock().unwrap().clear();
            runs.run(&planned, Some(saved.clone()), &answers(&planned.plan)).unwrap();
        });
        let seen = wire.seen.lock().unwrap();
        seen.iter().rposition(|call| call.is_act && call.step.as_deref() == Some("stop")).unwrap()
    };
    let wire = Wire { board: Some(Arc::<Board>::default()), at: Some((stop, Trip::CrashAfter)), ..Wire::default() };
    let wire = Arc::new(wire);
    let fleet =
        Fleet { fixture: validators(), nodes: vec![("old", old), ("new", new)], silent: vec![], wire: wire.clone() };
    let run = elsewhere.with(0, &fleet, |runs, prober| {
        let planned = restore(&world, prober, &saved, "new");
        wire.calls.store(0, Ordering::SeqCst);
        assert!(runs.run(&planned, Some(saved.clone()), &answers(&planned.plan)).is_err());
        elsewhere.runs().last().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
    });
    assert!(!new.is_running("avalanchego.service"));
    (world, RunId::new(run).unwrap(), saved)
}

#[test]
fn a_run_of_a_node_is_shown_consented_to_and_run_as_it_was_shown() {
    let (old, new) = (laid(validators(), true), laid(validators(), false));
    let (world, run, saved) = broken_off(&old, &new);
    let fleet = Fleet::sound(validators(), &[("old", &old), ("new", &new)]);
    world.with(1, &fleet, |runs, _| {
        let told = runs.read_from(&host("new"), &run).unwrap();
        let Some(OnNode { owner: Some((owner, 1)), .. }) = &told.node else { panic!("{:?}", told.node) };
        assert_ne!(owner, runs.console.id(), "the node says whose it is");
        let gates = runs.gates_of_resume(&told, Resume::GoOn).unwrap();
        assert_eq!(gates.iter().map(|gate| gate.id.as_str()).collect::<Vec<_>>(), ["plan"]);
        let refused = runs.resume(&told, Resume::GoOn, Some(saved.clone()), &BTreeMap::new()).unwrap_err();
        assert_eq!(refused.exit, Exit::Confirmation);
        assert!(!new.is_running("avalanchego.service"), "it was gone on with");
        let said = BTreeMap::from([("plan".to_owned(), gates[0].word.clone())]);
        let done = runs.resume(&told, Resume::GoOn, Some(saved.clone()), &said);
        assert!(done.is_ok(), "{done:?}");
    });
    assert!(new.is_running("avalanchego.service"));
}

#[test]
fn what_a_node_writes_into_its_plan_is_not_run() {
    let (old, new) = (laid(validators(), true), laid(validators(), false));
    let (world, run, saved) = broken_off(&old, &new);
    let fleet = Fleet::sound(validators(), &[("old", &old), ("new", &new)]);
    let path = new.path(&format!("var/lib/lifeboat/runs/{run}/plan.json"));
    let sound = std::fs::read(&path).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut plan: Value = serde_json::from_slice(&sound).unwrap();
        change(&mut plan);
        std::fs::write(&path, serde_json::to_vec(&plan).unwrap()).unwrap();
        world.with(1, &fleet, |runs, _| {
            let told = runs.read_from(&host("new"), &run)?;
            take_up(runs, &told, Resume::GoOn, Some(saved.clone()))
        })
    };
    let step = |host: &str, effect: &str, args: Value| json!({"id": "more", "host": host, "title": "Harmless", "timeout": 60, "op": "command.run/1", "effect": effect, "args": args});
    let add = |step: Value| move |plan: &mut Value| plan["steps"].as_array_mut().unwrap().insert(0, step.clone());
    for effect in ["write", "read"] {
        let refused = with(&add(step("old", effect, json!({"run": "touch /srv/owned"})))).unwrap_err();
        assert_eq!(refused.exit, Exit::Integrity, "{refused:?}");
        assert!(refused.message.contains("would change old"), "{refused:?}");
    }
    let secret = json!({"run": "true", "token": {"command": "touch /tmp/owned"}});
    let refused = with(&add(step("new", "read", secret))).unwrap_err();
    assert!(refused.message.contains("names a secret"), "{refused:?}");
    let refused = with(&add(step("new", "read", json!({"run": "echo \u{1b}[2J"})))).unwrap_err();
    assert!(refused.message.contains("drive a terminal"), "{refused:?}");
    let refused = with(&add(step("new", "quiesce", json!({"run": "true"})))).unwrap_err();
    assert!(refused.message.contains("without a guard"), "{refused:?}");
    assert!(!old.path("srv/owned").exists() && !new.is_running("avalanchego.service"));
}
