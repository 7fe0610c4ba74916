//! A large inventory's text in two halves, parsed side by side: the console's first frame waits for it.
//!
//! Text is cut only where the tables of one host end and those of the next begin. Whatever is not plainly right, a
//! mistake above all, is left to the parse of the whole text, which alone says what is wrong and where.

use toml::de::{DeTable, DeValue};

/// The shortest text that is worth a second thread, in bytes.
const WORTH_TWO: usize = 64 * 1024;

/// How the table of a host begins.
const OF_HOST: &str = "[hosts.";

/// A text in two halves.
pub(crate) struct Halves<'t> {
    near: &'t str,
    /// The second half behind as many blanks as the first is long: every place in it is what it is in the whole.
    far: String,
}

impl<'t> Halves<'t> {
    /// Cuts `text` near its middle; `None` where it is short, or where nothing there looks like a place to cut.
    pub fn of(text: &'t str) -> Option<Self> {
        // A second header of the same table would be a mistake in the whole, and none in the halves.
        if text.len() < WORTH_TWO || text.lines().any(|line| line.trim_start().starts_with("[hosts]")) {
            return None;
        }
        let middle = text.char_indices().map(|(at, _)| at).find(|&at| at >= text.len() / 2)?;
        let mut before = text[..middle].lines().rev().find_map(host_of)?;
        let mut at = middle + text[middle..].find('\n')? + 1;
        for line in text[at..].split_inclusive('\n') {
            match host_of(line) {
                Some(name) if name != before => {
                    let far = " ".repeat(at) + &text[at..];
                    return Some(Self { near: &text[..at], far });
                }
                name => before = name.unwrap_or(before),
            }
            at += line.len();
        }
        None
    }

    /// Parses both; `None` where either is broken, or both hold what belongs together.
    pub fn parse(&self) -> Option<DeTable<'_>> {
        let parse = |text| DeTable::parse(text).ok().map(toml::Spanned::into_inner);
        let (near, far) = std::thread::scope(|scope| {
            let far = scope.spawn(|| parse(&self.far));
            (parse(self.near), far.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let (mut near, far) = (near?, far?);
        for (key, value) in far {
            match (near.get_mut(key.get_ref().as_ref()).map(toml::Spanned::get_mut), value) {
                (None, value) => drop(near.insert(key, value)),
                (Some(DeValue::Table(hosts)), value) if key.get_ref() == "hosts" => {
                    let DeValue::Table(more) = value.into_inner() else { return None };
                    if more.keys().any(|name| hosts.contains_key(name.get_ref().as_ref())) {
                        return None;
                    }
                    hosts.extend(more);
                }
                (Some(_), _) => return None,
            }
        }
        Some(near)
    }
}

/// The host a line begins a table of, where its name is written without quotes.
fn host_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix(OF_HOST)?.split([']', '.']).next()?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(hosts: usize) -> String {
        let host =
            |at| format!("[hosts.h{at}]\naddress = \"ü-{at}\"\n[hosts.h{at}.services.files]\npaths = [\"/srv\"]\n");
        (0..hosts).map(host).collect()
    }

    /// Everything parsed, with all its places.
    fn shown(table: &DeTable) -> String {
        format!("{table:?}")
    }

    #[test]
    fn two_halves_are_the_whole_with_every_place() {
        let text = format!("version = 1\n[vault]\npath = \"/v\"\n{}[clusters.c]\nmembers = [\"h1\"]\n", many(1500));
        let halves = Halves::of(&text).unwrap();
        let (near, far) = (halves.near.len(), halves.far.trim_start().len());
        assert_eq!(near + far, text.len());
        assert!(near.abs_diff(far) < 500, "{near} and {far}");
        assert_eq!(shown(&halves.parse().unwrap()), shown(DeTable::parse(&text).unwrap().get_ref()));
    }

    #[test]
    fn what_only_the_whole_shows_is_left_to_it() {
        let text = many(1500);
        assert!(Halves::of(&text[..1000]).is_none(), "short");
        assert!(Halves::of(&format!("[hosts]\n{text}")).is_none());
        assert!(Halves::of(&"# nothing\n".repeat(9000)).is_none());
        let broken = |text: String| Halves::of(&text).unwrap().parse().is_none();
        assert!(!broken(text.clone()));
        assert!(broken(format!("{text}[hosts.h1]\n")), "one host in both");
        assert!(broken(format!("[groups.a]\n{text}[groups.b]\n")), "one table in both");
        assert!(broken(format!("hosts = {{}}\n{text}")), "hosts is closed");
        assert!(broken(format!("{text}[hosts.x\n")));
        assert!(broken(text.replace("/srv", "[hosts.x]").replace('"', "'''\n")), "the cut is inside of a string");
    }
}
