//! Reading a stored file in clear, with both hashes checked at its end.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamReader;
use age::{DecryptError, Decryptor};
use openssl::sha::Sha256;
use serde::Deserialize;

use crate::model::manifest::StoredFile;

use super::disk;
use super::error::VaultError;
use super::home::{Vault, parse, refuse_newer};
use super::keys::{Keys, why_sealed};
use super::name::HASHES;
use super::snapshot::Snapshot;

#[derive(Default, Clone)]
struct Tally {
    size: u64,
    hash: Sha256,
}

/// The stored bytes of a sealed file as they pass. In clear they are the clear ones, which are hashed anyway.
struct Stored {
    file: File,
    tally: Arc<Mutex<Tally>>,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.size += read as u64;
        tally.hash.update(&buffer[..read]);
        Ok(read)
    }
}

enum Body {
    Clear(BufReader<File>),
    Sealed(Box<StreamReader<BufReader<Stored>>>),
}

/// The clear bytes of one stored file. Its end is an error unless everything that passed hashes as written.
pub struct ClearReader {
    body: Body,
    path: PathBuf,
    tally: Arc<Mutex<Tally>>,
    plain: Tally,
    expected: StoredFile,
    plain_sha256: String,
    done: bool,
}

impl std::fmt::Debug for ClearReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClearReader").field("path", &self.path).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Hidden {
    snapshot: String,
    files: std::collections::BTreeMap<String, String>,
}

const BUFFER: usize = 128 << 10;
/// Not larger than what readers of archives ask for at once: such a read passes the buffer by.
const CLEAR_BUFFER: usize = 64 << 10;

impl Vault {
    /// Opens a stored file in clear. The reader fails at its end when stored or clear bytes are not what was written;
    /// [`VaultError::from_io`] takes the sentence out of its `io::Error`.
    pub fn open_file(&self, snapshot: &Snapshot, file: &StoredFile, keys: &Keys) -> Result<ClearReader, VaultError> {
        let plain_sha256 = match &file.plain_sha256 {
            Some(hash) => hash.clone(),
            None => hidden_hash(snapshot, file, keys)?,
        };
        start(snapshot, file, plain_sha256, keys)
    }

    /// Shows that the keys at hand open every sealed file, by unwrapping each header and decrypting its first chunk.
    pub fn openable(&self, snapshot: &Snapshot, keys: &Keys) -> Result<(), VaultError> {
        for file in &snapshot.manifest.files {
            let mut reader = self.open_file(snapshot, file, keys)?;
            let mut first = zeroize::Zeroizing::new([0; 1]);
            let _ = reader
                .read(first.as_mut_slice())
                .map_err(|e| VaultError::from_io(&snapshot.dir.join(&file.stored_name), "open", e))?;
        }
        Ok(())
    }
}

/// The clear hashes of secret files, from inside the seal.
fn hidden_hash(snapshot: &Snapshot, file: &StoredFile, keys: &Keys) -> Result<String, VaultError> {
    let path = snapshot.dir.join(HASHES);
    let stored = disk::read(&path, disk::LARGEST_JSON)?;
    let decryptor = Decryptor::new(&stored[..]).map_err(|error| VaultError::damaged(&path, why_sealed(&error)))?;
    let mut clear = Vec::new();
    decryptor
        .decrypt(keys.all())
        .map_err(|error| locked_or_damaged(snapshot, &path, HASHES, &error, keys))?
        .read_to_end(&mut clear)
        .map_err(|e| VaultError::damaged(&path, e.to_string()))?;
    refuse_newer(&path, &clear, "version", 1)?;
    let hidden: Hidden = parse(&path, &clear)?;
    if hidden.snapshot != snapshot.manifest.id.as_str() {
        return Err(VaultError::damaged(
            &path,
            format!("it belongs to the snapshot '{}'", hidden.snapshot.escape_debug()),
        ));
    }
    let name = file.stored_name.strip_suffix(".age").unwrap_or(&file.stored_name);
    let found = hidden.files.get(name).filter(|hash| disk::is_sha256(hash)).cloned();
    found.ok_or_else(|| VaultError::damaged(&path, format!("it has no hash of '{name}'")))
}

/// A header that no key opens is either sealed to others or damaged; only its hash can tell.
fn locked_or_damaged(snapshot: &Snapshot, path: &Path, name: &str, error: &DecryptError, keys: &Keys) -> VaultError {
    let listed = disk::read(&snapshot.dir.join(super::name::SUMS), disk::LARGEST_JSON).ok();
    let expected = listed
        .and_then(|list| super::sums::parse(snapshot.manifest.id.as_str(), &list).ok())
        .and_then(|sums| sums.get(name).cloned());
    let found = disk::hash_file(path, &mut |_| std::ops::ControlFlow::Continue(()));
    match (found, expected) {
        (Ok((_, found)), Some(expected)) if found != expected => {
            VaultError::damaged(path, "its stored bytes do not hash as written")
        }
        (Err(error), _) => error,
        _ => match error {
            DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                VaultError::Locked { path: path.to_owned(), why: keys.tried() }
            }
            other => VaultError::damaged(path, why_sealed(other)),
        },
    }
}

fn start(snapshot: &Snapshot, file: &StoredFile, plain_sha256: String, keys: &Keys) -> Result<ClearReader, VaultError> {
    let path = snapshot.dir.join(&file.stored_name);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let source = disk::open(&path)?;
    let body = if snapshot.is_sealed() {
        let stored = BufReader::with_capacity(BUFFER, Stored { file: source, tally: tally.clone() });
        let failed = |error: DecryptError| locked_or_damaged(snapshot, &path, &file.stored_name, &error, keys);
        let opened = Decryptor::new_buffered(stored).map_err(failed)?.decrypt(keys.all()).map_err(failed)?;
        Body::Sealed(Box::new(opened))
    } else {
        Body::Clear(BufReader::with_capacity(CLEAR_BUFFER, source))
    };
    let plain = Tally::default();
    Ok(ClearReader { body, path, tally, plain, expected: file.clone(), plain_sha256, done: false })
}

impl ClearReader {
    fn damaged(&self, why: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, VaultError::damaged(&self.path, why))
    }

    fn check_end(&self) -> io::Result<()> {
        let stored = match &self.body {
            Body::Clear(_) => self.plain.clone(),
            Body::Sealed(_) => self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        if stored.size != self.expected.stored_size {
            let why = format!("{} of {} stored bytes are there", stored.size, self.expected.stored_size);
            return Err(self.damaged(&why));
        }
        if disk::hex(&stored.hash.finish()) != self.expected.stored_sha256 {
            return Err(self.damaged("its stored bytes do not hash as written"));
        }
        // A file in clear was hashed once, above, and that hash must be both.
        let plain = match &self.body {
            Body::Clear(_) => self.expected.stored_sha256.clone(),
            Body::Sealed(_) => disk::hex(&self.plain.hash.clone().finish()),
        };
        if self.plain.size != self.expected.plain_size || plain != self.plain_sha256 {
            return Err(self.damaged("its clear bytes do not hash as written"));
        }
        Ok(())
    }
}

impl Read for ClearReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.done || buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.body {
            Body::Clear(inner) => inner.read(buffer),
            Body::Sealed(inner) => inner.read(buffer),
        };
        match read {
            Ok(0) => {
                self.check_end()?;
                self.done = true;
                Ok(0)
            }
            Ok(read) => {
                self.plain.size += read as u64;
                self.plain.hash.update(&buffer[..read]);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // The seal authenticates every chunk: this is where a changed byte of a sealed file shows.
            Err(error) if error.raw_os_error().is_none() => {
                Err(self.damaged(&format!("its seal does not hold ({error})")))
            }
            Err(error) => Err(io::Error::new(error.kind(), VaultError::io(&self.path, "read", error))),
        }
    }
}
