//! The inventory as validated: constructing one proves names unique and references resolvable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ids::{HostId, OwnerId, ServiceName};
use super::secret::SecretRef;
use super::units::Seconds;

/// Hosts, clusters and their services, validated whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inventory {
    /// The file it was read from, shown to the operator.
    pub path: PathBuf,
    /// Where snapshots go and who may open them.
    pub vault: VaultSettings,
    /// What holds where nothing nearer says otherwise.
    pub policy: Policy,
    /// What a group says nearer than that, by group; only groups with a `[groups.NAME.policy]` stand here.
    pub group_policies: BTreeMap<String, Policy>,
    /// `[defaults]`: already merged into every host below, and where a host without an entry starts from.
    pub defaults: Access,
    /// Every host by name.
    pub hosts: BTreeMap<HostId, Host>,
    /// Data that belongs to a cluster rather than a host, by name.
    pub clusters: BTreeMap<OwnerId, Cluster>,
}

impl Inventory {
    /// The environment variables that hold its secrets, sorted.
    ///
    /// Taking them out of our own environment is not possible in safe Rust, so whoever starts a child process must call
    /// `Command::env_remove` with each of these.
    pub fn secret_variables(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        let accesses = std::iter::once(&self.defaults).chain(self.hosts.values().map(|host| &host.access));
        for secret in accesses.flat_map(|access| [&access.password, &access.passphrase, &access.become_password]) {
            if let Some(SecretRef::Env(name)) = secret {
                names.insert(name.clone());
            }
        }
        let of_hosts = self.hosts.values().flat_map(|host| host.services.values());
        let of_clusters = self.clusters.values().flat_map(|cluster| cluster.services.values());
        of_hosts.chain(of_clusters).for_each(|entry| variables_in(&entry.settings, &mut names));
        names.into_iter().collect()
    }
}

/// Finds `{ env = "NAME" }` at any depth of a driver's settings.
fn variables_in(table: &toml::Table, names: &mut BTreeSet<String>) {
    if let (1, Some(toml::Value::String(name))) = (table.len(), table.get("env")) {
        names.insert(name.clone());
    }
    let mut rest: Vec<&toml::Value> = table.values().collect();
    while let Some(value) = rest.pop() {
        match value {
            toml::Value::Table(table) => variables_in(table, names),
            toml::Value::Array(values) => rest.extend(values),
            _ => {}
        }
    }
}

/// The `[vault]` table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VaultSettings {
    /// The vault's directory, `~` expanded; empty when the inventory names none.
    pub path: PathBuf,
    /// The id the vault must have; none until the vault is made.
    pub id: Option<String>,
    /// Other places that hold copies: absolute directories or `s3://bucket/prefix`.
    pub replicas: Vec<String>,
    /// Public keys (`age1…` or `ssh-…`); with any, everything is sealed.
    pub recipients: Vec<String>,
    /// Private key files, needed only to open.
    pub identities: Vec<PathBuf>,
    /// Consent to store secret items in clear.
    pub allow_plaintext: bool,
}

/// Freshness, verification and retention; the nearest setting wins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// A newest good copy older than this is stale.
    pub max_age: Option<Seconds>,
    /// How often a stored copy is to be verified again.
    pub verify_every: Option<Seconds>,
    /// Copies on different devices; the node itself never counts.
    pub min_copies: Option<u32>,
    /// What `prune` keeps.
    pub keep: Option<Keep>,
}

/// Retention by count and calendar.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// The newest so many.
    pub last: u32,
    /// The newest of so many days.
    pub daily: u32,
    /// The newest of so many weeks.
    pub weekly: u32,
    /// The newest of so many months.
    pub monthly: u32,
}

/// One machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name.
    pub id: HostId,
    /// How to reach it and become root there.
    pub access: Access,
    /// The groups it is in, for `group:NAME`.
    pub groups: Vec<String>,
    /// Names this machine had before, so that its old snapshots still count.
    pub formerly: Vec<OwnerId>,
    /// Its services.
    pub services: BTreeMap<ServiceName, ServiceEntry>,
    /// Its own policy.
    pub policy: Policy,
}

/// How a host is reached. `None` means: ask `ssh -G`, then the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// `ssh` or `local`.
    pub transport: TransportKind,
    /// Address or name to connect to; the host's name when absent.
    pub address: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// Login name.
    pub user: Option<String>,
    /// Private key files to try, in order, before the agent's.
    pub identity_files: Vec<PathBuf>,
    /// A jump host: a host of this inventory or `user@address:port`; several separated by commas.
    /// `none` means straight there, whatever the SSH configuration says.
    pub jump: Option<String>,
    /// Pinned host key fingerprints, `SHA256:…`.
    pub host_keys: Vec<String>,
    /// How root is reached.
    pub privilege: Become,
    /// Login password, where keys are not enough.
    pub password: Option<SecretRef>,
    /// Passphrase of the identity file.
    pub passphrase: Option<SecretRef>,
    /// Password that `sudo` or `doas` asks for.
    pub become_password: Option<SecretRef>,
}

/// Which implementation of the transport serves a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// Over SSH.
    #[default]
    Ssh,
    /// The machine Lifeboat runs on.
    Local,
}

/// How root is reached after login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Become {
    /// Not at all: the login user's rights must do.
    None,
    /// `sudo`.
    #[default]
    Sudo,
    /// `doas`.
    Doas,
}

/// One service of a host or cluster, its settings still the driver's to read.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceEntry {
    /// Its name under the owner.
    pub name: ServiceName,
    /// Which driver serves it; defaults to the name.
    pub kind: String,
    /// The table as written, without `kind` and policy.
    pub settings: toml::Table,
    /// The line each setting stands on, by dotted key; the empty key is the table's own.
    pub lines: BTreeMap<String, usize>,
    /// Its own policy.
    pub policy: Policy,
}

/// Data that any healthy member serves, one item for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub id: OwnerId,
    /// Hosts of the inventory, in order of preference.
    pub members: Vec<HostId>,
    /// The groups it is in, for `group:NAME`; its members' groups are not its own.
    pub groups: Vec<String>,
    /// Its services.
    pub services: BTreeMap<ServiceName, ServiceEntry>,
    /// Its own policy.
    pub policy: Policy,
}
