//! Looking at the fleet: every service's facts and items, many hosts at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::links::Links;
use crate::config::WrongSetting;
use crate::model::clock::Clock;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::Facts;
use crate::model::ids::{HostId, ItemId, ItemRef, OwnerId, ServiceName};
use crate::model::inventory::{Cluster, Host, Inventory, ServiceEntry};
use crate::model::item::{Item, Standing};
use crate::model::secret::Secrets;
use crate::services::{self, Cx};
use crate::transport::{Cancel, Transport};

/// What a probe needs besides a host.
pub struct Prober<'e> {
    /// The hosts and services.
    pub inventory: &'e Inventory,
    /// Logins.
    pub links: &'e Links<'e>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tokens and passwords.
    pub secrets: Arc<dyn Secrets>,
    /// The operator's wish to stop.
    pub cancel: Cancel,
}

/// A service as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The host or cluster it belongs to.
    pub owner: OwnerId,
    /// The entry's name.
    pub service: ServiceName,
    /// The driver.
    pub kind: String,
    /// The host it was looked at on; for a cluster, the member that answered.
    pub host: HostId,
    /// The checked settings.
    pub settings: Value,
    /// What was learned.
    pub facts: Facts,
    /// What can be saved.
    pub items: Vec<Item>,
}

impl Found {
    /// An item's place in the vault.
    pub fn place(&self, item: &ItemId) -> ItemRef {
        ItemRef { owner: self.owner.clone(), service: self.service.clone(), item: item.clone() }
    }
    /// An item of the service.
    pub fn item(&self, id: &ItemId) -> Result<&Item> {
        self.items.iter().find(|item| item.id == *id).ok_or_else(|| {
            let known: Vec<_> = self.items.iter().map(|item| item.id.as_str()).collect();
            Failure::new(Exit::Nothing, format!("{}/{} has no item '{id}'.", self.owner, self.service))
                .hint(format!("Its items: {}.", known.join(", ")))
        })
    }
}

/// A service to look at: an entry of a host, or of a cluster served by any of its members.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The host or cluster.
    pub owner: OwnerId,
    /// Hosts that can serve it, in order of preference.
    pub hosts: Vec<HostId>,
    /// The entry.
    pub entry: ServiceEntry,
}

/// Every service of the inventory, hosts first.
pub fn wanted_of(inventory: &Inventory) -> Vec<Wanted> {
    let of_hosts = inventory.hosts.values().flat_map(|host| {
        let wanted = move |entry: &ServiceEntry| Wanted {
            owner: (&host.id).into(),
            hosts: vec![host.id.clone()],
            entry: entry.clone(),
        };
        host.services.values().map(wanted)
    });
    let of_clusters = inventory.clusters.values().flat_map(|cluster| {
        let wanted = move |entry: &ServiceEntry| Wanted {
            owner: cluster.id.clone(),
            hosts: cluster.members.clone(),
            entry: entry.clone(),
        };
        cluster.services.values().map(wanted)
    });
    of_hosts.chain(of_clusters).collect()
}

/// What the driver of a service finds wrong with its settings; a kind that no driver serves is wrong too.
pub fn check_service(entry: &ServiceEntry) -> Vec<WrongSetting> {
    match services::driver(&entry.kind) {
        Err(failure) => {
            vec![WrongSetting { key: String::new(), message: failure.message, hint: failure.hints.join(" ") }]
        }
        Ok(driver) => {
            let wrong = driver.settings(&entry.settings).err().unwrap_or_default().into_iter();
            wrong.map(|e| WrongSetting { key: e.key, message: e.message, hint: e.hint }).collect()
        }
    }
}

/// A service's settings, checked by its driver; every mistake in one failure with file and line.
pub fn settings_of(inventory: &Inventory, owner: &OwnerId, entry: &ServiceEntry) -> Result<Value> {
    let driver = services::driver(&entry.kind)?;
    driver.settings(&entry.settings).map_err(|errors| {
        let told = errors.iter().map(|error| {
            let line = entry.lines.get(&error.key).or_else(|| entry.lines.get("")).copied().unwrap_or(0);
            format!("{}:{line}: {} {}", inventory.path.display(), error.message, error.hint)
        });
        let told: Vec<_> = told.collect();
        Failure::new(
            Exit::Usage,
            format!("The settings of {owner}/{} cannot be used:\n{}", entry.name, told.join("\n")),
        )
    })
}

impl Prober<'_> {
    /// Does `work` on a host with a login.
    pub fn on<T>(&self, host: &HostId, work: impl FnOnce(&Cx) -> Result<T>) -> Result<T> {
        let node = self.links.get(host, &self.cancel)?;
        let node: &dyn Transport = &*node;
        work(&Cx { host, node, cancel: &self.cancel, clock: &*self.clock, secrets: &*self.secrets, run: None })
    }

    /// Looks at one service on one host.
    pub fn probe_on(&self, host: &HostId, wanted: &Wanted) -> Result<Found> {
        let driver = services::driver(&wanted.entry.kind)?;
        let settings = settings_of(self.inventory, &wanted.owner, &wanted.entry)?;
        let facts = self.on(host, |cx| driver.probe(cx, &settings))?;
        let items = driver.items(&facts);
        Ok(Found {
            owner: wanted.owner.clone(),
            service: wanted.entry.name.clone(),
            kind: wanted.entry.kind.clone(),
            host: host.clone(),
            settings,
            facts,
            items,
        })
    }

    /// Looks at a service on the first host that answers and can give everything that is there.
    ///
    /// A member of a cluster that is up and cannot serve, because it is silent or without a leader, does not hide one that
    /// can: the search goes on, and the best that was found is taken.
    ///
    /// # Errors
    /// The last host's failure when none has it.
    pub fn probe(&self, wanted: &Wanted) -> Result<Found> {
        self.probe_for(wanted, None)
    }

    /// As [`Prober::probe`], for the sake of one item.
    pub fn probe_for(&self, wanted: &Wanted, item: Option<&ItemId>) -> Result<Found> {
        let nobody = Err(Failure::new(Exit::Usage, format!("{} has no members.", wanted.owner)));
        let best = best_of(wanted.hosts.iter().map(|host| self.probe_on(host, wanted)), item).unwrap_or(nobody);
        best.and_then(|mut found| {
            let driver = services::driver(&found.kind)?;
            share_out(self.inventory, &mut found, &|item| driver.is_of_one_member(item));
            Ok(found)
        })
    }

    /// Looks on a host for services its entry does not name, each by its driver's default settings.
    ///
    /// A driver without usable defaults, such as `files`, finds nothing by itself. Reads only.
    ///
    /// # Errors
    /// When the host does not answer. That one driver could not look stands in its own place.
    pub fn discover(&self, host: &Host) -> Result<Vec<(String, Result<Found>)>> {
        let owner: OwnerId = (&host.id).into();
        let mut found = Vec::new();
        for driver in services::REGISTRY {
            let kind = driver.kind();
            let is_named = host.services.values().any(|entry| entry.kind == kind);
            let Some(settings) = driver.settings(&toml::Table::new()).ok().filter(|_| !is_named) else { continue };
            let facts = match self.on(&host.id, |cx| driver.probe(cx, &settings)) {
                Ok(facts) => facts,
                Err(failure) if matches!(failure.exit, Exit::Unreachable | Exit::HostKey | Exit::Authentication) => {
                    return Err(failure);
                }
                Err(failure) => {
                    found.push((kind.to_owned(), Err(failure)));
                    continue;
                }
            };
            if let Some(service) = ServiceName::new(kind).ok().filter(|_| facts.present) {
                let items = driver.items(&facts);
                let (owner, host, kind) = (owner.clone(), host.id.clone(), kind.to_owned());
                found.push((kind.clone(), Ok(Found { owner, service, kind, host, settings, facts, items })));
            }
        }
        Ok(found)
    }

    /// Looks at many services, at most `jobs` hosts at once; results in the order asked.
    ///
    /// A host's services are looked at one after the other: they share its login, and many hosts are worth more than
    /// two looks at one.
    pub fn probe_all(&self, wanted: &[Wanted], jobs: usize) -> Vec<(Wanted, Result<Found>)> {
        let mut of_host: BTreeMap<Option<&HostId>, Vec<(usize, &Wanted)>> = BTreeMap::new();
        for (index, one) in wanted.iter().enumerate() {
            of_host.entry(one.hosts.first()).or_default().push((index, one));
        }
        let hosts: Vec<_> = of_host.into_values().collect();
        let look = |services: &Vec<(usize, &Wanted)>| -> Vec<_> {
            services.iter().map(|(index, one)| (*index, self.probe(one))).collect()
        };
        let mut results: Vec<_> = in_parallel(&hosts, jobs, look).into_iter().flatten().collect();
        results.sort_by_key(|(index, _)| *index);
        wanted.iter().cloned().zip(results.into_iter().map(|(_, result)| result)).collect()
    }
}

/// Says of each item that belongs to another owner of the inventory who saves it: what a cluster's members hold together
/// is saved once, under the cluster, and what each of them has of its own under itself. A copy of whichever member
/// answered would tell nothing of the others.
fn share_out(inventory: &Inventory, found: &mut Found, is_of_one_member: &dyn Fn(&ItemId) -> bool) {
    let (service, kind) = (found.service.clone(), found.kind.clone());
    let has = |services: &BTreeMap<ServiceName, ServiceEntry>| services.get(&service).is_some_and(|e| e.kind == kind);
    if let Some(cluster) = inventory.clusters.get(&found.owner) {
        let saves = |member: &&HostId| inventory.hosts.get(*member).is_some_and(|host| has(&host.services));
        let lacking: Vec<&str> = cluster.members.iter().filter(|member| !saves(member)).map(HostId::as_str).collect();
        for item in found.items.iter_mut().filter(|item| is_of_one_member(&item.id)) {
            item.standing = match lacking.first() {
                None => Standing::Elsewhere("Each member has its own, which is saved under the member.".into()),
                Some(first) => Standing::NotAsked(
                    format!(
                        "each member has its own; of {} nothing in the inventory saves it, as [hosts.{first}.services.{service}] would",
                        lacking.join(", ")
                    )
                    .into(),
                ),
            };
        }
    } else if found.items.iter().any(|item| is_of_one_member(&item.id)) {
        let holds = |cluster: &&Cluster| cluster.members.contains(&found.host) && has(&cluster.services);
        let Some(cluster) = inventory.clusters.values().find(holds) else { return };
        for item in found.items.iter_mut().filter(|item| !is_of_one_member(&item.id)) {
            let place = ItemRef { owner: cluster.id.clone(), service: service.clone(), item: item.id.clone() };
            item.standing = Standing::Elsewhere(format!("It is saved once for all members, as {place}.").into());
        }
    }
}

/// Of several looks at one service the best: the first at which nothing wanted stands in the way ends the search.
fn best_of(looks: impl Iterator<Item = Result<Found>>, item: Option<&ItemId>) -> Option<Result<Found>> {
    let mut best: Option<(usize, Result<Found>)> = None;
    for look in looks {
        let worth = worth_of(&look, item);
        // Of equals the first, by the order of preference; of failures the last, which is the freshest news.
        if best.as_ref().is_none_or(|(most, _)| worth > *most || (worth == 0 && *most == 0)) {
            best = Some((worth, look));
        }
        if worth == MOST {
            break;
        }
    }
    best.map(|(_, look)| look)
}

/// What the best look is worth.
const MOST: usize = 3;

fn worth_of(look: &Result<Found>, item: Option<&ItemId>) -> usize {
    let Ok(found) = look else { return 0 };
    let is_hindered =
        |one: &Item| item.is_none_or(|id| *id == one.id) && matches!(one.standing, Standing::Impossible(_));
    match (found.facts.present, found.items.iter().any(is_hindered)) {
        (false, _) => 1,
        (true, true) => 2,
        (true, false) => MOST,
    }
}

/// Applies `work` to every input on at most `jobs` threads; results in the order of the inputs.
pub fn in_parallel<I: Sync, O: Send>(inputs: &[I], jobs: usize, work: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<O>>> = Mutex::new(inputs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, inputs.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(index) else { break };
                    let output = work(input);
                    if let Some(slot) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                        *slot = Some(output);
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::item::{Copying, Sensitivity};

    fn look(host: &str, present: bool, standing: &Standing) -> Found {
        let item = Item {
            id: ItemId::new("snapshot").unwrap(),
            title: String::new(),
            size: None,
            sensitivity: Sensitivity::Plain,
            copying: Copying::Protocol,
            standing: standing.clone(),
            format: String::new(),
            facts: Value::Null,
        };
        Found {
            owner: OwnerId::new("dc1").unwrap(),
            service: ServiceName::new("consul").unwrap(),
            kind: "consul".into(),
            host: HostId::new(host).unwrap(),
            settings: Value::Null,
            facts: Facts { present, ..Facts::default() },
            items: vec![item],
        }
    }

    #[test]
    fn a_member_that_cannot_serve_does_not_hide_one_that_can() {
        let silent = Standing::Impossible("there is no leader".into());
        let gone = || Err(Failure::new(Exit::Unreachable, "gone"));
        let host = |looks: Vec<Result<Found>>| {
            let best = best_of(looks.into_iter(), None).unwrap();
            best.map_or_else(|failure| failure.message, |found| found.host.to_string())
        };
        let (up, bad) = (|name| Ok(look(name, true, &Standing::Ready)), |name| Ok(look(name, true, &silent)));
        assert_eq!(host(vec![bad("a"), gone(), up("c"), up("d")]), "c");
        assert_eq!(host(vec![gone(), bad("b"), bad("c")]), "b", "the first of equals");
        assert_eq!(host(vec![Ok(look("a", false, &silent)), bad("b")]), "b");
        assert_eq!(host(vec![Ok(look("a", false, &silent)), gone()]), "a");
        assert_eq!(host(vec![gone(), Err(Failure::new(Exit::Unreachable, "last"))]), "last");
        // What is not wanted now does not matter.
        let other = ItemId::new("agent-config").unwrap();
        let best = best_of([bad("a"), up("b")].into_iter(), Some(&other)).unwrap().unwrap();
        assert_eq!(best.host.as_str(), "a");
    }

    const DATACENTER: &str = r#"
version = 1
[vault]
path = "/vault"
[hosts.consul-1.services.consul]
[hosts.consul-2]
address = "10.0.0.2"
[hosts.edge.services.consul]
[clusters.dc1]
members = ["consul-1", "consul-2"]
[clusters.dc1.services.consul]
"#;

    #[test]
    fn what_members_share_is_the_cluster_s_and_what_each_has_is_its_own() {
        let path = std::path::Path::new("/inventory.toml");
        let standings = |text: &str, owner: &str, host: &str| {
            let inventory = crate::config::parse_inventory(text, path, path).unwrap().inventory;
            let mut found = look(host, true, &Standing::Ready);
            found.owner = OwnerId::new(owner).unwrap();
            let config = Item { id: ItemId::new("agent-config").unwrap(), ..found.items[0].clone() };
            found.items.push(config);
            share_out(&inventory, &mut found, &|item| item.as_str() == "agent-config");
            found.items.into_iter().map(|item| item.standing).collect::<Vec<_>>()
        };
        let cluster = standings(DATACENTER, "dc1", "consul-1");
        assert_eq!(cluster[0], Standing::Ready);
        let Standing::NotAsked(why) = &cluster[1] else { panic!("{cluster:?}") };
        let told = "of consul-2 nothing in the inventory saves it, as [hosts.consul-2.services.consul] would";
        assert!(why.as_str().ends_with(told), "{why}");
        let all = DATACENTER.replace("[hosts.edge", "[hosts.consul-2.services.consul]\n[hosts.edge");
        assert!(matches!(standings(&all, "dc1", "consul-1")[1], Standing::Elsewhere(_)));

        let member = standings(DATACENTER, "consul-1", "consul-1");
        assert_eq!(member[0], Standing::Elsewhere("It is saved once for all members, as dc1/consul/snapshot.".into()));
        assert_eq!(member[1], Standing::Ready);
        // An agent of no cluster, and one of another name on a member, have everything of their own.
        assert_eq!(standings(DATACENTER, "edge", "edge"), [Standing::Ready, Standing::Ready]);
        let other =
            DATACENTER.replace("[clusters.dc1.services.consul]", "[clusters.dc1.services.other]\nkind = \"consul\"");
        assert_eq!(standings(&other, "consul-1", "consul-1"), [Standing::Ready, Standing::Ready]);
    }
}
