//! The bytes below the entries: a counted input, and the content of one entry with its holes filled.

use super::header::BLOCK;
use openssl::sha::Sha256;
use std::io::{self, Read};

/// The archive's stream and how far it has been read.
pub(super) struct Input<R> {
    inner: R,
    pub(super) offset: u64,
}

impl<R: Read> Input<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, offset: 0 }
    }

    /// Reads until the buffer is full or the stream ends.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(room) = buffer.get_mut(done..).filter(|room| !room.is_empty()) {
            match self.read(room) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Which parts of a content are stored, in order; what lies between reads as zeros.
pub(super) struct Segments {
    map: std::vec::IntoIter<(u64, u64)>,
    real: u64,
}

impl Segments {
    /// A content stored whole.
    pub(super) fn whole(size: u64) -> Self {
        Self { map: vec![(0, size)].into_iter(), real: size }
    }

    /// A sparse content. `None` when pieces overlap, leave the file, or do not add up to what is stored.
    pub(super) fn sparse(map: Vec<(u64, u64)>, real: u64, stored: u64) -> Option<Self> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for (offset, length) in &map {
            // Writers fill each piece to a block, readers disagree whether to skip that: only the last may need it.
            let ragged = sum % BLOCK as u64 != 0 && *length != 0;
            if *offset < end || ragged {
                return None;
            }
            end = offset.checked_add(*length)?;
            sum = sum.checked_add(*length)?;
        }
        (end <= real && sum == stored).then(|| Self { map: map.into_iter(), real })
    }
}

/// What vouches for a content in the listing.
enum Digest {
    Whole(Sha256),
    Light(crc32fast::Hasher),
}

impl Digest {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Whole(hash) => hash.update(bytes),
            Self::Light(hash) => hash.update(bytes),
        }
    }

    fn finish(self) -> [u8; 32] {
        match self {
            Self::Whole(hash) => hash.finish(),
            Self::Light(hash) => {
                let mut digest = [0; 32];
                for (to, from) in digest.iter_mut().zip(hash.finalize().to_be_bytes()) {
                    *to = from;
                }
                digest
            }
        }
    }
}

/// One entry's content: reads, hashes, and remembers what went wrong below.
pub(super) struct Content<'a, R> {
    input: &'a mut Input<R>,
    segments: Segments,
    position: u64,
    /// The bytes of zeros, then of data, that come next.
    hole: u64,
    data: u64,
    /// OpenSSL's: twice as fast as a portable one where the processor has no instruction for it, and all bytes pass here.
    hash: Digest,
    fault: Option<io::Error>,
    broken: bool,
}

impl<'a, R: Read> Content<'a, R> {
    pub(super) fn new(input: &'a mut Input<R>, segments: Segments, light: bool) -> Self {
        let hash = if light { Digest::Light(crc32fast::Hasher::new()) } else { Digest::Whole(Sha256::new()) };
        Self { input, segments, position: 0, hole: 0, data: 0, hash, fault: None, broken: false }
    }

    /// What went wrong, given away once.
    pub(super) fn fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Reads what was left unread.
    pub(super) fn drain(&mut self) {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// The content's hash, and what went wrong if anything did.
    pub(super) fn finish(self) -> ([u8; 32], Option<io::Error>) {
        (self.hash.finish(), self.fault)
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        self.broken = true;
        let copy = io::Error::new(error.kind(), error.to_string());
        self.fault = Some(error);
        copy
    }
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the archive had failed before"));
        }
        while self.hole == 0 && self.data == 0 {
            if let Some((offset, length)) = self.segments.map.next() {
                (self.hole, self.data) = (offset.saturating_sub(self.position), length);
            } else if self.position < self.segments.real {
                self.hole = self.segments.real - self.position;
            } else {
                return Ok(0);
            }
        }
        let next = if self.hole > 0 { self.hole } else { self.data };
        let wanted = into.len().min(usize::try_from(next).unwrap_or(usize::MAX));
        let into = into.get_mut(..wanted).unwrap_or_default();
        if into.is_empty() {
            return Ok(0);
        }
        let count = if self.hole > 0 {
            into.fill(0);
            self.hole -= into.len() as u64;
            into.len()
        } else {
            let count = match self.input.read(into) {
                Ok(0) => {
                    return Err(self.fail(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut short")));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => return Err(self.fail(error)),
            };
            self.data -= count as u64;
            count
        };
        self.position += count as u64;
        self.hash.update(into.get(..count).unwrap_or_default());
        Ok(count)
    }
}
