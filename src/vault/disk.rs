//! The few filesystem moves a vault is made of: exclusive, private, synced, never through a symbolic link.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use openssl::sha::Sha256;
use rustix::fs::OFlags;

use super::error::VaultError;
pub(super) use crate::model::text::hex;

/// The largest manifest, proof, list of hashes or vault.json that is read: far above any real one.
pub(super) const LARGEST_JSON: u64 = 64 << 20;

/// Called with the bytes read since the last call; breaking off cancels.
pub type Tick<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

pub(super) fn flags(flags: OFlags) -> i32 {
    // The bits of the platform's own `open` fit its own `int`.
    flags.bits().cast_signed()
}

/// Makes one directory, 0700, unless it is there.
pub(super) fn make_dir(path: &Path) -> Result<(), VaultError> {
    let is_new = make_passing_dir(path)?;
    if is_new { path.parent().map_or(Ok(()), sync_dir) } else { Ok(()) }
}

/// As [`make_dir`], for what need not survive a power cut: nothing waits for the disk. Tells whether it made it.
pub(super) fn make_passing_dir(path: &Path) -> Result<bool, VaultError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let meta = fs::symlink_metadata(path).map_err(|e| VaultError::io(path, "look at", e))?;
            if meta.is_dir() {
                Ok(false)
            } else {
                Err(VaultError::Unsafe { path: path.to_owned(), why: "it is not a directory".into() })
            }
        }
        Err(error) => Err(VaultError::io(path, "make", error)),
    }
}

/// Whether something stands at a path, whatever it is.
pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Makes a file that must not be there yet, 0600.
pub(super) fn create(path: &Path) -> Result<File, VaultError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => VaultError::Exists { path: path.to_owned() },
        _ => VaultError::io(path, "create", error),
    })
}

/// Opens a regular file for reading, never through a symbolic link and never hanging on a pipe.
pub(super) fn open(path: &Path) -> Result<File, VaultError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK))
        .open(path)
        .map_err(|e| VaultError::io(path, "open", e))?;
    let meta = file.metadata().map_err(|e| VaultError::io(path, "look at", e))?;
    if meta.is_file() { Ok(file) } else { Err(VaultError::damaged(path, "it is not a regular file")) }
}

/// Reads a whole file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, VaultError> {
    let mut bytes = Vec::new();
    open(path)?.take(limit + 1).read_to_end(&mut bytes).map_err(|e| VaultError::io(path, "read", e))?;
    if bytes.len() as u64 > limit {
        return Err(VaultError::damaged(path, format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// Writes a new file and syncs it; a file that did not fit is taken away again.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let mut file = create(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        VaultError::io(path, "write", error)
    })
}

/// Replaces a file in one step; a reader sees the old bytes or the new.
pub(super) fn replace(path: &Path, bytes: &[u8], token: &str) -> Result<(), VaultError> {
    let Some((dir, name)) = path.parent().zip(path.file_name()) else {
        return Err(VaultError::Unsafe { path: path.to_owned(), why: "it names no file".into() });
    };
    let aside = dir.join(format!(".new-{token}-{}", name.to_string_lossy()));
    write_new(&aside, bytes)?;
    if let Err(error) = fs::rename(&aside, path) {
        let _ = fs::remove_file(&aside);
        return Err(VaultError::io(path, "replace", error));
    }
    sync_dir(dir)
}

/// Makes the names in a directory survive a power cut.
pub(super) fn sync_dir(path: &Path) -> Result<(), VaultError> {
    let synced = File::open(path).and_then(|dir| dir.sync_all());
    match synced {
        // Some network filesystems cannot sync a directory; they order names themselves.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput || error.kind() == io::ErrorKind::Unsupported => {
            Ok(())
        }
        other => other.map_err(|e| VaultError::io(path, "sync", e)),
    }
}

/// Renames a directory to a place where nothing may be.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), VaultError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(VaultError::Exists { path: to.to_owned() }),
        // Not every filesystem knows the flag. A plain rename never replaces a directory that has something in it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(VaultError::Exists { path: to.to_owned() });
            }
            fs::rename(from, to).map_err(|e| VaultError::io(to, "publish", e))
        }
        Err(error) => Err(VaultError::io(to, "publish", error.into())),
    }
}

/// The SHA-256 of bytes, in hexadecimal. OpenSSL's, here and in reader and writer: twice as fast as `sha2` on processors
/// without SHA instructions, where hashing is what bounds the vault.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&openssl::sha::sha256(bytes))
}

/// Whether this is a SHA-256 as this program writes it.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Size and SHA-256 of a file as it lies there.
pub(super) fn hash_file(path: &Path, tick: Tick<'_>) -> Result<(u64, String), VaultError> {
    let mut file = open(path)?;
    let mut hash = Sha256::new();
    let mut size = 0;
    // Most files of a vault are small; a vault of many should not allocate 256 KiB for each.
    let length = file.metadata().map_or(u64::MAX, |meta| meta.len());
    let mut buffer =
        vec![0; usize::try_from(length).map_or(256 << 10, |length| length.saturating_add(1).min(256 << 10))];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((size, hex(&hash.finish()))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(VaultError::io(path, "read", error)),
        };
        hash.update(&buffer[..read]);
        size += read as u64;
        if tick(read as u64).is_break() {
            return Err(VaultError::Cancelled { path: path.to_owned() });
        }
    }
}

/// JSON as every file of the vault has it: indented, with a final line feed.
pub(super) fn json<T: serde::Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, VaultError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| VaultError::Misuse {
        path: path.to_owned(),
        why: format!("it cannot be written as JSON ({e})"),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}
