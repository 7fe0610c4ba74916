//! A key pair that opens what is sealed to it.

use std::path::Path;

use age::secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::disk;
use super::error::VaultError;

/// Makes an X25519 key pair, writes the private key to `path` (which must not exist, mode 0600) in the form of
/// `age-keygen`, and gives the public key, `age1…`.
pub fn make_key(path: &Path, made: &str) -> Result<String, VaultError> {
    let identity = age::x25519::Identity::generate();
    let public = identity.to_public().to_string();
    let private = identity.to_string();
    let text = Zeroizing::new(format!("# created: {made}\n# public key: {public}\n{}\n", private.expose_secret()));
    disk::write_new(path, text.as_bytes())?;
    // What is sealed to a key whose file is gone after a power cut is lost.
    disk::sync_dir(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok(public)
}
