//! `known_hosts` files: what is known of a host's key, and the verdict on the key it presents.
//!
//! The SSH library has such a check, but it calls another key type a mismatch, ignores `@revoked`, wildcards and
//! certificate authorities, and stops at the first bad line; so this is our own.

use std::io::Write;
use std::path::{Path, PathBuf};

use openssl::base64::encode_block;
use sha2::{Digest, Sha256};

mod parse;

pub use parse::{Entry, Marker};

/// A host's public key as it presents it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// Its type, e.g. `ssh-ed25519`.
    pub kind: String,
    /// The key in SSH's wire form.
    pub blob: Vec<u8>,
}

impl HostKey {
    /// Reads the type out of a wire-form key; none when it is malformed.
    pub fn from_blob(blob: &[u8]) -> Option<Self> {
        let length = u32::from_be_bytes(blob.get(..4)?.try_into().ok()?);
        let kind = std::str::from_utf8(blob.get(4..4 + usize::try_from(length).ok()?)?).ok()?;
        let fine = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || "-@.".contains(c));
        fine.then(|| Self { kind: kind.to_owned(), blob: blob.to_vec() })
    }
    /// `SHA256:…` as every SSH tool prints it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", encode_block(&Sha256::digest(&self.blob)).trim_end_matches('='))
    }
    /// The line for a `known_hosts` file.
    pub fn line(&self, host: &str, port: u16) -> String {
        format!("{} {} {}", lookup_name(host, port), self.kind, encode_block(&self.blob))
    }
}

/// A host as `known_hosts` writes it: plain on port 22, else `[host]:port`.
pub fn lookup_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// A known key and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The fingerprint standing there.
    pub fingerprint: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What is to be thought of a presented key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stands in a file.
    Known(Place),
    /// Nothing is known of this host.
    New,
    /// Only keys of other types are known: these.
    NewType(Vec<String>),
    /// Another key of the same type is known.
    Changed(Place),
    /// This very key is marked as revoked.
    Revoked(Place),
    /// The host is known only through a certificate authority, which Lifeboat does not support.
    Authority(Place),
}

/// Everything read from `known_hosts` files.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    /// Files and lines that could not be read, as `file:line: why`: what is not known because of them.
    pub notes: Vec<String>,
    /// Why it cannot be told which keys are revoked; then none is accepted.
    no_revocations: Option<String>,
}

impl KnownHosts {
    /// Reads `files`; a missing one is empty, a bad line is a note and nothing more.
    pub fn read(files: &[PathBuf]) -> Self {
        let mut known = Self::default();
        for file in files {
            match std::fs::read(file) {
                Ok(bytes) => known.add(file, &String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => known.notes.push(format!("{}: {error}", file.display())),
            }
        }
        known
    }

    /// Adds the text of one file.
    pub fn add(&mut self, file: &Path, text: &str) {
        for (number, line) in text.lines().enumerate() {
            match parse::entry(file, number + 1, line) {
                Ok(Some(entry)) => self.entries.push(entry),
                Ok(None) => {}
                Err(why) => self.notes.push(format!("{}:{}: {why}", file.display(), number + 1)),
            }
        }
    }

    /// Adds files of revoked keys, each line a public key, as `RevokedHostKeys` of `ssh_config(5)` names them.
    ///
    /// As with OpenSSH, a file that is not there or cannot be read revokes every key. So does one in the binary form
    /// (KRL), which is not read here.
    pub fn revoke(&mut self, files: &[PathBuf]) {
        for file in files {
            let text = match std::fs::read(file) {
                Ok(bytes) if bytes.starts_with(b"SSHKRL\n") => {
                    Err("it is in the binary form, which is not read".to_owned())
                }
                Ok(bytes) => Ok(bytes),
                Err(error) => Err(error.to_string()),
            };
            match text {
                Ok(bytes) => {
                    for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
                        match parse::revoked(file, number + 1, line) {
                            Ok(Some(entry)) => self.entries.push(entry),
                            Ok(None) => {}
                            Err(why) => self.notes.push(format!("{}:{}: {why}", file.display(), number + 1)),
                        }
                    }
                }
                Err(why) => self.no_revocations = Some(format!("RevokedHostKeys names {}: {why}", file.display())),
            }
        }
    }

    /// Why no key can be accepted, when it cannot be told which ones are revoked.
    pub fn no_revocations(&self) -> Option<&str> {
        self.no_revocations.as_deref()
    }

    fn matching<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.hosts.matches(name))
    }

    /// The key types known for a host, so that it is asked for one of them.
    pub fn types(&self, host: &str, port: u16) -> Vec<String> {
        let mut types = Vec::new();
        for name in [lookup_name(host, port), lookup_name(host, 22)] {
            for entry in self.matching(&name).filter(|e| e.marker == Marker::None) {
                if !types.contains(&entry.key.kind) {
                    types.push(entry.key.kind.clone());
                }
            }
            if !types.is_empty() {
                break;
            }
        }
        types
    }

    /// Judges `key` for a host: revoked beats all, then the port's own entries, then the plain name's.
    pub fn judge(&self, host: &str, port: u16, key: &HostKey) -> Verdict {
        let (exact, plain) = (lookup_name(host, port), lookup_name(host, 22));
        let revoked =
            self.matching(&exact).chain(self.matching(&plain)).find(|e| e.marker == Marker::Revoked && e.key == *key);
        if let Some(entry) = revoked {
            return Verdict::Revoked(entry.place());
        }
        let own = |name: &str| self.matching(name).filter(|e| e.marker == Marker::None).cloned().collect::<Vec<_>>();
        let known = own(&exact);
        if let Some(entry) = known.iter().find(|e| e.key == *key) {
            return Verdict::Known(entry.place());
        }
        if let Some(entry) = known.iter().find(|e| e.key.kind == key.kind) {
            return Verdict::Changed(entry.place());
        }
        // As OpenSSH does: another port's entry may vouch for this key, but cannot speak against it.
        if let Some(entry) = own(&plain).iter().find(|e| e.key == *key) {
            return Verdict::Known(entry.place());
        }
        if !known.is_empty() {
            return Verdict::NewType(self.types(host, port));
        }
        let authority = self.matching(&exact).find(|e| e.marker == Marker::Authority);
        authority.map_or(Verdict::New, |entry| Verdict::Authority(entry.place()))
    }
}

/// Appends one line to a `known_hosts` file under a lock and syncs it; creates the file for its owner only.
///
/// # Errors
/// What the system says; nothing already there is ever rewritten.
pub fn append(file: &Path, host: &str, port: u16, key: &HostKey) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    use std::os::unix::fs::OpenOptionsExt;
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || ",!*?#@|".contains(c)) {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the host name cannot stand in known_hosts"));
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut open = std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    rustix::fs::flock(&open, rustix::fs::FlockOperation::LockExclusive)?;
    let mut last = [b'\n'];
    if open.metadata()?.len() > 0 {
        open.seek(SeekFrom::End(-1))?;
        open.read_exact(&mut last)?;
    }
    let gap = if last == *b"\n" { "" } else { "\n" };
    open.write_all(format!("{gap}{}\n", key.line(host, port)).as_bytes())?;
    open.sync_all()
}

#[cfg(test)]
mod tests;
