//! Writing the inventory: the one value Lifeboat fills in.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};
use toml_edit::{DocumentMut, Item, Table, Value};

use super::load::read_text;
use crate::model::exit::{Exit, Failure, Result};

/// Fills in `vault.id`, leaving every comment and blank where it was.
///
/// `digest` is that of the text the inventory was read from ([`super::Loaded::digest`]): a file changed since is left
/// alone. An id that is there already is never replaced by another, for it names the operator's vault. The file is
/// replaced whole or not at all, with its mode kept, and a symbolic link to it keeps pointing.
///
/// Returns the digest of the new text.
pub fn set_vault_id(path: &Path, digest: &[u8; 32], id: &str) -> Result<[u8; 32]> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("The vault's id could not be written to '{}': {why}.", path.display()))
            .hint(format!("Write it yourself, under [vault]: id = \"{id}\""))
    };
    let real = path.canonicalize().map_err(|error| failed(&error))?;
    let unchanged = || -> Result<String> {
        let text = read_text(&real).map_err(|error| failed(&error.message.trim_end_matches('.')))?;
        let now: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if now == *digest { Ok(text) } else { Err(failed(&"the file has changed since it was read")) }
    };
    let text = unchanged()?;
    let mut document: DocumentMut = text.parse().map_err(|_| failed(&"the file is not TOML"))?;
    let vault = document.entry("vault").or_insert_with(|| Item::Table(Table::new()));
    let vault = vault.as_table_like_mut().ok_or_else(|| failed(&"'vault' is not a table"))?;
    match vault.get("id").map(|there| there.as_str()) {
        Some(Some(there)) if there == id => return Ok(*digest),
        Some(_) => return Err(failed(&"another id stands there already")),
        None => vault.insert("id", Item::Value(Value::from(id))),
    };
    let text = document.to_string();
    let dir = real.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::NamedTempFile::new_in(dir).map_err(|error| failed(&error))?;
    let written = new.write_all(text.as_bytes()).and_then(|()| {
        new.as_file().set_permissions(std::fs::metadata(&real)?.permissions())?;
        new.as_file().sync_all()
    });
    written.map_err(|error| failed(&error))?;
    // An editor may have saved meanwhile; what remains is the moment of the rename itself.
    unchanged()?;
    new.persist(&real).map_err(|error| failed(&error.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| failed(&error))?;
    Ok(Sha256::digest(text.as_bytes()).into())
}
