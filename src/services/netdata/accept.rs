//! Asking a restored agent who it is and what it remembers, until it says so.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{self, Info};
use super::facts::Api;
use super::figures::{self, Compared, Figures};
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
    /// Where its log is, for whoever must find out why it does not answer.
    #[serde(default)]
    pub log: String,
}

/// What is said where no chart can be missed.
pub const NO_CHARTS: &str = "charts are not compared, for none was noted by name at backup";

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
        let charts = args.figures.as_ref().map_or(0, |figures| figures.names.len());
        let and = match (charts, samples) {
            (_, 0) => String::new(),
            (0, _) => format!(" and answers with {samples} samples of before; {NO_CHARTS}"),
            _ => format!(" and answers with {charts} charts and {samples} samples of before"),
        };
        let port = args.api.port;
        Ok(Told {
            what: format!(
                "Asks the agent on port {port} until it tells {who}{and}, for at most {} seconds.",
                args.within
            ),
            undo: "Nothing to undo.".to_owned(),
            by_hand: vec![super::recipe::ask_command(&args.api, "/api/v1/info") + " | grep uid"],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: AcceptArgs = args_of(args)?;
        let asked = Asked { api: &args.api, unit: &args.unit, log: &args.log };
        let info = asked.until_it_answers(cx, Duration::from_secs(args.within))?;
        if let Some(expected) = args.guid.as_ref().filter(|guid| **guid != info.guid) {
            return Err(asked.not_accepted(cx, &format!("it runs as {}, not as {expected}", info.guid)));
        }
        let Some(figures) = &args.figures else { return Ok(json!({"guid": info.guid, "version": info.version})) };
        match asked.until_it_answers_as_before(cx, figures)? {
            Compared { differs: None, charts, same } => {
                let version = info.version;
                let mut told =
                    json!({"guid": info.guid, "version": version, "charts": charts, "same_samples_by_tier": same});
                if charts == 0 {
                    told["remarks"] = json!([format!("Proven by samples alone: {NO_CHARTS}.")]);
                }
                Ok(told)
            }
            Compared { differs: Some(what), .. } => {
                Err(asked.not_accepted(cx, &format!("it does not answer as before: {what}")))
            }
        }
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

/// How many seconds after its first answer an agent may take to know all its samples.
const SETTLES_WITHIN: u64 = 60;

/// The first wait between two questions, and the longest: an agent is mostly back at once, and a wait is part of a backup.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Waits, and makes the next wait longer.
fn pause(cx: &Cx, span: &mut Duration) -> Result<()> {
    cx.pause(*span)?;
    *span = LONGEST_PAUSE.min(*span * 2);
    Ok(())
}

/// An agent that is asked, and where to look when it is silent.
pub struct Asked<'a> {
    /// Where its API is.
    pub api: &'a Api,
    /// Its unit.
    pub unit: &'a UnitName,
    /// Where its log is.
    pub log: &'a str,
}

impl Asked<'_> {
    /// Waits until the agent answers.
    ///
    /// # Errors
    /// Its unit is no longer active, or it was silent for too long.
    pub fn until_it_answers(&self, cx: &Cx, within: Duration) -> Result<Info> {
        let unit = self.unit;
        let (deadline, mut span) = (cx.clock.elapsed().saturating_add(within), FIRST_PAUSE);
        loop {
            let silent = match api::info(cx, self.api) {
                Ok(info) => return Ok(info),
                Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
                Err(failure) => failure,
            };
            // A dead login fails here at once instead of being asked until the deadline.
            let now = probe_unit(cx, unit)?;
            if !now.is_running() {
                return Err(self.not_accepted(cx, &format!("{unit} is {}", now.active)));
            }
            if cx.clock.elapsed() >= deadline {
                let why = silent.message.trim_end_matches('.');
                let why = format!("it did not answer in {} seconds ({why})", within.as_secs());
                return Err(self.not_accepted(cx, &why));
            }
            pause(cx, &mut span)?;
        }
    }

    /// Compares what it answers with figures, again and again while it differs: a large database is still being read in
    /// when an agent begins to answer.
    pub fn until_it_answers_as_before(&self, cx: &Cx, figures: &Figures) -> Result<Compared> {
        let (deadline, mut span) = (cx.clock.elapsed() + Duration::from_secs(SETTLES_WITHIN), FIRST_PAUSE);
        loop {
            let compared = figures::compare(cx, self.api, figures)?;
            if compared.differs.is_none() || cx.clock.elapsed() >= deadline {
                return Ok(compared);
            }
            pause(cx, &mut span)?;
        }
    }

    fn not_accepted(&self, cx: &Cx, why: &str) -> Failure {
        let Self { unit, log, .. } = self;
        let files = if log.is_empty() { String::new() } else { format!(", and the files in {log}") };
        Failure::new(Exit::Failed, format!("Netdata on {} was not accepted after its start: {why}.", cx.host))
            .hint(format!("Read its log there: journalctl -u {unit} -n 50{files}."))
    }
}
