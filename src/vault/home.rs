//! The vault itself: made once, recognised by its id, refused when it is not the one expected.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::clock::{Clock, Entropy};

use super::about;
use super::disk;
use super::error::VaultError;
use super::finding::{Finding, Trouble};
use super::name::{ABOUT, LEASES, RUNS, STAGING, VAULT};
use super::seal::Sealing;

/// The format of vaults written by this program; newer ones are refused.
pub const VAULT_FORMAT: u64 = 1;

/// An opened vault. Cheap to clone; reading needs no lock.
#[derive(Debug, Clone)]
pub struct Vault {
    root: PathBuf,
    id: String,
    recipients: Vec<String>,
    warnings: Vec<Finding>,
}

#[derive(Debug, Serialize, Deserialize)]
struct VaultFile {
    format: u64,
    id: String,
    created: Timestamp,
    made_by: String,
    recipients: Vec<String>,
    check: String,
}

impl VaultFile {
    fn checked(mut self) -> Self {
        self.check = self.expected();
        self
    }
    fn expected(&self) -> String {
        let lines = self.recipients.iter().fold(format!("{}\n", self.id), |text, r| text + r + "\n");
        disk::sha256(lines.as_bytes())
    }
}

impl Vault {
    /// Makes a vault in a directory that does not exist or is empty, sealed to `recipients` (none: in clear).
    pub fn create(
        path: &Path,
        recipients: &[String],
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, VaultError> {
        Sealing::to(recipients)?;
        if fs::symlink_metadata(path.join(VAULT)).is_ok() {
            return Err(VaultError::Exists { path: path.join(VAULT) });
        }
        if let Ok(entries) = fs::read_dir(path) {
            let strange = entries.flatten().find(|e| e.file_name() != "lost+found");
            if let Some(entry) = strange {
                let why = format!("it is not empty ('{}' is in it), and is no vault", entry.file_name().display());
                return Err(VaultError::Unsafe { path: path.to_owned(), why });
            }
        } else {
            disk::make_dir(path)?;
        }
        restrict(path)?;
        for dir in [RUNS, ABOUT, STAGING, LEASES] {
            disk::make_dir(&path.join(dir))?;
        }
        let file = VaultFile {
            format: VAULT_FORMAT,
            id: format!("vault-{}", entropy.hex(8)),
            created: clock.now(),
            made_by: env!("CARGO_PKG_VERSION").into(),
            recipients: recipients.to_vec(),
            check: String::new(),
        }
        .checked();
        let bytes = disk::json(path, &file)?;
        about::write_copy(path, &bytes)?;
        disk::write_new(&path.join(VAULT), &bytes)?;
        disk::sync_dir(path)?;
        Self::open(path, Some(&file.id))
    }

    /// Opens the vault at `path`; with `expected_id` only that one. Writes nothing.
    pub fn open(path: &Path, expected_id: Option<&str>) -> Result<Self, VaultError> {
        let root = fs::canonicalize(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => VaultError::Missing { path: path.to_owned() },
            _ => VaultError::io(path, "open", error),
        })?;
        let at = root.join(VAULT);
        if fs::symlink_metadata(&at)
            .is_err_and(|e| matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory))
        {
            return Err(VaultError::Missing { path: path.to_owned() });
        }
        let warnings = look_at_modes(&root)?;
        let bytes = disk::read(&at, disk::LARGEST_JSON)?;
        refuse_newer(&at, &bytes, "format", VAULT_FORMAT)?;
        let file: VaultFile = parse(&at, &bytes)?;
        if let Some(expected) = expected_id
            && expected != file.id
        {
            return Err(VaultError::Another { path: root, expected: expected.into(), found: file.id });
        }
        if file.check != file.expected() {
            return Err(VaultError::damaged(&at, "its id and recipients do not match its check"));
        }
        Ok(Self { root, id: file.id, recipients: file.recipients, warnings })
    }

    /// Where it lies, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// How many bytes this user may still write on its disk; nothing when the system does not tell.
    pub fn free(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.root).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }
    /// Its id, made at random when it was made.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// The public keys it seals to unless the inventory says otherwise.
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }
    /// What is unsafe about its permissions, though not enough to refuse it.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, VaultError> {
    serde_json::from_slice(bytes).map_err(|error| VaultError::damaged(path, format!("it cannot be read ({error})")))
}

/// Looks at the version alone first, so that a newer shape is called newer and not damaged.
pub(super) fn refuse_newer(path: &Path, bytes: &[u8], member: &str, known: u64) -> Result<(), VaultError> {
    let value: serde_json::Value = parse(path, bytes)?;
    match value.get(member).and_then(serde_json::Value::as_u64) {
        Some(found) if found > known => Err(VaultError::Newer { path: path.to_owned(), found, known }),
        Some(found) if found > 0 => Ok(()),
        _ => Err(VaultError::damaged(path, format!("it has no usable '{member}'"))),
    }
}

fn restrict(path: &Path) -> Result<(), VaultError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|e| VaultError::io(path, "protect", e))
}

/// A vault anyone may write to is refused; one that others may read, or a copy that lost its modes, is warned about.
fn look_at_modes(root: &Path) -> Result<Vec<Finding>, VaultError> {
    let me = rustix::process::geteuid().as_raw();
    let mut warnings = Vec::new();
    for (path, usual) in [(root.to_owned(), 0o700), (root.join(VAULT), 0o600)] {
        let meta = fs::symlink_metadata(&path).map_err(|e| VaultError::io(&path, "look at", e))?;
        if meta.is_symlink() {
            return Err(VaultError::Unsafe { path, why: "it is a symbolic link".into() });
        }
        if meta.mode() & 0o002 != 0 {
            return Err(VaultError::Unsafe { path, why: "anyone on this machine may write to it".into() });
        }
        if meta.uid() != me && meta.uid() != 0 && me != 0 {
            let why = format!("it belongs to user {} and you are user {me}", meta.uid());
            return Err(VaultError::Unsafe { path, why });
        }
        if meta.uid() != me {
            warnings.push(Finding::new(
                &path,
                Trouble::Exposed,
                format_args!("belongs to user {}, not to you", meta.uid()),
            ));
        }
        if meta.mode() & 0o077 != 0 {
            let may = if meta.mode() & 0o020 == 0 { "others may read it" } else { "others in its group may change it" };
            let why = format_args!("has mode {:03o}; {may}, it should be {usual:o}", meta.mode() & 0o777);
            warnings.push(Finding::new(&path, Trouble::Exposed, why));
        }
    }
    Ok(warnings)
}
