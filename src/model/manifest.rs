//! The manifest of a snapshot, and the proofs that stand beside it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Identity;
use super::ids::{ConsoleId, HostId, ItemRef, RunId, SnapshotId};
use super::item::{Copying, Sensitivity};
use super::text::CleanText;

/// The version of the manifest written by this program; readers refuse newer ones.
pub const MANIFEST_VERSION: u32 = 1;

/// What a snapshot is, where it came from and what it consists of. Written last: its presence is the commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this shape.
    pub version: u32,
    /// The snapshot's id.
    pub id: SnapshotId,
    /// The item it is a copy of.
    pub item: ItemRef,
    /// The kind of service, i.e. the driver.
    pub kind: String,
    /// The format of the payload, e.g. "staking/1".
    pub format: String,
    /// When the copy was complete, by the console's clock.
    pub created: Timestamp,
    /// The run that made it.
    pub run: RunId,
    /// The console that made it.
    pub console: ConsoleId,
    /// The version of Lifeboat that made it.
    pub made_by: String,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The node it was read from.
    pub source: Source,
    /// Whether its bytes are secret.
    pub sensitivity: Sensitivity,
    /// How it was copied.
    pub copying: Copying,
    /// Identities inside it that must be unique among running nodes.
    pub identities: Vec<Identity>,
    /// The item's facts at backup, with those the verifier derived from the bytes under `verified`.
    pub facts: Value,
    /// Marks that must be seen wherever it is listed, e.g. "stale read, last contact 1200 ms".
    pub marks: Vec<CleanText>,
    /// Public keys it is sealed to; empty when it lies in clear.
    pub recipients: Vec<String>,
    /// Every file of the payload, in the order the verifier reads them.
    pub files: Vec<StoredFile>,
}

/// The node a snapshot was read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its name in the inventory.
    pub host: HostId,
    /// The address it was reached at.
    pub address: String,
    /// Its host key's fingerprint, `SHA256:…`; none for the local transport.
    pub host_key: Option<String>,
    /// The node's clock minus the console's, in seconds.
    pub clock_skew: i64,
    /// The service's version.
    pub version: Option<CleanText>,
}

/// One file of a payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its name in the snapshot's directory, without `.age`; also its name for the verifier.
    pub name: String,
    /// Where it stood on the node, cleaned; for reading, never for use.
    pub origin: CleanText,
    /// Permission bits on the node.
    pub mode: Option<u32>,
    /// Owner on the node, by name.
    pub owner: Option<CleanText>,
    /// Group on the node, by name.
    pub group: Option<CleanText>,
    /// Bytes in clear.
    pub plain_size: u64,
    /// SHA-256 of the clear bytes, hexadecimal; for a sealed secret file it stands inside the seal instead.
    pub plain_sha256: Option<String>,
    /// The file as stored.
    pub stored_name: String,
    /// Bytes as stored.
    pub stored_size: u64,
    /// SHA-256 of the stored bytes, hexadecimal.
    pub stored_sha256: String,
}

/// A dated rung of the ladder, one immutable file beside the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Version of this shape.
    pub version: u32,
    /// Which rung.
    pub rung: Rung,
    /// When.
    pub at: Timestamp,
    /// By which console.
    pub console: ConsoleId,
    /// The run it came from, if it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Whether it held.
    pub passed: bool,
    /// What was looked at, and the result.
    pub detail: Value,
}

/// What was shown of a snapshot, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The stored bytes hash as written; nothing was opened.
    Intact,
    /// The node's in-band trailer and byte count agreed with what arrived.
    Copied,
    /// A private key that opens it was shown to work.
    Openable,
    /// The service's own format was checked in full, offline.
    Verified,
    /// Restored into a scratch instance and accepted.
    Drilled,
    /// Used in a real restore whose result was checked.
    Proven,
}
