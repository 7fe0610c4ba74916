//! Policies: `max_age`, `verify_every`, `min_copies` and `keep`, from far to near.

use super::keys;
use super::reader::{Found, Notes, Section};
use super::values;
use crate::model::ids::{HostId, OwnerId, ServiceName};
use crate::model::inventory::{Inventory, Keep, Policy, ServiceEntry};

/// Reads the `policy` table of `section`; an absent one says nothing.
pub(crate) fn read_policy(notes: &mut Notes<'_>, section: &Section<'_>) -> Policy {
    match section.get(notes, "policy") {
        Some(found) => policy_table(notes, &found),
        None => Policy::default(),
    }
}

/// Reads a `policy` table.
pub(crate) fn policy_table(notes: &mut Notes<'_>, found: &Found<'_>) -> Policy {
    let Some(table) = found.table(notes) else { return Policy::default() };
    let section = Section::new(table, &found.key);
    section.refuse_unknown(notes, &[keys::POLICY]);
    Policy {
        max_age: section.parse(notes, "max_age", values::duration),
        verify_every: section.parse(notes, "verify_every", values::duration),
        min_copies: section.number(notes, "min_copies", 1, 99),
        keep: keep(notes, &section),
    }
}

fn keep(notes: &mut Notes<'_>, policy: &Section<'_>) -> Option<Keep> {
    let found = policy.get(notes, "keep")?;
    let table = found.table(notes)?;
    let section = Section::new(table, &found.key);
    section.refuse_unknown(notes, &[keys::KEEP]);
    let before = notes.errors.len();
    let mut count = |key| section.number(notes, key, 0, 100_000).unwrap_or(0);
    let keep = Keep { last: count("last"), daily: count("daily"), weekly: count("weekly"), monthly: count("monthly") };
    if keep == Keep::default() && notes.errors.len() == before {
        let hint = "Write at least one of last, daily, weekly, monthly above 0.";
        notes.error(found.line, &found.key, values::Problem::new("'keep' would keep nothing.", hint));
    }
    Some(keep)
}

/// Where `near` is silent, `far` speaks.
fn overlay(far: Policy, near: &Policy) -> Policy {
    Policy {
        max_age: near.max_age.or(far.max_age),
        verify_every: near.verify_every.or(far.verify_every),
        min_copies: near.min_copies.or(far.min_copies),
        keep: near.keep.clone().or(far.keep),
    }
}

/// What holds for a service of a host or cluster: service, owner, group, everywhere, the nearest winning key by key.
///
/// Of an owner's groups the one listed first is the nearest. What nobody says stays empty: each kind of item
/// brings its own default. An owner the inventory does not know gets what holds everywhere.
pub fn effective_policy(inventory: &Inventory, owner: &OwnerId, service: Option<&ServiceName>) -> Policy {
    let host = HostId::new(owner.as_str()).ok().and_then(|id| inventory.hosts.get(&id));
    let (groups, own, services) = match (host, inventory.clusters.get(owner)) {
        (Some(host), _) => (&host.groups[..], Some(&host.policy), Some(&host.services)),
        (None, Some(cluster)) => (&cluster.groups[..], Some(&cluster.policy), Some(&cluster.services)),
        (None, None) => (&[][..], None, None),
    };
    let entry: Option<&ServiceEntry> = services.zip(service).and_then(|(all, name)| all.get(name));
    let groups = groups.iter().rev().filter_map(|group| inventory.group_policies.get(group));
    groups.chain(own).chain(entry.map(|entry| &entry.policy)).fold(inventory.policy.clone(), overlay)
}
