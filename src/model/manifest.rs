//! The manifest of a snapshot, and the proofs that stand beside it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock::is_ahead;
use super::facts::Identity;
use super::ids::{ConsoleId, HostId, ItemRef, RunId, SnapshotId};
use super::item::{Copying, Sensitivity};
use super::text::CleanText;
use super::units::ByteSize;

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

impl Manifest {
    /// Bytes of the payload in clear.
    pub fn plain_size(&self) -> ByteSize {
        self.files.iter().map(|file| file.plain_size).sum()
    }
}

/// The node a snapshot was read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its name in the inventory.
    pub host: HostId,
    /// The address it was reached at.
    pub address: String,
    /// The SSH port, when it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The jump hosts on the way, in order, by their names in the inventory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
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

impl Proof {
    /// When it was made, as far as a reader whose clock says `now` can tell.
    ///
    /// A proof is dated after those that lay there (`at`), so that the order in which they came stands whatever the clocks
    /// said. Where one of those was dated by a clock that ran ahead, what this proof's own clock said is nearer the truth;
    /// it stands in `detail.clock`. A date that is still ahead tells nothing and is shown as it is.
    pub fn dated(&self, now: Timestamp) -> Timestamp {
        let own = || self.detail.get("clock")?.as_str()?.parse::<Timestamp>().ok();
        if is_ahead(self.at, now) { own().unwrap_or(self.at) } else { self.at }
    }
}

/// When a rung was last reached, if it holds: its newest proof passed, and no proof of the same or a weaker rung failed
/// with it or after it. `ladder` has of each proof its rung, its date and whether it passed, in the order they came.
pub fn held_since(ladder: impl Iterator<Item = (Rung, Timestamp, bool)>, rung: Rung) -> Option<Timestamp> {
    let (mut since, mut spoilt) = (None, None);
    for (of, at, passed) in ladder {
        if passed && of == rung {
            // Which of two came first in one moment nobody can tell.
            since = (spoilt != Some(at)).then_some(at);
        } else if !passed && of <= rung {
            (since, spoilt) = (None, Some(at));
        }
    }
    since
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn proof(at: Timestamp, detail: Value) -> Proof {
        Proof {
            version: 1,
            rung: Rung::Verified,
            at,
            console: ConsoleId::new("c").unwrap(),
            run: None,
            passed: true,
            detail,
        }
    }

    #[test]
    fn a_date_ahead_gives_way_to_what_the_proof_s_own_clock_said() {
        let now = at("2026-11-20T12:00:00Z");
        let (near, far) = (at("2026-11-20T12:04:00Z"), at("2031-01-01T00:00:00Z"));
        let own = json!({"clock": "2026-11-20T11:59:00Z"});
        assert_eq!(proof(far, own.clone()).dated(now), at("2026-11-20T11:59:00Z"));
        assert_eq!(proof(near, own).dated(now), near, "a clock that is behind is no better");
        assert_eq!(proof(far, json!({})).dated(now), far, "nothing tells when it was");
        assert_eq!(proof(far, json!({"clock": 5})).dated(now), far);
    }

    #[test]
    fn what_came_after_spoils_whatever_its_date_says() {
        let (early, late) = (at("2026-11-20T12:00:00Z"), at("2031-01-01T00:00:00Z"));
        let held = |ladder: &[(Rung, Timestamp, bool)]| held_since(ladder.iter().copied(), Rung::Verified);
        assert_eq!(held(&[(Rung::Verified, late, true), (Rung::Intact, early, false)]), None);
        assert_eq!(held(&[(Rung::Intact, late, false), (Rung::Verified, early, true)]), Some(early));
        assert_eq!(held(&[(Rung::Proven, late, false), (Rung::Verified, early, true)]), Some(early));
        assert_eq!(held(&[(Rung::Verified, early, false), (Rung::Verified, early, true)]), None, "in one moment");
    }
}
