//! `list`, `show` and `verify`: what the vault holds and what it is worth, offline.

use serde_json::json;

use super::app::App;
use super::args::{Select, Verify};
use super::output::table;
use crate::config::selector::Selector;
use crate::engine::capture::vault_failure;
use crate::engine::desk::Store;
use crate::engine::phrases::rung_word;
use crate::engine::verify::{Check, Checked};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::Rung;
use crate::model::units::ByteSize;
use crate::vault::{Catalogue, Policy, Snapshot, SnapshotRef};

fn catalogue(app: &App, store: &Store) -> Result<Catalogue> {
    let catalogue = store.vault.catalogue().map_err(|e| vault_failure(&e))?;
    for finding in &catalogue.findings {
        app.out.document("finding", &json!({"path": finding.path, "message": finding.message}));
        app.out.aside(format!("finding: {finding}"));
    }
    Ok(catalogue)
}

fn selected(app: &App, catalogue: Catalogue, selectors: &[String]) -> Result<Vec<Snapshot>> {
    let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    let is_meant = |snapshot: &Snapshot| {
        selectors.is_empty() || selectors.iter().any(|s| s.matches(snapshot.item(), &app.desk.inventory))
    };
    let mut snapshots: Vec<Snapshot> = catalogue.snapshots.into_iter().filter(is_meant).collect();
    snapshots.sort_by(|a, b| (a.item(), a.id()).cmp(&(b.item(), b.id())));
    Ok(snapshots)
}

/// Lists snapshots, a line each.
pub fn run_list(app: &App, select: &Select) -> Result<Exit> {
    let store = app.store()?;
    let found = catalogue(app, &store)?;
    let damaged = found.findings.iter().any(crate::vault::Finding::is_damage);
    let snapshots = selected(app, found, &select.selectors)?;
    let mut rows = Vec::new();
    for snapshot in &snapshots {
        let manifest = snapshot.manifest();
        app.out.document(
            "snapshot",
            &json!({"manifest": manifest, "rung": snapshot.highest_rung(), "proofs": snapshot.proofs()}),
        );
        let when = |rung| {
            snapshot.holds(rung).map_or("-".to_owned(), |proof| proof.at.strftime("%Y-%m-%d %H:%MZ").to_string())
        };
        rows.push(vec![
            format!("{}@{}", snapshot.item(), snapshot.id()),
            ByteSize(snapshot.plain_size()).to_string(),
            rung_word(snapshot.highest_rung()).to_owned(),
            when(Rung::Verified),
            when(Rung::Proven),
            if snapshot.is_sealed() { "sealed".into() } else { "clear".into() },
        ]);
    }
    if rows.is_empty() {
        return Err(Failure::new(Exit::Nothing, format!("{} has no such snapshot.", app.desk.vault_path().display()))
            .hint("Back something up: lifeboat backup HOST"));
    }
    for line in table(&["SNAPSHOT", "SIZE", "SHOWN", "VERIFIED", "PROVEN", "STORED"], &rows) {
        app.out.line(line);
    }
    Ok(if damaged { Exit::Integrity } else { Exit::Done })
}

/// Shows one snapshot whole.
pub fn run_show(app: &App, wanted: &str) -> Result<Exit> {
    let store = app.store()?;
    let reference: SnapshotRef = wanted.parse().map_err(|e| vault_failure(&e))?;
    let snapshot = store.vault.select(&reference, &Policy::default()).map_err(|e| vault_failure(&e))?.snapshot;
    let manifest = snapshot.manifest();
    app.out.document("snapshot", &json!({"manifest": manifest, "proofs": snapshot.proofs(), "path": snapshot.dir()}));
    let source = &manifest.source;
    app.out.line(format!("{}@{}", manifest.item, manifest.id));
    app.out.line(format!(
        "  copied      {} from {} ({}), run {}",
        manifest.created, source.host, source.address, manifest.run
    ));
    app.out.line(format!(
        "  service     {} {}",
        manifest.kind,
        source.version.as_ref().map_or("version unknown", |v| v.as_str())
    ));
    if let Some(reason) = &manifest.reason {
        app.out.line(format!("  reason      {}", crate::model::text::CleanText::new(reason).one_line()));
    }
    for identity in &manifest.identities {
        app.out.line(format!("  identity    {} {}", identity.kind, identity.value));
    }
    for mark in &manifest.marks {
        app.out.line(format!("  mark        {mark}"));
    }
    app.out.line(format!(
        "  stored      {}, {}",
        snapshot.dir().display(),
        if snapshot.is_sealed() { "sealed" } else { "in clear" }
    ));
    app.out.line("  ladder");
    for proof in snapshot.proofs() {
        let held = if proof.passed { "passed" } else { "FAILED" };
        app.out.line(format!("    {:<9} {held}  {}  by {}", rung_word(Some(proof.rung)), proof.at, proof.console));
    }
    app.out.line("  files");
    for file in &manifest.files {
        app.out.line(format!(
            "    {:<24} {:>10}  was {}",
            file.stored_name,
            ByteSize(file.plain_size).to_string(),
            file.origin
        ));
    }
    app.out.line("  facts");
    for (key, value) in manifest.facts.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        app.out.line(format!("    {key:<18} {}", crate::model::text::CleanText::new(&text).one_line()));
    }
    app.out.line(format!("  by hand     {}", snapshot.dir().join("RESTORE.md").display()));
    Ok(Exit::Done)
}

/// Checks what is stored: everything, what is named, or a sample.
pub fn run_verify(app: &App, verify: &Verify) -> Result<Exit> {
    let store = app.store()?;
    let mut snapshots = if verify.snapshots.iter().any(|text| text.contains('@')) {
        let mut named = Vec::new();
        for text in &verify.snapshots {
            let reference: SnapshotRef = text.parse().map_err(|e| vault_failure(&e))?;
            named.push(store.vault.select(&reference, &Policy::default()).map_err(|e| vault_failure(&e))?.snapshot);
        }
        named
    } else {
        selected(app, catalogue(app, &store)?, &verify.snapshots)?
    };
    if let Some(percent) = verify.sample {
        sample(app, &mut snapshots, percent);
    }
    if snapshots.is_empty() {
        return Err(Failure::new(Exit::Nothing, "There is nothing to verify."));
    }
    let check = Check {
        vault: &store.vault,
        keys: &store.keys,
        console: store.console.id(),
        clock: &*app.desk.clock,
        cancel: &app.desk.cancel,
        record: !app.global.read_only,
    };
    let mut exits = Vec::new();
    for snapshot in &mut snapshots {
        let name = format!("{}@{}", snapshot.item(), snapshot.id());
        app.out.status(&format!("verifying {name} …"));
        let exit = match check.run(snapshot) {
            Ok(checked) => tell(app, &name, &checked),
            Err(failure) => {
                app.out.failure(&Failure { message: format!("{name}: {}", failure.message), ..failure.clone() });
                failure.exit
            }
        };
        exits.push(exit);
    }
    let receipts = store.vault.verify_receipts().map_err(|e| vault_failure(&e))?;
    for finding in &receipts.findings {
        app.out.line(format!("BROKEN    receipt: {finding}"));
        exits.push(Exit::Integrity);
    }
    Ok(Exit::of_all(exits))
}

fn tell(app: &App, name: &str, checked: &Checked) -> Exit {
    app.out.document("verified", &json!({"snapshot": name, "result": checked}));
    match checked {
        Checked::Verified { bytes, warnings } => {
            app.out.line(format!("verified  {name}  {}", ByteSize(*bytes)));
            for warning in warnings {
                app.out.line(format!("          note: {warning}"));
            }
            Exit::Done
        }
        Checked::IntactSealed => {
            app.out.line(format!("intact    {name}  sealed; no key at hand, so not verified"));
            Exit::Done
        }
        Checked::Broken { why } => {
            for why in why {
                app.out.line(format!("BROKEN    {name}  {why}"));
            }
            Exit::Integrity
        }
    }
}

/// Keeps a share of the snapshots, chosen by the kernel's random bytes, at least one.
fn sample(app: &App, snapshots: &mut Vec<Snapshot>, percent: u8) {
    let keep = (snapshots.len() * usize::from(percent)).div_ceil(100).max(1);
    let mut keyed: Vec<(String, Snapshot)> =
        snapshots.drain(..).map(|snapshot| (app.desk.entropy.hex(8), snapshot)).collect();
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    snapshots.extend(keyed.into_iter().take(keep).map(|(_, snapshot)| snapshot));
    snapshots.sort_by(|a, b| (a.item(), a.id()).cmp(&(b.item(), b.id())));
}
