//! The equal command line: what a wizard is about to do, as somebody would type it.

use crate::engine::rollback;
use crate::engine::runs::{PLAN_GATE, Resume, plan_answer};
use crate::transport::quote::quote;
use crate::tui::message::Wish;
use crate::tui::model::{Job, Place};

/// The command line that does what a wish says, quoted for a shell. With its job it runs only the plan that was made, and
/// answers the gates that are known.
pub fn command_line(place: &Place, wish: &Wish, job: Option<&Job>) -> String {
    let mut words = vec!["lifeboat".to_owned()];
    words.extend(place.flags.iter().cloned());
    match wish {
        Wish::BackUp { item, reason, set } => {
            words.extend(["backup".to_owned(), item.to_string()]);
            words.extend(reason.iter().flat_map(|reason| valued("--reason", reason)));
            words.extend(set.iter().flat_map(|(key, value)| valued("--set", &format!("{key}={value}"))));
        }
        Wish::Restore { item, snapshot, to, set } => {
            words.extend(["restore".to_owned(), format!("{item}@{snapshot}")]);
            words.extend(valued("--to", to.as_str()));
            words.extend(set.iter().flat_map(|(key, value)| valued("--set", &format!("{key}={value}"))));
        }
        Wish::Verify(copies) => {
            words.push("verify".to_owned());
            words.extend(copies.iter().map(|(item, id)| format!("{item}@{id}")));
        }
        Wish::VerifyVault(_) => words.push("verify".to_owned()),
        Wish::RollBack(run) => {
            words.extend(["rollback".to_owned(), run.to_string()]);
            words.extend(valued("--confirm", &format!("{}={run}", rollback::GATE)));
        }
        Wish::Resume(run, how, on) => {
            words.extend(["resume".to_owned(), run.to_string()]);
            if let Some(shown) = on {
                words.push("--adopt".to_owned());
                words.extend(valued("--on", shown.host.as_str()));
                if *how != Resume::Leave {
                    words.extend(valued("--confirm", &plan_answer(&shown.plan)));
                }
            }
            match how {
                Resume::GoOn => {}
                Resume::RollBack => words.push("--roll-back".to_owned()),
                Resume::Leave => words.push("--leave".to_owned()),
            }
        }
        Wish::Deed(deed) => words.extend(deed.words()),
    }
    let planned = job.and_then(|job| job.planned.as_ref());
    let asked = planned.into_iter().flat_map(|planned| &planned.plan.gates);
    let ahead = job.and_then(|job| job.ahead.as_ref()).into_iter().flat_map(|ahead| &ahead.gates);
    // A rollback and the plan of a node's run are answered above.
    let gates = asked.chain(ahead.filter(|gate| ![PLAN_GATE, rollback::GATE].contains(&gate.id.as_str())));
    words.extend(gates.flat_map(|gate| valued("--confirm", &format!("{}={}", gate.id, gate.word))));
    words.extend(planned.into_iter().flat_map(|planned| valued("--plan-hash", &planned.hash)));
    shell_line(place, &words)
}

/// The command line of these words after the program's name, so that a shell beside the console means the same
/// inventory and vault by it.
pub fn command_of(place: &Place, words: &[String]) -> String {
    let program = std::iter::once("lifeboat".to_owned());
    let all: Vec<String> = program.chain(place.flags.iter().cloned()).chain(words.iter().cloned()).collect();
    shell_line(place, &all)
}

fn shell_line(place: &Place, words: &[String]) -> String {
    let set = place.environment.iter().map(|(name, value)| format!("{name}={}", shell_word(value)));
    set.chain(words.iter().map(|word| shell_word(word))).collect::<Vec<_>>().join(" ")
}

/// A flag with its value; one that begins like a flag is joined to it, so that it is not read as one.
pub fn valued(flag: &str, value: &str) -> Vec<String> {
    if value.starts_with('-') { vec![format!("{flag}={value}")] } else { vec![flag.to_owned(), value.to_owned()] }
}

/// A word as a shell reads it back; quoted only where it must be.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { quote(word.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        let item = crate::vault::SnapshotRef::from_str("val-1/files/tree").unwrap().item;
        let set = BTreeMap::from([("stop".to_owned(), "a'b $HOME".to_owned())]);
        let wish = Wish::BackUp { item, reason: Some("-before the move".to_owned()), set };
        let place = Place { flags: vec!["--vault".into(), "/my vault".into()], ..Place::default() };
        assert_eq!(
            command_line(&place, &wish, None),
            r"lifeboat --vault '/my vault' backup val-1/files/tree '--reason=-before the move' --set 'stop=a'\''b $HOME'"
        );
    }

    use std::str::FromStr;
}
