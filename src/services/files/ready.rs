//! Whether a node can take a restore: room, directories, mount points, accounts. Reads only.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::probe::unescape;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::text::CleanText;
use crate::model::units::ByteSize;
use crate::services::common::{args_of, read_node};
use crate::services::{Cx, Now, Op, Told};
use crate::transport::Script;

/// Arguments of the op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyArgs {
    /// What will be replaced.
    pub targets: Vec<Target>,
    /// Accounts that must exist, as the node the snapshot came from named them.
    pub owners: Vec<String>,
    /// The same of groups.
    pub groups: Vec<String>,
    /// Whether zstd or GNU tar are needed is the plan's affair; tar always is.
    #[serde(default)]
    pub numeric: bool,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its path.
    pub path: String,
    /// The bytes it will take on disk.
    pub bytes: Option<u64>,
}

/// First the owners, `--`, the groups, `--`, then the targets. A number among the owners had no name where it came from:
/// it must have none here either, or the files would become somebody else's.
const LOOK: &str = r#"LC_ALL=C; export LC_ALL
tar --version 2>/dev/null | grep -q 'GNU tar' && echo "tar ok"
for t in sha256sum comm sort xargs find; do command -v $t >/dev/null || echo "tool $t"; done
for db in passwd group; do
  while [ "$1" != -- ]; do
    case $1 in
      *[!0-9]*) getent $db "$1" >/dev/null || echo "missing $db $1" ;;
      *) n=$(getent $db "$1" | cut -d: -f1); [ -z "$n" ] || echo "taken $db $1 $n" ;;
    esac
    shift
  done
  shift
done
i=0
for p in "$@"; do
  d=$(dirname -- "$p")
  if [ -d "$d" ]; then echo "real $i $(readlink -f -- "$d" | tr '\n' '?')"; fi
  while [ ! -e "$d" ]; do d=$(dirname -- "$d"); done
  [ -d "$d" ] || echo "blocked $i $d"
  echo "room $i $(stat -c %d -- "$d") $(df -P -B1 -- "$d" | awk 'NR==2{print $4}')"
  i=$((i+1))
done
awk '{print "mount " $5}' /proc/self/mountinfo
"#;

/// The op `files.ready/1`.
pub struct Ready;

impl Op for Ready {
    fn name(&self) -> &'static str {
        "files.ready/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: ReadyArgs = args_of(args)?;
        let paths: Vec<_> = args.targets.iter().map(|target| target.path.as_str()).collect();
        Ok(Told {
            what: format!("Checks room, mount points and accounts for {}.", paths.join(", ")),
            undo: "Nothing to undo.".into(),
            by_hand: vec!["df -h; findmnt; getent passwd; getent group".into()],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: ReadyArgs = args_of(args)?;
        let mut script = Script::new(LOOK);
        for names in [&args.owners, &args.groups] {
            for name in names {
                script = script.arg(name);
            }
            script = script.arg("--");
        }
        for target in &args.targets {
            script = script.arg(&target.path);
        }
        let printed = read_node(cx, script, "Looking whether the files fit")?.stdout;
        judge(cx.host.as_str(), &args, &String::from_utf8_lossy(&printed))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Judges what [`LOOK`] printed. Pure. Everything that stands in the way is told at once.
fn judge(host: &str, args: &ReadyArgs, printed: &str) -> Result<Value> {
    let (mut wrong, mut hints, mut exit) = (Vec::new(), Vec::new(), Exit::Failed);
    let mut mounts = Vec::new();
    let mut real: BTreeMap<usize, &str> = BTreeMap::new();
    let mut rooms: BTreeMap<&str, (u64, u64, &str)> = BTreeMap::new();
    let mut tar = false;
    for line in printed.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let indexed = || rest.split_once(' ').and_then(|(i, rest)| Some((i.parse::<usize>().ok()?, rest)));
        match word {
            "tar" => tar = true,
            "tool" => wrong.push(format!("there is no {rest}")),
            "missing" => {
                let (db, name) = rest.split_once(' ').unwrap_or_default();
                wrong.push(format!("there is no {} {name}", if db == "group" { "group" } else { "account" }));
                let add = if db == "group" { "groupadd" } else { "useradd" };
                hints.push(format!("Create it there: {add} --system {name}."));
            }
            "taken" => wrong.push(format!("files without a named owner would become another's ({rest})")),
            "blocked" => wrong.push(format!("{} is no directory", indexed().map_or(rest, |(_, path)| path))),
            "mount" => mounts.push(unescape(rest)),
            "real" => {
                if let Some((index, path)) = indexed() {
                    real.insert(index, path);
                }
            }
            "room" => {
                if let Some((index, rest)) = indexed()
                    && let Some((device, free)) = rest.split_once(' ')
                {
                    let room = rooms.entry(device).or_default();
                    let target = args.targets.get(index);
                    room.0 = room.0.saturating_add(target.and_then(|target| target.bytes).unwrap_or(0));
                    room.1 = free.parse().unwrap_or(0);
                    room.2 = target.map_or("", |target| target.path.as_str());
                }
            }
            _ => {}
        }
    }
    if !tar {
        wrong.push("its tar is not GNU tar".into());
        hints.push("Install it there: apt-get install tar.".into());
    }
    if wrong.iter().any(|why| why.contains("account") || why.contains("group") || why.contains("owner"))
        && !args.numeric
    {
        hints.push("Or restore owners by number: --set owners=numbers.".into());
    }
    for (index, target) in args.targets.iter().enumerate() {
        let Some(parent) = real.get(&index) else { continue };
        let path = format!("{}/{}", parent.trim_end_matches('/'), super::settings::split(&target.path).1);
        for mount in mounts.iter().filter(|m| m.strip_prefix(&path).is_some_and(|r| r.is_empty() || r.starts_with('/')))
        {
            wrong.push(if *mount == path {
                format!("{path} is a mount point, which cannot be replaced by rename")
            } else {
                format!("{mount} is mounted inside {path} and would move away with the old one")
            });
            hints.push(format!("Unmount it (umount {mount}), or unpack the archive there by hand: see RESTORE.md."));
        }
    }
    for (need, free, path) in rooms.values() {
        let need = need.saturating_add(need / 50).saturating_add(16 << 20);
        if need > *free {
            exit = if wrong.is_empty() { Exit::NoSpace } else { exit };
            let beside = super::settings::split(path).0;
            wrong.push(format!("{} are needed in {beside} and {} are free", ByteSize(need), ByteSize(*free)));
            hints.push("Free some, or add a disk; what earlier restores kept there: lifeboat kept.".into());
        }
    }
    if wrong.is_empty() {
        let free = rooms.values().map(|(_, free, _)| *free).min();
        return Ok(json!({"free": free}));
    }
    let mut message = format!("{host} cannot take the files: ");
    let _ = write!(message, "{}.", CleanText::new(&wrong.join("; ")));
    hints.dedup();
    let failure = Failure::new(exit, message).state("Nothing was changed.");
    Err(hints.into_iter().fold(failure, |failure, hint| failure.hint(CleanText::new(&hint).to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ReadyArgs {
        let target = |path: &str| Target { path: path.into(), bytes: Some(1 << 30) };
        ReadyArgs {
            targets: vec![target("/srv/app"), target("/srv/db")],
            owners: vec![],
            groups: vec![],
            numeric: false,
        }
    }

    #[test]
    fn a_node_with_room_is_ready_and_one_without_is_not() {
        let two = |free: u64| {
            format!(
                "tar ok\nreal 0 /srv\nroom 0 7 {free}\nreal 1 /srv\nroom 1 7 {free}\nmount /\nmount /srv\nmount /srv/app2\n"
            )
        };
        assert!(judge("n", &args(), &two(3 << 30)).is_ok());
        let failure = judge("n", &args(), &two(2 << 30)).unwrap_err();
        assert_eq!(failure.exit, Exit::NoSpace, "two targets on one filesystem need room together");
        assert!(failure.message.contains("2.06 GiB are needed in /srv and 2.00 GiB are free"), "{}", failure.message);
    }

    #[test]
    fn mount_points_and_missing_accounts_are_told_together() {
        let seen =
            "tar ok\nmissing passwd app\nmissing group app\nreal 0 /mnt/x\nroom 0 7 99999999999\nmount /mnt/x/app\n";
        let failure = judge("n", &args(), seen).unwrap_err();
        for part in ["no account app", "no group app", "/mnt/x/app is a mount point"] {
            assert!(failure.message.contains(part), "{failure:?}");
        }
        assert!(failure.hints.iter().any(|hint| hint.contains("owners=numbers")));
    }

    #[test]
    fn the_script_runs_in_a_plain_sh() {
        let output = std::process::Command::new("sh")
            .args([
                "-c",
                LOOK,
                "sh",
                "root",
                "no-such-account",
                "4294900000",
                "--",
                "root",
                "--",
                "/tmp/x y",
                "/no/such/dir",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("missing passwd no-such-account\n") && !text.contains("missing passwd root"), "{text}");
        assert!(text.contains("real 0 ") && text.contains("room 1 ") && !text.contains("real 1"), "{text}");
    }
}
