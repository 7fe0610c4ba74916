//! Watching the inventory's file, without waking up while nothing happens to it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::config::digest_of;

/// Knows which text of a file is in use.
pub struct Lookout {
    path: PathBuf,
    /// The digest of the text that was last seen.
    known: [u8; 32],
}

impl Lookout {
    /// On `path`, whose text in use has this digest.
    pub fn on(path: &Path, known: [u8; 32]) -> Self {
        Self { path: path.to_owned(), known }
    }

    /// What becomes readable when something happens in the file's directory, for editors replace the file itself;
    /// `None` where the system cannot watch.
    pub fn watch(&self) -> Option<OwnedFd> {
        watch(&self.path)
    }

    /// Whether the file holds another text than the one last seen. A file that is away for a moment is none.
    pub fn is_other(&mut self) -> bool {
        let Ok(now) = digest_of(&self.path) else { return false };
        let is_other = now != self.known;
        self.known = now;
        is_other
    }
}

#[cfg(target_os = "linux")]
fn watch(path: &Path) -> Option<OwnedFd> {
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
    let watch = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    let events = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::CREATE;
    add_watch(&watch, path.parent()?, events).ok()?;
    Some(watch)
}

#[cfg(not(target_os = "linux"))]
fn watch(_path: &Path) -> Option<OwnedFd> {
    None
}
