//! Validated names. A value of one of these types is safe in a path, a selector and a message.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not a usable {what}: {why}.")]
pub struct BadName {
    what: &'static str,
    name: String,
    why: &'static str,
}

const LONGEST: usize = 200;

/// Letters, digits, `.`, `_`, `-`, starting with a letter or digit: nothing a shell, a path or a selector reads twice.
fn check(what: &'static str, name: &str) -> Result<(), BadName> {
    let refuse = |why| Err(BadName { what, name: name.escape_debug().take(80).collect(), why });
    let Some(first) = name.chars().next() else { return refuse("it is empty") };
    if name.len() > LONGEST {
        return refuse("it is longer than 200 bytes");
    }
    if !first.is_ascii_alphanumeric() {
        return refuse("it must start with a letter or a digit");
    }
    if !name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-')) {
        return refuse("only letters, digits, '.', '_' and '-' may stand in it");
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `name` and wraps it.
            pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
                let name = name.into();
                check($what, &name)?;
                Ok(Self(name))
            }
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(name: String) -> Result<Self, BadName> {
                Self::new(name)
            }
        }
        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(name: &str) -> Result<Self, BadName> {
                Self::new(name)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id! {
    /// A host's name in the inventory, not its address.
    HostId, "host name"
}
id! {
    /// Whom an item belongs to: a host or a cluster. Hosts and clusters share one name space.
    OwnerId, "host or cluster name"
}
id! {
    /// A service entry's name under its host or cluster; its kind defaults to this.
    ServiceName, "service name"
}
id! {
    /// An item of a service, such as `staking-identity`.
    ItemId, "item id"
}
id! {
    /// One execution of a plan, such as `20261120T184500Z-7f3a9c`.
    RunId, "run id"
}
id! {
    /// One entry of the vault, such as `20261120T184500Z-7f3a`.
    SnapshotId, "snapshot id"
}
id! {
    /// A step's name inside its plan, unique there, such as `swap-in`.
    StepId, "step id"
}
id! {
    /// A gate's name, the `GATE` of `--confirm GATE=WORD`.
    GateId, "gate name"
}
id! {
    /// A guard's name inside its plan.
    GuardId, "guard name"
}
id! {
    /// One console installation: the holder of leases and the signer of receipts.
    ConsoleId, "console id"
}

impl From<&HostId> for OwnerId {
    fn from(host: &HostId) -> Self {
        Self(host.0.clone())
    }
}

/// A systemd unit's full name, such as `avalanchego.service`.
///
/// systemd allows more than the other ids: `@`, `:` and backslash escapes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

impl UnitName {
    /// Checks `name` by systemd's own alphabet and requires a type suffix.
    pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
        let name = name.into();
        let alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
        let suffix = [".service", ".timer", ".socket", ".target", ".mount", ".path"];
        let why = if name.is_empty() || name.len() > 255 {
            "it must have 1 to 255 bytes"
        } else if !name.chars().all(alphabet) || name.starts_with('-') {
            "it has a character systemd does not allow there"
        } else if !suffix.iter().any(|end| name.ends_with(end)) {
            "it must end in a unit type such as '.service'"
        } else {
            return Ok(Self(name));
        };
        Err(BadName { what: "unit name", name: name.escape_debug().take(80).collect(), why })
    }
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl TryFrom<String> for UnitName {
    type Error = BadName;
    fn try_from(name: String) -> Result<Self, BadName> {
        Self::new(name)
    }
}
impl From<UnitName> for String {
    fn from(unit: UnitName) -> String {
        unit.0
    }
}

/// Where an item stands: `owner/service/item`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemRef {
    /// The host or cluster it belongs to.
    pub owner: OwnerId,
    /// The service entry.
    pub service: ServiceName,
    /// The item of that service.
    pub item: ItemId,
}

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}/{}", self.owner, self.service, self.item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_read_twice_are_refused() {
        for bad in ["", "-x", ".x", "a/b", "a b", "a\nb", "..", "a\u{202e}", &"x".repeat(201)] {
            assert!(HostId::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["val-1", "10.0.0.1", "a_b.c"] {
            assert!(HostId::new(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn units_need_a_type_and_systemd_s_alphabet() {
        assert!(UnitName::new("avalanchego.service").is_ok());
        assert!(UnitName::new("getty@tty1.service").is_ok());
        for bad in ["avalanchego", "a b.service", "-x.service", "x;reboot.service"] {
            assert!(UnitName::new(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
