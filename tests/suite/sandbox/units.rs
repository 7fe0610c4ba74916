//! The words that bring a unit back, and those that fence one, where systemd says yes and means no.

use std::collections::BTreeMap;

use lifeboat::engine::node_run::guard_script;
use lifeboat::model::ids::{GuardId, HostId, ItemRef, RunId};
use lifeboat::model::plan::OnLapse;
use lifeboat::services::{Cx, Mark, Now, op};
use serde_json::json;

use super::Node;
use super::bench::{Fleet, World, digest};
use super::fixtures::FIXTURES;

const UNIT: &str = "app.service";

/// A stopped unit, and the words that undo its stop, as a script.
fn stopped() -> (Node, String) {
    let node = Node::new(UNIT, true);
    node.run(&format!("systemctl stop {UNIT}"));
    let undo = op("service.stop/1").unwrap().undo_script(&json!({"unit": UNIT}), &json!({"was_running": true}));
    (node, undo.unwrap().unwrap())
}

#[test]
fn a_unit_that_is_not_up_after_its_start_is_not_called_brought_back() {
    let cases: [(&str, &str, &str); 4] = [
        (
            "a condition keeps it down",
            "printf '[Unit]\\nConditionPathExists=!/srv\\n' >\"/etc/systemd/system/app.service.d/a.conf\"",
            "inactive",
        ),
        ("it dies at once", "touch /stub/units/app.service/dies", "failed"),
        ("it fails", "touch /stub/units/app.service/broken", "Job for app.service failed"),
        (
            "it dies and is started over and over",
            "echo activating >/stub/units/app.service/becomes; echo auto-restart >/stub/units/app.service/SubState",
            "activating",
        ),
    ];
    for (what, make, says) in cases {
        let (node, undo) = stopped();
        node.run(&format!("mkdir -p /etc/systemd/system/{UNIT}.d; {make}"));
        let forward = op("service.start/1").unwrap().forward_script(&json!({"unit": UNIT})).unwrap().unwrap();
        for words in [&undo, &forward] {
            let ended = node.try_run(&format!("set -eu\n{words}"));
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(!ended.status.success() && said.contains(says), "{what}: {ended:?}");
        }
        // The guard says so in its log, by the step's name.
        let run = RunId::new("20261120T184500Z-7f3a9c").unwrap();
        node.run(&format!("mkdir -p /var/lib/lifeboat/runs/{run}"));
        let parts = [("stop".to_owned(), undo), ("tidy".to_owned(), "echo tidied\n".to_owned())];
        node.run(&guard_script(&run, &GuardId::new("app").unwrap(), OnLapse::Revert, &parts));
        let log = node.run(&format!("cat /var/lib/lifeboat/runs/{run}/fired.log"));
        assert!(log.contains("failed: stop\n") && log.contains("tidied\nall done\n"), "{what}: {log}");
    }
}

#[test]
fn a_unit_that_comes_up_slowly_or_does_its_work_and_ends_is_brought_back() {
    let slow = "echo activating >/stub/units/app.service/becomes; echo start-pre >/stub/units/app.service/SubState; echo 'echo active >/stub/units/app.service/active' >/stub/while-waiting";
    let oneshot = "cd /stub/units/app.service; echo inactive >becomes; echo oneshot >Type; echo success >Result; echo yes >ConditionResult";
    for make in ["true", slow, oneshot] {
        let (node, undo) = stopped();
        node.run(make);
        let ended = node.try_run(&format!("set -eu\n{undo}"));
        assert!(ended.status.success(), "{make}: {ended:?}");
    }
}

#[test]
fn a_part_of_a_guard_that_fails_in_its_middle_has_failed() {
    let node = Node::blank();
    let run = RunId::new("20261120T184500Z-7f3a9c").unwrap();
    node.run(&format!("mkdir -p /var/lib/lifeboat/runs/{run}"));
    let parts = [("swap".to_owned(), "mv /srv/none /srv/other\ntrue\n".to_owned())];
    node.run(&guard_script(&run, &GuardId::new("app").unwrap(), OnLapse::Revert, &parts));
    let log = node.run(&format!("cat /var/lib/lifeboat/runs/{run}/fired.log"));
    assert!(log.contains("failed: swap\n"), "{log}");
}

/// Until it is told to read anew, systemd goes on saying that a unit is loaded whose file is gone.
#[test]
fn a_unit_file_that_was_moved_away_is_named_and_stops_no_other_copy() {
    let fixture = *FIXTURES.iter().find(|known| known.name() == "avalanchego").unwrap();
    let (world, node) = (World::new(), Node::blank());
    fixture.lay(&node, true);
    let path = "/etc/systemd/system/avalanchego.service";
    node.run(&format!("mv {path} /srv/aside"));
    let before = digest(fixture, &node);
    world.with(0, &Fleet::sound(fixture, &[("n1", &node)]), |runs, prober| {
        let back_up = |item: &str| {
            let place = format!("n1/avalanchego/{item}");
            let [owner, service, item] = place.split('/').collect::<Vec<_>>()[..] else { panic!("{place}") };
            let (owner, service, item) = (owner.parse().unwrap(), service.parse().unwrap(), item.parse().unwrap());
            let place = ItemRef { owner, service, item };
            let planned = prober.plan_backup(&place, None, &BTreeMap::new())?;
            runs.run(&planned, None, &BTreeMap::new())
        };
        let failure = back_up("unit").unwrap_err();
        assert!(failure.message.contains(path.trim_start_matches('/')), "{failure:?}");
        assert!(back_up("staking-identity").is_ok());
    });
    assert_eq!(world.vault.catalogue().unwrap().snapshots.len(), 1);
    assert!(world.vault.leftovers().unwrap().is_empty());
    assert_eq!(
        (digest(fixture, &node), node.leftovers().as_str(), node.is_running("avalanchego.service")),
        (before, "", true)
    );
}

#[test]
fn a_twin_whose_unit_is_not_installed_is_kept_from_starting_later() {
    let fixture = *FIXTURES.iter().find(|known| known.name() == "files in use").unwrap();
    let (world, node) = (World::new(), Node::blank());
    let run = RunId::new("20261120T184500Z-7f3a9c").unwrap();
    node.run(&format!("mkdir -p /var/lib/lifeboat/runs/{run} && echo 'c 1' >/var/lib/lifeboat/runs/{run}/owner"));
    let (args, mark) = (json!({"unit": UNIT}), Mark { run, owner: "c 1".into() });
    world.with(0, &Fleet::sound(fixture, &[("n1", &node)]), |_, prober| {
        let host = HostId::new("n1").unwrap();
        let (fence, absent) = (op("service.fence/1").unwrap(), op("service.absent/1").unwrap());
        let fenced = prober.on(&host, |cx| {
            let cx = Cx { run: Some(&mark), ..*cx };
            fence.run(&cx, &args, &json!(null))?;
            absent.run(&cx, &args, &json!(null))
        });
        assert!(fenced.is_ok(), "{fenced:?}");
        assert!(matches!(prober.on(&host, |cx| fence.observe(cx, &args, None)).unwrap(), Now::Done(_)));
    });
    node.add_unit(UNIT, &[("enabled", "disabled")]);
    node.run(&format!("systemctl start {UNIT}"));
    assert!(!node.is_running(UNIT), "one that is installed later starts");
}
