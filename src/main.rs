//! The `lifeboat` program: installs hooks, calls the library, maps to an exit code.

use std::process::ExitCode;

use lifeboat::cli::Wiring;
use lifeboat::transport::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

fn main() -> ExitCode {
    // Without a report hook a panic still says where; with it, how to read on. Nothing depends on it.
    let _ = color_eyre::install();
    let cancel = Cancel::new();
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        let wish = cancel.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                wish.cancel();
            }
        });
    }
    let wiring = Wiring { console: lifeboat::tui::run, keys: console_keys };
    ExitCode::from(lifeboat::cli::run(std::env::args_os(), &cancel, &wiring))
}

fn console_keys() -> Vec<[String; 4]> {
    let rows = lifeboat::tui::describe_keys();
    rows.into_iter().map(|row| [row.group.to_owned(), row.keys, row.name, row.about.to_owned()]).collect()
}
