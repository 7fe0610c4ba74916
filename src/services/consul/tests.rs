//! Plans from fixtures, and whole conversations with a fake agent.

mod fake;
mod flows;
mod tls;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::probe::{Own, read_look, read_self};
use super::*;
use crate::model::exit::Exit;
use crate::model::facts::UnitFacts;
use crate::model::ids::{HostId, UnitName};
use crate::model::item::Standing;
use crate::model::plan::{Command, Effect};
use crate::services::common::{own_facts, text_of};
use crate::services::{Draft, Sighting, Whereabouts};

const SELF: &str = include_str!("../../../tests/fixtures/services/consul/agent-self-1.20.1.json");
const LOOK: &str = include_str!("../../../tests/fixtures/services/consul/look.txt");

/// A healthy server's facts, as `/v1/agent/self` and the scripts tell them.
fn facts() -> Facts {
    let mut own = Own {
        access: Some(serde_json::from_value(json!({"http": "127.0.0.1:8500", "token": {"env": "T"}})).unwrap()),
        leader: Some("10.0.0.1:8300".into()),
        may_write: Some(true),
        config_dir: Some("/etc/consul.d".into()),
        node_id: Some("319f3df7-60cd-ed2d-4a07-e9405cc8caec".into()),
        keyrings: vec!["local.keyring".into(), "remote.keyring".into()],
        ..Own::default()
    };
    let mut version = String::new();
    read_self(&mut own, &mut version, &serde_json::from_str(SELF).unwrap());
    let unit = UnitFacts {
        unit: UnitName::new("consul.service").unwrap(),
        load: "loaded".into(),
        active: "active".into(),
        enabled: "enabled".into(),
        invocation: "1".into(),
        main_pid: 812,
        fenced: false,
    };
    Facts {
        present: true,
        version: Some(version.as_str().into()),
        units: vec![unit],
        own: json!(own),
        ..Facts::default()
    }
}

fn changed(change: impl FnOnce(&mut Own)) -> Facts {
    let mut facts = facts();
    let mut own: Own = own_facts(&facts).unwrap();
    change(&mut own);
    facts.own = json!(own);
    facts
}

fn manifest(item: &str, facts: Value) -> Manifest {
    serde_json::from_value(json!({
        "version": 1, "id": "20261120T184500Z-7f3a", "kind": "consul", "format": "x", "facts": facts,
        "item": {"owner": "dc1", "service": "consul", "item": item},
        "created": "2026-11-20T18:45:00Z", "run": "r0", "console": "c0", "made_by": "0.1.0",
        "source": {"host": "old-1", "address": "10.0.0.9", "host_key": null, "clock_skew": 0, "version": "1.20.1"},
        "sensitivity": "secret", "copying": "protocol", "identities": [], "marks": [], "recipients": [], "files": [],
    }))
    .unwrap()
}

fn draft(facts: &Facts, item: &str, manifest: Option<&Manifest>, set: &[(&str, &str)]) -> Result<Draft> {
    draft_with(facts, item, manifest, set, &json!(settings::check(&toml::Table::new()).unwrap()))
}

fn draft_with(
    facts: &Facts,
    item: &str,
    manifest: Option<&Manifest>,
    set: &[(&str, &str)],
    settings: &Value,
) -> Result<Draft> {
    draft_of(facts, item, manifest, set, settings, &[])
}

fn draft_seeing(
    facts: &Facts,
    item: &str,
    manifest: Option<&Manifest>,
    set: &[(&str, &str)],
    sightings: &[Sighting],
) -> Result<Draft> {
    draft_of(facts, item, manifest, set, &json!(settings::check(&toml::Table::new()).unwrap()), sightings)
}

fn draft_of(
    facts: &Facts,
    item: &str,
    manifest: Option<&Manifest>,
    set: &[(&str, &str)],
    settings: &Value,
    sightings: &[Sighting],
) -> Result<Draft> {
    let place = serde_json::from_value(json!({"owner": "dc1", "service": "consul", "item": item})).unwrap();
    let host = HostId::new("n1").unwrap();
    let command = match manifest {
        None => Command::Backup { item: crate::model::ids::ItemRef::clone(&place), reason: None },
        Some(manifest) => Command::Restore { item: place.clone(), snapshot: manifest.id.clone(), to: host.clone() },
    };
    let items = Consul.items(facts);
    let item = items.iter().find(|own| own.id.as_str() == item).unwrap();
    let mut ask = Ask {
        command: &command,
        host: &host,
        settings,
        facts,
        item,
        place: &place,
        manifest,
        sightings,
        chosen: &BTreeMap::new(),
    };
    let mut chosen: BTreeMap<_, _> =
        Consul.choices(&ask).into_iter().map(|choice| (choice.key, choice.default)).collect();
    chosen.extend(set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    ask.chosen = &chosen;
    Consul.plan(&ask)
}

fn verified() -> Value {
    let set = json!({"count": 1, "sha256": "x"});
    json!({
        "types": {}, "kv_keys": 0, "kv_ordered": true, "kv_sha256": "x", "acl_tokens": set, "acl_policies": set,
        "acl_roles": set, "config_entries": set, "enterprise_types": [], "unknown_types": [],
    })
}

fn standing(facts: &Facts, item: &str) -> Standing {
    Consul.items(facts).into_iter().find(|own| own.id.as_str() == item).unwrap().standing
}

fn ids(draft: &Draft) -> Vec<&str> {
    draft.steps.iter().map(|step| step.id.as_str()).collect()
}

fn gates(draft: &Draft) -> Vec<(&str, &str)> {
    draft.gates.iter().map(|gate| (gate.id.as_str(), gate.word.as_str())).collect()
}

#[test]
fn the_agent_s_words_and_files_are_read() {
    let seen = read_look(LOOK);
    assert_eq!(seen.config_dirs, ["/etc/consul.d"]);
    assert_eq!(seen.config_files.len(), 3);
    assert_eq!((seen.data_dir.as_deref(), seen.server, seen.encrypt), (Some("/opt/consul"), Some(true), true));
    assert_eq!(seen.address().unwrap().to_string(), "127.0.0.1:8600", "a health check's URL is not the API's");
    let own: Own = own_facts(&facts()).unwrap();
    assert_eq!((own.server, own.acl, own.encrypt), (Some(true), Some(true), true));
    assert_eq!((own.datacenter.as_deref(), own.data_dir.as_deref()), (Some("dc1"), Some("/opt/consul")));
    assert_eq!(facts().version.unwrap().as_str(), "1.20.1");
}

#[test]
fn an_api_is_found_where_it_listens() {
    let seen = read_look("== config\n\"http\": -1\n@ports.https=8501\n@addresses.https=::1\n");
    assert_eq!(seen.address().unwrap().to_string(), "https://[::1]:8501");
    let both = read_look("== config\nhttp = 8500\n@ports.https=8501\n");
    assert_eq!(both.address().unwrap().to_string(), "127.0.0.1:8500", "in clear inside the login, where it can be");
    assert!(read_look("== config\nhttp = -1\n").address().unwrap_err().contains("turned off"));
    let socket = read_look("== config\nhttp = \"unix:///run/consul.sock\"\n");
    assert_eq!(socket.address().unwrap().to_string(), "unix:///run/consul.sock");
}

#[test]
fn each_item_says_why_it_cannot_be_copied() {
    for item in ["snapshot", "agent-config", "node-identity", "keyrings"] {
        assert_eq!(standing(&facts(), item), Standing::Ready, "{item}");
    }
    let refused = changed(|own| own.refused = Some("The token lacks the right acl = \"write\".".into()));
    assert!(matches!(standing(&refused, "snapshot"), Standing::Impossible(why) if why.as_str().contains("acl")));
    let plain = changed(|own| (own.keyrings, own.encrypt) = (Vec::new(), false));
    assert!(matches!(standing(&plain, "keyrings"), Standing::Absent(why) if why.as_str().contains("not encrypted")));
    let bare = changed(|own| (own.data_dir, own.node_id, own.config_dir) = (None, None, None));
    for item in ["agent-config", "node-identity", "keyrings"] {
        assert!(matches!(standing(&bare, item), Standing::Absent(_)), "{item}");
    }
}

#[test]
fn a_backup_is_one_step_and_does_not_depend_on_who_leads() {
    let one = draft(&facts(), "snapshot", None, &[]).unwrap();
    let other = draft(&changed(|own| own.leader = Some("10.0.0.2:8300".into())), "snapshot", None, &[]).unwrap();
    assert_eq!(one, other);
    assert_eq!(ids(&one), ["capture"]);
    assert_eq!(one.steps[0].args["source"]["stale"], false);
    let stale = draft(&facts(), "snapshot", None, &[("mode", "stale")]).unwrap();
    assert_eq!(stale.steps[0].args["source"]["stale"], true);
    let text = serde_json::to_string(&one.steps).unwrap();
    assert!(text.contains(r#""token":{"env":"T"}"#), "{text}");
}

#[test]
fn a_restore_checks_saves_replaces_once_and_compares() {
    let snapshot = manifest("snapshot", json!({"datacenter": "dc1", "version": "1.20.1", "verified": verified()}));
    let plan = draft(&facts(), "snapshot", Some(&snapshot), &[]).unwrap();
    assert_eq!(ids(&plan), ["ready", "safety", "deliver", "accept"]);
    assert_eq!(gates(&plan), [("overwrite", "dc1")]);
    assert!(plan.guards.is_empty(), "nothing is stopped");
    let effects: Vec<_> = plan.steps.iter().map(|step| step.effect).collect();
    assert_eq!(effects, [Effect::Read, Effect::Read, Effect::Destroy, Effect::Read]);
    assert_eq!(
        text_of(&plan.steps[1].args, "reason"),
        "before the restore of dc1/consul/snapshot@20261120T184500Z-7f3a"
    );
    assert_eq!(plan.steps[2].args["undo"], Value::Null);
    assert!(plan.leaves.iter().any(|line| line.as_str().contains("token_after")));
    let skipped = draft(&facts(), "snapshot", Some(&snapshot), &[("safety", "skip")]).unwrap();
    assert_eq!(ids(&skipped), ["ready", "deliver", "accept"]);
    assert_eq!(gates(&skipped), [("overwrite", "dc1"), ("no-safety", "n1")]);
}

#[test]
fn versions_that_differ_are_asked_about_and_newer_ones_refused() {
    let from =
        |version: &str| manifest("snapshot", json!({"datacenter": "dc1", "version": version, "verified": verified()}));
    for (version, gate) in
        [("1.20.1", None), ("1.20.4", Some("1.20.1")), ("1.18.0", Some("1.20.1")), ("odd", Some("1.20.1"))]
    {
        let plan = draft(&facts(), "snapshot", Some(&from(version)), &[]).unwrap();
        let asked = gates(&plan).into_iter().find(|(id, _)| *id == "version").map(|(_, word)| word);
        assert_eq!(asked, gate, "{version}");
    }
    for version in ["1.21.0", "2.0.0", "1.20.1+ent"] {
        assert!(draft(&facts(), "snapshot", Some(&from(version)), &[]).is_err(), "{version} was taken");
    }
}

#[test]
fn a_snapshot_that_would_crash_the_leader_is_never_sent() {
    for verified in [json!({"enterprise_types": [65]}), json!({"unknown_types": {"Unknown(44)": 1}})] {
        let snapshot = manifest("snapshot", json!({"version": "1.20.1", "verified": verified}));
        let failure = draft(&facts(), "snapshot", Some(&snapshot), &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Integrity, "{failure:?}");
    }
    let unread = manifest("snapshot", json!({"version": "1.20.1", "datacenter": "dc1"}));
    assert!(draft(&facts(), "snapshot", Some(&unread), &[]).unwrap_err().message.contains("never read through"));
    let snapshot = manifest("snapshot", json!({"version": "1.20.1", "datacenter": "dc9", "verified": verified()}));
    let elsewhere = draft(&facts(), "snapshot", Some(&snapshot), &[]).unwrap();
    assert!(gates(&elsewhere).contains(&("datacenter", "dc1")));
    let leaderless = changed(|own| own.leader = None);
    assert!(draft(&leaderless, "snapshot", Some(&snapshot), &[]).unwrap_err().message.contains("no leader"));
}

#[test]
fn an_agent_s_files_are_swapped_under_a_guard() {
    let identity = json!({"path": "/old/consul/node-id", "node_id": "319f3df7-60cd-ed2d-4a07-e9405cc8caec"});
    let rings = json!({"path": "/x/serf", "files": ["local.keyring", "../evil.keyring", "remote.keyring"]});
    for (item, facts_then, targets) in [
        ("agent-config", json!({"path": "/etc/consul.d"}), json!(["/etc/consul.d"])),
        ("node-identity", identity, json!(["/opt/consul/node-id"])),
        ("keyrings", rings, json!(["/opt/consul/serf/local.keyring", "/opt/consul/serf/remote.keyring"])),
    ] {
        let plan = draft(&facts(), item, Some(&manifest(item, facts_then)), &[]).unwrap();
        assert_eq!(ids(&plan), ["ready", "deliver", "stop", "swap", "start", "accept"], "{item}");
        assert_eq!(plan.basis["targets"], targets);
        assert_eq!(gates(&plan), [("overwrite", "n1")]);
        assert_eq!(plan.guards.len(), 1);
        for step in &plan.steps[2..5] {
            assert!(step.guard.is_some() && step.on_lapse.is_some());
        }
        for step in plan.steps.iter().filter(|step| step.op != "deliver/1") {
            crate::services::op(&step.op).unwrap().tell(&step.args).unwrap();
        }
    }
    let mut gone = facts();
    gone.units[0].load = "not-found".into();
    let config = manifest("agent-config", json!({"path": "/etc/consul.d"}));
    let failure = draft(&gone, "agent-config", Some(&config), &[]).unwrap_err();
    assert!(failure.message.contains("consul.service"), "{failure:?}");
    assert!(failure.hints.iter().any(|hint| hint.contains("apt-get install consul=1.20.1-*")), "{failure:?}");
    gone.present = false;
    let snapshot = manifest("snapshot", json!({"datacenter": "dc1", "version": "1.18.2", "verified": verified()}));
    let failure = draft(&gone, "snapshot", Some(&snapshot), &[]).unwrap_err();
    assert!(failure.message.contains("not installed"), "{failure:?}");
    let nameless = manifest("node-identity", json!({"node_id": "rm -rf"}));
    assert_eq!(draft(&facts(), "node-identity", Some(&nameless), &[]).unwrap_err().exit, Exit::Integrity);
}

#[test]
fn a_twin_is_fenced_after_everything_that_can_fail_without_harm() {
    let identity = json!({"path": "/old/consul/node-id", "node_id": "319f3df7-60cd-ed2d-4a07-e9405cc8caec"});
    let unit = Some(UnitName::new("consul.service").unwrap());
    let stopped = Sighting { host: HostId::new("old-1").unwrap(), unit, state: Whereabouts::Stopped { fenced: false } };
    let plan = draft_seeing(&facts(), "node-identity", Some(&manifest("node-identity", identity)), &[], &[stopped]);
    let plan = plan.unwrap();
    let order = ["ready", "deliver", "fence-old-1", "stop", "swap", "fenced-old-1", "start", "accept"];
    assert_eq!(ids(&plan), order);
}

#[test]
fn an_agent_that_knew_a_leader_must_know_one_again() {
    let config = manifest("agent-config", json!({"path": "/etc/consul.d"}));
    let led = |facts: &Facts| draft(facts, "agent-config", Some(&config), &[]).unwrap().steps.pop().unwrap().args;
    assert_eq!(led(&facts())["led"], true);
    assert_eq!(led(&changed(|own| own.leader = None))["led"], false);
}

#[test]
fn recipes_name_the_official_tools() {
    for item in ["snapshot", "agent-config", "node-identity", "keyrings"] {
        let recipe = Consul.recipe(&manifest(item, json!({"path": "/etc/con'sul.d", "version": "1.20.1"})));
        let text = format!("{recipe:?}");
        assert!(text.contains(if item == "snapshot" { "consul snapshot restore" } else { "systemctl start consul" }));
        assert!(item == "snapshot" || text.contains("con'\\\\''sul"), "{text}");
    }
}

#[test]
fn a_copied_node_id_must_be_the_one_that_was_seen() {
    let items = Consul.items(&facts());
    let item = items.iter().find(|item| item.id.as_str() == "node-identity").unwrap();
    let of = |sha256: &str| Consul.conclude(item, &[("sha256".to_owned(), json!(sha256))].into());
    let good = of("424ac5ebc25c5fa9cb8100da09b3920c89711a3505309b67cc03cfe171121472");
    assert_eq!((good.identities[0].kind.as_str(), &good.refused), ("consul-node-id", &None));
    assert_eq!(
        of("00").refused.as_deref(),
        Some("its node-id is not 319f3df7-60cd-ed2d-4a07-e9405cc8caec, which was seen before"),
        "the end of a sentence"
    );
}
