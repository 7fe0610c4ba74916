//! Deleting what a restore replaces, where there is no room to keep it aside. A gate says so first.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::{args_of, read_node, run_change_with};
use crate::model::exit::Result;
use crate::services::{Cx, Now, Op, Told};
use crate::transport::Script;
use crate::transport::quote::quote;

/// Arguments: the directory that is emptied; it stays itself, so that a service can start on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscardArgs {
    /// An absolute path.
    pub dir: String,
}

/// Empties a directory; nothing brings back what was in it.
pub struct Discard;

impl Op for Discard {
    fn name(&self) -> &'static str {
        "files.discard/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let DiscardArgs { dir } = args_of(args)?;
        let word = quote(dir.as_bytes());
        Ok(Told {
            what: format!("Deletes everything in {dir}."),
            undo: "Nothing brings it back.".to_owned(),
            by_hand: vec![format!("find {word} -xdev -mindepth 1 -delete")],
        })
    }
    fn observe(&self, cx: &Cx, args: &Value, _before: Option<&Value>) -> Result<Now> {
        let DiscardArgs { dir } = args_of(args)?;
        let script = Script::new("find \"$1\" -mindepth 1 -maxdepth 1 -printf x -quit 2>/dev/null || :").arg(&dir);
        let is_empty = read_node(cx, script, "Looking at what is deleted")?.stdout.is_empty();
        Ok(if is_empty { Now::Done(json!({"empty": true})) } else { Now::Todo(Value::Null) })
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let DiscardArgs { dir } = args_of(args)?;
        let script = "find \"$1\" -xdev -mindepth 1 -delete\nsync -f -- \"$1\"\n";
        run_change_with(cx, script, &[&dir], "Deleting what is there", std::time::Duration::from_mins(30))?;
        Ok(json!({"empty": true}))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}
