//! The 512 bytes before each entry: POSIX ustar, GNU's form of it, and what came before both.

use super::entry::{EntryKind, TarEntry};
use super::pax::Extensions;
use crate::formats::text::{EntryName, shown};

/// The unit everything in a tar archive is padded to.
pub(super) const BLOCK: usize = 512;

/// Why a header is not sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The checksum is wrong: damage, or no tar header at all.
    #[error("its checksum is {found}, and its bytes add up to {sum}")]
    Checksum {
        /// What the header says.
        found: u64,
        /// What its bytes add up to.
        sum: u64,
    },
    /// A number is neither octal nor base 256, or too large.
    #[error("its {field} is no number: \"{text}\"")]
    Number {
        /// Which number.
        field: &'static str,
        /// What stands there, escaped.
        text: String,
    },
    /// The magic is of no known form.
    #[error("it is of no known form of tar: \"{0}\"")]
    Magic(String),
    /// The kind of entry is not known.
    #[error("its kind is not known: \"{0}\"")]
    Kind(String),
}

/// What a header introduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Entry(EntryKind),
    PaxLocal,
    PaxGlobal,
    GnuLongName,
    GnuLongLink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Old,
    Ustar,
    Gnu,
}

/// GNU's own map of a sparse file.
#[derive(Debug, Clone)]
pub(super) struct GnuSparse {
    pub(super) segments: Vec<(u64, u64)>,
    /// Whether another block of pieces follows.
    pub(super) extended: bool,
}

/// A header's fields.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) size: u64,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    uid: u64,
    gid: u64,
    uname: Vec<u8>,
    gname: Vec<u8>,
    mtime: i64,
    sparse: Option<(GnuSparse, u64)>,
}

impl Header {
    /// Reads a header block. `None` is a block of zeros.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Option<Self>, HeaderError> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let at = |from: usize, to: usize| block.get(from..to).unwrap_or_default();
        let found = unsigned("checksum", at(148, 156))?;
        let whole: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let field: u64 = at(148, 156).iter().map(|byte| u64::from(*byte)).sum();
        let sum = whole - field + 8 * u64::from(b' ');
        if found != sum {
            return Err(HeaderError::Checksum { found, sum });
        }
        let form = match at(257, 265) {
            b"ustar\x0000" => Form::Ustar,
            b"ustar  \0" => Form::Gnu,
            [0, 0, 0, 0, 0, 0, 0, 0] => Form::Old,
            other => return Err(HeaderError::Magic(shown(other))),
        };
        let flag = block.get(156).copied().unwrap_or(0);
        let (kind, sparse) = match flag {
            0 | b'0' => (Kind::Entry(EntryKind::File), false),
            b'1' => (Kind::Entry(EntryKind::HardLink), false),
            b'2' => (Kind::Entry(EntryKind::Symlink), false),
            b'3' => (Kind::Entry(EntryKind::CharDevice), false),
            b'4' => (Kind::Entry(EntryKind::BlockDevice), false),
            b'5' => (Kind::Entry(EntryKind::Directory), false),
            b'6' => (Kind::Entry(EntryKind::Fifo), false),
            b'x' => (Kind::PaxLocal, false),
            b'g' => (Kind::PaxGlobal, false),
            b'L' => (Kind::GnuLongName, false),
            b'K' => (Kind::GnuLongLink, false),
            b'S' if form == Form::Gnu => (Kind::Entry(EntryKind::File), true),
            other => return Err(HeaderError::Kind(shown(&[other]))),
        };
        let mut name = text(at(0, 100)).to_vec();
        let prefix = text(at(345, 500));
        if form == Form::Ustar && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let named = form != Form::Old;
        let owner = |from, to| if named { text(at(from, to)).to_vec() } else { Vec::new() };
        let sparse = if sparse {
            let segments = pieces(at(386, 482))?;
            let map = GnuSparse { segments, extended: block.get(482).is_some_and(|flag| *flag != 0) };
            Some((map, unsigned("real size", at(483, 495))?))
        } else {
            None
        };
        Ok(Some(Self {
            kind,
            size: unsigned("size", at(124, 136))?,
            name,
            link: text(at(157, 257)).to_vec(),
            mode: u32::try_from(unsigned("mode", at(100, 108))? & 0o7777).unwrap_or(0),
            uid: unsigned("owner", at(108, 116))?,
            gid: unsigned("group", at(116, 124))?,
            uname: owner(265, 297),
            gname: owner(297, 329),
            mtime: signed("time", at(136, 148))?,
            sparse,
        }))
    }

    /// Joins the header with the extensions that came before it, which win.
    pub(super) fn into_entry(self, kind: EntryKind, more: &mut Extensions, index: u64, offset: u64) -> TarEntry {
        let link = matches!(kind, EntryKind::Symlink | EntryKind::HardLink)
            .then(|| EntryName::new(more.link.take().unwrap_or(self.link)));
        let (mtime, mtime_nanos) = more.mtime.unwrap_or((self.mtime, 0));
        let (gnu_sparse, size) = match self.sparse {
            Some((map, real)) => (Some(map), real),
            None => (None, self.size),
        };
        TarEntry {
            index,
            offset,
            name: EntryName::new(more.name.take().unwrap_or(self.name)),
            kind,
            size,
            mode: self.mode,
            uid: more.uid.unwrap_or(self.uid),
            gid: more.gid.unwrap_or(self.gid),
            uname: EntryName::new(more.uname.take().unwrap_or(self.uname)),
            gname: EntryName::new(more.gname.take().unwrap_or(self.gname)),
            mtime,
            mtime_nanos,
            link,
            link_escapes: false,
            sparse: false,
            attributes: std::mem::take(&mut more.attributes),
            gnu_sparse,
        }
    }
}

impl GnuSparse {
    /// Adds the pieces of a block that follows the header.
    pub(super) fn extend(&mut self, block: &[u8; BLOCK]) -> Result<(), HeaderError> {
        self.segments.extend(pieces(block.get(..504).unwrap_or_default())?);
        self.extended = block.get(504).is_some_and(|flag| *flag != 0);
        Ok(())
    }
}

fn pieces(field: &[u8]) -> Result<Vec<(u64, u64)>, HeaderError> {
    field
        .chunks_exact(24)
        .take_while(|piece| piece.get(12).is_some_and(|byte| *byte != 0))
        .map(|piece| {
            let (offset, length) = piece.split_at_checked(12).unwrap_or_default();
            Ok((unsigned("sparse offset", offset)?, unsigned("sparse length", length)?))
        })
        .collect()
}

/// A text field: up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn unsigned(name: &'static str, field: &[u8]) -> Result<u64, HeaderError> {
    let value = number(field).and_then(|value| u64::try_from(value).ok());
    value.ok_or_else(|| HeaderError::Number { field: name, text: shown(field) })
}

fn signed(name: &'static str, field: &[u8]) -> Result<i64, HeaderError> {
    let value = number(field).and_then(|value| i64::try_from(value).ok());
    value.ok_or_else(|| HeaderError::Number { field: name, text: shown(field) })
}

/// Octal text, or big-endian two's complement after a byte with its top bit set, as GNU tar and Go write large numbers.
fn number(field: &[u8]) -> Option<i128> {
    if let Some((&first @ (0x80 | 0xff), rest)) = field.split_first() {
        let mut value: i128 = if first == 0xff { -1 } else { 0 };
        for byte in rest {
            value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
        }
        return Some(value);
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return None;
    }
    let mut value = 0_i128;
    for digit in digits {
        value = value.checked_mul(8)?.checked_add(i128::from(char::from(*digit).to_digit(8)?))?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777"), Some(0o777_7777_7777));
        assert_eq!(number(&[0x80, 0, 0, 1, 0, 0]), Some(1 << 16));
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xfe]), Some(-2));
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(b"12\x003"), None);
        assert_eq!(number(b"-1"), None);
        assert!(unsigned("size", &[0xff; 12]).is_err());
        let mut huge = [0xff; 12];
        huge[0] = 0x80;
        assert!(unsigned("size", &huge).is_err());
    }
}
