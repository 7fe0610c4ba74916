//! The BLS key of an Avalanche node (`signer.key`): 32 raw bytes, big-endian.

use super::text::hex;
use blst::min_pk::SecretKey;

/// The domain of a proof of possession (`AvalancheGo`: `utils/crypto/bls`).
const POP_DST: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// What a node shows of its BLS key. Both are public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlsKey {
    /// The compressed G1 point, `0x` and 96 hex digits.
    pub public_key: String,
    /// The signature of the public key by itself, `0x` and 192 hex digits. It is deterministic, so it compares exactly.
    pub proof_of_possession: String,
}

/// Why `signer.key` is not a BLS key; each damage seen in the field is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlsError {
    /// The file is empty.
    #[error("signer.key is empty; it must be 32 raw bytes.")]
    Empty,
    /// The key is there as hex text.
    #[error("signer.key holds hex text; the node wants the 32 raw bytes it stands for.")]
    HexText,
    /// The key is there as base64 text.
    #[error("signer.key holds base64 text; the node wants the 32 raw bytes it stands for.")]
    Base64Text,
    /// The file is PEM.
    #[error("signer.key holds PEM text; it must be 32 raw bytes. Was staker.key copied in its place?")]
    PemText,
    /// An editor or `echo` added a line end.
    #[error("signer.key has a line end after its 32 bytes; an editor or a copy as text added it.")]
    TrailingNewline,
    /// A transfer in text mode put a carriage return before each line feed.
    #[error("signer.key has {size} bytes because carriage returns were put before line feeds: it was copied as text.")]
    CarriageReturns {
        /// The file's size.
        size: usize,
    },
    /// The length is wrong for a reason not known.
    #[error("signer.key has {size} bytes; it must have exactly 32.")]
    Length {
        /// The file's size.
        size: usize,
    },
    /// All 32 bytes are zero.
    #[error("signer.key is 32 zero bytes, which is no key: the file's content was lost.")]
    Zero,
    /// The number is not below the group's order.
    #[error("signer.key is not a BLS12-381 key: its number is not below the order of the group.")]
    OutOfRange,
}

/// Derives what the node would show of this key.
///
/// # Errors
/// A [`BlsError`] naming the damage.
pub fn parse_signer_key(bytes: &[u8]) -> Result<BlsKey, BlsError> {
    if bytes.len() != 32 {
        return Err(damage(bytes));
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(BlsError::Zero);
    }
    let secret = SecretKey::from_bytes(bytes).map_err(|_| BlsError::OutOfRange)?;
    let public = secret.sk_to_pk().compress();
    let proof = secret.sign(&public, POP_DST, &[]).compress();
    Ok(BlsKey { public_key: format!("0x{}", hex(&public)), proof_of_possession: format!("0x{}", hex(&proof)) })
}

fn damage(bytes: &[u8]) -> BlsError {
    let size = bytes.len();
    let text = bytes.trim_ascii();
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let unpadded = text.strip_suffix(b"=").unwrap_or(text);
    if bytes.is_empty() {
        BlsError::Empty
    } else if text.starts_with(b"-----BEGIN ") {
        BlsError::PemText
    } else if digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit) {
        BlsError::HexText
    } else if unpadded.len() == 43 && unpadded.iter().all(base64) {
        BlsError::Base64Text
    } else if matches!(bytes.get(32..), Some(b"\n" | b"\r\n")) {
        BlsError::TrailingNewline
    } else if size > 32 && size - bytes.windows(2).filter(|pair| pair == b"\r\n").count() == 32 {
        BlsError::CarriageReturns { size }
    } else {
        BlsError::Length { size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: [&str; 5] = [
        "0x900c9b119b5c82d781d4b49be78c3fc7ae65f2b435b7ed9e3a8b9a03e475edff86d8a64827fec8db23a6f236afbf127d",
        "0xa058ff27a4c570664bfa28e34939368539a1340867951943d0f56fa8aac13bc09ff64f341acf8cc0cef74202c2d6f9c0",
        "0xa10b6955a85684a0f5c94b8381f04506f1bee60625927d372323f78b3d30196cc56c8618c77eaf429298e74673d832c3",
        "0xaccd61ceb90c61628aa0fa34acab27ecb08f6897e9ccad283578c278c52109f9e10e4f8bc31aa6d7905c4e1623de367e",
        "0x8048109c3da13de0700f9f3590c3270bfc42277417f6d0cc84282947e1a1f8b4980fd3e3fe223acf0f56a5838890814a",
    ];
    const FIRST_PROOF: &str = "0x8bfd6d4d2086b2b8115d8f72f94095fefe5a6c07876b2accf51a811adf520f389e74a3d2152a6d90b521e2be58ffe4\
        68043dc5ea68b4c44410eb67f8dc24f13ed4f194000764c0e922cd254a3588a4962b1cb4db7de4bb9cda9d9d4d6b03f3d2";

    #[test]
    fn the_local_signers_public_keys() {
        for (number, public) in (1..).zip(PUBLIC) {
            let secret = format!("AvalancheLocalNetworkValidator0{number}");
            let key = parse_signer_key(secret.as_bytes()).unwrap();
            assert_eq!(key.public_key, public);
            if number == 1 {
                assert_eq!(key.proof_of_possession, FIRST_PROOF);
            }
        }
    }

    #[test]
    fn each_damage_has_its_name() {
        let key: Vec<u8> = (0..32).map(|byte| byte + 3).collect();
        let with = |tail: &[u8]| parse_signer_key(&[key.as_slice(), tail].concat()).unwrap_err();
        assert_eq!(with(b"\n"), BlsError::TrailingNewline);
        assert_eq!(with(b"\r\n"), BlsError::TrailingNewline);
        assert_eq!(with(b"x"), BlsError::Length { size: 33 });
        let crlf: Vec<u8> = key.iter().flat_map(|b| if *b == b'\n' { vec![b'\r', b'\n'] } else { vec![*b] }).collect();
        assert_eq!(parse_signer_key(&crlf), Err(BlsError::CarriageReturns { size: 33 }));
        let text = |text: &str| parse_signer_key(text.as_bytes()).unwrap_err();
        assert_eq!(text(&"0a".repeat(32)), BlsError::HexText);
        assert_eq!(text(&format!("0x{}\n", "0a".repeat(32))), BlsError::HexText);
        assert_eq!(text(&format!("{}=\n", "A+/z".repeat(11).split_at(43).0)), BlsError::Base64Text);
        assert_eq!(text("-----BEGIN PRIVATE KEY-----\nAA\n"), BlsError::PemText);
        assert_eq!(text(""), BlsError::Empty);
        assert_eq!(parse_signer_key(&[0; 32]), Err(BlsError::Zero));
        assert_eq!(parse_signer_key(&[0xff; 32]), Err(BlsError::OutOfRange));
        assert_eq!(parse_signer_key(&[1; 31]), Err(BlsError::Length { size: 31 }));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..70)) {
            let _ = parse_signer_key(&bytes);
        }
    }
}
