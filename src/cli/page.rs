//! A stream for reading: lines as wide as a page, set in a little, broken where words end.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::engine::practice::Shows;

/// The widest line.
pub const WIDTH: usize = 80;

/// What is shown of the lines that pass; several pages may share one.
#[derive(Debug, Clone)]
pub struct Window(Arc<Mutex<(Shows, bool)>>);

impl Window {
    /// Shows what `shows` says.
    pub fn new(shows: Shows) -> Self {
        let is_open = !matches!(shows, Shows::From(_));
        Self(Arc::new(Mutex::new((shows, is_open))))
    }

    fn shows(&self, line: &str) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_mark = match &state.0 {
            Shows::All => false,
            Shows::From(mark) | Shows::Until(mark) => line.trim_start().starts_with(mark.as_str()),
        };
        if is_mark {
            state.1 = matches!(state.0, Shows::From(_));
        }
        state.1
    }
}

/// Writes lines through to another stream, each at most [`WIDTH`] columns with `margin` before it.
///
/// A line that goes on is set in as far as its first word, and two columns more.
pub struct Page<W> {
    inner: W,
    margin: &'static str,
    window: Window,
    begun: Vec<u8>,
}

impl<W: Write> Page<W> {
    /// A page on `inner`.
    pub fn new(inner: W, margin: &'static str, window: Window) -> Self {
        Self { inner, margin, window, begun: Vec::new() }
    }

    fn line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.begun);
        let line = String::from_utf8_lossy(&line);
        if !self.window.shows(&line) {
            return Ok(());
        }
        for row in wrap(&line, WIDTH.saturating_sub(self.margin.width())) {
            writeln!(self.inner, "{}", format!("{}{row}", self.margin).trim_end())?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Page<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            if byte == b'\n' {
                self.line()?;
            } else {
                self.begun.push(byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Breaks a line into rows of at most `width` columns, at blanks where there are any.
pub fn wrap(line: &str, width: usize) -> Vec<String> {
    let line = line.trim_end();
    let indent = line.width() - line.trim_start().width();
    let hang = " ".repeat((indent + 2).min(width / 2));
    let mut rows = Vec::new();
    let mut rest = line.to_owned();
    while rest.width() > width {
        let least = rest.width() - rest.trim_start().width();
        let mut columns = 0;
        let mut fits = 0;
        let mut blank = None;
        for (at, c) in rest.char_indices() {
            columns += c.width().unwrap_or(0);
            if c == ' ' && columns > least && columns <= width + 1 {
                blank = Some(at);
            }
            if columns > width {
                break;
            }
            fits = at + c.len_utf8();
        }
        let at = blank.filter(|at| !rest[..*at].trim().is_empty()).unwrap_or(fits.max(1));
        rows.push(rest[..at].trim_end().to_owned());
        rest = format!("{hang}{}", rest[at..].trim_start());
    }
    rows.push(rest);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_broken_where_words_end_and_set_in() {
        assert_eq!(wrap("  one two three four", 10), ["  one two", "    three", "    four"]);
        assert_eq!(wrap("abcdefghijkl", 5), ["abcde", "  fgh", "  ijk", "  l"]);
        assert_eq!(wrap("語語語", 4), ["語語", "  語"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn no_row_is_wider_than_the_page() {
        let mut out = Vec::new();
        let mut page = Page::new(&mut out, "    ", Window::new(Shows::All));
        write!(page, "{}\n{}\nend without a line\n", "word ".repeat(60), "x".repeat(200)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.width() <= WIDTH && line.starts_with("    ")), "{text}");
        assert_eq!(text.matches("word").count(), 60);
    }

    #[test]
    fn a_window_opens_or_closes_for_all_pages_that_share_it() {
        for (shows, left) in [(Shows::From("b".into()), "b2\nc\n"), (Shows::Until("b".into()), "a\n  a2\n")] {
            let window = Window::new(shows);
            let (mut out, mut err) = (Vec::new(), Vec::new());
            writeln!(Page::new(&mut out, "", window.clone()), "a\n  a2").unwrap();
            writeln!(Page::new(&mut err, "", window.clone()), "b2").unwrap();
            writeln!(Page::new(&mut out, "", window), "c").unwrap();
            let mut all = String::from_utf8(out).unwrap();
            let err = String::from_utf8(err).unwrap();
            all = all.replace("c\n", &format!("{err}c\n"));
            assert_eq!(all, left);
        }
    }
}
