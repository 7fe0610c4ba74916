//! How jobs ended that the console has not heard of: whoever leaves while they are undone is told at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::model::exit::Failure;
use crate::tui::model::JobId;

/// A job that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What it was.
    pub title: String,
    /// Why it did not do it; none when it did.
    pub failure: Option<Failure>,
}

/// The ends that nobody took in yet.
#[derive(Default)]
pub struct Unheard(Mutex<BTreeMap<JobId, Ended>>);

impl Unheard {
    /// Notes an end, before it is reported.
    pub fn note(&self, job: JobId, ended: Ended) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job, ended);
    }

    /// The console has taken the report in.
    pub fn hear(&self, job: JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    /// What is left, in the order of the jobs.
    pub fn take(&self) -> Vec<Ended> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect()
    }
}
