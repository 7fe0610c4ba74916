//! The keys as `docs/keys.md` and the manual page tell them, from the one table.

use super::Keymap;
use crate::tui::action::{ACTIONS, ActionInfo, Group};

/// One action for a manual: group, keys, name, sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// The group's heading.
    pub group: &'static str,
    /// Its keys.
    pub keys: String,
    /// Its name in the palette and in keymap files.
    pub name: String,
    /// What it does.
    pub about: &'static str,
}

/// Every action of the table, group by group.
pub fn describe_keys() -> Vec<KeyRow> {
    let keymap = Keymap::default();
    let row = |info: &'static ActionInfo| KeyRow {
        group: info.action.group().heading(),
        keys: keymap.labels(info.action),
        name: std::iter::once(info.name).chain(info.aliases.iter().copied()).collect::<Vec<_>>().join(", "),
        about: info.about,
    };
    let of_group = |group: Group| ACTIONS.iter().filter(move |info| info.action.group() == group).map(row);
    Group::ALL.into_iter().flat_map(of_group).collect()
}

/// The text of `docs/keys.md`.
pub fn document_keys() -> String {
    let mut text = String::from(INTRODUCTION);
    let mut group = "";
    for row in describe_keys() {
        if row.group != group {
            group = row.group;
            text.push_str(&format!("\n## {group}\n\n| keys | name | what it does |\n|---|---|---|\n"));
        }
        let keys = row.keys.split(", ").filter(|key| !key.is_empty()).map(|key| format!("`{key}`"));
        let names = row.name.split(", ").map(|name| format!("`{name}`"));
        let (keys, names) = (keys.collect::<Vec<_>>().join(" "), names.collect::<Vec<_>>().join(" "));
        text.push_str(&format!("| {keys} | {names} | {} |\n", row.about));
    }
    text
}

const INTRODUCTION: &str = "\
# Keys of the console

<!-- Made from the table of actions; a test holds it. Make it anew: LIFEBOAT_PICTURES=1 cargo test --test suite console::keys -->

An action works where the page offers it; `?` lists what works at the moment, with the reason where something does not.
The names are those of the palette (`:`) and of the keymap file.

## Other keys

`keys.toml` in the configuration directory (`~/.config/lifeboat`) lays keys over these:

```toml
keys = [
  { on = \"g v\", action = \"vault\" },   # keys pressed one after the other
  { on = \"f9\", action = \"jobs\" },
  { on = \"q\", action = \"none\" },      # takes a key away
]
```

A mistake is said with its line when the console opens, and the built-in key stays. `ctrl-c`, `esc` and `enter` keep their
meaning. No key answers a gate: that takes typed words.
";
