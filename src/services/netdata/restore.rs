//! Bringing a snapshot back: staged beside its target, swapped in whole while the agent is down, accepted by asking it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::accept::{AcceptArgs, NO_CHARTS};
use super::backup::LEFT_OUT;
use super::facts::{Api, Own, is_guid, version_of};
use super::figures::Figures;
use super::items::{CONFIG, IDENTITY, METRICS, dir_of};
use super::ready::ReadyArgs;
use super::settings::is_absolute;
use super::sink::SinkArgs;
use super::{AS_CHOICE, KIND, OLD_CHOICE};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GateId, UnitName};
use crate::model::manifest::Manifest;
use crate::model::plan::{Effect, Gate, Step};
use crate::model::text::CleanText;
use crate::model::units::ByteSize;
use crate::services::common::{
    DiscardArgs, Downtime, Fencing, StepMaker, SwapArgs, deliver_step, kept_path, own_facts, plan_fencing, staged_path,
    text_of,
};
use crate::services::{Ask, Draft, Whereabouts};
use crate::transport::quote::quote;

/// How long a restored agent may take until it tells who it is: reading in a large database comes first.
const ACCEPT_WITHIN: u64 = 300;
/// What describes the installation on a node and not the agent: an agent updated by the wrong means breaks.
pub const INSTALL_FILES: [&str; 2] = [".environment", ".install-type"];
/// What makes an agent the one it is; as data under another identity these stay as they are on the target.
const IDENTITY_FILES: [&str; 7] = [
    "registry",
    "cloud.d",
    "netdata.api.key",
    "status-netdata.json",
    "bearer_tokens",
    "mcp_dev_preview_api_key",
    "netdata_random_session_id",
];

/// The GUID a snapshot is of: what its verified bytes say, or else what was seen at backup.
pub fn verified_guid(manifest: &Manifest) -> Option<String> {
    let verified = manifest.facts.get("verified");
    let found = ["machine_guid", "host_guid", "guid"].iter().find_map(|key| verified?.get(*key)?.as_str());
    let guid = found.unwrap_or_else(|| text_of(&manifest.facts, "guid")).to_ascii_lowercase();
    is_guid(&guid).then_some(guid)
}

/// A restore as it takes shape.
struct Restore<'a> {
    ask: &'a Ask<'a>,
    own: &'a Own,
    manifest: &'a Manifest,
    unit: UnitName,
    /// The item.
    id: &'a str,
    /// What is replaced.
    target: String,
    guid: Option<String>,
    as_data: bool,
    discard: bool,
}

/// Plans the restore of an item.
pub fn plan(ask: &Ask) -> Result<Draft> {
    let own: Own = own_facts(ask.facts)?;
    let Some(manifest) = ask.manifest else {
        return Err(Failure::new(Exit::Usage, "A restore needs a snapshot."));
    };
    let id = ask.place.item.as_str();
    let Some(name) = dir_of(id) else {
        return Err(Failure::new(Exit::Nothing, format!("Netdata has no item '{id}'.")));
    };
    let unit = must_be_installed(ask, &own)?;
    let restore = Restore {
        ask,
        own: &own,
        manifest,
        unit,
        id,
        target: own.dir(name).to_owned(),
        guid: verified_guid(manifest),
        as_data: ask.choice(AS_CHOICE) == "data",
        discard: ask.choice(OLD_CHOICE) == "discard",
    };
    restore.must_fit()?;
    restore.draft()
}

fn must_be_installed(ask: &Ask, own: &Own) -> Result<UnitName> {
    let Some(unit) = own.unit.clone().filter(|_| own.installed) else {
        return Err(Failure::new(Exit::Failed, format!("Netdata is not installed on {}: systemd knows no such unit.", ask.host))
            .hint("On Debian and Ubuntu: apt-get install netdata, then systemctl disable --now netdata.")
            .hint("Else with the official installer, without starting it: wget -O /tmp/kickstart.sh https://get.netdata.cloud/kickstart.sh && sh /tmp/kickstart.sh --dont-start-it")
            .hint("If it is installed under another unit, say so in the inventory: unit = \"NAME.service\"."));
    };
    if own.container {
        return Err(Failure::new(
            Exit::Failed,
            format!("Netdata on {} runs in a container; containers are not served yet.", ask.host),
        )
        .hint("Restore by hand into its volumes: see RESTORE.md."));
    }
    if own.masked {
        return Err(Failure::new(
            Exit::Failed,
            format!("{unit} on {} is masked, so it could not be started.", ask.host),
        )
        .hint(format!("Let it start again first: systemctl unmask {unit}")));
    }
    if let Some(pid) = own.strays.first() {
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "Netdata runs on {} as pid {pid} outside {unit}, so it cannot be stopped for the restore.",
                ask.host
            ),
        )
        .hint("Stop that process, or name its unit in the inventory: unit = \"NAME.service\"."));
    }
    Ok(unit)
}

impl Restore<'_> {
    /// What would make the agent lose, or never show, what is restored.
    fn must_fit(&self) -> Result<()> {
        let (ask, own) = (self.ask, self.own);
        let refuse = |message: String| Err(Failure::new(Exit::Failed, message));
        if let (Some(is), Some(was)) = (
            ask.facts.version.as_ref().and_then(|text| version_of(text.as_str())),
            self.manifest.source.version.as_ref().and_then(|text| version_of(text.as_str())),
        ) && is < was
            && self.id != CONFIG
        {
            let said = |version: (u32, u32, u32)| format!("{}.{}.{}", version.0, version.1, version.2);
            return refuse(format!(
                "Netdata on {} is {}, older than the {} that wrote this; it could not read all of it, and it deletes what it cannot read.",
                ask.host,
                said(is),
                said(was)
            ));
        }
        // A restored identity replaces what lies there; anything else would make the agent another one by its start.
        if (self.id != IDENTITY || self.as_data)
            && let Some(why) = own.would_be_another()
        {
            let message = format!("On {} {why}: started again, it would be another one.", ask.host);
            return Err(Failure::new(Exit::Failed, message)
                .hint("Put the file of the one it is back (registry/netdata.public.unique.id), or start it again yourself if it is to be the other.")
                .hint("Or restore the item 'identity', which makes it the one that was saved."));
        }
        if self.id == IDENTITY && self.guid.is_none() {
            return Err(Failure::new(
                Exit::Integrity,
                "The snapshot does not say which GUID it holds, so the restore could not be checked.",
            )
            .hint("Verify it first: lifeboat verify."));
        }
        if let Some(seen) = dir_of(self.id).and_then(|name| own.seen(name)).filter(|_| !self.discard)
            && seen.free < self.bytes()
        {
            let message = format!(
                "{} on {} has {} free; {} are needed to keep what is there aside.",
                self.target,
                ask.host,
                ByteSize(seen.free),
                ByteSize(self.bytes())
            );
            let hint = if seen.free.saturating_add(seen.size) >= self.bytes() {
                "Make room, or let what is there be deleted first, which nothing undoes: --set old=discard."
            } else {
                "Make room there first."
            };
            return Err(Failure::new(Exit::NoSpace, message).hint(hint));
        }
        if self.id != METRICS {
            return Ok(());
        }
        if own.db.mode != "dbengine" {
            return refuse(format!(
                "Netdata on {} keeps its samples in mode '{}', so it would not read what is restored.",
                ask.host, own.db.mode
            ));
        }
        let here = own.known_guid();
        if self.as_data && here.is_none() {
            let message = format!("Netdata on {} has no GUID yet, so the samples would be nobody's.", ask.host);
            return Err(Failure::new(Exit::Failed, message)
                .hint(format!("It makes itself one at its first start: systemctl start {}", self.unit)));
        }
        if !self.as_data && self.guid.as_deref() != here {
            let message = format!(
                "The samples are of the agent {}, but {} is {}; it would not show them as its own.",
                self.guid.as_deref().unwrap_or("(unknown)"),
                ask.host,
                here.unwrap_or("nobody yet")
            );
            return Err(Failure::new(Exit::Failed, message)
                .hint("Restore the item 'identity' first, or let them be data of another: --set as=data."));
        }
        Ok(())
    }

    fn maker(&self) -> StepMaker {
        StepMaker::on(self.ask.host)
    }

    fn bytes(&self) -> u64 {
        self.manifest.plain_size().0
    }

    fn replaces(&self) -> bool {
        dir_of(self.id).and_then(|name| self.own.seen(name)).is_some_and(|seen| seen.size > 0)
    }

    fn draft(&self) -> Result<Draft> {
        let is_identity = self.id == IDENTITY && !self.as_data;
        let Fencing { before, again, gates, .. } =
            if is_identity { plan_fencing(self.ask)? } else { Fencing::default() };
        let mut draft = Draft { basis: self.basis(), gates, ..Draft::default() };
        draft.gates.extend(self.gates()?);
        let down = Downtime::of(self.ask.host, "service", &self.unit)?;
        let swap = SwapArgs::of([self.target.as_str()])?;
        let swap = down.swap(&format!("Put the restored {} in place, whole", self.ask.item.title), &swap)?;
        draft.steps.push(self.ready()?);
        if self.discard {
            draft.steps.extend(before);
            let args = json!(DiscardArgs { dir: self.target.clone() });
            let title = format!("Delete what is in {}, to make room", self.target);
            let discard = down.held().step("discard", &title, "files.discard/1", args, Effect::Destroy)?;
            let between = [discard, self.deliver(down.held())?, swap];
            draft.steps.extend(down.around(between.into_iter().chain(again)));
        } else {
            draft.steps.push(self.deliver(&self.maker())?);
            // What can fail without harm comes before the fence, which nothing undoes.
            draft.steps.extend(before);
            draft.steps.extend(down.around(std::iter::once(swap).chain(again)));
        }
        draft.steps.push(self.accept(down.forward())?);
        draft.guards.extend(down.guard());
        draft.proves = self.proves();
        draft.expects.extend(self.parents());
        if draft.proves && self.id == METRICS && self.figures().is_none_or(|figures| figures.names.is_empty()) {
            draft.leaves.push(format!("It is proven by samples alone: {NO_CHARTS}.").into());
        }
        if self.replaces() && !self.discard {
            draft.leaves.push(format!("What was there is kept in {}.", kept_path(&self.target)).into());
        }
        if !self.own.running {
            draft.leaves.push(
                format!("{} does not run now; it will run afterwards, and a rollback stops it again.", self.unit)
                    .into(),
            );
        }
        match self.id {
            IDENTITY if !self.as_data => draft
                .leaves
                .push("An agent without its samples shows no history; restore 'config' and 'metrics' next.".into()),
            METRICS => draft.leaves.push("What the agent collected between the backup and now is not in it.".into()),
            _ => {}
        }
        Ok(draft)
    }

    /// Who could tell that the agent still runs somewhere: a parent tells of its children only if it is asked, and only
    /// those of the inventory are.
    fn parents(&self) -> Option<CleanText> {
        let to = text_of(&self.manifest.facts, "streams_to");
        if self.id != IDENTITY || self.as_data || to.is_empty() {
            return None;
        }
        let asked = self.ask.sightings.iter().filter(|seen| !matches!(seen.state, Whereabouts::Unreachable(_)));
        let asked: Vec<_> = asked.map(|seen| seen.host.as_str()).collect();
        let asked = if asked.is_empty() {
            "nobody".to_owned()
        } else {
            format!("only {}, which the inventory has", asked.join(", "))
        };
        let text = format!(
            "When it was saved the agent streamed to {to}. Asked whether they hear it: {asked}. A parent that is not among them could say that it still runs, and was not asked."
        );
        Some(text.as_str().into())
    }

    /// Whether the accept step shows that what was saved is what now runs.
    fn proves(&self) -> bool {
        match self.id {
            IDENTITY => !self.as_data,
            METRICS => self.shows_samples() && self.figures().is_some_and(|figures| !figures.samples.is_empty()),
            // That an agent starts on another configuration, and is who it was, is no proof of it.
            _ => false,
        }
    }

    /// Whose the samples were and whose they become, where those are two agents.
    fn given(&self) -> Option<(String, String)> {
        let (from, to) = (self.guid.clone()?, self.own.known_guid()?.to_owned());
        (self.id == METRICS && self.as_data && from != to).then_some((from, to))
    }

    /// Whether the agent shows the restored samples as its own.
    fn shows_samples(&self) -> bool {
        self.id == METRICS && (!self.as_data || self.guid.is_some())
    }

    /// What the agent must answer: of tiers that it does not keep whole there, which is asked about, nothing.
    fn figures(&self) -> Option<Figures> {
        let mut figures: Figures = serde_json::from_value(self.manifest.facts.get("figures")?.clone()).ok()?;
        let small: Vec<usize> = self.smaller_limits().into_iter().map(|(tier, _)| tier).collect();
        if !small.is_empty() {
            figures.samples.retain(|sample| !small.contains(&sample.tier));
            // How far back a chart goes is told of all tiers at once.
            figures.spans.clear();
        }
        Some(figures)
    }

    fn basis(&self) -> BTreeMap<String, Value> {
        [
            ("unit", json!(self.unit)),
            ("installed", json!(self.own.installed)),
            ("running", json!(self.own.running)),
            ("variant", json!(self.ask.facts.variant)),
            ("account", json!(self.own.user)),
            ("target", json!(self.target)),
            ("guid", json!(self.own.known_guid())),
            ("restored guid", json!(self.guid)),
            ("api", json!([self.own.api.host, self.own.api.port, self.own.api.socket])),
            ("db", json!([self.own.db.mode, self.own.db.limits])),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    fn gates(&self) -> Result<Vec<Gate>> {
        let host = self.ask.host.as_str();
        let mut gates = Vec::new();
        let here = self.own.known_guid();
        let mut ask = |id: &str, question: String| -> Result<()> {
            let id = GateId::new(id).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
            gates.push(Gate { id, question: question.into(), word: host.to_owned() });
            Ok(())
        };
        if self.discard {
            ask(
                "discard-old",
                format!(
                    "Everything in {} on {host} is deleted before the snapshot is brought there, and nothing brings it back: not if the link breaks, not if the restore fails.",
                    self.target
                ),
            )?;
        } else if self.id == METRICS && self.replaces() {
            ask(
                "overwrite",
                format!(
                    "The samples on {host} are replaced whole by those of the snapshot; what is there now is kept beside."
                ),
            )?;
        } else if self.id == IDENTITY && !self.as_data && here.is_some() && here != self.guid.as_deref() {
            ask(
                "overwrite",
                format!(
                    "The agent on {host} is {} now and becomes {}; what is there now is kept beside, and its history shows only under its own GUID.",
                    here.unwrap_or("nobody"),
                    self.guid.as_deref().unwrap_or("another")
                ),
            )?;
        }
        let small = self.smaller_limits();
        if !small.is_empty() {
            ask(
                "smaller-limits",
                format!(
                    "Netdata on {host} keeps less than the snapshot holds ({}) and deletes the oldest of it soon after its start. Raise its limits first (dbengine multihost disk space in 1.x, retention size in 2.x), or restore 'config' first.",
                    small.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>().join(", ")
                ),
            )?;
        }
        let unknown = self.unknown_limits();
        if !unknown.is_empty() {
            ask(
                "unknown-limits",
                format!(
                    "Netdata on {host} does not tell how much it keeps of {}. If that is less than the snapshot holds, it deletes the oldest of it soon after its start. Set its limits first (dbengine multihost disk space in 1.x, retention size in 2.x), or restore 'config' first.",
                    unknown.join(", ")
                ),
            )?;
        }
        let damaged = self.manifest.facts.pointer("/verified/damaged").and_then(Value::as_array);
        if let Some(damaged) = damaged.filter(|found| !found.is_empty()) {
            let what: Vec<_> = damaged.iter().filter_map(Value::as_str).take(3).collect();
            let more = if damaged.len() > what.len() { " And more." } else { "" };
            ask(
                "damaged",
                format!(
                    "Files of this snapshot were damaged already when it was copied; the agent deletes or passes over what it cannot read. {}{more}",
                    what.join(" ")
                ),
            )?;
        }
        if self.manifest.facts.get("owners_cut").is_some_and(|cut| *cut == true) {
            ask(
                "owners",
                format!(
                    "Not every owner of the files was noted when they were copied, so nobody checks that all of them exist on {host}. Files of one that does not come back with the number it had, which may be somebody else's there."
                ),
            )?;
        }
        if let Some((was, is)) = self.other_installation() {
            ask(
                "installation",
                format!(
                    "The configuration is that of a {was}; the agent on {host} is a {is}. What it names by path may not be there: an agent that starts with another's directories is another agent, and the restore is undone then."
                ),
            )?;
        }
        if self.id == METRICS && !self.shows_samples() {
            ask(
                "unproved",
                format!(
                    "Nobody knows whose the samples are, so they cannot be given to {host}, and nothing proves what is restored: agents up to 1.37 do not show samples of another GUID at all, newer ones show them under the old host's name."
                ),
            )?;
        } else if self.id == METRICS && self.figures().is_none_or(|figures| figures.samples.is_empty()) {
            ask(
                "unproved",
                "No samples were noted at backup of a tier that is kept whole there, so nothing proves that the restored ones are those.".to_owned(),
            )?;
        }
        Ok(gates)
    }

    /// How the agent was installed that a configuration comes from and how the one here is, where they are known to
    /// differ.
    fn other_installation(&self) -> Option<(&str, String)> {
        let was = text_of(&self.manifest.facts, "variant");
        let is = self.ask.facts.variant.as_ref().map(ToString::to_string).unwrap_or_default();
        let is_known = |variant: &str| matches!(variant, "static install" | "Debian package");
        (self.id == CONFIG && was != is && is_known(was) && is_known(&is)).then_some((was, is))
    }

    /// The tiers a snapshot of samples holds, with their bytes.
    fn saved_tiers(&self) -> Vec<(usize, u64)> {
        if self.id != METRICS {
            return Vec::new();
        }
        let stored = self.manifest.facts.pointer("/verified/tiers");
        let of = |tier: usize| {
            tier_bytes(stored, tier).or_else(|| self.manifest.facts.pointer(&format!("/stored/{tier}"))?.as_u64())
        };
        (0..5).filter_map(|tier| Some((tier, of(tier).filter(|bytes| *bytes > 0)?))).collect()
    }

    /// Tiers of which nobody knows how much is kept there.
    fn unknown_limits(&self) -> Vec<String> {
        let is_unknown = |(tier, _): &(usize, u64)| self.own.db.limits.get(*tier) == Some(&None);
        self.saved_tiers().into_iter().filter(is_unknown).map(|(tier, _)| format!("tier {tier}")).collect()
    }

    /// Tiers whose limit is below what the snapshot holds.
    fn smaller_limits(&self) -> Vec<(usize, String)> {
        let mut small = Vec::new();
        for (tier, bytes) in self.saved_tiers() {
            match self.own.db.limits.get(tier) {
                None => small.push((tier, format!("tier {tier}: {} saved, not kept there at all", ByteSize(bytes)))),
                Some(Some(limit)) if *limit > 0 && *limit < bytes => {
                    let what = format!("tier {tier}: {} saved, {} kept there", ByteSize(bytes), ByteSize(*limit));
                    small.push((tier, what));
                }
                Some(_) => {}
            }
        }
        small
    }

    fn ready(&self) -> Result<Step> {
        let names = |key: &str| -> BTreeSet<String> {
            let all = self.manifest.facts.get(key).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (was, is) = (self.was_user(), self.own.user.clone());
        let mut users = names("owners");
        let mut groups = names("owner_groups");
        // What belonged to the old account is given to the one that runs here.
        if was != is {
            users.remove(&was);
            groups.remove(&was);
        }
        users.insert(is);
        let args = ReadyArgs {
            unit: self.unit.clone(),
            users: users.into_iter().collect(),
            groups: groups.into_iter().collect(),
            target: self.target.clone(),
            needs: self.bytes(),
            discards: self.discard,
            alone: true,
        };
        self.maker().step("ready", "Check that the node can take it", "netdata.ready/1", json!(args), Effect::Read)
    }

    fn was_user(&self) -> String {
        match text_of(&self.manifest.facts, "user") {
            "" => self.own.user.clone(),
            user => user.to_owned(),
        }
    }

    fn deliver(&self, maker: &StepMaker) -> Result<Step> {
        let staged = staged_path(&self.target);
        let path = text_of(&self.manifest.facts, "path");
        if !is_absolute(path) {
            return Err(Failure::new(Exit::Integrity, "The snapshot does not say which directory it holds.")
                .hint("Restore it by hand: see RESTORE.md."));
        }
        let stay: &[&str] = match self.id {
            CONFIG => &INSTALL_FILES,
            IDENTITY if self.as_data => &IDENTITY_FILES,
            _ => &[],
        };
        let args = SinkArgs {
            work: format!("{}.work", staged.trim_end_matches(".new")),
            inside: path.trim_start_matches('/').to_owned(),
            staged: staged.clone(),
            target: self.target.clone(),
            stay: stay.iter().map(|name| (*name).to_owned()).collect(),
            drop: LEFT_OUT.iter().map(|name| (*name).to_owned()).collect(),
            users: (self.was_user(), self.own.user.clone()),
            relabel: self.given(),
        };
        let undo = format!("rm -rf -- {} {}\n", quote(args.work.as_bytes()), quote(staged.as_bytes()));
        let title = format!("Bring the {} onto the node, beside its place", self.ask.item.title);
        deliver_step(maker, KIND, &title, json!(args), Some(undo))
    }

    fn accept(&self, maker: &StepMaker) -> Result<Step> {
        let own = &self.own.api;
        let saved = self.manifest.facts.get("api").and_then(|api| serde_json::from_value::<Api>(api.clone()).ok());
        // A restored configuration decides where the agent listens.
        let api = match saved.filter(|_| self.id == CONFIG) {
            Some(api) => api,
            None => Api { host: own.host.clone(), port: own.port, socket: own.socket.clone(), ..Api::default() },
        };
        let here = self.own.known_guid().map(str::to_owned);
        let guid = match self.id {
            CONFIG => here,
            _ if self.as_data => here,
            _ => self.guid.clone(),
        };
        let figures = self.figures().filter(|figures| self.shows_samples() && !figures.samples.is_empty());
        let title = match (&guid, &figures) {
            (Some(guid), Some(figures)) => {
                format!("Ask the agent until it tells {guid} and {} samples of before", figures.samples.len())
            }
            (Some(guid), None) => format!("Ask the agent until it tells {guid}"),
            (None, _) => "Ask the agent until it answers".to_owned(),
        };
        let log = self.own.dir("log").to_owned();
        let args = AcceptArgs { unit: self.unit.clone(), api, guid, figures, within: ACCEPT_WITHIN, log };
        let mut step = maker.step("accept", &title, "netdata.accept/1", json!(args), Effect::Read)?;
        step.timeout = crate::model::units::Seconds(ACCEPT_WITHIN + 300);
        Ok(step)
    }
}

/// Bytes of a tier as the verifier counted them.
fn tier_bytes(tiers: Option<&Value>, tier: usize) -> Option<u64> {
    match tiers? {
        Value::Array(all) => {
            let found = all.iter().find(|one| one.get("tier").and_then(Value::as_u64) == Some(tier as u64))?;
            found.get("bytes")?.as_u64()
        }
        Value::Object(all) => all.get(&tier.to_string())?.get("bytes")?.as_u64(),
        _ => None,
    }
}
