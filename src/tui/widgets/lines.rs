//! Lines of text with a role each piece: what details, facts and sentences are shown as.

use unicode_width::UnicodeWidthStr;

use crate::tui::screen::{Canvas, wrap};
use crate::tui::theme::Role;
use crate::tui::widgets::scroll::Scroll;

/// The columns of a label.
const LABEL: u16 = 14;

/// One line, or several when it is too long for its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Nothing.
    Blank,
    /// A heading.
    Heading(String),
    /// A sentence, broken at spaces.
    Text(String, Role),
    /// A label and what it says, broken at spaces under itself.
    Field(String, String, Role),
    /// A sign with its word, and a sentence.
    Status(&'static str, String, String, Role),
}

impl Line {
    /// A sentence.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into(), Role::Text)
    }

    /// A sentence that may be overlooked.
    pub fn muted(text: impl Into<String>) -> Self {
        Self::Text(text.into(), Role::Muted)
    }

    /// A label and what it says.
    pub fn field(label: &str, value: impl Into<String>) -> Self {
        Self::Field(label.to_owned(), value.into(), Role::Text)
    }
}

/// A drawn row: pieces with their column and role.
type Row = Vec<(u16, String, Role)>;

/// Breaks lines into rows of at most `width` columns.
fn rows_of(lines: &[Line], width: u16) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut label_column = LABEL;
    for (number, line) in lines.iter().enumerate() {
        if !number.checked_sub(1).is_some_and(|before| matches!(lines.get(before), Some(Line::Field(..)))) {
            label_column = label_width(lines.get(number..).unwrap_or_default());
        }
        match line {
            Line::Blank => rows.push(Row::new()),
            Line::Heading(text) => rows.push(vec![(0, text.clone(), Role::Heading)]),
            Line::Text(text, role) => {
                rows.extend(wrap(text, usize::from(width)).into_iter().map(|part| vec![(0, part, *role)]));
            }
            Line::Field(label, value, role) => {
                let indent = label_column.max(u16::try_from(label.width()).unwrap_or(u16::MAX).saturating_add(2));
                let head = Head { text: label, role: Role::Muted, indent };
                under(&mut rows, &head, value, *role, width);
            }
            Line::Status(sign, word, sentence, role) => {
                let head = format!("{sign} {word}");
                let indent = LABEL.max(u16::try_from(head.width()).unwrap_or(LABEL).saturating_add(2));
                let head = Head { text: &head, role: *role, indent };
                under(&mut rows, &head, sentence, Role::Text, width);
            }
        }
    }
    rows
}

/// The column the texts of a block of fields begin at, so that they stand below each other; a very long label stands
/// out alone.
fn label_width(lines: &[Line]) -> u16 {
    let labels = lines.iter().map_while(|line| match line {
        Line::Field(label, ..) => Some(u16::try_from(label.width()).unwrap_or(u16::MAX).saturating_add(2)),
        _ => None,
    });
    labels.filter(|width| *width <= 2 * LABEL).fold(LABEL, u16::max)
}

/// What stands before a text, and the column the text begins at.
struct Head<'t> {
    text: &'t str,
    role: Role,
    indent: u16,
}

/// A head with its text to the right of it; below it where there is too little room, or the head is long.
fn under(rows: &mut Vec<Row>, head: &Head, text: &str, role: Role, width: u16) {
    let is_long = head.indent > 2 * LABEL || width < head.indent.saturating_add(12);
    let (indent, own_row) = if is_long { (2, true) } else { (head.indent, false) };
    let mut parts = wrap(text, usize::from(width.saturating_sub(indent))).into_iter();
    let first = vec![(0, head.text.to_owned(), head.role)];
    if own_row {
        rows.push(first);
    } else {
        let text = parts.next().map(|part| (indent, part, role));
        rows.push(first.into_iter().chain(text).collect());
    }
    rows.extend(parts.map(|part| vec![(indent, part, role)]));
}

/// How many rows lines take at a width.
pub fn height_of(lines: &[Line], width: u16) -> usize {
    rows_of(lines, width).len()
}

/// Draws lines as far as they are scrolled, a column away from the edges; says at the bottom right how many rows follow.
///
/// ```text
/// ▲ stale      The newest good copy is older than 24h.
/// last good    2026-11-18 02:50Z, 2d ago
/// ```
pub fn render_lines(lines: &[Line], scroll: &Scroll, canvas: &mut Canvas) {
    let width = canvas.area.width.saturating_sub(2);
    let rows = rows_of(lines, width);
    let height = usize::from(canvas.area.height);
    let top = scroll.top(rows.len(), height);
    let is_more = rows.len() > top + height;
    let shown = canvas.area.height.saturating_sub(u16::from(is_more));
    for (y, row) in (0..shown).zip(rows.iter().skip(top)) {
        for (x, text, role) in row {
            canvas.text_within(1 + x, y, width.saturating_sub(*x), text, *role);
        }
    }
    if is_more && canvas.area.height > 0 {
        let told = format!("{} {} more", canvas.theme.glyphs.unfolded, rows.len() - top - usize::from(shown));
        canvas.right(0, shown, canvas.area.width.saturating_sub(1), &told, Role::Muted);
    }
}

/// One sentence in the middle of a place, and what to do next below it: how a page says that there is nothing to show.
pub fn render_sentences(sentences: &[(&str, Role)], canvas: &mut Canvas) {
    let width = canvas.area.width.saturating_sub(4).min(64);
    let mut rows = Vec::new();
    for (text, role) in sentences {
        rows.extend(wrap(text, usize::from(width)).into_iter().map(|part| (part, *role)));
    }
    let count = u16::try_from(rows.len()).unwrap_or(u16::MAX);
    let y = canvas.area.height.saturating_sub(count) / 3;
    for (y, (text, role)) in (y..canvas.area.height).zip(rows) {
        let x = canvas.area.width.saturating_sub(u16::try_from(text.width()).unwrap_or(0)) / 2;
        canvas.text(x, y, &text, role);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_block_begin_in_one_column() {
        let begins = |lines: &[Line]| -> Vec<u16> {
            rows_of(lines, 80).iter().filter_map(|row| row.get(1)).map(|(x, ..)| *x).collect()
        };
        let field = |label: &str| Line::field(label, "x");
        assert_eq!(begins(&[field("user"), field("api.bootstrapped")]), [18, 18]);
        // Another block has its own, and one label past all measure moves only itself.
        assert_eq!(begins(&[field("api.bootstrapped"), Line::Blank, field("user")]), [18, 14]);
        assert_eq!(begins(&[field("user"), field(&"y".repeat(40))]), [14]);
    }
}
