//! Asking the node's info API through the login, without opening a port here.

use std::time::Duration;

use serde_json::Value;

use super::facts::{Api, Listener, Own};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::facts::Identity;
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::http::{self, HeaderValue, Payload, Request};
use crate::transport::Dial;

/// Who the node says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its NodeID.
    pub node_id: String,
    /// Its BLS public key; older nodes have none.
    pub bls_public_key: Option<String>,
    /// Its proof of possession.
    pub bls_proof: Option<String>,
}

const LIMIT: usize = 256 * 1024;

/// One JSON-RPC call; its `result`.
fn call(cx: &Cx, place: &Listener, method: &str, params: &str) -> Result<Value> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    // An IP literal as Host is always allowed by the node, whatever http-allowed-hosts says.
    let question = Request::send("POST", "/ext/info", Payload::Bytes(body.as_bytes()))
        .to_host(format!("127.0.0.1:{}", place.port))
        .header("Content-Type", HeaderValue::plain("application/json"))
        .within(Duration::from_secs(10));
    let doing = format!("Asking AvalancheGo ({method})");
    let reply = exchange(cx, place, question, &doing)?;
    let refused = |why: &str| Failure::new(Exit::Failed, format!("{doing} on {} failed: {why}.", cx.host));
    if !reply.is_success() {
        return Err(refused(&format!("status {} ({})", reply.status, reply.text().as_str().trim_end_matches('.'))));
    }
    let answer = reply.json().map_err(|error| error.failure(cx, &doing))?;
    match answer.get("result") {
        Some(result) if !result.is_null() => Ok(result.clone()),
        _ => {
            let why = answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("it has no result");
            Err(refused(CleanText::new(why).one_line().as_str().trim_end_matches('.')))
        }
    }
}

/// One request and its reply, whatever the node speaks.
fn exchange(cx: &Cx, place: &Listener, question: Request<'_>, doing: &str) -> Result<http::Response> {
    let target = Dial::Tcp(place.host.clone(), place.port);
    match &place.trust {
        None => http::ask(cx, &target, question, LIMIT, doing),
        Some(trust) => {
            let secured = trust.connect(cx, &trust.read(cx)?, &target, doing)?;
            http::request(Box::new(secured), question, LIMIT).map_err(|error| error.failure(cx, doing))
        }
    }
}

fn clean(value: Option<&Value>) -> Option<String> {
    let text = CleanText::new(value?.as_str()?).one_line();
    (!text.is_empty()).then(|| text.as_str().chars().take(400).collect())
}

/// Reads the answer of `info.getNodeID`.
fn said(result: &Value) -> Option<Said> {
    Some(Said {
        node_id: clean(result.get("nodeID"))?,
        bls_public_key: clean(result.pointer("/nodePOP/publicKey")),
        bls_proof: clean(result.pointer("/nodePOP/proofOfPossession")),
    })
}

/// Who the node says it is.
pub fn identity(cx: &Cx, place: &Listener) -> Result<Said> {
    let result = call(cx, place, "info.getNodeID", "{}")?;
    said(&result).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("AvalancheGo on {} answered without telling its NodeID.", cx.host))
    })
}

/// Whether a chain has caught up; `None` when the node does not say.
pub fn is_bootstrapped(cx: &Cx, place: &Listener, chain: &str) -> Option<bool> {
    let params = format!(r#"{{"chain":"{chain}"}}"#);
    call(cx, place, "info.isBootstrapped", &params).ok()?.get("isBootstrapped")?.as_bool()
}

/// Which of some identities the node is connected to now; `None` when it does not answer, or is connected to nobody.
///
/// A node pings every peer some three times a minute and lets one go that stays silent for half a minute; one whose
/// process ended it lets go at once. So what it lists is alive.
pub fn hears(cx: &Cx, own: &Own, sought: &[Identity]) -> Result<Option<Vec<Identity>>> {
    let of_node = |identity: &&Identity| identity.kind == super::items::NODE_ID;
    let wanted: Vec<&Identity> = sought.iter().filter(of_node).collect();
    let (Some(place), false) = (own.api.place().filter(|_| own.api.answered()), wanted.is_empty()) else {
        return Ok(None);
    };
    let ids: Vec<&str> = wanted.iter().map(|identity| identity.value.as_str()).collect();
    let asked = call(cx, &place, "info.peers", &serde_json::json!({"nodeIDs": ids}).to_string());
    let answer = match asked {
        Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
        // A node that does not say, such as one of before `info.peers`, is no witness.
        Err(_) => return Ok(None),
        Ok(answer) => answer,
    };
    let listed = connected(&answer);
    let heard: Vec<Identity> =
        wanted.into_iter().filter(|identity| listed.contains(&identity.value)).cloned().collect();
    if heard.is_empty() && !has_peers(cx, &place) {
        return Ok(None);
    }
    Ok(Some(heard))
}

/// The identities in an answer of `info.peers`.
fn connected(answer: &Value) -> Vec<String> {
    let peers = answer.get("peers").and_then(Value::as_array).into_iter().flatten();
    peers.filter_map(|peer| clean(peer.get("nodeID"))).collect()
}

/// Whether the node is connected to anybody, by its health check, which it makes twice a minute; one that is not well
/// answers with 503 and the same.
fn has_peers(cx: &Cx, place: &Listener) -> bool {
    let question =
        Request::get("/ext/health").to_host(format!("127.0.0.1:{}", place.port)).within(Duration::from_secs(10));
    let reply = exchange(cx, place, question, "Asking AvalancheGo for its health");
    let said = reply.ok().and_then(|reply| reply.json().ok());
    said.as_ref().is_some_and(is_connected)
}

fn is_connected(health: &Value) -> bool {
    health.pointer("/checks/network/message/connectedPeers").and_then(Value::as_u64).is_some_and(|count| count > 0)
}

/// Fills in what the API tells; a node that does not answer is a fact, not a failure.
pub fn look(cx: &Cx, api: &mut Api) {
    let Some(place) = api.place() else {
        "not asked: it speaks HTTPS, and no file says which certificate it shows; name one in the inventory: http_cert"
            .clone_into(&mut api.silent);
        return;
    };
    match identity(cx, &place) {
        Ok(Said { node_id, bls_public_key, bls_proof }) => {
            (api.node_id, api.bls_public_key, api.bls_proof) = (Some(node_id), bls_public_key, bls_proof);
        }
        Err(failure) => {
            api.silent = format!("not answering: {}", failure.message);
            api.refused = Some(failure).filter(|failure| failure.exit == Exit::HostKey);
            return;
        }
    }
    api.version = call(cx, &place, "info.getNodeVersion", "{}").ok().and_then(|r| clean(r.get("version")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_as_the_node_lists_them() {
        let answer = serde_json::json!({"numPeers": "1", "peers": [
            {"ip": "10.0.0.2:9651", "nodeID": "NodeID-a", "lastReceived": "2026-11-20T18:45:00Z"}, {"nodeID": 7}, null,
        ]});
        assert_eq!(connected(&answer), ["NodeID-a"]);
        assert_eq!(connected(&serde_json::json!({"numPeers": "0", "peers": null})), [""; 0]);
        let health = |count: Value| serde_json::json!({"checks": {"network": {"message": {"connectedPeers": count}}}});
        assert!(is_connected(&health(3.into())) && !is_connected(&health(0.into())) && !is_connected(&Value::Null));
    }

    #[test]
    fn an_answer_without_a_bls_key_is_an_older_node_s() {
        let old = said(&serde_json::json!({"nodeID": "NodeID-x"})).unwrap();
        assert_eq!((old.node_id.as_str(), old.bls_public_key), ("NodeID-x", None));
        assert_eq!(said(&serde_json::json!({})), None);
    }
}
