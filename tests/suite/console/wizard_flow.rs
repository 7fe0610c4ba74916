//! What the wizards do and never do: nothing runs but what was shown, and nothing gated without its words.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lifeboat::engine::holdings::Holdings;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::SnapshotId;
use lifeboat::tui::message::{Effect, Msg, Notice, Order, Wish};
use lifeboat::tui::model::JobId;
use lifeboat::tui::wizard;
use proptest::prelude::*;
use serde_json::json;

use super::properties::cases;
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
    assert_shows(&stage, "This identity runs elsewhere.");
    assert_shows(&stage, "'stop' for 'fence'");
    for _ in 0..5 {
        wait(&mut stage, 1);
        stage.keys("enter tab enter space").text("val-1").keys("enter");
    }
    assert_shows(&stage, "This identity runs elsewhere.");
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
    answer(&mut stage, |_| Ok(restore("NodeID-Ke2oW9mUtLr4dTbqy3XvHn8sPfZcA1jQe", true)));
    assert_shows(&stage, "What changed since");
    assert_shows(&stage, "NodeID-Ke2oW9mUtLr4dTbqy3XvHn8sPfZcA1jQe");
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
    // Away: on the job's own page, with another window in front of it.
    for (seconds, leaves, away, rings) in [
        (31, true, false, true),
        (31, false, false, false),
        (31, false, true, true),
        (29, true, false, false),
        (29, false, true, false),
    ] {
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
        stage.app.update(Msg::Focus(false));
        stage.app.update(Msg::Focus(!away));
        wait(&mut stage, seconds);
        stage.notice(Notice::Ended(job, Ok(Some(report(json!({}))))));
        let rang = stage.asked.iter().any(|effect| matches!(effect, Effect::Bell(_)));
        assert_eq!(rang, rings, "{seconds} s, left: {leaves}, away: {away}");
        // Whoever looked away is told in words too, however short it was.
        let told = "Back up val-1/avalanchego/staking-identity: done. J shows it.";
        assert_eq!(stage.grid((120, 40)).contains(told), leaves, "{seconds} s, left: {leaves}");
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
    #![proptest_config(ProptestConfig { cases: cases(192), ..ProptestConfig::default() })]

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

/// The footer never offers a key that would become part of the word.
#[test]
fn while_a_word_is_typed_only_the_keys_that_work_are_offered() {
    let footer = |stage: &Stage| stage.grid((120, 40)).lines().last().unwrap_or_default().to_owned();
    let mut stage = asked();
    assert_eq!(footer(&stage).trim(), "enter give the word   esc back to the preview");
    stage.keys("esc");
    assert!(footer(&stage).contains("V vault"), "{}", footer(&stage));
    let mut stage = restoring(true);
    stage.keys("up enter");
    assert_eq!(footer(&stage).trim(), "enter take it   esc leave it as it was");
    stage.keys("esc home enter");
    assert_eq!(footer(&stage).trim(), "up, down choose   enter take it   esc leave it as it was");
}

#[test]
fn cancel_means_the_job_in_sight_and_no_other() {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY), item(CHAINS)]));
    answer(&mut stage, |wish| match wish {
        Wish::BackUp { item: place, .. } => Ok(backup(&place.to_string())),
        _ => Err(alive()),
    });
    stage.keys("enter enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    let jobs: Vec<JobId> = runs(&stage).iter().map(|(job, ..)| *job).collect();
    stage.notice(Notice::Started(jobs[0])).notice(Notice::Started(jobs[1]));
    stage.notice(Notice::Ended(jobs[0], Ok(Some(report(json!({}))))));
    let cancelled = |stage: &Stage| -> Vec<JobId> {
        orders(stage).into_iter().filter_map(|o| if let Order::Cancel(job) = o { Some(*job) } else { None }).collect()
    };
    stage.keys("x");
    assert_eq!(cancelled(&stage), [], "the one in sight has ended");
    assert_shows(&stage, "cancel: not now, it has ended.");
    stage.keys("down x");
    assert_eq!(cancelled(&stage), [jobs[1]]);
}

/// The newest good copy is another one by now, so the plan that stands on the page is for the wrong one.
#[test]
fn a_plan_is_made_anew_when_the_vault_holds_another_copy() {
    let mut stage = restoring(true);
    stage.asked.clear();
    stage.notice(Notice::Vault(Ok(Arc::new(holdings()))));
    assert!(!orders(&stage).iter().any(|order| matches!(order, Order::Plan(..))), "nothing else is wished for");
    stage.notice(Notice::Vault(Ok(Arc::new(with_the_newest_sound()))));
    let planned = orders(&stage).into_iter().find_map(|order| match order {
        Order::Plan(_, Wish::Restore { snapshot, .. }) => Some(snapshot.to_string()),
        _ => None,
    });
    assert_eq!(planned.as_deref(), Some("20261120T020000Z-11aa"));
}

/// Who reads a preview must not find another one under his finger.
#[test]
fn a_preview_whose_copy_is_no_longer_the_newest_goes_back_to_its_checks() {
    let mut stage = previewing(false);
    assert_shows(&stage, "◐ preview");
    stage.notice(Notice::Vault(Ok(Arc::new(with_the_newest_sound()))));
    answer(&mut stage, |_| Ok(restore("none", false)));
    stage.keys("enter");
    assert_shows(&stage, "◐ preview");
    assert_shows(&stage, "The vault has changed: look at the new plan.");
    stage.keys("enter");
    assert!(runs(&stage).is_empty(), "the key that was meant for the page before starts nothing");
}

/// Where two good copies have different identities nobody but the operator knows which is the one.
#[test]
fn a_copy_that_is_not_to_be_guessed_is_chosen_by_hand() {
    let mut holdings = with_the_newest_sound();
    for shelf in holdings.items.values_mut() {
        shelf.best = Err("newer verified copies have another identity");
    }
    let mut stage = stage_with(wizard::restore(Some(item(IDENTITY)), None), holdings);
    assert!(!orders(&stage).iter().any(|order| matches!(order, Order::Plan(..))), "nothing is guessed");
    stage.keys("pgdn enter");
    assert_shows(&stage, "Choose the copy yourself: newer verified copies have another identity.");
}

/// What checks stored copies has no plan that a change of the vault could make stale.
#[test]
fn a_verification_is_not_thrown_back_by_a_vault_that_was_read_again() {
    let copy = (item(IDENTITY), SnapshotId::new(GOOD).unwrap());
    let mut stage = stage(wizard::verify(vec![copy]));
    stage.notice(Notice::Vault(Ok(Arc::new(with_the_newest_sound()))));
    assert!(!shows(&stage, "The vault has changed"), "{}", stage.grid((80, 24)));
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    assert!(orders(&stage).iter().any(|order| matches!(order, Order::Do(..))), "{}", stage.grid((80, 24)));
}

/// A batch is tried again as it was wished for.
#[test]
fn a_batch_is_retried_with_its_reason_and_choices() {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY), item(CHAINS)]));
    let plan = |wish: &Wish| match wish {
        Wish::BackUp { item: place, .. } => Ok(stopping_backup(&place.to_string())),
        _ => Err(alive()),
    };
    answer(&mut stage, plan);
    stage.keys("g g down down down enter").text("before the move").keys("enter down enter").text("0").keys("enter end");
    answer(&mut stage, plan);
    let wished = |stage: &Stage| -> Vec<Wish> {
        stage.app.model.jobs.iter().rev().take(2).map(|job| job.wish.clone()).collect()
    };
    let before = wished(&stage);
    let is_as_chosen = |wish: &Wish| matches!(wish, Wish::BackUp { reason: Some(why), set, .. } if why == "before the move" && !set.is_empty());
    assert!(before.iter().all(is_as_chosen), "{before:?}\n{}", stage.grid((80, 24)));
    let jobs = begin_batch(&mut stage);
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        stage.notice(Notice::Started(job));
        stage.notice(Notice::Ended(job, Err(Failure::new(Exit::Failed, "no luck"))));
    }
    stage.keys("t");
    answer(&mut stage, plan);
    assert_eq!(wished(&stage), before);
}

#[test]
fn the_end_of_a_long_page_is_reached_by_one_key_and_left_by_another() {
    let mut stage = previewing(true);
    stage.grid((80, 24));
    stage.keys("end");
    assert_shows(&stage, "--plan-hash");
    for _ in 0..30 {
        stage.keys("down");
        stage.grid((80, 24));
    }
    let end = stage.grid((80, 24));
    stage.keys("up");
    assert_ne!(stage.grid((80, 24)), end, "the way back begins at once");
    stage.keys("g g");
    assert_shows(&stage, "what ");
}

/// A key that would do nothing is not offered, or says why it does nothing here.
#[test]
fn marking_is_offered_where_rows_are_in_or_out() {
    use lifeboat::tui::action::Action;
    let mark = |stage: &Stage| stage.app.offers().into_iter().find(|offer| offer.action == Action::Mark);
    let mut one = stage(wizard::back_up(vec![item(IDENTITY)]));
    answer(&mut one, |_| Ok(backup(IDENTITY)));
    assert_eq!(mark(&one), None);
    let mut two = stage(wizard::back_up(vec![item(IDENTITY), item(CHAINS)]));
    two.keys("home");
    assert!(mark(&two).is_some_and(|offer| offer.off.is_none()));
    two.keys("end space");
    assert_shows(&two, "mark: not now, this row is not in or out.");
}
