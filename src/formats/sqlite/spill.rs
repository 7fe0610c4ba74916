//! The private directory databases are checked in.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The most bytes one artefact may spill. Netdata's databases have some MiB, on a large parent about a GiB.
pub const MAX_SPILL: u64 = 8 << 30;

/// How the directories are called, before what makes each name its own.
const PREFIX: &str = "lifeboat-check-";
/// The file in each that is locked as long as its process lives.
const LOCK: &str = "lock";

/// A directory of our own for databases and for lists that would not fit in memory; gone when this is dropped.
#[derive(Debug)]
pub struct Spill {
    folder: Option<Folder>,
    used: u64,
    limit: u64,
}

/// The directory, and the lock that says it is in use: whoever gets it, the process that made it is gone.
#[derive(Debug)]
struct Folder {
    place: TempDir,
    _lock: File,
}

impl Folder {
    fn make(root: &Path) -> io::Result<Self> {
        // For its owner alone from the start: left to itself the crate makes directories that everybody can read.
        let owner_only = fs::Permissions::from_mode(0o700);
        let place = tempfile::Builder::new().prefix(PREFIX).permissions(owner_only).tempdir_in(root)?;
        // Under its name only once it is locked, so that nobody else finds it free.
        let (early, name) = (place.path().join("lock.new"), place.path().join(LOCK));
        let lock = File::options().write(true).create_new(true).open(&early)?;
        lock.try_lock()?;
        fs::rename(early, name)?;
        Ok(Self { place, _lock: lock })
    }
}

/// Removes directories that processes of this user left behind when they were killed.
///
/// What cannot be looked at or removed stays, and is no reason to fail: nobody needs it gone for this check.
fn sweep(root: &Path, user: u32) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let named = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        // Of the entry itself: a link of that name is nobody's directory, and one of another user is not ours to judge.
        let ours = || {
            entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == user && found.mode() & 0o777 == 0o700)
        };
        if named && ours() && File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
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
        self.folder.as_ref().map(|folder| folder.place.path().join(name))
    }

    /// A list that stays in memory while it is small, and lies in an unlinked file when it grows.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn list() -> tempfile::SpooledTempFile {
        tempfile::SpooledTempFile::new_in(4 << 20, root())
    }

    /// The directory itself, made at its first use; what killed processes left beside it goes.
    fn folder(&mut self) -> io::Result<&Path> {
        if self.folder.is_none() {
            let folder = Folder::make(&root())?;
            if let Ok(own) = folder.place.path().metadata() {
                sweep(&root(), own.uid());
            }
            self.folder = Some(folder);
        }
        self.folder.as_ref().map(|folder| folder.place.path()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// `$TMPDIR`, else `/var/tmp`: `/tmp` is often memory.
fn root() -> PathBuf {
    let large = Path::new("/var/tmp");
    if std::env::var_os("TMPDIR").is_none() && large.is_dir() { large.to_owned() } else { std::env::temp_dir() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let used = Folder::make(root.path()).unwrap();
        let left = Folder::make(root.path()).unwrap();
        let gone = left.place.path().to_owned();
        assert_eq!(gone.metadata().unwrap().mode() & 0o777, 0o700, "for its owner alone");
        fs::write(gone.join("netdata-meta.db"), "names").unwrap();
        // As a killed process leaves it: nothing is dropped but the lock, which the kernel lets go of.
        let Folder { place, _lock: lock } = left;
        let _ = place.keep();
        drop(lock);
        let make = |name: &str, mode: u32, locked: bool| {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            if locked {
                fs::write(path.join(LOCK), "").unwrap();
            }
            path
        };
        // Just being made; somebody's who lets others in; another program's.
        let stay = [
            make("lifeboat-check-new", 0o700, false),
            make("lifeboat-check-open", 0o755, true),
            make("other-check", 0o700, true),
        ];
        std::os::unix::fs::symlink(&stay[2], root.path().join("lifeboat-check-link")).unwrap();
        let own = root.path().metadata().unwrap().uid();
        sweep(root.path(), own + 1);
        assert!(gone.exists(), "another user's");
        sweep(root.path(), own);
        assert!(!gone.exists());
        assert!(used.place.path().join(LOCK).exists(), "in use");
        assert!(stay.iter().all(|path| path.exists()) && stay[2].join(LOCK).exists());
    }
}
