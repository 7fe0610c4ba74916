//! A shell on a node: the real `ssh`, with the settings Lifeboat itself connects with.
//!
//! They stand in a private file, so that the arguments show nothing but the node's name; no secret is in either.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::engine::desk::Desk;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::inventory::TransportKind;
use crate::process;
use crate::transport::quote::quote;
use crate::transport::ssh::SshSpec;

/// How long a program stays stopped: one that is stopped again at once must not keep the processor busy.
const STOPPED: Duration = Duration::from_millis(50);

/// A prepared shell; the files it needs live as long as this.
pub struct NodeShell {
    command: Command,
    /// What is said before the shell begins.
    pub greeting: String,
    /// The settings, and the keys that are revoked.
    _files: Vec<tempfile::NamedTempFile>,
}

impl NodeShell {
    /// Prepares a shell on a host of the inventory.
    ///
    /// # Errors
    /// [`Exit::Usage`] when its settings cannot be told to `ssh`.
    pub fn on(desk: &Desk, host: &HostId) -> Result<Self> {
        let Some(entry) = desk.inventory.hosts.get(host) else {
            return Err(Failure::new(Exit::Usage, format!("{host} is not in the inventory any more.")));
        };
        let begin = script(host);
        if entry.access.transport == TransportKind::Local {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(begin);
            keep_secrets(&mut command, desk);
            return Ok(Self { command, greeting: greeting(host, "this machine"), _files: Vec::new() });
        }
        let spec = desk.dialer.spec(entry, &desk.inventory).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
        let failed =
            |e: std::io::Error| Failure::new(Exit::Failed, format!("The settings for ssh cannot be written: {e}."));
        let mut files = Vec::new();
        let mut write = |text: &str| -> Result<PathBuf> {
            let mut file = tempfile::Builder::new().prefix("lifeboat-ssh-").tempfile().map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
            let path = file.path().to_owned();
            files.push(file);
            Ok(path)
        };
        let revoked = write(&revoked_of(&spec))?;
        let settings = write(&settings_of(&spec, &revoked)?)?;
        let mut command = Command::new("ssh");
        command.arg("-F").arg(settings).arg("-t").arg("--").arg(host.as_str());
        command.arg(crate::transport::quote::portable(begin.as_bytes()));
        keep_secrets(&mut command, desk);
        let where_to = format!("{}@{}", spec.user.value, spec.address.value);
        Ok(Self { command, greeting: greeting(host, &where_to), _files: files })
    }

    /// Runs it to its end and gives its exit code; `None` when a signal ended it.
    ///
    /// A program that is stopped goes on at once: there is no shell below that could bring it back, and until it
    /// ends the console waits for it.
    pub fn run(mut self) -> std::io::Result<Option<i32>> {
        let child = process::spawn(&mut self.command)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        loop {
            match waitpid(pid, WaitOptions::UNTRACED) {
                Ok(Some((stopped, status))) if status.stopped() => {
                    std::thread::sleep(STOPPED);
                    kill_process(stopped, Signal::CONT)?;
                }
                Ok(Some((_, status))) => return Ok(status.exit_status()),
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The variables that hold the inventory's secrets are for Lifeboat alone.
fn keep_secrets(command: &mut Command, desk: &Desk) {
    for name in desk.inventory.secret_variables() {
        command.env_remove(name);
    }
}

fn greeting(host: &HostId, where_to: &str) -> String {
    format!("A shell on {host} ({where_to}). Leave it with exit or ctrl-d to come back to Lifeboat.")
}

/// The login shell with a prompt that says where one is. `bash` sets its own prompt last, so it is told there.
fn script(host: &HostId) -> String {
    let tag = format!("(lifeboat {host}) ");
    format!(
        "LIFEBOAT_NODE={host}; PS1={plain}; PROMPT_COMMAND={late}; export LIFEBOAT_NODE PS1 PROMPT_COMMAND; \
         exec \"${{SHELL:-/bin/sh}}\" -i",
        host = quote(host.as_str().as_bytes()),
        plain = quote(format!("{tag}$ ").as_bytes()),
        late = quote(format!("PS1=\"{tag}$PS1\"; unset PROMPT_COMMAND").as_bytes()),
    )
}

/// The lines of every file of known hosts on the way that revoke a key. Where keys are pinned these alone still count.
fn revoked_of(spec: &SshSpec) -> String {
    let files = spec.jump.iter().chain([spec]).flat_map(|hop| &hop.known_hosts);
    let mut text = String::new();
    for file in files {
        let known = std::fs::read_to_string(file).unwrap_or_default();
        known.lines().filter(|line| line.trim_start().starts_with("@revoked")).for_each(|line| {
            text.push_str(line);
            text.push('\n');
        });
    }
    text
}

/// Has `ssh` take the presented key when its fingerprint is pinned, and no other: `ssh` itself knows whole keys only.
/// The tokens are those of `KnownHostsCommand` in `ssh_config(5)`: fingerprint, name looked for, type, key.
fn pin_command(pins: &[String]) -> Result<String> {
    let is_plain = |pin: &&String| pin.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":+/=-_.".contains(&byte));
    let plain: Vec<&str> = pins.iter().filter(is_plain).map(String::as_str).collect();
    if plain.len() < pins.len() {
        return Err(cannot("a pinned host key"));
    }
    let script = format!("case $1 in {}) echo $2 $3 $4;; esac", plain.join("|"));
    Ok(format!("/bin/sh -c '{script}' sh %f %H %t %K"))
}

/// A client configuration for one node and its jump hosts; see `ssh_config(5)`.
fn settings_of(spec: &SshSpec, revoked: &Path) -> Result<String> {
    let mut text = String::new();
    let mut names: Vec<String> = Vec::new();
    for (at, hop) in spec.jump.iter().enumerate() {
        let name = format!("lifeboat-jump-{at}");
        write_host(&mut text, &name, hop, names.last().map(String::as_str), revoked)?;
        names.push(name);
    }
    write_host(&mut text, &spec.name, spec, names.last().map(String::as_str), revoked)?;
    Ok(text)
}

fn write_host(text: &mut String, name: &str, spec: &SshSpec, through: Option<&str>, revoked: &Path) -> Result<()> {
    let mut line = |key: &str, value: &str| -> Result<()> {
        let value = setting(key, value)?;
        let _ = writeln!(text, "{key} {value}");
        Ok(())
    };
    line("Host", name)?;
    line("HostName", &spec.address.value)?;
    line("Port", &spec.port.value.to_string())?;
    line("User", &spec.user.value)?;
    for file in &spec.identity_files.value {
        line("IdentityFile", &path(file)?)?;
    }
    line("IdentitiesOnly", if spec.identities_only { "yes" } else { "no" })?;
    match &spec.agent.value {
        Some(agent) => line("IdentityAgent", &path(agent)?)?,
        None => line("IdentityAgent", "none")?,
    }
    if let Some(alias) = &spec.host_key_alias {
        line("HostKeyAlias", alias)?;
    }
    // With pins, they alone decide.
    let pinned = (!spec.host_keys.is_empty()).then(|| vec![revoked.to_owned()]);
    let files: Vec<String> = pinned
        .as_ref()
        .unwrap_or(&spec.known_hosts)
        .iter()
        .map(|file| path(file).and_then(|p| setting("UserKnownHostsFile", &p)))
        .collect::<Result<_>>()?;
    if pinned.is_some() {
        let _ = writeln!(text, "KnownHostsCommand {}", pin_command(&spec.host_keys)?);
    }
    let _ = writeln!(text, "UserKnownHostsFile {}", files.join(" "));
    if let Some(file) = spec.revoked_keys.first() {
        let _ = writeln!(text, "RevokedHostKeys {}", setting("RevokedHostKeys", &path(file)?)?);
    }
    text.push_str(
        "GlobalKnownHostsFile none\nStrictHostKeyChecking yes\nServerAliveInterval 15\nServerAliveCountMax 3\n",
    );
    let _ = writeln!(text, "ConnectTimeout {}", spec.connect_timeout.as_secs().max(1));
    match (&spec.proxy_command, through) {
        (Some(command), _) => {
            let _ = writeln!(text, "ProxyCommand {}", one_line("ProxyCommand", command)?);
        }
        (None, Some(through)) => {
            let _ = writeln!(text, "ProxyJump {through}");
        }
        (None, None) => text.push_str("ProxyJump none\n"),
    }
    text.push('\n');
    Ok(())
}

/// A value in quotes, its percent signs standing for themselves.
fn setting(key: &str, value: &str) -> Result<String> {
    let value = one_line(key, value)?;
    if value.contains('"') {
        return Err(cannot(key));
    }
    Ok(format!("\"{}\"", value.replace('%', "%%")))
}

fn one_line<'v>(key: &str, value: &'v str) -> Result<&'v str> {
    if value.chars().any(char::is_control) { Err(cannot(key)) } else { Ok(value) }
}

fn path(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| cannot("a path"))
}

fn cannot(key: &str) -> Failure {
    Failure::new(Exit::Usage, format!("The value of {key} cannot be told to ssh."))
        .hint("It holds a quote, a control character or no text; change it in the inventory.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_hold_what_lifeboat_connects_with() {
        let mut spec = SshSpec::new("val-1", "10.0.0.11", 2222, "ops");
        spec.known_hosts = vec!["/data/known hosts".into()];
        spec.revoked_keys = vec!["/etc/ssh/revoked".into()];
        spec.jump = vec![SshSpec::new("gate", "gate.example", 22, "me")];
        let text = settings_of(&spec, Path::new("/tmp/revoked")).unwrap();
        for line in [
            "Host \"val-1\"",
            "HostName \"10.0.0.11\"",
            "Port \"2222\"",
            "UserKnownHostsFile \"/data/known hosts\"",
            "StrictHostKeyChecking yes",
            "RevokedHostKeys \"/etc/ssh/revoked\"",
            "ProxyJump lifeboat-jump-0",
            "IdentityAgent \"none\"",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        spec.user.value = "ops\nProxyCommand evil".to_owned();
        assert!(settings_of(&spec, Path::new("/tmp/revoked")).is_err());
    }

    #[test]
    fn where_keys_are_pinned_no_other_file_vouches_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let known = dir.path().join("known_hosts");
        std::fs::write(&known, "val-1 ssh-ed25519 AAAA\n@revoked * ssh-rsa BBBB\n").unwrap();
        let mut spec = SshSpec::new("val-1", "10.0.0.11", 22, "ops");
        spec.known_hosts = vec![known];
        spec.host_keys = vec!["SHA256:one".to_owned(), "SHA256:t/w+o".to_owned()];
        assert_eq!(revoked_of(&spec), "@revoked * ssh-rsa BBBB\n");
        let text = settings_of(&spec, Path::new("/tmp/revoked")).unwrap();
        assert!(text.contains("UserKnownHostsFile \"/tmp/revoked\"\n"), "{text}");
        let command =
            "KnownHostsCommand /bin/sh -c 'case $1 in SHA256:one|SHA256:t/w+o) echo $2 $3 $4;; esac' sh %f %H %t %K\n";
        assert!(text.contains(command), "{text}");
        spec.host_keys = vec!["SHA256:x) rm -rf /;;".to_owned()];
        assert!(settings_of(&spec, Path::new("/tmp/revoked")).is_err());
    }
}
