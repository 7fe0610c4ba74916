//! What can be saved of a node, and what cannot and why.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::facts::{IDENTITY, Own, base_name};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::{Facts, Identity};
use crate::model::ids::ItemId;
use crate::model::item::{Copying, Item, Sensitivity, Standing};
use crate::model::units::ByteSize;
use crate::services::Conclusion;
use crate::services::common::{own_facts, strange_roots};

/// The identity's three files.
pub const STAKING: &str = "staking-identity";
/// The configuration file.
pub const NODE_CONFIG: &str = "node-config";
/// The chains' configuration directory.
pub const CHAIN_CONFIGS: &str = "chain-configs";
/// The subnets' configuration directory.
pub const SUBNET_CONFIGS: &str = "subnet-configs";
/// The unit file with its drop-ins.
pub const UNIT: &str = "unit";
/// The VM plugins' binaries.
pub const PLUGINS: &str = "plugins";
/// The database.
pub const DB: &str = "db";

/// The items that are one directory, with the key of its path.
pub const TREES: [(&str, &str); 4] =
    [(CHAIN_CONFIGS, "chain_configs"), (SUBNET_CONFIGS, "subnet_configs"), (PLUGINS, "plugins"), (DB, "db")];

/// The key of a directory item's path.
pub fn tree_key(item: &str) -> Option<&'static str> {
    TREES.iter().find(|(id, _)| *id == item).map(|(_, key)| *key)
}

struct Kind {
    id: &'static str,
    title: &'static str,
    format: &'static str,
    sensitivity: Sensitivity,
    copying: Copying,
}

const fn kind(id: &'static str, title: &'static str) -> Kind {
    Kind { id, title, format: "tar/1", sensitivity: Sensitivity::Plain, copying: Copying::Live }
}

fn item(kind: Kind, size: Option<u64>, standing: Standing, facts: Value) -> Result<Item> {
    let Kind { id, title, format, sensitivity, copying } = kind;
    Ok(Item {
        id: ItemId::new(id).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?,
        title: title.to_owned(),
        size: size.map(ByteSize),
        sensitivity,
        copying,
        standing,
        format: format.to_owned(),
        facts,
    })
}

/// Everything of a node; empty where there is none.
pub fn items(facts: &Facts) -> Vec<Item> {
    let Ok(own) = own_facts::<Own>(facts) else { return Vec::new() };
    let made = [
        staking(&own),
        node_config(&own),
        tree(&own, CHAIN_CONFIGS, "chain configurations"),
        tree(&own, SUBNET_CONFIGS, "subnet configurations"),
        unit(&own),
        plugins(&own),
        db(&own),
    ];
    made.into_iter().flatten().collect()
}

fn staking(own: &Own) -> Result<Item> {
    let mut files = Map::new();
    for (name, key) in IDENTITY {
        let Some(seen) = own.seen(key) else { continue };
        let place = own.paths.get(key);
        files.insert(
            name.to_owned(),
            json!({
                "path": own.path(key), "from": place.map(|p| &p.from),
                "mode": format!("{:04o}", seen.mode), "owner": seen.owner, "group": seen.group,
            }),
        );
    }
    let complete = files.contains_key("signer.key") || !own.needs_signer();
    let standing = match &own.obstacle {
        Some(why) => Standing::Impossible(why.as_str().into()),
        None => match IDENTITY.iter().take(2).find(|(name, _)| !files.contains_key(*name)) {
            Some((name, key)) => Standing::Absent(format!("{name} is not at {}.", own.path(key)).into()),
            None => Standing::Ready,
        },
    };
    let ByteSize(size) = IDENTITY.iter().filter_map(|(_, key)| own.seen(key)).map(|seen| seen.size).sum();
    let mut facts = json!({
        "node_id": own.node_id(), "bls_public_key": own.api.bls_public_key, "bls_proof_of_possession": own.api.bls_proof,
        "api_answered": own.api.answered(), "complete": complete, "network": own.network, "unit": own.unit, "user": own.user, "public_ip": own.public_ip, "files": files,
    });
    add_api(&mut facts, own);
    let kind = Kind { sensitivity: Sensitivity::Secret, format: "staking/1", ..kind(STAKING, "staking identity") };
    item(kind, Some(size), standing, facts)
}

/// Secret, because any setting may carry a key inline (`…-content`).
fn node_config(own: &Own) -> Result<Item> {
    let path = own.path("config_file");
    let standing = if path.is_empty() {
        Standing::Absent("the node is started without a configuration file.".into())
    } else if own.seen("config_file").is_some_and(|seen| !seen.dir) {
        Standing::Ready
    } else {
        Standing::Absent(format!("there is no file at {path}.").into())
    };
    let mut facts = json!({"path": path, "public_ip": own.public_ip, "network": own.network, "user": own.user, "node_id": own.node_id()});
    add_api(&mut facts, own);
    let kind = Kind { sensitivity: Sensitivity::Secret, ..kind(NODE_CONFIG, "node configuration") };
    item(kind, own.seen("config_file").map(|seen| seen.size), standing, facts)
}

fn tree(own: &Own, id: &'static str, title: &'static str) -> Result<Item> {
    let key = tree_key(id).unwrap_or_default();
    let path = own.path(key);
    let standing = if own.seen(key).is_some_and(|seen| seen.dir) {
        Standing::Ready
    } else {
        Standing::Absent(format!("there is no directory at {path}.").into())
    };
    // A chain's settings can hold keys and tokens of its own.
    let kind = Kind { sensitivity: Sensitivity::Secret, ..kind(id, title) };
    let mut facts = json!({"path": path, "network": own.network, "user": own.user});
    add_api(&mut facts, own);
    item(kind, None, standing, facts)
}

/// For whoever restores by hand: an API that is not where one looks for it, or speaks TLS.
fn add_api(facts: &mut Value, own: &Own) {
    let Some(place) = own.api.place().filter(|place| place.port != 9650 || place.trust.is_some()) else { return };
    facts["api"] = json!({"port": place.port, "cert": place.certificate()});
}

fn unit(own: &Own) -> Result<Item> {
    let mut files = vec![own.fragment.clone()];
    files.extend(own.drop_ins.iter().cloned());
    files.retain(|path| path.starts_with('/'));
    let standing = if own.fragment.starts_with('/') {
        Standing::Ready
    } else {
        Standing::Absent(format!("systemd knows no {}.", own.unit).into())
    };
    let sensitivity = if own.inline_keys { Sensitivity::Secret } else { Sensitivity::Plain };
    item(Kind { sensitivity, ..kind(UNIT, "service unit") }, None, standing, json!({"unit": own.unit, "files": files}))
}

fn plugins(own: &Own) -> Result<Item> {
    let ByteSize(size) = own.plugins.values().copied().sum();
    let standing = if own.plugins.is_empty() {
        Standing::Absent(format!("there are no plugins in {}.", own.path("plugins")).into())
    } else if own.wants_plugins {
        Standing::Ready
    } else {
        Standing::NotAsked(
            "They were not asked for: they can be downloaded again. Set plugins = true to save them.".into(),
        )
    };
    let mut facts =
        json!({"path": own.path("plugins"), "plugins": own.plugins.keys().collect::<Vec<_>>(), "user": own.user});
    add_api(&mut facts, own);
    item(kind(PLUGINS, "VM plugins"), Some(size), standing, facts)
}

fn db(own: &Own) -> Result<Item> {
    let standing = if own.seen("db").is_none() {
        Standing::Absent(format!("there is no directory at {}.", own.path("db")).into())
    } else if !own.wants_db {
        Standing::NotAsked(
            "It was not asked for: the chain is downloaded again. Set db = true to save it, which stops the node."
                .into(),
        )
    } else if own.stray.is_some() {
        Standing::Impossible(
            format!("The node does not run under {}, so it cannot be stopped for the copy.", own.unit).into(),
        )
    } else {
        Standing::Ready
    };
    let mut facts = json!({"path": own.path("db"), "network": own.network, "db_type": own.db_type, "user": own.user});
    add_api(&mut facts, own);
    item(Kind { copying: Copying::Stopped, ..kind(DB, "database") }, None, standing, facts)
}

/// The kind of a NodeID among identities.
pub const NODE_ID: &str = "avalanche-node-id";
/// The kind of a BLS public key among identities.
pub const BLS: &str = "avalanche-bls";

/// Why an item's archive is not of what was asked for; none when it is.
fn strange_archive(item: &Item, verified: &BTreeMap<String, Value>) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |path: &str| path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let wanted: Vec<String> = match item.id.as_str() {
        NODE_CONFIG => vec![base_name(&text(&item.facts["path"])).to_owned()],
        UNIT => item.facts["files"].as_array().into_iter().flatten().map(|path| of(&text(path))).collect(),
        _ => vec![".".to_owned()],
    };
    strange_roots(verified, "tree.tar", &wanted.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What the verified key set is, and whether the running node said the same when it was asked.
pub fn conclude(item: &Item, verified: &BTreeMap<String, Value>) -> Conclusion {
    let mut conclusion = Conclusion::default();
    if item.id.as_str() != STAKING {
        conclusion.refused = strange_archive(item, verified);
        return conclusion;
    }
    let answered = item.facts["api_answered"] == true;
    for (kind, key) in [(NODE_ID, "node_id"), (BLS, "bls_public_key")] {
        let Some(value) = verified.get(key).and_then(Value::as_str) else { continue };
        conclusion.identities.push(Identity { kind: kind.to_owned(), value: value.to_owned() });
        let runs_as = item.facts[key].as_str().filter(|_| answered);
        if let Some(running) = runs_as.filter(|running| !running.eq_ignore_ascii_case(value)) {
            let why = format!("its files are {value}, but the node runs as {running}");
            conclusion.refused.get_or_insert(why);
        }
    }
    if !answered {
        conclusion.marks.push("not compared with the running node: its API did not answer".into());
    } else if item.facts["bls_public_key"].is_null() && verified.contains_key("bls_public_key") {
        conclusion.marks.push("the running node tells no BLS key, so only its NodeID was compared".into());
    }
    conclusion
}
