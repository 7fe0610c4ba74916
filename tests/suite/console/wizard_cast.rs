//! What wizards are shown with: a small fleet, a vault with copies, plans as the engine makes them, and a crew that
//! reports what a test tells it to.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifeboat::engine::canonical::plan_hash;
use lifeboat::engine::fleet::Fleet;
use lifeboat::engine::holdings::{CopyView, Holdings, ProofView};
use lifeboat::engine::planner::Planned;
use lifeboat::engine::runs::{Ahead, Report};
use lifeboat::engine::scan::Found;
use lifeboat::model::event::{Event, EventKind};
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::facts::{Facts, UnitFacts};
use lifeboat::model::ids::{ConsoleId, HostId, ItemRef, RunId, SnapshotId, StepId, UnitName};
use lifeboat::model::item::{Copying, Item, Sensitivity, Standing};
use lifeboat::model::manifest::Rung;
use lifeboat::model::plan::{Choice, Plan};
use lifeboat::model::text::CleanText;
use lifeboat::model::units::ByteSize;
use lifeboat::services::{Sighting, Whereabouts};
use lifeboat::tui::app::App;
use lifeboat::tui::message::{Effect, Msg, Notice, Order, Wish};
use lifeboat::tui::model::{JobId, Model, Place};
use lifeboat::tui::screen::Screen;
use serde_json::{Value, json};

use super::stage::{NOW, Stage};
use crate::vault::item;

pub const IDENTITY: &str = "val-1/avalanchego/staking-identity";
pub const CHAINS: &str = "val-1/avalanchego/chain-configs";
pub const GOOD: &str = "20261120T005000Z-7f3a";
pub const RUN: &str = "20261120T025000Z-7f3a9c";

const FLEET: &str = r#"
version = 1
[vault]
path = "/vault"
[hosts.val-1]
address = "10.0.0.11"
groups = ["prod"]
[hosts.val-1.services.avalanchego]
[hosts.val-2]
address = "10.0.0.12"
groups = ["prod"]
[hosts.val-2.services.avalanchego]
[hosts.spare-1]
address = "10.0.0.31"
groups = ["spare"]
[hosts.spare-1.services.avalanchego]
"#;

/// The console on one page, with that fleet and a vault that holds `holdings`.
pub fn stage_with(page: Box<dyn Screen>, holdings: Holdings) -> Stage {
    let path = std::path::Path::new("/inventory.toml");
    let loaded = lifeboat::config::parse_inventory(FLEET, path, std::path::Path::new("/home/ops")).unwrap();
    let flags = vec!["--inventory".to_owned(), "/srv/fleet.toml".to_owned()];
    let place = Place { inventory: path.into(), vault: "/vault".into(), flags, ..Place::default() };
    let model = Model::new(place, Fleet::of_inventory(&loaded.inventory), NOW.parse().unwrap());
    let mut stage = Stage::of(App::new(model, page));
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    wait(&mut stage, 1);
    stage
}

/// As [`stage_with`], over the usual holdings.
pub fn stage(page: Box<dyn Screen>) -> Stage {
    stage_with(page, holdings())
}

/// Time passes, and the console is told.
pub fn wait(stage: &mut Stage, seconds: i64) {
    let now = stage.app.model.now + jiff::SignedDuration::from_secs(seconds);
    stage.asked.extend(stage.app.update(Msg::Tick(now)));
}

/// A fresh good copy, an older one, and one that something speaks against.
pub fn holdings() -> Holdings {
    let copy = |id: &str, created: &str, rungs: &[Rung], against: &[&str]| CopyView {
        id: SnapshotId::new(id).unwrap(),
        created: created.parse().unwrap(),
        source: HostId::new("val-1").unwrap(),
        size: ByteSize(5_120),
        stored: ByteSize(5_600),
        sealed: true,
        proofs: rungs
            .iter()
            .map(|rung| ProofView { rung: *rung, at: created.parse().unwrap(), passed: true })
            .collect(),
        against: against.iter().map(|why| (*why).to_owned()).collect(),
        marks: Vec::new(),
    };
    let rungs = [Rung::Copied, Rung::Openable, Rung::Verified];
    let identity = [
        copy("20261120T020000Z-11aa", "2026-11-20T02:00:00Z", &[Rung::Copied], &["not verified"]),
        copy(GOOD, "2026-11-20T00:50:00Z", &rungs, &[]),
        copy("20261113T005000Z-0c4d", "2026-11-13T00:50:00Z", &rungs, &[]),
    ];
    let shelf = |copies: &[CopyView]| super::cast::shelf(copies.to_vec());
    let items = [(item(IDENTITY), shelf(&identity)), (item(CHAINS), shelf(&identity[1..]))];
    Holdings { items: items.into_iter().collect(), ..Holdings::default() }
}

/// The same, once nothing speaks against the newest copies any more.
pub fn with_the_newest_sound() -> Holdings {
    let mut found = holdings();
    for shelf in found.items.values_mut() {
        let mut copies = shelf.copies.to_vec();
        copies[0].against.clear();
        *shelf = super::cast::shelf(copies);
    }
    found
}

fn facts() -> Facts {
    let unit = |active: &str| UnitFacts {
        unit: UnitName::new("avalanchego.service").unwrap(),
        load: "loaded".into(),
        active: active.into(),
        enabled: "enabled".into(),
        invocation: "0".into(),
        main_pid: 812,
        fenced: false,
    };
    Facts { present: true, version: Some("1.13.5".into()), units: vec![unit("active")], ..Facts::default() }
}

fn planned(place: &ItemRef, host: &str, plan: Value, choices: Vec<Choice>, sightings: Vec<Sighting>) -> Planned {
    let plan: Plan = serde_json::from_value(plan).unwrap();
    let thing = Item {
        id: place.item.clone(),
        title: place.item.as_str().replace('-', " "),
        size: Some(ByteSize(5_120)),
        sensitivity: Sensitivity::Secret,
        copying: Copying::Live,
        standing: Standing::Ready,
        format: "staking/1".into(),
        facts: json!({}),
    };
    let found = Found {
        owner: place.owner.clone(),
        service: place.service.clone(),
        kind: "avalanchego".into(),
        host: HostId::new(host).unwrap(),
        settings: json!({}),
        facts: facts(),
        items: vec![thing.clone()],
    };
    Planned {
        hash: plan_hash(&plan).unwrap(),
        plan,
        found,
        item: thing,
        choices,
        expects: Vec::new(),
        foretold: serde_json::Value::Null,
        sightings,
    }
}

fn step(id: &str, host: &str, title: &str, op: &str, args: Value, effect: &str) -> Value {
    let mut step = json!({
        "id": id, "host": host, "title": title, "timeout": 120, "op": op, "args": args, "effect": effect,
    });
    if ["stop", "swap", "start", "accept"].contains(&id) {
        step["guard"] = json!("service");
        step["on_lapse"] = json!(if ["start", "accept"].contains(&id) { "start" } else { "revert" });
    }
    step
}

fn guard(host: &str) -> Value {
    json!([{"id": "service", "host": host, "units": ["avalanchego.service"], "lapse": 60}])
}

fn guard_choice() -> Choice {
    Choice {
        key: "guard".into(),
        question: "After how many silent seconds does the node act by itself?".into(),
        values: Vec::new(),
        default: "60".into(),
    }
}

fn fence_choice() -> Choice {
    lifeboat::services::common::fence_choice()
}

/// A backup of a live copy: nothing stops.
pub fn backup(place: &str) -> Planned {
    let place = item(place);
    let plan = json!({
        "command": {"do": "backup", "item": place}, "basis": {"unit": "avalanchego.service"}, "choices": [],
        "gates": [], "guards": [], "leaves": [],
        "steps": [step("capture", "val-1", "Copy the staking identity", "capture/1", json!({}), "read")],
    });
    planned(&place, "val-1", plan, vec![guard_choice()], Vec::new())
}

/// A backup that stops the service while it copies.
pub fn stopping_backup(place: &str) -> Planned {
    let place = item(place);
    let unit = json!({"unit": "avalanchego.service"});
    let plan = json!({
        "command": {"do": "backup", "item": place}, "basis": {"unit": "avalanchego.service"},
        "choices": [{"key": "guard", "value": "60", "by_default": true}],
        "gates": [], "guards": guard("val-1"), "leaves": [],
        "steps": [
            step("stop", "val-1", "Stop avalanchego.service", "service.stop/1", unit.clone(), "quiesce"),
            step("capture", "val-1", "Copy the db", "capture/1", json!({}), "read"),
            step("start", "val-1", "Start avalanchego.service", "service.start/1", unit, "write"),
        ],
    });
    planned(&place, "val-1", plan, vec![guard_choice()], Vec::new())
}

/// A host whose name has room in no column.
pub const LONG_HOST: &str = "validator-in-the-far-corner-of-rack-27-validator-in-the-far-corner-of-rack-27";

/// An item of that host.
pub fn long_item() -> String {
    format!("{LONG_HOST}/avalanchego/chain-configs-of-everything")
}

/// A backup of that item, which stops its service.
pub fn long_backup() -> Planned {
    let mut planned = stopping_backup(&long_item());
    let host = HostId::new(LONG_HOST).unwrap();
    planned.found.host = host.clone();
    planned.plan.guards.iter_mut().for_each(|guard| guard.host = host.clone());
    planned.plan.steps.iter_mut().for_each(|step| step.host = host.clone());
    planned.plan.steps[1].title = CleanText::new("Copy every chain's configuration, one after the other, 各链的配置");
    planned
}

/// A restore onto the spare host; `basis` is what it rests on, and with `gated` two words are asked.
pub fn restore(basis: &str, gated: bool) -> Planned {
    let place = item(IDENTITY);
    let unit = json!({"unit": "avalanchego.service"});
    let dir = "/home/avalanche/.avalanchego/staking";
    let swap = json!({"entries": [{
        "target": dir,
        "staged": format!("{dir}/../.staking.lifeboat-{{run}}.staged"),
        "kept": format!("{dir}/../.staking.lifeboat-{{run}}.kept"),
    }]});
    let asked = json!([
        {"id": "fenced-val-1", "word": "val-1", "question": "val-1 could not be reached (no route to host), so nothing proves that this identity is not running there. Two nodes with one identity harm each other. Declare it gone only if you know."},
        {"id": "public-ip", "word": "203.0.113.7", "question": "The configuration that will be used on spare-1 tells other nodes the literal address 203.0.113.7. If spare-1 is not reached at it, the node is cut off."},
    ]);
    let plan = json!({
        "command": {"do": "restore", "item": place, "snapshot": GOOD, "to": "spare-1"},
        "basis": {"unit": "avalanchego.service", "node_id": basis},
        "choices": [
            {"key": "fence", "value": "refuse", "by_default": true},
            {"key": "guard", "value": "60", "by_default": true},
        ],
        "gates": if gated { asked } else { json!([]) },
        "guards": guard("spare-1"),
        "steps": [
            step("ready", "spare-1", "Check that the node can take it", "avalanchego.ready/1", json!({}), "read"),
            step("deliver", "spare-1", "Bring the staking identity onto the node, beside its place", "deliver/1", json!({"undo": "rm -rf x"}), "write"),
            step("stop", "spare-1", "Stop avalanchego.service", "service.stop/1", unit.clone(), "quiesce"),
            step("swap", "spare-1", "Put NodeID-7xgWjUSFbVFrdET1qh5LPyvQ5dQ9b1Xn2 in place of NodeID-Ke2oW9mUtLr4dTbqy3XvHn8sPfZcA1jQe", "files.swap/1", swap, "destroy"),
            step("start", "spare-1", "Start avalanchego.service", "service.start/1", unit, "write"),
            step("accept", "spare-1", "Ask the node until it tells NodeID-7xgWjUSFbVFrdET1qh5LPyvQ5dQ9b1Xn2 and the BLS key", "avalanchego.accept/1", json!({}), "read"),
        ],
        "leaves": [
            "The identity NodeID-Ke2oW9mUtLr4dTbqy3XvHn8sPfZcA1jQe that was there is kept in /home/avalanche/.avalanchego/.staking.lifeboat-{run}.kept.",
            "Bootstrapping goes on after the restore and can take hours; until then the node does not validate.",
        ],
        "proves": true,
    });
    let why = "no route to host".into();
    let seen = |host: &str, state| Sighting { host: HostId::new(host).unwrap(), unit: None, state };
    let sightings = vec![
        seen("val-1", if gated { Whereabouts::Unreachable(why) } else { Whereabouts::Elsewhere }),
        seen("val-2", Whereabouts::Elsewhere),
    ];
    planned(&place, "spare-1", plan, vec![fence_choice(), guard_choice()], sightings)
}

/// The identity runs elsewhere, as the engine says it.
pub fn alive() -> Failure {
    Failure::new(
        Exit::AliveElsewhere,
        "The identity NodeID-7xgWjUSFbVFrdET1qh5LPyvQ5dQ9b1Xn2 runs on val-1 now, so nothing was started.",
    )
    .hint("Stop it there yourself, or let the restore stop it for good: --set fence=stop.")
}

/// What was ordered, oldest first.
pub fn orders(stage: &Stage) -> Vec<&Order> {
    stage.asked.iter().filter_map(|effect| if let Effect::Order(order) = effect { Some(order) } else { None }).collect()
}

/// Every run that was ordered.
pub fn runs(stage: &Stage) -> Vec<(JobId, &Planned, &BTreeMap<String, String>)> {
    let run = |order: &&Order| matches!(order, Order::Run(..));
    let orders = orders(stage).into_iter().filter(run);
    orders
        .map(|order| match order {
            Order::Run(job, _, planned, answered) => (*job, &**planned, answered),
            _ => unreachable!(),
        })
        .collect()
}

/// Goes from the preview of a restore through its two questions to its beginning.
pub fn answer_both(stage: &mut Stage) {
    stage.keys("enter");
    wait(stage, 1);
    stage.text("val-1").keys("enter");
    wait(stage, 1);
    stage.text("203.0.113.7").keys("enter");
}

/// Goes from the preview of several jobs through their gates to their beginning; the jobs that were ordered.
pub fn begin_batch(stage: &mut Stage) -> Vec<JobId> {
    stage.keys("enter enter");
    wait(stage, 1);
    stage.keys("enter");
    wait(stage, 1);
    stage.keys("tab enter");
    runs(stage).iter().map(|(job, ..)| *job).collect()
}

/// Answers every plan that is ordered, also those the answers lead to; forgets what was asked.
pub fn answer(stage: &mut Stage, plan: impl Fn(&Wish) -> Result<Planned, Failure>) {
    loop {
        let asked = std::mem::take(&mut stage.asked);
        let mut plans = asked.iter().filter_map(|effect| match effect {
            Effect::Order(Order::Plan(job, wish)) => Some((*job, wish.clone())),
            _ => None,
        });
        let Some(first) = plans.next() else { break };
        for (job, wish) in std::iter::once(first).chain(plans) {
            stage.notice(Notice::Planned(job, Box::new(plan(&wish))));
        }
    }
}

/// Answers every look at the nodes that was ordered for a run that is taken up.
pub fn look(stage: &mut Stage, ahead: &Ahead) {
    let asked = orders(stage).into_iter().filter_map(|order| match order {
        Order::LookAhead(job, ..) => Some(*job),
        _ => None,
    });
    for job in asked.collect::<Vec<_>>() {
        stage.notice(Notice::Ahead(job, Box::new(Ok(ahead.clone()))));
    }
    wait(stage, 1);
}

/// Puts an event of a job's run on its board, so many seconds after the picture's moment.
pub fn happen(stage: &Stage, job: u32, second: i64, kind: EventKind) {
    let board = stage.app.model.job(JobId(job)).unwrap().board.clone();
    let at = NOW.parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second);
    let seq = board.since(0).len() as u64;
    board.add(Event { schema: 1, run: RunId::new(RUN).unwrap(), seq, at, kind });
}

pub fn began(step: &str) -> EventKind {
    EventKind::StepStarted { step: StepId::new(step).unwrap(), before: Value::Null }
}

pub fn done(step: &str) -> EventKind {
    EventKind::StepFinished { step: StepId::new(step).unwrap(), out: Value::Null }
}

pub fn undone(step: &str) -> EventKind {
    EventKind::StepReverted { step: StepId::new(step).unwrap() }
}

pub fn failed(step: &str, why: &str) -> EventKind {
    EventKind::StepFailed { step: StepId::new(step).unwrap(), failure: Failure::new(Exit::Failed, why) }
}

pub fn run_started() -> EventKind {
    EventKind::RunStarted {
        plan_hash: "9f2c".repeat(16),
        console: ConsoleId::new("console-00aa").unwrap(),
        epoch: 1,
        confirmed: BTreeMap::new(),
    }
}

/// A run that ended well, with what its capture learned.
pub fn report(outs: Value) -> Report {
    let outs: BTreeMap<StepId, Value> = serde_json::from_value(outs).unwrap();
    Report { run: RunId::new(RUN).unwrap(), outs, receipt: 12, kept: BTreeMap::new() }
}
