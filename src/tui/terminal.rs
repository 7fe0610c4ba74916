//! The terminal: entered once, left once on every way out, lent to programs in between.
//!
//! What was switched on is kept in one place, so that leaving undoes exactly that, whoever leaves first: the loop, a
//! panic, or the end of a program the terminal was lent to. While the console owns the terminal, the error stream of
//! the process goes to the log: nothing but the console writes on the screen.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

mod basic;

/// How long a frame may keep the keyboard waiting; what the terminal has not taken by then it gets later.
const SHORT: Duration = Duration::from_millis(8);

/// How long a terminal may keep the console from leaving.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is written at once where a write may wait.
const PIECE: usize = 128;

const RAW: u8 = 1;
const PAGE: u8 = 2;
const MOUSE: u8 = 4;

/// What is switched on at this moment.
static MODES: AtomicU8 = AtomicU8::new(0);

/// The process's own error stream, while it goes to the log.
static OWN_ERRORS: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Alternate screen, bracketed paste, focus reports, no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?1004h\x1b[?25l";
/// The same backwards; an unfinished frame is ended first.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[0m\x1b[?25h\x1b[?1004l\x1b[?2004l\x1b[?1049l";
/// Buttons and wheel, in the form without a limit of columns; no motion.
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1000l";
/// A frame appears as one.
const FRAME_BEGINS: &[u8] = b"\x1b[?2026h";
const FRAME_ENDS: &[u8] = b"\x1b[?2026l";

/// Takes what is drawn and keeps it until the frame is whole: no flush in between reaches the terminal.
#[derive(Clone, Default)]
struct Frame(Rc<RefCell<Vec<u8>>>);

impl Write for Frame {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal while the console owns it; dropping it gives it back.
pub struct Screenful {
    terminal: Terminal<CrosstermBackend<Frame>>,
    frame: Frame,
    /// What the terminal has not taken yet: the rest of a frame.
    rest: Vec<u8>,
    log: Option<File>,
    /// Whether the terminal knows no colours but the sixteen.
    is_basic: bool,
    mouse: bool,
    /// Whether the terminal may show something else than what was drawn.
    is_stale: bool,
}

impl Screenful {
    /// Takes the terminal; the process's errors go to the log meanwhile.
    pub fn enter(log: Option<File>, is_basic: bool) -> io::Result<Self> {
        let frame = Frame::default();
        let (width, height) = size();
        let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
        let terminal = Terminal::with_options(CrosstermBackend::new(frame.clone()), TerminalOptions { viewport })?;
        let mut screen = Self { terminal, frame, rest: Vec::new(), log, is_basic, mouse: false, is_stale: false };
        screen.take()?;
        Ok(screen)
    }

    /// Draws one frame, which appears as one. `false` when the terminal has not taken all of it, or nothing at this
    /// moment; the next call goes on where it stopped.
    pub fn draw(&mut self, render: impl FnOnce(Rect, &mut Buffer)) -> io::Result<bool> {
        if !self.flush()? || !takes_output()? {
            return Ok(false);
        }
        let (width, height) = size();
        let area = Rect::new(0, 0, width, height);
        if std::mem::take(&mut self.is_stale) || self.terminal.get_frame().area() != area {
            self.terminal.resize(area)?;
        }
        self.terminal.draw(|frame| render(frame.area(), frame.buffer_mut()))?;
        let mut drawn = std::mem::take(&mut *self.frame.0.borrow_mut());
        if self.is_basic {
            drawn = basic::with_basic_colours(&drawn);
        }
        self.rest = [FRAME_BEGINS, &drawn, FRAME_ENDS].concat();
        self.flush()
    }

    /// The terminal had another size, if only for a moment in which nothing was drawn: what it cut off then is gone, so
    /// the next frame is drawn whole.
    pub fn was_resized(&mut self) {
        self.is_stale = true;
    }

    /// The area of the frame that was drawn last.
    pub fn area(&mut self) -> Rect {
        self.terminal.get_frame().area()
    }

    /// Writes what is left, as far as the terminal takes it without keeping the keyboard waiting; `true` when nothing
    /// is left.
    fn flush(&mut self) -> io::Result<bool> {
        let taken = write_within(&self.rest, SHORT)?;
        self.rest.drain(..taken);
        Ok(self.rest.is_empty())
    }

    /// Gives the terminal to something else while `work` goes on, then takes it back; the next frame is drawn whole.
    pub fn lend<T>(&mut self, work: impl FnOnce() -> T) -> io::Result<T> {
        self.rest.clear();
        give_back();
        let done = work();
        self.take()?;
        // Not `clear`: that asks the terminal where its cursor is and waits for the answer as if it were typed.
        let area = self.terminal.get_frame().area();
        self.terminal.resize(area)?;
        Ok(done)
    }

    /// Turns the mouse on or off.
    pub fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if on {
            MODES.fetch_or(MOUSE, Ordering::SeqCst);
            self.tell(MOUSE_ON)
        } else {
            MODES.fetch_and(!MOUSE, Ordering::SeqCst);
            self.tell(MOUSE_OFF)
        }
    }

    /// Whether the terminal has not taken all that was written.
    pub fn is_behind(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Writes something for the terminal itself, after what it has not taken yet.
    pub fn tell(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.rest.extend_from_slice(bytes);
        self.flush().map(|_| ())
    }

    fn take(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        MODES.fetch_or(RAW, Ordering::SeqCst);
        if let Some(log) = &self.log {
            let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
            rustix::stdio::dup2_stderr(log)?;
            *OWN_ERRORS.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        }
        MODES.fetch_or(PAGE, Ordering::SeqCst);
        self.tell(ENTER)?;
        if self.mouse {
            MODES.fetch_or(MOUSE, Ordering::SeqCst);
            self.tell(MOUSE_ON)?;
        }
        Ok(())
    }
}

impl Drop for Screenful {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives back what is taken; whoever comes second finds nothing to do. A terminal that is gone needs nothing.
pub fn give_back() {
    let modes = MODES.swap(0, Ordering::SeqCst);
    if modes & MOUSE != 0 {
        let _ = print(MOUSE_OFF);
    }
    if modes & PAGE != 0 {
        let _ = print(LEAVE);
    }
    if modes & RAW != 0 {
        let _ = disable_raw_mode();
    }
    if let Some(own) = OWN_ERRORS.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = rustix::stdio::dup2_stderr(own);
    }
}

/// Columns and rows as the kernel has them; 0×0 when nobody knows.
fn size() -> (u16, u16) {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
    size.map_or((0, 0), |size| (size.ws_col, size.ws_row))
}

/// The terminal, opened anew so that writing to it never waits: a terminal that says it takes output may take less than
/// a frame. The process's own standard output is shared with whoever started it and stays as it is.
///
/// `None` where it cannot be opened, as after a change of user.
static OWN: LazyLock<Option<OwnedFd>> = LazyLock::new(|| {
    let name = rustix::termios::ttyname(rustix::stdio::stdout(), Vec::new()).ok()?;
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(name, flags, Mode::empty()).ok()
});

fn out() -> BorrowedFd<'static> {
    match &*OWN {
        Some(own) => own.as_fd(),
        None => rustix::stdio::stdout(),
    }
}

/// Whether the terminal takes output: one that is held or hangs on a slow link does not.
fn takes_output() -> io::Result<bool> {
    takes_output_within(Duration::ZERO)
}

fn takes_output_within(wait: Duration) -> io::Result<bool> {
    let out = out();
    let mut ready = [PollFd::new(&out, PollFlags::OUT)];
    let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
    match poll(&mut ready, Some(&wait)) {
        Err(Errno::INTR) => return Ok(false),
        polled => polled?,
    };
    let ready = ready[0].revents();
    if ready.intersects(PollFlags::HUP | PollFlags::ERR) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(ready.contains(PollFlags::OUT))
}

/// Writes as much as the terminal takes within a time; gives how much that was.
fn write_within(bytes: &[u8], wait: Duration) -> io::Result<usize> {
    let until = Instant::now() + wait;
    let mut taken = 0;
    while taken < bytes.len() {
        let rest = &bytes[taken..];
        // A terminal that could not be opened anew is written to in pieces it surely has room for.
        let piece = if OWN.is_some() { rest } else { &rest[..rest.len().min(PIECE)] };
        let is_ready = OWN.is_some() || takes_output()?;
        match is_ready.then(|| rustix::io::write(out(), piece)) {
            Some(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Some(Ok(count)) => taken += count,
            None | Some(Err(Errno::AGAIN)) => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                takes_output_within(left.min(SHORT))?;
            }
            Some(Err(Errno::INTR)) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(taken)
}

/// Writes all of it, or what a terminal that takes nothing more took until it was given up.
pub fn print(bytes: &[u8]) -> io::Result<()> {
    write_within(bytes, PATIENCE).map(|_| ())
}
