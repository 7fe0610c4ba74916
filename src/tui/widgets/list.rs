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

/// A selection that stays on its own row while rows come and go around it: what is done to the selected row must be
/// done to the one that was looked at.
///
/// Until it was put somewhere it is on the first row, whichever that is. Where its own row has gone, it is on the one in
/// that place.
#[derive(Debug, Clone)]
pub struct Cursor<K> {
    own: Option<K>,
    at: usize,
}

impl<K> Default for Cursor<K> {
    fn default() -> Self {
        Self { own: None, at: 0 }
    }
}

impl<K: Clone + PartialEq> Cursor<K> {
    /// On the row of a key.
    pub fn on(key: K) -> Self {
        Self { own: Some(key), at: 0 }
    }

    /// What it was put on, there or gone.
    pub fn own(&self) -> Option<&K> {
        self.own.as_ref()
    }

    /// The selected row; `None` when there is none.
    pub fn row<T>(&self, rows: &[T], key: impl Fn(&T) -> &K) -> Option<usize> {
        let own = self.own.as_ref().and_then(|own| rows.iter().position(|row| key(row) == own));
        own.or_else(|| Selection { at: self.at }.row(rows.len()))
    }

    /// Selects the row in a place.
    pub fn select<T>(&mut self, at: usize, rows: &[T], key: impl Fn(&T) -> &K) {
        if let Some(row) = rows.get(at) {
            (self.at, self.own) = (at, Some(key(row).clone()));
        }
    }

    /// Moves by an action; `false` when the action does not move.
    pub fn move_by<T>(&mut self, action: Action, rows: &[T], page: usize, key: impl Fn(&T) -> &K) -> bool {
        let mut selection = Selection { at: self.row(rows, &key).unwrap_or(0) };
        let moved = selection.move_by(action, rows.len(), page);
        if let Some(at) = selection.row(rows.len()).filter(|_| moved) {
            self.select(at, rows, key);
        }
        moved
    }

    /// The first row in sight, so that the selected one stands in the middle where it can.
    pub fn top<T>(&self, rows: &[T], height: usize, key: impl Fn(&T) -> &K) -> usize {
        Selection { at: self.row(rows, key).unwrap_or(0) }.top(rows.len(), height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(row: &char) -> &char {
        row
    }

    #[test]
    fn a_cursor_stays_on_its_row_while_others_come_and_go() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.row(&[], own), None);
        assert_eq!(cursor.row(&['b', 'c'], own), Some(0));
        assert_eq!(cursor.row(&['a', 'b', 'c'], own), Some(0), "nobody has chosen: the first row is selected");
        assert!(cursor.move_by(Action::Down, &['a', 'b', 'c'], 10, own));
        assert_eq!(cursor.row(&['x', 'y', 'a', 'b', 'c'], own), Some(3), "rows came before it");
        assert_eq!(cursor.row(&['b'], own), Some(0));
        assert_eq!(cursor.row(&['a', 'c', 'd'], own), Some(1), "its row has gone: the one in its place");
        assert_eq!(cursor.row(&['a'], own), Some(0));
        assert_eq!(cursor.row(&[], own), None);
        assert!(!cursor.move_by(Action::Open, &['a', 'b'], 10, own));
        cursor.select(7, &['a', 'b'], own);
        assert_eq!(cursor.row(&['a', 'b'], own), Some(1), "there is no such row");
        assert_eq!(Cursor::on('c').row(&['a', 'b', 'c'], own), Some(2));
    }
}
