//! The console over a fleet that answers, with a vault that holds a copy of everything, while it copies.
//!
//! `benches/console` measures the same things without a node, in a minute; here nothing is played.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::machines::fleet::Fleet;
use crate::machines::machine::Machine;
use crate::report::{Line, Table};
use crate::running::{Running, milliseconds, percentile, start};
use crate::stage::{Desk, Vault, grow_tree};

const SERVICES: usize = 5;
/// MiB of each of the eight trees that are copied while keys are pressed.
const TREE: usize = 1024;
/// Hosts that are backed up together.
const TOGETHER: usize = 8;

/// Keys pressed for each figure, and the pause between two while trees are copied.
const KEYS: usize = 200;
const BETWEEN: Duration = Duration::from_millis(30);

/// How many names the machine has. A figure of fewer than a thousand is held against no bar of the design.
fn hosts() -> usize {
    std::env::var("LIFEBOAT_BENCH_HOSTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// What was measured, each list of spans in its order.
struct Figures {
    firsts: Vec<Duration>,
    woken: u64,
    resident: f64,
    idle: Vec<Duration>,
    busy: Vec<Duration>,
    echo: Vec<Duration>,
    looked: f64,
    copied: f64,
    aside: Vec<Duration>,
}

/// Many names of one machine, each with five trees, all of them in the vault.
pub fn console() -> Table {
    let hosts = hosts();
    let machine = Machine::boot(Fleet::shared(), "val-1");
    let desk = fleet_of(hosts, &machine);
    let about = format!(
        "{hosts} entries of the inventory, each with five trees, and a copy of each in a sealed vault, made by `lifeboat backup all`. The program runs in a pseudo-terminal of 120 columns and 40 lines; all entries are one machine, which answers. A key goes down or up the list of hosts; its frame is the first one that names another host. The eight copies are of 1 GiB each and come from nodes on the same cores as the console, then once more from nodes on one of the two. The peer is `cat` in a terminal of its own, right after our keys, while the same copies go on: a key, and the same byte back."
    );
    let lines = lines(&measure(&machine, &desk));
    Table { title: "The console over a fleet that answers".to_owned(), about, rounds: 1, lines }
}

/// A console whose vault holds a copy of everything; the last of its trees grows large after that.
fn fleet_of(hosts: usize, machine: &Machine) -> Desk {
    for service in 0..SERVICES {
        machine.exec(&format!("mkdir -p /srv/{service} && date >/srv/{service}/made")).ok();
    }
    machine.exec("echo 'MaxStartups 400:30:500' >/etc/ssh/sshd_config.d/bench.conf && systemctl reload ssh").ok();
    let names: Vec<String> = (0..hosts).map(|n| format!("node-{n:04}")).collect();
    let services = (0..SERVICES).fold(String::new(), |text, n| {
        text + &format!("[hosts.HOST.services.files-{n}]\nkind = \"files\"\npaths = [\"/srv/{n}\"]\n")
    });
    let desk = Desk::of(machine, Vault::Sealed, &names, &services, None);
    eprintln!("   {} first copies", hosts * SERVICES);
    desk.console.run(&["backup", "all", "--jobs", "8"]).expect(0);
    grow_tree(&machine.path("/srv/4"), TREE);
    desk
}

fn measure(machine: &Machine, desk: &Desk) -> Figures {
    eprintln!("   a first sitting, which is remembered");
    let running = start(&desk.console.path(""));
    running.first_frame();
    running.settle();
    running.end();
    let mut firsts: Vec<Duration> = (0..5)
        .map(|_| {
            let running = start(&desk.console.path(""));
            let span = running.first_frame();
            running.end();
            span
        })
        .collect();
    firsts.sort();

    let mut running = start(&desk.console.path(""));
    running.first_frame();
    eprintln!("   every host is looked at");
    let begun = Instant::now();
    running.settle();
    eprintln!("   after {:.0} s all have answered", begun.elapsed().as_secs_f64());
    let before = running.switches();
    std::thread::sleep(Duration::from_secs(5));
    let woken = running.switches() - before;
    let resident = running.memory("VmRSS");
    let looked = running.memory("VmHWM");
    let idle = keys(&mut running, KEYS, Duration::from_millis(5));

    forget_peak(&running);
    back_up_together(&mut running);
    let busy = keys(&mut running, KEYS, BETWEEN);
    let echo = echoes(KEYS, BETWEEN);
    assert_busy(&running);
    let copied = running.memory("VmHWM");
    running.settle();

    // Real nodes are other machines: theirs leave one of the two cores to the console.
    machine.exec("taskset -apc 0 $(systemctl show --property MainPID --value ssh)").ok();
    type_when(&mut running, "", "\x1b");
    back_up_together(&mut running);
    let aside = keys(&mut running, KEYS, BETWEEN);
    assert_busy(&running);
    running.settle();
    running.end();
    Figures { firsts, woken, resident, idle, busy, echo, looked, copied, aside }
}

/// From now on the most memory it had resident is told anew.
fn forget_peak(running: &Running) {
    std::fs::write(format!("/proc/{}/clear_refs", running.pid()), "5").unwrap();
}

fn lines(found: &Figures) -> Vec<Line> {
    let bound = |what: &str, figure: f64, unit: &str, bar: f64| {
        Line::alone(what, &format!("{figure:.1} {unit}"), &format!("≤ {bar:.0} {unit}"), Some(figure <= bar))
    };
    let figure = |what: &str, figure: f64| Line::alone(what, &format!("{figure:.1} ms"), "-", None);
    let beside = |line: Line, peer: f64| Line { peer: format!("{peer:.1} ms"), ..line };
    let at_most = |when: &str, peak: f64| {
        Line::alone(&format!("most memory resident {when}"), &format!("{peak:.1} MiB"), "-", None)
    };
    let span = |spans: &[Duration], part: f64| milliseconds(percentile(spans, part));
    let Figures { firsts, woken, resident, idle, busy, echo, looked, copied, aside } = found;
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let woken = *woken as f64;
    vec![
        bound("first frame from the start of the program, middle of 5", span(firsts, 0.5), "ms", 50.0),
        bound("wake-ups in five idle seconds, all threads", woken, "", 0.0),
        bound("resident memory when every host has answered", *resident, "MiB", 60.0),
        bound("key to frame, nothing else at work, 99 of 100", span(idle, 0.99), "ms", 16.0),
        beside(
            bound("key to frame while eight trees are copied, 99 of 100", span(busy, 0.99), "ms", 16.0),
            span(echo, 0.99),
        ),
        beside(figure("key to frame while eight trees are copied, middle", span(busy, 0.5)), span(echo, 0.5)),
        bound("the same, the nodes on one of the two cores, 99 of 100", span(aside, 0.99), "ms", 16.0),
        figure("the same, the nodes on one of the two cores, middle", span(aside, 0.5)),
        at_most("while every host is looked at", *looked),
        at_most("while eight trees are copied", *copied),
    ]
}

/// Goes down and up the list of hosts.
fn keys(running: &mut Running, count: usize, pause: Duration) -> Vec<Duration> {
    let mut spans: Vec<Duration> = (0..count)
        .map(|round| {
            std::thread::sleep(pause);
            running.until_the_head_changes(if round % 2 == 0 { "\x1b[B" } else { "\x1b[A" })
        })
        .collect();
    spans.sort();
    spans
}

fn assert_busy(running: &Running) {
    let is_busy = running.screen().contains("┌ Jobs, ");
    assert!(is_busy, "the transfers were over before the keys were\n{}", running.screen());
}

/// Types at `cat`, which does nothing but give each key back: what a program waits for its turn on this machine.
fn echoes(count: usize, pause: Duration) -> Vec<Duration> {
    let pair = native_pty_system().openpty(PtySize::default()).expect("a terminal");
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", "stty raw -echo; echo ready; exec cat"]);
    let mut child = pair.slave.spawn_command(command).expect("a shell");
    let mut reader = pair.master.try_clone_reader().expect("its screen");
    let mut writer = pair.master.take_writer().expect("its keyboard");
    let mut read = |what: &[u8]| {
        let mut seen = Vec::new();
        let mut bytes = [0; 64];
        while !seen.ends_with(what) {
            let count = reader.read(&mut bytes).expect("what it says");
            seen.extend_from_slice(&bytes[..count]);
        }
    };
    read(b"ready\n");
    let mut spans: Vec<Duration> = (0..count)
        .map(|_| {
            std::thread::sleep(pause);
            let begun = Instant::now();
            writer.write_all(b"j").and_then(|()| writer.flush()).expect("it takes a key");
            read(b"j");
            begun.elapsed()
        })
        .collect();
    child.kill().and_then(|()| child.wait()).expect("it ends");
    spans.sort();
    spans
}

/// Marks hosts and backs them up from one preview, then leaves them at work and goes back to the fleet.
fn back_up_together(running: &mut Running) {
    type_when(running, "", "/node-000\r");
    type_when(running, "/node-000", "gg");
    for _ in 0..TOGETHER {
        type_when(running, "/node-000", " ");
    }
    type_when(running, "/node-000", "b");
    press_until(running, "\r", "preview");
    press_until(running, "\r", "› run");
    type_when(running, "MiB/s", "B");
    press_until(running, "\x1b", "node-000");
}

/// Presses a key, as an operator who looks before each time, until the page's head names what is wished.
fn press_until(running: &mut Running, key: &str, head: &str) {
    for _ in 0..60 {
        std::thread::sleep(Duration::from_secs(1));
        if running.head().contains(head) {
            return;
        }
        running.send(key);
    }
    panic!("'{head}' never came\n{}", running.screen());
}

/// Looks at the page until it shows a text, a moment longer as an operator would, and types.
fn type_when(running: &mut Running, text: &str, keys: &str) {
    let begun = Instant::now();
    while !running.screen().contains(text) {
        assert!(begun.elapsed() < Duration::from_mins(2), "'{text}' never came\n{}", running.screen());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(600));
    running.send(keys);
}
