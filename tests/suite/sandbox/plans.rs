//! Every call of a whole restore fails, is cut, is cancelled, or is the console's last: the service is sound each time.

#![allow(clippy::redundant_closure_for_method_calls, reason = "the method itself is not general enough")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat::engine::board::Board;
use lifeboat::engine::executor::{Carrier, Executor, Means, Record, StepState, fill_in_run, states_of};
use lifeboat::engine::links::{Dialer, Links};
use lifeboat::model::clock::Clock;
use lifeboat::model::event::{Event, EventKind};
use lifeboat::model::exit::{Exit, Failure, Result};
use lifeboat::model::ids::{
    ConsoleId, GuardId, HostId, ItemId, ItemRef, OwnerId, RunId, ServiceName, SnapshotId, StepId,
};
use lifeboat::model::inventory::{Access, Host, Inventory, Policy};
use lifeboat::model::plan::{Command, Effect, Guard, OnLapse, Plan, Step};
use lifeboat::model::secret::{SecretRef, SecretString, Secrets};
use lifeboat::model::units::Seconds;
use lifeboat::services::common::{StepMaker, deliver_step, kept_path, run_change, staged_path};
use lifeboat::services::{Cx, Now};
use lifeboat::transport::{Cancel, Transport, TransportError};
use serde_json::{Value, json};

use super::Node;
use super::shell::Shell;
use super::tripwire::{Trip, Tripwire, Wire};

const UNIT: &str = "app.service";
const RUN: &str = "20261120T184500Z-7f3a9c";

struct Still;
impl Clock for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_800_000_000).unwrap()
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) {}
}

struct Nothing;
impl Secrets for Nothing {
    fn resolve(&self, _: &SecretRef, purpose: &str) -> Result<SecretString, String> {
        Err(format!("no secret for {purpose}"))
    }
}

/// A journal that outlives the console that wrote it.
#[derive(Clone, Default)]
struct Journal {
    events: Arc<Mutex<Vec<Event>>>,
    /// From the first failed step on nothing can be written any more.
    fails: bool,
    is_gone: Arc<AtomicBool>,
}
impl Record for Journal {
    fn append(&mut self, event: &Event) -> Result<()> {
        let mut events = self.events.lock().unwrap();
        let is_failing = matches!(event.kind, EventKind::StepFailed { .. });
        if self.is_gone.load(Ordering::SeqCst) || (self.fails && is_failing) {
            self.is_gone.store(true, Ordering::SeqCst);
            return Err(Failure::new(Exit::Vault, "The disk is gone."));
        }
        assert_eq!(event.seq, events.len() as u64, "the journal has a hole");
        events.push(event.clone());
        Ok(())
    }
}

/// Delivers one file, in the staged place, as a driver's sink would.
struct OneFile;
impl Carrier for OneFile {
    fn capture(&self, _: &Cx, _: &Step, _: &Board, _: &dyn Fn() -> Result<()>) -> Result<Value> {
        Err(Failure::new(Exit::Failed, "Nothing is captured here."))
    }
    fn deliver(&self, cx: &Cx, step: &Step, _: &Board) -> Result<Value> {
        let staged = step.args["sink"]["staged"].as_str().unwrap();
        run_change(cx, &format!("rm -rf '{staged}'; mkdir '{staged}'; echo new >'{staged}/file'"), "Delivering")?;
        Ok(Value::Null)
    }
}

struct Dial<'n> {
    node: &'n Node,
    wire: Arc<Wire>,
}
impl Dialer for Dial<'_> {
    fn connect(&self, host: &Host, _: &Inventory, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        let mut shell =
            Shell { endpoint: lifeboat::transport::Endpoint::default(), prefix: self.node.prefix(), service: None };
        shell.endpoint.name = host.id.to_string();
        if self.wire.dead.load(Ordering::SeqCst) {
            return Err(TransportError::Lost { host: host.id.to_string(), why: "this console is dead".into() });
        }
        Ok(Arc::new(Tripwire { inner: Arc::new(shell), wire: self.wire.clone(), cut: Arc::default(), counts: true }))
    }
}

fn inventory() -> Inventory {
    let id = HostId::new("n1").unwrap();
    let host = Host {
        id: id.clone(),
        access: Access::default(),
        groups: vec![],
        formerly: vec![],
        services: BTreeMap::new(),
        policy: Policy::default(),
    };
    Inventory { hosts: BTreeMap::from([(id, host)]), ..Inventory::default() }
}

/// A restore as a driver plans it: deliver beside, stop, swap, start, accept.
fn plan() -> Plan {
    let host = HostId::new("n1").unwrap();
    let guard = GuardId::new("app").unwrap();
    let (staged, kept) = (staged_path("/srv/app/data"), kept_path("/srv/app/data"));
    let free = StepMaker::on(&host);
    let (revert, forward) = (free.guarded(&guard, OnLapse::Revert), free.guarded(&guard, OnLapse::Start));
    let unit = json!({"unit": UNIT});
    let swap = json!({"entries": [{"target": "/srv/app/data", "staged": staged, "kept": kept}]});
    let accept =
        json!({"run": "grep -q new /srv/app/data/file && [ \"$(systemctl is-active app.service)\" = active ]"});
    let place = ItemRef {
        owner: OwnerId::new("old").unwrap(),
        service: ServiceName::new("app").unwrap(),
        item: ItemId::new("data").unwrap(),
    };
    Plan {
        command: Command::Restore { item: place, snapshot: SnapshotId::new("s1").unwrap(), to: host.clone() },
        basis: BTreeMap::new(),
        choices: vec![],
        gates: vec![],
        guards: vec![Guard { id: guard, host, units: vec![], lapse: Seconds(60) }],
        steps: vec![
            deliver_step(
                &free,
                "app",
                "Bring the data",
                json!({"staged": staged}),
                Some(format!("rm -rf '{staged}'\n")),
            )
            .unwrap(),
            revert.step("stop", "Stop the app", "service.stop/1", unit.clone(), Effect::Quiesce).unwrap(),
            revert.step("swap", "Swap the data in", "files.swap/1", swap, Effect::Destroy).unwrap(),
            forward.step("start", "Start the app", "service.start/1", unit, Effect::Write).unwrap(),
            forward.step("accept", "Ask the app", "command.run/1", accept, Effect::Read).unwrap(),
        ],
        leaves: vec![],
        proves: true,
        entry: None,
    }
}

struct Console<'n> {
    node: &'n Node,
    wire: Arc<Wire>,
    journal: Journal,
    epoch: u64,
}

impl Console<'_> {
    fn with<T>(&self, work: impl FnOnce(&mut Executor) -> T) -> T {
        self.with_plan(plan(), work)
    }

    fn with_plan<T>(&self, plan: Plan, work: impl FnOnce(&mut Executor) -> T) -> T {
        self.with_run(RUN, plan, None, work)
    }

    /// Another run than the usual one; `undone` are the steps of an earlier run that it undoes.
    fn with_run<T>(
        &self,
        run: &str,
        plan: Plan,
        undone: Option<BTreeMap<StepId, StepState>>,
        work: impl FnOnce(&mut Executor) -> T,
    ) -> T {
        let inventory = inventory();
        let dial = Dial { node: self.node, wire: self.wire.clone() };
        let links = Links::new(&dial, &inventory);
        let cancel = Cancel::new();
        *self.wire.cancel.lock().unwrap() = Some(cancel.clone());
        let means = Means {
            links: &links,
            clock: Arc::new(Still),
            secrets: Arc::new(Nothing),
            console: ConsoleId::new(format!("console-{}", self.epoch)).unwrap(),
            board: Arc::default(),
            cancel,
            carrier: &OneFile,
        };
        let events = self.journal.events.lock().unwrap().clone();
        let executor = Executor::new(means, RunId::new(run).unwrap(), plan, Box::new(self.journal.clone()), self.epoch)
            .resuming(&events);
        let mut executor = match undone {
            Some(states) => executor.undoing(&RunId::new(RUN).unwrap(), states),
            None => executor,
        };
        work(&mut executor)
    }
}

fn node() -> Node {
    let node = Node::new(UNIT, true);
    std::fs::write(node.path("srv/app/data/file"), "old\n").unwrap();
    node
}

fn console(node: &Node, at: Option<(usize, Trip)>) -> Console<'_> {
    Console { node, wire: Arc::new(Wire { at, ..Wire::default() }), journal: Journal::default(), epoch: 1 }
}

fn content(node: &Node) -> String {
    std::fs::read_to_string(node.path("srv/app/data/file")).unwrap_or_else(|_| "MISSING".into()).trim().to_owned()
}

/// Nothing of the run is left but, where the new data is in place, what was kept.
fn assert_clean(node: &Node, context: &str) {
    let left = node.leftovers();
    let left: Vec<_> = left.lines().filter(|line| !line.contains("/kept/") && !line.contains(".kept")).collect();
    assert!(left.is_empty(), "{context}: left on the node: {left:?}");
}

fn calls_of_a_clean_run() -> usize {
    let node = node();
    let console = console(&node, None);
    console.with(|executor| executor.execute()).unwrap();
    assert_eq!(content(&node), "new");
    assert!(node.is_running(UNIT));
    assert_clean(&node, "clean run");
    console.wire.calls.load(Ordering::SeqCst)
}

#[test]
fn a_failure_or_cancel_at_any_call_leaves_the_service_sound() {
    for trip in [Trip::CutBefore, Trip::CutInput, Trip::CutAfter, Trip::Cancel] {
        for at in 0..calls_of_a_clean_run() {
            let node = node();
            let console = console(&node, Some((at, trip)));
            let ended = console.with(|executor| executor.execute());
            let context = format!("{trip:?} at call {at}: {ended:?}");
            assert!(node.is_running(UNIT), "{context}: the service is down");
            match &ended {
                Ok(_) => assert_eq!(content(&node), "new", "{context}"),
                Err(failure) => {
                    assert_ne!(failure.exit, Exit::Changed, "{context}");
                    assert_eq!(content(&node), "old", "{context}");
                }
            }
            assert_clean(&node, &context);
        }
    }
}

#[test]
fn a_console_that_dies_at_any_call_leaves_it_to_the_guard_and_another_console_finishes() {
    for trip in [Trip::CrashBefore, Trip::CrashInput, Trip::CrashAfter] {
        for at in 0..calls_of_a_clean_run() {
            // Dying before a call leaves the node as dying after the one before: there one sequel, in turn, is enough.
            let sequels = [(false, true), (true, true), (false, false), (true, false)];
            let in_turn = [sequels[at % sequels.len()]];
            for (roll_back, lapses) in if trip == Trip::CrashAfter { &sequels[..] } else { &in_turn[..] } {
                let (roll_back, lapses) = (*roll_back, *lapses);
                let node = node();
                let first = console(&node, Some((at, trip)));
                let ended = first.with(|executor| executor.execute());
                let context = format!("{trip:?} at call {at}, roll back {roll_back}, lapse {lapses}: {ended:?}");
                if lapses {
                    node.lapse();
                    assert!(node.is_running(UNIT), "{context}: the guard left the service down");
                    assert!(
                        ["old", "new"].contains(&content(&node).as_str()),
                        "{context}: the data is {}",
                        content(&node)
                    );
                }
                let second = Console { node: &node, wire: Arc::default(), journal: first.journal.clone(), epoch: 2 };
                let outcome = second.with(|executor| {
                    executor.take_over()?;
                    if roll_back {
                        let failure = executor.undo(Failure::new(Exit::Done, "Rolled back."));
                        if failure.exit == Exit::Done { Ok(BTreeMap::new()) } else { Err(failure) }
                    } else {
                        executor.execute()
                    }
                });
                assert!(outcome.is_ok(), "{context}: the second console ended with {outcome:?}");
                assert!(node.is_running(UNIT), "{context}");
                assert_eq!(content(&node), if roll_back { "old" } else { "new" }, "{context}");
                assert_clean(&node, &context);
            }
        }
    }
}

/// A guard has put back what a run had finished. The console that takes the run over, or leaves it, dies or loses the node
/// at each call: whoever goes on then does again what was undone, and takes nothing of it for done.
#[test]
fn what_a_guard_undid_is_done_again_whoever_died_taking_it_in() {
    let is_undone = |first: &Console| {
        let states = states_of(&first.journal.events.lock().unwrap());
        let swap = states.iter().find(|(step, _)| step.as_str() == "swap");
        matches!(swap, Some((_, StepState::Finished(..)))) && first.node.lapse() == 1 && content(first.node) == "old"
    };
    let broken_off = |node: &Node, at: usize| {
        let first = console(node, Some((at, Trip::CrashAfter)));
        first.with(|executor| executor.execute()).unwrap_err();
        is_undone(&first).then(|| first.journal.clone())
    };
    let at = (0..calls_of_a_clean_run()).find(|at| broken_off(&node(), *at).is_some());
    let at = at.expect("no guard undoes a swap that is finished");
    let mut tries = 0;
    for leaves in [false, true] {
        for trip in [Trip::CrashAfter, Trip::CutAfter] {
            for call in 0.. {
                let node = node();
                let journal = broken_off(&node, at).unwrap();
                let wire = Arc::new(Wire { at: Some((call, trip)), ..Wire::default() });
                let second = Console { node: &node, wire: wire.clone(), journal: journal.clone(), epoch: 2 };
                let taken = second.with(|executor| if leaves { executor.leave() } else { executor.take_over() });
                let context = format!("leaves {leaves}, {trip:?} at call {call}: {taken:?}");
                let third = Console { node: &node, wire: Arc::default(), journal, epoch: 3 };
                let done = third.with(|executor| executor.take_over().and_then(|()| executor.execute()));
                assert!(done.is_ok(), "{context}: {done:?}");
                assert_eq!((content(&node).as_str(), node.is_running(UNIT)), ("new", true), "{context}");
                assert_clean(&node, &context);
                if wire.calls.load(Ordering::SeqCst) <= call {
                    break;
                }
                tries += 1;
            }
        }
    }
    assert!(tries > 15, "{tries} tries");
}

#[test]
fn the_first_console_woken_later_is_refused() {
    let node = node();
    let first = console(&node, Some((9, Trip::CrashAfter)));
    first.with(|executor| {
        assert!(executor.execute().is_err());
        // The other console finishes while this one sleeps.
        let second = Console { node: &node, wire: Arc::default(), journal: first.journal.clone(), epoch: 2 };
        let early = second.with(|executor| executor.take_over());
        assert!(early.is_ok(), "{early:?}");
        first.wire.dead.store(false, Ordering::SeqCst);
        let refused = executor.undo(Failure::new(Exit::Failed, "Woken."));
        assert_eq!(refused.exit, Exit::Changed);
        assert!(refused.state.unwrap().contains("console-2"));
        second.with(|executor| executor.take_over().and_then(|()| executor.execute().map(|_| ()))).unwrap();
    });
    assert_eq!(content(&node), "new");
    assert_clean(&node, "after both");
}

#[test]
fn a_restart_in_the_middle_starts_nothing_half_swapped() {
    let node = node();
    for at in 0..calls_of_a_clean_run() {
        let node_now = if at == 0 { &node } else { &self::node() };
        let first = console(node_now, Some((at, Trip::CrashAfter)));
        let _ = first.with(|executor| executor.execute());
        node_now.reboot(UNIT, true);
        if node_now.is_running(UNIT) {
            assert!(["old", "new"].contains(&content(node_now).as_str()), "call {at}: runs on {}", content(node_now));
        }
        node_now.lapse();
        assert!(node_now.is_running(UNIT), "call {at}: down after the guard");
        assert!(["old", "new"].contains(&content(node_now).as_str()), "call {at}");
    }
}

#[test]
fn a_guard_ends_a_step_that_hangs_with_the_lock() {
    use lifeboat::engine::node_run::guard_script;
    let node = node();
    let run = RunId::new("20261120T184500Z-7f3a9c").unwrap();
    let parts = [("undo".to_owned(), "echo undone >/srv/app/undone\n".to_owned())];
    let guard = guard_script(&run, &GuardId::new("app").unwrap(), OnLapse::Revert, &parts);
    std::fs::write(node.path("srv/app/guard"), guard).unwrap();
    let dir = format!("/var/lib/lifeboat/runs/{run}");
    let hang = format!("exec 9>>{dir}/lock; flock 9; echo $$ >{dir}/holder; sleep 300; echo late >/srv/app/late");
    node.run(&format!("mkdir -p {dir}; setsid sh -c '{hang}' >/dev/null 2>&1 & sleep 0.5"));
    node.run("sh /srv/app/guard");
    assert_eq!(std::fs::read_to_string(node.path("srv/app/undone")).unwrap(), "undone\n");
    let left = node.run(&format!("kill -0 $(cat {dir}/holder) 2>/dev/null && echo alive || echo gone"));
    assert_eq!(left, "gone\n", "the step that hangs was not ended");
}

#[test]
fn a_stop_under_way_or_no_answer_is_not_taken_for_down() {
    let node = node();
    std::fs::create_dir_all(node.path("var/lib/lifeboat/hold")).unwrap();
    std::fs::write(node.path("var/lib/lifeboat/hold").join(UNIT), "run\n").unwrap();
    std::fs::write(node.path("stub/units").join(UNIT).join("enabled"), "masked\n").unwrap();
    let state = node.path("stub/units").join(UNIT).join("active");
    let host = HostId::new("n1").unwrap();
    let shell = Shell { endpoint: lifeboat::transport::Endpoint::default(), prefix: node.prefix(), service: None };
    let cancel = Cancel::new();
    let cx = Cx { host: &host, node: &shell, cancel: &cancel, clock: &Still, secrets: &Nothing, run: None };
    let args = json!({"unit": UNIT});
    for (active, down) in [("deactivating", false), ("", false), ("inactive", true), ("failed", true)] {
        std::fs::write(&state, format!("{active}\n")).unwrap();
        let before = json!({"was_running": true});
        let observed = |op: &str| op_named(op).observe(&cx, &args, Some(&before)).unwrap();
        assert_eq!(matches!(observed("service.stop/1"), Now::Done(_)), down, "a stop with '{active}'");
        assert_eq!(matches!(observed("service.fence/1"), Now::Done(_)), down, "a fence with '{active}'");
        let absent = op_named("service.absent/1").run(&cx, &args, &Value::Null);
        assert_eq!(absent.is_ok(), down, "a check with '{active}': {absent:?}");
        if let Err(failure) = absent {
            assert_eq!(failure.exit, Exit::AliveElsewhere, "{failure:?}");
        }
    }
}

fn op_named(name: &str) -> &'static dyn lifeboat::services::Op {
    lifeboat::services::op(name).unwrap()
}

/// A guard as it lies on a node, run there; what it logged.
fn fire(node: &Node, parts: &[(&str, &str)]) -> String {
    let run = RunId::new("20261120T184500Z-7f3a9c").unwrap();
    let parts: Vec<_> = parts.iter().map(|(name, part)| ((*name).to_owned(), (*part).to_owned())).collect();
    let script = lifeboat::engine::node_run::guard_script(&run, &GuardId::new("app").unwrap(), OnLapse::Revert, &parts);
    std::fs::write(node.path("srv/app/guard"), script).unwrap();
    node.run(&format!("mkdir -p /var/lib/lifeboat/runs/{run}; sh /srv/app/guard"));
    node.run(&format!("cat /var/lib/lifeboat/runs/{run}/fired.log"))
}

#[test]
fn a_guard_whose_part_fails_says_so_and_goes_on_with_the_next() {
    let node = node();
    let log = fire(&node, &[("swap", "mv -T /srv/none /srv/app/data\ntrue\n"), ("stop", "echo up >/srv/app/up\n")]);
    assert!(log.contains("failed: swap\n") && !log.contains("failed: stop"), "{log}");
    assert!(log.ends_with("all done\n"), "{log}");
    assert_eq!(std::fs::read_to_string(node.path("srv/app/up")).unwrap(), "up\n");
}

#[test]
fn what_a_guard_or_a_declared_command_leaves_running_does_not_hold_the_lock() {
    let node = node();
    let daemon = "sleep 300 >/dev/null 2>&1 &\n";
    fire(&node, &[("resume", daemon)]);
    node.run("flock -w 1 /var/lib/lifeboat/runs/20261120T184500Z-7f3a9c/lock true");
    node.run("rm -r /var/lib/lifeboat/runs/20261120T184500Z-7f3a9c");
    let console = console(&node, None);
    let mut plan = plan();
    plan.steps[4].args = json!({"run": daemon});
    let ended = console.with_plan(plan, |executor| executor.execute());
    assert!(ended.is_ok(), "{ended:?}");
    assert_clean(&node, "after a daemon");
}

#[test]
fn a_vault_that_is_gone_does_not_hide_that_everything_was_brought_back() {
    let node = node();
    let mut console = console(&node, None);
    console.journal.fails = true;
    let mut plan = plan();
    plan.steps[4].args = json!({"run": "exit 3"});
    let failure = console.with_plan(plan, |executor| executor.execute()).unwrap_err();
    assert_eq!(failure.exit, Exit::Failed, "{failure:?}");
    assert!(failure.hints.iter().any(|hint| hint.contains("The disk is gone")), "{failure:?}");
    assert_eq!((content(&node).as_str(), node.is_running(UNIT)), ("old", true));
    assert_clean(&node, "without a vault");
}

/// The promise is only made of a guard that counts and has something left to do.
#[test]
fn a_guard_is_promised_only_when_it_counts() {
    // What the delivery brought cannot be removed, and no guard answers for that.
    let node = node();
    let console_of = |node| console(node, None);
    let mut plan = plan();
    plan.steps[0].args["undo"] = json!("echo it does not go >&2; exit 1\n");
    plan.steps[4].args = json!({"run": "exit 3"});
    let failure = console_of(&node).with_plan(plan.clone(), |executor| executor.execute()).unwrap_err();
    let state = failure.state.unwrap();
    assert_eq!(failure.exit, Exit::Changed);
    assert!(state.contains("'Bring the data' was not undone") && !state.contains("The guard on"), "{state}");
    assert_eq!((node.lapse(), node.is_running(UNIT)), (0, true), "a guard was left counting");

    // The start cannot be undone; what came before it was, and the guard would do all of that again.
    let node = self::node();
    plan.steps[3].op = "command.run/1".into();
    plan.steps[3].args = json!({"run": "true", "undo": "exit 1"});
    let failure = console_of(&node).with_plan(plan, |executor| executor.execute()).unwrap_err();
    let state = failure.state.unwrap();
    assert!(state.contains("'Start the app' was not undone") && state.contains("The guard on n1"), "{state}");
    assert_eq!((node.lapse(), node.is_running(UNIT), content(&node).as_str()), (1, true, "old"));
}

#[test]
fn a_rollback_that_cannot_begin_gives_the_node_back() {
    let mut refused = 0;
    for at in 0.. {
        let node = node();
        let done = console(&node, None);
        done.with(|executor| executor.execute()).unwrap();
        let run = RunId::new(RUN).unwrap();
        let states = states_of(&done.journal.events.lock().unwrap());
        // A new run writes a journal of its own.
        let undoing = console(&node, Some((at, Trip::Fail)));
        let plan = fill_in_run(plan(), &run);
        let begun = undoing.with_run("20261121T000000Z-000000", plan, Some(states), |executor| {
            executor.begin_undoing().map_err(|failure| executor.give_back(failure))
        });
        if undoing.wire.calls.load(Ordering::SeqCst) <= at {
            assert!(begun.is_ok(), "{begun:?}");
            break;
        }
        // A guard that could not be looked for is no reason to stop; everything else is.
        let Err(failure) = begun else { continue };
        refused += 1;
        assert_eq!(failure.exit, Exit::Failed, "call {at}: {failure:?}");
        assert_eq!((content(&node).as_str(), node.is_running(UNIT)), ("new", true), "call {at}");
        assert_clean(&node, &format!("call {at}"));
        assert_eq!(node.lapse(), 0, "call {at}: a guard was left counting");
    }
    assert!(refused > 3, "{refused} calls");
}

/// Before a step acts the journal on its node is whole up to it, whatever became of the lines before.
#[test]
fn the_journal_on_the_node_is_whole_before_each_step() {
    let copied = |node: &Node| -> Vec<Event> {
        let text = std::fs::read_to_string(node.path("srv/app/journal")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut plan = plan();
    plan.steps[4].args = json!({"run": format!("cp /var/lib/lifeboat/runs/{RUN}/journal.jsonl /srv/app/journal")});
    let mut ran = 0;
    for trip in [Trip::Fail, Trip::CutBefore, Trip::CutInput, Trip::CutAfter] {
        for at in 0.. {
            let node = node();
            let console = console(&node, Some((at, trip)));
            let ended = console.with_plan(plan.clone(), |executor| executor.execute());
            if console.wire.calls.load(Ordering::SeqCst) <= at {
                break;
            }
            if ended.is_err() {
                continue;
            }
            ran += 1;
            let events = console.journal.events.lock().unwrap();
            let mut seen = copied(&node);
            // What was written twice is passed over by whoever reads it.
            seen.dedup_by_key(|event| event.seq);
            let last = seen.last().unwrap();
            assert!(matches!(&last.kind, EventKind::StepStarted { step, .. } if step.as_str() == "accept"), "{last:?}");
            assert_eq!(seen, events[..seen.len()], "{trip:?} at call {at}");
        }
    }
    assert!(ran > 20, "{ran} runs");
}

#[test]
fn nothing_is_written_behind_a_line_that_was_torn() {
    use lifeboat::engine::node_run::{append_journal, count_journal, open_run};
    use lifeboat::services::Mark;
    let node = node();
    let shell = Shell { endpoint: lifeboat::transport::Endpoint::default(), prefix: node.prefix(), service: None };
    let (host, cancel, run) = (HostId::new("n1").unwrap(), Cancel::new(), RunId::new(RUN).unwrap());
    let mark = Mark { run: run.clone(), owner: "console-1 1".into() };
    let cx = Cx { host: &host, node: &shell, cancel: &cancel, clock: &Still, secrets: &Nothing, run: Some(&mark) };
    open_run(&cx, &mark, "app", b"{}").unwrap();
    append_journal(&cx, "{\"seq\":0}\n").unwrap();
    node.run(&format!("printf '{{\"seq\":1,\"torn' >>/var/lib/lifeboat/runs/{RUN}/journal.jsonl"));
    open_run(&cx, &mark, "app", b"{}").unwrap();
    assert_eq!(count_journal(&cx, &run).unwrap(), 1);
    append_journal(&cx, "{\"seq\":1}\n").unwrap();
    let journal = node.run(&format!("cat /var/lib/lifeboat/runs/{RUN}/journal.jsonl"));
    assert_eq!(journal, "{\"seq\":0}\n{\"seq\":1}\n");
}

#[test]
fn two_consoles_that_open_at_once_do_not_both_get_the_lock() {
    use lifeboat::engine::node_run::open_run;
    use lifeboat::services::Mark;
    for _ in 0..5 {
        let node = node();
        let open = |number: usize| {
            let shell =
                Shell { endpoint: lifeboat::transport::Endpoint::default(), prefix: node.prefix(), service: None };
            let (host, cancel) = (HostId::new("n1").unwrap(), Cancel::new());
            let cx = Cx { host: &host, node: &shell, cancel: &cancel, clock: &Still, secrets: &Nothing, run: None };
            let run = RunId::new(format!("20261120T184500Z-00000{number}")).unwrap();
            let mark = Mark { run, owner: format!("console-{number} 1") };
            open_run(&cx, &mark, "app", b"{}")
        };
        let ended: Vec<_> = std::thread::scope(|scope| {
            let opening: Vec<_> = (0..6).map(|number| scope.spawn(move || open(number))).collect();
            opening.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let won = ended.iter().filter(|ended| ended.is_ok()).count();
        assert_eq!(won, 1, "{ended:?}");
        for failure in ended.into_iter().filter_map(Result::err) {
            assert!(failure.message.contains("is being worked on by run"), "{failure:?}");
            assert!(failure.hints.iter().any(|hint| hint.ends_with("--adopt --on n1")), "{failure:?}");
        }
    }
}
