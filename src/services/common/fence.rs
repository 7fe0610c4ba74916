//! One identity, one running node: fencing the other one, or saying that nobody proved it gone.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::{args_of, probe_unit, read_node, run_change_with};
use super::steps::StepMaker;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GateId, HostId, UnitName};
use crate::model::plan::{Choice, Effect, Gate, Step};
use crate::model::text::CleanText;
use crate::services::{Ask, Cx, Now, Op, Sighting, Told, Whereabouts};
use crate::transport::Script;

/// The choice of every restore that brings back an identity.
pub const FENCE_CHOICE: &str = "fence";

/// The choice itself, for a driver's list.
pub fn fence_choice() -> Choice {
    Choice {
        key: FENCE_CHOICE.to_owned(),
        question: "What is done with a node that runs this identity now?".to_owned(),
        values: vec![
            ("refuse".to_owned(), "if it runs elsewhere, the restore does not begin".to_owned()),
            ("stop".to_owned(), "if it runs elsewhere, it is stopped there for good".to_owned()),
        ],
        default: "refuse".to_owned(),
    }
}

/// What a restore of an identity needs before its node may start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fencing {
    /// Steps that stop the identity elsewhere; they come first.
    pub before: Vec<Step>,
    /// Steps that look once more; they come right before the start.
    pub again: Vec<Step>,
    /// What the operator must declare of nodes nobody reached.
    pub gates: Vec<Gate>,
    /// What peers said of it, as sentences. Shown, and never part of a plan: it proves nothing.
    pub evidence: Vec<CleanText>,
}

/// Plans the fencing of every other node that has, or may have, the snapshot's identity.
///
/// Evidence is graded: a node that was reached is stopped and kept from starting (*proved*); one that was not reached
/// needs the operator's declaration. A node that runs the identity is never overridden, only stopped on purpose.
///
/// # Errors
/// [`Exit::AliveElsewhere`] when it runs somewhere and the choice says to refuse.
pub fn plan_fencing(ask: &Ask) -> Result<Fencing> {
    let mut fencing = Fencing::default();
    refuse_unexplained(ask)?;
    for Sighting { host, unit, state } in ask.sightings {
        let unit_step = |id: &str, title: String, op: &str, effect| {
            let unit = unit.clone().map(|unit| json!({"unit": unit}));
            StepMaker::on(host).step(id, &title, op, unit.unwrap_or(Value::Null), effect)
        };
        match state {
            Whereabouts::Elsewhere | Whereabouts::Heard(_) | Whereabouts::Unheard => {}
            Whereabouts::Alive(identities) if ask.choice(FENCE_CHOICE) != "stop" => {
                let seen: Vec<_> = identities.iter().map(|identity| identity.value.as_str()).collect();
                return Err(Failure::new(
                    Exit::AliveElsewhere,
                    format!("The identity {} runs on {host} now, so nothing was started.", seen.join(" and ")),
                )
                .hint(format!(
                    "Stop it there yourself, or let the restore stop it for good: --set {FENCE_CHOICE}=stop."
                )));
            }
            Whereabouts::Alive(_) if unit.is_none() => {
                let message = format!(
                    "The identity runs on {host} now, outside a unit that could be kept from starting, so nothing was started."
                );
                return Err(Failure::new(Exit::AliveElsewhere, message)
                    .hint("Stop it there yourself, and whatever starts it again; then plan the restore anew."));
            }
            Whereabouts::Alive(_) | Whereabouts::Stopped { .. } => {
                let name = unit.as_ref().map_or("the service".to_owned(), ToString::to_string);
                if matches!(state, Whereabouts::Alive(_)) {
                    fencing.gates.push(gate(
                        &format!("stop-{host}"),
                        &format!("{name} runs this identity on {host}. It will be stopped and kept from starting there, and nothing undoes that by itself."),
                        host.as_str(),
                    )?);
                }
                if !matches!(state, Whereabouts::Stopped { fenced: true }) {
                    let title = format!("Stop {name} on {host} and keep it from starting");
                    fencing.before.push(unit_step(&format!("fence-{host}"), title, FENCE_UNIT, Effect::Fence)?);
                }
                let title = format!("Check that {name} on {host} is still down");
                fencing.again.push(unit_step(&format!("fenced-{host}"), title, "service.absent/1", Effect::Read)?);
            }
            Whereabouts::Unreachable(why) => fencing.gates.push(declaration(host, why)?),
        }
    }
    let unheard = ask.sightings.iter().filter(|seen| seen.state == Whereabouts::Unheard);
    let unheard: Vec<_> = unheard.map(|seen| seen.host.as_str()).collect();
    if !unheard.is_empty() {
        let told = format!(
            "Asked as peers: {}; none of them hears this identity now. That does not prove it gone.",
            unheard.join(", ")
        );
        fencing.evidence.push(told.into());
    }
    Ok(fencing)
}

/// The gate by which an operator declares that an identity is gone from a host that could not be asked; `why` is a whole
/// sentence about that host. What follows a colon in it is left out: how exactly a connection failed differs from one try
/// to the next, and a plan that is made again must be the same one.
pub fn declaration(host: &HostId, why: &CleanText) -> Result<Gate> {
    let why = why.as_str().split(": ").next().unwrap_or_default().trim_end_matches('.');
    let question = format!(
        "{why}, so nothing proves that this identity is not running on {host}. Two nodes with one identity harm each other. Declare it gone only if you know."
    );
    gate(&format!("fenced-{host}"), &question, host.as_str())
}

/// An identity that a host hears runs somewhere. When it is not seen running here or on a host that was looked at, nobody
/// knows where, and no declaration overrides what is heard.
fn refuse_unexplained(ask: &Ask) -> Result<()> {
    let explained_here = |identity| {
        ask.facts.units.iter().any(crate::model::facts::UnitFacts::is_running)
            && ask.facts.identities.contains(identity)
    };
    let seen_elsewhere = |identity| {
        ask.sightings.iter().any(|seen| matches!(&seen.state, Whereabouts::Alive(alive) if alive.contains(identity)))
    };
    for Sighting { host, state, .. } in ask.sightings {
        let Whereabouts::Heard(heard) = state else { continue };
        if let Some(identity) = heard.iter().find(|identity| !explained_here(identity) && !seen_elsewhere(identity)) {
            return Err(Failure::new(
                Exit::AliveElsewhere,
                format!("{host} hears the identity {} now, so it runs somewhere; nothing was started.", identity.value),
            )
            .hint("Find the node that has it, stop it there, and wait until it is no longer heard."));
        }
    }
    Ok(())
}

fn gate(id: &str, question: &str, word: &str) -> Result<Gate> {
    let id = GateId::new(id).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok(Gate { id, question: question.into(), word: word.to_owned() })
}

#[derive(Debug, Serialize, Deserialize)]
struct UnitArgs {
    unit: UnitName,
}

const FENCE: &str = r#"u=$1
mkdir -p /var/lib/lifeboat/fence "/etc/systemd/system/$u.d"
: >"/var/lib/lifeboat/fence/$u"
printf '[Unit]\nConditionPathExists=!/var/lib/lifeboat/fence/%s\n' "$u" >"/etc/systemd/system/$u.d/90-lifeboat-fence.conf"
sync -f /var/lib/lifeboat/fence "/etc/systemd/system/$u.d"
systemctl daemon-reload
systemctl disable -- "$u" 2>/dev/null || :
# Where no such unit is installed nothing can be stopped; one that is installed later does not start.
gone=$(systemctl show --property=LoadState --value -- "$u")-$(systemctl show --property=ActiveState --value -- "$u")
[ "$gone" = not-found-inactive ] || systemctl stop -- "$u"
systemctl reset-failed -- "$u" 2>/dev/null || :
s=$(systemctl show --property=ActiveState --value -- "$u")
[ "$s" = inactive ] || { echo "$u is $s after its stop" >&2; exit 1; }
"#;

/// Whether any part of the fence on unit `$1` stands: then a fence that began was not for nothing.
const BEGUN: &str = r#"for p in "/var/lib/lifeboat/fence/$1" "/etc/systemd/system/$1.d/90-lifeboat-fence.conf"; do [ ! -e "$p" ] || echo begun; done
"#;

/// The name of the op that stops a unit for good.
pub const FENCE_UNIT: &str = "service.fence/1";

/// Stops a unit for good: nothing undoes it, and nothing of Lifeboat's ever starts it.
pub struct Fence;

impl Op for Fence {
    fn name(&self) -> &'static str {
        FENCE_UNIT
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let UnitArgs { unit } = args_of(args)?;
        Ok(Told {
            what: format!("Stops {unit}, disables it and makes systemd refuse to start it."),
            undo: format!(
                "Nothing by itself. By hand: rm /var/lib/lifeboat/fence/{unit}, then systemctl enable --now {unit}."
            ),
            by_hand: vec![format!("systemctl disable --now {unit}")],
        })
    }
    fn observe(&self, cx: &Cx, args: &Value, _before: Option<&Value>) -> Result<Now> {
        let UnitArgs { unit } = args_of(args)?;
        let now = probe_unit(cx, &unit)?;
        if now.is_down() && now.fenced {
            return Ok(Now::Done(json!({"proved": now.active})));
        }
        let begun = read_node(cx, Script::new(BEGUN).arg(unit.as_str()), "Looking for a fence")?;
        Ok(Now::Todo(json!({"active": now.active, "enabled": now.enabled, "begun": !begun.stdout.is_empty()})))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let UnitArgs { unit } = args_of(args)?;
        run_change_with(cx, FENCE, &[unit.as_str()], "Fencing the service", std::time::Duration::from_mins(3))?;
        Ok(json!({"proved": "stopped, disabled and kept from starting"}))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Looks once more that a fenced unit is down, right before the identity starts elsewhere.
pub struct Absent;

impl Op for Absent {
    fn name(&self) -> &'static str {
        "service.absent/1"
    }
    fn tell(&self, args: &Value) -> Result<Told> {
        let UnitArgs { unit } = args_of(args)?;
        Ok(Told {
            what: format!("Checks that {unit} does not run and is kept from starting."),
            undo: "Nothing to undo.".into(),
            by_hand: vec![format!("systemctl is-active {unit}")],
        })
    }
    fn observe(&self, _cx: &Cx, _args: &Value, _before: Option<&Value>) -> Result<Now> {
        Ok(Now::Todo(Value::Null))
    }
    fn run(&self, cx: &Cx, args: &Value, _before: &Value) -> Result<Value> {
        let UnitArgs { unit } = args_of(args)?;
        let now = probe_unit(cx, &unit)?;
        if now.is_running() {
            return Err(Failure::new(Exit::AliveElsewhere, format!("{unit} runs on {} again.", cx.host)));
        }
        if !now.is_down() {
            let state = if now.active.is_empty() { "in no state that systemd tells" } else { &now.active };
            let message = format!("{unit} on {} is {state}, which does not prove that it is down.", cx.host);
            return Err(Failure::new(Exit::AliveElsewhere, message)
                .hint(format!("Look at it there: systemctl status {unit}; then plan the restore anew.")));
        }
        if !now.fenced {
            let message = format!("{unit} on {} is down, but nothing keeps it from starting any more.", cx.host);
            return Err(
                Failure::new(Exit::Failed, message).hint("Somebody lifted the fence there; plan the restore anew.")
            );
        }
        Ok(json!({"active": now.active}))
    }
    fn undo_script(&self, _args: &Value, _before: &Value) -> Result<Option<String>> {
        Ok(None)
    }
}
