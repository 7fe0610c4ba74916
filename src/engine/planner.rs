//! From what an operator wants to a plan: probe first, then everything is pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::canonical::plan_hash;
use super::fleet::Fleet;
use super::scan::{Found, Prober, Wanted, settings_of, wanted_of};
use super::sightings::{Homes, Sightings, Sought};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GateId, HostId, ItemRef, OwnerId, ServiceName, StepId};
use crate::model::inventory::{Host, ServiceEntry};
use crate::model::item::{Item, Standing};
use crate::model::manifest::Manifest;
use crate::model::plan::{Choice, Chosen, Command, Effect, Gate, Plan};
use crate::model::text::CleanText;
use crate::model::units::{ByteSize, Seconds};
use crate::services::{self, Ask, Draft, GUARD_CHOICE, Sighting, common};
use crate::vault::Vault;

/// A plan with everything its preview shows.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan itself.
    pub plan: Plan,
    /// Its hash.
    pub hash: String,
    /// The service as it was found.
    pub found: Found,
    /// The item as it was found.
    pub item: Item,
    /// Every question with its values, for a wizard.
    pub choices: Vec<Choice>,
    /// What it is likely to cost; estimates, so no part of the plan.
    pub expects: Vec<CleanText>,
    /// Those of them that are told again beside what was measured; see [`Draft::foretold`].
    pub foretold: serde_json::Value,
    /// Where else the identity was looked for.
    pub sightings: Vec<Sighting>,
}

impl Planned {
    /// The gates that `given` does not answer with the right word.
    pub fn open_gates(&self, given: &BTreeMap<String, String>) -> Vec<&Gate> {
        open_gates(&self.plan.gates, given)
    }

    /// Says what stands against copying into a vault that has `free` bytes, where the item may not fit.
    ///
    /// It is told and nothing is refused: what a probe counts may be more than what travels, for it does not know what is
    /// left out, has holes or is compressed, and it may be less, for files grow. A disk that is certainly too full,
    /// without room even for the run's own journal, ends the run before anything is stopped.
    pub fn expect_room(&mut self, free: Option<u64>) {
        let (Some(free), Some(ByteSize(size)), Command::Backup { .. }) = (free, self.item.size, &self.plan.command)
        else {
            return;
        };
        if size > free {
            self.expects.push(may_not_fit(size, free).into());
        }
    }

    /// Says of a backup whose item holds an identity that its fleet shows it running elsewhere too. Nothing is refused: a
    /// copy of a twin is as good as one of the other.
    pub fn expect_twins(&mut self, fleet: &Fleet, now: Timestamp) {
        let (Command::Backup { item, .. }, found) = (&self.plan.command, &self.found) else { return };
        let told = fleet
            .twins()
            .iter()
            .filter(|twin| twin.is_at(&found.host, &found.facts.identities) && twin.is_in(&found.kind, &item.item));
        let told: Vec<CleanText> =
            told.map(|twin| format!("{} {}", twin.beside(&found.host, now), twin.advice()).into()).collect();
        self.expects.extend(told);
    }

    /// The values that somebody chose, as they were given.
    pub fn set(&self) -> BTreeMap<String, String> {
        let chosen = self.plan.choices.iter().filter(|choice| !choice.by_default);
        chosen.map(|choice| (choice.key.clone(), choice.value.clone())).collect()
    }
}

/// What is said of copies that a vault may not have room for.
pub fn may_not_fit(size: u64, free: u64) -> String {
    let (size, free) = (ByteSize(size), ByteSize(free));
    format!("about {size} are copied and the vault's disk has {free} free: it may not fit")
}

/// Of some gates those that `given` does not answer with the right word.
pub fn open_gates<'g>(gates: &'g [Gate], given: &BTreeMap<String, String>) -> Vec<&'g Gate> {
    gates.iter().filter(|gate| given.get(gate.id.as_str()) != Some(&gate.word)).collect()
}

fn guard_choice() -> Choice {
    Choice {
        key: GUARD_CHOICE.to_owned(),
        question: "After how many silent seconds does the node act by itself?".to_owned(),
        values: Vec::new(),
        default: "60".to_owned(),
    }
}

impl Prober<'_> {
    /// Plans a backup of one item.
    pub fn plan_backup(
        &self,
        place: &ItemRef,
        reason: Option<String>,
        set: &BTreeMap<String, String>,
    ) -> Result<Planned> {
        let found = self.probe_for(&self.wanted(&place.owner, &place.service)?, Some(&place.item))?;
        plan_backup_of(found, place, reason, set)
    }

    /// Plans a backup once more from the host it was planned from, as long as that one can serve: a whole service of a
    /// cluster may have been found on another member than one item of it is found on first, and both plans are right.
    pub fn plan_backup_again(
        &self,
        place: &ItemRef,
        from: &HostId,
        reason: Option<String>,
        set: &BTreeMap<String, String>,
    ) -> Result<Planned> {
        let mut wanted = self.wanted(&place.owner, &place.service)?;
        wanted.hosts.sort_by_key(|host| host != from);
        plan_backup_of(self.probe_for(&wanted, Some(&place.item))?, place, reason, set)
    }

    /// Plans to bring a snapshot back onto a host; `vault` tells where its identities have been.
    pub fn plan_restore(
        &self,
        vault: &Vault,
        manifest: &Manifest,
        to: &HostId,
        set: &BTreeMap<String, String>,
    ) -> Result<Planned> {
        self.links.host(to)?;
        let wanted = self.target(manifest, to)?;
        let found = self.probe_on(to, &wanted)?;
        let item =
            found.items.iter().find(|item| item.id == manifest.item.item).cloned().unwrap_or_else(|| item_of(manifest));
        let source = Some(&manifest.source.host);
        let sought = Sought { kind: &manifest.kind, identities: &manifest.identities, to, source };
        let sightings = self.sight(&sought, &Homes::of(vault, &manifest.identities, self.clock.now())?);
        let command = Command::Restore { item: manifest.item.clone(), snapshot: manifest.id.clone(), to: to.clone() };
        let saved = Saved { manifest, is_its_host: self.is_same_host(&manifest.source.host, to) };
        assemble(command, found, item, Some(saved), sightings, set)
    }

    /// Whether a host is the one that went by a name, now or formerly.
    fn is_same_host(&self, name: &HostId, host: &HostId) -> bool {
        let formerly = |host: &Host| host.formerly.contains(&OwnerId::from(name));
        name == host || self.inventory.hosts.get(host).is_some_and(formerly)
    }

    /// The entry of a host or cluster.
    fn wanted(&self, owner: &OwnerId, service: &ServiceName) -> Result<Wanted> {
        let all = wanted_of(self.inventory);
        let known: Vec<_> = all.iter().map(|w| format!("{}/{}", w.owner, w.entry.name)).collect();
        all.into_iter().find(|w| w.owner == *owner && w.entry.name == *service).ok_or_else(|| {
            Failure::new(Exit::Nothing, format!("There is no service '{service}' of '{owner}' in the inventory."))
                .hint(format!("Known services: {}.", known.join(", ")))
        })
    }

    /// The target's entry of the snapshot's kind; when it has none, the source's own, when that is gone, the defaults.
    fn target(&self, manifest: &Manifest, to: &HostId) -> Result<Wanted> {
        let all = wanted_of(self.inventory);
        let fits = |w: &&Wanted| w.entry.kind == manifest.kind && w.hosts.contains(to);
        let same_name = all.iter().filter(fits).find(|w| w.entry.name == manifest.item.service);
        let of_source = || all.iter().find(|w| w.owner == manifest.item.owner && w.entry.name == manifest.item.service);
        let entry = match same_name.or_else(|| all.iter().find(fits)).or_else(of_source) {
            Some(wanted) => wanted.entry.clone(),
            None => ServiceEntry {
                name: manifest.item.service.clone(),
                kind: manifest.kind.clone(),
                settings: toml::Table::new(),
                lines: BTreeMap::new(),
                policy: crate::model::inventory::Policy::default(),
            },
        };
        settings_of(self.inventory, &to.into(), &entry)?;
        Ok(Wanted { owner: to.into(), hosts: vec![to.clone()], entry })
    }
}

/// Plans a backup of one item of a service that was just looked at. Pure.
pub fn plan_backup_of(
    found: Found,
    place: &ItemRef,
    reason: Option<String>,
    set: &BTreeMap<String, String>,
) -> Result<Planned> {
    let item = found.item(&place.item)?.clone();
    match &item.standing {
        Standing::Ready => {}
        Standing::Impossible(why) | Standing::NotAsked(why) | Standing::Elsewhere(why) => {
            return Err(Failure::new(
                Exit::Failed,
                format!("{place} cannot be backed up: {}.", why.as_str().trim_end_matches('.')),
            ));
        }
        Standing::Absent(why) => {
            return Err(Failure::new(
                Exit::Nothing,
                format!("{place} is not there: {}.", why.as_str().trim_end_matches('.')),
            ));
        }
    }
    let command = Command::Backup { item: place.clone(), reason };
    assemble(command, found, item, None, Sightings::default(), set)
}

/// The item a snapshot is of, for a service that does not list it (yet).
fn item_of(manifest: &Manifest) -> Item {
    Item {
        id: manifest.item.item.clone(),
        title: manifest.item.item.as_str().replace('-', " "),
        size: None,
        sensitivity: manifest.sensitivity,
        copying: manifest.copying,
        standing: Standing::Absent("it is not there yet".into()),
        format: manifest.format.clone(),
        facts: serde_json::Value::Null,
    }
}

/// What a restore brings back.
#[derive(Clone, Copy)]
struct Saved<'a> {
    manifest: &'a Manifest,
    /// Whether it goes back to the host it came from.
    is_its_host: bool,
}

/// The facts of a plan that hold the identities it brings, and those of what it replaces.
pub(super) const BROUGHT: &str = "identities brought";
pub(super) const REPLACED: &str = "identities replaced";

fn assemble(
    command: Command,
    found: Found,
    item: Item,
    saved: Option<Saved>,
    sightings: Sightings,
    set: &BTreeMap<String, String>,
) -> Result<Planned> {
    let driver = services::driver(&found.kind)?;
    let place = command.place().clone();
    let no_choice = BTreeMap::new();
    let ask = Ask {
        command: &command,
        host: &found.host,
        settings: &found.settings,
        facts: &found.facts,
        item: &item,
        place: &place,
        manifest: saved.map(|saved| saved.manifest),
        sightings: &sightings.counted,
        chosen: &no_choice,
    };
    let mut choices = driver.choices(&ask);
    choices.push(guard_choice());
    let chosen = choose(&choices, set)?;
    let mut draft = driver.plan(&Ask { chosen: &chosen, ..ask })?;
    let (expects, foretold) = (std::mem::take(&mut draft.expects), draft.foretold.take());
    if let Some(saved) = saved {
        let lists = [(BROUGHT, &saved.manifest.identities), (REPLACED, &found.facts.identities)];
        let told = lists.into_iter().filter(|(_, identities)| !identities.is_empty());
        draft.basis.extend(told.map(|(name, identities)| (name.to_owned(), serde_json::json!(identities))));
        draft.gates.extend(overwrite(&draft, &found, &item, saved)?);
    }
    let entry = Some(&found.service).filter(|entry| **entry != place.service).cloned();
    let plan = Plan { entry, ..finish(command, draft, &choices, &chosen, set)? };
    let hash = plan_hash(&plan)?;
    let sightings = sightings.counted.into_iter().chain(sightings.untold).collect();
    Ok(Planned { plan, hash, found, item, choices, expects, foretold, sightings })
}

/// Who restores onto another host than the one a copy came from, or over another identity, says so by name, unless the
/// driver asks for it already: what is there now may be a service of its own.
fn overwrite(draft: &Draft, found: &Found, item: &Item, saved: Saved) -> Result<Option<Gate>> {
    let replaces = draft.steps.iter().any(|step| step.effect == Effect::Destroy && step.host == found.host);
    let is_asked = draft.gates.iter().any(|gate| [OVERWRITE, DISCARD].contains(&gate.id.as_str()));
    let (brought, there) = (&saved.manifest.identities, &found.facts.identities);
    let is_another =
        !brought.is_empty() && !there.is_empty() && !there.iter().any(|identity| brought.contains(identity));
    let is_there = matches!(item.standing, Standing::Ready | Standing::NotAsked(_));
    if !replaces || is_asked || !is_there || (saved.is_its_host && !is_another) {
        return Ok(None);
    }
    let whose: Vec<_> = there.iter().map(|identity| identity.value.as_str()).collect();
    let whose = if whose.is_empty() { String::new() } else { format!(" It is {} now.", whose.join(" and ")) };
    let question = format!(
        "What {} has as '{}' is replaced by that of {}.{whose} What is there now is kept aside.",
        found.host, item.title, saved.manifest.source.host
    );
    let id = GateId::new(OVERWRITE).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok(Some(Gate { id, question: question.as_str().into(), word: found.host.to_string() }))
}

/// The gate of what is replaced and kept aside.
const OVERWRITE: &str = "overwrite";

/// The gate of what is replaced and not kept.
const DISCARD: &str = "discard-old";

/// Every choice with the value in force; a key or a value that does not exist is refused.
fn choose(choices: &[Choice], set: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let known: Vec<_> = choices.iter().map(|choice| choice.key.as_str()).collect();
    if let Some(key) = set.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Failure::new(Exit::Usage, format!("There is no choice '{key}' here."))
            .hint(format!("Choices: {}.", known.join(", "))));
    }
    let value_of = |choice: &Choice| {
        let value = set.get(&choice.key).unwrap_or(&choice.default);
        if !choice.values.is_empty() && !choice.values.iter().any(|(name, _)| name == value) {
            let values: Vec<_> = choice.values.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Failure::new(Exit::Usage, format!("'{value}' is no value of the choice '{}'.", choice.key))
                .hint(format!("Values: {}.", values.join(", "))));
        }
        Ok((choice.key.clone(), value.clone()))
    };
    choices.iter().map(value_of).collect()
}

fn finish(
    command: Command,
    draft: Draft,
    choices: &[Choice],
    chosen: &BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
) -> Result<Plan> {
    let mut guards = draft.guards;
    let lapse = chosen.get(GUARD_CHOICE).map_or("60", String::as_str);
    let lapse: u64 = lapse.parse().ok().filter(|seconds| (5..=3600).contains(seconds)).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("The guard cannot wait '{lapse}' seconds.")).hint("Give 5 to 3600.")
    })?;
    for guard in &mut guards {
        guard.lapse = Seconds(lapse);
    }
    let asked = choices.iter().filter(|choice| choice.key != GUARD_CHOICE || !guards.is_empty());
    let chosen = asked.map(|choice| Chosen {
        key: choice.key.clone(),
        value: chosen.get(&choice.key).cloned().unwrap_or_default(),
        by_default: !set.contains_key(&choice.key),
    });
    let plan = Plan {
        command,
        basis: draft.basis,
        choices: chosen.collect(),
        gates: draft.gates,
        guards,
        steps: draft.steps,
        leaves: draft.leaves,
        proves: draft.proves,
        entry: None,
    };
    check_plan(&plan)?;
    Ok(plan)
}

/// The rules every plan keeps: what stops something is guarded, what fences is not, and every op exists.
pub(super) fn check_plan(plan: &Plan) -> Result<()> {
    for step in &plan.steps {
        let wrong = match step.effect {
            Effect::Quiesce if step.guard.is_none() => "stops something without a guard",
            Effect::Fence if step.guard.is_some() => "fences under a guard that would undo it",
            _ if step.guard.is_some() != step.on_lapse.is_some() => "does not say what its guard does",
            _ if step.guard.as_ref().is_some_and(|id| !plan.guards.iter().any(|guard| guard.id == *id)) => {
                "names a guard the plan does not have"
            }
            _ => "",
        };
        if !wrong.is_empty() {
            return Err(Failure::new(Exit::Failed, format!("The plan's step '{}' {wrong}; it is not run.", step.id)));
        }
        if step.op != common::CAPTURE && step.op != common::DELIVER {
            services::op(&step.op)?;
        }
    }
    Ok(())
}

/// Whether a plan made again still rests on the same facts.
///
/// # Errors
/// [`Exit::Stale`], naming what changed.
pub fn check_fresh(old: &Plan, new: &Plan) -> Result<()> {
    let keys = old.basis.keys().chain(new.basis.keys());
    let changed: std::collections::BTreeSet<_> =
        keys.filter(|key| old.basis.get(*key) != new.basis.get(*key)).collect();
    if changed.is_empty() && plan_hash(old)? == plan_hash(new)? {
        return Ok(());
    }
    let mut changed: Vec<String> = changed.into_iter().cloned().collect();
    let steps: std::collections::BTreeSet<_> = old.steps.iter().chain(&new.steps).map(|step| &step.id).collect();
    let of = |plan: &Plan, id: &StepId| plan.steps.iter().find(|step| step.id == *id).cloned();
    changed.extend(steps.into_iter().filter(|id| of(old, id) != of(new, id)).map(|id| format!("step '{id}'")));
    if old.gates != new.gates {
        changed.push("what must be confirmed".to_owned());
    }
    let what = if changed.is_empty() { "the plan itself".to_owned() } else { changed.join(", ") };
    Err(Failure::new(Exit::Stale, format!("What the plan rests on has changed: {what}."))
        .hint("Look at the new plan, then run that one."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::Facts;
    use crate::model::item::{Copying, Sensitivity};

    #[test]
    fn what_is_not_ready_is_no_plan_and_says_why() {
        let place = ItemRef {
            owner: "val-1".parse().unwrap(),
            service: "files".parse().unwrap(),
            item: "tree".parse().unwrap(),
        };
        let standing_as = |standing: Standing| {
            let item = Item {
                id: place.item.clone(),
                title: "tree".to_owned(),
                size: None,
                sensitivity: Sensitivity::Plain,
                copying: Copying::Live,
                standing,
                format: "tar/1".to_owned(),
                facts: serde_json::Value::Null,
            };
            let found = Found {
                owner: place.owner.clone(),
                service: place.service.clone(),
                kind: "files".to_owned(),
                host: HostId::new("val-1").unwrap(),
                settings: serde_json::Value::Null,
                facts: Facts::default(),
                items: vec![item],
            };
            let failure = plan_backup_of(found, &place, None, &BTreeMap::new()).unwrap_err();
            (failure.exit, failure.message)
        };
        let cannot = (Exit::Failed, "val-1/files/tree cannot be backed up: why.".to_owned());
        assert_eq!(standing_as(Standing::Impossible("why.".into())), cannot);
        assert_eq!(standing_as(Standing::NotAsked("why".into())), cannot);
        assert_eq!(standing_as(Standing::Elsewhere("why".into())), cannot);
        let absent = (Exit::Nothing, "val-1/files/tree is not there: why.".to_owned());
        assert_eq!(standing_as(Standing::Absent("why".into())), absent);
    }
}
