//! A page: its own selection and scroll, never facts; those are the model's.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::action::{Action, Offer};
use super::filter::Filter;
use super::hit::{Click, Spot, Spots};
use super::message::{Effect, Notice};
use super::model::{JobId, Model};
use super::theme::{Role, Theme};
use crate::model::ids::HostId;

/// A page of the console. `act`, `typed` and `noticed` change only the page itself; everything else they ask for as effects.
pub trait Screen: Send {
    /// Where the operator is, outermost first: "prod", "val-1", "avalanchego".
    fn crumbs(&self, model: &Model) -> Vec<String>;
    /// What works here now, the most used first; the footer shows as many as fit, help shows all.
    fn offers(&self, model: &Model) -> Vec<Offer>;
    /// Does an action that [`Screen::offers`] offered and that is not off.
    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect>;
    /// Takes a key as text when a field of the page has the focus; `None` gives it to the keymap.
    fn typed(&mut self, _key: KeyEvent, _model: &Model) -> Option<Vec<Effect>> {
        None
    }
    /// While a field has the focus: the keys that do more than write into it, each with what it does. The footer
    /// shows these and nothing else.
    fn keys_while_typing(&self) -> Option<&'static [(&'static str, &'static str)]> {
        None
    }
    /// Takes pasted text when a field has the focus.
    fn pasted(&mut self, _text: &str, _model: &Model) {}
    /// Takes a click of the mouse: it selects what lies there, and does nothing else.
    fn clicked(&mut self, _click: Click, _model: &Model) -> Vec<Effect> {
        Vec::new()
    }
    /// Hears of what the crew reported, after the model took it in.
    fn noticed(&mut self, _notice: &Notice, _model: &Model) -> Vec<Effect> {
        Vec::new()
    }
    /// Hears of the time when it is opened, and while something on it moves.
    fn timed(&mut self, _model: &Model) -> Vec<Effect> {
        Vec::new()
    }
    /// Whether whoever looks at this page sees how this job goes.
    fn shows_job(&self, _job: JobId) -> bool {
        false
    }
    /// The host the page is about or has selected.
    fn host(&self, _model: &Model) -> Option<HostId> {
        None
    }
    /// Narrows the page's list; a page without a list offers no [`Action::Filter`].
    fn narrow(&mut self, _filter: Filter) {}
    /// Hears that the filter is as it is meant: what is not at hand is asked for.
    fn narrowed(&mut self, _model: &Model) -> Vec<Effect> {
        Vec::new()
    }
    /// What narrows the page's list now: going back shows all again first.
    fn filter(&self) -> Option<&Filter> {
        None
    }
    /// The action that opens this page: asked for once more, it opens no second one.
    fn opened_by(&self) -> Option<Action> {
        None
    }
    /// Whether something on the page moves by itself, so that time must be told.
    fn is_moving(&self, _model: &Model) -> bool {
        false
    }
    /// Whether there is no desk behind the page yet, so that the console's other pages have nothing to show.
    fn is_alone(&self) -> bool {
        false
    }
    /// Draws the page.
    fn view(&self, model: &Model, canvas: &mut Canvas);
}

/// Where a page or widget draws. Every call stays inside the area, whatever its size.
pub struct Canvas<'a> {
    /// The cells.
    pub buffer: &'a mut Buffer,
    /// The look.
    pub theme: &'a Theme,
    /// Where to draw.
    pub area: Rect,
    /// Where it is noted what lies where, while somebody wants to know.
    spots: Option<&'a Spots>,
}

impl<'a> Canvas<'a> {
    /// Over an area of these cells.
    pub fn over(buffer: &'a mut Buffer, theme: &'a Theme, area: Rect) -> Self {
        Canvas { buffer, theme, area, spots: None }
    }

    /// The same, noting what lies where.
    #[must_use]
    pub fn noting(self, spots: Option<&'a Spots>) -> Self {
        Canvas { spots, ..self }
    }

    /// This is the place of a page's pane.
    #[must_use]
    pub fn as_pane(self, number: u8) -> Self {
        if let Some(spots) = self.spots {
            spots.note(self.area, Spot::Pane(number));
        }
        self
    }

    /// In this row of the area stands a row of the pane's list.
    pub fn mark_row(&self, y: u16, number: usize) {
        if let Some(spots) = self.spots.filter(|_| y < self.area.height) {
            spots.note(Rect { y: self.area.y + y, height: 1, ..self.area }, Spot::Row(number));
        }
    }

    /// The same cells, another area, cut to this one's.
    pub fn within(&mut self, area: Rect) -> Canvas<'_> {
        let area = area.intersection(self.area).intersection(self.buffer.area);
        Canvas { buffer: self.buffer, theme: self.theme, area, spots: self.spots }
    }

    /// As [`Canvas::within`], when nobody draws on this one any more.
    #[must_use]
    pub fn into_within(self, area: Rect) -> Canvas<'a> {
        let area = area.intersection(self.area).intersection(self.buffer.area);
        Canvas { area, ..self }
    }

    /// The look of a role.
    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// Writes text at a column and row of the area, cut with the theme's sign when it does not fit; gives the column after it.
    pub fn text(&mut self, x: u16, y: u16, text: &str, role: Role) -> u16 {
        self.text_within(x, y, self.area.width.saturating_sub(x), text, role)
    }

    /// Writes text into at most `width` columns; gives the column after it.
    pub fn text_within(&mut self, x: u16, y: u16, width: u16, text: &str, role: Role) -> u16 {
        if y >= self.area.height || x >= self.area.width {
            return x;
        }
        let width = width.min(self.area.width - x);
        let shown = cut(text, usize::from(width), self.theme.glyphs.cut);
        let style = self.theme.style(role);
        let (end, _) = self.buffer.set_stringn(self.area.x + x, self.area.y + y, &shown, usize::from(width), style);
        end.saturating_sub(self.area.x)
    }

    /// Writes text so that it ends at the right edge of `width` columns from `x`.
    pub fn right(&mut self, x: u16, y: u16, width: u16, text: &str, role: Role) {
        let shown = cut(text, usize::from(width), self.theme.glyphs.cut);
        let used = u16::try_from(shown.width()).unwrap_or(width).min(width);
        self.text_within(x + (width - used), y, used, &shown, role);
    }

    /// Gives every cell of a row the look of a role, keeping what is written.
    pub fn paint_row(&mut self, y: u16, role: Role) {
        if y < self.area.height {
            let row = Rect { y: self.area.y + y, height: 1, ..self.area };
            if role == Role::Selection {
                // One calm bar: pieces that kept their colours would stand in it as patches. Signs and words stay.
                self.buffer.set_style(row, Style::reset());
            }
            self.buffer.set_style(row, self.theme.style(role));
        }
    }

    /// Marks in a row what a filter matched, column by column: why the row is shown.
    pub fn mark_matches(&mut self, y: u16, filter: Option<&Filter>) {
        let Some(filter) = filter.filter(|_| y < self.area.height) else { return };
        let row = self.area.y + y;
        let letters: Vec<(u16, String)> = (self.area.left()..self.area.right())
            .filter_map(|x| self.buffer.cell((x, row)).map(|cell| (x, cell.symbol().to_owned())))
            .collect();
        let style = self.theme.style(Role::Match);
        // Columns stand at least two blanks apart.
        let mut begins = 0;
        while begins < letters.len() {
            let is_gap = |at: usize| letters.iter().skip(at).take(2).all(|(_, symbol)| symbol == " ");
            let ends = (begins..letters.len()).find(|at| is_gap(*at)).unwrap_or(letters.len());
            let column = letters.get(begins..ends).unwrap_or_default();
            // The second half of a wide letter is a cell of its own, and no letter.
            let shown: Vec<&(u16, String)> = column
                .iter()
                .enumerate()
                .filter(|(at, _)| {
                    at.checked_sub(1).and_then(|at| column.get(at)).is_none_or(|(_, symbol)| symbol.width() < 2)
                })
                .map(|(_, letter)| letter)
                .collect();
            let text: String = shown.iter().map(|(_, symbol)| symbol.as_str()).collect();
            for (x, symbol) in filter.marks(&text).into_iter().filter_map(|at| shown.get(at)) {
                let width = u16::try_from(symbol.width()).unwrap_or(1);
                self.buffer.set_style(Rect { x: *x, y: row, width, height: 1 }, style);
            }
            begins = ends.max(begins) + 1;
        }
    }

    /// Steps back behind what is laid over it: letters and frames stay, colours and selections go.
    pub fn step_back(&mut self) {
        let ground = self.theme.style(Role::Text);
        let (text, frame) = (ground.patch(self.theme.style(Role::Muted)), ground.patch(self.theme.style(Role::Border)));
        let is_frame = |symbol: &str| symbol.chars().all(|c| ('─'..='╿').contains(&c));
        for y in self.area.top()..self.area.bottom() {
            for x in self.area.left()..self.area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    let style = match cell.symbol() {
                        " " => ground,
                        symbol if is_frame(symbol) => frame,
                        _ => text,
                    };
                    cell.set_style(Style::reset()).set_style(style);
                }
            }
        }
    }

    /// Fills the area with blanks.
    pub fn clear(&mut self) {
        let style = self.theme.style(Role::Text);
        for y in self.area.top()..self.area.bottom() {
            for x in self.area.left()..self.area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                    cell.set_style(style);
                }
            }
        }
    }
}

/// Text cut to a width in columns, by grapheme, ending in `sign` where something is missing.
pub fn cut(text: &str, width: usize, sign: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(sign.width());
    let mut used = 0;
    let mut kept = String::new();
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used > room {
            break;
        }
        kept.push_str(grapheme);
    }
    if width >= sign.width() {
        kept.push_str(sign);
    }
    kept
}

/// Text cut in its middle to a width in columns: what a name begins and ends with tells it from others.
pub fn cut_middle(text: &str, width: usize, sign: &str) -> String {
    let room = width.saturating_sub(sign.width());
    if text.width() <= width || room < 8 {
        return cut(text, width, sign);
    }
    let head = cut(text, room.div_ceil(2), "");
    let mut tail: Vec<&str> = Vec::new();
    let mut used = head.width();
    for grapheme in text.graphemes(true).rev() {
        used += grapheme.width();
        if used > room {
            break;
        }
        tail.push(grapheme);
    }
    format!("{head}{sign}{}", tail.iter().rev().copied().collect::<String>())
}

/// Where the end of a line that is a piece of a long word had better be, in bytes: after the last sign that parts a
/// path, an address or a name, when that leaves the line at least half full.
fn break_of(line: &str, width: usize) -> Option<usize> {
    let at = line.rfind(['/', '@', '-', ',', '='])? + 1;
    line.get(..at).filter(|head| at < line.len() && head.width() * 2 >= width).map(|_| at)
}

fn is_unit(word: &str) -> bool {
    matches!(
        word.trim_end_matches([' ', '.', ',', ';', ':', ')']),
        "B" | "KiB" | "MiB" | "GiB" | "TiB" | "s" | "ms" | "%"
    )
}

/// Where the number begins that a line ends with, when it does not begin with it.
fn last_number(line: &str) -> Option<usize> {
    let at = line.trim_end().rfind(' ')? + 1;
    let number = line.get(at..)?.trim_end();
    number.chars().all(|letter| letter.is_ascii_digit() || letter == '.').then_some(at)
}

/// Text broken into lines of at most `width` columns, at spaces where there are any, else between the parts of a path.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_inclusive(' ') {
            if line.width() + word.trim_end().width() > width && !line.is_empty() {
                // A number stays with its unit.
                let number = if is_unit(word) { last_number(&line).map(|at| line.split_off(at)) } else { None };
                lines.push(line.trim_end().to_owned());
                line = number.unwrap_or_default();
            }
            if line.is_empty() && word.trim().is_empty() {
                continue;
            }
            for grapheme in word.graphemes(true) {
                if line.width() + grapheme.width() > width && grapheme != " " {
                    let rest = break_of(&line, width).map(|at| line.split_off(at)).unwrap_or_default();
                    lines.push(std::mem::replace(&mut line, rest));
                }
                line.push_str(grapheme);
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_column_and_says_so() {
        assert_eq!(cut("validator", 20, "…"), "validator");
        assert_eq!(cut("validator", 5, "…"), "vali…");
        assert_eq!(cut("日本語", 5, "…"), "日本…");
        assert_eq!(cut("日本語", 4, "…"), "日…");
        assert_eq!(cut("abc", 0, "…"), "");
    }

    #[test]
    fn the_middle_gives_way_where_both_ends_tell() {
        assert_eq!(cut_middle("Restore val-1/db@2026 to spare-1", 40, "…"), "Restore val-1/db@2026 to spare-1");
        assert_eq!(cut_middle("Restore val-1/db@2026 to spare-1", 20, "…"), "Restore va…o spare-1");
        assert_eq!(cut_middle("日本語日本語日本語", 11, "…"), "日本…日本語");
        assert_eq!(cut_middle("validator", 5, "…"), "vali…");
    }

    #[test]
    fn text_is_broken_at_spaces_and_long_words_in_the_middle() {
        assert_eq!(wrap("the node does not answer", 10), ["the node", "does not", "answer"]);
        // A full stop stays with its word.
        assert_eq!(wrap("it has faults.", 13), ["it has", "faults."]);
        assert_eq!(wrap("abcdefghijkl", 5), ["abcde", "fghij", "kl"]);
        // A path breaks after a slash rather than within a name, unless that would leave most of a line empty.
        assert_eq!(wrap("in /var/lib/lifeboat", 12), ["in", "/var/lib/", "lifeboat"]);
        assert_eq!(wrap("/a/lifeboats", 8), ["/a/lifeb", "oats"]);
        assert_eq!(wrap("", 5), Vec::<String>::new());
    }
}
