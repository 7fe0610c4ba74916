//! The pages of jobs, runs, one run, and what lies on a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifeboat::engine::board::Waits;
use lifeboat::engine::holdings::{CopyView, Holdings};
use lifeboat::engine::node_run::Kept;
use lifeboat::engine::runs::{Ahead, Place, Resume, Told, Written};
use lifeboat::model::event::{Event, EventKind};
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::{ConsoleId, GuardId, HostId, RunId, SnapshotId};
use lifeboat::model::text::CleanText;
use lifeboat::model::units::ByteSize;
use lifeboat::tui::message::{Notice, Order, Wish};
use lifeboat::tui::model::{Job, JobId, Stage as JobStage};
use lifeboat::tui::screens;
use lifeboat::tui::wizard::{self, Purging};
use lifeboat::vault::{Chain, Receipt};
use serde_json::json;

use super::stage::{NOW, Stage};
use super::wizard_cast::*;
use crate::assert_page;
use crate::vault::item;

/// Two backups begun and left: one still copies, one is done.
pub fn with_jobs() -> Stage {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY), item("val-1/avalanchego/db")]));
    answer(&mut stage, |wish| match wish {
        Wish::BackUp { item: place, .. } if place.item.as_str() == "db" => Ok(stopping_backup(&place.to_string())),
        _ => Ok(backup(IDENTITY)),
    });
    let jobs = begin_batch(&mut stage);
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
    happen(&stage, job.0, 95, failed("capture", "it was cancelled"));
    happen(&stage, job.0, 97, undone("stop"));
    let cancelled = Failure::new(Exit::Cancelled, "'Copy the db' was cancelled.");
    stage.notice(Notice::Ended(job, Err(cancelled.state("Everything is as it was."))));
    assert_page!("job_cancelled", stage);
    stage.keys("t");
    assert!(orders(&stage).iter().any(|order| matches!(order, Order::Plan(..))), "retry plans anew");
    let mut stage = with_jobs();
    stage.keys("B J enter");
    let job = stage.app.model.live_jobs().next().unwrap().id;
    happen(&stage, job.0, 95, failed("capture", "val-1 closed the connection"));
    happen(&stage, job.0, 97, undone("stop"));
    let lost = Failure::new(Exit::Failed, "'Copy the db' on val-1 failed: val-1 closed the connection.")
        .state("Everything is as it was.")
        .hint("See how it is reached: lifeboat doctor val-1");
    stage.notice(Notice::Ended(job, Err(lost)));
    wait(&mut stage, 1);
    assert_page!("job_failed", stage);
}

#[test]
fn long_names_stay_inside_on_the_pages_of_runs_and_of_a_node() {
    let mut kinds = vec![run_started()];
    kinds.extend(["stop", "capture", "start"].iter().flat_map(|step| [began(step), done(step)]));
    kinds.push(finished(Exit::Done, None));
    let long = told(RESTORED, long_backup(), &kinds, Some(11));
    let mut stage = with_runs(screens::runs());
    stage.runs(vec![(RESTORED.to_owned(), Ok(long.clone()))]);
    assert_page!("runs_long_names", stage);
    stage.keys("enter");
    assert_page!("run_long_names", stage);
    stage.keys("K");
    let host = HostId::new(LONG_HOST).unwrap();
    let path = format!("/srv/{}/.staking.lifeboat-{RESTORED}.kept", "a-directory-deep-down/".repeat(6));
    let kept = Kept { run: RunId::new(RESTORED).unwrap(), paths: vec![path] };
    stage.notice(Notice::RunsOn(host.clone(), Ok(vec![long])));
    stage.notice(Notice::Kept(host, Ok(vec![kept])));
    assert_page!("node_long_names", stage);
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
        Some(EventKind::RunFinished { exit, failure, .. }) => Some((*exit, failure.clone())),
        _ => None,
    };
    Told { run: run.clone(), plan: planned.plan, events: events.collect(), ended, receipt, node: None }
}

fn finished(exit: Exit, failure: Option<Failure>) -> EventKind {
    EventKind::RunFinished { exit, failure, kept: BTreeMap::new() }
}

pub const RESTORED: &str = "20261119T180000Z-aaaaaa";
const BROKEN_OFF: &str = "20261120T013000Z-bbbbbb";
const CHANGED: &str = "20261120T020000Z-cccccc";

pub fn interrupted() -> Told {
    let guard = EventKind::GuardArmed { guard: GuardId::new("service").unwrap() };
    let kinds = [run_started(), began("ready"), done("ready"), began("deliver"), done("deliver"), began("stop"), guard];
    told(BROKEN_OFF, restore("none", false), &kinds, None)
}

pub fn with_runs(page: Box<dyn lifeboat::tui::screen::Screen>) -> Stage {
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
    let console = ConsoleId::new("console-00aa").unwrap();
    stage.notice(Notice::Console(console.clone())).runs(list);
    let receipt = Receipt {
        version: 1,
        console,
        number: 11,
        previous: None,
        run: RunId::new(RESTORED).unwrap(),
        at: NOW.parse().unwrap(),
        plan_sha256: None,
        journal_sha256: None,
        body: json!({}),
    };
    let chain = Chain { receipts: vec![receipt], findings: Vec::new() };
    stage.notice(Notice::Receipts(Ok(Arc::new(chain))));
    stage
}

/// As the nodes stand before the restore is undone; `is_lost` says that the host the identity came from is silent.
pub fn ahead(is_lost: bool) -> Ahead {
    let question = "val-1 could not be reached, so nothing proves that this identity is not running on val-1. Two nodes with one identity harm each other. Declare it gone only if you know.";
    let gate = json!({"id": "fenced-val-1", "question": question, "word": "val-1"});
    let newest = "2026-11-20T02:41:00Z".parse().ok();
    let lost = is_lost.then(|| serde_json::from_value(gate).unwrap());
    let consent = lifeboat::engine::rollback::gate(&RunId::new(RESTORED).unwrap()).unwrap();
    Ahead {
        gates: lost.into_iter().chain([consent]).collect(),
        places: vec![Place {
            host: HostId::new("spare-1").unwrap(),
            target: "/home/avalanche/.avalanchego/staking".into(),
            since: Some(Written { files: 3, bytes: ByteSize(12_288), newest }),
        }],
        ..Ahead::default()
    }
}

/// What lies beside the places of a run that was broken off.
pub fn beside() -> Ahead {
    let path = format!("/home/avalanche/.avalanchego/.staking.lifeboat-{BROKEN_OFF}.new");
    Ahead { beside: BTreeMap::from([(HostId::new("spare-1").unwrap(), vec![path])]), ..Ahead::default() }
}

#[test]
fn runs_list() {
    let mut stage = stage(screens::runs());
    assert_page!("runs_reading", stage);
    stage.runs(Vec::new());
    assert_page!("runs_none", stage);
    let mut stage = with_runs(screens::runs());
    assert_page!("runs", stage);
    let damaged = Failure::new(Exit::Integrity, "plan.json of run 20261120T020000Z-cccccc is damaged.");
    let one = RunId::new(CHANGED).unwrap();
    stage.runs_alone().keys("enter");
    assert_page!("run_reading", stage);
    stage.notice(Notice::Run(one, Box::new(Err(damaged.hint("See what is: lifeboat verify")))));
    assert_page!("run_unreadable", stage);
    stage.keys("esc");
    let locked = Failure::new(Exit::Vault, "/vault is not there.").hint("Is its disk mounted?");
    stage.notice(Notice::Runs(Err(locked)));
    assert_page!("runs_failed", stage);
}

/// A copy of the identity that a job or run of these tests is about, with what speaks against it.
fn suspect(id: &str, marks: &[&str]) -> Notice {
    let why = "shrank from 9.00 KiB to 1.10 KiB".to_owned();
    let copy = super::cast::copy(3600, 1_126, Some(3600));
    let marks = marks.iter().map(|mark| CleanText::new(mark)).collect();
    let copy = CopyView { id: SnapshotId::new(id).unwrap(), against: vec![why], marks, ..copy };
    let mut holdings = Holdings::default();
    holdings.items.insert(item(IDENTITY), super::cast::shelf(vec![copy]));
    Notice::Vault(Ok(Arc::new(holdings)))
}

#[test]
fn a_restore_of_a_copy_that_turned_out_suspect_says_so_on_its_run() {
    let mut stage = with_runs(screens::runs());
    stage.keys("down down enter");
    assert!(!stage.grid((120, 40)).contains("suspect"), "{}", stage.grid((120, 40)));
    stage.notice(suspect("20261120T005000Z-7f3a", &[]));
    let page = stage.grid((120, 40));
    assert!(page.contains("✗ copy      20261120T005000Z-7f3a, suspect: shrank from 9.00 KiB to 1.10 KiB"), "{page}");
    stage.notice(suspect("20261120T005000Z-0000", &[]));
    let page = stage.grid((120, 40));
    assert!(page.contains("▲ copy      20261120T005000Z-7f3a, it is not in the vault any more"), "{page}");
}

#[test]
fn the_proof_of_a_back_up_says_what_the_vault_has_against_its_copy() {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY)]));
    answer(&mut stage, |_| Ok(backup(IDENTITY)));
    let jobs = begin_batch(&mut stage);
    let id = "20261120T025000Z-5e11";
    let outs = json!({"capture": {"snapshot": id, "item": item(IDENTITY), "bytes": 1126, "marks": []}});
    stage.notice(Notice::Started(jobs[0])).notice(Notice::Ended(jobs[0], Ok(Some(report(outs)))));
    assert!(!stage.grid((120, 40)).contains("suspect"), "{}", stage.grid((120, 40)));
    stage.notice(suspect(id, &[]));
    let page = stage.grid((120, 40));
    assert!(page.contains("suspect: shrank from 9.00 KiB to 1.10 KiB"), "{page}");
}

#[test]
fn one_run() {
    let mut stage = with_runs(screens::runs());
    stage.keys("enter");
    assert_page!("run_changed", stage);
    stage.keys("esc down down enter");
    assert_page!("run_restored", stage);
    stage.keys("u");
    wait(&mut stage, 1);
    assert_page!("run_undo_asking", stage);
    let asked = stage.app.model.jobs.last().unwrap().id;
    let gone = Failure::new(
        Exit::Failed,
        "Run 20261119T180000Z-aaaaaa is not rolled back: run 20261120T021500Z-dddddd has undone it already.",
    )
    .state("Nothing was changed.")
    .hint("See what is kept: lifeboat kept");
    stage.notice(Notice::Ahead(asked, Box::new(Err(gone))));
    assert_page!("run_undo_refused", stage);
    stage.keys("f5");
    look(&mut stage, &ahead(true));
    assert_page!("run_undo_checks", stage);
    stage.keys("enter");
    assert_page!("run_undo_preview", stage);
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    assert_page!("run_undo_fenced", stage);
    stage.text("val-1").keys("enter");
    wait(&mut stage, 1);
    assert_page!("run_undo_confirm", stage);
    stage.keys("enter");
    assert!(!orders(&stage).iter().any(|order| matches!(order, Order::Do(..))), "enter alone undoes nothing");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("val-1").keys("enter");
    wait(&mut stage, 1);
    stage.text(RESTORED).keys("enter");
    let undoes = |order: &&Order| matches!(order, Order::Do(_, Wish::RollBack(run), answered) if run.as_str() == RESTORED && answered["fenced-val-1"] == "val-1" && answered["rollback"] == RESTORED);
    assert!(orders(&stage).iter().any(undoes));
}

#[test]
fn an_interrupted_run_is_resumed_rolled_back_or_left() {
    for (key, how) in [("e", Resume::GoOn), ("u", Resume::RollBack), ("L", Resume::Leave)] {
        let mut stage = with_runs(screens::runs());
        stage.keys("down enter").keys(key);
        look(&mut stage, &if how == Resume::Leave { beside() } else { Ahead::default() });
        stage.keys("enter");
        let page = match how {
            Resume::GoOn => "run_resume_preview",
            Resume::RollBack => "run_back_out_preview",
            Resume::Leave => "run_leave_preview",
        };
        assert_page!(page, stage);
        wait(&mut stage, 1);
        stage.keys("enter");
        wait(&mut stage, 1);
        stage.keys("tab enter");
        let wish = Wish::Resume(RunId::new(BROKEN_OFF).unwrap(), how, None);
        let ordered = orders(&stage).into_iter().find_map(|order| match order {
            Order::Do(_, wish, _) => Some(wish.clone()),
            _ => None,
        });
        assert_eq!(ordered, Some(wish));
    }
}

/// A restore that was declared for and chosen for, taken up by another console after the swap and left there.
#[test]
fn a_run_tells_what_was_stated_and_a_left_one_what_lies_aside() {
    let words = |gate: &str, word: &str| BTreeMap::from([(gate.to_owned(), word.to_owned())]);
    let console = |name: &str| ConsoleId::new(name).unwrap();
    let began_with = EventKind::RunStarted {
        plan_hash: "9f2c".repeat(16),
        console: console("console-00aa"),
        epoch: 1,
        confirmed: words("fenced-val-1", "val-1"),
    };
    let taken_up = EventKind::RunAdopted {
        console: console("console-77ff"),
        epoch: 2,
        how: Resume::Leave,
        confirmed: BTreeMap::new(),
    };
    let kept = format!("/home/avalanche/.avalanchego/.staking.lifeboat-{BROKEN_OFF}.kept");
    let ended = EventKind::RunFinished {
        exit: Exit::Done,
        failure: None,
        kept: BTreeMap::from([(HostId::new("spare-1").unwrap(), vec![kept])]),
    };
    let mut kinds = vec![began_with];
    kinds.extend(["ready", "deliver", "stop", "swap"].iter().flat_map(|step| [began(step), done(step)]));
    kinds.extend([taken_up, ended]);
    let left = told(BROKEN_OFF, restore("none", true), &kinds, Some(12));
    let mut stage = stage(screens::runs());
    stage.runs(vec![(BROKEN_OFF.to_owned(), Ok(left))]);
    assert!(stage.grid((80, 24)).contains("left as it was"), "{}", stage.grid((80, 24)));
    stage.keys("enter");
    assert_page!("run_left", stage);
    stage.keys("u");
    assert!(stage.grid((120, 40)).contains("rollback: not now, it was left as it was."), "{}", stage.grid((120, 40)));
}

#[test]
fn another_console_s_run_is_adopted_and_never_merely_resumed() {
    let mut stage = with_runs(screens::runs());
    stage.notice(Notice::Console(ConsoleId::new("console-77ff").unwrap()));
    stage.keys("down enter e");
    let page = stage.grid((120, 40));
    assert!(page.contains("not now, it is another console's: adopt it"), "{page}");
    stage.keys("A");
    look(&mut stage, &Ahead::default());
    stage.keys("enter");
    assert_page!("run_adopt_preview", stage);

    // Nobody has to go on with it first to undo or to leave it; to do that is to take it over.
    for (key, flag) in [("u", "--roll-back"), ("L", "--leave")] {
        let mut stage = with_runs(screens::runs());
        stage.notice(Notice::Console(ConsoleId::new("console-77ff").unwrap()));
        stage.keys("down enter").keys(key);
        look(&mut stage, &Ahead::default());
        stage.keys("enter");
        let page = stage.grid((120, 40));
        assert!(page.contains("It is another console's.") && page.contains(flag), "{page}");
        assert!(page.contains("--adopt"), "{page}");
    }
}

/// A console that has not been told who it is has no runs of its own.
#[test]
fn whose_a_run_is_is_not_guessed() {
    let mut stage = stage(screens::runs());
    stage.runs(vec![(BROKEN_OFF.to_owned(), Ok(interrupted()))]);
    stage.keys("enter e");
    assert!(stage.grid((120, 40)).contains("not now, it is another console's: adopt it"));
}

/// The receipts are checked after the runs are read; what ended in between is not broken.
#[test]
fn a_receipt_that_is_newer_than_the_check_is_being_checked() {
    let mut stage = with_runs(screens::runs());
    let kinds = [run_started(), began("ready"), done("ready"), finished(Exit::Done, None)];
    let newest = told("20261120T024500Z-dddddd", backup(IDENTITY), &kinds, Some(13));
    stage.run_more(newest);
    stage.keys("g g enter");
    assert!(stage.grid((120, 40)).contains("13, being checked"), "{}", stage.grid((120, 40)));
    stage.notice(Notice::Receipts(Ok(Arc::default())));
    assert!(stage.grid((120, 40)).contains("13, not in the chain of receipts"));
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
    let wish = Purging::wish(host.clone(), vec![kept]);
    // What is removed is what was shown, path by path.
    let purges = |order: &&Order| matches!(order, Order::Do(_, known, _) if *known == wish && format!("{known:?}") == format!("{wish:?}"));
    assert!(orders(&stage).iter().any(purges));
    let job = stage.app.model.jobs.last().unwrap().id;
    stage.notice(Notice::Started(job)).notice(Notice::Ended(job, Ok(None)));
    assert_page!("purge_receipt", stage);
}

/// A run that ends meanwhile comes on top; what is opened is the one that was selected.
#[test]
fn the_selection_stays_on_its_run_and_its_job() {
    let mut stage = with_runs(screens::runs());
    stage.keys("down down");
    let newest = told("20261120T024500Z-dddddd", backup(IDENTITY), &[run_started()], None);
    stage.run_more(newest);
    stage.keys("enter");
    assert!(stage.grid((120, 40)).contains(RESTORED), "{}", stage.grid((120, 40)));

    let mut stage = stage_of_jobs(3);
    stage.keys("J down");
    stage.app.model.jobs.push(job(4));
    stage.keys("x");
    let cancelled = orders(&stage).into_iter().find_map(|order| match order {
        Order::Cancel(job) => Some(*job),
        _ => None,
    });
    assert_eq!(cancelled, Some(JobId(2)), "the newest one stands above it");

    let mut stage = stage_of_jobs(3);
    stage.keys("4 down");
    stage.app.model.jobs[0].stage = JobStage::Done(None);
    stage.keys("enter");
    assert!(stage.grid((120, 40)).contains("┌ Remove what is kept on host-2 "), "{}", stage.grid((120, 40)));
}

fn job(number: u32) -> Job {
    let host = HostId::new(format!("host-{number}")).unwrap();
    let mut job = Job::new(JobId(number), Purging::wish(host, Vec::new()));
    job.stage = JobStage::Running;
    job
}

fn stage_of_jobs(count: u32) -> Stage {
    let mut stage = stage(Box::new(lifeboat::tui::screens::fleet::FleetPage::default()));
    stage.app.model.jobs.extend((1..=count).map(job));
    stage
}

#[test]
fn an_interrupted_run_that_changed_nothing_can_be_undone_all_the_same() {
    let reading = told(BROKEN_OFF, backup(IDENTITY), &[run_started(), began("capture")], None);
    let mut stage = with_runs(screens::runs());
    stage.runs(vec![(BROKEN_OFF.to_owned(), Ok(reading))]);
    stage.keys("enter u");
    look(&mut stage, &Ahead::default());
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    assert!(stage.grid((80, 24)).contains("Start?"), "{}", stage.grid((80, 24)));
    stage.keys("enter");
    assert!(!orders(&stage).iter().any(|order| matches!(order, Order::Do(..))), "cancel is the default");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("tab enter");
    assert!(orders(&stage).iter().any(|order| matches!(order, Order::Do(_, Wish::Resume(_, Resume::RollBack, _), _))));
}

#[test]
fn a_node_is_asked_again_only_after_what_may_have_changed_it() {
    let host = HostId::new("spare-1").unwrap();
    let mut stage = with_runs(screens::runs());
    stage.keys("K enter");
    let kept = Kept { run: RunId::new(RESTORED).unwrap(), paths: vec!["/srv/x".to_owned()] };
    stage.notice(Notice::RunsOn(host.clone(), Ok(Vec::new()))).notice(Notice::Kept(host.clone(), Ok(vec![kept])));
    let elsewhere = Purging::wish(HostId::new("val-1").unwrap(), Vec::new());
    for (number, wish, is_asked) in [
        (1, Wish::Verify(Vec::new()), false),
        (2, elsewhere, false),
        (3, Wish::RollBack(RunId::new(RESTORED).unwrap()), true),
        (4, Purging::wish(host, Vec::new()), true),
    ] {
        stage.app.model.jobs.push(Job::new(JobId(number), wish));
        stage.asked.clear();
        stage.notice(Notice::Ended(JobId(number), Ok(None)));
        let asked = orders(&stage).iter().any(|order| matches!(order, Order::ReadRunsOn(_)));
        assert_eq!(asked, is_asked, "{number}");
    }
}

#[test]
fn all_that_lies_on_a_node_can_be_read() {
    let host = HostId::new("spare-1").unwrap();
    let mut stage = with_runs(screens::runs());
    stage.keys("K enter");
    let kept = |number: u32| Kept {
        run: RunId::new(format!("20261119T1800{number:02}Z-aaaaaa")).unwrap(),
        paths: vec![format!("/srv/kept-{number}")],
    };
    stage.notice(Notice::RunsOn(host.clone(), Ok(vec![interrupted(), interrupted()])));
    stage.notice(Notice::Kept(host, Ok((0..50).map(kept).collect())));
    assert!(!stage.grid((80, 24)).contains("kept-49"));
    stage.keys("end");
    assert!(stage.grid((80, 24)).contains("kept-49"), "{}", stage.grid((80, 24)));
    stage.keys("up");
    assert!(stage.grid((80, 24)).contains("Runs that lie there"), "the selected run is brought back into sight");
}

/// A page that was gone back from is there as things are now when it is gone forward to.
#[test]
fn pages_ahead_hear_what_happened_meanwhile() {
    let mut stage = stage(Box::new(lifeboat::tui::screens::fleet::FleetPage::default()));
    stage.keys("V");
    assert!(stage.grid((80, 24)).contains("2 items, 5 copies"), "{}", stage.grid((80, 24)));
    stage.keys("esc");
    stage.notice(Notice::Vault(Ok(Arc::default())));
    stage.keys("]");
    assert!(stage.grid((80, 24)).contains("0 items, 0 copies"), "{}", stage.grid((80, 24)));
}

/// The job that was ordered last, begun.
pub fn started(stage: &mut Stage) -> JobId {
    let job = orders(stage).into_iter().rev().find_map(|o| if let Order::Do(job, ..) = o { Some(*job) } else { None });
    let job = job.unwrap();
    stage.notice(Notice::Started(job));
    job
}

/// A finished restore whose undoing was confirmed by its word and has begun.
pub fn undoing() -> (Stage, JobId) {
    let mut stage = with_runs(screens::runs());
    stage.keys("down down enter u");
    look(&mut stage, &ahead(false));
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text(RESTORED).keys("enter");
    let job = started(&mut stage);
    (stage, job)
}

/// What is undone or gone on with shows its steps like any other job: it has the plan of the run it takes up.
#[test]
fn a_run_that_is_taken_up_shows_its_steps() {
    let (mut stage, job) = undoing();
    for step in ["start", "swap"] {
        happen(&stage, job.0, 4, undone(step));
    }
    wait(&mut stage, 5);
    assert_page!("run_undo_live", stage);
    stage.notice(Notice::Ended(job, Ok(Some(report(json!({}))))));
    assert_page!("run_undo_receipt", stage);
    let mut stage = with_runs(screens::runs());
    stage.keys("down enter e");
    look(&mut stage, &Ahead::default());
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("tab enter");
    let job = started(&mut stage);
    for (second, kind) in [(1, done("stop")), (1, began("swap")), (3, done("swap")), (3, began("start"))] {
        happen(&stage, job.0, second, kind);
    }
    wait(&mut stage, 4);
    assert_page!("run_resume_live", stage);
    stage.notice(Notice::Ended(job, Ok(Some(report(json!({}))))));
    assert_page!("run_resume_receipt", stage);
}
