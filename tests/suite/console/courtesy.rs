//! Who goes first where the processors are busy: the thread that takes keys and draws.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use super::life::{NOWHERE, console};
use crate::support::pty::Start;

/// How nice each thread of a program is, by its name.
fn niceness(pid: u32) -> Vec<(String, i64)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: std::path::PathBuf| {
        // What ends meanwhile is none of its threads.
        let stat = std::fs::read_to_string(task.join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        // The nineteenth field; `rest` begins with the third.
        Some((name.to_owned(), rest.split_whitespace().nth(16)?.parse().ok()?))
    };
    tasks.filter_map(|task| of(task.ok()?.path())).collect()
}

#[test]
fn what_works_for_the_jobs_gives_way_to_what_takes_keys_and_draws() {
    let console = console(NOWHERE);
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait_for("down");
    let begun = Instant::now();
    loop {
        let threads = niceness(pty.pid());
        let of = |wanted: &str| threads.iter().find(|(name, _)| name == wanted).map(|(_, nice)| *nice);
        let own = of("lifeboat").unwrap_or_else(|| panic!("{threads:?}"));
        assert_eq!(of("keyboard"), Some(own), "{threads:?}");
        let crew = threads.iter().filter(|(name, _)| name.starts_with("crew-"));
        if crew.clone().count() > lifeboat::tui::crew::JOB_HANDS && crew.clone().all(|(_, nice)| *nice > own) {
            break;
        }
        // On a busy machine a hand may not have begun yet.
        assert!(begun.elapsed() < Duration::from_secs(10), "{threads:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}
