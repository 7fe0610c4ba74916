//! The vault as the command line uses it: opened, its keys read when they are needed.

use std::path::PathBuf;

use super::app::App;
use crate::engine::capture::vault_failure;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::secret::{ExposeSecret, SecretRef, SecretString};
use crate::vault::{ConsoleKey, Keys, Sealing, Vault};

/// The vault with what opens and seals it.
pub struct Store {
    /// The vault.
    pub vault: Vault,
    /// To whom new snapshots are sealed.
    pub sealing: Sealing,
    /// The private keys at hand.
    pub keys: Keys,
    /// This console's key.
    pub console: ConsoleKey,
}

impl App {
    /// Opens the vault of the inventory, or of `--vault`.
    pub fn store(&self) -> Result<Store> {
        let settings = &self.inventory.vault;
        if settings.path.as_os_str().is_empty() {
            return Err(Failure::new(Exit::Usage, format!("{} names no vault.", self.inventory.path.display()))
                .hint("Add [vault] with path = \"…\", or give --vault PATH."));
        }
        let vault = Vault::open(&settings.path, settings.id.as_deref()).map_err(|e| vault_failure(&e))?;
        for warning in vault.warnings() {
            self.out.aside(format!("warning: {warning}"));
        }
        let sealing = self.sealing()?;
        let console =
            ConsoleKey::load_or_create(&self.paths.data_dir, &*self.entropy).map_err(|e| vault_failure(&e))?;
        Ok(Store { vault, sealing, keys: self.keys()?, console })
    }

    /// To whom the inventory seals.
    pub fn sealing(&self) -> Result<Sealing> {
        let settings = &self.inventory.vault;
        if settings.recipients.is_empty() && settings.allow_plaintext {
            return Ok(Sealing::plaintext_allowed());
        }
        Sealing::to(&settings.recipients).map_err(|e| vault_failure(&e))
    }

    /// The private keys the inventory names. One that is not here is no failure until something must be opened.
    fn keys(&self) -> Result<Keys> {
        let mut keys = Keys::none();
        for path in &self.inventory.vault.identities {
            if !path.exists() {
                self.out.aside(format!(
                    "warning: the identity {} is not here; what is sealed to it cannot be opened.",
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
        for warning in keys.warnings() {
            self.out.aside(format!("warning: {warning}"));
        }
        Ok(keys)
    }

    /// Where the vault is, for messages.
    pub fn vault_path(&self) -> &PathBuf {
        &self.inventory.vault.path
    }
}
