//! Death exactly between the two renames of one swap, when the old stands aside already and the new does not stand yet;
//! and between the two by which a swap is undone. Nothing is lost, and the service comes back on the one or on the other.

use lifeboat::engine::node_run::Kept;
use lifeboat::engine::runs::Resume::{self, GoOn, RollBack};
use lifeboat::model::exit::Exit;
use lifeboat::model::ids::RunId;

use super::bench::{World, digest};
use super::matrix::{consent, take_up};
use super::rollback::{Stage, host};
use super::taken_up::{forget_what_came_after, new_run, wire};
use super::tripwire::Trip;

/// Stands in for `mv`: the rename that takes a target out of its place is whoever's last that asked for it, once
/// `/stub/cut` has counted down to it. Of a guard the part at work ends and the guard with it.
const CUT: &str = r#"/usr/bin/mv "$@" || exit
case $2 in -- | *.lifeboat-*) exit 0 ;; esac
case $3 in *.lifeboat-*) ;; *) exit 0 ;; esac
[ -e /stub/cut ] || exit 0
read -r left </stub/cut
if [ "$left" -gt 1 ]; then echo $((left - 1)) >/stub/cut; exit 0; fi
rm /stub/cut
read -r stat <"/proc/$PPID/stat"
set -- ${stat##*) }
if grep -qs lifeboat/runs "/proc/$2/cmdline"; then kill -s KILL "$2"; fi
kill -s KILL "$PPID"
"#;

/// A restore that is known whole: when its swap acts, and how its node looks before it and after it.
struct Known {
    base: Stage,
    /// The call by which the swap acts.
    swaps: usize,
    before: String,
    after: String,
}

impl Known {
    fn of(fixture: &str, item: &str) -> Self {
        let base = Stage::set(fixture, item);
        let before = digest(base.fixture, &base.node);
        let (sound, _) = wire(&base.world, None);
        let learnt = World::new_from(&base.world);
        base.try_restore(&learnt, &base.fleet_on(sound.clone())).unwrap();
        let seen = sound.seen.lock().unwrap();
        let swaps = seen.iter().rposition(|call| call.is_act && call.step.as_deref() == Some("swap")).unwrap();
        drop(seen);
        let after = digest(base.fixture, &base.node);
        Self { base, swaps, before, after }
    }

    /// The same node and vault again, with a `mv` that can be cut.
    fn stage(&self) -> Stage {
        let stage = self.base.again();
        stage.node.instead_of("mv", CUT);
        stage
    }

    /// A restore whose console died with its swap; the swap itself between the renames of its `nth` target, if one is named.
    fn broken_off(&self, nth: Option<usize>) -> (Stage, RunId) {
        let stage = self.stage();
        if let Some(nth) = nth {
            stage.cut_at(nth);
        }
        let before = stage.world.runs();
        let (dying, files) = wire(&stage.world, Some((self.swaps, Trip::CrashAfter)));
        assert!(stage.try_restore(&stage.world, &stage.fleet_on(dying)).is_err());
        forget_what_came_after(&stage.world, &files);
        if nth.is_some() {
            stage.is_cut();
            let now = digest(stage.fixture, &stage.node);
            assert!(now != self.before && now != self.after, "{}: nothing is half done", stage.fixture.name());
        }
        let run = new_run(&stage.world, &before);
        (stage, run)
    }

    /// The node stands as before, or as after, and its service runs.
    fn is_sound(stage: &Stage, wanted: &str, context: &str) {
        let now = digest(stage.fixture, &stage.node);
        let differs: Vec<_> = now.lines().filter(|line| !wanted.lines().any(|other| other == *line)).collect();
        assert!(now == wanted, "{context}: other than expected: {differs:?}");
        assert!(stage.fixture.unit().is_none_or(|unit| stage.node.is_running(unit)), "{context}: it is down");
    }

    /// And nothing of the run is left but what was kept.
    fn is_whole(&self, stage: &Stage, how: Resume, context: &str) {
        Self::is_sound(stage, if how == GoOn { &self.after } else { &self.before }, context);
        let left = stage.node.leftovers();
        let left: Vec<_> = left.lines().filter(|line| !line.contains("/kept/") && !line.contains(".kept")).collect();
        assert!(left.is_empty(), "{context}: left on the node: {left:?}");
        let kept = stage.kept();
        // Of what nothing held still, what stood in place by then is kept aside, too.
        let is_of_before = |kept: &Kept| kept.paths.iter().any(|path| !path.ends_with(".since.kept"));
        assert_eq!(kept.iter().any(is_of_before), how == GoOn, "{context}: {kept:?}");
        assert!(
            kept.iter().flat_map(|kept| &kept.paths).all(|path| stage.node.path(path).exists()),
            "{context}: {kept:?}"
        );
    }
}

impl Stage {
    fn cut_at(&self, nth: usize) {
        std::fs::write(self.node.path("stub/cut"), format!("{nth}\n")).unwrap();
    }

    /// The cut took place.
    fn is_cut(&self) {
        assert!(!self.node.path("stub/cut").exists(), "no rename was cut");
    }

    /// The power goes and comes back: nothing starts half swapped.
    fn restart(&self, context: &str) {
        let unit = self.fixture.unit().unwrap();
        self.node.reboot(unit, true);
        assert!(!self.node.is_running(unit), "{context}: it was started half swapped");
    }

    fn taken_up(&self, run: &RunId, how: Resume) -> Result<(), String> {
        self.resume(run, how).map(|_| ()).map_err(|failure| format!("{failure:?}"))
    }

    /// A console whose vault never heard of the run takes it up from the node.
    fn adopt(&self, vault: &World, run: &RunId, how: Resume) -> Result<(), String> {
        vault.with(1, &self.fleet_on(wire(vault, None).0), |runs, _| {
            let told = runs.read_from(&host(), run).unwrap();
            let all = vault.vault.catalogue().unwrap().snapshots;
            let snapshot = all.into_iter().find(|one| one.item() == told.plan.command.place());
            take_up(runs, &told, how, snapshot).map(|_| ()).map_err(|failure| format!("{failure:?}"))
        })
    }
}

/// What comes after a death between two renames.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The console itself lives, and brings everything back.
    Lives,
    /// The node's guard, and a console that goes on.
    Guard,
    /// The node's guard after a power cut, and a console that goes back.
    Restart,
    /// Another console, before any guard.
    Console(Resume),
    /// One with another vault, by what lies on the node.
    Adopts(Resume),
}

use Then::{Adopts, Console, Guard, Lives, Restart};

/// What is swapped, by fixture and item, and what follows at each of the places that are swapped one by one. The words
/// that swap are the same for all; where files lie apart everything is tried.
const SWAPS: [(&str, &str, &[&[Then]]); 6] = [
    ("files held by their unit", "tree", &[&[Lives, Guard], &[Restart, Console(RollBack)]]),
    ("files in use", "tree", &[&[Console(GoOn)], &[Lives, Adopts(RollBack)]]),
    ("avalanchego", "staking-identity", &[&[Lives, Guard]]),
    (
        "avalanchego, files that lie apart",
        "staking-identity",
        &[
            &[Guard],
            &[Lives, Guard, Restart, Console(GoOn), Console(RollBack), Adopts(GoOn), Adopts(RollBack)],
            &[Console(GoOn)],
        ],
    ),
    ("netdata, onto another agent", "identity", &[&[Guard, Console(RollBack)]]),
    ("netdata, onto the same agent", "metrics", &[&[Restart, Adopts(GoOn)]]),
];

#[test]
fn whoever_dies_between_the_two_renames_of_a_swap_leaves_a_way_on_and_a_way_back() {
    for (fixture, item, places) in SWAPS {
        let known = Known::of(fixture, item);
        for (nth, then) in (1..).zip(places).flat_map(|(nth, ways)| ways.iter().map(move |then| (nth, *then))) {
            known.cut_at_a_swap(nth, then, &format!("{fixture}, {item}, place {nth}, {then:?}"));
        }
    }
}

impl Known {
    fn cut_at_a_swap(&self, nth: usize, then: Then, context: &str) {
        if matches!(then, Lives) {
            return self.cut_alone(nth, context);
        }
        let (stage, run) = self.broken_off(Some(nth));
        if matches!(then, Restart) {
            stage.restart(context);
        }
        if matches!(then, Guard | Restart) {
            assert_eq!(stage.node.lapse(), 1, "{context}");
            Self::is_sound(&stage, &self.before, context);
        }
        let (how, ended) = match then {
            Adopts(how) => (how, stage.adopt(&self.base.world, &run, how)),
            Lives | Guard => (GoOn, stage.taken_up(&run, GoOn)),
            Restart => (RollBack, stage.taken_up(&run, RollBack)),
            Console(how) => (how, stage.taken_up(&run, how)),
        };
        assert!(ended.is_ok(), "{context}: {ended:?}");
        self.is_whole(&stage, how, context);
    }

    /// Only the swap's script dies.
    fn cut_alone(&self, nth: usize, context: &str) {
        let stage = self.stage();
        stage.cut_at(nth);
        let failure = stage.try_restore(&stage.world, &stage.fleet()).unwrap_err();
        stage.is_cut();
        assert!(failure.message.contains("Swapping the restored files in"), "{context}: {failure:?}");
        let told = (failure.exit, failure.state.as_deref());
        assert_eq!(told, (Exit::Failed, Some("Everything is as it was.")), "{context}: {failure:?}");
        self.is_whole(&stage, RollBack, context);
    }
}

/// What a guard was about to put back is put back by the same guard, after the restart or at a console's word.
#[test]
fn a_guard_that_ends_between_two_renames_comes_to_its_end() {
    for (fixture, item, places) in
        [("files held by their unit", "tree", 2), ("avalanchego, files that lie apart", "staking-identity", 3)]
    {
        let known = Known::of(fixture, item);
        for (restarts, how) in [(true, RollBack), (false, GoOn), (false, RollBack)] {
            let (stage, run) = known.broken_off(None);
            let context = format!("{fixture}, {item}, restarts {restarts}, {how:?}");
            stage.cut_at(places);
            assert_eq!(stage.node.lapse(), 1, "{context}");
            stage.is_cut();
            let unit = stage.fixture.unit().unwrap();
            assert!(!stage.node.is_running(unit), "{context}: it was started half swapped");
            if restarts {
                stage.restart(&context);
                assert_eq!(stage.node.lapse(), 1, "{context}");
                Known::is_sound(&stage, &known.before, &context);
                // One that came to its end never acts again.
                stage.node.run(&format!("systemctl stop {unit}; systemctl start lifeboat-guard-{run}.service"));
                assert!(!stage.node.is_running(unit), "{context}: it acted twice");
                stage.node.run(&format!("systemctl start {unit}"));
            }
            let ended = stage.taken_up(&run, how);
            assert!(ended.is_ok(), "{context}: {ended:?}");
            known.is_whole(&stage, how, &context);
        }
    }
}

/// A finished restore is rolled back; what was written since is kept aside, whoever dies between that and the rename of
/// what was kept.
#[test]
fn an_undoing_that_ends_between_two_renames_is_done_again() {
    let known = Known::of("files held by their unit", "tree");
    let undo = |stage: &Stage, at: Option<(usize, Trip)>| {
        let run = stage.restore();
        stage.write("srv/app/since", "a month of work");
        let before = stage.world.runs();
        let (tripping, files) = wire(&stage.world, at);
        stage.cut_at(1);
        let ended = stage.world.with(0, &stage.fleet_on(tripping.clone()), |runs, _| {
            runs.rollback(&runs.read(&run).unwrap(), &consent(&run))
        });
        forget_what_came_after(&stage.world, &files);
        (new_run(&stage.world, &before), tripping, ended)
    };
    let is_undone = |stage: &Stage, context: &str| {
        Known::is_sound(stage, &known.before, context);
        assert_eq!(stage.node.run("find / -xdev -name since -exec cat {} +"), "a month of work", "{context}");
    };
    // Its console lives, and tries again.
    let stage = known.stage();
    let (_, seen, ended) = undo(&stage, None);
    stage.is_cut();
    assert!(ended.is_ok(), "{ended:?}");
    is_undone(&stage, "alive");
    // It dies with the rename: that is the first of its undoing calls after which nothing waits to be cut.
    let seen = seen.seen.lock().unwrap();
    let calls = seen.iter().enumerate().filter(|(_, call)| call.tidies).map(|(at, _)| at);
    let died = calls.into_iter().find_map(|at| {
        let stage = known.stage();
        let (undoing, _, ended) = undo(&stage, Some((at, Trip::CrashAfter)));
        (!stage.node.path("stub/cut").exists()).then_some((stage, undoing, ended))
    });
    let (stage, undoing, ended) = died.expect("no call of the undoing renames anything");
    let context = format!("{ended:?}");
    assert!(ended.is_err() && !stage.node.is_running("app.service"), "{context}");
    stage.restart(&context);
    assert_eq!(stage.node.lapse(), 1, "{context}");
    is_undone(&stage, &context);
    stage.resume(&undoing, GoOn).unwrap();
    is_undone(&stage, &context);
}
