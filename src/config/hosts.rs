//! Hosts, clusters and their services.

use std::collections::{BTreeMap, HashSet};

use toml::de::{DeTable, DeValue};

use super::keys;
use super::policy::read_policy;
use super::reader::{Found, Notes, Section, kind};
use super::values::{self, Problem};
use crate::model::ids::{HostId, OwnerId, ServiceName};
use crate::model::inventory::{Access, Become, Cluster, Host, ServiceEntry, TransportKind};
use crate::model::secret::SecretRef;

/// What one host table says; `None` where it is silent.
#[derive(Default)]
#[expect(clippy::struct_field_names, reason = "a host's own keys and its host keys are both called that")]
pub(crate) struct HostKeys {
    transport: Option<TransportKind>,
    address: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    identity_files: Option<Vec<std::path::PathBuf>>,
    /// The jump hosts as written, for the checks that need every host.
    pub jump: Option<String>,
    host_keys: Option<Vec<String>>,
    privilege: Option<Become>,
    password: Option<SecretRef>,
    passphrase: Option<SecretRef>,
    become_password: Option<SecretRef>,
    /// The groups.
    pub groups: Option<Vec<String>>,
}

const TRANSPORTS: [(&str, TransportKind); 2] = [("ssh", TransportKind::Ssh), ("local", TransportKind::Local)];
const BECOME: [(&str, Become); 3] = [("sudo", Become::Sudo), ("doas", Become::Doas), ("none", Become::None)];

impl HostKeys {
    /// Reads the keys that `[defaults]` and a host share, and a host's address.
    pub fn read(notes: &mut Notes<'_>, section: &Section<'_>) -> Self {
        let (home, base) = (notes.home, notes.base);
        Self {
            transport: section.word(notes, "transport", &TRANSPORTS),
            address: section.parse(notes, "address", values::address),
            port: section.number(notes, "port", 1, 65_535).and_then(|port| u16::try_from(port).ok()),
            user: section.parse(notes, "user", values::user),
            identity_files: section.list(notes, "identity_file", |text| values::path(text, home, base)),
            jump: section.parse(notes, "jump", |text| Ok(text.to_owned())),
            host_keys: section.list(notes, "host_key", values::fingerprint),
            privilege: section.word(notes, "become", &BECOME),
            password: secret(notes, section, "password"),
            passphrase: secret(notes, section, "passphrase"),
            become_password: secret(notes, section, "become_password"),
            groups: section.list(notes, "groups", values::group),
        }
    }

    /// What holds where the host is silent and `defaults` is not.
    pub fn access(&self, defaults: &Self) -> Access {
        Access {
            transport: self.transport.or(defaults.transport).unwrap_or_default(),
            address: self.address.clone(),
            port: self.port.or(defaults.port),
            user: self.user.clone().or_else(|| defaults.user.clone()),
            identity_files: self.identity_files.clone().or_else(|| defaults.identity_files.clone()).unwrap_or_default(),
            jump: self.jump.clone().or_else(|| defaults.jump.clone()),
            host_keys: self.host_keys.clone().or_else(|| defaults.host_keys.clone()).unwrap_or_default(),
            privilege: self.privilege.or(defaults.privilege).unwrap_or_default(),
            password: self.password.clone().or_else(|| defaults.password.clone()),
            passphrase: self.passphrase.clone().or_else(|| defaults.passphrase.clone()),
            become_password: self.become_password.clone().or_else(|| defaults.become_password.clone()),
        }
    }
}

/// Reads `[defaults]`.
pub(crate) fn read_defaults(notes: &mut Notes<'_>, top: &Section<'_>) -> HostKeys {
    let Some(table) = top.table(notes, "defaults") else { return HostKeys::default() };
    let section = Section::new(table, "defaults");
    section.refuse_unknown(notes, &[keys::DEFAULTS, keys::HOST_ONLY]);
    for key in keys::HOST_ONLY {
        let Some(found) = section.get(notes, key) else { continue };
        let hint = match *key {
            "policy" => "What holds everywhere stands in [policy].".to_owned(),
            key => format!("Write '{key}' under each host."),
        };
        notes.error(found.line, &found.key, Problem::new(format!("'{key}' cannot be the same for every host."), hint));
    }
    let mut defaults = HostKeys::read(notes, &section);
    defaults.address = None;
    defaults
}

/// Reads one `[hosts.NAME]`.
pub(crate) fn read_host(notes: &mut Notes<'_>, name: &str, found: &Found<'_>, defaults: &HostKeys) -> Option<Host> {
    let id = found.checked(notes, HostId::new(name).map_err(|bad| Problem::bare(bad.to_string())));
    let table = found.table(notes)?;
    let section = Section::new(table, &found.key);
    section.refuse_unknown(notes, &[keys::DEFAULTS, keys::HOST_ONLY]);
    let own = HostKeys::read(notes, &section);
    let owner = |text: &str| OwnerId::new(text).map_err(|bad| Problem::bare(bad.to_string()));
    let formerly = section.list(notes, "formerly", owner).unwrap_or_default();
    let services = read_services(notes, &section);
    let policy = read_policy(notes, &section);
    let mut access = own.access(defaults);
    // A bastion that everything goes through by default does not go through itself.
    if own.jump.is_none() && access.jump.as_deref().is_some_and(|jump| jump.split(',').any(|hop| hop.trim() == name)) {
        access.jump = None;
    }
    if access.transport == TransportKind::Local {
        for key in ["address", "port", "jump", "host_key", "identity_file"] {
            if let Some(found) = section.get(notes, key) {
                let message = format!("'{key}' has no meaning for transport \"local\".");
                notes.warn(found.line, &found.key, Problem::bare(message));
            }
        }
    }
    let groups = unique(own.groups.or_else(|| defaults.groups.clone()).unwrap_or_default());
    Some(Host { id: id?, access, groups, formerly, services, policy })
}

/// Reads one `[clusters.NAME]`; members are resolved later.
pub(crate) fn read_cluster(notes: &mut Notes<'_>, name: &str, found: &Found<'_>) -> Option<Cluster> {
    let id = found.checked(notes, OwnerId::new(name).map_err(|bad| Problem::bare(bad.to_string())));
    let table = found.table(notes)?;
    let section = Section::new(table, &found.key);
    section.refuse_unknown(notes, &[keys::CLUSTER]);
    let host = |text: &str| HostId::new(text).map_err(|bad| Problem::bare(bad.to_string()));
    let members = section.list(notes, "members", host).unwrap_or_default();
    let groups = unique(section.list(notes, "groups", values::group).unwrap_or_default());
    let services = read_services(notes, &section);
    let policy = read_policy(notes, &section);
    Some(Cluster { id: id?, members, groups, services, policy })
}

fn unique(names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

fn read_services(notes: &mut Notes<'_>, owner: &Section<'_>) -> BTreeMap<ServiceName, ServiceEntry> {
    let mut services = BTreeMap::new();
    let Some(all) = owner.get(notes, "services") else { return services };
    let Some(table) = all.table(notes) else { return services };
    for (name, found) in Section::new(table, &all.key).entries(notes) {
        let service = found.checked(notes, ServiceName::new(name).map_err(|bad| Problem::bare(bad.to_string())));
        let Some(table) = found.table(notes) else { continue };
        let section = Section::new(table, &found.key);
        let driver = |text: &str| match ServiceName::new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(bad) => Err(Problem::bare(bad.to_string().replace("service name", "kind of service"))),
        };
        let kind = section.parse(notes, "kind", driver).unwrap_or_else(|| name.to_owned());
        let policy = read_policy(notes, &section);
        let mut lines = BTreeMap::from([(String::new(), found.line)]);
        let settings = settings(notes, table, "", &found.key, &mut lines);
        if let Some(name) = service {
            services.insert(name.clone(), ServiceEntry { name, kind, settings, lines, policy });
        }
    }
    services
}

/// Copies a driver's own settings, noting the line of each.
fn settings(
    notes: &mut Notes<'_>,
    table: &DeTable<'_>,
    prefix: &str,
    path: &str,
    lines: &mut BTreeMap<String, usize>,
) -> toml::Table {
    let mut copy = toml::Table::new();
    for (key, value) in table {
        let name: &str = key.get_ref();
        if prefix.is_empty() && keys::SERVICE.contains(&name) {
            continue;
        }
        let dotted = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        lines.insert(dotted.clone(), notes.line(key.span().start));
        let line = notes.line(value.span().start);
        let setting = match value.get_ref() {
            DeValue::Table(inner) => Some(toml::Value::Table(settings(notes, inner, &dotted, path, lines))),
            other => plain(notes, other, &format!("{path}.{dotted}"), line),
        };
        copy.extend(setting.map(|setting| (name.to_owned(), setting)));
    }
    copy
}

/// Copies a value below a service; numbers out of reach are mistakes.
fn plain(notes: &mut Notes<'_>, value: &DeValue<'_>, key: &str, line: usize) -> Option<toml::Value> {
    let copy = match value {
        DeValue::String(text) => Some(toml::Value::String(text.clone().into_owned())),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(toml::Value::Integer),
        DeValue::Float(digits) => digits.as_str().parse().ok().map(toml::Value::Float),
        DeValue::Boolean(flag) => Some(toml::Value::Boolean(*flag)),
        DeValue::Datetime(when) => Some(toml::Value::Datetime(*when)),
        DeValue::Array(array) => {
            Some(toml::Value::Array(array.iter().filter_map(|v| plain(notes, v.get_ref(), key, line)).collect()))
        }
        DeValue::Table(table) => Some(toml::Value::Table(settings(notes, table, key, key, &mut BTreeMap::new()))),
    };
    if copy.is_none() {
        notes.error(line, key, Problem::bare(format!("'{key}' holds {} that cannot be read.", kind(value))));
    }
    copy
}

const SECRET_FORMS: &str =
    "Write { prompt = true }, { command = \"pass show …\" }, { file = \"~/.secret\" } or { env = \"NAME\" }.";

/// Reads where a secret comes from. What stands there instead is never repeated: it may be the secret.
fn secret(notes: &mut Notes<'_>, section: &Section<'_>, key: &str) -> Option<SecretRef> {
    let found = section.get(notes, key)?;
    let DeValue::Table(table) = found.value else {
        let message = match found.value {
            DeValue::String(_) => {
                format!("'{}' must say where the secret is; the inventory never holds it.", found.key)
            }
            other => format!("'{}' must say where the secret is, not hold {}.", found.key, kind(other)),
        };
        notes.error(found.line, &found.key, Problem::new(message, SECRET_FORMS));
        return None;
    };
    let section = Section::new(table, &found.key);
    section.refuse_unknown(notes, &[keys::SECRET]);
    let given: Vec<&str> = keys::SECRET.iter().copied().filter(|form| table.contains_key(*form)).collect();
    let [form] = given[..] else {
        if !given.is_empty() || table.is_empty() {
            let message = format!("'{}' must name one source of the secret, not {}.", found.key, given.len());
            notes.error(found.line, &found.key, Problem::new(message, SECRET_FORMS));
        }
        return None;
    };
    let (home, base) = (notes.home, notes.base);
    let empty = |what: &str| Problem::new(format!("The {what} is empty."), SECRET_FORMS);
    match form {
        "prompt" => {
            let asked = section.flag(notes, "prompt")?;
            let problem = || Problem::new("'prompt = false' names no source.", SECRET_FORMS);
            found.checked(notes, asked.then_some(SecretRef::Prompt(true)).ok_or_else(problem))
        }
        "command" => section.parse(notes, form, |text| match text.trim() {
            "" => Err(empty("command")),
            _ => Ok(SecretRef::Command(text.to_owned())),
        }),
        "file" => section.parse(notes, form, |text| values::path(text, home, base).map(SecretRef::File)),
        _ => section.parse(notes, form, |text| {
            let named = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if named && !text.starts_with(|c: char| c.is_ascii_digit()) {
                return Ok(SecretRef::Env(text.to_owned()));
            }
            Err(Problem::new("'env' must be the name of an environment variable.", "Write the name, not the value."))
        }),
    }
}
