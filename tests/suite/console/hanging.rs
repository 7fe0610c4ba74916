//! Disks that hang: the console comes up, says what it waits for, and can be left. A lease on a file stands in for such a
//! disk: whoever opens the file waits until the lease is given back.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::life::{NOWHERE, assert_given_back, console};
use crate::support::console::Console;
use crate::support::pty::{Pty, Start};

/// Takes a lease and keeps it, whoever asks for it back, as long as somebody listens: 1024 is `F_SETLEASE`, 1 `F_WRLCK`.
/// Nobody may have the file open at that moment.
const HOLDER: &str = r#"$SIG{IO} = "IGNORE"; $| = 1; open(my $file, "<", $ARGV[0]) or die $!;
for (1 .. 500) { if (fcntl($file, 1024, 1)) { print "held\n"; <STDIN>; exit } select(undef, undef, undef, 0.02) } die $!"#;

/// A file whose disk hangs; it answers again when this is dropped. The kernel itself gives it back after 45 seconds.
struct Hanging(Child);

impl Hanging {
    fn at(path: &Path) -> Self {
        let mut perl = Command::new("perl");
        let mut holder =
            perl.args(["-e", HOLDER]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Self(holder)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The inventory's disk and that of the keys, each on its own.
fn files(console: &Console) -> [std::path::PathBuf; 2] {
    let keys = console.path("config/keys.toml");
    std::fs::write(&keys, "").unwrap();
    [console.path("config/inventory.toml"), keys]
}

fn waiting(console: &Console) -> Pty {
    let pty = Start::lifeboat(console, &[]).go();
    let begun = Instant::now();
    let page = pty.wait_for("Waiting for a disk");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(page.contains("config/inventory.toml"), "{page}");
    pty
}

#[test]
fn a_console_whose_disk_hangs_is_answered_left_and_opens_when_the_disk_does() {
    let console = console(NOWHERE);
    for file in files(&console) {
        let hanging = Hanging::at(&file);
        let mut pty = waiting(&console);
        pty.send("?");
        pty.wait_for("What works here");
        pty.send("\x1b");
        pty.wait("the page", |screen| !screen.contains("What works here"));
        pty.resize(80, 24);
        pty.wait_for("q leaves");
        let begun = Instant::now();
        pty.send("q");
        assert_eq!(pty.wait_exit(), 0);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_given_back(&pty);

        let mut pty = waiting(&console);
        pty.signal(Signal::TERM);
        assert_eq!(pty.wait_exit(), 130);
        assert_given_back(&pty);

        let mut pty = waiting(&console);
        drop(hanging);
        pty.wait_for("val-1");
        pty.send("q");
        assert_eq!(pty.wait_exit(), 0);
        assert_given_back(&pty);
    }
}

#[test]
fn menus_whose_disk_hangs_say_so_are_left_and_open_when_the_disk_does() {
    let console = console(NOWHERE);
    for file in files(&console) {
        let hanging = Hanging::at(&file);
        let menus = || {
            let pty = Start::lifeboat(&console, &["--plain"]).go();
            pty.wait_for_raw("Waiting for a disk");
            pty.wait_for_raw("ctrl-c leaves. No node was asked, and nothing was changed.");
            assert!(pty.is_cooked());
            pty
        };
        let mut pty = menus();
        pty.send("\x03");
        assert_eq!(pty.wait_exit(), 130);
        let mut pty = menus();
        pty.signal(Signal::TERM);
        assert_eq!(pty.wait_exit(), 130);
        // What is typed meanwhile is not lost.
        let mut pty = menus();
        pty.send("quit\r");
        drop(hanging);
        pty.wait_for_raw("val-1");
        assert_eq!(pty.wait_exit(), 0);
    }
}

/// Coming back to a console has it look whether its inventory was edited.
#[test]
fn a_disk_that_hangs_later_keeps_no_key_waiting() {
    let console = console(NOWHERE);
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait("the look at the node", |screen| screen.contains("val-1") && screen.contains("down"));
    let hanging = Hanging::at(&console.path("config/inventory.toml"));
    pty.send("\x1b[O\x1b[I");
    let begun = Instant::now();
    pty.send("?");
    pty.wait_for("What works here");
    pty.send("\x1b");
    pty.wait("the page", |screen| !screen.contains("What works here"));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // It answers again, and an edit is told as before.
    drop(hanging);
    console.write_inventory(&format!("{NOWHERE}[hosts.val-2]\naddress = \"127.0.0.1\"\nport = 1\n"));
    pty.wait_for("The inventory was edited");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
}
