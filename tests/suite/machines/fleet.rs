//! A fleet: one private network on the host, the operator's key, and the machines on it.

use super::host::{host, random_hex};
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

/// The private network of one test process. Machines keep what they need of it, so the network
/// goes away with the last of the fleet and its machines. A killed test process is cleared away
/// by the fleet's keeper (`tests/machines/keeper`), and a killed keeper by the next one.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<Ground>);

/// What all machines of a fleet stand on.
#[derive(Debug)]
pub(super) struct Ground {
    keeper: Child,
    slot: u8,
    next: AtomicU8,
    /// The base image.
    pub(super) base: PathBuf,
    /// Where the built servers lie.
    pub(super) bin: PathBuf,
    /// Where the machines' disks go.
    pub(super) disks: PathBuf,
    /// The password of `opspw` on every machine of this fleet.
    pub(super) password: String,
    keys: tempfile::TempDir,
}

impl Fleet {
    /// The fleet all tests of this process share: made at the first call, cleared away when the
    /// process ends, however it ends.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Fleet> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a fleet of its own: runs `tests/machines/prepare` (which builds what is missing and
    /// says so), takes a network nobody uses, and makes the operator's key.
    pub fn start() -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines");
        let prepared = Command::new(scripts.join("prepare"))
            .stderr(Stdio::inherit())
            .output()
            .expect("start tests/machines/prepare");
        assert!(prepared.status.success(), "tests/machines/prepare failed: it said why above");
        let told = String::from_utf8(prepared.stdout).expect("paths in UTF-8");
        let path_of = |key: &str| {
            told.lines()
                .find_map(|line| line.strip_prefix(key))
                .map_or_else(|| panic!("prepare did not tell {key}"), PathBuf::from)
        };
        let (base, bin) = (path_of("base="), path_of("bin="));
        let state =
            std::env::var_os("LIFEBOAT_MACHINES_DIR").map_or_else(|| base.with_file_name("machines"), PathBuf::from);

        let mut keeper = Command::new(scripts.join("keeper"))
            .arg(&state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // an interrupt at the terminal ends the tests, not the clearing up
            .spawn()
            .expect("start tests/machines/keeper");
        let mut line = String::new();
        let out = keeper.stdout.take().expect("stdout is piped");
        BufReader::new(out).read_line(&mut line).expect("the keeper's answer");
        let slot = line
            .trim()
            .strip_prefix("slot=")
            .and_then(|n| n.parse::<u8>().ok())
            .expect("tests/machines/keeper found no free slot: it needs root");

        let keys = tempfile::Builder::new().prefix("lb-keys-").tempdir().expect("a private directory");
        let key = keys.path().join("id_ed25519");
        host("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "lifeboat-test", "-f", &key.to_string_lossy()]);
        Self(Arc::new(Ground {
            keeper,
            slot,
            next: AtomicU8::new(0),
            disks: state.join(format!("slot-{slot}")),
            base,
            bin,
            password: random_hex(12),
            keys,
        }))
    }

    /// The test operator's private key (ed25519, no passphrase); `<path>.pub` lies beside it.
    /// `ops`, `opspw` and `root` of every machine accept it.
    pub fn key_path(&self) -> PathBuf {
        self.0.key_path()
    }

    /// The password of `opspw`, for sudo and for password logins; made for this run.
    pub fn password(&self) -> &str {
        &self.0.password
    }

    /// The host's own address on the fleet's network.
    pub fn host_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.0.slot, 1)
    }

    pub(super) fn ground(&self) -> Arc<Ground> {
        Arc::clone(&self.0)
    }
}

impl Ground {
    pub(super) fn key_path(&self) -> PathBuf {
        self.keys.path().join("id_ed25519")
    }

    /// The host's bridge for this fleet.
    pub(super) fn bridge(&self) -> String {
        format!("lb-{}-br", self.slot)
    }

    /// A short id and an address for one more machine.
    pub(super) fn allot(&self) -> (String, Ipv4Addr) {
        let k = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(k < 240, "a fleet has room for 240 machines in its life");
        (format!("lb-{}-{k}", self.slot), Ipv4Addr::new(10, 213, self.slot, k + 10))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take()); // its sign to clear away
        let _ = self.keeper.wait();
    }
}
