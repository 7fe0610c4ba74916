//! Data files with their journals: who has whom, and whether both name the same extents.

use super::error::NetdataError;
use crate::formats::dbengine::{Extent, IndexFile, IndexState, JournalFile, compare_extents};
use crate::formats::sqlite::Spill;
use crate::formats::text::EntryName;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use tempfile::SpooledTempFile;

/// The most pairs, as the agent's own limit is.
const MAX_PAIRS: usize = 65_536;

/// An extent in the list: place, size, checksum of the descriptors, pages.
const RECORD: usize = 17;

/// Which part of the list a file's extents are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    start: u64,
    count: u64,
}

/// What has been seen of a pair.
#[derive(Debug, Default)]
struct Pair {
    data: Option<(Range, Option<u64>)>,
    journal: Option<(Range, JournalFile)>,
    index: Option<(Range, IndexFile)>,
    /// One of its files is damaged, which was told: then what is missing of it says nothing new.
    is_damaged: bool,
}

/// Every pair seen, and the extents their files name.
#[derive(Debug)]
pub(super) struct Pairs {
    seen: BTreeMap<(Vec<u8>, u32), Pair>,
    list: SpooledTempFile,
    length: u64,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { seen: BTreeMap::new(), list: Spill::list(), length: 0 }
    }
}

/// What an operator should know of the pairs though none is broken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PairNotes {
    /// Extents that no journal names: an agent does not find them.
    pub(super) unnamed: u64,
    /// Data files that end within an extent no journal names.
    pub(super) torn: u64,
    /// Indexes an agent makes anew from the journal.
    pub(super) stale: u64,
    /// Pairs missing from the middle of a tier's row.
    pub(super) gaps: u64,
}

impl Pairs {
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Where the next file's extents begin in the list.
    pub(super) const fn begin(&self) -> Range {
        Range { start: self.length, count: 0 }
    }

    /// Adds an extent to the list, and to the file it is of.
    pub(super) fn push(&mut self, range: &mut Range, extent: &Extent) -> io::Result<()> {
        let mut record = [0; RECORD];
        let fields = [
            extent.offset.to_le_bytes().as_slice(),
            &extent.size.to_le_bytes(),
            &extent.descriptors.to_le_bytes(),
            &[extent.pages],
        ]
        .concat();
        for (to, from) in record.iter_mut().zip(fields) {
            *to = from;
        }
        self.list.write_all(&record)?;
        self.length += 1;
        range.count += 1;
        Ok(())
    }

    fn pair(&mut self, directory: &[u8], number: u32) -> Result<&mut Pair, NetdataError> {
        let key = (directory.to_vec(), number);
        if self.seen.len() >= MAX_PAIRS && !self.seen.contains_key(&key) {
            return Err(NetdataError::TooManyPairs { limit: MAX_PAIRS });
        }
        Ok(self.seen.entry(key).or_default())
    }

    /// The archive's own names are unique, but a set may hold more than one archive.
    fn once<T>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<(), NetdataError> {
        if slot.replace(value).is_some() { Err(NetdataError::Twice { name }) } else { Ok(()) }
    }

    pub(super) fn data(
        &mut self,
        directory: &[u8],
        number: u32,
        range: Range,
        torn: Option<u64>,
    ) -> Result<(), NetdataError> {
        Self::once(&mut self.pair(directory, number)?.data, (range, torn), "a data file")
    }

    pub(super) fn journal(
        &mut self,
        directory: &[u8],
        number: u32,
        range: Range,
        found: JournalFile,
    ) -> Result<(), NetdataError> {
        Self::once(&mut self.pair(directory, number)?.journal, (range, found), "a journal")
    }

    pub(super) fn index(
        &mut self,
        directory: &[u8],
        number: u32,
        range: Range,
        found: IndexFile,
    ) -> Result<(), NetdataError> {
        Self::once(&mut self.pair(directory, number)?.index, (range, found), "an index")
    }

    /// Notes that a file of a pair is damaged.
    pub(super) fn spoil(&mut self, directory: &[u8], number: u32) -> Result<(), NetdataError> {
        self.pair(directory, number)?.is_damaged = true;
        Ok(())
    }

    /// Judges every pair once all files have passed; `damaged` says whether to go on past one that is not sound.
    pub(super) fn judge(
        mut self,
        damaged: &mut dyn FnMut(NetdataError) -> Result<(), NetdataError>,
    ) -> Result<PairNotes, NetdataError> {
        let mut notes = PairNotes::default();
        let seen = std::mem::take(&mut self.seen);
        let mut row = seen.iter().peekable();
        while let Some(((directory, number), pair)) = row.next() {
            let next = row.peek().map(|(next, _)| next).filter(|next| next.0 == *directory);
            notes.gaps += next.map_or(0, |next| u64::from(next.1 - number - 1));
            if !pair.is_damaged {
                self.judge_one(directory, *number, pair, next.is_none(), &mut notes).or_else(&mut *damaged)?;
            }
        }
        Ok(notes)
    }

    fn judge_one(
        &mut self,
        directory: &[u8],
        number: u32,
        pair: &Pair,
        newest: bool,
        notes: &mut PairNotes,
    ) -> Result<(), NetdataError> {
        let name = || EntryName::from(directory);
        let Some((data, torn)) = pair.data else {
            return Err(NetdataError::NoData { directory: name(), number });
        };
        // An agent that finds no usable index makes a new one from the journal; without a journal it uses the index,
        // but never for the newest file.
        let usable = pair.index.filter(|(_, index)| {
            let fits = pair.journal.is_none_or(|(_, journal)| index.journal_bytes == journal.bytes);
            index.state == IndexState::Current && fits
        });
        notes.stale += u64::from(pair.index.is_some() && usable.is_none());
        if pair.journal.is_none() && (usable.is_none() || newest) {
            return Err(NetdataError::NoJournal { directory: name(), number });
        }
        let mut unnamed = 0;
        if let Some((range, _)) = usable {
            let found = self.compare(data, range, false)?;
            unnamed = found.unnamed;
            if let Some(offset) = found.missing {
                return Err(NetdataError::Torn { by: "index", directory: name(), number, offset });
            }
        }
        if let Some((range, _)) = pair.journal {
            let found = self.compare(data, range, true)?;
            unnamed = found.unnamed;
            if let Some(offset) = found.missing {
                return Err(NetdataError::Torn { by: "journal", directory: name(), number, offset });
            }
        }
        notes.unnamed += unnamed;
        notes.torn += u64::from(torn.is_some());
        Ok(())
    }

    fn compare(
        &mut self,
        data: Range,
        named: Range,
        with_descriptors: bool,
    ) -> Result<crate::formats::dbengine::Compared, NetdataError> {
        let named: Vec<Extent> =
            self.records(named).and_then(Iterator::collect::<io::Result<_>>).map_err(NetdataError::List)?;
        let data = self.records(data).map_err(NetdataError::List)?;
        compare_extents(data, named, with_descriptors).map_err(NetdataError::List)
    }

    fn records(&mut self, range: Range) -> io::Result<impl Iterator<Item = io::Result<Extent>> + '_> {
        self.list.seek(SeekFrom::Start(range.start * RECORD as u64))?;
        let mut list = BufReader::with_capacity(RECORD * 1024, &mut self.list);
        Ok((0..range.count).map(move |_| {
            let mut record = [0; RECORD];
            list.read_exact(&mut record)?;
            let [o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3, d0, d1, d2, d3, pages] = record;
            Ok(Extent {
                offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
                size: u32::from_le_bytes([s0, s1, s2, s3]),
                descriptors: u32::from_le_bytes([d0, d1, d2, d3]),
                pages,
            })
        }))
    }
}
