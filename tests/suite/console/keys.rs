//! The keys in docs and manual page are those of the table.

use std::path::Path;

use crate::support::console::Console;

#[test]
fn the_document_of_keys_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keys.md");
    let now = lifeboat::tui::document_keys();
    if std::env::var_os("LIFEBOAT_PICTURES").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == now, "docs/keys.md is stale: LIFEBOAT_PICTURES=1 cargo test --test suite console::keys");
}

#[test]
fn the_manual_page_tells_every_key() {
    let page = Console::new().run(&["man"]).expect(0).out;
    assert!(page.contains(".SH KEYS"), "{page}");
    for row in lifeboat::tui::describe_keys() {
        let keys = row.keys.replace('-', "\\-");
        assert!(page.contains(&keys), "{} is not in the manual page", row.keys);
        assert!(page.contains(&row.about.replace('-', "\\-")), "{} is not in the manual page", row.about);
    }
    for flag in ["plain", "ascii"] {
        assert!(page.contains(&format!("\\-\\-{flag}")), "--{flag} is not in the manual page");
    }
}
