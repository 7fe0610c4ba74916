//! The fleet at a glance: every host and item with its copies and what they are worth now.
//!
//! Built from the inventory alone, then filled from the vault's catalogue and from nodes as they answer, in any order.
//! Pure data: both faces draw it, nothing here connects or reads.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::doctor::Health;
use super::scan::{Found, Wanted, wanted_of};
use crate::model::exit::Failure;
use crate::model::ids::{HostId, ItemRef, OwnerId, ServiceName, SnapshotId};
use crate::model::inventory::{Inventory, Policy};
use crate::model::item::{Item, Standing};
use crate::model::manifest::Rung;
use crate::model::units::Seconds;
use crate::vault::{Candidate, Catalogue, Policy as Trust};

/// A copy older than this is stale when no policy says otherwise.
const DEFAULT_MAX_AGE: Seconds = Seconds(24 * 3600);

/// From this share of its greatest age on a copy is due, in percent.
const DUE_PERCENT: i64 = 80;

/// Hosts and clusters with everything known of them.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// In the inventory's order.
    pub owners: Vec<OwnerView>,
    /// When the vault was last read; `None` before.
    pub read_at: Option<Timestamp>,
}

/// A host or a cluster.
#[derive(Debug, Clone)]
pub struct OwnerView {
    /// Its name.
    pub id: OwnerId,
    /// The groups it is in.
    pub groups: Vec<String>,
    /// A cluster's members; empty for a host.
    pub members: Vec<HostId>,
    /// Whether it answers.
    pub reach: Reach,
    /// The last look at it as a node; never of a cluster.
    pub health: Option<Health>,
    /// Its services.
    pub services: Vec<ServiceView>,
}

/// Whether a node answers.
#[derive(Debug, Clone, Default)]
pub enum Reach {
    /// Nobody asked yet.
    #[default]
    Unknown,
    /// It is being asked.
    Looking,
    /// It answered.
    Answered(Timestamp),
    /// It did not, and why.
    Failed(Timestamp, Failure),
}

/// A service of a host or cluster.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// The entry's name.
    pub name: ServiceName,
    /// Its driver.
    pub kind: String,
    /// The policy in force for it.
    pub policy: Policy,
    /// As it was found last.
    pub found: Option<Found>,
    /// Why it could not be looked at.
    pub failure: Option<Failure>,
    /// What can be saved, what is saved, or both.
    pub items: Vec<ItemView>,
}

/// An item with its copies.
#[derive(Debug, Clone)]
pub struct ItemView {
    /// Its place in the vault.
    pub place: ItemRef,
    /// As it was found on the node.
    pub item: Option<Item>,
    /// Its copies, newest first, each with what speaks against it.
    pub copies: Vec<Candidate>,
    /// How it stands.
    pub state: ItemState,
    /// Why, as a sentence; empty when all is well.
    pub why: String,
}

/// How an item stands, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemState {
    /// A verified copy, young enough.
    Ok,
    /// Not on the node, and nothing to save.
    Absent,
    /// A copy that will be too old soon.
    Due,
    /// It cannot be saved, and why is said.
    Uncovered,
    /// The node does not answer; what is stored is what there is.
    Unreachable,
    /// Copied, but no check has shown what the copy is worth.
    Unverified,
    /// What runs is not what was saved.
    Changed,
    /// The newest good copy is too old.
    Stale,
    /// Never saved.
    Never,
    /// Something speaks against the newest copy.
    Suspect,
}

impl ItemState {
    /// Every state, the best first.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Absent,
        Self::Due,
        Self::Uncovered,
        Self::Unreachable,
        Self::Unverified,
        Self::Changed,
        Self::Stale,
        Self::Never,
        Self::Suspect,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Absent => "absent",
            Self::Due => "due",
            Self::Uncovered => "uncovered",
            Self::Unreachable => "unreachable",
            Self::Unverified => "unverified",
            Self::Changed => "changed",
            Self::Stale => "stale",
            Self::Never => "never",
            Self::Suspect => "suspect",
        }
    }
}

impl ItemView {
    /// The newest copy nothing speaks against.
    pub fn best(&self) -> Option<&Candidate> {
        self.copies.iter().find(|copy| copy.against.is_empty())
    }

    /// When the newest copy nothing speaks against was made.
    pub fn last_good(&self) -> Option<Timestamp> {
        self.best().map(|copy| copy.snapshot.manifest().created)
    }

    /// The highest rung any trusted copy holds, and when it was reached.
    pub fn last_proof(&self) -> Option<(Rung, Timestamp)> {
        let proofs = self.copies.iter().flat_map(|copy| copy.snapshot.proofs());
        proofs.filter(|proof| proof.passed).map(|proof| (proof.rung, proof.at)).max()
    }

    /// The copy of an id.
    pub fn copy(&self, id: &SnapshotId) -> Option<&Candidate> {
        self.copies.iter().find(|copy| copy.snapshot.id() == id)
    }
}

impl OwnerView {
    /// Its items over all services.
    pub fn items(&self) -> impl Iterator<Item = &ItemView> {
        self.services.iter().flat_map(|service| &service.items)
    }

    /// The worst state of its items.
    pub fn worst(&self) -> ItemState {
        self.items().map(|item| item.state).max().unwrap_or(ItemState::Absent)
    }

    /// Whether it is a cluster.
    pub fn is_cluster(&self) -> bool {
        !self.members.is_empty()
    }
}

impl Fleet {
    /// What the inventory names, before anything is known of it.
    pub fn of_inventory(inventory: &Inventory) -> Self {
        let mut owners: Vec<OwnerView> = Vec::new();
        let blank = |id: OwnerId, groups: &[String], members: &[HostId]| OwnerView {
            id,
            groups: groups.to_vec(),
            members: members.to_vec(),
            reach: Reach::Unknown,
            health: None,
            services: Vec::new(),
        };
        owners.extend(inventory.hosts.values().map(|host| blank((&host.id).into(), &host.groups, &[])));
        owners.extend(inventory.clusters.values().map(|c| blank(c.id.clone(), &c.groups, &c.members)));
        let mut at: BTreeMap<OwnerId, usize> = BTreeMap::new();
        for (number, owner) in owners.iter().enumerate() {
            at.insert(owner.id.clone(), number);
        }
        for wanted in wanted_of(inventory) {
            if let Some(owner) = at.get(&wanted.owner).and_then(|&number| owners.get_mut(number)) {
                owner.services.push(ServiceView {
                    name: wanted.entry.name.clone(),
                    kind: wanted.entry.kind.clone(),
                    policy: policy_of(inventory, &wanted),
                    found: None,
                    failure: None,
                    items: Vec::new(),
                });
            }
        }
        Self { owners, read_at: None }
    }

    /// An owner by name.
    pub fn owner(&self, id: &OwnerId) -> Option<&OwnerView> {
        self.owners.iter().find(|owner| owner.id == *id)
    }

    /// An owner by name, to fill in.
    pub fn owner_mut(&mut self, id: &OwnerId) -> Option<&mut OwnerView> {
        self.owners.iter_mut().find(|owner| owner.id == *id)
    }

    /// An item by its place.
    pub fn item(&self, place: &ItemRef) -> Option<&ItemView> {
        self.owner(&place.owner)?.items().find(|item| item.place == *place)
    }

    /// Takes in what the vault holds. Copies whose owner is in no inventory any more are left to the vault's own page.
    pub fn take_catalogue(&mut self, catalogue: &Catalogue, now: Timestamp) {
        self.read_at = Some(now);
        for service in self.owners.iter_mut().flat_map(|owner| &mut owner.services) {
            service.items.iter_mut().for_each(|item| item.copies.clear());
        }
        let mut places: Vec<&ItemRef> = catalogue.snapshots.iter().map(crate::vault::Snapshot::item).collect();
        places.sort();
        places.dedup();
        for place in places {
            let copies = catalogue.judged(place, &Trust::default());
            if let Some(item) = self.place_mut(place) {
                item.copies = copies;
            }
        }
    }

    /// Takes in a service as it was found, or why it was not.
    pub fn take_found(&mut self, wanted: &Wanted, result: Result<Found, Failure>) {
        let Some(owner) = self.owner_mut(&wanted.owner) else { return };
        let Some(service) = owner.services.iter_mut().find(|s| s.name == wanted.entry.name) else { return };
        match result {
            Ok(found) => {
                for view in &mut service.items {
                    view.item = None;
                }
                for item in &found.items {
                    let place = found.place(&item.id);
                    match service.items.iter_mut().find(|view| view.place == place) {
                        Some(view) => view.item = Some(item.clone()),
                        None => service.items.push(ItemView { item: Some(item.clone()), ..blank_item(place) }),
                    }
                }
                service.found = Some(found);
                service.failure = None;
            }
            Err(failure) => service.failure = Some(failure),
        }
    }

    /// Judges every item by the clock.
    pub fn judge(&mut self, now: Timestamp) {
        for owner in &mut self.owners {
            let silent = matches!(owner.reach, Reach::Failed(..));
            for service in &mut owner.services {
                let max_age = service.policy.max_age.unwrap_or(DEFAULT_MAX_AGE);
                let unreachable = silent || service.failure.is_some();
                for item in &mut service.items {
                    (item.state, item.why) = judge_item(item, max_age, unreachable, now);
                }
            }
        }
    }

    /// How many items stand in each state.
    pub fn counts(&self) -> BTreeMap<ItemState, usize> {
        let mut counts = BTreeMap::new();
        for item in self.owners.iter().flat_map(OwnerView::items) {
            *counts.entry(item.state).or_insert(0) += 1;
        }
        counts
    }

    fn place_mut(&mut self, place: &ItemRef) -> Option<&mut ItemView> {
        let owner = self.owner_mut(&place.owner)?;
        let service = owner.services.iter_mut().find(|service| service.name == place.service)?;
        let at = service.items.iter().position(|item| item.place == *place).unwrap_or_else(|| {
            service.items.push(blank_item(place.clone()));
            service.items.len() - 1
        });
        service.items.get_mut(at)
    }
}

fn blank_item(place: ItemRef) -> ItemView {
    ItemView { place, item: None, copies: Vec::new(), state: ItemState::Never, why: String::new() }
}

/// The nearest policy wins, field by field: service, host or cluster, group, inventory.
fn policy_of(inventory: &Inventory, wanted: &Wanted) -> Policy {
    let (own, groups) = match inventory.clusters.get(&wanted.owner) {
        Some(cluster) => (Some(&cluster.policy), &cluster.groups[..]),
        None => match inventory.hosts.iter().find(|(id, _)| OwnerId::from(*id) == wanted.owner) {
            Some((_, host)) => (Some(&host.policy), &host.groups[..]),
            None => (None, &[][..]),
        },
    };
    let near_to_far = std::iter::once(&wanted.entry.policy)
        .chain(own)
        .chain(groups.iter().filter_map(|group| inventory.group_policies.get(group)))
        .chain(std::iter::once(&inventory.policy));
    near_to_far.fold(Policy::default(), |policy, next| Policy {
        max_age: policy.max_age.or(next.max_age),
        verify_every: policy.verify_every.or(next.verify_every),
        min_copies: policy.min_copies.or(next.min_copies),
        keep: policy.keep.or_else(|| next.keep.clone()),
    })
}

fn judge_item(item: &ItemView, max_age: Seconds, unreachable: bool, now: Timestamp) -> (ItemState, String) {
    let newest = item.copies.first();
    match item.item.as_ref().map(|found| &found.standing) {
        Some(Standing::Impossible(why)) => return (ItemState::Uncovered, format!("It cannot be saved: {why}.")),
        Some(Standing::Absent(why)) if newest.is_none() => return (ItemState::Absent, why.to_string()),
        _ => {}
    }
    let Some(newest) = newest else {
        return (ItemState::Never, "Nothing was ever copied off.".to_owned());
    };
    if let Some(why) = newest.against.iter().find(|why| *why != "not verified") {
        return (ItemState::Suspect, format!("The newest copy is suspect: {why}."));
    }
    let Some(good) = item.last_good() else {
        return (ItemState::Unverified, "No copy has been verified.".to_owned());
    };
    let age = now.duration_since(good).as_secs();
    let limit = i64::try_from(max_age.0).unwrap_or(i64::MAX);
    if age > limit {
        return (ItemState::Stale, format!("The newest good copy is older than {max_age}."));
    }
    if unreachable {
        return (ItemState::Unreachable, "The node does not answer.".to_owned());
    }
    if age > limit / 100 * DUE_PERCENT {
        return (ItemState::Due, format!("The newest good copy will soon be older than {max_age}."));
    }
    (ItemState::Ok, String::new())
}
