//! In a pane of tmux: drawn, resized, copied through and left as on a terminal of its own.

use std::path::PathBuf;
use std::process::Command;

use super::plain::TWO;
use crate::support::console::Console;
use crate::support::pty::Start;

/// A server of tmux at a socket of its own, which ends with the test.
struct Server(PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.0).arg("kill-server").output();
    }
}

#[test]
fn in_tmux_pages_are_drawn_resized_copied_and_left() {
    let console = Console::new();
    console.write_inventory(TWO);
    let (server, settings) = (Server(console.path("tmux")), console.path("tmux.conf"));
    std::fs::write(&settings, "set -s set-clipboard on\nset -s escape-time 0\nset -g status-right ''\n").unwrap();
    let [socket, settings] = [&server.0, &settings].map(|path| path.to_str().unwrap());
    let program = env!("CARGO_BIN_EXE_lifeboat");
    let mut pty =
        Start::program(&console, "tmux", &["-S", socket, "-f", settings, "new-session", program]).size(80, 24).go();
    // The last line is tmux's own; the console's stands above it.
    let last =
        |screen: &str, lines: usize, text: &str| screen.lines().nth(lines - 2).is_some_and(|line| line.contains(text));
    pty.wait("a page of 23 lines", |screen| screen.contains("val-2") && last(screen, 24, "q quit"));
    let before = pty.raw().len();
    pty.send("y");
    let copied = || String::from_utf8_lossy(&pty.raw()[before..]).contains("\x1b]52;");
    pty.wait("a copy that tmux passes on", |_| copied());
    pty.resize(120, 40);
    pty.wait("a page of 39 lines", |screen| last(screen, 40, "Copied"));
    pty.resize(30, 8);
    pty.wait_for("60×16");
    pty.resize(80, 24);
    pty.wait("a page of 23 lines", |screen| screen.contains("val-2") && last(screen, 24, "Copied"));
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    assert!(pty.is_cooked());
}
