//! Themes: what comes with Lifeboat is sound and readable; what an operator writes may be wrong.

use std::path::Path;

use lifeboat::tui::theme::{BUILT_IN, Depth, Role, Shelf, Theme, parse_theme};
use ratatui::style::{Color, Modifier};

fn theme(name: &str) -> Theme {
    Shelf::built_in().theme(name, Depth::True).unwrap()
}

#[test]
fn every_theme_file_is_built_in_and_has_no_mistake() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("themes");
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    let mut built_in = BUILT_IN.map(|(name, _)| name.to_owned());
    built_in.sort();
    assert_eq!(names, built_in);
    for (name, text) in BUILT_IN {
        let (told, mistakes) = parse_theme(text, Path::new(name));
        assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
        assert!(told.about.ends_with('.'), "{name}");
    }
    // Reading them as an operator's own finds wrong colours and broken chains too.
    let (_, mistakes) = Shelf::with_own(&dir);
    assert!(mistakes.is_empty(), "{mistakes:?}");
}

#[test]
fn every_role_falls_back_to_text() {
    for role in Role::ALL {
        let mut at = role;
        for _ in 0..Role::ALL.len() {
            let Some(next) = at.fallback() else { break };
            at = next;
        }
        assert_eq!(at, Role::Text, "{}", role.name());
        assert_eq!(Role::named(role.name()), Some(role));
    }
}

fn luminance(colour: Color) -> f64 {
    let Color::Rgb(r, g, b) = colour else { panic!("{colour:?} is not of a fixed look") };
    let part = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
}

/// The contrast of two colours as WCAG 2 reckons it.
fn contrast(a: Color, b: Color) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn words_can_be_read_on_their_ground_and_in_a_selected_row() {
    for (name, least) in [("dark", 4.5), ("light", 4.5), ("colour-blind", 4.5), ("high-contrast", 7.0)] {
        let theme = theme(name);
        let text = theme.style(Role::Text);
        let selected = theme.style(Role::Selection);
        for role in Role::ALL.into_iter().filter(|role| role.is_text()) {
            let style = theme.style(role);
            let (ink, ground) = (style.fg.or(text.fg).unwrap(), style.bg.or(text.bg).unwrap());
            let found = contrast(ink, ground);
            assert!(found >= least, "{name}: {} has a contrast of {found:.2}", role.name());
            if style.bg.is_none() {
                let (ink, ground) = (selected.fg.unwrap_or(ink), selected.bg.unwrap());
                let found = contrast(ink, ground);
                assert!(found >= least, "{name}: {} in a selected row has a contrast of {found:.2}", role.name());
            }
        }
        let focus = contrast(theme.style(Role::BorderFocus).fg.unwrap(), text.bg.unwrap());
        assert!(focus >= 3.0, "{name}: the focus frame has a contrast of {focus:.2}");
    }
}

#[test]
fn mono_has_no_colour_and_no_colour_means_mono() {
    let mono = theme("mono");
    for role in Role::ALL {
        assert_eq!((mono.style(role).fg, mono.style(role).bg), (None, None), "{}", role.name());
        let dark = Shelf::built_in().theme("dark", Depth::None).unwrap();
        assert_eq!(dark.style(role), mono.style(role));
    }
    assert!(mono.style(Role::Selection).add_modifier.contains(Modifier::REVERSED));
}

#[test]
fn the_default_paints_no_ground() {
    let default = Theme::default();
    assert!(Role::ALL.into_iter().all(|role| default.style(role).bg.is_none()));
}

#[test]
fn what_is_wrong_in_a_theme_is_said_with_its_line_and_the_rest_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    let text = "inherits = \"darc\"\nabuot = \"dark\"\n[palette]\nsea = \"#12345\"\n[roles]\ntext = \"white\"\n\
                \"status.okay\" = \"green\"\nmuted = { fg = \"sae\", bolt = true }\ntitle = 7\nstatus.bad = \"red\"\n";
    std::fs::write(&path, text).unwrap();
    let (shelf, mistakes) = Shelf::with_own(dir.path());
    let said: Vec<String> = mistakes
        .iter()
        .map(|m| m.to_string().replace(dir.path().to_str().unwrap(), "").replace("\n    ", " "))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r##"
    /mine.toml:2: There is no key 'abuot' at the top. Did you mean 'about'?
    /mine.toml:4: '#12345' is no colour. Write a name of the palette, a name such as "green", "#rrggbb", or a number to 255.
    /mine.toml:7: There is no role 'status.okay'. Did you mean 'status.ok'?
    /mine.toml:8: There is no key 'bolt' in [roles.muted]. Did you mean 'bold'?
    /mine.toml:9: 'roles.title' must be a colour or a table such as { fg = "green", bold = true }, not a number.
    /mine.toml:1: There is no theme 'darc' to inherit. Did you mean 'dark'?
    /mine.toml:8: 'sae' is no colour. Write a name of the palette, a name such as "green", "#rrggbb", or a number to 255.
    "##);
    let theme = shelf.theme("mine", Depth::True).unwrap();
    assert_eq!(theme.style(Role::Text).fg, Some(Color::Gray));
    assert_eq!(theme.style(Role::StatusBad).fg, Some(Color::Red));
}

#[test]
fn a_theme_inherits_looks_and_palette_and_may_cover_its_own_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("dark.toml"), "inherits = \"dark\"\n[palette]\nnight = \"#000000\"\n").unwrap();
    std::fs::write(dir.path().join("loop.toml"), "inherits = \"loop\"\n").unwrap();
    let (shelf, mistakes) = Shelf::with_own(dir.path());
    let dark = shelf.theme("dark", Depth::True).unwrap();
    assert_eq!(dark.style(Role::Text).bg, Some(Color::Rgb(0, 0, 0)));
    assert_eq!(dark.style(Role::Text).fg, theme("dark").style(Role::Text).fg);
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].message.contains("inherits itself"));
}
