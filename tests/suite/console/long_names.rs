//! Names that have room in no column, on every page of a restore and of a verify.

use std::sync::Arc;

use lifeboat::engine::holdings::Holdings;
use lifeboat::engine::planner::Planned;
use lifeboat::engine::verify::Checked;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::{HostId, SnapshotId};
use lifeboat::model::plan::Command;
use lifeboat::model::text::CleanText;
use lifeboat::tui::message::{Notice, Order};
use lifeboat::tui::wizard;
use serde_json::json;

use super::cast::{HOUR, copy, inventory, shelf};
use super::reload::reread;
use super::stage::Stage;
use super::wizard_cast::*;
use crate::assert_page;
use crate::vault::item;

const DEEP: &str = "/srv/a-directory-deep-down/below-another-one/of-the-far-corner-of-rack-27/日本語の名前/configs";

/// A vault with two copies of the long item, and the host that has it in the inventory.
fn stage_of(page: Box<dyn lifeboat::tui::screen::Screen>) -> Stage {
    let mut copies = vec![copy(2 * HOUR, 1_170, Some(2 * HOUR)), copy(50 * HOUR, 1_165, Some(50 * HOUR))];
    for copy in &mut copies {
        copy.source = HostId::new(LONG_HOST).unwrap();
    }
    let holdings = Holdings { items: [(item(&long_item()), shelf(copies))].into(), ..Holdings::default() };
    let mut stage = stage_with(page, holdings.clone());
    let text = format!(
        "version = 1\n[vault]\npath = \"/vault\"\n[hosts.{LONG_HOST}]\n[hosts.{LONG_HOST}.services.avalanchego]\n"
    );
    assert_eq!(inventory(&text).hosts.len(), 1);
    stage.notice(reread(&text, "/vault")).notice(Notice::Vault(Ok(Arc::new(holdings))));
    wait(&mut stage, 1);
    stage
}

fn newest() -> SnapshotId {
    copy(2 * HOUR, 1_170, Some(2 * HOUR)).id
}

/// A restore of it onto its own host, over what is there.
fn long_restore() -> Planned {
    let mut planned = restore("none", true);
    let host = HostId::new(LONG_HOST).unwrap();
    let place = item(&long_item());
    planned.found.host = host.clone();
    planned.found.owner = place.owner.clone();
    planned.plan.command = Command::Restore { item: place, snapshot: newest(), to: host.clone() };
    planned.plan.guards.iter_mut().for_each(|guard| guard.host = host.clone());
    planned.plan.steps.iter_mut().for_each(|step| step.host = host.clone());
    planned.plan.steps[3].title = CleanText::new(&format!("Put what was saved in place of {DEEP}"));
    planned.plan.leaves = vec![CleanText::new(&format!("What was in {DEEP} is kept in {DEEP}.lifeboat-{{run}}.kept."))];
    LONG_HOST.clone_into(&mut planned.plan.gates[0].word);
    planned.plan.gates[0].question = CleanText::new(&format!("What is in {DEEP} on {LONG_HOST} is replaced."));
    planned.sightings.iter_mut().for_each(|sighting| sighting.host = host.clone());
    planned.hash = lifeboat::engine::canonical::plan_hash(&planned.plan).unwrap();
    planned
}

#[test]
fn long_names_stay_inside_a_restore_from_its_choice_to_its_receipt() {
    let mut stage = stage_of(wizard::restore(Some(item(&long_item())), Some(newest())));
    answer(&mut stage, |_| Ok(long_restore()));
    assert_page!("restore_choose_long_names", stage);
    stage.keys("end enter");
    assert_page!("restore_checks_long_names", stage);
    wait(&mut stage, 1);
    stage.keys("enter");
    assert_page!("restore_preview_long_names", stage);
    stage.keys("end");
    assert_page!("restore_preview_end_long_names", stage);
    wait(&mut stage, 1);
    stage.keys("enter");
    wait(&mut stage, 1);
    assert_page!("restore_confirm_long_names", stage);
    let page: String = stage.grid((80, 24)).lines().map(|line| line.trim_matches(['│', ' '])).collect();
    assert!(page.contains(&format!("in one piece:{LONG_HOST}>")), "the word stands there whole: {page}");
    stage.text(LONG_HOST).keys("enter");
    wait(&mut stage, 1);
    stage.text("203.0.113.7").keys("enter");
    let job = runs(&stage)[0].0;
    stage.notice(Notice::Started(job));
    let begun =
        [(0, run_started()), (1, began("ready")), (3, done("ready")), (3, began("deliver")), (5, done("deliver"))];
    for (second, kind) in begun.into_iter().chain([(5, began("stop")), (7, done("stop")), (7, began("swap"))]) {
        happen(&stage, job.0, second, kind);
    }
    wait(&mut stage, 8);
    assert_page!("restore_live_long_names", stage);
    stage.notice(Notice::Ended(job, Ok(Some(report(json!({}))))));
    assert_page!("restore_receipt_long_names", stage);
}

#[test]
fn long_names_stay_inside_a_verify_from_its_preview_to_its_receipt() {
    let older = copy(50 * HOUR, 1_165, Some(50 * HOUR)).id;
    let copies = [newest(), older].map(|id| (item(&long_item()), id));
    let mut stage = stage_of(wizard::verify(copies.to_vec()));
    assert_page!("verify_choose_long_names", stage);
    stage.keys("enter");
    assert_page!("verify_preview_long_names", stage);
    wait(&mut stage, 1);
    stage.keys("enter");
    let job =
        orders(&stage).into_iter().find_map(|o| if let Order::Do(job, ..) = o { Some(*job) } else { None }).unwrap();
    stage.notice(Notice::Started(job));
    let sound = Checked::Verified { bytes: 5120, warnings: vec!["a mode is not that of its owner".to_owned()] };
    let why = format!("{DEEP}/C/config.json: its bytes do not hash to what was written");
    let [(place, id), (other, older)] = copies;
    stage.notice(Notice::Checked(job, place, id, Ok(sound)));
    wait(&mut stage, 1);
    assert_page!("verify_live_long_names", stage);
    let told = Failure::new(Exit::Integrity, format!("{other}@{older} is broken."));
    stage.notice(Notice::Checked(job, other, older, Ok(Checked::Broken { why: vec![why] })));
    stage.notice(Notice::Ended(job, Err(told)));
    assert_page!("verify_receipt_long_names", stage);
}
