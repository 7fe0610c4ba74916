//! A small strict HTTP/1.1 client over any [`Duplex`]: one request per connection.
//!
//! The server is untrusted: its head is bounded, a reply that could be read in two ways is refused, and a body whose
//! declared end did not arrive ends in an error, never in a short success. A header made by [`HeaderValue::secret`]
//! is written to the connection and shown nowhere else.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use serde_json::Value;

use super::node::as_failure;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::secret::{ExposeSecret, SecretString};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::transport::tls::TlsError;
use crate::transport::{Dial, Duplex, TransportError};

mod body;
#[cfg(test)]
mod tests;

pub use body::BodyReader;
use body::Wire;

/// The most headers a reply, or the end of a chunked one, may have.
const MOST_HEADERS: usize = 64;
/// The most bytes they may take.
const HEAD_LIMIT: usize = 32 * 1024;
/// The most 1xx replies before the real one.
const MOST_INTERIM: usize = 8;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request cannot be written as it is: a line feed in a header, a space in a path.
    #[error("the request cannot be sent: {0}")]
    Unsendable(&'static str),
    /// The connection failed. What the server did is unknown if anything was sent.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server's reply breaks the protocol or could be read in two ways.
    #[error("the server's reply is not usable: {0}")]
    Malformed(String),
    /// The body is longer than it may be.
    #[error("the server's reply is longer than {0} bytes")]
    TooLong(usize),
}

impl HttpError {
    /// The failure an operator reads; `doing` is the start of the sentence: "Asking Consul for its leader".
    pub fn failure(&self, cx: &Cx, doing: &str) -> Failure {
        match self {
            Self::Io(error) if of_transport(error) => as_failure(&TransportError::from_io(cx.host.as_str(), error)),
            // A server whose TLS is of version 1.3 tells only now that it is not content with who asks.
            Self::Io(error) if TlsError::of(error).is_some_and(TlsError::is_of_us) => {
                Failure::new(Exit::Authentication, format!("{doing} on {} failed: {error}.", cx.host))
            }
            Self::Io(error) if is_broken(error) => {
                let why = "the service closed the connection in the middle";
                Failure::new(Exit::Failed, format!("{doing} on {} failed: {why}.", cx.host))
            }
            _ => {
                let why = CleanText::new(&self.to_string()).one_line();
                Failure::new(Exit::Failed, format!("{doing} on {} failed: {}.", cx.host, trim_stop(&why)))
            }
        }
    }
}

fn of_transport(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<TransportError>()).is_some()
}

fn trim_stop(text: &CleanText) -> &str {
    text.as_str().trim_end_matches('.')
}

/// A header's value; one made from a secret never shows itself.
pub enum HeaderValue {
    /// May be shown.
    Plain(String),
    /// A token or password.
    Secret(SecretString),
}

impl HeaderValue {
    /// A value that may be shown.
    pub fn plain(value: impl Into<String>) -> Self {
        Self::Plain(value.into())
    }
    /// A token or password.
    pub fn secret(value: SecretString) -> Self {
        Self::Secret(value)
    }
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose_secret(),
        }
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => write!(f, "{text:?}"),
            Self::Secret(_) => f.write_str("[secret]"),
        }
    }
}

/// What is sent after the head.
pub enum Payload<'a> {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// Exactly so many bytes of a stream; fewer or more is an error.
    Sized(u64, &'a mut dyn Read),
    /// A stream of unknown length.
    Chunked(&'a mut dyn Read),
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Sized(size, _) => write!(f, "Sized({size})"),
            Self::Chunked(_) => f.write_str("Chunked"),
        }
    }
}

/// One request.
#[derive(Debug)]
pub struct Request<'a> {
    /// `GET`, `PUT` …
    pub method: &'static str,
    /// Path and query as sent: visible ASCII starting with `/`.
    pub target: String,
    /// The `Host` header.
    pub host: String,
    /// Other headers; framing headers are this module's own.
    pub headers: Vec<(&'static str, HeaderValue)>,
    /// The body.
    pub payload: Payload<'a>,
    /// Sends the body only after the server agreed with `100 Continue`; a refusal then costs no transfer, and a
    /// connection lost before the agreement proves that nothing was sent.
    pub ask_first: bool,
    /// How long one read or write may stand still.
    pub silence: Duration,
}

impl<'a> Request<'a> {
    /// A `GET` of `target`, half a minute of silence allowed.
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET",
            target: target.into(),
            host: "localhost".to_owned(),
            headers: Vec::new(),
            payload: Payload::Empty,
            ask_first: false,
            silence: Duration::from_secs(30),
        }
    }
    /// A request with a body.
    pub fn send(method: &'static str, target: impl Into<String>, payload: Payload<'a>) -> Self {
        Self { method, payload, ..Self::get(target) }
    }
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
    /// Sets the `Host` header.
    #[must_use]
    pub fn to_host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }
    /// Sets how long one read or write may stand still.
    #[must_use]
    pub fn within(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }
    /// Sends the body only after `100 Continue`.
    #[must_use]
    pub fn asking_first(mut self) -> Self {
        self.ask_first = true;
        self
    }

    /// The head as sent, checked so that no value can end its line.
    fn head(&self) -> Result<zeroize::Zeroizing<Vec<u8>>, HttpError> {
        let token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        let line = |text: &str| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if !token(self.method) {
            return Err(HttpError::Unsendable("its method is not a word"));
        }
        if !self.target.starts_with('/') || !self.target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(HttpError::Unsendable("its path is not plain visible ASCII"));
        }
        if self.host.is_empty() || !self.host.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(HttpError::Unsendable("its host name is not plain visible ASCII"));
        }
        let mut head = zeroize::Zeroizing::new(Vec::with_capacity(1024));
        let mut put = |parts: &[&str]| parts.iter().for_each(|part| head.extend_from_slice(part.as_bytes()));
        put(&[self.method, " ", &self.target, " HTTP/1.1\r\nHost: ", &self.host]);
        put(&["\r\nConnection: close\r\nAccept-Encoding: identity\r\n"]);
        for (name, value) in &self.headers {
            let value = value.text();
            let framing = ["content-length", "transfer-encoding", "connection", "host", "expect"];
            if !token(name) || framing.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return Err(HttpError::Unsendable("a header's name is not usable"));
            }
            if !line(value) || value.trim() != value {
                return Err(HttpError::Unsendable("a header's value has characters that may not stand there"));
            }
            put(&[name, ": ", value, "\r\n"]);
        }
        match &self.payload {
            Payload::Empty if self.method == "GET" || self.method == "HEAD" => {}
            Payload::Empty => put(&["Content-Length: 0\r\n"]),
            Payload::Bytes(bytes) => put(&["Content-Length: ", &bytes.len().to_string(), "\r\n"]),
            Payload::Sized(size, _) => put(&["Content-Length: ", &size.to_string(), "\r\n"]),
            Payload::Chunked(_) => put(&["Transfer-Encoding: chunked\r\n"]),
        }
        put(&[if self.ask_first { "Expect: 100-continue\r\n\r\n" } else { "\r\n" }]);
        Ok(head)
    }
}

/// A reply's status and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status, 200 to 599.
    pub status: u16,
    /// Every header in order; names in lower case.
    pub headers: Vec<(String, CleanText)>,
    /// How the body's end is known.
    pub framing: Framing,
}

impl Head {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// How a body's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks with an end of their own.
    Chunked,
    /// Only that the connection ended: a cut body cannot be told from a whole one.
    UntilClose,
}

/// A reply read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Every header in order; names in lower case.
    pub headers: Vec<(String, CleanText)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
    /// The body as one clean line, for messages.
    pub fn text(&self) -> CleanText {
        let body = &self.body[..self.body.len().min(1024)];
        CleanText::new(CleanText::from_bytes(body).as_str().trim()).one_line()
    }
    /// The body as JSON.
    pub fn json(&self) -> Result<Value, HttpError> {
        serde_json::from_slice(&self.body).map_err(|error| HttpError::Malformed(format!("it is not JSON ({error})")))
    }
}

/// Sends `request` and reads the whole reply, whose body may have `limit` bytes.
pub fn request(duplex: Box<dyn Duplex>, request: Request<'_>, limit: usize) -> Result<Response, HttpError> {
    let (head, body) = open(duplex, request)?;
    let mut bytes = Vec::new();
    body.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(HttpError::TooLong(limit));
    }
    Ok(Response { status: head.status, headers: head.headers, body: bytes })
}

/// Sends `request` and returns the reply's head with its body still to be read.
pub fn open(mut duplex: Box<dyn Duplex>, request: Request<'_>) -> Result<(Head, BodyReader), HttpError> {
    duplex.set_timeout(request.silence)?;
    duplex.write_all(&request.head()?)?;
    let mut wire = Wire::new(duplex);
    let no_body = request.method == "HEAD";
    if request.ask_first {
        wire.flush()?;
        if let Some(head) = read_head(&mut wire, no_body, true)? {
            return Ok((head.clone(), BodyReader::new(wire, &head, no_body)));
        }
    }
    // A server may refuse and close without taking the body; then its reply says more than the broken pipe does.
    let sent = write_payload(&mut wire, request.payload).and_then(|()| Ok(wire.flush()?));
    if let Err(error) = sent {
        if !matches!(&error, HttpError::Io(broken) if is_broken(broken)) {
            return Err(error);
        }
        return match read_head(&mut wire, no_body, false) {
            Ok(Some(head)) if head.status >= 400 => Ok((head.clone(), BodyReader::new(wire, &head, no_body))),
            _ => Err(error),
        };
    }
    match read_head(&mut wire, no_body, false)? {
        Some(head) => Ok((head.clone(), BodyReader::new(wire, &head, no_body))),
        None => Err(HttpError::Malformed("it never came to an end of its interim replies".to_owned())),
    }
}

/// Connects to `target` on the node, sends `request` and reads the whole reply, failing with a sentence.
pub fn ask(cx: &Cx, target: &Dial, question: Request<'_>, limit: usize, doing: &str) -> Result<Response> {
    let duplex = cx.node.dial(target, cx.cancel).map_err(|error| as_failure(&error))?;
    request(duplex, question, limit).map_err(|error| error.failure(cx, doing))
}

fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

fn write_payload(wire: &mut Wire, payload: Payload<'_>) -> Result<(), HttpError> {
    match payload {
        Payload::Empty => {}
        Payload::Bytes(bytes) => wire.write_all(bytes)?,
        Payload::Sized(size, stream) => {
            if pump(wire, &mut stream.take(size), false)? != size {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body to send ended early").into());
            }
            if stream.read(&mut [0])? != 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the body to send is longer than said").into());
            }
        }
        Payload::Chunked(stream) => {
            pump(wire, stream, true)?;
            wire.write_all(b"0\r\n\r\n")?;
        }
    }
    Ok(())
}

fn pump(wire: &mut Wire, stream: &mut dyn Read, chunked: bool) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunked {
            wire.write_all(format!("{count:x}\r\n").as_bytes())?;
        }
        wire.write_all(&buffer[..count])?;
        if chunked {
            wire.write_all(b"\r\n")?;
        }
        total += count as u64;
    }
}

/// Reads the final head, skipping interim ones; `None` when `until_continue` and the server said to go on.
fn read_head(wire: &mut Wire, no_body: bool, until_continue: bool) -> Result<Option<Head>, HttpError> {
    for _ in 0..MOST_INTERIM {
        let (status, head) = wire.head(no_body)?;
        match status {
            100 if until_continue => return Ok(None),
            101 => return Err(HttpError::Malformed("it switches to another protocol".to_owned())),
            100..=199 => {}
            200..=599 => return Ok(Some(head)),
            _ => return Err(HttpError::Malformed(format!("its status is {status}"))),
        }
    }
    Err(HttpError::Malformed("it has too many interim replies".to_owned()))
}
