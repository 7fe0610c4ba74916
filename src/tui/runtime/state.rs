//! What the console remembers from one sitting to the next; losing it loses nothing.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::paths::create_private_dir;

/// Commands that are remembered.
const MOST: usize = 100;

/// The longest file that is read back.
const LONGEST: u64 = 64 * 1024;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// The theme that was chosen.
    pub theme: Option<String>,
    /// Commands of the palette, oldest first.
    pub history: Vec<String>,
}

/// Where it is kept.
pub fn file_in(state_dir: &Path) -> PathBuf {
    state_dir.join("console.json")
}

impl Remembered {
    /// What the last sitting left; nothing when it left nothing that can be read.
    pub fn read(path: &Path) -> Self {
        let is_small = std::fs::metadata(path).is_ok_and(|kind| kind.is_file() && kind.len() <= LONGEST);
        let text = is_small.then(|| std::fs::read_to_string(path).ok()).flatten();
        let mut read: Self = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let surplus = read.history.len().saturating_sub(MOST);
        read.history.drain(..surplus);
        read
    }

    /// Keeps it, whole or not at all.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("/"));
        create_private_dir(dir).map_err(|failure| std::io::Error::other(failure.message))?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_rubbish_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = file_in(&dir.path().join("state"));
        assert_eq!(Remembered::read(&path), Remembered::default());
        let kept = Remembered { theme: Some("light".to_owned()), history: vec!["vault".to_owned()] };
        kept.write(&path).unwrap();
        assert_eq!(Remembered::read(&path), kept);
        std::fs::write(&path, "{\"theme\": 7").unwrap();
        assert_eq!(Remembered::read(&path), Remembered::default());
    }
}
