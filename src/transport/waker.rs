//! A wake-up for a thread that waits in `poll`.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Wakes an owner thread out of its poll.
#[derive(Debug)]
pub(super) struct Waker {
    near: UnixStream,
    far: UnixStream,
}

impl Waker {
    pub(super) fn new() -> std::io::Result<Self> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Self { near, far })
    }
    /// Makes the end the owner polls readable; a full pipe is awake already.
    pub(super) fn wake(&self) {
        let _ = (&self.far).write(&[1]);
    }
    /// Swallows the wake-ups so far.
    pub(super) fn settle(&self) {
        let mut sink = [0; 256];
        while matches!((&self.near).read(&mut sink), Ok(1..)) {}
    }
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.near.as_fd()
    }
}
