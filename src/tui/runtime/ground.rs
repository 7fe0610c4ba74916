//! What a sitting stands on, read from disks that may hang: a network's, or one that sleeps. While one does not answer
//! the console says so, and can be left.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::channel;
use tokio::sync::oneshot;

use super::guarded;
use super::setup::Setup;
use super::sitting::{End, Sitting, Taken};
use crate::config::digest_of;
use crate::engine::desk::Opening;
use crate::engine::fleet::Fleet;
use crate::model::exit::{Exit, Failure, Result};
use crate::tui::app::App;
use crate::tui::model::{Model, Place};
use crate::tui::plain;
use crate::tui::screens::waiting::WaitingPage;
use crate::tui::theme::Depth;

/// How long the disks may keep the first frame waiting; then a page says that they are waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads what the console is set up with, and the inventory once, so that whoever needs it next finds it at hand. An
/// exit where somebody left before the disks had answered.
///
/// # Errors
/// When the terminal fails.
pub fn read(opening: &Opening, is_plain: bool) -> Result<std::result::Result<Setup, Exit>> {
    let inventory = opening.paths.inventory(opening.inventory.as_deref())?.path;
    let (send, mut answer) = oneshot::channel();
    let (asked, path) = (opening.clone(), inventory.clone());
    // A thread of its own, which nobody waits for: a disk that hangs keeps it for ever.
    std::thread::spawn(move || {
        let setup = Setup::read(&asked);
        // Whatever is wrong with the file is told by who reads it next.
        let _ = digest_of(&path);
        let _ = send.send(setup);
    });
    let wrong = |error: std::io::Error| Failure::new(Exit::Failed, format!("The terminal failed: {error}."));
    let gone = |_| Failure::new(Exit::Failed, "What reads the configuration failed inside.");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(wrong)?;
    if let Ok(setup) = runtime.block_on(async { tokio::time::timeout(PATIENCE, &mut answer).await }) {
        return setup.map(Ok).map_err(gone);
    }
    let bare = Setup::bare(opening);
    let mut app = waiting(opening, &bare, inventory, is_plain);
    if is_plain {
        return match runtime.block_on(plain::tell_until(&mut app, answer)).map_err(wrong)? {
            Some(setup) => setup.map(Ok).map_err(gone),
            None => Ok(Err(Exit::Cancelled)),
        };
    }
    guarded(&bare, || {
        runtime.block_on(async {
            let (_send, notices) = channel(1);
            let taken = Taken::new(&bare).map_err(wrong)?;
            let sitting = Sitting::new(taken, app, &bare, None, notices, None);
            tokio::select! {
                biased;
                setup = &mut answer => setup.map(Ok).map_err(gone),
                left = sitting.map_err(wrong)?.sit(Vec::new()) => match left.map_err(wrong)? {
                    End::Exit(exit) => Ok(Err(exit)),
                    End::Begin(_) => Ok(Err(Exit::Done)),
                },
            }
        })
    })
}

/// The console on the page that says what is waited for.
fn waiting(opening: &Opening, bare: &Setup, inventory: PathBuf, is_plain: bool) -> App {
    let home = opening.paths.home.clone();
    let place = Place { inventory, read_only: opening.read_only, home, ..Place::default() };
    let dirs = [&opening.paths.config_dir, &opening.paths.state_dir].map(Clone::clone);
    let page = WaitingPage::new(dirs, is_plain);
    let mut app = App::new(Model::new(place, Fleet::default(), Timestamp::now()), Box::new(page));
    bare.furnish(&mut app, if is_plain { Depth::None } else { bare.surroundings.depth });
    app
}
