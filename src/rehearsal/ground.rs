//! The directory a fleet lives in, and what remains of fleets that died.
//!
//! It holds a note and a lock on it. Whoever can take the lock knows that the fleet is gone: then, and only when the
//! directory is the same user's, closed to others and has the note, it may be removed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::model::clock::Entropy;
use crate::model::exit::{Exit, Failure, Result};

const PREFIX: &str = "lifeboat-demo-";
const NOTE: &str = "practice-fleet";
const NOTE_TEXT: &str = "A practice fleet of Lifeboat. It is removed when the program ends.\n";

/// A fleet's directory; it goes with the value.
#[derive(Debug)]
pub struct Ground {
    dir: PathBuf,
    _lock: File,
}

impl Ground {
    /// Makes a directory in `place`, open to nobody else.
    ///
    /// # Errors
    /// When it cannot be made or locked.
    pub fn make(place: &Path, entropy: &dyn Entropy) -> Result<Self> {
        let dir = place.join(format!("{PREFIX}{}", entropy.hex(4)));
        let cannot = |error: std::io::Error| {
            Failure::new(
                Exit::Failed,
                format!("The practice fleet needs a directory, and {} cannot be made: {error}.", dir.display()),
            )
            .hint("Name another place in TMPDIR.")
        };
        DirBuilder::new().mode(0o700).create(&dir).map_err(cannot)?;
        let mut note =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(NOTE)).map_err(cannot)?;
        // Locked before it is written: a directory whose note is empty is never anybody's to remove.
        flock(&note, FlockOperation::NonBlockingLockExclusive).map_err(|error| cannot(error.into()))?;
        note.write_all(NOTE_TEXT.as_bytes()).map_err(cannot)?;
        Ok(Self { dir, _lock: note })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next fleet.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes what fleets left in `place` that did not end in order; gives what was removed.
pub fn sweep(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place) else { return Vec::new() };
    let mut swept = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let dir = entry.path();
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && is_left_over(&dir)
            && fs::remove_dir_all(&dir).is_ok()
        {
            swept.push(dir);
        }
    }
    swept
}

/// Whether a directory is a fleet's of this user, and the fleet is gone.
fn is_left_over(dir: &Path) -> bool {
    let own = |meta: &fs::Metadata| meta.uid() == rustix::process::geteuid().as_raw();
    let is_private_dir = |meta: fs::Metadata| meta.is_dir() && own(&meta) && meta.mode() & 0o7777 == 0o700;
    if !fs::symlink_metadata(dir).is_ok_and(is_private_dir) {
        return false;
    }
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let Ok(mut note) = OpenOptions::new().read(true).custom_flags(flags).open(dir.join(NOTE)) else { return false };
    let mut text = String::new();
    let is_ours = Read::by_ref(&mut note).take(1000).read_to_string(&mut text).is_ok() && text == NOTE_TEXT;
    is_ours && flock(&note, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::world::SystemEntropy;

    #[test]
    fn only_what_is_provably_a_dead_fleet_s_is_swept() {
        let place = tempfile::tempdir().unwrap();
        let living = Ground::make(place.path(), &SystemEntropy).unwrap();
        let at = |name: &str| place.path().join(format!("{PREFIX}{name}"));
        let make = |name: &str, mode: u32, note: &str| {
            DirBuilder::new().mode(mode).create(at(name)).unwrap();
            fs::write(at(name).join(NOTE), note).unwrap();
        };
        make("dead", 0o700, NOTE_TEXT);
        make("open-to-others", 0o755, NOTE_TEXT);
        make("another-note", 0o700, "");
        DirBuilder::new().mode(0o700).create(at("no-note")).unwrap();
        std::os::unix::fs::symlink(at("another-note"), at("link")).unwrap();
        assert_eq!(sweep(place.path()), [at("dead")]);
        assert!(living.path().is_dir());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 4);
    }
}
