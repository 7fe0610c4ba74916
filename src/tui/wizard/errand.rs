//! An errand: what a wizard is sent for. The frame is one; each errand says what it asks, wishes, shows and needs typed.

use std::collections::BTreeMap;

use super::command::command_line;
use super::preview;
use crate::engine::planner::Planned;
use crate::model::plan::Effect;
use crate::tui::message::{TakenUp, Wish};
use crate::tui::model::{Job, Model, Place};
use crate::tui::widgets::sheet::Row;

/// What a wizard is sent for.
pub trait Errand: Send {
    /// A word or two for the breadcrumbs: "back up".
    fn name(&self) -> &'static str;
    /// The wizard's title.
    fn title(&self, model: &Model) -> String;
    /// What can be chosen; `planned` are the plans made so far, which bring the engine's own choices.
    fn fields(&self, model: &Model, planned: &[&Planned]) -> Vec<Field>;
    /// Takes a choice.
    fn set(&mut self, key: &str, value: String, model: &Model);
    /// What is wished for, a job each, or the sentence that says what is still to be chosen.
    fn wishes(&self, model: &Model) -> Result<Vec<Wish>, String>;
    /// What must be known before its preview.
    fn needs(&self) -> Needs {
        Needs::Plan
    }
    /// Whether it changes a node or the vault's copies: refused when the console is read-only.
    fn changes(&self) -> bool {
        true
    }
    /// What was found before anything is done, for jobs whose plan is made or could not be.
    fn checks(&self, model: &Model, jobs: &[&Job]) -> Vec<Row>;
    /// What will happen.
    fn preview(&self, model: &Model, jobs: &[&Job]) -> Vec<Row> {
        preview::rows(self, model, jobs)
    }
    /// What must be typed before the first change.
    fn consent(&self, jobs: &[&Job]) -> Consent {
        let plans: Vec<&Planned> = jobs.iter().filter_map(|job| job.planned.as_deref()).collect();
        consent_to(&plans)
    }
    /// The inventory was read again: what it knew of a host may be of another machine now.
    fn reloaded(&mut self) {}
    /// The run it takes up, when it is sent for one that was there before.
    fn taken_up(&self) -> Option<TakenUp> {
        None
    }
    /// The equal command line of a wish, with its job once there is one.
    fn command(&self, place: &Place, wish: &Wish, job: Option<&Job>) -> String {
        command_line(place, wish, job)
    }
}

/// What must be known before an errand's preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The engine's plan.
    Plan,
    /// How things stand with a run that has its plan already.
    Look,
    /// Nothing: it is done as it stands.
    Nothing,
}

/// One thing to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its key, given back to [`Errand::set`]. The engine's choices are `set:KEY`.
    pub key: String,
    /// What it is called.
    pub label: String,
    /// The value in force; empty when nothing is chosen yet.
    pub value: String,
    /// What that means, or the question.
    pub about: String,
    /// How it is chosen.
    pub kind: Kind,
}

/// How something is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Not at all: it is only shown.
    Fixed,
    /// Typed.
    Text,
    /// One of these values, each with what it means.
    OneOf(Vec<(String, String)>),
    /// In or out.
    Switch(bool),
}

impl Field {
    /// A field that is only shown.
    pub fn fixed(label: &str, value: impl Into<String>, about: impl Into<String>) -> Self {
        Self {
            key: label.to_owned(),
            label: label.to_owned(),
            value: value.into(),
            about: about.into(),
            kind: Kind::Fixed,
        }
    }

    /// A field with a list.
    pub fn one_of(key: &str, label: &str, value: String, values: Vec<(String, String)>) -> Self {
        let about = values.iter().find(|(name, _)| *name == value).map(|(_, about)| about.clone());
        let about = about.unwrap_or_else(|| format!("Enter opens the list of {} to choose from.", values.len()));
        Self { key: key.to_owned(), label: label.to_owned(), value, about, kind: Kind::OneOf(values) }
    }
}

/// What the operator must give before the first change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// Nothing: nothing that runs is touched.
    None,
    /// A choice between cancel and start, where something is stopped for a while.
    Start(String),
    /// Words, all of them.
    Words(Vec<Word>),
}

/// A word that must be typed exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The engine's gates it answers, by the plan's place in the list of jobs and the gate's name; none for the console's own.
    pub answers: Vec<(usize, String)>,
    /// What is asked, with its consequences.
    pub question: String,
    /// The word.
    pub word: String,
}

/// The engine's gates, word by word. A plan that replaces or stops for good and has no gate wants its host's name.
pub fn consent_to(plans: &[&Planned]) -> Consent {
    let mut words: Vec<Word> = Vec::new();
    for (at, planned) in plans.iter().enumerate() {
        for gate in &planned.plan.gates {
            let answers = vec![(at, gate.id.to_string())];
            words.push(Word { answers, question: gate.question.to_string(), word: gate.word.clone() });
        }
        let ends = |effect| matches!(effect, Effect::Destroy | Effect::Fence);
        let Some(step) = planned.plan.steps.iter().find(|step| ends(step.effect)) else { continue };
        if planned.plan.gates.is_empty() && !words.iter().any(|word| word.word == step.host.as_str()) {
            let question = format!("This replaces what is on {}: '{}'.", step.host, step.title);
            words.push(Word { answers: Vec::new(), question, word: step.host.to_string() });
        }
    }
    let stops = plans.iter().flat_map(|planned| &planned.plan.steps).find(|step| step.effect == Effect::Quiesce);
    match (words.is_empty(), stops) {
        (false, _) => Consent::Words(words),
        (true, Some(step)) => Consent::Start(format!("'{}' on {} interrupts the service.", step.title, step.host)),
        (true, None) => Consent::None,
    }
}

/// The answers of a list of typed words, for the plan at a place.
pub fn answers_for(words: &[Word], at: usize) -> BTreeMap<String, String> {
    let of_plan = |word: &Word| {
        let mine = word.answers.iter().filter(move |(plan, _)| *plan == at);
        mine.map(|(_, gate)| (gate.clone(), word.word.clone())).collect::<Vec<_>>()
    };
    words.iter().flat_map(of_plan).collect()
}

/// The engine's choices as fields. With several plans each key is asked once.
pub fn choice_fields(planned: &[&Planned], set: &BTreeMap<String, String>) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for planned in planned {
        for choice in &planned.choices {
            let key = format!("set:{}", choice.key);
            let in_plan = planned.plan.choices.iter().any(|chosen| chosen.key == choice.key);
            if !in_plan || fields.iter().any(|field| field.key == key) {
                continue;
            }
            fields.push(choice_field(choice, set));
        }
    }
    fields
}

/// One of the engine's choices as a field.
pub fn choice_field(choice: &crate::model::plan::Choice, set: &BTreeMap<String, String>) -> Field {
    let value = set.get(&choice.key).unwrap_or(&choice.default).clone();
    let about = choice.values.iter().find(|(name, _)| *name == value).map(|(_, about)| about);
    let kind = if choice.values.is_empty() { Kind::Text } else { Kind::OneOf(choice.values.clone()) };
    Field {
        key: format!("set:{}", choice.key),
        label: choice.key.clone(),
        about: about.unwrap_or(&choice.question).clone(),
        value,
        kind,
    }
}

/// Only those choices a job's own plan has: what another item of the batch asks is no choice here.
pub fn set_for(job: Option<&Job>, set: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let Some(planned) = job.and_then(|job| job.planned.as_ref()) else { return set.clone() };
    let known = |key: &String| planned.choices.iter().any(|choice| choice.key == *key);
    set.iter().filter(|(key, _)| known(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}
