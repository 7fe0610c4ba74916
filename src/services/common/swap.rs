//! Putting staged files or directories in place of what is there, which is kept aside beside them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::{args_of, read_node, run_change};
use crate::model::exit::Result;
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
}

/// Swaps by rename; undone by the renames backwards, each skipped when it is already so.
pub struct Swap;

fn word(path: &str) -> String {
    quote(path.as_bytes())
}

/// `t s k` of every entry: 1 where it exists (also as a dangling link), 0 where not; `m` when the target is a mount point.
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

impl Op for Swap {
    fn name(&self) -> &'static str {
        "files.swap/1"
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
            undo: "Renames the kept copy back.".to_owned(),
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
            return Ok(Now::Done(before_value));
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
        let mut script = String::new();
        for (entry, was_there) in args.entries.iter().zip(was_there) {
            let (target, staged, kept) = (word(&entry.target), word(&entry.staged), word(&entry.kept));
            script += &format!("if [ -e {staged} ] || [ -L {staged} ]; then\n");
            if was_there {
                script += &format!("  [ -e {kept} ] || [ -L {kept} ] || mv -T {target} {kept}\n");
            }
            script += &format!("  mv -T {staged} {target}\nfi\nsync -f \"$(dirname {target})\"\n");
        }
        run_change(cx, &script, "Swapping the restored files in")?;
        Ok(json!({"kept": args.entries.iter().map(|e| CleanText::new(&e.kept)).collect::<Vec<_>>()}))
    }
    fn undo_script(&self, args: &Value, before: &Value) -> Result<Option<String>> {
        let args: SwapArgs = args_of(args)?;
        let was_there: Vec<bool> = args_of(&before["was_there"])?;
        let mut script = String::new();
        for (entry, was_there) in args.entries.iter().zip(was_there).rev() {
            let (target, staged, kept) = (word(&entry.target), word(&entry.staged), word(&entry.kept));
            let back = format!(
                "{{ [ ! -e {staged} ] && {{ [ -e {target} ] || [ -L {target} ]; }} && mv -T {target} {staged}; }}"
            );
            if was_there {
                script += &format!("if [ -e {kept} ] || [ -L {kept} ]; then {back} || :; mv -T {kept} {target}; fi\n");
            } else {
                script += &format!("{back} || :\n");
            }
            script += &format!("sync -f \"$(dirname {target})\"\n");
        }
        Ok(Some(script))
    }
}
