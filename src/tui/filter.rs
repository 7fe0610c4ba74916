//! Filters: which rows of a list are shown.

use std::cell::RefCell;
use std::collections::BTreeSet;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use unicode_segmentation::UnicodeSegmentation;

thread_local! {
    /// One matcher for all rows: it takes 100 KiB to make.
    static MATCHER: RefCell<Matcher> = RefCell::new(Matcher::new(Config::DEFAULT));
}

/// A filter as it was typed: words that must match fuzzily, `!word` that must not, `/a pattern/`, or `!/a pattern/`.
#[derive(Debug, Clone)]
pub struct Filter {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Everything,
    Words {
        with: Option<Pattern>,
        without: Vec<String>,
    },
    /// A pattern, and whether rows that match it are shown.
    Regex(regex::Regex, bool),
    Wrong(String),
}

impl Filter {
    /// Reads a filter. A pattern that cannot be read shows everything and says what is wrong.
    pub fn new(text: &str) -> Self {
        let trimmed = text.trim();
        let kind = if trimmed.is_empty() {
            Kind::Everything
        } else if let Some(pattern) = trimmed.trim_start_matches('!').strip_prefix('/').filter(|p| !p.is_empty()) {
            let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
            let shows = !trimmed.starts_with('!');
            match regex::RegexBuilder::new(pattern).case_insensitive(true).size_limit(1 << 20).build() {
                Ok(regex) => Kind::Regex(regex, shows),
                Err(error) => {
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default().trim();
                    Kind::Wrong(last.trim_start_matches("error: ").to_owned())
                }
            }
        } else {
            let (without, with): (Vec<&str>, Vec<&str>) =
                trimmed.split_whitespace().partition(|word| word.len() > 1 && word.starts_with('!'));
            let with = with.join(" ");
            Kind::Words {
                with: (!with.is_empty()).then(|| Pattern::parse(&with, CaseMatching::Smart, Normalization::Smart)),
                without: without.iter().map(|word| word.trim_start_matches('!').to_lowercase()).collect(),
            }
        };
        Self { text: trimmed.to_owned(), kind }
    }

    /// As it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it shows everything.
    pub fn is_empty(&self) -> bool {
        matches!(self.kind, Kind::Everything)
    }

    /// What is wrong with its pattern.
    pub fn mistake(&self) -> Option<&str> {
        match &self.kind {
            Kind::Wrong(why) => Some(why),
            _ => None,
        }
    }

    /// Which letters of a text are why its row is shown, by grapheme from 0; nothing for what only excludes.
    pub fn marks(&self, text: &str) -> BTreeSet<usize> {
        match &self.kind {
            Kind::Regex(regex, true) => {
                let found: Vec<_> = regex.find_iter(text).map(|found| found.range()).collect();
                let letters = text.grapheme_indices(true).enumerate();
                let is_in = |at: usize| found.iter().any(|range| range.contains(&at));
                letters.filter(|(_, (at, _))| is_in(*at)).map(|(number, _)| number).collect()
            }
            Kind::Words { with: Some(pattern), .. } => MATCHER.with_borrow_mut(|matcher| {
                let (mut letters, mut marks) = (Vec::new(), Vec::new());
                let text = Utf32Str::new(text, &mut letters);
                // Each word by itself: another one may have matched in another column.
                for word in &pattern.atoms {
                    word.indices(text, matcher, &mut marks);
                }
                marks.into_iter().filter_map(|at| usize::try_from(at).ok()).collect()
            }),
            _ => BTreeSet::new(),
        }
    }

    /// Whether a row with these words is shown. Each word that was typed is looked for within one of them: letters of
    /// many names beside each other would match nearly anything.
    pub fn shows_words(&self, words: &[&str]) -> bool {
        match &self.kind {
            Kind::Everything | Kind::Wrong(_) => true,
            Kind::Regex(regex, shows) => {
                (words.iter().any(|word| regex.is_match(word)) || regex.is_match(&words.join(" "))) == *shows
            }
            Kind::Words { with, without } => {
                let has = |without: &String| words.iter().any(|word| word.to_lowercase().contains(without));
                if without.iter().any(has) {
                    return false;
                }
                let mut letters = Vec::new();
                MATCHER.with_borrow_mut(|matcher| {
                    let mut atoms = with.iter().flat_map(|pattern| &pattern.atoms);
                    atoms.all(|atom| {
                        words.iter().any(|word| atom.score(Utf32Str::new(word, &mut letters), matcher).is_some())
                    })
                })
            }
        }
    }

    /// Whether a row with this text is shown.
    pub fn shows(&self, row: &str) -> bool {
        match &self.kind {
            Kind::Everything | Kind::Wrong(_) => true,
            Kind::Regex(regex, shows) => regex.is_match(row) == *shows,
            Kind::Words { with, without } => {
                let lower = row.to_lowercase();
                if without.iter().any(|word| lower.contains(word)) {
                    return false;
                }
                let Some(pattern) = with else { return true };
                let mut letters = Vec::new();
                let row = Utf32Str::new(row, &mut letters);
                MATCHER.with_borrow_mut(|matcher| pattern.score(row, matcher).is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_fuzzily_and_can_be_excluded() {
        let filter = Filter::new("v1 !nats");
        assert!(filter.shows("val-1 avalanchego"));
        assert!(!filter.shows("val-1 nats"));
        assert!(!filter.shows("consul"));
    }

    #[test]
    fn what_is_typed_is_found_within_one_word_of_many() {
        let words = ["val-1", "prod", "avalanchego", "staking-identity", "node-config"];
        let shows = |filter: &str| Filter::new(filter).shows_words(&words);
        assert!(shows("staking") && shows("skid") && shows("node val") && shows("/^staking/") && shows("/val-1 prod/"));
        assert!(!shows("lpsn"), "its letters stand in several words");
        assert!(!shows("!staking") && !shows("val !node") && !shows("!/^staking/") && !shows("/^identity/"));
        assert!(shows("!orders") && shows("") && shows("/val-[/"));
    }

    #[test]
    fn the_letters_that_matched_are_told_and_none_for_what_excludes() {
        let marks = |filter: &str, text: &str| Filter::new(filter).marks(text).into_iter().collect::<Vec<_>>();
        assert_eq!(marks("val", "a val-1"), [2, 3, 4]);
        assert_eq!(marks("v1 nats", "val-1"), [0, 4], "one of two words stands elsewhere");
        assert_eq!(marks("/L-[12]/", "val-1"), [2, 3, 4]);
        assert_eq!(marks("語", "日本語 val"), [2]);
        assert_eq!(marks("!val", "val-1"), [0; 0]);
        assert_eq!(marks("!/val/", "nats"), [0; 0]);
        assert_eq!(marks("", "val-1"), [0; 0]);
    }

    #[test]
    fn a_pattern_matches_and_a_wrong_one_says_so() {
        assert!(Filter::new("/^val-[12]/").shows("val-2"));
        assert!(!Filter::new("!/^val-[12]/").shows("val-2"));
        assert!(Filter::new("!/^val-[12]/").shows("nats-1"));
        assert!(!Filter::new("/^val-[12]$/").shows("val-3"));
        let wrong = Filter::new("/val-[/");
        assert_eq!(wrong.mistake(), Some("unclosed character class"));
        assert!(wrong.shows("anything"));
    }
}
