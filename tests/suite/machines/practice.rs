//! The practice fleet's stand-ins held against the real services.

use super::avalanchego::{self, DATA, install_avalanchego};
use super::consul::{self, install_consul};
use super::fleet::Fleet;
use super::machine::Machine;
use crate::rehearsal::contracts::{
    PracticeSubject, Subject, avalanchego as avalanchego_contract, consul as consul_contract,
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
    super::host::wait_for(std::time::Duration::from_mins(1), took).expect("a real Consul takes it");
    let (_, workers) = real.ask(8500, "GET", "/v1/kv/app/billing/workers?raw", b"").unwrap();
    assert_eq!(workers, b"4");
}
