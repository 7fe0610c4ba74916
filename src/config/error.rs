//! What is wrong with an inventory, said where it stands.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::exit::{Exit, Failure};
use crate::model::inventory::ServiceEntry;
use crate::model::text::CleanText;

/// One mistake (or, among the warnings, one doubt) with the place it stands at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    /// The inventory file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// The dotted key, such as `hosts.val-1.port`; empty when no key is concerned.
    pub key: String,
    /// One sentence. It never holds the value of a secret.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ConfigError {
    /// About the file as a whole.
    pub(crate) fn of_file(file: &Path, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, key: String::new(), message: message.into(), hint: Some(hint.into()) }
    }

    /// About one setting of a service, found wrong by its driver; `key` is dotted, below the service's own table.
    pub fn of_setting(file: &Path, entry: &ServiceEntry, key: &str, message: impl Into<String>) -> Self {
        let line = entry.lines.get(key).or_else(|| entry.lines.get("")).copied().unwrap_or(0);
        Self { file: file.into(), line, key: key.into(), message: message.into(), hint: None }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = CleanText::new(&self.file.to_string_lossy()).one_line();
        let message = CleanText::new(&self.message).one_line();
        match self.line {
            0 => write!(f, "{file}: {message}")?,
            line => write!(f, "{file}:{line}: {message}")?,
        }
        match &self.hint {
            Some(hint) => write!(f, "\n    {}", CleanText::new(hint).one_line()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// All mistakes of one file as the failure a command ends with.
pub fn failure(errors: &[ConfigError]) -> Failure {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let message = match lines.len() {
        1 => "The inventory has a mistake; nothing was run.".to_owned(),
        count => format!("The inventory has {count} mistakes; nothing was run."),
    };
    let mut failure = Failure::new(Exit::Usage, message);
    failure.hints = lines;
    failure
}

/// The candidate nearest to `wanted`, near enough to be what was meant.
pub(crate) fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.chars().take(64).flat_map(char::to_lowercase).collect();
    let allowed = (wanted.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, candidate), candidate))
        .filter(|&(away, candidate)| away <= allowed && away < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits between the two, a swap of neighbours counting as one.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = ["address", "port", "user", "identity_file"];
        assert_eq!(nearest("adress", names), Some("address"));
        assert_eq!(nearest("prot", names), Some("port"));
        assert_eq!(nearest("identityfile", names), Some("identity_file"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("", names), None);
    }

    #[test]
    fn an_error_cannot_drive_the_terminal() {
        let error = ConfigError {
            file: "a\x1b.toml".into(),
            line: 3,
            key: "k".into(),
            message: "Bad '\u{202e}'.".into(),
            hint: Some("Do\nthis.".into()),
        };
        assert_eq!(error.to_string(), "a\\x1b.toml:3: Bad '\\u{202e}'.\n    Do\\nthis.");
    }
}
