//! Plain mode: the same console in numbered menus, on a terminal that knows nothing.

use crate::support::console::Console;
use crate::support::pty::{Pty, Start};

const TWO: &str = r#"
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
