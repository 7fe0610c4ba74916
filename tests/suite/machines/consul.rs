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
    /// Only TLS, with these papers; `verify_incoming` when it asks clients for a certificate.
    pub tls: Option<Tls>,
    /// The gossip key, as `consul keygen` prints one; without it gossip is not encrypted and there are no keyrings.
    pub gossip_key: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { acls: true, start: true, datacenter: "dc1".into(), tls: None, gossip_key: None }
    }
}

/// An API that speaks only TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// CA, certificate and key, each in PEM.
    pub papers: [String; 3],
    /// Whether it asks its clients for a certificate.
    pub asks: bool,
    /// Whether it is configured as before 1.12, with keys at the top.
    pub old_style: bool,
}

/// Where an agent's papers lie.
pub const PAPERS: &str = "/etc/consul.d/tls";

/// Puts papers where the agent's configuration names them.
pub fn put_papers(machine: &Machine, papers: &[String; 3]) {
    machine.exec(&format!("install -d -m 0750 -o consul -g consul {PAPERS}")).ok();
    for (name, pem) in ["ca.pem", "cert.pem", "key.pem"].iter().zip(papers) {
        machine.write_as("consul", &format!("{PAPERS}/{name}"), pem, 0o640);
    }
}

/// A CA made by Consul's own tool, with a server's certificate: CA, certificate, key, and the CA's key.
pub fn make_papers(machine: &Machine) -> ([String; 3], String) {
    if !machine.path("/usr/bin/consul").exists() {
        machine.copy_in(&machine.built(&format!("consul-{VERSION}")), "/usr/bin/consul", 0o755);
    }
    let made = "umask 077; rm -rf /root/ca; mkdir /root/ca; cd /root/ca; consul tls ca create >/dev/null && consul tls cert create -server -dc dc1 >/dev/null";
    machine.exec(made).ok();
    let read = |name: &str| machine.exec(&format!("cat /root/ca/{name}")).ok();
    let papers = ["consul-agent-ca.pem", "dc1-server-consul-0.pem", "dc1-server-consul-0-key.pem"].map(read);
    (papers, read("consul-agent-ca-key.pem"))
}

impl Tls {
    fn config(&self) -> String {
        let (ca, cert, key) = (format!("{PAPERS}/ca.pem"), format!("{PAPERS}/cert.pem"), format!("{PAPERS}/key.pem"));
        let ports = "\nports {\n  http = -1\n  https = 8501\n}\n";
        let asks = self.asks;
        if self.old_style {
            return format!(
                "{ports}ca_file = \"{ca}\"\ncert_file = \"{cert}\"\nkey_file = \"{key}\"\nverify_incoming_https = {asks}\n"
            );
        }
        format!(
            "{ports}tls {{\n  defaults {{\n    ca_file = \"{ca}\"\n    cert_file = \"{cert}\"\n    key_file = \"{key}\"\n  }}\n  https {{\n    verify_incoming = {asks}\n  }}\n}}\n"
        )
    }
}

/// A leader is found as fast as on servers in production, and a server that joins need not be well for ten seconds first:
/// most of what a test with Consul waited for.
const QUICK: &str =
    "performance {\n  raft_multiplier = 1\n}\nautopilot {\n  server_stabilization_time = \"500ms\"\n}\n";

/// How the fixture's own commands reach the agent: in clear, or as `/root/consul-tls` says.
const REACH: &str = "url=http://127.0.0.1:8500; opts=; if [ -e /root/consul-tls ]; then . /root/consul-tls; fi\n";

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
         client_addr = \"127.0.0.1\"\nserver = true\nbootstrap_expect = 1\n{QUICK}"
    );
    if options.acls {
        config += "\nacl {\n  enabled = true\n  default_policy = \"deny\"\n  enable_token_persistence = true\n}\n";
    }
    if let Some(tls) = &options.tls {
        put_papers(machine, &tls.papers);
        config += &tls.config();
        let reach = format!(
            "url=https://localhost:8501; opts='--cacert {PAPERS}/ca.pem --cert {PAPERS}/cert.pem --key {PAPERS}/key.pem'\n\
             export CONSUL_HTTP_ADDR=https://localhost:8501 CONSUL_CACERT={PAPERS}/ca.pem CONSUL_CLIENT_CERT={PAPERS}/cert.pem CONSUL_CLIENT_KEY={PAPERS}/key.pem\n"
        );
        machine.write_as("root", "/root/consul-tls", &reach, 0o600);
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
        let leader = machine.exec(&format!("{REACH}curl -sf -m 5 $opts $url/v1/status/leader")).stdout;
        (leader.len() > 4).then_some(())
    });
    assert!(leader.is_some(), "consul has no leader\n{}", machine.exec("journalctl -u consul --no-pager | tail -n 40"));
}

/// Bootstraps the ACL system; the secret of the first management token.
pub fn consul_bootstrap(machine: &Machine) -> String {
    let told = wait_for(Duration::from_secs(30), || {
        let told = machine.exec(&format!("{REACH}consul acl bootstrap -format=json"));
        told.success().then_some(told.stdout)
    });
    let told: Value = serde_json::from_str(&told.expect("consul acl bootstrap")).expect("JSON");
    told["SecretID"].as_str().expect("a secret").into()
}

/// Makes a token that may do what a backup needs and no more (`acl = "write"`); its secret.
pub fn consul_backup_token(machine: &Machine, management: &str) -> String {
    consul_token(machine, management, "backup", "acl = \"write\"")
}

/// Makes a token with a policy of its own; its secret.
pub fn consul_token(machine: &Machine, management: &str, name: &str, rules: &str) -> String {
    let policy = json!({ "Name": name, "Rules": rules }).to_string();
    call(machine, "PUT", "/v1/acl/policy", Some(management), &policy);
    let token = json!({ "Description": name, "Policies": [{ "Name": name }] }).to_string();
    let made = call(machine, "PUT", "/v1/acl/token", Some(management), &token);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    made["SecretID"].as_str().expect("a secret").into()
}

/// Joins a second or third server to the datacenter of `first`, and waits until it may vote.
pub fn join_consul(machine: &Machine, first: &Machine) {
    install_consul(machine, &Options { acls: false, start: false, ..Options::default() });
    let join =
        format!("sed -i 's/^bootstrap_expect.*/retry_join = [\"{}\"]/' /etc/consul.d/consul.hcl", first.address());
    machine.exec(&join).ok();
    start_consul(machine);
    let voter = format!("{REACH}consul operator raft list-peers | grep -q '^{} .* true '", machine.name());
    let is_in = wait_for(Duration::from_mins(1), || machine.exec(&voter).success().then_some(()));
    assert!(is_in.is_some(), "it may not vote\n{}", machine.exec("consul operator raft list-peers"));
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
    let script = format!("{REACH}read -r CONSUL_HTTP_TOKEN; export CONSUL_HTTP_TOKEN; exec consul {args}");
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
            &(REACH.to_owned()
                + r#"set -e; read -r token; d=$(mktemp -d); cd "$d"; umask 077
               split -l 1 -a 5 - t.
               printf 'fail\nsilent\nshow-error\nheader = "X-Consul-Token: %s"\n' "$token" >conf
               for t in t.*; do
                   printf 'url = "%s/v1/txn"\nupload-file = "%s"\noutput = "/dev/null"\n' "$url" "$t"
               done >>conf
               curl $opts -K conf
               rm -r "$d""#),
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
            r#"{REACH}read -r token
               printf 'header = "X-Consul-Token: %s"\n' "$token" >/dev/shm/curl.$$
               curl -sS --fail-with-body -m 60 -K /dev/shm/curl.$$ $opts -X {method} {data} "$url"'{path}'
               rc=$?; rm -f /dev/shm/curl.$$; exit $rc"#
        ),
        input.as_bytes(),
    )
}
