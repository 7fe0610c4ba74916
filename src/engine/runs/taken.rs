//! A run as a node tells it. Whoever has root there could have written any of it, so it is read as such: shown, checked
//! against what others hold, and run only as it was shown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{OnNode, Runs, Told, only, parse, unreadable};
use crate::engine::canonical::plan_hash;
use crate::engine::executor::fill_in_run;
use crate::engine::node_run;
use crate::model::event::{Event, EventKind};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{ConsoleId, GateId, HostId, RunId};
use crate::model::inventory::Inventory;
use crate::model::plan::{Effect, Gate, Plan};
use crate::model::secret::SecretRef;
use crate::model::text::CleanText;
use crate::services::Cx;

/// The gate of a plan that came from a node.
pub const PLAN_GATE: &str = "plan";

/// How much of a plan's hash is that gate's word.
const WORD: usize = 16;

/// How the gate of a plan with this hash is answered: `GATE=WORD`.
pub fn plan_answer(hash: &str) -> String {
    format!("{PLAN_GATE}={}", word_of(hash))
}

fn word_of(hash: &str) -> String {
    hash.chars().take(WORD).collect()
}

impl Runs<'_> {
    /// The one run on a node that a prefix means, read from there.
    ///
    /// # Errors
    /// As of [`Self::read_from`].
    pub fn find_on(&self, host: &HostId, prefix: &str) -> Result<Told> {
        let lying = self.prober().on(host, node_run::list_runs)?;
        let none = || Failure::new(Exit::Nothing, format!("Run {prefix} does not lie on {host}."));
        self.read_from(host, &only(prefix, lying.iter().map(|found| found.run.to_string()), none)?)
    }

    /// Reads a run from a node it lies on, for a console whose vault does not know it.
    ///
    /// # Errors
    /// It does not lie there, or holds what no console wrote, such as characters that drive a terminal.
    pub fn read_from(&self, host: &HostId, run: &RunId) -> Result<Told> {
        let node = self.links.get(host, &self.cancel)?;
        let cx =
            Cx { host, node: &*node, cancel: &self.cancel, clock: &*self.clock, secrets: &*self.secrets, run: None };
        let bytes = node_run::read_run_file(&cx, run, "plan.json")?;
        if bytes.is_empty() {
            return Err(Failure::new(Exit::Nothing, format!("Run {run} does not lie on {host}.")));
        }
        let owner = node_run::owner_of(&cx, run)?.and_then(|owner| owner_in(owner.as_str()));
        let plan: Value = serde_json::from_slice(&bytes).map_err(|e| unreadable(&e))?;
        refuse_unclean(&plan, host, run)?;
        let journal = node_run::read_run_file(&cx, run, "journal.jsonl")?;
        let events = events_in(&journal, host, run)?;
        let node = OnNode { host: host.clone(), owner, plan: bytes };
        Ok(Told::of(run.clone(), parse(plan)?, events, None, Some(node)))
    }

    /// The gate by which an operator takes the plan of a node's run for what was meant, once nothing speaks against it.
    pub(super) fn gate_of_taken(&self, told: &Told, node: &OnNode) -> Result<Gate> {
        refuse_unknown_secrets(&told.plan, self.inventory, &node.host)?;
        self.refuse_other_than_ours(told, node)?;
        let others = others_touched(&told.plan, &node.host);
        for host in &others {
            let theirs = self.prober().on(host, |cx| node_run::read_run_file(cx, &told.run, "plan.json"))?;
            if theirs != node.plan {
                let message = format!(
                    "Run {} as {} tells it would change {host}, where it does not lie with the same plan.",
                    told.run, node.host
                );
                return Err(Failure::new(Exit::Integrity, message).hint(format!(
                    "Nothing was run. Give back what it locks on {}: lifeboat resume {} --adopt --on {} --leave",
                    node.host, told.run, node.host
                )));
            }
        }
        let hash = plan_hash(&told.plan)?;
        let question = format!(
            "The plan of run {} was read from {}; whoever has root there could have written it. It runs as root on {}.",
            told.run,
            node.host,
            hosts_of(&told.plan).iter().map(|host| host.as_str()).collect::<Vec<_>>().join(", ")
        );
        let id = GateId::new(PLAN_GATE).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        Ok(Gate { id, question: question.as_str().into(), word: word_of(&hash) })
    }

    /// A run that this vault knows has the plan it has here.
    fn refuse_other_than_ours(&self, told: &Told, node: &OnNode) -> Result<()> {
        let is_here = |path: &std::path::PathBuf| path.file_name().is_some_and(|name| name == told.run.as_str());
        let dirs = self.vault.runs().map_err(|error| crate::engine::capture::vault_failure(&error))?;
        if !dirs.iter().any(is_here) {
            return Ok(());
        }
        let ours = self.read(&told.run)?;
        if plan_hash(&fill_in_run(ours.plan, &told.run))? == plan_hash(&fill_in_run(told.plan.clone(), &told.run))? {
            return Ok(());
        }
        let message = format!("This vault knows run {} with another plan than {} has.", told.run, node.host);
        Err(Failure::new(Exit::Integrity, message)
            .hint(format!("Take it up as it is here: lifeboat resume {}", told.run)))
    }
}

fn owner_in(text: &str) -> Option<(ConsoleId, u64)> {
    let (console, epoch) = text.split_once(' ')?;
    Some((ConsoleId::new(console).ok()?, epoch.trim().parse().ok()?))
}

/// Whole lines of a journal, each event once; a torn last one did not happen.
fn events_in(journal: &[u8], host: &HostId, run: &RunId) -> Result<Vec<Event>> {
    let whole = journal.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines = journal.get(..whole).unwrap_or_default().split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let read = lines
        .map(|line| {
            let value: Value = serde_json::from_slice(line).map_err(|e| unreadable(&e))?;
            let mut event: Event = parse(value)?;
            match &mut event.kind {
                EventKind::StepFailed { failure, .. } | EventKind::RevertFailed { failure, .. } => clean(failure),
                EventKind::RunFinished { failure, kept, .. } => {
                    failure.iter_mut().for_each(clean);
                    kept.values_mut().flatten().for_each(|path| *path = one_line(path));
                }
                EventKind::StepStarted { before: value, .. }
                | EventKind::StepFinished { out: value, .. }
                | EventKind::StepSkipped { out: value, .. } => refuse_unclean(value, host, run)?,
                EventKind::Undoes { steps, .. } => {
                    for (before, out) in steps.values() {
                        refuse_unclean(before, host, run)?;
                        refuse_unclean(out, host, run)?;
                    }
                }
                EventKind::RunStarted { plan_hash, confirmed, .. } => {
                    *plan_hash = one_line(plan_hash);
                    clean_words(confirmed);
                }
                EventKind::RunAdopted { confirmed, .. } => clean_words(confirmed),
                _ => {}
            }
            Ok(event)
        })
        .collect::<Result<Vec<Event>>>()?;
    // One that was written again, because nobody could tell whether it had arrived, happened once.
    let mut next = 0;
    let is_new = |event: &Event| {
        let is_new = event.seq >= next;
        next = next.max(event.seq.saturating_add(1));
        is_new
    };
    Ok(read.into_iter().filter(is_new).collect())
}

fn one_line(text: &str) -> String {
    CleanText::new(text).one_line().to_string()
}

fn clean_words(words: &mut BTreeMap<String, String>) {
    *words = words.iter().map(|(gate, word)| (one_line(gate), one_line(word))).collect();
}

fn clean(failure: &mut Failure) {
    failure.message = one_line(&failure.message);
    failure.state = failure.state.as_deref().map(one_line);
    failure.hints.iter_mut().for_each(|hint| *hint = one_line(hint));
}

/// What a step is made of is carried out as it is, so it is not cleaned but refused.
fn refuse_unclean(value: &Value, host: &HostId, run: &RunId) -> Result<()> {
    if is_harmless(value) {
        return Ok(());
    }
    let message = format!("Run {run} on {host} holds characters that no plan has and that could drive a terminal.");
    Err(Failure::new(Exit::Integrity, message)
        .hint(format!("Look at it there by hand: less /var/lib/lifeboat/runs/{run}/plan.json")))
}

fn is_harmless(value: &Value) -> bool {
    // A tab may stand in a declared command.
    let text_is = |text: &str| text.split('\t').all(CleanText::is_clean);
    match value {
        Value::String(text) => text_is(text),
        Value::Array(values) => values.iter().all(is_harmless),
        Value::Object(map) => map.iter().all(|(key, value)| text_is(key) && is_harmless(value)),
        _ => true,
    }
}

fn hosts_of(plan: &Plan) -> BTreeSet<&HostId> {
    plan.steps.iter().map(|step| &step.host).collect()
}

/// Hosts besides `on` that the plan does more to than look whether a fenced unit is down.
fn others_touched<'p>(plan: &'p Plan, on: &HostId) -> BTreeSet<&'p HostId> {
    let is_a_look = |op: &str| op == "service.absent/1";
    let others = plan.steps.iter().filter(|step| step.host != *on);
    let touched = others.filter(|step| step.effect != Effect::Read || !is_a_look(&step.op)).map(|step| &step.host);
    touched.chain(plan.guards.iter().map(|guard| &guard.host).filter(|host| *host != on)).collect()
}

/// A plan names secrets by reference, and a reference may be a command that this console would run: only those that the
/// inventory itself has are followed.
fn refuse_unknown_secrets(plan: &Plan, inventory: &Inventory, host: &HostId) -> Result<()> {
    let mut known = Vec::new();
    let of_hosts = inventory.hosts.values().flat_map(|host| host.services.values());
    let of_clusters = inventory.clusters.values().flat_map(|cluster| cluster.services.values());
    for entry in of_hosts.chain(of_clusters) {
        if let Ok(settings) = serde_json::to_value(&entry.settings) {
            secrets_in(&settings, &mut known);
        }
    }
    let mut named = Vec::new();
    plan.steps.iter().for_each(|step| secrets_in(&step.args, &mut named));
    if named.iter().all(|secret| known.contains(secret)) {
        return Ok(());
    }
    let message = format!("The plan that lies on {host} names a secret that stands nowhere in the inventory.");
    Err(Failure::new(Exit::Integrity, message).hint("Nothing was run, and nothing was looked up."))
}

fn secrets_in(value: &Value, found: &mut Vec<SecretRef>) {
    if let Ok(secret) = serde_json::from_value::<SecretRef>(value.clone()) {
        found.push(secret);
    }
    match value {
        Value::Array(values) => values.iter().for_each(|value| secrets_in(value, found)),
        Value::Object(map) => map.values().for_each(|value| secrets_in(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run() -> (HostId, RunId) {
        (HostId::new("val-1").unwrap(), RunId::new("20261120T184500Z-7f3a9c").unwrap())
    }

    #[test]
    fn what_a_node_wrote_into_a_failure_cannot_drive_a_terminal() {
        let (host, run) = run();
        let said = json!({"schema": 1, "run": run, "seq": 0, "at": "2026-11-20T18:45:00Z", "kind": "run_adopted", "console": "c", "epoch": 1, "confirmed": {"a\u{1b}[2J": "b\nc"}});
        let events = events_in(format!("{said}\n").as_bytes(), &host, &run).unwrap();
        let [Event { kind: EventKind::RunAdopted { confirmed, .. }, .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(confirmed.iter().next().unwrap(), (&"a\\x1b[2J".to_owned(), &"b\\nc".to_owned()));
        let failure =
            json!({"exit": "failed", "message": "a\u{1b}[2Jb\nc", "state": "\u{9b}1m", "hints": ["\u{202e}x"]});
        let event = json!({"schema": 1, "run": run, "seq": 0, "at": "2026-11-20T18:45:00Z", "kind": "step_failed", "step": "s", "failure": failure});
        let events = events_in(format!("{event}\n{{\"torn").as_bytes(), &host, &run).unwrap();
        let [Event { kind: EventKind::StepFailed { failure, .. }, .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        let said = [failure.message.as_str(), failure.state.as_deref().unwrap(), failure.hints[0].as_str()];
        assert_eq!(said, ["a\\x1b[2Jb\\nc", "\\x9b1m", "\\u{202e}x"]);
    }

    #[test]
    fn an_event_that_was_written_twice_happened_once() {
        let (host, run) = run();
        let line = |seq: u64| {
            let event =
                json!({"schema": 1, "run": run, "seq": seq, "at": "2026-11-20T18:45:00Z", "kind": "note", "text": "x"});
            format!("{event}\n")
        };
        let journal: String = [0, 1, 1, 2, 0, 1, 2, 3].map(line).concat();
        let events = events_in(journal.as_bytes(), &host, &run).unwrap();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn what_would_be_carried_out_is_refused_and_not_cleaned() {
        let (host, run) = run();
        assert!(refuse_unclean(&json!({"undo": "rm x\n\tmv a b\n"}), &host, &run).is_ok());
        for bad in [json!({"undo": "\u{1b}]0;x\u{7}"}), json!([{"\u{200b}": 1}]), json!("\r")] {
            assert_eq!(refuse_unclean(&bad, &host, &run).unwrap_err().exit, Exit::Integrity, "{bad}");
        }
    }

    #[test]
    fn a_secret_is_found_wherever_a_plan_hides_it() {
        let mut found = Vec::new();
        secrets_in(
            &json!({"a": [{"token": {"command": "id"}}], "b": {"file": "/etc/shadow"}, "c": "command"}),
            &mut found,
        );
        assert_eq!(found, [SecretRef::Command("id".into()), SecretRef::File("/etc/shadow".into())]);
    }

    #[test]
    fn an_owner_is_a_console_and_an_epoch() {
        assert_eq!(owner_in("console-1 3"), Some((ConsoleId::new("console-1").unwrap(), 3)));
        assert_eq!(owner_in("console-1"), None);
    }
}
