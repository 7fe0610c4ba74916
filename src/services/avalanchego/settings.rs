//! The service's table in the inventory.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::ids::UnitName;
use crate::services::SettingError;

/// What an operator may say about a node; everything else is asked of the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The systemd unit.
    pub unit: UnitName,
    /// The node's configuration file, when it is not to be taken from the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file: Option<String>,
    /// The data directory, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// The directory of the three identity files, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staking_dir: Option<String>,
    /// The port of the node's API on its loopback, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// The file of the certificate the API shows over TLS, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_cert: Option<String>,
    /// Whether the VM plugins' binaries are saved.
    #[serde(default)]
    pub plugins: bool,
    /// Whether the database is saved, which stops the node.
    #[serde(default)]
    pub db: bool,
}

impl Settings {
    /// Reads them back from what [`check`] made.
    pub fn of(settings: &Value) -> crate::model::exit::Result<Self> {
        crate::services::common::args_of(settings)
    }
}

/// The unit the official installer and most others use.
const UNIT: &str = "avalanchego.service";

/// Checks the table, collecting every mistake.
pub fn check(table: &toml::Table) -> Result<Value, Vec<SettingError>> {
    let mut mistakes = Vec::new();
    let mut wrong = |key: &str, message: String, hint: &str| {
        mistakes.push(SettingError { key: key.to_owned(), message, hint: hint.to_owned() });
    };
    let mut settings = serde_json::Map::new();
    settings.insert("unit".to_owned(), UNIT.into());
    for (key, value) in table {
        let checked: Option<Value> = match key.as_str() {
            "unit" => value.as_str().and_then(|text| {
                let full = if text.contains('.') { text.to_owned() } else { format!("{text}.service") };
                UnitName::new(full).ok().map(|unit| unit.as_str().into())
            }),
            "config_file" | "data_dir" | "staking_dir" | "http_cert" => {
                value.as_str().filter(|path| is_absolute(path)).map(|path| path.trim_end_matches('/').into())
            }
            "http_port" => {
                value.as_integer().and_then(|port| u16::try_from(port).ok()).filter(|&p| p > 0).map(Into::into)
            }
            "plugins" | "db" => value.as_bool().map(Into::into),
            other => {
                wrong(other, format!("'{other}' is not a setting of avalanchego."), KNOWN);
                continue;
            }
        };
        if let Some(value) = checked {
            settings.insert(key.clone(), value);
            continue;
        }
        let hint = match key.as_str() {
            "unit" => "Write a unit's name, such as \"avalanchego.service\".",
            "http_port" => "Write a number from 1 to 65535.",
            "plugins" | "db" => "Write true or false.",
            _ => "Write an absolute path on the node, such as \"/home/avax/.avalanchego\".",
        };
        wrong(key, format!("'{key}' cannot be used as it is written."), hint);
    }
    if mistakes.is_empty() { Ok(Value::Object(settings)) } else { Err(mistakes) }
}

const KNOWN: &str = "The settings are unit, config_file, data_dir, staking_dir, http_port, http_cert, plugins and db.";

fn is_absolute(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && !path.chars().any(char::is_control)
        && !path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_means_the_installer_s_unit() {
        assert_eq!(check(&toml::Table::new()).unwrap(), serde_json::json!({"unit": "avalanchego.service"}));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let table = "unit = \"a b\"\ndata_dir = \"x\"\nhttp_port = 0\nhttp_cert = \"a.pem\"\ndb = \"yes\"\nfoo = 1\n"
            .parse()
            .unwrap();
        let keys: Vec<_> = check(&table).unwrap_err().into_iter().map(|mistake| mistake.key).collect();
        assert_eq!(keys.len(), 6, "{keys:?}");
    }
}
