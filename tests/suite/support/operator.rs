//! What an operator does at the console, by keys and by what the screen shows.

use super::pty::Pty;

const HOME: &str = "\x1b[H";
const END: &str = "\x1b[F";
const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";

/// Goes to a host of the fleet page: its name is the last crumb.
#[track_caller]
pub fn go_to_host(pty: &mut Pty, host: &str) {
    pty.send("1");
    let crumb = format!("› {host} ");
    // A host whose state changes meanwhile moves to another line, maybe past where one is: then once more from the top.
    let pass = [&[HOME][..], &[DOWN; 25]].concat();
    pty.press_until(&pass, &format!("the host {host}"), |screen| {
        screen.lines().next().is_some_and(|line| format!("{line} ").contains(&crumb))
    });
}

/// Goes to an item of the selected host: the pane of details is named after it, as far as there is room.
#[track_caller]
pub fn go_to_item(pty: &mut Pty, place: &str) {
    pty.send("2").send(HOME);
    let pane = format!("┌ {}", &place[..place.len().min(25)]);
    let pass = [&[HOME][..], &[DOWN; 25]].concat();
    pty.press_until(&pass, &format!("the item {place}"), |screen| screen.contains(&pane));
}

/// The restore's first page, for an item chosen before: another target, then on to the preview.
#[track_caller]
pub fn choose_target(pty: &mut Pty, to: &str) {
    pty.read("Go on");
    pty.send(UP).send(ENTER);
    pty.read("onto: type to narrow");
    pty.send(to).send(ENTER);
    // What can be chosen of a plan stands there once there is a plan.
    pty.read("guard");
    pty.send(END).send(ENTER);
    pty.read("A key that opens the copy was tried");
    pty.send(ENTER);
    pty.read("overwrites");
}

/// Leaves the preview and answers every question with the word the page asks for. Gives the words.
#[track_caller]
pub fn answer_every_question(pty: &mut Pty) -> Vec<String> {
    pty.send(ENTER);
    let mut words = Vec::new();
    loop {
        let page = pty.read(&format!("Question {} of ", words.len() + 1));
        let after = |lead: &str| page.split_once(lead).map(|(_, rest)| rest.to_owned());
        let count = after("Question ").and_then(|rest| rest.split_whitespace().nth(2)?.parse::<usize>().ok());
        let word = after("Type ").and_then(|rest| Some(rest.split_once(" to go on:")?.0.to_owned()));
        let word = word.unwrap_or_else(|| panic!("no word is asked for on\n{page}"));
        pty.send(&word).send(ENTER);
        words.push(word);
        if count == Some(words.len()) {
            return words;
        }
    }
}
