//! `backup`: every item meant, each its own plan and run.

use serde_json::json;

use super::app::App;
use super::args::{Backup, pairs};
use super::plans::{answer_gates, render_plan};
use super::progress::{Watched, follow_all};
use crate::config::target::Items;
use crate::engine::capture::vault_failure;
use crate::engine::desk::{LOOKS, Store};
use crate::engine::jobs::{Job, run_all};
use crate::engine::links::Links;
use crate::engine::planner::plan_backup_of;
use crate::engine::runs::Report;
use crate::engine::scan::{Found, Wanted};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::ItemRef;
use crate::model::item::Standing;
use crate::model::units::ByteSize;

/// Backs up what was selected; items that cannot be are said, and only those asked for by name fail the command.
///
/// Everything is looked at and planned first, and every gate answered; then hosts are worked on side by side.
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
    let jobs = plan_all(app, backup, &links, &services, &mut exits);
    for job in &jobs {
        render_plan(app, &job.planned);
    }
    if let Some(store) = &store {
        let planned: Vec<_> = jobs.iter().map(|job| &job.planned).collect();
        answer_gates(app, &planned, &backup.planning)?;
        exits.extend(run_jobs(app, backup, store, &links, &jobs));
        if exits.contains(&Exit::Done) {
            keep_beside(app, store)?;
        }
    } else {
        exits.extend(jobs.iter().map(|_| Exit::Done));
    }
    if exits.is_empty() {
        return Err(Failure::new(Exit::Nothing, "None of the selected items can be backed up."));
    }
    Ok(Exit::of_all(exits))
}

/// Looks at every service and plans each item meant; what cannot be planned is said and leaves its exit.
fn plan_all(
    app: &App,
    backup: &Backup,
    links: &Links,
    services: &[(Wanted, Items)],
    exits: &mut Vec<Exit>,
) -> Vec<Job> {
    let wanted: Vec<Wanted> = services.iter().map(|(wanted, _)| wanted.clone()).collect();
    let looked = app.desk.prober(links).probe_all(&wanted, LOOKS);
    let set = pairs(&backup.planning.set);
    let mut jobs = Vec::new();
    for ((wanted, found), (_, items)) in looked.into_iter().zip(services) {
        let found = match found {
            Ok(found) => found,
            Err(failure) => {
                app.out.failure(&named(&format!("{}/{}", wanted.owner, wanted.entry.name), failure.clone()));
                exits.push(failure.exit);
                continue;
            }
        };
        for place in meant(app, &found, items, exits) {
            match plan_backup_of(found.clone(), &place, backup.reason.clone(), &set) {
                Ok(planned) => jobs.push(Job::new(place, planned)),
                Err(failure) => {
                    app.out.failure(&failure);
                    exits.push(failure.exit);
                }
            }
        }
    }
    jobs
}

/// Runs every job and tells what each came to, in the order they were named.
fn run_jobs(app: &App, backup: &Backup, store: &Store, links: &Links, jobs: &[Job]) -> Vec<Exit> {
    let confirmed = pairs(&backup.planning.confirm);
    let several = jobs.len() > 1;
    let watched: Vec<_> = jobs
        .iter()
        .map(|job| Watched { board: &job.board, plan: &job.planned.plan, job: several.then_some(job) })
        .collect();
    let cancel = &app.desk.cancel;
    let one = |job: &Job| {
        let runs = app.desk.runs(store, links, job.board.clone(), cancel.clone());
        runs.run(&job.planned, None, &confirmed)
    };
    let results = follow_all(app, &watched, || run_all(jobs, usize::from(backup.jobs), cancel, one));
    let mut exits = Vec::new();
    for (job, result) in jobs.iter().zip(results) {
        match result {
            Ok(report) => {
                tell(app, &job.place, &report);
                exits.push(Exit::Done);
            }
            Err(failure) => {
                exits.push(failure.exit);
                app.out.failure(&if several { named(&job.place.to_string(), failure) } else { failure });
            }
        }
    }
    if several {
        let done = exits.iter().filter(|exit| **exit == Exit::Done).count();
        app.out.aside(format!("{done} of {} backed up", jobs.len()));
    }
    exits
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

/// The failure with whose it is, unless it says so itself.
fn named(whose: &str, failure: Failure) -> Failure {
    if failure.message.starts_with(whose) {
        return failure;
    }
    let message = format!("{whose}: {}", failure.message);
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
