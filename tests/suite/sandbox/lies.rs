//! False answers, made of true ones.

use std::ops::Range;
use std::slice::from_ref;

use proptest::prelude::*;

use crate::console::properties::hostile;

/// Numbers at the ends of what others count with.
pub const NUMBERS: [&str; 8] = [
    "18446744073709551615",
    "9223372036854775807",
    "-1",
    "18446744073709551616",
    "-9223372036854775808",
    "4294967295",
    "0",
    "1e999",
];

/// What is done to an answer.
#[derive(Debug, Clone)]
pub enum How {
    /// A number becomes another text.
    Number(String),
    /// All numbers do.
    Numbers(String),
    /// A word does.
    Word(String),
    /// A text comes in between.
    Between(String),
    /// A line is missing.
    Without,
    /// A line comes twice.
    Twice,
    /// Nothing comes from there on.
    Cut,
    /// One byte is another.
    Byte(u8),
}

/// A false answer: to which call, where in it, and how.
#[derive(Debug, Clone)]
pub struct Lie {
    pub call: usize,
    /// Of a script that gives several answers, which, modulo their number.
    pub answer: usize,
    /// In thousandths of what can be changed so.
    pub place: usize,
    pub how: How,
}

/// Texts that mean something to whoever reads them carelessly.
fn misleading() -> impl Strategy<Value = String> {
    let known = [
        "NaN",
        "infinity",
        "null",
        "true",
        "[]",
        "{}",
        "\"",
        "'; touch /owned; '",
        "$(touch /owned)",
        "`touch /owned`",
        "../../../etc/shadow",
        "/",
        "/.",
        "-rf",
        "--help",
        "\\",
        "%s%n",
        "\n",
        "\t",
        "\r\n",
        "\0",
    ];
    prop_oneof![
        3 => prop::sample::select([known.as_slice(), &NUMBERS].concat()).prop_map(str::to_owned),
        1 => hostile(),
        1 => Just("[".repeat(3_000)),
    ]
}

pub fn lie(calls: usize) -> impl Strategy<Value = Lie> {
    let how = prop_oneof![
        4 => misleading().prop_map(How::Number),
        1 => misleading().prop_map(How::Numbers),
        4 => misleading().prop_map(How::Word),
        2 => misleading().prop_map(How::Between),
        2 => Just(How::Without),
        1 => Just(How::Twice),
        2 => Just(How::Cut),
        2 => any::<u8>().prop_map(How::Byte),
    ];
    let lie = (0..calls, any::<usize>(), 0..1_000_usize, how);
    lie.prop_map(|(call, answer, place, how)| Lie { call, answer, place, how })
}

/// Where stretches of bytes lie that a question holds for.
fn stretches(bytes: &[u8], is_in: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| is_in(**byte)) {
        match found.last_mut().filter(|last| last.end == at) {
            Some(last) => last.end += 1,
            None => found.push(at..at + 1),
        }
    }
    found
}

/// Reads what a script printed by `put`: every answer with its name, if it printed nothing else.
pub fn put_answers(printed: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut answers: Vec<(String, Vec<u8>)> = Vec::new();
    for line in std::str::from_utf8(printed).ok()?.lines().filter(|line| !line.is_empty()) {
        let (name, hex) = line.split_once(' ')?;
        if !name.is_empty() {
            answers.push((name.to_owned(), Vec::new()));
        }
        let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).ok());
        answers.last_mut()?.1.extend(bytes.collect::<Option<Vec<u8>>>()?);
    }
    (!answers.is_empty()).then_some(answers)
}

fn print_answers(answers: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut printed = Vec::new();
    for (name, bytes) in answers {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        printed.extend(format!("{name}  {}\n\n", hex.join(" ")).into_bytes());
    }
    printed
}

impl Lie {
    /// What is told in place of the truth: of answers that were put one by one, in one of them.
    pub fn told(&self, truth: &[u8]) -> Vec<u8> {
        let Some(mut answers) = put_answers(truth) else { return self.retold(truth) };
        let at = self.answer % answers.len();
        answers[at].1 = self.retold(&answers[at].1);
        print_answers(&answers)
    }

    /// The one of so many.
    fn pick<T: Clone>(&self, all: &[T]) -> Option<T> {
        all.get(self.place * all.len() / 1_000).cloned()
    }

    fn retold(&self, truth: &[u8]) -> Vec<u8> {
        let digits = || stretches(truth, |byte| byte.is_ascii_digit());
        let lines = || stretches(truth, |byte| byte != b'\n');
        let at = self.place * truth.len() / 1_000;
        let instead = |places: &[Range<usize>], text: &[u8]| {
            let mut told = truth.to_vec();
            for place in places.iter().rev() {
                told.splice(place.clone(), text.iter().copied());
            }
            told
        };
        match &self.how {
            How::Number(text) => instead(self.pick(&digits()).as_slice(), text.as_bytes()),
            How::Numbers(text) => instead(&digits(), text.as_bytes()),
            How::Word(text) => {
                let words = stretches(truth, |byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
                instead(self.pick(&words).as_slice(), text.as_bytes())
            }
            How::Between(text) => instead(from_ref(&(at..at)), text.as_bytes()),
            How::Without => instead(self.pick(&lines()).as_slice(), b""),
            How::Twice => self.pick(&lines()).map_or(truth.to_vec(), |line| {
                instead(from_ref(&(line.end..line.end)), &[b"\n", &truth[line.clone()]].concat())
            }),
            How::Cut => truth[..at].to_vec(),
            How::Byte(byte) => instead(from_ref(&(at..truth.len().min(at + 1))), &[*byte]),
        }
    }
}
