//! Replies as a hostile or broken server would send them.

use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;

/// A canned reply, given out in small pieces; what was written is kept.
struct Canned {
    reply: Cursor<Vec<u8>>,
    sent: Arc<Mutex<Vec<u8>>>,
    takes: usize,
}

impl Read for Canned {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(7);
        self.reply.read(&mut out[..most])
    }
}
impl Write for Canned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = self.sent.lock().unwrap();
        if sent.len() + bytes.len() > self.takes {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        sent.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Duplex for Canned {
    fn close_write(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn set_timeout(&mut self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }
}

fn canned(reply: impl Into<Vec<u8>>) -> (Box<dyn Duplex>, Arc<Mutex<Vec<u8>>>) {
    let sent = Arc::default();
    let canned = Canned { reply: Cursor::new(reply.into()), sent: Arc::clone(&sent), takes: usize::MAX };
    (Box::new(canned), sent)
}

fn get(reply: impl Into<Vec<u8>>) -> Result<Response, HttpError> {
    request(canned(reply).0, Request::get("/"), 1 << 20)
}

#[test]
fn the_three_framings_give_the_body() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2 \r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        assert_eq!(get(reply).unwrap().body, b"hello", "{reply:?}");
    }
    assert!(get("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello").unwrap().body.is_empty());
    let head = Request { method: "HEAD", ..Request::get("/") };
    let reply = request(canned("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").0, head, 9).unwrap();
    assert!(reply.body.is_empty());
}

#[test]
fn a_body_whose_declared_end_is_missing_is_an_error_for_good() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let (head, mut body) = open(canned(reply).0, Request::get("/")).unwrap();
        assert_eq!(head.status, 200);
        let error = body.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{reply:?}");
        assert!(body.read(&mut [0; 9]).is_err(), "an end of file after an error: {reply:?}");
    }
}

#[test]
fn replies_that_could_be_read_twice_are_refused() {
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999999",
        "Content-Length:",
        "X: a\r\n folded",
        "Bad Name: 1",
    ] {
        let reply = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        assert!(matches!(get(reply), Err(HttpError::Malformed(_))), "{headers:?} was taken");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(matches!(get(old), Err(HttpError::Malformed(_))));
}

#[test]
fn bad_chunks_are_refused() {
    let long = "5".repeat(300);
    for body in [
        "-1\r\nx\r\n0\r\n\r\n",
        "g\r\nx\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "11111111111111111\r\nx",
        "2\r\nabc\r\n0\r\n\r\n",
        "2\nab\n0\n\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        " 2\r\nab\r\n0\r\n\r\n",
        long.as_str(),
    ] {
        let reply = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let error = get(reply).unwrap_err();
        assert!(matches!(&error, HttpError::Io(e) if e.kind() == io::ErrorKind::InvalidData), "{body:?}: {error}");
    }
    let trailers = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}", "A: b\r\n".repeat(9999));
    assert!(get(trailers).is_err());
}

#[test]
fn heads_are_bounded() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(65));
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(40_000));
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(400_000));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(50);
    for reply in [many, long, endless, interim, "SSH-2.0-OpenSSH_9.2\r\n".to_owned()] {
        assert!(matches!(get(reply), Err(HttpError::Malformed(_))));
    }
    for reply in ["HTTP/1.1 101 Switch\r\n\r\n", "HTTP/1.1 999 No\r\n\r\n", "HTTP/1.1 099 No\r\n\r\n"] {
        assert!(matches!(get(reply), Err(HttpError::Malformed(_))), "{reply:?}");
    }
    assert!(matches!(get("HTTP/1.1 200"), Err(HttpError::Io(_))));
    let body = request(canned("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").0, Request::get("/"), 4);
    assert!(matches!(body, Err(HttpError::TooLong(4))));
}

#[test]
fn values_cannot_end_their_line_and_secrets_do_not_show() {
    for target in ["x", "/a b", "/a\r\nX: y", "/\u{e9}"] {
        assert!(matches!(request(canned("").0, Request::get(target), 1), Err(HttpError::Unsendable(_))), "{target}");
    }
    for value in ["a\r\nX: y", "a\n", " a", "\u{e9}", "a\0"] {
        let bad = Request::get("/").header("X-Consul-Token", HeaderValue::secret(value.to_owned().into()));
        assert!(matches!(request(canned("").0, bad, 1), Err(HttpError::Unsendable(_))), "{value:?}");
    }
    let smuggled = Request::get("/").header("content-length", HeaderValue::plain("3"));
    assert!(matches!(request(canned("").0, smuggled, 1), Err(HttpError::Unsendable(_))));
    let request = Request::get("/").header("X-Consul-Token", HeaderValue::secret("hunter2".to_owned().into()));
    assert!(!format!("{request:?}").contains("hunter2"));
}

#[test]
fn bodies_are_sent_with_their_length_or_in_chunks() {
    let (duplex, sent) = canned("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut body = Cursor::new(b"hello".to_vec());
    request(duplex, Request::send("PUT", "/x", Payload::Sized(5, &mut body)).to_host("a:1"), 9).unwrap();
    let text = String::from_utf8(sent.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text,
        "PUT /x HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\nAccept-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"
    );
    let (duplex, sent) = canned("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut body = Cursor::new(b"hello".to_vec());
    request(duplex, Request::send("POST", "/x", Payload::Chunked(&mut body)), 9).unwrap();
    assert!(sent.lock().unwrap().ends_with(b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    for said in [4, 6] {
        let mut body = Cursor::new(b"hello".to_vec());
        let (duplex, _) = canned("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(request(duplex, Request::send("PUT", "/x", Payload::Sized(said, &mut body)), 9).is_err());
    }
}

#[test]
fn a_refusal_before_the_body_costs_no_transfer() {
    let (duplex, sent) = canned("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let refused = request(duplex, Request::send("PUT", "/x", Payload::Bytes(b"secret")).asking_first(), 9).unwrap();
    assert_eq!((refused.status, refused.body.as_slice()), (403, b"no".as_slice()));
    assert!(sent.lock().unwrap().ends_with(b"Expect: 100-continue\r\n\r\n"));

    let (duplex, sent) = canned("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let taken = request(duplex, Request::send("PUT", "/x", Payload::Bytes(b"body")).asking_first(), 9).unwrap();
    assert_eq!(taken.status, 200);
    assert!(sent.lock().unwrap().ends_with(b"\r\n\r\nbody"));
}

#[test]
fn a_refusal_in_the_middle_of_the_body_is_read_after_the_broken_pipe() {
    let reply = Cursor::new(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec());
    let canned = Canned { reply, sent: Arc::default(), takes: 300 };
    let body = vec![0; 100_000];
    let refused = request(Box::new(canned), Request::send("PUT", "/x", Payload::Bytes(&body)), 9).unwrap();
    assert_eq!(refused.status, 403);
}
