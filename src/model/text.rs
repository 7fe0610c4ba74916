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
        if stands_as_it_is(text) {
            return Self(text.to_owned());
        }
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

    /// Whether a text is clean as it is, however long.
    pub fn is_clean(text: &str) -> bool {
        text.chars().all(|c| c == '\n' || !is_unsafe(c))
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
        let mut said = self.0.lines().rev().map(str::trim).filter(|line| !line.is_empty());
        let last = said.next().unwrap_or_default();
        // What `tar` says last of all tells only that something before it failed.
        if last.ends_with("failure status due to previous errors") { said.next().unwrap_or(last) } else { last }
    }
}

/// A sentence as a part of another one: without its full stop, and small at the beginning unless that is a name.
pub fn clause(sentence: &str) -> String {
    let text = sentence.trim_end_matches('.');
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// Whether `name` as a whole matches a pattern with `*` for any run of bytes and `?` for any one, in time bounded by the
/// product of both lengths.
pub fn matches_glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                // The last star takes one byte more, and the rest is tried again.
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether nothing in a text is to be made visible and nothing to be cut: almost every text a console reads back. Its
/// bytes tell that of plain ASCII, without a look at its characters.
fn stands_as_it_is(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte));
    text.len() <= LONGEST && (is_plain || CleanText::is_clean(text))
}

/// C0, DEL, C1, and every character that reorders or hides its neighbours.
fn is_unsafe(c: char) -> bool {
    c.is_control() || reorders_or_hides(c)
}

/// Whether a character can reorder or hide its neighbours without being a control character.
pub fn reorders_or_hides(c: char) -> bool {
    matches!(c,
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
        if stands_as_it_is(&text) { Self(text) } else { Self::new(&text) }
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
    fn a_text_taken_over_whole_is_the_text_cleaned() {
        let long = "x".repeat(LONGEST);
        for text in [
            "",
            "plain ~ text\n",
            "é\u{301} 日本",
            "a\u{202e}b",
            "tab\t",
            "\u{7f}",
            "\u{9b}",
            &long,
            &format!("{long}y"),
        ] {
            let slow: String = text
                .chars()
                .flat_map(|c| {
                    let is_kept = c == '\n' || !is_unsafe(c);
                    is_kept.then_some(c).into_iter().chain((!is_kept).then(|| escape(c)).into_iter().flatten())
                })
                .collect();
            let slow = if slow.len() > LONGEST { format!("{}…", &slow[..=LONGEST]) } else { slow };
            assert_eq!(CleanText::from(text.to_owned()), CleanText::new(text));
            assert_eq!(CleanText::new(text).as_str().trim_end_matches('…'), slow.trim_end_matches('…'), "{text:?}");
        }
    }

    #[test]
    fn a_sentence_becomes_a_clause() {
        assert_eq!(clause("The password is needed."), "the password is needed");
        assert_eq!(clause("SSH is off."), "SSH is off");
        assert_eq!((clause("a"), clause(".")), ("a".to_owned(), String::new()));
    }

    #[test]
    fn cleaning_twice_changes_nothing_and_length_is_bounded() {
        let once = CleanText::new(&"\x07".repeat(100_000));
        assert!(once.as_str().len() < 17 * 1024);
        assert_eq!(CleanText::new("\\x07").as_str(), "\\x07");
    }
}
