//! The steps of a backup and of a restore. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::compare::{At, CompareArgs, ResumeArgs};
use super::probe::{Own, own_of};
use super::ready::{ReadyArgs, Target};
use super::settings::{self, Compress, Settings, split};
use super::sink::{Place, SinkArgs, compression_of};
use super::source::{Entry, SourceArgs};
use super::{COMPRESS_CHOICE, KIND, OWNERS_CHOICE};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GateId, UnitName};
use crate::model::manifest::Manifest;
use crate::model::plan::{Effect, Gate, Step};
use crate::model::units::Seconds;
use crate::services::common::{
    DeclaredArgs, Downtime, StepMaker, SwapArgs, args_of, capture_step, deliver_step, kept_path, staged_path,
};
use crate::services::{Ask, Draft};
use crate::transport::quote::quote;

const GUARD: &str = "files";

/// What holds the files still, as this plan does it.
enum Still {
    /// Nothing: they are read, or swapped, in use.
    No,
    /// A unit that runs now is stopped.
    Unit(UnitName),
    /// Declared commands.
    Commands { quiesce: String, resume: String },
}

impl Still {
    /// `undoable`: whether going back after it was let go means holding the files still once more.
    fn down(&self, ask: &Ask, undoable: bool) -> Result<Downtime> {
        match self {
            Self::No => Ok(Downtime::none(ask.host)),
            Self::Unit(unit) => Downtime::of(ask.host, GUARD, unit),
            Self::Commands { quiesce, resume } => {
                let held = DeclaredArgs { run: quiesce.clone(), undo: Some(resume.clone()) };
                let free = ResumeArgs { run: resume.clone(), undo: undoable.then(|| quiesce.clone()) };
                Downtime::declared(ask.host, GUARD, held, ("files.resume/1", value(&free)?))
            }
        }
    }
}

fn value<T: serde::Serialize>(of: &T) -> Result<Value> {
    serde_json::to_value(of).map_err(|error| Failure::new(Exit::Usage, format!("A step cannot be written: {error}.")))
}

/// The declared unit unless it is down; the basis of stopping and starting it.
fn running(ask: &Ask, settings: &Settings) -> Option<UnitName> {
    let unit = settings.unit.as_ref()?;
    ask.facts.units.iter().find(|facts| facts.unit == *unit && !facts.is_down()).map(|facts| facts.unit.clone())
}

fn basis(ask: &Ask, own: &Own, unit: Option<&UnitName>) -> BTreeMap<String, Value> {
    let mut basis = BTreeMap::new();
    for (path, seen) in &own.paths {
        basis.insert(format!("path {path}"), json!({"kind": seen.kind, "mounted": seen.mounted}));
    }
    if let Some(unit) = unit {
        let runs = ask.facts.units.iter().any(|facts| facts.unit == *unit && !facts.is_down());
        basis.insert(format!("unit {unit}"), json!({"running": runs}));
    }
    basis
}

/// The compression in force, `auto` resolved by what the node has.
fn compress_of(ask: &Ask, settings: &Settings, own: &Own) -> Result<Compress> {
    let chosen = Compress::of(ask.choice(COMPRESS_CHOICE)).unwrap_or(settings.compress);
    match chosen {
        Compress::Auto if own.tools.zstd => Ok(Compress::Zstd),
        Compress::Auto => Ok(Compress::None),
        Compress::Zstd if !own.tools.zstd => Err(no_tool(ask, "zstd")),
        Compress::Gzip if !own.tools.gzip => Err(no_tool(ask, "gzip")),
        other => Ok(other),
    }
}

fn no_tool(ask: &Ask, tool: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{} has no {tool}.", ask.host)).hint("Choose otherwise: --set compress=none.")
}

/// The steps of a backup.
pub fn backup(ask: &Ask) -> Result<Draft> {
    let settings = settings::read(ask.settings)?;
    let own = own_of(ask.facts);
    let entries: Vec<Entry> = entries_of(&ask.item.facts)?;
    if entries.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("None of the declared paths is there on {}.", ask.host)));
    }
    let still = match (settings.stops(), settings.quiesce.as_deref(), &settings.resume) {
        (Some(_), ..) => running(ask, &settings).map_or(Still::No, Still::Unit),
        (None, Some(quiesce), Some(resume)) => Still::Commands { quiesce: quiesce.to_owned(), resume: resume.clone() },
        _ => Still::No,
    };
    let compress = compress_of(ask, &settings, &own)?;
    let missing = own.paths.iter().filter(|(_, seen)| !seen.exists()).map(|(path, _)| path.clone()).collect();
    let mounts = own.paths.values().flat_map(|seen| seen.mounts.iter().cloned()).collect();
    // One that is down already is not stopped: it has to stay down.
    let stays_down = settings.stops().filter(|_| matches!(still, Still::No)).cloned();
    let exclude = settings.exclude.clone();
    let args = value(&SourceArgs { entries, missing, mounts, exclude, compress, stays_down })?;
    let down = still.down(ask, false)?;
    let steps = down.around([capture_step(down.held(), KIND, ask.item, args)?]);
    Ok(Draft {
        basis: basis(ask, &own, settings.stops()),
        guards: down.guard().into_iter().collect(),
        steps,
        ..Draft::default()
    })
}

/// The paths an item or a snapshot holds.
pub fn entries_of(facts: &Value) -> Result<Vec<Entry>> {
    facts.get("entries").map_or_else(|| Ok(Vec::new()), args_of)
}

fn names(manifest: &Manifest, key: &str) -> BTreeSet<String> {
    let all = manifest.facts.get(key).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The steps of a restore.
pub fn restore(ask: &Ask) -> Result<Draft> {
    let Some(manifest) = ask.manifest else {
        return Err(Failure::new(Exit::Usage, "A restore needs a snapshot."));
    };
    let settings = settings::read(ask.settings)?;
    let own = own_of(ask.facts);
    let entries = saved(manifest)?;
    let numeric = ask.choice(OWNERS_CHOICE) == "numbers";
    let exists = |path: &str| own.paths.get(path).is_none_or(super::probe::PathFacts::exists);
    if let Some(at) = entries.iter().find(|entry| own.paths.get(&entry.path).is_some_and(|seen| seen.mounted)) {
        let message = format!("{} is a mount point on {}, which cannot be replaced by rename.", at.path, ask.host);
        let hint =
            format!("Unmount it first (umount {}), or unpack the archive there by hand: see RESTORE.md.", at.path);
        return Err(Failure::new(Exit::Failed, message).hint(hint));
    }
    let still = match (running(ask, &settings), settings.quiesce.as_deref(), &settings.resume) {
        (Some(unit), ..) => Still::Unit(unit),
        (None, Some(quiesce), Some(resume)) if settings.unit.is_none() => {
            Still::Commands { quiesce: quiesce.to_owned(), resume: resume.clone() }
        }
        _ => Still::No,
    };
    let down = still.down(ask, true)?;
    let swap = SwapArgs::of(entries.iter().map(|entry| entry.path.as_str()))?;
    let mut swap = down.swap("Put the restored files in place", &swap)?;
    swap.timeout = Seconds(180);
    let check =
        compare_step(down.held(), "check", "Check the files in place", &entries, false, numeric, str::to_owned)?;
    let mut steps = before_the_stop(&StepMaker::on(ask.host), manifest, &entries, &own, &settings, numeric)?;
    steps.extend(down.around([swap, check]));
    if let Some(accept) = &settings.accept {
        let args = value(&DeclaredArgs { run: accept.clone(), undo: None })?;
        steps.push(down.forward().step(
            "accept",
            "Ask the declared command whether it is good",
            "command.run/1",
            args,
            Effect::Read,
        )?);
    }

    let there: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).filter(|path| exists(path)).collect();
    let mut leaves: Vec<_> =
        there.iter().map(|path| format!("The old {path} stays at {}.", kept_path(path)).into()).collect();
    if let (Some(unit), Still::No) = (&settings.unit, &still) {
        let load = ask.facts.units.iter().find(|facts| facts.unit == *unit).map_or("loaded", |facts| &facts.load);
        let is = if load == "loaded" { "does not run now".to_owned() } else { format!("is {load} on {}", ask.host) };
        leaves.push(format!("{unit} {is} and is not started.").into());
    }
    Ok(Draft {
        basis: basis(ask, &own, settings.unit.as_ref()),
        gates: overwrite(ask, &there)?,
        guards: down.guard().into_iter().collect(),
        steps,
        leaves,
        expects: Vec::new(),
        foretold: Value::Null,
        proves: true,
    })
}

/// The snapshot's entries, their paths checked again: a manifest may come from another hand.
fn saved(manifest: &Manifest) -> Result<Vec<Entry>> {
    let entries = entries_of(&manifest.facts)?;
    for entry in &entries {
        let stored =
            manifest.files.iter().any(|file| compression_of(&file.name).is_some_and(|(n, _)| n == entry.archive));
        let safe = !entry.archive.is_empty() && entry.archive.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if let Some((message, _)) = settings::refuse(&entry.path) {
            return Err(Failure::new(Exit::Integrity, message));
        }
        if !stored || !safe {
            return Err(Failure::new(Exit::Integrity, format!("The snapshot has no archive of {}.", entry.path)));
        }
    }
    if entries.is_empty() || entries.len() != manifest.files.len() {
        return Err(Failure::new(Exit::Integrity, "The snapshot's archives are not those its manifest tells of.")
            .hint("It may have been imported; unpack it by hand: see RESTORE.md."));
    }
    Ok(entries)
}

/// Everything that needs no downtime: looking, unpacking beside the targets, comparing every byte.
fn before_the_stop(
    plain: &StepMaker,
    manifest: &Manifest,
    entries: &[Entry],
    own: &Own,
    settings: &Settings,
    numeric: bool,
) -> Result<Vec<Step>> {
    let mut owners = names(manifest, "owners");
    let mut groups = names(manifest, "owner_groups");
    if numeric {
        owners.clear();
        groups.clear();
    }
    owners.extend(settings.users.iter().cloned());
    let bytes = |entry: &Entry| manifest.facts.get("unpacked")?.get(&entry.archive)?.as_u64();
    let target = |entry: &Entry| Target { path: entry.path.clone(), bytes: bytes(entry) };
    let ready = ReadyArgs {
        targets: entries.iter().map(target).collect(),
        owners: owners.into_iter().collect(),
        groups: groups.into_iter().collect(),
        numeric,
    };
    let ready =
        plain.step("ready", "Check room, mount points and accounts", "files.ready/1", value(&ready)?, Effect::Read)?;
    let place = |entry: &Entry| Place {
        archive: entry.archive.clone(),
        root: split(&entry.path).1.to_owned(),
        arriving: arriving_path(&entry.path),
        staged: staged_path(&entry.path),
    };
    let places: Vec<_> = entries.iter().map(place).collect();
    let remove: Vec<_> =
        places.iter().flat_map(|p| [&p.arriving, &p.staged]).map(|path| quote(path.as_bytes())).collect();
    let undo = format!("rm -rf -- {}\n", remove.join(" "));
    let sink = value(&SinkArgs { places, numeric, zstd: own.tools.zstd, gzip: own.tools.gzip })?;
    let deliver = deliver_step(plain, KIND, "Unpack the archives beside their targets", sink, Some(undo))?;
    let title = "Compare every byte that was unpacked";
    Ok(vec![ready, deliver, compare_step(plain, "compare", title, entries, true, numeric, staged_path)?])
}

fn compare_step(
    maker: &StepMaker,
    id: &str,
    title: &str,
    entries: &[Entry],
    bytes: bool,
    numeric: bool,
    at: impl Fn(&str) -> String,
) -> Result<Step> {
    let places = entries.iter().map(|e| At { archive: e.archive.clone(), path: at(&e.path) }).collect();
    let args = value(&CompareArgs { places, bytes, numeric })?;
    let mut step = maker.step(id, title, "files.compare/1", args, Effect::Read)?;
    step.timeout = if bytes { Seconds(86_400) } else { Seconds(3600) };
    Ok(step)
}

fn overwrite(ask: &Ask, there: &[&str]) -> Result<Vec<Gate>> {
    if there.is_empty() {
        return Ok(Vec::new());
    }
    let id = GateId::new("overwrite").map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let question = format!(
        "{} on {} is replaced by the snapshot. What is there now is kept beside it.",
        there.join(", "),
        ask.host
    );
    Ok(vec![Gate { id, question: question.into(), word: ask.host.to_string() }])
}

/// The directory an archive is unpacked in, beside its target.
pub fn arriving_path(path: &str) -> String {
    let staged = staged_path(path);
    format!("{}.in", staged.strip_suffix(".new").unwrap_or(&staged))
}
