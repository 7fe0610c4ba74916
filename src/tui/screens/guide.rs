//! The guide, to be read before there is anything to look at.

use crate::tui::action::{Action, Offer};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::screen::{Canvas, Screen, wrap};
use crate::tui::theme::Role;
use crate::tui::widgets::panel::{Hidden, render_panel};
use crate::tui::widgets::scroll::Scroll;

const TEXT: &str = include_str!("../../../docs/guide.md");

/// The longest line that reads well.
const WIDEST: u16 = 84;

/// The page.
#[derive(Default)]
pub struct Guide {
    scroll: Scroll,
}

/// A line with its look; headings are bold, commands stand apart.
fn lines(width: usize) -> Vec<(String, Role, u16)> {
    let mut lines = Vec::new();
    for paragraph in TEXT.lines() {
        if paragraph.starts_with("```") {
            continue;
        }
        if let Some(heading) = paragraph.strip_prefix('#') {
            lines.push((heading.trim_start_matches('#').trim().to_owned(), Role::Title, 2));
        } else if let Some(command) = paragraph.strip_prefix("    ") {
            lines.push((command.to_owned(), Role::KeyHint, 4));
        } else if paragraph.is_empty() {
            lines.push((String::new(), Role::Text, 2));
        } else {
            let text = paragraph.replace(['*', '`'], "");
            lines.extend(wrap(&text, width).into_iter().map(|line| (line, Role::Text, 2)));
        }
    }
    lines
}

impl Screen for Guide {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        vec!["guide".to_owned()]
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last].map(Offer::on).into()
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn act(&mut self, action: Action, _model: &Model) -> Vec<Effect> {
        self.scroll.move_by(action);
        Vec::new()
    }

    /// ```text
    /// ┌ Guide ──────────────────────────────────────────────────────┐
    /// │  Five minutes                                               │
    /// │                                                             │
    /// │  Make a key that opens the vault. …                         │
    /// └─────────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, _model: &Model, canvas: &mut Canvas) {
        let hidden = {
            let mut inner = render_panel("Guide", true, canvas.area, canvas);
            let width = inner.area.width.saturating_sub(4).min(WIDEST);
            let lines = lines(usize::from(width));
            let height = usize::from(inner.area.height);
            let top = self.scroll.top(lines.len(), height);
            for (y, (line, role, x)) in (0..inner.area.height).zip(lines.iter().skip(top)) {
                inner.text(*x, y, line, *role);
            }
            Hidden::of(top, lines.len(), height)
        };
        hidden.render(canvas);
    }
}
