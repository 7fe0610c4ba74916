//! A copy and a restore without a screen: every page and question as lines, on a terminal that knows nothing.

use std::time::Duration;

use crate::support::console::Console;
use crate::support::menus::{hears, say};
use crate::support::pty::Start;

#[test]
fn a_validator_is_saved_lost_and_brought_back_by_menus_alone() {
    let console = Console::new();
    let place = console.path("home").to_str().unwrap().to_owned();
    let start = Start::lifeboat(&console, &["demo", "--plain"]).env("TMPDIR", &place).env("TERM", "dumb");
    let mut pty = start.patience(Duration::from_mins(3)).go();
    pty.wait_for_raw("lifeboat (? for the menu)> ");
    hears(&say(&mut pty, "wait"), &["validators", "val-1  2 never", "✗ twin"]);

    // What is drawn for eyes is said in words, or not at all.
    hears(&say(&mut pty, "vault"), &["20d ago  ", "Proofs, day by day", "verified  ", " days, last "]);
    say(&mut pty, "fleet");
    say(&mut pty, "/web-1");
    say(&mut pty, "pane-2");
    say(&mut pty, "first");
    let item = say(&mut pty, "open");
    hears(&item, &["Ladder", "verified  2 times, last 2h ago", "proven  never", "size  "]);
    say(&mut pty, "fleet");

    // A backup of all that can be saved of a host.
    hears(&say(&mut pty, "/val-1"), &["selected: ✗ val-1"]);
    hears(&say(&mut pty, "backup"), &["Back up 4 items", "selected: Go on"]);
    say(&mut pty, "enter");
    hears(&say(&mut pty, "wait"), &["◐ checks", "unit  ready"]);
    hears(&say(&mut pty, "enter"), &["◐ preview", "nothing is stopped or replaced"]);
    say(&mut pty, "enter");
    hears(&say(&mut pty, "wait"), &["4 of 4 jobs ended well", "Verified: the copy was read in full", "signed by this"]);

    // What is laid over a page is read alone, and takes a row of its own or a key: no letters of another word.
    say(&mut pty, "fleet");
    say(&mut pty, "/val-1");
    let menu = say(&mut pty, "practice");
    hears(&menu, &["Practice: val-1", "selected: cut-link", "lose-node", "row by name or number, or a key"]);
    assert!(!menu.contains("staking identity"), "{menu}");
    let refused = say(&mut pty, "lost");
    hears(&refused, &["'lost' is not a row's name, nor its number, nor a key."]);
    say(&mut pty, "lose-node");
    hears(&say(&mut pty, "wait"), &["Note: val-1 is lost with everything on it.", "selected: ✗ val-1  down"]);

    // Its identity goes to the spare, once somebody declares by its name that val-1 is gone.
    say(&mut pty, "pane-2");
    say(&mut pty, "first");
    hears(&say(&mut pty, "down"), &["selected: staking identity"]);
    hears(&say(&mut pty, "restore"), &["onto  val-1  does not answer"]);
    say(&mut pty, "up");
    hears(&say(&mut pty, "enter"), &["Choose onto", "type TEXT fills the field"]);
    hears(&say(&mut pty, "type spare-1"), &["selected: spare-1"]);
    say(&mut pty, "enter");
    say(&mut pty, "wait");
    say(&mut pty, "last");
    say(&mut pty, "enter");
    hears(&say(&mut pty, "wait"), &["A key that opens the copy was tried", "val-1 could not be reached"]);
    hears(&say(&mut pty, "enter"), &["◐ preview", "The word is", "--confirm fenced-val-1=val-1"]);
    hears(&say(&mut pty, "enter"), &["Question 1 of 1", "Type val-1 to go on:", "type TEXT fills the field"]);
    say(&mut pty, "type spare-1");
    hears(&say(&mut pty, "enter"), &["That is not the word. Nothing was changed.", "Question 1 of 1"]);
    say(&mut pty, "type val-1");
    say(&mut pty, "enter");
    hears(&say(&mut pty, "wait"), &["◐ receipt", "Proven: what runs now is what was saved.", "signed by this console"]);

    pty.send("quit\r");
    assert_eq!(pty.wait_exit(), 0);
    let raw = String::from_utf8_lossy(&pty.raw()).into_owned();
    assert!(!raw.contains('\x1b'), "{raw}");
    // Frames, bars and charts.
    assert!(!raw.contains(|sign| ('─'..='▐').contains(&sign)), "{raw}");
}
