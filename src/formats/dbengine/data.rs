//! Data files: every extent's header, descriptors, payload and checksum.

use super::error::{DbengineError, ExtentFault};
use super::page::{DESCRIPTOR, Page, pages};
use super::{BLOCK, Extent, MAX_EXTENTS, MAX_PAYLOAD, check_super_block, number_32};
use std::io::{ErrorKind, Read};

const MAGIC: &str = "netdata-data-file";
const HEADER: usize = 6;
const TRAILER: usize = 4;
/// How much is read at once: what passes is looked at where it lies, and only the begin of an extent that ends behind it
/// is moved.
const WINDOW: usize = 512 * 1024;

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
/// for it. Memory: half a MiB, or one extent, 4 MiB at most.
///
/// # Errors
/// The first [`DbengineError`]. A file that ends within its last extent is not one: see [`DataFile::torn`].
pub fn read_data_file(
    input: &mut dyn Read,
    page: &mut dyn FnMut(&Page),
    extent: &mut dyn FnMut(&Extent) -> std::io::Result<()>,
) -> Result<DataFile, DbengineError> {
    read(Reader::new(false), input, page, extent)
}

/// The same, and what an extent's checksum vouches for is not expanded: for bytes that were expanded once and are known
/// to be the same, and for looking at descriptors.
///
/// # Errors
/// As [`read_data_file`]'s, but for a payload that does not expand to what its pages say.
pub fn read_data_file_by_sums(
    input: &mut dyn Read,
    page: &mut dyn FnMut(&Page),
    extent: &mut dyn FnMut(&Extent) -> std::io::Result<()>,
) -> Result<DataFile, DbengineError> {
    read(Reader::new(true), input, page, extent)
}

fn read(
    mut reader: Reader,
    input: &mut dyn Read,
    page: &mut dyn FnMut(&Page),
    extent: &mut dyn FnMut(&Extent) -> std::io::Result<()>,
) -> Result<DataFile, DbengineError> {
    let there = reader.have(input, BLOCK)?;
    if there < BLOCK {
        return Err(DbengineError::Cut { offset: there as u64 });
    }
    check_super_block(reader.first(BLOCK), MAGIC, &[1])?;
    reader.pass(BLOCK);
    while reader.next(input, page, extent)? {}
    Ok(reader.found)
}

struct Reader {
    /// What was read of the file and not passed yet lies between `start` and `end`; the extent in hand begins at `start`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether payloads are left as they are.
    by_sums: bool,
    /// The pages of the extent in hand, expanded.
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
    fn new(by_sums: bool) -> Self {
        Self { buffer: vec![0; WINDOW], start: 0, end: 0, by_sums, plain: Vec::new(), found: DataFile::default() }
    }

    /// Reads one extent or one empty block. `false` at the file's end.
    fn next(
        &mut self,
        input: &mut dyn Read,
        page: &mut dyn FnMut(&Page),
        extent: &mut dyn FnMut(&Extent) -> std::io::Result<()>,
    ) -> Result<bool, DbengineError> {
        let offset = self.found.bytes;
        match self.have(input, BLOCK)?.min(BLOCK) {
            0 => return Ok(false),
            BLOCK => {}
            count => return Err(DbengineError::Cut { offset: offset + count as u64 }),
        }
        let damaged = |reason| DbengineError::Extent { offset, reason };
        let header = self.header();
        if header.pages == 0 {
            if self.first(BLOCK).iter().any(|byte| *byte != 0) {
                return Err(damaged(ExtentFault::NoPages));
            }
            self.found.empty_blocks += 1;
            self.pass(BLOCK);
            return Ok(true);
        }
        if header.payload > MAX_PAYLOAD {
            return Err(damaged(ExtentFault::TooLarge(u64::from(header.payload))));
        }
        let size = header.size();
        let whole = size.next_multiple_of(BLOCK);
        let there = self.have(input, whole)?.min(whole);
        if there % BLOCK != 0 {
            return Err(DbengineError::Cut { offset: offset + there as u64 });
        }
        if there < whole {
            self.pass(there);
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
        self.pass(whole);
        Ok(true)
    }

    /// Reads until `wanted` bytes lie ready, or the file ends; says how many do.
    fn have(&mut self, input: &mut dyn Read, wanted: usize) -> Result<usize, DbengineError> {
        if self.end - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
        }
        while self.end - self.start < wanted {
            match input.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.end - self.start)
    }

    /// The first bytes that lie ready.
    fn first(&self, count: usize) -> &[u8] {
        self.buffer.get(self.start..self.start + count).unwrap_or_default()
    }

    fn pass(&mut self, count: usize) {
        self.start += count;
        self.found.bytes += count as u64;
    }

    fn header(&self) -> Header {
        let bytes = self.first(HEADER);
        let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
        Header { payload: number_32(bytes, 0), compression: byte(4), pages: byte(5) }
    }

    fn descriptors(&self, header: &Header) -> &[u8] {
        self.first(HEADER + header.descriptors()).get(HEADER..).unwrap_or_default()
    }

    /// The checksum first: only what it covers is worth a reason of its own.
    fn check(&mut self, header: &Header, size: usize) -> Result<(), ExtentFault> {
        let sum = number_32(self.first(size), size - TRAILER);
        let body = self.first(size - TRAILER);
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
        if self.by_sums && matches!(header.compression, 1 | 2) {
            return Ok(());
        }
        let wanted = usize::try_from(plain).unwrap_or(usize::MAX);
        self.plain.resize(wanted, 0);
        let all = self.buffer.get(self.start..).unwrap_or_default();
        let payload = all.get(HEADER + header.descriptors()..size - TRAILER).unwrap_or_default();
        let expanded = match header.compression {
            0 => Some(payload.len()),
            1 => lz4_flex::block::decompress_into(payload, &mut self.plain).ok(),
            2 => zstd::bulk::decompress_to_buffer(payload, &mut self.plain).ok(),
            unknown => return Err(ExtentFault::Compression(unknown)),
        };
        if expanded == Some(wanted) { Ok(()) } else { Err(ExtentFault::Payload(plain)) }
    }
}
