//! The certificate, within the node's own limits.

use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcPoint};
use openssl::nid::Nid;
use sha2::{Digest, Sha256};
use std::fmt;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The largest certificate a node accepts from a peer (`AvalancheGo`: `staking/parse.go`).
const MAX_DER: usize = 2048;
/// 65537, the one exponent allowed.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// The kinds of key a node may have: P-256 since v1.11.6, RSA before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on the curve P-256.
    P256,
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa4096 => "RSA-4096",
        })
    }
}

/// The public half, in one form for both files so that they compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Public {
    /// The big-endian modulus without leading zeros.
    Rsa(Vec<u8>),
    /// The uncompressed point.
    P256(Vec<u8>),
}

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// SHA-256 of the DER bytes, from which the node's name comes.
    pub sha256: [u8; 32],
    /// The kind of its key.
    pub key_algorithm: KeyAlgorithm,
    /// Start of validity.
    pub not_before: jiff::Timestamp,
    /// End of validity.
    pub not_after: jiff::Timestamp,
    pub(super) public_key: Public,
}

/// Why a node would refuse the certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// The DER is longer than the node reads.
    #[error("The certificate has {size} bytes; a node accepts at most {MAX_DER}.")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The DER does not parse.
    #[error("The certificate's body does not parse as X.509.")]
    Der,
    /// There are bytes after the certificate.
    #[error("The certificate's body has {size} bytes too many at its end.")]
    Trailing {
        /// How many.
        size: usize,
    },
    /// A date lies outside what can be shown.
    #[error("The certificate's validity holds a date that cannot be read.")]
    Date,
    /// Neither RSA nor P-256.
    #[error("The certificate's key is neither RSA nor on the curve P-256.")]
    Algorithm,
    /// The RSA modulus has another size.
    #[error("The certificate's RSA modulus has {bits} bits; a node accepts 2048 or 4096.")]
    ModulusBits {
        /// Its size.
        bits: usize,
    },
    /// The RSA modulus is even.
    #[error("The certificate's RSA modulus is even, so it is no product of two primes.")]
    ModulusEven,
    /// The RSA exponent is another.
    #[error("The certificate's RSA exponent is not 65537.")]
    Exponent,
    /// The point is not on the curve, or not in uncompressed form.
    #[error("The certificate's public point is not an uncompressed point of the curve P-256.")]
    Point,
}

/// Reads a certificate from its DER bytes, within the node's limits.
///
/// Serial 0, empty names and X.509 version 1 are all legal here, since nodes generate them; nobody's signature is checked.
///
/// # Errors
/// The first [`CertError`] found.
pub fn parse_certificate(der: &[u8]) -> Result<Certificate, CertError> {
    if der.len() > MAX_DER {
        return Err(CertError::TooLarge { size: der.len() });
    }
    let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| CertError::Der)?;
    if !rest.is_empty() {
        return Err(CertError::Trailing { size: rest.len() });
    }
    let date = |seconds| jiff::Timestamp::from_second(seconds).map_err(|_| CertError::Date);
    let (key_algorithm, public_key) = public(parsed.public_key())?;
    Ok(Certificate {
        sha256: Sha256::digest(der).into(),
        key_algorithm,
        not_before: date(parsed.validity().not_before.timestamp())?,
        not_after: date(parsed.validity().not_after.timestamp())?,
        public_key,
    })
}

fn public(info: &SubjectPublicKeyInfo<'_>) -> Result<(KeyAlgorithm, Public), CertError> {
    let oid = info.algorithm.oid();
    if *oid == OID_PKCS1_RSAENCRYPTION {
        let Ok(Parsed::RSA(rsa)) = info.parsed() else {
            return Err(CertError::Algorithm);
        };
        rsa_public(rsa.modulus, rsa.exponent)
    } else if *oid == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = info.algorithm.parameters().and_then(|any| any.as_oid().ok());
        if curve != Some(OID_EC_P256) {
            return Err(CertError::Algorithm);
        }
        let point = info.subject_public_key.data.as_ref();
        if point.len() != 65 || point.first() != Some(&4) || !on_curve(point) {
            return Err(CertError::Point);
        }
        Ok((KeyAlgorithm::P256, Public::P256(point.to_vec())))
    } else {
        Err(CertError::Algorithm)
    }
}

/// Judges an RSA public key by the node's limits.
pub(super) fn rsa_public(modulus: &[u8], exponent: &[u8]) -> Result<(KeyAlgorithm, Public), CertError> {
    let modulus = unpadded(modulus);
    let top = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = (modulus.len() * 8).saturating_sub(usize::try_from(top).unwrap_or(0));
    let algorithm = match bits {
        2048 => KeyAlgorithm::Rsa2048,
        4096 => KeyAlgorithm::Rsa4096,
        _ => return Err(CertError::ModulusBits { bits }),
    };
    if modulus.last().is_none_or(|byte| byte & 1 == 0) {
        return Err(CertError::ModulusEven);
    }
    if unpadded(exponent) != EXPONENT {
        return Err(CertError::Exponent);
    }
    Ok((algorithm, Public::Rsa(modulus.to_vec())))
}

fn unpadded(mut number: &[u8]) -> &[u8] {
    while let Some((0, rest)) = number.split_first() {
        number = rest;
    }
    number
}

fn on_curve(point: &[u8]) -> bool {
    let check = || {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let mut context = BigNumContext::new()?;
        let point = EcPoint::from_bytes(&group, point, &mut context)?;
        Ok::<_, openssl::error::ErrorStack>(!point.is_infinity(&group) && point.is_on_curve(&group, &mut context)?)
    };
    check().unwrap_or(false)
}
