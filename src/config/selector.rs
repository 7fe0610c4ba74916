//! Selectors: what the operator names on the command line and in the console.

use std::fmt;
use std::str::FromStr;

use super::values;
use crate::model::exit::{Exit, Failure};
use crate::model::ids::{HostId, ItemRef, OwnerId};
use crate::model::inventory::{Host, Inventory, TransportKind};
use crate::model::text::matches_glob;

/// A name with `*` for any run of characters and `?` for any one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        matches_glob(&self.0, name)
    }

    /// `text` taken as it is, also with what no selector may hold.
    pub(crate) fn literal(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn parse(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '*' | '?');
        let ok = !text.is_empty() && text.len() <= 200 && !text.starts_with('-') && text.chars().all(allowed);
        ok.then(|| Self(text.to_owned()))
    }
}

/// The first part of a selector.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whom {
    /// `all`.
    All,
    /// `group:NAME`.
    Group(Pattern),
    /// A host or cluster by name or glob.
    Named(Pattern),
    /// `user@address[:port]`: a host that needs no entry.
    AdHoc {
        /// Login name.
        user: String,
        /// Host name or IP address.
        address: String,
        /// TCP port, when given.
        port: Option<u16>,
    },
}

/// `WHOM`, `WHOM/SERVICE` or `WHOM/SERVICE/ITEM`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Hosts and clusters.
    pub whom: Whom,
    /// Services of those; all when absent.
    pub service: Option<Pattern>,
    /// Items of those; all when absent.
    pub item: Option<Pattern>,
}

impl Selector {
    /// Everything.
    pub fn all() -> Self {
        Self { whom: Whom::All, service: None, item: None }
    }

    /// Whether a stored item is meant. An owner's former names count as its own, so that old snapshots are found.
    pub fn matches(&self, item: &ItemRef, inventory: &Inventory) -> bool {
        let part = |pattern: &Option<Pattern>, name: &str| pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
        self.matches_owner(&item.owner, inventory)
            && part(&self.service, item.service.as_str())
            && part(&self.item, item.item.as_str())
    }

    /// Whether a host or cluster is meant, also one the inventory does not know or knows under a newer name.
    pub fn matches_owner(&self, owner: &OwnerId, inventory: &Inventory) -> bool {
        let renamed = || inventory.hosts.values().find(|host| host.formerly.contains(owner));
        match &self.whom {
            Whom::All => true,
            Whom::Named(name) => {
                name.matches(owner.as_str()) || renamed().is_some_and(|host| name.matches(host.id.as_str()))
            }
            Whom::Group(group) => {
                let host = HostId::new(owner.as_str()).ok().and_then(|id| inventory.hosts.get(&id)).or_else(renamed);
                let groups = host.map(|host| &host.groups);
                let groups = groups.or_else(|| inventory.clusters.get(owner).map(|cluster| &cluster.groups));
                groups.is_some_and(|groups| groups.iter().any(|name| group.matches(name)))
            }
            Whom::AdHoc { .. } => {
                let id = self.known_host(inventory).map(|host| host.id.clone()).or_else(|| self.ad_hoc_id());
                id.is_some_and(|id| id.as_str() == owner.as_str())
            }
        }
    }

    /// The one host of the inventory that has the very address and port of an ad-hoc selector.
    pub(crate) fn known_host<'i>(&self, inventory: &'i Inventory) -> Option<&'i Host> {
        let Whom::AdHoc { address, port, .. } = &self.whom else { return None };
        let wanted = port.or(inventory.defaults.port).unwrap_or(22);
        let mut known = inventory.hosts.values().filter(|host| {
            host.access.transport == TransportKind::Ssh
                && host.access.address.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(address))
                && host.access.port.unwrap_or(22) == wanted
        });
        known.next().filter(|_| known.next().is_none())
    }

    /// The name an ad-hoc host gets: its address, and the port unless it is 22.
    pub fn ad_hoc_id(&self) -> Option<HostId> {
        let Whom::AdHoc { address, port, .. } = &self.whom else { return None };
        // Colons of IPv6 and the percent of a zone cannot stand in a name.
        let mut name = address.trim_end_matches('.').to_ascii_lowercase().replace([':', '%'], "-");
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            name.insert_str(0, "ip");
        }
        if let Some(port) = port.filter(|&port| port != 22) {
            name = format!("{name}-{port}");
        }
        HostId::new(name).ok()
    }
}

impl FromStr for Selector {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let shown: String = text.escape_debug().take(120).collect();
        let bad = |why: &str| {
            Failure::new(Exit::Usage, format!("'{shown}' is not a selector: {why}."))
                .hint("Write host, host/service, host/service/item, group:NAME, all or user@address[:port]; * and ? match any characters.")
        };
        let mut parts = text.split('/');
        let first = parts.next().unwrap_or_default();
        let mut below = |what: &str| match parts.next() {
            None => Ok(None),
            Some(part) => {
                Pattern::parse(part).map(Some).ok_or_else(|| bad(&format!("the {what} is not a usable name")))
            }
        };
        let (service, item) = (below("service")?, below("item")?);
        if parts.next().is_some() {
            return Err(bad("it has more than three parts"));
        }
        let whom = if first == "all" {
            Whom::All
        } else if let Some(group) = first.strip_prefix("group:") {
            Whom::Group(Pattern::parse(group).ok_or_else(|| bad("the group is not a usable name"))?)
        } else if first.contains('@') {
            let (user, address, port) =
                values::endpoint(first).map_err(|problem| bad(problem.message.trim_end_matches('.')))?;
            Whom::AdHoc { user, address, port }
        } else {
            Whom::Named(Pattern::parse(first).ok_or_else(|| bad("the host is not a usable name"))?)
        };
        let selector = Self { whom, service, item };
        if matches!(selector.whom, Whom::AdHoc { .. }) && selector.ad_hoc_id().is_none() {
            return Err(bad("the address is too long for a name"));
        }
        Ok(selector)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.whom {
            Whom::All => write!(f, "all")?,
            Whom::Group(group) => write!(f, "group:{}", group.0)?,
            Whom::Named(name) => write!(f, "{}", name.0)?,
            Whom::AdHoc { user, address, port } => match port {
                Some(port) if address.contains(':') => write!(f, "{user}@[{address}]:{port}")?,
                Some(port) => write!(f, "{user}@{address}:{port}")?,
                None => write!(f, "{user}@{address}")?,
            },
        }
        for part in [&self.service, &self.item].into_iter().flatten() {
            write!(f, "/{}", part.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_and_written_alike() {
        for text in [
            "all",
            "all/consul",
            "val-1",
            "val-1/netdata",
            "val-*/*/staking?",
            "group:prod",
            "group:p*/nats/x",
            "ops@10.0.0.5",
            "ops@10.0.0.5:2222/netdata",
            "ops@[::1]:22",
            "ops@2001:db8::7",
            "*/consul",
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for bad in ["", "/", "a/", "a/b/c/d", "group:", "@x", "ops@", "a b", "-x", "a;b", "ops@a:0", "a\u{202e}"] {
            let failure = bad.parse::<Selector>().unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{bad:?} was accepted");
        }
    }

    #[test]
    fn globs_match_as_people_expect() {
        let matches = |pattern: &str, name: &str| Pattern(pattern.into()).matches(name);
        for (pattern, name) in
            [("*", ""), ("val-*", "val-1"), ("*-1", "a-1-1"), ("?al*1", "val-1"), ("a*b*c", "axxbyyc")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("val-?", "val-10"), ("val", "val-1"), ("*x", "ab"), ("?", ""), ("a*b*c", "axxbyy")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(90), &"a".repeat(89)), "too many letters were found");
    }
}
