//! Asking the agent's API through the login, without opening a port here.

use std::time::Duration;

use serde_json::Value;

use super::conf::Conf;
use super::facts::{Api, is_guid};
use crate::model::exit::{Exit, Failure, Result};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::http::{Request, Response, ask};
use crate::transport::Dial;

/// The largest answer that is read: the configuration of an agent with thousands of charts is large.
const LIMIT: usize = 8 << 20;

fn get(cx: &Cx, api: &Api, target: &str, doing: &str) -> Result<Response> {
    let dial = match &api.socket {
        Some(path) => Dial::Unix(path.clone()),
        None => Dial::Tcp(api.host.clone(), api.port),
    };
    let question = Request::get(target).to_host(format!("127.0.0.1:{}", api.port)).within(Duration::from_secs(15));
    let reply = ask(cx, &dial, question, LIMIT, doing)?;
    if reply.is_success() {
        return Ok(reply);
    }
    let said = reply.text();
    let why = format!("status {} ({})", reply.status, said.as_str().trim_end_matches('.'));
    Err(Failure::new(Exit::Failed, format!("{doing} on {} failed: {why}.", cx.host)))
}

/// A question whose answer is JSON.
pub fn json(cx: &Cx, api: &Api, target: &str) -> Result<Value> {
    let doing = "Asking Netdata";
    get(cx, api, target, doing)?.json().map_err(|error| error.failure(cx, doing))
}

/// The configuration in force, as the running agent prints it.
pub fn conf(cx: &Cx, api: &Api) -> Result<Conf> {
    let reply = get(cx, api, "/netdata.conf", "Asking Netdata for its configuration")?;
    let conf = Conf::read(&String::from_utf8_lossy(&reply.body), true);
    if conf.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("Netdata on {} printed no configuration.", cx.host)));
    }
    Ok(conf)
}

/// Who the agent says it is, and whom it hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its machine GUID.
    pub guid: String,
    /// Its version.
    pub version: Option<String>,
    /// GUIDs of the children that stream to it now.
    pub heard: Vec<String>,
}

/// Asks the agent who it is.
pub fn info(cx: &Cx, api: &Api) -> Result<Info> {
    let answer = json(cx, api, "/api/v1/info")?;
    info_of(&answer)
        .ok_or_else(|| Failure::new(Exit::Failed, format!("Netdata on {} answered without telling its GUID.", cx.host)))
}

fn info_of(answer: &Value) -> Option<Info> {
    let guid = answer.get("uid")?.as_str().filter(|guid| is_guid(guid))?.to_ascii_lowercase();
    let version = answer.get("version").and_then(Value::as_str).map(|text| {
        let text = CleanText::new(text).one_line();
        text.as_str().chars().take(60).collect()
    });
    let hosts = answer.get("mirrored_hosts_status").and_then(Value::as_array).into_iter().flatten();
    let reachable = hosts.filter(|host| host.get("reachable").and_then(Value::as_bool) == Some(true));
    let guids = reachable.filter_map(|host| host.get("guid")?.as_str().map(str::to_ascii_lowercase));
    let heard = guids.filter(|heard| is_guid(heard) && *heard != guid).take(10_000).collect();
    Some(Info { guid, version, heard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_hears_the_children_that_are_reachable() {
        let (own, child, gone) = (
            "432c54de-e57a-11f1-acf8-02fc00000001",
            "11111111-e57a-11f1-acf8-02fc00000001",
            "22222222-e57a-11f1-acf8-02fc00000001",
        );
        let host = |guid: &str, reachable: bool| serde_json::json!({"guid": guid, "reachable": reachable});
        let answer = serde_json::json!({"uid": own, "version": "v1.37.1",
            "mirrored_hosts_status": [host(own, true), host(child, true), host(gone, false)]});
        let info = info_of(&answer).unwrap();
        assert_eq!((info.guid.as_str(), info.heard), (own, vec![child.to_owned()]));
        assert_eq!(info_of(&serde_json::json!({"uid": "../etc"})), None);
    }
}
