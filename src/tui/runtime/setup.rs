//! What a sitting is furnished with: the terminal's abilities, themes, keys, and what the last sitting left.

use std::fs::File;

use super::log::open_log;
use super::state::{Remembered, file_in};
use crate::config::paths::Paths;
use crate::config::small::read_small_file;
use crate::engine::desk::Opening;
use crate::tui::action::Action;
use crate::tui::app::App;
use crate::tui::keymap::Keymap;
use crate::tui::message::Tone;
use crate::tui::theme::{Depth, Shelf, Surroundings};

/// What a sitting is furnished with.
pub struct Setup {
    /// This console's directories.
    pub paths: Paths,
    /// What the terminal can do.
    pub surroundings: Surroundings,
    /// Whether only ASCII is drawn.
    pub is_ascii: bool,
    /// The log, when it can be written.
    pub log: Option<File>,
    shelf: Shelf,
    keymap: Keymap,
    remembered: Remembered,
    /// What is wrong in the operator's themes and keys.
    mistakes: Vec<String>,
    /// Whether no disk is to be touched.
    is_bare: bool,
}

impl Setup {
    /// Reads everything; a mistake in a theme or keymap is kept to be said.
    pub fn read(opening: &Opening) -> Self {
        let paths = opening.paths.clone();
        let surroundings = Surroundings::read(&|name| std::env::var(name).ok());
        let (shelf, mut mistakes) = Shelf::with_own(&paths.config_dir.join("themes"));
        let keys = paths.config_dir.join("keys.toml");
        let keymap = match read_small_file(&keys) {
            None => Keymap::default(),
            Some(Ok(text)) => {
                let (keymap, wrong) = Keymap::parse(&text, &keys);
                mistakes.extend(wrong);
                keymap
            }
            Some(Err(mistake)) => {
                mistakes.push(mistake);
                Keymap::default()
            }
        };
        Self {
            log: open_log(&paths.log_file()),
            is_ascii: opening.ascii || surroundings.is_ascii,
            remembered: Remembered::read(&file_in(&paths.state_dir)),
            mistakes: mistakes.iter().map(|mistake| mistake.to_string().replace("\n    ", " ")).collect(),
            paths,
            surroundings,
            shelf,
            keymap,
            is_bare: false,
        }
    }

    /// What there is without a look at any disk.
    pub fn bare(opening: &Opening) -> Self {
        let surroundings = Surroundings::read(&|name| std::env::var(name).ok());
        Self {
            log: None,
            is_ascii: opening.ascii || surroundings.is_ascii,
            remembered: Remembered::default(),
            mistakes: Vec::new(),
            paths: opening.paths.clone(),
            surroundings,
            shelf: Shelf::built_in(),
            keymap: Keymap::default(),
            is_bare: true,
        }
    }

    /// Gives a console its looks and keys, and says what was wrong with them.
    pub fn furnish(&self, app: &mut App, depth: Depth) {
        app.model.keymap = self.keymap.clone();
        app.history.clone_from(&self.remembered.history);
        app.dress(self.shelf.clone(), depth, self.is_ascii);
        if let Some(name) = &self.remembered.theme
            && !app.wear(name)
        {
            app.model.note(Tone::Warn, format!("The theme '{name}' of the last sitting is not there any more."));
        }
        for mistake in &self.mistakes {
            app.model.note(Tone::Warn, mistake.clone());
        }
        if let Some(first) = self.mistakes.first() {
            let text = match self.mistakes.len() {
                1 => first.clone(),
                count => {
                    let key = app.model.key(Action::Log);
                    format!("{count} mistakes in themes or keys; {key} shows them.")
                }
            };
            app.say(Tone::Warn, text);
        }
    }

    /// Keeps what is to be remembered.
    pub fn keep(&self, app: &App) -> std::io::Result<()> {
        if self.is_bare {
            return Ok(());
        }
        let remembered = Remembered { theme: Some(app.theme.name.clone()), history: app.history.clone() };
        remembered.write(&file_in(&self.paths.state_dir))
    }
}
