//! Previews, gates and the live run: shared by everything that changes something.

use std::collections::BTreeMap;

use serde_json::json;

use super::app::App;
use super::args::{Planning, pairs};
use super::progress::{Watched, follow_all};
use super::question::{ask, can_ask};
use crate::engine::board::Board;
use crate::engine::phrases::{effect_phrase, guard_phrase, title, undo_of};
use crate::engine::planner::{Planned, open_gates};
use crate::engine::runs::{Line, Sheet, StepStage};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::plan::{Chosen, Gate, Plan};
use crate::model::text::CleanText;
use crate::services::Whereabouts;

/// Prints a plan: what, where, what stops, how it is undone, what is asked, the hash.
pub fn render_plan(app: &App, planned: &Planned) {
    let Planned { plan, hash, choices, expects, .. } = planned;
    app.out.document("plan", &json!({"plan": plan, "hash": hash, "choices": choices, "expects": expects}));
    render_steps(app, plan);
    for sighting in &planned.sightings {
        if let Whereabouts::Unreachable(why) = &sighting.state
            && !plan.gates.iter().any(|gate| gate.id.as_str() == format!("fenced-{}", sighting.host))
        {
            let why = why.one_line();
            app.out.line(format!(
                "  not asked: {}; nothing is known of this identity on {}",
                why.as_str().trim_end_matches('.'),
                sighting.host
            ));
        }
    }
    app.out.lines(plan.choices.iter().map(choice_line));
    for expected in expects {
        app.out.line(format!("  expect: {expected}"));
    }
    for left in &plan.leaves {
        app.out.line(format!("  afterwards: {left}"));
    }
    render_gates(app, &plan.gates);
    app.out.line(format!("  plan {hash}"));
}

/// A choice with the value in force.
pub fn choice_line(choice: &Chosen) -> String {
    let whose = if choice.by_default { " (default)" } else { "" };
    format!("  choice {}={}{whose}", choice.key, choice.value)
}

/// What becomes of a run that is undone or taken up, as the engine tells it to both faces.
pub fn render_sheet(app: &App, title: &str, sheet: &Sheet) {
    let line = |line: &Line| format!("  {:<11} {}", line.label, line.text);
    app.out.line(title);
    app.out.lines(sheet.lines.iter().map(line));
    for step in &sheet.steps {
        let stage = stage_word(step.stage);
        let stage = if sheet.tells_stages { format!("  ({stage})") } else { String::new() };
        for (at, told) in step.told.iter().enumerate() {
            let (number, host) =
                if at == 0 { (format!("{}.", step.number), step.host.as_str()) } else { (String::new(), "") };
            app.out.line(format!("  {number:>3} {host:<10} {told}{stage}"));
        }
    }
    app.out.lines(sheet.after.iter().map(line));
}

fn stage_word(stage: StepStage) -> &'static str {
    match stage {
        StepStage::Next => "to do",
        StepStage::Now => "begun",
        StepStage::Done => "done",
        StepStage::Already => "nothing to do",
        StepStage::Failed => "failed",
        StepStage::Undone => "undone",
        StepStage::NotUndone => "not undone",
    }
}

/// The gates of a preview, each with the flag that answers it.
pub fn render_gates(app: &App, gates: &[Gate]) {
    for gate in gates {
        app.out.line(format!("  gate {}: {}", gate.id, gate.question));
        app.out.line(format!("       answer with --confirm {}={}", gate.id, gate.word));
    }
}

/// What is done, where, how each step is undone, and what the nodes do by themselves.
pub fn render_steps(app: &App, plan: &Plan) {
    app.out.line(title(&plan.command));
    for (number, step) in plan.steps.iter().enumerate() {
        let effect = Some(effect_phrase(step.effect)).filter(|effect| !effect.is_empty());
        let effect = effect.map_or(String::new(), |effect| format!("  ({effect})"));
        app.out.line(format!("  {:>2}. {:<10} {}{effect}", number + 1, step.host.as_str(), step.title));
        if let Some(undo) = undo_of(step) {
            app.out.line(format!("      {:<10} undo: {}", "", CleanText::new(&undo).one_line()));
        }
    }
    for guard in &plan.guards {
        app.out.line(format!("  {}", guard_phrase(plan, guard)));
    }
}

/// Words by gate, of the command line and typed.
pub type Answers = BTreeMap<String, String>;

/// Makes sure every gate of every plan is answered before the first change, asking where a person is there. Gives the
/// answers of each plan, typed ones too: they stand in its receipt.
///
/// # Errors
/// [`Exit::Confirmation`] naming every open gate; [`Exit::Stale`] when the hash is not the one given.
pub fn answer_gates(app: &App, all: &[&Planned], planning: &Planning) -> Result<Vec<Answers>> {
    match all {
        [one] => check_hash(&one.hash, planning.plan_hash.as_deref())?,
        several if planning.plan_hash.is_some() => {
            let message = format!("--plan-hash names one plan, and {} were made.", several.len());
            return Err(Failure::new(Exit::Usage, message).hint("Name one item: host/service/item."));
        }
        _ => {}
    }
    let about = |planned: &Planned| {
        if all.len() > 1 { format!("{}: ", planned.plan.command.place()) } else { String::new() }
    };
    let asked: Vec<(String, &[Gate])> =
        all.iter().map(|planned| (about(planned), planned.plan.gates.as_slice())).collect();
    answer_all(app, &asked, &pairs(&planning.confirm))
}

/// Makes sure that the plan which was made is the one that was read.
///
/// # Errors
/// [`Exit::Stale`] when its hash is not the one given.
pub fn check_hash(hash: &str, wanted: Option<&str>) -> Result<()> {
    match wanted {
        Some(wanted) if wanted != hash => {
            Err(Failure::new(Exit::Stale, format!("The plan is now {hash}, not {wanted}."))
                .hint("Look at the new plan with --plan, then run that one."))
        }
        _ => Ok(()),
    }
}

/// Answers the gates of several things at once, each with what is said before its questions.
///
/// # Errors
/// [`Exit::Confirmation`] naming every open gate.
pub fn answer_all(app: &App, asked: &[(String, &[Gate])], given: &Answers) -> Result<Vec<Answers>> {
    let mut answers = Vec::new();
    let mut unanswered = Vec::new();
    for (about, gates) in asked {
        let mut said = given.clone();
        for gate in open_gates(gates, given) {
            let is_open = !given.contains_key(gate.id.as_str());
            if can_ask(app) && is_open && ask(app, &format!("\n{}", gate.question), &gate.word)? {
                said.insert(gate.id.to_string(), gate.word.clone());
            } else {
                unanswered.push((about, gate));
            }
        }
        answers.push(said);
    }
    if unanswered.is_empty() {
        return Ok(answers);
    }
    let count = if unanswered.len() == 1 { "A question" } else { "Several questions" };
    let mut failure = Failure::new(Exit::Confirmation, format!("{count} must be answered first.")).unchanged();
    for (about, gate) in unanswered {
        failure = failure.hint(format!("{about}{} --confirm {}={}", gate.question, gate.id, gate.word));
    }
    Err(failure)
}

/// Follows a run while `work` goes on: one line an event, one status line in between.
pub fn follow<T>(app: &App, board: &Board, plan: &Plan, work: impl FnOnce() -> T) -> T {
    follow_all(app, &[Watched { board, plan, job: None }], work)
}
