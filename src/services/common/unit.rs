//! Stopping and starting a unit so that nothing but its own run, or the guard, can start it in between.
//!
//! While a service is stopped by us it is *held*: a drop-in makes systemd refuse it as long as a file stands in
//! `/var/lib/lifeboat/hold/`. A reboot in the middle therefore starts nothing half-swapped; the guard, whose timer is
//! on disk, lifts the hold.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::{args_of, probe_unit, run_change_with};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::services::{Cx, Now, Op, Told};
use crate::transport::Script;
use crate::transport::quote::quote;

/// Arguments of both ops.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitArgs {
    /// The unit.
    pub unit: UnitName,
}

/// Makes systemd refuse the unit `$1`; `$d` is the run's directory.
pub(super) const HOLD: &str = r#"u=$1
mkdir -p /var/lib/lifeboat/hold "/etc/systemd/system/$u.d"
basename "$d" >"/var/lib/lifeboat/hold/$u"
printf '[Unit]\nConditionPathExists=!/var/lib/lifeboat/hold/%s\n' "$u" >"/etc/systemd/system/$u.d/90-lifeboat-hold.conf"
sync -f /var/lib/lifeboat/hold "/etc/systemd/system/$u.d"
systemctl daemon-reload
"#;

/// Stops the unit, and notes when by the node's uptime, which no change of its clock touches.
const STOP: &str = r#"read -r t _ </proc/uptime
echo "$t" >"$d/down"
systemctl stop -- "$u"
for i in 1 2 3 4 5 6 7 8 9 10; do
  s=$(systemctl show --property=ActiveState --value -- "$u")
  case $s in inactive|failed) exit 0;; esac
  sleep 0.5
done
echo "$u is still $s" >&2
exit 1
"#;

/// The words that lift a hold: shared by both undo and forward scripts.
pub(super) fn unhold(unit: &UnitName) -> String {
    let unit = quote(unit.as_str().as_bytes());
    format!(
        "rm -f /var/lib/lifeboat/hold/{unit} /etc/systemd/system/{unit}.d/90-lifeboat-hold.conf\n\
         rmdir /etc/systemd/system/{unit}.d 2>/dev/null || :\nsystemctl daemon-reload\n"
    )
}

/// How many seconds a stop under way is given by an undo that knows nothing better.
const PATIENCE: u64 = 90;

/// How long the script of a step may stop or start a unit: as long as the step itself.
const LIMIT: Duration = Duration::from_mins(10);

/// Where a stop notes the node's uptime when it began, below the run's directory.
const BEGAN: &str = "down";

/// The words that start a unit, without a line feed at the end. A stop that is still under way gets `patience` seconds from
/// when it began, which `began` holds below the run's directory; whoever brings the unit back, it gets them once. One that
/// hangs longer is ended by force, for nothing else brings the unit back. Outside a run nothing is noted: then they count
/// from here.
pub(super) fn bring_up(unit: &UnitName, patience: u64, began: &str) -> String {
    let unit = quote(unit.as_str().as_bytes());
    format!(
        r#"left={patience}
if {{ read -r since <"${{d:-}}/{began}" && read -r is _ </proc/uptime; }} 2>/dev/null; then
  left=$((${{since%.*}} + left - ${{is%.*}}))
  [ "$left" -le {patience} ] || left={patience}
fi
[ "$left" -ge 0 ] || left=0
i=0
while [ "$(systemctl show --property=ActiveState --value -- {unit})" = deactivating ] && [ "$i" -lt "$((left + 30))" ]; do
  [ "$i" -lt "$left" ] || systemctl kill --signal=KILL -- {unit} || :
  i=$((i + 1))
  sleep 1
done
systemctl reset-failed -- {unit} 2>/dev/null || :
systemctl start -- {unit}"#
    )
}

/// The words that look whether a unit that was started stays up, without a line feed at the end.
///
/// A start ends well, too, when a condition kept the unit from starting and when its process dies the moment after. A
/// unit that is still on its way up gets `patience` seconds, unless it is on its way up again; one that does its work
/// and ends (`Type=oneshot`) is down and well.
pub(super) fn stays_up(unit: &UnitName, patience: u64) -> String {
    let name = quote(unit.as_str().as_bytes());
    format!(
        r#"sleep 1
i=0
while
  up=$(systemctl show --property=ActiveState --value -- {name})-$(systemctl show --property=SubState --value -- {name})
  case $up in activating-auto-restart) false ;; activating-*) [ $i -lt {patience} ] ;; *) false ;; esac
do
  i=$((i + 1))
  sleep 1
done
case $up in
  active-*|reloading-*) : ;;
  activating-auto-restart) echo {name} "is down again after its start" >&2; false ;;
  *)
    [ "$(systemctl show --property=Type --value -- {name})$(systemctl show --property=Result --value -- {name})$(systemctl show --property=ConditionResult --value -- {name})" = oneshotsuccessyes ] && [ "${{up%%-*}}" = inactive ] ||
      {{ echo {name} "is ${{up%%-*}} after its start" >&2; false; }} ;;
esac"#
    )
}

fn is_held(cx: &Cx, unit: &UnitName) -> Result<bool> {
    let script = Script::new("test -e \"/var/lib/lifeboat/hold/$1\" && echo held || echo free").arg(unit.as_str());
    Ok(super::node::read_node(cx, script, "Looking for a hold")?.stdout.starts_with(b"held"))
}

/// The name of the op that stops a unit.
pub const STOP_UNIT: &str = "service.stop/1";

/// The name of the op that starts one.
pub const START_UNIT: &str = "service.start/1";

/// Stops a unit and holds it; undone by lifting the hold and starting what ran.
pub struct Stop;

impl Op for Stop {
    fn name(&self) -> &'static str {
        STOP_UNIT
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let UnitArgs { unit } = args_of(args)?;
        Ok(Told {
            what: format!("Stops {unit} and keeps it from starting until the run ends."),
            undo: format!("Starts {unit} again if it ran before."),
            by_hand: vec![format!("systemctl stop {unit}")],
        })
    }
    fn observe(&self, cx: &Cx, args: &Value, before: Option<&Value>) -> Result<Now> {
        let UnitArgs { unit } = args_of(args)?;
        let now = probe_unit(cx, &unit)?;
        let held = is_held(cx, &unit)?;
        Ok(match before {
            Some(_) if held && now.is_down() => Now::Done(json!({"active": now.active})),
            Some(before) => Now::Todo(before.clone()),
            None if held => Now::Foreign(format!("{unit} is already held by another run")),
            None => Now::Todo(json!({"was_running": now.is_running(), "invocation": now.invocation})),
        })
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let UnitArgs { unit } = args_of(args)?;
        let started = cx.clock.elapsed();
        run_change_with(cx, &format!("{HOLD}{STOP}"), &[unit.as_str()], "Stopping the service", LIMIT)?;
        Ok(
            json!({"took_ms": u64::try_from(cx.clock.elapsed().saturating_sub(started).as_millis()).unwrap_or(u64::MAX)}),
        )
    }
    fn undo_script(&self, args: &Value, before: &Value) -> Result<Option<String>> {
        let UnitArgs { unit } = args_of(args)?;
        let mut script = unhold(&unit);
        if before.get("was_running").and_then(Value::as_bool) == Some(true) {
            script += &format!("{} && {{\n{}\n}}\n", bring_up(&unit, PATIENCE, BEGAN), stays_up(&unit, PATIENCE));
        }
        Ok(Some(script))
    }
}

/// Lifts the hold and starts a unit; undone by holding and stopping it again.
pub struct Start;

impl Op for Start {
    fn name(&self) -> &'static str {
        START_UNIT
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let UnitArgs { unit } = args_of(args)?;
        Ok(Told {
            what: format!("Starts {unit}."),
            undo: format!("Stops {unit} again."),
            by_hand: vec![format!("systemctl start {unit}")],
        })
    }
    fn observe(&self, cx: &Cx, args: &Value, before: Option<&Value>) -> Result<Now> {
        let UnitArgs { unit } = args_of(args)?;
        let now = probe_unit(cx, &unit)?;
        if now.load != "loaded" {
            return Err(Failure::new(
                Exit::Failed,
                format!("{unit} cannot be started on {}: it is {}.", cx.host, now.load),
            ));
        }
        let done = before.is_some() && now.active == "active" && !is_held(cx, &unit)?;
        Ok(if done {
            Now::Done(json!({"invocation": now.invocation}))
        } else {
            Now::Todo(json!({"active": now.active}))
        })
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let UnitArgs { unit } = args_of(args)?;
        let script = format!("{}{DOWN}{}\n", start_now(&unit), stays_up(&unit, PATIENCE));
        let output = run_change_with(cx, &script, &[], "Starting the service", LIMIT).map_err(|failure| {
            let hint = format!("Read its log there: journalctl -u {unit} -n 50.");
            if failure.exit == Exit::Failed && !failure.cut { failure.hint(hint) } else { failure }
        })?;
        let mut told = json!({"invocation": probe_unit(cx, &unit)?.invocation});
        if let Some(down) = down_for(output.text().as_str()) {
            told["down_ms"] = u64::try_from(down.as_millis()).unwrap_or(u64::MAX).into();
            told["remarks"] = json!([format!("{unit} was down for {:.2} s.", down.as_secs_f64())]);
        }
        Ok(told)
    }
    fn undo_script(&self, args: &Value, _before: &Value) -> Result<Option<String>> {
        let UnitArgs { unit } = args_of(args)?;
        Ok(Some(format!("set -- {}\n( {HOLD}{STOP} )\n", quote(unit.as_str().as_bytes()))))
    }
    fn forward_script(&self, args: &Value) -> Result<Option<String>> {
        let UnitArgs { unit } = args_of(args)?;
        Ok(Some(format!("{}{}\n", start_now(&unit), stays_up(&unit, PATIENCE))))
    }
}

/// Tells the node's uptime at the stop of this run, if it made one, and now.
const DOWN: &str = r#"if [ -e "$d/down" ]; then
  read -r t <"$d/down"
  read -r now _ </proc/uptime
  echo "down $t $now"
fi
"#;

/// How long the unit was down; nothing where this run did not stop it, or the node was restarted since.
fn down_for(output: &str) -> Option<Duration> {
    let (since, now) = output.lines().find_map(|line| line.strip_prefix("down ")?.split_once(' '))?;
    Duration::try_from_secs_f64(now.parse::<f64>().ok()? - since.parse::<f64>().ok()?).ok()
}

/// The words that lift a hold and start a unit.
fn start_now(unit: &UnitName) -> String {
    let name = quote(unit.as_str().as_bytes());
    format!("{}systemctl reset-failed -- {name} 2>/dev/null || :\nsystemctl start -- {name}\n", unhold(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_a_unit_was_down_is_counted_by_one_boot() {
        assert_eq!(down_for("x\ndown 12.25 15.75\n"), Some(Duration::from_millis(3500)));
        assert_eq!((down_for("down 900.00 3.10\n"), down_for("")), (None, None), "restarted, or never stopped");
    }
}
