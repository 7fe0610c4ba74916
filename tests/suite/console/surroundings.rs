//! What the real program makes of the terminal it finds, and of a keymap with mistakes.

use lifeboat::tui::theme::{Depth, Shelf};
use ratatui::style::Color;

use super::cast;
use super::life::{NOWHERE, console};
use super::stage::{SIZES, Stage};
use crate::support::pty::Start;

#[test]
fn mistakes_of_a_keymap_are_said_with_their_lines_and_the_rest_of_it_holds() {
    let console = console(NOWHERE);
    let keys = "[[keys]]\non = \"Z\"\naction = \"log\"\n[[keys]]\non = \"hyper-x\"\naction = \"vault\"\n";
    std::fs::write(console.path("config/keys.toml"), keys).unwrap();
    let mut pty = Start::lifeboat(&console, &[]).size(160, 40).go();
    // One mistake is said at once.
    pty.wait_for("keys.toml:5: 'hyper-x' is no key");
    pty.wait_for("val-1");
    pty.send("Z");
    pty.read("┌ Log");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    // Several are counted, and stand in the log line by line.
    std::fs::write(console.path("config/keys.toml"), format!("{keys}[[keys]]\non = \"Y\"\naction = \"valt\"\n"))
        .unwrap();
    let mut pty = Start::lifeboat(&console, &[]).size(160, 40).go();
    pty.wait_for("2 mistakes in themes or keys; ");
    pty.send("Z");
    pty.wait_for("keys.toml:5: 'hyper-x' is no key");
    pty.wait_for("keys.toml:9: There is no action 'valt'");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
    // What is no keymap at all leaves the built-in keys.
    std::fs::write(console.path("config/keys.toml"), "keys = [\n").unwrap();
    let mut pty = Start::lifeboat(&console, &[]).size(160, 40).go();
    pty.wait_for("keys.toml:");
    pty.send("O");
    pty.read("┌ Log");
    pty.send("q");
    assert_eq!(pty.wait_exit(), 0);
}

/// Every number of every sequence that sets colours or looks. 59, no colour of an underline, is passed over where it is unknown.
fn looks(raw: &[u8]) -> std::collections::BTreeSet<String> {
    let text = String::from_utf8_lossy(raw).into_owned();
    let sequence = regex::Regex::new("\x1b\\[([0-9;:]*)m").unwrap();
    let numbers =
        sequence.captures_iter(&text).flat_map(|found| found[1].split(';').map(str::to_owned).collect::<Vec<_>>());
    numbers.collect()
}

#[test]
fn a_terminal_of_sixteen_colours_is_sent_those_and_no_others() {
    for term in ["linux", "screen", "ansi", "xterm"] {
        let console = console(NOWHERE);
        let mut pty = Start::lifeboat(&console, &[]).env("TERM", term).env("COLORTERM", "").go();
        pty.wait("the look", |screen| screen.contains("val-1") && screen.contains("down"));
        // Those with colours of their own, too.
        for theme in ["dark", "light", "high-contrast", "colour-blind"] {
            let before = pty.raw().len();
            pty.send(&format!(":theme {theme}\r"));
            pty.wait(theme, |screen| pty.raw().len() > before && !screen.contains("Command"));
            pty.send("?");
            pty.wait_for("What works here");
            pty.send("\x1b");
            pty.wait("the page", |screen| !screen.contains("What works here"));
        }
        pty.send("q");
        assert_eq!(pty.wait_exit(), 0);
        let found = looks(&pty.raw());
        let is_known = |number: &String| {
            number.is_empty() || number.parse::<u8>().is_ok_and(|number| {
                matches!(number, 0..=4 | 7 | 22..=24 | 27 | 30..=37 | 39 | 40..=47 | 49 | 59 | 90..=97 | 100..=107)
            })
        };
        let others: Vec<_> = found.iter().filter(|number| !is_known(number)).collect();
        assert!(others.is_empty(), "{term}: {others:?}");
        assert!(
            found.iter().any(|number| number.len() == 2 && number.starts_with('3')),
            "{term}: no colour: {found:?}"
        );
    }
}

/// Pages with every state there is, and one with a question over it.
fn pages() -> Vec<Stage> {
    let ways = ["", "tab", "enter", "tab enter", "V", "O", "?", ":", "T", "J", "R"];
    ways.map(|keys| {
        let mut stage = cast::seen();
        stage.keys(keys);
        stage
    })
    .into()
}

#[test]
fn no_word_is_lost_in_its_ground_where_colours_are_few() {
    let mut pages = pages();
    for theme in ["default", "dark", "light", "high-contrast", "colour-blind", "mono"] {
        for depth in [Depth::None, Depth::Sixteen, Depth::Many, Depth::True] {
            for stage in &mut pages {
                stage.app.dress(Shelf::built_in(), depth, false);
                assert!(stage.app.wear(theme));
                for size in SIZES {
                    for cell in &stage.draw(size).content {
                        let is_lost = cell.fg == cell.bg && cell.fg != Color::Reset && cell.symbol() != " ";
                        assert!(!is_lost, "{theme} at {depth:?}: '{}' is {:?} on itself", cell.symbol(), cell.fg);
                    }
                }
            }
        }
    }
}
