//! The guided exercise, as data: "val-1 is gone: bring it back on spare-1".

use crate::engine::practice::{Check, Deed, Exercise, ExerciseStep, Fault, Shows};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::manifest::Rung;

const IDENTITY: &str = "val-1/avalanchego/staking-identity";

/// What a step is made of, in the order it is read.
struct Line {
    title: &'static str,
    why: &'static str,
    key: &'static str,
    deed: Deed,
    shows: Shows,
    check: Check,
    ends: (Exit, &'static str),
}

/// The exercise.
///
/// # Errors
/// Never, as long as the names in it are names.
pub fn val_1_is_gone() -> Result<Exercise> {
    let host = |name: &str| HostId::new(name).map_err(|error| Failure::new(Exit::Failed, error.to_string()));
    let (val, spare) = (host("val-1")?, host("spare-1")?);
    let steps = before(&val).into_iter().chain(after(&spare)).map(|line| ExerciseStep {
        title: line.title.to_owned(),
        why: line.why.to_owned(),
        key: line.key.to_owned(),
        deed: line.deed,
        shows: line.shows,
        check: line.check,
        ends: (line.ends.0, line.ends.1.to_owned()),
    });
    Ok(Exercise {
        title: "val-1 is gone: bring it back on spare-1".to_owned(),
        scene: "val-1 is a validator. Its keys are its name in the network: whoever holds them is val-1, and without them its \
                stake earns nothing. spare-1 has AvalancheGo installed and no keys. You will lose val-1 and bring it back."
            .to_owned(),
        steps: steps.collect(),
        moral: "A copy was proven before it was needed, the plan was read before it ran, you stated what no program could \
                know, and the receipt holds it all."
            .to_owned(),
    })
}

fn command(words: &[&str]) -> Deed {
    Deed::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

/// Up to the loss.
fn before(val: &HostId) -> Vec<Line> {
    vec![
        Line {
            title: "See what could be brought back",
            why: "Before anything is lost: which copies of val-1 are in the vault, and are they sound? No node is needed. Every byte \
                  is hashed, the seal is opened with the key at hand, and the three files are shown to be one identity.",
            key: "{verify} on val-1",
            deed: command(&["verify", "val-1"]),
            shows: Shows::All,
            check: Check::Reached(IDENTITY.to_owned(), Rung::Openable),
            ends: (Exit::Done, "Two copies of the staking identity are there, sound, and you can open them."),
        },
        Line {
            title: "Lose val-1",
            why: "The machine is gone with everything on it. This is the incident.",
            key: "{practice} on val-1",
            deed: Deed::Break(val.clone(), Fault::LoseNode),
            shows: Shows::All,
            check: Check::InForce(val.clone(), Fault::LoseNode),
            ends: (Exit::Done, ""),
        },
        Line {
            title: "Look at it",
            why: "Is it really gone, or is it the network? Lifeboat says how far it came and what it saw.",
            key: "{open} on val-1",
            deed: command(&["doctor", "val-1"]),
            shows: Shows::All,
            check: Check::Ended,
            ends: (Exit::Unreachable, "Nothing answers. That is no proof that it is off; remember this for later."),
        },
        Line {
            title: "Look at the spare",
            why: "What is on the machine that shall take its place?",
            key: "{open} on spare-1",
            deed: command(&["doctor", "spare-1"]),
            shows: Shows::All,
            check: Check::Ended,
            ends: (Exit::Done, "It answers, and it has what a restore needs."),
        },
    ]
}

/// The way back.
fn after(spare: &HostId) -> Vec<Line> {
    let restore = ["restore", IDENTITY, "--to", "spare-1"];
    vec![
        Line {
            title: "Read the plan",
            why: "The plan is what will run, step by step, with the way back of each. Making it changes nothing.",
            key: "{restore} on the identity",
            deed: command(&[restore.as_slice(), &["--plan"]].concat()),
            shows: Shows::All,
            check: Check::Ended,
            ends: (Exit::Done, "The node is armed before anything stops, and one question is open."),
        },
        Line {
            title: "Try it without answering",
            why: "One identity, one running node: two would harm each other. val-1 does not answer, so nobody can prove it is off. \
                  The restore does not begin until somebody says so.",
            key: "{next}",
            deed: command(&[restore.as_slice(), &["--no-input"]].concat()),
            shows: Shows::From("lifeboat:".to_owned()),
            check: Check::Ended,
            ends: (Exit::Confirmation, "Nothing was changed: the gate is open."),
        },
        Line {
            title: "Answer the gate and restore",
            why: "You know that val-1 is gone: you state it, by name. The statement will stand in the receipt.",
            key: "type val-1, then enter",
            deed: command(&[restore.as_slice(), &["--confirm", "fenced-val-1=val-1"]].concat()),
            shows: Shows::From("run ".to_owned()),
            check: Check::Runs(spare.clone(), "avalanchego.service".to_owned()),
            ends: (Exit::Done, "spare-1 was asked who it is, and it is val-1: NodeID, BLS key and proof."),
        },
        Line {
            title: "See it proven",
            why: "The copy was used in a real restore and the result was checked: it is proven now, with a date.",
            key: "{open} on the item",
            deed: command(&["show", IDENTITY]),
            shows: Shows::Until("files".to_owned()),
            check: Check::Reached(IDENTITY.to_owned(), Rung::Proven),
            ends: (Exit::Done, "There is no higher rung."),
        },
        Line {
            title: "Read the receipt",
            why: "What was done, what was confirmed and by whom, signed and linked to the receipt before.",
            key: "{runs}",
            deed: command(&["runs", "{run}"]),
            shows: Shows::All,
            check: Check::Receipt(spare.clone()),
            ends: (Exit::Done, "That is the whole story, and it can be checked by anybody."),
        },
    ]
}
