//! Nodes without machines: a real shell on real files in a root of their own, with a stand-in for systemd.
//!
//! Every script of the engine runs here as it runs on a machine. Only units, timers and time are played: a guard's
//! timer lapses when the test says so. So failing, cutting and crashing at every single call costs milliseconds.

mod plans;
mod shell;
mod tripwire;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One sandboxed node.
pub struct Node {
    root: tempfile::TempDir,
}

impl Node {
    /// A root with the host's programs, its own everything else, and one unit.
    pub fn new(unit: &str, is_running: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let node = Self { root };
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
            std::fs::create_dir_all(node.path(dir)).unwrap();
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), node.path(link)).unwrap();
        }
        for file in ["passwd", "group", "nsswitch.conf"] {
            std::fs::copy(Path::new("/etc").join(file), node.path("etc").join(file)).unwrap();
        }
        let stub = node.path("stub/bin/systemctl");
        std::fs::write(&stub, include_str!("systemctl")).unwrap();
        std::fs::set_permissions(&stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
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

    /// What stands before `/bin/sh` so that a script runs inside: mounts of its own, gone with the process.
    pub fn prefix(&self) -> Vec<OsString> {
        const ENTER: &str = "r=$1; shift; mount --rbind /usr \"$r/usr\" && mount -t proc proc \"$r/proc\" && mount --rbind /dev \"$r/dev\" && \
                             exec chroot \"$r\" /usr/bin/env PATH=/stub/bin:/usr/bin:/usr/sbin \"$@\"";
        ["unshare", "--mount", "/bin/sh", "-c", ENTER, "enter"]
            .iter()
            .map(OsString::from)
            .chain([self.root.path().into()])
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
        self.run("find /var/lib/lifeboat /etc/systemd/system /srv -name '*lifeboat*' -o -path '/var/lib/lifeboat/*' -type f | sort")
    }
}
