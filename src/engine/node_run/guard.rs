//! The guard of a run: armed, renewed, taken off, and what it did by itself.
//!
//! Its timer and service are unit files on disk, so that a reboot does not disarm it.

use std::time::Duration;

use super::{APPEND, run_owned, run_shown};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GuardId, RunId};
use crate::model::plan::OnLapse;
use crate::model::text::CleanText;
use crate::model::units::Seconds;
use crate::services::Cx;
use crate::services::common::read_node;
use crate::transport::Script;

/// Arming, renewing and taking off never overlap: a renewal that comes late must not start a timer that is gone.
///
/// `$3` is how long the script is: one that a lost link cut short takes nobody's place. What a part of the guard leaves
/// running, such as a service that a declared command starts, is not ended with it.
const ARM: &str = r#"u=lifeboat-guard-$1
n=$(mktemp "$d/guard.new.XXXXXX")
trap '[ ! -e "$n" ] || rm -f "$n"' EXIT
cat >"$n"
[ "$(wc -c <"$n")" -eq "$3" ] || exit 93
chmod 700 "$n"
sync -d "$n"
exec 8>>"$d/timer"
flock -w 20 8 || exit 95
mv "$n" "$d/guard.sh"
[ ! -e "$d/disarmed" ] || rm -f "$d/disarmed"
t=/etc/systemd/system/$u.timer
if [ ! -e "$t" ]; then
  printf '[Unit]\nDescription=Lifeboat guard\n[Service]\nType=oneshot\nKillMode=process\nExecStart=/bin/sh %s\n' "$d/guard.sh" >"/etc/systemd/system/$u.service"
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
echo $$ >"$d/holder" || :
exec 8>>"$d/timer"
flock -w 20 8 || exit 95
[ ! -e "$d/fired" ] || exit 98
: >"$d/disarmed"
systemctl disable -q --now "$u.timer" 2>/dev/null || :
rm -f "/etc/systemd/system/$u.timer" "/etc/systemd/system/$u.service"
systemctl daemon-reload
systemctl reset-failed "$u.timer" "$u.service" 2>/dev/null || :
"#;

/// Puts `script` in force as what the node does by itself, and starts or restarts its timer.
pub fn arm_guard(cx: &Cx, script: &str, lapse: Seconds) -> Result<()> {
    let run = cx.run.map(|mark| mark.run.as_str()).unwrap_or_default();
    let (lapse, length) = (format!("{}s", lapse.0), script.len().to_string());
    run_shown(cx, ARM, &[run, &lapse, &length], Some(script.as_bytes()), "Arming the guard")
}

/// Tells the guard that somebody still watches.
pub fn renew_guard(cx: &Cx) -> Result<()> {
    let run = cx.run.map(|mark| mark.run.as_str()).unwrap_or_default();
    run_shown(cx, RENEW, &[run], None, "Renewing the guard")
}

/// Takes the guard off.
pub fn disarm_guard(cx: &Cx) -> Result<()> {
    let run = cx.run.map(|mark| mark.run.as_str()).unwrap_or_default();
    run_shown(cx, DISARM, &[run], None, "Disarming the guard")
}

/// Whether the run's guard counts on the node.
pub fn is_guarded(cx: &Cx, run: &RunId) -> Result<bool> {
    let script = Script::new("systemctl is-active \"lifeboat-guard-$1.timer\" || :").arg(run.as_str());
    Ok(read_node(cx, script, "Looking for the guard")?.text().as_str() == "active")
}

/// How a guard that acted ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// What it did.
    pub on_lapse: OnLapse,
    /// Whether it came to its end. One that did not, as after a power cut, may have left anything half done.
    pub is_through: bool,
    /// Whether it came to its end and every part of it worked.
    pub is_sound: bool,
    /// What it printed.
    pub log: CleanText,
}

/// How long a guard at work is waited for: it may wait for a stop that hangs, and for a service that comes up slowly.
const AT_WORK: Duration = Duration::from_mins(15);

/// When and how the guard acted, whether it is at work, and its log. It holds the run's lock until it is through.
const FIRED: &str = r#"d=/var/lib/lifeboat/runs/$1
[ -s "$d/fired" ] || exit 0
head -n 1 "$d/fired"
flock -n "$d/lock" true
if [ $? -eq 1 ]; then echo busy; else echo idle; fi
cat "$d/fired.log" 2>/dev/null || :
"#;

/// Whether the run's guard has acted; when it has, waits until it is through. One that ended before that has failed.
///
/// # Errors
/// It is still at work after a quarter of an hour, or when the wait is cancelled: nobody knows yet what it comes to.
pub fn read_fired(cx: &Cx, run: &RunId) -> Result<Option<Fired>> {
    let mut waited = Duration::ZERO;
    loop {
        let said = read_node(cx, Script::new(FIRED).arg(run.as_str()), "Reading the run")?.stdout;
        let mut lines = said.splitn(3, |&byte| byte == b'\n');
        let (Some(fired), Some(state)) = (lines.next(), lines.next()) else { return Ok(None) };
        let log = lines.next().unwrap_or_default();
        let is_through = log.ends_with(b"all done\n");
        if is_through || state == b"idle" {
            let failed = log.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"failed: "));
            let on_lapse = match CleanText::from_bytes(fired).as_str().split_whitespace().nth(1) {
                Some("revert") => OnLapse::Revert,
                Some("start") => OnLapse::Start,
                _ => OnLapse::StayDown,
            };
            let is_sound = is_through && !failed;
            return Ok(Some(Fired { on_lapse, is_through, is_sound, log: CleanText::from_bytes(log) }));
        }
        let pause = Duration::from_millis(if waited.as_secs() < 20 { 500 } else { 2000 });
        if waited >= AT_WORK || cx.cancel.wait(pause) {
            return Err(Failure::new(Exit::Changed, format!("The guard on {} is still at work.", cx.host))
                .hint(format!("See what it does: ssh {} systemctl status lifeboat-guard-{run}.service", cx.host))
                .hint(format!("Then see what is true: lifeboat runs {run}")));
        }
        waited += pause;
    }
}

/// Has a guard that was ended in the middle act again, now, and waits until it is through. Its parts undo only what is not
/// undone yet.
pub fn finish_guard(cx: &Cx) -> Result<()> {
    let run = cx.run.map(|mark| mark.run.as_str()).unwrap_or_default();
    let body = "systemctl start \"lifeboat-guard-$1.service\"\n";
    run_owned(cx, body, &[run], None, "Letting the guard come to its end")
}

/// The lines stand in the journal before the note goes: nothing else tells then what the guard undid.
const SET_ASIDE: &str = r#"[ ! -e "$d/fired" ] || mv "$d/fired" "$d/fired.before"
cat /proc/sys/kernel/random/boot_id >"$d/boot"
"#;

/// Adds `lines`, which tell what the guard did, to the journal, and then sets its note aside, so that the run can go on
/// under this mark.
pub fn set_fired_aside(cx: &Cx, lines: &str) -> Result<()> {
    let (body, length) = (format!("{APPEND}{SET_ASIDE}"), lines.len().to_string());
    run_owned(cx, &body, &[&length], Some(lines.as_bytes()), "Setting the guard's note aside")
}

/// The guard's whole script: takes the run's lock (ending a step that hangs), notes that it acted, then runs `parts` in order.
///
/// A part that fails does not keep the next from running: starting the service matters more than tidiness. One that came to
/// its end never acts again; one that was ended in the middle, by a power cut or by force, does so when its timer counts
/// again after the restart, or when somebody has it do so.
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
[ -d "$d" ] && [ ! -e "$d/disarmed" ] || exit 0
[ ! -e "$d/fired" ] || [ "$(tail -n 1 "$d/fired.log" 2>/dev/null)" != 'all done' ] || exit 0
rm -f "$d/room" "$d/fired.log"
printf '%s {how}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$d/fired"
sync -f "$d"
exec >"$d/fired.log" 2>&1
"#
    );
    for (name, part) in parts {
        // Behind `||` or `if` the shell would not look at `set -e`. And nothing a part starts may hold the run's lock.
        script += &format!("# {name}\n(\nset -e\n{part}) 9>&-\n[ $? -eq 0 ] || echo 'failed: {name}'\n");
    }
    script += "echo 'all done'\nsync -f \"$d\"\n";
    script
}
