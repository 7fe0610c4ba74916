//! The first page of a wizard: fields, one of them selected, and an editor for it.

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent};
use ratatui::layout::Rect;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;
use unicode_width::UnicodeWidthStr;

use super::errand::{Field, Kind};
use crate::engine::phrases::sentence;
use crate::tui::action::Action;
use crate::tui::filter::Filter;
use crate::tui::modal::wants_out;
use crate::tui::palette::middle;
use crate::tui::screen::{Canvas, cut_middle, wrap};
use crate::tui::theme::Role;
use crate::tui::widgets::field::render_field;
use crate::tui::widgets::list::{Cursor, Selection};
use crate::tui::widgets::panel::render_panel;

/// The page's state: which field is selected, however many come and go around it while plans are made, and what is being
/// typed or picked.
#[derive(Default)]
pub struct Choose {
    at: Cursor<String>,
    /// Whether the row that goes on is selected.
    on_go: bool,
    editor: Option<Editor>,
}

enum Editor {
    Text(Input),
    Pick(Input, Selection),
}

fn key_of(field: &Field) -> &String {
    &field.key
}

/// A field's new value: its key and what was chosen.
pub type Change = (String, String);

/// The columns of labels.
const LABEL: u16 = 11;

impl Choose {
    /// Selects a field, or, past the last one, the row that goes on.
    pub fn select(&mut self, row: usize, fields: &[Field]) {
        self.at.select(row, fields, key_of);
        self.on_go = row >= fields.len();
    }

    fn row(&self, fields: &[Field]) -> usize {
        let field = self.at.row(fields, key_of).filter(|_| !self.on_go);
        field.unwrap_or(fields.len())
    }

    fn go_to(&mut self, action: Action, fields: &[Field]) {
        let mut to = Selection::default();
        to.select(self.row(fields));
        to.move_by(action, fields.len() + 1, 5);
        self.select(to.row(fields.len() + 1).unwrap_or(0), fields);
    }

    /// Whether an editor takes the keys.
    pub fn is_editing(&self) -> bool {
        self.editor.is_some()
    }

    /// Whether the row that goes on is selected.
    pub fn is_on_go(&self, fields: &[Field]) -> bool {
        self.row(fields) == fields.len()
    }

    /// Whether what is selected is in or out.
    pub fn is_on_switch(&self, fields: &[Field]) -> bool {
        self.field(fields).is_some_and(|field| matches!(field.kind, Kind::Switch(_)))
    }

    /// While an editor is open, the keys that do more than write.
    pub fn keys(&self) -> Option<&'static [(&'static str, &'static str)]> {
        Some(match self.editor.as_ref()? {
            Editor::Text(_) => &[("enter", "take it"), ("esc", "leave it as it was")],
            Editor::Pick(..) => &[("up, down", "choose"), ("enter", "take it"), ("esc", "leave it as it was")],
        })
    }

    fn field<'f>(&self, fields: &'f [Field]) -> Option<&'f Field> {
        fields.get(self.row(fields))
    }

    /// Moves, or changes a field in place.
    pub fn act(&mut self, action: Action, fields: &[Field]) -> Option<Change> {
        match action {
            Action::Left => self.turn(fields, false),
            Action::Right => self.turn(fields, true),
            Action::Mark => self.field(fields).and_then(switch),
            action => {
                self.go_to(action, fields);
                None
            }
        }
    }

    /// The value before or after in a list.
    fn turn(&self, fields: &[Field], forward: bool) -> Option<Change> {
        let field = self.field(fields)?;
        let Kind::OneOf(values) = &field.kind else { return switch(field) };
        let at = values.iter().position(|(value, _)| *value == field.value);
        let at = match (at, forward) {
            (None, _) => 0,
            (Some(at), true) => (at + 1) % values.len().max(1),
            (Some(at), false) => (at + values.len().saturating_sub(1)) % values.len().max(1),
        };
        values.get(at).map(|(value, _)| (field.key.clone(), value.clone()))
    }

    /// Opens the selected field's editor, or turns a switch.
    pub fn open(&mut self, fields: &[Field]) -> Option<Change> {
        let field = self.field(fields)?;
        match &field.kind {
            Kind::Fixed => {
                self.go_to(Action::Down, fields);
                None
            }
            Kind::Text => {
                self.editor = Some(Editor::Text(Input::new(field.value.clone())));
                None
            }
            Kind::OneOf(values) => {
                let mut at = Selection::default();
                at.select(values.iter().position(|(value, _)| *value == field.value).unwrap_or(0));
                self.editor = Some(Editor::Pick(Input::default(), at));
                None
            }
            Kind::Switch(_) => switch(field),
        }
    }

    /// Takes a key of the editor.
    pub fn key(&mut self, key: KeyEvent, fields: &[Field]) -> Option<Change> {
        let field = self.field(fields).filter(|field| self.at.own() == Some(&field.key)).cloned();
        let Some(field) = field else {
            // What was being written is not asked any more; it must not become the answer to something else.
            self.editor = None;
            return None;
        };
        match (key.code, self.editor.take()?) {
            _ if wants_out(key) => None,
            (KeyCode::Enter, Editor::Text(typed)) => Some((field.key, typed.value().trim().to_owned())),
            (KeyCode::Enter, Editor::Pick(typed, at)) => {
                let shown = shown(&field, &typed);
                at.row(shown.len()).and_then(|row| shown.get(row)).map(|(value, _)| (field.key.clone(), value.clone()))
            }
            (_, Editor::Text(mut typed)) => {
                typed.handle_event(&TermEvent::Key(key));
                self.editor = Some(Editor::Text(typed));
                None
            }
            (code, Editor::Pick(mut typed, mut at)) => {
                let rows = shown(&field, &typed).len();
                let moved = match code {
                    KeyCode::Up => Some(Action::Up),
                    KeyCode::Down => Some(Action::Down),
                    KeyCode::PageUp => Some(Action::PageUp),
                    KeyCode::PageDown => Some(Action::PageDown),
                    _ => None,
                };
                if let Some(action) = moved {
                    at.move_by(action, rows, 10);
                } else {
                    typed.handle_event(&TermEvent::Key(key));
                    at = Selection::default();
                }
                self.editor = Some(Editor::Pick(typed, at));
                None
            }
        }
    }

    /// Selects a row: of the list that is open, else a field or the row that goes on.
    pub fn clicked(&mut self, row: usize, fields: &[Field]) {
        match &mut self.editor {
            Some(Editor::Pick(_, at)) => at.select(row),
            Some(Editor::Text(_)) => {}
            None => self.select(row, fields),
        }
    }

    /// Takes pasted text into a text field.
    pub fn pasted(&mut self, text: &str) {
        if let Some(Editor::Text(typed) | Editor::Pick(typed, _)) = &mut self.editor {
            let clean: String = text.chars().filter(|c| !c.is_control()).take(500).collect();
            *typed = Input::new(format!("{}{clean}", typed.value()));
        }
    }

    /// ```text
    ///  item        val-1/avalanchego/staking-identity
    ///  into        ~/lifeboat
    ///  reason      before the move
    ///
    ///   Go on
    ///
    ///  Why, for the manifest; may be empty.
    /// ```
    ///
    /// `next` says what comes after it, `missing` why that cannot come yet.
    pub fn view(&self, fields: &[Field], missing: Option<&str>, next: &str, canvas: &mut Canvas) {
        let rows = fields.len() + 1;
        let height = usize::from(canvas.area.height.saturating_sub(4));
        let selected = self.row(fields);
        let top = selected.saturating_sub(height / 2).min(rows.saturating_sub(height.max(1)));
        let mut y = 0;
        for (number, field) in fields.iter().enumerate().skip(top).take(height) {
            self.mark_row(y, number, canvas);
            self.render_field(field, y, number == selected, canvas);
            y += 1;
        }
        if rows.saturating_sub(top) <= height {
            y += u16::from(height > rows);
            self.mark_row(y, fields.len(), canvas);
            let role = if selected == fields.len() { Role::Selection } else { Role::Text };
            canvas.text(1, y, " Go on ", if missing.is_some() { Role::Disabled } else { role });
        }
        let about = match (self.field(fields), missing) {
            (Some(field), _) => field.about.as_str(),
            (None, Some(missing)) => missing,
            (None, None) => next,
        };
        // A few words beside a field are a sentence by themselves.
        let about = if about.is_empty() || about.ends_with('?') { about.to_owned() } else { sentence(about) };
        let lines = wrap(&about, usize::from(canvas.area.width.saturating_sub(2)));
        let from = canvas.area.height.saturating_sub(2);
        let role = if self.field(fields).is_none() && missing.is_some() { Role::StatusWarn } else { Role::Muted };
        for (y, line) in (from..canvas.area.height).zip(lines) {
            canvas.text(1, y, &line, role);
        }
        if let (Some(Editor::Pick(typed, at)), Some(field)) = (&self.editor, self.field(fields)) {
            canvas.step_back();
            render_picker(field, typed, *at, canvas);
        }
    }

    /// An open list lies over the fields: then only its rows are clicked.
    fn mark_row(&self, y: u16, number: usize, canvas: &Canvas) {
        if self.editor.is_none() {
            canvas.mark_row(y, number);
        }
    }

    fn render_field(&self, field: &Field, y: u16, is_selected: bool, canvas: &mut Canvas) {
        let glyphs = canvas.theme.glyphs;
        canvas.text_within(1, y, LABEL, &field.label, Role::Muted);
        let x = LABEL + 2;
        let x = match field.kind {
            Kind::Switch(true) => canvas.text(x, y, glyphs.mark, Role::Marked) + 1,
            Kind::Switch(false) => canvas.text(x, y, glyphs.unknown, Role::StatusUnknown) + 1,
            _ => x,
        };
        if is_selected && let Some(Editor::Text(typed)) = &self.editor {
            let width = canvas.area.width.saturating_sub(x + 1);
            render_field(x, y, width, typed, Role::Input, canvas);
            return;
        }
        let (value, role) = match (field.value.is_empty(), &field.kind) {
            (true, Kind::Text) => ("none", Role::Muted),
            (true, _) => ("not chosen yet", Role::StatusWarn),
            (false, Kind::Fixed) => (field.value.as_str(), Role::Text),
            (false, _) => (field.value.as_str(), Role::Title),
        };
        let room = canvas.area.width.saturating_sub(x + 1);
        let end = canvas.text_within(x, y, room, &cut_middle(value, usize::from(room), glyphs.cut), role);
        // What it means stands beside it where it fits whole; of the selected field it always stands below.
        let room = usize::from(canvas.area.width.saturating_sub(end + 4));
        if !field.value.is_empty() && field.about.width() <= room {
            canvas.text(end + 3, y, &field.about, Role::Muted);
        }
        if is_selected {
            canvas.paint_row(y, Role::Selection);
        }
    }
}

fn switch(field: &Field) -> Option<Change> {
    let Kind::Switch(is_in) = field.kind else { return None };
    Some((field.key.clone(), if is_in { "out" } else { "in" }.to_owned()))
}

fn shown<'f>(field: &'f Field, typed: &Input) -> Vec<&'f (String, String)> {
    let Kind::OneOf(values) = &field.kind else { return Vec::new() };
    let filter = Filter::new(typed.value());
    values.iter().filter(|(value, about)| filter.shows(&format!("{value} {about}"))).collect()
}

/// ```text
/// ┌ Choose onto: type to narrow ──────────────────────┐
/// │ /spa                                              │
/// │ spare-1          has such a service               │
/// └───────────────────────────────────────────────────┘
/// ```
fn render_picker(field: &Field, typed: &Input, at: Selection, canvas: &mut Canvas) {
    let rows = shown(field, typed);
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(4).clamp(6, canvas.area.height.max(6));
    let width = canvas.area.width.saturating_sub(6);
    let area = middle(canvas.area, width, height);
    let title = format!("Choose {}: type to narrow", field.label);
    let mut inner = render_panel(&title, true, area, canvas);
    let end = inner.text(1, 0, "/", Role::KeyHint);
    let width = inner.area.width.saturating_sub(end + 1);
    render_field(end, 0, width, typed, Role::Input, &mut inner);
    let list = Rect { y: inner.area.y + 1, height: inner.area.height.saturating_sub(1), ..inner.area };
    let mut list = inner.within(list);
    let glyphs = list.theme.glyphs;
    if rows.is_empty() {
        list.text(1, 1, "Nothing here is called that.", Role::Muted);
    }
    let column = rows.iter().map(|(value, _)| value.chars().count()).max().unwrap_or(0).clamp(10, 46);
    let column = u16::try_from(column).unwrap_or(46);
    let top = at.top(rows.len(), usize::from(list.area.height));
    for (y, (number, (value, about))) in (0..list.area.height).zip(rows.iter().enumerate().skip(top)) {
        list.mark_row(y, number);
        list.text_within(1, y, column, &cut_middle(value, usize::from(column), glyphs.cut), Role::Text);
        list.text(column + 3, y, about, Role::Muted);
        list.mark_matches(y, Some(&Filter::new(typed.value())));
        if at.row(rows.len()) == Some(number) {
            list.paint_row(y, Role::Selection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(key: &str) -> Field {
        let (label, value, about) = (key.to_owned(), String::new(), String::new());
        Field { key: key.to_owned(), label, value, about, kind: Kind::Text }
    }

    fn press(choose: &mut Choose, code: KeyCode, fields: &[Field]) -> Option<Change> {
        choose.key(KeyEvent::from(code), fields)
    }

    /// While somebody writes a plan may come in that asks more, or less.
    #[test]
    fn what_is_written_becomes_the_answer_to_what_was_asked_and_to_nothing_else() {
        let (two, three) = ([field("reason"), field("mode")], [field("reason"), field("guard"), field("mode")]);
        let mut choose = Choose::default();
        choose.select(1, &two);
        choose.open(&two);
        press(&mut choose, KeyCode::Char('x'), &three);
        assert_eq!(press(&mut choose, KeyCode::Enter, &three), Some(("mode".to_owned(), "x".to_owned())));
        choose.open(&three);
        press(&mut choose, KeyCode::Char('y'), &three);
        assert_eq!(press(&mut choose, KeyCode::Enter, &two[..1]), None, "nobody asks for it any more");
        assert!(!choose.is_editing());
        // The row that goes on stays selected however many fields there come to be.
        choose.select(two.len(), &two);
        assert!(choose.is_on_go(&three));
    }
}
