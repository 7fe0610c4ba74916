//! Ways in, and ways in that end: enrolment by a person, passwords, no rights, a peer that is silent for ever.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::config::paths::Paths;
use lifeboat::engine::dialer::NodeDialer;
use lifeboat::engine::links::Dialer;
use lifeboat::engine::scan::check_service;
use lifeboat::model::ids::HostId;
use lifeboat::transport::{Cancel, Script, Transport};

use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::story::{head, host_table, write_secret};
use crate::support::console::{Console, files_below};
use crate::support::pty::{Pty, Start};
use crate::transport::conform::secrets;

const WRONG: &str = "notThePassword7";

fn console(inventory: &dyn Fn(&Console) -> String) -> Console {
    let console = Console::new();
    let recipient = console.keygen();
    let text = head(&console, &recipient) + &inventory(&console);
    console.write_inventory(&text);
    console.run(&["init"]).expect(0);
    console
}

fn enroll(console: &Console, machine: &Machine) {
    console.run(&["enroll", machine.name(), "--fingerprint", &machine.host_key_fingerprint()]).expect(0);
}

#[test]
fn a_host_key_is_stored_after_a_typed_yes_and_after_nothing_else() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    let console = console(&|_| host_table(fleet, &machine, "ops", ""));
    let known = console.path("data/known_hosts");
    let print = machine.host_key_fingerprint();
    let other = format!("SHA256:{}", "A".repeat(43));
    console.run(&["enroll", "val-1", "--fingerprint", &other]).expect(10).says(&print).says(&other);
    assert!(!known.exists(), "a wrong fingerprint stores nothing");
    console.run(&["enroll", "val-1", "--no-input"]).expect(15).says(&format!("--fingerprint {print}"));
    assert!(!known.exists(), "nobody was asked");

    let asked = || {
        let pty = Start::lifeboat(&console, &["enroll", "val-1"]).size(200, 24).go();
        pty.wait_for_raw("Type 'yes' to go on:");
        assert!(pty.count(&format!("Is {print} the key of val-1?")) == 1, "{}", pty.screen());
        pty
    };
    let ends = |mut pty: Pty, typed: &str, code: u32| {
        pty.send(typed);
        assert_eq!(pty.wait_exit(), code, "{typed:?}: {}", pty.screen());
    };
    for (typed, code) in [("no\r", 15), ("y\r", 15), ("\r", 15), ("\x04", 15), ("\x03", 130)] {
        ends(asked(), typed, code);
        assert!(!known.exists(), "{typed:?} is no yes");
    }
    ends(asked(), "yes\r", 0);
    let stored = std::fs::read_to_string(&known).unwrap();
    let key = machine.known_hosts_line();
    assert!(stored.contains(key.split_once(' ').unwrap().1.trim()), "{stored}");
    console.run(&["doctor", "val-1"]).expect(0);
    console.run(&["enroll", "val-1"]).expect(0).says("known already");
}

/// Lets the machine's server take one method only.
fn only(machine: &Machine, method: &str) {
    let yes = |own: &str| if own == method { "yes" } else { "no" };
    let text =
        ["Pubkey", "Password", "KbdInteractive"].map(|own| format!("{own}Authentication {}\n", yes(own))).concat();
    machine.write_as("root", "/etc/ssh/sshd_config.d/00-test.conf", &text, 0o644);
    machine.exec("systemctl reload ssh").ok();
    let offered = || {
        let asked = std::process::Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .arg(format!("nobody@{}", machine.address()))
            .output()
            .unwrap();
        String::from_utf8_lossy(&asked.stderr).into_owned()
    };
    let word = match method {
        "Pubkey" => "(publickey)",
        "Password" => "(password)",
        _ => "(keyboard-interactive)",
    };
    assert!(wait_for(Duration::from_secs(10), || offered().contains(word).then_some(())).is_some(), "{}", offered());
}

#[test]
fn a_password_logs_in_by_either_method_and_a_wrong_one_does_not() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    machine.exec("mkdir /srv/app && echo saved >/srv/app/file").ok();
    let table = |password: &str| {
        let services = "[hosts.val-1.services.files]\npaths = [\"/srv/app\"]\n";
        let table = host_table(
            fleet,
            &machine,
            "opspw",
            &format!("password = {password}\nbecome_password = {password}\n{services}"),
        );
        // Without a key at hand.
        let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with("identity_file")).collect();
        lines.join("\n") + "\n"
    };
    let console = console(&|console| table(&format!("{{ file = \"{}\" }}", console.path("password").display())));
    let file = console.path("password");
    write_secret(&file, fleet.password());
    enroll(&console, &machine);
    let mut said = String::new();
    for (method, name) in [("Password", "password"), ("KbdInteractive", "keyboard-interactive")] {
        println!("{method}");
        only(&machine, method);
        write_secret(&file, fleet.password());
        let mut run = |args: &[&str], code| {
            let ended = console.run(args).expect(code);
            said += &format!("{}{}", ended.out, ended.err);
            ended
        };
        run(&["doctor", "val-1"], 0).says(&format!("opspw by {name}"));
        run(&["backup", "val-1/files/tree"], 0);
        write_secret(&file, WRONG);
        for args in [&["doctor", "val-1"][..], &["scan", "val-1"], &["backup", "val-1"]] {
            run(args, 11).says("opspw@val-1").says(name);
        }
        // Nobody there who could be asked.
        let inventory = std::fs::read_to_string(console.path("config/inventory.toml")).unwrap();
        let asking = inventory.replace(&format!("{{ file = \"{}\" }}", file.display()), "{ prompt = true }");
        console.write_inventory(&asking);
        // In a session of its own there is no terminal, whoever runs this test.
        let program = env!("CARGO_BIN_EXE_lifeboat");
        let alone =
            console.command(&[]).get_envs().fold(std::process::Command::new("setsid"), |mut command, (name, value)| {
                command.env(name, value.unwrap_or_default());
                command
            });
        console.run(&["--no-input", "scan", "val-1"]).expect(11).says("nobody may be asked for it here");
        let ended = { alone }.args(["--wait", program, "scan", "val-1"]).output().unwrap();
        assert_eq!(ended.status.code(), Some(11), "{ended:?}");
        let told = String::from_utf8_lossy(&ended.stdout);
        assert!(told.to_lowercase().contains("there is no terminal to ask at"), "{told}");

        // At a terminal the same question is asked, once for the login and once for sudo, and what is typed not shown.
        let mut pty = Start::lifeboat(&console, &["scan", "val-1"]).size(160, 40).patience(Duration::from_mins(1)).go();
        pty.wait_for_raw("login password of opspw@val-1:");
        pty.send(&format!("{}\r", fleet.password()));
        pty.wait_for_raw("sudo password of");
        pty.send(&format!("{}\r", fleet.password()));
        assert_eq!(pty.wait_exit(), 0, "{}", pty.screen());
        said += &String::from_utf8_lossy(&pty.raw());
        console.write_inventory(&inventory);
    }
    for password in [fleet.password(), WRONG] {
        assert!(!said.contains(password), "a password was shown");
        for place in ["vault", "data", "config", "home"] {
            for file in files_below(&console.path(place)) {
                let bytes = std::fs::read(&file).unwrap();
                let found = bytes.windows(password.len()).any(|window| window == password.as_bytes());
                assert!(!found, "a password lies in {}", file.display());
            }
        }
    }
}

#[test]
fn a_login_as_root_needs_no_way_to_become_it() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    machine.exec("mkdir /srv/app && echo saved >/srv/app/file && chmod 600 /srv/app/file && mv /usr/bin/sudo /usr/bin/sudo.away").ok();
    let services = "[hosts.val-1.services.files]\npaths = [\"/srv/app\"]\n";
    let console = console(&|_| host_table(fleet, &machine, "root", services));
    enroll(&console, &machine);
    console.run(&["doctor", "val-1"]).expect(0).says("login is root");
    console.run(&["backup", "val-1/files/tree"]).expect(0);
    machine.exec("echo other >/srv/app/file").ok();
    console.run(&["restore", "val-1/files/tree", "--to", "val-1", "--confirm", "overwrite=val-1"]).expect(0);
    assert_eq!(machine.exec("cat /srv/app/file").ok(), "saved\n");
    assert_eq!(super::faults::left_by_lifeboat(&machine), "");
}

#[test]
fn without_rights_or_without_the_service_nothing_is_done_and_it_is_said() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    machine.exec("useradd --create-home --shell /bin/sh plain && cp -a /home/ops/.ssh /home/plain/ && chown -R plain: /home/plain/.ssh").ok();
    let kinds = ["avalanchego", "consul"];
    let services: String = kinds.map(|kind| format!("[hosts.val-1.services.{kind}]\n")).concat();
    let blank = console(&|_| {
        let tree = "[hosts.val-1.services.files]\npaths = [\"/srv/nothing\"]\n";
        host_table(fleet, &machine, "ops", &format!("{services}{tree}"))
    });
    enroll(&blank, &machine);
    // A machine on which nothing of it is installed: a sentence for each, and nothing matched.
    for kind in kinds {
        let ended = blank.run(&["backup", &format!("val-1/{kind}")]).expect(7);
        let said: Vec<&str> = ended.err.lines().filter(|line| !line.trim().is_empty()).collect();
        assert!(said.len() > 1 && said.last().unwrap().contains("None of the selected items"), "{}", ended.err);
        let reasons = &said[..said.len() - 1];
        assert!(reasons.iter().all(|line| line.starts_with(&format!("val-1/{kind}"))), "{}", ended.err);
    }
    blank.run(&["backup", "val-1/files/tree"]).expect(7).says("none of the declared paths is there");
    blank.run(&["list"]).expect(7);
    assert_eq!(machine.exec("ls /var/lib/lifeboat/runs 2>/dev/null; :").ok(), "");

    // A user that may log in and become nobody else.
    let plain =
        console(&|_| host_table(fleet, &machine, "plain", "[hosts.val-1.services.files]\npaths = [\"/etc\"]\n"));
    enroll(&plain, &machine);
    for args in [&["scan", "val-1"][..], &["backup", "val-1/files/tree"], &["kept", "val-1"]] {
        plain.run(args).expect(11).says("Root could not be reached on val-1: a password is required");
    }
    plain.run(&["doctor", "val-1"]).expect(5).says("become_password");
    plain.run(&["list"]).expect(7);
}

fn connect(console: &Console) -> Arc<dyn Transport> {
    let data_dir = console.path("data");
    let paths = Paths {
        home: console.path("home"),
        config_dir: console.path("config"),
        state_dir: data_dir.join("state"),
        data_dir,
    };
    let loaded =
        lifeboat::config::load_checked(&console.path("config/inventory.toml"), &paths.home, &check_service).unwrap();
    let host = &loaded.inventory.hosts[&HostId::new("val-1").unwrap()];
    NodeDialer::new(&paths, secrets()).connect(host, &loaded.inventory, &Cancel::new()).unwrap()
}

/// Longer than the half minute after which a silent peer must be known for dead, for a machine with other work.
const AT_MOST: Duration = Duration::from_secs(40);

#[test]
fn a_peer_that_falls_silent_is_lost_within_half_a_minute() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    machine.exec("mkdir /srv/big && head -c 104857600 /dev/urandom >/srv/big/random").ok();
    let console =
        console(&|_| host_table(fleet, &machine, "ops", "[hosts.val-1.services.files]\npaths = [\"/srv/big\"]\n"));
    enroll(&console, &machine);
    let minutes = Duration::from_mins(10);
    let (reading, quiet, idle) = (connect(&console), connect(&console), connect(&console));
    let open = |node: &Arc<dyn Transport>, text: &str| {
        node.start(&Script::new(text).within(minutes, minutes), &Cancel::new()).unwrap()
    };
    let mut flowing = open(&reading, "while :; do echo flowing; sleep 0.1; done");
    let mut waiting = open(&quiet, "echo begun; sleep 600");
    let mut word = [0; 6];
    waiting.read_exact(&mut word).unwrap();
    flowing.read_exact(&mut word).unwrap();
    idle.run(&Script::new("true"), b"", 100, &Cancel::new()).unwrap();

    // A whole program in the middle of a copy, too.
    machine.limit_rate(Some(20_000));
    let mut child = console.start(&["backup", "val-1/files/tree"]);
    let staging = console.path("vault/.staging");
    let copied =
        || files_below(&staging).iter().filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum::<u64>();
    let flows = wait_for(Duration::from_mins(1), || (copied() > 1 << 20).then_some(()));
    assert!(flows.is_some(), "nothing was copied: {} bytes", copied());
    machine.link_down();
    let cut = Instant::now();

    let until_lost = |mut running: Box<dyn lifeboat::transport::Running>| {
        std::thread::spawn(move || {
            let why = running.read_to_end(&mut Vec::new()).unwrap_err();
            (cut.elapsed(), why.to_string())
        })
    };
    let ends = [("while bytes flow", until_lost(flowing)), ("while nothing is said", until_lost(waiting))];
    for (what, end) in ends {
        let (took, why) = end.join().unwrap();
        println!("lost {what} after {took:.1?}: {why}");
        assert!(took < AT_MOST, "{what}: {took:.1?}");
    }
    // Nobody looked at the idle one; it is known for dead at the first word, whenever its last sign of life was.
    std::thread::sleep(Duration::from_secs(32).saturating_sub(cut.elapsed()));
    let asked = Instant::now();
    let why = idle.run(&Script::new("true").within(minutes, minutes), b"", 100, &Cancel::new()).unwrap_err();
    println!("lost while idle, told after {:.1?}: {why}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(3), "{why}");

    let ended = wait_for(AT_MOST + Duration::from_secs(30), || child.try_wait().unwrap());
    println!("the program ended after {:.1?}", cut.elapsed());
    if ended.is_none() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(12), "{err}");
    assert!(err.contains("val-1"), "{err}");
    console.run(&["list"]).expect(7);
    assert!(files_below(&staging).is_empty(), "nothing half is left");
}
