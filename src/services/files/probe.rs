//! Looking at the declared paths and the tools of a node. Reads only.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::{self, Settings};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::Facts;
use crate::model::ids::UnitName;
use crate::model::text::CleanText;
use crate::model::units::ByteSize;
use crate::services::Cx;
use crate::services::common::{probe_unit, read_node};
use crate::transport::Script;

/// What a node's probe learned: the driver's own part of the facts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Own {
    /// Each declared path.
    pub paths: BTreeMap<String, PathFacts>,
    /// What the node can do.
    pub tools: Tools,
    /// From the settings, because items are made of facts alone: whether the bytes are secret.
    pub secret: bool,
    /// Whether the files are held still while copied.
    pub held_still: bool,
    /// The unit that is stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops: Option<UnitName>,
    /// What is left out.
    pub exclude: Vec<String>,
}

/// One declared path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PathFacts {
    /// `dir`, `file`, `link`, `other` or `absent`.
    pub kind: String,
    /// Where it leads when it is a link.
    pub real: Option<CleanText>,
    /// Its bytes, when they were counted in time.
    pub size: Option<u64>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner by name.
    pub owner: Option<CleanText>,
    /// Group by name.
    pub group: Option<CleanText>,
    /// Whether something is mounted right there.
    pub mounted: bool,
    /// What is mounted inside it, and so neither copied nor replaced.
    pub mounts: Vec<CleanText>,
    /// Whether the directory it stands in exists.
    pub parent: bool,
    /// Free bytes of its filesystem.
    pub free: Option<u64>,
}

impl PathFacts {
    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.kind != "absent"
    }
}

/// The tools of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "four tools that are there or not")]
pub struct Tools {
    /// The first line of `tar --version`.
    pub tar: CleanText,
    /// `zstd`.
    pub zstd: bool,
    /// `gzip`.
    pub gzip: bool,
    /// `flock`.
    pub flock: bool,
    /// `sha256sum`.
    pub sha256sum: bool,
}

impl Tools {
    /// Whether tar is GNU tar: no other keeps names, extended attributes and holes at once.
    pub fn gnu_tar(&self) -> bool {
        self.tar.as_str().contains("GNU tar")
    }
}

/// One line a fact: `path INDEX KEY VALUE` and `tool NAME VALUE`. Names of files come last, so that blanks do no harm.
/// Sizes are counted within 20 seconds for all paths together.
const SCRIPT: &str = r#"LC_ALL=C; export LC_ALL
echo "tool tar $(tar --version 2>/dev/null | head -n 1)"
for t in zstd gzip flock sha256sum; do
  if command -v "$t" >/dev/null 2>&1; then echo "tool $t yes"; fi
done
[ $# = 0 ] || { echo "begin"; timeout 20 du --apparent-size -sxB1 --null -- "$@" 2>/dev/null | tr '\000\n' '\n?' | sed 's/^/size /'; }
i=0
for p in "$@"; do
  if [ -L "$p" ]; then k=link
  elif [ -d "$p" ]; then k=dir
  elif [ -f "$p" ]; then k=file
  elif [ -e "$p" ]; then k=other
  else k=absent; fi
  echo "path $i kind $k"
  [ $k != link ] || echo "path $i real $(readlink -f -- "$p" | tr '\n' '?')"
  [ $k = absent ] || stat -c "path $i mode %a
path $i owner %U
path $i group %G" -- "$p"
  d=$(dirname -- "$p")
  [ ! -d "$d" ] || echo "path $i parent yes"
  while [ ! -d "$d" ]; do d=$(dirname -- "$d"); done
  echo "path $i free $(df -P -B1 -- "$d" | awk 'NR==2{print $4}')"
  i=$((i+1))
done
echo mounts
awk '{print "mount " $5}' /proc/self/mountinfo
"#;

/// Looks at the node.
pub fn probe(cx: &Cx, settings: &Value) -> Result<Facts> {
    let settings = settings::read(settings)?;
    let mut script = Script::new(SCRIPT).within(Duration::from_mins(2), Duration::from_mins(1));
    for path in &settings.paths {
        script = script.arg(path);
    }
    let mut own = read(&settings.paths, &read_node(cx, script, "Looking at the files")?.stdout);
    own.secret = settings.secret;
    own.held_still = settings.quiesce.is_some();
    own.stops = settings.stops().cloned();
    own.exclude.clone_from(&settings.exclude);
    let units = settings.unit.iter().map(|unit| probe_unit(cx, unit)).collect::<Result<Vec<_>>>()?;
    facts(&settings, &own, units)
}

/// The facts of what was found. Pure.
pub fn facts(settings: &Settings, own: &Own, units: Vec<crate::model::facts::UnitFacts>) -> Result<Facts> {
    let mut notes = Vec::new();
    for (path, seen) in &own.paths {
        match seen.kind.as_str() {
            "absent" => notes.push(format!("{path} is not there.")),
            "link" => notes.push(format!(
                "{path} is a symbolic link to {}; name that instead.",
                seen.real.as_ref().map_or("nowhere", CleanText::as_str)
            )),
            _ => {}
        }
        if seen.mounted {
            notes.push(format!("{path} is a mount point: it can be saved, but not replaced by a restore."));
        }
        notes.extend(seen.mounts.iter().map(|at| format!("{at} is mounted inside {path} and is not saved with it.")));
    }
    notes.extend(
        units.iter().filter(|unit| unit.load != "loaded").map(|unit| format!("{} is {}.", unit.unit, unit.load)),
    );
    if settings.quiesce.is_none() {
        notes.push("The files are copied while in use; what changes meanwhile is marked.".to_owned());
    }
    let own_value = serde_json::to_value(own)
        .map_err(|error| Failure::new(Exit::Failed, format!("What the probe found cannot be kept: {error}.")))?;
    Ok(Facts {
        present: own.paths.values().any(PathFacts::exists),
        variant: Some(own.tools.tar.clone()),
        units,
        notes: notes.into_iter().map(CleanText::from).collect(),
        own: own_value,
        ..Facts::default()
    })
}

/// Reads what [`SCRIPT`] printed about `paths`.
fn read(paths: &[String], printed: &[u8]) -> Own {
    let mut own = Own::default();
    let mut seen = vec![PathFacts::default(); paths.len()];
    for line in printed.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let Some((word, rest)) = line.split_once(' ') else { continue };
        match word {
            "tool" => tool(&mut own.tools, rest),
            "size" => {
                if let Some((size, path)) = rest.split_once('\t')
                    && let Some(index) = paths.iter().position(|p| p == path)
                {
                    seen[index].size = size.parse().ok();
                }
            }
            "path" => {
                let mut words = rest.splitn(3, ' ');
                let index = words.next().and_then(|word| word.parse::<usize>().ok());
                if let (Some(facts), Some(key)) = (index.and_then(|index| seen.get_mut(index)), words.next()) {
                    path_fact(facts, key, words.next().unwrap_or(""));
                }
            }
            "mount" => mount(paths, &mut seen, &unescape(rest)),
            _ => {}
        }
    }
    own.paths = paths.iter().cloned().zip(seen).collect();
    own
}

fn tool(tools: &mut Tools, line: &str) {
    match line.split_once(' ') {
        Some(("tar", version)) => tools.tar = CleanText::new(version),
        Some(("zstd", _)) => tools.zstd = true,
        Some(("gzip", _)) => tools.gzip = true,
        Some(("flock", _)) => tools.flock = true,
        Some(("sha256sum", _)) => tools.sha256sum = true,
        _ => {}
    }
}

fn path_fact(facts: &mut PathFacts, key: &str, value: &str) {
    match key {
        "kind" => value.clone_into(&mut facts.kind),
        "real" => facts.real = Some(CleanText::new(value.trim_end_matches('?'))),
        "mode" => facts.mode = u32::from_str_radix(value, 8).ok(),
        "owner" => facts.owner = Some(CleanText::new(value)),
        "group" => facts.group = Some(CleanText::new(value)),
        "parent" => facts.parent = true,
        "free" => facts.free = value.parse().ok(),
        _ => {}
    }
}

fn mount(paths: &[String], seen: &mut [PathFacts], at: &str) {
    for (path, facts) in paths.iter().zip(seen) {
        match at.strip_prefix(path.as_str()) {
            Some("") => facts.mounted = true,
            Some(rest) if rest.starts_with('/') => facts.mounts.push(CleanText::new(at)),
            _ => {}
        }
    }
}

/// Undoes the kernel's `\040` for blanks in mount points.
pub fn unescape(text: &str) -> String {
    let mut plain = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        match octal {
            Some(value) if byte == b'\\' => {
                plain.push(value);
                rest = &after[3..];
            }
            _ => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// All bytes of the paths, when every one was counted.
pub fn size_of(own: &Own) -> Option<ByteSize> {
    own.paths.values().filter(|path| path.exists()).map(|path| path.size.map(ByteSize)).sum()
}

/// The driver's own part of facts, empty when they are another driver's or older.
pub fn own_of(facts: &Facts) -> Own {
    serde_json::from_value(facts.own.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_becomes_facts() {
        let printed = include_bytes!("../../../tests/fixtures/services/files/probe.txt");
        let own = read(&["/etc/app".into(), "/srv/da ta".into(), "/opt/none".into()], printed);
        assert!(own.tools.gnu_tar() && own.tools.zstd && own.tools.flock);
        let app = &own.paths["/etc/app"];
        assert_eq!((app.kind.as_str(), app.mode, app.size), ("dir", Some(0o2750), Some(8192)));
        assert!(own.paths["/srv/da ta"].mounted);
        assert_eq!(own.paths["/srv/da ta"].mounts, [CleanText::new("/srv/da ta/inner")]);
        assert!(!own.paths["/opt/none"].exists() && !own.paths["/opt/none"].parent);
        assert_eq!(size_of(&own), None, "one path was not counted in time");
    }

    #[test]
    fn the_script_runs_in_a_plain_sh() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(at("a 'b")).unwrap();
        std::fs::write(at("a 'b/c"), "hello").unwrap();
        std::os::unix::fs::symlink("nowhere", at("l")).unwrap();
        let paths = vec![at("a 'b"), at("l"), at("no/such")];
        let output = std::process::Command::new("sh").args(["-c", SCRIPT, "sh"]).args(&paths).output().unwrap();
        let own = read(&paths, &output.stdout);
        assert_eq!(own.paths[&paths[0]].kind, "dir");
        assert!(own.paths[&paths[0]].size.unwrap() >= 5);
        assert_eq!(own.paths[&paths[1]].kind, "link");
        assert!(own.paths[&paths[2]].free.is_some() && !own.paths[&paths[2]].parent);
    }
}
