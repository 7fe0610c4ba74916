//! A run as it lies on a node: plan, journal, owner, lock, guard.
//!
//! Everything stands root-only under `/var/lib/lifeboat/`. The `owner` file holds the console and its epoch: every
//! changing script compares it first, so a console whose run was adopted elsewhere is refused by the node itself.
//! What travels on a script's input is counted before it takes effect, because a script cannot tell the end of its input
//! from the end of the link.

mod guard;
mod listing;

pub use guard::{
    Fired, arm_guard, disarm_guard, finish_guard, guard_script, is_guarded, read_fired, renew_guard, set_fired_aside,
};
pub use listing::{FoundRun, Kept, list_beside, list_kept, list_runs, purge_kept};

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::RunId;
use crate::model::text::CleanText;
use crate::services::common::{as_failure, exit_of, judge_change, read_node, telling_line, with_room_made};
use crate::services::{Cx, Mark};
use crate::transport::{End, Script};

/// The plan comes first, whole and counted, so that a link that is lost meanwhile leaves no lock without a plan. Locks are
/// looked at and taken by one script at a time.
const OPEN: &str = r#"umask 077
b=/var/lib/lifeboat
d=$b/runs/$1
mkdir -p "$b/runs" "$b/locks" && chmod 700 "$b" || exit 1
t=$(mktemp "$b/plan.XXXXXX") || exit 1
new= k=$b/locks/$3
# What could not be made whole is taken away again, and its lock with it: nobody could tell what it was.
leave() { rm -f "$t"; [ -z "$new" ] || rm -rf "$d" "$k"; }
trap leave EXIT
cat >"$t" || exit 1
[ "$(wc -c <"$t")" -eq "$4" ] || exit 93
exec 7<"$b/locks"
flock -w 20 7 || exit 95
if [ -d "$b/locks/$3" ]; then
  other=$(cat "$b/locks/$3/run" 2>/dev/null)
  if [ "$other" != "$1" ]; then
    if [ -n "$other" ] && [ -d "$b/runs/$other" ]; then echo "$other $(cat "$b/runs/$other/owner" 2>/dev/null)"; exit 94; fi
    rm -rf "$b/locks/$3"
  fi
fi
[ -d "$d" ] || new=1
mkdir -p "$d" "$b/locks/$3" || exit 1
# Half of it is for what follows here, and half is given back when the run ends or its guard acts: what must be noted then
# has room, however full the disk is.
[ -e "$d/room" ] || head -c 131072 /dev/zero >"$d/room" || exit 1
truncate -s 65536 "$d/room" || exit 1
printf '%s\n' "$1" >"$b/locks/$3/run" && printf '%s\n' "$3" >"$d/key" || exit 1
cat /proc/sys/kernel/random/boot_id >"$d/boot"
[ -e "$d/journal.jsonl" ] || : >"$d/journal.jsonl"
# A line that a power cut tore did not happen, and nothing may be written behind it.
[ -z "$(tail -c 1 "$d/journal.jsonl")" ] || sed -i '$d' "$d/journal.jsonl" || exit 1
mv "$t" "$d/plan.json" || exit 1
printf '%s\n' "$2" >"$d/owner.new" && mv "$d/owner.new" "$d/owner" || exit 1
sync -f "$b" || exit 1
new=
"#;

/// Owner and guard are looked at, but the lock is not taken: a step may hold it for long while the guard is renewed.
const OWNED: &str = r#"d=/var/lib/lifeboat/runs/$1
[ -d "$d" ] || exit 96
o=; IFS= read -r o <"$d/owner" || :
[ "$o" = "$2" ] || exit 97
shift 2
set -eu
"#;

/// What a guard that has acted keeps from happening.
const NOT_FIRED: &str = "[ ! -e \"$d/fired\" ] || exit 98\n";

/// What a lost link cut short is not added.
const APPEND: &str = r#"umask 077
cat >"$d/journal.new" || { rm -f "$d/journal.new"; exit 1; }
[ "$(wc -c <"$d/journal.new")" -eq "$1" ] || exit 93
cat "$d/journal.new" >>"$d/journal.jsonl"
sync -d "$d/journal.jsonl"
"#;

/// The key's lock is given back and the run's directory removed; what was kept aside stays listed. Neither a step nor the
/// guard is at work meanwhile, and nobody looks at the locks. `$3` is `fired` for a run that is closed whatever its guard
/// has done: the note of it goes with everything else, and not before.
const CLOSE: &str = r#"b=/var/lib/lifeboat
exec 9>>"$d/lock"
flock -w 20 9 || exit 95
rm -f "$d/room"
echo $$ >"$d/holder" || :
exec 8>>"$d/timer"
flock -w 20 8 || exit 95
[ "$3" = fired ] || [ ! -e "$d/fired" ] || exit 98
exec 7<"$b/locks"
flock -w 20 7 || exit 95
IFS= read -r k <"$d/key"
r=${d##*/}
if [ -n "$1" ]; then mkdir -p "$b/kept"; printf '%s\n' "$1" >"$b/kept/$r"; fi
if [ -n "$2" ]; then rm -f "$b/kept/$2"; fi
u=lifeboat-guard-$r
systemctl disable -q --now "$u.timer" 2>/dev/null || :
rm -f "/etc/systemd/system/$u.timer" "/etc/systemd/system/$u.service"
systemctl daemon-reload
systemctl reset-failed "$u.timer" "$u.service" 2>/dev/null || :
for h in "$b"/hold/*; do
  [ -e "$h" ] && [ "$(cat "$h")" = "$r" ] || continue
  n=${h##*/}
  rm -f "$h" "/etc/systemd/system/$n.d/90-lifeboat-hold.conf"
  rmdir "/etc/systemd/system/$n.d" 2>/dev/null || :
  systemctl daemon-reload
done
if [ "$(cat "$b/locks/$k/run" 2>/dev/null)" = "$r" ]; then rm -rf "$b/locks/$k"; fi
rm -rf "$d"
rmdir "$b/hold" 2>/dev/null || :
"#;

/// Makes the run's directory on the node and takes the lock `key`; `plan` is kept there for whoever adopts the run.
///
/// # Errors
/// Another run holds the lock: the message names it and its console.
pub fn open_run(cx: &Cx, mark: &Mark, key: &str, plan: &[u8]) -> Result<()> {
    let length = plan.len().to_string();
    let script = Script::new(OPEN).arg(mark.run.as_str()).arg(&mark.owner).arg(key).arg(length).as_root().with_input();
    let output = cx.node.run(&script, plan, 1 << 16, cx.cancel).map_err(|error| as_failure(&error))?;
    let why = match output.end {
        End::Exited(0) => return Ok(()),
        End::Exited(94) => {
            let said = output.text().one_line();
            let (run, owner) = said.as_str().split_once(' ').unwrap_or((said.as_str(), "an unknown console"));
            return Err(Failure::new(
                Exit::Failed,
                format!("{key} on {} is being worked on by run {run} of console {owner}.", cx.host),
            )
            .hint(format!("See what is true there: lifeboat runs --on {}", cx.host))
            .hint(format!("Take it over if that console is gone: lifeboat resume {run} --adopt --on {}", cx.host)));
        }
        End::Exited(93) => "not every byte of the plan arrived",
        End::Exited(95) => "another console takes or gives back a lock there",
        _ => telling_line(&output.stderr),
    };
    let message = format!("The run's directory could not be made on {}: {why}.", cx.host);
    Err(with_room_made(Failure::new(exit_of(&output.stderr), message), cx.host))
}

/// Runs a script that shows the mark but does not wait for the run's lock.
fn run_shown(cx: &Cx, body: &str, args: &[&str], input: Option<&[u8]>, doing: &str) -> Result<()> {
    run_owned(cx, &format!("{NOT_FIRED}{body}"), args, input, doing)
}

/// As [`run_shown`], also after the guard has acted.
fn run_owned(cx: &Cx, body: &str, args: &[&str], input: Option<&[u8]>, doing: &str) -> Result<()> {
    let mark = cx.run.ok_or_else(|| Failure::new(Exit::Failed, format!("{doing} was asked for outside a run.")))?;
    let mut script = Script::new(format!("{OWNED}{body}")).arg(mark.run.as_str()).arg(&mark.owner).as_root();
    for arg in args {
        script = script.arg(arg);
    }
    if input.is_some() {
        script = script.with_input();
    }
    let output =
        cx.node.run(&script, input.unwrap_or_default(), 1 << 16, cx.cancel).map_err(|error| as_failure(&error))?;
    judge_change(cx, output, doing).map(|_| ())
}

/// Adds lines to the journal on the node, durably, all or none.
pub fn append_journal(cx: &Cx, lines: &str) -> Result<()> {
    run_shown(cx, APPEND, &[&lines.len().to_string()], Some(lines.as_bytes()), "Writing the journal")
}

/// How many whole lines the run's journal on the node has.
pub fn count_journal(cx: &Cx, run: &RunId) -> Result<usize> {
    let script = Script::new("wc -l <\"/var/lib/lifeboat/runs/$1/journal.jsonl\"").arg(run.as_str());
    let output = read_node(cx, script, "Reading the run")?;
    let said = output.text().one_line();
    let told = |_| Failure::new(Exit::Failed, format!("{} could not tell how long its journal is: '{said}'.", cx.host));
    said.as_str().trim().parse().map_err(told)
}

/// Looks that the run is still ours and its guard has not acted.
pub fn check_run(cx: &Cx) -> Result<()> {
    run_shown(
        cx,
        "[ \"$(cat \"$d/boot\")\" = \"$(cat /proc/sys/kernel/random/boot_id)\" ] || { echo 'the node was restarted' >&2; exit 1; }\n",
        &[],
        None,
        "Checking the run",
    )
}

/// Gives the lock back and removes the run from the node; `kept` is listed by `lifeboat kept`, what the run `undone`
/// had kept no longer is.
///
/// # Errors
/// The guard has acted: then its note is all that tells of it.
pub fn close_run(cx: &Cx, kept: &str, undone: Option<&RunId>) -> Result<()> {
    let undone = undone.map_or("", RunId::as_str);
    closed(cx, run_shown(cx, CLOSE, &[kept, undone, ""], None, "Closing the run"))
}

/// As [`close_run`], for a run that is left as it is now: its guard may have acted, and may have failed.
pub fn leave_run(cx: &Cx, kept: &str) -> Result<()> {
    closed(cx, run_owned(cx, CLOSE, &[kept, "", "fired"], None, "Closing the run"))
}

fn closed(cx: &Cx, closed: Result<()>) -> Result<()> {
    let mark = cx.run.map(|mark| mark.run.clone());
    match (closed, mark) {
        // Closing twice, or closing what was never made, is closed.
        (Err(failure), Some(run)) if !failure.cut && owner_of(cx, &run)?.is_none() => Ok(()),
        (closed, _) => closed,
    }
}

/// A file of a run on the node, at most 4 MiB; empty when it is not there.
pub fn read_run_file(cx: &Cx, run: &RunId, name: &str) -> Result<Vec<u8>> {
    let script = Script::new("cat \"/var/lib/lifeboat/runs/$1/$2\" 2>/dev/null || :").arg(run.as_str()).arg(name);
    Ok(read_node(cx, script, "Reading the run")?.stdout)
}

/// Who the node says runs this; `None` when the run does not lie there.
pub fn owner_of(cx: &Cx, run: &RunId) -> Result<Option<CleanText>> {
    let owner = CleanText::from_bytes(&read_run_file(cx, run, "owner")?);
    Ok((!owner.is_empty()).then(|| owner.as_str().trim().into()))
}
