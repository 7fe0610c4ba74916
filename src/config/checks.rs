//! Checks that need the whole inventory: names, members, jumps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::error::nearest;
use super::reader::{Found, Notes, Section};
use super::values::{self, Problem};
use crate::model::ids::{HostId, OwnerId};
use crate::model::inventory::{Inventory, TransportKind};

/// The raw `[hosts]` and `[clusters]` tables, for the places of things.
pub(crate) struct Tables<'a> {
    /// `[defaults]`.
    pub defaults: Option<Section<'a>>,
    /// Each host's table by name, with the line its name stands on.
    pub hosts: BTreeMap<&'a str, (Section<'a>, usize)>,
    /// Each cluster's table by name, likewise.
    pub clusters: BTreeMap<&'a str, (Section<'a>, usize)>,
    /// Each group's policy table by name.
    pub groups: Vec<(&'a str, Found<'a>)>,
}

/// Runs them all.
pub(crate) fn check_whole(notes: &mut Notes<'_>, inventory: &Inventory, tables: &Tables<'_>) {
    check_names(notes, inventory, tables);
    check_members(notes, inventory, tables);
    check_jumps(notes, inventory, tables);
    check_addresses(notes, inventory, tables);
    check_groups(notes, inventory, tables);
    if tables.hosts.is_empty() && notes.errors.is_empty() {
        notes.warn(0, "hosts", Problem::new("The inventory holds no host.", "Add one: [hosts.NAME]."));
    }
    if inventory.vault.path.as_os_str().is_empty() && notes.errors.is_empty() {
        notes.warn(0, "vault.path", Problem::new("No vault is set.", "Write path = \"…\" under [vault]."));
    }
}

fn check_names(notes: &mut Notes<'_>, inventory: &Inventory, tables: &Tables<'_>) {
    for (name, (section, line)) in &tables.clusters {
        if let Some((_, host)) = tables.hosts.get(name) {
            let message = format!("'{name}' names a cluster here and a host in line {host}.");
            notes.error(*line, &section.path, Problem::new(message, "Hosts and clusters share one name space."));
        }
    }
    let mut former: HashMap<&OwnerId, &HostId> = HashMap::new();
    for host in inventory.hosts.values() {
        let Some(found) = tables.hosts.get(host.id.as_str()).and_then(|(table, _)| table.get(notes, "formerly")) else {
            continue;
        };
        for old in &host.formerly {
            let hint = "Old snapshots must belong to one machine.";
            if tables.hosts.contains_key(old.as_str()) || tables.clusters.contains_key(old.as_str()) {
                let message = format!("'{old}' cannot be a former name: something bears it now.");
                notes.error(found.line, &found.key, Problem::new(message, hint));
            } else if let Some(other) = former.insert(old, &host.id) {
                let message = format!("'{old}' is a former name of '{other}' already.");
                notes.error(found.line, &found.key, Problem::new(message, hint));
            }
        }
    }
}

fn check_members(notes: &mut Notes<'_>, inventory: &Inventory, tables: &Tables<'_>) {
    for cluster in inventory.clusters.values() {
        let Some((section, line)) = tables.clusters.get(cluster.id.as_str()) else { continue };
        let Some(found) = section.get(notes, "members") else {
            let problem = Problem::new(format!("Cluster '{}' has no members.", cluster.id), "Write members = [\"…\"].");
            notes.error(*line, &section.path, problem);
            continue;
        };
        // Places of each member, for a list over several lines.
        let mut lines: Vec<(&str, usize)> = Vec::new();
        match found.value {
            toml::de::DeValue::Array(array) => {
                for value in array {
                    if let toml::de::DeValue::String(text) = value.get_ref() {
                        lines.push((text, notes.line(value.span().start)));
                    }
                }
                if array.is_empty() {
                    let message = format!("Cluster '{}' has no members.", cluster.id);
                    notes.error(found.line, &found.key, Problem::new(message, "Write the names of its hosts."));
                }
            }
            toml::de::DeValue::String(text) => lines.push((text, found.line)),
            _ => {}
        }
        let mut seen = BTreeSet::new();
        for (name, line) in lines {
            if HostId::new(name).is_err() {
                continue;
            }
            if !tables.hosts.contains_key(name) {
                let message = format!("There is no host '{name}' for cluster '{}'.", cluster.id);
                notes.error(line, &found.key, Problem::new(message, meant_host(name, tables)));
            } else if !seen.insert(name) {
                notes.error(line, &found.key, Problem::bare(format!("Member '{name}' is listed twice.")));
            }
        }
    }
}

fn meant_host(name: &str, tables: &Tables<'_>) -> String {
    match nearest(name, tables.hosts.keys().copied()) {
        Some(meant) => format!("Did you mean '{meant}'?"),
        None => format!("Add [hosts.{name}] or take it out."),
    }
}

/// The jump hosts of `jump`, one by one.
fn hops(jump: &str) -> impl Iterator<Item = &str> {
    jump.split(',').map(str::trim)
}

fn check_jumps(notes: &mut Notes<'_>, inventory: &Inventory, tables: &Tables<'_>) {
    let holders = tables.defaults.iter().chain(tables.hosts.values().map(|(section, _)| section));
    for section in holders {
        let Some(found) = section.get(notes, "jump") else { continue };
        let toml::de::DeValue::String(text) = found.value else { continue };
        if text.as_ref() == "none" {
            continue;
        }
        for hop in hops(text) {
            if let Err(problem) = check_hop(hop, tables) {
                notes.error(found.line, &found.key, problem);
            }
        }
    }
    for ring in rings(inventory) {
        let Some((section, line)) = ring.first().and_then(|first| tables.hosts.get(first)) else { continue };
        let line = section.get(notes, "jump").map_or(*line, |found| found.line);
        let message = format!("The jump hosts go in a circle: {}.", ring.join(" → "));
        let hint = "One of them must be reached directly; write jump = \"none\" there.";
        notes.error(line, &section.dotted("jump"), Problem::new(message, hint));
    }
}

fn check_hop(hop: &str, tables: &Tables<'_>) -> Result<(), Problem> {
    if hop.contains('@') {
        return values::endpoint(hop).map(|_| ());
    }
    if tables.hosts.contains_key(hop) {
        return Ok(());
    }
    let hint = match nearest(hop, tables.hosts.keys().copied()) {
        Some(meant) => format!("Did you mean '{meant}'?"),
        None => "Write a host of this inventory, user@address[:port], or \"none\".".to_owned(),
    };
    Err(Problem::new(format!("There is no host '{hop}' to jump through."), hint))
}

/// Every ring of jump hosts, its first name at both ends and no host in two of them.
///
/// Depth first, each host entered once, so that a large inventory stays cheap.
fn rings(inventory: &Inventory) -> Vec<Vec<&str>> {
    let next = |name: &str| -> Vec<&str> {
        let host = HostId::new(name).ok().and_then(|id| inventory.hosts.get(&id));
        let jump = host.and_then(|host| host.access.jump.as_deref()).unwrap_or("");
        hops(jump).filter(|hop| !hop.is_empty() && *hop != "none" && !hop.contains('@')).collect()
    };
    let mut entered: BTreeSet<&str> = BTreeSet::new();
    let mut in_ring: BTreeSet<&str> = BTreeSet::new();
    let mut rings = Vec::new();
    for start in inventory.hosts.keys().map(HostId::as_str) {
        if !entered.insert(start) {
            continue;
        }
        let mut trail = vec![start];
        let mut on_trail = BTreeSet::from([start]);
        let mut open = vec![next(start)];
        while let Some(choices) = open.last_mut() {
            let Some(hop) = choices.pop() else {
                open.pop();
                trail.pop().map(|left| on_trail.remove(left));
                continue;
            };
            if on_trail.contains(hop) && !in_ring.contains(hop) {
                let mut ring: Vec<&str> = trail.iter().copied().skip_while(|name| *name != hop).collect();
                in_ring.extend(ring.iter().copied());
                let least = ring.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
                ring.rotate_left(least);
                ring.extend(ring.first().copied());
                rings.push(ring);
            } else if entered.insert(hop) {
                trail.push(hop);
                on_trail.insert(hop);
                open.push(next(hop));
            }
        }
    }
    rings
}

fn check_addresses(notes: &mut Notes<'_>, inventory: &Inventory, tables: &Tables<'_>) {
    let mut taken: HashMap<(String, Option<u16>, Option<&str>), &HostId> = HashMap::new();
    for host in inventory.hosts.values().filter(|host| host.access.transport == TransportKind::Ssh) {
        let address = host.access.address.as_deref().unwrap_or(host.id.as_str()).to_ascii_lowercase();
        // Behind different jump hosts the same private address is another machine.
        let place = (address, host.access.port.or(Some(22)), host.access.jump.as_deref());
        let shown = format!("{}:{}", place.0, place.1.unwrap_or(22));
        let Some(other) = taken.insert(place, &host.id) else { continue };
        let Some((section, line)) = tables.hosts.get(host.id.as_str()) else { continue };
        let line = section.get(notes, "address").map_or(*line, |found| found.line);
        let message = format!("'{}' and '{other}' have the same address, {shown}.", host.id);
        notes.warn(line, &section.dotted("address"), Problem::new(message, "Are they one machine?"));
    }
}

fn check_groups(notes: &mut Notes<'_>, inventory: &Inventory, tables: &Tables<'_>) {
    let hosts = inventory.hosts.values().flat_map(|host| &host.groups);
    let used: BTreeSet<&str> =
        hosts.chain(inventory.clusters.values().flat_map(|cluster| &cluster.groups)).map(String::as_str).collect();
    for (name, found) in &tables.groups {
        if !used.contains(name) {
            let hint = nearest(name, used.iter().copied()).map(|meant| format!("Did you mean '{meant}'?"));
            let message = format!("Nothing is in group '{name}'.");
            notes.warn(found.line, &found.key, Problem::new(message, hint.unwrap_or_default()));
        }
    }
}
