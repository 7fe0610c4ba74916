//! How a person restores a snapshot by hand.

use serde_json::Value;

use super::facts::{base_name, parent};
use super::items::{NODE_CONFIG, STAKING, UNIT};
use crate::model::manifest::Manifest;
use crate::services::common::text_of;
use crate::services::{Recipe, RecipePart};
use crate::transport::quote::quote;

/// One question to the node's info API, put until it answers: a node needs a while after its start.
///
/// Over TLS the key in the certificate's file is the only one that is taken, whatever names the certificate bears and
/// whoever signed it.
pub fn ask_command(port: u16, certificate: Option<&str>, method: &str) -> String {
    let (scheme, pin) = match certificate {
        None => ("http", String::new()),
        Some(path) => {
            let key = format!("openssl x509 -in {} -noout -pubkey | openssl pkey -pubin -outform DER", word(path));
            let pin = format!("sha256//$({key} | openssl dgst -sha256 -binary | openssl base64)");
            ("https", format!("--insecure --pinnedpubkey \"{pin}\" "))
        }
    };
    format!(
        "curl -sS --retry 120 --retry-delay 1 --retry-connrefused {pin}-H 'content-type: application/json' --data '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}' {scheme}://127.0.0.1:{port}/ext/info"
    )
}

/// The question to the node the copy came from: its card is followed on a node that is set up likewise.
fn ask_who(manifest: &Manifest) -> RecipePart {
    let api = manifest.facts.get("api");
    let port = api.and_then(|api| api.get("port")?.as_u64()).and_then(|port| u16::try_from(port).ok()).unwrap_or(9650);
    let certificate = api.map(|api| text_of(api, "cert")).filter(|path| path.starts_with('/'));
    RecipePart::Node(ask_command(port, certificate, "info.getNodeID"))
}

fn word(text: &str) -> String {
    quote(text.as_bytes())
}

/// The recipe of a snapshot.
pub fn recipe(manifest: &Manifest) -> Recipe {
    let parts = match manifest.item.item.as_str() {
        STAKING => staking(manifest),
        NODE_CONFIG => {
            let path = text_of(&manifest.facts, "path");
            tree(
                manifest,
                &format!(
                    "Compare before you replace: {path} may name addresses and paths of the old host, above all 'public-ip'."
                ),
                &[
                    "mkdir restored && tar -xf plain/tree.tar -C restored".to_owned(),
                    format!("[ ! -e {0} ] || mv -T {0} {0}.before", word(path)),
                    format!("cp restored/{} {}", word(base_name(path)), word(path)),
                ],
            )
        }
        UNIT => tree(
            manifest,
            "The archive holds the unit's files with their paths from the root.",
            &[
                "mkdir restored && tar -xf plain/tree.tar -C restored".to_owned(),
                "cp -r restored/. /".to_owned(),
                "systemctl daemon-reload".to_owned(),
            ],
        ),
        _ => {
            let path = text_of(&manifest.facts, "path");
            tree(
                manifest,
                &format!("The archive is the whole of {path}."),
                &[
                    format!("[ ! -e {0} ] || mv -T {0} {0}.before", word(path)),
                    format!("mkdir -p {0} && tar -xpf plain/tree.tar -C {0}", word(path)),
                ],
            )
        }
    };
    Recipe { parts }
}

fn unit_and_user(manifest: &Manifest) -> (String, String) {
    let or = |key: &str, default: &str| match text_of(&manifest.facts, key) {
        "" => default.to_owned(),
        text => text.to_owned(),
    };
    (or("unit", "avalanchego.service"), or("user", "USER"))
}

fn tree(manifest: &Manifest, first: &str, commands: &[String]) -> Vec<RecipePart> {
    let (unit, user) = unit_and_user(manifest);
    let mut node = vec![format!("systemctl stop {}", word(&unit))];
    node.extend_from_slice(commands);
    let path = text_of(&manifest.facts, "path");
    if !path.is_empty() {
        node.push(format!("chown -R {}: {}", word(&user), word(path)));
    }
    node.push(format!("systemctl start {}", word(&unit)));
    vec![RecipePart::Say(first.to_owned()), RecipePart::Node(node.join("\n")), ask_who(manifest)]
}

fn staking(manifest: &Manifest) -> Vec<RecipePart> {
    let (unit, user) = unit_and_user(manifest);
    let fact = |key: &str| {
        let verified = manifest.facts.get("verified").map_or("", |value| text_of(value, key));
        if verified.is_empty() { text_of(&manifest.facts, key) } else { verified }
    };
    let files = manifest.facts.get("files");
    let path_of = |name: &str| files.and_then(|files| files.get(name)).map_or("", |file| text_of(file, "path"));
    let dir = match parent(path_of("staker.crt")) {
        "/" => "/home/USER/.avalanchego/staking",
        dir => dir,
    };
    let present: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    let mut parts = vec![
        RecipePart::Say(format!(
            "First make sure that no other node runs as {}. Two nodes with one identity harm each other. On the old host, if it can be reached:",
            fact("node_id")
        )),
        RecipePart::Old(format!(
            "systemctl disable --now {}\nmkdir -p {dropin}\nprintf '[Unit]\\nConditionPathExists=/nonexistent\\n' >{dropin}/90-moved-away.conf\nsystemctl daemon-reload",
            word(&unit),
            dropin = word(&format!("/etc/systemd/system/{unit}.d")),
        )),
        RecipePart::Say(
            "On the new host, with AvalancheGo installed (the official installer takes --version):".to_owned(),
        ),
    ];
    if let Some(ip) = manifest.facts.get("public_ip").and_then(Value::as_str) {
        parts.push(RecipePart::Say(format!(
            "The old node's configuration had the literal 'public-ip' {ip}; set the new host's address."
        )));
    }
    let mut commands = vec![
        format!("systemctl stop {}", word(&unit)),
        format!("[ ! -e {0} ] || mv -T {0} {0}.before", word(dir)),
        // What lies above it must be the node's own, or it cannot write its database there.
        format!("runuser -u {} -- mkdir -p {}", word(&user), word(parent(dir))),
        format!("install -d -o {0} -g \"$(id -gn {0})\" -m 0700 {1}", word(&user), word(dir)),
    ];
    for name in &present {
        let path = match path_of(name) {
            "" => format!("{dir}/{name}"),
            path => path.to_owned(),
        };
        commands.push(format!(
            "install -o {0} -g \"$(id -gn {0})\" -m 0400 plain/{name} {1}",
            word(&user),
            word(&path)
        ));
    }
    commands.push(format!("systemctl start {}", word(&unit)));
    parts.push(RecipePart::Node(commands.join("\n")));
    let bls = fact("bls_public_key");
    parts.push(RecipePart::Say(if present.contains(&"signer.key") && !bls.is_empty() {
        format!(
            "The node must answer with nodeID {}, publicKey {bls} and proofOfPossession {}:",
            fact("node_id"),
            fact("bls_proof_of_possession")
        )
    } else {
        format!(
            "This set has no signer.key: the node will have another BLS key. It must answer with nodeID {}:",
            fact("node_id")
        )
    }));
    parts.push(ask_who(manifest));
    parts
}
