//! The operator's keymap file: `keys = [{ on = "g v", action = "vault" }, { on = "q", action = "none" }]`.
//!
//! A row takes its keys from whatever had them. Two rows that want the same keys are both left out, for nobody can know
//! which was meant; so is a row that would make another unreachable. What a row cannot do: answer a gate, which takes
//! typed words and no key, or take `ctrl-c`, `esc` and `enter`, without which nobody could leave, go back or agree.

use std::path::Path;

use toml::de::DeValue;

use super::{Binding, Key, Keymap};
use crate::config::small::{ConfigError, Notes, Problem, Section, nearest, read_small};
use crate::tui::action::{ACTIONS, Action};

/// Keys that keep their meaning.
const KEPT: [&str; 3] = ["ctrl-c", "esc", "enter"];

/// The action that takes a key away.
const NONE: &str = "none";

/// The longest sequence.
const LONGEST: usize = 4;

struct Row {
    on: Vec<Key>,
    /// What it means; `None` takes the keys away.
    action: Option<Action>,
    line: usize,
}

impl Keymap {
    /// The table's keys with a file's laid over them, and every mistake in the file.
    pub fn parse(text: &str, path: &Path) -> (Self, Vec<ConfigError>) {
        read_small(text, path, |top, notes| {
            top.refuse_unknown(notes, &[&["keys"]]);
            let rows = read_rows(top, notes);
            let mut keymap = Self::default();
            for row in without_conflicts(rows, &keymap, notes) {
                keymap.bindings.retain(|binding| binding.on != row.on);
                if let Some(action) = row.action {
                    // The operator's own key stands in the footer.
                    let at = keymap.bindings.iter().position(|binding| binding.action == action);
                    let at = at.unwrap_or(keymap.bindings.len());
                    keymap.bindings.insert(at, Binding { on: row.on, action });
                }
            }
            keymap
        })
    }
}

fn read_rows(top: &Section<'_>, notes: &mut Notes<'_>) -> Vec<Row> {
    let Some(found) = top.get(notes, "keys") else { return Vec::new() };
    let DeValue::Array(array) = found.value else {
        found.expected(notes, "a list of rows such as { on = \"g v\", action = \"vault\" }");
        return Vec::new();
    };
    let mut rows = Vec::new();
    for value in array {
        let line = notes.line(value.span().start);
        let DeValue::Table(table) = value.get_ref() else {
            let message = "A row of 'keys' must be a table such as { on = \"g v\", action = \"vault\" }.";
            notes.error(line, "keys", Problem::bare(message));
            continue;
        };
        let row = Section::new(table, "keys");
        row.refuse_unknown(notes, &[&["on", "action"]]);
        let on = row.parse(notes, "on", read_keys);
        let action = row.parse(notes, "action", read_action);
        for key in ["on", "action"] {
            if row.get(notes, key).is_none() {
                notes.error(line, key, Problem::bare(format!("This row does not say '{key}'.")));
            }
        }
        if let (Some(on), Some(action)) = (on, action) {
            rows.push(Row { on, action, line });
        }
    }
    rows
}

fn read_keys(text: &str) -> Result<Vec<Key>, Problem> {
    let keys: Vec<Key> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|e: super::NoKey| Problem::bare(e.to_string()))?;
    if keys.is_empty() || keys.len() > LONGEST {
        return Err(Problem::bare(format!("'{text}' is no sequence of one to {LONGEST} keys.")));
    }
    if let Some(kept) = KEPT.iter().find(|kept| kept.parse().ok().as_ref() == keys.first()) {
        let hint = "Give the action another key.";
        return Err(Problem::new(format!("'{kept}' keeps its meaning, so that nobody is locked in."), hint));
    }
    Ok(keys)
}

fn read_action(text: &str) -> Result<Option<Action>, Problem> {
    if text == NONE {
        return Ok(None);
    }
    let names = || ACTIONS.iter().flat_map(|info| std::iter::once(info.name).chain(info.aliases.iter().copied()));
    let hint = || match nearest(text, names()) {
        Some(meant) => format!("Did you mean '{meant}'?"),
        None => "docs/keys.md lists the actions; \"none\" takes a key away.".to_owned(),
    };
    Action::named(text).map(Some).ok_or_else(|| Problem::new(format!("There is no action '{text}'."), hint()))
}

/// The rows that contradict neither another row nor a key that stays; every other is said and left out.
fn without_conflicts(rows: Vec<Row>, built_in: &Keymap, notes: &mut Notes<'_>) -> Vec<Row> {
    let label = |keys: &[Key]| keys.iter().map(Key::to_string).collect::<Vec<_>>().join(" ");
    let clash = |a: &[Key], b: &[Key]| a.starts_with(b) || b.starts_with(a);
    let mut wrong = vec![false; rows.len()];
    for (at, row) in rows.iter().enumerate() {
        let other = rows.iter().enumerate().find(|(i, other)| *i != at && clash(&row.on, &other.on));
        if let Some((_, other)) = other.filter(|(_, other)| row.action.is_some() || other.on == row.on) {
            wrong[at] = true;
            let message =
                format!("'{}' cannot stand beside '{}' of line {}.", label(&row.on), label(&other.on), other.line);
            let hint = "Neither row is used; keep one, or give one other keys.";
            notes.error(row.line, "keys", Problem::new(message, hint));
            continue;
        }
        let is_gone = |on: &[Key]| rows.iter().any(|row| row.on == on);
        let standing = built_in
            .bindings
            .iter()
            .find(|known| known.on != row.on && clash(&known.on, &row.on) && !is_gone(&known.on));
        if let Some(known) = standing.filter(|_| row.action.is_some()) {
            wrong[at] = true;
            let (keys, name) = (label(&known.on), known.action.info().name);
            let message = format!("'{}' cannot stand beside '{keys}', which is '{name}'.", label(&row.on));
            let hint = format!("Take that one away first: {{ on = \"{keys}\", action = \"none\" }}");
            notes.error(row.line, "keys", Problem::new(message, hint));
        }
    }
    let kept = rows.into_iter().zip(wrong).filter(|(_, wrong)| !wrong);
    kept.map(|(row, _)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Keymap, String) {
        let (keymap, mistakes) = Keymap::parse(text, Path::new("keys.toml"));
        (keymap, mistakes.iter().map(|m| m.to_string().replace("\n    ", " ")).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn rows_add_replace_and_take_away() {
        let (keymap, mistakes) = parse(
            "keys = [\n  { on = \"g v\", action = \"vault\" },\n  { on = \"b\", action = \"runs\" },\n  { on = \"q\", action = \"none\" },\n]\n",
        );
        assert_eq!(mistakes, "");
        assert_eq!(keymap.labels(Action::Vault), "g v, V");
        assert_eq!(keymap.labels(Action::Runs), "b, R");
        assert_eq!(keymap.labels(Action::BackUp), "");
        assert_eq!(keymap.labels(Action::Quit), "ctrl-c");
    }

    #[test]
    fn contradictions_are_refused_with_both_lines_and_the_built_in_keys_stay() {
        let (keymap, mistakes) = parse(
            "keys = [\n  { on = \"b\", action = \"vault\" },\n  { on = \"b\", action = \"runs\" },\n  { on = \"g\", action = \"jobs\" },\n]\n",
        );
        assert_eq!(
            mistakes,
            "keys.toml:2: 'b' cannot stand beside 'b' of line 3. Neither row is used; keep one, or give one other keys.\n\
             keys.toml:3: 'b' cannot stand beside 'b' of line 2. Neither row is used; keep one, or give one other keys.\n\
             keys.toml:4: 'g' cannot stand beside 'g g', which is 'first'. Take that one away first: { on = \"g g\", action = \"none\" }"
        );
        assert_eq!(keymap, Keymap::default());
    }

    #[test]
    fn mistakes_are_said_and_what_must_stay_stays() {
        let (keymap, mistakes) = parse(
            "keys = [\n  { on = \"hyper-x\", action = \"vault\" },\n  { on = \"f9\", action = \"valt\" },\n  { on = \"ctrl-c\", action = \"none\" },\n  { on = \"f8\", acton = \"vault\" },\n]\nkees = 1\n",
        );
        assert_eq!(
            mistakes.lines().map(|line| line.split(". ").next().unwrap_or_default()).collect::<Vec<_>>(),
            [
                "keys.toml:2: 'hyper-x' is no key; write b, B, ctrl-r, alt-x, shift-tab, enter, esc, space, f5, pgup.",
                "keys.toml:3: There is no action 'valt'",
                "keys.toml:4: 'ctrl-c' keeps its meaning, so that nobody is locked in",
                "keys.toml:5: There is no key 'acton' in [keys]",
                "keys.toml:5: This row does not say 'action'.",
                "keys.toml:7: There is no key 'kees' at the top",
            ]
        );
        assert_eq!(keymap, Keymap::default());
    }
}
