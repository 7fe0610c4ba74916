//! The fleet's past, made by the real engine with its clock in the past; the nodes' clocks go with it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::cast::{Moment, PAST, UNVERIFIED};
use super::fleet::Fleet;
use crate::config::secrets::SecretResolver;
use crate::engine::board::Board;
use crate::engine::capture::vault_failure;
use crate::engine::dialer::NodeDialer;
use crate::engine::links::Links;
use crate::engine::runs::Runs;
use crate::engine::scan::{Prober, in_parallel};
use crate::engine::world::{SystemClock, SystemEntropy};
use crate::model::clock::Clock;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemRef};
use crate::model::secret::Secrets;
use crate::transport::Cancel;
use crate::vault::{ConsoleKey, Keys, Sealing, SnapshotRef, Vault};

/// How many backups are made at once.
const JOBS: usize = 6;

/// A clock that is behind.
struct Behind {
    real: SystemClock,
    by: SignedDuration,
}

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        Timestamp::now().checked_sub(self.by).unwrap_or(Timestamp::UNIX_EPOCH)
    }
    fn elapsed(&self) -> Duration {
        self.real.elapsed()
    }
    fn sleep(&self, span: Duration) {
        std::thread::sleep(span);
    }
}

/// Lets the past happen, moment by moment.
///
/// # Errors
/// When a backup fails: then the fleet would not be what it says.
pub fn make(fleet: &Fleet, cancel: &Cancel) -> Result<()> {
    let inventory = fleet.inventory()?;
    let secrets: Arc<dyn Secrets> = Arc::new(SecretResolver::new(fleet.paths(), &inventory, None));
    let dialer = NodeDialer::new(fleet.paths(), Arc::clone(&secrets));
    let links = Links::new(&dialer, &inventory);
    let vault = Vault::open(&inventory.vault.path, inventory.vault.id.as_deref()).map_err(|e| vault_failure(&e))?;
    let sealing = Sealing::to(&inventory.vault.recipients).map_err(|e| vault_failure(&e))?;
    let console = ConsoleKey::load_or_create(&fleet.paths().data_dir, &SystemEntropy).map_err(|e| vault_failure(&e))?;
    let keys = Keys::none();
    for moment in &PAST {
        let by = SignedDuration::from_hours(moment.hours);
        set_clocks(fleet, Some(by))?;
        change(fleet, moment)?;
        let clock: Arc<dyn Clock> = Arc::new(Behind { real: SystemClock::default(), by });
        let prober = Prober {
            inventory: &inventory,
            links: &links,
            clock: Arc::clone(&clock),
            secrets: Arc::clone(&secrets),
            cancel: cancel.clone(),
        };
        let runs = Runs {
            inventory: &inventory,
            vault: &vault,
            sealing: &sealing,
            keys: &keys,
            console: &console,
            links: &links,
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
            secrets: Arc::clone(&secrets),
            board: Arc::new(Board::default()),
            cancel: cancel.clone(),
        };
        let made = in_parallel(&by_owner(moment), JOBS, |places| {
            places.iter().try_for_each(|place| back_up(&prober, &runs, place))
        });
        made.into_iter().collect::<Result<Vec<()>>>()?;
    }
    UNVERIFIED.iter().try_for_each(|place| lose_checks(&vault, place))?;
    set_clocks(fleet, None)
}

/// Takes the proofs of an item's copies off the record that say they were checked.
fn lose_checks(vault: &Vault, place: &str) -> Result<()> {
    let place: ItemRef = place.parse::<SnapshotRef>().map_err(|e| vault_failure(&e))?.item;
    let catalogue = vault.catalogue().map_err(|e| vault_failure(&e))?;
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("A proof cannot be removed: {error}."));
    for snapshot in catalogue.of(&place) {
        for entry in fs::read_dir(snapshot.dir().join("proofs")).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.to_string_lossy().contains("-verified-") {
                fs::remove_file(path).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// A node's own items one after the other: they share its lock.
fn by_owner(moment: &Moment) -> Vec<Vec<&'static str>> {
    let mut owners: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for place in moment.backups {
        owners.entry(place.split('/').next().unwrap_or_default()).or_default().push(place);
    }
    owners.into_values().collect()
}

fn back_up(prober: &Prober, runs: &Runs, place: &str) -> Result<()> {
    let place: ItemRef = place.parse::<SnapshotRef>().map_err(|e| vault_failure(&e))?.item;
    let planned = prober.plan_backup(&place, Some("on schedule".to_owned()), &BTreeMap::new())?;
    // Each with a board of its own: nobody watches, and two runs on one would be told mixed.
    let own = Runs {
        board: Arc::new(Board::default()),
        clock: Arc::clone(&runs.clock),
        entropy: Arc::clone(&runs.entropy),
        secrets: Arc::clone(&runs.secrets),
        cancel: runs.cancel.clone(),
        ..*runs
    };
    own.run(&planned, None, &BTreeMap::new()).map(|_| ())
}

fn change(fleet: &Fleet, moment: &Moment) -> Result<()> {
    for (name, text) in moment.changes {
        let host = HostId::new(*name).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        fleet.player(&host)?.node.run(text, b"")?;
    }
    Ok(())
}

fn set_clocks(fleet: &Fleet, behind: Option<SignedDuration>) -> Result<()> {
    for player in fleet.players() {
        let clock = player.node.stub("clock");
        let set = match behind {
            Some(by) => fs::write(&clock, by.as_secs().to_string()),
            None => fs::remove_file(&clock),
        };
        set.map_err(|error| Failure::new(Exit::Failed, format!("A practice node's clock cannot be set: {error}.")))?;
    }
    Ok(())
}
