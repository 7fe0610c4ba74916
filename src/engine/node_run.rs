//! A run as it lies on a node: plan, journal, owner, lock, guard.
//!
//! Everything stands root-only under `/var/lib/lifeboat/`. The `owner` file holds the console and its epoch: every
//! changing script compares it first, so a console whose run was adopted elsewhere is refused by the node itself.
//! The guard's timer and service are unit files on disk, so that a reboot does not disarm it.

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GuardId, RunId};
use crate::model::plan::OnLapse;
use crate::model::text::CleanText;
use crate::model::units::Seconds;
use crate::services::common::{as_failure, read_node};
use crate::services::{Cx, Mark};
use crate::transport::{End, Script};

const OPEN: &str = r#"umask 077
b=/var/lib/lifeboat
d=$b/runs/$1
mkdir -p "$b/runs" "$b/locks" && chmod 700 "$b" || exit 1
if [ -d "$b/locks/$3" ]; then
  other=$(cat "$b/locks/$3/run" 2>/dev/null)
  if [ "$other" != "$1" ]; then
    if [ -n "$other" ] && [ -d "$b/runs/$other" ]; then echo "$other $(cat "$b/runs/$other/owner" 2>/dev/null)"; exit 94; fi
    rm -rf "$b/locks/$3"
  fi
fi
mkdir -p "$d" "$b/locks/$3" || exit 1
printf '%s\n' "$1" >"$b/locks/$3/run"
printf '%s\n' "$3" >"$d/key"
cat /proc/sys/kernel/random/boot_id >"$d/boot"
[ -e "$d/journal.jsonl" ] || : >"$d/journal.jsonl"
cat >"$d/plan.json" || exit 1
printf '%s\n' "$2" >"$d/owner.new" && mv "$d/owner.new" "$d/owner" || exit 1
sync -f "$b"
"#;

/// Owner and guard are looked at, but the lock is not taken: a step may hold it for long while the guard is renewed.
const SHOWN: &str = r#"d=/var/lib/lifeboat/runs/$1
[ -d "$d" ] || exit 96
[ "$(cat "$d/owner")" = "$2" ] || exit 97
[ ! -e "$d/fired" ] || exit 98
shift 2
set -eu
"#;

const APPEND: &str = "cat >>\"$d/journal.jsonl\"\nsync -d \"$d/journal.jsonl\"\n";

/// Arming, renewing and taking off never overlap: a renewal that comes late must not start a timer that is gone.
const ARM: &str = r#"u=lifeboat-guard-$1
exec 8>>"$d/timer"
flock -w 20 8 || exit 95
cat >"$d/guard.new"
chmod 700 "$d/guard.new"
sync -d "$d/guard.new"
mv "$d/guard.new" "$d/guard.sh"
rm -f "$d/disarmed"
t=/etc/systemd/system/$u.timer
if [ ! -e "$t" ]; then
  printf '[Unit]\nDescription=Lifeboat guard\n[Service]\nType=oneshot\nExecStart=/bin/sh %s\n' "$d/guard.sh" >"/etc/systemd/system/$u.service"
  printf '[Unit]\nDescription=Lifeboat guard\n[Timer]\nOnActiveSec=%s\nAccuracySec=1s\n[Install]\nWantedBy=timers.target\n' "$2" >"$t"
  sync -f /etc/systemd/system
  systemctl daemon-reload
  systemctl enable -q "$u.timer"
fi
systemctl restart "$u.timer"
"#;

const RENEW: &str = r#"exec 8>>"$d/timer"
flock -w 20 8 || exit 95
[ -e "$d/owner" ] || exit 96
[ ! -e "$d/disarmed" ] || exit 0
systemctl restart "lifeboat-guard-$1.timer"
"#;

const DISARM: &str = r#"u=lifeboat-guard-$1
exec 9>>"$d/lock"
flock -w 20 9 || exit 95
exec 8>>"$d/timer"
flock -w 20 8 || exit 95
[ ! -e "$d/fired" ] || exit 98
: >"$d/disarmed"
systemctl disable -q --now "$u.timer" 2>/dev/null || :
rm -f "/etc/systemd/system/$u.timer" "/etc/systemd/system/$u.service"
systemctl daemon-reload
systemctl reset-failed "$u.timer" "$u.service" 2>/dev/null || :
"#;

/// The key's lock is given back and the run's directory removed; what was kept aside stays listed.
const CLOSE: &str = r#"b=/var/lib/lifeboat
exec 8>>"$d/timer"
flock -w 20 8 || exit 95
k=$(cat "$d/key")
if [ -n "$1" ]; then mkdir -p "$b/kept"; printf '%s\n' "$1" >"$b/kept/$(basename "$d")"; fi
if [ -n "$2" ]; then rm -f "$b/kept/$2"; fi
u=lifeboat-guard-$(basename "$d")
systemctl disable -q --now "$u.timer" 2>/dev/null || :
rm -f "/etc/systemd/system/$u.timer" "/etc/systemd/system/$u.service"
systemctl daemon-reload
systemctl reset-failed "$u.timer" "$u.service" 2>/dev/null || :
for h in "$b"/hold/*; do
  [ -e "$h" ] && [ "$(cat "$h")" = "$(basename "$d")" ] || continue
  n=$(basename "$h")
  rm -f "$h" "/etc/systemd/system/$n.d/90-lifeboat-hold.conf"
  rmdir "/etc/systemd/system/$n.d" 2>/dev/null || :
  systemctl daemon-reload
done
if [ "$(cat "$b/locks/$k/run" 2>/dev/null)" = "$(basename "$d")" ]; then rm -rf "$b/locks/$k"; fi
rm -rf "$d"
rmdir "$b/hold" 2>/dev/null || :
"#;

const LIST: &str = r#"cd /var/lib/lifeboat/runs 2>/dev/null || exit 0
for r in *; do
  [ -d "$r" ] || continue
  t=$(systemctl is-active "lifeboat-guard-$r.timer" 2>/dev/null)
  printf '%s\t%s\t%s\t%s\t%s\n' "$r" "$(cat "$r/owner" 2>/dev/null)" "${t:-none}" "$(cat "$r/fired" 2>/dev/null | head -n 1)" "$(cat "$r/key" 2>/dev/null)"
done
"#;

/// A run as a node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRun {
    /// The run.
    pub run: RunId,
    /// Console and epoch that own it.
    pub owner: CleanText,
    /// Whether its guard's timer is counting.
    pub is_guarded: bool,
    /// When and how its guard acted, if it did.
    pub fired: Option<CleanText>,
    /// What it locks.
    pub key: CleanText,
}

/// Makes the run's directory on the node and takes the lock `key`; `plan` is kept there for whoever adopts the run.
///
/// # Errors
/// Another run holds the lock: the message names it and its console.
pub fn open_run(cx: &Cx, mark: &Mark, key: &str, plan: &[u8]) -> Result<()> {
    let script = Script::new(OPEN).arg(mark.run.as_str()).arg(&mark.owner).arg(key).as_root().with_input();
    let output = cx.node.run(&script, plan, 1 << 16, cx.cancel).map_err(|error| as_failure(&error))?;
    match output.end {
        End::Exited(0) => Ok(()),
        End::Exited(94) => {
            let said = output.text().one_line();
            let (run, owner) = said.as_str().split_once(' ').unwrap_or((said.as_str(), "an unknown console"));
            Err(Failure::new(
                Exit::Failed,
                format!("{key} on {} is being worked on by run {run} of console {owner}.", cx.host),
            )
            .hint(format!("See what is true there: lifeboat runs --on {}", cx.host))
            .hint(format!("Take it over if that console is gone: lifeboat resume {run} --adopt")))
        }
        _ => Err(Failure::new(
            Exit::Failed,
            format!(
                "The run's directory could not be made on {}: {}.",
                cx.host,
                output.stderr.last_line().trim_end_matches('.')
            ),
        )),
    }
}

/// Runs a script that shows the mark but does not wait for the run's lock.
fn run_shown(cx: &Cx, body: &str, args: &[&str], input: Option<&[u8]>, doing: &str) -> Result<()> {
    let mark = cx.run.ok_or_else(|| Failure::new(Exit::Failed, format!("{doing} was asked for outside a run.")))?;
    let mut script = Script::new(format!("{SHOWN}{body}")).arg(mark.run.as_str()).arg(&mark.owner).as_root();
    for arg in args {
        script = script.arg(arg);
    }
    if input.is_some() {
        script = script.with_input();
    }
    let output =
        cx.node.run(&script, input.unwrap_or_default(), 1 << 16, cx.cancel).map_err(|error| as_failure(&error))?;
    let why = match output.end {
        End::Exited(0) => return Ok(()),
        End::Exited(95) => "another script of the run still works there".to_owned(),
        End::Exited(96) => "the run is no longer there".to_owned(),
        End::Exited(97) => "another console has taken the run over".to_owned(),
        End::Exited(98) => "the guard has acted there because nothing was heard in time".to_owned(),
        _ => format!("{:?}: {}", output.end, output.stderr.last_line()),
    };
    Err(Failure::new(Exit::Failed, format!("{doing} on {} failed: {why}.", cx.host)))
}

/// Adds a line to the journal on the node, durably.
pub fn append_journal(cx: &Cx, line: &str) -> Result<()> {
    run_shown(cx, APPEND, &[], Some(line.as_bytes()), "Writing the journal")
}

/// Puts `script` in force as what the node does by itself, and starts or restarts its timer.
pub fn arm_guard(cx: &Cx, script: &str, lapse: Seconds) -> Result<()> {
    let run = cx.run.map(|mark| mark.run.as_str()).unwrap_or_default();
    run_shown(cx, ARM, &[run, &format!("{}s", lapse.0)], Some(script.as_bytes()), "Arming the guard")
}

/// Tells the guard that somebody still watches.
pub fn renew_guard(cx: &Cx) -> Result<()> {
    let run = cx.run.map(|mark| mark.run.as_str()).unwrap_or_default();
    run_shown(cx, RENEW, &[run], None, "Renewing the guard")
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

/// Takes the guard off.
pub fn disarm_guard(cx: &Cx) -> Result<()> {
    let run = cx.run.map(|mark| mark.run.as_str()).unwrap_or_default();
    run_shown(cx, DISARM, &[run], None, "Disarming the guard")
}

/// Gives the lock back and removes the run from the node; `kept` is listed by `lifeboat kept`, what the run `undone`
/// had kept no longer is.
pub fn close_run(cx: &Cx, kept: &str, undone: Option<&RunId>) -> Result<()> {
    let mark = cx.run.map(|mark| mark.run.clone());
    let closed = run_shown(cx, CLOSE, &[kept, undone.map_or("", RunId::as_str)], None, "Closing the run");
    match (closed, mark) {
        // Closing twice, or closing what was never made, is closed.
        (Err(failure), Some(run)) if !failure.cut && owner_of(cx, &run)?.is_none() => Ok(()),
        (closed, _) => closed,
    }
}

/// Every run that lies on the node.
pub fn list_runs(cx: &Cx) -> Result<Vec<FoundRun>> {
    let output = read_node(cx, Script::new(LIST), "Listing runs")?;
    let text = CleanText::from_bytes(&output.stdout);
    let rows = text.as_str().lines().filter_map(|line| {
        let mut fields = line.split("\\t");
        let run = RunId::new(fields.next()?).ok()?;
        let owner = fields.next()?.into();
        let is_guarded = fields.next()? == "active";
        let fired = fields.next().filter(|text| !text.is_empty()).map(CleanText::from);
        Some(FoundRun { run, owner, is_guarded, fired, key: fields.next().unwrap_or("").into() })
    });
    Ok(rows.collect())
}

/// What a restore kept aside on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The run that kept it.
    pub run: RunId,
    /// Where it lies.
    pub paths: Vec<String>,
}

/// Everything kept aside on the node.
pub fn list_kept(cx: &Cx) -> Result<Vec<Kept>> {
    let script = Script::new(
        "cd /var/lib/lifeboat/kept 2>/dev/null || exit 0\nfor f in *; do [ -f \"$f\" ] && printf '%s %s\\n' \"$f\" \"$(cat \"$f\")\"; done; :",
    );
    let output = read_node(cx, script, "Listing what is kept")?;
    let text = CleanText::from_bytes(&output.stdout);
    let rows = text.as_str().lines().filter_map(|line| {
        let (run, list) = line.split_once(' ')?;
        let lists: Vec<Vec<String>> = serde_json::from_str(list).ok()?;
        Some(Kept { run: RunId::new(run).ok()?, paths: lists.into_iter().flatten().collect() })
    });
    Ok(rows.collect())
}

/// Removes what a run kept aside; only paths of its own making, beside what it replaced, are touched.
pub fn purge_kept(cx: &Cx, kept: &Kept) -> Result<()> {
    let mut script = Script::new("r=$1; shift\nfor p in \"$@\"; do case $p in /*/.*.lifeboat-\"$r\".kept) rm -rf -- \"$p\";; esac; done\nrm -f \"/var/lib/lifeboat/kept/$r\"").arg(kept.run.as_str());
    for path in &kept.paths {
        script = script.arg(path);
    }
    read_node(cx, script, "Removing what is kept").map(|_| ())
}

/// Whether the run's guard counts on the node.
pub fn is_guarded(cx: &Cx, run: &RunId) -> Result<bool> {
    let script = Script::new("systemctl is-active \"lifeboat-guard-$1.timer\" || :").arg(run.as_str());
    Ok(read_node(cx, script, "Looking for the guard")?.text().as_str() == "active")
}

/// A file of a run on the node, at most 4 MiB; empty when it is not there.
pub fn read_run_file(cx: &Cx, run: &RunId, name: &str) -> Result<Vec<u8>> {
    let script = Script::new("cat \"/var/lib/lifeboat/runs/$1/$2\" 2>/dev/null || :").arg(run.as_str()).arg(name);
    Ok(read_node(cx, script, "Reading the run")?.stdout)
}

/// How a guard that acted ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// What it did.
    pub on_lapse: OnLapse,
    /// Whether every part of it worked.
    pub is_sound: bool,
    /// What it printed.
    pub log: CleanText,
}

/// Whether the run's guard has acted; when it has, waits until it is through, at most a minute.
pub fn read_fired(cx: &Cx, run: &RunId) -> Result<Option<Fired>> {
    let fired = read_run_file(cx, run, "fired")?;
    if fired.is_empty() {
        return Ok(None);
    }
    let fired = CleanText::from_bytes(&fired);
    let on_lapse = match fired.as_str().split_whitespace().nth(1) {
        Some("revert") => OnLapse::Revert,
        Some("start") => OnLapse::Start,
        _ => OnLapse::StayDown,
    };
    let mut log = CleanText::default();
    for _ in 0..120 {
        log = CleanText::from_bytes(&read_run_file(cx, run, "fired.log")?);
        if log.as_str().ends_with("all done\n") {
            let is_sound = !log.as_str().lines().any(|line| line.starts_with("failed: "));
            return Ok(Some(Fired { on_lapse, is_sound, log }));
        }
        if cx.cancel.wait(std::time::Duration::from_millis(500)) {
            break;
        }
    }
    Ok(Some(Fired { on_lapse, is_sound: false, log }))
}

/// Who the node says runs this; `None` when the run does not lie there.
pub fn owner_of(cx: &Cx, run: &RunId) -> Result<Option<CleanText>> {
    let owner = CleanText::from_bytes(&read_run_file(cx, run, "owner")?);
    Ok((!owner.is_empty()).then(|| owner.as_str().trim().into()))
}

const SET_ASIDE: &str = r#"d=/var/lib/lifeboat/runs/$1
[ "$(cat "$d/owner")" = "$2" ] || exit 97
mv "$d/fired" "$d/fired.before"
cat /proc/sys/kernel/random/boot_id >"$d/boot"
"#;

/// Sets the note of a guard that acted aside, so that the run can go on under this mark.
pub fn set_fired_aside(cx: &Cx, mark: &Mark) -> Result<()> {
    let script = Script::new(SET_ASIDE).arg(mark.run.as_str()).arg(&mark.owner);
    read_node(cx, script, "Setting the guard's note aside").map(|_| ())
}

/// The guard's whole script: takes the run's lock (ending a step that hangs), notes that it acted, then runs `parts` in order.
///
/// A part that fails does not keep the next from running: starting the service matters more than tidiness.
pub fn guard_script(run: &RunId, guard: &GuardId, on_lapse: OnLapse, parts: &[(String, String)]) -> String {
    let how = match on_lapse {
        OnLapse::Revert => "revert",
        OnLapse::Start => "start",
        OnLapse::StayDown => "stay-down",
    };
    let mut script = format!(
        r#"#!/bin/sh
# Lifeboat guard {guard} of run {run}: acts when the console was not heard in time.
d=/var/lib/lifeboat/runs/{run}
exec 9>>"$d/lock"
if ! flock -w 5 9; then
  p=$(cat "$d/holder" 2>/dev/null)
  if [ -n "$p" ] && read -r stat <"/proc/$p/stat"; then
    set -- ${{stat##*) }}
    kill -s TERM -- "-$3" 2>/dev/null; sleep 2; kill -s KILL -- "-$3" 2>/dev/null
  fi
  flock -w 30 9 || :
fi
[ ! -e "$d/disarmed" ] && [ ! -e "$d/fired" ] || exit 0
printf '%s {how}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$d/fired"
sync -f "$d"
exec >"$d/fired.log" 2>&1
"#
    );
    for (name, part) in parts {
        script += &format!("# {name}\n(\nset -e\n{part}) || echo 'failed: {name}'\n");
    }
    script += "echo 'all done'\nsync -f \"$d\"\n";
    script
}
