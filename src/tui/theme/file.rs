//! A theme's file: `about`, `inherits`, `[palette]` and `[roles]`. What is wrong in it is said and left out.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::style::{Color, Modifier, Style};
use toml::de::{DeTable, DeValue};

use super::Role;
use crate::config::small::{ConfigError, Found, Notes, Problem, Section, nearest, read_small};

/// What a theme's file says, colours by name not looked up yet: a theme that inherits may give the names others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// One sentence for the chooser.
    pub about: String,
    /// The theme it begins with, with the line that says so.
    pub inherits: Option<(String, usize)>,
    /// Names of colours.
    pub palette: BTreeMap<String, Color>,
    /// The look of each role it names.
    pub looks: BTreeMap<Role, Look>,
}

/// One role's look as the file says it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// The ink: a colour or a name of the palette, with its line.
    pub ink: Option<(String, usize)>,
    /// The ground.
    pub ground: Option<(String, usize)>,
    /// What is done to the letters.
    pub modifiers: Modifier,
}

const TOP: &[&str] = &["about", "inherits", "palette", "roles"];

const LOOK: &[&str] = &["fg", "bg", "bold", "dim", "italic", "underlined", "reversed"];

const NAMED: &[(&str, Color)] = &[
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("white", Color::Gray),
    ("bright-black", Color::DarkGray),
    ("bright-red", Color::LightRed),
    ("bright-green", Color::LightGreen),
    ("bright-yellow", Color::LightYellow),
    ("bright-blue", Color::LightBlue),
    ("bright-magenta", Color::LightMagenta),
    ("bright-cyan", Color::LightCyan),
    ("bright-white", Color::White),
    ("terminal", Color::Reset),
];

/// Reads a theme's text; gives what it says and every mistake in it.
pub fn parse_theme(text: &str, path: &Path) -> (Told, Vec<ConfigError>) {
    read_small(text, path, |top, notes| {
        top.refuse_unknown(notes, &[TOP]);
        let string = |notes: &mut Notes, key| top.get(notes, key).and_then(|found| found.string(notes));
        let mut told = Told {
            about: string(notes, "about").unwrap_or_default().to_owned(),
            inherits: string(notes, "inherits").zip(top.get(notes, "inherits")).map(|(n, at)| (n.to_owned(), at.line)),
            ..Told::default()
        };
        if let Some(palette) = top.table(notes, "palette") {
            for (name, found) in Section::new(palette, "palette").entries(notes) {
                let Some(text) = found.string(notes) else { continue };
                if let Some(colour) = found.checked(notes, colour(text).ok_or_else(|| no_colour(text, &[]))) {
                    told.palette.insert(name.to_owned(), colour);
                }
            }
        }
        if let Some(roles) = top.table(notes, "roles") {
            read_roles(roles, "", notes, &mut told.looks);
        }
        told
    })
}

/// Roles by their names; `status.ok = …` without quotes is a table in TOML and means the same.
fn read_roles(table: &DeTable<'_>, before: &str, notes: &mut Notes<'_>, looks: &mut BTreeMap<Role, Look>) {
    for (name, found) in Section::new(table, "roles").entries(notes) {
        let name = format!("{before}{name}");
        let group = format!("{name}.");
        match (Role::named(&name), found.value) {
            (Some(role), _) => {
                if let Some(look) = read_look(&found, notes) {
                    looks.insert(role, look);
                }
            }
            (None, DeValue::Table(table)) if Role::ALL.iter().any(|role| role.name().starts_with(&group)) => {
                read_roles(table, &group, notes, looks);
            }
            (None, _) => {
                let hint = match nearest(&name, Role::ALL.map(Role::name)) {
                    Some(meant) => format!("Did you mean '{meant}'?"),
                    None => "The roles are listed in docs/console.md.".to_owned(),
                };
                notes.error(found.line, &name, Problem::new(format!("There is no role '{name}'."), hint));
            }
        }
    }
}

/// A colour alone, or a table of colours and modifiers.
fn read_look(found: &Found<'_>, notes: &mut Notes<'_>) -> Option<Look> {
    let table = match found.value {
        DeValue::String(ink) => {
            return Some(Look { ink: Some((ink.to_string(), found.line)), ..Look::default() });
        }
        DeValue::Table(table) => table,
        _ => {
            found.expected(notes, "a colour or a table such as { fg = \"green\", bold = true }");
            return None;
        }
    };
    let section = Section::new(table, &found.key);
    section.refuse_unknown(notes, &[LOOK]);
    let mut colour = |key: &str| {
        let found = section.get(notes, key)?;
        Some((found.string(notes)?.to_owned(), found.line))
    };
    let mut look = Look { ink: colour("fg"), ground: colour("bg"), modifiers: Modifier::empty() };
    for (key, modifier) in [
        ("bold", Modifier::BOLD),
        ("dim", Modifier::DIM),
        ("italic", Modifier::ITALIC),
        ("underlined", Modifier::UNDERLINED),
        ("reversed", Modifier::REVERSED),
    ] {
        if section.flag(notes, key) == Some(true) {
            look.modifiers |= modifier;
        }
    }
    Some(look)
}

/// A colour as a file writes it: a name, `#rrggbb`, or a number of the 256.
fn colour(text: &str) -> Option<Color> {
    if let Some((_, colour)) = NAMED.iter().find(|(name, _)| *name == text) {
        return Some(*colour);
    }
    if let Some(hex) = text.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        let number = u32::from_str_radix(hex, 16).ok()?;
        return Some(Color::from_u32(number));
    }
    text.parse::<u8>().ok().map(Color::Indexed)
}

fn no_colour(text: &str, palette: &[&str]) -> Problem {
    let names = NAMED.iter().map(|(name, _)| *name).chain(palette.iter().copied());
    let hint = match nearest(text, names) {
        Some(meant) => format!("Did you mean '{meant}'?"),
        None => "Write a name of the palette, a name such as \"green\", \"#rrggbb\", or a number to 255.".to_owned(),
    };
    Problem::new(format!("'{text}' is no colour."), hint)
}

/// The looks of every role, with fallbacks, from a chain of files: the theme itself first, then what it inherits.
pub fn resolve(chain: &[(&Path, &Told)]) -> (Vec<Style>, Vec<ConfigError>) {
    let mut mistakes = Vec::new();
    let palette: BTreeMap<&str, Color> = chain
        .iter()
        .rev()
        .flat_map(|(_, told)| told.palette.iter().map(|(name, colour)| (name.as_str(), *colour)))
        .collect();
    let names: Vec<&str> = palette.keys().copied().collect();
    let mut look_up = |path: &Path, told: &Option<(String, usize)>| {
        let (text, line) = told.as_ref()?;
        let found = palette.get(text.as_str()).copied().or_else(|| colour(text));
        if found.is_none() {
            let Problem { message, hint } = no_colour(text, &names);
            mistakes.push(ConfigError {
                file: path.into(),
                line: *line,
                key: String::new(),
                message,
                hint: Some(hint),
            });
        }
        found
    };
    let mut styles: BTreeMap<Role, Style> = BTreeMap::new();
    for (path, told) in chain {
        for (role, look) in &told.looks {
            if styles.contains_key(role) {
                continue;
            }
            let mut style = Style::new().add_modifier(look.modifiers);
            style.fg = look_up(path, &look.ink);
            style.bg = look_up(path, &look.ground);
            styles.insert(*role, style);
        }
    }
    let look_of = |role: Role| {
        let mut at = Some(role);
        while let Some(role) = at {
            if let Some(style) = styles.get(&role) {
                return *style;
            }
            at = role.fallback();
        }
        Style::new()
    };
    (Role::ALL.into_iter().map(look_of).collect(), mistakes)
}
