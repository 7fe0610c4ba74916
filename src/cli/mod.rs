//! The command line face: parses, asks, prints; everything else is the engine's.

use std::ffi::OsString;

use clap::Parser;

pub mod app;
pub mod args;
mod backup;
mod demo;
mod enroll;
mod look;
pub mod output;
mod page;
mod plans;
mod progress;
mod question;
mod restore;
mod runs;
mod setup;
mod stored;

use crate::config::paths::Paths;
use crate::engine::desk::Opening;
use crate::engine::practice::Rehearsal;
use crate::model::exit::{Exit, Failure, Result};
use crate::transport::Cancel;
use app::App;
use args::{Cli, Sub};
use output::Out;

/// What `main` hands in: what this layer may not name itself.
pub struct Wiring {
    /// Opens the console.
    pub console: fn(&Opening) -> Result<Exit>,
    /// Starts the practice fleet, in builds that have one.
    pub rehearsal: Option<&'static dyn Rehearsal>,
    /// The console's keys for the manual page: group, keys, name, what it does.
    pub keys: fn() -> Vec<[String; 4]>,
}

/// Runs one call of the program and gives its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>, cancel: &Cancel, wiring: &Wiring) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let json = args.iter().any(|arg| arg == "--json");
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; anything else is a mistake of usage.
            let code = if error.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() };
            if json && error.use_stderr() {
                let out = Out::of_process(true, true);
                let text = error.to_string();
                let text = text.split("\n\n").next().unwrap_or_default();
                out.failure(&Failure::new(Exit::Usage, text.trim_start_matches("error: ")));
                out.end(Exit::Usage);
            } else {
                let _ = error.print();
            }
            return code;
        }
    };
    let out = Out::of_process(cli.global.json, cli.global.no_progress);
    let exit = match &cli.command {
        Some(Sub::Demo(demo)) => ended(demo::run_demo(&cli.global, &out, demo, cancel, wiring), &out, cancel),
        _ => {
            ended(Paths::from_environment().and_then(|paths| dispatch(cli, &out, cancel, wiring, paths)), &out, cancel)
        }
    };
    out.end(exit);
    crate::transport::ssh::settle(std::time::Duration::from_secs(5));
    exit.code()
}

/// How a command ended, its failure told.
fn ended(result: Result<Exit>, out: &Out, cancel: &Cancel) -> Exit {
    result.unwrap_or_else(|failure| {
        // What was hung up because of an interrupt looks like a lost connection.
        let failure = if cancel.is_cancelled() && matches!(failure.exit, Exit::Failed | Exit::Unreachable) {
            Failure { exit: Exit::Cancelled, ..failure }
        } else {
            failure
        };
        out.failure(&failure);
        failure.exit
    })
}

fn dispatch(cli: Cli, out: &Out, cancel: &Cancel, wiring: &Wiring, paths: Paths) -> Result<Exit> {
    let Cli { global, command } = cli;
    let Some(command) = command else { return (wiring.console)(&app::opening(&global, cancel, paths)) };
    match &command {
        Sub::Keygen { file } => {
            app::may_change(&global)?;
            return setup::run_keygen(out, file);
        }
        Sub::Init(init) => return setup::run_init(&global, out, init, paths),
        Sub::Completions { shell } => return raw(&setup::run_completions(*shell)),
        Sub::Man => return raw(&setup::run_man(&(wiring.keys)())?),
        _ => {}
    }
    let mut app = App::open(global, out.clone(), cancel.clone(), paths)?;
    let changes = command.changes_nodes();
    let ended = carry_out(&mut app, command);
    // What a run came to it tells itself; as long as none has begun, nothing was touched.
    if changes && !app.has_begun() { ended.map_err(Failure::unchanged) } else { ended }
}

/// Does what was asked for, with an inventory.
fn carry_out(app: &mut App, command: Sub) -> Result<Exit> {
    match command {
        Sub::Keygen { .. } | Sub::Init(_) | Sub::Demo(_) | Sub::Completions { .. } | Sub::Man => Ok(Exit::Done),
        Sub::Enroll(enroll) => enroll::run_enroll(app, &enroll),
        Sub::Doctor(select) => look::run_doctor(app, &select),
        Sub::Scan(select) => look::run_scan(app, &select),
        Sub::Backup(backup) => backup::run_backup(app, &backup),
        Sub::List(select) => stored::run_list(app, &select),
        Sub::Show { snapshot } => stored::run_show(app, &snapshot),
        Sub::Verify(verify) => stored::run_verify(app, &verify),
        Sub::Restore(restore) => restore::run_restore(app, &restore),
        Sub::Rollback { run, planning } => restore::run_rollback(app, &run, &planning),
        Sub::Runs { run, on } => runs::run_runs(app, run.as_deref(), on.as_deref()),
        Sub::Resume(resume) => runs::run_resume(app, &resume),
        Sub::Kept { selectors, purge, confirm } => runs::run_kept(app, &selectors, purge, &confirm),
    }
}

/// Prints bytes that are meant for a file, as they are.
fn raw(bytes: &[u8]) -> Result<Exit> {
    use std::io::Write;
    match std::io::stdout().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("Writing failed: {error}.")))
        }
        _ => Ok(Exit::Done),
    }
}
