//! Every plan of every driver, failed, cancelled and crashed at each of its steps.
//!
//! `plans` trips one plan of shared ops at every single call. Here each plan a driver can make is tripped where it acts:
//! the driver's own scripts, uploads and conversations, and the shared ops as it uses them. Afterwards the service runs
//! or is fenced as it should, nothing is half swapped, the vault is clean, and another console can go on or go back.

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lifeboat::engine::board::Board;
use lifeboat::engine::executor::{StepState, states_of};
use lifeboat::engine::planner::Planned;
use lifeboat::engine::runs::{Report, Resume, Runs, Told};
use lifeboat::engine::scan::{in_parallel, wanted_of};
use lifeboat::model::event::{Event, EventKind};
use lifeboat::model::exit::{Exit, Failure, Result};
use lifeboat::model::ids::{HostId, ItemId, ItemRef, RunId};
use lifeboat::model::item::{Item, Standing};
use lifeboat::model::plan::{Effect, Plan, Step};
use lifeboat::services::{REGISTRY, common};
use lifeboat::vault::{Snapshot, Vault};

use super::Node;
use super::bench::{Fleet, World, digest};
use super::fixtures::{FIXTURES, Fixture};
use super::tripwire::{Call, Trip, Wire};
use cases::{Care, Kind, cases};

/// Every gate of a plan, answered.
pub fn answers(plan: &Plan) -> BTreeMap<String, String> {
    plan.gates.iter().map(|gate| (gate.id.to_string(), gate.word.clone())).collect()
}

/// Consent to a run being rolled back.
pub fn consent(run: &RunId) -> BTreeMap<String, String> {
    BTreeMap::from([("rollback".to_owned(), run.to_string())])
}

/// Where the service was saved, and where it is restored onto.
const OLD: &str = "old";
const NEW: &str = "new";

/// A plan to sweep.
struct Case {
    fixture: &'static dyn Fixture,
    item: ItemId,
    kind: Kind,
    care: Care,
}

/// One snapshot of every item of a fixture, taken by clean runs.
pub struct Base {
    pub world: World,
    items: Vec<ItemId>,
}

pub fn saved(fixture: &'static dyn Fixture) -> Base {
    let (world, node) = (World::new(), laid(fixture, true));
    let fleet = Fleet::sound(fixture, &[(OLD, &node)]);
    let before = digest(fixture, &node);
    crate::vault::leave_dead_staging(world.vault.root());
    assert_eq!(world.vault.leftovers().unwrap().len(), 1);
    let items = world.with(0, &fleet, |runs, prober| {
        let found = prober.probe(&wanted_of(prober.inventory)[0]).unwrap();
        let swept = |item: &&Item| item.standing == Standing::Ready && fixture.sweeps(&item.id);
        let ready = found.items.iter().filter(swept);
        let items: Vec<_> = ready.map(|item| item.id.clone()).collect();
        for item in &items {
            let planned = prober.plan_backup(&found.place(item), None, &fixture.set(item, false)).unwrap();
            let done = runs.run(&planned, None, &answers(&planned.plan));
            assert!(done.is_ok(), "{}: {item}: {done:?}", fixture.name());
        }
        items
    });
    assert_eq!(digest(fixture, &node), before, "{}: a backup changed the node", fixture.name());
    assert_eq!(node.leftovers(), "", "{}: a backup left something", fixture.name());
    assert!(world.vault.leftovers().unwrap().is_empty(), "a backup clears away what a dead one left");
    Base { world, items }
}

pub fn laid(fixture: &dyn Fixture, as_saved: bool) -> Node {
    let node = Node::blank();
    fixture.lay(&node, as_saved);
    node
}

/// What a plan needs, made once, and the two states its node may be in.
struct Ready {
    world: World,
    planned: Planned,
    snapshot: Option<Snapshot>,
    before: String,
    after: String,
    /// Whether the unit runs afterwards, where nothing ran before.
    runs_after: bool,
    /// Calls at which the plan itself acts, and how each is tripped.
    trips: Vec<(usize, Trip, Sequel)>,
}

/// A restore that is finished, and its node as it stands then.
struct Restored {
    told: Told,
    node: Node,
}

/// The nodes of one try.
struct Scene {
    target: Node,
    twin: Option<Node>,
}

impl Case {
    fn name(&self) -> String {
        format!("{} {:?} of {}", self.fixture.name(), self.kind, self.item)
    }

    fn scene(&self) -> Scene {
        let target = laid(self.fixture, self.kind == Kind::Backup);
        Scene { target, twin: (self.kind == Kind::RestoreFencing).then(|| laid(self.fixture, true)) }
    }

    fn fleet<'n>(&self, scene: &'n Scene, wire: Arc<Wire>) -> Fleet<'n> {
        let mut nodes = vec![(NEW, &scene.target)];
        nodes.extend(scene.twin.as_ref().map(|twin| (OLD, twin)));
        Fleet { fixture: self.fixture, nodes, silent: Vec::new(), wire }
    }

    fn place(&self, host: &str) -> ItemRef {
        let service = self.fixture.kind().parse().unwrap();
        ItemRef { owner: host.parse().unwrap(), service, item: self.item.clone() }
    }

    /// Plans once, and runs it once with nothing in the way.
    fn prepare(&self, base: &Base) -> Ready {
        let world = World::new_from(&base.world);
        let scene = self.scene();
        let before = digest(self.fixture, &scene.target);
        let wire = Arc::new(Wire { board: Some(Arc::default()), ..Wire::default() });
        let fleet = self.fleet(&scene, wire.clone());
        let snapshot = (self.kind != Kind::Backup).then(|| {
            let all = world.vault.catalogue().unwrap().snapshots;
            all.into_iter().find(|snapshot| *snapshot.item() == self.place(OLD)).unwrap()
        });
        let (planned, done) = world.with(0, &fleet, |runs, prober| {
            let mut set = self.fixture.set(&self.item, self.kind != Kind::Backup);
            if self.kind == Kind::RestoreFencing {
                set.insert(common::FENCE_CHOICE.to_owned(), "stop".to_owned());
            }
            let planned = match &snapshot {
                None => prober.plan_backup(&self.place(NEW), None, &set).unwrap(),
                Some(from) => {
                    let to = HostId::new(NEW).unwrap();
                    prober.plan_restore(&world.vault, from.manifest(), &to, &set).unwrap()
                }
            };
            wire.calls.store(0, Ordering::SeqCst);
            wire.seen.lock().unwrap().clear();
            (planned.clone(), runs.run(&planned, snapshot.clone(), &answers(&planned.plan)))
        });
        assert!(done.is_ok(), "{}: a clean run ended with {done:?}", self.name());
        let after = digest(self.fixture, &scene.target);
        match self.kind {
            Kind::Backup => assert_eq!(before, after, "{}: it changed the node", self.name()),
            _ => assert_ne!(before, after, "{}: it changed nothing", self.name()),
        }
        let runs_after = self.fixture.unit().is_some_and(|unit| scene.target.is_running(unit));
        Ready { trips: self.trips(&wire, &planned.plan), world, planned, snapshot, before, after, runs_after }
    }

    /// Where each step acts, and what is tried there. A step's last act is the one that settles it; of an upload the first
    /// one too is tried in the thorough cases, because one that was begun must vanish as a whole one does. A capture that
    /// stops the service itself is tripped thoroughly at each change it makes, because those are a plan of their own.
    fn trips(&self, wire: &Wire, plan: &Plan) -> Vec<(usize, Trip, Sequel)> {
        let seen = wire.seen.lock().unwrap();
        let mut acts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut steps: Vec<&str> = Vec::new();
        for (at, call) in seen.iter().enumerate().filter(|(_, call)| call.is_act) {
            let step = call.step.as_deref().unwrap();
            let number = steps.iter().position(|known| *known == step).unwrap_or_else(|| {
                steps.push(step);
                steps.len() - 1
            });
            acts.entry(number).or_insert((at, at)).1 = at;
        }
        // A step that nobody saw act is one that nothing below trips.
        let unseen = plan.steps.iter().filter(|step| !steps.contains(&step.id.as_str()));
        let unseen: Vec<_> = unseen.map(|step| (step.id.as_str(), step.op.as_str())).collect();
        assert!(unseen.is_empty(), "{}: nothing trips {unseen:?}; it acted in {steps:?}", self.name());
        let mut trips = Vec::new();
        let mut all: Vec<(usize, usize, usize, Care)> =
            acts.into_iter().map(|(number, (first, last))| (number, first, last, self.care)).collect();
        let quiets = |call: &Call| {
            let step = plan.steps.iter().find(|step| Some(step.id.as_str()) == call.step.as_deref());
            call.changes && step.is_some_and(|step| step.op == common::CAPTURE && step.effect == Effect::Quiesce)
        };
        for (at, call) in seen.iter().enumerate().filter(|(_, call)| quiets(call)) {
            let number = steps.iter().position(|known| Some(*known) == call.step.as_deref()).unwrap();
            all.push((number, at, at, Care::Thorough));
        }
        for (number, first, last, care) in all {
            let mut add =
                |at, ways: &[(Trip, Sequel)]| trips.extend(ways.iter().map(|(trip, then)| (at, *trip, *then)));
            let (back, on) =
                (Sequel { lapses: true, how: Resume::RollBack }, Sequel { lapses: false, how: Resume::GoOn });
            if care == Care::Turns {
                let turns = [(Trip::CrashAfter, on), (Trip::Fail, LIVES), (Trip::CrashAfter, back)];
                add(last, &[turns[number % turns.len()]]);
                continue;
            }
            add(last, &[(Trip::Fail, LIVES), (Trip::Cancel, LIVES)]);
            if care == Care::Some {
                add(last, &[(Trip::CrashAfter, if number % 2 == 0 { back } else { on })]);
                continue;
            }
            add(last, &[(Trip::CutAfter, LIVES), (Trip::CrashBefore, back), (Trip::CrashBefore, on)]);
            let (kept, lapsed) = (Sequel { lapses: false, ..back }, Sequel { lapses: true, ..on });
            add(last, &[(Trip::CrashAfter, kept), (Trip::CrashAfter, lapsed)]);
            let is_upload = |step: &&Step| step.id.as_str() == steps[number] && step.op == common::DELIVER;
            if first != last && plan.steps.iter().any(|step| is_upload(&step)) {
                add(first, &[(Trip::CutAfter, LIVES), (Trip::CrashAfter, back)]);
            }
        }
        let tripped: BTreeSet<_> = trips.iter().filter_map(|(at, ..)| seen[*at].step.as_deref()).collect();
        let all_tripped = steps.iter().all(|step| tripped.contains(step));
        assert!(all_tripped && !trips.is_empty(), "{}: of {steps:?} only {tripped:?} are tripped", self.name());
        trips
    }

    /// A finished restore on a node of its own, and the node's states before it and after it.
    fn restored(&self, ready: &Ready, scene: &Scene) -> Told {
        let fleet = self.fleet(scene, Arc::new(Wire { board: Some(Arc::default()), ..Wire::default() }));
        ready.world.with(0, &fleet, |runs, _| {
            let done = runs.run(&ready.planned, ready.snapshot.clone(), &answers(&ready.planned.plan));
            runs.read(&done.unwrap_or_else(|failure| panic!("{}: {failure:?}", self.name())).run).unwrap()
        })
    }

    /// Every call of a rollback by which it changes its node, tripped: the service runs, on the one data or on the other,
    /// and another console undoes the rest.
    fn sweep_rollback(&self, base: &Base) -> (usize, Vec<String>) {
        let restores = Case { kind: Kind::Restore, item: self.item.clone(), ..*self };
        let mut ready = restores.prepare(base);
        let scene = self.scene();
        let told = self.restored(&ready, &scene);
        // Every try begins from a copy of this: the node restored, and the vault that tells of it.
        let finished = Restored { told: told.clone(), node: scene.target.again() };
        let after = World::new_from(&ready.world);
        let wire = Arc::new(Wire { board: Some(Arc::default()), ..Wire::default() });
        let undone =
            ready.world.with(0, &self.fleet(&scene, wire.clone()), |runs, _| runs.rollback(&told, &consent(&told.run)));
        assert!(undone.is_ok(), "{}: a clean rollback ended with {undone:?}", self.name());
        assert_eq!(digest(self.fixture, &scene.target), ready.before, "{}: it is not as it was", self.name());
        let calls: Vec<_> =
            wire.seen.lock().unwrap().iter().enumerate().filter(|(_, call)| call.tidies).map(|(at, _)| at).collect();
        assert!(calls.len() > 2, "{}: only {} calls undo anything", self.name(), calls.len());
        let mut wrong = Vec::new();
        let all = [Trip::Fail, Trip::CrashAfter, Trip::CutAfter, Trip::CrashBefore];
        let ways = |number: usize| if self.care == Care::Turns { &all[number % 4..=number % 4] } else { &all[..] };
        let trips: Vec<_> =
            calls.iter().enumerate().flat_map(|(n, at)| ways(n).iter().map(|trip| (*at, *trip))).collect();
        for (at, trip) in &trips {
            ready.world = World::new_from(&after);
            let mut tried = Try::of(self, &ready, *at, *trip);
            tried.scene.target = finished.node.again();
            tried.roll_back(&finished.told);
            wrong.extend(tried.wrong);
        }
        (trips.len(), wrong)
    }

    /// Every trip of the plan: how many there were, and what was wrong.
    fn sweep(&self, base: &Base) -> (usize, Vec<String>) {
        if self.kind == Kind::Rollback {
            return self.sweep_rollback(base);
        }
        let ready = self.prepare(base);
        let mut wrong = Vec::new();
        for (at, trip, then) in &ready.trips {
            let mut tried = Try::of(self, &ready, *at, *trip);
            match trip {
                Trip::CrashBefore | Trip::CrashAfter => tried.crash(*then),
                _ => tried.fail(),
            }
            wrong.extend(tried.wrong);
        }
        (ready.trips.len(), wrong)
    }
}

/// What follows a console's death: whether the guard acts before the second console comes, and what that one does.
#[derive(Debug, Clone, Copy)]
struct Sequel {
    lapses: bool,
    how: Resume,
}

/// Nothing follows: the console lives.
const LIVES: Sequel = Sequel { lapses: false, how: Resume::GoOn };

/// One run that trips, and what comes after.
struct Try<'c> {
    case: &'c Case,
    ready: &'c Ready,
    scene: Scene,
    wire: Arc<Wire>,
    context: String,
    wrong: Vec<String>,
    runs_before: BTreeSet<std::path::PathBuf>,
    snapshots_before: usize,
}

impl<'c> Try<'c> {
    fn of(case: &'c Case, ready: &'c Ready, at: usize, trip: Trip) -> Self {
        let wire = Wire { at: Some((at, trip)), board: Some(Arc::<Board>::default()), ..Wire::default() };
        Self {
            case,
            ready,
            scene: case.scene(),
            wire: Arc::new(wire),
            context: format!("{}, {trip:?} at call {at}", case.name()),
            wrong: Vec::new(),
            runs_before: ready.world.runs().into_iter().collect(),
            snapshots_before: snapshots(&ready.world.vault),
        }
    }

    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            let what = what();
            self.wrong.push(format!("{}: {what}", self.context));
        }
    }

    fn run(&mut self) -> Result<Report, Failure> {
        let fleet = self.case.fleet(&self.scene, self.wire.clone());
        let (ready, answered) = (self.ready, answers(&self.ready.planned.plan));
        let ended = ready.world.with(0, &fleet, |runs, _| runs.run(&ready.planned, ready.snapshot.clone(), &answered));
        let (calls, at) = (self.wire.calls.load(Ordering::SeqCst), self.wire.at.map_or(0, |(at, _)| at));
        self.must(calls > at, || format!("it came to its end after {calls} calls, before the one that trips"));
        self.context = match &ended {
            Ok(_) => format!("{}, ended well", self.context),
            Err(failure) => format!("{}, ended {:?} ({failure})", self.context, failure.exit),
        };
        ended
    }

    /// The console lives: it brings everything back itself, or says what it could not.
    fn fail(&mut self) {
        let ended = self.run();
        let events = self.wire.board.as_ref().unwrap().since(0);
        self.service_is_sound();
        self.vault_is_sound(&events);
        let Err(failure) = ended else {
            self.state_is(&[&self.ready.after.clone()]);
            return self.nothing_is_left();
        };
        let lasting = self.lasting(&events);
        if lasting.is_empty() {
            self.must(failure.exit != Exit::Changed, || "it says that something was left".into());
            self.state_is(&[&self.ready.before.clone()]);
            return self.nothing_is_left();
        }
        self.left_is_told(&failure, &lasting);
        self.leave();
    }

    /// The console dies at once, its journal with it; the guard acts or does not; another console takes over.
    fn crash(&mut self, Sequel { lapses, how }: Sequel) {
        let vault = self.ready.world.vault.root().to_owned();
        let sizes: Arc<std::sync::Mutex<BTreeMap<std::path::PathBuf, u64>>> = Arc::default();
        let noted = sizes.clone();
        *self.wire.on_death.lock().unwrap() = Some(Box::new(move || {
            for run in Vault::open(&vault, None).unwrap().runs().unwrap() {
                let journal = run.join("journal.jsonl");
                let size = std::fs::metadata(&journal).map_or(0, |meta| meta.len());
                noted.lock().unwrap().insert(journal, size);
            }
        }));
        let ended = self.run();
        self.context = format!("{}, lapses {lapses}, then {how:?}", self.context);
        self.must(ended.is_err(), || "a dead console ended well".into());
        let Some(dir) = self.ready.world.runs().into_iter().find(|dir| !self.runs_before.contains(dir)) else {
            return self.must(false, || "the run is not in the vault".into());
        };
        // What a dead console wrote afterwards it never wrote.
        let journal = dir.join("journal.jsonl");
        // One that ended before its console died has said so by now.
        let Some(size) = sizes.lock().unwrap().get(&journal).copied() else { return };
        std::fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(size).unwrap();
        let _ = std::fs::remove_file(dir.join("receipt.json"));
        if lapses {
            self.lapse();
        }
        let run = RunId::new(dir.file_name().unwrap().to_str().unwrap()).unwrap();
        self.second_console(&run, how);
    }

    /// A finished restore is rolled back, and the rollback trips.
    fn roll_back(&mut self, told: &Told) {
        let (case, ready) = (self.case, self.ready);
        let runs_before: BTreeSet<_> = ready.world.runs().into_iter().collect();
        let vault = ready.world.vault.root().to_owned();
        let sizes: Arc<std::sync::Mutex<BTreeMap<std::path::PathBuf, u64>>> = Arc::default();
        let noted = sizes.clone();
        *self.wire.on_death.lock().unwrap() = Some(Box::new(move || {
            for run in Vault::open(&vault, None).unwrap().runs().unwrap() {
                let journal = run.join("journal.jsonl");
                let size = std::fs::metadata(&journal).map_or(0, |meta| meta.len());
                noted.lock().unwrap().insert(journal, size);
            }
        }));
        let ended = ready
            .world
            .with(0, &case.fleet(&self.scene, self.wire.clone()), |runs, _| runs.rollback(told, &consent(&told.run)));
        let (calls, at) = (self.wire.calls.load(Ordering::SeqCst), self.wire.at.map_or(0, |(at, _)| at));
        self.must(calls > at, || format!("it came to its end after {calls} calls, before the one that trips"));
        let states = [ready.before.clone(), ready.after.clone()];
        let Err(failure) = ended else {
            self.service_is_sound();
            self.state_is(&[&states[0]]);
            return self.nothing_is_left();
        };
        self.context = format!("{}, ended {:?} ({failure})", self.context, failure.exit);
        let Some(dir) = ready.world.runs().into_iter().find(|dir| !runs_before.contains(dir)) else {
            self.service_is_sound();
            self.state_is(&[&states[1]]);
            return self.nothing_is_left();
        };
        let journal = dir.join("journal.jsonl");
        let written = sizes.lock().unwrap().get(&journal).copied();
        if let Some(size) = written {
            std::fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(size).unwrap();
            let _ = std::fs::remove_file(dir.join("receipt.json"));
        }
        self.lapse();
        let run = RunId::new(dir.file_name().unwrap().to_str().unwrap()).unwrap();
        let fleet = case.fleet(&self.scene, Arc::new(Wire { board: Some(Arc::default()), ..Wire::default() }));
        let finished = ready.world.with(1, &fleet, |runs, _| {
            let told = runs.read(&run).unwrap();
            match told.ended {
                // It gave everything back, and there is nothing to take up.
                Some((exit, _)) if exit != Exit::Changed => None,
                _ => Some(take_up(runs, &told, Resume::GoOn, None)),
            }
        });
        self.service_is_sound();
        match finished {
            None => self.state_is(&[&states[0], &states[1]]),
            Some(Ok(_)) => self.state_is(&[&states[0]]),
            Some(Err(failure)) => self.must(false, || format!("another console could not finish it: {failure:?}")),
        }
        self.nothing_is_left();
    }

    fn lapse(&mut self) {
        let nodes: Vec<_> = std::iter::once(&self.scene.target).chain(&self.scene.twin).collect();
        let fired: usize = nodes.iter().map(|node| node.lapse()).sum();
        if fired > 0 {
            self.service_is_sound();
            self.state_is(&[&self.ready.before.clone(), &self.ready.after.clone()]);
        }
    }

    fn second_console(&mut self, run: &RunId, how: Resume) {
        let wire = Arc::new(Wire { board: Some(Arc::<Board>::default()), ..Wire::default() });
        let fleet = self.case.fleet(&self.scene, wire.clone());
        let snapshot = self.ready.snapshot.clone();
        let (events, ended) = self.ready.world.with(1, &fleet, |runs, _| {
            let told = runs.read(run).unwrap();
            let ended = take_up(runs, &told, how, snapshot);
            (all_events(runs, run), ended)
        });
        if let Err(failure) = &ended {
            self.context = format!("{}, the second console ended {:?} ({failure})", self.context, failure.exit);
        }
        self.service_is_sound();
        self.vault_is_sound(&events);
        let lasting = self.lasting(&events);
        match ended {
            Ok(_) => {
                let state = if how == Resume::GoOn { &self.ready.after } else { &self.ready.before };
                self.state_is(&[&state.clone()]);
                self.nothing_is_left();
            }
            Err(failure) if lasting.is_empty() => {
                self.must(false, || format!("the second console could not: {failure:?}"));
            }
            Err(failure) => {
                self.left_is_told(&failure, &lasting);
                self.leave();
            }
        }
    }

    /// Titles of steps that took place and that nothing undoes. One that began and is known to have come to nothing, a
    /// refused request or a fence of which no part stands, is not among them.
    fn lasting(&self, events: &[Event]) -> Vec<String> {
        let states = states_of(events);
        let unit = self.case.fixture.unit().unwrap_or_default();
        let is_fenced = self.scene.twin.as_ref().is_some_and(|twin| {
            let paths = [
                format!("var/lib/lifeboat/fence/{unit}"),
                format!("etc/systemd/system/{unit}.d/90-lifeboat-fence.conf"),
            ];
            !twin.is_running(unit) || paths.iter().any(|path| twin.path(path).exists())
        });
        let is_lasting = |step: &&Step| {
            let never_undone = step.op == common::DELIVER && step.args["undo"].is_null();
            let began = matches!(states.get(&step.id), Some(StepState::Started(_) | StepState::Finished(..)));
            (never_undone && began) || (step.effect == Effect::Fence && is_fenced)
        };
        self.ready.planned.plan.steps.iter().filter(is_lasting).map(|step| step.title.to_string()).collect()
    }

    fn left_is_told(&mut self, failure: &Failure, lasting: &[String]) {
        self.must(failure.exit == Exit::Changed, || format!("{lasting:?} stays, and it does not say so"));
        let state = failure.state.clone().unwrap_or_default();
        self.must(!state.is_empty(), || "it does not say what state things are in".into());
        self.state_is(&[&self.ready.before.clone(), &self.ready.after.clone()]);
    }

    /// What could not be undone is left as it is, and the locks are given back.
    fn leave(&mut self) {
        let fleet = self.case.fleet(&self.scene, Arc::default());
        let dir = self.ready.world.runs().into_iter().find(|dir| !self.runs_before.contains(dir)).unwrap();
        let run = RunId::new(dir.file_name().unwrap().to_str().unwrap()).unwrap();
        let left = self.ready.world.with(1, &fleet, |runs, _| {
            let told = runs.read(&run).unwrap();
            take_up(runs, &told, Resume::Leave, None)
        });
        self.must(left.is_ok(), || format!("it could not be left: {left:?}"));
        self.nothing_is_left();
    }

    fn state_is(&mut self, states: &[&String]) {
        let now = digest(self.case.fixture, &self.scene.target);
        let differs = |state: &&String| -> String {
            let other: BTreeSet<_> = state.lines().collect();
            now.lines().filter(|line| !other.contains(line)).collect::<Vec<_>>().join(" | ")
        };
        let told: Vec<_> = states.iter().map(differs).collect();
        self.must(states.iter().any(|state| **state == now), || format!("half swapped; other than expected: {told:?}"));
    }

    /// It runs, unless it is held by a run whose guard still counts; and no identity runs twice.
    fn service_is_sound(&mut self) {
        let Some(unit) = self.case.fixture.unit() else { return };
        let up = self.scene.target.is_running(unit);
        if self.case.fixture.is_bare() && self.case.kind != Kind::Backup {
            // Nothing ran there before, and a service that is started on nothing would make itself an identity.
            let is_as_before = digest(self.case.fixture, &self.scene.target) == self.ready.before;
            let must_run = !is_as_before && self.ready.runs_after;
            self.must(up == must_run, || format!("{unit} runs: {up}, as before: {is_as_before}"));
        } else {
            self.must(up, || format!("{unit} is down"));
        }
        let Some(twin) = &self.scene.twin else { return };
        let twin_up = twin.is_running(unit);
        let is_new = digest(self.case.fixture, &self.scene.target) == self.ready.after;
        let fence = twin.path("var/lib/lifeboat/fence").join(unit).exists();
        self.must(!(twin_up && up && is_new), || "one identity runs on both".into());
        self.must(twin_up || fence, || "the twin is down and not fenced".into());
    }

    /// Nothing unfinished lies there, and there are as many new snapshots as captures that ended well, each whole.
    fn vault_is_sound(&mut self, events: &[Event]) {
        let vault = &self.ready.world.vault;
        let left = vault.leftovers().unwrap();
        let captured = events.iter().filter(|event| match &event.kind {
            EventKind::StepFinished { out, .. } => out.get("sums_sha256").is_some(),
            _ => false,
        });
        let (captured, now) = (captured.count(), snapshots(vault));
        let catalogue = vault.catalogue().unwrap();
        let broken: usize =
            catalogue.snapshots.iter().map(|snapshot| crate::vault::intact(vault, snapshot).len()).sum();
        let before = self.snapshots_before;
        self.must(left.is_empty(), || format!("left in the vault: {left:?}"));
        self.must(now == before + captured, || format!("{captured} captures made {} snapshots", now - before));
        self.must(broken == 0, || format!("{broken} findings in the vault"));
    }

    /// Nothing of Lifeboat's lies on the nodes but what was kept aside, and fences.
    fn nothing_is_left(&mut self) {
        let nodes: Vec<_> = std::iter::once(&self.scene.target).chain(&self.scene.twin).collect();
        let mut left = Vec::new();
        for node in nodes {
            let lines = node.leftovers();
            let counts = |line: &&str| {
                !line.contains("/kept/")
                    && !line.contains(".kept")
                    && !line.contains("/fence")
                    && !line.contains("-fence.conf")
            };
            left.extend(lines.lines().filter(counts).map(str::to_owned));
        }
        self.must(left.is_empty(), || format!("left on the nodes: {left:?}"));
    }
}

fn snapshots(vault: &Vault) -> usize {
    vault.catalogue().unwrap().snapshots.len()
}

/// Takes a run up, with every gate of that answered.
pub fn take_up(runs: &Runs, told: &Told, how: Resume, snapshot: Option<Snapshot>) -> Result<Report> {
    let gates = runs.gates_of_resume(told, how)?;
    let said = gates.iter().map(|gate| (gate.id.to_string(), gate.word.clone())).collect();
    runs.resume(told, how, snapshot, &said)
}

fn all_events(runs: &Runs, run: &RunId) -> Vec<Event> {
    let told = runs.read(run).unwrap();
    // Reading it back is what a third console would do.
    let _ = states_of(&told.events);
    told.events
}

/// Sweeps every plan of one driver's fixtures.
fn sweep(kind: &str) {
    let jobs = std::thread::available_parallelism().map_or(2, usize::from);
    let fixtures: Vec<_> = FIXTURES.iter().filter(|fixture| fixture.kind() == kind).collect();
    let bases: Vec<(&'static dyn Fixture, Base)> =
        in_parallel(&fixtures, jobs, |fixture| (**fixture, saved(**fixture)));
    let of = |(number, (fixture, base)): (usize, &'_ (&'static dyn Fixture, Base))| cases(*fixture, base, number == 0);
    let all: Vec<(Case, &Base)> = bases
        .iter()
        .enumerate()
        .flat_map(|(number, pair)| of((number, pair)).into_iter().map(move |case| (case, &pair.1)))
        .collect();
    let tries = AtomicUsize::new(0);
    let one = |(case, base): &(Case, &Base)| {
        let began = std::time::Instant::now();
        let (count, wrong) = case.sweep(base);
        tries.fetch_add(count, Ordering::Relaxed);
        println!("{:6.1} s  {count:3} tries  {}", began.elapsed().as_secs_f64(), case.name());
        wrong
    };
    let wrong: Vec<String> = in_parallel(&all, jobs, one).into_iter().flatten().collect();
    println!("{kind}: {} plans, {} tries", all.len(), tries.load(Ordering::Relaxed));
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The drivers swept below, one test each so that one can be run alone.
const SWEPT: &[&str] = &["avalanchego", "consul", "files", "netdata"];

#[test]
fn every_plan_of_avalanchego_survives_a_trip_at_each_step() {
    sweep("avalanchego");
}

#[test]
fn every_plan_of_consul_survives_a_trip_at_each_step() {
    sweep("consul");
}

#[test]
fn every_plan_of_files_survives_a_trip_at_each_step() {
    sweep("files");
}

#[test]
fn every_plan_of_netdata_survives_a_trip_at_each_step() {
    sweep("netdata");
}

/// A driver without a fixture, or an item no fixture has, would be a plan nobody ever tripped.
#[test]
fn every_item_of_every_driver_has_a_fixture() {
    let mut missing = Vec::new();
    for driver in REGISTRY {
        let of_it: Vec<_> = FIXTURES.iter().filter(|fixture| fixture.kind() == driver.kind()).collect();
        if of_it.is_empty() {
            missing.push(format!("{} has no fixture", driver.kind()));
        }
        if !SWEPT.contains(&driver.kind()) {
            missing.push(format!("{} has no test here that sweeps it", driver.kind()));
        }
        let mut listed: BTreeMap<String, bool> = BTreeMap::new();
        for fixture in of_it {
            let (world, node) = (World::new(), laid(*fixture, true));
            let fleet = Fleet::sound(*fixture, &[(OLD, &node)]);
            let found = world.with(0, &fleet, |_, prober| prober.probe(&wanted_of(prober.inventory)[0])).unwrap();
            for item in found.items {
                let is_swept = item.standing == Standing::Ready && fixture.sweeps(&item.id);
                *listed.entry(item.id.to_string()).or_default() |= is_swept;
            }
        }
        let never = listed.iter().filter(|(_, ready)| !**ready);
        missing.extend(never.map(|(item, _)| format!("no fixture of {} has the item {item}", driver.kind())));
    }
    assert!(missing.is_empty(), "add to tests/suite/sandbox/fixtures: {missing:#?}");
}
