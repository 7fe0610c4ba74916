//! The samples and what they mean: pairs of database files, and the databases that name them.

use super::error::NetdataError;
use super::meta::{Databases, Names, read_names};
use super::names::{Known, Member, member, tier};
use super::pairs::{PairNotes, Pairs};
use super::tally::{Metrics, TierSum};
use crate::formats::dbengine::{Page, read_data_file, read_index_file, read_journal_file};
use crate::formats::error::FormatError;
use crate::formats::tar::{EntryKind, TarEntry};
use crate::formats::text::{EntryName, hex};
use crate::formats::verify::{Archives, Verdict, Verifier};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

/// Checks `netdata-metrics/1`: the cache directory, every extent and every database in it.
pub struct NetdataMetrics {
    archives: Archives,
    found: Found,
}

impl Default for NetdataMetrics {
    fn default() -> Self {
        let samples = |name: &[u8]| matches!(member(name).1, Member::Data { .. } | Member::Journal { .. });
        Self { archives: Archives::checked(samples), found: Found::default() }
    }
}

#[derive(Default)]
struct Found {
    pairs: Pairs,
    tiers: BTreeMap<Vec<u8>, TierSum>,
    metrics: Metrics,
    databases: Databases,
    empty_blocks: u64,
    sentinels: u64,
    strays: u64,
    other_databases: u64,
}

impl Verifier for NetdataMetrics {
    fn file(&mut self, path: &str, input: &mut dyn Read) -> Result<(), FormatError> {
        let found = &mut self.found;
        self.archives.read(path, input, |entry, content| found.see(path, entry, content))
    }

    fn finish(self: Box<Self>) -> Result<Verdict, FormatError> {
        let mut verdict = self.archives.verdict()?;
        let found = self.found;
        if found.pairs.is_empty() {
            return Err(FormatError::Missing { path: "dbengine" });
        }
        if !found.databases.has(Known::Meta) {
            return Err(FormatError::Missing { path: Known::Meta.name() });
        }
        let notes = found.pairs.judge()?;
        tell_tiers(&mut verdict, &found.tiers, &found.metrics);
        let mut checked = serde_json::Map::new();
        let mut names = None;
        for known in Known::ALL.into_iter().filter(|known| found.databases.has(*known)) {
            let database = found.databases.open(known)?;
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
                names = read_names(&database, &found.metrics)?;
            }
        }
        verdict.fact("databases", Value::Object(checked));
        tell_names(&mut verdict, names, &found.metrics);
        if !found.databases.has(Known::Context) {
            verdict.warnings.push("\"context-meta.db\" is not in the set; the agent makes it anew.".to_owned());
        }
        verdict.fact("unnamed_extents", notes.unnamed);
        verdict.fact("empty_blocks", found.empty_blocks);
        let counts = [
            (
                found.sentinels,
                "Files that make an agent repair or throw away its databases at its next start, never to be restored",
            ),
            (found.strays, "Files beside the samples that are none; an agent passes over them"),
            (found.other_databases, "Databases that no known agent has; they were only hashed"),
            (found.empty_blocks, "Blocks of zeros where samples were to be written"),
        ];
        warn(&mut verdict, &notes, &counts);
        Ok(verdict)
    }
}

impl Found {
    fn see(&mut self, path: &str, entry: &TarEntry, content: &mut dyn Read) -> Result<(), FormatError> {
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        let (directory, is) = member(entry.name.as_bytes());
        let fault = |fault| FormatError::from(NetdataError::Dbengine { path: entry.name.clone(), fault });
        match is {
            Member::Data { number } => {
                let mut range = self.pairs.begin();
                let (pairs, metrics) = (&mut self.pairs, &mut self.metrics);
                let sum = self.tiers.entry(directory.to_vec()).or_default();
                let level = level(directory);
                let mut page = |page: &Page| {
                    sum.add(page);
                    if page.is_usable() {
                        metrics.add(&page.metric, level);
                    }
                };
                let found = read_data_file(content, &mut page, &mut |extent| pairs.push(&mut range, extent));
                let found = found.map_err(fault)?;
                sum.pairs += 1;
                sum.bytes += found.bytes;
                sum.extents += found.extents;
                sum.pages += found.pages;
                self.empty_blocks += found.empty_blocks;
                self.pairs.data(directory, number, range, found.torn)?;
            }
            Member::Journal { number } => {
                let mut range = self.pairs.begin();
                let pairs = &mut self.pairs;
                let found = read_journal_file(content, &mut |_| {}, &mut |extent| pairs.push(&mut range, extent));
                let found = found.map_err(fault)?;
                self.empty_blocks += found.empty_blocks;
                self.tiers.entry(directory.to_vec()).or_default().bytes += found.bytes;
                self.pairs.journal(directory, number, range, found)?;
            }
            Member::Index { number } => {
                let mut range = self.pairs.begin();
                let pairs = &mut self.pairs;
                let mut push = |extent: &_| pairs.push(&mut range, extent);
                let found = read_index_file(content, entry.size, &mut |_| {}, &mut push).map_err(fault)?;
                self.tiers.entry(directory.to_vec()).or_default().bytes += found.bytes;
                self.pairs.index(directory, number, range, found)?;
            }
            Member::Database(known) => self.databases.store(known.name(), path, content)?,
            Member::Log(known) => self.databases.store(known.log(), path, content)?,
            Member::Sentinel => self.sentinels += 1,
            Member::Stray => self.strays += 1,
            Member::OtherDatabase => self.other_databases += 1,
            _ => {}
        }
        Ok(())
    }
}

/// The tier a directory holds; the oldest agents have only one, in directories of other names.
fn level(directory: &[u8]) -> u8 {
    tier(directory.rsplit(|byte| *byte == b'/').next().unwrap_or_default()).unwrap_or(0)
}

fn time(microseconds: u64) -> Value {
    let at = i64::try_from(microseconds / 1_000_000).ok().and_then(|second| jiff::Timestamp::new(second, 0).ok());
    at.map_or(Value::Null, |at| at.to_string().into())
}

fn tell_tiers(verdict: &mut Verdict, tiers: &BTreeMap<Vec<u8>, TierSum>, metrics: &Metrics) {
    let (mut told, mut extents, mut points, mut unusable) = (Vec::new(), 0_u64, 0_u64, 0_u64);
    for (directory, sum) in tiers {
        let range = sum.range_us;
        told.push(json!({
            "tier": level(directory), "directory": EntryName::from(directory.as_slice()).to_string(),
            "pairs": sum.pairs, "bytes": sum.bytes, "extents": sum.extents, "pages": sum.pages, "points": sum.points,
            "metrics": metrics.count(Some(level(directory))),
            "from": range.map(|(from, _)| time(from)), "to": range.map(|(_, to)| time(to)),
        }));
        extents += sum.extents;
        points = points.saturating_add(sum.points);
        unusable += sum.unusable;
    }
    verdict.fact("tiers", told);
    verdict.fact("extents", extents);
    verdict.fact("points", points);
    verdict.fact("metrics", metrics.count(None));
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
        let text =
            "The tables that name hosts, charts and dimensions are not as they are known here: no name was checked.";
        verdict.warnings.push(text.to_owned());
        return;
    };
    let guid = names.own.map(|id| {
        let digits = hex(&id);
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default().to_owned()).join("-")
    });
    verdict.fact("host_guid", guid);
    verdict.fact("hosts", names.hosts);
    verdict.fact("charts", names.charts);
    verdict.fact("dimensions", names.dimensions);
    if metrics.is_full() {
        return;
    }
    let nameless = metrics.count(None).saturating_sub(names.named);
    verdict.fact("nameless_metrics", nameless);
    if nameless > 0 {
        let text = "have no name in \"netdata-meta.db\", so that no chart shows them";
        verdict.warnings.push(format!("Metrics with samples that {text}: {nameless}."));
    }
}

fn warn(verdict: &mut Verdict, notes: &PairNotes, counts: &[(u64, &str)]) {
    let of_pairs = [
        (notes.unnamed, "Extents that no journal names, so that an agent does not find them: it did not end cleanly"),
        (
            notes.torn,
            "Data files that end within an extent that was still being written: the agent did not end cleanly",
        ),
        (notes.stale, "Indexes that no longer fit their journals; an agent makes them anew"),
        (notes.gaps, "Data files missing from the middle of a tier: their history is lost"),
    ];
    for (count, text) in of_pairs.iter().chain(counts).filter(|(count, _)| *count > 0) {
        verdict.warnings.push(format!("{text}: {count}."));
    }
}
