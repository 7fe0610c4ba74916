//! Finished restores rolled back long after: what was in use by then is kept aside, and nothing is undone twice.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use lifeboat::engine::node_run::{Kept, list_kept, purge_kept};
use lifeboat::engine::runs::Report;
use lifeboat::engine::scan::wanted_of;
use lifeboat::model::exit::{Exit, Failure, NOTHING_CHANGED};
use lifeboat::model::ids::{HostId, ItemId, ItemRef, RunId};

use super::Node;
use super::bench::{Fleet, World, digest};
use super::fixtures::{FIXTURES, Fixture};
use super::matrix::consent;

/// The host of the other one.
pub const HOST: &str = "new";

/// A saved service in a vault, and another one like it.
pub struct Stage {
    pub fixture: &'static dyn Fixture,
    pub item: ItemId,
    pub world: World,
    pub node: Node,
}

fn laid(fixture: &dyn Fixture, saved: bool) -> Node {
    let node = Node::blank();
    fixture.lay(&node, saved);
    node
}

pub fn host() -> HostId {
    HostId::new(HOST).unwrap()
}

impl Stage {
    pub fn set(fixture: &str, item: &str) -> Self {
        let fixture = *FIXTURES.iter().find(|known| known.name() == fixture).unwrap();
        let (world, old) = (World::new(), laid(fixture, true));
        let item: ItemId = item.parse().unwrap();
        world.with(0, &Fleet::sound(fixture, &[("old", &old)]), |runs, prober| {
            let found = prober.probe(&wanted_of(prober.inventory)[0]).unwrap();
            let planned = prober.plan_backup(&found.place(&item), None, &fixture.set(&item, false)).unwrap();
            runs.run(&planned, None, &BTreeMap::new()).unwrap();
        });
        Self { fixture, item, world, node: laid(fixture, false) }
    }

    pub fn fleet(&self) -> Fleet<'_> {
        Fleet::sound(self.fixture, &[(HOST, &self.node)])
    }

    fn restore_in(&self, world: &World) -> RunId {
        self.try_restore(world, &self.fleet()).unwrap().run
    }

    /// A restore of what is saved in `world`, planned and run; the fleet's calls count from the run on.
    pub fn try_restore(&self, world: &World, fleet: &Fleet) -> Result<Report, Failure> {
        world.with(0, fleet, |runs, prober| {
            let service = self.fixture.kind().parse().unwrap();
            let place = ItemRef { owner: "old".parse().unwrap(), service, item: self.item.clone() };
            let all = world.vault.catalogue().unwrap().snapshots;
            let snapshot = all.into_iter().find(|snapshot| *snapshot.item() == place).unwrap();
            let set = self.fixture.set(&self.item, true);
            let planned = prober.plan_restore(&world.vault, snapshot.manifest(), &host(), &set).unwrap();
            fleet.wire.calls.store(0, Ordering::SeqCst);
            fleet.wire.seen.lock().unwrap().clear();
            runs.run(&planned, Some(snapshot), &super::matrix::answers(&planned.plan))
        })
    }

    pub fn restore(&self) -> RunId {
        self.restore_in(&self.world)
    }

    pub fn roll_back(&self, run: &RunId) -> Result<Report, Failure> {
        self.world.with(0, &self.fleet(), |runs, _| runs.rollback(&runs.read(run).unwrap(), &consent(run)))
    }

    pub fn refused(&self, run: &RunId, why: &str) {
        let before = (digest(self.fixture, &self.node), self.node.leftovers());
        let failure = self.roll_back(run).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed, "{failure:?}");
        assert!(failure.message.contains(why), "{failure:?}");
        assert!(!failure.hints.is_empty(), "{failure:?}");
        assert_eq!(failure.state.as_deref(), Some(NOTHING_CHANGED), "{failure:?}");
        assert_eq!((digest(self.fixture, &self.node), self.node.leftovers()), before, "a refusal changed something");
    }

    pub fn kept(&self) -> Vec<Kept> {
        self.world.with(0, &self.fleet(), |_, prober| prober.on(&host(), list_kept).unwrap())
    }

    pub fn read(&self, path: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.node.path(path)).unwrap()).into_owned()
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.node.path(path), text).unwrap();
    }
}

/// Directories that a restore swaps whole, by fixture and item, each with the name of a file that may be written there.
pub const SWAPPED: [(&str, &str, &str, &str); 6] = [
    ("files in use", "tree", "/srv/app", "since"),
    ("files held by their unit", "tree", "/srv/app", "since"),
    ("files held by declared commands", "tree", "/srv/app", "since"),
    ("consul", "agent-config", "/etc/consul.d", "since.hcl"),
    ("avalanchego", "chain-configs", "/home/avax/.avalanchego/configs/chains", "since.json"),
    ("netdata, onto the same agent", "metrics", "/var/cache/netdata", "since"),
];

#[test]
fn what_was_written_since_a_restore_is_kept_aside_by_its_rollback() {
    for (fixture, item, target, name) in SWAPPED {
        let stage = Stage::set(fixture, item);
        let before = digest(stage.fixture, &stage.node);
        let run = stage.restore();
        stage.write(&format!("{target}/{name}"), "a month of work");
        let undoing = stage.roll_back(&run).unwrap().run;
        assert_eq!(digest(stage.fixture, &stage.node), before, "{fixture}: not as it was before the restore");
        let (parent, last) = target.rsplit_once('/').unwrap();
        let aside = format!("{parent}/.{last}.lifeboat-{undoing}.kept");
        assert_eq!(stage.read(&format!("{aside}/{name}")), "a month of work", "{fixture}");
        let kept = stage.kept();
        assert_eq!(kept.iter().map(|kept| &kept.run).collect::<Vec<_>>(), [&undoing], "{fixture}: {kept:?}");
        assert!(kept[0].paths.contains(&aside), "{fixture}: {kept:?}");
        stage.world.with(0, &stage.fleet(), |_, prober| prober.on(&host(), |cx| purge_kept(cx, &kept[..1])).unwrap());
        assert_eq!(stage.node.leftovers(), "", "{fixture}: a purge removes it");
    }
}

#[test]
fn a_run_is_rolled_back_once_and_a_rollback_never() {
    let stage = Stage::set("files in use", "tree");
    // Nothing was there: then nothing that was kept tells a second rollback apart from the first.
    stage.node.run("rm -rf /srv/app /etc/app.conf");
    let first = stage.restore();
    let undoing = stage.roll_back(&first).unwrap().run;
    assert!(!stage.node.path("srv/app").exists());
    stage.refused(&first, &format!("run {undoing} has undone it already"));
    stage.refused(&undoing, "it is a rollback itself");
    let second = stage.restore();
    stage.write("srv/app/data", "of the second");
    stage.refused(&first, "has undone it already");
    assert_eq!(stage.read("srv/app/data"), "of the second");
    stage.roll_back(&second).unwrap();
}

#[test]
fn a_restore_that_cannot_begin_says_that_nothing_was_changed() {
    let stage = Stage::set("files held by their unit", "tree");
    let before = stage.world.runs();
    stage.world.with(0, &stage.fleet(), |runs, prober| {
        let saved = stage.world.vault.catalogue().unwrap().snapshots.remove(0);
        let planned = prober.plan_restore(&stage.world.vault, saved.manifest(), &host(), &BTreeMap::new()).unwrap();
        let refused = |said: &BTreeMap<String, String>, exit: Exit| {
            let failure = runs.run(&planned, Some(saved.clone()), said).unwrap_err();
            assert_eq!((failure.exit, failure.state.as_deref()), (exit, Some(NOTHING_CHANGED)), "{failure:?}");
        };
        refused(&BTreeMap::new(), Exit::Confirmation);
        // What the plan rests on is no longer so.
        stage.node.run("systemctl stop app.service");
        refused(&super::matrix::answers(&planned.plan), Exit::Stale);
    });
    assert_eq!((stage.world.runs(), stage.node.leftovers().as_str()), (before, ""));
}

#[test]
fn a_run_under_a_later_one_is_rolled_back_after_it() {
    let stage = Stage::set("files in use", "tree");
    let before = digest(stage.fixture, &stage.node);
    let first = stage.restore();
    stage.write("srv/app/data", "between");
    let second = stage.restore();
    stage.refused(&first, &format!("run {second} has replaced /etc/app.conf on new since"));
    stage.roll_back(&second).unwrap();
    assert_eq!(stage.read("srv/app/data"), "between");
    stage.roll_back(&first).unwrap();
    assert_eq!(digest(stage.fixture, &stage.node), before);
}

#[test]
fn what_another_vault_did_is_seen_by_what_it_kept() {
    let stage = Stage::set("files in use", "tree");
    let run = stage.restore();
    let other = World::new_from(&stage.world);
    let foreign = stage.restore_in(&other);
    stage.refused(&run, &format!("run {foreign}, of another vault, has replaced"));
    other.with(0, &stage.fleet(), |runs, _| {
        runs.rollback(&runs.read(&foreign).unwrap(), &consent(&foreign)).unwrap();
        runs.rollback(&runs.read(&run).unwrap(), &consent(&run)).unwrap();
    });
    stage.refused(&run, "was brought back or removed already");
}

#[test]
fn what_is_replaced_in_one_request_is_brought_back_from_the_copy_taken_before() {
    let stage = Stage::set("consul", "snapshot");
    let run = stage.restore();
    let failure = stage.roll_back(&run).unwrap_err();
    let all = stage.world.vault.catalogue().unwrap().snapshots;
    let safety = all.iter().find(|snapshot| snapshot.item().owner.as_str() == HOST).unwrap();
    let named = format!("lifeboat restore {}@{} --to {HOST}", safety.item(), safety.manifest().id);
    assert!(failure.hints.iter().any(|hint| hint.contains(&named)), "{failure:?}");
    assert_eq!(failure.exit, Exit::Failed);
}
