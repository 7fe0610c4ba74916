//! The inventory is edited while the console is open: what was planned, asked and shown with the old one, and what runs.

use std::sync::Arc;

use lifeboat::engine::fleet::Fleet;
use lifeboat::model::ids::HostId;
use lifeboat::tui::action::Action;
use lifeboat::tui::message::{Edition, Msg, Notice, Order, Reread, Wish};
use lifeboat::tui::model::{JobId, Stage as JobStage};
use lifeboat::tui::{screens, wizard};
use serde_json::json;

use super::cast;
use super::stage::Stage;
use super::wizard_cast::*;
use super::wizard_pages::previewing;
use crate::assert_page;
use crate::vault::item;

/// An inventory as it was read again, over the vault at a path.
pub fn reread(text: &str, vault: &str) -> Notice {
    let fleet = Fleet::of_inventory(&cast::inventory(text));
    Notice::Reloaded(Ok(Box::new(Reread { edition: Edition(1), fleet, vault: vault.into(), warnings: Vec::new() })))
}

fn shows(stage: &Stage, text: &str) -> bool {
    stage.grid((80, 24)).contains(text)
}

#[track_caller]
fn assert_shows(stage: &Stage, text: &str) {
    assert!(shows(stage, text), "'{text}' is not on\n{}", stage.grid((80, 24)));
}

/// The jobs plans were ordered for.
fn planned_for(stage: &Stage) -> Vec<JobId> {
    let plan = |order: &Order| if let Order::Plan(job, _) = order { Some(*job) } else { None };
    orders(stage).into_iter().filter_map(plan).collect()
}

#[test]
fn a_preview_is_made_anew_and_a_late_plan_of_the_old_inventory_is_nobody_s() {
    let mut stage = previewing(true);
    assert_shows(&stage, "◐ preview");
    stage.asked.clear();
    stage.notice(reread(cast::FLEET, "/vault"));
    assert_shows(&stage, "The inventory was read again: look at the new plan.");
    assert_shows(&stage, "◐ checks");
    let new = planned_for(&stage);
    assert_eq!(new.len(), 1);
    // The last plan of the old inventory comes in after all: it belongs to a job that nobody shows any more.
    let old = JobId(new[0].0 - 1);
    stage.notice(Notice::Planned(old, Box::new(Ok(restore("none", true)))));
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    assert_shows(&stage, "◐ checks");
    assert!(runs(&stage).is_empty());
    stage.notice(Notice::Planned(new[0], Box::new(Ok(restore("another", false)))));
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("spare-1").keys("enter");
    let run = runs(&stage);
    assert_eq!((run.len(), run[0].0, &run[0].1.hash), (1, new[0], &restore("another", false).hash));
}

#[test]
fn words_that_were_typed_over_the_old_inventory_answer_nothing() {
    let mut stage = previewing(true);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("val-1").keys("enter");
    wait(&mut stage, 1);
    stage.text("203.0.113.7");
    stage.notice(reread(cast::FLEET, "/vault"));
    stage.keys("enter");
    assert!(runs(&stage).is_empty());
    assert_shows(&stage, "The inventory was read again: look at the new plan.");
    answer(&mut stage, |_| Ok(restore("none", true)));
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    assert_shows(&stage, "Question 1 of 2");
}

/// Both plan anew at once; neither may show, let alone run, what the other wished for.
#[test]
fn two_open_wizards_have_jobs_of_their_own() {
    let mut stage = previewing(true);
    stage.app.update(Msg::Asked(Action::Vault));
    stage.keys("r");
    assert_shows(&stage, "Restore");
    stage.asked.clear();
    stage.notice(reread(cast::FLEET, "/vault"));
    let planned: Vec<(JobId, Wish)> = orders(&stage)
        .into_iter()
        .filter_map(|order| if let Order::Plan(job, wish) = order { Some((*job, wish.clone())) } else { None })
        .collect();
    assert_eq!(planned.len(), 2, "{planned:?}");
    assert_ne!(planned[0].0, planned[1].0, "one number for two wishes");
    for (job, wish) in planned {
        assert_eq!(stage.app.model.job(job).unwrap().wish, wish);
    }
}

/// A plan on its way when the inventory is read again is told no more: nobody waits for it.
#[test]
fn a_plan_on_its_way_is_ordered_anew() {
    let mut stage = stage(wizard::back_up(vec![item(IDENTITY)]));
    stage.keys("enter");
    assert_shows(&stage, "asking");
    stage.asked.clear();
    stage.notice(reread(cast::FLEET, "/vault"));
    assert_eq!(planned_for(&stage).len(), 1);
    answer(&mut stage, |_| Ok(backup(IDENTITY)));
    stage.keys("enter");
    assert_shows(&stage, "◐ preview");
}

#[test]
fn what_a_host_kept_by_the_old_inventory_is_not_removed_by_the_new_one() {
    let kept = lifeboat::engine::node_run::Kept {
        run: lifeboat::model::ids::RunId::new(RUN).unwrap(),
        paths: vec![format!("/srv/.data.lifeboat-{RUN}.kept")],
    };
    let mut stage = stage(wizard::purge(HostId::new("val-1").unwrap(), vec![kept]));
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("val-1");
    stage.notice(reread(cast::FLEET, "/vault"));
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.keys("enter enter");
    assert_shows(&stage, "next: not now, the inventory was read again: ask the node anew.");
    assert!(!orders(&stage).iter().any(|order| matches!(order, Order::Do(..))));
}

#[test]
fn jobs_that_run_and_their_pages_stay_as_they_are() {
    let mut stage = previewing(true);
    answer_both(&mut stage);
    let job = runs(&stage)[0].0;
    stage.notice(Notice::Started(job));
    happen(&stage, job.0, 0, run_started());
    happen(&stage, job.0, 1, began("ready"));
    wait(&mut stage, 2);
    stage.asked.clear();
    stage.notice(reread("version = 1\n[vault]\npath = \"/vault\"\n[hosts.val-9]\n", "/vault"));
    assert!(matches!(stage.app.model.job(job).unwrap().stage, JobStage::Running));
    assert!(planned_for(&stage).is_empty() && !orders(&stage).iter().any(|order| matches!(order, Order::Cancel(_))));
    wait(&mut stage, 1);
    assert_shows(&stage, "◐ run");
    assert_shows(&stage, "Check that the node can take it");
    stage.notice(Notice::Ended(job, Ok(Some(report(json!({}))))));
    assert_shows(&stage, "Restored: every step is done.");
}

#[test]
fn the_fleet_begins_anew_and_another_vault_brings_nothing_of_the_old_one() {
    let mut stage = cast::seen();
    stage.runs(Vec::new());
    stage.keys("space");
    stage.asked.clear();
    let one = "version = 1\n[vault]\npath = \"/vault\"\n[hosts.val-1]\n[hosts.val-1.services.avalanchego]\n";
    stage.notice(reread(one, "/vault"));
    let ordered = orders(&stage);
    assert!(ordered.iter().any(|order| matches!(order, Order::Look(owners) if owners.len() == 1)), "{ordered:?}");
    assert!(ordered.iter().any(|order| matches!(order, Order::ReadVault)));
    assert_eq!((stage.app.model.edition, stage.app.model.looking.len()), (Edition(1), 0));
    assert!(stage.app.model.fleet.owners[0].health.is_none(), "nobody has looked at it");
    assert!(stage.app.model.holdings.is_some(), "the vault is the same");
    assert!(!shows(&stage, "nats-1"));
    stage.asked.clear();
    stage.notice(reread(one, "/other"));
    let model = &stage.app.model;
    assert!(model.holdings.is_none() && model.runs.is_none() && model.fleet.read_at.is_none());
    assert!(model.fleet.owners[0].items().next().is_none(), "its copies were the other vault's");
    assert!(orders(&stage).iter().any(|order| matches!(order, Order::ReadRuns)));
}

/// What was asked of a node before may never be told: its pages ask again.
#[test]
fn pages_of_a_node_ask_it_again() {
    let mut stage = stage_with(Box::new(screens::node::NodePage::of(HostId::new("val-1").unwrap())), holdings());
    stage.notice(Notice::RunsOn(HostId::new("val-1").unwrap(), Ok(Vec::new())));
    assert_shows(&stage, "None.");
    stage.asked.clear();
    stage.notice(reread(cast::FLEET, "/vault"));
    assert!(!shows(&stage, "None."));
    let asked = |stage: &Stage| orders(stage).into_iter().any(|order| matches!(order, Order::ReadRunsOn(_)));
    assert!(asked(&stage));

    let mut stage = cast::seen();
    stage.keys("g g down enter");
    assert!(orders(&stage).iter().any(|order| matches!(order, Order::Discover(_))), "{}", stage.grid((80, 24)));
    stage.asked.clear();
    stage.notice(reread(cast::FLEET, "/vault"));
    let host = orders(&stage).iter().find_map(|order| if let Order::Look(o) = order { Some(o.clone()) } else { None });
    for owner in host.unwrap() {
        stage.notice(Notice::Looked(owner, cast::now()));
    }
    assert!(
        orders(&stage).iter().any(|order| matches!(order, Order::Discover(_))),
        "asked again once it was looked at"
    );
}

/// The fleet once val-1 is taken out of it.
const WITHOUT: &str =
    "version = 1\n[vault]\npath = \"/vault\"\n[hosts.val-2]\n[hosts.val-2.services.avalanchego]\n[hosts.spare-1]\n";

#[test]
fn the_page_of_an_item_whose_host_vanishes_shows_its_copies_and_restores_them_elsewhere() {
    let mut stage = cast::seen();
    stage.keys("/").text("val-1").keys("enter tab g g down down enter down");
    assert_shows(&stage, "Copies, 40");
    stage.asked.clear();
    stage.notice(reread(WITHOUT, "/vault"));
    assert_page!("item_gone", stage);
    assert_shows(&stage, "Copies, 40");
    stage.keys("b");
    assert_shows(&stage, "backup: not now, it is in no inventory");
    stage.keys("f5");
    assert_shows(&stage, "not now, it is in no inventory");
    let looked =
        |stage: &Stage| orders(stage).iter().any(|o| matches!(o, Order::Look(of) if of[0].as_str() == "val-1"));
    assert!(!looked(&stage), "nobody looks for it");
    stage.keys("r");
    assert_shows(&stage, "◐ choose");
    stage.keys("esc up down space a U d esc");
    // It comes back, and with it what can be done to it.
    stage.notice(reread(cast::FLEET, "/vault"));
    stage.keys("b");
    assert_shows(&stage, "Back up val-1/avalanchego/staking-identity");
}

#[test]
fn what_is_inside_a_copy_is_read_on_when_its_host_vanishes() {
    let (mut stage, snapshot, _dir) = super::stored::seen();
    stage.keys("/").text("val-1").keys("enter tab g g down down enter enter");
    let (place, id) = (snapshot.item().clone(), snapshot.id().clone());
    stage.notice(Notice::Snapshot(place, id, Ok(Box::new(snapshot))));
    stage.keys("enter");
    let asked = |stage: &Stage| {
        let peek = |order: &&Order| matches!(order, Order::LookInside(_));
        orders(stage)
            .into_iter()
            .rfind(peek)
            .map(|order| if let Order::LookInside(p) = order { p.clone() } else { unreachable!() })
    };
    let before = asked(&stage).unwrap();
    stage.notice(reread(WITHOUT, "/vault"));
    assert_shows(&stage, "It is being opened and read.");
    // The vault was read on with the old inventory's own keys; its answer counts, for the copy is the same.
    let rows = vec![vec!["node id".to_owned(), cast::NODE_ID.to_owned()]];
    let page =
        lifeboat::engine::inside::Page { columns: vec!["fact".into(), "value".into()], rows, ..Default::default() };
    stage.notice(Notice::Inside(before, Ok(page)));
    assert_shows(&stage, cast::NODE_ID);
    stage.keys("up down y esc");
    assert_shows(&stage, "staker.key");
    stage.keys("down enter");
    assert_eq!(asked(&stage).unwrap().file, "staker.key");
    stage.keys("esc esc");
    assert_shows(&stage, "Copies, 40");
}

#[test]
fn the_page_of_what_lies_on_a_node_that_vanishes_says_that_nobody_knows_it() {
    let host = || HostId::new("val-1").unwrap();
    let kept = lifeboat::engine::node_run::Kept {
        run: lifeboat::model::ids::RunId::new(RUN).unwrap(),
        paths: vec![format!("/srv/.data.lifeboat-{RUN}.kept")],
    };
    let mut stage = stage_with(Box::new(screens::node::NodePage::of(host())), holdings());
    stage.notice(Notice::RunsOn(host(), Ok(Vec::new()))).notice(Notice::Kept(host(), Ok(vec![kept])));
    assert_shows(&stage, ".kept");
    stage.notice(reread(WITHOUT, "/vault"));
    assert!(!shows(&stage, ".kept"), "what was told of another inventory's node is not this one's");
    stage.keys("delete");
    assert_shows(&stage, "not now, nothing is kept there");
    let unknown = || lifeboat::engine::doctor::unknown_host("val-1");
    stage.notice(Notice::RunsOn(host(), Err(unknown()))).notice(Notice::Kept(host(), Err(unknown())));
    assert_page!("node_gone", stage);
    stage.keys("down f5 enter delete pgdn esc");
}

/// A wish is never done to a host of another inventory than the one it was shown with: see also the crew's own test.
#[test]
fn a_job_that_came_a_moment_too_late_is_shown_anew() {
    let mut stage = previewing(false);
    stage.keys("enter");
    wait(&mut stage, 1);
    stage.text("spare-1").keys("enter");
    let job = runs(&stage)[0].0;
    stage.asked.clear();
    stage.notice(reread(cast::FLEET, "/vault"));
    let late = lifeboat::model::exit::Failure::new(lifeboat::model::exit::Exit::Stale, "The inventory was read again.");
    stage.notice(Notice::Ended(job, Err(late)));
    let again = orders(&stage).into_iter().find(|o| matches!(o, Order::Plan(_, Wish::Restore { .. })));
    assert!(again.is_some(), "{}", stage.grid((80, 24)));
    assert_shows(&stage, "Nothing was changed");
}

/// The vault itself may be away once it was read again: the wizard says what is missing where it is chosen.
#[test]
fn a_wizard_whose_copy_is_in_another_vault_goes_back_to_its_choices() {
    let mut stage = previewing(false);
    stage.notice(reread(cast::FLEET, "/other"));
    assert_shows(&stage, "◐ choose");
    assert_shows(&stage, "The inventory was read again");
    stage.keys("end");
    assert_shows(&stage, "The vault has not been read yet.");
    stage.notice(Notice::Vault(Ok(Arc::new(holdings()))));
    stage.keys("end enter");
    assert_shows(&stage, "◐ checks");
}
