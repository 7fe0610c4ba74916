//! The `lifeboat` program: installs hooks, calls the library, maps to an exit code.

use std::io::Write;

use lifeboat::cli::Wiring;
use lifeboat::transport::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The C library's allocator keeps what a scan of a large fleet has freed, spread over the arenas of its threads; this
/// one gives it back (`docs/benchmarks.md`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
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
    let code = lifeboat::cli::run(
        std::env::args_os(),
        &cancel,
        &Wiring { console: lifeboat::tui::run, rehearsal: REHEARSAL, keys: console_keys },
    );
    // Nobody is left to tell when the streams are gone.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // Not the ordinary exit: that one runs the clean-up of the C libraries while a thread that has just ended may still
    // be freeing what is its own, and both free the same (seen as "double free or corruption" on a loaded machine).
    signal_hook::low_level::exit(code.into());
}

/// What `lifeboat demo` starts; nothing in a build without the practice fleet.
const REHEARSAL: Option<&'static dyn lifeboat::engine::practice::Rehearsal> = {
    #[cfg(feature = "rehearsal")]
    let fleet: Option<&'static dyn lifeboat::engine::practice::Rehearsal> = Some(&lifeboat::rehearsal::PracticeFleet);
    #[cfg(not(feature = "rehearsal"))]
    let fleet = None;
    fleet
};

fn console_keys() -> Vec<[String; 4]> {
    let rows = lifeboat::tui::describe_keys();
    rows.into_iter().map(|row| [row.group.to_owned(), row.keys, row.name, row.about.to_owned()]).collect()
}
