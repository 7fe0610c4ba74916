//! Everything needed to reach one host over SSH, each value with where it came from.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::inventory::Become;
use crate::model::secret::SecretRef;

/// A value and where it came from: "inventory", "ssh -G" or "default".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where from.
    pub source: &'static str,
}

impl<T> Sourced<T> {
    /// A value from somewhere.
    pub fn new(value: T, source: &'static str) -> Self {
        Self { value, source }
    }
    /// The first of the inventory's value, `ssh -G`'s and the default.
    pub fn pick(inventory: Option<T>, ssh_g: Option<T>, default: T) -> Self {
        match (inventory, ssh_g) {
            (Some(value), _) => Self::new(value, "inventory"),
            (None, Some(value)) => Self::new(value, "ssh -G"),
            (None, None) => Self::new(default, "default"),
        }
    }
}

/// Resolved settings of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSpec {
    /// The host's name in the inventory.
    pub name: String,
    /// What to connect to.
    pub address: Sourced<String>,
    /// The TCP port.
    pub port: Sourced<u16>,
    /// The login name.
    pub user: Sourced<String>,
    /// Private key files, in order.
    pub identity_files: Sourced<Vec<PathBuf>>,
    /// Whether the agent may offer only keys that are configured files.
    pub identities_only: bool,
    /// The agent's socket; none when there is no agent.
    pub agent: Sourced<Option<PathBuf>>,
    /// Pinned host key fingerprints; with any, they alone decide.
    pub host_keys: Vec<String>,
    /// The name to look up in `known_hosts` instead of the address.
    pub host_key_alias: Option<String>,
    /// The `known_hosts` files read, Lifeboat's own first.
    pub known_hosts: Vec<PathBuf>,
    /// Files of keys that must never be accepted, of any host; one that cannot be read means that none can be.
    pub revoked_keys: Vec<PathBuf>,
    /// Jump hosts, first hop first, each with settings of its own.
    pub jump: Vec<SshSpec>,
    /// A command whose standard streams are the connection.
    pub proxy_command: Option<String>,
    /// How root is reached.
    pub privilege: Become,
    /// Login password.
    pub password: Option<SecretRef>,
    /// Passphrase of the identity files.
    pub passphrase: Option<SecretRef>,
    /// Password that `sudo` asks for.
    pub become_password: Option<SecretRef>,
    /// How long connecting, and each step of the handshake and of login, may take.
    pub connect_timeout: Duration,
    /// Variables of our environment that hold secrets: a proxy command does not get them.
    pub hidden: Vec<String>,
    /// Things worth a sentence, e.g. that there is no `ssh` program. Clauses without a full stop.
    pub notes: Vec<String>,
}

impl SshSpec {
    /// Settings for `user@address:port` with everything else at its default.
    pub fn new(name: &str, address: &str, port: u16, user: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: Sourced::new(address.to_owned(), "default"),
            port: Sourced::new(port, "default"),
            user: Sourced::new(user.to_owned(), "default"),
            identity_files: Sourced::new(Vec::new(), "default"),
            identities_only: false,
            agent: Sourced::new(None, "default"),
            host_keys: Vec::new(),
            host_key_alias: None,
            known_hosts: Vec::new(),
            revoked_keys: Vec::new(),
            jump: Vec::new(),
            proxy_command: None,
            privilege: Become::Sudo,
            password: None,
            passphrase: None,
            become_password: None,
            connect_timeout: Duration::from_secs(15),
            hidden: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The host and port under which its key is looked up.
    pub fn key_name(&self) -> (&str, u16) {
        match &self.host_key_alias {
            Some(alias) => (alias, 22),
            None => (&self.address.value, self.port.value),
        }
    }
}
