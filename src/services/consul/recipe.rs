//! How a person restores by hand, with the official tools only.

use super::api::ENVIRONMENT;
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

/// What points the official CLI at an API that is not where it looks for it, as the first line of a block.
fn reach(manifest: &Manifest) -> String {
    let Some(set) = manifest.facts.get("environment") else { return String::new() };
    let line = ENVIRONMENT.iter().filter_map(|key| {
        let value = Some(text_of(set, key)).filter(|value| !value.is_empty())?;
        Some(format!(" {key}={}", quote(value.as_bytes())))
    });
    let line: String = line.collect();
    if line.is_empty() { line } else { format!("export{line}\n") }
}

fn snapshot(manifest: &Manifest) -> Vec<RecipePart> {
    let reach = reach(manifest);
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
        say(
            "Where ACLs are on, the restore needs a management token of the datacenter as it is now, and everything after it one of the snapshot. Put them into two files that only root can read, `~/consul-token` and `~/consul-token-after`; never type a token on a command line. On a new datacenter this makes the first one; where ACLs are off both stay empty, and its complaint does not matter.",
        ),
        node(format!(
            "{reach}umask 077\ntouch ~/consul-token ~/consul-token-after\n[ -s ~/consul-token ] || consul acl bootstrap -format=json | sed -n 's/^ *\"SecretID\": \"\\(.*\\)\".*/\\1/p' >~/consul-token",
        )),
        say(format!(
            "Restore it only into servers of the same version ({version}) that have a leader and are all healthy: a server that meets a record it does not know crashes, and again at every start. Look at them, and save what they hold now."
        )),
        node(format!(
            "{reach}export CONSUL_HTTP_TOKEN_FILE=\"$HOME/consul-token\"\nconsul operator raft list-peers\nconsul operator autopilot state\nconsul snapshot save ~/consul-before-restore.snap",
        )),
        say("Send the snapshot once. If the connection is lost, look at the leader's log before you send it again."),
        node(format!(
            "{reach}export CONSUL_HTTP_TOKEN_FILE=\"$HOME/consul-token\"\nconsul snapshot restore plain/state.snap"
        )),
        say(
            "From now on the tokens of the snapshot are the valid ones, and 'ACL not found' means that an older one is still used. Set each agent's own token (acl.tokens.agent in its configuration) and restart the agents one after another. Look at what the datacenter holds now, with the snapshot's token in `~/consul-token-after`:",
        ),
        node(format!(
            "{reach}export CONSUL_HTTP_TOKEN_FILE=\"$HOME/consul-token-after\"\nconsul snapshot save ~/consul-after-restore.snap\nconsul snapshot inspect -kvdetails ~/consul-after-restore.snap",
        )),
        say("Remove the tokens, and the two new snapshots when you need them no more."),
        node("rm ~/consul-token ~/consul-token-after"),
        say(
            "When no valid token is left: `consul acl bootstrap` complains and names the reset index N. On the leader, `echo N >/opt/consul/acl-bootstrap-reset` (in its data_dir), then `consul acl bootstrap` again.",
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
            "systemctl stop consul\n[ ! -e {dir} ] || cp -a -- {dir} {dir}.before\nmkdir -p -- {dir}\ntar --extract --file=plain/{archive} --same-owner --preserve-permissions --directory={dir}\nconsul validate {dir} || :\nsystemctl start consul\nsleep 5; systemctl is-active consul"
        )),
    ];
    if archive == "keyrings.tar" {
        parts[1] = node(format!(
            "systemctl stop consul\n[ ! -e {dir} ] || cp -a -- {dir} {dir}.before\nmkdir -p -- {dir}\ntar --extract --file=plain/{archive} --same-owner --preserve-permissions --directory={dir}\nsystemctl start consul\nsleep 5; systemctl is-active consul"
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
            "systemctl stop consul\ninstall -m 0600 plain/node-id {path}\nchown --reference=\"$(dirname {path})\" {path}\nsystemctl start consul\nsleep 5; systemctl is-active consul"
        )),
    ]
}
