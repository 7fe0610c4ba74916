//! How far something longer than its place is scrolled.

use std::cell::Cell;

use crate::tui::action::Action;

/// Rows a page key moves before anything was drawn.
const PAGE: usize = 10;

/// The first row in sight. How many rows there are depends on the width they are drawn at, so only the drawing knows
/// where the end is: it holds the scroll inside, and what was pressed beyond the end is forgotten there.
#[derive(Debug, Clone)]
pub struct Scroll {
    top: Cell<usize>,
    /// Rows a page key moves: one fewer than were in sight last, so that nothing is passed over.
    page: Cell<usize>,
}

impl Default for Scroll {
    fn default() -> Self {
        Self { top: Cell::new(0), page: Cell::new(PAGE) }
    }
}

impl Scroll {
    /// Moves; `false` when the action does not move.
    pub fn move_by(&mut self, action: Action) -> bool {
        let top = self.top.get();
        self.top.set(match action {
            Action::Up => top.saturating_sub(1),
            Action::Down => top.saturating_add(1),
            Action::PageUp => top.saturating_sub(self.page.get()),
            Action::PageDown => top.saturating_add(self.page.get()),
            Action::First => 0,
            Action::Last => usize::MAX,
            _ => return false,
        });
        true
    }

    /// Back to the first row.
    pub fn reset(&mut self) {
        self.top.set(0);
    }

    /// The first row in sight of `rows` in a place of `height`; never so far that rows before it would fit too.
    pub fn top(&self, rows: usize, height: usize) -> usize {
        let top = self.top.get().min(rows.saturating_sub(height));
        self.top.set(top);
        self.page.set(height.saturating_sub(1).max(1));
        top
    }

    /// Brings a row into sight.
    pub fn show(&self, row: usize, height: usize) {
        let least = (row + 1).saturating_sub(height);
        self.top.set(self.top.get().clamp(least, row.max(least)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_reached_at_any_width_and_the_way_back_is_as_long() {
        let mut scroll = Scroll::default();
        scroll.move_by(Action::Last);
        assert_eq!(scroll.top(100, 10), 90);
        for _ in 0..50 {
            scroll.move_by(Action::Down);
        }
        assert_eq!(scroll.top(100, 10), 90);
        scroll.move_by(Action::Up);
        assert_eq!(scroll.top(100, 10), 89);
        assert_eq!(scroll.top(40, 10), 30, "a wider place has fewer rows");
        scroll.move_by(Action::PageUp);
        assert_eq!(scroll.top(40, 10), 21, "the row that was the first is still in sight");
        scroll.move_by(Action::First);
        assert_eq!(scroll.top(5, 10), 0);
        assert!(!scroll.move_by(Action::Open));
    }

    #[test]
    fn a_row_is_brought_into_sight_by_the_shortest_way() {
        let scroll = Scroll::default();
        scroll.show(12, 10);
        assert_eq!(scroll.top(100, 10), 3);
        scroll.show(5, 10);
        assert_eq!(scroll.top(100, 10), 3);
        scroll.show(1, 10);
        assert_eq!(scroll.top(100, 10), 1);
    }
}
