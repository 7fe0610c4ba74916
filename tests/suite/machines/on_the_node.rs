//! What a node does to a copy and to a restore: no room anywhere it is needed, files that vanish or change while they are
//! read, tools that lie, and a vault that cannot write down what would be begun.

use std::time::Duration;

use super::avalanchego::{self, DATA, avalanche_node_id, install_avalanchego, start_avalanchego};
use super::consul::{self, install_consul};
use super::faults::{SmallDisk, enroll, kill_after_step, left_by_lifeboat, nothing_staged};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::{head, host_table};
use super::taken_over::one;
use crate::support::console::{Console, Ended, files_below};

fn end_of(child: std::process::Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ended = Ended { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
    println!("{:?}\n{}", ended.code, ended.err);
    ended
}

/// Everything below a directory, by content, and what lies hidden beside it.
fn listing(machine: &Machine, dir: &str) -> String {
    let script = format!(
        "cd {dir} && find . -printf '%y %m %U:%G %s %P\\n' -type f -exec sha256sum {{}} + | sort; ls -A {dir}/.."
    );
    machine.exec(&script).ok()
}

#[test]
fn a_node_without_room_is_told_before_anything_changes_and_kept_whole_when_it_runs_full() {
    let (console, machine) = one(&|machine| {
        let host = format!("[hosts.{}.services", machine.name());
        format!("{host}.files]\npaths = [\"/mnt/small/tree\"]\n{host}.avalanchego]\n{host}.consul]\n")
    });
    machine
        .exec("mkdir /mnt/small && mount -t tmpfs -o size=64m small /mnt/small && mkdir /mnt/small/tree && head -c 8388608 /dev/urandom >/mnt/small/tree/random")
        .ok();
    let file = |key: &str, name: &str| format!("\\\"staking-{key}\\\": \\\"/mnt/small/staking/{name}\\\",");
    let keys = file("tls-cert-file", "staker.crt")
        + &file("tls-key-file", "staker.key")
        + &file("signer-key-file", "signer.key");
    install_avalanchego(&machine, &avalanchego::Options { start: false, ..avalanchego::Options::default() });
    start_avalanchego(&machine);
    machine
        .exec(&format!("systemctl stop avalanchego; mv {DATA}/staking /mnt/small/staking && sed -i \"1a {keys}\" {DATA}/configs/node.json"))
        .ok();
    let identity = start_avalanchego(&machine);
    // An agent that does not run: its files are all that matters here.
    install_consul(&machine, &consul::Options { start: false, ..consul::Options::default() });
    machine.exec("mkdir /mnt/small/consul && chown consul: /mnt/small/consul && sed -i 's|^data_dir.*|data_dir = \"/mnt/small/consul\"|' /etc/consul.d/consul.hcl && echo 319f3df7-60cd-ed2d-4a07-e9405cc8caec >/mnt/small/consul/node-id").ok();
    let items =
        ["files/tree", "avalanchego/staking-identity", "consul/node-identity"].map(|item| format!("val-1/{item}"));
    for item in &items {
        console.run(&["backup", item]).expect(0);
    }
    let before = listing(&machine, "/mnt/small/tree")
        + &listing(&machine, "/mnt/small/staking")
        + &listing(&machine, "/mnt/small/consul");
    let unit = "systemctl show --property=InvocationID --value avalanchego";
    let invocation = machine.exec(unit).ok();
    let untouched = |what: &str| {
        machine.exec("rm -f /mnt/small/filler").ok();
        let now = listing(&machine, "/mnt/small/tree")
            + &listing(&machine, "/mnt/small/staking")
            + &listing(&machine, "/mnt/small/consul");
        assert_eq!(now, before, "{what}");
        assert_eq!(left_by_lifeboat(&machine), "", "{what}");
        assert_eq!(machine.exec(unit).ok(), invocation, "{what}: the validator was restarted");
    };
    let restore = |item: &str| {
        let (public, overwrite) = ("public-ip=127.0.0.1", "overwrite=val-1");
        console.start(&["restore", item, "--to", "val-1", "--confirm", overwrite, "--confirm", public])
    };

    // Too little from the start: the look before says where, and how much is needed.
    for item in &items {
        println!("{item}: no room from the start");
        machine.exec("head -c 90m /dev/zero >/mnt/small/filler 2>/dev/null; truncate -s -200k /mnt/small/filler").ok();
        let ended = end_of(restore(item)).expect(18).says("/mnt/small").says("free");
        let told = ended.err.to_lowercase();
        assert!(
            told.contains("val-1") && told.contains("nothing was changed") && told.contains("now:  "),
            "{}",
            ended.err
        );
        untouched(item);
    }

    // Room when it was looked at, and none in the middle.
    machine.limit_rate(Some(16_000));
    let child = restore(&items[0]);
    let arrives = "test \"$(du -sk /mnt/small/.tree.lifeboat-* 2>/dev/null | cut -f 1)\" -gt 1000";
    assert!(wait_for(Duration::from_secs(30), || machine.exec(arrives).success().then_some(())).is_some());
    machine.exec("head -c 90m /dev/zero >/mnt/small/filler 2>/dev/null; :").ok();
    let ended = end_of(child).expect(18).says("Unpacking /mnt/small/tree on val-1").says("Free some room on val-1");
    assert!(ended.err.contains("now:  Everything is as it was."), "{}", ended.err);
    machine.limit_rate(None);
    untouched("full in the middle");

    // The place of the run itself runs full, earlier or later.
    machine.exec("mkdir -p /var/lib/lifeboat").ok();
    let mut codes = Vec::new();
    let flood = "(until ls /var/lib/lifeboat/runs/*/owner >/dev/null 2>&1; do :; done
        head -c 9m /dev/zero >/var/lib/lifeboat/filler) >/dev/null 2>&1 </dev/null &";
    for (pages, then) in [(1, ":"), (10, ":"), (33, ":"), (60, flood), (60, ":")] {
        println!("{pages} pages for the run, {then}");
        machine.exec(&format!("mount -t tmpfs -o size={}k,mode=0700 small /var/lib/lifeboat; {then}", 4 * pages)).ok();
        let ended = end_of(restore(&items[1]));
        codes.push(ended.code);
        if ended.code != Some(0) {
            let ended = ended.expect(18).says("Free some room on val-1");
            assert!(ended.err.contains("now:  "), "{}", ended.err);
            assert_eq!(avalanche_node_id(&machine), identity);
            let left = machine.exec("ls -A /var/lib/lifeboat/runs /var/lib/lifeboat/locks 2>/dev/null | grep -v -e : -e '^$'; ls -A /mnt/small | grep lifeboat; ls /etc/systemd/system | grep lifeboat; :");
            assert_eq!(left.ok(), "", "{pages} pages");
        }
        machine.exec("umount /var/lib/lifeboat; rm -rf /mnt/small/.staking.lifeboat-*.kept").ok();
        wait_for(Duration::from_secs(40), || super::avalanchego::try_identity(&machine));
    }
    println!("{codes:?}");
    assert!(codes.contains(&Some(18)) && codes.first() != codes.last(), "not at every size alike: {codes:?}");
    assert_eq!(avalanche_node_id(&machine), identity);
    for item in &items[..2] {
        end_of(restore(item)).expect(0);
    }
}

/// Starts a backup of the tree over a slow link and waits until it is in the middle.
fn in_the_middle(console: &Console, machine: &Machine) -> std::process::Child {
    machine.limit_rate(Some(40_000));
    let child = console.start(&["backup", "val-1/files/tree"]);
    let staged = || {
        files_below(&console.path("vault/.staging"))
            .iter()
            .filter_map(|file| file.metadata().ok())
            .map(|meta| meta.len())
            .sum::<u64>()
    };
    assert!(wait_for(Duration::from_secs(30), || (staged() > 1 << 20).then_some(())).is_some(), "nothing was copied");
    child
}

#[test]
fn what_vanishes_changes_or_lies_while_it_is_read_is_named_or_not_kept() {
    let (console, machine) = one(&|machine| {
        let host = format!("[hosts.{}.services", machine.name());
        format!("{host}.files]\npaths = [\"/srv/app\", \"/srv/one.conf\"]\n{host}.consul]\n")
    });
    let lay = "rm -rf /srv/app; mkdir -p /srv/app/dir; cd /srv/app; head -c 41943040 /dev/urandom >a-big
        for f in m-grows z-gone dir/inside; do echo $f >$f; done; echo one >/srv/one.conf";
    machine.exec(lay).ok();
    let kept = |console: &Console| {
        files_below(&console.path("vault/val-1")).iter().filter(|path| path.ends_with("manifest.json")).count()
    };

    // A tree that changes: kept, with what happened to which file, and whole as an archive.
    let child = in_the_middle(&console, &machine);
    machine.exec("cd /srv/app && truncate -s 100k a-big && rm z-gone && rm -r dir && mkdir later").ok();
    let ended = end_of(child).expect(0).says("mark: ");
    for words in ["a-big (shrank)", "z-gone (removed)"] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    machine.limit_rate(None);
    console.run(&["show", "val-1/files/tree"]).expect(0).says("z-gone (removed)");
    console.run(&["verify"]).expect(0);
    let id = ended.out.split('@').nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(kept(&console), 1);

    // A declared path that vanishes before its turn: no copy without it.
    machine.exec(lay).ok();
    let child = in_the_middle(&console, &machine);
    machine.exec("rm /srv/one.conf").ok();
    let ended = end_of(child).expect(1).says("val-1/files/tree was not copied").says("/srv/one.conf");
    assert!(
        ended.err.contains("No such file") && ended.err.contains("now:  Everything is as it was."),
        "{}",
        ended.err
    );
    machine.limit_rate(None);
    assert_eq!(kept(&console), 1);
    nothing_staged(&console.path("vault"));

    // A tool that lies about names: such an archive is refused whole, and what it says reaches no terminal.
    machine.exec(&format!("{lay}; rm -f /srv/app/a-big")).ok();
    for name in ["app/../../etc/m-grows", "app/../\u{1b}[31m\u{7}\nFAKE LINE"] {
        let lying = format!(
            "#!/bin/sh\nexec /usr/bin/tar -P --transform='s,app/m-grows,{},' \"$@\"\n",
            name.replace('\n', "\\n")
        );
        machine.exec_with("cat >/usr/local/bin/tar; chmod 755 /usr/local/bin/tar", lying.as_bytes()).ok();
        let ended = console.run(&["backup", "val-1/files/tree"]).expect(14).says("val-1/files/tree was not copied");
        assert!(ended.err.contains(".."), "{}", ended.err);
        let shown = ended.err + &ended.out;
        assert!(!shown.contains(['\u{1b}', '\u{7}']) && !shown.contains("\nFAKE"), "{shown:?}");
        assert_eq!(shown.contains("FAKE LINE"), name.contains("FAKE"), "the name is told: {shown:?}");
    }
    assert_eq!(kept(&console), 1);
    machine.exec("rm /usr/local/bin/tar").ok();

    // A single file that is gone, or another one, the moment it is read.
    install_consul(&machine, &consul::Options { start: false, ..consul::Options::default() });
    machine.exec("echo 319f3df7-60cd-ed2d-4a07-e9405cc8caec >/opt/consul/node-id").ok();
    for (deed, code, says) in [
        ("rm -f /opt/consul/node-id", 1, "No such file"),
        ("printf 319f3df7-60cd >/opt/consul/node-id", 14, "was not kept"),
        ("kill -9 $$", 1, "killed by signal KILL"),
    ] {
        println!("{deed}");
        let cat = format!("#!/bin/sh\ncase \"$*\" in *node-id*) {deed};; esac\nexec /usr/bin/cat \"$@\"\n");
        machine.exec("echo 319f3df7-60cd-ed2d-4a07-e9405cc8caec >/opt/consul/node-id").ok();
        machine.exec_with("cat >/usr/local/bin/cat; chmod 755 /usr/local/bin/cat", cat.as_bytes()).ok();
        let ended = console.run(&["backup", "val-1/consul/node-identity"]).expect(code).says("val-1").says(says);
        drop(ended);
        machine.exec("rm /usr/local/bin/cat").ok();
        assert_eq!(kept(&console), 1, "{deed}");
    }
    nothing_staged(&console.path("vault"));
    assert_eq!(left_by_lifeboat(&machine), "");
    console.run(&["backup", "val-1/consul/node-identity", "val-1/files/tree"]).expect(0);
    console.run(&["verify", &format!("val-1/files/tree@{id}"), "val-1/consul"]).expect(0);
}

/// Both are sound archives to any reader: one without an entry, and one of files that nobody asked for.
#[test]
fn an_archive_that_is_empty_or_of_other_files_is_not_kept() {
    let (console, machine) = one(&|machine| {
        let host = format!("[hosts.{}.services", machine.name());
        format!(
            "{host}.files]\npaths = [\"/srv/app\", \"/srv/one.conf\"]\n{host}.avalanchego]\n{host}.consul]\n{host}.netdata]\n"
        )
    });
    machine.exec("mkdir -p /srv/app/dir && echo saved >/srv/app/dir/file && echo one >/srv/one.conf").ok();
    install_avalanchego(&machine, &avalanchego::Options { start: false, ..avalanchego::Options::default() });
    install_consul(&machine, &consul::Options { start: false, ..consul::Options::default() });
    machine.exec("install -d -o consul /opt/consul/serf && echo '[]' >/opt/consul/serf/local.keyring").ok();
    let items = [
        "files/tree",
        "consul/agent-config",
        "consul/keyrings",
        "avalanchego/node-config",
        "avalanchego/unit",
        "netdata/config",
    ]
    .map(|item| format!("val-1/{item}"));
    let vault = console.path("vault");
    let (empty, foreign) =
        ("--create --file=- --files-from=/dev/null", "--create --file=- --directory=/usr/share doc/tar");
    for (what, instead, says) in [("empty", empty, "nothing at all is in it"), ("foreign", foreign, "doc")] {
        let lying = format!(
            "#!/bin/sh\ncase \" $* \" in *' --create '*|*' -cf '*) exec /usr/bin/tar {instead};; esac\nexec /usr/bin/tar \"$@\"\n"
        );
        machine.exec_with("cat >/usr/local/bin/tar; chmod 755 /usr/local/bin/tar", lying.as_bytes()).ok();
        for item in &items {
            println!("{what}: {item}");
            let ended = console.run(&["backup", item]).expect(14).says(item);
            assert!(ended.err.contains("was not copied") || ended.err.contains("was not kept"), "{}", ended.err);
            assert!(ended.err.contains(says) || item.contains("netdata"), "{}", ended.err);
            ended.says("Everything is as it was.");
        }
        assert_eq!(files_below(&vault).iter().filter(|path| path.ends_with("manifest.json")).count(), 0, "{what}");
        nothing_staged(&vault);
        assert_eq!(left_by_lifeboat(&machine), "", "{what}");
    }
    // The same with a tool that does not lie.
    machine.exec("rm /usr/local/bin/tar").ok();
    for item in &items {
        console.run(&["backup", item]).expect(0);
    }
    console.run(&["verify"]).expect(0);
}

#[test]
fn what_a_full_vault_cannot_write_down_is_not_begun() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    machine.exec("mkdir /srv/app && echo saved >/srv/app/file").ok();
    let console = Console::new();
    let disk = SmallDisk::mount(console.path("disk"), 16);
    let recipient = console.keygen();
    let vault = disk.path().join("vault");
    let head = head(&console, &recipient).replace(console.path("vault").to_str().unwrap(), vault.to_str().unwrap());
    let services = "[hosts.val-1.services.files]\npaths = [\"/srv/app\"]\n";
    console.write_inventory(&(head + &host_table(fleet, &machine, "ops", services)));
    console.run(&["init"]).expect(0);
    enroll(&console, &machine);
    console.run(&["backup", "val-1/files/tree"]).expect(0);

    let restore = ["restore", "val-1/files/tree", "--to", "val-1", "--confirm", "overwrite=val-1"];
    machine.exec("echo first >/srv/app/file").ok();
    let finished = console.run(&restore).expect(0).err;
    let finished = finished.lines().find_map(|line| line.strip_prefix("run ")).unwrap().to_owned();
    machine.exec("echo second >/srv/app/file").ok();
    // Killed when the files lay beside their place.
    let broken_off_again = || kill_after_step(&console, &restore, 2);
    let broken_off = broken_off_again();
    let state = || {
        machine.exec("find /srv /var/lib/lifeboat ! -name lock ! -name holder -printf '%p %s %T@\\n' | sort; cat /srv/app/file").ok()
    };
    let filler = disk.path().join("filler");
    let fill = || {
        let free = rustix::fs::statvfs(disk.path()).unwrap();
        std::fs::write(&filler, vec![1; usize::try_from(free.f_bavail * free.f_frsize).unwrap() - (300 << 10)])
            .unwrap();
    };
    // What a killed console had held back is there for whoever takes its run up, however full the disk is by then.
    fill();
    console.run(&["resume", &broken_off, "--roll-back"]).expect(0);
    assert_eq!(machine.exec("cat /srv/app/file").ok(), "second\n");
    std::fs::remove_file(&filler).unwrap();
    let broken_off = broken_off_again();
    std::fs::remove_file(vault.join("runs").join(&broken_off).join(".reserve")).unwrap();
    let (before, runs) = (state(), files_below(&vault.join("runs")));
    fill();
    let confirm = format!("rollback={finished}");
    for args in [
        &["resume", &broken_off][..],
        &["resume", &broken_off, "--roll-back"],
        &["resume", &broken_off, "--leave"],
        &["rollback", &finished, "--confirm", &confirm],
        &restore,
    ] {
        println!("{args:?}");
        let ended = console.run(args);
        println!("{}", ended.err);
        let ended = ended.expect(18).says("There is no space left").says("next: ");
        if args[0] == "resume" {
            ended.says("Nothing was begun: the run lies on its nodes as it did.");
        }
        assert_eq!(state(), before, "{args:?}");
        assert_eq!(files_below(&vault.join("runs")), runs, "{args:?}: something of it stays in the vault");
    }
    // Into a vault elsewhere, as it is hinted.
    let other = console.path("other");
    console.run(&["--vault", other.to_str().unwrap(), "init"]).expect(0);
    let taken = ["--vault", other.to_str().unwrap(), "resume", &broken_off, "--adopt", "--on", "val-1", "--roll-back"];
    let asked = console.run(&taken).expect(15).err;
    let word = asked.split("--confirm ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    console.run(&[&taken[..], &["--confirm", &word]].concat()).expect(0);
    assert_eq!(machine.exec("cat /srv/app/file").ok(), "second\n");
    assert_eq!(left_by_lifeboat(&machine), "");

    std::fs::remove_file(&filler).unwrap();
    console.run(&["rollback", &finished, "--confirm", &confirm]).expect(0);
    assert_eq!(machine.exec("cat /srv/app/file").ok(), "first\n");
    let again = broken_off_again();
    console.run(&["resume", &again]).expect(0);
    assert_eq!(machine.exec("cat /srv/app/file").ok(), "saved\n");
    console.run(&["verify"]).expect(0);
}
