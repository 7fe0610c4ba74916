//! Restores onto agents that are not as a blank machine's: another one, and such as cannot be stopped and started again.

use serde_json::Value;

use super::machine::Machine;
use super::netdata::{
    CACHE, LIB, METRICS, are_told, backup, backup_with_samples, configure, gather, gather_for, guid, left_by_lifeboat,
    run_of, samples, samples_again, start, start_anew, table,
};
use super::netdata_faults::one;
use super::story::Stage;
use crate::support::console::{Console, Ended};

const ITEMS: [&str; 3] = ["config", "identity", "metrics"];

fn claim(machine: &Machine, id: &str) {
    machine
        .exec(&format!(
            "install -d -o netdata -g netdata {LIB}/cloud.d && printf {id} >{LIB}/cloud.d/claimed_id && chown netdata: {LIB}/cloud.d/claimed_id"
        ))
        .ok();
}

fn claimed(machine: &Machine) -> String {
    machine.exec(&format!("cat {LIB}/cloud.d/claimed_id")).ok()
}

fn invocation(machine: &Machine) -> String {
    machine.exec("systemctl show --property=InvocationID --value netdata").ok()
}

/// The GUIDs that the database of names on a machine gives charts to, and those of agents it knows.
fn owners(machine: &Machine) -> (Vec<String>, Vec<String>) {
    let names = rusqlite::Connection::open_with_flags(
        machine.path(&format!("{CACHE}/netdata-meta.db")),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    let of = |table: &str| {
        let mut all = names.prepare(&format!("SELECT DISTINCT lower(hex(host_id)) FROM {table}")).unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    (of("chart"), of("host"))
}

/// Who the two agents are in the cloud.
const CLAIMS: [&str; 2] = ["c0000000-e57a-11f1-acf8-02fc00000001", "c0000000-e57a-11f1-acf8-02fc00000002"];

/// How often the agent failed in its own end, by systemd's own word.
fn bad_ends(machine: &Machine) -> usize {
    let told = machine.exec("journalctl --unit=netdata --output=cat --no-pager").ok();
    told.lines().filter(|line| line.starts_with("netdata.service: Failed with result")).count()
}

#[test]
fn samples_go_on_as_those_of_another_agent_while_their_own_runs() {
    let stage = Stage::set(&table);
    let Stage { console, old, spare } = &stage;
    for (machine, id) in [(old, CLAIMS[0]), (spare, CLAIMS[1])] {
        configure(machine);
        claim(machine, id);
    }
    let (agent, own) = (start(old), start(spare));
    assert_ne!(agent, own);
    old.exec(&format!("echo here >{LIB}/of-the-old; chown netdata: {LIB}/of-the-old")).ok();
    console.run(&["backup", "val-1/netdata/identity"]).expect(0);
    let (done, at, before) = backup_with_samples(console, old, &[]);
    done.expect(0);
    let runs = invocation(old);
    let was_seen = (0..6).any(|_| samples_come_and_go(&stage, &agent, &own, (at, &before)));
    assert!(was_seen, "the agent never ends well");
    // It was never away, and is who it was.
    assert_eq!((guid(old), invocation(old)), (agent.clone(), runs.clone()));

    // The library of the one, without what makes it that one.
    let identity = ["restore", "val-1/netdata/identity", "--to", "spare-1", "--set", "as=data"];
    console.run(&[&identity[..], &["--no-input"]].concat()).expect(15).says("overwrite=spare-1");
    let identity = [&identity[..], &["--confirm", "overwrite=spare-1", "--json"]].concat();
    let ended: Ended = console.run(&identity).expect(0);
    assert_eq!((guid(spare), claimed(spare)), (own.clone(), CLAIMS[1].to_owned()));
    assert_eq!(spare.exec(&format!("cat {LIB}/of-the-old")).ok(), "here\n");
    console.run(&["scan"]).expect(0);
    let run = run_of(&ended);
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
    assert!(!spare.path(&format!("{LIB}/of-the-old")).exists());
    assert_eq!((guid(spare), guid(old), invocation(old)), (own, agent, runs));
    assert_eq!(left_by_lifeboat(spare) + &left_by_lifeboat(old), "");
}

/// One agent's samples become those of another, and go again; `false` where the other failed in its own end meanwhile:
/// it loses what it held in memory then, so nothing can be said of its own samples.
fn samples_come_and_go(stage: &Stage, agent: &str, own: &str, (at, before): (u64, &[Vec<Value>])) -> bool {
    let Stage { console, spare, .. } = stage;
    // After a bad end it may stay silent over what it left.
    assert_eq!(start_anew(spare), own);
    let (at_own, bad) = (gather(spare), bad_ends(spare));
    let own_samples = samples(spare, at_own);
    if !are_told(&own_samples) {
        println!("the agent of spare-1 tells no samples yet: {own_samples:?}");
        return false;
    }
    assert_ne!(samples(spare, at), before, "two machines do not tell the same");

    let restore = ["restore", METRICS, "--to", "spare-1"];
    console.run(&restore).expect(1).says(agent).says(own).says("as=data");
    let data = [&restore[..], &["--set", "as=data"]].concat();
    let asked = console.run(&[&data[..], &["--no-input"]].concat()).expect(15).says("overwrite=spare-1");
    assert!(!asked.err.contains("fenced") && !asked.err.contains("unproved"), "{}", asked.err);
    let data = [&data[..], &["--confirm", "overwrite=spare-1", "--json"]].concat();
    let run = run_of(&console.run(&data).expect(0));
    assert_eq!((guid(spare), claimed(spare)), (own.to_owned(), CLAIMS[1].to_owned()));
    assert_eq!(samples_again(spare, at, before), before, "what the one told is told by the other");
    let bare = own.replace('-', "");
    assert_eq!(owners(spare), (vec![bare.clone()], vec![bare]), "nothing of who it was came along");
    let scan = console.run(&["scan"]).expect(0);
    assert!(!scan.out.contains("finding"), "{}", scan.out);
    console.run(&["list", METRICS]).expect(0).says("proven");
    // They stay its own over a start, and the next copy of it is one of its own.
    spare.exec("systemctl restart netdata").ok();
    assert_eq!((guid(spare), samples_again(spare, at, before)), (own.to_owned(), before.to_vec()));
    assert_eq!(left_by_lifeboat(spare), "");
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
    assert_eq!(left_by_lifeboat(spare), "");
    if bad_ends(spare) > bad {
        println!("the agent of spare-1 failed in its own end");
        return false;
    }
    assert_eq!((guid(spare), samples_again(spare, at_own, &own_samples)), (own.to_owned(), own_samples));
    assert_ne!(samples(spare, at), before, "its own history is back");
    true
}

/// Everything a refused restore could have touched: what stands beside the directories, their inodes, and the units.
fn stands(machine: &Machine) -> String {
    machine
        .exec(
            "systemctl show --property=ActiveState,InvocationID,UnitFileState,LoadState,DropInPaths netdata second
             stat -c '%i %U %a %n' /etc/netdata /var/lib/netdata /var/cache/netdata /etc/systemd/system
             ls -A /etc /var/lib /var/cache /etc/systemd/system /run/systemd/system /etc/netdata",
        )
        .ok()
        + &left_by_lifeboat(machine)
}

/// Every item's restore fails with 1 and these words, and nothing on the node is another than before.
fn is_refused(console: &Console, machine: &Machine, words: &[&str]) {
    let before = stands(machine);
    for item in ITEMS {
        let to = ["restore", &format!("val-1/netdata/{item}"), "--to", "val-1", "--confirm", "overwrite=val-1"];
        let ended = console.run(&to).expect(1);
        for word in words {
            assert!(ended.err.contains(word), "{item}: {word}: {}", ended.err);
        }
        assert_eq!(stands(machine), before, "{item}");
    }
    let runs = console.run(&["runs"]);
    assert!(!runs.out.contains("restore"), "no run was begun: {}", runs.out);
}

#[test]
fn an_agent_that_could_not_be_started_again_is_not_restored_and_nothing_is_touched() {
    let (console, machine) = one("");
    gather_for(&machine, 16);
    console.run(&["backup", "val-1/netdata/config", "val-1/netdata/identity"]).expect(0);
    backup(&console, &[]).expect(0);
    let agent = guid(&machine);

    // Masked while it runs, and while it does not.
    let masked = ["netdata.service on val-1 is masked", "systemctl unmask netdata.service"];
    machine.exec("systemctl mask --runtime --quiet netdata").ok();
    is_refused(&console, &machine, &masked);
    assert_eq!(guid(&machine), agent);
    machine.exec("systemctl stop netdata").ok();
    is_refused(&console, &machine, &masked);
    machine.exec("systemctl unmask --runtime --quiet netdata; systemctl start netdata").ok();
    assert_eq!(guid(&machine), agent);

    // The unit's file is gone, while it runs and while it does not.
    let missing = ["Netdata is not installed on val-1", "unit = \"NAME.service\""];
    let file = machine.exec("systemctl show --property=FragmentPath --value netdata").ok().trim().to_owned();
    // systemd would make one of the script for the old init.
    machine.exec(&format!("rm /etc/init.d/netdata; mv {file} /root/aside; systemctl daemon-reload")).ok();
    is_refused(&console, &machine, &missing);
    assert_eq!(guid(&machine), agent);
    machine.exec("systemctl stop netdata").ok();
    is_refused(&console, &machine, &missing);
    machine.exec(&format!("mv /root/aside {file}; systemctl daemon-reload; systemctl start netdata")).ok();
    assert_eq!(guid(&machine), agent);

    a_second_agent_is_named_and_left_alone(&console, &machine);
    for item in ITEMS {
        let to = ["restore", &format!("val-1/netdata/{item}"), "--to", "val-1", "--confirm", "overwrite=val-1"];
        console.run(&to).expect(0);
    }
    assert_eq!(guid(&machine), agent);
    assert_eq!(left_by_lifeboat(&machine), "");
}

/// One with directories of its own, beside the unit's and without it.
fn a_second_agent_is_named_and_left_alone(console: &Console, machine: &Machine) {
    machine
        .exec(
            "for d in lib cache log; do install -d -o netdata -g netdata /srv/second /srv/second/$d; done
             { sed 's/bind to = .*/bind to = 127.0.0.1:20001/' /etc/netdata/netdata.conf
               printf '[directories]\\n'; for d in lib cache log; do printf '\\t%s = /srv/second/%s\\n' $d $d; done
             } >/srv/second/netdata.conf
             systemd-run --quiet --unit=second --uid=netdata /usr/sbin/netdata -D -c /srv/second/netdata.conf -P /tmp/second.pid
             i=0; until curl -sf http://127.0.0.1:20001/api/v1/info >/dev/null; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.2; done",
        )
        .ok();
    let pid = machine.exec("systemctl show --property=MainPID --value second").ok();
    let told = format!("Netdata runs on val-1 as pid {} outside netdata.service", pid.trim());
    console.run(&["scan", "val-1"]).expect(0).says(&format!("second Netdata runs as pid {}", pid.trim()));
    is_refused(console, machine, &[&told, "Stop that process"]);
    machine.exec("systemctl stop netdata").ok();
    is_refused(console, machine, &[&told, "Stop that process"]);
    machine.exec("curl -sf http://127.0.0.1:20001/api/v1/info >/dev/null && systemctl stop second").ok();
    start(machine);
}

#[test]
fn an_agent_that_is_not_the_one_on_its_disk_is_named_and_not_stopped() {
    let (console, machine) = one("");
    gather_for(&machine, 16);
    let agent = guid(&machine);
    backup(&console, &[]).expect(0);
    console.run(&["backup", "val-1/netdata/config"]).expect(0);
    let runs = invocation(&machine);
    let saved = console.run(&["list"]).expect(0).out;
    let (file, other) = (format!("{LIB}/registry/netdata.public.unique.id"), "5b1c7a02-e579-11f1-9c1e-02fc00000002");
    let refuses = |why: &str| {
        for item in ["identity", "metrics"] {
            console.run(&["backup", &format!("val-1/netdata/{item}")]).expect(7).says(why);
        }
        let confirm = ["--to", "val-1", "--confirm", "overwrite=val-1"];
        for item in ["config", "metrics"] {
            let place = format!("val-1/netdata/{item}");
            console
                .run(&[&["restore", &place][..], &confirm].concat())
                .expect(1)
                .says(why)
                .says("it would be another one");
        }
        assert_eq!((invocation(&machine), guid(&machine)), (runs.clone(), agent.clone()), "nothing was stopped");
        assert_eq!(console.run(&["list"]).expect(0).out, saved, "and nothing saved");
        assert_eq!(left_by_lifeboat(&machine), "");
    };
    machine.exec(&format!("cp -a {file} /root/aside; printf {other} >{file}")).ok();
    let told = format!("runs as {agent}, but {other} lies on its disk");
    console.run(&["scan", "val-1"]).says(&told);
    let scan = console.run(&["--json", "scan", "val-1"]).documents();
    let found = scan.iter().find(|one| one["service"] == "val-1/netdata").unwrap();
    let identity = found["facts"]["identities"].as_array().unwrap().iter().find(|one| one["kind"] == "netdata-guid");
    assert_eq!(identity.unwrap()["value"], agent.as_str(), "it is who it says it is");
    refuses(&told);
    machine.exec(&format!("rm {file}")).ok();
    refuses("no machine GUID");
    // Its configuration can be saved as ever, and all of it once the file is as it was.
    console.run(&["backup", "val-1/netdata/config"]).expect(0);
    machine.exec(&format!("cp -a /root/aside {file}")).ok();
    console.run(&["backup", "val-1/netdata/identity"]).expect(0);
    backup(&console, &[]).expect(0);
    assert_eq!(guid(&machine), agent);
}
