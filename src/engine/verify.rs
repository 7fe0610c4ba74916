//! Checking what is stored, offline: bytes against hashes, keys against seals, and the service's own format in full.

use std::io::{self, Read};
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::{Value, json};

use super::capture::vault_failure;
use crate::formats::{self, FormatError};
use crate::model::clock::Clock;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::ConsoleId;
use crate::model::manifest::{Proof, Rung};
use crate::model::text::CleanText;
use crate::services::common::as_failure;
use crate::transport::Cancel;
use crate::vault::{Keys, Snapshot, Vault, VaultError};

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
        self.cancel.check().map_err(|error| as_failure(&error))?;
        let is_shut = snapshot.is_sealed() && self.keys.is_empty();
        let opened = if is_shut { Ok(()) } else { self.opens(snapshot) };
        let read = match &opened {
            Ok(()) if is_shut => None,
            Ok(()) => Some(self.read_through(snapshot)),
            Err(failure) => Some(Err(failure.clone())),
        };
        // What was read to its end was hashed on the way. Anything less, and every stored byte is hashed, so that each
        // file that is not as written is named, and what was read is judged by sound bytes alone.
        let findings = match &read {
            Some(Ok(Checked::Verified { .. })) => self.vault.check_beside_payload(snapshot, &mut |_| self.tick()),
            Some(Err(failure)) if failure.exit == Exit::Cancelled => return Err(failure.clone()),
            _ => self.vault.check_intact(snapshot, &mut |_| self.tick()),
        };
        let findings = findings.map_err(|error| vault_failure(&error))?;
        let damage: Vec<String> =
            findings.iter().filter(|finding| finding.is_damage()).map(ToString::to_string).collect();
        if !damage.is_empty() {
            return self.date(snapshot, Rung::Intact, Checked::Broken { why: damage });
        }
        let Some(read) = read else { return self.date(snapshot, Rung::Intact, Checked::IntactSealed) };
        if snapshot.is_sealed() && opened.is_ok() {
            self.add(snapshot, Rung::Openable, true, json!({"shown": "a private key at hand opens every file"}))?;
        }
        let checked = match read {
            Ok(checked) => checked,
            Err(failure) if opened.is_ok() && failure.exit == Exit::Integrity => {
                Checked::Broken { why: vec![failure.message] }
            }
            Err(failure) => return Err(failure),
        };
        self.date(snapshot, Rung::Verified, checked)
    }

    /// Whether the keys at hand open every file; in clear there is nothing to open.
    fn opens(&self, snapshot: &Snapshot) -> Result<()> {
        if !snapshot.is_sealed() {
            return Ok(());
        }
        self.vault.openable(snapshot, self.keys).map_err(|error| vault_failure(&error))
    }

    /// Hashing a large file is left as soon as the operator cancels.
    fn tick(&self) -> ControlFlow<()> {
        if self.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn read_through(&self, snapshot: &Snapshot) -> Result<Checked> {
        let manifest = snapshot.manifest();
        let place = format!("{}@{}", manifest.item, manifest.id);
        let broken = |why: String| Failure::new(Exit::Integrity, format!("{place}: {why}"));
        let mut verifier = formats::verifier(&manifest.format).ok_or_else(|| {
            Failure::new(
                Exit::Failed,
                format!("{place}: this version of Lifeboat cannot verify the format '{}'.", manifest.format),
            )
        })?;
        // All that is damaged is worth knowing, not only the first.
        verifier.note_damage();
        // What these bytes expand to was seen when they were copied; whether they are the same is shown below.
        if manifest.facts.get("verified").is_some_and(Value::is_object) {
            verifier.trust_checksums();
        }
        for file in &manifest.files {
            let clear = self.vault.open_file(snapshot, file, self.keys).map_err(|e| vault_failure(&e))?;
            let mut clear = Watched::new(clear, self.cancel);
            let read = verifier.file(&file.name, &mut clear).map_err(|error| match &error {
                // What this console's own disk refuses, such as room for a copy to look into, is no damage either.
                FormatError::Io { source, .. } if source.raw_os_error().is_some() => {
                    Failure::new(Exit::Failed, format!("{place}: {error}"))
                }
                _ => broken(error.to_string()),
            });
            // Only at the true end are both hashes compared.
            let read = read.and_then(|()| {
                io::copy(&mut clear, &mut io::sink()).map(|_| ()).map_err(|error| broken(error.to_string()))
            });
            // A stream that stopped for another reason says nothing of what is stored.
            read.map_err(|failure| clear.failed.take().unwrap_or(failure))?;
        }
        let (verdict, damage) = match verifier.finish() {
            Ok(verdict) => (verdict, Vec::new()),
            Err(FormatError::Damaged(damaged)) => (damaged.verdict.clone(), damaged.sentences()),
            Err(error) => return Err(broken(error.to_string())),
        };
        let differs = differences(manifest.facts.get("verified"), &json!(verdict.facts));
        let is_as_recorded = differs.is_empty();
        if !damage.is_empty() {
            let since = "It was so on the node already when it was copied.";
            let known = is_as_recorded.then(|| since.to_owned());
            let why = damage.into_iter().map(|what| format!("{place}: {what}")).chain(known).collect();
            return Ok(Checked::Broken { why });
        }
        if !is_as_recorded {
            let which = differs.join(", ");
            return Err(broken(format!("what the bytes say is not what the manifest recorded ({which}).")));
        }
        Ok(Checked::Verified { bytes: verdict.plain_bytes, warnings: verdict.warnings })
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

/// The facts that the bytes do not tell as they were recorded. A later version may tell one fact more.
fn differences(recorded: Option<&Value>, told: &Value) -> Vec<String> {
    match recorded {
        None => Vec::new(),
        Some(Value::Object(facts)) => {
            let differs = facts.iter().filter(|(name, value)| told.get(name) != Some(value));
            differs.map(|(name, _)| CleanText::new(name).one_line().to_string()).collect()
        }
        Some(other) if other == told => Vec::new(),
        Some(_) => vec!["all of it".to_owned()],
    }
}

/// Stored bytes on their way to who reads their format, and cannot tell why they end: this can.
pub(super) struct Watched<'c, R> {
    inner: R,
    cancel: &'c Cancel,
    /// Why it ended, when that is not what is stored.
    pub(super) failed: Option<Failure>,
}

impl<'c, R> Watched<'c, R> {
    pub(super) fn new(inner: R, cancel: &'c Cancel) -> Self {
        Self { inner, cancel, failed: None }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(error) = self.cancel.check() {
            self.failed = Some(as_failure(&error));
            return Err(io::Error::other(error));
        }
        self.inner.read(buffer).inspect_err(|error| {
            let why = error.get_ref().and_then(|inner| inner.downcast_ref::<VaultError>());
            let exit = why.map_or(Exit::Vault, VaultError::exit);
            if exit != Exit::Integrity && error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(Failure::new(exit, format!("A stored file could not be read: {error}")));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(fn() -> io::Error);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0())
        }
    }

    #[test]
    fn only_what_is_stored_can_be_broken() {
        let cancel = Cancel::new();
        let failed = |error| {
            let mut watched = Watched::new(Broken(error), &cancel);
            assert!(watched.read(&mut [0]).is_err());
            watched.failed.map(|failure| failure.exit)
        };
        let damaged = || io::Error::other(VaultError::Damaged { path: "/x".into(), why: "it does not hash".into() });
        let passing = || {
            let source = io::Error::from_raw_os_error(5);
            io::Error::other(VaultError::Io { path: "/x".into(), doing: "read", source })
        };
        assert_eq!((failed(damaged), failed(passing)), (None, Some(Exit::Vault)));
        cancel.cancel();
        assert_eq!(failed(damaged), Some(Exit::Cancelled));
    }

    #[test]
    fn one_fact_more_breaks_no_old_copy() {
        let told = json!({"node_id": "A", "new": 1});
        for recorded in [None, Some(json!({})), Some(json!({"node_id": "A"})), Some(told.clone())] {
            assert_eq!(differences(recorded.as_ref(), &told), Vec::<String>::new(), "{recorded:?}");
        }
        for (recorded, which) in
            [(json!({"node_id": "B"}), "node_id"), (json!({"gone": 1}), "gone"), (json!("A"), "all of it")]
        {
            assert_eq!(differences(Some(&recorded), &told), [which], "{recorded}");
        }
    }
}
