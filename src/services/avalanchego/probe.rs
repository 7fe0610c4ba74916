//! Looking at a node: two short scripts and two questions to its API.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::api;
use super::facts::{Api, IDENTITY, Own, Seen, base_name};
use super::look::{self, Where};
use super::resolve::{self, Sources};
use super::settings::Settings;
use crate::formats::node_id::NodeId;
use crate::formats::pem::{PemLimits, first_certificate};
use crate::model::exit::Result;
use crate::model::facts::{Facts, Identity};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::{Answers, Expects, Trust, own_value, unit_facts};

/// Looks at the node. A key's file is stat-ed, never read.
pub fn probe(cx: &Cx, settings: &Value) -> Result<Facts> {
    let settings = Settings::of(settings)?;
    let mut answers = look::first(cx, settings.unit.as_str(), settings.config_file.as_deref())?;
    let (mut sources, _) = sources(&answers);
    let wanted = resolve::paths(&mut sources, &settings).get("config_file").map(|place| place.path.clone());
    if let Some(path) = wanted
        && path.starts_with('/')
        && path != answers.text("config-path")
    {
        answers.extend(look::config(cx, &path)?);
    }
    let (mut own, mut notes) = start(&answers, &settings);
    let stated: Vec<String> = own.paths.keys().cloned().collect();
    let stats: Vec<&str> = stated.iter().map(|key| own.path(key)).collect();
    let at = Where {
        cert: own.path("staking_cert"),
        data_dir: own.path("data_dir"),
        plugin_dir: own.path("plugins"),
        process: own.path("process"),
        stats: &stats,
    };
    let files = look::second(cx, &at)?;
    let seen = look::stats(&files);
    add_files(&mut own, &files, stated.iter().cloned().zip(seen));
    if own.running {
        api::look(cx, &mut own.api);
    } else {
        "not running".clone_into(&mut own.api.silent);
    }
    notes.extend(remarks(&own));
    Ok(envelope(&answers, own, notes))
}

/// The settings' sources out of the first script's answers, and a sentence when the configuration could not be read.
fn sources(answers: &Answers) -> (Sources, Option<String>) {
    let mut env = answers.text("env");
    // systemd gives a unit with `User=` its account's home; one without has none, and a process shows its own.
    if answers.bytes("pid").is_none()
        && !answers.shown("User").is_empty()
        && !env.lines().any(|l| l.starts_with("HOME="))
    {
        let passwd = answers.text("passwd");
        let home = passwd.split(':').nth(5).unwrap_or_default();
        env += &format!("\nHOME={home}");
    }
    let cwd = match answers.text("cwd") {
        cwd if cwd.is_empty() => answers.shown("WorkingDirectory"),
        cwd => cwd,
    };
    let (config, unread) = match answers.bytes("config") {
        None => (Map::new(), None),
        Some(bytes) => match serde_json::from_slice::<Map<String, Value>>(bytes) {
            Ok(config) => (config, None),
            Err(_) => (
                Map::new(),
                Some(format!(
                    "The configuration file {} is not JSON that could be read, so what it sets is not known.",
                    answers.text("config-path")
                )),
            ),
        },
    };
    (Sources::new(&answers.text("args"), &env, &config, &cwd), unread)
}

/// Everything the first script decides.
pub(super) fn start(answers: &Answers, settings: &Settings) -> (Own, Vec<String>) {
    let (mut sources, unread) = sources(answers);
    let paths = resolve::paths(&mut sources, settings);
    let mut notes = Vec::new();
    let stray: Option<u32> = answers.text("stray").parse().ok();
    let mut obstacle = resolve::obstacle(&sources);
    if let Some(pid) = stray {
        notes.push(format!(
            "AvalancheGo runs as pid {pid} outside {}, so it cannot be stopped and started by Lifeboat.",
            settings.unit
        ));
        if answers.bytes("foreign").is_some() {
            obstacle.get_or_insert(
                "AvalancheGo runs in a container, whose files are not at the paths it was given.".into(),
            );
        }
    }
    let other = answers.text("other");
    if !other.is_empty() {
        notes.push(format!(
            "AvalancheGo runs under {other}, which is another node than that of {}. Set unit = \"{other}\" if that is it.",
            settings.unit
        ));
    }
    // What an unread file sets could be anything; only the inventory can then say where the identity is.
    if let Some(sentence) = unread {
        if settings.staking_dir.is_none() {
            obstacle.get_or_insert(format!("{sentence} Set staking_dir in the inventory."));
        }
        notes.push(sentence);
    }
    for (_, key) in IDENTITY {
        if let Some(place) = paths.get(key).filter(|place| !place.path.starts_with('/')) {
            obstacle.get_or_insert(format!(
                "Where the identity is cannot be told: '{}' depends on the process's surroundings.",
                place.path
            ));
        }
    }
    let text = |key: &str, default: &str| sources.is_set(key).map_or(default.to_owned(), |found| found.value);
    let passwd = answers.text("passwd");
    let is_wildcard = |host: &str| matches!(host, "" | "0.0.0.0" | "::" | "[::]");
    let host = text("http-host", "127.0.0.1");
    let own = Own {
        unit: settings.unit.clone(),
        installed: !matches!(answers.shown("LoadState").as_str(), "" | "not-found"),
        fragment: answers.shown("FragmentPath"),
        drop_ins: answers
            .shown("DropInPaths")
            .split_whitespace()
            .filter(|p| !p.contains("/90-lifeboat-"))
            .map(str::to_owned)
            .collect(),
        user: answers.text("user"),
        group: answers.text("group"),
        user_exists: !passwd.is_empty(),
        running: answers.bytes("pid").is_some(),
        stray,
        paths,
        files: BTreeMap::new(),
        staking_dir_alone: false,
        obstacle,
        inline_keys: resolve::has_inline_keys(&sources),
        network: text("network-id", "mainnet"),
        public_ip: sources.is_set("public-ip").map(|found| CleanText::new(&found.value).one_line().to_string()),
        db_type: text("db-type", "leveldb"),
        disk_node_id: None,
        api: Api {
            host: if is_wildcard(&host) { "127.0.0.1".to_owned() } else { host },
            port: settings.http_port.unwrap_or_else(|| text("http-port", "").parse().unwrap_or(9650)),
            tls: sources.is_on("http-tls-enabled").is_some(),
            trust: resolve::http_certificate(&sources, settings)
                .map(|path| Trust { expects: Expects::Exactly(path), shows: None }),
            ..Api::default()
        },
        plugins: BTreeMap::new(),
        staking_room: None,
        data_room: None,
        wants_plugins: settings.plugins,
        wants_db: settings.db,
        from: origins(answers, settings, &sources),
    };
    (own, notes)
}

/// Where what the first script decides comes from.
fn origins(answers: &Answers, settings: &Settings, sources: &Sources) -> BTreeMap<String, String> {
    let set = |key: &str| sources.is_set(key).map_or("default", |found| found.from);
    let or = |is_named: bool, key: &str| if is_named { "inventory" } else { set(key) };
    let user = match answers.bytes("pid") {
        Some(_) => "its process",
        None if answers.shown("User").is_empty() => "default",
        None => "systemd",
    };
    let all = [
        ("user", user),
        ("network", set("network-id")),
        ("public_ip", set("public-ip")),
        ("db_type", set("db-type")),
        ("api.host", set("http-host")),
        ("api.port", or(settings.http_port.is_some(), "http-port")),
        ("api.tls", set("http-tls-enabled")),
        ("api.trust", or(settings.http_cert.is_some(), "http-tls-cert-file")),
    ];
    all.into_iter().map(|(fact, origin)| (fact.to_owned(), origin.to_owned())).collect()
}

/// Everything the second script adds.
pub(super) fn add_files(own: &mut Own, answers: &Answers, seen: impl Iterator<Item = (String, Option<Seen>)>) {
    own.files = seen.filter_map(|(key, seen)| Some((key, seen?))).collect();
    own.disk_node_id = answers.bytes("cert").and_then(|bytes| {
        let (block, _) = first_certificate(bytes, &PemLimits::default()).ok()?;
        Some(NodeId::from_certificate_der(&block.der).to_string())
    });
    let names: Vec<&str> = IDENTITY.iter().map(|(_, key)| base_name(own.path(key))).collect();
    own.staking_dir_alone = answers.text("beside").lines().all(|name| names.contains(&name));
    let room = |name: &str| answers.text(name).parse::<u64>().ok().map(|kib| kib.saturating_mul(1024));
    (own.staking_room, own.data_room) = (room("room-staking"), room("room-data"));
    own.plugins = answers
        .text("plugins")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(size, path)| Some((CleanText::new(base_name(path)).one_line().to_string(), size.parse().ok()?)))
        .collect();
    // The process file says where the API really listens; a node told to take any free port knows it only there.
    let uri = serde_json::from_slice::<Value>(answers.bytes("process").unwrap_or_default()).ok();
    let uri = uri.as_ref().and_then(|v| v.get("uri")).and_then(Value::as_str).unwrap_or_default();
    if own.running
        && let Some(port) = uri.rsplit(':').next().and_then(|port| port.parse().ok())
        && own.api.port == 0
    {
        own.api.port = port;
        own.from.insert("api.port".to_owned(), "its process file".to_owned());
    }
}

/// Sentences an operator should read.
fn remarks(own: &Own) -> Vec<String> {
    let mut notes = Vec::new();
    if own.obstacle.is_none()
        && own.seen("staking_key").is_some()
        && own.seen("signer_key").is_none()
        && own.needs_signer()
    {
        notes.push(
            "The identity is incomplete: signer.key is missing, so the BLS key the network knows is not here."
                .to_owned(),
        );
    }
    if let (Some(api), Some(disk)) = (&own.api.node_id, &own.disk_node_id)
        && api != disk
    {
        notes.push(format!("The node runs as {api}, but the certificate on its disk makes {disk}: the files were changed after its start."));
    }
    if let Some(key) = own.seen("staking_key").filter(|seen| seen.mode & 0o077 != 0) {
        notes.push(format!("{} can be read by others (mode {:04o}).", own.path("staking_key"), key.mode));
    }
    if let Some(ip) = &own.public_ip {
        notes.push(format!(
            "The configuration has the literal public address {ip}; on another host it would be the wrong one."
        ));
    }
    notes
}

fn variant(own: &Own, answers: &Answers) -> &'static str {
    let started = answers.text("args");
    let program = started.lines().next().unwrap_or_default();
    if program.ends_with("/avalanche-node/avalanchego") {
        "official installer"
    } else if program.starts_with("/opt/avalanche/") {
        "Ansible role"
    } else if matches!(
        program,
        "/usr/bin/avalanchego" | "/usr/local/bin/avalanchego" | "/var/opt/avalanchego/bin/avalanchego"
    ) {
        "package"
    } else if own.stray.is_some() {
        "plain process"
    } else {
        "unknown"
    }
}

fn envelope(answers: &Answers, mut own: Own, notes: Vec<String>) -> Facts {
    let told = if own.api.node_id.is_some() { "its API" } else { "the certificate on disk" };
    own.from.insert(format!("identities.{}", super::items::NODE_ID), told.to_owned());
    own.from.insert(format!("identities.{}", super::items::BLS), "its API".to_owned());
    let mut identities = Vec::new();
    let mut add = |kind: &str, value: Option<&str>| {
        identities.extend(value.map(|value| Identity { kind: kind.to_owned(), value: value.to_owned() }));
    };
    add(super::items::NODE_ID, own.node_id());
    add(super::items::BLS, own.api.bls_public_key.as_deref());
    Facts {
        present: own.installed || own.running || own.seen("staking_cert").is_some(),
        version: own.api.version.as_deref().map(CleanText::from),
        variant: Some(variant(&own, answers).into()),
        identities,
        heard: Vec::new(),
        units: vec![unit_facts(&own.unit, |name| answers.shown(name))],
        outside: own.stray.is_some(),
        notes: notes.iter().map(|note| CleanText::new(note)).collect(),
        own: own_value(&own),
    }
}
