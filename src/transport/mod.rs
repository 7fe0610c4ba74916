//! Reaching a node: commands with both streams, and connections to its own ports and sockets.
//!
//! A [`Transport`] is one connected login. What runs over it is a POSIX `sh` script with arguments; nothing
//! from outside is ever spliced into the script's text. Two rules hold for every implementation:
//!
//! * **An end is never guessed.** A script's success is only what its own in-band trailer says after clean end
//!   of both streams. A killed, cut or silent command is [`End::Unknown`] or a signal, never 0.
//! * **Nothing blocks for ever.** Connecting, every call and every silence have a limit, and [`Cancel`] is
//!   looked at between chunks; [`Transport::hang_up`] ends even a blocked read at once.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::model::text::CleanText;

pub mod budget;
mod cancel;
pub mod faulty;
mod gate;
pub mod known_hosts;
mod lane;
pub mod local;
#[cfg(test)]
pub mod mute;
pub mod quote;
mod root;
mod script;
pub mod ssh;
pub mod ssh_config;
mod stream;
pub mod tls;
mod waker;

pub use cancel::Cancel;

/// A connected login on a node.
pub trait Transport: Send + Sync + Debug {
    /// Where it leads and what is known of the way.
    fn endpoint(&self) -> &Endpoint;

    /// Starts a script. Its standard output is read from the result, its standard error is kept (the last 64 KiB).
    fn start(&self, script: &Script, cancel: &Cancel) -> Result<Box<dyn Running>, TransportError>;

    /// Connects to a TCP port or a Unix socket of the node, without opening a port here.
    fn dial(&self, target: &Dial, cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError>;

    /// Another login to the same node: so that a guard's heartbeat does not wait behind bulk data, also when this one was
    /// lost. Jump hosts whose own sessions are over are logged in to anew.
    fn again(&self, cancel: &Cancel) -> Result<Arc<dyn Transport>, TransportError>;

    /// Ends everything at once; every call under way and later fails with [`TransportError::Lost`].
    fn hang_up(&self);

    /// Runs a short script to its end with `input` on its standard input, keeping at most `limit` bytes of output.
    ///
    /// # Errors
    /// As [`Transport::start`]; output beyond `limit` is [`TransportError::TooMuch`]. A non-zero status is not an
    /// error here: see [`Output::success`].
    fn run(&self, script: &Script, input: &[u8], limit: usize, cancel: &Cancel) -> Result<Output, TransportError> {
        let mut running = self.start(script, cancel)?;
        if script.input {
            match running.write_all(input) {
                // It may end without reading all: its status says whether that was right.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                result => result.map_err(|e| lost(self.endpoint(), &e))?,
            }
            running.close_input().map_err(|e| lost(self.endpoint(), &e))?;
        }
        let mut stdout = Vec::new();
        let read = Read::by_ref(&mut running).take(limit as u64 + 1).read_to_end(&mut stdout);
        read.map_err(|e| lost(self.endpoint(), &e))?;
        if stdout.len() > limit {
            return Err(TransportError::TooMuch { host: self.endpoint().name.clone(), limit });
        }
        let Finished { end, stderr, .. } = running.finish()?;
        Ok(Output { stdout, stderr, end })
    }
}

fn lost(endpoint: &Endpoint, error: &std::io::Error) -> TransportError {
    TransportError::from_io(&endpoint.name, error)
}

/// A POSIX `sh` script and how to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The script's text: always written in this program, never assembled from outside values.
    pub text: String,
    /// `$1`, `$2` …: any bytes but NUL. Visible to other users of the node: never a secret.
    pub args: Vec<Vec<u8>>,
    /// Whose rights it runs with.
    pub rights: Rights,
    /// Whether standard input is fed; otherwise it is empty, and the script is ended on the node when we go away.
    pub input: bool,
    /// How long the whole may take.
    pub timeout: Duration,
    /// How long neither stream may move while running.
    pub silence: Duration,
}

impl Script {
    /// A script with the login's rights, no input, a minute to run and as much to be silent.
    pub fn new(text: impl Into<String>) -> Self {
        let minute = Duration::from_mins(1);
        Self {
            text: text.into(),
            args: Vec::new(),
            rights: Rights::Login,
            input: false,
            timeout: minute,
            silence: minute,
        }
    }
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        self.args.push(arg.as_ref().to_vec());
        self
    }
    /// Runs it as root.
    #[must_use]
    pub fn as_root(mut self) -> Self {
        self.rights = Rights::Root;
        self
    }
    /// Feeds standard input.
    #[must_use]
    pub fn with_input(mut self) -> Self {
        self.input = true;
        self
    }
    /// Sets both limits.
    #[must_use]
    pub fn within(mut self, timeout: Duration, silence: Duration) -> Self {
        (self.timeout, self.silence) = (timeout, silence);
        self
    }
}

/// Whose rights a script runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// The login user's.
    Login,
    /// Root's, through whatever the inventory says, or plainly when the login is root.
    Root,
}

/// A script under way: read its standard output, write its standard input.
///
/// Dropping it without [`Running::finish`] cancels it on the node.
pub trait Running: Read + Write + Send {
    /// Ends standard input.
    fn close_input(&mut self) -> std::io::Result<()>;
    /// Waits for the end after output was read to its end; unread output is drained and counted.
    fn finish(self: Box<Self>) -> Result<Finished, TransportError>;
}

/// Bytes both ways.
pub trait Duplex: Read + Write + Send {
    /// Tells the peer that no more will be written.
    fn close_write(&mut self) -> std::io::Result<()>;
    /// Limits every single read and write; past it they fail with `TimedOut`.
    fn set_timeout(&mut self, timeout: Duration) -> std::io::Result<()>;
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its own trailer reported this status, and the streams ended cleanly.
    Exited(i32),
    /// It was killed by this signal.
    Killed(CleanText),
    /// No trailer arrived: whether it did anything is unknown.
    Unknown,
}

/// A finished script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// The last 64 KiB of standard error, cleaned, without the trailer.
    pub stderr: CleanText,
    /// How many bytes of standard output arrived.
    pub stdout_bytes: u64,
}

/// A finished short script with its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// The end of standard error, cleaned.
    pub stderr: CleanText,
    /// How it ended.
    pub end: End,
}

impl Output {
    /// Whether it reported status 0 itself.
    pub fn success(&self) -> bool {
        self.end == End::Exited(0)
    }
    /// Standard output as cleaned text without its last line feed.
    pub fn text(&self) -> CleanText {
        CleanText::from_bytes(self.stdout.strip_suffix(b"\n").unwrap_or(&self.stdout))
    }
}

/// What to connect to on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dial {
    /// A TCP port as the node reaches it, usually on its loopback.
    Tcp(String, u16),
    /// A Unix socket's path.
    Unix(String),
}

/// Where a transport leads and what is known of the way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// The host's name in the inventory.
    pub name: String,
    /// The address connected to.
    pub address: String,
    /// The port connected to.
    pub port: u16,
    /// The login name.
    pub user: String,
    /// The host key's fingerprint, `SHA256:…`; none for the local transport.
    pub host_key: Option<String>,
    /// Where the host key was known from, or that it was pinned.
    pub host_key_source: Option<String>,
    /// The login method that worked, e.g. "agent key SHA256:…".
    pub login: String,
    /// How root is reached: "login is root", "sudo without password", "sudo with password", or why not.
    pub root: String,
    /// Key exchange and cipher, for `doctor`.
    pub algorithms: String,
    /// The measured round trip.
    pub round_trip: Duration,
    /// The jump hosts in order.
    pub via: Vec<String>,
    /// What of the settings or of the known keys could not be read, and the like: clauses without a full stop.
    pub notes: Vec<String>,
}

/// Why a transport failed. Every variant names the host; the message is a full sentence.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// The name did not resolve, nobody listens, or the network is cut.
    #[error("{host} could not be reached: {why}.")]
    Unreachable {
        /// The host.
        host: String,
        /// What the system said.
        why: String,
    },
    /// The host key is not acceptable.
    #[error("{host}: {why}")]
    HostKey {
        /// The host.
        host: String,
        /// A full explanation with both fingerprints and what to do.
        why: String,
        /// The fingerprint that was presented.
        presented: String,
    },
    /// No login method worked.
    #[error("Login to {host} was refused: {why}.")]
    Login {
        /// The host.
        host: String,
        /// What was tried and how each ended.
        why: String,
    },
    /// Root could not be reached.
    #[error("Root could not be reached on {host}: {why}.")]
    Root {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// The node refused a channel, a forwarding or a port.
    #[error("{host} refused {what}: {why}.")]
    Refused {
        /// The host.
        host: String,
        /// What was asked.
        what: String,
        /// Why.
        why: String,
    },
    /// The connection ended under a command: whether it acted is unknown.
    #[error("The connection to {host} was lost: {why}.")]
    Lost {
        /// The host.
        host: String,
        /// How.
        why: String,
    },
    /// A limit passed.
    #[error("{host} did not answer within {limit:?}: {what}.")]
    TimedOut {
        /// The host.
        host: String,
        /// What was waited for.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// More output than a short command may have.
    #[error("A command on {host} printed more than {limit} bytes.")]
    TooMuch {
        /// The host.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// The operator cancelled.
    #[error("Cancelled.")]
    Cancelled,
    /// A setting cannot be used: an unreadable key, an unknown jump host.
    #[error("{host}: {why}.")]
    Setting {
        /// The host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
}

impl TransportError {
    /// The host it tells of.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Unreachable { host, .. }
            | Self::HostKey { host, .. }
            | Self::Login { host, .. }
            | Self::Root { host, .. }
            | Self::Refused { host, .. }
            | Self::Lost { host, .. }
            | Self::TimedOut { host, .. }
            | Self::TooMuch { host, .. }
            | Self::Setting { host, .. } => Some(host),
            Self::Cancelled => None,
        }
    }

    /// Recovers the variant from an I/O error a stream of ours returned; others become [`TransportError::Lost`].
    ///
    /// Streams wrap a `TransportError` in their `io::Error`, so that a reader in between loses nothing.
    pub fn from_io(host: &str, error: &std::io::Error) -> Self {
        if let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<Self>()) {
            return inner.clone();
        }
        Self::Lost { host: host.to_owned(), why: CleanText::new(&error.to_string()).to_string() }
    }
}

/// Wraps a transport error so that [`TransportError::from_io`] finds it again.
fn into_io(error: TransportError) -> std::io::Error {
    let kind = match error {
        TransportError::TimedOut { .. } => std::io::ErrorKind::TimedOut,
        TransportError::Lost { .. } => std::io::ErrorKind::ConnectionAborted,
        _ => std::io::ErrorKind::Other,
    };
    std::io::Error::new(kind, error)
}
