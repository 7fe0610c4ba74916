//! A practice node: a root of its own with the machine's programs lent to it, played by namespaces.
//!
//! An ordinary user gets it through a user namespace, in which everything belongs to one account that calls itself root.
//! Root gets the same, and where user namespaces are switched off, mount and pid namespaces alone.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::process;

/// What every node has on its path before the machine's own programs.
const PROGRAMS: [(&str, &str); 3] = [
    ("systemctl", include_str!("node/systemctl")),
    ("date", include_str!("node/date")),
    ("init", include_str!("node/init")),
];
const HOLD: &str = include_str!("node/hold");
const PATH: &str = "PATH=/stub/bin:/usr/bin:/usr/sbin";

/// Where programs on a node call the fleet.
const CALLS: &str = "stub/call";
const PRIVATE: rustix::fs::Mode = rustix::fs::Mode::RUSR.union(rustix::fs::Mode::WUSR);

/// Directories every root has.
const DIRECTORIES: [&str; 9] = ["etc/systemd/system", "home", "opt", "root", "run", "srv", "tmp", "var/lib", "var/log"];

/// One practice node, started or not.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub id: HostId,
    dir: PathBuf,
    holder: Mutex<Option<Holder>>,
}

/// How long a node's first process may take to end by itself.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// The process that keeps a node's namespaces; they end when its standard input does.
#[derive(Debug)]
struct Holder {
    child: Child,
    line: Option<ChildStdin>,
    init: u32,
    has_own_users: bool,
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.line.take());
        // It ends by itself with its line, and the last of its node before it does. What was killed would end at once,
        // and the node's processes a moment later.
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < ENDS_WITHIN {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Files of a node before it starts, and what its service manager knows of them.
#[derive(Debug)]
pub struct Image<'n> {
    dir: &'n Path,
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{what}: {error}.")).hint("Name a directory with room in TMPDIR.")
}

impl Image<'_> {
    /// Puts a file into the node's root.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        write(&self.dir.join("image").join(path.trim_start_matches('/')), content.as_ref(), mode)
    }

    /// Makes an empty directory in the node's root.
    pub fn dir(&self, path: &str) -> Result<()> {
        let made = fs::create_dir_all(self.dir.join("image").join(path.trim_start_matches('/')));
        made.map_err(|error| failed("A directory of the practice fleet cannot be made", &error))
    }

    /// Puts a file where the node's stand-ins look: below `/stub`.
    pub fn stub(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        write(&self.dir.join("stub").join(path), content.as_ref(), mode)
    }

    /// Makes a unit known, and started with the node when it is enabled.
    pub fn unit(&self, unit: &str, text: &str, is_enabled: bool) -> Result<()> {
        self.file(&format!("etc/systemd/system/{unit}"), text, 0o644)?;
        let word = if is_enabled { "enabled\n" } else { "disabled\n" };
        self.stub(&format!("units/{unit}/enabled"), word, 0o644)
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let cannot = |error: std::io::Error| failed("A file of the practice fleet cannot be written", &error);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(cannot)?;
    }
    fs::write(path, content).map_err(cannot)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(cannot)
}

impl Node {
    /// Lays out a node below `dir`; `fill` puts its own files in. Nothing runs yet.
    pub fn lay(id: HostId, dir: PathBuf, fill: impl FnOnce(&Image) -> Result<()>) -> Result<Self> {
        let cannot = |error: std::io::Error| failed("A practice node cannot be made", &error);
        for name in ["root", "stub/bin"] {
            fs::create_dir_all(dir.join(name)).map_err(cannot)?;
        }
        let pipe = rustix::fs::mknodat(rustix::fs::CWD, dir.join(CALLS), rustix::fs::FileType::Fifo, PRIVATE, 0);
        pipe.map_err(|error| cannot(error.into()))?;
        let node = Self { id, dir, holder: Mutex::new(None) };
        for (name, text) in PROGRAMS {
            node.image().stub(&format!("bin/{name}"), text, 0o755)?;
        }
        node.furnish(fill)?;
        Ok(node)
    }

    fn image(&self) -> Image<'_> {
        Image { dir: &self.dir }
    }

    /// Puts in what a machine has that was only just set up, and `fill`'s own.
    fn furnish(&self, fill: impl FnOnce(&Image) -> Result<()>) -> Result<()> {
        let cannot = |error: std::io::Error| failed("A practice node cannot be made", &error);
        for name in ["stub/units", "stub/memory"] {
            fs::create_dir_all(self.dir.join(name)).map_err(cannot)?;
        }
        let image = self.image();
        for name in DIRECTORIES {
            image.dir(name)?;
        }
        image.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)?;
        image.file("etc/group", "root:x:0:\n", 0o644)?;
        image.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n", 0o644)?;
        image.file("etc/hosts", "127.0.0.1 localhost\n", 0o644)?;
        image.file("etc/hostname", format!("{}\n", self.id), 0o644)?;
        fill(&image)
    }

    /// The pipe its programs call the fleet through.
    pub fn calls(&self) -> PathBuf {
        self.dir.join(CALLS)
    }

    /// Where its stand-ins leave what they hold in memory, as this process sees it.
    pub fn stub(&self, inside: &str) -> PathBuf {
        self.dir.join("stub").join(inside)
    }

    fn holder(&self) -> std::sync::MutexGuard<'_, Option<Holder>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has been started.
    pub fn is_up(&self) -> bool {
        self.holder().is_some()
    }

    /// Starts it, once: its root, its first process, its enabled units.
    ///
    /// # Errors
    /// When the kernel refuses namespaces; the hint says what to do.
    pub fn start(&self) -> Result<()> {
        let mut holder = self.holder();
        if holder.is_some() {
            return Ok(());
        }
        let first = match hold(&self.dir, &self.id, true) {
            Err(_) if rustix::process::geteuid().is_root() => hold(&self.dir, &self.id, false),
            other => other,
        };
        *holder = Some(first?);
        Ok(())
    }

    /// Ends it with everything that runs in it; its disk is gone, too.
    pub fn end(&self) {
        *self.holder() = None;
    }

    /// The program that runs a login's command line in it.
    ///
    /// # Errors
    /// When it is not up.
    pub fn login(&self, line: &[u8]) -> Result<Vec<OsString>> {
        let holder = self.holder();
        let Some(holder) = holder.as_ref() else {
            return Err(Failure::new(Exit::Unreachable, format!("The practice node {} is down.", self.id)));
        };
        let init = holder.init.to_string();
        let mut words = vec!["nsenter", "--target", &init, "--mount", "--pid", "--uts", "--root"];
        if holder.has_own_users {
            words.extend(["--user", "--preserve-credentials"]);
        }
        words.extend([
            "/usr/bin/env",
            "-i",
            "-C",
            "/root",
            PATH,
            "HOME=/root",
            "USER=root",
            "LOGNAME=root",
            "SHELL=/bin/sh",
        ]);
        words.extend(["/bin/sh", "-c"]);
        let mut words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        words.push(OsString::from_vec(line.to_vec()));
        Ok(words)
    }

    /// Makes a new machine of it while it is down: nothing of the old one is left, on its disk or in a memory.
    pub fn renew(&self, fill: impl FnOnce(&Image) -> Result<()>) -> Result<()> {
        let cannot = |error: std::io::Error| failed("A practice node cannot be made anew", &error);
        for name in ["image", "stub/units", "stub/memory", "stub/timers", "stub/enabled"] {
            match fs::remove_dir_all(self.dir.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
                _ => {}
            }
        }
        self.furnish(fill)
    }

    /// Runs `sh` text in it, `input` on its standard input, and gives the bytes it prints.
    ///
    /// # Errors
    /// When it is not up, or the text ends with another status than 0.
    pub fn run(&self, text: &str, input: &[u8]) -> Result<Vec<u8>> {
        let cannot = |error: std::io::Error| failed("A command cannot be run on a practice node", &error);
        let words = self.login(text.as_bytes())?;
        let mut words = words.iter();
        let mut command = Command::new(words.next().map_or("nsenter".into(), OsString::clone));
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::spawn(&mut command).map_err(cannot)?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // One that does not read its input is judged by its status.
                stdin.map(|mut stdin| stdin.write_all(input))
            });
            child.wait_with_output()
        });
        let output = output.map_err(cannot)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(
            Exit::Failed,
            format!("A command on the practice node {} failed: {}.", self.id, said.trim().trim_end_matches('.')),
        ))
    }
}

/// Starts the process that makes the namespaces and waits until the node is up.
fn hold(dir: &Path, id: &HostId, has_own_users: bool) -> Result<Holder> {
    let mut command = Command::new("unshare");
    if has_own_users {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "--pid", "--uts", "--fork", "--kill-child=KILL", "/bin/sh", "-c", HOLD, "hold"])
        .arg(dir)
        .arg(id.as_str());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Its own group, so that Ctrl-C at a terminal reaches only the console, which then ends it in order.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = process::spawn(&mut command).map_err(|error| refused(&error.to_string()))?;
    let line = child.stdin.take();
    let mut said = BufReader::new(child.stdout.take().ok_or_else(|| refused("it has no output"))?);
    let mut errors = child.stderr.take();
    let mut holder = Holder { child, line, init: 0, has_own_users };
    let mut text = String::new();
    while said.read_line(&mut text).unwrap_or(0) > 0 {
        match text.trim_end().split_once(' ') {
            Some(("pid", pid)) => holder.init = pid.parse().unwrap_or(0),
            None if text == "held\n" && holder.init > 0 => return Ok(holder),
            _ => {}
        }
        text.clear();
    }
    let mut why = String::new();
    if let Some(errors) = &mut errors {
        let _ = errors.take(4096).read_to_string(&mut why);
    }
    Err(refused(why.lines().last().unwrap_or("it ended at once")))
}

fn refused(why: &str) -> Failure {
    let why = why.trim().trim_end_matches('.');
    let failure = Failure::new(
        Exit::Failed,
        format!("A practice node needs namespaces of its own, and this machine refuses them: {why}."),
    );
    if rustix::process::geteuid().is_root() {
        failure.hint(
            "In a container, start it with the right to mount: docker run --privileged, or run Lifeboat outside of it.",
        )
    } else {
        failure
            .hint("Run it as root: sudo lifeboat demo")
            .hint("Or let users make namespaces until the next boot: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), kernel.unprivileged_userns_clone=1 (Debian).")
    }
}
