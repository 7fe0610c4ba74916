//! Plain mode: the same console in numbered menus, on a terminal that knows nothing.

use crate::support::console::Console;
use crate::support::pty::{Pty, Start};

pub const TWO: &str = r#"
version = 1
[vault]
path = "/nonexistent/vault"
[hosts.val-1]
address = "127.0.0.1"
port = 1
[hosts.val-2]
address = "127.0.0.1"
port = 1
"#;

fn open(args: &[&str], term: &str) -> (Console, Pty) {
    let console = Console::new();
    console.write_inventory(TWO);
    let pty = Start::lifeboat(&console, args).env("TERM", term).go();
    pty.wait_for_raw("lifeboat (? for the menu)> ");
    (console, pty)
}

/// The number a menu gives an action.
fn number_of(pty: &Pty, action: &str) -> String {
    pty.wait_for_raw("an empty line reads the page again.");
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    let line = raw.lines().find(|line| line.contains(&format!(". {action}: "))).unwrap_or_else(|| panic!("{raw}"));
    line.trim().split('.').next().unwrap().to_owned()
}

#[test]
fn a_dumb_terminal_gets_menus_without_a_single_escape() {
    let (_console, mut pty) = open(&[], "dumb");
    pty.wait_for_raw("val-2");
    pty.send("down\r");
    let is_selected = |line: &str| line.starts_with("selected:") && line.contains("val-2");
    pty.wait("the second host", |_| String::from_utf8_lossy(&pty.raw()).lines().any(is_selected));
    pty.send("?\r");
    let log = number_of(&pty, "log");
    pty.send(&format!("{log}\r"));
    pty.wait_for_raw("Log");
    pty.send("nonsense\r");
    pty.wait_for_raw("'nonsense' is neither a number of the menu, nor an action, nor a key.");
    pty.send("quit\r");
    assert_eq!(pty.wait_exit(), 0);
    let raw = pty.raw();
    assert!(!raw.contains(&0x1b), "{}", String::from_utf8_lossy(&raw));
    assert!(pty.is_cooked());
}

#[test]
fn plain_filters_says_notes_and_ends_with_its_input() {
    let (_console, mut pty) = open(&["--plain"], "xterm-256color");
    pty.wait_for_raw("Note: ");
    pty.send("/val-2\r");
    pty.wait_for_raw("Fleet /val-2");
    // A letter and a key's name are words to look for as well.
    for word in ["2", "up"] {
        let before = pty.raw().len();
        pty.send(&format!("/{word}\r"));
        pty.wait(word, |_| {
            let said = String::from_utf8_lossy(&pty.raw()[before..]).into_owned();
            said.contains(&format!("Fleet /{word}")) && said.ends_with("lifeboat (? for the menu)> ")
        });
    }
    // The first one shows all again.
    pty.send("back\r");
    pty.send("back\r");
    pty.wait_for_raw("back: not now, this is the first page.");
    pty.send("\x04");
    assert_eq!(pty.wait_exit(), 0);
    assert_eq!(pty.count("\x1b"), 0);
}

#[test]
fn plain_without_a_terminal_reads_lines() {
    let console = Console::new();
    console.write_inventory(TWO);
    console.run(&["--plain"]).expect(0).says("val-1");
}

/// A node that takes the connection and never says a word: looking at it goes on for long.
fn mute() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let inventory = format!(
        "version = 1\n[vault]\npath = \"/nonexistent/vault\"\n[hosts.val-1]\naddress = \"127.0.0.1\"\nport = {port}\n"
    );
    (listener, inventory)
}

#[test]
fn waiting_in_menus_can_be_interrupted() {
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let (_listener, inventory) = mute();
        let console = Console::new();
        console.write_inventory(&inventory);
        let mut pty = Start::lifeboat(&console, &["--plain"]).go();
        pty.wait_for_raw("lifeboat (? for the menu)> ");
        pty.send("wait\r");
        std::thread::sleep(std::time::Duration::from_millis(600));
        let begun = std::time::Instant::now();
        pty.signal(signal);
        assert_eq!(pty.wait_exit(), 130, "{signal:?}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{signal:?}: {:?}", begun.elapsed());
    }
}

/// What another program does on the terminal is between the two of them: menus never let go of their input.
#[test]
fn menus_hand_the_terminal_to_nobody_and_say_what_to_do_instead() {
    let (_console, mut pty) = open(&["--plain"], "xterm-256color");
    pty.wait_for_raw("val-2");
    for (asked, said) in [
        ("shell", "Open a shell yourself: ssh val-"),
        // Here it is the first of its session, so there is nobody to bring it back.
        ("suspend", "There is no shell below to come back from; leave with quit."),
        ("\x1a", "There is no shell below to come back from; leave with quit."),
        ("mouse", "This has no meaning in menus."),
        ("copy", "val-"),
    ] {
        let before = pty.raw().len();
        pty.send(&format!("{asked}\r"));
        let told = || String::from_utf8_lossy(&pty.raw()[before..]).contains(said);
        pty.wait(asked, |_| told());
    }
    pty.send("?\r");
    pty.wait_for_raw("an empty line reads the page again.");
    // Nothing is listed that would only say so.
    let menu = String::from_utf8_lossy(&pty.raw()).into_owned();
    assert!(menu.contains(". suspend: ") && ![". mouse: ", ". palette: "].iter().any(|one| menu.contains(one)));
    pty.send("quit\r");
    assert_eq!(pty.wait_exit(), 0);
    assert_eq!(pty.count("\x1b"), 0);
    assert!(pty.is_cooked());
}

/// The terminal is never raw there, so its own keys work as everywhere.
#[test]
fn menus_are_stopped_and_brought_back_by_the_shell_itself() {
    let console = Console::new();
    console.write_inventory(TWO);
    let mut pty = in_a_shell(&console);
    stop_and_bring_back(&mut pty, "\x1a");
    stop_and_bring_back(&mut pty, "suspend\r");
    pty.send("quit\r");
    pty.send("exit\r");
    assert_eq!(pty.wait_exit(), 0);
}

/// Two sittings are one program: the second is stopped once, too.
#[test]
fn menus_over_an_inventory_they_just_made_are_stopped_once() {
    let console = Console::new();
    std::fs::create_dir(console.path("home/.ssh")).unwrap();
    std::fs::write(console.path("home/.ssh/config"), "Host val-1\n  HostName 127.0.0.1\n  Port 1\n").unwrap();
    let mut pty = in_a_shell(&console);
    pty.wait_for_raw("There is no inventory yet");
    pty.send("down\r");
    pty.wait_for_raw("▸ Begin with the hosts of");
    pty.send("open\r");
    pty.wait_for_raw("reached at");
    stop_and_bring_back(&mut pty, "\x1a");
    pty.send("quit\r");
    pty.send("exit\r");
    assert_eq!(pty.wait_exit(), 0);
}

/// Menus as the foreground job of a shell.
fn in_a_shell(console: &Console) -> Pty {
    let mut pty = Start::program(console, "/bin/bash", &["--norc", "-i"]).env("PS1", "ready> ").go();
    pty.wait_for("ready>");
    pty.send(&format!("{} --plain\r", env!("CARGO_BIN_EXE_lifeboat")));
    pty.wait_for_raw("lifeboat (? for the menu)> ");
    pty
}

fn stop_and_bring_back(pty: &mut Pty, typed: &str) {
    let before = pty.raw().len();
    let is_said = |pty: &Pty, text: &str| String::from_utf8_lossy(&pty.raw()[before..]).contains(text);
    pty.send(typed);
    pty.wait("the shell", |_| is_said(pty, "Stopped"));
    pty.send("echo here-$((6*7))\r");
    pty.wait("the shell's answer", |_| is_said(pty, "here-42"));
    // What is typed before the shell has handed its terminal over is the shell's.
    let children = format!("/proc/{0}/task/{0}/children", pty.pid());
    let stat = format!("/proc/{}/stat", std::fs::read_to_string(children).unwrap().trim());
    let is_stopped = || std::fs::read_to_string(&stat).unwrap().contains(") T ");
    pty.wait("the stopped program", |_| is_stopped());
    pty.send("fg\r");
    pty.wait("the program going on", |_| !is_stopped());
    pty.send("nonsense\r");
    pty.wait("the menus' answer", |_| is_said(pty, "'nonsense' is neither a number of the menu"));
}
