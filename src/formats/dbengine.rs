//! Netdata's database files: samples (`.ndf`), their journal (`.njf`) and the index newer agents make of it (`.njfv2`).
//!
//! Each reader takes one file as a stream and believes nothing in it. Formats as in Netdata's
//! `src/database/engine/rrddiskprotocol.h` and `journalfile.h`; what 1.37.1 writes was read from its own files, the
//! index only from the published layout. All numbers are little-endian, all checksums zlib's CRC-32. Whatever no known
//! version writes is refused by name: an unknown version, compression, page type or record is never passed as sound.
//!
//! An agent that starts on a data file without its journal, or with a damaged super block, deletes both (seen with
//! 1.37.1). So the files are judged in pairs: each reader hands out an [`Extent`] for every extent it meets, and
//! [`compare_extents`] finds what one names and the other lacks.

mod data;
mod error;
mod index;
mod journal;
mod page;

pub use data::{DataFile, read_data_file, read_data_file_by_sums};
pub use error::DbengineError;
pub use index::{IndexFile, IndexState, read_index_file};
pub use journal::{JournalFile, NamedBy, read_journal_file, read_journal_file_and_filling};
pub use page::{Page, PageKind};

use std::io::Read;

use super::stream::fill;

/// The unit of every file: super blocks, journal records and extents begin at a multiple of it.
pub const BLOCK: usize = 4096;

/// The most extents of one file; agents begin a new file at 1 GiB, which holds half as many at most.
pub const MAX_EXTENTS: u64 = 600_000;

/// The most bytes of pages in one extent, compressed or not. Agents write 109 pages of 4608 bytes at most.
const MAX_PAYLOAD: u32 = 2 << 20;

/// Where an extent lies and what it says it holds: the same from the data file and from the journal when both are sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// The byte of the data file it begins at.
    pub offset: u64,
    /// Its bytes, header and checksum included, padding not.
    pub size: u32,
    /// CRC-32 of its page descriptors. The index does not know them and says 0.
    pub descriptors: u32,
    /// How many pages it holds.
    pub pages: u8,
}

/// What comparing a data file with its journal or index found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// The first extent the journal names and the data file does not hold so.
    pub missing: Option<u64>,
    /// Extents of the data file that the journal does not name: written, and lost to the agent.
    pub unnamed: u64,
}

/// Compares a data file's extents, in file order, with those its journal names, in any order.
pub fn compare_extents<E>(
    data: impl Iterator<Item = Result<Extent, E>>,
    named: Vec<Extent>,
    with_descriptors: bool,
) -> Result<Compared, E> {
    compare_extents_and_show(data, named, with_descriptors, &mut |_| {})
}

/// The same, and shows every extent of the data file that the journal does not name.
pub(super) fn compare_extents_and_show<E>(
    data: impl Iterator<Item = Result<Extent, E>>,
    mut named: Vec<Extent>,
    with_descriptors: bool,
    unnamed: &mut dyn FnMut(Extent),
) -> Result<Compared, E> {
    named.sort_unstable();
    let mut found = Compared::default();
    let mut next = 0;
    for extent in data {
        let extent = extent?;
        let wanted = if with_descriptors { extent } else { Extent { descriptors: 0, ..extent } };
        while let Some(before) = named.get(next).filter(|named| named.offset < extent.offset) {
            found.missing = found.missing.or(Some(before.offset));
            next += 1;
        }
        match named.get(next) {
            Some(named) if *named == wanted => next += 1,
            Some(named) if named.offset == wanted.offset => {
                found.missing = found.missing.or(Some(wanted.offset));
                next += 1;
            }
            _ => {
                found.unnamed += 1;
                unnamed(extent);
            }
        }
    }
    found.missing = found.missing.or_else(|| named.get(next).map(|named| named.offset));
    Ok(found)
}

/// Checks a super block: magic and version in fields filled up with zeros, then `rest`, then zeros to its end.
fn check_super_block(block: &[u8], magic: &'static str, rest: &[u8]) -> Result<(), DbengineError> {
    let field = |from: usize, to: usize| block.get(from..to).unwrap_or_default();
    let padded = |bytes: &[u8], text: &[u8]| bytes.strip_prefix(text).is_some_and(|pad| pad.iter().all(|b| *b == 0));
    if !padded(field(0, 32), magic.as_bytes()) {
        return Err(DbengineError::Magic { magic });
    }
    if !padded(field(32, 48), b"1.0") {
        let version = field(32, 48);
        let end = version.iter().position(|byte| *byte == 0).unwrap_or(version.len());
        return Err(DbengineError::Version { found: version.get(..end).unwrap_or_default().into() });
    }
    let tail = block.get(48..).unwrap_or_default();
    if tail.len() + 48 != BLOCK || !padded(tail, rest) {
        return Err(DbengineError::SuperBlock);
    }
    Ok(())
}

/// Fills a buffer whole, or says at which byte of the file the stream ended.
fn exact(input: &mut dyn Read, into: &mut [u8], at: u64) -> Result<(), DbengineError> {
    let count = fill(input, into)?;
    if count < into.len() { Err(DbengineError::Cut { offset: at + count as u64 }) } else { Ok(()) }
}

/// A little-endian number of a buffer; what does not fit reads as 0, and the caller has checked that it fits.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    for (to, from) in value.iter_mut().zip(bytes.get(at..at + N).unwrap_or_default()) {
        *to = *from;
    }
    u64::from_le_bytes(value)
}

/// A 32-bit number of a buffer.
fn number_32(bytes: &[u8], at: usize) -> u32 {
    u32::try_from(number::<4>(bytes, at)).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
