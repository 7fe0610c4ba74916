//! A node that greets with what drives a terminal: pages, menus and lines of the real program show none of it as such.

use std::io::Write;
use std::net::TcpListener;

use crate::support::console::Console;
use crate::support::pty::Start;

/// A title, a cleared screen, a colour by one byte, and the answer-back of a terminal.
const GREETING: &[u8] = b"\x1b]0;owned\x07\x1b[2J\xc2\x9b31mred\x05\r\nSSH-2.0-\x1b]2;owned\x07evil\xe2\x80\xae\r\n";

/// Greets whoever comes, and hangs up. It ends with the test's process.
fn hostile_node() -> Console {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.write_all(GREETING);
        }
    });
    let console = Console::new();
    console.write_inventory(&format!(
        "version = 1\n[vault]\npath = \"/nonexistent/vault\"\n[hosts.val-1]\naddress = \"127.0.0.1\"\nport = {port}\n"
    ));
    console
}

/// The numbers of all commands to the terminal itself: titles, clipboard, notices.
fn commands(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw).into_owned();
    text.split("\x1b]").skip(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect()).collect()
}

#[test]
fn what_a_node_says_drives_no_terminal() {
    let console = hostile_node();
    // As pages: the fleet, the host's page, the log, and a copy of what is selected.
    let mut pty = Start::lifeboat(&console, &[]).go();
    pty.wait("the look", |screen| screen.contains("val-1") && screen.contains("down"));
    pty.send("y");
    pty.wait_for("Copied");
    pty.send("\r");
    pty.wait_for("reachable");
    pty.send("O");
    pty.wait_for("Log");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert_eq!(commands(&pty.raw()), ["52"], "nothing but the copy");
    assert!(!String::from_utf8_lossy(&pty.raw()).contains('\u{9b}'));
    // As menus: not a single escape.
    let mut pty = Start::lifeboat(&console, &["--plain"]).go();
    pty.wait_for_raw("lifeboat (? for the menu)> ");
    pty.send("wait\r");
    pty.wait_for_raw("down");
    pty.send("open\r");
    pty.wait_for_raw("reachable");
    pty.send("quit\r");
    assert_eq!(pty.wait_exit(), 0);
    let raw = pty.raw();
    assert!(!raw.contains(&0x1b) && !raw.contains(&0x05) && !raw.contains(&0x07), "{}", String::from_utf8_lossy(&raw));
    assert!(!String::from_utf8_lossy(&raw).contains(['\u{9b}', '\u{202e}']));
    // As lines for programs: what would drive a terminal is escaped.
    let output = console.run(&["doctor", "--json"]);
    for line in output.out.lines() {
        let document: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(document.is_object());
        assert!(!line.contains(['\u{1b}', '\u{7}', '\u{5}', '\u{9b}', '\u{202e}']), "{line}");
    }
    assert!(output.out.contains("val-1"));
}
