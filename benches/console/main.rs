//! How the console feels: first frame, key to frame, idle, memory. Run by hand: `cargo bench --bench console`.
//!
//! The whole program runs in a pseudo-terminal with an inventory of 1,000 hosts of five services each, whose addresses
//! refuse at once, and remembers an item with three copies of each service from an earlier sitting. The bars are those of the design; a figure past its bar ends the run with 1.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot measure ends, and prints what it measured"
)]

mod running;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lifeboat::config::parse_inventory;
use lifeboat::engine::board::Waits;
use lifeboat::engine::fleet::last_look::{self, About};
use lifeboat::engine::fleet::{Fleet, ItemFacts, ItemState, ItemView};
use lifeboat::engine::holdings::{CopyView, ProofView, Shelf};
use lifeboat::engine::runs::Resume;
use lifeboat::model::event::{Event, EventKind};
use lifeboat::model::ids::{HostId, ItemId, ItemRef, RunId, SnapshotId};
use lifeboat::model::inventory::Inventory;
use lifeboat::model::item::{Copying, Sensitivity, Standing};
use lifeboat::model::manifest::Rung;
use lifeboat::model::plan::Plan;
use lifeboat::model::text::CleanText;
use lifeboat::model::units::ByteSize;
use lifeboat::tui::app::App;
use lifeboat::tui::message::{Msg, Notice, TakenUp, Tone, Wish};
use lifeboat::tui::model::{Job, JobId, Model, Place, Stage};
use lifeboat::tui::screens::fleet::FleetPage;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use running::{Running, milliseconds, percentile, start};

const HOSTS: usize = 1_000;

fn inventory(address: &str) -> String {
    let mut text = String::from("version = 1\n[vault]\npath = \"/nonexistent/vault\"\n");
    for host in 0..HOSTS {
        let group = host % 20;
        let _ = write!(
            text,
            "[hosts.node-{host:04}]\naddress = \"{address}\"\nport = {}\ngroups = [\"group-{group}\"]\n",
            1 + host
        );
        for service in 0..5 {
            let _ = write!(
                text,
                "[hosts.node-{host:04}.services.files-{service}]\nkind = \"files\"\npaths = [\"/srv/{service}\"]\n"
            );
        }
    }
    text
}

/// What an earlier sitting left: an item of every service, with three copies of it.
fn remember(state_dir: &Path, inventory: &Inventory, digest: [u8; 32], now: Timestamp) {
    let mut fleet = Fleet::of_inventory(inventory);
    for owner in fleet.owners.iter_mut() {
        let source = HostId::new(owner.id.as_str()).unwrap();
        for service in &mut owner.services {
            let item = ItemId::new("tree-0").unwrap();
            let place = ItemRef { owner: owner.id.clone(), service: service.name.clone(), item };
            let facts = ItemFacts {
                title: CleanText::new("Files below /srv"),
                size: Some(ByteSize(12_345_678)),
                sensitivity: Sensitivity::Plain,
                copying: Copying::Live,
                standing: Standing::Ready,
                facts: Box::default(),
            };
            let shelf = Shelf { copies: (1..=3).map(|day| copy(&source, day, now)).collect(), ..Shelf::default() };
            service.items =
                vec![ItemView { place, item: Some(facts), shelf, state: ItemState::Ok, why: String::new() }];
        }
    }
    let about = About { inventory: inventory.path.clone(), digest, vault: None };
    last_look::write(state_dir, &about, &inventory.vault.path, &fleet, now).unwrap();
}

/// A verified copy of `day` days ago.
fn copy(source: &HostId, day: i64, now: Timestamp) -> CopyView {
    let at = now - jiff::SignedDuration::from_hours(24 * day);
    let proofs = [Rung::Copied, Rung::Verified].map(|rung| ProofView { rung, at, passed: true });
    CopyView {
        id: SnapshotId::new(format!("202611{:02}T005000Z-7f3a", 20 - day)).unwrap(),
        created: at,
        source: source.clone(),
        size: ByteSize(12_345_678),
        stored: ByteSize(4_567_890),
        sealed: true,
        proofs: proofs.into(),
        against: Vec::new(),
        marks: Vec::new(),
    }
}

/// Says a figure beside its bar; `false` past it.
fn say(what: &str, figure: f64, unit: &str, bar: f64) -> bool {
    let holds = figure <= bar;
    println!("{what:<58} {figure:>9.1} {unit:<4} bar {bar:>6.1}  {}", if holds { "holds" } else { "MISSED" });
    holds
}

/// The program's first whole frame, from the moment it is started.
fn first_frame(dir: &Path) -> Duration {
    let mut spans: Vec<Duration> = (0..15)
        .map(|_| {
            let running = start(dir);
            let span = running.first_frame();
            running.end();
            span
        })
        .collect();
    spans.sort();
    percentile(&spans, 0.5)
}

/// The plan of a transfer: what a backup that stops its service does.
fn plan(host: usize) -> Plan {
    let step = |id: &str, title: &str, op: &str, effect: &str| serde_json::json!({"id": id, "host": format!("node-{host:04}"), "title": title, "timeout": 60, "op": op, "args": {"unit": "app.service"}, "effect": effect});
    let item = serde_json::json!({"owner": format!("node-{host:04}"), "service": "files-0", "item": "tree-0"});
    let steps = serde_json::json!([
        step("stop", "Stop app.service", "service.stop/1", "quiesce"),
        step("capture", "Copy the files below /srv", "capture/1", "read"),
        step("start", "Start app.service", "service.start/1", "write"),
    ]);
    let plan = serde_json::json!({"command": {"do": "backup", "item": item}, "basis": {}, "choices": [], "gates": [], "guards": [], "steps": steps, "leaves": []});
    serde_json::from_value(plan).unwrap()
}

/// A job that copies: its plan, its run's events so far, and a board that a thread of its own moves.
fn transfer(number: u32, now: Timestamp) -> Job {
    let run = RunId::new(format!("20261120T0250{number:02}Z-7f3a9c")).unwrap();
    let mut job = Job::new(JobId(number), Wish::Resume(run.clone(), Resume::GoOn, None));
    job.stage = Stage::Running;
    job.started = Some(now);
    job.taken_up = Some(Arc::new(TakenUp { plan: plan(number as usize), events: Vec::new() }));
    for (seq, kind) in [("stop", true), ("stop", false), ("capture", true)].into_iter().enumerate() {
        let (step, out) = (kind.0.parse().unwrap(), serde_json::Value::Null);
        let kind =
            if kind.1 { EventKind::StepStarted { step, before: out } } else { EventKind::StepFinished { step, out } };
        job.board.add(Event { schema: 1, run: run.clone(), seq: seq as u64, at: now, kind });
    }
    job.board.begin(CleanText::new("Copy the files below /srv"), 1 << 34);
    job
}

/// Moves a board as a transfer of 10 MiB/s does: a chunk every 25 ms, a file every tenth, a journalled event a second.
fn keep_moving(job: &Job, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (board, run) = (job.board.clone(), board_run(job));
    std::thread::spawn(move || {
        for chunk in 1_u64.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            board.moved(256 << 10);
            board.waited(Waits { link: 18, vault: 5, check: 2 });
            if chunk.is_multiple_of(10) {
                board.file_done();
            }
            if chunk.is_multiple_of(40) {
                let kind = EventKind::Note { text: CleanText::new(&format!("{chunk} chunks were copied.")) };
                let seq = 2 + chunk / 40;
                board.add(Event { schema: 1, run: run.clone(), seq, at: Timestamp::now(), kind });
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    })
}

fn board_run(job: &Job) -> RunId {
    let Wish::Resume(run, ..) = &job.wish else { unreachable!("every transfer of this bench takes a run up") };
    run.clone()
}

/// From a key to the frame it changes, inside the process: what eight transfers did meanwhile is taken in, then update,
/// view, diff and encoding, with 10,000 lines in the log.
fn key_to_frame(text: &str) -> (Duration, Duration) {
    let loaded = parse_inventory(text, Path::new("/inventory.toml"), Path::new("/home/ops")).unwrap();
    let now: Timestamp = "2026-11-20T02:50:00Z".parse().unwrap();
    let mut model = Model::new(Place::default(), Fleet::of_inventory(&loaded.inventory), now);
    model.jobs.extend((1..=8).map(|number| transfer(number, now)));
    let stop = Arc::new(AtomicBool::new(false));
    let moving: Vec<_> = model.jobs.iter().map(|job| keep_moving(job, stop.clone())).collect();
    let mut app = App::new(model, Box::new(FleetPage::default()));
    for number in 0..10_000 {
        app.update(Msg::Notice(Notice::Noted(Tone::Plain, format!("line {number} of the log"))));
    }
    let area = Rect::new(0, 0, 120, 40);
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    let mut terminal = Terminal::with_options(CrosstermBackend::new(Vec::new()), options).unwrap();
    let keys = [
        "down", "down", "J", "down", "esc", "O", "pgup", "up", "esc", "pgdn", "G", "up", "?", "esc", "V", "esc", "R",
        "esc",
    ];
    let mut spans = Vec::new();
    for round in 0..2_000usize {
        let key: lifeboat::tui::keymap::Key = keys[round % keys.len()].parse().unwrap();
        // As fast as a key repeats, so that the transfers have moved on.
        std::thread::sleep(Duration::from_millis(10));
        let begun = Instant::now();
        app.update(Msg::Tick(now + jiff::SignedDuration::from_millis(i64::try_from(round).unwrap() * 10)));
        app.update(Msg::Key(key.event()));
        terminal.draw(|frame| app.view(frame.area(), frame.buffer_mut())).unwrap();
        spans.push(begun.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    for thread in moving {
        thread.join().unwrap();
    }
    spans.sort();
    (percentile(&spans, 0.5), percentile(&spans, 0.99))
}

/// From a key to its frame through the pseudo-terminal.
fn key_through_terminal(running: &mut Running) -> Duration {
    let mut spans = Vec::new();
    for round in 0..200 {
        spans.push(running.until_the_head_changes(if round % 2 == 0 { "\x1b[B" } else { "\x1b[A" }));
        std::thread::sleep(Duration::from_millis(5));
    }
    spans.sort();
    percentile(&spans, 0.99)
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["home", "config", "data"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let text = inventory("127.0.0.1");
    let path = dir.path().join("config/inventory.toml");
    std::fs::write(&path, &text).unwrap();
    let loaded = parse_inventory(&text, &path, dir.path()).unwrap();
    remember(&dir.path().join("data/state"), &loaded.inventory, loaded.digest, Timestamp::now());
    let mut holds = true;
    holds &= say(
        "first frame, 5,000 remembered items, exec to frame, p50",
        milliseconds(first_frame(dir.path())),
        "ms",
        50.0,
    );
    let (middle, most) = key_to_frame(&text);
    holds &= say("key to frame in the process, 8 transfers, 10,000 lines, p50", milliseconds(middle), "ms", 16.0);
    holds &= say("key to frame in the process, 8 transfers, 10,000 lines, p99", milliseconds(most), "ms", 16.0);
    let mut running = start(dir.path());
    running.first_frame();
    // The look at 1,000 hosts ends when every one has refused.
    running.settle();
    let before = running.switches();
    std::thread::sleep(Duration::from_secs(5));
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let woken = (running.switches() - before) as f64;
    holds &= say("wake-ups in 5 s of idling, all threads", woken, "", 0.0);
    holds &= say(
        "key to frame through the terminal, idle, p99 of 200",
        milliseconds(key_through_terminal(&mut running)),
        "ms",
        16.0,
    );
    holds &= say("resident, 1,000 hosts of 5 services, all looked at", running.memory("VmRSS"), "MiB", 60.0);
    running.end();
    if !holds {
        std::process::exit(1);
    }
}
