//! A real SSH server on loopback, inside this process: one login, commands with both streams, tunnels.
//!
//! What a command or a tunnel reaches is a [`Backend`]'s business. The link between a console and the server can be cut
//! or made to stand still, and the server can show another host key, all while it runs.

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, ChannelOpenFailure, Pty, Sig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::runtime;
use tokio::sync::{mpsc, watch};

use super::link::{Gate, Gated};

/// What a command or a tunnel of a login reaches.
pub trait Backend: Send + Sync + 'static {
    /// The program and its words that run a login's command line.
    ///
    /// # Errors
    /// When there is nothing to run it on.
    fn login(&self, line: &[u8]) -> io::Result<Vec<OsString>>;

    /// Connects to a port or a socket of the node.
    fn dial(&self, target: Target) -> Dialled;
}

/// A connection on its way.
pub type Dialled = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Where a tunnel leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host as the node sees it, and a port.
    Tcp(String, u16),
    /// A socket's path.
    Unix(String),
}

/// Both directions of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How the network between a console and a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// As it should be.
    Up,
    /// Open, and no byte moves.
    Stalled,
    /// Gone: connections end, and nothing answers.
    Cut,
}

/// A pair of keys of the usual kind, Ed25519.
#[derive(Debug, Clone)]
pub struct KeyPair(PrivateKey);

impl KeyPair {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> io::Result<Self> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(PrivateKey::from(Ed25519Keypair::from_seed(&seed))))
    }

    /// The private key as OpenSSH keeps it in a file.
    ///
    /// # Errors
    /// When it cannot be written so.
    pub fn private_text(&self) -> io::Result<zeroize::Zeroizing<String>> {
        let text = self.0.to_openssh(russh::keys::ssh_key::LineEnding::LF).map_err(io::Error::other)?;
        Ok(zeroize::Zeroizing::new(text.to_string()))
    }

    /// The public key as it travels.
    ///
    /// # Errors
    /// When it cannot be written so.
    pub fn public_blob(&self) -> io::Result<Vec<u8>> {
        self.0.public_key().to_bytes().map_err(io::Error::other)
    }

    fn public(&self) -> &PublicKey {
        self.0.public_key()
    }
}

/// A server that listens; it ends with the value.
pub struct Server {
    port: u16,
    link: watch::Sender<LinkState>,
    host_key: Arc<Mutex<Arc<Config>>>,
    live: Arc<Gate>,
    task: tokio::task::JoinHandle<()>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        self.live.cut();
    }
}

fn config(host_key: &KeyPair) -> Arc<Config> {
    Arc::new(Config {
        keys: vec![host_key.0.clone()],
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    })
}

impl Server {
    /// Listens on a free port of loopback; `login` with the key `allowed` is the only way in.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(
        on: &runtime::Handle,
        backend: Arc<dyn Backend>,
        host_key: &KeyPair,
        login: &str,
        allowed: &KeyPair,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (link, state) = watch::channel(LinkState::Up);
        let host_key = Arc::new(Mutex::new(config(host_key)));
        let live = Arc::new(Gate::default());
        let door = Door {
            backend,
            login: login.to_owned(),
            allowed: allowed.public().clone(),
            config: Arc::clone(&host_key),
            live: Arc::clone(&live),
        };
        let task = on.spawn(door.keep(listener, address, state));
        Ok(Self { port: address.port(), link, host_key, live, task })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How the network is now.
    pub fn link(&self) -> LinkState {
        *self.link.borrow()
    }

    /// Changes the network, for connections that stand and those to come.
    pub fn set_link(&self, state: LinkState) {
        self.link.send_replace(state);
        match state {
            LinkState::Up => self.live.open(),
            LinkState::Stalled => self.live.stall(),
            LinkState::Cut => {
                self.live.open();
                self.live.cut();
            }
        }
    }

    /// Shows another host key to connections to come.
    pub fn set_host_key(&self, key: &KeyPair) {
        *self.host_key.lock().unwrap_or_else(PoisonError::into_inner) = config(key);
    }
}

/// Everything a connection needs that comes in.
struct Door {
    backend: Arc<dyn Backend>,
    login: String,
    allowed: PublicKey,
    config: Arc<Mutex<Arc<Config>>>,
    live: Arc<Gate>,
}

impl Door {
    /// Accepts until the server ends. While the link is cut the port is kept, and refuses.
    async fn keep(self, listener: std::net::TcpListener, address: SocketAddr, mut state: watch::Receiver<LinkState>) {
        let mut listening = TcpListener::from_std(listener).ok();
        loop {
            if *state.borrow_and_update() == LinkState::Cut {
                drop(listening.take());
                let kept = bind(address);
                while *state.borrow_and_update() == LinkState::Cut {
                    if state.changed().await.is_err() {
                        return;
                    }
                }
                listening = kept.and_then(listen).ok();
            }
            let Some(open) = &listening else {
                // Somebody else took the port meanwhile; it may be given back.
                tokio::time::sleep(Duration::from_millis(200)).await;
                listening = bind(address).and_then(listen).ok();
                continue;
            };
            tokio::select! {
                came = open.accept() => match came {
                    Ok((socket, _)) => self.welcome(socket),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                changed = state.changed() => if changed.is_err() { return },
            }
        }
    }

    fn welcome(&self, socket: TcpStream) {
        let _ = socket.set_nodelay(true);
        let Ok(stream) = Gated::new(socket, Arc::clone(&self.live)) else { return };
        let config = Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner));
        let guest = Guest {
            backend: Arc::clone(&self.backend),
            login: self.login.clone(),
            allowed: self.allowed.clone(),
            waiting: HashMap::new(),
        };
        tokio::spawn(async move {
            // How a guest's session ends is the guest's to tell; there is nobody here who reads it.
            if let Ok(session) = russh::server::run_stream(config, stream, guest).await {
                let _ = session.await;
            }
        });
    }
}

fn bind(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: socket2::Socket) -> io::Result<TcpListener> {
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// One connection.
struct Guest {
    backend: Arc<dyn Backend>,
    login: String,
    allowed: PublicKey,
    waiting: HashMap<ChannelId, Channel<Msg>>,
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let is_known = user == self.login && key.public_key.key_data() == self.allowed.key_data();
        Ok(if is_known { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.waiting.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, line: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let Some(channel) = self.waiting.remove(&id) else { return session.channel_failure(id) };
        let child = self.backend.login(line).and_then(|words| {
            let mut words = words.into_iter();
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let _starts = crate::process::starting();
            command.process_group(0).spawn()
        });
        match child {
            Ok(child) => {
                session.channel_success(id)?;
                tokio::spawn(run(child, channel, session.handle()));
                Ok(())
            }
            Err(_) => session.channel_failure(id),
        }
    }

    /// A practice node has no terminals, and says so: without an answer a client would wait in raw mode for an echo that
    /// never comes.
    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let target = Target::Tcp(host.to_owned(), u16::try_from(port).unwrap_or(0));
        tokio::spawn(tunnel(self.backend.dial(target), channel, reply, session.handle()));
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let target = Target::Unix(path.to_owned());
        tokio::spawn(tunnel(self.backend.dial(target), channel, reply, session.handle()));
        Ok(())
    }
}

/// Joins a tunnel's two ends until both are through.
async fn tunnel(dialled: Dialled, channel: Channel<Msg>, reply: ChannelOpenHandle, session: Handle) {
    match dialled.await {
        Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        Ok(mut inner) => {
            reply.accept().await;
            let id = channel.id();
            let mut outer = channel.into_stream();
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            let _ = session.close(id).await;
        }
    }
}

/// Carries a command's streams until it ends, then says how. As with OpenSSH, a client that goes away closes its
/// standard input, and nothing else is done to it.
async fn run(mut child: tokio::process::Child, channel: Channel<Msg>, session: Handle) {
    let id = channel.id();
    let (mut from, to) = channel.split();
    let (mut out, mut err) = (to.make_writer(), to.make_writer_ext(Some(1)));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // The channel is drained however slow the command reads: one that is not blocks the whole session.
    let (queue, queued) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Some(message) = from.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    let _ = queue.send(data.to_vec());
                }
                ChannelMsg::Eof => break,
                _ => {}
            }
        }
        drop(queue);
        while from.wait().await.is_some() {}
    });
    let writer = tokio::spawn(pour(queued, stdin));
    let both = async {
        let told = async {
            if let Some(mut stdout) = stdout {
                let _ = tokio::io::copy(&mut stdout, &mut out).await;
            }
        };
        let complained = async {
            if let Some(mut stderr) = stderr {
                let _ = tokio::io::copy(&mut stderr, &mut err).await;
            }
        };
        tokio::join!(told, complained);
        child.wait().await
    };
    let status = both.await;
    writer.abort();
    if let Ok(status) = status {
        match (status.code(), status.signal()) {
            (Some(code), _) => {
                let _ = session.exit_status_request(id, u32::from(code.to_le_bytes()[0])).await;
            }
            (None, signal) => {
                let name = signal_of(signal.unwrap_or(0));
                let _ = session.exit_signal_request(id, name, false, String::new(), String::new()).await;
            }
        }
    }
    let _ = session.eof(id).await;
    let _ = session.close(id).await;
    reader.abort();
}

async fn pour(mut queued: mpsc::UnboundedReceiver<Vec<u8>>, stdin: Option<tokio::process::ChildStdin>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(data) = queued.recv().await {
        if stdin.write_all(&data).await.is_err() {
            break;
        }
    }
}

fn signal_of(number: i32) -> Sig {
    match number {
        1 => Sig::HUP,
        2 => Sig::INT,
        3 => Sig::QUIT,
        4 => Sig::ILL,
        6 => Sig::ABRT,
        8 => Sig::FPE,
        9 => Sig::KILL,
        10 => Sig::USR1,
        11 => Sig::SEGV,
        13 => Sig::PIPE,
        14 => Sig::ALRM,
        15 => Sig::TERM,
        other => Sig::Custom(format!("{other}@lifeboat")),
    }
}

/// Keeps a copy of a socket, to end it from outside.
pub(super) fn another(socket: &TcpStream) -> io::Result<std::net::TcpStream> {
    Ok(socket.as_fd().try_clone_to_owned()?.into())
}
