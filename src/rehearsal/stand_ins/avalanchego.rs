//! AvalancheGo: an identity read at start, told over the node's API.

use std::path::Path;

use serde_json::{Value, json};

use super::identity::Identity;
use super::{Part, StandIn, serves};
use crate::formats::staking::parse_staking_identity;
use crate::model::exit::Result;
use crate::rehearsal::http::{Asked, Reply};
use crate::rehearsal::node::Image;

/// The stand-in of an Avalanche node.
#[derive(Debug)]
pub struct AvalancheGo;

const PROGRAM: &str = include_str!("avalanchego.sh");
const UNIT: &str = "avalanchego.service";
const DATA: &str = "/var/lib/avalanchego";
/// As many identities as it can make anew before it must be told of more.
const BIRTHS: usize = 3;

const UNIT_TEXT: &str = "[Unit]\nDescription=AvalancheGo (a stand-in)\n[Service]\n\
    ExecStart=/opt/avalanchego/avalanchego --data-dir=/var/lib/avalanchego --config-file=/etc/avalanchego/node.json\n\
    Restart=on-failure\n[Install]\nWantedBy=multi-user.target\n";

impl StandIn for AvalancheGo {
    fn kind(&self) -> &'static str {
        "avalanchego"
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    fn port(&self) -> Option<u16> {
        Some(9650)
    }

    fn lay(&self, image: &Image, part: &Part) -> Result<()> {
        image.file("opt/avalanchego/avalanchego", PROGRAM, 0o755)?;
        image.unit(UNIT, UNIT_TEXT, part.runs)?;
        let config = json!({"network-id": "fuji", "http-host": "127.0.0.1", "log-level": "info"});
        image.file("etc/avalanchego/node.json", format!("{config:#}\n"), 0o644)?;
        let chain = json!({"state-sync-enabled": true, "pruning-enabled": true});
        image.file(&format!("{DATA}/configs/chains/C/config.json"), format!("{chain:#}\n"), 0o644)?;
        for birth in 1..=BIRTHS {
            let identity = Identity::generate()?;
            let at = |name: &str| format!("births/{birth}/{name}");
            image.stub(&at("staker.crt"), &identity.certificate, 0o600)?;
            image.stub(&at("staker.key"), &identity.key, 0o600)?;
            image.stub(&at("signer.key"), &identity.signer, 0o600)?;
        }
        Ok(())
    }

    fn answer(&self, memory: &Path, asked: &Asked) -> Option<Reply> {
        if !serves(memory) {
            return None;
        }
        let read = |name: &str| std::fs::read(memory.join(name)).ok();
        let key = zeroize::Zeroizing::new(read("staker.key")?);
        let signer = zeroize::Zeroizing::new(read("signer.key")?);
        // The real one ends at its start when its files do not fit together; so nothing listens.
        let identity = parse_staking_identity(&read("staker.crt")?, &key, Some(&signer)).ok()?;
        if asked.method != "POST" || asked.path() != "/ext/info" {
            return Some(Reply::new(404, "404 page not found\n"));
        }
        let Ok(question) = serde_json::from_slice::<Value>(&asked.body) else {
            return Some(Reply::new(400, "rpc: the request is not JSON\n"));
        };
        let method = question["method"].as_str().unwrap_or_default();
        let result = match method {
            "info.getNodeID" => {
                let bls = identity
                    .bls
                    .map(|bls| json!({"publicKey": bls.public_key, "proofOfPossession": bls.proof_of_possession}));
                json!({"nodeID": identity.node_id.to_string(), "nodePOP": bls})
            }
            "info.getNodeVersion" => json!({"version": "avalanchego/1.13.5", "databaseVersion": "v1.4.5"}),
            "info.isBootstrapped" => json!({"isBootstrapped": true}),
            other => {
                let message = format!("rpc: can't find method \"{other}\"");
                return Some(Reply::json(
                    &json!({"jsonrpc": "2.0", "error": {"code": -32000, "message": message}, "id": question["id"]}),
                ));
            }
        };
        Some(Reply::json(&json!({"jsonrpc": "2.0", "result": result, "id": question["id"]})))
    }

    fn identity_files(&self) -> &'static [&'static str] {
        &[
            "/var/lib/avalanchego/staking/staker.crt",
            "/var/lib/avalanchego/staking/staker.key",
            "/var/lib/avalanchego/staking/signer.key",
        ]
    }
}
