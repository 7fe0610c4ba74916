//! Several panes on one page: which has the focus, and whether it has the whole page.

use crate::tui::action::{Action, Offer};

/// Focus and zoom over panes numbered from 1. Their places never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panes {
    at: u8,
    zoomed: bool,
}

impl Default for Panes {
    fn default() -> Self {
        Self { at: 1, zoomed: false }
    }
}

impl Panes {
    /// The number of the focused pane, at most `count`: a pane that went away gives its focus to the last one.
    pub fn focus(self, count: u8) -> u8 {
        self.at.clamp(1, count.max(1))
    }

    /// Gives a pane the focus.
    pub fn go(&mut self, pane: u8) {
        self.at = pane;
    }

    /// Whether the focused pane has the whole page.
    pub fn is_zoomed(self) -> bool {
        self.zoomed
    }

    /// What works on panes.
    pub fn offers(count: u8) -> impl Iterator<Item = Offer> {
        let fixed = [Action::NextPane, Action::PreviousPane, Action::Zoom];
        fixed.into_iter().chain((1..=count).map(Action::Pane)).map(Offer::on)
    }

    /// Does an action on panes; `false` when it is none.
    pub fn act(&mut self, action: Action, count: u8) -> bool {
        let at = self.focus(count);
        self.at = match action {
            Action::NextPane if at >= count => 1,
            Action::NextPane => at + 1,
            Action::PreviousPane if at <= 1 => count.max(1),
            Action::PreviousPane => at - 1,
            Action::Pane(number) => number.clamp(1, count.max(1)),
            Action::Zoom => {
                self.zoomed = !self.zoomed;
                at
            }
            _ => return false,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_goes_round_and_numbers_jump() {
        let mut panes = Panes::default();
        for expected in [2, 3, 1] {
            assert!(panes.act(Action::NextPane, 3));
            assert_eq!(panes.focus(3), expected);
        }
        panes.act(Action::PreviousPane, 3);
        assert_eq!(panes.focus(3), 3);
        panes.act(Action::Pane(4), 4);
        assert_eq!(panes.focus(4), 4);
        assert_eq!(panes.focus(3), 3);
        assert!(!panes.act(Action::Open, 3));
    }
}
