//! Which plans are swept, and how thoroughly.

use lifeboat::model::ids::ItemId;

use super::super::fixtures::Fixture;
use super::{Base, Case};

/// In how many ways each step is tripped: the shared ops are the same in all plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// In every way.
    Thorough,
    /// It fails, it is cancelled, and its console dies.
    Some,
    /// In one of these ways, in turn.
    Turns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Backup,
    Restore,
    /// Its identity runs on the host it came from, and is stopped there for good.
    RestoreFencing,
    /// A finished restore is rolled back.
    Rollback,
}

pub(super) fn cases(fixture: &'static dyn Fixture, base: &Base, first: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    // A fixture that differs in where things lie, or in what opens them, and not in what is done.
    let is_variant =
        fixture.name().starts_with("avalanchego, ") || fixture.is_bare() || fixture.name().ends_with("tokens");
    let some = if is_variant { Care::Turns } else { Care::Some };
    for (at, item) in base.items.iter().enumerate() {
        let case = |kind, care| Case { fixture, item: item.clone(), kind, care };
        cases.push(case(Kind::Backup, if at == 0 && !is_variant { Care::Thorough } else { some }));
        cases.push(case(Kind::Restore, if first && at == 0 { Care::Thorough } else { some }));
        // What is replaced in one request is not rolled back. The words that swap are the same in all the others, but not
        // what stands around them, nor where.
        let is_swapped = |item: &ItemId| item.as_str() != "snapshot";
        if first && base.items.iter().position(is_swapped) == Some(at) {
            cases.push(case(Kind::Rollback, Care::Some));
        } else if is_swapped(item) && (first || at == 0) {
            cases.push(case(Kind::Rollback, Care::Turns));
        }
        let all = base.world.vault.catalogue().unwrap().snapshots;
        let is_data = fixture.set(item, true).get("as").is_some_and(|how| how == "data");
        let brings = all.iter().any(|one| one.item().item == *item && !one.manifest().identities.is_empty());
        if !is_data && brings {
            cases.push(case(Kind::RestoreFencing, some));
        }
    }
    cases
}
