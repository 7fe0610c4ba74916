//! Facts: what a probe learned of a service on a node.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::UnitName;
use super::text::CleanText;

/// The common envelope of what a probe learned; the rest is the driver's own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Whether the service is there at all.
    pub present: bool,
    /// The version as it reports itself.
    pub version: Option<CleanText>,
    /// How it was installed, e.g. "official installer", "debian package", "unknown".
    pub variant: Option<CleanText>,
    /// Identities that must be unique among running nodes.
    pub identities: Vec<Identity>,
    /// Identities of others that this service hears now: the children that stream to a parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard: Vec<Identity>,
    /// Its units and their state.
    pub units: Vec<UnitFacts>,
    /// Whether it runs outside its units, so that stopping them would not stop it.
    #[serde(default)]
    pub outside: bool,
    /// Things worth a sentence: what cannot be backed up, what is odd.
    pub notes: Vec<CleanText>,
    /// The driver's own facts.
    pub own: Value,
}

/// Something only one running node may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Which kind: `avalanche-node-id`, `avalanche-bls`, `consul-node-id`.
    pub kind: String,
    /// Its value as the service prints it.
    pub value: String,
}

/// A unit's state as systemd tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// The unit.
    pub unit: UnitName,
    /// `LoadState`: `loaded`, `not-found`, `masked`.
    pub load: String,
    /// `ActiveState`: `active`, `inactive`, `failed`, `activating` …
    pub active: String,
    /// `UnitFileState`: `enabled`, `disabled`, `masked`, empty when there is none.
    pub enabled: String,
    /// `InvocationID`: changes with every start; empty when never started.
    pub invocation: String,
    /// `MainPID`, 0 when not running.
    pub main_pid: u32,
    /// Whether systemd refuses to start it and it is not in the boot: a fence of Lifeboat's that stands whole, or a mask.
    #[serde(default)]
    pub fenced: bool,
}

impl UnitFacts {
    /// Whether it runs or is about to.
    pub fn is_running(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading" | "refreshing")
    }

    /// Whether systemd says that nothing of it runs.
    ///
    /// Not the opposite of [`UnitFacts::is_running`]: a unit whose stop is under way, a state this program does not know,
    /// and no answer at all are neither. What may only happen to a service that is down asks this.
    pub fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_systemd_says_is_down_is_down() {
        for (active, runs, down) in [
            ("active", true, false),
            ("activating", true, false),
            ("reloading", true, false),
            ("refreshing", true, false),
            ("inactive", false, true),
            ("failed", false, true),
            ("deactivating", false, false),
            ("maintenance", false, false),
            ("", false, false),
        ] {
            let facts = UnitFacts {
                unit: UnitName::new("app.service").unwrap(),
                load: "loaded".into(),
                active: active.into(),
                enabled: String::new(),
                invocation: String::new(),
                main_pid: 0,
                fenced: false,
            };
            assert_eq!((facts.is_running(), facts.is_down()), (runs, down), "{active:?}");
        }
    }
}
