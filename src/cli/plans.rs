//! Previews, gates and the live run: shared by everything that changes something.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::app::App;
use super::args::{Planning, pairs};
use crate::engine::board::Board;
use crate::engine::planner::Planned;
use crate::model::event::{Event, EventKind};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::item::Copying;
use crate::model::plan::{Effect, Gate, OnLapse, Plan};
use crate::model::units::ByteSize;
use crate::services;

/// How an item is copied, in a word.
pub fn copying_word(copying: Copying) -> &'static str {
    match copying {
        Copying::Live => "live",
        Copying::Protocol => "by protocol",
        Copying::Stopped => "stopped",
    }
}

/// Prints a plan: what, where, what stops, how it is undone, what is asked, the hash.
pub fn render_plan(app: &App, planned: &Planned) {
    let Planned { plan, hash, choices, expects, .. } = planned;
    app.out.document("plan", &json!({"plan": plan, "hash": hash, "choices": choices, "expects": expects}));
    app.out.line(title(plan));
    for (number, step) in plan.steps.iter().enumerate() {
        let effect = match step.effect {
            Effect::Read => "",
            Effect::Write => "  (adds)",
            Effect::Quiesce => "  (stops; the node undoes it by itself)",
            Effect::Fence => "  (stops for good)",
            Effect::Destroy => "  (replaces)",
        };
        app.out.line(format!("  {:>2}. {:<10} {}{effect}", number + 1, step.host.as_str(), step.title));
        if step.effect != Effect::Read
            && let Ok(op) = services::op(&step.op)
            && let Ok(told) = op.tell(&step.args)
        {
            app.out.line(format!("      {:<10} undo: {}", "", told.undo));
        }
    }
    for guard in &plan.guards {
        let forward = plan
            .steps
            .iter()
            .any(|step| step.guard.as_ref() == Some(&guard.id) && step.on_lapse == Some(OnLapse::Start));
        let then = if forward {
            "before the swap it puts everything back, after it it starts the new one"
        } else {
            "it puts everything back"
        };
        app.out.line(format!("  guard on {}: if nothing is heard for {}, {then}", guard.host, guard.lapse));
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

fn title(plan: &Plan) -> String {
    match &plan.command {
        crate::model::plan::Command::Backup { item, .. } => format!("Back up {item}"),
        crate::model::plan::Command::Restore { item, snapshot, to } => format!("Restore {item}@{snapshot} to {to}"),
    }
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
            app.out.status(&meter.line(board));
        }
    }
}

fn tell(app: &App, event: &Event, plan: &Plan) {
    app.out.document("event", event);
    let name = |id: &crate::model::ids::StepId| {
        let step = plan.steps.iter().enumerate().find(|(_, step)| step.id == *id);
        step.map_or(id.to_string(), |(number, step)| {
            format!("{}/{} {}: {}", number + 1, plan.steps.len(), step.host, step.title)
        })
    };
    match &event.kind {
        EventKind::RunStarted { .. } => app.out.aside(format!("run {}", event.run)),
        EventKind::RunAdopted { epoch, .. } => app.out.aside(format!("run {} taken up, epoch {epoch}", event.run)),
        EventKind::StepFinished { step, .. } => app.out.aside(format!("  done    {}", name(step))),
        EventKind::StepSkipped { step, .. } => app.out.aside(format!("  already {}", name(step))),
        EventKind::StepFailed { step, failure } => {
            app.out.aside(format!("  FAILED  {}: {}", name(step), failure.message));
        }
        EventKind::StepReverted { step } => app.out.aside(format!("  undone  {}", name(step))),
        EventKind::RevertFailed { step, failure } => {
            app.out.aside(format!("  NOT UNDONE {}: {}", name(step), failure.message));
        }
        EventKind::GuardArmed { guard } => app.out.aside(format!("  armed   guard {guard}")),
        EventKind::GuardFired { guard } => app.out.aside(format!("  guard {guard} had acted by itself")),
        EventKind::Undoes { undone, .. } => app.out.aside(format!("  undoes  run {undone}")),
        EventKind::Note { text } => app.out.aside(format!("  note    {text}")),
        EventKind::StepStarted { .. } | EventKind::GuardDisarmed { .. } | EventKind::RunFinished { .. } => {}
    }
}

/// Bytes over time, for an honest status line.
#[derive(Default)]
struct Meter {
    started: Option<(Instant, u64)>,
    moved: Option<(Instant, u64)>,
}

impl Meter {
    fn line(&mut self, board: &Board) -> String {
        let progress = board.progress();
        let now = Instant::now();
        if self.moved.is_none_or(|(_, bytes)| progress.bytes < bytes) {
            self.started = Some((now, progress.bytes));
            self.moved = self.started;
        }
        if let Some((_, bytes)) = self.moved
            && progress.bytes != bytes
        {
            self.moved = Some((now, progress.bytes));
        }
        let doing = progress.doing.one_line();
        if progress.bytes == 0 {
            return format!("{doing} …");
        }
        let still = self.moved.map_or(Duration::ZERO, |(at, _)| now.duration_since(at));
        let state = match still.as_secs() {
            0..=2 => "moving".to_owned(),
            3..=29 => format!("slow, last byte {} s ago", still.as_secs()),
            seconds => format!("stalled for {seconds} s"),
        };
        let (from, first) = self.started.unwrap_or((now, 0));
        let rate = ((progress.bytes - first) * 1000)
            .checked_div(u64::try_from(now.duration_since(from).as_millis()).unwrap_or(1))
            .unwrap_or(0);
        let total = if progress.expected > progress.bytes {
            format!(" of about {}", ByteSize(progress.expected))
        } else {
            String::new()
        };
        format!("{doing}: {}{total}, {}/s, {state}", ByteSize(progress.bytes), ByteSize(rate))
    }
}
