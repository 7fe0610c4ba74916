//! What a plan will do, as a sheet: what, where, how much, what stops, what is overwritten, how it is undone.

use std::collections::BTreeSet;

use super::errand::Errand;
use crate::engine::phrases::{
    choice_phrase, copying_word, count, effect_phrase, guard_phrase, sentence, undo_of, way_back_phrase,
};
use crate::engine::planner::Planned;
use crate::model::item::Sensitivity;
use crate::model::plan::{Command, Effect, Plan, Step};
use crate::model::units::{ByteSize, Seconds};
use crate::tui::action::Action;
use crate::tui::model::{Job, Model};
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};

/// The preview of every plan, one after the other.
pub fn rows<E: Errand + ?Sized>(errand: &E, model: &Model, jobs: &[&Job]) -> Vec<Row> {
    let mut rows = Vec::new();
    let planned: Vec<(&Job, &Planned)> = jobs.iter().filter_map(|job| Some((*job, job.planned.as_deref()?))).collect();
    if planned.len() > 1 {
        rows.extend(all_in_short(&planned));
    }
    for (job, planned) in &planned {
        if !rows.is_empty() {
            rows.push(Row::gap());
        }
        rows.extend(one(model, job, planned));
        rows.push(Row::pair("hash", planned.hash.clone()).as_role(Role::Muted));
        rows.push(Row::gap());
        rows.push(shell_row());
        rows.push(Row::command(errand.command(&model.place, &job.wish, Some(job))));
    }
    rows
}

/// The letters of a hash that tell one plan from another at a glance; the whole one stands below the preview.
const SHORT: usize = 12;

/// A plan in a few words: "9f2c81aa1b2c, 6 steps on spare-1".
fn plan_told(planned: &Planned) -> String {
    let steps = count(planned.plan.steps.len(), "step");
    let hosts: BTreeSet<&str> = planned.plan.steps.iter().map(|step| step.host.as_str()).collect();
    let hosts = hosts.into_iter().collect::<Vec<_>>().join(", ");
    format!("{}, {steps} on {hosts}", short_hash(planned))
}

/// As much of a plan's hash as is told in one place.
fn short_hash(planned: &Planned) -> &str {
    planned.hash.get(..SHORT).unwrap_or(&planned.hash)
}

/// Which plans somebody is about to start, for the page that asks: "plan 9f2c81aa1b2c".
pub fn plans_told(jobs: &[&Job]) -> String {
    let hashes: Vec<&str> = jobs.iter().filter_map(|job| job.planned.as_deref()).map(short_hash).collect();
    match hashes.as_slice() {
        [] => String::new(),
        [one] => format!("plan {one}"),
        [first, rest @ ..] => format!("plan {first} and {} more", rest.len()),
    }
}

/// What stands over an equal command line.
pub fn shell_row() -> Row {
    Row::say(Role::Muted, "The same from a shell:")
}

/// ```text
///  3 plans, 3 jobs                  about 1.20 GiB
///  ● val-1/avalanchego/unit         4 steps
/// ```
fn all_in_short(planned: &[(&Job, &Planned)]) -> Vec<Row> {
    let sizes: Option<ByteSize> = planned.iter().map(|(_, planned)| planned.item.size).sum();
    let size = sizes.map_or("size not known beforehand".to_owned(), |size| format!("about {size}"));
    let mut rows = vec![Row::heading(format!("{} plans, each a job of its own, {size}", planned.len()))];
    for (_, planned) in planned {
        let plan = &planned.plan;
        let sign = if plan.steps.iter().any(|step| is_felt(step.effect)) { Sign::Warn } else { Sign::Ok };
        let felt: Vec<String> = plan.steps.iter().filter(|s| is_felt(s.effect)).map(|s| s.title.to_string()).collect();
        let felt = if felt.is_empty() { "nothing is stopped or replaced".to_owned() } else { felt.join("; ") };
        rows.push(Row::signed(sign, felt).cell(plan.command.place().to_string(), 36, Role::Text));
    }
    rows
}

/// Whether a step is felt by whoever uses the service.
fn is_felt(effect: Effect) -> bool {
    matches!(effect, Effect::Quiesce | Effect::Fence | Effect::Destroy)
}

fn one(model: &Model, job: &Job, planned: &Planned) -> Vec<Row> {
    let plan = &planned.plan;
    let mut rows = vec![Row::pair("plan", plan_told(planned))];
    rows.extend(about(model, planned));
    rows.push(Row::pair("stops", stops(plan)).as_role(if plan.steps.iter().any(is_stop) {
        Role::StatusWarn
    } else {
        Role::Text
    }));
    rows.extend(planned.expects.iter().map(|said| Row::pair("expect", said.one_line().to_string())));
    rows.push(overwrites(plan));
    let by_hand = "lifeboat rollback RUN";
    let by_key = format!("{} on its receipt, or {by_hand}", model.key(Action::RollBack));
    rows.push(Row::pair("undo", way_back_phrase(plan).replace(by_hand, &by_key)));
    rows.push(Row::gap());
    rows.extend(plan.steps.iter().enumerate().flat_map(|(number, step)| step_rows(number + 1, step)));
    rows.push(Row::gap());
    rows.extend(plan.guards.iter().map(|guard| Row::pair("guard", sentence(&guard_phrase(plan, guard)))));
    rows.extend(plan.choices.iter().map(|chosen| Row::pair("choice", sentence(&choice_phrase(chosen)))));
    rows.extend(plan.gates.iter().map(|gate| {
        Row::pair("asked", format!("{} The word is '{}'.", gate.question, gate.word)).as_role(Role::StatusWarn)
    }));
    rows.extend(plan.leaves.iter().map(|left| Row::pair("afterwards", left.as_str().replace("{run}", "RUN"))));
    if let crate::tui::message::Wish::BackUp { reason: Some(reason), .. } = &job.wish {
        rows.push(Row::pair("reason", reason.clone()));
    }
    rows
}

/// What, where and how much.
fn about(model: &Model, planned: &Planned) -> Vec<Row> {
    let (item, found) = (&planned.item, &planned.found);
    let secret = if item.sensitivity == Sensitivity::Secret { ", secret" } else { "" };
    let version = found.facts.version.as_ref().map_or(String::new(), |version| format!(" {}", version.one_line()));
    let service = format!("{}{version} on {}", found.kind, found.host);
    let vault = model.place.told(&model.place.vault);
    let size = planned.item.size.map_or("not known beforehand".to_owned(), |size| format!("about {size}"));
    match &planned.plan.command {
        Command::Backup { item: place, .. } => vec![
            Row::pair("what", format!("{place}: {}{secret}, copied {}", item.title, copying_word(item.copying))),
            Row::pair("where", format!("from {service} into {vault}")),
            Row::pair("how much", size),
        ],
        Command::Restore { item: place, snapshot, .. } => {
            let stored = model.holdings.as_ref().and_then(|holdings| {
                let copy = holdings.copies(place).iter().find(|copy| copy.id == *snapshot)?;
                Some(copy.size.to_string())
            });
            vec![
                Row::pair("what", format!("{place}@{snapshot}: {}{secret}", item.title)),
                Row::pair("where", format!("from {vault} onto {service}")),
                Row::pair("how much", stored.unwrap_or(size)),
            ]
        }
    }
}

fn is_stop(step: &Step) -> bool {
    matches!(step.effect, Effect::Quiesce | Effect::Fence)
}

/// What stops, and between which steps: how long a step takes nobody knows beforehand, its limit is.
fn stops(plan: &Plan) -> String {
    let mut told = Vec::new();
    for (number, step) in plan.steps.iter().enumerate().filter(|(_, step)| is_stop(step)) {
        if step.effect == Effect::Fence {
            told.push(format!("{}, for good", step.title));
            continue;
        }
        let last = plan.steps.iter().rposition(|other| other.guard == step.guard && other.effect != Effect::Read);
        let until = last.map_or(number, |last| last.max(number)) + 1;
        let limit = plan.steps.iter().take(until).skip(number).fold(0, |sum, step| step.timeout.0.saturating_add(sum));
        let what = step.title.as_str().strip_prefix("Stop ").unwrap_or(step.title.as_str());
        told.push(format!(
            "{what}, from step {} to step {until}, given up after {} at the latest",
            number + 1,
            Seconds(limit)
        ));
    }
    if told.is_empty() { "nothing".to_owned() } else { told.join("; ") + "." }
}

fn overwrites(plan: &Plan) -> Row {
    let replaced: Vec<String> =
        plan.steps.iter().filter(|s| s.effect == Effect::Destroy).map(|s| s.title.to_string()).collect();
    if replaced.is_empty() {
        return Row::pair("overwrites", "nothing");
    }
    let kept = if plan.can_be_rolled_back() { "; what was there is kept aside" } else { "" };
    Row::pair("overwrites", format!("{}{kept}.", replaced.join("; "))).as_role(Role::StatusWarn)
}

/// The columns of the word for what a step does.
pub const EFFECT: u16 = 9;

/// A step, and under it how it is undone.
///
/// ```text
///   3 spare-1      stops     Stop avalanchego.service
///                            undo: Starts it again.
/// ```
fn step_rows(number: usize, step: &Step) -> Vec<Row> {
    let (word, role) = effect_look(step.effect);
    let row = |text: String, role| Row::say(role, text);
    let mut rows = vec![
        row(step.title.to_string(), Role::Text)
            .cell(format!("{number:>2}"), 2, Role::Muted)
            .cell(step.host.to_string(), 12, Role::Text)
            .cell(word, EFFECT, role),
    ];
    rows.extend(undo_of(step).map(|undo| {
        row(format!("undo: {undo}"), Role::Muted).cell("", 2, Role::Text).cell("", 12, Role::Text).cell(
            "",
            EFFECT,
            Role::Text,
        )
    }));
    rows
}

/// A word for what a step does, and its role.
pub fn effect_look(effect: Effect) -> (&'static str, Role) {
    match effect {
        Effect::Read => ("reads", Role::EffectRead),
        Effect::Write => (effect_phrase(effect), Role::EffectWrite),
        Effect::Quiesce => ("stops", Role::EffectQuiesce),
        Effect::Fence => ("fences", Role::EffectDestroy),
        Effect::Destroy => (effect_phrase(effect), Role::EffectDestroy),
    }
}
