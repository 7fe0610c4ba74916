//! Bringing a snapshot back: staged beside its target, swapped in while the node is down, accepted by asking the node.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::accept::AcceptArgs;
use super::facts::{IDENTITY, Own, base_name};
use super::items::{DB, NODE_CONFIG, STAKING, UNIT, tree_key};
use super::ready::ReadyArgs;
use super::target::{self, Landing};
use super::{KIND, service_down};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::GateId;
use crate::model::manifest::Manifest;
use crate::model::plan::{Effect, Gate, Step};
use crate::model::text::CleanText;
use crate::model::units::Seconds;
use crate::services::common::{Downtime, Fencing, StepMaker, Trust, deliver_step, own_facts, plan_fencing, text_of};
use crate::services::{Ask, Draft};

/// How long a node may take until it tells who it is: opening a large database comes first.
const ACCEPT_WITHIN: u64 = 600;

/// Who a snapshot says its node was.
struct Expected {
    node_id: Option<String>,
    bls_public_key: Option<String>,
    bls_proof: Option<String>,
}

/// A fact the verifier derived from the bytes, or else one seen at backup.
fn fact<'m>(manifest: &'m Manifest, key: &str) -> Option<&'m str> {
    let of = |value: &'m Value| Some(text_of(value, key)).filter(|text| !text.is_empty());
    manifest.facts.get("verified").and_then(of).or_else(|| of(&manifest.facts))
}

/// Plans the restore of an item.
pub fn plan(ask: &Ask) -> Result<Draft> {
    let own: Own = own_facts(ask.facts)?;
    let Some(manifest) = ask.manifest else {
        return Err(Failure::new(Exit::Usage, "A restore needs a snapshot."));
    };
    let id = ask.place.item.as_str();
    if id == UNIT {
        return unit(ask, &own, manifest);
    }
    must_be_installed(ask, &own)?;
    match id {
        STAKING => identity(ask, &own, manifest),
        NODE_CONFIG => {
            let was = base_name(text_of(&manifest.facts, "path"));
            if own.path("config_file").is_empty() || was.is_empty() {
                return Err(Failure::new(
                    Exit::Failed,
                    format!(
                        "The node on {} is started without a configuration file, so there is nowhere to put one.",
                        ask.host
                    ),
                )
                .hint("Restore the item 'unit' first, or set config_file in the inventory."));
            }
            config(ask, &own, manifest, &target::config(&own, was)?)
        }
        id => {
            let Some(key) = tree_key(id) else {
                return Err(Failure::new(Exit::Nothing, format!("AvalancheGo has no item '{id}'.")));
            };
            if id == DB {
                same_chain(ask, &own, manifest)?;
            }
            config(ask, &own, manifest, &target::directory(&own, key)?)
        }
    }
}

fn must_be_installed(ask: &Ask, own: &Own) -> Result<()> {
    if !own.installed {
        let version = ask
            .manifest
            .and_then(|m| m.source.version.as_ref())
            .map(|v| v.as_str().rsplit('/').next().unwrap_or("").trim_start_matches('v').to_owned());
        let version = version.filter(|v| !v.is_empty()).map_or("TAG".to_owned(), |v| format!("v{v}"));
        return Err(Failure::new(Exit::Failed, format!("AvalancheGo is not installed on {}: systemd knows no {}.", ask.host, own.unit))
            .hint("As the account that shall run the node, not as root, with the official installer:")
            .hint("wget -nd -m https://raw.githubusercontent.com/ava-labs/builders-hub/master/scripts/avalanchego-installer.sh && chmod 755 avalanchego-installer.sh")
            .hint(format!("./avalanchego-installer.sh --version {version}"))
            .hint(format!("Then stop it, so that its own new identity is not used: systemctl stop {}.", own.unit))
            .hint("If it is installed under another unit, say so in the inventory: unit = \"NAME.service\"."));
    }
    if let Some(pid) = own.stray {
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "AvalancheGo runs on {} as pid {pid} outside {}, so it cannot be stopped for the restore.",
                ask.host, own.unit
            ),
        )
        .hint("Stop that process, or name its unit in the inventory: unit = \"NAME.service\"."));
    }
    Ok(())
}

/// A database of another network, or of another kind, would not start.
fn same_chain(ask: &Ask, own: &Own, manifest: &Manifest) -> Result<()> {
    for (key, here) in [("network", &own.network), ("db_type", &own.db_type)] {
        let there = text_of(&manifest.facts, key);
        if there != here {
            return Err(Failure::new(
                Exit::Failed,
                format!(
                    "The database is of {key} '{there}', but {} is set to '{here}'; the node would refuse it.",
                    ask.host
                ),
            ));
        }
    }
    Ok(())
}

fn gate(id: &str, question: String, word: &str) -> Result<Gate> {
    let id = GateId::new(id).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok(Gate { id, question: question.into(), word: word.to_owned() })
}

fn public_ip_gate(ip: &str, host: &str) -> Result<Gate> {
    let question = format!(
        "The configuration that will be used on {host} tells other nodes the literal address {ip}. If {host} is not reached at it, the node is cut off. State the address if it is right; else change 'public-ip' first."
    );
    gate("public-ip", question, ip)
}

/// Steps shared by everything that replaces files of the node.
struct Steps<'a> {
    ask: &'a Ask<'a>,
    own: &'a Own,
    landing: &'a Landing,
    title: String,
}

impl Steps<'_> {
    fn ready(&self, manifest: &Manifest, unit: bool) -> Result<Step> {
        let args = ReadyArgs {
            unit: unit.then(|| self.own.unit.clone()),
            user: self.own.user.clone(),
            targets: self.landing.targets(),
            // An archive and what is unpacked of it lie there together for a moment.
            needs: manifest.plain_size().0.saturating_mul(2),
            trust: self.trust(),
        };
        self.maker().step(
            "ready",
            "Check that the node can take it",
            "avalanchego.ready/1",
            value(&args)?,
            Effect::Read,
        )
    }

    /// By what the API is known, unless that is part of what is replaced.
    fn trust(&self) -> Option<Trust> {
        let place = self.own.api.place()?;
        let file = place.certificate()?;
        let is_replaced = |target: &String| {
            file.strip_prefix(target.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.landing.targets().iter().any(is_replaced) { None } else { place.trust }
    }

    fn maker(&self) -> StepMaker {
        StepMaker::on(self.ask.host)
    }

    fn deliver(&self) -> Result<Step> {
        let title = format!("Bring the {} onto the node, beside its place", self.ask.item.title);
        deliver_step(&self.maker(), KIND, &title, self.landing.sink_value()?, Some(self.landing.undo()))
    }

    /// From the stop to the acceptance, with `again` right before the start.
    fn change(&self, draft: &mut Draft, again: Vec<Step>, expected: &Expected) -> Result<()> {
        let own = self.own;
        let down = service_down(self.ask.host, &own.unit)?;
        let swap = down.swap(&self.title, &self.landing.swap)?;
        draft.steps.extend(down.around([swap].into_iter().chain(again)));
        // A node whose API is not believed would be put back after everything was done, and a fence stays.
        if let Some(refused) = &own.api.refused {
            return Err(refused
                .clone()
                .state("Nothing was changed: who the restored node is could not be asked there."));
        }
        let Some(place) = own.api.place() else {
            let question = format!(
                "The API on {} speaks HTTPS, and no file says which certificate it shows (http_cert names one), so nothing will prove who the restored node is.",
                self.ask.host
            );
            draft.gates.push(gate("unproved", question, self.ask.host.as_str())?);
            draft.guards.extend(down.guard());
            return Ok(());
        };
        let args = AcceptArgs {
            unit: own.unit.clone(),
            place,
            node_id: expected.node_id.clone(),
            bls_public_key: expected.bls_public_key.clone(),
            bls_proof: expected.bls_proof.clone(),
            within: ACCEPT_WITHIN,
        };
        let title = match (&expected.node_id, &expected.bls_public_key) {
            (Some(node_id), Some(_)) => format!("Ask the node until it tells {node_id} and the BLS key"),
            (Some(node_id), None) => format!("Ask the node until it tells {node_id}"),
            (None, _) => "Ask the node until it answers".to_owned(),
        };
        let mut step = down.forward().step("accept", &title, "avalanchego.accept/1", value(&args)?, Effect::Read)?;
        step.timeout = Seconds(ACCEPT_WITHIN + 120);
        draft.steps.push(step);
        // Only of an identity does the node tell that it is what was saved; that it starts on other files, and is who
        // it was, is no proof of them.
        draft.proves = self.ask.place.item.as_str() == STAKING && expected.node_id.is_some();
        draft.guards.extend(down.guard());
        Ok(())
    }
}

fn value(args: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(args).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

fn basis(ask: &Ask, own: &Own, landing: &Landing) -> BTreeMap<String, Value> {
    [
        ("unit", json!(own.unit)),
        ("installed", json!(own.installed)),
        ("variant", json!(ask.facts.variant)),
        ("account", json!([own.user, own.group])),
        ("targets", json!(landing.targets())),
        ("node_id", json!(own.node_id())),
        ("public_ip", json!(own.public_ip)),
        ("api", json!([own.api.host, own.api.port, own.api.tls])),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// What a swap leaves behind, where something stands now.
fn kept(own: &Own, landing: &Landing, what: &str) -> Option<CleanText> {
    let stands = |target: &str| {
        own.files.keys().any(|key| own.path(key) == target)
            || own.fragment == target
            || own.drop_ins.iter().any(|path| path == target)
    };
    let entries = landing.swap.entries.iter().filter(|entry| stands(&entry.target));
    let kept: Vec<_> = entries.map(|entry| entry.kept.as_str()).collect();
    (!kept.is_empty()).then(|| format!("{what} is kept in {}.", kept.join(", ")).into())
}

fn identity(ask: &Ask, own: &Own, manifest: &Manifest) -> Result<Draft> {
    if let Some(why) = &own.obstacle {
        return Err(Failure::new(
            Exit::Failed,
            format!("A restored identity would not be used on {}: {why}", ask.host),
        )
        .hint("Remove that setting there first."));
    }
    let Some(node_id) = fact(manifest, "node_id") else {
        return Err(Failure::new(
            Exit::Integrity,
            "The snapshot does not say which NodeID it holds, so the restore could not be checked.",
        )
        .hint("Verify it first: lifeboat verify."));
    };
    let names: BTreeSet<&str> =
        IDENTITY.iter().map(|(name, _)| *name).filter(|name| manifest.files.iter().any(|f| f.name == *name)).collect();
    if !["staker.crt", "staker.key"].iter().all(|name| names.contains(name)) {
        return Err(Failure::new(Exit::Integrity, "The snapshot has no staker.crt and staker.key."));
    }
    let has_signer = names.contains("signer.key");
    let bls = |key| fact(manifest, key).filter(|_| has_signer).map(str::to_owned);
    let expected = Expected {
        node_id: Some(node_id.to_owned()),
        bls_public_key: bls("bls_public_key"),
        bls_proof: bls("bls_proof_of_possession"),
    };
    if has_signer && (expected.bls_public_key.is_none() || expected.bls_proof.is_none()) {
        return Err(Failure::new(
            Exit::Integrity,
            "The snapshot has a signer.key but its BLS key was never derived, so the restore could not be checked.",
        )
        .hint("Verify it first: lifeboat verify."));
    }

    let landing = target::identity(own, &names)?;
    let replaced = own.disk_node_id.as_deref();
    let title = match replaced {
        Some(other) if other != node_id => format!("Put {node_id} in place of {other}"),
        Some(_) => format!("Put {node_id} in place of the copy that is there"),
        None => format!("Put {node_id} in place"),
    };
    let steps = Steps { ask, own, landing: &landing, title };
    let Fencing { before, again, gates, evidence } = plan_fencing(ask)?;
    let mut draft = Draft { basis: basis(ask, own, &landing), gates, expects: evidence, ..Draft::default() };
    draft.basis.insert("restored node_id".to_owned(), json!(node_id));
    if let Some(ip) = &own.public_ip {
        draft.gates.push(public_ip_gate(ip, ask.host.as_str())?);
    }
    if !has_signer {
        let question = format!(
            "The snapshot of {node_id} has no signer.key. The node will make a new BLS key or use the one that is there; if the validator was registered with a BLS key, its peers will drop it. Only the NodeID can be checked."
        );
        draft.gates.push(gate("no-signer", question, "signer.key")?);
    }
    // What can fail without harm comes before the fence, which nothing undoes.
    draft.steps.push(steps.ready(manifest, true)?);
    draft.steps.push(steps.deliver()?);
    draft.steps.extend(before);
    steps.change(&mut draft, again, &expected)?;

    let what = match replaced {
        Some(other) if other != node_id => format!("The identity {other} that was there"),
        _ => "What was there of this identity".to_owned(),
    };
    draft.leaves.extend(kept(own, &landing, &what));
    let network = text_of(&manifest.facts, "network");
    if !network.is_empty() && network != own.network {
        draft.leaves.push(
            format!("The identity comes from network '{network}', this node is set to '{}'.", own.network).into(),
        );
    }
    draft.leaves.push(
        "Bootstrapping goes on after the restore and can take hours; until then the node does not validate.".into(),
    );
    Ok(draft)
}

fn config(ask: &Ask, own: &Own, manifest: &Manifest, landing: &Landing) -> Result<Draft> {
    let title = format!("Put the {} in place", ask.item.title);
    let steps = Steps { ask, own, landing, title };
    let mut draft = Draft { basis: basis(ask, own, landing), ..Draft::default() };
    if ask.place.item.as_str() == NODE_CONFIG {
        let ip = text_of(&manifest.facts, "public_ip");
        if !ip.is_empty() {
            draft.gates.push(public_ip_gate(ip, ask.host.as_str())?);
        }
        draft.leaves.push("A restored configuration can name paths of the old host; the node then refuses to start and the old file is put back.".into());
    }
    draft.steps.push(steps.ready(manifest, true)?);
    draft.steps.push(steps.deliver()?);
    let expected = Expected {
        node_id: own.node_id().map(str::to_owned),
        bls_public_key: own.api.bls_public_key.clone(),
        bls_proof: own.api.bls_proof.clone(),
    };
    steps.change(&mut draft, Vec::new(), &expected)?;
    draft.leaves.extend(kept(own, landing, "What was there"));
    Ok(draft)
}

fn unit(ask: &Ask, own: &Own, manifest: &Manifest) -> Result<Draft> {
    let files = manifest.facts.get("files").and_then(Value::as_array).into_iter().flatten();
    let files: Vec<String> = files.filter_map(|file| file.as_str().map(str::to_owned)).collect();
    if files.is_empty() {
        return Err(Failure::new(Exit::Integrity, "The snapshot does not say which files it holds."));
    }
    let landing = target::unit(&own.unit, &files)?;
    let steps = Steps { ask, own, landing: &landing, title: format!("Put the files of {} in place", own.unit) };
    let mut draft = Draft { basis: basis(ask, own, &landing), ..Draft::default() };
    draft.steps.push(steps.ready(manifest, false)?);
    draft.steps.push(steps.deliver()?);
    if own.installed && own.running && own.stray.is_none() {
        let expected = Expected { node_id: own.node_id().map(str::to_owned), bls_public_key: None, bls_proof: None };
        steps.change(&mut draft, Vec::new(), &expected)?;
    } else {
        let maker = steps.maker();
        draft.steps.push(Downtime::none(ask.host).swap(&steps.title, &landing.swap)?);
        let reload = json!({"run": "systemctl daemon-reload", "undo": "systemctl daemon-reload"});
        draft.steps.push(maker.step("reload", "Let systemd read the unit", "command.run/1", reload, Effect::Write)?);
        draft.leaves.push(
            format!("The node is not started. When all is in place: systemctl enable --now {}.", own.unit).into(),
        );
    }
    draft.leaves.extend(kept(own, &landing, "What was there"));
    draft.leaves.push("Drop-ins that were there and are not in the snapshot stay.".into());
    Ok(draft)
}
