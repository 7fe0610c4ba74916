//! The driver's own facts: what the probe keeps, and what items and plans rest on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::exit::Failure;
use crate::model::ids::UnitName;
use crate::services::common::{Expects, Trust};

/// Everything learned of a node beside the common envelope. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
pub struct Own {
    /// The unit that was asked for.
    pub unit: UnitName,
    /// Whether systemd knows it.
    pub installed: bool,
    /// Its file.
    pub fragment: String,
    /// Its drop-ins, without ours.
    pub drop_ins: Vec<String>,
    /// The account the node runs as.
    pub user: String,
    /// That account's group.
    pub group: String,
    /// Whether the account exists.
    pub user_exists: bool,
    /// Whether a process runs.
    pub running: bool,
    /// Its pid when it runs outside the unit.
    pub stray: Option<u32>,
    /// Where every path is and why.
    pub paths: BTreeMap<String, Place>,
    /// What stands at those paths; a missing one is absent.
    pub files: BTreeMap<String, Seen>,
    /// Whether the identity's directory holds the identity's files and nothing else.
    pub staking_dir_alone: bool,
    /// Why the identity cannot be copied, if it cannot.
    pub obstacle: Option<String>,
    /// Whether keys stand in the command line or the environment of the unit.
    pub inline_keys: bool,
    /// The network as configured.
    pub network: String,
    /// A literal public address in the configuration.
    pub public_ip: Option<String>,
    /// The database's type as configured.
    pub db_type: String,
    /// The identity the certificate on disk makes.
    pub disk_node_id: Option<String>,
    /// Where the API is, and what it said.
    pub api: Api,
    /// Plugin binaries: name and size.
    pub plugins: BTreeMap<String, u64>,
    /// Free bytes where the identity lies.
    pub staking_room: Option<u64>,
    /// Free bytes where the data lie.
    pub data_room: Option<u64>,
    /// Whether plugin binaries are asked for.
    pub wants_plugins: bool,
    /// Whether the database is asked for.
    pub wants_db: bool,
    /// Where facts come from that have several places to come from, by their dotted names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub from: BTreeMap<String, String>,
}

/// A path and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The path, absolute unless it could not be told.
    pub path: String,
    /// `inventory`, `flag`, `environment`, `config file` or `default`.
    pub from: String,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// The owner's name.
    pub owner: String,
    /// The group's name.
    pub group: String,
    /// The mount point it is under.
    pub mount: String,
    /// Whether it is reached through a symbolic link.
    pub link: bool,
    /// Whether it is a directory.
    pub dir: bool,
}

/// Where a node's API is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The address on the node.
    pub host: String,
    /// The port.
    pub port: u16,
    /// By what it is known where it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
}

impl Listener {
    /// The file of the one certificate it may show, where it speaks TLS.
    pub fn certificate(&self) -> Option<&str> {
        match &self.trust.as_ref()?.expects {
            Expects::Exactly(path) => Some(path),
            Expects::SignedBy { .. } => None,
        }
    }
}

/// The node's HTTP API as seen from the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Api {
    /// The address to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// By which certificate it is then known; none when nothing says which it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// Who answered there is not who the certificate says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
    /// Why nothing is known, or empty when it answered.
    pub silent: String,
    /// The version it told.
    pub version: Option<String>,
    /// The identity it told.
    pub node_id: Option<String>,
    /// The BLS public key it told.
    pub bls_public_key: Option<String>,
    /// The proof of possession it told.
    pub bls_proof: Option<String>,
}

impl Api {
    /// Where it is asked; none when it speaks TLS and nothing says by which certificate it is known.
    pub fn place(&self) -> Option<Listener> {
        let trust = self.trust.clone().filter(|_| self.tls);
        (trust.is_some() == self.tls).then(|| Listener { host: self.host.clone(), port: self.port, trust })
    }
    /// Whether it was asked and told who runs.
    pub fn answered(&self) -> bool {
        self.silent.is_empty() && self.node_id.is_some()
    }
}

/// The three identity files by the name they have in a snapshot, with the key of their path.
pub const IDENTITY: [(&str, &str); 3] =
    [("staker.crt", "staking_cert"), ("staker.key", "staking_key"), ("signer.key", "signer_key")];

impl Own {
    /// A path by its key, or empty.
    pub fn path(&self, key: &str) -> &str {
        self.paths.get(key).map_or("", |place| place.path.as_str())
    }
    /// What stands at a path, by its key.
    pub fn seen(&self, key: &str) -> Option<&Seen> {
        self.files.get(key)
    }
    /// The identity that runs, or else lies on the disk.
    pub fn node_id(&self) -> Option<&str> {
        self.api.node_id.as_deref().or(self.disk_node_id.as_deref())
    }
    /// Whether a version needs `signer.key`: it came with 1.8.6, and what is not known is taken for new.
    pub fn needs_signer(&self) -> bool {
        let Some(version) = self.api.version.as_deref().and_then(|v| v.rsplit('/').next()) else { return true };
        let mut parts = version.trim_start_matches('v').split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor), Some(patch)) => (major, minor, patch) >= (1, 8, 6),
            _ => true,
        }
    }
}

/// The directory a path stands in.
pub fn parent(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// The last part of a path.
pub fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}
