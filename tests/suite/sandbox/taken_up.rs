//! Runs that did not end well, taken up long after: what is in use by then is kept aside, what is left is listed, and
//! what was confirmed stands in the journal and the receipt.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use lifeboat::engine::board::Board;
use lifeboat::engine::node_run::{list_kept, purge_kept};
use lifeboat::engine::phrases::undo_of;
use lifeboat::engine::rollback::plan_of_taken_up;
use lifeboat::engine::runs::{Ahead, Report, Resume, Sheet, Told};
use lifeboat::model::exit::{Exit, Failure, NOTHING_CHANGED};
use lifeboat::model::ids::RunId;
use lifeboat::vault::Vault;

use super::bench::{Fleet, World, digest};
use super::matrix::{consent, laid};
use super::rollback::{HOST, SWAPPED, Stage, host};
use super::tripwire::{Trip, Wire};

/// The run that was not there `before`: of two that begin in one second the names do not tell which is the later.
pub fn new_run(world: &World, before: &[PathBuf]) -> RunId {
    let dir = world.runs().into_iter().find(|dir| !before.contains(dir)).expect("no run began");
    RunId::new(dir.file_name().unwrap().to_str().unwrap()).unwrap()
}

/// The files of every run with their sizes at the moment a console died.
pub type Files = Arc<Mutex<Option<BTreeMap<PathBuf, u64>>>>;

fn files_of(vault: &Vault) -> BTreeMap<PathBuf, u64> {
    let runs = vault.runs().unwrap();
    let files = runs.iter().flat_map(|run| std::fs::read_dir(run).unwrap());
    files.map(|file| file.unwrap()).map(|file| (file.path(), file.metadata().unwrap().len())).collect()
}

/// A wire that trips, and what will be known of the vault's runs when its console dies.
pub fn wire(world: &World, at: Option<(usize, Trip)>) -> (Arc<Wire>, Files) {
    let wire = Wire { at, board: Some(Arc::<Board>::default()), ..Wire::default() };
    let (vault, files) = (world.vault.root().to_owned(), Files::default());
    let noted = files.clone();
    *wire.on_death.lock().unwrap() = Some(Box::new(move || {
        *noted.lock().unwrap() = Some(files_of(&Vault::open(&vault, None).unwrap()));
    }));
    (Arc::new(wire), files)
}

/// What a dead console wrote after its death it never wrote.
pub fn forget_what_came_after(world: &World, files: &Files) {
    let Some(then) = files.lock().unwrap().take() else { return };
    for path in files_of(&world.vault).into_keys() {
        match then.get(&path) {
            None => std::fs::remove_file(path).unwrap(),
            Some(_) if path.file_name().unwrap() == ".reserve" => {}
            Some(size) => std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(*size).unwrap(),
        }
    }
}

impl Stage {
    /// The same once more, untouched.
    pub fn again(&self) -> Self {
        let (world, node) = (World::new_from(&self.world), laid(self.fixture, false));
        Self { fixture: self.fixture, item: self.item.clone(), world, node }
    }

    pub fn fleet_on(&self, wire: Arc<Wire>) -> Fleet<'_> {
        Fleet { fixture: self.fixture, nodes: vec![(HOST, &self.node)], silent: vec![], wire }
    }

    /// A restore that did all it was to do and could not be closed on its node: it ends with 6, and its service runs.
    fn restored_and_not_closed(&self) -> RunId {
        self.node.run("mkdir -p /var/lib/lifeboat; : >/var/lib/lifeboat/kept");
        let before = self.world.runs();
        let failure = self.try_restore(&self.world, &self.fleet()).unwrap_err();
        assert_eq!(failure.exit, Exit::Changed, "{failure:?}");
        self.node.run("rm /var/lib/lifeboat/kept");
        new_run(&self.world, &before)
    }

    /// A restore whose console died when `step` had just acted.
    fn broken_off_after(&self, step: &str) -> RunId {
        let (learnt, spare) = (World::new_from(&self.world), laid(self.fixture, false));
        let (sound, _) = wire(&learnt, None);
        let fleet = Fleet { fixture: self.fixture, nodes: vec![(HOST, &spare)], silent: vec![], wire: sound.clone() };
        self.try_restore(&learnt, &fleet).unwrap();
        let seen = sound.seen.lock().unwrap();
        let at = seen.iter().rposition(|call| call.is_act && call.step.as_deref() == Some(step));
        let before = self.world.runs();
        let (dying, files) = wire(&self.world, Some((at.expect("no such step"), Trip::CrashAfter)));
        assert!(self.try_restore(&self.world, &self.fleet_on(dying)).is_err());
        forget_what_came_after(&self.world, &files);
        new_run(&self.world, &before)
    }

    pub fn resume_on(&self, wire: Arc<Wire>, run: &RunId, how: Resume) -> Result<Report, Failure> {
        self.world.with(1, &self.fleet_on(wire), |runs, _| {
            let told = runs.read(run).unwrap();
            let all = self.world.vault.catalogue().unwrap().snapshots;
            let snapshot = all.into_iter().find(|one| one.item() == told.plan.command.place());
            runs.resume(&told, how, snapshot, &BTreeMap::new())
        })
    }

    pub fn resume(&self, run: &RunId, how: Resume) -> Result<Report, Failure> {
        self.resume_on(wire(&self.world, None).0, run, how)
    }

    /// What the preview says of undoing the run.
    fn undoing(&self, run: &RunId) -> String {
        let plan = self.world.with(1, &self.fleet(), |runs, _| plan_of_taken_up(&runs.read(run).unwrap()).unwrap());
        plan.steps.iter().filter_map(undo_of).collect::<Vec<_>>().join("\n")
    }

    fn purge_all(&self) {
        self.world.with(0, &self.fleet(), |_, prober| {
            prober.on(&host(), |cx| purge_kept(cx, &list_kept(cx)?)).unwrap();
        });
        assert_eq!(self.node.leftovers(), "", "a purge removes it");
    }
}

fn beside(target: &str, run: &RunId, what: &str) -> String {
    let (parent, last) = target.rsplit_once('/').unwrap();
    format!("{parent}/.{last}.lifeboat-{run}.{what}")
}

#[test]
fn what_was_written_since_a_restore_that_ended_with_something_left_is_kept_aside() {
    for (fixture, item, target, name) in SWAPPED {
        let stage = Stage::set(fixture, item);
        let before = digest(stage.fixture, &stage.node);
        let run = stage.restored_and_not_closed();
        stage.write(&format!("{target}/{name}"), "a month of work");
        let aside = beside(target, &run, "since.kept");
        let undoing = stage.undoing(&run);
        assert!(
            undoing.contains("what stands there now is kept as") && undoing.contains(&aside),
            "{fixture}: {undoing}"
        );
        let report = stage.resume(&run, Resume::RollBack).unwrap_or_else(|failure| panic!("{fixture}: {failure:?}"));
        assert_eq!(digest(stage.fixture, &stage.node), before, "{fixture}: not as it was before the restore");
        assert_eq!(stage.read(&format!("{aside}/{name}")), "a month of work", "{fixture}");
        assert!(report.kept[&host()].contains(&aside), "{fixture}: {report:?}");
        let kept = stage.kept();
        assert_eq!(kept.iter().map(|kept| &kept.run).collect::<Vec<_>>(), [&run], "{fixture}: {kept:?}");
        assert_eq!(kept[0].paths, report.kept[&host()], "{fixture}");
        assert!(kept[0].paths.iter().all(|path| stage.node.path(path).exists()), "{fixture}: {kept:?}");
        stage.refused(&run, "it was undone before it had finished");
        stage.purge_all();
    }
}

#[test]
fn what_nothing_stood_in_place_of_is_not_listed_as_kept() {
    let stage = Stage::set("files in use", "tree");
    let run = stage.restored_and_not_closed();
    stage.node.run("rm -rf /srv/app");
    stage.resume(&run, Resume::RollBack).unwrap();
    let kept = stage.kept();
    assert_eq!(kept[0].paths, [beside("/etc/app.conf", &run, "since.kept")], "{kept:?}");
}

#[test]
fn a_run_broken_off_after_its_start_keeps_aside_what_was_written_since_however_it_goes_back() {
    for how in [Resume::RollBack, Resume::GoOn] {
        let stage = Stage::set("files held by their unit", "tree");
        let before = digest(stage.fixture, &stage.node);
        let run = stage.broken_off_after("start");
        assert_eq!(stage.node.lapse(), 1);
        assert!(stage.node.is_running("app.service"), "the guard goes forward");
        stage.write("srv/app/since", "a month of work");
        if how == Resume::GoOn {
            // What is asked at the end is not so any more: going on comes to an undoing.
            stage.node.run("rm /srv/app/data");
        }
        let ended = stage.resume(&run, how);
        assert_eq!(ended.is_ok(), how == Resume::RollBack, "{ended:?}");
        assert_eq!(digest(stage.fixture, &stage.node), before);
        let aside = beside("/srv/app", &run, "since.kept");
        assert_eq!(stage.read(&format!("{aside}/since")), "a month of work");
        assert!(stage.kept()[0].paths.contains(&aside));
        stage.purge_all();
    }
}

/// The service was started again on what could not be brought back. The guard, which tries once more, stops it first.
#[test]
fn a_guard_that_is_left_with_a_swap_takes_nothing_from_under_a_service_that_runs() {
    let stage = Stage::set("files held by their unit", "tree");
    let unit = "app.service";
    stage.node.on_start(unit, "cat /srv/app/data >/run/read");
    stage.node.run(&format!("systemctl stop {unit}; systemctl start {unit}"));
    let before = digest(stage.fixture, &stage.node);
    let run = stage.broken_off_after("start");
    stage.node.instead_of("mv", "[ \"$1\" != -T ] || [ ! -e /stub/stuck ] || exit 1\nexec /usr/bin/mv \"$@\"");
    stage.node.run("touch /stub/stuck");
    let failure = stage.resume(&run, Resume::RollBack).unwrap_err();
    assert_eq!(failure.exit, Exit::Changed, "{failure:?}");
    assert!(stage.node.is_running(unit), "{failure:?}");
    assert_eq!(stage.read("run/read"), "saved", "{failure:?}");
    stage.node.run("rm /stub/stuck");
    assert_eq!(stage.node.lapse(), 1, "no guard counts: {failure:?}");
    assert!(stage.node.is_running(unit));
    assert_eq!(digest(stage.fixture, &stage.node), before);
    assert_eq!(stage.read("run/read"), "target", "the service runs on what it read before");
    stage.resume(&run, Resume::RollBack).unwrap();
    assert!(stage.node.is_running(unit));
}

#[test]
fn a_run_broken_off_before_its_start_leaves_no_second_copy_of_what_the_vault_has() {
    let stage = Stage::set("files held by their unit", "tree");
    let before = digest(stage.fixture, &stage.node);
    let run = stage.broken_off_after("swap");
    assert!(!stage.undoing(&run).contains("since.kept"), "{}", stage.undoing(&run));
    let report = stage.resume(&run, Resume::RollBack).unwrap();
    assert_eq!((digest(stage.fixture, &stage.node), stage.node.leftovers().as_str()), (before, ""));
    assert!(report.kept.is_empty(), "{report:?}");
}

/// Every call of undoing a restore that is in use fails, is cut, or is the console's last: the data of since is never
/// lost, and another console undoes the rest.
#[test]
fn what_is_in_use_survives_a_trip_at_each_call_of_its_undoing() {
    let (mut tries, base) = (0, Stage::set("files held by their unit", "tree"));
    // Dying before a call leaves the node as dying after the one before does.
    for trip in [Trip::Fail, Trip::CutAfter, Trip::CrashAfter] {
        for at in 0.. {
            let stage = base.again();
            let before = digest(stage.fixture, &stage.node);
            let run = stage.restored_and_not_closed();
            stage.write("srv/app/since", "a month of work");
            let (tripping, files) = wire(&stage.world, Some((at, trip)));
            let ended = stage.resume_on(tripping.clone(), &run, Resume::RollBack);
            if tripping.calls.load(Ordering::SeqCst) <= at {
                assert!(ended.is_ok(), "{ended:?}");
                break;
            }
            tries += 1;
            forget_what_came_after(&stage.world, &files);
            let context = format!("{trip:?} at call {at}: {ended:?}");
            stage.node.lapse();
            assert!(stage.node.is_running("app.service"), "{context}: the service is down");
            let found = stage.node.run("find / -xdev -name since -exec cat {} +");
            assert_eq!(found, "a month of work", "{context}: the data of since is lost");
            let is_open = stage.world.with(
                1,
                &stage.fleet(),
                |runs, _| !matches!(runs.read(&run).unwrap().ended, Some((exit, _)) if exit != Exit::Changed),
            );
            if is_open {
                let again = stage.resume(&run, Resume::RollBack);
                assert!(again.is_ok(), "{context}: another console could not: {again:?}");
            }
            assert!(stage.node.is_running("app.service"), "{context}");
            assert_eq!(digest(stage.fixture, &stage.node), before, "{context}");
            let aside = beside("/srv/app", &run, "since.kept");
            assert_eq!(stage.read(&format!("{aside}/since")), "a month of work", "{context}");
            assert!(stage.kept().iter().any(|kept| kept.paths.contains(&aside)), "{context}: {:?}", stage.kept());
            stage.purge_all();
        }
    }
    assert!(tries > 30, "{tries} calls");
    println!("{tries} tries");
}

#[test]
fn what_a_left_run_leaves_is_told_before_listed_after_and_purged() {
    for (step, marks) in [("deliver", &["new"][..]), ("swap", &["kept"]), ("start", &["kept"])] {
        let stage = Stage::set("files held by their unit", "tree");
        let run = stage.broken_off_after(step);
        let told = stage.world.with(1, &stage.fleet(), |runs, _| runs.beside(&runs.read(&run).unwrap()).unwrap());
        let wanted: Vec<String> = ["/etc/app.conf", "/srv/app"]
            .iter()
            .flat_map(|target| marks.iter().map(|mark| beside(target, &run, mark)))
            .collect();
        assert_eq!(told[&host()], wanted, "{step}");
        let before = digest(stage.fixture, &stage.node);
        let report = stage.resume(&run, Resume::Leave).unwrap();
        assert_eq!(digest(stage.fixture, &stage.node), before, "{step}: leaving changed something");
        assert_eq!(report.kept[&host()], wanted, "{step}");
        let kept = stage.kept();
        assert_eq!((kept.len(), &kept[0].run, &kept[0].paths), (1, &run, &wanted), "{step}");
        stage.world.with(1, &stage.fleet(), |runs, _| {
            let told = runs.read(&run).unwrap();
            assert!(told.was_left());
            assert_eq!(told.account().kept[&host()], wanted, "{step}");
        });
        stage.refused(&run, "it was left as it was");
        stage.purge_all();
    }
}

/// Going on searches the fleet by itself: what was planned yesterday may run elsewhere today.
#[test]
fn going_on_starts_no_identity_that_runs_elsewhere_by_now() {
    let stage = Stage::set("avalanchego", "staking-identity");
    let run = stage.broken_off_after("stop");
    let unit = "avalanchego.service";
    assert!(!stage.node.is_running(unit));
    // Somebody has started what the run brings on a third host.
    let third = laid(stage.fixture, true);
    let with_third = |silent: &[&'static str], said: &BTreeMap<String, String>| {
        let (wire, _) = wire(&stage.world, None);
        let nodes = vec![(HOST, &stage.node), ("third", &third)];
        let fleet = Fleet { fixture: stage.fixture, nodes, silent: silent.to_vec(), wire };
        stage.world.with(1, &fleet, |runs, _| {
            let told = runs.read(&run).unwrap();
            let snapshot = stage.world.vault.catalogue().unwrap().snapshots.remove(0);
            runs.resume(&told, Resume::GoOn, Some(snapshot), said)
        })
    };
    let before = digest(stage.fixture, &stage.node);
    let refused = with_third(&[], &BTreeMap::new()).unwrap_err();
    let told = (refused.exit, refused.state.as_deref());
    assert_eq!(told, (Exit::AliveElsewhere, Some(NOTHING_CHANGED)), "{refused:?}");
    assert!(refused.message.contains("runs on third"), "{refused:?}");
    assert!(refused.hints[0].contains(&format!("lifeboat resume {run} --leave")), "{refused:?}");
    assert_eq!((digest(stage.fixture, &stage.node), stage.node.is_running(unit)), (before, false));
    // It is stopped there, and the host falls silent: nobody knows of it that it ever had the identity.
    third.run(&format!("systemctl stop {unit}"));
    let done = with_third(&["third"], &BTreeMap::new());
    assert!(done.is_ok(), "{done:?}");
    assert!(stage.node.is_running(unit));
}

#[test]
fn a_run_that_could_not_be_left_can_be_left_again() {
    let base = Stage::set("files held by their unit", "tree");
    let mut failed = 0;
    for at in 0.. {
        let stage = base.again();
        let run = stage.broken_off_after("swap");
        let (tripping, _) = wire(&stage.world, Some((at, Trip::Fail)));
        let ended = stage.resume_on(tripping.clone(), &run, Resume::Leave);
        if tripping.calls.load(Ordering::SeqCst) <= at {
            break;
        }
        if let Err(failure) = ended {
            failed += 1;
            assert!(!stage.node.is_running("app.service"), "call {at}: {failure:?}");
            stage.resume(&run, Resume::Leave).unwrap_or_else(|again| panic!("call {at}: {failure:?}, then {again:?}"));
        }
        assert_eq!(stage.kept()[0].paths.len(), 2, "call {at}");
    }
    assert!(failed > 2, "{failed} calls");
}

#[test]
fn what_was_confirmed_is_journalled_and_signed_and_what_was_not_asked_is_not() {
    let stage = Stage::set("files held by their unit", "tree");
    let run = stage.world.with(0, &stage.fleet(), |runs, prober| {
        let saved = stage.world.vault.catalogue().unwrap().snapshots.remove(0);
        let set = BTreeMap::from([("guard".to_owned(), "8".to_owned())]);
        let planned = prober.plan_restore(&stage.world.vault, saved.manifest(), &host(), &set).unwrap();
        let mut said = super::matrix::answers(&planned.plan);
        said.insert("something".to_owned(), "that nobody asked for".to_owned());
        runs.run(&planned, Some(saved), &said).unwrap().run
    });
    let words = |run: &RunId| {
        stage.world.with(1, &stage.fleet(), |runs, _| {
            let account = runs.read(run).unwrap().account();
            let receipt = stage.world.vault.run_dir(run).unwrap().read_receipt().unwrap().unwrap();
            let said = receipt.body["said"]["confirmed"].clone();
            let told = account.confirmed.iter().map(|one| (one.gate.clone(), one.word.clone()));
            assert_eq!(serde_json::json!(told.clone().collect::<BTreeMap<_, _>>()), said);
            (told.map(|(gate, word)| format!("{gate}={word}")).collect::<Vec<_>>(), account)
        })
    };
    let (told, account) = words(&run);
    assert_eq!(told, [format!("overwrite={HOST}")]);
    assert!(account.confirmed[0].question.is_some());
    let guard = account.choices.iter().find(|choice| choice.key == "guard").unwrap();
    assert_eq!((guard.value.as_str(), guard.by_default), ("8", false));
    assert_eq!(account.kept[&host()].len(), 2, "{account:?}");
    let undone = stage
        .world
        .with(0, &stage.fleet(), |runs, _| runs.rollback(&runs.read(&run).unwrap(), &consent(&run)).unwrap().run);
    assert_eq!(words(&undone).0, [format!("rollback={run}")]);
}

impl Stage {
    /// What a console is told before it takes a run up.
    fn told_before(&self, run: &RunId, how: Resume) -> (Told, Ahead, String) {
        self.world.with(1, &self.fleet(), |runs, _| {
            let told = runs.read(run).unwrap();
            let ahead = runs.look_before_resume(&told, how).unwrap();
            let sheet = Sheet::of_resume(&told, how, Some(&ahead));
            let lines = sheet.lines.iter().chain(&sheet.after).map(|line| format!("{}: {}", line.label, line.text));
            let steps = sheet.steps.iter().flat_map(|step| step.told.iter().cloned());
            (told, ahead, lines.chain(steps).collect::<Vec<_>>().join("\n"))
        })
    }
}

const ACTED: &str = "guard: The guard on new has acted by itself, and put back what it guards.";

#[test]
fn what_a_guard_did_meanwhile_is_told_before_a_run_is_taken_up() {
    let stage = Stage::set("files held by their unit", "tree");
    let run = stage.broken_off_after("swap");
    let (_, _, before) = stage.told_before(&run, Resume::RollBack);
    assert!(before.contains("app.service was stopped by the run and is started again"), "{before}");
    assert!(before.contains("Starts app.service again: it ran before the run."), "{before}");
    assert!(!before.contains("has acted"), "{before}");
    assert_eq!(stage.node.lapse(), 1);
    let (_, _, after) = stage.told_before(&run, Resume::RollBack);
    assert!(after.contains(ACTED) && after.contains("stops: nothing"), "{after}");
    assert!(!after.contains("Starts app.service again"), "{after}");
    let (_, _, going_on) = stage.told_before(&run, Resume::GoOn);
    assert!(going_on.contains(ACTED) && going_on.contains("app.service is stopped by step "), "{going_on}");
    stage.resume(&run, Resume::RollBack).unwrap();
    assert!(stage.node.is_running("app.service"));
}

#[test]
fn an_undoing_that_was_interrupted_is_told_as_one() {
    let base = Stage::set("files held by their unit", "tree");
    // The first call at which the service is down when the console dies.
    let found = (0..).step_by(4).find_map(|at| {
        let stage = base.again();
        let run = stage.restore();
        let before = stage.world.runs();
        let (dying, files) = wire(&stage.world, Some((at, Trip::CrashAfter)));
        let fleet = stage.fleet_on(dying);
        let ended = stage.world.with(0, &fleet, |runs, _| runs.rollback(&runs.read(&run).unwrap(), &consent(&run)));
        assert!(ended.is_err(), "no call of a rollback has the service down");
        forget_what_came_after(&stage.world, &files);
        (!stage.node.is_running("app.service")).then(|| {
            let undoing = new_run(&stage.world, &before);
            (stage, run, undoing)
        })
    });
    let (stage, run, undoing) = found.unwrap();
    let (told, _, before) = stage.told_before(&undoing, Resume::GoOn);
    assert_eq!(told.undoes(), Some(&run));
    assert!(before.contains(&format!("The undoing of run {run} goes on")), "{before}");
    assert!(before.contains("is again what it was before the run"), "{before}");
    assert!(!before.contains("is stopped by step"), "{before}");
    assert_eq!(stage.node.lapse(), 1);
    let (_, ahead, after) = stage.told_before(&undoing, Resume::GoOn);
    assert!(after.contains(ACTED) && !after.contains("is again what it was"), "{after}");
    // What was kept is back in its place, so nothing tells any more since when to count.
    assert!(ahead.places.iter().all(|place| place.since.is_none()), "{ahead:?}");
    stage.resume(&undoing, Resume::GoOn).unwrap();
    assert!(stage.node.is_running("app.service"));
}
