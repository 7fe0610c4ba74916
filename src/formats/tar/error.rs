//! Everything that can be wrong with an archive.

use super::entry::EntryKind;
use super::header::HeaderError;
use super::names::NameError;
use super::pax::PaxError;
use crate::formats::text::EntryName;
use std::error::Error;
use std::io;

/// Why an archive is not accepted; says which entry, counted from 0, and at which byte of the plain stream.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream below failed: cut, damaged in compression, or the disk or link broke.
    #[error("Reading the archive failed in entry {index} at byte {offset}: {source}")]
    Read {
        /// The entry.
        index: u64,
        /// The byte.
        offset: u64,
        /// The failure.
        #[source]
        source: io::Error,
    },
    /// The stream ends inside a block or a content.
    #[error("The archive is cut short in entry {index}, at byte {offset}.")]
    Cut {
        /// The entry.
        index: u64,
        /// The byte.
        offset: u64,
    },
    /// The stream ends between entries, without both zero blocks.
    #[error("The archive has no end after {index} entries (byte {offset}): it was cut, or is no tar archive.")]
    NoEnd {
        /// How many entries were whole.
        index: u64,
        /// The byte.
        offset: u64,
    },
    /// Something other than zeros follows the end.
    #[error("Foreign bytes follow the archive's end after {index} entries, at byte {offset}.")]
    AfterEnd {
        /// How many entries were whole.
        index: u64,
        /// The byte.
        offset: u64,
    },
    /// More zeros than any tape block follow the end.
    #[error("More than {limit} zero bytes follow the archive's end, up to byte {offset}.")]
    Padding {
        /// The byte.
        offset: u64,
        /// The limit.
        limit: u64,
    },
    /// A header is damaged or of a kind not known.
    #[error("The header of entry {index} at byte {offset} is not sound: {reason}.")]
    Header {
        /// The entry.
        index: u64,
        /// The byte its header begins at.
        offset: u64,
        /// What is wrong.
        reason: HeaderError,
    },
    /// A pax or GNU extension is damaged or of a kind not known.
    #[error("The extension of entry {index} before byte {offset} is not sound: {reason}.")]
    Pax {
        /// The entry.
        index: u64,
        /// Where its headers were read.
        offset: u64,
        /// What is wrong.
        reason: PaxError,
    },
    /// An extension is larger than the limit.
    #[error("An extension of entry {index} at byte {offset} has {size} bytes; at most {limit} are read.")]
    Extension {
        /// The entry.
        index: u64,
        /// The byte.
        offset: u64,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The entry breaks a rule that has no kind of its own.
    #[error("Entry {index} at byte {offset} is not accepted: {reason}.")]
    Invalid {
        /// The entry.
        index: u64,
        /// The byte.
        offset: u64,
        /// The rule.
        reason: &'static str,
    },
    /// The entry's name or link is unsafe.
    #[error("Entry {index} \"{name}\" at byte {offset} is not accepted: {reason}.")]
    Name {
        /// The entry.
        index: u64,
        /// The byte.
        offset: u64,
        /// The name, shown escaped.
        name: EntryName,
        /// The rule.
        reason: NameError,
    },
    /// The entry is a device or a fifo.
    #[error("Entry {index} \"{name}\" at byte {offset} is a {kind}, which is not accepted.")]
    Special {
        /// The entry.
        index: u64,
        /// The byte.
        offset: u64,
        /// What it is.
        kind: EntryKind,
        /// The name, shown escaped.
        name: EntryName,
    },
    /// The content or its holes pass the limit.
    #[error("Up to entry {index} at byte {offset} the archive holds {content} bytes, {holes} of them holes: too much.")]
    TooMuch {
        /// The entry.
        index: u64,
        /// The byte.
        offset: u64,
        /// Content so far.
        content: u64,
        /// Holes so far.
        holes: u64,
    },
    /// Whoever looked at the entry refused it.
    #[error("Entry {index} was refused: {reason}")]
    Visitor {
        /// The entry.
        index: u64,
        /// Its reason.
        #[source]
        reason: Box<dyn Error + Send + Sync>,
    },
}
