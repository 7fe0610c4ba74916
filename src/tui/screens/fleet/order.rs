//! Which hosts the tree shows, and in which order.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::engine::fleet::stamped::Stamp;
use crate::engine::fleet::{Fleet, ItemState, ItemView, OwnerView, Reach};
use crate::model::ids::OwnerId;
use crate::tui::filter::Filter;

/// A group by its kind and name, with what stands in it.
pub type Group<'m> = ((u8, &'m str), Vec<&'m OwnerView>);

/// How the hosts of a fleet stand: the worst group first, and the worst first in each, unless that order is held.
#[derive(Default)]
pub struct Order {
    /// The order of hosts while nodes are being looked at, and while somebody goes through them: the worst stand first,
    /// but nothing jumps under the cursor.
    held: Option<HashMap<OwnerId, usize>>,
    filter: Option<Filter>,
    /// What was put in order last. A key and its frame ask for it several times, and while nothing was taken in it is
    /// the same: a thousand hosts against a filter take milliseconds.
    last: RefCell<Option<Last>>,
}

/// The places in `fleet.owners` of those that are shown, group by group, and the state of the fleet they are of.
struct Last {
    stamp: Stamp,
    groups: Vec<Vec<usize>>,
}

impl Order {
    /// The hosts and clusters that are shown, by group.
    pub fn groups<'m>(&self, fleet: &'m Fleet) -> Vec<Group<'m>> {
        let stamp = fleet.owners.stamp();
        let mut last = self.last.borrow_mut();
        let last = match &mut *last {
            Some(last) if last.stamp == stamp => last,
            last => last.insert(Last { stamp, groups: self.sorted(self.filter.as_ref(), fleet) }),
        };
        let owners = |places: &Vec<usize>| places.iter().filter_map(|at| fleet.owners.get(*at)).collect();
        let groups = last.groups.iter().map(owners);
        groups.filter_map(|owners: Vec<&OwnerView>| Some((group_of(owners.first()?), owners))).collect()
    }

    fn sorted(&self, filter: Option<&Filter>, fleet: &Fleet) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<(u8, &str), Vec<(usize, &OwnerView)>> = BTreeMap::new();
        for (at, owner) in fleet.owners.iter().enumerate().filter(|(_, owner)| shows(filter, owner)) {
            groups.entry(group_of(owner)).or_default().push((at, owner));
        }
        for owners in groups.values_mut() {
            match &self.held {
                Some(held) => owners.sort_by_cached_key(|(_, owner)| held.get(&owner.id)),
                None => owners.sort_by_cached_key(|(_, owner)| (Reverse(rank(owner)), &owner.id)),
            }
        }
        // Names in their order among groups that stand alike.
        let mut groups: Vec<_> = groups.into_values().collect();
        match &self.held {
            Some(held) => groups.sort_by_cached_key(|owners| owners.iter().find_map(|(_, owner)| held.get(&owner.id))),
            None => groups.sort_by_cached_key(|owners| Reverse(owners.iter().map(|(_, owner)| rank(owner)).max())),
        }
        groups.into_iter().map(|owners| owners.into_iter().map(|(at, _)| at).collect()).collect()
    }

    /// Keeps the order as it is from here on.
    pub fn hold(&mut self, fleet: &Fleet) {
        if self.held.is_none() {
            let owners = self.sorted(None, fleet).into_iter().flatten().filter_map(|at| fleet.owners.get(at));
            self.held = Some(owners.enumerate().map(|(at, owner)| (owner.id.clone(), at)).collect());
            self.last.take();
        }
    }

    /// Lets the order go; whether it was held.
    pub fn release(&mut self) -> bool {
        let was_held = self.held.take().is_some();
        if was_held {
            self.last.take();
        }
        was_held
    }

    /// Whether the order is held, and a host that stands worse now stands below one that stands better.
    pub fn is_out_of_order(&self, fleet: &Fleet) -> bool {
        self.held.is_some() && is_unsorted(&self.groups(fleet))
    }

    /// Narrows what is shown.
    pub fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
        self.last.take();
    }

    /// The filter.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Whether the filter, if there is one, lets a host through.
    pub fn lets_through(&self, owner: &OwnerView) -> bool {
        shows(self.filter.as_ref(), owner)
    }
}

fn shows(filter: Option<&Filter>, owner: &OwnerView) -> bool {
    filter.is_none_or(|filter| filter.shows_words(&words_of(owner)))
}

/// The group a host is shown under: its first one; those without stand last, under what they are.
pub fn group_of(owner: &OwnerView) -> (u8, &str) {
    match owner.groups.first() {
        Some(group) => (0, group),
        None if owner.is_cluster() => (1, "clusters"),
        None => (2, "other hosts"),
    }
}

/// How badly a host stands, the worst greatest.
pub fn rank(owner: &OwnerView) -> (ItemState, bool) {
    let is_refused = owner.services.iter().any(|service| service.failure.is_some());
    let is_down = matches!(owner.reach, Reach::Failed(..)) || is_refused;
    let least = if is_down { ItemState::Unreachable } else { ItemState::Ok };
    (owner.worst().max(least), is_down)
}

/// Whether a host that stands worse stands below one that stands better.
fn is_unsorted(groups: &[Group]) -> bool {
    let ranks: Vec<Vec<_>> =
        groups.iter().map(|(_, owners)| owners.iter().map(|owner| rank(owner)).collect()).collect();
    !ranks.is_sorted_by_key(|ranks| Reverse(ranks.iter().max()))
        || !ranks.iter().all(|ranks| ranks.is_sorted_by_key(Reverse))
}

/// What the filter looks at: name, groups, kinds, items, and how things stand, so that "stale" finds what is stale.
fn words_of(owner: &OwnerView) -> Vec<&str> {
    let mut words: Vec<&str> = vec![owner.id.as_str()];
    words.extend(owner.groups.iter().map(String::as_str));
    words.extend(owner.services.iter().map(|service| service.kind.as_str()));
    words.extend(owner.items().map(|item: &ItemView| item.place.item.as_str()));
    words.extend(owner.items().map(|item| item.state.word()).collect::<BTreeSet<_>>());
    if matches!(owner.reach, Reach::Failed(..)) {
        words.push("down");
    }
    words
}
