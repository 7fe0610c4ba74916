//! The network between a console and a practice node: it can stand still, and it can end.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What all connections of one server pass through.
#[derive(Debug, Default)]
pub struct Gate {
    is_stalled: AtomicBool,
    asleep: Mutex<Vec<Waker>>,
    sockets: Mutex<Vec<std::net::TcpStream>>,
}

impl Gate {
    /// Lets bytes move again.
    pub fn open(&self) {
        self.is_stalled.store(false, Ordering::SeqCst);
        for waker in self.asleep.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            waker.wake();
        }
    }

    /// Keeps every byte where it is.
    pub fn stall(&self) {
        self.is_stalled.store(true, Ordering::SeqCst);
    }

    /// Ends every connection that stands.
    pub fn cut(&self) {
        for socket in self.sockets.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that has ended by itself is as good as cut.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether the caller must wait; it is woken when the gate opens.
    fn holds(&self, context: &Context) -> bool {
        if !self.is_stalled.load(Ordering::SeqCst) {
            return false;
        }
        let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        asleep.push(context.waker().clone());
        // It may have opened between the look and the lock.
        self.is_stalled.load(Ordering::SeqCst)
    }
}

/// A connection behind a [`Gate`].
#[derive(Debug)]
pub struct Gated {
    socket: TcpStream,
    gate: Arc<Gate>,
}

impl Gated {
    /// Puts a connection behind the gate.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new(socket: TcpStream, gate: Arc<Gate>) -> io::Result<Self> {
        let copy = super::server::another(&socket)?;
        let mut sockets = gate.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended need not be kept.
        sockets.retain(|socket| socket.peer_addr().is_ok());
        sockets.push(copy);
        drop(sockets);
        Ok(Self { socket, gate })
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        // The gate's copy would keep the connection open.
        let _ = socket2::SockRef::from(&self.socket).shutdown(Shutdown::Both);
    }
}

impl AsyncRead for Gated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.gate.holds(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        if self.gate.holds(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_write(cx, from)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
