//! An Avalanche node's staking identity: `staker.crt`, `staker.key` and `signer.key`, proved to belong together.
//!
//! The node loads these files at start and refuses, or silently changes its identity, when they are wrong
//! (`AvalancheGo`: `staking/parse.go`, `staking/tls.go`). Everything is judged here offline, with the node's own limits, so
//! that a copy is known to be worth restoring.

mod cert;
mod key;

pub use cert::{CertError, Certificate, KeyAlgorithm, parse_certificate};
pub use key::KeyError;

use super::bls::{BlsError, BlsKey, parse_signer_key};
use super::node_id::NodeId;
use super::pem::{PemError, PemLimits, first_certificate, first_private_key};

/// What the files of one identity say, with nothing secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StakingIdentity {
    /// The node's name.
    pub node_id: NodeId,
    /// The BLS key, when `signer.key` is part of the set.
    pub bls: Option<BlsKey>,
    /// SHA-256 of the certificate's DER bytes.
    pub certificate_sha256: [u8; 32],
    /// What kind of key signs for the node.
    pub key_algorithm: KeyAlgorithm,
    /// The start of the certificate's validity. The node does not check it.
    pub not_before: jiff::Timestamp,
    /// The end of the certificate's validity. The node does not check it.
    pub not_after: jiff::Timestamp,
    /// How many certificates follow the first in `staker.crt`; the node's name comes from the first alone.
    pub extra_certificates: usize,
}

/// Why a set of files is not an identity a node would start with.
#[derive(Debug, thiserror::Error)]
pub enum StakingError {
    /// `staker.crt` is not sound PEM.
    #[error("staker.crt cannot be read. {0}")]
    CertificatePem(#[source] PemError),
    /// The certificate is one the node refuses.
    #[error("staker.crt is not a certificate the node accepts. {0}")]
    Certificate(#[source] CertError),
    /// `staker.key` is not sound PEM.
    #[error("staker.key cannot be read. {0}")]
    KeyPem(#[source] PemError),
    /// The private key cannot be used.
    #[error("staker.key is not a key the node accepts. {0}")]
    Key(#[source] KeyError),
    /// The two files are sound but of different pairs.
    #[error("staker.key is not the key of staker.crt: the public key it makes is another one.")]
    Mismatch,
    /// `signer.key` is not a BLS key.
    #[error("{0}")]
    Signer(#[from] BlsError),
}

/// Proves that the files belong together, and derives what the node will show of them.
///
/// `cert` and `key` are the PEM files whole, `signer` the raw bytes of `signer.key` where the set has one. Buffers made
/// here that hold private bytes are wiped; the caller's are the caller's.
///
/// # Errors
/// A [`StakingError`] naming the file and what is wrong with it.
pub fn parse_staking_identity(cert: &[u8], key: &[u8], signer: Option<&[u8]>) -> Result<StakingIdentity, StakingError> {
    let limits = PemLimits::default();
    let (block, extra_certificates) = first_certificate(cert, &limits).map_err(StakingError::CertificatePem)?;
    let certificate = parse_certificate(&block.der).map_err(StakingError::Certificate)?;
    let private = first_private_key(key, &limits).map_err(StakingError::KeyPem)?;
    let public = key::public_of(&private).map_err(StakingError::Key)?;
    if public != certificate.public_key {
        return Err(StakingError::Mismatch);
    }
    let bls = signer.map(parse_signer_key).transpose()?;
    Ok(StakingIdentity {
        node_id: NodeId::from_certificate_sha256(&certificate.sha256),
        bls,
        certificate_sha256: certificate.sha256,
        key_algorithm: certificate.key_algorithm,
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        extra_certificates,
    })
}

#[cfg(test)]
pub(crate) mod tests;
