//! One line of a `known_hosts` file.

use std::path::{Path, PathBuf};

use openssl::base64::decode_block;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::{HostKey, Place};
use crate::model::text::matches_glob;

/// What a line's marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// A plain entry.
    None,
    /// `@revoked`: this key must never be accepted.
    Revoked,
    /// `@cert-authority`: this key signs host certificates.
    Authority,
}

/// One readable line.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) marker: Marker,
    pub(super) hosts: Hosts,
    pub(super) key: HostKey,
    file: PathBuf,
    line: usize,
}

impl Entry {
    pub(super) fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line, fingerprint: self.key.fingerprint() }
    }
}

/// Whom a line is about.
#[derive(Debug, Clone)]
pub(super) enum Hosts {
    /// Names with wildcards and negation.
    Patterns(Vec<String>),
    /// `|1|salt|hash`.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

impl Hosts {
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Patterns(patterns) => {
                let mut found = false;
                for pattern in patterns {
                    match pattern.strip_prefix('!') {
                        Some(not) if matches_glob(not, name) => return false,
                        Some(_) => {}
                        None => found |= matches_glob(pattern, name),
                    }
                }
                found
            }
            Self::Hashed { salt, hash } => hmac_sha1(salt, name.as_bytes()).is_some_and(|own| own == *hash),
        }
    }
}

fn hmac_sha1(key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let key = PKey::hmac(key).ok()?;
    Signer::new(MessageDigest::sha1(), &key).ok()?.sign_oneshot_to_vec(data).ok()
}

/// Reads one line: nothing for a blank or a comment, a reason when it is bad.
pub(super) fn entry(file: &Path, number: usize, line: &str) -> Result<Option<Entry>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let mut next = || words.next().ok_or("the line is too short");
    let mut first = next()?;
    let marker = match first {
        "@revoked" => Marker::Revoked,
        "@cert-authority" => Marker::Authority,
        other if other.starts_with('@') => return Err("unknown marker"),
        _ => Marker::None,
    };
    if marker != Marker::None {
        first = next()?;
    }
    let (kind, encoded) = (next()?, next()?);
    let hosts = if let Some(rest) = first.strip_prefix("|1|") {
        let (salt, hash) = rest.split_once('|').ok_or("the hashed name is malformed")?;
        let decode = |text| decode_block(text).map_err(|_| "the hashed name is not base64");
        Hosts::Hashed { salt: decode(salt)?, hash: decode(hash)? }
    } else if first.starts_with('|') {
        return Err("unknown hash of a name");
    } else {
        Hosts::Patterns(first.to_ascii_lowercase().split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect())
    };
    let key = key(kind, encoded)?;
    Ok(Some(Entry { marker, hosts, key, file: file.to_owned(), line: number }))
}

/// Reads one line of a file of revoked keys, which are of any host.
pub(super) fn revoked(file: &Path, number: usize, line: &str) -> Result<Option<Entry>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (kind, encoded) = words.next().zip(words.next()).ok_or("the line is too short")?;
    let (hosts, key) = (Hosts::Patterns(vec!["*".to_owned()]), key(kind, encoded)?);
    Ok(Some(Entry { marker: Marker::Revoked, hosts, key, file: file.to_owned(), line: number }))
}

fn key(kind: &str, encoded: &str) -> Result<HostKey, &'static str> {
    let blob = decode_block(encoded).map_err(|_| "the key is not base64")?;
    let key = HostKey::from_blob(&blob).ok_or("the key is malformed")?;
    if key.kind == kind { Ok(key) } else { Err("the key is of another type than the line says") }
}
