//! A vault, two consoles and sandboxed nodes: whole runs through the engine as the program makes them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat::engine::board::Board;
use lifeboat::engine::links::{Dialer, Links};
use lifeboat::engine::runs::Runs;
use lifeboat::engine::scan::Prober;
use lifeboat::engine::world::SystemEntropy;
use lifeboat::model::clock::Clock;
use lifeboat::model::ids::{HostId, ServiceName};
use lifeboat::model::inventory::{Access, Host, Inventory, Policy, ServiceEntry};
use lifeboat::model::secret::{SecretRef, SecretString, Secrets};
use lifeboat::transport::{Cancel, Endpoint, Transport, TransportError};
use lifeboat::vault::{ConsoleKey, Keys, Sealing, Vault};
use sha2::{Digest, Sha256};

use super::Node;
use super::fixtures::Fixture;
use super::shell::Shell;
use super::tripwire::{Tripwire, Wire};
use super::untrue::Liar;

/// The real time of day; waiting costs nothing.
#[derive(Default)]
struct Patient(Mutex<Duration>);
impl Clock for Patient {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    fn sleep(&self, span: Duration) {
        *self.0.lock().unwrap() += span;
    }
}

/// What the environment is asked for is its own name; nothing else is known.
struct Named;
impl Secrets for Named {
    fn resolve(&self, wanted: &SecretRef, purpose: &str) -> Result<SecretString, String> {
        match wanted {
            SecretRef::Env(name) => Ok(name.as_str().into()),
            _ => Err(format!("no secret for {purpose}")),
        }
    }
}

/// A vault and two consoles that work on it.
pub struct World {
    dir: tempfile::TempDir,
    pub vault: Vault,
    sealing: Sealing,
    pub key_file: PathBuf,
    consoles: [ConsoleKey; 2],
}

impl World {
    pub fn new() -> Self {
        let dir = super::in_memory();
        let (key_file, public) = crate::vault::new_key(dir.path(), "key.txt");
        let vault = Vault::create(&dir.path().join("vault"), &[public], &Patient::default(), &SystemEntropy).unwrap();
        let console = |name| ConsoleKey::load_or_create(&dir.path().join(name), &SystemEntropy).unwrap();
        let consoles = [console("first"), console("second")];
        Self { sealing: Sealing::to(vault.recipients()).unwrap(), vault, key_file, consoles, dir }
    }

    /// Another world that holds the same snapshots.
    pub fn new_from(base: &Self) -> Self {
        let dir = super::in_memory();
        crate::vault::image(base.dir.path(), dir.path());
        for entry in walkdir::WalkDir::new(dir.path()) {
            let entry = entry.unwrap();
            let mode = if entry.file_type().is_dir() { 0o700 } else { 0o600 };
            let mode: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(entry.path(), mode).unwrap();
        }
        let vault = Vault::open(&dir.path().join("vault"), None).unwrap();
        let console = |name| ConsoleKey::load_or_create(&dir.path().join(name), &SystemEntropy).unwrap();
        let consoles = [console("first"), console("second")];
        Self {
            sealing: Sealing::to(vault.recipients()).unwrap(),
            vault,
            key_file: dir.path().join("key.txt"),
            consoles,
            dir,
        }
    }

    /// The directories of all runs.
    pub fn runs(&self) -> Vec<PathBuf> {
        self.vault.runs().unwrap()
    }

    /// The keys that open the vault.
    pub fn keys(&self) -> Keys {
        let mut keys = Keys::none();
        keys.add_file(&self.key_file, &|_| None).unwrap();
        keys
    }

    /// Lets a console work: the first (0) or the other one (1).
    pub fn with<T>(&self, console: usize, fleet: &Fleet, work: impl FnOnce(&Runs, &Prober) -> T) -> T {
        let inventory = fleet.inventory();
        let links = Links::new(fleet, &inventory);
        let cancel = Cancel::new();
        *fleet.wire.cancel.lock().unwrap() = Some(cancel.clone());
        let clock: Arc<dyn Clock> = Arc::new(Patient::default());
        let keys = self.keys();
        let prober = Prober {
            inventory: &inventory,
            links: &links,
            clock: clock.clone(),
            secrets: Arc::new(Named),
            cancel: cancel.clone(),
        };
        let runs = Runs {
            inventory: &inventory,
            vault: &self.vault,
            sealing: &self.sealing,
            keys: &keys,
            console: &self.consoles[console],
            links: &links,
            clock,
            entropy: Arc::new(SystemEntropy),
            secrets: Arc::new(Named),
            board: fleet.wire.board.clone().unwrap_or_default(),
            cancel,
        };
        work(&runs, &prober)
    }
}

/// Nodes by name, one service on each, and the wire to all of them.
pub struct Fleet<'n> {
    pub fixture: &'static dyn Fixture,
    pub nodes: Vec<(&'static str, &'n Node)>,
    /// Those of them that nobody reaches.
    pub silent: Vec<&'static str>,
    pub wire: Arc<Wire>,
}

impl<'n> Fleet<'n> {
    /// Nothing trips.
    pub fn sound(fixture: &'static dyn Fixture, nodes: &[(&'static str, &'n Node)]) -> Self {
        let wire = Wire { board: Some(Arc::<Board>::default()), ..Wire::default() };
        Self { fixture, nodes: nodes.to_vec(), silent: Vec::new(), wire: Arc::new(wire) }
    }

    fn inventory(&self) -> Inventory {
        let hosts = self.nodes.iter().map(|(name, _)| {
            let id = HostId::new(*name).unwrap();
            let service = ServiceName::new(self.fixture.kind()).unwrap();
            let entry = ServiceEntry {
                name: service.clone(),
                kind: self.fixture.kind().to_owned(),
                settings: self.fixture.settings().parse().unwrap(),
                lines: BTreeMap::new(),
                policy: Policy::default(),
            };
            let host = Host {
                id: id.clone(),
                access: Access::default(),
                groups: vec![],
                formerly: vec![],
                services: BTreeMap::from([(service, entry)]),
                policy: Policy::default(),
            };
            (id, host)
        });
        Inventory { hosts: hosts.collect(), ..Inventory::default() }
    }
}

impl Dialer for Fleet<'_> {
    fn connect(&self, host: &Host, _: &Inventory, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        let (_, node) = self.nodes.iter().find(|(name, _)| *name == host.id.as_str()).unwrap();
        if self.silent.contains(&host.id.as_str()) {
            return Err(TransportError::Unreachable { host: host.id.to_string(), why: "the test took it away".into() });
        }
        let endpoint = Endpoint { name: host.id.to_string(), ..Endpoint::default() };
        let shell = Shell { endpoint, prefix: node.prefix(), service: Some((self.fixture, node.path("/"))) };
        if self.wire.dead.load(Ordering::SeqCst) {
            return Err(TransportError::Lost { host: host.id.to_string(), why: "this console is dead".into() });
        }
        let inner: Arc<dyn Transport> = match &self.wire.mouth {
            Some(mouth) => Arc::new(Liar { inner: shell, mouth: mouth.clone() }),
            None => Arc::new(shell),
        };
        Ok(Arc::new(Tripwire { inner, wire: self.wire.clone(), cut: Arc::default(), counts: true }))
    }
}

/// Everything a service stands on at a node, in one text: files, links, owners, modes, and its own inner state. What is
/// Lifeboat's is left out; [`Node::leftovers`] tells that.
pub fn digest(fixture: &dyn Fixture, node: &Node) -> String {
    use std::os::unix::fs::MetadataExt;
    let root = node.path("/");
    let mut text = format!("{}\n", fixture.state(&root));
    let is_the_node_s = |entry: &walkdir::DirEntry| {
        let path = entry.path().strip_prefix(&root).unwrap().to_str().unwrap();
        let top = path.split('/').next().unwrap();
        !["usr", "proc", "dev", "stub", "tmp", "run"].contains(&top)
            && path != "var/lib/lifeboat"
            && !entry.file_name().to_str().unwrap().contains("lifeboat-")
            && !path.ends_with(".service.d")
    };
    let walk = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().filter_entry(is_the_node_s);
    for entry in walk {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        let path = entry.path();
        let what = if meta.is_symlink() {
            format!("-> {}", std::fs::read_link(path).unwrap().display())
        } else if meta.is_file() {
            format!("{:?}", Sha256::digest(std::fs::read(path).unwrap()))
        } else {
            String::new()
        };
        let place = path.strip_prefix(&root).unwrap().display();
        text += &format!("{place} {:o} {}:{} {what}\n", meta.mode(), meta.uid(), meta.gid());
    }
    text
}
