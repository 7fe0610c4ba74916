//! Samples of every tier, read from and written to files in the agent's own form.
//!
//! Where an extent lies is believed of the journal, as an agent does. A pair without its other half, or whose first
//! blocks are not as they should be, is deleted with all that is in it, as an agent does too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::point::{Point, width};
use crate::formats::dbengine::{BLOCK, Extent, read_journal_file};

/// A metric's UUID.
pub type Metric = [u8; 16];

/// The most pages of an extent.
const PAGES: usize = 64;
/// Bytes of a page, by tier.
const PAGE_BYTES: [usize; 5] = [4096, 2048, 384, 192, 192];
/// A data file as long as this is not added to any more.
const FULL: u64 = 128 << 10;
/// A page's descriptor.
const DESCRIPTOR: usize = 37;
/// What stands before an extent's descriptors, and after its pages.
const HEADER: usize = 6;
const TRAILER: usize = 4;

/// Points of metrics, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    tiers: [BTreeMap<Metric, Vec<Point>>; 5],
    spans: [Option<(u64, u64)>; 5],
}

/// The files that samples lie in.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Files that no agent can read, and deletes: their names below the directory.
    pub gone: Vec<String>,
    /// The number of each tier's newest pair with its data file's and its journal's length.
    newest: [Option<(u32, u64, u64)>; 5],
}

/// Bytes to be added to files, by their names.
pub type Pieces = BTreeMap<String, Vec<u8>>;

/// The directory of a tier.
pub fn tier_dir(tier: usize) -> String {
    if tier == 0 { "dbengine".to_owned() } else { format!("dbengine-tier{tier}") }
}

fn data_name(tier: usize, number: u32) -> String {
    format!("{}/datafile-1-{number:010}.ndf", tier_dir(tier))
}

fn journal_name(tier: usize, number: u32) -> String {
    format!("{}/journalfile-1-{number:010}.njf", tier_dir(tier))
}

impl Samples {
    /// A metric's points of a tier.
    pub fn of(&self, tier: usize, metric: &Metric) -> &[Point] {
        self.tiers.get(tier).and_then(|metrics| metrics.get(metric)).map_or(&[], Vec::as_slice)
    }

    /// How many points a tier has.
    pub fn count(&self, tier: usize) -> usize {
        self.tiers.get(tier).into_iter().flatten().map(|(_, points)| points.len()).sum()
    }

    /// The seconds of a tier's first point and of its last.
    pub fn span(&self, tier: usize) -> Option<(u64, u64)> {
        self.spans.get(tier).copied().flatten()
    }

    /// Adds points of a metric that come after all of it so far.
    pub fn add(&mut self, tier: usize, metric: Metric, points: Vec<Point>) {
        let (Some(metrics), Some(span)) = (self.tiers.get_mut(tier), self.spans.get_mut(tier)) else { return };
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let (from, to) = span.unwrap_or((first.at, last.at));
        *span = Some((from.min(first.at), to.max(last.at)));
        metrics.entry(metric).or_default().extend(points);
    }

    /// Reads everything below `cache` that can be read.
    ///
    /// # Errors
    /// When a file that is there cannot be read from the disk.
    pub fn read(cache: &Path) -> io::Result<(Self, Files)> {
        let (mut samples, mut files) = (Self::default(), Files::default());
        for tier in 0..5 {
            for number in numbers(&cache.join(tier_dir(tier)))? {
                let (data, journal) = (data_name(tier, number), journal_name(tier, number));
                let read = |name: &str| match fs::read(cache.join(name)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                    other => other,
                };
                let (data_bytes, journal_bytes) = (read(&data)?, read(&journal)?);
                let mut extents = Vec::new();
                let begins_well = data_bytes.get(..BLOCK) == Some(&super_block("netdata-data-file", 1))
                    && journal_bytes.get(..BLOCK) == Some(&super_block("netdata-journal-file", 0));
                if !begins_well {
                    files.gone.extend([data, journal]);
                    continue;
                }
                // What a damaged journal names before the damage is found by an agent as well.
                let _ = read_journal_file(&mut journal_bytes.as_slice(), &mut |_| {}, &mut |extent| {
                    extents.push(*extent);
                    Ok(())
                });
                for extent in extents {
                    samples.take(tier, &data_bytes, &extent);
                }
                if let Some(newest) = files.newest.get_mut(tier) {
                    *newest = Some((number, data_bytes.len() as u64, journal_bytes.len() as u64));
                }
            }
        }
        for points in samples.tiers.iter_mut().flat_map(BTreeMap::values_mut) {
            if !points.is_sorted_by(|one, next| one.at < next.at) {
                points.sort_by_key(|point| point.at);
                points.dedup_by_key(|point| point.at);
            }
        }
        Ok((samples, files))
    }

    /// Takes an extent's pages in; one whose checksum is wrong is passed over.
    fn take(&mut self, tier: usize, data: &[u8], extent: &Extent) {
        let at = usize::try_from(extent.offset).unwrap_or(usize::MAX);
        let size = usize::try_from(extent.size).unwrap_or(usize::MAX);
        let Some(bytes) = data.get(at..).and_then(|rest| rest.get(..size)) else { return };
        for (metric, points) in pages(tier, bytes).unwrap_or_default() {
            self.add(tier, metric, points);
        }
    }

    /// The bytes that bring these samples behind what is in the files, which are longer by them then.
    pub fn pieces(&self, files: &mut Files, tiers: usize) -> Pieces {
        let mut pieces = Pieces::new();
        for (tier, (metrics, newest)) in self.tiers.iter().zip(&mut files.newest).enumerate().take(tiers) {
            let pages: Vec<Page> =
                metrics.iter().flat_map(|(metric, points)| Page::of(tier, *metric, points)).collect();
            let begun = newest.unwrap_or((1, 0, 0));
            let mut groups = pages.chunks(PAGES).peekable();
            let (mut number, mut data_length, mut journal_length) = begun;
            // An agent that has nothing yet has a pair that says so.
            while newest.is_none() || groups.peek().is_some() {
                if data_length >= FULL {
                    (number, data_length, journal_length) = (number + 1, 0, 0);
                }
                let data = pieces.entry(data_name(tier, number)).or_default();
                let mut journal = Vec::new();
                if data_length == 0 {
                    data.extend(super_block("netdata-data-file", 1));
                    journal.extend(super_block("netdata-journal-file", 0));
                    data_length = BLOCK as u64;
                }
                if let Some(group) = groups.next() {
                    let before = data.len();
                    let named = journal_length + journal.len() as u64;
                    write_extent(group, data_length, named / BLOCK as u64, data, &mut journal);
                    data_length += (data.len() - before) as u64;
                }
                journal_length += journal.len() as u64;
                pieces.entry(journal_name(tier, number)).or_default().extend(journal);
                *newest = Some((number, data_length, journal_length));
            }
        }
        pieces
    }
}

/// The numbers of the files of a directory, in order.
fn numbers(dir: &Path) -> io::Result<BTreeSet<u32>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other?,
    };
    let mut numbers = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let number = |begin: &str, end: &str| {
            let digits = name.strip_prefix(begin)?.strip_suffix(end)?;
            digits.parse::<u32>().ok().filter(|_| digits.len() == 10)
        };
        numbers.extend(number("datafile-1-", ".ndf").or_else(|| number("journalfile-1-", ".njf")));
    }
    Ok(numbers)
}

fn super_block(magic: &str, tier: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let marks = [(0, magic.as_bytes()), (32, b"1.0".as_slice()), (48, &[tier])];
    for (at, bytes) in marks {
        for (to, from) in block.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }
    block
}

/// Points of one metric, as far apart as each other.
struct Page {
    descriptor: Vec<u8>,
    body: Vec<u8>,
}

impl Page {
    /// Pages of points: a new one where one is full, or the step from point to point changes.
    fn of(tier: usize, metric: Metric, points: &[Point]) -> Vec<Self> {
        let most = PAGE_BYTES.get(tier).map_or(1, |bytes| bytes / width(tier));
        let mut pages = Vec::new();
        let mut rest = points;
        while let Some(first) = rest.first() {
            let step = rest.get(1).map(|second| second.at - first.at);
            let even = rest
                .windows(2)
                .take(most)
                .take_while(|pair| matches!(pair, [a, b] if Some(b.at - a.at) == step))
                .count();
            let (page, after) = rest.split_at((even + 1).min(most));
            pages.push(Self::new(tier, metric, page));
            rest = after;
        }
        pages
    }

    fn new(tier: usize, metric: Metric, points: &[Point]) -> Self {
        let mut body = Vec::with_capacity(points.len() * width(tier));
        for point in points {
            point.write(tier, &mut body);
        }
        let time = |point: Option<&Point>| (point.map_or(0, |point| point.at) * 1_000_000).to_le_bytes();
        let mut descriptor = vec![u8::from(tier > 0)];
        descriptor.extend(metric);
        descriptor.extend(length(body.len()));
        descriptor.extend(time(points.first()));
        descriptor.extend(time(points.last()));
        Self { descriptor, body }
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

fn fill_up(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
}

/// Writes an extent, and the record that names it. `at` is where it comes to lie, `id` the record's number.
fn write_extent(pages: &[Page], at: u64, id: u64, data: &mut Vec<u8>, journal: &mut Vec<u8>) {
    let descriptors: Vec<u8> = pages.iter().flat_map(|page| page.descriptor.iter().copied()).collect();
    let plain: Vec<u8> = pages.iter().flat_map(|page| page.body.iter().copied()).collect();
    let payload = lz4_flex::block::compress(&plain);
    let count = u8::try_from(pages.len()).unwrap_or(u8::MAX);
    let mut extent = Vec::from(length(payload.len()));
    extent.extend([1, count]);
    extent.extend(&descriptors);
    extent.extend(payload);
    extent.extend(crc32fast::hash(&extent).to_le_bytes());

    let mut record = vec![1, 0, 0, 0, 0];
    record.extend(id.to_le_bytes());
    record.extend(u16::try_from(13 + descriptors.len()).unwrap_or(u16::MAX).to_le_bytes());
    record.extend(at.to_le_bytes());
    record.extend(length(extent.len()));
    record.push(count);
    record.extend(&descriptors);
    record.extend(crc32fast::hash(&record).to_le_bytes());
    journal.extend(record);
    fill_up(journal);
    data.extend(extent);
    fill_up(data);
}

/// The pages of an extent; none when it is damaged, or compressed as no agent of 1.37 does.
fn pages(tier: usize, extent: &[u8]) -> Option<Vec<(Metric, Vec<Point>)>> {
    let (body, sum) = extent.split_at_checked(extent.len().checked_sub(TRAILER)?)?;
    if crc32fast::hash(body).to_le_bytes() != sum {
        return None;
    }
    let (compression, count) = (*body.get(4)?, usize::from(*body.get(5)?));
    let (descriptors, payload) = body.get(HEADER..)?.split_at_checked(count * DESCRIPTOR)?;
    let described: Vec<Described> = descriptors.chunks_exact(DESCRIPTOR).map(Described::read).collect::<Option<_>>()?;
    let size: usize = described.iter().map(|page| page.length).sum();
    let plain = match compression {
        0 => payload.to_vec(),
        1 => lz4_flex::block::decompress(payload, size.min(1 << 20)).ok()?,
        _ => return None,
    };
    let mut rest = plain.as_slice();
    let mut found = Vec::new();
    for page in described {
        let (bytes, after) = rest.split_at_checked(page.length)?;
        rest = after;
        let steps = (page.length / width(tier)).saturating_sub(1) as u64;
        let step = (page.to - page.from).checked_div(steps).unwrap_or(0);
        let points = bytes.chunks_exact(width(tier)).zip(0_u64..);
        let points = points.filter_map(|(bytes, number)| Point::read(tier, page.from + number * step, bytes));
        found.push((page.metric, points.collect()));
    }
    Some(found)
}

/// What a descriptor says, times in seconds.
struct Described {
    metric: Metric,
    length: usize,
    from: u64,
    to: u64,
}

impl Described {
    fn read(bytes: &[u8]) -> Option<Self> {
        let second = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?) / 1_000_000);
        let length = u32::from_le_bytes(bytes.get(17..21)?.try_into().ok()?);
        let page = Self {
            metric: bytes.get(1..17)?.try_into().ok()?,
            length: usize::try_from(length).ok()?,
            from: second(21)?,
            to: second(29)?,
        };
        (page.from <= page.to && page.length <= 4096).then_some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dbengine::{compare_extents, read_data_file};

    /// Three hours of two metrics with a gap in them, in two tiers.
    fn gathered(from: u64) -> Samples {
        let mut samples = Samples::default();
        for metric in [[1; 16], [2; 16]] {
            let seconds = (from..from + 10_800).step_by(10).filter(|at| !(from + 500..from + 600).contains(at));
            let point = |at: u64| Point::of(at, f64::from(u16::try_from(at % 977).unwrap()) / 7.0);
            samples.add(0, metric, seconds.map(point).collect());
            let hours = (from..from + 10_800).step_by(3600);
            let hour = |at: u64| Point::over(at, (0..6).map(|ten| point(at + ten * 10))).unwrap();
            samples.add(1, metric, hours.map(hour).collect());
        }
        samples
    }

    fn store(dir: &Path, pieces: Pieces) {
        for (name, bytes) in pieces {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut all = fs::read(&path).unwrap_or_default();
            all.extend(bytes);
            fs::write(path, all).unwrap();
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_goes_on_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        store(dir.path(), gathered(36_000).pieces(&mut files, 3));
        let (read, mut files) = Samples::read(dir.path()).unwrap();
        assert_eq!((read, files.gone.len()), (gathered(36_000), 0));
        assert!(
            dir.path().join("dbengine-tier2/datafile-1-0000000001.ndf").exists(),
            "a tier without samples has a pair"
        );

        store(dir.path(), gathered(72_000).pieces(&mut files, 3));
        let (read, _) = Samples::read(dir.path()).unwrap();
        assert_eq!(read.of(0, &[1; 16]).len(), 2 * gathered(0).of(0, &[1; 16]).len());
        assert_eq!((read.count(1), read.span(1)), (12, Some((36_000, 79_200))));
    }

    #[test]
    fn a_long_history_is_several_pairs_that_the_verifier_s_readers_accept() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        for turn in 1..40 {
            store(dir.path(), gathered(turn * 36_000).pieces(&mut files, 1));
        }
        let numbers = numbers(&dir.path().join("dbengine")).unwrap();
        assert!(numbers.len() > 2, "{numbers:?}");
        for number in numbers {
            let data = fs::read(dir.path().join(data_name(0, number))).unwrap();
            let journal = fs::read(dir.path().join(journal_name(0, number))).unwrap();
            let (mut held, mut named) = (Vec::new(), Vec::new());
            let found = read_data_file(&mut data.as_slice(), &mut |page| assert!(page.is_usable()), &mut |extent| {
                held.push(Ok::<_, ()>(*extent));
                Ok(())
            });
            assert!(found.unwrap().extents > 0);
            let mut name = |extent: &Extent| {
                named.push(*extent);
                Ok(())
            };
            read_journal_file(&mut journal.as_slice(), &mut |_| {}, &mut name).unwrap();
            let compared = compare_extents(held.into_iter(), named, true).unwrap();
            assert_eq!((compared.missing, compared.unnamed), (None, 0));
        }
    }

    #[test]
    fn a_pair_that_misses_a_half_or_begins_wrongly_is_deleted_and_a_damaged_extent_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), gathered(36_000).pieces(&mut Files::default(), 2));
        let at = |name: &str| dir.path().join(name);
        fs::remove_file(at(&journal_name(1, 1))).unwrap();
        let (_, files) = Samples::read(dir.path()).unwrap();
        assert_eq!(files.gone, [data_name(1, 1), journal_name(1, 1)]);

        let mut bytes = fs::read(at(&data_name(0, 1))).unwrap();
        bytes[5000] ^= 1;
        fs::write(at(&data_name(0, 1)), &bytes).unwrap();
        let (read, files) = Samples::read(dir.path()).unwrap();
        assert_eq!((read.count(0), files.gone.len()), (0, 2), "the extent is lost, the file is not");
        bytes[3] ^= 1;
        fs::write(at(&data_name(0, 1)), &bytes).unwrap();
        assert_eq!(Samples::read(dir.path()).unwrap().1.gone.len(), 4);
    }
}
