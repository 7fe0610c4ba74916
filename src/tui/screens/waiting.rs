//! The page of a console whose disks have not answered yet.

use std::path::PathBuf;

use crate::tui::action::{Action, Offer};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen};
use crate::tui::theme::Role;
use crate::tui::widgets::lines::{Line, render_lines};
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::scroll::Scroll;

/// The page.
pub struct WaitingPage {
    dirs: [PathBuf; 2],
}

impl WaitingPage {
    /// Beside the inventory these are read: the directory of the configuration and that of the console's own state.
    pub fn new(dirs: [PathBuf; 2]) -> Self {
        Self { dirs }
    }
}

impl Screen for WaitingPage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["waiting".to_owned()]
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        Vec::new()
    }

    fn act(&mut self, _action: Action, _model: &Model) -> Vec<Effect> {
        Vec::new()
    }

    fn is_alone(&self) -> bool {
        true
    }

    /// ```text
    /// ┌ Waiting for a disk ─────────────────────────────────────────┐
    /// │                                                             │
    /// │ A disk has not answered yet. The console opens when it does.│
    /// │                                                             │
    /// │ inventory     ~/.config/lifeboat/inventory.toml             │
    /// └─────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel("Waiting for a disk", true, canvas.area, canvas);
        let [configuration, state] = &self.dirs;
        let field = |label, path: &std::path::Path| Line::field(label, model.place.told(path));
        let leave = format!("{} leaves. No node was asked, and nothing was changed.", model.key(Action::Quit));
        let lines = [
            Line::Text("A disk has not answered yet. The console opens as soon as it does.".to_owned(), Role::Title),
            Line::Blank,
            field("inventory", &model.place.inventory),
            field("config", configuration),
            field("state", state),
            Line::Blank,
            Line::muted(leave),
        ];
        render_lines(&lines, &Scroll::default(), &mut inner);
    }
}
