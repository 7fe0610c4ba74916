//! A node whose scripts have canned answers or run here, and an agent's API on a loopback port.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::model::clock::Clock;
use crate::model::ids::HostId;
use crate::model::secret::{SecretRef, SecretString, Secrets};
use crate::model::text::CleanText;
use crate::services::{Cx, Mark};
use crate::transport::tls::papers;
use crate::transport::{Cancel, Dial, Duplex, End, Endpoint, Finished, Running, Script, Transport, TransportError};

/// What a script prints, by words its text holds; with none it runs here.
#[derive(Debug, Default)]
pub struct Node {
    pub endpoint: Endpoint,
    pub answers: Vec<(&'static str, String)>,
    pub ran: Mutex<Vec<String>>,
}

impl Transport for Node {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
    fn start(&self, script: &Script, _cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        self.ran.lock().unwrap().push(script.text.clone());
        if let Some((_, answer)) = self.answers.iter().find(|(words, _)| script.text.contains(words)) {
            return Ok(Box::new(Canned(Cursor::new(answer.clone().into_bytes()))));
        }
        let mut command = Command::new("sh");
        command.arg("-c").arg(&script.text).arg("sh");
        for arg in &script.args {
            command.arg(String::from_utf8(arg.clone()).unwrap());
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Ok(Box::new(Local(child)))
    }
    fn dial(&self, target: &Dial, _cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        let Dial::Tcp(host, port) = target else { panic!("only TCP is faked") };
        let refused = |error: io::Error| TransportError::Refused {
            host: "n1".into(),
            what: format!("a connection to {host}:{port}"),
            why: error.to_string(),
        };
        Ok(Box::new(Tcp(TcpStream::connect((host.as_str(), *port)).map_err(refused)?)))
    }
    fn again(&self, _: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        Err(TransportError::Cancelled)
    }
    fn hang_up(&self) {}
}

struct Canned(Cursor<Vec<u8>>);
impl Read for Canned {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}
impl Write for Canned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Running for Canned {
    fn close_input(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<Finished, TransportError> {
        Ok(Finished { end: End::Exited(0), stderr: CleanText::default(), stdout_bytes: 0 })
    }
}

struct Local(Child);
impl Read for Local {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.stdout.as_mut().unwrap().read(out)
    }
}
impl Write for Local {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.stdin.as_mut().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Running for Local {
    fn close_input(&mut self) -> io::Result<()> {
        self.0.stdin.take();
        Ok(())
    }
    fn finish(mut self: Box<Self>) -> Result<Finished, TransportError> {
        self.0.stdin.take();
        let mut stderr = Vec::new();
        self.0.stderr.as_mut().unwrap().read_to_end(&mut stderr).unwrap();
        let status = self.0.wait().unwrap().code().unwrap_or(-1);
        Ok(Finished { end: End::Exited(status), stderr: CleanText::from_bytes(&stderr), stdout_bytes: 0 })
    }
}

#[derive(Debug)]
struct Tcp(TcpStream);
impl Read for Tcp {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // As a login's own tunnel says it.
        self.0.read(out).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::Error::other(TransportError::TimedOut {
                host: "n1".into(),
                what: "waiting for the reply".into(),
                limit: Duration::from_secs(1),
            }),
            _ => error,
        })
    }
}
impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
impl Duplex for Tcp {
    fn close_write(&mut self) -> io::Result<()> {
        self.0.shutdown(std::net::Shutdown::Write)
    }
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(timeout))?;
        self.0.set_write_timeout(Some(timeout))
    }
}

/// One request as the fake agent saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub line: String,
    pub token: Option<String>,
    pub body: Vec<u8>,
}

/// A reply: a status with headers and body, or the connection's end without a word.
pub enum Reply {
    Say(u16, &'static str, Vec<u8>),
    /// The body in chunks, cut before the end when `false`.
    Chunks(&'static str, Vec<u8>, bool),
    HangUp,
    /// The body's first part, and then nothing for a while.
    Stall(Vec<u8>),
}

pub fn say(status: u16, body: &str) -> Reply {
    Reply::Say(status, "", body.as_bytes().to_vec())
}

/// An agent's API: `answer` is asked for every request; what was asked is kept.
pub struct Agent {
    pub address: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Agent {
    pub fn start(mut answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = serve(stream.unwrap(), &mut answer, &seen);
            }
        });
        Self { address, asked }
    }
    /// The same, which speaks only TLS.
    pub fn start_tls(context: papers::SslContext, mut answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let port = papers::listen(context, move |mut stream| {
            serve(&mut stream, &mut answer, &seen)?;
            stream.shutdown().map(drop).map_err(io::Error::other)
        });
        Self { address: format!("https://127.0.0.1:{port}"), asked }
    }
    pub fn lines(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.line.clone()).collect()
    }
}

fn serve(
    stream: impl Read + Write,
    answer: &mut impl FnMut(&Asked) -> Reply,
    seen: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut asked =
        Asked { line: line.trim_end_matches("HTTP/1.1\r\n").trim().to_owned(), token: None, body: Vec::new() };
    let (mut length, mut expects) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "x-consul-token" => asked.token = Some(value.to_owned()),
            "expect" => expects = true,
            _ => {}
        }
    }
    if expects {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    reader.by_ref().take(length).read_to_end(&mut asked.body)?;
    let mut out = reader.into_inner();
    seen.lock().unwrap().push(asked.clone());
    match answer(&asked) {
        Reply::HangUp => Ok(()),
        Reply::Stall(part) => {
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", part.len() + 1)?;
            out.write_all(&part)?;
            std::thread::sleep(Duration::from_secs(4));
            Ok(())
        }
        Reply::Say(status, headers, body) => {
            write!(out, "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len())?;
            out.write_all(&body)
        }
        Reply::Chunks(headers, body, whole) => {
            write!(out, "HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n")?;
            for chunk in body.chunks(100) {
                write!(out, "{:x}\r\n", chunk.len())?;
                out.write_all(chunk)?;
                out.write_all(b"\r\n")?;
            }
            out.write_all(if whole { b"0\r\n\r\n" } else { b"" })
        }
    }
}

/// Time that passes only by waiting.
#[derive(Default)]
pub struct Now(Mutex<Duration>);
impl Clock for Now {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(papers::NOW).unwrap()
    }
    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    fn sleep(&self, span: Duration) {
        *self.0.lock().unwrap() += span;
    }
}

/// Gives the name of an environment reference as the secret itself.
pub struct Names;
impl Secrets for Names {
    fn resolve(&self, wanted: &SecretRef, _purpose: &str) -> Result<SecretString, String> {
        match wanted {
            SecretRef::Env(name) => Ok(name.clone().into()),
            _ => Err("nobody is there to ask".to_owned()),
        }
    }
}

/// Everything a [`Cx`] borrows.
pub struct World {
    pub host: HostId,
    pub node: Node,
    pub cancel: Cancel,
    pub clock: Now,
    pub mark: Mark,
}

impl World {
    pub fn new(answers: Vec<(&'static str, String)>) -> Self {
        Self {
            host: HostId::new("n1").unwrap(),
            node: Node { answers, ..Node::default() },
            cancel: Cancel::new(),
            clock: Now::default(),
            mark: Mark { run: "r1".parse().unwrap(), owner: "c1 1".into() },
        }
    }
    pub fn cx(&self) -> Cx<'_> {
        Cx {
            host: &self.host,
            node: &self.node,
            cancel: &self.cancel,
            clock: &self.clock,
            secrets: &Names,
            run: Some(&self.mark),
        }
    }
}

/// Answers in turn, the last one for good.
pub fn in_turn(replies: Vec<(u16, &'static str)>) -> impl FnMut() -> Reply {
    let mut left: VecDeque<_> = replies.into();
    move || {
        let (status, body) = if left.len() > 1 { left.pop_front().unwrap() } else { left[0] };
        say(status, body)
    }
}
