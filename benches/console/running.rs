//! The program in a pseudo-terminal, and when each of its frames was whole.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Columns and lines.
const SIZE: (NonZero<u16>, NonZero<u16>) = (NonZero::new(120).unwrap(), NonZero::new(40).unwrap());

/// What ends a frame.
const WHOLE: &[u8] = b"\x1b[?2026l";

/// A frame as a terminal shows it.
#[derive(Debug)]
pub struct Frame {
    /// When its last byte came.
    pub at: Instant,
    /// Its first line, which names the page and what is selected there.
    pub head: String,
}

/// The program, started.
pub struct Running {
    pub child: Box<dyn Child + Send + Sync>,
    pub writer: Box<dyn Write + Send>,
    pub frames: Receiver<Frame>,
    pub begun: Instant,
    screen: Arc<Mutex<vt100::Parser>>,
    _master: Box<dyn MasterPty + Send>,
}

/// Starts the program with the directories of a console, and has a thread tell of every whole frame.
pub fn start(dir: &Path) -> Running {
    let (cols, rows) = SIZE;
    let size = PtySize { rows: rows.get(), cols: cols.get(), pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.env_clear();
    for (name, value) in [
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("HOME", dir.join("home").display().to_string()),
        ("LIFEBOAT_CONFIG_DIR", dir.join("config").display().to_string()),
        ("LIFEBOAT_DATA_DIR", dir.join("data").display().to_string()),
        ("TERM", "xterm-256color".to_owned()),
        ("COLORTERM", "truecolor".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
    ] {
        command.env(name, value);
    }
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (send, frames) = channel();
    let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, cols, 0)));
    let shown = screen.clone();
    let begun = Instant::now();
    let child = pair.slave.spawn_command(command).unwrap();
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        let mut bytes = [0; 8192];
        while let Ok(count @ 1..) = reader.read(&mut bytes) {
            let at = Instant::now();
            seen.extend_from_slice(&bytes[..count]);
            while let Some(end) = seen.windows(WHOLE.len()).position(|window| window == WHOLE) {
                let mut shown = shown.lock().unwrap();
                shown.process(&seen[..end + WHOLE.len()]);
                seen.drain(..end + WHOLE.len());
                let head = shown.screen().rows(0, cols.get()).next().unwrap_or_default();
                if send.send(Frame { at, head }).is_err() {
                    return;
                }
            }
        }
    });
    Running { child, writer: pair.master.take_writer().unwrap(), frames, begun, screen, _master: pair.master }
}

impl Running {
    /// Ends it, whatever it does.
    pub fn end(mut self) {
        let _ = self.writer.write_all(b"q");
        let _ = self.child.wait();
    }

    /// The first whole frame, from the moment the program was started.
    pub fn first_frame(&self) -> Duration {
        self.frames.recv_timeout(Duration::from_secs(20)).unwrap().at - self.begun
    }

    /// What stands on the screen.
    pub fn screen(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// The first line of it.
    pub fn head(&self) -> String {
        self.screen.lock().unwrap().screen().rows(0, SIZE.0.get()).next().unwrap_or_default()
    }

    /// Types.
    pub fn send(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// From a key to the first frame whose head is another one.
    pub fn until_the_head_changes(&mut self, key: &str) -> Duration {
        let before = self.head();
        while self.frames.try_recv().is_ok() {}
        let begun = Instant::now();
        self.send(key);
        loop {
            let frame = self.frames.recv_timeout(Duration::from_secs(10));
            assert!(frame.is_ok(), "no other head came\n{}", self.screen());
            let frame = frame.unwrap();
            if frame.head != before {
                return frame.at - begun;
            }
        }
    }

    /// A line of the kernel's own account of the process that tells of memory, in MiB.
    pub fn memory(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let found = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
        found.trim_start_matches(':').trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// How often its threads gave up the processor so far.
    pub fn switches(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let count = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:").map(str::to_owned));
            line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        tasks.map(count).sum()
    }

    /// Waits until nothing moves any more for two seconds.
    pub fn settle(&self) {
        let begun = Instant::now();
        loop {
            let before = self.switches();
            std::thread::sleep(Duration::from_secs(2));
            if self.switches() == before || begun.elapsed() > Duration::from_mins(20) {
                return;
            }
        }
    }
}

/// The figure below which a part of all lies.
pub fn percentile(sorted: &[Duration], part: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[at]
}

/// A span as it is told.
pub fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
