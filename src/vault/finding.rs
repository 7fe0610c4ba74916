//! What a look at the vault found out of order. Shown, never hidden.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::text::CleanText;

/// One thing out of order, with its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub path: PathBuf,
    /// Which sort.
    pub trouble: Trouble,
    /// A sentence that names the path; clean, because the name may be anybody's.
    pub message: String,
}

/// The sorts of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Bytes are not what they must be.
    Damaged,
    /// Something that must be there is not.
    Missing,
    /// Something lies there that no version of Lifeboat put there.
    Unexpected,
    /// A snapshot without a manifest: a copy by another tool broke off. Or what a run that died left in the staging area.
    Unfinished,
    /// A snapshot in a place that is not its own.
    Misplaced,
    /// Written by a newer program.
    Newer,
    /// Others could read or change it.
    Exposed,
    /// It could not be read.
    Unreadable,
}

impl Finding {
    pub(super) fn new(path: &Path, trouble: Trouble, why: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), trouble, message: clean(&format!("'{}' {why}.", path.display())) }
    }

    /// Whether it takes away trust in the bytes, rather than asking for a clean-up.
    pub fn is_damage(&self) -> bool {
        matches!(self.trouble, Trouble::Damaged | Trouble::Missing | Trouble::Unreadable | Trouble::Misplaced)
    }

    pub(super) fn of(error: &super::error::VaultError, path: &Path) -> Self {
        use super::error::VaultError as E;
        let trouble = match error {
            E::Newer { .. } => Trouble::Newer,
            E::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Trouble::Missing,
            E::Io { .. } => Trouble::Unreadable,
            _ => Trouble::Damaged,
        };
        Self { path: path.to_owned(), trouble, message: clean(&error.to_string()) }
    }
}

fn clean(sentence: &str) -> String {
    CleanText::new(sentence).one_line().to_string()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}
