//! A sheet: rows of a sign, a few columns and text that wraps under itself. Checks, previews, receipts and runs are sheets.

use unicode_width::UnicodeWidthStr;

use crate::tui::screen::{Canvas, wrap};
use crate::tui::theme::{Glyphs, Role};

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
}

/// The columns a line of a command takes at most, unless one word of it is longer.
const COMMAND: usize = 70;

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

/// The width of the column of labels.
pub const LABEL: u16 = 11;

impl Row {
    /// An empty row.
    pub fn gap() -> Self {
        Self::say(Role::Text, "")
    }

    /// Text over the whole width.
    pub fn say(role: Role, text: impl Into<String>) -> Self {
        Self { indent: 0, sign: None, cells: Vec::new(), text: text.into(), role }
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

    /// A command line, a flag a line, so that it is read easily and can be copied as it stands.
    pub fn command(line: &str) -> Vec<Self> {
        let mut lines: Vec<String> = Vec::new();
        for word in shell_words(line) {
            let is_long = |line: &String| line.width() + word.width() + 3 > COMMAND;
            match lines.last_mut() {
                Some(last) if !word.starts_with("--") && !is_long(last) => {
                    last.push(' ');
                    last.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        let last = lines.len().saturating_sub(1);
        let row = |(at, text): (usize, String)| {
            let more = if at < last { " \\" } else { "" };
            let indent = if at == 0 { 2 } else { 6 };
            Self { indent, ..Self::say(Role::Text, format!("{text}{more}")) }
        };
        lines.into_iter().enumerate().map(row).collect()
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
        let lines = wrap(&self.text, usize::from(width.saturating_sub(self.before_text() + 1)));
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
        canvas.text(self.before_text(), y, text, self.role);
    }
}

/// How many lines the rows take at a width.
pub fn lines_of(rows: &[Row], width: u16) -> usize {
    rows.iter().map(|row| row.lines(width).len()).sum()
}

/// Draws rows from a row on, but never leaves blanks at the end that rows before could fill; says how many lines lie below.
///
/// ```text
///  ● target     spare-1 answers, avalanchego 1.13.5
///  ▲ copy       It was never proven in a restore, and it
///               is three days old.
/// ```
pub fn render_sheet(rows: &[Row], top: usize, canvas: &mut Canvas) -> usize {
    let (width, height) = (canvas.area.width, usize::from(canvas.area.height));
    let laid: Vec<Vec<String>> = rows.iter().map(|row| row.lines(width)).collect();
    let mut first = rows.len();
    let mut below = 0;
    while first > 0 && below + laid.get(first - 1).map_or(0, Vec::len) <= height {
        first -= 1;
        below += laid.get(first).map_or(0, Vec::len);
    }
    let first = top.min(first);
    let lines = rows
        .iter()
        .zip(&laid)
        .skip(first)
        .flat_map(|(row, lines)| lines.iter().enumerate().map(move |(number, text)| (row, number, text)));
    let mut drawn = 0;
    let all = laid.iter().skip(first).map(Vec::len).sum::<usize>();
    for (y, (row, number, text)) in (0..canvas.area.height).zip(lines) {
        row.render(y, number, text, canvas);
        drawn += 1;
    }
    all - drawn
}

/// Says on the lower edge of a panel how much lies below.
pub fn render_more(below: usize, canvas: &mut Canvas) {
    if below == 0 {
        return;
    }
    let text = format!(" {below} more below ");
    let width = u16::try_from(text.width()).unwrap_or(0);
    let (x, y) = (canvas.area.width.saturating_sub(width + 2), canvas.area.height.saturating_sub(1));
    canvas.text(x, y, &text, Role::Muted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_broken_between_words_only_and_reads_back_as_it_was() {
        let line = r"lifeboat --vault '/my vault' backup val-1/files/tree '--reason=it'\''s -- so' --plan-hash 0011";
        let rows = Row::command(line);
        assert!(rows.len() > 2);
        let text: Vec<&str> = rows.iter().map(|row| row.text.trim_end_matches(" \\")).collect();
        assert_eq!(text.join(" "), line);
    }
}
