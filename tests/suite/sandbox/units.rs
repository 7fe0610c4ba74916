//! The words that bring a unit back, and those that fence one, where systemd says yes and means no.

use std::collections::BTreeMap;
use std::time::Duration;

use lifeboat::engine::node_run::{guard_script, read_fired};
use lifeboat::model::exit::Failure;
use lifeboat::model::ids::{GuardId, HostId, ItemRef, RunId};
use lifeboat::model::plan::OnLapse;
use lifeboat::services::{Cx, Mark, Now, op};
use lifeboat::transport::Cancel;
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
            "down again",
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

/// What a script of a run shows before it changes anything, and the run it shows.
fn opened(node: &Node) -> Mark {
    let run = RunId::new("20261120T184500Z-7f3a9c").unwrap();
    node.run(&format!("mkdir -p /var/lib/lifeboat/runs/{run} && echo 'c 1' >/var/lib/lifeboat/runs/{run}/owner"));
    Mark { run, owner: "c 1".into() }
}

fn on<T>(node: &Node, mark: &Mark, work: impl FnOnce(&Cx) -> Result<T, Failure>) -> Result<T, Failure> {
    let fixture = *FIXTURES.iter().find(|known| known.name() == "files in use").unwrap();
    World::new().with(0, &Fleet::sound(fixture, &[("n1", node)]), |_, prober| {
        prober.on(&HostId::new("n1").unwrap(), |cx| work(&Cx { run: Some(mark), ..*cx }))
    })
}

#[test]
fn a_start_is_done_once_the_unit_has_stayed_up() {
    let dies = "echo 'echo failed >/stub/units/app.service/active' >/stub/while-waiting";
    let again = "cd /stub/units/app.service; echo activating >becomes; echo auto-restart >SubState";
    let oneshot = "cd /stub/units/app.service; echo inactive >becomes; echo oneshot >Type; echo success >Result; echo yes >ConditionResult";
    for (make, says) in [("true", None), (oneshot, None), (dies, Some("is failed")), (again, Some("is down again"))] {
        let (node, _) = stopped();
        let mark = opened(&node);
        node.run(make);
        let args = json!({"unit": UNIT});
        let started = on(&node, &mark, |cx| op("service.start/1")?.run(cx, &args, &json!(null)));
        match says {
            None => assert!(started.is_ok(), "{make}: {started:?}"),
            Some(says) => {
                let failure = started.unwrap_err();
                assert!(failure.message.contains(&format!("{UNIT} {says} after its start")), "{make}: {failure:?}");
                assert!(failure.hints[0].contains("journalctl"), "{failure:?}");
            }
        }
    }
}

#[test]
fn a_guard_at_work_is_not_called_one_that_failed() {
    let node = Node::blank();
    let mark = opened(&node);
    let dir = format!("/var/lib/lifeboat/runs/{}", mark.run);
    let parts = [("stop".to_owned(), "echo begun\nwhile [ ! -e /srv/go ]; do sleep 0.05; done\n".to_owned())];
    let script = guard_script(&mark.run, &GuardId::new("app").unwrap(), OnLapse::Revert, &parts);
    std::fs::write(node.path(&format!("{dir}/guard.sh")), script).unwrap();
    let read = |patience: u64| {
        on(&node, &mark, |cx| {
            let cancel = Cancel::new().within(Duration::from_secs(patience));
            read_fired(&Cx { cancel: &cancel, ..*cx }, &mark.run)
        })
    };
    assert_eq!(read(60).unwrap(), None);
    std::thread::scope(|threads| {
        let guard = threads.spawn(|| node.run(&format!("sh {dir}/guard.sh")));
        while !node.path(&format!("{dir}/fired.log")).exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let failure = read(2).unwrap_err();
        assert!(failure.message.contains("is still at work"), "{failure:?}");
        node.run("touch /srv/go");
        guard.join().unwrap();
    });
    assert!(read(60).unwrap().unwrap().is_sound);
    // One that ended in its middle, as at a restart of the node, is not waited for.
    node.run(&format!("echo begun >{dir}/fired.log"));
    assert!(!read(60).unwrap().unwrap().is_sound);
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
