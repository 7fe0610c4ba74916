//! The practice fleet's stand-ins held against the real services.

use std::collections::BTreeMap;
use std::time::Duration;

use super::avalanchego::{self, DATA, install_avalanchego};
use super::consul::{self, install_consul};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::netdata::{CACHE, LIB, guid, now};
use crate::rehearsal::contracts::{
    Agent, PracticeSubject, Subject, avalanchego as avalanchego_contract, consul as consul_contract,
    netdata as netdata_contract,
};
use crate::rehearsal::demo::Demo;

struct Real(Machine);

impl Subject for Real {
    fn sh(&self, text: &str) -> String {
        self.0.exec(text).ok()
    }
    fn ask(&self, port: u16, method: &str, target: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        // The status comes last, so that the body may be anything; both travel as text.
        let script = format!(
            "cat >/root/asked; curl -s -o /root/told -w '%{{http_code}}\\n' -X {method} -H 'Content-Type: application/json' \
             --data-binary @/root/asked 'http://127.0.0.1:{port}{target}' && base64 -w 0 /root/told"
        );
        let output = self.0.exec_with(&script, body);
        let (status, body) = output.stdout.split_once('\n').filter(|_| output.success())?;
        Some((status.parse().ok()?, openssl::base64::decode_block(body).ok()?))
    }
}

#[test]
fn a_real_avalanchego_keeps_the_contract_of_its_stand_in() {
    let machine = Machine::boot(Fleet::shared(), "val-practice");
    install_avalanchego(&machine, &avalanchego::Options::default());
    avalanchego_contract(&Real(machine), DATA);
}

#[test]
fn a_real_consul_keeps_the_contract_and_takes_a_snapshot_of_its_stand_in() {
    let machine = Machine::boot(Fleet::shared(), "consul-practice");
    install_consul(&machine, &consul::Options { acls: false, ..consul::Options::default() });
    let real = Real(machine);
    consul_contract(&real, "/opt/consul");

    let demo = Demo::start();
    let practice = PracticeSubject::of(&demo, "consul-1");
    let (status, snapshot) = practice.ask(8500, "GET", "/v1/snapshot", b"").unwrap();
    assert_eq!(status, 200);
    let took = || real.ask(8500, "PUT", "/v1/snapshot", &snapshot).filter(|(status, _)| *status == 200);
    wait_for(Duration::from_mins(1), took).expect("a real Consul takes it");
    let (_, workers) = real.ask(8500, "GET", "/v1/kv/app/billing/workers?raw", b"").unwrap();
    assert_eq!(workers, b"4");
}

/// Collectors that would only take time.
const PLUGINS: &str = "[global]\n\trun as user = netdata\n[statsd]\n\tenabled = no\n[plugins]\n\tapps = no\n\tcgroups = no\n\ttc = no\n\
    \tpython.d = no\n\tcharts.d = no\n\tgo.d = no\n\tperf = no\n\tslabinfo = no\n\tioping = no\n\tnfacct = no\n\tfreeipmi = no\n";

#[test]
fn a_real_netdata_keeps_the_contract_of_its_stand_in() {
    let machine = Machine::boot(Fleet::shared(), "mon-practice");
    netdata_contract(&Real(machine), "", PLUGINS);
}

/// The bytes of an agent's own making are a real agent's: it starts on them as the one they are of, and shows them.
#[test]
fn a_real_netdata_shows_the_samples_of_its_stand_in() {
    let demo = Demo::start();
    let practice = PracticeSubject::of(&demo, "mon-1");
    let there = Agent { subject: &practice, home: "/opt/netdata" };
    let agent = there.guid();
    let (first, last) = there.gathers(3600);
    let at = |part: u64, every: u64| (first + (last - first) / part) / every * every;
    let tiers = [(0, 10), (1, 60), (2, 3600)];
    let asked: Vec<(u64, u64)> =
        tiers.iter().flat_map(|(tier, every)| [3, 2].map(|part| (*tier, at(part, *every)))).collect();
    // What was at a second: of a longer window a real one tells an average between points.
    let value = |of: &Agent, (tier, at): (u64, u64)| {
        let target = format!(
            "/api/v1/data?chart=system.ram&after={at}&before={at}&points=1&group=average&tier={tier}&format=json\
             &options=jsonwrap%2Cselected-tier"
        );
        // One that has just begun knows who it is before it knows its charts.
        let knows = || of.get(&target).filter(|(status, _)| *status == 200);
        let (_, body) = wait_for(Duration::from_secs(40), knows).unwrap_or_else(|| panic!("{:?}", of.get(&target)));
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let labels = told["result"]["labels"].as_array().unwrap().clone();
        let row = told["result"]["data"][0].as_array().unwrap().clone();
        let pairs = labels.into_iter().zip(row).skip(1);
        pairs.map(|(label, value)| (label.to_string(), value.as_f64().unwrap())).collect::<BTreeMap<_, _>>()
    };
    let values = |of: &Agent| -> Vec<_> { asked.iter().map(|asked| value(of, *asked)).collect() };
    let told = values(&there);
    assert!(told.iter().all(|row| row.len() == 4), "{told:?}");
    let cache =
        practice.sh("systemctl stop netdata.service; tar -C /opt/netdata/var/cache/netdata -cf - . | base64 -w 0");
    let cache = openssl::base64::decode_block(&cache).unwrap();

    let machine = Machine::boot(Fleet::shared(), "mon-takes");
    let conf = "[db]\n\tupdate every = 10\n\tstorage tiers = 3\n\tdbengine tier 1 update every iterations = 6\n\
        \tdbengine tier 2 update every iterations = 60\n[web]\n\tbind to = 127.0.0.1\n";
    machine.write_as("root", "/etc/netdata/netdata.conf", &format!("{PLUGINS}{conf}"), 0o644);
    machine.exec(&format!("systemctl stop netdata; rm -rf {CACHE}/*; mkdir -p {LIB}/registry; printf %s {agent} >{LIB}/registry/netdata.public.unique.id")).ok();
    machine
        .exec_with(
            &format!("tar -C {CACHE} -xf - && chown -R netdata: {CACHE} {LIB} && systemctl start netdata"),
            &cache,
        )
        .ok();
    assert_eq!(guid(&machine), agent);
    // It tells nothing of what is to come.
    let is_past = || (now(&machine) > last).then_some(());
    assert!(wait_for(Duration::from_secs(40), is_past).is_some(), "{} is not after {last}", now(&machine));
    let real = Real(machine);
    let shown = values(&Agent { subject: &real, home: "" });
    for (told, shown) in told.iter().zip(&shown) {
        for (dimension, value) in told {
            // Both print seven digits behind the point.
            assert!((value - shown[dimension]).abs() < 2e-7, "{dimension}: {value} and {}", shown[dimension]);
        }
    }
}
