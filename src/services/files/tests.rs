//! Plans from facts, and whole round trips through a real `sh` and GNU tar.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::model::clock::Clock;
use crate::model::exit::{Exit, Failure};
use crate::model::facts::UnitFacts;
use crate::model::ids::{HostId, ItemRef, UnitName};
use crate::model::manifest::StoredFile;
use crate::model::plan::{Effect, OnLapse};
use crate::model::secret::{SecretRef, SecretString, Secrets};
use crate::services::Mark;
use crate::transport::{Cancel, Dial, Duplex, End, Endpoint, Finished, Running, Script, Transport, TransportError};

/// Runs scripts here, with Lifeboat's directory on the node in a temporary one.
#[derive(Debug)]
struct Here {
    endpoint: Endpoint,
    home: String,
}

struct Job {
    child: Child,
    stderr: std::fs::File,
    count: u64,
}

impl Read for Job {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.child.stdout.as_mut().unwrap().read(into)?;
        self.count += count as u64;
        Ok(count)
    }
}
impl Write for Job {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.child.stdin.as_mut().unwrap().write(from)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Running for Job {
    fn close_input(&mut self) -> io::Result<()> {
        self.child.stdin = None;
        Ok(())
    }
    fn finish(mut self: Box<Self>) -> Result<Finished, TransportError> {
        io::copy(&mut *self, &mut io::sink()).unwrap();
        let status = self.child.wait().unwrap();
        let mut said = Vec::new();
        self.stderr.rewind().unwrap();
        self.stderr.read_to_end(&mut said).unwrap();
        let end = status.code().map_or(End::Unknown, End::Exited);
        Ok(Finished { end, stderr: CleanText::from_bytes(&said), stdout_bytes: self.count })
    }
}

impl Transport for Here {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
    fn start(&self, script: &Script, _cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        use std::os::unix::ffi::OsStrExt;
        let stderr = tempfile::tempfile().unwrap();
        let mut process = Process::new("sh");
        process.arg("-c").arg(script.text.replace("/var/lib/lifeboat", &self.home)).arg("sh");
        process.args(script.args.iter().map(|arg| std::ffi::OsStr::from_bytes(arg)));
        process.stdin(if script.input { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped());
        let child = process.stderr(stderr.try_clone().unwrap()).spawn().unwrap();
        Ok(Box::new(Job { child, stderr, count: 0 }))
    }
    fn dial(&self, _target: &Dial, _cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        Err(TransportError::Cancelled)
    }
    fn again(&self) -> Result<Arc<dyn Transport>, TransportError> {
        Err(TransportError::Cancelled)
    }
    fn hang_up(&self) {}
}

struct Still;
impl Clock for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _span: Duration) {}
}
impl Secrets for Still {
    fn resolve(&self, _wanted: &SecretRef, _purpose: &str) -> Result<SecretString, String> {
        Err("there are none".into())
    }
}

const RUN: &str = "20261120T184500Z-7f3a9c";

struct Bench {
    home: tempfile::TempDir,
    node: Here,
    host: HostId,
    cancel: Cancel,
    mark: Mark,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("lifeboat/runs").join(RUN);
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(run.join("owner"), "console 1").unwrap();
        let mark = Mark { run: RUN.parse().unwrap(), owner: "console 1".into() };
        let node = Here {
            endpoint: Endpoint { name: "val-1".into(), ..Endpoint::default() },
            home: home.path().join("lifeboat").to_str().unwrap().to_owned(),
        };
        Self { home, node, host: "val-1".parse().unwrap(), cancel: Cancel::new(), mark }
    }
    fn cx(&self) -> Cx<'_> {
        Cx {
            host: &self.host,
            node: &self.node,
            cancel: &self.cancel,
            clock: &Still,
            secrets: &Still,
            run: Some(&self.mark),
        }
    }
    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }
    /// Probes, plans a backup with `compress` and carries its capture out.
    fn backup(&self, text: &str, compress: &str) -> Result<(Manifest, Vec<Vec<u8>>)> {
        let settings = Files.settings(&text.parse().unwrap()).unwrap();
        let facts = Files.probe(&self.cx(), &settings)?;
        let item = Files.items(&facts).remove(0);
        assert_eq!(item.standing, Standing::Ready);
        let draft = plan(&settings, &facts, &item, None, &[("compress", compress)])?;
        let cx = self.cx();
        let mut source = Files.source(&cx, &draft.steps[0].args["source"])?;
        let (mut files, mut bodies) = (Vec::new(), Vec::new());
        while let Some(mut file) = source.next()? {
            let mut body = Vec::new();
            file.body.read_to_end(&mut body).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
            files.push(stored(&file.name));
            bodies.push(body);
        }
        assert_eq!(source.marks(), Vec::<CleanText>::new());
        let mut facts = item.facts;
        for (key, value) in source.learned() {
            facts[key] = value;
        }
        Ok((manifest(facts, files), bodies))
    }
    /// Plans a restore and carries out its steps up to `last`.
    fn restore(&self, text: &str, manifest: &Manifest, bodies: &[Vec<u8>], last: &str) -> Result<()> {
        let settings = Files.settings(&text.parse().unwrap()).unwrap();
        let facts = Files.probe(&self.cx(), &settings)?;
        let item = Files.items(&facts).remove(0);
        let draft = plan(&settings, &facts, &item, Some(manifest), &[])?;
        let cx = self.cx();
        for step in &draft.steps {
            let args: Value = serde_json::from_str(&step.args.to_string().replace("{run}", RUN)).unwrap();
            if step.op == crate::services::common::DELIVER {
                let mut sink = Files.sink(&cx, &args["sink"])?;
                for (file, body) in manifest.files.iter().zip(bodies) {
                    sink.put(file, &mut &body[..])?;
                }
                sink.finish()?;
            } else {
                let op = crate::services::op(&step.op)?;
                let crate::services::Now::Todo(before) = op.observe(&cx, &args, None)? else { panic!("{}", step.id) };
                op.run(&cx, &args, &before)?;
            }
            if step.id.as_str() == last {
                break;
            }
        }
        Ok(())
    }
}

fn stored(name: &str) -> StoredFile {
    StoredFile {
        name: name.into(),
        origin: name.into(),
        mode: None,
        owner: None,
        group: None,
        plain_size: 0,
        plain_sha256: None,
        stored_name: name.into(),
        stored_size: 0,
        stored_sha256: String::new(),
    }
}

fn place() -> ItemRef {
    ItemRef { owner: "val-1".parse().unwrap(), service: "app".parse().unwrap(), item: "tree".parse().unwrap() }
}

fn manifest(facts: Value, files: Vec<StoredFile>) -> Manifest {
    serde_json::from_value(json!({
        "version": 1, "id": "20261120T184500Z-7f3a", "item": place(), "kind": "files", "format": "tar/1",
        "created": "2026-11-20T18:45:00Z", "run": RUN, "console": "c", "made_by": "0",
        "source": {"host": "val-1", "address": "a", "host_key": null, "clock_skew": 0, "version": null},
        "sensitivity": "secret", "copying": "live", "identities": [], "facts": facts, "marks": [], "recipients": [],
        "files": files,
    }))
    .unwrap()
}

fn plan(
    settings: &Value,
    facts: &Facts,
    item: &Item,
    manifest: Option<&Manifest>,
    set: &[(&str, &str)],
) -> Result<Draft> {
    let host: HostId = "val-1".parse().unwrap();
    let place = place();
    let command = match manifest {
        None => Command::Backup { item: place.clone(), reason: None },
        Some(from) => Command::Restore { item: place.clone(), snapshot: from.id.clone(), to: host.clone() },
    };
    let chosen = set.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>();
    let ask = Ask {
        command: &command,
        host: &host,
        settings,
        facts,
        item,
        place: &place,
        manifest,
        sightings: &[],
        chosen: &chosen,
    };
    Files.plan(&ask)
}

/// Facts as if the probe had found `/srv/app` and, when `running`, its unit at work.
fn found(text: &str, running: bool) -> (Value, Facts, Item) {
    let settings = Files.settings(&text.parse().unwrap()).unwrap();
    let read = settings::read(&settings).unwrap();
    let mut own = Own { held_still: read.quiesce.is_some(), ..Own::default() };
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
