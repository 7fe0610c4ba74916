//! Putting staged files or directories in place of what is there, which is kept aside beside them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::{args_of, read_node, run_change};
use super::steps::{kept_path, staged_path};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::text::CleanText;
use crate::services::{Cx, Now, Op, Told};
use crate::transport::Script;
use crate::transport::quote::quote;

/// Arguments: what is swapped, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapArgs {
    /// Each target with its neighbours.
    pub entries: Vec<SwapEntry>,
}

/// One target; all three are absolute paths in one directory, so that every move is a single rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapEntry {
    /// What is replaced.
    pub target: String,
    /// What takes its place.
    pub staged: String,
    /// Where the old one goes.
    pub kept: String,
    /// Where an undo puts what stands there by then; without it that becomes the staged copy again, and is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
}

/// The most bytes the last part of a target may have: a file's name has at most 255, and what stands beside it is longer
/// by dots, the run's id and words such as `.new.work`.
const LONGEST_NAME: usize = 200;

/// Refuses a path beside which nothing can be staged or kept.
pub fn has_room_beside(target: &str) -> Result<()> {
    let name = target.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if name.len() <= LONGEST_NAME {
        return Ok(());
    }
    let message = format!(
        "The name {} has {} bytes; beside a name of more than {LONGEST_NAME} nothing can be staged or kept aside.",
        CleanText::new(name).one_line(),
        name.len()
    );
    Err(Failure::new(Exit::Failed, message).hint("Give it a shorter name, or restore it by hand: see RESTORE.md."))
}

impl SwapEntry {
    /// A target with its neighbours, named after the run.
    ///
    /// # Errors
    /// Its name is too long for neighbours.
    pub fn beside(target: &str) -> Result<Self> {
        has_room_beside(target)?;
        Ok(Self { target: target.to_owned(), staged: staged_path(target), kept: kept_path(target), aside: None })
    }
}

impl SwapArgs {
    /// The swap of `targets`, in order.
    pub fn of<'t>(targets: impl IntoIterator<Item = &'t str>) -> Result<Self> {
        Ok(Self { entries: targets.into_iter().map(SwapEntry::beside).collect::<Result<_>>()? })
    }
    /// The same swap for whoever undoes it long after: what stands there by then was in use and is kept aside too, at
    /// `place` of each target. One that has its place already keeps it.
    #[must_use]
    pub fn keeping_aside(mut self, place: fn(&str) -> String) -> Self {
        for entry in &mut self.entries {
            entry.aside.get_or_insert_with(|| place(&entry.target));
        }
        self
    }
    /// What an undo of it puts aside.
    pub fn aside(&self) -> Vec<&str> {
        self.entries.iter().filter_map(|entry| entry.aside.as_deref()).collect()
    }
    /// Where the old ones are kept.
    fn kept(&self) -> Vec<CleanText> {
        self.entries.iter().map(|entry| CleanText::new(&entry.kept)).collect()
    }
}

/// The op's name.
pub const SWAP: &str = "files.swap/1";

/// Swaps by rename; undone by the renames backwards, each skipped when it is already so.
pub struct Swap;

fn word(path: &str) -> String {
    quote(path.as_bytes())
}

/// Of every path 1 where it exists (also as a dangling link), 0 where not.
const LOOK: &str = r#"is() { if [ -e "$1" ] || [ -L "$1" ]; then printf 1; else printf 0; fi; }
for p in "$@"; do is "$p"; done; echo
"#;

fn look(cx: &Cx, args: &SwapArgs) -> Result<Vec<[bool; 3]>> {
    let mut script = Script::new(LOOK);
    for entry in &args.entries {
        script = script.arg(&entry.target).arg(&entry.staged).arg(&entry.kept);
    }
    let seen = read_node(cx, script, "Looking at what is to be swapped")?.stdout;
    let flags: Vec<bool> = seen.iter().filter(|b| matches!(b, b'0' | b'1')).map(|&b| b == b'1').collect();
    Ok(flags.as_chunks::<3>().0.to_vec())
}

/// `$1` target, `$2` staged, `$3` kept, `$4` whether something was there. Every path stands once in a script: there may
/// be many, and they may be long.
const IN: &str = r#"is() { [ -e "$1" ] || [ -L "$1" ]; }
put() {
  if is "$2"; then
    if [ "$4" = 1 ] && ! is "$3"; then mv -T "$1" "$3"; fi
    mv -T "$2" "$1"
  fi
  sync -f "$(dirname "$1")"
}
"#;

/// As [`IN`], with `$5` where what stands there is put aside; without it that becomes the staged copy again. What is put
/// aside is never put over what was put aside before: then this has been undone.
const BACK: &str = r#"is() { [ -e "$1" ] || [ -L "$1" ]; }
back() {
  to=${5:-$2}
  if [ "$4" = 0 ] || is "$3"; then
    if ! is "$to" && ! is "$2" && is "$1"; then mv -T "$1" "$to"; fi
  fi
  if [ "$4" = 1 ] && is "$3"; then mv -T "$3" "$1"; fi
  sync -f "$(dirname "$1")"
}
"#;

fn call(name: &str, entry: &SwapEntry, was_there: bool) -> String {
    let aside = entry.aside.as_deref().map(word).unwrap_or_default();
    let (target, staged, kept) = (word(&entry.target), word(&entry.staged), word(&entry.kept));
    format!("{name} {target} {staged} {kept} {} {aside}\n", u8::from(was_there))
}

impl Op for Swap {
    fn name(&self) -> &'static str {
        SWAP
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: SwapArgs = args_of(args)?;
        let targets: Vec<_> = args.entries.iter().map(|entry| entry.target.as_str()).collect();
        let by_hand = args.entries.iter().flat_map(|e| {
            [
                format!("mv -T {} {}", word(&e.target), word(&e.kept)),
                format!("mv -T {} {}", word(&e.staged), word(&e.target)),
            ]
        });
        Ok(Told {
            what: format!(
                "Puts the staged copy in place of {} by rename; the old one is kept beside it.",
                targets.join(", ")
            ),
            undo: match args.aside().as_slice() {
                [] => "Renames the kept copy back.".to_owned(),
                // The id of the run that undoes it is not known yet.
                aside if aside.iter().any(|path| path.contains("{run}")) => {
                    "Renames the kept copy back; what stands there by then is kept aside too.".to_owned()
                }
                aside => format!("Renames the kept copy back; what stands there now is kept as {}.", aside.join(", ")),
            },
            by_hand: by_hand.collect(),
        })
    }
    fn observe(&self, cx: &Cx, args: &Value, before: Option<&Value>) -> Result<Now> {
        let args: SwapArgs = args_of(args)?;
        let seen = look(cx, &args)?;
        let was_there: Vec<bool> = match before.and_then(|b| b.get("was_there")) {
            Some(flags) => args_of(flags)?,
            None => seen.iter().map(|[target, ..]| *target).collect(),
        };
        let before_value = json!({"was_there": was_there});
        let done = |(&[target, staged, kept], &was): (&[bool; 3], &bool)| target && !staged && kept == was;
        let todo = |(&[_, staged, kept], &was): (&[bool; 3], &bool)| staged && (!kept || was);
        if before.is_some() && seen.iter().zip(&was_there).all(done) {
            return Ok(Now::Done(json!({"was_there": was_there, "kept": args.kept()})));
        }
        if seen.iter().zip(&was_there).all(|pair| todo(pair) || (before.is_some() && done(pair)))
            && (before.is_some() || seen.iter().all(|[.., kept]| !kept))
        {
            return Ok(Now::Todo(before_value));
        }
        Ok(Now::Foreign("what was staged or kept is not where this run left it".to_owned()))
    }
    fn run(&self, cx: &Cx, args: &Value, before: &Value) -> Result<Value> {
        let args: SwapArgs = args_of(args)?;
        let was_there: Vec<bool> = args_of(&before["was_there"])?;
        let mut script = IN.to_owned();
        for (entry, was_there) in args.entries.iter().zip(was_there) {
            script += &call("put", entry, was_there);
        }
        run_change(cx, &script, "Swapping the restored files in")?;
        Ok(json!({"kept": args.kept()}))
    }
    fn undo_script(&self, args: &Value, before: &Value) -> Result<Option<String>> {
        let args: SwapArgs = args_of(args)?;
        let was_there: Vec<bool> = args_of(&before["was_there"])?;
        let mut script = BACK.to_owned();
        for (entry, was_there) in args.entries.iter().zip(was_there).rev() {
            script += &call("back", entry, was_there);
        }
        Ok(Some(script))
    }
}
