//! `list`, `show` and `verify`: what the vault holds and what it is worth, offline.

use std::time::Duration;

use serde_json::{Value, json};

use super::app::App;
use super::args::{Select, Verify};
use super::output::table;
use crate::config::selector::Selector;
use crate::engine::capture::vault_failure;
use crate::engine::desk::Store;
use crate::engine::phrases::{rung_word, utc};
use crate::engine::verify::{Check, Checked};
use crate::model::clock::is_ahead;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::Rung;
use crate::model::units::ByteSize;
use crate::vault::{Catalogue, Finding, Leftover, Policy, Selected, Snapshot, SnapshotRef, Trouble, Vault};

fn catalogue(app: &App, store: &Store) -> Result<Catalogue> {
    let catalogue = store.vault.catalogue().map_err(|e| vault_failure(&e))?;
    tell_findings(app, &catalogue.findings);
    tell_leftovers(app, &store.vault)?;
    Ok(catalogue)
}

fn tell_findings(app: &App, findings: &[Finding]) {
    for finding in findings {
        document_finding(app, finding);
        app.out.aside(format!("finding: {finding}"));
    }
}

fn document_finding(app: &App, finding: &Finding) {
    app.out.document("finding", &json!({"path": finding.path, "message": finding.message}));
}

/// Tells what runs that died left in the vault's staging area.
pub fn tell_leftovers(app: &App, vault: &Vault) -> Result<()> {
    let left = vault.leftovers().map_err(|e| vault_failure(&e))?;
    tell_findings(app, &left.iter().filter_map(Leftover::finding).collect::<Vec<_>>());
    Ok(())
}

fn selected(app: &App, catalogue: Catalogue, selectors: &[String]) -> Result<Vec<Snapshot>> {
    let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    let is_meant = |snapshot: &Snapshot| {
        selectors.is_empty() || selectors.iter().any(|s| s.matches(snapshot.item(), &app.desk.inventory))
    };
    Ok(catalogue.snapshots.into_iter().filter(is_meant).collect())
}

/// The snapshot that a word names, and the better ones that cannot be had.
pub fn snapshot_named(app: &App, vault: &Vault, word: &str) -> Result<Selected> {
    let reference: SnapshotRef = word.parse().map_err(|e| vault_failure(&e))?;
    vault.select(&reference, &Policy::at(app.desk.clock.now())).map_err(|e| vault_failure(&e))
}

/// Lists snapshots, a line each.
pub fn run_list(app: &App, select: &Select) -> Result<Exit> {
    let store = app.store()?;
    let (found, now) = (catalogue(app, &store)?, app.desk.clock.now());
    let damaged = found.findings.iter().any(Finding::is_damage);
    let may_be_damaged = !damage_of(app, &store.vault, &found, &select.selectors)?.is_empty();
    let snapshots = selected(app, found, &select.selectors)?;
    let mut rows = Vec::new();
    for snapshot in &snapshots {
        let manifest = snapshot.manifest();
        app.out.document(
            "snapshot",
            &json!({"manifest": manifest, "rung": snapshot.highest_rung(), "proofs": snapshot.proofs()}),
        );
        let when = |rung| {
            snapshot.holds(rung).map_or("-".to_owned(), |proof| {
                let at = proof.dated(now);
                let doubt = if is_ahead(at, now) { "?" } else { "" };
                format!("{}{doubt}", utc(at))
            })
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
        let place = app.desk.vault_path().display().to_string();
        return Err(if may_be_damaged {
            Failure::new(Exit::Integrity, format!("{place} has no such snapshot that can be read."))
                .hint("What is damaged is named above; verify says more: lifeboat verify")
        } else {
            Failure::new(Exit::Nothing, format!("{place} has no such snapshot."))
                .hint("Back something up: lifeboat backup HOST")
        });
    }
    for line in table(&["SNAPSHOT", "SIZE", "SHOWN", "VERIFIED", "PROVEN", "STORED"], &rows) {
        app.out.line(line);
    }
    Ok(if damaged { Exit::Integrity } else { Exit::Done })
}

/// Shows one snapshot whole.
pub fn run_show(app: &App, wanted: &str) -> Result<Exit> {
    let store = app.store()?;
    let snapshot = snapshot_named(app, &store.vault, wanted)?.snapshot;
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
    if let Some(text) = downtime(&manifest.facts) {
        app.out.line(format!("  down        {text}"));
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
    let now = app.desk.clock.now();
    app.out.line("  ladder");
    for proof in snapshot.proofs() {
        let held = if proof.passed { "passed" } else { "FAILED" };
        let at = proof.dated(now);
        let doubt = if is_ahead(at, now) { ", ahead of this console's clock: when it was nobody can tell" } else { "" };
        app.out.line(format!("    {:<9} {held}  {at}  by {}{doubt}", rung_word(Some(proof.rung)), proof.console));
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

/// How long the service was down for the copy, where the copy tells.
fn downtime(facts: &Value) -> Option<String> {
    let told = facts.get("downtime")?;
    let seconds = |name: &str| told.get(name)?.as_u64().map(|span| Duration::from_millis(span).as_secs_f64());
    let parts = [("stop", "stop_ms"), ("copy", "copy_ms"), ("start", "start_ms")];
    let parts = parts.iter().filter_map(|(name, key)| Some(format!("{name} {:.2} s", seconds(key)?)));
    let estimated = seconds("estimated_ms").map_or_else(String::new, |span| format!(" (estimated {span:.2} s)"));
    let parts = parts.collect::<Vec<_>>().join(", ");
    Some(format!("{:.2} s{estimated}: {parts}", seconds("measured_ms")?))
}

/// Damage that took a snapshot out of the catalogue, such as a destroyed manifest: what was selected may have been there.
fn damage_of<'f>(app: &App, vault: &Vault, found: &'f Catalogue, selectors: &[String]) -> Result<Vec<&'f Finding>> {
    let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    let is_meant = |finding: &&Finding| {
        // A finding above an item, or under no name of one, may be about anything; what lies beside them all is about none.
        let is_about = || {
            let item = crate::vault::item_of_path(vault.root(), &finding.path);
            item.is_none_or(|item| selectors.iter().any(|selector| selector.matches(&item, &app.desk.inventory)))
        };
        selectors.is_empty() || (!vault.is_companion(&finding.path) && is_about())
    };
    Ok(found.findings.iter().filter(|finding| finding.is_damage()).filter(is_meant).collect())
}

/// Whether a word of `verify` names one snapshot: an `@` behind the item. One before it is a login's.
fn names_a_snapshot(word: &str) -> bool {
    word.split('/').nth(2).is_some_and(|item| item.contains('@'))
}

/// What the words of `verify` mean, snapshots by name and selectors in any mixture, each snapshot once; everything
/// without any. Damage that stands in the way of what was selected is told, and so is a selector that means nothing here:
/// neither may end as if it had been checked.
fn named_and_selected(app: &App, store: &Store, words: &[String], exits: &mut Vec<Exit>) -> Result<Vec<Snapshot>> {
    let (named, selectors): (Vec<String>, Vec<String>) = words.iter().cloned().partition(|word| names_a_snapshot(word));
    let mut snapshots = Vec::new();
    for text in &named {
        snapshots.push(snapshot_named(app, &store.vault, text)?.snapshot);
    }
    if named.is_empty() || !selectors.is_empty() {
        let found = catalogue(app, store)?;
        if words.is_empty() && !store.vault.has_sums() {
            app.out
                .aside("note: vault.json and what lies in 'about' stand under no sum yet; the next backup sums them");
        }
        let damage = damage_of(app, &store.vault, &found, &selectors)?;
        for finding in &damage {
            app.out.line(format!("BROKEN    {finding}"));
            exits.push(Exit::Integrity);
        }
        for text in &selectors {
            let selector: Selector = text.parse()?;
            let is_meant = |snapshot: &Snapshot| selector.matches(snapshot.item(), &app.desk.inventory);
            if damage.is_empty() && !found.snapshots.iter().any(is_meant) {
                app.out.failure(&Failure::new(Exit::Nothing, format!("The vault has no snapshot of '{text}'.")));
                exits.push(Exit::Nothing);
            }
        }
        snapshots.extend(selected(app, found, &selectors)?);
    }
    snapshots.sort_by(|a, b| a.order().cmp(&b.order()));
    snapshots.dedup_by(|a, b| (a.item(), a.id()) == (b.item(), b.id()));
    Ok(snapshots)
}

/// Checks what is stored: everything, what is named, or a sample.
pub fn run_verify(app: &App, verify: &Verify) -> Result<Exit> {
    let store = app.store()?;
    let mut exits = Vec::new();
    let mut snapshots = named_and_selected(app, &store, &verify.snapshots, &mut exits)?;
    if let Some(percent) = verify.sample {
        sample(app, &mut snapshots, percent);
    }
    if snapshots.is_empty() && exits.iter().all(|exit| *exit == Exit::Nothing) {
        return Err(Failure::new(Exit::Nothing, "There is nothing to verify.").hint("See what is there: lifeboat list"));
    }
    let check = Check {
        vault: &store.vault,
        keys: &store.keys,
        console: store.console.id(),
        clock: &*app.desk.clock,
        cancel: &app.desk.cancel,
        record: !app.global.read_only,
    };
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
    let (strange, broken): (Vec<_>, Vec<_>) =
        receipts.findings.into_iter().partition(|finding| finding.trouble == Trouble::Unexpected);
    tell_findings(app, &strange);
    for finding in &broken {
        document_finding(app, finding);
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
    snapshots.sort_by(|a, b| a.order().cmp(&b.order()));
}
