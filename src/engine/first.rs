//! The first inventory: a copy of the example, or one made from what the operator has for `ssh`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::config::inventory_from_ssh_config;
use crate::config::paths::{Paths, create_private_dir};
use crate::model::exit::{Exit, Failure, Result};

/// What the first inventory is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The example, which explains every key.
    Example,
    /// The hosts of `~/.ssh/config`.
    SshConfig,
}

/// Makes an inventory where there is none; one that is there is never touched.
///
/// # Errors
/// [`Exit::Usage`] when there is nothing to make it from, [`Exit::Failed`] when it cannot be written.
pub fn make_inventory(paths: &Paths, path: &Path, source: Source) -> Result<()> {
    let text = match source {
        Source::Example => include_str!("../../inventory.example.toml").to_owned(),
        Source::SshConfig => {
            let config = paths.home.join(".ssh/config");
            let text = std::fs::read_to_string(&config)
                .map_err(|e| Failure::new(Exit::Usage, format!("{} cannot be read: {e}.", config.display())))?;
            inventory_from_ssh_config(&text)
        }
    };
    if let Some(dir) = path.parent() {
        create_private_dir(dir)?;
    }
    let failed = |e: std::io::Error| Failure::new(Exit::Failed, format!("{} cannot be written: {e}.", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
