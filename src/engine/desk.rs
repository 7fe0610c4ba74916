//! The desk: what one sitting at Lifeboat works with, whichever face it shows.
//!
//! Inventory, directories, secrets, logins and the operator's wish to stop. Opening it connects to nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::board::Board;
use super::capture::vault_failure;
use super::dialer::NodeDialer;
use super::fleet::last_look::About;
use super::links::Links;
use super::practice::Practice;
use super::runs::Runs;
use super::scan::{Prober, Wanted, check_service, wanted_of};
use super::world::{SystemClock, SystemEntropy};
use crate::config::paths::{InventoryPath, Paths};
use crate::config::prompt::Prompter;
use crate::config::secrets::SecretResolver;
use crate::config::selector::Selector;
use crate::config::target::{Items, Subject, Target, resolve};
use crate::config::{Loaded, load_checked};
use crate::model::clock::{Clock, Entropy};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::inventory::{Inventory, TransportKind};
use crate::model::secret::{ExposeSecret, SecretRef, SecretString, Secrets};
use crate::transport::Cancel;
use crate::vault::{ConsoleKey, Keys, Sealing, Vault};

/// How many nodes are looked at once.
pub const LOOKS: usize = 20;

/// What a sitting was opened with.
#[derive(Clone)]
pub struct Opening {
    /// This console's directories.
    pub paths: Paths,
    /// The inventory's file, when the call names one.
    pub inventory: Option<PathBuf>,
    /// Another vault than the inventory's.
    pub vault: Option<PathBuf>,
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// Whether the console speaks in numbered menus instead of pages.
    pub plain: bool,
    /// Whether the console draws with ASCII alone, whatever the locale says.
    pub ascii: bool,
    /// The operator's wish to stop.
    pub cancel: Cancel,
    /// The practice fleet it is opened on.
    pub practice: Option<Arc<dyn Practice>>,
}

/// What one sitting works with.
pub struct Desk {
    /// This console's directories.
    pub paths: Paths,
    /// The inventory's file and who named it.
    pub named: InventoryPath,
    /// The inventory.
    pub inventory: Inventory,
    /// The inventory file's digest when it was read, to notice an edit.
    pub digest: [u8; 32],
    /// The vault the call named instead of the inventory's.
    pub other_vault: Option<PathBuf>,
    /// What reading it warned of.
    pub warnings: Vec<String>,
    /// Tokens and passwords.
    pub secrets: Arc<dyn Secrets>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Makes logins.
    pub dialer: NodeDialer,
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// The operator's wish to stop.
    pub cancel: Cancel,
    /// The practice fleet it is opened on.
    pub practice: Option<Arc<dyn Practice>>,
}

/// The vault, opened, with what seals to it and opens it.
pub struct Store {
    /// The vault.
    pub vault: Vault,
    /// To whom new snapshots are sealed.
    pub sealing: Sealing,
    /// The private keys at hand.
    pub keys: Keys,
    /// This console's key.
    pub console: ConsoleKey,
    /// What opening it warned of.
    pub warnings: Vec<String>,
}

impl Desk {
    /// Reads the inventory and gets ready; nothing is connected.
    ///
    /// # Errors
    /// [`Exit::Usage`] when there is no inventory or it has mistakes, all of them in the message.
    pub fn open(opening: &Opening, prompter: Option<Box<dyn Prompter>>) -> Result<Self> {
        let paths = opening.paths.clone();
        let named = paths.inventory(opening.inventory.as_deref())?;
        if !named.path.exists() {
            return Err(Failure::new(
                Exit::Usage,
                format!("There is no inventory at {} (named by {}).", named.path.display(), named.source),
            )
            .hint("Make one: lifeboat init".to_owned()));
        }
        let Loaded { mut inventory, warnings, digest } =
            load_checked(&named.path, &paths.home, &check_service).map_err(|errors| crate::config::failure(&errors))?;
        if let Some(vault) = &opening.vault {
            // The flag names another vault on purpose, so the inventory's id does not bind it.
            inventory.vault.id = inventory.vault.id.filter(|_| *vault == inventory.vault.path);
            inventory.vault.path.clone_from(vault);
        }
        let secrets: Arc<dyn Secrets> = Arc::new(SecretResolver::new(&paths, &inventory, prompter));
        let dialer = NodeDialer::new(&paths, secrets.clone());
        Ok(Self {
            paths,
            named,
            inventory,
            digest,
            other_vault: opening.vault.clone(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            secrets,
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy),
            dialer,
            read_only: opening.read_only,
            cancel: opening.cancel.clone(),
            practice: opening.practice.clone(),
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

    /// What runs are made with, for one run with a board and a wish to stop of its own.
    pub fn runs<'a>(&'a self, store: &'a Store, links: &'a Links<'a>, board: Arc<Board>, cancel: Cancel) -> Runs<'a> {
        Runs {
            inventory: &self.inventory,
            vault: &store.vault,
            sealing: &store.sealing,
            keys: &store.keys,
            console: &store.console,
            links,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            secrets: self.secrets.clone(),
            board,
            cancel,
        }
    }

    /// What selectors mean; everything without any. Hosts named ad hoc join the inventory for this sitting.
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

    /// Opens the inventory's vault and reads the keys. One key that is not here is no failure until something must be opened.
    pub fn store(&self) -> Result<Store> {
        let settings = &self.inventory.vault;
        if settings.path.as_os_str().is_empty() {
            return Err(Failure::new(Exit::Usage, format!("{} names no vault.", self.named.path.display()))
                .hint("Add [vault] with path = \"…\", or give --vault PATH."));
        }
        let vault = Vault::open(&settings.path, settings.id.as_deref()).map_err(|e| vault_failure(&e))?;
        let mut warnings: Vec<String> = vault.warnings().iter().map(ToString::to_string).collect();
        let sealing = self.sealing_to(vault.recipients())?;
        let console =
            ConsoleKey::load_or_create(&self.paths.data_dir, &*self.entropy).map_err(|e| vault_failure(&e))?;
        let keys = self.keys(&mut warnings)?;
        Ok(Store { vault, sealing, keys, console, warnings })
    }

    /// To whom the inventory seals.
    pub fn sealing(&self) -> Result<Sealing> {
        self.sealing_to(&[])
    }

    /// To whom the inventory seals; where it names nobody, to those that the vault was made with.
    fn sealing_to(&self, of_vault: &[String]) -> Result<Sealing> {
        let settings = &self.inventory.vault;
        let recipients = if settings.recipients.is_empty() { of_vault } else { settings.recipients.as_slice() };
        if recipients.is_empty() && settings.allow_plaintext {
            return Ok(Sealing::plaintext_allowed());
        }
        Sealing::to(recipients).map_err(|e| vault_failure(&e))
    }

    /// Keeps what a rebuild needs to know beside the snapshots, after a backup: the inventory, which holds no secret, and
    /// the host keys.
    pub fn keep_beside(&self, store: &Store) -> Result<()> {
        let keep = |name, path: &Path| {
            let bytes = match std::fs::read(path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => {
                    return Err(Failure::new(Exit::Failed, format!("{} cannot be read: {error}.", path.display())));
                }
            };
            store.vault.save_companion(name, &bytes, &*self.entropy).map(drop).map_err(|e| vault_failure(&e))
        };
        let kept = keep("inventory.toml", &self.inventory.path);
        kept.and_then(|()| keep("known_hosts", &self.paths.known_hosts())).map_err(|failure| {
            failure.state("The copies are in the vault; only what a rebuild needs to know was not kept beside them.")
        })
    }

    fn keys(&self, warnings: &mut Vec<String>) -> Result<Keys> {
        let mut keys = Keys::none();
        for path in &self.inventory.vault.identities {
            if !path.exists() {
                warnings.push(format!(
                    "the identity {} is not here; what is sealed to it cannot be opened.",
                    path.display()
                ));
                continue;
            }
            let ask = |purpose: &str| -> Option<SecretString> {
                let answer = self.secrets.resolve(&SecretRef::Prompt(true), purpose).ok()?;
                (!answer.expose_secret().is_empty()).then_some(answer)
            };
            keys.add_file(path, &ask).map_err(|e| vault_failure(&e))?;
        }
        warnings.extend(keys.warnings().iter().map(ToString::to_string));
        Ok(keys)
    }

    /// What a look from here is about.
    pub fn about(&self) -> About {
        About { inventory: self.named.path.clone(), digest: self.digest, vault: self.other_vault.clone() }
    }

    /// Where the vault is, for messages.
    pub fn vault_path(&self) -> &PathBuf {
        &self.inventory.vault.path
    }
}

/// The hosts among what was selected, clusters by their members, each once.
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
