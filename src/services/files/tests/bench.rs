//! A node of its own in a temporary directory: scripts run in the local `sh`, plans are carried out step by step.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use crate::model::clock::Clock;
use crate::model::exit::{Exit, Failure};
use crate::model::ids::{HostId, ItemRef};
use crate::model::manifest::StoredFile;
use crate::model::secret::{SecretRef, SecretString, Secrets};
use crate::services::Mark;
use crate::transport::{Cancel, Dial, Duplex, End, Endpoint, Finished, Running, Script, Transport, TransportError};

/// Runs scripts here, with Lifeboat's directory on the node in a temporary one.
#[derive(Debug)]
pub struct Here {
    endpoint: Endpoint,
    pub home: String,
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
    fn again(&self, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
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

pub const RUN: &str = "20261120T184500Z-7f3a9c";

pub struct Bench {
    pub home: tempfile::TempDir,
    pub node: Here,
    host: HostId,
    cancel: Cancel,
    mark: Mark,
}

impl Bench {
    pub fn new() -> Self {
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
    pub fn cx(&self) -> Cx<'_> {
        Cx {
            host: &self.host,
            node: &self.node,
            cancel: &self.cancel,
            clock: &Still,
            secrets: &Still,
            run: Some(&self.mark),
        }
    }
    pub fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }
    /// Probes, plans a backup with `compress` and carries its capture out.
    pub fn backup(&self, text: &str, compress: &str) -> Result<(Manifest, Vec<Vec<u8>>)> {
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
    pub fn restore(&self, text: &str, manifest: &Manifest, bodies: &[Vec<u8>], last: &str) -> Result<()> {
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

pub fn stored(name: &str) -> StoredFile {
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

pub fn place() -> ItemRef {
    ItemRef { owner: "val-1".parse().unwrap(), service: "app".parse().unwrap(), item: "tree".parse().unwrap() }
}

pub fn manifest(facts: Value, files: Vec<StoredFile>) -> Manifest {
    serde_json::from_value(json!({
        "version": 1, "id": "20261120T184500Z-7f3a", "item": place(), "kind": "files", "format": "tar/1",
        "created": "2026-11-20T18:45:00Z", "run": RUN, "console": "c", "made_by": "0",
        "source": {"host": "val-1", "address": "a", "host_key": null, "clock_skew": 0, "version": null},
        "sensitivity": "secret", "copying": "live", "identities": [], "facts": facts, "marks": [], "recipients": [],
        "files": files,
    }))
    .unwrap()
}

pub fn plan(
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
