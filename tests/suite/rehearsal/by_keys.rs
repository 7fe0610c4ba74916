//! The practice fleet at a terminal, by keys alone: the guided exercise, every step by the key its page names, up to the
//! receipt; a restore that must not happen; and what is inside the copies.

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

/// The console on a practice fleet of its own, which lies below this place.
fn practising(console: &Console, place: &str, (width, height): (u16, u16)) -> Pty {
    let start = Start::lifeboat(console, &["demo"]).env("TMPDIR", place).size(width, height);
    start.patience(Duration::from_mins(3)).go()
}

#[test]
fn the_exercise_is_done_by_keys_alone() {
    // Every history there is to see is played, and where there is room for it, seen.
    let all = ["2 twin", "1 twin", "1 suspect", "never", "stale", "1 unverified", "down", " ok"];
    do_the_exercise((120, 40), &all);
}

#[test]
fn the_exercise_is_done_by_keys_alone_on_the_smallest_usual_terminal() {
    do_the_exercise((80, 24), &["2 twin", "1 twin", "down"]);
}

fn do_the_exercise(size: (u16, u16), states: &[&str]) {
    let console = Console::new();
    let place = console.path("home").to_str().unwrap().to_owned();
    let mut pty = practising(&console, &place, size);
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
    pty.read("refused (os error");
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
    pty.read("Restore val-1/avala");
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

/// Proved alive: no word overrides it.
#[test]
fn an_identity_that_runs_elsewhere_is_a_full_stop_by_keys() {
    let console = Console::new();
    let place = console.path("home").to_str().unwrap().to_owned();
    let mut pty = practising(&console, &place, (80, 24));
    pty.read("┌ Fleet");
    go_to_host(&mut pty, "val-1");
    go_to_item(&mut pty, "val-1/avalanchego/staking-identity");
    pty.send("r");
    pty.read("Go on");
    pty.send("\x1b[A").send(ENTER);
    pty.read("onto: type to narrow");
    pty.send("spare-1").send(ENTER);
    pty.read("Go on");
    pty.send(END).send(ENTER);
    let page = pty.read("This identity runs elsewhere. Nothing goes past this page.");
    assert!(page.contains("runs on val-1") && page.contains("◐ checks"), "{page}");
    // Neither going on, nor a word, nor another look gets past it.
    pty.send(ENTER).send("val-1").send(ENTER);
    pty.read("◐ checks");
    pty.send("\x1b[15~");
    let page = pty.read("No word typed here overrides");
    assert!(page.contains("○ preview"), "{page}");
    pty.send("R");
    let page = pty.read("runs");
    assert!(!page.contains("Restore"), "no run was begun:\n{page}");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}

/// Sealed copies in a real vault, opened by the key at hand and read by the real readers.
#[test]
fn what_is_inside_copies_is_looked_at_and_compared_by_keys() {
    let console = Console::new();
    let place = console.path("home").to_str().unwrap().to_owned();
    let mut pty = practising(&console, &place, (120, 40));
    pty.read("┌ Fleet");
    go_to_host(&mut pty, "val-1");
    go_to_item(&mut pty, "val-1/avalanchego/staking-identity");
    let page = pty.read("NodeID-");
    let node_id = page.split_whitespace().find(|word| word.starts_with("NodeID-")).unwrap().to_owned();
    pty.send(ENTER);
    pty.read("Copies, 2");
    pty.send(ENTER);
    let page = pty.read("signer.key");
    assert!(page.contains("staker.crt") && page.contains("staker.key"), "{page}");
    pty.send(ENTER);
    let page = pty.read("rows 1 to");
    assert!(page.contains(&node_id), "{node_id} is not on\n{page}");
    back_to_the_fleet(&mut pty);

    go_to_host(&mut pty, "web-1");
    go_to_item(&mut pty, "web-1/files/tree");
    pty.send(ENTER);
    pty.read("Copies, 2");
    // The newest copy beside the one before it, in which a line was missing.
    pty.send("d");
    let page = pty.read("1 changed");
    assert!(page.contains("pages/01.html") && page.contains("0 added, 0 removed"), "{page}");
    pty.send(ESC);
    pty.read("Copies, 2");
    pty.send(ENTER);
    pty.read("tree-1.tar");
    pty.send(END).send(ENTER);
    pty.read("pages/01.html");
    // The whole file is searched, by who reads it.
    pty.send("/").send("/01.html").send(ENTER);
    let page = pty.read("rows 1 to 1 of 1 that match");
    assert!(page.contains("pages/01.html") && !page.contains("pages/02.html"), "{page}");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}
