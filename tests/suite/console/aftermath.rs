//! The pages of what was broken off, what could not be done, and what ended well with nothing left to say.

use lifeboat::engine::verify::Checked;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::HostId;
use lifeboat::model::ids::SnapshotId;
use lifeboat::tui::message::Notice;
use lifeboat::tui::screens::{self, node::NodePage};
use lifeboat::tui::wizard;

use super::jobs_runs::{RESTORED, interrupted, started, undoing, with_runs};
use super::wizard_cast::*;
use crate::assert_page;
use crate::vault::item;

#[test]
fn an_interrupted_run_says_what_it_came_to_and_what_can_be_done() {
    let mut stage = with_runs(screens::runs());
    stage.keys("down enter");
    assert_page!("run_interrupted", stage);
    let page = stage.grid((80, 24));
    assert!(page.contains("guard service") && page.contains("e resume   u undo   L leave"), "{page}");
}

#[test]
fn an_undo_that_could_not_undo_everything_says_what_stands() {
    let (mut stage, job) = undoing();
    happen(&stage, job.0, 3, undone("start"));
    let lost = Failure::new(Exit::Changed, "Undoing 'Put NodeID-7xgWjUSFbVFrdET1qh5LPyvQ5dQ9b1Xn2 in place of NodeID-Ke2oW9mUtLr4dTbqy3XvHn8sPfZcA1jQe' on spare-1 failed: connection lost.")
        .state("'Put NodeID-7xgWjUSFbVFrdET1qh5LPyvQ5dQ9b1Xn2 in place of NodeID-Ke2oW9mUtLr4dTbqy3XvHn8sPfZcA1jQe' was not undone: spare-1 does not answer. The guard on spare-1 undoes it by itself within 1m of the last word it heard.")
        .hint(format!("See what is true now: lifeboat runs {RUN}"));
    wait(&mut stage, 40);
    stage.notice(Notice::Ended(job, Err(lost)));
    wait(&mut stage, 1);
    assert_page!("run_undo_failed", stage);
}

#[test]
fn a_purge_that_did_not_come_through_says_where_what_is_left_is_listed() {
    let host = HostId::new("spare-1").unwrap();
    let path = format!("/home/avalanche/.avalanchego/.staking.lifeboat-{RESTORED}.kept");
    let kept = lifeboat::engine::node_run::Kept {
        run: lifeboat::model::ids::RunId::new(RESTORED).unwrap(),
        paths: vec![path],
    };
    let mut stage = stage(wizard::purge(host, vec![kept]));
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("spare-1").keys("enter");
    let job = started(&mut stage);
    let lost = Failure::new(Exit::Unreachable, "spare-1 could not be reached: connection refused.")
        .state(lifeboat::tui::wizard::PURGE_STANDS)
        .hint("Check the address and the link: lifeboat doctor spare-1")
        .hint("See what is still kept there: lifeboat kept spare-1");
    stage.notice(Notice::Ended(job, Err(lost)));
    wait(&mut stage, 1);
    assert_page!("purge_failed", stage);
}

#[test]
fn a_node_with_nothing_on_it_and_one_that_says_nothing() {
    let host = HostId::new("spare-1").unwrap();
    let mut stage = stage_with(Box::new(NodePage::of(host.clone())), holdings());
    stage.notice(Notice::RunsOn(host.clone(), Ok(Vec::new()))).notice(Notice::Kept(host.clone(), Ok(Vec::new())));
    assert_page!("node_empty", stage);
    let silent = || {
        Failure::new(Exit::Unreachable, "spare-1 could not be reached: connection refused.")
            .hint("Check the address and the link: lifeboat doctor spare-1")
    };
    stage.notice(Notice::RunsOn(host.clone(), Err(silent()))).notice(Notice::Kept(host, Err(silent())));
    assert_page!("node_failed", stage);
    stage.keys("delete");
    assert!(stage.grid((80, 24)).contains("not now, nothing is kept there"), "{}", stage.grid((80, 24)));
}

#[test]
fn a_verify_that_found_all_sound_says_so_of_each() {
    let copies = [IDENTITY, CHAINS].map(|place| (item(place), SnapshotId::new(GOOD).unwrap()));
    let mut stage = stage(wizard::verify(copies.to_vec()));
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    let job = started(&mut stage);
    for (place, id) in copies {
        let sound = Checked::Verified { bytes: 5120, warnings: Vec::new() };
        stage.notice(Notice::Checked(job, place, id, Ok(sound)));
    }
    wait(&mut stage, 2);
    stage.notice(Notice::Ended(job, Ok(None)));
    assert_page!("wizard_receipt_verify_well", stage);
}

/// It is another console's, and it is seen as that before anybody takes it over.
#[test]
fn an_interrupted_run_of_another_console_is_told_as_that() {
    let mut stage = with_runs(screens::runs());
    let other = lifeboat::model::ids::ConsoleId::new("console-77ff").unwrap();
    stage.notice(Notice::Console(other)).runs(vec![(interrupted().run.to_string(), Ok(interrupted()))]);
    stage.keys("enter");
    assert_page!("run_interrupted_elsewhere", stage);
}
