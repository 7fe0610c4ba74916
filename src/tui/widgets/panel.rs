//! A frame with a title.

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use crate::tui::screen::Canvas;
use crate::tui::theme::{Glyphs, Role};

/// Draws a frame with its title in an area and gives the canvas inside it.
///
/// ```text
/// ┌ Items ────────────┐
/// │                   │
/// └───────────────────┘
/// ```
pub fn render_panel<'c>(title: &str, has_focus: bool, area: Rect, canvas: &'c mut Canvas) -> Canvas<'c> {
    let mut canvas = canvas.within(area);
    canvas.clear();
    let area = canvas.area;
    let role = if has_focus { Role::BorderFocus } else { Role::Border };
    let signs = if canvas.theme.glyphs == Glyphs::ASCII {
        ["+", "+", "+", "+", "-", "|"]
    } else {
        ["┌", "┐", "└", "┘", "─", "│"]
    };
    if area.width < 2 || area.height < 2 {
        return canvas.into_within(Rect { width: 0, height: 0, ..area });
    }
    let (right, bottom) = (area.width - 1, area.height - 1);
    let edge = signs[4].repeat(usize::from(area.width - 2));
    canvas.text(1, 0, &edge, role);
    canvas.text(1, bottom, &edge, role);
    for y in 1..bottom {
        canvas.text(0, y, signs[5], role);
        canvas.text(right, y, signs[5], role);
    }
    for (x, y, sign) in [(0, 0, signs[0]), (right, 0, signs[1]), (0, bottom, signs[2]), (right, bottom, signs[3])] {
        canvas.text(x, y, sign, role);
    }
    if area.width > 6 && !title.is_empty() {
        // Names begin alike and end differently, and a filter stands last.
        let title = crate::tui::screen::cut_middle(title, usize::from(area.width - 6), canvas.theme.glyphs.cut);
        let width = u16::try_from(title.width()).unwrap_or(0);
        canvas.text(1, 0, " ", role);
        canvas.text(2, 0, &title, if has_focus { Role::Title } else { Role::Muted });
        canvas.text(2 + width, 0, " ", role);
    }
    canvas.into_within(Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 })
}

/// How many rows of a list or a text are out of sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hidden {
    /// Above the first that is seen.
    pub above: usize,
    /// Below the last that is seen.
    pub below: usize,
}

impl Hidden {
    /// Of `rows` of which `height` are seen from `top` on.
    pub fn of(top: usize, rows: usize, height: usize) -> Self {
        Self { above: top.min(rows), below: rows.saturating_sub(top.saturating_add(height)) }
    }

    /// Says so on the lower edge of the panel they are in.
    ///
    /// ```text
    /// └──────────────── 3 above, 12 below ─┘
    /// ```
    pub fn render(self, canvas: &mut Canvas) {
        let text = match (self.above, self.below) {
            (0, 0) => return,
            (0, below) => format!(" {below} more below "),
            (above, 0) => format!(" {above} more above "),
            (above, below) => format!(" {above} above, {below} below "),
        };
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
        if canvas.area.width >= width.saturating_add(4) && canvas.area.height > 1 {
            canvas.text(canvas.area.width - width - 2, canvas.area.height - 1, &text, Role::Muted);
        }
    }
}
