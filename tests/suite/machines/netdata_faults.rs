//! What goes wrong while an agent is stopped for a copy, and around a restore of one.

use std::time::Duration;

use super::faults::nothing_staged;
use super::fleet::Fleet;
use super::host::{host, wait_for};
use super::machine::Machine;
use super::netdata::{
    CACHE, LIB, METRICS, ask, backup, configure, ended_badly, facts, find, gather, guid, is_running, left_by_lifeboat,
    run_of, start, table,
};
use super::story::{Stage, head, host_table};
use crate::support::console::{Console, Ended};

/// One machine with a running agent, and a console that knows it; `settings` stand in the service's table.
pub fn one(settings: &str) -> (Console, Machine) {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    let console = Console::new();
    let recipient = console.keygen();
    let services = format!("{}{settings}", table(&machine));
    console.write_inventory(&(head(&console, &recipient) + &host_table(fleet, &machine, "ops", &services)));
    console.run(&["init"]).expect(0);
    console.run(&["enroll", "val-1", "--fingerprint", &machine.host_key_fingerprint()]).expect(0);
    configure(&machine);
    start(&machine);
    (console, machine)
}

/// Changes the agent's unit by a drop-in.
pub fn drop_in(machine: &Machine, text: &str) {
    machine
        .exec(&format!(
            "mkdir -p /etc/systemd/system/netdata.service.d
             printf '[Service]\\n{text}\\n' >/etc/systemd/system/netdata.service.d/10-test.conf
             systemctl daemon-reload"
        ))
        .ok();
}

fn invocation(machine: &Machine) -> String {
    machine.exec("systemctl show --property=InvocationID --value netdata").ok()
}

/// Starts a backup of the metrics and waits until the agent is being stopped for it.
fn stopping(console: &Console, machine: &Machine, guard: &str) -> std::process::Child {
    let child = console.start(&["backup", METRICS, "--set", guard]);
    let state = "systemctl show --property=ActiveState --value netdata";
    let seen = wait_for(Duration::from_mins(1), || (machine.exec(state).ok() == "deactivating\n").then_some(()));
    assert!(seen.is_some(), "the agent was never stopped");
    child
}

/// Starts a backup that sends all while the agent is stopped, over a link that must be slow, and waits until it does; once
/// more where the agent failed in its own end.
fn sending(console: &Console, machine: &Machine) -> std::process::Child {
    // The script that stopped the agent would start it itself if it were ended; it is over once everything is being sent.
    let sends = "ls /var/lib/lifeboat/runs/*/still/noted && grep -qx tar /proc/[0-9]*/comm";
    for _ in 0..6 {
        let mut child = console.start(&["backup", METRICS, "--set", "guard=10", "--set", "copy=plain"]);
        let is_sending = wait_for(Duration::from_mins(4), || {
            let is_over = child.try_wait().unwrap().map(|_| false);
            is_over.or_else(|| machine.exec(sends).success().then_some(true))
        });
        if is_sending == Some(true) {
            return child;
        }
        let told = machine.exec("ls -l /var/lib/lifeboat/runs/*/still; ps -e").stdout;
        child.kill().unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        assert!(is_sending.is_some() && ended_badly(&said), "nothing was ever sent\n{said}{told}");
    }
    panic!("the agent never ends well");
}

fn runs_again(machine: &Machine, within: Duration) {
    let began = std::time::Instant::now();
    let up = wait_for(within, || is_running(machine).then_some(()));
    println!("{} runs again after {:.1?}", machine.name(), began.elapsed());
    let told = || {
        machine.exec("systemctl status netdata; ls /var/lib/lifeboat/hold /var/lib/lifeboat/runs/*; cat /var/lib/lifeboat/runs/*/fired.log; ps ax -o pid,ppid,pgid,stat,args | tail -n 40").stdout
    };
    assert!(up.is_some(), "the agent does not run again after {within:?}\n{}", told());
    assert!(!guid(machine).is_empty());
}

fn nothing_saved(console: &Console) {
    let listed = console.run(&["list"]);
    assert!(!listed.out.contains(METRICS), "{}", listed.out);
}

/// The same once the console ended by itself, or its run was taken up: nothing half is left in the vault either.
fn nothing_left(console: &Console) {
    nothing_saved(console);
    nothing_staged(&console.path("vault"));
}

/// The one run that lies on the node.
fn run_on(machine: &Machine) -> String {
    machine.exec("ls /var/lib/lifeboat/runs").ok().trim().to_owned()
}

fn finish_and_try_again(console: &Console, machine: &Machine, run: &str) {
    console.run(&["resume", run, "--roll-back"]).expect(0);
    nothing_left(console);
    assert_eq!(left_by_lifeboat(machine), "");
    runs_again(machine, Duration::from_secs(5));
    backup(console, &[]).expect(0);
    nothing_staged(&console.path("vault"));
    assert_eq!(left_by_lifeboat(machine), "");
}

#[test]
fn a_console_killed_in_the_stop_window_leaves_a_running_agent() {
    let (console, machine) = one("");
    drop_in(&machine, "ExecStop=/bin/sleep 4");
    let mut child = stopping(&console, &machine, "guard=10");
    child.kill().unwrap();
    child.wait().unwrap();
    runs_again(&machine, Duration::from_secs(10));
    nothing_saved(&console);
    let run = run_on(&machine);
    let fired = format!("grep -q 'all done' /var/lib/lifeboat/runs/{run}/fired.log");
    assert!(wait_for(Duration::from_secs(30), || machine.exec(&fired).success().then_some(())).is_some());
    assert!(is_running(&machine));
    assert_eq!(machine.exec("ls -A /var/cache | grep lifeboat; :").ok(), "", "the guard removes the copy beside");
    finish_and_try_again(&console, &machine, &run);
}

/// Ends the console, and on the node whatever works for it: from here on there is the guard alone.
fn kill_all_but_the_guard(mut console: std::process::Child, machine: &Machine) {
    console.kill().unwrap();
    console.wait().unwrap();
    machine
        .exec("for h in /var/lib/lifeboat/runs/*/holder; do [ ! -s $h ] || kill -9 $(cat $h) 2>/dev/null; done; :")
        .ok();
}

#[test]
fn the_guard_alone_starts_the_agent_again() {
    let (console, machine) = one("");
    let fired = |run: &str| {
        let done = format!("grep -q 'all done' /var/lib/lifeboat/runs/{run}/fired.log");
        assert!(wait_for(Duration::from_secs(30), || machine.exec(&done).success().then_some(())).is_some());
    };
    machine.limit_rate(Some(800));
    let child = sending(&console, &machine);
    assert!(!is_running(&machine), "the agent runs while it is copied");
    kill_all_but_the_guard(child, &machine);
    assert!(!is_running(&machine), "nobody but the guard starts it");
    machine.limit_rate(None);
    runs_again(&machine, Duration::from_secs(20));
    let run = run_on(&machine);
    fired(&run);
    nothing_saved(&console);
    finish_and_try_again(&console, &machine, &run);

    // The short way's own script starts the agent by itself, unless it is killed, too.
    drop_in(&machine, "ExecStop=/bin/sleep 4");
    kill_all_but_the_guard(stopping(&console, &machine, "guard=10"), &machine);
    runs_again(&machine, Duration::from_secs(25));
    let run = run_on(&machine);
    fired(&run);
    console.run(&["resume", &run, "--roll-back"]).expect(0);
    assert_eq!(left_by_lifeboat(&machine), "");
    assert_eq!(machine.exec("ls -A /var/cache | grep lifeboat; :").ok(), "");
}

/// Where every region of an archive's members begins: its header, its first bytes, its middle and its end.
fn places_in(archive: &[u8]) -> Vec<(String, usize)> {
    let mut places = Vec::new();
    let mut members = tar::Archive::new(archive);
    for entry in members.entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let wanted =
            ["datafile-1-0000000001.ndf", "journalfile-1-0000000001.njf", "netdata-meta.db", "context-meta.db"];
        let number = |at: u64| usize::try_from(at).unwrap();
        let (from, size) = (number(entry.raw_file_position()), number(entry.size()));
        if !wanted.iter().any(|end| name.ends_with(end)) || size < 100 || name.contains("tier") {
            continue;
        }
        let header = number(entry.raw_header_position());
        let spots = [
            ("header", header + 20),
            ("begin", from + 3),
            ("second block", from + 4096 + 10),
            ("middle", from + size / 2),
            ("end", from + size - 1),
        ];
        places.extend(
            spots.iter().filter(|(_, at)| *at < from + size).map(|(what, at)| (format!("{name}, {what}"), *at)),
        );
    }
    places.push(("the end of the archive".to_owned(), archive.len() - 700));
    places
}

#[test]
fn an_agent_s_own_directories_are_saved_and_no_byte_of_them_changes_unseen() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    let console = Console::new();
    // In clear, so that what is flipped is the archive itself.
    let head =
        format!("version = 1\n[vault]\npath = \"{}\"\nallow_plaintext = true\n", console.path("vault").display());
    console.write_inventory(&(head + &host_table(fleet, &machine, "ops", &table(&machine))));
    console.run(&["init"]).expect(0);
    console.run(&["enroll", "val-1", "--fingerprint", &machine.host_key_fingerprint()]).expect(0);
    configure(&machine);
    // Moved by its configuration; the file is edited while it runs, and the agent knows nothing of that yet.
    machine.exec("install -d -o netdata -g netdata /srv/nd /srv/nd/cache /srv/nd/lib /srv/nd/other").ok();
    drop_in(&machine, "ReadWritePaths=/srv/nd");
    machine
        .exec("printf '[directories]\\n\\tcache = /srv/nd/cache\\n\\tlib = /srv/nd/lib\\n' >>/etc/netdata/netdata.conf")
        .ok();
    let agent = start(&machine);
    machine.exec("sed -i 's,/srv/nd/cache,/srv/nd/other,' /etc/netdata/netdata.conf; sleep 15").ok();
    let scan = console.run(&["--json", "scan", "val-1"]).expect(0).documents();
    let facts_of = &scan.iter().find(|one| one["service"] == "val-1/netdata").unwrap()["facts"];
    for (name, path) in [("cache", "/srv/nd/cache"), ("lib", "/srv/nd/lib"), ("config", "/etc/netdata")] {
        assert_eq!(facts_of["own"]["dirs"][name]["path"], path, "{facts_of:#}");
    }
    assert_eq!(facts_of["own"]["dirs"]["cache"]["from"], "running agent");
    let own = &facts_of["own"];
    for dir in ["config", "lib", "cache"] {
        let seen = |what: &str| own["seen"][dir][what].as_u64().unwrap();
        assert!(seen("size") > 0 && seen("free") > seen("size"), "{own:#}");
    }
    assert_eq!((&own["guid"], &own["db"]["mode"]), (&agent.as_str().into(), &"dbengine".into()));
    assert_eq!(own["db"]["limits"].as_array().map(Vec::len), Some(3), "{own:#}");
    assert!(own["claimed_id"].is_null() && own["streams_to"].is_null() && own["children"] == 0, "{own:#}");
    assert_eq!((&facts_of["variant"], &facts_of["version"]), (&"Debian package".into(), &"v1.37.1".into()));
    machine.exec("sed -i 's,/srv/nd/other,/srv/nd/cache,' /etc/netdata/netdata.conf").ok();
    backup(&console, &[]).expect(0);
    assert_eq!(find(&facts(&console, METRICS), "facts").unwrap()["path"], "/srv/nd/cache");
    assert_eq!(guid(&machine), agent);

    let snapshot = super::cards::snapshot_dir(&console, METRICS);
    let file = snapshot.join("metrics.tar");
    let sound = std::fs::read(&file).unwrap();
    let places = places_in(&sound);
    assert!(places.len() > 12, "{places:?}");
    for (what, at) in places {
        let mut flipped = sound.clone();
        flipped[at] ^= 0x20;
        std::fs::write(&file, &flipped).unwrap();
        let ended = console.run(&["--read-only", "verify", METRICS]);
        assert_eq!(ended.code, Some(14), "{what} at {at}: {ended:?}");
        assert!(ended.out.contains("metrics.tar"), "{what}: the file is not named: {}", ended.out);
    }
    std::fs::write(&file, &sound).unwrap();
    console.run(&["verify", METRICS]).expect(0);

    // An empty directory in the place of the cache is a finding, and never a backup; the agent is left alone.
    let before = invocation(&machine);
    machine.exec("mv /srv/nd/cache /srv/nd/aside && install -d -o netdata -g netdata /srv/nd/cache").ok();
    console.run(&["backup", METRICS]).expect(7).says("no dbengine directory");
    machine.exec("rmdir /srv/nd/cache && mv /srv/nd/aside /srv/nd/cache").ok();
    // An agent whose unit nobody knows could not be started again.
    let inventory = std::fs::read_to_string(console.path("config/inventory.toml")).unwrap();
    console.write_inventory(&format!("{}unit = \"gone.service\"\n", inventory.trim_end().to_owned() + "\n"));
    console.run(&["backup", METRICS]).expect(7).says("gone.service");
    console.write_inventory(&inventory);
    assert_eq!(invocation(&machine), before, "all of this stops nothing");
    assert_eq!(left_by_lifeboat(&machine), "");
}

#[test]
fn a_pulled_cable_in_the_stop_window_leaves_a_running_agent() {
    let (console, machine) = one("");
    drop_in(&machine, "ExecStop=/bin/sleep 4");
    let mut child = stopping(&console, &machine, "guard=10");
    machine.link_down();
    runs_again(&machine, Duration::from_secs(10));
    let run = run_on(&machine);
    let fired = format!("grep -q 'all done' /var/lib/lifeboat/runs/{run}/fired.log");
    assert!(wait_for(Duration::from_secs(40), || machine.exec(&fired).success().then_some(())).is_some());
    assert!(is_running(&machine));
    assert_eq!(machine.exec("ls -A /var/cache | grep lifeboat; :").ok(), "");
    machine.link_up();
    let ended = wait_for(Duration::from_mins(4), || child.try_wait().unwrap());
    assert_ne!(ended.expect("the console ends").code(), Some(0));
    nothing_saved(&console);
    if run_on(&machine).is_empty() {
        nothing_left(&console);
        assert_eq!(left_by_lifeboat(&machine), "");
    } else {
        finish_and_try_again(&console, &machine, &run);
    }
}

#[test]
fn a_stop_that_hangs_or_is_forced_is_no_backup_and_the_agent_runs_again() {
    let (console, machine) = one("stop_within = 5\n");
    drop_in(&machine, "ExecStop=/bin/sleep 600\\nTimeoutStopSec=infinity");
    console.run(&["backup", METRICS]).expect(1).says("did not stop within 5 seconds").says("Everything is as it was");
    runs_again(&machine, Duration::from_secs(5));
    nothing_left(&console);
    assert_eq!(left_by_lifeboat(&machine), "");

    // The same with nobody there to give up.
    let mut child = stopping(&console, &machine, "guard=10");
    child.kill().unwrap();
    child.wait().unwrap();
    runs_again(&machine, Duration::from_secs(10));
    let run = run_on(&machine);
    let fired = format!("grep -q 'all done' /var/lib/lifeboat/runs/{run}/fired.log");
    assert!(wait_for(Duration::from_secs(30), || machine.exec(&fired).success().then_some(())).is_some());
    console.run(&["resume", &run, "--roll-back"]).expect(0);
    nothing_left(&console);

    // systemd itself loses patience: what the agent held in memory is lost, and the copy is not whole.
    drop_in(&machine, "ExecStop=/bin/sleep 600\\nTimeoutStopSec=1");
    console.run(&["backup", METRICS]).expect(1).says("did not end by itself");
    runs_again(&machine, Duration::from_secs(5));
    nothing_left(&console);
    assert_eq!(left_by_lifeboat(&machine), "");
}

#[test]
fn a_hung_stop_has_its_time_once_whoever_waits_for_it() {
    let (console, machine) = one("stop_within = 14\n");
    drop_in(&machine, "ExecStop=/bin/sleep 600\nTimeoutStopSec=infinity");
    let planned = console.run(&["backup", METRICS, "--plan", "--set", "guard=10"]).expect(0);
    planned.says("it is ended by force 14 s after it began");
    let once = Duration::from_secs(14 + 6);
    // With the console there.
    let mut child = stopping(&console, &machine, "guard=10");
    runs_again(&machine, once);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    nothing_left(&console);
    assert_eq!(left_by_lifeboat(&machine), "");
    // With nobody there, and a guard that acts before the stop's time is over.
    kill_all_but_the_guard(stopping(&console, &machine, "guard=10"), &machine);
    runs_again(&machine, once);
    let run = run_on(&machine);
    let fired = format!("grep -q 'all done' /var/lib/lifeboat/runs/{run}/fired.log");
    assert!(wait_for(Duration::from_secs(30), || machine.exec(&fired).success().then_some(())).is_some());
    machine.exec("rm /etc/systemd/system/netdata.service.d/10-test.conf; systemctl daemon-reload").ok();
    finish_and_try_again(&console, &machine, &run);
}

#[test]
fn what_cannot_be_saved_whole_is_said_before_or_undone_after() {
    let (console, machine) = one("");
    let before = invocation(&machine);

    machine.exec("systemctl mask --runtime --quiet netdata").ok();
    console.run(&["backup", METRICS]).expect(7).says("masked");
    machine.exec("systemctl unmask --runtime --quiet netdata").ok();

    machine.exec("mv /etc/netdata/netdata.conf /etc/netdata/aside").ok();
    console.run(&["backup", METRICS]).expect(7).says("would not start again");
    console.run(&["backup", "val-1/netdata/config"]).expect(7).says("no netdata.conf");
    machine.exec("mv /etc/netdata/aside /etc/netdata/netdata.conf").ok();

    machine.exec(&format!("mv {LIB}/registry/netdata.public.unique.id {LIB}/aside")).ok();
    console.run(&["backup", "val-1/netdata/identity"]).expect(7).says("no machine GUID");
    machine.exec(&format!("mv {LIB}/aside {LIB}/registry/netdata.public.unique.id")).ok();
    assert_eq!(invocation(&machine), before, "all of this stops nothing");

    // A second agent on the same directories is only seen by what it has open.
    machine
        .exec(
            "sed 's/bind to = .*/bind to = 127.0.0.1:20001/' /etc/netdata/netdata.conf >/etc/netdata/second.conf
             systemd-run --quiet --unit=second --uid=netdata /usr/sbin/netdata -D -c /etc/netdata/second.conf -P /tmp/second.pid
             i=0; until curl -sf http://127.0.0.1:20001/api/v1/info >/dev/null; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.2; done",
        )
        .ok();
    console.run(&["scan", "val-1"]).says("second Netdata");
    backup(&console, &[]).expect(1).says("has files of /var/cache/netdata open to write to them");
    // Two that wrote to one database have ruined it: a copy of that would not pass its check.
    machine.exec(&format!("systemctl stop second netdata; rm -rf {CACHE}/*; systemctl start netdata")).ok();
    runs_again(&machine, Duration::from_secs(5));
    nothing_left(&console);
    assert_eq!(left_by_lifeboat(&machine), "");

    // A start that fails is told, and the guard goes on trying for us.
    drop_in(&machine, "ExecStartPre=/usr/bin/test ! -e /run/broken");
    machine.exec("systemctl restart netdata; : >/run/broken").ok();
    guid(&machine);
    let failed = backup(&console, &["--set", "guard=10"]).expect(6).says("could not be started again");
    assert!(!is_running(&machine));
    nothing_saved(&console);
    machine.exec("rm /run/broken").ok();
    runs_again(&machine, Duration::from_secs(25));
    let run = run_on(&machine);
    assert!(failed.err.contains(&run), "{}", failed.err);
    finish_and_try_again(&console, &machine, &run);
}

/// Makes the second machine the first one's agent, which is declared gone.
const AS_VAL_1: [&str; 8] = [
    "restore",
    "val-1/netdata/identity",
    "--to",
    "spare-1",
    "--confirm",
    "fenced-val-1=val-1",
    "--confirm",
    "overwrite=spare-1",
];

#[test]
fn a_full_disk_stops_nothing_and_owners_come_back() {
    let Stage { console, old, spare } = Stage::set(&table);
    configure(&old);
    old.exec("mkdir /mnt/small && mount -t tmpfs -o size=100m small /mnt/small && mv /var/cache/netdata /mnt/small/ && ln -s /mnt/small/netdata /var/cache/netdata").ok();
    drop_in(&old, "ReadWritePaths=/mnt/small");
    let agent = start(&old);
    gather(&old);
    let before = invocation(&old);
    console.run(&["backup", METRICS]).expect(18).says("Nothing was stopped").says("copy=plain");
    assert_eq!(invocation(&old), before);
    assert_eq!(left_by_lifeboat(&old), "");
    assert_eq!(old.exec("ls -A /mnt/small").ok(), "netdata\n");
    a_disk_that_fills_up_in_the_stop(&console, &old);
    backup(&console, &["--set", "copy=plain"]).expect(0);
    runs_again(&old, Duration::from_secs(5));
    let manifest = facts(&console, METRICS);
    assert_eq!(find(&manifest, "facts").unwrap()["path"], "/mnt/small/netdata", "a link is resolved");

    // A file of somebody else comes back as his, or the restore says who is missing.
    old.exec(&format!("useradd --system other && echo x >{LIB}/registry/extra && chown other: {LIB}/registry/extra"))
        .ok();
    console.run(&["backup", "val-1/netdata/identity"]).expect(0);
    old.destroy();
    console.run(&AS_VAL_1).expect(1).says("useradd --system --user-group other");
    assert_eq!(left_by_lifeboat(&spare), "");
    spare.exec("useradd --system other").ok();
    console.run(&AS_VAL_1).expect(0);
    assert_eq!(guid(&spare), agent);
    assert_eq!(spare.exec(&format!("stat -c %U {LIB}/registry/extra {LIB}/registry")).ok(), "other\nnetdata\n");

    // Into a directory of its own on the other machine, and with less room for it than it has: that is asked.
    let conf = "sed -i 's/storage tiers = 3/storage tiers = 2/' /etc/netdata/netdata.conf";
    configure(&spare);
    spare.exec(&format!("{conf}; systemctl restart netdata")).ok();
    guid(&spare);
    too_little_room(&console, &spare);
    let discard = ["restore", METRICS, "--to", "spare-1", "--set", "old=discard", "--no-input"];
    let asked: Ended = console.run(&discard).expect(15);
    let asked = asked.says("smaller-limits=spare-1").says("tier 2").says("discard-old=spare-1");
    assert!(!asked.err.contains("unproved"), "two tiers are kept whole, and prove it: {}", asked.err);
    let run = console.run(&[
        "restore",
        METRICS,
        "--to",
        "spare-1",
        "--json",
        "--set",
        "old=discard",
        "--confirm",
        "smaller-limits=spare-1",
        "--confirm",
        "discard-old=spare-1",
    ]);
    let run = run_of(&run.expect(0));
    assert_eq!(guid(&spare), agent);
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(1);
    assert_eq!(spare.exec(&format!("stat -L -c %U {CACHE}")).ok(), "netdata\n");
}

/// There is room when it is looked for, and none any more when the agent is down: it runs again, and nothing is half there.
fn a_disk_that_fills_up_in_the_stop(console: &Console, old: &Machine) {
    old.exec("mount -o remount,size=400m /mnt/small").ok();
    let fill = "ReadWritePaths=/mnt/small\\nExecStartPre=-+/bin/rm -f /mnt/small/ballast\\n\
                ExecStopPost=-+/bin/sh -c \"cat /dev/zero >/mnt/small/ballast\"";
    drop_in(old, fill);
    let before = invocation(old);
    backup(console, &[]).expect(18).says("No space left on device");
    assert_ne!(invocation(old), before, "it had been stopped");
    runs_again(old, Duration::from_secs(5));
    nothing_left(console);
    assert_eq!(left_by_lifeboat(old), "");
    assert_eq!(old.exec("ls -A /mnt/small").ok(), "netdata\n", "the copy that was begun is gone");
    drop_in(old, "ReadWritePaths=/mnt/small");
    old.exec("mount -o remount,size=100m /mnt/small").ok();
}

/// Puts the cache onto a disk that has no room for a copy beside it, and has it when the old one is gone.
fn too_little_room(console: &Console, spare: &Machine) {
    let needed = find(&facts(console, METRICS), "files").unwrap()[0]["plain_size"].as_u64().unwrap();
    let text = "systemctl stop netdata
        mkdir /mnt/small && mount -t tmpfs -o size=1g small /mnt/small && mv /var/cache/netdata /mnt/small/ && ln -s /mnt/small/netdata /var/cache/netdata
        du -sb /mnt/small/netdata | cut -f1";
    let stands: u64 = spare.exec(text).ok().trim().parse().unwrap();
    // What is already there grows with the agent, so it is made large enough to matter.
    spare
        .exec(&format!(
            "head -c {needed} /dev/zero >/mnt/small/netdata/ballast; chown netdata: /mnt/small/netdata/ballast"
        ))
        .ok();
    spare.exec(&format!("mount -o remount,size={} /mnt/small", stands + needed + needed / 2)).ok();
    drop_in(spare, "ReadWritePaths=/mnt/small");
    spare.exec("systemctl start netdata").ok();
    guid(spare);
    let before = invocation(spare);
    console
        .run(&["restore", METRICS, "--to", "spare-1"])
        .expect(18)
        .says("to keep what is there aside")
        .says("old=discard");
    assert_eq!(invocation(spare), before, "nothing was stopped");
    assert_eq!(left_by_lifeboat(spare), "");
}

#[test]
fn an_identity_that_a_parent_hears_is_alive_whatever_is_declared() {
    let fleet = Fleet::shared();
    let Stage { console, old, spare } = Stage::set(&table);
    let parent = Machine::boot(fleet, "mon-1");
    let inventory = std::fs::read_to_string(console.path("config/inventory.toml")).unwrap();
    console.write_inventory(&(inventory + &host_table(fleet, &parent, "ops", &table(&parent))));
    console.run(&["enroll", "mon-1", "--fingerprint", &parent.host_key_fingerprint()]).expect(0);
    for machine in [&old, &parent] {
        configure(machine);
    }
    let key = "5ec2e700-e57a-11f1-acf8-02fc00000001";
    parent.exec(&format!("sed -i 's/bind to = .*/bind to = */' /etc/netdata/netdata.conf; printf '[{key}]\\n\\tenabled = yes\\n' >/etc/netdata/stream.conf")).ok();
    old.exec(&format!("printf '[stream]\\n\\tenabled = yes\\n\\tdestination = {}:19999\\n\\tapi key = {key}\\n' >/etc/netdata/stream.conf", parent.address())).ok();
    // netdata-core alone aborts when it streams: it has nothing that describes the host. Another package brings it.
    old.exec(
        "f=/usr/lib/netdata/plugins.d/system-info.sh; printf '#!/bin/sh\\n' >$f; chmod 755 $f
         for k in CONTAINER HOST; do for n in NAME ID ID_LIKE VERSION VERSION_ID DETECTION; do echo \"echo NETDATA_${k}_OS_$n=unknown\"; done; done >>$f
         for n in KERNEL_NAME KERNEL_VERSION ARCHITECTURE VIRTUALIZATION VIRT_DETECTION CONTAINER CONTAINER_DETECTION \\
           CPU_LOGICAL_CPU_COUNT CPU_FREQ TOTAL_RAM TOTAL_DISK_SIZE; do echo \"echo NETDATA_SYSTEM_$n=unknown\"; done >>$f",
    )
    .ok();
    start(&parent);
    let agent = start(&old);
    let hears = || {
        let status = ask(&parent, "info")["mirrored_hosts_status"].clone();
        status.as_array().unwrap().iter().any(|host| host["guid"] == agent.as_str() && host["reachable"] == true)
    };
    let streams = wait_for(Duration::from_mins(1), || hears().then_some(()));
    let told = || {
        old.exec("grep STREAM /var/log/netdata/error.log | tail -n 20; journalctl --no-pager -u netdata | grep STREAM | tail").stdout
    };
    assert!(streams.is_some(), "the parent hears its child:\n{}", told());
    let backup = console.run(&["backup", "val-1/netdata/identity", "val-1/netdata/config"]).expect(0);
    assert!(!format!("{}{}", backup.out, backup.err).contains(key), "the stream key is shown nowhere");
    console.run(&["scan", "val-1", "mon-1"]).says("It streams to").says("1 children");

    // Out of reach for us is not gone: its parent still hears it, and no declaration overrides that.
    old.exec("systemctl stop ssh").ok();
    console.run(&AS_VAL_1).expect(17).says("mon-1 hears").says(&agent);
    assert!(!is_running(&spare));
    assert_eq!(left_by_lifeboat(&spare), "");
    old.poweroff();
    assert!(wait_for(Duration::from_mins(3), || (!hears()).then_some(())).is_some(), "the parent notices");
    console.run(&AS_VAL_1).expect(0);
    assert_eq!(guid(&spare), agent);
}

/// A filesystem of the host in place of a directory of a machine; taken away before the machine is.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn with_reflinks_the_whole_cache_is_copied_in_the_stop_and_nothing_before() {
    let (console, machine) = one("");
    machine.exec("systemctl stop netdata").ok();
    machine.poweroff();
    let disk = tempfile::NamedTempFile::new().unwrap();
    disk.as_file().set_len(400 << 20).unwrap();
    let (image, cache) = (disk.path().to_str().unwrap(), machine.path("/var/cache"));
    host("mkfs.xfs", &["-q", "-m", "reflink=1", image]);
    let aside = machine.path("/var/cache.aside");
    host("mv", &[cache.to_str().unwrap(), aside.to_str().unwrap()]);
    std::fs::create_dir(&cache).unwrap();
    host("mount", &["-o", "loop", image, cache.to_str().unwrap()]);
    let mounted = Mounted(cache.clone());
    host("cp", &["-a", &format!("{}/.", aside.display()), cache.to_str().unwrap()]);
    machine.start();
    assert_eq!(machine.exec("stat -f -c %T /var/cache").ok(), "xfs\n");
    start(&machine);
    let done = backup(&console, &[]).expect(0).says("was down for");
    let manifest = facts(&console, METRICS);
    let copied = find(&manifest, "copied").unwrap();
    println!("{}{copied}", done.out);
    assert_eq!((&copied["way"], &copied["live_bytes"]), (&"reflink".into(), &0.into()));
    assert_eq!(machine.exec("ls -A /var/cache | grep lifeboat; :").ok(), "");
    assert_eq!(left_by_lifeboat(&machine), "");
    machine.poweroff();
    drop(mounted);
}
