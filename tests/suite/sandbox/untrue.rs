//! Nodes whose answers may be anything: whoever owns a node decides what it says. Looking at such a node, planning for it,
//! copying from it and restoring onto it end with a result or with a sentence, never with a panic, and looking changes
//! nothing on it.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lifeboat::engine::node_run::{list_kept, list_runs};
use lifeboat::engine::planner::plan_backup_of;
use lifeboat::engine::scan::wanted_of;
use lifeboat::model::exit::{Failure, Result};
use lifeboat::model::ids::HostId;
use lifeboat::model::item::Standing;
use lifeboat::services::common::FENCE_CHOICE;
use lifeboat::transport::{Cancel, Dial, Duplex, Endpoint, Finished, Running, Script, Transport, TransportError};
use lifeboat::vault::Snapshot;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::Node;
use super::agents::{Asked, Talk};
use super::bench::{Fleet, World, digest};
use super::fixtures::{FIXTURES, Fixture};
use super::lies::{How, Lie, NUMBERS, lie, put_answers};
use super::matrix::{answers, laid, saved};
use super::shell::Shell;
use super::tripwire::{Over, Wire};
use crate::console::properties::cases;

/// As many calls as a look or a plan makes at most.
const CALLS: usize = 12;

/// What a script said, by its node, its text and its arguments.
type Truths = HashMap<(String, String, Vec<Vec<u8>>), (Vec<u8>, Finished)>;

/// What the nodes of a fleet say in place of the truth.
#[derive(Debug, Default)]
pub struct Mouth {
    lies: Vec<Lie>,
    calls: AtomicUsize,
    /// What they said when they were asked the same before: as long as they are only looked at, it does not change.
    truths: Option<Arc<Mutex<Truths>>>,
}

impl Mouth {
    fn with(lies: &[Lie], truths: Option<Arc<Mutex<Truths>>>) -> Arc<Self> {
        Arc::new(Self { lies: lies.to_vec(), calls: AtomicUsize::new(0), truths })
    }

    /// The false answers to the next call.
    fn next(&self) -> Vec<Lie> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.lies.iter().filter(|lie| lie.call == call).cloned().collect()
    }

    /// Counts from the first call again; says how many there were.
    fn again(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

/// A login to a node that lies.
#[derive(Debug, Clone)]
pub struct Liar {
    pub inner: Shell,
    pub mouth: Arc<Mouth>,
}

impl Liar {
    fn truth(&self, script: &Script, cancel: &Cancel) -> Result<(Vec<u8>, Finished), TransportError> {
        let key = (self.inner.endpoint.name.clone(), script.text.clone(), script.args.clone());
        let known = |truths: &Mutex<Truths>| truths.lock().unwrap().get(&key).cloned();
        if let Some(known) = self.mouth.truths.as_deref().and_then(known) {
            return Ok(known);
        }
        let mut running = self.inner.start(script, cancel)?;
        let mut said = Vec::new();
        running.read_to_end(&mut said).unwrap();
        let truth = (said, running.finish()?);
        if let Some(truths) = &self.mouth.truths {
            truths.lock().unwrap().insert(key, truth.clone());
        }
        Ok(truth)
    }
}

impl Transport for Liar {
    fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }
    fn start(&self, script: &Script, cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        let lies = self.mouth.next();
        // What reads its input is not run ahead of it.
        if script.input {
            return self.inner.start(script, cancel);
        }
        let (truth, Finished { end, stderr, .. }) = self.truth(script, cancel)?;
        let told = lies.iter().fold(truth, |told, lie| lie.told(&told));
        Ok(Box::new(Over::with(told, end, stderr)))
    }
    fn dial(&self, target: &Dial, cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        let lies = self.mouth.next();
        match self.inner.service.clone().filter(|(fixture, root)| fixture.listens(root)) {
            Some((fixture, root)) => Ok(Box::new(Talk::with(move |asked: &Asked| {
                let mut reply = fixture.answer(&root, asked);
                reply.body = lies.iter().fold(reply.body, |told, lie| lie.told(&told));
                reply
            }))),
            None => self.inner.dial(target, cancel),
        }
    }
    fn again(&self, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(Arc::new(self.clone()))
    }
    fn hang_up(&self) {}
}

/// A fleet that says what a mouth makes of the truth.
fn lying<'n>(fixture: &'static dyn Fixture, nodes: &[(&'static str, &'n Node)], mouth: Arc<Mouth>) -> Fleet<'n> {
    let wire = Wire { board: Some(Arc::default()), mouth: Some(mouth), ..Wire::default() };
    Fleet { wire: Arc::new(wire), ..Fleet::sound(fixture, nodes) }
}

fn runner(usual: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases: cases(usual), failure_persistence: None, ..ProptestConfig::default() })
}

/// A sentence is one: it has words, and nothing in it that drives a terminal.
fn assert_told<T>(outcome: Result<T>) -> Option<T> {
    let Failure { message, hints, state, .. } = match outcome {
        Ok(found) => return Some(found),
        Err(failure) => failure,
    };
    for told in hints.iter().chain(&state).chain([&message]) {
        let is_tame = !told.chars().any(|c| c.is_control() && c != '\n');
        assert!(is_tame && !told.contains("the verifier stopped"), "{told:?}");
    }
    assert!(!message.is_empty());
    None
}

/// A service at two nodes: where it was saved, and where it is restored onto.
struct Scene {
    fixture: &'static dyn Fixture,
    nodes: [(&'static str, Node); 2],
    world: World,
    truths: Arc<Mutex<Truths>>,
}

impl Scene {
    fn of(fixture: &'static dyn Fixture) -> Self {
        let nodes = [("new", laid(fixture, false)), ("old", laid(fixture, true))];
        Self { fixture, nodes, world: saved(fixture).world, truths: Arc::default() }
    }

    /// Everything there is of its nodes.
    fn digests(&self) -> Vec<String> {
        self.nodes.iter().map(|(_, node)| digest(self.fixture, node)).collect()
    }

    /// Looks at both nodes and plans everything for them; says how many calls the longest of it took.
    fn look(&self, lies: &[Lie]) -> usize {
        let mouth = Mouth::with(lies, Some(self.truths.clone()));
        let nodes = self.nodes.each_ref().map(|(name, node)| (*name, node));
        let fleet = lying(self.fixture, &nodes, mouth.clone());
        let mut calls = Vec::new();
        self.world.with(0, &fleet, |_, prober| {
            for wanted in wanted_of(prober.inventory) {
                if let Some(found) = assert_told(prober.probe(&wanted)) {
                    for item in &found.items {
                        let set = self.fixture.set(&item.id, false);
                        assert_told(plan_backup_of(found.clone(), &found.place(&item.id), None, &set));
                    }
                }
                calls.push(mouth.again());
            }
            let new = HostId::new("new").unwrap();
            for snapshot in self.world.vault.catalogue().unwrap().snapshots {
                let set = chosen(self.fixture, &snapshot);
                assert_told(prober.plan_restore(&self.world.vault, snapshot.manifest(), &new, &set));
                calls.push(mouth.again());
            }
            for host in prober.inventory.hosts.values() {
                prober.check_health(&host.id);
                calls.push(mouth.again());
                for (_, found) in assert_told(prober.discover(host)).unwrap_or_default() {
                    assert_told(found);
                }
                calls.push(mouth.again());
                assert_told(prober.on(&host.id, list_runs));
                assert_told(prober.on(&host.id, list_kept));
                calls.push(mouth.again());
                for (_, found) in prober.uncovered(std::slice::from_ref(&host.id), 1) {
                    assert_told(found);
                }
                calls.push(mouth.again());
            }
        });
        calls.into_iter().max().unwrap()
    }
}

/// What is chosen for a restore; an identity that runs elsewhere is stopped there.
fn chosen(fixture: &dyn Fixture, snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut set = fixture.set(&snapshot.item().item, true);
    if !snapshot.manifest().identities.is_empty() {
        set.insert(FENCE_CHOICE.to_owned(), "stop".to_owned());
    }
    set
}

/// One of each kind of service.
fn kinds() -> Vec<&'static dyn Fixture> {
    let kinds = FIXTURES.iter().map(|fixture| (fixture.kind(), *fixture)).rev();
    kinds.collect::<BTreeMap<_, _>>().into_values().collect()
}

#[test]
fn looking_and_planning_end_with_a_result_or_a_sentence_whatever_nodes_answer() {
    let scenes: Vec<Scene> = kinds().into_iter().map(Scene::of).collect();
    let before: Vec<_> = scenes.iter().map(Scene::digests).collect();
    for scene in &scenes {
        let calls = scene.look(&[]);
        assert!((1..=CALLS).contains(&calls), "{}: {calls} calls", scene.fixture.name());
        let told = scene.truths.lock().unwrap().values().filter_map(|(said, _)| put_answers(said)).collect::<Vec<_>>();
        let most = told.iter().map(Vec::len).max().unwrap_or(1);
        for at in 0..calls * most * 2 {
            let how = How::Numbers(NUMBERS[at % 2].to_owned());
            scene.look(&[Lie { call: at / 2 / most, answer: at / 2 % most, place: 0, how }]);
        }
    }
    let lies = prop::collection::vec(lie(CALLS), 1..4);
    let tried = runner(64).run(&(0..scenes.len(), lies), |(at, lies)| {
        scenes[at].look(&lies);
        Ok(())
    });
    tried.unwrap();
    let after: Vec<_> = scenes.iter().map(Scene::digests).collect();
    assert_eq!(before, after, "looking changed a node");
}

#[test]
fn a_copy_ends_with_a_result_or_a_sentence_whatever_its_node_answers() {
    let fixtures: Vec<_> = FIXTURES.iter().filter(|fixture| !fixture.is_bare()).collect();
    let lies = prop::collection::vec(lie(60), 1..8);
    let tried = runner(16).run(&(0..fixtures.len(), any::<usize>(), lies), |(at, item, lies)| {
        let (fixture, world) = (*fixtures[at], World::new());
        let node = laid(fixture, true);
        let nodes = [("old", &node)];
        let planned = world.with(0, &Fleet::sound(fixture, &nodes), |_, prober| {
            let found = prober.probe(&wanted_of(prober.inventory)[0]).unwrap();
            let ready: Vec<_> = found.items.iter().filter(|item| item.standing == Standing::Ready).collect();
            let item = &ready[item % ready.len()].id;
            prober.plan_backup(&found.place(item), None, &fixture.set(item, false)).unwrap()
        });
        let fleet = lying(fixture, &nodes, Mouth::with(&lies, None));
        world.with(0, &fleet, |runs, _| assert_told(runs.run(&planned, None, &answers(&planned.plan))));
        assert!(world.vault.leftovers().unwrap().is_empty());
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn a_restore_ends_with_a_result_or_a_sentence_whatever_nodes_answer() {
    let saved: Vec<_> = kinds().into_iter().map(|fixture| (fixture, saved(fixture).world)).collect();
    let lies = prop::collection::vec(lie(60), 1..8);
    let tried = runner(16).run(&(0..saved.len(), any::<usize>(), lies), |(at, item, lies)| {
        let (fixture, world) = (saved[at].0, World::new_from(&saved[at].1));
        let (new, old) = (laid(fixture, false), laid(fixture, true));
        let nodes = [("new", &new), ("old", &old)];
        let all = world.vault.catalogue().unwrap().snapshots;
        let snapshot = &all[item % all.len()];
        let planned = world.with(0, &Fleet::sound(fixture, &nodes), |_, prober| {
            let to = HostId::new("new").unwrap();
            prober.plan_restore(&world.vault, snapshot.manifest(), &to, &chosen(fixture, snapshot)).unwrap()
        });
        let fleet = lying(fixture, &nodes, Mouth::with(&lies, None));
        world.with(0, &fleet, |runs, _| {
            assert_told(runs.run(&planned, Some(snapshot.clone()), &answers(&planned.plan)));
        });
        Ok(())
    });
    tried.unwrap();
}
