//! Settings of a host: the inventory first, then what `ssh -G` says of the operator's own configuration.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::TransportError;
use super::ssh::{Sourced, SshSpec};
use crate::model::inventory::{Access, Become, Host, Inventory};
use crate::model::text::CleanText;
use crate::process;

/// How long `ssh -G` may take; it may run `Match exec` commands.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest chain of jump hosts.
const MOST_HOPS: usize = 8;

/// Who asks, and where things are on this machine.
#[derive(Debug, Clone)]
pub struct Resolver {
    /// The operator's home directory.
    pub home: PathBuf,
    /// The operator's login name here, the default one there.
    pub user: String,
    /// The `ssh` program, found on the path when it is a bare name.
    pub ssh: PathBuf,
    /// A configuration file instead of the operator's own.
    pub config: Option<PathBuf>,
    /// Lifeboat's own `known_hosts`, where `enroll` writes.
    pub known_hosts: PathBuf,
    /// `$SSH_AUTH_SOCK`.
    pub agent: Option<PathBuf>,
}

/// What `ssh -G` printed, in its order.
#[derive(Debug, Default)]
struct Printed(Vec<(String, String)>);

impl Printed {
    fn parse(text: &str) -> Self {
        let pair = |line: &str| {
            let (key, value) = line.trim().split_once(' ')?;
            Some((key.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self(text.lines().filter_map(pair).collect())
    }
    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }
    fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        found.filter(|value| !value.eq_ignore_ascii_case("none"))
    }
}

impl Resolver {
    /// Resolves a host of the inventory with its chain of jump hosts.
    ///
    /// # Errors
    /// [`TransportError::Setting`] when a value cannot be used.
    pub fn resolve(&self, host: &Host, all: &Inventory) -> Result<SshSpec, TransportError> {
        self.one(host.id.as_str(), &host.access, all, 0)
    }

    /// Resolves `user@address:port` that stands in no inventory.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub fn resolve_plain(&self, target: &str, all: &Inventory) -> Result<SshSpec, TransportError> {
        let access = plain(target).ok_or_else(|| bad(target, "it is not of the form user@address:port"))?;
        let name = access.address.clone().unwrap_or_default();
        self.one(&name, &access, all, 0)
    }

    fn one(&self, name: &str, access: &Access, all: &Inventory, depth: usize) -> Result<SshSpec, TransportError> {
        let asked = access.address.as_deref().unwrap_or(name);
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
        if asked.is_empty() || asked.starts_with('-') || !asked.chars().all(fine) {
            return Err(bad(name, &format!("'{}' cannot be an address", asked.escape_debug())));
        }
        if access.user.as_deref().is_some_and(|user| user.is_empty() || user.starts_with('-')) {
            return Err(bad(name, "a user name may not be empty or begin with '-'"));
        }
        if depth > MOST_HOPS {
            return Err(bad(name, "its jump hosts lead in a circle"));
        }
        let mut notes = Vec::new();
        let hidden = all.secret_variables();
        let printed = self.ask(asked, access, &hidden).unwrap_or_else(|note| {
            notes.push(note);
            Printed::default()
        });
        // It prints its defaults too: what equals one was said by nobody.
        let said = |key: &str, default: &str| printed.get(key).filter(|value| *value != default).map(str::to_owned);
        // A name may be an alias of the ssh configuration; an IP address of the inventory is meant as it stands.
        let literal = asked.parse::<std::net::IpAddr>().is_ok();
        let alias = said("hostname", asked).filter(|_| !literal);
        let own = access.address.clone().filter(|_| alias.is_none());
        let address = Sourced::pick(own, alias, asked.to_owned());
        let port = said("port", "22").and_then(|port| port.parse().ok());
        let port = Sourced::pick(access.port, port, 22);
        let user = Sourced::pick(access.user.clone(), said("user", &self.user), self.user.clone());
        if user.value.is_empty() || user.value.starts_with('-') || address.value.starts_with('-') {
            return Err(bad(name, "neither the address nor the user name may be empty or begin with '-'"));
        }
        let tokens = Tokens {
            home: &self.home,
            host: &address.value,
            original: asked,
            port: port.value,
            user: &user.value,
            me: &self.user,
        };
        let mut spec = SshSpec::new(name, "", 22, "");
        let own = Some(access.identity_files.iter().map(|f| tokens.path(&f.to_string_lossy())).collect::<Vec<_>>());
        let files: Vec<PathBuf> =
            printed.all("identityfile").filter(|f| *f != "none").map(|f| tokens.path(f)).collect();
        let usual = ["id_ed25519", "id_ecdsa", "id_rsa"].map(|file| self.home.join(".ssh").join(file)).to_vec();
        spec.identity_files =
            Sourced::pick(own.filter(|files| !files.is_empty()), Some(files).filter(|files| !files.is_empty()), usual);
        spec.identities_only = printed.get("identitiesonly") == Some("yes");
        spec.agent = match printed.all("identityagent").next() {
            Some("none") => Sourced::new(None, "ssh -G"),
            Some("SSH_AUTH_SOCK") | None => Sourced::new(self.agent.clone(), "default"),
            Some(value) if value.starts_with('$') => Sourced::new(
                std::env::var_os(value.trim_start_matches(['$', '{']).trim_end_matches('}')).map(PathBuf::from),
                "ssh -G",
            ),
            Some(value) => Sourced::new(Some(tokens.path(value)), "ssh -G"),
        };
        spec.known_hosts = self.known_hosts_files(&printed, &tokens);
        let revoked = printed.get("revokedhostkeys").unwrap_or_default();
        spec.revoked_keys = revoked.split_ascii_whitespace().map(|file| tokens.path(file)).collect();
        spec.hidden = hidden;
        spec.host_keys.clone_from(&access.host_keys);
        spec.host_key_alias = printed.get("hostkeyalias").map(|alias| tokens.expand(alias));
        if let Some(seconds) =
            printed.get("connecttimeout").and_then(|s| s.parse().ok()).filter(|s| (1..=600).contains(s))
        {
            spec.connect_timeout = Duration::from_secs(seconds);
        }
        if printed.get("stricthostkeychecking").is_some_and(|v| matches!(v, "false" | "no" | "off")) {
            notes.push(
                "StrictHostKeyChecking is off in the ssh configuration; Lifeboat verifies host keys all the same"
                    .into(),
            );
        }
        let jump = access.jump.as_deref().or_else(|| printed.get("proxyjump")).filter(|jump| !jump.is_empty());
        match jump {
            // Directly, whatever the ssh configuration says.
            Some(jump) if jump.eq_ignore_ascii_case("none") => {}
            Some(jump) => spec.jump = self.chain(name, jump, all, depth)?,
            None => spec.proxy_command = printed.get("proxycommand").map(|command| tokens.expand(command)),
        }
        spec.privilege = access.privilege;
        spec.password.clone_from(&access.password);
        spec.passphrase.clone_from(&access.passphrase);
        spec.become_password.clone_from(&access.become_password);
        (spec.address, spec.port, spec.user, spec.notes) = (address, port, user, notes);
        Ok(spec)
    }

    fn known_hosts_files(&self, printed: &Printed, tokens: &Tokens<'_>) -> Vec<PathBuf> {
        let mut files = vec![self.known_hosts.clone()];
        let said = |key| printed.get(key).map(|list| list.split_ascii_whitespace().map(|f| tokens.path(f)).collect());
        let user: Option<Vec<PathBuf>> = said("userknownhostsfile");
        let global: Option<Vec<PathBuf>> = said("globalknownhostsfile");
        files.extend(user.unwrap_or_else(|| vec![self.home.join(".ssh/known_hosts")]));
        files.extend(global.unwrap_or_else(|| vec!["/etc/ssh/ssh_known_hosts".into()]));
        files
    }

    /// The hops to a host, first hop first. Only the first one's own jump hosts count, as with OpenSSH.
    fn chain(&self, name: &str, jump: &str, all: &Inventory, depth: usize) -> Result<Vec<SshSpec>, TransportError> {
        let mut hops: Vec<SshSpec> = Vec::new();
        for word in jump.split(',').map(str::trim) {
            let known = all.hosts.values().find(|host| host.id.as_str() == word);
            let mut hop = if let Some(host) = known {
                self.one(word, &host.access, all, depth + 1)?
            } else {
                let why = format!("its jump host '{}' is neither a host nor user@address:port", word.escape_debug());
                let access = plain(word).ok_or_else(|| bad(name, &why))?;
                self.one(word, &access, all, depth + 1)?
            };
            let before = std::mem::take(&mut hop.jump);
            if hops.is_empty() {
                hops.extend(before);
            } else {
                hop.proxy_command = None;
            }
            hops.push(hop);
            if hops.len() > MOST_HOPS {
                return Err(bad(name, "its jump hosts lead in a circle"));
            }
        }
        Ok(hops)
    }

    /// Asks `ssh -G`; what goes wrong is a note, because the inventory may say enough.
    fn ask(&self, host: &str, access: &Access, hidden: &[String]) -> Result<Printed, String> {
        let mut command = Command::new(&self.ssh);
        for name in hidden {
            command.env_remove(name);
        }
        if let Some(config) = &self.config {
            command.arg("-F").arg(config);
        }
        if let Some(user) = &access.user {
            command.arg("-l").arg(user);
        }
        if let Some(port) = access.port {
            command.arg("-p").arg(port.to_string());
        }
        command.args(["-G", "--", host]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::spawn(&mut command).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "there is no ssh program; its configuration is not read".to_owned(),
            _ => format!("ssh -G could not be started: {error}"),
        })?;
        let (printed, said) = (all_of(child.stdout.take()), all_of(child.stderr.take()));
        let began = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(2)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err("ssh -G did not answer in time; the ssh configuration is not read".to_owned());
                }
            }
        };
        if !status.success() {
            // What it complains of comes before its last line, which only says that it ends.
            let said = CleanText::from_bytes(&said.join().unwrap_or_default());
            let why = said.as_str().lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
            let why = why.trim().trim_end_matches('.');
            return Err(format!("ssh -G failed ({why}); the ssh configuration is not read, jump hosts included"));
        }
        Ok(Printed::parse(&String::from_utf8_lossy(&printed.join().unwrap_or_default())))
    }
}

/// Reads a child's stream to its end, at most 1 MiB of it kept.
fn all_of(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.by_ref().take(1 << 20).read_to_end(&mut text);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        text
    })
}

fn bad(host: &str, why: &str) -> TransportError {
    TransportError::Setting { host: host.to_owned(), why: why.to_owned() }
}

/// Reads `[user@]address[:port]`, with IPv6 in brackets.
fn plain(target: &str) -> Option<Access> {
    let target = target.strip_prefix("ssh://").unwrap_or(target);
    let (user, rest) = match target.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, target),
    };
    let (address, port) = if let Some(inner) = rest.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        (address, port.strip_prefix(':'))
    } else if rest.matches(':').count() == 1 {
        let (address, port) = rest.split_once(':')?;
        (address, Some(port))
    } else {
        (rest, None)
    };
    let port = port.map(str::parse).transpose().ok()?;
    let fine = !address.is_empty() && !address.starts_with('-') && user.as_deref() != Some("");
    let address = Some(address.to_owned());
    fine.then(|| Access { address, port, user, privilege: Become::default(), ..Access::default() })
}

/// What the `%` tokens of an SSH configuration stand for.
struct Tokens<'a> {
    home: &'a Path,
    host: &'a str,
    original: &'a str,
    port: u16,
    user: &'a str,
    me: &'a str,
}

impl Tokens<'_> {
    fn expand(&self, text: &str) -> String {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('h') => out.push_str(self.host),
                Some('n') => out.push_str(self.original),
                Some('p') => out.push_str(&self.port.to_string()),
                Some('r') => out.push_str(self.user),
                Some('u') => out.push_str(self.me),
                Some('d') => out.push_str(&self.home.to_string_lossy()),
                Some('%') | None => out.push('%'),
                Some(other) => out.extend(['%', other]),
            }
        }
        out
    }

    fn path(&self, text: &str) -> PathBuf {
        let text = self.expand(text.trim_matches('"'));
        match text.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => PathBuf::from(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_without_an_entry_are_read() {
        let read = |target| plain(target).map(|a| (a.user, a.address.unwrap(), a.port));
        assert_eq!(read("ops@h:2201"), Some((Some("ops".into()), "h".into(), Some(2201))));
        assert_eq!(read("[::1]:22"), Some((None, "::1".into(), Some(22))));
        assert_eq!(read("fe80::1"), Some((None, "fe80::1".into(), None)));
        for bad in ["", "@h", "-oProxyCommand=x", "ops@-h", "h:port", "h:99999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn tokens_are_expanded_and_the_rest_left() {
        let tokens = Tokens { home: Path::new("/h"), host: "a.b", original: "a", port: 2, user: "u", me: "m" };
        assert_eq!(tokens.expand("nc %h %p %r %n %% %Z"), "nc a.b 2 u a % %Z");
        assert_eq!(tokens.path("~/.ssh/%h"), Path::new("/h/.ssh/a.b"));
    }
}
