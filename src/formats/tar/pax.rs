//! What stands before a header to extend it: pax records and GNU's long names.

use crate::formats::text::{EntryName, shown};

/// The most extended attributes of one entry.
const MAX_ATTRIBUTES: usize = 256;

/// Why an extension is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaxError {
    /// A record is not `LENGTH KEY=VALUE` and a line end.
    #[error("a pax record at its byte {0} is not well formed")]
    Record(usize),
    /// The same thing is said twice.
    #[error("\"{0}\" is given twice")]
    Twice(String),
    /// A value cannot be read.
    #[error("the value of \"{key}\" cannot be read: \"{value}\"")]
    Value {
        /// The key.
        key: String,
        /// The value, escaped and cut.
        value: String,
    },
    /// A key that may change what the entry means, and is not known.
    #[error("\"{0}\" is not known, and may change what the entry means")]
    Unknown(String),
    /// A header for all entries sets something that must be each entry's own.
    #[error("a header for all entries sets \"{0}\"")]
    Global(String),
    /// An old form of sparse file.
    #[error("it is a sparse file of an old form (\"{0}\"); only version 1.0 is read")]
    OldSparse(String),
    /// The sparse map's numbers cannot be read.
    #[error("its map of sparse data is not well formed")]
    Map,
    /// More extended attributes than the limit.
    #[error("it has more than {MAX_ATTRIBUTES} extended attributes")]
    Attributes,
}

/// Everything said before one entry's header.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) uname: Option<Vec<u8>>,
    pub(super) gname: Option<Vec<u8>>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) attributes: Vec<EntryName>,
    sparse_major: Option<u64>,
    sparse_minor: Option<u64>,
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    local: bool,
    any: bool,
}

impl Extensions {
    /// Whether nothing was said about the next entry.
    pub(super) const fn is_empty(&self) -> bool {
        !self.any
    }

    pub(super) fn long_name(&mut self, body: Vec<u8>) -> Result<(), PaxError> {
        self.any = true;
        once(&mut self.name, "path", unterminated(body))
    }

    pub(super) fn long_link(&mut self, body: Vec<u8>) -> Result<(), PaxError> {
        self.any = true;
        once(&mut self.link, "linkpath", unterminated(body))
    }

    /// Reads a pax header's records.
    pub(super) fn pax(&mut self, body: &[u8], global: bool) -> Result<(), PaxError> {
        if !global {
            if self.local {
                return Err(PaxError::Twice("the pax header".into()));
            }
            (self.local, self.any) = (true, true);
        }
        let mut rest = body;
        while !rest.is_empty() {
            let at = body.len() - rest.len();
            let (key, value, after) = record(rest).ok_or(PaxError::Record(at))?;
            if !global {
                self.set(key, value)?;
            } else if key != b"comment" {
                return Err(PaxError::Global(shown(key)));
            }
            rest = after;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), PaxError> {
        let bad = || PaxError::Value { key: shown(key), value: shown(value) };
        let number = || decimal(value).ok_or_else(bad);
        match key {
            b"path" if value.is_empty() => Err(bad()),
            b"path" => once(&mut self.name, "path", value.to_vec()),
            b"linkpath" => once(&mut self.link, "linkpath", value.to_vec()),
            b"size" => once(&mut self.size, "size", number()?),
            b"uid" => once(&mut self.uid, "uid", number()?),
            b"gid" => once(&mut self.gid, "gid", number()?),
            b"uname" => once(&mut self.uname, "uname", value.to_vec()),
            b"gname" => once(&mut self.gname, "gname", value.to_vec()),
            b"mtime" => once(&mut self.mtime, "mtime", time(value).ok_or_else(bad)?),
            b"GNU.sparse.major" => once(&mut self.sparse_major, "GNU.sparse.major", number()?),
            b"GNU.sparse.minor" => once(&mut self.sparse_minor, "GNU.sparse.minor", number()?),
            b"GNU.sparse.name" => once(&mut self.sparse_name, "GNU.sparse.name", value.to_vec()),
            b"GNU.sparse.realsize" => once(&mut self.sparse_size, "GNU.sparse.realsize", number()?),
            b"atime" | b"ctime" | b"comment" | b"charset" | b"hdrcharset" => Ok(()),
            _ if key.starts_with(b"GNU.sparse.") => Err(PaxError::OldSparse(shown(key))),
            b"SCHILY.realsize" | b"SCHILY.filetype" => Err(PaxError::Unknown(shown(key))),
            _ if attribute(key) => {
                if self.attributes.len() >= MAX_ATTRIBUTES {
                    return Err(PaxError::Attributes);
                }
                self.attributes.push(EntryName::from(key));
                Ok(())
            }
            // POSIX keeps lower-case words for itself; a vendor's words are its own and change no content.
            _ if key.first().is_some_and(u8::is_ascii_uppercase) && !key.starts_with(b"GNU.") => Ok(()),
            _ => Err(PaxError::Unknown(shown(key))),
        }
    }

    /// The name and real size of a sparse file of version 1.0, when this is one.
    pub(super) fn sparse(&mut self) -> Result<Option<(EntryName, u64)>, PaxError> {
        match (self.sparse_major, self.sparse_minor, self.sparse_name.take(), self.sparse_size) {
            (None, None, None, None) => Ok(None),
            (Some(1), Some(0), Some(name), Some(real)) => Ok(Some((EntryName::new(name), real))),
            (Some(1), Some(0), _, _) => Err(PaxError::Map),
            (major, minor, ..) => {
                let version = format!("{}.{}", major.unwrap_or(0), minor.unwrap_or(0));
                Err(PaxError::OldSparse(version))
            }
        }
    }
}

fn attribute(key: &[u8]) -> bool {
    [&b"SCHILY.xattr."[..], b"SCHILY.acl.", b"LIBARCHIVE.xattr.", b"RHT.security."].iter().any(|p| key.starts_with(p))
}

fn once<T>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), PaxError> {
    if slot.is_some() {
        return Err(PaxError::Twice(key.into()));
    }
    *slot = Some(value);
    Ok(())
}

fn unterminated(mut body: Vec<u8>) -> Vec<u8> {
    if body.last() == Some(&0) {
        body.pop();
    }
    body
}

/// Splits one record off: key, value and what follows.
fn record(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = body.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(body.get(..space)?)?).ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    let text = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((text.get(..equals)?, text.get(equals + 1..)?, rest))
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Decimal seconds with a fraction, perhaps before 1970; digits beyond nanoseconds are dropped.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let dot = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = text.split_at_checked(dot)?;
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    let mut nanos = 0_u32;
    let mut unit = 100_000_000;
    for digit in fraction.iter().skip(1) {
        nanos += char::from(*digit).to_digit(10)? * unit;
        unit /= 10;
    }
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// Reads the map at the start of a sparse file's content: a count, then an offset and a length each, one a line.
pub(super) struct MapReader {
    pub(super) map: Vec<(u64, u64)>,
    count: Option<u64>,
    offset: Option<u64>,
    number: Option<u64>,
    max: usize,
}

impl MapReader {
    pub(super) const fn new(max: usize) -> Self {
        Self { map: Vec::new(), count: None, offset: None, number: None, max }
    }

    /// Whether the map is whole.
    pub(super) fn done(&self) -> bool {
        self.count == Some(self.map.len() as u64)
    }

    /// Takes one block; what follows the map's end in it must be zeros.
    pub(super) fn take(&mut self, block: &[u8]) -> Result<(), PaxError> {
        for byte in block {
            if self.done() {
                if *byte != 0 {
                    return Err(PaxError::Map);
                }
            } else if *byte == b'\n' {
                let value = self.number.take().ok_or(PaxError::Map)?;
                match (self.count, self.offset.take()) {
                    (None, _) if value > self.max as u64 => return Err(PaxError::Map),
                    (None, _) => self.count = Some(value),
                    (Some(_), None) => self.offset = Some(value),
                    (Some(_), Some(offset)) => self.map.push((offset, value)),
                }
            } else {
                let digit = char::from(*byte).to_digit(10).ok_or(PaxError::Map)?;
                let value = self.number.unwrap_or(0).checked_mul(10).and_then(|sum| sum.checked_add(digit.into()));
                self.number = Some(value.ok_or(PaxError::Map)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_round_down() {
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"7"), Some((7, 0)));
        assert_eq!(time(b"1.1234567891"), Some((1, 123_456_789)));
        assert_eq!(time(b".5"), None);
        assert_eq!(time(b"1e9"), None);
    }

    #[test]
    fn records_are_strict() {
        let read = |body: &[u8]| {
            let mut found = Extensions::default();
            found.pax(body, false).map(|()| found)
        };
        assert_eq!(read(b"9 path=a\n").unwrap().name.as_deref(), Some(&b"a"[..]));
        assert_eq!(read(b"8 path=a\n").unwrap_err(), PaxError::Record(0));
        assert_eq!(read(b"9 path=a\n9 path=b\n").unwrap_err(), PaxError::Twice("path".into()));
        assert_eq!(read(b"99999999999999999999 path=a\n").unwrap_err(), PaxError::Record(0));
        assert!(matches!(read(b"10 size=-1\n"), Err(PaxError::Record(_))));
        assert!(matches!(read(b"11 size=-1\n"), Err(PaxError::Value { .. })));
        assert!(matches!(read(b"8 new=1\n"), Err(PaxError::Unknown(_))));
        assert!(matches!(read(b"25 GNU.sparse.map=0,1,2\n\n"), Err(PaxError::OldSparse(_))));
        assert_eq!(read(b"14 VENDOR.x=1\n").unwrap().attributes.len(), 0);
        let mut global = Extensions::default();
        assert!(global.pax(b"9 path=a\n", true).is_err() && global.pax(b"12 comment=\n", true).is_ok());
        assert!(global.is_empty());
    }

    #[test]
    fn sparse_maps_span_blocks() {
        let mut reader = MapReader::new(10);
        reader.take(b"2\n0\n5").unwrap();
        assert!(!reader.done());
        reader.take(b"12\n1024\n1\n\0\0").unwrap();
        assert_eq!((reader.done(), reader.map), (true, vec![(0, 512), (1024, 1)]));
        for bad in [&b"11\n"[..], b"\n", b"1\n\n", b"1\n0\n1\nx", b"99999999999999999999\n"] {
            assert_eq!(MapReader::new(10).take(bad), Err(PaxError::Map));
        }
    }
}
