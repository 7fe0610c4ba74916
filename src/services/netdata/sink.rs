//! Bringing an archive onto a node: unpacked beside its target, where nothing reads it yet.

use std::io::Read;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::formats::netdata::Relabel;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::StoredFile;
use crate::services::common::{ScriptReader, args_of, as_failure, feed, read_node, run_change_with};
use crate::services::{Cx, Sink};
use crate::transport::Script;

/// Where a delivery goes: the `sink` of a deliver step. `{run}` is filled in by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkArgs {
    /// A directory to unpack in; it is gone afterwards.
    pub work: String,
    /// The directory inside the archive, relative to the root.
    pub inside: String,
    /// Where it then stands.
    pub staged: String,
    /// What it will replace.
    pub target: String,
    /// Names in it that are taken from what is there now instead: they belong to this installation.
    pub stay: Vec<String>,
    /// Names in it that are not restored.
    pub drop: Vec<String>,
    /// The account the agent ran as, and the one it runs as here.
    pub users: (String, String),
    /// The GUID whose samples these are, and that of the agent they are given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relabel: Option<(String, String)>,
}

/// `$1` work, `$2` inside, `$3` staged, `$4` target, `$5` and `$6` accounts, `$7` names that stay, `$8` names not restored,
/// `$9` whether it waits in work, which is root's alone, for what comes after.
const UNPACK: &str = r#"LC_ALL=C; export LC_ALL
w=$1 inside=$2 new=$3 target=$4 from=$5 to=$6
p=$(dirname -- "$new")
mkdir -p -- "$p"
rm -rf -- "$w" "$new"
mkdir -m 700 -- "$w"
# Where nobody bears a saved name its files come with a number, and only tar tells which name that was.
tar --extract --file=- --directory="$w" --preserve-permissions --same-owner --delay-directory-restore -vv --quoting-style=escape >"$w/.members"
cat >/dev/null
# The number a saved name has here. $1 what it is of, `passwd` or `group`; $2 the format of `stat` that tells it.
number() {
  if n=$(getent "$1" "$from"); then printf '%s' "$n" | cut -d : -f 3; return; fi
  n=$(OF=$1 NAME=$from awk '
    !/^[-d]/ || /\\/ || !match($0, " +[0-9]+ [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9] ") { next }
    { who = substr($0, 12, RSTART - 12); slash = index(who, "/") }
    (ENVIRON["OF"] == "group" ? substr(who, slash + 1) : substr(who, 1, slash - 1)) == ENVIRON["NAME"] {
      print substr($0, RSTART + RLENGTH); exit
    }' "$w/.members")
  [ -z "$n" ] || stat -c "$2" -- "$w/$n"
}
uid=$(number passwd %u); gid=$(number group %g)
src=$w/$inside
[ -d "$src" ] && [ ! -L "$src" ] || { echo "the archive does not hold $inside" >&2; exit 1; }
printf '%s\n' "$8" | while IFS= read -r n; do [ -z "$n" ] || rm -rf -- "${src:?}/$n"; done
printf '%s\n' "$7" | while IFS= read -r n; do
  [ -n "$n" ] || continue
  rm -rf -- "${src:?}/$n"
  if [ -e "$target/$n" ]; then
    mkdir -p -- "$(dirname -- "$src/$n")"
    cp -a -- "$target/$n" "$src/$n"
  fi
done
if [ "$from" != "$to" ]; then
  [ -z "$gid" ] || find "$src" -gid "$gid" -exec chgrp -h -- "$(id -g -- "$to")" {} +
  [ -z "$uid" ] || find "$src" -uid "$uid" -exec chown -h -- "$to" {} +
fi
[ "$9" = no ] || exit 0
mv -T -- "$src" "$new"
rm -rf -- "$w"
sync -f -- "$p"
"#;
/// Which databases lie there as plain files. `$1` where.
const THERE: &str = r#"cd -- "$1"
for n in *.db *.db-wal; do if [ -f "$n" ] && [ ! -L "$n" ]; then printf '%s\n' "$n"; fi; done
"#;
/// Puts a database in the place of one and of its log, with its owner and mode. `$1` where, `$2` name.
const REPLACE: &str = r#"cd -- "$1"
rm -rf -- "$2.new"
cat >"$2.new"
chown --reference="$2" -- "$2.new"
chmod --reference="$2" -- "$2.new"
mv -T -- "$2.new" "$2"
rm -rf -- "$2-wal" "$2-shm"
"#;
/// The end of what waited. `$1` work, `$2` inside, `$3` staged.
const PLACE: &str = r#"mv -T -- "$1/$2" "$3"
rm -rf -- "$1"
sync -f -- "$(dirname -- "$3")"
"#;

struct Unpack<'a> {
    cx: &'a Cx<'a>,
    args: SinkArgs,
    arrived: bool,
}

/// Opens a deliver step's place.
pub fn sink<'a>(cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Sink + 'a>> {
    Ok(Box::new(Unpack { cx, args: args_of(args)?, arrived: false }))
}

impl Sink for Unpack<'_> {
    fn put(&mut self, file: &StoredFile, body: &mut dyn Read) -> Result<()> {
        if self.arrived {
            return Err(Failure::new(Exit::Integrity, "The snapshot holds more than one archive."));
        }
        let args = &self.args;
        let (stay, drop) = (args.stay.join("\n"), args.drop.join("\n"));
        let waits = if args.relabel.is_some() { "yes" } else { "no" };
        let words = [&args.work, &args.inside, &args.staged, &args.target, &args.users.0, &args.users.1, &stay, &drop];
        let words: Vec<&str> = words.iter().map(|word| word.as_str()).chain([waits]).collect();
        feed(self.cx, (UNPACK, &words), &file.name, body, &format!("Unpacking {}", file.name), |_| ())?;
        self.arrived = true;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Value> {
        if !self.arrived {
            return Err(Failure::new(Exit::Integrity, "The snapshot holds no archive."));
        }
        let mut told = json!({"staged": self.args.staged});
        if let Some((from, to)) = &self.args.relabel {
            told["charts_given"] = self.relabel(from, to)?.into();
            let args = [self.args.work.as_str(), &self.args.inside, &self.args.staged];
            run_change_with(self.cx, PLACE, &args, "Putting the samples beside their place", Duration::from_mins(30))?;
        }
        Ok(told)
    }
}

impl Unpack<'_> {
    /// Gives every chart of one agent to another, in the databases that were unpacked; tells how many.
    fn relabel(&self, from: &str, to: &str) -> Result<u64> {
        let failed = |why: &str| {
            let message = format!("The samples of {from} cannot be made those of {to}: {}.", why.trim_end_matches('.'));
            Failure::new(Exit::Failed, message)
                .hint("They can be restored with their own identity where that one is gone: the item 'identity' first.")
        };
        let mut relabel = Relabel::new(from, to).ok_or_else(|| failed("one of these is no GUID"))?;
        let dir = format!("{}/{}", self.args.work, self.args.inside);
        let listed =
            read_node(self.cx, Script::new(THERE).arg(&dir), "Looking for the databases of the samples")?.text();
        let is_there = |name: &str| listed.as_str().lines().any(|line| line == name);
        let mut charts = 0;
        for (at, (name, log)) in Relabel::DATABASES.into_iter().enumerate() {
            if at > 0 && !is_there(name) {
                continue;
            }
            for file in [name, log].into_iter().filter(|file| is_there(file)) {
                let script = Script::new("cat -- \"$1/$2\"\n").arg(&dir).arg(file).as_root();
                let script = script.within(Duration::from_hours(1), Duration::from_mins(5));
                let running = self.cx.node.start(&script, self.cx.cancel).map_err(|error| as_failure(&error))?;
                let mut body = ScriptReader::new(running, format!("reading {file} on {}", self.cx.host));
                relabel.store(file, &mut body).map_err(|error| failed(&error.to_string()))?;
            }
            let mut new = if at == 0 {
                let (new, given) = relabel.names().map_err(|error| failed(&error.to_string()))?;
                charts = given;
                new
            } else {
                relabel.contexts().map_err(|error| failed(&error.to_string()))?
            };
            let doing = format!("Writing {name} anew");
            feed(self.cx, (REPLACE, &[dir.as_str(), name]), name, &mut new, &doing, |_| ())?;
        }
        Ok(charts)
    }
}
