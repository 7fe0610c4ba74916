//! What is done with a run that is there already: undo it, take it up, leave it.

use super::checks::{check, failed};
use super::errand::{Consent, Errand, Field, Needs, Word};
use super::undoing;
use crate::engine::canonical::plan_hash;
use crate::engine::phrases::title;
use crate::engine::planner::Planned;
use crate::engine::runs::{Resume, Told, plan_back};
use crate::model::ids::HostId;
use crate::model::plan::Plan;
use crate::tui::message::{Shown, TakenUp, Wish};
use crate::tui::model::{Job, Model, Place, Stage};
use crate::tui::screen::Screen;
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};

use super::preview::shell_row;

/// Undoes a finished run from what it kept aside.
pub fn roll_back(told: Told) -> Box<dyn Screen> {
    let wish = Wish::RollBack(told.run.clone());
    Box::new(super::Wizard::new(Box::new(TakeUp { told, wish, is_adopting: false })))
}

/// Takes an interrupted run up; `on` names the node it is read from, `is_adopting` says that it is another console's.
pub fn resume(told: Told, how: Resume, on: Option<HostId>, is_adopting: bool) -> Box<dyn Screen> {
    // Going on with an undoing is to undo the rest.
    let how = if how == Resume::GoOn && told.undoes().is_some() { Resume::RollBack } else { how };
    // A plan that has no hash is one that never runs.
    let shown = |host| Shown { host, plan: plan_hash(&told.plan).unwrap_or_default() };
    let wish = Wish::Resume(told.run.clone(), how, on.map(shown));
    Box::new(super::Wizard::new(Box::new(TakeUp { told, wish, is_adopting })))
}

/// A run, and what is wished to become of it.
pub(super) struct TakeUp {
    pub(super) told: Told,
    pub(super) wish: Wish,
    is_adopting: bool,
}

impl TakeUp {
    /// The plan as it is carried out from here.
    pub(super) fn plan_ahead(&self) -> Plan {
        match self.wish {
            Wish::RollBack(_) => plan_back(&self.told, true),
            Wish::Resume(_, Resume::RollBack, _) => plan_back(&self.told, false),
            _ => self.told.plan.clone(),
        }
    }

    /// The plan by whose hash this is known: an undoing of a finished run is a run of its own.
    fn plan_shown(&self) -> Plan {
        if matches!(self.wish, Wish::RollBack(_)) { self.plan_ahead() } else { self.told.plan.clone() }
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
            Wish::Resume(_, Resume::GoOn, _) => format!("Take up run {}", self.told.run),
            Wish::Resume(_, Resume::Leave, _) => format!("Leave run {} as things are", self.told.run),
            _ => format!("Undo run {}", self.told.run),
        }
    }

    fn fields(&self, _model: &Model, _planned: &[&Planned]) -> Vec<Field> {
        Vec::new()
    }

    fn set(&mut self, _key: &str, _value: String, _model: &Model) {}

    fn wishes(&self, _model: &Model) -> Result<Vec<Wish>, String> {
        Ok(vec![self.wish.clone()])
    }

    fn needs(&self) -> Needs {
        Needs::Look
    }

    /// ```text
    ///  ● run          20261119T180000Z-aaaaaa: Restore … to spare-1
    ///  ● nodes        What the run put in place and kept aside is where it left it.
    ///  ▲ written      3 files, 12.0 KiB in /var/lib/x since, the last at 2026-11-20 02:41Z.
    ///  ▲ words        1 to be typed before the first change.
    /// ```
    fn checks(&self, _model: &Model, jobs: &[&Job]) -> Vec<Row> {
        let what = format!("{}: {}", self.told.run, title(&self.told.plan.command));
        let mut rows = vec![check(Sign::Ok, "run", what)];
        let Some(job) = jobs.first() else { return rows };
        match (&job.stage, &job.ahead) {
            (Stage::Failed(failure), _) => rows.extend(failed(failure)),
            (Stage::Planning, _) | (_, None) => {
                rows.push(check(Sign::Now, "asking", self.asked_for()));
            }
            (_, Some(ahead)) => {
                rows.push(check(Sign::Ok, "nodes", self.found()));
                rows.extend(ahead.places.iter().map(undoing::written));
                let asked = ahead.gates.len();
                if asked > 0 {
                    let text = format!("{asked} to be typed before the first change.");
                    rows.push(check(Sign::Warn, "words", text));
                }
            }
        }
        rows
    }

    fn preview(&self, model: &Model, jobs: &[&Job]) -> Vec<Row> {
        let job = jobs.first().copied();
        let mut rows = vec![Row::pair("run", format!("{}: {}", self.told.run, title(&self.told.plan.command)))];
        if self.is_adopting {
            let text = "It is another console's. From here on this one owns it, and the other is refused by the nodes.";
            rows.push(Row::pair("adopts", text).as_role(Role::StatusWarn));
        }
        let ahead = job.and_then(|job| job.ahead.as_deref());
        rows.extend(undoing::rows(self, ahead));
        let gates = ahead.into_iter().flat_map(|ahead| &ahead.gates);
        rows.extend(gates.map(|gate| {
            Row::pair("asked", format!("{} The word is '{}'.", gate.question, gate.word)).as_role(Role::StatusWarn)
        }));
        rows.extend(plan_hash(&self.plan_shown()).ok().map(|hash| Row::pair("plan", hash).as_role(Role::Muted)));
        rows.push(Row::gap());
        rows.push(shell_row());
        rows.push(Row::command(self.command(&model.place, &self.wish, job)));
        rows
    }

    /// The engine's gates word by word.
    fn consent(&self, jobs: &[&Job]) -> Consent {
        let gates = jobs.first().and_then(|job| job.ahead.as_ref()).into_iter().flat_map(|ahead| &ahead.gates);
        let words: Vec<Word> = gates
            .map(|gate| Word {
                answers: vec![(0, gate.id.to_string())],
                question: gate.question.to_string(),
                word: gate.word.clone(),
            })
            .collect();
        if !words.is_empty() {
            return Consent::Words(words);
        }
        Consent::Start(match self.wish {
            Wish::Resume(_, Resume::GoOn, _) => "The run goes on from where it was interrupted.".to_owned(),
            Wish::Resume(_, Resume::Leave, _) => "The run will never be finished or undone by Lifeboat.".to_owned(),
            _ => "What the run changed is undone, newest step first; what is held for it is given back.".to_owned(),
        })
    }

    fn taken_up(&self) -> Option<TakenUp> {
        Some(TakenUp { plan: self.plan_ahead(), events: self.told.events.clone() })
    }

    fn command(&self, place: &Place, wish: &Wish, job: Option<&Job>) -> String {
        let line = super::command::command_line(place, wish, job);
        let says_so = line.contains(" --adopt");
        if self.is_adopting && !says_so { format!("{line} --adopt") } else { line }
    }
}

impl TakeUp {
    fn asked_for(&self) -> &'static str {
        match self.wish {
            Wish::RollBack(_) => {
                "Is what the run kept still there, was anything written since, and does what would start run elsewhere?"
            }
            Wish::Resume(_, Resume::Leave, _) => "The run is read once more.",
            _ => "The nodes are asked whether the run can be taken up, and whether what would start runs elsewhere.",
        }
    }

    fn found(&self) -> &'static str {
        match self.wish {
            Wish::RollBack(_) => "What the run put in place and kept aside is where it left it.",
            Wish::Resume(_, Resume::Leave, _) => "The run can be left.",
            _ => "The run can be taken up; nothing it would start runs elsewhere as far as anybody answered.",
        }
    }
}
