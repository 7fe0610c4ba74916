//! Journals: one record for each extent of the data file.

use super::error::{DbengineError, RecordFault};
use super::page::{DESCRIPTOR, Page, pages};
use super::{BLOCK, Extent, MAX_EXTENTS, check_super_block, exact, fill, number, number_32};
use std::io::Read;

const MAGIC: &str = "netdata-journal-file";
/// The type of the one record there is.
const STORE_DATA: u8 = 1;
const HEADER: usize = 15;
const STORE: usize = 13;
const TRAILER: usize = 4;
/// An extent's bytes besides descriptors and payload.
const EXTENT_FRAME: u64 = 10;

/// What a sound journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalFile {
    /// Its bytes.
    pub bytes: u64,
    /// Its records: one for each extent.
    pub records: u64,
    /// Their pages.
    pub pages: u64,
    /// Blocks of nothing but zeros, where a record was to be written.
    pub empty_blocks: u64,
}

/// What in a journal names an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// A record.
    Record,
    /// What fills a block up: it would be a record if its first byte did not say that none follows.
    ///
    /// Agents up to 1.37 at least leave such behind, since they reuse memory (seen in their source). So it is damage
    /// only where it names an extent that the data file holds and no record names.
    Filling,
}

/// Reads a journal from its first byte to its last, and shows every page and every extent its records name.
///
/// What fills a block up after its last record is whatever the agent's memory held, and is not looked at: only the
/// hash of the archive vouches for it. Memory: one record.
///
/// # Errors
/// The first [`DbengineError`].
pub fn read_journal_file(
    input: &mut dyn Read,
    page: &mut dyn FnMut(&Page),
    extent: &mut dyn FnMut(&Extent) -> std::io::Result<()>,
) -> Result<JournalFile, DbengineError> {
    let mut records = |named: &Extent, by| if by == NamedBy::Record { extent(named) } else { Ok(()) };
    read_journal_file_and_filling(input, page, &mut records)
}

/// The same, and shows what the begin of each block's filling would name as well.
///
/// # Errors
/// As [`read_journal_file`]'s.
pub fn read_journal_file_and_filling(
    input: &mut dyn Read,
    page: &mut dyn FnMut(&Page),
    extent: &mut dyn FnMut(&Extent, NamedBy) -> std::io::Result<()>,
) -> Result<JournalFile, DbengineError> {
    let mut found = JournalFile::default();
    // A record is 4 KiB at most (its length has 16 bits) and begins and ends within one block, as every agent so far
    // writes them.
    let mut block = [0; BLOCK];
    exact(input, &mut block, 0)?;
    check_super_block(&block, MAGIC, &[])?;
    found.bytes = BLOCK as u64;
    loop {
        match fill(input, &mut block)? {
            0 => return Ok(found),
            BLOCK => {}
            count => return Err(DbengineError::Cut { offset: found.bytes + count as u64 }),
        }
        if block.first() == Some(&0) {
            if block.iter().any(|byte| *byte != 0) {
                return Err(DbengineError::Record { offset: found.bytes, reason: RecordFault::Hidden });
            }
            found.empty_blocks += 1;
        }
        let mut at = 0;
        while block.get(at).is_some_and(|kind| *kind != 0) {
            let record = block.get(at..).unwrap_or_default();
            let offset = found.bytes + at as u64;
            let (named, descriptors, size) =
                parse(record).map_err(|reason| DbengineError::Record { offset, reason })?;
            for found in pages(descriptors) {
                let reason = RecordFault::PageType;
                page(&found.map_err(|kind| DbengineError::Record { offset, reason: reason(kind) })?);
            }
            extent(&named, NamedBy::Record)?;
            found.records += 1;
            found.pages += u64::from(named.pages);
            if found.records > MAX_EXTENTS {
                return Err(DbengineError::TooMany { limit: MAX_EXTENTS });
            }
            at += size;
        }
        if let Some(filling) = block.get_mut(at..).filter(|_| at > 0)
            && let Some(first) = filling.first_mut()
        {
            *first = STORE_DATA;
            if let Ok((named, ..)) = parse(filling) {
                extent(&named, NamedBy::Filling)?;
            }
        }
        found.bytes += BLOCK as u64;
    }
}

/// Reads the record a block goes on with: the extent it names, its descriptors, and the record's bytes.
fn parse(record: &[u8]) -> Result<(Extent, &[u8], usize), RecordFault> {
    let byte = |at: usize| record.get(at).copied().unwrap_or_default();
    if byte(0) != STORE_DATA {
        return Err(RecordFault::Type(byte(0)));
    }
    let payload = usize::try_from(number::<2>(record, HEADER - 2)).unwrap_or(usize::MAX);
    let pages = byte(HEADER + STORE - 1);
    let body = record.get(..HEADER + payload).ok_or(RecordFault::Length(pages))?;
    let sum = record.get(body.len()..body.len() + TRAILER).ok_or(RecordFault::Length(pages))?;
    if crc32fast::hash(body) != number_32(sum, 0) {
        return Err(RecordFault::Checksum);
    }
    let descriptors = body.get(HEADER + STORE..).ok_or(RecordFault::Length(pages))?;
    if pages == 0 || descriptors.len() != usize::from(pages) * DESCRIPTOR {
        return Err(RecordFault::Length(pages));
    }
    let (offset, size) = (number::<8>(record, HEADER), number_32(record, HEADER + 8));
    if offset == 0 || offset % BLOCK as u64 != 0 {
        return Err(RecordFault::Offset(offset));
    }
    if u64::from(size) < EXTENT_FRAME + descriptors.len() as u64 {
        return Err(RecordFault::Size(size));
    }
    let named = Extent { offset, size, descriptors: crc32fast::hash(descriptors), pages };
    Ok((named, descriptors, body.len() + TRAILER))
}
