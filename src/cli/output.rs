//! What goes to the two streams: text for people, one JSON document a line for programs.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::terminal;
use crate::model::exit::{Exit, Failure};

/// The version of every JSON document's shape; fields may be added, never changed.
pub const SCHEMA: u32 = 1;

/// Where a command writes. Cheap to clone; a broken pipe ends the writing quietly.
#[derive(Clone)]
pub struct Out {
    json: bool,
    progress: bool,
    streams: Arc<Mutex<Streams>>,
}

struct Streams {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    status: usize,
}

impl Out {
    /// The process's own streams; the status line only where a person can see it.
    pub fn of_process(json: bool, no_progress: bool) -> Self {
        let progress = !json && !no_progress && io::stderr().is_terminal();
        Self::new(json, progress, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Any two streams.
    pub fn new(json: bool, progress: bool, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { json, progress, streams: Arc::new(Mutex::new(Streams { out, err, status: 0 })) }
    }

    /// Whether documents are printed instead of text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a status line is shown.
    pub fn shows_progress(&self) -> bool {
        self.progress
    }

    fn with(&self, write: impl FnOnce(&mut Streams) -> io::Result<()>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody reads any more: there is nobody to tell.
        let _ = streams.clear_status().and_then(|()| write(&mut streams));
    }

    /// A line of the result, in text mode only.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            self.with(|streams| writeln!(streams.out, "{}", text.as_ref().trim_end()));
        }
    }

    /// Lines of the result, in text mode only.
    pub fn lines(&self, lines: impl IntoIterator<Item = impl AsRef<str>>) {
        lines.into_iter().for_each(|line| self.line(line));
    }

    /// A line about the way there: on the error stream in text mode, nothing in JSON.
    pub fn aside(&self, text: impl AsRef<str>) {
        if !self.json {
            self.with(|streams| writeln!(streams.err, "{}", text.as_ref().trim_end()));
        }
    }

    /// A document of the result, in JSON mode only. `schema` and `kind` are put first.
    pub fn document(&self, kind: &str, body: &impl Serialize) {
        if !self.json {
            return;
        }
        let mut document = json!({"schema": SCHEMA, "kind": kind});
        match serde_json::to_value(body) {
            Ok(Value::Object(fields)) => {
                for (key, value) in fields {
                    document[key] = value;
                }
            }
            Ok(other) => document["value"] = other,
            Err(error) => document["error"] = json!(error.to_string()),
        }
        self.with(|streams| writeln!(streams.out, "{document}"));
    }

    /// A failure: what failed, what state things are in, what to do next.
    pub fn failure(&self, failure: &Failure) {
        self.document("failure", failure);
        if self.json {
            return;
        }
        self.with(|streams| {
            writeln!(streams.err, "lifeboat: {}", failure.message)?;
            if let Some(state) = &failure.state {
                writeln!(streams.err, "  now:  {state}")?;
            }
            for hint in &failure.hints {
                writeln!(streams.err, "  next: {hint}")?;
            }
            Ok(())
        });
    }

    /// The end, for programs: the same code the process exits with.
    pub fn end(&self, exit: Exit) {
        self.document("end", &json!({"exit": exit, "code": exit.code()}));
    }

    /// Rewrites the one status line, cut to what the terminal is wide now, so that it never wraps.
    pub fn status(&self, text: &str) {
        if self.progress {
            // The last column stays free: some terminals wrap as soon as it is written.
            let room = terminal::columns().unwrap_or(80).saturating_sub(1);
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = streams.show_status(&fit(text, room));
        }
    }

    /// Takes the status line away.
    pub fn clear_status(&self) {
        self.with(|_| Ok(()));
    }
}

impl Streams {
    fn clear_status(&mut self) -> io::Result<()> {
        if self.status > 0 {
            write!(self.err, "\r{:1$}\r", "", self.status)?;
            self.err.flush()?;
            self.status = 0;
        }
        Ok(())
    }

    fn show_status(&mut self, text: &str) -> io::Result<()> {
        let width = unicode_width::UnicodeWidthStr::width(text);
        write!(self.err, "\r{text}{:1$}", "", self.status.saturating_sub(width))?;
        self.err.flush()?;
        self.status = width;
        Ok(())
    }
}

/// The text, or as much of its start as has room in `columns` with a sign that it goes on.
fn fit(text: &str, columns: usize) -> String {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut used = 0;
    let kept = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used < columns
    });
    kept.collect::<String>() + if columns > 0 { "…" } else { "" }
}

/// Rows under a heading, each column as wide as its widest cell; the last is never padded.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    use unicode_width::UnicodeWidthStr;
    let columns = heading.len();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        cells.chain([heading.get(column).map_or(0, |h| h.width())]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let join = |cells: &[String]| {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            line += cell;
            if column + 1 < cells.len() {
                let pad = widths.get(column).copied().unwrap_or(0).saturating_sub(cell.width()) + 2;
                line += &" ".repeat(pad);
            }
        }
        line.trim_end().to_owned()
    };
    let head: Vec<String> = heading.iter().map(|text| (*text).to_owned()).collect();
    std::iter::once(join(&head)).chain(rows.iter().map(|row| join(row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_cut_by_what_is_seen() {
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("longer", 5), "long…");
        assert_eq!(fit("語語語", 5), "語語…");
        assert_eq!(fit("語語語", 4), "語…");
        assert_eq!((fit("x", 0), fit("xy", 1)), (String::new(), "…".to_owned()));
    }

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let rows = vec![vec!["a".into(), "語".into(), "x".into()], vec!["long".into(), "b".into(), "y".into()]];
        assert_eq!(table(&["H", "W", "LAST"], &rows), ["H     W   LAST", "a     語  x", "long  b   y"]);
    }
}
