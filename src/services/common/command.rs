//! Commands an operator declared in the inventory: to quiesce, to resume, to accept.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::{args_of, run_change_with};
use crate::model::exit::Result;
use crate::services::{Cx, Now, Op, Told};

/// Arguments: what is run, and what undoes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredArgs {
    /// `sh` text run as root.
    pub run: String,
    /// `sh` text that undoes it; must be idempotent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// A declared command in a shell of its own. The run's lock is not passed on: what the command leaves running, such as a
/// service, would hold it for ever.
pub fn in_shell(command: &str) -> String {
    format!("( {command}\n) 9>&-\n")
}

/// Runs a declared command as root; its status 0 is the only success.
pub struct Declared;

impl Op for Declared {
    fn name(&self) -> &'static str {
        "command.run/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: DeclaredArgs = args_of(args)?;
        Ok(Told {
            what: format!("Runs as root: {}", args.run),
            undo: args.undo.map_or("Nothing undoes it.".to_owned(), |undo| format!("Runs as root: {undo}")),
            by_hand: vec![args.run],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: DeclaredArgs = args_of(args)?;
        let script = in_shell(&args.run);
        let output = run_change_with(cx, &script, &[], "The declared command", std::time::Duration::from_mins(10))?;
        Ok(json!({"said": output.text().last_line()}))
    }
    fn undo_script(&self, args: &Value, _before: &Value) -> Result<Option<String>> {
        let args: DeclaredArgs = args_of(args)?;
        Ok(args.undo.as_deref().map(in_shell))
    }
}
