//! Secrets found where the inventory says they are.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;
use zeroize::{Zeroize, Zeroizing};

use super::paths::Paths;
use super::prompt::Prompter;
use super::shell::first_line_of;
use super::values;
use crate::model::inventory::Inventory;
use crate::model::secret::{SecretRef, SecretString, Secrets};

/// Reads a variable of the environment; injected, so that a test needs no environment of its own.
pub type Lookup = Box<dyn Fn(&str) -> Option<std::ffi::OsString> + Send + Sync>;

/// A slot per secret: locked while one caller finds it, so that the others wait instead of asking again.
type Slot = Arc<Mutex<Option<SecretString>>>;

/// No secret is longer.
pub(crate) const LONGEST: usize = 64 * 1024;

/// Finds each secret once and keeps it for the run.
///
/// A prompt is remembered per purpose, because `{ prompt = true }` under two hosts means two passwords unless the
/// caller words one purpose for the group. Every other reference is remembered by itself. Failures are not kept.
pub struct SecretResolver {
    home: std::path::PathBuf,
    prompter: Option<Box<dyn Prompter>>,
    lookup: Lookup,
    /// Taken out of the environment of every child.
    hidden: Vec<String>,
    timeout: Duration,
    found: Mutex<BTreeMap<(SecretRef, String), Slot>>,
}

impl fmt::Debug for SecretResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretResolver").field("can_ask", &self.prompter.is_some()).finish_non_exhaustive()
    }
}

impl SecretResolver {
    /// Resolves for `inventory`; without a `prompter` nobody is ever asked.
    pub fn new(paths: &Paths, inventory: &Inventory, prompter: Option<Box<dyn Prompter>>) -> Self {
        Self {
            home: paths.home.clone(),
            prompter,
            lookup: Box::new(|name| std::env::var_os(name)),
            hidden: inventory.secret_variables(),
            timeout: Duration::from_mins(2),
            found: Mutex::default(),
        }
    }

    /// The same with another environment.
    #[must_use]
    pub fn with_environment(mut self, lookup: Lookup) -> Self {
        self.lookup = lookup;
        self
    }

    /// The same with another patience for commands.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn find(&self, wanted: &SecretRef, purpose: &str) -> Result<SecretString, String> {
        match wanted {
            SecretRef::Prompt(_) => match &self.prompter {
                Some(prompter) => prompter.ask(purpose),
                None => Err(format!("The {purpose} is needed, and nobody may be asked for it here.")),
            },
            SecretRef::Command(command) => {
                first_line_of(command, &self.hidden, self.timeout).map_err(|why| format!("The {purpose}: {why}"))
            }
            SecretRef::File(path) => {
                let text = path.to_string_lossy();
                let path = if text.starts_with('~') {
                    values::path(&text, &self.home, Path::new("")).map_err(|problem| problem.message)?
                } else {
                    path.clone()
                };
                read_private(&path).map_err(|why| format!("The {purpose}: {why}"))
            }
            SecretRef::Env(name) => {
                let missing = || format!("The {purpose}: the environment variable {name} is not set.");
                let value = (self.lookup)(name).ok_or_else(missing)?.into_string();
                let value =
                    value.map_err(|_| format!("The {purpose}: the environment variable {name} is not UTF-8."))?;
                if value.is_empty() { Err(missing()) } else { Ok(SecretString::from(value)) }
            }
        }
    }
}

impl Secrets for SecretResolver {
    fn resolve(&self, wanted: &SecretRef, purpose: &str) -> Result<SecretString, String> {
        let slot = {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(found.entry(key(wanted, purpose)).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = &*slot {
            return Ok(secret.clone());
        }
        let secret = self.find(wanted, purpose)?;
        *slot = Some(secret.clone());
        Ok(secret)
    }

    fn forget(&self, wanted: &SecretRef, purpose: &str) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(wanted, purpose));
    }
}

fn key(wanted: &SecretRef, purpose: &str) -> (SecretRef, String) {
    let purpose = if matches!(wanted, SecretRef::Prompt(_)) { purpose } else { "" };
    (wanted.clone(), purpose.to_owned())
}

/// The first line of a file that is ours and that nobody else may read.
fn read_private(path: &Path) -> Result<SecretString, String> {
    let shown = path.display();
    // Opened first and looked at through the descriptor: the file that is checked is the one that is read.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let mut file = file.map_err(|error| format!("the file '{shown}' cannot be read: {error}."))?;
    let about = file.metadata().map_err(|error| format!("the file '{shown}' cannot be read: {error}."))?;
    if !about.is_file() {
        return Err(format!("'{shown}' is not a file."));
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("the file '{shown}' belongs to another user."));
    }
    if about.mode() & 0o077 != 0 {
        return Err(format!("the file '{shown}' is open to others; run: chmod 600 '{shown}'"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    let read = file.by_ref().take(LONGEST as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the file '{shown}' cannot be read: {error}."))?;
    first_line(&bytes).map_err(|why| format!("the file '{shown}' {why}."))
}

/// The first line of `bytes` as a secret.
pub(crate) fn first_line(bytes: &[u8]) -> Result<SecretString, &'static str> {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err("has an empty first line");
    }
    if line.len() >= LONGEST {
        return Err("has a first line that is too long");
    }
    let mut text = String::from_utf8(line.to_vec()).map_err(|error| {
        error.into_bytes().zeroize();
        "has a first line that is not UTF-8"
    })?;
    if text.contains('\0') {
        text.zeroize();
        return Err("has a first line with a zero byte in it");
    }
    Ok(SecretString::from(text))
}
