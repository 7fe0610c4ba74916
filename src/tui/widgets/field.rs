//! A line that is being typed, with its cursor where the next letter goes.

use tui_input::Input;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::tui::screen::Canvas;
use crate::tui::theme::Role;

/// Draws what was typed within a width, scrolled so that the cursor is in sight; gives the column after it. The cursor is
/// a badge: in every theme that stands out from a field as well as from a page.
///
/// ```text
/// before the mo█e
/// ```
pub fn render_field(x: u16, y: u16, width: u16, typed: &Input, role: Role, canvas: &mut Canvas) -> u16 {
    let width = width.min(canvas.area.width.saturating_sub(x));
    if width == 0 {
        return x;
    }
    let before: String = typed.value().chars().take(typed.cursor()).collect();
    let after: String = typed.value().chars().skip(typed.cursor()).collect();
    let mut after = after.graphemes(true);
    let under = after.next().unwrap_or(" ").to_owned();
    let room = usize::from(width).saturating_sub(under.width().max(1));
    let mut shown = before.as_str();
    while shown.width() > room {
        let first = shown.graphemes(true).next().map_or(shown.len(), str::len);
        shown = shown.get(first..).unwrap_or_default();
    }
    let right = x + width;
    let at = canvas.text_within(x, y, width, shown, role);
    let end = canvas.text_within(at, y, right.saturating_sub(at), &under, Role::Badge);
    canvas.text_within(end, y, right.saturating_sub(end), after.as_str(), role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::Theme;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Color;

    /// What is written, and the letter the cursor stands on.
    fn drawn(typed: &Input, width: u16) -> (String, String) {
        let area = Rect::new(0, 0, width, 1);
        let (mut buffer, theme) = (Buffer::empty(area), Theme::role_grid());
        render_field(0, 0, width, typed, Role::Input, &mut Canvas::over(&mut buffer, &theme, area));
        let cursor = Role::ALL.iter().position(|role| *role == Role::Badge).unwrap();
        let is_under = |x: u16| buffer[(x, 0)].fg == Color::Indexed(u8::try_from(cursor).unwrap());
        let text = |x: u16| buffer[(x, 0)].symbol().to_owned();
        let all: String = (0..width).map(text).collect();
        (all.trim_end().to_owned(), (0..width).filter(|x| is_under(*x)).map(text).collect())
    }

    #[test]
    fn the_cursor_stands_where_the_next_letter_goes_and_is_always_in_sight() {
        let typed = Input::new("before".to_owned());
        assert_eq!(drawn(&typed, 10), ("before".to_owned(), " ".to_owned()));
        assert_eq!(drawn(&typed.clone().with_cursor(2), 10), ("before".to_owned(), "f".to_owned()));
        assert_eq!(drawn(&typed, 4), ("ore".to_owned(), " ".to_owned()));
        // A wide letter takes two columns; the second is drawn as a blank.
        assert_eq!(drawn(&Input::new("日本語".to_owned()), 5), ("本 語".to_owned(), " ".to_owned()));
    }
}
