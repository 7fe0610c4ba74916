//! `AvalancheGo`: the staking identity, what configures the node around it, and how both come back.
//!
//! The identity is three files: `staker.crt` and `staker.key` make the NodeID, `signer.key` the BLS key. A node that
//! does not find them makes new ones without a word, so everything here turns on where they really are, on putting
//! them back in one rename while the node is down, and on asking the node afterwards who it is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::exit::Result;
use crate::model::facts::{Facts, Identity};
use crate::model::ids::{HostId, ItemId, UnitName};
use crate::model::item::Item;
use crate::model::manifest::Manifest;
use crate::model::plan::{Choice, Command};
use crate::services::common::{Downtime, fence_choice, own_facts};
use crate::services::{Ask, Conclusion, Cx, Draft, Driver, Op, Recipe, SettingError, Sink, Source, Traces};

mod accept;
mod api;
mod backup;
mod facts;
mod items;
mod look;
mod probe;
mod ready;
mod recipe;
mod resolve;
mod restore;
mod settings;
mod sink;
mod target;
#[cfg(test)]
mod tests;

const KIND: &str = "avalanchego";

/// Where its facts come from.
const ORIGINS: &[(&str, &str)] = &[
    ("version", "its API"),
    ("variant", "its command line"),
    ("unit", "the inventory"),
    ("installed", "systemd"),
    ("fragment", "systemd"),
    ("drop_ins", "systemd"),
    ("group", "the node's accounts"),
    ("user_exists", "the node's accounts"),
    ("running", "the node's processes"),
    ("stray", "the node's processes"),
    ("paths", "its configuration"),
    ("files", "the file system"),
    ("staking_dir_alone", "the file system"),
    ("obstacle", "its configuration and processes"),
    ("inline_keys", "its command line and environment"),
    ("api", "its API"),
    ("disk_node_id", "the certificate on disk"),
    ("plugins", "the file system"),
    ("staking_room", "the file system"),
    ("data_room", "the file system"),
    ("wants_plugins", "the inventory"),
    ("wants_db", "the inventory"),
];

/// The driver of AvalancheGo nodes.
#[derive(Debug)]
pub struct AvalancheGo;

impl Driver for AvalancheGo {
    fn kind(&self) -> &'static str {
        KIND
    }
    fn about(&self) -> &'static str {
        "An Avalanche node: its staking identity, configuration, unit, plugins and database."
    }
    fn origins(&self) -> &'static [(&'static str, &'static str)] {
        ORIGINS
    }
    fn traces(&self) -> Traces {
        Traces {
            units: &["avalanchego.service", "avalanchego-*.service", "avalanchego@*.service"],
            processes: &["avalanchego"],
            paths: &[
                "/home/*/.avalanchego",
                "/root/.avalanchego",
                "/etc/avalanche/avalanchego",
                "/var/opt/avalanchego",
            ],
        }
    }
    fn settings(&self, table: &toml::Table) -> Result<Value, Vec<SettingError>> {
        settings::check(table)
    }
    fn probe(&self, cx: &Cx, settings: &Value) -> Result<Facts> {
        probe::probe(cx, settings)
    }
    fn hears(&self, cx: &Cx, facts: &Facts, sought: &[Identity]) -> Result<Option<Vec<Identity>>> {
        api::hears(cx, &own_facts::<facts::Own>(facts)?, sought)
    }
    fn identities_in(&self, item: &ItemId) -> &'static [&'static str] {
        if item.as_str() == items::STAKING { &[items::NODE_ID, items::BLS] } else { &[] }
    }
    fn items(&self, facts: &Facts) -> Vec<Item> {
        items::items(facts)
    }
    fn choices(&self, ask: &Ask) -> Vec<Choice> {
        match ask.command {
            Command::Restore { .. } if ask.place.item.as_str() == items::STAKING => vec![fence_choice()],
            Command::Restore { .. } | Command::Backup { .. } => Vec::new(),
        }
    }
    fn plan(&self, ask: &Ask) -> Result<Draft> {
        match ask.command {
            Command::Backup { .. } => backup::plan(ask),
            Command::Restore { .. } => restore::plan(ask),
        }
    }
    fn source<'a>(&self, cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Source + 'a>> {
        backup::source(cx, args)
    }
    fn sink<'a>(&self, cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Sink + 'a>> {
        sink::sink(cx, args)
    }
    fn conclude(&self, item: &Item, verified: &BTreeMap<String, Value>) -> Conclusion {
        items::conclude(item, verified)
    }

    fn recipe(&self, manifest: &Manifest) -> Recipe {
        recipe::recipe(manifest)
    }
    fn ops(&self) -> &'static [&'static dyn Op] {
        &[&ready::Ready, &accept::Accept]
    }
}

/// The node's unit stopped for a while.
fn service_down(host: &HostId, unit: &UnitName) -> Result<Downtime> {
    Downtime::of(host, "service", unit)
}
