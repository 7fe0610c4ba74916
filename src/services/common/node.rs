//! Scripts on a node: reading freely, changing only under the run's mark.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::UnitFacts;
use crate::model::ids::{HostId, UnitName};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::transport::{End, Finished, Output, Running, Script, TransportError};

/// Lifeboat's directory on a node, root-only.
pub const NODE_DIR: &str = "/var/lib/lifeboat";

const OUTPUT_LIMIT: usize = 4 << 20;

/// Shows the run's mark, and holds the run's lock on the node so that the guard and a step never act at once.
///
/// `$1` is the run, `$2` its owner. 96: no run directory; 95: the lock is held; 97: another console owns the run;
/// 98: the guard has acted. The pid in `holder` lets the guard end a step that hangs.
const MARKED: &str = r#"d=/var/lib/lifeboat/runs/$1
[ -d "$d" ] || exit 96
exec 9>>"$d/lock"
flock -w 20 9 || exit 95
o=; IFS= read -r o <"$d/owner" || :
[ "$o" = "$2" ] || exit 97
[ ! -e "$d/fired" ] || exit 98
echo $$ >"$d/holder"
shift 2
set -eu
"#;

/// Turns an op's arguments into its own type.
pub fn args_of<T: DeserializeOwned>(args: &Value) -> Result<T> {
    serde_json::from_value(args.clone())
        .map_err(|error| Failure::new(Exit::Usage, format!("A step's arguments cannot be read: {error}.")))
}

/// The failure an operator reads for a transport's error.
pub fn as_failure(error: &TransportError) -> Failure {
    let exit = match error {
        TransportError::Unreachable { .. } | TransportError::TimedOut { .. } | TransportError::Lost { .. } => {
            Exit::Unreachable
        }
        TransportError::HostKey { .. } => Exit::HostKey,
        TransportError::Login { .. } | TransportError::Root { .. } => Exit::Authentication,
        TransportError::Cancelled => Exit::Cancelled,
        TransportError::Setting { .. } => Exit::Usage,
        TransportError::Refused { .. } | TransportError::TooMuch { .. } => Exit::Failed,
    };
    let cut = matches!(
        error,
        TransportError::Unreachable { .. } | TransportError::TimedOut { .. } | TransportError::Lost { .. }
    );
    let failure = Failure { cut, ..Failure::new(exit, error.to_string()) };
    match error.host() {
        Some(host) if matches!(exit, Exit::Unreachable | Exit::Authentication) => {
            failure.hint(format!("See what stands in the way: lifeboat doctor {host}"))
        }
        _ => failure,
    }
}

/// Runs a reading script as root; a status other than 0 is a failure with the script's own last words.
pub fn read_node(cx: &Cx, script: Script, doing: &str) -> Result<Output> {
    let output = cx.node.run(&script.as_root(), &[], OUTPUT_LIMIT, cx.cancel).map_err(|error| as_failure(&error))?;
    judge(cx, output, doing)
}

/// Runs a changing script as root under the run's mark and lock.
///
/// # Errors
/// Besides the script's own: the run was adopted elsewhere, or its guard has acted; then nothing was done.
pub fn run_change(cx: &Cx, script: &str, doing: &str) -> Result<Output> {
    run_change_with(cx, script, &[], doing, Duration::from_mins(3))
}

/// As [`run_change`], with arguments from `$1` and a limit.
pub fn run_change_with(cx: &Cx, script: &str, args: &[&str], doing: &str, limit: Duration) -> Result<Output> {
    let Some(mark) = cx.run else {
        return Err(Failure::new(Exit::Failed, format!("{doing} on {} was asked for outside a run.", cx.host)));
    };
    let mut marked =
        Script::new(format!("{MARKED}{script}")).arg(mark.run.as_str()).arg(&mark.owner).as_root().within(limit, limit);
    for arg in args {
        marked = marked.arg(arg);
    }
    let output = cx.node.run(&marked, &[], OUTPUT_LIMIT, cx.cancel).map_err(|error| as_failure(&error))?;
    judge_change(cx, output, doing)
}

/// Judges a script that showed the run's mark: 93 says that its input was cut short and took no effect, 95 to 98 that it
/// was refused.
pub fn judge_change(cx: &Cx, output: Output, doing: &str) -> Result<Output> {
    match output.end {
        End::Exited(93) => Err(refused(cx, doing, "not every byte of it arrived")),
        End::Exited(95) => Err(refused(cx, doing, "another script of the run still works there")),
        End::Exited(96) => Err(refused(cx, doing, "the run is no longer there")),
        End::Exited(97) => Err(refused(cx, doing, "another console has taken the run over")),
        End::Exited(98) => Err(refused(cx, doing, "the guard has acted there because nothing was heard in time")),
        _ => judge(cx, output, doing),
    }
}

/// Starts a changing script that takes its input from us and may work for hours, such as an upload.
///
/// The run's mark is shown as in [`run_change`], but the lock is let go before `script` begins: the guard must be able
/// to act while bytes are under way. So such a script may only touch what nothing reads yet. Statuses 95 to 98 mean
/// that it was refused and did nothing.
pub fn start_change(cx: &Cx, script: &str, args: &[&str]) -> Result<Box<dyn Running>> {
    let Some(mark) = cx.run else {
        return Err(Failure::new(Exit::Failed, format!("A change of {} was asked for outside a run.", cx.host)));
    };
    let mut marked = Script::new(format!("{MARKED}exec 9>&-\n{script}"))
        .arg(mark.run.as_str())
        .arg(&mark.owner)
        .as_root()
        .with_input()
        .within(Duration::from_hours(24), Duration::from_hours(1));
    for arg in args {
        marked = marked.arg(arg);
    }
    cx.node.start(&marked, cx.cancel).map_err(|error| as_failure(&error))
}

/// Ends the input of what [`start_change`] started and judges its end.
pub fn finish_change(cx: &Cx, mut running: Box<dyn Running>, doing: &str) -> Result<Finished> {
    // A script that failed early has closed its input already; its own words tell more than our failure to write.
    let closed = running.close_input();
    let finished = running.finish().map_err(|error| as_failure(&error))?;
    let (end, stderr) = (finished.end.clone(), finished.stderr.clone());
    judge_change(cx, Output { stdout: Vec::new(), stderr, end }, doing)?;
    closed.map_err(|error| as_failure(&TransportError::from_io(cx.host.as_str(), &error)))?;
    Ok(finished)
}

fn refused(cx: &Cx, doing: &str, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{doing} on {} was refused: {why}.", cx.host))
        .hint(format!("See what is true there: lifeboat runs --on {}", cx.host))
}

/// What the tools say of a full disk. GNU tar says the last when some of a piece still fitted, and nothing after it.
const FULL: [&str; 3] = ["No space left on device", "Disk quota exceeded", "Wrote only "];

/// The line of a script's own words that tells of a full disk.
fn full_line(said: &CleanText) -> Option<&str> {
    said.as_str().lines().find(|line| FULL.iter().any(|words| line.contains(words)))
}

/// The line of a script's own words that says why it failed: that of a full disk, else the last.
pub fn telling_line(said: &CleanText) -> &str {
    full_line(said).unwrap_or_else(|| said.last_line()).trim_end_matches('.')
}

/// The end a script's own words stand for: a full disk has one of its own.
pub fn exit_of(said: &CleanText) -> Exit {
    if full_line(said).is_some() { Exit::NoSpace } else { Exit::Failed }
}

fn judge(cx: &Cx, output: Output, doing: &str) -> Result<Output> {
    let why = match &output.end {
        End::Exited(0) => return Ok(output),
        End::Exited(status) => format!("status {status}"),
        End::Killed(signal) => format!("killed by signal {signal}"),
        End::Unknown => "its end is unknown".to_owned(),
    };
    let said = telling_line(&output.stderr);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let failure = Failure::new(exit_of(&output.stderr), format!("{doing} on {} failed ({why}){said}.", cx.host));
    Err(with_room_made(failure, cx.host))
}

/// The failure with what to do about it where it is a node's full disk.
pub fn with_room_made(failure: Failure, host: &HostId) -> Failure {
    if failure.exit != Exit::NoSpace {
        return failure;
    }
    failure.hint(format!("Free some room on {host}; what earlier restores kept there: lifeboat kept {host}."))
}

/// A string of a JSON value, or empty.
pub fn text_of<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The properties of a unit that [`unit_facts`] reads, for `systemctl show --property=`.
pub const UNIT_PROPERTIES: &str = "LoadState,ActiveState,UnitFileState,InvocationID,MainPID";

/// `sh` text that says whether Lifeboat's fence on unit `$1` stands whole, as one more property: `Fence=whole`.
pub const SHOW_FENCE: &str = r#"show_fence() {
  if [ -e "/var/lib/lifeboat/fence/$1" ] && grep -qxF "ConditionPathExists=!/var/lib/lifeboat/fence/$1" "/etc/systemd/system/$1.d/90-lifeboat-fence.conf" 2>/dev/null
  then echo Fence=whole; else echo Fence=none; fi
}
"#;

/// A unit's state from what `systemctl show` and [`SHOW_FENCE`] printed.
pub fn unit_facts(unit: &UnitName, property: impl Fn(&str) -> String) -> UnitFacts {
    let enabled = property("UnitFileState");
    let starts_at_boot = enabled.starts_with("enabled");
    UnitFacts {
        unit: unit.clone(),
        load: property("LoadState"),
        active: property("ActiveState"),
        invocation: property("InvocationID"),
        main_pid: property("MainPID").parse().unwrap_or(0),
        fenced: enabled == "masked" || (property("Fence") == "whole" && !starts_at_boot),
        enabled,
    }
}

/// A unit's state now.
pub fn probe_unit(cx: &Cx, unit: &UnitName) -> Result<UnitFacts> {
    let text = format!("{SHOW_FENCE}systemctl show --property={UNIT_PROPERTIES} -- \"$1\"\nshow_fence \"$1\"\n");
    let output = read_node(cx, Script::new(text).arg(unit.as_str()), "Asking systemd for a unit")?;
    let text = CleanText::from_bytes(&output.stdout);
    Ok(unit_facts(unit, |name| {
        let found = text.as_str().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or("").to_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_cannot_be_reached_or_entered_names_the_way_to_find_out_why() {
        let (host, why) = ("val-1".to_owned(), "it is so".to_owned());
        let lost = as_failure(&TransportError::Lost { host: host.clone(), why: why.clone() });
        let closed = as_failure(&TransportError::Login { host: host.clone(), why: why.clone() });
        for failure in [&lost, &closed] {
            assert_eq!(failure.hints, ["See what stands in the way: lifeboat doctor val-1"], "{failure:?}");
        }
        // A program on it that refuses is none of the way there.
        assert!(as_failure(&TransportError::Refused { host, what: "port 1".into(), why }).hints.is_empty());
        assert!(as_failure(&TransportError::Cancelled).hints.is_empty());
    }

    #[test]
    fn a_full_disk_is_known_by_the_words_of_the_tools() {
        let said = "tar: app/data: Cannot write: No space left on device\ntar could not unpack it (2)";
        assert_eq!(exit_of(&said.into()), Exit::NoSpace);
        assert_eq!(exit_of(&"mkdir: cannot create directory 'x': Disk quota exceeded".into()), Exit::NoSpace);
        assert_eq!(
            exit_of(&"tar: a/b: Wrote only 3072 of 10240 bytes\ntar could not unpack it (2)".into()),
            Exit::NoSpace
        );
        assert_eq!(exit_of(&"tar could not unpack it (2)".into()), Exit::Failed);
    }

    #[test]
    fn a_unit_is_fenced_only_when_nothing_can_start_it() {
        let fenced = |fence: &str, enabled: &str| {
            let property = |name: &str| match name {
                "Fence" => fence.to_owned(),
                "UnitFileState" => enabled.to_owned(),
                _ => String::new(),
            };
            unit_facts(&UnitName::new("app.service").unwrap(), property).fenced
        };
        assert!(fenced("whole", "disabled") && fenced("whole", "static") && fenced("none", "masked"));
        assert!(!fenced("none", "disabled"), "it is only off");
        assert!(!fenced("whole", "enabled"), "somebody enabled it again");
        assert!(!fenced("none", "masked-runtime"), "gone after a restart");
    }
}
