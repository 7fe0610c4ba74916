//! Where a node's files really are: flag before environment before configuration file before default.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::facts::Place;
use super::settings::Settings;

/// Everything a node's settings come from.
#[derive(Debug, Default)]
pub struct Sources {
    flags: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    config: BTreeMap<String, String>,
    cwd: String,
    data_dir: String,
}

/// A setting's value and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: String,
    /// Where.
    pub from: &'static str,
}

impl Sources {
    /// Gathers the words of a command line, `NAME=VALUE` lines and a parsed configuration.
    pub fn new(args: &str, env: &str, config: &Map<String, Value>, cwd: &str) -> Self {
        let env = env.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let config = config.iter().filter_map(|(key, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => return None,
            };
            Some((key.to_ascii_lowercase(), text))
        });
        let mut sources = Self {
            flags: flags(args),
            env: env.collect(),
            config: config.collect(),
            cwd: cwd.to_owned(),
            data_dir: String::new(),
        };
        sources.data_dir = sources.path("data-dir", "$HOME/.avalanchego").path;
        sources
    }

    /// Lets the inventory decide the data directory.
    pub fn set_data_dir(&mut self, path: &str) {
        path.clone_into(&mut self.data_dir);
    }

    /// A setting wherever it is set.
    pub fn find(&self, key: &str) -> Option<Found> {
        let found = |value: &String, from| Some(Found { value: value.clone(), from });
        if let Some(value) = self.flags.get(key) {
            return found(value, "flag");
        }
        let name = format!("AVAGO_{}", key.to_ascii_uppercase().replace('-', "_"));
        // An empty variable counts as unset, as the node's own configuration library has it.
        if let Some(value) = self.env.get(&name).filter(|value| !value.is_empty()) {
            return found(value, "environment");
        }
        self.config.get(key).and_then(|value| found(value, "config file"))
    }

    /// Whether a switch is on.
    pub fn is_on(&self, key: &str) -> Option<Found> {
        self.find(key).filter(|found| matches!(found.value.to_ascii_lowercase().as_str(), "true" | "t" | "1"))
    }

    /// Whether a text is set to something.
    pub fn is_set(&self, key: &str) -> Option<Found> {
        self.find(key).filter(|found| !found.value.is_empty())
    }

    /// A path setting, expanded and made absolute.
    pub fn path(&self, key: &str, default: &str) -> Place {
        let Found { value, from } =
            self.find(key).unwrap_or_else(|| Found { value: default.to_owned(), from: "default" });
        Place { path: self.absolute(&self.expand(&value)), from: from.to_owned() }
    }

    fn absolute(&self, path: &str) -> String {
        let joined = if path.starts_with('/') || path.is_empty() || path.contains('$') {
            path.to_owned()
        } else {
            format!("{}/{path}", self.cwd.trim_end_matches('/'))
        };
        let parts: Vec<_> = joined.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if joined.starts_with('/') { format!("/{}", parts.join("/")) } else { joined }
    }

    /// `$NAME` and `${NAME}`; the data directory is a variable of the node's own, others are the process's. One that is
    /// not known here stays as it is written, so that the path is seen to be unusable.
    fn expand(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out += &rest[..at];
            let after = &rest[at + 1..];
            let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (name, length) = if let Some((name, _)) = braced {
                (name, name.len() + 2)
            } else {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end)
            };
            match name {
                "AVALANCHEGO_DATA_DIR" if !self.data_dir.is_empty() => out += &self.data_dir,
                "HOME" => out += self.env.get("HOME").map_or("", String::as_str),
                name => match self.env.get(name) {
                    Some(value) => out += value,
                    None => out += &rest[at..=at + length],
                },
            }
            rest = &after[length..];
        }
        out + rest
    }
}

fn flags(args: &str) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::new();
    let mut words = args.lines().skip(1).peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        if let Some((name, value)) = name.split_once('=') {
            flags.insert(name.to_ascii_lowercase(), value.to_owned());
            continue;
        }
        // A switch may stand alone; what follows is its value unless that is a flag itself.
        let value = words.next_if(|next| !next.starts_with('-')).unwrap_or("true");
        flags.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    flags
}

/// Every path the driver knows, by the key it has in the facts: setting and default.
const PATHS: [(&str, &str, &str); 9] = [
    ("staking_cert", "staking-tls-cert-file", "$AVALANCHEGO_DATA_DIR/staking/staker.crt"),
    ("staking_key", "staking-tls-key-file", "$AVALANCHEGO_DATA_DIR/staking/staker.key"),
    ("signer_key", "staking-signer-key-file", "$AVALANCHEGO_DATA_DIR/staking/signer.key"),
    ("chain_configs", "chain-config-dir", "$AVALANCHEGO_DATA_DIR/configs/chains"),
    ("subnet_configs", "subnet-config-dir", "$AVALANCHEGO_DATA_DIR/configs/subnets"),
    ("vm_aliases", "vm-aliases-file", "$AVALANCHEGO_DATA_DIR/configs/vms/aliases.json"),
    ("plugins", "plugin-dir", "$AVALANCHEGO_DATA_DIR/plugins"),
    ("db", "db-dir", "$AVALANCHEGO_DATA_DIR/db"),
    ("process", "process-context-file", "$AVALANCHEGO_DATA_DIR/process.json"),
];

/// Every path, the inventory's word first.
pub fn paths(sources: &mut Sources, settings: &Settings) -> BTreeMap<String, Place> {
    let inventory = |path: &str| Place { path: path.to_owned(), from: "inventory".to_owned() };
    let mut places = BTreeMap::new();
    let data_dir = match &settings.data_dir {
        Some(path) => {
            sources.set_data_dir(path);
            inventory(path)
        }
        None => sources.path("data-dir", "$HOME/.avalanchego"),
    };
    places.insert("data_dir".to_owned(), data_dir);
    for (name, key, default) in PATHS {
        places.insert(name.to_owned(), sources.path(key, default));
    }
    if let Some(dir) = &settings.staking_dir {
        for (file, name) in super::facts::IDENTITY {
            places.insert(name.to_owned(), inventory(&format!("{dir}/{file}")));
        }
    }
    if let Some(cert) = places.get("staking_cert").cloned() {
        let dir = Place { path: super::facts::parent(&cert.path).to_owned(), from: cert.from };
        places.insert("staking_dir".to_owned(), dir);
    }
    let config = match &settings.config_file {
        Some(path) => Some(inventory(path)),
        None => sources.is_set("config-file").map(|_| sources.path("config-file", "")),
    };
    places.extend(config.map(|place| ("config_file".to_owned(), place)));
    places
}

/// The file of the certificate that the API shows over TLS, as far as one can be told. What stands inline is masked on the
/// node with everything else that does.
pub fn http_certificate(sources: &Sources, settings: &Settings) -> Option<String> {
    if settings.http_cert.is_some() {
        return settings.http_cert.clone();
    }
    sources.is_set("http-tls-cert-file").filter(|_| sources.is_set("http-tls-cert-file-content").is_none())?;
    Some(sources.path("http-tls-cert-file", "").path).filter(|path| path.starts_with('/'))
}

/// Why there is no identity to copy, when the configuration says so.
pub fn obstacle(sources: &Sources) -> Option<String> {
    let said = |key: &str, found: &Found| format!("'{key}' is set by {}", with_article(found.from));
    for (key, why) in [
        (
            "staking-ephemeral-cert-enabled",
            "the node makes a throw-away identity at every start, and there is nothing to save",
        ),
        (
            "staking-ephemeral-signer-enabled",
            "the node makes a throw-away BLS key at every start, and there is nothing to save of it",
        ),
    ] {
        if let Some(found) = sources.is_on(key) {
            return Some(format!("{}: {why}.", said(key, &found)));
        }
    }
    for (key, why) in [
        (
            "staking-tls-key-file-content",
            "the identity stands inline and there is no file to copy; save where it is kept instead",
        ),
        (
            "staking-tls-cert-file-content",
            "the identity stands inline and there is no file to copy; save where it is kept instead",
        ),
        (
            "staking-signer-key-file-content",
            "the BLS key stands inline and there is no file to copy; save where it is kept instead",
        ),
        ("staking-rpc-signer-endpoint", "the BLS key lies with a remote signer and is not on this host"),
        ("config-file-content", "the configuration stands inline, so where the identity is cannot be told"),
    ] {
        if let Some(found) = sources.is_set(key) {
            return Some(format!("{}: {why}.", said(key, &found)));
        }
    }
    None
}

fn with_article(from: &str) -> String {
    match from {
        "flag" => "a flag".to_owned(),
        other => format!("the {other}"),
    }
}

/// Whether any key stands inline where the unit's own files would show it.
pub fn has_inline_keys(sources: &Sources) -> bool {
    let keys = sources.flags.keys().map(String::as_str).chain(sources.env.keys().map(String::as_str));
    keys.into_iter().any(|key| {
        let key = key.to_ascii_lowercase();
        key.ends_with("content") || key.contains("password")
    })
}
