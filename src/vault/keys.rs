//! Private keys, needed only to open.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::{DecryptError, ssh};
use zeroize::Zeroizing;

use crate::model::secret::SecretString;

use super::error::VaultError;
use super::finding::{Finding, Trouble};

/// Asks for a passphrase; given the reason, e.g. "passphrase of '/home/me/key'". `None` when nobody answers.
pub type AskPassphrase<'a> = &'a dyn Fn(&str) -> Option<SecretString>;

/// The private keys at hand.
#[derive(Default)]
pub struct Keys {
    private: Vec<Box<dyn age::Identity + Send + Sync>>,
    files: Vec<PathBuf>,
    warnings: Vec<Finding>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("files", &self.files).finish_non_exhaustive()
    }
}

const LARGEST: u64 = 1 << 20;

impl Keys {
    /// No keys: what lies in clear can be read, the rest is intact at best.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds the keys of a file: an age identity file, in clear or sealed with a passphrase, or an ssh private key.
    pub fn add_file(&mut self, path: &Path, ask: AskPassphrase<'_>) -> Result<(), VaultError> {
        let bytes = read(path)?;
        if let Ok(meta) = std::fs::metadata(path)
            && meta.mode() & 0o077 != 0
        {
            let why = format_args!("is a private key with mode {:03o}; others may read it", meta.mode() & 0o777);
            self.warnings.push(Finding::new(path, Trouble::Exposed, why));
        }
        let found = if bytes.starts_with(b"age-encryption.org/") {
            identities(path, &unseal(path, &bytes, ask)?)?
        } else if bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE") {
            return Err(refuse(path, "it is armored; open it once with: age -d"));
        } else if bytes.starts_with(b"-----BEGIN ") {
            vec![ssh_key(path, &bytes, ask)?]
        } else {
            identities(path, &bytes)?
        };
        self.private.extend(found);
        self.files.push(path.to_owned());
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.private.is_empty()
    }

    /// What is unsafe about the key files.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.private.iter().map(|key| &**key as &dyn age::Identity)
    }

    /// What was tried, for a message.
    pub(super) fn tried(&self) -> String {
        if self.files.is_empty() {
            return "none was given".into();
        }
        let names: Vec<_> = self.files.iter().map(|f| format!("'{}'", f.display())).collect();
        format!("it is sealed to other keys than those in {}", names.join(", "))
    }
}

fn refuse(path: &Path, why: impl Into<String>) -> VaultError {
    VaultError::Key { path: path.to_owned(), why: why.into() }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    // A key may well be reached through a link or a pipe (`/dev/fd/3`), so this is not the vault's own careful open.
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 << 10));
    let file = std::fs::File::open(path).map_err(|e| refuse(path, e.to_string()))?;
    file.take(LARGEST).read_to_end(&mut bytes).map_err(|e| refuse(path, e.to_string()))?;
    Ok(bytes)
}

fn passphrase(path: &Path, ask: AskPassphrase<'_>) -> Result<SecretString, VaultError> {
    ask(&format!("passphrase of '{}'", path.display()))
        .ok_or_else(|| refuse(path, "it needs a passphrase and none was given"))
}

/// Why a sealed file does not open, in our own words: those of the library are looked up in tables of languages, and it
/// panics where they are not found.
pub(super) fn why_sealed(error: &DecryptError) -> String {
    match error {
        DecryptError::InvalidHeader => "its header is not one of age's".to_owned(),
        DecryptError::InvalidMac => "its header was altered".to_owned(),
        DecryptError::UnknownFormat => "it is no age file of a known version".to_owned(),
        DecryptError::ExcessiveWork { required, .. } => format!("its passphrase asks for work of 2^{required}"),
        DecryptError::NoMatchingKeys => "none of the keys at hand opens it".to_owned(),
        DecryptError::KeyDecryptionFailed => "the key inside it could not be opened".to_owned(),
        DecryptError::DecryptionFailed => "it could not be decrypted".to_owned(),
        DecryptError::Io(error) => error.to_string(),
    }
}

fn unseal(path: &Path, bytes: &[u8], ask: AskPassphrase<'_>) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let sealed = age::Decryptor::new(bytes).map_err(|error| refuse(path, why_sealed(&error)))?;
    if !sealed.is_scrypt() {
        return Err(refuse(path, "it is sealed to another key, not with a passphrase"));
    }
    let identity = age::scrypt::Identity::new(passphrase(path, ask)?);
    let opened = sealed.decrypt(std::iter::once(&identity as &dyn age::Identity));
    let mut clear = Zeroizing::new(Vec::with_capacity(8 << 10));
    opened
        .map_err(|_| refuse(path, "the passphrase does not open it"))?
        .take(LARGEST)
        .read_to_end(&mut clear)
        .map_err(|e| refuse(path, e.to_string()))?;
    Ok(clear)
}

fn identities(path: &Path, bytes: &[u8]) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>, VaultError> {
    let text = std::str::from_utf8(bytes).map_err(|_| refuse(path, "it is not text"))?;
    let mut found: Vec<Box<dyn age::Identity + Send + Sync>> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with("AGE-PLUGIN-") {
            return Err(refuse(path, "it needs an age plugin; open such files with: age -d -i"));
        }
        // The line itself never stands in the message: it may be a secret with a typing error.
        let key =
            age::x25519::Identity::from_str(line).map_err(|_| refuse(path, "a line in it is no age secret key"))?;
        found.push(Box::new(key));
    }
    if found.is_empty() { Err(refuse(path, "there is no key in it")) } else { Ok(found) }
}

fn ssh_key(
    path: &Path,
    bytes: &[u8],
    ask: AskPassphrase<'_>,
) -> Result<Box<dyn age::Identity + Send + Sync>, VaultError> {
    let key = ssh::Identity::from_buffer(bytes, Some(path.display().to_string()))
        .map_err(|_| refuse(path, "it is not an ssh private key that age can use"))?;
    match key {
        ssh::Identity::Unencrypted(_) => Ok(Box::new(key)),
        ssh::Identity::Encrypted(sealed) => {
            let clear =
                sealed.decrypt(passphrase(path, ask)?).map_err(|_| refuse(path, "the passphrase does not open it"))?;
            Ok(Box::new(ssh::Identity::from(clear)))
        }
        ssh::Identity::Unsupported(_) => {
            Err(refuse(path, "age opens only with ssh-ed25519 and ssh-rsa keys in OpenSSH's own format"))
        }
    }
}
