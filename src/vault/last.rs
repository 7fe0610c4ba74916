//! Where a console's chain of receipts ends, without reading every receipt of the vault.
//!
//! Before a receipt is written, what comes is noted and signed: a vault of years has as many receipts as runs, and each run
//! must know the last one. What is noted is believed only as far as the receipts bear it out; without it, or where it is
//! damaged or was taken away, every receipt is read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};

use super::console::{ConsoleKey, id_of, public_key};
use super::disk;
use super::error::VaultError;
use super::finding::Finding;
use super::home::{Vault, parse};
use super::name::{self, RUNS};
use super::receipt::{Names, Receipt, ReceiptBefore, receipts_of};
use crate::model::ids::{ConsoleId, RunId};

/// A signature's bytes, which are the end of what is noted.
const SIGNATURE: usize = 64;

/// A console's last receipt: its number, and how the next one names it.
pub(super) type Last = Option<(u64, ReceiptBefore)>;

/// What the file begins with; whose it is stands behind that.
const NOTE: &str = ".next-";

/// The receipt that is written next.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Coming {
    pub number: u64,
    pub run: RunId,
    pub chapter: u32,
    pub previous: Option<ReceiptBefore>,
    /// The public key that signs it, as PEM.
    pub signer: String,
}

/// A console's newest receipt that can be read, by number. One that cannot is passed over: a run must be able to end, and
/// `verify_receipts` tells what is damaged, and the gap in the chain.
pub(super) fn last_of(vault: &Vault, key: &ConsoleKey) -> Result<Last, VaultError> {
    let noted = read(&path(vault, key.id()), key.id()).ok();
    let noted = noted.and_then(|coming| Some((coming.settled(vault, key.id())?, coming.run)));
    let (mut last, since) = noted.map_or((None, PathBuf::new()), |(last, run)| (last, run_dir(vault, &run)));
    // They are in the order of their beginnings, and what ended before the noted one was counted by it.
    for dir in vault.runs()?.into_iter().skip_while(|dir| *dir < since) {
        for (_, path) in receipts_of(&dir) {
            let Some((receipt, sha256)) = read_receipt(&path, key.id()) else { continue };
            if last.as_ref().is_none_or(|(number, _)| *number < receipt.number) {
                last = Some((receipt.number, ReceiptBefore { run: receipt.run, sha256 }));
            }
        }
    }
    Ok(last)
}

/// Notes what comes. Where it cannot be written nothing stays there: what was noted before would be wrong from now on.
pub(super) fn note(vault: &Vault, key: &ConsoleKey, coming: &Coming, token: &str) -> Result<(), VaultError> {
    let path = path(vault, key.id());
    let mut bytes = disk::json(&path, coming)?;
    bytes.extend_from_slice(&key.sign(&bytes));
    match disk::replace(&path, &bytes, token) {
        Err(error) => match fs::remove_file(&path) {
            Err(stays) if stays.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        done => done,
    }
}

/// What is damaged of that which consoles noted. Nothing rests on it but time; still it is not what was written.
pub(super) fn damaged_notes(vault: &Vault) -> Result<Vec<Finding>, VaultError> {
    let runs = vault.root().join(RUNS);
    let entries = match fs::read_dir(&runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| VaultError::io(&runs, "list", error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| VaultError::io(&runs, "list", error))?;
        let name = entry.file_name();
        let Some(console) = name.to_str().and_then(|name| name.strip_prefix(NOTE)) else { continue };
        let path = entry.path();
        let read = ConsoleId::new(console).map_err(|_| damaged(&path)).and_then(|console| read(&path, &console));
        found.extend(read.err().map(|error| Finding::of(&error, &path)));
    }
    Ok(found)
}

/// What a console noted, where its signature holds.
fn read(path: &Path, console: &ConsoleId) -> Result<Coming, VaultError> {
    let bytes = disk::read(path, disk::LARGEST_JSON)?;
    let at = bytes.len().checked_sub(SIGNATURE).ok_or_else(|| damaged(path))?;
    let (text, signature) = bytes.split_at(at);
    let coming: Coming = parse(path, text)?;
    let signer = public_key(coming.signer.as_bytes()).filter(|signer| id_of(signer).as_ref() == Some(console));
    let signature = Signature::from_slice(signature).ok();
    let holds = signer.zip(signature).is_some_and(|(signer, signed)| signer.verify_strict(text, &signed).is_ok());
    if holds { Ok(coming) } else { Err(damaged(path)) }
}

fn damaged(path: &Path) -> VaultError {
    VaultError::damaged(path, "its signature does not hold; it may be removed, every receipt is read then")
}

fn run_dir(vault: &Vault, run: &RunId) -> PathBuf {
    vault.root().join(RUNS).join(name::run_name(run))
}

fn path(vault: &Vault, console: &ConsoleId) -> PathBuf {
    vault.root().join(RUNS).join(format!("{NOTE}{console}"))
}

impl Coming {
    /// What the chain ends with, as far as this tells; nothing where the receipts do not bear it out.
    fn settled(&self, vault: &Vault, console: &ConsoleId) -> Option<Last> {
        let path = run_dir(vault, &self.run).join(Names::of(self.chapter).receipt);
        if disk::exists(&path) {
            let (receipt, sha256) = read_receipt(&path, console)?;
            let is_it = receipt.number == self.number && receipt.run == self.run;
            return is_it.then_some(Some((self.number, ReceiptBefore { run: receipt.run, sha256 })));
        }
        // Whoever noted it was killed before it was written.
        let Some(previous) = &self.previous else { return (self.number == 1).then_some(None) };
        let number = self.number.checked_sub(1)?;
        let held = receipts_of(&run_dir(vault, &previous.run)).into_iter();
        let mut held = held.filter_map(|(_, path)| read_receipt(&path, console));
        let is_there = held.any(|(receipt, sha256)| receipt.number == number && sha256 == previous.sha256);
        is_there.then(|| Some((number, previous.clone())))
    }
}

/// A receipt of a console and its hash, if it can be read.
fn read_receipt(path: &Path, console: &ConsoleId) -> Option<(Receipt, String)> {
    let bytes = disk::read(path, disk::LARGEST_JSON).ok()?;
    let receipt = parse::<Receipt>(path, &bytes).ok()?;
    (receipt.console == *console).then(|| (receipt, disk::sha256(&bytes)))
}
