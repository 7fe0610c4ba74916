//! A script's named answers, in hexadecimal, so that nothing in them can be taken for another.
//!
//! An answer is a line that begins with its name, and the lines after it that begin with a space: `od`'s own layout, so
//! that a look at a node with twenty answers starts no second program for each.

use std::collections::BTreeMap;

/// `sh` text: `put NAME` prints standard input as one answer.
pub const PUT: &str = r#"LC_ALL=C; export LC_ALL
put() { printf '%s ' "$1"; od -An -v -tx1; echo; }
"#;

/// Named answers of a script.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<String, Vec<u8>>);

impl Answers {
    /// Reads what the script printed; a line that is no answer is passed over.
    pub fn read(output: &[u8]) -> Self {
        let mut answers: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut current: Option<String> = None;
        for line in output.split(|&b| b == b'\n') {
            let space = line.iter().position(|&b| b == b' ');
            let (name, hex) = match space {
                Some(0) => (current.take(), line),
                Some(at) => (Some(String::from_utf8_lossy(&line[..at]).into_owned()), &line[at..]),
                None => continue,
            };
            current = None;
            let Some(name) = name else { continue };
            let Some(bytes) = bytes_of(hex) else {
                answers.remove(&name);
                continue;
            };
            let answer = answers.entry(name.clone()).or_default();
            if space != Some(0) {
                answer.clear();
            }
            answer.extend(bytes);
            current = Some(name);
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

/// The bytes that stand in a line in hexadecimal, with spaces between them or none.
fn bytes_of(hex: &[u8]) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .iter()
        .filter(|&&b| b != b' ')
        .map(|&b| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let (pairs, odd) = digits.as_chunks::<2>();
    odd.is_empty().then(|| pairs.iter().map(|&[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(script: &str) -> Answers {
        let output = std::process::Command::new("sh").args(["-c", &format!("{PUT}{script}")]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Answers::read(&output.stdout)
    }

    #[test]
    fn a_node_s_answers_are_read_byte_for_byte() {
        let told = answered(
            "head -c 100 /dev/zero | put zeros; printf 'a b\\nname c\\n' | put text; : | put none; printf '\\377' | put last",
        );
        assert_eq!(told.bytes("zeros"), Some(&[0; 100][..]), "equal lines are not folded");
        assert_eq!(told.text("text"), "a b\nname c");
        assert_eq!((told.bytes("none"), told.bytes("last")), (Some(&[][..]), Some(&[255][..])));
    }

    #[test]
    fn what_is_no_answer_is_passed_over_and_the_last_of_two_counts() {
        let told = Answers::read(
            b"sudo: a warning\n 41\nname  61 62\n 63\nodd  6\n 61\n\nname  64\n\n 65\nold 6162\ncut  66\n 6g\n 66\n",
        );
        assert_eq!(told.bytes("cut"), None, "half an answer is none");
        assert_eq!(told.bytes("name"), Some(&b"de"[..]));
        assert_eq!((told.bytes("odd"), told.bytes("sudo:")), (None, None));
        assert_eq!(told.text("old"), "ab");
    }
}
