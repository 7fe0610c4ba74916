//! Data files with their journals: who has whom, and whether both name the same extents.

use super::error::NetdataError;
use super::tally::Tiers;
use crate::formats::dbengine::{
    Compared, DbengineError, Extent, IndexFile, IndexState, JournalFile, NamedBy, compare_extents_and_show,
};
use crate::formats::sqlite::Spill;
use crate::formats::text::EntryName;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use tempfile::SpooledTempFile;

/// The most pairs, as the agent's own limit is.
const MAX_PAIRS: usize = 65_536;

/// An extent in the list: place, size, checksum of the descriptors, pages, and what names it.
const RECORD: usize = 18;

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
    index: Option<Result<(Range, IndexFile), DbengineError>>,
    /// One of its files is damaged, which was told: then what is missing of it says nothing new.
    is_damaged: bool,
}

/// Every pair seen, and the extents their files name.
#[derive(Debug)]
pub(super) struct Pairs {
    /// By the number of the directory among the tiers, and their own.
    seen: BTreeMap<(usize, u32), Pair>,
    list: SpooledTempFile,
    length: u64,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { seen: BTreeMap::new(), list: Spill::list(), length: 0 }
    }
}

/// Which pair it is.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    directory: &'a [u8],
    number: u32,
    /// Whether it is the newest of its tier.
    newest: bool,
}

impl Place<'_> {
    fn name(&self) -> EntryName {
        EntryName::from(self.directory)
    }

    /// The index's own name.
    fn index(&self) -> EntryName {
        let file = format!("/journalfile-1-{:010}.njfv2", self.number);
        EntryName::from([self.directory, file.as_bytes()].concat().as_slice())
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
    /// Indexes of an unknown version, beside sound journals.
    pub(super) unknown: u64,
    /// Indexes that are damaged, beside sound journals.
    pub(super) damaged: u64,
    /// What is wrong with the first of these.
    pub(super) first_damaged: Option<String>,
    /// Pairs missing from the middle of a tier's row.
    pub(super) gaps: u64,
}

impl PairNotes {
    /// The index of a pair, if it is sound. One that is not is no harm beside a journal: agents make it anew from that.
    fn take_index(
        &mut self,
        index: Option<Result<(Range, IndexFile), DbengineError>>,
        has_journal: bool,
        place: Place<'_>,
    ) -> Result<Option<(Range, IndexFile)>, NetdataError> {
        let fault = match index {
            None => return Ok(None),
            Some(Ok(sound)) => return Ok(Some(sound)),
            Some(Err(fault)) => fault,
        };
        let error = NetdataError::Dbengine { path: place.index(), fault };
        if !has_journal {
            return Err(error);
        }
        if matches!(error, NetdataError::Dbengine { fault: DbengineError::IndexVersion { .. }, .. }) {
            self.unknown += 1;
        } else {
            self.damaged += 1;
            self.first_damaged.get_or_insert_with(|| error.to_string());
        }
        Ok(None)
    }
}

impl Pairs {
    /// Where the next file's extents begin in the list.
    pub(super) const fn begin(&self) -> Range {
        Range { start: self.length, count: 0 }
    }

    /// Adds an extent to the list, and to the file it is of.
    pub(super) fn push(&mut self, range: &mut Range, extent: &Extent, by: NamedBy) -> io::Result<()> {
        let mut record = [0; RECORD];
        let fields = [
            extent.offset.to_le_bytes().as_slice(),
            &extent.size.to_le_bytes(),
            &extent.descriptors.to_le_bytes(),
            &[extent.pages, u8::from(by == NamedBy::Filling)],
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

    fn pair(&mut self, key: (usize, u32)) -> Result<&mut Pair, NetdataError> {
        if self.seen.len() >= MAX_PAIRS && !self.seen.contains_key(&key) {
            return Err(NetdataError::TooManyPairs { limit: MAX_PAIRS });
        }
        Ok(self.seen.entry(key).or_default())
    }

    /// The archive's own names are unique, but a set may hold more than one archive.
    fn once<T>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<(), NetdataError> {
        if slot.replace(value).is_some() { Err(NetdataError::Twice { name }) } else { Ok(()) }
    }

    pub(super) fn data(&mut self, key: (usize, u32), range: Range, torn: Option<u64>) -> Result<(), NetdataError> {
        Self::once(&mut self.pair(key)?.data, (range, torn), "a data file")
    }

    pub(super) fn journal(&mut self, key: (usize, u32), range: Range, found: JournalFile) -> Result<(), NetdataError> {
        Self::once(&mut self.pair(key)?.journal, (range, found), "a journal")
    }

    /// Notes an index, be it damaged: what that means depends on the journal.
    pub(super) fn index(
        &mut self,
        key: (usize, u32),
        found: Result<(Range, IndexFile), DbengineError>,
    ) -> Result<(), NetdataError> {
        Self::once(&mut self.pair(key)?.index, found, "an index")
    }

    /// Notes that a file of a pair is damaged.
    pub(super) fn spoil(&mut self, key: (usize, u32)) -> Result<(), NetdataError> {
        self.pair(key)?.is_damaged = true;
        Ok(())
    }

    /// Judges every pair once all files have passed; `damaged` says whether to go on past one that is not sound.
    pub(super) fn judge(
        mut self,
        tiers: &Tiers,
        damaged: &mut dyn FnMut(NetdataError) -> Result<(), NetdataError>,
    ) -> Result<PairNotes, NetdataError> {
        let mut notes = PairNotes::default();
        let mut row = std::mem::take(&mut self.seen).into_iter().peekable();
        while let Some(((tier, number), pair)) = row.next() {
            let next = row.peek().map(|(next, _)| *next).filter(|next| next.0 == tier);
            notes.gaps += next.map_or(0, |next| u64::from(next.1 - number - 1));
            let place = Place { directory: tiers.directory(tier), number, newest: next.is_none() };
            let judged = if pair.is_damaged {
                notes.take_index(pair.index, pair.journal.is_some(), place).map(|_| ())
            } else {
                self.judge_one(pair, place, &mut notes)
            };
            judged.or_else(&mut *damaged)?;
        }
        Ok(notes)
    }

    fn judge_one(&mut self, pair: Pair, place: Place<'_>, notes: &mut PairNotes) -> Result<(), NetdataError> {
        let (directory, number) = (place.name(), place.number);
        let Some((data, torn)) = pair.data else {
            return Err(NetdataError::NoData { directory, number });
        };
        // An agent that finds no usable index makes a new one from the journal; without a journal it uses the index,
        // but never for the newest file.
        if pair.journal.is_none() && place.newest {
            return Err(NetdataError::NoJournal { directory, number });
        }
        let index = notes.take_index(pair.index, pair.journal.is_some(), place)?;
        let usable = index.filter(|(_, index)| {
            let fits = pair.journal.is_none_or(|(_, journal)| index.journal_bytes == journal.bytes);
            index.state == IndexState::Current && fits
        });
        notes.stale += u64::from(index.is_some() && usable.is_none());
        if pair.journal.is_none() && usable.is_none() {
            return Err(NetdataError::NoJournal { directory, number });
        }
        let mut unnamed = 0;
        if let Some((range, _)) = usable {
            let found = self.compare(data, range, false, &mut |_| {})?;
            unnamed = found.unnamed;
            if let Some(offset) = found.missing {
                return Err(NetdataError::Torn { by: "index", directory, number, offset });
            }
        }
        if let Some((range, _)) = pair.journal {
            let found = self.compare(data, range, true, &mut |_| {})?;
            unnamed = found.unnamed;
            if let Some(offset) = found.missing {
                return Err(NetdataError::Torn { by: "journal", directory, number, offset });
            }
            if unnamed > 0
                && let Some(offset) = self.hidden(data, range)?
            {
                return Err(NetdataError::Hidden { directory, number, offset });
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
        unnamed: &mut dyn FnMut(Extent),
    ) -> Result<Compared, NetdataError> {
        let is_named = |found: &io::Result<(Extent, NamedBy)>| !matches!(found, Ok((_, NamedBy::Filling)));
        let named = self.records(named).map_err(NetdataError::List)?.filter(is_named);
        let named: io::Result<Vec<Extent>> = named.map(|found| Ok(found?.0)).collect();
        let named = named.map_err(NetdataError::List)?;
        let data = self.records(data).map_err(NetdataError::List)?.map(|found| Ok(found?.0));
        compare_extents_and_show(data, named, with_descriptors, unnamed).map_err(NetdataError::List)
    }

    /// The first extent of the data file that no record of the journal names, and what fills up a block of it does: a
    /// record whose first byte was altered. Memory kept in use again names extents that are named, or not there.
    fn hidden(&mut self, data: Range, journal: Range) -> Result<Option<u64>, NetdataError> {
        let mut unnamed = Vec::new();
        self.compare(data, journal, true, &mut |extent| unnamed.push(extent))?;
        for found in self.records(journal).map_err(NetdataError::List)? {
            let (extent, by) = found.map_err(NetdataError::List)?;
            // In the order of the data file, as they were shown.
            if by == NamedBy::Filling && unnamed.binary_search(&extent).is_ok() {
                return Ok(Some(extent.offset));
            }
        }
        Ok(None)
    }

    fn records(&mut self, range: Range) -> io::Result<impl Iterator<Item = io::Result<(Extent, NamedBy)>> + '_> {
        self.list.seek(SeekFrom::Start(range.start * RECORD as u64))?;
        let mut list = BufReader::with_capacity(RECORD * 1024, &mut self.list);
        Ok((0..range.count).map(move |_| {
            let mut record = [0; RECORD];
            list.read_exact(&mut record)?;
            let [o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3, d0, d1, d2, d3, pages, filling] = record;
            let extent = Extent {
                offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
                size: u32::from_le_bytes([s0, s1, s2, s3]),
                descriptors: u32::from_le_bytes([d0, d1, d2, d3]),
                pages,
            };
            Ok((extent, if filling == 0 { NamedBy::Record } else { NamedBy::Filling }))
        }))
    }
}
