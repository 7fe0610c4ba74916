//! The driver's own facts: what the probe keeps, and what items and plans rest on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::ids::UnitName;

/// Everything learned of an agent beside the common envelope. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
pub struct Own {
    /// The unit that was asked for.
    pub unit: Option<UnitName>,
    /// Whether systemd knows it.
    pub installed: bool,
    /// Whether it may not be started at all.
    pub masked: bool,
    /// How many seconds the unit gives its own stop; none when it has no limit.
    pub unit_stop_within: Option<u64>,
    /// How many seconds a stop may take here before it is ended by force.
    pub stop_within: u64,
    /// The account the agent runs as.
    pub user: String,
    /// Whether the unit runs.
    pub running: bool,
    /// Netdata processes that are not the unit's.
    pub strays: Vec<u32>,
    /// Whether what runs sees other files than this login does.
    pub container: bool,
    /// `config`, `lib`, `cache` and `log`: where each is and why.
    pub dirs: BTreeMap<String, Place>,
    /// What stands there; a missing one is absent.
    pub seen: BTreeMap<String, Seen>,
    /// Why a directory is not what it should be, by its name.
    pub wrong: BTreeMap<String, String>,
    /// The machine GUID on disk.
    pub guid: Option<String>,
    /// The Cloud's id of this agent, if it is claimed.
    pub claimed_id: Option<String>,
    /// Where the API is, and what it said.
    pub api: Api,
    /// How samples are stored.
    pub db: Db,
    /// The version it told, or else that of the program its unit starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where this agent streams to.
    pub streams_to: Option<String>,
    /// How many children stream to it now.
    pub children: usize,
    /// Bytes of the cache that a copy takes while the agent is stopped.
    pub stopped_bytes: u64,
    /// Whether its filesystem is known to copy by reference.
    #[serde(default)]
    pub reflinks: bool,
    /// Where facts come from that have several places to come from, by their dotted names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub from: BTreeMap<String, String>,
}

/// A path and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The path, absolute, links resolved.
    pub path: String,
    /// `inventory`, `running agent`, `netdata.conf` or `default`.
    pub from: String,
}

/// What stands at a directory's path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whether it is a mount point.
    pub mounted: bool,
    /// The owner's name.
    pub owner: String,
    /// Bytes of its files.
    pub size: u64,
    /// Bytes free on its filesystem.
    pub free: u64,
}

/// The agent's HTTP API as seen from the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Api {
    /// The address to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// A Unix socket instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// Why nothing is known, or empty when it answered.
    #[serde(default)]
    pub silent: String,
    /// The version it told.
    #[serde(default)]
    pub version: Option<String>,
    /// The GUID it told.
    #[serde(default)]
    pub guid: Option<String>,
}

/// How samples are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Db {
    /// `dbengine`, `ram` …; empty when it is not known.
    pub mode: String,
    /// Limit in bytes of each tier, 0 for none; `None` when it is not known.
    pub limits: Vec<Option<u64>>,
    /// Bytes of samples on disk of each tier.
    pub stored: Vec<u64>,
}

impl Own {
    /// Notes where a fact comes from.
    pub fn note(&mut self, fact: &str, origin: &str) {
        self.from.insert(fact.to_owned(), origin.to_owned());
    }
    /// A directory's path by its name, or empty.
    pub fn dir(&self, name: &str) -> &str {
        self.dirs.get(name).map_or("", |place| place.path.as_str())
    }
    /// What stands at a directory's path.
    pub fn seen(&self, name: &str) -> Option<&Seen> {
        self.seen.get(name)
    }
    /// Why a running agent would be another one after its next start.
    pub fn would_be_another(&self) -> Option<String> {
        match (&self.api.guid, &self.guid) {
            _ if !self.running => None,
            (_, None) => Some("no machine GUID lies on the disk of the agent that runs".to_owned()),
            (Some(runs), Some(lies)) if runs != lies => {
                Some(format!("the agent runs as {runs}, but {lies} lies on its disk"))
            }
            _ => None,
        }
    }
    /// The GUID that runs, or else lies on the disk.
    pub fn known_guid(&self) -> Option<&str> {
        self.api.guid.as_deref().or(self.guid.as_deref())
    }
}

/// A version as numbers, for comparing: "v1.37.1-2" is 1, 37, 1.
pub fn version_of(text: &str) -> Option<(u32, u32, u32)> {
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    let major = parts.next()??;
    let minor = parts.next()??;
    Some((major, minor, parts.next().flatten().unwrap_or(0)))
}

/// Whether a text is a GUID as Netdata writes it.
pub fn is_guid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => dashes.contains(&at),
            byte => !dashes.contains(&at) && byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version_of("v1.37.1"), Some((1, 37, 1)));
        assert_eq!(version_of("netdata v2.10.0-12-nightly"), Some((2, 10, 0)));
        assert!(version_of("v1.37.1") < version_of("v1.100.0"));
        assert_eq!(version_of("none"), None);
    }

    #[test]
    fn a_guid_has_its_dashes_where_they_belong() {
        assert!(is_guid("432c54de-e57a-11f1-acf8-02fc00000001"));
        assert!(!is_guid("432c54dee57a-11f1-acf8-02fc000000010") && !is_guid("") && !is_guid("x"));
    }
}
