//! Plans from facts: their steps, gates and refusals.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::AvalancheGo;
use super::super::items::items;
use crate::model::exit::{Exit, Result};
use crate::model::facts::{Facts, Identity};
use crate::model::ids::{HostId, ItemRef, SnapshotId, UnitName};
use crate::model::item::{Sensitivity, Standing};
use crate::model::manifest::Manifest;
use crate::model::plan::{Command, Effect, OnLapse};
use crate::services::{Ask, Draft, Driver, Sighting, Whereabouts};

const NEW: &str = "NodeID-7Xhw2mDxuDS44j42TCB6U5579esbSt3Lg";
const OLD: &str = "NodeID-MFrZFVCXPv5iCn6M9K6XduxGTYp891xXZ";

fn facts(edit: impl FnOnce(&mut Value)) -> Facts {
    let text = include_str!("../../../../tests/fixtures/services/avalanchego/installer-facts.json");
    let mut facts: Facts = serde_json::from_str(text).unwrap();
    edit(&mut facts.own);
    facts
}

fn manifest(item: &str, files: &[&str], facts: Value) -> Manifest {
    let file = |name: &&str| {
        json!({"name": name, "origin": "/x", "mode": 256, "owner": "avax", "group": "avax", "plain_size": 100,
               "plain_sha256": null, "stored_name": name, "stored_size": 100, "stored_sha256": "00"})
    };
    serde_json::from_value(json!({
        "version": 1, "id": "20261120T184500Z-7f3a", "item": {"owner": "val-1", "service": "avalanchego", "item": item},
        "kind": "avalanchego", "format": "staking/1", "created": "2026-11-20T18:45:00Z", "run": "r", "console": "c", "made_by": "0",
        "source": {"host": "val-1", "address": "10.0.0.1", "host_key": null, "clock_skew": 0, "version": "avalanchego/1.13.5"},
        "sensitivity": "secret", "copying": "live", "identities": [], "facts": facts, "marks": [], "recipients": [],
        "files": files.iter().map(file).collect::<Vec<_>>(),
    }))
    .unwrap()
}

fn whole() -> Manifest {
    let verified = json!({"node_id": NEW, "bls_public_key": "0x900c", "bls_proof_of_possession": "0x8bfd"});
    let files = json!({"staker.crt": {"path": "/srv/keys/staker.crt"}, "staker.key": {"path": "/srv/keys/staker.key"}, "signer.key": {"path": "/srv/keys/signer.key"}});
    manifest(
        "staking-identity",
        &["staker.crt", "staker.key", "signer.key"],
        json!({"network": "mainnet", "user": "avax", "verified": verified, "files": files}),
    )
}

fn plan(item: &str, facts: &Facts, manifest: Option<&Manifest>, sightings: &[Sighting], fence: &str) -> Result<Draft> {
    let place: ItemRef =
        serde_json::from_value(json!({"owner": "val-2", "service": "avalanchego", "item": item})).unwrap();
    let host = HostId::new("val-2").unwrap();
    let command = match manifest {
        None => Command::Backup { item: place.clone(), reason: None },
        Some(_) => Command::Restore { item: place.clone(), snapshot: SnapshotId::new("s").unwrap(), to: host.clone() },
    };
    let chosen = BTreeMap::from([("fence".to_owned(), fence.to_owned())]);
    let items = items(facts);
    let item = items.iter().find(|i| i.id.as_str() == item).unwrap();
    let ask = Ask {
        command: &command,
        host: &host,
        settings: &Value::Null,
        facts,
        item,
        place: &place,
        manifest,
        sightings,
        chosen: &chosen,
    };
    AvalancheGo.plan(&ask)
}

fn ids(draft: &Draft) -> Vec<&str> {
    draft.steps.iter().map(|step| step.id.as_str()).collect()
}

fn gates(draft: &Draft) -> Vec<(&str, &str)> {
    draft.gates.iter().map(|gate| (gate.id.as_str(), gate.word.as_str())).collect()
}

fn seen(state: Whereabouts) -> Sighting {
    Sighting { host: HostId::new("val-1").unwrap(), unit: Some(UnitName::new("avalanchego.service").unwrap()), state }
}

#[test]
fn a_backup_reads_three_files_and_rests_on_whose_they_are() {
    let draft = plan("staking-identity", &facts(|_| ()), None, &[], "").unwrap();
    assert_eq!(ids(&draft), ["capture"]);
    let files = draft.steps[0].args["source"]["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    assert_eq!(files[2][0], "signer.key");
    assert_eq!(draft.basis["node_id"], OLD);
    let resized = facts(|own| own["files"]["staking_cert"]["size"] = json!(999));
    assert_eq!(draft, Draft { ..plan("staking-identity", &resized, None, &[], "").unwrap() });
}

#[test]
fn what_cannot_be_copied_says_why() {
    let obstructed = facts(|own| own["obstacle"] = json!("The keys stand inline."));
    let item = items(&obstructed).remove(0);
    assert_eq!(item.standing, Standing::Impossible("The keys stand inline.".into()));
}

#[test]
fn a_set_without_signer_is_incomplete_for_every_node_that_would_have_one() {
    let complete = |version: &str| {
        let facts = facts(|own| {
            own["files"].as_object_mut().unwrap().remove("signer_key");
            own["api"]["version"] = json!(version);
        });
        items(&facts).remove(0).facts["complete"].as_bool()
    };
    assert_eq!(complete("avalanchego/1.13.5"), Some(false));
    assert_eq!(complete("avalanche/1.8.6"), Some(false));
    assert_eq!(complete("avalanche/1.8.5"), Some(true));
}

#[test]
fn a_copy_that_is_not_the_identity_that_runs_is_refused() {
    let verified =
        |node: &str, bls: &str| [("node_id".to_owned(), json!(node)), ("bls_public_key".to_owned(), json!(bls))].into();
    let concluded = |edit: fn(&mut Value), node: &str, bls: &str| {
        let item = items(&facts(edit)).remove(0);
        AvalancheGo.conclude(&item, &verified(node, bls))
    };
    let told = |own: &mut Value| {
        own["api"]["silent"] = json!("");
        own["api"]["node_id"] = json!(OLD);
        own["api"]["bls_public_key"] = json!("0xAB");
    };
    let good = concluded(told, OLD, "0xab");
    assert_eq!((good.refused, good.marks.len(), good.identities.len()), (None, 0, 2));
    for (node, bls, runs) in [(NEW, "0xab", OLD), (OLD, "0xcd", "0xAB")] {
        let refused = concluded(told, node, bls).refused.expect("another identity was kept");
        assert!(refused.contains(&format!("the node runs as {runs}")), "{refused}");
    }
    // A node of before BLS keys tells its NodeID alone.
    let old = |own: &mut Value| {
        own["api"]["silent"] = json!("");
        own["api"]["node_id"] = json!(OLD);
        own["api"]["bls_public_key"] = Value::Null;
    };
    assert!(concluded(old, NEW, "0xab").refused.is_some(), "the NodeID was not compared");
    let alone = concluded(old, OLD, "0xab");
    assert_eq!(alone.refused, None);
    assert!(alone.marks[0].as_str().contains("only its NodeID was compared"), "{:?}", alone.marks);
    let silent = |own: &mut Value| {
        own["api"] = json!({"host": "127.0.0.1", "port": 9650, "tls": false, "silent": "not answering"});
    };
    let unasked = concluded(silent, NEW, "0xab");
    assert_eq!(unasked.refused, None);
    assert!(unasked.marks[0].as_str().contains("its API did not answer"), "{:?}", unasked.marks);
}

#[test]
fn only_an_identity_is_proven_by_who_answers() {
    let proves = |item: &str, saved: &Manifest| {
        let facts = facts(|own| own["wants_db"] = json!(true));
        plan(item, &facts, Some(saved), &[], "refuse").unwrap().proves
    };
    assert!(proves("staking-identity", &whole()));
    let network = facts(|_| ()).own["network"].clone();
    for item in ["node-config", "chain-configs", "db"] {
        let told = json!({"path": "/etc/old/node.json", "network": network, "db_type": "leveldb"});
        assert!(!proves(item, &manifest(item, &["tree.tar"], told)), "{item}");
    }
}

#[test]
fn a_name_beside_which_nothing_fits_is_refused_beforehand() {
    for (length, fits) in [(200, true), (201, false), (255, false)] {
        let dir = format!("/srv/{}", "k".repeat(length));
        let facts = facts(|own| own["paths"]["chain_configs"]["path"] = json!(dir));
        let saved = manifest("chain-configs", &["tree.tar"], json!({}));
        match plan("chain-configs", &facts, Some(&saved), &[], "") {
            Ok(draft) => {
                assert!(fits, "{length} bytes were taken");
                let args = draft.steps.iter().map(|step| step.args.to_string()).collect::<String>();
                let run = "20261120T184500Z-7f3a9c";
                let longest = args.split(['"', ' ', '\'']).map(|word| word.replace("{run}", run));
                let longest = longest.filter_map(|path| path.rsplit('/').next().map(str::len)).max();
                assert!(longest.unwrap() <= 255, "{longest:?}");
            }
            Err(failure) => {
                assert!(!fits, "{failure:?}");
                assert!(failure.message.contains(&format!("has {length} bytes")), "{failure:?}");
                assert!(!failure.hints.is_empty());
            }
        }
    }
}

#[test]
fn a_unit_is_plain_unless_a_key_stands_in_it() {
    let of = |facts: &Facts| items(facts).into_iter().find(|item| item.id.as_str() == "unit").unwrap().sensitivity;
    assert_eq!(of(&facts(|_| ())), Sensitivity::Plain);
    assert_eq!(of(&facts(|own| own["inline_keys"] = json!(true))), Sensitivity::Secret);
}

#[test]
fn the_database_stops_the_node_under_a_guard() {
    let draft = plan("db", &facts(|own| own["wants_db"] = json!(true)), None, &[], "").unwrap();
    assert_eq!(ids(&draft), ["stop", "capture", "start"]);
    assert_eq!(draft.guards.len(), 1);
    assert_eq!(draft.steps[1].on_lapse, Some(OnLapse::Revert));
    assert_eq!(draft.steps[2].on_lapse, Some(OnLapse::Start));
}

#[test]
fn an_identity_is_delivered_before_anything_stops_and_accepted_by_both_keys() {
    let draft = plan("staking-identity", &facts(|_| ()), Some(&whole()), &[], "refuse").unwrap();
    insta::assert_json_snapshot!(
        json!({"gates": draft.gates, "guards": draft.guards, "steps": draft.steps, "leaves": draft.leaves})
    );
}

#[test]
fn scattered_files_are_swapped_one_by_one() {
    let scattered = facts(|own| own["paths"]["signer_key"]["path"] = json!("/bls/signer.key"));
    let shared = facts(|own| own["staking_dir_alone"] = json!(false));
    let mounted = facts(|own| own["files"]["staking_dir"]["mount"] = json!("/home/avax/.avalanchego/staking"));
    for facts in [scattered, shared, mounted] {
        let draft = plan("staking-identity", &facts, Some(&whole()), &[], "refuse").unwrap();
        let swap = draft.steps.iter().find(|step| step.id.as_str() == "swap").unwrap();
        assert_eq!(swap.args["entries"].as_array().unwrap().len(), 3);
        assert!(
            swap.args["entries"][0]["staged"].as_str().unwrap().ends_with("/staking/.staker.crt.lifeboat-{run}.new")
        );
    }
}

#[test]
fn a_twin_that_runs_is_never_overridden_only_stopped_on_purpose() {
    let alive = [seen(Whereabouts::Alive(vec![Identity { kind: "avalanche-node-id".into(), value: NEW.into() }]))];
    let refused = plan("staking-identity", &facts(|_| ()), Some(&whole()), &alive, "refuse").unwrap_err();
    assert_eq!(refused.exit, Exit::AliveElsewhere);
    let draft = plan("staking-identity", &facts(|_| ()), Some(&whole()), &alive, "stop").unwrap();
    assert_eq!(ids(&draft), ["ready", "deliver", "fence-val-1", "stop", "swap", "fenced-val-1", "start", "accept"]);
    assert_eq!(gates(&draft), [("stop-val-1", "val-1")]);
    assert_eq!(draft.steps[2].effect, Effect::Fence);
}

#[test]
fn a_twin_that_is_fenced_already_is_only_looked_at_again() {
    let plan = |fenced| {
        let stopped = [seen(Whereabouts::Stopped { fenced })];
        plan("staking-identity", &facts(|_| ()), Some(&whole()), &stopped, "refuse").unwrap()
    };
    assert_eq!(ids(&plan(true)), ["ready", "deliver", "stop", "swap", "fenced-val-1", "start", "accept"]);
    assert!(ids(&plan(false)).contains(&"fence-val-1"));
}

#[test]
fn a_twin_outside_a_unit_cannot_be_stopped_from_here() {
    let alive = Whereabouts::Alive(vec![Identity { kind: "avalanche-node-id".into(), value: NEW.into() }]);
    let outside = [Sighting { unit: None, ..seen(alive) }];
    let refused = plan("staking-identity", &facts(|_| ()), Some(&whole()), &outside, "stop").unwrap_err();
    assert_eq!(refused.exit, Exit::AliveElsewhere);
}

#[test]
fn a_host_nobody_reached_needs_a_declaration() {
    let lost = [seen(Whereabouts::Unreachable("no route to host".into()))];
    let draft = plan("staking-identity", &facts(|_| ()), Some(&whole()), &lost, "refuse").unwrap();
    assert_eq!(gates(&draft), [("fenced-val-1", "val-1")]);
    // How it was not reached may differ when the plan is made again; the plan must not.
    let question = |why: &str| {
        let lost = [seen(Whereabouts::Unreachable(why.into()))];
        let draft = plan("staking-identity", &facts(|_| ()), Some(&whole()), &lost, "refuse").unwrap();
        draft.gates[0].question.to_string()
    };
    let first = question("val-1 could not be reached: 10.0.0.1:22: No route to host (os error 113).");
    assert_eq!(first, question("val-1 could not be reached: 10.0.0.1:22: it did not answer in 10 s."));
    let gone = question("val-1 is not in the inventory any more");
    assert!(gone.starts_with("val-1 is not in the inventory any more, so nothing proves"), "{gone}");
}

#[test]
fn a_literal_public_address_must_be_stated() {
    let literal = facts(|own| own["public_ip"] = json!("203.0.113.9"));
    let draft = plan("staking-identity", &literal, Some(&whole()), &[], "refuse").unwrap();
    assert_eq!(gates(&draft), [("public-ip", "203.0.113.9")]);
    let saved =
        manifest("node-config", &["tree.tar"], json!({"path": "/etc/old/node.json", "public_ip": "203.0.113.7"}));
    let draft = plan("node-config", &facts(|_| ()), Some(&saved), &[], "").unwrap();
    assert_eq!(gates(&draft), [("public-ip", "203.0.113.7")]);
    assert_eq!(draft.steps[1].args["sink"]["picks"][0][0], "node.json");
}

#[test]
fn a_set_without_signer_is_gated_and_asked_for_its_node_id_alone() {
    let saved = manifest("staking-identity", &["staker.crt", "staker.key"], json!({"verified": {"node_id": NEW}}));
    let draft = plan("staking-identity", &facts(|_| ()), Some(&saved), &[], "refuse").unwrap();
    assert_eq!(gates(&draft), [("no-signer", "signer.key")]);
    let accept = &draft.steps.last().unwrap().args;
    assert_eq!((&accept["node_id"], &accept["bls_public_key"]), (&json!(NEW), &Value::Null));
}

#[test]
fn a_host_without_avalanchego_is_told_how_to_install_it() {
    let blank = facts(|own| own["installed"] = json!(false));
    let failure = plan("staking-identity", &blank, Some(&whole()), &[], "refuse").unwrap_err();
    assert!(failure.hints.iter().any(|hint| hint.contains("--version v1.13.5")), "{:?}", failure.hints);
}

#[test]
fn a_unit_goes_to_etc_and_takes_nothing_else_along() {
    let blank = facts(|own| (own["installed"], own["running"]) = (json!(false), json!(false)));
    let saved = |files: &[&str]| manifest("unit", &["tree.tar"], json!({"files": files}));
    let good =
        saved(&["/usr/lib/systemd/system/avalanchego.service", "/run/systemd/system/avalanchego.service.d/a.conf"]);
    let draft = plan("unit", &blank, Some(&good), &[], "").unwrap();
    assert_eq!(ids(&draft), ["ready", "deliver", "swap", "reload"]);
    assert_eq!(draft.steps[2].args["entries"][1]["target"], "/etc/systemd/system/avalanchego.service.d/a.conf");
    for bad in ["/etc/passwd", "/x/../avalanchego.service", "avalanchego.service"] {
        assert_eq!(plan("unit", &blank, Some(&saved(&[bad])), &[], "").unwrap_err().exit, Exit::Integrity, "{bad}");
    }
}

#[test]
fn a_database_of_another_network_is_refused() {
    let saved = manifest("db", &["tree.tar"], json!({"network": "fuji", "db_type": "leveldb"}));
    assert_eq!(plan("db", &facts(|_| ()), Some(&saved), &[], "").unwrap_err().exit, Exit::Failed);
}

#[test]
fn the_card_has_every_command() {
    insta::assert_json_snapshot!(format!("{:#?}", AvalancheGo.recipe(&whole())).lines().collect::<Vec<_>>());
}

/// A node whose API is behind TLS, with what `edit` makes of it.
fn behind_tls(cert: &str, edit: impl FnOnce(&mut Value)) -> Facts {
    facts(|own| {
        own["api"]["tls"] = json!(true);
        own["api"]["trust"] = json!({"expects": {"exactly": cert}});
        edit(own);
    })
}

#[test]
fn a_node_behind_tls_is_asked_by_its_own_certificate() {
    let restored = |facts: &Facts| plan("staking-identity", facts, Some(&whole()), &[], "").unwrap();
    let trust = json!({"expects": {"exactly": "/home/avax/http.pem"}});
    let draft = restored(&behind_tls("/home/avax/http.pem", |_| ()));
    let args = |draft: &Draft, id: &str| draft.steps.iter().find(|step| step.id.as_str() == id).unwrap().args.clone();
    assert_eq!(args(&draft, "accept")["trust"], trust);
    assert_eq!(args(&draft, "ready")["trust"], trust, "found unusable before anything is stopped");
    assert!(draft.proves);
    let told = crate::services::op("avalanchego.accept/1").unwrap().tell(&args(&draft, "accept")).unwrap();
    assert!(told.by_hand[0].contains("--pinnedpubkey") && told.by_hand[0].contains(" https://127.0.0.1:"), "{told:?}");

    // One that is part of what is replaced is not there yet.
    let replaced = args(&draft, "swap")["entries"][0]["target"].as_str().unwrap().to_owned();
    let draft = restored(&behind_tls(&format!("{replaced}/staker.crt"), |_| ()));
    assert!(args(&draft, "ready")["trust"].is_null() && args(&draft, "accept")["trust"].is_object());
}

#[test]
fn a_node_that_shows_another_certificate_is_left_alone() {
    let refused = json!({"exit": "host_key", "message": "It shows another one.", "hints": ["Renew it."]});
    let stranger = behind_tls("/home/avax/http.pem", |own| own["api"]["refused"] = refused);
    let failure = plan("staking-identity", &stranger, Some(&whole()), &[], "").unwrap_err();
    assert_eq!((failure.exit, failure.message.as_str()), (Exit::HostKey, "It shows another one."));
    assert!(failure.state.unwrap().contains("Nothing was changed"));
    assert!(plan("staking-identity", &stranger, None, &[], "").is_ok(), "its files can still be saved");
    // Where no file says which one it shows, the operator does.
    let unknown = facts(|own| own["api"]["tls"] = json!(true));
    let draft = plan("staking-identity", &unknown, Some(&whole()), &[], "").unwrap();
    assert!(gates(&draft).contains(&("unproved", "val-2")) && !ids(&draft).contains(&"accept"), "{draft:?}");
    assert!(!draft.proves && !draft.guards.is_empty());
}

#[test]
fn the_card_of_a_node_behind_tls_takes_one_key_only() {
    let item = items(&behind_tls("/home/avax/h p.pem", |own| own["api"]["port"] = json!(9750))).remove(0);
    let card = format!("{:?}", AvalancheGo.recipe(&manifest("staking-identity", &["staker.crt"], item.facts)));
    assert!(card.contains("openssl x509 -in '/home/avax/h p.pem' -noout -pubkey"), "{card}");
    assert!(card.contains("https://127.0.0.1:9750/ext/info") && !card.contains("http://"), "{card}");
}

#[test]
fn peers_that_hear_an_identity_stop_its_restore_and_silent_ones_prove_nothing() {
    let id = || vec![Identity { kind: "avalanche-node-id".into(), value: NEW.to_owned() }];
    let at = |host: &str, state| Sighting { host: HostId::new(host).unwrap(), ..seen(state) };
    let lost = || at("val-1", Whereabouts::Unreachable("val-1 could not be reached.".into()));
    let plan_with =
        |sightings: &[Sighting]| plan("staking-identity", &facts(|_| ()), Some(&whole()), sightings, "stop");
    let refused = plan_with(&[lost(), at("val-3", Whereabouts::Heard(id()))]).unwrap_err();
    assert_eq!(refused.exit, Exit::AliveElsewhere, "{refused:?}");
    assert!(refused.message.contains("val-3 hears the identity"), "{refused:?}");
    // The twin that is stopped on purpose is the one they hear.
    let twin = at("val-1", Whereabouts::Alive(id()));
    assert!(plan_with(&[twin, at("val-3", Whereabouts::Heard(id()))]).is_ok());

    let draft = plan_with(&[lost(), at("val-3", Whereabouts::Unheard), at("val-4", Whereabouts::Unheard)]).unwrap();
    assert!(gates(&draft).contains(&("fenced-val-1", "val-1")), "what they do not hear is still to be declared gone");
    let told: Vec<_> = draft.expects.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["Asked as peers: val-3, val-4; none of them hears this identity now. That does not prove it gone."]
    );
    assert!(plan_with(&[lost()]).unwrap().expects.is_empty());
}
