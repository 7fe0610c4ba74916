//! The real program in a pseudo-terminal, and what a terminal would show of it.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::console::Console;

/// How long a test waits for something to appear, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// As long as an operator looks at a page before the next key: keys that come at once with a page do not count.
const LOOK: Duration = Duration::from_millis(500);

/// A program in a pseudo-terminal.
pub struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    shown: Arc<Mutex<Shown>>,
    patience: Duration,
}

struct Shown {
    parser: vt100::Parser,
    raw: Vec<u8>,
    ended: bool,
    /// Whether what is written is left where it is.
    is_deaf: bool,
}

/// How a program is started.
pub struct Start {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    size: (u16, u16),
    patience: Duration,
}

impl Start {
    /// The program of this build in a console's directories, on a terminal with all colours.
    pub fn lifeboat(console: &Console, args: &[&str]) -> Self {
        Self::program(console, env!("CARGO_BIN_EXE_lifeboat"), args)
    }

    /// Any program, with the environment `lifeboat` would have.
    pub fn program(console: &Console, program: &str, args: &[&str]) -> Self {
        let path = |inside: &str| console.path(inside).to_str().unwrap().to_owned();
        let env = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin".to_owned()),
            ("HOME", path("home")),
            ("LIFEBOAT_CONFIG_DIR", path("config")),
            ("LIFEBOAT_DATA_DIR", path("data")),
            ("TERM", "xterm-256color".to_owned()),
            ("COLORTERM", "truecolor".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("SHELL", "/bin/sh".to_owned()),
        ];
        Self {
            program: program.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            size: (100, 30),
            patience: PATIENCE,
        }
    }

    /// Sets a variable; an empty value takes it away.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.env.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Columns and rows.
    pub fn size(mut self, width: u16, height: u16) -> Self {
        self.size = (width, height);
        self
    }

    /// How long it is waited for, where nodes have work to do.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it.
    pub fn go(self) -> Pty {
        let pair = native_pty_system().openpty(size_of(self.size)).unwrap();
        let mut command = CommandBuilder::new(self.program);
        command.args(self.args);
        command.env_clear();
        for (name, value) in self.env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let (height, width) = cells(self.size);
        let parser = vt100::Parser::new(height, width, 0);
        let shown = Arc::new(Mutex::new(Shown { parser, raw: Vec::new(), ended: false, is_deaf: false }));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let seen = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 8192];
            loop {
                while seen.lock().unwrap().is_deaf {
                    std::thread::sleep(Duration::from_millis(20));
                }
                let count = reader.read(&mut bytes).unwrap_or(0);
                let mut seen = seen.lock().unwrap();
                if count == 0 {
                    seen.ended = true;
                    return;
                }
                seen.raw.extend_from_slice(&bytes[..count]);
                seen.parser.process(&bytes[..count]);
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Pty { master: Some(pair.master), writer: Some(writer), child, shown, patience: self.patience }
    }
}

fn size_of((cols, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

/// Rows and columns of a drawn terminal, which has at least one of each.
fn cells((width, height): (u16, u16)) -> (NonZero<u16>, NonZero<u16>) {
    let at_least_one = |count: u16| NonZero::new(count).unwrap_or(NonZero::<u16>::MIN);
    (at_least_one(height), at_least_one(width))
}

impl Pty {
    /// What stands on the screen.
    pub fn screen(&self) -> String {
        self.shown.lock().unwrap().parser.screen().contents()
    }

    /// Every byte so far.
    pub fn raw(&self) -> Vec<u8> {
        self.shown.lock().unwrap().raw.clone()
    }

    /// How often a sequence was sent so far.
    pub fn count(&self, sequence: &str) -> usize {
        let raw = self.raw();
        raw.windows(sequence.len()).filter(|window| *window == sequence.as_bytes()).count()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Types bytes as a terminal would send them.
    pub fn send(&mut self, bytes: &str) -> &mut Self {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(bytes.as_bytes()).unwrap();
        writer.flush().unwrap();
        self
    }

    /// Waits until `holds` is true of the screen.
    #[track_caller]
    pub fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < self.patience, "{what} never came; the screen is\n{screen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("'{text}'"), |screen| screen.contains(text))
    }

    /// Waits until the page shows a text, and looks at it as long as an operator would.
    #[track_caller]
    pub fn read(&self, text: &str) -> String {
        self.wait_for(text);
        std::thread::sleep(LOOK);
        self.screen()
    }

    /// Presses keys one after the other, again and again, until the screen is as wished, as one goes down a list.
    #[track_caller]
    pub fn press_until(&mut self, keys: &[&str], what: &str, holds: impl Fn(&str) -> bool) {
        for key in keys.iter().cycle().take(120) {
            std::thread::sleep(Duration::from_millis(150));
            if holds(&self.screen()) {
                // What was pressed before may not have been drawn yet, and lead past it.
                std::thread::sleep(LOOK);
                if holds(&self.screen()) {
                    return;
                }
            }
            self.send(key);
        }
        panic!("{what} was never reached; the screen is\n{}", self.screen());
    }

    /// Waits until a text stands in what was written, for programs without a screen.
    #[track_caller]
    pub fn wait_for_raw(&self, text: &str) {
        let begun = Instant::now();
        while self.count(text) == 0 {
            let raw = String::from_utf8_lossy(&self.raw()).into_owned();
            assert!(begun.elapsed() < self.patience, "'{text}' never came; what came is\n{raw}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Gives the terminal another size.
    ///
    /// Both sides change under one lock: a frame for the new size must not be read by a screen of the old one, since
    /// the program draws it once.
    pub fn resize(&self, width: u16, height: u16) {
        let mut shown = self.shown.lock().unwrap();
        self.master.as_ref().unwrap().resize(size_of((width, height))).unwrap();
        let (height, width) = cells((width, height));
        shown.parser.screen_mut().set_size(height, width);
    }

    /// Sends a signal to the program by its number.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Whether the terminal shows what is typed, line by line: the state a shell wants it in.
    pub fn is_cooked(&self) -> bool {
        use rustix::termios::{LocalModes, tcgetattr};
        let path = self.master.as_ref().unwrap().tty_name().unwrap();
        let tty = std::fs::File::open(path).unwrap();
        tcgetattr(&tty).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// The program that was started ends by force: if it keeps a terminal for others, that goes away with it.
    pub fn hang_up(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Reads nothing more of what the program writes, like a terminal behind a link that hangs.
    pub fn stop_reading(&self) {
        self.shown.lock().unwrap().is_deaf = true;
    }

    /// Waits for the end of a program whose terminal reads nothing, and gives the exit code.
    #[track_caller]
    pub fn wait_end(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end and gives the exit code; what is still on its way is taken in.
    #[track_caller]
    pub fn wait_exit(&mut self) -> u32 {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.exit_code();
            }
            assert!(begun.elapsed() < self.patience, "it does not end; the screen is\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        };
        let begun = Instant::now();
        while self.master.is_some() && !self.shown.lock().unwrap().ended && begun.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(10));
        }
        code
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time and the voluntary context switches of a process so far, all threads together.
pub fn effort(pid: u32) -> (u64, u64) {
    let mut switches = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        switches += line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    (ticks, switches)
}
