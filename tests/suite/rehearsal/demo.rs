//! One fleet that was started, and a console that knows it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::support::console::Ended;

/// Longer than a fleet takes to start on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A fleet; it ends with the value.
pub struct Demo {
    pub place: tempfile::TempDir,
    pub child: Child,
    /// What the program told when it was up.
    pub told: Value,
    stdin: Option<ChildStdin>,
    documents: Receiver<Value>,
}

/// The program with a place of its own for temporary files.
pub fn lifeboat(place: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", place).env("TMPDIR", place);
    command
}

impl Demo {
    pub fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let command = lifeboat(place.path());
        Self::with(place, command)
    }

    /// Starts it by another command line that ends in the program.
    pub fn with(place: tempfile::TempDir, mut command: Command) -> Self {
        command.args(["--json", "demo"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let (send, documents) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = send.send(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")));
            }
        });
        let mut demo = Self { place, child, told: Value::Null, stdin, documents };
        demo.told = demo.next();
        assert_eq!(demo.told["kind"], "demo", "{}", demo.told);
        demo
    }

    fn next(&self) -> Value {
        self.documents.recv_timeout(PATIENCE).unwrap()
    }

    /// A path the program told.
    pub fn path(&self, key: &str) -> PathBuf {
        PathBuf::from(self.told[key].as_str().unwrap())
    }

    /// Breaks or mends a node; gives what the program told.
    pub fn say(&mut self, line: &str) -> Value {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.next()
    }

    /// As [`Self::say`], for what must work.
    #[track_caller]
    pub fn does(&mut self, line: &str) {
        let told = self.say(line);
        assert_eq!(told["kind"], "told", "{line}: {told}");
    }

    /// Calls the program as in another terminal.
    pub fn call(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The call itself.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = lifeboat(self.place.path());
        command
            .args(args)
            .env("LIFEBOAT_CONFIG_DIR", self.path("config_dir"))
            .env("LIFEBOAT_DATA_DIR", self.path("data_dir"))
            .stdin(Stdio::null());
        command
    }

    /// Asks it to end, and waits until it has.
    pub fn quit(mut self) -> tempfile::TempDir {
        writeln!(self.stdin.take().unwrap(), "quit").unwrap();
        assert!(self.child.wait().unwrap().success());
        std::mem::replace(&mut self.place, tempfile::tempdir().unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
