//! Runs that are taken up: read as they were shown, and looked at before anybody is asked.

use std::sync::Arc;

use super::{Crew, Place};
use crate::engine::canonical::plan_hash;
use crate::engine::runs::{Ahead, Runs, Told};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::RunId;
use crate::tui::message::{Shown, Wish};

/// Reads a run: what was read and consented to is taken up, and nothing that its node holds since then.
pub fn read_as_shown(runs: &Runs, run: &RunId, on: Option<&Shown>) -> Result<Told> {
    let Some(shown) = on else { return runs.read(run) };
    let told = runs.read_from(&shown.host, run)?;
    if plan_hash(&told.plan)? == shown.plan {
        return Ok(told);
    }
    let message = format!("{} has another plan for run {run} now than was shown.", shown.host);
    Err(Failure::new(Exit::Stale, message).hint("Read the run there again."))
}

impl Crew {
    /// How things stand with the run that a wish takes up.
    pub(super) fn look_ahead(&self, wish: &Wish, place: &Place) -> Result<Ahead> {
        let store = place.store(self)?;
        let links = place.desk.links();
        let runs = place.desk.runs(&store, &links, Arc::default(), place.asks.clone());
        match wish {
            Wish::RollBack(run) => runs.look_before_rollback(&runs.read(run)?),
            Wish::Resume(run, how, on) => runs.look_before_resume(&read_as_shown(&runs, run, on.as_ref())?, *how),
            Wish::BackUp { .. } | Wish::Restore { .. } | Wish::Verify(_) | Wish::VerifyVault(_) | Wish::Deed(_) => {
                Err(Failure::new(Exit::Usage, "This takes no run up."))
            }
        }
    }
}
