//! Several consoles and one run: killed and adopted after every step, stopped and woken too late, left as it is.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::avalanchego::{DATA, avalanche_node_id, try_identity};
use super::consul::{self, consul_all, consul_fill, consul_put, install_consul};
use super::faults::{
    DECLARED, STAKING, avalanche, enroll, fresh_validator, kill_after_step, left_by_lifeboat, restore_to_spare, run_of,
    staking_listing,
};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::{Stage, head, host_table};
use super::tree::{install_tree, tree_listing};
use crate::support::console::{Console, Ended, ahead_of_others};

/// A console of its own with the same inventory and the same vault, enrolled with the same machines.
pub(super) fn second(first: &Console, machines: &[&Machine]) -> Console {
    let console = Console::new();
    console.write_inventory(&std::fs::read_to_string(first.path("config/inventory.toml")).unwrap());
    for machine in machines {
        enroll(&console, machine);
    }
    console
}

/// Waits until nothing of Lifeboat's counts on the node any more: what its guard does by itself is done.
pub(super) fn settled(machine: &Machine) {
    // A timer that has elapsed stays until its run is gone.
    let counts = "systemctl list-units --no-legend 'lifeboat*' | grep -e waiting -e running -e start; :";
    let quiet = || machine.exec(counts).ok().trim().is_empty().then_some(());
    let told = "systemctl list-units --all 'lifeboat*'; cd /var/lib/lifeboat/runs/*/ && cat fired fired.log";
    assert!(wait_for(Duration::from_mins(1), quiet).is_some(), "a guard still counts\n{}", machine.exec(told));
}

/// The ops of a command's plan, in order.
pub(super) fn ops_of(console: &Console, args: &[&str]) -> Vec<String> {
    let planned = console.run(&[args, &["--plan", "--json"]].concat()).expect(0);
    let plan = planned.documents().into_iter().find(|document| document["kind"] == "plan").unwrap();
    plan["plan"]["steps"].as_array().unwrap().iter().map(|step| step["op"].as_str().unwrap().to_owned()).collect()
}

pub(super) fn one(services: &dyn Fn(&Machine) -> String) -> (Console, Machine) {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    let console = Console::new();
    let recipient = console.keygen();
    console.write_inventory(&(head(&console, &recipient) + &host_table(fleet, &machine, "ops", &services(&machine))));
    console.run(&["init"]).expect(0);
    enroll(&console, &machine);
    (console, machine)
}

#[test]
fn a_restore_of_files_killed_after_each_step_is_adopted() {
    let (first, machine) = one(&|machine| {
        format!("[hosts.{}.services.files]\npaths = [\"/srv/tree\"]\nunit = \"treeapp.service\"\n", machine.name())
    });
    let second = second(&first, &[&machine]);
    install_tree(&machine, "/srv/tree");
    first.run(&["backup", "val-1/files/tree"]).expect(0);
    let saved = tree_listing(&machine, "/srv/tree");
    let damage = || {
        machine
            .exec(
                "cd /srv/tree && rm -f plain.txt hardlink && echo other >private && echo new >added &&
             touch -d '2003-04-05 06:07:08' private added",
            )
            .ok()
    };
    damage();
    let damaged = tree_listing(&machine, "/srv/tree");
    assert_ne!(saved, damaged);

    let args = ["restore", "val-1/files/tree", "--to", "val-1", "--confirm", "overwrite=val-1", "--set", "guard=8"];
    let ops = ops_of(&first, &args);
    let (steps, start) = (ops.len(), ops.iter().position(|op| op == "service.start/1").unwrap() + 1);
    for step in 0..=steps {
        let go_on = step % 2 == 0;
        let told = format!("killed after step {step} of {steps}, then {}", if go_on { "on" } else { "back" });
        println!("{told}");
        let run = kill_after_step(&first, &args, step);
        settled(&machine);
        assert!(machine.exec("systemctl is-active --quiet treeapp").success(), "{told}: the service is down");
        let now = tree_listing(&machine, "/srv/tree");
        assert!(now == saved || now == damaged, "{told}: half a tree\n{now}");
        let resume = ["resume", &run, "--adopt", "--roll-back"];
        second.run(&resume[..if go_on { 3 } else { 4 }]).expect(0);
        let wanted = if go_on { &saved } else { &damaged };
        assert_eq!(&tree_listing(&machine, "/srv/tree"), wanted, "{told}");
        assert!(machine.exec("systemctl is-active --quiet treeapp").success(), "{told}");
        assert_eq!(left_by_lifeboat(&machine), "", "{told}");
        let kept = machine.exec("ls -A /srv | grep '[.]kept$'; :").ok();
        let (since, replaced): (Vec<&str>, Vec<&str>) = kept.lines().partition(|name| name.ends_with(".since.kept"));
        assert_eq!(replaced.len(), usize::from(go_on), "{told}: {kept}");
        // From the start on the tree was in use. Right before it nobody knows whether the start had begun.
        assert!(since.is_empty() || (!go_on && step + 1 >= start), "{told}: {kept}");
        assert!(go_on || step < start || since.len() == 1, "{told}: {kept}");
        first.run(&["kept", "val-1", "--purge", "--confirm", "purge-val-1=val-1"]).expect(0);
        assert_eq!(machine.exec("ls -A /srv | grep '[.]kept$'; :").ok(), "", "{told}");
        if go_on {
            damage();
            assert_eq!(tree_listing(&machine, "/srv/tree"), damaged);
        }
    }
}

/// The machine the files came from is gone; the target has a tree of its own in one place, and nothing in the other.
#[test]
fn a_restore_of_a_lost_machine_s_files_onto_a_spare_killed_after_each_step_is_adopted() {
    let Stage { console: first, old, spare } = Stage::set(&|machine| {
        let host = format!("[hosts.{}.services", machine.name());
        let tree = "paths = [\"/srv/tree\"]\nunit = \"treeapp.service\"\n";
        format!("{host}.files]\n{tree}{host}.plain]\nkind = \"files\"\npaths = [\"/srv/plain\"]\n")
    });
    let second = second(&first, &[&spare]);
    install_tree(&old, "/srv/tree");
    old.exec("cp -a /srv/tree /srv/plain && rm /srv/plain/heartbeat").ok();
    first.run(&["backup", "val-1/files/tree", "val-1/plain/tree"]).expect(0);
    let saved = ["tree", "plain"].map(|name| tree_listing(&old, &format!("/srv/{name}")));
    old.destroy();
    install_tree(&spare, "/srv/tree");
    spare.exec("cd /srv/tree && rm -f plain.txt hardlink && echo other >private && echo new >added").ok();
    let listing = |name: &str| {
        let path = format!("/srv/{name}");
        if spare.path(&path).exists() { tree_listing(&spare, &path) } else { String::new() }
    };
    let is_up = || spare.exec("systemctl is-active --quiet treeapp").success();
    for ((name, item), saved) in [("tree", "val-1/files/tree"), ("plain", "val-1/plain/tree")].iter().zip(&saved) {
        let before = listing(name);
        assert!(before.is_empty() == (*name == "plain") && before != *saved);
        let args = ["restore", item, "--to", "spare-1", "--confirm", "overwrite=spare-1"];
        let args = if *name == "tree" { [&args[..], &["--set", "guard=8"]].concat() } else { args.to_vec() };
        let steps = ops_of(&first, &args).len();
        // On the machine they came from, every other step goes on; here it is the other half.
        for (step, go_on) in (0..=steps).map(|step| (step, step % 2 == 1)) {
            let told =
                format!("{name} killed after step {step} of {steps}, then {}", if go_on { "on" } else { "back" });
            println!("{told}");
            let run = kill_after_step(&first, &args, step);
            settled(&spare);
            assert!(is_up(), "{told}: the service is down");
            let now = listing(name);
            assert!(now == *saved || now == before, "{told}: half a tree\n{now}");
            let resume = ["resume", &run, "--adopt", "--roll-back"];
            second.run(&resume[..if go_on { 3 } else { 4 }]).expect(0);
            assert_eq!(&listing(name), if go_on { saved } else { &before }, "{told}");
            assert!(is_up(), "{told}");
            assert_eq!(left_by_lifeboat(&spare), "", "{told}");
            if go_on {
                // As the next round finds it: what was kept aside comes back, or nothing.
                second.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
                assert_eq!(listing(name), before, "{told}: rolled back");
            }
            let kept = || spare.exec("ls -A /srv | grep '[.]kept$'; :").ok();
            if !kept().is_empty() {
                first.run(&["kept", "spare-1", "--purge", "--confirm", "purge-spare-1=spare-1"]).expect(0);
            }
            assert_eq!(kept(), "", "{told}");
        }
        first.run(&args).expect(0).says("restored and proven");
        assert_eq!(&listing(name), saved);
    }
}

/// A guard's own unit ends what it left behind unless it is told not to, and what a declared command starts may be the
/// service itself.
#[test]
fn what_a_guard_starts_outlives_the_guard() {
    let (console, machine) = one(&|machine| {
        format!(
            "[hosts.{}.services.files]\npaths = [\"/srv/tree\"]\nquiesce = \"touch /run/held\"\n\
             resume = \"rm -f /run/held; sleep 3600 >/dev/null 2>&1 & echo $! >/run/started\"\n",
            machine.name()
        )
    });
    install_tree(&machine, "/srv/tree");
    console.run(&["backup", "val-1/files/tree"]).expect(0);
    machine.exec("rm -f /run/started").ok();
    let args = ["restore", "val-1/files/tree", "--to", "val-1", "--confirm", "overwrite=val-1", "--set", "guard=5"];
    let hold = ops_of(&console, &args).iter().position(|op| op == "command.run/1").unwrap() + 1;
    let run = kill_after_step(&console, &args, hold);
    let fired = format!("grep -q 'all done' /var/lib/lifeboat/runs/{run}/fired.log");
    let acted = wait_for(Duration::from_secs(30), || machine.exec(&fired).success().then_some(()));
    assert!(acted.is_some(), "the guard never acted");
    settled(&machine);
    assert!(machine.exec("test ! -e /run/held && kill -0 $(cat /run/started)").success(), "what it started is gone");
    console.run(&["resume", &run, "--roll-back"]).expect(0);
    assert!(machine.exec("kill $(cat /run/started)").success());
    assert_eq!(left_by_lifeboat(&machine), "");
}

#[test]
fn a_restore_of_a_datacenter_killed_after_each_step_is_adopted() {
    let (first, machine) = one(&|machine| format!("[hosts.{}.services.consul]\n", machine.name()));
    let second = second(&first, &[&machine]);
    install_consul(&machine, &consul::Options { acls: false, ..consul::Options::default() });
    consul_fill(&machine, None, "bulk", 200);
    first.run(&["backup", "val-1/consul/snapshot"]).expect(0);
    let saved = consul_all(&machine, None);
    let change = || consul_put(&machine, None, "later", "than the copy");
    change();
    let changed = consul_all(&machine, None);

    let reference = latest(&first, "val-1/consul/snapshot");
    let args = ["restore", &reference, "--to", "val-1", "--confirm", "overwrite=dc1"];
    let steps = ops_of(&first, &args).len();
    // From the request on there is no way back but the copy that was made first.
    let replaced = steps - 1;
    for step in 0..=steps {
        let go_on = step >= replaced || step % 2 == 0;
        let told = format!("killed after step {step} of {steps}, then {}", if go_on { "on" } else { "back" });
        println!("{told}");
        let run = kill_after_step(&first, &args, step);
        let now = consul_all(&machine, None);
        assert!(now == saved || now == changed, "{told}: half a datacenter");
        assert!(step < replaced || now == saved, "{told}");
        let resume = ["resume", &run, "--adopt", "--roll-back"];
        let ended = second.run(&resume[..if go_on { 3 } else { 4 }]);
        if ended.code == Some(6) && step + 1 == replaced {
            // Killed after the request was noted and before it was sent: it is sent once, so nothing is sent again.
            ended.says("had begun and is not done twice").says("KVS: 201 instead of 200");
            assert_eq!(consul_all(&machine, None), changed, "{told}");
            second.run(&["resume", &run, "--adopt", "--leave"]).expect(0);
            first.run(&args).expect(0);
        } else {
            ended.expect(0);
        }
        assert_eq!(consul_all(&machine, None), if go_on { saved.clone() } else { changed.clone() }, "{told}");
        assert_eq!(left_by_lifeboat(&machine), "", "{told}");
        if go_on {
            change();
        }
    }
    // No run brings back what one request replaced: a rollback names the copy that was taken before, which does.
    let run = run_of(&first.run(&args).expect(0));
    assert_eq!(consul_all(&machine, None), saved);
    let refused = first.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(1);
    let named = refused.err.split("lifeboat restore ").nth(1).expect("the way back is named");
    let back: Vec<&str> = ["restore"].into_iter().chain(named.split_whitespace().take(3)).collect();
    first.run(&[&back[..], &["--confirm", "overwrite=dc1"]].concat()).expect(0);
    assert_eq!(consul_all(&machine, None), changed);
    second.run(&["verify"]).expect(0);
}

/// The newest snapshot of an item by its id: later ones of the same item are not meant.
fn latest(console: &Console, item: &str) -> String {
    let listed = console.run(&["list", item]).expect(0).out;
    let line = listed.lines().rev().find(|line| line.starts_with(item)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// A console's process, which goes with the test however that ends: one that is stopped would stay for ever.
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a restore and stops its console, alive, right after `step` steps are done; gives it with the run's id.
pub(super) fn stop_after_step(
    console: &Console,
    args: &[&str],
    step: usize,
) -> (Process, BufReader<std::process::ChildStderr>, String) {
    ahead_of_others(|| {
        let mut child = Process(console.start(args));
        let mut err = BufReader::new(child.0.stderr.take().unwrap());
        let (mut run, mut told, sign) = (String::new(), String::new(), format!("  done    {step}/"));
        loop {
            let mut line = String::new();
            assert_ne!(err.read_line(&mut line).unwrap(), 0, "'{sign}' was never said:\n{told}");
            if let Some(id) = line.strip_prefix("run ") {
                id.trim().clone_into(&mut run);
            }
            told += &line;
            if line.starts_with(&sign) {
                break;
            }
        }
        kill_process(Pid::from_child(&child.0), Signal::STOP).unwrap();
        (child, err, run)
    })
}

/// Lets a stopped console go on to its end; its exit code and what it says from here on.
pub(super) fn wake(mut child: Process, mut err: BufReader<std::process::ChildStderr>) -> (Option<i32>, String) {
    kill_process(Pid::from_child(&child.0), Signal::CONT).unwrap();
    let mut said = String::new();
    err.read_to_string(&mut said).unwrap();
    (child.0.wait().unwrap().code(), said)
}

/// Runs a command and gives every consent it asks for, as its hints name them.
fn answering(console: &Console, args: &[&str]) -> Ended {
    let asked = console.run(args);
    if asked.code != Some(15) {
        return asked;
    }
    let words: Vec<&str> = asked.err.split_whitespace().collect();
    let consents = words.windows(2).filter(|pair| pair[0] == "--confirm").flatten().copied();
    console.run(&args.iter().copied().chain(consents).collect::<Vec<_>>())
}

#[test]
fn a_console_that_wakes_late_is_refused_and_others_see_who_is_at_work() {
    let fleet = Fleet::shared();
    let Stage { console: first, old, spare } = Stage::set(&avalanche);
    let identity = fresh_validator(&old);
    fresh_validator(&spare);
    first.run(&["backup", STAKING]).expect(0);
    old.destroy();
    let second = second(&first, &[&spare]);
    let args = restore_to_spare(&[&DECLARED[..], &["--set", "guard=120"]].concat());
    // While one console works, another is told which run and whose, and what to do about it.
    let (child, err, run) = stop_after_step(&first, &args, 2);
    let refused = second.run(&args).expect(1).says(&run).says(&format!("lifeboat resume {run} --adopt"));
    let owner = second.run(&["runs", "--on", "spare-1"]).expect(0);
    let owner =
        owner.out.lines().find(|line| line.starts_with(&run)).unwrap().split_whitespace().nth(2).unwrap().to_owned();
    assert!(refused.err.contains(&owner), "{owner} is not named: {}", refused.err);
    // As long as it lives its vault's own record of the run is its alone.
    second.run(&["resume", &run, "--adopt"]).expect(13).says("is held by another process");

    // A console with another vault knows nothing of the run but what the node tells, and takes it over by that.
    let stranger = Console::new();
    let recipient = stranger.keygen();
    stranger.write_inventory(&(head(&stranger, &recipient) + &host_table(fleet, &spare, "ops", &avalanche(&spare))));
    stranger.run(&["init"]).expect(0);
    enroll(&stranger, &spare);
    stranger.run(&["resume", &run, "--adopt"]).expect(7).says(&run);
    answering(&stranger, &["resume", &run[..run.len() - 2], "--adopt", "--on", "spare-1"]).expect(0);
    assert_eq!(wait_for(Duration::from_secs(40), || try_identity(&spare)), Some(identity.clone()));
    assert_eq!(left_by_lifeboat(&spare), "");
    stranger.run(&["runs"]).expect(0).says(&run);
    // The first one wakes, and is refused by the node itself.
    let before = staking_listing(&spare);
    let (code, said) = wake(child, err);
    println!("woken late: {code:?}\n{said}");
    assert!(code.is_some_and(|code| code != 0), "{said}");
    assert!(said.contains("another console") || said.contains("no longer there"), "{said}");
    assert_eq!(staking_listing(&spare), before, "nothing was touched");
    assert_eq!(avalanche_node_id(&spare), identity);
    assert_eq!(left_by_lifeboat(&spare), "");

    // Left as it is: what stands stays, and the locks are given back.
    let run = kill_after_step(&first, &restore_to_spare(&[&DECLARED[..], &["--set", "guard=8"]].concat()), 3);
    let back = wait_for(Duration::from_mins(1), || {
        spare.exec(&format!("test -s /var/lib/lifeboat/runs/{run}/fired")).success().then_some(())
    });
    assert!(back.is_some(), "the guard acts by itself");
    settled(&spare);
    let running = wait_for(Duration::from_secs(40), || try_identity(&spare));
    // The guard put back what was there; what had been brought lies beside it, and is told and removed.
    let left =
        second.run(&["resume", &run, "--adopt", "--leave"]).expect(0).says("left as it is").says("kept on spare-1: ");
    let kept = second.run(&["kept", "spare-1"]).expect(0).says(&run);
    for path in spare.exec(&format!("find {DATA} -name '*.lifeboat-{run}.*' -prune")).ok().lines() {
        assert!(left.out.contains(path) && kept.out.contains(path), "{path}\n{}\n{}", left.out, kept.out);
    }
    second.run(&["kept", "spare-1", "--purge", "--confirm", "purge-spare-1=spare-1"]).expect(0).says("removed");
    assert_eq!(spare.exec(&format!("find {DATA} -name '*.lifeboat-{run}.*'")).ok(), "");
    assert_eq!(wait_for(Duration::from_secs(40), || try_identity(&spare)), running);
    assert_eq!(spare.exec("ls -A /var/lib/lifeboat/runs /var/lib/lifeboat/locks /var/lib/lifeboat/hold 2>/dev/null | grep -v -e ':$' -e '^$'; :").ok(), "");
    first.run(&["backup", "spare-1/avalanchego/staking-identity"]).expect(0);
    first.run(&["resume", &run, "--adopt"]).expect(2).says("has ended");
}
