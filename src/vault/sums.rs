//! `SHA256SUMS`: every byte of a snapshot, checkable by hand.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::disk;

const HEAD: &str = "# lifeboat snapshot ";
const MIDDLE: &str = ": the lines below hash to ";

/// The text of the list.
pub(super) fn render(id: &str, sums: &BTreeMap<String, String>) -> String {
    let lines = sums.iter().fold(String::new(), |mut text, (name, sum)| {
        let _ = writeln!(text, "{sum}  {name}");
        text
    });
    format!("{HEAD}{id}{MIDDLE}{}\n{lines}", disk::sha256(lines.as_bytes()))
}

/// Reads the list back, refusing any byte that the writer would not have put there.
pub(super) fn parse(id: &str, bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
    let mut sums = BTreeMap::new();
    for line in text.lines().skip(1) {
        let (sum, name) = line.split_once("  ").ok_or("a line is not 'hash, two spaces, name'")?;
        if !disk::is_sha256(sum) || name.is_empty() || name.contains('/') {
            return Err("a line is not 'hash, two spaces, name'".into());
        }
        sums.insert(name.to_owned(), sum.to_owned());
    }
    if render(id, &sums) == text { Ok(sums) } else { Err("its lines do not match the hash in its first line".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_of_the_list_itself_is_noticed() {
        let sums = BTreeMap::from([("a".into(), disk::sha256(b"a")), ("b.age".into(), disk::sha256(b"b"))]);
        let text = render("20261120T184500Z-7f3a", &sums);
        assert_eq!(parse("20261120T184500Z-7f3a", text.as_bytes()).unwrap(), sums);
        assert!(parse("20261120T184500Z-7f3b", text.as_bytes()).is_err());
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert!(parse("20261120T184500Z-7f3a", &bytes).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}
