//! What restores kept aside on a host is removed for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::valued;
use super::errand::{Consent, Errand, Field, Needs, Word};
use super::preview::shell_row;
use crate::engine::node_run::{Kept, purge_kept};
use crate::engine::planner::Planned;
use crate::engine::runs::Report;
use crate::engine::scan::Prober;
use crate::model::exit::{Failure, Result};
use crate::model::ids::HostId;
use crate::tui::deed::{Bench, Deed};
use crate::tui::message::Wish;
use crate::tui::model::{Job, Model};
use crate::tui::screen::Screen;
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};

/// How things stand once a removal did not come through: it goes path by path.
pub const STANDS: &str = "What was removed by then stays removed; the rest lies there still.";

/// Removes what restores kept aside on a host.
pub fn purge(host: HostId, kept: Vec<Kept>) -> Box<dyn Screen> {
    super::page(Purge { host, kept, is_old: false })
}

/// Removing what runs kept aside on a host, as a deed.
#[derive(Debug)]
pub struct Purging {
    hosts: [HostId; 1],
    kept: Vec<Kept>,
}

impl Purging {
    /// As it is wished for.
    pub fn wish(host: HostId, kept: Vec<Kept>) -> Wish {
        Wish::Deed(Arc::new(Self { hosts: [host], kept }))
    }

    fn host(&self) -> &HostId {
        let [host] = &self.hosts;
        host
    }
}

impl Deed for Purging {
    fn title(&self) -> String {
        format!("Remove what is kept on {}", self.host())
    }

    fn words(&self) -> Vec<String> {
        let host = self.host();
        let words = ["kept".to_owned(), host.to_string(), "--purge".to_owned()];
        words.into_iter().chain(valued("--confirm", &format!("purge-{host}={host}"))).collect()
    }

    fn carry_out(&self, at: &Bench, _: Option<&Planned>, _: &BTreeMap<String, String>) -> Result<Option<Report>> {
        let links = at.desk.links();
        let purge = |cx: &crate::services::Cx| purge_kept(cx, &self.kept);
        let purged = Prober { cancel: at.cancel.clone(), ..at.desk.prober(&links) }.on(self.host(), purge);
        let told = |failure: Failure| {
            let state = failure.state.clone().unwrap_or_else(|| STANDS.to_owned());
            failure.state(state).hint(format!("See what is still kept there: lifeboat kept {}", self.host()))
        };
        purged.map(|()| None).map_err(told)
    }

    fn stopping(&self) -> &'static str {
        "Stopping: what is removed by now stays removed."
    }

    fn proof(&self, _: Option<&Report>) -> Vec<Row> {
        vec![Row::signed(Sign::Done, format!("What was kept aside on {} is removed.", self.host()))]
    }

    fn hosts(&self) -> &[HostId] {
        &self.hosts
    }
}

/// The errand that asks for it.
struct Purge {
    host: HostId,
    kept: Vec<Kept>,
    /// Whether the inventory was read again since the host was asked.
    is_old: bool,
}

impl Errand for Purge {
    fn name(&self) -> &'static str {
        "purge"
    }

    fn title(&self, _model: &Model) -> String {
        format!("Remove what is kept on {}", self.host)
    }

    fn fields(&self, _model: &Model, _planned: &[&Planned]) -> Vec<Field> {
        Vec::new()
    }

    fn set(&mut self, _key: &str, _value: String, _model: &Model) {}

    fn wishes(&self, _model: &Model) -> std::result::Result<Vec<Wish>, String> {
        if self.is_old {
            return Err("The inventory was read again: ask the node anew.".to_owned());
        }
        Ok(vec![Purging::wish(self.host.clone(), self.kept.clone())])
    }

    fn reloaded(&mut self) {
        self.is_old = true;
    }

    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn checks(&self, _model: &Model, _jobs: &[&Job]) -> Vec<Row> {
        Vec::new()
    }

    fn preview(&self, model: &Model, _jobs: &[&Job]) -> Vec<Row> {
        let mut rows = vec![
            Row::pair("what", format!("What restores kept aside on {} is removed for good.", self.host)),
            Row::pair("undo", "none: these runs can no longer be undone").as_role(Role::StatusWarn),
            Row::gap(),
        ];
        for kept in &self.kept {
            rows.push(Row::heading(format!("run {}", kept.run)));
            rows.extend(kept.paths.iter().map(|path| Row::signed(Sign::Next, path.clone())));
        }
        if let Ok(wishes) = self.wishes(model) {
            rows.push(Row::gap());
            rows.push(shell_row());
            rows.extend(wishes.iter().map(|wish| Row::command(self.command(&model.place, wish, None))));
        }
        rows
    }

    fn consent(&self, _jobs: &[&Job]) -> Consent {
        Consent::Words(vec![Word {
            answers: Vec::new(),
            question: format!(
                "A rollback needs what is kept on {}. Once it is removed nothing brings it back.",
                self.host
            ),
            word: self.host.to_string(),
        }])
    }
}
