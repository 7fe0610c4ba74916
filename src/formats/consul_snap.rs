//! Reads a whole Consul snapshot (`.snap`) as it streams by: every layer, every record.
//!
//! A snapshot is a gzipped tar of `meta.json`, `state.bin` and `SHA256SUMS` (Consul: `snapshot/archive.go`), and
//! `state.bin` is a header and a row of typed msgpack records (Consul: `agent/consul/fsm`). A server that cannot load a
//! record crashes while restoring, and again at its next start, so each one is walked here first. Memory stays bounded
//! however large the state is.
//!
//! Secrets: the state holds ACL secret ids and CA keys in clear. Nothing of them is kept or shown; tokens are known by
//! their accessor ids alone, and those only as hashes.

mod digest;
mod error;
mod inspect;
mod meta;
mod record;
mod types;

pub use digest::{IdSet, KvDigest};
pub use error::SnapError;
pub use inspect::{render_inspect, render_inspect_json};
pub use meta::{SnapMeta, SnapServer};
pub use record::{KvRecord, SnapRecord};
pub use types::{MessageType, TypeClass};

use super::expand::{ExpandLimits, gunzip};
use super::msgpack_skip::MsgpackLimits;
use super::tar::{EntryKind, TarEntry, TarError, TarLimits, Walk, walk};
use super::text::EntryName;
use meta::{parse_meta, parse_sums};
use record::{State, read_state};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::ControlFlow;

const META: &str = "meta.json";
const STATE: &str = "state.bin";
const SUMS: &str = "SHA256SUMS";

/// What a snapshot may cost.
#[derive(Debug, Clone, Copy)]
pub struct SnapLimits {
    /// What decompression may cost.
    pub expand: ExpandLimits,
    /// The largest `state.bin`.
    pub max_state: u64,
    /// The largest `meta.json`.
    pub max_meta: u64,
    /// The largest and deepest record.
    pub record: MsgpackLimits,
    /// How many keys' hashes are held, 32 bytes each, in case the keys turn out not to be in order.
    pub max_held_keys: usize,
    /// The most ACL tokens, policies, roles or configuration entries, 32 bytes each.
    pub max_ids: usize,
    /// The most groups of keys in the details.
    pub max_groups: usize,
}

impl Default for SnapLimits {
    fn default() -> Self {
        Self {
            expand: ExpandLimits::default(),
            max_state: 1 << 40,
            max_meta: 1 << 20,
            record: MsgpackLimits::default(),
            max_held_keys: 1 << 18,
            max_ids: 1 << 20,
            max_groups: 1 << 16,
        }
    }
}

/// How keys are grouped, as `consul snapshot inspect -kvdetails` groups them.
#[derive(Debug, Clone)]
pub struct KvDetails {
    /// How many parts of a key, split at `/`, make its group.
    pub depth: usize,
    /// Only keys that begin so.
    pub filter: Vec<u8>,
}

impl Default for KvDetails {
    fn default() -> Self {
        Self { depth: 2, filter: Vec::new() }
    }
}

/// What to read a snapshot with.
#[derive(Debug, Clone, Default)]
pub struct SnapOptions {
    /// What it may cost.
    pub limits: SnapLimits,
    /// Whether and how keys are grouped.
    pub kv_details: Option<KvDetails>,
}

/// Sees the records as they pass. `()` looks at none.
pub trait SnapVisitor {
    /// One key with its value. `Break` ends the reading with [`SnapError::Stopped`].
    fn kv(&mut self, record: &KvRecord<'_>) -> ControlFlow<()> {
        let _ = record;
        ControlFlow::Continue(())
    }

    /// One record of any type, without its content.
    fn record(&mut self, record: &SnapRecord) -> ControlFlow<()> {
        let _ = record;
        ControlFlow::Continue(())
    }

    /// Whether [`SnapRecord::sha256`] is wanted; hashing each record costs time.
    fn wants_hashes(&self) -> bool {
        false
    }
}

impl SnapVisitor for () {}

/// How often a thing occurs and how many bytes of `state.bin` it takes, by the arithmetic of `inspect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Bytes from the end of each record's predecessor to its own end; the very first takes in the header too.
    pub size: u64,
}

impl Tally {
    fn add(&mut self, size: u64) {
        self.count += 1;
        self.size += size;
    }
}

/// What a sound snapshot holds. Nothing secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapSummary {
    /// What `meta.json` says.
    pub meta: SnapMeta,
    /// The index in the header of `state.bin`.
    pub last_index: u64,
    /// How many records there are.
    pub records: u64,
    /// SHA-256 of `state.bin`, as `SHA256SUMS` has it too.
    pub state_sha256: [u8; 32],
    /// Bytes of the gzip file.
    pub file_bytes: u64,
    /// Records by type.
    pub by_type: BTreeMap<MessageType, Tally>,
    /// Types only Enterprise can restore. The file is sound; the community edition refuses it.
    pub enterprise_types: BTreeSet<MessageType>,
    /// Types not known here. The file is sound; a server may crash on it.
    pub unknown_types: BTreeSet<MessageType>,
    /// The digest over every (key, flags, value).
    pub kv: KvDigest,
    /// ACL tokens by accessor id.
    pub acl_tokens: IdSet,
    /// Tokens without an accessor id: legacy ones, on which newer servers fail.
    pub legacy_tokens: u64,
    /// ACL policies by id.
    pub acl_policies: IdSet,
    /// ACL roles by id.
    pub acl_roles: IdSet,
    /// Configuration entries by kind and name.
    pub config_entries: IdSet,
    /// Keys by group, when that was asked for.
    pub kv_groups: Option<BTreeMap<EntryName, Tally>>,
}

/// Reads a snapshot to its clean end and proves it whole.
///
/// The members of the tar may come in any order; there must be exactly the three, each hash must match the raw bytes,
/// `state.bin` must be as long as `meta.json` says, and every record must decode.
///
/// # Errors
/// The first [`SnapError`], with the record's number and offset where there is one.
pub fn read_consul_snap(
    input: impl Read,
    options: &SnapOptions,
    visitor: &mut dyn SnapVisitor,
) -> Result<SnapSummary, SnapError> {
    let limits = &options.limits;
    let mut input = gunzip(input, &limits.expand);
    let (mut meta, mut sums, mut state) = (None, None, None);
    let mut sums_found: Vec<(Vec<u8>, [u8; 32])> = Vec::new();
    let visit = |entry: &TarEntry, content: &mut dyn Read| {
        if entry.kind != EntryKind::File || entry.sparse {
            return Err(SnapError::Unexpected { name: entry.name.clone() });
        }
        match entry.name.as_bytes() {
            b"meta.json" => meta = Some(small(META, entry, content, limits.max_meta)?),
            b"SHA256SUMS" => sums = Some(small(SUMS, entry, content, 4096)?),
            b"state.bin" if entry.size > limits.max_state => {
                return Err(SnapError::TooLarge { name: STATE, size: entry.size, limit: limits.max_state });
            }
            b"state.bin" => state = Some(read_state(content, options, visitor)?),
            _ => return Err(SnapError::Unexpected { name: entry.name.clone() }),
        }
        Ok(())
    };
    let mut hashed = |entry: &TarEntry, hash: &[u8; 32]| sums_found.push((entry.name.as_bytes().to_vec(), *hash));
    // A few more than three, so that an entry too many is told by its name. No padding: where GNU tar fills up to
    // 10240 bytes, Consul refuses the snapshot over "unread uncompressed bytes" (seen with 1.20.1).
    let tar_limits = TarLimits { max_entries: 8, max_padding: 0, ..TarLimits::default() };
    walk(&mut input, &tar_limits, visit, Some(&mut hashed)).map_err(|error| match error {
        Walk::Tar(error) => SnapError::Tar(error),
        Walk::Visit { reason, .. } => reason,
    })?;
    let file_bytes = input.compressed_bytes();

    let sums = sums.ok_or(SnapError::Missing { name: SUMS })?;
    let meta = meta.ok_or(SnapError::Missing { name: META })?;
    let state: State = state.ok_or(SnapError::Missing { name: STATE })?;
    let (meta_sum, state_sum) = parse_sums(&sums)?;
    let found = |name: &str| sums_found.iter().find(|(had, _)| had == name.as_bytes()).map(|(_, hash)| *hash);
    if found(META) != Some(meta_sum) {
        return Err(SnapError::Hash { name: META });
    }
    if found(STATE) != Some(state_sum) {
        return Err(SnapError::Hash { name: STATE });
    }
    let meta = parse_meta(&meta)?;
    if meta.size != state.bytes {
        return Err(SnapError::Size { said: meta.size, found: state.bytes });
    }
    Ok(state.into_summary(meta, state_sum, file_bytes))
}

fn small(name: &'static str, entry: &TarEntry, content: &mut dyn Read, limit: u64) -> Result<Vec<u8>, SnapError> {
    if entry.size > limit {
        return Err(SnapError::TooLarge { name, size: entry.size, limit });
    }
    let mut bytes = Vec::new();
    content.take(limit).read_to_end(&mut bytes).map_err(|source| {
        // The walk knows better what went wrong below, and reports that instead.
        SnapError::Tar(TarError::Read { index: entry.index, offset: entry.offset, source })
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
