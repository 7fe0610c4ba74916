//! Bringing an archive onto a node: unpacked beside its target, where nothing reads it yet.

use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::StoredFile;
use crate::services::common::{args_of, feed};
use crate::services::{Cx, Sink};

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
}

/// `$1` work, `$2` inside, `$3` staged, `$4` target, `$5` and `$6` accounts, `$7` names that stay, `$8` names not restored.
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
mv -T -- "$src" "$new"
rm -rf -- "$w"
sync -f -- "$p"
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
        let words = [&args.work, &args.inside, &args.staged, &args.target, &args.users.0, &args.users.1, &stay, &drop];
        let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
        feed(self.cx, (UNPACK, &words), &file.name, body, &format!("Unpacking {}", file.name), |_| ())?;
        self.arrived = true;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Value> {
        if !self.arrived {
            return Err(Failure::new(Exit::Integrity, "The snapshot holds no archive."));
        }
        Ok(json!({"staged": self.args.staged}))
    }
}
