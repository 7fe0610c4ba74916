//! Whether a node is ready to take what is restored: looked at before anything is changed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::exit::{Failure, Result};
use crate::model::ids::UnitName;
use crate::services::common::{Readiness, args_of, read_node};
use crate::services::{Cx, Now, Op, Told};
use crate::transport::Script;

/// What must be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyArgs {
    /// The unit that must be loaded.
    pub unit: UnitName,
    /// Accounts that must exist.
    pub users: Vec<String>,
    /// Groups that must exist.
    pub groups: Vec<String>,
    /// What is replaced.
    pub target: String,
    /// How many bytes must be free beside it, beside what is there.
    pub needs: u64,
    /// Whether what is there is deleted first, so that its room counts as free.
    pub discards: bool,
    /// Whether the unit's process may be none but its own.
    pub alone: bool,
}

/// Every finding is a line: a word and what it is about. `$1` unit, `$2` target, `$3` KiB, `$4` whether the old one's room
/// counts, `$5` whether no second agent may run, `$6` users and `$7` groups, one a line.
const LOOK: &str = r#"u=$1 t=$2 need=$3
l=$(systemctl show --property=LoadState --value -- "$u")
[ "$l" = loaded ] || echo "unit $l"
printf '%s\n' "$6" | while IFS= read -r n; do [ -z "$n" ] || getent passwd "$n" >/dev/null || echo "user $n"; done
printf '%s\n' "$7" | while IFS= read -r n; do [ -z "$n" ] || getent group "$n" >/dev/null || echo "group $n"; done
for c in flock tar find; do command -v "$c" >/dev/null || echo "tool $c"; done
[ ! -L "$t" ] || echo "link $t"
if [ -d "$t" ] && [ ! -L "$t" ] && [ "$(stat -c %m -- "$t")" = "$t" ]; then echo "mount $t"; fi
d=$(dirname -- "$t")
while [ ! -d "$d" ]; do d=$(dirname -- "$d"); done
free=$(df -Pk -- "$d" | awk 'NR == 2 { print $4 }')
if [ "$4" = yes ] && [ -d "$t" ]; then free=$((free + $(du -skx -- "$t" | cut -f 1))); fi
[ "$free" -ge "$need" ] || echo "room $free $d"
if [ "$5" = yes ]; then
  pid=$(systemctl show --property=MainPID --value -- "$u")
  for c in /proc/[0-9]*/comm; do
    n=
    read -r n 2>/dev/null <"$c" || :
    [ "$n" = netdata ] || continue
    q=${c#/proc/}; q=${q%/comm}
    [ "$q" != "$pid" ] || continue
    up=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$q/status" 2>/dev/null)
    n=
    read -r n 2>/dev/null <"/proc/${up:-0}/comm" || :
    [ "$n" = netdata ] || echo "second $q"
  done
fi
:
"#;

/// Checks a node before a restore.
pub struct Ready;

impl Op for Ready {
    fn name(&self) -> &'static str {
        "netdata.ready/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: ReadyArgs = args_of(args)?;
        Ok(Told {
            what: format!(
                "Checks that {} is installed, the accounts {} exist and there is room beside {}.",
                args.unit,
                args.users.join(", "),
                args.target
            ),
            undo: "Nothing to undo.".to_owned(),
            by_hand: args.users.iter().map(|user| format!("id {user}")).collect(),
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: ReadyArgs = args_of(args)?;
        let yes = |flag: bool| if flag { "yes" } else { "no" };
        let need = args.needs.div_ceil(1024) + 1024;
        let script = Script::new(LOOK)
            .arg(args.unit.as_str())
            .arg(&args.target)
            .arg(need.to_string())
            .arg(yes(args.discards))
            .arg(yes(args.alone))
            .arg(args.users.join("\n"))
            .arg(args.groups.join("\n"));
        let output = read_node(cx, script, "Checking that the node is ready")?;
        match verdict(cx.host.as_str(), &args, output.text().as_str()) {
            Some(failure) => Err(failure),
            None => Ok(json!({"ready": true})),
        }
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

fn verdict(host: &str, args: &ReadyArgs, findings: &str) -> Option<Failure> {
    let unit = &args.unit;
    let readiness = Readiness {
        host,
        unit: Some(unit),
        service: "Netdata",
        make_user: "useradd --system --user-group",
        places: "config_dir, lib_dir, cache_dir",
        past_mount: "mount it one level higher, or unpack by hand: see RESTORE.md",
        needs: args.needs,
    };
    readiness.judge(findings, |word, about| match word {
        "group" => Some(format!("The group {about} does not exist: groupadd --system {about}.")),
        "second" => Some(format!("Netdata runs as process {about} too, outside {unit}: stop that one first.")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exit::Exit;

    #[test]
    fn everything_that_is_in_the_way_is_told_at_once() {
        let args = ReadyArgs {
            unit: UnitName::new("netdata.service").unwrap(),
            users: vec!["netdata".to_owned()],
            groups: Vec::new(),
            target: "/var/cache/netdata".to_owned(),
            needs: 1,
            discards: false,
            alone: true,
        };
        let failure =
            verdict("mon-2", &args, "user netdata\nmount /var/cache/netdata\nroom 3 /var\nsecond 7\n").unwrap();
        assert_eq!((failure.exit, failure.hints.len()), (Exit::Failed, 4));
        assert_eq!(verdict("mon-2", &args, ""), None);
        assert_eq!(verdict("mon-2", &args, "room 3 /var\n").unwrap().exit, Exit::NoSpace);
    }
}
