//! Plans, runs and events in plain words: both faces say the same.

use std::fmt::Display;

use jiff::Timestamp;

use crate::model::event::{Event, EventKind, Resume};
use crate::model::exit::Exit;
use crate::model::ids::StepId;
use crate::model::item::Copying;
use crate::model::manifest::Rung;
use crate::model::plan::{Chosen, Command, Effect, Guard, OnLapse, Plan, Step};
use crate::services;

/// What a command does, as a title: "Back up val-1/avalanchego/staking-identity".
pub fn title(command: &Command) -> String {
    match command {
        Command::Backup { item, .. } => format!("Back up {item}"),
        Command::Restore { item, snapshot, to } => format!("Restore {item}@{snapshot} to {to}"),
    }
}

/// What a step does to its node, in a few words; nothing for one that only reads.
pub fn effect_phrase(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "",
        Effect::Write => "adds",
        Effect::Quiesce => "stops; the node undoes it by itself",
        Effect::Fence => "stops for good",
        Effect::Destroy => "replaces",
    }
}

/// How a step is undone, for one that changes something and knows.
pub fn undo_of(step: &Step) -> Option<String> {
    if step.effect == Effect::Read {
        return None;
    }
    services::op(&step.op).ok()?.tell(&step.args).ok().map(|told| told.undo)
}

/// What the node does by itself: "guard on val-1: if nothing is heard for 1m, it puts everything back".
pub fn guard_phrase(plan: &Plan, guard: &Guard) -> String {
    let goes_forward = |step: &Step| step.guard.as_ref() == Some(&guard.id) && step.on_lapse == Some(OnLapse::Start);
    let replaces = plan.steps.iter().any(|step| step.effect == Effect::Destroy);
    let then = if replaces && plan.steps.iter().any(goes_forward) {
        "until the restored service starts it puts everything back; from then on it starts the restored one"
    } else {
        "it puts everything back"
    };
    format!("guard on {}: if nothing is heard for {}, {then}", guard.host, guard.lapse)
}

/// What was chosen, as a sentence's end where its question is not at hand, then as a command line says it:
/// "the guard waits 60 s for the console (guard=60, by default)".
pub fn choice_phrase(chosen: &Chosen) -> String {
    let (key, value) = (chosen.key.as_str(), chosen.value.as_str());
    let by = if chosen.by_default { "by default" } else { "chosen" };
    match (key, value) {
        ("guard", seconds) => format!("the guard waits {seconds} s for the console (guard={value}, {by})"),
        ("fence", "refuse") => {
            format!("if the identity runs elsewhere, the restore does not begin (fence={value}, {by})")
        }
        ("fence", "stop") => {
            format!("if the identity runs elsewhere, it is stopped there for good (fence={value}, {by})")
        }
        _ => format!("{key}={value}, {by}"),
    }
}

/// How a run of the plan is undone: while it runs, and once it is done.
pub fn way_back_phrase(plan: &Plan) -> &'static str {
    let replaces = plan.steps.iter().any(|step| step.effect == Effect::Destroy);
    let fences = plan.steps.iter().any(|step| step.effect == Effect::Fence);
    match (replaces, plan.can_be_rolled_back(), fences) {
        (true, true, true) => {
            "cancel undoes every step but the fence; afterwards: lifeboat rollback RUN, the fence stays"
        }
        (true, true, false) => "cancel undoes every step; afterwards: lifeboat rollback RUN",
        (true, false, _) => "cancel undoes what can be undone; afterwards nothing brings the old state back",
        (false, ..) => "cancel undoes every step; afterwards there is nothing to undo",
    }
}

/// A time to the minute, in UTC: "2026-11-20 02:50Z".
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// How long ago, in one number and one letter: "5m", "3h", "13d", "5mo", "2y"; "now" below a minute. Ahead of the
/// clock: "+3h".
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    let sign = if seconds < -59 { "+" } else { "" };
    let seconds = seconds.unsigned_abs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => "now".to_owned(),
        (0, 0, m) => format!("{sign}{m}m"),
        (0, h, _) => format!("{sign}{h}h"),
        (d @ 0..=60, ..) => format!("{sign}{d}d"),
        (d @ 0..=730, ..) => format!("{sign}{}mo", d / 30),
        (d, ..) => format!("{sign}{}y", d / 365),
    }
}

/// As part of a sentence: "2h ago", "just now", "in 3h".
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match age(at, now) {
        now if now == "now" => "just now".to_owned(),
        ahead if ahead.starts_with('+') => format!("in {}", &ahead[1..]),
        past => format!("{past} ago"),
    }
}

/// A number of things: "1 host", "12 hosts", "3 copies".
pub fn count<N: Display + From<u8> + PartialEq>(number: N, what: &str) -> String {
    if number == N::from(1) {
        return format!("1 {what}");
    }
    match what.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {what}s"),
    }
}

/// A phrase with a capital and a full stop.
pub fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// A step by number, host and title: "3/7 val-1: Stop avalanchego.service"; by its name where no plan is at hand.
pub fn step_phrase(plan: Option<&Plan>, id: &StepId) -> String {
    let Some(plan) = plan else { return id.to_string() };
    let step = plan.steps.iter().enumerate().find(|(_, step)| step.id == *id);
    step.map_or(id.to_string(), |(number, step)| {
        format!("{}/{} {}: {}", number + 1, plan.steps.len(), step.host, step.title)
    })
}

/// An event as a line: a short word, then what it was about. Not every event is worth one.
pub fn event_phrase(event: &Event, plan: Option<&Plan>) -> Option<(&'static str, String)> {
    let name = |id: &StepId| step_phrase(plan, id);
    Some(match &event.kind {
        EventKind::RunStarted { .. } => ("run", event.run.to_string()),
        EventKind::RunAdopted { epoch, how, .. } => {
            ("run", format!("{} taken up to {}, epoch {epoch}", event.run, resume_phrase(*how)))
        }
        EventKind::StepFinished { step, .. } => ("done", name(step)),
        EventKind::StepSkipped { step, .. } => ("already", name(step)),
        EventKind::StepFailed { step, failure } => ("FAILED", format!("{}: {}", name(step), failure.message)),
        EventKind::StepReverted { step } => ("undone", name(step)),
        EventKind::RevertFailed { step, failure } => ("NOT UNDONE", format!("{}: {}", name(step), failure.message)),
        EventKind::GuardArmed { guard } => ("armed", format!("guard {guard}")),
        EventKind::GuardFired { guard } => ("ACTED", format!("guard {guard} had acted by itself")),
        EventKind::Undoes { undone, .. } => ("undoes", format!("run {undone}")),
        EventKind::Note { text } => ("note", text.to_string()),
        EventKind::StepStarted { .. } | EventKind::GuardDisarmed { .. } | EventKind::RunFinished { .. } => return None,
    })
}

/// What a run is taken up for: "taken up to …".
pub fn resume_phrase(how: Resume) -> &'static str {
    match how {
        Resume::GoOn => "go on with it",
        Resume::RollBack => "undo it",
        Resume::Leave => "leave it as it is",
    }
}

/// How an item is copied, in a word.
pub fn copying_word(copying: Copying) -> &'static str {
    match copying {
        Copying::Live => "live",
        Copying::Protocol => "by protocol",
        Copying::Stopped => "stopped",
    }
}

/// The word of a rung of the ladder.
pub fn rung_word(rung: Option<Rung>) -> &'static str {
    match rung {
        None => "nothing shown",
        Some(Rung::Intact) => "intact, sealed",
        Some(Rung::Copied) => "copied",
        Some(Rung::Openable) => "openable",
        Some(Rung::Verified) => "verified",
        Some(Rung::Drilled) => "drilled",
        Some(Rung::Proven) => "proven",
    }
}

/// How something ended, in a word or two.
pub fn exit_phrase(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Failed => "failed",
        Exit::Usage => "usage",
        Exit::Partly => "partly",
        Exit::Warning => "warning",
        Exit::Critical => "critical",
        Exit::Changed => "changed",
        Exit::Nothing => "nothing",
        Exit::HostKey => "host key",
        Exit::Authentication => "authentication",
        Exit::Unreachable => "unreachable",
        Exit::Vault => "vault",
        Exit::Integrity => "integrity",
        Exit::Confirmation => "confirmation",
        Exit::Stale => "stale",
        Exit::AliveElsewhere => "alive elsewhere",
        Exit::NoSpace => "no space",
        Exit::Cancelled => "cancelled",
    }
}
