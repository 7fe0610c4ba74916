//! One booted machine.
//!
//! What it takes, found by trying: an overlay mount over the base image and `systemd-nspawn --boot`.
//! Where the host's own first process is not systemd (most containers and small virtual machines)
//! nspawn cannot ask it for a scope: `--register=no --keep-unit` then, and the machine lives in the
//! cgroup nspawn was started in. That cgroup must be the machine's alone. Two machines in one
//! cgroup would share `system.slice/ssh.service`, and stopping one machine's service would kill the
//! other's. So the start script makes a cgroup first, in each hierarchy systemd uses (cgroup 2, or
//! `systemd` and `unified` where the old and the new are mixed).
//!
//! The overlay is mounted `volatile`: nothing on it outlives the fleet, so nothing need reach the
//! host's disk. Powering off hard keeps the mount, and with it all that was written.

use super::fleet::{Fleet, Ground};
use super::host::{Output, host, random_hex, run_with, wait_for};
use rustix::process::Pid;
use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Starts nspawn in a cgroup of its own; `$1` is the machine's id, the rest is nspawn's command.
const START: &str = r#"
id=$1; shift
if [ -d /run/systemd/system ]; then
    exec systemd-nspawn --register=no "$@"
fi
for d in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$d/cgroup.procs" ] || continue
    mkdir -p "$d/$id" && echo $$ >"$d/$id/cgroup.procs" || exit 1
done
exec systemd-nspawn --register=no --keep-unit "$@"
"#;

/// A booted machine: removed with its disk when dropped.
#[derive(Debug)]
pub struct Machine {
    ground: Arc<Ground>,
    id: String,
    name: String,
    address: Ipv4Addr,
    dir: PathBuf,
    power: Mutex<Option<Power>>,
}

#[derive(Debug)]
struct Power {
    nspawn: Child,
    leader: u32,
}

impl Machine {
    /// Boots a blank machine and waits until its sshd answers.
    pub fn boot(fleet: &Fleet, name: &str) -> Self {
        let ground = fleet.ground();
        let (id, address) = ground.allot();
        let dir = ground.disks.join(&id);
        for part in ["up", "work", "root"] {
            fs::create_dir_all(dir.join(part)).expect("make the machine's disk");
        }
        let lower = ground.base.display();
        let (up, work) = (dir.join("up"), dir.join("work"));
        let layers = format!("lowerdir={lower},upperdir={},workdir={},volatile", up.display(), work.display());
        host("mount", &["-t", "overlay", &id, "-o", &layers, &dir.join("root").to_string_lossy()]);
        let machine = Self { ground, id, name: name.into(), address, dir, power: Mutex::new(None) };
        machine.furnish();
        machine.start();
        machine
    }

    /// What differs from the base image: name, address, host key, authorised key, one password.
    fn furnish(&self) {
        let write = |inside: &str, text: &str| {
            let path = self.path(inside);
            fs::create_dir_all(path.parent().expect("a path below the root")).expect("make a directory");
            fs::write(&path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        };
        write("/etc/hostname", &format!("{}\n", self.name));
        write("/etc/hosts", &format!("127.0.0.1 localhost\n127.0.1.1 {}\n::1 localhost\n", self.name));
        // Left to itself systemd would take it from the host's hardware, the same for all.
        write("/etc/machine-id", &format!("{}\n", random_hex(16)));
        let address = self.address;
        write(
            "/etc/systemd/network/10-host0.network",
            &format!("[Match]\nName=host0\n\n[Network]\nAddress={address}/24\nLinkLocalAddressing=no\n"),
        );
        self.make_host_key();
        let key = fs::read_to_string(self.ground.key_path().with_extension("pub")).expect("the public key");
        for (home, uid) in [("/root", 0), ("/home/ops", self.uid("ops")), ("/home/opspw", self.uid("opspw"))] {
            let file = format!("{home}/.ssh/authorized_keys");
            write(&file, &key);
            for (path, mode) in [(format!("{home}/.ssh"), 0o700), (file, 0o600)] {
                let path = self.path(&path);
                chown(&path, Some(uid), Some(uid)).expect("give the key to its user");
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("close the key's file");
            }
        }
        let root = self.root();
        let line = format!("opspw:{}\n", self.ground.password);
        run_with(Command::new("chpasswd").arg("-R").arg(&root), line.as_bytes()).ok();
    }

    /// A user's id on this machine, read from its files.
    pub fn uid(&self, user: &str) -> u32 {
        let users = fs::read_to_string(self.path("/etc/passwd")).expect("read the machine's users");
        users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[0] == user)
            .and_then(|fields| fields[2].parse().ok())
            .unwrap_or_else(|| panic!("{} has no user {user}", self.name))
    }

    /// Switches a powered-off machine on, with the disk it had, and waits for its sshd.
    pub fn start(&self) {
        let mut power = self.power();
        assert!(power.is_none(), "{} is on already", self.name);
        let console = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("console"))
            .expect("open the console's log");
        let mut nspawn = Command::new("sh")
            .args(["-c", START, "start", &self.id, "--quiet", "--boot"])
            .arg(format!("--machine={}", self.id))
            .arg(format!("--hostname={}", self.name))
            .arg(format!("--directory={}", self.root().display()))
            .arg(format!("--network-bridge={}", self.ground.bridge()))
            .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"])
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("share the console's log"))
            .stderr(console)
            .process_group(0)
            .spawn()
            .expect("start systemd-nspawn");
        let up = wait_for(Duration::from_mins(1), || {
            let ended = nspawn.try_wait().expect("look at systemd-nspawn");
            assert!(ended.is_none(), "{} did not boot: {ended:?}\n{}", self.name, self.console());
            self.banner(Duration::from_millis(200))
        });
        assert!(up.is_some(), "{} did not answer on port 22 in a minute\n{}", self.name, self.console());
        let leader = first_process(nspawn.id()).expect("the machine's first process");
        *power = Some(Power { nspawn, leader });
    }

    /// Cuts the power: every process of the machine is gone at once; its disk stays.
    pub fn poweroff(&self) {
        if let Some(Power { mut nspawn, leader }) = self.power().take() {
            let _ = Command::new("kill").args(["-KILL", &leader.to_string()]).status();
            if wait_for(Duration::from_secs(10), || nspawn.try_wait().ok().flatten()).is_none() {
                let _ = nspawn.kill();
                let _ = nspawn.wait();
            }
        }
    }

    /// Cuts the power and switches it on again.
    pub fn power_cycle(&self) {
        self.poweroff();
        self.start();
    }

    /// The machine is lost: power off, disk deleted. Dropping it does the same.
    pub fn destroy(self) {
        drop(self);
    }

    /// Whether it is switched on and its first process lives.
    pub fn is_on(&self) -> bool {
        self.power().as_ref().is_some_and(|p| Path::new(&format!("/proc/{}", p.leader)).exists())
    }

    /// Runs a shell script as root on the machine, without SSH; ends it after five minutes.
    #[track_caller]
    pub fn exec(&self, script: &str) -> Output {
        self.exec_with(script, b"")
    }

    /// Like [`Machine::exec`], with bytes on the script's standard input.
    #[track_caller]
    pub fn exec_with(&self, script: &str, input: &[u8]) -> Output {
        let leader = self.leader();
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "300", "nsenter", "--target", &leader.to_string()])
            .args(["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", "/usr/bin/env", "-i"])
            .args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"])
            .args(["/bin/sh", "-c", script]);
        run_with(&mut command, input)
    }

    /// The main process of a unit as the host knows it, to be ended at the very moment, without a program of the machine's.
    #[track_caller]
    pub fn main_process(&self, unit: &str) -> Pid {
        let inside = self.exec(&format!("systemctl show --property=MainPID --value {unit}")).ok();
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = namespace(self.leader());
        let is_it = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let known_as =
                status.lines().find(|line| line.starts_with("NSpid:")).and_then(|line| line.split('\t').next_back());
            known_as == Some(inside.trim()) && namespace(*pid) == ours
        };
        let all = fs::read_dir("/proc").expect("list processes").filter_map(Result::ok);
        let found = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_it);
        let found = found.unwrap_or_else(|| panic!("{unit} has no process {inside} on {}", self.name));
        Pid::from_raw(found.try_into().expect("a process id")).expect("not zero")
    }

    /// Runs a shell command over SSH as `user`, with the operator's key and a checked host key.
    #[track_caller]
    pub fn ssh(&self, user: &str, script: &str) -> Output {
        let known = tempfile::NamedTempFile::new().expect("a temporary file");
        self.write_known_hosts(known.path());
        let mut command = Command::new("ssh");
        command
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=10"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.path().display()))
            .args(["-o", "StrictHostKeyChecking=yes", "-i"])
            .arg(self.ground.key_path())
            .args([&format!("{user}@{}", self.address), script]);
        run_with(&mut command, b"")
    }

    /// The machine's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the fleet's network.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where its sshd listens.
    pub fn ssh_address(&self) -> SocketAddr {
        (self.address, 22).into()
    }

    /// Its root directory seen from the host, for placing files (not for `/tmp` and `/run`, which
    /// the running machine keeps in memory).
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// A path of the machine seen from the host, with [`Machine::root`]'s limits.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root().join(inside.trim_start_matches('/'))
    }

    /// Copies a file of the host to a path of the machine, owned by root.
    #[track_caller]
    pub fn copy_in(&self, from: &Path, inside: &str, mode: u32) {
        let to = self.path(inside);
        fs::copy(from, &to).unwrap_or_else(|e| panic!("copy {} to {inside}: {e}", from.display()));
        fs::set_permissions(&to, fs::Permissions::from_mode(mode)).expect("set the copy's mode");
    }

    /// Writes a file of the machine, given to `user` and the group of that name.
    #[track_caller]
    pub fn write_as(&self, user: &str, inside: &str, text: &str, mode: u32) {
        let path = self.path(inside);
        fs::write(&path, text).unwrap_or_else(|e| panic!("write {inside}: {e}"));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set the file's mode");
        self.exec(&format!("chown {user}:{user} '{inside}'")).ok();
    }

    /// Where a built server of this name lies on the host.
    pub(super) fn built(&self, server: &str) -> PathBuf {
        self.ground.bin.join(server)
    }

    /// What the machine's console said.
    pub fn console(&self) -> String {
        fs::read(self.dir.join("console")).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    /// The fingerprint of its host key, as `SHA256:…`.
    pub fn host_key_fingerprint(&self) -> String {
        let line = host("ssh-keygen", &["-l", "-f", &self.host_key().with_extension("pub").to_string_lossy()]);
        line.split_whitespace().nth(1).expect("a fingerprint").into()
    }

    /// Writes a `known_hosts` file that holds this machine's key under its address.
    pub fn write_known_hosts(&self, path: &Path) {
        fs::write(path, self.known_hosts_line()).expect("write known_hosts");
    }

    /// The line of a `known_hosts` file for this machine.
    pub fn known_hosts_line(&self) -> String {
        let key = fs::read_to_string(self.host_key().with_extension("pub")).expect("read the host key");
        let mut words = key.split_whitespace();
        let (kind, body) = (words.next().expect("a key type"), words.next().expect("a key"));
        format!("{} {kind} {body}\n", self.address)
    }

    /// Gives it a new host key, as a rebuilt or an impostor machine would have.
    pub fn replace_host_key(&self) {
        fs::remove_file(self.host_key()).expect("remove the host key");
        self.make_host_key();
        self.exec("systemctl restart ssh").ok();
        let back = wait_for(Duration::from_secs(10), || self.banner(Duration::from_millis(200)));
        assert!(back.is_some(), "sshd of {} is back", self.name);
    }

    /// Pulls its network cable.
    pub fn link_down(&self) {
        host("ip", &["link", "set", &self.port(), "down"]);
    }

    /// Plugs the cable in again; gives the bridge a moment to carry traffic.
    pub fn link_up(&self) {
        host("ip", &["link", "set", &self.port(), "up"]);
        wait_for(Duration::from_secs(10), || self.banner(Duration::from_millis(200)));
    }

    /// Limits its link in both directions, or lifts the limit. Lost when the power is cut.
    pub fn limit_rate(&self, kbit_per_second: Option<u32>) {
        let port = self.port();
        let rule = kbit_per_second
            .map_or_else(|| "del".into(), |rate| format!("replace RATE tbf rate {rate}kbit burst 64kb latency 400ms"));
        let command = |device: &str| match rule.strip_prefix("replace RATE") {
            Some(shape) => format!("tc qdisc replace dev {device} root{shape}"),
            None => format!("tc qdisc del dev {device} root 2>/dev/null || true"),
        };
        run_with(Command::new("sh").args(["-c", &command(&port)]), b"").ok();
        self.exec(&command("host0")).ok();
    }

    /// The host's end of the cable.
    fn port(&self) -> String {
        format!("vb-{}", self.id)
    }

    fn host_key(&self) -> PathBuf {
        self.path("/etc/ssh/ssh_host_ed25519_key")
    }

    fn make_host_key(&self) {
        let path = self.host_key();
        let comment = format!("root@{}", self.name);
        host("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", &comment, "-f", &path.to_string_lossy()]);
    }

    /// What sshd says first, if it says anything.
    fn banner(&self, limit: Duration) -> Option<[u8; 4]> {
        let mut stream = TcpStream::connect_timeout(&self.ssh_address(), limit).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let mut word = [0; 4];
        stream.read_exact(&mut word).ok()?;
        (&word == b"SSH-").then_some(word)
    }

    #[track_caller]
    fn leader(&self) -> u32 {
        self.power().as_ref().unwrap_or_else(|| panic!("{} is off", self.name)).leader
    }

    fn power(&self) -> std::sync::MutexGuard<'_, Option<Power>> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.poweroff();
        let root = self.root();
        let gone = wait_for(Duration::from_secs(5), || {
            Command::new("umount").arg(&root).stderr(Stdio::null()).status().ok().filter(ExitStatus::success)
        });
        if gone.is_some() {
            let _ = fs::remove_dir_all(&self.dir);
        } // else: the keeper clears it
    }
}

/// The machine's own first process, as the host numbers it: nspawn's child that is number 1 in there.
fn first_process(nspawn: u32) -> Option<u32> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
        let found = children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
        });
        if found.is_some() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}
