//! What the inventory may say of a Consul agent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::Address;
use crate::model::ids::UnitName;
use crate::model::secret::SecretRef;
use crate::services::SettingError;
use crate::services::common::Pair;

/// The checked settings; what is none is asked of the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// The unit.
    pub unit: UnitName,
    /// Where the agent's HTTP API listens, as the node reaches it.
    pub http: Option<Address>,
    /// The CA that signed what the API shows: a file or a directory on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_ca: Option<String>,
    /// What the agent is shown when it asks who we are: a certificate and its key, files on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_pair: Option<Pair>,
    /// The one name the agent's certificate must bear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_name: Option<String>,
    /// A token with `acl = "write"`.
    pub token: Option<SecretRef>,
    /// A token that is valid once a snapshot was restored: one of the cluster it was taken from.
    pub token_after: Option<SecretRef>,
    /// The datacenter the agent must be of.
    pub datacenter: Option<String>,
    /// The directory the agent's configuration lies in.
    pub config_dir: Option<String>,
    /// The directory the agent's data lies in.
    pub data_dir: Option<String>,
}

const KEYS: [&str; 11] = [
    "unit",
    "http",
    "api_ca",
    "api_cert",
    "api_key",
    "api_name",
    "token",
    "token_after",
    "datacenter",
    "config_dir",
    "data_dir",
];

/// Checks a service's table: every mistake at once.
pub(super) fn check(table: &toml::Table) -> Result<Settings, Vec<SettingError>> {
    let mut errors = Vec::new();
    for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        errors.push(error(key, "Consul has no such setting.", &format!("Settings: {}.", KEYS.join(", "))));
    }
    let unit = match text(table, "unit", &mut errors) {
        None => UnitName::new("consul.service"),
        Some(name) => UnitName::new(name),
    };
    let unit = unit.map_err(|why| errors.push(error("unit", &why.to_string(), "For example: consul.service."))).ok();
    let http = text(table, "http", &mut errors).and_then(|http| {
        let hint = "Write \"127.0.0.1:8500\", \"https://127.0.0.1:8501\" or \"unix:///run/consul.sock\".";
        Address::parse(&http).map_err(|why| errors.push(error("http", &why, hint))).ok()
    });
    let api_ca = file(table, "api_ca", &mut errors);
    let api_pair = pair(table, &mut errors);
    let api_name = text(table, "api_name", &mut errors);
    if api_name.as_deref().is_some_and(|name| !is_server_name(name)) {
        let why = "A certificate's name is a DNS name or an address.";
        errors.push(error("api_name", why, "For example: server.dc1.consul."));
    }
    let token = secret(table, "token", &mut errors);
    let token_after = secret(table, "token_after", &mut errors);
    let datacenter = text(table, "datacenter", &mut errors);
    if datacenter.as_deref().is_some_and(|name| !is_datacenter(name)) {
        let why = "A datacenter's name has only letters, digits, '_' and '-'.";
        errors.push(error("datacenter", why, "For example: dc1."));
    }
    let config_dir = directory(table, "config_dir", &mut errors);
    let data_dir = directory(table, "data_dir", &mut errors);
    match unit {
        Some(unit) if errors.is_empty() => Ok(Settings {
            unit,
            http,
            api_ca,
            api_pair,
            api_name,
            token,
            token_after,
            datacenter,
            config_dir,
            data_dir,
        }),
        _ => Err(errors),
    }
}

/// Whether a text can be a datacenter's name.
pub(super) fn is_datacenter(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// Whether a text is an absolute path that means the same to everyone.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() > 1
        && path.len() < 4096
        && !path.chars().any(char::is_control)
        && !path.split('/').any(|part| matches!(part, ".." | "."))
}

fn error(key: &str, message: &str, hint: &str) -> SettingError {
    SettingError { key: key.to_owned(), message: message.to_owned(), hint: hint.to_owned() }
}

fn text(table: &toml::Table, key: &str, errors: &mut Vec<SettingError>) -> Option<String> {
    match table.get(key)? {
        toml::Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => {
            errors.push(error(key, &format!("'{key}' must be a text."), "Put it in quotes, or leave it out."));
            None
        }
    }
}

fn directory(table: &toml::Table, key: &str, errors: &mut Vec<SettingError>) -> Option<String> {
    let path = text(table, key, errors)?;
    if !is_plain_path(&path) {
        let why = format!("'{key}' must be an absolute path without '..'.");
        errors.push(error(key, &why, "For example: /etc/consul.d."));
        return None;
    }
    Some(path.trim_end_matches('/').to_owned())
}

fn file(table: &toml::Table, key: &str, errors: &mut Vec<SettingError>) -> Option<String> {
    let path = text(table, key, errors)?;
    if !is_plain_path(&path) {
        let why = format!("'{key}' must be the absolute path of a file on the node, without '..'.");
        errors.push(error(key, &why, "For example: /etc/consul.d/tls/ca.pem."));
        return None;
    }
    Some(path)
}

/// A certificate is of no use without its key, and a key without its certificate.
fn pair(table: &toml::Table, errors: &mut Vec<SettingError>) -> Option<Pair> {
    for (one, other) in [("api_cert", "api_key"), ("api_key", "api_cert")] {
        if table.contains_key(one) && !table.contains_key(other) {
            let why = format!("'{one}' needs '{other}' beside it.");
            errors.push(error(one, &why, "Name the certificate and its key, both files on the node, or neither."));
        }
    }
    let (cert, key) = (file(table, "api_cert", errors), file(table, "api_key", errors));
    Some(Pair { cert: cert?, key: key? })
}

/// Whether a text can be the name of a server in a certificate.
fn is_server_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    (1..=253).contains(&name.len()) && name.chars().all(fits)
}

fn secret(table: &toml::Table, key: &str, errors: &mut Vec<SettingError>) -> Option<SecretRef> {
    let hint = "Write { file = \"…\" }, { command = \"…\" }, { env = \"NAME\" } or { prompt = true }.";
    let value = table.get(key)?;
    if value.is_str() {
        errors.push(error(key, &format!("'{key}' must not hold the token itself."), hint));
        return None;
    }
    let wanted = serde_json::to_value(value).unwrap_or(Value::Null);
    let wanted = serde_json::from_value(wanted);
    wanted.map_err(|_| errors.push(error(key, &format!("'{key}' does not say where the token is."), hint))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_needs_to_be_said() {
        let settings = check(&table("")).unwrap();
        assert_eq!(settings.unit.as_str(), "consul.service");
        assert_eq!((settings.http, settings.token), (None, None));
    }

    #[test]
    fn a_token_is_named_and_never_written() {
        let settings = check(&table("token = { file = '/root/t' }\nhttp = 'unix:///run/c.sock'")).unwrap();
        assert_eq!(settings.token, Some(SecretRef::File("/root/t".into())));
        let errors = check(&table("token = 'b1gs33cr3t'")).unwrap_err();
        assert!(!format!("{errors:?}").contains("b1gs33cr3t"), "{errors:?}");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let bad = "unit = 'consul'\nhttp = 'ftp://x:8501'\napi_ca = 'ca.pem'\napi_cert = '/c'\napi_name = 'a b'\ndatacenter = 'd c'\ndata_dir = 'opt'\nconfig_dir = '/a/../b'\ntokn = 1\ntoken = { file = 1 }";
        let keys: Vec<_> = check(&table(bad)).unwrap_err().into_iter().map(|error| error.key).collect();
        assert_eq!(
            keys,
            ["tokn", "unit", "http", "api_ca", "api_cert", "api_name", "token", "datacenter", "config_dir", "data_dir"]
        );
    }
}
