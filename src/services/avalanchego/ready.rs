//! Whether a node is ready to take what is restored: looked at before anything is changed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::exit::Result;
use crate::model::ids::UnitName;
use crate::services::common::{Readiness, Trust, args_of};
use crate::services::{Cx, Now, Op, Told};

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
    /// By what the node's API will be known: found unusable now, or after the node was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
}

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
        readiness(cx.host.as_str(), args.unit.as_ref(), args.needs).look(cx, &args.user, &args.targets)?;
        if let Some(trust) = &args.trust {
            trust.read(cx)?;
        }
        Ok(json!({"ready": true}))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

fn readiness<'a>(host: &'a str, unit: Option<&'a UnitName>, needs: u64) -> Readiness<'a> {
    Readiness {
        host,
        unit,
        service: "AvalancheGo",
        make_user: "useradd --system --create-home",
        places: "staking_dir, config_file",
        past_mount: "mount it one level higher",
        needs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exit::Exit;

    #[test]
    fn everything_that_is_missing_is_told_at_once() {
        let unit = UnitName::new("avalanchego.service").unwrap();
        let verdict = |findings: &str| readiness("val-2", Some(&unit), 1).judge(findings, |_, _| None);
        let failure = verdict("user avax\nmount /x/staking\nroom 3 /x\n").unwrap();
        assert_eq!((failure.exit, failure.hints.len()), (Exit::Failed, 3));
        assert_eq!(verdict(""), None);
    }
}
