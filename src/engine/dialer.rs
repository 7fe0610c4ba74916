//! Logins as the inventory says: over SSH, or to this machine itself.

use std::path::PathBuf;
use std::sync::Arc;

use super::links::Dialer;
use crate::config::paths::Paths;
use crate::model::inventory::{Host, Inventory, TransportKind};
use crate::model::secret::Secrets;
use crate::transport::known_hosts::HostKey;
use crate::transport::local::{self, LocalSpec};
use crate::transport::ssh::{self, SshSpec};
use crate::transport::ssh_config::Resolver;
use crate::transport::{Cancel, Transport, TransportError};

/// The program's own dialer.
pub struct NodeDialer {
    resolver: Resolver,
    secrets: Arc<dyn Secrets>,
}

impl NodeDialer {
    /// Logs in with this console's known hosts, then the user's and the system's, and with the user's SSH settings.
    pub fn new(paths: &Paths, secrets: Arc<dyn Secrets>) -> Self {
        let resolver = Resolver {
            home: paths.home.clone(),
            user: paths.login_name(),
            ssh: PathBuf::from("ssh"),
            config: None,
            known_hosts: paths.known_hosts(),
            agent: paths.agent_socket(),
        };
        Self { resolver, secrets }
    }

    /// Everything needed to reach a host, its jump hosts included, each value with where it came from.
    pub fn spec(&self, host: &Host, inventory: &Inventory) -> Result<SshSpec, TransportError> {
        self.resolver.resolve(host, inventory)
    }

    /// Learns a host's key without logging in to it.
    pub fn scan_host_key(&self, spec: &SshSpec, cancel: &Cancel) -> Result<HostKey, TransportError> {
        ssh::scan_host_key(spec, &self.secrets, cancel)
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
            TransportKind::Ssh => ssh::connect(&self.spec(host, inventory)?, &self.secrets, cancel),
            TransportKind::Local => {
                let spec = LocalSpec {
                    name: host.id.to_string(),
                    privilege: host.access.privilege,
                    become_password: host.access.become_password.clone(),
                    hidden: inventory.secret_variables(),
                    prefix: Vec::new(),
                };
                local::connect(&spec, &self.secrets)
            }
        }
    }
}
