//! Keys to actions: the table's own keys, with what a keymap file says laid over them.

mod document;
mod file;

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{ACTIONS, Action, Offer};

pub use document::{KeyRow, describe_keys, document_keys};

/// A pressed key, without what terminals report differently: shift on a letter is the capital alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let mut modifiers = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let code = match event.code {
            KeyCode::Char(_) => {
                modifiers -= KeyModifiers::SHIFT;
                event.code
            }
            KeyCode::BackTab => {
                modifiers |= KeyModifiers::SHIFT;
                KeyCode::Tab
            }
            code => code,
        };
        Self { code, modifiers }
    }
}

impl Key {
    /// The event a terminal would send for it.
    pub fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }
}

/// A key's name that is none, with what was meant to be there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no key; write b, B, ctrl-r, alt-x, shift-tab, enter, esc, space, f5, pgup.")]
pub struct NoKey(String);

const NAMED: &[(&str, KeyCode)] = &[
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
];

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        for (name, modifier) in
            [("ctrl-", KeyModifiers::CONTROL), ("alt-", KeyModifiers::ALT), ("shift-", KeyModifiers::SHIFT)]
        {
            if let Some(after) = rest.strip_prefix(name).filter(|after| !after.is_empty()) {
                modifiers |= modifier;
                rest = after;
            }
        }
        let mut letters = rest.chars();
        let code = match (letters.next(), letters.next()) {
            (Some(one), None) if !one.is_control() => KeyCode::Char(one),
            _ => match NAMED.iter().find(|(name, _)| *name == rest) {
                Some((_, code)) => *code,
                None => match rest.strip_prefix('f').and_then(|number| number.parse::<u8>().ok()) {
                    Some(number @ 1..=12) => KeyCode::F(number),
                    _ => return Err(NoKey(text.to_owned())),
                },
            },
        };
        Ok(Self { code, modifiers })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in
            [(KeyModifiers::CONTROL, "ctrl-"), (KeyModifiers::ALT, "alt-"), (KeyModifiers::SHIFT, "shift-")]
        {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        match self.code {
            KeyCode::F(number) => write!(f, "f{number}"),
            code => match (NAMED.iter().find(|(_, known)| *known == code), code) {
                (Some((name, _)), _) => f.write_str(name),
                (None, KeyCode::Char(letter)) => write!(f, "{letter}"),
                (None, _) => f.write_str("?"),
            },
        }
    }
}

/// One row: keys pressed one after the other, and what they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The keys.
    pub on: Vec<Key>,
    /// The action.
    pub action: Action,
}

/// What pressed keys mean on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// An action the page offers.
    Action(Action),
    /// The beginning of one.
    Begun,
    /// Nothing here.
    Nothing,
}

/// Every binding in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        let keys = |text: &str| text.split(' ').map(str::parse).collect::<Result<Vec<Key>, _>>();
        // A test holds that every key of the table can be read.
        let bindings = ACTIONS.iter().flat_map(|info| {
            info.keys.iter().filter_map(move |text| Some(Binding { on: keys(text).ok()?, action: info.action }))
        });
        Self { bindings: bindings.collect() }
    }
}

impl Keymap {
    /// Every binding.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// What `pressed` means where `offers` stand.
    pub fn meaning(&self, pressed: &[Key], offers: &[Offer]) -> Meaning {
        let here = self.bindings.iter().filter(|b| offers.iter().any(|offer| offer.action == b.action));
        let mut begun = false;
        for binding in here {
            if binding.on == pressed {
                return Meaning::Action(binding.action);
            }
            begun |= binding.on.starts_with(pressed);
        }
        if begun { Meaning::Begun } else { Meaning::Nothing }
    }

    /// Every key of an action, as help shows them.
    pub fn labels(&self, action: Action) -> String {
        let bindings = self.bindings.iter().filter(|binding| binding.action == action);
        bindings.map(Binding::label).collect::<Vec<_>>().join(", ")
    }

    /// The first key of an action, as the footer shows it.
    pub fn label(&self, action: Action) -> Option<String> {
        let binding = self.bindings.iter().find(|binding| binding.action == action)?;
        Some(binding.label())
    }
}

impl Binding {
    fn label(&self) -> String {
        self.on.iter().map(Key::to_string).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_can_be_read_and_none_means_two_things() {
        // No page offers both; the pages' own tests look at each drawn page.
        let apart = [Action::Next, Action::Open];
        let keymap = Keymap::default();
        let count: usize = ACTIONS.iter().map(|info| info.keys.len()).sum();
        assert_eq!(keymap.bindings().len(), count);
        for (at, one) in keymap.bindings().iter().enumerate() {
            let others = keymap.bindings()[at + 1..].iter();
            for other in others.filter(|other| !(apart.contains(&one.action) && apart.contains(&other.action))) {
                assert!(!one.on.starts_with(&other.on) && !other.on.starts_with(&one.on), "{one:?} and {other:?}");
            }
        }
        for info in ACTIONS {
            assert_eq!(Action::named(info.name), Some(info.action));
            assert_eq!(info.action.info().name, info.name);
        }
    }
}
