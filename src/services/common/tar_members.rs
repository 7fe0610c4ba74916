//! The members of a tar stream without its end marks, so that another archive can follow as if they were one.

use std::io::{self, Read};

const BLOCK: usize = 512;
/// The longest extended header that is looked into for a size.
const LONGEST_PAX: u64 = 1 << 20;

/// Passes whole members on and ends where the archive's end marks begin.
///
/// # Errors
/// A stream that ends without marks, or goes on behind them, is refused.
#[derive(Debug)]
pub struct Members<R> {
    from: R,
    /// Bytes to hand on before anything else.
    held: Vec<u8>,
    at: usize,
    /// Bytes of the member's data, padding included, that pass unread.
    passing: u64,
    /// The size an extended header gave for the next member.
    size: Option<u64>,
    over: bool,
}

impl<R: Read> Members<R> {
    /// Reads `from`.
    pub fn new(from: R) -> Self {
        Self { from, held: Vec::new(), at: 0, passing: 0, size: None, over: false }
    }

    /// What is read.
    pub const fn inner(&self) -> &R {
        &self.from
    }

    /// Reads the next header, and all of an extended one.
    fn header(&mut self) -> io::Result<()> {
        let mut block = [0; BLOCK];
        self.from.read_exact(&mut block).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => broken("the archive ends without its end marks"),
            _ => error,
        })?;
        if block.iter().all(|&byte| byte == 0) {
            self.over = true;
            return self.drain();
        }
        let kind = block.get(156).copied().unwrap_or(0);
        let mut size = field_size(&block).ok_or_else(|| broken("a member's size cannot be read"))?;
        let extended = kind == b'x';
        if !extended && kind != b'g' {
            size = self.size.take().unwrap_or(size);
        }
        let padded = size.div_ceil(512).checked_mul(512).ok_or_else(|| broken("a member is longer than can be"))?;
        self.held = block.to_vec();
        self.at = 0;
        if !extended {
            self.passing = padded;
            return Ok(());
        }
        if size > LONGEST_PAX {
            return Err(broken("an extended header is too long"));
        }
        let mut data = vec![0; usize::try_from(padded).unwrap_or(usize::MAX)];
        self.from.read_exact(&mut data)?;
        self.size = pax_size(data.get(..usize::try_from(size).unwrap_or(0)).unwrap_or_default());
        self.held.extend_from_slice(&data);
        Ok(())
    }

    /// Behind the marks there is padding and the stream's own end, which tells whether it was whole.
    fn drain(&mut self) -> io::Result<()> {
        let mut rest = vec![0; 64 * 1024];
        loop {
            match self.from.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(count) if rest.get(..count).is_some_and(|read| read.iter().all(|&byte| byte == 0)) => {}
                Ok(_) => return Err(broken("something follows the archive's end")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let held = self.held.get(self.at..).unwrap_or_default();
            if !held.is_empty() {
                let count = held.len().min(into.len());
                into.iter_mut().zip(held).for_each(|(to, from)| *to = *from);
                self.at += count;
                return Ok(count);
            }
            if self.passing > 0 {
                let most = into.len().min(usize::try_from(self.passing).unwrap_or(usize::MAX));
                let count = self.from.read(into.get_mut(..most).unwrap_or_default())?;
                if count == 0 {
                    return Err(broken("the archive ends inside a member"));
                }
                self.passing -= count as u64;
                return Ok(count);
            }
            if self.over {
                return Ok(0);
            }
            self.header()?;
        }
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("tar: {why}"))
}

/// Octal digits, or a binary number where the first bit is set (sizes from 8 GiB on).
fn field_size(block: &[u8; BLOCK]) -> Option<u64> {
    let field = block.get(124..136)?;
    if field.first()? & 0x80 != 0 {
        return field.iter().skip(1).try_fold(0_u64, |sum, &byte| sum.checked_mul(256)?.checked_add(u64::from(byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// The `size` record of an extended header, whose records are `LENGTH KEY=VALUE\n`.
fn pax_size(mut data: &[u8]) -> Option<u64> {
    let mut size = None;
    while !data.is_empty() {
        let space = data.iter().position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(data.get(..space)?).ok()?.parse().ok()?;
        let record = data.get(space + 1..length.checked_sub(1)?)?;
        if let Some(value) = record.strip_prefix(b"size=") {
            size = std::str::from_utf8(value).ok()?.parse().ok();
        }
        data = data.get(length..)?;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn names(bytes: &[u8]) -> Vec<(String, u64)> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(Result::unwrap);
        entries.map(|entry| (entry.path().unwrap().display().to_string(), entry.size())).collect()
    }

    fn members(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Members::new(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn two_archives_become_one() {
        // A file that ends in zeros must not be taken for the end.
        let (first, second) = (archive(&[("a", &[0; 2000]), ("b", b"")]), archive(&[("c", b"x")]));
        let one = [members(&first).unwrap(), second].concat();
        assert_eq!(names(&one), [("a".to_owned(), 2000), ("b".to_owned(), 0), ("c".to_owned(), 1)]);
    }

    #[test]
    fn an_extended_header_s_size_counts() {
        let mut pax = tar::Header::new_ustar();
        pax.set_entry_type(tar::EntryType::XHeader);
        let record = b"13 size=1024\n";
        pax.set_size(record.len() as u64);
        pax.set_cksum();
        let mut data = [0; 512];
        data[..record.len()].copy_from_slice(record);
        let mut file = tar::Header::new_ustar();
        file.set_path("big").unwrap();
        file.set_size(0);
        file.set_cksum();
        let whole = [pax.as_bytes(), &data[..], file.as_bytes(), &[7; 1024], &[0; 1024]].concat();
        assert_eq!(members(&whole).unwrap().len(), whole.len() - 1024);
    }

    #[test]
    fn a_cut_stream_never_ends_well() {
        let whole = archive(&[("a", b"hello")]);
        assert_eq!(members(&whole).unwrap().len(), 1024);
        for cut in [0, 100, 512, 700, 1024] {
            assert!(members(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(members(&[&whole[..], b"more"].concat()).is_err());
    }
}
