//! Consul: a datacenter of servers that share keys, with snapshots that are taken and put back whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Part, StandIn, serves};
use crate::model::exit::Result;
use crate::rehearsal::http::{Asked, Reply};
use crate::rehearsal::node::Image;

mod snapshot;

use snapshot::{Entry, read_snapshot, write_snapshot};

const UNIT: &str = "consul.service";
const VERSION: &str = "1.20.1";
const UNIT_TEXT: &str = "[Unit]\nDescription=Consul (a stand-in)\n[Service]\n\
    ExecStart=/opt/consul/consul agent -config-dir=/etc/consul.d\n[Install]\nWantedBy=multi-user.target\n";

/// The stand-in of every datacenter of one fleet.
#[derive(Debug, Default)]
pub struct Consul {
    datacenters: Mutex<BTreeMap<String, Datacenter>>,
}

/// What the servers of a datacenter hold together.
#[derive(Debug)]
struct Datacenter {
    index: u64,
    keys: BTreeMap<Vec<u8>, Entry>,
}

impl Datacenter {
    /// A datacenter that has been used a little.
    fn lived_in() -> Self {
        let mut new = Self { index: 10, keys: BTreeMap::new() };
        for app in ["billing", "search", "mail"] {
            for (key, value) in [("url", "http://127.0.0.1:8080"), ("workers", "4"), ("log", "info")] {
                new.put(format!("app/{app}/{key}").into_bytes(), value.into(), 0);
            }
        }
        new.put(b"locks/deploy".to_vec(), Vec::new(), 42);
        new
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, flags: u64) {
        self.index += 1;
        let create = self.keys.get(&key).map_or(self.index, |entry| entry.create_index);
        self.keys.insert(key, Entry { value, flags, create_index: create, modify_index: self.index });
    }
}

/// One server, as its program's memory tells it.
struct Server {
    name: String,
    datacenter: String,
    node_id: String,
    memory: PathBuf,
}

impl StandIn for Consul {
    fn kind(&self) -> &'static str {
        "consul"
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    fn port(&self) -> Option<u16> {
        Some(8500)
    }

    fn lay(&self, image: &Image, part: &Part) -> Result<()> {
        image.file("opt/consul/consul", include_str!("consul.sh").replace("{version}", VERSION), 0o755)?;
        image.unit(UNIT, UNIT_TEXT, part.runs)?;
        let config = json!({
            "data_dir": "/opt/consul/data", "datacenter": part.cluster, "node_name": part.host, "server": true,
            "bootstrap_expect": part.members.len(), "client_addr": "127.0.0.1", "retry_join": part.members,
        });
        image.file("etc/consul.d/consul.json", format!("{config:#}\n"), 0o640)
    }

    fn answer(&self, memory: &Path, asked: &Asked) -> Option<Reply> {
        let own = Server::at(memory)?;
        let servers = own.with_its_peers();
        let living: Vec<&Server> = servers.iter().filter_map(Option::as_ref).collect();
        // The first that lives leads, as long as more than half of them do.
        let leader = living.first().filter(|_| living.len() * 2 > servers.len()).map(|server| server.address());
        let mut all = self.datacenters.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.entry(own.datacenter.clone()).or_insert_with(Datacenter::lived_in);
        Some(answer(&own, &servers, leader.as_deref(), held, asked))
    }

    fn identity_files(&self) -> &'static [&'static str] {
        &["/opt/consul/data/node-id"]
    }
}

impl Server {
    fn at(memory: &Path) -> Option<Self> {
        let config: Value = serde_json::from_slice(&std::fs::read(memory.join("config.json")).ok()?).ok()?;
        let node_id = std::fs::read_to_string(memory.join("node-id")).ok()?;
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        serves(memory).then(|| Self {
            name: text("node_name"),
            datacenter: text("datacenter"),
            node_id: node_id.trim().to_owned(),
            memory: memory.to_owned(),
        })
    }

    /// Every server of its configuration in order, those that are down as `None`. The fleet's nodes lie side by side.
    fn with_its_peers(&self) -> Vec<Option<Self>> {
        let config = std::fs::read(self.memory.join("config.json")).unwrap_or_default();
        let config: Value = serde_json::from_slice(&config).unwrap_or_default();
        let names = config["retry_join"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let nodes = self.memory.ancestors().nth(4).unwrap_or(Path::new("/nonexistent"));
        names.map(|name| Self::at(&nodes.join(name).join("stub/memory").join(UNIT))).collect()
    }

    /// Its address for its peers; in the fleet every node is told apart by its name alone.
    fn address(&self) -> String {
        format!("{}:8300", self.name)
    }
}

fn answer(
    own: &Server,
    servers: &[Option<Server>],
    leader: Option<&str>,
    held: &mut Datacenter,
    asked: &Asked,
) -> Reply {
    let peers: Vec<String> = servers.iter().flatten().map(Server::address).collect();
    let is_stale = asked.query().any(|word| word == "stale");
    match (asked.method.as_str(), asked.path()) {
        ("GET", "/v1/status/leader") => Reply::json(&json!(leader.unwrap_or(""))),
        ("GET", "/v1/status/peers") => Reply::json(&json!(peers)),
        ("GET", "/v1/catalog/datacenters") => Reply::json(&json!([own.datacenter])),
        ("GET", "/v1/agent/self") => Reply::json(&json!({
            "Config": {"Datacenter": own.datacenter, "NodeName": own.name, "NodeID": own.node_id, "Server": true, "Version": VERSION},
            "DebugConfig": {"ACLsEnabled": false, "DataDir": "/opt/consul/data"},
        })),
        ("POST", "/v1/internal/acl/authorize") => Reply::new(401, "ACL support disabled"),
        _ if leader.is_none() && !is_stale => Reply::new(500, "No cluster leader"),
        ("GET", "/v1/operator/autopilot/health") => health(own, servers, leader, held.index),
        ("GET", "/v1/snapshot") => match write_snapshot(held.index, &held.keys) {
            Ok(bytes) => Reply::new(200, bytes)
                .header("Content-Type", "application/x-gzip")
                .header("X-Consul-Index", held.index.to_string())
                .header("X-Consul-Knownleader", leader.is_some().to_string())
                .header("X-Consul-Lastcontact", "0"),
            Err(why) => Reply::new(500, why),
        },
        ("PUT", "/v1/snapshot") => match read_snapshot(&asked.body) {
            Ok(keys) => {
                held.index += 1;
                held.keys = keys;
                Reply::new(200, "")
            }
            Err(why) => Reply::new(500, format!("failed to read snapshot file: {why}")),
        },
        (method, path) => match path.strip_prefix("/v1/kv/") {
            Some(key) => kv(method, key, held, asked),
            None => Reply::new(404, "Invalid URL path: not a recognized HTTP API endpoint"),
        },
    }
}

fn health(own: &Server, servers: &[Option<Server>], leader: Option<&str>, index: u64) -> Reply {
    let told = servers.iter().map(|server| match server {
        Some(server) => json!({
            "ID": server.node_id, "Name": server.name, "Address": server.address(), "SerfStatus": "alive", "Version": VERSION,
            "Leader": leader == Some(server.address().as_str()), "Healthy": true, "Voter": true, "LastIndex": index,
        }),
        None => json!({"Name": "a server that is down", "SerfStatus": "failed", "Healthy": false, "Voter": true}),
    });
    let told: Vec<Value> = told.collect();
    let healthy = told.iter().all(|server| server["Healthy"] == true);
    Reply::json(
        &json!({"Healthy": healthy, "FailureTolerance": told.len() / 2, "Servers": told, "Datacenter": own.datacenter}),
    )
}

fn kv(method: &str, key: &str, held: &mut Datacenter, asked: &Asked) -> Reply {
    let has = |word: &str| asked.query().any(|found| found == word);
    match method {
        "GET" if has("keys") => {
            let begins = |found: &&Vec<u8>| found.starts_with(key.as_bytes());
            let keys: Vec<_> = held.keys.keys().filter(begins).map(|key| String::from_utf8_lossy(key)).collect();
            Reply::json(&json!(keys))
        }
        "GET" => match held.keys.get(key.as_bytes()) {
            Some(entry) if has("raw") => Reply::new(200, entry.value.clone()),
            Some(entry) => Reply::json(&json!([{
                "Key": key, "Flags": entry.flags, "Value": openssl::base64::encode_block(&entry.value),
                "CreateIndex": entry.create_index, "ModifyIndex": entry.modify_index, "LockIndex": 0,
            }])),
            None => Reply::new(404, ""),
        },
        "PUT" => {
            held.put(key.as_bytes().to_vec(), asked.body.clone(), 0);
            Reply::new(200, "true")
        }
        "DELETE" => {
            held.index += 1;
            if has("recurse") {
                held.keys.retain(|found, _| !found.starts_with(key.as_bytes()));
            } else {
                held.keys.remove(key.as_bytes());
            }
            Reply::new(200, "true")
        }
        _ => Reply::new(405, "method not allowed"),
    }
}
