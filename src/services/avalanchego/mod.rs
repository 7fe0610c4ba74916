//! `AvalancheGo`: the staking identity, what configures the node around it, and how both come back.
//!
//! The identity is three files: `staker.crt` and `staker.key` make the NodeID, `signer.key` the BLS key. A node that
//! does not find them makes new ones without a word, so everything here turns on where they really are, on putting
//! them back in one rename while the node is down, and on asking the node afterwards who it is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::Facts;
use crate::model::ids::{HostId, UnitName};
use crate::model::item::Item;
use crate::model::manifest::Manifest;
use crate::model::plan::{Choice, Command};
use crate::services::common::{Downtime, fence_choice};
use crate::services::{Ask, Conclusion, Cx, Draft, Driver, Op, Recipe, SettingError, Sink, Source};

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
    fn settings(&self, table: &toml::Table) -> Result<Value, Vec<SettingError>> {
        settings::check(table)
    }
    fn probe(&self, cx: &Cx, settings: &Value) -> Result<Facts> {
        probe::probe(cx, settings)
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

/// The driver's own facts, or why a plan cannot rest on them.
fn own_facts(facts: &Facts) -> Result<facts::Own> {
    facts::Own::of(facts).ok_or_else(|| {
        Failure::new(Exit::Stale, "What is known of this node cannot be read by this version; look at it again.")
    })
}

/// The node's unit stopped for a while.
fn service_down(host: &HostId, unit: &UnitName) -> Result<Downtime> {
    Downtime::of(host, "service", unit)
}
