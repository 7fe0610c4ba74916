//! `backup`: every item meant, each its own plan and run.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::app::App;
use super::args::{Backup, pairs};
use super::look::compare_hosts;
use super::plans::{Answers, answer_gates, render_plan};
use super::progress::{Watched, follow_all};
use crate::config::target::Items;
use crate::engine::desk::{LOOKS, Store};
use crate::engine::jobs::{Job, run_all};
use crate::engine::links::Links;
use crate::engine::planner::{may_not_fit, plan_backup_of};
use crate::engine::runs::Report;
use crate::engine::scan::{Found, Wanted};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::ItemRef;
use crate::model::item::Standing;
use crate::model::units::ByteSize;
use crate::vault::{Catalogue, DOUBT, Vault};

/// Backs up what was selected; what should be saved and cannot be fails the command.
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
    let mut jobs = plan_all(app, store.as_ref(), backup, &links, &services, &mut exits);
    let free = free_room(app, store.as_ref());
    for job in &mut jobs {
        job.planned.expect_room(free);
        render_plan(app, &job.planned);
    }
    tell_room_of_all(app, &jobs, free);
    if let Some(store) = &store {
        let planned: Vec<_> = jobs.iter().map(|job| &job.planned).collect();
        let confirmed = answer_gates(app, &planned, &backup.planning)?;
        exits.extend(run_jobs(app, backup, store, &links, &jobs, &confirmed));
        if exits.iter().any(|exit| is_saved(*exit))
            && let Err(failure) = app.desk.keep_beside(store)
        {
            exits.push(failure.exit);
            app.out.failure(&failure);
        }
    } else {
        exits.extend(jobs.iter().map(|_| Exit::Done));
    }
    if exits.is_empty() {
        return Err(Failure::new(Exit::Nothing, "None of the selected items can be backed up."));
    }
    // Everything was saved, and some of it does not count: that is no part that was not done.
    if exits.contains(&Exit::Warning) && exits.iter().all(|exit| is_saved(*exit)) {
        return Ok(Exit::Warning);
    }
    Ok(Exit::of_all(exits))
}

/// Whether an item's end left a copy in the vault.
fn is_saved(exit: Exit) -> bool {
    matches!(exit, Exit::Done | Exit::Warning)
}

/// The room on the vault's disk. Who only wants a plan may have no vault yet.
fn free_room(app: &App, store: Option<&Store>) -> Option<u64> {
    let settings = &app.desk.inventory.vault;
    match store {
        Some(store) => store.vault.free(),
        None => Vault::open(&settings.path, settings.id.as_deref()).ok()?.free(),
    }
}

/// Says so when each copy may fit by itself, and all of them together may not.
fn tell_room_of_all(app: &App, jobs: &[Job], free: Option<u64>) {
    let sizes = || jobs.iter().filter_map(|job| job.planned.item.size).map(|ByteSize(size)| size);
    let ByteSize(sum) = sizes().sum();
    if let Some(free) = free.filter(|free| sum > *free && sizes().all(|size| size <= *free)) {
        app.out.aside(format!("warning: together {}", may_not_fit(sum, free)));
    }
}

/// Looks at every service and plans each item meant; what cannot be planned is said and leaves its exit.
fn plan_all(
    app: &App,
    store: Option<&Store>,
    backup: &Backup,
    links: &Links,
    services: &[(Wanted, Items)],
    exits: &mut Vec<Exit>,
) -> Vec<Job> {
    let wanted: Vec<Wanted> = services.iter().map(|(wanted, _)| wanted.clone()).collect();
    let looked = app.desk.prober(links).probe_all(&wanted, LOOKS);
    let (set, fleet) = (pairs(&backup.planning.set), compare_hosts(&app.desk, &looked));
    let (mut jobs, saved) = (Vec::new(), Saved::default());
    for ((wanted, found), (_, items)) in looked.into_iter().zip(services) {
        let found = match found {
            Ok(found) => found,
            Err(failure) => {
                let whose = format!("{}/{}", wanted.owner, wanted.entry.name);
                app.out.failure(&named(&whose, not_begun(failure.clone(), backup)));
                exits.push(failure.exit);
                continue;
            }
        };
        for place in meant(app, (store, &saved), &found, items, exits) {
            match plan_backup_of(found.clone(), &place, backup.reason.clone(), &set) {
                Ok(mut planned) => {
                    planned.expect_twins(&fleet, app.desk.clock.now());
                    jobs.push(Job::new(place, planned));
                }
                Err(failure) => {
                    let failure = not_begun(failure, backup);
                    app.out.failure(&failure);
                    exits.push(failure.exit);
                }
            }
        }
    }
    jobs
}

/// The failure of what could not be planned. Of a call that is to change something it says that this was not touched.
fn not_begun(failure: Failure, backup: &Backup) -> Failure {
    if backup.planning.plan { failure } else { failure.unchanged() }
}

/// Runs every job, with what was confirmed for it, and tells what each came to, in the order they were named.
fn run_jobs(
    app: &App,
    backup: &Backup,
    store: &Store,
    links: &Links,
    jobs: &[Job],
    confirmed: &[Answers],
) -> Vec<Exit> {
    let several = jobs.len() > 1;
    let watched: Vec<_> = jobs
        .iter()
        .map(|job| Watched { board: &job.board, plan: &job.planned.plan, job: several.then_some(job) })
        .collect();
    let cancel = &app.desk.cancel;
    let none = Answers::new();
    let one = |job: &Job| {
        let at = jobs.iter().position(|other| std::ptr::eq(other, job));
        let confirmed = at.and_then(|at| confirmed.get(at)).unwrap_or(&none);
        let runs = app.desk.runs(store, links, job.board.clone(), cancel.clone());
        runs.run(&job.planned, None, confirmed)
    };
    let results = follow_all(app, &watched, || run_all(jobs, usize::from(backup.jobs), cancel, one));
    let mut exits = Vec::new();
    for (job, result) in jobs.iter().zip(results) {
        match result {
            Ok(report) => {
                tell(app, &job.place, &report);
                exits.push(end_of(&report));
            }
            Err(failure) => {
                exits.push(failure.exit);
                app.out.failure(&if several { named(&job.place.to_string(), failure) } else { failure });
            }
        }
    }
    if several {
        let done = exits.iter().filter(|exit| is_saved(**exit)).count();
        app.out.aside(format!("{done} of {} backed up", jobs.len()));
    }
    exits
}

/// The failure with whose it is, unless it says so itself.
fn named(whose: &str, failure: Failure) -> Failure {
    if failure.message.starts_with(whose) {
        return failure;
    }
    let message = format!("{whose}: {}", failure.message);
    Failure { message, ..failure }
}

/// The items to back up. What cannot be saved although it should be is a failure, also under a wide selector: an
/// unattended `backup all` must not end well over it. What nobody asked for, or was never there, is only said.
fn meant(
    app: &App,
    (store, saved): (Option<&Store>, &Saved),
    found: &Found,
    items: &Items,
    exits: &mut Vec<Exit>,
) -> Vec<ItemRef> {
    let mut places = Vec::new();
    for item in found.items.iter().filter(|item| items.contains(&item.id)) {
        let place = found.place(&item.id);
        let (why, exit) = match &item.standing {
            Standing::Ready => {
                places.push(place);
                continue;
            }
            _ if matches!(items, Items::Matching(_)) => (item.standing.why(), Exit::Nothing),
            Standing::Impossible(why) => (why.as_str(), Exit::Failed),
            Standing::Absent(why) if saved.has(store, &place) => (why.as_str(), Exit::Failed),
            Standing::NotAsked(why) | Standing::Elsewhere(why) | Standing::Absent(why) => (why.as_str(), Exit::Done),
        };
        let is_failure = exit != Exit::Done;
        app.out.document("skipped", &json!({"item": place, "standing": item.standing, "failed": is_failure}));
        app.out.aside(format!("{place}: not backed up: {why}"));
        if is_failure {
            exits.push(exit);
        }
    }
    places
}

/// Every item the vault holds a copy of, read when it is first asked for.
#[derive(Default)]
struct Saved(OnceCell<BTreeSet<ItemRef>>);

impl Saved {
    /// Whether there are copies of an item; one that is not there now then went missing. Without a vault nobody knows.
    fn has(&self, store: Option<&Store>, place: &ItemRef) -> bool {
        let read = || {
            let mut items = BTreeSet::new();
            let mut visit = |shelf: &mut Catalogue| items.extend(shelf.snapshots.first().map(|one| one.item().clone()));
            // A vault that cannot be listed is told by the runs that write to it.
            let _ = store.map(|store| store.vault.walk(&mut visit));
            items
        };
        self.0.get_or_init(read).contains(place)
    }
}

fn tell(app: &App, place: &ItemRef, report: &Report) {
    app.out.document("backed-up", &json!({"item": place, "report": report}));
    let texts = |out: &Value, key: &str| -> Vec<String> {
        out[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (kept, others): (Vec<_>, Vec<_>) = report.outs.values().partition(|out| out.get("snapshot").is_some());
    for out in kept {
        let size = ByteSize(out["bytes"].as_u64().unwrap_or(0));
        let rung = if is_damaged(out) {
            "damaged"
        } else if is_doubted(out) {
            "suspect"
        } else {
            "verified"
        };
        app.out.line(format!("{place}@{}  {size}  {rung}", out["snapshot"].as_str().unwrap_or("?")));
        for remark in texts(out, "remarks") {
            app.out.line(format!("  {remark}"));
        }
        for mark in texts(out, "marks") {
            app.out.line(format!("  mark: {mark}"));
        }
    }
    for out in others {
        for remark in texts(out, "remarks") {
            app.out.line(format!("  {remark}"));
        }
    }
}

/// What a backup that was made ends with: one of damaged files, or one that something speaks against, is kept, and no end
/// that goes unseen.
fn end_of(report: &Report) -> Exit {
    if report.outs.values().any(|out| is_damaged(out) || is_doubted(out)) { Exit::Warning } else { Exit::Done }
}

/// Whether something was found against the copy while it was made.
fn is_doubted(out: &Value) -> bool {
    out[DOUBT].is_string()
}

/// Whether a capture kept what was damaged on the node.
fn is_damaged(out: &Value) -> bool {
    out["damaged"].as_array().is_some_and(|found| !found.is_empty())
}
