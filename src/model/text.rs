//! Text from outside, made safe once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Text that cannot drive a terminal: no control characters, no bidirectional overrides, bounded.
///
/// Names, banners, error streams and API replies of a node become `CleanText` at the transport boundary and
/// nowhere else, so every screen, log, journal and message downstream may print it as it is. What is removed
/// stays visible as an escape (`\x1b`, `\u{202e}`), because a silent deletion could make two names look alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct CleanText(String);

const LONGEST: usize = 16 * 1024;

impl CleanText {
    /// Cleans `text`, keeping line feeds, at most 16 KiB of it.
    pub fn new(text: &str) -> Self {
        let mut clean = String::with_capacity(text.len().min(LONGEST));
        for c in text.chars() {
            if clean.len() > LONGEST {
                clean.push('…');
                break;
            }
            if c == '\n' || !is_unsafe(c) {
                clean.push(c);
            } else {
                clean.extend(escape(c));
            }
        }
        Self(clean)
    }

    /// Cleans bytes that may not be UTF-8; what is not becomes `\xNN`.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let bounded = &bytes[..bytes.len().min(LONGEST + 4)];
        let mut text = String::new();
        for chunk in bounded.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                use fmt::Write;
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        Self::new(&text)
    }

    /// The same on one line: line feeds become visible escapes too.
    #[must_use]
    pub fn one_line(&self) -> Self {
        Self(self.0.replace('\n', "\\n"))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is left to show.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// The last line with something on it, the one an error usually ends with.
    pub fn last_line(&self) -> &str {
        self.0.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").trim()
    }
}

/// C0, DEL, C1, and every character that reorders or hides its neighbours.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escape(c: char) -> impl Iterator<Item = char> {
    let text = match c {
        '\t' => "\\t".to_owned(),
        '\r' => "\\r".to_owned(),
        c if (c as u32) < 0x100 => format!("\\x{:02x}", c as u32),
        c => format!("\\u{{{:x}}}", c as u32),
    };
    text.chars().collect::<Vec<_>>().into_iter()
}

impl fmt::Display for CleanText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl From<String> for CleanText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}
impl From<&str> for CleanText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
impl From<CleanText> for String {
    fn from(text: CleanText) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_and_overrides_stay_visible_but_harmless() {
        assert_eq!(CleanText::new("a\x1b[2Jb\u{202e}c\u{9b}d\r").as_str(), "a\\x1b[2Jb\\u{202e}c\\x9bd\\r");
        assert_eq!(CleanText::from_bytes(b"ok\xff\n").as_str(), "ok\\xff\n");
    }

    #[test]
    fn cleaning_twice_changes_nothing_and_length_is_bounded() {
        let once = CleanText::new(&"\x07".repeat(100_000));
        assert!(once.as_str().len() < 17 * 1024);
        assert_eq!(CleanText::new("\\x07").as_str(), "\\x07");
    }
}
