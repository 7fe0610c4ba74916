//! A program at a terminal: what it shows, and what is typed to it.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// A terminal with a program in it.
pub struct Terminal {
    screen: vt100::Parser,
    bytes: Receiver<Vec<u8>>,
    raw: Vec<u8>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts a program at a terminal of this size.
    pub fn start(command: CommandBuilder, rows: u16, cols: u16) -> Self {
        let pty = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let size = |n| NonZeroU16::new(n).unwrap();
        Self {
            screen: vt100::Parser::new(size(rows), size(cols), 0),
            bytes,
            raw: Vec::new(),
            keys: pty.master.take_writer().unwrap(),
            child,
            _master: pty.master,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.raw.extend_from_slice(bytes);
    }

    /// What stands on the screen.
    pub fn shown(&self) -> String {
        self.screen.screen().contents()
    }

    /// Everything the program ever wrote.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// Waits until `text` stands on the screen.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_mins(1);
        while !self.shown().contains(text) {
            match self.bytes.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(why) => panic!("'{text}' never came ({why:?}); the screen is\n{}", self.shown()),
            }
        }
    }

    /// Waits until the program has written `text`, wherever it stands now.
    #[track_caller]
    pub fn wait_until_written(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_mins(1);
        while !self.written().contains(text) {
            match self.bytes.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(why) => panic!("'{text}' was never written ({why:?}), but\n{}", self.written()),
            }
        }
    }

    /// Types.
    pub fn type_in(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for the program's end; its exit code.
    #[track_caller]
    pub fn end(&mut self) -> u32 {
        let limit = Instant::now() + Duration::from_mins(1);
        loop {
            match self.bytes.recv_timeout(Duration::from_millis(100)) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if Instant::now() < limit => {}
                Err(RecvTimeoutError::Timeout) => panic!("it never ended; the screen is\n{}", self.shown()),
            }
        }
        self.child.wait().unwrap().exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}
