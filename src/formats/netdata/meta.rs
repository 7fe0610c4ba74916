//! The databases beside the samples: spilled, checked, and asked for hosts and names.

use super::error::NetdataError;
use super::names::Known;
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

/// The databases of one cache directory, on the way to being checked.
#[derive(Debug)]
pub(super) struct Databases {
    spill: Spill,
    seen: BTreeSet<&'static str>,
}

impl Default for Databases {
    fn default() -> Self {
        Self { spill: Spill::new(MAX_SPILL), seen: BTreeSet::new() }
    }
}

/// What `netdata-meta.db` says of hosts and of the metrics that have samples.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) hosts: i64,
    pub(super) charts: i64,
    pub(super) dimensions: i64,
    /// The GUID of the agent itself, as its row has it.
    pub(super) own: Option<[u8; 16]>,
    /// How many metrics with samples have a name.
    pub(super) named: u64,
}

impl Databases {
    /// Spills a database or its log.
    pub(super) fn store(&mut self, name: &'static str, path: &str, content: &mut dyn Read) -> Result<(), FormatError> {
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
    let mut own = database.connection.prepare("SELECT host_id FROM host WHERE hops = 0 LIMIT 2")?;
    let mut rows = own.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(uuid(row.get_ref(0)?));
    }
    if let [Some(guid)] = found.as_slice() {
        names.own = Some(*guid);
    }
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
