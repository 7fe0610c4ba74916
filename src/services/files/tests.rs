//! Plans from facts, and whole round trips through a real `sh` and GNU tar.

mod bench;

use std::io;

use super::*;
use crate::model::exit::Exit;
use crate::model::facts::UnitFacts;
use crate::model::ids::UnitName;
use crate::model::plan::{Effect, OnLapse};
use bench::{Bench, RUN, manifest, plan, stored};

/// Facts as if the probe had found `/srv/app` and, when `running`, its unit at work.
fn found(text: &str, running: bool) -> (Value, Facts, Item) {
    let settings = Files.settings(&text.parse().unwrap()).unwrap();
    let read = settings::read(&settings).unwrap();
    let mut own = Own { held_still: read.quiesce.is_some(), stops: read.stops().cloned(), ..Own::default() };
    own.tools.tar = "tar (GNU tar) 1.34".into();
    for path in &read.paths {
        own.paths.insert(path.clone(), probe::PathFacts { kind: "dir".into(), ..probe::PathFacts::default() });
    }
    let unit = |unit: &UnitName| UnitFacts {
        unit: unit.clone(),
        load: "loaded".into(),
        active: if running { "active" } else { "inactive" }.into(),
        enabled: "enabled".into(),
        invocation: String::new(),
        main_pid: 0,
        fenced: false,
    };
    let facts = probe::facts(&read, &own, read.unit.iter().map(unit).collect()).unwrap();
    let item = Files.items(&facts).remove(0);
    (settings, facts, item)
}

fn ids(draft: &Draft) -> Vec<&str> {
    draft.steps.iter().map(|step| step.id.as_str()).collect()
}

const UNIT: &str = "paths = ['/srv/app']\nunit = 'app.service'\nquiesce = 'stop'\naccept = 'curl -f localhost'";
const COMMANDS: &str = "paths = ['/srv/app']\nquiesce = 'freeze'\nresume = 'thaw'";

#[test]
fn a_backup_stops_only_what_runs_and_guards_it() {
    let (settings, facts, item) = found(UNIT, true);
    let draft = plan(&settings, &facts, &item, None, &[]).unwrap();
    assert_eq!(ids(&draft), ["stop", "capture", "start"]);
    let lapses: Vec<_> = draft.steps.iter().map(|step| step.on_lapse).collect();
    assert_eq!(lapses, [Some(OnLapse::Revert), Some(OnLapse::Revert), Some(OnLapse::Start)]);
    assert_eq!(draft.steps[1].args["source"]["compress"], "none", "there is no zstd there");
    assert!(draft.steps.iter().all(|step| step.guard.is_some()) && draft.guards.len() == 1);

    let (settings, facts, item) = found(UNIT, false);
    let draft = plan(&settings, &facts, &item, None, &[]).unwrap();
    assert_eq!(ids(&draft), ["capture"]);
    assert!(draft.guards.is_empty());
    assert_eq!(draft.basis["unit app.service"], json!({"running": false}));
    assert_eq!(draft.steps[0].args["source"]["stays_down"], "app.service");
    assert_eq!(item.facts["held_still"], "without a stop, because app.service did not run");
    assert_eq!(found(UNIT, true).2.facts["held_still"], "by stopping app.service");

    // A stop that is under way may be a restart: whatever is not down is stopped, and started again.
    for active in ["deactivating", ""] {
        let (settings, mut facts, item) = found(UNIT, false);
        active.clone_into(&mut facts.units[0].active);
        let draft = plan(&settings, &facts, &item, None, &[]).unwrap();
        assert_eq!(ids(&draft), ["stop", "capture", "start"], "{active:?}");
    }

    let (settings, facts, item) = found(COMMANDS, false);
    let draft = plan(&settings, &facts, &item, None, &[]).unwrap();
    assert_eq!(ids(&draft), ["quiesce", "capture", "resume"]);
    assert_eq!(draft.steps[0].args["undo"], "thaw");
    assert_eq!(plan(&settings, &facts, &item, None, &[("compress", "zstd")]).unwrap_err().exit, Exit::Failed);
}

#[test]
fn a_restore_unpacks_and_compares_before_it_stops_anything() {
    let (settings, facts, item) = found(UNIT, true);
    let saved = manifest(item.facts.clone(), vec![stored("tree-0.tar.zst")]);
    let draft = plan(&settings, &facts, &item, Some(&saved), &[]).unwrap();
    assert_eq!(ids(&draft), ["ready", "deliver", "compare", "stop", "swap", "check", "start", "accept"]);
    assert_eq!(draft.gates[0].word, "val-1");
    let stop = draft.steps.iter().position(|step| step.effect == Effect::Quiesce).unwrap();
    assert!(draft.steps[..stop].iter().all(|step| step.guard.is_none()));
    assert_eq!(draft.leaves.len(), 1);
    assert_eq!(draft.steps[1].args["undo"], "rm -rf -- '/srv/.app.lifeboat-{run}.in' '/srv/.app.lifeboat-{run}.new'\n");
    assert_eq!(draft, plan(&settings, &facts, &item, Some(&saved), &[]).unwrap(), "a plan is pure");
}

#[test]
fn a_mount_point_or_a_foreign_manifest_is_refused() {
    let (settings, mut facts, item) = found(COMMANDS, false);
    let saved = manifest(item.facts.clone(), vec![stored("tree-0.tar")]);
    facts.own["paths"]["/srv/app"]["mounted"] = json!(true);
    assert!(plan(&settings, &facts, &item, Some(&saved), &[]).unwrap_err().message.contains("mount point"));
    let hostile = json!({"entries": [{"archive": "tree-0", "path": "/proc/1", "kind": "dir"}]});
    let saved = manifest(hostile, vec![stored("tree-0.tar")]);
    assert_eq!(plan(&settings, &facts, &item, Some(&saved), &[]).unwrap_err().exit, Exit::Integrity);
    let saved = manifest(item.facts.clone(), vec![stored("tree-1.tar")]);
    assert_eq!(plan(&settings, &facts, &item, Some(&saved), &[]).unwrap_err().exit, Exit::Integrity);
}

#[test]
fn what_cannot_be_saved_says_why() {
    let (_, mut facts, _) = found(COMMANDS, false);
    facts.own["paths"]["/srv/app"]["kind"] = json!("link");
    assert!(matches!(&Files.items(&facts)[0].standing, Standing::Impossible(why) if why.as_str().contains("symbolic")));
    facts.own["paths"]["/srv/app"]["kind"] = json!("absent");
    assert!(matches!(&Files.items(&facts)[0].standing, Standing::Absent(_)));
}

/// Of a name systemd does not know it says that it is inactive: that holds nothing still.
#[test]
fn files_whose_unit_cannot_be_stopped_are_not_copied_in_use() {
    for (load, active, says) in [
        ("not-found", "inactive", Some("app.service is not-found")),
        ("not-found", "active", Some("app.service is not-found")),
        ("bad-setting", "inactive", Some("app.service is bad-setting")),
        ("", "", Some("app.service is unknown")),
        ("masked", "active", Some("could not be started again")),
        ("masked", "inactive", None),
        ("loaded", "inactive", None),
        ("loaded", "active", None),
    ] {
        let (_, mut facts, _) = found(UNIT, false);
        load.clone_into(&mut facts.units[0].load);
        active.clone_into(&mut facts.units[0].active);
        let standing = Files.items(&facts).remove(0).standing;
        match (says, &standing) {
            (None, Standing::Ready) => {}
            (Some(says), Standing::Impossible(why)) => assert!(why.as_str().contains(says), "{load} {active}: {why}"),
            _ => panic!("{load} {active}: {standing:?}"),
        }
    }
    // A restore may come before the service is installed, and what is copied in use needs no unit.
    let (settings, mut facts, item) = found(UNIT, false);
    "not-found".clone_into(&mut facts.units[0].load);
    let saved = manifest(item.facts.clone(), vec![stored("tree-0.tar")]);
    let draft = plan(&settings, &facts, &item, Some(&saved), &[]).unwrap();
    assert!(draft.leaves.iter().any(|line| line.as_str().contains("app.service is not-found on val-1")), "{draft:?}");
    let (_, mut facts, _) = found("paths = ['/srv/app']\nunit = 'app.service'", false);
    "not-found".clone_into(&mut facts.units[0].load);
    assert_eq!(Files.items(&facts)[0].standing, Standing::Ready);
}

#[test]
fn the_recipe_names_the_tools_of_each_compression() {
    for (name, words) in
        [("tree-0.tar.zst", "zstd -d -c"), ("tree-0.tar.gz", "gzip -d -c"), ("tree-0.tar", "--file='./plain")]
    {
        let (_, _, item) = found(COMMANDS, false);
        let recipe = Files.recipe(&manifest(item.facts, vec![stored(name)]));
        let text = format!("{recipe:?}");
        assert!(text.contains(words) && text.contains("mv -T '/srv/.app.by-hand/app' '/srv/app'"), "{text}");
    }
}

/// A tree with every kind of name and entry tar must carry.
fn grow(root: &str) {
    let at = |name: &str| std::path::Path::new(root).join(name);
    std::fs::create_dir_all(at("sub/deep")).unwrap();
    for name in ["a\nb", "-rf", "sp ace", "\u{202e}evil", "it's", "sub/deep/\u{e9}", "sub/$(x)"] {
        std::fs::write(at(name), format!("body of {name}")).unwrap();
    }
    std::fs::write(at(&"long".repeat(40)), vec![7; 300_000]).unwrap();
    std::fs::write(at(&"x".repeat(255)), "the longest name there is").unwrap();
    let no_text: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe no text");
    std::fs::write(std::path::Path::new(root).join(no_text), "no text").unwrap();
    std::fs::hard_link(at("sp ace"), at("z link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at("out")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    std::fs::set_permissions(at("it's"), std::os::unix::fs::PermissionsExt::from_mode(0o4750)).unwrap();
    let holes = std::fs::File::create(at("holes")).unwrap();
    std::os::unix::fs::FileExt::write_at(&holes, b"end", 5 << 20).unwrap();
}

#[test]
fn a_tree_and_a_file_come_back_as_they_were_in_every_compression() {
    for compress in ["none", "gzip", "zstd"] {
        let bench = Bench::new();
        let (tree, single) = (bench.path("-my 'tree"), bench.path("one.conf"));
        grow(&tree);
        std::fs::write(&single, "one").unwrap();
        let text = format!("paths = [{tree:?}, {single:?}]");
        let (saved, bodies) = bench.backup(&text, compress).unwrap();
        assert_eq!(bodies.len(), 2);
        std::fs::remove_file(format!("{tree}/it's")).unwrap();
        std::fs::write(&single, "changed").unwrap();
        bench.restore(&text, &saved, &bodies, "check").unwrap();
        assert_eq!(std::fs::read(format!("{tree}/it's")).unwrap(), b"body of it's");
        assert_eq!(std::fs::read(&single).unwrap(), b"one");
        let holes = std::fs::metadata(format!("{tree}/holes")).unwrap();
        assert!(std::os::unix::fs::MetadataExt::blocks(&holes) < 100, "holes were filled");
        let kept = bench.path(&format!(".one.conf.lifeboat-{RUN}.kept"));
        assert_eq!(std::fs::read(kept).unwrap(), b"changed");
        let left = std::fs::read_dir(bench.home.path()).unwrap().count();
        assert_eq!(left, 5, "lifeboat, two targets, two kept copies, nothing else");
    }
}

#[test]
fn what_differs_on_the_node_is_named() {
    let bench = Bench::new();
    let tree = bench.path("app");
    grow(&tree);
    let text = format!("paths = [{tree:?}]");
    let (saved, bodies) = bench.backup(&text, "gzip").unwrap();
    bench.restore(&text, &saved, &bodies, "compare").unwrap();
    let staged = bench.path(&format!(".app.lifeboat-{RUN}.new"));
    let args =
        |bytes: bool| json!({"places": [{"archive": "tree-0", "path": staged}], "bytes": bytes, "numeric": false});
    let op = crate::services::op("files.compare/1").unwrap();
    std::fs::write(format!("{staged}/sub/$(x)"), "body OF sub/$(x)").unwrap();
    assert!(op.run(&bench.cx(), &args(false), &Value::Null).is_ok(), "only bytes differ");
    let failure = op.run(&bench.cx(), &args(true), &Value::Null).unwrap_err();
    assert_eq!(failure.exit, Exit::Integrity);
    assert!(failure.message.contains("./sub/$(x)"), "{failure:?}");
    std::fs::remove_file(format!("{staged}/z link")).unwrap();
    std::fs::copy(format!("{staged}/sp ace"), format!("{staged}/z link")).unwrap();
    let failure = op.run(&bench.cx(), &args(false), &Value::Null).unwrap_err();
    assert!(failure.message.contains("no longer one file") && failure.message.contains("./z link"), "{failure:?}");
    // A further name is no file of its own, so nothing but its pair tells that it is gone.
    std::fs::remove_file(format!("{staged}/z link")).unwrap();
    let failure = op.run(&bench.cx(), &args(true), &Value::Null).unwrap_err();
    assert_eq!(failure.exit, Exit::Integrity, "a missing last link passed");
    assert!(failure.message.contains("is missing") && failure.message.contains("./z link"), "{failure:?}");
}

#[test]
fn a_damaged_or_hostile_archive_reaches_no_target() {
    let bench = Bench::new();
    let tree = bench.path("app");
    grow(&tree);
    let text = format!("paths = [{tree:?}]");
    let (saved, mut bodies) = bench.backup(&text, "none").unwrap();
    let whole = bodies[0].clone();
    bodies[0].truncate(whole.len() / 2 / 512 * 512);
    assert!(bench.restore(&text, &saved, &bodies, "check").is_err());
    let mut hostile = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..13].copy_from_slice(b"app/../../pwn");
    header.set_size(0);
    header.set_cksum();
    hostile.append(&header, io::empty()).unwrap();
    bodies[0] = hostile.into_inner().unwrap();
    let failure = bench.restore(&text, &saved, &bodies, "check").unwrap_err();
    assert_eq!(failure.exit, Exit::Integrity);
    assert!(std::path::Path::new(&format!("{tree}/it's")).exists());
}

#[test]
fn a_run_taken_over_elsewhere_uploads_nothing() {
    let bench = Bench::new();
    let tree = bench.path("app");
    grow(&tree);
    let text = format!("paths = [{tree:?}]");
    let (saved, bodies) = bench.backup(&text, "none").unwrap();
    std::fs::write(format!("{}/runs/{RUN}/owner", bench.node.home), "other 2").unwrap();
    let failure = bench.restore(&text, &saved, &bodies, "deliver").unwrap_err();
    assert!(failure.message.contains("taken the run over"), "{failure:?}");
}

#[test]
fn a_node_that_cannot_unpack_says_so_itself() {
    let bench = Bench::new();
    let tree = bench.path("app");
    std::fs::create_dir(&tree).unwrap();
    // More than any pipe holds, and nothing to squeeze out.
    let noise: Vec<u8> = (0_u32..1 << 20).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    std::fs::write(format!("{tree}/noise"), noise).unwrap();
    let text = format!("paths = [{tree:?}]");
    let (saved, bodies) = bench.backup(&text, "zstd").unwrap();
    std::fs::write(bench.path("plain"), "no directory").unwrap();
    let blocked = bench.path("plain/x");
    let args = json!({"numeric": false, "zstd": true, "gzip": true, "places": [
        {"archive": "tree-0", "root": "app", "arriving": format!("{blocked}.in"), "staged": blocked}]});
    let cx = bench.cx();
    let mut sink = Files.sink(&cx, &args).unwrap();
    let failure = sink.put(&saved.files[0], &mut &bodies[0][..]).unwrap_err();
    assert!(failure.message.contains("Not a directory") || failure.message.contains("File exists"), "{failure:?}");
    assert!(sink.finish().is_err(), "nothing arrived");
}

#[test]
fn a_node_without_zstd_gets_a_plain_stream() {
    let bench = Bench::new();
    let tree = bench.path("app");
    grow(&tree);
    let text = format!("paths = [{tree:?}]");
    let (saved, bodies) = bench.backup(&text, "zstd").unwrap();
    let staged = bench.path("staged");
    let args = json!({"numeric": true, "zstd": false, "gzip": false, "places": [
        {"archive": "tree-0", "root": "app", "arriving": bench.path("arriving"), "staged": staged}]});
    let cx = bench.cx();
    let mut sink = Files.sink(&cx, &args).unwrap();
    sink.put(&saved.files[0], &mut &bodies[0][..]).unwrap();
    assert_eq!(sink.finish().unwrap()["entries"], 17);
    let args = json!({"places": [{"archive": "tree-0", "path": staged}], "bytes": true, "numeric": true});
    crate::services::op("files.compare/1").unwrap().run(&cx, &args, &Value::Null).unwrap();
}

#[test]
fn a_path_that_vanished_ends_the_copy_with_tar_s_own_words() {
    let bench = Bench::new();
    let entry = json!({"archive": "tree-0", "path": bench.path("gone"), "kind": "dir"});
    let args = json!({"entries": [entry], "missing": ["/opt/old"], "exclude": [], "compress": "zstd"});
    let cx = bench.cx();
    let mut source = Files.source(&cx, &args).unwrap();
    let mut file = source.next().unwrap().unwrap();
    let error = io::copy(&mut file.body, &mut io::sink()).unwrap_err().to_string();
    drop(file);
    assert!(error.contains("status 2") && error.contains("tar"), "{error}");
    assert!(source.next().is_err(), "a failed archive must not be passed over");
    assert_eq!(source.marks(), [CleanText::new("/opt/old was not there")]);
}
