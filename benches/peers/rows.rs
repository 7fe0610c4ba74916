//! Each row: what is measured, beside what, and the bar it is held against.

use std::fs;
use std::time::Duration;

use crate::console::console;
use crate::machines::avalanchego::{self, install_avalanchego};
use crate::machines::consul::{self, consul_fill, install_consul};
use crate::machines::consul_program;
use crate::machines::fleet::Fleet;
use crate::machines::machine::Machine;
use crate::measure::{in_turn, peak_memory, rounds, shell, spread};
use crate::netdata::netdata;
use crate::report::{Line, Table};
use crate::stage::{Desk, Vault, Way, grow_tree};
use crate::support::fault_proxy::FaultProxy;

/// Measures one row.
pub type Row = fn() -> Table;

/// Every row by its name.
pub const ALL: &[(&str, Row)] = &[
    ("tree", tree),
    ("compressed", compressed),
    ("slow-link", slow_link),
    ("consul", consul_snapshot),
    ("memory", memory),
    ("identity", identity),
    ("scan", scan),
    ("console", console),
    ("netdata", netdata),
];

/// Size of the tree, in MiB.
const TREE: usize = 1024;
const HOST: &str = "val-1";
const FILES: &str = "[hosts.HOST.services.files]\npaths = [\"/srv/tree\"]";

/// Fewer rounds, where one takes a minute.
fn few() -> usize {
    rounds().min(3)
}

fn hosts() -> Vec<String> {
    vec![HOST.to_owned()]
}

fn with_tree(mebibytes: usize) -> Machine {
    let machine = Machine::boot(Fleet::shared(), HOST);
    grow_tree(&machine.path("/srv/tree"), mebibytes);
    machine
}

fn tree() -> Table {
    let machine = with_tree(TREE);
    let mut lines = Vec::new();
    for (vault, what, bar) in [(Vault::Clear, "in clear", 1.2), (Vault::Sealed, "sealed", 1.8)] {
        let desk = Desk::of(&machine, vault, &hosts(), FILES, None);
        let copy = desk.aside("tree.tar");
        let manual = format!("{} >'{}'", desk.way.ssh("sudo tar -cf - -C /srv tree"), copy.display());
        let pairs = in_turn(
            what,
            rounds(),
            &mut || desk.back_up(&["val-1/files/tree", "--set", "compress=none"]),
            &mut || shell(&manual),
            &mut || {
                desk.forget(HOST);
                let _ = fs::remove_file(&copy);
            },
        );
        lines.push(Line::times(&format!("1 GiB tree, {what}"), &pairs, bar));
    }
    let about = "A tree of 1 GiB (a third each of log lines, JSON and bytes that do not compress) is copied off uncompressed: `lifeboat backup … --set compress=none`, with login, plan, journal, hashing, reading the archive to its end, \
                 manifest and card. The peer is `ssh host sudo tar -cf - >file`, which hashes and checks nothing.";
    Table { title: "A tree of 1 GiB".to_owned(), about: about.to_owned(), rounds: rounds(), lines }
}

fn compressed() -> Table {
    let machine = with_tree(TREE);
    let desk = Desk::of(&machine, Vault::Clear, &hosts(), FILES, None);
    let copy = desk.aside("tree.tar.gz");
    let there = "/var/tmp/tree.tar.gz";
    let manual = format!(
        "{}\n{}\nthere=$({})\nhere=$(sha256sum <'{}')\n[ \"$there\" = \"$here\" ]\n{}",
        desk.way.ssh(&format!("sudo tar -czpf {there} -C /srv tree")),
        desk.way.scp(there, &copy),
        desk.way.ssh(&format!("sha256sum <{there}")),
        copy.display(),
        desk.way.ssh(&format!("sudo rm {there}")),
    );
    let mut lines = Vec::new();
    for compress in ["auto", "gzip"] {
        let choice = format!("compress={compress}");
        let pairs = in_turn(
            compress,
            few(),
            &mut || desk.back_up(&["val-1/files/tree", "--set", &choice]),
            &mut || shell(&manual),
            &mut || {
                desk.forget(HOST);
                let _ = fs::remove_file(&copy);
            },
        );
        let what = format!("1 GiB tree, `--set {choice}`");
        lines.push(Line::times(&what, &pairs, 0.2));
    }
    let about = "The same tree compressed on the node. `auto`, which is the default, takes zstd where the node has it. The peer is the manual way: `tar -czpf` there, `scp`, `sha256sum` at both ends compared, the file there removed.";
    Table { title: "The tree, compressed on the node".to_owned(), about: about.to_owned(), rounds: few(), lines }
}

fn slow_link() -> Table {
    let machine = Machine::boot(Fleet::shared(), HOST);
    machine.exec("mkdir /srv/tree && head -c 536870912 /dev/urandom >/srv/tree/data && chown ops /srv/tree/data").ok();
    let proxy = FaultProxy::start(machine.ssh_address());
    proxy.set_delay(Duration::from_millis(50));
    let desk = Desk::of(&machine, Vault::Clear, &hosts(), FILES, Some(proxy.address()));
    let copy = desk.aside("data");
    let manual = desk.way.scp("/srv/tree/data", &copy);
    let pairs = in_turn(
        "50 ms",
        few(),
        &mut || desk.back_up(&["val-1/files/tree", "--set", "compress=none"]),
        &mut || shell(&manual),
        &mut || {
            desk.forget(HOST);
            let _ = fs::remove_file(&copy);
        },
    );
    let mut line = Line::times("512 MiB over a round trip of 50 ms", &pairs, 0.5);
    let rates: Vec<f64> = pairs.ratios().iter().map(|ratio| 1.0 / ratio).collect();
    let rate = spread(&rates);
    line.found = format!("{:.2} × its rate ({:.2} to {:.2})", rate.median, rate.min, rate.max);
    "≥ 2.00 × its rate".clone_into(&mut line.bar);
    let about = "512 MiB of bytes that do not compress, over a TCP proxy that holds each direction back for 25 ms; both go through the same proxy. The peer is `scp`. Login, plan and checks, each of which waits for round trips, are in our figure.";
    Table {
        title: "A link with a round trip of 50 ms".to_owned(),
        about: about.to_owned(),
        rounds: few(),
        lines: vec![line],
    }
}

fn consul_snapshot() -> Table {
    const KEYS: usize = 200_000;
    let machine = Machine::boot(Fleet::shared(), HOST);
    let token = install_consul(&machine, &consul::Options::default()).expect("ACLs are on");
    consul_fill(&machine, Some(&token), "bench", KEYS);
    let mut lines = Vec::new();
    for (vault, what, bar) in [(Vault::Clear, "in clear", 1.0), (Vault::Sealed, "sealed", 1.4)] {
        let secret = tempfile::NamedTempFile::new().unwrap();
        fs::write(secret.path(), format!("{token}\n")).unwrap();
        let services = format!("[hosts.HOST.services.consul]\ntoken = {{ file = \"{}\" }}", secret.path().display());
        let desk = Desk::of(&machine, vault, &hosts(), &services, None);
        let copy = desk.aside("consul.snap");
        let manual = through_a_tunnel(
            &desk.way,
            &format!(
                "export CONSUL_HTTP_TOKEN_FILE='{}'\n{consul} snapshot save '{copy}'\n{consul} snapshot inspect '{copy}'",
                secret.path().display(),
                consul = consul_program(&machine).display(),
                copy = copy.display(),
            ),
        );
        let pairs = in_turn(
            what,
            rounds(),
            &mut || desk.back_up(&["val-1/consul/snapshot"]),
            &mut || shell(&manual),
            &mut || {
                desk.forget(HOST);
                let _ = fs::remove_file(&copy);
            },
        );
        lines.push(Line::times(&format!("200,000 keys, {what}"), &pairs, bar));
    }
    let about = "A datacenter of 200,000 keys. The peer is Consul's own program on the console, through an `ssh -L` tunnel: `consul snapshot save`, then `consul snapshot inspect`. Ours reads every record as it passes, and makes sure that the leader stayed.";
    Table { title: "A Consul snapshot".to_owned(), about: about.to_owned(), rounds: rounds(), lines }
}

/// Opens a tunnel to Consul's API, waits until it takes connections, runs `text` and closes it.
fn through_a_tunnel(way: &Way, text: &str) -> String {
    let port = 18_500;
    let Way { options, port: ssh_port, login } = way;
    format!(
        "ssh {options} -p {ssh_port} -N -o ExitOnForwardFailure=yes -L 127.0.0.1:{port}:127.0.0.1:8500 {login} &\n\
         tunnel=$!\ntrap 'kill $tunnel' EXIT\n\
         until curl -sf -o /dev/null http://127.0.0.1:{port}/v1/status/leader; do sleep 0.02; done\n\
         export CONSUL_HTTP_ADDR=127.0.0.1:{port}\n{text}\n"
    )
}

fn memory() -> Table {
    let machine = with_tree(256);
    let mut lines = Vec::new();
    let bar = 64 << 20;
    for (count, compress, bound) in [(1, "none", false), (8, "none", true), (8, "zstd", true)] {
        let set = format!("compress={compress}");
        let hosts: Vec<String> = (1..=count).map(|n| format!("val-{n}")).collect();
        let desk = Desk::of(&machine, Vault::Sealed, &hosts, FILES, None);
        let peaks: Vec<f64> = (0..few())
            .map(|_| {
                let peak = peak_memory(&mut desk.console.command(&["backup", "all", "--jobs", "8", "--set", &set]));
                eprintln!("   {count} jobs, {set}: {} MiB", peak >> 20);
                for host in &hosts {
                    desk.forget(host);
                }
                #[expect(clippy::cast_precision_loss, reason = "a size shown with one decimal")]
                let mebibytes = peak as f64 / f64::from(1 << 20);
                mebibytes
            })
            .collect();
        let found = spread(&peaks);
        let how = if compress == "none" { "" } else { ", compressed on the node" };
        let what = format!("`backup all --jobs 8`: {count} × 256 MiB, sealed{how}, most memory resident");
        let told = format!("{:.1} ({:.1} to {:.1}) MiB", found.median, found.min, found.max);
        let met = bound.then(|| found.max <= f64::from(bar >> 20));
        lines.push(Line::alone(&what, &told, if bound { "≤ 64 MiB" } else { "-" }, met));
    }
    let about = "One process backs up one host, then eight, each with a tree of 256 MiB. The figure is the kernel's own high-water mark of the process (`VmHWM`). `--jobs 8`, so that the eight run side by side.";
    Table { title: "Memory".to_owned(), about: about.to_owned(), rounds: few(), lines }
}

fn identity() -> Table {
    let machine = Machine::boot(Fleet::shared(), HOST);
    install_avalanchego(&machine, &avalanchego::Options::default());
    let desk = Desk::of(&machine, Vault::Sealed, &hosts(), "[hosts.HOST.services.avalanchego]", None);
    let copy = desk.aside("staking.tar");
    let manual = format!(
        "{} >'{copy}'\ntar -tf '{copy}'\nsha256sum '{copy}'",
        desk.way.ssh(&format!("sudo tar -cf - -C {} staking", avalanchego::DATA)),
        copy = copy.display()
    );
    let pairs = in_turn(
        "identity",
        rounds(),
        &mut || desk.back_up(&["val-1/avalanchego/staking-identity"]),
        &mut || shell(&manual),
        &mut || desk.forget(HOST),
    );
    let mut line = Line::times("staking identity of one node", &pairs, 1.0);
    "≤ 2 s".clone_into(&mut line.bar);
    line.met = Some(spread(&pairs.ours).median <= 2.0);
    let about = "`lifeboat backup val-1/avalanchego/staking-identity`, sealed: login, looking at the node and asking its API, plan, copy, keys checked against each other, NodeID, BLS key and proof of possession derived and compared with what the node says. \
                 Beside it `ssh host sudo tar`, `tar -t` and `sha256sum`, which know nothing of keys.";
    Table { title: "A staking identity".to_owned(), about: about.to_owned(), rounds: rounds(), lines: vec![line] }
}

fn scan() -> Table {
    const HOSTS: usize = 200;
    let machine = Machine::boot(Fleet::shared(), HOST);
    grow_tree(&machine.path("/srv/tree"), 1);
    install_avalanchego(&machine, &avalanchego::Options::default());
    // Twenty logins at once are more than a server takes by default from people it does not know yet.
    machine.exec("echo 'MaxStartups 400:30:500' >/etc/ssh/sshd_config.d/bench.conf && systemctl reload ssh").ok();
    let names: Vec<String> = (0..HOSTS).map(|n| format!("h{n:03}")).collect();
    let services = format!("[hosts.HOST.services.avalanchego]\n{FILES}");
    let desk = Desk::of(&machine, Vault::Clear, &names, &services, None);
    let one = desk.way.ssh("sudo stat -c %s /srv/tree");
    let parallel = format!("seq {HOSTS} | xargs -P 20 -I {{}} {one}");
    let serial = format!("for n in $(seq {HOSTS}); do {one}; done");
    let mut lines = Vec::new();
    for (what, text, bar, times) in
        [("`xargs -P 20 ssh`", parallel, 1.0, rounds()), ("a shell loop of `ssh`", serial, 0.25, rounds().min(2))]
    {
        let pairs = in_turn(
            what,
            times,
            &mut || {
                desk.console.run(&["scan"]).expect(0);
                true
            },
            &mut || shell(&text),
            &mut || {},
        );
        lines.push(Line::times(&format!("`scan` of 200 hosts beside {what}"), &pairs, bar));
    }
    let about = "200 entries of the inventory, each with a validator and a tree; `lifeboat scan` logs in to each and learns all facts of both. Each peer logs in as often and does one `sudo stat`. All entries are one machine, whose server does the work of 200; its `MaxStartups` is raised for both.";
    Table { title: "A scan of 200 hosts".to_owned(), about: about.to_owned(), rounds: rounds(), lines }
}
