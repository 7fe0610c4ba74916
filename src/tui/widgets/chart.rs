//! Charts of numbers over time, in eighths of a cell.

use crate::tui::screen::Canvas;
use crate::tui::theme::{Glyphs, Role};

const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The same steps for terminals without block characters.
const ASCII: [&str; 9] = [" ", ".", ".", ":", ":", "=", "=", "#", "#"];

/// Draws values as columns from the bottom of the canvas, the last ones when there are more than columns.
///
/// Zero is an empty column; anything more has at least the smallest step, so that little is never shown as nothing.
///
/// ```text
///      ▂▄
///   ▃▇▇██
/// ```
pub fn render_columns(values: &[u64], role: Role, canvas: &mut Canvas) {
    let (width, height) = (canvas.area.width, canvas.area.height);
    let steps = if canvas.theme.glyphs == Glyphs::ASCII { ASCII } else { EIGHTHS };
    let shown = values.get(values.len().saturating_sub(usize::from(width))..).unwrap_or(values);
    let most = shown.iter().copied().max().unwrap_or(0);
    if most == 0 || height == 0 {
        return;
    }
    for (x, value) in (0..width).zip(shown) {
        let full = u128::from(height) * 8;
        let level = (u128::from(*value) * full).div_ceil(u128::from(most));
        for row in 0..height {
            let step = level.saturating_sub(u128::from(row) * 8).min(8);
            if let Some(sign) = usize::try_from(step).ok().filter(|step| *step > 0).and_then(|step| steps.get(step)) {
                canvas.text_within(x, height - 1 - row, 1, sign, role);
            }
        }
    }
}

/// Spreads dated values over `columns` equal spans of time from `from` to `to`, each column the last value in it or
/// before it; columns before the first value are 0.
pub fn over_time(values: &[(i64, u64)], from: i64, to: i64, columns: usize) -> Vec<u64> {
    let span = i128::from(to.saturating_sub(from)).max(1);
    let mut spread = vec![0; columns];
    let mut dated = values.iter().peekable();
    let mut last = 0;
    for (number, column) in spread.iter_mut().enumerate() {
        let end = i128::from(from)
            + span * (i128::try_from(number).unwrap_or(0) + 1) / i128::try_from(columns).unwrap_or(1).max(1);
        while let Some((_, value)) = dated.next_if(|(at, _)| i128::from(*at) <= end) {
            last = *value;
        }
        *column = last;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::Theme;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    fn drawn(values: &[u64], width: u16, height: u16, theme: &Theme) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        render_columns(values, Role::Chart, &mut Canvas::over(&mut buffer, theme, area));
        (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect()).collect()
    }

    #[test]
    fn columns_grow_by_eighths_and_little_is_not_nothing() {
        let theme = Theme::default();
        assert_eq!(drawn(&[0, 1, 8, 16], 4, 2, &theme), ["   █", " ▁██"]);
        assert_eq!(drawn(&[1, u64::MAX], 2, 1, &theme), ["▁█"]);
        assert_eq!(drawn(&[9, 9, 0, 4], 2, 1, &theme), [" █"]);
        assert_eq!(drawn(&[0, 0], 2, 1, &theme), ["  "]);
    }

    #[test]
    fn plain_terminals_get_plain_signs() {
        let mut theme = Theme::default();
        theme.glyphs = Glyphs::ASCII;
        assert_eq!(drawn(&[0, 1, 4, 8], 4, 1, &theme), [" .:#"]);
    }

    #[test]
    fn dated_values_hold_until_the_next_one() {
        assert_eq!(over_time(&[(25, 1), (60, 5)], 0, 100, 4), [1, 1, 5, 5]);
        assert_eq!(over_time(&[], 0, 100, 3), [0, 0, 0]);
        assert_eq!(over_time(&[(i64::MIN, 7)], i64::MIN, i64::MAX, 2), [7, 7]);
        assert_eq!(over_time(&[(5, 7)], 9, 1, 2), [7, 7]);
    }
}
