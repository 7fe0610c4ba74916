//! The practice fleet's own keys: its faults, and the guided exercise.

use std::path::Path;

use lifeboat::engine::practice::{Check, Deed, Exercise, ExerciseStep, Fault, PracticeNode, Shows};
use lifeboat::model::exit::Exit;
use lifeboat::model::ids::HostId;
use lifeboat::model::manifest::Rung;
use lifeboat::tui::keymap::Keymap;
use lifeboat::tui::message::{Effect, Notice, Order, Tone};
use lifeboat::tui::model::PracticeView;

use super::stage::Stage;
use crate::assert_page;

const TWO: &str = r#"
version = 1
[vault]
path = "/vault"
[hosts.val-1]
address = "127.0.0.1"
[hosts.val-1.services.avalanchego]
[hosts.spare-1]
address = "127.0.0.1"
[hosts.spare-1.services.avalanchego]
"#;

fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

fn node(name: &str, story: &str, in_force: &[Fault]) -> PracticeNode {
    PracticeNode { host: host(name), story: story.to_owned(), offers: Fault::ALL.to_vec(), in_force: in_force.to_vec() }
}

fn step(title: &str, why: &str, key: &str, deed: Deed, check: Check) -> ExerciseStep {
    ExerciseStep {
        title: title.to_owned(),
        why: why.to_owned(),
        key: key.to_owned(),
        deed,
        shows: Shows::All,
        check,
        ends: (Exit::Done, String::new()),
    }
}

pub fn view(done: [bool; 3]) -> PracticeView {
    let command = |line: &str| Deed::Command(line.split(' ').map(str::to_owned).collect());
    let lost = Check::InForce(host("val-1"), Fault::LoseNode);
    let proven = Check::Reached("val-1/avalanchego/staking-identity".to_owned(), Rung::Proven);
    PracticeView {
        nodes: vec![
            node("spare-1", "AvalancheGo is installed, and there are no keys.", &[]),
            node("val-1", "A validator that runs; its copies are fresh.", &[Fault::FillDisk]),
        ],
        exercise: Exercise {
            title: "val-1 is gone: bring it back on spare-1".to_owned(),
            scene: "val-1 is a validator. Its keys are its name in the network.".to_owned(),
            steps: vec![
                step(
                    "Lose val-1",
                    "The incident.",
                    "{practice} on val-1",
                    Deed::Break(host("val-1"), Fault::LoseNode),
                    lost,
                ),
                step("Look at it", "Is it really gone?", "{open} on val-1", command("doctor val-1"), Check::Ended),
                step(
                    "Bring it back",
                    "You state what you know.",
                    "{restore}",
                    command("restore val-1 --to spare-1"),
                    proven,
                ),
            ],
            moral: "A copy was proven before it was needed.".to_owned(),
        },
        done: done.to_vec(),
    }
}

pub fn practising(done: [bool; 3]) -> Stage {
    let mut stage = Stage::of_inventory(TWO);
    stage.notice(Notice::Practice(Box::new(view(done))));
    stage
}

#[test]
fn over_a_real_fleet_there_is_nothing_to_break() {
    let mut stage = Stage::of_inventory(TWO);
    stage.keys("P X");
    assert!(stage.asked.is_empty());
    assert!(!stage.app.has_modal());
}

#[test]
fn whoever_comes_to_the_practice_fleet_is_told_how_to_begin() {
    let mut stage = practising([false; 3]);
    let footer = |stage: &Stage| stage.grid((80, 24)).lines().last().unwrap().to_owned();
    assert_eq!(footer(&stage).trim(), "Nothing here is real. X shows the guided exercise, P breaks things.");
    stage.keys("down");
    assert!(footer(&stage).contains("enter open"), "until the first key");
    stage.notice(Notice::Practice(Box::new(view([true, false, false]))));
    assert!(footer(&stage).contains("enter open"), "and once");
}

#[test]
fn a_fault_is_put_in_force_and_one_in_force_is_taken_back() {
    let mut stage = practising([false; 3]);
    stage.keys("P right");
    assert_page!("practice_faults", stage);
    stage.keys("enter");
    assert!(
        matches!(&stage.asked[..], [Effect::Order(Order::Practise(host, Fault::CutLink, false))] if host.as_str() == "val-1")
    );
    stage.asked.clear();
    stage.keys("P right down down enter");
    assert!(matches!(&stage.asked[..], [Effect::Order(Order::Practise(_, Fault::FillDisk, true))]));
    stage.notice(Notice::Practised(Tone::Plain, "The disk of val-1 has room again.".to_owned()));
    assert!(stage.grid((80, 24)).contains("The disk of val-1 has room again."));
}

#[test]
fn the_exercise_says_what_is_done_what_is_next_and_why() {
    for (name, done) in [("begin", [false; 3]), ("lost", [true, true, false]), ("over", [true; 3])] {
        let mut stage = practising(done);
        stage.keys("X");
        assert!(matches!(&stage.asked[..], [Effect::Order(Order::ReadPractice)]));
        assert_page!(&format!("exercise_{name}"), stage);
    }
}

#[test]
fn the_exercise_is_hidden_by_its_own_key_and_the_fleet_is_the_fleet() {
    let mut stage = practising([false; 3]);
    let shows = |stage: &Stage, text: &str| stage.grid((80, 24)).contains(text);
    stage.keys("X");
    assert!(shows(&stage, "┌ Exercise "));
    stage.keys("X");
    assert!(!shows(&stage, "┌ Exercise "), "it is not laid over itself");
    stage.keys("V X F");
    assert!(shows(&stage, "┌ Fleet "), "{}", stage.grid((80, 24)));
    stage.keys("V V esc");
    assert!(shows(&stage, "┌ Fleet "), "a page that is shown is not opened again");
}

#[test]
fn the_exercise_names_the_keys_that_are_in_force() {
    let mut stage = practising([false; 3]);
    let (keymap, mistakes) =
        Keymap::parse("keys = [{ on = \"ctrl-p\", action = \"practice\" }]", Path::new("keys.toml"));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    stage.app.model.keymap = keymap;
    stage.keys("X");
    let page = stage.grid((80, 24));
    assert!(page.contains("ctrl-p on val-1"), "{page}");
    assert!(!page.contains("P on val-1") && !page.contains('{'), "{page}");
}

/// The exercise as it is played, on a console that found its fleet by directories of its own.
#[cfg(feature = "rehearsal")]
fn real_exercise(done: usize) -> Stage {
    let exercise = lifeboat::rehearsal::exercise::val_1_is_gone().unwrap();
    let count = exercise.steps.len();
    let view = PracticeView { exercise, done: (0..count).map(|at| at < done).collect(), ..view([false; 3]) };
    let mut stage = Stage::of_inventory(TWO);
    let dir = "/tmp/lifeboat-practice-7f3a9c";
    let named = |name, below: &str| (name, format!("{dir}/{below}"));
    stage.app.model.place.environment =
        vec![named("LIFEBOAT_CONFIG_DIR", "config"), named("LIFEBOAT_DATA_DIR", "data")];
    stage.app.model.place.is_practice = true;
    stage.notice(Notice::Practice(Box::new(view)));
    stage.keys("X");
    stage
}

#[cfg(feature = "rehearsal")]
#[test]
fn the_real_exercise_in_its_nine_steps() {
    for (name, done) in [("first", 0), ("break", 1), ("plan", 4), ("proven", 7), ("receipt", 8), ("done", 9)] {
        let mut stage = real_exercise(done);
        assert_page!(&format!("exercise_real_{name}"), stage);
    }
}

/// What is copied from the page into another terminal must never mean the operator's own fleet.
#[cfg(feature = "rehearsal")]
#[test]
fn every_command_of_the_exercise_carries_the_practice_fleet_with_it() {
    let env =
        "LIFEBOAT_CONFIG_DIR=/tmp/lifeboat-practice-7f3a9c/config LIFEBOAT_DATA_DIR=/tmp/lifeboat-practice-7f3a9c/data";
    let mut seen = 0;
    for done in 0..9 {
        let page = real_exercise(done).grid((120, 60));
        // A line that goes on ends in a backslash.
        let text = page.lines().map(|line| line.trim_matches(['│', ' '])).collect::<Vec<_>>().join(" ");
        let text = text.replace('\\', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!text.contains("{run}") && !text.contains("break val-1"), "{page}");
        for (at, _) in text.match_indices("lifeboat ") {
            if text[..at].ends_with("in a shell ") || text[..at].ends_with("data ") {
                assert!(text[..at].trim_end().ends_with(env), "{page}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "{seen}");
    assert!(real_exercise(1).grid((80, 24)).contains("P on val-1, then lose-node"));
}
