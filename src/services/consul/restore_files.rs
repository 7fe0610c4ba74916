//! Bringing back an agent's files: staged beside their place, swapped by rename while the unit is held.

use serde_json::{Value, json};

use super::KIND;
use super::items::{AGENT_CONFIG, KEYRINGS, NODE_IDENTITY};
use super::ops::{AgentArgs, PlaceArgs};
use super::probe::{Own, is_keyring, is_uuid};
use super::settings::{Settings, is_plain_path};
use super::sink::{Bring, Member};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::GateId;
use crate::model::manifest::Manifest;
use crate::model::plan::{Effect, Gate};
use crate::services::common::{
    Downtime, Fencing, StepMaker, SwapArgs, deliver_step, plan_fencing, staged_path, text_of,
};
use crate::services::{Ask, Draft};
use crate::transport::quote::quote;

/// What goes where.
struct Layout {
    bring: Bring,
    targets: Vec<String>,
    staging: Vec<String>,
    what: &'static str,
    node_id: Option<Member>,
}

pub(super) fn plan(ask: &Ask, own: &Own, settings: &Settings) -> Result<Draft> {
    let manifest = ask.manifest.ok_or_else(|| Failure::new(Exit::Usage, "A restore needs a snapshot."))?;
    let unit = settings.unit.clone();
    if !ask.facts.units.iter().any(|facts| facts.unit == unit && facts.load == "loaded") {
        return Err(not_installed(ask, settings, manifest));
    }
    let layout = layout(ask, own, manifest)?;
    let fencing = if ask.item.id.as_str() == NODE_IDENTITY { plan_fencing(ask)? } else { Fencing::default() };
    let down = Downtime::of(ask.host, "agent", &unit)?;
    let plain = StepMaker::on(ask.host);

    let removed: Vec<_> = layout.staging.iter().map(|path| quote(path.as_bytes())).collect();
    let undo = Some(format!("rm -rf -- {}\n", removed.join(" ")));
    let title = format!("Bring the {} beside its place", layout.what);
    let swap = SwapArgs::of(layout.targets.iter().map(String::as_str))?;
    let accept = AgentArgs {
        unit: unit.clone(),
        http: own.access.as_ref().map(|access| access.http.clone()),
        tls: own.access.as_ref().and_then(|access| access.tls.clone()),
        node_id: layout.node_id,
        led: own.leader.is_some(),
    };
    let ready = PlaceArgs { unit: unit.clone(), targets: layout.targets.clone(), needs: manifest.plain_size().0 };

    let title_of_ready = "Check that the node can take it";
    let mut steps = vec![plain.step("ready", title_of_ready, "consul.place/1", json!(ready), Effect::Read)?];
    steps.push(deliver_step(&plain, KIND, &title, json!(layout.bring), undo)?);
    // What can fail without harm comes before the fence, which nothing undoes.
    steps.extend(fencing.before);
    let swapped = down.swap(&format!("Swap the {} in", layout.what), &swap)?;
    steps.extend(down.around([swapped].into_iter().chain(fencing.again)));
    steps.push(plain.step("accept", "Check that the agent answers", "consul.agent/1", json!(accept), Effect::Read)?);

    let mut gates = fencing.gates;
    gates.push(Gate {
        id: GateId::new("overwrite").map_err(|error| Failure::new(Exit::Usage, error.to_string()))?,
        question: format!(
            "{} on {} is replaced, and {unit} is stopped for that moment. What is there now is kept beside it.",
            layout.targets.join(" and "),
            ask.host
        )
        .into(),
        word: ask.host.as_str().to_owned(),
    });
    let mut leaves: Vec<_> =
        swap.entries.iter().map(|entry| format!("{}: what {} was before", entry.kept, entry.target).into()).collect();
    if ask.item.id.as_str() == KEYRINGS {
        leaves.push("A keyring must equal that of the other agents, or this agent cannot join them.".into());
    }
    let targets = json!(layout.targets);
    Ok(Draft {
        basis: [("unit".to_owned(), json!(unit)), ("targets".to_owned(), targets)].into(),
        gates,
        guards: down.guard().into_iter().collect(),
        steps,
        leaves,
        expects: Vec::new(),
        foretold: Value::Null,
        // The agent starts with nothing but these files and is asked for the leader; without a known API nobody could.
        proves: own.access.is_some(),
    })
}

/// What to install, and how, on a host without Consul.
pub(super) fn not_installed(ask: &Ask, settings: &Settings, manifest: &Manifest) -> Failure {
    let unit = &settings.unit;
    let version = text_of(&manifest.facts, "version");
    let version = manifest.source.version.as_ref().map_or(version, |version| version.as_str());
    let number = version.split(['+', '-']).next().unwrap_or_default();
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let wanted = if plain { number } else { "VERSION" };
    let edition = if version.contains("ent") { "consul-enterprise" } else { "consul" };
    Failure::new(Exit::Failed, format!("Consul is not installed on {}: systemd knows no {unit}.", ask.host))
        .hint("With HashiCorp's packages, on Debian and Ubuntu, as root:")
        .hint("wget -O- https://apt.releases.hashicorp.com/gpg | gpg --dearmor -o /usr/share/keyrings/hashicorp-archive-keyring.gpg")
        .hint("echo \"deb [signed-by=/usr/share/keyrings/hashicorp-archive-keyring.gpg] https://apt.releases.hashicorp.com $(. /etc/os-release; echo $VERSION_CODENAME) main\" >/etc/apt/sources.list.d/hashicorp.list")
        .hint(format!("apt-get update && apt-get install {edition}={wanted}-*"))
        .hint("The package does not start it. Restore 'agent-config' first, then the other items.")
        .hint("If it is installed under another unit, say so in the inventory: unit = \"NAME.service\".")
}

/// A path the snapshot remembers, as far as it may be used.
fn remembered<'m>(manifest: &'m Manifest, key: &str) -> Option<&'m str> {
    Some(text_of(&manifest.facts, key)).filter(|path| is_plain_path(path))
}

fn layout(ask: &Ask, own: &Own, manifest: &Manifest) -> Result<Layout> {
    let unknown = |setting: &str| {
        Failure::new(Exit::Failed, format!("Where the {} goes on {} is not known.", ask.item.title, ask.host))
            .hint(format!("Name it in the inventory: {setting}."))
    };
    let parent = |path: &str| path.rsplit_once('/').map(|(dir, _)| dir.to_owned()).filter(|dir| is_plain_path(dir));
    match ask.item.id.as_str() {
        AGENT_CONFIG => {
            let target = own.config_dir.clone().or_else(|| remembered(manifest, "path").map(str::to_owned));
            let target = target.ok_or_else(|| unknown("config_dir"))?;
            let staged = staged_path(&target);
            Ok(Layout {
                bring: Bring::Tree { staged: staged.clone() },
                targets: vec![target],
                staging: vec![staged],
                what: "configuration",
                node_id: None,
            })
        }
        NODE_IDENTITY => {
            let dir = own.data_dir.clone().or_else(|| remembered(manifest, "path").and_then(parent));
            let target = format!("{}/node-id", dir.ok_or_else(|| unknown("data_dir"))?);
            let value = text_of(&manifest.facts, "node_id");
            if !is_uuid(value) {
                return Err(Failure::new(Exit::Integrity, "The snapshot does not say which node-id it holds."));
            }
            let staged = staged_path(&target);
            Ok(Layout {
                bring: Bring::File { staged: staged.clone() },
                node_id: Some(Member { name: value.to_owned(), path: target.clone() }),
                targets: vec![target],
                staging: vec![staged],
                what: "node-id",
            })
        }
        KEYRINGS => {
            let dir = own.data_dir.clone().map(|dir| format!("{dir}/serf"));
            let dir =
                dir.or_else(|| remembered(manifest, "path").map(str::to_owned)).ok_or_else(|| unknown("data_dir"))?;
            let names: Vec<_> = manifest.facts.get("files").and_then(Value::as_array).into_iter().flatten().collect();
            let names: Vec<_> = names.into_iter().filter_map(Value::as_str).filter(|name| is_keyring(name)).collect();
            if names.is_empty() {
                return Err(Failure::new(Exit::Integrity, "The snapshot does not say which keyrings it holds."));
            }
            let unpacked = staged_path(&format!("{dir}/keyrings"));
            let targets: Vec<_> = names.iter().map(|name| format!("{dir}/{name}")).collect();
            let members = names.iter().zip(&targets);
            let members: Vec<_> =
                members.map(|(name, target)| Member { name: (*name).to_owned(), path: staged_path(target) }).collect();
            let mut staging: Vec<_> = members.iter().map(|member| member.path.clone()).collect();
            staging.push(unpacked.clone());
            Ok(Layout {
                bring: Bring::Members { unpacked, members },
                targets,
                staging,
                what: "keyrings",
                node_id: None,
            })
        }
        other => Err(Failure::new(Exit::Usage, format!("Consul has no item '{other}'."))),
    }
}
