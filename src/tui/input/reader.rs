//! The thread that reads the keyboard, and can be told to leave it alone.

use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use crossterm::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::decode::Decoder;

/// Events that may wait unseen; then the reader waits.
const QUEUE: usize = 1024;

/// What the reader gives.
#[derive(Debug, PartialEq)]
pub enum Given {
    /// An event.
    Event(Event),
    /// Something happened to what is watched beside the keyboard.
    Touched,
    /// It left the keyboard alone, as it was told.
    Paused,
    /// The terminal is gone.
    Gone,
}

/// What comes in.
#[derive(Debug, PartialEq)]
pub enum Input {
    /// An event of the terminal.
    Event(Event),
    /// Something happened to what is watched beside it.
    Touched,
}

/// The reader's orders, a byte each.
const PAUSE: u8 = b'p';
const GO_ON: u8 = b'g';
const END: u8 = b'e';
#[cfg(debug_assertions)]
const FAIL: u8 = b'f';

/// The keyboard of the terminal at standard input.
pub struct Keyboard {
    orders: OwnedFd,
    given: Receiver<Given>,
    /// What came in while waiting for a pause.
    kept: Vec<Input>,
    hand: Option<JoinHandle<()>>,
}

impl Keyboard {
    /// Begins to read; `watch` is looked at beside the keyboard, so that neither needs to be asked again and again.
    pub fn open(watch: Option<OwnedFd>) -> io::Result<Self> {
        let (orders_out, orders) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (send, given) = channel(QUEUE);
        let reader = Reader { orders: orders_out, watch, send, decoder: Decoder::default() };
        let hand = std::thread::Builder::new().name("keyboard".to_owned()).spawn(move || reader.read())?;
        Ok(Self { orders, given, kept: Vec::new(), hand: Some(hand) })
    }

    /// The next event; `None` when the terminal is gone.
    ///
    /// # Panics
    /// As its thread did: a console that hears no key any more has failed inside.
    pub async fn next(&mut self) -> Option<Input> {
        if !self.kept.is_empty() {
            return Some(self.kept.remove(0));
        }
        loop {
            match self.given.recv().await {
                Some(Given::Event(event)) => return Some(Input::Event(event)),
                Some(Given::Touched) => return Some(Input::Touched),
                Some(Given::Paused) => {}
                Some(Given::Gone) => return None,
                None => {
                    self.fail_as_the_reader();
                    return None;
                }
            }
        }
    }

    /// Takes over the panic of the reader's thread, if that is how it ended; it has been reported there.
    fn fail_as_the_reader(&mut self) {
        if let Some(Err(panic)) = self.hand.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }

    /// Has the reader fail inside, on its own thread: tests see what is left of the terminal.
    #[cfg(debug_assertions)]
    pub fn fail_inside(&self) {
        let _ = self.order(FAIL);
    }

    /// Leaves the keyboard alone; nothing is read any more when this returns. `false` when the terminal is gone.
    ///
    /// # Panics
    /// As [`Self::next`].
    pub async fn pause(&mut self) -> bool {
        if self.order(PAUSE).is_err() {
            return false;
        }
        loop {
            match self.given.recv().await {
                Some(Given::Event(event)) => self.kept.push(Input::Event(event)),
                Some(Given::Touched) => self.kept.push(Input::Touched),
                Some(Given::Paused) => return true,
                Some(Given::Gone) => return false,
                None => {
                    self.fail_as_the_reader();
                    return false;
                }
            }
        }
    }

    /// Reads again.
    pub fn go_on(&self) {
        // A reader that ended has said that the terminal is gone.
        let _ = self.order(GO_ON);
    }

    fn order(&self, order: u8) -> io::Result<()> {
        rustix::io::write(&self.orders, &[order])?;
        Ok(())
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = self.order(END);
        self.given.close();
        if let Some(hand) = self.hand.take() {
            let _ = hand.join();
        }
    }
}

struct Reader {
    orders: OwnedFd,
    watch: Option<OwnedFd>,
    send: Sender<Given>,
    decoder: Decoder,
}

impl Reader {
    /// Reads until it is told to end or the terminal is gone. It sleeps in `poll` and nowhere else.
    fn read(mut self) {
        let mut is_paused = false;
        loop {
            let patience = self.decoder.patience().and_then(|wait| Timespec::try_from(wait).ok());
            let tty = rustix::stdio::stdin();
            // A paused reader must not see keys, only that the terminal went away.
            let wanted = if is_paused { PollFlags::empty() } else { PollFlags::IN };
            let mut ready = vec![PollFd::new(&self.orders, PollFlags::IN), PollFd::from_borrowed_fd(tty, wanted)];
            ready.extend(self.watch.as_ref().map(|watch| PollFd::new(watch, PollFlags::IN)));
            let polled = poll(&mut ready, patience.as_ref());
            let (orders, keys) = (ready[0].revents(), ready[1].revents());
            let is_touched = ready.get(2).is_some_and(|watch| !watch.revents().is_empty());
            drop(ready);
            let given = match polled {
                Err(Errno::INTR) => continue,
                Err(_) => return self.say_gone(),
                Ok(0) => self.decoder.decide(),
                Ok(_) if !orders.is_empty() => match self.take_order() {
                    Some(pause) => {
                        is_paused = pause;
                        continue;
                    }
                    None => return,
                },
                Ok(_) if is_touched => {
                    self.drain_watch();
                    if self.send.blocking_send(Given::Touched).is_err() {
                        return;
                    }
                    continue;
                }
                Ok(_) if keys.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => return self.say_gone(),
                Ok(_) => {
                    let mut bytes = [0; 4096];
                    match rustix::io::read(tty, &mut bytes) {
                        Ok(0) => return self.say_gone(),
                        Ok(count) => self.decoder.take(&bytes[..count]),
                        Err(Errno::INTR | Errno::AGAIN) => continue,
                        Err(_) => return self.say_gone(),
                    }
                }
            };
            for event in given {
                if self.send.blocking_send(Given::Event(event)).is_err() {
                    return;
                }
            }
        }
    }

    /// Whether to pause or to go on; `None` when it is over.
    #[cfg_attr(debug_assertions, expect(clippy::panic, reason = "this is what is tried"))]
    fn take_order(&self) -> Option<bool> {
        let mut order = [0];
        match rustix::io::read(&self.orders, &mut order) {
            #[cfg(debug_assertions)]
            Ok(1) if order[0] == FAIL => panic!("the keyboard was told to fail"),
            Ok(1) if order[0] == PAUSE => self.send.blocking_send(Given::Paused).is_ok().then_some(true),
            Ok(1) if order[0] == GO_ON => Some(false),
            _ => None,
        }
    }

    /// Empties the watch: what happened is of no interest, only that something did. A broken one is not asked again.
    fn drain_watch(&mut self) {
        let mut noise = [0; 4096];
        loop {
            match self.watch.as_ref().map(|watch| rustix::io::read(watch, &mut noise)) {
                Some(Ok(count)) if count > 0 => {}
                Some(Err(Errno::AGAIN)) | None => return,
                Some(Err(Errno::INTR)) => {}
                Some(_) => self.watch = None,
            }
        }
    }

    fn say_gone(self) {
        let _ = self.send.blocking_send(Given::Gone);
    }
}
