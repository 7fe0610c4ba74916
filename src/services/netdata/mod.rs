//! Netdata: what configures an agent, who it is, and its samples, which are whole on disk only while it is stopped.
//!
//! An agent holds its newest samples in memory and writes them when it stops, so a live copy of them holds next to
//! nothing, and the agent deletes without a word what it cannot read back. So the samples are copied with a stop, kept as
//! short as can be (see [`super::common::Still`]), and a restore replaces whole directories.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::exit::Result;
use crate::model::facts::Facts;
use crate::model::ids::ItemId;
use crate::model::item::Item;
use crate::model::manifest::Manifest;
use crate::model::plan::{Choice, Command};
use crate::services::common::fence_choice;
use crate::services::{Ask, Conclusion, Cx, Draft, Driver, Op, Recipe, SettingError, Sink, Source, Traces};

mod accept;
mod api;
mod backup;
mod conf;
mod facts;
mod figures;
mod items;
mod look;
mod probe;
mod ready;
mod recipe;
mod restore;
mod settings;
mod sink;
#[cfg(test)]
mod tests;

const KIND: &str = "netdata";
/// The choice of a backup of metrics.
const COPY_CHOICE: &str = "copy";
/// The choice of a backup of metrics: what becomes of the copy when files are damaged on the node.
const DAMAGED_CHOICE: &str = "damaged";
/// The choice of a restore: whether the agent becomes the one that was saved.
const AS_CHOICE: &str = "as";
/// The choice of a restore: what becomes of what is there.
const OLD_CHOICE: &str = "old";

/// Where its facts come from.
const ORIGINS: &[(&str, &str)] = &[
    ("variant", "its program and package"),
    ("identities", "its files"),
    ("unit", "the inventory"),
    ("installed", "systemd"),
    ("masked", "systemd"),
    ("unit_stop_within", "systemd"),
    ("running", "systemd"),
    ("strays", "the node's processes"),
    ("container", "the node's processes"),
    ("dirs", "its configuration"),
    ("seen", "the file system"),
    ("wrong", "the file system"),
    ("guid", "its files"),
    ("claimed_id", "its files"),
    ("api", "its API"),
    ("db.stored", "the file system"),
    ("streams_to", "stream.conf"),
    ("children", "its API"),
    ("stopped_bytes", "the file system"),
    ("reflinks", "the file system"),
];

/// The driver of Netdata agents.
#[derive(Debug)]
pub struct Netdata;

impl Driver for Netdata {
    fn kind(&self) -> &'static str {
        KIND
    }
    fn about(&self) -> &'static str {
        "A Netdata agent: its configuration, its identity and its samples."
    }
    fn origins(&self) -> &'static [(&'static str, &'static str)] {
        ORIGINS
    }
    fn traces(&self) -> Traces {
        Traces {
            units: &["netdata.service"],
            processes: &["netdata"],
            paths: &["/etc/netdata", "/opt/netdata", "/var/lib/netdata"],
        }
    }
    fn settings(&self, table: &toml::Table) -> Result<Value, Vec<SettingError>> {
        settings::check(table)
    }
    fn probe(&self, cx: &Cx, settings: &Value) -> Result<Facts> {
        probe::probe(cx, settings)
    }
    fn identities_in(&self, item: &ItemId) -> &'static [&'static str] {
        if item.as_str() == items::IDENTITY { &[items::GUID, items::CLAIM] } else { &[] }
    }
    fn items(&self, facts: &Facts) -> Vec<Item> {
        items::items(facts)
    }
    fn choices(&self, ask: &Ask) -> Vec<Choice> {
        match (ask.command, ask.place.item.as_str()) {
            (Command::Backup { .. }, items::METRICS) => vec![copy_choice(), damaged_choice()],
            (Command::Backup { .. }, _) => Vec::new(),
            (Command::Restore { .. }, items::IDENTITY) => vec![as_choice(), fence_choice(), old_choice()],
            (Command::Restore { .. }, items::METRICS) => vec![as_choice(), old_choice()],
            (Command::Restore { .. }, _) => vec![old_choice()],
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

fn choice(key: &str, question: &str, values: [(&str, &str); 2]) -> Choice {
    Choice {
        key: key.to_owned(),
        question: question.to_owned(),
        values: values.map(|(value, means)| (value.to_owned(), means.to_owned())).into(),
        default: values.first().map(|(value, _)| (*value).to_owned()).unwrap_or_default(),
    }
}

fn copy_choice() -> Choice {
    choice(
        COPY_CHOICE,
        "How are the samples copied while the agent is stopped?",
        [
            ("short", "what does not change before the stop; the rest beside during it, sent after the start"),
            ("plain", "all of it off the node during the stop; needs no room there"),
        ],
    )
}

fn damaged_choice() -> Choice {
    choice(
        DAMAGED_CHOICE,
        "What if files are damaged on the node already?",
        [
            ("refuse", "nothing is saved; the first damaged file is named"),
            ("keep", "all of it is saved as it lies; the snapshot names every damaged file and is not verified"),
        ],
    )
}

fn as_choice() -> Choice {
    choice(
        AS_CHOICE,
        "Does the agent become the one that was saved?",
        [
            ("same", "yes; the one that was saved must be gone"),
            ("data", "no; it keeps its own identity, and what is restored is data of another"),
        ],
    )
}

fn old_choice() -> Choice {
    choice(
        OLD_CHOICE,
        "What becomes of what is there now?",
        [
            ("keep", "it is kept aside and can be brought back"),
            ("discard", "it is deleted first, to make room; nothing brings it back"),
        ],
    )
}
