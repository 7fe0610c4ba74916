//! A selection in a list of rows, and which rows are in sight.

use crate::tui::action::Action;

/// Which row is selected, and from which row on the list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    at: usize,
}

impl Selection {
    /// The selected row of `len`; `None` when there is none.
    pub fn row(self, len: usize) -> Option<usize> {
        (len > 0).then(|| self.at.min(len - 1))
    }

    /// Selects a row.
    pub fn select(&mut self, at: usize) {
        self.at = at;
    }

    /// Moves by an action over `len` rows of which `page` are in sight; `false` when the action does not move.
    pub fn move_by(&mut self, action: Action, len: usize, page: usize) -> bool {
        let last = len.saturating_sub(1);
        let at = self.at.min(last);
        self.at = match action {
            Action::Up => at.saturating_sub(1),
            Action::Down => (at + 1).min(last),
            Action::PageUp => at.saturating_sub(page.max(1)),
            Action::PageDown => (at + page.max(1)).min(last),
            Action::First => 0,
            Action::Last => last,
            _ => return false,
        };
        true
    }

    /// The first row in sight, so that the selected one stands in the middle where it can.
    pub fn top(self, len: usize, height: usize) -> usize {
        let at = self.row(len).unwrap_or(0);
        at.saturating_sub(height / 2).min(len.saturating_sub(height))
    }
}
