//! The life of the terminal: the real program in a pseudo-terminal, on every way in and out.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::console::Console;
use crate::support::pty::{Pty, Start, effort};

const NOWHERE: &str = r#"
version = 1
[vault]
path = "/nonexistent/vault"
[hosts.val-1]
address = "127.0.0.1"
port = 1
[hosts.val-1.services.files]
paths = ["/etc"]
"#;

const LOCAL: &str = r#"
version = 1
[vault]
path = "/nonexistent/vault"
[hosts.here]
transport = "local"
become = "none"
"#;

fn console(inventory: &str) -> Console {
    let console = Console::new();
    console.write_inventory(inventory);
    console
}

/// Opens the console and waits until it has looked at its nodes, so that nothing moves any more.
fn open(console: &Console, args: &[&str]) -> Pty {
    let pty = Start::lifeboat(console, args).go();
    pty.wait_for("val-1");
    pty
}

/// The terminal is as a shell wants it, and every mode was switched off exactly as often as on.
#[track_caller]
fn assert_given_back(pty: &Pty) {
    for (on, off) in [
        ("\x1b[?1049h", "\x1b[?1049l"),
        ("\x1b[?2004h", "\x1b[?2004l"),
        ("\x1b[?1004h", "\x1b[?1004l"),
        ("\x1b[?1000h", "\x1b[?1000l"),
        ("\x1b[?1006h", "\x1b[?1006l"),
    ] {
        assert_eq!(pty.count(on), pty.count(off), "{on:?}");
    }
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    let (shown, hidden) = (raw.rfind("\x1b[?25h"), raw.rfind("\x1b[?25l"));
    assert!(shown > hidden, "the cursor stays hidden");
    let (ends, begins) = (raw.rfind("\x1b[?2026l"), raw.rfind("\x1b[?2026h"));
    assert!(ends > begins, "a frame was never ended");
    assert!(pty.is_cooked(), "the terminal stays raw");
}

#[test]
fn quitting_gives_the_terminal_back_once() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    assert!(!pty.is_cooked());
    pty.send("M");
    pty.wait("the mouse", |_| pty.count("\x1b[?1000h") == 1);
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_eq!(pty.count("\x1b[?1049l"), 1);
    assert_given_back(&pty);
    assert_eq!(pty.count("\x1b[?1003h"), 0, "motion of the mouse is never asked for");
}

#[test]
fn signals_end_it_in_order() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let console = console(NOWHERE);
        let mut pty = open(&console, &[]);
        pty.signal(signal);
        assert_eq!(pty.wait_exit(), 130, "{signal:?}");
        assert_eq!(pty.count("\x1b[?1049l"), 1, "{signal:?}");
        assert_given_back(&pty);
    }
}

#[test]
fn a_panic_of_the_console_is_told_on_a_terminal_that_was_given_back() {
    let console = console(NOWHERE);
    let mut pty = Start::lifeboat(&console, &[]).env("LIFEBOAT_FAIL_INSIDE", "console").go();
    assert_eq!(pty.wait_exit(), 1);
    assert_eq!(pty.count("\x1b[?1049l"), 1);
    assert_given_back(&pty);
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    let (left, told) = (raw.find("\x1b[?1049l").unwrap(), raw.find("the console was told to fail").unwrap());
    assert!(left < told, "the report was drawn over");
    assert!(raw.contains("The console failed inside"), "{raw}");
    assert!(raw.contains("lifeboat runs"), "{raw}");
}

#[test]
fn a_panic_of_a_worker_takes_nothing_down_and_stands_in_the_log() {
    let console = console(NOWHERE);
    let mut pty = Start::lifeboat(&console, &[]).env("LIFEBOAT_FAIL_INSIDE", "worker").go();
    pty.wait_for("val-1");
    pty.send("O");
    pty.wait_for("A worker failed inside");
    assert_eq!(pty.count("told to fail"), 0, "the report reached the screen");
    let log = std::fs::read_to_string(console.path("data/state/lifeboat.log")).unwrap();
    assert!(log.contains("a worker was told to fail"), "{log}");
    assert_eq!(pty.count("\x1b[?1049l"), 0);
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
}

#[test]
fn errors_of_the_process_go_to_the_log_while_it_owns_the_terminal() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    let target = std::fs::read_link(format!("/proc/{}/fd/2", pty.pid())).unwrap();
    assert_eq!(target, console.path("data/state/lifeboat.log").canonicalize().unwrap());
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}

#[test]
fn a_terminal_that_goes_away_ends_it_without_burning_the_processor() {
    // A session of its own, so that no signal tells it: it must see for itself.
    let console = console(NOWHERE);
    let pid_file = console.path("pid");
    let program = env!("CARGO_BIN_EXE_lifeboat");
    let script = format!(
        "exec 3<&0; setsid sh -c 'echo $$ >{0}.new; mv {0}.new {0}; exec {program}' <&3 & wait",
        pid_file.display()
    );
    // `script` keeps the terminal; when it is ended, the terminal is gone.
    let mut pty = Start::program(&console, "/usr/bin/script", &["-q", "-c", &script, "/dev/null"]).go();
    pty.wait_for("val-1");
    let pid: u32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    pty.hang_up();
    let begun = std::time::Instant::now();
    // Ended is ended, also when nobody has asked how.
    let lives = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while lives() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it lives on without a terminal: {:?}", effort(pid));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_z_stops_it_and_fg_brings_it_back() {
    let console = console(NOWHERE);
    let mut pty = Start::program(&console, "/bin/bash", &["--norc", "-i"]).env("PS1", "ready> ").go();
    pty.wait_for("ready>");
    pty.send(&format!("{}\r", env!("CARGO_BIN_EXE_lifeboat")));
    pty.wait_for("val-1");
    for way in ["key", "signal"] {
        if way == "key" {
            pty.send("\x1a");
        } else {
            let pid = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", pty.pid())).unwrap();
            let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, Signal::TSTP).unwrap();
        }
        pty.wait_for("Stopped");
        pty.send("echo here-$((6*7))\r");
        pty.wait_for("here-42");
        pty.send("fg\r");
        pty.wait("the page", |screen| {
            screen.contains("val-1") && screen.contains("quit") && !screen.contains("here-42")
        });
    }
    pty.send("q");
    pty.wait_for("ready>");
    pty.send("exit\r");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
}

#[test]
fn without_a_shell_below_ctrl_z_is_refused() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    pty.send("\x1a");
    pty.wait_for("There is no shell below");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}

#[test]
fn a_shell_on_a_node_gets_the_whole_keyboard_and_gives_it_back() {
    let console = console(LOCAL);
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait_for("here");
    pty.send("s");
    pty.wait_for("(lifeboat here) $");
    pty.send("echo $LIFEBOAT_NODE-$((6*7)) >&2\r");
    pty.wait_for("here-42");
    pty.send("exit\r");
    pty.wait_for("Back from here");
    assert!(!pty.is_cooked());
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
}

#[test]
fn a_storm_of_sizes_ends_in_the_last_one() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    for round in 0..200u16 {
        pty.resize(40 + round % 90, 10 + round % 40);
        if round % 10 == 0 {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    for size in [(0, 0), (1, 1), (2, 1), (10, 3), (59, 16), (60, 15), (500, 2), (3, 200)] {
        pty.resize(size.0, size.1);
        std::thread::sleep(Duration::from_millis(40));
    }
    pty.resize(30, 5);
    pty.wait_for("Lifeboat needs 60×16.");
    pty.resize(80, 24);
    pty.wait("the page", |screen| screen.contains("val-1") && screen.contains("quit"));
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
}

#[test]
fn pastes_are_no_keys_and_neither_are_releases() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    pty.send("\x1b[200~q\rq\x03\x1b[201~");
    pty.send("\x1b[113;1:3u");
    pty.send("?");
    pty.wait_for("What works here");
    pty.send("\x1b");
    pty.wait("the page", |screen| !screen.contains("What works here"));
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}

#[test]
fn every_frame_is_one_update() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    for _ in 0..5 {
        pty.send("?");
        pty.wait_for("What works here");
        pty.send("\x1b");
        pty.wait("the page", |screen| !screen.contains("What works here"));
    }
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    let frames: Vec<&str> = raw.split("\x1b[?2026h").skip(1).collect();
    assert!(frames.len() >= 10, "{}", frames.len());
    for frame in frames {
        let (_, after) = frame.split_once("\x1b[?2026l").expect("every frame ends");
        // Between frames nothing is drawn: only modes are switched.
        assert!(!after.contains("\x1b[2J") && !after.contains("val-1"), "{after:?}");
    }
    assert!(raw.matches("\x1b[2J").count() <= 2, "the screen is cleared again and again");
}

#[test]
fn idle_it_sleeps() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    // The look at the node ends in an error at once; then nothing moves.
    let mut before = effort(pty.pid());
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(500));
        let now = effort(pty.pid());
        if now == before {
            break;
        }
        before = now;
    }
    std::thread::sleep(Duration::from_secs(3));
    let after = effort(pty.pid());
    assert_eq!(after, before, "it woke up while nothing happened: (ticks, switches)");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}

#[test]
fn without_colours_none_is_sent_and_without_utf8_only_ascii() {
    let console = console(NOWHERE);
    let mut pty = Start::lifeboat(&console, &[]).env("NO_COLOR", "1").env("LANG", "C").go();
    pty.wait_for("val-1");
    pty.send("?");
    pty.wait_for("What works here");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    let raw = pty.raw();
    assert!(raw.is_ascii(), "{}", String::from_utf8_lossy(&raw));
    let text = String::from_utf8(raw).unwrap();
    let colour = regex::Regex::new("\x1b\\[([0-9]+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;[0-9]+)*m").unwrap();
    assert_eq!(colour.find(&text).map(|found| found.as_str()), None);
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    console(NOWHERE).run(&[]).expect(2).says("The console needs a terminal.").says("lifeboat --plain");
}

#[test]
fn an_inventory_edited_meanwhile_is_offered_and_read_again() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &["--read-only"]);
    pty.wait_for("read-only");
    console.write_inventory(&format!("{NOWHERE}[hosts.val-2]\naddress = \"127.0.0.1\"\nport = 1\n"));
    pty.wait_for("The inventory was edited");
    pty.send("\x0c");
    pty.wait_for("val-2");
    console.write_inventory("version = 1\n[hosts.val-3]\nadress = \"x\"\n");
    pty.wait_for("The inventory was edited");
    pty.send("\x0c");
    pty.wait_for("The one in use stays");
    assert!(pty.screen().contains("val-2"));
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}

#[test]
fn without_an_inventory_it_offers_ways_to_begin() {
    let console = Console::new();
    std::fs::create_dir(console.path("home/.ssh")).unwrap();
    std::fs::write(console.path("home/.ssh/config"), "Host val-1\n  HostName 127.0.0.1\n  Port 1\n").unwrap();
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait_for("There is no inventory yet");
    pty.send("\x1b[F\r");
    pty.wait_for("What Lifeboat does");
    pty.send("\x1b");
    pty.wait_for("There is no inventory yet");
    pty.send("\x1b[H\x1b[B\r");
    pty.wait_for("val-1");
    let inventory = std::fs::read_to_string(console.path("config/inventory.toml")).unwrap();
    assert!(inventory.contains("[hosts.val-1]"), "{inventory}");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
}

#[test]
fn themes_and_commands_are_remembered_and_mistakes_said() {
    let console = console(NOWHERE);
    std::fs::create_dir(console.path("config/themes")).unwrap();
    std::fs::write(console.path("config/themes/mine.toml"), "inherits = \"dark\"\n[roles]\ntexd = \"red\"\n").unwrap();
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait_for("mine.toml:3: There is no role 'texd'. Did you mean 'text'?");
    pty.send(":theme mine\r");
    pty.wait("the theme", |_| pty.count("48;2;23;27;33") > 0);
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait("the theme", |_| pty.count("48;2;23;27;33") > 0);
    pty.send(":\x1b[A");
    pty.wait_for(":theme mine");
    pty.send("\x1b");
    pty.wait("the page", |screen| !screen.contains("Command"));
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}

#[test]
fn a_copy_goes_to_the_terminal_encoded() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    pty.send("y");
    pty.wait_for("Copied");
    // "val-1"
    assert_eq!(pty.count("\x1b]52;c;dmFsLTE=\x07"), 1);
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}
