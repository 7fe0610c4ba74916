//! The fleet at a glance: every host and item with its copies and what they are worth now.
//!
//! Built from the inventory alone, then filled from the vault's catalogue and from nodes as they answer, in any order.
//! Pure data: both faces draw it, nothing here connects or reads.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use serde::{Deserialize, Serialize};

use self::stamped::Stamped;
use self::twins::{Look, Settled, Twin};
use super::doctor::Health;
use super::holdings::{CopyView, Holdings, Shelf};
use super::scan::{Found, Wanted};
use crate::config::effective_policy;
use crate::model::exit::{Exit, Failure};
use crate::model::facts::{Identity, UnitFacts};
use crate::model::ids::{HostId, ItemRef, OwnerId, ServiceName, SnapshotId};
use crate::model::inventory::{Access, Inventory, Policy, ServiceEntry, TransportKind};
use crate::model::item::{Copying, Item, Sensitivity, Standing};
use crate::model::manifest::Rung;
use crate::model::text::CleanText;
use crate::model::units::ByteSize;

mod judge;
pub mod last_look;
pub mod origin;
pub mod stamped;
pub mod twins;

/// Facts longer than this, as JSON, are not kept: a node must not fill the console's memory.
const LONGEST_FACTS: usize = 16 * 1024;

/// Hosts and clusters with everything known of them.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// Hosts by name, then clusters by name; their stamp tells whether anything was taken in or judged since.
    pub owners: Stamped<Vec<OwnerView>>,
    /// When the vault was last read; `None` before.
    pub read_at: Option<Timestamp>,
    /// When what is shown was remembered from an earlier sitting; `None` once the vault was read in this one.
    pub remembered: Option<Timestamp>,
    /// Identities that run on several hosts, as of the last judgement.
    twins: Vec<Twin>,
    /// Runs that make some of the looks worthless for telling where an identity runs.
    settled: Vec<Settled>,
    /// The place of each owner in `owners`.
    index: BTreeMap<OwnerId, usize>,
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
    /// How the inventory says it is reached, as "user@address:port"; empty for a cluster.
    pub way: String,
    /// Whether it answers.
    pub reach: Reach,
    /// The last look at it as a node; never of a cluster.
    pub health: Option<Health>,
    /// Its services.
    pub services: Vec<ServiceView>,
}

/// Whether a node answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Nobody asked yet.
    #[default]
    Unknown,
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
    pub found: Option<FoundView>,
    /// Why it could not be looked at.
    pub failure: Option<Failure>,
    /// What can be saved, what is saved, or both.
    pub items: Vec<ItemView>,
}

impl ServiceView {
    /// A word for why it could not be looked at: a node that refused something did answer. Nothing where it was looked at.
    pub fn failure_word(&self) -> Option<&'static str> {
        let failure = self.failure.as_ref()?;
        Some(if failure.exit == Exit::Unreachable { "no answer" } else { Trouble::Failed.word() })
    }
}

/// A service as it was found, without what only a plan needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundView {
    /// The host it was looked at on; for a cluster, the member that answered.
    pub host: HostId,
    /// When.
    pub at: Timestamp,
    /// Whether it is there at all.
    pub present: bool,
    /// Its version as it reports itself.
    pub version: Option<CleanText>,
    /// How it was installed.
    pub variant: Option<CleanText>,
    /// Identities that must be unique among running nodes.
    pub identities: Vec<Identity>,
    /// Its units.
    pub units: Vec<UnitFacts>,
    /// Whether it runs outside its units, so that stopping them would not stop it.
    pub outside: bool,
    /// Things worth a sentence.
    pub notes: Vec<CleanText>,
    /// The driver's own facts as JSON: a tenth of the memory of a tree of values. Empty when they were too long to keep.
    pub own: Box<str>,
}

/// An item as it was found on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemFacts {
    /// What a person calls it.
    pub title: CleanText,
    /// Size on the node, when it can be told cheaply.
    pub size: Option<ByteSize>,
    /// Whether its bytes are secret.
    pub sensitivity: Sensitivity,
    /// How it can be copied.
    pub copying: Copying,
    /// Whether it can be backed up now, and if not why not.
    pub standing: Standing,
    /// What was learned about it, as JSON; empty when it was too long to keep.
    pub facts: Box<str>,
}

/// An item with its copies.
#[derive(Debug, Clone)]
pub struct ItemView {
    /// Its place in the vault.
    pub place: ItemRef,
    /// As it was found on the node.
    pub item: Option<ItemFacts>,
    /// Its copies, newest first, each with what speaks against it.
    pub shelf: Shelf,
    /// How it stands.
    pub state: ItemState,
    /// Why, as a sentence; empty when all is well.
    pub why: String,
}

/// How an item stands, the least urgent first: what needs nothing, what cannot be helped, what somebody should see to
/// soon, and what is wrong now. A face that shows these in four colours never shows a calmer one above a louder one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemState {
    /// Not on the node, and nothing to save.
    Absent,
    /// A verified copy, young enough.
    Ok,
    /// It cannot be saved, and why is said.
    Uncovered,
    /// A copy that will be too old soon.
    Due,
    /// Copied, but no check has shown what the copy is worth.
    Unverified,
    /// What runs is not what was saved.
    Changed,
    /// The newest good copy is too old.
    Stale,
    /// The node does not answer; what is stored is what there is.
    Unreachable,
    /// Never saved.
    Never,
    /// Something speaks against the newest copy.
    Suspect,
    /// Its identity runs on another host too.
    Twin,
}

impl ItemState {
    /// Every state, the least urgent first.
    pub const ALL: [Self; 11] = [
        Self::Absent,
        Self::Ok,
        Self::Uncovered,
        Self::Due,
        Self::Unverified,
        Self::Changed,
        Self::Stale,
        Self::Unreachable,
        Self::Never,
        Self::Suspect,
        Self::Twin,
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
            Self::Twin => "twin",
        }
    }
}

/// Why nothing can be said of a host or cluster from its items, the least urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// Nobody has looked at it yet.
    NotSeen,
    /// It answers, and a service of it could not be looked at.
    Failed,
    /// It refuses the login.
    NoLogin,
    /// It shows another host key, or one nobody knows.
    HostKey,
    /// It does not answer.
    Down,
}

impl Trouble {
    /// Every trouble, the least urgent first.
    pub const ALL: [Self; 5] = [Self::NotSeen, Self::Failed, Self::NoLogin, Self::HostKey, Self::Down];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotSeen => "not seen",
            Self::Failed => "failed",
            Self::NoLogin => "no login",
            Self::HostKey => "host key",
            Self::Down => "down",
        }
    }
}

impl ItemView {
    /// Its copies, newest first.
    pub fn copies(&self) -> &[CopyView] {
        &self.shelf.copies
    }

    /// The newest copy nothing speaks against.
    pub fn best(&self) -> Option<&CopyView> {
        self.copies().iter().find(|copy| copy.against.is_empty())
    }

    /// When the newest copy nothing speaks against was made.
    pub fn last_good(&self) -> Option<Timestamp> {
        self.best().map(|copy| copy.created)
    }

    /// The highest rung any of its copies holds, and when it was reached last.
    pub fn last_proof(&self, now: Timestamp) -> Option<(Rung, Timestamp)> {
        super::holdings::last_proof(self.copies(), now)
    }

    /// The copy of an id.
    pub fn copy(&self, id: &SnapshotId) -> Option<&CopyView> {
        self.copies().iter().find(|copy| copy.id == *id)
    }

    /// What a person calls it: its title, or its id while nobody has looked.
    pub fn title(&self) -> &str {
        self.item.as_ref().map(|item| item.title.as_str()).filter(|t| !t.is_empty()).unwrap_or(self.place.item.as_str())
    }
}

impl From<&Item> for ItemFacts {
    fn from(item: &Item) -> Self {
        Self {
            title: CleanText::new(&item.title).one_line(),
            size: item.size,
            sensitivity: item.sensitivity,
            copying: item.copying,
            standing: item.standing.clone(),
            facts: kept_facts(&item.facts),
        }
    }
}

impl FoundView {
    /// What is kept of a service as it was found.
    pub fn new(found: &Found, at: Timestamp) -> Self {
        let facts = &found.facts;
        Self {
            host: found.host.clone(),
            at,
            present: facts.present,
            version: facts.version.clone(),
            variant: facts.variant.clone(),
            identities: facts.identities.clone(),
            units: facts.units.clone(),
            outside: facts.outside,
            notes: facts.notes.clone(),
            own: kept_facts(&facts.own),
        }
    }
}

fn kept_facts(facts: &serde_json::Value) -> Box<str> {
    let text = facts.to_string();
    if text.len() > LONGEST_FACTS { Box::default() } else { text.into() }
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

    /// Why its items do not tell how it stands; nothing while they do, or while the inventory names no service of it.
    pub fn trouble(&self) -> Option<Trouble> {
        if let Reach::Failed(_, failure) = &self.reach {
            return Some(match failure.exit {
                Exit::HostKey => Trouble::HostKey,
                Exit::Authentication => Trouble::NoLogin,
                _ => Trouble::Down,
            });
        }
        if self.services.is_empty() || self.items().next().is_some() {
            return None;
        }
        if self.services.iter().any(|service| service.failure.is_some()) {
            return Some(Trouble::Failed);
        }
        matches!(self.reach, Reach::Unknown).then_some(Trouble::NotSeen)
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
        let blank = |id: OwnerId, groups: &[String], own: &Policy, services: &BTreeMap<ServiceName, ServiceEntry>| {
            let service = |entry: &ServiceEntry| ServiceView {
                name: entry.name.clone(),
                kind: entry.kind.clone(),
                policy: effective_policy(inventory, groups, &[own, &entry.policy]),
                found: None,
                failure: None,
                items: Vec::new(),
            };
            OwnerView {
                id,
                groups: groups.to_vec(),
                members: Vec::new(),
                way: String::new(),
                reach: Reach::Unknown,
                health: None,
                services: services.values().map(service).collect(),
            }
        };
        owners.extend(inventory.hosts.values().map(|host| OwnerView {
            way: way_of(&host.id, &host.access),
            ..blank((&host.id).into(), &host.groups, &host.policy, &host.services)
        }));
        owners.extend(inventory.clusters.values().map(|cluster| OwnerView {
            members: cluster.members.clone(),
            ..blank(cluster.id.clone(), &cluster.groups, &cluster.policy, &cluster.services)
        }));
        Self::of(owners)
    }

    /// Of these owners, none of them read or remembered.
    fn of(owners: Vec<OwnerView>) -> Self {
        let index = owners.iter().enumerate().map(|(number, owner)| (owner.id.clone(), number)).collect();
        Self { owners: owners.into(), index, ..Self::default() }
    }

    /// An owner by name.
    pub fn owner(&self, id: &OwnerId) -> Option<&OwnerView> {
        self.owners.get(*self.index.get(id)?)
    }

    /// An owner by name, to fill in.
    pub fn owner_mut(&mut self, id: &OwnerId) -> Option<&mut OwnerView> {
        self.owners.get_mut(*self.index.get(id)?)
    }

    /// An item by its place.
    pub fn item(&self, place: &ItemRef) -> Option<&ItemView> {
        self.owner(&place.owner)?.items().find(|item| item.place == *place)
    }

    /// Takes in what the vault holds. Copies whose owner or service is in no inventory any more are left to the vault's
    /// own page.
    pub fn take_holdings(&mut self, holdings: &Holdings, now: Timestamp) {
        self.read_at = Some(now);
        self.remembered = None;
        holdings.settled.iter().for_each(|settled| self.settle(settled.clone()));
        for service in self.owners.iter_mut().flat_map(|owner| &mut owner.services) {
            service.items.iter_mut().for_each(|item| item.shelf = Shelf::default());
        }
        for (place, shelf) in &holdings.items {
            if let Some(item) = self.place_mut(place) {
                item.shelf = shelf.clone();
            }
        }
    }

    /// Takes in a service as it was found, or why it was not; items nobody knew get their copies from the holdings.
    pub fn take_found(
        &mut self,
        wanted: &Wanted,
        result: &Result<Found, Failure>,
        holdings: Option<&Holdings>,
        now: Timestamp,
    ) {
        let Some(owner) = self.owner_mut(&wanted.owner) else { return };
        if owner.is_cluster() {
            owner.reach = match result {
                Ok(_) => Reach::Answered(now),
                Err(failure) => Reach::Failed(now, failure.clone()),
            };
        }
        let Some(service) = owner.services.iter_mut().find(|s| s.name == wanted.entry.name) else { return };
        match result {
            Ok(found) => {
                for view in &mut service.items {
                    view.item = None;
                }
                for item in &found.items {
                    let place = found.place(&item.id);
                    if let Some(view) = service.items.iter_mut().find(|view| view.place == place) {
                        view.item = Some(item.into());
                    } else {
                        let kept = holdings.and_then(|held| held.items.get(&place)).cloned().unwrap_or_default();
                        service.items.push(ItemView { item: Some(item.into()), shelf: kept, ..blank_item(place) });
                    }
                }
                service.found = Some(FoundView::new(found, now));
                service.failure = None;
            }
            Err(failure) => service.failure = Some(failure.clone()),
        }
    }

    /// Judges every item by the clock.
    pub fn judge(&mut self, now: Timestamp) {
        let mut settled = std::mem::take(&mut self.settled);
        settled.retain(|one| one.matters(self.looks()));
        self.settled = settled;
        self.twins = twins::twins(self.looks(), &self.settled);
        let Self { owners, twins, .. } = self;
        for owner in owners.iter_mut() {
            judge::judge_owner(owner, twins, now);
        }
    }

    /// Judges the items of one owner by the clock, and those of others whose identity runs there too, or did.
    pub fn judge_owner(&mut self, id: &OwnerId, now: Timestamp) {
        let mut owners = self.compare_hosts();
        owners.insert(id.clone());
        self.judge_these(&owners, now);
    }

    /// Judges what was judged host by host once more where an identity runs on several hosts.
    fn judge_twins(&mut self, now: Timestamp) {
        let owners = self.compare_hosts();
        self.judge_these(&owners, now);
    }

    /// Looks for twins anew; whose items this may have changed.
    fn compare_hosts(&mut self) -> BTreeSet<OwnerId> {
        let before = std::mem::take(&mut self.twins);
        self.twins = twins::twins(self.looks(), &self.settled);
        let gone = before.iter().filter(|twin| !self.twins.contains(twin));
        let come = self.twins.iter().filter(|twin| !before.contains(twin));
        gone.chain(come).flat_map(|twin| twin.places.iter().map(|place| place.owner.clone())).collect()
    }

    fn judge_these(&mut self, ids: &BTreeSet<OwnerId>, now: Timestamp) {
        for at in ids.iter().filter_map(|id| self.index.get(id)) {
            if let Some(owner) = self.owners.get_mut(*at) {
                judge::judge_owner(owner, &self.twins, now);
            }
        }
    }

    /// Identities that run on several hosts, as of the last judgement.
    pub fn twins(&self) -> &[Twin] {
        &self.twins
    }

    /// Takes in that a run settled where identities are, if a look before it says otherwise.
    pub fn settle(&mut self, settled: Settled) {
        if !self.settled.contains(&settled) && settled.matters(self.looks()) {
            self.settled.push(settled);
        }
    }

    /// Takes back that a run settled something: it came to nothing.
    pub fn unsettle(&mut self, settled: &Settled) {
        self.settled.retain(|known| known != settled);
    }

    /// Every service that was found, as it was found last.
    fn looks(&self) -> impl Iterator<Item = Look<'_>> {
        self.owners.iter().flat_map(move |owner| {
            let is_down = matches!(owner.reach, Reach::Failed(..));
            owner.services.iter().filter_map(move |service| {
                let found = service.found.as_ref()?;
                let host = if owner.is_cluster() { self.owner(&(&found.host).into()) } else { Some(owner) };
                let way = host.map_or("", |host| host.way.as_str());
                Some(Look {
                    owner: &owner.id,
                    service: &service.name,
                    kind: &service.kind,
                    machine: way.rsplit_once('@').map_or(way, |(_, machine)| machine),
                    found,
                    is_silent: is_down || service.failure.is_some(),
                })
            })
        })
    }

    /// The first moment after `now` at which the clock alone may change how an item stands; `None` when it never will.
    pub fn next_turn(&self, now: Timestamp) -> Option<Timestamp> {
        self.owners.iter().filter_map(|owner| judge::next_turn(owner, now)).min()
    }

    /// How many items stand in each state.
    pub fn counts(&self) -> BTreeMap<ItemState, usize> {
        // Every frame asks, so five thousand items are told apart by number.
        let mut counts = [0; ItemState::ALL.len()];
        for item in self.owners.iter().flat_map(OwnerView::items) {
            if let Some(count) = counts.get_mut(item.state as usize) {
                *count += 1;
            }
        }
        ItemState::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    /// How many hosts and clusters are in each trouble.
    pub fn troubles(&self) -> BTreeMap<Trouble, usize> {
        let mut counts = [0; Trouble::ALL.len()];
        for trouble in self.owners.iter().filter_map(OwnerView::trouble) {
            if let Some(count) = counts.get_mut(trouble as usize) {
                *count += 1;
            }
        }
        Trouble::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
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
    ItemView { place, item: None, shelf: Shelf::default(), state: ItemState::Never, why: String::new() }
}

/// What the inventory itself says of the way to a host; the rest is for `ssh -G` and the defaults to say.
fn way_of(host: &HostId, access: &Access) -> String {
    if access.transport == TransportKind::Local {
        return "this machine".to_owned();
    }
    let user = access.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = access.port.map(|port| format!(":{port}")).unwrap_or_default();
    // `none` as a jump means directly, whatever ssh itself would do.
    let jump = access
        .jump
        .as_deref()
        .filter(|jump| *jump != "none")
        .map(|jump| format!(" through {jump}"))
        .unwrap_or_default();
    format!("{user}{}{port}{jump}", access.address.as_deref().unwrap_or(host.as_str()))
}

#[cfg(test)]
mod tests;
