//! What a stand-in and the real service have in common: the same words run against both, so that neither drifts.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::config::paths::Paths;
use lifeboat::engine::dialer::NodeDialer;
use lifeboat::engine::links::Dialer;
use lifeboat::engine::scan::check_service;
use lifeboat::formats::consul_snap::{SnapOptions, read_consul_snap};
use lifeboat::formats::staking::{StakingIdentity, parse_staking_identity};
use lifeboat::model::ids::HostId;
use lifeboat::transport::{Cancel, Dial, Script, Transport};
use serde_json::{Value, json};

use super::demo::Demo;
use crate::transport::conform::secrets;

/// A machine with the service on it.
pub trait Subject {
    /// Runs `sh` text as root; it must end well.
    fn sh(&self, text: &str) -> String;
    /// Asks the service's API; none when nothing answers.
    fn ask(&self, port: u16, method: &str, target: &str, body: &[u8]) -> Option<(u16, Vec<u8>)>;
}

/// A practice node over its login.
pub struct PracticeSubject(Arc<dyn Transport>);

impl PracticeSubject {
    pub fn of(demo: &Demo, host: &str) -> Self {
        let (home, data_dir) = (demo.place.path().to_owned(), demo.path("data_dir"));
        let paths = Paths { home, config_dir: demo.path("config_dir"), state_dir: data_dir.join("state"), data_dir };
        let loaded = lifeboat::config::load_checked(&demo.path("inventory"), &paths.home, &check_service).unwrap();
        let host = &loaded.inventory.hosts[&HostId::new(host).unwrap()];
        Self(NodeDialer::new(&paths, secrets()).connect(host, &loaded.inventory, &Cancel::new()).unwrap())
    }
}

impl Subject for PracticeSubject {
    fn sh(&self, text: &str) -> String {
        let output = self.0.run(&Script::new(text).as_root(), b"", 1 << 20, &Cancel::new()).unwrap();
        assert!(output.success(), "{text}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
    fn ask(&self, port: u16, method: &str, target: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = self.0.dial(&Dial::Tcp("127.0.0.1".into(), port), &Cancel::new()).ok()?;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        let at = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
        let status = std::str::from_utf8(&reply[9..12]).unwrap().parse().unwrap();
        Some((status, reply[at + 4..].to_vec()))
    }
}

fn eventually<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The identity the files of a directory make.
fn on_disk(subject: &dyn Subject, dir: &str) -> StakingIdentity {
    let read = |name: &str| openssl::base64::decode_block(&subject.sh(&format!("base64 -w 0 {dir}/{name}"))).unwrap();
    parse_staking_identity(&read("staker.crt"), &read("staker.key"), Some(&read("signer.key"))).unwrap()
}

/// The identity a node tells: NodeID, BLS key, proof of possession.
fn told(subject: &dyn Subject) -> Option<[String; 3]> {
    let question = json!({"jsonrpc": "2.0", "id": 1, "method": "info.getNodeID", "params": {}}).to_string();
    let (status, body) = subject.ask(9650, "POST", "/ext/info", question.as_bytes())?;
    if status != 200 {
        return None;
    }
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let text = |at: &str| answer.pointer(at).and_then(Value::as_str).unwrap().to_owned();
    Some([text("/result/nodeID"), text("/result/nodePOP/publicKey"), text("/result/nodePOP/proofOfPossession")])
}

/// AvalancheGo reads its identity when it starts and never again, and makes one when it finds none.
pub fn avalanchego(subject: &dyn Subject, data: &str) {
    let staking = format!("{data}/staking");
    let parts = |identity: StakingIdentity| {
        let bls = identity.bls.unwrap();
        [identity.node_id.to_string(), bls.public_key, bls.proof_of_possession]
    };
    let first = eventually("it tells who it is", || told(subject));
    assert_eq!(first, parts(on_disk(subject, &staking)), "what it tells is what its files make");

    subject.sh(&format!("mv {staking} {staking}.aside"));
    assert_eq!(told(subject), Some(first.clone()), "what happens on its disk while it runs does not change it");

    subject.sh("systemctl restart avalanchego.service");
    let other = eventually("it tells who it is", || told(subject));
    assert!(other[0] != first[0] && other[1] != first[1], "it made a new identity without a word");
    assert_eq!(other, parts(on_disk(subject, &staking)));
    let modes = subject
        .sh(&format!("stat -c '%n %a' {staking}/staker.crt {staking}/staker.key {staking}/signer.key | sed 's,.*/,,'"));
    assert_eq!(modes, "staker.crt 400\nstaker.key 400\nsigner.key 400\n");

    subject.sh(&format!("systemctl stop avalanchego.service; rm -r {staking}; mv {staking}.aside {staking}"));
    assert_eq!(told(subject), None, "a stopped one does not answer");
    subject.sh("systemctl start avalanchego.service");
    assert_eq!(eventually("it tells who it is", || told(subject)), first);
    let unknown = json!({"jsonrpc": "2.0", "id": 1, "method": "info.noSuchThing", "params": {}}).to_string();
    let (_, body) = subject.ask(9650, "POST", "/ext/info", unknown.as_bytes()).unwrap();
    assert!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["message"].is_string());
}

/// Consul's snapshot holds its keys, and putting it back replaces them all or none.
pub fn consul(subject: &dyn Subject, data: &str) {
    let get = |key: &str| match subject.ask(8500, "GET", &format!("/v1/kv/{key}?raw"), b"").unwrap() {
        (200, value) => Some(String::from_utf8(value).unwrap()),
        (404, _) => None,
        other => panic!("{key}: {other:?}"),
    };
    let put = |key: &str, value: &str| {
        let (status, said) = subject.ask(8500, "PUT", &format!("/v1/kv/{key}"), value.as_bytes()).unwrap();
        assert_eq!((status, said.trim_ascii()), (200, &b"true"[..]));
    };
    eventually("it has a leader", || {
        let (status, leader) = subject.ask(8500, "GET", "/v1/status/leader", b"")?;
        (status == 200 && leader.trim_ascii() != b"\"\"").then_some(())
    });
    put("contract/kept", "yes");
    put("contract/changed", "before");
    let (status, snapshot) = subject.ask(8500, "GET", "/v1/snapshot", b"").unwrap();
    assert_eq!(status, 200);
    let held = read_consul_snap(snapshot.as_slice(), &SnapOptions::default(), &mut ()).unwrap();
    assert!(held.kv.keys >= 2 && held.unknown_types.is_empty());

    put("contract/changed", "after");
    put("contract/new", "yes");
    let (status, said) = subject.ask(8500, "PUT", "/v1/snapshot", &snapshot[..snapshot.len() / 2]).unwrap();
    assert_eq!(status, 500, "{}", String::from_utf8_lossy(&said));
    assert_eq!((get("contract/changed").as_deref(), get("contract/new").as_deref()), (Some("after"), Some("yes")));

    let (status, said) = subject.ask(8500, "PUT", "/v1/snapshot", &snapshot).unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
    eventually("the keys are those of the snapshot", || {
        let now = (get("contract/kept"), get("contract/changed"), get("contract/new"));
        (now == (Some("yes".into()), Some("before".into()), None)).then_some(())
    });

    let node_id = subject.sh(&format!("cat {data}/node-id"));
    subject.sh("systemctl restart consul.service");
    assert_eq!(subject.sh(&format!("cat {data}/node-id")), node_id, "its node-id outlives a restart");
    subject.sh("systemctl stop consul.service");
    assert!(subject.ask(8500, "GET", "/v1/status/leader", b"").is_none(), "a stopped one does not answer");
    subject.sh("systemctl start consul.service");
}

#[test]
fn the_stand_ins_keep_their_contracts() {
    let demo = Demo::start();
    avalanchego(&PracticeSubject::of(&demo, "val-1"), "/var/lib/avalanchego");
    consul(&PracticeSubject::of(&demo, "consul-2"), "/opt/consul/data");
}
