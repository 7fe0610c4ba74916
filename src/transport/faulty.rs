//! A test instrument: a transport whose chosen calls fail in the ways real ones do.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Cancel, Dial, Duplex, Endpoint, Finished, Running, Script, Transport, TransportError, into_io};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is lost before the script began.
    LostBefore,
    /// The script runs to its end, but its reply is lost.
    LostAfter,
    /// The connection is lost when so many bytes of output have arrived.
    LostAfterBytes(u64),
    /// The operator cancels just before the call.
    Cancelled,
    /// Nobody answers in time, and nothing ran.
    TimedOut,
    /// The node refuses.
    Refused,
}

#[derive(Debug, Default)]
struct Book {
    calls: usize,
    scripts: Vec<Script>,
    faults: Vec<(usize, Trouble)>,
}

/// A decorator over any transport. Logins made with `again` share its count and its faults.
#[derive(Debug, Clone)]
pub struct Faulty {
    inner: Arc<dyn Transport>,
    book: Arc<Mutex<Book>>,
}

impl Faulty {
    /// Wraps a transport; nothing fails yet.
    pub fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, book: Arc::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the `call`-th start or dial, counted from 1, meet `trouble`.
    #[must_use]
    pub fn at(self, call: usize, trouble: Trouble) -> Self {
        self.book().faults.push((call, trouble));
        self
    }

    /// How many starts and dials there were.
    pub fn calls(&self) -> usize {
        self.book().calls
    }

    /// Every script asked for, in order, whether it ran or not.
    pub fn scripts(&self) -> Vec<Script> {
        self.book().scripts.clone()
    }

    /// Counts a call; fails it when its trouble comes before anything happens.
    fn call(&self, cancel: &Cancel) -> Result<Option<Trouble>, TransportError> {
        let mut book = self.book();
        book.calls += 1;
        let call = book.calls;
        let trouble = book.faults.iter().find(|(at, _)| *at == call).map(|(_, trouble)| *trouble);
        drop(book);
        let host = self.inner.endpoint().name.clone();
        match trouble {
            Some(Trouble::LostBefore) => Err(lost(&host)),
            Some(Trouble::Cancelled) => {
                cancel.cancel();
                Err(TransportError::Cancelled)
            }
            Some(Trouble::TimedOut) => {
                Err(TransportError::TimedOut { host, what: "an injected fault".into(), limit: Duration::from_secs(1) })
            }
            Some(Trouble::Refused) => {
                Err(TransportError::Refused { host, what: "a command".into(), why: "a fault was injected".into() })
            }
            later => Ok(later),
        }
    }
}

fn lost(host: &str) -> TransportError {
    TransportError::Lost { host: host.to_owned(), why: "a fault was injected".into() }
}

impl Transport for Faulty {
    fn endpoint(&self) -> &Endpoint {
        self.inner.endpoint()
    }

    fn start(&self, script: &Script, cancel: &Cancel) -> Result<Box<dyn Running>, TransportError> {
        self.book().scripts.push(script.clone());
        let trouble = self.call(cancel)?;
        let inner = self.inner.start(script, cancel)?;
        Ok(match trouble {
            None => inner,
            Some(trouble) => {
                let host = self.inner.endpoint().name.clone();
                Box::new(FaultyRun { host, inner: Some(inner), trouble, moved: 0 })
            }
        })
    }

    fn dial(&self, target: &Dial, cancel: &Cancel) -> Result<Box<dyn Duplex>, TransportError> {
        match self.call(cancel)? {
            None => self.inner.dial(target, cancel),
            Some(_) => Err(lost(&self.inner.endpoint().name)),
        }
    }

    fn again(&self, cancel: &Cancel) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(Arc::new(Self { inner: self.inner.again(cancel)?, book: Arc::clone(&self.book) }))
    }

    fn hang_up(&self) {
        self.inner.hang_up();
    }
}

struct FaultyRun {
    host: String,
    inner: Option<Box<dyn Running>>,
    trouble: Trouble,
    moved: u64,
}

impl FaultyRun {
    /// Loses the reply: a script that is to run first does so to its end.
    fn lose(&mut self) -> TransportError {
        if let Some(mut inner) = self.inner.take()
            && self.trouble == Trouble::LostAfter
        {
            let _ = inner.close_input();
            let _ = inner.finish();
        }
        lost(&self.host)
    }
}

impl Read for FaultyRun {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let left = match self.trouble {
            Trouble::LostAfterBytes(most) => most.saturating_sub(self.moved),
            _ => 0,
        };
        let Some(inner) = self.inner.as_mut().filter(|_| left > 0) else { return Err(into_io(self.lose())) };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let count = inner.read(&mut buf[..most])?;
        self.moved += count as u64;
        Ok(count)
    }
}

impl Write for FaultyRun {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self.inner.as_mut() {
            Some(inner) => inner.write(buf),
            None => Err(into_io(lost(&self.host))),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Running for FaultyRun {
    fn close_input(&mut self) -> std::io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.close_input())
    }
    fn finish(mut self: Box<Self>) -> Result<Finished, TransportError> {
        Err(self.lose())
    }
}
