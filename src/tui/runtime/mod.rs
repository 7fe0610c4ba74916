//! The runtime: the only place of the console with a clock, a terminal and signals.

mod beat;
mod ground;
mod log;
mod lookout;
mod parting;
mod setup;
mod sitting;
mod state;

use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use jiff::Timestamp;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use self::lookout::Lookout;
pub use self::setup::Setup;
pub use self::sitting::End;
use self::sitting::{Sitting, Taken};
use super::app::App;
use super::crew::Crew;
use super::message::{Beginning, Effect, Notice, Order};
use super::model::{Model, Place};
use super::plain::{self, Stops};
use super::screens::first::FirstPage;
use super::screens::fleet::FleetPage;
use super::terminal::give_back;
use super::theme::{Depth, Surroundings};
use crate::config::digest_of;
use crate::config::paths::InventoryPath;
use crate::config::prompt::Prompter;
use crate::engine::desk::{Desk, Opening};
use crate::engine::first::{Source, make_inventory};
use crate::engine::fleet::Fleet;
use crate::engine::fleet::last_look::{self, About, Seen};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::secret::SecretString;
use crate::transport::Cancel;

/// Reports that may wait unseen; then the crew waits.
const QUEUE: usize = 1024;

/// Opens the console and stays until the operator leaves.
///
/// # Errors
/// [`Exit::Usage`] without a terminal; what opening the desk says.
pub fn run(opening: &Opening) -> Result<Exit> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !is_terminal && !opening.plain {
        return Err(Failure::new(Exit::Usage, "The console needs a terminal.")
            .hint("Everything it can do, a command can: lifeboat --help")
            .hint("Or read it line by line: lifeboat --plain"));
    }
    // Signals reach the loop, which ends in order; the wish of the command line is not this sitting's, whose own end
    // cancels what still runs and is no cancellation by itself.
    let opening = &Opening { cancel: Cancel::new(), ..opening.clone() };
    let is_plain = opening.plain || Surroundings::read(&|name| std::env::var(name).ok()).is_dumb;
    let setup = match ground::read(opening, is_plain)? {
        Ok(setup) => setup,
        Err(exit) => return Ok(exit),
    };
    let stops = is_plain.then(Stops::hear).transpose();
    let stops = stops.map_err(|error| Failure::new(Exit::Failed, format!("The menus cannot begin: {error}.")))?;
    let stops = stops.as_ref();
    loop {
        let named = setup.paths.inventory(opening.inventory.as_deref())?;
        let ended = if named.path.exists() {
            at_desk(opening, &setup, &named, stops)?
        } else {
            at_first(opening, &setup, &named, stops)?
        };
        match ended {
            End::Exit(exit) => return Ok(exit),
            End::Begin(Beginning::SshConfig) => make_inventory(&setup.paths, &named.path, Source::SshConfig)?,
            End::Begin(Beginning::Example) => {
                make_inventory(&setup.paths, &named.path, Source::Example)?;
                // Its hosts are nobody's: it is edited first.
                let told = format!(
                    "The example is at {}.\nPut your own hosts into it, then open the console: lifeboat\n",
                    named.path.display()
                );
                let failed = |error| Failure::new(Exit::Failed, format!("Standard output failed: {error}."));
                std::io::stdout().write_all(told.as_bytes()).map_err(failed)?;
                return Ok(Exit::Done);
            }
            End::Begin(Beginning::Practice) => return Err(practise(opening)),
        }
    }
}

/// Becomes `lifeboat demo`; gives back why it could not.
fn practise(opening: &Opening) -> Failure {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("The practice fleet cannot start: {error}."));
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return failed(error),
    };
    let mut command = std::process::Command::new(program);
    command.arg("demo");
    for (flag, is_on) in [("--plain", opening.plain), ("--ascii", opening.ascii)] {
        if is_on {
            command.arg(flag);
        }
    }
    failed(command.exec())
}

/// What a sitting begins with.
struct Seat {
    app: App,
    crew: Option<Crew>,
    notices: Receiver<Notice>,
    lookout: Option<Lookout>,
    first: Vec<Effect>,
}

/// A sitting over the operator's own inventory. Where the last look is one at just this inventory, it is on the screen
/// before the inventory is parsed and checked; what is typed meanwhile is taken up afterwards.
///
/// `stops` is there where it sits in menus.
fn at_desk(opening: &Opening, setup: &Setup, named: &InventoryPath, stops: Option<&Stops>) -> Result<End> {
    let is_plain = stops.is_some();
    let remembered = last_look::begin(&opening.paths.state_dir, &named.path, Timestamp::now());
    let about = digest_of(&named.path).ok().map(|digest| About {
        inventory: named.path.clone(),
        digest,
        vault: opening.vault.clone(),
    });
    let (mut seen, left_aside) = remembered.finish();
    let early = match (&mut seen, about) {
        (Some(seen), Some(about)) if !is_plain && seen.is_about(&about) => {
            Some(app_over(opening, named, seen.vault.clone(), std::mem::take(&mut seen.fleet)))
        }
        _ => None,
    };
    let open = |shown: Option<App>| {
        let mut seen = seen;
        if let (Some(seen), Some(shown)) = (&mut seen, shown) {
            seen.fleet = shown.model.fleet;
        }
        let (send, receive) = channel(QUEUE);
        let desk = Desk::open(opening, Some(prompter(&send, is_plain)))?;
        let fleet = Seen::fleet_of(seen, &desk.inventory, Timestamp::now());
        let mut app = app_over(opening, &desk.named, desk.vault_path().clone(), fleet);
        for warning in left_aside.iter().chain(&desk.warnings) {
            app.model.note(super::message::Tone::Warn, warning.replace("\n    ", " "));
        }
        let reopen = {
            let (opening, send) = (opening.clone(), send.clone());
            Box::new(move || Desk::open(&opening, Some(prompter(&send, is_plain))))
        };
        let lookout = Some(Lookout::on(&desk.named.path, desk.digest, send.clone()));
        let owners = app.model.fleet.owners.iter().map(|owner| owner.id.clone()).collect();
        let orders = [Order::ReadVault, Order::ReadPractice, Order::Look(owners)];
        let crew = Some(Crew::new(desk, send, reopen)?);
        Ok(Seat { app, crew, notices: receive, lookout, first: orders.map(Effect::Order).into() })
    };
    sit(setup, stops, early, open)
}

fn prompter(send: &Sender<Notice>, is_plain: bool) -> Box<dyn Prompter> {
    // In menus the terminal that is read line by line is also where a secret would be asked for: one reader asks for
    // both. Without a terminal at the input, the one that belongs to the process is asked.
    if is_plain && !std::io::stdin().is_terminal() {
        Box::new(crate::config::prompt::TtyPrompter::default())
    } else {
        Box::new(AskConsole(send.clone()))
    }
}

/// A sitting where there is no inventory yet.
fn at_first(opening: &Opening, setup: &Setup, named: &InventoryPath, stops: Option<&Stops>) -> Result<End> {
    let (_send, notices) = channel(1);
    let place = Place { inventory: named.path.clone(), read_only: opening.read_only, ..Place::default() };
    let model = Model::new(place, Fleet::default(), Timestamp::now());
    let has_ssh_config = setup.paths.home.join(".ssh/config").is_file();
    let app = App::new(model, Box::new(FirstPage::new(has_ssh_config, cfg!(feature = "rehearsal"))));
    sit(setup, stops, None, |_| Ok(Seat { app, crew: None, notices, lookout: None, first: Vec::new() }))
}

fn app_over(opening: &Opening, named: &InventoryPath, vault: PathBuf, fleet: Fleet) -> App {
    let place = Place {
        inventory: named.path.clone(),
        vault,
        read_only: opening.read_only,
        is_practice: opening.practice.is_some(),
        flags: flags_of(opening),
        environment: environment_of(opening),
        home: opening.paths.home.clone(),
    };
    let model = Model::new(place, fleet, Timestamp::now());
    let page = FleetPage::over(&model);
    App::new(model, Box::new(page))
}

/// The words an equal command line needs to mean the same inventory and vault; who prints them quotes them.
fn flags_of(opening: &Opening) -> Vec<String> {
    let words = |name: &str, path: &Option<PathBuf>| {
        path.iter().flat_map(|path| [name.to_owned(), path.to_string_lossy().into_owned()]).collect::<Vec<_>>()
    };
    [words("--inventory", &opening.inventory), words("--vault", &opening.vault)].concat()
}

/// The directories of a practice fleet: a shell beside it has others.
fn environment_of(opening: &Opening) -> Vec<(&'static str, String)> {
    if opening.practice.is_none() {
        return Vec::new();
    }
    let dirs = [("LIFEBOAT_CONFIG_DIR", &opening.paths.config_dir), ("LIFEBOAT_DATA_DIR", &opening.paths.data_dir)];
    dirs.map(|(name, dir)| (name, dir.to_string_lossy().into_owned())).into()
}

/// Sits until the operator leaves, on pages, or in menus where there is what hears their ctrl-z. The terminal is given back on every way out, a panic included.
///
/// `early` is shown, on pages, while `open` gets ready what is sat on; it gets it back.
fn sit(
    setup: &Setup,
    stops: Option<&Stops>,
    mut early: Option<App>,
    open: impl FnOnce(Option<App>) -> Result<Seat>,
) -> Result<End> {
    let furnish =
        |app: &mut App| setup.furnish(app, if stops.is_some() { Depth::None } else { setup.surroundings.depth });
    let wrong = |error: std::io::Error| Failure::new(Exit::Failed, format!("The terminal failed: {error}."));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(wrong)?;
    // Dismissed once the terminal is given back: what it runs may take a while to end in order.
    let mut crew = None;
    let ended = if let Some(stops) = stops {
        open(None).and_then(|mut seat| {
            furnish(&mut seat.app);
            crew = seat.crew;
            runtime.block_on(plain::sit(seat.app, crew.as_ref(), seat.notices, seat.first, setup, stops)).map_err(wrong)
        })
    } else {
        guarded(setup, || {
            runtime.block_on(async {
                let taken = early.as_mut().map(|app| {
                    furnish(app);
                    Taken::showing(app, setup)
                });
                let taken = taken.transpose().map_err(wrong)?;
                let mut seat = open(early)?;
                furnish(&mut seat.app);
                let taken = taken.map_or_else(|| Taken::new(setup), Ok).map_err(wrong)?;
                crew = seat.crew;
                let sitting = Sitting::new(taken, seat.app, setup, crew.as_ref(), seat.notices, seat.lookout);
                sitting.map_err(wrong)?.sit(seat.first).await.map_err(wrong)
            })
        })
    };
    match crew.map(parting::dismiss) {
        // Where something is not as it was, nobody may take the end for a good one.
        Some(Exit::Changed) if ended.is_ok() => Ok(End::Exit(Exit::Changed)),
        _ => ended,
    }
}

/// Works on pages; the terminal is given back at the end, also at that of a panic.
fn guarded<T>(setup: &Setup, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let hook = PanicHook::set();
    let worked = catch_unwind(AssertUnwindSafe(work));
    give_back();
    drop(hook);
    worked.unwrap_or_else(|_| Err(failed_inside(setup)))
}

fn failed_inside(setup: &Setup) -> Failure {
    Failure::new(Exit::Failed, "The console failed inside; this is a mistake in Lifeboat. Its jobs were stopped.")
        .hint("See what is true: lifeboat runs")
        .hint(format!("What it wrote before: {}", setup.paths.log_file().display()))
}

/// While it lives, a panic of the console's own thread gives the terminal back before it is reported; one of another
/// thread is reported into the log and takes nothing down.
struct PanicHook {
    before: std::sync::Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>,
}

impl PanicHook {
    fn set() -> Self {
        let before: std::sync::Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync> =
            std::sync::Arc::from(std::panic::take_hook());
        let own = std::thread::current().id();
        let report = before.clone();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == own {
                give_back();
            }
            report(info);
        }));
        Self { before }
    }
}

impl Drop for PanicHook {
    fn drop(&mut self) {
        let before = self.before.clone();
        std::panic::set_hook(Box::new(move |info| before(info)));
    }
}

/// Asks for secrets in the console itself.
struct AskConsole(Sender<Notice>);

impl Prompter for AskConsole {
    fn ask(&self, purpose: &str) -> std::result::Result<SecretString, String> {
        let (reply, answer) = sync_channel(1);
        let gone = |_| "The console is closing.".to_owned();
        self.0.blocking_send(Notice::Secret(purpose.to_owned(), reply)).map_err(gone)?;
        let declined = || "The question was declined.".to_owned();
        answer.recv().map_err(|_| declined())?.ok_or_else(declined)
    }
}
