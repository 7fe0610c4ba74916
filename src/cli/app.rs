//! One call of the program: its flags, its streams, and the desk everything works at.

use std::sync::atomic::{AtomicBool, Ordering};

use super::args::Global;
use super::output::Out;
use crate::config::paths::Paths;
use crate::config::prompt::{Prompter, TtyPrompter};
use crate::engine::board::Board;
use crate::engine::desk::{Desk, Opening, Store};
use crate::engine::links::Links;
use crate::engine::runs::Runs;
use crate::model::exit::{Exit, Failure, Result};
use crate::transport::Cancel;

/// One call of the program.
pub struct App {
    /// The flags every command takes.
    pub global: Global,
    /// The streams.
    pub out: Out,
    /// Inventory, secrets, logins.
    pub desk: Desk,
    begun: AtomicBool,
}

impl App {
    /// Reads the inventory and gets ready; nothing is connected.
    pub fn open(global: Global, out: Out, cancel: Cancel, paths: Paths) -> Result<Self> {
        let prompter = (!global.no_input).then(|| Box::new(TtyPrompter::default()) as Box<dyn Prompter>);
        let desk = Desk::open(&opening(&global, &cancel, paths), prompter)?;
        for warning in &desk.warnings {
            out.aside(format!("warning: {warning}"));
        }
        Ok(Self { global, out, desk, begun: AtomicBool::new(false) })
    }

    /// A run begins: from here on it is the engine that knows how things stand.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    /// Whether a run was begun in this call.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Opens the vault, saying what it warns of.
    pub fn store(&self) -> Result<Store> {
        let store = self.desk.store()?;
        for warning in &store.warnings {
            self.out.aside(format!("warning: {warning}"));
        }
        Ok(store)
    }

    /// What runs are made with, for one run.
    pub fn runs<'a>(&'a self, store: &'a Store, links: &'a Links<'a>) -> Runs<'a> {
        self.desk.runs(store, links, std::sync::Arc::new(Board::default()), self.desk.cancel.clone())
    }

    /// Refuses what changes something when the call is read-only.
    pub fn may_change(&self) -> Result<()> {
        may_change(&self.global)
    }
}

/// What the flags say of the sitting, for either face.
pub fn opening(global: &Global, cancel: &Cancel, paths: Paths) -> Opening {
    Opening {
        paths,
        inventory: global.inventory.clone(),
        vault: global.vault.clone(),
        read_only: global.read_only,
        plain: global.plain,
        ascii: global.ascii,
        cancel: cancel.clone(),
        practice: None,
    }
}

/// Refuses what changes something when the call is read-only.
pub fn may_change(global: &Global) -> Result<()> {
    if global.read_only {
        return Err(Failure::new(Exit::Usage, "This changes something, and --read-only was given."));
    }
    Ok(())
}
