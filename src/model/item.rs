//! Items: what is worth saving of a service.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::ItemId;
use super::text::CleanText;
use super::units::ByteSize;

/// One backup-able thing of a service on a host or cluster, as a probe found it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its id, one of DESIGN's fixed ids for the service.
    pub id: ItemId,
    /// What a person calls it, lower case: "staking identity".
    pub title: String,
    /// Size on the node, when it can be told cheaply.
    pub size: Option<ByteSize>,
    /// Whether its bytes are secret.
    pub sensitivity: Sensitivity,
    /// How it can be copied.
    pub copying: Copying,
    /// Whether it can be backed up now, and if not why not.
    pub standing: Standing,
    /// The format its payload is verified by, as [`crate::formats`] knows it: "staking/1".
    pub format: String,
    /// What was learned about it: paths, NodeID, versions. Shown, compared, stored in the manifest.
    pub facts: Value,
}

/// Whether an item's bytes are secret. Secret items are refused in clear unless the vault allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Anyone may read it.
    Plain,
    /// Keys, tokens, passwords, or data that holds them.
    Secret,
}

/// How an item can be copied without lying about its consistency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Copying {
    /// Its files are read only at start, or written atomically: a live copy is exact.
    Live,
    /// The service itself gives a consistent snapshot through its protocol.
    Protocol,
    /// Only whole while the service is stopped.
    Stopped,
}

/// Whether an item can be backed up now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "why")]
pub enum Standing {
    /// It is there and can be copied.
    Ready,
    /// It cannot be backed up, and the reason: key inline, ephemeral, remote signer, not permitted.
    Impossible(CleanText),
    /// It could be backed up, and the inventory does not ask for it.
    NotAsked(CleanText),
    /// It is saved as another item of the inventory, which is named: a cluster's data under the cluster, what each member
    /// has of its own under the member.
    Elsewhere(CleanText),
    /// It is not there, and the reason it was looked for.
    Absent(CleanText),
}

impl Standing {
    /// Why it is not backed up now; empty when it can be.
    pub fn why(&self) -> &str {
        match self {
            Self::Ready => "",
            Self::Impossible(why) | Self::NotAsked(why) | Self::Elsewhere(why) | Self::Absent(why) => why.as_str(),
        }
    }
}
