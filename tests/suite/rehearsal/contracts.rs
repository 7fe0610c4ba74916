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
use lifeboat::formats::{Verdict, verifier};
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
        let output = self.0.run(&Script::new(text).as_root(), b"", 32 << 20, &Cancel::new()).unwrap();
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

/// What a Netdata agent's configuration must say besides: a sample a second, tiers whose points are 1, 2 and 4 seconds.
const QUICK: &str = "[db]\n\tupdate every = 1\n\tstorage tiers = 3\n\tdbengine tier 1 update every iterations = 2\n\
    \tdbengine tier 2 update every iterations = 2\n[web]\n\tbind to = 127.0.0.1\n";

/// An agent below `home`, asked over its API.
pub struct Agent<'a> {
    pub subject: &'a dyn Subject,
    pub home: &'a str,
}

impl Agent<'_> {
    fn sh(&self, text: &str) -> String {
        self.subject.sh(&format!("lib={0}/var/lib/netdata cache={0}/var/cache/netdata\n{text}", self.home))
    }
    pub fn get(&self, target: &str) -> Option<(u16, Vec<u8>)> {
        self.subject.ask(19_999, "GET", target, b"")
    }
    fn json(&self, question: &str) -> Option<Value> {
        let (status, body) = self.get(&format!("/api/v1/{question}"))?;
        (status == 200).then(|| serde_json::from_slice(&body).unwrap())
    }
    pub fn guid(&self) -> String {
        let info = eventually("it tells who it is", || self.json("info"));
        info["uid"].as_str().unwrap().to_owned()
    }
    /// The first and the last second it tells of, once these are so far apart.
    pub fn gathers(&self, seconds: u64) -> (u64, u64) {
        eventually("it collects", || {
            let chart = self.json("chart?chart=system.uptime")?;
            let (first, last) = (chart["first_entry"].as_u64()?, chart["last_entry"].as_u64()?);
            (first > 0 && last >= first + seconds).then_some((first, last))
        })
    }
    /// The value of a tier's point, as the driver asks for it.
    fn point(&self, tier: u64, before: u64) -> Option<Value> {
        let every = 1 << tier;
        let before = before / every * every;
        let target = format!(
            "/api/v1/data?chart=system.uptime&after={}&before={before}&points=1&group=average&tier={tier}&format=json\
             &options=jsonwrap%2Cselected-tier",
            before - every
        );
        let (status, body) = self.get(&target).unwrap();
        // Of a time it knows nothing of it says so, or tells of nothing.
        if status == 404 {
            return None;
        }
        let told: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &told["result"]["labels"]), (200, &json!(["time", "uptime"])), "{told}");
        Some(told["result"]["data"][0][1].clone()).filter(|value| !value.is_null())
    }
    fn points(&self, before: u64) -> [Option<Value>; 3] {
        [0, 1, 2].map(|tier| self.point(tier, before))
    }
    /// Stops it; gives a moment and what it told of it before. Nothing where it failed in its own end, as the real 1.37.1
    /// does now and then, most on a busy machine: then it wrote nothing, and was started again.
    fn stops_cleanly(&self) -> Option<(u64, [Option<Value>; 3])> {
        let at = self.gathers(20).1 - 8;
        let kept = self.points(at);
        assert!(kept.iter().all(Option::is_some), "{kept:?}");
        self.sh("systemctl stop netdata.service");
        let ended = self.sh("systemctl show --property=Result --value netdata.service");
        if ended.trim() == "success" {
            return Some((at, kept));
        }
        println!("it ended with {ended}");
        self.sh("systemctl reset-failed netdata.service; systemctl start netdata.service");
        self.guid();
        None
    }
    /// The cache as the verifier of its format judges it.
    fn cache(&self) -> Verdict {
        let text = self.sh("tar -C / --exclude='*-shm' -cf - \"${cache#/}\" | base64 -w 0");
        let archive = openssl::base64::decode_block(&text).unwrap();
        let mut verifier = verifier("netdata-metrics/1").unwrap();
        verifier.file("metrics.tar", &mut archive.as_slice()).unwrap();
        verifier.finish().unwrap()
    }
}

/// What the driver asks is answered in the same shapes.
fn answers_in_shape(agent: &Agent, guid: &str) {
    let info = agent.json("info").unwrap();
    assert!(info["version"].as_str().unwrap().starts_with("v1.37."), "{info}");
    let own = info["mirrored_hosts_status"].as_array().unwrap().iter().find(|host| host["guid"] == guid).unwrap();
    assert_eq!((&own["reachable"], &own["hops"]), (&json!(true), &json!(0)));
    let (code, printed) = agent.get("/netdata.conf").unwrap();
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(code, 200);
    for line in ["[db]", "\tstorage tiers = 3", "[directories]", "\t# dbengine multihost disk space MB = 256"] {
        assert!(printed.lines().any(|found| found == line), "{line:?} is not in {printed}");
    }
    assert!(printed.contains(&format!("# cache = {}/var/cache/netdata\n", agent.home)), "{printed}");
    let charts = agent.json("charts").unwrap();
    for chart in ["system.cpu", "system.load", "system.ram", "system.uptime"] {
        let told = &charts["charts"][chart];
        assert!(told["dimensions"].as_object().is_some_and(|all| !all.is_empty()), "{chart}: {told}");
        assert_eq!(told["id"], chart);
    }
    let stats = agent.json("dbengine_stats").unwrap();
    let every = ["tier0", "tier1", "tier2"].map(|tier| stats[tier]["default_granularity_secs"].clone());
    assert_eq!(every, [1, 2, 4].map(Value::from), "{stats}");
    assert_eq!(agent.get("/api/v1/chart?chart=no.such").unwrap().0, 404);
    assert_eq!(agent.point(0, agent.gathers(1).0 - 1000), None);
}

/// An agent keeps what it collects in memory: a clean stop writes it, a kill loses it, and what it cannot read it deletes.
pub fn netdata(subject: &dyn Subject, home: &str, conf: &str) {
    let agent = Agent { subject, home };
    let set = format!("printf '%s' '{conf}{QUICK}' >{home}/etc/netdata/netdata.conf");
    agent.sh(&format!("systemctl stop netdata.service; rm -rf \"$cache\"/*; {set}; systemctl start netdata.service"));
    let guid = agent.guid();
    assert_eq!(agent.sh("cat \"$lib/registry/netdata.public.unique.id\""), guid, "36 characters and no line's end");

    let (_, last) = agent.gathers(20);
    answers_in_shape(&agent, &guid);

    // What it collected is in memory, and lost with it.
    let at = last - 8;
    let held = agent.points(at);
    assert!(held.iter().all(Option::is_some), "{held:?}");
    assert_eq!(agent.cache().facts["points"], 0, "nothing is on disk yet");
    agent.sh("kill -s KILL \"$(systemctl show --property=MainPID --value netdata.service)\"; sleep 1; systemctl start netdata.service");
    assert_eq!(agent.guid(), guid);
    agent.gathers(20);
    assert_eq!(agent.points(at), [const { None }; 3]);

    // A clean stop writes it, as the verifier reads it and the agent itself.
    let (at, kept) = (0..4).find_map(|_| agent.stops_cleanly()).expect("it never ends well");
    assert!(agent.get("/api/v1/info").is_none(), "a stopped one does not answer");
    let found = agent.cache();
    assert_eq!((&found.facts["host_guid"], &found.facts["nameless_metrics"]), (&json!(guid), &json!(0)), "{found:?}");
    assert!(found.facts["points"].as_u64().unwrap() > 100, "{found:?}");
    assert_eq!(found.facts["databases"]["netdata-meta.db"]["layout"], 7);
    assert_eq!(found.facts["tiers"].as_array().unwrap().len(), 3);
    agent.sh("systemctl start netdata.service");
    agent.guid();
    eventually("its samples are those of before", || (agent.points(at) == kept).then_some(()));

    // Half a pair is deleted without a word, and what was in it is gone.
    agent.sh("systemctl stop netdata.service; rm \"$cache\"/dbengine*/journalfile-*; systemctl start netdata.service");
    agent.guid();
    eventually("it collects again", || agent.point(0, agent.gathers(1).1));
    assert_eq!(agent.points(at), [const { None }; 3]);
    agent.sh("systemctl stop netdata.service");

    // Without its GUID it is another; with it, it is the one it was.
    agent.sh("mv \"$lib/registry/netdata.public.unique.id\" \"$lib/guid\"; systemctl start netdata.service");
    let other = agent.guid();
    assert_ne!(other, guid);
    assert_eq!(agent.sh("cat \"$lib/registry/netdata.public.unique.id\""), other);
    agent.sh("systemctl stop netdata.service; mv \"$lib/guid\" \"$lib/registry/netdata.public.unique.id\"; systemctl start netdata.service");
    assert_eq!(agent.guid(), guid);
}

#[test]
fn the_stand_in_of_netdata_keeps_its_contract() {
    let demo = Demo::start();
    netdata(&PracticeSubject::of(&demo, "mon-1"), "/opt/netdata", "[global]\n\trun as user = root\n");
}

#[test]
fn the_stand_ins_keep_their_contracts() {
    let demo = Demo::start();
    avalanchego(&PracticeSubject::of(&demo, "val-1"), "/var/lib/avalanchego");
    consul(&PracticeSubject::of(&demo, "consul-2"), "/opt/consul/data");
}
