//! The databases beside the samples: spilled, checked, and asked for hosts and names.

use super::error::NetdataError;
use super::names::{Known, depth};
use super::tally::Metrics;
use crate::formats::error::FormatError;
use crate::formats::sqlite::{Database, MAX_SPILL, Spill, SqliteError, open_database};
use std::collections::BTreeSet;
use std::io::Read;

/// The tables that name samples, and the columns that are needed of them, in every layout from 1 to 18.
pub(super) const TABLES: [(&str, &[&str]); 3] = [
    ("host", &["host_id", "hostname", "hops"]),
    ("chart", &["chart_id", "host_id", "type", "id"]),
    ("dimension", &["dim_id", "chart_id", "id", "name"]),
];

/// The most rows of the agent itself that are told. It has one; one more for every identity it had before.
pub(super) const MAX_OWN: usize = 1000;

/// The databases of one cache directory, on the way to being checked: of all directories that have some, the one nearest
/// the archive's root. Everything in an archive of a cache directory lies below that, so no other can be the agent's.
#[derive(Debug)]
pub(super) struct Databases {
    directory: Option<Vec<u8>>,
    spill: Spill,
    seen: BTreeSet<&'static str>,
    /// Databases and logs in other directories, which are files like any other.
    elsewhere: u64,
}

impl Default for Databases {
    fn default() -> Self {
        Self { directory: None, spill: Spill::new(MAX_SPILL), seen: BTreeSet::new(), elsewhere: 0 }
    }
}

/// What `netdata-meta.db` says of hosts and of the metrics that have samples.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) hosts: i64,
    pub(super) charts: i64,
    pub(super) dimensions: i64,
    /// The GUIDs of the hosts that are the agent itself: those no other agent passed on.
    pub(super) own: Vec<[u8; 16]>,
    /// Whether there are more of them than are told.
    pub(super) more_own: bool,
    /// How many metrics with samples have a name.
    pub(super) named: u64,
}

impl Databases {
    /// Spills a database or its log, unless one lies nearer the root.
    pub(super) fn store(
        &mut self,
        directory: &[u8],
        name: &'static str,
        path: &str,
        content: &mut dyn Read,
    ) -> Result<(), FormatError> {
        match self.directory.as_deref() {
            Some(known) if known == directory => {}
            Some(known) if depth(known) <= depth(directory) => {
                self.elsewhere += 1;
                return Ok(());
            }
            _ => {
                let elsewhere = self.elsewhere + self.seen.len() as u64;
                *self = Self { directory: Some(directory.to_vec()), elsewhere, ..Self::default() };
            }
        }
        if !self.seen.insert(name) {
            return Err(NetdataError::Twice { name }.into());
        }
        match self.spill.store(name, content) {
            Ok(_) => Ok(()),
            Err(source) => Err(FormatError::io(path, source)),
        }
    }

    pub(super) fn has(&self, known: Known) -> bool {
        self.seen.contains(known.name())
    }

    /// Whether these are the databases of this directory.
    pub(super) fn are_in(&self, directory: &[u8]) -> bool {
        self.directory.as_deref() == Some(directory)
    }

    /// How many more lie in other directories.
    pub(super) const fn elsewhere(&self) -> u64 {
        self.elsewhere
    }

    /// Opens a database that was spilled, and checks it.
    pub(super) fn open(&self, known: Known) -> Result<Database, NetdataError> {
        open_database(&self.spill, known.name(), known.log())
            .map_err(|fault| NetdataError::Sqlite { path: known.name(), fault })
    }
}

/// Asks for hosts and names. `None` when the tables are not as any known layout has them.
pub(super) fn read_names(database: &Database, metrics: &Metrics) -> Result<Option<Names>, NetdataError> {
    let fault = |fault| NetdataError::Sqlite { path: Known::Meta.name(), fault };
    if !has_tables(database).map_err(fault)? {
        return Ok(None);
    }
    ask(database, metrics).map(Some).map_err(fault)
}

/// Whether the tables that name samples are there as they are known.
pub(super) fn has_tables(database: &Database) -> Result<bool, SqliteError> {
    for (table, columns) in TABLES {
        if !database.has(table, columns)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn ask(database: &Database, metrics: &Metrics) -> Result<Names, SqliteError> {
    let mut names = Names {
        hosts: database.count("SELECT count(*) FROM host")?,
        charts: database.count("SELECT count(*) FROM chart")?,
        dimensions: database.count("SELECT count(*) FROM dimension")?,
        ..Names::default()
    };
    let own = format!("SELECT DISTINCT host_id FROM host WHERE hops = 0 LIMIT {}", MAX_OWN + 1);
    let mut own = database.connection.prepare(&own)?;
    let mut rows = own.query([])?;
    while let Some(row) = rows.next()? {
        names.own.extend(uuid(row.get_ref(0)?));
    }
    names.more_own = names.own.len() > MAX_OWN;
    names.own.truncate(MAX_OWN);
    let mut dimensions = database.connection.prepare("SELECT dim_id FROM dimension")?;
    let mut rows = dimensions.query([])?;
    while let Some(row) = rows.next()? {
        names.named += u64::from(uuid(row.get_ref(0)?).is_some_and(|id| metrics.has(&id)));
    }
    Ok(names)
}

/// An id as the databases keep it: 16 bytes.
pub(super) fn uuid(value: rusqlite::types::ValueRef<'_>) -> Option<[u8; 16]> {
    match value {
        rusqlite::types::ValueRef::Blob(bytes) => bytes.try_into().ok(),
        _ => None,
    }
}
