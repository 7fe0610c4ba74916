//! Policies: `max_age`, `verify_every`, `min_copies` and `keep`, from far to near.

use super::keys;
use super::reader::{Found, Notes, Section};
use super::values;
use crate::model::inventory::{Inventory, Keep, Policy};

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

/// What holds for something that is in `groups`: what is said nearest wins, key by key.
///
/// `nearer` is what its owner and itself say, the nearest last. Of the groups the one listed first is the nearest. What
/// nobody says stays empty: each kind of item brings its own default.
pub fn effective_policy(inventory: &Inventory, groups: &[String], nearer: &[&Policy]) -> Policy {
    let of_groups = groups.iter().rev().filter_map(|group| inventory.group_policies.get(group));
    of_groups.chain(nearer.iter().copied()).fold(inventory.policy.clone(), overlay)
}
