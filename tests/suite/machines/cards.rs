//! `RESTORE.md` as an operator has it when there is nothing else: its blocks are typed as they stand, without the program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::avalanchego::{self, avalanche_node_id, install_avalanchego, start_avalanchego};
use super::consul::{self, consul_all, consul_fill, consul_put, install_consul, start_consul};
use super::fleet::Fleet;
use super::host::wait_for;
use super::machine::Machine;
use super::netdata;
use super::story::{Stage, write_secret};
use super::tree::{install_tree, tree_listing};
use crate::support::console::Console;

/// A card's blocks in order: the info string and the commands.
fn blocks(card: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = card.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((info.to_owned(), body.join("\n")));
        }
    }
    found
}

/// The operator's shell: one for the whole card.
struct Typed {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Typed {
    fn open(dir: &Path, bin: &Path, key: &Path, out: &Path, node: &Machine) -> Self {
        let mut shell = Command::new("sh")
            .current_dir(dir)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", bin)
            .env("KEY", key)
            .env("OUT", out)
            .env("NODE", format!("root@{}", node.address()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, output) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        input.write_all(b"exec 2>&1\n").unwrap();
        Self { shell, input, output }
    }

    /// Types a block; its status and what it printed.
    fn type_in(&mut self, block: &str) -> (i32, String) {
        writeln!(self.input, "{block}\nprintf '\\n=ended= %s\\n' $?").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the shell ended in\n{block}\n{said}");
            if let Some(status) = line.strip_prefix("=ended= ") {
                return (status.trim().parse().unwrap(), said);
            }
            said += &line;
        }
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// The one snapshot of an item.
pub fn snapshot_dir(console: &Console, item: &str) -> PathBuf {
    let mut found = std::fs::read_dir(console.path("vault").join(item)).unwrap().map(|entry| entry.unwrap().path());
    let dir = found.next().unwrap_or_else(|| panic!("{item} has no snapshot"));
    assert!(found.next().is_none(), "{item} has several snapshots");
    dir
}

/// Types a whole card, block by block. Gives everything it printed.
pub fn follow_card(console: &Console, item: &str, old: &Machine, node: &Machine) -> String {
    let dir = snapshot_dir(console, item);
    let card = std::fs::read_to_string(dir.join("RESTORE.md")).unwrap();
    let desk = tempfile::tempdir().unwrap();
    let (known, ssh) = (desk.path().join("known_hosts"), desk.path().join("ssh"));
    node.write_known_hosts(&known);
    let words = format!(
        "#!/bin/sh\nexec /usr/bin/ssh -F none -i '{}' -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile='{}' \"$@\"\n",
        Fleet::shared().key_path().display(),
        known.display()
    );
    std::fs::write(&ssh, words).unwrap();
    std::fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut shell = Typed::open(&dir, desk.path(), &console.path("key.txt"), &desk.path().join("out"), node);
    assert_ne!(shell.type_in("command -v lifeboat").0, 0, "the card must do without the program");
    let mut said = String::new();
    for (info, block) in blocks(&card) {
        let (status, text) = match info.as_str() {
            "sh" => shell.type_in(&block),
            "sh node" | "sh old" => {
                let output = if info == "sh old" { old } else { node }.exec(&block);
                (output.status, output.stdout + &output.stderr)
            }
            other => panic!("{item}: a block of kind '{other}'"),
        };
        assert_eq!(status, 0, "{item}, {info}:\n{block}\n--- said\n{text}");
        said += &text;
    }
    assert!(!desk.path().join("out").exists(), "the card leaves files in clear here");
    assert_eq!(node.exec("ls -A ~/lifeboat-restore 2>/dev/null").stdout, "", "the card leaves files in clear there");
    said
}

/// A stage with a service table for both hosts, the token in a file.
fn stage(token_file: &Path) -> Stage {
    Stage::set(&|machine| {
        let name = machine.name();
        format!(
            "[hosts.{name}.services.avalanchego]\nplugins = true\ndb = true\n[hosts.{name}.services.files]\npaths = [\"/srv/tree\"]\n\
             [hosts.{name}.services.consul]\ntoken = {{ file = \"{}\" }}\n",
            token_file.display()
        )
    })
}

#[test]
fn cards_rebuild_a_lost_host_without_the_program() {
    let secrets = tempfile::tempdir().unwrap();
    let token_file = secrets.path().join("token");
    write_secret(&token_file, "not yet");
    let Stage { console, old, spare } = stage(&token_file);
    install_avalanchego(&old, &avalanchego::Options::default());
    let identity = start_avalanchego(&old);
    let management = install_consul(&old, &consul::Options::default()).expect("ACLs are on");
    consul_put(&old, Some(&management), "app/config", "blue");
    consul_fill(&old, Some(&management), "bulk", 200);
    let keys = consul_all(&old, Some(&management));
    write_secret(&token_file, &management);
    install_tree(&old, "/srv/tree");
    let listing = tree_listing(&old, "/srv/tree");
    let items = ["val-1/avalanchego/staking-identity", "val-1/consul/snapshot", "val-1/files/tree"];
    console.run(&[&["backup"][..], &items].concat()).expect(0);

    install_avalanchego(&spare, &avalanchego::Options::default());
    assert_ne!(start_avalanchego(&spare).node_id, identity.node_id);
    let said = follow_card(&console, items[0], &old, &spare);
    assert!(said.contains(&identity.node_id) && said.contains(&identity.proof), "{said}");
    assert_eq!(avalanche_node_id(&spare), identity);
    assert_eq!(spare.exec("stat -c '%a %U' /home/avax/.avalanchego/staking/*").ok(), "400 avax\n".repeat(3));
    old.exec("systemctl start avalanchego; systemctl restart avalanchego");
    assert_eq!(old.exec("systemctl is-active avalanchego").stdout.trim(), "inactive", "the old node stays down");

    // Made in the order of the old host, so that the accounts have the same numbers there.
    install_consul(&spare, &consul::Options { start: false, ..consul::Options::default() });
    spare.exec("useradd --system --user-group treeapp").ok();
    follow_card(&console, items[2], &old, &spare);
    assert_eq!(tree_listing(&spare, "/srv/tree"), listing);

    // A new datacenter: nobody has bootstrapped it, so the card does. The saved one's token is the operator's to bring.
    start_consul(&spare);
    spare.write_as("root", "/root/consul-token-after", &format!("{management}\n"), 0o600);
    let said = follow_card(&console, items[1], &old, &spare);
    assert!(said.contains("Restored snapshot"), "{said}");
    assert_eq!(consul_all(&spare, Some(&management)), keys);
}

/// A plugin's name must be the id of a virtual machine; what it is matters to nobody who only carries it.
const PLUGIN: &str = "/home/avax/.avalanchego/plugins/srEXiWaHuhNyGwPUi444Tu47ZEDwxTWrbQiuD7FmgSAQ6X7Dy";
/// Where settings of subnets lie, and a file of them: its name is the subnet's id.
const SUBNETS: &str = "/home/avax/.avalanchego/configs/subnets";
const SUBNET: &str = "2WDZfPqUpFXGdDkJcXqwy6GGmJWUNeHtJrpRBzEpPfZ2XJiRzr";
/// A file in the database's directory that the node leaves alone: it tells a restored database from one made anew.
const MARKER: &str = "/home/avax/.avalanchego/db/lifeboat-test";

#[test]
fn cards_of_configuration_work_on_the_host_itself() {
    let secrets = tempfile::tempdir().unwrap();
    let token_file = secrets.path().join("token");
    write_secret(&token_file, "not yet");
    let Stage { console, old, spare } = stage(&token_file);
    spare.destroy();
    install_avalanchego(&old, &avalanchego::Options::default());
    old.exec("install -d -o avax -g avax /home/avax/.avalanchego/plugins").ok();
    old.write_as("avax", PLUGIN, "#!/bin/sh\nexit 1\n", 0o755);
    let identity = avalanche_node_id(&old);
    let gossip_key = Some(consul::gossip_key());
    install_consul(&old, &consul::Options { acls: false, gossip_key, ..consul::Options::default() });
    old.exec(&format!("install -d -o avax -g avax {SUBNETS}")).ok();
    old.write_as("avax", &format!("{SUBNETS}/{SUBNET}.json"), "{\n  \"validatorOnly\": true\n}\n", 0o644);
    let places = [
        ("avalanchego/node-config", "/home/avax/.avalanchego/configs/node.json"),
        ("avalanchego/chain-configs", "/home/avax/.avalanchego/configs/chains"),
        ("avalanchego/subnet-configs", SUBNETS),
        ("avalanchego/unit", "/etc/systemd/system/avalanchego.service"),
        ("avalanchego/plugins", "/home/avax/.avalanchego/plugins"),
        ("consul/agent-config", "/etc/consul.d"),
        ("consul/node-identity", "/opt/consul/node-id"),
        ("consul/keyrings", "/opt/consul/serf"),
    ];
    let look = |place: &str| {
        let list = "-printf '%y %m %U:%G %P\\n' -type f -exec sha256sum {} +";
        old.exec(&format!("cd / && find '{place}' ! -name '*.snapshot' {list} | sort")).ok()
    };
    for (item, place) in places {
        let item = format!("val-1/{item}");
        console.run(&["backup", &item]).expect(0);
        let before = look(place);
        // Damage it: the card must bring the saved state back.
        old.exec(&format!("f=$(find '{place}' -type f ! -name '*.snapshot' | head -1); echo '# damage' >>\"$f\"")).ok();
        assert_ne!(look(place), before, "{item}");
        follow_card(&console, &item, &old, &old);
        assert_eq!(look(place), before, "{item}");
    }
    assert_eq!(avalanche_node_id(&old), identity);

    // A running node writes its database at once, so that it was restored is seen by what it does not write.
    old.write_as("avax", MARKER, "from before the loss\n", 0o600);
    console.run(&["backup", "val-1/avalanchego/db"]).expect(0);
    old.exec("systemctl stop avalanchego && rm -r /home/avax/.avalanchego/db && systemctl start avalanchego").ok();
    assert!(!old.exec(&format!("cat {MARKER}")).success(), "the database is a new one");
    follow_card(&console, "val-1/avalanchego/db", &old, &old);
    assert_eq!(old.exec(&format!("cat {MARKER}; stat -c '%a %U' {MARKER}")).ok(), "from before the loss\n600 avax\n");
    assert_eq!(avalanche_node_id(&old), identity);
    let leads = wait_for(Duration::from_mins(1), || {
        (old.exec("curl -sf http://127.0.0.1:8500/v1/status/leader").stdout.len() > 4).then_some(())
    });
    assert!(leads.is_some(), "consul leads again");
}

/// Puts an item's archive onto a node in clear and unpacks it as the card says one can: names relative to the root.
fn unpack_by_hand(console: &Console, item: &str, node: &Machine) {
    let archive = format!("{}.tar", item.rsplit('/').next().unwrap());
    let clear = console.path("in-clear.tar");
    let mut age = Command::new("age");
    age.arg("-d").arg("-i").arg(console.path("key.txt")).arg("-o").arg(&clear);
    assert!(age.arg(snapshot_dir(console, item).join(format!("{archive}.age"))).status().unwrap().success());
    let card = std::fs::read_to_string(snapshot_dir(console, item).join("RESTORE.md")).unwrap();
    let literal = format!("sudo tar -xvpf {archive} -C /");
    assert!(card.contains(&literal), "{card}");
    node.copy_in(&clear, &format!("/home/ops/{archive}"), 0o644);
    node.ssh("ops", &literal).ok();
}

#[test]
fn an_agent_s_cards_rebuild_it_without_the_program() {
    let Stage { console, old, spare } = Stage::set(&|machine| netdata::table(machine));
    netdata::configure(&old);
    let agent = netdata::start(&old);
    let items = ["val-1/netdata/identity", "val-1/netdata/config", netdata::METRICS];
    console.run(&[&["backup"][..], &items[..2]].concat()).expect(0);
    let (done, at, before) = netdata::backup_with_samples(&console, &old, &[]);
    done.expect(0);
    let conf = "cd /etc/netdata && cat netdata.conf stream.conf && sha256sum claim.conf && stat -c '%a %U' claim.conf";
    let configured = old.exec(conf).ok();
    old.exec("systemctl disable --now netdata").ok();

    // Another agent of its own lives on the new machine; the cards make it the saved one, item by item.
    let other = netdata::start(&spare);
    assert_ne!(other, agent);
    for item in items {
        let said = follow_card(&console, item, &old, &spare);
        assert!(item.ends_with("config") || said.contains(&agent), "{item}: {said}");
    }
    assert_eq!(netdata::guid(&spare), agent);
    assert_eq!(spare.exec(conf).ok(), configured);
    assert_eq!(netdata::samples_again(&spare, at, &before), before);

    // And with one command each, where nothing lies in the way.
    spare.exec("systemctl stop netdata; rm -rf /etc/netdata /var/lib/netdata /var/cache/netdata").ok();
    for item in items {
        unpack_by_hand(&console, item, &spare);
    }
    assert_eq!(netdata::start(&spare), agent);
    assert_eq!(spare.exec(conf).ok(), configured);
    assert_eq!(netdata::samples_again(&spare, at, &before), before);
}
