//! What must not happen on real machines: a second living twin, a stranger's host key, a password that shows.

use super::avalanchego::{self, avalanche_node_id, install_avalanchego, start_avalanchego};
use super::fleet::Fleet;
use super::machine::Machine;
use super::story::{Stage, head, host_table, write_secret};
use crate::support::console::{Console, files_below};

const ITEM: &str = "val-1/avalanchego/staking-identity";

fn validator(machine: &Machine) -> String {
    format!("[hosts.{}.services.avalanchego]\n", machine.name())
}

/// The id of the newest run, as `runs` lists it.
fn last_run(console: &Console) -> String {
    let listed = console.run(&["runs"]).expect(0).out;
    listed.lines().last().unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_living_twin_and_a_strange_key_stop_everything_and_a_rollback_brings_the_old_back() {
    let Stage { console, old, spare } = Stage::set(&validator);
    for machine in [&old, &spare] {
        install_avalanchego(machine, &avalanchego::Options::default());
    }
    let (identity, fresh) = (start_avalanchego(&old), start_avalanchego(&spare));
    console.run(&["backup", ITEM]).expect(0);
    let ip = "public-ip=127.0.0.1";

    // The identity runs on val-1: nothing overrides that, whatever is confirmed.
    let before = spare.exec("find /home/avax/.avalanchego/staking -type f -exec sha256sum {} + | sort; ls -A /var/lib/lifeboat 2>/dev/null || :").ok();
    let twin = ["restore", ITEM, "--to", "spare-1", "--confirm", ip, "--confirm", "fenced-val-1=val-1"];
    console.run(&twin).expect(17).says(&identity.node_id);
    let after = spare.exec("find /home/avax/.avalanchego/staking -type f -exec sha256sum {} + | sort; ls -A /var/lib/lifeboat 2>/dev/null || :").ok();
    assert_eq!(before, after);
    assert_eq!(avalanche_node_id(&spare), fresh);

    // Another host key: a hard stop that names both, before anything is asked of the machine.
    let known = spare.host_key_fingerprint();
    spare.replace_host_key();
    console.run(&["doctor", "spare-1"]).expect(10).says(&known).says(&spare.host_key_fingerprint());
    console.run(&["enroll", "spare-1", "--fingerprint", &spare.host_key_fingerprint()]).expect(10);
    let file = console.path("data/known_hosts");
    let text = std::fs::read_to_string(&file).unwrap();
    let others = text.lines().filter(|line| !line.starts_with(&spare.address().to_string()));
    let kept = others.collect::<Vec<_>>().join("\n") + "\n";
    std::fs::write(&file, kept).unwrap();
    console.run(&["doctor", "spare-1"]).expect(10).says("enroll");
    console.run(&["enroll", "spare-1", "--fingerprint", &spare.host_key_fingerprint()]).expect(0);

    // On purpose, the twin is stopped for good first.
    let fence = ["--set", "fence=stop", "--confirm", "stop-val-1=val-1", "--confirm", ip];
    console.run(&[&["restore", ITEM, "--to", "spare-1"][..], &fence].concat()).expect(0);
    assert_eq!(avalanche_node_id(&spare), identity);
    old.exec("systemctl start avalanchego; sleep 1; ! systemctl is-active --quiet avalanchego").ok();
    console.run(&["kept", "spare-1"]).expect(0).says(".kept");

    let run = last_run(&console);
    console.run(&["rollback", &run, "--no-input"]).expect(15);
    console.run(&["rollback", &run, "--confirm", &format!("rollback={run}")]).expect(0);
    super::host::wait_for(std::time::Duration::from_secs(30), || (avalanche_node_id(&spare) == fresh).then_some(()))
        .expect("the old identity runs again");
    spare.exec("[ -z \"$(ls -A /var/lib/lifeboat/runs)\" ] && ! ls /etc/systemd/system | grep -q lifeboat").ok();
}

#[test]
fn a_sudo_password_works_and_shows_nowhere() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    install_avalanchego(&machine, &avalanchego::Options::default());
    let identity = start_avalanchego(&machine);
    let console = Console::new();
    let recipient = console.keygen();
    let secret = console.path("sudo");
    write_secret(&secret, fleet.password());
    let become_line = format!("become_password = {{ file = \"{}\" }}\n{}", secret.display(), validator(&machine));
    console.write_inventory(&(head(&console, &recipient) + &host_table(fleet, &machine, "opspw", &become_line)));
    console.run(&["init"]).expect(0);
    console.run(&["enroll", "val-1", "--fingerprint", &machine.host_key_fingerprint()]).expect(0);
    let mut said = String::new();
    for call in [&["doctor"][..], &["scan"], &["backup", ITEM], &["list"], &["show", ITEM]] {
        let ended = console.run(call).expect(0);
        said += &(ended.out + &ended.err);
    }
    assert!(said.contains(&identity.node_id));
    assert!(!said.contains(fleet.password()), "the password is in the output");
    let journal = machine.exec("journalctl --no-pager -o cat; cat /var/log/auth.log 2>/dev/null || :").ok();
    assert!(!journal.contains(fleet.password()), "the password is in the node's journal");
    for file in files_below(&console.path("vault")).into_iter().chain(files_below(&console.path("data"))) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(
            !bytes.windows(fleet.password().len()).any(|w| w == fleet.password().as_bytes()),
            "the password is in {}",
            file.display()
        );
    }
    write_secret(&secret, "not the password");
    console.run(&["scan", "val-1"]).expect(11).says("val-1");
}

#[test]
fn a_full_vault_leaves_nothing_half() {
    let fleet = Fleet::shared();
    let machine = Machine::boot(fleet, "val-1");
    machine.exec("mkdir -p /srv/data && head -c 30000000 /dev/urandom >/srv/data/blob").ok();
    let console = Console::new();
    let recipient = console.keygen();
    let vault = console.path("vault");
    std::fs::create_dir(&vault).unwrap();
    super::host::host("mount", &["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", vault.to_str().unwrap()]);
    let service = "[hosts.val-1.services.files]\npaths = [\"/srv/data\"]\n";
    console.write_inventory(&(head(&console, &recipient) + &host_table(fleet, &machine, "ops", service)));
    console.run(&["init"]).expect(0);
    console.run(&["enroll", "val-1", "--fingerprint", &machine.host_key_fingerprint()]).expect(0);
    let full = console.run(&["backup", "val-1/files/tree"]);
    let listed = console.run(&["list"]);
    let staged = files_below(&vault.join(".staging"));
    machine.exec("head -c 1000 /dev/urandom >/srv/data/blob").ok();
    let fits = console.run(&["backup", "val-1/files/tree"]);
    super::host::host("umount", &[vault.to_str().unwrap()]);
    full.expect(18);
    listed.expect(7);
    assert!(staged.is_empty(), "{staged:?}");
    fits.expect(0);
}
