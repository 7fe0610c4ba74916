//! Why an artefact is not what its format promises.

use super::consul_snap::SnapError;
use super::netdata::NetdataError;
use super::staking::StakingError;
use super::tar::TarError;
use super::text::EntryName;
use super::verify::Damaged;

/// Why an artefact is not sound; one variant for each reader, and what is wrong with a set of files as such.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A staking identity is not sound.
    #[error("{0}")]
    Staking(#[from] StakingError),
    /// A tar archive is not sound.
    #[error("{0}")]
    Tar(#[from] TarError),
    /// A Consul snapshot is not sound.
    #[error("{0}")]
    ConsulSnap(#[from] SnapError),
    /// A Netdata artefact is not sound.
    #[error("{0}")]
    Netdata(#[from] NetdataError),
    /// Parts of the set are damaged, and the rest of it was read to its end: only from a verifier that was told to note
    /// damage.
    #[error("{0}")]
    Damaged(Box<Damaged>),
    /// No format has this name.
    #[error("No format is called \"{name}\".")]
    Unknown {
        /// The name.
        name: EntryName,
    },
    /// The set holds a file that does not belong, or one twice.
    #[error("The file \"{path}\" does not belong in this set, or stands in it twice.")]
    Unexpected {
        /// Its name.
        path: EntryName,
    },
    /// The set lacks a file.
    #[error("The file \"{path}\" is missing from the set.")]
    Missing {
        /// Its name.
        path: &'static str,
    },
    /// An archive is whole and has no entry.
    #[error("The archive \"{path}\" is empty: nothing at all is in it.")]
    Empty {
        /// Its name.
        path: EntryName,
    },
    /// A file is larger than this format's files are.
    #[error("The file \"{path}\" has more than {limit} bytes, which is more than this format's files have.")]
    TooLarge {
        /// Its name.
        path: EntryName,
        /// The limit.
        limit: u64,
    },
    /// The stream failed: not the format's fault.
    #[error("Reading the file \"{path}\" failed: {source}.")]
    Io {
        /// Its name.
        path: EntryName,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
}

impl FormatError {
    /// Whether a verifier that is told to note damage would go on past this, and so a copy could be kept all the same.
    pub fn leaves_the_rest_readable(&self) -> bool {
        match self {
            Self::Netdata(error) => error.leaves_the_rest_readable(),
            Self::Damaged(_) => true,
            _ => false,
        }
    }

    pub(crate) fn io(path: &str, source: std::io::Error) -> Self {
        Self::Io { path: EntryName::from(path.as_bytes()), source }
    }

    pub(super) fn unexpected(path: &str) -> Self {
        Self::Unexpected { path: EntryName::from(path.as_bytes()) }
    }
}
