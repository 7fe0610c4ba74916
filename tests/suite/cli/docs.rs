//! What the documents tell people to type is what the program takes.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use lifeboat::cli::args::Cli;

use super::COMMANDS;

/// README and everything below `docs/`.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md")];
    found.extend(crate::support::console::files_below(&root.join("docs")));
    found.retain(|path| path.extension().is_some_and(|ext| ext == "md"));
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// A line's words as a shell takes them, without its comment. Quotes are as simple as the documents keep them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The commands of a page: lines of fenced blocks, and code spans, that call the program.
fn calls(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in page.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced && line.starts_with("lifeboat ") {
            found.push((number + 1, line.to_owned()));
        } else if !fenced {
            let spans = line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("lifeboat "));
            found.extend(spans.map(|span| (number + 1, span.to_owned())));
        }
    }
    found
}

#[test]
fn every_command_in_the_documents_is_taken() {
    let mut seen = 0;
    for (path, page) in pages() {
        for (line, call) in calls(&page) {
            let words = words(&call);
            // A span may name a command without all of its arguments; what it does name must exist.
            let parsed = Cli::try_parse_from(&words);
            let bare = call.starts_with("lifeboat ") && words.len() == 2 && COMMANDS.contains(&words[1].as_str());
            let shell = words.get(1).is_some_and(|word| word == "completions");
            if let Err(error) = parsed {
                assert!(bare || shell, "{}:{line}: {call}\n{error}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} commands were found");
}

#[test]
fn the_readme_names_every_command() {
    let (_, readme) = pages().remove(0);
    for command in COMMANDS.into_iter().chain(["man"]) {
        assert!(readme.contains(&format!("lifeboat {command}")), "the README does not tell of 'lifeboat {command}'");
    }
}
