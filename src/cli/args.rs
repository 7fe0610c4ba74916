//! The command line: nouns and flags are an interface.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::engine::jobs::JOBS;

/// What `lifeboat` was called with.
#[derive(Debug, Parser)]
#[command(
    name = "lifeboat",
    version,
    about = "Disaster recovery for services that cannot be rebuilt: evidence, not hope",
    long_about = "Lifeboat reads a host inventory, connects to each node over SSH, lists what is worth saving per \
                  service, and leads you through copy-off, verification and restore.\n\nNothing is changed before \
                  its plan was shown and its gates were answered; what a restore replaces is kept aside.",
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed and everything is as it was, 2 usage or configuration, 3 partly done, \
                  4 findings: warning, 5 findings: critical, 6 failed and something is not as it was, 7 nothing matched, \
                  10 host key, 11 authentication, 12 unreachable, 13 vault, 14 integrity, 15 confirmation needed, \
                  16 plan stale, 17 identity alive elsewhere, 18 no space, 130 cancelled."
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command; without one the console opens.
    #[command(subcommand)]
    pub command: Option<Sub>,
}

/// Flags every command takes.
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The inventory; else `$LIFEBOAT_INVENTORY`, else inventory.toml in the configuration directory
    #[arg(long, global = true, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// The vault, instead of the inventory's
    #[arg(long, global = true, value_name = "PATH")]
    pub vault: Option<PathBuf>,
    /// One JSON document or event a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Never ask; an open question ends with exit code 15
    #[arg(long, global = true)]
    pub no_input: bool,
    /// No status line
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Refuse everything that changes a node or the vault
    #[arg(long, global = true)]
    pub read_only: bool,
    /// The console as numbered menus, for screen readers and simple terminals
    #[arg(long, global = true)]
    pub plain: bool,
    /// The console in ASCII alone; without it the locale decides
    #[arg(long, global = true)]
    pub ascii: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Sub {
    /// Make the vault, and an inventory if there is none
    Init(Init),
    /// Start a fleet to practise on: twelve nodes on this machine that are safe to break
    Demo(Demo),
    /// Make a key pair that opens sealed snapshots
    Keygen {
        /// Where the private key goes; it must not exist
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show host keys, and store them after a typed yes or when they match what is given
    Enroll(Enroll),
    /// Check each node: reachable, host key, login, root, tools, clock, space
    Doctor(Select),
    /// List every item of every service, with the facts behind it
    Scan(Select),
    /// Copy items into the vault
    Backup(Backup),
    /// List snapshots
    List(Select),
    /// Show a snapshot: facts, files, proofs, how to restore by hand
    Show {
        /// host/service/item, with @ID, @latest or @before:TIME
        #[arg(value_name = "SNAPSHOT")]
        snapshot: String,
    },
    /// Check stored snapshots offline: bytes against hashes, and the service's own format
    Verify(Verify),
    /// Bring a snapshot back onto a host
    Restore(Restore),
    /// Undo a finished restore from what it kept aside
    Rollback {
        /// The run, as 'lifeboat runs' names it
        #[arg(value_name = "RUN")]
        run: String,
        /// How it is planned and confirmed
        #[command(flatten)]
        planning: Planning,
    },
    /// List runs, or show one
    Runs {
        /// The run
        #[arg(value_name = "RUN")]
        run: Option<String>,
        /// Ask this node which runs lie on it
        #[arg(long, value_name = "HOST", conflicts_with = "run")]
        on: Option<String>,
    },
    /// Take up a run that was interrupted
    Resume(Resume),
    /// List what restores kept aside on nodes
    Kept {
        /// The hosts
        #[arg(value_name = "SELECTOR")]
        selectors: Vec<String>,
        /// Remove it
        #[arg(long)]
        purge: bool,
        /// Answer a host's question: purge-HOST=HOST
        #[arg(long = "confirm", value_name = "GATE=WORD", value_parser = pair)]
        confirm: Vec<(String, String)>,
    },
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

impl Sub {
    /// Whether it may change something on a node: it begins a run, or removes what one kept.
    pub fn changes_nodes(&self) -> bool {
        match self {
            Self::Backup(backup) => !backup.planning.plan,
            Self::Restore(restore) => !restore.planning.plan,
            Self::Rollback { planning, .. } => !planning.plan,
            Self::Resume(resume) => !resume.plan,
            Self::Kept { purge, .. } => *purge,
            _ => false,
        }
    }
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Play the guided exercise as text: a validator is lost and brought back on a spare machine
    #[arg(long)]
    pub exercise: bool,
    /// Do not open the console: keep the fleet up for other terminals
    #[arg(long, conflicts_with = "exercise")]
    pub wait: bool,
    /// Break a node at the start: cut-link, stall, fill-disk, kill-service, hang-stop, change-host-key,
    /// corrupt-artefact, clone-identity or lose-node
    #[arg(long = "fault", value_name = "NODE=FAULT", value_parser = pair)]
    pub faults: Vec<(String, String)>,
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Take hosts from ~/.ssh/config
    #[arg(long)]
    pub from_ssh_config: bool,
}

/// A word of the form `NAME=VALUE`.
fn pair(word: &str) -> Result<(String, String), String> {
    match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is not of the form NAME=VALUE".to_owned()),
    }
}

/// Pairs of the command line as a map.
pub fn pairs(words: &[(String, String)]) -> BTreeMap<String, String> {
    words.iter().cloned().collect()
}

/// A list of selectors.
#[derive(Debug, Args)]
pub struct Select {
    /// host, host/service, host/service/item, cluster/service/item, group:NAME, globs, all, user@address
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
}

/// `enroll`.
#[derive(Debug, Args)]
pub struct Enroll {
    /// The hosts
    #[arg(value_name = "SELECTOR", required = true)]
    pub selectors: Vec<String>,
    /// The fingerprint the host must show, SHA256:…
    #[arg(long, value_name = "SHA256:…")]
    pub fingerprint: Option<String>,
    /// A `known_hosts` file whose keys are trusted
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    pub known_hosts: Option<PathBuf>,
}

/// How a plan is shaped, shown and confirmed.
#[derive(Debug, Clone, Args)]
pub struct Planning {
    /// Print the plan, its choices, gates and hash, and change nothing
    #[arg(long)]
    pub plan: bool,
    /// Run only if the plan has this hash
    #[arg(long, value_name = "HASH")]
    pub plan_hash: Option<String>,
    /// Answer a choice
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Answer a gate
    #[arg(long = "confirm", value_name = "GATE=WORD", value_parser = pair)]
    pub confirm: Vec<(String, String)>,
}

/// `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// host, host/service, host/service/item, group:NAME, globs, all
    #[arg(value_name = "SELECTOR", required = true)]
    pub selectors: Vec<String>,
    /// Why, for the manifest
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How many hosts are worked on at once
    #[arg(long, value_name = "N", default_value_t = JOBS, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// How it is planned and confirmed
    #[command(flatten)]
    pub planning: Planning,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Snapshots, selectors, or both; the whole vault without any
    #[arg(value_name = "SNAPSHOT | SELECTOR")]
    pub snapshots: Vec<String>,
    /// Only this share of the snapshots, chosen at random
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub sample: Option<u8>,
}

/// `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// host/service/item, with @ID, @latest or @before:TIME
    #[arg(value_name = "SNAPSHOT", required = true)]
    pub snapshots: Vec<String>,
    /// The host it goes to
    #[arg(long, value_name = "HOST")]
    pub to: String,
    /// How it is planned and confirmed
    #[command(flatten)]
    pub planning: Planning,
}

/// `resume`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct Resume {
    /// The run
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Take it over from another console
    #[arg(long)]
    pub adopt: bool,
    /// The node that holds the run, when this vault does not know it
    #[arg(long, value_name = "HOST")]
    pub on: Option<String>,
    /// Undo it instead of going on
    #[arg(long, conflicts_with = "leave")]
    pub roll_back: bool,
    /// Leave everything as it is now and give the locks back
    #[arg(long)]
    pub leave: bool,
    /// Print what becomes of the run, its gates and its plan's hash, and change nothing
    #[arg(long)]
    pub plan: bool,
    /// Take it up only if its plan has this hash
    #[arg(long, value_name = "HASH")]
    pub plan_hash: Option<String>,
    /// Answer a gate
    #[arg(long = "confirm", value_name = "GATE=WORD", value_parser = pair)]
    pub confirm: Vec<(String, String)>,
}
