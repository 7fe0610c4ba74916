//! The keys in docs and manual page are those of the table.

use std::path::Path;

use lifeboat::tui::keymap::Keymap;

use super::stage::Stage;
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

#[test]
fn the_footer_and_the_help_show_the_operator_s_own_keys() {
    let file = "keys = [{ on = \"g v\", action = \"vault\" }, { on = \"g b\", action = \"backup\" }, { on = \"ctrl-e\", action = \"quit\" }]";
    let (keymap, mistakes) = Keymap::parse(file, Path::new("keys.toml"));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let mut stage = super::cast::seen();
    stage.app.model.keymap = keymap;
    let page = stage.grid((120, 40));
    let footer = page.lines().last().unwrap();
    assert!(footer.contains("g b back up") && footer.contains("ctrl-e quit"), "{footer}");
    stage.keys("?");
    let help = stage.grid((120, 60));
    assert!(help.lines().any(|line| line.contains("g v") && line.contains("Show what the vault holds.")), "{help}");
    stage.keys("esc g v");
    assert!(stage.grid((80, 24)).contains("lifeboat › vault"), "{}", stage.grid((80, 24)));
}

#[test]
fn sentences_name_the_operator_s_own_keys_too() {
    let file = "keys = [{ on = \"g r\", action = \"reload\" }, { on = \"f9\", action = \"refresh\" }, \
                { on = \"g b\", action = \"backup\" }, { on = \"v\", action = \"none\" }, { on = \"f8\", action = \"back\" }, { on = \"f7\", action = \"log\" }]";
    let (keymap, mistakes) = Keymap::parse(file, Path::new("keys.toml"));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let mut stage = Stage::of_inventory(super::fleet::TWO);
    stage.app.model.keymap = keymap;
    let page = stage.grid((80, 24));
    assert!(page.contains("f9 looks at it now.") && !page.contains("f5"), "{page}");
    stage.notice(lifeboat::tui::message::Notice::InventoryChanged);
    let page = stage.grid((120, 40));
    assert!(page.contains("The inventory was edited; g r reads it again."), "{page}");
    stage.keys("J");
    let page = stage.grid((120, 40));
    // What has no key is typed.
    assert!(page.contains("On the fleet g b backs up, :verify verifies and r restores."), "{page}");
    for list in ["F", "V", "R", "J", "f7"] {
        stage.keys(list).keys("/ n o t h e r e enter");
        let page = stage.grid((120, 40));
        let is_read = page.contains("are being read") || page.contains("is being read");
        assert!(is_read || page.contains("f8 shows all again."), "{list}: {page}");
        assert!(!page.contains("sc shows all again."), "{list}: {page}");
    }
}
