//! The private directory databases are checked in.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The most bytes one artefact may spill. Netdata's databases have some MiB, on a large parent about a GiB.
pub const MAX_SPILL: u64 = 8 << 30;

/// A directory of our own for databases and for lists that would not fit in memory; gone when this is dropped.
#[derive(Debug)]
pub struct Spill {
    folder: Option<TempDir>,
    used: u64,
    limit: u64,
}

impl Spill {
    /// Nothing is made before it is needed.
    pub const fn new(limit: u64) -> Self {
        Self { folder: None, used: 0, limit }
    }

    /// Copies a stream to a file of this name, which the caller chose and no archive.
    ///
    /// # Errors
    /// A full disk, or [`io::ErrorKind::FileTooLarge`] past the limit; the file is then incomplete.
    pub fn store(&mut self, name: &'static str, input: &mut dyn Read) -> io::Result<u64> {
        let path = self.folder()?.join(name);
        let mut file = File::options().write(true).create_new(true).open(path)?;
        let mut buffer = vec![0; 64 * 1024];
        let mut size = 0;
        loop {
            let count = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.used += count as u64;
            if self.used > self.limit {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than is ever spilled to disk"));
            }
            file.write_all(buffer.get(..count).unwrap_or_default())?;
            size += count as u64;
        }
        Ok(size)
    }

    /// Where a stored file lies.
    pub fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join(name))
    }

    /// A list that stays in memory while it is small, and lies in an unlinked file when it grows.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn list() -> tempfile::SpooledTempFile {
        tempfile::SpooledTempFile::new_in(4 << 20, root())
    }

    /// The directory itself, made at its first use.
    fn folder(&mut self) -> io::Result<&Path> {
        if self.folder.is_none() {
            // A directory of this crate's is for its owner alone from the start.
            self.folder = Some(tempfile::Builder::new().prefix("lifeboat-").tempdir_in(root())?);
        }
        self.folder.as_ref().map(TempDir::path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// `$TMPDIR`, else `/var/tmp`: `/tmp` is often memory.
fn root() -> PathBuf {
    let large = Path::new("/var/tmp");
    if std::env::var_os("TMPDIR").is_none() && large.is_dir() { large.to_owned() } else { std::env::temp_dir() }
}
