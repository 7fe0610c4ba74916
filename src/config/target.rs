//! Selectors into what the inventory has: targets in a stable order, or why there are none.

use std::collections::BTreeMap;

use super::error::nearest;
use super::selector::{Pattern, Selector, Whom};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemId, OwnerId, ServiceName};
use crate::model::inventory::{Access, Cluster, Host, Inventory, Policy, ServiceEntry, TransportKind};

/// A host or cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A host, of the inventory or ad hoc.
    Host(Box<Host>),
    /// A cluster.
    Cluster(Cluster),
}

impl Subject {
    /// Its services.
    pub fn services(&self) -> &BTreeMap<ServiceName, ServiceEntry> {
        match self {
            Self::Host(host) => &host.services,
            Self::Cluster(cluster) => &cluster.services,
        }
    }
}

/// Which items of a service are meant. Items are known only after a probe, so this is asked then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Items {
    /// All of them.
    All,
    /// Those that match one of these.
    Matching(Vec<Pattern>),
}

impl Items {
    /// Whether `item` is meant.
    pub fn contains(&self, item: &ItemId) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|pattern| pattern.matches(item.as_str())),
        }
    }

    fn add(&mut self, item: Option<&Pattern>) {
        match (&mut *self, item) {
            (Self::All, _) => {}
            (_, None) => *self = Self::All,
            (Self::Matching(patterns), Some(item)) if patterns.contains(item) => {}
            (Self::Matching(patterns), Some(item)) => patterns.push(item.clone()),
        }
    }
}

/// One host or cluster that was selected, and what of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name.
    pub owner: OwnerId,
    /// The host or cluster itself.
    pub subject: Subject,
    /// Whether it stands in the inventory; an ad-hoc host does not.
    pub listed: bool,
    /// Whether a selector named it without a service, so that what it runs beside its entries is meant too.
    pub whole: bool,
    /// The services selected, by name.
    pub services: BTreeMap<ServiceName, Items>,
}

/// Finds what `selectors` mean: hosts by name, then clusters by name, then ad-hoc hosts by name, each once.
///
/// A selector that matches nothing fails the whole: the operator meant something by it.
pub fn resolve(selectors: &[Selector], inventory: &Inventory) -> Result<Vec<Target>> {
    let mut found: BTreeMap<(u8, OwnerId), Target> = BTreeMap::new();
    for selector in selectors {
        let subjects = match &selector.whom {
            Whom::AdHoc { .. } => vec![ad_hoc(selector, inventory)?],
            _ => listed(selector, inventory),
        };
        let mut matched = false;
        for (rank, owner, subject) in subjects {
            let names: Vec<ServiceName> = match &selector.service {
                None => subject.services().keys().cloned().collect(),
                Some(pattern) => {
                    subject.services().keys().filter(|name| pattern.matches(name.as_str())).cloned().collect()
                }
            };
            if selector.service.is_some() && names.is_empty() {
                continue;
            }
            matched = true;
            let target = found.entry((rank, owner.clone())).or_insert_with(|| Target {
                owner,
                subject: subject.clone(),
                listed: rank != 2,
                whole: false,
                services: BTreeMap::new(),
            });
            if rank == 2 {
                add_services(&mut target.subject, &subject);
            }
            target.whole |= selector.service.is_none();
            for name in names {
                let items = target.services.entry(name).or_insert_with(|| Items::Matching(Vec::new()));
                items.add(selector.item.as_ref());
            }
        }
        if !matched {
            return Err(nothing(selector, inventory));
        }
    }
    if found.is_empty() {
        return Err(Failure::new(Exit::Nothing, "Nothing was selected.").hint("Name a host, a group, or all."));
    }
    Ok(found.into_values().collect())
}

fn listed(selector: &Selector, inventory: &Inventory) -> Vec<(u8, OwnerId, Subject)> {
    // Only current names: a former name must not lead to another machine unasked.
    let meant = |name: &str, groups: &[String]| match &selector.whom {
        Whom::All => true,
        Whom::Named(pattern) => pattern.matches(name),
        Whom::Group(group) => groups.iter().any(|name| group.matches(name)),
        Whom::AdHoc { .. } => false,
    };
    let hosts = inventory.hosts.values().filter(|host| meant(host.id.as_str(), &host.groups));
    let clusters = inventory.clusters.values().filter(|cluster| meant(cluster.id.as_str(), &cluster.groups));
    hosts
        .map(|host| (0, OwnerId::from(&host.id), Subject::Host(Box::new(host.clone()))))
        .chain(clusters.map(|cluster| (1, cluster.id.clone(), Subject::Cluster(cluster.clone()))))
        .collect()
}

/// A host that needs no entry: `[defaults]` hold for it, and a service is what its name says.
///
/// Where the inventory knows the very address and port, its entry is taken, with its pinned keys and jump hosts,
/// and only the user is another.
fn ad_hoc(selector: &Selector, inventory: &Inventory) -> Result<(u8, OwnerId, Subject)> {
    let (Whom::AdHoc { user, address, port }, Some(id)) = (&selector.whom, selector.ad_hoc_id()) else {
        return Err(nothing(selector, inventory));
    };
    if let Some(host) = selector.known_host(inventory) {
        let mut host = host.clone();
        host.access.user = Some(user.clone());
        return Ok((0, OwnerId::from(&host.id), Subject::Host(Box::new(host))));
    }
    let owner = OwnerId::from(&id);
    if inventory.hosts.contains_key(&id) || inventory.clusters.contains_key(&owner) {
        let message = format!("'{selector}' would be called '{id}', and the inventory means something else by that.");
        return Err(Failure::new(Exit::Usage, message).hint("Give the machine an entry in the inventory."));
    }
    let access = Access {
        transport: TransportKind::Ssh,
        address: Some(address.clone()),
        port: port.or(inventory.defaults.port),
        user: Some(user.clone()),
        ..inventory.defaults.clone()
    };
    let mut services = BTreeMap::new();
    if let Some(pattern) = &selector.service {
        let plain = ServiceName::new(pattern.as_str()).ok();
        let name = plain.ok_or_else(|| {
            let message = format!("'{selector}' has a pattern for services, and none are known of that host.");
            Failure::new(Exit::Usage, message).hint("Name the service in full.")
        })?;
        services.insert(name.clone(), bare_service(name));
    }
    let host = Host { id, access, groups: Vec::new(), formerly: Vec::new(), services, policy: Policy::default() };
    Ok((2, owner, Subject::Host(Box::new(host))))
}

fn bare_service(name: ServiceName) -> ServiceEntry {
    ServiceEntry {
        kind: name.as_str().to_owned(),
        name,
        settings: toml::Table::new(),
        lines: BTreeMap::new(),
        policy: Policy::default(),
    }
}

fn add_services(to: &mut Subject, from: &Subject) {
    if let (Subject::Host(to), Subject::Host(from)) = (to, from) {
        to.services.extend(from.services.clone());
    }
}

/// Why nothing matched, with the name probably meant.
fn nothing(selector: &Selector, inventory: &Inventory) -> Failure {
    let failure = |message: String| Failure::new(Exit::Nothing, message);
    let subjects = listed(selector, inventory);
    if let (false, Some(service)) = (subjects.is_empty(), &selector.service) {
        let names = subjects.iter().flat_map(|(_, _, subject)| subject.services().keys()).map(ServiceName::as_str);
        let names: std::collections::BTreeSet<&str> = names.collect();
        let hint = match nearest(service.as_str(), names.iter().copied()) {
            Some(meant) => format!("Did you mean '{meant}'?"),
            None if names.is_empty() => "Nothing selected there has a service entry.".to_owned(),
            None => format!("Services there: {}.", listing(names)),
        };
        return failure(format!("'{selector}' matches no service.")).hint(hint);
    }
    if let Whom::Group(group) = &selector.whom {
        let hosts = inventory.hosts.values().flat_map(|host| &host.groups);
        let groups = hosts.chain(inventory.clusters.values().flat_map(|cluster| &cluster.groups));
        let groups: std::collections::BTreeSet<&str> = groups.map(String::as_str).collect();
        let hint = match nearest(group.as_str(), groups.iter().copied()) {
            Some(meant) => format!("Did you mean 'group:{meant}'?"),
            None if groups.is_empty() => "The inventory has no groups.".to_owned(),
            None => format!("Groups: {}.", listing(groups)),
        };
        return failure(format!("'{selector}' matches nothing: nobody is in that group.")).hint(hint);
    }
    let failure = failure(format!("'{selector}' matches nothing in '{}'.", inventory.path.display()));
    let Whom::Named(name) = &selector.whom else { return failure.hint("Add a host: [hosts.NAME].") };
    let owners = || inventory.hosts.keys().map(HostId::as_str).chain(inventory.clusters.keys().map(OwnerId::as_str));
    let renamed = inventory.hosts.values().find(|host| host.formerly.iter().any(|old| name.matches(old.as_str())));
    failure.hint(match (renamed, nearest(name.as_str(), owners())) {
        (Some(host), _) => format!("That machine is called '{}' now.", host.id),
        (None, Some(meant)) => format!("Did you mean '{meant}'?"),
        (None, None) if owners().next().is_none() => "The inventory is empty; add a host: [hosts.NAME].".to_owned(),
        (None, None) => format!("Known: {}.", listing(owners())),
    })
}

/// A few names, for a sentence.
fn listing<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(8) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
