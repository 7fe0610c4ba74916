//! How an item stands, judged by its copies, the node's last answer, the policy in force and the clock.

use jiff::{SignedDuration, Timestamp};

use super::twins::Twin;
use super::{FoundView, ItemState, ItemView, OwnerView, Reach, ServiceView};
use crate::model::clock::{AHEAD, is_ahead};
use crate::model::facts::Identity;
use crate::model::inventory::Policy;
use crate::model::item::Standing;
use crate::model::units::Seconds;

/// A copy older than this is stale when no policy says otherwise.
const DEFAULT_MAX_AGE: Seconds = Seconds(24 * 3600);

/// From this share of its greatest age on a copy is due, in percent.
const DUE_PERCENT: i128 = 80;

/// Judges every item of an owner; `twins` are the identities that run on several hosts of its fleet.
pub(super) fn judge_owner(owner: &mut OwnerView, twins: &[Twin], now: Timestamp) {
    let silent = matches!(owner.reach, Reach::Failed(..));
    for service in &mut owner.services {
        let unreachable = silent || service.failure.is_some();
        let ServiceView { kind, policy, found, items, .. } = service;
        let running = found.as_ref().map_or(&[][..], |found| &found.identities);
        let is_here = |twin: &&Twin| found.as_ref().is_some_and(|found| twin.is_at(&found.host, &found.identities));
        let twins: Vec<&Twin> = twins.iter().filter(is_here).collect();
        for item in items {
            (item.state, item.why) = found
                .as_ref()
                .and_then(|found| judge_twin(item, kind, found, &twins, now))
                .unwrap_or_else(|| judge_item(item, policy, running, unreachable, now));
        }
    }
}

/// Of an item that holds an identity which runs elsewhere too, that it does; who saves it is no matter here.
fn judge_twin(
    item: &ItemView,
    kind: &str,
    found: &FoundView,
    twins: &[&Twin],
    now: Timestamp,
) -> Option<(ItemState, String)> {
    let is_saved_here = !matches!(item.item.as_ref().map(|found| &found.standing), Some(Standing::Elsewhere(_)));
    let twin = twins.iter().find(|twin| is_saved_here && twin.is_in(kind, &item.place.item))?;
    Some((ItemState::Twin, format!("{} {}", twin.beside(&found.host, now), twin.advice())))
}

fn judge_item(
    item: &ItemView,
    policy: &Policy,
    running: &[Identity],
    unreachable: bool,
    now: Timestamp,
) -> (ItemState, String) {
    let newest = item.copies().first();
    match item.item.as_ref().map(|found| &found.standing) {
        Some(Standing::Impossible(why) | Standing::NotAsked(why)) => {
            let why = why.as_str().trim_end_matches('.');
            return (ItemState::Uncovered, format!("It cannot be saved: {why}."));
        }
        Some(Standing::Elsewhere(why)) => return (ItemState::Absent, why.to_string()),
        Some(Standing::Absent(why)) if newest.is_none() => return (ItemState::Absent, why.to_string()),
        _ => {}
    }
    let Some(newest) = newest else {
        return (ItemState::Never, "Nothing was ever copied off.".to_owned());
    };
    if is_ahead(newest.created, now) {
        let span = ahead_by(newest.created, now);
        let why = format!("The newest copy is dated {span} ahead of this console's clock; check both clocks.");
        return (ItemState::Suspect, why);
    }
    if let Some(why) = newest.against.iter().find(|why| *why != "not verified") {
        return (ItemState::Suspect, format!("The newest copy is suspect: {why}."));
    }
    let Some(good) = item.best() else {
        return (ItemState::Unverified, "No copy has been verified.".to_owned());
    };
    if let Some(changed) = changed_identity(&item.shelf.identities, running) {
        return (ItemState::Changed, format!("What runs there now has another {changed} than the copy."));
    }
    let max_age = policy.max_age.unwrap_or(DEFAULT_MAX_AGE);
    let (age, limit) = (i128::from(now.duration_since(good.created).as_secs()), i128::from(max_age.0));
    if age > limit {
        return (ItemState::Stale, format!("The newest good copy is older than {max_age}."));
    }
    if unreachable {
        return (ItemState::Unreachable, "The node does not answer; what is stored is what there is.".to_owned());
    }
    if age * 100 > limit * DUE_PERCENT {
        return (ItemState::Due, format!("The newest good copy will soon be older than {max_age}."));
    }
    if let (Some(every), Some(checked)) = (policy.verify_every, good.verified_at()) {
        if is_ahead(checked, now) {
            let span = ahead_by(checked, now);
            let why = format!("Its last check is dated {span} ahead of this console's clock; verify it again.");
            return (ItemState::Due, why);
        }
        let since = i128::from(now.duration_since(checked).as_secs());
        if since > i128::from(every.0) {
            return (ItemState::Due, format!("Its last check is longer ago than {every}."));
        }
    }
    (ItemState::Ok, String::new())
}

fn ahead_by(at: Timestamp, now: Timestamp) -> Seconds {
    Seconds(at.duration_since(now).as_secs().unsigned_abs())
}

/// The first moment after `now` at which the clock alone may change how an item of this owner stands.
pub(super) fn next_turn(owner: &OwnerView, now: Timestamp) -> Option<Timestamp> {
    let of_item = |policy: &Policy, item: &ItemView| {
        let after = |at: Timestamp, span: i128| {
            let seconds = i64::try_from(span).ok()?.checked_add(1)?;
            at.checked_add(SignedDuration::from_secs(seconds)).ok()
        };
        let limit = i128::from(policy.max_age.unwrap_or(DEFAULT_MAX_AGE).0);
        let good = item.best();
        let stale = good.and_then(|good| after(good.created, limit));
        let due = good.and_then(|good| after(good.created, limit * DUE_PERCENT / 100));
        let checked = good.and_then(super::CopyView::verified_at).zip(policy.verify_every);
        let unchecked = checked.and_then(|(at, every)| after(at, i128::from(every.0)));
        // A copy ahead of the clock stops being suspect when the clock comes near it.
        let caught_up = item.copies().first().and_then(|copy| after(copy.created, -i128::from(AHEAD.as_secs())));
        [stale, due, unchecked, caught_up].into_iter().flatten().filter(|at| *at > now).min()
    };
    let services = owner.services.iter();
    services.flat_map(|service| service.items.iter().filter_map(|item| of_item(&service.policy, item))).min()
}

/// The kind of an identity that runs with another value than the copy has.
fn changed_identity(saved: &[Identity], running: &[Identity]) -> Option<String> {
    let differs = |one: &&Identity| {
        let mut same_kind = running.iter().filter(|now| now.kind == one.kind).peekable();
        same_kind.peek().is_some() && same_kind.all(|now| now.value != one.value)
    };
    saved.iter().find(differs).map(|one| one.kind.replace('-', " "))
}
