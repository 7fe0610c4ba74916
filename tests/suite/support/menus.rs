//! What an operator does who hears the console line by line.

use std::time::Duration;

use super::pty::Pty;

/// What every question ends with.
const PROMPT: &str = "> ";

/// Hearing a page takes a moment; what comes sooner was meant for the page before it, and consents to nothing.
const HEARD_IN: Duration = Duration::from_millis(600);

/// Types a line and hears what is said up to the next question.
#[track_caller]
pub fn say(pty: &mut Pty, line: &str) -> String {
    press(pty, &format!("{line}\r"))
}

/// As [`say`], for keys that need no end of a line, such as ctrl-z.
#[track_caller]
pub fn press(pty: &mut Pty, typed: &str) -> String {
    std::thread::sleep(HEARD_IN);
    let before = pty.raw().len();
    pty.send(typed);
    let heard = |pty: &Pty| String::from_utf8_lossy(&pty.raw()[before..]).into_owned();
    // The terminal shows what was typed once more, then comes the answer.
    pty.wait(typed, |_| heard(pty).split_once('\n').is_some_and(|(_, answer)| answer.ends_with(PROMPT)));
    heard(pty)
}

#[track_caller]
pub fn hears(said: &str, texts: &[&str]) {
    for text in texts {
        assert!(said.contains(text), "'{text}' was not said, but\n{said}");
    }
}
