//! One machine, one console that is enrolled with it, and the peer's own way there.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::machines::fleet::Fleet;
use crate::machines::machine::Machine;
use crate::support::console::Console;

/// A console with a vault of one kind.
pub struct Desk {
    pub console: Console,
    pub way: Way,
}

/// How a peer reaches the machine: the same address, key and host key as Lifeboat.
#[derive(Debug, Clone)]
pub struct Way {
    /// Options that `ssh` and `scp` share, quoted for a shell.
    pub options: String,
    /// The port, which the two spell differently.
    pub port: u16,
    /// `ops@ADDRESS`.
    pub login: String,
}

impl Way {
    pub fn ssh(&self, command: &str) -> String {
        format!("ssh {} -p {} {} '{command}'", self.options, self.port, self.login)
    }

    /// Copies a file off the machine.
    pub fn scp(&self, from: &str, to: &Path) -> String {
        format!("scp -q {} -P {} {}:{from} '{}'", self.options, self.port, self.login, to.display())
    }
}

/// Whether the vault is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vault {
    Clear,
    Sealed,
}

impl Desk {
    /// A console whose inventory holds `hosts`, all of which are this one machine, reached at `via` or at its own address.
    pub fn of(machine: &Machine, vault: Vault, hosts: &[String], services: &str, via: Option<SocketAddr>) -> Self {
        let fleet = Fleet::shared();
        let console = Console::new();
        let recipient = console.keygen();
        let at = via.unwrap_or_else(|| machine.ssh_address());
        let sealing = match vault {
            Vault::Clear => "allow_plaintext = true".to_owned(),
            Vault::Sealed => format!("recipients = [\"{recipient}\"]"),
        };
        let key = fleet.key_path();
        let mut text = format!(
            "version = 1\n[defaults]\nuser = \"ops\"\nidentity_file = \"{}\"\nbecome = \"sudo\"\n[vault]\npath = \"{}\"\n{sealing}\nidentities = [\"{}\"]\n",
            key.display(),
            console.path("vault").display(),
            console.path("key.txt").display()
        );
        for host in hosts {
            let (ip, port) = (at.ip(), at.port());
            let _ =
                write!(text, "[hosts.{host}]\naddress = \"{ip}\"\nport = {port}\n{}\n", services.replace("HOST", host));
        }
        console.write_inventory(&text);
        console.run(&["init"]).expect(0);
        console.run(&["enroll", &hosts[0], "--fingerprint", &machine.host_key_fingerprint()]).expect(0);

        let known = console.path("known_hosts");
        let line = machine.known_hosts_line();
        let (_, body) = line.split_once(' ').unwrap();
        fs::write(&known, format!("[{}]:{} {body}{} {body}", at.ip(), at.port(), at.ip())).unwrap();
        let options = format!(
            "-F none -i '{}' -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o 'UserKnownHostsFile={}'",
            key.display(),
            known.display()
        );
        Self { console, way: Way { options, port: at.port(), login: format!("ops@{}", at.ip()) } }
    }

    /// Backs up what is named. It does not count when the service itself failed to end, as an agent does now and then:
    /// such a copy is refused, and everything is as it was.
    pub fn back_up(&self, args: &[&str]) -> bool {
        let ended = self.console.run(&[&["backup"][..], args].concat());
        if ended.code == Some(1) && ended.err.contains("did not end by itself") {
            eprintln!("   the service failed while it was stopped: once more");
            return false;
        }
        ended.expect(0);
        true
    }

    /// Empties the vault's items. Not part of what is timed.
    pub fn forget(&self, host: &str) {
        let dir = self.console.path("vault").join(host);
        if dir.exists() {
            fs::remove_dir_all(dir).unwrap();
        }
    }

    /// A path for the peer's own files.
    pub fn aside(&self, name: &str) -> PathBuf {
        self.console.path(name)
    }
}

/// Numbers that look random and are the same in every run.
pub struct Numbers(u64);

impl Default for Numbers {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A tree of `mebibytes`: a third each of log lines, of JSON records and of bytes that do not compress, in files of
/// 64 KiB, 4 MiB and 32 MiB.
pub fn grow_tree(root: &Path, mebibytes: usize) {
    let mut numbers = Numbers::default();
    let words: Vec<String> = (0..3000).map(|_| format!("{:x}", numbers.next() >> (20 + numbers.0 % 30))).collect();
    let mut left = mebibytes << 20;
    let mut count = 0_usize;
    while left > 0 {
        let size = [64 << 10, 64 << 10, 64 << 10, 4 << 20, 64 << 10, 64 << 10, 4 << 20, 32 << 20][count % 8].min(left);
        let dir = root.join(format!("{:02}", count % 40));
        fs::create_dir_all(&dir).unwrap();
        let mut file = fs::File::create(dir.join(format!("{count:05}"))).unwrap();
        file.write_all(&content(count % 3, size, &words, &mut numbers)).unwrap();
        left -= size;
        count += 1;
    }
}

fn content(kind: usize, size: usize, words: &[String], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 256);
    let word = |numbers: &mut Numbers| {
        let at = usize::try_from(numbers.next() % words.len() as u64).unwrap();
        words[at].as_str()
    };
    let mut stamp = 1_700_000_000_000_u64;
    while bytes.len() < size {
        stamp += numbers.next() % 900;
        match kind {
            0 => {
                let _ = write!(bytes, "{stamp} INFO node {} height {}", word(numbers), numbers.next() % 100_000);
                for _ in 0..8 {
                    let _ = write!(bytes, " {}", word(numbers));
                }
                bytes.push(b'\n');
            }
            1 => {
                let id = numbers.next();
                let (name, state, size) = (word(numbers), word(numbers), numbers.next() % 5000);
                let _ = writeln!(
                    bytes,
                    "{{\"id\":\"{id:016x}\",\"at\":{stamp},\"name\":\"{name}\",\"state\":\"{state}\",\"size\":{size}}}"
                );
            }
            _ => bytes.extend_from_slice(&numbers.next().to_le_bytes()),
        }
    }
    bytes.truncate(size);
    bytes
}
