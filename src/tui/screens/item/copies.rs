//! The list of an item's copies, newest first.

use super::{ItemPage, id_of};
use crate::engine::holdings::CopyView;
use crate::engine::phrases::rung_word;
use crate::tui::action::Action;
use crate::tui::model::Model;
use crate::tui::screen::Canvas;
use crate::tui::theme::{Glyphs, Role};
use crate::tui::when::{age, utc};
use crate::tui::widgets::lines::render_sentences;
use crate::tui::widgets::panel::{Hidden, render_panel};

/// How a copy stands: sign, word, role, why.
pub fn look_of_copy<'c>(copy: &'c CopyView, glyphs: &Glyphs) -> (&'static str, &'static str, Role, &'c str) {
    match copy.against.iter().find(|why| *why != "not verified") {
        Some(why) => (glyphs.bad, "suspect", Role::StatusBad, why),
        None if !copy.against.is_empty() => {
            (glyphs.warn, "unverified", Role::StatusWarn, "its format was not checked yet")
        }
        None => (glyphs.ok, "good", Role::StatusOk, ""),
    }
}

fn stored(copy: &CopyView) -> &'static str {
    if copy.sealed { "sealed" } else { "clear" }
}

/// What a filter is held against: all that is told of a copy but how long ago it was.
pub fn told(copy: &CopyView) -> String {
    let (_, word, _, why) = look_of_copy(copy, &Glyphs::UNICODE);
    let rung = rung_word(copy.highest().map(|(rung, _)| rung));
    format!("{} {} {} {} {rung} {word} {why}", utc(copy.created), copy.id, copy.size, stored(copy))
}

impl ItemPage {
    /// ```text
    /// ┌ Copies, 3 ──────────────────────────────────────────────────────┐
    /// │   COPIED             AGE      SIZE  STORED  SHOWN        STATE  │
    /// │   2026-11-20 00:50Z   2h  1.17 KiB  sealed  verified 2h  ● good │
    /// └─────────────────────────────────────────────────────────────────┘
    /// ```
    pub(super) fn render_copies(&self, model: &Model, has_focus: bool, canvas: &mut Canvas) {
        let copies = self.copies(model);
        let marked = if self.marks.is_empty() { String::new() } else { format!(", {} marked", self.marks.len()) };
        let shown = self.shown(model);
        let count = match &self.filter {
            Some(filter) => format!(", {} of {} /{}", shown.len(), copies.len(), filter.text()),
            None if copies.is_empty() => String::new(),
            None => format!(", {}", copies.len()),
        };
        let title = format!("Copies{count}{marked}");
        let mut inner = render_panel(&title, has_focus, canvas.area, canvas);
        if copies.is_empty() {
            let backs = format!("{} backs it up.", model.key(Action::BackUp));
            let (first, then) = match (&model.vault_failure, model.fleet.read_at) {
                (Some(failure), _) => (failure.message.as_str(), failure.hints.first().map_or("", String::as_str)),
                (None, None) => ("The vault is being read.", ""),
                (None, Some(_)) => ("Nothing was ever copied off.", backs.as_str()),
            };
            render_sentences(&[(first, Role::Text), (then, Role::Muted)], &mut inner);
            return;
        }
        if shown.is_empty() {
            let again = model.shows_all_again();
            render_sentences(&[("No copy is like that.", Role::Text), (&again, Role::Muted)], &mut inner);
            return;
        }
        for (x, name) in [(2, "COPIED"), (23, "AGE"), (32, "SIZE"), (38, "STORED"), (46, "SHOWN"), (60, "STATE")] {
            inner.text(x, 0, name, Role::Heading);
        }
        let at = self.copy.row(&shown, id_of);
        let height = inner.area.height.saturating_sub(1);
        let top = self.copy.top(&shown, usize::from(height), id_of);
        let hidden = Hidden::of(top, shown.len(), usize::from(height));
        for (y, (number, copy)) in (1..=height).zip(shown.iter().enumerate().skip(top)) {
            inner.mark_row(y, number);
            self.render_copy(copy, model, y, &mut inner);
            inner.mark_matches(y, self.filter.as_ref());
            if Some(number) == at {
                inner.paint_row(y, if has_focus { Role::Selection } else { Role::SelectionIdle });
            }
        }
        hidden.render(canvas);
    }

    fn render_copy(&self, copy: &CopyView, model: &Model, y: u16, canvas: &mut Canvas) {
        let glyphs = canvas.theme.glyphs;
        if self.marks.contains(&copy.id) {
            canvas.text(0, y, glyphs.flag, Role::Marked);
        }
        canvas.text_within(2, y, 18, &utc(copy.created), Role::Text);
        canvas.right(20, y, 6, &age(copy.created, model.now), Role::Muted);
        canvas.right(27, y, 9, &copy.size.to_string(), Role::Text);
        canvas.text_within(38, y, 7, stored(copy), Role::Muted);
        let shown = match copy.highest() {
            Some((crate::model::manifest::Rung::Intact, at)) => format!("intact {}", age(at, model.now)),
            Some((rung, at)) => format!("{} {}", rung_word(Some(rung)), age(at, model.now)),
            None => "-".to_owned(),
        };
        canvas.text_within(46, y, 13, &shown, Role::Text);
        let (sign, word, role, why) = look_of_copy(copy, &glyphs);
        let end = canvas.text(60, y, sign, role) + 1;
        let end = canvas.text(end, y, word, role) + 1;
        // In a narrow list the detail says why.
        if canvas.area.width >= 90 {
            canvas.text(end.max(74), y, why, Role::Muted);
        }
    }
}
