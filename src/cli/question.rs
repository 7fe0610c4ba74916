//! Asking a person for a word at the terminal. No word, another word and `^C` are a no.

use std::io::{self, IsTerminal, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::app::App;
use crate::model::exit::{Exit, Failure, Result};
use crate::transport::Cancel;

/// Whether a person is there who sees the question and can answer it.
pub fn can_ask(app: &App) -> bool {
    !app.global.no_input && !app.out.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for `word`; whether it was what was typed.
///
/// # Errors
/// [`Exit::Cancelled`] when the operator interrupts instead.
pub fn ask(app: &App, question: &str, word: &str) -> Result<bool> {
    app.out.clear_status();
    let mut err = io::stderr();
    let asked = write!(err, "{question}\nType '{word}' to go on: ").and_then(|()| err.flush());
    let answer = asked.and_then(|()| read_line(&app.desk.cancel));
    match answer {
        Ok(Some(line)) => Ok(line.trim() == word),
        Ok(None) => {
            app.out.aside("");
            Err(Failure::new(Exit::Cancelled, "Cancelled at a question.").unchanged())
        }
        Err(error) => Err(Failure::new(Exit::Confirmation, format!("The question could not be asked: {error}."))),
    }
}

/// Asks a yes-or-no question whose answer is the word `yes`; without a person the answer is no.
pub fn ask_yes(app: &App, question: &str) -> Result<bool> {
    if can_ask(app) { ask(app, question, "yes") } else { Ok(false) }
}

/// No answer is longer.
const LONGEST: usize = 1024;

/// A line of standard input, or none once the operator wishes to stop. The system restarts a blocked read after a
/// signal, so the wish is looked at while nothing has been typed.
fn read_line(cancel: &Cancel) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    let mut typed = Vec::new();
    while typed.len() < LONGEST {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let turn = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&turn)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut byte = [0];
        match rustix::io::read(&stdin, &mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => typed.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(String::from_utf8_lossy(&typed).into_owned()))
}
