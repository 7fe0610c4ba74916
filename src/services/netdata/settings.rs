//! The service's table in the inventory.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::ids::UnitName;
use crate::services::SettingError;

/// What an operator may say about an agent; everything else is asked of the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The systemd unit.
    pub unit: UnitName,
    /// The configuration directory, when it is not to be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_dir: Option<String>,
    /// The library directory, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lib_dir: Option<String>,
    /// The cache directory, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<String>,
    /// The port of the agent's API on its loopback, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How many seconds a stop may take before it is ended by force, instead of what the unit itself allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_within: Option<u64>,
}

impl Settings {
    /// Reads them back from what [`check`] made.
    pub fn of(settings: &Value) -> crate::model::exit::Result<Self> {
        crate::services::common::args_of(settings)
    }
}

/// The unit of every package and of the static install.
const UNIT: &str = "netdata.service";
const KNOWN: &str = "The settings are unit, config_dir, lib_dir, cache_dir, port and stop_within.";

/// Checks the table, collecting every mistake.
pub fn check(table: &toml::Table) -> Result<Value, Vec<SettingError>> {
    let mut mistakes = Vec::new();
    let mut settings = serde_json::Map::new();
    settings.insert("unit".to_owned(), UNIT.into());
    for (key, value) in table {
        let number = |least: i64, most: i64| value.as_integer().filter(|n| (least..=most).contains(n)).map(Value::from);
        let (checked, hint) = match key.as_str() {
            "unit" => (value.as_str().and_then(unit_name), "Write a unit's name, such as \"netdata.service\"."),
            "config_dir" | "lib_dir" | "cache_dir" => (
                value.as_str().filter(|path| is_absolute(path)).map(|path| path.trim_end_matches('/').into()),
                "Write an absolute path on the node, such as \"/var/cache/netdata\".",
            ),
            "port" => (number(1, 65_535), "Write a number from 1 to 65535."),
            "stop_within" => (number(1, 3600), "Write a number of seconds from 1 to 3600."),
            other => {
                let message = format!("'{other}' is not a setting of netdata.");
                mistakes.push(SettingError { key: other.to_owned(), message, hint: KNOWN.to_owned() });
                continue;
            }
        };
        if let Some(checked) = checked {
            settings.insert(key.clone(), checked);
        } else {
            let message = format!("'{key}' cannot be used as it is written.");
            mistakes.push(SettingError { key: key.clone(), message, hint: hint.to_owned() });
        }
    }
    if mistakes.is_empty() { Ok(Value::Object(settings)) } else { Err(mistakes) }
}

fn unit_name(text: &str) -> Option<Value> {
    let full = if text.contains('.') { text.to_owned() } else { format!("{text}.service") };
    UnitName::new(full).ok().map(|unit| unit.as_str().into())
}

/// Whether a path can be used: absolute, not the root, nothing in it that could lead elsewhere.
pub fn is_absolute(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && !path.chars().any(char::is_control)
        && !path.trim_end_matches('/').split('/').skip(1).any(|part| matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_means_the_package_s_unit() {
        assert_eq!(check(&toml::Table::new()).unwrap(), serde_json::json!({"unit": "netdata.service"}));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let table =
            "unit = \"a b\"\ncache_dir = \"/a/../b\"\nport = 0\nstop_within = \"1\"\nfoo = 1\n".parse().unwrap();
        let keys: Vec<_> = check(&table).unwrap_err().into_iter().map(|mistake| mistake.key).collect();
        assert_eq!(keys.len(), 5, "{keys:?}");
        let table = "unit = \"nd\"\ncache_dir = \"/srv/cache/\"\nstop_within = 5\n".parse().unwrap();
        let wanted = serde_json::json!({"unit": "nd.service", "cache_dir": "/srv/cache", "stop_within": 5});
        assert_eq!(check(&table).unwrap(), wanted);
    }
}
