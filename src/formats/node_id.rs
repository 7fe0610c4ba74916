//! The name of an Avalanche node, computed from its certificate.

use ripemd::Ripemd160;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

const PREFIX: &str = "NodeID-";
/// The longest text looked at: the base58 form of 24 bytes has at most 33 characters.
const MAX_TEXT: usize = PREFIX.len() + 33;

/// An Avalanche node's identity: 20 bytes, shown as `NodeID-…`.
///
/// It is RIPEMD-160 of SHA-256 of the certificate's DER bytes exactly as stored (`AvalancheGo`: `ids/node_id.go`), so
/// re-encoding a certificate makes another node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 20]);

/// Why a text is not a node's identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeIdError {
    /// The text does not begin with `NodeID-`.
    #[error("A node's identity begins with \"NodeID-\".")]
    Prefix,
    /// The rest is not base58, or not 24 bytes of it.
    #[error("The text after \"NodeID-\" is not base58 of 20 bytes and a checksum.")]
    Base58,
    /// The checksum is wrong: a typing or copying mistake.
    #[error("The NodeID's checksum does not match: a character is wrong.")]
    Checksum,
}

impl NodeId {
    /// The identity of the certificate with these DER bytes.
    pub fn from_certificate_der(der: &[u8]) -> Self {
        Self::from_certificate_sha256(&Sha256::digest(der).into())
    }

    /// The identity of the certificate whose DER bytes hash to this.
    pub fn from_certificate_sha256(sha256: &[u8; 32]) -> Self {
        Self(Ripemd160::digest(sha256).into())
    }

    /// The 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl From<[u8; 20]> for NodeId {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", cb58_encode(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let body = text.strip_prefix(PREFIX).ok_or(NodeIdError::Prefix)?;
        if text.len() > MAX_TEXT {
            return Err(NodeIdError::Base58);
        }
        let bytes = cb58_decode(body)?;
        Ok(Self(bytes.try_into().map_err(|_| NodeIdError::Base58)?))
    }
}

/// Avalanche's checked base58: the bytes, then the *last* four bytes of one SHA-256 of them (`utils/cb58/cb58.go`).
pub fn cb58_encode(bytes: &[u8]) -> String {
    let mut checked = bytes.to_vec();
    checked.extend_from_slice(&checksum(bytes));
    bs58::encode(checked).into_string()
}

/// Reads checked base58. The work grows with the square of the length: bound it first.
///
/// # Errors
/// [`NodeIdError::Base58`] or [`NodeIdError::Checksum`].
pub fn cb58_decode(text: &str) -> Result<Vec<u8>, NodeIdError> {
    let mut bytes = bs58::decode(text).into_vec().map_err(|_| NodeIdError::Base58)?;
    let split = bytes.len().checked_sub(4).ok_or(NodeIdError::Base58)?;
    let found = bytes.split_off(split);
    if found == checksum(&bytes) { Ok(bytes) } else { Err(NodeIdError::Checksum) }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    [digest[28], digest[29], digest[30], digest[31]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::text::{hex, unhex};

    #[test]
    fn cb58_vectors() {
        let count: Vec<u8> = (1..=32).collect();
        let eleven = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255];
        let table: [(&[u8], &str); 4] = [
            (&[], "45PJLL"),
            (&[0], "1c7hwa"),
            (&eleven, "1NVSVezva3bAtJesnUj"),
            (&count, "SkB92YpWm4Q2ijQHH34cqbKkCZWszsiQgHVjtNeFF2HdvDQU"),
        ];
        for (bytes, text) in table {
            assert_eq!(cb58_encode(bytes), text);
            assert_eq!(cb58_decode(text), Ok(bytes.to_vec()));
        }
    }

    #[test]
    fn node_id_vectors() {
        let mut one = [0; 20];
        assert_eq!(NodeId::from(one).to_string(), "NodeID-111111111111111111116DBWJs");
        one[0] = 0x18;
        assert_eq!(NodeId::from(one).to_string(), "NodeID-3BuDc2d1Efme5Apba6SJ8w3Tz7qeh6mHt");
        let decoded = bs58::decode("7Xhw2mDxuDS44j42TCB6U5579esbSt3Lg").into_vec().unwrap();
        assert_eq!(hex(&decoded), "479f66c8be895830547e70b4b298cafd433dba6e1ebdfb85");
    }

    /// The five public stakers of Avalanche's local network: (SHA-256 of the DER, RIPEMD-160 of that, name).
    const STAKERS: [(&str, &str, &str); 5] = [
        (
            "1e6fd5d2648edf29d3e922e987d969e78ee6fa6ea36b9d3a688db24244192e1f",
            "479f66c8be895830547e70b4b298cafd433dba6e",
            "NodeID-7Xhw2mDxuDS44j42TCB6U5579esbSt3Lg",
        ),
        (
            "eba5c835daa9dcabf66d1b35a84e99d7ef0a282d11d463c0ea366b6034ec51c3",
            "de31b4d8b22991d51aa6aa1fc733f23a851a8c94",
            "NodeID-MFrZFVCXPv5iCn6M9K6XduxGTYp891xXZ",
        ),
        (
            "b5549fac37e8e302bf8d2cecda898ceffa1e740a54798f8d0eb64909c4f9bdfa",
            "e9094f73698002fd52c90819b457b9fbc866ab80",
            "NodeID-NFBbbJ4qCmNaCzeW7sxErhvWqvEQMnYcN",
        ),
        (
            "b03060fb4fe4c5827cc79412dc8ce7da9b7dcb78319ee437135c83e1ba3e108c",
            "aa18d3991cf637aa6c162f5e95cf163f69cd8291",
            "NodeID-GWPcbFJZFfZreETSoWjPimr846mXEKCtu",
        ),
        (
            "830334f5c2276de60e0ba5ffc55ab63200e72e1c170a09ffa701b57106dd7234",
            "f29bce5f34a74301eb0de716d5194e4a4aea5d7a",
            "NodeID-P7oB2McjBGgW2NXXWVYjV8JEDFoW9xDE5",
        ),
    ];

    #[test]
    fn the_local_stakers_digests_become_their_names() {
        for (sha256, ripemd, name) in STAKERS {
            let id = NodeId::from_certificate_sha256(&unhex(sha256.as_bytes()).unwrap());
            assert_eq!((hex(id.as_bytes()).as_str(), id.to_string().as_str()), (ripemd, name));
            assert_eq!(name.parse(), Ok(id));
        }
    }

    #[test]
    fn wrong_texts_are_refused() {
        let wrong = |text: &str| text.parse::<NodeId>().unwrap_err();
        assert_eq!(wrong("7Xhw2mDxuDS44j42TCB6U5579esbSt3Lg"), NodeIdError::Prefix);
        assert_eq!(wrong("NodeID-7Xhw2mDxuDS44j42TCB6U5579esbSt3Lh"), NodeIdError::Checksum);
        assert_eq!(wrong("NodeID-7Xhw2mDxuDS44j42TCB6U5579esbSt3L0"), NodeIdError::Base58);
        assert_eq!(wrong("NodeID-45PJLL"), NodeIdError::Base58);
        assert_eq!(wrong("NodeID-"), NodeIdError::Base58);
        assert_eq!(wrong(&format!("NodeID-{}", "1".repeat(100_000))), NodeIdError::Base58);
    }
}
