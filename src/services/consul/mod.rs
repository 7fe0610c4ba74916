//! Consul: the datacenter's snapshot over its API, and what a snapshot does not hold: configuration, node-id, keyrings.
//!
//! The API is reached through the node's own login, so nothing listens here and the token travels only inside it.
//! Nothing is stopped for a snapshot or its restore, so neither has a guard: a restore is one request that the leader
//! carries out whole or not at all, and what it replaces is taken into the vault before.

use std::collections::BTreeMap;

use serde_json::Value;

use super::common::args_of;
use super::{Ask, Conclusion, Cx, Draft, Driver, Op, Recipe, SettingError, Sink, Source, Traces};
use crate::model::exit::Result;
use crate::model::facts::Facts;
use crate::model::ids::ItemId;
use crate::model::item::Item;
use crate::model::manifest::Manifest;
use crate::model::plan::Choice;

mod api;
mod compare;
mod items;
mod ops;
mod plan;
mod probe;
mod recipe;
mod restore;
mod restore_files;
mod settings;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod trust;

/// The kind of service.
const KIND: &str = "consul";

/// Where its facts come from.
const ORIGINS: &[(&str, &str)] = &[
    ("identities", "its data directory"),
    ("access", "the inventory"),
    ("api_name", "its certificate"),
    ("silent", "its API"),
    ("silent_exit", "its API"),
    ("silent_hints", "its API"),
    ("leader", "its API"),
    ("peers", "its API"),
    ("acl", "its API"),
    ("refused", "its API"),
    ("refused_exit", "its API"),
    ("may_write", "its API"),
    ("config_files", "its command line"),
    ("node_id", "its data directory"),
    ("keyrings", "its data directory"),
];

/// Saves a Consul datacenter and its agents.
#[derive(Debug)]
pub struct Consul;

impl Driver for Consul {
    fn kind(&self) -> &'static str {
        KIND
    }
    fn about(&self) -> &'static str {
        "Consul: the datacenter's snapshot, agent configuration, node identity and gossip keyrings."
    }
    fn origins(&self) -> &'static [(&'static str, &'static str)] {
        ORIGINS
    }
    fn traces(&self) -> Traces {
        Traces {
            units: &["consul.service", "consul-server.service", "consul-client.service", "consul@*.service"],
            processes: &["consul"],
            paths: &["/etc/consul.d", "/opt/consul", "/var/lib/consul"],
        }
    }
    fn settings(&self, table: &toml::Table) -> Result<Value, Vec<SettingError>> {
        settings::check(table).map(|settings| serde_json::json!(settings))
    }
    fn probe(&self, cx: &Cx, settings: &Value) -> Result<Facts> {
        probe::probe(cx, &args_of(settings)?)
    }
    fn is_of_one_member(&self, item: &ItemId) -> bool {
        item.as_str() != items::SNAPSHOT
    }
    fn identities_in(&self, item: &ItemId) -> &'static [&'static str] {
        if item.as_str() == items::NODE_IDENTITY { &[probe::NODE_ID] } else { &[] }
    }
    fn items(&self, facts: &Facts) -> Vec<Item> {
        items::items(facts)
    }
    fn choices(&self, ask: &Ask) -> Vec<Choice> {
        plan::choices(ask)
    }
    fn plan(&self, ask: &Ask) -> Result<Draft> {
        plan::plan(ask)
    }
    fn source<'a>(&self, cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Source + 'a>> {
        Ok(Box::new(source::Copy::new(cx, args_of(args)?)))
    }
    fn sink<'a>(&self, cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Sink + 'a>> {
        Ok(Box::new(sink::Deliver::new(cx, args_of(args)?)))
    }
    fn conclude(&self, item: &Item, verified: &BTreeMap<String, Value>) -> Conclusion {
        items::conclude(item, verified)
    }
    fn recipe(&self, manifest: &Manifest) -> Recipe {
        recipe::recipe(manifest)
    }
    fn ops(&self) -> &'static [&'static dyn Op] {
        ops::OPS
    }
}
