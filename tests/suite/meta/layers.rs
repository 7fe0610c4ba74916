//! Who may see whom, held by reading every `crate::` path and every fenced crate's name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer with the layers it may name besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("process", &[]),
    ("formats", &["model"]),
    ("config", &["model", "process"]),
    ("transport", &["model", "process"]),
    ("vault", &["model", "formats"]),
    ("services", &["model", "formats", "transport"]),
    ("engine", &["model", "formats", "config", "transport", "vault", "services"]),
    ("cli", &["model", "formats", "config", "transport", "vault", "services", "engine"]),
    ("tui", &["model", "process", "formats", "config", "transport", "vault", "services", "engine"]),
    // A client of everything below; only `main.rs` names it, so nothing may.
    ("rehearsal", &["model", "process", "formats", "config", "transport", "vault", "services", "engine"]),
];

/// Crates that only these layers may name.
const FENCED: &[(&str, &[&str])] = &[
    ("ssh2::", &["transport"]),
    ("openssl::ssl", &["transport"]),
    ("clap::", &["cli"]),
    ("ratatui::", &["tui"]),
    ("crossterm::", &["tui"]),
    ("color_eyre::", &[]),
    ("tikv_jemallocator::", &[]),
    ("age::", &["vault"]),
    ("blst::", &["formats"]),
    ("rustix::termios", &["config", "tui"]),
    ("russh::", &["rehearsal"]),
    ("tokio::", &["rehearsal", "tui"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without comments, so that documentation may name what code may not.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Every layer named after `crate::`, also inside `use crate::{a::b, c::d}`.
fn named_layers(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for after in code.split("crate::").skip(1) {
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if let Some(group) = after.strip_prefix('{') {
            let mut depth = 1;
            let mut start = true;
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => start = true,
                    c if start && depth == 1 && !c.is_whitespace() => {
                        named.push(word(&group[at..]));
                        start = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            named.push(word(after));
        }
    }
    named
}

/// Whether `name` stands in the code as a word of its own, not as the end of another.
fn names(code: &str, name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| !code[..at].chars().next_back().is_some_and(inside))
}

#[test]
fn layers_name_only_what_stands_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (layer, allowed) in LAYERS {
        let mut files = Vec::new();
        sources(&root.join(layer), &mut files);
        assert!(!files.is_empty(), "the layer '{layer}' has no files");
        for file in files {
            for named in named_layers(&code(&file)) {
                let is_layer = LAYERS.iter().any(|(name, _)| *name == named);
                if is_layer && named != *layer && !allowed.contains(&named.as_str()) {
                    wrong.push(format!("{} names crate::{named}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fenced_crates_stay_in_their_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let layer = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let code = code(&file);
        for (name, layers) in FENCED {
            if names(&code, name) && layer != "main.rs" && !layers.contains(&layer) {
                wrong.push(format!("{} names {name}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A program that is started past the gate may be one that a stop of the terminal hangs at.
#[test]
fn programs_are_started_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let is_test = |file: &Path| file.components().any(|part| part.as_os_str() == "tests");
    let starts = files.iter().filter(|file| !is_test(file) && code(file).contains(".spawn()"));
    let starts: Vec<_> = starts.map(|file| file.strip_prefix(&root).unwrap().display().to_string()).collect();
    // The practice fleet's server starts its own in a way of its own, and holds the gate meanwhile.
    assert_eq!(
        BTreeSet::from_iter(starts),
        BTreeSet::from(["process/mod.rs", "rehearsal/server.rs"].map(str::to_owned))
    );
}

#[test]
fn no_file_is_past_the_wall() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let long = files.iter().filter(|file| fs::read_to_string(file).unwrap().lines().count() > 700);
    let long: Vec<_> = long.map(|file| file.display().to_string()).collect();
    assert!(long.is_empty(), "over 700 lines: {}", long.join(", "));
}

#[test]
fn the_scan_sees_groups_and_single_paths() {
    assert_eq!(
        named_layers("use crate::{model::ids, vault::{a, b}};\nlet x = crate::engine::run();"),
        ["model", "vault", "engine"]
    );
}
