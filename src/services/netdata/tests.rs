//! Plans from facts: their steps, gates and refusals; and the node's own scripts, run on a directory.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Netdata;
use super::facts::{Api, Db, Own, Place, Seen};
use super::items::{CLAIM, GUID, items};
use crate::model::exit::{Exit, Result};
use crate::model::facts::{Facts, Identity, UnitFacts};
use crate::model::ids::{HostId, ItemRef, SnapshotId, UnitName};
use crate::model::manifest::Manifest;
use crate::model::plan::{Command, Effect, OnLapse};
use crate::services::{Ask, Draft, Driver, Sighting, Whereabouts};

const SAVED: &str = "432c54de-e57a-11f1-acf8-02fc00000001";
const HERE: &str = "11111111-e57a-11f1-acf8-02fc00000001";

fn unit() -> UnitName {
    UnitName::new("netdata.service").unwrap()
}

fn own() -> Own {
    let dirs = [("config", "/etc/netdata"), ("lib", "/var/lib/netdata"), ("cache", "/var/cache/netdata")];
    let place =
        |(name, path): (&str, &str)| (name.to_owned(), Place { path: path.to_owned(), from: "default".to_owned() });
    let seen = Seen { mounted: false, owner: "netdata".to_owned(), size: 1 << 30, free: 9 << 30 };
    Own {
        unit: Some(unit()),
        installed: true,
        running: true,
        stop_within: 20,
        user: "netdata".to_owned(),
        dirs: dirs.map(place).into(),
        seen: dirs.map(|(name, _)| (name.to_owned(), seen.clone())).into(),
        guid: Some(SAVED.to_owned()),
        api: Api { host: "127.0.0.1".to_owned(), port: 19_999, guid: Some(SAVED.to_owned()), ..Api::default() },
        db: Db { mode: "dbengine".to_owned(), limits: vec![Some(1 << 30), Some(0)], stored: vec![1 << 29] },
        stopped_bytes: 200 << 20,
        ..Own::default()
    }
}

fn facts(edit: impl FnOnce(&mut Own)) -> Facts {
    let mut own = own();
    edit(&mut own);
    let active = if own.running { "active" } else { "inactive" };
    let state = UnitFacts {
        unit: unit(),
        load: "loaded".to_owned(),
        active: active.to_owned(),
        enabled: "enabled".to_owned(),
        invocation: String::new(),
        main_pid: 0,
        fenced: false,
    };
    let identity = |guid: &str| Identity { kind: GUID.to_owned(), value: guid.to_owned() };
    Facts {
        present: true,
        version: Some("v1.37.1".into()),
        variant: Some("Debian package".into()),
        identities: own.known_guid().map(identity).into_iter().collect(),
        units: vec![state],
        own: crate::services::common::own_value(&own),
        ..Facts::default()
    }
}

fn manifest(item: &str, edit: impl FnOnce(&mut Value)) -> Manifest {
    let dir = match item {
        "config" => "/etc/netdata",
        "identity" => "/opt/netdata/var/lib/netdata",
        _ => "/var/cache/netdata",
    };
    let verified = json!({"machine_guid": SAVED, "host_guid": SAVED, "tiers": [{"tier": 0, "bytes": 1 << 29}, {"tier": 1, "bytes": 1000}]});
    let sample = json!({"chart": "system.cpu", "tier": 1, "after": 60, "before": 120, "values": {"user": 1.5}});
    let mut whole = json!({
        "version": 1, "id": "20261120T184500Z-7f3a", "item": {"owner": "mon-1", "service": "netdata", "item": item},
        "kind": "netdata", "format": "netdata-metrics/1", "created": "2026-11-20T18:45:00Z", "run": "r", "console": "c", "made_by": "0",
        "source": {"host": "mon-1", "address": "10.0.0.1", "host_key": null, "clock_skew": 0, "version": "v1.37.1"},
        "sensitivity": "plain", "copying": "stopped", "identities": [{"kind": GUID, "value": SAVED}, {"kind": CLAIM, "value": HERE}],
        "facts": {"path": dir, "guid": SAVED, "user": "netdata", "owners": ["netdata", "root"], "owner_groups": ["netdata"],
                  "verified": verified, "figures": {"charts": 9, "spans": {}, "samples": [sample]}},
        "marks": [], "recipients": [],
        "files": [{"name": format!("{item}.tar"), "origin": dir, "mode": null, "owner": null, "group": null, "plain_size": 1 << 30,
                   "plain_sha256": null, "stored_name": "x", "stored_size": 100, "stored_sha256": "00"}],
    });
    edit(&mut whole);
    serde_json::from_value(whole).unwrap()
}

fn plan(
    item: &str,
    facts: &Facts,
    manifest: Option<&Manifest>,
    sightings: &[Sighting],
    set: &[(&str, &str)],
) -> Result<Draft> {
    let place: ItemRef = serde_json::from_value(json!({"owner": "mon-1", "service": "netdata", "item": item})).unwrap();
    let host = HostId::new("mon-2").unwrap();
    let command = match manifest {
        None => Command::Backup { item: place.clone(), reason: None },
        Some(_) => Command::Restore { item: place.clone(), snapshot: SnapshotId::new("s").unwrap(), to: host.clone() },
    };
    let items = items(facts);
    let item = items.iter().find(|i| i.id.as_str() == item).unwrap();
    let empty = BTreeMap::new();
    let ask = Ask {
        command: &command,
        host: &host,
        settings: &Value::Null,
        facts,
        item,
        place: &place,
        manifest,
        sightings,
        chosen: &empty,
    };
    let mut chosen: BTreeMap<_, _> =
        Netdata.choices(&ask).into_iter().map(|choice| (choice.key, choice.default)).collect();
    chosen.extend(set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Netdata.plan(&Ask { chosen: &chosen, ..ask })
}

fn ids(draft: &Draft) -> Vec<&str> {
    draft.steps.iter().map(|step| step.id.as_str()).collect()
}

fn gates(draft: &Draft) -> Vec<&str> {
    draft.gates.iter().map(|gate| gate.id.as_str()).collect()
}

#[test]
fn metrics_are_copied_in_one_guarded_step_whose_cost_is_told_and_not_hashed() {
    let draft = plan("metrics", &facts(|_| {}), None, &[], &[]).unwrap();
    assert_eq!(ids(&draft), ["capture"]);
    let step = &draft.steps[0];
    assert_eq!((step.effect, step.on_lapse, draft.guards.len()), (Effect::Quiesce, Some(OnLapse::Revert), 1));
    let undo = step.args["undo"].as_str().unwrap();
    assert!(
        undo.contains("systemctl start -- 'netdata.service'")
            && undo.contains("/var/cache/.netdata.lifeboat-{run}.copy"),
        "{undo}"
    );
    assert!(draft.expects[0].as_str().contains("about 3.5 s"), "{:?}", draft.expects);
    let larger = plan("metrics", &facts(|own| own.stopped_bytes *= 9), None, &[], &[]).unwrap();
    assert_eq!((&larger.steps, &larger.basis), (&draft.steps, &draft.basis), "sizes are no part of a plan");
    assert_ne!(larger.expects, draft.expects);
}

#[test]
fn the_plain_way_is_one_guarded_step_too_and_a_stopped_agent_is_left_alone() {
    let draft = plan("metrics", &facts(|_| {}), None, &[], &[("copy", "plain")]).unwrap();
    let step = &draft.steps[0];
    assert_eq!((ids(&draft), draft.guards.len(), step.effect), (vec!["capture"], 1, Effect::Quiesce));
    assert_eq!((&step.args["source"]["still"]["plain"], step.on_lapse), (&json!(true), Some(OnLapse::Revert)));
    assert!(step.args["source"]["figures"].is_array(), "figures are taken before the stop");
    assert!(draft.expects[0].as_str().contains("all of it is sent while it is stopped"), "{:?}", draft.expects);
    let stopped = plan("metrics", &facts(|own| own.running = false), None, &[], &[]).unwrap();
    assert_eq!((ids(&stopped), stopped.guards.len()), (vec!["capture"], 0));
    assert_eq!(stopped.steps[0].args["source"]["down"], "netdata.service");
    assert_eq!(ids(&plan("identity", &facts(|_| {}), None, &[], &[]).unwrap()), ["capture"]);
}

#[test]
fn samples_of_a_tier_that_is_not_kept_there_are_not_demanded() {
    let sample =
        |tier: u64| json!({"chart": "system.cpu", "tier": tier, "after": 60, "before": 120, "values": {"user": 1.5}});
    let saved = manifest("metrics", |whole| {
        whole["facts"]["figures"]["samples"] = json!([sample(0), sample(1)]);
        whole["facts"]["figures"]["spans"] = json!({"system.cpu": [60, 600]});
        whole["facts"]["figures"]["names"] = json!(["system.cpu"]);
    });
    let asked = |limits: Vec<Option<u64>>| {
        let draft = plan("metrics", &facts(|own| own.db.limits = limits), Some(&saved), &[], &[]).unwrap();
        let figures = draft.steps.last().unwrap().args["figures"].clone();
        let tiers: Vec<u64> =
            figures["samples"].as_array().into_iter().flatten().map(|one| one["tier"].as_u64().unwrap()).collect();
        (tiers, figures["spans"].as_object().map_or(0, serde_json::Map::len), draft.proves, gates(&draft).join(" "))
    };
    assert_eq!(asked(vec![Some(1 << 30), Some(0)]), (vec![0, 1], 1, true, "overwrite".to_owned()));
    assert_eq!(asked(vec![Some(1 << 30)]), (vec![0], 0, true, "overwrite smaller-limits".to_owned()));
    let none = asked(vec![Some(1 << 20), Some(10)]);
    assert_eq!(none, (vec![], 0, false, "overwrite smaller-limits unproved".to_owned()));
}

#[test]
fn owners_that_were_not_all_noted_are_asked_about() {
    for item in ["config", "identity", "metrics"] {
        let saved = manifest(item, |whole| whole["facts"]["owners_cut"] = true.into());
        let draft = plan(item, &facts(|_| {}), Some(&saved), &[], &[]).unwrap();
        assert!(gates(&draft).contains(&"owners"), "{item}: {:?}", gates(&draft));
        let draft = plan(item, &facts(|_| {}), Some(&manifest(item, |_| {})), &[], &[]).unwrap();
        assert!(!gates(&draft).contains(&"owners"), "{item}");
    }
}

#[test]
fn metrics_come_back_whole_and_are_proven_by_samples() {
    let draft = plan("metrics", &facts(|_| {}), Some(&manifest("metrics", |_| {})), &[], &[]).unwrap();
    assert_eq!(ids(&draft), ["ready", "deliver", "stop", "swap", "start", "accept"]);
    assert_eq!(gates(&draft), ["overwrite"]);
    assert!(draft.proves && draft.steps[5].title.as_str().contains("1 samples of before"));
    let none = manifest("metrics", |whole| whole["facts"]["figures"] = Value::Null);
    let draft = plan("metrics", &facts(|_| {}), Some(&none), &[], &[]).unwrap();
    assert!(!draft.proves && gates(&draft).contains(&"unproved"));
}

#[test]
fn what_the_agent_would_delete_is_asked_first() {
    let asked = |edit: fn(&mut Own)| {
        let draft = plan("metrics", &facts(edit), Some(&manifest("metrics", |_| {})), &[], &[]).unwrap();
        let gate = draft.gates.iter().find(|gate| gate.id.as_str() == "smaller-limits");
        gate.map(|gate| gate.question.to_string())
    };
    assert_eq!(asked(|_| {}), None, "0 is no limit, and tier 0 fits");
    assert!(asked(|own| own.db.limits[0] = Some(1 << 20)).unwrap().contains("tier 0"));
    assert!(asked(|own| own.db.limits.truncate(1)).unwrap().contains("not kept there at all"));
}

#[test]
fn a_limit_nobody_knows_is_asked_about_and_its_samples_are_demanded_all_the_same() {
    let unknown = facts(|own| own.db.limits = vec![None, Some(0)]);
    let draft = plan("metrics", &unknown, Some(&manifest("metrics", |_| {})), &[], &[]).unwrap();
    assert_eq!(gates(&draft), ["overwrite", "unknown-limits"]);
    assert!(draft.gates[1].question.as_str().contains("tier 0."), "{:?}", draft.gates);
    assert!(draft.proves);
    let none_saved =
        manifest("metrics", |whole| whole["facts"]["verified"]["tiers"] = json!([{"tier": 1, "bytes": 9}]));
    assert_eq!(gates(&plan("metrics", &unknown, Some(&none_saved), &[], &[]).unwrap()), ["overwrite"]);
}

#[test]
fn a_stop_that_may_take_longer_than_the_guard_waits_is_told() {
    let said = |stop_within: u64, lapse: &str| {
        let facts = facts(|own| own.stop_within = stop_within);
        let draft = plan("metrics", &facts, None, &[], &[("guard", lapse)]).unwrap();
        draft.expects.iter().find(|text| text.as_str().contains("by force")).map(ToString::to_string)
    };
    assert!(said(160, "60").unwrap().contains("160 s after it began"));
    assert_eq!((said(20, "60"), said(60, "60")), (None, None));
    assert!(said(20, "5").is_some());
}

#[test]
fn where_copies_are_made_by_reference_nothing_is_charged_for_their_bytes() {
    let draft = plan("metrics", &facts(|own| own.reflinks = true), None, &[], &[]).unwrap();
    assert!(draft.expects[0].as_str().contains("about 2.5 s: all of it is copied by reference"), "{:?}", draft.expects);
    assert_eq!(draft.foretold, json!(2550));
}

#[test]
fn a_parent_that_was_not_asked_is_said_to_be_missing() {
    let blank = facts(|own| (own.running, own.guid, own.api.guid) = (false, None, None));
    let said = |to: Value, sightings: &[Sighting]| {
        let saved = manifest("identity", |whole| whole["facts"]["streams_to"] = to.clone());
        let draft = plan("identity", &blank, Some(&saved), sightings, &[]).unwrap();
        draft.expects.iter().map(ToString::to_string).collect::<String>()
    };
    let seen = |host: &str, state| Sighting { host: HostId::new(host).unwrap(), unit: Some(unit()), state };
    let gone = || seen("mon-1", Whereabouts::Unreachable("no route".into()));
    assert!(
        said(json!("10.0.0.5:19999"), &[gone()])
            .contains("streamed to 10.0.0.5:19999. Asked whether they hear it: nobody.")
    );
    let asked = said(json!("10.0.0.5"), &[gone(), seen("parent", Whereabouts::Elsewhere)]);
    assert!(asked.contains("only parent, which the inventory has"), "{asked}");
    assert_eq!(said(Value::Null, &[gone()]), "");
}

#[test]
fn a_restore_that_can_miss_no_chart_says_so() {
    let said = |names: Value| {
        let saved = manifest("metrics", |whole| whole["facts"]["figures"]["names"] = names.clone());
        let draft = plan("metrics", &facts(|_| {}), Some(&saved), &[], &[]).unwrap();
        let told = Netdata.ops()[1].tell(&draft.steps[5].args).unwrap().what;
        let left = draft.leaves.iter().map(ToString::to_string).collect::<String>();
        (told.contains("charts are not compared"), left.contains("charts are not compared"))
    };
    assert_eq!((said(json!([])), said(json!(["system.cpu"]))), ((true, true), (false, false)));
}

#[test]
fn samples_of_another_agent_or_for_an_older_one_are_refused() {
    let saved = manifest("metrics", |_| {});
    let other = facts(|own| (own.guid, own.api.guid) = (Some(HERE.to_owned()), Some(HERE.to_owned())));
    let refused = plan("metrics", &other, Some(&saved), &[], &[]).unwrap_err();
    assert!(refused.message.contains(HERE) && refused.hints[0].contains("identity"), "{refused:?}");
    let data = plan("metrics", &other, Some(&saved), &[], &[("as", "data")]).unwrap();
    assert!(gates(&data) == ["overwrite"] && data.proves, "they become its own, and must be told");
    assert_eq!(data.steps[1].args["sink"]["relabel"], json!([SAVED, HERE]));
    assert_eq!((&data.steps[5].args["guid"], data.steps[5].args["figures"].is_object()), (&json!(HERE), true));
    let nobodys = manifest("metrics", |whole| {
        for key in ["machine_guid", "host_guid"] {
            whole["facts"]["verified"][key] = Value::Null;
        }
        whole["facts"]["guid"] = Value::Null;
    });
    let data = plan("metrics", &other, Some(&nobodys), &[], &[("as", "data")]).unwrap();
    assert!(gates(&data).contains(&"unproved") && !data.proves && data.steps[5].args["figures"].is_null());
    let blank = facts(|own| (own.running, own.guid, own.api.guid) = (false, None, None));
    let refused = plan("metrics", &blank, Some(&saved), &[], &[("as", "data")]).unwrap_err();
    assert!(refused.message.contains("no GUID yet"), "{refused:?}");
    let mut older = facts(|_| {});
    older.version = Some("v1.36.0".into());
    assert!(plan("metrics", &older, Some(&saved), &[], &[]).unwrap_err().message.contains("older"));
    assert!(plan("metrics", &facts(|own| own.db.mode = "ram".to_owned()), Some(&saved), &[], &[]).is_err());
    let broken: [fn(&mut Own); 4] =
        [|own| own.installed = false, |own| own.masked = true, |own| own.strays = vec![7], |own| own.container = true];
    for broken in broken {
        assert_eq!(plan("metrics", &facts(broken), Some(&saved), &[], &[]).unwrap_err().exit, Exit::Failed);
    }
}

#[test]
fn an_agent_that_would_be_another_after_its_start_is_not_started_again() {
    let other = facts(|own| own.guid = Some(HERE.to_owned()));
    let gone = facts(|own| own.guid = None);
    for (item, set) in [("config", "same"), ("metrics", "same"), ("identity", "data")] {
        let saved = manifest(item, |_| {});
        for there in [&other, &gone] {
            let refused = plan(item, there, Some(&saved), &[], &[("as", set)]).unwrap_err();
            assert!(refused.exit == Exit::Failed && refused.message.contains("it would be another"), "{refused:?}");
        }
        assert!(plan(item, &facts(|own| own.api.guid = None), Some(&saved), &[], &[("as", set)]).is_ok());
    }
    assert!(plan("identity", &other, Some(&manifest("identity", |_| {})), &[], &[]).is_ok(), "it is what mends it");
}

#[test]
fn no_room_means_deleting_first_and_that_is_a_gate_of_its_own() {
    let saved = manifest("metrics", |_| {});
    let draft = plan("metrics", &facts(|_| {}), Some(&saved), &[], &[("old", "discard")]).unwrap();
    assert_eq!(ids(&draft), ["ready", "stop", "discard", "deliver", "swap", "start", "accept"]);
    assert_eq!(gates(&draft), ["discard-old"]);
    assert_eq!(draft.steps[0].args["discards"], true);
    let full = facts(|own| own.seen.get_mut("cache").unwrap().free = 1 << 29);
    let refused = plan("metrics", &full, Some(&saved), &[], &[]).unwrap_err();
    assert!(refused.exit == Exit::NoSpace && refused.hints[0].contains("old=discard"), "{refused:?}");
    assert!(draft.steps[2..5].iter().all(|step| step.on_lapse == Some(OnLapse::Revert)));
}

#[test]
fn an_identity_is_fenced_and_what_belongs_to_the_installation_stays() {
    let seen = |state| Sighting { host: HostId::new("mon-1").unwrap(), unit: Some(unit()), state };
    let alive = || Whereabouts::Alive(vec![Identity { kind: GUID.to_owned(), value: SAVED.to_owned() }]);
    let blank = facts(|own| (own.running, own.guid, own.api.guid) = (false, None, None));
    let saved = manifest("identity", |_| {});
    let of = |sightings: &[Sighting], set: &[(&str, &str)]| plan("identity", &blank, Some(&saved), sightings, set);
    assert_eq!(of(&[seen(alive())], &[]).unwrap_err().exit, Exit::AliveElsewhere);
    let draft = of(&[seen(alive())], &[("fence", "stop")]).unwrap();
    assert_eq!(ids(&draft), ["ready", "deliver", "fence-mon-1", "stop", "swap", "fenced-mon-1", "start", "accept"]);
    assert_eq!(draft.steps[1].args["sink"]["inside"], "opt/netdata/var/lib/netdata", "another install's place");
    assert_eq!(draft.steps[1].args["sink"]["target"], "/var/lib/netdata");

    // As data it is nobody's twin, and the target stays who it is.
    let data = of(&[seen(alive())], &[("as", "data")]).unwrap();
    let stay = data.steps[1].args["sink"]["stay"].to_string();
    assert!(stay.contains("registry") && stay.contains("cloud.d") && !data.proves, "{stay}");
    let asked = |variant: &str| {
        let saved = manifest("config", |whole| whole["facts"]["variant"] = variant.into());
        let config = plan("config", &blank, Some(&saved), &[], &[]).unwrap();
        assert!(config.steps[1].args["sink"]["stay"].to_string().contains(".install-type"));
        config.gates.iter().map(|gate| gate.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(asked("static install"), ["installation"], "its paths are those of another installation");
    assert_eq!((asked("Debian package").len(), asked("unknown").len()), (0, 0));
}

#[test]
fn what_a_parent_hears_is_alive_unless_it_is_seen_where_it_runs() {
    let id = || vec![Identity { kind: GUID.to_owned(), value: SAVED.to_owned() }];
    let seen = |host: &str, state| Sighting { host: HostId::new(host).unwrap(), unit: Some(unit()), state };
    let heard = || seen("parent", Whereabouts::Heard(id()));
    let saved = manifest("identity", |_| {});
    let blank = facts(|own| (own.running, own.guid, own.api.guid) = (false, None, None));
    let gone = seen("mon-1", Whereabouts::Unreachable("no route".into()));
    let refused = plan("identity", &blank, Some(&saved), &[heard(), gone], &[("fence", "stop")]).unwrap_err();
    assert_eq!(refused.exit, Exit::AliveElsewhere);
    assert!(refused.message.contains("parent hears"), "{}", refused.message);
    let twin = seen("mon-1", Whereabouts::Alive(id()));
    assert!(
        plan("identity", &blank, Some(&saved), &[heard(), twin], &[("fence", "stop")]).is_ok(),
        "it is stopped there"
    );
    assert!(plan("identity", &facts(|_| {}), Some(&saved), &[heard()], &[]).is_ok(), "it is the one that runs here");
}

#[test]
fn the_card_says_the_command_to_type() {
    for item in ["config", "identity", "metrics"] {
        let text = format!("{:?}", super::recipe::recipe(&manifest(item, |_| {})));
        assert!(
            text.contains(&format!("sudo tar -xvpf {item}.tar -C /"))
                && text.contains("systemctl stop 'netdata.service'"),
            "{text}"
        );
    }
    let odd = manifest("metrics", |whole| whole["facts"]["figures"]["samples"][0]["chart"] = "a'; reboot; '".into());
    assert!(!format!("{:?}", super::recipe::recipe(&odd)).contains("reboot"));
}
