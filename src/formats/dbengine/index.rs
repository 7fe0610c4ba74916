//! Indexes (`.njfv2`, from Netdata 1.38 on): made from a journal once its data file is full.

use super::error::DbengineError;
use super::{BLOCK, Extent, MAX_EXTENTS, exact, number, number_32};
use sha2::{Digest, Sha256};
use std::io::Read;

const MAGIC: u32 = 0x0123_0317;
/// The agent has marked the file: it makes it anew at its next start.
const REBUILD: u32 = 0x0023_0317;
/// The agent has marked the file, and cut it to its header: it uses the journal instead.
const SKIP: u32 = 0x0223_0317;
const HEADER: usize = 72;
const EXTENT: u64 = 16;
const METRIC: u64 = 36;
const PAGE_HEADER: usize = 28;
const PAGE: u64 = 20;
const TRAILER: u64 = 4;

/// Whether an agent would use an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexState {
    /// It would.
    #[default]
    Current,
    /// It would not, and needs the journal: the file is marked so.
    Marked,
}

/// What a sound index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexFile {
    /// Its bytes.
    pub bytes: u64,
    /// Whether an agent would use it. Of one it would not, nothing else is read.
    pub state: IndexState,
    /// The extents it names.
    pub extents: u64,
    /// The metrics it names.
    pub metrics: u64,
    /// Their pages.
    pub pages: u64,
    /// How long the journal was that it was made from; an agent uses it only beside one just as long, or none.
    pub journal_bytes: u64,
    /// Times of the first and last point, in microseconds since 1970.
    pub range_us: (u64, u64),
}

/// Reads an index of `size` bytes: every list with its checksum, and that they agree with each other.
///
/// Not looked at: what fills up the header's block, and the room after the last page. Memory: one buffer of 64 KiB.
///
/// # Errors
/// The first [`DbengineError`].
pub fn read_index_file(
    input: &mut dyn Read,
    size: u64,
    metric: &mut dyn FnMut(&[u8; 16]),
    extent: &mut dyn FnMut(&Extent) -> std::io::Result<()>,
) -> Result<IndexFile, DbengineError> {
    let mut reader = Reader { input, at: 0, buffer: vec![0; 64 * 1024] };
    // An agent that could not make an index leaves a header alone, marked.
    let mut header = [0; HEADER];
    exact(reader.input, &mut header, 0)?;
    let header = header.as_slice();
    reader.at = HEADER as u64;
    let Some(layout) = Layout::parse(header, size)? else {
        return Ok(IndexFile { bytes: size, state: IndexState::Marked, ..IndexFile::default() });
    };
    reader.skip_to(BLOCK as u64)?;
    let mut failed = None;
    let list = reader.list(layout.extents, EXTENT, |bytes| {
        let named = Extent {
            offset: number::<8>(bytes, 0),
            size: number_32(bytes, 8),
            descriptors: 0,
            pages: bytes.get(14).copied().unwrap_or_default(),
        };
        if failed.is_none() {
            failed = extent(&named).err();
        }
    });
    list?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    // Page lists follow in the order of the metrics, each with its metric's id, length and place repeated.
    let (mut promised, mut pages) = (Sha256::new(), 0_u64);
    reader.list(layout.metrics, METRIC, |bytes| {
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(bytes) {
            *to = *from;
        }
        metric(&id);
        pages += number::<4>(bytes, 16);
        promised.update(bytes.get(..24).unwrap_or_default());
    })?;
    if pages != layout.pages {
        return Err(DbengineError::Index {
            offset: reader.at,
            reason: "its metrics' pages are not as many as it says",
        });
    }
    let found = reader.page_lists(&layout)?;
    if found != <[u8; 32]>::from(promised.finalize()) {
        let reason = "its lists of pages are not those its metrics name";
        return Err(DbengineError::Index { offset: reader.at, reason });
    }
    reader.skip_to(size - TRAILER)?;
    let mut sum = [0; 4];
    exact(reader.input, &mut sum, reader.at)?;
    if crc32fast::hash(header) != number_32(&sum, 0) {
        return Err(DbengineError::Index { offset: 0, reason: "its header's checksum does not match" });
    }
    Ok(IndexFile {
        bytes: size,
        state: IndexState::Current,
        extents: layout.extents,
        metrics: layout.metrics,
        pages,
        journal_bytes: layout.journal_bytes,
        range_us: (number::<8>(header, 8), number::<8>(header, 16)),
    })
}

/// What a header says, once it has been found to agree with itself.
struct Layout {
    extents: u64,
    metrics: u64,
    pages: u64,
    journal_bytes: u64,
    end: u64,
}

impl Layout {
    /// `None` for a file marked as not to be used.
    fn parse(header: &[u8], size: u64) -> Result<Option<Self>, DbengineError> {
        let wrong = |offset, reason| Err(DbengineError::Index { offset, reason });
        match number_32(header, 0) {
            MAGIC => {}
            REBUILD | SKIP => return Ok(None),
            magic => return Err(DbengineError::IndexVersion { magic }),
        }
        let field = |at: usize| number::<4>(header, at);
        let (extents, metrics, pages) = (field(24), field(32), field(40));
        let extent_end = BLOCK as u64 + extents * EXTENT;
        let metric_start = extent_end + TRAILER;
        let metric_end = metric_start + metrics * METRIC;
        let page_start = metric_end + TRAILER;
        let page_room = pages * (PAGE + PAGE_HEADER as u64 + TRAILER);
        let places = [BLOCK as u64, metric_start, page_start, extent_end, metric_end];
        if [28, 36, 44, 48, 52].map(field) != places {
            return wrong(24, "its parts do not lie where their lengths put them");
        }
        if field(60) != size || page_start + page_room + TRAILER != size {
            return wrong(60, "it is not as long as it says");
        }
        if metrics == 0 || metrics > pages || extents > MAX_EXTENTS {
            return wrong(24, "its counts cannot be");
        }
        Ok(Some(Self { extents, metrics, pages, journal_bytes: field(56), end: size - TRAILER }))
    }
}

struct Reader<'a> {
    input: &'a mut dyn Read,
    at: u64,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// Reads a list with its checksum, entry by entry.
    fn list(&mut self, count: u64, size: u64, mut entry: impl FnMut(&[u8])) -> Result<(), DbengineError> {
        let start = self.at;
        let step = usize::try_from(size).unwrap_or(1);
        let room = (self.buffer.len() / step * step) as u64;
        let mut left = count * size;
        let mut sum = crc32fast::Hasher::new();
        while left > 0 {
            let wanted = usize::try_from(left.min(room)).unwrap_or(0);
            let piece = self.buffer.get_mut(..wanted).unwrap_or_default();
            exact(self.input, piece, self.at)?;
            sum.update(piece);
            piece.chunks_exact(step).for_each(&mut entry);
            self.at += wanted as u64;
            left -= wanted as u64;
        }
        let mut trailer = [0; 4];
        exact(self.input, &mut trailer, self.at)?;
        self.at += TRAILER;
        if sum.finalize() == number_32(&trailer, 0) {
            return Ok(());
        }
        Err(DbengineError::Index { offset: start, reason: "a list's checksum does not match" })
    }

    /// Reads every metric's list of pages; answers the hash over what their headers say, in the metrics' own form.
    fn page_lists(&mut self, layout: &Layout) -> Result<[u8; 32], DbengineError> {
        let mut found = Sha256::new();
        for number_of in 0..layout.metrics {
            let start = self.at;
            let wrong = |reason| DbengineError::Index { offset: start, reason };
            let mut header = [0; PAGE_HEADER];
            exact(self.input, &mut header, self.at)?;
            self.at += PAGE_HEADER as u64;
            let said = number_32(&header, 0);
            // The checksum covers its own field as the magic number.
            let (sum, rest) = header.split_at_mut(4);
            sum.copy_from_slice(&MAGIC.to_le_bytes());
            let place = layout_metric(layout.extents, number_of);
            let (entries, at) = (number_32(rest, 4), u32::try_from(start).unwrap_or(u32::MAX));
            if number::<4>(rest, 0) != place {
                return Err(wrong("a list of pages does not name its metric"));
            }
            if start + u64::from(entries) * PAGE > layout.end {
                return Err(wrong("a list of pages is longer than the file"));
            }
            let id: Vec<u8> = rest.get(8..24).unwrap_or_default().to_vec();
            if crc32fast::hash(&header) != said {
                return Err(wrong("the checksum of a list's header does not match"));
            }
            for part in [id.as_slice(), &entries.to_le_bytes(), &at.to_le_bytes()] {
                found.update(part);
            }
            let mut outside = false;
            let limit = layout.extents;
            self.list(u64::from(entries), PAGE, |page| outside |= number::<4>(page, 8) >= limit)?;
            if outside {
                return Err(wrong("a page names an extent that is not listed"));
            }
        }
        Ok(found.finalize().into())
    }

    fn skip_to(&mut self, end: u64) -> Result<(), DbengineError> {
        while self.at < end {
            let wanted = usize::try_from((end - self.at).min(self.buffer.len() as u64)).unwrap_or(0);
            exact(self.input, self.buffer.get_mut(..wanted).unwrap_or_default(), self.at)?;
            self.at += wanted as u64;
        }
        if self.at == end { Ok(()) } else { Err(DbengineError::Index { offset: end, reason: "its pages do not fit" }) }
    }
}

/// Where the entry of a metric lies in the file.
const fn layout_metric(extents: u64, number: u64) -> u64 {
    BLOCK as u64 + extents * EXTENT + TRAILER + number * METRIC
}
