//! How a job ended: what it proved, its receipt, what remains; or what failed, what is true now, what to do next.

use serde_json::Value;

use super::command::command_line;
use super::live::{CHECKED, checked_look};
use crate::engine::holdings::Doubt;
use crate::engine::phrases::exit_phrase;
use crate::engine::runs::{Report, StepStage, steps_of};
use crate::engine::verify::Checked;
use crate::model::exit::{Exit, Failure};
use crate::model::ids::{ItemRef, SnapshotId};
use crate::model::plan::Command;
use crate::model::units::ByteSize;
use crate::tui::action::Action;
use crate::tui::message::Wish;
use crate::tui::model::{Job, Model, Stage};
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};
use crate::vault::DOUBT;

/// How every job ended.
pub fn rows(model: &Model, jobs: &[&Job]) -> Vec<Row> {
    let mut rows = Vec::new();
    if jobs.len() > 1 {
        let done = jobs.iter().filter(|job| matches!(job.stage, Stage::Done(_))).count();
        rows.push(Row::heading(format!("{done} of {} jobs ended well", jobs.len())));
        rows.push(Row::gap());
    }
    for (number, job) in jobs.iter().enumerate() {
        if number > 0 {
            rows.push(Row::gap());
        }
        if jobs.len() > 1 {
            rows.push(Row::heading(job.wish.title()));
        }
        rows.extend(one(model, job));
    }
    rows
}

/// How one job ended.
pub fn one(model: &Model, job: &Job) -> Vec<Row> {
    match &job.stage {
        Stage::Done(report) => well(model, job, report.as_ref()),
        Stage::Failed(failure) => badly(job, failure),
        _ => vec![Row::signed(Sign::Now, "It still runs.")],
    }
}

fn well(model: &Model, job: &Job, report: Option<&Report>) -> Vec<Row> {
    let mut rows = match &job.wish {
        Wish::Verify(_) | Wish::VerifyVault(_) => return verified(job),
        Wish::BackUp { .. } => copied(model, report),
        Wish::Restore { .. } => restored(model, job, report),
        Wish::RollBack(run) => {
            vec![Row::signed(Sign::Done, format!("Run {run} was undone: what was there before it is there again."))]
        }
        Wish::Resume(run, how, _) => vec![Row::signed(
            Sign::Done,
            match how {
                crate::engine::runs::Resume::GoOn => format!("Run {run} was finished."),
                crate::engine::runs::Resume::RollBack => format!("Run {run} was rolled back."),
                crate::engine::runs::Resume::Leave => {
                    format!("Run {run} was left as things are; its locks are given back.")
                }
            },
        )],
        Wish::Deed(deed) => deed.proof(report),
    };
    if let Some(report) = report {
        rows.push(Row::gap());
        rows.push(Row::pair("run", report.run.to_string()));
        rows.push(Row::pair("receipt", format!("{}, signed by this console", report.receipt)));
    }
    if let (Wish::RollBack(_) | Wish::Resume(..), Some(report)) = (&job.wish, report) {
        for (host, paths) in &report.kept {
            rows.extend(paths.iter().map(|path| Row::pair("aside", format!("on {host}: {path}"))));
        }
    }
    let plan = job.planned.as_ref().map(|planned| &planned.plan);
    let run = report.map_or("RUN", |report| report.run.as_str());
    for left in plan.iter().flat_map(|plan| &plan.leaves) {
        rows.push(Row::pair("afterwards", left.as_str().replace("{run}", run)));
    }
    if plan.is_some_and(crate::model::plan::Plan::can_be_rolled_back) {
        let undo = report.map(|report| Wish::RollBack(report.run.clone()));
        let line = undo.map(|undo| command_line(&model.place, &undo, None)).unwrap_or_default();
        rows.push(Row::pair(
            "undo",
            format!("{} undoes it from what is kept aside, or from a shell:", model.key(Action::RollBack)),
        ));
        rows.push(Row::command(line));
    }
    rows
}

/// What speaks against a copy by what is known of the vault now, or that it is gone; nothing while all is well with it,
/// or nobody has read the vault.
pub fn verdict(model: &Model, place: &ItemRef, id: &SnapshotId) -> Option<(Sign, String)> {
    let doubt = model.holdings.as_ref()?.doubt(place, id)?;
    let sign = if matches!(doubt, Doubt::Suspect(_)) { Sign::Bad } else { Sign::Warn };
    Some((sign, doubt.to_string()))
}

fn copied(model: &Model, report: Option<&Report>) -> Vec<Row> {
    let mut rows = Vec::new();
    for out in report.iter().flat_map(|report| report.outs.values()).filter(|out| out.get("snapshot").is_some()) {
        let size = ByteSize(out.get("bytes").and_then(Value::as_u64).unwrap_or(0));
        let id = out.get("snapshot").and_then(Value::as_str).unwrap_or("?");
        rows.push(Row::signed(Sign::Done, "Copied: the node's own count and what arrived agree."));
        let damaged = out.get("damaged").and_then(Value::as_array).map_or(0, Vec::len);
        rows.push(match damaged {
            0 => Row::signed(Sign::Done, "Verified: the copy was read in full and is sound."),
            _ => Row::signed(Sign::Warn, "Not verified: files were damaged on the node already; the marks name them."),
        });
        if out.get(DOUBT).is_some_and(Value::is_string) {
            rows.push(Row::signed(Sign::Warn, "It does not count all the same; the first mark says why."));
        }
        rows.push(Row::gap());
        rows.push(Row::pair("copy", format!("{id}, {size}")));
        let place = out.get("item").and_then(|item| serde_json::from_value(item.clone()).ok());
        rows.extend(against(model, place, SnapshotId::new(id).ok()));
        let identities = out.get("identities").and_then(Value::as_array).into_iter().flatten();
        for identity in identities.filter_map(|identity| identity.get("value").and_then(Value::as_str)) {
            rows.push(Row::pair("identity", identity.to_owned()));
        }
        for mark in texts(out, "marks") {
            rows.push(Row::pair("mark", mark.to_owned()).as_role(Role::StatusWarn));
        }
    }
    for remark in report.iter().flat_map(|report| report.outs.values()).flat_map(|out| texts(out, "remarks")) {
        rows.push(Row::pair("note", remark.to_owned()));
    }
    rows
}

/// What the vault has against a copy, where it has read of one since: it is there for whoever leaves with the proof.
fn against(model: &Model, place: Option<ItemRef>, id: Option<SnapshotId>) -> Option<Row> {
    let (sign, told) = verdict(model, &place?, &id?)?;
    let role = if sign == Sign::Bad { Role::StatusBad } else { Role::StatusWarn };
    Some(Row::pair("vault", told).as_role(role))
}

fn texts<'v>(out: &'v Value, key: &str) -> impl Iterator<Item = &'v str> {
    out.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn restored(model: &Model, job: &Job, report: Option<&Report>) -> Vec<Row> {
    let unproved = report.is_some_and(|report| report.why_unproved().is_some());
    let proves = job.planned.as_ref().is_some_and(|planned| planned.plan.proves) && !unproved;
    let mut rows = vec![Row::signed(Sign::Done, "Restored: every step is done.")];
    rows.push(if proves {
        Row::signed(Sign::Done, "Proven: what runs now is what was saved. The copy holds that proof from now on.")
    } else {
        Row::signed(Sign::Warn, "Nothing proved it: look at the service yourself.")
    });
    if let Some(Command::Restore { item, snapshot, .. }) = job.planned.as_ref().map(|planned| &planned.plan.command) {
        rows.extend(against(model, Some(item.clone()), Some(snapshot.clone())));
    }
    rows
}

fn verified(job: &Job) -> Vec<Row> {
    let mut rows = Vec::new();
    for (item, id, result) in &job.checked {
        let (sign, text) = checked_look(result);
        let role = if sign == Sign::Bad { Role::StatusBad } else { Role::Text };
        rows.push(Row::signed(sign, format!("{item}@{id}")).cell(text, CHECKED, role));
        let notes: Vec<String> = match result {
            Ok(Checked::Verified { warnings, .. }) => warnings.clone(),
            Ok(Checked::Broken { why }) => why.clone(),
            Ok(Checked::IntactSealed) => {
                vec!["The stored bytes are whole; without a key at hand nothing more can be said.".to_owned()]
            }
            Err(failure) => vec![failure.message.clone()],
        };
        rows.extend(notes.into_iter().map(|note| Row::say(Role::Muted, note).set_in(2).cell("", CHECKED, Role::Text)));
    }
    rows
}

fn badly(job: &Job, failure: &Failure) -> Vec<Row> {
    let sign = if failure.exit == Exit::Cancelled { Sign::Warn } else { Sign::Bad };
    let role = if failure.exit == Exit::Cancelled { Role::StatusWarn } else { Role::StatusBad };
    let mut rows = vec![Row::signed(sign, failure.message.clone()).as_role(role)];
    rows.push(Row::gap());
    rows.push(Row::pair("now", state_of(failure)));
    for (number, hint) in failure.hints.iter().enumerate() {
        rows.push(Row::pair(if number == 0 { "next" } else { "" }, hint.clone()));
    }
    rows.push(
        Row::pair("code", format!("{} ({})", failure.exit.code(), exit_phrase(failure.exit))).as_role(Role::Muted),
    );
    if let Some(run) = job.events.first().map(|event| event.run.to_string()) {
        rows.push(Row::pair("run", run));
    }
    if !job.checked.is_empty() {
        rows.push(Row::gap());
        rows.extend(verified(job));
    }
    let Some(planned) = &job.planned else { return rows };
    let looks = steps_of(&job.events);
    if looks.is_empty() {
        return rows;
    }
    rows.push(Row::gap());
    for (number, step) in planned.plan.steps.iter().enumerate() {
        let stage = looks.get(&step.id).map_or(StepStage::Next, |look| look.stage);
        let sign = match stage {
            StepStage::Failed | StepStage::NotUndone => Sign::Bad,
            StepStage::Undone | StepStage::Now => Sign::Warn,
            StepStage::Next => Sign::Next,
            StepStage::Done | StepStage::Already => Sign::Done,
        };
        let word = match stage {
            StepStage::Next => "not begun",
            // Nobody heard how it ended.
            StepStage::Now => "begun",
            stage => stage.word(),
        };
        rows.push(
            Row::signed(sign, step.title.to_string())
                .cell(format!("{:>2}", number + 1), 2, Role::Muted)
                .cell(step.host.to_string(), 12, Role::Muted)
                .cell(word, 10, Role::Text),
        );
    }
    rows
}

fn state_of(failure: &Failure) -> String {
    match (&failure.state, failure.exit) {
        (Some(state), _) => state.clone(),
        (None, Exit::Changed) => "Something is not as it was; the run says what.".to_owned(),
        (None, _) => "Nothing was changed.".to_owned(),
    }
}
