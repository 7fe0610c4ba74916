//! Everything that can be wrong with a snapshot.

use super::types::MessageType;
use crate::formats::msgpack_skip::MsgpackError;
use crate::formats::tar::TarError;
use crate::formats::text::EntryName;

/// Why a snapshot is not sound; records are counted from 1, offsets from the start of `state.bin`.
#[derive(Debug, thiserror::Error)]
pub enum SnapError {
    /// The compression or the archive is damaged.
    #[error("The snapshot's archive is damaged. {0}")]
    Tar(#[from] TarError),
    /// An entry that does not belong.
    #[error("The snapshot holds \"{name}\", which does not belong in one.")]
    Unexpected {
        /// Its name.
        name: EntryName,
    },
    /// One of the three entries is not there.
    #[error("The snapshot holds no {name}.")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// An entry is larger than the limit.
    #[error("The snapshot's {name} has {size} bytes; at most {limit} are read.")]
    TooLarge {
        /// Which.
        name: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// `meta.json` does not parse.
    #[error("The snapshot's meta.json cannot be read: {reason}.")]
    Meta {
        /// The parser's words, escaped and cut.
        reason: String,
    },
    /// `SHA256SUMS` does not parse.
    #[error("The snapshot's SHA256SUMS cannot be read at line {line}: {reason}.")]
    Sums {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A member's hash is not the one listed.
    #[error("The snapshot's {name} does not match its hash in SHA256SUMS: it was changed or damaged.")]
    Hash {
        /// Which.
        name: &'static str,
    },
    /// `state.bin` has another length than `meta.json` says.
    #[error("The snapshot's state.bin has {found} bytes; meta.json says {said}.")]
    Size {
        /// What `meta.json` says.
        said: u64,
        /// What there is.
        found: u64,
    },
    /// The header of `state.bin` does not decode.
    #[error("The header of state.bin cannot be read: {0}.")]
    Header(#[source] MsgpackError),
    /// The header of `state.bin` has no index.
    #[error("The header of state.bin has no LastIndex.")]
    NoIndex,
    /// A record does not decode.
    #[error("Record {number} ({kind}) at byte {offset} of state.bin cannot be read: {reason}.")]
    Record {
        /// Its number.
        number: u64,
        /// Where it begins, its type byte.
        offset: u64,
        /// Its type.
        kind: MessageType,
        /// What is wrong.
        #[source]
        reason: MsgpackError,
    },
    /// A record lacks a field, or has it twice.
    #[error("Record {number} ({kind}) at byte {offset} of state.bin must have {field} exactly once.")]
    Field {
        /// Its number.
        number: u64,
        /// Where it begins, its type byte.
        offset: u64,
        /// Its type.
        kind: MessageType,
        /// The field.
        field: &'static str,
    },
    /// There are more of something than the limit.
    #[error("The snapshot holds more than {limit} {what}.")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Whoever looked on wanted no more.
    #[error("Reading the snapshot was stopped at record {number}.")]
    Stopped {
        /// The last record seen.
        number: u64,
    },
}
