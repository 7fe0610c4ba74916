//! Runs that are undone, resumed and adopted by keys, over the engine itself and sandboxed nodes: what it asks is asked
//! here word by word, and what was typed is what it gets.

use std::collections::BTreeMap;

use lifeboat::engine::runs::{Report, Resume, Told};
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::{HostId, ItemRef};
use lifeboat::tui::message::{Notice, Order, Wish};
use lifeboat::tui::model::JobId;
use lifeboat::tui::{screens, wizard};
use lifeboat::vault::Snapshot;

use super::stage::Stage;
use super::wizard_cast::{orders, stage, wait};
use crate::sandbox::Node;
use crate::sandbox::bench::{Fleet, World, digest};
use crate::sandbox::fixtures::{FIXTURES, Fixture};
use crate::sandbox::matrix::{answers, consent, laid};
use crate::sandbox::rules::broken_off;

const UNIT: &str = "avalanchego.service";

fn validators() -> &'static dyn Fixture {
    *FIXTURES.iter().find(|fixture| fixture.name() == "avalanchego").unwrap()
}

fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

/// Backs a host's identity up and gives the snapshot.
fn saved(world: &World, fleet: &Fleet, from: &str) -> Snapshot {
    let (owner, service) = (from.parse().unwrap(), "avalanchego".parse().unwrap());
    let place = ItemRef { owner, service, item: "staking-identity".parse().unwrap() };
    world.with(0, fleet, |runs, prober| {
        let planned = prober.plan_backup(&place, None, &BTreeMap::new()).unwrap();
        runs.run(&planned, None, &answers(&planned.plan)).unwrap();
    });
    let mut all = world.vault.catalogue().unwrap().snapshots;
    all.retain(|snapshot| *snapshot.item() == place);
    all.pop().unwrap()
}

/// A restore onto `new` that is done; `twin` is a third host that the vault knows to have had an identity.
fn restored(world: &World, fleet: &Fleet) -> Told {
    let copy = saved(world, fleet, "old");
    saved(world, fleet, "third");
    let (_, old) = fleet.nodes[0];
    old.run(&format!("systemctl stop {UNIT}"));
    world.with(0, fleet, |runs, prober| {
        let planned = prober.plan_restore(&world.vault, copy.manifest(), &host("new"), &BTreeMap::new()).unwrap();
        let report = runs.run(&planned, Some(copy.clone()), &answers(&planned.plan)).unwrap();
        runs.read(&report.run).unwrap()
    })
}

/// The page of a run of the vault.
fn page_of(told: &Told) -> Stage {
    let mut stage = stage(screens::runs());
    let (owner, _) = told.owner().unwrap();
    stage.notice(Notice::Console(owner)).runs(vec![(told.run.to_string(), Ok(told.clone()))]);
    stage.keys("enter");
    stage
}

/// Answers what was asked of the nodes as the crew would.
fn look(stage: &mut Stage, world: &World, fleet: &Fleet, told: &Told) {
    let asked: Vec<(JobId, Wish)> = orders(stage)
        .into_iter()
        .filter_map(|order| match order {
            Order::LookAhead(job, wish, _) => Some((*job, wish.clone())),
            _ => None,
        })
        .collect();
    stage.asked.clear();
    let console = usize::from(told.node.is_some());
    for (job, wish) in asked {
        let ahead = world.with(console, fleet, |runs, _| match wish {
            Wish::RollBack(_) => runs.look_before_rollback(told),
            Wish::Resume(_, how, _) => runs.look_before_resume(told, how),
            other => panic!("{other:?}"),
        });
        stage.notice(Notice::Ahead(job, Box::new(ahead)));
    }
}

/// The job that was ordered, with what was stated for it.
fn ordered(stage: &Stage) -> Option<(JobId, BTreeMap<String, String>)> {
    orders(stage).into_iter().find_map(|order| match order {
        Order::Do(job, _, answered) => Some((*job, answered.clone())),
        _ => None,
    })
}

fn said(answers: &[(&str, &str)]) -> BTreeMap<String, String> {
    answers.iter().map(|(gate, word)| ((*gate).to_owned(), (*word).to_owned())).collect()
}

#[track_caller]
fn assert_shows(stage: &Stage, text: &str) {
    let page = stage.grid((120, 40));
    assert!(page.contains(text), "'{text}' is not on\n{page}");
}

/// Goes on once keys count.
fn go_on(stage: &mut Stage) {
    wait(stage, 1);
    stage.keys("enter");
    wait(stage, 1);
}

fn nodes() -> [Node; 3] {
    [true, false, false].map(|is_saved| laid(validators(), is_saved))
}

fn fleet(nodes: &[Node; 3]) -> Fleet<'_> {
    let [old, new, third] = nodes;
    Fleet::sound(validators(), &[("old", old), ("new", new), ("third", third)])
}

#[test]
fn a_host_that_does_not_answer_is_asked_about_before_a_run_is_undone() {
    let (world, nodes) = (World::new(), nodes());
    let before = digest(validators(), &nodes[1]);
    // The identity that `new` had runs on `third` too, until that one is lost.
    let mut fleet = fleet(&nodes);
    let told = restored(&world, &fleet);
    let undo = |fleet: &Fleet, answered: &BTreeMap<String, String>| -> Result<Report, Failure> {
        world.with(0, fleet, |runs, _| runs.rollback(&told, answered))
    };
    let mut stage = page_of(&told);
    stage.keys("u");
    look(&mut stage, &world, &fleet, &told);
    assert_shows(&stage, "This identity runs elsewhere.");
    fleet.silent = vec!["third"];
    stage.keys("f5");
    look(&mut stage, &world, &fleet, &told);
    assert_shows(&stage, "2 to be typed before the first change.");
    go_on(&mut stage);
    assert_shows(&stage, "--confirm fenced-third=third");
    go_on(&mut stage);
    assert_shows(&stage, "Question 1 of 2");
    assert_shows(&stage, "so nothing proves that this identity is not running on third.");
    stage.text("third").keys("enter");
    wait(&mut stage, 1);
    stage.text("new").keys("enter");
    assert!(ordered(&stage).is_none(), "that is not the word");
    wait(&mut stage, 1);
    stage.text(told.run.as_str()).keys("enter");
    let (job, answered) = ordered(&stage).unwrap();
    assert_eq!(answered, said(&[("fenced-third", "third"), ("rollback", told.run.as_str())]));
    let done = undo(&fleet, &answered);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(digest(validators(), &nodes[1]), before);
    stage.notice(Notice::Started(job)).notice(Notice::Ended(job, done.map(Some)));
    assert_shows(&stage, "was undone: what was there before it is there again.");
}

#[test]
fn what_becomes_a_question_after_the_look_is_asked_and_nothing_is_done_before() {
    let (world, nodes) = (World::new(), nodes());
    let mut fleet = fleet(&nodes);
    let told = restored(&world, &fleet);
    nodes[2].run(&format!("systemctl stop {UNIT}"));
    let mut stage = page_of(&told);
    stage.keys("u");
    look(&mut stage, &world, &fleet, &told);
    assert_shows(&stage, "1 to be typed before the first change.");
    go_on(&mut stage);
    go_on(&mut stage);
    stage.text(told.run.as_str()).keys("enter");
    let (job, answered) = ordered(&stage).unwrap();
    assert_eq!(answered, said(&[("rollback", told.run.as_str())]));
    fleet.silent = vec!["third"];
    let refused = world.with(0, &fleet, |runs, _| runs.rollback(&told, &answered));
    assert_eq!(refused.as_ref().unwrap_err().exit, Exit::Confirmation, "{refused:?}");
    stage.asked.clear();
    stage.notice(Notice::Started(job)).notice(Notice::Ended(job, refused.map(Some)));
    look(&mut stage, &world, &fleet, &told);
    assert_shows(&stage, "Nothing was changed: there is something new to be confirmed.");
    assert_shows(&stage, "is not running on third.");
    stage.asked.clear();
    go_on(&mut stage);
    stage.text("third").keys("enter");
    wait(&mut stage, 1);
    stage.text(told.run.as_str()).keys("enter");
    assert_eq!(ordered(&stage).unwrap().1, said(&[("fenced-third", "third"), ("rollback", told.run.as_str())]));
}

#[test]
fn what_was_written_since_a_restore_is_counted_on_its_node() {
    let (world, nodes) = (World::new(), nodes());
    let fleet = fleet(&nodes);
    let told = restored(&world, &fleet);
    nodes[2].run(&format!("systemctl stop {UNIT}"));
    let mut stage = page_of(&told);
    stage.keys("u");
    look(&mut stage, &world, &fleet, &told);
    assert_shows(&stage, "Nothing was written into /home/avax/.avalanchego/staking since the run.");
    // The moment of the swap is the inode's own; a file of the same instant is no later one.
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(nodes[1].path("home/avax/.avalanchego/staking/notes"), "x".repeat(2048)).unwrap();
    stage.keys("f5");
    look(&mut stage, &world, &fleet, &told);
    assert_shows(
        &stage,
        "1 file, 2.00 KiB, written into /home/avax/.avalanchego/staking since the run, the last at 20",
    );
}

#[test]
fn a_run_that_was_undone_is_told_so_before_anybody_is_asked() {
    let (world, nodes) = (World::new(), nodes());
    let fleet = fleet(&nodes);
    let told = restored(&world, &fleet);
    nodes[2].run(&format!("systemctl stop {UNIT}"));
    world.with(0, &fleet, |runs, _| runs.rollback(&told, &consent(&told.run))).unwrap();
    let mut stage = page_of(&told);
    stage.keys("u");
    look(&mut stage, &world, &fleet, &told);
    assert_shows(&stage, "has undone it already");
    stage.keys("enter enter");
    assert!(ordered(&stage).is_none());
}

/// As the console that died left it: everything but the start was done.
fn interrupted(mut told: Told) -> Told {
    use lifeboat::model::event::EventKind;
    let is_start = |kind: &EventKind| matches!(kind, EventKind::StepStarted { step, .. } if step.as_str() == "start");
    let at = told.events.iter().position(|event| is_start(&event.kind)).unwrap();
    told.events.truncate(at);
    (told.ended, told.receipt) = (None, None);
    told
}

#[test]
fn a_host_that_does_not_answer_is_asked_about_before_a_run_goes_on() {
    let (world, nodes) = (World::new(), [true, false, true].map(|is_saved| laid(validators(), is_saved)));
    let mut fleet = fleet(&nodes);
    nodes[2].run(&format!("systemctl stop {UNIT}"));
    let told = interrupted(restored(&world, &fleet));
    nodes[1].run(&format!("systemctl stop {UNIT}"));
    fleet.silent = vec!["third"];
    let mut stage = page_of(&told);
    stage.keys("e");
    look(&mut stage, &world, &fleet, &told);
    go_on(&mut stage);
    assert_shows(&stage, "is started by step");
    go_on(&mut stage);
    assert_shows(&stage, "Question 1 of 1");
    stage.text("third").keys("enter");
    assert_eq!(ordered(&stage).unwrap().1, said(&[("fenced-third", "third")]));
}

#[test]
fn the_plan_of_an_adopted_run_is_consented_to_by_its_own_word() {
    let (old, new) = (laid(validators(), true), laid(validators(), false));
    let (world, run, copy) = broken_off(&old, &new);
    let fleet = Fleet::sound(validators(), &[("old", &old), ("new", &new)]);
    let told = world.with(1, &fleet, |runs, _| runs.read_from(&host("new"), &run).unwrap());
    let mut stage = stage(wizard::resume(told.clone(), Resume::GoOn, Some(host("new")), true));
    wait(&mut stage, 1);
    look(&mut stage, &world, &fleet, &told);
    go_on(&mut stage);
    assert_shows(&stage, "It is another console's.");
    go_on(&mut stage);
    assert_shows(&stage, "whoever has root there could have written it");
    let hash = lifeboat::engine::canonical::plan_hash(&told.plan).unwrap();
    stage.text("yes").keys("enter");
    assert!(ordered(&stage).is_none());
    wait(&mut stage, 1);
    stage.text(&hash[..16]).keys("enter");
    let (_, answered) = ordered(&stage).unwrap();
    assert_eq!(answered, said(&[("plan", &hash[..16])]));
    let done = world.with(1, &fleet, |runs, _| runs.resume(&told, Resume::GoOn, Some(copy), &answered));
    assert!(done.is_ok(), "{done:?}");
    assert!(new.is_running(UNIT));
}

#[test]
fn an_undoing_that_was_interrupted_is_gone_on_with_as_an_undoing() {
    use lifeboat::model::event::EventKind;
    let (world, nodes) = (World::new(), nodes());
    let fleet = fleet(&nodes);
    let told = restored(&world, &fleet);
    nodes[2].run(&format!("systemctl stop {UNIT}"));
    let mut undoing = world.with(0, &fleet, |runs, _| {
        let report = runs.rollback(&told, &consent(&told.run)).unwrap();
        runs.read(&report.run).unwrap()
    });
    // As a console that died right then would have left it.
    let begun = undoing.events.iter().position(|event| matches!(event.kind, EventKind::Undoes { .. })).unwrap();
    undoing.events.truncate(begun + 1);
    (undoing.ended, undoing.receipt) = (None, None);
    let mut stage = page_of(&undoing);
    stage.keys("e");
    look(&mut stage, &world, &fleet, &undoing);
    go_on(&mut stage);
    assert_shows(&stage, &format!("The undoing of run {} goes on", told.run));
    assert_shows(&stage, "/home/avax/.avalanchego/staking is again what it was before the run");
    assert_shows(&stage, "--roll-back");
    assert!(!stage.grid((120, 40)).contains("is stopped by step"), "{}", stage.grid((120, 40)));
}
