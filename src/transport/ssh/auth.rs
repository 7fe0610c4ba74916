//! Login: configured keys, the agent's keys, a password, the questions of a server; in this order.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use ssh_key::PrivateKey;
use ssh2::{Agent, KeyboardInteractivePrompt, Prompt, PublicKey, Session};

use super::super::TransportError;
use super::super::known_hosts::HostKey;
use super::SshSpec;
use super::errors::{code_of, is_fatal, ssh_why};
use super::owner::Link;
use crate::model::secret::{SecretRef, Secrets};
use crate::model::text::clause;

/// Servers usually cut the line at six refusals; one is left for a password.
const MOST_KEYS: usize = 5;
/// The agent may wait for a touch or a confirmation, so it gets this many times what a step of the login gets.
const AGENT: u32 = 4;

/// A login under way.
struct Login<'a> {
    session: &'a Session,
    spec: &'a SshSpec,
    secrets: &'a dyn Secrets,
    tried: Vec<String>,
    keys: usize,
}

/// Logs in and says which method worked.
pub(super) fn login(
    session: &Session,
    spec: &SshSpec,
    secrets: &dyn Secrets,
    link: &Link,
) -> Result<String, TransportError> {
    let mut login = Login { session, spec, secrets, tried: Vec::new(), keys: 0 };
    let methods = match session.auth_methods(&spec.user.value) {
        _ if session.authenticated() => return Ok("nothing asked".to_owned()),
        Ok(methods) => methods.to_owned(),
        Err(error) => return Err(login.refused(&ssh_why(&error))),
    };
    let offers = |method: &str| methods.split(',').any(|m| m == method);
    let mut later = Vec::new();
    if offers("publickey") {
        for file in &spec.identity_files.value {
            match login.file(file, false)? {
                Some(name) => return Ok(name),
                None if login.postponed(file) => later.push(file),
                None => {}
            }
        }
        let limit = spec.connect_timeout * AGENT;
        let what = "its key agent was asked, which may wait for a touch or a confirmation";
        if let Some(name) = link.outside.during(what, limit, || login.agent())? {
            return Ok(name);
        }
        for file in later {
            if let Some(name) = login.file(file, true)? {
                return Ok(name);
            }
        }
    }
    if let Some(wanted) = &spec.password {
        let purpose = format!("login password of {}@{}", spec.user.value, spec.name);
        let password = secrets.resolve(wanted, &purpose).map_err(|why| login.refused(&clause(&why)))?;
        if offers("password") {
            match session.userauth_password(&spec.user.value, password.expose_secret()) {
                Ok(()) => return Ok("password".to_owned()),
                Err(error) => login.note("password", &error)?,
            }
        }
        if offers("keyboard-interactive") {
            let mut answers = Answers(&password);
            match session.userauth_keyboard_interactive(&spec.user.value, &mut answers) {
                Ok(()) => return Ok("keyboard-interactive".to_owned()),
                Err(error) => login.note("keyboard-interactive", &error)?,
            }
        }
        if offers("password") || offers("keyboard-interactive") {
            // The next login asks for it anew instead of sending it again.
            secrets.forget(wanted, &purpose);
        }
    } else if offers("password") || offers("keyboard-interactive") {
        login.tried.push("no password is configured".to_owned());
    }
    let why = if login.tried.is_empty() { "nothing to try".to_owned() } else { login.tried.join("; ") };
    Err(login.refused(&format!("{why} (the server offers {methods})")))
}

impl Login<'_> {
    fn refused(&self, why: &str) -> TransportError {
        let host = format!("{}@{}", self.spec.user.value, self.spec.name);
        TransportError::Login { host, why: why.trim_end_matches('.').to_owned() }
    }

    /// Notes a refusal; a broken connection ends the login.
    fn note(&mut self, what: &str, error: &ssh2::Error) -> Result<(), TransportError> {
        self.tried.push(format!("{what}: {}", ssh_why(error)));
        let code = code_of(error);
        if is_fatal(code) && !matches!(code, -19..=-16 | -42 | -4) {
            return Err(self.refused(&self.tried.join("; ")));
        }
        Ok(())
    }

    fn may_try(&mut self, what: &str) -> bool {
        self.keys += 1;
        if self.keys > MOST_KEYS {
            self.tried.push(format!("{what}: not tried, servers hang up after six refusals"));
        }
        self.keys <= MOST_KEYS
    }

    fn postponed(&self, file: &Path) -> bool {
        self.spec.passphrase.is_none() && matches!(look(file), Look::Encrypted)
    }

    /// Tries one key file; an encrypted one without a configured passphrase only when `ask`.
    fn file(&mut self, file: &Path, ask: bool) -> Result<Option<String>, TransportError> {
        let name = file.display().to_string();
        let purpose = format!("passphrase of {name}");
        let passphrase = match look(file) {
            Look::Missing => {
                if self.spec.identity_files.source == "inventory" {
                    self.tried.push(format!("{name}: no such file"));
                }
                return Ok(None);
            }
            Look::Unreadable(why) => {
                self.tried.push(format!("{name}: {why}"));
                return Ok(None);
            }
            Look::Plain => None,
            Look::Encrypted if self.spec.passphrase.is_none() && !ask => return Ok(None),
            Look::Encrypted => {
                let prompt = SecretRef::Prompt(true);
                let wanted = self.spec.passphrase.as_ref().unwrap_or(&prompt);
                match self.secrets.resolve(wanted, &purpose) {
                    Ok(passphrase) => Some((passphrase, wanted.clone())),
                    Err(why) => {
                        self.tried.push(format!("{name}: it is encrypted, and {}", clause(&why)));
                        return Ok(None);
                    }
                }
            }
        };
        let phrase = passphrase.as_ref().map(|(phrase, _)| phrase.expose_secret());
        let certificate = PathBuf::from(format!("{name}-cert.pub"));
        let certified = certificate.exists().then_some(Some(certificate.as_path()));
        for public in certified.into_iter().chain([None]) {
            if !self.may_try(&name) {
                return Ok(None);
            }
            match self.session.userauth_pubkey_file(&self.spec.user.value, public, file, phrase) {
                Ok(()) => return Ok(Some(format!("key file {name}"))),
                Err(error) => match &passphrase {
                    Some((_, wanted)) if code_of(&error) == -16 => {
                        self.secrets.forget(wanted, &purpose);
                        self.tried.push(format!("{name}: the passphrase is wrong"));
                        return Ok(None);
                    }
                    _ => self.note(&name, &error)?,
                },
            }
        }
        Ok(None)
    }

    fn agent(&mut self) -> Result<Option<String>, TransportError> {
        let Some(socket) = self.spec.agent.value.clone() else { return Ok(None) };
        let (mut agent, identities) = match open_agent(self.session, &socket) {
            Ok(opened) => opened,
            Err(why) => {
                self.tried.push(format!("agent: {why}"));
                return Ok(None);
            }
        };
        let configured: Vec<Vec<u8>> = self.spec.identity_files.value.iter().filter_map(|f| public_blob(f)).collect();
        let (mut first, rest): (Vec<_>, Vec<_>) =
            identities.into_iter().partition(|i| configured.iter().any(|blob| blob == i.blob()));
        if !self.spec.identities_only {
            first.extend(rest);
        }
        if first.is_empty() {
            self.tried.push("agent: it holds no usable key".to_owned());
        }
        let mut found = None;
        for identity in &first {
            let print = HostKey::from_blob(identity.blob()).map_or_else(|| "?".to_owned(), |key| key.fingerprint());
            let name = format!("agent key {print}");
            if !self.may_try(&name) {
                break;
            }
            match agent.userauth(&self.spec.user.value, identity) {
                Ok(()) => {
                    found = Some(name);
                    break;
                }
                Err(error) => self.note(&name, &error)?,
            }
        }
        let _ = agent.disconnect();
        Ok(found)
    }
}

/// Connects to an agent and asks for its keys.
///
/// An agent that cannot be connected to is never left to the library: it closes its descriptor then, and once more when
/// the agent is freed, and by that time the number may be of a file or a connection another thread has opened (libssh2
/// 1.11.1, `agent_connect_unix` and `libssh2_agent_free` in agent.c).
pub(super) fn open_agent(session: &Session, socket: &Path) -> Result<(Agent, Vec<PublicKey>), String> {
    UnixStream::connect(socket).map_err(|error| clause(&error.to_string()))?;
    let asked = |error: ssh2::Error| ssh_why(&error);
    let mut agent = session.agent().map_err(asked)?;
    agent.set_identity_path(socket).map_err(asked)?;
    if let Err(error) = agent.connect() {
        // It went away this very moment. Better a session that is never freed than somebody else's descriptor closed.
        std::mem::forget(agent);
        return Err(asked(error));
    }
    agent.list_identities().map_err(asked)?;
    let identities = agent.identities().map_err(asked)?;
    Ok((agent, identities))
}

/// What a key file is, found out before the library, which cannot tell a wrong passphrase from a broken file.
enum Look {
    Missing,
    Unreadable(String),
    Plain,
    Encrypted,
}

fn look(file: &Path) -> Look {
    let text = match std::fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Look::Missing,
        Err(error) => return Look::Unreadable(error.to_string()),
    };
    if text.contains("BEGIN OPENSSH PRIVATE KEY") {
        return match PrivateKey::from_openssh(&text) {
            Ok(key) if key.is_encrypted() => Look::Encrypted,
            // Key types this reader lacks may still be known to the library.
            _ => Look::Plain,
        };
    }
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Look::Encrypted;
    }
    if text.contains("PRIVATE KEY-----") { Look::Plain } else { Look::Unreadable("it is not a private key".to_owned()) }
}

/// The public half of a key file, from `.pub` beside it or from the file itself.
fn public_blob(file: &Path) -> Option<Vec<u8>> {
    let beside = std::fs::read_to_string(format!("{}.pub", file.display())).ok();
    let decoded = beside.and_then(|line| openssl::base64::decode_block(line.split_whitespace().nth(1)?).ok());
    decoded.or_else(|| PrivateKey::read_openssh_file(file).ok()?.public_key().to_bytes().ok())
}

struct Answers<'a>(&'a SecretString);

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        // Only a hidden question is one for the password.
        prompts.iter().map(|p| if p.echo { String::new() } else { self.0.expose_secret().to_owned() }).collect()
    }
}
