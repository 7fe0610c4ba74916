//! Samples made those of another agent. An agent shows what the database of names says is its own: a chart belongs there to
//! the GUID of its agent, and samples belong to charts. So only names change owners, and no sample is touched.

use super::error::NetdataError;
use super::names::Known;
use crate::formats::sqlite::{Database, MAX_SPILL, Spill, SqliteError, open_to_change};
use crate::formats::text::unhex;
use std::fs::File;
use std::io::{self, Read};

/// The tables that say who the agent was: rows of the one that was saved are not brought to another.
const OF_THE_AGENT: [&str; 6] = ["host", "host_info", "host_label", "node_instance", "health_log", "aclk_status"];

/// Databases on their way to another agent: stored with their logs, and written anew without.
#[derive(Debug)]
pub struct Relabel {
    spill: Spill,
    from: [u8; 16],
    to: [u8; 16],
}

impl Relabel {
    /// The databases that name agents, each with its log; the first must be there.
    pub const DATABASES: [(&'static str, &'static str); 2] =
        [(Known::Meta.name(), Known::Meta.log()), (Known::Context.name(), Known::Context.log())];

    /// From one GUID to another; none where one of them is none.
    pub fn new(from: &str, to: &str) -> Option<Self> {
        let id = |guid: &str| unhex::<16>(guid.replace('-', "").as_bytes());
        Some(Self { spill: Spill::new(MAX_SPILL), from: id(from)?, to: id(to)? })
    }

    /// Takes a database or its log.
    ///
    /// # Errors
    /// It cannot be read or kept, or is too large.
    pub fn store(&mut self, name: &'static str, content: &mut dyn Read) -> io::Result<u64> {
        self.spill.store(name, content)
    }

    /// Writes the database of names anew, with every chart of the one agent given to the other; tells how many those are.
    ///
    /// # Errors
    /// It is not sound or not as any known layout has it, it has no chart of the one agent, or has some of the other.
    pub fn names(&mut self) -> Result<(File, u64), NetdataError> {
        let known = Known::Meta;
        let database = self.open(known)?;
        let fault = |fault| NetdataError::Sqlite { path: known.name(), fault };
        if !super::meta::has_tables(&database).map_err(fault)? {
            return Err(NetdataError::Unknown { path: known.name() });
        }
        let of = |guid: &[u8; 16]| -> Result<i64, SqliteError> {
            let counted = "SELECT count(*) FROM chart WHERE host_id = ?1";
            Ok(database.connection.query_row(counted, [guid.as_slice()], |row| row.get(0))?)
        };
        let (charts, others) = (of(&self.from).map_err(fault)?, of(&self.to).map_err(fault)?);
        if charts == 0 || others > 0 {
            return Err(NetdataError::Charts { charts, others });
        }
        self.give(&database, "chart").map_err(fault)?;
        for table in OF_THE_AGENT {
            if database.has(table, &["host_id"]).map_err(fault)? {
                let gone = format!("DELETE FROM {table} WHERE host_id = ?1");
                database.connection.execute(&gone, [self.from.as_slice()]).map_err(|error| fault(error.into()))?;
            }
        }
        Ok((self.written(known, &database)?, charts.unsigned_abs()))
    }

    /// Writes the database of contexts anew. One without the table that is known is as it was.
    ///
    /// # Errors
    /// It is not sound.
    pub fn contexts(&mut self) -> Result<File, NetdataError> {
        let known = Known::Context;
        let database = self.open(known)?;
        let fault = |fault| NetdataError::Sqlite { path: known.name(), fault };
        if database.has("context", &["host_id"]).map_err(fault)? {
            self.give(&database, "context").map_err(fault)?;
        }
        self.written(known, &database)
    }

    fn open(&self, known: Known) -> Result<Database, NetdataError> {
        open_to_change(&self.spill, known.name(), known.log())
            .map_err(|fault| NetdataError::Sqlite { path: known.name(), fault })
    }

    fn give(&self, database: &Database, table: &str) -> Result<(), SqliteError> {
        let given = format!("UPDATE {table} SET host_id = ?1 WHERE host_id = ?2");
        database.connection.execute(&given, [self.to.as_slice(), self.from.as_slice()])?;
        Ok(())
    }

    /// The database as one file that needs no log.
    fn written(&self, known: Known, database: &Database) -> Result<File, NetdataError> {
        let name = match known {
            Known::Meta => "netdata-meta.db.new",
            Known::Context | Known::Models => "context-meta.db.new",
        };
        let write = || -> Result<File, SqliteError> {
            let path = self.spill.path(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            let text = path.to_str().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
            database.connection.execute("VACUUM INTO ?1", [text])?;
            Ok(File::open(&path)?)
        };
        write().map_err(|fault| NetdataError::Sqlite { path: known.name(), fault })
    }
}
