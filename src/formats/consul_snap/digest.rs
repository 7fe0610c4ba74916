//! Digests that compare two snapshots by what they hold, not by how they were written.

use super::SnapError;
use sha2::{Digest, Sha256};

/// The digest over every (key, flags, value) of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KvDigest {
    /// How many keys.
    pub keys: u64,
    /// Whether the keys came in ascending order, each once, as a server writes them.
    pub ordered: bool,
    /// SHA-256 over the records' own hashes: in key order when they came ordered, else in the order of the hashes
    /// themselves. `None` when they were not in order and too many to hold. Only digests with the same `ordered` compare.
    pub sha256: Option<[u8; 32]>,
}

/// Folds keys as they come, and holds their hashes as long as there is room, in case they are not in order.
pub(super) struct KvFold {
    fold: Sha256,
    held: Option<Vec<[u8; 32]>>,
    max_held: usize,
    last: Option<Vec<u8>>,
    ordered: bool,
    keys: u64,
}

impl KvFold {
    pub(super) fn new(max_held: usize) -> Self {
        Self { fold: Sha256::new(), held: Some(Vec::new()), max_held, last: None, ordered: true, keys: 0 }
    }

    pub(super) fn add(&mut self, key: &[u8], flags: u64, value: &[u8]) {
        let mut hash = Sha256::new();
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key);
        hash.update(flags.to_be_bytes());
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value);
        let hash: [u8; 32] = hash.finalize().into();
        self.fold.update(hash);
        self.keys += 1;
        match &mut self.held {
            Some(held) if held.len() < self.max_held => held.push(hash),
            held => *held = None,
        }
        match &mut self.last {
            Some(last) => {
                self.ordered &= last.as_slice() < key;
                last.clear();
                last.extend_from_slice(key);
            }
            None => self.last = Some(key.to_vec()),
        }
    }

    pub(super) fn finish(self) -> KvDigest {
        let sha256 = if self.ordered { Some(self.fold.finalize().into()) } else { self.held.map(sorted) };
        KvDigest { keys: self.keys, ordered: self.ordered, sha256 }
    }
}

/// A set of ids, as a count and a digest that does not depend on their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdSet {
    /// How many.
    pub count: u64,
    /// SHA-256 over the ids' own hashes in ascending order.
    pub sha256: [u8; 32],
}

/// Gathers ids as hashes.
pub(super) struct Ids {
    what: &'static str,
    max: usize,
    hashes: Vec<[u8; 32]>,
}

impl Ids {
    pub(super) const fn new(what: &'static str, max: usize) -> Self {
        Self { what, max, hashes: Vec::new() }
    }

    /// Adds an id made of parts, each with its length before it.
    pub(super) fn add(&mut self, parts: &[&[u8]]) -> Result<(), SnapError> {
        if self.hashes.len() >= self.max {
            return Err(SnapError::TooMany { what: self.what, limit: self.max });
        }
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        self.hashes.push(hash.finalize().into());
        Ok(())
    }

    pub(super) fn finish(self) -> IdSet {
        IdSet { count: self.hashes.len() as u64, sha256: sorted(self.hashes) }
    }
}

fn sorted(mut hashes: Vec<[u8; 32]>) -> [u8; 32] {
    hashes.sort_unstable();
    let mut all = Sha256::new();
    for hash in hashes {
        all.update(hash);
    }
    all.finalize().into()
}
