//! What lies under the mouse. Pages note it while they are drawn, so a click means what is seen there, and no place is
//! reckoned a second time.

use std::cell::RefCell;

use ratatui::layout::{Position, Rect};

/// Something that can be clicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// A pane of the page, by its number.
    Pane(u8),
    /// A row of the pane's list, from 0, those out of sight counted.
    Row(usize),
}

/// What lies where on a drawn page.
#[derive(Debug, Default)]
pub struct Spots(RefCell<Vec<(Rect, Spot)>>);

/// What a click hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Click {
    /// The pane, on a page that has several.
    pub pane: Option<u8>,
    /// The row of its list.
    pub row: Option<usize>,
}

impl Spots {
    /// Notes what is drawn in a place.
    pub fn note(&self, place: Rect, spot: Spot) {
        self.0.borrow_mut().push((place, spot));
    }

    /// Forgets everything: something is laid over it.
    pub fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    /// The places of the panes that are seen, in the order of their numbers.
    pub fn panes(&self) -> Vec<Rect> {
        let spots = self.0.borrow();
        let panes = spots
            .iter()
            .filter_map(|(place, spot)| if let Spot::Pane(pane) = spot { Some((*pane, *place)) } else { None });
        let mut panes: Vec<(u8, Rect)> = panes.filter(|(_, place)| !place.is_empty()).collect();
        panes.sort_by_key(|(pane, _)| *pane);
        panes.into_iter().map(|(_, place)| place).collect()
    }

    /// What lies at a point; what was drawn last lies on top.
    pub fn at(&self, point: Position) -> Click {
        let spots = self.0.borrow();
        let hit = spots.iter().filter(|(place, _)| place.contains(point));
        hit.fold(Click::default(), |click, (_, spot)| match spot {
            Spot::Pane(pane) => Click { pane: Some(*pane), row: None },
            Spot::Row(row) => Click { row: Some(*row), ..click },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_last_lies_on_top() {
        let spots = Spots::default();
        spots.note(Rect::new(0, 0, 20, 10), Spot::Pane(1));
        spots.note(Rect::new(1, 1, 18, 1), Spot::Row(4));
        spots.note(Rect::new(10, 0, 10, 10), Spot::Pane(2));
        let at = |x: u16, y: u16| {
            let click = spots.at(Position::new(x, y));
            (click.pane, click.row)
        };
        assert_eq!(at(2, 1), (Some(1), Some(4)));
        assert_eq!(at(2, 2), (Some(1), None));
        assert_eq!(at(12, 1), (Some(2), None), "the row lies under the second pane");
        assert_eq!(at(20, 1), (None, None));
        spots.forget();
        assert_eq!(at(2, 1), (None, None));
    }
}
