//! A real SSH server on a free loopback port, with keys made for the test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lifeboat::model::secret::{SecretRef, SecretString, Secrets};
use lifeboat::transport::known_hosts::{HostKey, append};
use lifeboat::transport::ssh::SshSpec;

/// A running server; it ends with the value.
pub struct Sshd {
    pub folder: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

/// Answers every secret with one word, and counts.
pub struct OneSecret(pub &'static str);

impl Secrets for OneSecret {
    fn resolve(&self, _: &SecretRef, _: &str) -> Result<SecretString, String> {
        if self.0.is_empty() { Err("nobody is there to ask".into()) } else { Ok(SecretString::from(self.0)) }
    }
}

pub fn run(program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

pub fn make_key(file: &Path, kind: &str, passphrase: &str) {
    run("ssh-keygen", &["-q", "-t", kind, "-N", passphrase, "-f", file.to_str().unwrap()]);
}

pub fn read_public(file: &Path) -> HostKey {
    let text = fs::read_to_string(format!("{}.pub", file.display())).unwrap();
    let blob = openssl::base64::decode_block(text.split(' ').nth(1).unwrap()).unwrap();
    HostKey::from_blob(&blob).unwrap()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Sshd {
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts with further lines of configuration; tries another port when one was taken meanwhile.
    pub fn with(config: &str) -> Self {
        // The server separates privileges into this empty folder.
        let _ = fs::create_dir_all("/run/sshd");
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        make_key(&path("host"), "ed25519", "");
        make_key(&path("user"), "ed25519", "");
        fs::copy(path("user.pub"), path("authorized")).unwrap();
        fs::set_permissions(path("authorized"), fs::Permissions::from_mode(0o600)).unwrap();
        for _ in 0..5 {
            let port = free_port();
            let text = format!(
                "{config}\nListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
                 StrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n",
                path("host").display(),
                path("authorized").display(),
            );
            fs::write(path("config"), text).unwrap();
            let mut child = Command::new("/usr/sbin/sshd")
                .args(["-D", "-e", "-f"])
                .arg(path("config"))
                .stdin(Stdio::null())
                .stderr(fs::File::create(path("log")).unwrap())
                .spawn()
                .unwrap();
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(5) && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { folder, port, child };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("the server does not start: {}", fs::read_to_string(path("log")).unwrap());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn host_key(&self) -> HostKey {
        read_public(&self.path("host"))
    }

    /// Settings that log in to it, its key known.
    pub fn spec(&self, name: &str) -> SshSpec {
        let known = self.path("known_hosts");
        let mut spec = SshSpec::new(name, "127.0.0.1", self.port, &user());
        if !known.exists() {
            append(&known, "127.0.0.1", self.port, &self.host_key()).unwrap();
        }
        spec.known_hosts = vec![known];
        spec.identity_files.value = vec![self.path("user")];
        spec
    }

    /// Stops it and everything it started, so that nothing is answered and nothing closed.
    pub fn hold(&self) {
        let mut pids = vec![self.child.id().to_string()];
        while let Some(pid) = pids.pop() {
            run("kill", &["-STOP", &pid]);
            let out = Command::new("pgrep").args(["-P", &pid]).output().unwrap();
            pids.extend(String::from_utf8(out.stdout).unwrap().split_whitespace().map(str::to_owned));
        }
    }

    /// Ends one kind of child: the server's process that serves the newest connection.
    pub fn cut(&self) {
        let out = Command::new("pgrep").args(["-P", &self.child.id().to_string()]).output().unwrap();
        for pid in String::from_utf8(out.stdout).unwrap().split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
        }
    }
}

/// The login name the tests run under.
pub fn user() -> String {
    let out = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.cut();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
