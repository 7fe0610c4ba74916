//! A stand-in for what a service answers on a node's loopback: one request a connection, answered in this process.

use std::io::{self, Cursor, Read, Write};
use std::time::Duration;

use lifeboat::transport::{Duplex, TransportError};

/// A request as the service sees it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub body: Vec<u8>,
    /// Consul's word that opens it.
    pub token: Option<String>,
}

/// What the service answers.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether nothing more comes before its last byte.
    pub stalls: bool,
}

impl Reply {
    pub fn json(value: &serde_json::Value) -> Self {
        Self { status: 200, body: value.to_string().into_bytes(), stalls: false }
    }
    pub fn status(status: u16) -> Self {
        Self { status, body: b"refused by the stand-in".to_vec(), stalls: false }
    }
}

/// What a login says of a connection that stood still for longer than it may.
fn stalled() -> TransportError {
    let what = "waiting for a reply".to_owned();
    TransportError::TimedOut { host: "node".to_owned(), what, limit: Duration::from_mins(10) }
}

/// One connection to a service whose answers come from `answer`.
pub struct Talk<F> {
    answer: F,
    said: Vec<u8>,
    promised: bool,
    reply: Option<Cursor<Vec<u8>>>,
    stalls: bool,
}

impl<F: FnMut(&Asked) -> Reply + Send> Talk<F> {
    pub fn with(answer: F) -> Self {
        Self { answer, said: Vec::new(), promised: false, reply: None, stalls: false }
    }

    /// The request, once it is whole; before that, whether its sender waits for a word to go on.
    fn request(&self) -> Result<Asked, bool> {
        let end = self.said.windows(4).position(|four| four == b"\r\n\r\n").ok_or(false)?;
        let head = String::from_utf8_lossy(&self.said[..end]).into_owned();
        let header = |name: &str| {
            let found = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
            found.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
        let body = &self.said[end + 4..];
        if body.len() < length {
            return Err(header("expect").is_some());
        }
        let mut words = head.split_whitespace();
        let mut word = || words.next().unwrap_or_default().to_owned();
        Ok(Asked { method: word(), target: word(), body: body[..length].to_vec(), token: header("x-consul-token") })
    }
}

impl<F: FnMut(&Asked) -> Reply + Send> Read for Talk<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(reply) = &mut self.reply {
            let count = reply.read(out)?;
            let stands_still = count == 0 && self.stalls && !out.is_empty();
            return if stands_still { Err(io::Error::other(stalled())) } else { Ok(count) };
        }
        match self.request() {
            Ok(asked) => {
                let Reply { status, body, stalls } = (self.answer)(&asked);
                self.stalls = stalls;
                let head = format!(
                    "HTTP/1.1 {status} Said\r\nX-Consul-Index: 9\r\nX-Consul-KnownLeader: true\r\nContent-Length: {}\r\n\r\n",
                    body.len() + usize::from(stalls)
                );
                self.reply = Some(Cursor::new([head.as_bytes(), &body].concat()));
                self.read(out)
            }
            Err(true) if !self.promised => {
                self.promised = true;
                let word = b"HTTP/1.1 100 Continue\r\n\r\n";
                out[..word.len()].copy_from_slice(word);
                Ok(word.len())
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the request never became whole")),
        }
    }
}
impl<F: Send> Write for Talk<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.said.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl<F: FnMut(&Asked) -> Reply + Send> Duplex for Talk<F> {
    fn close_write(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn set_timeout(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}
