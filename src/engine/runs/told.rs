//! A run as its files tell it: what was meant, what happened, what was confirmed and what it left aside.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::engine::executor::{fill_in_run, states_of};
use crate::engine::rollback;
use crate::model::event::{Event, EventKind, Resume};
use crate::model::exit::{Exit, Failure};
use crate::model::ids::{ConsoleId, HostId, ItemRef, RunId, SnapshotId};
use crate::model::plan::{Chosen, Command, Plan};
use crate::model::text::CleanText;
use crate::vault::{Snapshot, Vault};

/// A run as its files tell it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: Plan,
    /// Its events.
    pub events: Vec<Event>,
    /// How it ended, if it did.
    pub ended: Option<(Exit, Option<Failure>)>,
    /// Whether its receipt is there and holds.
    pub receipt: Option<u64>,
    /// The node it was read from; none when it is the vault's own.
    pub node: Option<OnNode>,
}

/// What a list shows of a run. It is small: a vault of years has very many.
#[derive(Debug, Clone, PartialEq)]
pub struct Brief {
    /// The run.
    pub run: RunId,
    /// What it was to do.
    pub command: Command,
    /// When it began, if it ever did.
    pub began: Option<Timestamp>,
    /// How it ended, if it did.
    pub ended: Option<Exit>,
    /// Whether it ended by being left as it was.
    pub was_left: bool,
    /// The run it undoes, if it is a rollback.
    pub undoes: Option<RunId>,
    /// Its receipt's number, if that is there and holds.
    pub receipt: Option<u64>,
}

/// A copy that a run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What it is a copy of.
    pub place: ItemRef,
    /// Its id.
    pub id: SnapshotId,
    /// Whether the run made it; a restore brings one that was there.
    pub made: bool,
    /// The marks it was made with.
    pub marks: Vec<CleanText>,
}

/// What a node says of a run beyond its plan and journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnNode {
    /// The node.
    pub host: HostId,
    /// Who owns the run there, by the node's own file.
    pub owner: Option<(ConsoleId, u64)>,
    /// The plan's exact bytes, for comparing them with other nodes'.
    pub plan: Vec<u8>,
}

/// What a person stated for a run, and what the run left aside: what its receipt vouches for besides its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Every answer, in the order given: of whoever began the run, then of those who took it up.
    pub confirmed: Vec<Confirmed>,
    /// Every choice with the value in force.
    pub choices: Vec<Chosen>,
    /// What lies aside on each node by the run's own journal. A rollback or a purge since may have taken it away: only the
    /// nodes know, and `lifeboat kept` asks them.
    pub kept: BTreeMap<HostId, Vec<String>>,
}

/// One answer to a question that was asked before a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// When it took effect, by the console's clock.
    pub at: Timestamp,
    /// The console it was given at.
    pub console: ConsoleId,
    /// The gate.
    pub gate: String,
    /// The word, as it was typed or given by a flag.
    pub word: String,
    /// What was asked. What is asked before a rollback, or before a run is taken up, stands in no plan.
    pub question: Option<CleanText>,
}

impl Told {
    /// Puts a run together from its files.
    pub(super) fn of(run: RunId, plan: Plan, events: Vec<Event>, receipt: Option<u64>, node: Option<OnNode>) -> Self {
        let ended = events.iter().rev().find_map(|event| match &event.kind {
            EventKind::RunFinished { exit, failure, .. } => Some(Some((*exit, failure.clone()))),
            EventKind::RunAdopted { .. } => Some(None),
            _ => None,
        });
        Self { run, plan, events, ended: ended.flatten(), receipt, node }
    }

    /// What a list shows of it.
    pub fn brief(&self) -> Brief {
        Brief {
            run: self.run.clone(),
            command: self.plan.command.clone(),
            began: self.events.first().map(|event| event.at),
            ended: self.ended.as_ref().map(|(exit, _)| *exit),
            was_left: self.was_left(),
            undoes: self.undoes().cloned(),
            receipt: self.receipt,
        }
    }

    /// The console that has the run, and its epoch: what a node says counts more than what a journal says.
    pub fn owner(&self) -> Option<(ConsoleId, u64)> {
        let told = self.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::RunStarted { console, epoch, .. } | EventKind::RunAdopted { console, epoch, .. } => {
                Some((console.clone(), *epoch))
            }
            _ => None,
        });
        self.node.as_ref().and_then(|node| node.owner.clone()).or(told)
    }

    /// Whether it is a console's own to take up. One that lies on a node and names no owner is nobody's to take without
    /// saying so.
    pub fn is_of(&self, console: &ConsoleId) -> bool {
        self.owner().map_or(self.node.is_none(), |(owner, _)| owner == *console)
    }

    /// The copy it brings back, where this vault has it: what is on its node already can be finished or undone without.
    pub fn snapshot_in(&self, vault: &Vault) -> Option<Snapshot> {
        let Command::Restore { item, snapshot, .. } = &self.plan.command else { return None };
        vault.snapshot(item, snapshot, &mut Vec::new()).ok()
    }

    pub(super) fn next_epoch(&self) -> u64 {
        let is_one = |event: &&Event| matches!(event.kind, EventKind::RunStarted { .. } | EventKind::RunAdopted { .. });
        let counted = self.events.iter().filter(is_one).count() as u64;
        self.owner().map_or(0, |(_, epoch)| epoch).max(counted).saturating_add(1)
    }

    /// The run this one undoes, if it is a rollback.
    pub fn undoes(&self) -> Option<&RunId> {
        self.events.iter().find_map(|event| match &event.kind {
            EventKind::Undoes { undone, .. } => Some(undone),
            _ => None,
        })
    }

    /// What whoever took the run up last was about; nothing when nobody did.
    pub fn taken_up_to(&self) -> Option<Resume> {
        self.events.iter().rev().find_map(|event| match event.kind {
            EventKind::RunAdopted { how, .. } => Some(how),
            _ => None,
        })
    }

    /// Whether the run ended by being left as it was.
    pub fn was_left(&self) -> bool {
        matches!(self.ended, Some((Exit::Done, _))) && self.taken_up_to() == Some(Resume::Leave)
    }

    /// What was confirmed for the run, what was chosen, and what it left aside. Asks nobody.
    pub fn account(&self) -> Account {
        let mut confirmed = Vec::new();
        for event in &self.events {
            let (EventKind::RunStarted { console, confirmed: said, .. }
            | EventKind::RunAdopted { console, confirmed: said, .. }) = &event.kind
            else {
                continue;
            };
            confirmed.extend(said.iter().map(|(gate, word)| Confirmed {
                at: event.at,
                console: console.clone(),
                gate: gate.clone(),
                word: word.clone(),
                question: self.plan.gates.iter().find(|one| one.id.as_str() == gate).map(|one| one.question.clone()),
            }));
        }
        Account { confirmed, choices: self.plan.choices.clone(), kept: self.kept() }
    }

    /// The copies the run is about: the one that a restore brings, and those that were made.
    pub fn copies(&self) -> Vec<Copied> {
        let brought = match &self.plan.command {
            Command::Restore { item, snapshot, .. } => {
                Some(Copied { place: item.clone(), id: snapshot.clone(), made: false, marks: Vec::new() })
            }
            Command::Backup { .. } => None,
        };
        let made = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::StepFinished { out, .. } => {
                let id = SnapshotId::new(out.get("snapshot")?.as_str()?).ok()?;
                let place = out.get("item").and_then(|item| serde_json::from_value(item.clone()).ok());
                let place = place.unwrap_or_else(|| self.plan.command.place().clone());
                let marks = out.get("marks").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
                let marks = marks.map(|mark| CleanText::new(mark).one_line()).collect();
                Some(Copied { place, id, made: true, marks })
            }
            _ => None,
        });
        brought.into_iter().chain(made).collect()
    }

    fn kept(&self) -> BTreeMap<HostId, Vec<String>> {
        let listed = self.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::RunFinished { kept, .. } => Some(kept.clone()),
            _ => None,
        });
        match listed {
            Some(listed) if !listed.is_empty() || self.was_left() => listed,
            // It has not ended, or before runs said so in their journal.
            _ => {
                let (plan, states) = (fill_in_run(self.plan.clone(), &self.run), states_of(&self.events));
                let hosts = plan.steps.iter().map(|step| step.host.clone());
                let kept = hosts.map(|host| (host.clone(), rollback::kept_on(&host, &plan, &states)));
                kept.filter(|(_, paths)| !paths.is_empty()).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::GateId;
    use crate::model::plan::Gate;

    fn told(kinds: Vec<EventKind>) -> Told {
        let run = RunId::new("20261120T184500Z-7f3a9c").unwrap();
        let item = ItemRef {
            owner: "val-1".parse().unwrap(),
            service: "files".parse().unwrap(),
            item: "tree".parse().unwrap(),
        };
        let gate =
            Gate { id: GateId::new("overwrite").unwrap(), question: "Replace it?".into(), word: "spare-1".into() };
        let chosen = Chosen { key: "guard".into(), value: "8".into(), by_default: false };
        let plan = Plan {
            command: Command::Backup { item, reason: None },
            basis: BTreeMap::new(),
            choices: vec![chosen],
            gates: vec![gate],
            guards: vec![],
            steps: vec![],
            leaves: vec![],
            proves: false,
            entry: None,
        };
        let events = (0..).zip(kinds).map(|(seq, kind)| Event {
            schema: 1,
            run: run.clone(),
            seq,
            at: Timestamp::from_second(1_800_000_000).unwrap(),
            kind,
        });
        Told::of(run.clone(), plan, events.collect(), None, None)
    }

    fn said(gate: &str, word: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(gate.to_owned(), word.to_owned())])
    }

    fn console(name: &str) -> ConsoleId {
        ConsoleId::new(name).unwrap()
    }

    #[test]
    fn every_console_s_words_are_told_with_what_was_asked() {
        let began = EventKind::RunStarted {
            plan_hash: String::new(),
            console: console("one"),
            epoch: 1,
            confirmed: said("overwrite", "spare-1"),
        };
        let taken = EventKind::RunAdopted {
            console: console("two"),
            epoch: 2,
            how: Resume::RollBack,
            confirmed: said("fenced-val-2", "val-2"),
        };
        let account = told(vec![began, taken]).account();
        let told: Vec<_> = account
            .confirmed
            .iter()
            .map(|one| (one.console.as_str(), one.gate.as_str(), one.word.as_str(), one.question.is_some()))
            .collect();
        assert_eq!(told, [("one", "overwrite", "spare-1", true), ("two", "fenced-val-2", "val-2", false)]);
        assert_eq!(account.choices[0].value, "8");
    }

    #[test]
    fn events_from_before_words_were_journalled_are_read() {
        let run = r#"{"schema":1,"run":"20261120T184500Z-7f3a9c","seq":0,"at":"2026-11-20T18:45:00Z","#;
        for (kind, how) in [
            (r#""kind":"run_started","plan_hash":"x","console":"one","epoch":1}"#, None),
            (r#""kind":"run_adopted","console":"one","epoch":2}"#, Some(Resume::GoOn)),
            (r#""kind":"run_finished","exit":"done"}"#, None),
        ] {
            let event: Event = serde_json::from_str(&format!("{run}{kind}")).unwrap();
            let told = told(vec![event.kind]);
            assert_eq!((told.taken_up_to(), told.account().confirmed.len()), (how, 0), "{kind}");
        }
    }

    #[test]
    fn a_run_that_was_left_is_not_taken_for_one_that_finished() {
        let left = |how| {
            let taken = EventKind::RunAdopted { console: console("two"), epoch: 2, how, confirmed: BTreeMap::new() };
            let ended = EventKind::RunFinished { exit: Exit::Done, failure: None, kept: BTreeMap::new() };
            told(vec![taken, ended]).was_left()
        };
        assert!(left(Resume::Leave) && !left(Resume::GoOn) && !left(Resume::RollBack));
    }
}
