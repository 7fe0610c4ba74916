//! When a wizard's plans are made, and made anew.

use std::sync::Arc;

use super::errand::Needs;
use super::{Stop, Wizard, errand};
use crate::model::exit::Exit;
use crate::tui::message::{Effect, Order, Wish};
use crate::tui::model::{Job, JobId, Model, Stage};
use crate::tui::quiet::Quiet;
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};

impl Wizard {
    /// Orders the plans anew; while some are being made, remembers that they must be made again.
    pub(super) fn plan(&mut self, model: &Model) -> Vec<Effect> {
        if self.errand.needs() == Needs::Nothing {
            return Vec::new();
        }
        let Ok(wishes) = self.errand.wishes(model) else {
            self.jobs.clear();
            return Vec::new();
        };
        let jobs = self.my_jobs(model);
        let is_same = jobs.len() == wishes.len() && self.jobs.len() == wishes.len();
        if is_same && jobs.iter().any(|job| matches!(job.stage, Stage::Planning)) {
            self.again = true;
            return Vec::new();
        }
        let is_free = |job: &&Job| job.started.is_none() && matches!(job.stage, Stage::Ready | Stage::Failed(_));
        if !is_same || !jobs.iter().all(is_free) {
            let first = model.next_job().0;
            self.jobs = (first..).take(wishes.len()).map(JobId).collect();
        }
        self.again = false;
        let taken_up = self.errand.taken_up().map(Arc::new);
        let order = |(job, wish): (&JobId, Wish)| match &taken_up {
            Some(taken_up) => Order::LookAhead(*job, wish, taken_up.clone()),
            None => Order::Plan(*job, wish),
        };
        self.jobs.iter().zip(wishes).map(order).map(Effect::Order).collect()
    }

    /// Whether every plan is made and none must be made again.
    pub(super) fn is_ready(&self, model: &Model) -> bool {
        let jobs = self.my_jobs(model);
        self.errand.needs() == Needs::Nothing
            || (!self.again && !jobs.is_empty() && jobs.iter().all(|job| matches!(job.stage, Stage::Ready)))
    }

    /// Whether the jobs are those that would be wished for now.
    pub(super) fn is_as_wished(&self, model: &Model) -> bool {
        let wished = self.errand.wishes(model).unwrap_or_default();
        let jobs = self.my_jobs(model);
        jobs.len() == wished.len() && jobs.iter().zip(&wished).all(|(job, wish)| job.wish == *wish)
    }

    /// What follows from the state of the jobs: plans to make again, stale ones to show anew.
    pub(super) fn follow(&mut self, model: &Model) -> Vec<Effect> {
        if !self.has_begun {
            self.has_begun = true;
            let path = self.path(model);
            self.at = path.first().copied().unwrap_or(Stop::Preview);
            let fields = self.fields(model);
            let missing = fields.iter().position(|field| field.value.is_empty() && field.kind != errand::Kind::Text);
            self.choose.select(missing.unwrap_or(fields.len()), &fields);
            self.quiet = Quiet::from(model.now);
            return self.plan(model);
        }
        if self.again && !self.my_jobs(model).iter().any(|job| matches!(job.stage, Stage::Planning)) {
            return self.plan(model);
        }
        let jobs = self.my_jobs(model);
        let ended = |exit: Exit| {
            let is_it = |job: &&Job| matches!(&job.stage, Stage::Failed(failure) if failure.exit == exit);
            self.at == Stop::Live && !jobs.is_empty() && jobs.iter().all(is_it)
        };
        if self.errand.needs() == Needs::Plan && ended(Exit::Stale) {
            self.before = jobs.iter().filter_map(|job| job.planned.clone()).collect();
            // A job that was begun is told by its own number; the new plans are new jobs.
            self.back_to_preview("Nothing was changed: the plan was stale. Look at the new one.", model.now);
            return self.plan(model);
        }
        if self.errand.needs() == Needs::Look && ended(Exit::Confirmation) {
            // Something became a question after the look, as a host that does not answer any more.
            self.back_to_preview("Nothing was changed: there is something new to be confirmed.", model.now);
            return self.plan(model);
        }
        let is_told = self.errand.needs() == Needs::Nothing || !self.before.is_empty();
        if self.at == Stop::Preview && !self.is_ready(model) && !is_told {
            // Something chosen elsewhere took the plan away.
            self.go(Stop::Checks, model.now);
        }
        Vec::new()
    }

    /// What the plan rests on now, where that is not what the stale one rested on.
    pub(super) fn changes(&self, model: &Model) -> Vec<Row> {
        let now = self.planned(model);
        let mut rows = Vec::new();
        for (old, new) in self.before.iter().zip(&now) {
            let keys: std::collections::BTreeSet<&String> =
                old.plan.basis.keys().chain(new.plan.basis.keys()).collect();
            for key in keys {
                let (was, is) = (old.plan.basis.get(key), new.plan.basis.get(key));
                if was != is {
                    let show =
                        |value: Option<&serde_json::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
                    let text = format!("was {}, is {}", show(was), show(is));
                    rows.push(Row::signed(Sign::Warn, text).cell(key.clone(), 16, Role::Text));
                }
            }
            if rows.is_empty() && old.hash != new.hash {
                rows.push(Row::signed(Sign::Warn, "The plan itself is another one now."));
            }
        }
        if !rows.is_empty() {
            rows.insert(0, Row::heading("What changed since"));
            rows.push(Row::gap());
        }
        rows
    }
}
