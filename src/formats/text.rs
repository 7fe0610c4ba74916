//! How hostile bytes are shown: escaped, bounded, never raw.

use std::fmt;

pub(crate) use crate::model::text::hex;
use crate::model::text::reorders_or_hides;

/// The longest piece of foreign text an error or a row carries, in bytes of the original.
const SHOWN: usize = 80;

/// Renders foreign bytes for a person: escaped, and cut after 80 bytes.
///
/// Bytes that are not UTF-8 appear as `\xNN`; control characters, quotes, bidi controls and everything else a terminal
/// might act on appear as escapes, so that a file name cannot write to the operator's screen.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let cut = bytes.get(..SHOWN).unwrap_or(bytes);
    let mut out = escaped(cut);
    if cut.len() < bytes.len() {
        out.push('…');
    }
    out
}

/// Escapes foreign bytes in full; the caller has bounded them.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    // A quote is harmless on a screen, and names are read more easily without `\'`.
    escape_but(bytes, &['\''])
}

/// As [`escaped`], with quotes and backslashes left alone: for output that must equal another tool's.
pub(crate) fn printable(bytes: &[u8]) -> String {
    escape_but(bytes, &['\'', '"', '\\'])
}

fn escape_but(bytes: &[u8], plain: &[char]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if reorders_or_hides(c) {
                out.extend(c.escape_unicode());
            } else if plain.contains(&c) {
                out.push(c);
            } else {
                out.extend(c.escape_debug());
            }
        }
        for byte in chunk.invalid() {
            out.push_str("\\x");
            out.push_str(&hex(&[*byte]));
        }
    }
    out
}

/// Reads exactly `N` bytes of hex, in either case.
pub(crate) fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            value = value << 4 | char::from(*digit).to_digit(16)?;
        }
        *byte = u8::try_from(value).ok()?;
    }
    Some(out)
}

/// A name from outside: raw bytes, shown only escaped.
///
/// Names in archives and keys in stores are bytes, not text. They are kept as they are, so that they compare and hash
/// exactly, while `Display` and `Debug` escape and bound them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryName(Vec<u8>);

impl EntryName {
    /// Wraps raw bytes.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes as they were found.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The whole name, escaped but not cut, for listings.
    pub fn escaped(&self) -> String {
        escaped(&self.0)
    }
}

impl From<&[u8]> for EntryName {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", shown(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_are_escaped_and_bounded() {
        assert_eq!(shown(b"a\x1b]52;c\x07\xff\n"), "a\\u{1b}]52;c\\u{7}\\xff\\n");
        assert_eq!(shown("x\u{202e}y".as_bytes()), "x\\u{202e}y");
        assert_eq!(shown(&[b'a'; 200]).chars().count(), SHOWN + 1);
    }

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(unhex::<3>(b"001FfF"), Some([0, 0x1f, 0xff]));
        assert_eq!(unhex::<3>(b"001ff"), None);
        assert_eq!(unhex::<3>(b"00+1ff"), None);
    }
}
