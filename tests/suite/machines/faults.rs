//! What goes wrong on real machines: consoles that die, twins, impostors, full disks, cut links.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::avalanchego::{
    self, DATA, Identity, avalanche_node_id, install_avalanchego, start_avalanchego, try_identity,
};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::{Stage, head, host_table, write_secret};
use super::tree::{install_tree, tree_listing};
use crate::support::console::{Console, ahead_of_others, files_below};
use crate::support::fault_proxy::{FaultProxy, Toward};

pub(super) const STAKING: &str = "val-1/avalanchego/staking-identity";
/// The address stands in the configuration, and what is there is an identity of its own.
pub(super) const ONTO_SPARE: [&str; 4] = ["--confirm", "public-ip=127.0.0.1", "--confirm", "overwrite=spare-1"];
pub(super) const DECLARED: [&str; 6] =
    ["--confirm", "fenced-val-1=val-1", ONTO_SPARE[0], ONTO_SPARE[1], ONTO_SPARE[2], ONTO_SPARE[3]];

pub(super) fn avalanche(machine: &Machine) -> String {
    format!("[hosts.{}.services.avalanchego]\n", machine.name())
}

fn files(machine: &Machine, path: &str) -> String {
    format!("[hosts.{}.services.files]\npaths = [\"{path}\"]\n", machine.name())
}

pub(super) fn restore_to_spare<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["restore", STAKING, "--to", "spare-1"][..], more].concat()
}

pub(super) fn fresh_validator(machine: &Machine) -> Identity {
    install_avalanchego(machine, &avalanchego::Options { start: false, ..avalanchego::Options::default() });
    start_avalanchego(machine)
}

pub(super) fn enroll(console: &Console, machine: &Machine) {
    console.run(&["enroll", machine.name(), "--fingerprint", &machine.host_key_fingerprint()]).expect(0);
}

/// Everything of Lifeboat's that lies on a machine besides what was kept on purpose.
pub(super) fn left_by_lifeboat(machine: &Machine) -> String {
    machine
        .exec(&format!(
            "ls -A /var/lib/lifeboat/runs /var/lib/lifeboat/locks /var/lib/lifeboat/hold 2>/dev/null | grep -v -e '^/' -e '^$'
             ls -d /etc/systemd/system/*lifeboat* /etc/systemd/system/*.d/*lifeboat* 2>/dev/null
             ls /etc/systemd/system/timers.target.wants 2>/dev/null | grep lifeboat
             systemctl list-units --all --no-legend 'lifeboat*'
             find {DATA} /home/avax -maxdepth 2 -name '*.lifeboat-*' ! -name '*.kept' 2>/dev/null | sort -u
             :"
        ))
        .ok()
}

fn kept_copies(machine: &Machine) -> String {
    machine.exec(&format!("find {DATA} -name '*.lifeboat-*.kept' -prune | sort; :")).ok()
}

pub(super) fn staking_listing(machine: &Machine) -> String {
    machine
        .exec(&format!(
            "cd {DATA}/staking && find . -printf '%P %m %U:%G %s %T@\\n' | sort && sha256sum *; ls -A {DATA} | grep -v '[.]kept$'"
        ))
        .ok()
}

/// Where a restore's console is killed and what the one that finds its run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    RollBack,
}

/// Starts a restore and kills it right after it printed that `step` steps are done; gives the run's id.
pub(super) fn kill_after_step(console: &Console, args: &[&str], step: usize) -> String {
    kill_at(console, args, &if step == 0 { "run ".to_owned() } else { format!("  done    {step}/") })
}

/// Starts the program and kills it right after it printed a line that begins with `sign`; gives the run's id.
fn kill_at(console: &Console, args: &[&str], sign: &str) -> String {
    ahead_of_others(|| {
        let mut child = console.start(args);
        let (mut run, mut told) = (String::new(), String::new());
        let reached = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).any(|line| {
            told += &format!("{line}\n");
            if let Some(id) = line.strip_prefix("run ") {
                id.clone_into(&mut run);
            }
            line.starts_with(sign)
        });
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(reached, "'{sign}' was never said:\n{told}");
        assert_eq!(status.code(), None, "it ended by itself before it was killed at '{sign}':\n{told}");
        run
    })
}

#[test]
fn a_console_killed_at_each_step_is_adopted_by_another() {
    let fleet = Fleet::shared();
    let old = Machine::boot(fleet, "val-1");
    let first = Console::new();
    let recipient = first.keygen();
    let identity = fresh_validator(&old);
    let inventory = head(&first, &recipient) + &host_table(fleet, &old, "ops", &avalanche(&old));
    first.write_inventory(&inventory);
    first.run(&["init"]).expect(0);
    enroll(&first, &old);
    first.run(&["backup", STAKING]).expect(0);
    old.destroy();

    let second = Console::new();
    let mut steps = None;
    let rounds = [
        (0, Then::GoOn),
        (1, Then::RollBack),
        (2, Then::GoOn),
        (3, Then::RollBack),
        (4, Then::GoOn),
        (5, Then::RollBack),
        (6, Then::GoOn),
        (3, Then::GoOn),
        (4, Then::RollBack),
        (6, Then::RollBack),
    ];
    for (step, then) in rounds {
        let told = format!("killed after step {step}, then {then:?}");
        println!("{told}");
        let spare = Machine::boot(fleet, "spare-1");
        let fresh = fresh_validator(&spare);
        let inventory = inventory.clone() + &host_table(fleet, &spare, "ops", &avalanche(&spare));
        for console in [&first, &second] {
            console.write_inventory(&inventory);
            enroll(console, &spare);
        }
        let args = restore_to_spare(&[&DECLARED[..], &["--set", "guard=8"]].concat());
        let planned = first.run(&[&args[..], &["--plan", "--json"]].concat()).expect(0);
        let plan = planned.documents().into_iter().find(|d| d["kind"] == "plan").unwrap();
        steps = steps.max(plan["plan"]["steps"].as_array().map(Vec::len));

        let run = kill_after_step(&first, &args, step);

        // The node helps itself: whatever it decides, one whole identity runs.
        if step >= 3 {
            let fired = format!("test -s /var/lib/lifeboat/runs/{run}/fired");
            let acted = wait_for(Duration::from_secs(25), || spare.exec(&fired).success().then_some(()));
            assert!(acted.is_some(), "{told}: the guard never acted");
        }
        let now = wait_for(Duration::from_secs(40), || {
            spare.exec("systemctl is-active --quiet avalanchego").success().then(|| try_identity(&spare)).flatten()
        });
        let now = now.unwrap_or_else(|| panic!("{told}: nothing runs on the node"));
        match step {
            0..=3 => assert_eq!(now, fresh, "{told}"),
            4 => assert!(now == fresh || now == identity, "{told}: half an identity: {now:?}"),
            _ => assert_eq!(now, identity, "{told}"),
        }
        if step >= 1 {
            first.run(&["runs", "--on", "spare-1"]).expect(0).says(&run);
            second.run(&["runs", "--on", "spare-1"]).expect(0).says(&run);
            second.run(&["resume", &run]).expect(15).says("--adopt");
        }

        let mut resume = vec!["resume", &run, "--adopt"];
        if then == Then::RollBack {
            resume.push("--roll-back");
        }
        println!("{told}: run {run}");
        second.run(&resume).expect(0);
        let wanted = if then == Then::RollBack { &fresh } else { &identity };
        let now = wait_for(Duration::from_secs(40), || try_identity(&spare));
        assert_eq!(now.as_ref(), Some(wanted), "{told}");
        assert_eq!(left_by_lifeboat(&spare), "", "{told}");
        let kept = kept_copies(&spare);
        let (since, replaced): (Vec<&str>, Vec<&str>) = kept.lines().partition(|path| path.ends_with(".since.kept"));
        assert_eq!(replaced.len(), usize::from(then == Then::GoOn), "{told}: {kept}");
        // What had been started may have been used: it is not deleted by going back. After the swap nobody knows whether
        // the start had begun.
        let is_used = then == Then::RollBack && step >= 4;
        assert!(since.len() <= usize::from(is_used) && (!is_used || step == 4 || since.len() == 1), "{told}: {kept}");
        second.run(&["kept", "spare-1"]).expect(0).says(kept.trim());
        // Longer than the lapse: nothing that counts was left behind.
        assert!(spare.exec("systemctl is-enabled --quiet avalanchego").success(), "{told}");
        first.run(&["resume", &run, "--adopt"]).expect(2).says("has ended");
        spare.destroy();
    }
    assert_eq!(steps, Some(6), "the rounds above name every step of the plan");
}

#[test]
fn a_twin_alive_is_never_overridden() {
    let Stage { console, old, spare } = Stage::set(&avalanche);
    let identity = fresh_validator(&old);
    let fresh = fresh_validator(&spare);
    console.run(&["backup", STAKING]).expect(0);

    let before = staking_listing(&spare);
    for confirm in [&DECLARED[..], &["--confirm", "stop-val-1=val-1"], &[]] {
        console.run(&restore_to_spare(confirm)).expect(17).says(&identity.node_id).says("val-1").says("fence=stop");
    }
    assert_eq!(staking_listing(&spare), before);
    assert_eq!(left_by_lifeboat(&spare), "");
    assert_eq!(left_by_lifeboat(&old), "");
    assert_eq!(avalanche_node_id(&spare), fresh);
    assert_eq!(avalanche_node_id(&old), identity);

    // The choice alone is not the consent.
    let unasked = [&["--set", "fence=stop", "--no-input"][..], &ONTO_SPARE].concat();
    console.run(&restore_to_spare(&unasked)).expect(15).says("stop-val-1=val-1");
    assert_eq!(avalanche_node_id(&old), identity);
    assert_eq!(staking_listing(&spare), before);

    let fencing = [&["--set", "fence=stop", "--confirm", "stop-val-1=val-1"][..], &ONTO_SPARE].concat();
    let done = console.run(&restore_to_spare(&fencing)).expect(0);
    let run = done.out.split("lifeboat rollback ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(avalanche_node_id(&spare), identity);
    let state = "systemctl is-active avalanchego; systemctl is-enabled avalanchego; :";
    assert_eq!(old.exec(state).ok(), "inactive\ndisabled\n");
    old.exec("systemctl start avalanchego; :").ok();
    old.power_cycle();
    old.exec("systemctl start avalanchego; sleep 1").ok();
    assert_eq!(old.exec(state).ok(), "inactive\ndisabled\n");
    assert_eq!(try_identity(&old), None);
    assert_eq!(left_by_lifeboat(&spare), "");

    // A rollback does not start the twin; it says that the fence stays, and how a person lifts it.
    let back = console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
    back.says("stays, so that one identity runs once").says("rm /var/lib/lifeboat/fence/avalanchego.service");
    assert_eq!(avalanche_node_id(&spare), fresh);
    assert_eq!(old.exec(state).ok(), "inactive\ndisabled\n");
}

#[test]
fn a_changed_host_key_stops_everything() {
    let fleet = Fleet::shared();
    let Stage { console, old, spare } = Stage::set(&|machine| files(machine, "/srv/tree"));
    install_tree(&old, "/srv/tree");
    console.run(&["backup", "val-1/files/tree"]).expect(0);
    let listing = tree_listing(&old, "/srv/tree");
    let (was, logins) = (old.host_key_fingerprint(), "journalctl --no-pager | grep -c 'Accepted publickey'; :");
    old.replace_host_key();
    let is = old.host_key_fingerprint();
    let before = old.exec(logins).ok();
    assert_ne!(before.trim(), "0", "sshd's log tells of logins");

    let commands: [&[&str]; 8] = [
        &["doctor", "val-1"],
        &["scan", "val-1"],
        &["backup", "val-1"],
        &["backup", "val-1/files/tree"],
        &["restore", "val-1/files/tree", "--to", "val-1"],
        &["runs", "--on", "val-1"],
        &["kept", "val-1"],
        &["enroll", "val-1", "--fingerprint", &is],
    ];
    for command in commands {
        println!("{command:?}");
        let ended = console.run(command).expect(10).says(&was).says(&is);
        // What to do, and which line of which file it is about.
        ended.says("known_hosts:").says("installed anew, remove that line").says("in between");
    }
    assert_eq!(old.exec(logins).ok(), before, "nobody logged in");
    assert_eq!(tree_listing(&old, "/srv/tree"), listing);

    // A machine nobody enrolled is as little trusted, and the way out is named.
    let stranger = Console::new();
    let recipient = stranger.keygen();
    let table = host_table(fleet, &spare, "ops", &files(&spare, "/srv/tree"));
    stranger.write_inventory(&(head(&stranger, &recipient) + &table));
    stranger.run(&["init"]).expect(0);
    let before = spare.exec(logins).ok();
    for command in [["doctor", "spare-1"], ["scan", "spare-1"], ["backup", "spare-1"], ["kept", "spare-1"]] {
        println!("{command:?}");
        stranger.run(&command).expect(10).says(&spare.host_key_fingerprint()).says("lifeboat enroll spare-1");
    }
    assert_eq!(spare.exec(logins).ok(), before, "nobody logged in");
}

#[test]
fn sudo_asks_for_a_password() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("sudo");
    write_secret(&file, fleet.password());
    let console = Console::new();
    let recipient = console.keygen();
    let more = format!("become_password = {{ file = \"{}\" }}\n{}", file.display(), files(&machine, "/srv/tree"));
    console.write_inventory(&(head(&console, &recipient) + &host_table(fleet, &machine, "opspw", &more)));
    console.run(&["init"]).expect(0);
    enroll(&console, &machine);
    install_tree(&machine, "/srv/tree");
    let listing = tree_listing(&machine, "/srv/tree");

    // Looks at every command line and environment there is, as often as it can.
    machine
        .exec(
            "(while [ ! -e /root/enough ]; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; sleep 0.02; done \
              >/root/seen) >/dev/null 2>&1 </dev/null &",
        )
        .ok();
    let mut said = String::new();
    let mut run = |args: &[&str], code| {
        let ended = console.run(args).expect(code);
        said += &format!("{}{}", ended.out, ended.err);
        ended
    };
    run(&["doctor", "val-1"], 0).says("sudo");
    run(&["scan", "val-1"], 0);
    run(&["backup", "val-1/files/tree"], 0);
    machine.exec("systemctl stop treeapp; rm -rf /srv/tree").ok();
    run(&["restore", "val-1/files/tree", "--to", "val-1"], 0);
    assert_eq!(tree_listing(&machine, "/srv/tree"), listing);

    write_secret(&file, "notThePassword7");
    for args in [&["backup", "val-1/files/tree"][..], &["scan", "val-1"], &["kept", "val-1"]] {
        println!("{args:?}");
        run(args, 11).says("Root could not be reached on val-1: the password was not accepted.");
    }
    run(&["doctor", "val-1"], 5).says("the password was not accepted").says("become_password");
    machine.exec("touch /root/enough; sleep 0.2").ok();

    for password in [fleet.password(), "notThePassword7"] {
        assert!(!said.contains(password), "a password was printed");
        let look = "cat >/root/pattern; test -s /root/pattern || exit 9
            grep -qaF sudo /root/seen || { echo 'the watch saw no sudo'; exit 9; }
            journalctl --no-pager -o verbose | grep -qF sudo || { echo 'the journal tells of no sudo'; exit 9; }
            grep -caF -f /root/pattern /root/seen
            journalctl --no-pager -o verbose | grep -cF -f /root/pattern
            grep -rlaF -f /root/pattern /var /etc /home /srv /tmp /run/user 2>/dev/null | grep -v -e journal; :";
        assert_eq!(machine.exec_with(look, password.as_bytes()).ok(), "0\n0\n");
        for place in ["vault", "data", "config", "home"] {
            for file in files_below(&console.path(place)) {
                let bytes = std::fs::read(&file).unwrap();
                let found = bytes.windows(password.len()).any(|window| window == password.as_bytes());
                assert!(!found, "the password lies in {}", file.display());
            }
        }
    }
}

/// A small file system of its own, gone with the test.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn mount(at: PathBuf, mebibytes: u32) -> Self {
        std::fs::create_dir(&at).unwrap();
        let options = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "small"]).arg(&at).status().unwrap();
        assert!(mounted.success());
        Self(at)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

pub(super) fn nothing_staged(vault: &Path) {
    let left = files_below(&vault.join(".staging"));
    assert!(left.is_empty(), "{left:?}");
    let dirs = std::fs::read_dir(vault.join(".staging")).unwrap().count();
    assert_eq!(dirs, 0, "directories stay in .staging");
    assert!(files_below(&vault.join(".leases")).is_empty(), "a lease stays");
}

#[test]
fn a_full_vault_disk_leaves_nothing_half() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    machine.exec("mkdir /srv/big && head -c 20971520 /dev/urandom >/srv/big/random").ok();
    let console = Console::new();
    let disk = SmallDisk::mount(console.path("disk"), 32);
    let recipient = console.keygen();
    let vault = disk.0.join("vault");
    let head = head(&console, &recipient).replace(console.path("vault").to_str().unwrap(), vault.to_str().unwrap());
    console.write_inventory(&(head + &host_table(fleet, &machine, "ops", &files(&machine, "/srv/big"))));
    console.run(&["init"]).expect(0);
    enroll(&console, &machine);

    let other = disk.0.join("other");
    // Full in the middle, and full before the first byte.
    for room in [12 << 20, 0] {
        let free = rustix::fs::statvfs(&disk.0).unwrap();
        let taken = usize::try_from(free.f_bavail * free.f_frsize).unwrap() - room;
        std::fs::write(&other, vec![1; taken]).unwrap();
        console.run(&["backup", "val-1/files/tree"]).expect(18).says("space");
        console.run(&["list"]).expect(7);
        nothing_staged(&vault);
        assert_eq!(left_by_lifeboat(&machine), "");
        std::fs::remove_file(&other).unwrap();
    }
    console.run(&["backup", "val-1/files/tree"]).expect(0);
    console.run(&["verify"]).expect(0);
    console.run(&["list"]).expect(0).says("verified");
    nothing_staged(&vault);
}

#[test]
fn a_link_cut_in_the_middle_of_a_copy() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    machine.exec("mkdir /srv/big && head -c 209715200 /dev/urandom >/srv/big/random").ok();
    let proxy = FaultProxy::start(machine.ssh_address());
    let console = Console::new();
    let recipient = console.keygen();
    let more = format!("port = {}\n{}", proxy.address().port(), files(&machine, "/srv/big"));
    let table = host_table(fleet, &machine, "ops", &more).replace(&machine.address().to_string(), "127.0.0.1");
    console.write_inventory(&(head(&console, &recipient) + &table));
    console.run(&["init"]).expect(0);
    enroll(&console, &machine);

    let before = proxy.passed(Toward::Client);
    proxy.cut_after(Toward::Client, Some(50 << 20));
    let ended = console.run(&["backup", "val-1/files/tree"]);
    assert_eq!(ended.code, Some(12), "{ended:?}");
    assert!(proxy.passed(Toward::Client) - before > 40 << 20, "it was cut in the middle");
    ended.says("val-1/files/tree was not copied").says("The connection to val-1 was lost");
    console.run(&["list"]).expect(7);
    nothing_staged(&console.path("vault"));
    console.run(&["runs"]).expect(0).says("receipt");
    // Down as it is, it is said to be so.
    console.run(&["backup", "val-1/files/tree"]).expect(12).says("val-1");

    proxy.cut_after(Toward::Client, None);
    console.run(&["backup", "val-1/files/tree"]).expect(0);
    console.run(&["verify"]).expect(0);
    let listed = console.run(&["list", "--json"]).expect(0).documents();
    assert_eq!(listed.iter().filter(|document| document["kind"] == "snapshot").count(), 1);
    assert_eq!(left_by_lifeboat(&machine), "");
}

/// The id of the one run a call started.
pub(super) fn run_of(ended: &crate::support::console::Ended) -> String {
    ended.err.lines().find_map(|line| line.strip_prefix("run ")).expect("the run is named").to_owned()
}

#[test]
fn a_finished_restore_is_rolled_back_and_what_it_kept_is_purged() {
    let Stage { console, old, spare } = Stage::set(&avalanche);
    // A validator of the older kind: its keys are RSA, and they take the place of P-256 ones and give it back.
    install_avalanchego(
        &old,
        &avalanchego::Options { start: false, rsa_keys: true, ..avalanchego::Options::default() },
    );
    let identity = start_avalanchego(&old);
    let fresh = fresh_validator(&spare);
    let key_kind = |machine: &Machine| {
        machine
            .exec(&format!("openssl x509 -noout -text -in {DATA}/staking/staker.crt | grep 'Public Key Algorithm'"))
            .ok()
    };
    assert!(key_kind(&old).contains("rsaEncryption") && key_kind(&spare).contains("id-ecPublicKey"));
    console.run(&["scan", "val-1"]).expect(0).says(&identity.node_id);
    console.run(&["backup", STAKING]).expect(0);
    old.destroy();
    console.run(&["verify", STAKING]).expect(0);
    let before = staking_listing(&spare);

    let run = run_of(&console.run(&restore_to_spare(&DECLARED)).expect(0));
    assert_eq!(avalanche_node_id(&spare), identity);
    assert!(key_kind(&spare).contains("rsaEncryption"));
    console.run(&["kept", "spare-1"]).expect(0).says(&run).says(&format!("{DATA}/"));
    assert_eq!(kept_copies(&spare).lines().count(), 1);

    console.run(&["rollback", &run, "--no-input"]).expect(15).says(&format!("rollback={run}"));
    assert_eq!(avalanche_node_id(&spare), identity);
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0).says("rolled back");
    let back = wait_for(Duration::from_secs(40), || try_identity(&spare));
    assert_eq!(back, Some(fresh.clone()));
    assert_eq!(staking_listing(&spare), before, "not a file is different");
    assert_eq!(left_by_lifeboat(&spare), "");
    // What was put back is not kept any more; what ran until then is, and is removed like everything that is kept.
    let kept = console.run(&["kept", "spare-1"]).expect(0);
    assert!(!kept.out.contains(&run), "{}", kept.out);
    assert_eq!(kept_copies(&spare).lines().count(), 1);
    assert!(kept.out.contains(kept_copies(&spare).trim()), "{}", kept.out);
    console.run(&["kept", "spare-1", "--purge", "--confirm", "purge-spare-1=spare-1"]).expect(0).says("removed");
    assert_eq!(kept_copies(&spare), "");
    // Twice is refused, and touches nothing.
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(1).says("has undone it already");
    assert_eq!(avalanche_node_id(&spare), fresh);

    let run = run_of(&console.run(&restore_to_spare(&DECLARED)).expect(0));
    assert_eq!(avalanche_node_id(&spare), identity);
    console.run(&["kept", "spare-1", "--purge", "--no-input"]).expect(15).says("purge-spare-1=spare-1");
    console.run(&["kept", "spare-1", "--purge", "--confirm", "purge-spare-1=val-1"]).expect(15);
    assert_eq!(kept_copies(&spare).lines().count(), 1);
    console.run(&["kept", "spare-1", "--purge", "--confirm", "purge-spare-1=spare-1"]).expect(0).says("removed");
    assert_eq!(kept_copies(&spare), "");
    assert_eq!(console.run(&["kept", "spare-1"]).expect(0).out, "");
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(1).says("lifeboat kept");
    assert_eq!(avalanche_node_id(&spare), identity);
    assert_eq!(left_by_lifeboat(&spare), "");
}

#[test]
fn a_console_killed_while_it_rolls_back_leaves_a_node_that_helps_itself() {
    let Stage { console, old, spare } = Stage::set(&avalanche);
    let identity = fresh_validator(&old);
    let fresh = fresh_validator(&spare);
    console.run(&["backup", STAKING]).expect(0);
    old.destroy();
    let guarded = [&DECLARED[..], &["--set", "guard=8"]].concat();
    // Held and stopped; swapped back but still held; all but tidied.
    for sign in ["  undone  4/6", "  undone  5/6", "  undone  2/6"] {
        println!("killed at '{sign}'");
        let run = run_of(&console.run(&restore_to_spare(&guarded)).expect(0));
        assert_eq!(avalanche_node_id(&spare), identity);
        let confirm = format!("rollback={run}");
        let undoing = kill_at(&console, &["rollback", &run, "--confirm", &confirm], sign);
        assert_ne!(undoing, run);
        let back = wait_for(Duration::from_secs(40), || try_identity(&spare).filter(|now| *now == fresh));
        let state = "cd /var/lib/lifeboat/runs/*/ && tail -n +1 fired fired.log guard.sh; systemctl list-timers --all 'lifeboat*';
                     systemctl status avalanchego; ls -A /home/avax/.avalanchego; journalctl -n 40 --no-pager";
        assert_eq!(back.as_ref(), Some(&fresh), "{sign}: the node did not help itself\n{}", spare.exec(state));
        console.run(&["runs", "--on", "spare-1"]).expect(0).says(&undoing);
        console.run(&["resume", &undoing]).expect(0);
        let back = wait_for(Duration::from_secs(40), || try_identity(&spare));
        assert_eq!(back.as_ref(), Some(&fresh), "{sign}");
        assert_eq!(left_by_lifeboat(&spare), "", "{sign}");
        // What ran until then is kept aside, once, under the id of the run that undid it.
        assert_eq!(kept_copies(&spare).lines().count(), 1, "{sign}");
        console.run(&["kept", "spare-1"]).expect(0).says(&undoing).says(kept_copies(&spare).trim());
        console.run(&["kept", "spare-1", "--purge", "--confirm", "purge-spare-1=spare-1"]).expect(0);
        assert_eq!(kept_copies(&spare), "", "{sign}");
    }
}
