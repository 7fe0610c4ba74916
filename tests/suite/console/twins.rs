//! One identity that runs on two hosts: on every page, and in no history of a restore that took care of it.

use std::sync::Arc;

use lifeboat::engine::fleet::ItemState;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::{HostId, SnapshotId};
use lifeboat::tui::message::{Notice, Wish};
use lifeboat::tui::model::{Job, JobId, Stage as JobStage};
use serde_json::json;

use super::cast::{self, avalanche_items, identity, seen};
use super::stage::Stage;
use super::wizard_cast::{GOOD, backup, restore, wait};
use crate::assert_page;
use crate::vault::item;

const IDENTITY: &str = "val-3/avalanchego/staking-identity";

/// A validator answers and runs with the identity of val-1.
fn clone_runs(stage: &mut Stage, host: &str) {
    stage.notice(Notice::Health(cast::healthy(host), stage.app.model.now));
    let mut found = cast::found(host, avalanche_items());
    found.facts.identities = vec![identity()];
    found.facts.units[0].invocation = format!("start of {host}");
    stage.notice(Notice::Found(Box::new(cast::wanted(host)), Box::new(Ok(found))));
}

fn twins(stage: &Stage) -> usize {
    stage.app.model.fleet.counts().get(&ItemState::Twin).copied().unwrap_or(0)
}

/// val-1 was seen running three minutes ago, val-3 was seen running with its identity now.
fn cloned() -> Stage {
    let mut stage = seen();
    wait(&mut stage, 180);
    clone_runs(&mut stage, "val-3");
    stage
}

#[test]
fn both_hosts_show_it_before_everything_else_and_say_what_to_do() {
    let mut stage = cloned();
    assert_eq!(twins(&stage), 2);
    stage.keys("home down");
    assert_page!("fleet_twin", stage);
    stage.keys("/").text("val-3").keys("enter enter");
    assert!(stage.grid((80, 24)).contains("✗ twin"), "{}", stage.grid((80, 24)));
    assert_page!("host_twin", stage);
    let mut stage = cloned();
    stage.keys("/").text("val-1").keys("enter 2 enter");
    assert!(stage.grid((80, 24)).contains("✗ twin"), "{}", stage.grid((80, 24)));
    assert_page!("item_twin", stage);
    // Once val-1 is seen stopped, it is over.
    let mut stopped = cast::found("val-1", avalanche_items());
    stopped.facts.units[0].active = "inactive".into();
    stage.notice(Notice::Found(Box::new(cast::wanted("val-1")), Box::new(Ok(stopped))));
    assert_eq!(twins(&stage), 0);
}

#[test]
fn a_backup_of_it_is_previewed_with_it() {
    let mut stage = cloned();
    let job = JobId(1);
    let mut job_of = Job::new(job, Wish::BackUp { item: item(IDENTITY), reason: None, set: [].into() });
    job_of.stage = JobStage::Planning;
    stage.app.model.jobs.push(job_of);
    let mut planned = backup(IDENTITY);
    planned.found = cast::found("val-3", avalanche_items());
    planned.found.facts.identities = vec![identity()];
    stage.notice(Notice::Planned(job, Box::new(Ok(planned.clone()))));
    let expects = |stage: &Stage| {
        let planned = stage.app.model.job(job).unwrap().planned.clone().unwrap();
        planned.expects.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        expects(&stage),
        [
            "The same identity also runs on val-1 (looked at 3m ago). Stop one of them for good: docs/services/avalanchego.md, Twins."
        ]
    );
    // The plan itself is what it was: what was seen elsewhere is none of its basis.
    assert_eq!(stage.app.model.job(job).unwrap().planned.as_ref().unwrap().hash, planned.hash);
}

/// A restore of val-1's identity onto val-3, with val-1 declared gone: consented to.
fn consented() -> Stage {
    let mut stage = seen();
    wait(&mut stage, 180);
    stage.notice(Notice::Health(cast::silent("val-1"), stage.app.model.now));
    let snapshot = SnapshotId::new(GOOD).unwrap();
    let wish =
        Wish::Restore { item: item("val-1/avalanchego/staking-identity"), snapshot, to: host("val-3"), set: [].into() };
    let mut job = Job::new(JobId(1), wish);
    let mut planned = restore("none", true);
    planned.plan.basis.insert("identities brought".into(), json!([identity()]));
    job.planned = Some(Arc::new(planned));
    stage.app.model.jobs.push(job);
    stage
}

/// It has begun, and val-3 runs with the identity.
fn restoring() -> Stage {
    let mut stage = consented();
    stage.notice(Notice::Started(JobId(1)));
    wait(&mut stage, 60);
    clone_runs(&mut stage, "val-3");
    stage
}

fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

#[test]
fn what_was_seen_of_a_lost_host_before_its_restore_is_no_twin_and_what_is_seen_of_it_after_is() {
    let mut stage = restoring();
    assert_eq!(twins(&stage), 0, "while it runs");
    stage.notice(Notice::Ended(JobId(1), Ok(None)));
    wait(&mut stage, 3600);
    assert_eq!(twins(&stage), 0, "afterwards");
    let grid = stage.grid((120, 40));
    assert!(!grid.contains("twin"), "{grid}");
    // It was declared gone, and is seen again: as a twin, until it is stopped.
    clone_runs(&mut stage, "val-1");
    assert_eq!(twins(&stage), 2);
    stage.notice(Notice::Health(cast::silent("val-1"), stage.app.model.now));
    wait(&mut stage, 7200);
    clone_runs(&mut stage, "val-3");
    assert_eq!(twins(&stage), 2, "it fell silent again, which proves nothing");
    stage.keys("/").text("val-3").keys("enter 2");
    let grid = stage.grid((120, 40));
    assert!(grid.contains("on val-1 (looked at 2h ago; it does"), "{grid}");
}

#[test]
fn a_restore_that_came_to_nothing_settled_nothing() {
    let failed = |exit| {
        let mut stage = restoring();
        stage.notice(Notice::Ended(JobId(1), Err(Failure::new(exit, "It failed."))));
        twins(&stage)
    };
    assert_eq!(failed(Exit::Failed), 2, "everything is as it was, and val-3 runs as val-1 did");
    assert_eq!(failed(Exit::Changed), 0, "what was fenced stays fenced; the next look tells");
}

#[test]
fn a_restore_stopped_before_it_began_settles_nothing() {
    let mut stage = consented();
    stage.app.model.jobs[0].stage = JobStage::Stopping;
    stage.notice(Notice::Started(JobId(1)));
    wait(&mut stage, 60);
    clone_runs(&mut stage, "val-3");
    assert_eq!(twins(&stage), 2, "while it is stopped");
    stage.notice(Notice::Ended(JobId(1), Err(Failure::new(Exit::Cancelled, "Cancelled."))));
    assert_eq!(twins(&stage), 2, "afterwards");
}
