//! Hardened services: a Consul that listens for nothing but HTTPS, and an AvalancheGo whose API is behind TLS.

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use serde_json::{Value, json};

use super::avalanchego::{self, DATA, avalanche_node_id, install_avalanchego, start_avalanchego};
use super::cards::follow_card;
use super::consul::{
    self, PAPERS, Tls, consul_all, consul_fill, consul_put, install_consul, make_papers, put_papers, start_consul,
};
use super::machine::Machine;
use super::story::{Stage, write_secret};

/// The same certificate, out of date since yesterday.
fn expired(cert: &str, ca_key: &str) -> String {
    let key: PKey<Private> = PKey::private_key_from_pem(ca_key.as_bytes()).unwrap();
    let old = X509::from_pem(cert.as_bytes()).unwrap();
    let mut new = X509::builder().unwrap();
    new.set_version(2).unwrap();
    new.set_serial_number(old.serial_number()).unwrap();
    new.set_subject_name(old.subject_name()).unwrap();
    new.set_issuer_name(old.issuer_name()).unwrap();
    new.set_pubkey(&old.public_key().unwrap()).unwrap();
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    new.set_not_before(&Asn1Time::from_unix(now - 9 * 86_400).unwrap()).unwrap();
    new.set_not_after(&Asn1Time::from_unix(now - 86_400).unwrap()).unwrap();
    let mut names = openssl::x509::extension::SubjectAlternativeName::new();
    names.dns("server.dc1.consul").dns("localhost").ip("127.0.0.1");
    let names = names.build(&new.x509v3_context(None, None)).unwrap();
    new.append_extension(names).unwrap();
    new.sign(&key, MessageDigest::sha256()).unwrap();
    String::from_utf8(new.build().to_pem().unwrap()).unwrap()
}

#[test]
fn a_datacenter_behind_tls_is_saved_restored_both_ways_and_its_card_is_true() {
    let secrets = tempfile::tempdir().unwrap();
    let (token_file, after_file) = (secrets.path().join("token"), secrets.path().join("after"));
    write_secret(&token_file, "not yet");
    write_secret(&after_file, "not yet");
    let Stage { console, old, spare } = Stage::set(&|machine| {
        format!(
            "[hosts.{}.services.consul]\ntoken = {{ file = \"{}\" }}\ntoken_after = {{ file = \"{}\" }}\n",
            machine.name(),
            token_file.display(),
            after_file.display()
        )
    });
    // One asks its clients for a certificate and is configured as today, the other does neither.
    let (papers, ca_key) = make_papers(&old);
    let tls = |asks: bool| Some(Tls { papers: papers.clone(), asks, old_style: !asks });
    let management = install_consul(&old, &consul::Options { tls: tls(true), ..consul::Options::default() }).unwrap();
    assert!(!old.exec("curl -sf -m 5 http://127.0.0.1:8500/v1/status/leader").success(), "it listens in clear");
    assert!(
        !old.exec(&format!("curl -sf -m 5 --cacert {PAPERS}/ca.pem https://localhost:8501/v1/status/leader")).success()
    );
    consul_put(&old, Some(&management), "app/config", "blue");
    consul_fill(&old, Some(&management), "bulk", 500);
    let keys = consul_all(&old, Some(&management));
    assert_eq!(keys.len(), 501);
    write_secret(&token_file, &management);
    let scan = console.run(&["--json", "scan", "val-1"]).expect(0);
    let document = scan.documents().into_iter().find(|one| one["service"] == "val-1/consul").unwrap();
    assert_eq!(document["facts"]["own"]["leader"], json!(format!("{}:8300", old.address())), "{document:#}");
    assert!(!scan.out.contains("PRIVATE") && !scan.err.contains("PRIVATE"));
    console.run(&["backup", "val-1/consul/snapshot", "val-1/consul/agent-config"]).expect(0);
    console.run(&["verify"]).expect(0);

    // The agent's own files, accepted over TLS by the agent that started with them.
    let restore = ["restore", "val-1/consul/agent-config", "--to", "val-1", "--confirm", "overwrite=val-1"];
    console.run(&restore).expect(0);

    // The card of the one that asks, by hand, which is set up as it was.
    old.write_as("root", "/root/consul-token", &format!("{management}\n"), 0o600);
    old.write_as("root", "/root/consul-token-after", &format!("{management}\n"), 0o600);
    consul_put(&old, Some(&management), "app/late", "lost again");
    let said = follow_card(&console, "val-1/consul/snapshot", &old, &old);
    assert!(said.contains("Restored snapshot"), "{said}");
    assert_eq!(consul_all(&old, Some(&management)), keys);

    let fresh = install_consul(&spare, &consul::Options { tls: tls(false), ..consul::Options::default() }).unwrap();
    consul_put(&spare, Some(&fresh), "fresh/only", "here");
    write_secret(&token_file, &fresh);
    write_secret(&after_file, &management);
    console.run(&["restore", "val-1/consul/snapshot", "--to", "spare-1", "--confirm", "overwrite=dc1"]).expect(0);
    assert_eq!(consul_all(&spare, Some(&management)), keys);
    console.run(&["list"]).expect(0).says("proven");

    // And the other way: from the one that asks for nothing into the one that does.
    write_secret(&token_file, &management);
    consul_put(&spare, Some(&management), "app/config", "green");
    let greener = consul_all(&spare, Some(&management));
    console.run(&["backup", "spare-1/consul/snapshot"]).expect(0);
    console.run(&["restore", "spare-1/consul/snapshot", "--to", "val-1", "--confirm", "overwrite=dc1"]).expect(0);
    assert_eq!(consul_all(&old, Some(&management)), greener);

    refuse_strangers(&console, &old, &papers, &ca_key);
    // With its own papers again it is known again.
    put_papers(&old, &papers);
    old.exec("systemctl restart consul").ok();
    start_consul(&old);
    console.run(&["backup", "val-1/consul/snapshot"]).expect(0);
    // No key of a certificate lies anywhere of ours, but in the sealed copy of the agent's configuration.
    let found = std::process::Command::new("grep").args(["-rl", "PRIVATE KEY"]).arg(console.path("vault")).output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
    assert_eq!(old.exec("grep -rl 'PRIVATE KEY' /var/lib/lifeboat /run /tmp 2>/dev/null").stdout, "");
}

/// A CA that did not sign it, and a certificate out of date: a sentence with both sides, and nothing is changed.
fn refuse_strangers(console: &crate::support::console::Console, old: &Machine, papers: &[String; 3], ca_key: &str) {
    let restore = ["restore", "val-1/consul/snapshot", "--to", "val-1", "--confirm", "overwrite=dc1"];
    let (stranger, _) = make_papers(old);
    old.write_as("consul", &format!("{PAPERS}/ca.pem"), &stranger[0], 0o640);
    let refused = console.run(&["backup", "val-1/consul/snapshot"]).expect(7);
    refused.says("nothing trusted signed it").says(&format!("it must show a certificate that {PAPERS}/ca.pem signed"));
    console.run(&restore).expect(10).says("nothing trusted signed it").says("api_ca");

    let [ca, cert, key] = papers.clone();
    put_papers(old, &[ca, expired(&cert, ca_key), key]);
    old.exec("systemctl restart consul").ok();
    old.exec("for i in $(seq 60); do ss -ltn | grep -q 127.0.0.1:8501 && exit 0; sleep 0.5; done; exit 1").ok();
    console.run(&["backup", "val-1/consul/snapshot"]).expect(7).says("it has expired");
    console.run(&restore).expect(10).says("it has expired").says("valid until");
}

/// Where the API's own papers lie.
const HTTP: &str = "/home/avax/http";

/// A certificate that the node itself made, as its own documentation says.
fn make_http_papers(machine: &Machine) {
    machine
        .exec(&format!(
            "set -e; umask 077; install -d -o avax -g avax {HTTP}; cd {HTTP}
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -subj /CN=node -days 30 2>&1
             chown avax:avax key.pem cert.pem"
        ))
        .ok();
}

fn behind_tls() -> avalanchego::Options {
    let config: Value = json!({
        "http-tls-enabled": true,
        "http-tls-cert-file": format!("{HTTP}/cert.pem"),
        "http-tls-key-file": format!("{HTTP}/key.pem"),
    });
    let Value::Object(config) = config else { unreachable!() };
    avalanchego::Options { config, start: false, ..avalanchego::Options::default() }
}

#[test]
fn a_validator_behind_tls_is_rebuilt_and_proves_who_it_is() {
    let Stage { console, old, spare } =
        Stage::set(&|machine| format!("[hosts.{}.services.avalanchego]\n", machine.name()));
    for machine in [&old, &spare] {
        install_avalanchego(machine, &behind_tls());
        make_http_papers(machine);
        start_avalanchego(machine);
    }
    let (identity, fresh) = (avalanche_node_id(&old), avalanche_node_id(&spare));
    assert_ne!(identity, fresh);
    assert!(!old.exec("curl -sf -m 5 http://127.0.0.1:9650/ext/info").success(), "it answers in clear");

    let scan = console.run(&["--json", "scan", "val-1"]).expect(0).documents();
    let facts = &scan.iter().find(|one| one["service"] == "val-1/avalanchego").unwrap()["facts"];
    let told: Vec<_> =
        facts["identities"].as_array().unwrap().iter().map(|one| one["value"].as_str().unwrap()).collect();
    assert_eq!(told, [&identity.node_id, &identity.public_key], "{facts:#}");
    console.run(&["backup", "val-1/avalanchego/staking-identity", "val-1/avalanchego/node-config"]).expect(0);
    old.exec("systemctl disable --now avalanchego").ok();
    let answers = ["--confirm", "overwrite=spare-1", "--confirm", "public-ip=127.0.0.1"];
    let restore = [&["restore", "val-1/avalanchego/staking-identity", "--to", "spare-1"][..], &answers].concat();

    // Another certificate in the file than the one that is shown, and one that is out of date: refused before a thing is done.
    make_http_papers(&spare);
    console.run(&restore).expect(10).says(&format!("it must show the certificate in {HTTP}/cert.pem"));
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| spare.exec(&format!("cat {HTTP}/{name}")).ok());
    spare.write_as("avax", &format!("{HTTP}/cert.pem"), &expired(&cert, &key), 0o644);
    spare.exec("systemctl restart avalanchego").ok();
    assert_eq!(start_avalanchego(&spare), fresh);
    console.run(&restore).expect(10).says("it has expired");
    assert_eq!(avalanche_node_id(&spare), fresh);

    make_http_papers(&spare);
    spare.exec("systemctl restart avalanchego").ok();
    start_avalanchego(&spare);
    console.run(&restore).expect(0);
    assert_eq!(avalanche_node_id(&spare), identity);
    console.run(&["list"]).expect(0).says("proven");

    // Back to what it was, and once more by hand with the card's own words.
    spare.exec(&format!("systemctl stop avalanchego; rm -r {DATA}/staking; systemctl start avalanchego")).ok();
    assert_ne!(start_avalanchego(&spare), identity);
    let said = follow_card(&console, "val-1/avalanchego/staking-identity", &old, &spare);
    assert!(said.contains(&identity.node_id) && said.contains(&identity.proof), "{said}");
    assert_eq!(avalanche_node_id(&spare), identity);
}
