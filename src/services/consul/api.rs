//! Consul's HTTP API through the tunnel: addresses, the token, and what refusals mean.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::exit::{Exit, Failure, Result};
use crate::model::secret::{ExposeSecret, SecretRef, SecretString};
use crate::model::text::CleanText;
use crate::services::Cx;
use crate::services::common::http::{self, HeaderValue, Payload, Request, Response};
use crate::services::common::{Expects, Trust, as_failure};
use crate::transport::quote::quote;
use crate::transport::tls::Terms;
use crate::transport::{Dial, Duplex};

/// The longest reply that is not a snapshot; `/v1/agent/self` is some 50 KiB.
const REPLY_LIMIT: usize = 4 << 20;

/// Where an agent's HTTP API listens, as the node itself reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) enum Address {
    /// Host and port, in clear.
    Tcp(String, u16),
    /// Host and port, over TLS.
    Tls(String, u16),
    /// A socket's path.
    Unix(String),
}

impl Address {
    /// Reads `host:port`, `http://host:port`, `tcp://host:port`, `https://host:port` or `unix:///path`.
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
        let over_tls = text.strip_prefix("https://");
        let clear = || text.strip_prefix("http://").or_else(|| text.strip_prefix("tcp://"));
        let rest = over_tls.or_else(clear).unwrap_or(text).trim_end_matches('/');
        let usual = if over_tls.is_some() { "8501" } else { "8500" };
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, usual));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|&port: &u16| port > 0);
        let fits = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'));
        let Some(port) = port.filter(|_| !host.is_empty() && host.len() < 254 && fits(host)) else {
            return Err("An address is a host and a port.".to_owned());
        };
        let host = if matches!(host, "0.0.0.0" | "::") { "127.0.0.1" } else { host }.to_owned();
        Ok(if over_tls.is_some() { Self::Tls(host, port) } else { Self::Tcp(host, port) })
    }

    fn dial(&self) -> Dial {
        match self {
            Self::Tcp(host, port) | Self::Tls(host, port) => Dial::Tcp(host.clone(), *port),
            Self::Unix(path) => Dial::Unix(path.clone()),
        }
    }

    /// The URL the official CLI takes.
    pub fn for_cli(&self) -> String {
        match self {
            Self::Tcp(..) => format!("http://{self}"),
            Self::Tls(..) | Self::Unix(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Tls(host, port) if host.contains(':') => write!(f, "https://[{host}]:{port}"),
            Self::Tls(host, port) => write!(f, "https://{host}:{port}"),
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
    /// By what the agent is known where it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Trust>,
    /// The token's name, not the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// The datacenter that must answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
}

/// Every variable of the official CLI's that [`environment`] may set.
pub(super) const ENVIRONMENT: [&str; 6] = [
    "CONSUL_HTTP_ADDR",
    "CONSUL_CACERT",
    "CONSUL_CAPATH",
    "CONSUL_TLS_SERVER_NAME",
    "CONSUL_CLIENT_CERT",
    "CONSUL_CLIENT_KEY",
];

/// What points the official CLI at an API when it stands in its environment; nothing for the address it takes by itself.
///
/// `name` is the one by which the agent's certificate was recognised.
pub(super) fn environment(http: &Address, tls: Option<&Trust>, name: Option<&str>) -> Vec<(&'static str, String)> {
    let mut set = vec![("CONSUL_HTTP_ADDR", http.for_cli())];
    if *http == Address::Tcp("127.0.0.1".to_owned(), 8500) {
        set.clear();
    }
    let Some(tls) = tls else { return set };
    match &tls.expects {
        Expects::SignedBy { authorities, .. } => set.extend(authorities.iter().map(|path| {
            let of = if path.ends_with('/') { "CONSUL_CAPATH" } else { "CONSUL_CACERT" };
            (of, path.clone())
        })),
        Expects::Exactly(path) => set.push(("CONSUL_CACERT", path.clone())),
    }
    set.extend(name.map(|name| ("CONSUL_TLS_SERVER_NAME", name.to_owned())));
    if let Some(pair) = &tls.shows {
        set.extend([("CONSUL_CLIENT_CERT", pair.cert.clone()), ("CONSUL_CLIENT_KEY", pair.key.clone())]);
    }
    set
}

/// A command of the official CLI for an API, as it is typed.
pub(super) fn cli(http: &Address, tls: Option<&Trust>, command: &str) -> String {
    let name = tls.and_then(|tls| match &tls.expects {
        Expects::SignedBy { names, .. } => names.first().map(String::as_str),
        Expects::Exactly(_) => None,
    });
    let set = environment(http, tls, name).into_iter();
    set.fold(String::new(), |line, (key, value)| line + key + "=" + &quote(value.as_bytes()) + " ") + command
}

/// The API of one agent, with one token.
pub(super) struct Api<'a> {
    cx: &'a Cx<'a>,
    address: Address,
    tls: Option<Trust>,
    terms: OnceCell<Terms>,
    name: RefCell<Option<String>>,
    token: Option<SecretString>,
}

/// Which token is meant: an operator who is asked for both must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Valid {
    /// The one that is valid on the node now.
    Now,
    /// The one that is valid once the snapshot is restored.
    After,
}

impl Valid {
    /// What an operator is asked for.
    fn purpose(self, cx: &Cx) -> String {
        match self {
            Self::Now => format!("Consul token for {}", cx.host),
            Self::After => format!("Consul token of the snapshot, valid on {} once it is restored", cx.host),
        }
    }
}

/// Forgets a token that was refused, so that whoever is told to give another one is asked for it again.
pub(super) fn forget(cx: &Cx, token: Option<&SecretRef>, valid: Valid) {
    if let Some(token) = token {
        cx.secrets.forget(token, &valid.purpose(cx));
    }
}

/// Asks for the token a reference names.
pub(super) fn resolve(cx: &Cx, token: Option<&SecretRef>, valid: Valid) -> Result<Option<SecretString>> {
    let Some(wanted) = token else { return Ok(None) };
    match cx.secrets.resolve(wanted, &valid.purpose(cx)) {
        Ok(token) if token.expose_secret().trim().is_empty() => Ok(None),
        Ok(token) => Ok(Some(token)),
        Err(why) => Err(Failure::new(
            Exit::Authentication,
            format!("The Consul token for {} was not found: {}.", cx.host, why.trim_end_matches('.')),
        )),
    }
}

impl<'a> Api<'a> {
    /// The API at `address`, recognised by `tls` where it speaks that, opened by `token`.
    pub fn new(cx: &'a Cx<'a>, address: &Address, tls: Option<&Trust>, token: Option<SecretString>) -> Self {
        let (terms, name) = (OnceCell::new(), RefCell::new(None));
        Self { cx, address: address.clone(), tls: tls.cloned(), terms, name, token }
    }
    /// The API a plan names; the token is looked up now.
    pub fn of(cx: &'a Cx<'a>, access: &Access) -> Result<Self> {
        Ok(Self::new(cx, &access.http, access.tls.as_ref(), resolve(cx, access.token.as_ref(), Valid::Now)?))
    }
    /// The name by which the agent's certificate was recognised; none before it was asked, or without names.
    pub fn recognised_by(&self) -> Option<String> {
        self.name.borrow().clone()
    }

    /// A connection to the agent. Everyone's papers are read once for all requests of this value.
    fn connect(&self, doing: &str) -> Result<Box<dyn Duplex>> {
        let target = self.address.dial();
        if !matches!(self.address, Address::Tls(..)) {
            return self.cx.node.dial(&target, self.cx.cancel).map_err(|error| as_failure(&error));
        }
        let Some(trust) = &self.tls else {
            let why = format!("{doing} on {} failed: nothing says which certificate its API must show.", self.cx.host);
            return Err(Failure::new(Exit::Failed, why)
                .hint("Name the CA in the inventory: api_ca = \"/etc/consul.d/ca.pem\"."));
        };
        let terms = if let Some(terms) = self.terms.get() {
            terms
        } else {
            let read = trust.read(self.cx)?;
            self.terms.get_or_init(|| read)
        };
        let secured = trust.connect(self.cx, terms, &target, doing).map_err(hinted)?;
        self.name.replace(secured.name().map(str::to_owned));
        Ok(Box::new(secured))
    }

    fn with_token<'r>(&self, request: Request<'r>) -> Request<'r> {
        let host = match &self.address {
            Address::Tcp(..) => self.address.to_string(),
            Address::Tls(host, port) => Address::Tcp(host.clone(), *port).to_string(),
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
        let duplex = self.connect(doing)?;
        http::request(duplex, self.with_token(request), REPLY_LIMIT)
            .map_err(|error| hinted(error.failure(self.cx, doing)))
    }

    /// One request whose reply is long.
    pub fn open(&self, request: Request<'_>, doing: &str) -> Result<(http::Head, http::BodyReader)> {
        let duplex = self.connect(doing)?;
        http::open(duplex, self.with_token(request)).map_err(|error| hinted(error.failure(self.cx, doing)))
    }

    /// Sends a body; the error is the protocol's own, so that "nothing was sent" and "unknown" can be told apart.
    pub fn put(&self, request: Request<'_>, doing: &str) -> Result<Result<Response, http::HttpError>> {
        let duplex = self.connect(doing)?;
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

/// What an operator can say when the two sides of a TLS connection are not content with each other.
fn hinted(failure: Failure) -> Failure {
    match failure.exit {
        Exit::HostKey => failure.hint("If another CA signed it, or it bears another name, say so in the inventory: api_ca, api_name."),
        Exit::Authentication => failure.hint("Name a certificate for clients that the agent's CA signed, and its key, both on the node: api_cert, api_key."),
        _ => failure,
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

/// Whether Raft waits for a change of its servers to be applied before it takes or replaces a snapshot
/// (hashicorp/raft: "cannot take snapshot now, wait until the configuration entry at 82 has been applied").
pub(super) fn is_settling(status: u16, said: &str) -> bool {
    status == 500 && said.contains("snapshot now, wait until the configuration entry")
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
        500 if is_settling(status, &said) => fail(
            Exit::Failed,
            &format!("the datacenter's servers changed just now ({said})"),
        )
        .hint("Try again in a minute; if it stays so, see whether the servers agree: consul operator raft list-peers."),
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
            ("https://localhost:8443/", "https://localhost:8443"),
            ("https://0.0.0.0", "https://127.0.0.1:8501"),
            ("unix:///run/consul.sock", "unix:///run/consul.sock"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", ":8500", "a b:1", "x:0", "x:99999", "https://", "unix://rel", "x\r\n:1", "x/y:1"] {
            assert!(Address::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
