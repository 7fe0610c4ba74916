//! `restore` and `rollback`.

use serde_json::json;

use super::app::App;
use super::args::{Planning, Restore, pairs};
use super::plans::{answer_gates, ask_yes, follow, render_plan};
use crate::engine::capture::vault_failure;
use crate::engine::desk::Store;
use crate::engine::links::Links;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::vault::{Policy, SnapshotRef};

/// Restores each snapshot in the order given; the first that fails ends the command.
pub fn run_restore(app: &mut App, restore: &Restore) -> Result<Exit> {
    if !restore.planning.plan {
        app.may_change()?;
    }
    let store = app.store()?;
    let host = HostId::new(restore.to.clone()).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
    let links = app.desk.links();
    for snapshot in &restore.snapshots {
        one(app, &store, &links, snapshot, &host, &restore.planning)?;
    }
    Ok(Exit::Done)
}

fn one(app: &App, store: &Store, links: &Links, wanted: &str, host: &HostId, planning: &Planning) -> Result<()> {
    let reference: SnapshotRef = wanted.parse().map_err(|e| vault_failure(&e))?;
    let selected = store.vault.select(&reference, &Policy::default()).map_err(|e| vault_failure(&e))?;
    for passed in &selected.passed_over {
        app.out.aside(format!("passed over: {passed}"));
    }
    let snapshot = selected.snapshot;
    if !planning.plan {
        // A key that does not open it must be known before anything is stopped.
        store.vault.openable(&snapshot, &store.keys).map_err(|e| vault_failure(&e))?;
    }
    let planned = app.desk.prober(links).plan_restore(snapshot.manifest(), host, &pairs(&planning.set))?;
    render_plan(app, &planned);
    if planning.plan {
        return Ok(());
    }
    let confirmed = pairs(&planning.confirm);
    answer_gates(app, &planned, planning)?;
    let runs = app.runs(store, links);
    let report = follow(app, &runs.board, &planned.plan, || runs.run(&planned, Some(snapshot), &confirmed))?;
    app.out.document("restored", &json!({"to": host, "report": report}));
    let worth = if planned.plan.proves { "restored and proven" } else { "restored; nothing proved it" };
    app.out.line(format!("{worth}: {wanted} on {host}, run {}, receipt {}", report.run, report.receipt));
    for left in &planned.plan.leaves {
        app.out.line(format!("  {}", left.as_str().replace("{run}", report.run.as_str())));
    }
    if planned.plan.can_be_rolled_back() {
        app.out.line(format!("  undo it: lifeboat rollback {}", report.run));
    }
    Ok(())
}

/// Undoes a finished run from what it kept aside.
pub fn run_rollback(app: &mut App, run: &str, planning: &Planning) -> Result<Exit> {
    if !planning.plan {
        app.may_change()?;
    }
    let store = app.store()?;
    let links = app.desk.links();
    let runs = app.runs(&store, &links);
    let told = runs.find(run)?;
    app.out.line(format!("Undo run {}", told.run));
    for step in told.plan.steps.iter().rev() {
        if let Ok(op) = crate::services::op(&step.op)
            && let Ok(what) = op.tell(&step.args)
        {
            app.out.line(format!("  {:<10} {}", step.host.as_str(), what.undo));
        }
    }
    if planning.plan {
        return Ok(Exit::Done);
    }
    let confirmed = pairs(&planning.confirm);
    let is_said = confirmed.get("rollback").map(String::as_str) == Some(told.run.as_str());
    if !is_said && !ask_yes(app, "What runs now is replaced by what was kept.")? {
        return Err(Failure::new(Exit::Confirmation, "Nothing was changed: the rollback must be confirmed first.")
            .hint(format!("--confirm rollback={}", told.run)));
    }
    let report = follow(app, &runs.board, &told.plan, || runs.rollback(&told))?;
    app.out.document("rolled-back", &json!({"undone": told.run, "report": report}));
    app.out.line(format!("rolled back: run {}, receipt {}", told.run, report.receipt));
    Ok(Exit::Done)
}
