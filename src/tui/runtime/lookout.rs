//! Watching the inventory's file, without waking up while nothing happens to it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender as Asker, channel};

use tokio::sync::mpsc::Sender;

use crate::config::digest_of;
use crate::tui::message::Notice;

/// Knows which text of a file is in use.
pub struct Lookout {
    path: PathBuf,
    /// The hand that reads the file: one of its own, since a disk that hangs must not keep the keyboard waiting.
    asks: Asker<()>,
}

impl Lookout {
    /// On `path`, whose text in use has this digest; that it holds another one is told to `tell`.
    pub fn on(path: &Path, known: [u8; 32], tell: Sender<Notice>) -> Self {
        let (asks, asked) = channel();
        let file = path.to_owned();
        // Without a thread nothing is told; the inventory can still be read again by its key.
        let _ = std::thread::Builder::new().name("lookout".to_owned()).spawn(move || look(&file, known, &asked, &tell));
        Self { path: path.to_owned(), asks }
    }

    /// What becomes readable when something happens in the file's directory, for editors replace the file itself;
    /// `None` where the system cannot watch.
    pub fn watch(&self) -> Option<OwnedFd> {
        watch(&self.path)
    }

    /// Has the file looked at.
    pub fn look(&self) {
        let _ = self.asks.send(());
    }
}

/// Reads the file as often as it is asked to, and tells when it holds another text than the one last seen. A file that
/// is away for a moment is none.
fn look(path: &Path, mut known: [u8; 32], asked: &Receiver<()>, tell: &Sender<Notice>) {
    while asked.recv().is_ok() {
        // Whatever was asked until now is answered at once.
        asked.try_iter().for_each(drop);
        let Ok(now) = digest_of(path) else { continue };
        if std::mem::replace(&mut known, now) != now && tell.blocking_send(Notice::InventoryChanged).is_err() {
            return;
        }
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
