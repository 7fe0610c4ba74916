//! Bringing files onto a node, into places nothing reads yet.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::model::exit::{Exit, Failure, Result};
use crate::model::manifest::StoredFile;
use crate::model::text::hex;
use crate::services::common::{args_of, feed, run_change_with};
use crate::services::{Cx, Sink};

/// Where a delivery goes: the `sink` of a deliver step. `{run}` is filled in by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "write", rename_all = "snake_case")]
pub enum SinkArgs {
    /// Single files that only the service's account may read.
    Files {
        /// A directory made for them, private too; without one each stands beside its target.
        dir: Option<String>,
        /// Where each file of the snapshot goes.
        files: BTreeMap<String, String>,
        /// `user:group` by name.
        owner: String,
    },
    /// An archive, unpacked.
    Tree {
        /// A directory to unpack in; it is gone afterwards.
        work: String,
        /// What is taken out of it: a path inside, `.` for all, and where it is put.
        picks: Vec<(String, String)>,
        /// `user:group` by name.
        owner: String,
    },
}

/// Makes missing parents as the service's own, then an empty private directory. `$1` owner, `$2` the directory or
/// empty, then every path something will be written to.
const PREPARE: &str = r#"o=$1; dir=$2; shift 2
umask 077
make() {
  if [ ! -d "$1" ]; then
    make "$(dirname -- "$1")"
    mkdir -- "$1"
    if [ "$o" = root:root ]; then chmod 0755 -- "$1"; else chmod 0750 -- "$1"; fi
    chown -- "$o" "$1"
  fi
}
for p in "$@"; do make "$(dirname -- "$p")"; rm -rf -- "$p"; done
if [ -n "$dir" ]; then
  make "$(dirname -- "$dir")"
  rm -rf -- "$dir"
  mkdir -m 0700 -- "$dir"
fi
"#;

/// Takes standard input and says what it wrote. A path that exists is refused, so that nobody's link is followed.
const PUT: &str = r#"umask 077
rm -f -- "$1"
set -C
cat >"$1"
# A database is read for hours, and a script that says nothing so long counts as lost.
while sleep 60 >/dev/null 2>&1; do echo || exit; done &
p=$!
trap 'kill "$p"' EXIT
sync -- "$1"
sha256sum <"$1" | cut -d ' ' -f 1
"#;

/// Gives the files away. `$1` owner, `$2` the directory or empty, then the files.
const GIVE: &str = r#"o=$1; dir=$2; shift 2
for p in "$@"; do chmod 0400 -- "$p"; chown -h -- "$o" "$p"; done
if [ -n "$dir" ]; then chown -- "$o" "$dir"; sync -f -- "$dir"; fi
for p in "$@"; do sync -f -- "$(dirname -- "$p")"; done
"#;

/// Unpacks. `$1` owner, `$2` the directory, then pairs of a path inside and where it goes.
const UNPACK: &str = r#"o=$1; w=$2; shift 2
mkdir -m 0700 -- "$w/tree"
tar --no-same-owner -xpf "$w/tree.tar" -C "$w/tree"
rm -f -- "$w/tree.tar"
while [ $# -gt 1 ]; do
  if [ "$1" = . ]; then from="$w/tree"; else from="$w/tree/$1"; fi
  chown -R -h -- "$o" "$from"
  mv -T -- "$from" "$2"
  sync -f -- "$(dirname -- "$2")"
  shift 2
done
rm -rf -- "$w"
"#;

/// How long each of them may take: a database is terabytes in a hundred thousand files.
const LIMIT: Duration = Duration::from_hours(24);

struct Delivery<'a> {
    cx: &'a Cx<'a>,
    args: SinkArgs,
    sums: BTreeMap<String, String>,
}

/// Opens a deliver step's place.
pub fn sink<'a>(cx: &'a Cx<'a>, args: &Value) -> Result<Box<dyn Sink + 'a>> {
    let args: SinkArgs = args_of(args)?;
    let mut words: Vec<&str> = Vec::new();
    match &args {
        SinkArgs::Files { dir: Some(dir), owner, .. } => words.extend([owner.as_str(), dir.as_str()]),
        SinkArgs::Files { dir: None, owner, files } => {
            words.extend([owner.as_str(), ""]);
            words.extend(files.values().map(String::as_str));
        }
        SinkArgs::Tree { work, picks, owner } => {
            words.extend([owner.as_str(), work.as_str()]);
            words.extend(picks.iter().map(|(_, to)| to.as_str()));
        }
    }
    run_change_with(cx, PREPARE, &words, "Making room for the files", LIMIT)?;
    Ok(Box::new(Delivery { cx, args, sums: BTreeMap::new() }))
}

impl Delivery<'_> {
    fn place(&self, name: &str) -> Option<String> {
        match &self.args {
            SinkArgs::Files { files, .. } => files.get(name).cloned(),
            SinkArgs::Tree { work, .. } => (name == "tree.tar").then(|| format!("{work}/tree.tar")),
        }
    }

    fn failed(&self, name: &str, why: &str) -> Failure {
        Failure::new(
            Exit::Failed,
            format!("Bringing {name} to {} failed: {}.", self.cx.host, why.trim_end_matches('.')),
        )
    }
}

impl Sink for Delivery<'_> {
    fn put(&mut self, file: &StoredFile, body: &mut dyn Read) -> Result<()> {
        let name = file.name.as_str();
        let Some(to) = self.place(name) else {
            return Err(self.failed(name, "nothing of this kind of item has that name"));
        };
        let mut hash = Sha256::new();
        let doing = format!("Bringing {name}");
        let said = feed(self.cx, (PUT, &[&to]), name, body, &doing, |piece| hash.update(piece))?;
        let sent = hex(&hash.finalize());
        let written = String::from_utf8_lossy(&said).trim().to_owned();
        if written != sent || file.plain_sha256.as_ref().is_some_and(|stored| *stored != sent) {
            return Err(Failure::new(
                Exit::Integrity,
                format!("{name} on {} is not what the snapshot holds: its SHA-256 differs.", self.cx.host),
            ));
        }
        self.sums.insert(name.to_owned(), sent);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Value> {
        match &self.args {
            SinkArgs::Files { dir, files, owner } => {
                if let Some(missing) = files.keys().find(|name| !self.sums.contains_key(*name)) {
                    return Err(self.failed(missing, "the snapshot did not give it"));
                }
                let mut words = vec![owner.as_str(), dir.as_deref().unwrap_or("")];
                words.extend(files.values().map(String::as_str));
                run_change_with(self.cx, GIVE, &words, "Handing the files to the service's account", LIMIT)?;
            }
            SinkArgs::Tree { work, picks, owner } => {
                if self.sums.is_empty() {
                    return Err(self.failed("tree.tar", "the snapshot did not give it"));
                }
                let mut words = vec![owner.as_str(), work.as_str()];
                words.extend(picks.iter().flat_map(|(inside, to)| [inside.as_str(), to.as_str()]));
                run_change_with(self.cx, UNPACK, &words, "Unpacking the archive", LIMIT)?;
            }
        }
        // The sums of secret files stay out of the journal.
        Ok(json!({"arrived": self.sums.keys().collect::<Vec<_>>()}))
    }
}
