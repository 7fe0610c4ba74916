//! `doctor` and `scan`: what is there, and how it stands.

use serde_json::{Value, json};

use super::app::App;
use super::args::Select;
use super::output::table;
use crate::engine::desk::{Desk, LOOKS, hosts_of};
use crate::engine::doctor::{Health, Level, exit_of};
use crate::engine::fleet::Fleet;
use crate::engine::scan::{Found, Wanted, in_parallel};
use crate::engine::uncovered::Uncovered;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::item::{Item, Sensitivity, Standing};
use crate::model::units::ByteSize;
use crate::vault::Vault;

/// `doctor`: every aspect of every node, one line each.
pub fn run_doctor(app: &mut App, select: &Select) -> Result<Exit> {
    let hosts = hosts_of(&app.desk.select(&select.selectors)?);
    let links = app.desk.links();
    let prober = app.desk.prober(&links);
    app.out.document(
        "console",
        &json!({"inventory": app.desk.inventory.path, "libssh2": crate::transport::ssh::linked_libssh2_version()}),
    );
    app.out.aside(format!(
        "inventory {}, {}",
        app.desk.inventory.path.display(),
        crate::transport::ssh::linked_libssh2_version()
    ));
    let health = in_parallel(&hosts, LOOKS, |host| prober.check_health(host));
    for node in &health {
        app.out.document("health", node);
        print_health(app, node);
    }
    let settings = &app.desk.inventory.vault;
    // Nodes can be looked at without a vault, so what is wrong with it is told and fails nothing.
    if settings.path.as_os_str().is_empty() {
        return Ok(exit_of(&health));
    }
    match Vault::open(&settings.path, settings.id.as_deref()) {
        Ok(vault) => super::stored::tell_leftovers(app, &vault)?,
        Err(error) => {
            let failure = Failure::from(&error);
            app.out.document("finding", &json!({"path": settings.path, "message": failure.message}));
            app.out.aside(format!("finding: {}", failure.message));
            app.out.aside(format!("  next: {}", failure.hints.join(" ")));
        }
    }
    Ok(exit_of(&health))
}

fn print_health(app: &App, node: &Health) {
    app.out.line(format!("{}", node.host));
    for aspect in &node.aspects {
        let glyph = match aspect.level() {
            Level::Ok => "ok  ",
            Level::Warning => "look",
            Level::Critical => "FAIL",
        };
        app.out.line(format!("  {glyph}  {:<11} {}", aspect.name, aspect.found.one_line()));
        if let Some(hint) = aspect.hint() {
            app.out.line(format!("        {:<11} {hint}", "next:"));
        }
    }
}

/// `scan`: every item with the facts behind it, and what is there that no entry covers.
pub fn run_scan(app: &mut App, select: &Select) -> Result<Exit> {
    let targets = app.desk.select(&select.selectors)?;
    let services = app.desk.services_of(&targets);
    // Who asks for one service or item does not ask what else there is.
    let whole: Vec<_> = targets.iter().filter(|target| target.whole).cloned().collect();
    let hosts = hosts_of(&whole);
    let links = app.desk.links();
    let prober = app.desk.prober(&links);
    let wanted: Vec<Wanted> = services.iter().map(|(wanted, _)| wanted.clone()).collect();
    let results = prober.probe_all(&wanted, LOOKS);
    let fleet = compare_hosts(&app.desk, &results);
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    let (mut exits, mut failed) = (Vec::new(), Vec::new());
    for ((wanted, result), (_, meant)) in results.into_iter().zip(&services) {
        let name = format!("{}/{}", wanted.owner, wanted.entry.name);
        match result {
            Ok(found) => {
                exits.push(Exit::Done);
                app.out.document("service", &json!({"service": name, "driver": found.kind, "host": found.host, "facts": found.facts, "items": found.items}));
                notes.extend(found.facts.notes.iter().map(|note| format!("{name}: {note}")));
                rows.extend(found.items.iter().filter(|item| meant.contains(&item.id)).map(|item| row(&found, item)));
            }
            Err(failure) => {
                exits.push(failure.exit);
                failed.extend(wanted.hosts.iter().cloned());
                // The shape every failure has, and whose it is.
                let mut told = json!(failure);
                told["service"] = json!(name);
                app.out.document("failure", &told);
                rows.push(vec![name, "-".into(), "-".into(), failure.message.clone()]);
            }
        }
    }
    for line in table(&["ITEM", "SIZE", "COPIED", "WHAT WAS FOUND"], &rows) {
        app.out.line(line);
    }
    for note in notes {
        app.out.line(format!("note: {note}"));
    }
    tell_twins(app, &fleet);
    let found = tell_uncovered(app, &prober.uncovered(&hosts, LOOKS), &failed, &mut exits);
    if services.is_empty() && found == 0 && exits.is_empty() {
        return Err(Failure::new(Exit::Nothing, "None of the selected hosts has a service in the inventory.")
            .hint("Name its services there: [hosts.NAME.services.KIND]."));
    }
    if exits.is_empty() {
        exits.push(Exit::Done);
    }
    // A host that is always off must not hide that an identity runs twice.
    Ok(if fleet.twins().is_empty() { Exit::of_all(exits) } else { Exit::Critical })
}

/// What was found in one call as a fleet, judged as the console judges its own.
pub fn compare_hosts(desk: &Desk, looked: &[(Wanted, Result<Found>)]) -> Fleet {
    let (mut fleet, now) = (Fleet::of_inventory(&desk.inventory), desk.clock.now());
    for (wanted, result) in looked {
        fleet.take_found(wanted, result, None, now);
    }
    fleet.judge(now);
    fleet
}

/// A finding for each identity that runs on several of the hosts looked at.
fn tell_twins(app: &App, fleet: &Fleet) {
    for twin in fleet.twins() {
        let (message, advice) = (twin.message(app.desk.clock.now()), twin.advice());
        let mut told = json!(twin);
        told["level"] = json!(Level::Critical);
        told["message"] = json!(message);
        told["hint"] = json!(advice);
        app.out.document("finding", &told);
        app.out.line(format!("finding: {message}"));
        app.out.line(format!("  next: {advice}"));
    }
}

/// A line for each service that no entry covers, with the lines to add; how many there were.
fn tell_uncovered(
    app: &App,
    looked: &[(HostId, Result<Vec<Uncovered>>)],
    failed: &[HostId],
    exits: &mut Vec<Exit>,
) -> usize {
    let mut count = 0;
    for (host, found) in looked {
        match found {
            Ok(found) => {
                count += found.len();
                for one in found {
                    let Uncovered { kind, seen, lines, .. } = one;
                    // A document's own kind is what it is, not of which service it tells.
                    let told = json!({"host": host, "driver": kind, "seen": seen, "lines": lines});
                    app.out.document("uncovered", &told);
                    app.out.line(format!("not in the inventory: {kind} on {host}: {seen}; add to cover it:"));
                    for line in lines {
                        app.out.line(format!("    {line}"));
                    }
                }
            }
            Err(failure) => {
                // A host whose services could not be looked at either has said so already.
                if !failed.contains(host) {
                    app.out.failure(failure);
                }
                exits.push(failure.exit);
            }
        }
    }
    count
}

fn row(found: &Found, item: &Item) -> Vec<String> {
    let size = item.size.map_or("-".to_owned(), |ByteSize(bytes)| ByteSize(bytes).to_string());
    let secret = if item.sensitivity == Sensitivity::Secret { ", secret" } else { "" };
    let copied = format!("{}{secret}", crate::engine::phrases::copying_word(item.copying));
    let told = match &item.standing {
        Standing::Ready => brief(&item.facts),
        Standing::Impossible(why) | Standing::NotAsked(why) => format!("cannot be backed up: {why}"),
        Standing::Elsewhere(why) => why.to_string(),
        Standing::Absent(why) => format!("absent: {why}"),
    };
    vec![found.place(&item.id).to_string(), size, copied, told]
}

/// The short facts of an item on one line: texts and numbers, not lists.
pub fn brief(facts: &Value) -> String {
    let Some(map) = facts.as_object() else { return String::new() };
    let shown = map.iter().filter_map(|(key, value)| match value {
        Value::String(text) if !text.is_empty() && text.len() <= 80 => {
            Some(format!("{} {text}", key.replace('_', " ")))
        }
        Value::Number(number) => Some(format!("{} {number}", key.replace('_', " "))),
        Value::Bool(true) => Some(key.replace('_', " ")),
        _ => None,
    });
    shown.take(5).collect::<Vec<_>>().join(", ")
}
