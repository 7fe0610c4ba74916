//! A calendar of days, a column a week, Monday on top: what was shown of copies on which day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::tui::screen::Canvas;
use crate::tui::theme::{Glyphs, Role};

/// What a day is remembered for, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Day {
    /// Something was copied.
    Copied,
    /// Something was checked in full.
    Verified,
    /// Something was restored, in earnest or as a drill.
    Restored,
    /// A check failed.
    Failed,
}

impl Day {
    /// Every kind of day with its word, for the legend.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Copied, "copied"),
        (Self::Verified, "verified"),
        (Self::Restored, "restored"),
        (Self::Failed, "failed"),
    ];

    /// Its sign and role: shape and colour.
    pub fn look(self, glyphs: &Glyphs) -> (&'static str, Role) {
        let is_ascii = *glyphs == Glyphs::ASCII;
        match self {
            Self::Copied => (if is_ascii { "c" } else { "▫" }, Role::StatusUnknown),
            Self::Verified => (if is_ascii { "v" } else { "▪" }, Role::StatusOk),
            Self::Restored => (if is_ascii { "R" } else { "◆" }, Role::StatusOk),
            Self::Failed => (if is_ascii { "x" } else { "✗" }, Role::StatusBad),
        }
    }
}

/// Days by date, each the most that can be said of it.
pub type Days = BTreeMap<Date, Day>;

/// The UTC day of a moment.
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// The rows of a calendar with its months above and its legend below.
pub const HEIGHT: u16 = 9;

/// Draws as many weeks as fit, the last one the week of `today`. Two columns a week.
///
/// ```text
///     Sep     Oct       Nov
/// Mo  · ▪ · · ▪ · · · · ▪ ·
///     ▪ · · ▫ · · …
/// ```
pub fn render_calendar(days: &Days, today: Date, canvas: &mut Canvas) {
    const INDENT: u16 = 4;
    let weeks = canvas.area.width.saturating_sub(INDENT + 1) / 2;
    let back = i64::from(today.weekday().to_monday_zero_offset());
    let glyphs = canvas.theme.glyphs;
    let empty = if glyphs == Glyphs::ASCII { "." } else { "·" };
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
            let (sign, role) = days.get(&date).map_or((empty, Role::Border), |day| day.look(&glyphs));
            canvas.text_within(x, 1 + row, 1, sign, role);
        }
    }
    // The legend is whole also where there is room for single blanks only.
    let letters: usize = Day::ALL.iter().map(|(_, word)| word.len() + 2).sum();
    let gap = if letters + 2 * (Day::ALL.len() - 1) > usize::from(canvas.area.width) { 1 } else { 2 };
    let mut x = 0;
    for (day, word) in Day::ALL {
        let (sign, role) = day.look(&glyphs);
        x = canvas.text(x, 8, sign, role) + 1;
        x = canvas.text(x, 8, word, Role::Muted) + gap;
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
