//! Nodes without machines: a real shell on real files in a root of their own, with a stand-in for systemd.
//!
//! Every script of the engine runs here as it runs on a machine. Only units, timers and time are played: a guard's
//! timer lapses when the test says so. So failing, cutting and crashing at every single call costs milliseconds.

mod agents;
pub mod bench;
mod between;
pub mod fixtures;
mod held;
mod lies;
mod lying;
pub mod matrix;
mod plans;
mod processes;
mod rollback;
pub mod rules;
mod shell;
mod silence;
mod still;
mod taken_up;
mod tripwire;
mod units;
mod untrue;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Holds the node's mounts and processes, which go with it; it goes with the thread that made the node. The root is a
/// mount point of its own, so that `df` and `stat` tell of it as they do on a machine. It tells its pid as this process
/// knows it, which only the `/proc` of before does. Inside it is 1 and a shell that waits, so that nobody whose parent is
/// gone stays a zombie; its child is the process of every unit, whose pid is told next.
const HOLD: &str = "read -r pid _ </proc/self/stat && echo \"$pid\" && mount --bind \"$1\" \"$1\" && mount --rbind /usr \"$1/usr\" && mount -t proc proc \"$1/proc\" && mount --rbind /dev \"$1/dev\" && exec chroot \"$1\" /usr/bin/sh -c 'sleep infinity & echo $!; wait'";

/// Waiting a second costs nothing: what a test lets happen meanwhile is done instead. Longer and shorter waits are real.
const SLEEP: &str = "#!/bin/sh\nif [ \"$*\" = 1 ]; then [ ! -e /stub/while-waiting ] || . /stub/while-waiting; exit 0; fi\nexec /usr/bin/sleep \"$@\"\n";

/// Where programs are found inside.
pub const PATH: &str = "/stub/bin:/usr/bin:/usr/sbin";

/// One sandboxed node.
pub struct Node {
    root: tempfile::TempDir,
    holder: Child,
    /// The first of the node's own processes.
    init: u32,
    /// The process of its units, as the node knows it.
    service: String,
}

/// A temporary directory in memory where there is one: the scripts sync at every step, and no disk is under test here.
pub fn in_memory() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A program, written by a process of its own: a file that this process has open for writing cannot be run (`ETXTBSY`),
/// and whatever another test starts at that moment holds it open a little longer.
fn write_program(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut install = install.spawn().unwrap();
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success(), "{}", path.display());
}

impl Node {
    /// A root with the host's programs, its own everything else, and no unit.
    pub fn blank() -> Self {
        let root = in_memory();
        for dir in
            ["usr", "proc", "dev", "tmp", "etc/systemd/system", "var/lib", "run", "srv", "stub/bin", "stub/units"]
        {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        // The holder's own shell needs them, so they come first.
        for link in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.path().join(link)).unwrap();
        }
        // It sees its own processes only: what else runs on this host under a service's name is none of the node's.
        let mut holder = Command::new("setpriv");
        holder
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"])
            .args(["/bin/sh", "-c", HOLD, "hold"])
            .arg(root.path())
            .stdout(Stdio::piped());
        let mut holder = holder.spawn().unwrap();
        let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
        let init = said.next().unwrap().unwrap().parse().unwrap();
        let service = said.next().expect("the node is not held").unwrap();
        let node = Self { root, holder, init, service };
        for file in ["passwd", "group", "nsswitch.conf"] {
            std::fs::copy(Path::new("/etc").join(file), node.path("etc").join(file)).unwrap();
        }
        // Debian's awk is a link through /etc, which is the node's own.
        if let Ok(awk) = std::fs::read_link("/etc/alternatives/awk") {
            std::fs::create_dir(node.path("etc/alternatives")).unwrap();
            std::os::unix::fs::symlink(awk, node.path("etc/alternatives/awk")).unwrap();
        }
        write_program(&node.path("stub/bin/systemctl"), include_str!("systemctl"));
        write_program(&node.path("stub/bin/sleep"), SLEEP);
        node
    }

    /// Another node with everything that stands on this one, and its units as they are.
    pub fn again(&self) -> Self {
        let node = Self::blank();
        let mut copy = Command::new("cp");
        copy.arg("-a");
        for entry in std::fs::read_dir(self.root.path()).unwrap() {
            let entry = entry.unwrap();
            let is_own =
                !["usr", "proc", "dev", "bin", "sbin", "lib", "lib64"].contains(&entry.file_name().to_str().unwrap());
            copy.args(is_own.then(|| entry.path()));
        }
        assert!(copy.arg(node.root.path()).status().unwrap().success());
        let service = &node.service;
        node.run(&format!("for pid in /stub/units/*/pid; do [ ! -e \"$pid\" ] || echo {service} >\"$pid\"; done"));
        node
    }

    /// A node with one unit and a directory of its own.
    pub fn new(unit: &str, is_running: bool) -> Self {
        let node = Self::blank();
        std::fs::create_dir_all(node.path("srv/app/data")).unwrap();
        node.add_unit(unit, &[]);
        if is_running {
            node.run(&format!("systemctl start {unit}"));
        }
        node
    }

    /// A unit that is known and enabled, with `properties` as `systemctl show` tells them. Its process is one that
    /// sleeps as long as the node is held: it has a pid and no arguments worth a name.
    pub fn add_unit(&self, unit: &str, properties: &[(&str, &str)]) {
        let dir = self.path("stub/units").join(unit);
        std::fs::create_dir_all(&dir).unwrap();
        let pid = self.service.as_str();
        let own = [("active", "inactive"), ("enabled", "enabled"), ("invocation", "0"), ("pid", pid)];
        for (name, value) in own.iter().chain(properties) {
            std::fs::write(dir.join(name), format!("{value}\n")).unwrap();
        }
    }

    /// `sh` text the unit runs when it starts: what a real service reads then, and only then.
    pub fn on_start(&self, unit: &str, script: &str) {
        write_program(&self.path("stub/units").join(unit).join("on-start"), script);
    }

    /// `sh` text the unit runs when it is stopped.
    pub fn on_stop(&self, unit: &str, script: &str) {
        write_program(&self.path("stub/units").join(unit).join("on-stop"), script);
    }

    /// `sh` text that runs in place of a program, which it may call by its path.
    pub fn instead_of(&self, program: &str, script: &str) {
        write_program(&self.path("stub/bin").join(program), &format!("#!/bin/sh\n{script}\n"));
    }

    /// A path of the node as this process sees it.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.trim_start_matches('/'))
    }

    /// What stands before `/bin/sh` so that a script runs inside; [`PATH`] belongs to it.
    pub fn prefix(&self) -> Vec<OsString> {
        let init = self.init.to_string();
        let words = ["/usr/bin/nsenter", "--target", &init, "--mount", "--pid", "--root", "--wd=/"];
        words.iter().map(OsString::from).collect()
    }

    /// Runs a script inside, as the node itself would.
    pub fn run(&self, script: &str) -> String {
        let output = self.try_run(script);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Puts a program of the host's at a path inside, without copying it.
    pub fn bind_program(&self, program: &Path, inside: &str) {
        let target = self.path(inside);
        std::fs::write(&target, "").unwrap();
        let init = self.init.to_string();
        let mut bind = Command::new("nsenter");
        bind.args(["--target", &init, "--mount", "mount", "--bind"]).arg(program).arg(&target);
        assert!(bind.status().unwrap().success());
    }

    /// Runs a script inside, however it ends.
    pub fn try_run(&self, script: &str) -> Output {
        let prefix = self.prefix();
        let mut command = Command::new(&prefix[0]);
        command.env("PATH", PATH).args(&prefix[1..]).args(["/bin/sh", "-c", script]).output().unwrap()
    }

    /// Whether a unit runs.
    pub fn is_running(&self, unit: &str) -> bool {
        std::fs::read_to_string(self.path("stub/units").join(unit).join("active")).unwrap().trim() == "active"
    }

    /// Lets every counting timer lapse: its service runs, as systemd would run it. Says how many did.
    pub fn lapse(&self) -> usize {
        let script = "n=0; for t in /stub/timers/*.timer; do [ -e \"$t\" ] || continue; rm \"$t\"; u=$(basename \"$t\" .timer); \
                      s=$(sed -n 's/^ExecStart=//p' \"/etc/systemd/system/$u.service\"); $s; n=$((n+1)); done; echo $n";
        self.run(script).trim().parse().unwrap()
    }

    /// The power goes and comes back: nothing runs, then what is enabled and not held starts, and enabled timers count again.
    pub fn reboot(&self, unit: &str, is_enabled: bool) {
        let start = if is_enabled { format!("systemctl start {unit}") } else { String::new() };
        self.run(&format!("echo inactive >/stub/units/{unit}/active; rm -f /stub/timers/*; for t in /stub/enabled/*; do [ -e \"$t\" ] && mkdir -p /stub/timers && : >\"/stub/timers/$(basename \"$t\")\"; done; {start}; true"));
    }

    /// Everything of Lifeboat's that is left on the node.
    pub fn leftovers(&self) -> String {
        self.run("find / -xdev -path '*lifeboat*' -not -path '/stub/*' | grep -vxE '/var/lib/lifeboat(/(runs|locks|kept|hold))?' | sort")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
