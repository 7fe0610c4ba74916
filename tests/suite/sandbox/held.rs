//! Files that are copied while nothing of their unit runs: stopped for it, down already, or not known at all.

use std::collections::BTreeMap;

use lifeboat::engine::planner::Planned;
use lifeboat::engine::scan::wanted_of;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::item::Copying;
use lifeboat::vault::Snapshot;

use super::Node;
use super::bench::{Fleet, World};
use super::fixtures::files::{BY_UNIT, Held, UNIT};
use super::fixtures::{FIXTURES, Fixture};

static HELD: Held = Held { name: "files of a unit", settings: BY_UNIT, unit: Some(UNIT), bare: false };
/// The unit's name with one letter wrong.
static MISTYPED: Held = Held {
    name: "files of a unit that is not there",
    settings: "paths = ['/srv/app']\nunit = 'ap.service'\nquiesce = 'stop'",
    unit: Some(UNIT),
    bare: false,
};

fn save(world: &World, node: &Node, fixture: &'static dyn Fixture) -> Result<Snapshot, Failure> {
    let ended = world.with(0, &Fleet::sound(fixture, &[("old", node)]), |runs, prober| {
        let found = prober.probe(&wanted_of(prober.inventory)[0]).unwrap();
        let planned: Planned = prober.plan_backup(&found.place(&found.items[0].id), None, &BTreeMap::new())?;
        runs.run(&planned, None, &BTreeMap::new())
    });
    assert_eq!(node.leftovers(), "", "{ended:?}");
    let mut all = world.vault.catalogue().unwrap().snapshots;
    assert!(world.vault.leftovers().unwrap().is_empty() && all.len() == usize::from(ended.is_ok()), "{ended:?}");
    ended.map(|_| all.pop().unwrap())
}

fn laid() -> Node {
    super::matrix::laid(*FIXTURES.iter().find(|known| known.name() == "files held by their unit").unwrap(), true)
}

/// systemd says of a name it does not know that it is inactive. That holds nothing still.
#[test]
fn files_of_a_mistyped_unit_are_not_copied_in_use() {
    let (world, node) = (World::new(), laid());
    let failure = save(&world, &node, &MISTYPED).unwrap_err();
    assert_eq!(failure.exit, Exit::Failed);
    for said in ["ap.service is not-found there", "correct 'unit' in the inventory"] {
        assert!(failure.message.contains(said), "{failure:?}");
    }
    assert!(node.is_running(UNIT) && world.runs().is_empty());
}

#[test]
fn a_copy_says_whether_its_unit_was_stopped_or_did_not_run() {
    for (runs, says) in [(true, "by stopping app.service"), (false, "without a stop, because app.service did not run")]
    {
        let (world, node) = (World::new(), laid());
        if !runs {
            node.run(&format!("systemctl stop {UNIT}; : >/stub/log"));
        }
        let snapshot = save(&world, &node, &HELD).unwrap();
        assert_eq!(snapshot.manifest().copying, Copying::Stopped);
        assert_eq!(snapshot.manifest().facts["held_still"], says);
        assert_eq!(node.is_running(UNIT), runs);
        assert_eq!(node.run("cat /stub/log").contains("stop app.service"), runs, "one that is down is left alone");
    }
}

#[test]
fn a_unit_that_is_started_under_the_copy_makes_it_fail() {
    for meanwhile in ["systemctl start app.service", "systemctl start app.service; systemctl stop app.service"] {
        let (world, node) = (World::new(), laid());
        node.run(&format!("systemctl stop {UNIT}"));
        node.instead_of(
            "tar",
            &format!("/usr/bin/tar \"$@\"\ns=$?\ncase $1 in --create) {meanwhile} ;; esac\nexit $s"),
        );
        let failure = save(&world, &node, &HELD).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed, "{meanwhile}");
        assert!(failure.message.contains("app.service was started on old"), "{meanwhile}: {failure:?}");
    }
}
