//! A script's named answers: each one line, in hexadecimal, so that nothing in them can be taken for another.

use std::collections::BTreeMap;

/// `sh` text: `put NAME` prints standard input as one answer.
pub const PUT: &str = r#"LC_ALL=C; export LC_ALL
put() { printf '%s ' "$1"; od -An -v -tx1 | tr -d ' \n'; echo; }
"#;

/// Named answers of a script.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<String, Vec<u8>>);

impl Answers {
    /// Reads what the script printed; a line that is no answer is passed over.
    pub fn read(output: &[u8]) -> Self {
        let mut answers = BTreeMap::new();
        for line in output.split(|&b| b == b'\n') {
            let Some(space) = line.iter().position(|&b| b == b' ') else { continue };
            let (name, hex) = (&line[..space], &line[space + 1..]);
            let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let bytes: Option<Vec<u8>> =
                hex.as_chunks::<2>().0.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
            if let Some(bytes) = bytes {
                answers.insert(String::from_utf8_lossy(name).into_owned(), bytes);
            }
        }
        Self(answers)
    }
    /// The bytes of an answer.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }
    /// An answer as text without its last line feed; empty when there was none.
    pub fn text(&self, name: &str) -> String {
        let text = String::from_utf8_lossy(self.bytes(name).unwrap_or_default()).into_owned();
        text.trim_end_matches('\n').to_owned()
    }
    /// A property of the `show` answer.
    pub fn shown(&self, property: &str) -> String {
        let show = self.text("show");
        let found = show.lines().find_map(|line| line.strip_prefix(property)?.strip_prefix('='));
        found.unwrap_or("").to_owned()
    }
    /// Adds another script's answers.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
    /// The answers a test holds.
    #[cfg(test)]
    pub fn fixed(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect())
    }
}
