//! Writing one file of a payload: hashed in clear, sealed, hashed as stored, all while it streams.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamWriter;
use openssl::sha::Sha256;

use crate::model::manifest::StoredFile;
use crate::model::text::CleanText;

use super::disk;
use super::error::VaultError;

/// What is known of a file on the node.
#[derive(Debug, Clone, Default)]
pub struct FileMeta {
    /// Where it stood, cleaned.
    pub origin: CleanText,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner, by name.
    pub owner: Option<CleanText>,
    /// Group, by name.
    pub group: Option<CleanText>,
}

/// What the writers of one staging share with it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Every name given out, in order; filled in when its writer has finished.
    pub files: Vec<(String, Option<StoredFile>)>,
    /// Clear hashes that may only stand inside the seal, by stored name without `.age`.
    pub hidden: BTreeMap<String, String>,
}

pub(super) type SharedCell = Arc<Mutex<Shared>>;

pub(super) fn locked(cell: &SharedCell) -> std::sync::MutexGuard<'_, Shared> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end of the pipe: the file, its size and its hash.
///
/// In clear the stored bytes are the clear ones, which are hashed already.
struct Tail {
    file: File,
    hash: Option<Sha256>,
    size: u64,
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes[..written]);
        }
        self.size += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Sink {
    Clear(Tail),
    Sealed(Box<StreamWriter<Tail>>),
}

/// Takes the clear bytes of one file. Dropped before [`FileWriter::finish`], it leaves nothing behind and its name is free again.
pub struct FileWriter {
    sink: Option<Sink>,
    broken: bool,
    hash: Sha256,
    size: u64,
    name: String,
    clear_name: String,
    path: PathBuf,
    meta: FileMeta,
    hide: bool,
    shared: SharedCell,
}

impl std::fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWriter").field("path", &self.path).field("size", &self.size).finish_non_exhaustive()
    }
}

/// How a file is to be written, decided by its staging.
pub(super) struct Order {
    pub name: String,
    pub clear_name: String,
    pub path: PathBuf,
    pub meta: FileMeta,
    pub hide: bool,
    pub shared: SharedCell,
}

impl FileWriter {
    pub(super) fn start(order: Order, sealing: &super::seal::Sealing) -> Result<Self, VaultError> {
        let Order { name, clear_name, path, meta, hide, shared } = order;
        let file = disk::create(&path)?;
        // From here on dropping the writer takes the file away again.
        let mut writer = Self {
            sink: None,
            broken: false,
            hash: Sha256::new(),
            size: 0,
            name,
            clear_name,
            path,
            meta,
            hide,
            shared,
        };
        let tail = Tail { file, hash: sealing.is_sealed().then(Sha256::new), size: 0 };
        writer.sink = Some(if sealing.is_sealed() {
            let sealed = sealing.wrap(tail)?.map_err(|e| VaultError::io(&writer.path, "write", e))?;
            Sink::Sealed(Box::new(sealed))
        } else {
            Sink::Clear(tail)
        });
        Ok(writer)
    }

    /// Takes `bytes`; the same as `write_all`, with the vault's own error.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        let written = match &mut self.sink {
            _ if self.broken => Err(io::Error::other("an earlier write failed")),
            Some(Sink::Clear(tail)) => tail.write_all(bytes),
            Some(Sink::Sealed(sealed)) => sealed.write_all(bytes),
            None => Err(io::Error::other("the file is finished")),
        };
        if let Err(error) = written {
            self.broken = true;
            return Err(VaultError::io(&self.path, "write", error));
        }
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Bytes taken so far, in clear.
    pub fn plain_size(&self) -> u64 {
        self.size
    }

    /// The clear hash so far, for comparing with what the node said of the same bytes.
    pub fn plain_sha256(&self) -> String {
        disk::hex(&self.hash.clone().finish())
    }

    /// Closes the seal, syncs the file and tells what was stored.
    pub fn finish(mut self) -> Result<StoredFile, VaultError> {
        let at = |e| VaultError::io(&self.path, "write", e);
        if self.broken {
            return Err(at(io::Error::other("an earlier write failed")));
        }
        let tail = match self.sink.take() {
            Some(Sink::Clear(tail)) => tail,
            Some(Sink::Sealed(sealed)) => match sealed.finish() {
                Ok(tail) => tail,
                Err(error) => {
                    self.broken = true;
                    return Err(at(error));
                }
            },
            None => return Err(at(io::Error::other("the file is finished"))),
        };
        if let Err(error) = tail.file.sync_all() {
            self.broken = true;
            return Err(at(error));
        }
        let plain = self.plain_sha256();
        let stored_name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stored = StoredFile {
            name: self.name.clone(),
            origin: self.meta.origin.clone(),
            mode: self.meta.mode,
            owner: self.meta.owner.clone(),
            group: self.meta.group.clone(),
            plain_size: self.size,
            plain_sha256: (!self.hide).then(|| plain.clone()),
            stored_name,
            stored_size: tail.size,
            stored_sha256: tail.hash.map_or_else(|| plain.clone(), |hash| disk::hex(&hash.finish())),
        };
        let mut shared = locked(&self.shared);
        if self.hide {
            shared.hidden.insert(self.clear_name.clone(), plain);
        }
        if let Some((_, slot)) = shared.files.iter_mut().find(|(name, _)| *name == self.name) {
            *slot = Some(stored.clone());
        }
        Ok(stored)
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map(|()| bytes.len()).map_err(|error| {
            let kind = match &error {
                VaultError::NoSpace { .. } => io::ErrorKind::StorageFull,
                _ => io::ErrorKind::Other,
            };
            io::Error::new(kind, error)
        })
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let mut shared = locked(&self.shared);
        let finished = shared.files.iter().any(|(name, slot)| *name == self.name && slot.is_some());
        if !finished {
            shared.files.retain(|(name, _)| *name != self.name);
            let _ = fs::remove_file(&self.path);
        }
    }
}
