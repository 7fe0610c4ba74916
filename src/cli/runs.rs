//! `runs`, `resume` and `kept`: what happened, what is true now, and what was left aside.

use serde_json::json;

use super::app::App;
use super::args::Resume as Args;
use super::output::table;
use super::plans::follow;
use crate::engine::desk::hosts_of;
use crate::engine::node_run::{list_kept, list_runs, purge_kept};
use crate::engine::phrases::exit_phrase;
use crate::engine::runs::{Resume, Told};
use crate::model::event::EventKind;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, RunId};
use crate::model::plan::Command;
use crate::vault::{Snapshot, Vault};

/// Lists the vault's runs, shows one, or asks a node for those that lie on it.
pub fn run_runs(app: &App, run: Option<&str>, on: Option<&str>) -> Result<Exit> {
    if let Some(host) = on {
        return on_node(app, host);
    }
    let store = app.store()?;
    let links = app.desk.links();
    let runs = app.runs(&store, &links);
    if let Some(run) = run {
        show(app, &runs.find(run)?);
        return Ok(Exit::Done);
    }
    let mut rows = Vec::new();
    for (name, told) in runs.list()? {
        match told {
            Ok(told) => {
                app.out.document("run", &json!({"run": told.run, "command": told.plan.command, "ended": told.ended.as_ref().map(|(exit, _)| exit), "receipt": told.receipt}));
                rows.push(vec![name, what(&told), how(&told)]);
            }
            Err(failure) => rows.push(vec![name, "?".into(), failure.message]),
        }
    }
    for line in table(&["RUN", "WHAT", "ENDED"], &rows) {
        app.out.line(line);
    }
    Ok(Exit::Done)
}

fn what(told: &Told) -> String {
    match &told.plan.command {
        Command::Backup { item, .. } => format!("backup {item}"),
        Command::Restore { item, snapshot, to } => format!("restore {item}@{snapshot} to {to}"),
    }
}

fn how(told: &Told) -> String {
    let receipt = told.receipt.map_or("no receipt".to_owned(), |number| format!("receipt {number}"));
    match &told.ended {
        None => "interrupted: lifeboat resume".to_owned(),
        Some((exit, _)) => format!("{}, {receipt}", exit_phrase(*exit)),
    }
}

fn show(app: &App, told: &Told) {
    app.out
        .document("run", &json!({"run": told.run, "plan": told.plan, "events": told.events, "receipt": told.receipt}));
    app.out.line(format!("{}  {}", told.run, what(told)));
    for event in &told.events {
        let text = match &event.kind {
            EventKind::RunStarted { console, plan_hash, .. } => format!("started by {console}, plan {plan_hash}"),
            EventKind::RunAdopted { console, epoch } => format!("taken up by {console}, epoch {epoch}"),
            EventKind::StepStarted { step, .. } => format!("began    {step}"),
            EventKind::StepFinished { step, .. } => format!("done     {step}"),
            EventKind::StepSkipped { step, .. } => format!("already  {step}"),
            EventKind::StepFailed { step, failure } => format!("FAILED   {step}: {failure}"),
            EventKind::StepReverted { step } => format!("undone   {step}"),
            EventKind::RevertFailed { step, failure } => format!("NOT UNDONE {step}: {failure}"),
            EventKind::GuardArmed { guard } => format!("armed    guard {guard}"),
            EventKind::GuardFired { guard } => format!("ACTED    guard {guard}"),
            EventKind::GuardDisarmed { guard } => format!("disarmed guard {guard}"),
            EventKind::Undoes { undone, .. } => format!("undoes   run {undone}"),
            EventKind::Note { text } => format!("note     {text}"),
            EventKind::RunFinished { exit, failure } => {
                format!(
                    "ended    {}{}",
                    exit_phrase(*exit),
                    failure.as_ref().map_or(String::new(), |f| format!(": {f}"))
                )
            }
        };
        app.out.line(format!("  {}  {text}", event.at.strftime("%Y-%m-%d %H:%M:%SZ")));
    }
    app.out.line(format!("  {}", how(told)));
}

fn host_id(app: &App, host: &str) -> Result<HostId> {
    HostId::new(host)
        .ok()
        .filter(|id| app.desk.inventory.hosts.contains_key(id))
        .ok_or_else(|| crate::engine::doctor::unknown_host(host))
}

fn on_node(app: &App, host: &str) -> Result<Exit> {
    let host = host_id(app, host)?;
    let links = app.desk.links();
    let found = app.desk.prober(&links).on(&host, list_runs)?;
    let mut rows = Vec::new();
    for run in found {
        app.out.document("node-run", &json!({"host": host, "run": run.run, "owner": run.owner, "guarded": run.is_guarded, "fired": run.fired, "service": run.key}));
        let guard = match (&run.fired, run.is_guarded) {
            (Some(fired), _) => format!("acted {fired}"),
            (None, true) => "counting".to_owned(),
            (None, false) => "none".to_owned(),
        };
        rows.push(vec![run.run.to_string(), run.key.to_string(), run.owner.to_string(), guard]);
    }
    if rows.is_empty() {
        app.out.line(format!("No run lies on {host}."));
    } else {
        for line in table(&["RUN", "SERVICE", "CONSOLE AND EPOCH", "GUARD"], &rows) {
            app.out.line(line);
        }
    }
    Ok(Exit::Done)
}

/// The snapshot a run restores, when this vault has it.
fn snapshot_of(vault: &Vault, told: &Told) -> Option<Snapshot> {
    let Command::Restore { item, snapshot, .. } = &told.plan.command else { return None };
    vault.snapshot(item, snapshot, &mut Vec::new()).ok()
}

/// Takes up an interrupted run.
pub fn run_resume(app: &App, args: &Args) -> Result<Exit> {
    app.may_change()?;
    let store = app.store()?;
    let links = app.desk.links();
    let runs = app.runs(&store, &links);
    let told = match &args.on {
        Some(host) => {
            let run = RunId::new(args.run.clone()).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
            runs.read_from(&host_id(app, host)?, &run)?
        }
        None => runs.find(&args.run)?,
    };
    let owner = told.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::RunStarted { console, .. } | EventKind::RunAdopted { console, .. } => Some(console.clone()),
        _ => None,
    });
    if let Some(owner) = owner.filter(|owner| owner != store.console.id() && !args.adopt) {
        return Err(Failure::new(Exit::Confirmation, format!("Run {} belongs to console {owner}.", told.run))
            .hint(format!("If that console is gone, take the run over: lifeboat resume {} --adopt", args.run)));
    }
    let how = match (args.roll_back, args.leave) {
        (true, _) => Resume::RollBack,
        (_, true) => Resume::Leave,
        _ => Resume::GoOn,
    };
    let snapshot = snapshot_of(&store.vault, &told);
    let report = follow(app, &runs.board, &told.plan, || runs.resume(&told, how, snapshot))?;
    app.out.document("resumed", &json!({"report": report}));
    app.out.line(match how {
        Resume::GoOn => format!("finished: run {}, receipt {}", report.run, report.receipt),
        Resume::RollBack => format!("rolled back: run {}, receipt {}", report.run, report.receipt),
        Resume::Leave => format!("left as it is: run {}, receipt {}", report.run, report.receipt),
    });
    Ok(Exit::Done)
}

/// Lists what restores kept aside on nodes, or removes it.
pub fn run_kept(app: &mut App, selectors: &[String], purge: bool, confirm: &[(String, String)]) -> Result<Exit> {
    if purge {
        app.may_change()?;
    }
    let hosts = hosts_of(&app.desk.select(selectors)?);
    let confirmed = super::args::pairs(confirm);
    let links = app.desk.links();
    let prober = app.desk.prober(&links);
    let mut exits = Vec::new();
    for host in hosts {
        let kept = match prober.on(&host, list_kept) {
            Ok(kept) => kept,
            Err(failure) => {
                app.out.failure(&failure);
                exits.push(failure.exit);
                continue;
            }
        };
        for entry in &kept {
            app.out.document("kept", &json!({"host": host, "run": entry.run, "paths": entry.paths}));
            app.out.line(format!("{host}  run {}  {}", entry.run, entry.paths.join(", ")));
        }
        if purge && !kept.is_empty() {
            if confirmed.get("purge").map(String::as_str) != Some(host.as_str()) {
                return Err(Failure::new(
                    Exit::Confirmation,
                    format!("Nothing was removed from {host}: a rollback needs what is kept."),
                )
                .hint(format!("--confirm purge={host}")));
            }
            for entry in &kept {
                prober.on(&host, |cx| purge_kept(cx, entry))?;
            }
            app.out.line(format!("{host}  removed"));
        }
        exits.push(Exit::Done);
    }
    Ok(Exit::of_all(exits))
}
