//! The kinds of record a Consul server writes.

use std::fmt;

/// One kind of record, by its number (Consul: `agent/structs/structs.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(pub u8);

/// Whose kind a record is, which decides who can restore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeClass {
    /// Known to the community edition.
    Community,
    /// Enterprise only: the community edition refuses the snapshot.
    Enterprise,
    /// Not known here: from a newer release, or damage.
    Unknown,
}

const NAMES: [&str; 44] = [
    "Register",
    "Deregister",
    "KVS",
    "Session",
    "ACL",
    "Tombstone",
    "CoordinateBatchUpdate",
    "PreparedQuery",
    "Txn",
    "Autopilot",
    "Area",
    "ACLBootstrap",
    "Intention",
    "ConnectCA",
    "ConnectCAProviderState",
    "ConnectCAConfig",
    "Index",
    "ACLToken",
    "ACLTokenDelete",
    "ACLPolicy",
    "ACLPolicyDelete",
    "ConnectCALeaf",
    "ConfigEntry",
    "ACLRole",
    "ACLRoleDelete",
    "ACLBindingRule",
    "ACLBindingRuleDelete",
    "ACLAuthMethod",
    "ACLAuthMethodDelete",
    "ChunkingState",
    "FederationState",
    "SystemMetadata",
    "ServiceVirtualIP",
    "FreeVirtualIP",
    "KindServiceName",
    "Peering",
    "PeeringDelete",
    "",
    "PeeringTrustBundle",
    "PeeringTrustBundleDelete",
    "PeeringSecret",
    "RaftLogVerifierCheckpoint",
    "Resource",
    "UpdateManualVirtualIPRequestType",
];

impl MessageType {
    /// Keys and values.
    pub const KVS: Self = Self(2);
    /// ACL tokens.
    pub const ACL_TOKEN: Self = Self(17);
    /// ACL policies.
    pub const ACL_POLICY: Self = Self(19);
    /// Configuration entries.
    pub const CONFIG_ENTRY: Self = Self(22);
    /// ACL roles.
    pub const ACL_ROLE: Self = Self(23);

    /// Whose kind it is. Network areas (10) have a number below 64 and are Enterprise all the same.
    pub fn class(self) -> TypeClass {
        match self.0 {
            10 | 64.. => TypeClass::Enterprise,
            37 => TypeClass::Community,
            number if NAMES.get(usize::from(number)).is_some() => TypeClass::Community,
            _ => TypeClass::Unknown,
        }
    }
}

/// The name `consul snapshot inspect` prints.
impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0)) {
            Some(name) if !name.is_empty() => f.write_str(name),
            _ => write!(f, "Unknown({})", self.0),
        }
    }
}
