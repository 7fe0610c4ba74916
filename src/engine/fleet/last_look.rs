//! The last look, remembered between sittings, so that the first frame shows what was known and not an empty page.
//!
//! One file an inventory in the state directory. It is a cache and nothing more: whatever is wrong with it, it is left
//! aside with a sentence for the log, and everything in it is judged again by the clock before it is shown.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Fleet, FoundView, ItemFacts, ItemView, OwnerView, Reach, ServiceView, blank_item};
use crate::engine::doctor::Health;
use crate::engine::holdings::{CopyView, ProofView, RUNGS, Shelf};
use crate::model::exit::Failure;
use crate::model::facts::Identity;
use crate::model::ids::{HostId, ItemId, ItemRef, OwnerId, ServiceName, SnapshotId};
use crate::model::inventory::Inventory;
use crate::model::manifest::Rung;
use crate::model::text::CleanText;
use crate::model::units::ByteSize;

/// The version of this shape; another one is left aside.
const VERSION: u32 = 1;

/// A file longer than this is none of ours: five thousand items take a tenth of it.
const LONGEST: u64 = 32 << 20;

#[derive(Serialize, Deserialize)]
struct LastLook {
    version: u32,
    inventory: PathBuf,
    vault: PathBuf,
    at: Timestamp,
    owners: Vec<Owner>,
}

#[derive(Serialize, Deserialize)]
struct Owner {
    id: OwnerId,
    reach: Reach,
    health: Option<Health>,
    services: Vec<Service>,
}

#[derive(Serialize, Deserialize)]
struct Service {
    name: ServiceName,
    found: Option<FoundView>,
    failure: Option<Failure>,
    items: Vec<Remembered>,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    id: ItemId,
    item: Option<ItemFacts>,
    copies: Vec<Kept>,
    identities: Vec<Identity>,
}

/// A copy without names for its parts and with times as seconds: the file is read before the first frame.
/// Id, source, created, size, stored size, sealed, proofs, what speaks against it, marks.
type ShortCopy = (SnapshotId, HostId, i64, ByteSize, ByteSize, bool, Vec<ShortProof>, Vec<String>, Vec<CleanText>);

/// Rung by its number, second, whether it held.
type ShortProof = (u8, i64, bool);

/// A copy, short in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "ShortCopy", into = "ShortCopy")]
struct Kept(CopyView);

impl From<Kept> for ShortCopy {
    fn from(Kept(copy): Kept) -> Self {
        let rung = |rung: Rung| RUNGS.iter().position(|known| *known == rung).and_then(|at| u8::try_from(at).ok());
        let proofs = copy.proofs.iter().filter_map(|p| Some((rung(p.rung)?, p.at.as_second(), p.passed)));
        let (proofs, created) = (proofs.collect(), copy.created.as_second());
        let CopyView { id, source, size, stored, sealed, against, marks, .. } = copy;
        (id, source, created, size, stored, sealed, proofs, against, marks)
    }
}

impl TryFrom<ShortCopy> for Kept {
    type Error = &'static str;

    fn try_from(
        (id, source, created, size, stored, sealed, proofs, against, marks): ShortCopy,
    ) -> Result<Self, &'static str> {
        let time = |second: i64| Timestamp::from_second(second).map_err(|_| "a time in it is none");
        let proof = |(rung, at, passed): ShortProof| {
            let rung = *RUNGS.get(usize::from(rung)).ok_or("a rung in it is none")?;
            Ok(ProofView { rung, at: time(at)?, passed })
        };
        let proofs = proofs.into_iter().map(proof).collect::<Result<_, &'static str>>()?;
        let against = against.iter().map(clean).collect();
        Ok(Self(CopyView { id, source, created: time(created)?, size, stored, sealed, proofs, against, marks }))
    }
}

/// Where the last look over an inventory is remembered.
pub fn path(state_dir: &Path, inventory: &Path) -> PathBuf {
    let digest = Sha256::digest(inventory.as_os_str().as_encoded_bytes());
    // Eight bytes tell the inventories of one operator apart; what the file says of itself is checked anyway.
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    state_dir.join(format!("last-look-{number:016x}.json"))
}

/// Remembers a fleet. The file is whole or the old one.
///
/// # Errors
/// A sentence for the log.
pub fn write(state_dir: &Path, inventory: &Inventory, fleet: &Fleet, now: Timestamp) -> Result<(), String> {
    let look = LastLook {
        version: VERSION,
        inventory: inventory.path.clone(),
        vault: inventory.vault.path.clone(),
        at: now,
        owners: fleet.owners.iter().map(Owner::from).collect(),
    };
    let told = |error: std::io::Error| format!("The last look could not be remembered: {error}.");
    crate::config::paths::create_private_dir(state_dir).map_err(|failure| failure.message)?;
    let mut file = tempfile::NamedTempFile::new_in(state_dir).map_err(told)?;
    let mut out = std::io::BufWriter::new(file.as_file_mut());
    serde_json::to_writer(&mut out, &look).map_err(|error| told(error.into()))?;
    out.flush().map_err(told)?;
    drop(out);
    file.as_file().sync_all().map_err(told)?;
    file.persist(path(state_dir, &inventory.path)).map_err(|error| told(error.error))?;
    Ok(())
}

/// The fleet of an inventory as it was seen last, and a sentence for the log when there is a file that cannot be used.
pub fn read(state_dir: &Path, inventory: &Inventory, now: Timestamp) -> (Fleet, Option<String>) {
    let mut fleet = Fleet::of_inventory(inventory);
    match load(&path(state_dir, &inventory.path), inventory) {
        Ok(Some(look)) => {
            fleet.remembered = Some(look.at);
            look.owners.into_iter().for_each(|owner| fill(&mut fleet, owner));
            fleet.judge(now);
            (fleet, None)
        }
        Ok(None) => (fleet, None),
        Err(why) => (fleet, Some(format!("The last look is left aside: {why}."))),
    }
}

fn load(path: &Path, inventory: &Inventory) -> Result<Option<LastLook>, String> {
    let mut bytes = Vec::new();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(meta) if !meta.is_file() => return Err("it is no regular file".to_owned()),
        Ok(_) => {}
    }
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let look: LastLook =
        serde_json::from_slice(&bytes).map_err(|error| CleanText::new(&error.to_string()).one_line().to_string())?;
    if look.version != VERSION {
        return Err(format!("it has version {}, and this program writes {VERSION}", look.version));
    }
    // Another inventory or another vault: nothing in it is about what is shown.
    if look.inventory != inventory.path || look.vault != inventory.vault.path {
        return Ok(None);
    }
    Ok(Some(look))
}

fn fill(fleet: &mut Fleet, owner: Owner) {
    let Some(view) = fleet.owner_mut(&owner.id) else { return };
    view.reach = match owner.reach {
        Reach::Failed(at, failure) => Reach::Failed(at, clean_failure(failure)),
        reach => reach,
    };
    view.health = owner.health.map(clean_health);
    let id = view.id.clone();
    for service in owner.services {
        let Some(known) = view.services.iter_mut().find(|known| known.name == service.name) else { continue };
        known.found = service.found.map(clean_found);
        known.failure = service.failure.map(clean_failure);
        known.items = service.items.into_iter().map(|item| item_view(&id, known, item)).collect();
    }
}

fn item_view(owner: &OwnerId, service: &ServiceView, remembered: Remembered) -> ItemView {
    let Remembered { id, item, copies, identities } = remembered;
    let place = ItemRef { owner: owner.clone(), service: service.name.clone(), item: id };
    let copies = copies.into_iter().map(|Kept(copy)| copy);
    let identities = identities.into_iter().map(clean_identity);
    let shelf = Shelf { copies: copies.collect(), identities: identities.collect() };
    ItemView { item, shelf, ..blank_item(place) }
}

/// A file can be edited by anybody who is this user; what is in it must still not drive the terminal.
fn clean(text: impl AsRef<str>) -> String {
    CleanText::new(text.as_ref()).to_string()
}

fn clean_failure(failure: Failure) -> Failure {
    Failure {
        message: clean(failure.message),
        state: failure.state.map(clean),
        hints: failure.hints.into_iter().map(clean).collect(),
        ..failure
    }
}

fn clean_health(mut health: Health) -> Health {
    for aspect in &mut health.aspects {
        aspect.name = clean(&aspect.name);
        aspect.hint = aspect.hint.take().map(clean);
    }
    health
}

fn clean_identity(identity: Identity) -> Identity {
    Identity { kind: clean(identity.kind), value: clean(identity.value) }
}

fn clean_found(mut found: FoundView) -> FoundView {
    found.identities = found.identities.into_iter().map(clean_identity).collect();
    for unit in &mut found.units {
        for text in [&mut unit.load, &mut unit.active, &mut unit.enabled, &mut unit.invocation] {
            *text = clean(&*text);
        }
    }
    found
}

impl From<&OwnerView> for Owner {
    fn from(owner: &OwnerView) -> Self {
        Self {
            id: owner.id.clone(),
            reach: owner.reach.clone(),
            health: owner.health.clone(),
            services: owner.services.iter().map(Service::from).collect(),
        }
    }
}

impl From<&ServiceView> for Service {
    fn from(service: &ServiceView) -> Self {
        Self {
            name: service.name.clone(),
            // The drivers' own facts are for pages one opens; by then the node was asked again.
            found: service.found.clone().map(|found| FoundView { own: Box::default(), ..found }),
            failure: service.failure.clone(),
            items: service.items.iter().map(Remembered::from).collect(),
        }
    }
}

impl From<&ItemView> for Remembered {
    fn from(item: &ItemView) -> Self {
        // The newest copy, the newest good one and the one proven most decide what the first page says.
        let copies = item.copies();
        let best = copies.iter().position(|copy| copy.against.is_empty());
        let proven = (0..copies.len()).max_by_key(|at| copies.get(*at).and_then(CopyView::highest));
        let is_kept = |at: usize| at == 0 || Some(at) == best || Some(at) == proven;
        let kept = copies.iter().enumerate().filter(|(at, _)| is_kept(*at)).map(|(_, copy)| Kept(copy.clone()));
        Self {
            id: item.place.item.clone(),
            item: item.item.clone().map(|found| ItemFacts { facts: Box::default(), ..found }),
            copies: kept.collect(),
            identities: Arc::clone(&item.shelf.identities).to_vec(),
        }
    }
}
