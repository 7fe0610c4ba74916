//! What is printed and written down.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::measure::{Pairs, spread};

/// One comparison or figure with its bar.
#[derive(Debug, Clone)]
pub struct Line {
    pub what: String,
    pub ours: String,
    pub peer: String,
    pub found: String,
    pub busy: String,
    pub bar: String,
    pub met: Option<bool>,
}

/// The lines of one row, with what must be known to read them.
#[derive(Debug, Clone)]
pub struct Table {
    pub title: String,
    pub about: String,
    pub rounds: usize,
    pub lines: Vec<Line>,
}

impl Line {
    /// Seconds beside the peer's. The bar is on the middle ratio of the pairs.
    pub fn times(what: &str, pairs: &Pairs, bar: f64) -> Self {
        let seconds = |figures: &[f64]| {
            let found = spread(figures);
            format!("{:.2} ({:.2} to {:.2}) s", found.median, found.min, found.max)
        };
        let ratio = spread(&pairs.ratios());
        Self {
            what: what.to_owned(),
            ours: seconds(&pairs.ours),
            peer: seconds(&pairs.peer),
            found: format!("{:.2} × ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max),
            busy: format!("{:.2} / {:.2} s", spread(&pairs.ours_busy).median, spread(&pairs.peer_busy).median),
            bar: format!("≤ {bar:.2} ×"),
            met: Some(ratio.median <= bar),
        }
    }

    /// A figure of ours alone.
    pub fn alone(what: &str, found: &str, bar: &str, met: Option<bool>) -> Self {
        let text = str::to_owned;
        Self {
            what: text(what),
            ours: text(found),
            peer: text("-"),
            found: text("-"),
            busy: text("-"),
            bar: text(bar),
            met,
        }
    }
}

impl Table {
    pub fn render(&self) -> String {
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.about);
        text += "| what | Lifeboat | peer | Lifeboat / peer | processor time here | bar | |\n|---|---|---|---|---|---|---|\n";
        for line in &self.lines {
            let verdict = match line.met {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "",
            };
            let Line { what, ours, peer, found, busy, bar, .. } = line;
            let _ = writeln!(text, "| {what} | {ours} | {peer} | {found} | {busy} | {bar} | {verdict} |");
        }
        text
    }
}

/// The machine everything runs on, described so that nobody learns whose it is.
#[derive(Debug, Clone)]
pub struct Ground {
    cores: usize,
    clock: String,
    features: String,
    memory: String,
    kernel: String,
    ssh: String,
    load: String,
    date: String,
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

impl Ground {
    pub fn look() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let of = |key: &str| {
            let line = cpu.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value).to_owned()
        };
        let flags = of("flags");
        let has = |flag: &str| if flags.split(' ').any(|word| word == flag) { "with" } else { "without" };
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            clock: of("cpu MHz").split('.').next().unwrap_or("").to_owned(),
            features: format!(
                "{} AES instructions, {} AVX-512, {} SHA instructions",
                has("aes"),
                has("avx512f"),
                has("sha_ni")
            ),
            memory: format!("{} GiB", kib.unwrap_or(0).div_ceil(1 << 20)),
            kernel: said("uname", &["-sr"]).split('-').next().unwrap_or("").to_owned(),
            ssh: said("ssh", &["-V"]).split(',').next().unwrap_or("").to_owned(),
            load: fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
            date: said("date", &["-u", "+%Y-%m-%d"]),
        }
    }
}

/// Between these two lines stands what a person wrote; it is kept when the page is written anew.
const NOTES: (&str, &str) = ("<!-- notes -->", "<!-- end of notes -->");

/// Puts a table into the page, in the place of the one it had; other tables and the notes stay as they are.
pub fn enter(path: &Path, before: &Ground, table: &Table) {
    let after = Ground::look();
    let old = fs::read_to_string(path).unwrap_or_default();
    let (tables, notes) = old.split_once(NOTES.0).unwrap_or((&old, ""));
    let notes = notes.split_once(NOTES.1).map_or("\n", |(notes, _)| notes);
    let mine = format!(
        "{}\nMeasured on {}, {} rounds; load of the machine before {}, after {}.\n",
        table.render(),
        after.date,
        table.rounds,
        before.load,
        after.load
    );
    let title = |section: &str| section.lines().next().unwrap_or("").to_owned();
    let mut sections: Vec<String> =
        tables.split("\n## ").skip(1).map(|section| format!("## {}\n", section.trim_end())).collect();
    match sections.iter_mut().find(|section| title(section) == title(&mine)) {
        Some(section) => *section = mine,
        None => sections.push(mine),
    }
    let text = format!("{}\n{}\n{}{notes}{}\n", intro(before), sections.join("\n"), NOTES.0, NOTES.1);
    fs::write(path, text).unwrap();
}

fn intro(ground: &Ground) -> String {
    let Ground { cores, clock, features, memory, kernel, ssh, .. } = ground;
    format!(
        "# Benchmarks\n\n\
         Each figure stands beside what an operator would type instead, measured in the same run and in turn, so that a machine that slows down slows both. \
         `benches/run` measures everything again and writes this page; `benches/run ROW` measures one row and replaces its table. \
         Told are the middle, the least and the greatest; a bar is held against the middle of the pairs' ratios. One run of each does not count. *Processor time here* is that of the programs on the console's side, Lifeboat's and the peer's; what the node's side takes is not in it.\n\n\
         The machine: {cores} cores ({clock} MHz, {features}), {memory} of memory, {kernel}, {ssh}. Console and node share these cores: the node is a booted Debian machine (systemd-nspawn) with OpenSSH as it comes, \
         reached over a bridge. What is read and what is written lies in memory. Lifeboat {} in its release profile.\n",
        env!("CARGO_PKG_VERSION")
    )
}
