//! What can go wrong with a vault, each as a sentence an operator can act on.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::exit::{Exit, Failure};
use crate::model::text::CleanText;

/// A failure of the vault. Its text is one sentence that names the path.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no vault at the path.
    #[error("There is no vault at '{}': it has no vault.json. An unmounted disk is not an empty vault.", path.display())]
    Missing {
        /// Where one was expected.
        path: PathBuf,
    },
    /// The path holds another vault than the one expected.
    #[error("The vault at '{}' is '{found}', not the expected '{expected}'.", path.display())]
    Another {
        /// The vault's path.
        path: PathBuf,
        /// The id the inventory names.
        expected: String,
        /// The id found.
        found: String,
    },
    /// It was written by a newer program.
    #[error("'{}' has format {found}, and this Lifeboat reads up to {known}.", path.display())]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version understood.
        known: u64,
    },
    /// Others than the operator could change it.
    #[error("'{}' is not safe to use: {why}.", path.display())]
    Unsafe {
        /// What is unsafe.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Bytes are not what they must be.
    #[error("'{}' is damaged: {why}.", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// No key at hand opens it.
    #[error("No key at hand opens '{}': {why}.", path.display())]
    Locked {
        /// The sealed file.
        path: PathBuf,
        /// What was tried.
        why: String,
    },
    /// A private key file cannot be used.
    #[error("The key file '{}' cannot be used: {why}.", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A public key cannot be sealed to.
    #[error("Nothing can be sealed to '{recipient}': {why}.")]
    Recipient {
        /// The recipient as given.
        recipient: String,
        /// Why.
        why: String,
    },
    /// A secret would lie in clear.
    #[error("'{item}' is secret, and the vault has no recipients to seal it to.")]
    Plaintext {
        /// The item.
        item: String,
    },
    /// Somebody else holds it.
    #[error("'{subject}' is held by {holder}.")]
    Held {
        /// What is held.
        subject: String,
        /// By whom, since when and until when.
        holder: String,
    },
    /// A lease was lost to somebody else while it was needed.
    #[error("The lease on '{subject}' was lost to {holder}, so nothing was published.")]
    LeaseLost {
        /// What was held.
        subject: String,
        /// Who has it now.
        holder: String,
    },
    /// The disk is full.
    #[error("There is no space left to {doing} '{}'.", path.display())]
    NoSpace {
        /// The file that did not fit.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
    },
    /// The filesystem refused.
    #[error("Lifeboat could not {doing} '{}': {source}.", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A name that cannot stand in a vault.
    #[error("'{name}' cannot be the name of a stored file: {why}.")]
    Name {
        /// The name, escaped.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Something written once is there already.
    #[error("'{}' is there already and is never overwritten.", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The caller broke the order of things.
    #[error("'{}' was not published: {why}.", path.display())]
    Misuse {
        /// What it was about.
        path: PathBuf,
        /// What was out of order.
        why: String,
    },
    /// A snapshot was named in a way that cannot be read.
    #[error("'{text}' does not name a snapshot: {why}.")]
    Reference {
        /// What was given.
        text: String,
        /// Why it was not understood.
        why: String,
    },
    /// No snapshot matches.
    #[error("The vault at '{}' has no snapshot '{wanted}'.", path.display())]
    Nothing {
        /// The vault.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
    },
    /// Several snapshots match, or none can be taken without an operator's word.
    #[error("'{wanted}' needs an id: {why}.{}", listed(candidates))]
    Undecided {
        /// What was asked for.
        wanted: String,
        /// Why nothing was chosen.
        why: String,
        /// Each candidate on a line: its id and what tells it apart.
        candidates: Vec<String>,
    },
    /// The operator cancelled while bytes were read.
    #[error("Reading '{}' was cancelled.", path.display())]
    Cancelled {
        /// The file being read.
        path: PathBuf,
    },
}

fn listed(candidates: &[String]) -> String {
    candidates.iter().fold(String::new(), |text, line| text + "\n  " + line)
}

impl VaultError {
    /// What the filesystem said, as a sentence; a full disk gets its own.
    pub fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        if source.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>) {
            return Self::from_io(path, doing, source);
        }
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path, doing },
            _ => Self::Io { path, doing, source },
        }
    }

    /// Takes a `VaultError` back out of the `io::Error` that carried it through `Read` or `Write`.
    pub fn from_io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(own) => own,
            Err(other) => Self::io(path, doing, other),
        }
    }

    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }

    /// The documented end of a command that fails with this.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Damaged { .. } => Exit::Integrity,
            Self::NoSpace { .. } => Exit::NoSpace,
            Self::Recipient { .. }
            | Self::Plaintext { .. }
            | Self::Name { .. }
            | Self::Reference { .. }
            | Self::Undecided { .. } => Exit::Usage,
            Self::Nothing { .. } => Exit::Nothing,
            Self::Misuse { .. } => Exit::Failed,
            Self::Cancelled { .. } => Exit::Cancelled,
            Self::Missing { .. }
            | Self::Another { .. }
            | Self::Newer { .. }
            | Self::Unsafe { .. }
            | Self::Locked { .. }
            | Self::Key { .. }
            | Self::Held { .. }
            | Self::LeaseLost { .. }
            | Self::Io { .. }
            | Self::Exists { .. } => Exit::Vault,
        }
    }

    /// What to do next, each a sentence.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Missing { path } => format!(
                "Mount the disk, or make a vault there with: lifeboat --vault {} init",
                super::card::quoted(&path.display().to_string())
            ),
            Self::Another { .. } => "Check 'path' and 'id' under [vault] in the inventory.".into(),
            Self::Newer { .. } => "Use a newer Lifeboat; every version reads all older vaults.".into(),
            Self::Unsafe { path, .. } => {
                format!("Make it yours alone: chmod 700 {}", super::card::quoted(&path.display().to_string()))
            }
            Self::Damaged { .. } => "Take another copy, and run 'lifeboat verify' on the whole vault.".into(),
            Self::Locked { .. } => "Name the private key under 'identities' of [vault] in the inventory.".into(),
            Self::Recipient { .. } => "Recipients are 'age1…', 'ssh-ed25519 …' or 'ssh-rsa …' public keys.".into(),
            Self::Plaintext { .. } => {
                "Add 'recipients' under [vault] ('lifeboat keygen' makes a key), or set allow_plaintext = true.".into()
            }
            Self::Held { .. } => "Wait for it to finish; a dead holder's lease ends by itself.".into(),
            Self::NoSpace { .. } => "Free space on that disk, or choose another one: lifeboat --vault PATH.".into(),
            Self::Undecided { .. } => "Name one of them as owner/service/item@ID.".into(),
            Self::Reference { .. } => {
                "Write owner/service/item, and after it @ID, @latest or @before:2026-11-20T02:50:00Z.".into()
            }
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::from(&error)
    }
}

impl From<&VaultError> for Failure {
    /// Cleaned: a path or a candidate in it may bear any name, and it goes to a terminal.
    fn from(error: &VaultError) -> Self {
        let clean = |text: &str| CleanText::new(text).to_string();
        let mut failure = Self::new(error.exit(), clean(&error.to_string()));
        failure.hints = error.hints().iter().map(|hint| clean(hint)).collect();
        failure
    }
}
