//! What is said once the terminal was given back: that jobs are being undone, and what became of them.

use std::io::Write;

use crate::engine::phrases::count;
use crate::model::exit::Exit;
use crate::model::text::CleanText;
use crate::tui::crew::{Crew, Ended};

/// Stops every job, waits until what it changed is undone, and says so; the worst end, as an exit.
///
/// An undoing may take minutes and may fail: who sees only a silent terminal would end it by force, and who sees
/// nothing after it would think that all is well.
pub fn dismiss(crew: Crew) -> Exit {
    let live = crew.live();
    if live > 0 {
        say(&format!("Stopping {}; what was changed is undone first.\n", count(live, "job")));
    }
    let ended = crew.dismiss();
    for ended in &ended {
        let text = told(ended);
        tracing::warn!("{}", text.trim_end().replace('\n', " "));
        say(&text);
    }
    Exit::of_all(ended.into_iter().map(|ended| ended.failure.map_or(Exit::Done, |failure| failure.exit)))
}

/// An end in lines; what a node said in it drives no terminal.
fn told(ended: &Ended) -> String {
    let clean = |text: &str| CleanText::new(text).one_line().to_string();
    let Some(failure) = &ended.failure else { return format!("lifeboat: {}: done.\n", clean(&ended.title)) };
    let mut text = format!("lifeboat: {}: {}\n", clean(&ended.title), clean(&failure.message));
    if let Some(state) = &failure.state {
        text.push_str(&format!("  now:  {}\n", clean(state)));
    }
    for hint in &failure.hints {
        text.push_str(&format!("  next: {}\n", clean(hint)));
    }
    text
}

/// Writes to the error stream; nobody is left to tell when that is gone.
fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exit::Failure;

    #[test]
    fn an_end_is_told_with_its_state_and_drives_no_terminal() {
        let title = "Restore val-1/files/tree to val-1".to_owned();
        let done = Ended { title: title.clone(), failure: None };
        assert_eq!(told(&done), "lifeboat: Restore val-1/files/tree to val-1: done.\n");
        let failure = Failure::new(Exit::Changed, "mv failed: \u{1b}[2Jevil.").state("It is down.").hint("Look.");
        let text = told(&Ended { title, failure: Some(failure) });
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.ends_with("\n  now:  It is down.\n  next: Look.\n"), "{text:?}");
    }
}
