//! How a person restores by hand, with the official tools only.

use super::items::{AGENT_CONFIG, KEYRINGS, NODE_IDENTITY, SNAPSHOT};
use super::settings::is_plain_path;
use crate::model::manifest::Manifest;
use crate::services::common::text_of;
use crate::services::{Recipe, RecipePart};
use crate::transport::quote::quote;

/// The parts for one snapshot.
pub(super) fn recipe(manifest: &Manifest) -> Recipe {
    let parts = match manifest.item.item.as_str() {
        SNAPSHOT => snapshot(manifest),
        AGENT_CONFIG => tree(manifest, "/etc/consul.d", "config.tar"),
        KEYRINGS => tree(manifest, "/opt/consul/serf", "keyrings.tar"),
        NODE_IDENTITY => node_id(manifest),
        _ => Vec::new(),
    };
    Recipe { parts }
}

fn say(text: impl Into<String>) -> RecipePart {
    RecipePart::Say(text.into())
}
fn node(text: impl Into<String>) -> RecipePart {
    RecipePart::Node(text.into())
}

fn snapshot(manifest: &Manifest) -> Vec<RecipePart> {
    let known = |key, otherwise: &str| match text_of(&manifest.facts, key) {
        "" => otherwise.to_owned(),
        told => told.to_owned(),
    };
    let (datacenter, version) = (known("datacenter", "unknown"), known("version", "unknown"));
    vec![
        say(format!(
            "This is a snapshot of the Consul datacenter {datacenter}, taken with Consul {version}: keys, catalog, ACL tokens and policies, intentions, Connect CA. It holds tokens in clear. Configuration, node-ids and gossip keys are separate items."
        )),
        say("Look inside first; it needs no server."),
        node("consul snapshot inspect -kvdetails plain/state.snap"),
        say(format!(
            "Restore it only into servers of the same version ({version}) that have a leader and are all healthy: a server that meets a record it does not know crashes, and again at every start."
        )),
        node("consul operator raft list-peers\nconsul operator autopilot state\nconsul snapshot save before.snap"),
        say(
            "On a new datacenter with ACLs on, first make any management token; it is needed for the restore and is gone after it.",
        ),
        node("consul acl bootstrap"),
        say(
            "Give the token in the variable CONSUL_HTTP_TOKEN_FILE (a file only you can read), not on the command line. Send the snapshot once. If the connection is lost, look at the leader's log before you send it again.",
        ),
        node("consul snapshot restore plain/state.snap"),
        say(
            "From now on the tokens of the snapshot are the valid ones, and 'ACL not found' means that an older one is still used. Set each agent's own token and restart the agents one after another.",
        ),
        node(
            "consul acl set-agent-token agent TOKEN   # or acl.tokens.agent in its configuration\nconsul snapshot save after.snap && consul snapshot inspect -kvdetails after.snap",
        ),
        say(
            "When no valid token is left: ask for the reset index, write it into the leader's data directory, and bootstrap again.",
        ),
        node(
            "consul acl bootstrap        # says: ACL bootstrap no longer allowed (reset index: N)\necho N >/opt/consul/acl-bootstrap-reset   # on the leader, in its data_dir\nconsul acl bootstrap",
        ),
        say(
            "Without a majority of servers there is no leader and nothing restores. Stop every server that is left, be sure that the missing ones never return, write the same raft/peers.json (id from node-id, address IP:8300) into each data directory, and start them all.",
        ),
        say(
            "Single keys can be taken out of a snapshot by hand: consul snapshot decode (newer versions) prints every record; put them back with consul kv put.",
        ),
    ]
}

fn origin(manifest: &Manifest, otherwise: &str) -> String {
    let path = text_of(&manifest.facts, "path");
    quote(if is_plain_path(path) { path } else { otherwise }.as_bytes())
}

fn tree(manifest: &Manifest, otherwise: &str, archive: &str) -> Vec<RecipePart> {
    let dir = origin(manifest, otherwise);
    let mut parts = vec![
        say("Stop the agent, keep what is there, unpack, and start it again."),
        node(format!(
            "systemctl stop consul\n[ ! -e {dir} ] || cp -a -- {dir} {dir}.before\nmkdir -p -- {dir}\ntar --extract --file=plain/{archive} --same-owner --preserve-permissions --directory={dir}\nconsul validate {dir} || :\nsystemctl start consul"
        )),
    ];
    if archive == "keyrings.tar" {
        parts[1] = node(format!(
            "systemctl stop consul\n[ ! -e {dir} ] || cp -a -- {dir} {dir}.before\nmkdir -p -- {dir}\ntar --extract --file=plain/{archive} --same-owner --preserve-permissions --directory={dir}\nsystemctl start consul"
        ));
        parts.push(say("Every agent of the datacenter needs the same gossip key, or it cannot join."));
    }
    parts
}

fn node_id(manifest: &Manifest) -> Vec<RecipePart> {
    let path = origin(manifest, "/opt/consul/node-id");
    vec![
        say("Two agents with one node-id disturb each other: be sure that the old machine is off for good."),
        node(format!(
            "systemctl stop consul\ninstall -m 0600 plain/node-id {path}\nchown --reference=\"$(dirname {path})\" {path}\nsystemctl start consul\nconsul info"
        )),
    ]
}
