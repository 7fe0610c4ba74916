//! How an item stands, judged by its copies, the node's last answer, the policy in force and the clock.

use jiff::Timestamp;

use super::{ItemState, ItemView, OwnerView, Reach, ServiceView};
use crate::model::facts::Identity;
use crate::model::inventory::Policy;
use crate::model::item::Standing;
use crate::model::units::Seconds;

/// A copy older than this is stale when no policy says otherwise.
const DEFAULT_MAX_AGE: Seconds = Seconds(24 * 3600);

/// From this share of its greatest age on a copy is due, in percent.
const DUE_PERCENT: i128 = 80;

/// A copy this far ahead of the clock is no rounding: one of two clocks is wrong.
const AHEAD: i64 = 300;

/// Judges every item of an owner.
pub(super) fn judge_owner(owner: &mut OwnerView, now: Timestamp) {
    let silent = matches!(owner.reach, Reach::Failed(..));
    for service in &mut owner.services {
        let unreachable = silent || service.failure.is_some();
        let ServiceView { policy, found, items, .. } = service;
        let running = found.as_ref().map_or(&[][..], |found| &found.identities);
        for item in items {
            (item.state, item.why) = judge_item(item, policy, running, unreachable, now);
        }
    }
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
        Some(Standing::Impossible(why)) => {
            let why = why.as_str().trim_end_matches('.');
            return (ItemState::Uncovered, format!("It cannot be saved: {why}."));
        }
        Some(Standing::Absent(why)) if newest.is_none() => return (ItemState::Absent, why.to_string()),
        _ => {}
    }
    let Some(newest) = newest else {
        return (ItemState::Never, "Nothing was ever copied off.".to_owned());
    };
    let ahead = newest.created.duration_since(now).as_secs();
    if ahead > AHEAD {
        let span = Seconds(ahead.unsigned_abs());
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
        let since = i128::from(now.duration_since(checked).as_secs());
        if since > i128::from(every.0) {
            return (ItemState::Due, format!("Its last check is longer ago than {every}."));
        }
    }
    (ItemState::Ok, String::new())
}

/// The kind of an identity that runs with another value than the copy has.
fn changed_identity(saved: &[Identity], running: &[Identity]) -> Option<String> {
    let differs = |one: &&Identity| {
        let mut same_kind = running.iter().filter(|now| now.kind == one.kind).peekable();
        same_kind.peek().is_some() && same_kind.all(|now| now.value != one.value)
    };
    saved.iter().find(differs).map(|one| one.kind.replace('-', " "))
}
