//! Running commands on the host the machines stand on, and what any command answered.

use std::fmt;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a command answered, on the host or on a machine.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit status; 128 + n when signal n ended it.
    pub status: i32,
    /// Standard output, read as UTF-8 with replacement.
    pub stdout: String,
    /// Standard error, read as UTF-8 with replacement.
    pub stderr: String,
}

impl Output {
    /// The standard output of a command that succeeded; panics with both streams otherwise.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status == 0, "the command failed: {self}");
        self.stdout
    }

    /// Whether the command exited with 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, stdout, stderr } = self;
        write!(f, "status {status}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// Runs a command with `input` on its standard input and waits for its end.
#[track_caller]
pub fn run_with(command: &mut Command, input: &[u8]) -> Output {
    use std::os::unix::process::ExitStatusExt as _;
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {program}: {e}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let answer = std::thread::scope(|scope| {
        // A command may end without reading its input; that is its affair.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("wait for the command")
    });
    let status = answer.status;
    Output {
        status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&answer.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&answer.stderr).into_owned(),
    }
}

/// Runs a program on the host; panics when it fails.
#[track_caller]
pub fn host(program: &str, args: &[&str]) -> String {
    run_with(Command::new(program).args(args), b"").ok()
}

/// Calls `probe` until it answers or `limit` has passed; less and less often, for a probe may cost more than what it waits for.
pub fn wait_for<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let (start, mut pause) = (Instant::now(), Duration::from_millis(20));
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if start.elapsed() > limit {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_millis(100));
    }
}

/// `bytes` random bytes from the kernel, as hex: passwords and names that live for one run.
pub fn random_hex(bytes: usize) -> String {
    use std::fmt::Write as _;
    use std::io::Read as _;
    let mut raw = vec![0; bytes];
    std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut raw)).expect("read /dev/urandom");
    raw.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
