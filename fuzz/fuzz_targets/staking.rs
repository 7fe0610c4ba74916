#![no_main]
//! The three files of a staking identity, cut from one input; and certificates and keys below the PEM.

use libfuzzer_sys::fuzz_target;
use lifeboat::formats::bls::parse_signer_key;
use lifeboat::formats::node_id::NodeId;
use lifeboat::formats::staking::{parse_certificate, parse_staking_identity};

/// A certificate that is sound, so that the key's side is reached.
const CERT: &[u8] = b"-----BEGIN CERTIFICATE-----
MIIBLzCB1qADAgECAgEAMAoGCCqGSM49BAMCMAAwIBcNMjYxMTIwMTgyODAyWhgP
MjEyNjEwMjcxODI4MDJaMAAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASE6jMR
v8TjHhSTimpvrZ5NEVtgeuULZOmQihoEyoCK1thayvNwtZgS3hlWcr89dVyZlm1f
WBp4M13zw2P9l/bVoz8wPTAOBgNVHQ8BAf8EBAMCB4AwDAYDVR0TAQH/BAIwADAd
BgNVHQ4EFgQUErFxugvIvPjRpScttOSBMYUqRLAwCgYIKoZIzj0EAwIDSAAwRQIh
APRnZfzri/tH0dGEkr4SLTpHrb8+hpmZyUnvWDdB2WQmAiABQvntMNHsWGrKpvec
QdW8UF7Gg/kLqIZPd8gqv4MTMw==
-----END CERTIFICATE-----
";

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
        out.push('\n');
    }
    out
}

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_certificate(bytes);
    let _ = parse_signer_key(bytes);
    let _ = parse_staking_identity(bytes, bytes, Some(bytes));
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", base64(bytes));
    let _ = parse_staking_identity(CERT, key.as_bytes(), None);
    if let Ok(id) = String::from_utf8_lossy(bytes).parse::<NodeId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
});
