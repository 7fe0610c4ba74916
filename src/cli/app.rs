//! What every command stands on: inventory, paths, secrets, logins, and the operator's wish to stop.

use std::sync::Arc;

use super::args::Global;
use super::output::Out;
use crate::config::paths::Paths;
use crate::config::prompt::TtyPrompter;
use crate::config::secrets::SecretResolver;
use crate::config::selector::Selector;
use crate::config::target::{Items, Subject, Target, resolve};
use crate::config::{Loaded, load_checked};
use crate::engine::dialer::NodeDialer;
use crate::engine::links::Links;
use crate::engine::scan::{Prober, Wanted, check_service, wanted_of};
use crate::engine::world::{SystemClock, SystemEntropy};
use crate::model::clock::{Clock, Entropy};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::inventory::{Inventory, TransportKind};
use crate::model::secret::Secrets;
use crate::transport::Cancel;

/// How many nodes are looked at once.
pub const JOBS: usize = 20;

/// One call of the program.
pub struct App {
    /// The flags every command takes.
    pub global: Global,
    /// The streams.
    pub out: Out,
    /// This console's directories.
    pub paths: Paths,
    /// The inventory.
    pub inventory: Inventory,
    /// Tokens and passwords.
    pub secrets: Arc<dyn Secrets>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Makes logins.
    pub dialer: NodeDialer,
    /// The operator's wish to stop.
    pub cancel: Cancel,
}

impl App {
    /// Reads the inventory and gets ready; nothing is connected.
    pub fn open(global: Global, out: Out, cancel: Cancel, paths: Paths) -> Result<Self> {
        let named = paths.inventory(global.inventory.as_deref())?;
        if !named.path.exists() {
            return Err(Failure::new(
                Exit::Usage,
                format!("There is no inventory at {} (named by {}).", named.path.display(), named.source),
            )
            .hint("Make one: lifeboat init".to_owned()));
        }
        let Loaded { mut inventory, warnings, .. } =
            load_checked(&named.path, &paths.home, &check_service).map_err(|errors| crate::config::failure(&errors))?;
        for warning in warnings {
            out.aside(format!("warning: {warning}"));
        }
        if let Some(vault) = &global.vault {
            // The flag names another vault on purpose, so the inventory's id does not bind it.
            inventory.vault.id = inventory.vault.id.filter(|_| *vault == inventory.vault.path);
            inventory.vault.path.clone_from(vault);
        }
        let prompter =
            (!global.no_input).then(|| Box::new(TtyPrompter::default()) as Box<dyn crate::config::prompt::Prompter>);
        let secrets: Arc<dyn Secrets> = Arc::new(SecretResolver::new(&paths, &inventory, prompter));
        let dialer = NodeDialer::new(&paths, secrets.clone());
        Ok(Self {
            global,
            out,
            paths,
            inventory,
            secrets,
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy),
            dialer,
            cancel,
        })
    }

    /// Logins for one command.
    pub fn links(&self) -> Links<'_> {
        Links::new(&self.dialer, &self.inventory)
    }

    /// A prober over those logins.
    pub fn prober<'a>(&'a self, links: &'a Links<'a>) -> Prober<'a> {
        Prober {
            inventory: &self.inventory,
            links,
            clock: self.clock.clone(),
            secrets: self.secrets.clone(),
            cancel: self.cancel.clone(),
        }
    }

    /// Refuses what changes something when the call is read-only.
    pub fn may_change(&self) -> Result<()> {
        may_change(&self.global)
    }

    /// What selectors mean; everything without any. Hosts named ad hoc join the inventory for this call.
    pub fn select(&mut self, selectors: &[String]) -> Result<Vec<Target>> {
        let parsed: Vec<Selector> = if selectors.is_empty() {
            vec![Selector::all()]
        } else {
            selectors.iter().map(|text| text.parse()).collect::<Result<_>>()?
        };
        let targets = resolve(&parsed, &self.inventory)?;
        for target in targets.iter().filter(|target| !target.listed) {
            if let Subject::Host(host) = &target.subject {
                self.inventory.hosts.insert(host.id.clone(), (**host).clone());
            }
        }
        Ok(targets)
    }

    /// The hosts among what was selected, clusters by their members.
    pub fn hosts_of(targets: &[Target]) -> Vec<HostId> {
        let mut hosts: Vec<HostId> = Vec::new();
        for target in targets {
            let named = match &target.subject {
                Subject::Host(host) => vec![host.id.clone()],
                Subject::Cluster(cluster) => cluster.members.clone(),
            };
            for host in named {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        hosts
    }

    /// The services among what was selected, each with the items meant.
    pub fn services_of(&self, targets: &[Target]) -> Vec<(Wanted, Items)> {
        let all = wanted_of(&self.inventory);
        let chosen = all.into_iter().filter_map(|wanted| {
            let target = targets.iter().find(|target| target.owner == wanted.owner)?;
            let items = target.services.get(&wanted.entry.name)?.clone();
            Some((wanted, items))
        });
        chosen.collect()
    }

    /// Whether a host is this machine.
    pub fn is_local(&self, host: &HostId) -> bool {
        self.inventory.hosts.get(host).is_some_and(|host| host.access.transport == TransportKind::Local)
    }
}

/// Refuses what changes something when the call is read-only.
pub fn may_change(global: &Global) -> Result<()> {
    if global.read_only {
        return Err(Failure::new(Exit::Usage, "This changes something, and --read-only was given."));
    }
    Ok(())
}
