//! HTTP as far as a stand-in speaks it: one request, one reply, the connection's end.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest head that is read, and the longest body.
const HEAD: usize = 32 * 1024;
const BODY: usize = 64 << 20;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// `GET`, `PUT` …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Asked {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The words of the query.
    pub fn query(&self) -> impl Iterator<Item = &str> {
        self.target.split_once('?').map_or("", |(_, query)| query).split('&')
    }
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers besides the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A reply of a status with a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// A JSON document.
    pub fn json(value: &serde_json::Value) -> Self {
        let mut reply = Self::new(200, value.to_string());
        reply.headers.push(("Content-Type", "application/json".to_owned()));
        reply
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Reads a request, answers it and ends the connection; without an answer it only ends.
///
/// # Errors
/// When the connection breaks, or what arrives is no request.
pub async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl FnOnce(Asked) -> Option<Reply>,
) -> io::Result<()> {
    let asked = read(&mut stream).await?;
    let Some(reply) = answer(asked) else { return Ok(()) };
    let mut head = format!("HTTP/1.1 {} {}\r\nConnection: close\r\n", reply.status, reason(reply.status));
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", reply.body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&reply.body).await?;
    stream.shutdown().await
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Internal Server Error",
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

async fn read(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Err(bad("the head does not end"));
        }
    };
    let body = bytes.split_off(end);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&bytes).map_err(|error| bad(&error.to_string()))?;
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let (length, coding, expects) = (header("content-length"), header("transfer-encoding"), header("expect"));
    let mut asked = Asked { method: method.to_owned(), target: target.to_owned(), body };
    if expects.is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        let sent = std::mem::take(&mut asked.body);
        asked.body = chunked(stream, sent).await?;
        return Ok(asked);
    }
    let length: usize = length.map_or(Ok(0), |text| text.parse()).map_err(|_| bad("the length is no number"))?;
    if length > BODY {
        return Err(bad("the body is too long"));
    }
    while asked.body.len() < length {
        if stream.read_buf(&mut asked.body).await? == 0 {
            return Err(bad("the body is cut"));
        }
    }
    asked.body.truncate(length);
    Ok(asked)
}

async fn chunked(stream: &mut (impl AsyncRead + Unpin), mut sent: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = loop {
            if let Some(at) = sent.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            if sent.len() > HEAD || stream.read_buf(&mut sent).await? == 0 {
                return Err(bad("a chunk does not begin"));
            }
        };
        let text = String::from_utf8_lossy(&sent[..line]).into_owned();
        let size = text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| bad("a chunk has no size"))?;
        if body.len().saturating_add(size) > BODY {
            return Err(bad("the body is too long"));
        }
        while sent.len() < line + 2 + size + 2 {
            if stream.read_buf(&mut sent).await? == 0 {
                return Err(bad("a chunk is cut"));
            }
        }
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&sent[line + 2..line + 2 + size]);
        sent.drain(..line + 2 + size + 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(request: &[u8]) -> (Option<Asked>, String) {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let mut seen = None;
        let (_, text) = tokio::join!(
            serve(far, |asked| {
                seen = Some(asked);
                Some(Reply::new(200, "yes"))
            }),
            async {
                near.write_all(request).await.unwrap();
                let mut text = String::new();
                near.read_to_string(&mut text).await.unwrap();
                text
            }
        );
        (seen, text)
    }

    #[tokio::test]
    async fn a_body_arrives_by_length_and_in_chunks() {
        let (asked, text) = ask(b"PUT /a?b&c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").await;
        let asked = asked.unwrap();
        assert_eq!((asked.path(), asked.body.as_slice()), ("/a", &b"abc"[..]));
        assert_eq!(asked.query().collect::<Vec<_>>(), ["b", "c=d"]);
        assert!(text.ends_with("Content-Length: 3\r\n\r\nyes"), "{text}");
        let chunks = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n";
        assert_eq!(ask(chunks).await.0.unwrap().body, b"abc");
    }

    #[tokio::test]
    async fn a_client_that_asks_first_is_told_to_go_on() {
        let (_, text) = ask(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na").await;
        assert!(text.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{text}");
    }

    #[tokio::test]
    async fn what_is_no_request_gets_no_answer() {
        for bad in [&b"hello\r\n\r\n"[..], b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n"] {
            assert_eq!(ask(bad).await, (None, String::new()));
        }
    }
}
