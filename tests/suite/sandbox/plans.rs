//! Every call of a whole restore fails, is cut, is cancelled, or is the console's last: the service is sound each time.

#![allow(clippy::redundant_closure_for_method_calls, reason = "the method itself is not general enough")]

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat::engine::board::Board;
use lifeboat::engine::executor::{Carrier, Executor, Means, Record};
use lifeboat::engine::links::{Dialer, Links};
use lifeboat::model::clock::Clock;
use lifeboat::model::event::Event;
use lifeboat::model::exit::{Exit, Failure, Result};
use lifeboat::model::ids::{ConsoleId, GuardId, HostId, ItemId, ItemRef, OwnerId, RunId, ServiceName, SnapshotId};
use lifeboat::model::inventory::{Access, Host, Inventory, Policy};
use lifeboat::model::plan::{Command, Effect, Guard, OnLapse, Plan, Step};
use lifeboat::model::secret::{SecretRef, SecretString, Secrets};
use lifeboat::model::units::Seconds;
use lifeboat::services::Cx;
use lifeboat::services::common::{StepMaker, deliver_step, kept_path, run_change, staged_path};
use lifeboat::transport::{Cancel, Transport, TransportError};
use serde_json::{Value, json};

use super::Node;
use super::shell::Shell;
use super::tripwire::{Trip, Tripwire, Wire};

const UNIT: &str = "app.service";

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
struct Journal(Arc<Mutex<Vec<Event>>>);
impl Record for Journal {
    fn append(&mut self, event: &Event) -> Result<()> {
        let mut events = self.0.lock().unwrap();
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
        let events = self.journal.0.lock().unwrap().clone();
        let run = RunId::new("20261120T184500Z-7f3a9c").unwrap();
        let mut executor =
            Executor::new(means, run, plan(), Box::new(self.journal.clone()), self.epoch).resuming(&events);
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
    for trip in [Trip::CutBefore, Trip::CutAfter, Trip::Cancel] {
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
    for trip in [Trip::CrashBefore, Trip::CrashAfter] {
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
