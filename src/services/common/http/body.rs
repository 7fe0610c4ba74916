//! The reply's side of the wire: heads, framing and bodies.

use std::fmt;
use std::io::{self, Read, Write};

use super::{Framing, HEAD_LIMIT, Head, HttpError, MOST_HEADERS};
use crate::model::text::CleanText;
use crate::transport::Duplex;

/// The longest line that introduces a chunk, with its extensions.
const CHUNK_LINE: usize = 256;

/// The connection with what was read ahead of need.
pub(super) struct Wire {
    duplex: Box<dyn Duplex>,
    buffer: Vec<u8>,
    at: usize,
}

impl Wire {
    pub(super) fn new(duplex: Box<dyn Duplex>) -> Self {
        Self { duplex, buffer: Vec::new(), at: 0 }
    }
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.duplex.write_all(bytes)
    }
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.duplex.flush()
    }
    fn ahead(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }
    fn skip(&mut self, count: usize) {
        self.at = self.buffer.len().min(self.at + count);
    }

    /// Reads more; false at the end of the connection.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + 16 * 1024, 0);
        let read = loop {
            match self.duplex.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        read.map(|count| count > 0)
    }

    /// Reads one head, interim or not.
    pub(super) fn head(&mut self, no_body: bool) -> Result<(u16, Head), HttpError> {
        loop {
            let mut slots = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut parsed = httparse::Response::new(&mut slots);
            let window = self.ahead();
            let window = window.get(..HEAD_LIMIT).unwrap_or(window);
            match parsed.parse(window) {
                Ok(httparse::Status::Complete(length)) => {
                    let head = judge_head(&parsed, no_body)?;
                    self.skip(length);
                    return Ok(head);
                }
                Ok(httparse::Status::Partial) if window.len() >= HEAD_LIMIT => {
                    return Err(HttpError::Malformed("its headers are too long".to_owned()));
                }
                Ok(httparse::Status::Partial) => {}
                Err(httparse::Error::TooManyHeaders) => {
                    return Err(HttpError::Malformed("it has too many headers".to_owned()));
                }
                Err(error) => return Err(HttpError::Malformed(format!("{error}"))),
            }
            if !self.fill()? {
                let why = "the connection ended before the reply did";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why).into());
            }
        }
    }

    /// Reads into `out` what is at hand, or what comes next, at most `most` bytes; 0 at the end.
    fn some(&mut self, out: &mut [u8], most: u64) -> io::Result<usize> {
        if self.ahead().is_empty() && !self.fill()? {
            return Ok(0);
        }
        let ahead = self.ahead();
        let count = out.len().min(ahead.len()).min(usize::try_from(most).unwrap_or(usize::MAX));
        out[..count].copy_from_slice(&ahead[..count]);
        self.skip(count);
        Ok(count)
    }

    /// The next line without its CRLF, at most `limit` bytes with it.
    fn line(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.ahead().iter().take(limit).position(|&b| b == b'\n') {
                let line = self.ahead()[..end].strip_suffix(b"\r").map(<[u8]>::to_vec);
                self.skip(end + 1);
                return line.ok_or_else(|| broken("a line of a chunked body does not end as it must"));
            }
            if self.ahead().len() >= limit {
                return Err(broken("a line of a chunked body is too long"));
            }
            if !self.fill()? {
                return Err(cut());
            }
        }
    }
}

fn judge_head(parsed: &httparse::Response<'_, '_>, no_body: bool) -> Result<(u16, Head), HttpError> {
    let malformed = |why: &str| Err(HttpError::Malformed(why.to_owned()));
    let status = parsed.code.unwrap_or(0);
    let mut lengths = Vec::new();
    let mut codings = Vec::new();
    let mut headers = Vec::new();
    for header in parsed.headers.iter() {
        let name = header.name.to_ascii_lowercase();
        match name.as_str() {
            "content-length" => lengths.push(header.value),
            "transfer-encoding" => codings.push(header.value),
            _ => {}
        }
        headers.push((name, CleanText::from_bytes(header.value)));
    }
    if !lengths.is_empty() && !codings.is_empty() {
        return malformed("it declares its length in two ways");
    }
    let bodiless = no_body || matches!(status, 100..=199 | 204 | 304);
    let framing = match (lengths.as_slice(), codings.as_slice()) {
        _ if bodiless => Framing::Length(0),
        ([], []) => Framing::UntilClose,
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && parsed.version == Some(1) => Framing::Chunked,
        ([], _) => return malformed("it is encoded in a way that was not asked for"),
        ([length], _) => match decimal(length) {
            Some(length) => Framing::Length(length),
            None => return malformed("its length is not a number"),
        },
        _ => return malformed("it declares its length twice"),
    };
    Ok((status, Head { status, headers, framing }))
}

/// Plain digits only: no sign, no space, no list.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the reply was cut off before its declared end")
}

/// A reply's body. Its end-of-file is given only when the declared end arrived; after an error it stays an error.
pub struct BodyReader {
    wire: Wire,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkHead,
    Chunk(u64),
    Ended,
    Failed,
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").field("state", &self.state).finish_non_exhaustive()
    }
}

impl BodyReader {
    pub(super) fn new(wire: Wire, head: &Head, no_body: bool) -> Self {
        let state = match head.framing {
            _ if no_body => State::Ended,
            Framing::Length(0) => State::Ended,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkHead,
            Framing::UntilClose => State::UntilClose,
        };
        Self { wire, state }
    }

    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                State::Ended => return Ok(0),
                State::Failed => return Err(broken("the reply has failed already")),
                State::UntilClose => {
                    let count = self.wire.some(out, u64::MAX)?;
                    if count == 0 {
                        self.state = State::Ended;
                    }
                    return Ok(count);
                }
                State::Length(left) => {
                    let count = self.wire.some(out, left)?;
                    let left = match count {
                        0 => return Err(cut()),
                        count => left - count as u64,
                    };
                    self.state = if left == 0 { State::Ended } else { State::Length(left) };
                    return Ok(count);
                }
                State::ChunkHead => {
                    let line = self.wire.line(CHUNK_LINE)?;
                    self.state = match chunk_size(&line)? {
                        0 => {
                            self.trailers()?;
                            State::Ended
                        }
                        size => State::Chunk(size),
                    };
                }
                State::Chunk(left) => {
                    let count = self.wire.some(out, left)?;
                    let left = match count {
                        0 => return Err(cut()),
                        count => left - count as u64,
                    };
                    self.state = State::Chunk(left);
                    if left == 0 {
                        if !self.wire.line(2)?.is_empty() {
                            return Err(broken("a chunk of the reply is longer than it says"));
                        }
                        self.state = State::ChunkHead;
                    }
                    return Ok(count);
                }
            }
        }
    }

    /// Trailers are read, bounded and dropped: nothing here may depend on them.
    fn trailers(&mut self) -> io::Result<()> {
        let mut left = HEAD_LIMIT;
        for _ in 0..=MOST_HEADERS {
            let line = self.wire.line(left)?;
            if line.is_empty() {
                return Ok(());
            }
            left = left.saturating_sub(line.len() + 2).max(1);
        }
        Err(broken("the reply's trailer is too long"))
    }
}

/// One to sixteen hexadecimal digits, then nothing or an extension.
fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(broken("a chunk's size is not a number"));
    }
    let text = std::str::from_utf8(digits).map_err(io::Error::other)?;
    u64::from_str_radix(text, 16).map_err(io::Error::other)
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let read = self.step(out);
        if read.is_err() {
            self.state = State::Failed;
        }
        read
    }
}
