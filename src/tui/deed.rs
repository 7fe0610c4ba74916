//! A deed: what a command of the engine is to the console, in one place.
//!
//! What its pages ask and show is its [`Errand`](super::wizard::errand::Errand)'s. Together they are all that a command
//! which the engine gains needs here, besides its row in the table of actions.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::screen::Screen;
use super::widgets::sheet::Row;
use crate::engine::board::Board;
use crate::engine::desk::{Desk, Store};
use crate::engine::planner::Planned;
use crate::engine::runs::Report;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::transport::Cancel;

/// What a deed is done with.
pub struct Bench<'b> {
    /// The inventory, and the ways to its hosts.
    pub desk: &'b Desk,
    /// Opens the inventory's vault, or gives what was opened before.
    pub(super) vault: &'b dyn Fn() -> Result<Arc<Store>>,
    /// Where it shows how far it is.
    pub board: Arc<Board>,
    /// The operator's wish to stop.
    pub cancel: Cancel,
}

impl Bench<'_> {
    /// The vault.
    ///
    /// # Errors
    /// What opening it says.
    pub fn store(&self) -> Result<Arc<Store>> {
        (self.vault)()
    }
}

/// Something an operator wants done.
pub trait Deed: Debug + Send + Sync {
    /// As a title: "Remove what is kept on val-1".
    fn title(&self) -> String;

    /// The words of the equal command line, after the program and the flags that name inventory and vault. Gates that a
    /// plan asks, and its hash, are added by whoever shows them.
    fn words(&self) -> Vec<String>;

    /// Makes its plan. Nothing is changed anywhere.
    ///
    /// # Errors
    /// [`Exit::Usage`] unless it has one; what the engine says.
    fn plan(&self, _at: &Bench) -> Result<Planned> {
        Err(Failure::new(Exit::Usage, "This has no plan of its own."))
    }

    /// Carries it out, by the plan that was shown where it has one; `answered` is what was stated, by gate.
    ///
    /// # Errors
    /// What the engine says.
    fn carry_out(
        &self,
        at: &Bench,
        planned: Option<&Planned>,
        answered: &BTreeMap<String, String>,
    ) -> Result<Option<Report>>;

    /// Said while it stops in the middle.
    fn stopping(&self) -> &'static str {
        "Stopping: what was done is being undone, newest first."
    }

    /// What came of it, the first rows of its receipt.
    fn proof(&self, report: Option<&Report>) -> Vec<Row>;

    /// The hosts it may change although no plan names them.
    fn hosts(&self) -> &[HostId] {
        &[]
    }

    /// The wizard that does it once more; nothing where that makes no sense.
    fn again(&self) -> Option<Box<dyn Screen>> {
        None
    }
}

/// Two are the same when they are called the same and a shell would be told the same.
impl PartialEq for dyn Deed {
    fn eq(&self, other: &Self) -> bool {
        self.title() == other.title() && self.words() == other.words()
    }
}
