//! The vault, through its public face and through the hands of `age`, `sha256sum`, `jq` and `openssl`.

mod by_hand;
mod crash;
mod flips;
mod full_disk;
mod golden;
mod golden_engine;
mod inside;
mod keys;
mod life;
mod remade;
mod runs;
mod selection;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::model::clock::{Clock, Entropy};
use lifeboat::model::facts::Identity;
use lifeboat::model::ids::{ConsoleId, HostId, ItemId, ItemRef, OwnerId, RunId, ServiceName, SnapshotId};
use lifeboat::model::item::{Copying, Sensitivity};
use lifeboat::model::manifest::{Manifest, Proof, Rung, Source};
use lifeboat::vault::{
    CardRecipe, CardStep, FileMeta, Holder, Keys, Place, Published, Sealing, Snapshot, StageRequest, Vault, VaultError,
    render_card,
};
use serde_json::json;
use tempfile::TempDir;

/// A clock that only moves when told to.
pub struct HeldClock(Mutex<Timestamp>);

impl HeldClock {
    pub fn at(time: &str) -> Self {
        Self(Mutex::new(time.parse().unwrap()))
    }
    pub fn pass(&self, span: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(SignedDuration::try_from(span).unwrap()).unwrap();
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, span: Duration) {
        self.pass(span);
    }
}

/// Bytes that never repeat and are the same in every test.
pub struct Counted(pub AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let n = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&n.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A vault in a temporary directory, with a key that opens it.
pub struct Bench {
    pub dir: TempDir,
    pub clock: HeldClock,
    pub entropy: Counted,
    pub vault: Vault,
    pub key_file: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        Self::within(TempDir::new().unwrap())
    }
    pub fn within(dir: TempDir) -> Self {
        let clock = HeldClock::at("2026-11-20T18:45:00Z");
        let entropy = Counted(AtomicU64::new(1));
        let (key_file, public) = new_key(dir.path(), "key.txt");
        let vault = Vault::create(&dir.path().join("vault"), &[public], &clock, &entropy).unwrap();
        Self { dir, clock, entropy, vault, key_file }
    }
    pub fn sealing(&self) -> Sealing {
        Sealing::to(self.vault.recipients()).unwrap()
    }
    pub fn keys(&self) -> Keys {
        let mut keys = Keys::none();
        keys.add_file(&self.key_file, &|_| None).unwrap();
        keys
    }
    /// Stages and publishes what `copy` says; a minute passes.
    pub fn put(&self, copy: &Copy) -> Result<Published, VaultError> {
        self.clock.pass(Duration::from_mins(1));
        put(&self.vault, copy, &self.clock, &self.entropy)
    }
    pub fn find(&self, published: &Published) -> Snapshot {
        let all = self.vault.catalogue().unwrap();
        all.snapshots.into_iter().find(|s| *s.id() == published.id).unwrap()
    }
}

/// What a test stores.
#[derive(Clone)]
pub struct Copy {
    pub item: ItemRef,
    pub sealing: Sealing,
    pub sensitivity: Sensitivity,
    pub files: Vec<(&'static str, Vec<u8>)>,
    pub identity: Option<&'static str>,
    pub verified: bool,
}

impl Copy {
    pub fn secret(bench: &Bench) -> Self {
        Self {
            item: item("val-1/avalanchego/staking-identity"),
            sealing: bench.sealing(),
            sensitivity: Sensitivity::Secret,
            files: vec![("staker.crt", b"a certificate".to_vec()), ("C/Staker.key", vec![7; 200_000])],
            identity: Some("NodeID-A"),
            verified: true,
        }
    }
    pub fn clear() -> Self {
        Self {
            item: item("val-1/files/tree"),
            sealing: Sealing::to(&[]).unwrap(),
            sensitivity: Sensitivity::Plain,
            files: vec![("tree.tar", b"not really a tar".to_vec()), ("empty", Vec::new())],
            identity: None,
            verified: true,
        }
    }
}

pub fn item(text: &str) -> ItemRef {
    let parts: Vec<_> = text.split('/').collect();
    ItemRef {
        owner: OwnerId::new(parts[0]).unwrap(),
        service: ServiceName::new(parts[1]).unwrap(),
        item: ItemId::new(parts[2]).unwrap(),
    }
}

pub fn run() -> RunId {
    RunId::new("20261120T184400Z-abcdef").unwrap()
}

pub fn console() -> ConsoleId {
    ConsoleId::new("console-00aa").unwrap()
}

pub fn new_key(dir: &Path, name: &str) -> (PathBuf, String) {
    use lifeboat::model::secret::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;
    let key = age::x25519::Identity::generate();
    let path = dir.join(name);
    fs::write(&path, format!("# test key\n{}\n", key.to_string().expose_secret())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    (path, key.to_public().to_string())
}

pub fn manifest(copy: &Copy, clock: &dyn Clock) -> Manifest {
    Manifest {
        version: 0,
        id: SnapshotId::new("unset").unwrap(),
        item: copy.item.clone(),
        kind: copy.item.service.to_string(),
        format: "test/1".into(),
        created: clock.now(),
        run: run(),
        console: console(),
        made_by: "0.1.0".into(),
        reason: Some("a test's reason with `backticks`".into()),
        source: Source {
            host: HostId::new("val-1").unwrap(),
            address: "10.0.0.11".into(),
            port: None,
            via: vec![],
            host_key: None,
            clock_skew: 0,
            version: Some("1.13.5".into()),
        },
        sensitivity: copy.sensitivity,
        copying: Copying::Live,
        identities: copy
            .identity
            .map(|value| Identity { kind: "avalanche-node-id".into(), value: value.into() })
            .into_iter()
            .collect(),
        facts: json!({}),
        marks: vec![],
        recipients: vec![],
        files: vec![],
    }
}

pub fn proof(rung: Rung, passed: bool, clock: &dyn Clock) -> Proof {
    Proof { version: 1, rung, at: clock.now(), console: console(), run: Some(run()), passed, detail: json!({}) }
}

pub fn recipe() -> CardRecipe {
    CardRecipe {
        title: "a test item".into(),
        steps: vec![CardStep {
            text: vec!["Put it in place".into()],
            place: Place::Node,
            commands: vec!["install -m 0400 lifeboat-restore/staker.crt /tmp/staker.crt".into()],
        }],
        closing: vec!["Mind the gap.".into()],
    }
}

/// Everything up to the point where only publishing is left.
pub fn staged(
    vault: &Vault,
    copy: &Copy,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(lifeboat::vault::Staging, Manifest, Vec<Proof>, String), VaultError> {
    let (run, holder) = (run(), Holder::this(console()));
    let request = StageRequest {
        run: &run,
        item: &copy.item,
        sensitivity: copy.sensitivity,
        sealing: &copy.sealing,
        holder: &holder,
    };
    let staging = vault.stage(&request, clock, entropy)?;
    for (name, bytes) in &copy.files {
        let meta =
            FileMeta { origin: format!("/etc/{name}").as_str().into(), mode: Some(0o400), ..FileMeta::default() };
        let mut writer = staging.file(name, meta)?;
        for part in bytes.chunks(70_000) {
            writer.put(part)?;
        }
        assert_eq!(writer.finish()?.plain_size, bytes.len() as u64);
    }
    let mut manifest = manifest(copy, clock);
    staging.describe(&mut manifest);
    let mut proofs = vec![proof(Rung::Copied, true, clock)];
    if copy.verified {
        proofs.push(proof(Rung::Verified, true, clock));
    }
    let card = render_card(&manifest, &recipe());
    Ok((staging, manifest, proofs, card))
}

pub fn put(vault: &Vault, copy: &Copy, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Published, VaultError> {
    let (staging, manifest, proofs, card) = staged(vault, copy, clock, entropy)?;
    staging.publish(&manifest, &proofs, &card, clock, entropy)
}

pub fn read_back(vault: &Vault, snapshot: &Snapshot, name: &str, keys: &Keys) -> Result<Vec<u8>, VaultError> {
    let file = snapshot.manifest().files.iter().find(|f| f.name == name).unwrap();
    let mut bytes = Vec::new();
    vault
        .open_file(snapshot, file, keys)?
        .read_to_end(&mut bytes)
        .map_err(|e| VaultError::from_io(snapshot.dir(), "read", e))?;
    Ok(bytes)
}

pub fn intact(vault: &Vault, snapshot: &Snapshot) -> Vec<lifeboat::vault::Finding> {
    vault.check_intact(snapshot, &mut |_| std::ops::ControlFlow::Continue(())).unwrap()
}

/// What a console that was killed while it copied leaves in the staging area.
pub fn leave_dead_staging(vault: &Path) {
    let run = vault.join(".staging/20261120T184400Z-abcdef");
    fs::create_dir_all(run.join("20261120T184500Z-7f3a9c")).unwrap();
    fs::write(run.join("20261120T184500Z-7f3a9c/tree.tar"), "half").unwrap();
    let sign = json!({
        "version": 1, "item": item("val-1/files/tree"), "holder": Holder::this(console()), "started": "2026-11-20T18:45:00Z",
    });
    fs::write(run.join("20261120T184500Z-7f3a9c.json"), sign.to_string()).unwrap();
}

/// Every path below a directory, relative, with the bytes of files.
pub fn tree(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut all: Vec<_> = walkdir::WalkDir::new(root)
        .into_iter()
        .map(|e| e.unwrap())
        .map(|e| {
            (
                e.path().strip_prefix(root).unwrap().to_owned(),
                e.file_type().is_file().then(|| fs::read(e.path()).unwrap()),
            )
        })
        .collect();
    all.sort();
    all
}

/// A copy of a directory: the image a crash leaves.
pub fn image(from: &Path, to: &Path) {
    for (path, bytes) in tree(from) {
        match bytes {
            Some(bytes) => fs::write(to.join(path), bytes).unwrap(),
            None => fs::create_dir_all(to.join(path)).unwrap(),
        }
    }
}
