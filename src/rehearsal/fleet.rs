//! The nodes of one fleet with their servers, and the console installation that knows them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::calls;
use super::cast::{CAST, CLUSTER, PAST, Role, inventory};
use super::exercise::val_1_is_gone;
use super::faults::Damage;
use super::ground::Ground;
use super::http::serve as serve_http;
use super::node::Node;
use super::server::{Backend, Dialled, KeyPair, Server, Stream, Target};
use super::stand_ins::{Part, StandIn, serves, stand_ins};
use crate::config::paths::{Paths, create_private_dir};
use crate::config::set_vault_id;
use crate::engine::capture::vault_failure;
use crate::engine::practice::{Exercise, Fault};
use crate::engine::scan::{check_service, in_parallel};
use crate::engine::world::{SystemClock, SystemEntropy};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::inventory::Inventory;
use crate::transport::known_hosts::{HostKey, append};
use crate::vault::{Vault, make_key};

/// The threads that serve all nodes.
const SERVERS: usize = 2;

/// One node with everything around it.
pub struct Player {
    /// What it plays.
    pub role: &'static Role,
    /// The node.
    pub node: Arc<Node>,
    /// Its SSH server.
    pub server: Server,
    /// The key it is known by.
    pub host_key: KeyPair,
    /// The stand-in of its service.
    pub stand_in: Arc<dyn StandIn>,
    /// The faults in force, each with its way back.
    pub damage: Mutex<BTreeMap<Fault, Damage>>,
}

impl Player {
    /// The faults in force.
    pub fn damage(&self) -> MutexGuard<'_, BTreeMap<Fault, Damage>> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a node's service is laid out from.
    pub fn part(&self) -> Part {
        part(self.role)
    }
}

/// A fleet that runs.
pub struct Fleet {
    players: Vec<Player>,
    paths: Paths,
    exercise: Exercise,
    runtime: Option<tokio::runtime::Runtime>,
    // Last, so that everything that lies in it has ended before it goes.
    ground: Ground,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // A node is also held by those it serves, who may let it go later than the ground does.
        for player in &self.players {
            player.node.end();
        }
        self.players.clear();
        if let Some(runtime) = self.runtime.take() {
            // Waiting for it would be refused to a caller inside another runtime.
            runtime.shutdown_background();
        }
    }
}

fn part(role: &Role) -> Part {
    let member = CLUSTER.1.contains(&role.name);
    Part {
        host: role.name.to_owned(),
        cluster: member.then(|| CLUSTER.0.to_owned()),
        members: if member { CLUSTER.1.map(str::to_owned).to_vec() } else { Vec::new() },
        runs: role.runs,
        past_ended: past_ended(role.name),
    }
}

/// When the newest copy of a node's was made, in hours; it has lived up to then.
fn past_ended(name: &str) -> Option<u64> {
    let is_own = |place: &str| place.split('/').next() == Some(name);
    let mut moments = PAST.iter().filter(|moment| moment.backups.iter().any(|place| is_own(place)));
    moments.next_back().and_then(|moment| u64::try_from(moment.hours).ok())
}

fn cannot(what: &str) -> impl Fn(io::Error) -> Failure {
    let what = what.to_owned();
    move |error| Failure::new(Exit::Failed, format!("{what}: {error}."))
}

impl Fleet {
    /// Starts every node and its server, and installs a console that knows them.
    ///
    /// # Errors
    /// When the machine refuses namespaces, a port or room on its disk.
    pub fn start(ground: Ground) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(SERVERS)
            .thread_name("practice fleet")
            .enable_all()
            .build()
            .map_err(cannot("The practice fleet cannot be served"))?;
        let home = ground.path().join("console");
        let paths = Paths {
            config_dir: home.join("config"),
            data_dir: home.join("data"),
            state_dir: home.join("data/state"),
            home,
        };
        create_private_dir(&paths.config_dir)?;
        create_private_dir(&paths.data_dir)?;
        let login = KeyPair::generate().map_err(cannot("A login key cannot be made"))?;
        let known = stand_ins();
        let makes = |role: &&'static Role| player(role, &known, &ground, &runtime, &login);
        let roles: Vec<&'static Role> = CAST.iter().collect();
        let players = in_parallel(&roles, 4, makes).into_iter().collect::<Result<Vec<_>>>()?;
        let fleet = Self { players, paths, exercise: val_1_is_gone()?, runtime: Some(runtime), ground };
        fleet.install(&login)?;
        Ok(fleet)
    }

    /// The console's directories.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The exercise that is played on it.
    pub fn exercise(&self) -> &Exercise {
        &self.exercise
    }

    /// Where its vault is.
    pub fn vault_path(&self) -> PathBuf {
        self.ground.path().join("vault")
    }

    /// Every node.
    pub fn players(&self) -> &[Player] {
        &self.players
    }

    /// One node.
    ///
    /// # Errors
    /// When it is not of this fleet.
    pub fn player(&self, host: &HostId) -> Result<&Player> {
        self.players.iter().find(|player| player.node.id == *host).ok_or_else(|| {
            let known: Vec<_> = CAST.iter().map(|role| role.name).collect();
            Failure::new(Exit::Nothing, format!("There is no practice node '{host}'."))
                .hint(format!("Practice nodes: {}.", known.join(", ")))
        })
    }

    /// The inventory as the console reads it.
    ///
    /// # Errors
    /// When somebody has broken it.
    pub fn inventory(&self) -> Result<Inventory> {
        let path = self.paths.config_dir.join("inventory.toml");
        let loaded = crate::config::load_checked(&path, &self.paths.home, &check_service);
        Ok(loaded.map_err(|errors| crate::config::failure(&errors))?.inventory)
    }

    /// Writes what a console of its own needs: keys, inventory, host keys, an empty vault.
    fn install(&self, login: &KeyPair) -> Result<()> {
        let config = &self.paths.config_dir;
        let login_key = config.join("login.key");
        let text = login.private_text().map_err(cannot("The login key cannot be written"))?;
        write_private(&login_key, text.as_bytes())?;
        let key = config.join("key.txt");
        let made = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let recipient = make_key(&key, &made).map_err(|error| vault_failure(&error))?;
        let ports: Vec<(&str, u16)> =
            self.players.iter().map(|player| (player.role.name, player.server.port())).collect();
        let shown = |path: &std::path::Path| path.display().to_string();
        let text = inventory(&ports, &shown(&self.vault_path()), &recipient, &shown(&key), &shown(&login_key));
        let path = config.join("inventory.toml");
        write_private(&path, text.as_bytes())?;
        for player in &self.players {
            let key = player.host_key.public_blob().map_err(cannot("A host key cannot be written"))?;
            let key = HostKey::from_blob(&key)
                .ok_or_else(|| Failure::new(Exit::Failed, "A host key of the practice fleet cannot be read."))?;
            append(&self.paths.known_hosts(), "127.0.0.1", player.server.port(), &key)
                .map_err(cannot("The host keys cannot be written"))?;
        }
        let vault = Vault::create(&self.vault_path(), &[recipient], &SystemClock::default(), &SystemEntropy)
            .map_err(|error| vault_failure(&error))?;
        let digest = crate::config::load_checked(&path, &self.paths.home, &check_service)
            .map_err(|errors| crate::config::failure(&errors))?
            .digest;
        set_vault_id(&path, &digest, vault.id()).map(|_| ())
    }
}

fn write_private(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| file.write_all(bytes));
    made.map_err(cannot(&format!("{} cannot be written", path.display())))
}

fn player(
    role: &'static Role,
    known: &[Arc<dyn StandIn>],
    ground: &Ground,
    runtime: &tokio::runtime::Runtime,
    login: &KeyPair,
) -> Result<Player> {
    let stand_in = known.iter().find(|stand_in| stand_in.kind() == role.kind).cloned().ok_or_else(|| {
        Failure::new(Exit::Failed, format!("There is no stand-in for services of kind '{}'.", role.kind))
    })?;
    let id = HostId::new(role.name).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let dir = ground.path().join("nodes").join(role.name);
    let node = Arc::new(Node::lay(id, dir, |image| stand_in.lay(image, &part(role)))?);
    calls::listen(runtime.handle(), &node, Arc::clone(&stand_in)).map_err(cannot("A practice node cannot call"))?;
    node.start()?;
    let host_key = KeyPair::generate().map_err(cannot("A host key cannot be made"))?;
    let backend = Arc::new(Inside { node: Arc::clone(&node), stand_in: Arc::clone(&stand_in) });
    let server = Server::start(runtime.handle(), backend, &host_key, "root", login)
        .map_err(cannot("A practice node cannot be reached"))?;
    Ok(Player { role, node, server, host_key, stand_in, damage: Mutex::default() })
}

/// What a login on a practice node reaches.
struct Inside {
    node: Arc<Node>,
    stand_in: Arc<dyn StandIn>,
}

impl Backend for Inside {
    fn login(&self, line: &[u8]) -> io::Result<Vec<OsString>> {
        self.node.login(line).map_err(|failure| io::Error::other(failure.message))
    }

    fn dial(&self, target: Target) -> Dialled {
        let memory = self.node.stub("memory").join(self.stand_in.unit());
        let stand_in = Arc::clone(&self.stand_in);
        Box::pin(async move {
            let Target::Tcp(host, port) = target else { return Err(io::ErrorKind::ConnectionRefused.into()) };
            let is_here = matches!(host.as_str(), "127.0.0.1" | "localhost" | "::1");
            if !is_here || stand_in.port() != Some(port) || !serves(&memory) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (near, far) = tokio::io::duplex(64 * 1024);
            // What the other end does wrong, it sees as the connection's end.
            tokio::spawn(serve_http(far, move |asked| stand_in.answer(&memory, &asked)));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}
