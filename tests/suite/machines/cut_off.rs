//! What befalls a node in the middle of a restore: its link is cut while files are brought, its power goes, its disk is full.

use std::time::Duration;

use super::faults::{enroll, kill_after_step, left_by_lifeboat, run_of};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::{head, host_table};
use super::taken_over::{one, ops_of, second, settled, stop_after_step, wake};
use crate::support::console::Console;
use crate::support::fault_proxy::{FaultProxy, Toward};

/// A tree with as much as a link can be cut in the middle of, and a service that is held still while it is swapped.
fn lay(machine: &Machine, dir: &str, unit: &str) {
    let make = format!(
        "mkdir -p {dir}/inside && cd {dir} && echo saved >file && echo saved >inside/other && head -c 12582912 /dev/urandom >big
         printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/{unit}
         systemctl daemon-reload && systemctl enable -q --now {unit}"
    );
    machine.exec(&make).ok();
}

fn table(name: &str, dir: &str, unit: &str) -> String {
    format!("[hosts.val-1.services.{name}]\nkind = \"files\"\npaths = [\"{dir}\"]\nunit = \"{unit}\"\n")
}

/// Every file with its content, and what lies beside the tree.
fn listing(machine: &Machine, dir: &str) -> String {
    let script = format!(
        "cd {dir} && find . -printf '%y %m %U:%G %s %P\\n' -type f -exec sha256sum {{}} + | sort; ls -A {dir}/.. | grep -v '[.]kept$'"
    );
    machine.exec(&script).ok()
}

/// What of a listing is a run's own, and what is not.
fn split(listing: &str, run: &str) -> (String, String) {
    let (own, other): (Vec<_>, Vec<_>) = listing.lines().map(|line| format!("{line}\n")).partition(|l| l.contains(run));
    (own.concat(), other.concat())
}

fn damage(machine: &Machine, dir: &str) -> String {
    machine.exec(&format!("cd {dir} && echo other >file && rm -rf inside big && echo new >added")).ok();
    listing(machine, dir)
}

fn runs(machine: &Machine, unit: &str) -> bool {
    machine.exec(&format!("systemctl is-active --quiet {unit}")).success()
}

/// The place, counted from one, of the first step with an op.
fn step_of(console: &Console, args: &[&str], op: &str) -> usize {
    let ops = ops_of(console, args);
    ops.iter().position(|one| one == op).unwrap_or_else(|| panic!("no {op} in {ops:?}")) + 1
}

#[test]
fn a_link_cut_while_files_are_brought_leaves_the_node_as_it_was() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    let proxy = FaultProxy::start(machine.ssh_address());
    let console = Console::new();
    let recipient = console.keygen();
    let more = format!("port = {}\n{}", proxy.address().port(), table("files", "/srv/app", "app.service"));
    let host = host_table(fleet, &machine, "ops", &more).replace(&machine.address().to_string(), "127.0.0.1");
    console.write_inventory(&(head(&console, &recipient) + &host));
    console.run(&["init"]).expect(0);
    enroll(&console, &machine);
    lay(&machine, "/srv/app", "app.service");
    let saved = listing(&machine, "/srv/app");
    console.run(&["backup", "val-1/files/tree"]).expect(0);
    let damaged = damage(&machine, "/srv/app");
    let unit = "systemctl show --property=InvocationID --value app";
    let invocation = machine.exec(unit).ok();
    let restore = ["restore", "val-1/files/tree", "--to", "val-1", "--confirm", "overwrite=val-1"];
    // Cuts the link, which is back after a while, or not before somebody lets it.
    let cut_in_the_middle = |back: Option<Duration>| {
        let before = proxy.passed(Toward::Target);
        proxy.set_rate(Some(8 << 20));
        let ended = std::thread::scope(|scope| {
            let running = scope.spawn(|| console.run(&restore));
            let middle = || (proxy.passed(Toward::Target) - before >= 6 << 20).then_some(());
            assert!(wait_for(Duration::from_secs(40), middle).is_some(), "it was never in the middle");
            proxy.set_refusing(back != Some(Duration::ZERO));
            proxy.cut_now();
            proxy.set_rate(None);
            if let Some(away) = back {
                std::thread::sleep(away);
                proxy.set_refusing(false);
            }
            running.join().unwrap()
        });
        println!("back {back:?}: {:?}\n{}", ended.code, ended.err);
        ended
    };

    // A link that comes back, at once or after some seconds, is used to bring everything back.
    for away in [Duration::ZERO, Duration::from_secs(5)] {
        let ended = cut_in_the_middle(Some(away));
        assert_eq!(ended.code, Some(12), "{ended:?}");
        ended.says("val-1").says("Everything is as it was.");
        assert_eq!(listing(&machine, "/srv/app"), damaged);
        assert_eq!(left_by_lifeboat(&machine), "");
    }

    // One that stays away leaves what was brought lying where nothing reads it, and that is said.
    let ended = cut_in_the_middle(None);
    let run = run_of(&ended);
    ended.expect(6).says("val-1").says("could not be reached").says(&format!("lifeboat runs {run}"));
    let (brought, stands) = split(&listing(&machine, "/srv/app"), &run);
    assert!(!brought.is_empty() && stands == damaged, "{brought}{stands}");
    assert_eq!((machine.exec(unit).ok(), runs(&machine, "app")), (invocation, true), "the service was touched");
    proxy.set_refusing(false);
    console.run(&["runs", "--on", "val-1"]).expect(0).says(&run);
    console.run(&["resume", &run, "--roll-back"]).expect(0);
    assert_eq!(listing(&machine, "/srv/app"), damaged);
    assert_eq!(left_by_lifeboat(&machine), "");
    console.run(&restore).expect(0);
    assert_eq!(listing(&machine, "/srv/app"), saved);
    assert_eq!(left_by_lifeboat(&machine), "");
}

#[test]
fn a_power_cut_or_a_full_disk_in_the_middle_is_survived_by_the_node_itself() {
    let (first, machine) =
        one(&|_| table("files", "/srv/app", "app.service") + &table("small", "/mnt/small/app", "small.service"));
    let second = second(&first, &[&machine]);
    lay(&machine, "/srv/app", "app.service");
    let saved = listing(&machine, "/srv/app");
    first.run(&["backup", "val-1/files/tree"]).expect(0);
    let mut damaged = damage(&machine, "/srv/app");
    let with = |guard: &'static str| {
        ["restore", "val-1/files/tree", "--to", "val-1", "--confirm", "overwrite=val-1", "--set", guard]
    };
    let purge = || first.run(&["kept", "val-1", "--purge", "--confirm", "purge-val-1=val-1"]).expect(0);
    let held = |run: &str| {
        let told = machine.exec("cat /var/lib/lifeboat/hold/app.service").ok();
        assert_eq!(told.trim(), run, "the hold outlives the power cut");
        assert!(!runs(&machine, "app"), "a held service starts at boot");
        second.run(&["runs", "--on", "val-1"]).expect(0).says(run);
    };
    let cut_power = |run: &str| {
        machine.poweroff();
        assert!(!machine.path(&format!("/var/lib/lifeboat/runs/{run}/fired")).exists(), "the guard was quicker");
        machine.start();
    };

    // The console is gone and the power goes: after the boot the guard counts again and brings the service back.
    let args = with("guard=12");
    let stop = step_of(&first, &args, "service.stop/1");
    let run = kill_after_step(&first, &args, stop);
    cut_power(&run);
    held(&run);
    settled(&machine);
    assert!(runs(&machine, "app"), "the guard left the service down");
    assert_eq!(machine.exec("test ! -e /var/lib/lifeboat/hold/app.service; echo $?").ok(), "0\n");
    second.run(&["resume", &run]).expect(15).says("--adopt");
    second.run(&["resume", &run, "--adopt", "--roll-back"]).expect(0);
    assert_eq!(listing(&machine, "/srv/app"), damaged);
    assert!(runs(&machine, "app"));
    assert_eq!(left_by_lifeboat(&machine), "");

    // Swapped and not started, and another console is there before the guard acts: it goes on.
    let args = with("guard=120");
    let run = kill_after_step(&first, &args, step_of(&first, &args, "files.swap/1"));
    cut_power(&run);
    held(&run);
    second.run(&["resume", &run, "--adopt"]).expect(0);
    assert_eq!(listing(&machine, "/srv/app"), saved);
    assert!(runs(&machine, "app"));
    assert_eq!(left_by_lifeboat(&machine), "");
    purge();

    // The console lives, and finds a node that was restarted under it.
    damaged = damage(&machine, "/srv/app");
    let (child, err, run) = stop_after_step(&first, &args, stop);
    cut_power(&run);
    held(&run);
    let (code, said) = wake(child, err);
    println!("a restart under a living console: {code:?}\n{said}");
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("Everything is as it was."), "{said}");
    settled(&machine);
    assert_eq!(listing(&machine, "/srv/app"), damaged, "{said}");
    assert!(runs(&machine, "app"), "{said}");
    assert_eq!(left_by_lifeboat(&machine), "", "{said}");

    // Not a byte is free when the guard acts, neither beside the tree nor where the run lies.
    machine
        .exec("mkdir -p /mnt/small && mount -t tmpfs -o size=64m small /mnt/small && mkdir -m 700 /mnt/small/lifeboat && mount --bind /mnt/small/lifeboat /var/lib/lifeboat")
        .ok();
    lay(&machine, "/mnt/small/app", "small.service");
    first.run(&["backup", "val-1/small/tree"]).expect(0);
    let small = damage(&machine, "/mnt/small/app");
    let args = ["restore", "val-1/small/tree", "--to", "val-1", "--confirm", "overwrite=val-1", "--set", "guard=6"];
    for step in ["service.stop/1", "files.swap/1"] {
        let run = kill_after_step(&first, &args, step_of(&first, &args, step));
        machine
            .exec("head -c 90m /dev/zero >/mnt/small/filler 2>/dev/null; test $(df --output=avail -B1 /mnt/small | tail -n 1) -eq 0")
            .ok();
        let fired = format!("grep -q 'all done' /var/lib/lifeboat/runs/{run}/fired.log");
        let acted = wait_for(Duration::from_secs(40), || machine.exec(&fired).success().then_some(()));
        let log = machine.exec(&format!("cd /var/lib/lifeboat/runs/{run}; cat fired fired.log; df /mnt/small")).stdout;
        assert!(acted.is_some() && !log.contains("failed: "), "{step}: {log}");
        settled(&machine);
        assert!(runs(&machine, "small"), "{step}: {log}");
        // What had been brought lies beside it until somebody takes the run up.
        machine.exec("rm /mnt/small/filler").ok();
        assert_eq!(split(&listing(&machine, "/mnt/small/app"), &run).1, small, "{step}");
        second.run(&["resume", &run, "--adopt", "--roll-back"]).expect(0);
        assert_eq!(left_by_lifeboat(&machine), "", "{step}");
        assert_eq!(listing(&machine, "/mnt/small/app"), small, "{step}");
    }
}

/// The unit's next start takes this long, until the machine is started anew.
fn slow_down(machine: &Machine, unit: &str, seconds: u32) {
    let drop_in = format!(
        "mkdir -p /etc/systemd/system/{unit}.d && printf '[Service]\\nExecStartPre=/bin/sh -c \"! [ -e /run/slow ] || sleep {seconds}\"\\n' >/etc/systemd/system/{unit}.d/slow.conf
         systemctl daemon-reload && touch /run/slow"
    );
    machine.exec(&drop_in).ok();
}

#[test]
fn a_guard_that_is_ended_in_the_middle_comes_to_its_end() {
    let (first, machine) = one(&|_| table("files", "/srv/app", "app.service"));
    let second = second(&first, &[&machine]);
    lay(&machine, "/srv/app", "app.service");
    first.run(&["backup", "val-1/files/tree"]).expect(0);
    let damaged = damage(&machine, "/srv/app");
    let args = ["restore", "val-1/files/tree", "--to", "val-1", "--confirm", "overwrite=val-1", "--set", "guard=5"];
    let swap = step_of(&first, &args, "files.swap/1");
    let in_the_middle = |run: &str| {
        let dir = format!("/var/lib/lifeboat/runs/{run}");
        let acts = format!("test -s {dir}/fired && systemctl is-active app | grep -q activating");
        assert!(wait_for(Duration::from_mins(1), || machine.exec(&acts).success().then_some(())).is_some(), "{run}");
        assert!(!machine.exec(&format!("grep 'all done' {dir}/fired.log")).success(), "it was through already");
    };

    // The power goes while it starts the service: after the boot it acts again, with nobody there.
    let run = kill_after_step(&first, &args, swap);
    slow_down(&machine, "app.service", 120);
    in_the_middle(&run);
    // A machine's processes end one after the other, and this one would hear of it; when the power goes nobody hears.
    machine.exec(&format!("systemctl kill -s STOP lifeboat-guard-{run}.service")).ok();
    machine.power_cycle();
    let ended = format!("grep -q 'all done' /var/lib/lifeboat/runs/{run}/fired.log");
    assert!(wait_for(Duration::from_mins(1), || machine.exec(&ended).success().then_some(())).is_some());
    assert!(runs(&machine, "app"), "the guard left the service down");
    assert_eq!(split(&listing(&machine, "/srv/app"), &run).1, damaged);
    second.run(&["resume", &run, "--adopt", "--roll-back"]).expect(0);
    assert_eq!(listing(&machine, "/srv/app"), damaged);
    assert_eq!(left_by_lifeboat(&machine), "");

    // Somebody ends it by force: whoever takes the run up has it finish first.
    let run = kill_after_step(&first, &args, swap);
    slow_down(&machine, "app.service", 20);
    in_the_middle(&run);
    machine.exec(&format!("systemctl kill -s KILL lifeboat-guard-{run}.service")).ok();
    second.run(&["resume", &run, "--adopt", "--roll-back"]).expect(0);
    assert!(runs(&machine, "app"));
    assert_eq!(listing(&machine, "/srv/app"), damaged);
    assert_eq!(left_by_lifeboat(&machine), "");
}
