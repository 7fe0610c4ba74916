//! Small files of the operator's beside the inventory: themes, keys. A mistake in one is said and gone past.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::DeTable;

pub(crate) use super::error::{ConfigError, nearest};
use super::load::syntax;
pub(crate) use super::reader::{Found, Notes, Section};
pub(crate) use super::values::Problem;

/// The longest small file that is read.
const LONGEST: u64 = 256 * 1024;

/// The text of a small file; `None` when there is no such file.
pub(crate) fn read_small_file(path: &Path) -> Option<Result<String, ConfigError>> {
    let wrong = |message: String, hint: &str| Some(Err(ConfigError::of_file(path, message, hint)));
    let is_file = match std::fs::metadata(path) {
        Ok(kind) => kind.is_file(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return wrong(format!("The file cannot be read: {error}."), "Check its permissions."),
    };
    if !is_file {
        return wrong("This is not a file.".to_owned(), "Name the file itself.");
    }
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text)) {
        Err(error) => wrong(format!("The file cannot be read: {error}."), "It must be UTF-8 text."),
        Ok(_) if text.len() as u64 > LONGEST => {
            wrong("The file is larger than 256 KiB.".to_owned(), "Is this the right file?")
        }
        Ok(_) => Some(Ok(text)),
    }
}

/// Reads a small file's text with `read`; gives what was read and every mistake, in the order of the file.
pub(crate) fn read_small<T>(
    text: &str,
    path: &Path,
    read: impl FnOnce(&Section<'_>, &mut Notes<'_>) -> T,
) -> (T, Vec<ConfigError>) {
    let mut notes = Notes::new(path, text, Path::new("/"));
    let (document, broken) = DeTable::parse_recoverable(text);
    let value = read(&Section::new(document.get_ref(), ""), &mut notes);
    for error in broken.iter().take(20) {
        let line = error.span().map_or(0, |span| notes.line(span.start));
        notes.error(line, "", syntax(error));
    }
    let mut mistakes = notes.errors;
    mistakes.extend(notes.warnings);
    mistakes.sort_by_key(|mistake| mistake.line);
    (value, mistakes)
}
