//! Two commands in turn, so that a machine that gets slower gets slower for both.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often each pair is measured.
pub fn rounds() -> usize {
    std::env::var("LIFEBOAT_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// Seconds of one run each, in the order they were taken: by the clock, and of this machine's cores for the programs
/// that were started here (not for the node's side).
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    pub ours: Vec<f64>,
    pub peer: Vec<f64>,
    pub ours_busy: Vec<f64>,
    pub peer_busy: Vec<f64>,
}

/// The least, the middle and the greatest of some figures.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

pub fn spread(figures: &[f64]) -> Spread {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
    Spread { min: sorted[0], median, max: sorted[sorted.len() - 1] }
}

impl Pairs {
    /// Ours in parts of the peer's, pair by pair.
    pub fn ratios(&self) -> Vec<f64> {
        self.ours.iter().zip(&self.peer).map(|(ours, peer)| ours / peer).collect()
    }
}

/// Runs both in turn, the order changing with every round, after one run of each that does not count. `tidy` runs
/// after each, untimed. Ours says whether it counts; what does not is run again.
pub fn in_turn(
    what: &str,
    rounds: usize,
    ours: &mut dyn FnMut() -> bool,
    peer: &mut dyn FnMut(),
    tidy: &mut dyn FnMut(),
) -> Pairs {
    let mut pairs = Pairs::default();
    let mut time = |run: &mut dyn FnMut() -> bool| loop {
        let (began, busy) = (Instant::now(), busy_children());
        let counts = run();
        let took = (began.elapsed().as_secs_f64(), busy_children() - busy);
        tidy();
        if counts {
            break took;
        }
    };
    let peer: &mut dyn FnMut() -> bool = &mut || {
        peer();
        true
    };
    let _ = (time(ours), time(peer));
    for round in 0..rounds {
        let (mine, theirs) = if round % 2 == 0 {
            let mine = time(ours);
            (mine, time(peer))
        } else {
            let theirs = time(peer);
            (time(ours), theirs)
        };
        eprintln!("   {what}: {:.2} s, peer {:.2} s, {:.2} x", mine.0, theirs.0, mine.0 / theirs.0);
        pairs.ours.push(mine.0);
        pairs.peer.push(theirs.0);
        pairs.ours_busy.push(mine.1);
        pairs.peer_busy.push(theirs.1);
    }
    pairs
}

/// Seconds of processor time that the children waited for so far have used (`proc(5)`: fields 16 and 17, in hundredths).
pub fn busy_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Runs a shell text that must succeed; what it prints is thrown away.
pub fn shell(text: &str) {
    let ended = Command::new("sh").args(["-euc", text]).stdin(Stdio::null()).stdout(Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{text}\nfailed: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Runs a program to its end and tells the most memory it had resident at once, in bytes.
///
/// The kernel keeps the mark itself; it is read until the process is gone.
pub fn peak_memory(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        while !ended.load(Ordering::SeqCst) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
            peak = peak.max(kib.unwrap_or(0) * 1024);
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    let mut said = String::new();
    let _ = std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said);
    let code = child.wait().unwrap();
    over.store(true, Ordering::SeqCst);
    assert!(code.success(), "{said}");
    watch.join().unwrap()
}
