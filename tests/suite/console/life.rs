//! The life of the terminal: the real program in a pseudo-terminal, on every way in and out.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::console::Console;
use crate::support::pty::{Pty, Start, effort};

pub const NOWHERE: &str = r#"
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

pub fn console(inventory: &str) -> Console {
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
pub fn assert_given_back(pty: &Pty) {
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
    assert_eq!(pty.count("\x1b[?1000h"), 0, "the mouse is the terminal's own until it is asked for");
    pty.send("M");
    pty.wait("the mouse", |_| pty.count("\x1b[?1000h") == 1);
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_eq!(pty.count("\x1b[?1049l"), 1);
    assert_given_back(&pty);
    assert_eq!(pty.count("\x1b[?1003h"), 0, "motion of the mouse is never asked for");
}

/// From the second sitting on the first frame is the last look, drawn before the inventory is parsed: what is typed at it
/// waits for what can answer.
#[test]
fn what_is_typed_at_the_first_frame_is_answered() {
    let console = Console::new();
    let vault = console.path("vault");
    let inventory = NOWHERE.replace("\"/nonexistent/vault\"", &format!("{vault:?}\nallow_plaintext = true"));
    console.write_inventory(&inventory);
    console.run(&["init"]).expect(0);
    for sitting in 0..2 {
        let mut pty = Start::lifeboat(&console, &[]).go();
        pty.wait("a frame", |_| pty.count("\x1b[?2026l") > 0);
        let first = first_frame(&pty);
        // The last look is the first frame, before the vault is read or a node is asked.
        let is_look = first.contains("val-1") && first.contains("down") && first.contains("As it was seen just now");
        assert_eq!(is_look, sitting > 0, "{first}");
        pty.send("?");
        pty.wait_for("What works here");
        pty.send("\x1b");
        pty.wait("the look", |screen| !screen.contains("What works here") && screen.contains("down"));
        let is_look = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("last-look-");
        pty.wait("the look on disk", |_| {
            let entries = std::fs::read_dir(console.path("data/state")).into_iter().flatten();
            entries.filter_map(Result::ok).any(is_look)
        });
        pty.send("q");
        assert_eq!(pty.wait_exit(), 0);
        assert_eq!(pty.count("\x1b[?1049h"), 1, "the terminal is taken once");
        assert_given_back(&pty);
    }
}

/// What the first frame shows, by itself.
fn first_frame(pty: &Pty) -> String {
    let (raw, end) = (pty.raw(), b"\x1b[?2026l");
    let end = raw.windows(end.len()).position(|bytes| bytes == end).unwrap();
    let size = |cells| std::num::NonZeroU16::new(cells).unwrap();
    let mut screen = vt100::Parser::new(size(30), size(100), 0);
    screen.process(&raw[..end]);
    screen.screen().contents()
}

/// The vault is not there and the node does not answer: errors are made and shown, and the terminal stays taken.
#[test]
fn errors_while_it_is_open_leave_the_terminal_alone() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    pty.send("O");
    pty.wait_for("/nonexistent/vault");
    assert_eq!(pty.count("\x1b[?1049l"), 0);
    assert!(!pty.is_cooked());
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
}

/// Over a slow line a page of 120 by 40 would be felt at every key.
#[test]
fn a_key_sends_what_changed_and_no_more() {
    let console = console(&format!("{NOWHERE}[hosts.val-2]\naddress = \"127.0.0.1\"\nport = 1\n"));
    let mut pty = Start::lifeboat(&console, &[]).size(120, 40).go();
    pty.wait("both looks", |screen| screen.contains("val-2") && screen.matches("down").count() >= 2);
    let whole = pty.raw().len();
    for round in 0..10 {
        let before = pty.raw().len();
        pty.send(if round % 2 == 0 { "j" } else { "k" });
        pty.wait("an answer", |_| pty.raw().len() > before);
        std::thread::sleep(Duration::from_millis(200));
        let sent = pty.raw().len() - before;
        assert!(sent < 3_000, "a move of the selection sent {sent} bytes; all before were {whole}");
    }
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
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

/// Nobody could leave a console that hears no key any more.
#[test]
fn a_panic_of_what_reads_the_keyboard_ends_the_console_as_its_own() {
    let console = console(NOWHERE);
    let mut pty = Start::lifeboat(&console, &[]).env("LIFEBOAT_FAIL_INSIDE", "keyboard").go();
    assert_eq!(pty.wait_exit(), 1);
    assert_eq!(pty.count("\x1b[?1049l"), 1);
    assert_given_back(&pty);
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    assert!(raw.contains("The console failed inside") && raw.contains("lifeboat runs"), "{raw}");
    let log = std::fs::read_to_string(console.path("data/state/lifeboat.log")).unwrap();
    assert!(log.contains("the keyboard was told to fail"), "{log}");
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
        // Nothing of this round is left on the screen for the next to be taken in by.
        pty.send("clear; fg\r");
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
    pty.resize(10, 3);
    pty.wait("what it needs", |screen| screen.contains("needs") && screen.contains("60×16"));
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

/// A program in the way of the real `ssh`, which takes no keyboard for itself: like it while it connects.
fn connecting(console: &Console, asked: &str) -> Pty {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir(console.path("bin")).unwrap();
    // Asked for its settings, it knows none.
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' -G '*) {asked}; exit;; esac\ntrap '' QUIT\ntrap 'echo interrupted; exit 255' INT\n\
         echo connecting >&2\nwhile :; do sleep 0.05; done\n"
    );
    std::fs::write(console.path("bin/ssh"), script).unwrap();
    std::fs::set_permissions(console.path("bin/ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", console.path("bin").display());
    let mut pty = Start::lifeboat(console, &[]).env("PATH", &path).go();
    pty.wait_for("val-1");
    pty.send("s");
    pty.wait_for("connecting");
    pty
}

/// `ssh -G` may run commands of the operator's own configuration, and wait for them.
#[test]
fn keys_are_answered_while_the_way_to_a_node_is_asked_for() {
    let console = console(NOWHERE);
    let mut pty = connecting(&console, "[ -e $0.hangs ] && exec sleep 8");
    pty.send("\x03");
    pty.wait_for("ssh could not connect to val-1");
    std::fs::write(console.path("bin/ssh.hangs"), "").unwrap();
    pty.send("s");
    pty.wait_for("Getting a shell on val-1 ready.");
    let begun = std::time::Instant::now();
    pty.send("?");
    pty.wait_for("What works here");
    assert!(begun.elapsed() < Duration::from_secs(5), "the keyboard waited: {:?}", begun.elapsed());
    // What is typed from here on must not land in a shell that comes late.
    pty.wait_for("came too late");
    std::fs::remove_file(console.path("bin/ssh.hangs")).unwrap();
    pty.send("\x1b");
    pty.wait("the page", |screen| !screen.contains("What works here"));
    pty.send("s");
    pty.wait("ssh", |_| pty.count("connecting") == 2);
    pty.send("\x03");
    pty.wait_for("ssh could not connect to val-1");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_given_back(&pty);
}

#[test]
fn what_is_typed_at_ssh_while_it_connects_is_not_meant_for_the_console() {
    let console = console(NOWHERE);
    for typed in ["\x03", "\x1a\x03", "\x1c\x03"] {
        let _ = std::fs::remove_dir_all(console.path("bin"));
        let mut pty = connecting(&console, "exit");
        for key in typed.chars() {
            pty.send(&key.to_string());
            // A stopped program goes on by itself; give it the time.
            std::thread::sleep(Duration::from_millis(400));
        }
        pty.wait_for("ssh could not connect to val-1");
        pty.send("?");
        pty.wait_for("What works here");
        pty.send("q");
        assert_eq!(pty.wait_exit(), 0, "{typed:?}");
        assert_given_back(&pty);
    }
}

#[test]
fn a_terminal_that_stops_reading_keeps_nobody_from_leaving() {
    let console = console(NOWHERE);
    let mut pty = open(&console, &[]);
    pty.stop_reading();
    for round in 0..40_u16 {
        // Each size is a whole frame, and all of them are more than any terminal has room for.
        pty.resize(400 + round % 2, 150 + round % 2);
        std::thread::sleep(Duration::from_millis(30));
    }
    let begun = std::time::Instant::now();
    pty.signal(Signal::TERM);
    assert_eq!(pty.wait_end(), 130);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn under_a_script_without_job_control_ctrl_z_is_refused() {
    let console = console(NOWHERE);
    let script = format!("{}; echo ended-$?", env!("CARGO_BIN_EXE_lifeboat"));
    let mut pty = Start::program(&console, "/bin/sh", &["-c", &script]).go();
    pty.wait_for("val-1");
    pty.send("\x1a");
    pty.wait_for("There is no shell below");
    pty.send("q");
    pty.wait_for("ended-0");
    assert_eq!(pty.wait_exit(), 0);
}

/// The example's hosts are nobody's: nothing is dialled before somebody has put in their own.
#[test]
fn the_example_is_told_of_and_not_opened() {
    let console = Console::new();
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait_for("There is no inventory yet");
    pty.send("\x1b[H\x1b[B\x1b[B\r");
    assert_eq!(pty.wait_exit(), 0);
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    assert!(raw.contains("Put your own hosts into it"), "{raw}");
    assert!(!raw.contains("Looking at"), "{raw}");
    assert!(console.path("config/inventory.toml").is_file());
    assert_given_back(&pty);
}

/// A practice node has no terminals; what is typed at its shell is seen all the same.
#[cfg(feature = "rehearsal")]
#[test]
fn practising_is_chosen_on_the_first_page_and_a_practice_node_has_no_shell() {
    use crate::support::operator::go_to_host;
    let console = Console::new();
    let place = console.path("home").to_str().unwrap().to_owned();
    let start = Start::lifeboat(&console, &[]).env("TMPDIR", &place).size(120, 40);
    let mut pty = start.patience(Duration::from_mins(3)).go();
    pty.wait_for("Practise on a fleet of its own");
    pty.send("\r");
    pty.wait("the practice fleet", |screen| {
        screen.contains("practice") && screen.contains("val-1") && screen.contains("quit")
    });
    go_to_host(&mut pty, "val-1");
    pty.send("s");
    pty.wait_for("not now, a practice node has no terminals");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert!(!console.path("config/inventory.toml").exists(), "the operator's own inventory was made");
}

/// What is played with leaves nothing in the operator's own directories.
#[cfg(feature = "rehearsal")]
#[test]
fn the_practice_fleet_keeps_its_log_and_looks_to_itself() {
    let console = Console::new();
    let mut pty = Start::lifeboat(&console, &["demo"]).go();
    pty.wait("the practice fleet", |screen| screen.contains("practice") && screen.contains("quit"));
    pty.send(":vault\r");
    pty.wait_for("Growth");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert!(!console.path("data/state").exists(), "the operator's own state was written to");
    assert!(!console.path("data/lifeboat.log").exists());
}
