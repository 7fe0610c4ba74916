//! The faults of the practice fleet: a node, then what happens to it, or is mended.

use crossterm::event::{KeyCode, KeyEvent};

use super::over;
use crate::engine::practice::{Fault, PracticeNode};
use crate::model::ids::HostId;
use crate::tui::action::Action;
use crate::tui::message::{Effect, Order};
use crate::tui::modal::{Answer, Modal, Takes, wants_out};
use crate::tui::model::Model;
use crate::tui::screen::Canvas;
use crate::tui::theme::Role;
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;

/// The chooser, on one node; left and right go to the others.
pub struct Faults {
    nodes: Vec<PracticeNode>,
    node: usize,
    selection: Selection,
}

impl Faults {
    /// Over these nodes, at the one that was selected.
    pub fn of(nodes: Vec<PracticeNode>, at: Option<&HostId>) -> Self {
        let node = nodes.iter().position(|node| Some(&node.host) == at).unwrap_or(0);
        Self { nodes, node, selection: Selection::default() }
    }

    fn faults(&self) -> &[Fault] {
        self.nodes.get(self.node).map_or(&[], |node| &node.offers)
    }

    /// What enter does: the fault is put in force, or taken back when it is.
    fn chosen(&self) -> Option<Effect> {
        let node = self.nodes.get(self.node)?;
        let fault = *self.faults().get(self.selection.row(self.faults().len())?)?;
        let is_mended = node.in_force.contains(&fault);
        Some(Effect::Order(Order::Practise(node.host.clone(), fault, is_mended)))
    }
}

impl Modal for Faults {
    fn key(&mut self, key: KeyEvent, _model: &Model) -> Answer {
        let action = match key.code {
            _ if wants_out(key) || key.code == KeyCode::Char('q') => return Answer::Close(Vec::new()),
            KeyCode::Enter => return Answer::Close(self.chosen().into_iter().collect()),
            KeyCode::Left | KeyCode::Char('h') => {
                self.node = self.node.saturating_sub(1);
                return Answer::Stay(Vec::new());
            }
            KeyCode::Right | KeyCode::Char('l') => {
                self.node = (self.node + 1).min(self.nodes.len().saturating_sub(1));
                return Answer::Stay(Vec::new());
            }
            KeyCode::Up | KeyCode::Char('k') => Action::Up,
            KeyCode::Down | KeyCode::Char('j') => Action::Down,
            KeyCode::Home => Action::First,
            KeyCode::End => Action::Last,
            _ => return Answer::Stay(Vec::new()),
        };
        let count = self.faults().len();
        self.selection.move_by(action, count, count);
        Answer::Stay(Vec::new())
    }

    fn clicked(&mut self, row: usize) -> Answer {
        self.selection.select(row);
        Answer::Stay(Vec::new())
    }

    fn takes(&self) -> Takes {
        Takes::Row(self.faults().iter().map(|fault| fault.word().to_owned()).collect())
    }

    /// ```text
    /// ┌ Practice: val-1 ───────────────────────────────────────┐
    /// │ A validator that runs; its copies are fresh.           │
    /// │                                                        │
    /// │ cut-link           its network is gone                 │
    /// │ fill-disk          its disk is full         in force   │
    /// │                                                        │
    /// │ enter breaks or mends   left, right another node   esc │
    /// └────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let Some(node) = self.nodes.get(self.node) else { return };
        let rows = u16::try_from(self.faults().len()).unwrap_or(u16::MAX);
        let area = over(canvas, 76, rows.saturating_add(6).min(canvas.area.height));
        let mut inner = render_panel(&format!("Practice: {}", node.host), true, area, canvas);
        inner.text(1, 0, &node.story, Role::Muted);
        let height = inner.area.height.saturating_sub(4);
        let selected = self.selection.row(self.faults().len());
        let top = self.selection.top(self.faults().len(), height.into());
        for (y, (at, fault)) in (2..2 + height).zip(self.faults().iter().enumerate().skip(top)) {
            inner.mark_row(y, at);
            inner.text_within(1, y, 18, fault.word(), Role::Text);
            let end = inner.text_within(20, y, 42, fault.about(), Role::Muted);
            if node.in_force.contains(fault) {
                inner.text(end.max(62) + 1, y, "in force", Role::StatusWarn);
            }
            if Some(at) == selected {
                inner.paint_row(y, Role::Selection);
            }
        }
        let foot = inner.area.height.saturating_sub(1);
        inner.text(1, foot, "enter breaks or mends   left, right another node   esc goes back", Role::Muted);
    }
}
