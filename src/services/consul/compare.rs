//! Whether a datacenter holds what a snapshot holds: a new snapshot is taken, read and dropped.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Valid, forget, resolve};
use super::ops::CompareArgs;
use super::source::{SILENCE, open_snapshot};
use crate::formats::{self, FormatError};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::secret::SecretRef;
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::http::BodyReader;

/// How long a leader may take to come back after a restore.
const PATIENCE: Duration = Duration::from_mins(2);
/// The records whose number stays; the catalog, sessions and indexes move on by themselves.
const STABLE: [&str; 10] = [
    "KVS",
    "PreparedQuery",
    "ACLToken",
    "ACLPolicy",
    "ACLRole",
    "ACLBindingRule",
    "ACLAuthMethod",
    "ConfigEntry",
    "Intention",
    "Peering",
];
/// The sets that are compared by their members' names.
const SETS: [&str; 4] = ["acl_tokens", "acl_policies", "acl_roles", "config_entries"];

/// The differences, each a few words; none when it holds the same.
///
/// The token of the restored ACLs is tried first, then the one before: whichever the datacenter knows. One that is not at
/// hand keeps nobody from trying the other.
pub(super) fn look(cx: &Cx, args: &CompareArgs) -> Result<Vec<String>> {
    let started = cx.clock.elapsed();
    loop {
        let mut failures = Vec::new();
        for (token, valid) in tokens(args) {
            match open_with(cx, args, token, valid) {
                Ok(body) => return Ok(differences(&args.expected, &contents(cx, body)?)),
                Err(failure) => failures.push(failure),
            }
        }
        let is_refused = failures.iter().all(|failure| failure.exit == Exit::Authentication);
        // What is not for want of a token may pass.
        let told = failures.into_iter().rev().max_by_key(|failure| failure.exit != Exit::Authentication);
        let failure = told.unwrap_or_else(|| Failure::new(Exit::Failed, "No token was tried."));
        if failure.exit == Exit::Cancelled {
            return Err(failure);
        }
        if is_refused {
            return Err(no_token(cx, args, &failure));
        }
        if cx.clock.elapsed().saturating_sub(started) > PATIENCE || cx.pause(Duration::from_secs(2)).is_err() {
            return Err(failure);
        }
    }
}

/// The tokens to try, each once. An operator who is asked for both gives two.
fn tokens(args: &CompareArgs) -> Vec<(Option<&SecretRef>, Valid)> {
    let now = (args.access.token.as_ref(), Valid::Now);
    match args.after.as_ref() {
        None => vec![now],
        Some(after) if Some(after) == now.0 && !matches!(after, SecretRef::Prompt(_)) => vec![now],
        Some(after) => vec![(Some(after), Valid::After), now],
    }
}

fn open_with(cx: &Cx, args: &CompareArgs, token: Option<&SecretRef>, valid: Valid) -> Result<BodyReader> {
    let api = Api::new(cx, &args.access.http, args.access.tls.as_ref(), resolve(cx, token, valid)?);
    let opened = open_snapshot(cx, &api, false, SILENCE).map(|(_, body)| body);
    if opened.as_ref().is_err_and(|failure| failure.exit == Exit::Authentication) {
        forget(cx, token, valid);
    }
    opened
}

/// No token at hand is valid: which one is needed, and where whoever takes the run up is asked for it.
fn no_token(cx: &Cx, args: &CompareArgs, failure: &Failure) -> Failure {
    let failure = Failure::new(
        Exit::Changed,
        format!("The datacenter seen from {} could not be compared with the snapshot: {}", cx.host, failure.message),
    )
    .state("It was not compared, for want of a valid token.");
    let failure = match (args.after.as_ref().or(args.access.token.as_ref()), cx.run) {
        (Some(token), Some(mark)) => failure.hint(format!(
            "Once the snapshot is restored its own tokens are the valid ones, and this run looks for one {}. Give one with acl = \"write\" there, then go on: lifeboat resume {}",
            place_of(token),
            mark.run
        )),
        _ => failure.hint("Once the snapshot is restored its own tokens are the valid ones: name one with acl = \"write\" as token_after."),
    };
    failure.hint("When none is left: consul acl bootstrap tells the reset index; write it to acl-bootstrap-reset in the leader's data directory and bootstrap again.")
}

/// Where a token is looked for, in words.
fn place_of(token: &SecretRef) -> String {
    match token {
        SecretRef::Prompt(_) => "by asking for it".to_owned(),
        SecretRef::Command(_) => "in what the inventory's command for it prints".to_owned(),
        SecretRef::File(path) => format!("in the file {} of the console", path.display()),
        SecretRef::Env(name) => format!("in the console's environment variable {name}"),
    }
}

/// Reads a snapshot to its last record, keeping only what two snapshots are compared by.
fn contents(cx: &Cx, mut body: impl Read) -> Result<Value> {
    let bad = |error: FormatError| {
        let why = CleanText::new(&error.to_string()).one_line();
        let why = why.as_str().trim_end_matches('.');
        Failure::new(Exit::Failed, format!("The snapshot taken on {} to compare cannot be read: {why}.", cx.host))
    };
    let mut verifier = formats::verifier("consul-snap/1")
        .ok_or_else(|| Failure::new(Exit::Failed, "No reader of snapshots is here."))?;
    verifier.file("state.snap", &mut body).map_err(bad)?;
    Ok(json!(verifier.finish().map_err(bad)?.facts))
}

/// The part of a snapshot's verified facts a comparison needs; none when it was never verified.
pub(super) fn comparable(verified: &Value) -> Option<Value> {
    let mut kept = serde_json::Map::new();
    for key in ["types", "kv_keys", "kv_ordered", "kv_sha256"].iter().chain(&SETS) {
        kept.insert((*key).to_owned(), verified.get(key)?.clone());
    }
    Some(Value::Object(kept))
}

/// Names what differs, first the numbers an operator can look up.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut told = Vec::new();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    for kind in STABLE {
        let (then, now) = (number(&expected["types"][kind]["count"]), number(&found["types"][kind]["count"]));
        if then != now {
            told.push(format!("{kind}: {now} instead of {then}"));
        }
    }
    if number(&expected["kv_keys"]) == number(&found["kv_keys"]) {
        // Digests of ordered and unordered keys are made differently, so they say nothing of each other.
        let alike = expected["kv_ordered"] == found["kv_ordered"] && !expected["kv_sha256"].is_null();
        if alike && expected["kv_sha256"] != found["kv_sha256"] {
            told.push("as many keys, with other names or values".to_owned());
        }
    }
    for set in SETS {
        let (then, now) = (&expected[set], &found[set]);
        if then["count"] == now["count"] && then["sha256"] != now["sha256"] {
            told.push(format!("as many {}, but others", set.replace('_', " ").replace("acl", "ACL")));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(keys: u64, digest: &str, tokens: &str) -> Value {
        let set = |sha256: &str| json!({"count": 2, "sha256": sha256});
        json!({
            "types": {"KVS": {"count": keys, "size": 9}, "Index": {"count": keys * 7, "size": 1}},
            "kv_keys": keys, "kv_ordered": true, "kv_sha256": digest, "index": keys,
            "acl_tokens": set(tokens), "acl_policies": set("p"), "acl_roles": set("r"), "config_entries": set("c"),
        })
    }

    #[test]
    fn what_moves_on_by_itself_is_no_difference() {
        let expected = comparable(&verified(3, "a", "t")).unwrap();
        let mut later = verified(3, "a", "t");
        later["types"]["Index"]["count"] = json!(1);
        later["types"]["Register"] = json!({"count": 5});
        assert!(differences(&expected, &later).is_empty());
        assert!(comparable(&Value::Null).is_none());
    }

    #[test]
    fn differences_are_told_by_name_and_number() {
        let expected = verified(3, "a", "t");
        assert_eq!(differences(&expected, &verified(4, "b", "t")), ["KVS: 4 instead of 3"]);
        assert_eq!(
            differences(&expected, &verified(3, "b", "u")),
            ["as many keys, with other names or values", "as many ACL tokens, but others"]
        );
        assert_eq!(differences(&expected, &Value::Null)[0], "KVS: 0 instead of 3");
    }
}
