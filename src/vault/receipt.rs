//! Receipts: the signed record of each run, chained so that none can be taken out unseen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::Signature;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::clock::{Clock, Entropy};
use crate::model::ids::{ConsoleId, RunId};

use super::console::{ConsoleKey, id_of, public_key};
use super::disk;
use super::error::VaultError;
use super::finding::{Finding, Trouble};
use super::home::{Vault, parse, refuse_newer};
use super::last::{self, Coming, last_of};
use super::lease::{Holder, LEASE_LIFE};
use super::run::{RunDir, journal_name, last_chapter, numbered};

const VERSION: u32 = 1;

/// How often a run that ends looks whether another one has its receipt.
const TURN: Duration = Duration::from_millis(50);

/// The three files of one chapter's receipt.
pub(super) struct Names {
    pub receipt: String,
    signature: String,
    signer: String,
}

impl Names {
    pub fn of(chapter: u32) -> Self {
        Self {
            receipt: numbered("receipt", chapter, "json"),
            signature: numbered("receipt", chapter, "sig"),
            signer: numbered("signer", chapter, "pem"),
        }
    }
}

/// The signed record of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of this shape.
    pub version: u32,
    /// The console that signed it.
    pub console: ConsoleId,
    /// Counts this console's receipts in this vault from 1.
    pub number: u64,
    /// This console's receipt before.
    pub previous: Option<ReceiptBefore>,
    /// The run.
    pub run: RunId,
    /// When it was signed.
    pub at: Timestamp,
    /// The SHA-256 of `plan.json`, if there is one.
    pub plan_sha256: Option<String>,
    /// The SHA-256 of the journal it ends, `journal.jsonl` in the first chapter, if there is one.
    pub journal_sha256: Option<String>,
    /// What the run says of itself, the hash of each snapshot's `SHA256SUMS` included.
    pub body: Value,
}

/// The receipt before another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBefore {
    /// Its run.
    pub run: RunId,
    /// The SHA-256 of its `receipt.json`.
    pub sha256: String,
}

/// Every receipt that holds, and what does not.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// The receipts whose signature and hashes hold, by console and number.
    pub receipts: Vec<Receipt>,
    /// What is missing, changed or forged.
    pub findings: Vec<Finding>,
}

impl Chain {
    /// The same without what each run says of itself: a vault of years has very many.
    #[must_use]
    pub fn without_bodies(mut self) -> Self {
        self.receipts.iter_mut().for_each(|receipt| receipt.body = Value::Null);
        self.receipts.shrink_to_fit();
        self
    }
}

impl RunDir {
    /// Signs and writes the receipt of the run's chapter, once. Its plan and journal must be complete.
    pub fn write_receipt(
        &self,
        body: &Value,
        key: &ConsoleKey,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Receipt, VaultError> {
        // Two runs of one console that end at once must not both follow the same receipt. Whoever is at it reads every
        // receipt of the vault, or was killed: then its lease ends by itself, and until then a run that is done must not
        // end without its receipt.
        let holder = Holder::this(key.id().clone());
        let subject = format!("receipts of {}", key.id());
        let mut waited = Duration::ZERO;
        let lease = loop {
            let taken = super::run::with_reserve(&self.dir, || self.vault.lease_on(&subject, &holder, clock, entropy));
            match taken {
                Err(VaultError::Held { .. }) if waited <= LEASE_LIFE => {
                    waited += TURN;
                    clock.sleep(TURN);
                }
                other => break other?,
            }
        };
        let chapter = self.chapter();
        let names = Names::of(chapter);
        let before = last_of(&self.vault, key)?;
        let receipt = Receipt {
            version: VERSION,
            console: key.id().clone(),
            number: before.as_ref().map_or(1, |(number, _)| number.saturating_add(1)),
            previous: before.map(|(_, previous)| previous),
            run: self.run.clone(),
            at: clock.now(),
            plan_sha256: hash_of(&self.dir.join("plan.json"))?,
            journal_sha256: hash_of(&self.dir.join(journal_name(chapter)))?,
            body: body.clone(),
        };
        let bytes = disk::json(&self.dir, &receipt)?;
        if self.has_receipt(chapter) {
            return Err(VaultError::Exists { path: self.dir.join(names.receipt) });
        }
        let coming = Coming {
            number: receipt.number,
            run: self.run.clone(),
            chapter,
            previous: receipt.previous.clone(),
            signer: key.public_pem(),
        };
        last::note(&self.vault, key, &coming, &entropy.hex(8))?;
        for (name, bytes) in [(&names.signature, &key.sign(&bytes)[..]), (&names.signer, key.public_pem().as_bytes())] {
            // Without the receipt itself these are what a crash left.
            let _ = std::fs::remove_file(self.dir.join(name));
            self.write_once(name, bytes)?;
        }
        self.write_once(&names.receipt, &bytes)?;
        drop(lease);
        Ok(receipt)
    }

    /// Reads the newest receipt, if the run has one, and checks every one's signature and the hashes in it.
    pub fn read_receipt(&self) -> Result<Option<Receipt>, VaultError> {
        let all = load_all(&self.dir).into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(all.into_iter().next_back().map(|held| held.receipt))
    }

    /// Whether a chapter has ended.
    pub(super) fn has_receipt(&self, chapter: u32) -> bool {
        std::fs::symlink_metadata(self.dir.join(Names::of(chapter).receipt)).is_ok()
    }
}

impl Vault {
    /// Checks every receipt: its signature, the plan and journal it names, and that none is missing from the chain.
    ///
    /// A console is known by its key, since its id is made of it. Whether a key belongs to whom it should is for the operator to say.
    pub fn verify_receipts(&self) -> Result<Chain, VaultError> {
        let mut chain = Chain { findings: last::damaged_notes(self)?, ..Chain::default() };
        let mut found: BTreeMap<ConsoleId, Vec<Held>> = BTreeMap::new();
        for dir in self.runs()? {
            chain.findings.append(&mut strangers(&dir)?);
            chain.findings.extend(damage_without_receipt(self, &dir));
            for held in load_all(&dir) {
                match held {
                    Ok(held) if dir.file_name().is_some_and(|n| n == &*super::name::run_name(&held.receipt.run)) => {
                        found.entry(held.receipt.console.clone()).or_default().push(held);
                    }
                    Ok(held) => {
                        let why = format_args!("holds the receipt of the run '{}'", held.receipt.run);
                        chain.findings.push(Finding::new(&dir, Trouble::Misplaced, why));
                    }
                    Err(error) => chain.findings.push(Finding::of(&error, &dir)),
                }
            }
        }
        for (_, mut all) in found {
            all.sort_by_key(|held| held.receipt.number);
            let mut before: Option<(u64, ReceiptBefore)> = None;
            for Held { receipt, sha256, path } in all {
                let (number, previous) = before.take().unzip();
                let expected = number.unwrap_or(0).saturating_add(1);
                if receipt.number != expected || receipt.previous != previous {
                    let why = match &receipt.previous {
                        Some(b) => {
                            format!("follows the receipt of the run '{}', which is missing or was changed", b.run)
                        }
                        None => format!("says it is the first of '{}', and it is not", receipt.console),
                    };
                    chain.findings.push(Finding::new(&path, Trouble::Missing, why));
                }
                before = Some((receipt.number, ReceiptBefore { run: receipt.run.clone(), sha256 }));
                chain.receipts.push(receipt);
            }
        }
        Ok(chain)
    }
}

/// What is damaged of a run whose last chapter has no receipt: its journal tells, and whether its plan is the one it began
/// with. Of a chapter that has one the receipt tells more.
fn damage_without_receipt(vault: &Vault, dir: &Path) -> Option<Finding> {
    let chapter = last_chapter(dir);
    if std::fs::symlink_metadata(dir.join(Names::of(chapter).receipt)).is_ok() {
        return None;
    }
    let run = RunId::new(dir.file_name()?.to_str()?.to_owned()).ok()?;
    let error = RunDir { vault: vault.clone(), run, dir: dir.to_owned() }.read_journal().err()?;
    let path = match &error {
        VaultError::Damaged { path, .. } => path.clone(),
        _ => dir.join(journal_name(chapter)),
    };
    Some(Finding::of(&error, &path))
}

/// What lies in a run's directory and is no file of a run's.
fn strangers(dir: &Path) -> Result<Vec<Finding>, VaultError> {
    let fail = |e| VaultError::io(dir, "list", e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue; // Never renamed into place, or room held back.
        }
        let (stem, end) = name.split_once('.').unwrap_or((&name, ""));
        // `journal-2.jsonl` is a chapter's.
        let (stem, chapter) =
            stem.split_once('-').map_or((stem, None), |(stem, number)| (stem, number.parse::<u32>().ok()));
        let is_numbered = name.contains('-');
        let is_known = match (stem, end) {
            ("plan", "json") => !is_numbered,
            ("journal", "jsonl") | ("receipt", "json" | "sig") | ("signer", "pem") => {
                chapter.is_some_and(|chapter| chapter > 1) == is_numbered
            }
            _ => false,
        };
        if !is_known || !entry.file_type().map_err(fail)?.is_file() {
            found.push(Finding::new(&entry.path(), Trouble::Unexpected, "does not belong to the run"));
        }
    }
    Ok(found)
}

fn hash_of(path: &Path) -> Result<Option<String>, VaultError> {
    match disk::hash_file(path, &mut |_| std::ops::ControlFlow::Continue(())) {
        Ok((_, hash)) => Ok(Some(hash)),
        Err(VaultError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// A receipt that holds, its hash and where it lies.
struct Held {
    receipt: Receipt,
    sha256: String,
    path: PathBuf,
}

/// The chapters of a run that have a receipt. A chapter without one, or a gap, is no reason to pass over the next.
pub(super) fn receipts_of(dir: &Path) -> Vec<(u32, PathBuf)> {
    let at = |chapter: u32| (chapter, dir.join(Names::of(chapter).receipt));
    let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
    (1..=last_chapter(dir)).map(at).filter(|(_, path)| is_there(path)).collect()
}

fn load_all(dir: &Path) -> Vec<Result<Held, VaultError>> {
    receipts_of(dir).into_iter().map(|(chapter, path)| load(dir, chapter, path)).collect()
}

fn load(dir: &Path, chapter: u32, path: PathBuf) -> Result<Held, VaultError> {
    let names = Names::of(chapter);
    let bytes = disk::read(&path, disk::LARGEST_JSON)?;
    let signer_at = dir.join(&names.signer);
    let signer = public_key(&disk::read(&signer_at, 4096)?)
        .ok_or_else(|| VaultError::damaged(&signer_at, "it is not a console's public key"))?;
    let signature_at = dir.join(&names.signature);
    let signature = Signature::from_slice(&disk::read(&signature_at, 4096)?)
        .map_err(|_| VaultError::damaged(&signature_at, "it is not a signature"))?;
    let broken = || format!("its signature does not hold (it, {} or {} was changed)", names.signature, names.signer);
    signer.verify_strict(&bytes, &signature).map_err(|_| VaultError::damaged(&path, broken()))?;
    refuse_newer(&path, &bytes, "version", VERSION.into())?;
    let receipt: Receipt = parse(&path, &bytes)?;
    if id_of(&signer).as_ref() != Some(&receipt.console) {
        return Err(VaultError::damaged(&path, format!("it was not signed by '{}'", receipt.console)));
    }
    for (name, expected) in
        [("plan.json".to_owned(), &receipt.plan_sha256), (journal_name(chapter), &receipt.journal_sha256)]
    {
        let at = dir.join(name);
        if hash_of(&at)? != *expected {
            return Err(VaultError::damaged(&at, "it is not what the receipt names"));
        }
    }
    Ok(Held { sha256: disk::sha256(&bytes), receipt, path })
}
