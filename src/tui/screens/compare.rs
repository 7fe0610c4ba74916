//! Two snapshots side by side: entries added, removed and changed from the older to the newer.

use crate::engine::compare::{Change, Comparison, Difference};
use crate::model::exit::Failure;
use crate::model::text::CleanText;
use crate::tui::action::{Action, Offer};
use crate::tui::filter::Filter;
use crate::tui::hit::Click;
use crate::tui::message::{Effect, Named, Notice, Order};
use crate::tui::model::Model;
use crate::tui::palette;
use crate::tui::screen::{Canvas, Screen, cut_middle};
use crate::tui::screens::inside::render_failure;
use crate::tui::theme::Role;
use crate::tui::widgets::lines::{Line, height_of, render_lines, render_sentences};
use crate::tui::widgets::list::Selection;
use crate::tui::widgets::panel::render_panel;
use crate::tui::widgets::scroll::Scroll;

const PAGE: usize = 15;

/// The page.
pub struct ComparePage {
    old: Named,
    new: Named,
    found: Option<Result<Comparison, Failure>>,
    at: Selection,
    filter: Option<Filter>,
}

impl ComparePage {
    /// Opens the page and has both compared.
    pub fn open(old: Named, new: Named) -> Vec<Effect> {
        let order = Effect::Order(Order::Diff(old.clone(), new.clone()));
        let page = Self { old, new, found: None, at: Selection::default(), filter: None };
        vec![Effect::Open(Box::new(page)), order]
    }

    fn shown(&self) -> Vec<&Difference> {
        let Some(Ok(found)) = &self.found else { return Vec::new() };
        let is_shown = |one: &&Difference| {
            self.filter.as_ref().is_none_or(|filter| filter.shows(&format!("{} {} {}", word(one), one.file, one.entry)))
        };
        found.differences.iter().filter(is_shown).collect()
    }

    fn title(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| format!(" /{}", filter.text())).unwrap_or_default();
        let ids = format!("{} to {}", self.old.1, self.new.1);
        // The breadcrumbs name the item; here both snapshots must be told whole.
        let items =
            if self.old.0 == self.new.0 { String::new() } else { format!("{} to {}, ", self.old.0, self.new.0) };
        format!("{items}{ids}{filter}")
    }
}

fn word(difference: &Difference) -> &'static str {
    match difference.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed { .. } => "changed",
    }
}

fn look(difference: &Difference) -> (&'static str, Role) {
    match difference.change {
        Change::Added => ("+", Role::StatusOk),
        Change::Removed => ("-", Role::StatusBad),
        Change::Changed { .. } => ("~", Role::StatusWarn),
    }
}

fn told(difference: &Difference) -> String {
    match &difference.change {
        Change::Added | Change::Removed => String::new(),
        Change::Changed { from, to } => {
            let (from, to): (Vec<&str>, Vec<&str>) = (from.split(", ").collect(), to.split(", ").collect());
            if from.len() != to.len() {
                return format!("{} to {}", from.join(", "), to.join(", "));
            }
            let pairs = from.iter().zip(&to).filter(|(from, to)| from != to);
            pairs.map(|(from, to)| from_to(from, to)).collect::<Vec<_>>().join(", ")
        }
    }
}

/// "size 412 to 420": what both begin or end with is said once.
fn from_to(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split(' ').collect(), to.split(' ').collect());
    let least = from.len().min(to.len());
    let head = from.iter().zip(&to).take(least - 1).take_while(|(from, to)| from == to).count();
    let tails = from.iter().rev().zip(to.iter().rev()).take(least - 1 - head);
    let tail = tails.take_while(|(from, to)| from == to).count();
    let (before, end) = (from.get(..from.len() - tail).unwrap_or_default(), to.get(head..).unwrap_or_default());
    format!("{} to {}", before.join(" "), end.join(" "))
}

/// "3 added, 1 removed, 2 changed, 40 alike".
fn counts(found: &Comparison) -> String {
    let [added, removed, changed] = found.counts;
    format!("{added} added, {removed} removed, {changed} changed, {} alike", found.alike)
}

impl Screen for ComparePage {
    fn crumbs(&self, _model: &Model) -> Vec<String> {
        let place = &self.new.0;
        let names = [place.owner.to_string(), place.service.to_string(), place.item.to_string()];
        names.into_iter().chain(["differences".to_owned()]).collect()
    }

    fn offers(&self, _model: &Model) -> Vec<Offer> {
        let moves = [Action::Up, Action::Down, Action::PageUp, Action::PageDown, Action::First, Action::Last];
        let none = self.shown().is_empty().then_some("no row is selected");
        let own = [Offer::on(Action::Filter), Offer::unless(Action::Copy, none)];
        own.into_iter().chain(moves.map(Offer::on)).collect()
    }

    fn act(&mut self, action: Action, _model: &Model) -> Vec<Effect> {
        let count = self.shown().len();
        if self.at.move_by(action, count, PAGE) {
            return Vec::new();
        }
        match action {
            Action::Filter => vec![Effect::Ask(palette::filter(self.filter.as_ref().map_or("", Filter::text)))],
            Action::Copy => {
                let shown = self.shown();
                let one = self.at.row(count).and_then(|at| shown.get(at));
                let text = one.map(|one| format!("{} {} {} {}", word(one), one.file, one.entry, told(one)));
                text.map(Effect::Copy).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn clicked(&mut self, click: Click, _model: &Model) -> Vec<Effect> {
        click.row.into_iter().for_each(|row| self.at.select(row));
        Vec::new()
    }

    fn noticed(&mut self, notice: &Notice, _model: &Model) -> Vec<Effect> {
        if let Notice::Compared(compared) = notice
            && (&compared.old, &compared.new) == (&self.old, &self.new)
        {
            self.found = Some(compared.found.clone());
        }
        Vec::new()
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn narrow(&mut self, filter: Filter) {
        self.filter = (!filter.is_empty()).then_some(filter);
    }

    /// ```text
    /// ┌ 20261118T005000Z-7f3a to 20261120T005000Z-7f3a ──────────┐
    /// │ 1 added, 0 removed, 1 changed, 3 alike                   │
    /// │                                                          │
    /// │ + config.tar  etc/new.json                               │
    /// │ ~ config.tar  etc/node.json     size 12 to 14            │
    /// └──────────────────────────────────────────────────────────┘
    /// ```
    fn view(&self, model: &Model, canvas: &mut Canvas) {
        let mut inner = render_panel(&self.title(), true, canvas.area, canvas);
        let found = match &self.found {
            None => return render_sentences(&[("Both are being read.", Role::Text)], &mut inner),
            Some(Err(failure)) => return render_failure(failure, model, &mut inner),
            Some(Ok(found)) => found,
        };
        if found.is_alike() {
            let told = match found.alike {
                1 => "The only entry is alike in both.".to_owned(),
                alike => format!("All {alike} entries are alike."),
            };
            return render_sentences(&[("Nothing differs.", Role::StatusOk), (&told, Role::Muted)], &mut inner);
        }
        inner.text(1, 0, &counts(found), Role::Heading);
        let shown = self.shown();
        let at = self.at.row(shown.len());
        // What the selected row says in full stands below the list.
        let whole = at.and_then(|at| shown.get(at)).map(|one| whole_lines(one, found)).unwrap_or_default();
        let below = u16::try_from(height_of(&whole, inner.area.width.saturating_sub(2)))
            .unwrap_or(6)
            .min(inner.area.height / 3);
        let height = inner.area.height.saturating_sub(3 + below);
        let top = self.at.top(shown.len(), usize::from(height));
        let entry_width = inner.area.width / 2;
        for (y, (number, one)) in (2..2 + height).zip(shown.iter().enumerate().skip(top)) {
            inner.mark_row(y, number);
            let (sign, role) = look(one);
            inner.text(1, y, sign, role);
            let name = if one.entry.is_empty() { &one.file } else { &one.entry };
            let width = entry_width.saturating_sub(4);
            let name = CleanText::new(name).one_line().to_string();
            let name = cut_middle(&name, usize::from(width), inner.theme.glyphs.cut);
            inner.text_within(3, y, width, &name, Role::Text);
            let told = told(one);
            inner.text(entry_width, y, if told.is_empty() { word(one) } else { &told }, role);
            inner.mark_matches(y, self.filter.as_ref());
            if Some(number) == at {
                inner.paint_row(y, Role::Selection);
            }
        }
        let area = inner.area;
        let place = ratatui::layout::Rect { y: area.bottom() - below, height: below, ..area };
        render_lines(&whole, &Scroll::default(), &mut inner.within(place));
    }
}

fn whole_lines(one: &Difference, found: &Comparison) -> Vec<Line> {
    let clean = |text: &str| CleanText::new(text).one_line().to_string();
    let mut lines = vec![Line::field("file", clean(&one.file))];
    if !one.entry.is_empty() {
        lines.push(Line::field("entry", clean(&one.entry)));
    }
    if let Change::Changed { from, to } = &one.change {
        lines.push(Line::field("before", clean(from)));
        lines.push(Line::field("after", clean(to)));
    }
    let total: usize = found.counts.iter().sum();
    if total > found.differences.len() {
        lines.push(Line::muted(format!("Only the first {} of {total} are listed.", found.differences.len())));
    }
    lines.extend(found.notes.iter().map(|note| Line::muted(clean(note))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_said_once() {
        assert_eq!(from_to("size 412", "size 420"), "size 412 to 420");
        assert_eq!(from_to("1200 bytes", "1300 bytes"), "1200 to 1300 bytes");
        assert_eq!(from_to("a b c", "a x c"), "a b to x c");
        assert_eq!(from_to("file", "symbolic link"), "file to symbolic link");
        assert_eq!(from_to("", "x"), " to x");
    }
}
