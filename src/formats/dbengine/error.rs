//! Why a database file is not sound.

use crate::formats::text::EntryName;

/// Why a database file is not sound; every offset counts from the file's start.
#[derive(Debug, thiserror::Error)]
pub enum DbengineError {
    /// It does not begin as its name promises.
    #[error("it does not begin with \"{magic}\", so an agent would delete it")]
    Magic {
        /// How such files begin.
        magic: &'static str,
    },
    /// It is of a version that is not known here.
    #[error("it is of the unknown version \"{found}\"; only 1.0 can be verified")]
    Version {
        /// The version it names.
        found: EntryName,
    },
    /// Its first block holds what no agent writes there.
    #[error("its super block is damaged")]
    SuperBlock,
    /// It is no whole number of blocks, or ends within something.
    #[error("it is cut short at byte {offset}")]
    Cut {
        /// Where it ends.
        offset: u64,
    },
    /// An extent's header says what cannot be.
    #[error("the extent at byte {offset} is damaged: {reason}")]
    Extent {
        /// Where the extent begins.
        offset: u64,
        /// What is wrong.
        reason: ExtentFault,
    },
    /// A journal record says what cannot be.
    #[error("the journal record at byte {offset} is damaged: {reason}")]
    Record {
        /// Where the record begins.
        offset: u64,
        /// What is wrong.
        reason: RecordFault,
    },
    /// The index contradicts itself.
    #[error("the index is damaged at byte {offset}: {reason}")]
    Index {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The index is of a version that is not known here.
    #[error("its index version {magic:#010x} is not known here")]
    IndexVersion {
        /// How it begins.
        magic: u32,
    },
    /// There are more extents than one file holds.
    #[error("it names more than {limit} extents, which is more than any agent writes to one file")]
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// The stream failed: not the file's fault.
    #[error("reading it failed: {0}")]
    Io(#[from] std::io::Error),
}

/// What is wrong with an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExtentFault {
    /// It holds no pages and is not empty either.
    #[error("it has no pages")]
    NoPages,
    /// It is larger than any agent writes.
    #[error("{0} bytes of pages are more than any agent writes")]
    TooLarge(u64),
    /// Its checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// It is compressed in an unknown way.
    #[error("the compression {0} is unknown")]
    Compression(u8),
    /// It holds a page of an unknown type.
    #[error("the page type {0} is unknown")]
    PageType(u8),
    /// Its payload does not expand to the pages it describes.
    #[error("its payload does not expand to the {0} bytes its pages have")]
    Payload(u64),
}

/// What is wrong with a journal record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// It is of an unknown type.
    #[error("the record type {0} is unknown")]
    Type(u8),
    /// Its checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// Its length does not fit what it says it holds.
    #[error("its length does not fit its {0} pages")]
    Length(u8),
    /// It names an extent where none can be.
    #[error("it names an extent at byte {0}, where none can begin")]
    Offset(u64),
    /// The extent's size does not fit its pages.
    #[error("it names an extent of {0} bytes, which cannot be")]
    Size(u32),
    /// It holds a page of an unknown type.
    #[error("the page type {0} is unknown")]
    PageType(u8),
    /// A block begins as if it were empty, and is not.
    #[error("its block begins as an empty one and is not empty")]
    Hidden,
}
