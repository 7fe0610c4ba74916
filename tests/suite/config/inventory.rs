//! Mistakes: all of them, each where it stands.

use std::fmt::Write;

use lifeboat::config::{known_keys, load_inventory};
use proptest::prelude::*;

use super::{fixtures, parse};

#[test]
fn valid_inventories_are_read_without_a_doubt() {
    for file in fixtures("valid") {
        let loaded = parse(&std::fs::read_to_string(&file).unwrap());
        let loaded = loaded.unwrap_or_else(|errors| panic!("{}: {errors:#?}", file.display()));
        assert_eq!(loaded.warnings, [], "{}", file.display());
    }
}

/// The first line of each file lists `line: phrase`; every phrase must be told there, and no other line may be blamed.
#[test]
fn every_mistake_is_told_at_once_and_nothing_else() {
    let mut complaints = String::new();
    for file in fixtures("invalid") {
        let name = file.file_name().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(&file).unwrap();
        let wanted = text.lines().next().and_then(|line| line.strip_prefix("# expect ")).expect("a first line");
        let wanted: Vec<(usize, &str)> = wanted
            .split(" ; ")
            .map(|one| one.split_once(": ").map(|(line, phrase)| (line.parse().unwrap(), phrase)).unwrap())
            .collect();
        let Err(errors) = parse(&text) else {
            let _ = writeln!(complaints, "{name} was accepted");
            continue;
        };
        for (line, phrase) in &wanted {
            if !errors.iter().any(|error| error.line == *line && error.to_string().contains(phrase)) {
                let _ = writeln!(complaints, "{name}:{line}: '{phrase}' was not told");
            }
        }
        for error in &errors {
            if !wanted.iter().any(|(line, _)| *line == error.line) {
                let _ = writeln!(complaints, "{name}: not expected: {error}");
            }
            let told = format!("{error:?}{error}").to_lowercase();
            if told.contains("hunter2") || told.contains("never-shown") {
                let _ = writeln!(complaints, "{name}: a secret was told: {error}");
            }
        }
        if !errors.is_sorted_by_key(|error| error.line) {
            let _ = writeln!(complaints, "{name}: the mistakes are not in the order of the file");
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

const EXAMPLE: &str = include_str!("../../../inventory.example.toml");

/// Uncomments the settings: lines that start with `#` and no blank.
fn uncommented() -> String {
    let setting = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    EXAMPLE.lines().fold(String::new(), |mut text, line| {
        let line = line.strip_prefix('#').filter(|rest| setting(rest)).unwrap_or(line);
        let _ = writeln!(text, "{line}");
        text
    })
}

#[test]
fn the_example_is_an_inventory_with_and_without_its_commented_settings() {
    for text in [EXAMPLE, &uncommented()] {
        let loaded = parse(text).unwrap_or_else(|errors| panic!("{errors:#?}"));
        assert_eq!(loaded.warnings, []);
    }
}

#[test]
fn the_example_shows_every_key_the_parser_knows() {
    let text = uncommented();
    for (table, key) in known_keys() {
        let header =
            |line: &str| line.starts_with('[') && line.trim_matches(['[', ']']).split('.').any(|part| part == key);
        let assigned = format!("{key} = ");
        let shown = text.lines().any(|line| {
            header(line)
                || line.starts_with(&assigned)
                || line.contains(&format!("{{ {assigned}"))
                || line.contains(&format!(", {assigned}"))
        });
        assert!(shown, "'{key}' of [{table}] is not in the example");
    }
}

#[test]
fn an_offered_key_is_one_the_parser_reads() {
    for (_, key) in known_keys() {
        let text = format!("version = 1\n[vault]\npath = \"/v\"\n[hosts.a]\n{key}x = 1\n");
        assert!(parse(&text).is_err(), "'{key}x' was accepted");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let told = |name: &str| load_inventory(&dir.path().join(name), home).unwrap_err()[0].to_string();
    assert!(told("missing.toml").contains("There is no such inventory."));
    assert!(told("missing.toml").contains("lifeboat init"));
    assert!(told(".").contains("not a file"));
    std::fs::write(dir.path().join("latin"), b"version = 1\n# caf\xe9\n").unwrap();
    assert!(told("latin").contains("latin:2: The inventory is not UTF-8."));
    std::fs::File::create(dir.path().join("huge")).unwrap().set_len(5 << 20).unwrap();
    assert!(told("huge").contains("larger than 4 MiB"));
    std::fs::write(dir.path().join("good"), "version = 1\n[hosts.a]\n").unwrap();
    let loaded = load_inventory(&dir.path().join("good"), home).unwrap();
    assert_eq!(loaded.inventory.path, dir.path().join("good"));
}

#[test]
fn deep_nesting_and_long_lists_end_in_an_answer() {
    assert!(parse(&format!("version = 1\nx = {}", "[".repeat(100_000))).is_err());
    let dotted = format!("version = 1\n[hosts.a.services.x]\n{}y = 1\n", "y.".repeat(50_000));
    let _ = parse(&dotted);
    let mut many = String::from("version = 1\n[vault]\npath = \"/v\"\n");
    for n in 0..3000 {
        let _ = writeln!(many, "[hosts.h{n}]\njump = \"h{}\"", n + 1);
    }
    many.push_str("[hosts.h3000]\n");
    assert!(parse(&many).is_ok());
}

/// Bits of an inventory, right and wrong.
fn bit() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "version = 1\n",
        "[hosts.a]\n",
        "[hosts.b]\n",
        "[clusters.c]\n",
        "[vault]\n",
        "[policy]\n",
        "[defaults]\n",
        "members = ",
        "jump = ",
        "address = ",
        "keep = ",
        "password = ",
        "[hosts.a.services.x]\n",
        "[[hosts]]\n",
        "[hosts.a.policy]\n",
        "\"a\"",
        "\"b\"",
        "'''",
        "\"\"\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        "\n",
        "#",
        "1",
        "-",
        "0x",
        "true",
        "1979-05-27",
        "\"7d\"",
        "{ prompt = true }",
        "\"SHA256:\"",
        "\"age1\"",
        "groups",
        "recipients = ",
        ".",
        "nan",
        "\\u0000",
        "é",
        "\r",
    ]);
    prop_oneof![9 => words.prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

proptest! {
    #[test]
    fn no_text_at_all_makes_the_parser_panic(bits in prop::collection::vec(bit(), 0..40)) {
        let text = bits.concat();
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(errors.iter().all(|error| error.line <= lines), "{errors:?}");
        }
    }

    #[test]
    fn no_selector_makes_the_parser_panic(text in "\\PC{0,30}") {
        let _ = text.parse::<lifeboat::config::selector::Selector>();
    }

    #[test]
    fn whatever_ssh_reads_becomes_an_inventory(
        lines in prop::collection::vec("(Host|HostName|Port|User|IdentityFile|ProxyJump|Match|#)[ =]{1,2}[a-z0-9.*!?@:%~\"' -]{0,12}", 0..12)
    ) {
        let text = lifeboat::config::inventory_from_ssh_config(&lines.join("\n"));
        let errors = parse(&text).err().unwrap_or_default();
        let other: Vec<_> = errors.iter().filter(|error| !error.message.contains("circle")).collect();
        prop_assert!(other.is_empty(), "{other:?}\n{text}");
    }
}
