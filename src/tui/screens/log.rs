//! The log: what the console noted, newest last. It follows new lines until somebody moves away from the end.

use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Tone};
use crate::tui::model::{LogLine, Model};
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen, wrap};
use crate::tui::theme::Role;
use crate::tui::widgets::lines::render_sentences;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// Columns before the text: the time and the sign.
const HEAD: u16 = 13;

/// Rows of a line's text that are shown of the selected one.
const MOST_ROWS: usize = 6;

const PAGE: usize = 10;

/// The page.
pub struct LogPage {
    /// The selected line, counted from the first that was ever noted: the oldest lines go when there are too many.
    /// `None` follows the end.
    at: Option<u64>,
    filter: Option<Filter>,
}

impl LogPage {
    /// The page at its newest line.
    pub fn new() -> Self {
        Self { at: None, filter: None }
    }

    /// The lines that are shown, each with its number.
    fn lines<'m>(&self, model: &'m Model) -> Vec<(u64, &'m LogLine)> {
        let is_shown = |(_, line): &(u64, &LogLine)| self.filter.as_ref().is_none_or(|f| f.shows(&text_of(line)));
        let oldest = model.noted.saturating_sub(u64::try_from(model.log.len()).unwrap_or(0));
        (oldest..).zip(&model.log).filter(is_shown).collect()
    }

    fn selection(&self, lines: &[(u64, &LogLine)]) -> Selection {
        let mut selection = Selection::default();
        selection.select(self.at.map_or(usize::MAX, |at| lines.partition_point(|(number, _)| *number < at)));
        selection
    }

    /// Selects a row; at the end it follows again.
    fn go(&mut self, row: Option<usize>, lines: &[(u64, &LogLine)]) {
        let row = row.filter(|row| row + 1 < lines.len());
        self.at = row.and_then(|row| lines.get(row)).map(|(number, _)| *number);
    }
}

impl Default for LogPage {
    fn default() -> Self {
        Self::new()
    }
}

fn word_of(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Warn => "warning",
        Tone::Bad => "failed",
    }
}

fn text_of(line: &LogLine) -> String {
    format!("{} {}", word_of(line.tone), line.text)
}

impl Screen for LogPage {
    fn opened_by(&self) -> Option<Action> {
        Some(Action::Log)
    }

    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["log".to_owned()]
    }

    fn offers(&self, model: &Model) -> Vec<Offer> {
        let empty = self.lines(model).is_empty().then_some("there is no line");
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        let own = [Offer::on(Action::Filter), Offer::unless(Action::Copy, empty)];
        own.into_iter().chain(moves.map(Offer::on)).collect()
    }

    fn act(&mut self, action: Action, model: &Model) -> Vec<Effect> {
        let lines = self.lines(model);
        let mut selection = self.selection(&lines);
        if selection.move_by(action, lines.len(), PAGE) {
            self.go(selection.row(lines.len()), &lines);
            return Vec::new();
        }
        match action {
            Action::Filter => vec![Effect::Ask(palette::filter(self.filter.as_ref().map_or("", Filter::text)))],
            Action::Copy => {
                let line = selection.row(lines.len()).and_then(|at| lines.get(at));
                line.map(|(_, line)| Effect::Copy(format!("{} {}", line.at, line.text))).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, model: &Model) -> Vec<Effect> {
        if click.row.is_some() {
            self.go(click.row, &self.lines(model));
        }
        Vec::new()
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
        self.at = None;
    }

    /// ```text
    /// ┌ Log, 3 lines ─────────────────────────────┐
    /// │ 02:50:11Z    Looking at val-1.            │
    /// │ 02:50:12Z  ✗ val-2 does not answer.       │
    /// └───────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let lines = self.lines(model);
        let filter = self.filter.as_ref().map(|filter| format!(" /{}", filter.text())).unwrap_or_default();
        let title = match lines.len() {
            0 => format!("Log{filter}"),
            1 => format!("Log{filter}, 1 line"),
            count => format!("Log{filter}, {count} lines"),
        };
        let mut inner = render_panel(&title, true, canvas.area, canvas);
        if lines.is_empty() {
            let told = if self.filter.is_some() { "No line matches." } else { "Nothing was noted yet." };
            let then = if self.filter.is_some() {
                model.shows_all_again()
            } else {
                "What the console does and what fails stands here.".to_owned()
            };
            render_sentences(&[(told, Role::Text), (&then, Role::Muted)], &mut inner);
            return;
        }
        let selection = self.selection(&lines);
        let at = selection.row(lines.len());
        let width = usize::from(inner.area.width.saturating_sub(HEAD + 1));
        // The selected line is shown whole; the others take one row each.
        let extra = at
            .and_then(|at| lines.get(at))
            .map_or(0, |(_, line)| wrap(&line.text, width).len().clamp(1, MOST_ROWS) - 1);
        let height = usize::from(inner.area.height);
        let top = selection.top(lines.len(), height.saturating_sub(extra));
        let mut y = 0;
        for (number, (_, line)) in lines.iter().enumerate().skip(top) {
            if y >= inner.area.height {
                break;
            }
            let after = render_line(line, self.filter.as_ref(), Some(number) == at, y, width, &mut inner);
            (y..after).for_each(|y| inner.mark_row(y, number));
            y = after;
        }
    }
}

/// Draws a line, the selected one broken at spaces; gives the row after it.
fn render_line(
    line: &LogLine,
    filter: Option<&Filter>,
    is_selected: bool,
    y: u16,
    width: usize,
    canvas: &mut Canvas,
) -> u16 {
    let glyphs = canvas.theme.glyphs;
    let (sign, role) = match line.tone {
        Tone::Plain => (" ", Role::Text),
        Tone::Warn => (glyphs.warn, Role::StatusWarn),
        Tone::Bad => (glyphs.bad, Role::StatusBad),
    };
    canvas.text(1, y, &line.at.strftime("%H:%M:%SZ").to_string(), Role::Muted);
    canvas.text(HEAD - 2, y, sign, role);
    let text = line.text.replace('\n', " ");
    let rows = if is_selected { wrap(&text, width) } else { vec![text] };
    let mut after = y;
    for row in rows.iter().take(MOST_ROWS) {
        canvas.text(HEAD, after, row, role);
        canvas.mark_matches(after, filter);
        if is_selected {
            canvas.paint_row(after, Role::Selection);
        }
        after += 1;
    }
    after.max(y + 1)
}
