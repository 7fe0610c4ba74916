//! Every page of the wizards in every state, at both sizes.

use std::sync::Arc;

use lifeboat::engine::holdings::Holdings;
use lifeboat::engine::verify::Checked;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::SnapshotId;
use lifeboat::tui::message::Notice;
use lifeboat::tui::model::JobId;
use lifeboat::tui::wizard;
use serde_json::json;

use super::stage::Stage;
use super::wizard_cast::*;
use crate::assert_page;
use crate::vault::item;

fn backing_up() -> Stage {
    stage(wizard::back_up(vec![item(IDENTITY)]))
}

fn backing_up_three() -> Stage {
    stage(wizard::back_up(vec![item(IDENTITY), item(CHAINS), item("val-1/avalanchego/db")]))
}

fn plan_three(stage: &mut Stage) {
    answer(stage, |wish| match wish.title().rsplit('/').next() {
        Some("db") => Ok(stopping_backup("val-1/avalanchego/db")),
        Some("chain-configs") => Ok(backup(CHAINS)),
        _ => Ok(backup(IDENTITY)),
    });
}

/// A restore of the identity with its host chosen and planned.
pub fn restoring(gated: bool) -> Stage {
    let mut stage = stage(wizard::restore(Some(item(IDENTITY)), None));
    stage.keys("up enter").text("spare").keys("enter end");
    answer(&mut stage, |_| Ok(restore("none", gated)));
    stage
}

/// The same on its preview, its keys no longer held back.
pub fn previewing(gated: bool) -> Stage {
    let mut stage = restoring(gated);
    stage.keys("end enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage
}

/// The same, running.
fn running() -> Stage {
    let mut stage = previewing(true);
    answer_both(&mut stage);
    assert_eq!(runs(&stage).len(), 1);
    let job = runs(&stage)[0].0;
    stage.notice(Notice::Started(job));
    stage
}

/// What a restore has journalled when it is about to swap.
fn half_way(stage: &Stage, job: u32) {
    happen(stage, job, 0, run_started());
    for (second, kind) in [(5, began("ready")), (6, done("ready")), (6, began("deliver")), (9, done("deliver"))] {
        happen(stage, job, second, kind);
    }
    happen(stage, job, 9, began("stop"));
}

fn job_of(stage: &Stage) -> u32 {
    stage.app.model.jobs.last().unwrap().id.0
}

#[test]
fn choose() {
    let mut stage = backing_up();
    assert_page!("wizard_choose_asking", stage);
    answer(&mut stage, |_| Ok(stopping_backup(IDENTITY)));
    assert_page!("wizard_choose_backup", stage);
    stage.keys("up up enter").text("before the move to the new rack");
    assert_page!("wizard_choose_typing", stage);
    let mut stage = backing_up_three();
    plan_three(&mut stage);
    stage.keys("up up up up space");
    assert_page!("wizard_choose_several", stage);
    let mut stage = super::wizard_cast::stage(wizard::restore(None, None));
    assert_page!("wizard_choose_nothing_chosen", stage);
    stage.keys("enter");
    assert_page!("wizard_choose_picker", stage);
    let mut stage = restoring(true);
    assert_page!("wizard_choose_restore", stage);
    let mut stage = stage_with(wizard::restore(None, None), Holdings::default());
    stage.keys("down down down");
    assert_page!("wizard_choose_empty_vault", stage);
}

#[test]
fn checks() {
    let mut stage = backing_up();
    stage.keys("enter");
    assert_page!("wizard_checks_asking", stage);
    answer(&mut stage, |_| Ok(backup(IDENTITY)));
    assert_page!("wizard_checks_backup", stage);
    let mut stage = restoring(true);
    stage.keys("end enter");
    assert_page!("wizard_checks_restore", stage);
    let mut stage = backing_up();
    stage.keys("enter");
    answer(&mut stage, |_| {
        Err(Failure::new(Exit::Unreachable, "val-1 could not be reached: connection timed out.")
            .hint("Check the address and the link: lifeboat doctor val-1"))
    });
    assert_page!("wizard_checks_unreachable", stage);
    let mut stage = backing_up_three();
    stage.keys("enter");
    answer(&mut stage, |wish| match wish.title().rsplit('/').next() {
        Some("db") => {
            Err(Failure::new(Exit::Failed, "val-1/avalanchego/db cannot be backed up: the disk is read-only."))
        }
        _ => Ok(backup(IDENTITY)),
    });
    assert_page!("wizard_checks_one_of_several_failed", stage);
}

#[test]
fn an_identity_alive_elsewhere_is_a_full_stop() {
    let mut stage = stage(wizard::restore(Some(item(IDENTITY)), None));
    stage.keys("up enter").text("spare").keys("enter");
    answer(&mut stage, |_| Err(alive()));
    stage.keys("end enter");
    assert_page!("wizard_full_stop", stage);
}

#[test]
fn preview() {
    let mut stage = previewing(true);
    assert_page!("wizard_preview_restore", stage);
    stage.keys("pgdn pgdn pgdn pgdn pgdn");
    assert_page!("wizard_preview_restore_end", stage);
    let mut stage = backing_up();
    answer(&mut stage, |_| Ok(backup(IDENTITY)));
    stage.keys("enter enter");
    assert_page!("wizard_preview_backup", stage);
    let mut stage = backing_up_three();
    plan_three(&mut stage);
    stage.keys("enter enter");
    assert_page!("wizard_preview_several", stage);
    let copies = [IDENTITY, CHAINS].map(|place| (item(place), SnapshotId::new(GOOD).unwrap()));
    let mut stage = super::wizard_cast::stage(wizard::verify(copies.to_vec()));
    stage.keys("enter");
    assert_page!("wizard_preview_verify", stage);
}

#[test]
fn a_stale_plan_shows_what_changed() {
    let mut stage = running();
    let job = runs(&stage)[0].0;
    stage.asked.clear();
    let changed = Failure::new(Exit::Stale, "What the plan rests on has changed: node_id.");
    stage.notice(Notice::Ended(job, Err(changed)));
    answer(&mut stage, |_| Ok(restore("NodeID-Ke2oW9mUtLr4dTbqy3XvHn8sPfZcA1jQe", true)));
    wait(&mut stage, 1);
    assert_page!("wizard_preview_stale", stage);
}

#[test]
fn confirm() {
    let mut stage = previewing(true);
    stage.keys("enter");
    wait(&mut stage, 1);
    assert_page!("wizard_confirm_word", stage);
    stage.text("val-2").keys("enter");
    assert_page!("wizard_confirm_wrong_word", stage);
    stage.text("val-1").keys("enter");
    wait(&mut stage, 1);
    stage.text("203");
    assert_page!("wizard_confirm_second_word", stage);
    let mut stage = previewing(false);
    stage.keys("enter");
    wait(&mut stage, 1);
    assert_page!("wizard_confirm_host", stage);
    let mut stage = backing_up();
    answer(&mut stage, |_| Ok(stopping_backup(IDENTITY)));
    stage.keys("enter enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    assert_page!("wizard_confirm_start", stage);
}

#[test]
fn live() {
    let mut stage = previewing(true);
    answer_both(&mut stage);
    assert_page!("wizard_live_waiting", stage);
    let mut stage = running();
    let job = job_of(&stage);
    half_way(&stage, job);
    wait(&mut stage, 8);
    assert_page!("wizard_live_step", stage);
    stage.keys("x");
    happen(&stage, job, 17, failed("stop", "it was cancelled"));
    happen(&stage, job, 20, undone("stop"));
    wait(&mut stage, 1);
    assert_page!("wizard_live_stopping", stage);
}

/// A copy of a database that lies on its node as a whole archive does: it moves, and then it does not any more.
#[test]
fn live_bytes() {
    let mut stage = stage(wizard::back_up(vec![item("val-1/avalanchego/db")]));
    answer(&mut stage, |_| Ok(stopping_backup("val-1/avalanchego/db")));
    let job = begin_batch(&mut stage)[0];
    stage.notice(Notice::Started(job));
    for (second, kind) in [(0, run_started()), (1, began("stop")), (4, done("stop")), (4, began("capture"))] {
        happen(&stage, job.0, second, kind);
    }
    let board = stage.app.model.job(job).unwrap().board.clone();
    board.begin("Copy the db".into(), 400 << 20);
    for second in 0..9 {
        board.moved(20 << 20);
        board.waited(lifeboat::engine::board::Waits { link: 900, vault: 60, check: 40 });
        wait(&mut stage, i64::from(second > 0));
    }
    assert_page!("wizard_live_bytes", stage);
    (0..45).for_each(|_| wait(&mut stage, 1));
    assert_page!("wizard_live_stalled", stage);
}

#[test]
fn live_several() {
    let mut stage = backing_up_three();
    plan_three(&mut stage);
    let jobs = begin_batch(&mut stage);
    assert_eq!(jobs.len(), 3);
    stage.notice(Notice::Started(jobs[0])).notice(Notice::Started(jobs[2]));
    let outs = json!({"capture": {"snapshot": "20261120T025000Z-5e11", "bytes": 5120, "marks": []}});
    stage.notice(Notice::Ended(jobs[0], Ok(Some(report(outs)))));
    happen(&stage, jobs[2].0, 3, run_started());
    happen(&stage, jobs[2].0, 3, began("stop"));
    stage.keys("down down");
    wait(&mut stage, 4);
    assert_page!("wizard_live_several", stage);
}

/// The same under way, its service being stopped.
pub fn under_way() -> (Stage, JobId) {
    let mut stage = running();
    let job = job_of(&stage);
    half_way(&stage, job);
    wait(&mut stage, 11);
    (stage, JobId(job))
}

fn ended(result: Result<Option<lifeboat::engine::runs::Report>, Failure>) -> Stage {
    let mut stage = running();
    let job = job_of(&stage);
    half_way(&stage, job);
    stage.notice(Notice::Ended(JobId(job), result));
    stage
}

#[test]
fn receipt() {
    let mut stage = backing_up();
    answer(&mut stage, |_| Ok(backup(IDENTITY)));
    stage.keys("enter enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    let job = runs(&stage)[0].0;
    let outs = json!({"capture": {
        "snapshot": "20261120T025000Z-5e11", "bytes": 5120, "sums_sha256": "aa",
        "identities": [{"kind": "avalanche-node-id", "value": "NodeID-7xgWjUSFbVFrdET1qh5LPyvQ5dQ9b1Xn2"}],
        "marks": ["the node was not asked who it is"],
    }});
    stage.notice(Notice::Started(job)).notice(Notice::Ended(job, Ok(Some(report(outs)))));
    assert_page!("wizard_receipt_backup", stage);
    let mut stage = ended(Ok(Some(report(json!({})))));
    assert_page!("wizard_receipt_restore", stage);
    let copies = [IDENTITY, CHAINS, "val-1/avalanchego/db"].map(|place| (item(place), SnapshotId::new(GOOD).unwrap()));
    let mut stage = super::wizard_cast::stage(wizard::verify(copies.to_vec()));
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    let job = JobId(job_of(&stage));
    stage.notice(Notice::Started(job));
    let found = [
        Ok(Checked::Verified { bytes: 5120, warnings: Vec::new() }),
        Ok(Checked::IntactSealed),
        Ok(Checked::Broken { why: vec!["staker.key: its bytes do not hash to what was written".to_owned()] }),
    ];
    let mut found = copies.into_iter().zip(found);
    let ((place, id), first) = found.next().unwrap();
    stage.notice(Notice::Checked(job, place, id, first));
    wait(&mut stage, 1);
    assert_page!("wizard_live_verify", stage);
    for ((place, id), result) in found {
        stage.notice(Notice::Checked(job, place, id, result));
    }
    let broken = Failure::new(Exit::Integrity, format!("val-1/avalanchego/db@{GOOD} is broken."));
    stage.notice(Notice::Ended(job, Err(broken)));
    assert_page!("wizard_receipt_verify", stage);
}

#[test]
fn receipts_of_failures() {
    let cancelled =
        Failure::new(Exit::Cancelled, "Cancelled before 'Put NodeID-7xgWjUSFbVFrdET1qh5LPyvQ5dQ9b1Xn2 in place of NodeID-Ke2oW9mUtLr4dTbqy3XvHn8sPfZcA1jQe'.")
            .state("Everything is as it was.");
    let mut stage = running();
    let job = job_of(&stage);
    half_way(&stage, job);
    for (second, kind) in [(12, done("stop")), (13, undone("stop")), (14, undone("deliver"))] {
        happen(&stage, job, second, kind);
    }
    stage.notice(Notice::Ended(JobId(job), Err(cancelled)));
    assert_page!("wizard_receipt_cancelled", stage);
    let changed = Failure::new(Exit::Changed, "'Stop avalanchego.service' on spare-1 failed: connection lost.")
        .state("'Stop avalanchego.service' was not undone: spare-1 does not answer. The guard on spare-1 brings its services back by itself within 1m of the last word it heard.")
        .hint(format!("See what is true now: lifeboat runs {RUN}"));
    let mut stage = running();
    let job = job_of(&stage);
    half_way(&stage, job);
    happen(&stage, job, 30, failed("stop", "connection lost"));
    happen(&stage, job, 31, undone("deliver"));
    stage.notice(Notice::Ended(JobId(job), Err(changed)));
    assert_page!("wizard_receipt_changed", stage);
}

/// A console that wakes late: its run was adopted meanwhile, and the nodes refuse it.
#[test]
fn the_first_console_woken_later_is_refused() {
    let refused =
        Failure::new(Exit::Changed, "Writing the journal on spare-1 failed: another console has taken the run over.")
            .state("This run is another console's now (console-77ff, epoch 2); nothing more was done from here.")
            .hint(format!("See what is true now: lifeboat runs {RUN}"));
    let mut stage = ended(Err(refused));
    let page = stage.grid((120, 40));
    assert!(page.contains("console-77ff") && page.contains("nothing more was done from here"), "{page}");
    assert_page!("wizard_receipt_adopted_elsewhere", stage);
}

#[test]
fn long_names_stay_inside() {
    let long = format!(
        "{}/{}/{}",
        "validator-in-the-far-corner-of-rack-27".repeat(2),
        "avalanchego",
        "chain-configs-of-everything"
    );
    let mut stage = stage(wizard::back_up(vec![item(&long)]));
    answer(&mut stage, |_| Ok(backup(&long)));
    // Both ends are told, in the title and in the row.
    assert_eq!(stage.grid((80, 24)).matches("chain-configs-of-everything").count(), 2);
    assert_page!("wizard_choose_long_names", stage);
    stage.keys("enter enter");
    assert_page!("wizard_preview_long_names", stage);
}

#[test]
fn long_names_stay_inside_to_the_end() {
    let mut stage = stage(wizard::back_up(vec![item(&long_item())]));
    answer(&mut stage, |_| Ok(long_backup()));
    stage.keys("enter");
    assert_page!("wizard_checks_long_names", stage);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    assert_page!("wizard_confirm_long_names", stage);
    stage.keys("tab enter");
    let job = runs(&stage)[0].0;
    stage.notice(Notice::Started(job));
    for (second, kind) in [(0, run_started()), (1, began("stop")), (3, done("stop")), (3, began("capture"))] {
        happen(&stage, job.0, second, kind);
    }
    wait(&mut stage, 8);
    assert_page!("wizard_live_long_names", stage);
    let outs = json!({"capture": {
        "snapshot": "20261120T025000Z-5e11", "item": item(&long_item()), "bytes": 5120,
        "marks": [format!("the agent said: {}", "日本語 and more ".repeat(12))],
    }});
    stage.notice(Notice::Ended(job, Ok(Some(report(outs)))));
    assert_page!("wizard_receipt_long_names", stage);
    assert!(stage.grid((80, 24)).contains("vault       it is not in the vault any more"), "{}", stage.grid((80, 24)));
    stage.keys("J");
    assert_page!("jobs_long_names", stage);
}

/// Whoever answers a question sees which plan the answer starts: the same letters as on its preview.
#[test]
fn the_plan_is_named_where_it_is_read_and_where_it_is_confirmed() {
    let mut stage = previewing(true);
    let hash = stage.app.model.jobs.last().unwrap().planned.as_ref().unwrap().hash.clone();
    let short = &hash[..12];
    assert!(stage.grid((80, 24)).contains(&format!("plan        {short}, 6 steps on spare-1")));
    stage.keys("end");
    assert!(stage.grid((80, 24)).contains(&hash), "and whole at its end:\n{}", stage.grid((80, 24)));
    stage.keys("enter");
    wait(&mut stage, 1);
    assert!(stage.grid((80, 24)).contains(&format!("plan {short}")), "{}", stage.grid((80, 24)));
    let mut several = backing_up_three();
    plan_three(&mut several);
    several.keys("enter enter");
    wait(&mut several, 1);
    several.keys("enter");
    assert!(several.grid((80, 24)).contains(" and 2 more"), "{}", several.grid((80, 24)));
}

/// What a key, a command line and a choice mean is said in words.
#[test]
fn a_preview_says_both_ways_back_and_what_its_choices_mean() {
    let mut stage = previewing(true);
    let page = stage.grid((120, 60));
    assert!(page.contains("afterwards: u on its receipt, or lifeboat rollback RUN"), "{page}");
    assert!(page.contains("The guard waits 60 s for the console (guard=60, by default)."), "{page}");
    assert!(page.contains("If the identity runs elsewhere, the restore does not begin (fence=refuse"), "{page}");
    assert!(page.contains("until the restored service starts it puts everything back"), "{page}");
    stage = backing_up();
    answer(&mut stage, |_| Ok(stopping_backup(IDENTITY)));
    stage.keys("enter enter");
    let page = stage.grid((120, 60));
    assert!(page.contains("it puts everything back.") && !page.contains("restored"), "{page}");
}

/// The host is taken out of the inventory while its page is open.
#[test]
fn a_host_that_vanishes_leaves_a_page_that_still_works() {
    for keys in ["", "enter", "enter enter"] {
        let mut stage = backing_up();
        answer(&mut stage, |_| Ok(backup(IDENTITY)));
        stage.keys(keys);
        stage.app.model.fleet.owners.clear();
        stage.notice(Notice::Vault(Ok(Arc::new(Holdings::default()))));
        let page = stage.grid((80, 24));
        assert!(page.contains("val-1/avalanchego/staking-identity"), "{page}");
        stage.keys("up left right enter esc esc enter");
        stage.grid((80, 24));
    }
}
