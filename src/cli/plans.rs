//! Previews, gates and the live run: shared by everything that changes something.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::app::App;
use super::args::{Planning, pairs};
use crate::engine::board::Board;
use crate::engine::phrases::{effect_phrase, event_phrase, guard_phrase, title, undo_of};
use crate::engine::planner::Planned;
use crate::engine::progress::Meter;
use crate::model::event::Event;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::plan::{Gate, Plan};

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

/// Makes sure every gate is answered before the first change, asking where a person is there.
///
/// # Errors
/// [`Exit::Confirmation`] naming every open gate; [`Exit::Stale`] when the hash is not the one given.
pub fn answer_gates(app: &App, planned: &Planned, planning: &Planning) -> Result<()> {
    if let Some(wanted) = &planning.plan_hash
        && *wanted != planned.hash
    {
        return Err(Failure::new(Exit::Stale, format!("The plan is now {}, not {wanted}.", planned.hash))
            .hint("Look at the new plan with --plan, then run that one."));
    }
    let given = pairs(&planning.confirm);
    let open = planned.open_gates(&given);
    let mut unanswered = Vec::new();
    for gate in open {
        if can_ask(app) && !given.contains_key(gate.id.as_str()) && ask(gate)? {
            continue;
        }
        unanswered.push(gate);
    }
    if unanswered.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(
        Exit::Confirmation,
        format!(
            "Nothing was changed: {} must be answered first.",
            if unanswered.len() == 1 { "a question" } else { "several questions" }
        ),
    );
    for gate in unanswered {
        failure = failure.hint(format!("{} --confirm {}={}", gate.question, gate.id, gate.word));
    }
    Err(failure)
}

fn can_ask(app: &App) -> bool {
    !app.global.no_input && !app.out.is_json() && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a gate's word on the terminal; anything else is a no.
fn ask(gate: &Gate) -> Result<bool> {
    let mut err = std::io::stderr();
    let cannot =
        |error: std::io::Error| Failure::new(Exit::Confirmation, format!("The question could not be asked: {error}."));
    write!(err, "\n{}\nType '{}' to go on: ", gate.question, gate.word).map_err(cannot)?;
    err.flush().map_err(cannot)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(cannot)?;
    Ok(line.trim() == gate.word)
}

/// Asks a yes-or-no question whose answer is the word `yes`; without a person the answer is no.
pub fn ask_yes(app: &App, question: &str) -> Result<bool> {
    if !can_ask(app) {
        return Ok(false);
    }
    let mut err = std::io::stderr();
    let cannot =
        |error: std::io::Error| Failure::new(Exit::Confirmation, format!("The question could not be asked: {error}."));
    write!(err, "{question} Type 'yes' to go on: ").and_then(|()| err.flush()).map_err(cannot)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(cannot)?;
    Ok(line.trim() == "yes")
}

/// Follows a run while `work` goes on: one line an event, one status line in between.
pub fn follow<T>(app: &App, board: &Arc<Board>, plan: &Plan, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(app, board, plan, &over));
        let result = work();
        over.store(true, Ordering::SeqCst);
        board.wake();
        result
    })
}

fn watch(app: &App, board: &Board, plan: &Plan, over: &AtomicBool) {
    let mut next = None;
    let mut meter = Meter::default();
    loop {
        let last_turn = over.load(Ordering::SeqCst);
        let wait = if last_turn { Duration::ZERO } else { Duration::from_millis(200) };
        for event in board.wait_for(next.unwrap_or(0), wait) {
            next = Some(event.seq + 1);
            tell(app, &event, plan);
        }
        if last_turn {
            break;
        }
        if app.out.shows_progress() {
            let now = app.desk.clock.now();
            meter.take(now, &board.progress());
            app.out.status(&meter.line(now));
        }
    }
}

fn tell(app: &App, event: &Event, plan: &Plan) {
    app.out.document("event", event);
    match event_phrase(event, plan) {
        Some(("run", text)) => app.out.aside(format!("run {text}")),
        Some((word, text)) => app.out.aside(format!("  {word:<7} {text}")),
        None => {}
    }
}
