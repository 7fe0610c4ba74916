//! An agent whose API speaks only TLS: how it is found, known and shown who asks, and what is said of one that is not it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::fake::{Agent, Asked, Reply, World, say};
use super::{Consul, LOOK, SELF, draft_with, manifest, read_look, verified};
use crate::model::exit::Exit;
use crate::model::facts::Facts;
use crate::model::item::Standing;
use crate::services::Driver;
use crate::services::consul::probe::SETTINGS;
use crate::services::consul::{settings, trust};
use crate::transport::tls::papers::{Paper, SslVersion, Wish, server_side};

/// What the settings' reader prints of some files.
fn flat(files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut printed = String::new();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
        let script = format!("{SETTINGS}awk \"$settings\" \"$1\"");
        let output = Command::new("sh").args(["-c", &script, "sh"]).arg(dir.path().join(name)).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        printed += std::str::from_utf8(&output.stdout).unwrap();
    }
    printed
}

#[test]
fn settings_are_told_by_where_they_stand() {
    let hcl = r#"
datacenter = "dc1" // not asked for
encrypt = "c2VjcmV0"
/* ca_file = "/in/a/comment"
   key_file = "/here/too" */
tls {
  defaults { ca_file = "/d/ca.pem", verify_incoming = true }
  https = {
    cert_file = "/h/a \" b.pem"   # a quote
    key_file  = "/h/key.pem"
  }
  grpc { ca_file = "/not/this" }
}
ports { http = -1 https = 8501 }
service "web" { check { ca_file = "/a/check" } tags = ["ca_file", "x"] }
connect { ca_config { ca_file = "/vault/ca", token = "t0psecret" } }
script = <<-END
ca_path = "/in/a/heredoc"
END
ca_path = "/last/"
"#;
    let expected = "@tls.defaults.ca_file=/d/ca.pem\n@tls.defaults.verify_incoming=true\n@tls.https.cert_file=/h/a \\\" b.pem\n\
                    @tls.https.key_file=/h/key.pem\n@ports.https=8501\n@ca_path=/last/\n";
    assert_eq!(flat(&[("a.hcl", hcl)]), expected);
    let json = r#"{"acl":{"tokens":{"agent":"t0psecret"}},"tls":[{"https":{"verify_incoming":false,"ca_file":"/j/ca.pem"}}],
        "services":[{"checks":[{"ca_file":"/no"}]}],"addresses":{"https":"0.0.0.0"},"auto_encrypt":{"tls":true},"verify_incoming_https":true,"key_file":"/k"}"#;
    let expected = "@tls.https.verify_incoming=false\n@tls.https.ca_file=/j/ca.pem\n@addresses.https=0.0.0.0\n\
                    @auto_encrypt.tls=true\n@verify_incoming_https=true\n@key_file=/k\n";
    assert_eq!(flat(&[("a.json", json)]), expected);
    assert_eq!(flat(&[("broken.hcl", "tls { https { ca_file = \"/a\n}}}} ]] { \u{1} = = :"), ("empty.json", "")]), "");
}

fn trusted(said: &str, table: &str) -> Result<Value, String> {
    let seen = read_look(&format!("== config\n@ports.https=8501\nhttp = -1\nserver = true\n{said}"));
    let settings = settings::check(&table.parse().unwrap()).unwrap();
    let address = settings.http.clone().unwrap_or_else(|| seen.address().unwrap());
    trust::of(&seen, &settings, &address).map(|trust| json!(trust))
}

#[test]
fn an_agent_is_known_by_what_its_configuration_names() {
    let names = json!(["server.dc1.consul", "localhost", "127.0.0.1"]);
    let by = |authorities: Value, names: &Value| json!({"expects": {"signed_by": {"authorities": authorities, "names": names}}});
    let new = "@tls.defaults.ca_file=/ca.pem\n@tls.https.cert_file=/c.pem\n";
    assert_eq!(trusted(new, ""), Ok(by(json!(["/ca.pem"]), &names)));
    assert_eq!(trusted("@ca_file=/old.pem\n@ca_path=/dir\n", ""), Ok(by(json!(["/old.pem", "/dir/"]), &names)));
    let own = "@tls.https.ca_file=/h.pem\n@domain=corp.example.\ndatacenter = \"DC9\"\nnode_name = \"n1\"\n";
    let corp = json!(["server.dc9.corp.example", "localhost", "127.0.0.1", "n1"]);
    assert_eq!(trusted(&format!("{new}{own}"), ""), Ok(by(json!(["/h.pem"]), &corp)));
    // The inventory has the first word.
    let table =
        "http = 'https://10.0.0.1:8501'\napi_ca = '/o.pem'\napi_name = 'api.example'\napi_cert = '/c'\napi_key = '/k'";
    let mut expected = by(json!(["/o.pem"]), &json!(["api.example"]));
    expected["shows"] = json!({"cert": "/c", "key": "/k"});
    assert_eq!(trusted(new, table), Ok(expected));
    assert_eq!(trusted(new, "http = '127.0.0.1:8500'"), Ok(Value::Null), "nothing of it counts in clear");
    assert_eq!(trusted("@cert_file=/c.pem\n", ""), Ok(json!({"expects": {"exactly": "/c.pem"}})));
    // Another host's name is no loopback.
    let elsewhere = trusted(new, "http = 'https://10.0.0.1:8501'").unwrap();
    assert_eq!(elsewhere["expects"]["signed_by"]["names"], json!(["server.dc1.consul", "10.0.0.1"]));
}

#[test]
fn a_key_is_shown_only_to_an_agent_that_asks_for_one() {
    let files = "@tls.defaults.ca_file=/ca.pem\n@tls.defaults.cert_file=/c.pem\n@tls.defaults.key_file=/k.pem\n";
    for (said, shows) in [
        ("", false),
        ("@tls.https.verify_incoming=true\n", true),
        ("@tls.defaults.verify_incoming=true\n", true),
        ("@tls.defaults.verify_incoming=true\n@tls.https.verify_incoming=false\n", false),
        ("@verify_incoming=true\n", true),
        ("@verify_incoming_https=true\n", true),
    ] {
        let told = trusted(&format!("{files}{said}"), "").unwrap();
        let expected = if shows { json!({"cert": "/c.pem", "key": "/k.pem"}) } else { Value::Null };
        assert_eq!(told["shows"], expected, "{said:?}");
    }
}

#[test]
fn what_lies_only_in_an_agent_s_memory_is_said_so() {
    for (said, words) in [
        ("@auto_encrypt.tls=true\n@ca_file=/ca.pem\n", "lies only in its memory"),
        ("@auto_config.enabled=true\n", "lies only in its memory"),
        ("@auto_encrypt.tls=true\n@verify_incoming=true\n", "asks its clients for a certificate"),
        ("@verify_incoming=true\n@ca_file=/ca.pem\n", "names none to show"),
        ("", "neither a CA nor a certificate"),
        ("@ca_file=ca.pem\n", "no absolute path"),
    ] {
        let why = trusted(said, "").unwrap_err();
        assert!(why.contains(words), "{said:?}: {why}");
    }
    let told = trusted("@auto_encrypt.tls=true\n", "api_ca = '/connect-ca.pem'");
    assert!(told.is_ok(), "the operator knows: {told:?}");
}

/// An agent on this machine with its papers in files, as its configuration names them.
struct Setting {
    dir: tempfile::TempDir,
    ca: Paper,
    agent: Agent,
}

fn answers(asked: &Asked) -> Reply {
    match asked.line.as_str() {
        "GET /v1/status/leader" => say(200, "\"10.0.0.1:8300\""),
        "GET /v1/status/peers" => say(200, "[\"10.0.0.1:8300\"]"),
        "GET /v1/agent/self" => say(200, SELF),
        "POST /v1/internal/acl/authorize" => say(200, r#"[{"Allow":true}]"#),
        line if line.starts_with("GET /v1/snapshot") => Reply::Chunks("", vec![7; 300_000], true),
        "PUT /v1/snapshot" => say(200, ""),
        _ => say(404, ""),
    }
}

impl Setting {
    fn new(asks: bool, wish: &Wish) -> Self {
        let (dir, ca) = (tempfile::tempdir().unwrap(), Wish::ca("CA of dc1"));
        let paper = wish.signed_by(Some(&ca));
        let write = |name: &str, bytes: Vec<u8>| fs::write(dir.path().join(name), bytes).unwrap();
        write("ca.pem", ca.pem());
        write("agent.pem", paper.pem());
        write("agent-key.pem", paper.key_pem());
        let agent = Agent::start_tls(server_side(&paper, asks.then_some(&ca), SslVersion::TLS1_3), answers);
        Self { dir, ca, agent }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// A world whose configuration names the files, with `more` of it.
    fn world(&self, more: &str) -> World {
        let file = |name: &str| self.path(name).display().to_string();
        let port = self.agent.address.rsplit(':').next().unwrap();
        let (ca, cert, key) = (file("ca.pem"), file("agent.pem"), file("agent-key.pem"));
        let look = format!(
            "{LOOK}http = -1\n@ports.https={port}\n@tls.defaults.ca_file={ca}\n@tls.defaults.cert_file={cert}\n@tls.defaults.key_file={key}\n{more}"
        );
        let data = "== node-id\n319f3df7-60cd-ed2d-4a07-e9405cc8caec\n== keyrings\n== config\nthere\n";
        World::new(vec![("== unit", look), ("== node-id", data.to_owned()), ("/var/lib/lifeboat/runs/", String::new())])
    }
}

fn table(more: &str) -> Value {
    Consul.settings(&format!("token = {{ env = 't0ken' }}\n{more}").parse().unwrap()).unwrap()
}

fn probe(world: &World, more: &str) -> Facts {
    Consul.probe(&world.cx(), &table(more)).unwrap()
}

fn why_not(facts: &Facts) -> String {
    match Consul.items(facts).remove(0).standing {
        Standing::Impossible(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

fn is_key_read(world: &World) -> bool {
    world.node.ran.lock().unwrap().iter().any(|script| script.contains("exec head -c 65536"))
}

#[test]
fn everything_works_over_tls_as_in_clear() {
    for asks in [false, true] {
        let setting = Setting::new(asks, &Wish::default());
        let world = setting.world(if asks { "@tls.https.verify_incoming=true\n" } else { "" });
        let facts = probe(&world, "");
        assert_eq!(Consul.items(&facts)[0].standing, Standing::Ready, "{facts:#?}");
        assert_eq!(is_key_read(&world), asks, "a key is read only where it is asked for");
        assert_eq!(facts.own["api_name"], "server.dc1.consul");

        // A copy, read to its declared end, and back with one request.
        let plan = draft_with(&facts, "snapshot", None, &[], &table("")).unwrap();
        let cx = world.cx();
        let mut source = Consul.source(&cx, &plan.steps[0].args["source"]).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut source.next().unwrap().unwrap().body, &mut bytes).unwrap();
        assert!(bytes == vec![7; 300_000] && source.next().unwrap().is_none());
        let saved = manifest("snapshot", json!({"datacenter": "dc1", "version": "1.20.1", "verified": verified()}));
        let plan = draft_with(&facts, "snapshot", Some(&saved), &[], &table("")).unwrap();
        let deliver = plan.steps.iter().find(|step| step.id.as_str() == "deliver").unwrap();
        let mut sink = Consul.sink(&cx, &deliver.args["sink"]).unwrap();
        let file = serde_json::from_value(json!({
            "name": "state.snap", "origin": "x", "mode": null, "owner": null, "group": null, "plain_size": 300_000,
            "plain_sha256": null, "stored_name": "state.snap.age", "stored_size": 9, "stored_sha256": "",
        }));
        sink.put(&file.unwrap(), &mut &bytes[..]).unwrap();
        let asked = setting.agent.asked.lock().unwrap();
        let puts: Vec<_> = asked.iter().filter(|asked| asked.line.starts_with("PUT")).collect();
        assert!(puts.len() == 1 && puts[0].body == bytes && puts[0].token.as_deref() == Some("t0ken"));

        // Nothing of a key is in a plan, and the card's commands reach the agent.
        let text = serde_json::to_string(&plan.steps).unwrap();
        assert!(!text.contains("PRIVATE") && text.contains("agent-key.pem") == asks, "{text}");
        let item = Consul.items(&facts).remove(0);
        let card = format!("{:?}", Consul.recipe(&manifest("snapshot", item.facts)));
        let reach = format!("export CONSUL_HTTP_ADDR='{}' CONSUL_CACERT=", setting.agent.address);
        assert_eq!(card.matches(&reach).count(), 4, "{card}");
        assert!(card.contains("CONSUL_TLS_SERVER_NAME='server.dc1.consul'"), "{card}");
        assert_eq!(card.contains("CONSUL_CLIENT_KEY="), asks, "{card}");
        let told = crate::services::op("consul.ready/1").unwrap().tell(&plan.steps[0].args).unwrap();
        assert!(told.by_hand[0].starts_with("CONSUL_HTTP_ADDR='https://"), "{told:?}");
    }
}

#[test]
fn an_agent_that_is_not_the_expected_one_gets_no_word_and_no_token() {
    let other = Wish::ca("CA of somebody");
    let saved = manifest("snapshot", json!({"datacenter": "dc1", "version": "1.20.1", "verified": verified()}));
    let refuse = |setting: &Setting, exit: Exit, words: &[&str]| {
        let facts = probe(&setting.world(""), "");
        let why = why_not(&facts);
        assert!(words.iter().all(|word| why.contains(word)), "{why}");
        let failure = draft_with(&facts, "snapshot", Some(&saved), &[], &table("")).unwrap_err();
        assert_eq!(failure.exit, exit, "{failure:?}");
        assert!(!failure.hints.is_empty() || exit == Exit::Failed, "{failure:?}");
        assert_eq!(setting.agent.lines(), [""; 0], "it was told something");
    };
    let setting = Setting::new(false, &Wish::default());
    fs::write(setting.path("ca.pem"), other.pem()).unwrap();
    let ca = setting.path("ca.pem").display().to_string();
    let words = [ca.as_str(), "nothing trusted signed it (it names CN=CA of dc1 as its issuer)", "SHA-256"];
    refuse(&setting, Exit::HostKey, &words);
    let expired = Wish { days: (-9, -1), ..Wish::default() };
    refuse(&Setting::new(false, &expired), Exit::HostKey, &["it has expired", "valid until"]);
    let elsewhere = Wish { dns: &["server.dc2.consul"], ip: &[], ..Wish::default() };
    let words = ["it speaks for server.dc2.consul, not for server.dc1.consul"];
    refuse(&Setting::new(false, &elsewhere), Exit::HostKey, &words);
    let words = ["it wants a client certificate, and none was shown"];
    refuse(&Setting::new(true, &Wish::default()), Exit::Authentication, &words);
    let setting = Setting::new(false, &Wish::default());
    fs::remove_file(setting.path("ca.pem")).unwrap();
    refuse(&setting, Exit::Failed, &["Reading a certificate's file"]);

    // Another agent answers in clear there.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut setting = Setting::new(false, &Wish::default());
    setting.agent.address = format!("https://{}", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    let why = why_not(&probe(&setting.world(""), ""));
    assert!(why.contains("it speaks no TLS"), "{why}");
}

#[test]
fn an_operator_s_own_pair_and_name_are_used() {
    let setting = Setting::new(true, &Wish { dns: &["api.example"], ip: &[], ..Wish::default() });
    let ours = Wish { subject: "us", server: false, ..Wish::default() }.signed_by(Some(&setting.ca));
    let put = |name: &str, bytes: Vec<u8>| {
        fs::write(setting.path(name), bytes).unwrap();
        setting.path(name).display().to_string()
    };
    let (cert, key) = (put("us.pem", ours.pem()), put("us-key.pem", ours.key_pem()));
    let more = format!("api_name = 'api.example'\napi_cert = '{cert}'\napi_key = '{key}'");
    let facts = probe(&setting.world(""), &more);
    assert_eq!(Consul.items(&facts)[0].standing, Standing::Ready, "{facts:#?}");
    // A pair of two different things is told, not tried.
    let more = more.replace(&key, &setting.path("agent-key.pem").display().to_string());
    let why = why_not(&probe(&setting.world(""), &more));
    assert!(why.contains("cannot be used"), "{why}");
}

#[test]
fn certificates_in_a_directory_and_a_lone_certificate_are_enough() {
    let setting = Setting::new(false, &Wish::default());
    fs::create_dir(setting.path("cas")).unwrap();
    fs::write(setting.path("cas/one.pem"), Wish::ca("another").pem()).unwrap();
    fs::write(setting.path("cas/two.pem"), setting.ca.pem()).unwrap();
    let ready = |more: &str| Consul.items(&probe(&setting.world(more), "")).remove(0).standing;
    let dir = setting.path("cas").display().to_string();
    assert_eq!(ready(&format!("@tls.defaults.ca_file=\n@ca_path={dir}\n")), Standing::Ready);
    assert_eq!(ready("@tls.defaults.ca_file=\n"), Standing::Ready, "the certificate itself");
}
