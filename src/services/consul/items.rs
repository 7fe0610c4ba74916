//! What can be saved of Consul, and what cannot and why.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::api::environment;
use super::probe::{NODE_ID, Own};
use crate::model::facts::{Facts, Identity};
use crate::model::ids::ItemId;
use crate::model::item::{Copying, Item, Sensitivity, Standing};
use crate::model::text::hex;
use crate::services::Conclusion;
use crate::services::common::{own_facts, strange_roots, text_of};

/// The datacenter's state.
pub(super) const SNAPSHOT: &str = "snapshot";
/// The agent's configuration directory.
pub(super) const AGENT_CONFIG: &str = "agent-config";
/// The agent's node-id.
pub(super) const NODE_IDENTITY: &str = "node-identity";
/// The gossip keyrings.
pub(super) const KEYRINGS: &str = "keyrings";

/// Every item. The facts of an item never hold what changes by itself: they are part of a plan.
pub(super) fn items(facts: &Facts) -> Vec<Item> {
    let Ok(own) = own_facts::<Own>(facts) else { return Vec::new() };
    let list = [
        (SNAPSHOT, "datacenter snapshot", Copying::Protocol, "consul-snap/1", snapshot(facts, &own)),
        (AGENT_CONFIG, "agent configuration", Copying::Live, "tar/1", agent_config(&own)),
        (NODE_IDENTITY, "node identity", Copying::Live, "bytes/1", node_identity(&own)),
        (KEYRINGS, "gossip keyrings", Copying::Live, "tar/1", keyrings(&own)),
    ];
    let item = |(id, title, copying, format, (standing, facts)): (&str, &str, Copying, &str, (Standing, Value))| {
        let sensitivity = if id == NODE_IDENTITY { Sensitivity::Plain } else { Sensitivity::Secret };
        let id = ItemId::new(id).ok()?;
        Some(Item { id, title: title.into(), size: None, sensitivity, copying, standing, format: format.into(), facts })
    };
    list.into_iter().filter_map(item).collect()
}

fn snapshot(facts: &Facts, own: &Own) -> (Standing, Value) {
    let mut told = json!({"datacenter": own.datacenter, "version": facts.version, "acl": own.acl});
    let reached =
        own.access.as_ref().map(|access| environment(&access.http, access.tls.as_ref(), own.api_name.as_deref()));
    if let Some(reached) = reached.filter(|set| !set.is_empty()) {
        // For whoever restores by hand: an API that is not where the official CLI looks for it.
        told["environment"] = reached.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
    }
    let standing = match (&own.silent, &own.refused) {
        (Some(why), _) if facts.present => Standing::Impossible(why.clone()),
        (Some(_), _) => Standing::Absent("Consul is not on this host.".into()),
        (None, Some(why)) => Standing::Impossible(why.clone()),
        (None, None) => Standing::Ready,
    };
    (standing, told)
}

fn agent_config(own: &Own) -> (Standing, Value) {
    let outside = &own.config_files;
    let Some(dir) = &own.config_dir else {
        let why = "No configuration directory was found; name it with config_dir.";
        return (Standing::Absent(why.into()), json!({"not_inside": outside}));
    };
    (Standing::Ready, json!({"path": dir, "not_inside": outside}))
}

fn node_identity(own: &Own) -> (Standing, Value) {
    match (&own.data_dir, &own.node_id) {
        (Some(dir), Some(id)) => (Standing::Ready, json!({"path": format!("{dir}/node-id"), "node_id": id})),
        (Some(dir), None) => (Standing::Absent(format!("There is no usable node-id in {dir}.").into()), Value::Null),
        (None, _) => (Standing::Absent("The data directory was not found; name it with data_dir.".into()), Value::Null),
    }
}

fn keyrings(own: &Own) -> (Standing, Value) {
    match &own.data_dir {
        Some(dir) if !own.keyrings.is_empty() => {
            (Standing::Ready, json!({"path": format!("{dir}/serf"), "files": own.keyrings}))
        }
        Some(_) if own.encrypt => {
            let why = "The gossip key stands in the configuration, and no keyring was written yet.";
            (Standing::Absent(why.into()), Value::Null)
        }
        Some(_) => (Standing::Absent("Gossip is not encrypted, so there are no keyrings.".into()), Value::Null),
        None => (Standing::Absent("The data directory was not found; name it with data_dir.".into()), Value::Null),
    }
}

/// The identity of a copied node-id: the one that was seen, if these are its bytes. An archive must be of what was asked for.
pub(super) fn conclude(item: &Item, verified: &BTreeMap<String, Value>) -> Conclusion {
    let refused = match item.id.as_str() {
        AGENT_CONFIG => strange_roots(verified, "config.tar", &["."]),
        KEYRINGS => {
            let files: Vec<&str> =
                item.facts["files"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            strange_roots(verified, "keyrings.tar", &files)
        }
        _ => None,
    };
    if refused.is_some() {
        return Conclusion { refused, ..Conclusion::default() };
    }
    let id = text_of(&item.facts, "node_id");
    if item.id.as_str() != NODE_IDENTITY || id.is_empty() {
        return Conclusion::default();
    }
    let hex = |text: String| hex(&Sha256::digest(text));
    let is_it = verified.get("sha256").and_then(Value::as_str);
    let is_it = is_it.is_some_and(|found| found == hex(id.to_owned()) || found == hex(format!("{id}\n")));
    let refused = (!is_it).then(|| format!("its node-id is not {id}, which was seen before"));
    Conclusion {
        identities: vec![Identity { kind: NODE_ID.to_owned(), value: id.to_owned() }],
        refused,
        ..Conclusion::default()
    }
}
