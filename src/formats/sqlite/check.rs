//! One database, spilled, opened and checked by SQLite itself.

use super::wal::{Wal, WalError};
use super::{Spill, read_wal};
use crate::formats::text::{EntryName, shown};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::io::{self, BufReader, Read as _};

/// The most memory SQLite may use over all databases being checked at once. Values larger than this cannot be read.
const HEAP: u64 = 32 << 20;

/// Why a database is not sound.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// It is none.
    #[error("it is no SQLite database")]
    Magic,
    /// It is of a file format that is not known here.
    #[error("it is of the SQLite file format {0}, which is not known here")]
    Version(u8),
    /// Its write-ahead log cannot be trusted.
    #[error("its write-ahead log is not sound: {0}")]
    Wal(#[from] WalError),
    /// SQLite's own check found damage.
    #[error("SQLite's integrity check says: {said}")]
    Damaged {
        /// SQLite's first words.
        said: EntryName,
    },
    /// SQLite cannot read it.
    #[error("SQLite cannot read it: {said}")]
    Unreadable {
        /// SQLite's words.
        said: EntryName,
    },
    /// The copy of it could not be read or written.
    #[error("checking a copy of it failed: {0}")]
    Io(#[from] io::Error),
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unreadable { said: error.to_string().as_bytes().into() }
    }
}

/// A database that passed SQLite's check, open on an unlinked copy.
#[derive(Debug)]
pub struct Database {
    /// The open copy.
    pub connection: Connection,
    /// Its bytes, without its log.
    pub bytes: u64,
    /// What its log held; `None` without one.
    pub wal: Option<Wal>,
    /// The number its owner gave its tables' layout.
    pub user_version: i64,
}

/// Opens and checks the spilled database `name` with its log `log`, and unlinks both.
///
/// The copy is opened for writing, since only then SQLite applies a log; nothing of the original is touched.
///
/// # Errors
/// The first [`SqliteError`].
pub fn open_database(spill: &Spill, name: &'static str, log: &'static str) -> Result<Database, SqliteError> {
    open(spill, name, log, true)
}

/// As [`open_database`], for a copy that is changed and read again: SQLite changes no file that has lost its name. Triggers
/// of the file's own do nothing.
///
/// # Errors
/// The first [`SqliteError`].
pub fn open_to_change(spill: &Spill, name: &'static str, log: &'static str) -> Result<Database, SqliteError> {
    let database = open(spill, name, log, false)?;
    database.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    Ok(database)
}

fn open(spill: &Spill, name: &'static str, log: &'static str, unlinks: bool) -> Result<Database, SqliteError> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let (path, log) = (spill.path(name).ok_or_else(gone)?, spill.path(log).ok_or_else(gone)?);
    let bytes = check_header(&mut File::open(&path)?)?;
    let wal = match File::open(&log) {
        Ok(file) => Some(read_wal(&mut BufReader::with_capacity(64 * 1024, file))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags)?;
    // The copy is thrown away: applying its log to it at the end would be work for nothing.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Alone with the file, SQLite needs no shared memory beside it. What the schema of a stranger's file may do is
    // kept to tables and indexes.
    connection.execute_batch(&format!(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;
         PRAGMA cache_size=-2000; PRAGMA hard_heap_limit={HEAP};"
    ))?;
    let user_version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for open in [&path, &log].into_iter().filter(|_| unlinks) {
        match std::fs::remove_file(open) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let mut check = connection.prepare("PRAGMA integrity_check(1)")?;
    let said: Vec<u8> = check.query_row([], |row| {
        let value = row.get_ref(0)?;
        Ok(value.as_bytes().map(<[u8]>::to_vec).unwrap_or_default())
    })?;
    drop(check);
    if said != b"ok" {
        return Err(SqliteError::Damaged { said: said.as_slice().into() });
    }
    Ok(Database { connection, bytes, wal, user_version })
}

impl Database {
    /// Whether `table` is a plain table with all these columns.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn has(&self, table: &str, columns: &[&str]) -> Result<bool, SqliteError> {
        // A view or a virtual table of that name could run what its maker likes.
        let plain = "SELECT count(*) FROM sqlite_schema WHERE type='table' AND name=?1 AND rootpage > 0";
        if self.connection.query_row(plain, [table], |row| row.get::<_, i64>(0))? != 1 {
            return Ok(false);
        }
        for column in columns {
            let has = "SELECT count(*) FROM pragma_table_info(?1) WHERE name=?2";
            if self.connection.query_row(has, [table, column], |row| row.get::<_, i64>(0))? != 1 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A number that one query answers.
    ///
    /// # Errors
    /// SQLite fails, or answers with something else.
    pub fn count(&self, query: &str) -> Result<i64, SqliteError> {
        Ok(self.connection.query_row(query, [], |row| row.get(0))?)
    }
}

/// Checks the first 100 bytes and answers the file's length. An empty file is an empty database.
fn check_header(file: &mut File) -> Result<u64, SqliteError> {
    let bytes = file.metadata()?.len();
    if bytes == 0 {
        return Ok(0);
    }
    let mut header = [0; 100];
    file.read_exact(&mut header).map_err(|_| SqliteError::Magic)?;
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(SqliteError::Magic);
    }
    match header[18].max(header[19]) {
        1 | 2 => Ok(bytes),
        version => Err(SqliteError::Version(version)),
    }
}

/// What a cell holds, for a row of a listing: text escaped and bounded, ids as hex.
pub(crate) fn cell(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => shown(bytes),
    }
}
