//! Logins as the inventory says: over SSH, or to this machine itself.

use std::path::PathBuf;
use std::sync::Arc;

use super::links::Dialer;
use crate::config::paths::Paths;
use crate::model::ids::HostId;
use crate::model::inventory::{Access, Host, Inventory, TransportKind};
use crate::model::secret::Secrets;
use crate::transport::known_hosts::HostKey;
use crate::transport::ssh::{self, Sourced, SshSpec};
use crate::transport::{Cancel, Transport, TransportError};

/// The program's own dialer.
pub struct NodeDialer {
    known_hosts: Vec<PathBuf>,
    agent: Option<PathBuf>,
    home: PathBuf,
    secrets: Arc<dyn Secrets>,
}

/// More hops than this are a mistake in the inventory.
const LONGEST_CHAIN: usize = 8;

impl NodeDialer {
    /// Logs in with this console's known hosts, then the user's and the system's.
    pub fn new(paths: &Paths, secrets: Arc<dyn Secrets>) -> Self {
        let known_hosts =
            vec![paths.known_hosts(), paths.home.join(".ssh/known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts")];
        Self { known_hosts, agent: paths.agent_socket(), home: paths.home.clone(), secrets }
    }

    /// Learns a host's key without logging in to it.
    pub fn scan_host_key(
        &self,
        host: &Host,
        inventory: &Inventory,
        cancel: &Cancel,
    ) -> Result<HostKey, TransportError> {
        ssh::scan_host_key(&self.spec(&host.id, &host.access, inventory, 0)?, &self.secrets, cancel)
    }

    /// Everything needed to reach a host, its jump hosts included.
    pub fn spec(
        &self,
        id: &HostId,
        access: &Access,
        inventory: &Inventory,
        depth: usize,
    ) -> Result<SshSpec, TransportError> {
        let name = id.as_str();
        let address = access.address.clone().unwrap_or_else(|| name.to_owned());
        let mut spec = from_inventory(name, access, &address);
        spec.known_hosts.clone_from(&self.known_hosts);
        if spec.agent.value.is_none() {
            spec.agent = Sourced::new(self.agent.clone(), "environment");
        }
        let jump = access.jump.as_deref().unwrap_or("none");
        for hop in jump.split(',').map(str::trim).filter(|hop| !hop.is_empty() && *hop != "none") {
            spec.jump.push(self.hop(name, hop, inventory, depth)?);
        }
        Ok(spec)
    }

    /// A jump host: one of the inventory, or `user@address:port`.
    fn hop(&self, host: &str, hop: &str, inventory: &Inventory, depth: usize) -> Result<SshSpec, TransportError> {
        let refuse = |why: String| TransportError::Setting { host: host.to_owned(), why };
        if depth >= LONGEST_CHAIN {
            return Err(refuse(format!("its chain of jump hosts is longer than {LONGEST_CHAIN}")));
        }
        if let Some(known) = HostId::new(hop).ok().and_then(|id| inventory.hosts.get(&id)) {
            return self.spec(&known.id, &known.access, inventory, depth + 1);
        }
        let (user, rest) = hop.rsplit_once('@').map_or((None, hop), |(user, rest)| (Some(user.to_owned()), rest));
        let (address, port) = match rest.rsplit_once(':') {
            Some((address, port)) => {
                (address, Some(port.parse().map_err(|_| refuse(format!("'{hop}' has no usable port")))?))
            }
            None => (rest, None),
        };
        let id = HostId::new(address).map_err(|error| refuse(error.to_string()))?;
        let access = Access { address: Some(address.to_owned()), port, user, ..inventory.defaults.clone() };
        self.spec(&id, &Access { jump: None, ..access }, inventory, depth + 1)
    }
}

impl Dialer for NodeDialer {
    fn connect(
        &self,
        host: &Host,
        inventory: &Inventory,
        cancel: &Cancel,
    ) -> Result<Arc<dyn Transport>, TransportError> {
        match host.access.transport {
            TransportKind::Ssh => {
                ssh::connect(&self.spec(&host.id, &host.access, inventory, 0)?, &self.secrets, cancel)
            }
            TransportKind::Local => Err(TransportError::Setting { host: host.id.to_string(), why: "local".into() }),
        }
    }
}

fn from_inventory(name: &str, access: &Access, address: &str) -> SshSpec {
    let user = access.user.clone().unwrap_or_else(|| "root".to_owned());
    let mut spec = SshSpec::new(name, address, access.port.unwrap_or(22), &user);
    spec.identity_files = Sourced::new(access.identity_files.clone(), "inventory");
    spec.host_keys.clone_from(&access.host_keys);
    spec.privilege = access.privilege;
    spec.password.clone_from(&access.password);
    spec.passphrase.clone_from(&access.passphrase);
    spec.become_password.clone_from(&access.become_password);
    spec
}
