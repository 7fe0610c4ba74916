//! The inventory file into the model, with every mistake at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::checks::{Tables, check_whole};
use super::error::ConfigError;
use super::halves::Halves;
use super::hosts::{HostKeys, read_cluster, read_defaults, read_host};
use super::keys;
use super::policy::{policy_table, read_policy};
use super::reader::{Found, Notes, Section};
use super::values::{self, Problem};
use crate::model::ids::OwnerId;
use crate::model::inventory::{Host, Inventory, ServiceEntry, VaultSettings};

/// The longest inventory that is read.
pub const LONGEST: u64 = 4 * 1024 * 1024;

/// Hosts, and services, from which on a second thread helps: the console's first frame waits for the inventory.
const WORTH_A_THREAD: usize = 200;

/// An inventory and what is doubtful about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The inventory.
    pub inventory: Inventory,
    /// Doubts, in the order of the file.
    pub warnings: Vec<ConfigError>,
    /// The SHA-256 of the text, to see later whether the file is still the one that was read.
    pub digest: [u8; 32],
}

/// Looks at one service's settings for whoever serves it; gives what is wrong with them.
pub type CheckService<'a> = &'a (dyn Fn(&ServiceEntry) -> Vec<WrongSetting> + Sync);

/// A setting of a service that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongSetting {
    /// The dotted key below the service's own table; empty when it is about the service.
    pub key: String,
    /// A full sentence.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// Reads and checks the inventory at `path`; `home` stands for `~`.
pub fn load_inventory(path: &Path, home: &Path) -> Result<Loaded, Vec<ConfigError>> {
    load_checked(path, home, &|_| Vec::new())
}

/// Like [`load_inventory`], with every service's settings checked too.
pub fn load_checked(path: &Path, home: &Path, check: CheckService) -> Result<Loaded, Vec<ConfigError>> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = read_text(&path).map_err(|error| vec![error])?;
    parse_checked(&text, &path, home, check)
}

/// The digest of the file at `path` as it is now, to compare with [`Loaded::digest`]: of no more than an inventory may
/// hold.
///
/// # Errors
/// As reading it; also for what is no regular file, whose reading might not end.
pub fn digest_of(path: &Path) -> std::io::Result<[u8; 32]> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(openssl::sha::sha256(&bytes))
}

/// The text of the file at `path`, bounded, a regular file and UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let error = |message: String, hint: &str| ConfigError::of_file(path, message, hint);
    let read = |e: &std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            error("There is no such inventory.".into(), "Run `lifeboat init`, or name another with --inventory.")
        }
        _ => error(format!("The inventory cannot be read: {e}."), "Check the path and its permissions."),
    };
    let kind = std::fs::metadata(path).map_err(|e| read(&e))?;
    if !kind.is_file() {
        return Err(error("The inventory is not a file.".into(), "Name the file itself."));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(|e| read(&e))?;
    if bytes.len() as u64 > LONGEST {
        return Err(error("The inventory is larger than 4 MiB.".into(), "Is this the right file?"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.split(|&byte| byte == b'\n').count();
        ConfigError { line, ..error("The inventory is not UTF-8.".into(), "Save it as UTF-8 text.") }
    })
}

/// Checks `text`, read from `path`; `home` stands for `~`. Fails with every mistake there is, in the order of the file.
pub fn parse_inventory(text: &str, path: &Path, home: &Path) -> Result<Loaded, Vec<ConfigError>> {
    parse_checked(text, path, home, &|_| Vec::new())
}

fn parse_checked(text: &str, path: &Path, home: &Path, check: CheckService) -> Result<Loaded, Vec<ConfigError>> {
    if text.len() as u64 > LONGEST {
        return Err(vec![ConfigError::of_file(path, "The inventory is larger than 4 MiB.", "Is this the right file?")]);
    }
    let mut notes = Notes::new(path, text, home);
    let halves = Halves::of(text);
    let (document, broken) = if let Some(whole) = halves.as_ref().and_then(Halves::parse) {
        (whole, Vec::new())
    } else {
        let (document, broken) = DeTable::parse_recoverable(text);
        (document.into_inner(), broken)
    };
    let top = Section::new(&document, "");
    let (inventory, tables) = read_top(&mut notes, &top);
    if broken.is_empty() {
        check_version(&mut notes, &top);
        check_whole(&mut notes, &inventory, &tables);
        for (entry, WrongSetting { key, message, hint }) in wrong_settings(&inventory, check) {
            let error = ConfigError::of_setting(path, entry, &key, message);
            notes.errors.push(ConfigError { hint: Some(hint).filter(|hint| !hint.is_empty()), ..error });
        }
    } else {
        // What stands above the first broken line was read as meant; anything below may have been misread.
        let line = |error: &toml::de::Error| error.span().map_or(0, |span| notes.line(span.start));
        let first = broken.iter().map(line).min().unwrap_or(0);
        let syntax: Vec<(usize, Problem)> = broken.iter().map(|error| (line(error), syntax(error))).collect();
        notes.errors.retain(|error| error.line < first);
        for (line, problem) in syntax.into_iter().take(20) {
            notes.error(line, "", problem);
        }
    }
    if notes.errors.is_empty() {
        notes.warnings.sort_by_key(|warning| warning.line);
        return Ok(Loaded { inventory, warnings: notes.warnings, digest: openssl::sha::sha256(text.as_bytes()) });
    }
    notes.errors.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
    notes.errors.dedup();
    Err(notes.errors)
}

/// Reads every host that can be read; those of a large inventory on two threads.
fn read_hosts(notes: &mut Notes<'_>, hosts: &[(&str, Found<'_>)], defaults: &HostKeys) -> Vec<Host> {
    let read = |notes: &mut Notes<'_>, hosts: &[(&str, Found<'_>)]| -> Vec<Host> {
        hosts.iter().filter_map(|(name, found)| read_host(notes, name, found, defaults)).collect()
    };
    if hosts.len() < WORTH_A_THREAD {
        return read(notes, hosts);
    }
    let (near, far) = hosts.split_at(hosts.len() / 2);
    let mut beside = notes.beside();
    let (mut all, more) = std::thread::scope(|scope| {
        let far = scope.spawn(|| read(&mut beside, far));
        (read(notes, near), far.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    notes.absorb(beside);
    all.extend(more);
    all
}

/// What is wrong with the settings of every service; those of a large inventory are looked at on two threads.
fn wrong_settings<'i>(inventory: &'i Inventory, check: CheckService) -> Vec<(&'i ServiceEntry, WrongSetting)> {
    let of_clusters = inventory.clusters.values().flat_map(|cluster| cluster.services.values());
    let entries: Vec<_> = inventory.hosts.values().flat_map(|host| host.services.values()).chain(of_clusters).collect();
    let wrong = |entries: &[&'i ServiceEntry]| -> Vec<_> {
        entries.iter().flat_map(|&entry| check(entry).into_iter().map(move |wrong| (entry, wrong))).collect()
    };
    let (near, far) = entries.split_at(if entries.len() < WORTH_A_THREAD { 0 } else { entries.len() / 2 });
    std::thread::scope(|scope| {
        let near = (!near.is_empty()).then(|| scope.spawn(|| wrong(near)));
        let far = wrong(far);
        let near = near.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        near.into_iter().flatten().chain(far).collect()
    })
}

pub(crate) fn syntax(error: &toml::de::Error) -> Problem {
    let message = error.message();
    let hint = if message.contains("duplicate key") {
        "The same name stands there twice; rename or join them."
    } else {
        "This is not TOML: look for a missing quote, bracket or '=' here or just above."
    };
    Problem::new(format!("Syntax: {}.", message.trim_end_matches('.')), hint)
}

fn check_version(notes: &mut Notes<'_>, top: &Section<'_>) {
    const HINT: &str = "Write version = 1 at the top.";
    let Some(found) = top.get(notes, "version") else {
        return notes.error(1, "version", Problem::new("The inventory does not say its version.", HINT));
    };
    match found.value {
        DeValue::Integer(number) if number.as_str() == "1" => {}
        DeValue::Integer(number) => {
            let message = format!("This Lifeboat reads inventories of version 1, not {number}.");
            notes.error(found.line, &found.key, Problem::new(message, "A newer Lifeboat may read it."));
        }
        _ => found.expected(notes, "the number 1"),
    }
}

fn read_top<'a>(notes: &mut Notes<'_>, top: &Section<'a>) -> (Inventory, Tables<'a>) {
    top.refuse_unknown(notes, &[keys::TOP]);
    let vault = read_vault(notes, top);
    let policy = read_policy(notes, top);
    let defaults = read_defaults(notes, top);
    let mut inventory = Inventory {
        path: notes.file.to_owned(),
        vault,
        policy,
        defaults: defaults.access(&HostKeys::default()),
        ..Inventory::default()
    };
    let defaults_table = match top.get(notes, "defaults") {
        Some(Found { value: DeValue::Table(table), .. }) => Some(Section::new(table, "defaults")),
        _ => None,
    };
    let mut tables =
        Tables { defaults: defaults_table, hosts: BTreeMap::new(), clusters: BTreeMap::new(), groups: Vec::new() };
    let below = |notes: &mut Notes<'_>, key: &'a str| match top.table(notes, key) {
        Some(table) => Section::new(table, key).entries(notes),
        None => Vec::new(),
    };
    for (name, found) in below(notes, "groups") {
        found.checked(notes, values::group(name));
        if let Some(table) = found.table(notes) {
            Section::new(table, &found.key).refuse_unknown(notes, &[keys::GROUP]);
            let policy = Section::new(table, &found.key).get(notes, "policy");
            let policy = policy.map(|policy| policy_table(notes, &policy));
            inventory.group_policies.extend(policy.map(|policy| (name.to_owned(), policy)));
        }
        tables.groups.push((name, found));
    }
    let hosts = below(notes, "hosts");
    let read = read_hosts(notes, &hosts, &defaults);
    inventory.hosts.extend(read.into_iter().map(|host| (host.id.clone(), host)));
    for (name, found) in &hosts {
        note_table(&mut tables.hosts, name, found);
    }
    for (name, found) in below(notes, "clusters") {
        let cluster = read_cluster(notes, name, &found);
        inventory.clusters.extend(cluster.map(|cluster| (cluster.id.clone(), cluster)));
        note_table(&mut tables.clusters, name, &found);
    }
    (inventory, tables)
}

fn note_table<'a>(tables: &mut BTreeMap<&'a str, (Section<'a>, usize)>, name: &'a str, found: &Found<'a>) {
    if let DeValue::Table(table) = found.value {
        tables.insert(name, (Section::new(table, &found.key), found.line));
    }
}

fn read_vault(notes: &mut Notes<'_>, top: &Section<'_>) -> VaultSettings {
    let Some(table) = top.table(notes, "vault") else { return VaultSettings::default() };
    let section = Section::new(table, "vault");
    section.refuse_unknown(notes, &[keys::VAULT]);
    let (home, base) = (notes.home, notes.base);
    let id = |text: &str| match OwnerId::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Problem::new("This is not a vault's id.", "Take the line out; Lifeboat fills it in.")),
    };
    VaultSettings {
        path: section.parse(notes, "path", |text| values::path(text, home, base)).unwrap_or_default(),
        id: section.parse(notes, "id", id),
        replicas: section.list(notes, "replicas", |text| values::replica(text, home, base)).unwrap_or_default(),
        recipients: section.list(notes, "recipients", values::recipient).unwrap_or_default(),
        identities: section.list(notes, "identities", |text| values::path(text, home, base)).unwrap_or_default(),
        allow_plaintext: section.flag(notes, "allow_plaintext").unwrap_or(false),
    }
}
