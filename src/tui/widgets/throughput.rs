//! Bytes a second over time, as bars.

use jiff::Timestamp;

use crate::model::units::{ByteSize, Seconds};
use crate::tui::screen::Canvas;
use crate::tui::theme::{Glyphs, Role};

/// The columns of the scale on the left.
const SCALE: u16 = 11;

const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws rates, oldest first, the newest at the right edge; each column shows the greatest of the rates it stands for.
///
/// ```text
///  4.10 MiB/s ▁▃▅▇█▇▆▇█▇▇▆▅▇█
///           0 2m ago          now
/// ```
pub fn render_throughput(rates: &[(Timestamp, u64)], canvas: &mut Canvas) {
    let (width, height) = (canvas.area.width, canvas.area.height);
    if width <= SCALE + 4 || height < 2 || rates.is_empty() {
        return;
    }
    let columns = usize::from(width - SCALE - 2);
    let bars = columns_of(rates, columns);
    let most = bars.iter().copied().max().unwrap_or(0).max(1);
    canvas.right(0, 0, SCALE, &format!("{}/s", ByteSize(most)), Role::Muted);
    canvas.right(0, height - 2, SCALE, "0", Role::Muted);
    let rows = u64::from(height - 1);
    let is_ascii = canvas.theme.glyphs == Glyphs::ASCII;
    for (x, bar) in (SCALE + 1..width).zip(&bars) {
        let eighths = bar.saturating_mul(rows * 8) / most;
        for row in 0..height - 1 {
            let floor = u64::from(height - 2 - row) * 8;
            let filled = eighths.saturating_sub(floor).min(8);
            let glyph = match (is_ascii, usize::try_from(filled).unwrap_or(8)) {
                (true, 0..=3) => " ",
                (true, _) => "#",
                (false, filled) => EIGHTHS.get(filled).copied().unwrap_or("█"),
            };
            canvas.text(x, row, glyph, Role::Chart);
        }
    }
    let span = rates.last().zip(rates.first()).map_or(0, |(last, first)| last.0.duration_since(first.0).as_secs());
    let span = Seconds(u64::try_from(span).unwrap_or(0));
    canvas.text(SCALE + 1, height - 1, &format!("{span} ago"), Role::Muted);
    canvas.right(SCALE + 1, height - 1, width - SCALE - 2, "now", Role::Muted);
}

/// The rates folded into at most so many columns; few are spread from the left on.
fn columns_of(rates: &[(Timestamp, u64)], columns: usize) -> Vec<u64> {
    let len = rates.len();
    let shown = columns.min(len).max(1);
    let part = |at: usize| {
        let (from, to) = (at * len / shown, ((at + 1) * len / shown).max(at * len / shown + 1));
        rates.iter().take(to).skip(from).map(|(_, rate)| *rate).max().unwrap_or(0)
    };
    (0..shown).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_samples_fold_into_few_columns_and_peaks_stay() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let rates: Vec<(Timestamp, u64)> = (0..100).map(|s| (at(s), if s == 57 { 900 } else { 10 })).collect();
        let columns = columns_of(&rates, 10);
        assert_eq!(columns.len(), 10);
        assert_eq!(columns[5], 900);
        assert_eq!(columns_of(&rates[..3], 10), [10, 10, 10]);
    }
}
