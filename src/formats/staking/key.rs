//! The private key: PKCS#8, PKCS#1 or SEC1, and the public key it really makes.

use super::cert::{CertError, Public, rsa_public};
use crate::formats::pem::PemBlock;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint, PointConversionForm};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;

/// Why `staker.key` is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key is sealed with a passphrase.
    #[error("The key is encrypted with a passphrase; a node needs it in clear.")]
    Encrypted,
    /// The body is no key in any of the three forms.
    #[error("The key's body parses neither as PKCS#8 nor as PKCS#1 or SEC1.")]
    Der,
    /// There are bytes after the key, or fewer than its length says.
    #[error("The key's body does not end where its own length says.")]
    Length,
    /// Neither RSA nor P-256.
    #[error("The key is neither RSA nor on the curve P-256.")]
    Algorithm,
    /// RSA numbers that do not belong together, or a scalar outside the curve's order.
    #[error("The key's numbers do not belong together: the file is damaged.")]
    Inconsistent,
    /// The RSA public half is outside the node's limits.
    #[error("{0}")]
    Limits(#[from] CertError),
    /// The crypto library failed.
    #[error("The key could not be worked with: the crypto library failed.")]
    Library,
}

/// Computes the public key from the private numbers, believing nothing the file says about it.
pub(super) fn public_of(block: &PemBlock) -> Result<Public, KeyError> {
    if block.label.starts_with("ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    // The library is told which form to read, because its guessing reader may ask the terminal for a passphrase.
    let private = match form(&block.der)? {
        Form::Pkcs8 => PKey::private_key_from_pkcs8(&block.der),
        Form::Pkcs1 => Rsa::private_key_from_der(&block.der).and_then(PKey::from_rsa),
        Form::Sec1 => EcKey::private_key_from_der(&block.der).and_then(PKey::from_ec_key),
    }
    .map_err(|_| KeyError::Der)?;
    match private.id() {
        Id::RSA => rsa(&private),
        Id::EC => ec(&private),
        _ => Err(KeyError::Algorithm),
    }
}

#[derive(Clone, Copy)]
enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
}

/// Tells the forms apart by the second field: a sequence, an integer or an octet string.
fn form(der: &[u8]) -> Result<Form, KeyError> {
    let (tag, body, rest) = element(der).ok_or(KeyError::Length)?;
    if tag != 0x30 {
        return Err(KeyError::Der);
    }
    if !rest.is_empty() {
        return Err(KeyError::Length);
    }
    match element(body) {
        Some((0x02, _, rest)) => match rest.first() {
            Some(0x30) => Ok(Form::Pkcs8),
            Some(0x02) => Ok(Form::Pkcs1),
            Some(0x04) => Ok(Form::Sec1),
            _ => Err(KeyError::Der),
        },
        Some((0x30, _, _)) => Err(KeyError::Encrypted),
        _ => Err(KeyError::Der),
    }
}

/// Splits one DER element off: its tag, its body and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let digits = usize::from(first & 0x7f);
        if digits == 0 || digits > 3 {
            return None;
        }
        let (bytes, after) = rest.split_at_checked(digits)?;
        length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        rest = after;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    Some((tag, body, rest))
}

fn rsa(private: &PKey<Private>) -> Result<Public, KeyError> {
    let rsa = private.rsa().map_err(|_| KeyError::Library)?;
    // The limits come first: checking a modulus of a million bits takes longer than anyone waits.
    let (_, public) = rsa_public(&rsa.n().to_vec(), &rsa.e().to_vec())?;
    if rsa.p().is_none() || rsa.q().is_none() || !matches!(rsa.check_key(), Ok(true)) {
        return Err(KeyError::Inconsistent);
    }
    Ok(public)
}

fn ec(private: &PKey<Private>) -> Result<Public, KeyError> {
    let key = private.ec_key().map_err(|_| KeyError::Library)?;
    if key.group().curve_name() != Some(Nid::X9_62_PRIME256V1) {
        return Err(KeyError::Algorithm);
    }
    let in_range = || -> Result<bool, ErrorStack> {
        let mut order = BigNum::new()?;
        key.group().order(&mut order, &mut *BigNumContext::new()?)?;
        Ok(key.private_key().num_bits() > 0 && !key.private_key().is_negative() && *key.private_key() < *order)
    };
    if !in_range().map_err(|_| KeyError::Library)? {
        return Err(KeyError::Inconsistent);
    }
    let point = || -> Result<Vec<u8>, ErrorStack> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let mut context = BigNumContext::new_secure().or_else(|_| BigNumContext::new())?;
        let mut point = EcPoint::new(&group)?;
        point.mul_generator2(&group, key.private_key(), &mut context)?;
        point.to_bytes(&group, PointConversionForm::UNCOMPRESSED, &mut context)
    };
    Ok(Public::P256(point().map_err(|_| KeyError::Library)?))
}
