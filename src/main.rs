//! The `lifeboat` program: installs hooks, calls the library, maps to an exit code.

use std::process::ExitCode;

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
    ExitCode::from(lifeboat::cli::run(std::env::args_os(), &cancel, rehearsal()))
}

/// What `lifeboat demo` starts.
#[cfg(feature = "rehearsal")]
fn rehearsal() -> Option<&'static dyn lifeboat::engine::practice::Rehearsal> {
    Some(&lifeboat::rehearsal::PracticeFleet)
}

/// A build without the practice fleet.
#[cfg(not(feature = "rehearsal"))]
fn rehearsal() -> Option<&'static dyn lifeboat::engine::practice::Rehearsal> {
    None
}
