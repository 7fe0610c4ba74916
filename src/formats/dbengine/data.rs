//! Data files: every extent's header, descriptors, payload and checksum.

use super::error::{DbengineError, ExtentFault};
use super::page::{DESCRIPTOR, Page, pages};
use super::{BLOCK, Extent, MAX_EXTENTS, MAX_PAYLOAD, check_super_block, exact, fill, number_32};
use std::io::Read;

const MAGIC: &str = "netdata-data-file";
const HEADER: usize = 6;
const TRAILER: usize = 4;

/// What a sound data file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DataFile {
    /// Its bytes.
    pub bytes: u64,
    /// Its extents.
    pub extents: u64,
    /// Their pages.
    pub pages: u64,
    /// Bytes of pages before compression.
    pub page_bytes: u64,
    /// Blocks of nothing but zeros, where an extent was to be written.
    pub empty_blocks: u64,
    /// Where the last extent begins, when the file ends within it: the agent died writing it.
    pub torn: Option<u64>,
}

/// Reads a data file from its first byte to its last, and shows every page and every extent that is sound.
///
/// The payload of an extent is expanded too, so that its size is known to be right. What fills its last block up is
/// whatever the agent's memory held (so in files of 1.37.1), and is not looked at: only the hash of the archive vouches
/// for it. Memory: one extent, 4 MiB at most.
///
/// # Errors
/// The first [`DbengineError`]. A file that ends within its last extent is not one: see [`DataFile::torn`].
pub fn read_data_file(
    input: &mut dyn Read,
    page: &mut dyn FnMut(&Page),
    extent: &mut dyn FnMut(&Extent) -> std::io::Result<()>,
) -> Result<DataFile, DbengineError> {
    let mut reader = Reader { buffer: vec![0; BLOCK], plain: Vec::new(), found: DataFile::default() };
    exact(input, &mut reader.buffer, 0)?;
    check_super_block(&reader.buffer, MAGIC, &[1])?;
    reader.found.bytes = BLOCK as u64;
    while reader.next(input, page, extent)? {}
    Ok(reader.found)
}

struct Reader {
    /// The extent in hand, filled up to whole blocks.
    buffer: Vec<u8>,
    /// Its pages, expanded.
    plain: Vec<u8>,
    found: DataFile,
}

/// What an extent's first six bytes say.
struct Header {
    payload: u32,
    compression: u8,
    pages: u8,
}

impl Header {
    fn size(&self) -> usize {
        HEADER + self.descriptors() + usize::try_from(self.payload).unwrap_or(usize::MAX / 2) + TRAILER
    }

    fn descriptors(&self) -> usize {
        usize::from(self.pages) * DESCRIPTOR
    }
}

impl Reader {
    /// Reads one extent or one empty block. `false` at the file's end.
    fn next(
        &mut self,
        input: &mut dyn Read,
        page: &mut dyn FnMut(&Page),
        extent: &mut dyn FnMut(&Extent) -> std::io::Result<()>,
    ) -> Result<bool, DbengineError> {
        let offset = self.found.bytes;
        self.buffer.resize(BLOCK, 0);
        match fill(input, &mut self.buffer)? {
            0 => return Ok(false),
            BLOCK => {}
            count => return Err(DbengineError::Cut { offset: offset + count as u64 }),
        }
        self.found.bytes += BLOCK as u64;
        let damaged = |reason| DbengineError::Extent { offset, reason };
        let header = self.header();
        if header.pages == 0 {
            if self.buffer.iter().any(|byte| *byte != 0) {
                return Err(damaged(ExtentFault::NoPages));
            }
            self.found.empty_blocks += 1;
            return Ok(true);
        }
        if header.payload > MAX_PAYLOAD {
            return Err(damaged(ExtentFault::TooLarge(u64::from(header.payload))));
        }
        let size = header.size();
        let whole = size.next_multiple_of(BLOCK);
        self.buffer.resize(whole, 0);
        let rest = fill(input, self.buffer.get_mut(BLOCK..).unwrap_or_default())?;
        self.found.bytes += rest as u64;
        if rest % BLOCK != 0 {
            return Err(DbengineError::Cut { offset: self.found.bytes });
        }
        if BLOCK + rest < whole {
            self.found.torn = Some(offset);
            return Ok(false);
        }
        self.check(&header, size).map_err(damaged)?;
        let descriptors = self.descriptors(&header);
        for found in pages(descriptors) {
            page(&found.map_err(|kind| damaged(ExtentFault::PageType(kind)))?);
        }
        let size = u32::try_from(size).map_err(|_| damaged(ExtentFault::TooLarge(size as u64)))?;
        extent(&Extent { offset, size, descriptors: crc32fast::hash(descriptors), pages: header.pages })?;
        self.found.extents += 1;
        self.found.pages += u64::from(header.pages);
        if self.found.extents > MAX_EXTENTS {
            return Err(DbengineError::TooMany { limit: MAX_EXTENTS });
        }
        Ok(true)
    }

    fn header(&self) -> Header {
        let byte = |at: usize| self.buffer.get(at).copied().unwrap_or_default();
        Header { payload: number_32(&self.buffer, 0), compression: byte(4), pages: byte(5) }
    }

    fn descriptors(&self, header: &Header) -> &[u8] {
        self.buffer.get(HEADER..HEADER + header.descriptors()).unwrap_or_default()
    }

    /// The checksum first: only what it covers is worth a reason of its own.
    fn check(&mut self, header: &Header, size: usize) -> Result<(), ExtentFault> {
        let sum = number_32(&self.buffer, size - TRAILER);
        let body = self.buffer.get(..size - TRAILER).unwrap_or_default();
        if crc32fast::hash(body) != sum {
            return Err(ExtentFault::Checksum);
        }
        let mut plain = 0_u64;
        for page in pages(self.descriptors(header)) {
            plain += u64::from(page.map_err(ExtentFault::PageType)?.length);
        }
        if plain > u64::from(MAX_PAYLOAD) {
            return Err(ExtentFault::TooLarge(plain));
        }
        self.found.page_bytes += plain;
        let payload = self.buffer.get(HEADER + header.descriptors()..size - TRAILER).unwrap_or_default();
        let wanted = usize::try_from(plain).unwrap_or(usize::MAX);
        self.plain.resize(wanted, 0);
        let expanded = match header.compression {
            0 => Some(payload.len()),
            1 => lz4_flex::block::decompress_into(payload, &mut self.plain).ok(),
            2 => zstd::bulk::decompress_to_buffer(payload, &mut self.plain).ok(),
            unknown => return Err(ExtentFault::Compression(unknown)),
        };
        if expanded == Some(wanted) { Ok(()) } else { Err(ExtentFault::Payload(plain)) }
    }
}
