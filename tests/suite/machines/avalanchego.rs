//! A real AvalancheGo on a machine, set up as the official installer does it.

use super::host::wait_for;
use super::machine::Machine;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The release that is installed.
pub const VERSION: &str = "1.13.5";
/// Where the node keeps everything.
pub const DATA: &str = "/home/avax/.avalanchego";

/// How to install it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Start it now and wait until its API answers.
    pub start: bool,
    /// Put an RSA-4096 key and certificate in place first, as nodes older than 1.11.6 made them.
    pub rsa_keys: bool,
    /// More keys for `node.json`; they replace the fixture's own.
    pub config: Map<String, Value>,
}

impl Default for Options {
    fn default() -> Self {
        Self { start: true, rsa_keys: false, config: Map::new() }
    }
}

/// Who the node says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `NodeID-…`
    pub node_id: String,
    /// The BLS public key, `0x…`.
    pub public_key: String,
    /// Its proof of possession, `0x…`.
    pub proof: String,
}

const UNIT: &str = "[Unit]
Description=AvalancheGo systemd service
StartLimitIntervalSec=0

[Service]
Type=simple
User=avax
WorkingDirectory=/home/avax
ExecStart=/home/avax/avalanche-node/avalanchego --config-file=/home/avax/.avalanchego/configs/node.json
LimitNOFILE=32768
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
";

/// Installs AvalancheGo: user `avax`, unit `avalanchego.service`, a network of this one node.
pub fn install_avalanchego(machine: &Machine, options: &Options) {
    machine
        .exec(&format!(
            "useradd --create-home --shell /bin/bash avax
             install -d -m 0750 -o avax -g avax {DATA} {DATA}/configs {DATA}/configs/chains {DATA}/configs/chains/C
             install -d -o avax -g avax /home/avax/avalanche-node"
        ))
        .ok();
    machine.copy_in(&machine.built(&format!("avalanchego-{VERSION}")), "/home/avax/avalanche-node/avalanchego", 0o755);
    let mut config = json!({
        "network-id": "local",
        "sybil-protection-enabled": false,
        "snow-sample-size": 1,
        "snow-quorum-size": 1,
        "http-host": "127.0.0.1",
        "public-ip": "127.0.0.1",
        "bootstrap-ips": "",
        "bootstrap-ids": "",
        "fd-limit": 16384,
    });
    if let Value::Object(keys) = &mut config {
        keys.extend(options.config.clone());
    }
    machine.write_as("avax", &format!("{DATA}/configs/node.json"), &format!("{config:#}\n"), 0o644);
    machine.write_as(
        "avax",
        &format!("{DATA}/configs/chains/C/config.json"),
        "{\n  \"state-sync-enabled\": true\n}\n",
        0o644,
    );
    machine.write_as("root", "/etc/systemd/system/avalanchego.service", UNIT, 0o644);
    if options.rsa_keys {
        // PKCS#8, serial 0, no names: the shape the old releases wrote.
        machine
            .exec(&format!(
                "set -e; umask 077; install -d -m 0750 -o avax -g avax {DATA}/staking; cd {DATA}/staking
                 openssl req -x509 -newkey rsa:4096 -nodes -keyout staker.key -out staker.crt -set_serial 0 \
                     -subj / -days 36500 -sha256 -config /dev/null 2>&1
                 chmod 0400 staker.key staker.crt; chown avax:avax staker.key staker.crt"
            ))
            .ok();
    }
    machine.exec("systemctl daemon-reload && systemctl enable --quiet avalanchego").ok();
    if options.start {
        start_avalanchego(machine);
    }
}

/// Starts the node and waits until it tells its identity.
pub fn start_avalanchego(machine: &Machine) -> Identity {
    machine.exec("systemctl start avalanchego").ok();
    wait_for(Duration::from_mins(1), || try_identity(machine)).unwrap_or_else(|| {
        panic!(
            "avalanchego did not answer\n{}",
            machine.exec("journalctl -u avalanchego --no-pager | tail -n 40").stdout
        )
    })
}

/// Asks the running node who it is, by its API on the machine's loopback.
pub fn avalanche_node_id(machine: &Machine) -> Identity {
    try_identity(machine).expect("avalanchego answers info.getNodeID")
}

/// The same while it may not answer yet.
pub fn try_identity(machine: &Machine) -> Option<Identity> {
    let answer = machine.exec(
        r#"s=http; if grep -q '"http-tls-enabled": true' /home/avax/.avalanchego/configs/node.json; then s=https; fi
           curl -skf -m 5 -H 'Content-Type: application/json' $s://127.0.0.1:9650/ext/info \
           -d '{"jsonrpc":"2.0","id":1,"method":"info.getNodeID"}'"#,
    );
    let answer: Value = serde_json::from_str(&answer.stdout).ok()?;
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let result = &answer["result"];
    Some(Identity {
        node_id: text(&result["nodeID"])?,
        public_key: text(&result["nodePOP"]["publicKey"])?,
        proof: text(&result["nodePOP"]["proofOfPossession"])?,
    })
}
