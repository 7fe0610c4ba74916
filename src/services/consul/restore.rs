//! Bringing a datacenter back: checks, a safety snapshot, one request, and a comparison. Pure.
//!
//! Nothing is stopped, so there is nothing a guard could start again: the leader takes the whole snapshot, checks it,
//! and only then replaces its state in one act.

use serde_json::{Value, json};

use super::ops::{CompareArgs, ReadyArgs};
use super::plan::{SAFETY, access_of, snapshot_source};
use super::probe::Own;
use super::settings::Settings;
use super::sink::Bring;
use super::{KIND, compare};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::ids::{GateId, StepId};
use crate::model::manifest::Manifest;
use crate::model::plan::{Effect, Gate};
use crate::model::text::CleanText;
use crate::services::common::{StepMaker, capture_step, deliver_step, text_of};
use crate::services::{Ask, Draft};

pub(super) fn plan(ask: &Ask, own: &Own, settings: &Settings) -> Result<Draft> {
    let manifest = ask.manifest.ok_or_else(|| Failure::new(Exit::Usage, "A restore needs a snapshot."))?;
    if !ask.facts.present {
        return Err(super::restore_files::not_installed(ask, settings, manifest));
    }
    let access = access_of(ask, own)?;
    check_target(ask, own)?;
    check_types(manifest)?;
    let mut gates = vec![gate(
        "overwrite",
        &format!(
            "Everything the datacenter {} holds is replaced by the snapshot: keys, ACL tokens and policies, the catalog, intentions, the Connect CA. Writes until then are lost.",
            own.datacenter.as_deref().unwrap_or("of this agent")
        ),
        own.datacenter.as_deref().unwrap_or(ask.host.as_str()),
    )?];
    gates.extend(version_gate(ask, manifest)?);
    gates.extend(datacenter_gate(own, manifest)?);
    let expected = compare::comparable(&manifest.facts["verified"]).ok_or_else(|| {
        Failure::new(
            Exit::Integrity,
            "The snapshot was never read through, so nothing says what a server would meet in it.",
        )
        .hint(format!("Verify it first: lifeboat verify {}@{}.", manifest.item, manifest.id))
    })?;
    let compare = CompareArgs { access: access.clone(), after: settings.token_after.clone(), expected };
    let maker = StepMaker::on(ask.host);
    let version = ask.facts.version.clone();
    let ready = ReadyArgs { access: access.clone(), version: version.clone(), after: settings.token_after.clone() };
    let mut steps = vec![maker.step(
        "ready",
        "Check that the servers agree and are healthy",
        "consul.ready/1",
        json!(ready),
        Effect::Read,
    )?];
    let mut leaves = Vec::new();
    if ask.choice(SAFETY) == "skip" {
        gates.push(gate(
            "no-safety",
            "What the datacenter holds now is not copied first, so nothing brings it back.",
            ask.host.as_str(),
        )?);
    } else {
        let mut safety = capture_step(&maker, KIND, ask.item, snapshot_source(ask, own, false)?)?;
        safety.id = StepId::new("safety").map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        safety.title = "Copy what the datacenter holds now into the vault".into();
        safety.args["reason"] = json!(format!("before the restore of {}@{}", manifest.item, manifest.id));
        steps.push(safety);
        leaves
            .push("A snapshot of the datacenter as it was before, in the vault; to go back, restore that one.".into());
    }
    let title = "Replace the datacenter's state: one request, sent once";
    let mut replace =
        deliver_step(&maker, KIND, title, json!(Bring::Snapshot { compare: Box::new(compare.clone()) }), None)?;
    replace.effect = Effect::Destroy;
    steps.push(replace);
    let title = "Compare what the datacenter holds with the snapshot";
    let mut accept = maker.step("accept", title, "consul.compare/1", json!(compare), Effect::Read)?;
    accept.timeout = crate::model::units::Seconds(3600);
    steps.push(accept);
    leaves.extend(token_words(own, settings));
    leaves.push("Nodes and services that no live agent vouches for vanish within minutes; nodes that are gone for good stay listed until they are removed.".into());
    Ok(Draft {
        basis: [
            ("datacenter".to_owned(), json!(own.datacenter)),
            ("version".to_owned(), json!(version)),
            ("acl".to_owned(), json!(own.acl)),
        ]
        .into(),
        gates,
        guards: Vec::new(),
        steps,
        leaves,
        expects: Vec::new(),
        foretold: Value::Null,
        proves: true,
    })
}

fn gate(id: &str, question: &str, word: &str) -> Result<Gate> {
    let id = GateId::new(id).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok(Gate { id, question: question.into(), word: word.to_owned() })
}

fn check_target(ask: &Ask, own: &Own) -> Result<()> {
    let refuse_with = |exit, why: &str| {
        let why = why.trim_end_matches('.');
        Err(Failure::new(exit, format!("Nothing can be restored through Consul on {}: {why}.", ask.host)))
    };
    let refuse = |why: &str| refuse_with(Exit::Failed, why);
    match (&own.silent, &own.refused) {
        (Some(why), _) => {
            refuse_with(own.silent_exit.unwrap_or(Exit::Failed), why.as_str()).map_err(|failure: Failure| {
                own.silent_hints.iter().fold(failure, |failure, hint| failure.hint(hint.as_str()))
            })
        }
        (None, Some(why)) if own.refused_exit == Some(Exit::Authentication) => {
            refuse_with(Exit::Authentication, why.as_str()).map_err(|failure: Failure| {
                failure.hint("Name a token of this datacenter with acl = \"write\" and operator = \"read\" in the inventory: token = { file = \"…\" }.")
            })
        }
        (None, Some(why)) => refuse_with(own.refused_exit.unwrap_or(Exit::Failed), why.as_str()),
        _ if own.leader.is_none() => {
            refuse("the datacenter has no leader, and only a leader restores").map_err(|failure: Failure| {
                failure.hint("Bring a majority of the servers back first; see the outage guide in RESTORE.md.")
            })
        }
        _ => Ok(()),
    }
}

/// A server that meets a record it does not know crashes, and again at every start: such a snapshot is never sent.
fn check_types(manifest: &Manifest) -> Result<()> {
    let verified = &manifest.facts["verified"];
    for (key, what) in
        [("enterprise_types", "records of Consul Enterprise"), ("unknown_types", "records of an unknown kind")]
    {
        let some = match &verified[key] {
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
            _ => false,
        };
        if some {
            return Err(Failure::new(
                Exit::Integrity,
                format!("The snapshot holds {what}, which can make a server crash at every start, so it is not restored from here."),
            )
            .hint("Restore it with the official tools into servers of the version it came from; RESTORE.md says how."));
        }
    }
    Ok(())
}

/// Numbers and edition of a version: `1.20.1+ent`.
fn parse_version(text: &str) -> Option<([u64; 3], bool)> {
    let (numbers, build) = text.split_once(['+', '-']).unwrap_or((text, ""));
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    let version = [parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?];
    Some((version, build.contains("ent")))
}

fn version_gate(ask: &Ask, manifest: &Manifest) -> Result<Option<Gate>> {
    let from = match text_of(&manifest.facts, "version") {
        "" => manifest.source.version.as_ref().map_or("", CleanText::as_str),
        told => told,
    };
    let to = ask.facts.version.as_ref().map_or("", CleanText::as_str);
    let question = match (parse_version(from), parse_version(to)) {
        (Some(a), Some(b)) if a == b => return Ok(None),
        (Some((_, true)), Some((_, false))) => {
            return Err(Failure::new(
                Exit::Failed,
                format!(
                    "The snapshot is from Consul Enterprise ({from}) and {} runs the community edition ({to}), which cannot take it.",
                    ask.host
                ),
            ));
        }
        (Some((a, _)), Some((b, _))) if a[..2] > b[..2] => {
            return Err(Failure::new(
                Exit::Failed,
                format!("The snapshot is from Consul {from}, which is newer than {to} on {}: a server that meets what it does not know crashes.", ask.host),
            )
            .hint(format!("Bring the servers to {from} first.")));
        }
        (Some(_), Some(_)) => {
            format!("The snapshot is from Consul {from}, the servers run {to}. Officially both must be the same.")
        }
        _ => {
            "The version the snapshot is from, or that of the servers, is not known. They must be the same.".to_owned()
        }
    };
    gate("version", &question, if to.is_empty() { ask.host.as_str() } else { to }).map(Some)
}

fn datacenter_gate(own: &Own, manifest: &Manifest) -> Result<Option<Gate>> {
    match (text_of(&manifest.facts, "datacenter"), own.datacenter.as_deref()) {
        ("", _) | (_, None) => Ok(None),
        (from, Some(to)) if from == to => Ok(None),
        (from, Some(to)) => {
            let question = format!("The snapshot is of the datacenter {from}, and this is {to}.");
            gate("datacenter", &question, to).map(Some)
        }
    }
}

fn token_words(own: &Own, settings: &Settings) -> Option<CleanText> {
    if own.acl == Some(false) {
        return None;
    }
    let tried = if settings.token_after.is_some() {
        "the result is compared with the token named by token_after"
    } else {
        "no token_after is named, so the result is compared with the same token, which works only if the snapshot holds it"
    };
    Some(
        format!(
            "Every ACL token is replaced: from then on the tokens of the snapshot are the valid ones, and {tried}."
        )
        .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_numbers_and_an_edition() {
        assert_eq!(parse_version("1.20.1"), Some(([1, 20, 1], false)));
        assert_eq!(parse_version("1.18.0+ent"), Some(([1, 18, 0], true)));
        assert_eq!(parse_version("2.0-rc1"), Some(([2, 0, 0], false)));
        assert_eq!(parse_version("new"), None);
    }
}
