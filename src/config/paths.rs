//! Where Lifeboat keeps its own files.

use std::ffi::OsString;
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::model::exit::{Exit, Failure, Result};

/// Names the inventory file.
pub const INVENTORY_VARIABLE: &str = "LIFEBOAT_INVENTORY";
/// Puts the configuration somewhere else.
pub const CONFIG_VARIABLE: &str = "LIFEBOAT_CONFIG_DIR";
/// Puts keys, known hosts, state and log somewhere else: another console installation.
pub const DATA_VARIABLE: &str = "LIFEBOAT_DATA_DIR";

/// The directories of one console installation. Nothing is created by naming them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The user's home directory, for `~`.
    pub home: PathBuf,
    /// What the operator writes: the inventory, themes, keys of the console.
    pub config_dir: PathBuf,
    /// What must not be lost: the console's key, known hosts.
    pub data_dir: PathBuf,
    /// What may be lost: the log, the last state of the screens.
    pub state_dir: PathBuf,
}

/// Who named the inventory in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InventorySource {
    /// `--inventory`.
    Flag,
    /// `$LIFEBOAT_INVENTORY`.
    Environment,
    /// Nobody: the one in the configuration directory.
    ConfigDirectory,
}

impl fmt::Display for InventorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flag => "--inventory",
            Self::Environment => "$LIFEBOAT_INVENTORY",
            Self::ConfigDirectory => "the configuration directory",
        })
    }
}

/// The inventory in use, shown to the operator with who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryPath {
    /// The file, absolute.
    pub path: PathBuf,
    /// Who named it.
    pub source: InventorySource,
}

impl Paths {
    /// The directories by the platform's custom and the environment.
    pub fn from_environment() -> Result<Self> {
        let base = directories::BaseDirs::new();
        let project = directories::ProjectDirs::from("", "", "lifeboat");
        let standard = base.zip(project).map(|(base, project)| Self {
            home: base.home_dir().to_owned(),
            config_dir: project.config_dir().to_owned(),
            data_dir: project.data_dir().to_owned(),
            state_dir: project.state_dir().unwrap_or(project.data_local_dir()).to_owned(),
        });
        Self::from_standard(standard, &|name| std::env::var_os(name))
    }

    /// `standard`, with what `lookup` finds in the environment put before it.
    ///
    /// Without a home directory both directories must be named; `~` then cannot be expanded and stands for `/`.
    pub fn from_standard(standard: Option<Self>, lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let config = named(lookup, CONFIG_VARIABLE)?;
        let data = named(lookup, DATA_VARIABLE)?;
        let mut paths = match (standard, &config, &data) {
            (Some(standard), ..) => standard,
            (None, Some(config), Some(data)) => Self {
                home: PathBuf::from("/"),
                config_dir: config.clone(),
                data_dir: data.clone(),
                state_dir: PathBuf::new(),
            },
            (None, ..) => {
                return Err(Failure::new(Exit::Usage, "There is no home directory to keep Lifeboat's files in.")
                    .hint(format!("Set {CONFIG_VARIABLE} and {DATA_VARIABLE}.")));
            }
        };
        if let Some(config) = config {
            paths.config_dir = config;
        }
        if let Some(data) = data {
            // A second console shares nothing with the first, not even its log.
            paths.state_dir = data.join("state");
            paths.data_dir = data;
        }
        Ok(paths)
    }

    /// The inventory in use: `flag`, else the environment's, else the one in the configuration directory.
    ///
    /// A file in the working directory is never taken unasked: restoring from the wrong one is worse than asking.
    pub fn inventory(&self, flag: Option<&Path>) -> Result<InventoryPath> {
        self.inventory_from(flag, &|name| std::env::var_os(name))
    }

    /// As [`Self::inventory`], with the environment given.
    pub fn inventory_from(
        &self,
        flag: Option<&Path>,
        lookup: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<InventoryPath> {
        if let Some(flag) = flag {
            return Ok(InventoryPath { path: absolute(flag, "--inventory")?, source: InventorySource::Flag });
        }
        Ok(match named(lookup, INVENTORY_VARIABLE)? {
            Some(path) => InventoryPath { path, source: InventorySource::Environment },
            None => {
                InventoryPath { path: self.config_dir.join("inventory.toml"), source: InventorySource::ConfigDirectory }
            }
        })
    }

    /// The operator's own login name, the default one on nodes.
    pub fn login_name(&self) -> String {
        let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().filter(|name| !name.is_empty());
        name.unwrap_or_else(|| "root".to_owned())
    }

    /// The running SSH agent's socket.
    pub fn agent_socket(&self) -> Option<PathBuf> {
        std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from)
    }

    /// The private key this console signs receipts with.
    pub fn console_key(&self) -> PathBuf {
        self.data_dir.join("console.key")
    }
    /// The host keys this console has accepted.
    pub fn known_hosts(&self) -> PathBuf {
        self.data_dir.join("known_hosts")
    }
    /// The log.
    pub fn log_file(&self) -> PathBuf {
        self.state_dir.join("lifeboat.log")
    }
}

fn named(lookup: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<PathBuf>> {
    match lookup(name).filter(|value| !value.is_empty()) {
        Some(value) => absolute(Path::new(&value), name).map(Some),
        None => Ok(None),
    }
}

fn absolute(path: &Path, named_by: &str) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| {
        let message = format!("The path '{}' of {named_by} cannot be used: {error}.", path.display());
        Failure::new(Exit::Usage, message)
    })
}

/// Makes `dir` and what is missing above it, open to nobody else.
pub fn create_private_dir(dir: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        let message = format!("The directory '{}' cannot be made: {error}.", dir.display());
        Failure::new(Exit::Failed, message).hint("Check the permissions of the directory above it.")
    })
}
