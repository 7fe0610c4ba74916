//! The samples and what they mean: pairs of database files, and the databases that name them.

use super::error::NetdataError;
use super::meta::{Databases, MAX_OWN, Names, read_names};
use super::names::{Known, Member, member, tier};
use super::pairs::{PairNotes, Pairs};
use super::tally::{Metrics, Tiers};
use crate::formats::dbengine::{
    DbengineError, NamedBy, Page, read_data_file, read_data_file_by_sums, read_index_file,
    read_journal_file_and_filling,
};
use crate::formats::error::FormatError;
use crate::formats::tar::{EntryKind, TarEntry};
use crate::formats::text::{EntryName, hex};
use crate::formats::verify::{Archives, Damaged, Verdict, Verifier};
use serde_json::{Value, json};
use std::io::Read;

/// Checks `netdata-metrics/1`: the cache directory, every extent and every database in it.
#[derive(Default)]
pub struct NetdataMetrics {
    archives: Archives,
    found: Found,
}

#[derive(Default)]
struct Found {
    pairs: Pairs,
    tiers: Tiers,
    metrics: Metrics,
    databases: Databases,
    empty_blocks: u64,
    sentinels: u64,
    strays: u64,
    other_databases: u64,
    /// Whether what an extent's checksum vouches for is left at that.
    by_sums: bool,
    /// What is damaged so far; without it the first damage ends the check.
    damaged: Option<Damaged>,
}

impl Verifier for NetdataMetrics {
    fn note_damage(&mut self) {
        self.found.damaged.get_or_insert_default();
    }

    fn trust_checksums(&mut self) {
        self.found.by_sums = true;
    }

    fn file(&mut self, path: &str, input: &mut dyn Read) -> Result<(), FormatError> {
        let found = &mut self.found;
        self.archives.read(path, input, |entry, content| found.see(path, entry, content))
    }

    fn finish(self: Box<Self>) -> Result<Verdict, FormatError> {
        let mut verdict = self.archives.verdict_of_directory()?;
        let mut found = self.found;
        let Some(cache) = found.tiers.cache()? else {
            return Err(FormatError::Missing { path: "dbengine" });
        };
        if !found.databases.are_in(cache) || !found.databases.has(Known::Meta) {
            return Err(FormatError::Missing { path: Known::Meta.name() });
        }
        let (pairs, tiers) = (std::mem::take(&mut found.pairs), std::mem::take(&mut found.tiers));
        let notes = pairs.judge(&tiers, &mut |error| found.pass(error))?;
        tell_tiers(&mut verdict, &tiers, &found.metrics);
        found.tell_databases(&mut verdict)?;
        verdict.fact("unnamed_extents", notes.unnamed);
        verdict.fact("unused_indexes", notes.stale + notes.unknown + notes.damaged);
        verdict.fact("empty_blocks", found.empty_blocks);
        let counts = [
            (
                found.sentinels,
                "Files that make an agent repair or throw away its databases at its next start, never to be restored",
            ),
            (found.strays, "Files beside the samples that are none; an agent passes over them"),
            (
                found.other_databases + found.databases.elsewhere(),
                "Databases where no known agent keeps one; they were only hashed",
            ),
            (found.empty_blocks, "Blocks of zeros where samples were to be written"),
        ];
        warn(&mut verdict, &notes, &counts);
        match found.damaged {
            Some(mut damaged) if !damaged.found.is_empty() => {
                verdict.fact("damaged", damaged.sentences());
                damaged.verdict = verdict;
                Err(FormatError::Damaged(Box::new(damaged)))
            }
            _ => Ok(verdict),
        }
    }
}

impl Found {
    fn see(&mut self, path: &str, entry: &TarEntry, content: &mut dyn Read) -> Result<(), FormatError> {
        if entry.kind == EntryKind::Directory {
            let name = entry.name.as_bytes();
            let name = name.strip_suffix(b"/").unwrap_or(name);
            if tier(name).is_some() {
                self.tiers.stands(name);
            }
        }
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        let (directory, is) = member(entry.name.as_bytes());
        match is {
            Member::Data { number } | Member::Journal { number } | Member::Index { number } => {
                let key = (self.tiers.find(directory)?, number);
                if let Some(tier) = self.tiers.get_mut(key.0) {
                    tier.sum.bytes = tier.sum.bytes.saturating_add(entry.size);
                }
                match is {
                    Member::Data { .. } => self.data(key, entry, content)?,
                    Member::Journal { .. } => self.journal(key, entry, content)?,
                    _ => self.index(key, entry, content)?,
                }
            }
            Member::Database(known) => self.databases.store(directory, known.name(), path, content)?,
            Member::Log(known) => self.databases.store(directory, known.log(), path, content)?,
            Member::Sentinel => self.sentinels += 1,
            Member::Stray => self.strays += 1,
            Member::OtherDatabase => self.other_databases += 1,
            _ => {}
        }
        Ok(())
    }
}

impl Found {
    fn data(&mut self, key: (usize, u32), entry: &TarEntry, content: &mut dyn Read) -> Result<(), FormatError> {
        let mut range = self.pairs.begin();
        let (pairs, metrics) = (&mut self.pairs, &mut self.metrics);
        let Some(tier) = self.tiers.get_mut(key.0) else { return Ok(()) };
        let level = tier.level();
        let sum = &mut tier.sum;
        sum.pairs += 1;
        let mut page = |page: &Page| {
            sum.add(page);
            if page.is_usable() {
                metrics.add(&page.metric, level);
            }
        };
        let read = if self.by_sums { read_data_file_by_sums } else { read_data_file };
        match read(content, &mut page, &mut |extent| pairs.push(&mut range, extent, NamedBy::Record)) {
            Ok(found) => {
                sum.extents += found.extents;
                sum.pages += found.pages;
                self.empty_blocks += found.empty_blocks;
                self.pairs.data(key, range, found.torn)?;
                Ok(())
            }
            Err(fault) => self.pass_file(fault, key, entry, content),
        }
    }

    fn journal(&mut self, key: (usize, u32), entry: &TarEntry, content: &mut dyn Read) -> Result<(), FormatError> {
        let mut range = self.pairs.begin();
        let pairs = &mut self.pairs;
        let mut push = |extent: &_, by| pairs.push(&mut range, extent, by);
        match read_journal_file_and_filling(content, &mut |_| {}, &mut push) {
            Ok(found) => {
                self.empty_blocks += found.empty_blocks;
                self.pairs.journal(key, range, found)?;
                Ok(())
            }
            Err(fault) => self.pass_file(fault, key, entry, content),
        }
    }

    /// What a damaged index means is known once its journal has been seen.
    fn index(&mut self, key: (usize, u32), entry: &TarEntry, content: &mut dyn Read) -> Result<(), FormatError> {
        let mut range = self.pairs.begin();
        let pairs = &mut self.pairs;
        let mut push = |extent: &_| pairs.push(&mut range, extent, NamedBy::Record);
        let found = match read_index_file(content, entry.size, &mut |_| {}, &mut push) {
            Err(fault @ DbengineError::Io(_)) => {
                return Err(NetdataError::Dbengine { path: entry.name.clone(), fault }.into());
            }
            found => found.map(|found| (range, found)),
        };
        self.pairs.index(key, found)?;
        skip(entry, content)
    }

    /// Goes on past damage that leaves the rest readable, where it is to be noted.
    fn pass(&mut self, error: NetdataError) -> Result<(), NetdataError> {
        match &mut self.damaged {
            Some(damaged) if error.leaves_the_rest_readable() => {
                damaged.add(error.to_string());
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// The same for a file of samples, of which the rest is not looked at: where its next extent begins nobody can tell.
    fn pass_file(
        &mut self,
        fault: DbengineError,
        key: (usize, u32),
        entry: &TarEntry,
        content: &mut dyn Read,
    ) -> Result<(), FormatError> {
        self.pass(NetdataError::Dbengine { path: entry.name.clone(), fault })?;
        self.pairs.spoil(key)?;
        skip(entry, content)
    }

    /// Checks every database, and what the samples are called.
    fn tell_databases(&mut self, verdict: &mut Verdict) -> Result<(), FormatError> {
        let mut checked = serde_json::Map::new();
        let mut names = None;
        let there: Vec<Known> = Known::ALL.into_iter().filter(|known| self.databases.has(*known)).collect();
        for known in there {
            let database = match self.databases.open(known) {
                Ok(database) => database,
                Err(error) => {
                    self.pass(error)?;
                    continue;
                }
            };
            if database.user_version > known.newest().unwrap_or(i64::MAX) {
                let (name, version) = (known.name(), database.user_version);
                let text = "is of a newer Netdata than is known here; it is whole, but its agent must be as new";
                verdict.warnings.push(format!("\"{name}\" {text} (layout {version})."));
            }
            let wal = database.wal.map(|wal| json!({"pages": wal.committed, "pending": wal.pending, "torn": wal.torn}));
            if database.wal.is_some_and(|wal| wal.torn) {
                let name = known.name();
                let text = "ends in a page that was never finished; the change it belongs to is lost";
                verdict.warnings.push(format!("The write-ahead log of \"{name}\" {text}."));
            }
            checked.insert(
                known.name().to_owned(),
                json!({"bytes": database.bytes, "layout": database.user_version, "log": wal}),
            );
            if known == Known::Meta {
                names = match read_names(&database, &self.metrics) {
                    Ok(names) => names,
                    Err(error) => {
                        self.pass(error)?;
                        None
                    }
                };
            }
        }
        verdict.fact("databases", Value::Object(checked));
        tell_names(verdict, names, &self.metrics);
        if !self.databases.has(Known::Context) {
            verdict.warnings.push("\"context-meta.db\" is not in the set; the agent makes it anew.".to_owned());
        }
        Ok(())
    }
}

/// Reads a file to its end.
fn skip(entry: &TarEntry, content: &mut dyn Read) -> Result<(), FormatError> {
    let read = std::io::copy(content, &mut std::io::sink());
    read.map(|_| ()).map_err(|error| FormatError::io(&entry.name.to_string(), error))
}

fn time(microseconds: u64) -> Value {
    let at = i64::try_from(microseconds / 1_000_000).ok().and_then(|second| jiff::Timestamp::new(second, 0).ok());
    at.map_or(Value::Null, |at| at.to_string().into())
}

fn tell_tiers(verdict: &mut Verdict, tiers: &Tiers, metrics: &Metrics) {
    let (mut told, mut extents, mut points, mut unusable) = (Vec::new(), 0_u64, 0_u64, 0_u64);
    let of = metrics.by_tier();
    for tier in tiers.by_name() {
        let (sum, level) = (&tier.sum, tier.level());
        let range = sum.range_us;
        told.push(json!({
            "tier": level, "directory": EntryName::from(tier.directory.as_slice()).to_string(),
            "pairs": sum.pairs, "bytes": sum.bytes, "extents": sum.extents, "pages": sum.pages, "points": sum.points,
            "metrics": of.get(usize::from(level)),
            "from": range.map(|(from, _)| time(from)), "to": range.map(|(_, to)| time(to)),
        }));
        extents += sum.extents;
        points = points.saturating_add(sum.points);
        unusable += sum.unusable;
    }
    verdict.fact("tiers", told);
    verdict.fact("extents", extents);
    verdict.fact("points", points);
    verdict.fact("metrics", metrics.count());
    if metrics.is_full() {
        verdict.warnings.push("There are more metrics than are counted; their number is a floor.".to_owned());
    }
    if extents == 0 {
        verdict.warnings.push("There is no history in this copy: no data file holds a single extent.".to_owned());
    }
    if unusable > 0 {
        let text = "Pages whose times or lengths make no sense, so that an agent passes over them";
        verdict.warnings.push(format!("{text}: {unusable}."));
    }
}

fn tell_names(verdict: &mut Verdict, names: Option<Names>, metrics: &Metrics) {
    let Some(names) = names else {
        verdict.fact("host_guid", Value::Null);
        let text = "The tables that name hosts, charts and dimensions are not as they are known here";
        verdict.warnings.push(format!("{text}: no name was checked, nor whose the samples are."));
        return;
    };
    tell_owners(verdict, &names);
    verdict.fact("hosts", names.hosts);
    verdict.fact("charts", names.charts);
    verdict.fact("dimensions", names.dimensions);
    if metrics.is_full() {
        return;
    }
    let nameless = metrics.count().saturating_sub(names.named);
    verdict.fact("nameless_metrics", nameless);
    if nameless > 0 {
        let text = "have no name in \"netdata-meta.db\", so that no chart shows them";
        verdict.warnings.push(format!("Metrics with samples that {text}: {nameless}."));
    }
}

/// Tells which agent the samples are of, by its own word.
fn tell_owners(verdict: &mut Verdict, names: &Names) {
    let guid = |id: &[u8; 16]| {
        let digits = hex(id);
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default().to_owned()).join("-")
    };
    let own: Vec<String> = names.own.iter().map(guid).collect();
    let text = match own.as_slice() {
        [] => Some(
            "No host of \"netdata-meta.db\" is the agent itself: whose the samples are was not checked.".to_owned(),
        ),
        [_] => None,
        _ if names.more_own => Some(format!(
            "More than {MAX_OWN} hosts of \"netdata-meta.db\" say that they are the agent itself; the first of them are told."
        )),
        _ => Some(format!(
            "Hosts of \"netdata-meta.db\" that say they are the agent itself, as after a new GUID: {}.",
            own.len()
        )),
    };
    verdict.warnings.extend(text);
    verdict.fact("host_guid", if let [one] = own.as_slice() { Some(one.as_str()) } else { None });
    verdict.fact("host_guids", own);
}

fn warn(verdict: &mut Verdict, notes: &PairNotes, counts: &[(u64, &str)]) {
    let of_pairs = [
        (notes.unnamed, "Extents that no journal names, so that an agent does not find them: it did not end cleanly"),
        (
            notes.torn,
            "Data files that end within an extent that was still being written: the agent did not end cleanly",
        ),
        (notes.stale, "Indexes that no longer fit their journals; an agent makes them anew"),
        (
            notes.unknown,
            "Indexes of a version that is not known here; of these pairs the data and the journals were checked",
        ),
        (notes.gaps, "Data files missing from the middle of a tier: their history is lost"),
    ];
    for (count, text) in of_pairs.iter().chain(counts).filter(|(count, _)| *count > 0) {
        verdict.warnings.push(format!("{text}: {count}."));
    }
    if let Some(first) = &notes.first_damaged {
        let text = "Their journals are sound, and agents make indexes anew; one that takes a damaged index for sound shows no history of it until the file is removed";
        verdict.warnings.push(format!("Indexes that are damaged: {}. {first} {text}.", notes.damaged));
    }
}
