//! Netdata on real machines: Debian's own agent under its own unit.

use std::time::Duration;

use serde_json::Value;

use super::host::wait_for;
use super::machine::Machine;
use super::story::Stage;
use crate::support::console::{Console, Ended, files_below};

pub const METRICS: &str = "val-1/netdata/metrics";
pub const CACHE: &str = "/var/cache/netdata";
pub const LIB: &str = "/var/lib/netdata";

/// Three tiers whose points are 1, 2 and 4 seconds long, so that each holds samples within a minute; few collectors.
pub const CONF: &str = "[global]
\trun as user = netdata
[db]
\tstorage tiers = 3
\tdbengine tier 1 update every iterations = 2
\tdbengine tier 2 update every iterations = 2
[web]
\tbind to = 127.0.0.1
[statsd]
\tenabled = no
[plugins]
\tapps = no
\tcgroups = no
\ttc = no
\tpython.d = no
\tcharts.d = no
\tgo.d = no
\tperf = no
\tslabinfo = no
\tioping = no
\tnfacct = no
\tfreeipmi = no
";

pub fn table(machine: &Machine) -> String {
    format!("[hosts.{}.services.netdata]\n", machine.name())
}

pub fn configure(machine: &Machine) {
    machine.write_as("root", "/etc/netdata/netdata.conf", CONF, 0o644);
    machine
        .exec(&format!("printf '[stream]\\n\\tenabled = no\\n\\tapi key = {STREAM_KEY}\\n' >/etc/netdata/stream.conf"))
        .ok();
    machine.write_as("netdata", "/etc/netdata/claim.conf", &format!("[global]\n\ttoken = {CLAIM_TOKEN}\n"), 0o640);
}

/// Secrets of the configuration, which may be seen nowhere.
const STREAM_KEY: &str = "5ecre7-5tream-key-0000";
const CLAIM_TOKEN: &str = "5ecre7-c1aim-token-0000";

/// No byte of the console's directories or of its vault holds a secret.
fn no_secret_lies_about(console: &Console) {
    for place in ["vault", "data", "config", "home"] {
        for file in files_below(&console.path(place)) {
            let bytes = std::fs::read(&file).unwrap();
            for secret in [STREAM_KEY, CLAIM_TOKEN] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "a secret lies in {}", file.display());
            }
        }
    }
}

/// What the agent answers to a question, once it answers.
pub fn ask(machine: &Machine, question: &str) -> Value {
    ask_until(machine, question, |_, _| None)
}

/// Asks until the agent answers, or says by another status, with its text, what stands for an answer.
fn ask_until(machine: &Machine, question: &str, stands_for: impl Fn(&str, &str) -> Option<Value>) -> Value {
    let url = format!("http://127.0.0.1:19999/api/v1/{question}");
    let answer = wait_for(Duration::from_secs(40), || {
        let output = machine.exec(&format!("curl -s -m 10 -w '\\n%{{http_code}}' '{url}'"));
        let (text, status) = output.stdout.rsplit_once('\n')?;
        if status == "200" { Some(serde_json::from_str(text).unwrap()) } else { stands_for(status, text) }
    });
    answer.unwrap_or_else(|| {
        let told = machine.exec(&format!(
            "curl -sS -i -m 10 '{url}' 2>&1; systemctl status netdata; journalctl -u netdata --no-pager -n 30"
        ));
        panic!("{} does not answer {question}\n{}{}", machine.name(), told.stdout, told.stderr)
    })
}

pub fn guid(machine: &Machine) -> String {
    ask(machine, "info")["uid"].as_str().unwrap().to_owned()
}

pub fn start(machine: &Machine) -> String {
    machine.exec("systemctl start netdata").ok();
    guid(machine)
}

/// Starts the agent with no samples of before.
pub fn start_anew(machine: &Machine) -> String {
    machine.exec(&format!("systemctl stop netdata; rm -rf {CACHE}/*; systemctl start netdata")).ok();
    guid(machine)
}

pub fn is_running(machine: &Machine) -> bool {
    machine.exec("systemctl is-active --quiet netdata").success()
}

pub fn now(machine: &Machine) -> u64 {
    machine.exec("date +%s").ok().trim().parse().unwrap()
}

/// Values of one point of a tier, asked for as anybody would; none where the agent says that it has none of that time.
fn sample(machine: &Machine, tier: u8, before: u64) -> Vec<Value> {
    let every = 1 << tier;
    let before = before / every * every;
    let question = format!(
        "data?chart=system.uptime&after={}&before={before}&points=1&group=average&format=json&tier={tier}&options=jsonwrap,selected-tier",
        before - every
    );
    let answer = ask_until(machine, &question, |status, text| {
        (status == "404" && text.starts_with("No metrics where matched")).then_some(Value::Null)
    });
    answer["result"]["data"][0].as_array().cloned().unwrap_or_default().into_iter().skip(1).collect()
}

/// Samples of every tier at three times before `at`.
pub fn samples(machine: &Machine, at: u64) -> Vec<Vec<Value>> {
    (0..3).flat_map(|tier| [25, 18, 12].map(|ago| sample(machine, tier, at - ago))).collect()
}

/// Whether each of them has a value: nothing would be like nothing, too.
pub fn are_told(samples: &[Vec<Value>]) -> bool {
    samples.iter().all(|values| !values.is_empty() && values.iter().all(Value::is_number))
}

/// The same samples of an agent that just started, as soon as they are these; what it tells at last where they are never.
/// The first question after a page that is not in memory is answered with nothing (1.37.1), and the next one rightly.
pub fn samples_again(machine: &Machine, at: u64, before: &[Vec<Value>]) -> Vec<Vec<Value>> {
    let found = wait_for(Duration::from_secs(30), || Some(samples(machine, at)).filter(|found| found == before));
    found.unwrap_or_else(|| samples(machine, at))
}

/// Waits until the agent has half a minute of history, so that each tier tells [`samples`]; gives its clock.
pub fn gather(machine: &Machine) -> u64 {
    gather_for(machine, 34)
}

/// Waits until the agent has so many seconds of history; a copy's own figures need 11 of the first tier.
pub fn gather_for(machine: &Machine, seconds: u64) -> u64 {
    let at = wait_for(Duration::from_secs(90), || {
        std::thread::sleep(Duration::from_millis(500));
        let first = ask(machine, "chart?chart=system.uptime")["first_entry"].as_u64()?;
        Some(now(machine)).filter(|now| first > 0 && *now > first + seconds)
    });
    at.expect("the machine's clock goes on")
}

/// Everything of Lifeboat's that lies on a machine besides what was kept on purpose.
pub fn left_by_lifeboat(machine: &Machine) -> String {
    machine
        .exec(
            "ls -A /var/lib/lifeboat/runs /var/lib/lifeboat/locks /var/lib/lifeboat/hold 2>/dev/null | grep -v -e '^/' -e '^$'
             ls -d /etc/systemd/system/*lifeboat* /etc/systemd/system/*.d/*lifeboat* 2>/dev/null
             systemctl list-units --all --no-legend 'lifeboat*'
             find /var/cache /var/lib /etc -maxdepth 1 -name '*.lifeboat-*' ! -name '*.kept'
             :",
        )
        .ok()
}

/// Whether something says that the agent failed in its own end: by an exit code or by a signal, as systemd calls it, and
/// not by having been ended. Now and then it does, most on a busy machine (1.37.1 crashes in its own shutdown).
pub fn ended_badly(said: &str) -> bool {
    ["exit-code", "signal", "core-dump"].iter().any(|how| said.contains(&format!("did not end by itself ({how})")))
}

/// One backup of the samples; none where the agent itself ended with a failure: such a copy is refused, and the operator
/// is told that he may try again.
pub fn try_backup(console: &Console, options: &[&str]) -> Option<Ended> {
    let ended = console.run(&[&["backup", METRICS], options].concat());
    if ended.code != Some(1) || !ended_badly(&ended.err) {
        return Some(ended);
    }
    println!("{}", ended.err);
    let ended = ended.says("netdata.service runs again, and nothing was saved");
    drop(ended.says("it does no harm to try again: lifeboat backup "));
    None
}

/// A backup of the samples, tried again where the agent failed in its own end, once it has a history of its own again.
pub fn backup(console: &Console, options: &[&str]) -> Ended {
    for _ in 0..4 {
        if let Some(ended) = try_backup(console, options) {
            return ended;
        }
        std::thread::sleep(Duration::from_secs(30));
    }
    panic!("the agent never ends well");
}

/// A backup of the samples, with the clock and the samples of right before it. An agent that fails in its own end loses
/// what it held in memory, so then it is given time for new ones.
pub fn backup_with_samples(console: &Console, machine: &Machine, options: &[&str]) -> (Ended, u64, Vec<Vec<Value>>) {
    for _ in 0..6 {
        let at = gather(machine);
        let before = samples(machine, at);
        if !are_told(&before) {
            std::thread::sleep(Duration::from_secs(10));
            continue;
        }
        if let Some(ended) = try_backup(console, options) {
            return (ended, at, before);
        }
        std::thread::sleep(Duration::from_secs(34));
    }
    panic!("the agent never ends well, or tells no samples");
}

/// What the newest snapshot's manifest says.
pub fn facts(console: &Console, item: &str) -> Value {
    let shown = console.run(&["--json", "show", item]).expect(0);
    let found = shown.documents().into_iter().find_map(|document| {
        let text = document.to_string();
        text.contains("\"facts\"").then_some(document)
    });
    found.unwrap_or_else(|| panic!("no manifest in {}", shown.out))
}

pub fn find<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|inner| find(inner, key))),
        Value::Array(all) => all.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

#[test]
fn an_agent_is_rebuilt_on_a_blank_machine_with_its_samples() {
    let Stage { console, old, spare } = Stage::set(&table);
    configure(&old);
    let agent = start(&old);
    gather(&old);

    console.run(&["scan", "val-1"]).expect(0).says(&agent).says("Debian package").says(METRICS);
    let planned = console.run(&["backup", METRICS, "--plan"]).expect(0);
    planned.says("expect: Netdata will be down for about");
    assert!(is_running(&old), "planning stops nothing");
    let invocation = "systemctl show --property=InvocationID --value netdata";
    let first = old.exec(invocation).ok();
    console.run(&["backup", "val-1/netdata/config", "val-1/netdata/identity"]).expect(0);
    assert_eq!(old.exec(invocation).ok(), first, "the live items restart nothing");
    let (done, at, before) = backup_with_samples(&console, &old, &[]);
    let done = done.expect(0).says("was down for");
    println!("{}", done.out);
    assert_ne!(old.exec(invocation).ok(), first);
    assert!(is_running(&old));
    assert_eq!(left_by_lifeboat(&old), "");
    let manifest = facts(&console, METRICS);
    let downtime = find(&manifest, "downtime").expect("the downtime stands in the facts").clone();
    println!("downtime {downtime}");
    assert!(downtime["measured_ms"].as_u64().is_some_and(|ms| ms > 0 && ms < 20_000), "{downtime}");
    let figures = find(&manifest, "figures").expect("figures stand in the facts");
    for tier in 0..3 {
        let of_tier = figures["samples"].as_array().unwrap().iter().filter(|sample| sample["tier"] == tier).count();
        assert!(of_tier >= 2, "tier {tier}: {figures}");
    }
    let names: Vec<&str> = figures["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"system.cpu") && names.len() > 20, "the charts of before are noted: {names:?}");
    console.run(&["show", METRICS]).expect(0).says("  down        ").says("estimated");
    for call in [&["scan", "val-1"][..], &["show", "val-1/netdata/config"], &["verify"]] {
        let said = console.run(call).expect(0);
        assert!(!format!("{}{}{}", done.out, said.out, said.err).contains("5ecre7"), "{said:?}");
    }
    no_secret_lies_about(&console);

    assert!(!is_running(&spare), "a node installed without starting it");
    assert_eq!(spare.exec(&format!("ls -A {LIB} {CACHE}")).ok(), format!("{CACHE}:\n\n{LIB}:\n"), "it is blank");
    a_twin_is_fenced_or_stops_everything(&console, &old, &spare, &agent);
    old.destroy();
    console.run(&["restore", METRICS, "--to", "spare-1"]).expect(1).says("Restore the item 'identity' first");
    let declared = ["--confirm", "fenced-val-1=val-1"];
    console
        .run(&["restore", "val-1/netdata/identity", "--to", "spare-1", "--no-input"])
        .expect(15)
        .says("fenced-val-1");
    // A node that did not run ends running, and a rollback leaves it as it was.
    let restore = [&["restore", "val-1/netdata/identity", "--to", "spare-1", "--json"][..], &declared].concat();
    let run = run_of(&console.run(&restore).expect(0));
    assert_eq!(guid(&spare), agent);
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
    assert!(!is_running(&spare));
    assert_eq!(spare.exec(&format!("ls -A {LIB}")).ok(), "");
    assert_eq!(left_by_lifeboat(&spare), "");
    console.run(&restore).expect(0);
    assert_eq!(guid(&spare), agent);
    let config = ["restore", "val-1/netdata/config", "--to", "spare-1"];
    console.run(&[&config[..], &["--no-input"]].concat()).expect(15).says("overwrite=spare-1");
    console.run(&[&config[..], &["--confirm", "overwrite=spare-1"]].concat()).expect(0);
    assert_eq!(spare.exec("cat /etc/netdata/netdata.conf").ok(), CONF);
    let own = sample_or_none(&spare, at);
    assert!(own.is_empty(), "the blank machine has no samples of before: {own:?}");
    let overwrite = ["--confirm", "overwrite=spare-1"];
    // Whole directories are swapped: a pair and a log that the copy does not have are gone with the rest, and kept.
    let strange = [format!("{CACHE}/dbengine/datafile-1-0000000099.ndf"), format!("{CACHE}/x.db-wal")];
    spare.exec(&format!("for f in {}; do echo strange >$f; chown netdata: $f; done", strange.join(" "))).ok();
    console.run(&[&["restore", METRICS, "--to", "spare-1"][..], &overwrite].concat()).expect(0);
    assert_eq!(guid(&spare), agent);
    for file in &strange {
        assert!(!spare.path(file).exists(), "{file} survived");
        let inside = file.strip_prefix(CACHE).unwrap();
        let kept = format!("cat \"$(find /var/cache -maxdepth 1 -name '*.lifeboat-*.kept')\"{inside}");
        assert_eq!(spare.exec(&kept).ok(), "strange\n", "{file} is kept aside");
    }
    assert_eq!(samples_again(&spare, at, &before), before);
    assert_eq!(left_by_lifeboat(&spare), "");
    console.run(&["list"]).expect(0).says("proven");

    // Again, and back: the second restore replaces the first, and its rollback brings the first one back.
    let marker = format!("{CACHE}/of-the-first");
    spare.exec(&format!("echo here >{marker}; chown netdata: {marker}")).ok();
    let again = console.run(&[&["restore", METRICS, "--to", "spare-1", "--json"][..], &overwrite].concat()).expect(0);
    assert!(!spare.path(&marker).exists(), "the second restore replaces the first");
    assert_eq!(samples_again(&spare, at, &before), before);
    let run = run_of(&again);
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
    assert_eq!(spare.exec(&format!("cat {marker}")).ok(), "here\n", "the first is back");
    assert_eq!(samples_again(&spare, at, &before), before);
    assert!(is_running(&spare));
    assert_eq!(left_by_lifeboat(&spare), "");
}

/// While the agent runs on its own machine no other becomes it, unless its own is stopped for good first.
fn a_twin_is_fenced_or_stops_everything(console: &Console, old: &Machine, spare: &Machine, agent: &str) {
    let restore = ["restore", "val-1/netdata/identity", "--to", "spare-1"];
    for confirm in [&[][..], &["--confirm", "fenced-val-1=val-1"], &["--confirm", "stop-val-1=val-1"]] {
        console.run(&[&restore, confirm].concat()).expect(17).says(agent).says("val-1").says("fence=stop");
    }
    assert!(is_running(old) && !is_running(spare));
    assert_eq!(spare.exec(&format!("ls -A {LIB}")).ok() + &left_by_lifeboat(spare) + &left_by_lifeboat(old), "");
    let fence = ["--set", "fence=stop", "--confirm", "stop-val-1=val-1", "--json"];
    let run = run_of(&console.run(&[&restore[..], &fence].concat()).expect(0));
    assert_eq!(guid(spare), agent);
    old.exec("systemctl start netdata; :").ok();
    assert!(!is_running(old), "the fence holds");
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
    assert_eq!(spare.exec(&format!("ls -A {LIB}")).ok(), "");
    assert!(!is_running(spare));
    // What the agent wrote while it ran here for a moment goes, so that the machine is blank again.
    spare.exec(&format!("rm -rf {CACHE}/*")).ok();
}

fn sample_or_none(machine: &Machine, at: u64) -> Vec<Value> {
    let url = format!(
        "http://127.0.0.1:19999/api/v1/data?chart=system.uptime&after={}&before={}&points=1&format=json",
        at - 20,
        at - 19
    );
    let output = machine.exec(&format!("curl -s '{url}'"));
    let answer: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    let row = answer["data"][0].as_array().cloned().unwrap_or_default();
    row.into_iter().skip(1).filter(|value| !value.is_null()).collect()
}

/// The run an `--json` call was.
pub fn run_of(ended: &Ended) -> String {
    let found = ended.documents().into_iter().find_map(|document| document["run"].as_str().map(str::to_owned));
    found.unwrap_or_else(|| panic!("no run in {}", ended.out))
}
