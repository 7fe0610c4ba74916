//! Sealing: to whom the bytes of a snapshot are encrypted.

use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use age::Encryptor;
use age::stream::StreamWriter;

use super::error::VaultError;

type Public = Box<dyn age::Recipient + Send + Sync>;

/// To whom bytes are sealed, parsed and checked before anything is written.
#[derive(Clone)]
pub struct Sealing {
    recipients: Vec<String>,
    keys: Arc<Vec<Public>>,
    allow_plaintext: bool,
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealing").field("recipients", &self.recipients).finish_non_exhaustive()
    }
}

impl Sealing {
    /// Seals to every one of `recipients`: `age1…`, `ssh-ed25519 …`, `ssh-rsa …`. With none, only plain items can be stored.
    pub fn to(recipients: &[String]) -> Result<Self, VaultError> {
        let keys = recipients.iter().map(|text| public(text)).collect::<Result<Vec<_>, _>>()?;
        let sealing = Self {
            recipients: recipients.iter().map(|r| r.trim().to_owned()).collect(),
            keys: Arc::new(keys),
            allow_plaintext: false,
        };
        if sealing.is_sealed() {
            // Wrapping a key now shows a recipient that parses and still cannot be sealed to.
            sealing.encryptor()?;
        }
        Ok(sealing)
    }

    /// Stores in clear, secrets included: the operator said `allow_plaintext = true`.
    pub fn plaintext_allowed() -> Self {
        Self { recipients: Vec::new(), keys: Arc::new(Vec::new()), allow_plaintext: true }
    }

    /// Whether anything is sealed at all.
    pub fn is_sealed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether a secret may lie in clear.
    pub fn allows_plaintext(&self) -> bool {
        self.allow_plaintext
    }

    /// The public keys as text, for the manifest.
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    fn encryptor(&self) -> Result<Encryptor, VaultError> {
        Encryptor::with_recipients(self.keys.iter().map(|key| &**key as &dyn age::Recipient))
            .map_err(|error| VaultError::Recipient { recipient: self.recipients.join(", "), why: error.to_string() })
    }

    pub(super) fn wrap<W: Write>(&self, output: W) -> Result<Result<StreamWriter<W>, std::io::Error>, VaultError> {
        Ok(self.encryptor()?.wrap_output(output))
    }
}

fn public(text: &str) -> Result<Public, VaultError> {
    let text = text.trim();
    let refuse =
        |why: &str| VaultError::Recipient { recipient: text.escape_debug().take(100).collect(), why: why.into() };
    if text.starts_with("age1") {
        return age::x25519::Recipient::from_str(text).map(|r| Box::new(r) as Public).map_err(refuse);
    }
    if text.starts_with("AGE-SECRET-KEY") || text.contains("PRIVATE KEY") {
        return Err(VaultError::Recipient {
            recipient: "(a private key)".into(),
            why: "a recipient is a public key; keep the private one away from the inventory".into(),
        });
    }
    if text.starts_with("ssh-") {
        return age::ssh::Recipient::from_str(text)
            .map(|r| Box::new(r) as Public)
            .map_err(|_| refuse("it is not a usable ssh-ed25519 or ssh-rsa public key"));
    }
    Err(refuse("it is neither an age nor an ssh public key"))
}
