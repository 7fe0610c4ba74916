//! One identity, one running node: where else in the fleet an identity was looked for, and where the vault knows it was.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::capture::vault_failure;
use super::scan::{Found, Prober, Wanted, in_parallel, wanted_of};
use crate::model::clock::is_ahead;
use crate::model::exit::Result;
use crate::model::facts::{Identity, UnitFacts};
use crate::model::ids::{HostId, OwnerId};
use crate::model::manifest::Rung;
use crate::model::text::CleanText;
use crate::services::{Driver, Sighting, Whereabouts, driver};
use crate::vault::{Catalogue, Snapshot, Vault};

/// How many nodes are searched at once.
const SEARCHES: usize = 20;

/// Hosts that have had an identity by what the vault holds, each with when that was last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Homes(BTreeMap<HostId, Option<Timestamp>>);

impl Homes {
    /// Everywhere a copy with one of `identities` came from, and where one was proven by a restore. `now` is what this
    /// console's clock says: a date ahead of it does not tell that a host was the last.
    ///
    /// # Errors
    /// When the vault cannot be listed.
    pub fn of(vault: &Vault, identities: &[Identity], now: Timestamp) -> Result<Self> {
        let mut homes = Self::default();
        if identities.is_empty() {
            return Ok(homes);
        }
        let mut visit = |shelf: &mut Catalogue| {
            let shares = |one: &&Snapshot| one.manifest().identities.iter().any(|id| identities.contains(id));
            for snapshot in shelf.snapshots.iter().filter(shares) {
                homes.add(&snapshot.manifest().source.host, snapshot.manifest().created, now);
                for proof in snapshot.proofs().iter().filter(|proof| proof.rung == Rung::Proven && proof.passed) {
                    let to = proof.detail.get("restored_to").and_then(serde_json::Value::as_str);
                    if let Some(host) = to.and_then(|host| HostId::new(host).ok()) {
                        homes.add(&host, proof.dated(now), now);
                    }
                }
            }
        };
        vault.walk(&mut visit).map_err(|error| vault_failure(&error))?;
        Ok(homes)
    }

    /// Adds a host.
    pub fn add(&mut self, host: &HostId, at: Timestamp, now: Timestamp) {
        let at = Some(at).filter(|at| !is_ahead(*at, now));
        let known = self.0.entry(host.clone()).or_insert(at);
        *known = at.max(*known);
    }

    fn has(&self, host: &HostId) -> bool {
        self.0.contains_key(host)
    }

    /// Where it was last.
    fn last(&self) -> Option<&HostId> {
        self.0.iter().max_by_key(|(_, at)| **at).map(|(host, _)| host)
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// The kind of service that has such identities.
    pub kind: &'a str,
    /// The identities.
    pub identities: &'a [Identity],
    /// The host that is to have them, which is not searched.
    pub to: &'a HostId,
    /// The host they were copied from, when there is one.
    pub source: Option<&'a HostId>,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sightings {
    /// What a plan rests on: every host that could be asked, and those that could not and are known to have had it.
    pub counted: Vec<Sighting>,
    /// Hosts that could not be asked and of which nobody knows that they ever had it. They are told, and ask for nothing.
    pub untold: Vec<Sighting>,
}

impl Prober<'_> {
    /// Looks on every other host that has such a service for identities; a host the vault knows is not passed over.
    pub fn sight(&self, sought: &Sought, homes: &Homes) -> Sightings {
        let mut found = Sightings::default();
        if sought.identities.is_empty() {
            return found;
        }
        let all = wanted_of(self.inventory);
        let places: Vec<(&HostId, &Wanted)> = all
            .iter()
            .filter(|wanted| wanted.entry.kind == sought.kind)
            .flat_map(|wanted| wanted.hosts.iter().map(move |host| (host, wanted)))
            .filter(|(host, _)| *host != sought.to)
            .collect();
        let looked = in_parallel(&places, SEARCHES, |(host, wanted)| self.look_for(sought, host, wanted));
        for sighting in looked {
            let is_open = matches!(sighting.state, Whereabouts::Unreachable(_));
            let list = if is_open && !self.had(sought, homes, &sighting.host) {
                &mut found.untold
            } else {
                &mut found.counted
            };
            list.push(sighting);
        }
        found.counted.extend(self.gone_from_the_inventory(sought, homes, &places));
        found
    }

    fn look_for(&self, sought: &Sought, host: &HostId, wanted: &Wanted) -> Sighting {
        let (unit, state) = match self.probe_on(host, wanted) {
            Ok(found) => {
                // Stopping the unit would not stop what runs outside it.
                let unit = found.facts.units.first().filter(|_| !found.facts.outside);
                let state = whereabouts(&found, sought.identities);
                (unit.map(|facts| facts.unit.clone()), self.ask_as_peer(sought, &found, state))
            }
            Err(failure) => (None, Whereabouts::Unreachable(CleanText::new(&failure.message))),
        };
        Sighting { host: host.clone(), unit, state }
    }

    /// A host that does not have an identity may still hear it: one that is heard is alive, whatever else is known of it.
    fn ask_as_peer(&self, sought: &Sought, found: &Found, state: Whereabouts) -> Whereabouts {
        if state != Whereabouts::Elsewhere {
            return state;
        }
        let ask = |driver: &dyn Driver| self.on(&found.host, |cx| driver.hears(cx, &found.facts, sought.identities));
        // A witness that cannot be asked says nothing: what was found on its host stays true.
        match driver(sought.kind).and_then(ask) {
            Ok(Some(heard)) if heard.is_empty() => Whereabouts::Unheard,
            Ok(Some(heard)) => Whereabouts::Heard(heard),
            Ok(None) | Err(_) => state,
        }
    }

    /// Whether a host, under this name or an earlier one, is known to have had what is sought.
    fn had(&self, sought: &Sought, homes: &Homes, host: &HostId) -> bool {
        let is_home = |name: &HostId| sought.source == Some(name) || homes.has(name);
        let formerly = self.inventory.hosts.get(host).map(|host| host.formerly.as_slice()).unwrap_or_default();
        is_home(host) || formerly.iter().any(|name| HostId::new(name.as_str()).is_ok_and(|name| is_home(&name)))
    }

    /// The host it came from, and the one it was on last, when no entry leads there any more: nobody can ask them.
    fn gone_from_the_inventory(&self, sought: &Sought, homes: &Homes, places: &[(&HostId, &Wanted)]) -> Vec<Sighting> {
        let is_searched = |name: &HostId| {
            let was_called = |host: &HostId| {
                self.inventory.hosts.get(host).is_some_and(|host| host.formerly.contains(&OwnerId::from(name)))
            };
            name == sought.to
                || places.iter().any(|(host, _)| *host == name || was_called(host))
                || was_called(sought.to)
        };
        let mut gone: Vec<&HostId> = sought.source.into_iter().chain(homes.last()).collect();
        gone.dedup();
        gone.retain(|name| !is_searched(name));
        let told = |name: &HostId| {
            let why = if self.inventory.hosts.contains_key(name) {
                format!("The inventory names no such service on {name} any more")
            } else {
                format!("{name} is not in the inventory any more")
            };
            Sighting { host: name.clone(), unit: None, state: Whereabouts::Unreachable(why.into()) }
        };
        gone.into_iter().map(told).collect()
    }
}

/// Where an identity is, by what was found on one host.
fn whereabouts(found: &Found, sought: &[Identity]) -> Whereabouts {
    let facts = &found.facts;
    let shared: Vec<_> = facts.identities.iter().filter(|id| sought.contains(id)).cloned().collect();
    let heard: Vec<_> = facts.heard.iter().filter(|id| sought.contains(id)).cloned().collect();
    let tells = facts.identities.iter().any(|id| sought.iter().any(|wanted| wanted.kind == id.kind));
    let running = facts.outside || facts.units.iter().any(UnitFacts::is_running);
    match (shared.is_empty(), running) {
        (true, _) if !heard.is_empty() => Whereabouts::Heard(heard),
        (true, true) if !tells => {
            let why = format!("{}/{} runs on {}, but could not tell who it is", found.owner, found.service, found.host);
            Whereabouts::Unreachable(why.into())
        }
        (true, _) => Whereabouts::Elsewhere,
        (false, true) => Whereabouts::Alive(shared),
        (false, false) => {
            Whereabouts::Stopped { fenced: !facts.units.is_empty() && facts.units.iter().all(|unit| unit.fenced) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::Facts;
    use crate::model::ids::UnitName;

    fn id(kind: &str, value: &str) -> Identity {
        Identity { kind: kind.into(), value: value.into() }
    }

    fn found(active: &str, identities: Vec<Identity>) -> Found {
        let unit = UnitFacts {
            unit: UnitName::new("node.service").unwrap(),
            load: "loaded".into(),
            active: active.into(),
            enabled: "enabled".into(),
            invocation: String::new(),
            main_pid: 0,
            fenced: false,
        };
        Found {
            owner: OwnerId::new("val-2").unwrap(),
            service: crate::model::ids::ServiceName::new("node").unwrap(),
            kind: "node".into(),
            host: HostId::new("val-2").unwrap(),
            settings: serde_json::Value::Null,
            facts: Facts { present: true, identities, units: vec![unit], ..Facts::default() },
            items: vec![],
        }
    }

    #[test]
    fn what_runs_and_cannot_say_who_it_is_is_not_elsewhere() {
        let sought = [id("node-id", "A"), id("bls", "B")];
        let state = |active, identities| whereabouts(&found(active, identities), &sought);
        assert_eq!(state("active", vec![id("node-id", "C")]), Whereabouts::Elsewhere);
        assert_eq!(state("active", vec![id("node-id", "A")]), Whereabouts::Alive(vec![id("node-id", "A")]));
        assert!(matches!(state("active", vec![]), Whereabouts::Unreachable(why) if why.as_str().contains("who it is")));
        assert!(matches!(state("active", vec![id("claim", "A")]), Whereabouts::Unreachable(_)), "of another kind");
        assert_eq!(state("inactive", vec![]), Whereabouts::Elsewhere, "nothing runs there");
    }

    #[test]
    fn the_latest_home_is_the_last() {
        let (one, two) = (HostId::new("val-1").unwrap(), HostId::new("val-2").unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut homes = Homes::default();
        homes.add(&one, at(5), at(10));
        homes.add(&two, at(9), at(10));
        homes.add(&two, at(1), at(10));
        assert_eq!((homes.last(), homes.has(&one)), (Some(&two), true));
        // A clock that ran ahead does not make a host the last one; that it was a home stands.
        let three = HostId::new("val-3").unwrap();
        homes.add(&three, at(4_000_000_000), at(10));
        assert_eq!((homes.last(), homes.has(&three)), (Some(&two), true));
    }
}
