//! Comparing what stands on a node with what the archive said, by the node's own `find` and `sha256sum`.
//!
//! The lists come with the archives (see [`super::sink`]), so they never grow in the console, and the comparison costs
//! the link nothing.

use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::exit::{Exit, Failure, Result};
use crate::services::common::{args_of, finish_change, in_shell, start_change};
use crate::services::{Cx, Now, Op, Told};

/// Arguments of the op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareArgs {
    /// What is compared.
    pub places: Vec<At>,
    /// Whether the bytes of files are read too, or only names, kinds, sizes, modes and owners.
    pub bytes: bool,
    /// Owners by number instead of by name.
    pub numeric: bool,
}

/// One tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The archive whose lists it must agree with.
    pub archive: String,
    /// Where it stands.
    pub path: String,
}

/// `$1` the archive, `$2` where it stands, `$3` names or numbers of owners, `$4` whether bytes are read.
///
/// Further names of one file are proved to be that file and then left out, because the archive keeps it once.
const COMPARE: &str = r#"LC_ALL=C; export LC_ALL
e=$d/$1 at=$2 o=$3 deep=$4
t=$e.now
trap 'rm -f -- "$t".*' EXIT
srt() { sort -z -T "$d" "$@"; }
meta() {
  xargs -0 -r sh -c 'o=$1 p=$2; shift 2
    find "$@" -maxdepth 0 \( -type f -printf "f %m $o %s $p\0" \) -o \( -type l -printf "l $o %s $p -> %l\0" \) \
      -o \( -type d -printf "d %m $o $p\0" \) -o -printf "%y %m $o $p\0"' sh "$o" "$1"
}
: >"$t.sums"
if [ -d "$at" ] && [ ! -L "$at" ]; then
  cd -- "$at"
  find . -print0 | srt >"$t.names"
  if [ -s "$e.links" ]; then
    # The status of what is lost in a pipe: a name that is gone would shift every pair after it, and the last one pass.
    xargs -0 -r -n 2000 stat -c %d:%i -- <"$e.links" >"$t.ids" 2>"$t.err" || {
      echo "a further name of a file is missing: $(tail -n 1 "$t.err" | tr '\t' ' ')" >&2
      exit 4
    }
    [ $(($(wc -l <"$t.ids") % 2)) -eq 0 ] || { echo "the names of one file do not come in pairs" >&2; exit 4; }
    awk 'NR%2{a=$0;next} a!=$0{print NR/2; exit}' <"$t.ids" >"$t.bad"
    if [ -s "$t.bad" ]; then
      echo "no longer one file: $(sed -z -n "$(( $(cat "$t.bad") * 2 - 1 ))p" "$e.links" | tr '\000\n' ' ?')" >&2
      exit 4
    fi
  fi
  sed -z -n '1~2p' "$e.links" | srt >"$t.linked"
  comm -z -23 "$t.names" "$t.linked" >"$t.own"
  meta %p <"$t.own" | srt >"$t.meta"
  if [ "$deep" = yes ]; then
    xargs -0 -r sh -c 'find "$@" -maxdepth 0 -type f -print0' sh <"$t.own" >"$t.files"
    xargs -0 -r -n 256 sh -c 'o=$1; shift; sha256sum -z -- "$@" >>"$o"; printf .' sh "$t.sums" <"$t.files"
  fi
else
  printf '%s\0' "$at" | meta . >"$t.meta"
  if [ "$deep" = yes ] && [ -f "$at" ] && [ ! -L "$at" ]; then
    h=$(sha256sum <"$at")
    printf '%s  .\0' "${h%% *}" >"$t.sums"
  fi
fi
for k in meta sums; do
  [ "$k" = meta ] || [ "$deep" = yes ] || continue
  srt -o "$t.got" "$t.$k"
  srt -o "$t.want" "$e.$k"
  if ! cmp -s "$t.want" "$t.got"; then
    echo "differs, wanted then found: $(comm -z -3 "$t.want" "$t.got" | head -z -n 2 | cut -z -c 1-300 | tr '\000\n\t' '  >')" >&2
    exit 4
  fi
done
"#;

/// The op `files.compare/1`.
pub struct Compare;

impl Op for Compare {
    fn name(&self) -> &'static str {
        "files.compare/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: CompareArgs = args_of(args)?;
        let what = if args.bytes { "every byte, " } else { "" };
        let paths: Vec<_> = args.places.iter().map(|place| place.path.as_str()).collect();
        Ok(Told {
            what: format!("Compares {what}name, kind, size, mode and owner of {} with the archive.", paths.join(", ")),
            undo: "Nothing to undo.".into(),
            by_hand: vec!["tar --compare --file=ARCHIVE --directory=PARENT".into()],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: CompareArgs = args_of(args)?;
        for place in &args.places {
            let owners = if args.numeric { "%U %G" } else { "%u %g" };
            let deep = if args.bytes { "yes" } else { "no" };
            let mut running = start_change(cx, COMPARE, &[&place.archive, &place.path, owners, deep])?;
            // Its input is empty; its output only shows that it lives. Both errors come back with the end.
            let _ = running.close_input();
            let _ = std::io::copy(&mut Read::by_ref(&mut running), &mut std::io::sink());
            finish_change(cx, running, &format!("Comparing {}", place.path)).map_err(|failure| {
                let exit = if failure.exit == Exit::Failed { Exit::Integrity } else { failure.exit };
                Failure { exit, ..failure }.hint("The archive in the vault is untouched; look at the node's disk.")
            })?;
        }
        Ok(json!({"compared": args.places.len(), "bytes": args.bytes}))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Arguments of [`Resume`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeArgs {
    /// `sh` text run as root; idempotent.
    pub run: String,
    /// What holds the files still again when a restore is undone after this; idempotent too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// The op `files.resume/1`: the declared command that lets files go again. Unlike a plain declared command it is also
/// what the guard runs to go forward.
pub struct Resume;

impl Op for Resume {
    fn name(&self) -> &'static str {
        "files.resume/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let ResumeArgs { run, undo } = args_of(args)?;
        Ok(Told {
            what: format!("Runs as root: {run}"),
            undo: undo.map_or("Nothing to undo.".into(), |undo| format!("Runs as root: {undo}")),
            by_hand: vec![run],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let script = self.forward_script(args)?.unwrap_or_default();
        let output = crate::services::common::run_change(cx, &script, "The resume command")?;
        Ok(json!({"said": output.text().last_line()}))
    }
    fn undo_script(&self, args: &Value, _before: &Value) -> Result<Option<String>> {
        let ResumeArgs { undo, .. } = args_of(args)?;
        // Where nothing shall be held again, going back is the quiescing step's undo: this very command.
        Ok(Some(undo.map_or_else(|| ":\n".to_owned(), |undo| in_shell(&undo))))
    }
    fn forward_script(&self, args: &Value) -> Result<Option<String>> {
        let ResumeArgs { run, .. } = args_of(args)?;
        Ok(Some(in_shell(&run)))
    }
}
