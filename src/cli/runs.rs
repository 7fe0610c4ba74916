//! `runs`, `resume` and `kept`: what happened, what is true now, and what was left aside.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::app::App;
use super::args::{Resume as Args, pairs};
use super::output::table;
use super::plans::{answer_all, check_hash, choice_line, follow, render_gates, render_sheet, render_steps};
use crate::engine::canonical::plan_hash;
use crate::engine::capture::vault_failure;
use crate::engine::desk::hosts_of;
use crate::engine::holdings::Holdings;
use crate::engine::node_run::{list_kept, list_runs, purge_kept};
use crate::engine::phrases::{exit_phrase, resume_phrase};
use crate::engine::runs::{Brief, Confirmed, Copied, Resume, Sheet, Told};
use crate::model::event::EventKind;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GateId, HostId};
use crate::model::plan::{Command, Gate};

/// Lists the vault's runs, shows one, or asks a node for those that lie on it.
pub fn run_runs(app: &App, run: Option<&str>, on: Option<&str>) -> Result<Exit> {
    if let Some(host) = on {
        return on_node(app, host);
    }
    let store = app.store()?;
    let links = app.desk.links();
    let runs = app.runs(&store, &links);
    if let Some(run) = run {
        let told = runs.find(run)?;
        let held = Holdings::read(&store.vault, app.desk.clock.now()).map_err(|error| vault_failure(&error))?;
        show(app, &told, &held);
        return Ok(Exit::Done);
    }
    let (mut rows, mut exits) = (Vec::new(), BTreeSet::new());
    for (name, told) in runs.list()? {
        match told {
            Ok(told) => {
                app.out.document("run", &json!({"run": told.run, "command": told.command, "undoes": told.undoes, "ended": told.ended, "receipt": told.receipt}));
                rows.push(vec![name, what(&told), how(&told)]);
            }
            Err(failure) => {
                let mut told = json!(failure);
                told["run"] = json!(name);
                app.out.document("failure", &told);
                exits.insert(failure.exit.code());
                rows.push(vec![name, "?".into(), failure.message]);
            }
        }
    }
    for line in table(&["RUN", "WHAT", "ENDED"], &rows) {
        app.out.line(line);
    }
    Ok(if exits.contains(&Exit::Integrity.code()) {
        Exit::Integrity
    } else if exits.is_empty() {
        Exit::Done
    } else {
        Exit::Partly
    })
}

fn what(told: &Brief) -> String {
    if let Some(undone) = &told.undoes {
        return format!("undo run {undone}");
    }
    match &told.command {
        Command::Backup { item, .. } => format!("backup {item}"),
        Command::Restore { item, snapshot, to } => format!("restore {item}@{snapshot} to {to}"),
    }
}

fn how(told: &Brief) -> String {
    let receipt = told.receipt.map_or("no receipt".to_owned(), |number| format!("receipt {number}"));
    match &told.ended {
        None => "interrupted: lifeboat resume".to_owned(),
        Some(_) if told.was_left => format!("left as it was, {receipt}"),
        Some(exit) => format!("{}, {receipt}", exit_phrase(*exit)),
    }
}

fn show(app: &App, told: &Told, held: &Holdings) {
    let account = told.account();
    app.out.document(
        "run",
        &json!({"run": told.run, "plan": told.plan, "events": told.events, "receipt": told.receipt, "confirmed": account.confirmed, "kept": account.kept}),
    );
    app.out.line(format!("{}  {}", told.run, what(&told.brief())));
    for Confirmed { at, console, gate, word, question } in &account.confirmed {
        let at = at.strftime("%Y-%m-%d %H:%M:%SZ");
        app.out.line(format!("  confirmed {gate}={word}, at {console}, {at}"));
        app.out.lines(question.iter().map(|question| format!("            {question}")));
    }
    app.out.lines(account.choices.iter().map(choice_line));
    for event in &told.events {
        let text = match &event.kind {
            EventKind::RunStarted { console, plan_hash, .. } => format!("started by {console}, plan {plan_hash}"),
            EventKind::RunAdopted { console, epoch, how, .. } => {
                format!("taken up by {console}, epoch {epoch}, to {}", resume_phrase(*how))
            }
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
            EventKind::RunFinished { exit, failure, .. } => {
                format!(
                    "ended    {}{}",
                    exit_phrase(*exit),
                    failure.as_ref().map_or(String::new(), |f| format!(": {f}"))
                )
            }
        };
        app.out.line(format!("  {}  {text}", event.at.strftime("%Y-%m-%d %H:%M:%SZ")));
    }
    for Copied { place, id, made, marks } in told.copies() {
        match held.doubt(&place, &id) {
            Some(doubt) => app.out.line(format!("  copy {place}@{id}: {doubt}")),
            None if made => app.out.line(format!("  copy {place}@{id}")),
            None => {}
        }
        app.out.lines(marks.iter().map(|mark| format!("  mark {mark}")));
    }
    for (host, paths) in &account.kept {
        app.out.lines(paths.iter().map(|path| format!("  kept on {host}: {path}")));
    }
    if !account.kept.is_empty() {
        app.out.line("  what still lies there the nodes tell: lifeboat kept");
    }
    app.out.line(format!("  {}", how(&told.brief())));
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

/// Takes up an interrupted run.
pub fn run_resume(app: &App, args: &Args) -> Result<Exit> {
    if !args.plan {
        app.may_change()?;
    }
    let store = app.store()?;
    let links = app.desk.links();
    let runs = app.runs(&store, &links);
    let told = match &args.on {
        Some(host) => runs.find_on(&host_id(app, host)?, &args.run)?,
        None => runs.find(&args.run)?,
    };
    if !told.is_of(store.console.id()) && !args.adopt && !args.plan {
        let whose =
            told.owner().map_or("a console it does not name".to_owned(), |(owner, _)| format!("console {owner}"));
        let on = args.on.as_ref().map_or(String::new(), |host| format!(" --on {host}"));
        return Err(Failure::new(Exit::Confirmation, format!("Run {} belongs to {whose}.", told.run))
            .hint(format!("If that console is gone, take the run over: lifeboat resume {} --adopt{on}", args.run)));
    }
    let how = match (args.roll_back, args.leave) {
        (true, _) => Resume::RollBack,
        (_, true) => Resume::Leave,
        _ => Resume::GoOn,
    };
    // Going on with an undoing is to undo the rest.
    let how = if how == Resume::GoOn && told.undoes().is_some() { Resume::RollBack } else { how };
    let ahead = runs.look_before_resume(&told, how)?;
    if told.node.is_some() {
        // What was read from a node is shown whole: how each of its steps is undone, too.
        render_steps(app, &told.plan);
    }
    let (hash, sheet) = (plan_hash(&told.plan)?, Sheet::of_resume(&told, how, Some(&ahead)));
    let document = json!({"run": told.run, "plan": told.plan, "hash": hash, "gates": ahead.gates, "told": sheet});
    app.out.document("plan", &document);
    render_sheet(app, &taking_up(&told, how), &sheet);
    render_gates(app, &ahead.gates);
    app.out.line(format!("  plan {hash}"));
    if args.plan {
        return Ok(Exit::Done);
    }
    check_hash(&hash, args.plan_hash.as_deref())?;
    let confirmed = answer_all(app, &[(String::new(), &ahead.gates)], &pairs(&args.confirm))?.pop().unwrap_or_default();
    let snapshot = told.snapshot_in(&store.vault);
    let report = follow(app, &runs.board, &told.plan, || runs.resume(&told, how, snapshot, &confirmed))?;
    app.out.document("resumed", &json!({"report": report}));
    app.out.line(match how {
        Resume::GoOn => format!("finished: run {}, receipt {}", report.run, report.receipt),
        Resume::RollBack => format!("rolled back: run {}, receipt {}", report.run, report.receipt),
        Resume::Leave => format!("left as it is: run {}, receipt {}", report.run, report.receipt),
    });
    tell_kept(app, &report.kept);
    Ok(Exit::Done)
}

/// What becomes of a run that is taken up, as a title.
fn taking_up(told: &Told, how: Resume) -> String {
    match how {
        Resume::GoOn => format!("Take up run {}: {}", told.run, what(&told.brief())),
        Resume::RollBack => format!("Undo run {}: {}", told.run, what(&told.brief())),
        Resume::Leave => format!("Leave run {} as things are: {}", told.run, what(&told.brief())),
    }
}

/// Names what lies aside on nodes, and how it is removed.
fn tell_kept(app: &App, kept: &BTreeMap<HostId, Vec<String>>) {
    for (host, paths) in kept {
        app.out.lines(paths.iter().map(|path| format!("  kept on {host}: {path}")));
        app.out.line(format!("  remove it when nobody needs it any more: lifeboat kept {host} --purge"));
    }
}

/// Lists what restores kept aside on nodes, or removes it.
pub fn run_kept(app: &mut App, selectors: &[String], purge: bool, confirm: &[(String, String)]) -> Result<Exit> {
    if purge {
        app.may_change()?;
    }
    let hosts = hosts_of(&app.desk.select(selectors)?);
    let links = app.desk.links();
    let prober = app.desk.prober(&links);
    let (mut exits, mut found) = (BTreeMap::new(), Vec::new());
    for host in hosts {
        match prober.on(&host, list_kept) {
            Ok(kept) => {
                for entry in &kept {
                    app.out.document("kept", &json!({"host": host, "run": entry.run, "paths": entry.paths}));
                    app.out.line(format!("{host}  run {}  {}", entry.run, entry.paths.join(", ")));
                }
                exits.insert(host.clone(), Exit::Done);
                found.push((host, kept));
            }
            Err(failure) => {
                exits.insert(host, failure.exit);
                app.out.failure(&if purge { failure.unchanged() } else { failure });
            }
        }
    }
    found.retain(|(_, kept)| !kept.is_empty());
    if purge && !found.is_empty() {
        let gates = found.iter().map(|(host, _)| purge_gate(host)).collect::<Result<Vec<_>>>()?;
        answer_all(app, &[(String::new(), &gates)], &pairs(confirm))?;
        for (host, kept) in &found {
            // A node that cannot be purged keeps nobody from purging the others.
            match prober.on(host, |cx| purge_kept(cx, kept)) {
                Ok(()) => {
                    app.out.document("purged", &json!({"host": host}));
                    app.out.line(format!("{host}  removed"));
                }
                Err(failure) => {
                    exits.insert(host.clone(), failure.exit);
                    app.out.failure(&failure.hint(format!("See what is still kept there: lifeboat kept {host}")));
                }
            }
        }
    }
    Ok(Exit::of_all(exits.into_values()))
}

/// What must be stated before what is kept on a host is removed.
fn purge_gate(host: &HostId) -> Result<Gate> {
    let id = GateId::new(format!("purge-{host}")).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
    let question = format!("What is kept on {host} is removed; a rollback needs it, and nothing brings it back.");
    Ok(Gate { id, question: question.as_str().into(), word: host.to_string() })
}
