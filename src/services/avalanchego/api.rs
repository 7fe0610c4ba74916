//! Asking the node's info API through the login, without opening a port here.

use std::time::Duration;

use serde_json::Value;

use super::facts::Api;
use crate::model::exit::{Exit, Failure, Result};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::http::{HeaderValue, Payload, Request, ask};
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
fn call(cx: &Cx, host: &str, port: u16, method: &str, params: &str) -> Result<Value> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    // An IP literal as Host is always allowed by the node, whatever http-allowed-hosts says.
    let question = Request::send("POST", "/ext/info", Payload::Bytes(body.as_bytes()))
        .to_host(format!("127.0.0.1:{port}"))
        .header("Content-Type", HeaderValue::plain("application/json"))
        .within(Duration::from_secs(10));
    let doing = format!("Asking AvalancheGo ({method})");
    let reply = ask(cx, &Dial::Tcp(host.to_owned(), port), question, LIMIT, &doing)?;
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
pub fn identity(cx: &Cx, host: &str, port: u16) -> Result<Said> {
    let result = call(cx, host, port, "info.getNodeID", "{}")?;
    said(&result).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("AvalancheGo on {} answered without telling its NodeID.", cx.host))
    })
}

/// Whether a chain has caught up; `None` when the node does not say.
pub fn is_bootstrapped(cx: &Cx, host: &str, port: u16, chain: &str) -> Option<bool> {
    let params = format!(r#"{{"chain":"{chain}"}}"#);
    call(cx, host, port, "info.isBootstrapped", &params).ok()?.get("isBootstrapped")?.as_bool()
}

/// Fills in what the API tells; a node that does not answer is a fact, not a failure.
pub fn look(cx: &Cx, api: &mut Api) {
    if api.tls {
        "not asked: it speaks HTTPS".clone_into(&mut api.silent);
        return;
    }
    match identity(cx, &api.host, api.port) {
        Ok(Said { node_id, bls_public_key, bls_proof }) => {
            (api.node_id, api.bls_public_key, api.bls_proof) = (Some(node_id), bls_public_key, bls_proof);
        }
        Err(failure) => {
            api.silent = format!("not answering: {}", failure.message);
            return;
        }
    }
    api.version = call(cx, &api.host, api.port, "info.getNodeVersion", "{}").ok().and_then(|r| clean(r.get("version")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_bls_key_is_an_older_node_s() {
        let old = said(&serde_json::json!({"nodeID": "NodeID-x"})).unwrap();
        assert_eq!((old.node_id.as_str(), old.bls_public_key), ("NodeID-x", None));
        assert_eq!(said(&serde_json::json!({})), None);
    }
}
