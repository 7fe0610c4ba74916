//! Consul's HTTP API through the tunnel: addresses, the token, and what refusals mean.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::exit::{Exit, Failure, Result};
use crate::model::secret::{ExposeSecret, SecretRef, SecretString};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::as_failure;
use crate::services::common::http::{self, HeaderValue, Payload, Request, Response};
use crate::transport::Dial;

/// The longest reply that is not a snapshot; `/v1/agent/self` is some 50 KiB.
const REPLY_LIMIT: usize = 4 << 20;

/// Where an agent's HTTP API listens, as the node itself reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) enum Address {
    /// Host and port.
    Tcp(String, u16),
    /// A socket's path.
    Unix(String),
}

impl Address {
    /// Reads `host:port`, `http://host:port`, `tcp://host:port` or `unix:///path`.
    ///
    /// An agent that listens everywhere is reached over its loopback.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            return if super::settings::is_plain_path(path) {
                Ok(Self::Unix(path.to_owned()))
            } else {
                Err("A socket is named by its absolute path.".to_owned())
            };
        }
        if text.starts_with("https://") {
            return Err("An API that speaks only TLS is not supported: let the agent also listen for plain HTTP on its loopback or on a Unix socket.".to_owned());
        }
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("tcp://")).unwrap_or(text);
        let rest = rest.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "8500"));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|&port: &u16| port > 0);
        let fits = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'));
        let Some(port) = port.filter(|_| !host.is_empty() && host.len() < 254 && fits(host)) else {
            return Err("An address is a host and a port.".to_owned());
        };
        let host = if matches!(host, "0.0.0.0" | "::") { "127.0.0.1" } else { host };
        Ok(Self::Tcp(host.to_owned(), port))
    }

    fn dial(&self) -> Dial {
        match self {
            Self::Tcp(host, port) => Dial::Tcp(host.clone(), *port),
            Self::Unix(path) => Dial::Unix(path.clone()),
        }
    }

    /// The words that point the official CLI at it.
    pub fn for_cli(&self) -> String {
        match self {
            Self::Tcp(..) => format!("http://{self}"),
            Self::Unix(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}
impl TryFrom<String> for Address {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}
impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

/// Where the API is and which token opens it, as it stands in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Access {
    /// The address.
    pub http: Address,
    /// The token's name, not the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// The datacenter that must answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
}

/// The API of one agent, with one token.
pub(super) struct Api<'a> {
    cx: &'a Cx<'a>,
    address: Address,
    token: Option<SecretString>,
}

/// Asks for the token a reference names.
pub(super) fn resolve(cx: &Cx, token: Option<&SecretRef>) -> Result<Option<SecretString>> {
    let Some(wanted) = token else { return Ok(None) };
    let purpose = format!("Consul token for {}", cx.host);
    match cx.secrets.resolve(wanted, &purpose) {
        Ok(token) if token.expose_secret().trim().is_empty() => Ok(None),
        Ok(token) => Ok(Some(token)),
        Err(why) => Err(Failure::new(
            Exit::Authentication,
            format!("The Consul token for {} was not found: {}.", cx.host, why.trim_end_matches('.')),
        )),
    }
}

impl<'a> Api<'a> {
    /// The API at `address`, opened by `token`.
    pub fn new(cx: &'a Cx<'a>, address: &Address, token: Option<SecretString>) -> Self {
        Self { cx, address: address.clone(), token }
    }
    /// The API a plan names; the token is looked up now.
    pub fn of(cx: &'a Cx<'a>, access: &Access) -> Result<Self> {
        Ok(Self::new(cx, &access.http, resolve(cx, access.token.as_ref())?))
    }

    fn with_token<'r>(&self, request: Request<'r>) -> Request<'r> {
        let host = match &self.address {
            Address::Tcp(..) => self.address.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        };
        let request = request.to_host(host);
        match &self.token {
            Some(token) => request.header("X-Consul-Token", HeaderValue::secret(token.clone())),
            None => request,
        }
    }

    /// One request whose reply is short; any status is a reply.
    pub fn ask(&self, request: Request<'_>, doing: &str) -> Result<Response> {
        http::ask(self.cx, &self.address.dial(), self.with_token(request), REPLY_LIMIT, doing)
    }

    /// One request whose reply is long.
    pub fn open(&self, request: Request<'_>, doing: &str) -> Result<(http::Head, http::BodyReader)> {
        let duplex = self.cx.node.dial(&self.address.dial(), self.cx.cancel).map_err(|error| as_failure(&error))?;
        http::open(duplex, self.with_token(request)).map_err(|error| error.failure(self.cx, doing))
    }

    /// Sends a body; the error is the protocol's own, so that "nothing was sent" and "unknown" can be told apart.
    pub fn put(&self, request: Request<'_>) -> Result<Result<Response, http::HttpError>> {
        let duplex = self.cx.node.dial(&self.address.dial(), self.cx.cancel).map_err(|error| as_failure(&error))?;
        Ok(http::request(duplex, self.with_token(request), REPLY_LIMIT))
    }

    /// A `GET` that must succeed, as JSON.
    pub fn get(&self, target: &str, doing: &str) -> Result<Value> {
        let reply = self.ask(Request::get(target), doing)?;
        if !reply.is_success() {
            return Err(refusal(self.cx, doing, reply.status, &reply.text()));
        }
        reply.json().map_err(|error| error.failure(self.cx, doing))
    }

    /// The leader's address; none when there is no leader. Needs no token.
    pub fn leader(&self) -> Result<Option<String>> {
        let value = self.get("/v1/status/leader", "Asking Consul for its leader")?;
        Ok(value.as_str().filter(|leader| !leader.is_empty()).map(|leader| CleanText::new(leader).to_string()))
    }

    /// The leader over two polls, `apart` from each other; a sentence when there is none or it moved.
    pub fn steady_leader(&self, apart: Duration) -> Result<String> {
        let first = self.leader()?.ok_or_else(|| no_leader(self.cx))?;
        self.cx.pause(apart)?;
        self.still_led_by(&first)?;
        Ok(first)
    }

    /// Makes sure that the leader is the one it was; a sentence when there is none or it moved.
    pub fn still_led_by(&self, first: &str) -> Result<()> {
        match self.leader()? {
            Some(now) if now == first => Ok(()),
            Some(now) => Err(Failure::new(
                Exit::Failed,
                format!("Consul's leader seen from {} moved from {first} to {now} just now.", self.cx.host),
            )
            .hint("Wait until the servers agree, then try again.")),
            None => Err(no_leader(self.cx)),
        }
    }

    /// Whether the token may read and replace everything: `None` when this Consul cannot be asked.
    pub fn may_write_acl(&self) -> Result<Option<bool>> {
        let doing = "Asking Consul what the token may do";
        let question = br#"[{"Resource":"acl","Access":"write"}]"#;
        let request = Request::send("POST", "/v1/internal/acl/authorize", Payload::Bytes(question))
            .header("Content-Type", HeaderValue::plain("application/json"));
        let reply = self.ask(request, doing)?;
        match reply.status {
            200 => Ok(reply.json().ok().and_then(|said| said.get(0)?.get("Allow")?.as_bool())),
            401 | 404 | 405 => Ok(None),
            status => Err(refusal(self.cx, doing, status, &reply.text())),
        }
    }
}

/// The failure of a datacenter without a leader.
pub(super) fn no_leader(cx: &Cx) -> Failure {
    Failure::new(Exit::Failed, format!("Consul has no leader as seen from {}.", cx.host))
        .hint("Bring enough servers back for a majority; while there is none, a stale copy of what this server knows can be taken: --set mode=stale.")
}

/// Whether a refusal says that the token itself is unknown, as it is after every ACL was replaced.
pub(super) fn is_unknown_token(status: u16, said: &str) -> bool {
    status == 403 && said.contains("ACL not found")
}

/// What a refusing status means; `said` is the server's own plain text.
pub(super) fn refusal(cx: &Cx, doing: &str, status: u16, said: &CleanText) -> Failure {
    let said: String = said.as_str().trim().trim_end_matches('.').chars().take(300).collect();
    let fail = |exit, why: &str| Failure::new(exit, format!("{doing} on {} failed: {why}.", cx.host));
    if is_unknown_token(status, &said) {
        return fail(Exit::Authentication, "Consul does not know the token")
            .hint("After a restore only tokens of the cluster the snapshot came from are valid; name such a token in the inventory.");
    }
    match status {
        403 if said.contains("blocked") => {
            fail(Exit::Failed, &format!("the agent's configuration forbids it ({said})"))
                .hint("See block_endpoints and allow_write_http_from in the agent's http_config.")
        }
        403 => fail(Exit::Authentication, &format!("the token lacks a right ({said})"))
            .hint("Snapshots need a token whose policy says: acl = \"write\"."),
        401 => fail(Exit::Failed, &said),
        429 => fail(Exit::Failed, "the server limits its requests just now").hint("Try again in a minute."),
        500 if said.contains("No cluster leader") || said.contains("Not ready to serve consistent reads") => {
            let mut failure = no_leader(cx);
            failure.message = format!("{doing} on {} failed: Consul has no leader ({said}).", cx.host);
            failure
        }
        500 if said.contains("nothing new to snapshot") => {
            fail(Exit::Failed, "this Consul is new and holds nothing to copy yet")
        }
        _ if said.is_empty() => fail(Exit::Failed, &format!("Consul answered with status {status}")),
        _ => fail(Exit::Failed, &format!("Consul answered with status {status} ({said})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_people_and_consul_write_them() {
        for (text, shown) in [
            ("127.0.0.1:8500", "127.0.0.1:8500"),
            ("http://localhost:1", "localhost:1"),
            ("tcp://0.0.0.0:8500", "127.0.0.1:8500"),
            ("tcp://[::]:8500", "127.0.0.1:8500"),
            ("[::1]:8500", "[::1]:8500"),
            ("10.0.0.5", "10.0.0.5:8500"),
            ("unix:///run/consul.sock", "unix:///run/consul.sock"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", ":8500", "a b:1", "x:0", "x:99999", "https://x:1", "unix://rel", "x\r\n:1", "x/y:1"] {
            assert!(Address::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
