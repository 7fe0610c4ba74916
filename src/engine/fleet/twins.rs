//! One identity, one running node: identities that were seen running on more than one host.
//!
//! Pure, and the one place that compares hosts: `scan` asks it about what it has just found, the console about what each
//! host showed when it was looked at last, so every host is told with the time of its look.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::FoundView;
use crate::engine::phrases::{age, ago};
use crate::engine::planner::{BROUGHT, REPLACED};
use crate::model::facts::{Identity, UnitFacts};
use crate::model::ids::{HostId, ItemId, OwnerId, ServiceName};
use crate::model::plan::Plan;
use crate::services::driver;

/// One service as it was found, with what tells whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The host or cluster it belongs to.
    pub owner: &'a OwnerId,
    /// The entry's name.
    pub service: &'a ServiceName,
    /// Its driver.
    pub kind: &'a str,
    /// How the inventory reaches the host it was found on, without the account: the same again is the same machine.
    pub machine: &'a str,
    /// What was found.
    pub found: &'a FoundView,
    /// Whether the host, or the service, could not be looked at since.
    pub is_silent: bool,
}

/// Identities whose whereabouts a run settled: it looked for them everywhere, and where they ran it stopped them. What was
/// seen of them before, on any host, tells nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The identities.
    pub identities: Vec<Identity>,
    /// When.
    pub at: Timestamp,
}

/// Identities that run on several hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Twin {
    /// The driver of their service.
    pub driver: String,
    /// The identities, as the service lists them.
    pub identities: Vec<Identity>,
    /// Where they run, by host.
    pub places: Vec<Place>,
    /// Whether all of them show the very same start of the service.
    pub same_start: bool,
}

/// A host on which an identity was seen running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The host.
    pub host: HostId,
    /// The host or cluster whose service it is.
    pub owner: OwnerId,
    /// The service.
    pub service: ServiceName,
    /// When it was seen.
    pub looked_at: Timestamp,
    /// Whether it could not be looked at since.
    pub silent: bool,
}

impl Look<'_> {
    /// Whether it runs, in a unit or outside.
    fn is_running(&self) -> bool {
        self.found.outside || self.found.units.iter().any(UnitFacts::is_running)
    }

    /// The unit that is looked at; two entries may name the same.
    fn unit(&self) -> Option<&str> {
        self.found.units.first().map(|unit| unit.unit.as_str())
    }

    fn is_newer_than(&self, older: &Look) -> bool {
        let is_same = self.found.host == older.found.host && self.kind == older.kind && self.unit() == older.unit();
        is_same && self.found.at > older.found.at
    }

    /// The start of the unit that runs, which no other start shares.
    fn start(&self) -> Option<&str> {
        let running = self.found.units.iter().find(|unit| unit.is_running());
        running.map(|unit| unit.invocation.as_str()).filter(|start| !start.is_empty())
    }
}

impl Settled {
    /// What a run of this plan settles: nothing where it moves no identity.
    pub fn of(plan: &Plan, at: Timestamp) -> Option<Self> {
        let lists = [BROUGHT, REPLACED].into_iter().filter_map(|list| plan.basis.get(list));
        let read = |list: &serde_json::Value| serde_json::from_value::<Vec<Identity>>(list.clone()).unwrap_or_default();
        let identities: Vec<Identity> = lists.flat_map(read).collect();
        (!identities.is_empty()).then_some(Self { identities, at })
    }

    /// Whether it makes what a look saw of an identity worthless.
    fn outdates(&self, look: &Look, identity: &Identity) -> bool {
        look.found.at < self.at && self.identities.contains(identity)
    }

    /// Whether there is a look whose worth depends on it.
    pub(super) fn matters<'a>(&self, mut looks: impl Iterator<Item = Look<'a>>) -> bool {
        looks.any(|look| look.is_running() && look.found.identities.iter().any(|id| self.outdates(&look, id)))
    }
}

/// Which identities run on more than one host, by what was found.
///
/// Only what runs counts: what lies stopped, held or fenced is no twin. Of several looks at one unit the newest counts,
/// and none that is older than a run which settled where the identity is. Names that lead to one machine are one host.
pub fn twins<'a>(looks: impl Iterator<Item = Look<'a>>, settled: &[Settled]) -> Vec<Twin> {
    let looks: Vec<Look> = looks.collect();
    let mut running: HashMap<&Identity, Vec<&Look>> = HashMap::new();
    for look in looks.iter().filter(|look| look.is_running()) {
        for identity in &look.found.identities {
            running.entry(identity).or_default().push(look);
        }
    }
    let mut found: BTreeMap<Vec<&HostId>, (Vec<&Look>, Vec<&Identity>)> = BTreeMap::new();
    for (identity, mut places) in running.into_iter().filter(|(_, places)| places.len() > 1) {
        places.retain(|look| {
            let is_old = settled.iter().any(|one| one.outdates(look, identity));
            !is_old && !looks.iter().any(|other| other.is_newer_than(look))
        });
        let places = one_a_machine(places);
        if places.len() > 1 {
            let hosts = places.iter().map(|look| &look.found.host).collect();
            found.entry(hosts).or_insert((places, Vec::new())).1.push(identity);
        }
    }
    found.into_values().map(|(places, identities)| Twin::of(&places, &identities)).collect()
}

/// Of the looks at each machine the newest, by the names of their hosts.
fn one_a_machine<'a>(mut looks: Vec<&'a Look<'a>>) -> Vec<&'a Look<'a>> {
    looks.sort_by_key(|look| std::cmp::Reverse(look.found.at));
    let mut kept: Vec<&Look> = Vec::new();
    for look in looks {
        let is_known = kept.iter().any(|known| {
            let is_reached_alike = !look.machine.is_empty() && known.machine == look.machine;
            known.found.host == look.found.host || is_reached_alike
        });
        if !is_known {
            kept.push(look);
        }
    }
    kept.sort_by_key(|look| &look.found.host);
    kept
}

impl Twin {
    fn of(looks: &[&Look], identities: &[&Identity]) -> Self {
        let place = |look: &&Look| Place {
            host: look.found.host.clone(),
            owner: look.owner.clone(),
            service: look.service.clone(),
            looked_at: look.found.at,
            silent: look.is_silent,
        };
        let first = looks.first();
        let listed = first.map_or(&[][..], |look| &look.found.identities);
        let start = first.and_then(|look| look.start());
        Self {
            driver: first.map_or("", |look| look.kind).to_owned(),
            // As they are listed: the name of a node first, then its keys.
            identities: listed.iter().filter(|identity| identities.contains(identity)).cloned().collect(),
            places: looks.iter().map(place).collect(),
            same_start: start.is_some() && looks.iter().all(|look| look.start() == start),
        }
    }

    /// Whether a host, with the identities that were found on it, is one of its places.
    pub fn is_at(&self, host: &HostId, identities: &[Identity]) -> bool {
        self.places.iter().any(|place| place.host == *host)
            && self.identities.iter().any(|identity| identities.contains(identity))
    }

    /// Whether an item of such a service holds one of its identities.
    pub fn is_in(&self, kind: &str, item: &ItemId) -> bool {
        let held = driver(kind).map_or(&[][..], |driver| driver.identities_in(item));
        self.identities.iter().any(|identity| held.contains(&identity.kind.as_str()))
    }

    /// The finding: "NodeID-7xg… runs on val-3 and on val-4." A look that is old is told with its age.
    pub fn message(&self, now: Timestamp) -> String {
        let name = self.identities.first().map(named).unwrap_or_default();
        let places = self.places.iter().map(|place| match place.age(now) {
            Some(age) => format!("on {} ({age})", place.host),
            None => format!("on {}", place.host),
        });
        format!("{name} runs {}.", listed(places.collect()))
    }

    /// The same as it is told of one of its hosts: "The same identity also runs on val-4 (looked at 3m ago)."
    pub fn beside(&self, host: &HostId, now: Timestamp) -> String {
        let others = self.places.iter().filter(|place| place.host != *host).map(|place| {
            let age = place.age(now).unwrap_or_else(|| format!("looked at {}", ago(place.looked_at, now)));
            format!("on {} ({age})", place.host)
        });
        format!("The same identity also runs {}.", listed(others.collect()))
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        let page = format!("docs/services/{}.md", self.driver);
        if self.same_start {
            return format!(
                "All of them show the same start of the service: they are one machine under several names, or one that was \
                 copied while it ran. Copies must be stopped: {page}, Twins."
            );
        }
        format!("Stop one of them for good: {page}, Twins.")
    }
}

impl Place {
    /// How old the look is; nothing for one of this minute at a host that answers.
    fn age(&self, now: Timestamp) -> Option<String> {
        let told = format!("looked at {}", ago(self.looked_at, now));
        match (self.silent, age(self.looked_at, now).as_str()) {
            (true, _) => Some(format!("{told}; it does not answer now")),
            (false, "now") => None,
            (false, _) => Some(told),
        }
    }
}

/// An identity at the beginning of a sentence; a `NodeID-…` says itself what it is.
fn named(identity: &Identity) -> String {
    match identity.kind.as_str() {
        "avalanche-node-id" => identity.value.clone(),
        kind => format!("The {} {}", kind.replace('-', " "), identity.value),
    }
}

/// "a and b", "a, b and c".
fn listed(mut words: Vec<String>) -> String {
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last } else { format!("{} and {last}", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::model::ids::UnitName;
    use crate::model::plan::Command;

    const NODE: &str = "avalanche-node-id";

    fn now() -> Timestamp {
        "2026-11-20T02:50:00Z".parse().unwrap()
    }

    fn ago(minutes: i64) -> Timestamp {
        now() - SignedDuration::from_mins(minutes)
    }

    fn id(kind: &str, value: &str) -> Identity {
        Identity { kind: kind.into(), value: value.into() }
    }

    /// A service as it may be found, whole.
    #[derive(Clone)]
    struct Case {
        owner: OwnerId,
        service: ServiceName,
        machine: String,
        found: FoundView,
        is_silent: bool,
    }

    impl Case {
        /// A service that runs with an identity on a host of its own, seen `age` minutes ago.
        fn new(host: &str, identities: &[Identity], age: i64) -> Self {
            let unit = UnitFacts {
                unit: UnitName::new("avalanchego.service").unwrap(),
                load: "loaded".into(),
                active: "active".into(),
                enabled: "enabled".into(),
                invocation: format!("start of {host}"),
                main_pid: 7,
                fenced: false,
            };
            let found = FoundView {
                host: HostId::new(host).unwrap(),
                at: ago(age),
                present: true,
                version: None,
                variant: None,
                identities: identities.to_vec(),
                units: vec![unit],
                outside: false,
                notes: Vec::new(),
                own: Box::default(),
            };
            Self {
                owner: OwnerId::new(host).unwrap(),
                service: ServiceName::new("avalanchego").unwrap(),
                machine: host.to_owned(),
                found,
                is_silent: false,
            }
        }

        fn active(mut self, active: &str) -> Self {
            self.found.units[0].active = active.into();
            self
        }

        fn owned_by(mut self, owner: &str) -> Self {
            self.owner = OwnerId::new(owner).unwrap();
            self
        }
    }

    fn found(cases: &[Case], settled: &[Settled]) -> Vec<Twin> {
        let look = |case: &'static Case| Look {
            owner: &case.owner,
            service: &case.service,
            kind: "avalanchego",
            machine: &case.machine,
            found: &case.found,
            is_silent: case.is_silent,
        };
        twins(cases.to_vec().leak().iter().map(look), settled)
    }

    /// What is told of a fleet with these looks.
    fn told(cases: &[Case], settled: &[Settled]) -> Vec<String> {
        found(cases, settled).iter().map(|twin| twin.message(now())).collect()
    }

    #[test]
    fn an_identity_that_runs_on_two_hosts_is_told_with_both() {
        let (a, b, key) = (id(NODE, "NodeID-a"), id(NODE, "NodeID-b"), id("avalanche-bls", "0x8f"));
        let both = [a.clone(), key.clone()];
        let cases = [Case::new("val-3", &both, 0), Case::new("val-4", &both, 0), Case::new("val-1", &[b], 0)];
        assert_eq!(told(&cases, &[]), ["NodeID-a runs on val-3 and on val-4."], "one finding for all they share");
        let twin = &found(&cases, &[])[0];
        assert_eq!(twin.identities, both);
        assert_eq!(
            twin.beside(&HostId::new("val-3").unwrap(), now()),
            "The same identity also runs on val-4 (looked at just now)."
        );
        assert_eq!(twin.advice(), "Stop one of them for good: docs/services/avalanchego.md, Twins.");
        // A third, and one that shares only a key.
        let more = [&cases[..], &[Case::new("spare-1", &[a], 0), Case::new("val-5", &[key], 0)]].concat();
        assert_eq!(
            told(&more, &[]),
            [
                "NodeID-a runs on spare-1, on val-3 and on val-4.",
                "The avalanche bls 0x8f runs on val-3, on val-4 and on val-5."
            ]
        );
        let guid = [id("netdata-guid", "a")];
        let kinds = [Case::new("a", &guid, 0), Case::new("b", &[id("netdata-claim", "a")], 0)];
        assert!(told(&kinds, &[]).is_empty(), "another kind is another identity");
    }

    #[test]
    fn only_what_runs_counts() {
        let a = [id(NODE, "NodeID-a")];
        let beside = |case: Case| !told(&[Case::new("val-3", &a, 0), case], &[]).is_empty();
        for (active, is_twin) in
            [("active", true), ("activating", true), ("reloading", true), ("inactive", false), ("failed", false)]
        {
            assert_eq!(beside(Case::new("val-4", &a, 0).active(active)), is_twin, "{active}");
        }
        let mut fenced = Case::new("val-4", &a, 0).active("inactive");
        fenced.found.units[0].fenced = true;
        fenced.found.units[0].load = "masked".into();
        assert!(!beside(fenced));
        let mut outside = Case::new("val-4", &a, 0).active("inactive");
        outside.found.outside = true;
        assert!(beside(outside.clone()), "what runs outside its unit runs");
        outside.found.units.clear();
        assert!(beside(outside));
        let nobody = [Case::new("val-3", &[], 0), Case::new("val-4", &[], 0)];
        assert!(told(&nobody, &[]).is_empty(), "who does not tell who it is, is nobody's twin");
    }

    #[test]
    fn one_host_is_no_twin_of_itself_under_whatever_name() {
        let a = [id("consul-node-id", "a")];
        let host = Case::new("consul-1", &a, 0);
        assert!(told(&[host.clone(), host.clone().owned_by("dc1")], &[]).is_empty(), "a cluster's look at its member");
        let mut alias = Case::new("old-name", &a, 0);
        alias.machine.clone_from(&host.machine);
        assert!(told(&[host.clone(), alias.clone()], &[]).is_empty(), "two names for one address");
        // Another address that shows the very same start may be another machine: it is told, and so is the doubt.
        alias.machine = "10.0.0.9".into();
        alias.found.units[0].invocation.clone_from(&host.found.units[0].invocation);
        let twin = &found(&[host.clone(), alias.clone()], &[])[0];
        assert!(twin.same_start && twin.advice().contains("one machine under several names"), "{}", twin.advice());
        alias.found.units[0].invocation = "another".into();
        assert!(!found(&[host, alias], &[])[0].same_start);
        // Nobody knows how these are reached.
        let unknown = ["a", "b"].map(|host| Case { machine: String::new(), ..Case::new(host, &a, 0) });
        assert_eq!(told(&unknown, &[]).len(), 1);
    }

    #[test]
    fn an_old_look_is_told_with_its_age_and_a_newer_one_at_the_same_place_counts() {
        let a = [id(NODE, "NodeID-a")];
        let old = Case::new("val-3", &a, 180);
        let new = Case::new("val-4", &a, 0);
        assert_eq!(told(&[old.clone(), new.clone()], &[]), ["NodeID-a runs on val-3 (looked at 3h ago) and on val-4."]);
        let silent = Case { is_silent: true, ..old.clone() };
        assert_eq!(
            told(&[silent, new.clone()], &[]),
            ["NodeID-a runs on val-3 (looked at 3h ago; it does not answer now) and on val-4."]
        );
        let since = Case::new("val-3", &[], 1).active("inactive").owned_by("dc1");
        assert!(told(&[old, since, new], &[]).is_empty(), "it was seen stopped since");
    }

    #[test]
    fn what_was_seen_before_a_restore_settled_it_is_no_twin_and_what_is_seen_after_is() {
        let a = id(NODE, "NodeID-a");
        let restored = Settled { identities: vec![a.clone()], at: ago(10) };
        let here = |age| Case::new("spare-1", std::slice::from_ref(&a), age);
        let there = |age| Case::new("val-1", std::slice::from_ref(&a), age);
        let is_told = |there, here| !told(&[there, here], std::slice::from_ref(&restored)).is_empty();
        assert!(!is_told(there(120), here(0)), "val-1 was lost, and its look is older than the restore");
        assert!(!is_told(there(120), here(11)));
        assert!(is_told(there(5), here(0)), "val-1 was declared gone, and is seen again");
        let other = Settled { identities: vec![id(NODE, "NodeID-b")], ..restored };
        assert_eq!(told(&[there(120), here(0)], &[other]).len(), 1, "a restore of another identity settles nothing");
    }

    #[test]
    fn a_plan_settles_what_it_brings_and_what_it_replaces() {
        let item = serde_json::from_value(serde_json::json!({"owner": "val-1", "service": "a", "item": "b"})).unwrap();
        let mut plan = Plan {
            command: Command::Backup { item, reason: None },
            basis: BTreeMap::new(),
            choices: vec![],
            gates: vec![],
            guards: vec![],
            steps: vec![],
            leaves: vec![],
            proves: false,
            entry: None,
        };
        assert_eq!(Settled::of(&plan, now()), None);
        plan.basis.insert(BROUGHT.into(), serde_json::json!([id(NODE, "NodeID-a")]));
        plan.basis.insert(REPLACED.into(), serde_json::json!([id(NODE, "NodeID-b")]));
        let settled = Settled { identities: vec![id(NODE, "NodeID-a"), id(NODE, "NodeID-b")], at: now() };
        assert_eq!(Settled::of(&plan, now()), Some(settled));
    }
}
