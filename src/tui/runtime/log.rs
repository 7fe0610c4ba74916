//! The log file: what the console notes, and whatever writes to the error stream while it owns the terminal.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::config::paths::create_private_dir;

/// Past this size the log begins anew and the old one is kept as `.1`.
const LONGEST: u64 = 4 << 20;

/// Opens the log and has what the program traces written to it; `LIFEBOAT_LOG` says how much, `info` if nothing does.
///
/// Where no log can be written the console works without: then what would go there goes nowhere.
pub fn open_log(path: &Path) -> Option<File> {
    let nowhere = || OpenOptions::new().write(true).open("/dev/null").ok();
    let opened = path.parent().and_then(|dir| {
        create_private_dir(dir).ok()?;
        if std::fs::metadata(path).is_ok_and(|kind| kind.len() > LONGEST) {
            std::fs::rename(path, path.with_extension("log.1")).ok()?;
        }
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).ok()
    });
    let Some(file) = opened else { return nowhere() };
    let filter = EnvFilter::try_from_env("LIFEBOAT_LOG").unwrap_or_else(|_| EnvFilter::new("lifeboat=info"));
    if let Ok(writer) = file.try_clone() {
        let traced = tracing_subscriber::fmt().with_writer(Mutex::new(writer)).with_ansi(false).with_env_filter(filter);
        // A second sitting of the same process goes on with the first one's.
        let _ = traced.try_init();
    }
    Some(file)
}
