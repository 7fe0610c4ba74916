//! Bytes off a node: one tar archive for every path, compressed there, with tar's own status kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::settings::{Compress, split};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::model::text::CleanText;
use crate::services::common::{ScriptReader, as_failure, probe_unit, read_node};
use crate::services::{Cx, Source, SourceFile};
use crate::transport::{End, Finished, Script};

/// What is copied, as it stands in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceArgs {
    /// The paths that were there, in order.
    pub entries: Vec<Entry>,
    /// Declared paths that were not there.
    pub missing: Vec<String>,
    /// What is mounted inside the paths and so stays out.
    #[serde(default)]
    pub mounts: Vec<CleanText>,
    /// tar's exclude patterns.
    pub exclude: Vec<String>,
    /// How archives are compressed; never `auto`.
    pub compress: Compress,
    /// The unit that holds the files still by not running: nothing stops it, so it is looked at before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays_down: Option<UnitName>,
}

/// One path and the archive it goes into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `tree-0`, `tree-1` …: the archive's name without its endings.
    pub archive: String,
    /// The absolute path.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner by name.
    pub owner: Option<CleanText>,
    /// Group by name.
    pub group: Option<CleanText>,
}

/// `$1` compression, `$2` the directory, `$3` the name in it, then the exclude patterns.
///
/// A pipeline's status is its last command's, so tar's own goes round it through descriptor 3 and decides the end:
/// 0 whole, 1 something changed meanwhile, 2 failed, 70 the compressor failed. Names of owners are kept beside their
/// numbers, because a new machine counts its accounts differently. Times of reading and of inode changes are left
/// out: they make two copies of one tree differ.
pub const COPY: &str = r#"LC_ALL=C; export LC_ALL
c=$1 d=$2 n=$3
shift 3
for x in "$@"; do set -- "$@" "--exclude=$x"; shift; done
pack() {
  tar --create --file=- --format=pax --pax-option=delete=atime,delete=ctime --sort=name --xattrs --xattrs-include='*' \
    --acls --sparse --one-file-system "$@" --directory="$d" -- "$n"
}
case $c in
  none) pack "$@"; exit ;;
  zstd) squeeze() { zstd -q -1 -T0 -c; } ;;
  gzip) squeeze() { gzip -1 -c; } ;;
  *) exit 71 ;;
esac
exec 4>&1
s=$( { { pack "$@" 3>&- 4>&-; echo "tar $?" >&3; } | { squeeze >&4 3>&- 4>&-; echo "squeeze $?" >&3; }; } 3>&1 )
exec 4>&-
case $s in
  *"squeeze 0"*) ;;
  *) echo "$c failed while compressing" >&2; exit 70 ;;
esac
t=${s##*tar }
t=${t%%[!0-9]*}
exit "${t:-72}"
"#;

/// Tar's 1 is no failure, but is told.
pub const CHANGED: &[i32] = &[1];

/// What a restore must know beforehand: `account U:G` for each pair of owners, `blocks N` for the bytes on disk,
/// `odd N` for device nodes, which a restore refuses. `$1` is the path.
const SURVEY: &str = r#"LC_ALL=C; export LC_ALL
timeout 300 find "$1" -xdev -printf '%y %b %u:%g\n' 2>/dev/null | awk '
  { blocks += $2; if ($1 == "b" || $1 == "c") odd++; if (!($3 in seen)) { seen[$3] = 1; print "account " $3 } }
  END { printf "blocks %.0f\nodd %d\n", blocks * 512, odd }'
"#;

/// The archives of a plan's paths, one after the other.
pub struct Tars<'a> {
    cx: &'a Cx<'a>,
    args: SourceArgs,
    next: usize,
    reader: Option<ScriptReader>,
    marks: Vec<CleanText>,
    learned: BTreeMap<String, Value>,
    /// The unit's last start, as it was known before the first byte was read.
    start: Option<String>,
}

impl<'a> Tars<'a> {
    /// A source of what `args` names.
    pub fn new(cx: &'a Cx<'a>, args: SourceArgs) -> Self {
        let missing = args.missing.iter().map(|path| format!("{path} was not there").into());
        let mounts = args.mounts.iter().map(|path| format!("{path} is mounted there and was not saved").into());
        let marks = missing.chain(mounts).collect();
        Self { cx, args, next: 0, reader: None, marks, learned: BTreeMap::new(), start: None }
    }

    fn close(&mut self) -> Result<()> {
        let Some(reader) = self.reader.take() else { return Ok(()) };
        let Some(finished) = reader.finished() else {
            return Err(Failure::new(Exit::Failed, "An archive was not read to its end."));
        };
        let path = &self.args.entries[self.next - 1].path;
        self.marks.extend(mark(path, finished));
        Ok(())
    }

    /// Looks that a unit nobody stopped is down, and was not started since it was looked at first.
    fn look_that_it_is_down(&mut self) -> Result<()> {
        let Some(unit) = &self.args.stays_down else { return Ok(()) };
        let now = probe_unit(self.cx, unit)?;
        let start = self.start.get_or_insert_with(|| now.invocation.clone());
        if now.is_down() && *start == now.invocation {
            return Ok(());
        }
        let message = format!("{unit} was started on {}, so its files did not hold still.", self.cx.host);
        Err(Failure::new(Exit::Failed, message).hint("Back them up again: a unit that runs is stopped for the copy."))
    }

    fn survey(&mut self) -> Result<()> {
        let (mut accounts, mut sizes) = (BTreeSet::new(), BTreeMap::new());
        for entry in &self.args.entries {
            let script =
                Script::new(SURVEY).arg(&entry.path).within(Duration::from_secs(330), Duration::from_secs(330));
            let printed = read_node(self.cx, script, "Counting what was copied")?.text();
            for line in printed.as_str().lines() {
                match line.split_once(' ') {
                    Some(("account", pair)) => {
                        accounts.insert(pair.to_owned());
                    }
                    Some(("blocks", bytes)) => {
                        sizes.insert(entry.archive.clone(), json!(bytes.parse::<u64>().ok()));
                    }
                    Some(("odd", count)) if count != "0" => self.marks.push(
                        format!("{} holds {count} device nodes, which a restore refuses: exclude them", entry.path)
                            .into(),
                    ),
                    _ => {}
                }
            }
        }
        let half = |pick: fn((&str, &str)) -> String| -> BTreeSet<String> {
            accounts.iter().filter_map(|pair| pair.split_once(':')).map(pick).collect()
        };
        self.learned.insert("owners".into(), json!(half(|(user, _)| user.to_owned())));
        self.learned.insert("owner_groups".into(), json!(half(|(_, group)| group.to_owned())));
        self.learned.insert("unpacked".into(), json!(sizes));
        Ok(())
    }
}

impl Source for Tars<'_> {
    fn next(&mut self) -> Result<Option<SourceFile<'_>>> {
        self.close()?;
        if self.next == 0 || self.next == self.args.entries.len() {
            self.look_that_it_is_down()?;
        }
        let Some(entry) = self.args.entries.get(self.next) else {
            if self.learned.is_empty() {
                self.survey()?;
            }
            return Ok(None);
        };
        let (parent, name) = split(&entry.path);
        let day = Duration::from_hours(24);
        let mut script = Script::new(COPY)
            .arg(self.args.compress.word())
            .arg(parent)
            .arg(name)
            .as_root()
            // Excluded or sparse stretches may keep tar silent for long; a dead link is the transport's to notice.
            .within(day, Duration::from_mins(30));
        for pattern in &self.args.exclude {
            script = script.arg(pattern);
        }
        let running = self.cx.node.start(&script, self.cx.cancel).map_err(|error| as_failure(&error))?;
        let what = format!("tar of {} on {}", entry.path, self.cx.host);
        self.next += 1;
        let reader = self.reader.insert(ScriptReader::new(running, what).tolerating(CHANGED));
        Ok(Some(SourceFile {
            name: format!("{}.tar{}", entry.archive, self.args.compress.suffix()),
            origin: CleanText::new(&entry.path),
            mode: entry.mode,
            owner: entry.owner.clone(),
            group: entry.group.clone(),
            expected: None,
            body: Box::new(reader),
        }))
    }
    fn marks(&self) -> Vec<CleanText> {
        self.marks.clone()
    }
    fn learned(&self) -> BTreeMap<String, Value> {
        self.learned.clone()
    }
}

/// How many changed names a mark tells.
const TOLD: usize = 5;

/// The mark of an archive whose tar ended with 1, from tar's own words.
fn mark(path: &str, finished: &Finished) -> Option<CleanText> {
    if finished.end == End::Exited(0) {
        return None;
    }
    let lines = finished.stderr.as_str().lines().filter_map(|line| line.strip_prefix("tar: "));
    let mut told: Vec<String> = Vec::new();
    let mut more = 0;
    for line in lines {
        // "NAME: file changed as we read it", "NAME: File removed before we read it", "NAME: File shrank by …"
        let Some((name, what)) = line.rsplit_once(": ") else { continue };
        let what = what.to_ascii_lowercase();
        let short = if what.contains("removed") {
            "removed"
        } else if what.contains("shrank") {
            "shrank"
        } else if what.contains("changed") {
            "changed"
        } else {
            continue;
        };
        if told.len() < TOLD {
            told.push(format!("{name} ({short})"));
        } else {
            more += 1;
        }
    }
    let what = match (told.is_empty(), more) {
        (true, _) => finished.stderr.last_line().to_owned(),
        (false, 0) => told.join(", "),
        (false, more) => format!("{} and {more} more", told.join(", ")),
    };
    Some(format!("{path} changed while it was copied: {what}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Output};

    fn copy(compress: &str, parent: &std::path::Path, name: &str, path: Option<&str>) -> Output {
        let mut sh = Command::new("/bin/sh");
        sh.args(["-c", COPY, "sh", compress]).arg(parent).args([name, "*.tmp", "it's"]);
        if let Some(path) = path {
            sh.env("PATH", path);
        }
        sh.output().unwrap()
    }

    /// A `tar` of our own first in the search path, so that its status is ours to choose.
    fn with_tar(text: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("tar");
        std::fs::write(&fake, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        (dir, path)
    }

    #[test]
    fn tar_s_own_status_comes_through_every_compressor() {
        for compress in ["none", "zstd", "gzip"] {
            for status in [0, 1, 2, 137] {
                let (home, path) = with_tar(&format!("printf body; exit {status}"));
                let output = copy(compress, home.path(), "x", Some(&path));
                assert_eq!(output.status.code(), Some(status), "{compress} {status}");
                assert_eq!(output.stdout == b"body", compress == "none");
                assert!(!output.stdout.is_empty());
            }
        }
    }

    #[test]
    fn a_failing_compressor_is_a_failure_too() {
        let (home, path) = with_tar("printf body");
        std::fs::copy(home.path().join("tar"), home.path().join("zstd")).unwrap();
        std::fs::write(home.path().join("zstd"), "#!/bin/sh\ncat >/dev/null; exit 1\n").unwrap();
        assert_eq!(copy("zstd", home.path(), "x", Some(&path)).status.code(), Some(70));
    }

    #[test]
    fn odd_names_and_patterns_arrive_as_they_are() {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join("-tree 'x");
        std::fs::create_dir(&tree).unwrap();
        for name in ["a\nb", "-rf", "sp ace", "\u{202e}evil", "no.tmp", "it's"] {
            std::fs::write(tree.join(name), name).unwrap();
        }
        for compress in ["none", "gzip"] {
            let output = copy(compress, home.path(), "-tree 'x", None);
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            let mut plain = Vec::new();
            if compress == "gzip" {
                flate2::read::MultiGzDecoder::new(&output.stdout[..]).read_to_end(&mut plain).unwrap();
            } else {
                plain = output.stdout;
            }
            let mut archive = tar::Archive::new(&plain[..]);
            let names: BTreeSet<_> = archive
                .entries()
                .unwrap()
                .map(|e| String::from_utf8(e.unwrap().path_bytes().into_owned()).unwrap())
                .collect();
            let want = ["-tree 'x/", "-tree 'x/a\nb", "-tree 'x/-rf", "-tree 'x/sp ace", "-tree 'x/\u{202e}evil"];
            assert_eq!(names, want.map(str::to_owned).into());
        }
    }

    #[test]
    fn a_missing_path_is_status_2() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(copy("zstd", home.path(), "none", None).status.code(), Some(2));
    }

    #[test]
    fn what_changed_is_named_and_bounded() {
        let line = |i| format!("tar: app/f{i}: file changed as we read it\n");
        let said = [0, 1, 2, 3, 4, 5, 6].map(line).concat() + "tar: app/\\033x: File removed before we read it\n";
        let ended =
            |status, stderr: &str| Finished { end: End::Exited(status), stderr: stderr.into(), stdout_bytes: 1 };
        let text = mark("/srv/app", &ended(1, &said)).unwrap();
        assert!(text.as_str().starts_with("/srv/app changed while it was copied: app/f0 (changed), app/f1"));
        assert!(text.as_str().ends_with("and 3 more"));
        assert_eq!(mark("/srv/app", &ended(0, "tar: app/s: socket ignored\n")), None);
        assert!(mark("/x", &ended(1, "odd")).unwrap().as_str().ends_with("odd"));
    }

    #[test]
    fn the_survey_counts_owners_and_bytes() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("f"), vec![1; 5000]).unwrap();
        let output = Command::new("sh").args(["-c", SURVEY, "sh"]).arg(home.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("account ") && text.contains("\nblocks ") && text.ends_with("odd 0\n"), "{text}");
    }
}
