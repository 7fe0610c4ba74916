//! SQLite files: whether each is whole, with its write-ahead log, and what Netdata keeps in them.
//!
//! A database needs random access, so it is spilled: into a directory of its own (0700, below `$TMPDIR` or `/var/tmp`),
//! under names of our own, capped in size, and unlinked as soon as SQLite has it open. That is the one place where a
//! format touches the disk. Items that hold secrets are never spilled.
//!
//! SQLite itself drops a damaged tail of a log without a word, so the log is walked first ([`read_wal`]): rows that a
//! restore would lose are said. The log is then applied by SQLite, to the copy, as an agent would at its next start.
//! Format: "Database File Format" of the SQLite documentation, sections 1.3 and 4.

mod check;
mod spill;
mod wal;

pub(super) use check::cell;
pub use check::{Database, SqliteError, open_database, open_to_change};
pub use spill::{MAX_SPILL, Spill};
pub use wal::{Wal, WalError, read_wal};
