//! Nodes without machines: a real shell on real files in a root of their own, with a stand-in for systemd.
//!
//! Every script of the engine runs here as it runs on a machine. Only units, timers and time are played: a guard's
//! timer lapses when the test says so. So failing, cutting and crashing at every single call costs milliseconds.

mod plans;
mod shell;
mod tripwire;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Holds the node's mounts, which go with it; it goes with the thread that made the node.
const HOLD: &str = "mount --rbind /usr \"$1/usr\" && mount -t proc proc \"$1/proc\" && mount --rbind /dev \"$1/dev\" && exec chroot \"$1\" /usr/bin/sh -c 'echo held; exec sleep infinity'";

/// One sandboxed node.
pub struct Node {
    root: tempfile::TempDir,
    holder: Child,
}

impl Node {
    /// A root with the host's programs, its own everything else, and one unit.
    pub fn new(unit: &str, is_running: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in [
            "usr",
            "proc",
            "dev",
            "tmp",
            "etc/systemd/system",
            "var/lib",
            "run",
            "srv/app/data",
            "stub/bin",
            "stub/units",
        ] {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        // The holder's own shell needs them, so they come first.
        for link in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.path().join(link)).unwrap();
        }
        let mut holder = Command::new("unshare");
        holder
            .args(["--mount", "setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", HOLD, "hold"])
            .arg(root.path())
            .stdout(Stdio::piped());
        let mut holder = holder.spawn().unwrap();
        let mut held = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut held).unwrap();
        assert_eq!(held, "held\n");
        let node = Self { root, holder };
        for file in ["passwd", "group", "nsswitch.conf"] {
            std::fs::copy(Path::new("/etc").join(file), node.path("etc").join(file)).unwrap();
        }
        let stub = node.path("stub/bin/systemctl");
        std::fs::write(&stub, include_str!("systemctl")).unwrap();
        std::fs::set_permissions(&stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // Exists nowhere else, so that a script can never run outside by mistake.
        let inside = node.path("stub/bin/inside");
        std::fs::write(&inside, "#!/bin/sh\nPATH=/stub/bin:/usr/bin:/usr/sbin exec \"$@\"\n").unwrap();
        std::fs::set_permissions(&inside, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let unit_dir = node.path("stub/units").join(unit);
        std::fs::create_dir_all(&unit_dir).unwrap();
        std::fs::write(unit_dir.join("active"), if is_running { "active\n" } else { "inactive\n" }).unwrap();
        std::fs::write(unit_dir.join("invocation"), "1\n").unwrap();
        node
    }

    /// A path of the node as this process sees it.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.trim_start_matches('/'))
    }

    /// What stands before `/bin/sh` so that a script runs inside.
    pub fn prefix(&self) -> Vec<OsString> {
        let holder = self.holder.id().to_string();
        [
            "nsenter",
            "--target",
            &holder,
            "--mount",
            "--root",
            "--wd=/",
            "/usr/bin/env",
            "PATH=/stub/bin:/usr/bin:/usr/sbin",
        ]
        .iter()
        .map(OsString::from)
        .collect()
    }

    /// Runs a script inside, as the node itself would.
    pub fn run(&self, script: &str) -> String {
        let prefix = self.prefix();
        let output = Command::new(&prefix[0]).args(&prefix[1..]).args(["/bin/sh", "-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
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
        self.run("find /var/lib/lifeboat/* /etc/systemd/system /srv 2>/dev/null | grep lifeboat | grep -vxE '/var/lib/lifeboat/(runs|locks|kept|hold)' | sort")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
