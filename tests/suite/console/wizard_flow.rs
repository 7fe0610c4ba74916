//! What the wizards do and never do: nothing runs but what was shown, and nothing gated without its words.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lifeboat::engine::holdings::Holdings;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::tui::message::{Effect, Msg, Notice, Order, Wish};
use lifeboat::tui::model::JobId;
use lifeboat::tui::wizard;
use proptest::prelude::*;
use serde_json::json;

use super::stage::Stage;
use super::wizard_cast::*;
use super::wizard_pages::{previewing, restoring};
use crate::vault::item;

fn shows(stage: &Stage, text: &str) -> bool {
    stage.grid((80, 24)).contains(text)
}

#[track_caller]
fn assert_shows(stage: &Stage, text: &str) {
    assert!(shows(stage, text), "'{text}' is not on\n{}", stage.grid((80, 24)));
}

/// On the first question, its keys no longer held back.
fn asked() -> Stage {
    let mut stage = previewing(true);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage
}

#[test]
fn exactly_the_plan_that_was_shown_runs_with_the_words_that_were_typed() {
    let mut stage = asked();
    let shown = restore("none", true).hash;
    stage.text("val-1").keys("enter");
    wait(&mut stage, 1);
    assert!(runs(&stage).is_empty(), "one of two words is not enough");
    stage.text("203.0.113.7").keys("enter");
    let runs = runs(&stage);
    let (_, planned, answered) = &runs[0];
    assert_eq!((runs.len(), &planned.hash), (1, &shown));
    assert!(planned.open_gates(answered).is_empty(), "{answered:?}");
}

#[test]
fn a_plan_that_replaces_something_without_a_gate_wants_the_name_of_its_host() {
    let mut stage = previewing(false);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    assert!(runs(&stage).is_empty(), "enter alone goes back");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("spare-1").keys("enter");
    assert_eq!(runs(&stage).len(), 1);
}

#[test]
fn keys_typed_ahead_of_a_question_are_dropped() {
    let mut stage = previewing(true);
    stage.keys("enter").text("val-1").keys("enter").text("203.0.113.7").keys("enter");
    assert!(runs(&stage).is_empty());
    assert_shows(&stage, "Question 1 of 2");
    assert!(!shows(&stage, "> val-1"));
}

#[test]
fn keys_typed_ahead_of_the_preview_start_nothing() {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY)]));
    answer(&mut stage, |_| Ok(backup(IDENTITY)));
    stage.keys("enter enter enter enter enter");
    assert!(runs(&stage).is_empty());
    assert_shows(&stage, "overwrites");
    wait(&mut stage, 1);
    stage.keys("enter");
    assert_eq!(runs(&stage).len(), 1);
}

#[test]
fn pasted_text_is_no_answer() {
    let mut stage = asked();
    stage.asked.extend(stage.app.update(Msg::Paste("val-1".into())));
    assert_shows(&stage, "Pasted text is no answer here");
    assert!(!shows(&stage, "> val-1"));
    stage.keys("enter");
    assert_shows(&stage, "overwrites");
    assert!(runs(&stage).is_empty());
}

#[test]
fn a_question_left_alone_goes_back_to_the_preview_and_never_acts() {
    let mut stage = asked();
    stage.text("val-1");
    wait(&mut stage, 89);
    assert_shows(&stage, "Question 1 of 2");
    wait(&mut stage, 1);
    assert_shows(&stage, "Nobody answered, so nothing was done.");
    stage.keys("x");
    assert!(runs(&stage).is_empty());
    // Also when nothing told the time in between, as after the machine slept.
    let mut stage = asked();
    stage.text("val-1").keys("enter");
    wait(&mut stage, 1);
    stage.text("203.0.113.7");
    stage.app.model.now += jiff::SignedDuration::from_secs(4000);
    stage.keys("enter");
    assert!(runs(&stage).is_empty());
    assert_shows(&stage, "Nobody answered");
}

#[test]
fn a_clock_that_jumps_back_answers_nothing() {
    let mut stage = asked();
    stage.app.model.now -= jiff::SignedDuration::from_hours(3);
    stage.text("val-1").keys("enter");
    assert!(runs(&stage).is_empty());
    assert_shows(&stage, "Nobody answered");
}

#[test]
fn nothing_goes_past_an_identity_that_is_alive_elsewhere() {
    let mut stage = stage(wizard::restore(Some(item(IDENTITY)), None));
    stage.keys("up enter").text("spare").keys("enter");
    answer(&mut stage, |_| Err(alive()));
    stage.keys("end enter");
    assert_shows(&stage, "STOP: this identity runs elsewhere.");
    for _ in 0..5 {
        wait(&mut stage, 1);
        stage.keys("enter tab enter space").text("val-1").keys("enter");
    }
    assert_shows(&stage, "STOP: this identity runs elsewhere.");
    assert!(runs(&stage).is_empty());
    // Looking again is possible, and the engine's own choice stands on the first page.
    stage.asked.clear();
    stage.keys("f5");
    assert!(matches!(orders(&stage)[..], [Order::Plan(..)]));
    answer(&mut stage, |_| Err(alive()));
    stage.keys("esc");
    assert_shows(&stage, "fence");
    stage.keys("end up right");
    assert!(
        orders(&stage)
            .iter()
            .any(|order| matches!(order, Order::Plan(_, Wish::Restore { set, .. }) if set["fence"] == "stop"))
    );
}

#[test]
fn a_choice_is_planned_anew_and_never_overtaken() {
    let mut stage = restoring(true);
    stage.keys("up enter backspace backspace").text("90").keys("enter");
    let job = match orders(&stage)[..] {
        [Order::Plan(job, Wish::Restore { set, .. })] if set.get("guard").is_some_and(|v| v == "90") => *job,
        ref other => panic!("{other:?}"),
    };
    // Chosen once more while the first is on its way: it is made again, not run as it comes back.
    stage.asked.clear();
    stage.keys("enter backspace backspace").text("30").keys("enter");
    assert!(orders(&stage).is_empty(), "one plan at a time");
    stage.notice(Notice::Planned(job, Box::new(Ok(restore("none", true)))));
    assert!(matches!(orders(&stage)[..], [Order::Plan(_, Wish::Restore { set, .. })] if set["guard"] == "30"));
}

#[test]
fn a_stale_plan_runs_nothing_and_is_shown_anew() {
    let mut stage = asked();
    stage.text("val-1").keys("enter");
    wait(&mut stage, 1);
    stage.text("203.0.113.7").keys("enter");
    let job = runs(&stage)[0].0;
    stage.asked.clear();
    stage.notice(Notice::Started(job));
    stage.notice(Notice::Ended(job, Err(Failure::new(Exit::Stale, "What the plan rests on has changed: node_id."))));
    answer(&mut stage, |_| Ok(restore("NodeID-Ke2", true)));
    assert_shows(&stage, "What changed since");
    assert_shows(&stage, "NodeID-Ke2");
    stage.keys("enter enter enter");
    assert!(runs(&stage).is_empty());
}

#[test]
fn going_back_is_possible_until_something_runs() {
    let mut stage = asked();
    stage.keys("esc");
    assert_shows(&stage, "overwrites");
    stage.keys("esc esc");
    assert_shows(&stage, "Go on");
    assert!(runs(&stage).is_empty());
}

#[test]
fn several_items_are_several_jobs_under_one_preview() {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY), item(CHAINS)]));
    answer(&mut stage, |wish| match wish {
        Wish::BackUp { item: place, .. } => Ok(backup(&place.to_string())),
        _ => Err(alive()),
    });
    stage.keys("enter enter");
    wait(&mut stage, 1);
    assert_shows(&stage, "2 plans, each a job of its own");
    stage.keys("enter");
    let runs: Vec<String> =
        runs(&stage).iter().map(|(_, planned, _)| planned.plan.command.place().to_string()).collect();
    assert_eq!(runs, [IDENTITY, CHAINS]);
}

#[test]
fn the_engine_s_new_hand_gets_the_plan_only_once() {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY)]));
    answer(&mut stage, |_| Ok(backup(IDENTITY)));
    stage.keys("enter enter");
    wait(&mut stage, 1);
    stage.keys("enter enter enter");
    wait(&mut stage, 1);
    stage.keys("enter enter");
    assert_eq!(runs(&stage).len(), 1);
}

/// The bell is for who looked away, and only after a long job.
#[test]
fn a_long_job_that_ends_unseen_rings() {
    for (seconds, leaves, rings) in [(31, true, true), (31, false, false), (29, true, false)] {
        let mut stage = stage(wizard::back_up(vec![item(IDENTITY)]));
        answer(&mut stage, |_| Ok(backup(IDENTITY)));
        stage.keys("enter enter");
        wait(&mut stage, 1);
        stage.keys("enter");
        let job = runs(&stage)[0].0;
        stage.notice(Notice::Started(job));
        if leaves {
            stage.keys("O");
        }
        wait(&mut stage, seconds);
        stage.notice(Notice::Ended(job, Ok(Some(report(json!({}))))));
        let rang = stage.asked.iter().any(|effect| matches!(effect, Effect::Bell(_)));
        assert_eq!(rang, rings, "{seconds} s, left: {leaves}");
    }
}

#[test]
fn leaving_while_a_job_runs_lists_it_and_asks() {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY)]));
    answer(&mut stage, |_| Ok(backup(IDENTITY)));
    stage.keys("enter enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    let job = runs(&stage)[0].0;
    stage.notice(Notice::Started(job)).keys("q");
    assert_shows(&stage, "Back up val-1/avalanchego/staking-identity");
    assert!(!stage.asked.iter().any(|effect| matches!(effect, Effect::Quit)));
}

#[derive(Debug, Clone)]
enum Move {
    Key(KeyCode),
    Wait(i64),
    Paste(&'static str),
    Planned(bool),
    Ended,
    Vanish,
    Size(u16, u16),
}

/// Anything a terminal, the clock and the crew can do, the gates' letters left out.
fn moves() -> impl Strategy<Value = Vec<Move>> {
    let key = prop_oneof![
        6 => Just(KeyCode::Enter),
        2 => Just(KeyCode::Esc),
        2 => Just(KeyCode::Tab),
        2 => Just(KeyCode::Down),
        2 => Just(KeyCode::Up),
        1 => Just(KeyCode::Left),
        1 => Just(KeyCode::Right),
        1 => Just(KeyCode::Backspace),
        // Every letter but one of the first word's, so that the word itself is never typed.
        4 => prop_oneof![Just('v'), Just('a'), Just('l'), Just('1'), Just('x'), Just('r'), Just('b'), Just(' '), Just('B')]
            .prop_map(KeyCode::Char),
    ];
    let step = prop_oneof![
        8 => key.prop_map(Move::Key),
        3 => (1_i64..200).prop_map(Move::Wait),
        1 => prop_oneof![Just("val-1"), Just("203.0.113.7")].prop_map(Move::Paste),
        2 => any::<bool>().prop_map(Move::Planned),
        1 => Just(Move::Ended),
        1 => Just(Move::Vanish),
        1 => (0_u16..130, 0_u16..45).prop_map(|(width, height)| Move::Size(width, height)),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Whatever is pressed, pasted, waited for or reported: a gated plan runs only after its words were typed.
    #[test]
    fn random_keys_never_run_a_gated_plan(moves in moves()) {
        let mut stage = restoring(true);
        for step in moves {
            match step {
                Move::Key(code) => {
                    let key = KeyEvent::new(code, KeyModifiers::NONE);
                    stage.asked.extend(stage.app.update(Msg::Key(key)));
                }
                Move::Wait(seconds) => wait(&mut stage, seconds),
                Move::Paste(text) => stage.asked.extend(stage.app.update(Msg::Paste(text.into()))),
                Move::Planned(well) => {
                    let asked: Vec<JobId> = stage.app.model.jobs.iter().map(|job| job.id).collect();
                    let plan = || if well { Ok(restore("none", true)) } else { Err(alive()) };
                    for job in asked {
                        stage.notice(Notice::Planned(job, Box::new(plan())));
                    }
                }
                Move::Ended => {
                    stage.notice(Notice::Ended(JobId(1), Err(Failure::new(Exit::Stale, "Stale."))));
                }
                Move::Vanish => {
                    stage.app.model.fleet.owners.clear();
                    stage.notice(Notice::Vault(Ok(Arc::new(Holdings::default()))));
                }
                Move::Size(width, height) => drop(stage.draw((width, height))),
            }
            prop_assert!(runs(&stage).is_empty());
        }
        stage.draw((80, 24));
    }
}
