//! The console's own key: what signs receipts, and who holds leases.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::model::clock::Entropy;
use crate::model::ids::ConsoleId;

use super::disk;
use super::error::VaultError;

const FILE: &str = "console.key";
const PRIVATE: &[u8] = &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const PUBLIC: &[u8] = &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// An Ed25519 key pair made once per installation, kept as a PKCS#8 PEM file that `openssl` reads too.
pub struct ConsoleKey {
    key: SigningKey,
    id: ConsoleId,
}

impl std::fmt::Debug for ConsoleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConsoleKey").field(&self.id).finish()
    }
}

impl ConsoleKey {
    /// Loads `console.key` from `dir`, or makes it, 0600. One that others can read is refused.
    pub fn load_or_create(dir: &Path, entropy: &dyn Entropy) -> Result<Self, VaultError> {
        let path = dir.join(FILE);
        if std::fs::symlink_metadata(&path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            disk::make_dir(dir)?;
            let mut seed = Zeroizing::new([0; 32]);
            entropy.fill(seed.as_mut_slice());
            let der = Zeroizing::new([PRIVATE, &seed[..]].concat());
            let text = Zeroizing::new(pem("PRIVATE KEY", &der));
            let aside = dir.join(format!(".new-{}-{FILE}", entropy.hex(4)));
            disk::write_new(&aside, text.as_bytes())?;
            // The first of two consoles that start at once wins, and both use its key.
            let linked = std::fs::hard_link(&aside, &path);
            let _ = std::fs::remove_file(&aside);
            match linked {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => disk::write_new(&path, text.as_bytes())?,
                _ => {}
            }
            disk::sync_dir(dir)?;
        }
        let refuse = |why: &str| VaultError::Key { path: path.clone(), why: why.into() };
        let meta = std::fs::symlink_metadata(&path).map_err(|e| VaultError::io(&path, "open", e))?;
        if meta.mode() & 0o077 != 0 {
            return Err(refuse("others may read it; it should have mode 600"));
        }
        let text = Zeroizing::new(disk::read(&path, 4096)?);
        let der = Zeroizing::new(from_pem("PRIVATE KEY", &text).ok_or_else(|| refuse("it is not a PEM private key"))?);
        let seed = der.strip_prefix(PRIVATE).and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        let seed = Zeroizing::new(seed.ok_or_else(|| refuse("it is not an Ed25519 key"))?);
        let key = SigningKey::from_bytes(&seed);
        let id = id_of(&key.verifying_key()).ok_or_else(|| refuse("it has no usable id"))?;
        Ok(Self { key, id })
    }

    /// The console's id, which is made of its public key.
    pub fn id(&self) -> &ConsoleId {
        &self.id
    }

    /// Its public key as PEM.
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &[PUBLIC, self.key.verifying_key().as_bytes()].concat())
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }
}

/// The id that belongs to a public key.
pub(super) fn id_of(key: &VerifyingKey) -> Option<ConsoleId> {
    ConsoleId::new(format!("console-{}", &disk::sha256(key.as_bytes())[..16])).ok()
}

/// Reads a public key from PEM; only the form this program writes.
pub(super) fn public_key(text: &[u8]) -> Option<VerifyingKey> {
    let der = from_pem("PUBLIC KEY", text)?;
    let key = VerifyingKey::from_bytes(&der.strip_prefix(PUBLIC)?.try_into().ok()?).ok()?;
    (pem("PUBLIC KEY", &der).as_bytes() == text).then_some(key)
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", openssl::base64::encode_block(der))
}

fn from_pem(label: &str, text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let body = text.strip_prefix(&format!("-----BEGIN {label}-----\n"))?;
    openssl::base64::decode_block(body.strip_suffix(&format!("\n-----END {label}-----\n"))?).ok()
}
