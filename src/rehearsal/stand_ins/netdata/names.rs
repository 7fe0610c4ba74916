//! The databases beside the samples: which metric is which dimension of which chart, and whose.
//!
//! The tables are those of 1.37.1 (layout 7) as far as it needs them; it makes the others when it starts.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Error, OptionalExtension, params};

use super::collect::{CHARTS, Chart, Dimension};
use super::samples::Metric;

/// The database of names, and that of contexts.
pub const META: &str = "netdata-meta.db";
/// The database of contexts; here it names none.
pub const CONTEXT: &str = "context-meta.db";

const META_TABLES: &str = "PRAGMA user_version = 7;
CREATE TABLE IF NOT EXISTS host(host_id BLOB PRIMARY KEY, hostname TEXT NOT NULL,
  registry_hostname TEXT NOT NULL DEFAULT 'unknown', update_every INT NOT NULL DEFAULT 1, os TEXT NOT NULL DEFAULT 'unknown',
  timezone TEXT NOT NULL DEFAULT 'unknown', tags TEXT NOT NULL DEFAULT '', hops INT NOT NULL DEFAULT 0,
  memory_mode INT DEFAULT 0, abbrev_timezone TEXT DEFAULT '', utc_offset INT NOT NULL DEFAULT 0,
  program_name TEXT NOT NULL DEFAULT 'unknown', program_version TEXT NOT NULL DEFAULT 'unknown',
  entries INT NOT NULL DEFAULT 0, health_enabled INT NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS chart(chart_id BLOB PRIMARY KEY, host_id BLOB, type TEXT, id TEXT, name TEXT, family TEXT,
  context TEXT, title TEXT, unit TEXT, plugin TEXT, module TEXT, priority INT, update_every INT, chart_type INT,
  memory_mode INT, history_entries);
CREATE TABLE IF NOT EXISTS dimension(dim_id BLOB PRIMARY KEY, chart_id BLOB, id TEXT, name TEXT, multiplier INT,
  divisor INT, algorithm INT, options TEXT);
CREATE TABLE IF NOT EXISTS node_instance(host_id BLOB PRIMARY KEY, claim_id, node_id, date_created);";

const CONTEXT_TABLES: &str = "PRAGMA user_version = 1;
CREATE TABLE IF NOT EXISTS context(host_id BLOB NOT NULL, id TEXT NOT NULL, version INT NOT NULL, title TEXT NOT NULL,
  chart_type TEXT NOT NULL, unit TEXT NOT NULL, priority INT NOT NULL, first_time_t INT NOT NULL,
  last_time_t INT NOT NULL, deleted INT NOT NULL, family TEXT, PRIMARY KEY(host_id, id));";

/// How an agent keeps samples in a dbengine, as the database numbers it.
const DBENGINE: u8 = 5;

/// The metrics of what is collected, by chart and dimension.
pub type Names = BTreeMap<(&'static str, &'static str), Metric>;

/// Opens both databases in `dir`, makes what is missing, and gives the metrics of the agent `guid`.
///
/// # Errors
/// When a database is damaged or cannot be written.
pub fn open(dir: &Path, guid: &Metric, host: &str, every: u64) -> Result<Names, Error> {
    let every = i64::try_from(every).unwrap_or(i64::MAX);
    Connection::open(dir.join(CONTEXT))?.execute_batch(CONTEXT_TABLES)?;
    let mut meta = Connection::open(dir.join(META))?;
    meta.execute_batch(META_TABLES)?;
    let meta = meta.transaction()?;
    // Whoever kept its samples here before is another host from now on.
    meta.execute("UPDATE host SET hops = 1 WHERE host_id != ?1", [guid])?;
    meta.execute(
        "INSERT OR REPLACE INTO host(host_id, hostname, registry_hostname, update_every, os, timezone, memory_mode,
           abbrev_timezone, program_name, program_version) VALUES(?1, ?2, ?2, ?3, 'linux', 'Etc/UTC', ?4, 'UTC', 'netdata', ?5)",
        params![guid, host, every, DBENGINE, super::VERSION],
    )?;
    meta.execute("INSERT OR IGNORE INTO node_instance(host_id) VALUES(?1)", [guid])?;
    let mut names = Names::new();
    for chart in &CHARTS {
        let id = chart_id(&meta, guid, chart, every)?;
        for dimension in chart.dimensions {
            names.insert((chart.id, dimension.id), dimension_id(&meta, &id, chart, dimension)?);
        }
    }
    meta.commit()?;
    Ok(names)
}

fn chart_id(meta: &Connection, guid: &Metric, chart: &Chart, every: i64) -> Result<Metric, Error> {
    let known = meta.query_row(
        "SELECT chart_id FROM chart WHERE host_id = ?1 AND type = 'system' AND id = ?2",
        params![guid, chart.id],
        |row| row.get(0),
    );
    if let Some(id) = known.optional()? {
        return Ok(id);
    }
    let id = new_id();
    meta.execute(
        "INSERT INTO chart(chart_id, host_id, type, id, family, context, title, unit, plugin, module, priority, update_every,
           chart_type, memory_mode, history_entries) VALUES(?1, ?2, 'system', ?3, ?4, 'system.' || ?3, ?5, ?6, 'proc.plugin',
           ?7, ?8, ?9, ?10, ?11, 5)",
        params![
            id, guid, chart.id, chart.family, chart.title, chart.unit, chart.module, chart.priority, every, chart.kind, DBENGINE
        ],
    )?;
    Ok(id)
}

fn dimension_id(meta: &Connection, chart_id: &Metric, chart: &Chart, dimension: &Dimension) -> Result<Metric, Error> {
    let known = meta.query_row(
        "SELECT dim_id FROM dimension WHERE chart_id = ?1 AND id = ?2",
        params![chart_id, dimension.id],
        |row| row.get(0),
    );
    if let Some(id) = known.optional()? {
        return Ok(id);
    }
    let id = new_id();
    let algorithm = if chart.id == "cpu" { 2 } else { 0 };
    meta.execute(
        "INSERT INTO dimension(dim_id, chart_id, id, name, multiplier, divisor, algorithm) VALUES(?1, ?2, ?3, ?3, 1, ?4, ?5)",
        params![id, chart_id, dimension.id, chart.divisor, algorithm],
    )?;
    Ok(id)
}

/// A random UUID.
pub fn new_id() -> Metric {
    let mut id = [0; 16];
    // Without randomness nothing of the fleet starts; its keys are made before this.
    let _ = getrandom::fill(&mut id);
    let [.., version, _, clock, _, _, _, _, _, _, _] = &mut id;
    *version = 0x40 | *version & 0x0f;
    *clock = 0x80 | *clock & 0x3f;
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_once_and_each_agent_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (new_id(), new_id());
        let first = open(dir.path(), &one, "mon-1", 10).unwrap();
        assert_eq!(first.len(), 11);
        assert_eq!(open(dir.path(), &one, "mon-1", 10).unwrap(), first);
        let second = open(dir.path(), &other, "mon-2", 10).unwrap();
        assert!(second.iter().all(|(name, metric)| first[name] != *metric));
        let meta = Connection::open(dir.path().join(META)).unwrap();
        let own: Metric = meta.query_row("SELECT host_id FROM host WHERE hops = 0", [], |row| row.get(0)).unwrap();
        assert_eq!(own, other);
        assert_eq!(one[6] >> 4, 4);
    }
}
