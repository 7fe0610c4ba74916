//! Secrets: how the inventory names them, and how they are held.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use secrecy::{ExposeSecret, SecretString};

/// Where a secret comes from. The inventory never holds the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// Ask the operator, once per run and group.
    Prompt(bool),
    /// The first line a command prints, run through `/bin/sh -c`.
    Command(String),
    /// The first line of a file that nobody else can read.
    File(PathBuf),
    /// An environment variable of the console, passed on to nobody.
    Env(String),
}

/// Turns a reference into the secret, asking when it must.
///
/// Lives above the layers that need secrets, so that neither a driver nor the transport ever prompts by itself.
pub trait Secrets: Send + Sync {
    /// Resolves `wanted`; `purpose` is shown to an operator who is asked, e.g. "sudo password of ops@val-1".
    ///
    /// # Errors
    /// A sentence for the operator: a file others can read, a command that failed, nobody there to ask.
    fn resolve(&self, wanted: &SecretRef, purpose: &str) -> Result<SecretString, String>;

    /// Forgets a secret that was refused where it is for, so that the next attempt asks or reads again.
    fn forget(&self, wanted: &SecretRef, purpose: &str) {
        let _ = (wanted, purpose);
    }
}
