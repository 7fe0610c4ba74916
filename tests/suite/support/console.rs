//! One console installation as an operator has it: directories of its own, an inventory, and the real binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A console's directories and how to call the program in them.
pub struct Console {
    dir: tempfile::TempDir,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Asserts the exit code; both streams are in the message.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Asserts that either stream has `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.out.contains(text) || self.err.contains(text),
            "'{text}' is not in\n--- stdout\n{}\n--- stderr\n{}",
            self.out,
            self.err
        );
        self
    }

    /// The JSON documents of standard output.
    pub fn documents(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }
}

impl Console {
    /// Empty directories; the key that opens its vault is made by the program itself.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("console").tempdir().unwrap();
        for name in ["home", "config", "data"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    /// A path in the console's directory.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    /// Writes the inventory.
    pub fn write_inventory(&self, text: &str) {
        std::fs::write(self.path("config/inventory.toml"), text).unwrap();
    }

    /// The program, ready to be started with nothing of the caller's environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin")
            .env("HOME", self.path("home"))
            .env("LIFEBOAT_CONFIG_DIR", self.path("config"))
            .env("LIFEBOAT_DATA_DIR", self.path("data"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts the program and leaves it running.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A fresh key of the program's own making; gives its public part.
    pub fn keygen(&self) -> String {
        let key = self.path("key.txt");
        let ended = self.run(&["keygen", key.to_str().unwrap()]).expect(0);
        let public =
            ended.out.split_whitespace().find(|word| word.starts_with("age1")).expect("the public key is printed");
        public.to_owned()
    }
}

/// Does something, with every program that it starts, ahead of whatever else the machine does: who kills a program at a
/// line that it prints must not come late because twenty others want the processor.
pub fn ahead_of_others<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let worker = || {
        // The kernel counts by thread.
        rustix::process::setpriority_process(None, -20).expect("root may go ahead");
        work()
    };
    std::thread::scope(|scope| scope.spawn(worker).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Every regular file below a directory, for looking at a vault as bytes.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(dir)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|e| e.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    found.sort();
    found
}
