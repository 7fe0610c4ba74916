//! Verifying stored copies, one after the other.

use std::collections::BTreeSet;

use super::{Crew, Place};
use crate::engine::board::Board;
use crate::engine::verify::{Check, Checked};
use crate::model::exit::{Exit, Failure, Result};
use crate::transport::Cancel;
use crate::tui::message::{Named, Notice, Tone, Wish};
use crate::tui::model::JobId;
use crate::vault::{Finding, Trouble};

impl Crew {
    pub(super) fn verify(&self, job: JobId, place: &Place, wish: &Wish, board: &Board, cancel: &Cancel) -> Result<()> {
        let (desk, store) = (&place.desk, place.store(self)?);
        let mut verdict = Verdict::default();
        let copies = wish.checks().unwrap_or_default();
        let is_whole = matches!(wish, Wish::VerifyVault(_));
        let mut since = Vec::new();
        if is_whole {
            let known: BTreeSet<&Named> = copies.iter().collect();
            let findings = store.vault.walk(&mut |shelf| {
                let all = shelf.snapshots.iter().map(|one| (one.item().clone(), one.id().clone()));
                since.extend(all.filter(|copy| !known.contains(copy)));
            });
            // What is broken beyond being a copy must not end as if it had been checked.
            self.tell_damage(&mut verdict, findings?.iter().filter(|finding| finding.is_damage()));
        }
        for (item, id) in copies.iter().chain(&since) {
            board.begin(format!("Read {item}@{id}").as_str().into(), 0);
            let check = Check {
                vault: &store.vault,
                keys: &store.keys,
                console: store.console.id(),
                clock: &*desk.clock,
                cancel,
                record: !desk.read_only,
            };
            let checked = Self::snapshot(&store, item, id).and_then(|mut snapshot| check.run(&mut snapshot));
            let goes_on = verdict.take(&format!("{item}@{id}"), &checked);
            self.tell(Notice::Checked(job, item.clone(), id.clone(), checked));
            if !goes_on {
                return verdict.end();
            }
        }
        if is_whole {
            // A receipt that this version cannot read was not checked either.
            let receipts = store.vault.verify_receipts()?.findings;
            let is_strange = |finding: &&Finding| finding.trouble == Trouble::Unexpected;
            self.tell_damage(&mut verdict, receipts.iter().filter(|finding| !is_strange(finding)));
        }
        verdict.end()
    }

    fn tell_damage<'f>(&self, verdict: &mut Verdict, damage: impl Iterator<Item = &'f Finding>) {
        for finding in damage {
            self.tell(Notice::Noted(Tone::Bad, finding.message.clone()));
            verdict.take_failure(Failure::new(Exit::Integrity, format!("The vault is damaged: {finding}")));
        }
    }
}

/// What a verification of several copies comes to: the worst of what was found.
#[derive(Default)]
struct Verdict {
    worst: Option<Failure>,
}

impl Verdict {
    /// Takes in how a copy stands; `false` when nothing more is to be checked. A copy that is broken is worse than
    /// one that could not be checked, and of two the first is told.
    fn take(&mut self, place: &str, checked: &Result<Checked>) -> bool {
        let failure = match checked {
            Ok(Checked::Verified { .. } | Checked::IntactSealed) => return true,
            Ok(Checked::Broken { why }) => {
                Failure::new(Exit::Integrity, format!("{place} is broken: {}.", why.join("; ")))
            }
            Err(failure) if failure.exit == Exit::Cancelled => {
                let told = Failure::new(Exit::Cancelled, format!("Cancelled before {place} was checked."));
                self.worst.get_or_insert(told);
                return false;
            }
            Err(failure) => {
                Failure { message: format!("{place} was not checked: {}", failure.message), ..failure.clone() }
            }
        };
        self.take_failure(failure);
        true
    }

    fn take_failure(&mut self, failure: Failure) {
        let is_worse =
            self.worst.as_ref().is_none_or(|worst| failure.exit == Exit::Integrity && worst.exit != Exit::Integrity);
        if is_worse {
            self.worst = Some(failure);
        }
    }

    fn end(self) -> Result<()> {
        self.worst.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified() -> Checked {
        Checked::Verified { bytes: 1, warnings: Vec::new() }
    }

    fn unreadable() -> Failure {
        Failure::new(Exit::Vault, "Permission denied.")
    }

    fn verdict(all: &[Result<Checked>]) -> (usize, Option<Exit>) {
        let mut verdict = Verdict::default();
        let taken = all.iter().enumerate().take_while(|(at, one)| verdict.take(&format!("copy {at}"), one)).count();
        (taken, verdict.end().err().map(|failure| failure.exit))
    }

    #[test]
    fn a_check_that_did_not_happen_is_no_success() {
        assert_eq!(verdict(&[Ok(verified()), Ok(Checked::IntactSealed)]), (2, None));
        assert_eq!(verdict(&[Ok(verified()), Err(unreadable()), Ok(verified())]), (3, Some(Exit::Vault)));
        let broken = || Ok(Checked::Broken { why: vec!["a.pem".to_owned()] });
        assert_eq!(verdict(&[Err(unreadable()), broken(), Err(unreadable())]), (3, Some(Exit::Integrity)));
    }

    #[test]
    fn a_cancelled_check_ends_it_and_hides_nothing_that_was_found() {
        let cancelled = || Err(Failure::new(Exit::Cancelled, "Cancelled."));
        assert_eq!(verdict(&[Ok(verified()), cancelled(), Ok(verified())]), (1, Some(Exit::Cancelled)));
        assert_eq!(verdict(&[Err(unreadable()), cancelled(), Ok(verified())]), (1, Some(Exit::Vault)));
    }
}
