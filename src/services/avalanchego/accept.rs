//! Asking a restored node who it is, until it says so.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{self, Said};
use super::facts::Listener;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::services::common::{args_of, probe_unit};
use crate::services::{Cx, Now, Op, Told};

/// Who is expected, and where to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptArgs {
    /// The unit.
    pub unit: UnitName,
    /// Where the API is.
    #[serde(flatten)]
    pub place: Listener,
    /// The NodeID it must tell; without one any answer does.
    pub node_id: Option<String>,
    /// The BLS public key it must tell.
    pub bls_public_key: Option<String>,
    /// The proof of possession it must tell.
    pub bls_proof: Option<String>,
    /// How many seconds it may take to answer.
    pub within: u64,
}

/// Accepts a node by the identity it tells.
pub struct Accept;

impl Op for Accept {
    fn name(&self) -> &'static str {
        "avalanchego.accept/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: AcceptArgs = args_of(args)?;
        let who = args.node_id.as_deref().unwrap_or("who it is");
        let bls = if args.bls_public_key.is_some() { " and its BLS key with proof of possession" } else { "" };
        Ok(Told {
            what: format!(
                "Asks the node on port {} until it tells {who}{bls}, for at most {} seconds.",
                args.place.port, args.within
            ),
            undo: "Nothing to undo.".to_owned(),
            by_hand: vec![super::recipe::ask_command(args.place.port, args.place.certificate(), "info.getNodeID")],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: AcceptArgs = args_of(args)?;
        let deadline = cx.clock.elapsed().saturating_add(Duration::from_secs(args.within));
        let said = loop {
            let silent = match api::identity(cx, &args.place) {
                Ok(said) => break said,
                Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
                // Somebody else's certificate does not become the right one by waiting.
                Err(failure) if failure.exit == Exit::HostKey => {
                    let not_accepted = not_accepted(cx, &args, failure.message.trim_end_matches('.'));
                    return Err(Failure { exit: failure.exit, ..not_accepted });
                }
                Err(failure) => failure,
            };
            // A dead login fails here at once instead of being asked until the deadline.
            let unit = probe_unit(cx, &args.unit)?;
            if !unit.is_running() {
                return Err(not_accepted(cx, &args, &format!("{} is {}", args.unit, unit.active)));
            }
            if cx.clock.elapsed() >= deadline {
                return Err(not_accepted(
                    cx,
                    &args,
                    &format!("it did not answer in {} seconds ({})", args.within, silent.message.trim_end_matches('.')),
                ));
            }
            cx.pause(Duration::from_secs(2))?;
        };
        if let Some(why) = differs(&args, &said) {
            return Err(not_accepted(cx, &args, &why));
        }
        let pending: Vec<&str> = ["P", "X", "C"]
            .into_iter()
            .filter(|chain| api::is_bootstrapped(cx, &args.place, chain) != Some(true))
            .collect();
        Ok(json!({"node_id": said.node_id, "bls_public_key": said.bls_public_key, "bootstrapping": pending}))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

fn not_accepted(cx: &Cx, args: &AcceptArgs, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("The restored AvalancheGo on {} was not accepted: {why}.", cx.host))
        .hint(format!("Read its log there: journalctl -u {} -n 50.", args.unit))
}

/// What the node tells that is not what was expected.
fn differs(args: &AcceptArgs, said: &Said) -> Option<String> {
    if let Some(expected) = &args.node_id
        && *expected != said.node_id
    {
        return Some(format!("it runs as {}, not as {expected}", said.node_id));
    }
    let told = |value: &Option<String>| value.as_deref().unwrap_or("none").to_owned();
    let same = |expected: &Option<String>, value: &Option<String>| match (expected, value) {
        (None, _) => true,
        (Some(expected), Some(value)) => expected.eq_ignore_ascii_case(value),
        (Some(_), None) => false,
    };
    if !same(&args.bls_public_key, &said.bls_public_key) {
        return Some(format!(
            "its NodeID is right but its BLS public key is {}, not {}",
            told(&said.bls_public_key),
            told(&args.bls_public_key)
        ));
    }
    if !same(&args.bls_proof, &said.bls_proof) {
        return Some("its BLS public key is right but its proof of possession is another one".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> AcceptArgs {
        AcceptArgs {
            unit: UnitName::new("avalanchego.service").unwrap(),
            place: Listener { host: "127.0.0.1".to_owned(), port: 9650, trust: None },
            node_id: Some("NodeID-a".to_owned()),
            bls_public_key: Some("0xAb".to_owned()),
            bls_proof: Some("0xcd".to_owned()),
            within: 60,
        }
    }

    #[test]
    fn the_right_node_id_with_another_bls_key_is_not_success() {
        let said = |node: &str, key: Option<&str>, proof: Option<&str>| Said {
            node_id: node.to_owned(),
            bls_public_key: key.map(str::to_owned),
            bls_proof: proof.map(str::to_owned),
        };
        assert_eq!(differs(&args(), &said("NodeID-a", Some("0xab"), Some("0xcd"))), None);
        for wrong in [
            said("NodeID-b", Some("0xab"), Some("0xcd")),
            said("NodeID-a", Some("0xff"), Some("0xcd")),
            said("NodeID-a", Some("0xab"), Some("0xff")),
            said("NodeID-a", None, None),
        ] {
            assert!(differs(&args(), &wrong).is_some(), "{wrong:?} was accepted");
        }
        let alone = AcceptArgs { bls_public_key: None, bls_proof: None, ..args() };
        assert_eq!(differs(&alone, &said("NodeID-a", Some("0xff"), None)), None);
    }
}
