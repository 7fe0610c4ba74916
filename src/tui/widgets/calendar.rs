//! A calendar of days, a column a week, Monday on top: the most that was shown of copies on each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::engine::phrases::rung_word;
use crate::model::manifest::Rung;
use crate::tui::screen::Canvas;
use crate::tui::theme::{Glyphs, Role};

/// What a day is remembered for, the least first: the highest rung a copy reached on it, by the ladder's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Day {
    /// A copy reached this rung.
    Reached(Rung),
    /// A check failed.
    Failed,
}

impl Day {
    /// Every kind of day.
    const ALL: [Self; 7] = [
        Self::Reached(Rung::Intact),
        Self::Reached(Rung::Copied),
        Self::Reached(Rung::Openable),
        Self::Reached(Rung::Verified),
        Self::Reached(Rung::Drilled),
        Self::Reached(Rung::Proven),
        Self::Failed,
    ];

    /// Its word in the legend.
    fn word(self) -> &'static str {
        match self {
            Self::Reached(Rung::Intact) => "intact",
            Self::Reached(rung) => rung_word(Some(rung)),
            Self::Failed => "failed",
        }
    }

    /// Its sign, its sign in ASCII, and its role: shape and colour.
    fn look(self) -> (&'static str, &'static str, Role) {
        match self {
            Self::Reached(Rung::Intact) => ("◦", "i", Role::StatusUnknown),
            Self::Reached(Rung::Copied) => ("▫", "c", Role::StatusUnknown),
            Self::Reached(Rung::Openable) => ("▹", "o", Role::StatusUnknown),
            Self::Reached(Rung::Verified) => ("▪", "v", Role::StatusOk),
            Self::Reached(Rung::Drilled) => ("◇", "D", Role::StatusOk),
            Self::Reached(Rung::Proven) => ("◆", "P", Role::StatusOk),
            Self::Failed => ("✗", "x", Role::StatusBad),
        }
    }
}

/// Days by date, each the most that can be said of it.
pub type Days = BTreeMap<Date, Day>;

/// The UTC day of a moment.
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// The rows of months and days.
const GRID: u16 = 8;

/// The rows of a calendar with its months above and one row of legend below.
pub const HEIGHT: u16 = GRID + 1;

/// The rows a calendar of these days takes at a width.
pub fn height(days: &Days, width: u16) -> u16 {
    let rows = u16::try_from(legend(days, width).1.len()).unwrap_or(1);
    GRID + rows.max(1)
}

/// The kinds of days there are, in rows of a width, and the blanks between them: what was never reached needs no sign,
/// and single blanks are enough where they save a row.
fn legend(days: &Days, width: u16) -> (u16, Vec<Vec<Day>>) {
    let there: BTreeSet<Day> = days.values().copied().collect();
    let rows_with = |gap: usize| {
        let mut rows: Vec<(usize, Vec<Day>)> = Vec::new();
        for day in Day::ALL.into_iter().filter(|day| there.contains(day)) {
            let needs = day.word().len() + 2;
            match rows.last_mut() {
                Some((used, row)) if *used + gap + needs <= usize::from(width) => {
                    *used += gap + needs;
                    row.push(day);
                }
                _ => rows.push((needs, vec![day])),
            }
        }
        rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>()
    };
    let (wide, narrow) = (rows_with(2), rows_with(1));
    if narrow.len() < wide.len() { (1, narrow) } else { (2, wide) }
}

/// Draws as many weeks as fit, the last one the week of `today`. Two columns a week.
///
/// ```text
///     Sep     Oct       Nov
/// Mo  · ▪ · · ▪ · · · · ▪ ·
///     ▪ · · ▫ · · …
/// ```
///
/// Read out it is a line for each kind of day: how many there are, and the last of them.
pub fn render_calendar(days: &Days, today: Date, canvas: &mut Canvas) {
    const INDENT: u16 = 4;
    if canvas.theme.is_read_out {
        tell_days(days, canvas);
        return;
    }
    let weeks = canvas.area.width.saturating_sub(INDENT + 1) / 2;
    let back = i64::from(today.weekday().to_monday_zero_offset());
    let is_ascii = canvas.theme.glyphs == Glyphs::ASCII;
    let empty = if is_ascii { "." } else { "·" };
    let look = |day: Day| match day.look() {
        (_, sign, role) if is_ascii => (sign, role),
        (sign, _, role) => (sign, role),
    };
    for (row, name) in [(0, "Mon"), (2, "Wed"), (4, "Fri"), (6, "Sun")] {
        canvas.text(0, 1 + row, name, Role::Muted);
    }
    let mut free_from = 0;
    for week in 0..weeks {
        let x = INDENT + 2 * week;
        let Ok(monday) = today.checked_sub((back + 7 * i64::from(weeks - 1 - week)).days()) else { continue };
        if monday.day() <= 7 && x >= free_from && x + 3 <= canvas.area.width {
            let month = MONTHS.get(usize::from(monday.month().unsigned_abs()).saturating_sub(1)).copied().unwrap_or("");
            free_from = canvas.text(x, 0, month, Role::Muted) + 1;
        }
        for row in 0..7 {
            let Ok(date) = monday.checked_add(i64::from(row).days()) else { continue };
            if date > today {
                continue;
            }
            let (sign, role) = days.get(&date).map_or((empty, Role::Border), |day| look(*day));
            canvas.text_within(x, 1 + row, 1, sign, role);
        }
    }
    let (gap, rows) = legend(days, canvas.area.width);
    for (y, row) in (GRID..).zip(rows) {
        let mut x = 0;
        for day in row {
            let (sign, role) = look(day);
            x = canvas.text(x, y, sign, role) + 1;
            x = canvas.text(x, y, day.word(), Role::Muted) + gap;
        }
    }
}

/// A line for each kind of day there is, the worst and then the highest rung first.
fn tell_days(days: &Days, canvas: &mut Canvas) {
    let told = Day::ALL.into_iter().rev().filter_map(|kind| {
        let mut dates = days.iter().filter(|(_, day)| **day == kind).map(|(date, _)| date);
        let last = dates.next_back()?;
        let (others, word) = (dates.count(), kind.word());
        Some(if others == 0 { format!("{word}  {last}") } else { format!("{word}  {} days, last {last}", others + 1) })
    });
    for (y, line) in (0..canvas.area.height).zip(told) {
        canvas.text(0, y, &line, Role::Text);
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::Theme;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    #[test]
    fn the_legend_has_the_ladder_s_words_for_what_is_there_and_for_nothing_else() {
        let at = |day: u8, kind| (Date::constant(2026, 11, i8::try_from(day).unwrap_or(1)), kind);
        let all: Days = (1..).zip(Day::ALL).map(|(day, kind)| at(day, kind)).collect();
        let words = |days: &Days, width| -> Vec<Vec<&str>> {
            legend(days, width).1.into_iter().map(|row| row.into_iter().map(Day::word).collect()).collect()
        };
        assert_eq!(words(&all, 100), [["intact", "copied", "openable", "verified", "drilled", "proven", "failed"]]);
        assert_eq!(words(&all, 40).len(), 2);
        assert_eq!(height(&all, 40), HEIGHT + 1);
        let intact = Days::from([at(1, Day::Reached(Rung::Intact))]);
        assert_eq!(words(&intact, 40), [["intact"]]);
        assert_eq!((words(&Days::new(), 40).len(), height(&Days::new(), 40)), (0, HEIGHT));
    }

    #[test]
    fn read_out_each_kind_is_a_line_the_worst_first() {
        let at = |day: i8, kind| (Date::constant(2026, 11, day), kind);
        let verified = Day::Reached(Rung::Verified);
        let days = Days::from([at(2, verified), at(3, Day::Failed), at(9, verified), at(8, verified)]);
        let theme = Theme::read_out(Glyphs::UNICODE);
        let area = Rect::new(0, 0, 40, HEIGHT);
        let mut buffer = Buffer::empty(area);
        render_calendar(&days, Date::constant(2026, 11, 20), &mut Canvas::over(&mut buffer, &theme, area));
        let line = |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        let lines: Vec<String> = (0..area.height).map(line).filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, ["failed  2026-11-03", "verified  3 days, last 2026-11-09"]);
    }

    #[test]
    fn no_two_kinds_of_days_look_alike() {
        for pick in [|day: Day| day.look().0, |day: Day| day.look().1] {
            assert_eq!(Day::ALL.into_iter().map(pick).collect::<BTreeSet<_>>().len(), Day::ALL.len());
        }
    }
}
