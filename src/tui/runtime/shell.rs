//! A shell on a node: the real `ssh`, with the settings Lifeboat itself connects with.
//!
//! They stand in a private file, so that the arguments show nothing but the node's name; no secret is in either.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::engine::desk::Desk;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::HostId;
use crate::model::inventory::TransportKind;
use crate::transport::quote::quote;
use crate::transport::ssh::SshSpec;

/// A prepared shell; the files it needs live as long as this.
pub struct NodeShell {
    command: Command,
    /// What is said before the shell begins.
    pub greeting: String,
    _settings: Option<tempfile::NamedTempFile>,
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
            return Ok(Self { command, greeting: greeting(host, "this machine"), _settings: None });
        }
        let spec = desk.dialer.spec(entry, &desk.inventory).map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
        let failed =
            |e: std::io::Error| Failure::new(Exit::Failed, format!("The settings for ssh cannot be written: {e}."));
        let mut settings = tempfile::Builder::new().prefix("lifeboat-ssh-").tempfile().map_err(failed)?;
        settings.write_all(settings_of(&spec)?.as_bytes()).map_err(failed)?;
        let mut command = Command::new("ssh");
        command.arg("-F").arg(settings.path()).arg("-t").arg("--").arg(host.as_str());
        command.arg(crate::transport::quote::portable(begin.as_bytes()));
        let where_to = format!("{}@{}", spec.user.value, spec.address.value);
        Ok(Self { command, greeting: greeting(host, &where_to), _settings: Some(settings) })
    }

    /// Runs it to its end.
    pub fn run(mut self) -> std::io::Result<ExitStatus> {
        self.command.status()
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

/// A client configuration for one node and its jump hosts; see `ssh_config(5)`.
fn settings_of(spec: &SshSpec) -> Result<String> {
    let mut text = String::new();
    let mut names: Vec<String> = Vec::new();
    for (at, hop) in spec.jump.iter().enumerate() {
        let name = format!("lifeboat-jump-{at}");
        write_host(&mut text, &name, hop, names.last().map(String::as_str))?;
        names.push(name);
    }
    write_host(&mut text, &spec.name, spec, names.last().map(String::as_str))?;
    Ok(text)
}

fn write_host(text: &mut String, name: &str, spec: &SshSpec, through: Option<&str>) -> Result<()> {
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
    let files: Vec<String> = spec
        .known_hosts
        .iter()
        .map(|file| path(file).and_then(|p| setting("UserKnownHostsFile", &p)))
        .collect::<Result<_>>()?;
    let _ = writeln!(text, "UserKnownHostsFile {}", files.join(" "));
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
        spec.jump = vec![SshSpec::new("gate", "gate.example", 22, "me")];
        let text = settings_of(&spec).unwrap();
        for line in [
            "Host \"val-1\"",
            "HostName \"10.0.0.11\"",
            "Port \"2222\"",
            "UserKnownHostsFile \"/data/known hosts\"",
            "StrictHostKeyChecking yes",
            "ProxyJump lifeboat-jump-0",
            "IdentityAgent \"none\"",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        spec.user.value = "ops\nProxyCommand evil".to_owned();
        assert!(settings_of(&spec).is_err());
    }
}
