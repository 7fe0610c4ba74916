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
    is_read_out: bool,
}

impl WaitingPage {
    /// Beside the inventory these are read: the directory of the configuration and that of the console's own state.
    ///
    /// Where pages are read out as lines nothing is asked yet, so no key leaves it.
    pub fn new(dirs: [PathBuf; 2], is_read_out: bool) -> Self {
        Self { dirs, is_read_out }
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
    /// │ config        ~/.config/lifeboat                            │
    /// │ state         ~/.local/state/lifeboat                       │
    /// │                                                             │
    /// │ q leaves. No node was asked, and nothing was changed.       │
    /// └─────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel("Waiting for a disk", true, canvas.area, canvas);
        let [configuration, state] = &self.dirs;
        let field = |label, path: &std::path::Path| Line::field(label, model.place.told(path));
        let key = if self.is_read_out { "ctrl-c".to_owned() } else { model.key(Action::Quit) };
        let leave = format!("{key} leaves. No node was asked, and nothing was changed.");
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
