//! From what an operator wants to a plan: probe first, then everything is pure.

use std::collections::BTreeMap;

use super::canonical::plan_hash;
use super::scan::{Found, Prober, Wanted, settings_of, wanted_of};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{HostId, ItemRef, OwnerId, ServiceName};
use crate::model::inventory::ServiceEntry;
use crate::model::item::{Item, Standing};
use crate::model::manifest::Manifest;
use crate::model::plan::{Choice, Chosen, Command, Gate, Plan};
use crate::model::text::CleanText;
use crate::model::units::Seconds;
use crate::services::{self, Ask, Draft, Sighting, Whereabouts, common};

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
    /// Where else the identity was looked for.
    pub sightings: Vec<Sighting>,
}

impl Planned {
    /// The gates that `given` does not answer with the right word.
    pub fn open_gates(&self, given: &BTreeMap<String, String>) -> Vec<&Gate> {
        self.plan.gates.iter().filter(|gate| given.get(gate.id.as_str()) != Some(&gate.word)).collect()
    }
}

/// The engine's own choice: how long a node waits for the console.
const GUARD_CHOICE: &str = "guard";

fn guard_choice() -> Choice {
    Choice {
        key: GUARD_CHOICE.to_owned(),
        question: "For how many seconds does the node wait for the console before it acts by itself?".to_owned(),
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
        let found = self.probe(&self.wanted(&place.owner, &place.service)?)?;
        plan_backup_of(found, place, reason, set)
    }

    /// Plans to bring a snapshot back onto a host.
    pub fn plan_restore(&self, manifest: &Manifest, to: &HostId, set: &BTreeMap<String, String>) -> Result<Planned> {
        self.links.host(to)?;
        let wanted = self.target(manifest, to)?;
        let found = self.probe_on(to, &wanted)?;
        let item =
            found.items.iter().find(|item| item.id == manifest.item.item).cloned().unwrap_or_else(|| item_of(manifest));
        let sightings = self.sight(manifest, to);
        let command = Command::Restore { item: manifest.item.clone(), snapshot: manifest.id.clone(), to: to.clone() };
        assemble(command, found, item, Some(manifest), sightings, set)
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

    /// Looks on every other host that has such a service, and on the one it came from, for the snapshot's identities.
    fn sight(&self, manifest: &Manifest, to: &HostId) -> Vec<Sighting> {
        if manifest.identities.is_empty() {
            return Vec::new();
        }
        let source = &manifest.source.host;
        let was_source = |host: &HostId| {
            host == source || self.inventory.hosts.get(host).is_some_and(|h| h.formerly.contains(&source.into()))
        };
        let mut sightings = Vec::new();
        for wanted in wanted_of(self.inventory).iter().filter(|w| w.entry.kind == manifest.kind) {
            for host in wanted.hosts.iter().filter(|host| *host != to) {
                let (unit, state) = match self.probe_on(host, wanted) {
                    Ok(found) => {
                        // Stopping the unit would not stop what runs outside it.
                        let unit = found.facts.units.first().filter(|_| !found.facts.outside);
                        (unit.map(|facts| facts.unit.clone()), whereabouts(&found, manifest))
                    }
                    Err(failure) => (None, Whereabouts::Unreachable(CleanText::new(&failure.message))),
                };
                // A host that never had it and does not answer proves nothing either way; only the source's silence is a question.
                if was_source(host) || !matches!(state, Whereabouts::Unreachable(_)) {
                    sightings.push(Sighting { host: host.clone(), unit, state });
                }
            }
        }
        if source != to && !sightings.iter().any(|sighting| was_source(&sighting.host)) {
            let why = if self.inventory.hosts.contains_key(source) {
                "the inventory names no such service on it any more"
            } else {
                "it is not in the inventory any more"
            };
            sightings.push(Sighting { host: source.clone(), unit: None, state: Whereabouts::Unreachable(why.into()) });
        }
        sightings
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
        Standing::Impossible(why) => {
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
    assemble(command, found, item, None, Vec::new(), set)
}

fn whereabouts(found: &Found, manifest: &Manifest) -> Whereabouts {
    let shared: Vec<_> = found.facts.identities.iter().filter(|id| manifest.identities.contains(id)).cloned().collect();
    let heard: Vec<_> = found.facts.heard.iter().filter(|id| manifest.identities.contains(id)).cloned().collect();
    let units = &found.facts.units;
    let running = found.facts.outside || units.iter().any(crate::model::facts::UnitFacts::is_running);
    match (shared.is_empty(), running) {
        (true, _) if !heard.is_empty() => Whereabouts::Heard(heard),
        (true, _) => Whereabouts::Elsewhere,
        (false, true) => Whereabouts::Alive(shared),
        (false, false) => Whereabouts::Stopped { fenced: !units.is_empty() && units.iter().all(|facts| facts.fenced) },
    }
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

fn assemble(
    command: Command,
    found: Found,
    item: Item,
    manifest: Option<&Manifest>,
    sightings: Vec<Sighting>,
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
        manifest,
        sightings: &sightings,
        chosen: &no_choice,
    };
    let mut choices = driver.choices(&ask);
    choices.push(guard_choice());
    let chosen = choose(&choices, set)?;
    let mut draft = driver.plan(&Ask { chosen: &chosen, ..ask })?;
    let expects = std::mem::take(&mut draft.expects);
    let plan = finish(command, draft, &choices, &chosen, set)?;
    let hash = plan_hash(&plan)?;
    Ok(Planned { plan, hash, found, item, choices, expects, sightings })
}

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
    };
    check_plan(&plan)?;
    Ok(plan)
}

/// The rules every plan keeps: what stops something is guarded, what fences is not, and every op exists.
fn check_plan(plan: &Plan) -> Result<()> {
    use crate::model::plan::Effect;
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
    let changed: Vec<_> = changed.into_iter().map(String::as_str).collect();
    let what = if changed.is_empty() { "the plan itself".to_owned() } else { changed.join(", ") };
    Err(Failure::new(Exit::Stale, format!("What the plan rests on has changed: {what}."))
        .hint("Look at the new plan, then run that one."))
}
