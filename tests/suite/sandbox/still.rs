//! Samples copied with the shortest stop, and what may happen to them between the first look and the start.

use std::collections::BTreeMap;

use lifeboat::engine::scan::wanted_of;
use lifeboat::model::exit::{Exit, Failure};
use lifeboat::model::ids::{HostId, ItemId};
use lifeboat::vault::{Policy, Snapshot};

use super::Node;
use super::bench::{Fleet, World, digest};
use super::fixtures::{FIXTURES, Fixture};
use super::matrix::consent;

const UNIT: &str = "netdata.service";
const TIER: &str = "/var/cache/netdata/dbengine";
/// Holds while the agent is stopped for the copy.
const STOPPED: &str = "[ -e /var/lib/lifeboat/runs/*/still/stopped ]";

fn netdata() -> &'static dyn Fixture {
    *FIXTURES.iter().find(|known| known.name() == "netdata, onto another agent").unwrap()
}

pub fn laid(saved: bool) -> Node {
    let node = Node::blank();
    netdata().lay(&node, saved);
    node
}

/// Saves an item of `node`, which is then as it was, runs, and holds nothing of Lifeboat's.
pub fn save(world: &World, node: &Node, item: &str) -> Result<Snapshot, Failure> {
    save_with(world, node, item, &[])
}

fn save_with(world: &World, node: &Node, item: &str, set: &[(&str, &str)]) -> Result<Snapshot, Failure> {
    let ended = try_to_save(world, node, item, set);
    assert!(node.is_running(UNIT), "{ended:?}: the agent is down");
    ended
}

/// The same, and the agent may be down.
fn try_to_save(world: &World, node: &Node, item: &str, set: &[(&str, &str)]) -> Result<Snapshot, Failure> {
    let item: ItemId = item.parse().unwrap();
    let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let before = world.vault.catalogue().unwrap().snapshots.len();
    let ended = world.with(0, &Fleet::sound(netdata(), &[("old", node)]), |runs, prober| {
        let found = prober.probe(&wanted_of(prober.inventory)[0]).unwrap();
        let planned = prober.plan_backup(&found.place(&item), None, &set).unwrap();
        runs.run(&planned, None, &BTreeMap::new())
    });
    assert_eq!(node.leftovers(), "", "{ended:?}");
    let mut all = world.vault.catalogue().unwrap().snapshots;
    match ended {
        Ok(_) => {
            assert_eq!(all.len(), before + 1);
            all.sort_by_key(|one| one.manifest().created);
            Ok(all.pop().unwrap())
        }
        Err(failure) => {
            let nothing = all.len() == before && world.vault.leftovers().unwrap().is_empty();
            assert!(nothing, "something was kept: {failure:?}");
            Err(failure)
        }
    }
}

#[test]
fn what_is_written_once_travels_before_the_stop_and_both_parts_are_one_archive() {
    let (world, node) = (World::new(), laid(true));
    let before = digest(netdata(), &node);
    let snapshot = save(&world, &node, "metrics").unwrap();
    assert_eq!(digest(netdata(), &node), before);
    let facts = &snapshot.manifest().facts;
    assert_eq!(facts["copied"]["way"], "passes");
    // Two pairs of each tier travel live; the newest pair of each, and everything else, with the agent stopped.
    let live: u64 =
        node.run("cd /var/cache/netdata && cat dbengine*/*-1-000000000[12].n* | wc -c").trim().parse().unwrap();
    assert!(live > 0);
    assert_eq!(facts["copied"]["live_bytes"], live);
    let names: Vec<_> = snapshot.manifest().files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["metrics.tar"]);
    assert_eq!(facts["verified"]["host_guid"], "96f57146-e579-11f1-b145-8d30ee8e1919");
    assert!(crate::vault::intact(&world.vault, &snapshot).is_empty());
}

#[test]
fn a_file_that_is_not_what_travelled_before_the_stop_makes_the_copy_fail() {
    for (act, says) in [
        (format!("printf x >>{TIER}/datafile-1-0000000001.ndf"), "has changed; try again"),
        (format!("rm {TIER}/datafile-1-0000000001.ndf"), "is gone; try again"),
    ] {
        let (world, node) = (World::new(), laid(true));
        node.on_stop(UNIT, &act);
        let failure = save(&world, &node, "metrics").unwrap_err();
        assert!(failure.message.contains(says), "{act}: {failure:?}");
        assert_eq!(failure.exit, Exit::Failed);
    }
}

#[test]
fn the_oldest_pair_that_was_dropped_once_it_had_travelled_is_in_the_copy_and_told() {
    // While the live part travels, and by the agent's own last breath.
    for in_the_stop in [false, true] {
        let (world, node) = (World::new(), laid(true));
        let drop = format!("rm -f {TIER}/datafile-1-0000000001.ndf {TIER}/journalfile-1-0000000001.njf");
        if in_the_stop {
            node.on_stop(UNIT, &drop);
        } else {
            node.instead_of("tar", &format!("/usr/bin/tar \"$@\"\ns=$?\n{drop}\nexit $s"));
        }
        let snapshot = save(&world, &node, "metrics").unwrap();
        let marks: Vec<_> = snapshot.manifest().marks.iter().map(|mark| mark.as_str().to_owned()).collect();
        assert!(marks.iter().any(|mark| mark.contains("dropped 2 files of its oldest samples")), "{marks:?}");
        assert_eq!(snapshot.manifest().facts["copied"]["dropped_files"], 2);
        assert!(crate::vault::intact(&world.vault, &snapshot).is_empty());
        let target = laid(false);
        onto(&world, &target, &snapshot, &[("as", "data")]).unwrap();
        assert!(target.path(&format!("{TIER}/datafile-1-0000000001.ndf")).exists(), "it travelled whole");
    }
}

#[test]
fn anything_else_that_is_gone_makes_the_copy_fail() {
    let pair =
        |number: u8| format!("{TIER}/datafile-1-000000000{number}.ndf {TIER}/journalfile-1-000000000{number}.njf");
    for (act, status) in [
        (format!("rm {}", pair(2)), 0),
        (format!("rm -f {TIER}/journalfile-1-0000000001.njf"), 0),
        (format!("rm {}; printf x >>{TIER}/datafile-1-0000000002.ndf", pair(1)), 0),
        // tar read a file that was being cut.
        (format!("rm -f {}", pair(1)), 1),
    ] {
        let (world, node) = (World::new(), laid(true));
        node.instead_of("tar", &format!("/usr/bin/tar \"$@\" && {{ {act}; exit {status}; }}"));
        let failure = save(&world, &node, "metrics").unwrap_err();
        assert!(failure.message.contains("try again (nothing was stopped)"), "{act}: {failure:?}");
    }
}

#[test]
fn what_changed_before_the_stop_stops_nothing() {
    for (act, says) in [
        (format!("printf x >>{TIER}/datafile-1-0000000001.ndf"), "has changed; try again (nothing was stopped)"),
        (format!("rm -f {TIER}/datafile-1-0000000001.ndf"), "is gone; try again (nothing was stopped)"),
    ] {
        let (world, node) = (World::new(), laid(true));
        // While the live part travels: the file itself is on its way, or was.
        node.instead_of("tar", &format!("/usr/bin/tar \"$@\"\ns=$?\n{act}\nexit $s"));
        let failure = save(&world, &node, "metrics").unwrap_err();
        assert!(failure.message.contains(says), "{act}: {failure:?}");
        assert!(!node.run("cat /stub/log").contains("stop netdata"), "{act}");
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_not_left_out_without_a_word() {
    for (when, stops) in [("true", false), (STOPPED, true)] {
        let (world, node) = (World::new(), laid(true));
        // What find tells of all but directories, of which one cannot be read.
        node.instead_of(
            "find",
            &format!(
                "/usr/bin/find \"$@\"\ns=$?\ncase \"$*\" in *'! -type d'*) if {when}; then exit 1; fi ;; esac\nexit $s"
            ),
        );
        let failure = save(&world, &node, "metrics").unwrap_err();
        assert!(failure.message.contains("/var/cache/netdata cannot be listed whole"), "{failure:?}");
        assert_eq!(node.run("cat /stub/log").contains("stop netdata"), stops);
    }
}

#[test]
fn whoever_meddles_while_the_agent_is_stopped_makes_the_copy_fail() {
    for (act, says) in [
        (format!("echo 99 >/stub/units/{UNIT}/invocation"), "was restarted in between"),
        (format!("echo active >/stub/units/{UNIT}/active"), "was started in between"),
        ("printf x >>/var/cache/netdata/netdata-meta.db".to_owned(), "something wrote to /var/cache/netdata"),
    ] {
        let (world, node) = (World::new(), laid(true));
        node.instead_of("cp", &format!("if {STOPPED}; then {act}; fi\nexec /usr/bin/cp \"$@\""));
        let failure = save(&world, &node, "metrics").unwrap_err();
        assert!(failure.message.contains(says), "{act}: {failure:?}");
    }
}

#[test]
fn who_could_write_to_the_samples_makes_the_copy_fail_whatever_he_is_called_and_who_reads_does_not() {
    for (how, is_harmless) in [("3<", true), ("3>>", false), ("3<>", false)] {
        let (world, node) = (World::new(), laid(true));
        node.run(&format!("/usr/bin/sleep 600 {how}/var/cache/netdata/netdata-meta.db >/dev/null 2>&1 &"));
        let ended = save(&world, &node, "metrics");
        match ended {
            Ok(_) => assert!(is_harmless, "{how}"),
            Err(failure) => {
                assert!(!is_harmless, "{how}: {failure:?}");
                assert!(failure.message.contains("open to write to them"), "{failure:?}");
            }
        }
    }
}

#[test]
fn an_agent_that_does_not_answer_as_before_leaves_a_copy_that_does_not_count() {
    let (world, node) = (World::new(), laid(true));
    let sound = save(&world, &node, "metrics").unwrap();
    // What it reads in at its next start is not what it told before.
    node.on_stop(UNIT, "echo another >/var/cache/netdata/odd");
    let snapshot = save(&world, &node, "metrics").unwrap();
    let why = "after its start the agent did not answer as before";
    let facts = &snapshot.manifest().facts;
    assert!(facts["doubt"].as_str().is_some_and(|doubt| doubt.starts_with(why)), "{}", facts["doubt"]);
    assert!(snapshot.manifest().marks[0].as_str().contains("does not count"), "{:?}", snapshot.manifest().marks);
    let catalogue = world.vault.catalogue().unwrap();
    let judged = catalogue.judged(snapshot.item(), &Policy::default());
    assert!(judged[0].against.iter().any(|against| against.starts_with(why)), "{:?}", judged[0].against);
    let chosen = catalogue.select(&world.vault, &snapshot.item().to_string().parse().unwrap(), &Policy::default());
    assert_eq!(chosen.unwrap().snapshot.id(), sound.id());
}

#[test]
fn what_the_preview_said_of_the_downtime_is_what_is_told_after_it() {
    let (world, node) = (World::new(), laid(true));
    let ballast = node.path("/var/cache/netdata/ballast");
    std::fs::File::create(&ballast).unwrap().set_len(8 << 30).unwrap();
    world.with(0, &Fleet::sound(netdata(), &[("old", &node)]), |runs, prober| {
        let found = prober.probe(&wanted_of(prober.inventory)[0]).unwrap();
        let planned = prober.plan_backup(&found.place(&"metrics".parse().unwrap()), None, &BTreeMap::new()).unwrap();
        let said = planned.expects[0].as_str().split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
        assert!(said > 2.6, "{:?}", planned.expects);
        // It is gone by the time of the copy, which is no other plan.
        std::fs::remove_file(&ballast).unwrap();
        let report = runs.run(&planned, None, &BTreeMap::new()).unwrap();
        let remarks = report.outs.values().map(|out| out["remarks"].to_string()).collect::<String>();
        assert!(remarks.contains("(estimated ") && !remarks.contains("(estimated 2.5"), "{remarks}");
        let kept = world.vault.catalogue().unwrap().snapshots.pop().unwrap();
        let estimated = kept.manifest().facts["downtime"]["estimated_ms"].as_f64().unwrap() / 1000.0;
        assert!((estimated - said).abs() < 0.06, "{said} s were told, and {estimated} s are noted");
    });
}

#[test]
fn files_of_an_account_that_is_not_there_belong_to_the_one_the_agent_runs_as() {
    let (world, node) = (World::new(), laid(true));
    let runs_as = |node: &Node, who: &str| {
        let conf = format!("sed -i '/run as user/d' $f; printf '[global]\\n\\trun as user = {who}\\n' >>$f");
        node.run(&format!("f=/etc/netdata/netdata.conf; {conf}"));
    };
    runs_as(&node, "netdata");
    let from = save(&world, &node, "metrics").unwrap();
    let target = laid(false);
    runs_as(&target, "nd");
    // What the saved account's number is here belongs to somebody else.
    target.run(
        "sed -i 's/^netdata:.*/nd:x:301:302::\\/:\\/bin\\/false/; $a other:x:201:201::/:/bin/false' /etc/passwd
         sed -i 's/^netdata:.*/nds:x:302:/; $a other:x:201:' /etc/group
         chown -R nd:nds /var/cache/netdata /var/lib/netdata",
    );
    onto(&world, &target, &from, &[("as", "data")]).unwrap();
    let owners = target.run("find /var/cache/netdata -printf '%u:%g\n' | sort -u");
    let saved = node.run("find /var/cache/netdata -printf '%u:%g\n' | sort -u");
    assert!(saved.contains("netdata:netdata"), "{saved}");
    assert_eq!(owners, saved.replace("netdata:", "nd:").replace(":netdata", ":nds"));
}

#[test]
fn a_disk_that_fills_up_during_the_stop_is_told_and_the_agent_runs_again() {
    let (world, node) = (World::new(), laid(true));
    let full = "echo \"cp: error writing 'x': No space left on device\" >&2; exit 1";
    node.instead_of("cp", &format!("case \"$*\" in *--parents*) {full} ;; esac\nexec /usr/bin/cp \"$@\""));
    let before = digest(netdata(), &node);
    let failure = save(&world, &node, "metrics").unwrap_err();
    assert_eq!(failure.exit, Exit::NoSpace, "{failure:?}");
    assert!(failure.message.contains("the copy beside failed"), "{failure:?}");
    assert_eq!(digest(netdata(), &node), before);
}

#[test]
fn a_clock_that_jumps_during_the_stop_changes_no_measure() {
    let (world, node) = (World::new(), laid(true));
    node.instead_of(
        "date",
        &format!("if {STOPPED}; then exec /usr/bin/date -d '3 years ago' \"$@\"; fi\nexec /usr/bin/date \"$@\""),
    );
    let snapshot = save(&world, &node, "metrics").unwrap();
    let down = &snapshot.manifest().facts["downtime"];
    let span = |name: &str| down[name].as_u64().unwrap();
    let parts = span("stop_ms") + span("copy_ms") + span("start_ms");
    assert!(span("measured_ms") < 60_000 && parts.abs_diff(span("measured_ms")) < 50, "{down}");
}

#[test]
fn samples_that_are_damaged_on_the_node_are_never_a_good_copy() {
    // A bit, a cut, and each half of a pair that is not there; of the newest pair, and of one that travels live.
    for (damage, named) in [
        (
            "printf '\\377' | dd of=datafile-1-0000000003.ndf bs=1 seek=4796 conv=notrunc status=none",
            "datafile-1-0000000003.ndf",
        ),
        ("truncate -s 5000 datafile-1-0000000003.ndf", "datafile-1-0000000003.ndf"),
        ("truncate -s 5000 datafile-1-0000000002.ndf", "datafile-1-0000000002.ndf"),
        ("rm journalfile-1-0000000003.njf", "The journal of the data file 3 of"),
        ("rm journalfile-1-0000000002.njf", "The journal of the data file 2 of"),
        ("rm datafile-1-0000000002.ndf", "2 of"),
    ] {
        let (world, node) = (World::new(), laid(true));
        node.run(&format!("cd {TIER} && {damage}"));
        let failure = save(&world, &node, "metrics").unwrap_err();
        assert_eq!(failure.exit, Exit::Integrity, "{damage}: {failure:?}");
        assert!(failure.message.contains(named), "{damage}: {failure:?}");
        assert!(failure.hints.iter().any(|hint| hint.contains("--set damaged=keep")), "{damage}: {failure:?}");
    }
}

/// A copy must not carry what has the agent forget everything at its next start, nor say of it that it crashed.
#[test]
fn what_makes_an_agent_throw_its_databases_away_is_not_saved() {
    let (world, node) = (World::new(), laid(true));
    node.run(
        "cd /var/cache/netdata && : >.netdata-meta.db.recover && : >.netdata-meta.db.delete && : >.ml.db.delete
         : >/var/lib/netdata/.agent_crash && chown -R netdata:netdata /var/cache/netdata /var/lib/netdata",
    );
    for (item, set) in [("metrics", &[][..]), ("metrics", &[("copy", "plain")]), ("identity", &[])] {
        let snapshot = save_with(&world, &node, item, set).unwrap();
        let archive = snapshot.manifest().files[0].name.clone();
        let bytes = crate::vault::read_back(&world.vault, &snapshot, &archive, &world.keys()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let listed = std::process::Command::new("tar").arg("-tf").arg(file.path()).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.lines().count() > 2, "{item} {set:?}: {listed}");
        assert!(![".recover", ".delete", ".agent_crash"].iter().any(|sign| listed.contains(sign)), "{item}: {listed}");
    }
}

#[test]
fn what_is_damaged_on_the_node_can_be_kept_and_is_named_wherever_it_goes() {
    let (world, node) = (World::new(), laid(true));
    let sound = save(&world, &node, "metrics").unwrap();
    // An extent of one tier, and the whole journal of another pair: nothing else is worse for it.
    let data = node.path(&format!("{TIER}/datafile-1-0000000002.ndf"));
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[4096 + 700] ^= 1;
    std::fs::write(&data, &bytes).unwrap();
    std::fs::write(node.path(&format!("{TIER}-tier1/journalfile-1-0000000001.njf")), "no journal").unwrap();
    // The agent tells what it can read of that, and a restore must tell the same.
    node.run(&format!("systemctl stop {UNIT}; systemctl start {UNIT}"));
    let snapshot = save_with(&world, &node, "metrics", &[("damaged", "keep")]).unwrap();
    let marks: Vec<_> = snapshot.manifest().marks.iter().map(|mark| mark.as_str().to_owned()).collect();
    for named in ["dbengine/datafile-1-0000000002.ndf", "dbengine-tier1/journalfile-1-0000000001.njf"] {
        let naming = marks.iter().filter(|mark| mark.starts_with("damaged: ") && mark.contains(named)).count();
        assert_eq!(naming, 1, "{marks:?}");
    }
    assert_eq!(marks.iter().filter(|mark| mark.starts_with("damaged: ")).count(), 2, "{marks:?}");
    // It is all there as it lay, and is no good copy.
    assert!(crate::vault::intact(&world.vault, &snapshot).is_empty());
    assert_eq!(snapshot.verified_at(), None);
    let catalogue = world.vault.catalogue().unwrap();
    let judged = catalogue.judged(snapshot.item(), &Policy::default());
    assert!(judged[0].against.iter().any(|why| why.contains("damaged on the node")), "{:?}", judged[0].against);
    let chosen = catalogue.select(&world.vault, &snapshot.item().to_string().parse().unwrap(), &Policy::default());
    assert_eq!(chosen.unwrap().snapshot.id(), sound.id(), "the sound one is what is meant without an id");

    // Who restores it by its id is asked, and gets every byte of it.
    let target = laid(false);
    let refused = world.with(0, &Fleet::sound(netdata(), &[("new", &target)]), |_, prober| {
        let set = BTreeMap::from([("as".to_owned(), "data".to_owned())]);
        prober.plan_restore(&world.vault, snapshot.manifest(), &HostId::new("new").unwrap(), &set).unwrap().plan
    });
    let gate = refused.gates.iter().find(|gate| gate.id.as_str() == "damaged").expect("it is asked");
    assert!(gate.question.as_str().contains("datafile-1-0000000002.ndf"), "{gate:?}");
    onto(&world, &target, &snapshot, &[("as", "data")]).unwrap();
    assert_eq!(std::fs::read(target.path(&format!("{TIER}/datafile-1-0000000002.ndf"))).unwrap(), bytes);

    // A database that is damaged is told the same way; one that is not there is no copy whatever is chosen.
    std::fs::write(node.path("/var/cache/netdata/netdata-meta.db"), "no database").unwrap();
    let without_names = save_with(&world, &node, "metrics", &[("damaged", "keep")]).unwrap();
    let found = without_names.manifest().facts["verified"]["damaged"].to_string();
    assert!(found.contains("netdata-meta.db") && found.contains("datafile-1-0000000002.ndf"), "{found}");
}

#[test]
fn samples_that_move_while_the_agent_is_down_are_no_copy() {
    // Stopped by the plain way, or stopped before: what counts is that nothing moves until the last byte.
    for (is_down_before, set, started) in [
        (false, &[("copy", "plain")][..], "was started in between"),
        (true, &[], "was started while /var/cache/netdata was copied"),
    ] {
        for (act, says) in [
            (format!("echo active >/stub/units/{UNIT}/active"), started),
            ("printf x >>/var/cache/netdata/netdata-meta.db".to_owned(), "something wrote to /var/cache/netdata"),
        ] {
            let (world, node) = (World::new(), laid(true));
            if is_down_before {
                node.run(&format!("systemctl stop {UNIT}"));
            }
            node.instead_of("tar", &format!("/usr/bin/tar \"$@\"\ns=$?\n{act}\nexit $s"));
            let failure = try_to_save(&world, &node, "metrics", set).unwrap_err();
            assert!(failure.message.contains(says), "{act}: {failure:?}");
        }
    }
}

#[test]
fn an_agent_that_was_ended_by_force_is_no_copy_in_the_plain_way_either() {
    let (world, node) = (World::new(), laid(true));
    node.on_stop(UNIT, &format!("echo timeout >/stub/units/{UNIT}/Result"));
    let failure = save_with(&world, &node, "metrics", &[("copy", "plain")]).unwrap_err();
    assert!(failure.message.contains("did not end by itself (timeout)"), "{failure:?}");
    let hints = failure.hints.join("\n");
    let told = [
        "netdata.service runs again, and nothing was saved",
        "lifeboat backup old/netdata/metrics",
        "journalctl -u netdata.service",
    ];
    assert!(told.iter().all(|words| hints.contains(words)), "{hints}");
    // One that was down before is saved as it lies, and that it did not end well is said.
    node.run(&format!("systemctl stop {UNIT}"));
    let snapshot = try_to_save(&world, &node, "metrics", &[]).unwrap();
    assert!(snapshot.manifest().marks.iter().any(|mark| mark.as_str().contains("did not end by itself")));
}

#[test]
fn both_ways_tell_how_long_the_agent_was_down_and_take_figures_before() {
    for (way, set) in [("plain", &[("copy", "plain")][..]), ("passes", &[])] {
        let (world, node) = (World::new(), laid(true));
        let before = digest(netdata(), &node);
        let snapshot = save_with(&world, &node, "metrics", set).unwrap();
        assert_eq!(digest(netdata(), &node), before, "{way}");
        let facts = &snapshot.manifest().facts;
        assert_eq!(facts["copied"]["way"], way);
        let span =
            |name: &str| facts["downtime"][name].as_u64().unwrap_or_else(|| panic!("{way}: no {name} in {facts}"));
        let parts = span("stop_ms") + span("copy_ms") + span("start_ms");
        assert!(parts.abs_diff(span("measured_ms")) < 50 && span("estimated_ms") > 0, "{way}: {}", facts["downtime"]);
        assert!(!facts["figures"]["samples"].as_array().unwrap().is_empty(), "{way}: {}", facts["figures"]);
        assert_eq!(facts["figures"]["names"].as_array().map(Vec::len), Some(2), "{way}: {}", facts["figures"]);
        let all = facts["copied"]["live_bytes"].as_u64().unwrap() + facts["copied"]["stopped_bytes"].as_u64().unwrap();
        let there = node.run("find /var/cache/netdata -type f -printf '%s\\n' | awk '{ s += $1 } END { print s }'");
        assert_eq!(
            (all.to_string().as_str(), way == "plain"),
            (there.trim(), facts["copied"]["live_bytes"] == 0),
            "{way}"
        );
        assert!(node.run("cat /stub/log").contains("stop netdata"), "{way}");
        assert!(crate::vault::intact(&world.vault, &snapshot).is_empty());
    }
}

#[test]
fn a_restore_after_which_a_chart_of_before_is_gone_is_undone() {
    let same = *FIXTURES.iter().find(|known| known.name() == "netdata, onto the same agent").unwrap();
    let blank = |saved: bool| {
        let node = Node::blank();
        same.lay(&node, saved);
        node
    };
    let world = World::new();
    let from = save(&world, &blank(true), "metrics").unwrap();
    let target = blank(false);
    let before = digest(same, &target);
    target.run("touch /stub/forgets");
    let failure = onto(&world, &target, &from, &[]).unwrap_err();
    assert!(failure.message.contains("the chart samples.") && failure.message.contains("is not there"), "{failure:?}");
    assert_eq!(target.leftovers(), "");
    target.run("rm /stub/forgets");
    assert_eq!(digest(same, &target), before, "what was there is back");
    onto(&world, &target, &from, &[]).unwrap();
}

fn onto(
    world: &World,
    node: &Node,
    from: &Snapshot,
    set: &[(&str, &str)],
) -> Result<lifeboat::model::ids::RunId, Failure> {
    let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    world.with(0, &Fleet::sound(netdata(), &[("new", node)]), |runs, prober| {
        let planned = prober.plan_restore(&world.vault, from.manifest(), &HostId::new("new").unwrap(), &set)?;
        runs.run(&planned, Some(from.clone()), &super::matrix::answers(&planned.plan)).map(|report| report.run)
    })
}

#[test]
fn a_second_agent_that_came_up_after_the_plan_stops_a_restore_before_its_first_change() {
    let (world, node) = (World::new(), laid(true));
    let from = save(&world, &node, "metrics").unwrap();
    let target = laid(false);
    let before = digest(netdata(), &target);
    let set = [("as".to_owned(), "data".to_owned())].into();
    let ended = world.with(0, &Fleet::sound(netdata(), &[("new", &target)]), |runs, prober| {
        let planned = prober.plan_restore(&world.vault, from.manifest(), &HostId::new("new").unwrap(), &set).unwrap();
        // It is known by its name, as processes are.
        target.run("cp /usr/bin/sleep /stub/netdata && { /stub/netdata 600 >/dev/null 2>&1 </dev/null & }");
        runs.run(&planned, Some(from.clone()), &super::matrix::answers(&planned.plan))
    });
    let failure = ended.unwrap_err();
    let pid = target.run("for c in /proc/[0-9]*; do [ \"$(cat $c/comm)\" != netdata ] || echo ${c#/proc/}; done");
    assert!(
        failure.to_string().contains(&format!("as pid {} outside netdata.service", pid.trim())),
        "{pid}: {failure:?}"
    );
    assert_eq!(failure.exit, Exit::Failed);
    target.run(&format!("kill {}", pid.trim()));
    assert_eq!((digest(netdata(), &target), target.leftovers()), (before, String::new()));
    assert!(!target.run("cat /stub/log").contains("stop netdata"));
    onto(&world, &target, &from, &[("as", "data")]).unwrap();
}

#[test]
fn what_describes_an_installation_stays_with_it() {
    let (world, node) = (World::new(), laid(true));
    node.run("printf 'RELEASE=old\\n' >/etc/netdata/.environment");
    let from = save(&world, &node, "config").unwrap();
    let target = laid(false);
    target.run("printf 'RELEASE=new\\n' >/etc/netdata/.environment");
    onto(&world, &target, &from, &[]).unwrap();
    let read = |name: &str| std::fs::read_to_string(target.path("etc/netdata").join(name)).unwrap();
    assert_eq!(
        (read(".install-type").as_str(), read(".environment").as_str()),
        ("INSTALL_TYPE='of the new'\n", "RELEASE=new\n")
    );
    assert!(read("netdata.conf").contains("practice-1"), "the configuration itself did not come");
    // What is not there is not made up by another installation's either.
    let bare = laid(false);
    bare.run("rm /etc/netdata/.install-type");
    onto(&world, &bare, &from, &[]).unwrap();
    assert!(!bare.path("etc/netdata/.install-type").exists() && !bare.path("etc/netdata/.environment").exists());
    assert!(!target.path("etc/netdata/only-target.conf").exists(), "a restore merged two directories");
}

#[test]
fn what_was_discarded_to_make_room_is_not_rolled_back() {
    let (world, node) = (World::new(), laid(true));
    let from = save(&world, &node, "metrics").unwrap();
    let target = laid(false);
    let run = onto(&world, &target, &from, &[("as", "data"), ("old", "discard")]).unwrap();
    assert!(target.is_running(UNIT));
    let samples = |node: &Node| node.run(&format!("cat {TIER}/*.ndf | sha256sum"));
    assert_eq!(samples(&target), samples(&node));
    let failure = world.with(0, &Fleet::sound(netdata(), &[("new", &target)]), |runs, _| {
        runs.rollback(&runs.read(&run).unwrap(), &consent(&run)).unwrap_err()
    });
    assert_eq!(failure.exit, Exit::Failed, "{failure:?}");
    assert_eq!(samples(&target), samples(&node), "a refused rollback touched the samples");
}

#[test]
fn an_identity_that_runs_elsewhere_is_found_by_its_guid_and_by_its_claim_alone() {
    let claim = "mkdir -p /var/lib/netdata/cloud.d && printf 0a1b2c3d-0000-4000-8000-00000000c1a1 >/var/lib/netdata/cloud.d/claimed_id && chown -R netdata:netdata /var/lib/netdata/cloud.d";
    let (world, node) = (World::new(), laid(true));
    node.run(claim);
    let from = save(&world, &node, "identity").unwrap();
    let target = laid(false);
    let plan_beside = |twin: &Node| {
        world.with(0, &Fleet::sound(netdata(), &[("new", &target), ("twin", twin)]), |_, prober| {
            prober.plan_restore(&world.vault, from.manifest(), &HostId::new("new").unwrap(), &BTreeMap::new())
        })
    };
    // Another agent, that somebody claimed with a copy of this one's claim; newer ones keep it in a file of settings.
    let claimed_twice = laid(false);
    claimed_twice.run(claim);
    let claimed_anew = laid(false);
    claimed_anew.run("mkdir -p /var/lib/netdata/cloud.d && printf '[global]\\n  url = https://x\\n  claimed_id = 0A1B2C3D-0000-4000-8000-00000000C1A1\\n' >/var/lib/netdata/cloud.d/cloud.conf && chown -R netdata:netdata /var/lib/netdata/cloud.d");
    // The same agent on another host of the inventory; no parent tells of it.
    for (twin, seen) in [
        (&claimed_twice, "0a1b2c3d-0000-4000-8000-00000000c1a1"),
        (&claimed_anew, "0a1b2c3d-0000-4000-8000-00000000c1a1"),
        (&laid(true), "96f57146-e579-11f1-b145-8d30ee8e1919"),
    ] {
        let refused = plan_beside(twin).unwrap_err();
        assert_eq!(refused.exit, Exit::AliveElsewhere, "{refused:?}");
        assert!(refused.message.contains(seen) && refused.message.contains("twin"), "{refused:?}");
    }
    assert!(plan_beside(&laid(false)).is_ok(), "an agent of its own is no twin");
}
