//! The settings table of a `files` service: what is copied, how it is held still, how a restore is accepted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::services::SettingError;

/// The word of `quiesce` that stops [`Settings::unit`] while copying.
pub const STOP: &str = "stop";
/// Names longer than this leave no room for what Lifeboat puts beside a target while it restores.
const LONGEST_NAME: usize = 200;
const MOST_PATHS: usize = 64;
const KEYS: [&str; 9] = ["paths", "exclude", "unit", "quiesce", "resume", "accept", "secret", "compress", "users"];
/// Trees that are no files, and those a rename cannot replace.
const NEVER: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/var/lib/lifeboat"];

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Absolute paths of files and directories, none inside another.
    pub paths: Vec<String>,
    /// GNU tar exclude patterns; the names they are held against begin with the last part of a path.
    pub exclude: Vec<String>,
    /// The unit that uses the files; stopped around a restore's swap.
    pub unit: Option<UnitName>,
    /// `stop`, or a command that makes the files hold still; runs more than once when a restore is undone.
    pub quiesce: Option<String>,
    /// The command that undoes `quiesce`; runs more than once when a run is interrupted.
    pub resume: Option<String>,
    /// The command whose status 0 accepts a restore.
    pub accept: Option<String>,
    /// Whether the bytes are secret.
    pub secret: bool,
    /// How archives are compressed on the node.
    pub compress: Compress,
    /// Accounts that must exist on a node before a restore goes there, besides the owners seen at backup.
    pub users: Vec<String>,
}

impl Settings {
    /// The unit that is stopped while the files are copied.
    pub fn stops(&self) -> Option<&UnitName> {
        self.unit.as_ref().filter(|_| self.quiesce.as_deref() == Some(STOP))
    }
}

/// How archives are compressed on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// zstd where the node has it, else none: `zstd -1` on all cores outruns nearly every link, while gzip on one core
    /// is slower than a gigabit and would become the bottleneck.
    Auto,
    /// Not at all.
    None,
    /// `zstd -1 -T0`.
    Zstd,
    /// `gzip -1`.
    Gzip,
}

impl Compress {
    /// The value of a word.
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "auto" => Self::Auto,
            "none" => Self::None,
            "zstd" => Self::Zstd,
            "gzip" => Self::Gzip,
            _ => return None,
        })
    }
    /// The word itself.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
    /// What it adds to an archive's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Auto | Self::None => "",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// Reads settings that were checked before.
pub fn read(settings: &Value) -> Result<Settings> {
    serde_json::from_value(settings.clone())
        .map_err(|error| Failure::new(Exit::Usage, format!("The settings of a files service cannot be read: {error}.")))
}

/// The directory a path stands in and its last part.
pub fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("/", path),
    }
}

/// Why a path cannot be copied or restored, and what to write instead.
pub fn refuse(path: &str) -> Option<(String, &'static str)> {
    let say = |why: &str, hint| Some((format!("The path {path:?} cannot be used: {why}."), hint));
    if path.contains(['\n', '\0']) {
        return say("it holds a line feed or a NUL", "Name the directory above it.");
    }
    if !path.starts_with('/') {
        return say("it is not absolute", "Write it from the root, such as \"/etc/app\".");
    }
    if path == "/" {
        return say("it is the whole machine", "Name the directories that matter.");
    }
    if path.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        return say("it has an empty, '.' or '..' part", "Write it plainly, without a slash at its end.");
    }
    if let Some(never) = NEVER.iter().find(|never| within(path, never)) {
        return say(&format!("{never} holds no files to keep"), "Name files on a disk.");
    }
    if NEVER.iter().any(|never| within(never, path) && *never != "/var/lib/lifeboat") {
        return say("it holds parts of the running system", "Name the directories inside it that matter.");
    }
    if split(path).1.len() > LONGEST_NAME {
        return say("its name is longer than 200 bytes", "Name the directory above it.");
    }
    if split(path).1.contains(".lifeboat-") {
        return say("it is Lifeboat's own", "Name the original.");
    }
    None
}

/// Whether `path` is `above` or lies inside it.
fn within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

struct Table<'t> {
    table: &'t toml::Table,
    errors: Vec<SettingError>,
}

impl Table<'_> {
    fn error(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.errors.push(SettingError { key: key.to_owned(), message: message.into(), hint: hint.into() });
    }
    fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let texts = value.as_array().and_then(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            self.error(key, format!("{key} must be a list of strings."), format!("Write {key} = [\"…\"]."));
            Vec::new()
        })
    }
    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.table.get(key)?;
        match value.as_str() {
            Some(text) if !text.trim().is_empty() && !text.contains('\0') => Some(text.to_owned()),
            _ => {
                self.error(key, format!("{key} must be a string with something in it."), "Write it, or leave it out.");
                None
            }
        }
    }
}

/// Checks the table and fills defaults in; every mistake at once.
pub fn check(table: &toml::Table) -> Result<Value, Vec<SettingError>> {
    let mut t = Table { table, errors: Vec::new() };
    for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        t.error(key, format!("A files service has no setting '{key}'."), format!("It has: {}.", KEYS.join(", ")));
    }
    let paths = paths(&mut t);
    let exclude = t.texts("exclude");
    for pattern in &exclude {
        if pattern.is_empty() || pattern.contains(['\n', '\0']) || pattern.chars().all(|c| matches!(c, '*' | '/')) {
            t.error("exclude", format!("The pattern {pattern:?} would leave nothing."), "Write such as \"*.tmp\".");
        }
    }
    let users = t.texts("users");
    for user in users.iter().filter(|user| !is_account(user)) {
        t.error("users", format!("{user:?} is no account name."), "Write such as \"www-data\".");
    }
    let unit = t.text("unit").and_then(|name| match UnitName::new(name) {
        Ok(unit) => Some(unit),
        Err(error) => {
            t.error("unit", error.to_string(), "Write the full name, such as \"app.service\".");
            None
        }
    });
    let (quiesce, resume) = (t.text("quiesce"), t.text("resume"));
    match (quiesce.as_deref(), &resume) {
        (Some(STOP), Some(_)) => {
            t.error("resume", "A unit that was stopped is started again by itself.", "Leave resume out.");
        }
        (Some(STOP), None) if !table.contains_key("unit") => {
            t.error("quiesce", "There is no unit to stop.", "Add unit = \"app.service\", or write a command.");
        }
        (Some(command), None) if command != STOP => {
            t.error("quiesce", "What is made to hold still must be let go again.", "Add resume = \"…\".");
        }
        (None, Some(_)) => t.error("resume", "There is nothing to resume from.", "Add quiesce = \"…\"."),
        _ => {}
    }
    let compress = t.text("compress").map_or(Compress::Auto, |word| {
        Compress::of(&word).unwrap_or_else(|| {
            t.error("compress", format!("{word:?} is no compression."), "Write auto, none, zstd or gzip.");
            Compress::Auto
        })
    });
    let secret = table.get("secret").is_none_or(|value| {
        value.as_bool().unwrap_or_else(|| {
            t.error("secret", "secret must be true or false.", "Write secret = false only for public files.");
            true
        })
    });
    let accept = t.text("accept");
    if !t.errors.is_empty() {
        return Err(t.errors);
    }
    let settings = Settings { paths, exclude, unit, quiesce, resume, accept, secret, compress, users };
    serde_json::to_value(settings).map_err(|error| {
        vec![SettingError { key: String::new(), message: error.to_string(), hint: "Report this.".to_owned() }]
    })
}

fn paths(t: &mut Table) -> Vec<String> {
    let paths = t.texts("paths");
    if paths.is_empty() && !t.errors.iter().any(|error| error.key == "paths") {
        t.error("paths", "A files service needs paths.", "Write paths = [\"/etc/app\"].");
    }
    if paths.len() > MOST_PATHS {
        t.error("paths", format!("More than {MOST_PATHS} paths."), "Name the directories above them.");
    }
    for path in &paths {
        if let Some((message, hint)) = refuse(path) {
            t.error("paths", message, hint);
        }
    }
    for (i, path) in paths.iter().enumerate() {
        if let Some((_, other)) =
            paths.iter().enumerate().find(|&(j, other)| j != i && within(path, other) && (i > j || path != other))
        {
            t.error("paths", format!("{path:?} lies inside {other:?}."), "Keep the outer one only.");
        }
    }
    paths
}

/// What `useradd` would take, liberally: nothing an option or a path could be made of.
fn is_account(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-$".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        check(&text.parse().unwrap()).map_or_else(|errors| errors.into_iter().map(|e| e.key).collect(), |_| Vec::new())
    }

    #[test]
    fn paths_that_are_no_files_are_refused() {
        for bad in [
            "etc/app",
            "/",
            "/proc/1",
            "/sys",
            "/dev/sda",
            "/etc//x",
            "/etc/../x",
            "/etc/app/",
            "/a\\nb",
            "/a\\u0000",
            "/var/lib/lifeboat/x",
            "/x/.y.lifeboat-1.kept",
        ] {
            assert_eq!(keys(&format!("paths = [\"{bad}\"]")), ["paths"], "{bad} was accepted");
        }
        assert_eq!(keys("paths = [\"/srv\", \"/srv/x\"]"), ["paths"]);
        assert_eq!(keys("paths = [\"/srv\", \"/srv\"]"), ["paths"]);
        for (length, fits) in [(200, true), (201, false), (255, false)] {
            let taken = keys(&format!("paths = [\"/srv/{}\"]", "n".repeat(length))).is_empty();
            assert_eq!(taken, fits, "a name of {length} bytes, beside which '.NAME.lifeboat-RUN.kept' must stand");
        }
        assert!(keys("paths = [\"/srv\", \"/srv2\", \"/etc/app conf'1\"]").is_empty());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        assert_eq!(
            keys(
                "paths = []\nunit = \"x\"\nquiesce = \"sync\"\ncompress = \"xz\"\nsecret = 1\ntypo = 1\nexclude = [\"*\"]\nusers = [\"-r\"]"
            ),
            ["typo", "paths", "exclude", "users", "unit", "quiesce", "compress", "secret"]
        );
        assert_eq!(keys("paths = [\"/srv\"]\nquiesce = \"stop\""), ["quiesce"]);
        assert_eq!(keys("paths = [\"/srv\"]\nresume = \"x\""), ["resume"]);
    }

    #[test]
    fn defaults_are_the_careful_ones() {
        let settings = read(&check(&"paths = [\"/srv\"]".parse().unwrap()).unwrap()).unwrap();
        assert!(settings.secret);
        assert_eq!(settings.compress, Compress::Auto);
    }
}
