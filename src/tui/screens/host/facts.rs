//! What was found of a service, each fact below its origin.

use serde_json::Value;

use crate::engine::fleet::FoundView;
use crate::engine::fleet::origin::Origins;
use crate::model::text::CleanText;
use crate::tui::action::Action;
use crate::tui::model::Model;
use crate::tui::screens::fleet::identity_line;
use crate::tui::theme::Role;
use crate::tui::when::utc_and_ago;
use crate::tui::widgets::lines::Line;

/// Facts shown of one service; a node may have any number.
const MOST_FACTS: usize = 300;

/// A fact of the driver's own: its dotted name, its value, and its origin where the value itself tells it.
#[derive(Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its dotted name.
    pub name: String,
    /// Its value on one line.
    pub value: String,
    /// The `from` it stands beside.
    pub from: Option<String>,
}

/// Facts by their origin, in the order the origins come up.
#[derive(Default)]
struct Groups(Vec<(String, Vec<Line>)>);

impl Groups {
    fn add(&mut self, origin: &str, line: Line) {
        match self.0.iter_mut().find(|(known, _)| known == origin) {
            Some((_, lines)) => lines.push(line),
            None => self.0.push((origin.to_owned(), vec![line])),
        }
    }

    fn lines(self) -> impl Iterator<Item = Line> {
        self.0
            .into_iter()
            .flat_map(|(origin, lines)| [Line::Blank, Line::Heading(format!("From {origin}"))].into_iter().chain(lines))
    }
}

/// What was found of a service of `kind`: first what every service has, its origin behind it, then the driver's own
/// facts, each below its origin.
///
/// ```text
/// seen        on val-1, 2026-11-20 02:50Z, just now
/// version     1.13.5 (its API)
/// unit        avalanchego.service: active, enabled (systemd)
///
/// From the node's accounts
/// group       avalanche
///
/// From flag
/// paths.db    /data/db
/// ```
pub fn found_facts(kind: &str, found: &FoundView, model: &Model) -> Vec<Line> {
    let mut lines = vec![Line::field("seen", format!("on {}, {}", found.host, utc_and_ago(found.at, model.now)))];
    let mut own: Result<Value, _> = serde_json::from_str(&found.own);
    let origins = Origins::of(kind, own.as_mut().unwrap_or(&mut Value::Null));
    if !found.present {
        lines.push(Line::text("It is not there."));
    }
    if found.outside {
        let told = "It runs outside its unit; stopping the unit would not stop it.";
        lines.push(Line::Field("outside".to_owned(), told.to_owned(), Role::StatusWarn));
    }
    lines.extend(found.notes.iter().map(|note| Line::Field("note".to_owned(), note.to_string(), Role::StatusWarn)));
    for (name, label, text) in [("version", "version", &found.version), ("variant", "installed", &found.variant)] {
        let told = text.as_ref().map(|text| format!("{} ({})", text.one_line(), origins.of_fact(name)));
        lines.extend(told.map(|told| Line::field(label, told)));
    }
    for unit in &found.units {
        let enabled = if unit.enabled.is_empty() { String::new() } else { format!(", {}", unit.enabled) };
        let enabled = if unit.fenced { ", fenced".to_owned() } else { enabled };
        let role = if unit.is_running() { Role::Text } else { Role::StatusWarn };
        let told = format!("{}: {}{enabled} (systemd)", unit.unit, unit.active);
        lines.push(Line::Field("unit".to_owned(), told, role));
    }
    lines.extend(found.identities.iter().map(|identity| match identity_line(identity) {
        Line::Field(label, value, role) => {
            let origin = origins.of_fact(&format!("identities.{}", identity.kind));
            Line::Field(label, format!("{value} ({origin})"), role)
        }
        line => line,
    }));
    let mut groups = Groups::default();
    match own {
        Ok(own) => add_own(&origins, found, &own, &mut groups),
        Err(_) if found.own.is_empty() => {
            let told = format!("not kept; {} asks the node again", model.key(Action::Refresh));
            groups.add("its probe", Line::field("facts", told));
        }
        Err(_) => groups.add("its probe", Line::field("facts", "unreadable")),
    }
    lines.extend(groups.lines());
    lines
}

/// The driver's own facts. A version of its own is the one that is shown anyway.
fn add_own(origins: &Origins, found: &FoundView, own: &Value, groups: &mut Groups) {
    let mut facts = Vec::new();
    flatten("", own, &mut facts);
    for Fact { name, value, from } in facts {
        if name == "version" && found.version.is_some() {
            continue;
        }
        groups.add(from.as_deref().unwrap_or_else(|| origins.of_fact(&name)), Line::Field(name, value, Role::Text));
    }
}

/// Values of a tree by their dotted names; empty ones are left out. What stands beside a `from` comes from there, and a
/// value that stands alone beside it has the name of both.
pub fn flatten(prefix: &str, value: &Value, facts: &mut Vec<Fact>) {
    flatten_from(prefix, value, None, facts);
}

fn flatten_from(prefix: &str, value: &Value, from: Option<&str>, facts: &mut Vec<Fact>) {
    if facts.len() >= MOST_FACTS {
        return;
    }
    let name = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    let clean = |text: &str| CleanText::new(text).one_line().to_string();
    let mut tell = |value: String| {
        let from = from.map(clean);
        facts.push(Fact { name: prefix.to_owned(), value, from });
    };
    match value {
        Value::Object(map) => {
            let own_from = map.get("from").and_then(Value::as_str).filter(|text| !text.is_empty() && map.len() > 1);
            let mut rest = map.iter().filter(|(key, _)| own_from.is_none() || *key != "from");
            if own_from.is_some() && map.len() == 2 {
                rest.for_each(|(_, value)| flatten_from(prefix, value, own_from, facts));
            } else {
                rest.by_ref()
                    .for_each(|(key, value)| flatten_from(&name(&clean(key)), value, own_from.or(from), facts));
            }
        }
        Value::Array(list) if list.iter().any(|one| one.is_object() || one.is_array()) => {
            list.iter().enumerate().for_each(|(at, value)| flatten_from(&name(&at.to_string()), value, from, facts));
        }
        Value::Array(list) if !list.is_empty() => {
            let told: Vec<String> =
                list.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), clean)).collect();
            tell(told.join(", "));
        }
        Value::String(text) if !text.is_empty() => tell(clean(text)),
        Value::Null | Value::Array(_) | Value::String(_) => {}
        other => tell(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_beside_a_from_comes_from_there() {
        let own = json!({"paths": {"db": {"path": "/db", "from": "flag"}}, "port": 1, "two": {"a": "x", "b": "y", "from": "API"}});
        let mut facts = Vec::new();
        flatten("", &own, &mut facts);
        let told: Vec<_> = facts.iter().map(|f| (f.name.as_str(), f.value.as_str(), f.from.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("paths.db", "/db", Some("flag")),
                ("port", "1", None),
                ("two.a", "x", Some("API")),
                ("two.b", "y", Some("API"))
            ]
        );
    }
}
