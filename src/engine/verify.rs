//! Checking what is stored, offline: bytes against hashes, keys against seals, and the service's own format in full.

use std::io;
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::json;

use super::capture::vault_failure;
use crate::formats;
use crate::model::clock::Clock;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::ConsoleId;
use crate::model::manifest::{Proof, Rung};
use crate::transport::Cancel;
use crate::vault::{Keys, Snapshot, Vault};

/// How a stored snapshot stands after a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "standing")]
pub enum Checked {
    /// Opened, and its format is whole.
    Verified {
        /// Bytes in clear that were read.
        bytes: u64,
        /// What is odd but not broken.
        warnings: Vec<String>,
    },
    /// Its stored bytes hash as written; without a key nothing more can be said.
    IntactSealed,
    /// Something is wrong with it.
    Broken {
        /// What, naming the file.
        why: Vec<String>,
    },
}

/// What a check needs.
pub struct Check<'e> {
    /// The vault.
    pub vault: &'e Vault,
    /// The private keys at hand.
    pub keys: &'e Keys,
    /// This console.
    pub console: &'e ConsoleId,
    /// Time.
    pub clock: &'e dyn Clock,
    /// The operator's wish to stop.
    pub cancel: &'e Cancel,
    /// Whether the result is written beside the snapshot.
    pub record: bool,
}

impl Check<'_> {
    /// Checks one snapshot and dates the rung it reached.
    ///
    /// # Errors
    /// Only when the check itself could not be made; a broken snapshot is a result.
    pub fn run(&self, snapshot: &mut Snapshot) -> Result<Checked> {
        self.cancel.check().map_err(|error| crate::services::common::as_failure(&error))?;
        let findings = self.vault.check_intact(snapshot, &mut |_| self.tick()).map_err(|e| vault_failure(&e))?;
        let damage: Vec<String> =
            findings.iter().filter(|finding| finding.is_damage()).map(ToString::to_string).collect();
        if !damage.is_empty() {
            return self.date(snapshot, Rung::Intact, Checked::Broken { why: damage });
        }
        if snapshot.is_sealed() && self.keys.is_empty() {
            return self.date(snapshot, Rung::Intact, Checked::IntactSealed);
        }
        if snapshot.is_sealed() {
            self.vault.openable(snapshot, self.keys).map_err(|e| vault_failure(&e))?;
            self.add(snapshot, Rung::Openable, true, json!({"shown": "a private key at hand opens every file"}))?;
        }
        let checked = match self.read_through(snapshot) {
            Ok((bytes, warnings)) => Checked::Verified { bytes, warnings },
            Err(failure) if failure.exit == Exit::Integrity => Checked::Broken { why: vec![failure.message] },
            Err(failure) => return Err(failure),
        };
        self.date(snapshot, Rung::Verified, checked)
    }

    /// Hashing a large file is left as soon as the operator cancels.
    fn tick(&self) -> ControlFlow<()> {
        if self.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn read_through(&self, snapshot: &Snapshot) -> Result<(u64, Vec<String>)> {
        let manifest = snapshot.manifest();
        let place = format!("{}@{}", manifest.item, manifest.id);
        let broken = |why: String| Failure::new(Exit::Integrity, format!("{place}: {why}"));
        let mut verifier = formats::verifier(&manifest.format).ok_or_else(|| {
            Failure::new(
                Exit::Failed,
                format!("{place}: this version of Lifeboat cannot verify the format '{}'.", manifest.format),
            )
        })?;
        for file in &manifest.files {
            let mut clear = self.vault.open_file(snapshot, file, self.keys).map_err(|e| vault_failure(&e))?;
            verifier.file(&file.name, &mut clear).map_err(|error| broken(error.to_string()))?;
            // Only at the true end are both hashes compared.
            io::copy(&mut clear, &mut io::sink()).map_err(|error| broken(error.to_string()))?;
        }
        let verdict = verifier.finish().map_err(|error| broken(error.to_string()))?;
        let recorded = manifest.facts.get("verified");
        if recorded.is_some_and(|recorded| *recorded != json!(verdict.facts)) {
            return Err(broken("what the bytes say is not what the manifest recorded.".to_owned()));
        }
        Ok((verdict.plain_bytes, verdict.warnings))
    }

    fn date(&self, snapshot: &mut Snapshot, rung: Rung, checked: Checked) -> Result<Checked> {
        let passed = !matches!(checked, Checked::Broken { .. });
        self.add(snapshot, rung, passed, json!(checked))?;
        Ok(checked)
    }

    fn add(&self, snapshot: &mut Snapshot, rung: Rung, passed: bool, detail: serde_json::Value) -> Result<()> {
        if !self.record {
            return Ok(());
        }
        let proof =
            Proof { version: 1, rung, at: self.clock.now(), console: self.console.clone(), run: None, passed, detail };
        snapshot.add_proof(proof).map(|_| ()).map_err(|e| vault_failure(&e))
    }
}
