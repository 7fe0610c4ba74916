//! The pages of jobs, runs, one run, and what lies on a node.

use std::sync::Arc;

use lifeboat::engine::board::Waits;
use lifeboat::engine::node_run::Kept;
use lifeboat::engine::runs::{Resume, Told};
use lifeboat::model::event::{Event, EventKind};
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::{ConsoleId, GuardId, HostId, RunId};
use lifeboat::tui::message::{Notice, Order, Wish};
use lifeboat::tui::model::JobId;
use lifeboat::tui::screens;
use lifeboat::tui::wizard;
use lifeboat::vault::{Chain, Receipt};
use serde_json::json;

use super::stage::{NOW, Stage};
use super::wizard_cast::*;
use crate::assert_page;
use crate::vault::item;

/// Two backups begun and left: one still copies, one is done.
fn with_jobs() -> Stage {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY), item("val-1/avalanchego/db")]));
    answer(&mut stage, |wish| match wish {
        Wish::BackUp { item: place, .. } if place.item.as_str() == "db" => Ok(stopping_backup(&place.to_string())),
        _ => Ok(backup(IDENTITY)),
    });
    stage.keys("enter enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("tab enter");
    let jobs: Vec<JobId> = runs(&stage).iter().map(|(job, ..)| *job).collect();
    stage.notice(Notice::Started(jobs[0])).notice(Notice::Started(jobs[1]));
    let outs = json!({"capture": {"snapshot": "20261120T025000Z-5e11", "bytes": 5120, "marks": []}});
    stage.notice(Notice::Ended(jobs[0], Ok(Some(report(outs)))));
    let copying = jobs[1].0;
    happen(&stage, copying, 2, run_started());
    for (second, kind) in [(2, began("stop")), (5, done("stop")), (5, began("capture"))] {
        happen(&stage, copying, second, kind);
    }
    let board = stage.app.model.job(jobs[1]).unwrap().board.clone();
    board.begin("Copy the db".into(), 2 << 30);
    for second in 0_u64..90 {
        board.moved((8 + (second * 7) % 13) << 20);
        board.waited(Waits { link: 700, vault: 250, check: 50 });
        wait(&mut stage, 1);
    }
    stage
}

#[test]
fn jobs() {
    let mut stage = stage(screens::jobs());
    assert_page!("jobs_none", stage);
    let mut stage = with_jobs();
    stage.keys("B J");
    assert_page!("jobs_live", stage);
    stage.keys("down");
    assert_page!("jobs_ended_selected", stage);
    stage.keys("up enter");
    assert_page!("job_live", stage);
    stage.keys("tab");
    assert_page!("job_log", stage);
    stage.keys("x");
    assert!(orders(&stage).iter().any(|order| matches!(order, Order::Cancel(_))));
    stage.keys("tab");
    assert_page!("job_stopping", stage);
    let job = stage.app.model.live_jobs().next().unwrap().id;
    let cancelled = Failure::new(Exit::Cancelled, "Cancelled before 'Start avalanchego.service'.");
    stage.notice(Notice::Ended(job, Err(cancelled.state("Everything is as it was."))));
    assert_page!("job_cancelled", stage);
    stage.keys("t");
    assert!(orders(&stage).iter().any(|order| matches!(order, Order::Plan(..))), "retry plans anew");
}

fn told(run: &str, planned: lifeboat::engine::planner::Planned, kinds: &[EventKind], receipt: Option<u64>) -> Told {
    let run = RunId::new(run).unwrap();
    let from: jiff::Timestamp = NOW.parse().unwrap();
    let events = (0_u32..).zip(kinds).map(|(at, kind)| Event {
        schema: 1,
        run: run.clone(),
        seq: u64::from(at),
        at: from + jiff::SignedDuration::from_secs(i64::from(at) * 2),
        kind: kind.clone(),
    });
    let ended = match kinds.last() {
        Some(EventKind::RunFinished { exit, failure }) => Some((*exit, failure.clone())),
        _ => None,
    };
    Told { run: run.clone(), plan: planned.plan, events: events.collect(), ended, receipt }
}

fn finished(exit: Exit, failure: Option<Failure>) -> EventKind {
    EventKind::RunFinished { exit, failure }
}

const RESTORED: &str = "20261119T180000Z-aaaaaa";
const BROKEN_OFF: &str = "20261120T013000Z-bbbbbb";
const CHANGED: &str = "20261120T020000Z-cccccc";

fn interrupted() -> Told {
    let guard = EventKind::GuardArmed { guard: GuardId::new("service").unwrap() };
    let kinds = [run_started(), began("ready"), done("ready"), began("deliver"), done("deliver"), began("stop"), guard];
    told(BROKEN_OFF, restore("none", false), &kinds, None)
}

fn with_runs(page: Box<dyn lifeboat::tui::screen::Screen>) -> Stage {
    let all = ["ready", "deliver", "stop", "swap", "start", "accept"];
    let mut kinds = vec![run_started()];
    kinds.extend(all.iter().flat_map(|step| [began(step), done(step)]));
    kinds.push(finished(Exit::Done, None));
    let restored = told(RESTORED, restore("none", false), &kinds, Some(11));
    let failure = Failure::new(Exit::Changed, "'Start avalanchego.service' on val-1 failed: connection lost.")
        .state("'Stop avalanchego.service' was not undone: val-1 does not answer.")
        .hint(format!("See what is true now: lifeboat runs {CHANGED}"));
    let kinds = [
        run_started(),
        began("stop"),
        done("stop"),
        failed("capture", "connection lost"),
        EventKind::Note { text: "The node was asked again.".into() },
        finished(Exit::Changed, Some(failure)),
    ];
    let changed = told(CHANGED, stopping_backup("val-1/avalanchego/db"), &kinds, Some(12));
    let unreadable = Failure::new(Exit::Vault, "A run's files cannot be read: expected value at line 1 column 1.");
    let mut stage = stage(page);
    let list = vec![
        ("20261118T090000Z-ffffff".to_owned(), Err(unreadable)),
        (RESTORED.to_owned(), Ok(restored)),
        (BROKEN_OFF.to_owned(), Ok(interrupted())),
        (CHANGED.to_owned(), Ok(changed)),
    ];
    stage.notice(Notice::Runs(Ok(list)));
    let receipt = Receipt {
        version: 1,
        console: ConsoleId::new("console-00aa").unwrap(),
        number: 11,
        previous: None,
        run: RunId::new(RESTORED).unwrap(),
        at: NOW.parse().unwrap(),
        plan_sha256: None,
        journal_sha256: None,
        body: json!({}),
    };
    let chain = Chain { receipts: vec![receipt], findings: Vec::new() };
    stage.notice(Notice::Receipts(ConsoleId::new("console-00aa").unwrap(), Ok(Arc::new(chain))));
    stage
}

#[test]
fn runs_list() {
    let mut stage = stage(screens::runs());
    assert_page!("runs_reading", stage);
    stage.notice(Notice::Runs(Ok(Vec::new())));
    assert_page!("runs_none", stage);
    let mut stage = with_runs(screens::runs());
    assert_page!("runs", stage);
    let locked = Failure::new(Exit::Vault, "/vault is not there.").hint("Is its disk mounted?");
    stage.notice(Notice::Runs(Err(locked)));
    assert_page!("runs_failed", stage);
}

#[test]
fn one_run() {
    let mut stage = with_runs(screens::runs());
    stage.keys("enter");
    assert_page!("run_changed", stage);
    stage.keys("esc down down enter");
    assert_page!("run_restored", stage);
    stage.keys("u");
    assert_page!("run_undo_preview", stage);
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    assert_page!("run_undo_confirm", stage);
    stage.keys("enter");
    assert!(!orders(&stage).iter().any(|order| matches!(order, Order::Do(..))), "enter alone undoes nothing");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("spare-1").keys("enter");
    let undoes = |order: &&Order| matches!(order, Order::Do(_, Wish::RollBack(run)) if run.as_str() == RESTORED);
    assert!(orders(&stage).iter().any(undoes));
}

#[test]
fn an_interrupted_run_is_resumed_rolled_back_or_left() {
    let wishes = [("e", Resume::GoOn, false), ("u", Resume::RollBack, true), ("L", Resume::Leave, false)];
    for (key, how, is_typed) in wishes {
        let mut stage = with_runs(screens::runs());
        stage.keys("down enter").keys(key);
        wait(&mut stage, 1);
        stage.keys("enter");
        wait(&mut stage, 1);
        if is_typed {
            stage.text("spare-1");
        } else {
            stage.keys("tab");
        }
        stage.keys("enter");
        let wish = Wish::Resume(RunId::new(BROKEN_OFF).unwrap(), how, None);
        let ordered = orders(&stage).into_iter().find_map(|order| match order {
            Order::Do(_, wish) => Some(wish.clone()),
            _ => None,
        });
        assert_eq!(ordered, Some(wish));
    }
}

#[test]
fn another_console_s_run_is_adopted_and_never_merely_resumed() {
    let mut stage = with_runs(screens::runs());
    stage.notice(Notice::Receipts(ConsoleId::new("console-77ff").unwrap(), Ok(Arc::default())));
    stage.keys("down enter e");
    let page = stage.grid((120, 40));
    assert!(page.contains("not now, it is another console's: adopt it"), "{page}");
    stage.keys("A");
    assert_page!("run_adopt_preview", stage);
}

#[test]
fn what_lies_on_a_node() {
    let mut stage = with_runs(screens::runs());
    stage.keys("K");
    assert_page!("nodes", stage);
    stage.keys("enter");
    assert_page!("node_asking", stage);
    let host = HostId::new("spare-1").unwrap();
    let asked = orders(&stage);
    assert!(asked.iter().any(|order| matches!(order, Order::ReadKept(known) if *known == host)));
    assert!(asked.iter().any(|order| matches!(order, Order::ReadRunsOn(known) if *known == host)));
    let unreachable = Failure::new(Exit::Unreachable, "spare-1 could not be reached: connection refused.");
    stage.notice(Notice::RunsOn(host.clone(), Ok(vec![interrupted()])));
    stage.notice(Notice::Kept(host.clone(), Err(unreachable)));
    assert_page!("node_half_failed", stage);
    let kept = Kept {
        run: RunId::new(RESTORED).unwrap(),
        paths: vec![format!("/home/avalanche/.avalanchego/.staking.lifeboat-{RESTORED}.kept")],
    };
    stage.notice(Notice::Kept(host.clone(), Ok(vec![kept.clone()])));
    assert_page!("node", stage);
    stage.keys("delete");
    assert_page!("purge_preview", stage);
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("spare-1").keys("enter");
    let purges = |order: &&Order| matches!(order, Order::Do(_, Wish::Purge(known, list)) if *known == host && list.as_slice() == std::slice::from_ref(&kept));
    assert!(orders(&stage).iter().any(purges));
}
