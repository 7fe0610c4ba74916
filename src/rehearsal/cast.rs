//! Who plays: twelve nodes in three groups, each with something to be seen on it.

/// One practice node, as data.
#[derive(Debug)]
pub struct Role {
    /// Its name.
    pub name: &'static str,
    /// Its group.
    pub group: &'static str,
    /// The kind of its service.
    pub kind: &'static str,
    /// Whether its service starts with it.
    pub runs: bool,
    /// What there is to see, as one sentence.
    pub story: &'static str,
    /// What the inventory says of it besides, as lines of its table.
    pub policy: &'static str,
    /// Who would run with its identity, if somebody did.
    pub twin: Option<&'static str>,
}

const fn role(name: &'static str, group: &'static str, kind: &'static str, story: &'static str) -> Role {
    Role { name, group, kind, runs: true, story, policy: "", twin: None }
}

/// The nodes, in the order of the inventory.
pub const CAST: [Role; 12] = [
    Role { twin: Some("spare-1"), ..role("val-1", "validators", "avalanchego", "Backed up two hours ago.") },
    Role { twin: Some("spare-1"), ..role("val-2", "validators", "avalanchego", "Its last copy is nine days old.") },
    Role { twin: Some("val-4"), ..role("val-3", "validators", "avalanchego", "Its identity also runs on val-4.") },
    Role {
        twin: Some("spare-1"),
        ..role("val-4", "validators", "avalanchego", "It runs with the identity of val-3, and was never backed up.")
    },
    Role {
        runs: false,
        ..role("spare-1", "validators", "avalanchego", "AvalancheGo is installed and was never started.")
    },
    Role { twin: Some("consul-2"), ..role("consul-1", "control", "consul", "A server of the datacenter dc1.") },
    Role { twin: Some("consul-3"), ..role("consul-2", "control", "consul", "A server of the datacenter dc1.") },
    Role { twin: Some("consul-1"), ..role("consul-3", "control", "consul", "A server of the datacenter dc1.") },
    role("web-1", "sites", "files", "Backed up two hours ago."),
    role("web-2", "sites", "files", "Its newest copy holds a tenth of the one before: it is suspect."),
    Role {
        twin: Some("cache-1"),
        policy: "[hosts.mon-1.policy]\nmax_age = \"60d\"\nverify_every = \"7d\"\n",
        ..role("mon-1", "sites", "netdata", "Samples copied two hours ago; its configuration's copy is unverified.")
    },
    role("cache-1", "sites", "netdata", "It cannot be reached, and was never backed up."),
];

/// Items of which no check is on record.
pub const UNVERIFIED: [&str; 1] = ["mon-1/netdata/config"];

/// The cluster and its members.
pub const CLUSTER: (&str, [&str; 3]) = ("dc1", ["consul-1", "consul-2", "consul-3"]);

/// What happened in the past, oldest first: how many hours ago, what was done on nodes, and what was backed up.
pub struct Moment {
    /// Hours before now.
    pub hours: i64,
    /// `sh` text run on nodes before the backups.
    pub changes: &'static [(&'static str, &'static str)],
    /// What was backed up then.
    pub backups: &'static [&'static str],
}

/// The past of the fleet.
pub const PAST: [Moment; 4] = [
    Moment { hours: 20 * 24, changes: &[], backups: &["mon-1/netdata/config", "web-2/files/tree"] },
    Moment {
        hours: 9 * 24,
        changes: &[],
        backups: &[
            "val-1/avalanchego/staking-identity",
            "val-2/avalanchego/staking-identity",
            "val-2/avalanchego/node-config",
            "mon-1/netdata/identity",
            "dc1/consul/snapshot",
        ],
    },
    Moment {
        hours: 26,
        changes: &[("web-2", "rm /srv/site/pages/[1-4]* /srv/site/pages/0[5-9]*\n")],
        backups: &["web-1/files/tree", "web-2/files/tree"],
    },
    Moment {
        hours: 2,
        changes: &[("web-1", "echo '<p>a new line</p>' >>/srv/site/pages/01.html\n")],
        backups: &[
            "val-1/avalanchego/staking-identity",
            "val-1/avalanchego/node-config",
            "val-3/avalanchego/staking-identity",
            "dc1/consul/snapshot",
            "consul-1/consul/agent-config",
            "consul-1/consul/node-identity",
            "consul-2/consul/agent-config",
            "consul-2/consul/node-identity",
            "web-1/files/tree",
            "mon-1/netdata/metrics",
        ],
    },
];

/// The inventory's text. `ports` and keys are this start's own.
pub fn inventory(ports: &[(&str, u16)], vault: &str, recipient: &str, key: &str, login_key: &str) -> String {
    let mut text = format!(
        "# The inventory of a practice fleet: nothing in it is real, and all of it may be broken.\nversion = 1\n\n[defaults]\nuser = \"root\"\n\
         become = \"none\"\nidentity_file = [\"{login_key}\"]\njump = \"none\"\n\n[vault]\npath = \"{vault}\"\nrecipients = [\"{recipient}\"]\n\
         identities = [\"{key}\"]\n\n[policy]\nmax_age = \"24h\"\nverify_every = \"7d\"\nmin_copies = 1\n"
    );
    for role in &CAST {
        let port = ports.iter().find(|(name, _)| *name == role.name).map_or(0, |(_, port)| *port);
        let name = role.name;
        text += &format!(
            "\n# {}\n[hosts.{name}]\naddress = \"127.0.0.1\"\nport = {port}\ngroups = [\"{}\"]\n{}",
            role.story, role.group, role.policy
        );
        match role.kind {
            "files" => {
                text += &format!(
                    "[hosts.{name}.services.files]\npaths = [\"/etc/site\", \"/srv/site\"]\nunit = \"site.service\"\naccept = \"grep -q h1 /srv/site/pages/*\"\n"
                );
            }
            kind => text += &format!("[hosts.{name}.services.{kind}]\n"),
        }
    }
    let (cluster, members) = CLUSTER;
    let members: Vec<String> = members.iter().map(|member| format!("\"{member}\"")).collect();
    text += &format!(
        "\n[clusters.{cluster}]\nmembers = [{}]\ngroups = [\"control\"]\n[clusters.{cluster}.services.consul]\n",
        members.join(", ")
    );
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rehearsal::stand_ins::stand_ins;
    use crate::services::REGISTRY;

    #[test]
    fn every_service_the_engine_knows_is_played_by_somebody_with_a_past() {
        let kinds: BTreeSet<&str> = REGISTRY.iter().map(|driver| driver.kind()).collect();
        let stood_in: BTreeSet<&str> = stand_ins().iter().map(|stand_in| stand_in.kind()).collect();
        assert_eq!(stood_in, kinds);
        let played: BTreeSet<&str> = CAST.iter().map(|role| role.kind).collect();
        assert_eq!(played, kinds);
        let backed_up = PAST.iter().flat_map(|moment| moment.backups);
        let with_past: BTreeSet<&str> = backed_up.filter_map(|place| place.split('/').nth(1)).collect();
        assert_eq!(with_past, kinds);
        let groups: BTreeSet<&str> = CAST.iter().map(|role| role.group).collect();
        assert_eq!((CAST.len(), groups.len()), (12, 3));
    }
}
