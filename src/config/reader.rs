//! Reading TOML tables with every mistake noted, so that one wrong key does not hide the next.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, nearest};
use super::keys::Keys;
use super::values::{self, Problem};

/// Where mistakes are gathered, and what their places are reckoned from.
pub(crate) struct Notes<'t> {
    /// The inventory file.
    pub file: &'t Path,
    /// The user's home directory, for `~`.
    pub home: &'t Path,
    /// The directory of the inventory, for relative paths.
    pub base: &'t Path,
    line_starts: Arc<[usize]>,
    /// Mistakes so far.
    pub errors: Vec<ConfigError>,
    /// Doubts so far.
    pub warnings: Vec<ConfigError>,
}

impl<'t> Notes<'t> {
    /// Nothing noted yet about `text`.
    pub fn new(file: &'t Path, text: &str, home: &'t Path) -> Self {
        let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        Self {
            file,
            home,
            base: file.parent().unwrap_or(Path::new("")),
            line_starts: std::iter::once(0).chain(ends).collect(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Nothing noted yet about the same text, for a thread beside this one.
    pub fn beside(&self) -> Self {
        Self { line_starts: self.line_starts.clone(), errors: Vec::new(), warnings: Vec::new(), ..*self }
    }

    /// Takes over what was noted beside.
    pub fn absorb(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// Notes a mistake.
    pub fn error(&mut self, line: usize, key: &str, problem: Problem) {
        let error = self.note(line, key, problem);
        self.errors.push(error);
    }

    /// Notes a doubt.
    pub fn warn(&mut self, line: usize, key: &str, problem: Problem) {
        let warning = self.note(line, key, problem);
        self.warnings.push(warning);
    }

    fn note(&self, line: usize, key: &str, problem: Problem) -> ConfigError {
        ConfigError {
            file: self.file.into(),
            line,
            key: key.into(),
            message: problem.message,
            hint: (!problem.hint.is_empty()).then_some(problem.hint),
        }
    }
}

/// What a value is, in the operator's words.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// One table of the file and the dotted path to it.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// The dotted path, empty for the file itself.
    pub path: String,
}

/// A value found in a [`Section`], with its place.
pub(crate) struct Found<'a> {
    /// The value.
    pub value: &'a DeValue<'a>,
    /// The full dotted key.
    pub key: String,
    /// The line of the value.
    pub line: usize,
}

impl<'a> Section<'a> {
    /// The section of `table` standing at `path`.
    pub fn new(table: &'a DeTable<'a>, path: &str) -> Self {
        Self { table, path: path.to_owned() }
    }

    /// The entries with their places, in the order of the file.
    pub fn entries(&self, notes: &Notes<'_>) -> Vec<(&'a str, Found<'a>)> {
        let mut entries: Vec<(usize, &'a str, Found<'a>)> = self
            .table
            .iter()
            .map(|(key, value)| {
                let found = Found { value: value.get_ref(), key: self.dotted(key.get_ref()), line: 0 };
                let start = key.span().start;
                (start, key.get_ref().as_ref(), Found { line: notes.line(start), ..found })
            })
            .collect();
        entries.sort_by_key(|entry| entry.0);
        entries.into_iter().map(|(_, name, found)| (name, found)).collect()
    }

    /// The full dotted key of `key`; one that TOML would quote is quoted.
    pub fn dotted(&self, key: &str) -> String {
        let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let key = if bare { key.to_owned() } else { format!("'{key}'") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key`.
    pub fn get(&self, notes: &Notes<'_>, key: &str) -> Option<Found<'a>> {
        let value: &'a Spanned<DeValue<'a>> = self.table.get(key)?;
        Some(Found { value: value.get_ref(), key: self.dotted(key), line: notes.line(value.span().start) })
    }

    /// Notes every key that is in none of `known`, with the one probably meant.
    pub fn refuse_unknown(&self, notes: &mut Notes<'_>, known: &[Keys]) {
        let all = || known.iter().flat_map(|keys| keys.iter().copied());
        let is_known = |name: &str| all().any(|key| key == name);
        if self.table.keys().all(|name| is_known(name.get_ref())) {
            return;
        }
        for (name, found) in self.entries(notes) {
            if is_known(name) {
                continue;
            }
            let place = if self.path.is_empty() { "at the top".to_owned() } else { format!("in [{}]", self.path) };
            let hint = match nearest(name, all()) {
                Some(meant) => format!("Did you mean '{meant}'?"),
                None => format!("Known here: {}.", all().collect::<Vec<_>>().join(", ")),
            };
            notes.error(found.line, &found.key, Problem::new(format!("There is no key '{name}' {place}."), hint));
        }
    }

    /// The table under `key`.
    pub fn table(&self, notes: &mut Notes<'_>, key: &str) -> Option<&'a DeTable<'a>> {
        let found = self.get(notes, key)?;
        found.table(notes)
    }

    /// The string under `key`, read by `read`.
    pub fn parse<T>(&self, notes: &mut Notes<'_>, key: &str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        let found = self.get(notes, key)?;
        let text = found.string(notes)?;
        found.checked(notes, read(text))
    }

    /// The strings under `key`, each read by `read`; one string stands for a list of one.
    pub fn list<T>(
        &self,
        notes: &mut Notes<'_>,
        key: &str,
        read: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        let found = self.get(notes, key)?;
        let DeValue::Array(array) = found.value else {
            let DeValue::String(text) = found.value else {
                found.expected(notes, "a list of strings");
                return None;
            };
            return found.checked(notes, read(text)).map(|one| vec![one]);
        };
        let mut all = Vec::with_capacity(array.len());
        for value in array {
            let line = notes.line(value.span().start);
            let one = Found { value: value.get_ref(), key: found.key.clone(), line };
            let Some(text) = one.string(notes) else { continue };
            all.extend(one.checked(notes, read(text)));
        }
        Some(all)
    }

    /// The whole number under `key`, from `least` to `most`.
    pub fn number(&self, notes: &mut Notes<'_>, key: &str, least: u32, most: u32) -> Option<u32> {
        let found = self.get(notes, key)?;
        let DeValue::Integer(digits) = found.value else {
            found.expected(notes, "a whole number");
            return None;
        };
        let number = u32::from_str_radix(digits.as_str(), digits.radix()).ok();
        let problem =
            || Problem::new(format!("'{digits}' is not a possible {key}."), format!("Write {least} to {most}."));
        found.checked(notes, number.filter(|n| (least..=most).contains(n)).ok_or_else(problem))
    }

    /// The truth under `key`.
    pub fn flag(&self, notes: &mut Notes<'_>, key: &str) -> Option<bool> {
        let found = self.get(notes, key)?;
        if let DeValue::Boolean(flag) = found.value {
            return Some(*flag);
        }
        found.expected(notes, "true or false");
        None
    }

    /// The one of `words` that stands under `key`.
    pub fn word<T: Copy>(&self, notes: &mut Notes<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.parse(notes, key, |text| values::word(key, text, words))
    }
}

impl<'a> Found<'a> {
    /// The value as a table, or a mistake.
    pub fn table(&self, notes: &mut Notes<'_>) -> Option<&'a DeTable<'a>> {
        if let DeValue::Table(table) = self.value {
            return Some(table);
        }
        self.expected(notes, "a table");
        None
    }

    /// The value as a string, or a mistake.
    pub fn string(&self, notes: &mut Notes<'_>) -> Option<&'a str> {
        if let DeValue::String(text) = self.value {
            return Some(text);
        }
        self.expected(notes, "a string");
        None
    }

    /// Notes that something else must stand here. The value itself is not repeated.
    pub fn expected(&self, notes: &mut Notes<'_>, wanted: &str) {
        let message = format!("'{}' must be {wanted}, not {}.", self.key, kind(self.value));
        notes.error(self.line, &self.key, Problem::bare(message));
    }

    /// Passes a good value on and notes a bad one.
    pub fn checked<T>(&self, notes: &mut Notes<'_>, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| notes.error(self.line, &self.key, problem)).ok()
    }
}
