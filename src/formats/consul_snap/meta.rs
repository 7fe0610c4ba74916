//! The two small members: `meta.json` and `SHA256SUMS`.

use super::SnapError;
use crate::formats::text::{shown, unhex};
use serde::Deserialize;

/// What `meta.json` says (Raft's `SnapshotMeta`). Fields not known here, such as `CRC`, are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SnapMeta {
    /// The form of the snapshot; 1 in every release since 0.8.
    pub version: u64,
    /// The snapshot's id: term, index and milliseconds.
    #[serde(rename = "ID")]
    pub id: String,
    /// The last Raft index in it.
    pub index: u64,
    /// The Raft term.
    pub term: u64,
    /// The servers of the time. Restoring does not bring them back.
    #[serde(default)]
    configuration: Configuration,
    /// The index of that configuration.
    #[serde(default)]
    pub configuration_index: u64,
    /// The length of `state.bin`.
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    #[serde(default)]
    servers: Option<Vec<SnapServer>>,
}

/// A server of the cluster the snapshot came from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SnapServer {
    /// 0 is a voter, 1 a non-voter, 2 staging.
    #[serde(rename = "Suffrage", default)]
    pub suffrage: u64,
    /// Its node id.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// Its address for server RPC.
    #[serde(rename = "Address", default)]
    pub address: String,
}

impl SnapMeta {
    /// The servers of the time.
    pub fn servers(&self) -> &[SnapServer] {
        self.configuration.servers.as_deref().unwrap_or_default()
    }
}

pub(super) fn parse_meta(bytes: &[u8]) -> Result<SnapMeta, SnapError> {
    serde_json::from_slice(bytes).map_err(|error| SnapError::Meta { reason: shown(error.to_string().as_bytes()) })
}

/// Reads the two lines, in any order: the hash of `meta.json`, then that of `state.bin`.
pub(super) fn parse_sums(bytes: &[u8]) -> Result<([u8; 32], [u8; 32]), SnapError> {
    let (mut meta, mut state) = (None, None);
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut line = 0;
    for text in body.split(|byte| *byte == b'\n') {
        line += 1;
        let bad = |reason| SnapError::Sums { line, reason };
        let (hash, name) = text.split_at_checked(64).ok_or_else(|| bad("it is too short"))?;
        let hash = unhex(hash).ok_or_else(|| bad("it does not begin with 64 hex digits"))?;
        let slot = match name {
            b"  meta.json" => &mut meta,
            b"  state.bin" => &mut state,
            _ => return Err(bad("it names neither meta.json nor state.bin")),
        };
        if slot.replace(hash).is_some() {
            return Err(bad("it names a file twice"));
        }
    }
    match (meta, state) {
        (Some(meta), Some(state)) => Ok((meta, state)),
        (None, _) => Err(SnapError::Sums { line, reason: "meta.json is not listed" }),
        (_, None) => Err(SnapError::Sums { line, reason: "state.bin is not listed" }),
    }
}
