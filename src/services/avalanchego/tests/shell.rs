//! The driver's scripts in a real shell, on files of a temporary directory.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::AvalancheGo;
use super::super::facts::Own;
use crate::model::clock::Clock;
use crate::model::exit::Exit;
use crate::model::ids::{HostId, RunId};
use crate::model::item::Standing;
use crate::model::manifest::StoredFile;
use crate::model::secret::{SecretRef, SecretString, Secrets};
use crate::model::text::CleanText;
use crate::services::common::own_facts;
use crate::services::{Cx, Driver, Mark};
use crate::transport::{Cancel, Dial, Duplex, End, Endpoint, Finished, Running, Script, Transport, TransportError};

const NODE_ID: &str = "NodeID-7xgWjUSFbVFrdET1qh5LPyvDLb5Ppfg2";
const CERT: &[u8] = include_bytes!("../../../../tests/fixtures/services/avalanchego/staker.crt");

/// A login that is this machine, with Lifeboat's directory and systemd played by the temporary one.
#[derive(Debug)]
struct Shell {
    endpoint: Endpoint,
    dir: PathBuf,
}

struct Process(Child, u64);

impl Transport for Shell {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
    fn start(&self, script: &Script, _: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        let mut text = script.text.replace("/var/lib/lifeboat", self.dir.join("lifeboat").to_str().unwrap());
        if self.dir.join("proc").exists() {
            text = text.replace("/proc/", &format!("{}/", self.dir.join("proc").display()));
        }
        let path = format!("{}:{}", self.dir.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("/bin/sh");
        command.env("PATH", path).args(["-c", &text, "lifeboat"]);
        command.args(script.args.iter().map(|arg| OsString::from_vec(arg.clone())));
        let input = if script.input { Stdio::piped() } else { Stdio::null() };
        let child = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Ok(Box::new(Process(child, 0)))
    }
    fn dial(&self, _: &Dial, _: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        Err(TransportError::Refused { host: "val-1".into(), what: "a port".into(), why: "nobody listens".into() })
    }
    fn again(&self, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        Err(TransportError::Cancelled)
    }
    fn hang_up(&self) {}
}
impl Read for Process {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.stdout.as_mut().unwrap().read(buffer)?;
        self.1 += count as u64;
        Ok(count)
    }
}
impl Write for Process {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.stdin.as_mut().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Running for Process {
    fn close_input(&mut self) -> io::Result<()> {
        self.0.stdin = None;
        Ok(())
    }
    fn finish(mut self: Box<Self>) -> Result<Finished, TransportError> {
        let mut stderr = Vec::new();
        self.0.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        let end = End::Exited(self.0.wait().unwrap().code().unwrap_or(-1));
        Ok(Finished { end, stderr: CleanText::from_bytes(&stderr), stdout_bytes: self.1 })
    }
}

struct Still;
impl Clock for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) {}
}
impl Secrets for Still {
    fn resolve(&self, _: &SecretRef, _: &str) -> Result<SecretString, String> {
        Err("there are none".to_owned())
    }
}

/// A node: files, a process started with `flags`, and a systemd that knows it.
struct Node {
    root: tempfile::TempDir,
    process: Child,
}
impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
impl Node {
    fn new(flags: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = root.path();
        for dir in ["bin", "data/staking", "data/configs/chains/C", "lifeboat/runs/r1"] {
            std::fs::create_dir_all(at.join(dir)).unwrap();
        }
        std::fs::write(at.join("lifeboat/runs/r1/owner"), "me 1\n").unwrap();
        std::fs::write(at.join("data/staking/staker.crt"), CERT).unwrap();
        std::fs::write(at.join("data/staking/staker.key"), b"secret key").unwrap();
        std::fs::write(at.join("data/staking/signer.key"), b"raw\nbytes").unwrap();
        std::fs::write(at.join("data/configs/chains/C/config.json"), b"{}").unwrap();
        std::fs::write(at.join("avalanchego"), "read never\n").unwrap();
        let mut command = Command::new("/bin/sh");
        command.arg(at.join("avalanchego")).args(flags.iter().map(|flag| flag.replace("{root}", at.to_str().unwrap())));
        let process = command.env("HOME", at).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stub = format!(
            "#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState=active\\nMainPID={}\\nFragmentPath=/etc/systemd/system/avalanchego.service\\n'\n",
            process.id()
        );
        std::fs::write(at.join("bin/systemctl"), stub).unwrap();
        std::fs::set_permissions(at.join("bin/systemctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { root, process }
    }
    fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside)
    }
    fn with<T>(&self, work: impl FnOnce(&Cx) -> T) -> T {
        let shell =
            Shell { endpoint: Endpoint { name: "val-1".into(), ..Endpoint::default() }, dir: self.root.path().into() };
        let mark = Mark { run: RunId::new("r1").unwrap(), owner: "me 1".to_owned() };
        let (host, cancel) = (HostId::new("val-1").unwrap(), Cancel::new());
        work(&Cx { host: &host, node: &shell, cancel: &cancel, clock: &Still, secrets: &Still, run: Some(&mark) })
    }
    fn probe(&self) -> crate::model::facts::Facts {
        let settings = AvalancheGo.settings(&toml::Table::new()).unwrap();
        self.with(|cx| AvalancheGo.probe(cx, &settings)).unwrap()
    }
}

fn owner() -> String {
    let of = |flag: &str| {
        String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned()
    };
    format!("{}:{}", of("-un"), of("-gn"))
}

fn stored(name: &str) -> StoredFile {
    StoredFile {
        name: name.to_owned(),
        origin: "/x".into(),
        mode: None,
        owner: None,
        group: None,
        plain_size: 0,
        plain_sha256: None,
        stored_name: name.to_owned(),
        stored_size: 0,
        stored_sha256: String::new(),
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_running_node_is_read_from_its_process_and_its_files() {
    let node = Node::new(&["--config-file", "{root}/node.json", "--staking-tls-key-file-content", "U0VDUkVU"]);
    let config =
        format!("{{\n \"data-dir\": \"{0}/data\",\n \"public-ip\": \"203.0.113.9\" }}", node.root.path().display());
    std::fs::write(node.path("node.json"), config).unwrap();
    let facts = node.probe();
    let own: Own = own_facts(&facts).unwrap();
    assert_eq!(own.disk_node_id.as_deref(), Some(NODE_ID));
    assert_eq!(facts.identities[0].value, NODE_ID);
    assert_eq!(own.public_ip.as_deref(), Some("203.0.113.9"));
    assert_eq!(Path::new(own.path("signer_key")), node.path("data/staking/signer.key"));
    assert_eq!(own.seen("signer_key").map(|seen| seen.size), Some(9));
    assert!(own.staking_dir_alone && own.running && own.staking_room.is_some());
    assert!(own.api.silent.starts_with("not answering"), "{}", own.api.silent);
    assert!(own.obstacle.is_some() && own.inline_keys);
    let shown = serde_json::to_string(&facts).unwrap();
    assert!(!shown.contains("U0VDUkVU") && !shown.contains("secret key"), "{shown}");
}

/// The unit is down, and a node runs on the same host as the process of another unit, as its child, or as nobody's.
#[test]
fn the_process_of_another_unit_is_another_node() {
    for (pid, parent, is_other) in [("70", "1", true), ("71", "70", true), ("72", "1", false)] {
        let node = Node::new(&[]);
        let process = format!("proc/{pid}");
        std::fs::create_dir_all(node.path(&process)).unwrap();
        std::fs::create_dir_all(node.path("proc/self")).unwrap();
        let write = |name: &str, text: String| std::fs::write(node.path(&process).join(name), text).unwrap();
        write("comm", "avalanchego\n".to_owned());
        write("cgroup", "0::/system.slice/avalanchego-fuji.service\n".to_owned());
        write("status", format!("Name:\tavalanchego\nPPid:\t{parent}\n"));
        write("cmdline", format!("avalanchego\0--data-dir={}\0--network-id=fuji\0", node.path("data").display()));
        write("environ", String::new());
        let stub = "#!/bin/sh\ncase \"$*\" in\n*--value*fuji*) echo 70;;\n\
                    *) printf 'LoadState=loaded\\nActiveState=failed\\nMainPID=0\\nUser=root\\n';;\nesac\n";
        std::fs::write(node.path("bin/systemctl"), stub).unwrap();
        let facts = node.probe();
        let own: Own = own_facts(&facts).unwrap();
        let found = (own.running, own.stray.is_some(), own.network.as_str(), own.disk_node_id.is_some());
        let wanted = if is_other { (false, false, "mainnet", false) } else { (true, true, "fuji", true) };
        assert_eq!(found, wanted, "pid {pid}: {facts:?}");
        let named = facts.notes.iter().any(|note| note.as_str().contains("runs under avalanchego-fuji.service"));
        assert_eq!(named, is_other, "{:?}", facts.notes);
    }
}

#[test]
fn a_link_that_leads_out_of_a_directory_is_told() {
    let node = Node::new(&["--data-dir={root}/data"]);
    let chains = node.path("data/configs/chains");
    std::fs::write(node.path("shared.json"), "{}").unwrap();
    std::os::unix::fs::symlink("../../../shared.json", chains.join("out.json")).unwrap();
    std::os::unix::fs::symlink("C/config.json", chains.join("in.json")).unwrap();
    node.with(|cx| {
        let args = json!({"read": "tree", "dir": chains, "paths": ["."]});
        let mut source = AvalancheGo.source(cx, &args).unwrap();
        std::io::copy(&mut source.next().unwrap().unwrap().body, &mut std::io::sink()).unwrap();
        source.learned();
        let shared = node.path("shared.json").canonicalize().unwrap();
        let mark = format!("out.json leads to {}, and only the link is copied", shared.display());
        assert_eq!(source.marks(), [CleanText::new(&mark)]);
    });
}

#[test]
fn what_is_read_off_a_node_can_be_put_back_on_one() {
    let node = Node::new(&["--data-dir={root}/data"]);
    let facts = node.probe();
    let items = AvalancheGo.items(&facts);
    assert_eq!(items[0].standing, Standing::Ready);
    let own: Own = own_facts(&facts).unwrap();
    let files = json!({"read": "files", "files": [["staker.crt", own.path("staking_cert")], ["signer.key", own.path("signer_key")]]});
    let new = node.path("data/.staking.new");
    let to = json!({"staker.crt": new.join("staker.crt"), "signer.key": new.join("signer.key")});
    let sink = json!({"write": "files", "dir": new, "files": to, "owner": owner()});
    node.with(|cx| {
        let mut source = AvalancheGo.source(cx, &files).unwrap();
        let mut sink = AvalancheGo.sink(cx, &sink).unwrap();
        while let Some(mut file) = source.next().unwrap() {
            sink.put(&stored(&file.name), &mut file.body).unwrap();
        }
        sink.finish().unwrap();
    });
    assert_eq!(std::fs::read(new.join("staker.crt")).unwrap(), CERT);
    assert_eq!(std::fs::read(new.join("signer.key")).unwrap(), b"raw\nbytes");
    assert_eq!((mode(&new), mode(&new.join("signer.key"))), (0o700, 0o400));
}

#[test]
fn a_directory_travels_as_an_archive() {
    let node = Node::new(&["--data-dir={root}/data"]);
    let (work, to) = (node.path("data/configs/.work"), node.path("data/configs/.chains.new"));
    let sink = json!({"write": "tree", "work": work, "picks": [[".", to]], "owner": owner()});
    node.with(|cx| {
        let args = json!({"read": "tree", "dir": node.path("data/configs/chains"), "paths": ["."], "sums": true});
        let mut source = AvalancheGo.source(cx, &args).unwrap();
        let mut sink = AvalancheGo.sink(cx, &sink).unwrap();
        let mut file = source.next().unwrap().unwrap();
        sink.put(&stored("tree.tar"), &mut file.body).unwrap();
        drop(file);
        assert!(source.next().unwrap().is_none());
        assert_eq!(source.learned()["sha256"]["C/config.json"].as_str().map(str::len), Some(64));
        sink.finish().unwrap();
    });
    assert_eq!(std::fs::read(to.join("C/config.json")).unwrap(), b"{}");
    assert!(!work.exists());
}

#[test]
fn bytes_that_are_not_the_snapshot_s_are_refused_and_so_is_another_console() {
    let node = Node::new(&["--data-dir={root}/data"]);
    let new = node.path("data/.staking.new");
    let args = json!({"write": "files", "dir": new, "files": {"staker.crt": new.join("staker.crt")}, "owner": owner()});
    node.with(|cx| {
        let mut sink = AvalancheGo.sink(cx, &args).unwrap();
        let other = StoredFile { plain_sha256: Some("00".to_owned()), ..stored("staker.crt") };
        assert_eq!(sink.put(&other, &mut &b"x"[..]).unwrap_err().exit, Exit::Integrity);
        assert!(sink.put(&stored("evil"), &mut &b"x"[..]).is_err());
    });
    std::fs::write(node.path("lifeboat/runs/r1/owner"), "other 2\n").unwrap();
    node.with(|cx| assert!(AvalancheGo.sink(cx, &args).is_err()));
}
