//! The terminal: entered once, left once on every way out, lent to programs in between.
//!
//! What was switched on is kept in one place, so that leaving undoes exactly that, whoever leaves first: the loop, a
//! panic, or the end of a program the terminal was lent to. While the console owns the terminal, the error stream of
//! the process goes to the log: nothing but the console writes on the screen.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

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
    log: Option<File>,
    mouse: bool,
}

impl Screenful {
    /// Takes the terminal; the process's errors go to the log meanwhile.
    pub fn enter(log: Option<File>) -> io::Result<Self> {
        let frame = Frame::default();
        let (width, height) = size();
        let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
        let terminal = Terminal::with_options(CrosstermBackend::new(frame.clone()), TerminalOptions { viewport })?;
        let screen = Self { terminal, frame, log, mouse: false };
        screen.take()?;
        Ok(screen)
    }

    /// Draws one frame, which appears as one. `false` when the terminal takes nothing at this moment.
    pub fn draw(&mut self, render: impl FnOnce(Rect, &mut Buffer)) -> io::Result<bool> {
        if !takes_output()? {
            return Ok(false);
        }
        let (width, height) = size();
        let area = Rect::new(0, 0, width, height);
        if self.terminal.get_frame().area() != area {
            self.terminal.resize(area)?;
        }
        self.terminal.draw(|frame| render(frame.area(), frame.buffer_mut()))?;
        let drawn = std::mem::take(&mut *self.frame.0.borrow_mut());
        write_all(&[FRAME_BEGINS, &drawn, FRAME_ENDS].concat())?;
        Ok(true)
    }

    /// Gives the terminal to something else while `work` goes on, then takes it back; the next frame is drawn whole.
    pub fn lend<T>(&mut self, work: impl FnOnce() -> T) -> io::Result<T> {
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
            write_all(MOUSE_ON)
        } else {
            MODES.fetch_and(!MOUSE, Ordering::SeqCst);
            write_all(MOUSE_OFF)
        }
    }

    /// Writes something for the terminal itself.
    pub fn tell(bytes: &[u8]) -> io::Result<()> {
        write_all(bytes)
    }

    fn take(&self) -> io::Result<()> {
        enable_raw_mode()?;
        MODES.fetch_or(RAW, Ordering::SeqCst);
        if let Some(log) = &self.log {
            let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
            rustix::stdio::dup2_stderr(log)?;
            *OWN_ERRORS.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        }
        MODES.fetch_or(PAGE, Ordering::SeqCst);
        write_all(ENTER)?;
        if self.mouse {
            MODES.fetch_or(MOUSE, Ordering::SeqCst);
            write_all(MOUSE_ON)?;
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
        let _ = write_all(MOUSE_OFF);
    }
    if modes & PAGE != 0 {
        let _ = write_all(LEAVE);
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

/// Whether the terminal takes output: one that is held with ctrl-s or hangs on a slow link does not.
fn takes_output() -> io::Result<bool> {
    let out = rustix::stdio::stdout();
    let mut ready = [PollFd::new(&out, PollFlags::OUT)];
    poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    let ready = ready[0].revents();
    if ready.intersects(PollFlags::HUP | PollFlags::ERR) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(ready.contains(PollFlags::OUT))
}

fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
