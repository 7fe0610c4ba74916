//! Agents that are not as a package leaves them: with damaged samples, in a container, and installed elsewhere.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::host::{Output, wait_for};
use super::machine::Machine;
use super::netdata::{
    CACHE, CONF, METRICS, backup, backup_with_samples, configure, facts, find, gather, gather_for, guid, is_running,
    left_by_lifeboat, now, samples_again, start, table,
};
use super::netdata_faults::{drop_in, one};
use super::story::Stage;

/// Where the first extent of a data file begins, behind its super block.
const EXTENT: u64 = 4096;

/// Flips a bit of the first extent of a tier, as a failing disk does.
fn damage(machine: &Machine, file: &str) {
    let file = std::fs::File::options().read(true).write(true).open(machine.path(file)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, EXTENT + 200).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], EXTENT + 200).unwrap();
}

#[test]
fn one_damaged_extent_is_named_and_the_rest_can_be_saved_and_brought_back() {
    let (console, machine) = one("");
    let agent = guid(&machine);
    let hurt = format!("{CACHE}/dbengine-tier1/datafile-1-0000000001.ndf");
    // A tier of minutes has its first extent once the first whole minute was written.
    for round in 1.. {
        gather(&machine);
        machine.exec("systemctl stop netdata").ok();
        if std::fs::metadata(machine.path(&hurt)).unwrap().len() > EXTENT + 200 {
            break;
        }
        assert!(round < 6, "the tier of minutes stays empty");
        start(&machine);
    }
    damage(&machine, &hurt);
    start(&machine);
    gather(&machine);

    let refused = backup(&console, &[]).expect(14);
    refused.says("dbengine-tier1/datafile-1-0000000001.ndf").says("damaged=keep");
    assert!(is_running(&machine));
    assert_eq!(left_by_lifeboat(&machine), "");
    let (kept, at, before) = backup_with_samples(&console, &machine, &["--set", "damaged=keep"]);
    let kept = kept.expect(4);
    println!("{}", kept.out);
    let line = kept.out.lines().find(|line| line.contains('@')).unwrap().to_owned();
    assert!(line.ends_with("damaged"), "no silent OK: {line}");
    kept.says("mark: damaged: ").says("dbengine-tier1/datafile-1-0000000001.ndf");
    let id = line.split_whitespace().next().unwrap();
    let damaged = find(&facts(&console, id), "damaged").unwrap().clone();
    assert_eq!(damaged.as_array().map(Vec::len), Some(1), "one file is damaged, and one is named: {damaged}");
    console.run(&["verify", METRICS]).expect(14).says("datafile-1-0000000001.ndf").says("already when it was copied");
    console.run(&["restore", METRICS, "--to", "val-1"]).expect(2).says("damaged on the node when it was copied");

    let restore = ["restore", id, "--to", "val-1", "--confirm", "overwrite=val-1"];
    console.run(&[&restore[..], &["--no-input"]].concat()).expect(15).says("damaged=val-1");
    console.run(&[&restore[..], &["--confirm", "damaged=val-1"]].concat()).expect(0);
    assert_eq!(guid(&machine), agent);
    assert_eq!(samples_again(&machine, at, &before), before, "what the agent told with its damage it tells again");
    assert!(now(&machine) > at);
    assert_eq!(left_by_lifeboat(&machine), "");
}

/// Puts the agent where the static install lies, under a unit of its own. The package's files stay, and nothing uses them.
const STATIC: &str = r#"mkdir -p /opt/netdata/bin/srv /opt/netdata/etc
    cp /usr/sbin/netdata /opt/netdata/bin/srv/netdata
    printf '#!/bin/sh\nexec /opt/netdata/bin/srv/netdata "$@"\n' >/opt/netdata/bin/netdata; chmod 755 /opt/netdata/bin/netdata
    cp -a /etc/netdata /opt/netdata/etc/netdata
    for d in lib cache log; do install -d -o netdata -g netdata /opt/netdata/var /opt/netdata/var/$d /opt/netdata/var/$d/netdata; done
    printf "INSTALL_TYPE='kickstart-static'\n" >/opt/netdata/etc/netdata/.install-type
    { printf '[directories]\n'; for d in lib cache log; do printf '\t%s = /opt/netdata/var/%s/netdata\n' $d $d; done
      printf '\tconfig = /opt/netdata/etc/netdata\n'; } >>/opt/netdata/etc/netdata/netdata.conf
    printf '[Service]\nUser=netdata\nRuntimeDirectory=netdata\nTimeoutStopSec=60\nExecStart=/opt/netdata/bin/netdata -P /run/netdata/netdata.pid -D -c /opt/netdata/etc/netdata/netdata.conf\n' \
      >/etc/systemd/system/netdata.service
    systemctl daemon-reload"#;

#[test]
fn a_static_install_is_known_and_its_agent_goes_on_in_a_package() {
    let Stage { console, old, spare } = Stage::set(&table);
    configure(&old);
    old.exec(STATIC).ok();
    let agent = start(&old);
    let scan = console.run(&["--json", "scan", "val-1"]).expect(0).documents();
    let found = &scan.iter().find(|one| one["service"] == "val-1/netdata").unwrap()["facts"];
    assert_eq!(found["variant"], "static install", "{found:#}");
    let places = [
        ("config", "etc/netdata"),
        ("lib", "var/lib/netdata"),
        ("cache", "var/cache/netdata"),
        ("log", "var/log/netdata"),
    ];
    for (name, path) in places {
        assert_eq!(found["own"]["dirs"][name]["path"], format!("/opt/netdata/{path}"), "{found:#}");
    }
    console.run(&["backup", "val-1/netdata/identity", "val-1/netdata/config"]).expect(0);
    // A real static install knows its places without naming them: so does this one's file while its agent runs.
    let conf = "/opt/netdata/etc/netdata/netdata.conf";
    old.exec(&format!("cp {conf} /root/whole && sed -i '/^\\[directories\\]/,$d' {conf}")).ok();
    console.run(&["backup", "val-1/netdata/config"]).expect(0);
    old.exec(&format!("cp /root/whole {conf}")).ok();
    let (done, at, before) = backup_with_samples(&console, &old, &[]);
    done.expect(0);

    // A directory that is not what it should be is told by a look already.
    old.exec("systemctl stop netdata; mv /opt/netdata/var/lib/netdata/registry /opt/aside").ok();
    console
        .run(&["scan", "val-1"])
        .says("/opt/netdata/var/lib/netdata cannot be saved as it should be: it holds no machine GUID");
    old.destroy();
    configure(&spare);
    let onto = |item: &str, confirm: &[&str]| {
        console.run(&[&["restore", item, "--to", "spare-1"][..], confirm].concat()).expect(0);
    };
    onto("val-1/netdata/identity", &["--confirm", "fenced-val-1=val-1"]);
    assert_eq!(guid(&spare), agent);
    onto(METRICS, &["--confirm", "overwrite=spare-1"]);
    assert_eq!(samples_again(&spare, at, &before), before);

    // Its configuration, too, without what says how it was installed; one that leads elsewhere is taken back.
    spare.exec("printf \"INSTALL_TYPE='package'\\n\" >/etc/netdata/.install-type").ok();
    let overwrite = ["--confirm", "overwrite=spare-1"];
    let listed = console.run(&["list", "val-1/netdata/config"]).expect(0).out;
    let copies: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').find(|word| word.contains('@'))).collect();
    let asked = [&["restore", copies[1], "--to", "spare-1", "--no-input"][..], &overwrite].concat();
    console.run(&asked).expect(15).says("installation").says("static install").says("Debian package");
    let both = [&overwrite[..], &["--confirm", "installation=spare-1"]].concat();
    let refused = console.run(&[&["restore", copies[0], "--to", "spare-1"][..], &both].concat()).expect(1);
    refused.says("Everything is as it was.");
    assert_eq!(guid(&spare), agent);
    onto(copies[1], &both);
    assert_eq!(guid(&spare), agent);
    assert_eq!(spare.exec("cat /etc/netdata/.install-type").ok(), "INSTALL_TYPE='package'\n");
    assert_eq!(spare.exec("cat /etc/netdata/netdata.conf").ok(), CONF);
    assert_eq!(samples_again(&spare, at, &before), before);
    assert_eq!(left_by_lifeboat(&spare), "");
}

/// A root of its own for a program of the machine's.
const BOX: &str = "mkdir -p /mnt/box && mount -t tmpfs box /mnt/box && cd /mnt/box
    mkdir -p usr proc dev etc run tmp var/lib var/cache var/log
    for d in bin sbin lib lib64; do [ ! -L /$d ] || ln -s usr/$d $d; done
    for d in usr proc dev; do mount --rbind /$d $d; done
    cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/netdata etc/
    cp -a /var/lib/netdata var/lib/; cp -a /var/cache/netdata var/cache/; cp -a /var/log/netdata var/log/";

/// What a container runtime leaves to see: a control group of its name, and namespaces of its own for everything.
const CONTAINER: &str = "docker-5f0a3c9d2b.scope";
const CONTAIN: &str = "#!/bin/sh
exec unshare --pid --fork --mount --net --ipc --uts --cgroup --kill-child sh -c '
    mount -t proc proc /mnt/box/proc; ip link set lo up; exec env -i PATH=/usr/sbin:/usr/bin chroot /mnt/box /usr/sbin/netdata -D'
";

#[test]
fn an_agent_with_namespaces_of_its_own_is_told_apart_and_left_alone() {
    let (console, machine) = one("");
    machine.exec(BOX).ok();
    // A GUID of its own, as a container has; nothing but its control group and its root tell where it is.
    machine.exec("rm -rf /mnt/box/var/lib/netdata/registry/netdata.public.unique.id /mnt/box/var/cache/netdata/*").ok();
    let own = guid(&machine);
    machine.write_as("root", "/root/contain", CONTAIN, 0o755);
    machine
        .exec(&format!(
            "systemd-run --quiet --scope --unit={CONTAINER} setsid /root/contain </dev/null >/root/contain.log 2>&1 & :"
        ))
        .ok();
    let found = wait_for(Duration::from_secs(30), || {
        let inside = "for p in $(pgrep -x netdata); do ! grep -q docker- /proc/$p/cgroup || echo $p; done | head -n 1";
        Some(machine.exec(inside).stdout.trim().to_owned()).filter(|pid| !pid.is_empty())
    });
    let said = || machine.exec("grep -i fatal -A3 /root/contain.log; systemctl status --no-pager 'docker-*'").stdout;
    let pid = found.unwrap_or_else(|| panic!("no agent runs in the container: {}", said()));
    let namespaces =
        |pid: &str| machine.exec(&format!("for n in pid mnt net; do readlink /proc/{pid}/ns/$n; done")).ok();
    let (inside, outside) = (namespaces(&pid), namespaces("1"));
    assert!(inside.lines().zip(outside.lines()).all(|(one, other)| one != other), "{inside}{outside}");
    let answers = format!("nsenter --target {pid} --net curl -sf http://127.0.0.1:19999/api/v1/info");
    let told = wait_for(Duration::from_secs(40), || Some(machine.exec(&answers)).filter(Output::success));
    let told = told.expect("it answers in there").stdout;
    assert!(!told.contains(&own), "it is another agent: {told}");

    // Beside the node's own agent it is a second one: who the node's is stays right, and it can be saved.
    let scan = console.run(&["scan", "val-1"]).expect(0).says(&own).says(&format!("second Netdata runs as pid {pid}"));
    assert!(!scan.out.contains("runs in a container"), "{}", scan.out);
    gather_for(&machine, 16);
    backup(&console, &[]).expect(0);
    console.run(&["backup", "val-1/netdata/identity"]).expect(0);
    console
        .run(&["restore", "val-1/netdata/identity", "--to", "val-1"])
        .expect(1)
        .says(&format!("runs on val-1 as pid {pid} outside netdata.service"));
    assert_eq!(guid(&machine), own);

    // Alone it is the one that runs, and it is none of ours: its files lie elsewhere, and so does its API.
    machine.exec("systemctl stop netdata").ok();
    console.run(&["scan", "val-1"]).says("container").says(CONTAINER);
    for item in ["config", "identity", "metrics"] {
        console.run(&["backup", &format!("val-1/netdata/{item}")]).expect(7).says("container");
    }
    console.run(&["restore", "val-1/netdata/identity", "--to", "val-1"]).expect(1).says("runs in a container");
    assert!(machine.exec(&answers).success(), "it was left alone");
    assert!(!is_running(&machine));
    assert_eq!(left_by_lifeboat(&machine), "");
    machine.exec(&format!("systemctl stop {CONTAINER}; umount -l /mnt/box")).ok();
}

#[test]
fn an_agent_in_a_container_is_told_apart_and_left_alone() {
    let (console, machine) = one("");
    machine.exec("systemctl disable --quiet --now netdata").ok();
    machine.exec(BOX).ok();
    let inside = |command: &str| machine.exec(&format!("systemd-run --quiet --collect --unit=box {command}")).ok();
    let invocation = "systemctl show --property=InvocationID --value box";
    let is_told = || {
        let began = machine.exec(invocation).ok();
        guid(&machine);
        console.run(&["scan", "val-1"]).says("container").says("box.service");
        for item in ["config", "identity", "metrics"] {
            console.run(&["backup", &format!("val-1/netdata/{item}")]).expect(7).says("container");
        }
        assert_eq!(machine.exec(invocation).ok(), began);
    };
    // Beside the package's own unit, which is down. An agent that fails in its own end leaves no unit of this name behind.
    inside("chroot /mnt/box /usr/sbin/netdata -D");
    is_told();
    machine.exec("systemctl stop box").ok();
    // And when the service's unit is what starts it: its own process is then another one, outside.
    let inventory = std::fs::read_to_string(console.path("config/inventory.toml")).unwrap();
    console.write_inventory(&(inventory.trim_end().to_owned() + "\nunit = \"box.service\"\n"));
    inside("sh -c 'chroot /mnt/box /usr/sbin/netdata -D & wait'");
    is_told();
    machine.exec("systemctl stop box; umount -l /mnt/box").ok();
    assert_eq!(left_by_lifeboat(&machine), "");
}

#[test]
fn the_plain_way_tells_how_long_the_agent_was_down_and_saves_nothing_of_a_forced_stop() {
    let (console, machine) = one("");
    gather_for(&machine, 16);
    drop_in(&machine, "ExecStop=/bin/sleep 2");
    let plain = ["--set", "copy=plain"];
    let done = backup(&console, &plain).expect(0);
    println!("{}", done.out);
    let told = done.out.lines().find_map(|line| line.trim().strip_prefix("netdata.service was down for "));
    let seconds: f64 = told.and_then(|told| told.split_once(' ')).expect("the downtime is told").0.parse().unwrap();
    assert!(!done.out.contains("does not answer as before"), "{}", done.out);
    assert!((2.0..60.0).contains(&seconds), "{seconds}");
    // The same stands in the manifest, and is shown; and what the agent had was asked before it was stopped.
    let manifest = facts(&console, METRICS);
    let noted = find(&manifest, "downtime").expect("the downtime is noted")["measured_ms"].as_f64().unwrap();
    assert!((noted / 1000.0 - seconds).abs() < 0.02, "{noted} ms, and {seconds} s were told");
    console.run(&["show", METRICS]).expect(0).says(&format!("down        {seconds:.2} s"));
    assert!(!find(&manifest, "samples").unwrap().as_array().unwrap().is_empty());
    assert!(is_running(&machine));
    let saved = console.run(&["list"]).out;
    // systemd itself loses patience: what the agent held in memory is lost.
    drop_in(&machine, "ExecStop=/bin/sleep 600\\nTimeoutStopSec=1");
    console.run(&[&["backup", METRICS], &plain[..]].concat()).expect(1).says("did not end by itself");
    guid(&machine);
    assert_eq!(console.run(&["list"]).out, saved);
    assert_eq!(left_by_lifeboat(&machine), "");
}
