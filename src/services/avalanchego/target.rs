//! Where restored files land: what is staged, what is swapped, and what undoes a delivery.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::facts::{IDENTITY, Own, base_name, parent};
use super::sink::SinkArgs;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::services::common::{SwapArgs, SwapEntry, staged_path};
use crate::transport::quote::quote;

/// Everything a restore does with files.
#[derive(Debug, Clone, PartialEq)]
pub struct Landing {
    /// How the bytes arrive.
    pub sink: SinkArgs,
    /// What takes their place, in order.
    pub swap: SwapArgs,
}

fn owner(own: &Own) -> String {
    let group = if own.group.is_empty() { &own.user } else { &own.group };
    format!("{}:{group}", own.user)
}

impl Landing {
    /// The paths that are replaced.
    pub fn targets(&self) -> Vec<String> {
        self.swap.entries.iter().map(|entry| entry.target.clone()).collect()
    }

    /// `sh` text that removes what was delivered and not yet swapped in.
    pub fn undo(&self) -> String {
        let mut staged: Vec<&str> = self.swap.entries.iter().map(|entry| entry.staged.as_str()).collect();
        if let SinkArgs::Tree { work, .. } = &self.sink {
            staged.push(work);
        }
        let words: Vec<_> = staged.into_iter().map(|path| quote(path.as_bytes())).collect();
        format!("rm -rf -- {}\n", words.join(" "))
    }

    /// The sink as a step's argument.
    pub fn sink_value(&self) -> Result<Value> {
        serde_json::to_value(&self.sink).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
    }
}

/// The identity's files `names`: by one rename of their directory where that is theirs alone, else file by file.
pub fn identity(own: &Own, names: &BTreeSet<&str>) -> Result<Landing> {
    let dir = own.path("staking_dir");
    let together = IDENTITY.iter().all(|(_, key)| parent(own.path(key)) == dir);
    let movable = own.seen("staking_dir").is_none_or(|seen| seen.dir && !seen.link && seen.mount != dir);
    let present = || IDENTITY.iter().filter(|(name, _)| names.contains(name));
    if together && movable && own.staking_dir_alone && dir != "/" {
        let entry = SwapEntry::beside(dir)?;
        let files = present()
            .map(|(name, key)| ((*name).to_owned(), format!("{}/{}", entry.staged, base_name(own.path(key)))))
            .collect();
        let sink = SinkArgs::Files { dir: Some(entry.staged.clone()), files, owner: owner(own) };
        return Ok(Landing { sink, swap: SwapArgs { entries: vec![entry] } });
    }
    let entries = present().map(|(_, key)| SwapEntry::beside(own.path(key))).collect::<Result<Vec<_>>>()?;
    let files: BTreeMap<_, _> =
        present().map(|(name, _)| (*name).to_owned()).zip(entries.iter().map(|entry| entry.staged.clone())).collect();
    Ok(Landing { sink: SinkArgs::Files { dir: None, files, owner: owner(own) }, swap: SwapArgs { entries } })
}

fn tree(target: &str, inside: &str, owner: String) -> Result<Landing> {
    let entry = SwapEntry::beside(target)?;
    let work = format!("{}.work", entry.staged);
    let sink = SinkArgs::Tree { work, picks: vec![(inside.to_owned(), entry.staged.clone())], owner };
    Ok(Landing { sink, swap: SwapArgs { entries: vec![entry] } })
}

/// A directory, whole.
pub fn directory(own: &Own, key: &str) -> Result<Landing> {
    tree(own.path(key), ".", owner(own))
}

/// The configuration file, which had the name `was` where it was copied.
pub fn config(own: &Own, was: &str) -> Result<Landing> {
    tree(own.path("config_file"), was, owner(own))
}

/// A unit's file and drop-ins, put under `/etc/systemd/system` wherever they were; `files` are their old paths.
///
/// # Errors
/// When the snapshot names a file that is none of the unit's.
pub fn unit(unit: &UnitName, files: &[String]) -> Result<Landing> {
    const ETC: &str = "/etc/systemd/system";
    let mut picks = Vec::new();
    let mut entries = Vec::new();
    for path in files {
        let name = base_name(path);
        let clean = path.starts_with('/') && !path.split('/').any(|part| matches!(part, ".." | "."));
        let target = if clean && name == unit.as_str() {
            format!("{ETC}/{unit}")
        } else if clean && name.strip_suffix(".conf").is_some() && base_name(parent(path)).ends_with(".service.d") {
            format!("{ETC}/{unit}.d/{name}")
        } else {
            return Err(Failure::new(
                Exit::Integrity,
                format!("The snapshot names {name:?}, which is no file of {unit}."),
            )
            .hint("Restore it by hand with the snapshot's RESTORE.md."));
        };
        let entry = SwapEntry::beside(&target)?;
        picks.push((path.trim_start_matches('/').to_owned(), entry.staged.clone()));
        entries.push(entry);
    }
    let work = format!("{}.work", staged_path(&format!("{ETC}/{unit}")));
    Ok(Landing { sink: SinkArgs::Tree { work, picks, owner: "root:root".to_owned() }, swap: SwapArgs { entries } })
}
