//! `backup`: every item meant, each its own plan and run.

use serde_json::json;

use super::app::App;
use super::args::{Backup, pairs};
use super::plans::{answer_gates, follow, render_plan};
use crate::config::target::Items;
use crate::engine::capture::vault_failure;
use crate::engine::desk::Store;
use crate::engine::links::Links;
use crate::engine::planner::Planned;
use crate::engine::runs::Report;
use crate::engine::scan::{Found, Wanted};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::ItemRef;
use crate::model::item::Standing;
use crate::model::units::ByteSize;

/// Backs up what was selected; items that cannot be are said, and only those asked for by name fail the command.
pub fn run_backup(app: &mut App, backup: &Backup) -> Result<Exit> {
    if !backup.planning.plan {
        app.may_change()?;
    }
    let targets = app.desk.select(&backup.selectors)?;
    let services = app.desk.services_of(&targets);
    if services.is_empty() {
        return Err(Failure::new(Exit::Nothing, "None of what was selected has a service in the inventory."));
    }
    let store = if backup.planning.plan { None } else { Some(app.store()?) };
    let links = app.desk.links();
    let mut exits = Vec::new();
    for (wanted, items) in &services {
        match app.desk.prober(&links).probe(wanted) {
            Ok(found) => {
                for place in meant(app, &found, items, &mut exits) {
                    exits.push(one(app, backup, store.as_ref(), &links, &place));
                }
            }
            Err(failure) => {
                app.out.failure(&named(wanted, failure.clone()));
                exits.push(failure.exit);
            }
        }
    }
    if let Some(store) = store.as_ref().filter(|_| exits.contains(&Exit::Done)) {
        keep_beside(app, store)?;
    }
    if exits.is_empty() {
        return Err(Failure::new(Exit::Nothing, "None of the selected items can be backed up."));
    }
    Ok(Exit::of_all(exits))
}

/// What a rebuild needs to know lies beside the snapshots too: the inventory, which holds no secret, and the host keys.
fn keep_beside(app: &App, store: &Store) -> Result<()> {
    for (name, path) in
        [("inventory.toml", app.desk.inventory.path.clone()), ("known_hosts", app.desk.paths.known_hosts())]
    {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(Failure::new(Exit::Failed, format!("{} cannot be read: {error}.", path.display())));
            }
        };
        store.vault.save_companion(name, &bytes, &*app.desk.entropy).map_err(|e| vault_failure(&e))?;
    }
    Ok(())
}

fn named(wanted: &Wanted, failure: Failure) -> Failure {
    let message = format!("{}/{}: {}", wanted.owner, wanted.entry.name, failure.message);
    Failure { message, ..failure }
}

/// The items to back up. One that was asked for by name and cannot be is a failure; swept up by a wider selector it is only said.
fn meant(app: &App, found: &Found, items: &Items, exits: &mut Vec<Exit>) -> Vec<ItemRef> {
    let mut places = Vec::new();
    for item in found.items.iter().filter(|item| items.contains(&item.id)) {
        let place = found.place(&item.id);
        match &item.standing {
            Standing::Ready => places.push(place),
            Standing::Impossible(why) | Standing::Absent(why) => {
                app.out.aside(format!("{place}: not backed up: {why}"));
                if matches!(items, Items::Matching(_)) {
                    exits.push(Exit::Nothing);
                }
            }
        }
    }
    places
}

fn one(app: &App, backup: &Backup, store: Option<&Store>, links: &Links, place: &ItemRef) -> Exit {
    let done = plan_one(app, backup, links, place).and_then(|planned| {
        render_plan(app, &planned);
        let Some(store) = store else { return Ok(Exit::Done) };
        let confirmed = pairs(&backup.planning.confirm);
        answer_gates(app, &planned, &backup.planning)?;
        let runs = app.runs(store, links);
        let report = follow(app, &runs.board, &planned.plan, || runs.run(&planned, None, &confirmed))?;
        tell(app, place, &report);
        Ok(Exit::Done)
    });
    done.unwrap_or_else(|failure| {
        app.out.failure(&failure);
        failure.exit
    })
}

fn plan_one(app: &App, backup: &Backup, links: &Links, place: &ItemRef) -> Result<Planned> {
    app.desk.prober(links).plan_backup(place, backup.reason.clone(), &pairs(&backup.planning.set))
}

fn tell(app: &App, place: &ItemRef, report: &Report) {
    app.out.document("backed-up", &json!({"item": place, "report": report}));
    for out in report.outs.values().filter(|out| out.get("snapshot").is_some()) {
        let size = ByteSize(out["bytes"].as_u64().unwrap_or(0));
        app.out.line(format!("{place}@{}  {size}  verified", out["snapshot"].as_str().unwrap_or("?")));
        for remark in out["remarks"].as_array().into_iter().flatten() {
            app.out.line(format!("  {}", remark.as_str().unwrap_or("?")));
        }
        for mark in out["marks"].as_array().into_iter().flatten() {
            app.out.line(format!("  mark: {}", mark.as_str().unwrap_or("?")));
        }
    }
}
