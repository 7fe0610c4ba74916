//! Asking the operator for a secret at the terminal, without showing it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::model::secret::SecretString;
use crate::model::text::CleanText;

/// Somebody who can be asked for a secret: the terminal, the console's own input line, a test.
pub trait Prompter: Send + Sync {
    /// Asks for `purpose`, such as "sudo password of ops@val-1".
    ///
    /// # Errors
    /// A sentence: there is no terminal, or the operator declined.
    fn ask(&self, purpose: &str) -> Result<SecretString, String>;
}

/// The controlling terminal. Not standard input, which may be a pipe with something else in it.
#[derive(Debug)]
pub struct TtyPrompter {
    device: PathBuf,
    /// One question at a time, however many sessions need a password.
    turn: Mutex<()>,
}

/// No password is longer; memory for it is taken once, so that no copy is left behind by growing.
const LONGEST: usize = 4096;

impl Default for TtyPrompter {
    fn default() -> Self {
        Self::at("/dev/tty")
    }
}

impl TtyPrompter {
    /// Asks at `device` instead of the controlling terminal.
    pub fn at(device: impl Into<PathBuf>) -> Self {
        Self { device: device.into(), turn: Mutex::new(()) }
    }
}

impl Prompter for TtyPrompter {
    fn ask(&self, purpose: &str) -> Result<SecretString, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let tty = OpenOptions::new().read(true).write(true).open(&self.device);
        let mut tty = tty.map_err(|error| format!("There is no terminal to ask at: {error}."))?;
        let failed = |error: std::io::Error| format!("The terminal failed while asking: {error}.");
        let quiet = Quiet::new(&tty).map_err(failed)?;
        write!(tty, "{}: ", CleanText::new(purpose).one_line()).map_err(failed)?;
        tty.flush().map_err(failed)?;
        let answer = read_answer(&mut tty);
        drop(quiet);
        let _ = tty.write_all(b"\n");
        answer
    }
}

/// A terminal that shows nothing and sends no signal, until dropped.
///
/// Signals are off as well: an interrupt would end the program with the terminal still silent. `^C` is read as a
/// character instead and declines the question.
struct Quiet {
    tty: File,
    before: Termios,
}

impl Quiet {
    fn new(tty: &File) -> std::io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question was not meant as its answer.
        let silenced = Self { tty: tty.try_clone()?, before };
        tcsetattr(tty, OptionalActions::Flush, &quiet)?;
        Ok(silenced)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}

fn read_answer(tty: &mut impl Read) -> Result<SecretString, String> {
    const DECLINED: &str = "The question was declined.";
    let mut typed = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = Zeroizing::new([0]);
    loop {
        match tty.read(&mut *byte) {
            Ok(0) => return Err("The terminal went away.".into()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(format!("The terminal failed while asking: {error}.")),
        }
        match byte[0] {
            0x03 => return Err(DECLINED.into()),
            0x04 if typed.is_empty() => return Err(DECLINED.into()),
            b'\n' | b'\r' | 0x04 => break,
            0x15 => typed.clear(),
            0x08 | 0x7f => erase(&mut typed),
            _ if typed.len() == LONGEST => return Err("The answer is too long.".into()),
            other => typed.push(other),
        }
    }
    let text = std::str::from_utf8(&typed).map_err(|_| "The answer is not UTF-8.".to_owned())?;
    Ok(SecretString::from(text))
}

/// Takes the last character off, all its bytes.
fn erase(typed: &mut Vec<u8>) {
    while let Some(byte) = typed.pop() {
        if byte & 0xc0 != 0x80 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::ExposeSecret;

    fn typed(bytes: &[u8]) -> Result<String, String> {
        read_answer(&mut &bytes[..]).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn an_answer_can_be_edited_and_declined() {
        assert_eq!(typed(b"hunter2\n"), Ok("hunter2".into()));
        assert_eq!(typed("aü\x7fb\r".as_bytes()), Ok("ab".into()));
        assert_eq!(typed(b"wrong\x15right\n"), Ok("right".into()));
        assert_eq!(typed(b"\n"), Ok(String::new()));
        assert!(typed(b"half\x03").is_err());
        assert!(typed(b"\x04").is_err());
        assert!(typed(b"cut").is_err());
        assert!(typed(&[b'x'; 5000]).is_err());
    }
}
