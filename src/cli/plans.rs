//! Previews, gates and the live run: shared by everything that changes something.

use serde_json::json;

use super::app::App;
use super::args::{Planning, pairs};
use super::progress::{Watched, follow_all};
use super::question::{ask, can_ask};
use crate::engine::board::Board;
use crate::engine::phrases::{effect_phrase, guard_phrase, title, undo_of};
use crate::engine::planner::Planned;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::plan::Plan;

/// Prints a plan: what, where, what stops, how it is undone, what is asked, the hash.
pub fn render_plan(app: &App, planned: &Planned) {
    let Planned { plan, hash, choices, expects, .. } = planned;
    app.out.document("plan", &json!({"plan": plan, "hash": hash, "choices": choices, "expects": expects}));
    app.out.line(title(&plan.command));
    for (number, step) in plan.steps.iter().enumerate() {
        let effect = Some(effect_phrase(step.effect)).filter(|effect| !effect.is_empty());
        let effect = effect.map_or(String::new(), |effect| format!("  ({effect})"));
        app.out.line(format!("  {:>2}. {:<10} {}{effect}", number + 1, step.host.as_str(), step.title));
        if let Some(undo) = undo_of(step) {
            app.out.line(format!("      {:<10} undo: {undo}", ""));
        }
    }
    for guard in &plan.guards {
        app.out.line(format!("  {}", guard_phrase(plan, guard)));
    }
    for choice in &plan.choices {
        app.out.line(format!(
            "  choice {}={}{}",
            choice.key,
            choice.value,
            if choice.by_default { " (default)" } else { "" }
        ));
    }
    for expected in expects {
        app.out.line(format!("  expect: {expected}"));
    }
    for left in &plan.leaves {
        app.out.line(format!("  afterwards: {left}"));
    }
    for gate in &plan.gates {
        app.out.line(format!("  gate {}: {}", gate.id, gate.question));
        app.out.line(format!("       answer with --confirm {}={}", gate.id, gate.word));
    }
    app.out.line(format!("  plan {hash}"));
}

/// Makes sure every gate of every plan is answered before the first change, asking where a person is there.
///
/// # Errors
/// [`Exit::Confirmation`] naming every open gate; [`Exit::Stale`] when the hash is not the one given.
pub fn answer_gates(app: &App, all: &[&Planned], planning: &Planning) -> Result<()> {
    if let Some(wanted) = &planning.plan_hash {
        match all {
            [one] if one.hash == *wanted => {}
            [one] => {
                return Err(Failure::new(Exit::Stale, format!("The plan is now {}, not {wanted}.", one.hash))
                    .hint("Look at the new plan with --plan, then run that one."));
            }
            several => {
                let message = format!("--plan-hash names one plan, and {} were made.", several.len());
                return Err(Failure::new(Exit::Usage, message).hint("Name one item: host/service/item."));
            }
        }
    }
    let given = pairs(&planning.confirm);
    let mut unanswered = Vec::new();
    for planned in all {
        for gate in planned.open_gates(&given) {
            if can_ask(app)
                && !given.contains_key(gate.id.as_str())
                && ask(app, &format!("\n{}", gate.question), &gate.word)?
            {
                continue;
            }
            unanswered.push((planned, gate));
        }
    }
    if unanswered.is_empty() {
        return Ok(());
    }
    let count = if unanswered.len() == 1 { "a question" } else { "several questions" };
    let message = format!("Nothing was changed: {count} must be answered first.");
    let mut failure = Failure::new(Exit::Confirmation, message);
    for (planned, gate) in unanswered {
        let about = if all.len() > 1 { format!("{}: ", planned.plan.command.place()) } else { String::new() };
        failure = failure.hint(format!("{about}{} --confirm {}={}", gate.question, gate.id, gate.word));
    }
    Err(failure)
}

/// Follows a run while `work` goes on: one line an event, one status line in between.
pub fn follow<T>(app: &App, board: &Board, plan: &Plan, work: impl FnOnce() -> T) -> T {
    follow_all(app, &[Watched { board, plan, job: None }], work)
}
