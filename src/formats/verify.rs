//! One contract for every format's check, and the formats by name.

use super::consul_snap::{IdSet, MessageType, SnapOptions, SnapSummary, read_consul_snap};
use super::error::FormatError;
use super::netdata::{NetdataConfig, NetdataIdentity, NetdataMetrics};
use super::staking::{StakingIdentity, parse_staking_identity};
use super::text::{EntryName, hex};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use zeroize::Zeroizing;

/// The names of all formats.
pub const FORMATS: [&str; 7] =
    ["bytes/1", "consul-snap/1", "netdata-config/1", "netdata-identity/1", "netdata-metrics/1", "staking/1", "tar/1"];

/// The largest file of a staking identity that is read.
const STAKING_FILE: u64 = 64 * 1024;

/// Checks the plain files of one item as they stream past, in manifest order.
pub trait Verifier: Send {
    /// From here on damage that leaves the rest readable is noted instead of ending the check; [`Verifier::finish`] then
    /// fails with [`FormatError::Damaged`], which names all of it. A format that is whole or nothing takes no notice.
    fn note_damage(&mut self) {}
    /// From here on what a checksum inside the format vouches for is not expanded to see that it can be: for bytes that
    /// were looked into whole when they were copied, and hash as they did then.
    fn trust_checksums(&mut self) {}
    /// Reads one file to its end; `path` is its name in the manifest (payload name).
    fn file(&mut self, path: &str, input: &mut dyn std::io::Read) -> Result<(), FormatError>;
    /// Judges the set once every file has passed.
    fn finish(self: Box<Self>) -> Result<Verdict, FormatError>;
}

/// What a format check learned: facts to show and compare, and what is wrong but not broken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What the artefact says of itself; nothing secret, and free text only escaped.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// Whole sentences about what an operator should know.
    pub warnings: Vec<String>,
    /// How many things it holds: files, archive entries or records.
    pub entries: u64,
    /// Bytes of the files as they were read, before any decompression.
    pub plain_bytes: u64,
}

/// A set of which parts are damaged, and all else is as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damaged {
    /// What the rest says of itself. Its fact `damaged` is [`Self::found`].
    pub verdict: Verdict,
    /// What is damaged: whole sentences, each with its file, at most `MOST_DAMAGE`.
    pub found: Vec<String>,
    /// How many more there are.
    pub more: u64,
}

/// How many damaged files are named.
pub const MOST_DAMAGE: usize = 50;

impl Damaged {
    /// Notes one more.
    pub(super) fn add(&mut self, what: String) {
        if self.found.len() < MOST_DAMAGE {
            self.found.push(what);
        } else {
            self.more += 1;
        }
    }

    /// Every sentence, with how many are not there.
    pub fn sentences(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("And {} more are damaged.", self.more));
        self.found.iter().cloned().chain(more).collect()
    }
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentences().join(" "))
    }
}

impl Verdict {
    pub(super) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }
}

/// The formats by the name a manifest carries.
///
/// - `staking/1`: `staker.crt`, `staker.key` and, where the set is complete, `signer.key`.
/// - `tar/1`: any number of tar archives, each plain, gzip or zstd by its first bytes.
/// - `consul-snap/1`: one Consul snapshot.
/// - `netdata-config/1`, `netdata-identity/1`, `netdata-metrics/1`: tar archives of a Netdata agent's directories, as
///   [`netdata`](super::netdata) says.
/// - `bytes/1`: any files, only hashed.
pub fn verifier(format: &str) -> Option<Box<dyn Verifier>> {
    match format {
        "staking/1" => Some(Box::new(Staking::default())),
        "tar/1" => Some(Box::new(Tar::default())),
        "consul-snap/1" => Some(Box::new(ConsulSnap::default())),
        "netdata-config/1" => Some(Box::new(NetdataConfig::default())),
        "netdata-identity/1" => Some(Box::new(NetdataIdentity::default())),
        "netdata-metrics/1" => Some(Box::new(NetdataMetrics::default())),
        "bytes/1" => Some(Box::new(Bytes::default())),
        _ => None,
    }
}

/// Counts the bytes of a file as they are read.
struct Counted<'a> {
    inner: &'a mut dyn Read,
    count: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// A small file in memory that is wiped when dropped; allocated once, so that growing leaves no copies.
pub(super) fn wiped(path: &str, input: &mut dyn Read) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let mut bytes = Zeroizing::new(vec![0; 64 * 1024 + 1]);
    let mut used = 0;
    while let Some(room) = bytes.get_mut(used..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(count) => used += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FormatError::io(path, error)),
        }
    }
    if used as u64 > STAKING_FILE {
        return Err(FormatError::TooLarge { path: EntryName::from(path.as_bytes()), limit: STAKING_FILE });
    }
    bytes.truncate(used);
    Ok(bytes)
}

#[derive(Default)]
struct Staking {
    cert: Option<Zeroizing<Vec<u8>>>,
    key: Option<Zeroizing<Vec<u8>>>,
    signer: Option<Zeroizing<Vec<u8>>>,
}

impl Verifier for Staking {
    fn file(&mut self, path: &str, input: &mut dyn Read) -> Result<(), FormatError> {
        let slot = match path {
            "staker.crt" => &mut self.cert,
            "staker.key" => &mut self.key,
            "signer.key" => &mut self.signer,
            _ => return Err(FormatError::unexpected(path)),
        };
        if slot.is_some() {
            return Err(FormatError::unexpected(path));
        }
        *slot = Some(wiped(path, input)?);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Verdict, FormatError> {
        let cert = self.cert.ok_or(FormatError::Missing { path: "staker.crt" })?;
        let key = self.key.ok_or(FormatError::Missing { path: "staker.key" })?;
        let signer = self.signer.as_ref().map(|bytes| bytes.as_slice());
        let found = parse_staking_identity(&cert, &key, signer)?;
        let bytes = cert.len() + key.len() + signer.map_or(0, <[u8]>::len);
        let entries = 2 + u64::from(signer.is_some());
        Ok(Verdict { entries, plain_bytes: bytes as u64, ..staking_verdict(&found) })
    }
}

fn staking_verdict(found: &StakingIdentity) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.fact("node_id", found.node_id.to_string());
    verdict.fact("key_algorithm", found.key_algorithm.to_string());
    verdict.fact("certificate_sha256", hex(&found.certificate_sha256));
    verdict.fact("not_before", found.not_before.to_string());
    verdict.fact("not_after", found.not_after.to_string());
    verdict.fact("complete", found.bls.is_some());
    if let Some(bls) = &found.bls {
        verdict.fact("bls_public_key", bls.public_key.as_str());
        verdict.fact("bls_proof_of_possession", bls.proof_of_possession.as_str());
    } else {
        let text =
            "signer.key is not in the set: a node from v1.8.6 on would make itself a new BLS key without a word.";
        verdict.warnings.push(text.to_owned());
    }
    if found.extra_certificates > 0 {
        let count = found.extra_certificates;
        let text = format!("staker.crt holds {count} more certificates; the node's name comes from the first alone.");
        verdict.warnings.push(text);
    }
    verdict
}

#[derive(Default)]
struct Tar {
    archives: Archives,
    /// What the names in each archive begin with.
    roots: BTreeMap<String, BTreeSet<Vec<u8>>>,
}

/// How many beginnings of names are told of one archive.
const ROOTS: usize = 32;

impl Verifier for Tar {
    fn file(&mut self, path: &str, input: &mut dyn Read) -> Result<(), FormatError> {
        let roots = self.roots.entry(path.to_owned()).or_default();
        self.archives.read(path, input, |entry, _| {
            let first = entry.name.as_bytes().split(|&byte| byte == b'/').next().unwrap_or_default();
            if roots.len() < ROOTS && !roots.contains(first) {
                roots.insert(first.to_owned());
            }
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> Result<Verdict, FormatError> {
        let mut verdict = self.archives.verdict()?;
        let told = |roots: BTreeSet<Vec<u8>>| -> Vec<String> {
            roots.iter().map(|root| EntryName::from(root.as_slice()).to_string()).collect()
        };
        let roots: BTreeMap<String, Vec<String>> = self.roots.into_iter().map(|(name, of)| (name, told(of))).collect();
        verdict.fact("roots", json!(roots));
        Ok(verdict)
    }
}

#[derive(Default)]
struct ConsulSnap {
    found: Option<(SnapSummary, u64)>,
}

impl Verifier for ConsulSnap {
    fn file(&mut self, path: &str, input: &mut dyn Read) -> Result<(), FormatError> {
        if self.found.is_some() {
            return Err(FormatError::unexpected(path));
        }
        let mut input = Counted { inner: input, count: 0 };
        let summary = read_consul_snap(&mut input, &SnapOptions::default(), &mut ())?;
        self.found = Some((summary, input.count));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Verdict, FormatError> {
        let (found, bytes) = self.found.ok_or(FormatError::Missing { path: "the snapshot" })?;
        Ok(Verdict { entries: found.records, plain_bytes: bytes, ..snap_verdict(&found) })
    }
}

fn snap_verdict(found: &SnapSummary) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.fact("index", found.meta.index);
    verdict.fact("term", found.meta.term);
    verdict.fact("id", EntryName::from(found.meta.id.as_bytes()).to_string());
    verdict.fact("state_bytes", found.meta.size);
    verdict.fact("state_sha256", hex(&found.state_sha256));
    verdict.fact("records", found.records);
    let types = found.by_type.iter();
    let types = types.map(|(kind, tally)| (kind.to_string(), json!({"count": tally.count, "size": tally.size})));
    verdict.fact("types", Value::Object(types.collect()));
    verdict.fact("kv_keys", found.kv.keys);
    verdict.fact("kv_ordered", found.kv.ordered);
    verdict.fact("kv_sha256", found.kv.sha256.map(|hash| hex(&hash)));
    let mut set = |name: &str, ids: IdSet| {
        verdict.fact(name, json!({"count": ids.count, "sha256": hex(&ids.sha256)}));
    };
    set("acl_tokens", found.acl_tokens);
    set("acl_policies", found.acl_policies);
    set("acl_roles", found.acl_roles);
    set("config_entries", found.config_entries);
    let names = |set: &BTreeSet<MessageType>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
    verdict.fact("enterprise_types", names(&found.enterprise_types));
    verdict.fact("unknown_types", names(&found.unknown_types));
    let listed = |set| names(set).join(", ");
    if !found.enterprise_types.is_empty() {
        let types = listed(&found.enterprise_types);
        verdict.warnings.push(format!("The community edition cannot restore this snapshot: it holds {types}."));
    }
    if !found.unknown_types.is_empty() {
        let types = listed(&found.unknown_types);
        verdict.warnings.push(format!("A server that does not know {types} crashes while restoring this snapshot."));
    }
    if found.legacy_tokens > 0 {
        let count = found.legacy_tokens;
        verdict.warnings.push(format!("ACL tokens of the legacy form, on which newer servers fail: {count}."));
    }
    if !found.kv.ordered {
        verdict.warnings.push("The keys are not in order, as a server would write them.".to_owned());
    }
    verdict
}

#[derive(Default)]
struct Bytes {
    names: BTreeSet<String>,
    hash: Sha256,
    one: [u8; 32],
    total: u64,
}

impl Verifier for Bytes {
    fn file(&mut self, path: &str, input: &mut dyn Read) -> Result<(), FormatError> {
        if !self.names.insert(path.to_owned()) {
            return Err(FormatError::unexpected(path));
        }
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut size = 0_u64;
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hash.update(buffer.get(..count).unwrap_or_default());
                    size += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FormatError::io(path, error)),
            }
        }
        self.total += size;
        self.one = hash.finalize().into();
        self.hash.update((path.len() as u64).to_be_bytes());
        self.hash.update(path);
        self.hash.update(size.to_be_bytes());
        self.hash.update(self.one);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Verdict, FormatError> {
        let files = self.names.len() as u64;
        let mut verdict = Verdict { entries: files, plain_bytes: self.total, ..Verdict::default() };
        verdict.fact("files", files);
        verdict.fact("bytes", self.total);
        if files == 1 {
            verdict.fact("sha256", hex(&self.one));
        }
        let listing: [u8; 32] = self.hash.finalize().into();
        verdict.fact("listing_sha256", hex(&listing));
        Ok(verdict)
    }
}

mod archives;
pub(super) use archives::Archives;

#[cfg(test)]
mod tests;
