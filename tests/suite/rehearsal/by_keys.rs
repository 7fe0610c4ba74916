//! The guided exercise at a terminal: every step by the key its page names, up to the receipt.

use std::time::Duration;

use crate::support::console::Console;
use crate::support::operator::{choose_target, go_to_host, go_to_item};
use crate::support::pty::{Pty, Start};

const ENTER: &str = "\r";
const ESC: &str = "\x1b";
const END: &str = "\x1b[F";

/// Looks at the exercise's page until it counts a step as done, and goes back to where one was.
#[track_caller]
fn is_done(pty: &mut Pty, step: &str) {
    pty.send("X");
    let page = pty.read(&format!("✓ {step}"));
    assert!(!page.contains('{'), "a key is not named: {page}");
    pty.send(ESC);
    pty.wait("the page before", |screen| !screen.contains("┌ Exercise"));
    pty.read("quit");
}

#[track_caller]
fn back_to_the_fleet(pty: &mut Pty) {
    pty.send("F");
    pty.read("┌ Fleet");
}

#[test]
fn the_exercise_is_done_by_keys_alone() {
    let console = Console::new();
    let place = console.path("home").to_str().unwrap().to_owned();
    let start = Start::lifeboat(&console, &["demo"]).env("TMPDIR", &place).size(120, 40);
    let mut pty = start.patience(Duration::from_mins(3)).go();
    // Every history there is to see is played.
    let states = ["2 twin", "1 twin", "1 suspect", "never", "stale", "1 unverified", "down", " ok"];
    pty.wait("every history", |screen| states.iter().all(|state| screen.contains(state)));
    pty.send("X");
    let page = pty.read("◐ 1 See what could be brought back");
    assert!(page.contains("v on val-1") && page.contains("val-1 is gone: bring it back on spare-1"), "{page}");
    pty.send(ESC);
    pty.read("┌ Fleet");

    go_to_host(&mut pty, "val-1");
    pty.send("v");
    pty.read("Go on");
    pty.send(ENTER);
    pty.read("offline: no node is asked");
    pty.send(ENTER);
    pty.read("✓ run   ◐ receipt");
    back_to_the_fleet(&mut pty);
    is_done(&mut pty, "1 See what could be brought back");

    go_to_host(&mut pty, "val-1");
    pty.send("P");
    pty.read("Practice: val-1");
    pty.send(END).send(ENTER);
    pty.read("val-1 is lost with everything on it");
    is_done(&mut pty, "2 Lose val-1");

    go_to_host(&mut pty, "val-1");
    pty.send(ENTER);
    pty.read("Connection refused");
    back_to_the_fleet(&mut pty);
    go_to_host(&mut pty, "spare-1");
    pty.send(ENTER);
    pty.read("host key");
    back_to_the_fleet(&mut pty);

    // The plan is read; without an answer nothing begins.
    go_to_host(&mut pty, "val-1");
    go_to_item(&mut pty, "val-1/avalanchego/staking-identity");
    pty.send("r");
    choose_target(&mut pty, "spare-1");
    pty.send(ENTER);
    pty.read("Question 1 of 1");
    pty.send(ENTER);
    pty.read("◐ preview");
    pty.send(ENTER);
    pty.read("Type val-1 to go on:");
    pty.send("val-1").send(ENTER);
    let page = pty.read("Proven: what runs now is what was saved.");
    assert!(page.contains("signed by this console"), "{page}");
    is_done(&mut pty, "7 Answer the gate and restore");

    // It runs on spare-1 now. What was seen of val-1 before it was lost makes it no twin.
    back_to_the_fleet(&mut pty);
    go_to_host(&mut pty, "spare-1");
    pty.send(ENTER);
    pty.read("Services");
    pty.send("\x1b[15~");
    let page = pty.read("avalanchego.service: active");
    assert!(page.contains("2 twin") && !page.contains("also runs"), "{page}");
    back_to_the_fleet(&mut pty);
    go_to_host(&mut pty, "val-1");
    go_to_item(&mut pty, "val-1/avalanchego/staking-identity");
    pty.send(ENTER);
    pty.read("proven");
    pty.send("R");
    pty.read("Restore val-1/avalanchego/");
    pty.send(ENTER);
    pty.read("signature, hashes and chain hold");
    pty.send("X");
    let page = pty.read("✓ 9 Read the receipt");
    assert!(page.contains("A copy was proven before it was needed"), "{page}");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    let left: Vec<_> =
        std::fs::read_dir(&place).unwrap().filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("lifeboat-demo-")), "{left:?}");
}
