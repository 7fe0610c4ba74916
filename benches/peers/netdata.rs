//! A monitoring agent that must not stay down: how long a copy of its samples takes it away, beside the way by hand.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::machines::fleet::Fleet;
use crate::machines::host::wait_for;
use crate::machines::machine::Machine;
use crate::measure::{Pairs, busy_children, in_turn, peak_memory, rounds, shell, spread};
use crate::report::{Line, Table};
use crate::samples::grow_samples;
use crate::stage::{Desk, Vault};

const HOST: &str = "mon-1";
const SERVICES: &str = "[hosts.HOST.services.netdata]";
const METRICS: &str = "mon-1/netdata/metrics";
const CACHE: &str = "/var/cache/netdata";
/// What one core must verify in a second, in MiB.
const VERIFY: f64 = 300.0;
/// The most memory resident, in MiB.
const MEMORY: f64 = 64.0;

/// How often the agent is taken away in each way: its own end takes between a fifth of a second and more than one.
const DOWN_ROUNDS: usize = 9;

/// Few collectors, and room for all that was stored.
const CONF: &str = "[global]\n\trun as user = netdata\n[db]\n\tstorage tiers = 1\n\tdbengine multihost disk space MB = 8192\n\
    [web]\n\tbind to = 127.0.0.1\n[statsd]\n\tenabled = no\n[plugins]\n\tapps = no\n\tcgroups = no\n\ttc = no\n\tpython.d = no\n\
    \tcharts.d = no\n\tgo.d = no\n\tperf = no\n\tslabinfo = no\n\tioping = no\n\tnfacct = no\n\tfreeipmi = no\n";

/// Size of the samples, in MiB: 1 GiB unless `LIFEBOAT_BENCH_MIB` says otherwise, for trying the row out.
fn size() -> usize {
    std::env::var("LIFEBOAT_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024)
}

/// Measures the row.
pub fn netdata() -> Table {
    let machine = Machine::boot(Fleet::shared(), HOST);
    let stored = agent_with_samples(&machine, size());
    let what = format!("{} MiB of samples", stored >> 20);
    let mut lines = downtime(&machine, &what);
    lines.extend(whole(&machine, &what));
    lines.extend(verified(&machine, &what));
    let about = "`lifeboat backup` of an agent's `metrics` (Debian's netdata-core 1.37.1 with one tier), in clear unless told otherwise. \
                 *Down* is systemd's own record of the unit, from the moment it stopped being active until it was active again, for both, in nine pairs; its parts are those the snapshot tells. The peer is the usual way: `systemctl stop`, `tar -cf` through `ssh`, `systemctl start`. \
                 *Whole backup* is beside `ssh host sudo tar -cf -` of the running agent, which is fast and holds no sound copy. \
                 *Nothing travels* is by when the stored archive grew, and by the times in the run's journal. *Verify* is `lifeboat verify` of that snapshot, offline; its rate is bytes by processor time, so that it is that of one core. Memory is the kernel's own high-water mark of the process (`VmHWM`).";
    Table { title: "An agent's samples".to_owned(), about: about.to_owned(), rounds: few(), lines }
}

fn few() -> usize {
    rounds().min(3)
}

/// A running agent that has been stopped once, so that its newest pair of files is its own. Gives the bytes of its cache.
fn agent_with_samples(machine: &Machine, mebibytes: usize) -> u64 {
    machine.write_as("root", "/etc/netdata/netdata.conf", CONF, 0o644);
    // A unit that nothing wants is forgotten while it is down, with the moments it keeps.
    machine.exec("systemctl enable netdata").ok();
    start(machine);
    machine.exec("systemctl stop netdata").ok();
    grow_samples(&machine.path(&format!("{CACHE}/dbengine")), 2, mebibytes);
    machine.exec(&format!("chown -R netdata:netdata {CACHE}")).ok();
    start(machine);
    machine.exec("sleep 20; systemctl stop netdata").ok();
    start(machine);
    let pairs = machine.exec(&format!("ls {CACHE}/dbengine | grep -c ndf")).ok();
    eprintln!("   {} data files", pairs.trim());
    let bytes = machine.exec(&format!("du -sb {CACHE} | cut -f1")).ok().trim().parse().unwrap();
    assert!(
        bytes >= (mebibytes as u64) << 20,
        "the agent threw samples away that it was given: {bytes} bytes are left"
    );
    bytes
}

fn start(machine: &Machine) {
    machine.exec("systemctl start netdata").ok();
    let up = wait_for(Duration::from_mins(3), || {
        machine.exec("curl -sf -m 10 http://127.0.0.1:19999/api/v1/info").success().then_some(())
    });
    assert!(up.is_some(), "the agent does not answer");
}

/// Seconds for which the unit was not active when it was away last.
fn was_down(machine: &Machine) -> f64 {
    let moments = "systemctl show --property=ActiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic netdata";
    let told = machine.exec(moments).ok();
    let at = |key: &str| -> u64 {
        let line = told.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {key} in {told}"))
    };
    let (left, back) = (at("ActiveExitTimestampMonotonic"), at("ActiveEnterTimestampMonotonic"));
    assert!(back > left, "the agent is not back: {told}");
    Duration::from_micros(back - left).as_secs_f64()
}

/// Runs one way of copying and tells how long the agent was away for it.
fn away(machine: &Machine, copy: &mut dyn FnMut() -> bool) -> (f64, f64) {
    loop {
        let busy = busy_children();
        let counts = copy();
        let found = (was_down(machine), busy_children() - busy);
        start(machine);
        if counts {
            return found;
        }
    }
}

/// How long the agent is away in both ways, and what it is away for in ours.
fn downtime(machine: &Machine, what: &str) -> Vec<Line> {
    let desk = desk(machine, Vault::Clear);
    let copy = desk.aside("metrics.tar");
    let manual = format!(
        "{}\n{} >'{}'\n{}",
        desk.way.ssh("sudo systemctl stop netdata"),
        desk.way.ssh(&format!("sudo tar -cf - -C / {}", CACHE.trim_start_matches('/'))),
        copy.display(),
        desk.way.ssh("sudo systemctl start netdata"),
    );
    let mut pairs = Pairs::default();
    let mut parts = Vec::new();
    // The first pair does not count.
    for round in 0..=DOWN_ROUNDS {
        let ours = away(machine, &mut || desk.back_up(&[METRICS]));
        let part = told_parts(&desk);
        let peer = away(machine, &mut || {
            shell(&manual);
            true
        });
        desk.forget(HOST);
        let _ = fs::remove_file(&copy);
        eprintln!("   down: {:.2} s ({part:.2?}), peer {:.2} s", ours.0, peer.0);
        if round > 0 {
            pairs.ours.push(ours.0);
            pairs.peer.push(peer.0);
            pairs.ours_busy.push(ours.1);
            pairs.peer_busy.push(peer.1);
            parts.push(part);
        }
    }
    let mut lines = vec![Line::times(&format!("{what}: the agent is down"), &pairs, 0.2)];
    let names = ["of that, until the agent has ended", "of that, the copy beside", "of that, until it runs again"];
    lines.extend(spans(what, &names, &parts));
    lines
}

/// Seconds of the parts of the stop, as the newest snapshot tells them.
fn told_parts(desk: &Desk) -> [f64; 3] {
    let all = crate::support::console::files_below(&desk.console.path("vault").join(HOST));
    let manifest = all.iter().rfind(|file| file.ends_with("manifest.json")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(manifest).unwrap()).unwrap();
    ["stop_ms", "copy_ms", "start_ms"].map(|part| told["facts"]["downtime"][part].as_f64().unwrap() / 1000.0)
}

/// A line for each of some stretches of time, measured in every round.
fn spans<const N: usize>(what: &str, names: &[&str; N], rounds: &[[f64; N]]) -> Vec<Line> {
    let line = |(at, name): (usize, &&str)| {
        let found = spread(&rounds.iter().map(|round| round[at]).collect::<Vec<_>>());
        let told = format!("{:.2} ({:.2} to {:.2}) s", found.median, found.min, found.max);
        Line::alone(&format!("{what}: {name}"), &told, "-", None)
    };
    names.iter().enumerate().map(line).collect()
}

/// The whole backup beside the peer's, and what of it is spent with nothing under way.
fn whole(machine: &Machine, what: &str) -> Vec<Line> {
    let desk = desk(machine, Vault::Clear);
    let copy = desk.aside("metrics.tar");
    // 1: a file changed while it was read, which it does.
    let manual = format!(
        "{} >'{}' || [ $? = 1 ]",
        desk.way.ssh(&format!("sudo tar -cf - -C / {}", CACHE.trim_start_matches('/'))),
        copy.display()
    );
    let mut quiet = Vec::new();
    let mut ours = || {
        let (counts, stretches) = watched(&desk);
        quiet.extend(stretches.filter(|_| counts));
        counts
    };
    let pairs = in_turn("whole backup", few(), &mut ours, &mut || shell(&manual), &mut || {
        desk.forget(HOST);
        let _ = fs::remove_file(&copy);
        start(machine);
    });
    let mut lines = vec![Line::times(&format!("{what}: whole backup"), &pairs, 1.3)];
    // The first pair does not count.
    lines.extend(spans(what, &QUIET, &quiet[1..]));
    lines
}

/// The stretches of one backup in which nothing travels, and two parts of the first one.
const QUIET: [&str; 5] = [
    "nothing travels before the first byte",
    "of that, until the run begins",
    "of that, until the copy begins",
    "nothing travels during the stop",
    "nothing travels after the last byte",
];

/// Backs up once and tells how long nothing travelled: by when the stored archive grew, and by the times that the run's
/// own journal holds. An archive is one file, and the longest moment in which it does not grow is the stop.
fn watched(desk: &Desk) -> (bool, Option<[f64; 5]>) {
    let vault = desk.console.path("vault");
    let over = AtomicBool::new(false);
    let (counts, grown, (began, ended)) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut size, mut grown) = (0, Vec::new());
            while !over.load(Ordering::SeqCst) {
                let is = staged_bytes(&vault);
                if is > size {
                    size = is;
                    grown.push(clock());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            grown
        });
        let began = clock();
        let counts = desk.back_up(&[METRICS]);
        let ended = clock();
        over.store(true, Ordering::SeqCst);
        (counts, watch.join().unwrap(), (began, ended))
    });
    let (Some(first), Some(last)) = (grown.first(), grown.last()) else { return (counts, None) };
    let stop = grown.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    let run = |kind: &str| journalled(&vault, kind).map_or(f64::NAN, |at| at - began);
    let stretches = [first - began, run("run_started"), run("step_started") - run("run_started"), stop, ended - last];
    eprintln!("   nothing travels: {stretches:.2?} of {:.2} s", ended - began);
    (counts, Some(stretches))
}

fn clock() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Bytes of the archive that is being stored.
fn staged_bytes(vault: &Path) -> u64 {
    let sizes = crate::support::console::files_below(&vault.join(".staging"));
    let archives = sizes.iter().filter(|file| file.to_string_lossy().ends_with(".tar"));
    archives.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// When something first happened in the newest run, by its journal.
fn journalled(vault: &Path, kind: &str) -> Option<f64> {
    let runs = crate::support::console::files_below(&vault.join("runs"));
    let newest = runs.iter().rfind(|file| file.ends_with("journal.jsonl"))?;
    let text = fs::read_to_string(newest).ok()?;
    let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut events = events.map(|line| line["entry"].clone());
    let at = events.find(|event| event["kind"] == kind)?["at"].as_str()?.parse::<jiff::Timestamp>().ok()?;
    Some(at.as_duration().as_secs_f64())
}

/// The rate of verifying, in clear and sealed, and the memory of both ways.
fn verified(machine: &Machine, what: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for (vault, how, bound) in [(Vault::Clear, "in clear", true), (Vault::Sealed, "sealed", false)] {
        let desk = desk(machine, vault);
        let backup = peak_memory(&mut desk.console.command(&["backup", METRICS]));
        let bytes = stored_bytes(&desk.console.path("vault").join(HOST));
        let (mut rates, mut clocks, mut peak) = (Vec::new(), Vec::new(), 0);
        for _ in 0..few() {
            let (began, busy) = (Instant::now(), busy_children());
            desk.console.run(&["verify", METRICS]).expect(0);
            clocks.push(began.elapsed().as_secs_f64());
            rates.push(mebibytes(bytes) / (busy_children() - busy).max(0.01));
            peak = peak.max(peak_memory(&mut desk.console.command(&["verify", METRICS])));
        }
        let (rate, clock) = (spread(&rates), spread(&clocks));
        let told = format!(
            "{:.0} ({:.0} to {:.0}) MiB/s a core, {:.2} s by the clock",
            rate.median, rate.min, rate.max, clock.median
        );
        let bar = if bound { format!("≥ {VERIFY:.0} MiB/s a core") } else { "-".to_owned() };
        lines.push(Line::alone(&format!("{what}: verify, {how}"), &told, &bar, bound.then_some(rate.median >= VERIFY)));
        let told = format!("{:.1} MiB backing up, {:.1} MiB verifying", mebibytes(backup), mebibytes(peak));
        let met = mebibytes(backup.max(peak)) <= MEMORY;
        let bar = format!("≤ {MEMORY:.0} MiB");
        lines.push(Line::alone(&format!("{what}: most memory resident, {how}"), &told, &bar, Some(met)));
        start(machine);
    }
    lines
}

fn desk(machine: &Machine, vault: Vault) -> Desk {
    Desk::of(machine, vault, &[HOST.to_owned()], SERVICES, None)
}

fn stored_bytes(dir: &Path) -> u64 {
    crate::support::console::files_below(dir).iter().map(|file| file.metadata().unwrap().len()).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a size shown with one decimal")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
