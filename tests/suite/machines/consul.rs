//! A real Consul server on a machine, set up as the official package does it.

use super::host::wait_for;
use super::machine::Machine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The release that is installed.
pub const VERSION: &str = "1.20.1";
/// The server's data directory.
pub const DATA: &str = "/opt/consul";

/// How to install it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Deny by default, and bootstrap the ACL system.
    pub acls: bool,
    /// Start it now and wait for a leader.
    pub start: bool,
    /// The datacenter's name.
    pub datacenter: String,
    /// The gossip key, as `consul keygen` prints one; without it gossip is not encrypted and there are no keyrings.
    pub gossip_key: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { acls: true, start: true, datacenter: "dc1".into(), gossip_key: None }
    }
}

const UNIT: &str = "[Unit]
Description=\"HashiCorp Consul - A service mesh solution\"
Documentation=https://www.consul.io/
Requires=network-online.target
After=network-online.target
ConditionFileNotEmpty=/etc/consul.d/consul.hcl

[Service]
EnvironmentFile=-/etc/consul.d/consul.env
User=consul
Group=consul
ExecStart=/usr/bin/consul agent -config-dir=/etc/consul.d/
ExecReload=/bin/kill --signal HUP $MAINPID
KillMode=process
KillSignal=SIGTERM
Restart=on-failure
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
";

/// Installs one Consul server: user `consul`, unit `consul.service`. With ACLs on and the server
/// started, gives the bootstrap token's secret.
pub fn install_consul(machine: &Machine, options: &Options) -> Option<String> {
    machine
        .exec(&format!(
            "useradd --system --home-dir /etc/consul.d --shell /bin/false consul
             install -d -m 0755 -o consul -g consul /etc/consul.d {DATA}"
        ))
        .ok();
    machine.copy_in(&machine.built(&format!("consul-{VERSION}")), "/usr/bin/consul", 0o755);
    let (name, address, dc) = (machine.name(), machine.address(), &options.datacenter);
    let mut config = format!(
        "node_name = \"{name}\"\ndatacenter = \"{dc}\"\ndata_dir = \"{DATA}\"\nbind_addr = \"{address}\"\n\
         client_addr = \"127.0.0.1\"\nserver = true\nbootstrap_expect = 1\n"
    );
    if options.acls {
        config += "\nacl {\n  enabled = true\n  default_policy = \"deny\"\n  enable_token_persistence = true\n}\n";
    }
    if let Some(key) = &options.gossip_key {
        config += &format!("\nencrypt = \"{key}\"\n");
    }
    machine.write_as("consul", "/etc/consul.d/consul.hcl", &config, 0o640);
    machine.write_as("root", "/etc/systemd/system/consul.service", UNIT, 0o644);
    machine.exec("systemctl daemon-reload && systemctl enable --quiet consul").ok();
    if !options.start {
        return None;
    }
    start_consul(machine);
    options.acls.then(|| consul_bootstrap(machine))
}

/// Starts the server and waits until it leads.
pub fn start_consul(machine: &Machine) {
    machine.exec("systemctl start consul").ok();
    let leader = wait_for(Duration::from_mins(1), || {
        let leader = machine.exec("curl -sf -m 5 http://127.0.0.1:8500/v1/status/leader").stdout;
        (leader.len() > 4).then_some(())
    });
    assert!(leader.is_some(), "consul has no leader\n{}", machine.exec("journalctl -u consul --no-pager | tail -n 40"));
}

/// Bootstraps the ACL system; the secret of the first management token.
pub fn consul_bootstrap(machine: &Machine) -> String {
    let told = wait_for(Duration::from_secs(30), || {
        let told = machine.exec("consul acl bootstrap -format=json");
        told.success().then_some(told.stdout)
    });
    let told: Value = serde_json::from_str(&told.expect("consul acl bootstrap")).expect("JSON");
    told["SecretID"].as_str().expect("a secret").into()
}

/// Makes a token that may do what a backup needs and no more (`acl = "write"`); its secret.
pub fn consul_backup_token(machine: &Machine, management: &str) -> String {
    let policy = json!({ "Name": "backup", "Rules": "acl = \"write\"" }).to_string();
    call(machine, "PUT", "/v1/acl/policy", Some(management), &policy);
    let token = json!({ "Description": "backups", "Policies": [{ "Name": "backup" }] }).to_string();
    let made = call(machine, "PUT", "/v1/acl/token", Some(management), &token);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    made["SecretID"].as_str().expect("a secret").into()
}

/// A gossip key of this run's own.
pub fn gossip_key() -> String {
    let mut bytes = [0; 32];
    openssl::rand::rand_bytes(&mut bytes).expect("randomness");
    openssl::base64::encode_block(&bytes)
}

/// One command of Consul's own line, with the token in its environment only.
#[track_caller]
pub fn consul_cli(machine: &Machine, token: &str, args: &str) -> super::host::Output {
    let script = format!("read -r CONSUL_HTTP_TOKEN; export CONSUL_HTTP_TOKEN; exec consul {args}");
    machine.exec_with(&script, format!("{token}\n").as_bytes())
}

/// Writes one key.
pub fn consul_put(machine: &Machine, token: Option<&str>, key: &str, value: &str) {
    assert_eq!(call(machine, "PUT", &format!("/v1/kv/{key}"), token, value), "true", "the write of {key}");
}

/// Reads one key.
pub fn consul_get(machine: &Machine, token: Option<&str>, key: &str) -> Option<String> {
    let answer = request(machine, "GET", &format!("/v1/kv/{key}?raw"), token, "");
    answer.success().then_some(answer.stdout)
}

/// Every key and its value, decoded by Consul itself.
pub fn consul_all(machine: &Machine, token: Option<&str>) -> BTreeMap<String, Vec<u8>> {
    let out = consul_cli(machine, token.unwrap_or_default(), "kv export");
    let all: Value = serde_json::from_str(&out.ok()).expect("JSON");
    let entries = all.as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let value = openssl::base64::decode_block(entry["value"].as_str().unwrap_or_default()).expect("base64");
            (entry["key"].as_str().expect("a key").to_owned(), value)
        })
        .collect()
}

/// Writes `count` keys `PREFIX/000000…` with values `value 000000…`, 64 to a transaction.
pub fn consul_fill(machine: &Machine, token: Option<&str>, prefix: &str, count: usize) {
    let numbers: Vec<usize> = (0..count).collect();
    // One line a transaction; one curl process sends them all over one connection.
    let mut lines = token.unwrap_or_default().to_owned() + "\n";
    for chunk in numbers.chunks(64) {
        let ops: Vec<Value> = chunk
            .iter()
            .map(|n| {
                let value = openssl::base64::encode_block(format!("value {n:06}").as_bytes());
                json!({ "KV": { "Verb": "set", "Key": format!("{prefix}/{n:06}"), "Value": value } })
            })
            .collect();
        lines += &Value::Array(ops).to_string();
        lines.push('\n');
    }
    machine
        .exec_with(
            r#"set -e; read -r token; d=$(mktemp -d); cd "$d"; umask 077
               split -l 1 -a 5 - t.
               printf 'fail\nsilent\nshow-error\nheader = "X-Consul-Token: %s"\n' "$token" >conf
               for t in t.*; do
                   printf 'url = "http://127.0.0.1:8500/v1/txn"\nupload-file = "%s"\noutput = "/dev/null"\n' "$t"
               done >>conf
               curl -K conf
               rm -r "$d""#,
            lines.as_bytes(),
        )
        .ok();
}

/// One call of the HTTP API from the machine's loopback; panics unless it says 200.
#[track_caller]
fn call(machine: &Machine, method: &str, path: &str, token: Option<&str>, body: &str) -> String {
    request(machine, method, path, token, body).ok().trim_end().to_owned()
}

/// The token and the body go in by standard input: nothing secret in an argument.
#[track_caller]
fn request(machine: &Machine, method: &str, path: &str, token: Option<&str>, body: &str) -> super::host::Output {
    let input = format!("{}\n{body}", token.unwrap_or_default());
    let data = if body.is_empty() { "" } else { "--data-binary @-" };
    machine.exec_with(
        &format!(
            r#"read -r token
               printf 'header = "X-Consul-Token: %s"\n' "$token" >/dev/shm/curl.$$
               curl -sS --fail-with-body -m 60 -K /dev/shm/curl.$$ -X {method} {data} 'http://127.0.0.1:8500{path}'
               rc=$?; rm -f /dev/shm/curl.$$; exit $rc"#
        ),
        input.as_bytes(),
    )
}
