//! New staking identities, as AvalancheGo makes them when it finds none.

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::X509Builder;
use zeroize::Zeroizing;

use crate::formats::bls::parse_signer_key;
use crate::model::exit::{Exit, Failure, Result};

/// The three files of an identity.
pub struct Identity {
    /// `staker.crt`.
    pub certificate: Vec<u8>,
    /// `staker.key`.
    pub key: Zeroizing<Vec<u8>>,
    /// `signer.key`.
    pub signer: Zeroizing<Vec<u8>>,
}

impl Identity {
    /// A new one: a P-256 certificate with no name in it, and a BLS key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self> {
        let cannot = |why: String| Failure::new(Exit::Failed, format!("A staking identity cannot be made: {why}."));
        let (certificate, key) = pair().map_err(|error| cannot(error.to_string()))?;
        Ok(Self { certificate, key, signer: signer().map_err(cannot)? })
    }
}

fn pair() -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut certificate = X509Builder::new()?;
    certificate.set_version(2)?;
    let serial = Asn1Integer::from_bn(&*BigNum::from_u32(0)?)?;
    certificate.set_serial_number(&serial)?;
    let (from, to) = (Asn1Time::from_str("20000101000000Z")?, Asn1Time::days_from_now(36_500)?);
    certificate.set_not_before(&from)?;
    certificate.set_not_after(&to)?;
    certificate.set_pubkey(&key)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    Ok((certificate.build().to_pem()?, Zeroizing::new(key.private_key_to_pem_pkcs8()?)))
}

/// 32 random bytes that are a key: about every second try is below the order of the group.
fn signer() -> Result<Zeroizing<Vec<u8>>, String> {
    for _ in 0..100 {
        let mut bytes = Zeroizing::new(vec![0; 32]);
        getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
        if parse_signer_key(&bytes).is_ok() {
            return Ok(bytes);
        }
    }
    Err("no BLS key was found".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::staking::parse_staking_identity;

    #[test]
    fn a_new_identity_is_one_a_node_would_start_with() {
        let (one, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let read = |id: &Identity| parse_staking_identity(&id.certificate, &id.key, Some(&id.signer)).unwrap();
        assert_ne!(read(&one).node_id, read(&other).node_id);
        assert_ne!(read(&one).bls, read(&other).bls);
    }
}
