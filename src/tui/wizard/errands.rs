//! The errands the engine has commands for: back up, restore, verify.

use std::collections::{BTreeMap, BTreeSet};

use super::checks;
use super::errand::{Errand, Field, Kind, Needs, choice_field, choice_fields, set_for};
use super::preview::shell_row;
use crate::engine::holdings::{CopyView, Shelf};
use crate::engine::phrases::{count, rung_word};
use crate::engine::planner::Planned;
use crate::model::exit::Exit;
use crate::model::ids::{HostId, ItemRef, SnapshotId};
use crate::model::units::{ByteSize, Seconds};
use crate::services::common::fence_choice;
use crate::tui::message::Wish;
use crate::tui::model::{Job, Model, Stage};
use crate::tui::theme::Role;
use crate::tui::widgets::sheet::{Row, Sign};

/// Copies items into the vault.
pub struct BackUp {
    items: Vec<(ItemRef, bool)>,
    reason: String,
    set: BTreeMap<String, String>,
}

impl BackUp {
    /// Of these items.
    pub fn of(items: Vec<ItemRef>) -> Self {
        Self::again(items, None, BTreeMap::new())
    }

    /// As it was wished for once.
    pub fn again(items: Vec<ItemRef>, reason: Option<String>, set: BTreeMap<String, String>) -> Self {
        let items = items.into_iter().map(|item| (item, true)).collect();
        Self { items, reason: reason.unwrap_or_default(), set }
    }

    /// Several together as they were wished for once, with what was chosen for any of them; nothing when they are not
    /// several backups.
    pub fn all_again(wishes: &[&Wish]) -> Option<Self> {
        let (mut items, mut why, mut chosen) = (Vec::new(), None, BTreeMap::new());
        for wish in wishes {
            let Wish::BackUp { item, reason, set } = wish else { return None };
            items.push(item.clone());
            why = why.or_else(|| reason.clone());
            chosen.extend(set.clone());
        }
        (items.len() > 1).then(|| Self::again(items, why, chosen))
    }
}

impl Errand for BackUp {
    fn name(&self) -> &'static str {
        "back up"
    }

    fn title(&self, _model: &Model) -> String {
        match self.items.as_slice() {
            [(item, _)] => format!("Back up {item}"),
            items => match items.iter().filter(|(_, is_in)| *is_in).count() {
                all if all == items.len() => format!("Back up {all} items"),
                some => format!("Back up {some} of {} items", items.len()),
            },
        }
    }

    fn fields(&self, model: &Model, planned: &[&Planned]) -> Vec<Field> {
        let about = |item: &ItemRef| match model.fleet.item(item).and_then(crate::engine::fleet::ItemView::last_good) {
            Some(at) => format!("last good copy {} old", age(model, at)),
            None => "never copied well".to_owned(),
        };
        let mut fields: Vec<Field> = match self.items.as_slice() {
            [(item, _)] => vec![Field::fixed("item", item.to_string(), about(item))],
            items => items
                .iter()
                .map(|(item, is_in)| Field {
                    key: format!("item:{item}"),
                    label: "item".to_owned(),
                    value: item.to_string(),
                    about: about(item),
                    kind: Kind::Switch(*is_in),
                })
                .collect(),
        };
        fields.push(Field::fixed("into", model.place.told(&model.place.vault), String::new()));
        fields.push(Field {
            key: "reason".to_owned(),
            label: "reason".to_owned(),
            value: self.reason.clone(),
            about: "why, for the manifest; may be empty".to_owned(),
            kind: Kind::Text,
        });
        fields.extend(choice_fields(planned, &self.set));
        fields
    }

    fn set(&mut self, key: &str, value: String, _model: &Model) {
        if key == "reason" {
            self.reason = value;
        } else if let Some(key) = key.strip_prefix("set:") {
            self.set.insert(key.to_owned(), value);
        } else if let Some(name) = key.strip_prefix("item:")
            && let Some((_, is_in)) = self.items.iter_mut().find(|(item, _)| item.to_string() == name)
        {
            *is_in = value == "in";
        }
    }

    fn wishes(&self, model: &Model) -> Result<Vec<Wish>, String> {
        let reason = Some(self.reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        // The newest job of each item; a batch may have hundreds.
        let known: BTreeMap<&ItemRef, &Job> = model
            .jobs
            .iter()
            .filter_map(|job| match &job.wish {
                Wish::BackUp { item, .. } => Some((item, job)),
                _ => None,
            })
            .collect();
        let wishes: Vec<Wish> = self
            .items
            .iter()
            .filter(|(_, is_in)| *is_in)
            .map(|(item, _)| Wish::BackUp {
                item: item.clone(),
                reason: reason.clone(),
                set: if self.items.len() > 1 { set_for(known.get(item).copied(), &self.set) } else { self.set.clone() },
            })
            .collect();
        if wishes.is_empty() { Err("No item is left to back up.".to_owned()) } else { Ok(wishes) }
    }

    fn checks(&self, model: &Model, jobs: &[&Job]) -> Vec<Row> {
        match jobs {
            [job] => checks::of_backup(model, job),
            jobs => jobs.iter().flat_map(|job| checks::in_short(job)).collect(),
        }
    }
}

/// Brings a copy back.
pub struct Restore {
    item: Option<ItemRef>,
    snapshot: Option<SnapshotId>,
    to: Option<HostId>,
    set: BTreeMap<String, String>,
}

impl Restore {
    /// Of a copy; what is not given is chosen on the first page.
    pub fn of(item: Option<ItemRef>, snapshot: Option<SnapshotId>) -> Self {
        Self { item, snapshot, to: None, set: BTreeMap::new() }
    }

    /// As it was wished for once.
    pub fn again(item: ItemRef, snapshot: SnapshotId, to: HostId, set: BTreeMap<String, String>) -> Self {
        Self { item: Some(item), snapshot: Some(snapshot), to: Some(to), set }
    }

    fn copies<'m>(&self, model: &'m Model) -> &'m [CopyView] {
        self.shelf(model).map_or(&[], |shelf| &shelf.copies)
    }

    fn shelf<'m>(&self, model: &'m Model) -> Option<&'m Shelf> {
        model.holdings.as_ref()?.items.get(self.item.as_ref()?)
    }

    /// The copy meant: the one chosen, else the one that would be taken where nobody names one.
    fn copy<'m>(&self, model: &'m Model) -> Option<&'m CopyView> {
        let kept = self.shelf(model)?;
        match &self.snapshot {
            Some(id) => kept.copies.iter().find(|copy| copy.id == *id),
            None => kept.copies.get(kept.best.ok()?),
        }
    }

    /// The host meant: the one chosen, else the one the copy came from while the inventory names it.
    fn target(&self, model: &Model) -> Option<HostId> {
        let from = self.copy(model).map(|copy| copy.source.clone());
        let is_known = |host: &HostId| model.fleet.owner(&host.into()).is_some();
        self.to.clone().or_else(|| from.filter(is_known))
    }

    fn items(model: &Model) -> Vec<(String, String)> {
        let items = model.holdings.iter().flat_map(|holdings| &holdings.items);
        items.map(|(item, shelf)| (item.to_string(), count(shelf.copies.len(), "copy"))).collect()
    }

    /// The kind of the item's service: as the inventory has it, else its name.
    fn kind(&self, model: &Model) -> Option<String> {
        let item = self.item.as_ref()?;
        let services = model.fleet.owner(&item.owner).into_iter().flat_map(|owner| &owner.services);
        let service = services.into_iter().find(|service| service.name == item.service);
        Some(service.map_or_else(|| item.service.to_string(), |service| service.kind.clone()))
    }

    /// Hosts that have such a service first.
    fn hosts(&self, model: &Model) -> Vec<(String, String)> {
        let kind = self.kind(model);
        let hosts = model.fleet.owners.iter().filter(|owner| !owner.is_cluster());
        let serves = |owner: &crate::engine::fleet::OwnerView| {
            let cluster =
                model.fleet.owners.iter().filter(|c| c.members.iter().any(|m| m.as_str() == owner.id.as_str()));
            let services = cluster.chain(std::iter::once(owner)).flat_map(|owner| &owner.services);
            services.into_iter().any(|service| Some(&service.kind) == kind.as_ref())
        };
        let mut rows: Vec<(bool, String, String)> = hosts
            .map(|owner| {
                let fits = serves(owner);
                let about = match (fits, &owner.reach) {
                    (_, crate::engine::fleet::Reach::Failed(..)) => "does not answer",
                    (true, _) => "has such a service",
                    (false, _) => "has no such service in the inventory",
                };
                (!fits, owner.id.to_string(), about.to_owned())
            })
            .collect();
        rows.sort();
        rows.into_iter().map(|(_, id, about)| (id, about)).collect()
    }
}

impl Errand for Restore {
    fn name(&self) -> &'static str {
        "restore"
    }

    fn title(&self, model: &Model) -> String {
        match (&self.item, self.target(model)) {
            (None, _) => "Restore".to_owned(),
            (Some(item), None) => format!("Restore {item}"),
            (Some(item), Some(to)) => format!("Restore {item} to {to}"),
        }
    }

    fn fields(&self, model: &Model, planned: &[&Planned]) -> Vec<Field> {
        let item = self.item.as_ref().map_or(String::new(), ToString::to_string);
        let mut fields = vec![Field::one_of("item", "item", item, Self::items(model))];
        let copies = self.copies(model).iter().map(|copy| (copy.id.to_string(), copy_about(model, copy))).collect();
        let chosen = self.copy(model).map_or(String::new(), |copy| copy.id.to_string());
        fields.push(Field::one_of("snapshot", "copy", chosen, copies));
        let to = self.target(model).map_or(String::new(), |to| to.to_string());
        fields.push(Field::one_of("to", "onto", to, self.hosts(model)));
        let choices = choice_fields(planned, &self.set);
        if !choices.iter().any(|field| field.key == "set:fence") {
            let alive = model.jobs.iter().rev().find(|job| self.is_mine(job));
            if alive.is_some_and(|job| matches!(&job.stage, Stage::Failed(f) if f.exit == Exit::AliveElsewhere)) {
                fields.push(choice_field(&fence_choice(), &self.set));
            }
        }
        fields.extend(choices);
        fields
    }

    fn set(&mut self, key: &str, value: String, _model: &Model) {
        match key {
            "item" => {
                self.item = value.parse::<crate::vault::SnapshotRef>().ok().map(|reference| reference.item);
                (self.snapshot, self.to) = (None, None);
                self.set.clear();
            }
            "snapshot" => self.snapshot = SnapshotId::new(value).ok(),
            "to" => {
                self.to = HostId::new(value).ok();
                self.set.clear();
            }
            key => {
                if let Some(key) = key.strip_prefix("set:") {
                    self.set.insert(key.to_owned(), value);
                }
            }
        }
    }

    fn wishes(&self, model: &Model) -> Result<Vec<Wish>, String> {
        let Some(item) = self.item.clone() else {
            return Err(match &model.holdings {
                None => "The vault has not been read yet.".to_owned(),
                Some(holdings) if holdings.items.is_empty() => {
                    "The vault holds nothing yet: back something up first.".to_owned()
                }
                Some(_) => "Choose what to restore.".to_owned(),
            });
        };
        let Some(copy) = self.copy(model) else {
            return Err(match self.copies(model).len() {
                0 if model.holdings.is_none() => "The vault has not been read yet.".to_owned(),
                0 => format!("The vault holds no copy of {item}."),
                _ => {
                    let why = self.shelf(model).and_then(|shelf| shelf.best.err()).unwrap_or("the copy is gone");
                    format!("Choose the copy yourself: {why}.")
                }
            });
        };
        let Some(to) = self.target(model) else { return Err("Choose the host it goes to.".to_owned()) };
        Ok(vec![Wish::Restore { item, snapshot: copy.id.clone(), to, set: self.set.clone() }])
    }

    fn checks(&self, model: &Model, jobs: &[&Job]) -> Vec<Row> {
        let copy = self.copy(model);
        jobs.iter().flat_map(|job| checks::of_restore(model, job, copy)).collect()
    }
}

impl Restore {
    fn is_mine(&self, job: &Job) -> bool {
        matches!(&job.wish, Wish::Restore { item, .. } if Some(item) == self.item.as_ref())
    }
}

/// What the whole vault is.
const WHOLE: &str = "Every copy of every item, also of hosts in no inventory, and every receipt. What came by then is checked too; what is damaged so that it is no copy any more is told.";

/// Checks stored copies, offline.
pub struct Verify {
    copies: Vec<(ItemRef, SnapshotId)>,
    left_out: BTreeSet<usize>,
    /// Whether everything the vault holds is meant, and not these by name.
    is_whole: bool,
}

impl Verify {
    /// These copies.
    pub fn of(copies: Vec<(ItemRef, SnapshotId)>) -> Self {
        Self { copies, left_out: BTreeSet::new(), is_whole: false }
    }

    /// The whole vault, which holds these now.
    pub fn whole(copies: Vec<(ItemRef, SnapshotId)>) -> Self {
        Self { is_whole: true, ..Self::of(copies) }
    }

    fn chosen(&self) -> Vec<(ItemRef, SnapshotId)> {
        let kept = self.copies.iter().enumerate().filter(|(at, _)| !self.left_out.contains(at));
        kept.map(|(_, copy)| copy.clone()).collect()
    }

    fn what(&self, model: &Model) -> String {
        let chosen = self.chosen().len();
        format!("{}, {} in clear", count(chosen, "copy"), self.size(model))
    }

    fn size(&self, model: &Model) -> ByteSize {
        let Some(holdings) = &model.holdings else { return ByteSize(0) };
        let of = |(item, id): &(ItemRef, SnapshotId)| {
            holdings.copies(item).iter().find(|copy| copy.id == *id).map_or(ByteSize(0), |copy| copy.size)
        };
        self.chosen().iter().map(of).sum()
    }
}

impl Errand for Verify {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn title(&self, _model: &Model) -> String {
        match self.copies.as_slice() {
            _ if self.is_whole => "Verify the whole vault".to_owned(),
            [(item, id)] => format!("Verify {item}@{id}"),
            copies => format!("Verify {} copies", copies.len()),
        }
    }

    fn fields(&self, model: &Model, _planned: &[&Planned]) -> Vec<Field> {
        let judged = |item: &ItemRef, id: &SnapshotId| {
            let copies = model.holdings.as_ref().map_or(&[][..], |holdings| holdings.copies(item));
            let copy = copies.iter().find(|copy| copy.id == *id);
            copy.map_or("not in the vault any more".to_owned(), |copy| copy_about(model, copy))
        };
        if self.is_whole {
            return vec![Field::fixed("copies", self.what(model), WHOLE)];
        }
        let rows = self.copies.iter().enumerate();
        rows.map(|(at, (item, id))| Field {
            key: at.to_string(),
            label: "copy".to_owned(),
            value: format!("{item}@{id}"),
            about: judged(item, id),
            kind: if self.copies.len() == 1 { Kind::Fixed } else { Kind::Switch(!self.left_out.contains(&at)) },
        })
        .collect()
    }

    fn set(&mut self, key: &str, value: String, _model: &Model) {
        let Ok(at) = key.parse() else { return };
        if value == "in" {
            self.left_out.remove(&at)
        } else {
            self.left_out.insert(at)
        };
    }

    fn wishes(&self, _model: &Model) -> Result<Vec<Wish>, String> {
        match self.chosen() {
            chosen if chosen.is_empty() => Err("No copy is left to verify.".to_owned()),
            chosen if self.is_whole => Ok(vec![Wish::VerifyVault(chosen)]),
            chosen => Ok(vec![Wish::Verify(chosen)]),
        }
    }

    fn needs(&self) -> Needs {
        Needs::Nothing
    }

    fn changes(&self) -> bool {
        false
    }

    fn checks(&self, _model: &Model, _jobs: &[&Job]) -> Vec<Row> {
        Vec::new()
    }

    fn preview(&self, model: &Model, _jobs: &[&Job]) -> Vec<Row> {
        let chosen = self.chosen();
        let mut rows = vec![
            Row::pair("what", self.what(model)),
            Row::pair("where", format!("in {}, offline: no node is asked", model.place.told(&model.place.vault))),
            Row::pair(
                "how",
                "Stored bytes against their hashes; with a key at hand, the service's own format in full.",
            ),
            Row::pair("stops", "nothing"),
            Row::pair("overwrites", "nothing; a dated proof is added beside each copy"),
            Row::gap(),
        ];
        if self.is_whole {
            rows.push(Row::say(Role::Text, WHOLE));
        } else {
            rows.extend(chosen.iter().map(|(item, id)| Row::signed(Sign::Next, format!("{item}@{id}"))));
        }
        rows.push(Row::gap());
        rows.push(shell_row());
        if let Ok(wishes) = self.wishes(model) {
            rows.extend(wishes.iter().map(|wish| Row::command(self.command(&model.place, wish, None))));
        }
        rows
    }
}

/// How old something is, as people say it.
pub fn age(model: &Model, at: jiff::Timestamp) -> Seconds {
    Seconds(u64::try_from(model.now.duration_since(at).as_secs()).unwrap_or(0))
}

/// Age, size, rung and what speaks against a copy.
pub fn copy_about(model: &Model, copy: &CopyView) -> String {
    let shown = rung_word(copy.highest().map(|(rung, _)| rung));
    let mut about = format!("{} old, {}, {shown}", age(model, copy.created), copy.size);
    for why in &copy.against {
        about.push_str(&format!("; {why}"));
    }
    about
}
