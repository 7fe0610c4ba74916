//! Plans for backups, and the way into those for restores. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::Access;
use super::items::{AGENT_CONFIG, KEYRINGS, NODE_IDENTITY, SNAPSHOT};
use super::probe::Own;
use super::settings::Settings;
use super::source::{SILENCE, Wanted};
use super::{KIND, restore, restore_files};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::plan::{Choice, Command};
use crate::services::common::{StepMaker, args_of, capture_step, fence_choice, own_facts, text_of};
use crate::services::{Ask, Draft};

/// The choice of a snapshot's backup.
pub(super) const MODE: &str = "mode";
/// The choice of a snapshot's restore.
pub(super) const SAFETY: &str = "safety";

/// The questions.
pub(super) fn choices(ask: &Ask) -> Vec<Choice> {
    let choice = |key: &str, question: &str, values: [(&str, &str); 2]| Choice {
        key: key.to_owned(),
        question: question.to_owned(),
        values: values.iter().map(|(value, meaning)| ((*value).to_owned(), (*meaning).to_owned())).collect(),
        default: values[0].0.to_owned(),
    };
    match (ask.command, ask.item.id.as_str()) {
        (Command::Backup { .. }, SNAPSHOT) => vec![choice(
            MODE,
            "Who answers?",
            [
                ("consistent", "the leader, after it made sure that it is the leader"),
                ("stale", "any server with what it knows; the copy is marked, for a datacenter without a leader"),
            ],
        )],
        (Command::Restore { .. }, SNAPSHOT) => vec![choice(
            SAFETY,
            "Is what the datacenter holds now copied into the vault first?",
            [
                ("take", "yes; it can be restored again"),
                ("skip", "no; what is replaced is lost, for a datacenter that holds nothing yet"),
            ],
        )],
        (Command::Restore { .. }, NODE_IDENTITY) => vec![fence_choice()],
        _ => Vec::new(),
    }
}

/// The steps.
pub(super) fn plan(ask: &Ask) -> Result<Draft> {
    let own: Own = own_facts(ask.facts)?;
    let settings: Settings = args_of(ask.settings)?;
    match (ask.command, ask.item.id.as_str()) {
        (Command::Backup { .. }, _) => backup(ask, &own),
        (Command::Restore { .. }, SNAPSHOT) => restore::plan(ask, &own, &settings),
        (Command::Restore { .. }, _) => restore_files::plan(ask, &own, &settings),
    }
}

/// Where the API is; a sentence when it is not known.
pub(super) fn access_of(ask: &Ask, own: &Own) -> Result<Access> {
    own.access.clone().ok_or_else(|| {
        let why = own.silent.as_ref().map_or("its address is not known", |why| why.as_str());
        Failure::new(Exit::Failed, format!("Consul cannot be asked on {}: {}.", ask.host, why.trim_end_matches('.')))
    })
}

/// The source's arguments for the snapshot.
pub(super) fn snapshot_source(ask: &Ask, own: &Own, stale: bool) -> Result<Value> {
    let access = access_of(ask, own)?;
    let version = ask.facts.version.clone();
    Ok(json!(Wanted::Snapshot { access, stale, version, seen: own.datacenter.clone(), silence: SILENCE }))
}

fn backup(ask: &Ask, own: &Own) -> Result<Draft> {
    let item = ask.item;
    let path = text_of(&item.facts, "path").to_owned();
    let mut basis = BTreeMap::new();
    let source = match item.id.as_str() {
        SNAPSHOT => {
            basis.insert("datacenter".to_owned(), json!(own.datacenter));
            snapshot_source(ask, own, ask.choice(MODE) == "stale")?
        }
        NODE_IDENTITY => {
            basis.insert("node-id".to_owned(), json!(own.node_id));
            json!(Wanted::File { name: "node-id".to_owned(), path: path.clone() })
        }
        AGENT_CONFIG => json!(Wanted::Tar { name: "config.tar".to_owned(), path: path.clone(), files: Vec::new() }),
        KEYRINGS => {
            json!(Wanted::Tar { name: "keyrings.tar".to_owned(), path: path.clone(), files: own.keyrings.clone() })
        }
        other => return Err(Failure::new(Exit::Usage, format!("Consul has no item '{other}'."))),
    };
    if !path.is_empty() {
        basis.insert("path".to_owned(), json!(path));
    }
    let step = capture_step(&StepMaker::on(ask.host), KIND, item, source)?;
    Ok(Draft { basis, steps: vec![step], ..Draft::default() })
}
