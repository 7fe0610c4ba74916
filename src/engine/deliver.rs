//! Bringing a snapshot's bytes onto a node: opened, checked against both hashes while they pass, and taken by the driver's sink.

use std::io::{self, Read};

use serde_json::{Value, json};

use super::board::Board;
use super::capture::vault_failure;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::plan::Step;
use crate::services::{self, Cx};
use crate::transport::Cancel;
use crate::vault::{Keys, Snapshot, Vault};

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
        for file in &self.snapshot.manifest().files {
            let clear = self.vault.open_file(self.snapshot, file, self.keys).map_err(|e| vault_failure(&e))?;
            let mut counted = Counted { inner: clear, board, cancel: cx.cancel };
            sink.put(file, &mut counted)?;
            // The end is where the hashes are compared: a sink that stopped early has not taken the file.
            let mut rest = [0; 1];
            let more = counted.read(&mut rest).map_err(|error| {
                Failure::new(
                    Exit::Integrity,
                    format!("{} of {} is not what was stored: {error}", file.name, self.snapshot.id()),
                )
            })?;
            if more > 0 {
                return Err(Failure::new(Exit::Failed, format!("{} was not taken whole on {}.", file.name, cx.host)));
            }
            board.file_done();
        }
        let learned = sink.finish()?;
        Ok(json!({"snapshot": self.snapshot.id(), "learned": learned}))
    }
}

struct Counted<'c, R> {
    inner: R,
    board: &'c Board,
    cancel: &'c Cancel,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        let count = self.inner.read(buffer)?;
        self.board.moved(count as u64);
        Ok(count)
    }
}
