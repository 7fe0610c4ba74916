//! Asking a restored agent who it is and what it remembers, until it says so.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{self, Info};
use super::facts::Api;
use super::figures::{self, Figures};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::services::common::{args_of, probe_unit};
use crate::services::{Cx, Now, Op, Told};

/// Who and what is expected, and where to ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptArgs {
    /// The unit.
    pub unit: UnitName,
    /// Where its API is.
    pub api: Api,
    /// The GUID it must tell; without one any does.
    pub guid: Option<String>,
    /// Samples it must answer with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// How many seconds it may take to answer.
    pub within: u64,
}

/// Accepts an agent by its GUID and its samples.
pub struct Accept;

impl Op for Accept {
    fn name(&self) -> &'static str {
        "netdata.accept/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: AcceptArgs = args_of(args)?;
        let who = args.guid.as_deref().unwrap_or("who it is");
        let samples = args.figures.as_ref().map_or(0, |figures| figures.samples.len());
        let and = if samples > 0 { format!(" and answers with {samples} samples of before") } else { String::new() };
        let port = args.api.port;
        Ok(Told {
            what: format!(
                "Asks the agent on port {port} until it tells {who}{and}, for at most {} seconds.",
                args.within
            ),
            undo: "Nothing to undo.".to_owned(),
            by_hand: vec![super::recipe::ask_command(port)],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: AcceptArgs = args_of(args)?;
        let info = wait_for(cx, &args.api, &args.unit, Duration::from_secs(args.within))?;
        if let Some(expected) = args.guid.as_ref().filter(|guid| **guid != info.guid) {
            return Err(not_accepted(cx, &args.unit, &format!("it runs as {}, not as {expected}", info.guid)));
        }
        let Some(figures) = &args.figures else { return Ok(json!({"guid": info.guid, "version": info.version})) };
        // A large database is still being read in when the agent begins to answer.
        let deadline = cx.clock.elapsed() + Duration::from_secs(SETTLES_WITHIN);
        loop {
            let compared = figures::compare(cx, &args.api, figures)?;
            match compared.differs {
                None => {
                    return Ok(
                        json!({"guid": info.guid, "version": info.version, "same_samples_by_tier": compared.same}),
                    );
                }
                Some(what) if cx.clock.elapsed() >= deadline => {
                    return Err(not_accepted(cx, &args.unit, &format!("it does not answer as before: {what}")));
                }
                Some(_) => pause(cx)?,
            }
        }
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

/// How many seconds after its first answer an agent may take to know all its samples.
const SETTLES_WITHIN: u64 = 60;

fn pause(cx: &Cx) -> Result<()> {
    cx.clock.sleep(Duration::from_secs(1));
    cx.cancel.check().map_err(|error| crate::services::common::as_failure(&error))
}

/// Waits until the agent answers.
///
/// # Errors
/// Its unit is no longer active, or it was silent for too long.
pub fn wait_for(cx: &Cx, api: &Api, unit: &UnitName, within: Duration) -> Result<Info> {
    let deadline = cx.clock.elapsed() + within;
    loop {
        let silent = match api::info(cx, api) {
            Ok(info) => return Ok(info),
            Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
            Err(failure) => failure,
        };
        // A dead login fails here at once instead of being asked until the deadline.
        let now = probe_unit(cx, unit)?;
        if !now.is_running() {
            return Err(not_accepted(cx, unit, &format!("{unit} is {}", now.active)));
        }
        if cx.clock.elapsed() >= deadline {
            let why = silent.message.trim_end_matches('.');
            return Err(not_accepted(cx, unit, &format!("it did not answer in {} seconds ({why})", within.as_secs())));
        }
        pause(cx)?;
    }
}

fn not_accepted(cx: &Cx, unit: &UnitName, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("Netdata on {} was not accepted after its start: {why}.", cx.host))
        .hint(format!("Read its log there: journalctl -u {unit} -n 50, and /var/log/netdata/error.log."))
}
