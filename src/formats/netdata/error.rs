//! Why a Netdata artefact is not sound.

use crate::formats::dbengine::DbengineError;
use crate::formats::sqlite::{SqliteError, WalError};
use crate::formats::text::EntryName;

/// Why a Netdata artefact is not sound.
#[derive(Debug, thiserror::Error)]
pub enum NetdataError {
    /// A database file of samples is not sound.
    #[error("The file \"{path}\" is not sound: {fault}.")]
    Dbengine {
        /// Its name in the archive.
        path: EntryName,
        /// What is wrong.
        #[source]
        fault: DbengineError,
    },
    /// A SQLite database is not sound.
    #[error("The database \"{path}\" is not sound: {fault}.")]
    Sqlite {
        /// Its name.
        path: &'static str,
        /// What is wrong.
        #[source]
        fault: SqliteError,
    },
    /// A pair lacks its data file.
    #[error("The data file {number} of \"{directory}\" is missing: its journal alone restores nothing.")]
    NoData {
        /// The tier's directory.
        directory: EntryName,
        /// The pair's number.
        number: u32,
    },
    /// A pair lacks its journal.
    #[error("The journal of the data file {number} of \"{directory}\" is missing: an agent would delete the data.")]
    NoJournal {
        /// The tier's directory.
        directory: EntryName,
        /// The pair's number.
        number: u32,
    },
    /// A journal or index names an extent that the data file does not hold so.
    #[error(
        "The {by} {number} of \"{directory}\" names an extent at byte {offset} that the data file does not hold: the copy is torn or altered."
    )]
    Torn {
        /// Journal or index.
        by: &'static str,
        /// The tier's directory.
        directory: EntryName,
        /// The pair's number.
        number: u32,
        /// Where the extent should be.
        offset: u64,
    },
    /// A journal's record says that it is none, and is.
    #[error(
        "The journal {number} of \"{directory}\" passes over its record of the extent at byte {offset}, and over what follows it: it is altered."
    )]
    Hidden {
        /// The tier's directory.
        directory: EntryName,
        /// The pair's number.
        number: u32,
        /// Where the extent lies in the data file.
        offset: u64,
    },
    /// There are more directories of samples than any agent has.
    #[error("There are more than {limit} directories of samples, which is more than any agent has.")]
    TooManyTiers {
        /// The limit.
        limit: usize,
    },
    /// There are more pairs than an agent opens.
    #[error("There are more than {limit} data files, which is more than any agent opens.")]
    TooManyPairs {
        /// The limit.
        limit: usize,
    },
    /// The machine GUID is none.
    #[error("The machine GUID is not 36 characters of a UUID, so the agent would make itself a new identity.")]
    Guid,
    /// Two members claim the same place.
    #[error("There are two of \"{name}\": the archive mixes two agents.")]
    Twice {
        /// What there is twice.
        name: &'static str,
    },
    /// A database's tables are not as they are known.
    #[error("The tables of the database \"{path}\" are not as any known version has them.")]
    Unknown {
        /// Its name.
        path: &'static str,
    },
    /// Whose the charts are is not as it must be to give them to another agent.
    #[error(
        "The database of names has {charts} charts of the agent that was saved and {others} of the one that is to have them."
    )]
    Charts {
        /// Of the agent that was saved.
        charts: i64,
        /// Of the other one.
        others: i64,
    },
    /// A list of extents could not be kept.
    #[error("Keeping the list of extents failed: {0}.")]
    List(#[source] std::io::Error),
}

impl NetdataError {
    /// Whether this is damage of one file or pair, and says nothing against the others. A stream that failed, a set that
    /// mixes two agents and a list without end are none.
    pub fn leaves_the_rest_readable(&self) -> bool {
        match self {
            Self::Dbengine { fault, .. } => !matches!(fault, DbengineError::Io(_)),
            Self::Sqlite { fault, .. } => !matches!(fault, SqliteError::Io(_) | SqliteError::Wal(WalError::Io(_))),
            Self::NoData { .. } | Self::NoJournal { .. } | Self::Torn { .. } | Self::Hidden { .. } => true,
            Self::TooManyTiers { .. }
            | Self::TooManyPairs { .. }
            | Self::Guid
            | Self::Twice { .. }
            | Self::Unknown { .. }
            | Self::Charts { .. }
            | Self::List(_) => false,
        }
    }
}
