//! Looking inside a stored artefact, a page of rows at a time.

use serde::Serialize;

use super::capture::vault_failure;
use super::verify::Watched;
use crate::formats::{self, FormatError, Only, Part, Wanted};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::StoredFile;
use crate::transport::Cancel;
use crate::vault::{Keys, Snapshot, Vault};

/// Rows of a page that is shown.
pub const ROWS: u16 = 500;

/// A page of rows of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Page {
    /// Column headings.
    pub columns: Vec<String>,
    /// The rows of this page; every cell is escaped.
    pub rows: Vec<Vec<String>>,
    /// The number of the first row.
    pub from: u64,
    /// Where the next page begins; `None` at the end.
    pub next: Option<u64>,
    /// How many rows there are in all; only where the file was read to its end for it.
    pub total: Option<u64>,
}

/// Which rows of a file are looked at.
pub struct View<'v> {
    /// Which page of them.
    pub part: Part,
    /// At most so many.
    pub rows: usize,
    /// Of which rows; see [`Wanted::only`].
    pub only: Option<Only<'v>>,
    /// The wish to stop.
    pub cancel: &'v Cancel,
}

/// Shows rows of a stored file.
///
/// A page proves nothing: unless it is the last one, the rest of the file was not read.
///
/// # Errors
/// [`Exit::Nothing`] when the snapshot has no such file, [`Exit::Vault`] when no key at hand opens it,
/// [`Exit::Integrity`] when its bytes are not what its format asks for, [`Exit::Cancelled`].
pub fn look_inside(vault: &Vault, keys: &Keys, snapshot: &Snapshot, name: &str, view: &View) -> Result<Page> {
    let file = stored_file(snapshot, name)?;
    let clear = vault.open_file(snapshot, file, keys).map_err(|e| vault_failure(&e))?;
    let mut clear = Watched::new(clear, view.cancel);
    let wanted = Wanted { part: view.part, rows: view.rows, only: view.only };
    let found = formats::look_for(&snapshot.manifest().format, name, &mut clear, &wanted);
    // What was stopped, or could not be read, says nothing of what is stored.
    let found = found.map_err(|error| clear.failed.unwrap_or_else(|| no_look(snapshot, name, &error)))?;
    let shown = u64::try_from(found.rows.len()).unwrap_or(u64::MAX);
    Ok(Page {
        columns: found.columns.iter().map(ToString::to_string).collect(),
        rows: found.rows,
        from: found.from,
        next: found.more.then_some(found.from.saturating_add(shown)),
        total: found.total,
    })
}

/// A file of a snapshot by its name.
pub(super) fn stored_file<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s StoredFile> {
    snapshot.manifest().files.iter().find(|file| file.name == name).ok_or_else(|| {
        Failure::new(Exit::Nothing, format!("{}@{} has no file '{name}'.", snapshot.item(), snapshot.id()))
    })
}

fn no_look(snapshot: &Snapshot, name: &str, error: &FormatError) -> Failure {
    let place = format!("{}@{}", snapshot.item(), snapshot.id());
    match error {
        FormatError::Unknown { .. } => Failure::new(
            Exit::Failed,
            format!("This version of Lifeboat cannot look inside the format '{}'.", snapshot.manifest().format),
        )
        .hint(format!("Read it by hand; RESTORE.md beside it says how: {}", snapshot.dir().display())),
        error => Failure::new(Exit::Integrity, format!("{place}: '{name}' cannot be read: {error}"))
            .hint(format!("Check it in full: lifeboat verify {place}")),
    }
}
