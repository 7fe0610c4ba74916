//! Real snapshots of a real vault, for pages that read them whole.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lifeboat::model::clock::Clock;
use lifeboat::model::item::Sensitivity;
use lifeboat::tui::message::Notice;
use lifeboat::vault::{Finding, Sealing, Snapshot, Vault, render_card};
use serde_json::json;
use tempfile::TempDir;

use super::cast;
use super::stage::Stage;
use crate::vault::{Copy, Counted, HeldClock, item, recipe, staged};

/// The item every stored snapshot is of.
pub const ITEM: &str = "val-1/avalanchego/staking-identity";

/// A stage whose newest copy of [`ITEM`] is a snapshot that lies in a vault, and that snapshot.
pub fn seen() -> (Stage, Snapshot, TempDir) {
    let dir = TempDir::new().unwrap();
    let clock = HeldClock::at("2026-11-20T00:50:00Z");
    let entropy = Counted(AtomicU64::new(1));
    let vault = Vault::create(&dir.path().join("vault"), &[], &clock, &entropy).unwrap();
    let copy = Copy {
        item: item(ITEM),
        sealing: Sealing::plaintext_allowed(),
        sensitivity: Sensitivity::Plain,
        files: vec![("staker.crt", vec![1; 1_200]), ("staker.key", vec![2; 1_704]), ("signer.key", vec![3; 32])],
        identity: Some(cast::NODE_ID),
        verified: true,
    };
    let (staging, mut manifest, proofs, _) = staged(&vault, &copy, &clock, &entropy).unwrap();
    manifest.reason = Some("before the upgrade to 1.13.5".into());
    manifest.format = "staking/1".into();
    manifest.facts = json!({
        "path": "/var/lib/avalanchego", "network": "mainnet", "mode": "0600", "public_ip": "203.0.113.7",
        "verified": {"node_id": cast::NODE_ID},
    });
    manifest.created = clock.now();
    let card = render_card(&manifest, &recipe());
    staging.publish(&manifest, &proofs, &card, &clock, &entropy).unwrap();
    let snapshot = vault.catalogue().unwrap().snapshots.remove(0);
    let mut stage = cast::seen();
    let mut holdings = cast::holdings();
    let mut copies = cast::history();
    copies[0].id = snapshot.id().clone();
    holdings.items.get_mut(&item(ITEM)).unwrap().copies = copies.into();
    stage.notice(Notice::Vault(Ok(Arc::new(holdings))));
    (stage, snapshot, dir)
}

/// What a vault in which somebody meddled has to say.
pub fn findings() -> Vec<Finding> {
    let dir = TempDir::new().unwrap();
    let clock = HeldClock::at("2026-11-20T00:50:00Z");
    let vault = Vault::create(&dir.path().join("vault"), &[], &clock, &Counted(AtomicU64::new(1))).unwrap();
    std::fs::create_dir_all(vault.root().join("val-1/avalanchego/node-config/20261120T004900Z-7f3a")).unwrap();
    std::fs::write(vault.root().join("val-1/notes.txt"), "mine").unwrap();
    let root = vault.root().display().to_string();
    let mut findings = vault.catalogue().unwrap().findings;
    for finding in &mut findings {
        finding.message = finding.message.replace(&root, "/vault");
    }
    findings
}
