//! A sheet: rows of a sign, a few columns and text that wraps under itself. Checks, previews, receipts and runs are sheets.

use unicode_width::UnicodeWidthStr;

use crate::tui::screen::{Canvas, wrap};
use crate::tui::theme::{Glyphs, Role};
use crate::tui::widgets::panel::Hidden;
use crate::tui::widgets::scroll::Scroll;

/// What stands before a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// All is well.
    Ok,
    /// Worth a look.
    Warn,
    /// In the way.
    Bad,
    /// Not known.
    Unknown,
    /// Under way.
    Now,
    /// Done.
    Done,
    /// Still to come.
    Next,
}

impl Sign {
    /// Its role and glyph.
    pub fn look(self, glyphs: &Glyphs) -> (Role, &'static str) {
        match self {
            Self::Ok => (Role::StatusOk, glyphs.ok),
            Self::Warn => (Role::StatusWarn, glyphs.warn),
            Self::Bad => (Role::StatusBad, glyphs.bad),
            Self::Unknown | Self::Next => (Role::StatusUnknown, glyphs.unknown),
            Self::Now => (Role::StatusRunning, glyphs.running),
            Self::Done => (Role::StatusOk, glyphs.mark),
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    indent: u16,
    sign: Option<Sign>,
    cells: Vec<(String, u16, Role)>,
    text: String,
    role: Role,
    is_command: bool,
}

/// The columns a line of a command takes at most, unless one word of it is longer.
const COMMAND: usize = 96;

/// How far the lines of a command after its first are set in.
const SET_IN: u16 = 4;

/// The words of a line as a shell sees them, quotes left on.
fn shell_words(line: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let is_end = |letter: char| {
        quoted ^= letter == '\'' && !escaped;
        escaped = letter == '\\' && !quoted;
        letter == ' ' && !quoted
    };
    line.split(is_end).filter(|word| !word.is_empty()).collect()
}

/// The words of a command that are better not parted: a flag and its value.
fn command_parts(line: &str, room: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut after_flag = false;
    for word in shell_words(line) {
        let is_flag = word.starts_with("--");
        match parts.last_mut().filter(|_| after_flag && !is_flag) {
            Some(flag) if flag.width() + 1 + word.width() <= room => *flag = format!("{flag} {word}"),
            _ => parts.push(word.to_owned()),
        }
        after_flag = is_flag && !word.contains('=');
    }
    parts
}

/// A command in lines of at most `width` columns; a word longer than a line goes on in the next one without a backslash.
fn command_lines(line: &str, width: usize) -> Vec<String> {
    let room = |number: usize| width.min(COMMAND).saturating_sub(2 + if number == 0 { 0 } else { usize::from(SET_IN) });
    let mut lines: Vec<String> = Vec::new();
    for part in command_parts(line, room(1)) {
        let at = lines.len();
        match lines.last_mut() {
            Some(last) if last.width() + 1 + part.width() <= room(at - 1) => *last = format!("{last} {part}"),
            last => {
                if let Some(last) = last {
                    last.push_str(" \\");
                }
                lines.extend(wrap(&part, room(at).max(8)));
            }
        }
    }
    lines
}

/// The width of the column of labels.
pub const LABEL: u16 = 11;

impl Row {
    /// An empty row.
    pub fn gap() -> Self {
        Self::say(Role::Text, "")
    }

    /// Text over the whole width.
    pub fn say(role: Role, text: impl Into<String>) -> Self {
        Self { indent: 0, sign: None, cells: Vec::new(), text: text.into(), role, is_command: false }
    }

    /// The head of a part.
    pub fn heading(text: impl Into<String>) -> Self {
        Self::say(Role::Heading, text)
    }

    /// A label and what it is.
    pub fn pair(label: &str, text: impl Into<String>) -> Self {
        Self::say(Role::Text, text).cell(label, LABEL, Role::Muted)
    }

    /// A sign and text.
    pub fn signed(sign: Sign, text: impl Into<String>) -> Self {
        Self { sign: Some(sign), ..Self::say(Role::Text, text) }
    }

    /// A command line as a shell takes it: broken between words, each line but the last ending in a backslash.
    pub fn command(line: impl Into<String>) -> Self {
        Self { indent: 2, is_command: true, ..Self::say(Role::Text, line) }
    }

    /// Adds a column before the text.
    #[must_use]
    pub fn cell(mut self, text: impl Into<String>, width: u16, role: Role) -> Self {
        self.cells.push((text.into(), width, role));
        self
    }

    /// The text in another role.
    #[must_use]
    pub fn as_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Set in by columns.
    #[must_use]
    pub fn set_in(mut self, by: u16) -> Self {
        self.indent += by;
        self
    }

    /// Puts a sign before it.
    #[must_use]
    pub fn sign(mut self, sign: Sign) -> Self {
        self.sign = Some(sign);
        self
    }

    fn before_text(&self) -> u16 {
        let sign = if self.sign.is_some() { 2 } else { 0 };
        1 + self.indent + sign + self.cells.iter().map(|(_, width, _)| width + 1).sum::<u16>()
    }

    fn lines(&self, width: u16) -> Vec<String> {
        let room = usize::from(width.saturating_sub(self.before_text() + 1));
        let lines = if self.is_command { command_lines(&self.text, room) } else { wrap(&self.text, room) };
        if lines.is_empty() { vec![String::new()] } else { lines }
    }

    fn render(&self, y: u16, line: usize, text: &str, canvas: &mut Canvas) {
        if line == 0 {
            let mut x = 1 + self.indent;
            if let Some(sign) = self.sign {
                let (role, glyph) = sign.look(&canvas.theme.glyphs);
                canvas.text(x, y, glyph, role);
                x += 2;
            }
            for (text, width, role) in &self.cells {
                canvas.text_within(x, y, *width, text, *role);
                x += width + 1;
            }
        }
        let set_in = if self.is_command && line > 0 { SET_IN } else { 0 };
        canvas.text(self.before_text() + set_in, y, text, self.role);
    }
}

/// How many lines the rows take at a width.
pub fn lines_of(rows: &[Row], width: u16) -> usize {
    rows.iter().map(|row| row.lines(width).len()).sum()
}

/// Draws rows as far as they are scrolled; says how many lines lie above and below.
///
/// ```text
///  ● target     spare-1 answers, avalanchego 1.13.5
///  ▲ copy       It was never proven in a restore, and it
///               is three days old.
/// ```
pub fn render_sheet(rows: &[Row], scroll: &Scroll, canvas: &mut Canvas) -> Hidden {
    let (width, height) = (canvas.area.width, usize::from(canvas.area.height));
    let laid: Vec<(&Row, usize, String)> = rows
        .iter()
        .flat_map(|row| row.lines(width).into_iter().enumerate().map(move |(number, text)| (row, number, text)))
        .collect();
    let top = scroll.top(laid.len(), height);
    for (y, (row, number, text)) in (0..canvas.area.height).zip(laid.iter().skip(top)) {
        row.render(y, *number, text, canvas);
    }
    Hidden::of(top, laid.len(), height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_broken_between_words_only_and_reads_back_as_it_was() {
        let line = r"lifeboat --vault '/my vault' backup val-1/files/tree '--reason=it'\''s -- so' --plan-hash 0011";
        let lines = Row::command(line).lines(50);
        assert!(lines.len() > 2, "{lines:?}");
        assert!(lines.iter().all(|line| line.width() <= 50 - 4), "{lines:?}");
        let words: Vec<&str> = lines.iter().map(|line| line.trim_end_matches(" \\")).collect();
        assert_eq!(words.join(" "), line);
        // Where there is room it is one line; a flag keeps its value; a word too long for any line is whole again when
        // its pieces are put together.
        assert_eq!(Row::command("lifeboat runs").lines(80), ["lifeboat runs"]);
        let lines = Row::command("lifeboat restore abc@0011 --to spare-1").lines(34);
        assert_eq!(lines, ["lifeboat restore abc@0011 \\", "--to spare-1"]);
        let lines = Row::command(format!("lifeboat show {}", "y".repeat(60))).lines(50);
        assert_eq!(lines.concat(), format!("lifeboat show \\{}", "y".repeat(60)));
    }
}
