//! `about/`: what a rebuild needs to know beside the snapshots, every file under a sum of its own.
//!
//! The sum is the first line of the file it stands for, a comment in every format kept here. So a file and its sum change
//! in one rename: two consoles that write at once leave the one or the other, and a crash leaves no sum without its file.

use std::path::{Path, PathBuf};

use crate::model::clock::Entropy;

use super::disk;
use super::error::VaultError;
use super::finding::{Finding, Trouble};
use super::home::Vault;
use super::name::{ABOUT, VAULT, directory_name};

/// A copy of `vault.json`, which has no room for a sum of the whole of itself.
const COPY: &str = "vault-copy.json";

const HEAD: &str = "# lifeboat: ";
const MIDDLE: &str = "the lines below hash to ";

fn with_sum(bytes: &[u8]) -> Vec<u8> {
    [format!("{HEAD}{MIDDLE}{}\n", disk::sha256(bytes)).as_bytes(), bytes].concat()
}

/// How a file of `about/` stands with its sum.
#[derive(Debug, PartialEq, Eq)]
enum Summed<'b> {
    Sound(&'b [u8]),
    Damaged,
    /// It was written before there were sums, or by another hand.
    Without,
}

fn summed(bytes: &[u8]) -> Summed<'_> {
    let length = HEAD.len() + MIDDLE.len() + 65;
    if let Some(rest) = bytes.get(length..)
        && with_sum(rest) == bytes
    {
        return Summed::Sound(rest);
    }
    // One flipped byte leaves one half of the words as they were: that is no file without a sum.
    let has_middle = bytes.get(HEAD.len()..).is_some_and(|rest| rest.starts_with(MIDDLE.as_bytes()));
    if bytes.starts_with(HEAD.as_bytes()) || has_middle { Summed::Damaged } else { Summed::Without }
}

/// The copy of a `vault.json` of these bytes, before that one is there.
pub(super) fn write_copy(root: &Path, vault_json: &[u8]) -> Result<(), VaultError> {
    disk::write_new(&root.join(ABOUT).join(COPY), &with_sum(vault_json))?;
    disk::sync_dir(&root.join(ABOUT))
}

impl Vault {
    /// Keeps a copy of what a rebuild needs to know: the inventory without secrets, host keys, a runbook. A `#` must begin
    /// a comment in it.
    pub fn save_companion(&self, name: &str, bytes: &[u8], entropy: &dyn Entropy) -> Result<PathBuf, VaultError> {
        let dir = self.root().join(ABOUT);
        disk::make_dir(&dir)?;
        // A vault made before there were sums; the copy comes first, because from then on a file without one is damaged.
        if !self.has_sums() {
            let whole = disk::read(&self.root().join(VAULT), disk::LARGEST_JSON)?;
            disk::replace(&dir.join(COPY), &with_sum(&whole), &entropy.hex(4))?;
        }
        let (path, bytes) = (dir.join(directory_name(name)), with_sum(bytes));
        if disk::read(&path, disk::LARGEST_JSON).is_ok_and(|old| old == bytes) {
            return Ok(path);
        }
        disk::replace(&path, &bytes, &entropy.hex(4))?;
        Ok(path)
    }

    /// Whether a path is that of a companion or of `vault.json`, so that what is wrong with it says nothing of a snapshot.
    pub fn is_companion(&self, path: &Path) -> bool {
        path.starts_with(self.root().join(ABOUT)) || path == self.root().join(VAULT)
    }

    /// Whether `vault.json` and the companions stand under sums: not in a vault made before there were any, until
    /// something is backed up.
    pub fn has_sums(&self) -> bool {
        disk::exists(&self.root().join(ABOUT).join(COPY))
    }

    /// Looks whether the files of `about/` and `vault.json` are as they were written. One without a sum is said to be
    /// damaged where the vault has sums at all.
    pub(super) fn look_at_companions(&self, files: &[PathBuf]) -> Vec<Finding> {
        let copy = self.root().join(ABOUT).join(COPY);
        let has_sums = self.has_sums();
        let mut findings = Vec::new();
        for path in files {
            let bytes = match disk::read(path, disk::LARGEST_JSON) {
                Ok(bytes) => bytes,
                Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    findings.push(Finding::of(&error, path));
                    continue;
                }
            };
            let mut say = |path: &Path, trouble, why| findings.push(Finding::new(path, trouble, why));
            match summed(&bytes) {
                Summed::Sound(whole) if *path == copy => {
                    let at = self.root().join(VAULT);
                    if disk::read(&at, disk::LARGEST_JSON).is_ok_and(|now| now != whole) {
                        say(&at, Trouble::Damaged, "is not as it was written; its copy in 'about' is");
                    }
                }
                Summed::Sound(_) if !has_sums => say(&copy, Trouble::Missing, "is not there"),
                Summed::Damaged => say(path, Trouble::Damaged, "does not hash as its first line says"),
                Summed::Without if has_sums => say(path, Trouble::Damaged, "has lost its sum, or was written by hand"),
                Summed::Sound(_) | Summed::Without => {}
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_of_a_file_or_of_its_sum_is_noticed() {
        for text in ["version = 1\n", "", "x"] {
            let whole = with_sum(text.as_bytes());
            assert_eq!(summed(&whole), Summed::Sound(text.as_bytes()));
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut bytes = whole.clone();
                    bytes[at] ^= 1 << bit;
                    assert_eq!(summed(&bytes), Summed::Damaged, "{text:?} byte {at} bit {bit}");
                }
            }
        }
        for text in ["", "version = 1\n", "# my own\n"] {
            assert_eq!(summed(text.as_bytes()), Summed::Without, "{text:?}");
        }
    }
}
