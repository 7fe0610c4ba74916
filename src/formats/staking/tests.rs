use super::*;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::X509Builder;

/// The shape of a certificate v1.11.6 and later make; its key is not known.
const VECTOR: &str = "-----BEGIN CERTIFICATE-----
MIIBLzCB1qADAgECAgEAMAoGCCqGSM49BAMCMAAwIBcNMjYxMTIwMTgyODAyWhgP
MjEyNjEwMjcxODI4MDJaMAAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASE6jMR
v8TjHhSTimpvrZ5NEVtgeuULZOmQihoEyoCK1thayvNwtZgS3hlWcr89dVyZlm1f
WBp4M13zw2P9l/bVoz8wPTAOBgNVHQ8BAf8EBAMCB4AwDAYDVR0TAQH/BAIwADAd
BgNVHQ4EFgQUErFxugvIvPjRpScttOSBMYUqRLAwCgYIKoZIzj0EAwIDSAAwRQIh
APRnZfzri/tH0dGEkr4SLTpHrb8+hpmZyUnvWDdB2WQmAiABQvntMNHsWGrKpvec
QdW8UF7Gg/kLqIZPd8gqv4MTMw==
-----END CERTIFICATE-----
";

/// A certificate as a node makes it: serial 0, no names.
pub(crate) fn certificate(key: &PKey<Private>) -> Vec<u8> {
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::new().unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(946_598_400).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(36500).unwrap()).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build().to_pem().unwrap()
}

pub(crate) fn p256() -> PKey<Private> {
    on_curve(Nid::X9_62_PRIME256V1)
}

fn on_curve(nid: Nid) -> PKey<Private> {
    let mut group = EcGroup::from_curve_name(nid).unwrap();
    group.set_asn1_flag(openssl::ec::Asn1Flag::NAMED_CURVE);
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

#[test]
fn the_vector_has_its_name() {
    let (block, more) = first_certificate(VECTOR.as_bytes(), &PemLimits::default()).unwrap();
    let certificate = parse_certificate(&block.der).unwrap();
    assert_eq!((block.der.len(), more), (307, 0));
    let sha256 = "397a992017c2ca96786ca7e1cd18708729a180a0c1d48709539f26488c69f8b0";
    assert_eq!(crate::formats::text::hex(&certificate.sha256), sha256);
    let id = NodeId::from_certificate_der(&block.der);
    assert_eq!(crate::formats::text::hex(id.as_bytes()), "0150f9e4440f6a2bc7670c95cbd88a1b2b8d7ae5");
    assert_eq!(id.to_string(), "NodeID-7xgWjUSFbVFrdET1qh5LPyvDLb5Ppfg2");
    assert_eq!(certificate.key_algorithm, KeyAlgorithm::P256);
    assert_eq!(certificate.not_after.to_string(), "2126-10-27T18:28:02Z");
}

#[test]
fn every_form_of_key_is_read() {
    let ec = p256();
    let cert = certificate(&ec);
    let sec1 = ec.ec_key().unwrap().private_key_to_pem().unwrap();
    for key in [ec.private_key_to_pem_pkcs8().unwrap(), sec1] {
        let found = parse_staking_identity(&cert, &key, Some(b"AvalancheLocalNetworkValidator01")).unwrap();
        assert_eq!(found.key_algorithm, KeyAlgorithm::P256);
        assert_eq!(found.not_before.to_string(), "1999-12-31T00:00:00Z");
        assert!(found.bls.unwrap().public_key.starts_with("0x900c9b119b5c"));
    }
    let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let cert = certificate(&rsa);
    let pkcs1 = rsa.rsa().unwrap().private_key_to_pem().unwrap();
    for key in [rsa.private_key_to_pem_pkcs8().unwrap(), pkcs1] {
        let found = parse_staking_identity(&cert, &key, None).unwrap();
        assert_eq!((found.key_algorithm, found.bls), (KeyAlgorithm::Rsa2048, None));
    }
}

#[test]
fn rsa_4096_is_accepted_and_3072_refused() {
    let rsa = PKey::from_rsa(Rsa::generate(4096).unwrap()).unwrap();
    let key = rsa.private_key_to_pem_pkcs8().unwrap();
    assert_eq!(parse_staking_identity(&certificate(&rsa), &key, None).unwrap().key_algorithm, KeyAlgorithm::Rsa4096);
    let rsa = PKey::from_rsa(Rsa::generate(3072).unwrap()).unwrap();
    let found = parse_staking_identity(&certificate(&rsa), &key, None).unwrap_err();
    assert!(matches!(found, StakingError::Certificate(CertError::ModulusBits { bits: 3072 })), "{found}");
}

#[test]
fn foreign_or_damaged_keys_are_refused() {
    let (one, two) = (p256(), p256());
    let cert = certificate(&one);
    let pem = |key: &PKey<Private>| key.private_key_to_pem_pkcs8().unwrap();
    assert!(matches!(parse_staking_identity(&cert, &pem(&two), None), Err(StakingError::Mismatch)));
    let sealed = one.private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"x").unwrap();
    let found = parse_staking_identity(&cert, &sealed, None);
    assert!(matches!(found, Err(StakingError::Key(KeyError::Encrypted))));
    // The same sealed body under a label that promises a clear one must not make the library ask for a passphrase.
    let relabelled = String::from_utf8(sealed).unwrap().replace("ENCRYPTED PRIVATE", "PRIVATE");
    let found = parse_staking_identity(&cert, relabelled.as_bytes(), None);
    assert!(matches!(found, Err(StakingError::Key(KeyError::Encrypted))));
    let found = parse_staking_identity(&certificate(&on_curve(Nid::SECP384R1)), &pem(&one), None);
    assert!(matches!(found, Err(StakingError::Certificate(CertError::Algorithm))));
    let found = parse_staking_identity(&cert, &pem(&on_curve(Nid::SECP384R1)), None);
    assert!(matches!(found, Err(StakingError::Key(KeyError::Algorithm))));
    let found = parse_staking_identity(&pem(&one), &pem(&one), None);
    assert!(matches!(found, Err(StakingError::CertificatePem(PemError::Missing { .. }))));
    let found = parse_staking_identity(&cert, &pem(&one), Some(&[0; 32]));
    assert!(matches!(found, Err(StakingError::Signer(BlsError::Zero))));
}

#[test]
fn an_rsa_key_with_a_changed_prime_is_refused() {
    let rsa = Rsa::generate(2048).unwrap();
    let cert = certificate(&PKey::from_rsa(rsa.clone()).unwrap());
    let mut der = rsa.private_key_to_der().unwrap();
    let prime = rsa.p().unwrap().to_vec();
    let at = der.windows(prime.len()).position(|window| window == prime).unwrap();
    der[at + 20] ^= 1;
    let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{}-----END RSA PRIVATE KEY-----\n", base64(&der));
    let found = parse_staking_identity(&cert, pem.as_bytes(), None);
    assert!(matches!(found, Err(StakingError::Key(KeyError::Inconsistent))), "{found:?}");
}

fn base64(bytes: &[u8]) -> String {
    let text = openssl::base64::encode_block(bytes);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n") + "\n"
}

#[test]
fn a_certificate_with_more_bytes_or_too_many_is_refused() {
    let (block, _) = first_certificate(VECTOR.as_bytes(), &PemLimits::default()).unwrap();
    let mut der = block.der.to_vec();
    der.push(0);
    assert_eq!(parse_certificate(&der).unwrap_err(), CertError::Trailing { size: 1 });
    der.resize(2049, 0);
    assert_eq!(parse_certificate(&der).unwrap_err(), CertError::TooLarge { size: 2049 });
    assert_eq!(parse_certificate(&block.der[..306]).unwrap_err(), CertError::Der);
}

#[test]
fn every_flipped_bit_of_a_certificate_changes_the_name_or_fails() {
    let (block, _) = first_certificate(VECTOR.as_bytes(), &PemLimits::default()).unwrap();
    let name = NodeId::from_certificate_der(&block.der);
    for at in 0..block.der.len() {
        let mut der = block.der.to_vec();
        der[at] ^= 0x10;
        assert!(parse_certificate(&der).is_err() || NodeId::from_certificate_der(&der) != name);
    }
}

proptest::proptest! {
    #[test]
    fn mutated_files_never_panic(at in 0_usize..900, byte: u8, cut in 0_usize..900) {
        let mut cert = VECTOR.as_bytes().to_vec();
        if let Some(found) = cert.get_mut(at) {
            *found = byte;
        }
        cert.truncate(cut.max(1));
        let _ = parse_staking_identity(&cert, &cert, None);
        let _ = parse_certificate(&cert);
    }
}
