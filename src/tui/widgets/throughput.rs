//! Bytes a second over time, as bars.

use jiff::Timestamp;
use ratatui::layout::Rect;

use crate::model::units::{ByteSize, Seconds};
use crate::tui::screen::Canvas;
use crate::tui::theme::Role;
use crate::tui::widgets::chart::render_columns;

/// The columns of the scale on the left.
const SCALE: u16 = 11;

/// The columns of the word at the end of the axis.
const NOW: u16 = 3;

/// Draws rates, oldest first, from the left on until they fill the width; from then on each column shows the greatest of
/// the rates it stands for.
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
    let span = rates.last().zip(rates.first()).map_or(0, |(last, first)| last.0.duration_since(first.0).as_secs());
    let span = Seconds(u64::try_from(span).unwrap_or(0));
    if canvas.theme.is_read_out {
        canvas.text(0, 0, &format!("at most {}/s in {span}", ByteSize(most)), Role::Muted);
        return;
    }
    canvas.right(0, 0, SCALE, &format!("{}/s", ByteSize(most)), Role::Muted);
    canvas.right(0, height - 2, SCALE, "0", Role::Muted);
    let place = Rect { x: canvas.area.x + SCALE + 1, width: width - SCALE - 1, height: height - 1, ..canvas.area };
    render_columns(&bars, Role::Chart, &mut canvas.within(place));
    // "now" stands under the newest bar, wherever that is by now.
    let shown = u16::try_from(bars.len()).unwrap_or(width);
    let begun = format!("{span} ago");
    let least = u16::try_from(begun.len() + 2).unwrap_or(width) + NOW;
    canvas.text(SCALE + 1, height - 1, &begun, Role::Muted);
    canvas.right(SCALE + 1, height - 1, shown.max(least).min(width - SCALE - 2), "now", Role::Muted);
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

    #[test]
    fn the_axis_ends_under_the_newest_bar() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let drawn = |count: i64| {
            let (area, theme) = (Rect::new(0, 0, 60, 4), crate::tui::theme::Theme::default());
            let mut buffer = ratatui::buffer::Buffer::empty(area);
            let rates: Vec<(Timestamp, u64)> = (0..count).map(|second| (at(second), 1 << 20)).collect();
            render_throughput(&rates, &mut Canvas::over(&mut buffer, &theme, area));
            let row = |y: u16| -> String { (0..60).map(|x| buffer[(x, y)].symbol()).collect() };
            let end = |y: u16| row(y).trim_end().chars().count();
            (end(2), end(3), row(3).trim().to_owned())
        };
        let (bars, axis, told) = drawn(30);
        assert_eq!((bars, axis), (42, 42), "{told}");
        assert!(told.starts_with("29s ago") && told.ends_with("now"), "{told}");
        let (bars, axis, _) = drawn(300);
        assert_eq!(bars, axis);
        // Too few bars for both words: the axis goes on past them rather than losing one.
        assert_eq!(drawn(2).2, "1s ago  now");
    }
}
