//! The themes there are: those that come with Lifeboat and the operator's own.

use std::path::{Path, PathBuf};

use super::Theme;
use super::depth::Depth;
use super::file::{Told, parse_theme, resolve};
use crate::config::small::{ConfigError, nearest, read_small_file};

/// The themes that come with Lifeboat, in the order of the chooser. A test holds that they are those of `themes/`.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("default", include_str!("../../../themes/default.toml")),
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    ("high-contrast", include_str!("../../../themes/high-contrast.toml")),
    ("colour-blind", include_str!("../../../themes/colour-blind.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

/// The most files that are read of the operator's directory.
const MOST: usize = 100;

/// Every theme there is.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    themes: Vec<Shelved>,
    /// Themes of Lifeboat's that one of the operator's took the name of; it may inherit the one it covers.
    covered: Vec<Shelved>,
}

/// One theme on the shelf.
#[derive(Debug, Clone)]
pub struct Shelved {
    /// Its name: that of its file.
    pub name: String,
    path: PathBuf,
    told: Told,
}

impl Shelved {
    /// One sentence about it.
    pub fn about(&self) -> &str {
        &self.told.about
    }
}

impl Shelf {
    /// The themes that come with Lifeboat.
    pub fn built_in() -> Self {
        let shelved = |(name, text): &(&str, &str)| {
            let path = PathBuf::from(format!("themes/{name}.toml"));
            Shelved { name: (*name).to_owned(), told: parse_theme(text, &path).0, path }
        };
        Self { themes: BUILT_IN.iter().map(shelved).collect(), covered: Vec::new() }
    }

    /// These and the ones of the operator's directory, which win. What is wrong in a file is said; the rest of it holds.
    pub fn with_own(dir: &Path) -> (Self, Vec<ConfigError>) {
        let mut shelf = Self::built_in();
        let mut mistakes = Vec::new();
        let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "toml"))
            .collect();
        paths.sort();
        for path in paths.into_iter().take(MOST) {
            let Some(name) = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
            match read_small_file(&path) {
                None => {}
                Some(Ok(text)) => {
                    let (told, wrong) = parse_theme(&text, &path);
                    mistakes.extend(wrong);
                    shelf.put(Shelved { name, path, told });
                }
                Some(Err(mistake)) => mistakes.push(mistake),
            }
        }
        for theme in &shelf.themes {
            let (chain, broken) = shelf.chain(&theme.name);
            mistakes.extend(broken);
            if theme.path.starts_with(dir) {
                mistakes.extend(resolve(&chain).1);
            }
        }
        (shelf, mistakes)
    }

    fn put(&mut self, new: Shelved) {
        match self.themes.iter_mut().find(|theme| theme.name == new.name) {
            Some(theme) => self.covered.push(std::mem::replace(theme, new)),
            None => self.themes.push(new),
        }
    }

    /// Every theme, in the order of the chooser.
    pub fn themes(&self) -> &[Shelved] {
        &self.themes
    }

    /// A theme by its name, within a terminal's colours; without any, every theme looks like `mono`.
    pub fn theme(&self, name: &str, depth: Depth) -> Option<Theme> {
        let shown = if depth == Depth::None { "mono" } else { name };
        self.themes.iter().find(|theme| theme.name == name)?;
        let (styles, _) = resolve(&self.chain(shown).0);
        Some(Theme::of_styles(name, depth.fit(&styles)))
    }

    /// A theme and what it inherits, nearest first.
    fn chain(&self, name: &str) -> (Vec<(&Path, &Told)>, Vec<ConfigError>) {
        let mut chain: Vec<(&Path, &Told)> = Vec::new();
        let mut mistakes = Vec::new();
        let mut next = Some(name);
        while let Some(wanted) = next.take() {
            let is_seen = |theme: &&Shelved| chain.iter().any(|(path, _)| *path == theme.path);
            let named = |theme: &&Shelved| theme.name == wanted;
            let fresh = self.themes.iter().chain(&self.covered).filter(named).find(|theme| !is_seen(theme));
            let Some(theme) = fresh.or_else(|| self.themes.iter().find(named)) else {
                if let Some((file, told)) = chain.last() {
                    let line = told.inherits.as_ref().map_or(0, |(_, line)| *line);
                    let message = format!("There is no theme '{wanted}' to inherit.");
                    let meant = nearest(wanted, self.themes.iter().map(|theme| theme.name.as_str()));
                    let hint = meant.map(|meant| format!("Did you mean '{meant}'?"));
                    let (file, key) = ((*file).into(), "inherits".to_owned());
                    mistakes.push(ConfigError { file, line, key, message, hint });
                }
                break;
            };
            if chain.iter().any(|(path, _)| *path == theme.path) {
                let message = format!("The theme '{wanted}' inherits itself.");
                mistakes.push(ConfigError {
                    file: theme.path.clone(),
                    line: theme.told.inherits.as_ref().map_or(0, |(_, line)| *line),
                    key: "inherits".to_owned(),
                    message,
                    hint: Some("Take the line 'inherits' out of one of them.".to_owned()),
                });
                break;
            }
            chain.push((&theme.path, &theme.told));
            next = theme.told.inherits.as_ref().map(|(name, _)| name.as_str());
        }
        (chain, mistakes)
    }
}
