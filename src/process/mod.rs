//! Starting other programs, and stopping this one in no moment in which it does.
//!
//! Who starts a program waits until that runs as such, and cannot be stopped as long as it waits (`vfork` in the kernel).
//! Where a stop of the whole process group reaches the child in that moment, the child never gets there: this program is
//! then stopped but for one thread, for ever, and no shell is told that it stopped. So whoever stops the group waits for
//! those that start something, which takes a millisecond.

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::{Duration, Instant};

use nix::unistd::{getpgrp, getsid};
use rustix::process::{Pid, Signal, kill_current_process_group, kill_process};

/// Held together by those that start something, alone by who stops everything.
static STARTING: RwLock<()> = RwLock::new(());

/// How long a start may keep a stop waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts a program.
///
/// # Errors
/// It cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _starts = starting();
    command.spawn()
}

/// Held while something is started by other means than [`spawn`].
pub fn starting() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Does something while nothing is being started.
///
/// # Errors
/// A start takes longer than a second.
pub fn while_nothing_starts<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let began = Instant::now();
    loop {
        match STARTING.try_write() {
            Ok(_alone) => return work(),
            Err(TryLockError::Poisoned(alone)) => {
                let _alone = alone.into_inner();
                return work();
            }
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "a program it starts does not begin"));
            }
        }
    }
}

/// Whether a shell below can bring this program back once it stopped: it gives it a group of its own then, and in the
/// session's own group there is none. Where both were made outside this namespace of processes they are 0, which rustix
/// does not allow for.
pub fn can_come_back() -> bool {
    !getsid(None).is_ok_and(|session| session == getpgrp())
}

/// Stops the process group; comes back when somebody continues it.
///
/// # Errors
/// A start takes longer than a second, or the group cannot be stopped.
pub fn stop_group() -> io::Result<()> {
    while_nothing_starts(|| Ok(kill_current_process_group(Signal::STOP)?))
}

/// Has the process group go on, and each program that this one started.
///
/// Who gets a group of its own is still in this one for a moment after it began, so a terminal's stop can reach it there,
/// and what the group is told after that does not. As long as it does not run as such it is waited for (above), and it is
/// in the kernel's list of children (proc(5), `/proc/PID/task/TID/children`). What comes to a child that runs, does nothing.
///
/// # Errors
/// The group cannot be told. Where there is no such list, only the group is: on other systems than Linux, and without
/// `/proc`.
pub fn go_on() -> io::Result<()> {
    kill_current_process_group(Signal::CONT)?;
    for child in children() {
        // It may have ended by now, or run as somebody else: as such, then.
        let _ = kill_process(child, Signal::CONT);
    }
    Ok(())
}

/// What was started here, runs or not, and was not waited for yet. The kernel may leave one out while another ends; the
/// next ctrl-z finds it.
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    // A thread that ended since has no list.
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let words = lists.collect::<Vec<_>>().join(" ");
    words.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    /// Whether it is stopped, by its line of proc(5).
    fn is_stopped(child: &Child) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains(") T ")
    }

    fn comes_true(holds: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while !holds() && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        holds()
    }

    #[test]
    fn a_child_that_stopped_in_a_group_of_its_own_goes_on() {
        let mut child = spawn(Command::new("sleep").arg("60").process_group(0)).unwrap();
        kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
        let stopped = comes_true(|| is_stopped(&child));
        go_on().unwrap();
        let went_on = comes_true(|| !is_stopped(&child));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(stopped && went_on, "{stopped} {went_on}");
    }

    #[test]
    fn what_is_done_while_nothing_starts_waits_for_a_start_and_not_for_ever() {
        assert!(spawn(&mut Command::new("true")).unwrap().wait().unwrap().success());
        let starts = STARTING.read().unwrap();
        let error = while_nothing_starts(|| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| while_nothing_starts(|| Ok(7)));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!waits.is_finished());
            drop(starts);
            assert_eq!(waits.join().unwrap().unwrap(), 7);
        });
    }
}
