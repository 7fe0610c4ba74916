//! The last look, remembered between sittings, so that the first frame shows what was known and not an empty page.
//!
//! One file an inventory in the state directory. It is a cache and nothing more: whatever is wrong with it, it is left
//! aside with a sentence for the log, and everything in it is judged again by the clock before it is shown. Where the
//! inventory's text is still the one it is about, it is a fleet by itself, and the first frame need not wait for the
//! inventory to be parsed and checked.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::judge;
use super::twins::Settled;
use super::{Fleet, FoundView, ItemFacts, ItemView, OwnerView, Reach, ServiceView, blank_item};
use crate::engine::doctor::{Health, Stands};
use crate::engine::holdings::{CopyView, ProofView, RUNGS, Shelf};
use crate::model::exit::Failure;
use crate::model::facts::Identity;
use crate::model::ids::{HostId, ItemId, ItemRef, OwnerId, ServiceName, SnapshotId};
use crate::model::inventory::{Inventory, Policy};
use crate::model::manifest::Rung;
use crate::model::text::CleanText;
use crate::model::units::ByteSize;

/// The version of this shape; another one is left aside.
const VERSION: u32 = 4;

/// A file longer than this is none of ours: five thousand items take a tenth of it.
const LONGEST: u64 = 32 << 20;

/// What a look is about. The same again means the same fleet, but for what nodes and vault have learned since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The inventory's file.
    pub inventory: PathBuf,
    /// The digest of its text.
    pub digest: [u8; 32],
    /// The vault the call named instead of the inventory's.
    pub vault: Option<PathBuf>,
}

/// The first line of the file; an owner stands in each line after it, so that two threads can read them.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    about: About,
    vault: PathBuf,
    at: Timestamp,
    /// The policies of its services, each once.
    policies: Vec<Policy>,
    /// Runs that make some of the looks worthless for telling where an identity runs.
    settled: Vec<Settled>,
    /// How many lines follow.
    owners: usize,
}

/// Owners, services and items are written without names for their parts: the file is read before the first frame.
#[derive(Deserialize)]
struct Owner {
    id: OwnerId,
    groups: Vec<String>,
    members: Vec<HostId>,
    way: String,
    reach: Reach,
    health: Option<Health>,
    services: Vec<Service>,
}

#[derive(Deserialize)]
struct Service {
    name: ServiceName,
    kind: String,
    /// Its place among the policies.
    policy: usize,
    found: Option<FoundView>,
    failure: Option<Failure>,
    items: Vec<Remembered>,
}

#[derive(Deserialize)]
struct Remembered {
    id: ItemId,
    item: Option<ItemFacts>,
    copies: Vec<Kept>,
    identities: Vec<Identity>,
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Self { id, groups, members, way, reach, health, services } = self;
        (id, groups, members, way, reach, health, services).serialize(out)
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Self { name, kind, policy, found, failure, items } = self;
        (name, kind, policy, found, failure, items).serialize(out)
    }
}

impl Serialize for Remembered {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let short = |item: &ItemFacts| {
            let ItemFacts { title, size, sensitivity, copying, standing, facts } = item.clone();
            (title, size, sensitivity, copying, standing, facts)
        };
        (&self.id, self.item.as_ref().map(short), &self.copies, &self.identities).serialize(out)
    }
}

/// A copy, with times as seconds.
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
        let against = against.into_iter().map(clean).collect();
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
pub fn write(state_dir: &Path, about: &About, vault: &Path, fleet: &Fleet, now: Timestamp) -> Result<(), String> {
    let mut policies = Vec::new();
    let owners: Vec<Owner> = fleet.owners.iter().map(|owner| Owner::new(owner, &mut policies)).collect();
    let (about, vault) = (about.clone(), vault.to_owned());
    let path = path(state_dir, &about.inventory);
    let settled = fleet.settled.clone();
    let head = Head { version: VERSION, about, vault, at: now, policies, settled, owners: owners.len() };
    let told = |error: std::io::Error| format!("The last look could not be remembered: {error}.");
    crate::config::paths::create_private_dir(state_dir).map_err(|failure| failure.message)?;
    let mut file = tempfile::NamedTempFile::new_in(state_dir).map_err(told)?;
    let mut out = std::io::BufWriter::new(file.as_file_mut());
    serde_json::to_writer(&mut out, &head).map_err(|error| told(error.into()))?;
    for owner in &owners {
        out.write_all(b"\n").map_err(told)?;
        serde_json::to_writer(&mut out, owner).map_err(|error| told(error.into()))?;
    }
    out.flush().map_err(told)?;
    drop(out);
    file.as_file().sync_all().map_err(told)?;
    file.persist(path).map_err(|error| told(error.error))?;
    Ok(())
}

/// A last look being read on a thread of its own, while the console is furnished.
pub struct Reading(JoinHandle<Result<Option<Seen>, String>>);

/// Begins to read what is remembered of the inventory at `inventory`, an absolute path, and to judge it as of `now`.
pub fn begin(state_dir: &Path, inventory: &Path, now: Timestamp) -> Reading {
    let path = path(state_dir, inventory);
    Reading(std::thread::spawn(move || load(&path)?.map(|text| parse(&text, now)).transpose()))
}

impl Reading {
    /// What was remembered, and a sentence for the log when there is a file that cannot be used.
    pub fn finish(self) -> (Option<Seen>, Option<String>) {
        match self.0.join().unwrap_or_else(|_| Err("reading it failed inside".to_owned())) {
            Ok(seen) => (seen, None),
            Err(why) => (None, Some(format!("The last look is left aside: {why}."))),
        }
    }
}

/// A fleet as it was seen last, judged by the clock of who read it.
pub struct Seen {
    about: About,
    /// The vault it was seen with.
    pub vault: PathBuf,
    /// The fleet.
    pub fleet: Fleet,
}

impl Seen {
    /// Whether it is a look at just this: then the fleet is whole as it is.
    pub fn is_about(&self, about: &About) -> bool {
        self.about == *about
    }

    /// The fleet of an inventory with what was seen of it, judged by the clock; as nobody saw it yet where this is a
    /// look at another inventory's fleet or with another vault.
    pub fn fleet_of(seen: Option<Self>, inventory: &Inventory, now: Timestamp) -> Fleet {
        let mut fleet = Fleet::of_inventory(inventory);
        if let Some(seen) =
            seen.filter(|seen| seen.about.inventory == inventory.path && seen.vault == inventory.vault.path)
        {
            fleet.remembered = seen.fleet.remembered;
            fleet.settled = seen.fleet.settled;
            seen.fleet.owners.into_inner().into_iter().for_each(|owner| fill(&mut fleet, owner));
            fleet.judge(now);
        }
        fleet
    }
}

/// The text of the file; `None` where there is none.
fn load(path: &Path) -> Result<Option<String>, String> {
    let mut bytes = Vec::new();
    let length = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(meta) if !meta.is_file() => return Err("it is no regular file".to_owned()),
        Ok(meta) => meta.len(),
    };
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    bytes.reserve(usize::try_from(length.min(LONGEST)).unwrap_or(0) + 1);
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| "it is no text".to_owned())
}

fn parse(text: &str, now: Timestamp) -> Result<Seen, String> {
    let (head, owners) = cut_at_line(text, 0);
    let head: Head = serde_json::from_str(head).map_err(|error| told(&error))?;
    if head.version != VERSION {
        return Err(format!("it has version {}, and this program writes {VERSION}", head.version));
    }
    let (near, far) = cut_at_line(owners, owners.len() / 2);
    let (near, far) = std::thread::scope(|scope| {
        let far = scope.spawn(|| parse_owners(far, &head.policies, now));
        (parse_owners(near, &head.policies, now), far.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let mut owners = near?;
    owners.append(&mut far?);
    if owners.len() != head.owners {
        return Err(format!("it has {} of {} owners", owners.len(), head.owners));
    }
    let mut fleet = Fleet { remembered: Some(head.at), settled: head.settled, ..Fleet::of(owners) };
    fleet.judge_twins(now);
    Ok(Seen { about: head.about, vault: head.vault, fleet })
}

/// What stands before the first end of a line at or behind `from`, and after it.
fn cut_at_line(text: &str, from: usize) -> (&str, &str) {
    let after = text.as_bytes().get(from..).unwrap_or_default();
    let end = after.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| from + at);
    (text.get(..end).unwrap_or_default(), text.get(end + 1..).unwrap_or_default())
}

fn parse_owners(lines: &str, policies: &[Policy], now: Timestamp) -> Result<Vec<OwnerView>, String> {
    let parse_owner = |line: &str| {
        let mut owner = owner_view(serde_json::from_str(line).map_err(|error| told(&error))?, policies)?;
        judge::judge_owner(&mut owner, &[], now);
        Ok(owner)
    };
    lines.split('\n').filter(|line| !line.is_empty()).map(parse_owner).collect()
}

fn told(error: &serde_json::Error) -> String {
    CleanText::new(&error.to_string()).one_line().to_string()
}

/// Moves what was seen of an owner to where the inventory has it.
fn fill(fleet: &mut Fleet, seen: OwnerView) {
    let Some(view) = fleet.owner_mut(&seen.id) else { return };
    view.reach = seen.reach;
    view.health = seen.health;
    for service in seen.services {
        let Some(known) = view.services.iter_mut().find(|known| known.name == service.name) else { continue };
        known.found = service.found;
        known.failure = service.failure;
        known.items = service.items;
    }
}

fn owner_view(owner: Owner, policies: &[Policy]) -> Result<OwnerView, String> {
    let Owner { id, groups, members, way, reach, health, services } = owner;
    let services =
        services.into_iter().map(|service| service_view(&id, service, policies)).collect::<Result<_, _>>()?;
    let reach = match reach {
        Reach::Failed(at, failure) => Reach::Failed(at, clean_failure(failure)),
        reach => reach,
    };
    let (groups, way, health) = (groups.into_iter().map(clean).collect(), clean(way), health.map(clean_health));
    Ok(OwnerView { id, groups, members, way, reach, health, services })
}

fn service_view(owner: &OwnerId, service: Service, policies: &[Policy]) -> Result<ServiceView, String> {
    let Service { name, kind, policy, found, failure, items } = service;
    Ok(ServiceView {
        kind: clean(kind),
        policy: policies.get(policy).ok_or("it names a policy it has not")?.clone(),
        found: found.map(clean_found),
        failure: failure.map(clean_failure),
        items: items.into_iter().map(|item| item_view(owner, &name, item)).collect(),
        name,
    })
}

fn item_view(owner: &OwnerId, service: &ServiceName, remembered: Remembered) -> ItemView {
    let Remembered { id, item, copies, identities } = remembered;
    let place = ItemRef { owner: owner.clone(), service: service.clone(), item: id };
    let copies = copies.into_iter().map(|Kept(copy)| copy);
    let identities = identities.into_iter().map(clean_identity);
    let shelf = Shelf { copies: copies.collect(), identities: identities.collect(), ..Shelf::default() };
    ItemView { item, shelf, ..blank_item(place) }
}

/// A file can be edited by anybody who is this user; what is in it must still not drive the terminal.
fn clean(text: String) -> String {
    CleanText::from(text).into()
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
        aspect.name = clean(std::mem::take(&mut aspect.name));
        if let Stands::Warning { hint } | Stands::Critical { hint } = &mut aspect.stands {
            *hint = clean(std::mem::take(hint));
        }
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
            *text = clean(std::mem::take(text));
        }
    }
    found
}

impl Owner {
    fn new(owner: &OwnerView, policies: &mut Vec<Policy>) -> Self {
        Self {
            id: owner.id.clone(),
            groups: owner.groups.clone(),
            members: owner.members.clone(),
            way: owner.way.clone(),
            reach: owner.reach.clone(),
            health: owner.health.clone(),
            services: owner.services.iter().map(|service| Service::new(service, policies)).collect(),
        }
    }
}

impl Service {
    fn new(service: &ServiceView, policies: &mut Vec<Policy>) -> Self {
        // A fleet has a few policies, whatever its size.
        let policy = policies.iter().position(|known| *known == service.policy).unwrap_or_else(|| {
            policies.push(service.policy.clone());
            policies.len() - 1
        });
        Self {
            name: service.name.clone(),
            kind: service.kind.clone(),
            policy,
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
