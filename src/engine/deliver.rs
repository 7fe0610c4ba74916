//! Bringing a snapshot's bytes onto a node: opened, checked against both hashes while they pass, and taken by the driver's sink.

use std::io::{self, Read};

use serde_json::{Value, json};

use super::board::Board;
use super::capture::vault_failure;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::StoredFile;
use crate::model::plan::{Effect, Step};
use crate::services::{self, Cx};
use crate::transport::Cancel;
use crate::vault::{Keys, Snapshot, Vault, VaultError};

/// What a delivery reads from.
pub struct Delivery<'e> {
    /// The vault.
    pub vault: &'e Vault,
    /// The snapshot.
    pub snapshot: &'e Snapshot,
    /// The private keys at hand.
    pub keys: &'e Keys,
}

impl Delivery<'_> {
    /// Delivers every file in the manifest's order.
    ///
    /// # Errors
    /// What was delivered lies where nothing reads it; the step's undo removes it.
    pub fn run(&self, cx: &Cx, step: &Step, board: &Board) -> Result<Value> {
        let kind = step.args["kind"].as_str().unwrap_or_default();
        let driver = services::driver(kind)?;
        let mut sink = driver.sink(cx, &step.args["sink"])?;
        board.expect(self.snapshot.plain_size());
        for (number, file) in self.snapshot.manifest().files.iter().enumerate() {
            let opened = self.vault.open_file(self.snapshot, file, self.keys).map_err(|e| vault_failure(&e));
            // What replaces a service's state in one request has done nothing before its first bytes. Other sinks may
            // have made room beside the target by now, which their undo removes.
            let is_untouched = number == 0 && step.effect == Effect::Destroy;
            let clear = opened.map_err(|failure| if is_untouched { failure.untouched() } else { failure })?;
            let mut counted = Counted { inner: clear, board, cancel: cx.cancel, is_cancelled: false };
            let taken = sink.put(file, &mut counted).and_then(|()| self.check_end(cx, file, &mut counted));
            taken.map_err(|failure| if counted.is_cancelled { cancelled(failure, file) } else { failure })?;
            board.file_done();
        }
        let learned = sink.finish()?;
        Ok(json!({"snapshot": self.snapshot.id(), "learned": learned}))
    }

    /// The end is where the hashes are compared: a sink that stopped early has not taken the file.
    fn check_end(&self, cx: &Cx, file: &StoredFile, counted: &mut impl Read) -> Result<()> {
        match counted.read(&mut [0; 1]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Failure::new(Exit::Failed, format!("{} was not taken whole on {}.", file.name, cx.host))),
            Err(error) => {
                let error = VaultError::from_io(&self.snapshot.dir().join(&file.stored_name), "read", error);
                let mut failure = vault_failure(&error);
                if failure.exit == Exit::Integrity {
                    let (name, id) = (&file.name, self.snapshot.id());
                    failure.message = format!("{name} of {id} is not what was stored: {}", failure.message);
                }
                Err(failure)
            }
        }
    }
}

/// A sink cannot tell a body that the operator broke off from one that is damaged.
fn cancelled(failure: Failure, file: &StoredFile) -> Failure {
    Failure { exit: Exit::Cancelled, message: format!("Cancelled while {} was brought.", file.name), ..failure }
}

struct Counted<'c, R> {
    inner: R,
    board: &'c Board,
    cancel: &'c Cancel,
    /// Whether reading ended because the operator wished to stop.
    is_cancelled: bool,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(error) = self.cancel.check() {
            self.is_cancelled = true;
            return Err(io::Error::other(error));
        }
        let count = self.inner.read(buffer)?;
        self.board.moved(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_was_broken_off_is_cancelled_and_not_damaged() {
        let (board, cancel) = (Board::default(), Cancel::new());
        let mut counted = Counted { inner: &b"abc"[..], board: &board, cancel: &cancel, is_cancelled: false };
        let mut one = [0; 1];
        assert!(counted.read(&mut one).is_ok() && !counted.is_cancelled);
        cancel.cancel();
        assert!(counted.read(&mut one).is_err() && counted.is_cancelled);
    }
}
