//! What can be saved of an agent, and what cannot and why.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::facts::Own;
use crate::formats::EntryName;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::{Facts, Identity};
use crate::model::ids::ItemId;
use crate::model::item::{Copying, Item, Sensitivity, Standing};
use crate::model::units::ByteSize;
use crate::services::Conclusion;
use crate::services::common::own_facts;

/// The configuration directory.
pub const CONFIG: &str = "config";
/// The library directory: GUID, claim, keys, registry, silencers.
pub const IDENTITY: &str = "identity";
/// The cache directory: samples and what they are called.
pub const METRICS: &str = "metrics";

/// The kind of a machine GUID among identities.
pub const GUID: &str = "netdata-guid";
/// The kind of the Cloud's id of an agent.
pub const CLAIM: &str = "netdata-claim";

/// The directory an item is, by its name in the facts.
pub fn dir_of(item: &str) -> Option<&'static str> {
    match item {
        CONFIG => Some("config"),
        IDENTITY => Some("lib"),
        METRICS => Some("cache"),
        _ => None,
    }
}

/// Everything of an agent; empty where there is none.
pub fn items(facts: &Facts) -> Vec<Item> {
    let Ok(own) = own_facts::<Own>(facts) else { return Vec::new() };
    let secret = (Sensitivity::Secret, Copying::Live);
    let made = [
        item(facts, &own, CONFIG, "configuration", "netdata-config/1", secret),
        item(facts, &own, IDENTITY, "identity", "netdata-identity/1", secret),
        item(facts, &own, METRICS, "metrics", "netdata-metrics/1", (Sensitivity::Plain, Copying::Stopped)),
    ];
    made.into_iter().flatten().collect()
}

fn item(
    facts: &Facts,
    own: &Own,
    id: &str,
    title: &str,
    format: &str,
    (sensitivity, copying): (Sensitivity, Copying),
) -> Result<Item> {
    let dir = dir_of(id).unwrap_or_default();
    let seen = own.seen(dir);
    Ok(Item {
        id: ItemId::new(id).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?,
        title: title.to_owned(),
        size: seen.map(|seen| ByteSize(seen.size)),
        sensitivity,
        copying,
        standing: standing(own, id, dir),
        format: format.to_owned(),
        facts: json!({
            "path": own.dir(dir), "guid": own.known_guid(), "claimed_id": own.claimed_id, "user": own.user,
            "variant": facts.variant, "unit": own.unit, "api": {"host": own.api.host, "port": own.api.port, "socket": own.api.socket},
            "db": {"mode": own.db.mode, "limits": own.db.limits}, "streams_to": own.streams_to,
        }),
    })
}

fn standing(own: &Own, id: &str, dir: &str) -> Standing {
    let impossible = |why: String| Standing::Impossible(why.into());
    if own.container {
        return impossible("Netdata runs in a container; containers are not served yet.".to_owned());
    }
    if own.seen(dir).is_none() {
        return Standing::Absent(format!("there is no directory at {}.", own.dir(dir)).into());
    }
    if id == METRICS && own.db.mode != "dbengine" {
        return impossible(format!(
            "the agent keeps its samples in mode '{}', of which no copy can be verified.",
            own.db.mode
        ));
    }
    if let Some(why) = own.wrong.get(dir) {
        return impossible(format!("{} is not what it should be: {why}.", own.dir(dir)));
    }
    if id == IDENTITY
        && let Some(why) = own.would_be_another()
    {
        return impossible(format!("{why}."));
    }
    if id == METRICS {
        return can_be_stopped(own);
    }
    Standing::Ready
}

/// Whether the agent can be stopped for the copy, and started again.
fn can_be_stopped(own: &Own) -> Standing {
    let unit = own.unit.as_ref().map_or("its unit".to_owned(), ToString::to_string);
    let why = if !own.running && !own.strays.is_empty() {
        format!("Netdata does not run under {unit}, so it cannot be stopped for the copy.")
    } else if own.running && own.masked {
        format!("{unit} is masked: once stopped, it could not be started again.")
    } else if own.running && own.wrong.contains_key("config") {
        // The package's unit has a condition on that file; a start would do nothing and say nothing.
        format!("{} has no netdata.conf: once stopped, {unit} would not start again.", own.dir("config"))
    } else if let Some(why) = own.would_be_another() {
        format!("{why}: once stopped, it would start as another one.")
    } else {
        return Standing::Ready;
    };
    Standing::Impossible(why.into())
}

/// Why an archive is not of the directory that was asked for; none when it is.
fn strange_directory(item: &Item, verified: &BTreeMap<String, Value>) -> Option<String> {
    let asked = item.facts["path"].as_str().unwrap_or_default().trim_start_matches('/');
    let asked: PathBuf = Path::new(asked).components().collect();
    let asked = EntryName::from(asked.as_os_str().as_bytes()).to_string();
    let within = verified.get("within").and_then(Value::as_str).unwrap_or_default();
    (within != asked).then(|| format!("its archive is of '{within}' and not of '{asked}'"))
}

/// What the verified bytes are, and whether they are the agent that runs.
pub fn conclude(item: &Item, verified: &BTreeMap<String, Value>) -> Conclusion {
    let mut conclusion = Conclusion { refused: strange_directory(item, verified), ..Conclusion::default() };
    let saw = item.facts["guid"].as_str();
    let guid = ["guid", "machine_guid", "host_guid"].iter().find_map(|key| verified.get(*key)?.as_str());
    let guid = guid.map(str::to_ascii_lowercase);
    // A database of names tells every GUID its agent ever had.
    let own = verified.get("host_guids").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let own: BTreeSet<String> = own.map(str::to_ascii_lowercase).chain(guid.clone()).collect();
    match saw {
        Some(saw) if conclusion.refused.is_none() && !own.is_empty() && !own.contains(saw) => {
            let own: Vec<&str> = own.iter().take(3).map(String::as_str).collect();
            conclusion.refused = Some(format!("its bytes are of {}, but the agent is {saw}", own.join(", ")));
        }
        None if item.id.as_str() == METRICS => {
            conclusion.marks.push("the agent's GUID was not known, so whose the samples are was not checked".into());
        }
        _ => {}
    }
    if item.id.as_str() == IDENTITY {
        let claim = verified.get("claimed_id").and_then(Value::as_str).map(str::to_ascii_lowercase);
        let claim = claim.or_else(|| item.facts["claimed_id"].as_str().map(str::to_owned));
        let found = [(GUID, guid.or_else(|| saw.map(str::to_owned))), (CLAIM, claim)];
        let found =
            found.into_iter().filter_map(|(kind, value)| Some(Identity { kind: kind.to_owned(), value: value? }));
        conclusion.identities.extend(found);
    }
    conclusion
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Place, Seen};
    use super::*;
    use crate::services::common::own_value;

    fn own() -> Own {
        let dirs = [("config", "/etc/netdata"), ("lib", "/var/lib/netdata"), ("cache", "/var/cache/netdata")];
        let place =
            |(name, path): (&str, &str)| (name.to_owned(), Place { path: path.to_owned(), from: "default".to_owned() });
        let seen = |(name, _): (&str, &str)| {
            (name.to_owned(), Seen { mounted: false, owner: "netdata".to_owned(), size: 5, free: 9 })
        };
        Own {
            unit: Some(crate::model::ids::UnitName::new("netdata.service").unwrap()),
            installed: true,
            running: true,
            guid: Some("a".to_owned()),
            dirs: dirs.map(place).into(),
            seen: dirs.map(seen).into(),
            db: super::super::facts::Db { mode: "dbengine".to_owned(), ..Default::default() },
            ..Own::default()
        }
    }

    fn stands(change: impl FnOnce(&mut Own)) -> BTreeMap<String, Standing> {
        let mut own = own();
        change(&mut own);
        let facts = Facts { own: own_value(&own), ..Facts::default() };
        items(&facts).into_iter().map(|item| (item.id.to_string(), item.standing)).collect()
    }

    #[test]
    fn what_could_not_be_started_again_is_not_stopped() {
        assert!(stands(|_| {}).values().all(|standing| *standing == Standing::Ready));
        for change in [
            (|own: &mut Own| own.masked = true) as fn(&mut Own),
            |own| {
                own.running = false;
                own.strays = vec![7];
            },
            |own| own.wrong = [("config".to_owned(), "it holds no netdata.conf".to_owned())].into(),
            |own| own.db.mode = "ram".to_owned(),
            |own| own.wrong = [("cache".to_owned(), "empty".to_owned())].into(),
            |own| own.container = true,
            |own| own.guid = None,
            |own| own.api.guid = Some("b".to_owned()),
        ] {
            assert!(matches!(stands(change)["metrics"], Standing::Impossible(_)));
        }
    }

    #[test]
    fn a_copy_of_another_agent_is_refused() {
        let facts = Facts { own: own_value(&Own { guid: Some("a".to_owned()), ..own() }), ..Facts::default() };
        let identity = items(&facts).into_iter().find(|item| item.id.as_str() == IDENTITY).unwrap();
        let verified =
            |guid: &str| [("guid".to_owned(), json!(guid)), ("within".to_owned(), json!("var/lib/netdata"))].into();
        let refused = conclude(&identity, &verified("b")).refused.unwrap();
        assert_eq!(refused, "its bytes are of b, but the agent is a");
        let good = conclude(&identity, &verified("A"));
        assert_eq!((good.refused, good.identities[0].value.as_str()), (None, "a"));
    }

    #[test]
    fn an_archive_of_another_directory_is_refused() {
        let facts = Facts { own: own_value(&own()), ..Facts::default() };
        let config = items(&facts).into_iter().find(|item| item.id.as_str() == CONFIG).unwrap();
        let refused = |told: Value| conclude(&config, &serde_json::from_value(told).unwrap()).refused;
        assert_eq!(refused(json!({"within": "etc/netdata"})), None);
        let found = refused(json!({"within": "old/etc/netdata"})).unwrap();
        assert_eq!(found, "its archive is of 'old/etc/netdata' and not of 'etc/netdata'");
        assert!(refused(json!({"within": ""})).is_some() && refused(json!({})).is_some());
    }

    #[test]
    fn samples_of_another_agent_are_refused_whatever_their_database_says_beside_it() {
        let judged = |guid: Option<&str>, mut told: Value| {
            told["within"] = "var/cache/netdata".into();
            let facts = Facts { own: own_value(&Own { guid: guid.map(str::to_owned), ..own() }), ..Facts::default() };
            let metrics = items(&facts).into_iter().find(|item| item.id.as_str() == METRICS).unwrap();
            conclude(&metrics, &serde_json::from_value(told).unwrap())
        };
        let two = json!({"host_guid": null, "host_guids": ["A", "b"]});
        assert_eq!(judged(Some("a"), two.clone()), Conclusion::default());
        let refused = judged(Some("c"), two.clone()).refused.unwrap();
        assert_eq!(refused, "its bytes are of a, b, but the agent is c");
        assert!(judged(Some("c"), json!({"host_guid": "a", "host_guids": ["a"]})).refused.is_some());
        assert!(judged(Some("c"), json!({"host_guid": "a"})).refused.is_some());
        // Its format says so; there is nothing to compare.
        assert_eq!(judged(Some("c"), json!({"host_guid": null, "host_guids": []})), Conclusion::default());
        let unknown = judged(None, two);
        assert!(unknown.refused.is_none() && unknown.marks[0].to_string().contains("was not known"));
    }
}
