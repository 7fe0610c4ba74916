//! What is done with a run that is there already: undo it, take it up, leave it, remove what it kept.

use super::errand::{Consent, Errand, Field, Word};
use crate::engine::node_run::Kept;
use crate::engine::phrases::{title, undo_of};
use crate::engine::planner::Planned;
use crate::engine::runs::{Resume, Told};
use crate::model::ids::{HostId, RunId};
use crate::model::plan::{Effect, Plan};
use crate::tui::message::Wish;
use crate::tui::model::{Job, Model, Place};
use crate::tui::screen::Screen;
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};

use super::live::{StepStage, steps_of};
use super::preview::{effect_look, shell_row};

/// Undoes a finished run from what it kept aside.
pub fn roll_back(run: RunId, plan: Plan) -> Box<dyn Screen> {
    let wish = Wish::RollBack(run.clone());
    Box::new(super::Wizard::new(Box::new(TakeUp { run, plan, wish, events: Vec::new(), is_adopting: false })))
}

/// Takes an interrupted run up; `on` names the node it is read from, `is_adopting` says that it is another console's.
pub fn resume(told: Told, how: Resume, on: Option<HostId>, is_adopting: bool) -> Box<dyn Screen> {
    let wish = Wish::Resume(told.run.clone(), how, on);
    let errand = TakeUp { run: told.run, plan: told.plan, wish, events: told.events, is_adopting };
    Box::new(super::Wizard::new(Box::new(errand)))
}

/// Leaves an interrupted run as things are now.
pub fn leave(told: Told, on: Option<HostId>, is_adopting: bool) -> Box<dyn Screen> {
    resume(told, Resume::Leave, on, is_adopting)
}

/// Removes what restores kept aside on a host.
pub fn purge(host: HostId, kept: Vec<Kept>) -> Box<dyn Screen> {
    Box::new(super::Wizard::new(Box::new(Purge { host, kept })))
}

struct TakeUp {
    run: RunId,
    plan: Plan,
    wish: Wish,
    events: Vec<crate::model::event::Event>,
    is_adopting: bool,
}

impl TakeUp {
    fn undoes(&self) -> bool {
        matches!(self.wish, Wish::RollBack(_) | Wish::Resume(_, Resume::RollBack, _))
    }

    fn hosts(&self) -> Vec<&HostId> {
        let mut hosts: Vec<&HostId> = Vec::new();
        for step in self.plan.steps.iter().filter(|step| step.effect != Effect::Read) {
            if !hosts.contains(&&step.host) {
                hosts.push(&step.host);
            }
        }
        hosts
    }
}

impl Errand for TakeUp {
    fn name(&self) -> &'static str {
        match self.wish {
            Wish::Resume(_, Resume::GoOn, _) => "resume",
            Wish::Resume(_, Resume::Leave, _) => "leave",
            _ => "undo",
        }
    }

    fn title(&self, _model: &Model) -> String {
        match self.wish {
            Wish::Resume(_, Resume::GoOn, _) => format!("Take up run {}", self.run),
            Wish::Resume(_, Resume::Leave, _) => format!("Leave run {} as things are", self.run),
            _ => format!("Undo run {}", self.run),
        }
    }

    fn fields(&self, _model: &Model, _planned: &[&Planned]) -> Vec<Field> {
        Vec::new()
    }

    fn set(&mut self, _key: &str, _value: String, _model: &Model) {}

    fn wishes(&self, _model: &Model) -> Result<Vec<Wish>, String> {
        Ok(vec![self.wish.clone()])
    }

    fn is_planned(&self) -> bool {
        false
    }

    fn checks(&self, _model: &Model, _jobs: &[&Job]) -> Vec<Row> {
        Vec::new()
    }

    fn preview(&self, model: &Model, _jobs: &[&Job]) -> Vec<Row> {
        let mut rows = vec![Row::pair("run", format!("{}: {}", self.run, title(&self.plan.command)))];
        let what = match self.wish {
            Wish::RollBack(_) => "What runs now is replaced by what the run kept aside, newest step first.",
            Wish::Resume(_, Resume::GoOn, _) => {
                "Each node is looked at again; what is done stays, what is left is done."
            }
            Wish::Resume(_, Resume::RollBack, _) => "What the run did so far is undone, newest step first.",
            _ => "Nothing is touched: locks, holds and guards are given back, and things stay as they are now.",
        };
        rows.push(Row::pair("what", what));
        if self.is_adopting {
            let text = "It is another console's. From here on this one owns it, and the other is refused by the nodes.";
            rows.push(Row::pair("adopts", text).as_role(Role::StatusWarn));
        }
        rows.push(Row::gap());
        let looks = steps_of(&self.events);
        let steps: Vec<_> = self.plan.steps.iter().enumerate().collect();
        let ordered: Vec<_> = if self.undoes() { steps.into_iter().rev().collect() } else { steps };
        for (number, step) in ordered {
            let stage = looks.get(&step.id).map_or(StepStage::Next, |look| look.stage);
            let text = match (self.undoes(), undo_of(step)) {
                (true, Some(undo)) => undo,
                (true, None) => continue,
                (false, _) => step.title.to_string(),
            };
            let (word, role) = effect_look(step.effect);
            let (word, role) = if self.undoes() { ("undo", Role::EffectQuiesce) } else { (word, role) };
            let sign = if stage == StepStage::Done { Sign::Done } else { Sign::Next };
            let row = Row::signed(sign, text).cell(format!("{:>2}", number + 1), 2, Role::Muted);
            rows.push(row.cell(step.host.to_string(), 12, Role::Text).cell(word, 8, role));
        }
        rows.push(Row::gap());
        rows.push(shell_row(model));
        rows.extend(Row::command(&self.command(&model.place, &self.wish, None)));
        rows
    }

    fn consent(&self, _jobs: &[&Job]) -> Consent {
        if !self.undoes() {
            return Consent::Start(match self.wish {
                Wish::Resume(_, Resume::Leave, _) => "The run will never be finished or undone by Lifeboat.".to_owned(),
                _ => "The run goes on from where it was interrupted.".to_owned(),
            });
        }
        let word = |host: &&HostId| Word {
            answers: Vec::new(),
            question: format!("What runs on {host} now is replaced by what was there before the run."),
            word: host.to_string(),
        };
        Consent::Words(self.hosts().iter().map(word).collect())
    }

    fn command(&self, place: &Place, wish: &Wish, planned: Option<&Planned>) -> String {
        let line = super::command::command_line(place, wish, planned);
        let says_so = line.contains(" --adopt");
        if self.is_adopting && !says_so { format!("{line} --adopt") } else { line }
    }
}

struct Purge {
    host: HostId,
    kept: Vec<Kept>,
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

    fn wishes(&self, _model: &Model) -> Result<Vec<Wish>, String> {
        Ok(vec![Wish::Purge(self.host.clone(), self.kept.clone())])
    }

    fn is_planned(&self) -> bool {
        false
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
        rows.push(Row::gap());
        rows.push(shell_row(model));
        if let Ok(wishes) = self.wishes(model) {
            rows.extend(wishes.iter().flat_map(|wish| Row::command(&self.command(&model.place, wish, None))));
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
