//! Whether a node is ready to take what is restored: looked at before anything is changed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::model::units::ByteSize;
use crate::services::common::{args_of, read_node};
use crate::services::{Cx, Now, Op, Told};
use crate::transport::Script;

/// What must be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyArgs {
    /// The unit that must be loaded; none when it is the unit itself that is restored.
    pub unit: Option<UnitName>,
    /// The account that must exist.
    pub user: String,
    /// What is replaced.
    pub targets: Vec<String>,
    /// How many bytes must be free beside it.
    pub needs: u64,
}

/// Every finding is a line: a word and what it is about.
const LOOK: &str = r#"u=$1; user=$2; need=$3; shift 3
if [ -n "$u" ]; then
  l=$(systemctl show --property=LoadState --value -- "$u")
  [ "$l" = loaded ] || echo "unit $l"
fi
id -u -- "$user" >/dev/null 2>&1 || echo "user $user"
command -v flock >/dev/null || echo "tool flock"
command -v sha256sum >/dev/null || echo "tool sha256sum"
for p in "$@"; do
  if [ -L "$p" ]; then echo "link $p"; fi
  if [ -d "$p" ] && [ ! -L "$p" ] && [ "$(stat -c %m -- "$p")" = "$p" ]; then echo "mount $p"; fi
  d=$(dirname -- "$p")
  while [ ! -d "$d" ]; do d=$(dirname -- "$d"); done
  free=$(df -Pk -- "$d" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$need" ] || echo "room $free $d"
done
"#;

/// Checks a node before a restore.
pub struct Ready;

impl Op for Ready {
    fn name(&self) -> &'static str {
        "avalanchego.ready/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: ReadyArgs = args_of(args)?;
        let unit = args.unit.map_or(String::new(), |unit| format!("{unit} is installed, "));
        Ok(Told {
            what: format!(
                "Checks that {unit}the account {} exists and there is room beside {}.",
                args.user,
                args.targets.join(", ")
            ),
            undo: "Nothing to undo.".to_owned(),
            by_hand: vec![format!("id {}", args.user)],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: ReadyArgs = args_of(args)?;
        let unit = args.unit.as_ref().map_or("", UnitName::as_str);
        let need = args.needs.div_ceil(1024) + 1024;
        let mut script = Script::new(LOOK).arg(unit).arg(&args.user).arg(need.to_string());
        for target in &args.targets {
            script = script.arg(target);
        }
        let output = read_node(cx, script, "Checking that the node is ready")?;
        match verdict(cx.host.as_str(), unit, args.needs, output.text().as_str()) {
            Some(failure) => Err(failure),
            None => Ok(json!({"ready": true})),
        }
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

fn verdict(host: &str, unit: &str, needs: u64, findings: &str) -> Option<Failure> {
    let mut failure: Option<Failure> = None;
    for line in findings.lines() {
        let (word, about) = line.split_once(' ').unwrap_or((line, ""));
        let (exit, hint) = match word {
            "unit" if about == "masked" => (Exit::Failed, format!("{unit} is masked: systemctl unmask {unit}.")),
            "unit" => (Exit::Failed, format!("{unit} is {about}: install AvalancheGo first, without starting it.")),
            "user" => {
                (Exit::Failed, format!("The account {about} does not exist: useradd --system --create-home {about}."))
            }
            "tool" => (Exit::Failed, format!("The program {about} is missing.")),
            "link" => (
                Exit::Failed,
                format!("{about} is a symbolic link; name the real place in the inventory (staking_dir, config_file)."),
            ),
            "mount" => {
                (Exit::Failed, format!("{about} is a mount point and cannot be renamed; mount it one level higher."))
            }
            "room" => {
                let (free, place) = about.split_once(' ').unwrap_or(("0", about));
                let free = ByteSize(free.parse::<u64>().unwrap_or(0).saturating_mul(1024));
                (Exit::NoSpace, format!("{place} has {free} free; {} and a margin are needed.", ByteSize(needs)))
            }
            _ => continue,
        };
        let so_far = failure.unwrap_or_else(|| {
            Failure::new(exit, format!("{host} is not ready to take the restore; nothing was changed."))
        });
        failure = Some(if so_far.hints.contains(&hint) { so_far } else { so_far.hint(hint) });
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_is_told_at_once() {
        let failure = verdict("val-2", "avalanchego.service", 1, "user avax\nmount /x/staking\nroom 3 /x\n").unwrap();
        assert_eq!((failure.exit, failure.hints.len()), (Exit::Failed, 3));
        assert_eq!(verdict("val-2", "avalanchego.service", 1, ""), None);
    }
}
