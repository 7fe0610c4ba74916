//! Looking before a restore and after it. None of these changes anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{Access, Address, Api, Valid, cli, refusal, resolve};
use super::compare;
use super::sink::Member;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::UnitName;
use crate::model::secret::SecretRef;
use crate::model::text::CleanText;
use crate::services::common::http::Request;
use crate::services::common::{Readiness, Trust, args_of, probe_unit, read_node, text_of};
use crate::services::{Cx, Now, Op, Told};
use crate::transport::Script;

/// This driver's own ops.
pub(super) static OPS: &[&dyn Op] = &[&Ready, &Compare, &Place, &Agent];

/// How far apart the leader is looked at twice before a restore.
const POLL: Duration = Duration::from_secs(3);

/// Arguments of the look before a restore.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ReadyArgs {
    /// The agent that is asked.
    pub access: Access,
    /// The version every server must have.
    pub version: Option<CleanText>,
    /// The token that is valid once the snapshot is restored: it must be at hand before anything is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SecretRef>,
}

/// Arguments of the comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CompareArgs {
    /// The agent that is asked.
    pub access: Access,
    /// The token that is valid once the snapshot is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SecretRef>,
    /// What the snapshot was verified to hold.
    pub expected: Value,
}

/// Arguments of the look before an agent's files are replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PlaceArgs {
    /// The unit.
    pub unit: UnitName,
    /// What is replaced.
    pub targets: Vec<String>,
    /// How many bytes must be free beside each.
    pub needs: u64,
}

/// Arguments of the look at a started agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AgentArgs {
    /// The unit.
    pub unit: UnitName,
    /// Where its API should answer; none when that is not known.
    pub http: Option<Address>,
    /// By what it is known where it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Trust>,
    /// The node-id it must have (`name`), and its file (`path`).
    pub node_id: Option<Member>,
    /// Whether it knew a leader before: then it must know one again.
    #[serde(default)]
    pub led: bool,
}

/// Looks whether the datacenter can take a snapshot now.
struct Ready;

impl Op for Ready {
    fn name(&self) -> &'static str {
        "consul.ready/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: ReadyArgs = args_of(args)?;
        let by_hand = |command| cli(&args.access.http, args.access.tls.as_ref(), command);
        Ok(Told {
            what: "Checks that one leader stays, every voting server is healthy and of the expected version, and the token may replace everything.".to_owned(),
            undo: "Nothing to undo.".to_owned(),
            by_hand: vec![
                by_hand("consul operator raft list-peers"),
                by_hand("consul operator autopilot state"),
            ],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: ReadyArgs = args_of(args)?;
        let api = Api::of(cx, &args.access)?;
        resolve(cx, args.after.as_ref(), Valid::After)
            .map_err(|failure| failure.hint("It is what token_after names in the inventory."))?;
        let leader = api.steady_leader(POLL)?;
        let doing = "Asking Consul for its servers' health";
        let reply = api.ask(Request::get("/v1/operator/autopilot/health"), doing)?;
        // An unhealthy datacenter answers with 429 and the same body; a rate limit's 429 has none.
        let health = match reply.status {
            200 | 429 => reply.json().ok().filter(|said| said["Servers"].is_array()),
            _ => None,
        };
        let Some(health) = health else {
            let failure = refusal(cx, doing, reply.status, &reply.text());
            let hint = "The token must also be allowed: operator = \"read\".";
            return Err(if reply.status == 403 { failure.hint(hint) } else { failure });
        };
        let servers = health["Servers"].as_array().map(Vec::as_slice).unwrap_or_default();
        judge_servers(cx, servers, args.version.as_ref().map_or("", CleanText::as_str))?;
        if api.may_write_acl()? == Some(false) {
            return Err(Failure::new(
                Exit::Authentication,
                format!("The Consul token for {} lacks the right acl = \"write\".", cx.host),
            ));
        }
        let index = servers.iter().filter_map(|server| server["LastIndex"].as_u64()).max();
        Ok(json!({"leader": leader, "servers": servers.len(), "last_index": index}))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Every voter healthy, every server of the expected version.
fn judge_servers(cx: &Cx, servers: &[Value], version: &str) -> Result<()> {
    let numbers = |text: &str| text.split(['+', '-']).next().unwrap_or("").to_owned();
    let mut wrong = Vec::new();
    for server in servers.iter().take(64) {
        let name = CleanText::new(text_of(server, "Name")).one_line();
        if server["Voter"] == true && server["Healthy"] != true {
            let serf = CleanText::new(text_of(server, "SerfStatus")).one_line();
            wrong.push(format!("{name} is not healthy (it is {serf})"));
        }
        let runs = CleanText::new(text_of(server, "Version")).one_line();
        if !version.is_empty() && !runs.is_empty() && numbers(runs.as_str()) != numbers(version) {
            wrong.push(format!("{name} runs {runs}, not {version}"));
        }
    }
    if servers.is_empty() {
        wrong.push("no server is listed".to_owned());
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!("The datacenter is not ready for a restore, as seen from {}: {}.", cx.host, wrong.join("; ")),
    )
    .hint("Bring every server into order first, or remove those that are gone for good: consul operator raft remove-peer."))
}

/// Compares what the datacenter holds with what the snapshot held.
struct Compare;

impl Op for Compare {
    fn name(&self) -> &'static str {
        "consul.compare/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: CompareArgs = args_of(args)?;
        Ok(Told {
            what: "Takes a snapshot of the datacenter, without storing it, and compares keys, ACLs and configuration entries.".to_owned(),
            undo: "Nothing to undo.".to_owned(),
            by_hand: vec![
                cli(&args.access.http, args.access.tls.as_ref(), "consul snapshot save now.snap"),
                "consul snapshot inspect -kvdetails now.snap".to_owned(),
            ],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let differences = compare::look(cx, &args_of(args)?)?;
        if differences.is_empty() {
            return Ok(json!({"equal": true}));
        }
        Err(Failure::new(
            Exit::Changed,
            format!("The datacenter seen from {} differs from the snapshot: {}.", cx.host, differences.join("; ")),
        )
        .hint("A datacenter in use moves on: see whether these differences were written since."))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Looks whether a node can take an agent's files.
struct Place;

impl Op for Place {
    fn name(&self) -> &'static str {
        "consul.place/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: PlaceArgs = args_of(args)?;
        let targets = args.targets.join(", ");
        Ok(Told {
            what: format!("Checks that {} is installed and that there is room beside {targets}.", args.unit),
            undo: "Nothing to undo.".to_owned(),
            by_hand: vec![format!("systemctl status {}", args.unit), "df -h".to_owned()],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: PlaceArgs = args_of(args)?;
        let readiness = Readiness {
            host: cx.host.as_str(),
            unit: Some(&args.unit),
            service: "Consul",
            make_user: "useradd --system",
            places: "config_dir, data_dir",
            past_mount: "mount it one level higher, or unpack by hand: see RESTORE.md",
            needs: args.needs,
        };
        readiness.look(cx, "", &args.targets)?;
        Ok(json!({"ready": true}))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Waits until a started agent answers, and looks at its node-id.
struct Agent;

/// How long it may take until it knows again the leader it knew before: a server reads its own state first.
const LEADER_LIMIT: Duration = Duration::from_mins(3);
/// How long it may take until it answers and knows a leader, where it knew none before.
const AGENT_LIMIT: Duration = Duration::from_mins(1);
const NODE_ID: &str = "head -c 100 -- \"$1\"\n";

impl Op for Agent {
    fn name(&self) -> &'static str {
        "consul.agent/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let args: AgentArgs = args_of(args)?;
        let node_id = args.node_id.as_ref().map_or(String::new(), |id| format!(" and that its node-id is {}", id.name));
        Ok(Told {
            what: format!("Checks that {} runs and its API answers{node_id}.", args.unit),
            undo: "Nothing to undo.".to_owned(),
            by_hand: vec![
                format!("systemctl status {}", args.unit),
                args.http.as_ref().map_or("consul info".to_owned(), |http| cli(http, args.tls.as_ref(), "consul info")),
            ],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let args: AgentArgs = args_of(args)?;
        if let Some(wanted) = &args.node_id {
            let found = read_node(cx, Script::new(NODE_ID).arg(&wanted.path), "Reading the node-id")?.text();
            if found.as_str().trim() != wanted.name {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("The node-id on {} is {}, not {}.", cx.host, found.one_line(), wanted.name),
                ));
            }
        }
        let started = cx.clock.elapsed();
        let limit = if args.led { LEADER_LIMIT } else { AGENT_LIMIT };
        loop {
            let now = probe_unit(cx, &args.unit)?;
            // What systemd has given up does not come back by waiting, and the service is down meanwhile.
            if now.is_down() {
                return Err(not_accepted(cx, &args.unit, &format!(": {} is {}", args.unit, now.active)));
            }
            let answered = match &args.http {
                Some(http) => Api::new(cx, http, args.tls.as_ref(), None).leader(),
                None => Ok(None),
            };
            let waited = cx.clock.elapsed().saturating_sub(started) > limit;
            let why = match answered {
                _ if now.active != "active" => format!("{} is {}", args.unit, now.active),
                Ok(Some(leader)) => return Ok(json!({"leader": leader})),
                // A leader is worth waiting for; a datacenter that had none is no fault of this agent's.
                Ok(None) if !args.led && (args.http.is_none() || waited) => {
                    return Ok(json!({"leader": null, "unproved": "the agent runs, but knows no leader"}));
                }
                Ok(None) => "it knew a leader before and knows none now".to_owned(),
                Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
                Err(failure) => format!("its API does not answer ({})", failure.message.trim_end_matches('.')),
            };
            if waited {
                return Err(not_accepted(cx, &args.unit, &format!(" within {} seconds: {why}", limit.as_secs())));
            }
            cx.pause(Duration::from_secs(2))?;
        }
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

fn not_accepted(cx: &Cx, unit: &UnitName, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("The agent on {} was not accepted{why}.", cx.host))
        .hint(format!("Read its log there: journalctl -u {unit} -n 50."))
}
