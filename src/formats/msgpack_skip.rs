//! Passes over msgpack values without building them.
//!
//! Consul writes its state as a long row of msgpack values (the old form: no `str8`, no `bin`; others are accepted so
//! that a newer writer is not called damaged). To count and hash them it is enough to know where each ends.

use super::text::shown;
use std::io::{self, BufRead};
use zeroize::Zeroize;

/// What one value may cost.
#[derive(Debug, Clone, Copy)]
pub struct MsgpackLimits {
    /// The longest value in bytes, which is also the most memory used.
    pub max_value: u64,
    /// The deepest nesting.
    pub max_depth: usize,
}

impl Default for MsgpackLimits {
    fn default() -> Self {
        Self { max_value: 64 << 20, max_depth: 128 }
    }
}

/// Why a value cannot be passed over; offsets count from the value's first byte.
#[derive(Debug, thiserror::Error)]
pub enum MsgpackError {
    /// The stream failed.
    #[error("reading failed: {0}")]
    Read(#[source] io::Error),
    /// The stream ends inside the value.
    #[error("the value is cut short after {0} bytes")]
    Cut(u64),
    /// The byte 0xc1, which msgpack never uses.
    #[error("byte {0} of the value is 0xc1, which no msgpack value begins with")]
    Reserved(u64),
    /// The value is longer than the limit.
    #[error("the value is longer than {0} bytes")]
    TooLong(u64),
    /// The value is nested deeper than the limit.
    #[error("the value is nested deeper than {0} levels")]
    TooDeep(usize),
    /// The value is of another kind than it must be.
    #[error("the value is no {wanted} at its byte {at}: \"{found}\"")]
    Kind {
        /// What it must be.
        wanted: &'static str,
        /// Where, in the value.
        at: usize,
        /// What stands there, escaped and cut.
        found: String,
    },
}

/// What the first byte of a value says: how many bytes of length follow, and what the length counts.
#[derive(Clone, Copy)]
enum Head {
    /// A number of plain bytes follows.
    Bytes(u64),
    /// A big-endian length of this many bytes, then so many plain bytes and some more.
    Sized(usize, u64),
    /// So many values follow.
    Values(u64),
    /// A big-endian count of this many bytes, then so many times these values.
    Counted(usize, u64),
    Reserved,
}

const fn head(byte: u8) -> Head {
    match byte {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Head::Bytes(0),
        0x80..=0x8f => Head::Values((byte & 15) as u64 * 2),
        0x90..=0x9f => Head::Values((byte & 15) as u64),
        0xa0..=0xbf => Head::Bytes((byte & 31) as u64),
        0xc1 => Head::Reserved,
        0xc4 | 0xd9 => Head::Sized(1, 0),
        0xc5 | 0xda => Head::Sized(2, 0),
        0xc6 | 0xdb => Head::Sized(4, 0),
        0xc7 => Head::Sized(1, 1),
        0xc8 => Head::Sized(2, 1),
        0xc9 => Head::Sized(4, 1),
        0xcc | 0xd0 => Head::Bytes(1),
        0xcd | 0xd1 | 0xd4 => Head::Bytes(2),
        0xca | 0xce | 0xd2 => Head::Bytes(4),
        0xcb | 0xcf | 0xd3 => Head::Bytes(8),
        0xd5 => Head::Bytes(3),
        0xd6 => Head::Bytes(5),
        0xd7 => Head::Bytes(9),
        0xd8 => Head::Bytes(17),
        0xdc => Head::Counted(2, 1),
        0xdd => Head::Counted(4, 1),
        0xde => Head::Counted(2, 2),
        0xdf => Head::Counted(4, 2),
    }
}

/// Reads exactly one value and appends its bytes to `out`, however long its length fields say it is.
///
/// Memory grows with what arrives, never with what is announced. Returns the value's length.
///
/// # Errors
/// A [`MsgpackError`]; `out` then holds the part that was read.
pub fn copy_value(input: &mut impl BufRead, out: &mut Vec<u8>, limits: &MsgpackLimits) -> Result<u64, MsgpackError> {
    let start = out.len();
    // One count of values still to come for each level that is open.
    let mut open = vec![1_u64];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let at = (out.len() - start) as u64;
        let first = take(input, out, start, 1, limits)?;
        let values = match head(u8::try_from(first).unwrap_or(0)) {
            Head::Bytes(count) => {
                pass(input, out, start, count, limits)?;
                continue;
            }
            Head::Sized(digits, more) => {
                let count = take(input, out, start, digits, limits)?;
                pass(input, out, start, count + more, limits)?;
                continue;
            }
            Head::Values(count) => count,
            Head::Counted(digits, times) => take(input, out, start, digits, limits)? * times,
            Head::Reserved => return Err(MsgpackError::Reserved(at)),
        };
        if open.len() > limits.max_depth {
            return Err(MsgpackError::TooDeep(limits.max_depth));
        }
        open.push(values);
    }
    Ok((out.len() - start) as u64)
}

/// Copies a few bytes and reads them as a big-endian number.
fn take(
    r: &mut impl BufRead,
    out: &mut Vec<u8>,
    start: usize,
    n: usize,
    l: &MsgpackLimits,
) -> Result<u64, MsgpackError> {
    let from = out.len();
    pass(r, out, start, n as u64, l)?;
    Ok(out.get(from..).unwrap_or_default().iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn pass(r: &mut impl BufRead, out: &mut Vec<u8>, start: usize, n: u64, l: &MsgpackLimits) -> Result<(), MsgpackError> {
    let mut have = (out.len() - start) as u64;
    let end = have.saturating_add(n);
    if end > l.max_value {
        return Err(MsgpackError::TooLong(l.max_value));
    }
    while have < end {
        let ready = match r.fill_buf() {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(MsgpackError::Read(error)),
        };
        let wanted = usize::try_from(end - have).unwrap_or(usize::MAX);
        let piece = ready.get(..wanted).unwrap_or(ready);
        if piece.is_empty() {
            return Err(MsgpackError::Cut(have));
        }
        append(out, piece);
        let count = piece.len();
        r.consume(count);
        have += count as u64;
    }
    Ok(())
}

/// Appends `piece`; when that needs a larger buffer, the one of before is wiped, for a record may hold a token.
fn append(out: &mut Vec<u8>, piece: &[u8]) {
    let length = out.len().saturating_add(piece.len());
    if length > out.capacity() {
        let mut larger = Vec::with_capacity(length.max(out.capacity().saturating_mul(2)));
        larger.extend_from_slice(out);
        out.zeroize();
        *out = larger;
    }
    out.extend_from_slice(piece);
}

/// Walks over a value already in memory.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Begins at the first byte.
    pub const fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    /// Whether all bytes have been walked over.
    pub const fn is_done(&self) -> bool {
        self.at >= self.whole.len()
    }

    fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..).unwrap_or_default()
    }

    fn kind(&self, wanted: &'static str) -> MsgpackError {
        let found = self.rest().get(..8).unwrap_or(self.rest());
        MsgpackError::Kind { wanted, at: self.at, found: shown(found) }
    }

    fn bytes(&mut self, count: u64) -> Result<&'a [u8], MsgpackError> {
        let cut = MsgpackError::Cut(self.whole.len() as u64);
        let Some(end) = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count)) else {
            return Err(cut);
        };
        let found = self.whole.get(self.at..end).ok_or(cut)?;
        self.at = end;
        Ok(found)
    }

    fn big(&mut self, digits: usize) -> Result<u64, MsgpackError> {
        Ok(self.bytes(digits as u64)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// The number of pairs of a map, and stands before the first.
    ///
    /// # Errors
    /// When the value is no map.
    pub fn map(&mut self) -> Result<u64, MsgpackError> {
        match self.rest().first() {
            Some(byte @ 0x80..=0x8f) => {
                self.at += 1;
                Ok(u64::from(byte & 15))
            }
            Some(0xde) => {
                self.at += 1;
                self.big(2)
            }
            Some(0xdf) => {
                self.at += 1;
                self.big(4)
            }
            _ => Err(self.kind("map")),
        }
    }

    /// A string or byte string; nil reads as empty, as Consul writes an empty value.
    ///
    /// # Errors
    /// When the value is neither.
    pub fn text(&mut self) -> Result<&'a [u8], MsgpackError> {
        let first = *self.rest().first().ok_or_else(|| self.kind("string"))?;
        let length = match first {
            0xc0 => {
                self.at += 1;
                return Ok(&[]);
            }
            0xa0..=0xbf | 0xc4..=0xc6 | 0xd9..=0xdb => head(first),
            _ => return Err(self.kind("string")),
        };
        self.at += 1;
        match length {
            Head::Bytes(count) => self.bytes(count),
            Head::Sized(digits, _) => {
                let count = self.big(digits)?;
                self.bytes(count)
            }
            _ => Err(self.kind("string")),
        }
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn unsigned(&mut self) -> Result<u64, MsgpackError> {
        let first = *self.rest().first().ok_or_else(|| self.kind("number"))?;
        let digits = match first {
            0..=0x7f => {
                self.at += 1;
                return Ok(u64::from(first));
            }
            0xcc | 0xd0 => 1,
            0xcd | 0xd1 => 2,
            0xce | 0xd2 => 4,
            0xcf | 0xd3 => 8,
            _ => return Err(self.kind("number")),
        };
        let before = self.at;
        self.at += 1;
        let value = self.big(digits)?;
        if first >= 0xd0 && value >> (digits * 8 - 1) != 0 {
            self.at = before;
            return Err(self.kind("number"));
        }
        Ok(value)
    }

    /// Passes over one value and gives its bytes.
    ///
    /// # Errors
    /// When the bytes are no value.
    pub fn skip(&mut self) -> Result<&'a [u8], MsgpackError> {
        let start = self.at;
        let mut open = 1_u64;
        // Nesting needs no stack here: it is enough how many values are still to come.
        while open > 0 {
            open -= 1;
            let at = self.at as u64;
            let first = self.big(1)?;
            match head(u8::try_from(first).unwrap_or(0)) {
                Head::Bytes(count) => {
                    self.bytes(count)?;
                }
                Head::Sized(digits, more) => {
                    let count = self.big(digits)?;
                    self.bytes(count + more)?;
                }
                Head::Values(count) => open = open.saturating_add(count),
                Head::Counted(digits, times) => open = open.saturating_add(self.big(digits)? * times),
                Head::Reserved => return Err(MsgpackError::Reserved(at)),
            }
        }
        Ok(self.whole.get(start..self.at).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(bytes: &[u8]) -> Result<u64, MsgpackError> {
        let limits = MsgpackLimits { max_value: 1 << 16, max_depth: 8 };
        copy_value(&mut &*bytes, &mut Vec::new(), &limits)
    }

    #[test]
    fn every_head_is_passed_over_alike_by_both() {
        let values: [&[u8]; 22] = [
            &[0x00],
            &[0xe0],
            &[0xc0],
            &[0x82, 0xa1, b'a', 1, 0xa1, b'b', 0x91, 2],
            &[0xc4, 2, 1, 2],
            &[0xc5, 0, 1, 9],
            &[0xc6, 0, 0, 0, 1, 9],
            &[0xc7, 2, 7, 1, 2],
            &[0xc8, 0, 1, 7, 1],
            &[0xc9, 0, 0, 0, 0, 7],
            &[0xca, 1, 2, 3, 4],
            &[0xcb, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0xcc, 1],
            &[0xcd, 1, 2],
            &[0xd4, 7, 1],
            &[0xd5, 7, 1, 2],
            &[0xd6, 7, 1, 2, 3, 4],
            &[0xd9, 1, b'x'],
            &[0xda, 0, 1, b'x'],
            &[0xdc, 0, 2, 1, 2],
            &[0xde, 0, 1, 1, 2],
            &[0xdf, 0, 0, 0, 1, 1, 2],
        ];
        for value in values {
            let long = [value, b"tail"].concat();
            assert_eq!(copy(&long).unwrap(), value.len() as u64, "{value:x?}");
            assert_eq!(Cursor::new(&long).skip().unwrap(), value, "{value:x?}");
            for cut in 0..value.len() {
                assert!(matches!(copy(&value[..cut]), Err(MsgpackError::Cut(_))));
                assert!(Cursor::new(&value[..cut]).skip().is_err());
            }
        }
    }

    #[test]
    fn lies_about_length_cost_nothing() {
        assert!(matches!(copy(&[0xdb, 0xff, 0xff, 0xff, 0xff]), Err(MsgpackError::TooLong(_))));
        assert!(matches!(copy(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(MsgpackError::Cut(5))));
        assert!(matches!(copy(&[0x91; 40]), Err(MsgpackError::TooDeep(8))));
        assert!(matches!(copy(&[0x91, 0xc1]), Err(MsgpackError::Reserved(1))));
    }

    #[test]
    fn numbers_and_texts_are_told_from_others() {
        assert_eq!(Cursor::new(&[0xcd, 1, 0]).unsigned().unwrap(), 256);
        assert_eq!(Cursor::new(&[0xd1, 1, 0]).unsigned().unwrap(), 256);
        assert!(Cursor::new(&[0xd1, 0x80, 0]).unsigned().is_err());
        assert!(Cursor::new(&[0xff]).unsigned().is_err());
        assert_eq!(Cursor::new(&[0xc0]).text().unwrap(), b"");
        assert!(Cursor::new(&[0x91, 1]).text().is_err() && Cursor::new(&[]).map().is_err());
    }

    proptest::proptest! {
        #[test]
        fn both_walkers_agree(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let limits = MsgpackLimits { max_value: 1 << 16, max_depth: 1000 };
            let copied = copy_value(&mut bytes.as_slice(), &mut Vec::new(), &limits).ok();
            let skipped = Cursor::new(&bytes).skip().ok().map(|value| value.len() as u64);
            // What the limit on length stops early, the other finds cut.
            assert_eq!(copied, skipped);
        }
    }
}
