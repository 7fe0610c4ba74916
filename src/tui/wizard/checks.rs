//! What was found before anything is done, as a sheet.

use super::errands::copy_about;
use crate::engine::holdings::CopyView;
use crate::engine::planner::Planned;
use crate::model::exit::Failure;
use crate::model::item::{Sensitivity, Standing};
use crate::services::{Sighting, Whereabouts};
use crate::tui::model::{Job, Model, Stage};
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};

const NAME: u16 = 12;

/// A check by its name: how it went, and what was found.
pub fn check(sign: Sign, name: &str, text: impl Into<String>) -> Row {
    Row::signed(sign, text).cell(name, NAME, Role::Muted)
}

/// Of a backup: the service, the item, the copy before.
pub fn of_backup(model: &Model, job: &Job) -> Vec<Row> {
    let mut rows = Vec::new();
    match (&job.stage, &job.planned) {
        (Stage::Failed(failure), _) => rows.extend(failed(failure)),
        (Stage::Planning, _) | (_, None) => {
            rows.push(check(Sign::Now, "asking", "The node is asked what is there and what can be chosen."));
        }
        (_, Some(planned)) => {
            rows.extend(service(planned));
            let item = &planned.item;
            let size = item.size.map_or("size not known beforehand".to_owned(), |size| format!("about {size}"));
            let secret = if item.sensitivity == Sensitivity::Secret { ", secret" } else { "" };
            rows.push(check(Sign::Ok, "item", format!("The {} can be copied, {size}{secret}.", item.title)));
            rows.push(copy_before(model, planned));
        }
    }
    rows
}

/// Of one of several: a line, or the failure.
pub fn in_short(job: &Job) -> Vec<Row> {
    let crate::tui::message::Wish::BackUp { item, .. } = &job.wish else { return Vec::new() };
    let place = |row: Row| row.cell(item.to_string(), 36, Role::Text);
    match (&job.stage, &job.planned) {
        (Stage::Failed(failure), _) => {
            // The row has its name already.
            let message = failure.message.strip_prefix(&format!("{item} ")).unwrap_or(&failure.message);
            let mut rows = vec![place(Row::signed(Sign::Bad, message))];
            rows.extend(failure.hints.iter().map(|hint| Row::say(Role::Muted, format!("next: {hint}")).set_in(2)));
            if failure.hints.is_empty() {
                rows.push(Row::say(Role::Muted, "next: go back and take it out, or mend it and look again").set_in(2));
            }
            rows
        }
        (Stage::Planning, _) | (_, None) => vec![place(Row::signed(Sign::Now, "being asked"))],
        (_, Some(planned)) => {
            let size = planned.item.size.map_or("ready".to_owned(), |size| format!("ready, about {size}"));
            vec![place(Row::signed(Sign::Ok, size))]
        }
    }
}

/// Of a restore: the copy, the target, and where else the identity was looked for.
pub fn of_restore(model: &Model, job: &Job, copy: Option<&CopyView>) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(copy.map(|copy| {
        let sign = if copy.against.is_empty() { Sign::Ok } else { Sign::Warn };
        check(sign, "copy", format!("{}, {}", copy.id, copy_about(model, copy)))
    }));
    match (&job.stage, &job.planned) {
        (Stage::Failed(failure), _) => rows.extend(failed(failure)),
        (Stage::Planning, _) | (_, None) => rows.push(check(
            Sign::Now,
            "asking",
            "The key is tried, the target is looked at, and the fleet is searched for the identity.",
        )),
        (_, Some(planned)) => {
            rows.push(check(Sign::Ok, "key", "A key that opens the copy was tried and works."));
            rows.extend(service(planned));
            rows.extend(planned.sightings.iter().map(sighting));
            if planned.sightings.is_empty() {
                rows.push(check(Sign::Ok, "identity", "The copy holds no identity that could run twice."));
            }
            let asked = planned.plan.gates.len();
            if asked > 0 {
                let text = format!("{asked} to be typed before the first change.");
                rows.push(check(Sign::Warn, "words", text));
            }
        }
    }
    rows
}

/// What failed, what state things are in, what to do next.
pub fn failed(failure: &Failure) -> Vec<Row> {
    let mut lines = failure.message.lines();
    let mut rows = vec![check(Sign::Bad, "failed", lines.next().unwrap_or_default()).as_role(Role::StatusBad)];
    rows.extend(lines.map(|line| Row::say(Role::Text, line).set_in(NAME + 3)));
    let state = failure.state.as_deref().unwrap_or("Nothing was changed.");
    rows.push(Row::say(Role::Text, state).set_in(2).cell("now", NAME, Role::Muted));
    for (number, hint) in failure.hints.iter().enumerate() {
        let label = if number == 0 { "next" } else { "" };
        rows.push(Row::say(Role::Text, hint.clone()).set_in(2).cell(label, NAME, Role::Muted));
    }
    rows
}

fn service(planned: &Planned) -> Vec<Row> {
    let found = &planned.found;
    let version = found.facts.version.as_ref().map_or(String::new(), |version| format!(" {}", version.one_line()));
    let mut rows = Vec::new();
    let text = if found.facts.present {
        format!("{} answers, {}{version} is there.", found.host, found.kind)
    } else {
        format!("{} answers, {} is not there yet.", found.host, found.kind)
    };
    rows.push(check(Sign::Ok, "node", text));
    for unit in &found.facts.units {
        let sign = if unit.is_running() { Sign::Ok } else { Sign::Unknown };
        rows.push(check(sign, "unit", format!("{} is {}.", unit.unit, unit.active)));
    }
    rows.extend(found.facts.notes.iter().map(|note| check(Sign::Warn, "note", note.one_line().to_string())));
    if let Standing::Impossible(why) | Standing::NotAsked(why) = &planned.item.standing {
        rows.push(check(Sign::Warn, "item", why.one_line().to_string()));
    }
    rows
}

fn copy_before(model: &Model, planned: &Planned) -> Row {
    let place = planned.plan.command.place();
    match model.fleet.item(place).and_then(|item| item.best()) {
        Some(copy) => check(Sign::Ok, "copy before", format!("{}, {}.", copy.id, copy_about(model, copy))),
        None => check(Sign::Warn, "copy before", "None that can be trusted: this will be the first."),
    }
}

fn sighting(seen: &Sighting) -> Row {
    let host = &seen.host;
    match &seen.state {
        Whereabouts::Alive(_) => {
            check(Sign::Bad, "identity", format!("It runs on {host} now; the plan stops it there for good."))
        }
        Whereabouts::Stopped { .. } => check(
            Sign::Warn,
            "identity",
            format!("It lies on {host} and does not run; the plan keeps it from starting."),
        ),
        Whereabouts::Heard(_) => check(Sign::Bad, "identity", format!("{host} hears it from somewhere now: it runs.")),
        Whereabouts::Unheard => {
            check(Sign::Ok, "identity", format!("{host} does not have it, and does not hear it as its peer."))
        }
        Whereabouts::Elsewhere => check(Sign::Ok, "identity", format!("{host} was looked at and does not have it.")),
        Whereabouts::Unreachable(why) => {
            let why = why.one_line();
            let why = why.as_str().trim_end_matches('.');
            let names_it = why.contains(host.as_str());
            let text = if names_it { format!("{why}.") } else { format!("{host} could not be asked: {why}.") };
            check(Sign::Warn, "identity", text)
        }
    }
}
